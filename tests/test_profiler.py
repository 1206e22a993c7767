"""The profiler: counts, times (by a clock that the tests move), bytes, lines, modules, table, trace, and what is left."""

import contextlib
import gc
import gzip
import inspect
import itertools
import json
import threading
import weakref

import numba
import numpy as np
import pytest
from numba.core import event as numba_event

import minidl
from minidl import nn
from minidl.autograd import Function, detect_anomaly
from minidl.graph.modes import mode, watchers
from minidl.ops import Op
from minidl.profiler import (
    EventList,
    FunctionEventAvg,
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
)
from minidl.profiler.table import KEYS
from minidl.tensors.record import apply


@pytest.fixture(autouse=True)
def nobody_is_left():
    yield
    assert mode.watch is None and watchers == []


@pytest.fixture(autouse=True)
def not_compiled(request, monkeypatch):
    """Events of kernels that happen to be compiled in a test are left out, but in the test of them."""
    if "compiled" not in request.node.name:
        monkeypatch.setattr(numba_event, "register", lambda kind, listener: None)
        monkeypatch.setattr(numba_event, "unregister", lambda kind, listener: None)


@pytest.fixture
def tick(monkeypatch):
    """Stops the profiler's clock; tick(n) moves it by n microseconds."""
    now = [5_000]
    monkeypatch.setattr(profile, "clock", staticmethod(lambda: now[0]))

    def tick(microseconds):
        now[0] += microseconds * 1000

    return tick


def slow(tick, name, forward, backward):
    """A class of operations y = 2 x that take so long."""

    class Slow(Op):
        def forward(self, x):
            tick(forward)
            return x * 2

        def backward(self, dy):
            tick(backward)
            return dy * 2

    Slow.__name__ = name
    return lambda x: apply(Slow(), x)


def counts(p):
    return {average.key: average.count for average in p.key_averages()}


def by_key(p, **options):
    return {average.key: average for average in p.key_averages(**options)}


# --- counts


def test_counts_of_calls_are_exact():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)
    x = minidl.ones(5, 3)
    with profile() as p:
        for _ in range(3):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()
        with minidl.no_grad():
            model(x)
    forward = {"Linear": 8, "ReLU": 4, "Sum": 3}
    backward = {"SumBackward0": 3, "ReLUBackward0": 3, "LinearBackward0": 6}
    assert counts(p) == {**forward, **backward, "Optimizer.step#SGD.step": 3}
    assert sum(counts(p).values()) == len(p.events()) == p.total_average().count


def test_compiled_kernels_are_apart():
    class Compiles(Op):
        def forward(self, x):
            numba.njit(lambda x: x + 1)(1.0)
            return x

    x = minidl.ones(1)
    with profile() as p:
        apply(Compiles(), x)
    op, kernel = p.events()
    assert kernel.name == "compile <lambda>" and kernel.cpu_parent is op
    assert op.self_cpu_time_total == pytest.approx(op.cpu_time_total - kernel.cpu_time_total)
    assert kernel.cpu_time_total > 0.5 * op.cpu_time_total


def test_both_ways_of_several_outputs_are_counted():
    x = minidl.tensor([3.0, 1.0], requires_grad=True)
    with profile() as p:
        x.sort()[0].sum().backward()
    assert counts(p) == {"Sort": 1, "Sum": 1, "SumBackward0": 1, "SortBackward0": 1}


# --- times


def test_self_and_total_times_add_up(tick):
    op, inner = slow(tick, "Outer", 5, 7), slow(tick, "Inner", 11, 13)

    class Nested(Function):
        @staticmethod
        def forward(ctx, x):
            tick(1)
            y = inner(inner(x))
            tick(2)
            return y

        @staticmethod
        def backward(ctx, dy):
            tick(3)
            return inner(dy)

    x = minidl.ones(2, requires_grad=True)
    with profile() as p:
        tick(100)
        with record_function("forward"):
            tick(17)
            y = Nested.apply(op(x))
        tick(100)
        with record_function("backward"):
            y.backward(minidl.ones(2))
            tick(19)
        tick(100)
    found = {a.key: (a.count, a.self_cpu_time_total, a.cpu_time_total, a.cpu_time) for a in p.key_averages()}
    assert found == {
        "forward": (1, 17, 47, 47),
        "Outer": (1, 5, 5, 5),
        "Nested": (1, 3, 25, 25),
        "Inner": (3, 33, 33, 11),
        "backward": (1, 19, 40, 40),
        "NestedBackward0": (1, 3, 14, 14),
        "OuterBackward0": (1, 7, 7, 7),
    }
    assert p.key_averages().self_cpu_time_total == p.events().self_cpu_time_total == 47 + 40
    forward_and_backward = {a.key: (a.forward_time_total, a.backward_time_total) for a in p.key_averages()}
    assert forward_and_backward == {
        "forward": (30, 21),  # what it holds, and the backward of that, wherever it ran
        "Outer": (5, 7),
        "Nested": (25, 14),
        "Inner": (33, 0),
        "backward": (0, 21),
        "NestedBackward0": (0, 14),
        "OuterBackward0": (0, 7),
    }


