"""Observers: what one is told of, in which order, and that none is left behind."""

import threading

import numpy as np
import pytest

import minidl
from minidl.autograd import Function, detect_anomaly
from minidl.graph.modes import mode, watchers
from minidl.graph.watch import Observer, add, record_function, remove, watching


class Log(Observer):
    """Writes down all that it is told."""

    def __init__(self):
        self.told = []

    def before(self, op):
        self.told.append(("before", op.name))

    def after(self, op, inputs, arrays, outputs):
        assert all(x is (i.array if isinstance(i, minidl.Tensor) else i) for x, i in zip(arrays, inputs, strict=True))
        self.told.append(("after", op.name, bool(op.serial), [y.shape for y in outputs]))

    def before_backward(self, node, dy):
        shapes = [None if d is None else d.shape for d in dy] if type(dy) is list else dy.shape
        self.told.append(("before_backward", node.name, shapes))

    def after_backward(self, node, gradients):
        self.told.append(("after_backward", node.name, len(gradients)))

    def share(self, node, parent, dx, dy):
        assert isinstance(dx, np.ndarray)
        self.told.append(("share", node.name, parent.name, dx.tolist()))

    def enter(self, label):
        self.told.append(("enter", label))

    def leave(self, label):
        self.told.append(("leave", label))


@pytest.fixture(autouse=True)
def nobody_is_left():
    yield
    assert mode.watch is None and watchers == []


@pytest.fixture
def log():
    log = Log()
    with watching(log):
        yield log.told
        log.told.clear()


def test_operations_that_record_nothing_are_told_of(log):
    x = minidl.ones(2, requires_grad=True)
    del log[:]
    with minidl.no_grad():
        x.exp()
    x.detach().log()
    assert log == [("before", "Exp"), ("after", "Exp", False, [(2,)]), ("before", "Log"), ("after", "Log", False, [(2,)])]


def test_of_one_that_raises_only_its_beginning_is_told(log):
    with pytest.raises(ValueError, match="broadcast"):
        minidl.ones(2) + minidl.ones(3)
    assert [entry for entry in log if entry[1] == "Add"] == [("before", "Add")]


def test_the_walk_tells_of_each_edge(log):
    x = minidl.tensor([2.0], requires_grad=True)
    y = x.detach() * x * x
    del log[:]
    y.backward(minidl.tensor([1.0]))
    assert log == [
        ("before_backward", "Mul", (1,)),
        ("after_backward", "Mul", 2),
        ("share", "Mul", "Mul", [2.0]),
        ("share", "Mul", "leaf", [4.0]),
        ("before_backward", "Mul", (1,)),
        ("after_backward", "Mul", 2),
        ("share", "Mul", "leaf", [4.0]),
    ]


def test_both_edges_to_one_parent_are_told_of(log):
    x = minidl.tensor([3.0], requires_grad=True)
    (x * x).backward(minidl.tensor([1.0]))
    assert [entry[3] for entry in log if entry[0] == "share"] == [[3.0], [3.0]]


class Halves(Function):
    @staticmethod
    def forward(ctx, x):
        return x[:2] * 1, x[2:] * 3

    @staticmethod
    def backward(ctx, da, db):
        return minidl.cat([da, db * 3])


def test_of_several_outputs_one_end_is_told_and_their_gradients_together(log):
    x = minidl.tensor([3.0, 1.0, 2.0], requires_grad=True)
    _, second = Halves.apply(x)
    assert log[-1] == ("after", "Halves", True, [(2,), (1,)])
    second.backward(minidl.ones(1))
    assert ("before_backward", "Halves", [None, (1,)]) in log
    assert ("share", "Halves", "leaf", [0.0, 0.0, 3.0]) in log


class Twice(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, dy):
        return dy * 2


def test_what_a_function_does_is_told_of_inside_it(log):
    x = minidl.ones(1, requires_grad=True)
    del log[:]
    y = Twice.apply(x)
    inside = [("before", "Mul"), ("after", "Mul", False, [(1,)])]
    assert log == [("before", "Twice"), *inside, ("after", "Twice", True, [(1,)])]
    del log[:]
    y.backward(minidl.ones(1))
    told = [entry for entry in log if entry[1] in ("Mul", "Twice")]
    assert told == [
        ("before_backward", "Twice", (1,)),
        *inside,
        ("after_backward", "Twice", 1),
        ("share", "Twice", "leaf", [2.0]),
    ]


