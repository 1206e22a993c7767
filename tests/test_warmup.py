"""Compiling ahead: what a step needs is found out without computing, and a second process helps to compile it."""

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

import minidl
import minidl.nn as nn
from minidl.kernels import ahead, cache, jit
from minidl.nn.parallel.group import ProcessGroup, current

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")

PROGRAM = """
import minidl, minidl.nn as nn
from minidl.kernels import ahead, jit

lists = []
ahead.compile_all = lists.extend
before = {(id(table), dtype) for table in jit.tables for dtype in table}
images = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
minidl.warmup(nn.Sequential(*images, nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 3)), minidl.rand(64, 1, 8, 8))
planned = {(id(table), dtype) for table, dtype in lists}
compiled = {(id(table), dtype) for table in jit.tables for dtype in table} - before
names = {id(table): table.kernel.__name__ for table in jit.tables}
print(len(planned), sorted(names[x] for x, _ in planned ^ compiled))
"""


def run(program, **environment):
    environment = {**os.environ, "MINIDL_NUM_THREADS": "2", **environment}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment).stdout


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two cores")
def test_a_plan_names_what_the_step_then_compiles():
    number, differences = run(PROGRAM).split(maxsplit=1)
    assert int(number) > 15
    assert differences.strip() == "[]"


def test_the_tables_of_kernels_can_be_gone_through_while_a_file_is_loaded():
    begun = iter(jit.tables)
    first = next(begun)
    more = jit.CodeByDtype(first.kernel, first.signature)
    assert more in jit.tables and more not in list(begun)


def test_a_planned_step_computes_nothing_and_changes_nothing():
    model, x = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), minidl.rand(6, 5)
    minidl.warmup(model, x)  # all kernels are compiled: even these must not run
    before = copy.deepcopy(model.state_dict())
    optimizer = minidl.optim.SGD(model.parameters(), lr=1.0)

    def step():
        nn.functional.cross_entropy(model(x), minidl.zeros(6).long()).backward()
        optimizer.step()
        reached.append(True)

    reached = []
    assert ahead.needed(step) == [] and reached
    assert all((x == before[name]).all() for name, x in model.state_dict().items())
    step()
    assert not all((x == before[name]).all() for name, x in model.state_dict().items())
    assert jit.planner is None and not any(type(code) is ahead._Idle for table in jit.tables for code in table.values())


def test_other_threads_compute_meanwhile():
    a, results = minidl.rand(3, 4), []

    def elsewhere():
        results.append(minidl.logaddexp(a @ a.T, a @ a.T).numpy())

    def step():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    ahead.needed(step)
    square = a.numpy() @ a.numpy().T
    np.testing.assert_allclose(results[0], np.logaddexp(square, square), rtol=1e-5)


def test_a_stub_that_is_kept_calls_its_kernel_afterwards():
    stubs = []
    ahead.needed(lambda: stubs.append(ahead._Idle(jit.planner, lambda x: x + 1)) or stubs.append(stubs[0](3)))
    assert stubs[1] is True and stubs[0](3) == 4


PLACES = [(name, line) for name in ("needed", "begin", "end") for line in (1, 2, 3, 4, 5, 6, 40)]


@pytest.mark.parametrize("name, line", PLACES)
def test_ctrl_c_while_it_plans_leaves_nothing(name, line):
    """At the line that this function of ahead.py reaches so many lines after its beginning: afterwards kernels compute."""
    lines = []

    def trace(frame, event, _):
        if frame.f_code.co_filename != ahead.__file__ or frame.f_code.co_name != name:
            return None
        if event == "line":
            lines.append(frame.f_lineno)
            if len(lines) == line:
                raise KeyboardInterrupt
        return trace

    a = minidl.ones(2, 2)
    expected = (a @ a).tolist()
    before = sys.gettrace()
    with contextlib.suppress(KeyboardInterrupt):
        sys.settrace(trace)
        try:
            ahead.needed(lambda: a @ a)
        finally:
            sys.settrace(before)
    assert jit.planner is None and (a @ a).tolist() == expected


def test_processes_that_train_together_do_not_plan(monkeypatch):
    monkeypatch.setattr(current, "group", ProcessGroup())
    monkeypatch.setattr(ahead, "needed", None)  # to call it would fail
    minidl.warmup(nn.Linear(3, 2), minidl.ones(4, 3))
    monkeypatch.setattr(current, "group", None)
    with pytest.raises(TypeError):
        minidl.warmup(nn.Linear(3, 2), minidl.ones(4, 3))


@pytest.mark.parametrize("trained", [True, False])
def test_no_tensor_of_the_program_gets_a_gradient(trained):
    """It would be added to that of the first step, and be whatever memory held."""
    model, unused = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).requires_grad_(trained), nn.Linear(2, 2)
    model[0].requires_grad_(False)
    model[1].register_module("unused", unused)
    x, weight = minidl.ones(4, 3).requires_grad_(), minidl.ones(2).requires_grad_()
    hidden = x.exp()
    minidl.warmup(model, hidden, loss=lambda y: (y * weight).sum())
    assert [t.grad for t in (x, weight, *model.parameters())] == [None] * 8
    hidden.sum().backward()  # the graph of the input is still there
    np.testing.assert_allclose(x.grad.numpy(), np.full((4, 3), np.e), rtol=1e-6)


@pytest.mark.parametrize("made", [False, True])  # the input is the result of an operation
def test_a_model_that_changes_its_input_changes_a_copy(made):
    x = minidl.tensor([[-1.0, 2.0, -3.0]] * 2)
    minidl.warmup(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)), x.requires_grad_() * 1 if made else x)
    assert x.tolist() == [[-1.0, 2.0, -3.0]] * 2 and x.grad is None


