"""Ctrl-C at random moments: what is global stays as it was, and the next step gives the same bits."""

import dis
import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import double_backward, no_grad
from minidl.graph import modes, walk
from minidl.kernels import memory, sums, threads
from minidl.tensors import record

INTERRUPTS = 40

PROGRAM = """
import random, signal, sys, time
import numpy as np
import minidl
from minidl import kernels, nn
from minidl.graph.modes import mode, watchers
from minidl.kernels import memory, threads

def step():
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 300), nn.GELU(), nn.LayerNorm(300), nn.Dropout(0.5), nn.Linear(300, 10))
    optimizer = minidl.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, y = minidl.randn(256, 20), minidl.arange(256) % 10
    for _ in range(2):
        loss = nn.functional.cross_entropy(net(x), y) + 0 * (x - 1).log().nansum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [p.detach().numpy().tobytes() for p in net.parameters()]

number, seed = map(int, sys.argv[1:])
random.seed(seed)
step()
start = time.perf_counter()
truth = step()
span = time.perf_counter() - start
errors, hit = np.geterr(), 0
i = 0
while hit < number and i < 20 * number:  # some come too late
    i += 1
    signal.signal(signal.SIGALRM, signal.default_int_handler)  # what Ctrl-C raises
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, span))
        step()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    except KeyboardInterrupt:
        hit += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # the one that the timer sent has come, or comes too late
    # Only as `no_grad` begins to end is there a moment that no Python code can guard: 2 of 900 interrupts met it.
    mode.recording = True
    assert np.geterr() == errors, (i, np.geterr())
    assert mode.watch is None and not watchers
    assert not threads._one_at_a_time.locked() and not memory._list.lock.locked()
    assert not minidl.default_generator._lock.locked()
    if i % 10 == 0:
        assert step() == truth, i
assert step() == truth
print(hit)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_ctrl_c_at_random_moments():
    command = [sys.executable, "-c", PROGRAM, str(INTERRUPTS), "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "MINIDL_QUIET": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == INTERRUPTS


# --- after every call in the functions that change something global: there Python looks whether Ctrl-C was pressed


def _after_calls(code):
    """Places in a function that follow a call."""
    instructions = list(dis.get_instructions(code))
    return {then.offset for first, then in itertools.pairwise(instructions) if first.opname.startswith("CALL")}


def _interrupted(action, codes, n):
    """Whether the action was interrupted after the n-th call in one of these functions."""
    places = {code: _after_calls(code) for code in codes}
    left = [n]

    def trace(frame, event, argument):
        if frame.f_code not in places:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_lasti in places[frame.f_code]:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def _forward():
    minidl.tensor([-1.0, 0.0], requires_grad=True).log()


def _backward():
    minidl.tensor([0.0], requires_grad=True).log().sum().backward()


def _twice():
    x = minidl.tensor([0.0], requires_grad=True)
    with no_grad():
        y = x * 1
    (dx,) = minidl.autograd.grad((x + y).log().sum(), x, create_graph=True)
    dx.sum().backward()


def _kernel():
    threads.run(True, sums._SUMS[0], np.dtype("f4"), np.ones((400, 400), "f4"), sums._NONE[0][sums._F64], np.empty(400, "f4"))


def _large():
    a = memory.empty((LARGE,), np.dtype("f4"))
    del a
    memory.empty((LARGE,), np.dtype("f4"))


LARGE = 9_000_000
CODES = [record.apply, walk.walk, double_backward.walk, modes.Switch.__enter__, threads.run]
CODES += [memory.FreeList._take, memory.FreeList._give_back]


@pytest.mark.parametrize("action", [_forward, _backward, _twice, _kernel, _large])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in what is called as an array dies
def test_an_interrupt_after_any_call_leaves_global_state_as_it_was(action, monkeypatch):
    monkeypatch.setattr(threads, "_number", 2)
    action()
    errors, n = np.geterr(), 1
    while _interrupted(action, [function.__code__ for function in CODES], n):
        assert np.geterr() == errors, n
        assert minidl.is_grad_enabled(), n
        assert not threads._one_at_a_time.locked() and not memory._list.lock.locked(), n
        n += 1
    assert n > 3
    action()
