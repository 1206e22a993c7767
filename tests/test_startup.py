"""`import minidl` and the compilation of a kernel leave Python's garbage collector as it was."""

import gc
import subprocess
import sys

import numba
import pytest
from numba.core import errors, event

from minidl.kernels import jit
from minidl.startup import NoCollection


def test_collection_goes_on_after_an_error():
    with pytest.raises(KeyboardInterrupt), NoCollection():
        assert not gc.isenabled()
        raise KeyboardInterrupt
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with NoCollection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("before", ["enable", "disable"])
def test_import_leaves_it_as_it_was(before):
    code = f"import gc; gc.{before}(); import minidl; print(gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(before == "enable")


@pytest.fixture
def nothing_aside():
    """As in a new process: conftest.py sets pytest's own objects aside."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_what_was_made_meanwhile_is_old(nothing_aside):
    with NoCollection():
        made = [[] for _ in range(100_000)]
    assert any(x is made for x in gc.get_objects(generation=2))  # the next quick look does not go through them
    assert gc.get_freeze_count() == 0


def test_what_was_set_aside_stays_so(nothing_aside):
    gc.freeze()
    aside = gc.get_freeze_count()
    with NoCollection():
        pass
    assert gc.get_freeze_count() == aside > 0


FIRST_KERNEL = """
import gc, sys
from minidl.kernels import jit
collected, before = [], set(sys.modules)
gc.callbacks.append(lambda phase, info: collected.append(phase))
jit._complete_numba()
print("numba.np.arrayobj" in set(sys.modules) - before, collected, gc.isenabled())
"""


def test_numba_is_completed_without_a_collection():
    done = subprocess.run([sys.executable, "-c", FIRST_KERNEL], capture_output=True, text=True, check=True)
    assert done.stdout == "True [] True\n"


class States(event.Listener):
    """Whether the collector is on, at each beginning of a compilation."""

    def __init__(self):
        self.seen = []

    def on_start(self, event):
        self.seen.append(gc.isenabled())

    def on_end(self, event):
        pass


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no compiler")
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("before", [True, False])
def test_it_pauses_while_a_kernel_is_compiled(before, fails, monkeypatch):
    monkeypatch.setattr(jit.cache, "FOLDER", None)

    @jit.jit
    def inner(x):
        return x + ("1" if fails else 1)

    @jit.jit
    def outer(x):
        return inner(inner(x))

    if not before:
        gc.disable()
    try:
        with event.install_listener("numba:compile", States()) as states, jit.without_notice():
            if fails:
                with pytest.raises(errors.TypingError):
                    outer(3)
            else:
                assert outer(3) == 5
        assert len(states.seen) >= 2 and not any(states.seen)
        assert gc.isenabled() == before
    finally:
        gc.enable()
