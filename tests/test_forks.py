"""A child that is forked while another thread compiles, loads or makes a kernel can use kernels itself."""

import functools
import os
import signal
import threading
import time

import numba
import pytest
from llvmlite.binding import ffi
from numba.core import event
from numba.core.compiler_lock import global_compiler_lock

from minidl.kernels import jit

from .cache_checks import child
from .test_setup import run

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no compiler"),
]
FORKS = 4
LONGEST = 15  # seconds that a child may take
LOCKS = {"the compiler's lock": global_compiler_lock._lock, "the lock of LLVM": ffi.lib._lock._lock}


def status(work):
    """The status of a forked child that does `work`, other than 0 if it hangs."""

    def bounded():
        signal.alarm(LONGEST)  # also where the parent is killed for its own sake
        work()

    process, end = child(bounded, wait=False), time.monotonic() + 2 * LONGEST
    while time.monotonic() < end:
        done, code = os.waitpid(process, os.WNOHANG)
        if done:
            return code
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return -1


def compiles(make=numba.njit):
    """Compiles something, and fails if it computes something else. With make=jit.jit it is loaded, from the second time on."""
    if make(lambda x: 2 * x + 1)(10) != 21:
        os._exit(2)


class During:
    """Another thread does `work` while the block runs; the block begins when the thread has called the event's `set`."""

    def __init__(self, work):
        self.begun = threading.Event()
        self.thread = threading.Thread(target=work, args=(self.begun,))

    def __enter__(self):
        self.thread.start()
        assert self.begun.wait(LONGEST)

    def __exit__(self, *error):
        self.thread.join()


@pytest.mark.parametrize("make", [numba.njit, jit.jit], ids=["compiles", "loads"])
def test_while_another_thread(make):
    ends = threading.Event()

    def work(begun):
        while not ends.is_set():
            compiles(make)
            begun.set()

    with During(work):
        try:
            assert [status(functools.partial(compiles, make)) for _ in range(FORKS)] == [0] * FORKS
        finally:
            ends.set()


@pytest.mark.parametrize("lock", LOCKS)
def test_while_another_thread_holds(lock):
    lock, released = LOCKS[lock], []

    def work(begun):
        with lock:
            begun.set()
            time.sleep(0.2)
            released.append(time.monotonic())

    with During(work):
        assert status(lambda: compiles() if released else os._exit(3)) == 0  # the fork has waited
    compiles()


def test_while_another_thread_makes_a_kernel(monkeypatch):
    make, done = jit._make, []

    def slow(*arguments, begun):
        begun.set()
        time.sleep(0.2)
        done.append(True)
        return make(*arguments)

    def work(begun):
        with monkeypatch.context() as patch:
            patch.setattr(jit, "_make", functools.partial(slow, begun=begun))
            compiles(jit.jit)

    with During(work):
        assert status(lambda: compiles(jit.jit) if done else os._exit(3)) == 0


LOADS = """
import sys, time
import tests.test_forks as forks
from minidl import kernels
class Slow:
    def find_spec(name, path=None, target=None):
        if name == "minidl.kernels.rows":
            begun.set()
            time.sleep(0.2)
sys.meta_path.insert(0, Slow)
def work(event):
    global begun
    begun = event
    kernels.softmax
with forks.During(work):
    print(forks.status(lambda: kernels.logsumexp))
"""


def test_while_another_thread_loads_a_file_of_kernels():
    assert run(LOADS, os.getcwd(), MINIDL_CACHE="0")[0] == "0\n"


class Forker(event.Listener):
    """Forks in the middle of a compilation, in the thread that compiles."""

    def __init__(self):
        self.codes = []

    def on_start(self, _):
        if not self.codes:
            self.codes.append(None)
            self.codes = [status(compiles)]

    def on_end(self, _):
        pass


def test_the_thread_that_forks_is_compiling():
    with event.install_listener("numba:compile", Forker()) as forker:
        compiles()
    assert forker.codes == [0]
    with global_compiler_lock, global_compiler_lock:
        assert status(compiles) == 0
    assert status(compiles) == 0


NEVER_RELEASED = """
import functools, os, sys, threading
real, told = os.register_at_fork, []
def register(before=None, **after):
    if isinstance(before, functools.partial):
        assert before.keywords == {"timeout": 60}
        before = functools.partial(before.func, timeout=0.05)
    real(**({"before": before} if before else {}), **after)
os.register_at_fork = register
import minidl
import tests.test_forks as forks
sys.unraisablehook = lambda error: told.append(error.exc_type)
def hold(begun):
    with lock:
        begun.set()
        forked.wait(30)
for lock in forks.LOCKS.values():
    forked = threading.Event()
    with forks.During(hold):
        try:
            print(forks.status(forks.compiles), forks.status(lambda: forks.status(forks.compiles) and os._exit(5)))
        finally:
            forked.set()
    forks.compiles()
    print(forks.status(forks.compiles), told)
    told.clear()
"""


def test_a_lock_that_nobody_will_release_does_not_stop_a_fork_for_ever():
    """Nor its child, nor the child's child. Python tells that what was not taken cannot be given back."""
    stdout, _ = run(NEVER_RELEASED, os.getcwd(), MINIDL_CACHE="0", MINIDL_QUIET="1")
    ignored = "<class 'RuntimeError'>"
    assert stdout == f"0 0\n0 [{ignored}, {ignored}]\n" * 2


def test_ctrl_c_while_a_fork_waits(monkeypatch):
    """Python tells that something before the fork was interrupted, and forks."""
    told = []
    monkeypatch.setattr("sys.unraisablehook", lambda error: told.append(error.exc_type))
    main, forked = threading.get_ident(), threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest-xdist's workers ignore it

    def work(begun):
        with global_compiler_lock:
            begun.set()
            time.sleep(0.3)
            signal.pthread_kill(main, signal.SIGINT)
            forked.wait(LONGEST)

    with During(work):
        try:
            code = status(compiles)
        finally:
            forked.set()
            signal.signal(signal.SIGINT, before)
    assert code == 0 and told == [KeyboardInterrupt, RuntimeError]
    compiles()
    assert status(compiles) == 0


def other_thread_compiles():
    thread = threading.Thread(target=compiles, daemon=True)
    thread.start()
    thread.join(LONGEST / 2)
    assert not thread.is_alive()


def test_other_threads_compile_after_a_fork():
    """Parent and child have given the locks back, every one of them."""
    assert [status(other_thread_compiles), status(compiles)] == [0, 0]
    other_thread_compiles()


LOADER = """
import threading
import minidl
from minidl.utils.data import DataLoader
class Rows:
    def __len__(self):
        return 4
    def __getitem__(self, i):
        return (minidl.ones(3) * i).relu().exp()
ends = threading.Event()
def compile_all():
    for name in "tanh sigmoid log sqrt sin erf".split():
        getattr(minidl.ones(3), name)()
threading.Thread(target=compile_all).start()
for batch in DataLoader(Rows(), batch_size=2, num_workers=2, timeout=60):
    print(batch[:, 0].log().tolist())
"""


def test_a_worker_of_a_loader_that_starts_while_another_thread_compiles(tmp_path):
    stdout, _ = run(LOADER, tmp_path, MINIDL_CACHE=str(tmp_path / "cache"), MINIDL_QUIET="1")
    assert stdout == "[0.0, 1.0]\n[2.0, 3.0]\n"
