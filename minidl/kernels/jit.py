"""How every kernel is compiled: one decorator, one cache policy, one notice.

A kernel is a module-level function of arrays and numbers, decorated with `@jit` (or `@jit(parallel=True)`). It never
raises and Numba checks no bounds, so the Python function in front of it validates first. cache.py keeps the code on disk.
"""

import functools
import os
import sys
import threading

import numba
from llvmlite.binding import ffi
from numba import types
from numba.core import cgutils, event
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from . import cache


class _LazyKernel:
    """A kernel that has not been used yet. Its dispatcher, what Numba puts in front of it, is made at the first use.

    A process uses few of the kernels, and to make the dispatchers of all of them was a tenth of the time of the import.
    """

    def __init__(self, function, options):
        functools.update_wrapper(self, function)
        self._options, self._made = options, []

    def __call__(self, *arguments):
        return self._dispatcher()(*arguments)

    def __getattr__(self, name):  # `compile`, for example, or `_numba_type_` where Numba meets the kernel within another one
        if name.startswith("__"):  # asked by what looks at objects or copies them
            raise AttributeError(name)
        return getattr(self._dispatcher(), name)

    def _dispatcher(self):
        if not self._made:
            with global_compiler_lock:  # so that no child is forked meanwhile, see _Forks; Numba has locks in there
                self._made.append(_make(self.__wrapped__, self._options))
        return self._made[0]  # the same for two threads that came at once


def _make(function, options):
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if cache.FOLDER is not None:
        dispatcher._cache = cache.DiskCache(function, cache.FOLDER)
    return dispatcher


def jit(function=None, **options):
    """numba.njit with this package's settings: no GIL, IEEE division by zero, cached on disk."""
    if function is None:
        return lambda f: jit(f, **options)
    return function if numba.config.DISABLE_JIT else _LazyKernel(function, options)


def inner(function):
    """As jit, for a kernel that only other kernels call: without code for callers in Python and C, there is less to compile."""
    return jit(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


class CodeByDtype(dict):
    """kernel[dtype](*arguments): the machine code of a kernel for one element type, compiled at its first use.

    For kernels that take arrays of any layout: `signature(element)` is the tuple of argument types they are compiled
    for, made with `strided` and `dense`. The code is called without Numba's dispatch: 0.2 µs less, no second
    compilation for another layout, and no check of the arguments. A kernel that `calls` another one takes its address first.
    """

    def __init__(self, kernel, signature, calls=None):
        self.kernel, self.signature, self.calls = kernel, signature, calls

    def __missing__(self, dtype):
        # Two threads at once do no harm: Numba lets one of them compile and gives its code to the other.
        code = self.kernel if numba.config.DISABLE_JIT else self.kernel.compile(self.signature(numba.from_dtype(dtype)))
        self[dtype] = code = code if self.calls is None else functools.partial(code, self.calls.address(dtype))
        return code

    def address(self, dtype):
        """What `call` wants in order to call the kernel from another one."""
        if numba.config.DISABLE_JIT:
            return self.kernel
        self[dtype]  # compiles it
        code = self.kernel.overloads[self.signature(numba.from_dtype(dtype))]
        return code.library.get_pointer_to_function(code.fndesc.llvm_func_name)


@intrinsic
def call(typing, address, *arguments):
    """Calls a kernel without a result by its address. Integers among the arguments are made intp."""
    kinds = [types.intp if isinstance(kind, types.Integer) else kind for kind in arguments]
    sig = types.void(types.intp, types.StarArgTuple.from_types(kinds))

    def codegen(context, builder, sig, args):
        convention = context.call_conv
        kind = convention.get_function_type(types.none, kinds)
        result, error = (cgutils.alloca_once(builder, pointer.pointee) for pointer in kind.args[:2])
        packer = context.get_arg_packer(kinds)
        flat = packer.as_arguments(builder, cgutils.unpack_tuple(builder, args[1]))
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [result, error, *flat])
        return context.get_dummy_value()

    return sig, codegen


if numba.config.DISABLE_JIT:

    def call(kernel, *arguments):
        kernel(*arguments)


def strided(element, ndim, written=False):
    """The type of an array of any layout."""
    return types.Array(element, ndim, "A", readonly=not written)


def dense(element, ndim, written=False):
    """The type of a C-contiguous array."""
    return types.Array(element, ndim, "C", readonly=not written)


class _Notice(event.Listener):
    """Says once on stderr that compiling has begun. MINIDL_QUIET=1 silences it."""

    told = bool(os.environ.get("MINIDL_QUIET"))

    def on_start(self, event):
        dispatcher = event.data["dispatcher"]
        if not _Notice.told and dispatcher.py_func.__module__.startswith(__package__):
            _Notice.told = True
            kept = f"kept in {cache.FOLDER.path}" if cache.FOLDER else "not kept: no cache folder"
            print(f"minidl: compiling kernels for this processor, some seconds the first time ({kept})", file=sys.stderr)

    def on_end(self, event):
        pass


event.register("numba:compile", _Notice())


class _Forks:
    """Holds the locks of Numba and llvmlite around a fork.

    A child has only the thread that forked. If another one is compiling at that moment, its locks stay locked in the child for
    ever, and what they protect stays half done. So a fork waits until no other thread compiles or loads a kernel: at most some
    seconds, as each kernel is compiled on its own. A thread that forks while it compiles has these locks already, and may take
    them again.
    """

    LONGEST = 60  # seconds; a thread that compiles may itself be waiting for the one that forks

    def __init__(self):
        # In the order in which Numba takes them.
        self.owners = [owner for owner in (global_compiler_lock, getattr(ffi.lib, "_lock", None)) if hasattr(owner, "_lock")]
        self.mine = threading.local()

    def before(self):
        self.mine.held = [None for _ in self.owners]  # Ctrl-C may end the waiting; Python forks nevertheless
        for i, owner in enumerate(self.owners):
            lock = owner._lock
            if lock.acquire(timeout=self.LONGEST):
                self.mine.held[i] = lock

    def after_in_parent(self):
        for lock in reversed(self.mine.held):
            if lock is not None:
                lock.release()

    def after_in_child(self):
        self.after_in_parent()
        for owner, lock in zip(self.owners, self.mine.held, strict=True):
            if lock is None:  # who has it is not here
                owner._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    _forks = _Forks()
    os.register_at_fork(before=_forks.before, after_in_parent=_forks.after_in_parent, after_in_child=_forks.after_in_child)
