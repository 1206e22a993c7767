"""Compiled kernels on disk: where they are kept, who may have written them, and what of them is loaded.

A file holds a pickle with machine code in it: whoever writes it chooses what runs here, and one wrong bit computes something
else. Therefore
- the folder is private: made for this user alone, and not used where others could write to it;
- a file is loaded only if this user owns it and nobody else may write to it, whatever has become of the folder;
- it begins with a checksum of its name and content, compared before anything in it is used. A file that is damaged, or in
  the place of another, is as good as none: its kernel is compiled again and replaces it.

The folder is named after a hash of every file in this package, so stale code cannot be loaded, whichever file was edited.
There is one file for each kernel and list of argument types, and no index of them: the name is a hash of all that the code
depends on. It is written beside its place and then moved there: processes that write at once replace each other's whole files.
`MINIDL_CACHE` chooses the parent folder; `MINIDL_CACHE=0` compiles afresh in each process. An error of the disk is told once.
"""

import contextlib
import hashlib
import os
import pickle
import re
import stat
import sys
import time
import warnings
from pathlib import Path
from types import FunctionType

import llvmlite
import numba
from numba.core import caching, compiler, serialize
from numba.core.registry import cpu_target

DAY = 24 * 3600  # seconds
KEPT = 30 * DAY  # how long a folder is kept that nobody uses
ENDING, UNFINISHED = ".nbc", ".unfinished"
MARKER = "made-by-minidl.txt"  # says whose folder this is, and by its time when it was last used
MARKER_TEXT = b"minidl keeps compiled kernels in this folder. It removes the folder when nobody has used it for 30 days.\n"
DIGEST = hashlib.sha256
# A link is not followed, and a pipe is not waited for. The last is for Windows, where the others are missing.
SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


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
    # These change the machine code (the widths of vectors are frozen into it) but are not in a file's name, so they are here.
    config = numba.config
    settings = config.BOUNDSCHECK, config.CPU_NAME, config.CPU_FEATURES, config.ENABLE_AVX
    digest = DIGEST(f"{numba.__version__} {llvmlite.__version__} {settings}".encode())
    for name in sorted(_written()):
        with open(os.path.join(os.path.dirname(__file__), name), "rb") as file:
            source = file.read()
        # Without name and length, code that moves from the end of one file to the top of the next would change nothing.
        digest.update(f"{name} {len(source)}\n".encode())
        digest.update(source)
    return digest.hexdigest()[:16]


def _written():
    """When the files of this package were last written."""
    with os.scandir(os.path.dirname(__file__)) as entries:
        return {entry.name: entry.stat().st_mtime_ns for entry in entries if entry.name.endswith(".py")}


_warned = False


def _warn(reason):
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"minidl: compiled kernels cannot be kept ({reason}); they are compiled in every process. "
            "Set MINIDL_CACHE to a folder that only you can write to, with free space, or to 0 to silence this.",
            RuntimeWarning,
            stacklevel=2,
        )


