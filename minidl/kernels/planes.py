"""How a convolution reads an image: sorted into planes, in which every tap finds its pixels side by side.

A stride makes what a tap reads non-contiguous. So pixels are first sorted by their residues modulo the strides, into planes
within which every tap reads contiguous rows; padding is written out on the way:

    stride 2    0 1 0 1        0 0   1 1        pixel (i, j) of the output meets a tap at plane[i + row, j + column]: `steps`
                2 3 2 3   →    0 0   1 1   …    says how far that lies from where it meets the first one
                0 1 0 1

A convolution is a list of phases, parts of the output that are reached by taps of their own: one phase forward; for the
gradient of the input one for each residue of its pixels modulo the strides, in which only some taps meet a pixel of dy.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from .jit import jit
from .tile import PACKED_ROWS, PACKED_VECTORS, VECTOR_BYTES, copy_run, every_second

BLOCK = 1000  # about as many k as a block of channels has
BAND = 48 * 1024  # numbers of a sorted image that stay in the L2 cache (192 KiB of float32); a larger one is cut in bands
GATHER, TILE, SPREAD = 6.5, 6, 20  # what a panel costs, roughly, in cycles: for each k; k and stripe; row


@jit
def sort(x, start, size, origin, stride, planes, rows, pitch, target, at):
    """The image in x from `start` on, by planes: plane q holds image[origin + planes[q] + stride·(i, j)], 0 outside.

    The columns outside are 0 already: they are the same in every image.
    """
    for q in range(planes.shape[0]):
        left = origin[1] + planes[q, 1]
        first = min(max(0, -(left // stride[1])), pitch)
        last = max(first, min(pitch, (size[1] - 1 - left) // stride[1] + 1))
        for i in range(rows):
            h, row = origin[0] + planes[q, 0] + i * stride[0], at + (q * rows + i) * pitch
            source = start + h * size[1] + left
            if not 0 <= h < size[0]:
                for j in range(first, last):
                    target[row + j] = 0
            elif stride[1] == 1:
                copy_run(x, source + first, target, row + first, last - first)
            elif stride[1] == 2:
                every_second(x, source + 2 * first, target, row + first, last - first)
            else:
                for j in range(first, last):
                    target[row + j] = x[source + j * stride[1]]


@jit
def place(out, at, line, down, across, y, target, row_step, step):
    """From `out`, `down` rows of `across` pixels, `line` apart, to y: pixel (i, j) to target + i·row_step + j·step."""
    for i in range(down):
        if step == 1:
            copy_run(out, at + i * line, y, target + i * row_step, across)
        else:
            for j in range(across):
                y[target + i * row_step + j * step] = out[at + i * line + j]


class Sizes(NamedTuple):
    """The numbers of a Plan."""

    height: int  # of an image
    width: int
    pixels: int  # of an image of y
    sorts: int  # whether the image is sorted into planes; else they are the image itself
    direct: int  # whether panels are read where they lie, the pixels between the rows included, and not gathered
    top: int  # where the first tap reads, relative to the image: less than 0 in the padding
    left: int
    stride_h: int
    stride_w: int
    band: int  # rows of y that are made from one filling of the planes
    bands: int
    plane_rows: int  # of a plane, and how far these lie apart
    pitch: int
    total: int  # taps of all phases and channels
    farthest: int  # the largest of `steps`


SIZES = types.NamedUniTuple(types.intp, len(Sizes._fields), Sizes)


class Plan(NamedTuple):
    """What the kernels need to know of a convolution, apart from the numbers of images, groups and rows."""

    sizes: Sizes
    planes: np.ndarray  # (Q, 2) residues modulo the strides
    steps: np.ndarray  # where tap k is read, relative to the pixel
    orders: np.ndarray  # where the weight of k is, relative to the row's first
    phases: np.ndarray  # (F, 7) first k, number of k, first pixel in y, H, W, steps down and right in y
    gaps: bool  # whether nothing reaches some pixels of y: they must be 0 already
    chunk: int  # images to be put together
    work: int  # multiply-adds for an image and a row of A
    batches: tuple | None = None  # the BatchPlan of `conv_batches`, for as many images as fill vectors, if that pays
    pixels: tuple | None = None  # the PixelPlan of `conv_pixels`, for all images, if that pays


def make_plan(size, target, stride, channels, rows_of_a, weight_step, phases, direct=None, block=1):
    """The Plan of a convolution of images of `size` to `target`. It is `direct`, read in place, where that pays or if so given.

    phases: (start, height, width, row step, step, taps) with taps (row, column, weight) relative to stride·pixel.
    """
    taps = [tap for phase in phases for tap in phase[5]]
    top, left = min((tap[0] for tap in taps), default=0), min((tap[1] for tap in taps), default=0)
    planes = sorted({((i - top) % stride[0], (j - left) % stride[1]) for i, j, _ in taps})
    rows = max(((i - top) // stride[0] + phase[1] for phase in phases for i, _, _ in phase[5]), default=0)
    pitch = max(((j - left) // stride[1] + phase[2] for phase in phases for _, j, _ in phase[5]), default=0)
    depth = channels * len(phases[0][5]) if phases else 0
    if direct is None:
        direct = len(taps) > 1 and _reads_in_place(depth, rows_of_a, phases[0][2], pitch)
    sorts = direct or stride != (1, 1) or top < 0 or left < 0 or top + rows > size[0] or left + pitch > size[1]
    # A band is as many rows of every phase as make use of few enough pixels of the source.
    most = max((phase[1] for phase in phases), default=1)
    reach = max(((i - top) // stride[0] for i, _, _ in taps), default=0)
    row = max(1, channels * len(planes) * pitch)
    bands = -(-most // max(BAND // row - reach, 2 * reach, 4)) if row * rows > 1.5 * BAND else 1
    band = -(-most // (bands + bands % 2)) if bands > 1 else most
    rows = rows if bands == 1 else band + reach  # of a band any phase may be the one that reads the most
    if not sorts:
        top = left = 0
        rows, pitch = size
    steps, orders, table = [], [], []
    for start, height, width, row_step, step, taps in phases:
        table.append((len(steps), channels * len(taps), start, height, width, row_step, step))
        for channel, (i, j, weight) in in_order(channels, block, taps):
            plane = planes.index(((i - top) % stride[0], (j - left) % stride[1]))
            line = (channel * len(planes) + plane) * rows + (i - top) // stride[0]
            steps.append(line * pitch + (j - left) // stride[1])
            orders.append(channel * weight_step + weight)
    pixels = target[0] * target[1]
    alone = direct or not phases or band < most
    chunk = 1 if alone else _together(phases[-1][1] * phases[-1][2], depth, row * rows if sorts else 0)
    tables = (np.array(table, np.int64) for table in (planes, steps, orders, table))
    planes, steps, orders, table = tables
    work = sum(phase[1] * phase[2] * len(phase[5]) for phase in phases) * channels
    sizes = Sizes(
        *size,
        pixels,
        sorts,
        direct,
        top,
        left,
        *stride,
        band,
        -(-most // band),
        rows,
        pitch,
        steps.size,
        int(steps.max(initial=0)),
    )
    gaps = pixels > sum(phase[1] * phase[2] for phase in phases)
    return Plan(sizes, planes, steps, orders, table, gaps, chunk, work)


def _reads_in_place(depth, rows, width, pitch):
    """Whether to gather panels costs more than to compute the pixels between the rows too, and to leave them out."""
    stripes = -(-rows // PACKED_ROWS)
    return depth * (GATHER - TILE * stripes * (pitch - width) / width) > SPREAD * rows


def _together(pixels, depth, numbers):
    """How many images share panels: as many as leave the last one full, if their `numbers` stay in the cache."""
    width = PACKED_VECTORS * VECTOR_BYTES // 4
    costs = []
    for count in range(1, 9):
        whole, rest = divmod(count * pixels, width)
        panels = whole + (2 / 3 if 0 < rest <= width / 3 else rest > 0)  # a tile of one vector waits for its own sums
        costs.append(panels / count * (TILE * depth + (SPREAD * PACKED_ROWS if count > 1 else 0)))
    return min((cost, count) for count, cost in enumerate(costs, 1) if count == 1 or count * numbers <= 1.5 * BAND)[1]


def block_of(channels, phases):
    """How many channels make a block of k."""
    blocks = max(1, round(channels * max((len(phase[5]) for phase in phases), default=1) / BLOCK))
    return max(1, -(-channels // blocks))


def in_order(channels, block, taps):
    """The (channel, tap) in the order of k: through blocks of channels, in each through the taps and its channels."""
    for first in range(0, channels, block):
        for tap in taps:
            for channel in range(first, min(first + block, channels)):
                yield channel, tap


def forward_phases(kernel, out, padding, dilation):
    """The phases of a convolution with an output of size `out`, as `make_plan` takes them."""
    taps = [
        (i * dilation[0] - padding[0], j * dilation[1] - padding[2], i * kernel[1] + j)
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    return [(0, *out, out[1], 1, taps)]


def backward_phases(kernel, size, stride, padding, dilation):
    """The phases of the gradient of an input of this size."""
    phases = []
    for r in range(min(stride[0], size[0])):
        for s in range(min(stride[1], size[1])):
            # Pixel r + stride·i of dx met tap kh at pixel (r + stride·i + top - kh·dilation) / stride of dy.
            reached = [
                (r + padding[0] - i * dilation[0], s + padding[2] - j * dilation[1], i * kernel[1] + j)
                for i in range(kernel[0])
                for j in range(kernel[1])
            ]
            taps = [(i // stride[0], j // stride[1], w) for i, j, w in reached if i % stride[0] == j % stride[1] == 0]
            height, width = -(-(size[0] - r) // stride[0]), -(-(size[1] - s) // stride[1])
            if taps:
                phases.append((r * size[1] + s, height, width, stride[0] * size[1], stride[1], taps))
    return phases


def out_size(size, kernel, stride, padding, dilation):
    """(OH, OW), which is less than 1 where the kernel does not fit."""
    padded = (size[a] + padding[2 * a] + padding[2 * a + 1] for a in (0, 1))
    axes = zip(padded, kernel, stride, dilation, strict=True)
    return tuple((length - d * (k - 1) - 1) // s + 1 for length, k, s, d in axes)
