"""Whose the folder of compiled kernels is, and what others may do to it."""

import os
import re
import shutil
import stat
import warnings

import numba
import pytest

from minidl.kernels import cache

from . import cache_checks
from .cache_checks import SOURCE_HASH, STRANGER, put
from .test_setup import SMALL, run

pytestmark = [
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no compiled code"),
    pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owners here"),
]
as_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can give files to another user")
kernel, unpickled, open_folder = (getattr(cache_checks, name) for name in ("kernel", "unpickled", "open_folder"))
ONE = "[1.0, 1.0, 1.0]\n"


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


class Evil:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def plant(folder, name, trace):
    """A file as minidl writes it, checksum and all, that runs foreign code."""
    content = cache.serialize.dumps(Evil(trace))
    put(os.path.join(folder, name), _seal(folder, name, content))


def _seal(folder, name, content):
    sealed = object.__new__(cache.Folder)
    sealed.path = str(folder)
    return sealed._digest(name, content) + content


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache of one kernel that a process has compiled."""
    folder = tmp_path_factory.mktemp("filled")
    assert run(SMALL, folder, MINIDL_CACHE=str(folder / "cache"))[0] == ONE
    return folder / "cache"


@as_root
def test_foreign_code_is_not_run_in_a_process_of_its_own(filled, tmp_path):
    parent, trace = shutil.copytree(filled, tmp_path / "cache"), tmp_path / "trace"
    ((folder, _, files),) = [found for found in os.walk(parent) if found[2]]
    assert len(files) >= 2 and re.fullmatch("[0-9a-f]{16}", os.path.basename(folder))
    for name in files:
        if name != cache.MARKER:
            plant(folder, name, trace)
    assert run(SMALL, tmp_path, MINIDL_CACHE=str(parent))[0] == ONE
    assert trace.is_dir()  # the attack would work
    trace.rmdir()
    for path in (parent, folder, *(os.path.join(folder, name) for name in files)):
        os.chown(path, STRANGER, STRANGER)
    stdout, stderr = run(SMALL, tmp_path, MINIDL_CACHE=str(parent))
    assert stdout == ONE and not trace.exists()
    assert stderr.count("RuntimeWarning: minidl: compiled kernels cannot be kept") == 1 and "another user" in stderr


def give_all(parent, folder, files):
    for path in (parent, folder, *files):
        os.chown(path, STRANGER, STRANGER)


def give_parent(parent, folder, files):
    os.chown(parent, STRANGER, STRANGER)


def give_folder(parent, folder, files):
    os.chown(folder, STRANGER, STRANGER)


def give_files(parent, folder, files):
    for path in files:
        os.chown(path, STRANGER, STRANGER)


def open_parent(parent, folder, files):
    parent.chmod(0o777)


def open_parent_to_a_group(parent, folder, files):
    os.chown(parent, -1, STRANGER)
    parent.chmod(0o770)


def open_what_is_above(parent, folder, files):
    parent.parent.chmod(0o757)


def open_files(parent, folder, files):
    for path in files:
        path.chmod(0o622)


def link_folder(parent, folder, files):
    folder.rename(parent / "elsewhere")
    folder.symlink_to(parent / "elsewhere")


def link_parent(parent, folder, files):
    os.chown(parent.rename(parent.with_name("theirs")), STRANGER, STRANGER)
    parent.symlink_to(parent.with_name("theirs"))


def link_files(parent, folder, files):
    for path in files:
        path.rename(parent / path.name)
        path.symlink_to(parent / path.name)


def second_names(parent, folder, files):
    for path in files:
        os.link(path, parent / path.name)


def pipes(parent, folder, files):
    for path in files:
        path.unlink()
        os.mkfifo(path, 0o600)


# What another user does, and whether the whole folder is refused (with a warning) or only the files in it, which are replaced.
ATTACKS = [
    (give_all, True),
    (give_parent, True),
    (give_folder, True),
    (give_files, False),
    (open_parent, True),
    (open_parent_to_a_group, True),
    (open_what_is_above, True),
    (open_files, False),
    (link_folder, True),
    (link_parent, True),
    (link_files, False),
    (second_names, False),
    (pipes, False),
]


@as_root
@pytest.mark.parametrize(("attack", "refused"), [(None, None), *ATTACKS], ids=lambda value: getattr(value, "__name__", ""))
def test_foreign_code_is_not_run(kernel, open_folder, tmp_path, attack, refused):
    parent, trace = tmp_path / "kernels", tmp_path / "trace"
    kernel.save(open_folder())
    folder = parent / SOURCE_HASH
    (path,) = folder.glob("*.nbc")
    plant(folder, path.name, trace)
    if attack is not None:
        attack(parent, folder, [path])
    before = {path: os.lstat(path).st_mtime_ns for path in parent.rglob("*")}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        opened = open_folder()
        assert (opened is None) == (refused is True)
        if opened is not None:
            assert kernel.load(opened) is None
            assert trace.exists() == (attack is None)  # without an attack by another user the code is run
            kernel.save(opened)
            assert kernel.load(opened) is not None
            assert mode(path) == 0o600 and os.lstat(path).st_uid == os.geteuid() and os.lstat(path).st_nlink == 1
    assert trace.exists() == (attack is None)
    assert len(told) == (refused is True or attack is link_files)
    if refused:
        assert "Set MINIDL_CACHE to a folder that only you can write to" in str(told[0].message)
        assert {path: os.lstat(path).st_mtime_ns for path in parent.rglob("*")} == before


@as_root
def test_files_are_refused_also_when_the_folder_becomes_somebody_elses_later(kernel, unpickled, open_folder):
    folder = open_folder()
    kernel.save(folder)
    os.chown(kernel.path(folder), STRANGER, -1)
    os.chmod(folder.path, 0o777)
    assert kernel.load(folder) is None and not unpickled


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_what_is_made_is_for_its_user_alone(kernel, unpickled, tmp_path, open_folder, mask):
    tmp_path.chmod(0o1777)  # as /tmp
    before = os.umask(mask)
    try:
        folder = open_folder(tmp_path / "a" / "b")
        kernel.save(folder)
    finally:
        os.umask(before)
    assert [mode(path) for path in (tmp_path / "a", tmp_path / "a" / "b", folder.path)] == [0o700] * 3
    assert sorted(os.listdir(folder.path)) == sorted([kernel.file(folder), cache.MARKER])
    assert all(mode(os.path.join(folder.path, name)) == 0o600 for name in os.listdir(folder.path))
    assert folder.path == open_folder(tmp_path / "a" / "b").path and kernel.load(folder) is not None


@pytest.mark.parametrize("kept", [0o755, 0o777, 0o2775, 0o500])
def test_a_folder_of_ours_is_closed_for_others(kernel, unpickled, open_folder, kept):
    folder = open_folder()
    kernel.save(folder)
    os.chmod(folder.path, kept)
    assert kernel.load(open_folder()) is not None
    assert mode(folder.path) & 0o077 == 0


def test_a_folder_that_others_read_is_used_where_it_cannot_be_closed(kernel, unpickled, open_folder, monkeypatch):
    folder = open_folder()
    kernel.save(folder)

    def refuse(*arguments):
        raise PermissionError("a disk that is only read")

    for allowed, kept in ((True, 0o755), (False, 0o775), (False, 0o757)):
        os.chmod(folder.path, kept)
        with monkeypatch.context() as patch:
            patch.setattr(os, "chmod", refuse)
            if allowed:
                assert kernel.load(open_folder()) is not None
            else:
                with pytest.warns(RuntimeWarning, match="others can write to"):
                    assert open_folder() is None


@pytest.mark.parametrize("parent", [0o755, 0o700, 0o1777, 0o770])
def test_parents_that_are_safe_are_used(open_folder, tmp_path, parent):
    (tmp_path / "kernels").mkdir()
    if parent == 0o770 and os.lstat(tmp_path).st_gid != os.geteuid():
        pytest.skip("the user's group is not the user's alone")
    (tmp_path / "kernels").chmod(parent)
    assert open_folder() is not None
    assert mode(tmp_path / "kernels") == parent  # it is the user's: minidl did not make it


def test_a_parent_that_everybody_may_write_to_is_not(open_folder, tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels").chmod(0o777)
    with pytest.warns(RuntimeWarning, match=r"others can write to .*kernels; chmod go-w .*kernels ends that") as told:
        assert open_folder() is None
    assert len(told) == 1 and os.listdir(tmp_path / "kernels") == []


def test_a_link_of_ours_to_a_folder_of_ours_is_followed_once(open_folder, tmp_path):
    (tmp_path / "large disk").mkdir()
    (tmp_path / "kernels").symlink_to(tmp_path / "large disk")
    assert open_folder().path == os.path.realpath(tmp_path / "large disk" / SOURCE_HASH)


def test_a_relative_folder_stays_where_it_was(open_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_folder("here").path == os.path.realpath(tmp_path / "here" / SOURCE_HASH)


def test_without_a_compiler_nothing_is_made(tmp_path):
    assert run(SMALL, tmp_path, MINIDL_CACHE=str(tmp_path / "cache"), NUMBA_DISABLE_JIT="1") == (ONE, "")
    assert os.listdir(tmp_path) == []
