"""The graph: what backward promises, hooks, grad, Function, no_grad, anomaly mode, memory, depth, threads."""

import copy
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import Function, detect_anomaly, grad
from minidl.tensors.record import apply


def leaf(values):
    return minidl.tensor(values, requires_grad=True)


# --- what a gradient is


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda a: (a + a) + (a + a), 4.0),
        (lambda a: a * a, 6.0),
        (lambda a: a * a * a, 27.0),
        (lambda a: a + a.relu(), 2.0),
        (lambda a: a.relu() + a, 2.0),
        (lambda a: (b := a * 2) * b + a, 25.0),
        (lambda a: a + (b := a * 2) * b, 25.0),
        (lambda a: minidl.stack([a, a, a * a]).sum(), 8.0),
        (lambda a: (a.exp().log() - a) * a + a / a, 0.0),
    ],
)
def test_promise_01_a_node_used_twice_counts_twice(f, slope):
    a = leaf(3.0)
    f(a).backward()
    assert a.grad.item() == pytest.approx(slope, abs=1e-5)


def test_promise_01_matrices_used_twice():
    x = minidl.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    (x @ x.T).sum().backward()
    assert np.array_equal(x.grad.numpy(), 2 * np.tile(x.detach().numpy().sum(0), (2, 1)))
    x.grad = None
    minidl.cat([x, x]).sum().backward()
    assert np.array_equal(x.grad.numpy(), np.full((2, 3), 2.0))


def test_promise_01_backward_of_each_node_runs_once():
    calls = []

    class Count(Function):
        @staticmethod
        def forward(ctx, x):
            return x + 1

        @staticmethod
        def backward(ctx, dy):
            calls.append(dy.item())
            return dy

    a = leaf(1.0)
    b = Count.apply(a)
    (b * 2 + b.exp() * 0 + b).backward()
    assert calls == [3.0]


def test_fan_out_of_one_tensor_into_many():
    a = leaf([1.0, 2.0])
    sum((a * i).sum() for i in range(100)).backward()
    assert a.grad.tolist() == [4950.0, 4950.0]


# --- backward twice


def test_promise_07_second_backward_raises_before_any_gradient_is_touched():
    x = leaf([1.0, 2.0])
    y = (x.exp() * x).sum()
    y.backward()
    first = x.grad.tolist()
    with pytest.raises(RuntimeError, match=r"walked before.*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == first


def test_promise_07_a_new_result_of_a_walked_graph_raises():
    x, w = leaf([1.0, 2.0]), leaf([1.0, 1.0])
    h = x.exp()
    h.sum().backward()
    loss = (h * w).sum()
    with pytest.raises(RuntimeError, match="Exp has dropped what it had saved"):
        loss.backward()
    assert w.grad is None


def test_promise_07_retain_graph_doubles_exactly():
    x = minidl.tensor(np.linspace(-2, 2, 7), requires_grad=True)
    y = (x.sin() * x.exp()).sum()
    y.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    y.backward()
    assert np.array_equal(x.grad.numpy(), 2 * first)
    with pytest.raises(RuntimeError):
        y.backward()


def test_gradients_accumulate_over_graphs_into_the_same_tensor():
    x = leaf([1.0, 2.0])
    x.sum().backward()
    kept = x.grad
    (3 * x).sum().backward()
    assert x.grad is kept
    assert kept.tolist() == [4.0, 4.0]


# --- gradients belong to nobody else


def test_promise_08_no_gradient_shares_memory():
    a, b, seed = leaf([1.0, 2.0]), leaf([3.0, 4.0]), minidl.tensor([1.0, 1.0])
    c = a + b
    c.retain_grad()
    d = c.reshape(1, 2).expand(3, 2)
    d.retain_grad()
    e = d[0]
    e.backward(seed)
    arrays = [a.grad.array, b.grad.array, c.grad.array, d.grad.array, seed.array, a.array, b.array, c.array]
    for i, one in enumerate(arrays):
        assert not any(np.may_share_memory(one, other) for other in arrays[:i])
        assert one.flags.writeable or one is d.grad.array
    a.grad.zero_()
    assert b.grad.tolist() == [1.0, 1.0]
    assert seed.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("view", [lambda x: x, lambda x: x.sum(), lambda x: x.T.reshape(-1), lambda x: x[0], lambda x: x + 0])
def test_promise_08_a_gradient_can_be_written_to(view):
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = view(x)
    y.backward(minidl.ones(y.shape))
    x.grad += 1
    x.grad.zero_()
    y = view(x)
    y.backward(minidl.ones(y.shape))
    assert x.grad.sum() == y.numel() or y.ndim == 0


def test_promise_08_inputs_and_cotangents_are_not_mutated():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    dy = minidl.tensor([5.0, 6.0])
    (a * b + a / b + a).backward(dy)
    assert (a.tolist(), b.tolist(), dy.tolist()) == ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0])