def test_a_part_with_both_ways_counts_each_once(tick):
    op = slow(tick, "Slow", 2, 3)
    x = minidl.ones(1, requires_grad=True)
    with profile() as p, record_function("step"):
        op(op(x)).backward(minidl.ones(1))
    step = by_key(p)["step"]
    assert (step.forward_time_total, step.backward_time_total, step.cpu_time_total) == (4, 6, 10)


def test_a_backward_ends_before_its_gradient_is_sent_on(tick):
    op = slow(tick, "Slow", 2, 3)
    x = minidl.ones(1, requires_grad=True)
    h = op(x)
    h.register_hook(lambda dy: tick(50))
    x.register_hook(lambda dy: tick(70))
    with profile() as p:
        op(h).backward(minidl.ones(1))
    assert [(e.name, e.cpu_time_total) for e in p.events()] == [("Slow", 2), ("SlowBackward0", 3), ("SlowBackward0", 3)]
    starts = [e.time_range.start for e in p.events()]
    assert starts == [0, 2, 2 + 3 + 50]


def test_a_backward_inside_a_backward_is_not_counted_twice(tick):
    op = slow(tick, "Slow", 2, 3)

    class Again(Function):  # computes its forward again, as checkpoints do
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return op(x)

        @staticmethod
        def backward(ctx, dy):
            with minidl.enable_grad():
                x = ctx.saved_tensors[0].detach().requires_grad_()
                op(x).backward(dy)
            return x.grad

    x = minidl.ones(1, requires_grad=True)
    with profile() as p, record_function("step"):
        Again.apply(x).backward(minidl.ones(1))
    averages = by_key(p)
    assert averages["AgainBackward0"].cpu_time_total == 5 and averages["AgainBackward0"].self_cpu_time_total == 0
    assert averages["step"].forward_time_total == 2 and averages["step"].backward_time_total == 5
    assert averages["Slow"].backward_time_total == 3


def test_a_recorded_walk_has_its_operations_inside():
    x = minidl.tensor([2.0], requires_grad=True)
    with profile() as p:
        (dx,) = minidl.autograd.grad(x**3, x, minidl.ones(1), create_graph=True)
        dx.sum().backward()
    assert x.grad.tolist() == [12.0]
    backward = next(event for event in p.events() if event.name == "PowBackward0")
    assert {child.name for child in backward.cpu_children} == {"Mul", "Square"}
    assert backward.cpu_children and all(child.kind == "operation" for child in backward.cpu_children)
    second = [event for event in p.events() if event.scope == 1 and event.cpu_parent is None]
    assert len(second) > 2 and all(event.cpu_time_total >= 0 for event in p.events())


# --- what raises, and what is left


def test_operations_that_raise_are_kept_and_hold_nothing_else(tick):
    good, inner = slow(tick, "Good", 2, 0), slow(tick, "Inner", 4, 0)

    class Bad(Op):
        def forward(self, x):
            tick(1)
            inner(minidl.ones(1))
            tick(100)
            raise KeyError

    def deeper(x):
        return good(x)

    with profile() as p, record_function("part"):
        for _ in range(3):
            with pytest.raises(KeyError):
                apply(Bad(), minidl.ones(1))
        deeper(minidl.ones(1))
        good(minidl.ones(1))
    names = [(event.name, event.failed, event.cpu_parent.name if event.cpu_parent else None) for event in p.events()]
    bad = [("Bad", True, "part"), ("Inner", False, "Bad")]
    assert names == [("part", False, None), *bad * 3, ("Good", False, "part"), ("Good", False, "part")]
    assert {event.cpu_time_total for event in p.events() if event.name == "Bad"} == {5}  # until the last that is known
    assert all("test_profiler.py" in event.line for event in p.events())


