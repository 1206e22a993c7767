"""Convolution with few channels per group, down to one (depthwise): a few numbers of w for each plane of the image.

A product of matrices would have too few rows to keep the multiply-adds busy. Here a step of the inner loop is one vector
of pixels times one weight. `walk` keeps UNROLL sums in registers, and there are two ways to use it:

- forward, and the gradient of x: the sums are UNROLL vectors of output pixels, and the steps are the taps (channel, kh, kw);
- the gradient of w: the sums are UNROLL taps, and the steps are the vectors of output pixels.

In both, each step reads the image at (where the pixels lie) + (where the tap lies), two small tables. To make that so for
padding and strides, a band of rows is first copied with its zeros, columns of like remainder (mod stride) side by side.
The gradient of x is the same product, one for each remainder (row, column) mod stride, interleaved at the end.

A row of pixels is cut into vectors, of which the last is moved back to end with the row; rows shorter than a vector are
computed with garbage behind them, which the next row covers.

Many small images would have short rows and much to prepare for each. There a vector holds the same pixel of L planes, one
to a lane: blocks are transposed on the way in and out, and between them borders and strides cost nothing. The kernels are
the same two products; only the weights are vectors too, and in the gradient of w each lane sums for a group of its own.

All functions here are called by `conv` and `conv_weight`, which have checked dtypes (all float32 or all float64), shapes
and geometry: nothing is checked again.
"""

from functools import lru_cache
from itertools import product

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from .jit import PerDtype, Shared, call, dense, jit
from .threads import get_num_threads, share
from .tile import VECTOR_BYTES, _Vectors

UNROLL = 9  # sums in registers: enough to hide the latency of a multiply-add, and the taps of a 3 × 3 kernel
BAND_BYTES = 20 * 1024  # of the image copied at once, to stay in the L1 cache
BAND_VECTORS = 256  # of output computed at once; sums of so many are added up in float64
SMALL = 6800  # pixels of the planes of a group, with borders, up to which a lane to each plane stays in the L2 cache
PARALLEL_WORK = 300_000  # multiply-adds from which a second thread pays
MOST_CHANNELS = 4  # per group, on either side, for which this beats a product of matrices


def pays(channels, rows):
    """Whether these kernels are the faster ones for groups of `channels` input channels and `rows` output channels."""
    return channels <= MOST_CHANNELS and rows <= MOST_CHANNELS


# ----------------------------------------------------------------------------------------------- vector code by hand


def _emit_walk(function, itemsize, splat, adds):
    """The body of walk(x, x_sums, x_steps, f, f_steps, count, first, y, y_sums, n), all tables in elements.

    sum[i] = first[i] + Σ_k factor[k] · x[x_sums[i] + x_steps[k] + (0:L)] goes to y[y_sums[i] + (0:L)] for i < n <= UNROLL.
    With `splat` factor[k] is the number f[f_steps[k]] and first[i] is first[0]; else they are the vectors
    f[f_steps[k] + (0:L)] and first[0:L], or with `adds` y[y_sums[i] + (0:L)].
    """
    builder = ir.IRBuilder(function.append_basic_block())
    x, x_sums, x_steps, f, f_steps, count, first, y, y_sums, n = function.args
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
        if adds:
            begin = [vec.load(pointer) for pointer in ys]
        else:
            begin = [vec.splat(builder.load(first), vec.type) if splat else vec.load(first)] * number
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(vec.i64)
        sums = [builder.phi(vec.type) for _ in range(number)]
        factor = at(f, f_steps, k)
        factor = vec.splat(builder.load(factor), vec.type) if splat else vec.load(factor)
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


def _walk(splat, adds):
    def codegen(context, builder, sig, args):
        at = _pointers(context, builder, sig, args, (0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (11, 12), (13, 14), (15, 16))
        operands = [*at[:5], args[10], *at[5:], args[17]]
        name = f"minidl_walk_{at[0].type.pointee}_{splat}_{adds}"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [x.type for x in operands]), name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            _emit_walk(function, context.get_abi_sizeof(at[0].type.pointee), splat, adds)
        builder.call(function, operands)
        return context.get_dummy_value()

    return codegen