# --- clear errors


def test_promise_29_backward_of_a_matrix_needs_a_cotangent():
    with pytest.raises(RuntimeError, match=r"backward: a gradient can be left out only for a scalar.*\(2, 2\)"):
        (minidl.ones(2, 2, requires_grad=True) * 2).backward()


def test_promise_29_backward_without_history():
    with pytest.raises(RuntimeError, match="backward: this tensor was not made from anything that requires grad"):
        minidl.ones(2).sum().backward()


def test_promise_29_cotangent_of_the_wrong_shape():
    y = minidl.ones(2, 3, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match=r"backward: the gradient has shape \(3,\), the tensor \(2, 3\)"):
        y.backward(minidl.ones(3))


def test_one_element_counts_as_scalar_and_backward_takes_arrays_and_numbers():
    x = leaf([[2.0]])
    (x * x).backward()
    assert x.grad.tolist() == [[4.0]]
    x = leaf([1.0, 2.0])
    (x * x).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 40.0]
    assert x.grad.dtype == minidl.float32
    s = leaf(3.0)
    (s * s).backward(2)
    assert s.grad.item() == 12.0


def test_promise_11_integers_cannot_require_grad():
    for make in (
        lambda: minidl.tensor([1, 2], requires_grad=True),
        lambda: minidl.zeros(2, dtype=minidl.int64, requires_grad=True),
        lambda: minidl.arange(3).requires_grad_(),
    ):
        with pytest.raises(TypeError, match=r"\[1., 2.\]"):
            make()


def test_promise_11_argmax_and_comparisons_are_constants():
    x = leaf([[1.0, 3.0], [2.0, 0.0]])
    constants = (x.argmax(), x.max(1).indices, x > 1, x == x, x.sort().indices, x.isnan(), x.long(), x.bool(), x.nonzero())
    assert not any(c.requires_grad for c in (*constants, x.detach(), x.data))


def test_promise_30_grad_of_a_result_says_how_to_keep_it():
    x = leaf([1.0, 2.0])
    y = x * 3
    y.sum().backward()
    with pytest.warns(UserWarning, match="retain_grad"):
        assert y.grad is None
    y = x * 3
    y.retain_grad()
    assert y.retains_grad
    assert y.grad is None
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]


def test_retain_grad_of_one_of_several_outputs_and_of_a_leaf():
    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            return a * 2 + b * 3

    x = leaf([1.0])
    x.retain_grad()
    a, b = Two.apply(x)
    a.retain_grad()
    (a * 5 + b).backward()
    assert a.grad.tolist() == [5.0]
    assert x.grad.tolist() == [13.0]
    with pytest.raises(RuntimeError, match="does not require grad"):
        minidl.ones(1).retain_grad()


# --- backward(inputs=...), grad


def test_backward_into_inputs_only():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (x * w).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3.0, 4.0]
    assert w.grad is None
    (x * w).sum().backward(inputs=w)
    assert w.grad.tolist() == [1.0, 2.0]
    for inputs in ([], [minidl.ones(2)]):
        with pytest.raises(RuntimeError, match="inputs must be one or more tensors that require grad"):
            (x * w).sum().backward(inputs=inputs)


def test_grad_leaves_every_grad_alone():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    h = x * w
    dx, dh = grad((h * h).sum(), [x, h])
    assert dx.tolist() == [18.0, 64.0]
    assert dh.tolist() == [6.0, 16.0]
    assert x.grad is None
    assert w.grad is None
    assert not dx.requires_grad


