"""Normalisation: batch norm over the channels of (N, C, L), layer norm over rows, group norm over groups of channels.

All share one form. The mean is a float64, held as hi + lo with hi of the elements' type: x − hi is exact where x is near the
mean, so rows that differ by 1e-3 around 1e4 keep their digits in float32, and constant ones give 0. Then

    forward    y  = (x − hi)·scale + shift                scale = γ·rstd, shift = β − lo·scale, rstd = 1/√(var + ε)
    backward   dx = dy·scale + (x − hi)·slope + offset    slope and offset from Σ g and Σ g·(x − hi), g = γ·dy

Statistics take two passes: one for hi, one for the sums of d = x − hi and d², which correct it. What is normalised together is
read several times while it is in the cache and from memory once. Backward is given x and two numbers per channel or row.
"""

import math

import numpy as np
from numba import prange, types

from .elementwise import column_sums, plain
from .jit import PerDtype, Shared, call, dense, jit
from .threads import get_num_threads, share

SHARED_SIZE = 32768  # elements from which a second thread pays for its launch
BLOCK = 1024  # elements whose sum is kept in their own type, before it is added to a float64
SMALL_PLANE = 128  # planes smaller than this are treated side by side, as columns
STRIP = 1024  # columns treated at once: their sums and coefficients stay in the L1 cache
UNIT = 16  # shares of columns begin at multiples of this: whole cache lines
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


@jit(**MAP)
def _scale(x, hi, scale, shift, y):
    for i in range(x.size):
        y[i] = (x[i] - hi) * scale + shift


@jit(**MAP)
def _combine(dy, x, hi, scale, slope, offset, dx):
    for i in range(x.size):
        dx[i] = dy[i] * scale + ((x[i] - hi) * slope + offset)


@jit(forceinline=True)
def _moments(s, t, n, hi):
    """Mean and variance from s = Σ d and t = Σ d², d = x − hi"""
    lo = s / n
    return hi + lo, max(t / n - lo * lo, 0.0)


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


# ----------------------------------------------------------------------------------- batch norm, a plane at a time


