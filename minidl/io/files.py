"""Writes files so that they appear only when they are complete, and checks a file before it is read or replaced."""

import contextlib
import errno
import os
import stat
import time
import zlib
from pathlib import Path

from .. import io

_POSIX = os.name == "posix"  # else Windows, where a file that is in use can be neither renamed nor deleted
_TRIES = 100
_LONG_AGO = 86400  # seconds
_CANNOT = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}  # the errors of file systems that cannot flush


@contextlib.contextmanager
def open_to_read(name, f):
    """(the open file f, its size). `name` is the function that errors name. ValueError for a device, a pipe or a socket."""
    f = _path(name, f)
    mode = os.stat(f).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a pipe could wait for ever; of a folder, open tells
        raise _not_regular(name, f)
    with open(f, "rb") as file:
        yield file, os.fstat(file.fileno()).st_size


def write_file(name, f, write):
    """Calls write(file) with a new file, and gives it the name f when it is complete and on the disk.

    If anything fails, what was there before stays. `name` is the function that errors name.
    """
    f = _path(name, f)
    path = Path(os.path.realpath(f))  # of a symbolic link, what it points to
    old = _old(name, f, path)
    start = _start_of_unfinished(path)
    _remove_leftovers(path.parent, start)
    for _ in range(_TRIES):
        unfinished = path.with_name(start + os.urandom(8).hex())
        if _write(path, old, unfinished, write):
            _flush_folder(path.parent)
            return
    raise FileExistsError(f"{name}: in {path.parent} every new file is taken or removed by others at once")


def _write(path, old, unfinished, write):
    """Whether the file could be made: False if another process took its name or removed it before it was locked."""
    mode = 0o600 if old else 0o666  # an old file gets its own mode at the end; less the umask
    try:
        with open(unfinished, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if not _lock(file.fileno(), unfinished):
                return False
            write(file)
            file.flush()
            if old and _POSIX:
                _keep_mode(file.fileno(), old)
            _flush(file.fileno())
            if _POSIX:  # renamed while it is locked, so that no process removes it as a leftover
                os.replace(unfinished, path)
        if not _POSIX:
            os.replace(unfinished, path)
        return True
    except FileExistsError:
        return False
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            os.unlink(unfinished)
        raise


def _path(name, f):
    if not isinstance(f, (str, os.PathLike)):
        remedy = "; the file comes second: minidl.save(object, file)" if name == "save" else ""
        raise TypeError(f"{name}: expected the name of a file, or an open file, got {type(f).__name__}{remedy}")
    return os.fspath(f)


def _not_regular(name, f):
    return ValueError(f"{name}: {f} is a device, a pipe or a socket, and no regular file; give the name of a file")


def _old(name, f, path):
    """The os.stat of the file that will be replaced, or None if there is none."""
    try:
        old = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        old = None
    if not f or not path.parent.is_dir() or (old and stat.S_ISDIR(old.st_mode)):
        raise FileNotFoundError(f"{name}: {f!r} is not the name of a file in a folder that exists")
    if old and not stat.S_ISREG(old.st_mode):
        raise _not_regular(name, f)
    if old and not os.access(path, os.W_OK):  # a rename would replace it all the same
        raise PermissionError(errno.EACCES, f"{name}: the file is write-protected; chmod u+w, or take another name", str(f))
    return old


def _keep_mode(number, old):
    """Gives a file the owner and the mode of an old one. Where its group cannot be kept, the group gets no rights."""
    mode, new = stat.S_IMODE(old.st_mode), os.fstat(number)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(number, old.st_uid, old.st_gid)
        except OSError:
            try:
                os.fchown(number, -1, old.st_gid)
                mode &= 0o777
            except OSError:
                mode &= 0o707
    if stat.S_IMODE(os.fstat(number).st_mode) != mode:
        os.fchmod(number, mode)


def _flush(number):
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def _flush_folder(folder):
    """Writes to the disk that a file was renamed, where the system can."""
    if not _POSIX:
        return
    try:
        number = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written, but not read
        return
    try:
        _flush(number)
    finally:
        os.close(number)


# --- Leftovers of processes that were killed. A file is locked while it is written, and the system unlocks it when its process
# ends, however it ends. So a file that can be locked is not in use. Process numbers are not used for this: a number may belong
# to a new process by now, or to one in another container.


def _start_of_unfinished(path):
    """How the names of unfinished files for a path begin: short, for a path may use all 255 bytes of a name."""
    host = zlib.crc32(os.uname().nodename.encode()) if _POSIX else 0
    return f".minidl-{zlib.crc32(os.fsencode(path.name)):08x}-{host:08x}-"


def _lock(number, unfinished):
    """Locks a new file. False if another process locked it first, or removed it as a leftover."""
    if not _POSIX:
        return True
    try:
        io.posix.lock(number)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: no process can lock there, so no process removes anything
        return True
    try:
        return os.path.samestat(os.fstat(number), os.stat(unfinished))
    except FileNotFoundError:
        return False


def _remove_leftovers(folder, start):
    """Removes unfinished files that nobody is writing. On a file system where locks hold on one machine only, those of another
    machine are left alone for a day."""
    here, anywhere = start, start[:-9]
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if entry.name.startswith(anywhere)]:
            with contextlib.suppress(OSError):
                _remove_leftover(os.path.join(folder, name), 0 if name.startswith(here) else _LONG_AGO)


def _remove_leftover(path, age):
    if not _POSIX:
        os.unlink(path)
        return
    number = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(number)
        if stat.S_ISREG(found.st_mode) and found.st_mtime <= time.time() - age:
            io.posix.lock(number)
            os.unlink(path)  # if it was renamed or removed since it was opened, there is no file of this name
    finally:
        os.close(number)
