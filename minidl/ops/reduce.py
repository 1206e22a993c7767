"""Reductions: sums, means, extremes. Axes are a sorted tuple of distinct integers, 0 or more; backward restores them."""

import functools

import numpy as np

from .. import kernels
from .base import Op
from .shape import along_axis

__all__ = [
    "Amax",
    "Amin",
    "CumSum",
    "LogSumExp",
    "MaxAlongAxis",
    "Mean",
    "Median",
    "MinAlongAxis",
    "Norm",
    "Prod",
    "Reduction",
    "Std",
    "Sum",
    "TakeAlongAxis",
    "Var",
]


class Reduction(Op):
    """y = something of x over the given axes, which are dropped, or kept with size 1."""

    def __init__(self, axes, keepdim=False):
        self.axes, self.keepdim = axes, keepdim

    def restore(self, y):
        """y (or dy) with the reduced axes back as size 1, so that it broadcasts against x."""
        if self.keepdim or not y.ndim:
            return y
        return y.reshape(_kept(self.needs[0].shape, self.axes))

    def spread(self, dy):
        """dy repeated over the reduced axes: an array of x's shape."""
        dx = np.empty(self.needs[0].shape, dy.dtype)
        dx[...] = self.restore(dy)
        return dx


class Sum(Reduction):
    """y = Σ x
    ∂y/∂x = 1 for every x:  dx = dy, repeated over the axes
    """

    warns = False
    linear = True

    def forward(self, x):
        return kernels.sum_over(x, self.axes, self.keepdim)

    def backward(self, dy):
        return self.spread(dy)


class Mean(Reduction):
    """y = 1/n Σ x
    dx = dy/n, repeated over the axes
    """

    warns = False
    linear = True

    def forward(self, x):
        return kernels.sum_over(x, self.axes, self.keepdim, _count(x.shape, self.axes))

    def backward(self, dy):
        return self.spread(dy / dy.dtype.type(_count(self.needs[0].shape, self.axes)))


class Var(Reduction):
    """y = 1/(n − c) Σ (x − μ)²,  c = 1 for the unbiased estimate
    μ depends on x, too, but its term has the factor Σ(x − μ) = 0:  dx = dy·2(x − μ)/(n − c)
    """

    warns = False

    def __init__(self, axes, keepdim, correction):
        super().__init__(axes, keepdim)
        self.correction = correction

    def forward(self, x):
        return self.variance(x)

    def variance(self, x, root=False):
        """y or √y; what is kept as `scaled` is (x − μ)/(n − c)."""
        free = max(_count(x.shape, self.axes) - self.correction, 0)
        self.x, (y, self.scaled) = x, kernels.variance(x, self.axes, free, root)
        return y.reshape(_kept(x.shape, self.axes)) if self.keepdim else y

    def backward(self, dy):
        return 2 * self.restore(dy) * self.scaled


class Std(Var):
    """y = √(1/(n − c) Σ (x − μ)²)
    dy/dvar = 1/2y:  dx = dy·(x − μ)/((n − c)·y), and 0 where y = 0
    """

    def forward(self, x):
        self.y = self.variance(x, root=True)
        return self.y

    def backward(self, dy):
        y = np.where(self.y == 0, self.y.dtype.type(1), self.y)
        return self.restore(dy) * (self.scaled / self.restore(y))  # 1/y alone may be infinite


class Prod(Reduction):
    """y = Π x
    the derivative is the product of the other factors:  dx_i = dy·Π_{j≠i} x_j
    The products before and after i are used, not y/x_i, so this holds for zeros, too.
    """

    def forward(self, x):
        self.x = x
        return x.prod(axis=self.axes, keepdims=self.keepdim)

    def backward(self, dy):
        x, axes = self.x, self.axes
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        rows = np.transpose(x, kept + list(axes)).reshape([x.shape[axis] for axis in kept] + [_count(x.shape, axes)])
        ones = np.ones_like(rows[..., :1])
        before = np.cumprod(np.concatenate([ones, rows[..., :-1]], -1), -1) if rows.size else rows
        after = np.cumprod(np.concatenate([ones, rows[..., :0:-1]], -1), -1)[..., ::-1] if rows.size else rows
        others = (before * after).reshape([x.shape[axis] for axis in kept + list(axes)])
        return self.restore(dy) * np.transpose(others, np.argsort(kept + list(axes)))


