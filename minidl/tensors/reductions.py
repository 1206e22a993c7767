"""Reductions: one number for many. dim (or axis) is None for all axes, a number, or a tuple; keepdim keeps them with size 1."""

import numbers

import numpy as np

from .. import ops
from ..ops.base import normalize_axes, normalize_axis
from . import dtypes
from .arguments import numbers_of, one_name
from .record import apply, floating, unary, wrap

_ALL_AXES = [tuple(range(n)) for n in range(65)]  # NumPy's arrays have 64 axes at most


class Reductions:
    """Sums, means, extremes, norms; dim (or axis) is None for all axes, a number, or a tuple."""

    def sum(self, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=False):
        """Σx, over all axes or over `dim`. Of integers and booleans it is an int64.

        >>> import minidl
        >>> x = minidl.tensor([[1, 2], [3, 4]])
        >>> x.sum(), x.sum(0), x.sum(1)
        (tensor(10), tensor([4, 6]), tensor([3, 7]))
        """
        dim, keepdim = one_name("sum", dim, axis) if axis is not None else dim, keepdim or keepdims
        x = self.to(dtype) if dtype is not None else self if self.array.dtype.kind == "f" else self.to(dtypes.int64)
        axes = _ALL_AXES[x.array.ndim] if dim is None else reduced_axes(self, "sum", dim, keepdim)
        return unary(ops.Sum(axes, keepdim), x)

    def nansum(self, dim=None, keepdim=False):
        """Σx over the elements that are not NaN.

        >>> import minidl
        >>> minidl.tensor([1.0, minidl.nan, 2.0]).nansum()
        tensor(3.)
        """
        return self.masked_fill(self.isnan(), 0).sum(dim, keepdim)

    def mean(self, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=False):
        """Σx/n, of floating-point tensors.

        >>> import minidl
        >>> x = minidl.tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> x.mean(), x.mean(0)
        (tensor(3.), tensor([2., 4.]))
        """
        dim, keepdim = one_name("mean", dim, axis) if axis is not None else dim, keepdim or keepdims
        x = self if dtype is None else self.to(dtype)
        if x.array.dtype.kind != "f":
            raise RuntimeError(f"mean: expected a floating-point tensor, got {x.dtype}; use .float() or dtype=")
        return unary(ops.Mean(reduced_axes(self, "mean", dim, keepdim), keepdim), x)

    def var(self, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None, keepdims=False):
        """Σ(x − μ)²/(n − correction), the variance, with μ the mean. The correction is 1 (unbiased) by default.

        >>> import minidl
        >>> x = minidl.tensor([1.0, 2.0, 3.0])
        >>> x.var(), x.var(correction=0)
        (tensor(1.), tensor(0.6667))
        """
        return _spread(self, "var", ops.Var, dim, unbiased, keepdim or keepdims, correction, axis)

    def std(self, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None, keepdims=False):
        """√var, the standard deviation; see var. Where it is 0, its gradient is 0.

        >>> import minidl
        >>> x = minidl.tensor([1.0, 2.0, 3.0])
        >>> x.std(), x.std(correction=0)
        (tensor(1.), tensor(0.8165))
        """
        return _spread(self, "std", ops.Std, dim, unbiased, keepdim or keepdims, correction, axis)

    def prod(self, dim=None, keepdim=False, *, dtype=None):
        """Πx, the product. Of integers and booleans it is an int64.

        >>> import minidl
        >>> x = minidl.tensor([[1, 2], [3, 4]])
        >>> x.prod(), x.prod(0)
        (tensor(24), tensor([3, 8]))
        """
        x = self.to(dtype) if dtype is not None else self if self.array.dtype.kind == "f" else self.to(dtypes.int64)
        return apply(ops.Prod(reduced_axes(self, "prod", dim, keepdim), keepdim), x)

    def amax(self, dim=None, keepdim=False):
        """The largest. Elements that are equally large share the gradient equally.

        >>> import minidl
        >>> minidl.tensor([[1, 5], [7, 2]]).amax(1)
        tensor([5, 7])
        """
        x = self.array
        axes = _ALL_AXES[x.ndim] if dim is None and x.size else nonempty_axes(self, "amax", dim, keepdim)
        return unary(ops.Amax(axes, keepdim), self)

    def amin(self, dim=None, keepdim=False):
        """The smallest. Elements that are equally small share the gradient equally.

        >>> import minidl
        >>> minidl.tensor([[1, 5], [7, 2]]).amin(1)
        tensor([1, 2])
        """
        x = self.array
        axes = _ALL_AXES[x.ndim] if dim is None and x.size else nonempty_axes(self, "amin", dim, keepdim)
        return unary(ops.Amin(axes, keepdim), self)

    def logsumexp(self, dim, keepdim=False):
        """ln Σeˣ along one or several axes, without overflow.

        >>> import minidl
        >>> x = minidl.tensor([1000.0, 1000.0])
        >>> x.logsumexp(0), x.exp().sum().log()
        (tensor(1000.6932), tensor(inf))
        """
        return apply(ops.LogSumExp(reduced_axes(self, "logsumexp", dim, keepdim), keepdim), floating(self))

    def norm(self, p: float | str = "fro", dim=None, keepdim=False):
        """(Σ|x|ᵖ)^(1/p), p = 2 by default; ±math.inf gives the largest (smallest) |x|, 0 counts. The gradient at 0 is 0.

        >>> import minidl
        >>> x = minidl.tensor([3.0, -4.0])
        >>> x.norm(), x.norm(1), x.norm(minidl.inf)
        (tensor(5.), tensor(7.), tensor(4.))
        """
        if isinstance(p, str) and p == "nuc":
            return _nuclear(self, dim, keepdim)
        p = 2 if p in ("fro", None) else p
        if not isinstance(p, numbers.Real) or p != p:
            raise ValueError(f"norm: p must be a number, or math.inf, got {p!r}")
        return apply(ops.Norm(reduced_axes(self, "norm", dim, keepdim), keepdim, p), floating(self))

    def cumsum(self, dim=None, *, dtype=None, axis=None):
        """yᵢ = x₀ + … + xᵢ along an axis. Of integers and booleans it is an int64.

        >>> import minidl
        >>> minidl.tensor([1, 2, 3]).cumsum(0)
        tensor([1, 3, 6])
        """
        dim = one_name("cumsum", dim, axis)
        if dim is None:
            raise TypeError("cumsum: expected dim")
        axis = normalize_axis("cumsum", dim, self.ndim)
        x = self.to(dtype) if dtype is not None else self if self.array.dtype.kind == "f" else self.to(dtypes.int64)
        return apply(ops.CumSum(axis), x) if self.ndim else x.clone()

    def all(self, dim=None, keepdim=False):
        """Whether all are true (not 0).

        >>> import minidl
        >>> x = minidl.tensor([[True, True], [True, False]])
        >>> x.all(), x.all(1)
        (tensor(False), tensor([ True, False]))
        """
        return wrap(np.asarray(self.array.all(axis=reduced_axes(self, "all", dim, keepdim), keepdims=keepdim)))

    def any(self, dim=None, keepdim=False):
        """Whether at least one is true (not 0).

        >>> import minidl
        >>> x = minidl.tensor([[True, False], [False, False]])
        >>> x.any(), x.any(1)
        (tensor(True), tensor([ True, False]))
        """
        return wrap(np.asarray(self.array.any(axis=reduced_axes(self, "any", dim, keepdim), keepdims=keepdim)))

    def count_nonzero(self, dim=None):
        """How many are not 0.

        >>> import minidl
        >>> x = minidl.tensor([[1, 0], [2, 3]])
        >>> x.count_nonzero(), x.count_nonzero(0)
        (tensor(3), tensor([2, 1]))
        """
        return wrap(np.asarray(np.count_nonzero(self.array, axis=reduced_axes(self, "count_nonzero", dim))))


