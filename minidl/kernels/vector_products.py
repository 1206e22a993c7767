"""Products of a matrix and a vector, and of two vectors. Long sums are cut, and the parts summed in float64 or apart."""

import numpy as np

from .jit import CodeByDtype, dense, jit, strided
from .shares import SharedCode
from .threads import run
from .tile import contiguous

STRIP = 2048  # elements of a matrix-vector product that stay in the L1 cache while columns are added to them
SUM = 1024  # products with a vector that are summed apart
UNIT = 64  # shares of it begin at multiples of this, so that every row meets the same vector or scalar code
PARALLEL_BYTES = 512 * 1024  # size of a matrix from which a second thread pays in a product with a vector


@jit(fastmath={"reassoc", "contract"}, forceinline=True)
def four_dots(p, q, r, s, x):
    t = u = v = w = x.dtype.type(0)
    for k in range(x.size):
        t += p[k] * x[k]
        u += q[k] * x[k]
        v += r[k] * x[k]
        w += s[k] * x[k]
    return t, u, v, w


@jit(fastmath={"reassoc", "contract"}, forceinline=True)
def add_columns_times(a, i0, k0, x, y):
    """y += the columns k0 … of a, times the numbers x, from row i0 on."""
    n, depth = y.size, x.size
    for k in range(0, depth - 3, 4):
        p, q = contiguous(a.T, k0 + k, i0, n), contiguous(a.T, k0 + k + 1, i0, n)
        r, s = contiguous(a.T, k0 + k + 2, i0, n), contiguous(a.T, k0 + k + 3, i0, n)
        for i in range(n):
            y[i] += p[i] * x[k] + q[i] * x[k + 1] + r[i] * x[k + 2] + s[i] * x[k + 3]
    for k in range(depth - depth % 4, depth):
        p = contiguous(a.T, k0 + k, i0, n)
        for i in range(n):
            y[i] += p[i] * x[k]


@jit(fastmath={"reassoc", "contract"})
def vector(a, x, bias, y, part, parts):
    """One share of y = a @ x + bias for a matrix with contiguous rows or contiguous columns."""
    rows, depth = a.shape
    units = (rows + UNIT - 1) // UNIT
    first, last = units * part // parts * UNIT, min(rows, units * (part + 1) // parts * UNIT)
    if a.strides[1] == a.itemsize:
        for i in range(first, last, 4):
            p, q = i, min(i + 1, last - 1)  # past the end the last row again
            r, s = min(i + 2, last - 1), min(i + 3, last - 1)
            t = u = v = w = 0.0
            for k in range(0, depth, SUM):
                n = min(SUM, depth - k)
                more = four_dots(
                    *(contiguous(a, p, k, n), contiguous(a, q, k, n), contiguous(a, r, k, n), contiguous(a, s, k, n)),
                    x[k : k + n],
                )
                t, u, v, w = t + more[0], u + more[1], v + more[2], w + more[3]
            y[s], y[r], y[q], y[p] = w, v, u, t
    else:
        apart = np.empty(min(STRIP, max(last - first, 0)) if depth > SUM else 0, y.dtype)
        for i in range(first, last, STRIP):
            strip = y[i : min(i + STRIP, last)]
            strip[:] = 0
            if depth <= SUM:
                add_columns_times(a, i, 0, x, strip)
                continue
            more = apart[: strip.size]
            for k in range(0, depth, SUM):
                more[:] = 0
                add_columns_times(a, i, k, x[k : min(k + SUM, depth)], more)
                for j in range(strip.size):
                    strip[j] += more[j]
    if bias.size == 1:  # one for all
        for i in range(first, last):
            y[i] += bias[0]
    elif bias.size:
        for i in range(first, last):
            y[i] += bias[i]


@jit(fastmath={"reassoc", "contract"})
def inner(x, y, out):
    """out[()] = Σ_k x[k] · y[k] for contiguous vectors."""
    whole = 0.0
    for first in range(0, x.size, SUM):
        p, q, s = x[first : min(first + SUM, x.size)], y[first : min(first + SUM, x.size)], x.dtype.type(0)
        for k in range(p.size):
            s += p[k] * q[k]
        whole += s
    out[()] = whole


def _vector_types(t):
    return strided(t, 2), dense(t, 1), dense(t, 1), dense(t, 1, True)


_vector = SharedCode(vector, _vector_types)
_inner = CodeByDtype(inner, lambda t: (dense(t, 1), dense(t, 1), dense(t, 0, True)))


def times_vector(a, x, bias, y):
    if a.itemsize not in a.strides:
        a = np.ascontiguousarray(a)
    run(a.nbytes > PARALLEL_BYTES, _vector, y.dtype, a, as_dense(x), bias, y)


def as_dense(x):
    return x if x.strides[0] == x.itemsize else np.ascontiguousarray(x)


def inner_product(x, y, out):
    """out[()] = Σ_k x[k] · y[k]"""
    _inner[out.dtype](as_dense(x), as_dense(y), out)
