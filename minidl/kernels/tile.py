"""The micro-kernel of matrix products and convolutions, in LLVM's own vector code, and what else needs vectors by hand.

It computes a tile of C of ROWS rows by WIDTH columns, which it keeps in vector registers while it walks along k. Each
step loads one short row of B and one number of A per row of the tile, and does ROWS·WIDTH multiply-adds:

                 B   k │ b b b b b b b b │  WIDTH columns = VECTORS registers
                       └─────────────────┘
        A    k         ┌─────────────────┐
           ┌───┐       │ C C C C C C C C │
           │ a │ ROWS  │ C C C C C C C C │  every C += its row's a × its column's b
           │ a │       │ C C C C C C C C │
           └───┘       └─────────────────┘

A is read where it lies, whatever its strides: one number at a time costs the same along a row or down a column. B must
have contiguous rows. Each function that emits code has a twin in plain Python at the end of the file, which says in a
line or two what it does, and which a debugger can step through (NUMBA_DISABLE_JIT=1).
"""

from types import SimpleNamespace

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _vector_bytes():
    """The width of the vector registers that Numba compiles for: its NUMBA_CPU_FEATURES if set, else the host's."""
    if numba.config.CPU_FEATURES is not None:  # "" for NUMBA_CPU_NAME=generic
        features = {name[1:] for name in numba.config.CPU_FEATURES.split(",") if name.startswith("+")}
    else:
        features = {name for name, present in llvmlite.binding.get_host_cpu_features().items() if present}
    if "fma" not in features or not numba.config.ENABLE_AVX:
        return 16
    return 64 if "avx512f" in features else 32 if "avx2" in features else 16


VECTOR_BYTES = _vector_bytes()
MASKS = VECTOR_BYTES > 16  # SSE2 and NEON have no masked load: there a ragged B is packed, padded
# ROWS·VECTORS accumulators, a row of B and a broadcast number of A share 16 registers (AVX-512: 32).
ROWS, VECTORS = (8, 3) if VECTOR_BYTES == 64 else (6, 2)
# With both operands packed one pointer serves all rows, and rows that divide the usual numbers of channels waste least.
PACKED_ROWS, PACKED_VECTORS = (8, 3) if VECTOR_BYTES == 64 else (4, 3)
GATHERED = 13  # vectors at most that `gather_rows` puts together to a row of a packed panel


class _Vectors:
    """Emits LLVM code for vectors of one element type."""

    def __init__(self, builder, element, itemsize):
        self.builder, self.element, self.align = builder, element, itemsize
        self.lanes = VECTOR_BYTES // itemsize
        self.i32, self.i64 = ir.IntType(32), ir.IntType(64)
        self.type = ir.VectorType(element, self.lanes)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)
        self.name = f"v{self.lanes}f{itemsize * 8}"

    def intrinsic(self, name, returns, *arguments):
        function = self.builder.module.globals.get(name)
        return function or ir.Function(self.builder.module, ir.FunctionType(returns, arguments), name)

    def int(self, number):
        return ir.Constant(self.i64, number)

    def shuffle(self, x, y, lanes):
        return self.builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(self.i32, self.lanes), lanes))

    def splat(self, number, vector_type):
        undefined = ir.Constant(vector_type, ir.Undefined)
        return self.shuffle(self.builder.insert_element(undefined, number, self.i32(0)), undefined, [0] * self.lanes)

    def move(self, pointer, elements=0, nbytes=None):
        """pointer + elements (+ nbytes bytes)."""
        if nbytes is not None:
            raw = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
            pointer = self.builder.bitcast(self.builder.gep(raw, [nbytes]), self.element.as_pointer())
        return self.builder.gep(pointer, [self.int(elements)]) if elements else pointer

    def mask(self, n, first):
        """True for the lanes of the vector of columns from `first` on that lie before n."""
        kind = ir.VectorType(ir.IntType(8 * self.align), self.lanes)
        columns = ir.Constant(kind, [first + lane for lane in range(self.lanes)])
        limit = self.splat(self.builder.trunc(n, kind.element) if self.align < 8 else n, kind)
        if VECTOR_BYTES == 32:  # AVX's own form, sign bits: LLVM would convert its own form in every round of the loop
            return self.builder.sub(columns, limit)
        return self.builder.icmp_signed("<", columns, limit)

    def load(self, pointer, mask=None):
        if mask is None:
            return self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()), align=self.align)
        return self._masked("load", self.type, pointer, mask, [], [self.zero])

    def store(self, value, pointer, mask=None):
        if mask is None:
            return self.builder.store(value, self.builder.bitcast(pointer, self.type.as_pointer()), align=self.align)
        return self._masked("store", ir.VoidType(), pointer, mask, [value], [])

    def _masked(self, name, returns, pointer, mask, before, after):
        if VECTOR_BYTES == 32:
            name = f"llvm.x86.avx.mask{name}.p{'s' if self.align == 4 else 'd'}.256"
            arguments = [self.builder.bitcast(pointer, ir.IntType(8).as_pointer()), mask, *before]
        else:
            name = f"llvm.masked.{name}.{self.name}.p0"
            pointer = self.builder.bitcast(pointer, self.type.as_pointer())
            arguments = [*before, pointer, self.i32(self.align), mask, *after]
        return self.builder.call(self.intrinsic(name, returns, *[x.type for x in arguments]), arguments)

    def muladd(self, x, y, z):
        # fmuladd and not fma: without the instruction, fma would be a call of a library function.
        return self.builder.call(self.intrinsic(f"llvm.fmuladd.{self.name}", *[self.type] * 4), [x, y, z])

    def transposed(self, rows):
        """The columns of a square of as many vectors as lanes."""
        # Exchange the off-diagonal quarters, then those of each quarter, ... down to single numbers.
        x, step = list(rows), self.lanes // 2
        while step:
            for i in (i for i in range(self.lanes) if not i & step):
                low = [p if not p & step else self.lanes + p - step for p in range(self.lanes)]
                high = [p + step if not p & step else self.lanes + p for p in range(self.lanes)]
                x[i], x[i + step] = self.shuffle(x[i], x[i + step], low), self.shuffle(x[i], x[i + step], high)
            step //= 2
        return x


