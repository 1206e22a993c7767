"""What the tests of the cache share: a small kernel, its code on disk, and a file system that fails when it is told to."""

import contextlib
import errno
import os
import pickle
import types
import warnings

import numba
import pytest

from minidl.kernels import cache

SOURCE_HASH = "0123456789abcdef"
STRANGER = 54321  # a user, and a group
SIG = (numba.int64,)


def twice(x):
    return 2 * x + 1


def thrice(x):
    return 3 * x + 2


class Kernel:
    """A function compiled once, and what its file on disk holds."""

    def __init__(self, function):
        self.function = function
        self.dispatcher = numba.njit(function)
        self.dispatcher.compile(SIG)
        self.compiled = self.dispatcher.overloads[SIG]
        self.content = cache.serialize.dumps(self.compiled._reduce())
        self.context = self.dispatcher.targetctx

    def disk(self, folder):
        return cache.DiskCache(self.function, folder)

    def load(self, folder):
        return self.disk(folder).load_overload(SIG, self.context)

    def save(self, folder):
        self.disk(folder).save_overload(SIG, self.compiled)

    def file(self, folder):
        return self.disk(folder)._file(SIG, self.compiled.codegen)

    def path(self, folder):
        return os.path.join(folder.path, self.file(folder))

    def fresh(self, folder):
        """A dispatcher of a new process, as far as this kernel goes."""
        dispatcher = numba.njit(self.function)
        dispatcher._cache = self.disk(folder)
        return dispatcher


@pytest.fixture(scope="module")
def kernel():
    return Kernel(twice)


@pytest.fixture(scope="module")
def other():
    return Kernel(thrice)


@pytest.fixture
def unpickled(monkeypatch):
    """The contents that are unpickled, in a list; nothing is made of them but the parts of a compiled kernel."""
    seen = []

    def loads(content):
        seen.append(bytes(content))
        return pickle.loads(content)

    rebuild = types.SimpleNamespace(CompileResult=types.SimpleNamespace(_rebuild=lambda context, *parts: parts))
    monkeypatch.setattr(cache, "pickle", types.SimpleNamespace(loads=loads))
    monkeypatch.setattr(cache, "compiler", rebuild)
    return seen


@pytest.fixture
def open_folder(monkeypatch, tmp_path):
    """Opens tmp_path/kernels/SOURCE_HASH (or that of another parent) as a process does that begins."""
    monkeypatch.setattr(cache, "_source_hash", lambda: SOURCE_HASH)

    def begin(parent=tmp_path / "kernels"):
        monkeypatch.setenv("MINIDL_CACHE", str(parent))
        monkeypatch.setattr(cache, "_warned", False)
        return cache._open_folder()

    return begin


def put(path, data):
    """A file anew: to write over an old one takes some file systems milliseconds."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o600)


class Disk:
    """Stands for `os` and `open` in cache.py. `happens(name)` is called before each operation number `at` or later."""

    OPERATIONS = [
        "open",
        "mkdir",
        "chmod",
        "lstat",
        "stat",
        "fstat",
        "utime",
        "replace",
        "unlink",
        "rmdir",
        "listdir",
        "scandir",
    ]

    def __init__(self, at, happens, forever=False):
        self.at, self.happens, self.forever, self.names = at, happens, forever, []

    def step(self, name, half=None):
        self.names.append(name)
        if len(self.names) == self.at or (self.forever and len(self.names) > self.at):
            if half is not None:
                half()
            self.happens(name)

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in self.OPERATIONS:
            return real

        def operation(*arguments, **options):
            self.step(name)
            return real(*arguments, **options)

        return operation

    def open_file(self, *arguments, **options):
        return _File(open(*arguments, **options), self)

    def put_in(self, monkeypatch):
        monkeypatch.setattr(cache, "os", self)
        monkeypatch.setattr(cache, "open", self.open_file, raising=False)
        return self


class _File:
    def __init__(self, file, disk):
        self.file, self.disk, self.fileno = file, disk, file.fileno

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()
        self.disk.step("close")

    def read(self, *size):
        self.disk.step("read")
        return self.file.read(*size)

    def write(self, data):
        def half():
            self.file.write(data[: len(data) // 2])
            self.file.flush()

        self.disk.step("write", half)
        return self.file.write(data)


ERRORS = [OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES)]


def child(work, wait=True):
    """Runs work() in a forked child: its status when it has ended, or its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 advises against it where there are threads
        process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(process, 0)[1] if wait else process
