"""How the shares of a kernel are run on all threads: by one parallel loop, compiled once, for kernels of any arguments.

A kernel that is called with a negative number of parts calls this loop, whose address it is given as `part`. It has put its
arguments in memory, beside a small function that fetches them from there and calls the kernel for one share. The loop is
given the two addresses, so that it has the same arguments for every kernel; and tuples may stand among a kernel's, which
Numba's own prange refuses. A function that did this for the kernel would have to take all arguments from Python once more:
its code took several times as long to compile.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils

from .jit import CodeByDtype, call, jit


@jit(parallel=True)
def all_shares(function, arguments, parts):
    for part in prange(parts):
        call(function, arguments, part, parts)


def launch(context, builder, kernel):
    """The code at the beginning of a kernel: if parts < 0, it calls the loop for -parts shares, and returns."""
    convention, word = context.call_conv, cgutils.intp_t
    *arguments, loop, parts = kernel.args[2:]
    with cgutils.if_unlikely(builder, builder.icmp_signed("<", parts, word(0))):
        kind = convention.get_function_type(types.none, [types.intp] * 3)
        memory = cgutils.alloca_once(builder, ir.ArrayType(word, 1 + len(arguments)))
        share = ir.Function(builder.module, kind, "minidl_share")
        share.linkage = "internal"
        inside = ir.IRBuilder(share.append_basic_block())
        result, error, address, part, all_parts = share.args
        addresses = [builder.ptrtoint(pointer, word) for pointer in (share, memory)]
        anything = ir.PointerType()  # such a pointer needs no conversion for each argument
        outer, inner = builder.inttoptr(addresses[1], anything), inside.inttoptr(address, anything)

        def place(builder, memory, i):
            return builder.gep(memory, [word(i)], source_etype=word)

        # Numba's loop forgets what went wrong in the shares, so it is noted before the arguments.
        builder.store(word(0), outer)
        for i, x in enumerate(arguments, 1):
            builder.store(x, place(builder, outer, i))
        fetched = [inside.load(place(inside, inner, i), typ=x.type) for i, x in enumerate(arguments, 1)]
        status = inside.call(kernel, [result, error, *fetched, part, all_parts])
        with cgutils.if_unlikely(inside, inside.icmp_signed("!=", status, status.type(0))):
            inside.store(word(1), inner)
        inside.ret(status.type(0))

        builder.call(builder.inttoptr(loop, kind.as_pointer()), [*kernel.args[:2], *addresses, builder.neg(parts)])
        failed = builder.icmp_signed("!=", builder.load(outer, typ=word), word(0))
        with cgutils.if_unlikely(builder, failed):
            convention.return_user_exc(builder, MemoryError, ("no memory for what a kernel keeps beside its arguments",))
        builder.ret(status.type(0))


_loop = CodeByDtype(all_shares, lambda _: (types.intp,) * 3)
_address = 0


def loop():
    """The address of `all_shares`, which is compiled when it is first asked for."""
    global _address
    _address = _address or _loop.address(np.dtype(np.float32))
    return _address


class SharedCode(CodeByDtype):
    """The code of a kernel for each element type, to be called for one share of the work, or by `on_all_threads` for all.

    `signature` leaves out part and parts, the last two arguments of the kernel.
    """

    def __init__(self, body, signature, integers=False):
        super().__init__(body, lambda t: (*signature(t), types.intp, types.intp), integers=integers)
        if not numba.config.DISABLE_JIT:
            body.__wrapped__.begins = launch  # pipeline.py looks for it

    def on_all_threads(self, dtype, arguments, parts):
        self[dtype](*arguments, loop(), -parts)


if numba.config.DISABLE_JIT:

    def loop():
        return 0

    def _one_after_the_other(self, dtype):
        def shares(*arguments):
            *arguments, part, parts = arguments
            for share in range(-parts) if parts < 0 else (part,):
                self.kernel(*arguments, share, abs(parts))

        return shares

    SharedCode.compiled = _one_after_the_other
