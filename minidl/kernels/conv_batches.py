"""Convolution of many images at a time: a vector holds the same pixel of as many images as it has lanes, a batch.

    y[o, pixel] = Σ_k A[o, k] · B[k, pixel]      k counts the channels and the taps (kh, kw) of the kernel

`conv_loops` lays pixels side by side; then a stride makes what a tap reads non-contiguous, and padding must be written out and
multiplied. Here a pixel of a channel is a line of its own, one vector, whatever its neighbours are:

- A row of B is read where it lies, for any stride and dilation: nothing is sorted or gathered.
- What would meet the padding is left out. Pixels of a row of y that are reached by the same kw form a run. In a 7×7 image with
  a padding of 1, a sixth of the multiply-adds is left out.
- Images must be transposed on the way in, and y on the way out, which takes less time than to gather panels.

`planes.in_order` says how k is counted, here and there: through blocks of channels, in a block through kh, kw and its channels.
So what is left to do at an edge is one range of k, or one for each kh. Every element sums over k in the same order as in
`conv_loops`, where what meets the padding adds 0: the bits depend neither on the number of threads nor on that of images.
(Only a weight that is not finite makes NaN of that 0, and leaves no trace here.)
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import types

from .arrays import empty_array, reshaped, zero_array
from .conv_loops import share
from .jit import FLOATS, jit
from .planes import in_order
from .tile import PACKED_ROWS, PACKED_VECTORS, VECTOR_BYTES, packed_tile, transpose_block

SOURCE = 1024 * 1024 // VECTOR_BYTES  # lines of transposed images that stay in the L2 cache; larger ones are cut in bands
TARGET = 384 * 1024 // VECTOR_BYTES  # lines of y that stay there, too, while the blocks of channels are added up
STRIPES = TARGET * 3 if VECTOR_BYTES == 64 else TARGET  # the same, of the stripes that pass by together: AVX-512 has 1 to 2 MB


@jit
def correlate_batches(x, packed, y, sizes, steps, phases, reached, runs, batches, groups, channels, rows, part, parts):
    """One share of a convolution as a BatchPlan describes it; channels and rows are those of x and of y per group.

    Items are bands of rows of a batch, units stripes of rows of A, as in `conv_loops.correlate`.
    """
    lanes = VECTOR_BYTES // x.itemsize
    stripes = (rows + PACKED_ROWS - 1) // PACKED_ROWS
    item0, item1, unit0, unit1 = share(batches * sizes.bands, groups * stripes, part, parts)
    images = reshaped(x, (batches * lanes, groups * channels * sizes.height * sizes.width))
    results = reshaped(y, (batches * lanes, groups * rows * sizes.pixels))
    source = empty_array((channels * sizes.channel, lanes), x.dtype)
    target = zero_array((rows * sizes.row, lanes), x.dtype)  # what no phase reaches stays 0
    for item in range(item0, item1):
        n0, i0 = item // sizes.bands * lanes, item % sizes.bands * sizes.band
        h0 = max(0, i0 * sizes.stride_h + sizes.top)
        h1 = min(sizes.height, (i0 + sizes.band - 1) * sizes.stride_h + sizes.bottom + 1)
        first = i0 * phases[0, 4]
        pixels = min(sizes.band * phases[0, 4], sizes.pixels - first)
        for g in range(unit0 // stripes, (unit1 + stripes - 1) // stripes):
            stripe0, stripe1 = max(unit0 - g * stripes, 0), min(unit1 - g * stripes, stripes)
            row0, row1 = stripe0 * PACKED_ROWS, min(stripe1 * PACKED_ROWS, rows)
            area = sizes.height * sizes.width
            start = g * channels * area + h0 * sizes.width
            to_lines(images, n0, start, channels, area, (h1 - h0) * sizes.width, source, sizes.channel)
            for s0 in range(stripe0, stripe1, sizes.stripes):
                s1 = min(s0 + sizes.stripes, stripe1)
                multiply_lines(
                    packed, source, target, sizes, steps, phases, reached, runs, i0, h0, first, s0, s1, row0, rows, stripes,
                    channels, groups, g,
                )  # fmt: skip
            start = (g * rows + row0) * sizes.pixels + first
            from_lines(target, row1 - row0, sizes.row, pixels, results, n0, start, sizes.pixels)


@jit
def multiply_lines(
    packed, source, target, sizes, steps, phases, reached, runs, i0, h0, first, s0, s1, row0, rows, stripes, channels, groups, g
):  # fmt: skip
    """target[row - row0, pixel - first] = bias[row] + Σ_k A[row, k] · source[k, pixel], for a band and some stripes of rows."""
    lanes = source.shape[1]
    b, c = reshaped(source, source.size), reshaped(target, target.size)
    for f in range(phases.shape[0]):
        k_at, k_all, height = phases[f, 0], phases[f, 1], phases[f, 2]
        start, row_step, step, kw = phases[f, 3], phases[f, 4], phases[f, 5], phases[f, 7]
        for channel in range(0, channels, sizes.block):
            in_block = min(sizes.block, channels - channel)
            k0 = channel * phases[f, 6] * kw
            for i in range(i0, min(i0 + sizes.band, height)):
                kh0, kh1 = reached[phases[f, 8] + i, 0], reached[phases[f, 8] + i, 1]
                for r in range(phases[f, 9], phases[f, 10]):
                    kw0, kw1 = runs[r, 2], runs[r, 3]
                    # The taps that are reached lie side by side among all k, or those of each kh do.
                    k = k0 + (kh0 * kw + kw0) * in_block
                    pieces, depth = kh1 - kh0, (kw1 - kw0) * in_block
                    if depth == 0:
                        pieces = 0
                    elif kw1 - kw0 == kw:
                        pieces, depth = min(pieces, 1), pieces * depth
                    for j in range(runs[r, 0], runs[r, 1], PACKED_VECTORS):
                        n = min(PACKED_VECTORS, runs[r, 1] - j)
                        b_at = ((i * sizes.stride_h - h0) * sizes.width + j * sizes.stride_w) * lanes
                        c_at = (start + i * row_step + j * step - first) * lanes
                        for s in range(s0, s1):
                            row, bias_at = s * PACKED_ROWS, ((sizes.total * groups + g) * stripes + s) * PACKED_ROWS
                            a_at = ((k_at * groups + g * k_all) * stripes + s * k_all) * PACKED_ROWS
                            at = c_at + (row - row0) * sizes.row * lanes
                            for piece in range(pieces):
                                q = k + piece * kw * in_block
                                packed_tile(
                                    packed, a_at + q * PACKED_ROWS, b, b_at, steps, sizes.stride_w * lanes, k_at + q, depth,
                                    c, at, sizes.row * lanes, step * lanes, bias_at, channel + piece, rows - row, n * lanes,
                                )  # fmt: skip
                            if pieces == 0:
                                for p in range(min(PACKED_ROWS, rows - row)):
                                    for v in range(n):
                                        for lane in range(lanes):
                                            c[at + (p * sizes.row + v * step) * lanes + lane] = packed[bias_at + p]


@jit
def behind(images, n, i):
    """How many numbers images[n, i] lies behind the last one that begins a line of the cache.

    Often all images lie at the same places in such lines, which then share a set of the cache: blocks should not cut any.
    """
    return (images.ctypes.data // images.itemsize + n * images.shape[1] + i) % (VECTOR_BYTES // images.itemsize)


@jit
def to_lines(images, n0, start, count, apart, length, lines, step):
    """lines[q·step + p, :] = images[n0 : n0 + L, start + q·apart + p] for q < count, p < length."""
    lanes = lines.shape[1]
    if apart == length == step:
        count, length = 1, count * length
    turned = images.T
    for q in range(count):
        i, at = start + q * apart, q * step
        if length >= lanes:
            for p in range(-behind(images, n0, i), length, lanes):
                p = min(max(p, 0), length - lanes)  # the first block and the last overlap their neighbours
                transpose_block(turned, i + p, n0, lines, at + p, 0)
        else:
            for p in range(length):
                for lane in range(lanes):
                    lines[at + p, lane] = images[n0 + lane, i + p]


@jit
def from_lines(lines, count, step, length, images, n0, start, apart):
    """images[n0 : n0 + L, start + q·apart + p] = lines[q·step + p, :] for q < count, p < length."""
    lanes = lines.shape[1]
    if apart == length == step:
        count, length = 1, count * length
    turned = lines.T
    for q in range(count):
        i, at = start + q * apart, q * step
        if length >= lanes:
            for p in range(-behind(images, n0, i), length, lanes):
                p = min(max(p, 0), length - lanes)
                transpose_block(turned, 0, at + p, images, n0, i + p)
        else:
            for p in range(length):
                for lane in range(lanes):
                    images[n0 + lane, i + p] = lines[at + p, lane]


class BatchSizes(NamedTuple):
    """The numbers of a BatchPlan."""

    height: int  # of an image
    width: int
    pixels: int  # of an image of y
    stride_h: int
    stride_w: int
    top: int  # where the first tap reads, relative to stride·pixel, and the last one
    bottom: int
    band: int  # rows of each phase that are made from one source
    bands: int
    channel: int  # lines of a channel in the source, and of a row of y in the target
    row: int
    block: int  # channels in a block of k
    stripes: int  # of A, that pass by together
    total: int  # taps of all phases and channels


BATCH_SIZES = types.NamedUniTuple(types.intp, len(BatchSizes._fields), BatchSizes)


class BatchPlan(NamedTuple):
    """What the kernel needs to know of a convolution, apart from the numbers of batches, groups and rows."""

    sizes: BatchSizes
    steps: dict  # by dtype: where tap k is read, relative to the pixel
    phases: np.ndarray  # (F, 11) first k, number of k, H, first pixel in y, steps down and right in y, KH, KW, places in tables
    reached: np.ndarray  # (rows of all phases, 2) the first kh that meets the image, the one after the last
    runs: np.ndarray  # (R, 4) first column, the one after the last, and the same of the kw


def make_batch_plan(size, target, stride, channels, rows, phases, block):
    """The BatchPlan of a convolution, from arguments as those of `make_plan`; None if it would not pay."""
    if not pays(target[1], stride, channels, rows, phases):
        return None
    rows_read = [tap[0] for phase in phases for tap in phase[5]]
    top, bottom, row_step = min(rows_read), max(rows_read), phases[0][3]

    def lines(band):
        return min(size[0], (band - 1) * stride[0] + bottom - top + 1) * size[1] | 1  # odd: channels share no sets of the cache

    most = band = -(-target[0] * target[1] // row_step)
    while band > 1 and (lines(band) * channels > SOURCE or band * row_step * rows > 4 * TARGET):
        band -= 1
    if lines(band) * channels > 2 * SOURCE or band * row_step * rows > 8 * TARGET:
        return None
    bands = -(-most // band)
    band = -(-most // (bands + bands % 2)) if bands > 1 else band
    row = min(band * row_step, target[0] * target[1])
    steps, table, reached, runs = [], [], [], []
    for start, height, width, row_step, step, taps in phases:
        kh, kw = (list(dict.fromkeys(tap[axis] for tap in taps)) for axis in (0, 1))
        first = len(steps), channels * len(taps), height, start, row_step, step, len(kh), len(kw), len(reached), len(runs)
        steps += [channel * lines(band) + i * size[1] + j for channel, (i, j, _) in in_order(channels, block, taps)]
        reached += [_range(i * stride[0], kh, size[0]) for i in range(height)]
        runs += runs_of(kw, size[1], width, stride[1])
        table.append((*first, len(runs)))
    sizes = BatchSizes(
        *size,
        target[0] * target[1],
        *stride,
        top,
        bottom,
        band,
        -(-most // band),
        lines(band),
        row,
        block,
        max(1, STRIPES // (PACKED_ROWS * row)),
        len(steps),
    )
    steps, *tables = (np.array(numbers, np.int64) for numbers in (steps, table, reached, runs))
    return BatchPlan(sizes, {dtype: steps * (VECTOR_BYTES // dtype.itemsize) for dtype in FLOATS}, *tables)


def pays(width, stride, channels, rows, phases):
    """Whether to transpose images and y takes less time than to sort pixels and to gather panels."""
    start, _, _, row_step, step, taps = phases[0]
    if len(phases) > 1 or start or (row_step, step) != (width, 1):  # y would have to be put together, too
        return True
    if stride != (1, 1) and VECTOR_BYTES == 64:
        return True
    return len(taps) > 1 and channels * len(taps) * VECTOR_BYTES >= 64 * rows


def runs_of(taps, length, target, stride):
    """Runs of pixels of one axis which the same taps reach: (first pixel, the one after the last, the same of the taps)."""
    reached = [_range(i * stride, taps, length) for i in range(target)]
    changes = [0, *(i for i in range(1, target) if reached[i] != reached[i - 1]), target]
    return [(i, end, *reached[i]) for i, end in pairwise(changes)]


def _range(at, taps, length):
    """The first of the taps that meets the image, and the one after the last."""
    meeting = [q for q, tap in enumerate(taps) if 0 <= at + tap < length]
    return (meeting[0], meeting[-1] + 1) if meeting else (0, 0)