def _walk_types(x, x_sums, x_steps, f, f_steps, first, y, y_sums):
    i = types.intp
    return types.void(x, i, x_sums, i, x_steps, i, f, i, f_steps, i, i, first, i, y, i, y_sums, i, i)


@intrinsic
def walk_taps(typing, x, x0, x_sums, u, x_steps, k, f, f0, f_steps, j, count, first, b, y, y0, y_sums, v, n):
    """y[y0 + y_sums[v + i] + (0:L)] = first[b] + Σ_q f[f0 + f_steps[j + q]] · x[x0 + x_sums[u + i] + x_steps[k + q] + (0:L)].

    For i < n <= UNROLL and q < count, which is at least 1.
    """
    return _walk_types(x, x_sums, x_steps, f, f_steps, first, y, y_sums), _walk(True, False)


@intrinsic
def walk_pixels(typing, x, x0, x_sums, u, x_steps, k, f, f0, f_steps, j, count, first, b, y, y0, y_sums, v, n):
    """y[y0 + y_sums[v + i] + (0:L)] += Σ_q f[f0 + f_steps[j + q] + (0:L)] · x[x0 + x_sums[u + i] + x_steps[k + q] + (0:L)]."""
    return _walk_types(x, x_sums, x_steps, f, f_steps, first, y, y_sums), _walk(False, True)


@intrinsic
def walk_lanes(typing, x, x0, x_sums, u, x_steps, k, f, f0, f_steps, j, count, first, b, y, y0, y_sums, v, n):
    """As walk_pixels, but it begins with first[b : b + L] instead of what is in y."""
    return _walk_types(x, x_sums, x_steps, f, f_steps, first, y, y_sums), _walk(False, False)


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