def test_grad_of_several_outputs_with_cotangents():
    x = leaf([1.0, 2.0])
    (dx,) = grad([x * 2, x * x], x, grad_outputs=[minidl.ones(2), minidl.tensor([1.0, 10.0])])
    assert dx.tolist() == [4.0, 42.0]
    (dx,) = grad([x.sum(), (x * x).sum()], [x])
    assert dx.tolist() == [3.0, 5.0]
    y = x.sum()
    (dx,) = grad([y, y], x)  # one output twice counts twice
    assert dx.tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match=r"a cotangent .* for each of 2 outputs, got 1"):
        grad([x * 2, x * x], x, grad_outputs=[minidl.ones(2)])


def test_grad_of_an_unused_input():
    x, u = leaf([1.0]), leaf([2.0])
    with pytest.raises(RuntimeError, match="do not depend on input 1"):
        grad((x * x).sum(), [x, u], retain_graph=True)
    dx, du = grad((x * x).sum(), [x, u], allow_unused=True)
    assert dx.tolist() == [2.0]
    assert du is None
    with pytest.raises(RuntimeError, match="input 0 does not require grad"):
        grad(x.sum(), minidl.ones(1))


def test_grad_of_the_output_itself_and_retain_graph():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    (dy,) = grad(y, y, retain_graph=True)
    assert dy.item() == 1.0
    for _ in range(2):
        (dx,) = grad(y, x, retain_graph=True)
        assert dx.tolist() == [2.0, 4.0]
    grad(y, x)
    with pytest.raises(RuntimeError, match="walked before"):
        grad(y, x)


# --- hooks


def test_hooks_on_a_leaf_and_on_a_result_in_order():
    seen = []
    x = leaf([1.0, 2.0])
    y = x * 3
    y.register_hook(lambda g: seen.append(("y", g.tolist())))
    x.register_hook(lambda g: seen.append(("first", g.tolist())) or g * 10)
    x.register_hook(lambda g: seen.append(("second", g.tolist())))
    y.sum().backward()
    assert seen == [("y", [1.0, 1.0]), ("first", [3.0, 3.0]), ("second", [30.0, 30.0])]
    assert x.grad.tolist() == [30.0, 30.0]


def test_a_hook_changes_what_flows_on_and_can_be_removed():
    x = leaf(2.0)
    y = x * 3
    handle = y.register_hook(lambda g: g * 100)
    (y * y).backward(retain_graph=True)
    assert x.grad.item() == 3600.0
    x.grad = None
    handle.remove()
    handle.remove()
    (y * y).backward()
    assert x.grad.item() == 36.0


def test_a_hook_sees_the_whole_gradient_once():
    seen = []
    x = leaf(2.0)
    y = x + 0
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 2 + y * 3 + y).backward()
    assert seen == [6.0]


def test_a_hook_of_the_wrong_shape_raises_and_constants_take_none():
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match=r"hook on leaf: expected a gradient of shape \(2,\), got \(\)"):
        (x * 2).sum().backward()
    assert x.grad is None
    with pytest.raises(RuntimeError, match="does not require grad"):
        minidl.ones(1).register_hook(print)


# --- Function


class Scale(Function):
    @staticmethod
    def forward(ctx, x, factor, y):
        ctx.save_for_backward(x, y)
        ctx.factor = factor
        return x * factor * y

    @staticmethod
    def backward(ctx, dy):
        x, y = ctx.saved_tensors
        return dy * ctx.factor * y, None, dy * ctx.factor * x


def test_function_with_tensors_and_other_arguments():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    out = Scale.apply(x, 10.0, y)
    assert repr(out.grad_fn) == "<ScaleBackward0>"
    out.sum().backward()
    assert x.grad.tolist() == [30.0, 40.0]
    assert y.grad.tolist() == [10.0, 20.0]
    with pytest.raises(RuntimeError, match="walked before"):
        out.sum().backward()


def test_function_saved_tensor_changed_in_place_raises():
    x, y = leaf([1.0, 2.0]), minidl.ones(2)
    out = Scale.apply(x, 2.0, y).sum()
    y += 1
    with pytest.raises(RuntimeError, match="Scale: an array that backward needs"):
        out.backward()


class Split(Function):
    """Two outputs; remembers the cotangents."""

    seen = []

    @staticmethod
    def forward(ctx, x):
        return x[:1] * 2, x[1:] * 3

    @staticmethod
    def backward(ctx, da, db):
        Split.seen.append((da.tolist(), db.tolist()))
        return minidl.cat([da * 2, db * 3])


