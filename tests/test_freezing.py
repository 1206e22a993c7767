"""Freezing is a switch, and writes to views are right or refused: promises 47 and 48."""

import copy
import pickle
import time

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import grad


def leaf(*values):
    return minidl.tensor(list(values), dtype=minidl.float64, requires_grad=True)


# --- promise 47: freezing and thawing


def test_promise_47_gradients_add_up_over_a_time_of_freezing():
    w = leaf(1.0, 2.0)
    (w * 3).sum().backward()
    w.requires_grad_(False)
    assert w.grad.tolist() == [3, 3] and not w.requires_grad and w.is_leaf
    assert not (w * 3).requires_grad
    w.requires_grad_(True)
    (w * 3).sum().backward()
    assert w.grad.tolist() == [6, 6]


def test_promise_47_a_graph_made_before_reaches_the_tensor_frozen_or_not():
    w = leaf(1.0, 2.0)
    early, late = (w * 3).sum(), (w * 4).sum()
    w.requires_grad_(False)
    early.backward()
    assert w.grad.tolist() == [3, 3]
    w.requires_grad = True
    late.backward()
    assert w.grad.tolist() == [7, 7]
    assert grad((w * 2).sum(), w)[0].tolist() == [2, 2]


def test_promise_47_hooks_stay():
    w = leaf(1.0)
    seen = []
    handle = w.register_hook(lambda dy: seen.append(dy.item()))
    w.requires_grad_(False).requires_grad_(True)
    (w * 5).backward(minidl.ones(1, dtype=minidl.float64))
    assert seen == [5]
    handle.remove()
    w.requires_grad_(False).requires_grad_(True)
    (w * 5).backward(minidl.ones(1, dtype=minidl.float64))
    assert seen == [5]


def test_promise_47_a_module_frozen_for_an_evaluation():
    net = nn.Linear(2, 1)
    x = minidl.ones(4, 2)
    net(x).sum().backward()
    net.requires_grad_(False)
    assert not net(x).requires_grad and net.weight.grad.tolist() == [[4, 4]]
    net.requires_grad_(True)
    net(x).sum().backward()
    assert net.weight.grad.tolist() == [[8, 8]]


def test_frozen_data_may_be_exchanged():
    w = leaf(1.0, 2.0).requires_grad_(False)
    w.data = minidl.ones(3)
    w.requires_grad_(True)
    w.sum().backward()
    assert w.grad.tolist() == [1, 1, 1] and w.grad.dtype == minidl.float32


def test_a_gradient_may_be_set_where_none_is_asked_for():
    w = minidl.zeros(3)
    w.grad = minidl.ones(3)
    assert w.grad.tolist() == [1, 1, 1] and not w.requires_grad
    w.requires_grad_()
    w.sum().backward()
    assert w.grad.tolist() == [2, 2, 2]
    w.grad = None
    assert w.grad is None
    with pytest.raises(RuntimeError, match="grad: only floating-point"):
        whole = minidl.zeros(2, dtype=minidl.int64)
        whole.grad = minidl.zeros(2, dtype=minidl.int64)


def test_detach_of_a_leaf_freezes_it():
    w = leaf(1.0)
    (w * 2).sum().backward()
    assert not w.detach_().requires_grad and w.grad.tolist() == [2]


# --- copies


def test_copies_of_a_model_carry_no_gradients_and_keep_what_is_frozen():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    net(minidl.ones(1, 2)).sum().backward()
    net[0].requires_grad_(False)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert all(p.grad is None for p in twin.parameters())
        assert [p.requires_grad for p in twin.parameters()] == [False, False, True, True]
        twin.requires_grad_(True)
        assert all(p.grad is None for p in twin.parameters())
    assert all(p.grad is not None for p in net.parameters())


def test_a_pickled_tensor_carries_no_gradient_and_a_deep_copy_does():
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    assert pickle.loads(pickle.dumps(w)).grad is None
    twin = copy.deepcopy(w)
    twin.grad.zero_()
    assert w.grad.tolist() == [2, 4]
    assert copy.deepcopy(w.requires_grad_(False)).grad.tolist() == [2, 4]


# --- promise 48: views made under no_grad, written outside it

VIEWS = {
    "an index": lambda x: x[0],
    "a slice": lambda x: x[:1],
    "reshape": lambda x: x.reshape(-1),
    "a transpose": lambda x: x.T,
    "a view of a view": lambda x: x.T[0],
    "unbind": lambda x: x.unbind()[0],
    "split": lambda x: x.split(1)[0],
    "diagonal": lambda x: x.diagonal(),
}
WRITES = {
    "mul_": lambda v: v.mul_(2),
    "zero_": lambda v: v.zero_(),
    "setitem": lambda v: v.__setitem__(0, 7.0),
    "a result": lambda v: v.add_(minidl.ones(1, dtype=minidl.float64, requires_grad=True)),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ["leaf", "result"])
