"""Convolution with few channels per group, down to one (depthwise): a few numbers of w for each plane of the image.

A product of matrices would have too few rows to keep the multiply-adds busy. Here a step of the inner loop, `walk`, is one
vector of pixels times one of weights, for UNROLL sums in registers:

- forward, and the gradient of x: the sums are vectors of output pixels, and the steps are the taps (channel, kh, kw);
- the gradient of w: the sums are taps, and the steps are the vectors of output pixels.

In both, each step reads the image at (where the pixels lie) + (where the tap lies), two small tables. There are two ways to
lay out the image so that this is so for padding and strides:

- `correlate` and `weight_sums` sort it into planes, as `planes` says, and a vector holds neighbours in a row. For outputs,
  a band of rows is computed as one long row, and what lies between the rows is left out.
- Many small images would have short rows and much to prepare for each. For them, in `correlate_lanes` and
  `weight_sums_lanes`, a vector holds the same pixel of L planes, one to a lane: blocks are transposed on the way in and out,
  and between them borders and strides cost nothing. In the gradient of w each lane sums for a group of its own.

All functions here are called by `conv` and `conv_weight`, which have checked dtypes (all float32 or all float64), shapes
and geometry: nothing is checked again.
"""

from functools import lru_cache
from itertools import product

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .arrays import empty_array, zero_array
from .jit import dense, jit
from .layout import clear, lengthened, repeated
from .memory import empty
from .planes import SIZES, backward_phases, forward_phases, make_plan, place, sort
from .shares import SharedCode
from .threads import run
from .tile import VECTOR_BYTES, _call_once, _Vectors

UNROLL = 9  # sums in registers: enough to hide the latency of a multiply-add, and the taps of a 3 × 3 kernel
LONG = 256  # vectors of output; sums of so many are added up in float64
SMALL = 6800  # pixels of the planes of a group, with borders, up to which a lane to each plane stays in the L2 cache
PARALLEL_WORK = 300_000  # multiply-adds from which a second thread pays
MOST_CHANNELS = 4  # per group, on either side, for which this beats a product of matrices


def pays(channels, rows):
    """Whether these kernels are the faster ones for groups of `channels` input channels and `rows` output channels."""
    return channels <= MOST_CHANNELS and rows <= MOST_CHANNELS


# ----------------------------------------------------------------------------------------------- vector code by hand


def _emit_walk(function, itemsize):
    """The body of walk(x, x_sums, x_steps, f, f_steps, count, first, first_step, y, y_sums, n), in elements.

    sum[i] = first[i·first_step + (0:L)] + Σ_k f[f_steps[k] + (0:L)] · x[x_sums[i] + x_steps[k] + (0:L)] goes to
    y[y_sums[i] + (0:L)] for i < n <= UNROLL.
    """
    builder = ir.IRBuilder(function.append_basic_block())
    x, x_sums, x_steps, f, f_steps, count, first, first_step, y, y_sums, n = function.args
    vec = _Vectors(builder, x.type.pointee, itemsize)
    end = function.append_basic_block()
    choice = builder.switch(n, end)

    def at(array, table, index):
        return builder.gep(array, [builder.load(builder.gep(table, [index]))])

    for number in range(1, UNROLL + 1):
        start, loop, done = (function.append_basic_block() for _ in range(3))
        choice.add_case(vec.int(number), start)
        builder.position_at_end(start)
        xs, ys = ([at(array, table, vec.int(i)) for i in range(number)] for array, table in ((x, x_sums), (y, y_sums)))
        begin = [vec.load(builder.gep(first, [builder.mul(first_step, vec.int(i))])) for i in range(number)]
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(vec.i64)
        sums = [builder.phi(vec.type) for _ in range(number)]
        factor = vec.load(at(f, f_steps, k))
        step = builder.load(builder.gep(x_steps, [k]))
        totals = [vec.muladd(factor, vec.load(builder.gep(p, [step])), s) for p, s in zip(xs, sums, strict=True)]
        following = builder.add(k, vec.int(1))
        k.add_incoming(vec.int(0), start)
        k.add_incoming(following, loop)
        for phi, initial, total in zip(sums, begin, totals, strict=True):
            phi.add_incoming(initial, start)
            phi.add_incoming(total, loop)
        builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
        builder.position_at_end(done)
        for pointer, total in zip(ys, totals, strict=True):
            vec.store(total, pointer)
        builder.branch(end)
    builder.position_at_end(end)
    builder.ret_void()


