"""What an import and a first call do to a machine: to its folders, its stderr, its global state."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A step with kernels of every kind: the micro-kernel of products, an elementwise one and its backward, an update.
STEP = """
import minidl
w = minidl.ones(2, 3, requires_grad=True)
(w @ w.T).relu().sum().backward()
minidl.optim.SGD([w], lr=0.1).step()
print(w.tolist())
"""
SMALL = "import minidl; print(minidl.ones(3).relu().tolist())"  # compiles one kernel
NOTICE = "minidl: compiling kernels"


def run(code, folder, *options, path=ROOT, **environment):
    """(stdout, stderr) of a fresh Python in this folder, which is also its home, with nothing of ours in its environment."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("MINIDL_", "XDG_", "NUMBA_"))}
    environment = {**keep, "HOME": str(folder), "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(
        [sys.executable, *options, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A folder, and what STEP printed when it compiled its kernels into the folder's `cache`."""
    folder = tmp_path_factory.mktemp("cold")
    return folder, *run(STEP, folder, MINIDL_CACHE=str(folder / "cache"))


def test_the_first_compilation_is_announced_once(cold):
    folder, _, stderr = cold
    assert stderr.count(NOTICE) == stderr.count("\n") == 1
    assert f"kept in {folder / 'cache'}" in stderr
    assert [path.name for path in folder.iterdir()] == ["cache"]


KERNELS = """
import minidl
from minidl.kernels import jit

@minidl.compile
def step(x, y):
    z = minidl.maximum(x * y - x / 2, 1 - y) + (x > y)
    return (z @ x.T).softmax(1), z.sum(0), minidl.nn.functional.max_pool1d(z, 2)

for _ in range(6):
    step(minidl.ones(4, 6), minidl.ones(4, 6))
made = [table.kernel for table in jit.tables if table.kernel._made]
print(*[sum(sum(getattr(kernel.stats, name).values()) for kernel in made) for name in ("cache_hits", "cache_misses")])
"""


def test_a_second_process_compiles_nothing(tmp_path):
    """Nor do kernels that are made of other kernels: when one has been compiled, its file still has the name it had before."""
    first, second = [run(KERNELS, tmp_path, MINIDL_CACHE=str(tmp_path / "kernels"))[0] for _ in range(2)]
    hits, misses = map(int, first.split())
    assert hits == 0 and misses > 10
    assert second.split() == [str(misses), "0"]


def test_promise_40_a_damaged_cache_is_compiled_again(cold, tmp_path):
    folder, stdout, _ = cold
    cache = shutil.copytree(folder / "cache", tmp_path / "cache")
    warm = run(STEP, tmp_path, MINIDL_CACHE=str(cache))
    kernels = sorted(cache.rglob("*.nbc"))
    assert len(kernels) >= 4
    for number, path in enumerate(kernels):  # cut in half, emptied, filled with something else, one bit changed
        data = path.read_bytes()
        flipped = bytes([*data[:-9], data[-9] ^ 1, *data[-8:]])
        path.write_bytes((data[: len(data) // 2], b"", b"something else", flipped)[number % 4])
    damaged = run(STEP, tmp_path, MINIDL_CACHE=str(cache))
    repaired = run(STEP, tmp_path, MINIDL_CACHE=str(cache))
    assert warm == repaired == (stdout, "")
    assert damaged[0] == stdout and damaged[1].count(NOTICE) == 1


def test_promise_40_a_read_only_package_and_no_home(tmp_path):
    package = shutil.copytree(ROOT / "minidl", tmp_path / "site" / "minidl", ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(package.rglob("*"))
    for path in [*before, package]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    try:
        # A file in the place of the home folder: nobody can write there, not even root.
        stdout, stderr = run(SMALL, elsewhere, path=package.parent, HOME=os.devnull, LOCALAPPDATA=os.devnull)
        assert sorted(package.rglob("*")) == before
    finally:
        package.chmod(0o755)
        for path in before:
            path.chmod(0o755)
    assert stdout == "[1.0, 1.0, 1.0]\n"
    assert stderr.count("RuntimeWarning: minidl: compiled kernels cannot be kept") == 1
    assert "not kept: no cache folder" in stderr
    assert not list(elsewhere.iterdir())


def test_promise_40_no_cache_and_no_notice_where_none_is_wanted(tmp_path):
    assert run(SMALL, tmp_path, MINIDL_CACHE="0", MINIDL_QUIET="1") == ("[1.0, 1.0, 1.0]\n", "")
    assert not list(tmp_path.iterdir())


STATE = """
import gc, locale, logging, multiprocessing, os, random, signal, sys, threading, warnings
import numba, numpy
def state():
    return {
        "errors": numpy.geterr(),
        "printing": numpy.get_printoptions(),
        "random": str(numpy.random.get_state(legacy=False)),
        "python's random": random.getstate(),
        "warnings": list(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "threads": threading.active_count(),
        "numba's threads": numba.get_num_threads(),
        "numba's cache": numba.config.CACHE_DIR,
        "environment": dict(os.environ),
        "path": list(sys.path),
        "recursion": sys.getrecursionlimit(),
        "signals": [signal.getsignal(s) for s in signal.valid_signals()],
        "hooks": [sys.excepthook, sys.displayhook, threading.excepthook],
        "collector": (gc.isenabled(), gc.get_threshold()),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "start method": multiprocessing.get_start_method(allow_none=True),
    }
before, modules = state(), set(sys.modules)
import minidl
from minidl.utils.data import DataLoader, TensorDataset
"""
USE = """
model = minidl.nn.Sequential(minidl.nn.Linear(3, 2), minidl.nn.ReLU())
optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)
loader = DataLoader(TensorDataset(minidl.randn(4, 3)), batch_size=2, shuffle=True)
minidl.manual_seed(1)
after = state()
for key in before:
    assert before[key] == after[key], (key, before[key], after[key])
heavy = {"sklearn", "scipy", "matplotlib", "pandas", "torch", "pytest"} & (set(sys.modules) - modules)
assert not heavy, heavy
"""


def test_promise_42_import_and_construction_change_no_global_state(tmp_path):
    assert run(STATE + USE, tmp_path, "-W", "error", MINIDL_CACHE=str(tmp_path / "cache")) == ("", "")


LIGHT = """
import gc, sys
import numba, numpy
from numba.core.cpu import CPUContext
from numba.core.dispatcher import Dispatcher
modules = set(sys.modules)
import minidl
later = {"minidl.distributions", "minidl.models", "minidl.utils", "multiprocessing", "statistics", "decimal"}
later |= {"minidl.io", "minidl.double_backward.recorded", "minidl.optim.lr_scheduler", "minidl.optim.lbfgs"}
print(later & (set(sys.modules) - modules))
print(*sorted(name[15:] for name in sys.modules if name.startswith("minidl.kernels.")))
import minidl.utils.data
heavy = {"http", "email.parser", "ssl", "urllib.request", "numba.np.arrayobj"}
print(heavy & (set(sys.modules) - modules))
print([made for made in gc.get_objects() if isinstance(made, (Dispatcher, CPUContext))])
"""


def test_the_import_leaves_for_later_what_few_programs_need(tmp_path):
    assert run(LIGHT, tmp_path) == ("set()\ncache copies jit memory pipeline threads twister\nset()\n[]\n", "")


FILES = """
import sys
from minidl import kernels
def loaded():
    return {name[15:] for name in sys.modules if name.startswith("minidl.kernels.")}
before = loaded()
log_softmax = kernels.log_softmax
print(vars(kernels)["log_softmax"] is log_softmax, {"rows", "vmath"} <= loaded() - before, "conv" in loaded())
from minidl.kernels import *
assert log_softmax is kernels.rows.log_softmax and conv2d is kernels.conv.conv2d
assert set(kernels.__all__) <= vars(kernels).keys()
"""


def test_a_file_of_kernels_is_loaded_at_its_first_use(tmp_path):
    assert run(FILES, tmp_path) == ("True True False\n", "")


# A file of kernels is edited after the import and before its first use, and what it was is put back.
EDITED = """
import os, pathlib
import numpy as np
from minidl import kernels
file = pathlib.Path(kernels.__file__).parent / "clipping.py"
text = file.read_text(encoding="utf-8")
assert text.count("1e-6)") == 1
if "EDIT" in os.environ:
    file.write_text(text.replace("1e-6)", "5.00)"), encoding="utf-8")  # the same instructions, with another number
kernels.common_norm
if "EDIT" in os.environ:
    file.write_text(text, encoding="utf-8")
numbers = np.empty(2)
kernels.clipping._put_factor[np.dtype(np.float32)](np.array([25.0]), 1.0, numbers, np.empty(1, np.float32))
print(numbers.round(3), len(list(pathlib.Path("cache").glob("*/clipping.put_factor-*"))))
"""


def test_code_of_a_file_that_was_edited_after_the_import_is_not_kept(tmp_path):
    shutil.copytree(ROOT / "minidl", tmp_path / "minidl")
    settings = {"path": tmp_path, "MINIDL_CACHE": str(tmp_path / "cache"), "MINIDL_QUIET": "1"}
    assert run(EDITED, tmp_path, **settings, EDIT="1") == ("[5.  0.1] 0\n", "")
    assert run(EDITED, tmp_path, **settings) == ("[5.  0.2] 1\n", "")


LATER = """
import minidl
assert {"distributions", "models", "utils", "nn"} < set(dir(minidl))
assert minidl.utils.data.TensorDataset and minidl.models.VGG
import minidl.utils.data.network
from minidl.utils.data import *
assert download is minidl.utils.data.download is minidl.utils.data.network.download
assert minidl.distributions.Normal(0.0, 1.0).icdf(0.5) == 0
from minidl import distributions, load
assert distributions is minidl.distributions and load is minidl.load is minidl.io.load
assert "LBFGS" in dir(minidl.optim) and minidl.optim.lr_scheduler.StepLR
from minidl.optim import *
assert set(minidl.optim.__all__) <= vars(minidl.optim).keys() and issubclass(LBFGS, Optimizer) and swa_utils.AveragedModel
for module in (minidl, minidl.utils.data):
    try:
        module.nothing
    except AttributeError as error:
        print(error)
"""


def test_what_comes_later_comes_when_it_is_asked_for(tmp_path):
    stdout = run(LATER, tmp_path, "-W", "error")[0]
    assert stdout == "module 'minidl' has no attribute 'nothing'\nmodule 'minidl.utils.data' has no attribute 'nothing'\n"


OWN_KERNELS = """
from minidl.kernels import jit
@jit.jit
def inner(x):
    return x + 1
@jit.jit
def outer(x):
    return 2 * inner(x)
"""
# Two threads use `outer` first. Prints for which kernels Numba made a dispatcher, and how many of them were compiled.
FIRST_USE = """
import sys, threading
import own_kernels
sys.setswitchinterval(1e-6)
made, make = [], own_kernels.jit._make
own_kernels.jit._make = lambda *arguments: made.append(make(*arguments)) or made[-1]
results, barrier = [], threading.Barrier(2)
def use():
    barrier.wait()
    results.append(own_kernels.outer(20))
threads = [threading.Thread(target=use) for _ in range(2)]
[t.start() for t in threads], [t.join() for t in threads]
assert results == [42, 42]
print(*sorted({kernel.__name__ for kernel in made}), sum(sum(kernel.stats.cache_misses.values()) for kernel in made))
"""


def test_a_kernel_is_made_at_its_first_use_and_once(tmp_path):
    (tmp_path / "own_kernels.py").write_text(OWN_KERNELS)
    first, second = (run(FIRST_USE, tmp_path, MINIDL_QUIET="1", MINIDL_CACHE=str(tmp_path / "cache")) for _ in range(2))
    assert first == ("inner outer 2\n", "")
    assert second == ("outer 0\n", "")  # from the cache, in which `inner` is compiled into `outer`


def test_promise_25_the_same_bits_in_every_process(cold):
    folder, stdout, _ = cold
    for seed in "01":
        assert run(STEP, folder, MINIDL_CACHE=str(folder / "cache"), PYTHONHASHSEED=seed, MINIDL_NUM_THREADS="1")[0] == stdout
