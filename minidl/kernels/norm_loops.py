"""The loops of normalisation over whole planes and over rows: sums, moments and the maps after them (norm.py says more)."""

import math

import numpy as np

from .jit import jit

BLOCK = 1024  # elements whose sum is kept in their own type, before it is added to a float64
FAR = 1e12  # a standard deviation this large, or this small, leaves float32 no room for its powers
CHUNK = 64  # rows whose part of dγ and dβ is summed apart: for accuracy, and alike for every number of threads

# In a sum the order of additions is free, or it could not use vectors; NaN and inf come through all the same.
SUM = {"fastmath": {"reassoc", "contract"}, "forceinline": True}
MAP = {"fastmath": {"contract"}, "forceinline": True}  # each line below can be contracted in one way only


@jit(**SUM)
def _sum(x, hi):
    """Σ (x − hi)"""
    s = np.float64(0)
    for first in range(0, x.size, BLOCK):
        part = x[first : min(first + BLOCK, x.size)]
        u = x.dtype.type(0)
        for i in range(part.size):
            u += part[i] - hi
        s += u
    return s


@jit(**SUM)
def _sums(x, hi):
    """Σ d and Σ d² for d = x − hi"""
    s = t = np.float64(0)
    for first in range(0, x.size, BLOCK):
        part = x[first : min(first + BLOCK, x.size)]
        u = v = x.dtype.type(0)
        for i in range(part.size):
            d = part[i] - hi
            u += d
            v += d * d
        s += u
        t += v
    return s, t


@jit(**SUM)
def _dots(dy, x, hi):
    """Σ dy and Σ dy·(x − hi)"""
    s = t = np.float64(0)
    for first in range(0, x.size, BLOCK):
        last = min(first + BLOCK, x.size)
        part, dy_part = x[first:last], dy[first:last]
        u = v = x.dtype.type(0)
        for i in range(part.size):
            u += dy_part[i]
            v += dy_part[i] * (part[i] - hi)
        s += u
        t += v
    return s, t


@jit(forceinline=True)
def moments(x, first, step, number):
    """Mean and variance of `number` rows of x, `step` apart."""
    size = number * x.shape[1]
    s = t = np.float64(0)
    for r in range(number):
        s += _sum(x[first + r * step], x[first, 0])
    hi, s = x.dtype.type(x[first, 0] + s / size), np.float64(0)
    for r in range(number):
        d, squares = _sums(x[first + r * step], hi)
        s += d
        t += squares
    lo = s / size
    return hi + lo, max(t / size - lo * lo, 0.0)


@jit(forceinline=True)
def halves(mean, T):
    """mean = hi + lo"""
    hi = T(mean)
    return hi, mean - hi


@jit(forceinline=True)
def slopes(s, t, n, rstd, lo):
    """From s = Σ g and t = Σ g·(x − hi):  rstd·g + slope·(x − hi) + offset is dx.

    Each x moves the mean, which takes Σ g/n off g, and the variance, which takes (x − mean)·rstd²·Σ g·(x − mean)/n off.
    """
    slope = -rstd * rstd * rstd * (t - lo * s) / n
    return slope, -rstd * s / n - slope * lo


# ------------------------------------------------------------------------------------------ what leaves float32 no room
# Squares of deviations above 1e19, and powers of their roots, are beyond float32. What they spoil is computed once more, in
# float64. It stands apart: as a branch within the loops above it, it would make all of them slower.


@jit(forceinline=True)
def is_near(rstd):
    """Whether float32 has room for (x − mean)·rstd and for rstd³. No if it is NaN, as after a sum that was infinite."""
    return rstd * FAR >= 1 and rstd <= FAR


@jit
def far_moments(x, first, step, number, centred):
    """Mean and variance of `number` rows of x, `step` apart, all in float64. Not centred: the mean counts as 0."""
    size = number * x.shape[1]
    s = t = np.float64(0)
    for r in range(number if centred else 0):
        for i in range(x.shape[1]):
            s += x[first + r * step, i]
    mean = s / size
    for r in range(number):
        for i in range(x.shape[1]):
            t += (x[first + r * step, i] - mean) ** 2
    return mean, t / size


@jit
def far_planes(x, grouped, weight, bias, eps, given, stats, y, start, end):
    means, C = stats.shape[0], weight.size
    number, step = x.shape[0] // means, 1 if grouped else C
    for u in range(start, end):
        if is_near(stats[u, 1] if grouped else 1 / math.sqrt(stats[u, 1] + eps)):
            continue
        first = u * number if grouped else u
        mean, variance = stats[u, 0], stats[u, 1]
        if not given:
            mean, variance = far_moments(x, first, step, number, True)
            stats[u, 0], stats[u, 1] = mean, 1 / math.sqrt(variance + eps) if grouped else variance
        rstd = 1 / math.sqrt(variance + eps)
        for r in range(number):
            p, c = first + r * step, (first + r) % C if grouped else first
            for i in range(x.shape[1]):
                y[p, i] = (x[p, i] - mean) * rstd * weight[c] + bias[c]


