"""Writing in place: each method computes as its namesake does; the result takes this tensor's memory and place in the graph.

How a write to a view reaches its base is in views.py.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .. import random
from ..graph.nodes import next_serial
from .arithmetic import Arithmetic
from .combined import Combined
from .comparisons import Comparisons
from .contractions import Contractions
from .elementwise import Elementwise
from .indexing import Indexing
from .record import TensorBase, number_array, operand, wrap
from .reductions import Reductions
from .scattering import Scattering
from .shapes import Shapes
from .slices import Slices
from .statistics import Statistics

P, R = ParamSpec("P"), TypeVar("R")


def twin(method: Callable[P, R]) -> Callable[P, R]:
    """`f_` of a method or function `f`: it computes as f does, and writes the result into its first argument, a tensor."""

    @functools.wraps(method)
    def in_place(self, *args, **kwargs):
        start = next_serial()
        result = method(self, *args, **kwargs)
        return self if result is self else self._become(result, start)

    name = method.__name__.strip("_")
    in_place.__name__, in_place.__doc__ = f"{name}_", f"As {name}; the result is written into the tensor itself."
    return in_place


def _reshaped(method: Callable[P, R]) -> Callable[P, R]:
    """The method `f_` of a method `f` that shows the same elements in another shape: this tensor has that shape afterwards."""

    @functools.wraps(method)
    def in_place(self, *args, **kwargs):
        return self._show(method(self, *args, **kwargs), f"{method.__name__}_")

    name = method.__name__
    in_place.__name__, in_place.__doc__ = f"{name}_", f"As {name}; this tensor itself has the new shape afterwards."
    return in_place


class InPlace:
    """The methods that end in _, and the operators such as +=."""

    __iadd__ = twin(Arithmetic.__add__)
    __isub__ = twin(Arithmetic.__sub__)
    __imul__ = twin(Arithmetic.__mul__)
    __itruediv__ = twin(Arithmetic.__truediv__)
    __ifloordiv__ = twin(Arithmetic.__floordiv__)
    __ipow__ = twin(Arithmetic.__pow__)
    __imod__ = twin(Arithmetic.__mod__)
    __iand__ = twin(Comparisons.__and__)
    __ior__ = twin(Comparisons.__or__)
    __ixor__ = twin(Comparisons.__xor__)

    add_ = twin(Arithmetic.add)
    sub_ = twin(Arithmetic.sub)
    subtract_ = twin(Arithmetic.subtract)
    mul_ = twin(Arithmetic.mul)
    multiply_ = twin(Arithmetic.multiply)
    div_ = twin(Arithmetic.div)
    divide_ = twin(Arithmetic.divide)
    floor_divide_ = twin(Arithmetic.floor_divide)
    remainder_ = twin(Arithmetic.remainder)
    pow_ = twin(Arithmetic.pow)
    neg_ = twin(Arithmetic.neg)
    negative_ = twin(Arithmetic.negative)
    lerp_ = twin(Arithmetic.lerp)
    xlogy_ = twin(Arithmetic.xlogy)
    igamma_ = twin(Arithmetic.igamma)
    addcmul_ = twin(Combined.addcmul)
    addcdiv_ = twin(Combined.addcdiv)
    fmod_ = twin(Combined.fmod)
    atan2_ = twin(Combined.atan2)
    arctan2_ = twin(Combined.arctan2)
    float_power_ = twin(Combined.float_power)
    nan_to_num_ = twin(Combined.nan_to_num)
    addmm_ = twin(Contractions.addmm)
    addmv_ = twin(Contractions.addmv)
    addr_ = twin(Contractions.addr)
    baddbmm_ = twin(Contractions.baddbmm)
    addbmm_ = twin(Contractions.addbmm)

    abs_ = twin(Elementwise.abs)
    absolute_ = twin(Elementwise.absolute)
    exp_ = twin(Elementwise.exp)
    expm1_ = twin(Elementwise.expm1)
    log_ = twin(Elementwise.log)
    log2_ = twin(Elementwise.log2)
    log10_ = twin(Elementwise.log10)
    log1p_ = twin(Elementwise.log1p)
    sqrt_ = twin(Elementwise.sqrt)
    rsqrt_ = twin(Elementwise.rsqrt)
    square_ = twin(Elementwise.square)
    reciprocal_ = twin(Elementwise.reciprocal)
    sin_ = twin(Elementwise.sin)
    cos_ = twin(Elementwise.cos)
    tan_ = twin(Elementwise.tan)
    asin_ = twin(Elementwise.asin)
    acos_ = twin(Elementwise.acos)
    atan_ = twin(Elementwise.atan)
    arcsin_ = twin(Elementwise.arcsin)
    arccos_ = twin(Elementwise.arccos)
    arctan_ = twin(Elementwise.arctan)
    sinh_ = twin(Elementwise.sinh)
    cosh_ = twin(Elementwise.cosh)
    tanh_ = twin(Elementwise.tanh)
    asinh_ = twin(Elementwise.asinh)
    acosh_ = twin(Elementwise.acosh)
    atanh_ = twin(Elementwise.atanh)
    arcsinh_ = twin(Elementwise.arcsinh)
    arccosh_ = twin(Elementwise.arccosh)
    arctanh_ = twin(Elementwise.arctanh)
    exp2_ = twin(Elementwise.exp2)
    logit_ = twin(Elementwise.logit)
    sigmoid_ = twin(Elementwise.sigmoid)
    relu_ = twin(Elementwise.relu)
    erf_ = twin(Elementwise.erf)
    erfc_ = twin(Elementwise.erfc)
    erfinv_ = twin(Elementwise.erfinv)
    lgamma_ = twin(Elementwise.lgamma)
    digamma_ = twin(Elementwise.digamma)
    polygamma_ = twin(Elementwise.polygamma)
    sign_ = twin(Elementwise.sign)
    floor_ = twin(Elementwise.floor)
    ceil_ = twin(Elementwise.ceil)
    trunc_ = twin(Elementwise.trunc)
    round_ = twin(Elementwise.round)
    clamp_ = twin(Elementwise.clamp)
    clip_ = twin(Elementwise.clip)

    eq_ = twin(Comparisons.eq)
    ne_ = twin(Comparisons.ne)
    lt_ = twin(Comparisons.lt)
    le_ = twin(Comparisons.le)
    gt_ = twin(Comparisons.gt)
    ge_ = twin(Comparisons.ge)
    logical_not_ = twin(Comparisons.logical_not)
    logical_and_ = twin(Comparisons.logical_and)
    logical_or_ = twin(Comparisons.logical_or)
    logical_xor_ = twin(Combined.logical_xor)
    bitwise_and_ = twin(Combined.bitwise_and)
    bitwise_or_ = twin(Combined.bitwise_or)
    bitwise_xor_ = twin(Combined.bitwise_xor)
    bitwise_not_ = twin(Combined.bitwise_not)

    cumsum_ = twin(Reductions.cumsum)
    cumprod_ = twin(Statistics.cumprod)

    tril_ = twin(Slices.tril)
    triu_ = twin(Slices.triu)

    masked_fill_ = twin(Indexing.masked_fill)
    scatter_ = twin(Scattering.scatter)
    scatter_add_ = twin(Scattering.scatter_add)
    scatter_reduce_ = twin(Scattering.scatter_reduce)
    index_add_ = twin(Scattering.index_add)
    index_copy_ = twin(Scattering.index_copy)
    index_fill_ = twin(Scattering.index_fill)
    index_put_ = twin(Scattering.index_put)
    put_ = twin(Scattering.put)
    masked_scatter_ = twin(Scattering.masked_scatter)

    unsqueeze_ = _reshaped(Shapes.unsqueeze)
    squeeze_ = _reshaped(Shapes.squeeze)
    t_ = _reshaped(Shapes.t)
    transpose_ = _reshaped(Shapes.transpose)
    swapaxes_ = _reshaped(Shapes.swapaxes)
    swapdims_ = _reshaped(Shapes.swapdims)

    def copy_(self, src):
        """Writes the values of `src` into this tensor, broadcast to its shape and cast to its dtype.

        >>> import minidl
        >>> minidl.zeros(2, 2).copy_(minidl.tensor([1, 2]))
        tensor([[1., 2.],
                [1., 2.]])
        """
        source = operand("copy_", src)
        source = source.to(self.dtype) if isinstance(source, TensorBase) else wrap(number_array("copy_", source, self.dtype))
        return self._become(source.expand(self.shape))

    def fill_(self, value):
        """Sets every element to a number, or to a 0-d tensor.

        >>> import minidl
        >>> minidl.zeros(2).fill_(7)
        tensor([7., 7.])
        """
        if isinstance(value, TensorBase) and value.ndim:
            raise ValueError(f"fill_: expected a number or a 0-d tensor, got shape {value.shape}; use copy_")
        return self.copy_(value)

    def zero_(self):
        """Sets every element to 0.

        >>> import minidl
        >>> minidl.ones(2).zero_()
        tensor([0., 0.])
        """
        return self.fill_(0)

    def normal_(self, mean=0.0, std=1.0, *, generator=None):
        """Draws every element from the normal distribution with this mean and standard deviation.

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(3).normal_(10.0, 2.0, generator=generator)
        tensor([13.0820,  9.4131,  5.6424])
        """
        return self._become(wrap(random.normal_like(self.array, random.source(generator), self.dtype, mean, std)))

    def uniform_(self, low=0.0, high=1.0, *, generator=None):
        """Draws every element from the uniform distribution on [low, high).

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(3).uniform_(-1.0, 1.0, generator=generator)
        tensor([-0.0075,  0.5364, -0.8230])
        """
        source = random.source(generator)
        return self._become(wrap(random.like(self.array, lambda shape: source.uniform(shape, self.dtype, low, high))))

    def bernoulli_(self, p=0.5, *, generator=None):
        """Sets every element to 1 with probability p, else to 0.

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(5).bernoulli_(0.8, generator=generator)
        tensor([0., 1., 1., 0., 1.])
        """
        source = random.source(generator)
        return self._become(wrap(random.like(self.array, lambda shape: source.bernoulli(shape, p, self.dtype))))

    def exponential_(self, lambd=1.0, *, generator=None):
        """Draws every element from the exponential distribution with rate lambd, whose density is lambd·exp(−lambd·x).

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(3).exponential_(2.0, generator=generator)
        tensor([1.7542, 0.6152, 0.3075])
        """
        source = random.source(generator)
        return self._become(wrap(random.like(self.array, lambda shape: source.exponential(shape, self.dtype, lambd))))

    def random_(self, from_=None, to=None, /, *, generator=None):
        """Draws every element from the integers from_ … to − 1: random_(), random_(to) or random_(from_, to).

        Without `to`, up to the largest integer of the dtype; for floats up to 2^p, with p their number of binary digits.

        >>> import minidl
        >>> generator = minidl.Generator().manual_seed(0)
        >>> minidl.zeros(5).random_(1, 7, generator=generator)
        tensor([3., 4., 6., 1., 2.])
        """
        source = random.source(generator)
        bounds = (0, from_) if to is None else (from_, to)

        def draw(shape):
            if from_ is None:
                return source.integers(shape, self.dtype)
            return source.randint(*bounds, shape, self.dtype, "random_")

        return self._become(wrap(random.like(self.array, draw)))
