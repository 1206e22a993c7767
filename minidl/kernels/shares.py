"""How the shares of a kernel are run on all threads: by one parallel loop, compiled once, for kernels of any arguments.

What `body(*arguments, part, parts)` is to be called with is put in memory, beside a small function that fetches it from
there. The loop is given the two addresses, so that it has the same arguments for every kernel, whose code takes a third of the
time to compile; and tuples may stand among them, which Numba's own prange refuses.
"""

import functools

import numba
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import CodeByDtype, call, jit


@jit(parallel=True)
def all_shares(function, arguments, parts):
    for part in prange(parts):
        call(function, arguments, part, parts)


@intrinsic
def launch(typing, loop, body, arguments, parts):
    """loop(function, address, parts), where function(address, part, parts) is body(*arguments, part, parts).

    True if all shares were done. Numba's loop forgets what went wrong in them, so it is written beside the arguments.
    """
    index = types.intp
    kinds = [index if isinstance(kind, types.Integer) else kind for kind in arguments]
    sig = types.boolean(index, index, types.Tuple(kinds), index)

    def codegen(context, builder, sig, args):
        convention, (loop, body, arguments, parts) = context.call_conv, args
        simple, whole = (convention.get_function_type(types.none, some) for some in ([index] * 3, [*kinds, index, index]))
        flat = context.get_arg_packer(kinds).as_arguments(builder, cgutils.unpack_tuple(builder, arguments))
        done = cgutils.true_bit
        memory = cgutils.alloca_once_value(builder, cgutils.pack_struct(builder, [done, body, *flat]))

        function = ir.Function(builder.module, simple, "minidl_share")
        function.linkage = "internal"
        inside = ir.IRBuilder(function.append_basic_block())
        result, error, address, part, all_parts = function.args
        place = inside.inttoptr(address, memory.type)
        body, *flat = (inside.load(cgutils.gep_inbounds(inside, place, 0, i)) for i in range(1, 2 + len(flat)))
        body = inside.inttoptr(body, whole.as_pointer())
        status = inside.call(body, [result, error, *flat, part, all_parts])
        with cgutils.if_unlikely(inside, inside.icmp_signed("!=", status, status.type(0))):
            inside.store(cgutils.false_bit, cgutils.gep_inbounds(inside, place, 0, 0))
        inside.ret(status.type(0))

        result, error = (cgutils.alloca_once(builder, pointer.pointee) for pointer in simple.args[:2])
        addresses = (builder.ptrtoint(pointer, loop.type) for pointer in (function, memory))
        builder.call(builder.inttoptr(loop, simple.as_pointer()), [result, error, *addresses, parts])
        return builder.load(cgutils.gep_inbounds(builder, memory, 0, 0))

    return sig, codegen


@jit
def on_all_threads(body, loop, arguments, parts):
    return launch(loop, body, arguments, parts)


if numba.config.DISABLE_JIT:

    def on_all_threads(body, loop, arguments, parts):
        for part in range(parts):
            body(*arguments, part, parts)
        return True


_loop = CodeByDtype(all_shares, lambda _: (types.intp,) * 3)


class OnAllThreads(CodeByDtype):
    def compiled(self, dtype):
        return functools.partial(super().compiled(dtype), _loop.address(dtype))


class SharedCode(CodeByDtype):
    """The code of a kernel for each element type, to be called for one share of the work, or (`shared`) by all threads.

    `signature` leaves out part and parts, the last two arguments of the kernel.
    """

    def __init__(self, body, signature, integers=False):
        super().__init__(body, lambda t: (*signature(t), types.intp, types.intp), integers=integers)

    @functools.cached_property
    def shared(self):
        def signature(element):
            return types.intp, types.intp, types.Tuple(self.signature(element)[:-2]), types.intp

        return OnAllThreads(on_all_threads, signature, self, self.integers)
