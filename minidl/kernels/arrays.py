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


def _array(shape, dtype, zero):
    """(signature, code) of an array of this type of shape and dtype."""
    many = isinstance(shape, types.BaseTuple)
    kind = types.Array(parse_dtype(dtype), shape.count if many else 1, "C")

    def codegen(context, builder, sig, args):
        sizes = cgutils.unpack_tuple(builder, args[0]) if many else [args[0]]
        element = context.get_data_type(kind.dtype)
        steps = [context.get_constant(types.intp, context.get_abi_sizeof(element))]
        for size in reversed(sizes):
            steps.insert(0, builder.mul(steps[0], size))
        size, *strides = steps
        data = _memory(context, builder, size)
        if zero:
            cgutils.memset(builder, data, size, 0)
        array, data = context.make_array(kind)(context, builder), builder.bitcast(data, element.as_pointer())
        context.populate_array(array, data=data, shape=sizes, strides=strides, itemsize=strides[-1], meminfo=None)
        return array._getvalue()

    return kind(types.UniTuple(types.intp, shape.count) if many else types.intp, dtype), codegen


@intrinsic
def empty_array(typing, shape, dtype):
    return _array(shape, dtype, zero=False)


@intrinsic
def zero_array(typing, shape, dtype):
    return _array(shape, dtype, zero=True)


if numba.config.DISABLE_JIT:
    empty_array, zero_array = np.empty, np.zeros
