"""Convolution and its gradient with respect to the input, as products of matrices that are never written out.

    y[o, pixel] = Σ_k A[o, k] · B[k, pixel]      k counts the channels and the taps (kh, kw) of the kernel

- A is the weights, copied once per call into stripes of PACKED_ROWS rows in the order in which the micro-kernel reads them.
- B[k, :] is the image, moved by what tap k asks for. It would be KH·KW times the size of the image, so only a panel of it
  exists at a time: as many pixels as a tile is wide, counted through the rows of the image as if it were one long row
  (and through a few small images), so that odd widths waste nothing. Where few rows of A would make use of a panel, it
  is not gathered: the image is read where it lies, its border included, and what that gives is left out of y.
- A stride makes the source of a panel's row non-contiguous, and padding is nowhere. So pixels are first sorted into `planes`;
  this copy of one image (a few, if small) is skipped where there is nothing to sort or pad.
- As many images as a vector has lanes are transposed instead, where that pays (`conv_batches`): then a pixel is a vector, and
  nothing is sorted, gathered or padded. What is left of the images is done as above.
- With a stride and large images neither is done, but output channels lie in vectors (`conv_pixels`), where that pays.

The gradient of the input is such a convolution too: of dy, with the taps turned round and the channels of the weights
exchanged. With strides, the pixels of dx fall into phases by their residues modulo the strides: each phase is reached by
taps of its own, a convolution with stride 1, and the phases are interleaved at the end. `planes` makes the plan of both.

Every element sums over k in the same order, so the bits do not depend on the number of threads, nor on that of images.
Shapes: x (N, C, H, W), w (O, C/groups, KH, KW), dy and y (N, O, OH, OW). `padding` is (top, bottom, left, right).
"""

from functools import lru_cache

import numpy as np
from numba import types

from .conv_batches import BATCH_SIZES, correlate_batches, make_batch_plan
from .conv_loops import DEPTH, correlate, pack_weights
from .conv_pixels import PIXEL_SIZES, correlate_pixels, make_pixel_plan
from .copies import assign
from .depthwise import depthwise, depthwise_input, pays
from .gemm import matmul
from .jit import CodeByDtype, dense, jit
from .layout import clear
from .memory import empty
from .planes import SIZES, backward_phases, block_of, forward_phases, make_plan, out_size
from .shares import SharedCode
from .threads import get_num_threads, run
from .tile import PACKED_ROWS, PACKED_VECTORS, VECTOR_BYTES

BORDER = 400  # multiply-adds with border for each tap and pixel of dy from which `_scatter` is faster
SCATTERED = 512 * 1024  # numbers that it holds at once
PARALLEL_WORK = 600_000  # multiply-adds from which a second thread pays
PARALLEL_PACKING = 200_000  # weights from which it does to pack them

# --------------------------------------------------------------------------------------------- what callers see

_INDEX = types.intp


def _pack_types(t):
    table = dense(types.int64, 1), dense(types.int64, 2)
    return dense(t, 1), dense(t, 1), *table, _INDEX, _INDEX, _INDEX, _INDEX, dense(t, 1, True)


def _correlate_types(t):
    arrays = dense(t, 1), dense(t, 1), dense(t, 1, True), SIZES
    tables = dense(types.int64, 2), dense(types.int64, 1), dense(types.int64, 1), dense(types.int64, 2)
    return *arrays, *tables, *[_INDEX] * 5


def _correlate_batches_types(t):
    tables = dense(types.int64, 1), *[dense(types.int64, 2)] * 3
    return dense(t, 1), dense(t, 1), dense(t, 1, True), BATCH_SIZES, *tables, *[_INDEX] * 4


def _correlate_pixels_types(t):
    tables = dense(types.int64, 1), dense(types.int64, 2), dense(types.int64, 2)
    return *[dense(t, 1)] * 3, dense(t, 1, True), dense(types.int64, 1), PIXEL_SIZES, *tables, *[_INDEX] * 6


