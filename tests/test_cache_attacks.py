"""Attacks on the kernels on disk: damage, disks that fail, processes that are killed or write at once."""

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
import warnings

import numba
import pytest

from minidl.kernels import cache

from . import cache_checks
from .cache_checks import ERRORS, SIG, SOURCE_HASH, Disk, child, put
from .test_setup import NOTICE, SMALL, run

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no compiled code")
kernel, other, unpickled, open_folder = (
    getattr(cache_checks, name) for name in ("kernel", "other", "unpickled", "open_folder")
)
SEED = 11
MUTANTS = 3000  # damaged files
RECOMPILED = 12  # of them compiled again and loaded again by Numba
PROCESSES, WRITES = 3, 150  # processes that write the same file at once, and how often each
KILLS = 2  # processes killed at a random moment


def mutants(data, alien, draw):
    """Endless damaged versions of a file: bits, bytes, lengths, order, another file's content."""
    size = cache.DIGEST().digest_size
    while True:
        place, length = draw.randrange(len(data)), draw.randrange(1, 64)
        header = draw.randrange(size)
        flip = bytes([data[place] ^ 1 << draw.randrange(8)])
        yield data[:place] + flip + data[place + 1 :]
        yield data[:header] + bytes([data[header] ^ 1 << draw.randrange(8)]) + data[header + 1 :]
        yield data[:place]
        yield data[:header]
        yield data + draw.randbytes(length)
        yield data[:place] + bytes(length) + data[place + length :] if any(data[place : place + length]) else b""
        yield data[:place] + data[place + length :]
        yield data[place:] + data[:place] if place else b""
        yield data[:size] + alien[size:]
        yield alien[:size] + data[size:]
        yield data[size:]
        yield bytes(len(data))
        yield data + data


def test_no_damaged_file_is_unpickled(kernel, other, unpickled, open_folder):
    folder, draw = open_folder(), random.Random(SEED)
    for each in (kernel, other):
        each.save(folder)
    path = kernel.path(folder)
    with open(path, "rb") as file, open(other.path(folder), "rb") as another:
        data, alien = file.read(), another.read()
    damaged = mutants(data, alien, draw)
    for number in range(MUTANTS):
        put(path, next(damaged))
        assert kernel.load(folder) is None, number
    assert not unpickled
    put(path, data)
    assert kernel.load(folder) is not None and unpickled == [kernel.content]


def test_a_whole_file_in_the_place_of_another_is_not_unpickled(kernel, other, unpickled, open_folder, tmp_path):
    folder, elsewhere = open_folder(), cache.Folder(tmp_path / "kernels" / SOURCE_HASH[::-1])
    for each in (kernel, other):
        each.save(folder)
    shutil.copy(other.path(folder), kernel.path(folder))
    assert kernel.load(folder) is None
    kernel.save(elsewhere)
    shutil.copy(kernel.path(elsewhere), kernel.path(folder))  # the same kernel of another version of minidl
    assert kernel.load(folder) is None and not unpickled
    kernel.save(folder)
    assert kernel.load(folder) is not None and unpickled == [kernel.content]


def test_what_is_damaged_is_compiled_again_and_replaced(kernel, other, open_folder):
    folder, draw = open_folder(), random.Random(SEED)
    for each in (kernel, other):
        each.save(folder)
    with open(kernel.path(folder), "rb") as file, open(other.path(folder), "rb") as another:
        damaged = mutants(file.read(), another.read(), draw)
    for _ in range(RECOMPILED):
        put(kernel.path(folder), next(damaged))
        first, second = kernel.fresh(folder), kernel.fresh(folder)
        assert first(20) == second(20) == 41
        assert sum(first.stats.cache_misses.values()) == sum(second.stats.cache_hits.values()) == 1


def test_another_type_or_code_or_line_has_another_file(kernel, open_folder):
    folder = open_folder()
    disk, codegen = kernel.disk(folder), kernel.compiled.codegen
    i, f = numba.int64, numba.float32
    arrays = [
        numba.types.Array(kind, n, order, readonly) for kind in (i, f) for n in (1, 2) for order in "AC" for readonly in (0, 1)
    ]
    signatures = [(i,), (f,), (i, i), (numba.types.UniTuple(i, 2),), *((array,) for array in arrays)]
    assert len({disk._file(signature, codegen) for signature in signatures}) == len(signatures)
    functions = [eval(code, {"__name__": name}) for code in ("lambda x: x", "lambda x: -x", "\nlambda x: x") for name in "ab"]
    assert len({cache.DiskCache(function, folder)._file(SIG, codegen) for function in functions}) == len(functions)


