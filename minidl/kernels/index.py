"""Copies, rows of a table by index, and integers as int64: what NumPy does as well, where a kernel has to do it."""

import math

import numpy as np
from numba import types

from .elementwise import plain
from .jit import CodeByDtype, dense, jit, strided
from .memory import empty


@jit
def take(table, index, rows, numbers):
    """rows[i] = table[index[i]] and numbers = [-1]; at an index that is out of range it stops, with its place in numbers[0]."""
    V = table.shape[0]
    for i in range(index.size):
        if not 0 <= index[i] < V:
            numbers[0] = i
            return
        source, target = table[index[i]], rows[i]
        for e in range(target.size):
            target[e] = source[e]
    numbers[0] = -1


@jit
def sums_by_index(rows, index, table):
    """table[v] = Σ rows[i] over all i with index[i] = v, in this order."""
    V = table.shape[0]
    table[:] = 0
    for i in range(index.size):
        if 0 <= index[i] < V:
            row = table[index[i]]
            for e in range(row.size):
                row[e] += rows[i, e]


@jit
def put(x, y):
    """y = x"""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for k in range(x.shape[2]):
                y[i, j, k] = x[i, j, k]


_put = CodeByDtype(put, lambda t: (strided(t, 3), dense(t, 3, True)))
_THREE = {0: (None, None, None), 1: (None, None), 2: (None,), 3: ()}


def copy(x):
    """A new contiguous array like x, which has any layout and at most three axes.

    >>> copy(np.array([[1.0, 2.0]]).T).shape
    (2, 1)
    """
    if x.ndim > 3:
        raise ValueError(f"copy: expected an array of at most three axes, got shape {x.shape}")
    x = x if x.flags.aligned else np.array(x)
    y, axes = empty(x.shape, x.dtype), _THREE[x.ndim]
    _put[x.dtype](x[axes], y[axes])
    return y


def join(*parts):
    """A new contiguous array: the parts, of one to three axes, one after the other along the first of them.

    >>> join(np.array([1.0, 2.0]), np.array([3.0]))
    array([1., 2., 3.])
    """
    first = parts[0]
    if not 1 <= first.ndim <= 3 or any(x.shape[1:] != first.shape[1:] or x.dtype != first.dtype for x in parts):
        got = ", ".join(f"{x.shape} of {x.dtype}" for x in parts)
        raise ValueError(f"join: expected arrays of 1 to 3 axes, alike but for the length of the first one, got {got}")
    y, axes, at = empty((sum(map(len, parts)), *first.shape[1:]), first.dtype), _THREE[first.ndim], 0
    for x in parts:
        x = x if x.flags.aligned else np.array(x)
        _put[x.dtype](x[axes], y[at : at + len(x)][axes])
        at += len(x)
    return y


_take = CodeByDtype(take, lambda t: (dense(t, 2), dense(types.int64, 1), dense(t, 2, True), dense(types.float64, 1, True)))
_sums_by_index = CodeByDtype(sums_by_index, lambda t: (dense(t, 2), dense(types.int64, 1), dense(t, 2, True)))


@jit
def place(x, i, y):
    """y[:, i] = x"""
    for n in range(x.shape[0]):
        source, target = x[n], y[n, i]
        for k in range(source.size):
            target[k] = source[k]


_place = CodeByDtype(place, lambda t: (dense(t, 2), types.intp, dense(t, 3, True)))


def place_at(part, i, y, axis):
    """y[…, i, …] = part, where i is an index of the axis; y is contiguous and part has its other axes.

    >>> y = np.zeros((2, 3))
    >>> place_at(np.ones(2), 1, y, 1)
    >>> y
    array([[0., 1., 0.],
           [0., 1., 0.]])
    """
    shape = y.shape
    if not (0 <= axis < y.ndim and 0 <= i < shape[axis] and y.flags.carray):
        raise ValueError(f"place_at: expected an index of an axis of a contiguous array {shape}, got {i} of axis {axis}")
    if part.shape != shape[:axis] + shape[axis + 1 :] or part.dtype != y.dtype:
        raise ValueError(f"place_at: for axis {axis} of {shape} of {y.dtype} got a part {part.shape} of {part.dtype}")
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    _place[y.dtype](plain(part).reshape(outer, inner), i, y.reshape(outer, shape[axis], inner))


def take_rows(table, index):
    """table[index] for a table (V, E) and an int64 index of any shape, and a float64 array for `Op.alarm`, which holds [-1].

    Any index outside 0…V - 1 is an IndexError.
    """
    if table.ndim != 2 or index.dtype != np.int64:
        raise ValueError(f"take_rows: expected a table (V, E) and an int64 index, got {table.shape} and {index.dtype}")
    table, (V, E), dtype = plain(table), table.shape, table.dtype
    rows, numbers = empty((index.size, E), dtype), np.empty(1)
    _take[dtype](table, plain(index).reshape(-1), rows, numbers)
    if numbers[0] >= 0:
        raise IndexError(
            f"embedding: index {index.reshape(-1)[int(numbers[0])]} is out of range: expected 0 to {V - 1}; the table has {V} "
            "rows: make it nn.Embedding(n, …) with n above every index"
        )
    return rows.reshape(*index.shape, E), numbers


def sum_rows(rows, index, number):
    """A table (number, E) whose row v is Σ rows[i] over all i with index[i] = v, added in this order; rows (…, E).

    >>> sum_rows(np.array([[1.0], [2.0], [4.0]]), np.array([2, 0, 2]), 3)
    array([[2.],
           [0.],
           [5.]])
    """
    if rows.ndim < 1 or rows.shape[:-1] != index.shape or index.dtype != np.int64:
        raise ValueError(f"sum_rows: expected rows (…, E) and an int64 index (…), got {rows.shape} and {index.shape}")
    E, dtype = rows.shape[-1], rows.dtype
    table = empty((number, E), dtype)
    _sums_by_index[dtype](plain(rows).reshape(index.size, E), plain(index).reshape(-1), table)
    return table


@jit
def widen(x, y):
    for i in range(x.size):
        y[i] = x[i]


_widen = CodeByDtype(widen, lambda t: (dense(t, 1), dense(types.int64, 1, True)), integers=True)


def to_int64(x):
    """An array of integers as int64: itself if it is so, else a new one.

    >>> to_int64(np.array([1, 2], np.uint8))
    array([1, 2])
    """
    if x.dtype == np.int64:
        return x
    if x.dtype.kind not in "iu" or not x.flags.carray:
        return x.astype(np.int64)
    y = np.empty(x.shape, np.int64)
    _widen[x.dtype](x.ravel(), y.ravel())
    return y
