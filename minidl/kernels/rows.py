"""Softmax, its logarithm, logsumexp and cross-entropy, over the rows of a matrix.

All begin by taking the row's maximum off, so no exponential overflows and softmax([1000, 0]) is [1, 0]. Rows may be as
short as 10 classes, too short for vector code, so a block of rows is treated at once: maxima off row by row, then the
exponentials of the whole block in one long loop, then the sums row by row. A block stays in the first-level cache.
The logarithms of sums, which cross-entropy takes, go down the columns of a block instead where the classes are few.
"""

import math

import numpy as np
from numba import types

from . import vmath
from .arrays import empty_array, reshaped
from .elementwise import number, plain
from .jit import CodeByDtype, dense, jit
from .memory import empty
from .shares import SharedCode
from .threads import run
from .tile import fetch

BLOCK = 2048  # elements treated at once
AHEAD = 128  # elements of the next block that are sent for while as many of this one are computed
FEW = 32  # classes; more are no quicker down the columns
LARGE = 1 << 18  # elements that do not stay in the second-level cache
SHARED_SIZE = 32768  # elements from which a second thread pays for its launch

NO_WEIGHT = {np.dtype(T): np.ones(0, T) for T in (np.float32, np.float64)}
NO_LABELS = np.zeros(0, np.int64)


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
    """What to take off a row: its maximum, but 0 for a row of -inf, whose exponentials are then 0 and not NaN.

    Of a row with a NaN it may be any number: its exponentials have the NaN, and so has their sum.
    """
    m = x.dtype.type(-np.inf)
    for i in range(x.size):
        m = vmath.maximum(m, x[i])
    return vmath.select(m == -np.inf, x.dtype.type(0), m)


@jit(forceinline=True)
def _exponentials(x, m, e, ahead):
    """For the rows of x: shifts in m and exp(x - shift) in e. ahead: whether the memory that follows on x and e comes next."""
    N, C = x.shape
    for n in range(N):
        m[n] = shift = _shift(x[n])
        row = e[n * C : (n + 1) * C]
        for c in range(C):
            row[c] = x[n, c] - shift
    if not ahead:
        for i in range(N * C):
            e[i] = vmath.exp_of_negative(e[i])
        return
    for first in range(0, N * C, AHEAD):
        some = e[first : min(first + AHEAD, N * C)]
        fetch(x, N * C + first, AHEAD)
        fetch(e, N * C + first, AHEAD)
        for i in range(some.size):
            some[i] = vmath.exp_of_negative(some[i])


