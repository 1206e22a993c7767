"""Variances over any axes: a mean, what is left without it, and the sum of its squares, in one kernel.

Sums are made in float64 as in `sums`. The mean is rounded to the elements' dtype, so that the sum of x − μ is not exactly 0:
the mean of x − μ is subtracted once more.
"""

import math

import numpy as np
from numba import types

from .arrays import empty_array
from .elementwise import number, plain
from .jit import dense, jit
from .memory import empty
from .shares import SharedCode
from .sums import BLOCK, CHUNK, DEPTH, SHARED_SIZE, _plan, add_columns
from .threads import run


# The order of additions is free in these two, or they could not use vectors.
@jit(fastmath={"reassoc"}, forceinline=True)
def _sum(x):
    whole = 0.0
    for chunk in range(0, x.size, CHUNK):
        total = 0.0
        for first in range(chunk, min(chunk + CHUNK, x.size), BLOCK):
            block, s = x[first : min(first + BLOCK, x.size)], 0.0
            for k in range(block.size):
                s += np.float64(block[k])
            total += s
        whole += total
    return whole


@jit(fastmath={"reassoc"}, forceinline=True)
def _sum_of_squares(x):
    whole = 0.0
    for chunk in range(0, x.size, CHUNK):
        total = 0.0
        for first in range(chunk, min(chunk + CHUNK, x.size), BLOCK):
            block, s = x[first : min(first + BLOCK, x.size)], 0.0
            for k in range(block.size):
                v = np.float64(block[k])
                s += v * v
            total += s
        whole += total
    return whole


@jit
def variance_of_rows(x, free, root, y, z, part, parts):
    """z[m, k] = (x[m, k] − μ)/free for the mean μ of row m, and y[m] = Σ_k (x[m, k] − μ)²/free, or its root"""
    T, K = x.dtype.type, x.shape[1]
    for m in range(x.shape[0] * part // parts, x.shape[0] * (part + 1) // parts):
        row, d = x[m], z[m]
        mean = T(_sum(row) / K)
        for k in range(K):
            d[k] = row[k] - mean
        off = T(_sum(d) / K)
        if off - off == 0:  # an infinite one would make all elements NaN
            for k in range(K):
                d[k] -= off
        v = _sum_of_squares(d) / free
        y[m] = math.sqrt(v) if root else v
        for k in range(K):
            d[k] /= T(free)


@jit(forceinline=True)
def _means(x, some, mean):
    """mean[k] = Σ_n x[n, k]/N: sums of DEPTH rows each, made in `some`, are added"""
    N = x.shape[0]
    mean[:] = 0
    for first in range(0, N, DEPTH):
        some[:] = 0
        add_columns(x[first : min(first + DEPTH, N)], some)
        for k in range(mean.size):
            mean[k] += some[k]
    for k in range(mean.size):
        mean[k] /= N


@jit
def variance_of_columns(x, free, root, y, z, part, parts):
    """z[m, n, k] = (x[m, n, k] − μ)/free for the mean μ over n, and y[m, k] = Σ_n (x[m, n, k] − μ)²/free, or its root"""
    T, (M, N, K) = x.dtype.type, x.shape
    memory = empty_array(3 * K, np.float64)
    some, mean, squares = memory[:K], memory[K : 2 * K], memory[2 * K :]
    for m in range(M * part // parts, M * (part + 1) // parts):
        rows, d = x[m], z[m]
        _means(rows, some, mean)
        for n in range(N):
            for k in range(K):
                d[n, k] = rows[n, k] - T(mean[k])
        _means(d, some, mean)
        squares[:] = 0
        for k in range(K):
            off = T(mean[k])
            mean[k] = off if off - off == 0 else 0.0  # an infinite one would make all elements NaN
        for first in range(0, N, DEPTH):
            some[:] = 0
            for n in range(first, min(first + DEPTH, N)):
                for k in range(K):
                    v = d[n, k] - T(mean[k])
                    some[k] += np.float64(v) * np.float64(v)
                    d[n, k] = v / T(free)
            for k in range(K):
                squares[k] += some[k]
        for k in range(K):
            v = squares[k] / free
            y[m, k] = math.sqrt(v) if root else v


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
        return _in_rows(x, axes, free, root)
    kernel = _COLUMNS if kernel else _ROWS
    if x.size < SHARED_SIZE:
        y, z = np.empty(sums, dtype), np.empty(merged, dtype)
        kernel[dtype](x.reshape(merged), free, root, y, z, 0, 1)
    else:
        y, z = np.empty(sums, dtype), empty(merged, dtype)
        run(True, kernel, dtype, x.reshape(merged), free, root, y, z)
    return y.reshape(shape), z.reshape(x.shape)


def _in_rows(x, axes, free, root):
    """The same of any array: a copy whose last axes are those that are reduced."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    order = kept + list(axes)
    rows = plain(x.transpose(order))
    shape = rows.shape[: len(kept)]
    M, K = math.prod(shape), math.prod(rows.shape[len(kept) :])
    y, z = np.empty(M, x.dtype), empty((M, K), x.dtype)
    run(x.size >= SHARED_SIZE, _ROWS, x.dtype, rows.reshape(M, K), free, root, y, z)
    return y.reshape(shape), z.reshape(rows.shape).transpose(np.argsort(order))
