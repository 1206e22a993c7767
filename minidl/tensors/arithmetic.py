"""The operators + − · / // % and powers, elementwise with broadcasting, and the functions of two tensors that are like them."""

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from . import dtypes
from .record import TensorBase, apply, binary, check_broadcast, floating, operand, promote, wrap


def _times(name, other, alpha):
    if not isinstance(alpha, (int, float, np.integer, np.floating, TensorBase)):
        raise TypeError(f"{name}: alpha must be a number, got {type(alpha).__name__}")
    alpha = alpha.item() if isinstance(alpha, np.generic) else alpha  # NumPy's would warn where the product is infinite
    return other if isinstance(alpha, int) and alpha == 1 else operand(name, other) * alpha


class Arithmetic:
    """Elementwise with broadcasting; the operands come to PyTorch's common dtype first."""

    def __add__(self, other):
        """self + other."""
        return binary(ops.Add(), self, other)

    def __radd__(self, other):
        """other + self."""
        return binary(ops.Add(), other, self)

    def add(self, other, *, alpha=1):
        """self + alpha·other.

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0]).add(10, alpha=3)
        tensor([31., 32.])
        """
        return self + _times("add", other, alpha)

    def __sub__(self, other):
        """self − other."""
        return binary(ops.Sub(), self, other)

    def __rsub__(self, other):
        """other − self."""
        return binary(ops.Sub(), other, self)

    def sub(self, other, *, alpha=1):
        """self − alpha·other.

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0]).sub(minidl.tensor([1.0, 1.0]), alpha=2)
        tensor([-1.,  0.])
        """
        return self - _times("sub", other, alpha)

    subtract = sub

    def __mul__(self, other):
        """self · other, element by element. The matrix product is `@`.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]) * minidl.tensor([10, 100])
        tensor([[ 10, 200],
                [ 30, 400]])
        """
        return binary(ops.Mul(), self, other)

    def __rmul__(self, other):
        """other · self."""
        return binary(ops.Mul(), other, self)

    mul = multiply = __mul__

    def __truediv__(self, other):
        """self/other; of integers a float32."""
        return _divide(self, other)

    def __rtruediv__(self, other):
        """other/self."""
        return _divide(other, self)

    def div(self, other, *, rounding_mode=None):
        """self/other; of integers a float32. rounding_mode "floor" or "trunc" rounds the quotient.

        >>> import minidl
        >>> x = minidl.tensor([7, -7])
        >>> x.div(2)
        tensor([ 3.5000, -3.5000])
        >>> x.div(2, rounding_mode="floor"), x.div(2, rounding_mode="trunc")
        (tensor([ 3, -4]), tensor([ 3, -3]))
        """
        if rounding_mode is None:
            return self / other
        if not isinstance(rounding_mode, str):
            raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
        if rounding_mode == "floor":
            return self // other
        if rounding_mode == "trunc":
            return (self / other).trunc().to(dtypes.result_type(*(getattr(x, "array", x) for x in promote("div", self, other))))
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")

    divide = div

    __rdiv__ = __rtruediv__

    def __floordiv__(self, other):
        """⌊self/other⌋: the quotient rounded down. Its gradient is 0. An integer divided by 0 raises ZeroDivisionError.

        >>> import minidl
        >>> minidl.tensor([7, -7]) // 2
        tensor([ 3, -4])
        """
        return _floor_divide(self, other)

    def __rfloordiv__(self, other):
        """⌊other/self⌋."""
        return _floor_divide(other, self)

    floor_divide = __floordiv__

    def __mod__(self, other):
        """self − other·⌊self/other⌋: the remainder, with the sign of other. An integer divided by 0 raises ZeroDivisionError.

        >>> import minidl
        >>> minidl.tensor([7, -7]) % 3
        tensor([1, 2])
        """
        return _remainder(self, other)

    def __rmod__(self, other):
        """other − self·⌊other/self⌋."""
        return _remainder(other, self)

    remainder = __mod__

    def __pow__(self, exponent):
        """self to the power of exponent, a number or a tensor.

        Integers stay integers: a negative exponent raises ValueError.

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0, 3.0]) ** 2
        tensor([1., 4., 9.])
        >>> minidl.tensor([4.0, 9.0]).pow(0.5)
        tensor([2., 3.])
        """
        if type(exponent) in (int, float) and exponent == 2 and self.array.dtype.kind == "f":
            return self.square()
        return _power(self, exponent)

    def __rpow__(self, base):
        """base to the power of self."""
        return _power(base, self)

    pow = __pow__

    def __neg__(self):
        """−x.

        >>> import minidl
        >>> -minidl.tensor([1.0, -2.0])
        tensor([-1.,  2.])
        """
        return apply(ops.Neg(), self)

    neg = negative = __neg__

    def __pos__(self):
        """The tensor itself."""
        return self

    def maximum(self, other):
        """The larger of each pair. Where both are equal, each gets half of the gradient.

        >>> import minidl
        >>> minidl.tensor([1, 5]).maximum(minidl.tensor([3, 2]))
        tensor([3, 5])
        """
        return binary(ops.Maximum(), self, other)

    def minimum(self, other):
        """The smaller of each pair. Where both are equal, each gets half of the gradient.

        >>> import minidl
        >>> minidl.tensor([1, 5]).minimum(minidl.tensor([3, 2]))
        tensor([1, 2])
        """
        return binary(ops.Minimum(), self, other)

    def xlogy(self, other):
        """self·ln(other), and 0 where self is 0, also for other = 0.

        >>> import minidl
        >>> minidl.tensor([0.0, 0.5]).xlogy(minidl.tensor([0.0, 0.5]))
        tensor([ 0.0000, -0.3466])
        """
        return binary(ops.XLogY(), floating(self), other)

    def igamma(self, other):
        """P(a, x) = (1/Γ(a)) ∫₀ˣ tᵃ⁻¹e⁻ᵗ dt for a = self and x = other.

        It is the chance that a gamma variable of shape a is at most x.

        >>> import minidl
        >>> minidl.tensor([1.0]).igamma(minidl.tensor([2.0])), 1 - minidl.tensor(-2.0).exp()
        (tensor([0.8647]), tensor(0.8647))
        """
        return binary(ops.GammaInc(), self, other)

    def lerp(self, end, weight):
        """self + weight·(end − self): self for weight 0, end for weight 1.

        >>> import minidl
        >>> minidl.tensor([0.0, 10.0]).lerp(minidl.tensor([4.0, 20.0]), 0.25)
        tensor([ 1.0000, 12.5000])
        """
        return self + weight * (end - self)


