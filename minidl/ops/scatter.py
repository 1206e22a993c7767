"""Writing numbers at the places of an index, and windows that share memory with their input."""

import numpy as np

from .. import kernels
from .base import Op
from .shape import _add_at

__all__ = ["AsStrided", "Embedding", "ScatterAdd", "ScatterExtreme", "ScatterProd", "Windows"]


class Embedding(Op):
    """y[i] = w[index[i]]: rows of a table, in the order of an index, which the kernel checks
    dw = 0, plus dy[i] at row index[i]; a row that was taken twice gets the sum
    """

    warns = False
    linear = True
    constants = ("numbers",)
    alarm = "numbers"  # numbers[0] is the place of an index that is out of range

    def __init__(self, index):
        self.index = index

    def forward(self, w):
        y, self.numbers = kernels.take_rows(w, self.index)
        return y

    def backward(self, dy):
        return kernels.sum_rows(dy, self.index, self.needs[0].shape[0])


class ScatterAdd(Op):
    """y = zeros of the given shape with x added at an index of x's shape: y[index[i]] += x[i], places may repeat
    dx = dy[index]
    """

    linear = True

    def __init__(self, index, shape):
        self.index, self.y_shape = index, shape  # the index: a tuple of arrays and slices, as NumPy takes it

    def forward(self, x):
        y = np.zeros(self.y_shape, x.dtype)
        _add_at(y, self.index, x)
        return y

    def backward(self, dy):
        return dy[self.index]


class ScatterExtreme(Op):
    """y = x with y[index[i]] = the largest (or smallest) of v[i] and, if x counts, of x there
    the elements that equal y share dy equally, as in PyTorch;  the others get 0
    """

    constants = ("x_share", "v_share")

    def __init__(self, index, largest, counts):
        self.index, self.ufunc, self.counts = index, np.maximum if largest else np.minimum, counts

    def forward(self, x, v):
        y = x.copy()
        if not self.counts:
            y[self.index] = _least(x.dtype) if self.ufunc is np.maximum else _greatest(x.dtype)
        self.ufunc.at(y, self.index, v)
        if not self.needs or not any(self.needs):
            return y
        touched = np.zeros(x.shape, bool)
        touched[self.index] = True
        chosen = (y == x) if self.counts else ~touched
        from_v = v == y[self.index]
        number = chosen.astype(x.dtype)
        _add_at(number, self.index, from_v.astype(x.dtype))
        number = np.maximum(number, 1)
        self.x_share, self.v_share = chosen / number, from_v / number[self.index]
        return y

    def backward(self, dy):
        dx, dv = self.needs
        return dy * self.x_share if dx else None, dy[self.index] * self.v_share if dv else None


def _least(dtype):
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


def _greatest(dtype):
    return np.inf if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max


class AsStrided(Op):
    """y[i, j, …] = x's memory at offset + i·s₀ + j·s₁ + …, for contiguous x: a view; places may repeat
    dx = 0 with dy added where it was taken from
    """

    linear = True

    def __init__(self, where):
        self.where = where  # sizes, strides and offset, in elements

    def places(self):
        sizes, strides, offset = self.where
        steps = np.ix_(*(np.arange(n) * s for n, s in zip(sizes, strides, strict=True)))
        return np.asarray(sum(steps, np.asarray(offset)))

    def forward(self, x):
        sizes, strides, offset = self.where
        memory = np.ascontiguousarray(x).reshape(-1)
        y = np.lib.stride_tricks.as_strided(memory[offset:], sizes, [s * x.itemsize for s in strides])
        if len(np.unique(self.places())) < y.size:
            y.flags.writeable = False
        return y

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        np.add.at(dx.reshape(-1), self.places(), dy)
        return dx


class Windows(Op):
    """y[…, i, …, k] = x[…, i·step + k, …]: windows of a size along an axis, each as the last axis of y; a view
    dx = 0 with dy added where it was taken from; windows that overlap are added up
    """

    linear = True

    def __init__(self, where):
        self.axis, self.size, self.step = where

    def forward(self, x):
        windows = np.lib.stride_tricks.sliding_window_view(x, self.size, self.axis, writeable=self.step >= self.size)
        return windows[(slice(None),) * self.axis + (slice(None, None, self.step),)]

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        count = dy.shape[self.axis]
        for k in range(self.size):
            stretch = slice(k, k + (count - 1) * self.step + 1, self.step)
            dx[(slice(None),) * self.axis + (stretch,)] += dy[..., k]
        return dx


class ScatterProd(Op):
    """y = x with y[index[i]] multiplied by v[i], or by v alone if x does not count; places may repeat
    dx = dy times the v that meet there;  dv = dy times x there and the other v: by products without zeros, and their number,
    so that zeros are no exception
    """

    constants = ("touched",)

    def __init__(self, index, counts):
        self.index, self.counts = index, counts

    def forward(self, x, v):
        self.x, self.v = x, v
        self.touched = np.zeros(x.shape, bool)
        self.touched[self.index] = True
        y = x.copy()
        if not self.counts:
            y[self.touched] = 1
        np.multiply.at(y, self.index, v)
        return y

    def backward(self, dy):
        need_x, need_v = self.needs
        x, v = self.x, self.v
        x = x if self.counts else np.where(self.touched, x.dtype.type(1), x)
        product, zeros = x.copy(), np.zeros(x.shape, int)
        product[x == 0] = 1
        zeros[x == 0] = 1
        np.multiply.at(product, self.index, np.where(v == 0, v.dtype.type(1), v))
        np.add.at(zeros, self.index, v == 0)
        dx = dv = None
        if need_x:
            others = np.ones_like(x)
            np.multiply.at(others, self.index, v)
            dx = dy * others if self.counts else np.where(self.touched, dy.dtype.type(0), dy)
        if need_v:
            one, rest = np.where(v == 0, v.dtype.type(1), v), zeros[self.index] - (v == 0)
            dv = dy[self.index] * np.where(rest > 0, dy.dtype.type(0), product[self.index] / one)
        return dx, dv
