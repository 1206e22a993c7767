"""Cumulative products, and the like: y_i is computed from x_0 … x_i along an axis."""

import numpy as np

from .base import Op

__all__ = ["CumProd", "LogCumSumExp"]


class CumProd(Op):
    """y_i = Π_{j≤i} x_j
    dx_j = Σ_{i≥j} dy_i Π_{k≤i, k≠j} x_k = y_{j−1}·r_j,  r_j = dy_j + x_{j+1} r_{j+1}
    r is computed from the end, without a division, so that this holds for zeros, too.
    """

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        self.x = x
        return np.cumprod(x, self.axis)

    def backward(self, dy):
        before = products_before(self.x, self.axis)
        return before * from_the_end(dy, np.moveaxis(self.x, self.axis, 0)[1:], self.axis)


class LogCumSumExp(Op):
    """y_i = ln Σ_{j≤i} e^(x_j)
    dx_j = Σ_{i≥j} dy_i e^(x_j − y_i) = e^(x_j − y_j)·r_j,  r_j = dy_j + e^(y_j − y_{j+1}) r_{j+1}
    All these powers are at most 1, because y never decreases.
    """

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        self.x = x
        self.y = np.logaddexp.accumulate(x, self.axis)
        return self.y

    def backward(self, dy):
        y = np.moveaxis(self.y, self.axis, 0)
        shares = np.exp(_difference(self.x, self.y))
        return shares * from_the_end(dy, np.exp(_difference(y[:-1], y[1:])), self.axis)


def _difference(a, b):
    """a − b, and 0 where both are the same infinity."""
    same = np.equal(a, b)
    return np.where(same, a.dtype.type(0), np.where(same, a.dtype.type(0), a) - np.where(same, b.dtype.type(0), b))


def products_before(x, axis):
    """For each place along an axis, the product of the elements before it."""
    before = np.ones_like(x)
    into, source = np.moveaxis(before, axis, 0), np.moveaxis(x, axis, 0)
    np.cumprod(source[:-1], 0, out=into[1:])
    return before


def from_the_end(dy, factors, axis):
    """r with r_j = dy_j + f_j r_{j+1}; of the factors the axis comes first, and there is one fewer."""
    r = list(np.moveaxis(dy, axis, 0))
    for j in range(len(r) - 2, -1, -1):
        r[j] = r[j] + factors[j] * r[j + 1]
    return np.stack(r, axis) if r else dy