class Amax(Reduction):
    """y = max x
    dy goes to the largest x; if several are largest, each gets an equal share, as in PyTorch's amax. NaN counts as largest.
    """

    warns = False

    def forward(self, x):
        y = self.pick(x)
        self.x, self.y = x, y.reshape(_kept(x.shape, self.axes)) if self.keepdim else y
        return self.y

    def pick(self, x):
        return kernels.amax(x, self.axes)

    def backward(self, dy):
        return self.restore(dy) * shares(self.x, self.restore(self.y), self.axes)


def shares(x, y, axes):
    """What part of dy goes to each x: 1 where x is y, the extreme over the axes, an equal part to each of several; else 0."""
    chosen = x == y
    if np.count_nonzero(y != y):
        chosen |= x != x
    share = chosen.astype(x.dtype)
    if np.count_nonzero(chosen) != y.size:  # equal ones
        share /= kernels.sum_over(share, axes, True)
    return share


class Amin(Amax):
    """y = min x
    dy goes to the smallest x; equal elements and NaN as in Amax.
    """

    def pick(self, x):
        return kernels.amin(x, self.axes)


class Median(Amax):
    """y = the element in the middle of x in order; of two in the middle the smaller
    the elements that are y share dy equally, as in PyTorch; if x has NaN, y is NaN
    """

    def pick(self, x):
        axes = self.axes
        rows = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(*_left(x.shape, axes), _count(x.shape, axes))
        middle = (rows.shape[-1] - 1) // 2
        y = np.partition(rows, middle, -1)[..., middle]
        return np.where(np.isnan(rows).any(-1), x.dtype.type(np.nan), y) if x.dtype.kind == "f" else y


class TakeAlongAxis(Op):
    """y = x at one index per row along an axis, which is dropped or kept with size 1 (max, min, median with dim)
    dy goes to the element that was picked
    """

    warns = False
    linear = True

    def __init__(self, index, axis, keepdim):
        self.index, self.axis, self.keepdim = index, axis, keepdim  # index has size 1 along the axis

    def forward(self, x):
        y = x[along_axis(x.shape, self.axis, self.index)]
        return y if self.keepdim else y.squeeze(self.axis)

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        dx[along_axis(dx.shape, self.axis, self.index)] = dy if self.keepdim else np.expand_dims(dy, self.axis)
        return dx


class MaxAlongAxis(TakeAlongAxis):
    """y = max x along an axis, which is dropped or kept with size 1: the first of equal ones; NaN counts as largest
    dy goes to the element that was picked
    """

    linear = False  # where it is picked depends on x

    def __init__(self, axis, keepdim):
        self.axis, self.keepdim = axis, keepdim

    def forward(self, x):
        return self.keep(x, *kernels.max_along(x, self.axis))

    def keep(self, x, y, index):
        kept = _kept(x.shape, (self.axis,))
        self.index = index.reshape(kept)
        return y.reshape(kept) if self.keepdim else y


class MinAlongAxis(MaxAlongAxis):
    """y = min x along an axis, as MaxAlongAxis; NaN counts as smallest
    dy goes to the element that was picked
    """

    def forward(self, x):
        return self.keep(x, *kernels.min_along(x, self.axis))


class CumSum(Op):
    """y_i = Σ_{j≤i} x_j
    x_j is a term of every y_i with i ≥ j:  dx_j = Σ_{i≥j} dy_i
    """

    linear = True

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        return kernels.running_sums(x, self.axis)

    def backward(self, dy):
        return kernels.running_sums(dy, self.axis, backwards=True)


