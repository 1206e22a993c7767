"""The loops of batch norm over planes too small for loops of their own: side by side, as columns (norm.py says what for)."""

import math

import numpy as np

from .arrays import empty_array
from .jit import jit
from .norm_loops import far_moments, halves, is_near, put_combined, put_scaled, slopes

STRIP = 1024  # columns treated at once: their sums and coefficients stay in the L1 cache
UNIT = 16  # shares of columns begin at multiples of this: whole cache lines

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
    sums, coefficients = empty_array(step * L, np.float64), empty_array((3, step * L), x.dtype)
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
                    stats[0, c0 + c], stats[1, c0 + c] = far_moments(planes, 0, 1, N, True)
        for c in range(channels):
            top, lo = halves(stats[0, c0 + c], T)
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
            for n in range(0 if is_near(rstd) else N):
                a, mean = rstd * np.float64(weight[c]), stats[0, c]
                put_scaled(x[n, c * L : c * L + L], mean, a, np.float64(bias[c]), y[n, c * L : c * L + L])


@jit(fastmath={"contract"})
def columns_backward(dy, x, weight, eps, given, stats, dx, dw, db, part, parts):
    """What `planes_backward` does for batch norm, with dy, x and dx as matrices (N, C·L)."""
    N, C, T = x.shape[0], weight.size, x.dtype.type
    L = x.shape[1] // C
    step = max(1, STRIP // L)
    strips, coefficients = empty_array((2, step * L), np.float64), empty_array((4, step * L), x.dtype)
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
                b, d = slopes(w * dy_sum, w * dot, N * L, rstd, lo)
            _fill(scale, c, L, T(w * rstd))
            _fill(slope, c, L, T(b))
            _fill(offset, c, L, T(d))
        for n in range(dx.shape[0]):
            row, dy_row, dx_row = x[n, j : j + width], dy[n, j : j + width], dx[n, j : j + width]
            for i in range(width):
                dx_row[i] = dy_row[i] * scale[i] + ((row[i] - hi[i]) * slope[i] + offset[i])
        for c in range(channels):
            rstd = 1 / math.sqrt(stats[1, c0 + c] + eps)
            if dx.shape[0] and not is_near(rstd):
                top, lo = halves(stats[0, c0 + c], T)
                dy_sum, dot, w = _total(s, c, L), _total(t, c, L), np.float64(weight[c0 + c])
                b = d = np.float64(0)
                if not given:
                    b, d = slopes(w * dy_sum, w * dot, N * L, rstd, lo)
                k = j + c * L
                for n in range(N):
                    put_combined(dy[n, k : k + L], x[n, k : k + L], np.float64(top), w * rstd, b, d, dx[n, k : k + L])
