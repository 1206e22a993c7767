"""NumPy's own loops, called by their addresses: for remembered steps (capture/), which run without Python.

Behind each function of NumPy's that maps numbers to numbers, as np.sin, lies a loop in C for each element type. Called from a
kernel it gives NumPy's own bits, whatever processor NumPy has chosen it for. What is read here of such a function (a
PyUFuncObject) is described in NumPy's C-API, and compared with what Python says of it first.
"""

import ctypes
import functools
import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .arithmetic import buffer_of, four_axes
from .jit import CodeByDtype, jit, strided
from .memory import offset_of

_HEAD = object.__basicsize__  # bytes with which every object begins
_WORD = ctypes.sizeof(ctypes.c_void_p)
_KINDS = {
    np.dtype(np.float32): "f",
    np.dtype(np.float64): "d",
    np.dtype(bool): "?",
    np.dtype(np.int64): np.dtype(np.int64).char,
}
# The loops of floats and masks need no Python. Of those of whole numbers some raise errors; these do not.
_OF_INTEGERS = {
    *(np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.bitwise_and, np.bitwise_or, np.bitwise_xor),
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
}


@functools.cache
def loop_of(function, dtypes):
    """(address of the loop of a function of NumPy's for these dtypes of inputs and result, address of its data), or None."""
    kinds = [_KINDS.get(dtype, "") for dtype in dtypes]
    name = f"{''.join(kinds[:-1])}->{kinds[-1]}"
    if numba.config.DISABLE_JIT or _WORD != 8 or not all(kinds) or function.nout != 1 or name not in function.types:
        return None
    if np.dtype(np.int64) in dtypes and function not in _OF_INTEGERS:
        return None
    at, pointer, integer = id(function) + _HEAD, ctypes.c_void_p, ctypes.c_int
    numbers = [integer.from_address(at + 4 * i).value for i in range(3)]
    if numbers != [function.nin, function.nout, function.nargs]:
        return None
    at += 16
    loops, data, count = pointer.from_address(at), pointer.from_address(at + 8), integer.from_address(at + 16)
    if count.value != function.ntypes or not loops.value:
        return None
    if not pointer.from_address(at + 24).value or ctypes.c_char_p.from_address(at + 24).value != function.__name__.encode():
        return None
    place = 8 * function.types.index(name)
    loop = pointer.from_address(loops.value + place).value
    return loop and (loop, (pointer.from_address(data.value + place).value or 0) if data.value else 0)


@intrinsic
def _begin(typing, x):
    """The address of an array's first element."""

    def codegen(context, builder, sig, args):
        return builder.ptrtoint(context.make_array(sig.args[0])(context, builder, args[0]).data, cgutils.intp_t)

    return types.intp(x), codegen


@intrinsic
def _enter(typing, loop, data, n, operands):
    """Calls a loop for n elements of operands (address, step, address, step, …), inputs and then the result."""

    def codegen(context, builder, sig, args):
        word, (loop, data, n, operands) = cgutils.intp_t, args
        operands = cgutils.unpack_tuple(builder, operands)
        count = len(operands) // 2
        begins, steps, sizes = (cgutils.alloca_once(builder, word, size) for size in (count, count, 1))
        for i in range(count):
            builder.store(operands[2 * i], cgutils.gep_inbounds(builder, begins, i))
            builder.store(operands[2 * i + 1], cgutils.gep_inbounds(builder, steps, i))
        builder.store(n, sizes)
        kind = ir.FunctionType(ir.VoidType(), [word.as_pointer()] * 3 + [word])
        builder.call(builder.inttoptr(loop, kind.as_pointer()), [begins, sizes, steps, data])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, operands), codegen


@jit
def numpy_of_one(loop, data, x, z):
    """z = f(x)"""
    p, r, s, u = _begin(x), _begin(z), x.strides, z.strides
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                a, c = p + h * s[0] + i * s[1] + j * s[2], r + h * u[0] + i * u[1] + j * u[2]
                _enter(loop, data, z.shape[3], (a, s[3], c, u[3]))


@jit
def numpy_of_two(loop, data, x, y, z):
    """z = f(x, y)"""
    p, q, r, s, t, u = _begin(x), _begin(y), _begin(z), x.strides, y.strides, z.strides
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                a, b = p + h * s[0] + i * s[1] + j * s[2], q + h * t[0] + i * t[1] + j * t[2]
                c = r + h * u[0] + i * u[1] + j * u[2]
                _enter(loop, data, z.shape[3], (a, s[3], b, t[3], c, u[3]))


