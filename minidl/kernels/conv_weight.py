"""The gradient of convolution with respect to its weights: dw[o,c,kh,kw] = Σ_{n,i,j} dy[n,o,i,j] · x[n,c,…].

A product of matrices whose long axis is the pixels of dy: its rows are the taps (c, kh, kw), its columns the output
channels o. The micro-kernel of `tile` walks along the pixels of a block with tables of where each pixel lies:

- A[(c,kh,kw), pixel] is x itself at the offset of the tap, read in place; where the image is padded, a copy of the part
  of it that the block of pixels meets (`window`), with its zeros. Strides and dilation are only other tables.
- B[pixel, o] is dy transposed, packed a block at a time in panels as wide as a tile.
- With stride 1, x and dy may change places: from x's side, its pixels meet those of dy through the kernel turned round,
  Σ_p dy[p] · x[p + t] = Σ_p x[p] · dy[p − t]. So the columns can be the input channels, where that fills the tiles better.
- A block has at most PIXELS pixels, of several small images or some rows of a large one, so that a panel stays in the L1
  cache while all taps pass by. Blocks are added up in about √blocks slices, and slices at the end: short sums err less,
  and slices can be shared out. Neither depends on the number of threads, so the bits of a result do not.
"""

from functools import lru_cache
from math import gcd, isqrt

import numpy as np
from numba import types

from .arrays import empty_array, reshaped, zero_array
from .copies import assign
from .depthwise import depthwise_weight, pays
from .gemm import PACKING, cut
from .jit import dense, jit, strided
from .memory import empty
from .planes import out_size
from .shares import SharedCode
from .threads import run
from .tile import ROWS, VECTOR_BYTES, VECTORS, moved, table_tile, transpose_block

PIXELS = 400  # in a block at most: a panel of B (25 KiB) stays in the L1 cache
BLOCK_BYTES = 256 * 1024  # of B packed at once, to stay in the L2 cache
WINDOW_BYTES = 96 * 1024  # of the input copied at once, to stay there as well
SLICES_BYTES = 4 * 1024 * 1024  # of all slices together
PARALLEL_WORK = 600_000  # multiply-adds from which a second thread pays
PARALLEL_BYTES = 1024 * 1024  # from which it does for sums of channels and of slices

# ------------------------------------------------------------------------------------------------------- the loops


@jit
def window(x, image, h, w, i, j, rows, columns, target, to):
    """Copies rows × columns from row i and column j on of the h × w image at x[image:] to target[to:], zeros above and below.

    What lies left and right of the image is not written.
    """
    left = min(max(-j, 0), columns)
    n = max(min(w - j, columns) - left, 0)
    for r in range(rows):
        row = target[to + r * columns + left :]
        if 0 <= i + r < h:
            source = x[image + (i + r) * w + j + left :]
            for q in range(n):
                row[q] = source[q]
        else:
            for q in range(n):
                row[q] = 0


@jit
def pack_pixels(pixels, p, depth, column, columns, panels):
    """Rows p… and columns column… of `pixels`, whose columns are contiguous, in panels of `depth` rows of a tile's width."""
    lanes, width = VECTOR_BYTES // pixels.itemsize, panels.shape[1]
    for q in range(0, columns, lanes):
        row, at = q // width * depth, q % width
        if column + q + lanes <= pixels.shape[1] and depth >= lanes:  # more columns than asked for do no harm
            for k in range(0, depth, lanes):
                k = min(k, depth - lanes)  # the last block is moved back, over the one before it
                transpose_block(pixels, p + k, column + q, panels, row + k, at)
        else:
            for c in range(min(lanes, columns - q)):
                for k in range(depth):
                    panels[row + k, at + c] = pixels[p + k, column + q + c]


@jit
def put_transposed(source, r0, r1, columns, target, i, j):
    """target[i + q, j + r] = source[r, q] for r0 <= r < r1 and q < columns, both with contiguous rows."""
    lanes = VECTOR_BYTES // source.itemsize
    if r1 - r0 >= lanes and columns >= lanes:
        for r in range(r0, r1, lanes):
            for q in range(0, columns, lanes):  # the last blocks are moved back, over the ones before them
                r2, q2 = min(r, r1 - lanes), min(q, columns - lanes)
                transpose_block(source.T, q2, r2, target, i + q2, j + r2)
    else:
        for q in range(columns):
            for r in range(r0, r1):
                target[i + q, j + r] = source[r, q]