class LogSumExp(Reduction):
    """y = ln Σ eˣ, computed as max + ln Σ e^(x − max)
    the derivative is the softmax:  dx = dy·e^(x − y)
    """

    def forward(self, x):
        top = x.max(axis=self.axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, x.dtype.type(0))  # −inf − −inf is NaN: an all −inf row gives −inf
        y = top + np.log(kernels.sum_over(kernels.exp(x - top), self.axes, True))
        self.x, self.y = x, y
        return y if self.keepdim else y.reshape(_left(x.shape, self.axes))

    def backward(self, dy):
        finite = np.where(np.isneginf(self.y), self.y.dtype.type(0), self.y)
        return self.restore(dy) * kernels.exp(self.x - finite)


class Norm(Reduction):
    """y = (Σ |x|ᵖ)^(1/p)
    dx = dy·sign(x)·(|x|/y)^(p−1), and 0 where y = 0;  p = ±∞: the largest (smallest) |x| share dy equally
    p = 0: y counts what is not 0, and dx = 0
    """

    constants = ("share",)

    def __init__(self, axes, keepdim, p):
        super().__init__(axes, keepdim)
        self.p = float(p)  # a NumPy number would widen float32

    def forward(self, x):
        if self.p == 2 and x.dtype == np.float32:  # whose squares have room in float64
            y = np.sqrt(kernels.total(x, self.axes, squares=True)).astype(x.dtype)
            self.x, self.y = x, y.reshape(_kept(x.shape, self.axes))
            return self.y if self.keepdim else y
        p, size = self.p, np.abs(x)
        if p <= 0:
            self.x, self.y = x, np.asarray(self._of_small_power(size, x.dtype))
            return self.y if self.keepdim else self.y.reshape(_left(x.shape, self.axes))
        # Scaled by the largest, so that a large x does not overflow and a small one does not vanish when raised to p.
        top = size.max(axis=self.axes, keepdims=True, initial=0)
        if p == np.inf:
            chosen = size == top
            self.share = chosen / chosen.sum(axis=self.axes, keepdims=True).astype(x.dtype)
        else:
            scale = np.where((top > 0) & np.isfinite(top), top, x.dtype.type(1))
            top = scale * kernels.sum_over((size / scale) ** p, self.axes, True) ** (1 / p)
        self.x, self.y = x, top
        return top if self.keepdim else top.reshape(_left(x.shape, self.axes))

    def _of_small_power(self, size, dtype):
        """p = 0: the number of elements that are not 0. p < 0: the smallest |x| dominates, and one that is 0 makes y 0."""
        p = self.p
        if p == 0:
            return np.count_nonzero(size, axis=self.axes, keepdims=True).astype(dtype)
        least = size.min(axis=self.axes, keepdims=True, initial=np.inf)
        if p == -np.inf:
            chosen = size == least
            self.share = chosen / np.maximum(chosen.sum(axis=self.axes, keepdims=True), 1).astype(dtype)
            return least
        scale = np.where((least > 0) & np.isfinite(least), least, dtype.type(1))
        return np.asarray(scale * kernels.sum_over((size / scale) ** p, self.axes, True) ** (1 / p), dtype)

    def backward(self, dy):
        x, y, p = self.x, self.y, self.p
        if p == 0:
            return np.zeros(x.shape, dy.dtype)
        if p == 2:
            return self.restore(dy) * x / np.where(y == 0, y.dtype.type(1), y)
        if abs(p) == np.inf:
            return self.restore(dy) * np.sign(x) * self.share
        slope = np.where((x == 0) | (y == 0), x.dtype.type(0), (np.abs(x) / y) ** (p - 1))
        return self.restore(dy) * np.sign(x) * slope


@functools.lru_cache(1024)
def _kept(shape, axes):
    """The shape with the size 1 on these axes."""
    return tuple([1 if axis in axes else size for axis, size in enumerate(shape)])


@functools.lru_cache(1024)
def _left(shape, axes):
    """The shape without these axes."""
    return tuple([size for axis, size in enumerate(shape) if axis not in axes])


def _count(shape, axes):
    n = 1
    for axis in axes:
        n *= shape[axis]
    return n