@jit
def planes(x, weight, bias, eps, batch, stats, y, part, parts):
    """One share of the channels of x (N, C, L): fills y and, if `batch`, stats = [means, variances]; else it uses them."""
    N, C, L = x.shape
    T = x.dtype.type
    for c in range(C * part // parts, C * (part + 1) // parts):
        if batch:
            s = t = np.float64(0)
            for n in range(N):
                s += _sum(x[n, c], x[0, c, 0])
            hi, s = T(x[0, c, 0] + s / (N * L)), np.float64(0)
            for n in range(N):
                s_plane, t_plane = _sums(x[n, c], hi)
                s += s_plane
                t += t_plane
            stats[0, c], stats[1, c] = _moments(s, t, N * L, hi)
        hi, lo = _halves(stats[0, c], T)
        scale, shift = 1 / math.sqrt(stats[1, c] + eps), np.float64(0)
        if weight.size:
            scale, shift = scale * np.float64(weight[c]), np.float64(bias[c])
        for n in range(N):
            _scale(x[n, c], hi, T(scale), T(shift - lo * scale), y[n, c])


@jit(parallel=True)
def planes_shared(body, x, weight, bias, eps, batch, stats, y, parts):
    for part in prange(parts):
        call(body, x, weight, bias, eps, batch, stats, y, part, parts)


@jit
def planes_backward(dy, x, weight, eps, batch, stats, dx, dw, db, part, parts):
    """One share of the channels: fills dw and db, and dx unless it is empty."""
    N, C, L = x.shape
    T = x.dtype.type
    for c in range(C * part // parts, C * (part + 1) // parts):
        hi, lo = _halves(stats[0, c], T)
        rstd = 1 / math.sqrt(stats[1, c] + eps)
        s = t = np.float64(0)
        for n in range(N):
            s_plane, t_plane = _dots(dy[n, c], x[n, c], hi)
            s += s_plane
            t += t_plane
        dw[c], db[c] = rstd * (t - lo * s), s
        slope = offset = np.float64(0)
        if batch:
            slope, offset = _slopes(s, t, N * L, rstd, lo)
        w = np.float64(weight[c]) if weight.size else np.float64(1)
        if dx.size:
            for n in range(N):
                _combine(dy[n, c], x[n, c], hi, T(w * rstd), T(w * slope), T(w * offset), dx[n, c])


@jit(parallel=True)
def planes_backward_shared(body, dy, x, weight, eps, batch, stats, dx, dw, db, parts):
    for part in prange(parts):
        call(body, dy, x, weight, eps, batch, stats, dx, dw, db, part, parts)


# ------------------------------------------------------------------------------ batch norm, small planes side by side
# A loop over 49 elements is mostly beginning and end, and one down a column the slowest way through memory. So the planes of
# several channels are columns of a strip, whose rows are contiguous: each column has a sum, and a channel those of its L.


@jit(forceinline=True)
def _row(x, n, j, width):
    return x[n, j : j + width]


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
def _add_rows(x, j, hi, s):
    """s[i] = Σ_n x[n, j + i] − hi[i]"""
    N = x.shape[0]
    for i in range(s.size):
        s[i] = 0
    for n in range(0, N - 3, 4):
        p, q, u, v = _row(x, n, j, s.size), _row(x, n + 1, j, s.size), _row(x, n + 2, j, s.size), _row(x, n + 3, j, s.size)
        for i in range(s.size):
            s[i] += ((p[i] - hi[i]) + (q[i] - hi[i])) + ((u[i] - hi[i]) + (v[i] - hi[i]))
    for n in range(N - N % 4, N):
        p = _row(x, n, j, s.size)
        for i in range(s.size):
            s[i] += p[i] - hi[i]


@jit(forceinline=True)
def _add_squares(x, j, hi, s):
    """s[i] = Σ_n (x[n, j + i] − hi[i])²"""
    N = x.shape[0]
    for i in range(s.size):
        s[i] = 0
    for n in range(0, N - 3, 4):
        p, q, u, v = _row(x, n, j, s.size), _row(x, n + 1, j, s.size), _row(x, n + 2, j, s.size), _row(x, n + 3, j, s.size)
        for i in range(s.size):
            a, b, c, d = p[i] - hi[i], q[i] - hi[i], u[i] - hi[i], v[i] - hi[i]
            s[i] += (a * a + b * b) + (c * c + d * d)
    for n in range(N - N % 4, N):
        p = _row(x, n, j, s.size)
        for i in range(s.size):
            a = p[i] - hi[i]
            s[i] += a * a


@jit(forceinline=True)
def _add_dots(dy, x, j, hi, s, t):
    """s[i] = Σ_n dy[n, j + i] and t[i] = Σ_n dy[n, j + i]·(x[n, j + i] − hi[i])"""
    N = x.shape[0]
    for i in range(s.size):
        s[i] = 0
    for i in range(s.size):
        t[i] = 0
    for n in range(0, N - 1, 2):
        p, q, u, v = _row(x, n, j, s.size), _row(x, n + 1, j, s.size), _row(dy, n, j, s.size), _row(dy, n + 1, j, s.size)
        for i in range(s.size):
            s[i] += u[i] + v[i]
        for i in range(s.size):
            t[i] += u[i] * (p[i] - hi[i]) + v[i] * (q[i] - hi[i])
    if N % 2:
        p, u = _row(x, N - 1, j, s.size), _row(dy, N - 1, j, s.size)
        for i in range(s.size):
            s[i] += u[i]
        for i in range(s.size):
            t[i] += u[i] * (p[i] - hi[i])


@jit(forceinline=True)
def _channels(C, part, parts):
    units = (C + UNIT - 1) // UNIT
    return units * part // parts * UNIT, min(C, units * (part + 1) // parts * UNIT)


@jit(fastmath={"contract"})
def columns(x, L, weight, bias, eps, batch, stats, y, part, parts):
    """What `planes` does, for x and y as matrices (N, C·L)."""
    N, C = x.shape[0], x.shape[1] // L
    T = x.dtype.type
    step = max(1, STRIP // L)
    s_all, his = np.empty(step * L), np.empty(step * L, x.dtype)
    scales, shifts = np.empty(step * L, x.dtype), np.empty(step * L, x.dtype)
    start, end = _channels(C, part, parts)
    for c0 in range(start, end, step):
        channels = min(step, end - c0)
        j, width = c0 * L, channels * L
        s, hi, scale, shift = s_all[:width], his[:width], scales[:width], shifts[:width]
        if batch:
            for c in range(channels):
                _fill(hi, c, L, x[0, j + c * L])
            _add_rows(x, j, hi, s)
            for c in range(channels):
                stats[0, c0 + c] = hi[c * L] + _total(s, c, L) / (N * L)
                _fill(hi, c, L, T(stats[0, c0 + c]))
            _add_squares(x, j, hi, s)
            for c in range(channels):
                lo = stats[0, c0 + c] - hi[c * L]
                stats[1, c0 + c] = max(_total(s, c, L) / (N * L) - lo * lo, 0.0)
        for c in range(channels):
            top, lo = _halves(stats[0, c0 + c], T)
            a, b = 1 / math.sqrt(stats[1, c0 + c] + eps), np.float64(0)
            if weight.size:
                a, b = a * np.float64(weight[c0 + c]), np.float64(bias[c0 + c])
            _fill(hi, c, L, top)
            _fill(scale, c, L, T(a))
            _fill(shift, c, L, T(b - lo * a))
        for n in range(N):
            row, y_row = _row(x, n, j, width), _row(y, n, j, width)
            for i in range(width):
                y_row[i] = (row[i] - hi[i]) * scale[i] + shift[i]


@jit(parallel=True)
def columns_shared(body, x, L, weight, bias, eps, batch, stats, y, parts):
    for part in prange(parts):
        call(body, x, L, weight, bias, eps, batch, stats, y, part, parts)


@jit(fastmath={"contract"})
def columns_backward(dy, x, L, weight, eps, batch, stats, dx, dw, db, part, parts):
    """What `planes_backward` does, for dy, x and dx as matrices (N, C·L)."""
    N, C = x.shape[0], x.shape[1] // L
    T = x.dtype.type
    step = max(1, STRIP // L)
    s_all, t_all = np.empty(step * L), np.empty(step * L)
    his, scales = np.empty(step * L, x.dtype), np.empty(step * L, x.dtype)
    slopes, offsets = np.empty(step * L, x.dtype), np.empty(step * L, x.dtype)
    start, end = _channels(C, part, parts)
    for c0 in range(start, end, step):
        channels = min(step, end - c0)
        j, width = c0 * L, channels * L
        s, t, hi = s_all[:width], t_all[:width], his[:width]
        scale, slope, offset = scales[:width], slopes[:width], offsets[:width]
        for c in range(channels):
            _fill(hi, c, L, T(stats[0, c0 + c]))
        _add_dots(dy, x, j, hi, s, t)
        for c in range(channels):
            lo = stats[0, c0 + c] - hi[c * L]
            rstd = 1 / math.sqrt(stats[1, c0 + c] + eps)
            s_c, t_c = _total(s, c, L), _total(t, c, L)
            dw[c0 + c], db[c0 + c] = rstd * (t_c - lo * s_c), s_c
            b = d = np.float64(0)
            if batch:
                b, d = _slopes(s_c, t_c, N * L, rstd, lo)
            w = np.float64(weight[c0 + c]) if weight.size else np.float64(1)
            _fill(scale, c, L, T(w * rstd))
            _fill(slope, c, L, T(w * b))
            _fill(offset, c, L, T(w * d))
        if dx.size:
            for n in range(N):
                row, dy_row, dx_row = _row(x, n, j, width), _row(dy, n, j, width), _row(dx, n, j, width)
                for i in range(width):
                    dx_row[i] = dy_row[i] * scale[i] + ((row[i] - hi[i]) * slope[i] + offset[i])


@jit(parallel=True)
def columns_backward_shared(body, dy, x, L, weight, eps, batch, stats, dx, dw, db, parts):
    for part in prange(parts):
        call(body, dy, x, L, weight, eps, batch, stats, dx, dw, db, part, parts)


@jit
def running(running_mean, running_var, stats, momentum, unbiased):
    """running ← (1 − momentum)·running + momentum·new, the new variance times `unbiased` = n/(n − 1)."""
    T = running_mean.dtype.type
    for c in range(running_mean.size):
        running_mean[c] = T((1 - momentum) * running_mean[c] + momentum * stats[0, c])
        running_var[c] = T((1 - momentum) * running_var[c] + momentum * unbiased * stats[1, c])


# ----------------------------------------------------------------------------------------------------- layer norm, rows


@jit(forceinline=True)
def _row_moments(x):
    hi = x.dtype.type(x[0] + _sum(x, x[0]) / x.size)
    s, t = _sums(x, hi)
    return _moments(s, t, x.size, hi)


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
        row, y_row = x[m], y[m]
        if centred:
            mean, square = _row_moments(row)
        else:
            mean, square = np.float64(0), _sums(row, T(0))[1] / K
        rstd = 1 / math.sqrt(square + eps)
        stats[m, 0], stats[m, 1] = mean, rstd
        hi, lo = _halves(mean, T)
        if weight.size:
            _scale_each(row, hi, T(rstd), T(-lo * rstd), weight, bias, y_row)
        else:
            _scale(row, hi, T(rstd), T(-lo * rstd), y_row)


@jit(parallel=True)
def rows_shared(body, x, weight, bias, eps, centred, stats, y, parts):
    for part in prange(parts):
        call(body, x, weight, bias, eps, centred, stats, y, part, parts)


@jit
def rows_backward(dy, x, weight, centred, stats, dx, sums, part, parts):
    """One share of the chunks of CHUNK rows: fills dx unless it is empty, and for each chunk sums (chunks, 2, K): dγ, dβ."""
    M, K = x.shape
    T = x.dtype.type
    chunks = (M + CHUNK - 1) // CHUNK
    for chunk in range(chunks * part // parts, chunks * (part + 1) // parts):
        if weight.size:
            dw, db = sums[chunk, 0], sums[chunk, 1]
            for k in range(K):
                dw[k] = 0
                db[k] = 0
        for m in range(chunk * CHUNK, min(M, (chunk + 1) * CHUNK)):
            row, dy_row, rstd = x[m], dy[m], stats[m, 1]
            hi, lo = _halves(stats[m, 0], T)
            if weight.size:
                s, t = _dots_each(dy_row, row, hi, weight)
                _add_each(dy_row, row, hi, T(rstd), T(-lo * rstd), dw, db)
            else:
                s, t = _dots(dy_row, row, hi)
            if not centred:
                s = np.float64(0)
            if dx.size:
                slope, offset = _slopes(s, t, K, rstd, lo)
                if weight.size:
                    _combine_each(dy_row, row, hi, weight, T(rstd), T(slope), T(offset), dx[m])
                else:
                    _combine(dy_row, row, hi, T(rstd), T(slope), T(offset), dx[m])


@jit(parallel=True)
def rows_backward_shared(body, dy, x, weight, centred, stats, dx, sums, parts):
    for part in prange(parts):
        call(body, dy, x, weight, centred, stats, dx, sums, part, parts)


# ------------------------------------------------------------------------------------------- group norm, rows of planes


@jit
def groups(x, G, weight, bias, eps, stats, y, part, parts):
    """One share of the rows, C/G channels of a sample of x (N, C, L). Fills y and stats (N·G, 2), mean and rstd."""
    N, C, L = x.shape
    T, D = x.dtype.type, C // G
    x_rows = x.reshape(N * G, D * L)
    for m in range(N * G * part // parts, N * G * (part + 1) // parts):
        mean, variance = _row_moments(x_rows[m])
        rstd = 1 / math.sqrt(variance + eps)
        stats[m, 0], stats[m, 1] = mean, rstd
        hi, lo = _halves(mean, T)
        n, c0 = m // G, m % G * D
        for c in range(c0, c0 + D):
            scale, shift = rstd, np.float64(0)
            if weight.size:
                scale, shift = rstd * np.float64(weight[c]), np.float64(bias[c])
            _scale(x[n, c], hi, T(scale), T(shift - lo * scale), y[n, c])


@jit(parallel=True)
def groups_shared(body, x, G, weight, bias, eps, stats, y, parts):
    for part in prange(parts):
        call(body, x, G, weight, bias, eps, stats, y, part, parts)


@jit
def groups_backward(dy, x, G, weight, stats, dx, sums, part, parts):
    """One share of the rows: fills dx unless it is empty, and sums (N, 2, C) with each sample's dγ and dβ."""
    N, C, L = x.shape
    T, D = x.dtype.type, C // G
    for m in range(N * G * part // parts, N * G * (part + 1) // parts):
        hi, lo = _halves(stats[m, 0], T)
        n, c0, rstd = m // G, m % G * D, stats[m, 1]
        s = t = np.float64(0)
        for c in range(c0, c0 + D):
            s_plane, t_plane = _dots(dy[n, c], x[n, c], hi)
            sums[n, 0, c], sums[n, 1, c] = rstd * (t_plane - lo * s_plane), s_plane
            w = np.float64(weight[c]) if weight.size else np.float64(1)
            s += w * s_plane
            t += w * t_plane
        if dx.size:
            slope, offset = _slopes(s, t, D * L, rstd, lo)
            for c in range(c0, c0 + D):
                w = np.float64(weight[c]) if weight.size else np.float64(1)
                _combine(dy[n, c], x[n, c], hi, T(w * rstd), T(slope), T(offset), dx[n, c])


@jit(parallel=True)
def groups_backward_shared(body, dy, x, G, weight, stats, dx, sums, parts):
    for part in prange(parts):
        call(body, dy, x, G, weight, stats, dx, sums, part, parts)


# ------------------------------------------------------------------------------------------------------ what callers see


def _pair(body, twin, signature):
    """The kernel for one thread, and its twin for all, each by dtype."""
    one = PerDtype(body, lambda t: (*signature(t), types.intp, types.intp))
    return one, Shared(twin, one)


_stats, _flag, _size, _eps = dense(types.float64, 2, True), types.intp, types.intp, types.float64
_planes = _pair(
    planes, planes_shared, lambda t: (dense(t, 3), dense(t, 1), dense(t, 1), _eps, _flag, _stats, dense(t, 3, True))
)
_columns = _pair(
    columns,
    columns_shared,
    lambda t: (dense(t, 2), _size, dense(t, 1), dense(t, 1), _eps, _flag, _stats, dense(t, 2, True)),
)
_planes_backward = _pair(
    planes_backward,
    planes_backward_shared,
    lambda t: (
        *(dense(t, 3), dense(t, 3), dense(t, 1), _eps, _flag, _stats),
        *(dense(t, 3, True), dense(t, 1, True), dense(t, 1, True)),
    ),
)
_columns_backward = _pair(
    columns_backward,
    columns_backward_shared,
    lambda t: (
        *(dense(t, 2), dense(t, 2), _size, dense(t, 1), _eps, _flag, _stats),
        *(dense(t, 2, True), dense(t, 1, True), dense(t, 1, True)),
    ),
)
_rows = _pair(rows, rows_shared, lambda t: (dense(t, 2), dense(t, 1), dense(t, 1), _eps, _flag, _stats, dense(t, 2, True)))
_rows_backward = _pair(
    rows_backward,
    rows_backward_shared,
    lambda t: (dense(t, 2), dense(t, 2), dense(t, 1), _flag, _stats, dense(t, 2, True), dense(t, 3, True)),
)
_groups = _pair(
    groups,
    groups_shared,
    lambda t: (dense(t, 3), _size, dense(t, 1), dense(t, 1), _eps, _stats, dense(t, 3, True)),
)
_groups_backward = _pair(
    groups_backward,
    groups_backward_shared,
    lambda t: (dense(t, 3), dense(t, 3), _size, dense(t, 1), _stats, dense(t, 3, True), dense(types.float64, 3, True)),
)
_running = PerDtype(running, lambda t: (dense(t, 1, True), dense(t, 1, True), _stats, types.float64, types.float64))
_NOTHING = {np.dtype(T): np.empty(0, T) for T in (np.float32, np.float64)}


def _run(kernel, x, *args):
    body, twin = kernel
    if x.size >= SHARED_SIZE and get_num_threads() > 1:
        share(True, body[x.dtype], twin[x.dtype], *args)
    else:
        body[x.dtype](*args, 0, 1)


def _check(name, x, shape, **arrays):
    """Kernels check nothing, so Python does."""
    if x.dtype not in _NOTHING:
        raise TypeError(f"{name}: expected float32 or float64, got {x.dtype}")
    for what, array in arrays.items():
        if array is not None and array.shape != shape:
            raise ValueError(f"{name}: for an input of shape {x.shape} expected {what} of shape {shape}, got {array.shape}")
        if array is not None and array.dtype != x.dtype:
            raise TypeError(f"{name}: the input is {x.dtype} and {what} {array.dtype}; bring them to one dtype")


def _parameters(name, x, shape, weight, bias):
    """Both as vectors of the size of this shape, or both empty where neither is given."""
    T = x.dtype
    if T not in _NOTHING:
        _check(name, x, shape)
    for p in (weight, bias):
        if p is not None and (p.shape != shape or p.dtype is not T):  # nearly always decides, and quickly
            _check(name, x, shape, weight=weight, bias=bias)
    if weight is None and bias is None:
        return _NOTHING[T], _NOTHING[T]
    weight = np.ones(shape, T) if weight is None else plain(weight)
    bias = np.zeros(shape, T) if bias is None else plain(bias)
    return (weight, bias) if len(shape) == 1 else (weight.reshape(-1), bias.reshape(-1))


def _cotangent(name, dy, x, shape, weight):
    """dy, x and the weight as kernels take them."""
    if dy.shape != x.shape or dy.dtype is not x.dtype:
        _check(name, x, x.shape, dy=dy)
    return plain(dy), plain(x), _parameters(name, x, shape, weight, None)[0]


def _statistics(name, stats, shape):
    if stats.shape != shape:
        raise ValueError(f"{name}: expected statistics of shape {shape}, got {stats.shape}")
    return np.ascontiguousarray(stats, np.float64)


def _length(x):
    return math.prod(x.shape[2:])


def batch_norm(x, weight=None, bias=None, eps=1e-5, stats=None):
    """y = (x − mean)/√(var + eps)·weight + bias for each channel of x (N, C, …); and float64 [means, variances], (2, C).

    They are those of this batch, the variance biased, unless given as `stats`.
    """
    if x.ndim < 2:
        raise ValueError(f"batch_norm: expected an input (N, C, ...), got shape {x.shape}")
    weight, bias = _parameters("batch_norm", x, x.shape[1:2], weight, bias)
    x, batch = plain(x), stats is None
    (N, C), L = x.shape[:2], _length(x)
    y = np.empty(x.shape, x.dtype)
    stats = np.zeros((2, C)) if batch else _statistics("batch_norm", stats, (2, C))
    if x.size == 0:
        pass
    elif L < SMALL_PLANE:
        _run(_columns, x, x.reshape(N, C * L), L, weight, bias, eps, batch, stats, y.reshape(N, C * L))
    else:
        _run(_planes, x, x.reshape(N, C, L), weight, bias, eps, batch, stats, y.reshape(N, C, L))
    return y, stats


def batch_norm_backward(dy, x, weight, eps, stats, batch=True, wanted=True):
    """dx (None unless wanted), dweight and dbias; `batch`: the statistics were made from x and move with it."""
    dy, x, weight = _cotangent("batch_norm_backward", dy, x, x.shape[1:2], weight)
    (N, C), L, T = x.shape[:2], _length(x), x.dtype
    stats = _statistics("batch_norm_backward", stats, (2, C))
    dx = np.empty(x.shape if wanted else (0, *x.shape[1:]), T)
    dw, db, n = np.empty(C, T), np.empty(C, T), len(dx)
    if x.size == 0:
        dw[...] = db[...] = 0
    elif L < SMALL_PLANE:
        flat = x.reshape(N, C * L), dy.reshape(N, C * L), dx.reshape(n, C * L)
        _run(_columns_backward, x, flat[1], flat[0], L, weight, eps, batch, stats, flat[2], dw, db)
    else:
        flat = x.reshape(N, C, L), dy.reshape(N, C, L), dx.reshape(n, C, L)
        _run(_planes_backward, x, flat[1], flat[0], weight, eps, batch, stats, flat[2], dw, db)
    return dx if wanted else None, dw, db


def layer_norm(x, axes, weight=None, bias=None, eps=1e-5, centred=True):
    """y = (x − mean)/√(var + eps)·weight + bias over the last `axes` axes; and float64 [mean, rstd] of each row, (rows, 2).

    Not centred: 0 in place of the mean (RMS norm).
    """
    shape = x.shape[x.ndim - axes :]
    weight, bias = _parameters("layer_norm", x, shape, weight, bias)
    x, K, M = plain(x), math.prod(shape), math.prod(x.shape[: x.ndim - axes])
    y, stats = np.empty(x.shape, x.dtype), np.empty((M, 2))
    if x.size:
        _run(_rows, x, x.reshape(M, K), weight, bias, eps, centred, stats, y.reshape(M, K))
    return y, stats


def layer_norm_backward(dy, x, axes, weight, stats, centred=True, wanted=True):
    """dx (None unless wanted), dweight and dbias (None without a weight)."""
    shape = x.shape[x.ndim - axes :]
    affine = weight is not None
    dy, x, weight = _cotangent("layer_norm_backward", dy, x, shape, weight)
    K, M, T = math.prod(shape), math.prod(x.shape[: x.ndim - axes]), x.dtype
    stats = _statistics("layer_norm_backward", stats, (M, 2))
    dx, chunks = np.empty(x.shape if wanted else (0, K), T), -(-M // CHUNK)
    sums = np.empty((chunks if affine else 0, 2, K), T)
    if x.size:
        _run(_rows_backward, x, dy.reshape(M, K), x.reshape(M, K), weight, centred, stats, dx.reshape(-1, K), sums)
    dw = db = None
    if affine:
        dw, db = sums[0] if chunks == 1 else column_sums(sums.reshape(chunks, 2 * K)).reshape(2, K)
        dw, db = dw.reshape(shape), db.reshape(shape)
    return dx if wanted else None, dw, db


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    """y = (x − mean)/√(var + eps)·weight + bias, the mean over C/groups channels of one sample of x (N, C, …).

    And float64 [mean, rstd] of each, (N·groups, 2).
    """
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ValueError(f"group_norm: expected an input (N, C, ...) and groups that divide C, got {x.shape} and {groups}")
    weight, bias = _parameters("group_norm", x, x.shape[1:2], weight, bias)
    x = plain(x)
    (N, C), L = x.shape[:2], _length(x)
    y, stats = np.empty(x.shape, x.dtype), np.empty((N * groups, 2))
    if x.size:
        _run(_groups, x, x.reshape(N, C, L), groups, weight, bias, eps, stats, y.reshape(N, C, L))
    return y, stats


def group_norm_backward(dy, x, groups, weight, stats, wanted=True):
    """dx (None unless wanted), dweight and dbias."""
    dy, x, weight = _cotangent("group_norm_backward", dy, x, x.shape[1:2], weight)
    (N, C), L, T = x.shape[:2], _length(x), x.dtype
    stats = _statistics("group_norm_backward", stats, (N * groups, 2))
    dx, sums = np.empty(x.shape if wanted else (0, *x.shape[1:]), T), np.zeros((N, 2, C))
    if x.size:
        flat = dy.reshape(N, C, L), x.reshape(N, C, L), dx.reshape(-1, C, L)
        _run(_groups_backward, x, flat[0], flat[1], groups, weight, stats, flat[2], sums)
    dw, db = column_sums(sums.reshape(N, 2 * C)).astype(T).reshape(2, C)
    return dx if wanted else None, dw, db


def update_running(running_mean, running_var, stats, momentum, count):
    """Both ← (1 − momentum)·old + momentum·new, in place; the new variance unbiased, of `count` values for each channel."""
    shape, T = stats.shape[1:], running_mean.dtype
    if running_mean.shape != shape or running_var.shape != shape or running_var.dtype != T:
        raise ValueError(
            f"update_running: expected two arrays of one dtype and shape {shape}, got {T} {running_mean.shape} and "
            f"{running_var.dtype} {running_var.shape}"
        )
    mean, var = plain(running_mean), plain(running_var)
    _running[T](mean, var, stats, momentum, count / (count - 1))
    if mean is not running_mean:
        np.copyto(running_mean, mean)
    if var is not running_var:
        np.copyto(running_var, var)