_pack = SharedCode(pack_weights, _pack_types)
_correlate = SharedCode(correlate, _correlate_types)
_correlate_batches = SharedCode(correlate_batches, _correlate_batches_types)
_correlate_pixels = SharedCode(correlate_pixels, _correlate_pixels_types)
_NO_BIAS = {np.dtype(char): np.empty(0, char) for char in "fd"}
# where the rows of a gathered panel begin
_ALONG = {dtype: np.arange(DEPTH) * (PACKED_VECTORS * VECTOR_BYTES // dtype.itemsize) for dtype in _NO_BIAS}


def _out_size(name, size, kernel, stride, padding, dilation):
    """(OH, OW); ValueError if the kernel does not fit."""
    out = out_size(size, kernel, stride, padding, dilation)
    if min(out) < 1:
        padded = size[0] + padding[0] + padding[1], size[1] + padding[2] + padding[3]
        raise ValueError(
            f"{name}: a kernel of {kernel} with dilation {dilation} does not fit an input of {padded}, "
            f"padding {padding} included: the output size would be {out}"
        )
    return out


def _check_geometry(name, x_channels, w_shape, stride, padding, dilation, groups):
    for what, values, number, least in (("stride", stride, 2, 1), ("padding", padding, 4, 0), ("dilation", dilation, 2, 1)):
        if len(values) != number or min(values) < least:
            raise ValueError(f"{name}: {what} must be {number} numbers of at least {least}, got {values}")
    if len(w_shape) != 4:
        raise ValueError(f"{name}: expected a weight (O, C/groups, KH, KW), got {w_shape}")
    if groups < 1 or w_shape[0] % groups:
        raise ValueError(f"{name}: {groups} groups do not divide the {w_shape[0]} output channels of weight {w_shape}")
    if min(w_shape[2:]) < 1:
        raise ValueError(f"{name}: the kernel of weight {w_shape} is empty")
    if x_channels != w_shape[1] * groups:
        expected = f"{w_shape[1] * groups} input channels" if name == "conv2d" else f"{w_shape[0]} channels of dy"
        raise ValueError(f"{name}: weight {w_shape} with {groups} groups expects {expected}, got {x_channels}")


@lru_cache(maxsize=256)
def _forward_plan(x_shape, w_shape, stride, padding, dilation, groups):
    if len(x_shape) != 4:
        raise ValueError(f"conv2d: expected an input (N, C, H, W), got {x_shape}")
    _check_geometry("conv2d", x_shape[1], w_shape, stride, padding, dilation, groups)
    kh, kw = w_shape[2:]
    out = _out_size("conv2d", x_shape[2:], (kh, kw), stride, padding, dilation)
    phases = forward_phases((kh, kw), out, padding, dilation)
    return out, _plan(x_shape[0], x_shape[2:], out, stride, w_shape[1], w_shape[0] // groups, kh * kw, phases)


@lru_cache(maxsize=256)
def _backward_plan(dy_shape, w_shape, size, stride, padding, dilation, groups):
    if len(dy_shape) != 4:
        raise ValueError(f"conv2d_input: expected dy (N, O, OH, OW), got {dy_shape}")
    groups = int(groups)
    _check_geometry("conv2d_input", w_shape[1] * groups, w_shape, stride, padding, dilation, groups)
    kh, kw = w_shape[2:]
    out = _out_size("conv2d_input", size, (kh, kw), stride, padding, dilation)
    if dy_shape[1:] != (w_shape[0], *out):
        raise ValueError(
            f"conv2d_input: for an input of size {size} expected dy (N, {w_shape[0]}, {out[0]}, {out[1]}), got {dy_shape}"
        )
    phases = backward_phases((kh, kw), size, stride, padding, dilation)
    return _plan(dy_shape[0], out, size, (1, 1), w_shape[0] // groups, w_shape[1], w_shape[1] * kh * kw, phases)


@jit
def add_each(y, b):
    """y[n, o, :] += b[o]"""
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            row, number = y[n, o], b[o]
            for i in range(row.size):
                row[i] += number


_add = CodeByDtype(add_each, lambda t: (dense(t, 3, True), dense(t, 1)))


def _plan(images, size, target, stride, channels, rows, weight_step, phases):
    """What `_run` needs to know."""
    block = block_of(channels, phases)
    plan = make_plan(size, target, stride, channels, rows, weight_step, phases, block=block)
    if not plan.work:
        return plan
    pixels = make_pixel_plan(size, target, stride, channels, rows, phases, block)
    if pixels or images < VECTOR_BYTES // 8:
        return plan._replace(pixels=pixels)
    return plan._replace(batches=make_batch_plan(size, target, stride, channels, rows, phases, block))


def _run(x, w, bias, y, plan, groups, rows, group_step, row_step):
    """y = x convolved with w, according to plan; nothing is empty, shapes have been checked."""
    dtype, images, channels, stripes = x.dtype, x.shape[0], x.shape[1] // groups, groups * -(-rows // PACKED_ROWS)
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w).reshape(-1)
    if plan.pixels:
        arguments = x.reshape(-1), w, bias, y.reshape(-1), plan.orders, *plan.pixels
        numbers = images, groups, group_step, channels, rows, row_step
        run(_pays(plan, images * rows * groups), _correlate_pixels, dtype, *arguments, *numbers)
        return
    packed = np.empty((plan.steps.size + 1) * stripes * PACKED_ROWS, dtype)
    pays = w.size >= PARALLEL_PACKING and get_num_threads() > 1
    run(pays, _pack, dtype, w, bias, plan.orders, plan.phases, groups, group_step, rows, row_step, packed)
    lanes = VECTOR_BYTES // x.itemsize
    whole = images // lanes * lanes if plan.batches else 0
    if whole:
        numbers = whole // lanes, groups, channels, rows
        arguments = x[:whole].reshape(-1), packed, y[:whole].reshape(-1), plan.batches.sizes, plan.batches.steps[dtype]
        run(_pays(plan, whole * rows * groups), _correlate_batches, dtype, *arguments, *plan.batches[2:], *numbers)
    if images > whole:
        x, y, images = x[whole:], y[whole:], images - whole
        if plan.gaps:
            clear(y)
        pays = _pays(plan, images * rows * groups)
        numbers = images, min(plan.chunk, -(-images // (get_num_threads() if pays else 1))), groups, channels, rows
        arguments = x.reshape(-1), packed, y.reshape(-1), plan.sizes, plan.planes, plan.steps, _ALONG[dtype], plan.phases
        run(pays, _correlate, dtype, *arguments, *numbers)


def _pays(plan, number):
    return plan.work * number >= PARALLEL_WORK and get_num_threads() > 1


def conv2d(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """y[n,o,i,j] = b[o] + Σ_{c,kh,kw} w[o,c,kh,kw] · x[n,c, i·sh + kh·dh − top, j·sw + kw·dw − left]."""
    dtype = x.dtype
    if w.dtype is not dtype or dtype not in _NO_BIAS or (b is not None and b.dtype is not dtype):
        _check_dtypes("conv2d", *((x, w) if b is None else (x, w, b)))
    (oh, ow), plan = _forward_plan(x.shape, w.shape, stride, padding, dilation, groups)
    rows, channels, kh, kw = w.shape
    if b is not None and b.shape != (rows,):
        raise ValueError(f"conv2d: weight {w.shape} expects a bias ({rows},), got {b.shape}")
    if pays(channels, rows // groups) and x.size and w.size:
        return depthwise(x, w, b, (oh, ow), tuple(stride), tuple(padding), tuple(dilation), groups)
    y = empty((x.shape[0], rows, oh, ow), dtype)
    if y.size and w.size:
        rows, taps = rows // groups, channels * kh * kw
        bias = _NO_BIAS[dtype] if b is None else np.ascontiguousarray(b)
        _run(x, w, bias, y, plan, groups, rows, rows * taps, taps)
    else:
        assign(y, 0 if b is None else b[:, None, None])
    return y


def conv2d_input(dy, w, size, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """dx of conv2d for an input of `size` (H, W): each dy[n,o,i,j] goes back to what it was computed from."""
    dtype = dy.dtype
    if w.dtype is not dtype or dtype not in _NO_BIAS:
        _check_dtypes("conv2d_input", dy, w)
    size = tuple(size)
    plan = _backward_plan(dy.shape, w.shape, size, stride, padding, dilation, groups)
    rows, kh, kw = w.shape[1:]
    if pays(rows, w.shape[0] // groups) and dy.size and w.size and 0 not in size:
        return depthwise_input(dy, w, size, tuple(stride), tuple(padding), tuple(dilation), groups)
    oh, ow = dy.shape[2:]
    if dy.size and w.size and plan.work > (w.shape[0] // groups + BORDER) * oh * ow * kh * kw:
        return _scatter(dy, w, size, stride, padding, dilation, groups)
    shape = dy.shape[0], rows * groups, *size
    dx = empty(shape, dtype)
    if dy.size and w.size and plan.work:
        _run(dy, w, _NO_BIAS[dtype], dx, plan, groups, rows, w.size // groups, kh * kw)
    else:
        clear(dx)
    return dx


def add_to_channels(y, b):
    """y[n, o] += b[o], of a C-contiguous y. By a kernel, as a step that is remembered does not see what NumPy changes.

    >>> y = np.zeros((1, 2, 3))
    >>> add_to_channels(y, np.array([1.0, 2.0]))
    >>> y
    array([[[1., 1., 1.],
            [2., 2., 2.]]])
    """
    if y.ndim < 3 or not y.flags.carray or b.shape != y.shape[1:2]:
        what = "" if y.flags.carray else ", which is not C-contiguous or can't be written to"
        raise ValueError(f"add_to_channels: expected y (N, C, …) and b (C,), got {y.shape}{what} and {b.shape}")
    _check_dtypes("add_to_channels", y, b)
    if y.size:
        _add[y.dtype](y.reshape(*y.shape[:2], -1), np.ascontiguousarray(b))


def _scatter(dy, w, size, stride, padding, dilation, groups):
    """conv2d_input where most taps would meet the border of dy: one product gives what each tap sends back, to be added."""
    (n, _, oh, ow), (o, c, kh, kw), (top, bottom, left, right) = dy.shape, w.shape, padding
    o //= groups
    dx = np.zeros((n, groups * c, size[0] + top + bottom, size[1] + left + right), dy.dtype)
    count = max(1, SCATTERED // (c * kh * kw * oh * ow))  # images at a time
    for g, n0 in np.ndindex(groups, -(-n // count)):
        part = dy[n0 * count : (n0 + 1) * count, g * o : (g + 1) * o].swapaxes(0, 1)
        sent = matmul(w[g * o : (g + 1) * o].reshape(o, -1).T, part.reshape(o, -1)).reshape(c, kh, kw, -1, oh, ow)
        target = dx[n0 * count : (n0 + 1) * count, g * c : (g + 1) * c].swapaxes(0, 1)
        for i, j in np.ndindex(kh, kw):
            rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
            target[:, :, rows, j * dilation[1] : j * dilation[1] + (ow - 1) * stride[1] + 1 : stride[1]] += sent[:, i, j]
    return np.ascontiguousarray(dx[:, :, top : top + size[0], left : left + size[1]])


def _check_dtypes(name, *arrays):
    dtype = arrays[0].dtype
    if dtype not in _NO_BIAS or any(x.dtype != dtype for x in arrays[1:]):
        got = ", ".join(str(x.dtype) for x in arrays)
        raise TypeError(f"{name}: expected arrays all of float32 or all of float64, got {got}")