def test_a_function_that_catches_an_error_inside_goes_on():
    class Catches(Function):
        @staticmethod
        def forward(ctx, x):
            with contextlib.suppress(ValueError):
                x + minidl.ones(7)
            return x.exp()

        @staticmethod
        def backward(ctx, dy):
            return dy

    x = minidl.ones(2)
    with profile() as p:
        Catches.apply(x)
        x.log()
    outer, failed, exp, log = p.events()
    assert [e.name for e in p.events()] == ["Catches", "Add", "Exp", "Log"]
    assert failed.failed and failed.cpu_parent is exp.cpu_parent is outer and log.cpu_parent is None and not outer.failed


def test_a_backward_that_raises_is_closed():
    class Bad(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            raise KeyError

    x = minidl.ones(2, requires_grad=True)
    with profile() as p:
        with pytest.raises(KeyError):
            Bad.apply(x).backward(minidl.ones(2))
        x.exp().backward(minidl.ones(2))
    tops = [(event.name, event.failed) for event in p.events() if event.cpu_parent is None]
    assert tops == [("Bad", False), ("BadBackward0", True), ("Exp", False), ("ExpBackward0", False)]


def test_an_exception_in_the_context_restores_everything():
    with pytest.raises(KeyError), profile() as p, record_function("part"):
        minidl.ones(1).exp()
        raise KeyError
    assert mode.watch is None and watchers == []
    assert counts(p) == {"part": 1, "Exp": 1}
    minidl.ones(1).exp()
    assert counts(p) == {"part": 1, "Exp": 1}


def test_profiles_nest_and_cross():
    x = minidl.ones(1)
    with profile() as outer:
        x.exp()
        with profile() as inner:
            x.log()
    assert list(counts(outer)) == ["Exp", "Log"] and list(counts(inner)) == ["Log"]
    first, second = profile(), profile()
    first.start()
    second.start()
    x.exp()
    first.stop()
    x.log()
    second.stop()
    assert list(counts(first)) == ["Exp"] and list(counts(second)) == ["Exp", "Log"]


def test_a_profile_within_an_operation_or_a_part_knows_what_it_saw():
    p = profile()

    class Starts(Function):
        @staticmethod
        def forward(ctx, x):
            p.start()
            return x.exp()

        @staticmethod
        def backward(ctx, dy):
            return dy

    class Stops(Starts):
        @staticmethod
        def forward(ctx, x):
            y = x.log()
            p.stop()
            return y

    with record_function("begins before"):
        Starts.apply(minidl.ones(1))
        Stops.apply(minidl.ones(1))
    assert [(event.name, event.cpu_parent and event.cpu_parent.name) for event in p.events()] == [
        ("Exp", None),
        ("Stops", None),
        ("Log", "Stops"),
    ]
    assert not any(event.failed for event in p.events())


def test_detect_anomaly_within_and_around():
    x = minidl.zeros(1, requires_grad=True)
    with profile() as p, pytest.raises(RuntimeError, match="Log: its output is not finite"), detect_anomaly():
        x.log()
    assert counts(p) == {"Log": 1}
    with pytest.raises(RuntimeError, match="Log: its output is not finite"), detect_anomaly(), profile() as p:
        x.exp()
        x.log()
    assert counts(p) == {"Exp": 1, "Log": 1} and [event.failed for event in p.events()] == [False, True]


def test_other_threads_are_not_seen():
    with profile() as p:
        thread = threading.Thread(target=lambda: minidl.ones(1).exp())
        thread.start()
        thread.join()
        minidl.ones(1).log()
        errors = []

        def stop():
            try:
                p.stop()
            except RuntimeError as error:
                errors.append(str(error))

        thread = threading.Thread(target=stop)
        thread.start()
        thread.join()
        assert len(errors) == 1 and "one thread" in errors[0]
    assert list(counts(p)) == ["Log"]


def test_a_profile_changes_nothing():
    def gradients():
        minidl.manual_seed(3)
        model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2))
        optimizer = minidl.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(minidl.randn(6, 3)), minidl.tensor([0, 1] * 3))
            (dx,) = minidl.autograd.grad(loss, list(model.parameters())[:1], create_graph=True)
            (loss + (dx * dx).sum()).backward()
            optimizer.step()
        return [x.numpy() for p in model.parameters() for x in (p.detach(), p.grad)]

    plain = gradients()
    with profile(record_shapes=True, profile_memory=True, with_stack=True):
        watched = gradients()
    assert all(np.array_equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_nothing_is_kept_alive():
    gc.collect()
    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
        x = minidl.ones(5, 3)
        p = profile(record_shapes=True, profile_memory=True, with_stack=True)
        with p:
            with record_function("forward"):
                y = model(x)
            h = y * 2
            array = weakref.ref(h.array)
            op = weakref.ref(h.node)
            del h
            assert array() is None and op() is None  # while it runs, too
            with pytest.raises(ValueError, match="shape"):
                lost = x * 2
                dead = weakref.ref(lost.array)
                lost @ minidl.ones(7, 7)
            y.sum().backward()
        p.key_averages().table()
        events = p.events()
        assert any(event.cpu_parent for event in events)
        watched = [weakref.ref(thing) for thing in (model, x.array, y.array, y.node, p, *events)]
        del events
        del model, x, y, p, lost
        assert [reference() for reference in watched] == [None] * len(watched)
        assert dead() is None
    finally:
        gc.enable()


# --- bytes


def test_bytes_are_those_of_new_arrays():
    x = minidl.ones(8, 4, requires_grad=True)
    with profile(profile_memory=True) as p:
        (x.reshape(4, 8).mT.expand(3, 8, 4) * 2.0).sum().backward()
    found = {a.key: a.cpu_memory_usage for a in p.key_averages()}
    assert found == {
        "Reshape": 0,
        "Permute": 0,
        "Expand": 0,
        "Mul": 3 * 32 * 4,
        "Sum": 4,
        "SumBackward0": 3 * 32 * 4,
        "MulBackward0": 3 * 32 * 4,
        "ExpandBackward0": 32 * 4,
        "PermuteBackward0": 0,
        "ReshapeBackward0": 32 * 4,  # the gradient of a transpose is not contiguous
    }


def test_bytes_inside_are_counted_once():
    class Nested(Function):
        @staticmethod
        def forward(ctx, x):
            with record_function("part"):
                return (x + 1.0).exp()

        @staticmethod
        def backward(ctx, dy):
            return dy * 2.0

    x = minidl.ones(10, requires_grad=True)
    with profile(profile_memory=True) as p, record_function("all"):
        Nested.apply(x).backward(minidl.ones(10))
    found = {a.key: (a.cpu_memory_usage, a.self_cpu_memory_usage) for a in p.key_averages()}
    assert found["Add"] == (40, 40) and found["Exp"] == (40, 40) and found["part"] == (80, 0)
    assert found["Nested"] == (80, 0)  # its output is that of Exp
    assert found["NestedBackward0"] == (80, 40)  # the product, and the copy that the walk is given
    assert found["all"][1] == 0


def test_bytes_are_not_counted_unasked():
    with profile() as p:
        minidl.ones(3).exp()
    assert p.events()[0].cpu_memory_usage == 0
    with pytest.raises(ValueError, match="profile_memory=True"):
        p.key_averages().table(sort_by="cpu_memory_usage")


# --- lines and modules


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())])
        self.outside = [nn.Softplus()]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.outside[0](x.exp())


