"""Matrix products: one vector micro-kernel, and the loops that feed it.

    C[i, j] = Σ_k A[i, k] · B[k, j]

The micro-kernel computes a tile of C of ROWS rows by WIDTH columns, which it keeps in vector registers while it walks
along k. Each step loads one short row of B and one number of A per row of the tile, and does ROWS·WIDTH multiply-adds:

                 B   k │ b b b b b b b b │  WIDTH columns = VECTORS registers
                       └─────────────────┘
        A    k         ┌─────────────────┐
           ┌───┐       │ C C C C C C C C │
           │ a │ ROWS  │ C C C C C C C C │  every C += its row's a × its column's b
           │ a │       │ C C C C C C C C │
           └───┘       └─────────────────┘

- A is read where it lies, whatever its strides: one number at a time costs the same along a row or down a column.
- B must have contiguous rows. If it has, and is small, it too is read in place; else up to DEPTH rows of it at a time
  are packed into panels of WIDTH columns, whose numbers lie in the order in which they are used.
- The loops keep one panel of B in the L1 cache while BLOCK_ROWS rows of A, which stay in the L2 cache, pass by.
- The sum over k runs in the same blocks and order for every element, in whichever tile and thread it falls, so the
  bits of a result do not depend on the number of threads.

Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), explains the blocking.
"""

import threading
from functools import lru_cache
from types import SimpleNamespace

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .jit import jit
from .threads import get_num_threads, share

# ---------------------------------------------------------------------------------------------------- the processor


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
MASKS = VECTOR_BYTES > 16  # SSE2 and NEON have no masked load: there a ragged B is packed, padded with zeros
# ROWS·VECTORS accumulators, a row of B and a broadcast number of A share 16 registers (AVX-512: 32).
ROWS, VECTORS = (8, 3) if VECTOR_BYTES == 64 else (6, 2)
# k is cut in blocks of at most this many: a panel of B (20 KiB; AVX-512: 36 KiB) stays in the L1 cache.
DEPTH = 192 if VECTOR_BYTES == 64 else 320
BLOCK_ROWS = 96  # rows of A that stay in the L2 cache (120 KiB of float32) while the panels of B pass by
BLOCK_COLUMNS = 1536  # columns of B packed at once
IN_PLACE_BYTES = 40 * 1024  # a B no larger than this is read in place
IN_PLACE_ROWS = 2 * ROWS  # as is one that no more than these rows of A make use of
COPY_COLUMNS = 128  # columns of C from which a copy of such a block of A pays
STRIP = 2048  # elements of a matrix-vector product that stay in the L1 cache while columns are added to them
UNIT = 64  # shares of it begin at multiples of this, so that every row meets the same vector or scalar code
PARALLEL_BYTES = 512 * 1024  # size of a matrix from which a second thread pays in a product with a vector
PARALLEL_WORK = 400_000  # multiply-adds from which a second thread pays


def _lanes(itemsize):
    return VECTOR_BYTES // itemsize


# ------------------------------------------------------------------------------------------------- the micro-kernel


class _Vectors:
    """Emits LLVM code for vectors of one element type."""

    def __init__(self, builder, element, itemsize):
        self.builder, self.element, self.align = builder, element, itemsize
        self.lanes = _lanes(itemsize)
        self.i32, self.i64 = ir.IntType(32), ir.IntType(64)
        self.type = ir.VectorType(element, self.lanes)
        self.mask = ir.VectorType(ir.IntType(1), self.lanes)
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

    def load(self, pointer, mask=None):
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=self.align)
        kinds = self.type.as_pointer(), self.i32, self.mask, self.type
        load = self.intrinsic(f"llvm.masked.load.{self.name}.p0", self.type, *kinds)
        return self.builder.call(load, [pointer, self.i32(self.align), mask, self.zero])

    def store(self, value, pointer, mask=None):
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        if mask is None:
            return self.builder.store(value, pointer, align=self.align)
        kinds = self.type, self.type.as_pointer(), self.i32, self.mask
        store = self.intrinsic(f"llvm.masked.store.{self.name}.p0", ir.VoidType(), *kinds)
        return self.builder.call(store, [value, pointer, self.i32(self.align), mask])

    def muladd(self, x, y, z):
        # fmuladd and not fma: without the instruction, fma would be a call of a library function.
        return self.builder.call(self.intrinsic(f"llvm.fmuladd.{self.name}", *[self.type] * 4), [x, y, z])


