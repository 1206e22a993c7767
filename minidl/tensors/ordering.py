"""The largest, the smallest, and everything in order: max, argmax, sort, topk, unique."""

from collections import namedtuple

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from ..ops.base import normalize_axis
from .arguments import integer, one_name
from .record import TensorBase, unary, wrap
from .reductions import nonempty_axes

MaxResult = namedtuple("max", "values indices")
MinResult = namedtuple("min", "values indices")
SortResult = namedtuple("sort", "values indices")
TopkResult = namedtuple("topk", "values indices")

_FEW = 64  # elements of a row: more are found sooner by sorting all of it


class Ordering:
    """Which element is the largest, and what order they come in."""

    def max(self, dim=None, keepdim=False, *, axis=None):
        """The largest element.

        max(): of all. max(dim): a pair (values, indices) along an axis, the first of equal ones. max(other): as maximum.

        >>> import minidl
        >>> x = minidl.tensor([[1, 5], [7, 2]])
        >>> x.max()
        tensor(7)
        >>> values, indices = x.max(1)
        >>> values, indices
        (tensor([5, 7]), tensor([1, 0]))
        """
        if dim is None and axis is None:
            return self.amax()
        if isinstance(dim, TensorBase):
            if keepdim is not False or axis is not None:
                raise TypeError(
                    "max: of two tensors there is no keepdim and no axis; write maximum(a, b), twice for three tensors"
                )
            return self.maximum(dim)
        return _extreme(self, MaxResult, ops.MaxAlongAxis, one_name("max", dim, axis), keepdim)

    def min(self, dim=None, keepdim=False, *, axis=None):
        """The smallest element.

        min(): of all. min(dim): a pair (values, indices) along an axis, the first of equal ones. min(other): as minimum.

        >>> import minidl
        >>> x = minidl.tensor([[1, 5], [7, 2]])
        >>> x.min()
        tensor(1)
        >>> values, indices = x.min(1)
        >>> values, indices
        (tensor([1, 2]), tensor([0, 1]))
        """
        if dim is None and axis is None:
            return self.amin()
        if isinstance(dim, TensorBase):
            if keepdim is not False or axis is not None:
                raise TypeError(
                    "min: of two tensors there is no keepdim and no axis; write minimum(a, b), twice for three tensors"
                )
            return self.minimum(dim)
        return _extreme(self, MinResult, ops.MinAlongAxis, one_name("min", dim, axis), keepdim)

    def argmax(self, dim=None, keepdim=False, *, axis=None):
        """The index of the largest (the first of equal ones), in the flattened tensor or along dim.

        >>> import minidl
        >>> x = minidl.tensor([[1, 5], [7, 2]])
        >>> x.argmax(), x.argmax(1)
        (tensor(2), tensor([1, 0]))
        """
        return _arg_extreme(self, "argmax", np.argmax, one_name("argmax", dim, axis), keepdim)

    def argmin(self, dim=None, keepdim=False, *, axis=None):
        """The index of the smallest (the first of equal ones), in the flattened tensor or along dim.

        >>> import minidl
        >>> x = minidl.tensor([[4, 5], [7, 2]])
        >>> x.argmin(), x.argmin(1)
        (tensor(3), tensor([0, 1]))
        """
        return _arg_extreme(self, "argmin", np.argmin, one_name("argmin", dim, axis), keepdim)

    def sort(self, dim=-1, descending=False, stable=True):
        """(values, indices) in order along an axis. NaN counts as the largest; equal elements keep their order.

        >>> import minidl
        >>> values, indices = minidl.tensor([3, 1, 2]).sort()
        >>> values, indices
        (tensor([1, 2, 3]), tensor([1, 2, 0]))
        """
        axis = normalize_axis("sort", dim, self.ndim)
        index = _order(self.array, axis, descending)
        return SortResult(unary(ops.Sort(index, axis), self) if self.ndim else self.clone(), wrap(index))

    def argsort(self, dim=-1, descending=False, stable=True):
        """The indices that sort an axis: x[x.argsort()] is in order.

        NaN counts as the largest; equal elements keep their order.

        >>> import minidl
        >>> x = minidl.tensor([3, 1, 2])
        >>> x.argsort(), x[x.argsort()]
        (tensor([1, 2, 0]), tensor([1, 2, 3]))
        """
        return wrap(_order(self.array, normalize_axis("argsort", dim, self.ndim), descending))

    def topk(self, k, dim=-1, largest=True, sorted=True):
        """(values, indices) of the k largest (or smallest) along an axis, in order.

        >>> import minidl
        >>> values, indices = minidl.tensor([3, 1, 4, 1, 5]).topk(2)
        >>> values, indices
        (tensor([5, 4]), tensor([4, 2]))
        """
        axis, k = normalize_axis("topk", dim, self.array.ndim), k if type(k) is int else integer("topk", k)
        if not self.array.ndim:
            values, index = self.reshape(1).topk(k, 0, largest, sorted)
            return TopkResult(values.reshape(() if k else (0,)), index.reshape(() if k else (0,)))
        if not 0 <= k <= self.array.shape[axis]:
            raise ValueError(f"topk: k must be between 0 and {self.shape[axis]}, got {k}")
        if k <= _FEW and axis == self.array.ndim - 1 and self.array.dtype.kind == "f":
            op = ops.TopK(k, axis, bool(largest))
            values = unary(op, self)
            return TopkResult(values, wrap(op.index))
        index = _first(self.array, axis, largest, k)
        return TopkResult(unary(ops.Sort(index, axis), self), wrap(index))


@repeatable
def _first(x, axis, descending, k):
    return np.take(_order(x, axis, descending), np.arange(k), axis)


def _extreme(x, result, op, dim, keepdim):
    axes = nonempty_axes(x, result.__name__, dim, keepdim)
    axis = axes[0] if type(dim) is int and axes else normalize_axis(result.__name__, dim, x.ndim)
    if not x.ndim:
        return result(x.clone(), wrap(np.zeros((), np.int64)))
    op = op(axis, keepdim)
    values = unary(op, x)
    return result(values, wrap(op.index if keepdim else op.index.squeeze(axis)))


@repeatable
def _arg_extreme(x, name, arg, dim, keepdim):
    nonempty_axes(x, name, dim, keepdim)
    axis = None if dim is None or not x.ndim else normalize_axis(name, dim, x.ndim)
    return wrap(np.asarray(arg(x.array, axis=axis, keepdims=keepdim)))


@repeatable
def _order(array, axis, descending):
    if not array.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(array, axis, kind="stable")
    # Sorted backwards and then read backwards, so that equal elements keep their order.
    index = np.argsort(np.flip(array, axis), axis, kind="stable")
    return array.shape[axis] - 1 - np.flip(index, axis)
