"""Softmax, its logarithm, logsumexp and cross-entropy, over the rows of a matrix.

All begin by taking the row's maximum off, so no exponential overflows and softmax([1000, 0]) is [1, 0]. Rows may be as
short as 10 classes, too short for vector code, so a block of rows is treated at once: maxima off row by row, then the
exponentials of the whole block in one long loop, then the sums row by row. A block stays in the first-level cache.
"""

import math

import numpy as np
from numba import prange

from . import vmath
from .elementwise import plain
from .jit import jit
from .threads import share

BLOCK = 2048  # elements treated at once
SHARED_SIZE = 32768  # elements from which a second thread pays for its launch

NO_WEIGHT = {np.dtype(T): np.ones(0, T) for T in (np.float32, np.float64)}


# In a reduction the order of additions is free, or it could not use vectors. NaN and inf come through all the same.


@jit(fastmath={"reassoc"}, forceinline=True)
def _sum(x):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total


@jit(fastmath={"reassoc", "contract"}, forceinline=True)
def _dot(x, y):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@jit(forceinline=True)
def _shift(x):
    """What to take off a row: its maximum, but 0 for a row of -inf, whose exponentials are then 0 and not NaN."""
    m = x.dtype.type(-np.inf)
    for i in range(x.size):
        m = vmath.maximum(m, x[i])
    return vmath.select(m == -np.inf, x.dtype.type(0), m)


@jit(forceinline=True)
def _exponentials(x, first, last, m, e):
    """For rows first..last of x: shifts in m and exp(x - shift) in e."""
    C = x.shape[1]
    for n in range(first, last):
        m[n - first] = _shift(x[n])
        row = e[(n - first) * C : (n - first + 1) * C]
        for c in range(C):
            row[c] = x[n, c] - m[n - first]
    for i in range((last - first) * C):
        e[i] = vmath.exp(e[i])


