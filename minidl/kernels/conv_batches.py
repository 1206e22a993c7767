"""Convolution of many images at a time: a vector holds the same pixel of as many images as it has lanes.

    y[o, pixel] = Σ_k A[o, k] · B[k, pixel]      k counts the channels and the taps (kh, kw) of the kernel

`conv_loops` lays pixels side by side; then a stride makes what a tap reads non-contiguous, and padding must be written out and
multiplied. Here pixel (h, w) of a channel is one vector, whatever its neighbours are:

- A row of B is read where it lies, for any stride and dilation: nothing is sorted or gathered.
- What would meet the padding is left out: the pixels of y that are reached by the same taps form `runs`. In a 7×7 image with a
  padding of 1, that is a sixth of the multiply-adds.
- Images must be transposed on the way in, and y on the way out, which takes less time than to gather panels.

k runs over blocks of channels, then over kh, kw and the channels of the block: what is left out at an edge leaves a k range, or one
for each kh. Every element sums over the same k in the same order, so the bits do not depend on the number of threads.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from .conv_loops import share
from .jit import inner, jit
from .tile import PACKED_ROWS, PACKED_VECTORS, VECTOR_BYTES, packed_tile, transpose_block

DEPTH = 320  # about as many k as a block of channels has
SOURCE = 128 * 1024  # numbers of an image, times the lanes, that are transposed at once (512 KiB of float32)
TARGET = 96 * 1024  # numbers of y, likewise


@jit
def correlate_batches(x, packed, y, sizes, steps, phases, row_taps, runs, batches, groups, channels, rows, part, parts):
    """One share of a convolution of `batches` times L images as a BatchPlan describes it; L is the number of lanes."""
    lanes = VECTOR_BYTES // x.itemsize
    stripes = (rows + PACKED_ROWS - 1) // PACKED_ROWS
    item0, item1, unit0, unit1 = share(batches * sizes.bands, groups * stripes, part, parts)
    images, results = x.reshape((batches * lanes, x.size // (batches * lanes))), y.reshape((batches * lanes, y.size // (batches * lanes)))
    channel_step, row_step = sizes.channel * lanes, sizes.row * lanes
    source = np.empty((channels * sizes.channel, lanes), x.dtype)
    target = np.zeros((min(rows, (unit1 - unit0) * PACKED_ROWS) * sizes.row, lanes), x.dtype)
    b, c = source.reshape(source.size), target.reshape(target.size)
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
            transpose_in(images, n0, start, channels, area, (h1 - h0) * sizes.width, source, sizes.channel)
            for s0 in range(stripe0, stripe1, sizes.stripes):
                s1 = min(s0 + sizes.stripes, stripe1)
                for f in range(phases.shape[0]):
                    k_at, k_all, height, phase_start, down, step = (phases[f, 0], phases[f, 1], phases[f, 2], phases[f, 3], phases[f, 4], phases[f, 5])
                    kh, kw, row_at, run0, run1 = phases[f, 6], phases[f, 7], phases[f, 8], phases[f, 9], phases[f, 10]
                    a_at, bias_at = (k_at * groups + g * k_all) * stripes, (sizes.total * groups + g) * stripes
                    for channel in range(0, channels, sizes.block):
                        cn = min(sizes.block, channels - channel)
                        k0 = channel * kh * kw
                        for i in range(i0, min(i0 + sizes.band, height)):
                            a0, a1 = row_taps[row_at + i, 0], row_taps[row_at + i, 1]
                            for r in range(run0, run1):
                                b0, b1 = runs[r, 2], runs[r, 3]
                                for j in range(runs[r, 0], runs[r, 1], PACKED_VECTORS):
                                    n = min(PACKED_VECTORS, runs[r, 1] - j) * lanes
                                    b_at = ((i * sizes.stride_h - h0) * sizes.width + j * sizes.stride_w) * lanes
                                    c_at = (phase_start + i * down + j * step - first) * lanes
                                    for s in range(s0, s1):
                                        row = s * PACKED_ROWS
                                        m, c_row, bias = rows - row, c_at + (row - row0) * row_step, (bias_at + s) * PACKED_ROWS
                                        a_row = a_at + s * k_all
                                        if b1 - b0 == kw:
                                            k = k0 + a0 * kw * cn
                                            packed_tile(packed, (a_row + k) * PACKED_ROWS, b, b_at, steps, sizes.stride_w * lanes, k_at + k, (a1 - a0) * kw * cn, c, c_row, row_step, step * lanes, bias, channel, m, n)
                                        else:
                                            for tap in range(a0, a1):
                                                k = k0 + (tap * kw + b0) * cn
                                                packed_tile(packed, (a_row + k) * PACKED_ROWS, b, b_at, steps, sizes.stride_w * lanes, k_at + k, (b1 - b0) * cn, c, c_row, row_step, step * lanes, bias, channel + tap - a0, m, n)
            out = (g * rows + row0) * sizes.pixels + first
            transpose_out(target, row1 - row0, sizes.row, pixels, results, n0, out, sizes.pixels)


@inner
def transpose_in(images, n0, start, count, apart, length, source, lines):
    """`count` pieces of L images, `length` long, to lines of `source`, one for each number."""
    lanes = source.shape[1]
    if apart == length == lines:
        count, length = 1, count * length
    turned = images.T
    for q in range(count):
        if length >= lanes:
            for p in range(0, length, lanes):
                p = min(p, length - lanes)
                transpose_block(turned, start + q * apart + p, n0, source, q * lines + p, 0)
        else:
            for p in range(length):
                for lane in range(lanes):
                    source[q * lines + p, lane] = images[n0 + lane, start + q * apart + p]


@inner
def transpose_out(target, count, lines, length, results, n0, start, apart):
    """`count` times `length` lines of `target` to pieces of L images."""
    lanes = target.shape[1]
    if apart == length == lines:
        count, length = 1, count * length
    turned = target.T
    for q in range(count):
        if length >= lanes:
            for p in range(0, length, lanes):
                p = min(p, length - lanes)
                transpose_block(turned, 0, q * lines + p, results, n0, start + q * apart + p)
        else:
            for p in range(length):
                for lane in range(lanes):
                    results[n0 + lane, start + q * apart + p] = target[q * lines + p, lane]


class BatchSizes(NamedTuple):
    """The numbers of a BatchPlan."""

    height: int  # of an image
    width: int
    pixels: int  # of an image of y
    stride_h: int
    stride_w: int
    top: int  # where the first tap reads, relative to the pixel, and the last one
    bottom: int
    band: int  # rows of each phase that are made from one source
    bands: int
    channel: int  # lines of a channel in the source
    row: int  # lines of a row of A in the target
    block: int  # channels in a block of k
    stripes: int  # of A, that pass by together
    total: int  # taps of all phases and channels


BATCH_SIZES = types.NamedUniTuple(types.intp, len(BatchSizes._fields), BatchSizes)


class BatchPlan(NamedTuple):
    sizes: BatchSizes
    steps: np.ndarray  # where tap k is read, relative to the pixel
    orders: np.ndarray  # where the weight of k is, relative to the row's first
    phases: np.ndarray  # (F, 11) first k, number of k, height, first pixel in y, steps down and right, KH, KW, first of row_taps, runs
    row_taps: np.ndarray  # (rows of all phases, 2) first kh that meets the image, last
    runs: np.ndarray  # (R, 4) first column, last, first kw, last


def make_batch_plan(size, target, stride, channels, rows_of_a, weight_step, phases, lanes):
    """phases: as make_plan takes them."""
    taps = [tap for phase in phases for tap in phase[5]]
    top, bottom = min(tap[0] for tap in taps), max(tap[0] for tap in taps)
    width = size[1]
    most = max(phase[1] for phase in phases)
    down = phases[0][3]
    reach = bottom - top + 1

    def x_rows(band):
        return min(size[0], (band - 1) * stride[0] + reach)

    band = most
    while band > 1 and (x_rows(band) * width * channels * lanes > SOURCE or band * down * rows_of_a * lanes > TARGET * 4):
        band -= 1
    bands = -(-most // band)
    bands += bands % 2 if bands > 1 else 0
    band = -(-most // bands)
    bands = -(-most // band)
    channel = x_rows(band) * width | 1
    row = min(band * down, target[0] * target[1]) | 1
    taps_most = max(len(phase[5]) for phase in phases)
    blocks = max(1, round(channels * taps_most / DEPTH))
    block = -(-channels // blocks)
    steps, orders, table, row_taps, runs = [], [], [], [], []
    for start, height, width_y, row_step, step, taps in phases:
        rs = sorted({t[0] for t in taps})
        cs = sorted({t[1] for t in taps})
        weights = {t[:2]: t[2] for t in taps}
        k_at, row_at, run_at = len(steps), len(row_taps), len(runs)
        for c0 in range(0, channels, block):
            for r in rs:
                for c in cs:
                    for ch in range(c0, min(c0 + block, channels)):
                        steps.append((ch * channel + r * width + c) * lanes)
                        orders.append(ch * weight_step + weights[r, c])
        for i in range(height):
            ok = [q for q, r in enumerate(rs) if 0 <= i * stride[0] + r < size[0]]
            row_taps.append((ok[0], ok[-1] + 1) if ok else (0, 0))
        for j in range(width_y):
            ok = [q for q, c in enumerate(cs) if 0 <= j * stride[1] + c < size[1]]
            rng = (ok[0], ok[-1] + 1) if ok else (0, 0)
            if len(runs) > run_at and tuple(runs[-1][2:]) == rng:
                runs[-1][1] = j + 1
            else:
                runs.append([j, j + 1, *rng])
        table.append((k_at, len(steps) - k_at, height, start, row_step, step, len(rs), len(cs), row_at, run_at, len(runs)))
    stripes = max(1, TARGET // (PACKED_ROWS * row * lanes))
    arrays = (np.array(t, np.int64) for t in (steps, orders, table, row_taps, runs))
    sizes = BatchSizes(*size, target[0] * target[1], *stride, top, bottom, band, bands, channel, row, block, stripes, len(steps))
    return BatchPlan(sizes, *arrays)
