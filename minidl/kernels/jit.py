"""How every kernel is compiled: one decorator, one cache policy, one notice.

A kernel is a module-level function of arrays and numbers, decorated with `@jit` (or `@jit(parallel=True)`). It never
raises and Numba checks no bounds, so the Python function in front of it validates first.

Compiled code is kept in a folder named after a hash of every file in this package, so stale code cannot be loaded,
whichever file was edited. `MINIDL_CACHE` chooses the parent folder; `MINIDL_CACHE=0` compiles afresh in each process.
"""

import hashlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numba
from numba.core import caching, event


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
    # Bounds checks change the machine code but not Numba's own cache key, so they are part of ours.
    digest = hashlib.sha256(f"{numba.__version__} {numba.config.BOUNDSCHECK}".encode())
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


def jit(function=None, **options):
    """numba.njit with this package's settings: no GIL, IEEE division by zero, cached on disk."""
    if function is None:
        return lambda f: jit(f, **options)
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if CACHE_FOLDER is not None:
        dispatcher._cache = _Cache(function)
    return dispatcher


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
