"""Arithmetic between two operands that broadcast, as NumPy's does.

An operand may be a Python number instead of an array; it then needs no gradient. The adjoint of broadcasting is summing: each
gradient is summed back to its operand's shape by `unbroadcast`.
"""

import numpy as np

from .. import kernels
from .base import Op, unbroadcast

__all__ = [
    "Add",
    "Atan2",
    "Cast",
    "Clone",
    "Div",
    "Fmod",
    "LogAddExp",
    "Maximum",
    "Minimum",
    "Mul",
    "Neg",
    "Pow",
    "Remainder",
    "Sub",
    "Where",
    "XLogY",
]


class Add(Op):
    """y = a + b
    y changes by as much as a or b changes, ∂y/∂a = ∂y/∂b = 1:  da = dy,  db = dy
    """

    def forward(self, a, b):
        return a + b

    def backward(self, dy):
        a, b = self.needs
        da = unbroadcast(dy, a.shape) if a else None
        db = unbroadcast(dy, b.shape) if b else None
        return da, db


class Sub(Op):
    """y = a − b
    ∂y/∂a = 1 and ∂y/∂b = −1:  da = dy,  db = −dy
    """

    def forward(self, a, b):
        return a - b

    def backward(self, dy):
        a, b = self.needs
        da = unbroadcast(dy, a.shape) if a else None
        db = unbroadcast(-dy, b.shape) if b else None
        return da, db


class Mul(Op):
    """y = a·b
    ∂y/∂a = b and ∂y/∂b = a:  da = dy·b,  db = dy·a
    """

    def forward(self, a, b):
        self.a = a if self.needs[1] else None
        self.b = b if self.needs[0] else None
        return a * b

    def backward(self, dy):
        a, b = self.needs
        da = unbroadcast(dy * self.b, a.shape) if a else None
        db = unbroadcast(dy * self.a, b.shape) if b else None
        return da, db


class Div(Op):
    """y = a/b
    ∂y/∂a = 1/b:             da = dy/b
    ∂y/∂b = −a/b² = −y/b:    db = −dy·y/b
    """

    def forward(self, a, b):
        self.a, self.b = a if self.needs[1] else None, b
        return a / b

    def backward(self, dy):
        a, b = self.needs
        da = unbroadcast(dy / self.b, a.shape) if a else None
        db = unbroadcast(-dy * (self.a / self.b) / self.b, b.shape) if b else None
        return da, db


class Neg(Op):
    """y = −x
    dx = −dy
    """

    linear = True

    def forward(self, x):
        return -x

    def backward(self, dy):
        return -dy


POWERS = {
    0.5: np.sqrt,
    2: np.square,
    3: lambda a: np.square(a) * a,
    -0.5: lambda a: 1 / np.sqrt(a),
    -1: lambda a: 1 / a,
}


def _raised(a, b):
    """aᵇ. Of a few numbers b, by products and roots as in PyTorch: NumPy's own takes up to sixty times as long."""
    power = POWERS.get(b) if type(b) in (int, float) and a.dtype.kind == "f" else None
    return np.power(a, b) if power is None else power(a)


class Pow(Op):
    """y = aᵇ
    the power rule:                          da = dy·b·aᵇ⁻¹   (0 where b = 0, also at a = 0)
    aᵇ = exp(b ln a) grows at the rate ln a:  db = dy·y·ln a    (0 where a = 0 and b ≥ 0)
    """

    def forward(self, a, b):
        self.a, self.b = a, b
        y = _raised(a, b)
        self.y = y if self.needs[1] else None
        return y

    def backward(self, dy):
        a, b = self.needs
        if a:
            slope = self.b * _raised(self.a, self.b - 1)
            if type(self.b) not in (int, float) or self.b == 0:
                slope = np.where(self.b == 0, dy.dtype.type(0), slope)
            da = unbroadcast(dy * slope, a.shape)
        else:
            da = None
        if b:
            flat = (self.a == 0) & (self.b >= 0)
            db = unbroadcast(dy * np.where(flat, dy.dtype.type(0), self.y * np.log(self.a, dtype=dy.dtype)), b.shape)
        else:
            db = None
        return da, db


class Remainder(Op):
    """y = a − b·⌊a/b⌋, with the sign of b, as Python's % has it
    between the jumps ⌊a/b⌋ is constant:  da = dy,  db = −dy·⌊a/b⌋
    """

    constants = ("floor",)

    def forward(self, a, b):
        self.floor = np.floor_divide(a, b) if self.needs[1] else None
        return np.remainder(a, b)

    def backward(self, dy):
        a, b = self.needs
        da = unbroadcast(dy, a.shape) if a else None
        db = unbroadcast(-dy * self.floor, b.shape) if b else None
        return da, db