def test_the_gradient_of_an_input_that_requires_one_is_compiled_too():
    asked = []
    x = minidl.ones(4, 3).requires_grad_()

    def loss(y):
        y.register_hook(lambda dy: asked.append("y"))
        return y.sum()

    class Twice(nn.Linear):
        def forward(self, x):
            x = x * 2
            x.register_hook(lambda dx: asked.append("x"))
            return super().forward(x)

    minidl.warmup(Twice(3, 2), x, loss=loss)
    assert asked[-2:] == ["y", "x"] and x.grad is None


def test_a_step_that_waits_for_a_number_ends():
    def step():
        x = minidl.ones(1)
        while True:
            x = x.exp()

    ahead.needed(step)


def test_a_step_that_fails_gives_what_it_needed_until_then():
    def step():
        minidl.zeros(2).special_function_that_is_not_there()

    assert ahead.needed(step) == []


# --- the second process


@pytest.mark.skipif(cache.FOLDER is None, reason="nothing is kept")
def test_the_second_process_keeps_what_it_is_told_to_compile(tmp_path):
    folder = tmp_path / "kernels"
    root = str(ahead.Path(ahead.__file__).parents[2])
    environment = {**os.environ, "MINIDL_CACHE": str(folder), "MINIDL_QUIET": "1"}
    told = json.dumps([["elementwise.relu", "d"], ["shares.all_shares", "f"], ["no.such_kernel", "f"], [None, "f"]])
    command = [sys.executable, "-c", ahead.PROGRAM.format(root)]
    subprocess.run(command, input=told.encode(), env=environment, check=True, cwd=tmp_path)
    kept = {path.name.partition("-")[0] for path in folder.rglob("*.nbc")}
    assert {"elementwise._relu", "shares.all_shares"} <= kept, kept


class Helper:
    """Stands for the second process."""

    def __init__(self, command, **options):
        self.stdin, self.calls = Pipe(), []

    def kill(self):
        self.calls.append("kill")

    def wait(self):
        self.calls.append("wait")


class Pipe(io.BytesIO):
    def close(self):
        self.text = self.getvalue()
        super().close()


@pytest.fixture
def some(monkeypatch):
    """Tables that are to be compiled; nothing is on disk, there are two threads."""
    tables = ahead.tables_by_name()
    wanted = [(tables[name], np.dtype(char)) for name in ("elementwise.relu", "layout.zero") for char in "fd"]
    monkeypatch.setattr(jit.CodeByDtype, "is_kept", lambda *_: False)
    monkeypatch.setattr(ahead, "get_num_threads", lambda: 2)
    for table, dtype in wanted:
        table.pop(dtype, None)
    return wanted


def test_both_processes_get_the_list_from_opposite_ends(some, monkeypatch):
    helpers = []
    monkeypatch.setattr(ahead.subprocess, "Popen", lambda *a, **k: helpers.append(Helper(*a, **k)) or helpers[-1])
    ahead.compile_all(some)
    assert all(dtype in table for table, dtype in some)
    expected = [["layout.zero", "d"], ["layout.zero", "f"], *(["elementwise.relu", c] for c in "df")]
    assert json.loads(helpers[0].stdin.text) == expected
    assert helpers[0].calls == ["kill", "wait"]


def test_without_a_second_process_the_step_compiles_itself(some, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(ahead.subprocess, "Popen", refuse)
    ahead.compile_all(some)
    assert not any(dtype in table for table, dtype in some)


def test_a_second_process_needs_work_and_a_thread(some, monkeypatch):
    monkeypatch.setattr(ahead.subprocess, "Popen", None)  # to call it would fail
    ahead.compile_all(some[: ahead.PAYS - 1])
    monkeypatch.setattr(ahead, "get_num_threads", lambda: 1)
    ahead.compile_all(some)
    assert not any(dtype in table for table, dtype in some)


# --- kernels that others call


def test_two_kernels_of_the_same_types_within_a_third():
    @jit.jit
    def plus(x, y):
        return x + y

    @jit.jit
    def minus(x, y):
        return x - y

    @jit.jit
    def both(x, y):
        return plus(x, 1) * 100 + minus(x, y) * 10 + plus(x, y)

    for kernel in plus, minus, both:
        kernel._dispatcher()._cache = kernel._dispatcher(within=False)._cache = numba.core.caching.NullCache()
    assert both(5, 2) == 600 + 30 + 7
    assert minus(5, 2) == 3 and plus(5, 2) == 7  # called from Python, they have code of their own
    assert [len(kernel._dispatcher(within=False).overloads) for kernel in (plus, minus)] == [1, 1]


@pytest.mark.skipif(cache.FOLDER is None, reason="nothing is kept")
def test_a_kernel_within_another_comes_from_disk(tmp_path):
    folder = cache.Folder(tmp_path / "0123456789abcdef")

    def inside(x):
        return 3 * x

    def twice(x):
        return f(x) + f(x)

    totals = []
    for _ in range(2):
        f = jit.jit(inside)
        f._dispatcher(within=False)._cache = cache.DiskCache(inside, folder, "within False")
        outer = jit.jit(twice)
        outer._dispatcher()._cache = numba.core.caching.NullCache()
        totals.append(outer(7))
    assert totals == [42, 42]
    files = os.listdir(folder.path)
    assert sum(name.endswith(".nbc") for name in files) == 1
    assert sum(f._dispatcher(within=False).stats.cache_hits.values()) == 1
