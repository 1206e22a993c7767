"""Saving when something goes wrong: full disks, calls that fail, memory that ends, Ctrl-C, kill -9, and others that save too.

Afterwards the file has the old content or the new one, complete, and nothing else is left. All chance comes from SEED.
"""

import contextlib
import errno
import gc
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import minidl
from minidl.io import files
from minidl.utils.data import read_idx, write_idx

from .test_io import names, same

SEED = 11
KILLS = 80
SAVERS, SAVES = 3, 60  # processes that save to one name at the same time, and how often each

OLD = {"w": minidl.ones(10), "epoch": 1}


def new():
    return {"w": minidl.arange(3000.0).reshape(3, 1000).t(), "b": [minidl.zeros(5), (1, "text")], "epoch": 2}


def check(folder, expected=(OLD,)):
    """The file has one of the expected contents, the next save works, and nothing else is left. Returns the content."""
    assert names(folder) == ["x"]
    back = minidl.load(folder / "x")
    assert any(same(back, content) for content in expected)
    return back


# --- Disks that fail


@contextlib.contextmanager
def file_sizes_up_to(size):
    """The system refuses to make a file longer: as on a full disk, a write takes what fits, and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_disk_that_is_full_at_any_byte(tmp_path):
    minidl.save(new(), tmp_path / "x")
    size = (tmp_path / "x").stat().st_size
    minidl.save(OLD, tmp_path / "x")
    for room in [*range(0, size, 97), size - 1]:
        with file_sizes_up_to(room), pytest.raises(OSError, match="File too large"):
            minidl.save(new(), tmp_path / "x")
        check(tmp_path)
    with file_sizes_up_to(size):
        minidl.save(new(), tmp_path / "x")
    check(tmp_path, [new()])


@pytest.mark.parametrize("name", ["x", "x.gz"])
def test_a_full_disk_leaves_the_old_idx_file(tmp_path, name):
    path, old, array = tmp_path / name, np.zeros(10, "u1"), np.random.default_rng(SEED).integers(0, 256, 5000).astype("u1")
    write_idx(path, old)
    for room in (0, 5, 1000, 5000):
        with file_sizes_up_to(room), pytest.raises(OSError, match="File too large"):
            write_idx(path, array)
        assert names(tmp_path) == [name] and np.array_equal(read_idx(path), old)
    write_idx(path, array)
    assert np.array_equal(read_idx(path), array)


class Counting:
    """Lets a function fail at its n-th call."""

    def __init__(self, n, error):
        self.n, self.error, self.calls = n, error, 0

    def of(self, function):
        def counted(*args, **options):
            self.calls += 1
            if self.calls == self.n:
                raise self.error
            return function(*args, **options)

        return counted


class Failing:
    """A file whose n-th call of a method fails. At the end it is closed all the same."""

    def __init__(self, file, name, counting):
        self._file = file
        setattr(self, name, counting.of(getattr(file, name)))

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize(("name", "calls"), [("write", 10), ("flush", 1)])
def test_the_nth_call_of_the_file_fails(tmp_path, monkeypatch, name, calls, error):
    minidl.save(OLD, tmp_path / "x")
    for n in range(1, calls + 1):
        opened_files_fail(monkeypatch, name, Counting(n, error))
        with pytest.raises(type(error)) as caught:
            minidl.save(new(), tmp_path / "x")
        assert caught.value is error
        check(tmp_path)
    opened_files_fail(monkeypatch, name, Counting(calls + 1, error))
    minidl.save(new(), tmp_path / "x")
    check(tmp_path, [new()])


def opened_files_fail(monkeypatch, name, counting):
    def failing(*args, **options):
        return Failing(open(*args, **options), name, counting)

    monkeypatch.setattr(files, "open", failing, raising=False)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
@pytest.mark.parametrize("function", ["fsync", "replace", "open", "fchmod", "fchown", "fstat", "stat", "urandom", "close"])
def test_the_nth_call_of_the_system_fails(tmp_path, monkeypatch, function, error):
    minidl.save(OLD, tmp_path / "x")
    os.chmod(tmp_path / "x", 0o640)
    if os.geteuid() == 0:
        os.chown(tmp_path / "x", 1234, 2345)
    failed = 0
    for n in range(1, 30):
        counting = Counting(n, error)
        with monkeypatch.context() as patch:
            patch.setattr(os, function, counting.of(getattr(os, function)))
            try:
                minidl.save(new(), tmp_path / "x")
            except type(error):
                failed += 1
        if counting.calls < n:
            break
        back = check(tmp_path, [OLD, new()])
        assert same(back, OLD) or n > 1 or function in ("open", "fchown", "close")  # what fails after the rename
        minidl.save(OLD, tmp_path / "x")
    # a chown that fails costs the group its rights, and nobody else may chown
    assert (n > 1 and failed) or function == "fchown"


# --- Memory that ends, and Ctrl-C, at any line of Python


class Interrupter:
    """Raises an error at the n-th line that runs in minidl/io, NumPy, zipfile or json."""

    def __init__(self, n, error):
        self.left, self.error = n, error

    def __enter__(self):
        self.before, self.errors = sys.gettrace(), np.geterr()
        sys.settrace(self.trace)

    def __exit__(self, *error):
        sys.settrace(self.before)
        np.seterr(**self.errors)  # a line within np.errstate itself may have been the one

    def trace(self, frame, event, arg):
        if not re.search(r"minidl.io.|zipfile|numpy|json", frame.f_code.co_filename):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise self.error
        return self.trace


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ctrl-C may come between the end of a with and the close
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_end_at_any_line_of_save(tmp_path, error):
    minidl.save(OLD, tmp_path / "x")
    olds = news = 0
    for n in range(1, 100_000):
        interrupter = Interrupter(n, error)
        try:
            with interrupter:
                minidl.save(new(), tmp_path / "x")
        except error:
            gc.collect(0)
        else:
            break
        if same(check(tmp_path, [OLD, new()]), OLD):
            olds += 1
        else:
            news += 1
            minidl.save(OLD, tmp_path / "x")
    assert olds > 200 and 0 < news < 100
    check(tmp_path, [new()])


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ctrl-C may come between the end of a with and the close
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_end_at_any_line_of_load(tmp_path, error):
    minidl.save(new(), tmp_path / "x")
    for n in range(1, 100_000):
        try:
            with Interrupter(n, error):
                back = minidl.load(tmp_path / "x")
        except error:
            continue
        break
    assert n > 200 and same(back, new())


def test_a_disk_that_cannot_be_read_is_the_systems_error(tmp_path, monkeypatch):
    minidl.save(new(), tmp_path / "x")
    error = OSError(errno.EIO, "broken")
    for n in range(1, 1000):
        counting = Counting(n, error)
        opened_files_fail(monkeypatch, "readinto", counting)
        try:
            back = minidl.load(tmp_path / "x")
        except OSError as caught:
            assert caught is error
        else:
            break
    assert n > 20 and counting.calls == n - 1 and same(back, new())


# --- kill -9


KILLED = """
import os, random, signal, sys, time
import minidl
from minidl.utils.data import read_idx, write_idx

