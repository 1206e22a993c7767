"""How every kernel is compiled: one decorator, one cache policy, one notice.

A kernel is a module-level function of arrays and numbers, decorated with `@jit` (or `@jit(parallel=True)`). It never
raises and Numba checks no bounds, so the Python function in front of it validates first. cache.py keeps the code on disk.
"""

import contextlib
import functools
import gc
import os
import sys
import weakref

import numba
import numpy as np
from llvmlite.binding import ffi
from numba import types
from numba.core import cgutils, event
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.targetconfig import ConfigStack
from numba.extending import intrinsic

from ..startup import NoCollection
from . import cache
from .pipeline import KERNEL, WITHIN


class _LazyKernel:
    """A kernel that has not been used yet. Its dispatcher, what Numba puts in front of it, is made at the first use.

    A process uses few of the kernels, and to make the dispatchers of all of them was a tenth of the time of the import.
    """

    def __init__(self, function, options):
        functools.update_wrapper(self, function)
        self._options, self._made = options, {}

    def __call__(self, *arguments):
        return None if planning() else self._dispatcher()(*arguments)

    def __getattr__(self, name):  # `compile`, for example, or `_numba_type_` where Numba meets the kernel within another one
        if name.startswith("__"):  # asked by what looks at objects or copies them
            raise AttributeError(name)
        if name == "_numba_type_":
            return self._dispatcher(ConfigStack().top().nrt if ConfigStack() else self.counts)._numba_type_
        return getattr(self._dispatcher(), name)

    def _dispatcher(self, within=None):
        """For calls from Python, or for those within kernels that count references, or that do not."""
        if within not in self._made:
            with global_compiler_lock:  # so that no child is forked meanwhile; Numba has locks in there
                self._made.setdefault(within, _make(self.__wrapped__, self._options, self.counts, within))
        return self._made[within]  # the same for two threads that came at once

    @functools.cached_property
    def counts(self):
        """Whether it counts references to arrays, as Numba does: the arrays of most kernels are those of who calls them.

        A kernel must count if it returns an array of its own, made with np.empty or np.zeros. Parallel loops do.
        """
        code, cells = self.__wrapped__.__code__, self.__wrapped__.__closure__ or ()
        if self._options.get("parallel") or {"empty", "zeros"} & {*code.co_names}:
            return True
        called = [self.__wrapped__.__globals__.get(name) for name in code.co_names] + [cell.cell_contents for cell in cells]
        return any(isinstance(kernel, _LazyKernel) and kernel.counts for kernel in called if kernel is not self)


def _without_collection(compile, *arguments):
    """Python's search for garbage pauses meanwhile: in all that Numba makes it would take a seventh of the time.

    Under Numba's lock only one thread pauses it, and no other one forks in between, whose child would go on without it.
    """
    with global_compiler_lock:
        enabled = gc.isenabled()
        try:
            gc.disable()
            return compile(*arguments)
        finally:
            if enabled:
                gc.enable()


@functools.cache
def _complete_numba():
    """Loads what Numba leaves for the first use of a kernel: some hundred modules, which make no garbage."""
    with NoCollection():
        cpu_target.target_context.refresh()


def _make(function, options, counts=True, within=None):
    """Numba's dispatcher of a kernel, see `_LazyKernel._dispatcher`."""
    _complete_numba()
    inside = within is not None
    options = {**options, **(WITHIN if inside else KERNEL), "_nrt": within if inside else counts}
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    dispatcher.compile = functools.partial(_without_collection, dispatcher.compile)
    if inside:  # with a number of the source among the arguments, Numba would compile for just this number first
        find = dispatcher.get_call_template
        dispatcher.get_call_template = lambda args, kws: find(tuple(map(types.unliteral, args)), kws)
    if cache.FOLDER is not None and cache.is_as_imported(function.__module__):
        dispatcher._cache = cache.DiskCache(function, cache.FOLDER, f"within {within}" if inside else "")
    return dispatcher


def jit(function=None, **options):
    """numba.njit with this package's settings: no GIL, IEEE division by zero, cached on disk."""
    if function is None:
        return lambda f: jit(f, **options)
    return function if numba.config.DISABLE_JIT else _LazyKernel(function, options)


FLOATS = np.dtype(np.float32), np.dtype(np.float64)


class _Tables(weakref.WeakSet):
    def __iter__(self):  # of those there are now: meanwhile another thread may load a file with more of them
        return iter([table for reference in tuple(self.data) if (table := reference()) is not None])


tables = _Tables()  # every CodeByDtype
recorder = None  # while a step is recorded (capture/): a function of (table, dtype, code), whose result is called instead
planner = None  # while warmup plans (ahead.py): its thread computes nothing, and what it would compile is noted


def planning():
    """Whether this thread plans: no kernel does anything."""
    return planner is not None and planner.plans()