def test_function_with_an_unused_output_gets_zeros():
    Split.seen.clear()
    x = leaf([1.0, 2.0, 3.0])
    a, b = Split.apply(x)
    b.sum().backward()
    assert Split.seen == [([0.0], [1.0, 1.0])]
    assert x.grad.tolist() == [0.0, 3.0, 3.0]
    assert a.requires_grad


def function(forward, backward):
    return type("Custom", (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})


@pytest.mark.parametrize(
    ("backward", "error"),
    [
        (lambda ctx, dy: dy, "expected 2 gradients, one for each argument of forward, got 1"),
        (lambda ctx, dy: (dy, dy, dy), "expected 2 gradients, one for each argument of forward, got 3"),
        (lambda ctx, dy: (dy, dy), "gradient 1 must be None, because argument 1 is no tensor"),
        (lambda ctx, dy: (1.0, None), "gradient 0 must be a Tensor or None, got float"),
        (lambda ctx, dy: (dy.sum(), None), r"a gradient of shape \(\) for an input of \(2,\)"),
    ],
)
def test_function_with_wrong_gradients(backward, error):
    out = function(lambda ctx, x, n: x * n, backward).apply(leaf([1.0, 2.0]), 3)
    with pytest.raises((RuntimeError, TypeError), match=f"Custom.backward: {error}"):
        out.sum().backward()


def test_function_may_return_none_or_more_nones():
    x, y = leaf([1.0]), leaf([2.0])
    function(lambda ctx, x, y: x * y, lambda ctx, dy: (dy * 7, None, None)).apply(x, y).backward()
    assert x.grad.tolist() == [7.0]
    assert y.grad is None


def test_function_whose_backward_returns_one_tensor_twice_or_its_cotangent():
    x, y = leaf([1.0]), leaf([2.0])
    function(lambda ctx, x, y: x + y, lambda ctx, dy: (dy, dy)).apply(x, y).backward()
    x.grad += 1
    assert y.grad.tolist() == [1.0]


def test_function_returning_its_input_or_a_view_of_it_gives_a_tensor_of_its_own():
    for forward in (lambda ctx, x: x, lambda ctx, x: x.reshape(2, 1)):
        x = leaf([1.0, 2.0])
        y = function(forward, lambda ctx, dy: dy.reshape(2)).apply(x)
        y *= 2
        y.sum().backward()
        assert x.tolist() == [1.0, 2.0]
        assert x.grad.tolist() == [2.0, 2.0]


def test_function_details():
    x = leaf([1.0, 2.0])
    needs = []
    f = function(lambda ctx, a, b, n: needs.append(ctx.needs_input_grad) or (a + b) * n, lambda ctx, dy: (None, None, None))
    f.apply(x, minidl.ones(2), 3)
    assert needs == [(True, False, False)]
    with minidl.no_grad():
        assert not f.apply(x, x, 2).requires_grad
    assert not f.apply(minidl.ones(2), minidl.ones(2), 2).requires_grad
    assert not function(lambda ctx, a: a.argmax(), None).apply(x).requires_grad
    with pytest.raises(TypeError, match=r"Custom.forward: expected a Tensor or a tuple of Tensors, got ndarray"):
        function(lambda ctx, a: a.numpy(), None).apply(minidl.ones(2))
    with pytest.raises(TypeError, match="save_for_backward: expected Tensors, got float"):
        function(lambda ctx, a: ctx.save_for_backward(a, 1.0), None).apply(x)
    with pytest.raises(TypeError, match="setup_context is not supported"):
        type("New", (Function,), {"setup_context": None})


# --- no_grad


def test_promise_38_no_grad_as_context_nested_and_after_exceptions():
    x = leaf(1.0)
    with minidl.no_grad():
        assert not (x * 2).requires_grad
        with minidl.enable_grad():
            assert (x * 2).requires_grad
            with minidl.no_grad(), pytest.raises(ZeroDivisionError):
                1 / 0  # noqa: B018
            assert minidl.is_grad_enabled()
        assert not minidl.is_grad_enabled()
    assert (x * 2).requires_grad
    context = minidl.no_grad()
    with context, context:
        assert not minidl.is_grad_enabled()
    assert minidl.is_grad_enabled()


def test_promise_38_no_grad_as_decorator():
    x = leaf(1.0)

    @minidl.no_grad()
    def called(n):
        """Doubles."""
        return (x * 2).requires_grad or (n and called(n - 1))

    @minidl.no_grad
    def bare():
        raise ValueError("inside")

    assert called(3) == 0
    assert called.__doc__ == "Doubles."
    with pytest.raises(ValueError, match="inside"):
        bare()
    assert minidl.is_grad_enabled()

    @minidl.enable_grad()
    def recorded():
        return (x * 2).requires_grad

    with minidl.no_grad():
        assert recorded()


