"""Losses of each element whose formula is too short for a kernel of each part: differences, squares and slopes in one."""

from operator import index

import numpy as np
from numba import types

from .elementwise import SHARED_SIZE, number, part_of, plain
from .jit import CodeByDtype, dense, jit
from .memory import empty
from .rows import NO_DIVISOR, NO_WEIGHT
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


@jit
def label_total(x, labels, weight, ignore_index, mean, numbers, y):
    """y = Σ_n −w_n·x[n, labels[n]]/d for the labels' weights, by default 1, and numbers = [-1, the sum, d]

    d is the sum of the weights, or 1. At a label that is out of range it stops, and its index is numbers[0].
    """
    T, total, weights = x.dtype.type, 0.0, 0.0
    for n in range(x.shape[0]):
        label = labels[n]
        if label == ignore_index:
            continue
        if not 0 <= label < x.shape[1]:
            numbers[0] = n
            return
        w = weight[label] if weight.size else T(1)
        weights += w
        if w != 0:
            total += -w * x[n, label]
    divisor = T(weights) if mean else T(1)
    numbers[0], numbers[1], numbers[2] = -1, total, divisor
    y[()] = T(total) / divisor if divisor else T(np.nan)


@jit
def label_total_slopes(dy, labels, weight, ignore_index, numbers, dx):
    """dx[n, labels[n]] = −w_n·dy/numbers[2], all others 0"""
    T = dx.dtype.type
    share = dy[0] / T(numbers[2]) if numbers[2] else T(np.nan)
    for n in range(dx.shape[0]):
        dx[n], label = 0, labels[n]
        if label != ignore_index and 0 <= label < dx.shape[1]:
            w = weight[label] if weight.size else T(1)
            if w != 0:
                dx[n, label] = -w * share


_LABELS = dense(types.int64, 1)
_label_parts = CodeByDtype(label_parts, lambda t: (dense(t, 2), _LABELS, dense(t, 1), dense(t, 1, True)))
_label_slopes = CodeByDtype(label_slopes, lambda t: (dense(t, 1), _LABELS, dense(t, 1), dense(t, 2, True)))
_NUMBERS = dense(types.float64, 1)
_label_total = CodeByDtype(
    label_total,
    lambda t: (
        *(dense(t, 2), _LABELS, dense(t, 1), types.int64, types.boolean, dense(types.float64, 1, True), dense(t, 0, True)),
    ),
)
_label_total_slopes = CodeByDtype(
    label_total_slopes, lambda t: (dense(t, 1), _LABELS, dense(t, 1), types.int64, _NUMBERS, dense(t, 2, True))
)
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
    dx = empty((len(dy), index(classes)), dy.dtype)
    _check_rows("negative_log_likelihood_backward", dx, labels, weights, dy)
    _label_slopes[dx.dtype](plain(dy), plain(labels), plain(weights), dx)
    return dx


_INT64 = np.dtype(np.int64)


def negative_log_likelihood_total(x, labels, weight=None, ignore_index=-100, mean=True):
    """Σ_n −w·x[n, labels[n]] over the rows of x (N, C), w the weight of the label, or 1; and three numbers for backward.

    The mean divides by the sum of the weights; it is NaN if that is 0. A label that is `ignore_index` counts for nothing, any
    other that is not one of 0…C - 1 is an IndexError. labels are int64, the numbers [-1, the sum, what it is divided by].

    >>> negative_log_likelihood_total(np.array([[-0.5, -1.0], [-2.0, -3.0]]), np.array([1, 0]))
    (array(1.5), array([-1.,  3.,  2.]))
    """
    x, labels, dtype = plain(x), plain(labels), x.dtype
    if weight is not None or labels.dtype is not _INT64 or x.ndim != 2 or labels.shape != x.shape[:1]:
        _check_labels("negative_log_likelihood_total", x, labels, weight)
    weight = NO_WEIGHT[dtype] if weight is None else plain(weight)
    y, numbers = np.empty((), dtype), NO_DIVISOR.copy()  # no label is bad if the kernel does nothing (ahead.py)
    _label_total[dtype](x, labels, weight, ignore_index, mean, numbers, y)
    if numbers[0] >= 0:
        bad, classes = int(numbers[0]), x.shape[1]
        raise IndexError(
            f"nll_loss: label {labels[bad]} at index {bad} is out of range for {classes} classes: expected 0 to {classes - 1}, "
            f"or ignore_index {ignore_index}"
        )
    return y, numbers


def negative_log_likelihood_total_backward(dy, labels, numbers, classes, weight=None, ignore_index=-100):
    """The gradient of x (N, classes) for dy, one number; `numbers` is the second result of `negative_log_likelihood_total`."""
    dx = empty((len(labels), index(classes)), dy.dtype)
    _check_labels("negative_log_likelihood_total_backward", dx, labels, weight)
    if dy.size != 1 or numbers.shape != (3,) or numbers.dtype != np.float64:
        raise ValueError(
            "negative_log_likelihood_total_backward: expected dy of one number and three numbers of float64, got shape "
            f"{dy.shape}, and {numbers.shape} of {numbers.dtype}"
        )
    weight = NO_WEIGHT[dx.dtype] if weight is None else plain(weight)
    _label_total_slopes[dx.dtype](plain(dy).ravel(), plain(labels), weight, ignore_index, plain(numbers), dx)
    return dx


def _check_labels(name, x, labels, weight):
    weighted = weight is None or (weight.shape == x.shape[1:] and weight.dtype == x.dtype)
    if weighted and x.ndim == 2 and labels.shape == x.shape[:1] and labels.dtype == np.int64:
        return
    got = ", ".join("None" if array is None else f"{array.shape} of {array.dtype}" for array in (x, labels, weight))
    raise ValueError(f"{name}: expected x (N, C), labels (N,) of int64 and weights (C,) of x's dtype, got {got}")


def _check_rows(name, x, labels, weights, y):
    alike = x.ndim == 2 and labels.shape == weights.shape == y.shape == x.shape[:1]
    if not alike or labels.dtype != np.int64 or not weights.dtype == y.dtype == x.dtype:
        got = ", ".join(f"{array.shape} of {array.dtype}" for array in (x, labels, weights, y))
        raise ValueError(f"{name}: expected arrays (N, C), (N,) of int64, (N,) and (N,), got {got}")