class CodeByDtype(dict):
    """kernel[dtype](*arguments): the machine code of a kernel for one element type, compiled at its first use.

    For kernels that take arrays of any layout: `signature(element)` is the tuple of argument types they are compiled
    for, made with `strided` and `dense`. The code is called without Numba's dispatch: 0.2 µs less, no second
    compilation for another layout, and no check of the arguments. A kernel that `calls` another one takes its address first.
    """

    def __init__(self, kernel, signature, calls=None, integers=False):
        self.kernel, self.signature, self.calls, self.integers = kernel, signature, calls, integers
        self._kinds = {}
        tables.add(self)

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other

    def __missing__(self, dtype):
        if dtype not in FLOATS and not (self.integers and dtype.kind in "iu" and dtype.isnative):
            raise TypeError(f"{self.kernel.__name__}: expected an array of float32 or float64, got {dtype}")
        if planning():
            return planner.note(self, dtype)
        code = self.compiled(dtype)
        self[dtype] = code = code if recorder is None else recorder(self, dtype, code)
        return code

    def compiled(self, dtype):
        # Two threads at once do no harm: Numba lets one of them compile and gives its code to the other.
        code = self.kernel if numba.config.DISABLE_JIT else self.kernel.compile(self.kinds(dtype))
        return code if self.calls is None else functools.partial(code, self.calls.address(dtype))

    def is_kept(self, dtype):
        """Whether the code lies on disk, or nothing is kept there."""
        if cache.FOLDER is None:
            return True
        kept = self.kernel._cache
        return not isinstance(kept, cache.DiskCache) or kept.has(self.kinds(dtype))

    def kinds(self, dtype):
        """The types of the arguments for this element type, which take 20 µs to make."""
        kinds = self._kinds.get(dtype)
        if kinds is None:
            kinds = self._kinds[dtype] = self.signature(numba.from_dtype(dtype))
        return kinds

    def address(self, dtype):
        """What `call` wants in order to call the kernel from another one."""
        if numba.config.DISABLE_JIT:
            return self.kernel
        self[dtype]  # compiles it
        if planning():
            return 0
        code = self.kernel.overloads[self.kinds(dtype)]
        return code.library.get_pointer_to_function(code.fndesc.llvm_func_name)


@intrinsic
def call(typing, address, *arguments):
    """Calls a kernel without a result by its address. Integers among the arguments are made intp.

    A MemoryError in it is one of the caller.
    """
    kinds = [types.intp if isinstance(kind, types.Integer) else kind for kind in arguments]
    sig = types.void(types.intp, types.StarArgTuple.from_types(kinds))

    def codegen(context, builder, sig, args):
        convention = context.call_conv
        pointer = builder.inttoptr(args[0], convention.get_function_type(types.none, kinds).as_pointer())
        unpacked = cgutils.unpack_tuple(builder, args[1])
        status, _ = convention.call_function(builder, pointer, types.none, kinds, unpacked)
        with cgutils.if_unlikely(builder, status.is_error):  # a kernel raises nothing, but memory may end
            convention.return_status_propagate(builder, status)
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
            time = "once, from a few seconds (a perceptron) to ten or twenty (a convolutional network)"
            print(f"minidl: compiling kernels for this processor: {time}; {kept}", file=sys.stderr)

    def on_end(self, event):
        pass


event.register("numba:compile", _Notice())


@contextlib.contextmanager
def without_notice():
    """What is compiled inside is not kept, so the notice would be wrong."""
    told, _Notice.told = _Notice.told, True
    try:
        yield
    finally:
        _Notice.told = told


# A child has only the thread that forked. If another one is compiling at that moment, its locks stay locked in the child for
# ever, and what they protect stays half done. So a fork waits until no other thread compiles, loads or makes a kernel: some
# seconds at most, since each kernel is compiled on its own. A thread that forks while it compiles has the locks already, and
# may take them again. The hooks but the last are written in C: Ctrl-C comes between no two lines and leaves no lock taken.
LONGEST_WAIT = 60  # seconds; a thread that compiles may itself be waiting for the one that forks


def _hold_around_forks(*locks):
    """Holds the locks, which are taken in this order, around every fork."""
    for lock in reversed(locks):  # before a fork, the hook that was registered last comes first
        wait = functools.partial(lock.acquire, timeout=LONGEST_WAIT)
        os.register_at_fork(before=wait, after_in_parent=lock.release, after_in_child=lock.release)
    for lock in locks:
        os.register_at_fork(after_in_child=functools.partial(_open, lock))


def _open(lock):
    """Opens a lock in a child, where the thread that has it is not, if the wait for it ended before it was given back."""
    if lock.acquire(blocking=False):
        lock.release()
    else:
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    # Numba's and llvmlite's. Neither can be asked for its lock with a limit to the time.
    owners = (global_compiler_lock, getattr(ffi.lib, "_lock", None))
    _hold_around_forks(*(owner._lock for owner in owners if hasattr(owner, "_lock")))