def line_of(function, text):
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if text in line)


def test_modules_and_lines_of_both_ways():
    model = nn.Sequential(Block(), nn.Tanh())
    with profile() as p:
        y = model(minidl.ones(2, 4))
        y.sum().backward()
    found = [(event.name, event.module) for event in p.events()]
    forward = [
        ("Linear", "Sequential.0.layers.0 (Linear)"),
        ("Linear", "Sequential.0.layers.1.0 (Linear)"),
        ("Sigmoid", "Sequential.0.layers.1.1 (Sigmoid)"),
        ("Exp", "Sequential.0 (Block)"),
        ("Softplus", "Sequential.0 > Softplus (Softplus)"),
        ("Tanh", "Sequential.1 (Tanh)"),
        ("Sum", ""),
    ]
    assert found == forward + [(name + "Backward0", module) for name, module in reversed(forward)]
    lines = {event.name: event.line for event in p.events()}
    here = test_modules_and_lines_of_both_ways
    assert lines["Exp"] == lines["ExpBackward0"] == f"{__file__}({line_of(Block.forward, 'x.exp()')}): forward"
    assert lines["SumBackward0"] == f"{__file__}({line_of(here, 'y.sum()')}): {here.__name__}"
    averages = by_key(p)
    assert averages["Linear"].module == "Sequential.0.layers.0 (Linear) and 1 more"
    assert averages["Linear"].modules == {"Sequential.0.layers.0 (Linear)": 1, "Sequential.0.layers.1.0 (Linear)": 1}
    with profile(with_modules=False) as p:
        model(minidl.ones(2, 4))
    assert {event.module for event in p.events()} == {""}