folder, kills = sys.argv[1], int(sys.argv[2])
chance = random.Random(int(sys.argv[3]))
path = os.path.join(folder, "x")

def save(i):
    minidl.save({"i": i, "w": minidl.full((150_000 + i % 7,), float(i)), "b": [minidl.full((3,), float(i))] * 20}, path)

def load():
    back = minidl.load(path)
    i = back["i"]
    assert back["w"].shape == (150_000 + i % 7,) and (back["w"] == i).all() and len(back["b"]) == 20
    assert all((b == i).all() for b in back["b"])
    return i

left, saved, last = 0, 0, 0
save(0)
for kill in range(kills):
    child = os.fork()
    if not child:
        for i in range(last + 1, last + 1000):
            save(i)
        os._exit(1)
    time.sleep(chance.uniform(0.001, 0.03))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert load() >= last
    saved += load() - last
    left += len(os.listdir(folder)) - 1
    last = load() + 1
    save(last)
    assert os.listdir(folder) == ["x"] and load() == last
print(left, saved)
"""


def run(program, *args):
    """What a Python program prints; its error is the test's."""
    done = subprocess.run([sys.executable, "-c", program, *map(str, args)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kill_9_at_any_moment(tmp_path):
    left, saved = map(int, run(KILLED, tmp_path, KILLS, SEED).split())
    assert left > KILLS / 20 and saved > KILLS / 20  # both the kills in a save, and saves between the kills, were tried


# --- Others that save at the same time


SAVING = """
import sys
import minidl
for i in range(int(sys.argv[3])):
    minidl.save({"who": int(sys.argv[2]), "w": minidl.full((20_000,), float(i)), "i": i}, sys.argv[1])
    back = minidl.load(sys.argv[1])
    assert (back["w"] == back["i"]).all()
"""


def test_processes_that_save_to_one_name_do_each_other_no_harm(tmp_path):
    command = [sys.executable, "-c", SAVING, str(tmp_path / "x")]
    started = [subprocess.Popen([*command, str(i), str(SAVES)], stderr=subprocess.PIPE, text=True) for i in range(SAVERS)]
    for process in started:
        assert process.communicate(timeout=300)[1] == "" and process.returncode == 0
    assert names(tmp_path) == ["x"] and minidl.load(tmp_path / "x")["i"] == SAVES - 1


def test_threads_that_save_to_one_name_do_each_other_no_harm(tmp_path):
    errors = []

    def saver(who):
        try:
            for i in range(SAVES // 2):
                minidl.save([who, i], tmp_path / "x")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=saver, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and names(tmp_path) == ["x"] and minidl.load(tmp_path / "x")[1] == SAVES // 2 - 1


class Changing(Failing):
    """A file before each of whose writes another thread changes the tensor that is saved."""

    def __init__(self, file, array):
        self._file, self._array = file, array

    def write(self, data):
        self._array += 1
        return self._file.write(data)


def test_a_tensor_that_changes_while_it_is_saved_makes_no_damaged_file(tmp_path, monkeypatch):
    x = minidl.zeros(1_000_000)

    def changing(*args, **options):
        return Changing(open(*args, **options), x.array)

    monkeypatch.setattr(files, "open", changing, raising=False)
    minidl.save(x, tmp_path / "x")
    monkeypatch.undo()
    back = minidl.load(tmp_path / "x").numpy()
    assert 0 < back[0] < back[-1] and (np.diff(back) >= 0).all()


WAITING = """
import sys
from minidl.io import files
def write(file):
    file.write(b"unfinished")
    file.flush()
    print("here", flush=True)
    sys.stdin.readline()
    file.write(b", finished")
files.write_file("save", sys.argv[1], write)
"""


def waiting(path):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "here\n"
    return process


def unfinished(folder):
    return [name for name in names(folder) if name.startswith(".minidl-")]


def test_only_leftovers_of_the_same_name_that_nobody_writes_are_removed(tmp_path):
    minidl.save(1, tmp_path / "x")
    (tmp_path / ".minidl-notes").write_text("of the user")
    dead, alive, of_another = waiting(tmp_path / "x"), waiting(tmp_path / "x"), waiting(tmp_path / "y")
    dead_file = unfinished(tmp_path)
    try:
        assert len(unfinished(tmp_path)) == 4
        minidl.save(2, tmp_path / "x")
        assert len(unfinished(tmp_path)) == 4  # all are in use
        for process in (dead, of_another):
            process.kill()
            process.wait()
        minidl.save(3, tmp_path / "x")
        assert len(unfinished(tmp_path)) == 3 and set(unfinished(tmp_path)) < set(dead_file)
        assert minidl.load(tmp_path / "x") == 3
        assert alive.communicate("go on\n", timeout=60) == ("", "") and alive.returncode == 0
        assert (tmp_path / "x").read_text() == "unfinished, finished"
        minidl.save(4, tmp_path / "y")
        assert names(tmp_path) == [".minidl-notes", "x", "y"]
    finally:
        for process in (dead, alive, of_another):
            process.kill()
            process.communicate()


def test_a_file_is_in_use_until_it_has_its_name(tmp_path, monkeypatch):
    def replace(unfinished, path, replace=os.replace):
        files._remove_leftovers(tmp_path, files._start_of_unfinished(tmp_path / "x"))  # what another save would do now
        replace(unfinished, path)

    monkeypatch.setattr(os, "replace", replace)
    minidl.save(1, tmp_path / "x")
    assert minidl.load(tmp_path / "x") == 1


def test_leftovers_of_another_machine_stay_for_a_day(tmp_path):
    start = files._start_of_unfinished(tmp_path / "x")
    assert re.fullmatch(r"\.minidl-[0-9a-f]{8}-[0-9a-f]{8}-", start)
    other = tmp_path / f"{start[:-9]}{'0' * 8}-{'1' * 16}"
    mine = tmp_path / f"{start}{'1' * 16}"
    for age in (0, 80_000, 90_000):
        for path in (other, mine):
            path.write_text("")
            os.utime(path, (time.time() - age,) * 2)
        minidl.save(1, tmp_path / "x")
        assert not mine.exists() and other.exists() == (age < 86_400)


def test_a_name_that_looks_like_a_leftover_and_is_no_file_does_no_harm(tmp_path):
    start = files._start_of_unfinished(tmp_path / "x")
    os.mkfifo(tmp_path / f"{start}1")
    (tmp_path / f"{start}2").mkdir()
    (tmp_path / f"{start}3").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_text("precious")
    before = names(tmp_path)
    minidl.save(1, tmp_path / "x")
    assert names(tmp_path) == [*before, "x"] and (tmp_path / "precious").read_text() == "precious"


def test_a_new_file_that_another_process_takes_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    lock, tries = files.io.posix.lock, []

    def slow(number):
        """Another process comes between the opening and the locking: it removes the file, or has locked it to do so."""
        tries.append(number)
        if len(tries) == 1:
            (tmp_path / unfinished(tmp_path)[0]).unlink()
        if len(tries) == 2:
            (tmp_path / unfinished(tmp_path)[0]).unlink()
            raise BlockingIOError
        lock(number)

    monkeypatch.setattr(files.io.posix, "lock", slow)
    minidl.save(1, tmp_path / "x")
    assert len(tries) == 3 and names(tmp_path) == ["x"] and minidl.load(tmp_path / "x") == 1
