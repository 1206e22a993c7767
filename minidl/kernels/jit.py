"""How every kernel is compiled: one decorator, one cache policy, one notice.

A kernel is a module-level function of arrays and numbers, decorated with `@jit` (or `@jit(parallel=True)`). It never
raises and Numba checks no bounds, so the Python function in front of it validates first.

Compiled code is kept in a folder named after a hash of every file in this package, so stale code cannot be loaded,
whichever file was edited. `MINIDL_CACHE` chooses the parent folder; `MINIDL_CACHE=0` compiles afresh in each process.
"""

import functools
import hashlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numba
import numpy as np
from numba import types
from numba.core import caching, cgutils, event
from numba.extending import intrinsic


def _parent_folder():
    chosen = os.environ.get("MINIDL_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "minidl"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/minidl").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "minidl"


def _source_hash():
    # These change the machine code (the widths of vectors are frozen into it) but not Numba's own key, so they are in ours.
    config = numba.config
    settings = config.BOUNDSCHECK, config.CPU_NAME, config.CPU_FEATURES, config.ENABLE_AVX
    digest = hashlib.sha256(f"{numba.__version__} {settings}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder():
    """The folder for compiled code, or None (with a warning) where there is nowhere to write."""
    if os.environ.get("MINIDL_CACHE") == "0" or numba.config.DISABLE_JIT:
        return None
    try:
        folder = _parent_folder() / _source_hash()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return str(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: "~" with no home directory
        warnings.warn(
            f"minidl: compiled kernels cannot be kept ({error}); they are compiled in every process. "
            "Set MINIDL_CACHE to a writable folder, or to 0 to silence this.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


CACHE_FOLDER = _cache_folder()


class _Place:
    """Where Numba keeps a kernel: in our folder, whose name already says which source the code is of."""

    def __init__(self, line):
        self.line = line

    @classmethod
    def from_function(cls, function, path):
        return cls(function.__code__.co_firstlineno)

    def get_cache_path(self):
        return CACHE_FOLDER

    def get_source_stamp(self):
        return None

    def get_disambiguator(self):
        return str(self.line)

    def ensure_cache_path(self):
        os.makedirs(CACHE_FOLDER, exist_ok=True)


class _Compiled(caching.CompileResultCacheImpl):
    _locator_classes = [_Place]


class _Cache(caching.FunctionCache):
    """Numba's disk cache, for which a damaged file is a miss and not a crash."""

    _impl_class = _Compiled

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a truncated pickle can raise nearly anything
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except Exception:
            self.flush()  # the index itself was damaged: start it anew
            super().save_overload(sig, data)


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
            self._made.append(_make(self.__wrapped__, self._options))
        return self._made[0]  # the same for two threads that came at once


def _make(function, options):
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if CACHE_FOLDER is not None:
        dispatcher._cache = _Cache(function)
    return dispatcher


def jit(function=None, **options):
    """numba.njit with this package's settings: no GIL, IEEE division by zero, cached on disk."""
    if function is None:
        return lambda f: jit(f, **options)
    return function if numba.config.DISABLE_JIT else _LazyKernel(function, options)


def inner(function):
    """As jit, for a kernel that only other kernels call: without code for callers in Python and C, there is less to compile."""
    return jit(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


FLOATS = np.dtype(np.float32), np.dtype(np.float64)


class CodeByDtype(dict):
    """kernel[dtype](*arguments): the machine code of a kernel for one element type, compiled at its first use.

    For kernels that take arrays of any layout: `signature(element)` is the tuple of argument types they are compiled
    for, made with `strided` and `dense`. The code is called without Numba's dispatch: 0.2 µs less, no second
    compilation for another layout, and no check of the arguments. A kernel that `calls` another one takes its address first.
    """

    def __init__(self, kernel, signature, calls=None):
        self.kernel, self.signature, self.calls = kernel, signature, calls

    def __missing__(self, dtype):
        if dtype not in FLOATS:
            raise TypeError(f"{self.kernel.__name__}: expected an array of float32 or float64, got {dtype}")
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
            kept = f"kept in {CACHE_FOLDER}" if CACHE_FOLDER else "not kept: no cache folder"
            print(f"minidl: compiling kernels for this processor, some seconds the first time ({kept})", file=sys.stderr)

    def on_end(self, event):
        pass


event.register("numba:compile", _Notice())