@intrinsic
def copy_part(typing, source, i, n, target, j):
    """target[j : j + L] = source[i : i + n] and zeros, n cut to L; no more than n elements are read."""
    sig = types.void(source, types.intp, types.intp, target, types.intp)

    def codegen(context, builder, sig, args):
        source, target = _pointers(context, builder, sig, args, (0, 1), (3, 4))
        vec = _Vectors(builder, source.type.pointee, sig.args[0].dtype.bitwidth // 8)
        vec.store(vec.load(source, vec.mask(args[2], 0)), target)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def separate(typing, source, i, n, target, j, k):
    """As copy_part for 2·L elements: those of even index to target[j : j + L], the others to target[k : k + L]."""
    index = types.intp
    sig = types.void(source, index, index, target, index, index)

    def codegen(context, builder, sig, args):
        source, even, odd = _pointers(context, builder, sig, args, (0, 1), (3, 4), (3, 5))
        vec = _Vectors(builder, source.type.pointee, sig.args[0].dtype.bitwidth // 8)
        low, high = (vec.load(vec.move(source, first), vec.mask(args[2], first)) for first in (0, vec.lanes))
        for offset, pointer in enumerate((even, odd)):
            vec.store(vec.shuffle(low, high, list(range(offset, 2 * vec.lanes, 2))), pointer)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def interleave(typing, source, j, k, target, i):
    """target[i : i + 2·L : 2] = source[j : j + L] and target[i + 1 : i + 2·L : 2] = source[k : k + L]."""
    index = types.intp
    sig = types.void(source, index, index, target, index)

    def codegen(context, builder, sig, args):
        even, odd, target = _pointers(context, builder, sig, args, (0, 1), (0, 2), (3, 4))
        vec = _Vectors(builder, even.type.pointee, sig.args[0].dtype.bitwidth // 8)
        even, odd, half = vec.load(even), vec.load(odd), vec.lanes // 2
        for first in (0, half):
            lanes = [lane + side * vec.lanes for lane in range(first, first + half) for side in (0, 1)]
            vec.store(vec.shuffle(even, odd, lanes), vec.move(target, 2 * first))
        return context.get_dummy_value()

    return sig, codegen


if numba.config.DISABLE_JIT:  # the same in plain Python, to be stepped through with a debugger

    def _window(array, start, offset):
        start = start + offset
        lanes = VECTOR_BYTES // array.itemsize
        assert 0 <= start <= array.size - lanes
        return array[start : start + lanes]

    def walk_taps(x, x0, x_sums, u, x_steps, k, f, f0, f_steps, j, count, first, b, y, y0, y_sums, v, n):
        for i in range(n):
            total = first[b]
            for q in range(count):
                total = total + f[f0 + f_steps[j + q]] * _window(x, x0 + x_sums[u + i], x_steps[k + q])
            _window(y, y0, y_sums[v + i])[:] = total

    def walk_pixels(x, x0, x_sums, u, x_steps, k, f, f0, f_steps, j, count, first, b, y, y0, y_sums, v, n):
        for i in range(n):
            total = _window(y, y0, y_sums[v + i])
            for q in range(count):
                total += _window(f, f0, f_steps[j + q]) * _window(x, x0 + x_sums[u + i], x_steps[k + q])

    def walk_lanes(x, x0, x_sums, u, x_steps, k, f, f0, f_steps, j, count, first, b, y, y0, y_sums, v, n):
        for i in range(n):
            total = _window(first, b, 0)
            for q in range(count):
                total = total + _window(f, f0, f_steps[j + q]) * _window(x, x0 + x_sums[u + i], x_steps[k + q])
            _window(y, y0, y_sums[v + i])[:] = total

    def transpose_to(source, i, step, target, j, places, k):
        lanes = VECTOR_BYTES // source.itemsize
        rows = np.stack([_window(source, i, p * step) for p in range(lanes)])
        for q in range(lanes):
            _window(target, j, places[k + q])[:] = rows[:, q]

    def copy_part(source, i, n, target, j):
        row = _window(target, j, 0)
        row[:] = 0
        row[: max(n, 0)] = source[i : i + max(min(n, row.size), 0)]

    def separate(source, i, n, target, j, k):
        lanes = VECTOR_BYTES // source.itemsize
        both = np.zeros(2 * lanes, source.dtype)
        n = min(n, both.size)
        both[:n] = source[i : i + n]
        _window(target, j, 0)[:], _window(target, k, 0)[:] = both[::2], both[1::2]

    def interleave(source, j, k, target, i):
        lanes = VECTOR_BYTES // source.itemsize
        target[i : i + 2 * lanes].reshape(lanes, 2).T[:] = _window(source, j, 0), _window(source, k, 0)


# ------------------------------------------------------------------------------------------------------- the loops


@jit
def fill(x, plane, planes, image, i0, rows, band, target):
    """Copies `rows` rows from row i0 on of `planes` planes from x[plane:] on to target, as `band` says; zeros outside them.

    What lies left and right of the copied columns is zero in target from the beginning and stays so.
    """
    h, w = image
    height, pitch, spacing, stride, first, last, to = band
    lanes, n = VECTOR_BYTES // x.itemsize, last - first
    for p in range(planes):
        for r in range(rows):
            row, i = (p * height + r) * pitch, i0 + r
            if not 0 <= i < h:
                for q in range(0, pitch, lanes):
                    copy_part(x, 0, 0, target, row + q)
                continue
            source = plane + (p * h + i) * w + first
            if stride == 1:
                for q in range(0, n, lanes):
                    copy_part(x, source + q, n - q, target, row + to + q)
            elif stride == 2:
                even = row + to % 2 * spacing + to // 2
                odd = row + (to + 1) % 2 * spacing + (to + 1) // 2
                for q in range(0, n, 2 * lanes):
                    separate(x, source + q, n - q, target, even + q // 2, odd + q // 2)
            else:
                for q in range(n):
                    target[row + (to + q) % stride * spacing + (to + q) // stride] = x[source + q]


@jit
def correlate(x, f, bias, y, pixels, steps, phases, numbers, image, band, part, parts):
    """One share of the planes of y: each is Σ over the planes of its group in x, and the taps, of f times x, plus bias.

    pixels: (2, vectors) where the vectors of a band of outputs lie, in the band of x and in the output.
    steps: (2, taps) where the taps lie, in the band of x and in f. phases: (a, b, first step, last step, where in the output)
    """
    n, groups, channels, rows, oh, ow, q0, q1, lines, columns, stride, above = numbers[:12]
    top, th, tw, left, out_pitch, f_group, f_row = numbers[12:]
    lanes, plane = VECTOR_BYTES // x.itemsize, image[0] * image[1]
    across = (columns + lanes - 1) // lanes
    height, pitch = band[0], band[1]
    reach = height - (lines - 1) * stride  # rows of x that one row of output meets
    bands = (q1 - q0 + lines - 1) // lines
    source = np.zeros(channels * height * pitch + lanes, x.dtype)
    whole = th * tw == 1
    direct = whole and columns >= lanes
    phased = np.empty(0 if whole else th * lines * tw * out_pitch + 2 * lanes, y.dtype)
    packed = np.empty(0 if direct else lines * th * ow + 2 * lanes, y.dtype)
    total = n * groups * bands
    for unit in range(total * part // parts, total * (part + 1) // parts):
        item, g, q = unit // bands, unit // bands % groups, q0 + unit % bands * lines
        m = min(lines, q1 - q)
        fill(x, item * channels * plane, channels, image, q * stride - above, (m - 1) * stride + reach, band, source)
        vectors = m * across
        passes = (vectors + UNROLL - 1) // UNROLL
        first, last = max(q * th - top, 0), min((q + m) * th - top, oh)
        for row in range(rows):
            start = ((item * rows + row) * oh + first) * ow
            target, to = (y, start) if direct else (packed, 0) if whole else (phased, 0)
            for p in range(phases.shape[0]):
                k, count, shift = phases[p, 2], phases[p, 3] - phases[p, 2], phases[p, 4]
                if count == 0:
                    for r in range(m):
                        for c in range(columns):
                            target[to + shift + r * tw * out_pitch + c] = 0
                    continue
                for step in range(passes):
                    v = vectors * step // passes
                    number = vectors * (step + 1) // passes - v
                    walk_taps(
                        source, 0, pixels[0], v, steps[0], k, f, g * f_group + row * f_row, steps[1], k, count,
                        bias, g * rows + row, target, to + shift, pixels[1], v, number,
                    )  # fmt: skip
            if not whole:
                for i in range(first, last):
                    u = i + top - q * th
                    line, out = (u % th * lines + u // th) * tw * out_pitch, (i - first) * ow
                    if tw == 2:
                        even, odd = line + left * out_pitch, line + (1 - left) * out_pitch + left
                        for c in range(0, ow, 2 * lanes):
                            interleave(phased, even + c // 2, odd + c // 2, packed, out + c)
                    else:
                        for c in range(ow):
                            packed[out + c] = phased[line + (c + left) % tw * out_pitch + (c + left) // tw]
            if not direct:
                part_of_y = y[start : start + (last - first) * ow]
                for c in range(part_of_y.size):
                    part_of_y[c] = packed[c]


@jit(parallel=True)
def correlate_shared(body, x, f, bias, y, pixels, steps, phases, numbers, image, band, parts):
    for part in prange(parts):
        call(body, x, f, bias, y, pixels, steps, phases, numbers, image, band, part, parts)


@jit
def weight_sums(x, dy, dw, pixels, steps, numbers, image, band, part, parts):
    """One share of the groups of dw (O, taps). Whole vectors of a row of dy have sums of their own, as has the last vector.

    So each lane of the sums belongs to the same columns of dy throughout, and those of garbage are left out at the end.
    """
    n, groups, channels, rows, oh, ow, lines, columns, stride, above = numbers
    lanes, plane = VECTOR_BYTES // x.itemsize, image[0] * image[1]
    whole, ragged = columns // lanes, columns % lanes
    height, pitch = band[0], band[1]
    reach = height - (lines - 1) * stride  # rows of x that one row of output meets
    taps = steps.shape[1]
    passes = (taps + UNROLL - 1) // UNROLL
    source = np.zeros(channels * height * pitch + lanes, x.dtype)
    short = np.empty(0 if whole else lines * ow + lanes, x.dtype)
    sums = np.zeros(rows * 2 * taps * lanes, x.dtype)
    totals = np.empty(rows * taps, np.float64)
    for g in range(groups * part // parts, groups * (part + 1) // parts):
        totals[:] = 0
        done = 0
        for item in range(n):
            for q in range(0, oh, lines):
                m = min(lines, oh - q)
                at = (item * groups + g) * channels * plane
                fill(x, at, channels, image, q * stride - above, (m - 1) * stride + reach, band, source)
                for row in range(rows):
                    start = (((item * groups + g) * rows + row) * oh + q) * ow
                    if not whole:  # a vector would reach beyond the last row
                        f_rows = dy[start : start + m * ow]
                        for c in range(f_rows.size):
                            short[c] = f_rows[c]
                    for p in range(passes):
                        t = taps * p // passes
                        number = taps * (p + 1) // passes - t
                        to = row * 2 * taps * lanes
                        last = to + taps * lanes
                        if whole:
                            count = m * whole
                            walk_pixels(
                                source, 0, steps[0], t, pixels[0], 0, dy, start, pixels[1], 0, count,
                                x, 0, sums, to, steps[1], t, number,
                            )  # fmt: skip
                        k = lines * whole
                        if ragged and whole:
                            walk_pixels(
                                source, 0, steps[0], t, pixels[0], k, dy, start, pixels[1], k, m,
                                x, 0, sums, last, steps[1], t, number,
                            )  # fmt: skip
                        elif ragged:
                            walk_pixels(
                                source, 0, steps[0], t, pixels[0], k, short, 0, pixels[1], k, m,
                                x, 0, sums, last, steps[1], t, number,
                            )  # fmt: skip
                done += m * (whole + 1)
                if done >= BAND_VECTORS or (item == n - 1 and q + lines >= oh):
                    done = 0
                    skipped = lanes - ragged if whole else 0
                    for o in range(rows):
                        for t in range(taps):
                            at = (o * 2 * taps + t) * lanes
                            for lane in range(lanes if whole else 0):
                                totals[o * taps + t] += sums[at + lane]
                            for lane in range(skipped, skipped + ragged):
                                totals[o * taps + t] += sums[at + taps * lanes + lane]
                    sums[:] = 0
        for t in range(rows * taps):
            dw[g * rows * taps + t] = totals[t]


@jit(parallel=True)
def weight_sums_shared(body, x, dy, dw, pixels, steps, numbers, image, band, parts):
    for part in prange(parts):
        call(body, x, dy, dw, pixels, steps, numbers, image, band, part, parts)


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
    source, target = np.zeros(channels * size, x.dtype), np.zeros(out * lanes, x.dtype)
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
                    walk_lanes(
                        source, 0, pixels[0], start + v, steps[0], k, f, row * f_row + g, steps[1], k, count,
                        bias, row * (groups + lanes - 1) + g, target, 0, pixels[1], start + v, n,
                    )  # fmt: skip
            for q in range(0, out, lanes):
                p = min(q, out - lanes)
                transpose_to(target, p * lanes, lanes, y, (first * rows + row) * out + p, across, 0)


@jit(parallel=True)
def correlate_lanes_shared(body, x, f, bias, y, places, pixels, steps, phases, across, numbers, parts):
    for part in prange(parts):
        call(body, x, f, bias, y, places, pixels, steps, phases, across, numbers, part, parts)


@jit
def weight_sums_lanes(x, dy, dw, places, pixels, steps, numbers, part, parts):
    """One share of the groups of dw (O, taps), as `weight_sums`, L of them at a time."""
    n, groups, channels, rows, image, out, size = numbers
    lanes, taps = VECTOR_BYTES // x.itemsize, steps.shape[1]
    passes = (taps + UNROLL - 1) // UNROLL
    source, factors = np.zeros(channels * size, x.dtype), np.empty(rows * out * lanes, x.dtype)
    sums, totals = np.empty(rows * taps * lanes, x.dtype), np.empty(rows * taps * lanes, np.float64)
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
            for q in range(0, out, BAND_VECTORS):
                count = min(BAND_VECTORS, out - q)
                for row in range(rows):
                    for p in range(passes):
                        t = taps * p // passes
                        walk_pixels(
                            source, 0, steps[0], t, pixels[0], q, factors, row * out * lanes, pixels[1], q, count,
                            x, 0, sums, row * taps * lanes, steps[1], t, taps * (p + 1) // passes - t,
                        )  # fmt: skip
                done += count
                if done >= BAND_VECTORS or item == n - 1:
                    done = 0
                    for i in range(sums.size):
                        totals[i] += sums[i]
                    sums[:] = 0
        for lane in range(lanes):
            for t in range(rows * taps):
                dw[(first + lane) * rows * taps + t] = totals[t * lanes + lane]


@jit(parallel=True)
def weight_sums_lanes_shared(body, x, dy, dw, places, pixels, steps, numbers, parts):
    for part in prange(parts):
        call(body, x, dy, dw, places, pixels, steps, numbers, part, parts)


# --------------------------------------------------------------------------------------------- what callers see

_TABLE = dense(types.int64, 2)


def _integers(number):
    return types.UniTuple(types.intp, number)


def _correlate_types(t):
    tables = _TABLE, _TABLE, _TABLE, _integers(19), _integers(2), _integers(7)
    return *[dense(t, 1)] * 3, dense(t, 1, True), *tables, types.intp, types.intp


def _weight_sums_types(t):
    tables = _TABLE, _TABLE, _integers(10), _integers(2), _integers(7)
    return *[dense(t, 1)] * 2, dense(t, 1, True), *tables, types.intp, types.intp


def _correlate_lanes_types(t):
    tables = dense(types.int64, 1), *[_TABLE] * 3, dense(types.int64, 1), _integers(8)
    return *[dense(t, 1)] * 3, dense(t, 1, True), *tables, types.intp, types.intp


def _weight_sums_lanes_types(t):
    tables = dense(types.int64, 1), _TABLE, _TABLE, _integers(7)
    return *[dense(t, 1)] * 2, dense(t, 1, True), *tables, types.intp, types.intp


_correlate, _weight_sums = PerDtype(correlate, _correlate_types), PerDtype(weight_sums, _weight_sums_types)
_correlate_shared, _weight_sums_shared = Shared(correlate_shared, _correlate), Shared(weight_sums_shared, _weight_sums)

_correlate_lanes = PerDtype(correlate_lanes, _correlate_lanes_types)
_weight_sums_lanes = PerDtype(weight_sums_lanes, _weight_sums_lanes_types)
_correlate_lanes_shared = Shared(correlate_lanes_shared, _correlate_lanes)
_weight_sums_lanes_shared = Shared(weight_sums_lanes_shared, _weight_sums_lanes)


def _up(number, unit):
    return -(-number // unit) * unit


def _band(channels, image, stride, lines, columns, reach, pad, itemsize):
    """How `fill` lays out a band of x for `lines` × `columns` vectors of output; and how many lines fit a band."""
    lanes = VECTOR_BYTES // itemsize
    used = (columns - 1) * stride[1] + reach[1]  # columns of a band that are read
    to, first = max(pad, 0), max(-pad, 0)
    last = max(first, min(image[1], first + used - to))
    spacing = max(
        -(-reach[1] // stride[1]) + max(columns, lanes),
        -(-to // stride[1]) + _up(-(-(last - first) // stride[1]), lanes),
    )
    pitch = _up(stride[1] * spacing, 64 // itemsize)
    fit = (BAND_BYTES // itemsize // (channels * pitch) - reach[0]) // stride[0] + 1
    fit = max(1, min(lines, fit, BAND_VECTORS // -(-columns // lanes)))
    lines = -(-lines // -(-lines // fit))  # the same number of bands, as even as may be
    return lines, ((lines - 1) * stride[0] + reach[0], pitch, spacing, stride[1], first, last, to)


def _starts(columns, lanes):
    """Where the vectors of a row begin: one after the other, the last one ending with the row."""
    return np.array([min(j, max(columns - lanes, 0)) for j in range(0, columns, lanes)])


def _taps(kernel_size, stride, dilation, pitch, spacing):
    """Offsets (KH, KW) of the taps in a band of x."""
    rows, columns = (np.arange(size) * step for size, step in zip(kernel_size, dilation, strict=True))
    return rows[:, None] * pitch + columns % stride[1] * spacing + columns // stride[1]


def _reach(kernel_size, dilation):
    return [(size - 1) * step + 1 for size, step in zip(kernel_size, dilation, strict=True)]


@lru_cache(maxsize=256)
def _forward_plan(x_shape, w_shape, size, stride, padding, dilation, groups, itemsize):
    (n, _, *image), (o, channels, *kernel), (oh, ow) = x_shape, w_shape, size
    lanes, reach = VECTOR_BYTES // itemsize, _reach(kernel, dilation)
    lines, band = _band(channels, image, stride, oh, ow, reach, padding[2], itemsize)
    height, pitch, spacing = band[:3]
    i, j = np.arange(lines)[:, None], _starts(ow, lanes)
    pixels = np.stack((i * stride[0] * pitch + j, i * ow + j)).reshape(2, -1)
    taps = _taps(kernel, stride, dilation, pitch, spacing)
    steps = (np.arange(channels)[:, None, None] * height * pitch + taps).ravel()
    steps = np.stack((steps, np.arange(steps.size)))
    phases = np.array([[0, 0, 0, steps.shape[1], 0]])
    f = o // groups * steps.shape[1], steps.shape[1]
    numbers = n, groups, channels, o // groups, oh, ow, 0, oh, lines, ow, stride[0], padding[0], 0, 1, 1, 0, 0, *f
    return pixels, steps, phases, numbers, tuple(image), band


@lru_cache(maxsize=256)
def _backward_plan(dy_shape, w_shape, size, stride, padding, dilation, groups, itemsize):
    (n, o, *image), (_, channels, *kernel) = dy_shape, w_shape
    rows, (th, tw), (top, _, left, _), lanes = o // groups, stride, padding, VECTOR_BYTES // itemsize
    (q0, q1), (c0, c1) = ((p // t, (p + s - 1) // t + 1) for p, s, t in ((top, size[0], th), (left, size[1], tw)))
    # Row q·th + a of the padded x meets row q - e of dy by the taps with kh·dh = e·th + a.
    at = [np.divmod(np.arange(k) * d, t) for k, d, t in zip(kernel, dilation, stride, strict=True)]
    above, before = (int(e.max()) for e, _ in at)
    lines, band = _band(rows, image, (1, 1), q1 - q0, c1 - c0, (above + 1, before + 1), before - c0, itemsize)
    height, pitch = band[:2]
    out_pitch = max(c1 - c0, lanes)
    i, j = np.arange(lines)[:, None], _starts(c1 - c0, lanes)
    line = size[1] if th * tw == 1 else tw * out_pitch
    pixels = np.stack((i * pitch + j, i * line + j)).reshape(2, -1)
    steps, phases = [], []
    for a in range(th):
        for b in range(tw):
            kh, kw = (np.nonzero(at[axis][1] == phase)[0] for axis, phase in ((0, a), (1, b)))
            e = (above - at[0][0][kh])[:, None] * pitch + before - at[1][0][kw]
            channel, tap = np.arange(rows)[:, None, None], kh[:, None] * kernel[1] + kw
            new = np.stack((channel * height * pitch + e, channel * channels * kernel[0] * kernel[1] + tap)).reshape(2, -1)
            first = sum(s.shape[1] for s in steps)
            steps.append(new)
            phases.append((a, b, first, first + new.shape[1], (a * lines * tw + b) * out_pitch))
    f = rows * channels * kernel[0] * kernel[1], kernel[0] * kernel[1]
    place = top, th, tw, left % tw, out_pitch
    numbers = n, groups, rows, channels, *size, q0, q1, lines, c1 - c0, 1, above, *place, *f
    return pixels, np.ascontiguousarray(np.hstack(steps)), np.array(phases), numbers, tuple(image), band


@lru_cache(maxsize=256)
def _weight_plan(x_shape, dy_shape, kernel_size, stride, padding, dilation, groups, itemsize):
    (n, c, *image), (_, o, oh, ow) = x_shape, dy_shape
    channels, lanes, reach = c // groups, VECTOR_BYTES // itemsize, _reach(kernel_size, dilation)
    lines, band = _band(channels, image, stride, oh, ow, reach, padding[2], itemsize)
    height, pitch, spacing = band[:3]
    i, starts, whole = np.arange(lines)[:, None], _starts(ow, lanes), ow // lanes
    pixels = np.hstack(
        [np.stack((i * stride[0] * pitch + j, i * ow + j)).reshape(2, -1) for j in (starts[:whole], starts[whole:])]
    )
    taps = _taps(kernel_size, stride, dilation, pitch, spacing)
    steps = (np.arange(channels)[:, None, None] * height * pitch + taps).ravel()
    steps = np.stack((steps, np.arange(steps.size) * lanes))
    numbers = n, groups, channels, o // groups, oh, ow, lines, ow, stride[0], padding[0]
    return np.ascontiguousarray(pixels), steps, numbers, tuple(image), band


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

    def place(rows, columns, pitch):
        return ((rows[:, None] * pitch + columns) * lanes).ravel()

    pixels, steps, table = [], [], []
    for to, (rows, columns), taps, weights in phases:
        pixels.append(np.stack((place(rows - top, columns - left, pitch), place(*to, out[1]))))
        steps.append(np.stack(((np.arange(channels)[:, None] * size + place(*taps, pitch)).ravel(), weights.ravel())))
        table.append((steps[-1].shape[1], pixels[-1].shape[1]))
    counts = np.array(table)
    phases = np.stack((counts.cumsum(0) - counts, counts), 2).reshape(-1, 4)  # first step, steps, first pixel, pixels
    places = place(np.arange(image[0]) - top, np.arange(image[1]) - left, pitch)
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
    return places, pixels, np.stack((steps[0], np.arange(steps.shape[1]) * lanes)), (n, *numbers[1:7])


def _lane_weights(w, groups, lanes):
    """(numbers of a group, groups + L - 1): those of L groups in a row lie side by side, also of the last and the first."""
    return _flat(w.reshape(groups, -1).T.take(np.arange(groups + lanes - 1), 1, mode="wrap"))


def _flat(x):
    return np.ascontiguousarray(x).reshape(-1)


def _run(work, body, twin, dtype, *arguments):
    if work >= PARALLEL_WORK and get_num_threads() > 1:
        share(True, body[dtype], twin[dtype], *arguments)
    else:
        body[dtype](*arguments, 0, 1)


def _correlation(x, w, bias, y, groups, lane_plan, plan, geometry):
    """Fills y, a lane to each plane if `lane_plan` says how."""
    lane_plan = lane_plan(*geometry)
    pixels = min(x.shape[2] * x.shape[3], y.shape[2] * y.shape[3])
    kernels = _correlate, _correlate_shared
    if lane_plan:
        w, bias = (_lane_weights(array, groups, VECTOR_BYTES // x.itemsize) for array in (w, bias))
        kernels = _correlate_lanes, _correlate_lanes_shared
    _run(
        x.shape[0] * pixels * w.size,
        *kernels,
        x.dtype,
        _flat(x),
        _flat(w),
        bias,
        y.reshape(-1),
        *(lane_plan or plan(*geometry)),
    )


def depthwise(x, w, b, size, stride, padding, dilation, groups):
    """y[n,o,i,j] = b[o] + Σ_{c,kh,kw} w[o,c,kh,kw] · x[n,c, i·sh + kh·dh − top, j·sw + kw·dw − left] of `size` (OH, OW).

    As `conv2d`, which alone calls it: nothing is checked, and nothing is empty.
    """
    geometry = x.shape, w.shape, size, stride, padding, dilation, groups, x.itemsize
    y = np.empty((x.shape[0], w.shape[0], *size), x.dtype)
    bias = np.zeros(w.shape[0], x.dtype) if b is None else np.ascontiguousarray(b)
    _correlation(x, w, bias, y, groups, _forward_lane_plan, _forward_plan, geometry)
    return y


def depthwise_input(dy, w, size, stride, padding, dilation, groups):
    """dx of `depthwise` for an input of `size` (H, W). As `conv2d_input`, which alone calls it."""
    geometry = dy.shape, w.shape, size, stride, padding, dilation, groups, dy.itemsize
    dx = np.empty((dy.shape[0], w.shape[1] * groups, *size), dy.dtype)
    bias = np.zeros(dx.shape[1], dx.dtype)
    _correlation(dy, w, bias, dx, groups, _backward_lane_plan, _backward_plan, geometry)
    return dx


def depthwise_weight(x, dy, kernel_size, stride, padding, dilation, groups):
    """dw of `depthwise` for a kernel of `kernel_size` (KH, KW). As `conv2d_weight`, which alone calls it."""
    geometry = x.shape, dy.shape, kernel_size, stride, padding, dilation, groups, x.itemsize
    dw = np.empty((dy.shape[1], x.shape[1] // groups, *kernel_size), x.dtype)
    work = dy.size * (dw.size // dw.shape[0])
    plan = _weight_lane_plan(*geometry)
    kernels = (_weight_sums_lanes, _weight_sums_lanes_shared) if plan else (_weight_sums, _weight_sums_shared)
    _run(work, *kernels, x.dtype, _flat(x), _flat(dy), dw.reshape(-1), *(plan or _weight_plan(*geometry)))
    return dw