def test_a_module_alone_and_one_that_is_replaced():
    model, x = nn.Sequential(nn.ReLU()), minidl.ones(1)
    with profile() as p:
        nn.Tanh()(x)
        model(x)
        model.append(nn.Sigmoid())
        model(x)
    assert [event.module for event in p.events()] == [
        "Tanh",
        *["Sequential.0 (ReLU)"] * 2,
        "Sequential.1 (Sigmoid)",
    ]


def test_stacks(tmp_path):
    def inner(x):
        return x.exp()

    def outer(x):
        return inner(x)

    x = minidl.ones(4)
    with profile(with_stack=True) as p:
        outer(x)
        inner(x)
        inner(x)
    stack = p.events()[0].stack
    assert [entry.rpartition(" ")[2] for entry in stack[:3]] == ["inner", "outer", "test_stacks"]
    assert stack[0] == p.events()[0].line
    assert [a.count for a in p.key_averages(group_by_stack_n=1)] == [3]
    assert [a.count for a in p.key_averages(group_by_stack_n=2)] == [1, 1, 1]
    p.export_stacks(tmp_path / "stacks.txt")
    lines = (tmp_path / "stacks.txt").read_text().splitlines()
    assert len(lines) <= 3 and all(line.rpartition(" ")[0].endswith("_inner") for line in lines)
    with pytest.raises(ValueError, match="metric"):
        p.export_stacks(tmp_path / "stacks.txt", "cuda")
    with profile() as p:
        inner(x)
    with pytest.raises(ValueError, match="with_stack=True"):
        p.key_averages(group_by_stack_n=1)
    with pytest.raises(ValueError, match="with_stack=True"):
        p.export_stacks(tmp_path / "stacks.txt")


def test_shapes():
    x, w = minidl.ones(2, 3, requires_grad=True), minidl.ones(4, 3)
    with profile(record_shapes=True) as p:
        (x @ w.mT * 2.0).sum().backward()
        x.sum()
    assert [event.input_shapes for event in p.events() if event.name == "MatMul"] == [[[2, 3], [3, 4]]]
    assert [event.input_shapes for event in p.events() if event.name == "Mul"] == [[[2, 4], []]]
    assert [a.input_shapes for a in p.key_averages(group_by_input_shape=True) if a.key == "Sum"] == [[[2, 4]], [[2, 3]]]
    assert [a.count for a in p.key_averages() if a.key == "Sum"] == [2]
    assert "Input Shapes" in p.key_averages(group_by_input_shape=True).table()
    assert "Input Shapes" not in p.key_averages().table()
    with profile() as p:
        x.sum()
    with pytest.raises(ValueError, match="record_shapes=True"):
        p.key_averages(group_by_input_shape=True)


# --- the table


@pytest.fixture
def measured(tick):
    a, b = slow(tick, "A", 1000, 3), slow(tick, "B", 250, 50)
    with profile(profile_memory=True) as p:
        with record_function("part"):
            b(b(b(b(b(minidl.ones(1024, requires_grad=True)))))).backward(minidl.ones(1024))
        a(minidl.ones(2))
    return p.key_averages()


def column(text, title):
    rule, titles, _, *rows = text.splitlines()[:-2]
    edges = np.cumsum([0, *(len(part) + 2 for part in rule.split("  ") if part)])
    cells = [[line[i:j].strip() for i, j in itertools.pairwise(edges)] for line in (titles, *rows)]
    return [row[cells[0].index(title)] for row in cells[1:]]