def _nuclear(x, dim, keepdim):
    """The sum of the singular values of the matrices in two axes."""
    axes = reduced_axes(x, "norm", dim, keepdim)
    if len(axes) != 2:
        raise ValueError(f"norm: p='nuc' is for matrices; expected two axes, got dim={dim}, shape {x.shape}")
    order = [i for i in range(x.ndim) if i not in axes] + list(axes)
    y = apply(ops.SVD(False), apply(ops.Permute(order), floating(x)))[1].sum(-1)
    return y.reshape([1 if i in axes else n for i, n in enumerate(x.shape)]) if keepdim else y


def _spread(x, name, op, dim, unbiased, keepdim, correction, axis):
    if unbiased is correction is axis is None and not isinstance(dim, bool) and x.array.dtype.kind == "f":  # the usual call
        return unary(op(reduced_axes(x, name, dim, keepdim), keepdim, 1), x)
    if isinstance(dim, bool):
        dim, unbiased = None, dim  # PyTorch's var(unbiased)
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}: give unbiased or correction, not both")
    if unbiased is not None and not isinstance(unbiased, (bool, int, np.bool_, np.integer)):
        raise TypeError(f"{name}: unbiased must be True or False, got {unbiased!r}")
    correction = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    (correction,) = numbers_of(name, correction=correction)
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating-point tensor, got {x.dtype}; use .float()")
    return unary(op(reduced_axes(x, name, one_name(name, dim, axis), keepdim), keepdim, correction), x)


def reduced_axes(x, name, dim, keepdim=False):
    """The axes to reduce; all of them for None and for an empty tuple; none of a 0-d tensor's."""
    ndim = x.array.ndim
    if dim is None:
        return _ALL_AXES[ndim]
    if not isinstance(keepdim, bool):
        raise TypeError(f"{name}: keepdim must be True or False, got {keepdim!r}; several axes go into a tuple, dim=(0, 1)")
    if type(dim) is int and -ndim <= dim < ndim:
        return (dim % ndim,)
    axes = normalize_axes(name, dim, ndim)
    return (axes or _ALL_AXES[ndim]) if ndim else ()


def nonempty_axes(x, name, dim, keepdim=False):
    axes = reduced_axes(x, name, dim, keepdim)
    if not x.array.size and any(x.shape[axis] == 0 for axis in axes):
        raise ValueError(f"{name}: cannot be taken over an axis of size 0, shape {x.shape}")
    return axes