def test_every_edit_of_a_kernel_names_another_folder(monkeypatch, tmp_path):
    sources = shutil.copytree(
        os.path.dirname(cache.__file__), tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(cache, "__file__", str(sources / "cache.py"))
    seen = [cache._source_hash()]
    for path in sources.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text[:-1] + "#", encoding="utf-8")  # of the same length
        seen.append(cache._source_hash())
        path.write_text(text, encoding="utf-8")
        assert cache._source_hash() == seen[0]
    (sources / "cache.py").rename(sources / "cache_.py")
    seen.append(cache._source_hash())
    (sources / "new.py").write_text("")  # and if only the end of one file moves to the top of the next
    seen.append(cache._source_hash())
    for name, value in {"CPU_NAME": "haswell", "CPU_FEATURES": "+avx2", "ENABLE_AVX": 7, "BOUNDSCHECK": 1}.items():
        monkeypatch.setattr(numba.config, name, value)
        seen.append(cache._source_hash())
    assert len(set(seen)) == len(seen) > 25


def use(open_folder, kernel):
    """What a process does with one kernel: the results of loading it (None for a miss), and the warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        folder = open_folder()
        if folder is None:
            return [], told
        first = kernel.load(folder)
        if first is None:
            kernel.save(folder)
        return [first, kernel.load(folder)], told


def prepare(tmp_path, warm, kernel, open_folder):
    """A parent folder with an old folder in it, a file that a killed process left, and perhaps the kernel."""
    shutil.rmtree(tmp_path / "kernels", ignore_errors=True)
    long_ago = time.time() - 2 * cache.KEPT
    if warm is not None:
        folder = open_folder()
        if warm:
            kernel.save(folder)
        left = os.path.join(folder.path, f"x{cache.UNFINISHED}")
        open(left, "w").close()
        old = cache.Folder(tmp_path / "kernels" / SOURCE_HASH[::-1])
        old.write(f"x{cache.ENDING}", b"")
        for path in (left, os.path.join(folder.path, cache.MARKER), os.path.join(old.path, cache.MARKER)):
            os.utime(path, (long_ago, long_ago))


OPERATIONS = {
    None: {"stat", "lstat", "mkdir", "open", "write", "close", "replace", "scandir", "listdir"},  # no folder yet
    False: {
        "stat",
        "lstat",
        "mkdir",
        "open",
        "write",
        "close",
        "replace",
        "scandir",
        "listdir",
        "utime",
        "fstat",
        "unlink",
        "rmdir",
    },
    True: {"stat", "lstat", "mkdir", "open", "fstat", "read", "close", "utime"},  # the kernel is there
}


@pytest.mark.parametrize("forever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("warm", OPERATIONS, ids=["no folder", "empty folder", "warm"])
def test_an_operation_of_the_disk_fails(kernel, unpickled, open_folder, monkeypatch, tmp_path, warm, forever):
    failed = []
    for at in range(1, 300):

        def fail(name, at=at):
            failed.append(name)
            raise ERRORS[at % len(ERRORS)]

        prepare(tmp_path, warm, kernel, open_folder)
        count = len(failed)
        with monkeypatch.context() as patch:
            Disk(at, fail, forever).put_in(patch)
            results, told = use(open_folder, kernel)
        assert len(told) <= 1 and all("cannot be kept" in str(warning.message) for warning in told)
        assert set(unpickled) <= {kernel.content}
        if len(failed) == count:  # there are no more operations
            break
        if not forever:
            left = [path.name for path in (tmp_path / "kernels").rglob(f"*{cache.UNFINISHED}")]
            assert left in ([], [f"x{cache.UNFINISHED}"])
        (_, found), told = use(open_folder, kernel)  # the next process has a disk that works
        assert found is not None and not told
    assert at < 299 and results[1] is not None and not told
    assert set(failed) >= OPERATIONS[warm]


@pytest.mark.parametrize("warm", [False, True])
def test_memory_ends(kernel, unpickled, open_folder, tmp_path, warm):
    """At each line of cache.py, and each call from it, that is reached while a kernel is loaded or saved."""
    outermost = {"load_overload", "save_overload", "__init__"}
    for at in range(1, 600):
        prepare(tmp_path, warm, kernel, open_folder)
        folder, lines = open_folder(), 0

        def trace(frame, event, _, at=at):
            nonlocal lines
            if frame.f_code.co_filename != cache.__file__ or frame.f_code.co_name == "_warn":
                return None
            if event == "line" and frame.f_code.co_name not in outermost:
                lines += 1
                if lines == at:
                    raise MemoryError
            return trace

        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ResourceWarning)  # of a line that ends between open and with
            before = sys.gettrace()
            sys.settrace(trace)
            try:
                first = kernel.load(folder)
                if first is None:
                    kernel.save(folder)
            finally:
                sys.settrace(before)
        assert len(told) <= 1 and set(unpickled) <= {kernel.content}
        (_, found), told = use(open_folder, kernel)
        assert found is not None and not told
        if lines < at:
            break
    assert 20 < at < 599


def test_a_file_that_grows_too_large_is_told_once(tmp_path):
    """As on a full disk, of two kernels: the system refuses what is written, wherever the buffers are emptied."""
    code = SMALL.replace("import minidl", "import minidl, resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))")
    code += "; print(minidl.ones(3).exp().relu().sum().item())"
    pytest.importorskip("resource")
    stdout, stderr = run(code, tmp_path, MINIDL_CACHE=str(tmp_path / "cache"))
    assert stdout.splitlines()[0] == "[1.0, 1.0, 1.0]" and stdout.splitlines()[1].startswith("8.15")
    assert stderr.count("RuntimeWarning") == stderr.count("File too large") == 1
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [cache.MARKER]


@pytest.mark.parametrize("instead", ["nothing", "a file", "a folder in the file's place"])
def test_the_folder_is_gone(kernel, unpickled, open_folder, instead):
    folder = open_folder()
    kernel.save(folder)
    shutil.rmtree(folder.path)
    if instead == "a file":
        open(folder.path, "w").close()
    elif instead != "nothing":
        os.makedirs(kernel.path(folder))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert kernel.load(folder) is None
        kernel.save(folder)
        kernel.save(folder)
        found = kernel.load(folder)
    assert len(told) == (instead != "nothing") and (found is None) == (instead != "nothing")
    if found:
        assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700 and os.path.exists(os.path.join(folder.path, cache.MARKER))


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
def test_killed_at_each_operation(kernel, unpickled, open_folder, monkeypatch, tmp_path):
    for at in range(1, 300):
        prepare(tmp_path, False, kernel, open_folder)

        def work(at=at):
            Disk(at, lambda name: os.kill(os.getpid(), signal.SIGKILL)).put_in(monkeypatch)
            use(open_folder, kernel)

        status = child(work)
        (first, found), told = use(open_folder, kernel)
        assert found is not None and not told and set(unpickled) == {kernel.content}
        if status == 0:
            break
        assert status == signal.SIGKILL
    assert 20 < at < 299 and first is not None


def test_killed_while_it_compiles(tmp_path):
    draw = random.Random(SEED)
    environment = {**os.environ, "MINIDL_CACHE": str(tmp_path / "cache"), "PYTHONPATH": os.getcwd()}
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", SMALL], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        process.stderr.readline()  # the notice: it begins to compile
        time.sleep(draw.random() * 0.3)
        process.kill()
        process.communicate()
    stdout, stderr = run(SMALL, tmp_path, MINIDL_CACHE=str(tmp_path / "cache"))
    assert stdout == "[1.0, 1.0, 1.0]\n" and stderr.count("\n") == stderr.count(NOTICE)
    assert run(SMALL, tmp_path, MINIDL_CACHE=str(tmp_path / "cache")) == (stdout, "")


@needs_fork
def test_processes_write_at_once(kernel, open_folder):
    """Every file that is read is one that somebody wrote, whole; contents have different lengths."""
    folder, name = open_folder(), "one.nbc"
    contents = {bytes([i]) * (2000 + 3000 * i) for i in range(PROCESSES)}

    def work(i):
        for _ in range(WRITES):
            folder.write(name, bytes([i]) * (2000 + 3000 * i))
            if bytes(folder.read(name) or b"nothing") not in contents:
                os._exit(1)

    folder.write(name, bytes(2000))
    processes = [child(lambda i=i: work(i), wait=False) for i in range(PROCESSES)]
    assert [os.waitpid(process, 0)[1] for process in processes] == [0] * PROCESSES
    assert sorted(os.listdir(folder.path)) == [cache.MARKER, name]


def test_processes_compile_at_once(tmp_path):
    environment = {**os.environ, "MINIDL_CACHE": str(tmp_path / "cache"), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", SMALL]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        stdout, stderr = process.communicate()
        assert stdout == b"[1.0, 1.0, 1.0]\n" and stderr.count(b"\n") == stderr.count(NOTICE.encode())
    assert run(SMALL, tmp_path, MINIDL_CACHE=str(tmp_path / "cache")) == ("[1.0, 1.0, 1.0]\n", "")