@jit
def far_planes_backward(dy, x, grouped, weight, eps, given, stats, dx, dw, db, start, end):
    means, C = stats.shape[0], weight.size
    number, step = x.shape[0] // means, 1 if grouped else C
    for u in range(start, end):
        mean, rstd = stats[u, 0], stats[u, 1] if grouped else 1 / math.sqrt(stats[u, 1] + eps)
        if is_near(rstd):
            continue
        first = u * number if grouped else u
        sample, s, t, dy_sum, dot = first // C * grouped, 0.0, 0.0, 0.0, 0.0
        for r in range(number):
            p, c = first + r * step, (first + r) % C if grouped else first
            for i in range(x.shape[1]):
                dy_sum += dy[p, i]
                dot += dy[p, i] * (x[p, i] - mean)
            if grouped or r == number - 1:
                dw[sample, c], db[sample, c] = rstd * dot, dy_sum
                s += weight[c] * dy_sum
                t += weight[c] * dot
                dy_sum = dot = 0.0
        slope = offset = 0.0
        if not given:
            slope, offset = slopes(s, t, number * x.shape[1], rstd, 0.0)
        for r in range(number if dx.size else 0):
            p, c = first + r * step, (first + r) % C if grouped else first
            for i in range(x.shape[1]):
                dx[p, i] = dy[p, i] * (weight[c] * rstd) + ((x[p, i] - mean) * slope + offset)


@jit
def far_rows(x, weight, bias, eps, centred, stats, y, start, end):
    for m in range(start, end):
        if is_near(stats[m, 1]):
            continue
        mean, square = far_moments(x, m, 1, 1, centred)
        rstd = 1 / math.sqrt(square + eps)
        stats[m, 0], stats[m, 1] = mean, rstd
        for k in range(x.shape[1]):
            y[m, k] = (x[m, k] - mean) * rstd * weight[k] + bias[k]


@jit
def far_rows_backward(dy, x, weight, centred, stats, dx, sums, start, end):
    """The rows from start to end, one chunk or a part of it."""
    near = True
    for m in range(start, end):
        near = near and is_near(stats[m, 1])
    if near:
        return
    chunk, K = start // CHUNK, x.shape[1]
    if sums.size:
        sums[chunk] = 0
    for m in range(start, end):
        mean, rstd, s, t = stats[m, 0], stats[m, 1], 0.0, 0.0
        for k in range(K):
            d, g = x[m, k] - mean, np.float64(dy[m, k]) * weight[k]
            s += g
            t += g * d
            if sums.size:
                sums[chunk, 0, k] += dy[m, k] * (d * rstd)
                sums[chunk, 1, k] += dy[m, k]
        slope, offset = slopes(s if centred else 0.0, t, K, rstd, 0.0)
        for k in range(K if dx.size else 0):
            dx[m, k] = dy[m, k] * weight[k] * rstd + ((x[m, k] - mean) * slope + offset)


# ------------------------------------------------------------------------------------- batch and group norm, by planes
# A mean is that of `number` planes of x (planes, L): of batch norm those of a channel, `step` = C apart; `grouped`, neighbours.


@jit(**MAP)
def put_scaled(x, hi, scale, shift, y):
    for i in range(x.size):
        y[i] = (x[i] - hi) * scale + shift


@jit(**MAP)
def put_combined(dy, x, hi, scale, slope, offset, dx):
    for i in range(x.size):
        dx[i] = dy[i] * scale + ((x[i] - hi) * slope + offset)


