"""Variances over any axes: a mean, what is left without it, and the sum of its squares, in one kernel.

Sums are made in float64 as in `sums`. The mean is rounded to the elements' dtype, so that the sum of x − μ is not exactly 0:
the mean of x − μ is subtracted once more.
"""

import math

import numpy as np
from numba import types

from .arrays import empty_array, reshaped, zero_array
from .elementwise import number, plain
from .jit import dense, jit
from .memory import empty
from .pipeline import apart
from .shares import SharedCode
from .sums import BLOCK, DEPTH, NARROW, SHARED_SIZE, STRIP, _plan, fits, order_in_memory, places_in
from .threads import run


# The order of additions is free in these three, or they could not use vectors. Each adds up a block of a row.
@jit(fastmath={"reassoc"}, forceinline=True)
def _sum(x):
    s = 0.0
    for k in range(x.size):
        s += np.float64(x[k])
    return s


@jit(fastmath={"reassoc"}, forceinline=True)
@apart
def _centre(x, mean, d):
    """d = x − mean, and Σ d"""
    s = 0.0
    for k in range(x.size):
        v = x[k] - mean
        d[k] = v
        s += np.float64(v)
    return s


@jit(fastmath={"reassoc"}, forceinline=True)
def _divide(d, off, free):
    """d = (d − off)/free, and Σ (d − off)²"""
    s = 0.0
    for k in range(d.size):
        v = d[k] - off
        d[k] = v / free
        s += np.float64(v) * np.float64(v)
    return s