def _emit_tile(function, itemsize, tables):
    """The body of tile(a, a_rows, a_steps, b, b_steps, depth, c, c_step, add, add_step, m, n).

    c[i, 0:n] = Σ_k a[i, k] · b[k, 0:n] + add[i, 0:n] for i < min(m, ROWS), n cut to the tile's width.
    a[i, k] is at a + a_rows·i + a_steps·k and row k of b at b + b_steps·k, in bytes. With `tables`, it is at
    a + a_rows[i] + a_steps[k] and b + b_steps[k], in elements: a convolution is a matrix product with such tables.
    """
    builder = ir.IRBuilder(function.append_basic_block())
    a, a_rows, a_steps, b, b_steps, depth, c, c_step, add, add_step, m, n = function.args
    vec = _Vectors(builder, a.type.pointee, itemsize)
    width = VECTORS * vec.lanes

    def entry(table, index):
        return builder.mul(builder.load(builder.gep(table, [index])), vec.int(itemsize))

    # Rows past the bottom edge read the last row again and are not stored.
    rows = []
    for i in range(ROWS):
        row = builder.select(builder.icmp_signed("<", vec.int(i), m), vec.int(i), builder.sub(m, vec.int(1)))
        rows.append(vec.move(a, nbytes=entry(a_rows, row) if tables else builder.mul(a_rows, row)))

    c_rows = [vec.move(c, nbytes=builder.mul(c_step, vec.int(i))) for i in range(ROWS)]
    _prefetch(builder, vec, c_rows, [vec.int(width - 1)])

    def emit(vectors, mask=None):
        masks = [None] * (vectors - 1) + [mask]
        start, loop, done = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(vec.i64)
        a_at, b_at = (None, None) if tables else (builder.phi(vec.i64), builder.phi(vec.i64))
        sums = [[builder.phi(vec.type) for _ in range(vectors)] for _ in range(ROWS)]
        if tables:
            a_at, b_at = entry(a_steps, k), entry(b_steps, k)
        b_row = vec.move(b, nbytes=b_at)
        bs = [vec.load(vec.move(b_row, v * vec.lanes), masks[v] if MASKS else None) for v in range(vectors)]
        totals = []
        for i in range(ROWS):
            number = vec.splat(builder.load(vec.move(rows[i], nbytes=a_at), align=itemsize), vec.type)
            totals.append([vec.muladd(number, bs[v], sums[i][v]) for v in range(vectors)])
            for v in range(vectors):
                sums[i][v].add_incoming(vec.type(None), start)
                sums[i][v].add_incoming(totals[i][v], loop)
        walks = [(k, vec.int(1))] if tables else [(k, vec.int(1)), (a_at, a_steps), (b_at, b_steps)]
        for walk, step in walks:
            walk.add_incoming(vec.int(0), start)
            walk.add_incoming(builder.add(walk, step), loop)
        again = builder.cbranch(builder.icmp_signed("<", k.incomings[1][0], depth), loop, done)
        # Unrolled, the loop would need twice the row pointers, more than there are registers.
        _no_unrolling(builder, again)

        builder.position_at_end(done)
        end = builder.append_basic_block()
        for i in range(ROWS):
            if i:
                inside = builder.append_basic_block()
                builder.cbranch(builder.icmp_signed("<", vec.int(i), m), inside, end)
                builder.position_at_end(inside)
            c_row, add_row = (vec.move(at, nbytes=builder.mul(step, vec.int(i))) for at, step in ((c, c_step), (add, add_step)))
            for v in range(vectors):
                # Added at the end: the sum of this tile is short, and so exact; to begin with what is there would make it long.
                total = builder.fadd(totals[i][v], vec.load(vec.move(add_row, v * vec.lanes), masks[v]))
                vec.store(total, vec.move(c_row, v * vec.lanes), masks[v])
        builder.branch(end)
        builder.position_at_end(end)
        builder.ret_void()

    _for_each_width(builder, vec, n, VECTORS, emit)


