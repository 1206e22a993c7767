"""Gradients of gradients: every operation's, against central differences and against the first-order gradient."""

import gc
import inspect
import math
import threading
import weakref

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.autograd import Function, GradcheckError, grad, gradcheck, gradgradcheck
from minidl.double_backward.composites import COMPOSITES
from minidl.tensors.record import apply, wrap

from .checks import cotangent, is_array, run
from .table import TABLE

F = nn.functional
ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.op.__name__)


def leaf(*values, dtype=minidl.float64):
    return minidl.tensor(values[0] if len(values) == 1 else list(values), dtype=dtype, requires_grad=True)


def leaves(arrays, dtype=np.float64, only=None):
    return [wrap(x.astype(dtype)).requires_grad_(only in (None, i)) if is_array(x) else x for i, x in enumerate(arrays)]


def call(row, options, *xs):
    """The output of an operation; of several, all in a row."""
    y = apply(row.op(*options), *xs)
    return minidl.cat([part.reshape(-1) for part in y]) if isinstance(y, tuple) else y


# --- every operation


@ROWS
def test_the_gradient_of_the_gradient(row):
    for number, case in enumerate(row.cases):
        alone = [i for i, x in enumerate(case.inputs) if is_array(x) and len(case.inputs) > 1]
        for only in (None, *(alone if number == 0 or row.op not in COMPOSITES else [])):  # those take long
            if row.op is ops.GammaInc and only != 1 and is_array(case.inputs[0]):
                continue  # the slope of its slope in a is not known; it says so, below
            assert gradgradcheck(lambda *xs, case=case: call(row, case.options, *xs), leaves(case.inputs, only=only)), case


@ROWS
def test_the_recorded_gradient_is_the_gradient(row):
    for case in row.cases:
        for dtype in (np.float64, np.float32) if row.float32 else (np.float64,):
            inputs = leaves(case.inputs, dtype)
            options = [x.astype(dtype) if is_array(x) and x.dtype.kind == "f" else x for x in case.options]
            y = call(row, options, *inputs)
            xs, dy = [x for x in inputs if isinstance(x, minidl.Tensor)], wrap(cotangent(y.array))
            first, again = grad(y, xs, dy, retain_graph=True), grad(y, xs, dy, create_graph=True)
            for dx, other in zip(first, again, strict=True):
                assert other.dtype == dx.dtype and type(other.array) is np.ndarray
                tolerance = 1e-10 if dtype is np.float64 else 1e-4
                np.testing.assert_allclose(
                    other.array, dx.array, tolerance, tolerance * max(1, np.abs(dx.array).max(initial=0))
                )


@ROWS
def test_mixed_derivatives_where_only_one_gradient_was_asked_for(row):
    for case in row.cases[:1] if row.op in COMPOSITES else row.cases:
        places = [i for i, x in enumerate(case.inputs) if is_array(x)]
        for i in places if len(places) > 1 and row.op is not ops.GammaInc else []:

            def one(*xs, i=i, case=case):
                again = minidl.is_grad_enabled()  # not where gradcheck moves an element
                with minidl.enable_grad():
                    y = call(row, case.options, *xs)
                    return grad(y, xs[i], wrap(cotangent(y.array)), create_graph=again, allow_unused=True)[0]

            inputs = leaves(case.inputs)
            xs = [x for x in inputs if isinstance(x, minidl.Tensor)]
            dx = one(*inputs)
            depends = [dx.requires_grad and grad(dx.sum(), x, retain_graph=True, allow_unused=True)[0] is not None for x in xs]
            for x, live in zip(xs, depends, strict=True):
                x.requires_grad_(live)
            if any(depends) and depends[places.index(i)]:
                assert gradcheck(one, inputs), case


@ROWS
def test_saved_arrays_are_called_what_they_are(row):
    """A second reading takes an array for an input, or for the output, by its name."""
    for case in row.cases:
        op, y, *_ = run(case)
        names = list(inspect.signature(row.op.forward).parameters)[1:]
        for name, x in zip(names, case.inputs, strict=False):
            saved = vars(op).get(name)
            if is_array(saved) and is_array(x):
                np.testing.assert_array_equal(saved, x)
        if is_array(vars(op).get("y")):
            np.testing.assert_array_equal(op.y.ravel(), y.ravel()[: op.y.size])  # of several outputs, the first


@ROWS
def test_what_is_called_linear_is(row):
    if row.op.linear:
        rng = np.random.default_rng(0)
        for case in row.cases:
            (x,) = case.inputs
            other = np.asarray(rng.normal(size=x.shape))
            a, b, both = (row.op(*case.options) for _ in range(3))
            for op in (a, b, both):
                op.needs = [None]
            expected = 2 * a.forward(x) - 3 * b.forward(other)
            np.testing.assert_allclose(both.forward(2 * x - 3 * other), expected, 1e-9, 1e-12)