def test_the_table_is_exact(measured):
    text = measured.table(sort_by="self_cpu_time_total")
    assert column(text, "Name") == ["B", "A", "BBackward0", "part"]
    assert column(text, "Self CPU %") == ["50.00%", "40.00%", "10.00%", "0.00%"]
    assert column(text, "Self CPU") == ["1.250ms", "1.000ms", "250.000us", "0.000us"]
    assert column(text, "CPU total %") == ["50.00%", "40.00%", "10.00%", "60.00%"]
    assert column(text, "CPU total") == ["1.250ms", "1.000ms", "250.000us", "1.500ms"]
    assert column(text, "CPU time avg") == ["250.000us", "1.000ms", "50.000us", "1.500ms"]
    assert column(text, "CPU Mem") == ["20.00 KB", "8 B", "20.00 KB", "40.00 KB"]
    assert column(text, "Self CPU Mem") == ["20.00 KB", "8 B", "20.00 KB", "0 B"]
    assert column(text, "# of Calls") == ["5", "1", "5", "1"]
    assert column(text, "Forward") == ["1.250ms", "1.000ms", "0.000us", "1.250ms"]
    assert column(text, "Backward") == ["250.000us", "0.000us", "250.000us", "250.000us"]
    assert all("test_profiler.py(" in cell for cell in column(text, "Source Location"))
    assert text.endswith("Self CPU time total: 2.500ms\n")
    assert len({len(line) for line in text.splitlines()[:-1]}) == 1


@pytest.mark.parametrize("key", KEYS)
def test_the_table_is_sorted(measured, key):
    names = column(measured.table(sort_by=key), "Name")
    assert names == [a.key for a in sorted(measured, key=lambda a: getattr(a, key), reverse=True)]
    assert {average.key for average in measured} == set(names)


def test_unknown_keys_are_refused_with_the_known_ones(measured):
    with pytest.raises(ValueError, match=r"cannot sort by 'cuda_time'.*self_cpu_time_total"):
        measured.table(sort_by="cuda_time")
    with pytest.raises(ValueError, match="time_unit"):
        measured.table(time_unit="min")


def test_options_of_the_table(measured):
    assert column(measured.table(), "Name") == ["part", "B", "BBackward0", "A"]  # as they began
    assert column(measured.table(row_limit=2), "Name") == ["part", "B"]
    assert column(measured.table(row_limit=-1), "Name") == ["part", "B", "BBackward0", "A"]
    assert column(measured.table(row_limit=0), "Name") == []
    assert column(measured.table(time_unit="ms"), "Self CPU") == ["0.000ms", "1.250ms", "0.250ms", "1.000ms"]
    top = measured.table(top_level_events_only=True, header="my header").splitlines()
    assert top[1] == "my header" and set(top[0]) == set(top[2]) == {"="} and "top-level" in top[3]
    assert [line.split()[0] for line in top[7:-2]] == ["part", "A"]
    narrow = measured.table(max_name_column_width=6, max_src_column_width=20)
    assert column(narrow, "Name") == ["part", "B", "BBa...", "A"]
    assert all(cell.startswith("...") and len(cell) == 20 for cell in column(narrow, "Source Location"))
    assert EventList().table() == "" and str(measured) == measured.table()


def test_columns_depend_on_the_profile():
    with profile() as p:
        minidl.ones(2).exp()
    text = p.key_averages().table()
    titles = text.splitlines()[1]
    assert "CPU Mem" not in titles and "Module" not in titles and "Source Location" in titles
    with profile() as p:
        nn.Tanh()(minidl.ones(2))
    assert column(p.key_averages().table(), "Module") == ["Tanh"]


def test_averages_add_up():
    with profile() as p:
        minidl.ones(2).exp().log().exp()
    exp, log = p.key_averages()
    with pytest.raises(ValueError, match="key 'Exp'"):
        exp.add(log)
    both = FunctionEventAvg()
    both += exp
    both += exp
    assert both.count == 4 and both.cpu_time == pytest.approx(exp.cpu_time)
    assert both.lines == {line: 2 * n for line, n in exp.lines.items()}
    total = p.total_average()
    assert total.key == "Total" and total.self_cpu_time_total == pytest.approx(p.events().self_cpu_time_total)


# --- the trace