def test_promise_38_a_decorated_generator_is_off_only_while_it_runs():
    @minidl.no_grad()
    def numbers():
        try:
            for i in range(3):
                assert not minidl.is_grad_enabled()
                sent = yield i
                assert sent is None or sent == "go"
        except KeyError:
            assert not minidl.is_grad_enabled()
            yield "caught"

    for i, n in enumerate(numbers()):
        assert minidl.is_grad_enabled()
        assert i == n
    generator = numbers()
    assert next(generator) == 0
    assert generator.send("go") == 1
    assert generator.throw(KeyError("out")) == "caught"
    generator.close()
    assert minidl.is_grad_enabled()


@pytest.mark.parametrize("wrong", ["False", 0, None])
def test_set_grad_enabled_takes_true_or_false(wrong):
    with pytest.raises(TypeError, match="set_grad_enabled: expected True or False"):
        minidl.set_grad_enabled(wrong)
    assert minidl.is_grad_enabled()


def test_promise_38_set_grad_enabled_as_function_and_context():
    with minidl.set_grad_enabled(False):
        assert not minidl.is_grad_enabled()
        with minidl.set_grad_enabled(True):
            assert minidl.is_grad_enabled()
        assert not minidl.is_grad_enabled()
    assert minidl.is_grad_enabled()
    minidl.set_grad_enabled(False)
    assert not minidl.is_grad_enabled()
    minidl.set_grad_enabled(True)
    assert minidl.is_grad_enabled()

    @minidl.set_grad_enabled(False)
    def off():
        return minidl.is_grad_enabled()

    assert minidl.is_grad_enabled()
    assert not off()


def test_promise_38_each_thread_has_its_own_mode():
    inside, states = threading.Event(), {}

    def other():
        inside.wait(5)
        states["other"] = minidl.is_grad_enabled()

    thread = threading.Thread(target=other)
    thread.start()
    with minidl.no_grad():
        inside.set()
        thread.join()
        states["this"] = minidl.is_grad_enabled()
    assert states == {"other": True, "this": False}


def test_backward_inside_no_grad_works():
    x = leaf([1.0, 2.0])
    loss = (x * x).sum()
    with minidl.no_grad():
        loss.backward()
        x -= 0.5 * x.grad
    assert x.tolist() == [0.0, 0.0]
    assert x.requires_grad
    assert x.is_leaf


# --- detect_anomaly


def test_promise_31_anomaly_in_forward_names_operation_and_line():
    x = leaf([1.0, 0.0])
    with pytest.raises(RuntimeError, match=r"Log: its output is not finite.*test_graph.py:\d+: x.log\(\)"), detect_anomaly():
        x.log()


def test_promise_31_anomaly_in_backward_names_operation_and_line():
    x = leaf([4.0, 0.0])
    with detect_anomaly():
        y = x.sqrt()  # the line that is named
        z = (y * 2).sum()
        with pytest.raises(RuntimeError, match=r"Sqrt: the gradient.*test_graph.py:\d+: y = x.sqrt\(\)  # the line"):
            z.backward()
    assert x.grad is None


def test_promise_31_anomaly_of_what_was_recorded_before_says_so():
    x = leaf([4.0, 0.0])
    y = x.sqrt().sum()
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"Sqrt.*before detect_anomaly"):
        y.backward()
    assert np.isinf(x.log().tolist()[1])  # nothing is watched any more


# --- memory


def arrays_of(*tensors):
    return [weakref.ref(t.array) for t in tensors] + [weakref.ref(t) for t in tensors]


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("walked", [False, True])
def test_promise_37_intermediates_die_without_the_collector(no_collector, walked):
    x, w = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([[1.0, 0.0], [0.0, 1.0]])
    h = x @ w
    v = h[0]
    e = h.exp()
    v2 = e.T.reshape(-1)
    v2 *= 2  # a view written to: its base and sibling follow
    c = Scale.apply(e, 2.0, h)
    c.register_hook(lambda g: None)
    c.retain_grad()
    loss = (c + v).sum()
    alive = arrays_of(h, v, e, v2, c, loss)
    nodes = [weakref.ref(t.node) for t in (h, v, e, c, loss)]
    if walked:
        loss.backward()
    del h, v, e, v2, c, loss
    assert not any(r() is not None for r in alive)
    assert not any(r() is not None for r in nodes)