def _self_referring(module, hint):
    """Metadata that identifies a loop to LLVM: a node whose first operand is the node itself."""
    node = module.add_metadata([hint, hint])
    node.operands = (node, hint)
    return node


def _emit_tile(function, itemsize, tables):
    """The body of tile(a, a_rows, a_steps, b, b_steps, depth, c, c_step, add, add_step, adds, m, n).

    c[i, 0:n] = Σ_k a[i, k] · b[k, 0:n] (+ add[i, 0:n] if adds) for i < min(m, ROWS), n cut to the tile's width.
    a[i, k] is at a + a_rows·i + a_steps·k and row k of b at b + b_steps·k, in bytes. With `tables`, it is at
    a + a_rows[i] + a_steps[k] and b + b_steps[k], in elements: a convolution is a matrix product with such tables.
    """
    builder = ir.IRBuilder(function.append_basic_block())
    a, a_rows, a_steps, b, b_steps, depth, c, c_step, add, add_step, adds, m, n = function.args
    vec = _Vectors(builder, a.type.pointee, itemsize)
    width = VECTORS * vec.lanes

    def entry(table, index):
        return builder.mul(builder.load(builder.gep(table, [index])), vec.int(itemsize))

    # Rows past the bottom edge read the last row again and are not stored.
    rows = []
    for i in range(ROWS):
        row = builder.select(builder.icmp_signed("<", vec.int(i), m), vec.int(i), builder.sub(m, vec.int(1)))
        rows.append(vec.move(a, nbytes=entry(a_rows, row) if tables else builder.mul(a_rows, row)))

    # The tile of C is wanted at the very end: send for it now.
    byte = ir.IntType(8).as_pointer()
    prefetch = vec.intrinsic("llvm.prefetch.p0", ir.VoidType(), byte, vec.i32, vec.i32, vec.i32)
    for i in range(ROWS):
        for last in (0, width - 1):
            line = builder.bitcast(vec.move(vec.move(c, last), nbytes=builder.mul(c_step, vec.int(i))), byte)
            builder.call(prefetch, [line, vec.i32(1), vec.i32(3), vec.i32(1)])

    def emit(vectors, masks):
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
                sums[i][v].add_incoming(vec.zero, start)
                sums[i][v].add_incoming(totals[i][v], loop)
        walks = [(k, vec.int(1))] if tables else [(k, vec.int(1)), (a_at, a_steps), (b_at, b_steps)]
        for walk, step in walks:
            walk.add_incoming(vec.int(0), start)
            walk.add_incoming(builder.add(walk, step), loop)
        again = builder.cbranch(builder.icmp_signed("<", k.incomings[1][0], depth), loop, done)
        # Unrolled, the loop would need twice the row pointers, more than there are registers.
        hint = builder.module.add_metadata(["llvm.loop.unroll.disable"])
        again.set_metadata("llvm.loop", _self_referring(builder.module, hint))

        builder.position_at_end(done)
        added, plain, end = (builder.append_basic_block() for _ in range(3))
        builder.cbranch(adds, added, plain)
        for block in (added, plain):
            builder.position_at_end(block)
            for i in range(ROWS):
                if i:
                    inside = builder.append_basic_block()
                    builder.cbranch(builder.icmp_signed("<", vec.int(i), m), inside, end)
                    builder.position_at_end(inside)
                c_row, add_row = (
                    vec.move(x, nbytes=builder.mul(step, vec.int(i))) for x, step in ((c, c_step), (add, add_step))
                )
                for v in range(vectors):
                    total = totals[i][v]
                    if block is added:
                        total = builder.fadd(total, vec.load(vec.move(add_row, v * vec.lanes), masks[v]))
                    vec.store(total, vec.move(c_row, v * vec.lanes), masks[v])
            builder.branch(end)
        builder.position_at_end(end)
        builder.ret_void()

    whole, ragged, wide, narrow = (builder.append_basic_block() for _ in range(4))
    builder.cbranch(builder.icmp_signed(">=", n, vec.int(width)), whole, ragged)
    builder.position_at_end(whole)
    emit(VECTORS, [None] * VECTORS)
    builder.position_at_end(ragged)
    columns = ir.VectorType(vec.i64, vec.lanes)
    numbered = [ir.Constant(columns, [v * vec.lanes + lane for lane in range(vec.lanes)]) for v in range(VECTORS)]
    masks = [builder.icmp_signed("<", column, vec.splat(n, columns)) for column in numbered]
    builder.cbranch(builder.icmp_signed(">", n, vec.int(vec.lanes)), wide, narrow)
    builder.position_at_end(wide)
    emit(VECTORS, [None, *masks[1:]])
    builder.position_at_end(narrow)
    emit(1, masks)


