"""Writing in place: each method computes as its namesake does; the result takes this tensor's memory and place in the graph.

How a write to a view reaches its base is in views.py.
"""

from .. import random
from .record import TensorBase, number_array, operand, wrap


class InPlace:
    """The methods that end in _, and the operators such as +=."""

    def __iadd__(self, other):
        return self._become(self + other)

    def __isub__(self, other):
        return self._become(self - other)

    def __imul__(self, other):
        return self._become(self * other)

    def __itruediv__(self, other):
        return self._become(self / other)

    def __ifloordiv__(self, other):
        return self._become(self // other)

    def __ipow__(self, other):
        return self._become(self**other)

    def __imod__(self, other):
        return self._become(self % other)

    def __iand__(self, other):
        return self._become(self & other)

    def __ior__(self, other):
        return self._become(self | other)

    def __ixor__(self, other):
        return self._become(self ^ other)

    def add_(self, other, *, alpha=1):
        return self._become(self.add(other, alpha=alpha))

    def sub_(self, other, *, alpha=1):
        return self._become(self.sub(other, alpha=alpha))

    mul_, div_, pow_ = __imul__, __itruediv__, __ipow__

    def neg_(self):
        return self._become(-self)

    def exp_(self):
        return self._become(self.exp())

    def sqrt_(self):
        return self._become(self.sqrt())

    def relu_(self):
        return self._become(self.relu())

    def sigmoid_(self):
        return self._become(self.sigmoid())

    def tanh_(self):
        return self._become(self.tanh())

    def clamp_(self, min=None, max=None):
        return self._become(self.clamp(min, max))

    def masked_fill_(self, mask, value):
        return self._become(self.masked_fill(mask, value))

    def copy_(self, src):
        """Takes the source's values, broadcast to this shape and cast to this dtype."""
        source = operand("copy_", src)
        source = source.to(self.dtype) if isinstance(source, TensorBase) else wrap(number_array("copy_", source, self.dtype))
        return self._become(source.expand(self.shape))

    def fill_(self, value):
        """Sets every element to a number, or to a 0-d tensor."""
        if isinstance(value, TensorBase) and value.ndim:
            raise ValueError(f"fill_: expected a number or a 0-d tensor, got shape {value.shape}; use copy_")
        return self.copy_(value)

    def zero_(self):
        """Sets every element to 0."""
        return self.fill_(0)

    def normal_(self, mean=0.0, std=1.0, *, generator=None):
        """Draws every element from the normal distribution."""
        return self._become(wrap(random.normal_like(self.array, random.source(generator), self.dtype, mean, std)))

    def uniform_(self, low=0.0, high=1.0, *, generator=None):
        """Draws every element from the uniform distribution on [low, high)."""
        source = random.source(generator)
        return self._become(wrap(random.like(self.array, lambda shape: source.uniform(shape, self.dtype, low, high))))

    def bernoulli_(self, p=0.5, *, generator=None):
        """Sets every element to 1 with probability p, else to 0."""
        source = random.source(generator)
        return self._become(wrap(random.like(self.array, lambda shape: source.bernoulli(shape, p, self.dtype))))
