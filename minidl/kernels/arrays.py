"""Arrays that a kernel makes for itself, as np.empty and np.zeros do, which Numba compiles anew for each kind of array.

Sizes are not checked, as they come from those of arrays that exist. Where memory ends, the kernel ends with a MemoryError.
"""

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array


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
        owner = context.nrt.meminfo_alloc_aligned(builder, size, context.get_preferred_array_alignment(kind.dtype))
        data = context.nrt.meminfo_data(builder, owner)
        if zero:
            cgutils.memset(builder, data, size, 0)
        array, data = make_array(kind)(context, builder), builder.bitcast(data, element.as_pointer())
        populate_array(array, data=data, shape=sizes, strides=strides, itemsize=strides[-1], meminfo=owner)
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