def _call_once(context, builder, name, emit, args, *options):
    # A function of its own and not inlined, so that its registers are its own and all callers share its code.
    name = "_".join(("minidl", name, str(args[0].type.pointee), *map(str, options)))
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [x.type for x in args]), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        emit(function, context.get_abi_sizeof(args[0].type.pointee), *options)
    builder.call(function, args)


def _emit_packed_tile(function, itemsize):
    """The body of packed_tile(a, b, b_steps, b_apart, depth, c, c_step, c_apart, bias, adds, m, n); c_step in bytes."""
    builder = ir.IRBuilder(function.append_basic_block())
    a, b, b_steps, b_apart, depth, c, c_step, c_apart, bias, adds, m, n = function.args
    vec = _Vectors(builder, a.type.pointee, itemsize)
    c_rows = [vec.move(c, nbytes=builder.mul(c_step, vec.int(i))) for i in range(PACKED_ROWS)]
    b_places, c_places = ([builder.mul(apart, vec.int(v)) for v in range(PACKED_VECTORS)] for apart in (b_apart, c_apart))

    _prefetch(builder, vec, c_rows, [builder.add(c_places[-1], vec.int(vec.lanes - 1))])

    def c_at(row, v):
        return builder.gep(row, [c_places[v]]) if v else row

    def emit(vectors, mask):
        masks = [None] * (vectors - 1) + [mask]
        places = [(i, v) for i in range(PACKED_ROWS) for v in range(vectors)]
        fresh, more, loop, done, end = (builder.append_basic_block() for _ in range(5))
        builder.cbranch(builder.icmp_signed("!=", adds, vec.int(0)), more, fresh)
        builder.position_at_end(fresh)
        starts = [vec.splat(builder.load(vec.move(bias, i), align=itemsize), vec.type) for i in range(PACKED_ROWS)]
        builder.branch(loop)
        builder.position_at_end(more)  # rows past the bottom edge are not there to be read
        inside = [builder.icmp_signed("<", vec.int(i), m) for i in range(PACKED_ROWS)]
        kept = [builder.select(inside[i], c_rows[i], c) for i in range(PACKED_ROWS)]
        olds = [vec.load(c_at(kept[i], v), masks[v]) for i, v in places]
        builder.branch(loop)
        builder.position_at_end(loop)
        k, a_at = builder.phi(vec.i64), builder.phi(a.type)
        sums = [builder.phi(vec.type) for _ in places]
        b_at = builder.gep(b, [builder.load(builder.gep(b_steps, [k]))])
        bs = [vec.load(builder.gep(b_at, [b_places[v]]) if v else b_at) for v in range(vectors)]
        totals = []
        for i in range(PACKED_ROWS):
            number = vec.splat(builder.load(vec.move(a_at, i), align=itemsize), vec.type)
            totals += [vec.muladd(number, bs[v], sums[i * vectors + v]) for v in range(vectors)]
        for (i, _), old, sum_, total in zip(places, olds, sums, totals, strict=True):
            sum_.add_incoming(starts[i], fresh)
            sum_.add_incoming(old, more)
            sum_.add_incoming(total, loop)
        steps = builder.add(k, vec.int(1)), vec.move(a_at, PACKED_ROWS)
        for walk, first, step in zip((k, a_at), (vec.int(0), a), steps, strict=True):
            walk.add_incoming(first, fresh)
            walk.add_incoming(first, more)
            walk.add_incoming(step, loop)
        _no_unrolling(builder, builder.cbranch(builder.icmp_signed("<", steps[0], depth), loop, done))
        builder.position_at_end(done)
        for i in range(PACKED_ROWS):
            if i:
                store = builder.append_basic_block()
                builder.cbranch(builder.icmp_signed("<", vec.int(i), m), store, end)
                builder.position_at_end(store)
            for v in range(vectors):
                vec.store(totals[i * vectors + v], c_at(c_rows[i], v), masks[v])
        builder.branch(end)
        builder.position_at_end(end)
        builder.ret_void()

    _for_each_width(builder, vec, n, PACKED_VECTORS, emit)


