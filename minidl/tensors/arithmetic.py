"""The operators + − · / // % and powers, elementwise with broadcasting, and the functions of two tensors that are like them."""

import numpy as np

from .. import ops
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
        return binary(ops.Add(), self, other)

    def __radd__(self, other):
        return binary(ops.Add(), other, self)

    def add(self, other, *, alpha=1):
        """self + alpha·other"""
        return self + _times("add", other, alpha)

    def __sub__(self, other):
        return binary(ops.Sub(), self, other)

    def __rsub__(self, other):
        return binary(ops.Sub(), other, self)

    def sub(self, other, *, alpha=1):
        """self − alpha·other"""
        return self - _times("sub", other, alpha)

    subtract = sub

    def __mul__(self, other):
        return binary(ops.Mul(), self, other)

    def __rmul__(self, other):
        return binary(ops.Mul(), other, self)

    mul = multiply = __mul__

    def __truediv__(self, other):
        return _divide(self, other)

    def __rtruediv__(self, other):
        return _divide(other, self)

    def div(self, other, *, rounding_mode=None):
        """self / other; rounding_mode "floor" or "trunc" rounds the quotient."""
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

    def __floordiv__(self, other):
        return _floor_divide(self, other)

    def __rfloordiv__(self, other):
        return _floor_divide(other, self)

    floor_divide = __floordiv__

    def __mod__(self, other):
        return _remainder(self, other)

    def __rmod__(self, other):
        return _remainder(other, self)

    remainder = __mod__

    def __pow__(self, exponent):
        if type(exponent) in (int, float) and exponent == 2 and self.array.dtype.kind == "f":
            return self.square()
        return _power(self, exponent)

    def __rpow__(self, base):
        return _power(base, self)

    pow = __pow__

    def __neg__(self):
        return apply(ops.Neg(), self)

    neg = negative = __neg__

    def __pos__(self):
        return self

    def maximum(self, other):
        """The larger of each pair; a tie shares the gradient half and half."""
        return binary(ops.Maximum(), self, other)

    def minimum(self, other):
        """The smaller of each pair; a tie shares the gradient half and half."""
        return binary(ops.Minimum(), self, other)

    def xlogy(self, other):
        """self·ln(other), and 0 where self is 0."""
        return binary(ops.XLogY(), floating(self), other)

    def igamma(self, other):
        """P(a, x) for a = self and x = other: the chance that a gamma variable of shape a is at most x."""
        return binary(ops.GammaInc(), self, other)

    def lerp(self, end, weight):
        """self + weight·(end − self)"""
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
    return (
        apply(ops.PiecewiseConstant(lambda x: result), a)
        if isinstance(a, TensorBase) and result.shape == a.shape
        else wrap(result)
    )


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
    whole, arrays = _whole(a, b)
    if whole and not np.all(arrays[1]):  # there is no integer to stand for infinity
        raise ZeroDivisionError(f"{name}: an integer tensor is divided by 0")