def _user():
    """The user whom the files belong to that this process makes; None on Windows, which protects files in another way."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def _others_may_write(status):
    # A group with the number of the user is the user's own, as Linux distributions make it for everybody.
    groups = stat.S_IWGRP if status.st_gid != status.st_uid or status.st_uid != _user() else 0
    return bool(status.st_mode & (stat.S_IWOTH | groups))


def _check_parent(parent):
    """Raises where somebody else could put a folder of theirs in the place of one of ours in `parent`, or of `parent` itself.

    Others may write to a folder with the sticky bit, as /tmp: there they cannot rename what is ours. Above the parent only what
    everybody may write to is refused. Groups and owners of projects are let be: in the end each file must be this user's.
    """
    user = _user()
    if user is None:
        return
    nearest = parent
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)
    folder = nearest
    while True:
        status = os.stat(folder)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(f"{folder} is not a folder")
        if folder == nearest and status.st_uid not in (user, 0):
            raise PermissionError(f"{folder} belongs to another user")
        exposed = _others_may_write(status) if folder == nearest else status.st_mode & stat.S_IWOTH
        if exposed and not status.st_mode & stat.S_ISVTX:
            raise PermissionError(f"others can write to {folder}; chmod go-w {folder} ends that")
        if folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)


def _make_private(path):
    """Makes the folder for this user alone, or closes it for others if it is this user's; raises if it is somebody else's."""
    parent = os.path.dirname(path)
    _check_parent(parent)
    missing = []
    while not os.path.isdir(parent) and parent != os.path.dirname(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    for folder in [*reversed(missing), path]:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{path} is not a folder")
    if _user() is None:
        return
    if status.st_uid != _user():
        raise PermissionError(f"{path} belongs to another user")
    if status.st_mode & 0o077:  # the name is one that only minidl gives; and files in it that are not ours are never loaded
        with contextlib.suppress(OSError):  # on a disk that cannot be written to; then it matters who else could
            os.chmod(path, 0o700)
        if os.lstat(path).st_mode & 0o022:
            raise PermissionError(f"others can write to {path}")


def _opener(path, flags):
    return os.open(path, flags | SAFELY, 0o600)


class Folder:
    """A private folder of files with checksums. It may fail, or be gone, at any moment.

    Folders beside it that minidl made, and nobody has used for 30 days, are removed when the first file is written.
    """

    def __init__(self, path):
        parent, name = os.path.split(path)
        self.path = os.path.join(os.path.realpath(parent), name)  # the last name is not to be a link
        _make_private(self.path)
        self._marked, self._tidied = -DAY, False
        self._mark()

    def _digest(self, name, content):
        digest = DIGEST(os.fsencode(f"{os.path.basename(self.path)}/{name}\0"))
        digest.update(content)
        return digest.digest()

    def read(self, name):
        """What `write` was given, or None if there is no such file, or not such as it left it. May raise OSError."""
        self._mark()
        try:
            with open(os.path.join(self.path, name), "rb", opener=_opener) as file:
                if not _is_private(os.fstat(file.fileno())):
                    return None
                data = memoryview(file.read())
        except FileNotFoundError:
            return None
        size = DIGEST().digest_size
        return data[size:] if data[:size] == self._digest(name, data[size:]) else None

    def write(self, name, content):
        try:
            self._write(name, content)
        except FileNotFoundError:  # somebody has removed the folder
            _make_private(self.path)
            self._marked = -DAY
            self._write(name, content)
        self._mark()
        if not self._tidied:
            self._tidied = True
            self._tidy()

    def _write(self, name, content):
        path = os.path.join(self.path, name)
        unfinished = f"{path}.{os.urandom(8).hex()}{UNFINISHED}"
        try:
            with open(unfinished, "xb", opener=_opener) as file:
                file.write(self._digest(name, content))
                file.write(content)
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise

    def _mark(self):
        """Sets the marker's time, the folder's last use, at most once a day."""
        now = time.time()
        if abs(now - self._marked) < DAY:
            return
        self._marked = now
        marker = os.path.join(self.path, MARKER)
        with contextlib.suppress(OSError):  # then the folder is removed too early, or never
            try:
                status = os.lstat(marker)
            except FileNotFoundError:
                status = None
            if status is None or status.st_size != len(MARKER_TEXT):
                with open(marker, "wb", opener=_opener) as file:
                    file.write(MARKER_TEXT)
            elif abs(now - status.st_mtime) > DAY:
                os.utime(marker)

    def _tidy(self):
        """Removes old folders beside this one, and in this one what a process left that was killed while it wrote."""
        parent, own = os.path.split(self.path)
        long_ago = time.time() - KEPT
        with contextlib.suppress(OSError), os.scandir(parent) as entries:
            for entry in entries:
                if _is_hash(entry.name) and entry.name != own and entry.is_dir(follow_symlinks=False):
                    _remove_if_old(entry.path, long_ago)
        for name in _names(self.path):
            if name.endswith(UNFINISHED):
                with contextlib.suppress(OSError):
                    path = os.path.join(self.path, name)
                    if os.lstat(path).st_mtime < time.time() - DAY:
                        os.unlink(path)


def _is_hash(name):
    return len(name) == 16 and set(name) <= set("0123456789abcdef")


def _is_private(status):
    """Whether a file is a regular one that only this user can have written, under this name only."""
    if not stat.S_ISREG(status.st_mode):
        return False
    # It has no name at all when it has been replaced since it was opened.
    return _user() is None or (status.st_uid == _user() and not status.st_mode & 0o022 and status.st_nlink <= 1)


def _names(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def _remove_if_old(path, long_ago):
    """Removes a folder if minidl made it, nobody has used it since `long_ago` and minidl wrote everything in it.

    The marker goes last: what is left when another process writes to it meanwhile, or removes it, too, is still known as ours.
    """
    marker = os.path.join(path, MARKER)
    with contextlib.suppress(OSError):
        if _user() not in (None, os.lstat(path).st_uid) or os.lstat(marker).st_mtime > long_ago:
            return
        with open(marker, "rb", opener=_opener) as file:
            if not _is_private(os.fstat(file.fileno())) or file.read(1 << 10) != MARKER_TEXT:
                return
        names = [name for name in os.listdir(path) if name != MARKER]
        if all(name.endswith((ENDING, UNFINISHED)) for name in names):
            for name in [*names, MARKER]:
                os.unlink(os.path.join(path, name))
            os.rmdir(path)


def _open_folder():
    """The folder for compiled code, or None: where none is wanted, or (with a warning) none can be used."""
    if os.environ.get("MINIDL_CACHE") == "0" or numba.config.DISABLE_JIT:
        return None
    try:
        return Folder(_parent_folder() / _source_hash())
    except (OSError, RuntimeError) as error:  # RuntimeError: "~" with no home directory
        _warn(error)
        return None


def _is_busy(error):
    """Whether another process has the file open: Windows then refuses to open it or to replace it."""
    return os.name == "nt" and isinstance(error, PermissionError)


def _digest_function(digest, function):
    code = function.__code__
    digest.update(repr((function.__module__, function.__qualname__, code.co_firstlineno)).encode())
    digest.update(code.co_code)
    for cell in function.__closure__ or ():
        kernel = getattr(cell.cell_contents, "__wrapped__", None)
        if isinstance(kernel, FunctionType):  # of a kernel itself, a pickle has what differs from process to process
            _digest_function(digest, kernel)
        else:
            digest.update(serialize.dumps(cell.cell_contents))


class DiskCache(caching._Cache):
    """What Numba asks for a kernel's code before it compiles it, and gives the code to afterwards: the files of one kernel."""

    def __init__(self, function, folder, use=""):
        self._function, self._folder, self._use = function, folder, use
        name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        self._name = re.sub(r"[^\w.]", "_", name)

    @property
    def cache_path(self):
        return self._folder.path

    def has(self, sig):
        """Whether there is a file for these argument types; `load_overload` looks whether it is a good one."""
        return os.path.exists(os.path.join(self.cache_path, self._file(sig, cpu_target.target_context.codegen())))

    def load_overload(self, sig, target_context):
        target_context.refresh()
        try:
            content = self._folder.read(self._file(sig, target_context.codegen()))
            if content is not None:
                return compiler.CompileResult._rebuild(target_context, *pickle.loads(content))
        except OSError as error:
            if not _is_busy(error):
                _warn(error)
        except Exception:  # too little memory, for example: it is compiled then
            pass
        return None

    def save_overload(self, sig, data):
        try:
            if data.lifted or data.library.has_dynamic_globals:
                raise ValueError(f"{self._name} refers to objects of this process")
            self._folder.write(self._file(sig, data.codegen), serialize.dumps(data._reduce()))
        except Exception as error:  # the kernel is compiled, and can do its work
            if not _is_busy(error):
                _warn(error)

    def _file(self, sig, codegen):
        """The name of the file: a hash of all that the code depends on, besides what names the folder."""
        key = sys.implementation.cache_tag, self._use, sig, codegen.magic_tuple()
        digest = DIGEST(repr(key).encode())
        _digest_function(digest, self._function)
        return f"{self._name}-{digest.hexdigest()[:32]}{ENDING}"

    def flush(self):
        """Removes the kernel's files: they are not to be loaded any more."""
        for name in _names(self.cache_path):
            if name.startswith(f"{self._name}-"):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self.cache_path, name))

    def enable(self):
        """Numba's switch. It is always on."""

    def disable(self):
        raise NotImplementedError("the cache of a kernel cannot be turned off; MINIDL_CACHE=0 does it for all of them")


WRITTEN = _written()  # as they were at the import
_as_imported = set()


def is_as_imported(module):
    """Whether a module was loaded, with all that it imports, before a file of this package was edited.

    Files are loaded at their first use. The code of an edited one must not get into the folder of what it was before.
    """
    if module not in _as_imported and _written() == WRITTEN:
        _as_imported.add(module)
    return module in _as_imported


def __getattr__(name):
    """Opens FOLDER when it is first asked for (PEP 562): its name takes a millisecond to compute."""
    if name == "FOLDER":
        return globals().setdefault(name, _open_folder())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