def test_the_chrome_trace(tmp_path):
    class Nested(Function):
        @staticmethod
        def forward(ctx, x):
            return x.exp().log()

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    model = nn.Sequential(nn.Linear(3, 3))
    with profile(record_shapes=True, profile_memory=True) as p:
        p.add_metadata("author", "me")
        with record_function("step"):
            Nested.apply(model(minidl.ones(2, 3))).sum().backward()
        with pytest.raises(ValueError, match="broadcast"):
            minidl.ones(2) + minidl.ones(3)
    p.export_chrome_trace(tmp_path / "trace.json")
    content = json.loads((tmp_path / "trace.json").read_text())
    assert content["author"] == "me"
    spans = [event for event in content["traceEvents"] if event["ph"] == "X"]
    assert [span["name"] for span in spans] == [event.name for event in p.events()]
    stack = []
    for span, event in zip(spans, p.events(), strict=True):
        assert {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"} == set(span)
        assert span["ts"] >= 0 and span["dur"] >= 0 and isinstance(span["pid"], int) and isinstance(span["tid"], int)
        while stack and stack[-1][1] <= span["ts"]:
            stack.pop()
        depth, parent = 0, event
        while (parent := parent.cpu_parent) is not None:
            depth += 1
        assert len(stack) == depth
        if stack:
            assert span["ts"] + span["dur"] <= stack[-1][1] + 1e-6
        stack.append((span["ts"], span["ts"] + span["dur"]))
    linear = next(span for span in spans if span["name"] == "Linear")
    assert linear["args"]["Input Dims"] == [[2, 3], [3, 3], [3]] and linear["args"]["Module"] == "Sequential.0 (Linear)"
    assert "test_profiler.py" in linear["args"]["Line"] and linear["args"]["Bytes"] == 24
    assert spans[-1]["name"] == "Add" and spans[-1]["args"]["Failed"] is True
    begins, ends = ({e["id"]: e for e in content["traceEvents"] if e["ph"] == phase} for phase in "sf")
    backward = [span for span in spans if span["name"].endswith("Backward0")]
    assert len(backward) == len(begins) == len(ends) == 3 and begins.keys() == ends.keys()
    by_time = {span["ts"]: span["name"] for span in spans}
    assert {(by_time[begins[i]["ts"]], by_time[ends[i]["ts"]]) for i in begins} == {
        (name, name + "Backward0") for name in ("Linear", "Nested", "Sum")
    }
    p.export_chrome_trace(tmp_path / "trace.json.gz")
    with gzip.open(tmp_path / "trace.json.gz") as file:
        assert json.load(file) == content


# --- start, stop, step


def test_a_schedule():
    plan = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    names = "NONE NONE WARMUP RECORD RECORD_AND_SAVE NONE WARMUP RECORD RECORD_AND_SAVE NONE"
    assert [plan(i).name for i in range(10)] == names.split()
    assert [schedule(wait=1, warmup=0, active=1, skip_first_wait=1)(i).name for i in range(3)] == [
        "RECORD_AND_SAVE",
        "NONE",
        "RECORD_AND_SAVE",
    ]
    ready = []
    x = minidl.ones(1)
    with profile(schedule=plan, on_trace_ready=lambda p: ready.append((p.step_num, counts(p)))) as p:
        for step in range(10):
            (x.exp if step % 2 else x.log)()
            p.step()
    assert ready == [(5, {"ProfilerStep*": 2, "Exp": 1, "Log": 1}), (9, {"ProfilerStep*": 2, "Exp": 1, "Log": 1})]
    assert [event.name for event in p.events()] == ["ProfilerStep#7", "Exp", "ProfilerStep#8", "Log"]
    assert [event.cpu_parent and event.cpu_parent.name for event in p.events()] == [
        None,
        "ProfilerStep#7",
        None,
        "ProfilerStep#8",
    ]


def test_all_cycles_can_be_kept():
    with profile(schedule=schedule(wait=1, warmup=0, active=1), acc_events=True) as p:
        for _ in range(4):
            minidl.ones(1).exp()
            p.step()
    assert [event.name for event in p.events()] == ["ProfilerStep#1", "Exp", "ProfilerStep#3", "Exp"]
    assert [event.id for event in p.events()] == [0, 1, 2, 3]
    starts = [event.time_range.start for event in p.events()]
    assert starts == sorted(starts)


def test_a_schedule_that_stops_without_saving_warns():
    ready = []
    actions = [ProfilerAction.RECORD, ProfilerAction.NONE]
    with profile(schedule=lambda step: actions[step], on_trace_ready=ready.append) as p:
        minidl.ones(1).exp()
        with pytest.warns(UserWarning, match="RECORD followed by NONE"):
            p.step()
    assert ready == [] and [event.name for event in p.events()] == ["ProfilerStep#0", "Exp"]


def test_without_a_schedule_the_end_is_ready():
    ready = []
    with profile(on_trace_ready=ready.append) as p:
        p.step()
        p.step()
        assert p.step_num == 2 and ready == []
    assert ready == [p]


def test_a_schedule_that_is_wrong_leaves_the_profile_to_be_stopped():
    def plan(step):
        if step == 2:
            raise KeyError
        return ProfilerAction.RECORD if step == 0 else "RECORD"

    with pytest.raises(TypeError, match="ProfilerAction, got 'RECORD' for step 1"), profile(schedule=plan) as p:
        p.step()
    with pytest.raises(KeyError), profile(schedule=lambda step: plan(2 * step)) as p:
        minidl.ones(1).exp()
        p.step()
    assert p.step_num == 0 and counts(p) == {"ProfilerStep*": 1, "Exp": 1}


def test_start_and_stop_in_the_wrong_order():
    p = profile()
    for call in (p.stop, p.step, p.events, p.key_averages, p.total_average):
        with pytest.raises(RuntimeError):
            call()
    p.start()
    with pytest.raises(RuntimeError, match="already running"):
        p.start()
    minidl.ones(1).exp()
    with pytest.raises(RuntimeError, match="nothing is recorded yet"):
        p.events()
    p.stop()
    assert len(p.events()) == 1
    with p:  # again, from the beginning
        pass
    assert len(p.events()) == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"activities": []}, ValueError, "empty"),
        ({"activities": ["cpu"]}, TypeError, "ProfilerActivity"),
        ({"activities": [ProfilerActivity.CPU, ProfilerActivity.CUDA]}, NotImplementedError, "CUDA"),
        ({"with_flops": True}, NotImplementedError, "with_flops"),
        ({"use_cuda": True}, NotImplementedError, "use_cuda"),
        ({"experimental_config": object()}, NotImplementedError, "experimental_config"),
        ({"schedule": 3}, TypeError, "schedule"),
        ({"on_trace_ready": 3}, TypeError, "on_trace_ready"),
    ],
)
def test_what_is_not_supported_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        profile(**options)