@jit
def weight_sums(x, pixels, a_rows, a_steps, plan, total, part, parts):
    """One share of total[slice, group, (c,kh,kw), o]; pixels[p, n·O + o] is dy, the other arguments are of `_plan`.

    If `direct`, there is only one block of pixels, and its sums go to total[group, o, (c,kh,kw)] from a corner of memory.
    """
    slices, groups, n, c, h, w, o, oh, ow, taps, sh, sw, top, left, bn, bh, bw, bc, unit, wh, ww, in_place, direct = plan
    itemsize = x.itemsize
    lanes = VECTOR_BYTES // itemsize
    width = lanes if o <= lanes else VECTORS * lanes
    down, across = (oh + bh - 1) // bh, (ow + bw - 1) // bw
    blocks = (n + bn - 1) // bn * down * across
    first, last, c0, c1, j0, j1 = 0, slices * groups, 0, c, 0, o
    if parts > 1 and last >= parts:
        first, last = last * part // parts, last * (part + 1) // parts
    elif parts > 1:
        c0, c1, j0, j1 = cut(c, o, unit, width, PACKING // taps, part, parts)
    columns = max(1, min(BLOCK_BYTES // (bn * bh * bw * width * itemsize), (j1 - j0 + width - 1) // width))  # in panels
    panels = empty_array((bn * bh * bw * columns, width), x.dtype)
    b = reshaped(panels, panels.size)
    b_steps = empty_array(bn * bh * bw, np.int64)
    for image in range(bn):
        for p in range(bh * bw):
            b_steps[image * bh * bw + p] = (image * columns * bh * bw + p) * width
    copy = zero_array(0 if in_place else bn * bc * wh * ww, x.dtype)
    corner = empty_array((bc * taps if direct else 0, width), x.dtype)
    sums, row = (reshaped(corner, corner.size), width) if direct else (total, o)
    dw = reshaped(total, (slices * groups * o, c * taps))
    for item in range(first, last):
        s, g = item // groups, item % groups
        for j in range(j0, j1, columns * width):
            jn = min(columns * width, j1 - j)
            for block in range(blocks * s // slices, blocks * (s + 1) // slices):
                adds = 1 if block > blocks * s // slices else 0
                n0, i0, q0 = block // (down * across) * bn, block // across % down * bh, block % across * bw
                images, depth = min(bn, n - n0), min(bh, oh - i0) * min(bw, ow - q0)
                for image in range(images):
                    column = ((n0 + image) * groups + g) * o + j
                    pack_pixels(pixels, i0 * ow + q0, depth, column, jn, panels[image * columns * bh * bw :])
                for ci in range(c0, c1, bc):
                    cn = min(bc, c1 - ci)
                    a = moved(x, ((((n0 * groups + g) * c + ci) * h + i0 * sh) * w + q0 * sw) * itemsize)
                    if not in_place:
                        if across > 1:  # else the same columns are zero each time
                            copy[:] = 0
                        for image in range(images):
                            for channel in range(cn):
                                source = (((n0 + image) * groups + g) * c + ci + channel) * h * w
                                to = (image * bc + channel) * wh * ww
                                window(x, source, h, w, i0 * sh - top, q0 * sw - left, wh, ww, copy, to)
                        a = moved(copy, 0)
                    for p in range((jn + width - 1) // width):
                        wide, k = min(width, jn - p * width), images * depth
                        at = 0 if direct else (item * c + ci) * taps * o + j + p * width
                        for t in range(0, cn * taps, ROWS):
                            to, m = at + t * row, cn * taps - t
                            table_tile(a, a_rows, t, a_steps, b, p * depth * width, b_steps, k, sums, to, row, adds, m, wide)
                        if direct:
                            put_transposed(moved(corner, 0), 0, cn * taps, wide, dw, g * o + j + p * width, ci * taps)


@jit
def add_slices(total, dw, mirrored, part, parts):
    """One share of dw[g] = Σ_slices total[slice, g], transposed, the rows in reverse if `mirrored`; total[0] is overwritten."""
    slices, groups, rows, columns = total.shape
    g0, g1, r0, r1 = 0, groups, rows * part // parts, rows * (part + 1) // parts
    if mirrored:
        g0, g1, r0, r1 = groups * part // parts, groups * (part + 1) // parts, 0, rows
    for g in range(g0, g1):
        sums = reshaped(total[0, g, r0:r1], (r1 - r0) * columns)
        for s in range(1, slices):
            more = reshaped(total[s, g, r0:r1], (r1 - r0) * columns)
            for q in range(sums.size):
                sums[q] += more[q]
        source = moved(total[0, g], 0)
        put_transposed(moved(source[::-1], 0) if mirrored else source, r0, r1, columns, dw[g], 0, 0)


# --------------------------------------------------------------------------------------------- what callers see

_INTS = dense(types.int64, 1)


def _weight_sums_types(t):
    return dense(t, 1), strided(t, 2), _INTS, _INTS, types.UniTuple(types.intp, 23), dense(t, 1, True)


_weight_sums = SharedCode(weight_sums, _weight_sums_types)
_add_slices = SharedCode(add_slices, lambda t: (dense(t, 4, True), dense(t, 3, True), types.intp))


def _even(size, most):
    """The length of a part of `size` cut evenly in parts of at most `most`."""
    return -(-size // -(-size // most))


@lru_cache(maxsize=256)
def _plan(x_shape, dy_shape, kernel_size, stride, padding, dilation, groups, itemsize, mirrored):
    """Where the taps and the pixels of a block lie in x, or in the window; and the numbers that `weight_sums` starts with."""
    (n, c, h, w), (_, o, oh, ow), (kh, kw), (sh, sw), (dh, dw) = x_shape, dy_shape, kernel_size, stride, dilation
    c, o, taps = c // groups, o // groups, kh * kw
    bw = _even(ow, PIXELS)
    bh = _even(oh, PIXELS // bw)
    bn = _even(n, PIXELS // (bh * bw)) if bh == oh and bw == ow else 1
    blocks = -(-n // bn) * -(-oh // bh) * -(-ow // bw)
    slices = max(1, min(isqrt(blocks), SLICES_BYTES // (groups * c * taps * o * itemsize)))
    slices = 1 << slices.bit_length() - 1  # a power of two is shared out evenly
    wh, ww = (bh - 1) * sh + (kh - 1) * dh + 1, (bw - 1) * sw + (kw - 1) * dw + 1
    unit = ROWS // gcd(ROWS, taps)  # channels whose taps fill whole tiles
    bc = min(c, max(1, WINDOW_BYTES // itemsize // (bn * wh * ww * unit)) * unit)
    in_place = not any(padding)
    row, plane, image = (w, h * w, groups * c * h * w) if in_place else (ww, wh * ww, bc * wh * ww)

    def table(*axes):
        offsets = np.zeros(1, np.int64)
        for size, step in axes:
            offsets = (offsets[:, None] + np.arange(size) * step).ravel()
        return offsets

    a_rows, a_steps = table((bc, plane), (kh, dh * row), (kw, dw)), table((bn, image), (bh, sh * row), (bw, sw))
    sizes = slices, groups, n, c, h, w, o, oh, ow, taps, sh, sw, padding[0], padding[2]
    return a_rows, a_steps, (*sizes, bn, bh, bw, bc, unit, wh, ww, int(in_place), int(blocks == 1 and not mirrored))


def _cost(x, dy, groups, taps):
    """What a product with the channels of dy as columns takes, roughly, with 3 for a step of a whole tile."""
    lanes, columns = VECTOR_BYTES // x.itemsize, dy.shape[1] // groups
    whole, rest = divmod(columns, VECTORS * lanes)
    tiles = -(-x.shape[1] // groups * taps // ROWS) * (3 * whole + (3 if rest > lanes else 2 if rest else 0))
    return (tiles + 0.35 * columns) * dy.shape[2] * dy.shape[3]  # to transpose a number takes a ninth of a step


def _check(x, dy, kernel_size, stride, padding, dilation, groups):
    if x.dtype not in (np.float32, np.float64) or dy.dtype != x.dtype:
        raise TypeError(f"conv2d_weight: expected arrays both of float32 or both of float64, got {x.dtype}, {dy.dtype}")
    if not isinstance(groups, (int, np.integer)):
        raise TypeError(f"conv2d_weight: groups must be an integer, got {groups!r}")
    if x.ndim != 4 or dy.ndim != 4 or x.shape[0] != dy.shape[0]:
        raise ValueError(f"conv2d_weight: expected x (N, C, H, W) and dy (N, O, OH, OW), got {x.shape} and {dy.shape}")
    if min(*kernel_size, *stride, *dilation, groups) < 1 or min(padding) < 0:
        raise ValueError(
            "conv2d_weight: expected kernel_size, stride, dilation and groups of at least 1 and padding of at least 0, got "
            f"{kernel_size}, {stride}, {dilation}, {groups} and {padding}"
        )
    if x.shape[1] % groups or dy.shape[1] % groups:
        raise ValueError(f"conv2d_weight: expected channels divisible by groups={groups}, got {x.shape} and {dy.shape}")
    kernel_size = tuple(map(int, kernel_size))  # unsigned integers of NumPy's would wrap below 0
    out = out_size(x.shape[2:], kernel_size, stride, padding, dilation)
    if dy.shape[2] > out[0] or dy.shape[3] > out[1]:
        raise ValueError(f"conv2d_weight: expected dy (N, O, {out[0]}, {out[1]}) or less for x {x.shape}, got {dy.shape}")


def conv2d_weight(x, dy, kernel_size, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """dw of conv2d: dw[o,c,kh,kw] = Σ_{n,i,j} dy[n,o,i,j] · x[n,c, i·sh + kh·dh − top, j·sw + kw·dw − left].

    x (N, C, H, W) and dy (N, O, OH, OW), both float32 or both float64 (TypeError otherwise), in any layout; padding is
    (top, bottom, left, right). Returns (O, C/groups, KH, KW). dy may have fewer rows and columns than conv2d gives, as
    in the gradient of a transposed convolution; ValueError if it has more, or if the shapes do not fit otherwise.

    >>> conv2d_weight(np.ones((2, 3, 5, 5)), np.ones((2, 4, 3, 3)), (3, 3)).shape
    (4, 3, 3, 3)
    """
    _check(x, dy, kernel_size, stride, padding, dilation, groups)
    o, c, kh, kw = dy.shape[1] // groups, x.shape[1] // groups, *kernel_size
    dw = empty((groups * o, c, kh, kw), x.dtype)
    if not (x.size and dy.size):
        assign(dw, 0)
        return dw
    if pays(c, o):
        return depthwise_weight(x, dy, tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation), groups)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
    mirrored = max(stride) == 1 and padding[0] <= reach[0] and padding[2] <= reach[1]
    mirrored = mirrored and _cost(dy, x, groups, kh * kw) < 0.95 * _cost(x, dy, groups, kh * kw)
    if mirrored:
        below, beyond = (max(0, x.shape[2 + a] - dy.shape[2 + a] + padding[2 * a]) for a in (0, 1))
        padding = reach[0] - padding[0], below, reach[1] - padding[2], beyond
        x, dy, c, o = dy, x, o, c
    n, _, oh, ow = dy.shape
    geometry = tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation)
    a_rows, a_steps, plan = _plan(x.shape, dy.shape, *geometry, groups, x.itemsize, mirrored)
    slices, direct = plan[0], plan[-1]
    whole = direct or (slices == 1 and mirrored and kh == kw == 1)  # nothing to be added up or transposed afterwards
    total = dw if whole else empty((slices, groups, c * kh * kw, o), x.dtype)
    pixels = np.ascontiguousarray(dy).reshape(n * groups * o, oh * ow).T
    arguments = np.ascontiguousarray(x).reshape(-1), pixels, a_rows, a_steps, plan, total.reshape(-1)
    run(dw.size * n * oh * ow >= PARALLEL_WORK, _weight_sums, x.dtype, *arguments)
    if not whole:
        parts = groups * c if mirrored else groups  # of dw, each the transpose of a part of total
        arguments = total.reshape(slices, parts, -1, o), dw.reshape(parts, o, -1), mirrored
        run(total.nbytes >= PARALLEL_BYTES, _add_slices, x.dtype, *arguments)
    return dw