def test_promise_37_backward_frees_what_was_saved(no_collector):
    x = leaf([1.0, 2.0])
    h = x.exp()
    saved = weakref.ref(h.array)
    loss = (h * h).sum()
    del h
    assert saved() is not None
    loss.backward()
    assert saved() is None
    assert loss.requires_grad


def test_promise_37_total_keeps_no_activations_after_backward(no_collector):
    w = leaf(np.ones((50, 50), np.float32))
    total, saved = 0.0, []
    for _ in range(5):
        h = (w @ w).exp()
        saved.append(weakref.ref(h.array))
        loss = h.mean()
        loss.backward()
        total += loss
        del h, loss
    assert not any(s() is not None for s in saved)
    assert total.item() > 0


def test_promise_37_memory_is_flat_over_a_thousand_steps(no_collector):
    w, x = leaf(np.ones((8, 8), np.float32) / 8), minidl.ones(4, 8)

    def step():
        h = (x @ w).tanh() + 0.0
        h[0] = 0
        h.reshape(-1)[:3] *= 2
        loss = (h * h).mean()
        loss.backward()
        with minidl.no_grad():
            w.sub_(0.01 * w.grad)
        w.grad.zero_()
        x[:2]  # a view of a tensor that stays

    tracemalloc.start()
    try:
        for _ in range(2000):  # Python's own stocks of freed objects fill first
            step()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            step()
        assert gc.collect() == 0  # no cycle was made; this also empties Python's stock of freed tuples
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()


# --- depth


def test_promise_36_fifty_thousand_operations():
    x = leaf([1.0])
    h = x
    for _ in range(50_000):
        h = h + 1.0
    h.backward()
    assert x.grad.tolist() == [1.0]
    del h


def deep_chain(length):
    h = leaf([1.0])
    for _ in range(length):
        h = h * 1.0
    return h


# CPython 3.13 needs more of the stack to take down a deep chain of objects, of any kind: 1 MiB is enough.
@pytest.mark.parametrize("stack_size", [0, (128 if sys.version_info < (3, 13) else 1024) * 1024])
def test_promise_36_deleting_a_long_chain_in_a_thread(stack_size):
    done = []

    def run():
        h = deep_chain(200_000)
        del h
        done.append(True)

    old = threading.stack_size(stack_size)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(old)
    assert done


def test_promise_36_sixty_doublings_are_instant():
    x = leaf(1.0)
    h, start = x, time.perf_counter()
    for _ in range(60):
        h = h + h
    h.backward()
    assert x.grad.item() == 2.0**60
    assert time.perf_counter() - start < 0.5


# --- copies


def test_deepcopy_of_a_leaf_keeps_gradient_and_independence():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad
    assert y.is_leaf
    assert y.grad.tolist() == [2.0, 4.0]
    with minidl.no_grad():
        y += 1
    y.grad.zero_()
    assert x.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == [2.0, 4.0]
    twice = copy.deepcopy([x, x])
    assert twice[0] is twice[1]


def test_pickle_of_leaves_and_constants():
    for x in (leaf([1.0, 2.0]), minidl.tensor([[1, 2]]), minidl.ones(2, 3).T, minidl.ones(1).expand(3)):
        y = pickle.loads(pickle.dumps(x))
        assert np.array_equal(y.detach().numpy(), x.detach().numpy())
        assert y.dtype == x.dtype
        assert y.requires_grad == x.requires_grad


def test_a_leaf_with_hooks_is_pickled_without_them():
    x = leaf([1.0])
    x.register_hook(lambda g: g * 2)
    y = pickle.loads(pickle.dumps(x))
    y.sum().backward()
    assert y.grad.tolist() == [1.0]
    y = copy.deepcopy(x)
    y.sum().backward()
    assert y.grad.tolist() == [1.0]


def test_results_cannot_be_copied():
    y = leaf([1.0]) * 2
    for copier in (copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match="only a leaf tensor"):
            copier(y)
    assert copy.deepcopy(y.detach()).tolist() == [2.0]


