"""The largest and the smallest over any axes, and where they are along one; the largest few of each row.

NaN counts as the largest and, but for the smallest few, as the smallest: where there is one, it is the result.
"""

import functools
import math

import numpy as np
from numba import types

from .arrays import empty_array
from .elementwise import plain
from .jit import CodeByDtype, dense, jit
from .sums import _plan, order_in_memory
from .vmath import maximum, scalar, select

BLOCK = 64  # elements of a row that are searched at once
NARROW = 16  # columns, of so many elements at least, that are searched one after the other


@scalar
def _itself(x):
    return x


@scalar
def _negative(x):
    return -x


def _extreme(which):
    """The function that gives the largest `which(x)` of a row, once more `which`: −max(−x) is the smallest."""

    @jit(forceinline=True)
    def extreme(x):
        top, unknown, part = x.dtype.type(-np.inf), False, x.size // 4
        one, two, three = top, top, top  # none of the four waits for another one
        p, q, r, s = x[:part], x[part : 2 * part], x[2 * part : 3 * part], x[3 * part : 4 * part]
        for k in range(part):
            one, two = maximum(one, which(p[k])), maximum(two, which(q[k]))  # any number if it is NaN
            three, top = maximum(three, which(r[k])), maximum(top, which(s[k]))
            unknown |= (p[k] != p[k]) | (q[k] != q[k]) | (r[k] != r[k]) | (s[k] != s[k])
        top = maximum(maximum(one, two), maximum(three, top))
        for k in range(4 * part, x.size):
            top = maximum(top, which(x[k]))
            unknown |= x[k] != x[k]
        return x.dtype.type(np.nan) if unknown else which(top)

    return extreme


def _over(name, which, function):
    """The function of x and axes that gives the extreme, see `_extreme`."""
    extreme = _extreme(which)

    @scalar
    def better(x, v):
        return select((which(v) > which(x)) | (v != v), v, x)

    def of_all(x, y):
        """y = the extreme of x"""
        y[()] = extreme(x)

    def along_rows(x, y):
        """y[m] = the extreme of x[m]"""
        for m in range(x.shape[0]):
            y[m] = extreme(x[m])

    def down_columns(x, y):
        """y[m, k] = the extreme of x[m, :, k]"""
        M, N, K = x.shape
        for m in range(M):
            rows, top = x[m], y[m]
            for k in range(K):
                top[k] = rows[0, k]
            for n in range(1, N - 3, 4):
                p, q, r, s = rows[n], rows[n + 1], rows[n + 2], rows[n + 3]
                for k in range(K):
                    top[k] = better(better(better(better(top[k], p[k]), q[k]), r[k]), s[k])
            for n in range(N - (N - 1) % 4, N):
                for k in range(K):
                    top[k] = better(top[k], rows[n, k])

    for loop in of_all, along_rows, down_columns:
        loop.__qualname__ += which.__name__  # keeps apart the cache files of kernels that come from the same lines
    whole = CodeByDtype(jit(of_all), lambda t: (dense(t, 1), dense(t, 0, True)))
    rows = CodeByDtype(jit(along_rows), lambda t: (dense(t, 2), dense(t, 1, True)))
    columns = CodeByDtype(jit(down_columns), lambda t: (dense(t, 3), dense(t, 2, True)))

    def over(x, axes):
        """The extreme over the axes (distinct, non-negative), which are dropped."""
        dtype = x.dtype
        if dtype.kind == "f" and x.flags.carray:
            kernel, merged, extremes, shape, _ = _plan(x.shape, axes)
            if len(axes) == x.ndim and x.size:
                y = np.empty((), dtype)
                whole[dtype](x.ravel(), y)
                return y
            if merged is not None:
                y = np.empty(extremes, dtype)
                (columns if kernel else rows)[dtype](x.reshape(merged), y)
                return y.reshape(shape)
        return np.asarray(function.reduce(x, axis=axes))

    over.__name__ = over.__qualname__ = name
    return over


amax = _over("amax", _itself, np.maximum)
amin = _over("amin", _negative, np.minimum)


# --- with their places: along the middle one of three axes; the others are all axes before it and all behind it


@jit(forceinline=True)
def _place(x, extreme):
    """The first place of the extreme in x, or of NaN, if it is that: looked for in blocks, so that it can use vectors."""
    if extreme != extreme:
        for k in range(x.size):
            if x[k] != x[k]:
                return k
    for first in range(0, x.size, BLOCK):
        block, found = x[first : min(first + BLOCK, x.size)], False
        for k in range(block.size):
            found |= block[k] == extreme
        if found:
            for k in range(block.size):
                if block[k] == extreme:
                    return first + k
    return 0


