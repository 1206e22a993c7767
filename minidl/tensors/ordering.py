"""The largest, the smallest, and everything in order: max, argmax, sort, topk, unique."""

from collections import namedtuple

import numpy as np

from .. import ops
from ..ops.base import normalize_axis
from .arguments import integer, one_name
from .record import TensorBase, apply, wrap
from .reductions import nonempty_axes

MaxResult = namedtuple("max", "values indices")
MinResult = namedtuple("min", "values indices")
SortResult = namedtuple("sort", "values indices")
TopkResult = namedtuple("topk", "values indices")


class Ordering:
    """Which element is the largest, and what order they come in."""

    def max(self, dim=None, keepdim=False, *, axis=None):
        """max(): the largest of all. max(dim): (values, indices), the first of equal ones. max(other): elementwise."""
        if isinstance(dim, TensorBase):
            return self.maximum(dim)
        return _extreme(self, MaxResult, np.argmax, self.amax, one_name("max", dim, axis), keepdim)

    def min(self, dim=None, keepdim=False, *, axis=None):
        """min(): the smallest of all. min(dim): (values, indices), the first of equal ones. min(other): elementwise."""
        if isinstance(dim, TensorBase):
            return self.minimum(dim)
        return _extreme(self, MinResult, np.argmin, self.amin, one_name("min", dim, axis), keepdim)

    def argmax(self, dim=None, keepdim=False, *, axis=None):
        """The index of the largest (the first of equal ones), in the flattened tensor or along dim."""
        return _arg_extreme(self, "argmax", np.argmax, one_name("argmax", dim, axis), keepdim)

    def argmin(self, dim=None, keepdim=False, *, axis=None):
        """The index of the smallest (the first of equal ones), in the flattened tensor or along dim."""
        return _arg_extreme(self, "argmin", np.argmin, one_name("argmin", dim, axis), keepdim)

    def sort(self, dim=-1, descending=False, stable=True):
        """(values, indices) in order along an axis. NaN counts as the largest; equal elements keep their order."""
        axis = normalize_axis("sort", dim, self.ndim)
        index = _order(self.array, axis, descending)
        return SortResult(apply(ops.Sort(index, axis), self) if self.ndim else self.clone(), wrap(index))

    def argsort(self, dim=-1, descending=False, stable=True):
        return wrap(_order(self.array, normalize_axis("argsort", dim, self.ndim), descending))

    def topk(self, k, dim=-1, largest=True, sorted=True):
        """(values, indices) of the k largest (or smallest) along an axis, in order."""
        axis, k = normalize_axis("topk", dim, self.ndim), integer("topk", k)
        if not self.ndim:
            values, index = self.reshape(1).topk(k, 0, largest, sorted)
            return TopkResult(values.reshape(() if k else (0,)), index.reshape(() if k else (0,)))
        if not 0 <= k <= self.shape[axis]:
            raise ValueError(f"topk: k must be between 0 and {self.shape[axis]}, got {k}")
        index = np.take(_order(self.array, axis, largest), np.arange(k), axis)
        return TopkResult(apply(ops.Sort(index, axis), self), wrap(index))


def _extreme(x, result, arg, whole, dim, keepdim):
    if dim is None:
        return whole()
    nonempty_axes(x, result.__name__, dim, keepdim)
    index = _arg_extreme(x, result.__name__, arg, dim, True).array
    axis = normalize_axis(result.__name__, dim, x.ndim)
    if not x.ndim:
        return result(x.clone(), wrap(index))
    values = apply(ops.TakeAlongAxis(index, axis, keepdim), x)
    return result(values, wrap(index if keepdim else index.squeeze(axis)))


def _arg_extreme(x, name, arg, dim, keepdim):
    nonempty_axes(x, name, dim, keepdim)
    axis = None if dim is None or not x.ndim else normalize_axis(name, dim, x.ndim)
    return wrap(np.asarray(arg(x.array, axis=axis, keepdims=keepdim)))


def _order(array, axis, descending):
    if not array.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(array, axis, kind="stable")
    # Sorted backwards and then read backwards, so that equal elements keep their order.
    index = np.argsort(np.flip(array, axis), axis, kind="stable")
    return array.shape[axis] - 1 - np.flip(index, axis)
