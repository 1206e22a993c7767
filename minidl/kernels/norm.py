"""Normalisation: batch norm over the channels of (N, C, L), layer norm over rows, group norm over groups of channels.

All share one form. The mean is a float64, held as hi + lo with hi of the elements' type: x − hi is exact where x is near the
mean, so rows that differ by 1e-3 around 1e4 keep their digits in float32, and constant ones give 0. Then

    forward    y  = (x − hi)·scale + shift                scale = γ·rstd, shift = β − lo·scale, rstd = 1/√(var + ε)
    backward   dx = dy·scale + (x − hi)·slope + offset    slope and offset from Σ g and Σ g·(x − hi), g = γ·dy

Statistics take two passes: one for hi, one for the sums of d = x − hi and d², which correct it. What is normalised together is
read several times while it is in the cache and from memory once. Backward is given x and two numbers per channel or row.

There are three ways through memory, each with a kernel forward and one backward:

- `planes`: whole planes of L elements, as many as are normalised together. Of batch norm these are the planes of a channel,
  C apart; of group norm, neighbours.
- `columns`: batch norm of planes too small for loops of their own, as columns side by side.
- `rows`: layer norm, whose γ and β differ from element to element.
"""

import math

import numpy as np
from numba import types

from .elementwise import plain
from .jit import CodeByDtype, dense, jit
from .memory import empty
from .shares import SharedCode
from .sums import sum_over
from .threads import run

_FLOATS = np.dtype(np.float32), np.dtype(np.float64)
SHARED_SIZE = 32768  # elements from which a second thread pays for its launch
BLOCK = 1024  # elements whose sum is kept in their own type, before it is added to a float64
SMALL_PLANE = 128  # planes smaller than this are treated side by side, as columns
STRIP = 1024  # columns treated at once: their sums and coefficients stay in the L1 cache
UNIT = 16  # shares of columns begin at multiples of this: whole cache lines
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
def _moments(x, first, step, number):
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
        return _moments_of_large(x, first, step, number)
    lo = s / size
    return hi + lo, max(t / size - lo * lo, 0.0)


@jit
def _moments_of_large(x, first, step, number):
    """As _moments, all in float64."""
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
def _is_far(rstd):
    """Whether (x − mean)·rstd, or rstd³, may leave float32's range: then the loops over elements run in float64."""
    return rstd * FAR < 1 or rstd > FAR


@jit(forceinline=True)
def _halves(mean, T):
    """mean = hi + lo"""
    hi = T(mean)
    return hi, mean - hi


@jit(forceinline=True)
def _slopes(s, t, n, rstd, lo):
    """From s = Σ g and t = Σ g·(x − hi):  rstd·g + slope·(x − hi) + offset is dx.

    Each x moves the mean, which takes Σ g/n off g, and the variance, which takes (x − mean)·rstd²·Σ g·(x − mean)/n off.
    """
    slope = -rstd * rstd * rstd * (t - lo * s) / n
    return slope, -rstd * s / n - slope * lo


# ------------------------------------------------------------------------------------- batch and group norm, by planes
# A mean is that of `number` planes of x (planes, L): of batch norm those of a channel, `step` = C apart; `grouped`, neighbours.


@jit(**MAP)
def _scale(x, hi, scale, shift, y):
    for i in range(x.size):
        y[i] = (x[i] - hi) * scale + shift


@jit(**MAP)
def _combine(dy, x, hi, scale, slope, offset, dx):
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
            stats[u, 0], variance = _moments(rows, u, 1, 1)
            stats[u, 1] = 1 / math.sqrt(variance + eps)
        elif not given:
            stats[u, 0], stats[u, 1] = _moments(x, first, step, number)
        hi, lo = _halves(stats[u, 0], T)
        rstd = stats[u, 1] if grouped else 1 / math.sqrt(stats[u, 1] + eps)
        scale = shift = np.float64(0)
        for r in range(number):
            if grouped or r == 0:
                scale = rstd * np.float64(weight[c])
                shift = np.float64(bias[c]) - lo * scale
                c += 1
            p = first + r * step
            if _is_far(rstd):
                _scale(x[p], np.float64(hi), scale, shift, y[p])
            else:
                _scale(x[p], hi, T(scale), T(shift), y[p])


