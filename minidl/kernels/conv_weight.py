"""The gradient of convolution with respect to its weights: dw[o,c,kh,kw] = Σ_{n,i,j} dy[n,o,i,j] · x[n,c,…].

A product of matrices whose long axis is the pixels of dy: its rows are the taps (c, kh, kw), its columns the output
channels o. The micro-kernel of `tile` walks along the pixels of a block with tables of where each pixel lies:

- A[(c,kh,kw), pixel] is x itself at the offset of the tap, read in place; where the image is padded, a copy of the part
  of it that the block of pixels meets (`window`), with its zeros. Strides and dilation are only other tables.
- B[pixel, o] is dy transposed, packed a block at a time in panels as wide as a tile.
- A block has at most DEPTH pixels, from several small images or some rows of a large one, so that a panel stays in the
  L1 cache while all taps pass by. Blocks are added up in a few slices and slices at the end: short sums err less, and
  slices can be shared out. Neither depends on the number of threads, so the bits of a result do not.
"""

from functools import lru_cache
from math import gcd, isqrt

import numpy as np
from numba import prange, types

from .gemm import DEPTH, cut, pack
from .jit import PerDtype, Shared, call, dense, jit, strided
from .threads import get_num_threads, share
from .tile import MASKS, ROWS, VECTOR_BYTES, VECTORS, moved, table_tile

BLOCK_COLUMNS = 256  # output channels packed at once: with DEPTH pixels they stay in the L2 cache
WINDOW_BYTES = 96 * 1024  # of the input copied at once, to stay there as well
SLICES_BYTES = 4 * 1024 * 1024  # of all slices together
PARALLEL_WORK = 600_000  # multiply-adds from which a second thread pays
PARALLEL_BYTES = 1024 * 1024  # of dy from which it does for the sums of channels

# ------------------------------------------------------------------------------------------------------- the loops


@jit
def window(x, image, h, w, i, j, rows, columns, target, to):
    """Copies rows × columns from row i and column j on of the h × w image at x[image:] to target[to:], zeros outside it."""
    left = min(max(-j, 0), columns)
    right = max(min(w - j, columns), left)
    for r in range(rows):
        row = target[to + r * columns : to + (r + 1) * columns]
        if 0 <= i + r < h:
            for q in range(left):
                row[q] = 0
            source = x[image + (i + r) * w + j + left : image + (i + r) * w + j + right]
            for q in range(source.size):
                row[left + q] = source[q]
            for q in range(right, columns):
                row[q] = 0
        else:
            for q in range(columns):
                row[q] = 0


