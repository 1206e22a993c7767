"""Arrays that a kernel makes for itself, as np.empty and np.zeros do, which Numba compiles anew for each kind of array.

Sizes are not checked, as they come from those of arrays that exist. Where memory ends, the kernel ends with a MemoryError.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic

ALIGNED = 64  # bytes


def _memory(context, builder, size):
    """The address of memory that the kernel gives back when it returns, or comes to the same place again."""
    byte, word = cgutils.voidptr_t, cgutils.intp_t
    take, give = (
        cgutils.get_or_insert_function(builder.module, ir.FunctionType(returns, [takes]), name)
        for name, returns, takes in (("PyMem_RawMalloc", byte, word), ("PyMem_RawFree", ir.VoidType(), byte))
    )
    slot = cgutils.alloca_once(builder, byte)  # null at first
    context.memory.append(lambda end: end.call(give, [end.load(slot)]))
    context.memory[-1](builder)
    address = builder.call(take, [builder.add(size, word(ALIGNED))])
    builder.store(address, slot)
    with cgutils.if_unlikely(builder, cgutils.is_null(builder, address)):
        context.call_conv.return_user_exc(builder, MemoryError, ("a kernel has no memory for an array of its own",))
    past = builder.and_(builder.neg(builder.ptrtoint(address, word)), word(ALIGNED - 1))
    return builder.gep(address, [past])


def _shape(shape):
    """(its type with intp for every integer, the number of axes)"""
    many = isinstance(shape, types.BaseTuple)
    return (types.UniTuple(types.intp, shape.count), shape.count) if many else (types.intp, 1)


def _contiguous(context, builder, kind, shape, memory):
    """An array of this type and shape; its data are at memory(size in bytes)."""
    sizes = cgutils.unpack_tuple(builder, shape) if kind.ndim > 1 else [shape]
    element = context.get_data_type(kind.dtype)
    steps = [context.get_constant(types.intp, context.get_abi_sizeof(element))]
    for size in reversed(sizes):
        steps.insert(0, builder.mul(steps[0], size))
    size, *strides = steps
    array, data = context.make_array(kind)(context, builder), builder.bitcast(memory(size), element.as_pointer())
    context.populate_array(array, data=data, shape=sizes, strides=strides, itemsize=strides[-1], meminfo=None)
    return array._getvalue()


def _array(shape, dtype, zero):
    """(signature, code) of an array of this type of shape and dtype."""
    shape, ndim = _shape(shape)
    kind = types.Array(parse_dtype(dtype), ndim, "C")

    def codegen(context, builder, sig, args):
        def memory(size):
            data = _memory(context, builder, size)
            if zero:
                cgutils.memset(builder, data, size, 0)
            return data

        return _contiguous(context, builder, kind, args[0], memory)

    return kind(shape, dtype), codegen


@intrinsic
def empty_array(typing, shape, dtype):
    return _array(shape, dtype, zero=False)


@intrinsic
def zero_array(typing, shape, dtype):
    return _array(shape, dtype, zero=True)


@intrinsic
def reshaped(typing, x, shape):
    """x.reshape(shape) of a C-contiguous array, for which Numba compiles much more. shape is an integer or some, above -1."""
    if not isinstance(x, types.Array) or x.layout != "C":
        return None
    shape, ndim = _shape(shape)
    kind = types.Array(x.dtype, ndim, "C", readonly=not x.mutable)

    def codegen(context, builder, sig, args):
        data = context.make_array(x)(context, builder, args[0]).data
        return _contiguous(context, builder, kind, args[1], lambda size: data)

    return kind(x, shape), codegen


if numba.config.DISABLE_JIT:

    def reshaped(x, shape):
        return x.reshape(shape)

    empty_array, zero_array = np.empty, np.zeros