def test_promise_48_a_view_of_what_is_in_the_graph_is_refused(kind, view, write):
    w = minidl.ones(2, 2, dtype=minidl.float64, requires_grad=True)
    base = w if kind == "leaf" else w * 1
    with minidl.no_grad():
        v = VIEWS[view](base)
    with pytest.raises(RuntimeError, match=r"in place: .*no_grad\(\)"):
        WRITES[write](v)
    assert base.tolist() == [[1, 1], [1, 1]]
    with minidl.no_grad():
        WRITES[write](v)
    assert base.tolist() != [[1, 1], [1, 1]]


@pytest.mark.parametrize("view", VIEWS)
def test_promise_48_a_view_of_a_buffer_takes_the_buffer_into_the_graph(view):
    w = leaf(3.0)
    buffer = minidl.zeros(2, 2, dtype=minidl.float64)
    with minidl.no_grad():
        v = VIEWS[view](buffer)
    v.add_(w)
    assert buffer.requires_grad
    buffer.sum().backward()
    assert w.grad.tolist() == [v.numel()]


def test_promise_48_a_view_made_under_no_grad_follows_its_base():
    w = leaf(3.0)
    buffer = minidl.zeros(2, 2, dtype=minidl.float64)
    with minidl.no_grad():
        row = buffer[1]
    buffer.add_(w)
    assert row.requires_grad
    row.sum().backward()
    assert w.grad.tolist() == [2]


def test_a_view_that_is_a_leaf_does_not_change_behind_its_back():
    buffer, w = minidl.zeros(2, 2), minidl.ones(2, requires_grad=True)
    row = buffer[0].requires_grad_()
    for write in (lambda: buffer.add_(w), lambda: buffer[:, 0].add_(w)):
        with pytest.raises(RuntimeError, match="shown by a view that is a leaf"):
            write()
    assert buffer.tolist() == [[0, 0], [0, 0]]
    assert row.is_leaf


# --- many views


def test_views_read_after_other_writes_say_what_memory_says():
    x = leaf(*range(1, 7))
    base = (x * 1).reshape(2, 3)
    rows, columns = list(base.unbind(0)), list(base.unbind(1))
    inner = rows[1][1:]
    rows[0].mul_(10)  # 10 20 30 / 4 5 6
    columns[2].mul_(2)  # 10 20 60 / 4 5 12
    inner.add_(columns[0])  # 10 20 60 / 4 15 16: row 1, from column 1 on, plus (10, 4)
    assert base.tolist() == [[10, 20, 60], [4, 15, 16]]
    total = (rows[0] * 1).sum() + (columns[2] * 100).sum() + (inner * 1000).sum()
    total.backward()
    # row 0: 10·x0, 10·x1, 20·x2; column 2: 20·x2, 2·x5 + x3; inner: x4 + 10·x0, 2·x5 + x3
    assert x.grad.tolist() == [10 + 10000, 10, 20 + 2000, 100 + 1000, 1000, 200 + 2000]


def test_an_outdated_view_is_a_tensor_as_before():
    x = leaf(1.0, 2.0)
    base = x * 1
    a, b = base[0], base[1]
    a.mul_(3)
    assert isinstance(b, minidl.Tensor) and type(b).__name__ == "Tensor" and b.item() == 2
    with minidl.no_grad():
        assert not (b * 2).requires_grad
    assert type(b) is minidl.Tensor and b.requires_grad  # looking at it under no_grad has not taken it out of the graph
    assert copy.deepcopy(b.detach()).item() == 2
    a.mul_(3)
    assert b.detach_().requires_grad is False
    a.mul_(3)
    with pytest.raises(RuntimeError, match="only a leaf tensor"):
        copy.deepcopy(base[1])


@pytest.mark.parametrize("read", [False, True])
def test_writing_to_many_views_takes_time_linear_in_their_number(read):
    def seconds(n):
        base = minidl.ones(n, requires_grad=True) * 1
        views = base.unbind()
        start = time.perf_counter()
        for v in views:
            v.mul_(2)
        if read:
            assert minidl.stack(views).sum().requires_grad
        took = time.perf_counter() - start
        assert base.tolist() == [2] * n
        return took

    seconds(10)
    small, large = min(seconds(400) for _ in range(3)), min(seconds(1600) for _ in range(3))
    assert large < 10 * small, (small, large)  # 4 where it is linear, 16 where it is quadratic


def test_gradients_through_many_written_views():
    x = leaf(*np.arange(1.0, 51))
    base = x * 1
    views = base.unbind()
    for i, v in enumerate(views):
        v.mul_(i)
    (base.sum() + minidl.stack(views).sum()).backward()
    assert x.grad.tolist() == [2.0 * i for i in range(50)]