def _with_places(name, which, place):
    """The function of x and axis that gives the extreme, see `_extreme`, and the first place of it."""
    extreme = _extreme(which)

    def along_rows(x, y, z):
        """y[m] = the extreme of x[m, :], and z[m] where it is"""
        for m in range(x.shape[0]):
            z[m] = at = _place(x[m], extreme(x[m]))
            y[m] = x[m, at]

    def down_columns(x, y, z):
        """y[m, k] = the extreme of x[m, :, k], and z[m, k] where it is"""
        M, N, K = x.shape
        narrow = K < NARROW and N >= NARROW  # then a copy of each column, as a row, is searched sooner
        column = empty_array(N if narrow else 0, x.dtype)
        for m in range(M):
            rows, top, at = x[m], y[m], z[m]
            for k in range(K if narrow else 0):
                for n in range(N):
                    column[n] = rows[n, k]
                at[k] = n = _place(column, extreme(column))
                top[k] = column[n]
            if narrow:
                continue
            for k in range(K):
                top[k], at[k] = rows[0, k], 0
            for n in range(1, N):
                for k in range(K):
                    v, best = rows[n, k], top[k]
                    better = (which(v) > which(best)) | ((v != v) & (best == best))
                    top[k] = select(better, v, best)
                    at[k] = select(better, n, at[k])

    for loop in along_rows, down_columns:
        loop.__qualname__ += which.__name__  # keeps apart the cache files of kernels that come from the same lines
    index = types.int64
    rows = CodeByDtype(jit(along_rows), lambda t: (dense(t, 2), dense(t, 1, True), dense(index, 1, True)))
    columns = CodeByDtype(jit(down_columns), lambda t: (dense(t, 3), dense(t, 2, True), dense(index, 2, True)))

    def along(x, axis):
        """The extremes along an axis, which is dropped, and their places on it: the first of equal ones."""
        three, flat, left = _around(x.shape, axis)
        if x.dtype.kind != "f":
            index = place(x, axis)
            return np.take_along_axis(x, np.expand_dims(index, axis), axis).reshape(left), np.asarray(index)
        if not x.flags.carray and x.ndim > 1:
            order = order_in_memory(x)
            if x.transpose(order).flags.carray:  # no copy is needed
                y, z = along(x.transpose(order), order.index(axis))
                back = np.argsort([i for i in order if i != axis])
                return y.transpose(back), z.transpose(back)
        x, dtype = plain(x), x.dtype
        y, z = np.empty(flat, dtype), np.empty(flat, np.int64)
        (columns if len(three) == 3 else rows)[dtype](x.reshape(three), y, z)
        return (y, z) if flat == left else (y.reshape(left), z.reshape(left))

    along.__name__ = along.__qualname__ = name
    return along


@functools.lru_cache(1024)
def _around(shape, axis):
    """The shape with the axes before this one joined, and those behind it, if there are any; and twice the one without it."""
    if not 0 <= axis < len(shape) or not shape[axis]:
        raise ValueError(f"expected an axis from 0 to {len(shape) - 1} with a size of 1 or more, got axis {axis} of {shape}")
    before, behind = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    left = shape[:axis] + shape[axis + 1 :]
    return ((before, shape[axis]), (before,), left) if behind == 1 else ((before, shape[axis], behind), (before, behind), left)


max_along = _with_places("max_along", _itself, np.argmax)
min_along = _with_places("min_along", _negative, np.argmin)


def _first_of_rows(name, before):
    def first_of_rows(x, y, z):
        """y[m] = the first elements of x[m] in order, as many as there is room, and z[m] where they are; by insertion"""
        K = y.shape[1]
        for m in range(x.shape[0]):
            row, top, at, found = x[m], y[m], z[m], 0
            for n in range(row.size):
                v = row[n]
                if found == K and not before(v, top[K - 1]):
                    continue
                j = min(found, K - 1)
                while j > 0 and before(v, top[j - 1]):
                    top[j], at[j] = top[j - 1], at[j - 1]
                    j -= 1
                top[j], at[j] = v, n
                found = min(found + 1, K)

    first_of_rows.__qualname__ += name  # keeps apart the cache files of kernels that come from the same lines
    return CodeByDtype(jit(first_of_rows), lambda t: (dense(t, 2), dense(t, 2, True), dense(types.int64, 2, True)))


@scalar
def _larger(a, b):
    return a > b or (a != a and b == b)


@scalar
def _smaller(a, b):
    return a < b or (b != b and a == a)


_LARGEST, _SMALLEST = _first_of_rows("_largest", _larger), _first_of_rows("_smallest", _smaller)


def topk(x, k, largest=True):
    """The k largest, or smallest, of each row (the last axis) in order, and their places; NaN is larger than all numbers.

    >>> topk(np.array([[3.0, 1.0, 4.0, 1.0]]), 2)
    (array([[4., 3.]]), array([[2, 0]]))
    >>> topk(np.array([[3.0, 1.0, 4.0, 1.0]]), 2, largest=False)[1]
    array([[1, 3]])
    """
    shape, dtype = x.shape, x.dtype
    if not x.ndim or not 0 <= k <= shape[-1]:
        raise ValueError(f"topk: expected rows and k from 0 to their length, got shape {shape} and k = {k}")
    y, z = np.empty((*shape[:-1], k), dtype), np.empty((*shape[:-1], k), np.int64)
    if y.size:
        kernel = (_LARGEST if largest else _SMALLEST)[dtype]
        if x.ndim == 2:
            kernel(plain(x), y, z)
        else:
            kernel(plain(x).reshape(-1, shape[-1]), y.reshape(-1, k), z.reshape(-1, k))
    return y, z
