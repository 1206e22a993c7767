"""Pooling: the largest or the mean of each window of a plane, and the way back of a gradient.

`pool_windows` and `adaptive_windows` say where the windows of an axis lie; the kernels take one such list for each pooled axis.
Maxima first sort the columns and rows of a plane by their remainder to the stride, into small planes with a border of -inf:

    stride 2    0 1 0 1        0 0   1 1        one tap of all windows is then a run of neighbours in memory: a whole
                2 3 2 3   →    0 0   1 1   …    block of windows is compared tap by tap, in long loops of vector code
                0 1 0 1

Means add up the rows of a window first, the columns of these sums after; back, one row is made and added to all the others.
"""

import dataclasses
import functools
import math
import operator

import numpy as np
from numba import types

from .arrays import empty_array, reshaped
from .elementwise import number, plain
from .jit import CodeByDtype, dense, jit, planning
from .memory import empty
from .shares import SharedCode
from .sums import sum_over
from .threads import run
from .tile import contiguous
from .vmath import select

SHARED_SIZE = 32768  # elements of the input from which a second thread pays for its launch
FEW = 4  # windows of a plane that are not worth a block, as in global pooling
BLOCK = 768  # windows compared at once: they and their taps stay in the first-level cache


@dataclasses.dataclass(eq=False, repr=False)
class Windows:
    """Where the windows of an axis lie. Number o has taps begins[o] + dilation·k, of which those with skips[o] <= k <
    skips[o] + counts[o] are inside; these start at starts[o]. The rest is padding. Equal windows are one object, mostly."""

    size: int  # of the axis
    out: int  # number of windows
    kernel: int  # taps of a window, at most
    stride: int  # from window to window; 0 where it varies
    padding: int
    dilation: int
    begins: np.ndarray
    skips: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    areas: np.ndarray  # taps inside or on the padding, which ends `padding` after the last element

    def __post_init__(self):
        self.numbers = self.kernel, self.stride, self.padding, self.dilation

    def __repr__(self):
        kind = f"stride {self.stride}, padding {self.padding}, dilation {self.dilation}" if self.stride else "adaptive"
        return f"<{self.out} windows of {self.kernel} on {self.size}: {kind}>"


