"""Sums over any axes, and sums of squares: every element is added in float64, so that no long sum of float32 loses digits.

Ten thousand numbers added one after the other in float32 are wrong in the third digit where the partial sums are large, and
from 2²⁴ on adding 1 changes nothing. In float64 the error of a sum of n float32 numbers is below n·10⁻¹⁶ of their size. Sums of
float64 are blocked: blocks are summed apart, then their sums, so that the error grows with the logarithm of n.

There are two loops: along rows, whose elements are neighbours in memory, and down columns, many of them side by side. Other
axes are moved and merged until one of the two fits.
"""

import functools
import math

import numpy as np
from numba import types

from .arrays import empty_array, reshaped
from .copies import zeros
from .elementwise import plain
from .jit import CodeByDtype, dense, jit
from .memory import empty
from .shares import SharedCode
from .threads import run
from .tile import contiguous
from .vmath import scalar

BLOCK = 512  # elements of a row that are summed apart
CHUNK = 64 * BLOCK  # elements of a row, and
DEPTH = 256  # rows of a matrix, that are summed apart: alike for every number of threads
STRIP = 512  # columns treated at once: their sums stay in the L1 cache
NARROW = 64  # rows with fewer elements than this are laid side by side until they have as many
SHARED_SIZE = 65536  # elements from which a second thread pays for its launch


@scalar
def _itself(x):
    return np.float64(x)


@scalar
def _square(x):
    return np.float64(x) * np.float64(x)


