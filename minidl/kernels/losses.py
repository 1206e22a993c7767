"""Losses of each element whose formula is too short for a kernel of each part: differences, squares and slopes in one."""

import numpy as np
from numba import types

from .elementwise import SHARED_SIZE, number, part_of, plain
from .jit import CodeByDtype, dense, jit
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


@jit
def label_parts(x, labels, weights, y):
    """y[n] = −weights[n]·x[n, labels[n]], and 0 where the weight is 0 or no class has this label"""
    for n in range(x.shape[0]):
        y[n] = 0
        if weights[n] != 0 and 0 <= labels[n] < x.shape[1]:
            y[n] = -weights[n] * x[n, labels[n]]


@jit
def label_slopes(dy, labels, weights, dx):
    """dx[n, labels[n]] = −weights[n]·dy[n], all others 0"""
    for n in range(dx.shape[0]):
        dx[n] = 0
        if weights[n] != 0 and 0 <= labels[n] < dx.shape[1]:
            dx[n, labels[n]] = -weights[n] * dy[n]


_LABELS = dense(types.int64, 1)
_label_parts = CodeByDtype(label_parts, lambda t: (dense(t, 2), _LABELS, dense(t, 1), dense(t, 1, True)))
_label_slopes = CodeByDtype(label_slopes, lambda t: (dense(t, 1), _LABELS, dense(t, 1), dense(t, 2, True)))
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


def negative_log_likelihood(x, labels, weights):
    """−weights[n]·x[n, labels[n]] for each row of x (N, C), and 0 where the weight is 0. labels are int64.

    >>> negative_log_likelihood(np.array([[-0.5, -1.0], [-2.0, -3.0]]), np.array([1, 0]), np.array([1.0, 0.5]))
    array([1., 1.])
    """
    y = np.empty(len(x), x.dtype)
    _check_rows("negative_log_likelihood", x, labels, weights, y)
    _label_parts[x.dtype](plain(x), plain(labels), plain(weights), y)
    return y


def negative_log_likelihood_backward(dy, labels, weights, classes):
    """The gradient of x (N, classes)."""
    dx = empty((len(dy), classes), dy.dtype)
    _check_rows("negative_log_likelihood_backward", dx, labels, weights, dy)
    _label_slopes[dx.dtype](plain(dy), plain(labels), plain(weights), dx)
    return dx


def _check_rows(name, x, labels, weights, y):
    alike = x.ndim == 2 and labels.shape == weights.shape == y.shape == x.shape[:1]
    if not alike or labels.dtype != np.int64 or not weights.dtype == y.dtype == x.dtype:
        got = ", ".join(f"{array.shape} of {array.dtype}" for array in (x, labels, weights, y))
        raise ValueError(f"{name}: expected arrays (N, C), (N,) of int64, (N,) and (N,), got {got}")