def _call_tile(context, builder, element, tables, args):
    # A function of its own and not inlined, so that its registers are its own and all callers share its code.
    name = f"minidl_gemm_tile_{element}_{tables}"
    function = builder.module.globals.get(name)
    if function is None:
        kinds = ir.FunctionType(ir.VoidType(), [x.type for x in args])
        function = ir.Function(builder.module, kinds, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        _emit_tile(function, element.bitwidth // 8, tables)
    builder.call(function, args)
    return context.get_dummy_value()


def _place(context, builder, kind, array, i, j):
    """Address of array[i, j] (any strides), and the byte strides."""
    view = context.make_array(kind)(context, builder, array)
    strides = cgutils.unpack_tuple(builder, view.strides)
    offset = builder.add(builder.mul(i, strides[0]), builder.mul(j, strides[1]))
    raw = builder.gep(builder.bitcast(view.data, ir.IntType(8).as_pointer()), [offset])
    return builder.bitcast(raw, view.data.type), *strides


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
        is_bias = builder.icmp_signed("==", adds, adds.type(2))
        add_at, add_step = builder.select(is_bias, bias_at, c_at), builder.select(is_bias, adds.type(0), c_step)
        some = builder.icmp_signed("!=", adds, adds.type(0))
        everything = [a_at, a_rows, a_steps, b_at, b_steps, depth, c_at, c_step, add_at, add_step, some, m, n]
        return _call_tile(context, builder, sig.args[0].dtype, False, everything)

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
        def at(position, offset):
            array = context.make_array(sig.args[position])(context, builder, args[position])
            return builder.gep(array.data, [offset])

        zero = args[2].type(0)
        depth, c_step, adds, m, n = args[7], args[10], args[11], args[12], args[13]
        c_at, c_step = at(8, args[9]), builder.mul(c_step, zero.type(sig.args[0].dtype.bitwidth // 8))
        some = builder.icmp_signed("!=", adds, zero)
        everything = [at(0, zero), at(1, args[2]), at(3, zero), at(4, args[5]), at(6, zero), depth]
        everything += [c_at, c_step, c_at, c_step, some, m, n]
        return _call_tile(context, builder, sig.args[0].dtype, True, everything)

    return sig, codegen


# ------------------------------------------------------------------------------------------------ other intrinsics


@intrinsic
def transpose_block(typing, source, k, j, target, r, q):
    """target[r : r + L, q : q + L] = source[k : k + L, j : j + L], whose columns are contiguous; L is the lanes."""
    index = types.intp
    sig = types.void(source, index, index, target, index, index)

    def codegen(context, builder, sig, args):
        source, k, j, target, r, q = args
        source_at, _, source_step = _place(context, builder, sig.args[0], source, k, j)
        target_at, target_step, _ = _place(context, builder, sig.args[3], target, r, q)
        itemsize = sig.args[0].dtype.bitwidth // 8
        vec = _Vectors(builder, source_at.type.pointee, itemsize)
        x = [vec.load(vec.move(source_at, nbytes=builder.mul(source_step, vec.int(i)))) for i in range(vec.lanes)]
        # Exchange the off-diagonal quarters, then those of each quarter, ... down to single numbers.
        step = vec.lanes // 2
        while step:
            for i in (i for i in range(vec.lanes) if not i & step):
                low = [p if not p & step else vec.lanes + p - step for p in range(vec.lanes)]
                high = [p + step if not p & step else vec.lanes + p for p in range(vec.lanes)]
                x[i], x[i + step] = vec.shuffle(x[i], x[i + step], low), vec.shuffle(x[i], x[i + step], high)
            step //= 2
        for i in range(vec.lanes):
            vec.store(x[i], vec.move(target_at, nbytes=builder.mul(target_step, vec.int(i))))
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def contiguous(typing, array, i, j, n):
    """array[i, j : j + n] of a 2-D array with contiguous rows, as a type that says so: loops over it vectorise."""
    kind = types.Array(array.dtype, 1, "C", readonly=not array.mutable)
    sig = kind(array, types.intp, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        at, _, _ = _place(context, builder, sig.args[0], *args[:3])
        itemsize = args[3].type(sig.args[0].dtype.bitwidth // 8)
        view = context.make_array(sig.return_type)(context, builder)
        populate_array(view, data=at, shape=[args[3]], strides=[itemsize], itemsize=itemsize, meminfo=None)
        return view._getvalue()

    return sig, codegen


@intrinsic
def moved(typing, array, nbytes):
    """The same array, its first element `nbytes` further on; strided and read-only to Numba, whatever it was.

    With one type for all sources, the loops below are compiled once.
    """
    sig = types.Array(array.dtype, array.ndim, "A", readonly=True)(array, types.intp)

    def codegen(context, builder, sig, args):
        view = context.make_array(sig.return_type)(context, builder, args[0])
        raw = builder.gep(builder.bitcast(view.data, ir.IntType(8).as_pointer()), [args[1]])
        view.data = builder.bitcast(raw, view.data.type)
        return impl_ret_borrowed(context, builder, sig.return_type, view._getvalue())

    return sig, codegen


if numba.config.DISABLE_JIT:  # the same in plain Python, to be stepped through with a debugger

    def tile(a, i, k, depth, b, kb, jb, c, ic, jc, bias, adds, m, n):
        m, n = min(m, ROWS), min(n, VECTORS * _lanes(a.itemsize))
        out = c[ic : ic + m, jc : jc + n]
        more = (0, out, bias[jc : jc + n])[adds]
        # einsum and not @, so that the sum runs over k in order
        out[...] = np.einsum("ik,kj->ij", a[i : i + m, k : k + depth], b[kb : kb + depth, jb : jb + n]) + more

    def table_tile(a, a_rows, i, a_steps, b, b0, b_steps, depth, c, c0, c_step, adds, m, n):
        m, n = min(m, ROWS), min(n, VECTORS * _lanes(a.itemsize))
        left = a[a_rows[i : i + m, None] + a_steps[:depth]]
        right = b[b0 + b_steps[:depth, None] + np.arange(n)]
        out = c0 + c_step * np.arange(m)[:, None] + np.arange(n)
        c[out] = np.einsum("ik,kj->ij", left, right) + (c[out] if adds else 0)

    def transpose_block(source, k, j, target, r, q):
        lanes = _lanes(source.itemsize)
        target[r : r + lanes, q : q + lanes] = source[k : k + lanes, j : j + lanes]

    def contiguous(array, i, j, n):
        return array[i, j : j + n]

    def moved(array, nbytes):
        address, _ = array.__array_interface__["data"]
        view = {**array.__array_interface__, "data": (address + int(nbytes), False), "strides": array.strides}
        return np.asarray(SimpleNamespace(__array_interface__=view, base=array))


# ------------------------------------------------------------------------------------------------------- the loops


@jit
def pack(b, k0, depth, j0, columns, width, lanes, panels):
    """Rows k0… and columns j0… of b, panel by panel of `width` columns; zeros up to the end of the last panel."""
    itemsize = b.itemsize
    for p in range((columns + width - 1) // width):
        row, j, n = p * depth, j0 + p * width, min(width, columns - p * width)
        if n < width:
            panels[row : row + depth, n:] = 0
        if b.strides[1] == itemsize:
            for k in range(depth):
                source, target = contiguous(b, k0 + k, j, n), contiguous(panels, row + k, 0, n)
                for q in range(n):
                    target[q] = source[q]
            continue
        blocks, whole = n - n % lanes, depth - depth % lanes
        if b.strides[0] != itemsize:
            blocks = whole = 0
        for k in range(0, whole, lanes):
            for q in range(0, blocks, lanes):
                transpose_block(b, k0 + k, j + q, panels, row + k, q)
        for k in range(depth):
            for q in range(blocks if k < whole else 0, n):
                panels[row + k, q] = b[k0 + k, j + q]


@jit
def tiles(a, i0, k, depth, b, kb, jb, panel_rows, panel_columns, bias, adds, c, ic, rows, j0, j1):
    """c[ic : ic + rows, j0:j1] for one block of k, of a from [i0, k] on and of b from [kb, jb] on.

    The panels of b lie panel_rows rows and panel_columns columns apart.
    """
    for j in range(j0, j1, VECTORS * (VECTOR_BYTES // a.itemsize)):
        for i in range(0, rows, ROWS):
            tile(a, i0 + i, k, depth, b, kb, jb, c, ic + i, j, bias, adds, rows - i, j1 - j)
        kb, jb = kb + panel_rows, jb + panel_columns


@jit
def cut(m, n, part, parts):
    """Rows and columns (i0, i1, j0, j1) of one of `parts` shares of m × n tiles, as even as whole tiles allow.

    Shares side by side are preferred: shares one below the other would each pack the same columns of B.
    """
    across, least = 1, m * n + 1
    for columns in range(1, parts + 1):
        rows = parts // columns
        most = ((m + rows - 1) // rows) * ((n + columns - 1) // columns)
        if parts % columns == 0 and most <= least:
            across, least = columns, most
    down = parts // across
    row, column = part // across, part % across
    return m * row // down, m * (row + 1) // down, n * column // across, n * (column + 1) // across


@jit
def product(a, b, bias, c, offsets, part, parts):
    """One share of c = a @ b + bias for a batch: item s of a and of b lies offsets[s] bytes behind the first."""
    m, k_all, n, items, itemsize = a.shape[0], a.shape[1], b.shape[1], offsets.shape[0], a.itemsize
    lanes = VECTOR_BYTES // itemsize
    width = VECTORS * lanes
    blocks = (k_all + DEPTH - 1) // DEPTH
    depth = (k_all + blocks - 1) // blocks
    first, last, i0, i1, j0, j1 = 0, items, 0, m, 0, n
    if parts > 1 and items >= parts:
        first, last = items * part // parts, items * (part + 1) // parts
    elif parts > 1:
        i0, i1, j0, j1 = cut((m + ROWS - 1) // ROWS, (n + width - 1) // width, part, parts)
        i0, i1, j0, j1 = i0 * ROWS, min(i1 * ROWS, m), j0 * width, min(j1 * width, n)
    bias_mode = 2 if bias.size else 0
    # In place: a B that fits the L1 cache, or of which so few rows of A make use that packing would not pay.
    if (
        (b.strides[1] == itemsize or n == 1)
        and (MASKS or n % lanes == 0)
        and (k_all * n * itemsize <= IN_PLACE_BYTES or m <= IN_PLACE_ROWS)
    ):
        for s in range(first, last):
            a_s, b_s = moved(a, offsets[s, 0]), moved(b, offsets[s, 1])
            for k in range(0, k_all, depth):
                kn, adds = min(depth, k_all - k), 1 if k else bias_mode
                for i in range(i0, i1, BLOCK_ROWS):
                    rows = min(BLOCK_ROWS, i1 - i)
                    tiles(a_s, i, k, kn, b_s, k, j0, 0, width, bias, adds, c, s * m + i, rows, j0, j1)
        return
    columns = min(BLOCK_COLUMNS // width, (j1 - j0 + width - 1) // width) * width
    panels = np.empty((columns // width * depth, width), c.dtype)
    b_from = moved(panels, 0)
    # A is copied block by block, its layout kept, where enough columns make use of it: rows far apart in memory evict
    # each other from the caches.
    copies = j1 - j0 >= COPY_COLUMNS
    along = a.strides[1] <= a.strides[0]
    shape = (BLOCK_ROWS, depth) if along else (depth, BLOCK_ROWS)
    block = np.empty(shape if copies else (0, 0), c.dtype)
    for s in range(first, last):
        a_s, b_s = moved(a, offsets[s, 0]), moved(b, offsets[s, 1])
        for j in range(j0, j1, columns):
            jn = min(columns, j1 - j)
            for k in range(0, k_all, depth):
                kn, adds = min(depth, k_all - k), 1 if k else bias_mode
                pack(b_s, k, kn, j, jn, width, lanes, panels)
                for i in range(i0, i1, BLOCK_ROWS):
                    rows, ic = min(BLOCK_ROWS, i1 - i), s * m + i
                    a_from, a_i, a_k = a_s, i, k
                    if copies and along:
                        pack(a_s, i, rows, k, kn, depth, lanes, block)
                        a_from, a_i, a_k = moved(block, 0), 0, 0
                    elif copies:
                        pack(moved(a_s.T, 0), k, kn, i, rows, BLOCK_ROWS, lanes, block)
                        a_from, a_i, a_k = moved(block.T, 0), 0, 0
                    tiles(a_from, a_i, a_k, kn, b_from, 0, 0, kn, 0, bias, adds, c, ic, rows, j, j + jn)


@jit(parallel=True)
def product_shared(a, b, bias, c, offsets, parts):
    for part in prange(parts):
        product(a, b, bias, c, offsets, part, parts)


@jit(fastmath={"reassoc", "contract"})
def vector(a, x, bias, y, part, parts):
    """One share of y = a @ x + bias for a matrix with contiguous rows or contiguous columns."""
    rows, depth = a.shape
    units = (rows + UNIT - 1) // UNIT
    first, last = units * part // parts * UNIT, min(rows, units * (part + 1) // parts * UNIT)
    if a.strides[1] == a.itemsize:
        for i in range(first, last):
            row, total = contiguous(a, i, 0, depth), x.dtype.type(0)
            for k in range(depth):
                total += row[k] * x[k]
            y[i] = total
    else:
        for i0 in range(first, last, STRIP):
            strip = y[i0 : min(i0 + STRIP, last)]
            n = strip.size
            strip[:] = 0
            for k in range(0, depth - 3, 4):
                p, q = contiguous(a.T, k, i0, n), contiguous(a.T, k + 1, i0, n)
                r, s = contiguous(a.T, k + 2, i0, n), contiguous(a.T, k + 3, i0, n)
                for i in range(n):
                    strip[i] += p[i] * x[k] + q[i] * x[k + 1] + r[i] * x[k + 2] + s[i] * x[k + 3]
            for k in range(depth - depth % 4, depth):
                p = contiguous(a.T, k, i0, n)
                for i in range(n):
                    strip[i] += p[i] * x[k]
    if bias.size:
        for i in range(first, last):
            y[i] += bias[i]


@jit(parallel=True)
def vector_shared(a, x, bias, y, parts):
    for part in prange(parts):
        vector(a, x, bias, y, part, parts)


# --------------------------------------------------------------------------------------------- what callers see

_ONE_ITEM = np.zeros((1, 2), np.int64)
_NO_BIAS = {np.dtype(char): np.empty(0, char) for char in "fd"}
_compiling = threading.Lock()
_compiled = {dtype: set() for dtype in _NO_BIAS}


def _run(pays, body, twin, *arrays):
    """Does the work, alone or shared; the kernels are compiled at their first use with a dtype."""
    compiled = _compiled[arrays[0].dtype]
    if not pays or get_num_threads() == 1:
        if body not in compiled:
            _compile(body, arrays, 2)
        body(*arrays, 0, 1)
        return
    if twin not in compiled:
        _compile(body, arrays, 2)
        _compile(twin, arrays, 1)
    share(True, body, twin, *arrays)


def _compile(dispatcher, arrays, numbers):
    """Compiles for strided read-only inputs only: Numba takes any other layout for one, so once per dtype is enough."""
    dtype = numba.from_dtype(arrays[0].dtype)
    kinds = [
        types.Array(dtype if x.dtype != np.int64 else types.int64, x.ndim, "A" if x.ndim == 2 else "C", readonly=True)
        for x in arrays
    ]
    kinds[3] = types.Array(dtype, arrays[3].ndim, "C")
    if not numba.config.DISABLE_JIT:
        with _compiling:
            dispatcher.disable_compile(False)
            dispatcher.compile((*kinds, *[types.intp] * numbers))
            dispatcher.disable_compile()
    _compiled[arrays[0].dtype].add(dispatcher)


def _times_vector(a, x, bias, y):
    if a.itemsize not in a.strides:
        a = np.ascontiguousarray(a)
    _run(a.nbytes > PARALLEL_BYTES, vector, vector_shared, a, np.ascontiguousarray(x), bias, y)


def _fill(c, a, b, bias, m, n, k):
    """c[...] = a @ b + bias, for 2-D arrays whose shapes have been checked."""
    work = m * n * k
    if work == 0:
        c[...] = bias if bias.size else 0
    elif m == 1:
        _times_vector(b.T, a[0], bias, c[0])
    elif n == 1:
        _times_vector(a, b[:, 0], _NO_BIAS[a.dtype], c.reshape(-1))
        if bias.size:
            c += bias
    else:
        _run(work >= PARALLEL_WORK, product, product_shared, a, b, bias, c, _ONE_ITEM)


def _check(name, *arrays):
    dtype = arrays[0].dtype
    if dtype not in _NO_BIAS or any(x.dtype != dtype for x in arrays[1:]):
        got = ", ".join(str(x.dtype) for x in arrays)
        raise TypeError(f"{name}: expected arrays all of float32 or all of float64, got {got}")


@lru_cache(maxsize=256)
def _offsets(a_shape, a_strides, b_shape, b_strides):
    """Batch shape, and how far (in bytes) each item's two matrices lie behind the first ones."""
    batch = np.broadcast_shapes(a_shape, b_shape)
    offsets = np.zeros((*batch, 2), np.int64)
    for side, shape, strides in ((0, a_shape, a_strides), (1, b_shape, b_strides)):
        for axis, (size, stride) in enumerate(zip(reversed(shape), reversed(strides), strict=True)):
            if size > 1:
                offsets[..., side] += (np.arange(size) * stride).reshape(-1, *[1] * axis)
    return batch, offsets.reshape(-1, 2)


def matmul(a, b):
    """a @ b with NumPy's meaning: matrices in the last two axes, batch axes broadcast, 1-D arrays as row and column.

    Both float32 or both float64 (TypeError otherwise), in any layout. Returns a new C-contiguous array. ValueError if
    the shapes do not fit.
    """
    dtype = a.dtype
    if b.dtype is not dtype or dtype not in _NO_BIAS:  # "is" decides nearly always, and quickly
        _check("matmul", a, b)
    if a.ndim == 2 and b.ndim == 2:
        (m, k), (rows, n) = a.shape, b.shape
        if k == rows:
            c = np.empty((m, n), dtype)
            if m > 1 and n > 1 and 0 < m * n * k < PARALLEL_WORK and product in _compiled[dtype]:
                product(a, b, _NO_BIAS[dtype], c, _ONE_ITEM, 0, 1)  # as _fill would, half a microsecond sooner
            else:
                _fill(c, a, b, _NO_BIAS[dtype], m, n, k)
            return c
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: expected (..., m, k) and (..., k, n), got {a.shape} and {b.shape}")
    if a.ndim == 1 and b.ndim == 1 and a.size:
        c = np.empty(1, dtype)
        _times_vector(a[None], b, _NO_BIAS[dtype], c)
        return c.reshape(())
    if a.ndim == 1:
        c = matmul(a[None], b if b.ndim > 1 else b[:, None])
        return c.reshape(c.shape[:-2] + b.shape[1:][-1:])
    if b.ndim == 1:
        return matmul(a, b[:, None]).reshape(a.shape[:-1])
    m, n = a.shape[-2], b.shape[-1]
    if b.ndim == 2 and a.flags.c_contiguous and a.size and n:  # one tall matrix
        return matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], n)
    try:
        batch, offsets = _offsets(a.shape[:-2], a.strides[:-2], b.shape[:-2], b.strides[:-2])
    except ValueError:
        raise ValueError(f"matmul: batch axes cannot be broadcast, got {a.shape} and {b.shape}") from None
    c = np.empty((*batch, m, n), dtype)
    if c.size == 0 or a.shape[-1] == 0:
        c[...] = 0
        return c
    a, b = a[(0,) * (a.ndim - 2)], b[(0,) * (b.ndim - 2)]
    work = c.size * a.shape[1]
    _run(work >= PARALLEL_WORK, product, product_shared, a, b, _NO_BIAS[dtype], c.reshape(-1, n), offsets)
    return c


def linear(x, w, b=None):
    """y[..., o] = Σ_i x[..., i] · w[o, i] + b[o] for x (..., in), w (out, in) and b (out,); new and C-contiguous.

    All float32 or all float64 (TypeError otherwise); ValueError if the shapes do not fit.
    """
    dtype, ndim = x.dtype, x.ndim
    if w.dtype is not dtype or dtype not in _NO_BIAS or (b is not None and b.dtype is not dtype):
        _check("linear", *((x, w) if b is None else (x, w, b)))
    if ndim == 0 or w.ndim != 2 or x.shape[-1] != w.shape[1] or (b is not None and b.shape != w.shape[:1]):
        got = f"{x.shape} and {w.shape}" + (f" and {b.shape}" if b is not None else "")
        raise ValueError(f"linear: expected x (..., in), w (out, in) and b (out,), got {got}")
    n, k = w.shape
    bias = _NO_BIAS[dtype] if b is None else np.ascontiguousarray(b)
    y = np.empty((*x.shape[:-1], n), dtype)
    if ndim == 2:
        _fill(y, x, w.T, bias, x.shape[0], n, k)
    elif y.size:
        m = y.size // n
        _fill(y.reshape(m, n), x.reshape(m, k), w.T, bias, m, n, k)
    return y
