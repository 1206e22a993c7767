"""Running products and extremes, differences along an axis, and statistics of a sample: medians, quantiles, histograms."""

import math
from collections import namedtuple

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from ..ops.base import normalize_axis
from . import dtypes
from .arguments import integer, numbers_of
from .record import TensorBase, apply, floating, number_array, wrap
from .reductions import nonempty_axes

MedianResult = namedtuple("median", "values indices")
KthvalueResult = namedtuple("kthvalue", "values indices")
CummaxResult = namedtuple("cummax", "values indices")
CumminResult = namedtuple("cummin", "values indices")

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


class Statistics:
    """What is computed of all elements, or along an axis."""

    def cumprod(self, dim, *, dtype=None):
        """y_i = Π_{j≤i} x_j along an axis; integers become int64.

        >>> import minidl
        >>> minidl.tensor([2.0, 3.0, 4.0]).cumprod(0)
        tensor([ 2.,  6., 24.])
        """
        axis = normalize_axis("cumprod", dim, self.ndim)
        x = self.to(dtype) if dtype is not None else self if self.array.dtype.kind == "f" else self.to(dtypes.int64)
        return apply(ops.CumProd(axis), x) if self.ndim else x.clone()

    def logcumsumexp(self, dim):
        """y_i = ln Σ_{j≤i} e^(x_j) along an axis.

        >>> import minidl
        >>> minidl.tensor([0.0, 0.0, 0.0]).logcumsumexp(0)
        tensor([0.0000, 0.6931, 1.0986])
        """
        axis = normalize_axis("logcumsumexp", dim, self.ndim)
        x = floating(self)
        return apply(ops.LogCumSumExp(axis), x) if self.ndim and self.numel() else x.clone()

    def cummax(self, dim):
        """(values, indices): the largest so far along an axis, of equal ones the last.

        >>> import minidl
        >>> minidl.tensor([1.0, 3.0, 2.0]).cummax(0).values
        tensor([1., 3., 3.])
        """
        return _running_extreme(self, CummaxResult, np.greater_equal, dim)

    def cummin(self, dim):
        """(values, indices): the smallest so far along an axis, of equal ones the last.

        >>> import minidl
        >>> values, indices = minidl.tensor([3, 1, 2]).cummin(0)
        >>> values, indices
        (tensor([3, 1, 1]), tensor([0, 1, 1]))
        """
        return _running_extreme(self, CumminResult, np.less_equal, dim)

    def diff(self, n=1, dim=-1, prepend=None, append=None):
        """x_{i+1} − x_i along an axis, n times over; booleans give whether neighbours differ.

        >>> import minidl
        >>> minidl.tensor([1, 4, 9]).diff()
        tensor([3, 5])
        """
        if not self.ndim:
            raise ValueError("diff: expected a tensor with one axis or more, got a 0-d tensor")
        axis, n = normalize_axis("diff", dim, self.ndim), integer("diff", n)
        if n < 0:
            raise ValueError(f"diff: n must be 0 or more, got {n}")
        if n == 0:
            return self.clone()
        x = self
        parts = [part for part in (prepend, self, append) if part is not None]
        if len(parts) > 1:
            for part in parts:
                if (
                    not isinstance(part, TensorBase)
                    or part.ndim != self.ndim
                    or _other_sizes(part, axis) != _other_sizes(x, axis)
                ):
                    what = getattr(part, "shape", type(part).__name__)
                    raise ValueError(f"diff: prepend and append must be as self, {self.shape}, but for axis {dim}; got {what}")
            dtype = parts[0].dtype
            for part in parts[1:]:
                dtype = dtypes.join(dtype, part.dtype)
            x = apply(ops.Cat(axis), *(part.to(dtype) for part in parts))
        for _ in range(min(n, x.shape[axis])):
            after, before = (x.narrow(axis, start, max(x.shape[axis] - 1, 0)) for start in (min(1, x.shape[axis]), 0))
            x = after != before if x.dtype == dtypes.bool else after - before
        return x

    def var_mean(self, dim=None, unbiased=None, keepdim=False, *, correction=None):
        """(variance, mean), as var and mean give them.

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0, 3.0]).var_mean()
        (tensor(1.), tensor(2.))
        """
        unbiased, dim = (dim, None) if isinstance(dim, bool) else (unbiased, dim)
        return self.var(dim, unbiased, keepdim, correction=correction), self.mean(dim, keepdim)

    def std_mean(self, dim=None, unbiased=None, keepdim=False, *, correction=None):
        """(standard deviation, mean), as std and mean give them.

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0, 3.0]).std_mean()
        (tensor(1.), tensor(2.))
        """
        unbiased, dim = (dim, None) if isinstance(dim, bool) else (unbiased, dim)
        return self.std(dim, unbiased, keepdim, correction=correction), self.mean(dim, keepdim)

    def nanmean(self, dim=None, keepdim=False, *, dtype=None):
        """The mean of what is not NaN.

        >>> import minidl
        >>> minidl.tensor([1.0, minidl.nan, 4.0]).nanmean()
        tensor(2.5000)
        """
        x = self if dtype is None else self.to(dtype)
        if x.array.dtype.kind != "f":
            raise RuntimeError(f"nanmean: expected a floating-point tensor, got {x.dtype}; use .float() or dtype=")
        counts = (~x.isnan()).sum(dim, keepdim)
        return x.nansum(dim, keepdim) / counts.to(x.dtype)

    def median(self, dim=None, keepdim=False):
        """median(): the middle element, of two the smaller. median(dim): (values, indices). NaN if there is one.

        >>> import minidl
        >>> minidl.tensor([4.0, 1.0, 3.0, 2.0]).median()
        tensor(2.)
        """
        if dim is None:
            if keepdim:
                raise TypeError("median: keepdim needs dim")
            return _whole_median(self)
        return _ranked(self, MedianResult, "median", dim, keepdim, lambda n: (n - 1) // 2)

    def nanmedian(self, dim=None, keepdim=False):
        """As median, of what is not NaN.

        >>> import minidl
        >>> minidl.tensor([1.0, minidl.nan, 3.0, 2.0]).nanmedian()
        tensor(2.)
        """
        if dim is None:
            if keepdim:
                raise TypeError("nanmedian: keepdim needs dim")
            known = ~np.isnan(self.array) if self.dtype.kind == "f" else np.ones(self.shape, bool)
            return _whole_median(apply(ops.Index((known,)), self) if known.any() else self)
        return _ranked(self, MedianResult, "nanmedian", dim, keepdim, lambda n: np.maximum(n - 1, 0) // 2, skip_nan=True)

    def kthvalue(self, k, dim=-1, keepdim=False):
        """(values, indices): the k-th smallest along an axis, k from 1 on.

        >>> import minidl
        >>> minidl.tensor([4.0, 1.0, 3.0]).kthvalue(2)
        kthvalue(values=tensor(3.), indices=tensor(2))
        """
        k, n = integer("kthvalue", k), self.shape[normalize_axis("kthvalue", dim, self.ndim)] if self.ndim else 1
        if not 1 <= k <= n:
            raise ValueError(f"kthvalue: k must be from 1 to {n}, the size of axis {dim}, got {k}")
        return _ranked(self, KthvalueResult, "kthvalue", dim, keepdim, lambda n: k - 1, nan_wins=False)

    def quantile(self, q, dim=None, keepdim=False, *, interpolation="linear"):
        """The value below which a share q of the elements lies, q a number or a vector of them (then as the first axis).

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0, 3.0, 5.0]).quantile(0.5)
        tensor(2.5000)
        """
        return _quantile(self, "quantile", q, dim, keepdim, interpolation, False)

    def nanquantile(self, q, dim=None, keepdim=False, *, interpolation="linear"):
        """As quantile, of what is not NaN.

        >>> import minidl
        >>> minidl.tensor([1.0, minidl.nan, 3.0]).nanquantile(0.5)
        tensor(2.)
        """
        return _quantile(self, "nanquantile", q, dim, keepdim, interpolation, True)

    def histc(self, bins=100, min=0, max=0):
        """How many elements fall into each of `bins` intervals of one width from min to max (0 and 0: of the data's own).

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0, 1.0]).histc(bins=4, min=0, max=3)
        tensor([0., 2., 1., 0.])
        """
        bins = integer("histc", bins)
        low, high = numbers_of("histc", min=min, max=max)
        if bins > 2**40:
            raise MemoryError(f"histc: {bins} bins do not fit in memory")
        if bins < 1 or low > high or not math.isfinite(low + high):
            raise ValueError(f"histc: expected 1 bin or more and min ≤ max, got bins={bins}, min={min}, max={max}")
        return wrap(_histogram(self.array.reshape(-1), bins, low, high))


@repeatable
def _histogram(x, bins, low, high):
    """How many of a vector's elements fall into each bin, in its dtype."""
    dtype = x.dtype
    if low == high and x.size:
        low, high = x.min().item(), x.max().item()
        if not math.isfinite(low + high):
            raise ValueError(f"histc: the data go from {low} to {high}; give min and max")
    if low == high:
        low, high = low - 1, high + 1
    x = x[(x >= low) & (x <= high)].astype(np.float64)
    places = np.minimum(((x - low) / (high - low) * bins).astype(np.int64), bins - 1)
    return np.bincount(places, minlength=bins).astype(dtype)


def _other_sizes(x, axis):
    return x.shape[:axis] + x.shape[axis + 1 :]


def _running_extreme(x, result, wins, dim):
    axis = normalize_axis(result.__name__, dim, x.ndim)
    if not x.ndim:
        return result(x.clone(), wrap(np.zeros((), np.int64)))
    index = _places_of_extremes(x.array, wins, axis)
    return result(apply(ops.Gather(axis, index), x), wrap(index))


@repeatable
def _places_of_extremes(x, wins, axis):
    """Along an axis, the place of the extreme of all elements so far."""
    lines = np.moveaxis(x, axis, 0)
    index = np.zeros(lines.shape, np.int64)
    if lines.size:
        best, place = lines[0], index[0].copy()
        for i in range(1, len(lines)):
            new = wins(lines[i], best) & ~np.not_equal(best, best) | np.not_equal(lines[i], lines[i])  # NaN wins and stays
            best, place = np.where(new, lines[i], best), np.where(new, i, place)
            index[i] = place
    return np.moveaxis(index, 0, axis)


def _whole_median(x):
    if not x.numel():
        return wrap(np.asarray(np.nan if x.dtype.kind == "f" else 0, x.dtype))
    return apply(ops.Median(tuple(range(x.ndim)), False), x) if x.ndim else x.clone()


def _ranked(x, result, name, dim, keepdim, rank, skip_nan=False, nan_wins=True):
    """(values, indices) of the element of a rank along an axis; rank is a function of how many there are."""
    nonempty_axes(x, name, dim, keepdim)
    axis = normalize_axis(name, dim, x.ndim)
    if not x.ndim:
        return result(x.clone(), wrap(np.zeros((), np.int64)))
    index = _of_rank(x.array, axis, rank, skip_nan, nan_wins)
    values = apply(ops.TakeAlongAxis(index, axis, keepdim), x)
    return result(values, wrap(index if keepdim else index.squeeze(axis)))


@repeatable
def _of_rank(x, axis, rank, skip_nan, nan_wins):
    """The indices along an axis of the elements of a rank."""
    order = np.argsort(x, axis, kind="stable")  # NaN comes last
    nan = np.not_equal(x, x)
    n = x.shape[axis] - (nan.sum(axis, keepdims=True) if skip_nan else 0)
    place = np.broadcast_to(rank(n), [1 if i == axis else size for i, size in enumerate(x.shape)])
    index = np.take_along_axis(order, place, axis)
    if nan_wins and not skip_nan:
        index = np.where(nan.any(axis, keepdims=True), nan.argmax(axis, keepdims=True), index)
    return index


def _quantile(x, name, q, dim, keepdim, interpolation, skip_nan):
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"{name}: interpolation must be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    if x.array.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating-point tensor, got {x.dtype}; use .float()")
    if isinstance(q, TensorBase):
        if q.ndim > 1 or q.dtype != x.dtype:
            raise ValueError(f"{name}: q must be a number or a vector of {x.dtype}, got {q.dtype} of shape {q.shape}")
        shares = q.array
    else:
        (q,) = numbers_of(name, q=q)
        shares = number_array(name, q, x.dtype)
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"{name}: q must be from 0 to 1, got {q}")
    nonempty_axes(x, name, dim, keepdim)
    if not x.numel() and dim is None:
        raise ValueError(f"{name}: an empty tensor has none")
    axis = 0 if dim is None or not x.ndim else normalize_axis(name, dim, x.ndim)
    kept = [1] * x.ndim if dim is None else [1 if i == axis else size for i, size in enumerate(x.shape)]
    rows = x.reshape(-1) if dim is None or not x.ndim else x.movedim(axis, -1)  # (…, n)
    order, low, high, weight = _neighbours(rows.array, shares, interpolation, skip_nan)
    rows = apply(ops.Sort(order, rows.ndim - 1), rows)
    y = apply(ops.Gather(rows.ndim - 1, high if interpolation == "higher" else low), rows)
    if interpolation in ("linear", "midpoint"):
        y = y.lerp(apply(ops.Gather(rows.ndim - 1, high), rows), wrap(weight))
    y = y.movedim(-1, 0)  # (Q, …)
    shape = tuple(kept) if keepdim else tuple(y.shape[1:])
    return y.reshape((*shares.shape, *shape))


@repeatable
def _neighbours(rows, shares, interpolation, skip_nan):
    """The order of each row of (…, n); and for each share the ranks of its two neighbours in it, and the weight of the higher.

    The last three have shape (…, Q).
    """
    nan, size, dtype = np.isnan(rows), rows.shape[-1], rows.dtype
    n = (size - nan.sum(-1, keepdims=True)) if skip_nan else np.full((*nan.shape[:-1], 1), size)
    rank = (shares.reshape(-1) * np.maximum(n - 1, 0).astype(dtype)).astype(dtype)
    if not skip_nan:
        rank = np.where(nan.any(-1, keepdims=True), dtype.type(size - 1), rank)  # the last one is NaN
    low, high = np.floor(rank).astype(np.int64), np.ceil(rank).astype(np.int64)
    if interpolation == "nearest":
        low = np.rint(rank).astype(np.int64)
    weight = np.where(low == high, 0.0, 0.5) if interpolation == "midpoint" else rank - low
    return np.argsort(rows, -1, kind="stable"), low, high, weight.astype(dtype)
