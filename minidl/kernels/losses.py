"""Losses of each element whose formula is too short for a kernel of each part: differences, squares and slopes in one."""

import numpy as np
from numba import types

from .elementwise import SHARED_SIZE, number, part_of, plain
from .jit import dense, jit
from .memory import empty
from .shares import SharedCode
from .threads import run


@jit
def differences(x, t, d, y, part, parts):
    x, t, d, y = part_of(x, part, parts), part_of(t, part, parts), part_of(d, part, parts), part_of(y, part, parts)
    for i in range(x.size):
        d[i] = x[i] - t[i]
    for i in range(x.size):
        y[i] = d[i] * d[i]


@jit
def slopes(dy, d, divisor, dx, part, parts):
    """dx = dy/divisor · 2d, for dy of one number or of as many as d."""
    divisor = dx.dtype.type(divisor)
    first = dy[0] / divisor if dy.size == 1 else divisor
    one, d, dx = dy.size == 1, part_of(d, part, parts), part_of(dx, part, parts)
    if one:
        for i in range(d.size):
            dx[i] = first * (d[i] + d[i])
    else:
        dy = part_of(dy, part, parts)
        for i in range(d.size):
            dx[i] = dy[i] / divisor * (d[i] + d[i])


_differences = SharedCode(differences, lambda t: (*[dense(t, 1)] * 2, *[dense(t, 1, True)] * 2))
_slopes = SharedCode(slopes, lambda t: (dense(t, 1), dense(t, 1), types.float64, dense(t, 1, True)))


def squared_error(x, t):
    """x − t and (x − t)² for two arrays of one shape and dtype.

    >>> squared_error(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    (array([ 0., -2.]), array([0., 4.]))
    """
    dtype, shape = x.dtype, x.shape
    if t.dtype != dtype or t.shape != shape:
        raise ValueError(f"squared_error: expected two arrays alike, got {shape} of {dtype} and {t.shape} of {t.dtype}")
    x, t = plain(x), plain(t)
    if x.size < SHARED_SIZE:
        d, y = np.empty(shape, dtype), np.empty(shape, dtype)
        _differences[dtype](x.ravel(), t.ravel(), d.ravel(), y.ravel(), 0, 1)
    else:
        d, y = empty(shape, dtype), empty(shape, dtype)
        run(True, _differences, dtype, x.ravel(), t.ravel(), d.ravel(), y.ravel())
    return d, y


def squared_error_backward(dy, d, divisor=1):
    """dy/divisor·2d, the gradient of x; dy is of d's shape, or one number for all. d is the first result of `squared_error`."""
    dtype, shape = d.dtype, d.shape
    if dy.dtype != dtype or (dy.size != 1 and dy.shape != shape):
        raise ValueError(
            f"squared_error_backward: expected dy of {dtype}, one number or {shape}, got {dy.dtype} of shape {dy.shape}"
        )
    dx, dy, d = (np.empty if d.size < SHARED_SIZE else empty)(shape, dtype), plain(dy), plain(d)
    run(d.size >= SHARED_SIZE, _slopes, dtype, dy.ravel(), d.ravel(), number(divisor), dx.ravel())
    return dx
