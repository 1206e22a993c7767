"""Vector code for attention: what is done to a panel of scores, keys down the rows and one query in each column.

Three walks down the rows of a panel, a whole vector of queries at a time, so nothing is ever summed across a vector:

- `column_maxima` finds the greatest score of each query;
- `column_exponentials` turns scores into weights 2^(s − shift) and adds them up;
- `column_gradients` makes weights again and turns dP into dS.

Scores are in units of ln 2: powers of two are cheaper than powers of e. Dropout is decided here too, by a hash of the place of
a weight and of a seed: the same decision in forward and backward, for any blocks and threads, and no mask is stored.
Each function has a twin in plain Python at the end.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import jit
from .tile import VECTOR_BYTES, VECTORS, _call_once, _for_each_width, _place, _Vectors

# 2^r − 1 for |r| <= ½, powers of r from the highest: least relative error (2e-9) in single precision, Taylor's in double.
EXP2 = {
    4: (0.00015353362, 0.0013398875, 0.0096184374, 0.055503325, 0.24022648, 0.6931472),
    8: tuple(math.log(2) ** k / math.factorial(k) for k in range(13, 0, -1)),
}
FORMAT = {4: (32, 23, -126, np.float32), 8: (64, 52, -1022, np.float64)}  # bits, of the mantissa, lowest exponent
WEYL = 0x9E3779B1  # odd, near 2³²/golden ratio: neighbouring counters land far apart
MIX = (16, 0x7FEB352D), (15, 0x846CA68B)  # shift and factor of each round of the mixer "lowbias32"

# ------------------------------------------------------------------------------------------------- vector code by hand


def _constant(vec, number):
    return ir.Constant(vec.type, [float(FORMAT[vec.align][3](number))] * vec.lanes)


def _exp2(vec, x):
    """2^x for x <= 0 or a little above; 0 where it would be subnormal; NaN of NaN."""
    b = vec.builder
    bits, mantissa, lowest, _ = FORMAT[vec.align]
    integers = ir.VectorType(ir.IntType(bits), vec.lanes)
    magic = _constant(vec, 1.5 * 2**mantissa)
    rounded = b.fadd(x, magic)  # round(x), in the low bits
    r = b.fsub(x, b.fsub(rounded, magic))
    p = _constant(vec, EXP2[vec.align][0])
    for c in (*EXP2[vec.align][1:], 1):
        p = vec.muladd(p, r, _constant(vec, c))
    exponent = b.shl(b.bitcast(rounded, integers), ir.Constant(integers, [mantissa] * vec.lanes))
    p = b.bitcast(b.add(b.bitcast(p, integers), exponent), vec.type)
    return b.select(b.fcmp_ordered("<", x, _constant(vec, lowest)), vec.zero, p)


class _Hash:
    """32 bits for each weight: a hash of counter + lane·stride + row and of the seed, one lane for each query."""

    def __init__(self, vec, counter, stride, seed, limit):
        self.vec, b = vec, vec.builder
        self.kind = ir.VectorType(vec.i32, vec.lanes)
        counter, stride = (b.mul(b.trunc(x, vec.i32), vec.i32(WEYL)) for x in (counter, stride))
        start = b.add(counter, b.trunc(seed, vec.i32))
        lanes = b.mul(self.splat(stride), ir.Constant(self.kind, list(range(vec.lanes))))
        self.starts = [b.add(self.splat(start), lanes)]
        for _ in range(VECTORS - 1):
            self.starts.append(b.add(self.starts[-1], self.splat(b.mul(stride, vec.i32(vec.lanes)))))
        # The other half of the seed comes in between the rounds: added at the start, too, it would only shift the counters.
        self.second = self.splat(b.trunc(b.lshr(seed, vec.int(32)), vec.i32))
        self.limit = self.splat(b.trunc(limit, vec.i32))

    def splat(self, number):
        return self.vec.splat(number, self.kind)

    def keeps(self, v, row):
        """A mask for vector v of row number `row`: whether the hash is at least `limit`."""
        b = self.vec.builder

        def constant(number):
            return ir.Constant(self.kind, [number] * self.vec.lanes)

        x = b.add(self.starts[v], self.splat(b.mul(b.trunc(row, self.vec.i32), self.vec.i32(WEYL))))
        for i, (shift, factor) in enumerate(MIX):
            x = b.mul(b.xor(x, b.lshr(x, constant(shift))), constant(factor))
            if i == 0:
                x = b.add(x, self.second)
        x = b.xor(x, b.lshr(x, constant(16)))
        return b.icmp_unsigned(">=", x, self.limit)


def _down_columns(vec, n, rows, row_bytes, pointers, carried, prepare, step):
    """The body of a function that walks down `rows` rows, n columns wide, of the panels at `pointers`.

    The vectors at `carried` stay in registers meanwhile. prepare(vectors) is run once; what it returns is given to
    step(vectors, states, places, prepared, row), which returns the new states.
    """
    builder = vec.builder

    def emit(vectors, _):
        loop, done = builder.append_basic_block(), builder.append_basic_block()
        firsts = [vec.load(vec.move(c, v * vec.lanes)) for c in carried for v in range(vectors)]
        prepared, start = prepare(vectors), builder.block
        builder.branch(loop)
        builder.position_at_end(loop)
        k, at = builder.phi(vec.i64), builder.phi(vec.i64)
        states = [builder.phi(vec.type) for _ in firsts]
        nexts = step(vectors, states, [vec.move(p, nbytes=at) for p in pointers], prepared, k)
        for state, first, new in zip(states, firsts, nexts, strict=True):
            state.add_incoming(first, start)
            state.add_incoming(new, loop)
        for walk, by in ((k, vec.int(1)), (at, row_bytes)):
            walk.add_incoming(vec.int(0), start)
            walk.add_incoming(builder.add(walk, by), loop)
        builder.cbranch(builder.icmp_signed("<", k.incomings[1][0], rows), loop, done)
        builder.position_at_end(done)
        for i, c in enumerate(carried):
            for v in range(vectors):
                vec.store(nexts[i * vectors + v], vec.move(c, v * vec.lanes))
        builder.ret_void()

    _for_each_width(builder, vec, n, VECTORS, emit)


def _emit_maxima(function, itemsize):
    """maxima(s, s_step, rows, n, m)"""
    builder = ir.IRBuilder(function.append_basic_block())
    s, s_step, rows, n, m = function.args
    vec = _Vectors(builder, s.type.pointee, itemsize)

    def step(vectors, states, places, _, row):
        xs = [vec.load(vec.move(places[0], v * vec.lanes)) for v in range(vectors)]
        return [builder.select(builder.fcmp_ordered(">", x, y), x, y) for x, y in zip(xs, states, strict=True)]

    _down_columns(vec, n, rows, s_step, [s], [m], lambda vectors: None, step)


def _negated(vec, vectors, *pointers):
    return [vec.builder.fneg(vec.load(vec.move(p, v * vec.lanes))) for p in pointers for v in range(vectors)]


def _emit_exponentials(function, itemsize, drops):
    """exponentials(s, s_step, rows, n, shift, sums, *hash)"""
    builder = ir.IRBuilder(function.append_basic_block())
    s, s_step, rows, n, shift, sums, *rest = function.args
    vec = _Vectors(builder, s.type.pointee, itemsize)
    hash_ = _Hash(vec, *rest) if drops else None

    def step(vectors, states, places, shifts, row):
        new = []
        for v in range(vectors):
            place = vec.move(places[0], v * vec.lanes)
            p = _exp2(vec, builder.fadd(vec.load(place), shifts[v]))
            new.append(builder.fadd(states[v], p))
            vec.store(builder.select(hash_.keeps(v, row), p, vec.zero) if drops else p, place)
        return new

    _down_columns(vec, n, rows, s_step, [s], [sums], lambda vectors: _negated(vec, vectors, shift), step)


def _emit_gradients(function, itemsize, drops):
    """gradients(s, d, step, rows, n, lse, delta, scale, more, *hash)"""
    builder = ir.IRBuilder(function.append_basic_block())
    s, d, s_step, rows, n, lse, delta, scale, more, *rest = function.args
    vec = _Vectors(builder, s.type.pointee, itemsize)
    hash_ = _Hash(vec, *rest) if drops else None
    scale = vec.splat(builder.fmul(scale, more) if drops else scale, vec.type)
    more = vec.splat(more, vec.type)

    def step(vectors, states, places, constants, row):
        for v in range(vectors):
            place, other = (vec.move(p, v * vec.lanes) for p in places)
            p = _exp2(vec, builder.fadd(vec.load(place), constants[v]))
            q, dp = p, vec.load(other)
            if drops:
                keeps = hash_.keeps(v, row)
                q = builder.select(keeps, builder.fmul(p, more), vec.zero)
                dp = builder.select(keeps, dp, vec.zero)
            ds = builder.fmul(p, vec.muladd(dp, scale, constants[vectors + v]))
            vec.store(q, place)
            vec.store(builder.select(builder.fcmp_ordered("==", p, vec.zero), vec.zero, ds), other)
        return []

    _down_columns(vec, n, rows, s_step, [s, d], [], lambda vectors: _negated(vec, vectors, lse, delta), step)


def _column(context, builder, sig, args, position, j):
    return builder.gep(context.make_array(sig.args[position])(context, builder, args[position]).data, [args[j]])


@intrinsic
def column_maxima(typing, s, j, rows, n, m, jm):
    """m[jm : jm + n] = the greatest of it and of s[:rows, j : j + n]; whole vectors; NaN is passed over."""
    x = types.intp
    sig = types.void(s, x, x, x, m, x)

    def codegen(context, builder, sig, args):
        at, step, _ = _place(context, builder, sig.args[0], args[0], args[1].type(0), args[1])
        m = _column(context, builder, sig, args, 4, 5)
        _call_once(context, builder, "att_maxima", _emit_maxima, [at, step, args[2], args[3], m])
        return context.get_dummy_value()

    return sig, codegen


def _exponentials(drops):
    def column_exponentials(typing, s, j, rows, n, shift, sums, jm, counter, stride, seed, limit):
        """s = 2^(s − shift) for s[:rows, j : j + n], sums += its rows; with dropout, some of s then become 0."""
        x = types.intp
        sig = types.void(s, x, x, x, shift, sums, x, x, x, x, x)

        def codegen(context, builder, sig, args):
            at, step, _ = _place(context, builder, sig.args[0], args[0], args[1].type(0), args[1])
            shift, sums = (_column(context, builder, sig, args, p, 6) for p in (4, 5))
            values = [at, step, args[2], args[3], shift, sums, *(args[7:] if drops else [])]
            _call_once(context, builder, "att_exponentials", _emit_exponentials, values, drops)
            return context.get_dummy_value()

        return sig, codegen

    return intrinsic(column_exponentials)


def _gradients(drops):
    def column_gradients(typing, s, d, j, rows, n, lse, delta, jm, scale, more, counter, stride, seed, limit):
        """p = 2^(s − lse); d = p·(d·scale − delta), 0 where p is; s = p. Dropout: s and the old d are times `more`, or 0."""
        x = types.intp
        sig = types.void(s, d, x, x, x, lse, delta, x, s.dtype, s.dtype, x, x, x, x)

        def codegen(context, builder, sig, args):
            s_at, step, _ = _place(context, builder, sig.args[0], args[0], args[2].type(0), args[2])
            d_at, _, _ = _place(context, builder, sig.args[1], args[1], args[2].type(0), args[2])
            lse, delta = (_column(context, builder, sig, args, p, 7) for p in (5, 6))
            values = [s_at, d_at, step, args[3], args[4], lse, delta, *args[8:10], *(args[10:] if drops else [])]
            _call_once(context, builder, "att_gradients", _emit_gradients, values, drops)
            return context.get_dummy_value()

        return sig, codegen

    return intrinsic(column_gradients)


column_exponentials, dropped_exponentials = _exponentials(False), _exponentials(True)
column_gradients, dropped_gradients = _gradients(False), _gradients(True)


@jit
def scrambled(seed, item):
    """64 bits that differ everywhere between neighbouring seeds and items, as an int64 (Steele et al., "SplitMix", 2014)."""
    z = np.uint64(seed) + np.uint64(item + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(z ^ (z >> np.uint64(31)))


def kept(counters, seed, limit):
    """Which weights dropout keeps, by NumPy: the twin of `_Hash`. counters: an int64 array; seed: what `scrambled` returns."""
    low, high = np.uint32(seed & 0xFFFFFFFF), np.uint32((seed >> 32) & 0xFFFFFFFF)
    x = counters.astype(np.uint32) * np.uint32(WEYL) + low
    for i, (shift, factor) in enumerate(MIX):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
        if i == 0:
            x = x + high
    return (x ^ (x >> np.uint32(16))) >= np.uint32(limit)


if numba.config.DISABLE_JIT:  # the same in plain Python, to be stepped through with a debugger

    def _whole(array, n):
        lanes = VECTOR_BYTES // array.itemsize
        return min(-(-n // lanes), VECTORS) * lanes

    def _counters(counter, stride, rows, n):
        return counter + np.arange(rows)[:, None] + stride * np.arange(n)

    def column_maxima(s, j, rows, n, m, jm):
        n = _whole(s, n)
        m[jm : jm + n] = np.fmax(m[jm : jm + n], np.fmax.reduce(s[:rows, j : j + n]))

    def column_exponentials(s, j, rows, n, shift, sums, jm, *hash_):
        n = _whole(s, n)
        p = np.exp2(s[:rows, j : j + n] - shift[jm : jm + n])
        sums[jm : jm + n] += p.sum(0)
        s[:rows, j : j + n] = p

    def dropped_exponentials(s, j, rows, n, shift, sums, jm, counter, stride, seed, limit):
        column_exponentials(s, j, rows, n, shift, sums, jm)
        s[:rows, j : j + _whole(s, n)] *= kept(_counters(counter, stride, rows, _whole(s, n)), seed, limit)

    def _plain_gradients(s, d, j, rows, n, lse, delta, jm, scale, kept):
        p = np.exp2(s[:rows, j : j + n] - lse[jm : jm + n])
        ds = p * (d[:rows, j : j + n] * (kept * scale) - delta[jm : jm + n])
        s[:rows, j : j + n], d[:rows, j : j + n] = p * kept, np.where(p == 0, 0, ds)

    def column_gradients(s, d, j, rows, n, lse, delta, jm, scale, more, *hash_):
        _plain_gradients(s, d, j, rows, _whole(s, n), lse, delta, jm, scale, 1)

    def dropped_gradients(s, d, j, rows, n, lse, delta, jm, scale, more, counter, stride, seed, limit):
        n = _whole(s, n)
        keeps = kept(_counters(counter, stride, rows, n), seed, limit)
        _plain_gradients(s, d, j, rows, n, lse, delta, jm, scale, more * keeps)