@jit
def numpy_reduction(loop, data, x, z):
    """z[m, k] = f(z[m, k], x[m, n, k]) for each n in order; if there is one k, the loop is called once for all n."""
    p, r, s, u = _begin(x), _begin(z), x.strides, z.strides
    M, N, K = x.shape
    for m in range(M):
        a, c = p + m * s[0], r + m * u[0]
        if K == 1:
            _enter(loop, data, N, (c, 0, a, s[1], c, 0))
        else:
            for n in range(N):
                _enter(loop, data, K, (c, u[1], a + n * s[1], s[2], c, u[1]))


LONGEST = 64  # calls for one reduction over axes that are not neighbours
_ANY = np.dtype(np.float64)  # the kernels see addresses only, and are compiled once for all element types
_LOOP = types.intp, types.intp


def _bytes(ndim, written=False):
    return strided(types.boolean, ndim, written)


OF_ONE = CodeByDtype(numpy_of_one, lambda t: (*_LOOP, _bytes(4), _bytes(4, True)))
OF_TWO = CodeByDtype(numpy_of_two, lambda t: (*_LOOP, _bytes(4), _bytes(4), _bytes(4, True)))
REDUCTION = CodeByDtype(numpy_reduction, lambda t: (*_LOOP, _bytes(3), _bytes(2, True)))


def _seen(x):
    """The first bytes of each element: with these a kernel is given an array of any element type."""
    buffer = buffer_of(x)
    return np.ndarray(x.shape, bool, buffer, offset_of(x, buffer), x.strides)


def call_loop(function, z, *xs):
    """z = function(*xs) by its loop, for a z of any layout and arrays that are repeated to its shape. Says whether it could.

    The elements are taken as NumPy takes them: its loops may give other bits for numbers that do not lie side by side.
    """
    loop = loop_of(function, (*(x.dtype for x in xs), z.dtype))
    order = sorted(range(z.ndim), key=lambda axis: -abs(z.strides[axis]))
    arrays = loop and four_axes(z.transpose(order), *(np.broadcast_to(x, z.shape).transpose(order) for x in xs))
    if loop and not arrays and z.ndim > 4 and z.size and min(z.shape) <= LONGEST:
        axis = z.shape.index(min(z.shape))
        z, *xs = (np.moveaxis(np.broadcast_to(x, z.shape) if x is not z else z, axis, 0) for x in (z, *xs))
        return all(call_loop(function, z[i], *(x[i] for x in xs)) for i in range(len(z)))
    if not arrays or len(xs) > 2:
        return False
    z, *xs = map(_seen, arrays)
    (OF_ONE if len(xs) == 1 else OF_TWO)[_ANY](*loop, *xs, z)
    return True


def call_reduction(function, z, x):
    """z[m, k] = function(z[m, k], x[m, n, k]) for each n in order. Says whether there is a loop."""
    loop = loop_of(function, (z.dtype, x.dtype, z.dtype))
    if loop:
        REDUCTION[_ANY](*loop, _seen(x), _seen(z))
    return bool(loop)


def reduction_parts(x, z, axes):
    """Gives pairs (M, N, K) and (M, K): parts of x, where N are axes that are reduced, and z, which has these with the size 1.

    They come in the order in which NumPy reduces them. There are none if an array can't be seen so, or too many, or if the
    order is not known: of axes along which an element is repeated, or that have the same step.
    """
    steps = [abs(step) for step, n in zip(x.strides, x.shape, strict=True) if n > 1]
    if 0 in steps or len({*steps}) < len(steps):
        return
    order = sorted((axis for axis, n in enumerate(x.shape) if n > 1), key=lambda axis: -abs(x.strides[axis]))
    reduced = [axis in axes for axis in order]
    last = max((i + 1 for i, holds in enumerate(reduced) if holds), default=len(order))
    first = last - next((i for i, holds in enumerate(reduced[:last][::-1]) if not holds), last)
    rest, before = [axis for axis in range(x.ndim) if axis not in order], [axis for axis in order[:first] if axis in axes]
    order = [axis for axis in order if axis not in before]
    first, last = first - len(before), last - len(before)
    x, z = (y.transpose(before + rest + order) for y in (x, z))
    M, N, K = (math.prod(x.shape[len(before) + len(rest) :][i:j]) for i, j in ((0, first), (first, last), (last, None)))
    if math.prod(x.shape[: len(before)]) > LONGEST:
        return
    for index in np.ndindex(x.shape[: len(before)]):
        part, sums = x[(*index, ...)], z[(0,) * len(index) + (...,)]
        part, sums = part.reshape(M, N, K), sums.reshape(M, K)
        if not (np.may_share_memory(part, x) and np.may_share_memory(sums, z)):
            return
        yield part, sums