def _windows(size, kernel, stride, padding, dilation, begins, ends):
    skips = -(np.minimum(begins, 0) // dilation)
    counts = np.minimum(-(-(np.minimum(ends, size) - begins) // dilation) - skips, kernel)
    areas = np.minimum(ends, size + padding) - begins
    arrays = begins, skips.astype(np.int32), begins + skips * dilation, counts, areas
    for array in arrays:
        array.flags.writeable = False
    return Windows(size, len(begins), kernel, stride, padding, dilation, *arrays)


@functools.lru_cache(4096, typed=True)  # 2.0 is refused, though 2 was there before
def pool_windows(size, kernel, stride, padding=0, dilation=1, ceil_mode=False):
    """The windows of `kernel` taps on an axis with `padding` on both sides. ValueError if there is none.

    With `ceil_mode` a last window may hang over the end, if it starts inside the axis or the padding before it.

    >>> pool_windows(5, kernel=3, stride=2, padding=1).begins
    array([-1,  1,  3])
    """
    if any(type(x) is not int for x in (size, kernel, stride, padding, dilation)):
        try:
            size, kernel, stride, padding, dilation = map(operator.index, (size, kernel, stride, padding, dilation))
        except TypeError:
            got = f"{size!r}, {kernel!r}, {stride!r}, {padding!r} and {dilation!r}"
            raise TypeError(f"pool_windows: expected integers, got {got}") from None
    if min(kernel, stride, dilation) < 1 or padding < 0:
        got = f"kernel={kernel}, stride={stride}, dilation={dilation} and padding={padding}"
        raise ValueError(f"pool_windows: expected kernel, stride and dilation of 1 or more and padding of 0 or more, got {got}")
    reach = dilation * (kernel - 1) + 1
    spare = size + 2 * padding - reach
    out = (-(-spare // stride) if ceil_mode else spare // stride) + 1
    if ceil_mode and (out - 1) * stride >= size + padding:
        out -= 1
    if out < 1 or size < 1:
        raise ValueError(
            f"the computed output size is {min(out, 0)}: a window that reaches over {reach} does not fit an axis of {size} "
            f"with {padding} of padding on both sides"
        )
    begins = np.arange(out) * stride - padding
    result = _windows(size, kernel, stride, padding, dilation, begins, begins + reach)
    if result.counts.min() < 1:
        o = int(np.argmin(result.counts))
        raise ValueError(f"all taps of window {o}, dilated by {dilation}, miss the axis of {size} and meet padding only")
    return result


@functools.lru_cache(4096, typed=True)  # 2.0 is refused, though 2 was there before
def adaptive_windows(size, out):
    """`out` windows of an axis, number o from ⌊o·size/out⌋ up to ⌈(o + 1)·size/out⌉. ValueError if it is empty.

    >>> adaptive_windows(10, 7).starts
    array([0, 1, 2, 4, 5, 7, 8])
    """
    if not all(isinstance(n, (int, np.integer)) for n in (size, out)):
        raise TypeError(f"adaptive_windows: expected integers, got {size!r} and {out!r}")
    if size < 1:
        raise ValueError("an axis without elements has no windows")
    if out and size % out == 0:
        return pool_windows(size, size // out, size // out)
    o = np.arange(out)
    begins, ends = o * size // out, -(-(o + 1) * size // out)
    return _windows(size, int((ends - begins).max(initial=1)), 0, 0, 1, begins, ends)


ONE_ROW = pool_windows(1, 1, 1)  # what one-dimensional pooling has for an axis of rows


# --- maxima
# A window's first maximum in reading order wins, but its last NaN: what PyTorch does, and what `v > best or v != v` does when
# the taps are taken in this order. Of the place of the maximum only its number among the taps is kept.


@jit(forceinline=True)
def _better(v, tap, best, found):
    takes = (v > best) | (v != v)
    return select(takes, v, best), select(takes, tap, found)


@jit(forceinline=True)
def _take(values, tap, best, found):
    for i in range(best.size):
        best[i], found[i] = _better(values[i], tap, best[i], found[i])


@jit(forceinline=True)
def _take_three(one, two, three, tap, best, found):
    """Three taps at once: a third of the reading and writing of what has been found."""
    second, third = np.int32(tap + 1), np.int32(tap + 2)
    for i in range(best.size):
        v, t = _better(one[i], tap, best[i], found[i])
        v, t = _better(two[i], second, v, t)
        best[i], found[i] = _better(three[i], third, v, t)


@jit(forceinline=True)
def _every(row, first, step, target):
    """target[i] = row[first + step·i]"""
    first, step = np.uintp(first), np.uintp(step)  # unsigned, an index cannot count from the end
    for i in range(np.uintp(target.size)):
        target[i] = row[first + step * i]


@jit
def _sort_taps(lines, p, i, H, lowest, stride, top, phases, R, spans, taps):
    """The taps of the windows from row i on: row r·stride + a, column c·step + b of the padded plane p at [a, b, r, c]."""
    Q = taps.shape[1] // (phases * len(spans) * R)
    for a in range(phases):
        for r in range(R):
            h = (i + r) * stride + a - top
            for b in range(len(spans)):
                at = ((a * len(spans) + b) * R + r) * Q
                if 0 <= h < H:
                    first, n, start, step = spans[b]  # around these n there is -inf for good
                    line = contiguous(lines, p * H + h, 0, lines.shape[1])
                    _every(line, start, step, contiguous(taps, 0, at + first, n))
                else:
                    target = contiguous(taps, 0, at, Q)
                    for c in range(Q):
                        target[c] = lowest


@jit
def _max(x, lowest, rows, columns, row_skips, column_skips, y, codes, part, parts):
    """rows and columns are (kernel, stride, padding, dilation); `lowest` is -inf, in an array."""
    P, H, W = x.shape
    OH, OW = y.shape[1:]
    KH, sh, top, dh = rows
    KW, sw, left, dw = columns
    phases, more = min(sh, dh * (KH - 1) + 1), dh * (KH - 1) // sh
    Q = OW + dw * (KW - 1) // sw
    step = min(OH, max(BLOCK // Q, more + 1))
    R = step + more

    spans = empty_array((min(sw, dw * (KW - 1) + 1), 4), np.int64)
    for b in range(len(spans)):
        first = max(0, -((b - left) // sw))
        n = min(Q, (W - 1 - b + left) // sw + 1) - first
        spans[b, 0], spans[b, 1], spans[b, 2], spans[b, 3] = first, max(0, n), first * sw + b - left, sw
    at = empty_array(KH * KW, np.int64)
    for tap in range(KH * KW):
        h, w = tap // KW * dh, tap % KW * dw
        at[tap] = ((h % sh * len(spans) + w % sw) * R + h // sh) * Q + w // sw

    taps = empty_array((1, phases * len(spans) * R * Q), x.dtype)
    for k in range(taps.size):
        taps[0, k] = lowest[0]
    best, found = empty_array((1, step * Q), x.dtype), empty_array((1, step * Q), np.int32)
    lines, values, places = reshaped(x, (P * H, W)), reshaped(y, (P * OH, OW)), reshaped(codes, (P * OH, OW))
    for p in range(P * part // parts, P * (part + 1) // parts):
        for i in range(0, OH, step):
            B = min(step, OH - i)
            n = (B - 1) * Q + OW
            _sort_taps(lines, p, i, H, lowest[0], sh, top, phases, R, spans, taps)
            some, where, first = contiguous(best, 0, 0, n), contiguous(found, 0, 0, n), contiguous(taps, 0, 0, n)
            for k in range(n):
                some[k], where[k] = first[k], 0
            if top or left:  # where all is -inf, the first tap inside the plane wins
                for r in range(B):
                    place, skipped = contiguous(found, 0, r * Q, OW), np.int32(row_skips[i + r] * KW)
                    for c in range(OW):
                        place[c] = skipped + column_skips[c]
            tap = 1
            while tap + 2 < KH * KW:
                one, two = contiguous(taps, 0, at[tap], n), contiguous(taps, 0, at[tap + 1], n)
                _take_three(one, two, contiguous(taps, 0, at[tap + 2], n), np.int32(tap), some, where)
                tap += 3
            while tap < KH * KW:
                _take(contiguous(taps, 0, at[tap], n), np.int32(tap), some, where)
                tap += 1
            for r in range(B):
                row, value = p * OH + i + r, contiguous(best, 0, r * Q, OW)
                place = contiguous(found, 0, r * Q, OW)
                _every(value, 0, 1, contiguous(values, row, 0, OW))
                _every(place, 0, 1, contiguous(places, row, 0, OW))


@jit
def _max_one_by_one(x, tops, heights, lefts, widths, KW, y, codes, part, parts):
    P, H, W = x.shape
    OH, OW = y.shape[1:]
    lines = reshaped(x, (P * H, W))
    for p in range(P * part // parts, P * (part + 1) // parts):
        for i in range(OH):
            for j in range(OW):
                best, found = x[p, tops[i], lefts[j]], 0
                for h in range(heights[i]):
                    line = contiguous(lines, p * H + tops[i] + h, lefts[j], widths[j])
                    for w in range(line.size):
                        v = line[w]
                        if v > best or v != v:
                            best, found = v, h * KW + w
                y[p, i, j], codes[p, i, j] = best, found


@jit
def _max_backward(dy, codes, row_begins, column_begins, offsets, dx, part, parts):
    """dx (planes, H, W), with all places counted from the start of a plane."""
    P, OH, OW = dy.shape
    flat, W = reshaped(dx, (P, dx.shape[1] * dx.shape[2])), dx.shape[2]
    for p in range(P * part // parts, P * (part + 1) // parts):
        plane = contiguous(flat, p, 0, flat.shape[1])
        for k in range(plane.size):
            plane[k] = 0
        for i in range(OH):
            row = row_begins[i] * W
            for j in range(OW):
                place = np.uintp(row + column_begins[j] + offsets[codes[p, i, j]])
                if place < plane.size:  # of codes of other windows it might not be
                    plane[place] += dy[p, i, j]


# --- means


@jit(forceinline=True)
def _add(row, total):
    for k in range(total.size):
        total[k] += row[k]


@jit
def _mean(x, tops, heights, lefts, widths, row_areas, column_areas, y, part, parts):
    """The mean of a window is its sum by row_area · column_area, which may count padding, or be 1 and any divisor."""
    P, H, W = x.shape
    OH, OW = y.shape[1:]
    lines, results = reshaped(x, (P * H, W)), reshaped(y, (P * OH, OW))
    scratch = empty_array((1, W), x.dtype)
    sums = contiguous(scratch, 0, 0, W)
    for p in range(P * part // parts, P * (part + 1) // parts):
        for i in range(OH):
            first = p * H + tops[i]
            _every(contiguous(lines, first, 0, W), 0, 1, sums)
            for h in range(1, heights[i]):
                _add(contiguous(lines, first + h, 0, W), sums)
            result = contiguous(results, p * OH + i, 0, OW)
            for j in range(OW):
                left = np.uintp(lefts[j])
                total = sums[left]
                for w in range(np.uintp(1), np.uintp(widths[j])):
                    total += sums[left + w]
                result[j] = total
            area = row_areas[i]  # read once: 15 % of the time
            for j in range(OW):
                result[j] /= area * column_areas[j]


@jit
def _mean_backward(dy, tops, heights, lefts, widths, row_areas, column_areas, dx, part, parts):
    P, H, W = dx.shape
    OH, OW = dy.shape[1:]
    lines, given = reshaped(dx, (P * H, W)), reshaped(dy, (P * OH, OW))
    scratch, shares = empty_array((1, W), dx.dtype), empty_array((1, OW), dx.dtype)
    row, dmean = contiguous(scratch, 0, 0, W), contiguous(shares, 0, 0, OW)
    for p in range(P * part // parts, P * (part + 1) // parts):
        done = 0  # rows of dx that hold something
        for i in range(OH + 1):
            top, bottom = (tops[i], tops[i] + heights[i]) if i < OH else (H, H)
            for h in range(done, top):  # no window reaches these
                line = contiguous(lines, p * H + h, 0, W)
                for k in range(W):
                    line[k] = 0
            if i == OH:
                break
            dys = contiguous(given, p * OH + i, 0, OW)
            for j in range(OW):
                dmean[j] = dys[j] / (row_areas[i] * column_areas[j])
            for k in range(W):
                row[k] = 0
            for j in range(OW):
                left = np.uintp(lefts[j])
                for w in range(np.uintp(widths[j])):
                    row[left + w] += dmean[j]
            for h in range(top, bottom):
                line = contiguous(lines, p * H + h, 0, W)
                if h < done:
                    _add(row, line)
                else:
                    _every(row, 0, 1, line)
            done = max(done, bottom)


@jit
def _divide(y, row_area, column_area):
    divisor = row_area[0] * column_area[0]
    for p in range(y.size):
        y[p] /= divisor


# --- the functions


_TABLE, _SKIPS = dense(types.int64, 1), dense(types.int32, 1)
_AXIS = types.UniTuple(types.intp, 4)  # (kernel, stride, padding, dilation)


def _mean_types(t):
    return dense(t, 3), *[_TABLE] * 4, dense(t, 1), dense(t, 1), dense(t, 3, True)


def _by_code(body, signature):
    """The kernel for codes of one byte, which is what nearly all windows need, and for codes of four."""
    return {
        np.dtype(code): SharedCode(body, lambda t, kind=kind: signature(t, kind), integers=True)
        for code, kind in ((np.uint8, types.uint8), (np.int32, types.int32))
    }


_maxima = _by_code(
    _max, lambda t, code: (dense(t, 3), dense(t, 1), _AXIS, _AXIS, _SKIPS, _SKIPS, dense(t, 3, True), dense(code, 3, True))
)
_maxima_one_by_one = _by_code(
    _max_one_by_one, lambda t, code: (dense(t, 3), *[_TABLE] * 4, types.intp, dense(t, 3, True), dense(code, 3, True))
)
_maxima_backward = _by_code(_max_backward, lambda t, code: (dense(t, 3), dense(code, 3), *[_TABLE] * 3, dense(t, 3, True)))
_by = CodeByDtype(_divide, lambda t: (dense(t, 1, True), dense(t, 1), dense(t, 1)))
_means, _means_backward = SharedCode(_mean, _mean_types), SharedCode(_mean_backward, _mean_types)


def _planes(name, x, sizes, axes):
    """x as (planes, H, W), and the windows of its last two axes; a single pooled axis has one row."""
    if x.shape[-len(axes) :] != sizes:
        raise ValueError(f"{name}: expected an array (..., {', '.join(map(str, sizes))}), got {x.shape}")
    rows, columns = axes if len(axes) == 2 else (ONE_ROW, axes[0])
    return plain(x).reshape(math.prod(x.shape[: -len(axes)]), *(1,) * (2 - len(axes)), *sizes), rows, columns


@functools.lru_cache(1024)
def _sizes(axes):
    return tuple([axis.size for axis in axes])


@functools.lru_cache(1024)
def _outs(axes):
    return tuple([axis.out for axis in axes])


def max_pool(x, axes):
    """The largest of each window of x (..., sizes), and its number among the window's taps; one Windows for each axis."""
    axes = tuple(axes)
    planes, rows, columns = _planes("max_pool", x, _sizes(axes), axes)
    taps = rows.kernel * columns.kernel
    y = empty((len(planes), rows.out, columns.out), x.dtype)
    codes = empty(y.shape, np.dtype(np.uint8 if taps <= 256 else np.int32))
    if planning():  # kernels write no codes then, but backward wants good ones
        codes[...] = 0
    regular, inside = rows.stride and columns.stride, not (rows.padding or columns.padding)
    inside = inside and rows.dilation * columns.dilation == 1
    if regular and (not inside or rows.out * columns.out > FEW):
        options = rows.numbers, columns.numbers, rows.skips, columns.skips
        run(x.size >= SHARED_SIZE, _maxima[codes.dtype], x.dtype, planes, _lowest(x.dtype), *options, y, codes)
    elif inside:
        tables = rows.starts, rows.counts, columns.starts, columns.counts
        run(x.size >= SHARED_SIZE, _maxima_one_by_one[codes.dtype], x.dtype, planes, *tables, columns.kernel, y, codes)
    else:
        raise ValueError("max_pool: the windows of both axes must be adaptive, or of neither")
    shape = x.shape[: -len(axes)] + _outs(axes)
    return y.reshape(shape), codes.reshape(shape)


@functools.lru_cache(16)
def _lowest(dtype):
    return np.full(1, -np.inf if dtype.kind == "f" else np.iinfo(dtype).min, dtype)


@functools.lru_cache(256)
def _offsets(rows, columns):
    """For each tap of a window, how far it lies from the window's first tap in a plane."""
    taps = np.arange(rows.kernel)[:, None] * (rows.dilation * columns.size) + np.arange(columns.kernel) * columns.dilation
    return taps.ravel()


def max_pool_backward(dy, codes, axes):
    """dx (..., sizes): each dy goes to where the maximum was, and adds up where windows overlap."""
    axes = tuple(axes)
    if codes.shape != dy.shape:
        raise ValueError(f"max_pool_backward: dy {dy.shape} and codes {codes.shape} disagree")
    planes, rows, columns = _planes("max_pool_backward", dy, _outs(axes), axes)
    dx = empty((len(planes), rows.size, columns.size), dy.dtype)
    tables = rows.begins, columns.begins, _offsets(rows, columns)
    if codes.dtype not in _maxima_backward or codes.max(initial=0) >= len(tables[2]):
        raise ValueError(f"max_pool_backward: the codes are not those of windows with {len(tables[2])} taps")
    run(
        dx.size >= SHARED_SIZE, _maxima_backward[codes.dtype], dy.dtype, planes, plain(codes).reshape(planes.shape), *tables, dx
    )
    return dx.reshape(dy.shape[: -len(axes)] + _sizes(axes))


def max_pool_indices(codes, axes):
    """Where the maxima were, counted along a plane in reading order: int64."""
    rows, columns = axes if len(axes) == 2 else (ONE_ROW, axes[0])
    begins = rows.begins[:, None] * columns.size + columns.begins
    return _offsets(rows, columns)[codes] + begins.reshape(_outs(tuple(axes)))


@functools.lru_cache(256)
def _divisors(rows, columns, count_include_pad, divisor, dtype):
    if divisor is not None:
        with np.errstate(over="ignore"):
            return np.full(rows.out, divisor, dtype), np.ones(columns.out, dtype)
    areas = (rows.areas, columns.areas) if count_include_pad else (rows.counts, columns.counts)
    return [area.astype(dtype) for area in areas]


def mean_pool(x, axes, count_include_pad=True, divisor=None):
    """The mean of each window of x (..., sizes), or its sum by `divisor`; one Windows, not dilated, for each pooled axis."""
    axes = tuple(axes)
    if any(axis.dilation > 1 for axis in axes):
        raise ValueError("mean_pool: windows must not be dilated")
    planes, rows, columns = _planes("mean_pool", x, _sizes(axes), axes)
    divisors = _divisors(rows, columns, bool(count_include_pad), None if divisor is None else number(divisor), x.dtype)
    if rows.out * columns.out == 1 and rows.counts[0] * columns.counts[0] == rows.size * columns.size:
        y = sum_over(planes, (1, 2))
        _by[x.dtype](y, *divisors)
        return y.reshape(x.shape[: -len(axes)] + _outs(axes))
    y = empty((len(planes), rows.out, columns.out), x.dtype)
    tables = rows.starts, rows.counts, columns.starts, columns.counts
    run(x.size >= SHARED_SIZE, _means, x.dtype, planes, *tables, *divisors, y)
    return y.reshape(x.shape[: -len(axes)] + _outs(axes))


def mean_pool_backward(dy, axes, count_include_pad=True, divisor=None):
    """dx (..., sizes): each dy by its window's divisor, for all elements of the window."""
    axes = tuple(axes)
    planes, rows, columns = _planes("mean_pool_backward", dy, _outs(axes), axes)
    dx = empty((len(planes), rows.size, columns.size), dy.dtype)
    tables = rows.starts, rows.counts, columns.starts, columns.counts
    divisors = _divisors(rows, columns, bool(count_include_pad), None if divisor is None else number(divisor), dy.dtype)
    run(dx.size >= SHARED_SIZE, _means_backward, dy.dtype, planes, *tables, *divisors, dx)
    return dx.reshape(dy.shape[: -len(axes)] + _sizes(axes))