# --- orders


def test_derivatives_of_any_order():
    x = leaf(2.0)
    y = x**5
    for expected in (80.0, 160.0, 240.0, 240.0, 120.0):
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected)


def test_the_tenth_derivative_of_sine():
    x = leaf(0.7)
    y = x.sin()
    for _ in range(10):
        (y,) = grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(-math.sin(0.7), abs=1e-12)


AT_ZERO = [
    ("x³", lambda x: x**3, [0, 0, 6]),
    ("x²", lambda x: x**2, [0, 2]),
    ("x·ln 2, by xlogy", lambda x: x.xlogy(minidl.tensor(2.0, dtype=minidl.float64)), [math.log(2)]),
    ("‖(x, 2)‖", lambda x: minidl.stack([x, x * 0 + 2]).norm(), [0, 0.5]),
    ("x·x·3, by prod", lambda x: minidl.stack([x, x, x * 0 + 3]).prod(), [0, 6]),
    ("softplus", lambda x: F.softplus(x), [0.5, 0.25]),
    ("where", lambda x: minidl.where(x >= 0, x**3, x), [0, 0, 6]),
    ("x·0·3, by prod, with two zeros", lambda x: minidl.stack([x, x * 0, x * 0 + 3]).prod(), [0, 0]),
]


@pytest.mark.parametrize(("name", "f", "expected"), AT_ZERO, ids=[name for name, *_ in AT_ZERO])
def test_at_zero_where_powers_and_masks_are_treacherous(name, f, expected):
    x = leaf(0.0)
    y = f(x)
    for value in expected:
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(value, abs=1e-12)


THIRD = (
    "Mul",
    "Div",
    "Pow",
    "MatMul",
    "Exp",
    "Log",
    "Tanh",
    "Sigmoid",
    "Softmax",
    "LogSumExp",
    "Var",
    "Norm",
    "Prod",
    "Conv2d",
)
THIRD += ("LayerNorm", "CrossEntropy", "Linear", "Gather")


@pytest.mark.parametrize("name", THIRD)
def test_third_order(name):
    row = next(row for row in TABLE if row.op.__name__ == name)
    sizes = [(sum(x.size for x in case.inputs if is_array(x)), i) for i, case in enumerate(row.cases)]
    case = row.cases[next(i for size, i in sorted(sizes) if size >= 4)]

    def gradients(*xs):
        with minidl.enable_grad():
            y = call(row, case.options, *xs)
            return grad(
                (y * y * wrap(cotangent(y.array))).sum(), [x for x in xs if isinstance(x, minidl.Tensor)], create_graph=True
            )

    assert gradgradcheck(gradients, leaves(case.inputs))


def test_xlogy_mixed_at_zero():
    a, b = leaf(0.0), leaf(2.0)
    (db,) = grad(a.xlogy(b), b, create_graph=True)
    assert grad(db, a)[0].item() == pytest.approx(0.5)


# --- the walk


def test_create_graph_works_in_no_grad():
    x = leaf(3.0)
    y = x * x
    with minidl.no_grad():
        (dx,) = grad(y, x, create_graph=True)
        assert not (dx * 2).requires_grad
    assert grad(dx, x)[0].item() == 2


def test_backward_with_create_graph_adds_up():
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    (x**3).backward(create_graph=True)
    assert x.grad.item() == 54
    assert grad(x.grad, x)[0].item() == 36
    x.grad = None


def test_a_hook_is_given_a_tensor_in_the_graph():
    x = leaf(3.0)
    y = x * x
    y.register_hook(lambda dy: dy * x)
    (dx,) = grad(y, x, create_graph=True)  # 2x·x
    assert grad(dx, x)[0].item() == 12


def test_a_hook_that_gives_another_shape_is_told():
    x = leaf(3.0, 4.0)
    y = x * x
    y.register_hook(lambda dy: dy.sum())
    with pytest.raises(RuntimeError, match=r"hook on Mul: expected a gradient of shape \(2,\)"):
        grad(y.sum(), x, create_graph=True)


def test_a_cotangent_may_be_in_a_graph():
    x, dy = leaf(3.0), leaf(5.0)
    (dx,) = grad(x * x, x, dy, create_graph=True)
    assert grad(dx, dy)[0].item() == 6