@pytest.mark.parametrize("wrong", [{"active": 0}, {"wait": -1}, {"warmup": -1}, {"repeat": -1}, {"skip_first": -1}])
def test_wrong_schedules_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        schedule(**{"wait": 0, "warmup": 0, "active": 1, **wrong})
    with pytest.raises(NotImplementedError, match="overload"):
        EventList().key_averages(group_by_overload_name=True)
    with pytest.raises(ValueError, match="step"):
        schedule(wait=0, warmup=0, active=1)(-1)


# --- PyTorch


def test_names_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    from torch.autograd.profiler_util import FunctionEvent, FunctionEventAvg as Theirs  # noqa: PLC0415

    with profile(profile_memory=True, record_shapes=True, with_stack=True) as p:
        minidl.ones(2, 3).exp()
    x = torch.ones(2, 3)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, record_shapes=True) as q:
        x.exp()

    def public(x):
        return {name for name in dir(x) if not name.startswith("_")}

    ours, theirs = p.key_averages(), q.key_averages()
    own = {"forward_time_total", "backward_time_total", "line", "lines", "module", "modules", "cpu_time_avg"}
    assert public(ours[0]) - own <= public(theirs[0]) and isinstance(theirs[0], Theirs)
    own = {"forward_time_total", "backward_time_total", "line", "module", "cpu_time_avg", "kind", "failed", "origin"}
    assert public(p.events()[0]) - own <= public(FunctionEvent(0, "x", 0, 0, 1))
    assert public(ours) - {"profile_memory", "with_stack"} <= public(theirs)
    for function in (profile.__init__, schedule, EventList.table, EventList.key_averages, EventList.export_stacks):
        name = function.__qualname__
        their = {"profile.__init__": torch.profiler.profile.__init__, "schedule": torch.profiler.schedule}.get(name)
        their = their or getattr(torch.autograd.profiler_util.EventList, name.rpartition(".")[2])
        assert list(inspect.signature(function).parameters) == list(inspect.signature(their).parameters), name
    assert [a.name for a in ProfilerAction if a.value < 4] == [a.name for a in torch.profiler.ProfilerAction][:4]
    assert {a.name for a in supported_activities()} == {"CPU"}
    titles = theirs.table().splitlines()[1].split("  ")
    titles = [title.strip() for title in titles if title.strip()]
    assert column(ours.table(), "Name") == ["Exp"]
    assert set(titles) - {"Input Shapes"} <= {t.strip() for t in ours.table().splitlines()[1].split("  ") if t.strip()}