@jit
def variance_of_rows(x, free, root, y, z, part, parts):
    """z[m, k] = (x[m, k] − μ)/free for the mean μ of row m, and y[m] = Σ_k (x[m, k] − μ)²/free, or its root"""
    T, K = x.dtype.type, x.shape[1]
    for m in range(x.shape[0] * part // parts, x.shape[0] * (part + 1) // parts):
        row, d, s = x[m], z[m], 0.0
        for i in range(0, K, BLOCK):
            s += _sum(row[i : min(i + BLOCK, K)])
        mean, s = T(s / K), 0.0
        for i in range(0, K, BLOCK):
            s += _centre(row[i : min(i + BLOCK, K)], mean, d[i : min(i + BLOCK, K)])
        off, s = T(s / K), 0.0
        if off - off != 0:
            off = T(0)  # an infinite one would make all elements NaN
        for i in range(0, K, BLOCK):
            s += _divide(d[i : min(i + BLOCK, K)], off, T(free))
        y[m] = math.sqrt(s / free) if root else s / free


@jit(forceinline=True)
def _move(some, total):
    """total += some, and some = 0"""
    for k in range(some.size):
        total[k] += some[k]
        some[k] = 0


@jit(forceinline=True)
def _means(total, n, means):
    """Of each column its mean: the sum of all places of total that are K apart, over n, at all of these places of means"""
    K = total.shape[1]
    for k in range(K):
        s = 0.0
        for j in range(total.shape[0]):
            s += total[j, k]
        for j in range(total.shape[0]):
            means[j, k] = s / n
            total[j, k] = 0


@jit
def variance_of_columns(x, free, root, y, z, part, parts):
    """z[m, n, k] = (x[m, n, k] − μ)/free for the mean μ over n, and y[m, k] = Σ_n (x[m, n, k] − μ)²/free, or its root

    Short rows are taken several at once, as one of W elements, so that they fill vectors. DEPTH of these are added up apart.
    """
    T, (M, N, K) = x.dtype.type, x.shape
    together = max(1, min(N, NARROW // max(K, 1)))
    W, size = together * K, N * K
    memory, room = zero_array(2 * min(W, STRIP), np.float64), empty_array(min(W, STRIP), x.dtype)
    for m in range(M * part // parts, M * (part + 1) // parts):
        row, d = reshaped(x[m], size), reshaped(z[m], size)
        for j in range(0, W, STRIP):  # of long rows a part at once, whose sums stay in the L1 cache
            w = min(STRIP, W - j)
            some, total, means = memory[:w], memory[w : 2 * w], room[:w]
            columns, table = reshaped(total, (together, w // together)), reshaped(means, (together, w // together))
            for i in range(j, size, W):
                if (i - j) % (W * DEPTH) == 0:
                    _move(some, total)
                p = row[i : min(i + w, size)]
                for k in range(p.size):
                    some[k] += np.float64(p[k])
            _move(some, total)
            _means(columns, N, table)
            for i in range(j, size, W):
                if (i - j) % (W * DEPTH) == 0:
                    _move(some, total)
                p, q = row[i : min(i + w, size)], d[i : min(i + w, size)]
                for k in range(p.size):
                    v = p[k] - means[k]
                    q[k] = v
                    some[k] += np.float64(v)
            _move(some, total)
            _means(columns, N, table)
            for k in range(w):
                if means[k] - means[k] != 0:
                    means[k] = 0  # an infinite one would make all elements NaN
            for i in range(j, size, W):
                if (i - j) % (W * DEPTH) == 0:
                    _move(some, total)
                q = d[i : min(i + w, size)]
                for k in range(q.size):
                    v = q[k] - means[k]
                    q[k] = v / T(free)
                    some[k] += np.float64(v) * np.float64(v)
            _move(some, total)
            for k in range(columns.shape[1]):
                s = 0.0
                for i in range(together):
                    s += columns[i, k]
                    columns[i, k] = 0
                y[m, j + k] = math.sqrt(s / free) if root else s / free


_OPTIONS = types.float64, types.boolean
_ROWS = SharedCode(variance_of_rows, lambda t: (dense(t, 2), *_OPTIONS, dense(t, 1, True), dense(t, 2, True)))
_COLUMNS = SharedCode(variance_of_columns, lambda t: (dense(t, 3), *_OPTIONS, dense(t, 2, True), dense(t, 3, True)))


def variance(x, axes, free, root=False):
    """Σ (x − μ)²/free over the axes (distinct, non-negative), which are dropped, or its root; and (x − μ)/free, in x's shape.

    >>> variance(np.array([1.0, 2.0, 3.0]), (0,), 2)
    (array(1.), array([-0.5,  0. ,  0.5]))
    """
    kernel, merged, sums, shape, _ = _plan(x.shape, axes)
    free, root, dtype = number(free), bool(root), x.dtype
    if merged is None or not x.flags.carray:
        return _in_order(x, axes, free, root)
    kernel = _COLUMNS if kernel else _ROWS
    if x.size < SHARED_SIZE:
        y, z = np.empty(sums, dtype), np.empty(merged, dtype)
        kernel[dtype](x.reshape(merged), free, root, y, z, 0, 1)
    else:
        y, z = np.empty(sums, dtype), empty(merged, dtype)
        run(True, kernel, dtype, x.reshape(merged), free, root, y, z)
    return y.reshape(shape), z.reshape(x.shape)


def _in_order(x, axes, free, root):
    """The same of any array: its axes in the order of memory, where a loop fits these, or the ones to be reduced at the end."""
    order = order_in_memory(x)
    if not fits(x.transpose(order), places_in(order, axes)):
        order = [axis for axis in range(x.ndim) if axis not in axes] + list(axes)
    kept = [axis for axis in order if axis not in axes]
    rows = plain(x.transpose(order))
    if fits(rows, places_in(order, axes)):
        y, z = variance(rows, places_in(order, axes), free, root)
    else:  # there is nothing to reduce, or over
        M, K = math.prod(rows.shape[: len(kept)]), math.prod(rows.shape[len(kept) :])
        y, z = np.empty(M, x.dtype), np.empty((M, K), x.dtype)
        _ROWS[x.dtype](rows.reshape(M, K), free, root, y, z, 0, 1)
        y = y.reshape(rows.shape[: len(kept)])
    return y.transpose(np.argsort(kept)) if kept else y, z.reshape(rows.shape).transpose(np.argsort(order))