def test_a_write_in_place_is_found():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = (y * y).sum()
    y.add_(1)
    with pytest.raises(RuntimeError, match="Mul: an array that backward needs"):
        grad(z, x, create_graph=True)


def test_nothing_is_left_behind():
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = (x.exp() * x).softmax(0).square().sum()
        (dx,) = grad(y, x, create_graph=True)
        node = weakref.ref(dx.node)
        (dx * dx).sum().backward()
        del y, dx
        assert node() is None
    finally:
        gc.enable()


def test_gradients_share_no_memory():
    x = leaf(1.0, 2.0)
    dy = wrap(np.ones(2))
    for y in (x.clone(), x.reshape(2), x):
        found = grad(y, [x, x], dy, create_graph=True)
        assert not any(np.may_share_memory(dx.array, dy.array) for dx in found)


def test_two_threads():
    answers = []

    def work():
        x = leaf(0.5, 0.25)
        (dx,) = grad((x.tanh() * x.softmax(0)).sum(), x, create_graph=True)
        answers.append(grad(dx.sum(), x)[0].tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4 and all(answer == answers[0] for answer in answers)


def test_what_has_no_meaning_for_tensors_is_named():
    class Odd(ops.Op):
        def forward(self, x):
            self.x = x
            return np.interp(x, [0, 1], [0, 1])

        def backward(self, dy):
            return dy * np.interp(self.x, [0, 1], [1, 1])

    x = leaf(0.5)
    with pytest.raises(NotImplementedError, match=r"Odd.*interp has no meaning"):
        grad(apply(Odd(), x), x, create_graph=True)


def test_an_operation_of_ones_own_is_read_twice_too():
    class Cube(ops.Op):
        def forward(self, x):
            self.x = x
            return x**3

        def backward(self, dy):
            return dy * 3 * self.x**2

    assert gradgradcheck(lambda x: apply(Cube(), x), leaf(0.5, -2.0))


def test_the_slope_of_the_slope_of_igamma_is_refused():
    a, x = leaf(1.5), leaf(0.5)
    (da,) = grad(a.igamma(x), a, create_graph=True)
    assert da.item() == pytest.approx(grad(a.igamma(x), a)[0].item())
    with pytest.raises(NotImplementedError, match="gamma_slope"):
        grad(da, a)


class Derived(ops.Op):
    def forward(self, x):
        self.slope = 3 * x**2
        return x**3

    def backward(self, dy):
        return dy * self.slope


class Declared(Derived):
    constants = ("slope",)


class Saving(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(3 * x**2)
        return x**3

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.saved_tensors[0]


@pytest.mark.parametrize("call", [lambda x: apply(Derived(), x), Saving.apply])
def test_what_was_saved_on_the_way_is_never_taken_for_a_constant(call):
    x = leaf(0.5, -2.0)
    (dx,) = grad(call(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(dx.array, 3 * x.array**2)
    with pytest.raises(NotImplementedError, match="neither an input"):
        grad(dx.sum(), x)


def test_gradgradcheck_finds_a_constant_that_is_none():
    assert gradcheck(lambda x: apply(Declared(), x), leaf(0.5, -2.0))
    with pytest.raises(GradcheckError):
        gradgradcheck(lambda x: apply(Declared(), x), leaf(0.5, -2.0))


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * 3 * x**2


class Exponential(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * y


@pytest.mark.parametrize("function", [Cube, Exponential])
def test_functions_of_the_users(function):
    assert gradcheck(function.apply, leaf(0.5, -0.3)) and gradgradcheck(function.apply, leaf(0.5, -0.3))


# --- gradgradcheck is checked


class Wrong(ops.Op):
    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, dy):
        return dy * 3 * self.x**2


class Detached(Wrong):
    def backward(self, dy):
        return dy * 3 * np.asarray(getattr(self.x, "array", self.x)) ** 2


def test_gradgradcheck_finds_a_lost_dependence():
    assert gradcheck(lambda x: apply(Detached(), x), leaf(0.5, -2.0))
    with pytest.raises(GradcheckError):
        gradgradcheck(lambda x: apply(Detached(), x), leaf(0.5, -2.0))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_first_gradient_of_gelu_keeps_its_digits_far_left(approximate):
    """Recorded as operations of tensors, the gradient is the kernel's, also where Φ(x) is tiny."""
    x = leaf(-12.0, -8.0, -6.0, -1.0, 2.0)
    (recorded,) = grad(F.gelu(x, approximate=approximate).sum(), x, create_graph=True)
    (plain,) = grad(F.gelu(x, approximate=approximate).sum(), x)
    np.testing.assert_allclose(recorded.detach().numpy(), plain.numpy(), rtol=1e-13)