def _for_each_width(builder, vec, n, most, emit):
    """Code for n columns by emit(vectors, mask): as few vectors as hold them, at most `most`, whose last one has a mask."""
    for vectors in range(1, most + 1):
        this, other = builder.append_basic_block(), builder.append_basic_block()
        fits = builder.icmp_signed("<=" if vectors < most else "<", n, vec.int(vectors * vec.lanes))
        builder.cbranch(fits, this, other)
        builder.position_at_end(this)
        emit(vectors, vec.mask(n, (vectors - 1) * vec.lanes))
        builder.position_at_end(other)
    emit(most, None)


def _for_each_number(builder, vec, n, most, emit):
    """Code for n = 1, 2, … most, by emit(n)."""
    for number in range(1, most):
        this, other = builder.append_basic_block(), builder.append_basic_block()
        builder.cbranch(builder.icmp_signed("==", n, vec.int(number)), this, other)
        builder.position_at_end(this)
        emit(number)
        builder.position_at_end(other)
    emit(most)


def _prefetch(builder, vec, rows, places):
    """The tile of C is wanted at the very end: sends for the beginnings of its rows now, and for these places in them."""
    byte = ir.IntType(8).as_pointer()
    prefetch = vec.intrinsic("llvm.prefetch.p0", ir.VoidType(), byte, vec.i32, vec.i32, vec.i32)
    for row in rows:
        for place in (vec.int(0), *places):
            builder.call(prefetch, [builder.bitcast(builder.gep(row, [place]), byte), vec.i32(1), vec.i32(3), vec.i32(1)])


def _no_unrolling(builder, branch):
    hint = builder.module.add_metadata(["llvm.loop.unroll.disable"])
    loop_id = builder.module.add_metadata([hint, hint])
    loop_id.operands = (loop_id, hint)  # LLVM knows a loop by a node whose first operand is the node itself
    branch.set_metadata("llvm.loop", loop_id)