def test_a_view_can_be_copied():
    x = minidl.arange(6.0)
    y = copy.deepcopy(x[2:4])
    y += 1
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert pickle.loads(pickle.dumps(x[1:3])).tolist() == [1.0, 2.0]


# --- float32 stays float32


def test_promise_12_float32_stays_float32():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    lr = np.float64(0.1)
    y = ((x @ x).exp().log() * lr + 1.0 / (x + 2) - x**0.5 + np.float64(2) ** x + np.pi).mean()
    assert y.dtype == minidl.float32
    y.backward()
    assert x.grad.dtype == minidl.float32
    with minidl.no_grad():
        x -= lr * x.grad
        x.mul_(1 - lr)
        x.add_(x.grad, alpha=lr)
    assert x.dtype == minidl.float32


# --- threads and processes


def train(result, key, steps=30):
    rng = np.random.default_rng(0)
    x = minidl.tensor(rng.normal(size=(128, 64)).astype(np.float32))
    w = leaf(rng.normal(size=(64, 64)).astype(np.float32) / 8)
    for _ in range(steps):
        loss = ((x @ w).tanh().softmax(1).log() ** 2).mean()
        loss.backward()
        with minidl.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
    result[key] = w.detach().numpy().tobytes()


def test_promise_39_two_threads_train_at_once():
    results = {}
    threads = [threading.Thread(target=train, args=(results, i)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    train(results, "alone")
    assert results[0] == results[1] == results["alone"]


def test_promise_39_nodes_of_two_threads_do_not_mix():
    """The serial numbers and the record of writes are common to all threads."""
    wrong = []

    def run(seed):
        for i in range(300):
            x = leaf([float(seed), float(i)])
            h = x * 2
            h[0] = 1.0
            h *= h
            h.sum().backward()
            if x.grad.tolist() != [0.0, 8.0 * i]:
                wrong.append(x.grad.tolist())

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _child(queue):
    result = {}
    train(result, "child", 3)
    queue.put(result["child"])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_promise_39_a_forked_child_trains():
    result = {}
    train(result, "parent", 3)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork next to threads
        child = context.Process(target=_child, args=(queue,))
        child.start()
    assert queue.get(timeout=60) == result["parent"]
    child.join()
    assert child.exitcode == 0


LAYER = """
import threading
import numpy as np, minidl
from test_graph import train
results = {}
threads = [threading.Thread(target=train, args=(results, i, 10)) for i in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
assert results[0] == results[1]
x = minidl.tensor(np.random.default_rng(0).normal(size=(400, 300)).astype(np.float32))
def product(i): results[i] = (x @ x.T).exp().sum().item()
threads = [threading.Thread(target=product, args=(i,)) for i in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
assert results[0] == results[1]
print("trained")
"""


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_promise_39_two_threads_under_every_threading_layer(layer):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(Path(minidl.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2", "PYTHONPATH": path}
    run = subprocess.run([sys.executable, "-c", LAYER], env=environment, capture_output=True, text=True, timeout=120)
    assert run.stdout == "trained\n", run.stderr


def test_a_hook_that_writes_in_place_spoils_nobody_elses_gradient():
    a, b = leaf([1.0]), leaf([1.0])
    y = a * 1 + (b2 := b * 1)
    b2.register_hook(lambda g: g.mul_(0))
    seed = minidl.ones(1)
    y.register_hook(lambda g: g.mul_(3) and None)
    y.backward(seed)
    assert a.grad.tolist() == [1.0]
    assert b.grad is not None
    assert seed.tolist() == [1.0]


def test_infinities_and_nans_raise_no_warning_of_numpys():
    x = leaf([0.0, float("inf")])
    y = x * float("inf") - float("inf") + x.sum() + (x * 3e38) * 10
    y.backward(minidl.tensor([float("inf"), 0.0]))
    with np.errstate(all="raise"):
        assert (minidl.tensor([0.0]) / 0).isnan().all()
    with pytest.warns(RuntimeWarning):  # and NumPy's own state is as it was
        np.float64(1) / np.zeros(())


@pytest.mark.parametrize("wrong", [[1.0], np.ones(2), "x", 5])
def test_grad_of_what_is_no_tensor_is_told(wrong):
    x = minidl.tensor(1.0, requires_grad=True)
    for args in ((wrong, x), (x * x, wrong)):
        with pytest.raises(TypeError, match="grad: expected Tensors as outputs and inputs, got"):
            grad(*args)
    assert grad(x * x, (p for p in [x]))[0].item() == 2


class Impolite(Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, dy):
        dy *= 2
        return dy


def test_a_function_may_write_to_the_cotangent_that_it_is_given():
    x, w = leaf(1.0), leaf([1.0, 2.0])
    for _ in range(2):  # the first must not change what the second starts with
        (dx,) = grad(Impolite.apply(x), x)
        assert dx.item() == 2.0
    y = w * 1.0
    (Impolite.apply(y) + y).backward(minidl.ones(2))  # the sum sends one array to both
    assert w.grad.tolist() == [3.0, 3.0]


# --- only what leads to the inputs


class Slow(Function):
    """The identity; remembers that somebody asked for its gradient."""

    calls = []

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, dy):
        Slow.calls.append(dy.shape)
        return dy


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("how", ["grad", "backward"])
def test_only_what_leads_to_the_inputs_is_computed(how, create_graph):
    Slow.calls.clear()
    x, w = minidl.ones(3, requires_grad=True), minidl.ones(3, requires_grad=True)
    seen = []
    w.register_hook(seen.append)
    aside = Slow.apply(w)
    aside.register_hook(seen.append)
    loss = (Slow.apply(x) * aside).sum()
    if how == "grad":
        (dx,) = grad(loss, x, create_graph=create_graph)
    else:
        loss.backward(inputs=[x], create_graph=create_graph)
        dx = x.grad
    assert dx.tolist() == [1, 1, 1] and w.grad is None
    assert Slow.calls == [(3,)] and seen == []


def test_the_gradient_of_an_intermediate_stops_there():
    Slow.calls.clear()
    x = minidl.ones(3, requires_grad=True)
    h = Slow.apply(x)
    (dh,) = grad((h * h).sum(), h)
    assert dh.tolist() == [2, 2, 2] and Slow.calls == []


def test_an_input_above_another_input_and_an_input_that_is_the_output():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    h = x * 3
    loss = (h * h).sum()
    dloss, dh, dx = grad(loss, [loss, h, x], retain_graph=True)
    assert (dloss.item(), dh.tolist(), dx.tolist()) == (1.0, [6, 12], [18, 36])
    (dx,) = grad([loss, x.sum() * 0], x, retain_graph=True)
    assert dx.tolist() == [18, 36]
    unused = minidl.ones(1, requires_grad=True)
    assert grad(loss, [unused, x], allow_unused=True)[0] is None


@pytest.mark.parametrize("create_graph", [False, True])
def test_one_of_several_outputs_as_an_input(create_graph):
    x = minidl.arange(6.0).reshape(2, 3).requires_grad_()
    parts = apply(ops.Unbind(0), x)
    loss = (parts[0] * parts[1]).sum()
    (d0,) = grad(loss, parts[0], retain_graph=True, create_graph=create_graph)
    assert d0.tolist() == [3, 4, 5]
    d0, dx = grad(loss, [parts[0], x], create_graph=create_graph)
    assert d0.tolist() == [3, 4, 5] and dx.tolist() == [[3, 4, 5], [0, 1, 2]]


def test_what_was_not_computed_can_be_computed_later():
    x, w = minidl.ones(2, requires_grad=True), minidl.tensor([2.0, 3.0], requires_grad=True)
    a, b = x.exp(), w.exp()
    loss = (a * b).sum()
    grad(loss, x, retain_graph=True)
    assert grad(loss, w)[0].shape == (2,)  # the needs of every operation are as they were
    assert grad(a.sum(), x)[0].shape == (2,)  # the second walk has not been here, and released nothing
    with pytest.raises(RuntimeError, match="walked before"):
        grad(b.sum(), w)


def test_next_functions_are_the_edges_of_the_graph():
    x, w = minidl.ones(2, 3, requires_grad=True), minidl.ones(3, 4, requires_grad=True)
    h = x @ w
    y = h * 2
    assert y.grad_fn.next_functions == ((h.grad_fn, 0), (None, 0))
    assert h.grad_fn.next_functions == ((x.node, 0), (w.node, 0)) and x.node.next_functions == ()
    first, second = apply(ops.Unbind(0), x)
    assert second.grad_fn.next_functions == ((x.node, 0),)
    assert (first + second).grad_fn.next_functions == ((first.grad_fn.edge[0], 0), (first.grad_fn.edge[0], 1))
