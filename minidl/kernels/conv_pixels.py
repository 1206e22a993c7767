"""Convolution with output channels in vectors: every number of x is read where it lies, and meets the weights of many channels.

    y[pixel, o] = Σ_k x[place of pixel + steps[k]] · W[k, o]      k counts the channels and the taps (kh, kw) of the kernel

`conv_loops` lays pixels side by side in a vector, `conv_batches` images; both must first put x in order, with each stride. Here
nothing of x is moved, for any stride and dilation, and what would meet the padding is left out:

- Pixels of a row of y that are reached by the same kw form a run, which is cut in tiles of up to PIXELS pixels.
- What is computed lies in memory with the channels side by side. It is transposed to y, an image (or a band of its rows) and a
  stripe of channels at a time, while it is in the cache.
- A tile reads numbers of x that lie far apart, so the processor does not fetch them from memory early enough by itself.
  Therefore each tile prefetches a part of the next image.

`planes.in_order` says how k is counted, here and there. Every element sums over k in the same order as in the two others: the
bits depend neither on the way that is taken nor on the number of threads or of images.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from .arrays import empty_array, reshaped
from .conv_batches import behind, runs_of
from .conv_loops import share
from .jit import jit
from .pixel_tile import BETWEEN, CHANNEL_VECTORS, PIXELS, pixel_tile
from .planes import in_order
from .tile import VECTOR_BYTES, transpose_block

BAND = 2048  # pixels that are computed before they are put in place: with a stripe of channels, 256 KiB of the L2 cache
LONGEST = 32 * BAND  # pixels of a row of y at most
PACKED = 64  # k that are packed at a time, so that what is written stays in the L1 cache


@jit
def pack_channels(w, bias, orders, groups, group_step, rows, row_step, unit0, unit1, packed):
    """Some stripes of channels of the weights, for each of them [k, channel]; after all of them the bias.

    Channels that the last stripe of a group lacks are 0.
    """
    width = CHANNEL_VECTORS * (VECTOR_BYTES // packed.itemsize)
    stripes, total = (rows + width - 1) // width, orders.size
    for unit in range(unit0, unit1):
        g, row, at = unit // stripes, unit % stripes * width, (unit - unit0) * total * width
        start = g * group_step + row * row_step
        for k0 in range(0, total, PACKED):
            k1 = min(k0 + PACKED, total)
            for r in range(width):
                if row + r < rows:
                    for k in range(k0, k1):
                        packed[at + k * width + r] = w[start + r * row_step + orders[k]]
                else:
                    for k in range(k0, k1):
                        packed[at + k * width + r] = 0
        at = ((unit1 - unit0) * total + unit - unit0) * width
        for r in range(width):
            packed[at + r] = bias[g * rows + row + r] if row + r < rows and bias.size else 0


@jit
def correlate_pixels(
    x, w, bias, y, orders, sizes, steps, row_runs, column_runs, images, groups, group_step, channels, rows, row_step, part,
    parts,
):  # fmt: skip
    """One share of a convolution as a PixelPlan describes it; channels and rows are those of x and of y per group.

    Items are bands of rows of an image, units stripes of channels, as in `conv_loops.correlate`. The weight of k is at
    w[group · group_step + row · row_step + orders[k]].
    """
    width = CHANNEL_VECTORS * (VECTOR_BYTES // x.itemsize)
    stripes, area, across = (rows + width - 1) // width, sizes.height * sizes.width, sizes.across
    item0, item1, unit0, unit1 = share(images * sizes.bands, groups * stripes, part, parts)
    results = reshaped(y, (images * groups * rows, sizes.down * across))
    target = empty_array((sizes.band * across, width), x.dtype)
    # Each share packs what it needs: to wait until several have packed a part of it each takes longer.
    packed = empty_array((unit1 - unit0) * (orders.size + 1) * width, x.dtype)
    pack_channels(w, bias, orders, groups, group_step, rows, row_step, unit0, unit1, packed)
    for item in range(item0, item1):
        n, i0 = item // sizes.bands, item % sizes.bands * sizes.band
        i1 = min(i0 + sizes.band, sizes.down)
        # What the next item reads, and this one prefetches: `length` numbers of each channel of the groups of this share.
        after, ahead0 = (item + 1) // sizes.bands, (item + 1) % sizes.bands * sizes.band
        h0 = max(0, ahead0 * sizes.stride_h + sizes.top)
        h1 = min(sizes.height, (ahead0 + sizes.band - 1) * sizes.stride_h + sizes.bottom + 1)
        g0, g1 = unit0 // stripes, (unit1 + stripes - 1) // stripes
        length = (h1 - h0) * sizes.width if item + 1 < item1 else 0
        ahead = (after * groups + g0) * channels * area + h0 * sizes.width
        needed, fetched = (g1 - g0) * channels * length, 0
        work = max(1, (i1 - i0) * across * steps.size * (unit1 - unit0))
        for unit in range(unit0, unit1):
            g, row = unit // stripes, unit % stripes * width
            start = (n * groups + g) * channels * area
            fetched = multiply_pixels(
                x, start, packed, unit - unit0, unit1 - unit0, target, sizes, steps, row_runs, column_runs, i0, i1, channels,
                ahead, length, needed, work, fetched,
            )  # fmt: skip
            count = min(width, rows - row)
            put_in_place(target, (i1 - i0) * across, count, results, (n * groups + g) * rows + row, i0 * across)


@jit
def multiply_pixels(
    x, start, packed, unit, units, target, sizes, steps, row_runs, column_runs, i0, i1, channels, ahead, length, needed, work,
    fetched,
):  # fmt: skip
    """target[pixel, o] = bias[o] + Σ_k x[start + place of pixel + steps[k]] · W[k, o] for a band and one of the packed stripes.

    Of the `needed` numbers that lie `ahead`, `fetched` have been prefetched; returns how many have been afterwards.
    """
    width, total, area = target.shape[1], steps.size, sizes.height * sizes.width
    w_at, bias_at = unit * total * width, (units * total + unit) * width
    c = reshaped(target, target.size)
    for rows in row_runs:
        first, last, kh0, kh1 = max(rows[0], i0), min(rows[1], i1), rows[2], rows[3]
        for columns in column_runs:
            j0, j1, kw0, kw1 = columns[0], columns[1], columns[2], columns[3]
            # Lines of pixels that are cut in tiles: rows of the rectangle, or columns of a narrow one.
            lines, long = max(last - first, 0), j1 - j0
            apart, c_apart = sizes.stride_w, width
            tall = long < PIXELS and lines > long
            if tall:
                lines, long = long, lines
                apart, c_apart = sizes.stride_h * sizes.width, sizes.across * width
            count = (long + PIXELS - 1) // PIXELS
            for tile in range(lines * count):
                line, part = tile // count, tile % count
                q0, q1 = long * part // count, long * (part + 1) // count
                i, j = (first + q0, j0 + line) if tall else (first + line, j0 + q0)
                x_at = start + i * sizes.stride_h * sizes.width + j * sizes.stride_w
                c_at = ((i - i0) * sizes.across + j) * width
                at, pace = x_at, 0
                if fetched < needed:
                    at = ahead + fetched // length * area + fetched % length
                    pace = (BETWEEN * needed * (q1 - q0) + work - 1) // work
                depth = multiply_tile(
                    x, x_at, apart, packed, w_at, bias_at, c, c_at, c_apart, q1 - q0, sizes, steps, channels, kh0, kh1, kw0,
                    kw1, at, pace,
                )  # fmt: skip
                fetched += pace * depth // BETWEEN
    return fetched


@jit
def multiply_tile(
    x, x_at, apart, packed, w_at, bias_at, c, c_at, c_apart, pixels, sizes, steps, channels, kh0, kh1, kw0, kw1, ahead, pace
):  # fmt: skip
    """The same for a tile, which kh0 … kh1 - 1 and kw0 … kw1 - 1 reach. Returns the number of k that it has added up."""
    width, done = CHANNEL_VECTORS * (VECTOR_BYTES // x.itemsize), 0
    for channel in range(0, channels, sizes.block):
        # The taps that are reached lie side by side among the k of a block of channels, or those of each kh do.
        in_block = min(sizes.block, channels - channel)
        k = channel * sizes.kh * sizes.kw + (kh0 * sizes.kw + kw0) * in_block
        pieces, depth = kh1 - kh0, (kw1 - kw0) * in_block
        if depth == 0:
            pieces = 0
        elif kw1 - kw0 == sizes.kw:
            pieces, depth = min(pieces, 1), pieces * depth
        for piece in range(pieces):
            q, at = k + piece * sizes.kw * in_block, ahead + pace * done // BETWEEN
            pixel_tile(
                x, x_at, steps, q, apart, depth, packed, w_at + q * width, c, c_at, c_apart, bias_at, done, pixels, at, pace
            )  # fmt: skip
            done += depth
    if done == 0:
        for p in range(pixels):
            for o in range(width):
                c[c_at + p * c_apart + o] = packed[bias_at + o]
    return done


@jit
def put_in_place(target, pixels, count, results, row, first):
    """results[row + o, first + p] = target[p, o] for o < count, p < pixels."""
    lanes = VECTOR_BYTES // target.itemsize
    turned = target.T
    for o in range(0, count, lanes):
        if o + lanes <= count and pixels >= lanes:
            for p in range(-behind(results, row + o, first), pixels, lanes):
                p = min(max(p, 0), pixels - lanes)  # the first block and the last overlap their neighbours
                transpose_block(turned, o, p, results, row + o, first + p)
        else:
            for q in range(o, min(o + lanes, count)):
                for p in range(pixels):
                    results[row + q, first + p] = target[p, q]


class PixelSizes(NamedTuple):
    """The numbers of a PixelPlan."""

    height: int  # of an image
    width: int
    down: int  # of an image of y
    across: int
    stride_h: int
    stride_w: int
    top: int  # where the first tap reads, relative to stride·pixel, and the last one
    bottom: int
    kh: int  # taps
    kw: int
    band: int  # rows of y that are computed before they are put in place
    bands: int
    block: int  # channels in a block of k


PIXEL_SIZES = types.NamedUniTuple(types.intp, len(PixelSizes._fields), PixelSizes)


class PixelPlan(NamedTuple):
    """What the kernel needs to know of a convolution, apart from the numbers of images, groups and rows."""

    sizes: PixelSizes
    steps: np.ndarray  # where tap k is read, relative to the pixel
    row_runs: np.ndarray  # (R, 4) runs of rows of y that meet the same kh: first row, the one after the last, the same of kh
    column_runs: np.ndarray  # (C, 4) the same of columns and kw


def make_pixel_plan(size, target, stride, channels, rows, phases, block):
    """The PixelPlan of a convolution, from arguments as those of `make_plan`; None if it would not pay.

    There must be one phase, which makes all pixels of y: this is every convolution, and the gradient of one with a stride of 1.
    """
    (start, _, _, row_step, step, taps), *more = phases
    if more or start or (row_step, step) != (target[1], 1) or not pays(target[1], stride, channels, rows, len(taps)):
        return None
    kh, kw = (list(dict.fromkeys(tap[axis] for tap in taps)) for axis in (0, 1))
    runs = [runs_of(*axis) for axis in zip((kh, kw), size, target, stride, strict=True)]
    band = -(-target[0] // -(-target[0] * target[1] // BAND))
    bands = -(-target[0] // band)
    sizes = PixelSizes(*size, *target, *stride, min(kh), max(kh), len(kh), len(kw), band, bands, block)
    steps = [channel * size[0] * size[1] + i * size[1] + j for channel, (i, j, _) in in_order(channels, block, taps)]
    return PixelPlan(sizes, *(np.array(numbers, np.int64) for numbers in (steps, *runs)))


def pays(width, stride, channels, rows, taps):
    """Whether this takes less time than to put x in order, as measured with AVX-512.

    Not where vectors of channels would be half empty, nor where tiles would be small, so that w is read again for few pixels.
    Rows of y that are very long are excluded, because a whole one is kept beside y.
    """
    if VECTOR_BYTES < 64 or stride == (1, 1) or rows % 32 or width > LONGEST:
        return False
    depth = channels * taps
    return 16 <= depth <= 640 and (taps == 1 or width >= 24)
