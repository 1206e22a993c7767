"""Products of a matrix and a vector, and of two vectors. Long sums are cut, and the parts summed in float64 or apart.

Up to AT_ONCE rows of the matrix pass side by side, one vector of columns at a time. So a number of the vector, or of the
result, is read once for all of them, and the processor fetches several rows ahead at the same time. A matrix whose columns are
contiguous is read as its transpose: the result is then a sum of rows.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .arrays import empty_array
from .copies import in_order
from .jit import CodeByDtype, dense, jit, strided
from .shares import SharedCode
from .threads import run
from .tile import MASKS, VECTOR_BYTES, _call_once, _no_unrolling, _place, _Vectors

AT_ONCE = 8  # rows, each with an accumulator of its own: enough to hide how long one multiply-add takes
STRIP = 8192  # elements of a matrix-vector product that stay in the L1 cache while rows are added to them
SUM = 1024  # products with a vector that are summed apart
UNIT = 64  # shares of it begin at multiples of this, so that every element meets the same vector or scalar code
PARALLEL_BYTES = 512 * 1024  # size of a matrix from which a second thread pays in a product with a vector

# ------------------------------------------------------------------------------------------------- rows side by side


def _in_groups(builder, vec, count, emit):
    """Code by emit(rows, i) for `rows` rows from row i on: AT_ONCE at a time, then what is left of `count`."""
    start, head, body, rest, end = builder.block, *(builder.append_basic_block() for _ in range(4))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(vec.i64)
    following = builder.add(i, vec.int(AT_ONCE))
    builder.cbranch(builder.icmp_signed("<=", following, count), body, rest)
    builder.position_at_end(body)
    emit(AT_ONCE, i)
    i.add_incoming(vec.int(0), start)
    i.add_incoming(following, builder.block)
    _no_unrolling(builder, builder.branch(head))
    builder.position_at_end(rest)
    switch = builder.switch(builder.sub(count, i), end)
    for rows in range(1, AT_ONCE):
        block = builder.append_basic_block()
        switch.add_case(vec.int(rows), block)
        builder.position_at_end(block)
        emit(rows, i)
        builder.branch(end)
    builder.position_at_end(end)
    builder.ret_void()


def _along(builder, vec, n, starts, step):
    """states = step(k, mask, states) for k = 0, L, 2L … below n; L is the lanes. Returns the last states.

    The last step has a mask if it is not whole. Without MASKS there is no such step: the caller does the rest.
    """
    start, head, body, tail, last, end = builder.block, *(builder.append_basic_block() for _ in range(5))
    builder.branch(head)
    builder.position_at_end(head)
    k, states = builder.phi(vec.i64), [builder.phi(vec.type) for _ in starts]
    following = builder.add(k, vec.int(vec.lanes))
    builder.cbranch(builder.icmp_signed("<=", following, n), body, tail)
    builder.position_at_end(body)
    more = step(k, None, states)
    _no_unrolling(builder, builder.branch(head))
    for phi, first, then in zip([k, *states], [vec.int(0), *starts], [following, *more], strict=True):
        phi.add_incoming(first, start)
        phi.add_incoming(then, body)
    builder.position_at_end(tail)
    if not MASKS:
        builder.branch(last)
        builder.position_at_end(last)
        builder.branch(end)
        builder.position_at_end(end)
        return states
    builder.cbranch(builder.icmp_signed("<", k, n), last, end)
    builder.position_at_end(last)
    more = step(k, vec.mask(builder.sub(n, k), 0), states)
    builder.branch(end)
    builder.position_at_end(end)
    results = [builder.phi(vec.type) for _ in starts]
    for phi, before, then in zip(results, states, more, strict=True):
        phi.add_incoming(before, tail)
        phi.add_incoming(then, last)
    return results


def _emit_dots(function, itemsize):
    """The body of dots(a, a_step, n, count, x, y)."""
    builder = ir.IRBuilder(function.append_basic_block())
    a, a_step, n, count, x, y = function.args
    vec = _Vectors(builder, a.type.pointee, itemsize)

    def emit(rows, i):
        at = [vec.move(a, nbytes=builder.mul(a_step, builder.add(i, vec.int(r)))) for r in range(rows)]

        def step(k, mask, sums):
            xs = vec.load(builder.gep(x, [k]), mask)
            return [vec.muladd(vec.load(builder.gep(p, [k]), mask), xs, s) for p, s in zip(at, sums, strict=True)]

        sums = _along(builder, vec, n, [vec.zero] * rows, step)
        # Neighbours are added, of two vectors at a time, until a number is left of each row.
        sums += [vec.zero] * (-rows % AT_ONCE)
        even, odd = list(range(0, 2 * vec.lanes, 2)), list(range(1, 2 * vec.lanes, 2))
        for _ in range(vec.lanes.bit_length() - 1):
            pairs = list(zip(sums[::2], sums[1::2], strict=True)) if len(sums) > 1 else [(sums[0], sums[0])]
            sums = [builder.fadd(vec.shuffle(p, q, even), vec.shuffle(p, q, odd)) for p, q in pairs]
        for r in range(rows):
            number = builder.extract_element(sums[r // vec.lanes], vec.i32(r % vec.lanes))
            builder.store(number, vec.move(builder.gep(y, [i]), r), align=itemsize)

    _in_groups(builder, vec, count, emit)


def _emit_add_rows(function, itemsize):
    """The body of add_rows(a, a_step, n, count, x, y)."""
    builder = ir.IRBuilder(function.append_basic_block())
    a, a_step, n, count, x, y = function.args
    vec = _Vectors(builder, a.type.pointee, itemsize)

    def emit(rows, i):
        at = [vec.move(a, nbytes=builder.mul(a_step, builder.add(i, vec.int(r)))) for r in range(rows)]
        x_at = builder.gep(x, [i])
        xs = [vec.splat(builder.load(vec.move(x_at, r), align=itemsize), vec.type) for r in range(rows)]

        def step(j, mask, _):
            # What is there is added at the end: the sum of these rows is short, and so exact.
            total = builder.fmul(vec.load(builder.gep(at[0], [j]), mask), xs[0])
            for p, number in zip(at[1:], xs[1:], strict=True):
                total = vec.muladd(vec.load(builder.gep(p, [j]), mask), number, total)
            place = builder.gep(y, [j])
            vec.store(builder.fadd(vec.load(place, mask), total), place, mask)
            return []

        _along(builder, vec, n, [], step)

    _in_groups(builder, vec, count, emit)


def _side_by_side(name, emit):
    def product(typing, a, i, j, n, count, x, k, y, q):
        index = types.intp
        sig = types.void(a, index, index, index, index, x, index, y, index)

        def codegen(context, builder, sig, args):
            def at(position):
                array = context.make_array(sig.args[position])(context, builder, args[position])
                return builder.gep(array.data, [args[position + 1]])

            a_at, a_step, _ = _place(context, builder, sig.args[0], *args[:3])
            _call_once(context, builder, name, emit, [a_at, a_step, args[3], args[4], at(5), at(7)])
            return context.get_dummy_value()

        return sig, codegen

    return intrinsic(product)


# For r < count and c < n. x and y are 1-D and contiguous, as are the rows of a. Without MASKS n must be that of whole vectors.
# dots(a, i, j, n, count, x, k, y, q): y[q + r] = Σ_c a[i + r, j + c] · x[k + c]
# add_rows(a, i, j, n, count, x, k, y, q): y[q + c] += Σ_r a[i + r, j + c] · x[k + r]
dots, add_rows = _side_by_side("dots", _emit_dots), _side_by_side("add_rows", _emit_add_rows)


if numba.config.DISABLE_JIT:  # the same in plain Python; einsum and not @, so that the sum runs in order

    def dots(a, i, j, n, count, x, k, y, q):
        y[q : q + count] = np.einsum("rc,c->r", a[i : i + count, j : j + n], x[k : k + n])

    def add_rows(a, i, j, n, count, x, k, y, q):
        y[q : q + n] += np.einsum("rc,r->c", a[i : i + count, j : j + n], x[k : k + count])


# ------------------------------------------------------------------------------------------------------- the loops


@jit
def times_rows(a, x, y, first, last):
    """y[i] = Σ_k a[i, k] · x[k] for first ≤ i < last; the rows of a are contiguous."""
    depth, lanes = x.size, VECTOR_BYTES // a.itemsize
    if depth <= SUM and MASKS:
        dots(a, first, 0, depth, last - first, x, 0, y, first)
        return
    part, whole = empty_array(AT_ONCE, y.dtype), empty_array(AT_ONCE, np.float64)
    for i in range(first, last, AT_ONCE):
        count = min(AT_ONCE, last - i)
        whole[:] = 0
        for k in range(0, depth, SUM):
            n = min(SUM, depth - k)
            rest = 0 if MASKS else n % lanes
            dots(a, i, k, n - rest, count, x, k, part, 0)
            for r in range(count):
                for c in range(k + n - rest, k + n):
                    part[r] += a[i + r, c] * x[c]
                whole[r] += part[r]
        for r in range(count):
            y[i + r] = whole[r]


@jit
def sum_of_rows(a, x, y, first, last):
    """y[j] = Σ_k a[k, j] · x[k] for first ≤ j < last; the rows of a are contiguous."""
    depth, lanes = x.size, VECTOR_BYTES // a.itemsize
    apart = empty_array(min(STRIP, max(last - first, 0)) if depth > SUM else 0, y.dtype)
    y[first:last] = 0
    for j in range(first, last, STRIP):
        n = min(STRIP, last - j)
        rest = 0 if MASKS else n % lanes
        for k0 in range(0, depth, SUM):
            end, into, place = min(k0 + SUM, depth), y, j
            if depth > SUM:
                into, place = apart, 0
                apart[:n] = 0
            add_rows(a, k0, j, n - rest, end - k0, x, k0, into, place)
            for c in range(n - rest, n):
                total = y.dtype.type(0)
                for r in range(k0, end):
                    total += a[r, j + c] * x[r]
                into[place + c] += total
            if depth > SUM:
                for c in range(n):
                    y[j + c] += apart[c]


@jit
def vector(a, x, bias, y, part, parts):
    """One share of y = a @ x + bias for a matrix with contiguous rows or contiguous columns."""
    rows = y.size
    units = (rows + UNIT - 1) // UNIT
    first, last = units * part // parts * UNIT, min(rows, units * (part + 1) // parts * UNIT)
    if a.strides[1] == a.itemsize:
        times_rows(a, x, y, first, last)
    else:
        sum_of_rows(a.T, x, y, first, last)
    if bias.size == 1:  # one for all
        for i in range(first, last):
            y[i] += bias[0]
    elif bias.size:
        for i in range(first, last):
            y[i] += bias[i]


@jit(fastmath={"reassoc", "contract"})
def inner(x, y, out):
    """out[()] = Σ_k x[k] · y[k] for contiguous vectors."""
    whole = 0.0
    for first in range(0, x.size, SUM):
        p, q, s = x[first : min(first + SUM, x.size)], y[first : min(first + SUM, x.size)], x.dtype.type(0)
        for k in range(p.size):
            s += p[k] * q[k]
        whole += s
    out[()] = whole


def _vector_types(t):
    return strided(t, 2), dense(t, 1), dense(t, 1), dense(t, 1, True)


_vector = SharedCode(vector, _vector_types)
_inner = CodeByDtype(inner, lambda t: (dense(t, 1), dense(t, 1), dense(t, 0, True)))


def times_vector(a, x, bias, y):
    """y[...] = a @ x + bias"""
    itemsize = a.itemsize
    if itemsize not in a.strides:
        a = in_order(a)
    if x.strides[0] != itemsize:
        x = in_order(x)
    if a.nbytes > PARALLEL_BYTES:
        run(True, _vector, y.dtype, a, x, bias, y)
    else:
        _vector[y.dtype](a, x, bias, y, 0, 1)


def as_dense(x):
    return x if x.strides[0] == x.itemsize else in_order(x)


def inner_product(x, y, out):
    """out[()] = Σ_k x[k] · y[k]"""
    _inner[out.dtype](as_dense(x), as_dense(y), out)