@jit
def planes(x, grouped, weight, bias, eps, given, stats, y, part, parts):
    """One share of the means. Fills y and, unless given, stats (means, 2): mean and variance, or `grouped`, mean and rstd."""
    T, means, C = x.dtype.type, stats.shape[0], weight.size
    number, step = x.shape[0] // means, 1 if grouped else C
    rows = x.reshape(means, number * x.shape[1])
    for u in range(means * part // parts, means * (part + 1) // parts):
        first = u * number if grouped else u
        c = first % C
        if grouped:
            stats[u, 0], variance = moments(rows, u, 1, 1)
            stats[u, 1] = 1 / math.sqrt(variance + eps)
        elif not given:
            stats[u, 0], stats[u, 1] = moments(x, first, step, number)
        hi, lo = halves(stats[u, 0], T)
        rstd = stats[u, 1] if grouped else 1 / math.sqrt(stats[u, 1] + eps)
        scale = shift = np.float64(0)
        for r in range(number):
            if grouped or r == 0:
                scale = rstd * np.float64(weight[c])
                shift = np.float64(bias[c]) - lo * scale
                c += 1
            p = first + r * step
            put_scaled(x[p], hi, T(scale), T(shift), y[p])
    far_planes(x, grouped, weight, bias, eps, given, stats, y, means * part // parts, means * (part + 1) // parts)


@jit
def planes_backward(dy, x, grouped, weight, eps, given, stats, dx, dw, db, part, parts):
    """One share of the means: fills dw and db (samples or 1, C), and dx unless it is empty."""
    T, means, C = x.dtype.type, stats.shape[0], weight.size
    number, step = x.shape[0] // means, 1 if grouped else C
    for u in range(means * part // parts, means * (part + 1) // parts):
        first = u * number if grouped else u
        sample, c0 = first // C * grouped, first % C
        hi, lo = halves(stats[u, 0], T)
        rstd = stats[u, 1] if grouped else 1 / math.sqrt(stats[u, 1] + eps)
        s = t = dy_sum = dot = np.float64(0)
        c = c0
        for r in range(number):
            p = first + r * step
            more, more_dot = _dots(dy[p], x[p], hi)
            dy_sum += more
            dot += more_dot
            if grouped or r == number - 1:  # the last of its channel
                dw[sample, c], db[sample, c] = rstd * (dot - lo * dy_sum), dy_sum
                s += np.float64(weight[c]) * dy_sum
                t += np.float64(weight[c]) * dot
                dy_sum = dot = np.float64(0)
                c += 1
        slope = offset = np.float64(0)
        if not given:
            slope, offset = slopes(s, t, number * x.shape[1], rstd, lo)
        for r in range(number if dx.size else 0):
            scale, p = np.float64(weight[c0 + r * grouped]) * rstd, first + r * step
            put_combined(dy[p], x[p], hi, T(scale), T(slope), T(offset), dx[p])
    start, end = means * part // parts, means * (part + 1) // parts
    far_planes_backward(dy, x, grouped, weight, eps, given, stats, dx, dw, db, start, end)


# ----------------------------------------------------------------------------------------------------- layer norm, rows


@jit(**MAP)
def _scale_each(x, hi, scale, shift, weight, bias, y):
    for k in range(x.size):
        y[k] = ((x[k] - hi) * scale + shift) * weight[k] + bias[k]


@jit(**SUM)
def _dots_each(dy, x, hi, weight):
    """Σ g and Σ g·(x − hi), g = weight·dy"""
    s = t = np.float64(0)
    for first in range(0, x.size, BLOCK):
        last = min(first + BLOCK, x.size)
        part, dy_part, w = x[first:last], dy[first:last], weight[first:last]
        u = v = x.dtype.type(0)
        for i in range(part.size):
            g = dy_part[i] * w[i]
            u += g
            v += g * (part[i] - hi)
        s += u
        t += v
    return s, t


@jit(**MAP)
def _add_each(dy, x, hi, scale, shift, dw, db):
    for k in range(x.size):
        dw[k] += dy[k] * ((x[k] - hi) * scale + shift)
        db[k] += dy[k]


@jit(**MAP)
def _combine_each(dy, x, hi, weight, scale, slope, offset, dx):
    for k in range(x.size):
        dx[k] = dy[k] * weight[k] * scale + ((x[k] - hi) * slope + offset)


@jit
def rows(x, weight, bias, eps, centred, stats, y, part, parts):
    """One share of the rows of x (M, K): fills y and stats (M, 2), mean and rstd. Not centred: the mean counts as 0."""
    M, K = x.shape
    T = x.dtype.type
    for m in range(M * part // parts, M * (part + 1) // parts):
        if centred:
            mean, square = moments(x, m, 1, 1)
        else:
            mean, square = np.float64(0), _sums(x[m], T(0))[1] / K
        rstd = 1 / math.sqrt(square + eps)
        stats[m, 0], stats[m, 1] = mean, rstd
        hi, lo = halves(mean, T)
        _scale_each(x[m], hi, T(rstd), T(-lo * rstd), weight, bias, y[m])
    far_rows(x, weight, bias, eps, centred, stats, y, M * part // parts, M * (part + 1) // parts)


@jit
def rows_backward(dy, x, weight, centred, stats, dx, sums, part, parts):
    """One share of the chunks of CHUNK rows: fills dx unless it is empty, and for each chunk sums (chunks, 2, K): dγ, dβ."""
    M, K = x.shape
    T = x.dtype.type
    chunks = (M + CHUNK - 1) // CHUNK
    for chunk in range(chunks * part // parts, chunks * (part + 1) // parts):
        if sums.size:
            sums[chunk] = 0
        for m in range(chunk * CHUNK, min(M, (chunk + 1) * CHUNK)):
            row, dy_row, rstd = x[m], dy[m], stats[m, 1]
            hi, lo = halves(stats[m, 0], T)
            s, t = _dots_each(dy_row, row, hi, weight)
            if sums.size:
                _add_each(dy_row, row, hi, T(rstd), T(-lo * rstd), sums[chunk, 0], sums[chunk, 1])
            if dx.size:
                slope, offset = slopes(s if centred else np.float64(0), t, K, rstd, lo)
                _combine_each(dy_row, row, hi, weight, T(rstd), T(slope), T(offset), dx[m])
        far_rows_backward(dy, x, weight, centred, stats, dx, sums, chunk * CHUNK, min(M, (chunk + 1) * CHUNK))