def _loops(term):
    """The two kernels for sums of term(x)."""

    # The order of additions is free, or a sum could not use vectors; NaN and inf come through all the same.
    def along_rows(x, y, z, part, parts):
        """y[m] = Σ_k x[m, k], or, where there is room in z, that rounded: z[m]"""
        for m in range(x.shape[0] * part // parts, x.shape[0] * (part + 1) // parts):
            row, whole = x[m], 0.0
            for chunk in range(0, row.size, CHUNK):
                total = 0.0
                for first in range(chunk, min(chunk + CHUNK, row.size), BLOCK):
                    block, s = row[first : min(first + BLOCK, row.size)], 0.0
                    for k in range(block.size):
                        s += term(block[k])
                    total += s
                whole += total
            if z.size:
                z[m] = whole
            else:
                y[m] = whole

    # The order of additions is fixed here: where a strip begins must not show in the bits.
    def down_columns(x, y, z, part, parts):
        """y[m, k] = Σ_n x[m, n, k], or, where there is room in z, that rounded: z[m, k]"""
        M, N, K = x.shape
        strips = (K + STRIP - 1) // STRIP
        scratch, rows = empty_array(min(STRIP, K) if z.size else 0, np.float64), reshaped(x, (M * N, K))
        for unit in range(M * strips * part // parts, M * strips * (part + 1) // parts):
            m, j = unit // strips, unit % strips * STRIP
            w = min(STRIP, K - j)
            total = scratch[:w] if z.size else contiguous(y, m, j, w)
            total[:] = 0
            for n in range(0, N - 3, 4):
                i = m * N + n
                p, q = contiguous(rows, i, j, w), contiguous(rows, i + 1, j, w)
                r, s = contiguous(rows, i + 2, j, w), contiguous(rows, i + 3, j, w)
                for k in range(w):
                    total[k] += (term(p[k]) + term(q[k])) + (term(r[k]) + term(s[k]))
            for n in range(N - N % 4, N):
                p = contiguous(rows, m * N + n, j, w)
                for k in range(w):
                    total[k] += term(p[k])
            if z.size:
                rounded = contiguous(z, m, j, w)
                for k in range(w):
                    rounded[k] = total[k]

    for loop in along_rows, down_columns:
        loop.__qualname__ += term.__name__  # keeps apart the cache files of kernels that come from the same lines
    rows, columns = jit(along_rows, fastmath={"reassoc"}), jit(down_columns)
    return [
        SharedCode(kernel, lambda t, n=n, of=of: (dense(of or t, n + 1), dense(types.float64, n, True), dense(t, n, True)))
        for of in (None, types.float64)  # of elements, and of float64 sums of them
        for n, kernel in ((1, rows), (2, columns))
    ]


@jit
def add_columns(x, total):
    """total[k] += Σ_n x[n, k], for other kernels; total is float64."""
    N = x.shape[0]
    for n in range(0, N - 3, 4):
        p, q, r, s = x[n], x[n + 1], x[n + 2], x[n + 3]
        for k in range(total.size):
            total[k] += (np.float64(p[k]) + np.float64(q[k])) + (np.float64(r[k]) + np.float64(s[k]))
    for n in range(N - N % 4, N):
        for k in range(total.size):
            total[k] += x[n, k]


@jit
def running(x, y, backwards, totals):
    """y[m, n, k] = Σ x[m, i, k] over i ≤ n, or i ≥ n; totals (K,) are overwritten."""
    M, N, K = x.shape
    for m in range(M):
        totals[:] = 0
        for i in range(N):
            n = N - 1 - i if backwards else i
            p, q = x[m, n], y[m, n]
            for k in range(K):
                totals[k] += p[k]
                q[k] = totals[k]


_running = CodeByDtype(running, lambda t: (dense(t, 3), dense(t, 3, True), types.boolean, dense(types.float64, 1, True)))
_SUMS, _SUMS_OF_SQUARES = _loops(_itself), _loops(_square)
_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
_NONE = [{dtype: np.empty((0,) * n, dtype) for dtype in (_F32, _F64)} for n in (1, 2)]
_NO_SUMS = [none[_F64] for none in _NONE]


@jit
def divide(y, divisor):
    divisor = y.dtype.type(divisor)
    for i in range(y.size):
        y[i] /= divisor


_divide = CodeByDtype(divide, lambda t: (dense(t, 1, True), types.float64))


def sum_over(x, axes, keepdims=False, divisor=1):
    """Σ x over the axes, as x.sum(axes, keepdims=keepdims) is for NumPy, but added in float64 and rounded once.

    It is then divided by the divisor. Integers are added as integers.

    >>> sum_over(np.full((2, 1000), 0.1, np.float32), (1,))
    array([100., 100.], dtype=float32)
    """
    if x.dtype.kind != "f":
        y = np.add.reduce(x, axis=axes, keepdims=keepdims)
        return y if divisor == 1 else y / divisor
    kernel, merged, sums, shape, small = _plan(x.shape, axes)
    if small and x.dtype is _F32 and x.flags.carray:  # as `_total` would, for the usual ones
        y = np.empty(sums, _F32)
        _SUMS[kernel][_F32](x.reshape(merged), _NO_SUMS[kernel], y, 0, 1)
        y = y if shape == sums else y.reshape(shape)
    else:
        y = _total(x, axes, False, x.dtype)
    if divisor != 1:
        flat = y.reshape(-1) if y.flags.carray else y.ravel("K")
        if flat.base is None:  # a copy. NumPy may change no result of a kernel: a remembered step would not see it
            y = y / y.dtype.type(divisor)
        else:
            _divide[y.dtype](flat, divisor)
    return y.reshape(_kept(x.shape, axes)) if keepdims else y


@functools.lru_cache(1024)
def _kept(shape, axes):
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def running_sums(x, axis, backwards=False):
    """Σ x over all places along the axis up to each one (or from it on, backwards), added in float64.

    >>> running_sums(np.array([1.0, 2.0, 3.0]), 0), running_sums(np.array([1.0, 2.0, 3.0]), 0, backwards=True)
    (array([1., 3., 6.]), array([6., 5., 3.]))
    """
    if not x.ndim:
        return x.copy()
    if x.dtype.kind != "f":
        return np.cumsum(x, axis)
    x, shape = plain(x), x.shape
    y = empty(shape, x.dtype)
    if x.size:
        blocks = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        _running[x.dtype](x.reshape(blocks), y.reshape(blocks), backwards, np.empty(blocks[2]))
    return y


def total(x, axes, squares=False):
    """Σ x, or Σ x², over the axes (a tuple of distinct, non-negative ones), which are dropped: a float64 array.

    >>> total(np.full((2, 100), 0.5, np.float32), (1,), squares=True)
    array([25., 25.])
    """
    return _total(x, axes, squares, _F64)


def _total(x, axes, squares, dtype):
    """`total`, rounded to the dtype: float64, or that of the elements."""
    kernel, merged, sums, shape, small = _plan(x.shape, axes)
    flags = x.flags
    if not (flags.carray or (flags.c_contiguous and flags.aligned)):
        return _permuted(x, axes, squares, dtype)
    if merged is None:
        return _in_two_steps(x, axes, squares, dtype)
    x, y = x.reshape(merged), np.empty(shape, dtype)
    if not small:
        (_down_columns if kernel else _along_rows)(x, squares, y.reshape(sums))
    else:
        _fill(kernel, squares, x, y.reshape(sums))
    return y


@functools.lru_cache(1024)
def _plan(shape, axes):
    """How an array of this shape is summed over these axes: by which kernel, 0 or 1; its shape there, (M, K) or (M, N, K);
    the shape of the sums there, and at last; and whether it is `small`, done by one call of the kernel.

    All are None where neither kernel fits.
    """
    ndim, number = len(shape), len(axes)
    whole = all(isinstance(axis, (int, np.integer)) for axis in axes)
    if not whole or any(not 0 <= axis < ndim for axis in axes) or len(set(axes)) < number:
        raise ValueError(f"total: expected distinct axes from 0 to {ndim - 1}, got {axes}")
    if not number or 0 in shape:
        return (None,) * 5
    first, last = min(axes), max(axes) + 1
    if last - first > number:  # not neighbours
        return (None,) * 5
    outer, n, inner = math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])
    small, left = outer * n * inner < SHARED_SIZE, shape[:first] + shape[last:]
    if last == ndim or (inner == 1 and ndim > 2):
        return 0, (outer, n), (outer,), left, small
    return 1, (outer, n, inner), (outer, inner), left, small and (outer > 1 or n < 2 * NARROW)