def _divide(a, b):
    op = ops.Div()
    a, b = promote(op.name, a, b)
    a, b = (floating(x) if isinstance(x, TensorBase) else x for x in (a, b))
    return binary(op, a, b)


def _floor_divide(a, b):
    a, b = promote("floor_divide", a, b)
    check_broadcast("floor_divide", a, b)
    _check_divisor("floor_divide", a, b)
    with np.errstate(all="ignore"):
        result = np.asarray(np.floor_divide(*_whole(a, b)[1]))
    # Constant between its jumps: in the graph it passes back zeros.
    wanting = [x for x in (a, b) if isinstance(x, TensorBase) and x.node is not None]
    if not wanting:
        return wrap(result)
    source = wanting[0] if len(wanting) == 1 else wanting[0] + wanting[1]
    return apply(ops.PiecewiseConstant(lambda x: result), source.expand(result.shape))


def _remainder(a, b):
    a, b = promote("remainder", a, b)
    _check_divisor("remainder", a, b)
    return binary(ops.Remainder(), a, b)


def _power(a, b):
    a, b = promote("pow", a, b)
    whole, arrays = _whole(a, b)
    if whole and np.any(np.less(arrays[1], 0)):
        raise ValueError("pow: integers to a negative power are not integers; use .float() first")
    if whole and all(np.asarray(x).dtype.kind == "b" for x in arrays):
        raise TypeError("pow: booleans have no powers; use .long() first")
    return binary(ops.Pow(), a, b)


def _whole(a, b):
    """Whether both operands are whole numbers, and the operands as arrays."""
    arrays = [x.array if isinstance(x, TensorBase) else x for x in (a, b)]
    return all(np.asarray(x).dtype.kind in "iub" for x in arrays), arrays


def _check_divisor(name, a, b):
    if _whole(a, b)[0]:
        _check_not_zero(name, b)


@repeatable
def _check_not_zero(name, b):
    if not np.all(b.array if isinstance(b, TensorBase) else b):  # there is no integer to stand for infinity
        raise ZeroDivisionError(f"{name}: an integer tensor is divided by 0")