@jit(forceinline=True)
def _block_rows(x):
    return max(1, BLOCK // max(1, x.shape[1]))


@jit
def _softmax(x, y, part, parts):
    N, C = x.shape
    end = N * (part + 1) // parts
    step = _block_rows(x)
    m = np.empty(step, x.dtype)
    for first in range(N * part // parts, end, step):
        last = min(first + step, end)
        _exponentials(x, first, last, m, y[first:last].reshape(-1))
        for n in range(first, last):
            total = _sum(y[n])
            total = vmath.select(total == 0, x.dtype.type(1), total)  # a row of -inf stays 0
            for c in range(C):
                y[n, c] /= total


@jit(parallel=True)
def _softmax_shared(x, y, parts):
    for part in prange(parts):
        _softmax(x, y, part, parts)


@jit
def _logsumexp(x, shift_and_log, part, parts):
    """Per row the shift m and log Σ exp(x - m): kept apart, because their sum would lose digits to a large m."""
    N, C = x.shape
    end = N * (part + 1) // parts
    step = _block_rows(x)
    m, e = np.empty(step, x.dtype), np.empty(step * C, x.dtype)
    for first in range(N * part // parts, end, step):
        last = min(first + step, end)
        _exponentials(x, first, last, m, e)
        for n in range(first, last):
            shift_and_log[n, 0] = m[n - first]
            m[n - first] = _sum(e[(n - first) * C : (n - first + 1) * C])
        for n in range(first, last):
            shift_and_log[n, 1] = vmath.log(m[n - first])


@jit(parallel=True)
def _logsumexp_shared(x, shift_and_log, parts):
    for part in prange(parts):
        _logsumexp(x, shift_and_log, part, parts)


@jit
def _log_softmax(x, y, part, parts):
    N, C = x.shape
    end = N * (part + 1) // parts
    step = _block_rows(x)
    m, log_total = np.empty(step, x.dtype), np.empty(step, x.dtype)
    for first in range(N * part // parts, end, step):
        last = min(first + step, end)
        _exponentials(x, first, last, m, y[first:last].reshape(-1))
        for n in range(first, last):
            log_total[n - first] = _sum(y[n])
        for n in range(last - first):
            log_total[n] = vmath.log(vmath.select(log_total[n] == 0, x.dtype.type(1), log_total[n]))  # -inf stays -inf
        for n in range(first, last):
            for c in range(C):
                y[n, c] = (x[n, c] - m[n - first]) - log_total[n - first]


@jit(parallel=True)
def _log_softmax_shared(x, y, parts):
    for part in prange(parts):
        _log_softmax(x, y, part, parts)


@jit
def _softmax_backward(dy, y, dx, part, parts):
    N, C = y.shape
    for n in range(N * part // parts, N * (part + 1) // parts):
        mean = _dot(dy[n], y[n])
        for c in range(C):
            dx[n, c] = y[n, c] * (dy[n, c] - mean)


@jit(parallel=True)
def _softmax_backward_shared(dy, y, dx, parts):
    for part in prange(parts):
        _softmax_backward(dy, y, dx, part, parts)


@jit
def _log_softmax_backward(dy, y, dx, part, parts):
    N, C = y.shape
    step = _block_rows(y)
    end = N * (part + 1) // parts
    for first in range(N * part // parts, end, step):
        last = min(first + step, end)
        flat_y, flat_dx = y[first:last].reshape(-1), dx[first:last].reshape(-1)
        for i in range(flat_y.size):
            flat_dx[i] = vmath.exp(flat_y[i])
        for n in range(first, last):
            total = _sum(dy[n])
            for c in range(C):
                dx[n, c] = dy[n, c] - dx[n, c] * total


@jit(parallel=True)
def _log_softmax_backward_shared(dy, y, dx, parts):
    for part in prange(parts):
        _log_softmax_backward(dy, y, dx, part, parts)


def _check(name, what, array, shape):
    """Kernels check no bounds, so Python does."""
    if array is not None and array.shape != shape:
        raise ValueError(f"{name}: expected {what} of shape {shape}, got {array.shape}")


def _matrix(x, axis):
    """x with `axis` moved last, as a matrix of rows in the form for kernels."""
    if x.ndim == 2 and axis in (-1, 1):
        return plain(x)
    x = plain(np.moveaxis(x, axis, -1) if x.ndim else x.reshape(1))
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _unmatrix(y, x, axis):
    """The matrix y in the shape of x."""
    if y.shape == x.shape and axis in (-1, 1):
        return y
    if x.ndim == 0:
        return y.reshape(())
    shape = np.moveaxis(x, axis, -1).shape
    return np.ascontiguousarray(np.moveaxis(y.reshape(shape), -1, axis))


def softmax(x, axis=-1):
    """exp(xᵢ) / Σⱼ exp(xⱼ) along `axis`; 0 where all are -inf, so that a fully masked row has no weight."""
    rows = _matrix(x, axis)
    y = np.empty_like(rows)
    share(rows.size >= SHARED_SIZE, _softmax, _softmax_shared, rows, y)
    return _unmatrix(y, x, axis)


def softmax_backward(dy, y, axis=-1):
    """dxᵢ = yᵢ·(dyᵢ - Σⱼ dyⱼ·yⱼ), y = softmax(x)"""
    _check("softmax_backward", "dy", dy, y.shape)
    rows = _matrix(y, axis)
    dx = np.empty_like(rows)
    share(rows.size >= SHARED_SIZE, _softmax_backward, _softmax_backward_shared, _matrix(dy, axis), rows, dx)
    return _unmatrix(dx, y, axis)


def log_softmax(x, axis=-1):
    """xᵢ - ln Σⱼ exp(xⱼ) along `axis`; -inf where all are -inf."""
    rows = _matrix(x, axis)
    y = np.empty_like(rows)
    share(rows.size >= SHARED_SIZE, _log_softmax, _log_softmax_shared, rows, y)
    return _unmatrix(y, x, axis)


def log_softmax_backward(dy, y, axis=-1):
    """dxᵢ = dyᵢ - exp(yᵢ)·Σⱼ dyⱼ, y = log_softmax(x)"""
    _check("log_softmax_backward", "dy", dy, y.shape)
    rows = _matrix(y, axis)
    dx = np.empty_like(rows)
    pays = rows.size >= SHARED_SIZE
    share(pays, _log_softmax_backward, _log_softmax_backward_shared, _matrix(dy, axis), rows, dx)
    return _unmatrix(dx, y, axis)


def logsumexp(x, axis=-1):
    """ln Σⱼ exp(xⱼ) along `axis`, which is removed; -inf where all are -inf, or there are none."""
    rows = _matrix(x, axis)
    return _shift_and_log(rows).sum(1).reshape(np.delete(x.shape, axis) if x.ndim else ())


def _shift_and_log(logits):
    result = np.empty((logits.shape[0], 2), logits.dtype)
    share(logits.size >= SHARED_SIZE, _logsumexp, _logsumexp_shared, logits, result)
    return result


# Cross-entropy. With q the smoothed targets, (1 - ε)·target + ε/C, and p = softmax(logits):
#     loss = -Σ_c w_c·q_c·ln p_c        dloss/dlogit_c = (Σ_k w_k·q_k)·p_c - w_c·q_c
# What backward keeps is two numbers per row, the shift and the logarithm of `_logsumexp`: p is cheaper to compute again
# than to write and read.


@jit
def _label_losses(logits, labels, weight, ignore_index, smoothing, shift_and_log, shared, losses):
    """Fills `losses` up to the first label that is out of range; returns its index (or -1), Σ losses and Σ w[label]."""
    N, C = logits.shape
    T = logits.dtype.type
    keep, spread = T(1 - smoothing), T(smoothing / C)
    if not shared:
        _logsumexp(logits, shift_and_log, 0, 1)
    sum_of_losses = total = 0.0
    for n in range(N):
        label = labels[n]
        if label == ignore_index:
            losses[n] = 0
            continue
        if not 0 <= label < C:
            return n, sum_of_losses, total
        m, log_total = shift_and_log[n]
        w = weight[label] if weight.size else T(1)
        total += w
        loss = keep * w * (log_total - (logits[n, label] - m))
        if smoothing > 0:  # or 0·inf would be NaN for a class ruled out by a logit of -inf
            for c in range(C):
                w = weight[c] if weight.size else T(1)
                loss += spread * w * (log_total - (logits[n, c] - m))
        losses[n] = loss
        sum_of_losses += loss
    return -1, sum_of_losses, total


@jit(forceinline=True)
def _probabilities(logits, first, last, shift_and_log, p):
    """p[first:last] = softmax(logits[first:last])"""
    C = logits.shape[1]
    for n in range(first, last):
        m, log_total = shift_and_log[n]
        for c in range(C):
            p[n, c] = (logits[n, c] - m) - log_total
    flat = p[first:last].reshape(-1)
    for i in range(flat.size):
        flat[i] = vmath.exp(flat[i])


@jit
def _label_gradient(dloss, logits, shift_and_log, labels, weight, ignore_index, smoothing, dlogits, part, parts):
    C = logits.shape[1]
    T = logits.dtype.type
    keep, spread = T(1 - smoothing), T(smoothing / C)
    total = T(C)
    if weight.size:
        total = _sum(weight)
    step = _block_rows(logits)
    end = logits.shape[0] * (part + 1) // parts
    for first in range(logits.shape[0] * part // parts, end, step):
        last = min(first + step, end)
        _probabilities(logits, first, last, shift_and_log, dlogits)
        for n in range(first, last):
            label = labels[n]
            if label == ignore_index or not 0 <= label < C:  # forward has refused the latter; they may have been changed since
                for c in range(C):
                    dlogits[n, c] = 0
                continue
            w = weight[label] if weight.size else T(1)
            d = dloss[min(n, dloss.size - 1)]
            scale = d * (keep * w + spread * total)
            for c in range(C):
                dlogits[n, c] *= scale
            dlogits[n, label] -= d * keep * w
            if smoothing > 0:
                for c in range(C):
                    dlogits[n, c] -= d * spread * (weight[c] if weight.size else T(1))


@jit(parallel=True)
def _label_gradient_shared(dloss, logits, shift_and_log, labels, weight, ignore_index, smoothing, dlogits, parts):
    for part in prange(parts):
        _label_gradient(dloss, logits, shift_and_log, labels, weight, ignore_index, smoothing, dlogits, part, parts)


def _class_weight(weight, logits):
    return NO_WEIGHT[logits.dtype] if weight is None else plain(weight)


def cross_entropy(logits, labels, weight=None, ignore_index=-100, label_smoothing=0.0):
    """Losses (N,) in nats of logits (N, C) against int64 labels (N,); what backward needs, (N, 2); Σ losses and Σ w[label].

    A loss is -w[label]·ln p[label] with p the softmax of the row; with label smoothing ε it is (1 - ε) times that plus
    ε/C·Σ_c w[c]·(-ln p[c]). It is 0 where the label is `ignore_index`. Any other label outside 0..C-1 is an IndexError.
    """
    logits, labels = plain(logits), plain(labels)
    N, C = logits.shape
    if labels.shape != (N,) or (weight is not None and weight.shape != (C,)):
        _check("cross_entropy", "labels", labels, (N,))
        _check("cross_entropy", "class weights", weight, (C,))
    shift_and_log, losses = np.empty((N, 2), logits.dtype), np.empty(N, logits.dtype)
    shared = logits.size >= SHARED_SIZE
    if shared:
        share(True, _logsumexp, _logsumexp_shared, logits, shift_and_log)
    weight = _class_weight(weight, logits)
    smoothing = float(label_smoothing)
    bad, *sums = _label_losses(logits, labels, weight, ignore_index, smoothing, shift_and_log, shared, losses)
    if bad >= 0:
        raise IndexError(
            f"cross_entropy: label {labels[bad]} at index {bad} is out of range for {C} classes: expected 0 to {C - 1}, "
            f"or ignore_index {ignore_index}"
        )
    return losses, shift_and_log, *sums


def cross_entropy_backward(dloss, logits, lse, labels, weight=None, ignore_index=-100, label_smoothing=0.0):
    """dlogits (N, C) from the losses' cotangents, (N,) or (1,) for all alike; `lse` is `cross_entropy`'s second result."""
    logits, name = plain(logits), "cross_entropy_backward"
    rows = logits.shape[:1]
    if labels.shape != rows or lse.shape != (*rows, 2) or (dloss.shape != rows and dloss.shape != (1,)) or weight is not None:
        _check(name, "dloss", dloss, rows if dloss.shape != (1,) else (1,))
        _check(name, "lse", lse, (*rows, 2))
        _check(name, "labels", labels, rows)
        _check(name, "class weights", weight, logits.shape[1:])
    dlogits = np.empty(logits.shape, logits.dtype)
    share(
        logits.size >= SHARED_SIZE,
        _label_gradient,
        _label_gradient_shared,
        plain(dloss),
        logits,
        lse,
        plain(labels),
        _class_weight(weight, logits),
        ignore_index,
        float(label_smoothing),
        dlogits,
    )
    return dlogits


@jit
def _soft_losses(logits, targets, weight, smoothing, shift_and_log, losses):
    N, C = logits.shape
    T = logits.dtype.type
    keep, spread = T(1 - smoothing), T(smoothing / C)
    for n in range(N):
        m, log_total = shift_and_log[n]
        loss = T(0)
        for c in range(C):
            q = keep * targets[n, c] + spread
            if weight.size:
                q *= weight[c]
            loss += vmath.select(q == 0, T(0), q * (log_total - (logits[n, c] - m)))  # 0·ln 0 is 0
        losses[n] = loss


@jit
def _soft_gradient(dloss, logits, shift_and_log, targets, weight, smoothing, dlogits, part, parts):
    N, C = logits.shape
    T = logits.dtype.type
    keep, spread = T(1 - smoothing), T(smoothing / C)
    step = _block_rows(logits)
    end = N * (part + 1) // parts
    for first in range(N * part // parts, end, step):
        last = min(first + step, end)
        _probabilities(logits, first, last, shift_and_log, dlogits)
        for n in range(first, last):
            total = T(0)
            for c in range(C):
                total += (keep * targets[n, c] + spread) * (weight[c] if weight.size else T(1))
            for c in range(C):
                q = (keep * targets[n, c] + spread) * (weight[c] if weight.size else T(1))
                dlogits[n, c] = dloss[n] * (total * dlogits[n, c] - q)


@jit(parallel=True)
def _soft_gradient_shared(dloss, logits, shift_and_log, targets, weight, smoothing, dlogits, parts):
    for part in prange(parts):
        _soft_gradient(dloss, logits, shift_and_log, targets, weight, smoothing, dlogits, part, parts)


def cross_entropy_soft(logits, targets, weight=None, label_smoothing=0.0):
    """Losses (N,) -Σ_c w[c]·q[c]·ln p[c] against targets (N, C), q = (1 - ε)·targets + ε/C; and (N, 2) for backward."""
    logits, targets = plain(logits), plain(targets)
    _check("cross_entropy_soft", "targets", targets, logits.shape)
    _check("cross_entropy_soft", "class weights", weight, logits.shape[1:])
    shift_and_log = _shift_and_log(logits)
    losses = np.empty(len(logits), logits.dtype)
    _soft_losses(logits, targets, _class_weight(weight, logits), float(label_smoothing), shift_and_log, losses)
    return losses, shift_and_log


def cross_entropy_soft_backward(dloss, logits, lse, targets, weight=None, label_smoothing=0.0):
    """dlogits (N, C); `lse` is the second result of `cross_entropy_soft`."""
    logits, name = plain(logits), "cross_entropy_soft_backward"
    _check(name, "dloss", dloss, logits.shape[:1])
    _check(name, "lse", lse, (len(logits), 2))
    _check(name, "targets", targets, logits.shape)
    _check(name, "class weights", weight, logits.shape[1:])
    dlogits = np.empty_like(logits)
    share(
        logits.size >= SHARED_SIZE,
        _soft_gradient,
        _soft_gradient_shared,
        plain(dloss),
        logits,
        lse,
        plain(targets),
        _class_weight(weight, logits),
        float(label_smoothing),
        dlogits,
    )
    return dlogits


def cross_entropy_soft_backward_targets(dloss, logits, lse, weight=None, label_smoothing=0.0):
    """dtargets[n, c] = dloss[n]·(1 - ε)·w[c]·(-ln p[n, c])"""
    surprise = lse[:, 1:] - (logits - lse[:, :1])
    scale = logits.dtype.type(1 - label_smoothing) * dloss[:, None]
    return scale * surprise if weight is None else scale * weight * surprise
