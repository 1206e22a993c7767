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
        u = v = type(hi)(0)
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
        u = v = type(hi)(0)
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
    if not t < np.inf:  # squares beyond float32, or something in x is not finite
        return moments_of_large(x, first, step, number)
    lo = s / size
    return hi + lo, max(t / size - lo * lo, 0.0)


@jit
def moments_of_large(x, first, step, number):
    """As moments, all in float64."""
    size = number * x.shape[1]
    s = t = np.float64(0)
    for r in range(number):
        for i in range(x.shape[1]):
            s += x[first + r * step, i]
    mean = s / size
    for r in range(number):
        for i in range(x.shape[1]):
            t += (x[first + r * step, i] - mean) ** 2
    return mean, t / size


@jit(forceinline=True)
def is_far(rstd):
    """Whether (x − mean)·rstd, or rstd³, may leave float32's range: then the loops over elements run in float64."""
    return rstd * FAR < 1 or rstd > FAR


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
            if is_far(rstd):
                put_scaled(x[p], np.float64(hi), scale, shift, y[p])
            else:
                put_scaled(x[p], hi, T(scale), T(shift), y[p])


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
            if is_far(rstd):
                more, more_dot = _dots(dy[p], x[p], np.float64(hi))
            else:
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
            if is_far(rstd):
                put_combined(dy[p], x[p], np.float64(hi), scale, slope, offset, dx[p])
            else:
                put_combined(dy[p], x[p], hi, T(scale), T(slope), T(offset), dx[p])


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
        u = v = type(hi)(0)
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
            if not square < np.inf:
                square = _sums(x[m], 0.0)[1] / K
        rstd = 1 / math.sqrt(square + eps)
        stats[m, 0], stats[m, 1] = mean, rstd
        hi, lo = halves(mean, T)
        if is_far(rstd):
            _scale_each(x[m], np.float64(hi), rstd, -lo * rstd, weight, bias, y[m])
        else:
            _scale_each(x[m], hi, T(rstd), T(-lo * rstd), weight, bias, y[m])


@jit
def rows_backward(dy, x, weight, centred, stats, dx, sums, part, parts):
    """One share of the chunks of CHUNK rows: fills dx unless it is empty, and for each chunk sums (chunks, 2, K): dγ, dβ."""
    M, K = x.shape
    T = x.dtype.type
    chunks = (M + CHUNK - 1) // CHUNK
    for chunk in range(chunks * part // parts, chunks * (part + 1) // parts):
        for m in range(chunk * CHUNK, min(M, (chunk + 1) * CHUNK)):
            row, dy_row, rstd = x[m], dy[m], stats[m, 1]
            hi, lo = halves(stats[m, 0], T)
            far = is_far(rstd)
            if far:
                s, t = _dots_each(dy_row, row, np.float64(hi), weight)
            else:
                s, t = _dots_each(dy_row, row, hi, weight)
            if sums.size and far:
                _add_each(dy_row, row, np.float64(hi), rstd, -lo * rstd, sums[chunk, 0], sums[chunk, 1])
            elif sums.size:
                _add_each(dy_row, row, hi, T(rstd), T(-lo * rstd), sums[chunk, 0], sums[chunk, 1])
            if dx.size:
                slope, offset = slopes(s if centred else np.float64(0), t, K, rstd, lo)
                if far:
                    _combine_each(dy_row, row, np.float64(hi), weight, rstd, slope, offset, dx[m])
                else:
                    _combine_each(dy_row, row, hi, weight, T(rstd), T(slope), T(offset), dx[m])