def test_a_walk_that_is_recorded_tells_the_same_and_of_its_operations(log):
    x = minidl.tensor([2.0], requires_grad=True)
    y = x**3
    del log[:]
    (dx,) = minidl.autograd.grad(y, x, minidl.ones(1), create_graph=True)
    kinds = [entry[:2] for entry in log]
    start, end = kinds.index(("before_backward", "Pow")), kinds.index(("after_backward", "Pow"))
    inside = log[start + 1 : end]
    assert {entry[0] for entry in inside} == {"before", "after"} and all(entry[2] for entry in inside if entry[0] == "after")
    assert log[end + 1] == ("share", "Pow", "leaf", [12.0])
    del log[:]
    dx.backward(minidl.ones(1))
    walked = sum(entry[0] == "before_backward" for entry in log)
    assert walked == sum(entry[0] == "after_backward" for entry in log) > 1
    assert x.grad.tolist() == [12.0]


def test_of_a_backward_that_raises_only_its_beginning_is_told(log):
    class Bad(Twice):
        @staticmethod
        def backward(ctx, dy):
            raise KeyError("bad")

    y = Bad.apply(minidl.ones(1, requires_grad=True))
    del log[:]
    with pytest.raises(KeyError, match="bad"):
        y.backward(minidl.ones(1))
    assert [entry for entry in log if entry[1] == "Bad"] == [("before_backward", "Bad", (1,))]


def test_named_parts_and_steps_of_optimizers_are_told_of(log):
    @record_function("part")
    def part(x):
        if x > 1:
            part(x - 1)
        return x

    assert part(2) == 2
    assert log == [("enter", "part"), ("enter", "part"), ("leave", "part"), ("leave", "part")]
    x = minidl.ones(1, requires_grad=True)
    x.grad = minidl.ones(1)
    del log[:]
    assert minidl.optim.SGD([x], lr=0.5).step(lambda: 7) == 7
    assert log == [("enter", "Optimizer.step#SGD.step"), ("leave", "Optimizer.step#SGD.step")]
    assert x.tolist() == [0.5]
    with pytest.raises(KeyError), record_function("fails"):
        raise KeyError
    assert log[-1] == ("leave", "fails")


def test_record_function_refuses_what_it_cannot_do():
    def generator():
        yield

    with pytest.raises(TypeError, match="generator is a generator"):
        record_function("x")(generator)
    with pytest.raises(TypeError, match="expected a name"):
        record_function(3)
    with pytest.raises(NotImplementedError, match="args"):
        record_function("x", "y")
    with record_function("nobody watches"):
        pass


def test_observers_come_and_go_in_any_order():
    a, b, c = Log(), Log(), Log()
    for observer in (a, b, c):
        add(observer)
    remove(b)
    minidl.ones(1).exp()
    remove(a)
    minidl.ones(1).log()
    remove(a)  # it is not there any more: nothing happens
    assert mode.watch is c and len(watchers) == 1
    remove(c)
    assert [t[1] for t in a.told if t[0] == "before"] == ["Exp"] and b.told == []
    assert [t[1] for t in c.told if t[0] == "before"] == ["Exp", "Log"]


def test_a_context_that_ends_takes_out_its_own_observer_only():
    log = Log()
    with detect_anomaly():
        add(log)
    minidl.ones(1).exp()
    assert ("before", "Exp") in log.told
    remove(log)


def test_other_threads_are_not_watched(log):
    thread = threading.Thread(target=lambda: minidl.ones(1).exp())
    thread.start()
    thread.join()
    assert log == []
    minidl.ones(1).exp()
    assert ("before", "Exp") in log


def test_an_object_with_some_of_the_methods_may_be_set_as_it_is():
    class Shares:
        def __init__(self):
            self.seen = []

        def share(self, node, parent, dx, dy):
            self.seen.append((node.name, dx.tolist()))

    x, shares = minidl.tensor([1.0, 2.0], requires_grad=True), Shares()
    mode.watch = shares
    try:
        (x * x).sum().backward()
        minidl.optim.SGD([x], lr=0.1).step()
    finally:
        mode.watch = None
    with watching(Shares()) as told, detect_anomaly():
        x.exp()
    assert told is not None and mode.watch is None
    assert shares.seen == [("Sum", [1.0, 1.0]), ("Mul", [1.0, 2.0]), ("Mul", [1.0, 2.0])] and not watchers