def _pointers(context, builder, sig, args, *pairs):
    """The address of element args[i] of array args[a], for each pair (a, i)."""
    return [builder.gep(context.make_array(sig.args[a])(context, builder, args[a]).data, [args[i]]) for a, i in pairs]


@intrinsic
def walk(typing, x, x0, x_sums, u, x_steps, k, f, f0, f_steps, j, count, first, b, first_step, y, y_sums, v, n):
    """For i < n <= UNROLL and q < count, which is at least 1, with all vectors (0:L):

    y[y_sums[v + i]] = first[b + i·first_step] + Σ_q f[f0 + f_steps[j + q]] · x[x0 + x_sums[u + i] + x_steps[k + q]]
    """
    i = types.intp
    sig = types.void(x, i, x_sums, i, x_steps, i, f, i, f_steps, i, i, first, i, i, y, y_sums, i, i)

    def codegen(context, builder, sig, args):
        x, x_sums, x_steps, f, f_steps, first, y_sums = _pointers(
            context, builder, sig, args, (0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (11, 12), (15, 16)
        )
        y = context.make_array(sig.args[14])(context, builder, args[14]).data
        operands = [x, x_sums, x_steps, f, f_steps, args[10], first, args[13], y, y_sums, args[17]]
        _call_once(context, builder, "walk", _emit_walk, operands)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def transpose_to(typing, source, i, step, target, j, places, k):
    """target[j + places[k + q] + (0:L)][p] = source[i + p · step + (0:L)][q] for p, q < L."""
    index = types.intp
    sig = types.void(source, index, index, target, index, places, index)

    def codegen(context, builder, sig, args):
        source, target, places = _pointers(context, builder, sig, args, (0, 1), (3, 4), (5, 6))
        vec = _Vectors(builder, source.type.pointee, sig.args[0].dtype.bitwidth // 8)
        rows = [vec.load(builder.gep(source, [builder.mul(args[2], vec.int(p))])) for p in range(vec.lanes)]
        for q, column in enumerate(vec.transposed(rows)):
            vec.store(column, builder.gep(target, [builder.load(vec.move(places, q))]))
        return context.get_dummy_value()

    return sig, codegen


if numba.config.DISABLE_JIT:  # the same in plain Python, to be stepped through with a debugger

    def _window(array, start):
        lanes = VECTOR_BYTES // array.itemsize
        assert 0 <= start <= array.size - lanes
        return array[start : start + lanes]

    def walk(x, x0, x_sums, u, x_steps, k, f, f0, f_steps, j, count, first, b, first_step, y, y_sums, v, n):
        for i in range(n):
            total = _window(first, b + i * first_step).copy()
            for q in range(count):
                total += _window(f, f0 + f_steps[j + q]) * _window(x, x0 + x_sums[u + i] + x_steps[k + q])
            _window(y, y_sums[v + i])[:] = total

    def transpose_to(source, i, step, target, j, places, k):
        lanes = VECTOR_BYTES // source.itemsize
        rows = np.stack([_window(source, i + p * step) for p in range(lanes)])
        for q in range(lanes):
            _window(target, j + places[k + q])[:] = rows[:, q]


# ----------------------------------------------------------------------------------- large images, pixels side by side


@jit
def sort_planes(x, plane, channels, sizes, planes, i0, source):
    """Sorts the images of `channels` planes of x, from number `plane` on, for a band that begins with row i0 of the output."""
    image, stride = (sizes.height, sizes.width), (sizes.stride_h, sizes.stride_w)
    rows, pitch = sizes.plane_rows, sizes.pitch
    for c in range(channels):
        start, at = (plane + c) * sizes.height * sizes.width, c * planes.shape[0] * rows * pitch
        sort(x, start, image, (sizes.top + i0 * sizes.stride_h, sizes.left), stride, planes, rows, pitch, source, at)


@jit
def correlate(x, f, bias, y, sizes, planes, steps, along, phases, images, groups, channels, rows, part, parts):
    """One share of the planes of y: each is Σ over the planes of its group in x, and the taps, of f times x, plus bias.

    f and bias hold a vector, the same number L times, for each tap of each row, and for each row. The other arguments are
    those of a Plan; along[i] is i·L.
    """
    pixels, band, bands, pitch, total = sizes.pixels, sizes.band, sizes.bands, sizes.pitch, sizes.total
    lanes = VECTOR_BYTES // x.itemsize
    source = zero_array(channels * planes.shape[0] * sizes.plane_rows * pitch + lanes, x.dtype)
    out = empty_array(band * pitch + lanes, y.dtype)
    units = images * groups * bands
    for unit in range(units * part // parts, units * (part + 1) // parts):
        group, i0 = unit // bands, unit % bands * band
        sort_planes(x, group * channels, channels, sizes, planes, i0, source)
        for row in range(rows):
            number, target = group % groups * rows + row, (group * rows + row) * pixels
            for p in range(phases.shape[0]):
                k, count, start, down, across = phases[p, 0], phases[p, 1], phases[p, 2], phases[p, 3], phases[p, 4]
                down = max(0, min(band, down - i0))
                vectors = ((down - 1) * pitch + across + lanes - 1) // lanes if down else 0
                passes = (vectors + UNROLL - 1) // UNROLL
                for step in range(passes):
                    v = vectors * step // passes
                    n = vectors * (step + 1) // passes - v
                    walk(
                        source, 0, along, v, steps, k, f, (number * total + k) * lanes, along, 0, count,
                        bias, number * lanes, 0, out, along, v, n,
                    )  # fmt: skip
                place(out, 0, pitch, down, across, y, target + start + i0 * phases[p, 5], phases[p, 5], phases[p, 6])


@jit
def weight_sums(x, dy, dw, sizes, planes, steps, along, pixels, dy_sizes, groups, channels, lines, part, parts):
    """One share of the groups of dw (O, taps). Whole vectors of a row of dy have sums of their own, as has the last vector.

    So each lane of the sums belongs to the same columns of dy throughout, and those of garbage are left out at the end.
    pixels: (2, vectors) where those of `lines` rows of dy lie, in a plane of x and in dy.
    """
    images, o, oh, ow = dy_sizes
    rows, band, pitch = o // groups, sizes.band, sizes.pitch
    lanes, taps = VECTOR_BYTES // x.itemsize, steps.size
    whole, ragged = ow // lanes, ow % lanes
    passes = (taps + UNROLL - 1) // UNROLL
    source = zero_array(channels * planes.shape[0] * sizes.plane_rows * pitch + lanes, x.dtype)
    sums, totals = zero_array(rows * 2 * taps * lanes, x.dtype), empty_array(rows * 2 * taps * lanes, np.float64)
    for g in range(groups * part // parts, groups * (part + 1) // parts):
        totals[:] = 0
        done = 0
        for item in range(images):
            for i0 in range(0, oh, band):
                sort_planes(x, (item * groups + g) * channels, channels, sizes, planes, i0, source)
                end = min(oh, i0 + band)
                for i in range(i0, end, lines):
                    m = min(lines, end - i)
                    for row, last in np.ndindex(rows, 2):
                        count = (m if ragged else 0) if last else m * whole
                        k, at = lines * whole * last, (row * 2 + last) * taps
                        start = ((item * o + g * rows + row) * oh + i) * ow
                        for p in range(passes if count else 0):
                            t = taps * p // passes
                            n = taps * (p + 1) // passes - t
                            walk(
                                source, (i - i0) * pitch, steps, t, pixels[0], k, dy, start, pixels[1], k, count,
                                sums, (at + t) * lanes, lanes, sums, along, at + t, n,
                            )  # fmt: skip
                    done += m * (whole + 1)
                    if done >= LONG or (item == images - 1 and i + m == oh):
                        done = 0
                        for q in range(sums.size):
                            totals[q] += sums[q]
                        sums[:] = 0
        skipped = lanes - ragged if whole else 0
        for row in range(rows):
            for t in range(taps):
                total, at = np.float64(0), (row * 2 * taps + t) * lanes
                for lane in range(lanes):
                    total += totals[at + lane]
                for lane in range(skipped, skipped + ragged):
                    total += totals[at + taps * lanes + lane]
                dw[(g * rows + row) * taps + t] = total


# ------------------------------------------------------------------------------------- small images, a plane to a lane


@jit
def spread(x, start, planes, image, step, source, places, size):
    """Transposes L runs of `planes` images, `step` apart: the L numbers of pixel p go to source[plane · size + places[p]]."""
    lanes = VECTOR_BYTES // x.itemsize
    for c in range(planes):
        for q in range(0, image, lanes):
            p = min(q, image - lanes)
            transpose_to(x, start + c * image + p, step, source, c * size, places, p)


@jit
def correlate_lanes(x, f, bias, y, places, pixels, steps, phases, across, numbers, part, parts):
    """One share of the planes of y, as `correlate`, but L groups at a time, which may be of several images.

    f (., groups + L - 1) and bias (rows, groups + L - 1) hold a number of every group, and the first ones once more.
    pixels: (2, pixels) where outputs meet the first tap, and where they go. phases: (first step, steps, first pixel, pixels)
    """
    planes, groups, channels, rows, image, out, size, f_row = numbers
    lanes = VECTOR_BYTES // x.itemsize
    source, target = zero_array(channels * size, x.dtype), zero_array(out * lanes, x.dtype)
    blocks = (planes + lanes - 1) // lanes
    for block in range(blocks * part // parts, blocks * (part + 1) // parts):
        first = min(block * lanes, planes - lanes)
        spread(x, first * channels * image, channels, image, channels * image, source, places, size)
        g = first % groups
        for row in range(rows):
            for p in range(phases.shape[0]):
                k, count, start, number = phases[p, 0], phases[p, 1], phases[p, 2], phases[p, 3]
                passes = (number + UNROLL - 1) // UNROLL
                for step in range(passes):
                    v = number * step // passes
                    n = number * (step + 1) // passes - v
                    walk(
                        source, 0, pixels[0], start + v, steps[0], k, f, row * f_row + g, steps[1], k, count,
                        bias, row * (groups + lanes - 1) + g, 0, target, pixels[1], start + v, n,
                    )  # fmt: skip
            for q in range(0, out, lanes):
                p = min(q, out - lanes)
                transpose_to(target, p * lanes, lanes, y, (first * rows + row) * out + p, across, 0)


@jit
def weight_sums_lanes(x, dy, dw, places, pixels, steps, along, numbers, part, parts):
    """One share of the groups of dw (O, taps), as `weight_sums`, L of them at a time."""
    n, groups, channels, rows, image, out, size = numbers
    lanes, taps = VECTOR_BYTES // x.itemsize, steps.shape[1]
    passes = (taps + UNROLL - 1) // UNROLL
    source, factors = zero_array(channels * size, x.dtype), empty_array(rows * out * lanes, x.dtype)
    sums, totals = empty_array(rows * taps * lanes, x.dtype), empty_array(rows * taps * lanes, np.float64)
    blocks = (groups + lanes - 1) // lanes
    for block in range(blocks * part // parts, blocks * (part + 1) // parts):
        first = min(block * lanes, groups - lanes)
        sums[:] = 0
        totals[:] = 0
        done = 0
        for item in range(n):
            at = item * groups + first
            spread(x, at * channels * image, channels, image, channels * image, source, places, size)
            spread(dy, at * rows * out, rows, out, rows * out, factors, pixels[1], out * lanes)
            for q in range(0, out, LONG):
                count = min(LONG, out - q)
                for row in range(rows):
                    for p in range(passes):
                        t = taps * p // passes
                        at, n_taps = row * taps + t, taps * (p + 1) // passes - t
                        walk(
                            source, 0, steps[0], t, pixels[0], q, factors, row * out * lanes, pixels[1], q, count,
                            sums, at * lanes, lanes, sums, along, at, n_taps,
                        )  # fmt: skip
                done += count
                if done >= LONG or item == n - 1:
                    done = 0
                    for i in range(sums.size):
                        totals[i] += sums[i]
                    sums[:] = 0
        for lane in range(lanes):
            for t in range(rows * taps):
                dw[(first + lane) * rows * taps + t] = totals[t * lanes + lane]


# --------------------------------------------------------------------------------------------- what callers see

_TABLE, _LIST = dense(types.int64, 2), dense(types.int64, 1)


def _kernel(body, arrays, *tables):
    """A kernel that reads so many arrays and writes one; `tables` are types, or sizes of tuples of integers."""
    tables = [types.UniTuple(types.intp, table) if isinstance(table, int) else table for table in tables]
    return SharedCode(body, lambda t: (*[dense(t, 1)] * arrays, dense(t, 1, True), *tables))


_NO_BIAS = {np.dtype(char): np.empty(0, char) for char in "fd"}
_correlate = _kernel(correlate, 3, SIZES, _TABLE, _LIST, _LIST, _TABLE, *[types.intp] * 4)
_weight_sums = _kernel(weight_sums, 2, SIZES, _TABLE, _LIST, _LIST, _TABLE, 4, *[types.intp] * 3)
_correlate_lanes = _kernel(correlate_lanes, 3, _LIST, _TABLE, _TABLE, _TABLE, _LIST, 8)
_weight_sums_lanes = _kernel(weight_sums_lanes, 2, _LIST, _TABLE, _TABLE, _LIST, 7)


@lru_cache(maxsize=256)
def _forward_plan(x_shape, w_shape, size, stride, padding, dilation, groups, itemsize):
    """The arguments of `correlate`, where the weight of each (row of y, tap) is, and whether no tap reaches some pixels."""
    (o, channels, *kernel), rows = w_shape, w_shape[0] // groups
    taps, phases = kernel[0] * kernel[1], forward_phases(kernel, size, padding, dilation)
    plan = make_plan(x_shape[2:], size, stride, channels, rows, taps, phases, direct=True)
    weights = np.arange(o)[:, None] * (channels * taps) + plan.orders
    return _arguments(plan, x_shape[0], groups, channels, rows, itemsize), weights, plan.gaps


@lru_cache(maxsize=256)
def _backward_plan(dy_shape, w_shape, size, stride, padding, dilation, groups, itemsize):
    """The same for the gradient of x; no arguments where no tap meets any pixel."""
    (_, channels, *kernel), rows = w_shape, w_shape[0] // groups
    taps, phases = kernel[0] * kernel[1], backward_phases(kernel, size, stride, padding, dilation)
    plan = make_plan(dy_shape[2:], size, (1, 1), rows, channels, channels * taps, phases, direct=True)
    starts = np.arange(groups)[:, None] * (rows * channels * taps) + np.arange(channels) * taps
    arguments = _arguments(plan, dy_shape[0], groups, rows, channels, itemsize) if plan.work else None
    return arguments, starts.reshape(-1, 1) + plan.orders, plan.gaps


def _arguments(plan, images, groups, channels, rows, itemsize):
    band, pitch, total = plan.sizes.band, plan.sizes.pitch, plan.steps.size
    lanes = VECTOR_BYTES // itemsize
    along = np.arange(max(total, band * pitch // lanes + 1)) * lanes
    return plan.sizes, plan.planes, plan.steps, along, plan.phases, images, groups, channels, rows


@lru_cache(maxsize=256)
def _weight_plan(x_shape, dy_shape, kernel, stride, padding, dilation, groups, itemsize):
    channels, lanes, ow = x_shape[1] // groups, VECTOR_BYTES // itemsize, dy_shape[3]
    phases = forward_phases(kernel, dy_shape[2:], padding, dilation)
    plan = make_plan(x_shape[2:], dy_shape[2:], stride, channels, 1, kernel[0] * kernel[1], phases, direct=True)
    # The vectors of a row lie one after the other, the last one moved back to end with the row.
    starts, whole = np.array([min(j, max(ow - lanes, 0)) for j in range(0, ow, lanes)]), ow // lanes
    lines = min(plan.sizes.band, max(1, LONG // starts.size))
    i = np.arange(lines)[:, None]
    pixels = [np.stack((i * plan.sizes.pitch + j, i * ow + j)).reshape(2, -1) for j in (starts[:whole], starts[whole:])]
    along = np.arange(dy_shape[1] // groups * 2 * plan.steps.size) * lanes
    tables = plan.planes, plan.steps, along, np.ascontiguousarray(np.hstack(pixels))
    return plan.sizes, *tables, dy_shape, groups, channels, lines


def _lane_plan(planes, image, out, channels, phases, lanes):
    """places, pixels, steps and phases for `correlate_lanes`, and how many numbers a plane of its source takes.

    None unless there are so many planes and so few pixels that it pays.
    phases: rows and columns of outputs, those of the image that they meet, how much further each tap lies, and its weights.
    """
    if not phases or planes < lanes or min(image[0] * image[1], out[0] * out[1]) < lanes:
        return None
    reach = [[0, image[axis] - 1] for axis in (0, 1)]
    for _, met, taps, _ in phases:
        for axis in (0, 1):
            reach[axis] += [met[axis].min() + taps[axis].min(), met[axis].max() + taps[axis].max()]
    (top, left), (bottom, right) = map(min, reach), map(max, reach)
    pitch = right + 1 - left
    size = int(bottom + 1 - top) * int(pitch) * lanes
    if channels * size > (SMALL - out[0] * out[1]) * lanes:
        return None

    def at(rows, columns, pitch):
        return ((rows[:, None] * pitch + columns) * lanes).ravel()

    pixels, steps, table = [], [], []
    for to, (rows, columns), taps, weights in phases:
        pixels.append(np.stack((at(rows - top, columns - left, pitch), at(*to, out[1]))))
        steps.append(np.stack(((np.arange(channels)[:, None] * size + at(*taps, pitch)).ravel(), weights.ravel())))
        table.append((steps[-1].shape[1], pixels[-1].shape[1]))
    counts = np.array(table)
    phases = np.stack((counts.cumsum(0) - counts, counts), 2).reshape(-1, 4)  # first step, steps, first pixel, pixels
    places = at(np.arange(image[0]) - top, np.arange(image[1]) - left, pitch)
    return places, *(np.ascontiguousarray(np.hstack(part)) for part in (pixels, steps)), phases, size


@lru_cache(maxsize=256)
def _forward_lane_plan(x_shape, w_shape, size, stride, padding, dilation, groups, itemsize):
    (n, _, *image), (o, channels, *kernel), lanes = x_shape, w_shape, VECTOR_BYTES // itemsize
    pixels = [np.arange(k) for k in size]
    met = [i * s - p for i, s, p in zip(pixels, stride, padding[::2], strict=True)]
    taps = [np.arange(k) * d for k, d in zip(kernel, dilation, strict=True)]
    width, count = groups + lanes - 1, channels * kernel[0] * kernel[1]
    tables = _lane_plan(n * groups, image, size, channels, [(pixels, met, taps, np.arange(count) * width)], lanes)
    if tables is None:
        return None
    *tables, length = tables
    numbers = n * groups, groups, channels, o // groups, image[0] * image[1], size[0] * size[1], length, count * width
    across = np.arange(lanes) * (o // groups * size[0] * size[1])
    return *tables, across, numbers


@lru_cache(maxsize=256)
def _backward_lane_plan(dy_shape, w_shape, size, stride, padding, dilation, groups, itemsize):
    (n, o, *image), (_, channels, *kernel), lanes = dy_shape, w_shape, VECTOR_BYTES // itemsize
    rows, taps, width = o // groups, kernel[0] * kernel[1], groups + lanes - 1
    sides = []  # for each axis and phase: pixels of dx, rows of dy they meet, taps, offsets
    for k, s, t, p, d in zip(kernel, size, stride, padding[::2], dilation, strict=True):
        side = []
        for phase in range(t):
            tap = np.nonzero(np.arange(k) * d % t == phase)[0]
            i = np.nonzero((np.arange(s) + p) % t == phase)[0]
            side.append((i, (i + p) // t, -(tap * d // t), tap))
        sides.append([part for part in side if part[0].size and part[2].size])
    phases = []
    for (i, r, e, kh), (j, c, f, kw) in product(*sides):
        weights = np.arange(rows)[:, None, None] * channels * taps + kh[:, None] * kernel[1] + kw
        phases.append(((i, j), (r, c), (e, f), weights * width))
    tables = _lane_plan(n * groups, image, size, rows, phases, lanes)
    if tables is None:
        return None
    *tables, length = tables
    numbers = n * groups, groups, rows, channels, image[0] * image[1], size[0] * size[1], length, taps * width
    across = np.arange(lanes) * (channels * size[0] * size[1])
    return *tables, across, numbers


@lru_cache(maxsize=256)
def _weight_lane_plan(x_shape, dy_shape, kernel_size, stride, padding, dilation, groups, itemsize):
    (n, c, *_), (_, o, *size), lanes = x_shape, dy_shape, VECTOR_BYTES // itemsize
    geometry = tuple(size), stride, padding, dilation, groups, itemsize
    plan = _forward_lane_plan(x_shape, (o, c // groups, *kernel_size), *geometry)
    if plan is None or groups < lanes:  # each lane sums for a group of its own
        return None
    places, pixels, steps, *_, numbers = plan
    return places, pixels, steps, np.arange(o // groups * steps.shape[1]) * lanes, (n, *numbers[1:7])


@lru_cache(maxsize=256)
def _lane_order(groups, numbers, lanes):
    """Of (numbers of a group, groups + L - 1), so that those of L groups in a row lie side by side, also the last and first."""
    return np.arange(groups + lanes - 1) % groups * numbers + np.arange(numbers)[:, None]


@lru_cache(maxsize=256)
def _all(number):
    return np.arange(number)


def _flat(x):
    return np.ascontiguousarray(x).reshape(-1)


def _correlation(x, w, bias, y, groups, lane_plan, plan, geometry):
    """Fills y, a lane to each plane if `lane_plan` says how."""
    lanes, tables = VECTOR_BYTES // x.itemsize, lane_plan(*geometry)
    pixels = min(x.shape[2] * x.shape[3], y.shape[2] * y.shape[3])
    pays = x.shape[0] * pixels * w.size >= PARALLEL_WORK
    if tables:
        kernel, w = _correlate_lanes, repeated(_flat(w), _lane_order(groups, w.size // groups, lanes), 1)
        bias = repeated(bias, _lane_order(groups, y.shape[1] // groups, lanes), 1)
    else:
        tables, order, gaps = plan(*geometry)
        if gaps:
            clear(y)
        kernel, w, bias = _correlate, repeated(_flat(w), order, lanes), repeated(bias, _all(y.shape[1]), lanes)
    if tables:
        run(pays, kernel, x.dtype, _flat(x), w, bias, y.reshape(-1), *tables)


def depthwise(x, w, b, size, stride, padding, dilation, groups):
    """y[n,o,i,j] = b[o] + Σ_{c,kh,kw} w[o,c,kh,kw] · x[n,c, i·sh + kh·dh − top, j·sw + kw·dw − left] of `size` (OH, OW).

    As `conv2d`, which alone calls it: nothing is checked, and nothing is empty.
    """
    geometry = x.shape, w.shape, size, stride, padding, dilation, groups, x.itemsize
    y = empty((x.shape[0], w.shape[0], *size), x.dtype)
    bias = _NO_BIAS[x.dtype] if b is None else np.ascontiguousarray(b)
    _correlation(x, w, bias, y, groups, _forward_lane_plan, _forward_plan, geometry)
    return y


def depthwise_input(dy, w, size, stride, padding, dilation, groups):
    """dx of `depthwise` for an input of `size` (H, W). As `conv2d_input`, which alone calls it."""
    geometry = dy.shape, w.shape, size, stride, padding, dilation, groups, dy.itemsize
    dx = empty((dy.shape[0], w.shape[1] * groups, *size), dy.dtype)
    _correlation(dy, w, _NO_BIAS[dy.dtype], dx, groups, _backward_lane_plan, _backward_plan, geometry)
    return dx


def depthwise_weight(x, dy, kernel_size, stride, padding, dilation, groups):
    """dw of `depthwise` for a kernel of `kernel_size` (KH, KW). As `conv2d_weight`, which alone calls it."""
    geometry = x.shape, dy.shape, kernel_size, stride, padding, dilation, groups, x.itemsize
    dw = np.empty((dy.shape[1], x.shape[1] // groups, *kernel_size), x.dtype)
    plan = _weight_lane_plan(*geometry)
    kernel, plan = (_weight_sums_lanes, plan) if plan else (_weight_sums, _weight_plan(*geometry))
    size, pays = dy.shape[3], dy.size * (dw.size // dw.shape[0]) >= PARALLEL_WORK
    dy = _flat(dy)
    if kernel is _weight_sums and size < VECTOR_BYTES // x.itemsize:  # a vector would reach beyond the last row
        dy = lengthened(dy, VECTOR_BYTES // x.itemsize)
    run(pays, kernel, x.dtype, _flat(x), dy, dw.reshape(-1), *plan)
    return dw
