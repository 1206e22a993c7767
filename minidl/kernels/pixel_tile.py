"""The micro-kernel of `conv_pixels`: a tile of some pixels by CHANNEL_VECTORS vectors of channels, in LLVM's own vector code.

                 w   k │ w w w w w w w w │  channels = CHANNEL_VECTORS registers
                       └─────────────────┘
        x    k         ┌─────────────────┐
           ┌───┐       │ C C C C C C C C │
           │ x │ PIXELS│ C C C C C C C C │  every C += its pixel's x × its channel's w
           │ x │       │ C C C C C C C C │
           └───┘       └─────────────────┘

One number of x at a time is read where it lies, whatever the stride. There is code for each number of pixels up to PIXELS, so
nothing is read that belongs to no pixel. While it computes, the tile prefetches a part of the next image, one line of the cache
at a time. Many at once would fill the buffers through which w comes.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .tile import VECTOR_BYTES, _call_once, _for_each_number, _no_unrolling, _places, _Vectors

# PIXELS·CHANNEL_VECTORS accumulators, a row of w and a broadcast number of x share 16 registers (AVX-512: 32).
# With more pixels, LLVM loads numbers of x so early that the sums do not all stay in registers.
PIXELS, CHANNEL_VECTORS = (10, 2) if VECTOR_BYTES == 64 else (6, 2)
L1, L2 = 3, 2  # the caches, as LLVM names them in a prefetch
BETWEEN = 8  # k, after which the next line of the next image is prefetched
AHEAD = 16  # k, by which w is prefetched: the processor alone brings it from the L2 cache too late for 6 pixels


def _emit(function, itemsize):
    """The body of pixel_tile(x, steps, apart, depth, w, c, c_apart, bias, adds, n, ahead, pace); apart and pace in bytes."""
    builder = ir.IRBuilder(function.append_basic_block())
    x, steps, apart, depth, w, c, c_apart, bias, adds, n, ahead, pace = function.args
    vec = _Vectors(builder, x.type.pointee, itemsize)
    byte = ir.IntType(8).as_pointer()
    ahead, prefetch = builder.bitcast(ahead, byte), vec.intrinsic("llvm.prefetch.p0", ir.VoidType(), byte, *[vec.i32] * 3)

    def fetch(place, cache):
        builder.call(prefetch, [place, vec.i32(0), vec.i32(cache), vec.i32(1)])

    width, zero = CHANNEL_VECTORS * vec.lanes, vec.int(0)
    adding = builder.icmp_signed("!=", adds, vec.int(0))
    old, old_step = builder.select(adding, c, bias), builder.select(adding, c_apart, vec.int(0))
    odd = {i: builder.mul(apart, vec.int(i)) for i in range(1, PIXELS, 2)}

    def pixel(at, i):
        """An address has a register times 1, 2, 4 or 8 in it: with those of odd numbers all pixels are reached."""
        if i == 0:
            return at
        scale = min(i & -i, 8)
        return vec.move(at, nbytes=builder.mul(odd[i // scale], vec.int(scale)))

    def emit(pixels):
        places = [(i, v) for i in range(pixels) for v in range(CHANNEL_VECTORS)]
        start, some, loop, rest, done = builder.block, *(builder.append_basic_block() for _ in range(4))
        olds = [vec.load(vec.move(builder.gep(old, [builder.mul(old_step, vec.int(i))]), v * vec.lanes)) for i, v in places]
        builder.branch(some)
        builder.position_at_end(some)
        before = [builder.phi(x.type) for x in (zero, w, ahead, *olds)]
        fetch(before[2], L2)
        later = builder.add(before[0], vec.int(BETWEEN))
        last = builder.select(builder.icmp_signed("<", later, depth), later, depth)
        builder.branch(loop)
        builder.position_at_end(loop)
        k, w_at, *sums = (builder.phi(x.type) for x in (before[0], before[1], *before[3:]))
        at = builder.gep(x, [builder.load(builder.gep(steps, [k]))])
        ws = [vec.load(vec.move(w_at, v * vec.lanes)) for v in range(CHANNEL_VECTORS)]
        for v in range(CHANNEL_VECTORS):
            fetch(builder.bitcast(vec.move(w_at, AHEAD * width + v * vec.lanes), byte), L1)
        totals = []
        for i in range(pixels):
            number = vec.splat(builder.load(pixel(at, i), align=itemsize), vec.type)
            totals += [vec.muladd(number, ws[v], sums[i * CHANNEL_VECTORS + v]) for v in range(CHANNEL_VECTORS)]
        after = builder.add(k, vec.int(1)), vec.move(w_at, width), *totals
        for now, first, then in zip((k, w_at, *sums), (*before[:2], *before[3:]), after, strict=True):
            now.add_incoming(first, some)
            now.add_incoming(then, loop)
        _no_unrolling(builder, builder.cbranch(builder.icmp_signed("<", after[0], last), loop, rest))
        builder.position_at_end(rest)
        firsts = zero, w, ahead, *olds
        thens = after[0], after[1], builder.gep(before[2], [pace]), *totals
        for now, first, then in zip(before, firsts, thens, strict=True):
            now.add_incoming(first, start)
            now.add_incoming(then, rest)
        _no_unrolling(builder, builder.cbranch(builder.icmp_signed("<", after[0], depth), some, done))
        builder.position_at_end(done)
        for (i, v), total in zip(places, totals, strict=True):
            vec.store(total, vec.move(builder.gep(c, [builder.mul(c_apart, vec.int(i))]), v * vec.lanes))
        builder.ret_void()

    _for_each_number(builder, vec, n, PIXELS, emit)


@intrinsic
def pixel_tile(typing, x, x0, steps, k, apart, depth, w, w0, c, c0, c_apart, bias0, adds, n, ahead, pace):
    """c[c0 + c_apart·p + (0:W)] = Σ_q x[x0 + apart·p + steps[k + q]] · w[w0 + W·q + (0:W)] + (c or w[bias0 + (0:W)]).

    For p < n ≤ PIXELS and q < depth, which is at least 1; W is as many numbers as CHANNEL_VECTORS vectors hold. c itself is
    added if `adds`. All arrays are 1-D and contiguous. Meanwhile x[ahead], x[ahead + pace], … are prefetched, one for BETWEEN
    k each; they may lie outside x.
    """
    index = types.intp
    sig = types.void(x, index, steps, index, index, index, w, index, c, index, index, index, index, index, index, index)

    def codegen(context, builder, sig, args):
        at = _places(context, builder, sig, args)
        itemsize = args[4].type(sig.args[0].dtype.bitwidth // 8)
        operands = [at(0, args[1]), at(2, args[3]), builder.mul(args[4], itemsize), args[5], at(6, args[7]), at(8, args[9])]
        values = [*operands, args[10], at(6, args[11]), *args[12:14], at(0, args[14]), builder.mul(args[15], itemsize)]
        _call_once(context, builder, "pixel_tile", _emit, values)
        return context.get_dummy_value()

    return sig, codegen


if numba.config.DISABLE_JIT:

    def pixel_tile(x, x0, steps, k, apart, depth, w, w0, c, c0, c_apart, bias0, adds, n, ahead, pace):
        width = CHANNEL_VECTORS * (VECTOR_BYTES // x.itemsize)
        out = c0 + c_apart * np.arange(n)[:, None] + np.arange(width)
        left = x[x0 + apart * np.arange(n) + steps[k : k + depth, None]]
        right = w[w0 : w0 + width * depth].reshape(depth, width)
        c[out] = np.einsum("kp,ko->po", left, right) + (c[out] if adds else w[bias0 : bias0 + width])