def order_in_memory(x):
    """The axes of x, from the one whose neighbours lie farthest apart."""
    return sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))


def places_in(order, axes):
    """Where these axes are among those in this order."""
    return tuple(i for i, axis in enumerate(order) if axis in axes)


def fits(x, axes):
    """Whether the loops along rows or down columns, of this file and others, go over these axes of x as it lies."""
    return _plan(x.shape, axes)[0] is not None and x.flags.c_contiguous


def _in_two_steps(x, axes, squares, dtype):
    """The sum over axes that are not neighbours, or over none, or of nothing."""
    if not axes:
        x = x.astype(np.float64)
        return (x * x if squares else x).astype(dtype)
    if not x.size:
        return zeros([size for axis, size in enumerate(x.shape) if axis not in axes], dtype)
    last = max(axes)
    later = [axis for axis in axes if last - axis == sum(other > axis for other in axes)]  # those next to the last one
    rest = tuple(axis for axis in axes if axis not in later)
    return _total(_total(x, tuple(later), squares, _F64), rest, False, dtype)


def _permuted(x, axes, squares, dtype):
    """The sum of an array that is not contiguous: its axes in the order of their strides, a copy if need be."""
    order = order_in_memory(x)
    kept = [axis for axis in order if axis not in axes]
    y = _total(plain(x.transpose(order)), places_in(order, axes), squares, dtype)
    return y.transpose(np.argsort(kept)) if kept else y


def _fill(number, squares, x, y):
    """y by kernel `number` of `_loops`. y is float64, or of the dtype of x, or of that of which x are sums."""
    dtype, rounding = x.dtype, y.dtype
    if rounding is _F64:
        kernel = (_SUMS_OF_SQUARES if squares else _SUMS)[number]
        sums, rounded = y, _NONE[number].get(dtype)
    else:
        kernel = (_SUMS_OF_SQUARES if squares else _SUMS)[number if rounding is dtype else 2 + number]
        sums, rounded, dtype = _NONE[number][_F64], y, rounding
    if x.size < SHARED_SIZE:
        kernel[dtype](x, sums, rounded, 0, 1)
    else:
        run(True, kernel, dtype, x, sums, rounded)


def _along_rows(x, squares, y):
    M, K = x.shape
    if M == 1 and K >= 2 * CHUNK:  # chunks, for several threads
        count = K // CHUNK
        whole = count * CHUNK
        sums = np.empty(count + (whole < K))
        _along_rows(x[0, :whole].reshape(-1, CHUNK), squares, sums[:count])
        if whole < K:
            _along_rows(x[:, whole:], squares, sums[count:])
        return _along_rows(sums.reshape(1, -1), False, y)
    _fill(0, squares, x, y)


def _down_columns(x, squares, y):
    M, N, K = x.shape
    if M == 1 and N >= 2 * NARROW:
        if K < NARROW:  # rows side by side
            beside = -(-NARROW // K)
            whole = N - N % beside
            sums = np.empty((1, beside + (whole < N), K))
            _down_columns(x[0, :whole].reshape(1, -1, beside * K), squares, sums[0, :beside].reshape(1, -1))
            if whole < N:
                _down_columns(x[:, whole:], squares, sums[0, beside:])
            x, squares = sums, False
        elif N >= 2 * DEPTH:  # chunks, for several threads and for accuracy
            count = N // DEPTH
            whole = count * DEPTH
            sums = np.empty((1, count + (whole < N), K))
            _down_columns(x[0, :whole].reshape(-1, DEPTH, K), squares, sums[0, :count])
            if whole < N:
                _down_columns(x[:, whole:], squares, sums[0, count:])
            return _down_columns(sums, False, y)
    _fill(1, squares, x, y)