@jit
def planes_backward(dy, x, grouped, weight, eps, given, stats, dx, dw, db, part, parts):
    """One share of the means: fills dw and db (samples or 1, C), and dx unless it is empty."""
    T, means, C = x.dtype.type, stats.shape[0], weight.size
    number, step = x.shape[0] // means, 1 if grouped else C
    for u in range(means * part // parts, means * (part + 1) // parts):
        first = u * number if grouped else u
        sample, c0 = first // C * grouped, first % C
        hi, lo = _halves(stats[u, 0], T)
        rstd = stats[u, 1] if grouped else 1 / math.sqrt(stats[u, 1] + eps)
        s = t = dy_sum = dot = np.float64(0)
        c = c0
        for r in range(number):
            p = first + r * step
            if _is_far(rstd):
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
            slope, offset = _slopes(s, t, number * x.shape[1], rstd, lo)
        for r in range(number if dx.size else 0):
            scale, p = np.float64(weight[c0 + r * grouped]) * rstd, first + r * step
            if _is_far(rstd):
                _combine(dy[p], x[p], np.float64(hi), scale, slope, offset, dx[p])
            else:
                _combine(dy[p], x[p], hi, T(scale), T(slope), T(offset), dx[p])


# ------------------------------------------------------------------------------ batch norm, small planes side by side
# A loop over 49 elements is mostly beginning and end, and one down a column the slowest way through memory. So the planes of
# several channels are columns of a strip, whose rows are contiguous: each column has a sum, and a channel those of its L.


@jit(forceinline=True)
def _fill(columns, c, L, value):
    for i in range(c * L, c * L + L):
        columns[i] = value


@jit(forceinline=True)
def _total(columns, c, L):
    s = np.float64(0)
    for i in range(c * L, c * L + L):
        s += columns[i]
    return s


# Four rows at a time: the running sums are read and written once for all. One sum per loop: with two LLVM would have to
# prove more arrays apart than it is willing to, and use no vectors. The order of additions is fixed, and no sum of two
# products may be contracted in one way or the other: where a share of the columns ends must not show in the bits.


@jit(forceinline=True)
def _four(x, n, j, width):
    return x[n, j : j + width], x[n + 1, j : j + width], x[n + 2, j : j + width], x[n + 3, j : j + width]


@jit(forceinline=True)
def _add(x, j, hi, s):
    """s[i] = Σ_n x[n, j + i] − hi[i]"""
    N = x.shape[0]
    s[:] = 0
    for n in range(0, N - 3, 4):
        p, q, u, v = _four(x, n, j, s.size)
        for i in range(s.size):
            s[i] += ((p[i] - hi[i]) + (q[i] - hi[i])) + ((u[i] - hi[i]) + (v[i] - hi[i]))
    for n in range(N - N % 4, N):
        p = x[n, j : j + s.size]
        for i in range(s.size):
            s[i] += p[i] - hi[i]


@jit(forceinline=True)
def _add_squares(x, j, hi, s):
    """s[i] = Σ_n (x[n, j + i] − hi[i])²"""
    N = x.shape[0]
    s[:] = 0
    for n in range(0, N - 3, 4):
        p, q, u, v = _four(x, n, j, s.size)
        for i in range(s.size):
            a, b, c, d = p[i] - hi[i], q[i] - hi[i], u[i] - hi[i], v[i] - hi[i]
            s[i] += (a * a + b * b) + (c * c + d * d)
    for n in range(N - N % 4, N):
        p = x[n, j : j + s.size]
        for i in range(s.size):
            a = p[i] - hi[i]
            s[i] += a * a


@jit(forceinline=True)
def _add_dots(dy, x, j, hi, s, t):
    """s[i] = Σ_n dy[n, j + i] and t[i] = Σ_n dy[n, j + i]·(x[n, j + i] − hi[i])"""
    N = x.shape[0]
    s[:] = 0
    t[:] = 0
    for n in range(0, N - 1, 2):
        p, q, u, v = x[n, j : j + s.size], x[n + 1, j : j + s.size], dy[n, j : j + s.size], dy[n + 1, j : j + s.size]
        for i in range(s.size):
            s[i] += u[i] + v[i]
        for i in range(s.size):
            t[i] += u[i] * (p[i] - hi[i]) + v[i] * (q[i] - hi[i])
    for n in range(N - N % 2, N):
        p, u = x[n, j : j + s.size], dy[n, j : j + s.size]
        for i in range(s.size):
            s[i] += u[i]
        for i in range(s.size):
            t[i] += u[i] * (p[i] - hi[i])


@jit(forceinline=True)
def _channels(C, part, parts):
    units = (C + UNIT - 1) // UNIT
    return units * part // parts * UNIT, min(C, units * (part + 1) // parts * UNIT)


@jit(fastmath={"contract"})
def columns(x, weight, bias, eps, given, stats, y, part, parts):
    """What `planes` does for batch norm, with x and y as matrices (N, C·L)."""
    N, C, T = x.shape[0], weight.size, x.dtype.type
    L = x.shape[1] // C
    step = max(1, STRIP // L)
    sums, coefficients = np.empty(step * L), np.empty((3, step * L), x.dtype)
    start, end = _channels(C, part, parts)
    for c0 in range(start, end, step):
        channels = min(step, end - c0)
        j, width = c0 * L, channels * L
        s, hi, scale, shift = sums[:width], coefficients[0, :width], coefficients[1, :width], coefficients[2, :width]
        if not given:
            for c in range(channels):
                _fill(hi, c, L, x[0, j + c * L])
            _add(x, j, hi, s)
            for c in range(channels):
                stats[0, c0 + c] = hi[c * L] + _total(s, c, L) / (N * L)
                _fill(hi, c, L, T(stats[0, c0 + c]))
            _add_squares(x, j, hi, s)
            for c in range(channels):
                lo = stats[0, c0 + c] - hi[c * L]
                stats[1, c0 + c] = max(_total(s, c, L) / (N * L) - lo * lo, 0.0)
                if not stats[1, c0 + c] < np.inf:
                    planes = x[:, j + c * L : j + c * L + L]
                    stats[0, c0 + c], stats[1, c0 + c] = _moments_of_large(planes, 0, 1, N)
        for c in range(channels):
            top, lo = _halves(stats[0, c0 + c], T)
            a = 1 / math.sqrt(stats[1, c0 + c] + eps) * np.float64(weight[c0 + c])
            _fill(hi, c, L, top)
            _fill(scale, c, L, T(a))
            _fill(shift, c, L, T(np.float64(bias[c0 + c]) - lo * a))
        for n in range(N):
            row, y_row = x[n, j : j + width], y[n, j : j + width]
            for i in range(width):
                y_row[i] = (row[i] - hi[i]) * scale[i] + shift[i]
        for c in range(c0, c0 + channels):
            rstd = 1 / math.sqrt(stats[1, c] + eps)
            for n in range(N if _is_far(rstd) else 0):
                a, mean = rstd * np.float64(weight[c]), stats[0, c]
                _scale(x[n, c * L : c * L + L], mean, a, np.float64(bias[c]), y[n, c * L : c * L + L])


@jit(fastmath={"contract"})
def columns_backward(dy, x, weight, eps, given, stats, dx, dw, db, part, parts):
    """What `planes_backward` does for batch norm, with dy, x and dx as matrices (N, C·L)."""
    N, C, T = x.shape[0], weight.size, x.dtype.type
    L = x.shape[1] // C
    step = max(1, STRIP // L)
    strips, coefficients = np.empty((2, step * L)), np.empty((4, step * L), x.dtype)
    start, end = _channels(C, part, parts)
    for c0 in range(start, end, step):
        channels = min(step, end - c0)
        j, width = c0 * L, channels * L
        s, t, hi, scale = strips[0, :width], strips[1, :width], coefficients[0, :width], coefficients[1, :width]
        slope, offset = coefficients[2, :width], coefficients[3, :width]
        for c in range(channels):
            _fill(hi, c, L, T(stats[0, c0 + c]))
        _add_dots(dy, x, j, hi, s, t)
        for c in range(channels):
            lo = stats[0, c0 + c] - hi[c * L]
            rstd = 1 / math.sqrt(stats[1, c0 + c] + eps)
            dy_sum, dot, w = _total(s, c, L), _total(t, c, L), np.float64(weight[c0 + c])
            dw[0, c0 + c], db[0, c0 + c] = rstd * (dot - lo * dy_sum), dy_sum
            b = d = np.float64(0)
            if not given:
                b, d = _slopes(w * dy_sum, w * dot, N * L, rstd, lo)
            _fill(scale, c, L, T(w * rstd))
            _fill(slope, c, L, T(b))
            _fill(offset, c, L, T(d))
        for n in range(dx.shape[0]):
            row, dy_row, dx_row = x[n, j : j + width], dy[n, j : j + width], dx[n, j : j + width]
            for i in range(width):
                dx_row[i] = dy_row[i] * scale[i] + ((row[i] - hi[i]) * slope[i] + offset[i])
        for c in range(channels):
            rstd = 1 / math.sqrt(stats[1, c0 + c] + eps)
            if dx.shape[0] and _is_far(rstd):
                top, lo = _halves(stats[0, c0 + c], T)
                dy_sum, dot, w = _total(s, c, L), _total(t, c, L), np.float64(weight[c0 + c])
                b = d = np.float64(0)
                if not given:
                    b, d = _slopes(w * dy_sum, w * dot, N * L, rstd, lo)
                k = j + c * L
                for n in range(N):
                    _combine(dy[n, k : k + L], x[n, k : k + L], np.float64(top), w * rstd, b, d, dx[n, k : k + L])


@jit
def running(running_mean, running_var, stats, momentum, unbiased):
    """running ← (1 − momentum)·running + momentum·new, the new variance times `unbiased` = n/(n − 1)."""
    T = running_mean.dtype.type
    for c in range(running_mean.size):
        running_mean[c] = T((1 - momentum) * running_mean[c] + momentum * stats[0, c])
        running_var[c] = T((1 - momentum) * running_var[c] + momentum * unbiased * stats[1, c])


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
            mean, square = _moments(x, m, 1, 1)
        else:
            mean, square = np.float64(0), _sums(x[m], T(0))[1] / K
            if not square < np.inf:
                square = _sums(x[m], 0.0)[1] / K
        rstd = 1 / math.sqrt(square + eps)
        stats[m, 0], stats[m, 1] = mean, rstd
        hi, lo = _halves(mean, T)
        if _is_far(rstd):
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
            hi, lo = _halves(stats[m, 0], T)
            far = _is_far(rstd)
            if far:
                s, t = _dots_each(dy_row, row, np.float64(hi), weight)
            else:
                s, t = _dots_each(dy_row, row, hi, weight)
            if sums.size and far:
                _add_each(dy_row, row, np.float64(hi), rstd, -lo * rstd, sums[chunk, 0], sums[chunk, 1])
            elif sums.size:
                _add_each(dy_row, row, hi, T(rstd), T(-lo * rstd), sums[chunk, 0], sums[chunk, 1])
            if dx.size:
                slope, offset = _slopes(s if centred else np.float64(0), t, K, rstd, lo)
                if far:
                    _combine_each(dy_row, row, np.float64(hi), weight, rstd, slope, offset, dx[m])
                else:
                    _combine_each(dy_row, row, hi, weight, T(rstd), T(slope), T(offset), dx[m])


# ------------------------------------------------------------------------------------------------------ what callers see

_stats, _means = dense(types.float64, 2, True), types.Array(types.float64, 2, "A")  # the latter, of any strides
_flag, _eps = types.intp, types.float64


def _row(t, written=False):
    return dense(t, 1, written)


def _matrix(t, written=False):
    return dense(t, 2, written)


_planes = SharedCode(planes, lambda t: (_matrix(t), _flag, _row(t), _row(t), _eps, _flag, _means, _matrix(t, True)))
_columns = SharedCode(columns, lambda t: (_matrix(t), _row(t), _row(t), _eps, _flag, _stats, _matrix(t, True)))
_rows = SharedCode(rows, lambda t: (_matrix(t), _row(t), _row(t), _eps, _flag, _stats, _matrix(t, True)))
_planes_backward = SharedCode(
    planes_backward,
    lambda t: (_matrix(t), _matrix(t), _flag, _row(t), _eps, _flag, _means, *[_matrix(t, True)] * 3),
)
_columns_backward = SharedCode(
    columns_backward,
    lambda t: (_matrix(t), _matrix(t), _row(t), _eps, _flag, _stats, *[_matrix(t, True)] * 3),
)
_rows_backward = SharedCode(
    rows_backward, lambda t: (_matrix(t), _matrix(t), _row(t), _flag, _stats, _matrix(t, True), dense(t, 3, True))
)
_running = CodeByDtype(running, lambda t: (_row(t, True), _row(t, True), _stats, types.float64, types.float64))


def _run(kernel, x, *arguments):
    if x.size:
        run(x.size >= SHARED_SIZE, kernel, x.dtype, *arguments)


def _check(name, x, what, array, shape):
    """Kernels check nothing, so Python does."""
    if array.shape != shape:
        raise ValueError(f"{name}: for an input of shape {x.shape} expected {what} of shape {shape}, got {array.shape}")
    if array.dtype != x.dtype:
        raise TypeError(f"{name}: the input is {x.dtype} and {what} {array.dtype}; bring them to one dtype")


def _parameters(name, x, shape, weight, bias=None):
    """Both as vectors, of ones and zeros where they are not given."""
    T = x.dtype
    if T not in _FLOATS:
        raise TypeError(f"{name}: expected float32 or float64, got {T}")
    if weight is not None:
        _check(name, x, "weight", weight, shape)
    if bias is not None:
        _check(name, x, "bias", bias, shape)
    weight = np.ones(shape, T) if weight is None else plain(weight)
    bias = np.zeros(shape, T) if bias is None else plain(bias)
    return (weight, bias) if len(shape) == 1 else (weight.reshape(-1), bias.reshape(-1))


def _statistics(name, stats, shape):
    if stats.shape != shape:
        raise ValueError(f"{name}: expected statistics of shape {shape}, got {stats.shape}")
    if stats.dtype != np.float64:
        raise TypeError(f"{name}: expected statistics of float64, got {stats.dtype}")
    return np.ascontiguousarray(stats)


def batch_norm(x, weight=None, bias=None, eps=1e-5, stats=None):
    """y = (x − mean)/√(var + eps)·weight + bias for each channel of x (N, C, …); and float64 [means, variances], (2, C).

    They are those of this batch, the variance biased, unless given as `stats`.
    """
    if x.ndim < 2:
        raise ValueError(f"batch_norm: expected an input (N, C, ...), got shape {x.shape}")
    (N, C), L, given = x.shape[:2], math.prod(x.shape[2:]), stats is not None
    weight, bias = _parameters("batch_norm", x, (C,), weight, bias)
    stats = _statistics("batch_norm", stats, (2, C)) if given else np.zeros((2, C))
    x, y = plain(x), empty(x.shape, x.dtype)
    if L < SMALL_PLANE:
        _run(_columns, x, x.reshape(N, C * L), weight, bias, eps, given, stats, y.reshape(N, C * L))
    else:
        _run(_planes, x, x.reshape(N * C, L), False, weight, bias, eps, given, stats.T, y.reshape(N * C, L))
    return y, stats


def batch_norm_backward(dy, x, weight, eps, stats, batch=True, wanted=True):
    """dx (None unless wanted), dweight and dbias; `batch`: the statistics were made from x and move with it."""
    (N, C), L, given = x.shape[:2], math.prod(x.shape[2:]), not batch
    stats, weight = _statistics("batch_norm_backward", stats, (2, C)), _parameters("batch_norm_backward", x, (C,), weight)[0]
    _check("batch_norm_backward", x, "dy", dy, x.shape)
    dx, dw, db = empty(x.shape if wanted else (0, *x.shape[1:]), x.dtype), np.zeros(C, x.dtype), np.zeros(C, x.dtype)
    x, dy, sums = plain(x), plain(dy), (dw.reshape(1, C), db.reshape(1, C))
    if L < SMALL_PLANE:
        flat = dy.reshape(N, C * L), x.reshape(N, C * L), dx.reshape(len(dx), C * L)
        _run(_columns_backward, x, *flat[:2], weight, eps, given, stats, flat[2], *sums)
    else:
        flat = dy.reshape(N * C, L), x.reshape(N * C, L), dx.reshape(len(dx) * C, L)
        _run(_planes_backward, x, *flat[:2], False, weight, eps, given, stats.T, flat[2], *sums)
    return dx if wanted else None, dw, db


def layer_norm(x, axes, weight=None, bias=None, eps=1e-5, centred=True):
    """y = (x − mean)/√(var + eps)·weight + bias over the last `axes` axes; and float64 [mean, rstd] of each row, (rows, 2).

    Not centred: 0 in place of the mean (RMS norm).
    """
    shape, M = x.shape[x.ndim - axes :], math.prod(x.shape[: x.ndim - axes])
    weight, bias = _parameters("layer_norm", x, shape, weight, bias)
    x, y, stats = plain(x), empty(x.shape, x.dtype), np.empty((M, 2))
    _run(_rows, x, x.reshape(M, weight.size), weight, bias, eps, centred, stats, y.reshape(M, weight.size))
    return y, stats


def layer_norm_backward(dy, x, axes, weight, stats, centred=True, wanted=True):
    """dx (None unless wanted), dweight and dbias (None without a weight)."""
    shape, M, affine = x.shape[x.ndim - axes :], math.prod(x.shape[: x.ndim - axes]), weight is not None
    weight, stats = _parameters("layer_norm_backward", x, shape, weight)[0], _statistics("layer_norm_backward", stats, (M, 2))
    _check("layer_norm_backward", x, "dy", dy, x.shape)
    K, chunks = weight.size, -(-M // CHUNK)
    dx, sums = empty(x.shape if wanted else (0, K), x.dtype), np.zeros((chunks if affine else 0, 2, K), x.dtype)
    x, dy = plain(x), plain(dy)
    _run(_rows_backward, x, dy.reshape(M, K), x.reshape(M, K), weight, centred, stats, dx.reshape(-1, K), sums)
    dw = db = None
    if affine:
        dw, db = sums[0] if chunks == 1 else sum_over(sums, (0,))
        dw, db = dw.reshape(shape), db.reshape(shape)
    return dx if wanted else None, dw, db


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    """y = (x − mean)/√(var + eps)·weight + bias, the mean over C/groups channels of one sample of x (N, C, …).

    And float64 [mean, rstd] of each, (N·groups, 2).
    """
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ValueError(f"group_norm: expected an input (N, C, ...) and groups that divide C, got {x.shape} and {groups}")
    (N, C), L = x.shape[:2], math.prod(x.shape[2:])
    weight, bias = _parameters("group_norm", x, (C,), weight, bias)
    x, y, stats = plain(x), empty(x.shape, x.dtype), np.zeros((N * groups, 2))
    _run(_planes, x, x.reshape(N * C, L), True, weight, bias, eps, False, stats, y.reshape(N * C, L))
    return y, stats


def group_norm_backward(dy, x, groups, weight, stats, wanted=True):
    """dx (None unless wanted), dweight and dbias."""
    (N, C), L = x.shape[:2], math.prod(x.shape[2:])
    stats = _statistics("group_norm_backward", stats, (N * groups, 2))
    weight = _parameters("group_norm_backward", x, (C,), weight)[0]
    _check("group_norm_backward", x, "dy", dy, x.shape)
    dx, dw, db = empty(x.shape if wanted else (0, *x.shape[1:]), x.dtype), *(np.zeros((N, C), x.dtype) for _ in range(2))
    x, dy = plain(x), plain(dy)
    flat = dy.reshape(N * C, L), x.reshape(N * C, L), dx.reshape(len(dx) * C, L)
    _run(_planes_backward, x, *flat[:2], True, weight, 0.0, False, stats, flat[2], dw, db)
    return dx if wanted else None, sum_over(dw, (0,)), sum_over(db, (0,))


def update_running(running_mean, running_var, stats, momentum, count):
    """Both ← (1 − momentum)·old + momentum·new, in place; the new variance unbiased, of `count` values for each channel."""
    shape, T = stats.shape[1:], running_mean.dtype
    if len(shape) != 1 or running_mean.shape != shape or running_var.shape != shape or running_var.dtype != T:
        raise ValueError(
            f"update_running: expected two arrays of one dtype and shape {shape}, got {T} {running_mean.shape} and "
            f"{running_var.dtype} {running_var.shape}"
        )
    mean, var, stats = plain(running_mean), plain(running_var), _statistics("update_running", stats, (2, *shape))
    _running[T](mean, var, stats, momentum, count / (count - 1))
    if mean is not running_mean:
        np.copyto(running_mean, mean)
    if var is not running_var:
        np.copyto(running_var, var)