@jit(forceinline=True)
def _block_rows(x):
    return max(1, min(x.shape[0], BLOCK // max(1, x.shape[1])))


@jit
def softmax_rows(x, y, part, parts):
    N, C = x.shape
    end = N * (part + 1) // parts
    step = _block_rows(x)
    m = empty_array(step, x.dtype)
    for first in range(N * part // parts, end, step):
        block = y[first : min(first + step, end)]
        _exponentials(x[first : min(first + step, end)], m, reshaped(block, block.size), x.size >= LARGE)
        for n in range(block.shape[0]):
            total = _sum(block[n])
            one = x.dtype.type(1)
            share = one / vmath.select(total == 0, one, total)  # a row of -inf stays 0
            for c in range(C):
                block[n, c] *= share


@jit(forceinline=True)
def _down_columns(x, shift_and_log, totals, m, e):
    """shifts_and_logs of few classes: their rows are too short for vector code, so it goes down the columns."""
    N, C = x.shape
    for n in range(N):
        m[n] = -np.inf
    for c in range(C):
        column = e[c * N : (c + 1) * N]
        for n in range(N):
            column[n] = x[n, c]
        for n in range(N):
            m[n] = vmath.maximum(m[n], column[n])
    for n in range(N):
        m[n] = vmath.select(m[n] == -np.inf, x.dtype.type(0), m[n])
        totals[n] = 0
    for c in range(C):
        column = e[c * N : (c + 1) * N]
        for n in range(N):
            totals[n] += vmath.exp_of_negative(column[n] - m[n])
    for n in range(N):
        totals[n] = vmath.log(totals[n])
    for n in range(N):
        shift_and_log[n, 0], shift_and_log[n, 1] = m[n], totals[n]


@jit
def shifts_and_logs(x, shift_and_log, part, parts):
    """Per row the shift m and log Σ exp(x - m): kept apart, because their sum would lose digits to a large m."""
    N, C = x.shape
    end = N * (part + 1) // parts
    step = _block_rows(x)
    memory = empty_array(step * (C + 2), x.dtype)
    totals, m, e = memory[:step], memory[step : 2 * step], memory[2 * step :]
    for first in range(N * part // parts, end, step):
        block = shift_and_log[first : min(first + step, end)]
        if C < FEW:
            _down_columns(x[first : min(first + step, end)], block, totals, m, e)
            continue
        _exponentials(x[first : min(first + step, end)], block[:, 0], e, False)
        for n in range(block.shape[0]):
            totals[n] = _sum(e[n * C : (n + 1) * C])
        for n in range(block.shape[0]):
            block[n, 1] = vmath.log(totals[n])


@jit
def log_softmax_rows(x, y, part, parts):
    N, C = x.shape
    end = N * (part + 1) // parts
    step = _block_rows(x)
    m, log_total = empty_array(step, x.dtype), empty_array(step, x.dtype)
    for first in range(N * part // parts, end, step):
        logits, block = x[first : min(first + step, end)], y[first : min(first + step, end)]
        rows = block.shape[0]
        _exponentials(logits, m, reshaped(block, block.size), x.size >= LARGE)
        for n in range(rows):
            log_total[n] = _sum(block[n])
        for n in range(rows):
            log_total[n] = vmath.log(vmath.select(log_total[n] == 0, x.dtype.type(1), log_total[n]))  # -inf stays -inf
        for n in range(rows):
            shift, log = m[n], log_total[n]
            for c in range(C):
                block[n, c] = (logits[n, c] - shift) - log


@jit
def softmax_gradient(dy, y, dx, part, parts):
    N, C = y.shape
    for n in range(N * part // parts, N * (part + 1) // parts):
        mean = _dot(dy[n], y[n])
        for c in range(C):
            dx[n, c] = y[n, c] * (dy[n, c] - mean)


@jit
def log_softmax_gradient(dy, y, dx, part, parts):
    N, C = y.shape
    step = _block_rows(y)
    end = N * (part + 1) // parts
    for first in range(N * part // parts, end, step):
        last = min(first + step, end)
        flat_y, flat_dx = reshaped(y[first:last], (last - first) * C), reshaped(dx[first:last], (last - first) * C)
        for i in range(flat_y.size):
            flat_dx[i] = vmath.exp_of_negative(flat_y[i])
        for n in range(first, last):
            total = _sum(dy[n])
            for c in range(C):
                dx[n, c] = dy[n, c] - dx[n, c] * total


def _one_array(t):
    return dense(t, 2), dense(t, 2, True)


def _two_arrays(t):
    return dense(t, 2), dense(t, 2), dense(t, 2, True)


_softmax = SharedCode(softmax_rows, _one_array)
_log_softmax, _logsumexp = SharedCode(log_softmax_rows, _one_array), SharedCode(shifts_and_logs, _one_array)
_softmax_backward = SharedCode(softmax_gradient, _two_arrays)
_log_softmax_backward = SharedCode(log_softmax_gradient, _two_arrays)


def _check(name, like, **expected):
    """Kernels check no bounds, so Python does: expected is name=(array or None, shape), all of one dtype with `like`."""
    for what, (array, shape) in expected.items():
        if array is not None and (array.shape != shape or array.dtype != like.dtype):
            raise ValueError(f"{name}: expected {what} of shape {shape} and {like.dtype}, got {array.shape} and {array.dtype}")


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
    y = empty(rows.shape, rows.dtype)
    if rows.size:  # or a walk along no end of empty rows
        run(rows.size >= SHARED_SIZE, _softmax, rows.dtype, rows, y)
    return _unmatrix(y, x, axis)


def softmax_backward(dy, y, axis=-1):
    """dxᵢ = yᵢ·(dyᵢ - Σⱼ dyⱼ·yⱼ), y = softmax(x)"""
    return _backward("softmax_backward", _softmax_backward, dy, y, axis)


def log_softmax(x, axis=-1):
    """xᵢ - ln Σⱼ exp(xⱼ) along `axis`; -inf where all are -inf."""
    rows = _matrix(x, axis)
    y = empty(rows.shape, rows.dtype)
    if rows.size:
        run(rows.size >= SHARED_SIZE, _log_softmax, rows.dtype, rows, y)
    return _unmatrix(y, x, axis)


def log_softmax_backward(dy, y, axis=-1):
    """dxᵢ = dyᵢ - exp(yᵢ)·Σⱼ dyⱼ, y = log_softmax(x)"""
    return _backward("log_softmax_backward", _log_softmax_backward, dy, y, axis)


def _backward(name, kernel, dy, y, axis):
    _check(name, y, dy=(dy, y.shape))
    rows = _matrix(y, axis)
    dx = empty(rows.shape, rows.dtype)
    if rows.size:
        run(rows.size >= SHARED_SIZE, kernel, rows.dtype, _matrix(dy, axis), rows, dx)
    return _unmatrix(dx, y, axis)


def logsumexp(x, axis=-1):
    """ln Σⱼ exp(xⱼ) along `axis`, which is removed; -inf where all are -inf, or there are none."""
    rows = _matrix(x, axis)
    return _shift_and_log(rows).sum(1).reshape(np.delete(x.shape, axis) if x.ndim else ())


def _shift_and_log(logits):
    result = np.empty((logits.shape[0], 2), logits.dtype)
    run(logits.size >= SHARED_SIZE, _logsumexp, logits.dtype, logits, result)
    return result


# Cross-entropy. With q the smoothed targets, (1 - ε)·target + ε/C, and p = softmax(logits):
#     loss = -Σ_c w_c·q_c·ln p_c        dloss/dlogit_c = (Σ_k w_k·q_k)·p_c - w_c·q_c
# What backward keeps is two numbers per row, the shift and the logarithm of `_logsumexp`: p is cheaper to compute again
# than to write and read.


@jit
def label_losses(logits, labels, weight, ignore_index, smoothing, shift_and_log, known, mean, losses, numbers, y):
    """Fills `losses`, numbers = [-1, Σ losses, divisor] and y = [Σ losses / divisor], the divisor Σ w[label] or 1.

    At a label that is out of range it stops, and its index is numbers[0].
    """
    N, C = logits.shape
    T = logits.dtype.type
    keep, spread = T(1 - smoothing), T(smoothing / C)
    if not known:
        shifts_and_logs(logits, shift_and_log, 0, 1)
    sum_of_losses = total = 0.0
    for n in range(N):
        label = labels[n]
        if label == ignore_index:
            losses[n] = 0
            continue
        if not 0 <= label < C:
            numbers[0] = n
            return
        m, log_total = shift_and_log[n, 0], shift_and_log[n, 1]
        w = weight[label] if weight.size else T(1)
        total += w
        loss = np.float64(keep * w * (log_total - (logits[n, label] - m)))
        if smoothing > 0:  # or 0·inf would be NaN for a class ruled out by a logit of -inf
            for c in range(C):
                w = weight[c] if weight.size else T(1)
                loss += spread * w * (log_total - (logits[n, c] - m))
        losses[n] = loss
        sum_of_losses += loss
    if not mean:
        total = 1.0
    numbers[0], numbers[1], numbers[2] = -1, sum_of_losses, total
    y[0] = sum_of_losses / total if total else np.nan


@jit(forceinline=True)
def _probabilities(logits, shift_and_log, p):
    """p = softmax(logits)"""
    N, C = logits.shape
    for n in range(N):
        m, log_total = shift_and_log[n, 0], shift_and_log[n, 1]
        for c in range(C):
            p[n, c] = (logits[n, c] - m) - log_total
    flat = reshaped(p, p.size)
    for i in range(flat.size):
        flat[i] = vmath.exp_of_negative(flat[i])


@jit
def label_gradient(logits, dloss, numbers, shift_and_log, labels, weight, ignore_index, smoothing, dlogits, part, parts):
    C = logits.shape[1]
    scale = 1 / numbers[2] if numbers[2] else np.nan
    T = logits.dtype.type
    keep, spread = T(1 - smoothing), T(smoothing / C)
    total = T(C)
    if weight.size:
        total = _sum(weight)
    step = _block_rows(logits)
    end = logits.shape[0] * (part + 1) // parts
    for first in range(logits.shape[0] * part // parts, end, step):
        last = min(first + step, end)
        _probabilities(logits[first:last], shift_and_log[first:last], dlogits[first:last])
        for n in range(first, last):
            label, row = labels[n], dlogits[n]
            if label == ignore_index or not 0 <= label < C:  # forward has refused the latter; they may have been changed since
                for c in range(C):
                    row[c] = 0
                continue
            w = weight[label] if weight.size else T(1)
            d = T(dloss[min(n, dloss.size - 1)] * scale)
            times = d * (keep * w + spread * total)
            for c in range(C):
                row[c] *= times
            row[label] -= d * keep * w
            if smoothing > 0:
                for c in range(C):
                    row[c] -= d * spread * (weight[c] if weight.size else T(1))


_LABELS, _NUMBERS, _F64 = dense(types.int64, 1), (types.int64, types.float64), dense(types.float64, 1, True)
_label_losses = CodeByDtype(
    label_losses,
    lambda t: (
        *(dense(t, 2), _LABELS, dense(t, 1), *_NUMBERS, dense(t, 2, True), types.boolean, types.boolean),
        *(dense(t, 1, True), _F64, dense(t, 1, True)),
    ),
)
_label_gradient = SharedCode(
    label_gradient,
    lambda t: (
        *(dense(t, 2), dense(t, 1), dense(types.float64, 1), dense(t, 2), _LABELS, dense(t, 1), *_NUMBERS),
        dense(t, 2, True),
    ),
)


NO_DIVISOR = np.array([-1.0, 0.0, 1.0])


def cross_entropy(logits, labels, weight=None, ignore_index=-100, label_smoothing=0.0, mean=True):
    """Losses (N,) in nats of logits (N, C) against int64 labels (N,), two arrays that backward needs, and the total, ().

    The total is Σ losses, or their mean, Σ losses / Σ w[label]. The two arrays are, for each row, what it was shifted by and
    the logarithm of its sum, (N, 2), and the float64 numbers [-1, Σ losses, what it is divided by].
    A loss is -w[label]·ln p[label] with p the softmax of the row; with label smoothing ε it is (1 - ε) times that plus
    ε/C·Σ_c w[c]·(-ln p[c]). It is 0 where the label is `ignore_index`. Any other label outside 0..C-1 is an IndexError.
    """
    logits, labels, dtype = plain(logits), plain(labels), logits.dtype
    N, C = logits.shape
    if labels.shape != (N,) or labels.dtype != np.int64 or weight is not None:
        _check("cross_entropy", NO_LABELS, labels=(labels, (N,)))
        _check("cross_entropy", logits, weight=(weight, (C,)))
    shift_and_log, losses, y = np.empty((N, 2), dtype), np.empty(N, dtype), np.empty(1, dtype)
    numbers = NO_DIVISOR.copy()  # no label is bad if the kernel does nothing (ahead.py)
    known = logits.size >= SHARED_SIZE
    if known:
        run(True, _logsumexp, dtype, logits, shift_and_log)
    weight = NO_WEIGHT[dtype] if weight is None else plain(weight)
    options = ignore_index, number(label_smoothing), shift_and_log, known, mean
    _label_losses[dtype](logits, labels, weight, *options, losses, numbers, y)
    if numbers[0] >= 0:
        bad = int(numbers[0])
        raise IndexError(
            f"cross_entropy: label {labels[bad]} at index {bad} is out of range for {C} classes: expected 0 to {C - 1}, "
            f"or ignore_index {ignore_index}"
        )
    return losses, shift_and_log, numbers, y.reshape(())


def cross_entropy_backward(
    dloss, logits, shift_and_log, labels, weight=None, ignore_index=-100, label_smoothing=0.0, numbers=NO_DIVISOR
):
    """dlogits (N, C) from the losses' cotangents dloss/numbers[2]; dloss (N,), or (1,) for all alike.

    shift_and_log (N, 2) and numbers (3,) are results of `cross_entropy`.
    """
    logits, labels, dtype = plain(logits), plain(labels), logits.dtype
    N, C = logits.shape
    row = 1 if dloss.size == 1 else N
    like = dloss.dtype == dtype == shift_and_log.dtype and labels.dtype == np.int64
    like = like and numbers.shape == (3,) and numbers.dtype == np.float64
    if dloss.shape != (row,) or shift_and_log.shape != (N, 2) or labels.shape != (N,) or not like or weight is not None:
        _check("cross_entropy_backward", NO_LABELS, labels=(labels, (N,)))
        _check("cross_entropy_backward", NO_DIVISOR, numbers=(numbers, (3,)))
        _check(
            "cross_entropy_backward",
            logits,
            dloss=(dloss, (row,)),
            shift_and_log=(shift_and_log, (N, 2)),
            weight=(weight, (C,)),
        )
    dlogits = (np.empty if N * C < SHARED_SIZE else empty)((N, C), dtype)
    weight = NO_WEIGHT[dtype] if weight is None else plain(weight)
    options = ignore_index, number(label_smoothing)
    arguments = logits, plain(dloss), plain(numbers), plain(shift_and_log), labels, weight, *options, dlogits
    run(N * C >= SHARED_SIZE, _label_gradient, dtype, *arguments)
    return dlogits


@jit
def soft_losses(logits, targets, weight, smoothing, shift_and_log, losses):
    N, C = logits.shape
    T = logits.dtype.type
    keep, spread = T(1 - smoothing), T(smoothing / C)
    for n in range(N):
        m, log_total = shift_and_log[n, 0], shift_and_log[n, 1]
        loss = 0.0
        for c in range(C):
            q = keep * targets[n, c] + spread
            if weight.size:
                q *= weight[c]
            loss += vmath.select(q == 0, T(0), q * (log_total - (logits[n, c] - m)))  # 0·ln 0 is 0
        losses[n] = loss


@jit
def soft_gradient(logits, dloss, shift_and_log, targets, weight, smoothing, dlogits, part, parts):
    N, C = logits.shape
    T = logits.dtype.type
    keep, spread = T(1 - smoothing), T(smoothing / C)
    step = _block_rows(logits)
    end = N * (part + 1) // parts
    for first in range(N * part // parts, end, step):
        last = min(first + step, end)
        _probabilities(logits[first:last], shift_and_log[first:last], dlogits[first:last])
        for n in range(first, last):
            total = T(0)
            for c in range(C):
                total += (keep * targets[n, c] + spread) * (weight[c] if weight.size else T(1))
            for c in range(C):
                q = (keep * targets[n, c] + spread) * (weight[c] if weight.size else T(1))
                dlogits[n, c] = dloss[n] * (total * dlogits[n, c] - q)


_soft_losses = CodeByDtype(
    soft_losses,
    lambda t: (dense(t, 2), dense(t, 2), dense(t, 1), types.float64, dense(t, 2), dense(t, 1, True)),
)
_soft_gradient = SharedCode(
    soft_gradient,
    lambda t: (dense(t, 2), dense(t, 1), dense(t, 2), dense(t, 2), dense(t, 1), types.float64, dense(t, 2, True)),
)


def cross_entropy_soft(logits, targets, weight=None, label_smoothing=0.0):
    """Losses (N,) -Σ_c w[c]·q[c]·ln p[c] against targets (N, C), q = (1 - ε)·targets + ε/C; and (N, 2) for backward."""
    logits, targets, dtype = plain(logits), plain(targets), logits.dtype
    _check("cross_entropy_soft", logits, targets=(targets, logits.shape), weight=(weight, logits.shape[1:]))
    shift_and_log = _shift_and_log(logits)
    losses = np.empty(len(logits), dtype)
    weight = NO_WEIGHT[dtype] if weight is None else plain(weight)
    _soft_losses[dtype](logits, targets, weight, number(label_smoothing), shift_and_log, losses)
    return losses, shift_and_log


def cross_entropy_soft_backward(dloss, logits, shift_and_log, targets, weight=None, label_smoothing=0.0):
    """dlogits (N, C); `shift_and_log` is the second result of `cross_entropy_soft`."""
    logits, dtype = plain(logits), logits.dtype
    N, C = logits.shape
    arrays = {
        "dloss": (dloss, (N,)),
        "shift_and_log": (shift_and_log, (N, 2)),
        "targets": (targets, (N, C)),
        "weight": (weight, (C,)),
    }
    _check("cross_entropy_soft_backward", logits, **arrays)
    dlogits = empty((N, C), dtype)
    weight = NO_WEIGHT[dtype] if weight is None else plain(weight)
    options = plain(targets), weight, number(label_smoothing)
    run(N * C >= SHARED_SIZE, _soft_gradient, dtype, logits, plain(dloss), plain(shift_and_log), *options, dlogits)
    return dlogits


def cross_entropy_soft_backward_targets(dloss, logits, shift_and_log, weight=None, label_smoothing=0.0):
    """dtargets[n, c] = dloss[n]·(1 - ε)·w[c]·(-ln p[n, c])"""
    N, C = logits.shape
    arrays = {"dloss": (dloss, (N,)), "shift_and_log": (shift_and_log, (N, 2)), "weight": (weight, (C,))}
    _check("cross_entropy_soft_backward_targets", logits, **arrays)
    with np.errstate(all="ignore"):
        surprise = shift_and_log[:, 1:] - (logits - shift_and_log[:, :1])
        scale = logits.dtype.type(1 - number(label_smoothing)) * dloss[:, None]
        return scale * surprise if weight is None else scale * weight * surprise