class Fmod(Remainder):
    """y = a − b·t, where t = a/b rounded towards 0 (the sign of y is a's)
    between its jumps t is constant:  da = dy,  db = −dy·t   (t from (a − y)/b: a/b may round to the next whole number)
    """

    constants = ("floor",)

    def forward(self, a, b):
        y = np.fmod(a, b)
        self.floor = np.rint(np.divide(a - y, b)) if self.needs[1] else None
        return y


class Atan2(Op):
    """y = the angle of the point (b, a) from the first axis, in (−π, π]
    da = dy·b/(a² + b²),  db = −dy·a/(a² + b²),  and 0 at the origin, where it has no direction
    """

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.arctan2(a, b)

    def backward(self, dy):
        a, b = self.needs
        square = self.a * self.a + self.b * self.b
        origin = np.equal(square, 0)
        slope = np.where(origin, dy.dtype.type(0), dy / np.where(origin, dy.dtype.type(1), square))
        da = unbroadcast(slope * self.b, a.shape) if a else None
        return da, unbroadcast(-slope * self.a, b.shape) if b else None


class LogAddExp(Op):
    """y = ln(eᵃ + eᵇ)
    the two slopes are eᵃ/(eᵃ + eᵇ) and eᵇ/(eᵃ + eᵇ):  da = dy·e^(a − y),  db = dy·e^(b − y)
    written as 1/(1 + e^(b − a)) and 1/(1 + e^(a − b)), which keep their digits where y is large.
    """

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.logaddexp(a, b)

    def backward(self, dy):
        a, b = self.needs
        da = unbroadcast(dy / (1 + kernels.exp(self.b - self.a)), a.shape) if a else None
        return da, unbroadcast(dy / (1 + kernels.exp(self.a - self.b)), b.shape) if b else None


class Maximum(Op):
    """y = max(a, b)
    dy goes to the larger operand, half to each if both are equal, as in PyTorch. If one is NaN, y is NaN, and dy goes to it.
    """

    warns = False
    wins = np.greater_equal

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.maximum(a, b)

    def backward(self, dy):
        a, b = self.needs
        share = shares(self.wins, self.a, self.b, dy.dtype)
        da = unbroadcast(dy * share, a.shape) if a else None
        db = unbroadcast(dy * (1 - share), b.shape) if b else None
        return da, db


class Minimum(Maximum):
    """y = min(a, b)
    dy goes to the smaller operand; equal operands and NaN as in Maximum.
    """

    wins = np.less_equal

    def forward(self, a, b):
        self.a, self.b = a, b
        return np.minimum(a, b)


def shares(wins, a, b, dtype):
    """a's share of dy: 1 where a wins or is NaN, 0 where b does or is, ½ where both do."""
    from_a, from_b = wins(a, b), wins(b, a)
    either = from_a | from_b
    if np.count_nonzero(either) != np.size(either):
        from_a, from_b = from_a | np.not_equal(a, a), from_b | np.not_equal(b, b)
    share = np.subtract(from_a, from_b, dtype=dtype)  # 1, 0 or −1
    share += 1
    share *= 0.5
    return share


class Where(Op):
    """y = a where the condition holds, else b
    The operand that was not chosen gets a gradient of exactly 0, even if it is NaN or infinite.
    """

    warns = False

    def __init__(self, condition):
        self.condition = condition

    def forward(self, a, b):
        return np.where(self.condition, a, b)

    def backward(self, dy):
        a, b = self.needs
        zero = dy.dtype.type(0)
        da = unbroadcast(np.where(self.condition, dy, zero), a.shape) if a else None
        db = unbroadcast(np.where(self.condition, zero, dy), b.shape) if b else None
        return da, db


class XLogY(Op):
    """y = a·ln b, and 0 where a = 0, whatever b is (0 log 0 = 0)
    da = dy·ln b   (0 where a = 0 and b ≤ 0: there y is taken as the constant 0)
    db = dy·a/b    (the same)
    """

    def forward(self, a, b):
        self.a, self.b = a, b
        y = a * np.log(b, dtype=np.result_type(a, b))
        return np.where(np.equal(a, 0) & ~np.isnan(b), y.dtype.type(0), y)

    def backward(self, dy):
        a, b = self.needs
        da = db = None
        zero, nothing = dy.dtype.type(0), np.equal(self.a, 0) & np.less_equal(self.b, 0)
        if a:
            slope = np.log(self.b, dtype=dy.dtype)
            da = unbroadcast(dy * np.where(nothing, zero, slope), a.shape)
        if b:
            db = unbroadcast(dy * np.where(nothing, zero, self.a / self.b), b.shape)
        return da, db


class Cast(Op):
    """y = x in another floating type
    dx = dy, in x's type
    """

    linear = True

    def __init__(self, dtype):
        self.dtype = dtype

    def forward(self, x):
        self.source = x.dtype
        return x.astype(self.dtype)

    def backward(self, dy):
        return dy.astype(self.source)


class Clone(Op):
    """y = a copy of x
    dx = dy
    """

    linear = True

    def forward(self, x):
        return x.copy()

    def backward(self, dy):
        return dy