@jit
def weight_sums(x, pixels, a_rows, a_steps, plan, total, part, parts):
    """One share of total[slice, group, (c,kh,kw), o]; pixels[p, n·O + o] is dy, the other arguments are of `_plan`."""
    slices, groups, n, c, h, w, o, oh, ow, taps, sh, sw, top, left, bn, bh, bw, bc, unit, wh, ww, in_place = plan
    itemsize = x.itemsize
    width = VECTORS * (VECTOR_BYTES // itemsize)
    down, across = (oh + bh - 1) // bh, (ow + bw - 1) // bw
    blocks = (n + bn - 1) // bn * down * across
    first, last, c0, c1, j0, j1 = 0, slices * groups, 0, c, 0, o
    if parts > 1 and last >= parts:
        first, last = last * part // parts, last * (part + 1) // parts
    elif parts > 1:
        c0, c1, j0, j1 = cut((c + unit - 1) // unit, (o + width - 1) // width, part, parts)
        c0, c1, j0, j1 = c0 * unit, min(c1 * unit, c), j0 * width, min(j1 * width, o)
    columns = max(1, min(BLOCK_COLUMNS // width, (j1 - j0 + width - 1) // width))  # in panels; a share may be empty
    shape = bn * bh * bw * columns, width
    panels = np.empty(shape, x.dtype) if MASKS else np.zeros(shape, x.dtype)
    b = panels.reshape(panels.size)
    b_steps = np.empty(bn * bh * bw, np.int64)
    for image in range(bn):
        for p in range(bh * bw):
            b_steps[image * bh * bw + p] = (image * columns * bh * bw + p) * width
    copy = np.empty(0 if in_place else bn * bc * wh * ww, x.dtype)
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
                    pack(pixels, i0 * ow + q0, depth, column, jn, width, panels[image * columns * bh * bw :])
                for ci in range(c0, c1, bc):
                    cn = min(bc, c1 - ci)
                    a = moved(x, ((((n0 * groups + g) * c + ci) * h + i0 * sh) * w + q0 * sw) * itemsize)
                    if not in_place:
                        for image in range(images):
                            for channel in range(cn):
                                source = (((n0 + image) * groups + g) * c + ci + channel) * h * w
                                to = (image * bc + channel) * wh * ww
                                window(x, source, h, w, i0 * sh - top, q0 * sw - left, wh, ww, copy, to)
                        a = moved(copy, 0)
                    for p in range((jn + width - 1) // width):
                        for t in range(0, cn * taps, ROWS):
                            to = (item * c * taps + ci * taps + t) * o + j + p * width
                            m, k = cn * taps - t, images * depth
                            table_tile(
                                a, a_rows, t, a_steps, b, p * depth * width, b_steps, k, total, to, o, adds, m, jn - p * width
                            )


@jit(parallel=True)
def weight_sums_shared(body, x, pixels, a_rows, a_steps, plan, total, parts):
    for part in prange(parts):
        call(body, x, pixels, a_rows, a_steps, plan, total, part, parts)


@jit
def add_slices(total, dw):
    """dw[g, o, (c,kh,kw)] = Σ_slices total[slice, g, (c,kh,kw), o]; total is overwritten."""
    slices, groups, rows, o = total.shape
    whole = total.reshape(slices, groups * rows * o)
    for s in range(1, slices):
        for q in range(whole.shape[1]):
            whole[0, q] += whole[s, q]
    for g in range(groups):
        pack(moved(total[0, g].T, 0), 0, o, 0, rows, rows, dw[g])


@jit(fastmath={"reassoc", "contract"})
def plane_sums(dy, sums, part, parts):
    """One share of sums[c] = Σ over n and p of dy[n, c, p], whose long sums are in float64."""
    n, c, size = dy.shape
    c0, c1 = c * part // parts, c * (part + 1) // parts
    totals = np.zeros(c, np.float64)
    for item in range(n):
        for channel in range(c0, c1):
            for p in range(0, size, 1024):
                run = dy[item, channel, p : p + 1024]
                total = dy.dtype.type(0)
                for q in range(run.size):
                    total += run[q]
                totals[channel] += total
    for channel in range(c0, c1):
        sums[channel] = totals[channel]


@jit(parallel=True)
def plane_sums_shared(body, dy, sums, parts):
    for part in prange(parts):
        call(body, dy, sums, part, parts)


# --------------------------------------------------------------------------------------------- what callers see

_INTS = dense(types.int64, 1)


def _weight_sums_types(t):
    return dense(t, 1), strided(t, 2), _INTS, _INTS, types.UniTuple(types.intp, 22), dense(t, 1, True), types.intp, types.intp


_weight_sums = PerDtype(weight_sums, _weight_sums_types)
_weight_sums_shared = Shared(weight_sums_shared, _weight_sums)
_add_slices = PerDtype(add_slices, lambda t: (dense(t, 4, True), dense(t, 3, True)))
_plane_sums = PerDtype(plane_sums, lambda t: (dense(t, 3), dense(t, 1, True), types.intp, types.intp))
_plane_sums_shared = Shared(plane_sums_shared, _plane_sums)


@lru_cache(maxsize=256)
def _plan(x_shape, dy_shape, kernel_size, stride, padding, dilation, groups, itemsize):
    """Where the taps and the pixels of a block lie in x, or in the window; and the numbers that `weight_sums` starts with."""
    (n, c, h, w), (_, o, oh, ow), (kh, kw), (sh, sw), (dh, dw) = x_shape, dy_shape, kernel_size, stride, dilation
    c, o, taps = c // groups, o // groups, kh * kw
    bw = min(ow, DEPTH)
    bh = min(oh, DEPTH // bw)
    bn = min(n, DEPTH // (bh * bw)) if bh == oh and bw == ow else 1
    blocks = -(-n // bn) * -(-oh // bh) * -(-ow // bw)
    slices = max(1, min(isqrt(blocks), SLICES_BYTES // (groups * c * taps * o * itemsize)))
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
    return a_rows, a_steps, (*sizes, bn, bh, bw, bc, unit, wh, ww, int(in_place))


def _check(x, dy, kernel_size, stride, padding, dilation, groups):
    if x.dtype not in (np.float32, np.float64) or dy.dtype != x.dtype:
        raise TypeError(f"conv2d_weight: expected arrays both of float32 or both of float64, got {x.dtype}, {dy.dtype}")
    if x.ndim != 4 or dy.ndim != 4 or x.shape[0] != dy.shape[0]:
        raise ValueError(f"conv2d_weight: expected x (N, C, H, W) and dy (N, O, OH, OW), got {x.shape} and {dy.shape}")
    if min(*kernel_size, *stride, *dilation, groups) < 1 or min(padding) < 0:
        raise ValueError(
            "conv2d_weight: expected kernel_size, stride, dilation and groups of at least 1 and padding of at least 0, got "
            f"{kernel_size}, {stride}, {dilation}, {groups} and {padding}"
        )
    if x.shape[1] % groups or dy.shape[1] % groups:
        raise ValueError(f"conv2d_weight: expected channels divisible by groups={groups}, got {x.shape} and {dy.shape}")
    out = tuple(
        (x.shape[2 + a] + padding[2 * a] + padding[2 * a + 1] - dilation[a] * (kernel_size[a] - 1) - 1) // stride[a] + 1
        for a in (0, 1)
    )
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
    c, o, (kh, kw) = x.shape[1] // groups, dy.shape[1], kernel_size
    dw = np.empty((o, c, kh, kw), x.dtype)
    if not (x.size and dy.size):
        dw[...] = 0
        return dw
    n, oh, ow = dy.shape[0], *dy.shape[2:]
    a_rows, a_steps, plan = _plan(
        x.shape, dy.shape, tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation), groups, x.itemsize
    )
    x, pixels = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(dy).reshape(n * o, oh * ow).T
    total = np.empty((plan[0], groups, c * kh * kw, o // groups), x.dtype)
    pays = dw.size * n * oh * ow >= PARALLEL_WORK and get_num_threads() > 1
    twin = _weight_sums_shared[x.dtype] if pays else None
    share(pays, _weight_sums[x.dtype], twin, x, pixels, a_rows, a_steps, plan, total.reshape(-1))
    _add_slices[x.dtype](total, dw.reshape(groups, o // groups, c * kh * kw))
    return dw


def channel_sums(dy):
    """Σ over n, i, j of dy (N, C, H, W): (C,).

    >>> channel_sums(np.ones((2, 3, 4, 4)))
    array([32., 32., 32.])
    """
    if dy.ndim != 4:
        raise ValueError(f"channel_sums: expected (N, C, H, W), got {dy.shape}")
    if dy.dtype not in (np.float32, np.float64):
        raise TypeError(f"channel_sums: expected float32 or float64, got {dy.dtype}")
    sums = np.empty(dy.shape[1], dy.dtype)
    planes = np.ascontiguousarray(dy).reshape(*dy.shape[:2], dy.shape[2] * dy.shape[3])
    pays = dy.nbytes >= PARALLEL_BYTES and get_num_threads() > 1
    share(pays, _plane_sums[dy.dtype], _plane_sums_shared[dy.dtype] if pays else None, planes, sums)
    return sums
