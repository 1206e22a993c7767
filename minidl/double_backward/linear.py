"""The gradient of a linear operation, as an operation."""

from ..graph.nodes import next_serial
from ..ops import Op


class Place:
    """In the place of a node in `needs`: a backward reads only its shape."""

    def __init__(self, shape):
        self.shape = shape


class Adjoint(Op):
    """dx = Aᵀ dy: the backward of a linear operation y = A x, as an operation; it is linear in dy
    its matrix is Aᵀ, so its backward multiplies by (Aᵀ)ᵀ = A:  d(dy) = A d(dx), which is the forward of y = A x
    """

    linear = True

    def __init__(self, op, shape=None):
        self.op = _copy(op)  # a copy, because the walk empties op when it releases it
        self.op.needs = [Place(op.needs[0].shape if shape is None else shape)]

    def forward(self, dy):
        return self.op.backward(dy)

    def backward(self, ddx):
        return _copy(self.op).forward(ddx)


def _copy(op):
    """A shallow copy, in a third of the time that copy.copy takes."""
    twin = object.__new__(type(op))
    twin.__dict__ = dict(vars(op))
    return twin


class Unknown(Op):
    """The node of a saved array that is neither an input nor the output: how it depends on the inputs is not known."""

    def __init__(self, op, name, shape):
        self.needs, self.shape, self.serial = op.needs, shape, next_serial()
        self.message = (
            f"its backward reads self.{name}, which is neither an input of forward nor its output self.y, so that the slope "
            "of that is not known; save inputs or the output, or list it in `constants` if it does not move with the inputs"
        )

    def backward(self, dy):
        raise NotImplementedError(self.message)


class Unreadable:
    """In the place of a saved attribute that is neither a number nor an array: to read from it raises."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        raise NotImplementedError(
            f"its backward reads self.{self._name}, into which one cannot look for what came from the inputs; save arrays "
            "under the names of the inputs, or list it in `constants` if it does not move with them"
        )

    def __call__(self, *args, **kwargs):
        return self.call


class Opaque(Op):
    """y = f(x…), where nobody knows the slope of f."""

    def __init__(self, module, name):
        self.module, self.function = module, name

    def forward(self, *arrays):
        return getattr(self.module, self.function)(*arrays)

    def backward(self, dy):
        raise NotImplementedError(f"the slope of {self.function} is not known")
