"""Connectionist temporal classification: the probability of a short sequence of labels, over all its alignments to a long one.

The labels l₁ … l_S are extended to b l₁ b l₂ … l_S b with the blank b. An alignment walks through them from the first or second
place to one of the last two, one place or none at a step, or two if it leaves out a blank between two different labels:

    α_t(s) = p_t(l_s)·(α_{t−1}(s) + α_{t−1}(s − 1) + α_{t−1}(s − 2) if that is allowed)

and β the same from the end. Sums are kept as logarithms, in float64. Graves et al. (2006).
"""

import math

import numpy as np
from numba import types

from .arrays import empty_array
from .jit import dense, jit, strided
from .shares import SharedCode
from .threads import run

PARALLEL_WORK = 50_000  # places, over all steps and sequences, from which a second thread pays


@jit
def add_logs(a, b):
    """ln(eᵃ + eᵇ)"""
    high = max(a, b)
    if high == -np.inf or a != a or b != b:
        return a + b if a != a or b != b else high
    return high + math.log1p(math.exp(min(a, b) - high))


@jit
def label_at(targets, n, s, blank):
    return targets[n, s // 2] if s % 2 else blank


@jit
def alphas(p, targets, n, T, S, blank, a):
    """Fills a (T, 2S + 1); returns ln of the probability of all alignments."""
    places = 2 * S + 1
    if T == 0:
        return 0.0 if S == 0 else -np.inf
    for s in range(places):
        a[0, s] = p[0, n, label_at(targets, n, s, blank)] if s < 2 else -np.inf
    for t in range(1, T):
        for s in range(places):
            label, total = label_at(targets, n, s, blank), a[t - 1, s]
            if s > 0:
                total = add_logs(total, a[t - 1, s - 1])
            if s > 1 and label != blank and label != label_at(targets, n, s - 2, blank):
                total = add_logs(total, a[t - 1, s - 2])
            a[t, s] = total + p[t, n, label]
    return add_logs(a[T - 1, places - 1], a[T - 1, places - 2]) if S else a[T - 1, 0]


@jit
def forward(p, targets, lengths, sizes, blank, losses, part, parts):
    N = losses.size
    a = empty_array((p.shape[0], 2 * targets.shape[1] + 1), np.float64)
    for n in range(N * part // parts, N * (part + 1) // parts):
        losses[n] = -alphas(p, targets, n, lengths[n], sizes[n], blank, a)


@jit
def backward(p, targets, lengths, sizes, blank, dy, dp, part, parts):
    """dp (T, N, C) = −dy_n·(the probability that an alignment has label c at step t), where steps count."""
    N = dy.size
    a, b = (
        empty_array((p.shape[0], 2 * targets.shape[1] + 1), np.float64),
        empty_array((2, 2 * targets.shape[1] + 1), np.float64),
    )
    for n in range(N * part // parts, N * (part + 1) // parts):
        T, S = lengths[n], sizes[n]
        places = 2 * S + 1
        whole = alphas(p, targets, n, T, S, blank, a)
        for t in range(T - 1, -1, -1):
            now, after = b[t % 2], b[(t + 1) % 2]
            for s in range(places):  # β without p_t: what comes after step t
                label = label_at(targets, n, s, blank)
                if t == T - 1:
                    now[s] = 0.0 if s >= places - 2 else -np.inf
                else:
                    total = after[s] + p[t + 1, n, label]
                    if s + 1 < places:
                        total = add_logs(total, after[s + 1] + p[t + 1, n, label_at(targets, n, s + 1, blank)])
                    if s + 2 < places:
                        further = label_at(targets, n, s + 2, blank)
                        if further != blank and further != label:
                            total = add_logs(total, after[s + 2] + p[t + 1, n, further])
                    now[s] = total
                dp[t, n, label] -= dy[n] * math.exp(a[t, s] + now[s] - whole)


def _types(*rest):
    lists = dense(types.int64, 2), dense(types.int64, 1), dense(types.int64, 1), types.intp
    return lambda t: (strided(t, 3), *lists, *(part(t) for part in rest))


_forward = SharedCode(forward, _types(lambda t: dense(t, 1, True)))
_backward = SharedCode(backward, _types(lambda t: dense(t, 1), lambda t: dense(t, 3, True)))


def _check(p, targets, lengths, sizes, blank):
    if p.dtype not in (np.float32, np.float64) or p.ndim != 3:
        raise TypeError(f"ctc_loss: expected log_probs (T, N, C) of float32 or float64, got {p.dtype} of shape {p.shape}")
    T, N, C = p.shape
    if any(x.dtype != np.int64 for x in (targets, lengths, sizes)) or targets.ndim != 2:
        raise TypeError("ctc_loss: expected targets (N, S) and lengths of int64")
    if not (len(targets) == len(lengths) == len(sizes) == N) or not 0 <= blank < C:
        raise ValueError(f"ctc_loss: expected {N} targets and lengths and a blank from 0 to {C - 1}, got blank={blank}")
    if N and not (0 <= lengths.min() <= lengths.max() <= T and 0 <= sizes.min() <= sizes.max() <= targets.shape[1]):
        raise ValueError(f"ctc_loss: lengths must be at most {T} steps and {targets.shape[1]} labels")
    for row, size in zip(targets, sizes, strict=True):
        if size and not 0 <= row[:size].min() <= row[:size].max() < C:
            raise IndexError(f"ctc_loss: labels must be from 0 to {C - 1}, got {row[:size].tolist()}")
    return (*(np.ascontiguousarray(x) for x in (targets, lengths, sizes)), int(blank))


def ctc_forward(p, targets, lengths, sizes, blank):
    """−ln P(targets), (N,), for log-probabilities p (T, N, C) and int64 targets (N, S), of `lengths` steps, `sizes` labels."""
    lists = _check(p, targets, lengths, sizes, blank)
    losses = np.empty(p.shape[1], p.dtype)
    run(p.shape[0] * targets.size > PARALLEL_WORK, _forward, p.dtype, p, *lists, losses)
    return losses


def ctc_backward(dy, p, targets, lengths, sizes, blank):
    """The gradient of `ctc_forward` for p."""
    lists = _check(p, targets, lengths, sizes, blank)
    if dy.shape != p.shape[1:2] or dy.dtype != p.dtype:
        raise ValueError(f"ctc_backward: expected dy {p.shape[1:2]} of {p.dtype}, got {dy.shape} of {dy.dtype}")
    dp = np.zeros(p.shape, p.dtype)
    run(p.shape[0] * targets.size > PARALLEL_WORK, _backward, p.dtype, p, *lists, np.ascontiguousarray(dy), dp)
    return dp