def _nothing(builder, pointer):
    """A row of zeros and the step from one to the next: what is added to a tile to which nothing is added."""
    zeros = ir.Constant(ir.ArrayType(pointer.type.pointee, VECTORS * VECTOR_BYTES // 4), None)
    row = cgutils.global_constant(builder, "minidl_zeros", zeros)
    return builder.bitcast(row, pointer.type), ir.Constant(ir.IntType(64), 0)


def _choose(builder, number, *pairs):
    """pairs[number]"""
    chosen = pairs[0]
    for i, pair in enumerate(pairs[1:], 1):
        this = builder.icmp_signed("==", number, number.type(i))
        chosen = [builder.select(this, x, y) for x, y in zip(pair, chosen, strict=True)]
    return chosen


def _place(context, builder, kind, array, i, j):
    """Address of array[i, j] (any strides), and the byte strides."""
    view = context.make_array(kind)(context, builder, array)
    strides = cgutils.unpack_tuple(builder, view.strides)
    offset = builder.add(builder.mul(i, strides[0]), builder.mul(j, strides[1]))
    raw = builder.gep(builder.bitcast(view.data, ir.IntType(8).as_pointer()), [offset])
    return builder.bitcast(raw, view.data.type), *strides


def _places(context, builder, sig, args):
    """The function of (argument, i) that gives the address of element i of that argument, a contiguous array."""

    def at(position, i):
        array = context.make_array(sig.args[position])(context, builder, args[position])
        return builder.gep(array.data, [i])

    return at


@intrinsic
def tile(typing, a, i, k, depth, b, kb, jb, c, ic, jc, bias, adds, m, n):
    """c[ic + r, jc : jc + n] = Σ_q a[i + r, k + q] · b[kb + q, jb : jb + n] + …  for r < m, q < depth; 2-D arrays.

    adds = 0: nothing more; 1: c itself; 2: bias[jc : jc + n], a 1-D array. m and n are cut to ROWS and the width.
    """
    index = types.intp
    sig = types.void(a, index, index, index, b, index, index, c, index, index, bias, index, index, index)

    def codegen(context, builder, sig, args):
        a, i, k, depth, b, kb, jb, c, ic, jc, bias, adds, m, n = args
        a_at, a_rows, a_steps = _place(context, builder, sig.args[0], a, i, k)
        b_at, b_steps, _ = _place(context, builder, sig.args[4], b, kb, jb)
        c_at, c_step, _ = _place(context, builder, sig.args[7], c, ic, jc)
        bias_at = builder.gep(context.make_array(sig.args[10])(context, builder, bias).data, [jc])
        add = _choose(builder, adds, _nothing(builder, c_at), (c_at, c_step), (bias_at, adds.type(0)))
        ends = [c_at, c_step, *add, m, n]
        _call_once(context, builder, "tile", _emit_tile, [a_at, a_rows, a_steps, b_at, b_steps, depth, *ends], False)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def table_tile(typing, a, a_rows, i, a_steps, b, b0, b_steps, depth, c, c0, c_step, adds, m, n):
    """c[c0 + c_step·r + (0:n)] = Σ_q a[a_rows[i + r] + a_steps[q]] · b[b0 + b_steps[q] + (0:n)] (+ c if adds).

    For r < m, q < depth. All arrays are 1-D and C-contiguous, the tables int64. Where MASKS is False, whole vectors
    of b are read: pad it. m and n are cut to ROWS and the width.
    """
    index = types.intp
    sig = types.void(a, a_rows, index, a_steps, b, index, b_steps, index, c, index, index, index, index, index)

    def codegen(context, builder, sig, args):
        at = _places(context, builder, sig, args)
        zero = args[2].type(0)
        depth, c_step, adds, m, n = args[7], args[10], args[11], args[12], args[13]
        c_at, c_step = at(8, args[9]), builder.mul(c_step, zero.type(sig.args[0].dtype.bitwidth // 8))
        add = _choose(builder, adds, _nothing(builder, c_at), (c_at, c_step))
        operands = [at(0, zero), at(1, args[2]), at(3, zero), at(4, args[5]), at(6, zero), depth]
        _call_once(context, builder, "tile", _emit_tile, [*operands, c_at, c_step, *add, m, n], True)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def packed_tile(typing, a, a0, b, b0, b_steps, b_apart, k, depth, c, c0, c_step, c_apart, bias0, adds, m, n):
    """c[c0 + c_step·r + (0:n)] = Σ_q a[a0 + PACKED_ROWS·q + r] · b[b0 + b_steps[k + q] + (0:n)] + (c or a[bias0 + r]).

    For r < m, q < depth; c itself is added if `adds`. (0:n) are the numbers of up to PACKED_VECTORS vectors, which begin
    b_apart and c_apart after each other. All arrays are contiguous; vectors of b are read whole. m is cut to PACKED_ROWS.
    """
    index = types.intp
    sig = types.void(a, index, b, index, b_steps, index, index, index, c, index, index, index, index, index, index, index)

    def codegen(context, builder, sig, args):
        at = _places(context, builder, sig, args)
        itemsize = sig.args[0].dtype.bitwidth // 8
        c_step = builder.mul(args[10], args[10].type(itemsize))
        operands = [at(0, args[1]), at(2, args[3]), at(4, args[6]), args[5], args[7]]
        values = [*operands, at(8, args[9]), c_step, args[11], at(0, args[12]), *args[13:]]
        _call_once(context, builder, "packed_tile", _emit_packed_tile, values)
        return context.get_dummy_value()

    return sig, codegen


def _emit_gather(function, itemsize):
    """The body of gather(source, steps, depth, sources, targets, count, panel); the tables in elements."""
    builder = ir.IRBuilder(function.append_basic_block())
    source, steps, depth, sources, targets, count, panel = function.args
    vec = _Vectors(builder, source.type.pointee, itemsize)
    width = PACKED_VECTORS * vec.lanes

    def emit(vectors):
        froms = [builder.gep(source, [builder.load(builder.gep(sources, [vec.int(q)]))]) for q in range(vectors)]
        tos = [builder.load(builder.gep(targets, [vec.int(q)])) for q in range(vectors)]
        start, loop, done = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(loop)
        builder.position_at_end(loop)
        k, row = builder.phi(vec.i64), builder.phi(panel.type)
        step = builder.load(builder.gep(steps, [k]))
        for place, to in zip(froms, tos, strict=True):
            vec.store(vec.load(builder.gep(place, [step])), builder.gep(row, [to]))
        for walk, first, more in ((k, vec.int(0), vec.int(1)), (row, panel, None)):
            walk.add_incoming(first, start)
            walk.add_incoming(vec.move(row, width) if more is None else builder.add(k, more), loop)
        _no_unrolling(builder, builder.cbranch(builder.icmp_signed("<", k.incomings[1][0], depth), loop, done))
        builder.position_at_end(done)
        builder.ret_void()

    _for_each_number(builder, vec, count, GATHERED, emit)


@intrinsic
def gather_rows(typing, source, start, steps, k, depth, sources, targets, count, panel):
    """Row q of panel, as wide as PACKED_VECTORS vectors: for p < count ≤ GATHERED, in this order, a whole vector each,

    panel[width·q + targets[p] + (0:L)] = source[start + steps[k + q] + sources[p] + (0:L)] for q < depth; L is the lanes.
    """
    index = types.intp
    sig = types.void(source, index, steps, index, index, sources, targets, index, panel)

    def codegen(context, builder, sig, args):
        at, zero = _places(context, builder, sig, args), args[1].type(0)
        values = [at(0, args[1]), at(2, args[3]), args[4], at(5, zero), at(6, zero), args[7], at(8, zero)]
        _call_once(context, builder, "gather", _emit_gather, values)
        return context.get_dummy_value()

    return sig, codegen


def _emit_stripe(function, itemsize):
    """The body of pack_stripe(source, row_step, last, orders, depth, packed); the steps in elements."""
    builder = ir.IRBuilder(function.append_basic_block())
    source, row_step, last, orders, depth, packed = function.args
    vec = _Vectors(builder, source.type.pointee, itemsize)
    numbers = [builder.select(builder.icmp_signed("<", vec.int(i), last), vec.int(i), last) for i in range(PACKED_ROWS)]
    rows = [builder.gep(source, [builder.mul(row_step, number)]) for number in numbers]
    start, loop, done = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    k, at = builder.phi(vec.i64), builder.phi(packed.type)
    order = builder.load(builder.gep(orders, [k]))
    for i, row in enumerate(rows):
        builder.store(builder.load(builder.gep(row, [order])), vec.move(at, i))
    for walk, first, step in ((k, vec.int(0), builder.add(k, vec.int(1))), (at, packed, vec.move(at, PACKED_ROWS))):
        walk.add_incoming(first, start)
        walk.add_incoming(step, loop)
    builder.cbranch(builder.icmp_signed("<", k.incomings[1][0], depth), loop, done)
    builder.position_at_end(done)
    builder.ret_void()


@intrinsic
def pack_stripe(typing, source, start, row_step, last, orders, k, depth, packed, at):
    """packed[at + PACKED_ROWS·q + r] = source[start + row_step·min(r, last) + orders[k + q]] for q < depth, 1-D arrays."""
    index = types.intp
    sig = types.void(source, index, index, index, orders, index, index, packed, index)

    def codegen(context, builder, sig, args):
        source, orders, packed = (
            builder.gep(context.make_array(sig.args[p])(context, builder, args[p]).data, [args[p + 1]]) for p in (0, 4, 7)
        )
        _call_once(context, builder, "stripe", _emit_stripe, [source, args[2], args[3], orders, args[6], packed])
        return context.get_dummy_value()

    return sig, codegen


def _emit_every_second(function, itemsize):
    """The body of every_second(source, target, n)."""
    builder = ir.IRBuilder(function.append_basic_block())
    source, target, n = function.args
    vec = _Vectors(builder, source.type.pointee, itemsize)

    def emit(step, copy):
        start, head, loop, done = builder.block, *(builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        i = builder.phi(vec.i64)
        i.add_incoming(first, start)
        # A vector reads one number more than it needs, so the last one is left to single steps.
        builder.cbranch(builder.icmp_signed("<", builder.add(i, vec.int(step if step > 1 else 0)), n), loop, done)
        builder.position_at_end(loop)
        copy(builder.gep(source, [builder.mul(i, vec.int(2))]), builder.gep(target, [i]))
        i.add_incoming(builder.add(i, vec.int(step)), builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return i

    def vectors(place, to):
        even = [2 * lane for lane in range(vec.lanes)]
        vec.store(vec.shuffle(vec.load(place), vec.load(vec.move(place, vec.lanes)), even), to)

    first = vec.int(0)
    first = emit(vec.lanes, vectors)
    emit(1, lambda place, to: builder.store(builder.load(place), to))
    builder.ret_void()


@intrinsic
def every_second(typing, source, i, target, j, n):
    """target[j : j + n] = source[i : i + 2n : 2] of 1-D contiguous arrays."""
    sig = types.void(source, types.intp, target, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        places = (context.make_array(sig.args[p])(context, builder, args[p]).data for p in (0, 2))
        values = [builder.gep(place, [args[p]]) for place, p in zip(places, (1, 3), strict=True)]
        _call_once(context, builder, "every_second", _emit_every_second, [*values, args[4]])
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def copy_run(typing, source, i, target, j, n):
    """target[j : j + n] = source[i : i + n] of 1-D contiguous arrays, at the speed of memcpy."""
    sig = types.void(source, types.intp, target, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        source, target = (context.make_array(sig.args[p])(context, builder, args[p]).data for p in (0, 2))
        itemsize = sig.args[0].dtype.bitwidth // 8
        cgutils.raw_memcpy(builder, builder.gep(target, [args[3]]), builder.gep(source, [args[1]]), args[4], itemsize)
        return context.get_dummy_value()

    return sig, codegen


def _transpose(context, builder, sig, args):
    source, k, j, target, r, q, *columns = args
    source_at, _, source_step = _place(context, builder, sig.args[0], source, k, j)
    target_at, target_step, _ = _place(context, builder, sig.args[3], target, r, q)
    vec = _Vectors(builder, source_at.type.pointee, sig.args[0].dtype.bitwidth // 8)
    numbers = [vec.int(i) for i in range(vec.lanes)]
    for n in columns:
        last = builder.sub(n, vec.int(1))
        numbers = [builder.select(builder.icmp_signed("<", i, last), i, last) for i in numbers]
    x = [vec.load(vec.move(source_at, nbytes=builder.mul(source_step, i))) for i in numbers]
    for i, row in enumerate(vec.transposed(x)):
        vec.store(row, vec.move(target_at, nbytes=builder.mul(target_step, vec.int(i))))
    return context.get_dummy_value()


@intrinsic
def transpose_block(typing, source, k, j, target, r, q):
    """target[r : r + L, q : q + L] = source[k : k + L, j : j + L], whose columns are contiguous; L is the lanes."""
    index = types.intp
    return types.void(source, index, index, target, index, index), _transpose


@intrinsic
def transpose_columns(typing, source, k, j, target, r, q, n):
    """The same of n columns if n < L; then the last one fills what is left of target[r : r + L, q : q + L]."""
    index = types.intp
    return types.void(source, index, index, target, index, index, index), _transpose


def _copy(lanes):
    def codegen(context, builder, sig, args):
        source, i, j, target, r = args
        source_at, *_ = _place(context, builder, sig.args[0], source, i, j)
        target_at, *_ = _place(context, builder, sig.args[3], target, r, r.type(0))
        itemsize = sig.args[0].dtype.bitwidth // 8
        kind = ir.VectorType(source_at.type.pointee, lanes or VECTORS * VECTOR_BYTES // itemsize).as_pointer()
        row = builder.load(builder.bitcast(source_at, kind), align=itemsize)
        builder.store(row, builder.bitcast(target_at, kind), align=itemsize)
        return context.get_dummy_value()

    return codegen


@intrinsic
def copy_wide(typing, source, i, j, target, r):
    """target[r, 0:WIDTH] = source[i, j : j + WIDTH], whose rows are contiguous; WIDTH is the tile's."""
    return types.void(source, types.intp, types.intp, target, types.intp), _copy(None)


@intrinsic
def copy_rows(typing, source, i, j, target, r):
    """target[r, 0:ROWS] = source[i, j : j + ROWS], whose rows are contiguous."""
    return types.void(source, types.intp, types.intp, target, types.intp), _copy(ROWS)


@intrinsic
def contiguous(typing, array, i, j, n):
    """array[i, j : j + n] of a 2-D array with contiguous rows, as a type that says so: loops over it vectorise."""
    kind = types.Array(array.dtype, 1, "C", readonly=not array.mutable)
    sig = kind(array, types.intp, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        at, _, _ = _place(context, builder, sig.args[0], *args[:3])
        itemsize = args[3].type(sig.args[0].dtype.bitwidth // 8)
        view = context.make_array(sig.return_type)(context, builder)
        # numba.np.arrayobj has a function for this, but to import that module here takes a fifth of Numba's own import.
        view.data, view.nitems, view.itemsize = at, args[3], itemsize
        view.shape, view.strides = cgutils.pack_array(builder, [args[3]]), cgutils.pack_array(builder, [itemsize])
        view.meminfo, view.parent = view.meminfo.type(None), view.parent.type(None)
        return view._getvalue()

    return sig, codegen


@intrinsic
def fetch(typing, x, first, n):
    """Sends for n elements, `first` places behind the start of x, before they are read. They may lie behind its end."""

    def codegen(context, builder, sig, args):
        data, word = context.make_array(sig.args[0])(context, builder, args[0]).data, args[1].type
        i32, byte, line = ir.IntType(32), ir.IntType(8).as_pointer(), word(64 // (sig.args[0].dtype.bitwidth // 8))
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        with cgutils.for_range_slice(builder, args[1], builder.add(args[1], args[2]), line, inc=True) as (i, _):
            builder.call(prefetch, [builder.bitcast(builder.gep(data, [i]), byte), i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp), codegen


def _moved(written):
    def moved(typing, array, nbytes):
        """The same array, its first element `nbytes` further on; strided and read-only to Numba, whatever it was.

        With one type for all sources, the loops are compiled once. The memory is not kept alive: the source must be.
        """
        sig = types.Array(array.dtype, array.ndim, "A", readonly=not written)(array, types.intp)

        def codegen(context, builder, sig, args):
            view = context.make_array(sig.return_type)(context, builder, args[0])
            raw = builder.gep(builder.bitcast(view.data, ir.IntType(8).as_pointer()), [args[1]])
            view.data = builder.bitcast(raw, view.data.type)
            view.meminfo, view.parent = view.meminfo.type(None), view.parent.type(None)
            return view._getvalue()

        return sig, codegen

    return intrinsic(moved)


moved, moved_target = _moved(written=False), _moved(written=True)  # the second one can be written to


if numba.config.DISABLE_JIT:  # the same in plain Python, to be stepped through with a debugger

    def tile(a, i, k, depth, b, kb, jb, c, ic, jc, bias, adds, m, n):
        m, n = min(m, ROWS), min(n, VECTORS * (VECTOR_BYTES // a.itemsize))
        out = c[ic : ic + m, jc : jc + n]
        more = (0, out, bias[jc : jc + n])[adds]
        # einsum and not @, so that the sum runs over k in order
        out[...] = np.einsum("ik,kj->ij", a[i : i + m, k : k + depth], b[kb : kb + depth, jb : jb + n]) + more

    def table_tile(a, a_rows, i, a_steps, b, b0, b_steps, depth, c, c0, c_step, adds, m, n):
        m, n = min(m, ROWS), min(n, VECTORS * (VECTOR_BYTES // a.itemsize))
        left = a[a_rows[i : i + m, None] + a_steps[:depth]]
        right = b[b0 + b_steps[:depth, None] + np.arange(n)]
        out = c0 + c_step * np.arange(m)[:, None] + np.arange(n)
        c[out] = np.einsum("ik,kj->ij", left, right) + (c[out] if adds else 0)

    def packed_tile(a, a0, b, b0, b_steps, b_apart, k, depth, c, c0, c_step, c_apart, bias0, adds, m, n):
        m, lanes = min(m, PACKED_ROWS), VECTOR_BYTES // a.itemsize
        vectors, places = np.divmod(np.arange(n), lanes)
        out = c0 + c_step * np.arange(m)[:, None] + vectors * c_apart + places
        left = a[a0 : a0 + depth * PACKED_ROWS].reshape(depth, PACKED_ROWS)[:, :m]
        right = b[b0 + b_steps[k : k + depth, None] + vectors * b_apart + places]
        c[out] = np.einsum("ki,kj->ij", left, right) + (c[out] if adds else a[bias0 : bias0 + m, None])

    def gather_rows(source, start, steps, k, depth, sources, targets, count, panel):
        lanes = VECTOR_BYTES // source.itemsize
        for q, step in enumerate(steps[k : k + depth]):
            for place, to in zip(sources[:count] + start + step, targets + q * PACKED_VECTORS * lanes, strict=False):
                panel[to : to + lanes] = source[place : place + lanes]

    def pack_stripe(source, start, row_step, last, orders, k, depth, packed, at):
        rows = start + row_step * np.minimum(np.arange(PACKED_ROWS), last)
        packed[at : at + PACKED_ROWS * depth] = source[rows + orders[k : k + depth, None]].ravel()

    def every_second(source, i, target, j, n):
        target[j : j + n] = source[i : i + 2 * n : 2]

    def copy_run(source, i, target, j, n):
        target[j : j + n] = source[i : i + n]

    def transpose_block(source, k, j, target, r, q):
        lanes = VECTOR_BYTES // source.itemsize
        target[r : r + lanes, q : q + lanes] = source[k : k + lanes, j : j + lanes]

    def transpose_columns(source, k, j, target, r, q, n):
        lanes = VECTOR_BYTES // source.itemsize
        target[r : r + lanes, q : q + lanes] = source[k : k + lanes, j + np.minimum(np.arange(lanes), n - 1)]

    def copy_wide(source, i, j, target, r):
        width = VECTORS * VECTOR_BYTES // source.itemsize
        target[r, :width] = source[i, j : j + width]

    def copy_rows(source, i, j, target, r):
        target[r, :ROWS] = source[i, j : j + ROWS]

    def fetch(x, first, n):
        pass

    def contiguous(array, i, j, n):
        return array[i, j : j + n]

    def moved(array, nbytes):
        address, _ = array.__array_interface__["data"]
        view = {**array.__array_interface__, "data": (address + int(nbytes), False), "strides": array.strides}
        return np.asarray(SimpleNamespace(__array_interface__=view, base=array))

    moved_target = moved
