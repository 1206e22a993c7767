"""When the folder of compiled kernels of another version of minidl is removed, and what is never removed."""

import os
import time

import numba
import pytest

from minidl.kernels import cache

from . import cache_checks
from .cache_checks import SOURCE_HASH, STRANGER, Disk, child, put
from .test_setup import SMALL, run

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no compiled code")
kernel, unpickled, open_folder = (getattr(cache_checks, name) for name in ("kernel", "unpickled", "open_folder"))


def old(parent, name, days=31, files=("kernel.nbc", f"kernel.nbc.0123{cache.UNFINISHED}"), text=cache.MARKER_TEXT):
    """A folder as another version of minidl left it, used `days` ago."""
    folder = parent / name
    folder.mkdir(parents=True)
    for file in files:
        put(folder / file, b"code")
    if text is not None:
        put(folder / cache.MARKER, text)
        os.utime(folder / cache.MARKER, (time.time() - days * cache.DAY,) * 2)
    return folder


def test_old_folders_are_removed_and_no_others(kernel, unpickled, open_folder, tmp_path):
    parent, names = tmp_path / "kernels", (f"{i:016x}" for i in range(100))
    gone = [old(parent, next(names)), old(parent, next(names), days=1000, files=())]
    kept = [
        old(parent, next(names), days=29),
        old(parent, next(names), days=-400),  # a clock that was wrong
        old(parent, next(names), text=None),
        old(parent, next(names), text=b"another text"),
        old(parent, next(names), files=("kernel.nbc", "thesis.txt")),
        old(parent, "my-own-folder-01"),
        old(parent, "0123456789ABCDEF"),
        old(parent, "0123456789abcdef0"),
        old(tmp_path / "elsewhere", next(names)),
    ]
    (parent / next(names)).symlink_to(kept[-1])
    linked = old(parent, next(names), text=None)
    (linked / cache.MARKER).symlink_to(kept[-1] / cache.MARKER)
    put(parent / next(names), b"a file")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        for part in ("folder", "marker"):
            foreign = old(parent, next(names))
            os.chown(foreign if part == "folder" else foreign / cache.MARKER, STRANGER, -1)
            kept.append(foreign)
    current = open_folder()
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.parent not in gone}
    kernel.save(current)
    assert kernel.load(current) is not None
    assert not any(folder.exists() for folder in gone) and all(folder.exists() for folder in kept)
    assert {path: path.read_bytes() for path in left} == left


def test_the_folder_in_use_is_not_removed_however_old_it_looks(kernel, unpickled, open_folder):
    folder = open_folder()
    os.utime(os.path.join(folder.path, cache.MARKER), (0, 0))
    kernel.save(folder)
    assert kernel.load(folder) is not None


def test_once_in_a_process_and_only_when_it_compiles(kernel, unpickled, open_folder, tmp_path):
    parent = tmp_path / "kernels"
    first = open_folder()
    kernel.save(first)
    folder = old(parent, "00000000000000aa")
    assert kernel.load(open_folder()) is not None and folder.exists()  # imported and loaded
    kernel.save(first)
    assert folder.exists()  # not a second time
    kernel.save(open_folder())
    assert not folder.exists()


def test_leftovers_of_killed_processes_are_removed(kernel, unpickled, open_folder):
    folder = open_folder()
    left, young = (os.path.join(folder.path, f"{name}{cache.UNFINISHED}") for name in ("left", "young"))
    for path in (left, young):
        put(path, b"half")
    os.utime(left, (time.time() - 2 * cache.DAY,) * 2)
    kernel.save(folder)
    assert not os.path.exists(left) and os.path.exists(young)


def test_a_marker_that_was_cut_short_is_written_anew(open_folder):
    """As on a disk that was full: without its text the folder would be kept for ever."""
    marker = os.path.join(open_folder().path, cache.MARKER)
    put(marker, b"")
    open_folder()
    with open(marker, "rb") as file:
        assert file.read() == cache.MARKER_TEXT


def test_the_last_use_is_noted_once_a_day(kernel, unpickled, open_folder, monkeypatch):
    folder = open_folder()
    marker = os.path.join(folder.path, cache.MARKER)
    for days, noted in ((0.5, False), (3, True), (-3, True)):
        before = time.time() - days * cache.DAY
        os.utime(marker, (before, before))
        again = open_folder()
        assert (abs(os.stat(marker).st_mtime - before) > 1) == noted
        os.utime(marker, (before, before))
        kernel.load(again)  # this process has looked
        assert abs(os.stat(marker).st_mtime - before) < 1
    os.utime(marker, (0, 0))
    clock = time.time() + 2 * cache.DAY  # a process that runs for days
    monkeypatch.setattr(cache.time, "time", lambda: clock)
    kernel.load(again)
    assert os.stat(marker).st_mtime > 1e9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_remove_at_once(open_folder, tmp_path):
    folder = open_folder()
    for i in range(200):
        old(tmp_path / "kernels", f"{i:016x}")
    processes = [child(folder._tidy, wait=False) for _ in range(2)]
    assert [os.waitpid(process, 0)[1] for process in processes] == [0, 0]
    folder._tidy()
    assert os.listdir(tmp_path / "kernels") == [SOURCE_HASH]


def test_a_removal_that_is_interrupted_is_ended_later(open_folder, monkeypatch, tmp_path):
    """At each operation of the disk: what is left is still known as minidl's."""
    folder, ended = open_folder(), []
    for at in range(1, 100):
        used = old(tmp_path / "kernels", f"{at:016x}")

        def fail(name):
            raise OSError(name)

        with monkeypatch.context() as patch:
            disk = Disk(at, fail, forever=True).put_in(patch)
            folder._tidy()
        left = os.listdir(used) if used.exists() else []
        assert not left or cache.MARKER in left
        if used.exists() and left:
            ended.append(at)
            folder._tidy()
            assert not used.exists()
        if len(disk.names) < at:
            break
    assert at < 99 and len(ended) > 5


def test_a_folder_used_while_it_is_removed_keeps_what_is_new(open_folder, monkeypatch, tmp_path):
    """Another process writes a file between the moment when the files are listed and the one when the folder goes."""
    folder, used = open_folder(), old(tmp_path / "kernels", "00000000000000aa")
    with monkeypatch.context() as patch:
        Disk(1, lambda name: put(used / "new.nbc", b"code") if name == "rmdir" else None, forever=True).put_in(patch)
        folder._tidy()
    assert os.listdir(used) == ["new.nbc"]


def test_an_import_removes_nothing(tmp_path):
    parent = tmp_path / "cache"
    run(SMALL, tmp_path, MINIDL_CACHE=str(parent))
    folder = old(parent, "00000000000000aa")
    run("import minidl", tmp_path, MINIDL_CACHE=str(parent))
    run(SMALL, tmp_path, MINIDL_CACHE=str(parent))  # only loads
    assert folder.exists()
    run("import minidl; minidl.ones(3).exp()", tmp_path, MINIDL_CACHE=str(parent))
    assert not folder.exists()
