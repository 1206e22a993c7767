"""Promise 52: what an operation has saved is an input, its output, or a declared constant; else it raises when it matters."""

from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import Function, grad, gradcheck, gradgradcheck
from minidl.tensors.record import apply


def leaf(*values):
    return minidl.tensor(list(values), dtype=minidl.float64, requires_grad=True)


def cube(save, read, **members):
    """x³ as an operation that saves what `save` makes of x, and whose backward reads its slope by `read`."""

    class Cube(ops.Op):
        def forward(self, x):
            save(self, x)
            return x**3

        def backward(self, dy):
            return dy * read(self)

    for name, value in members.items():
        setattr(Cube, name, value)
    return lambda x: apply(Cube(), x)


def slope(x):
    return 3 * x**2


def set_to(**values):
    return lambda op, x: vars(op).update({name: make(x) for name, make in values.items()})


HIDDEN = {
    "an array": (set_to(slope=slope), lambda op: op.slope),
    "a tuple": (set_to(saved=lambda x: (slope(x), 1)), lambda op: op.saved[0]),
    "a list in a tuple": (set_to(saved=lambda x: ([slope(x)],)), lambda op: op.saved[0][0]),
    "a dict": (set_to(saved=lambda x: {"slope": slope(x)}), lambda op: op.saved["slope"]),
    "a number of NumPy's": (set_to(slope=lambda x: slope(x)[0]), lambda op: op.slope),
    "a number of Python's": (set_to(slope=lambda x: float(slope(x)[0])), lambda op: op.slope),
    "an array of objects": (set_to(slope=lambda x: slope(x).astype(object)), lambda op: op.slope),
    "a function": (set_to(slope=lambda x: lambda: slope(x)), lambda op: op.slope()),
    "an object with attributes": (set_to(saved=lambda x: SimpleNamespace(slope=slope(x))), lambda op: op.saved.slope),
    "an input's name": (set_to(x=lambda x: slope(x)[None]), lambda op: op.x[0]),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_promise_52_what_was_made_on_the_way_is_never_taken_for_a_constant(name):
    f = cube(*HIDDEN[name])
    x = leaf(0.5) if "number" in name else leaf(0.5, -2.0)
    assert gradcheck(f, x) if name != "an array of objects" else True
    with pytest.raises((NotImplementedError, TypeError), match=r"self\.|Unreadable"):
        (dx,) = grad(f(x).sum(), x, create_graph=True)
        grad(dx.sum(), x)


def test_promise_52_an_array_that_the_constructor_was_given_must_be_declared():
    class Scale(ops.Op):
        def __init__(self, factor):
            self.factor = factor

        def forward(self, x):
            self.factor = self.factor * x  # as an operation that overwrites its option
            return self.factor * x / 2

        def backward(self, dy):
            return dy * self.factor

    x = leaf(0.5, -2.0)
    (dx,) = grad(apply(Scale(np.array([2.0, 3.0])), x).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match=r"self\.factor"):
        grad(dx.sum(), x)


def test_what_is_declared_constant_and_what_holds_no_numbers_is_read_as_it_is():
    def save(op, x):
        op.x, op.signs, op.places, op.size = x, np.sign(x), (x > 0, np.arange(2)), x.size

    f = cube(save, lambda op: 3 * op.x * op.x * op.signs**2 * op.size / 2 + 0 * op.places[1], constants=("signs",))
    assert gradcheck(f, leaf(0.5, -2.0)) and gradgradcheck(f, leaf(0.5, -2.0))


def test_numpy_in_the_function_around_means_tensors_too():
    numpy = np

    class Exp(ops.Op):
        def forward(self, x):
            self.x = x
            return numpy.exp(x)

        def backward(self, dy):
            return dy * numpy.exp(self.x)

    assert gradgradcheck(lambda x: apply(Exp(), x), leaf(0.5, -2.0))


# The slope of Σ g(x), for a function g of a 2×3 array that a user might write, as NumPy says it.
SLOPES = {
    "exp": (np.exp, lambda x: np.exp(x)),
    "tanh": (np.tanh, lambda x: 1 - np.square(np.tanh(x))),
    "square": (lambda x: x**3, lambda x: 3 * np.square(x)),
    "reciprocal": (lambda x: -np.log(np.reciprocal(x)), lambda x: np.reciprocal(x)),
    "log2": (lambda x: x * np.log2(x), lambda x: np.log2(x) + 1 / np.log(2)),
    "log10": (lambda x: x * np.log10(x), lambda x: np.log10(x) + 1 / np.log(10)),
    "expm1": (lambda x: np.expm1(x) - x, lambda x: np.expm1(x)),
    "matmul": (lambda x: x @ np.transpose(x), lambda x: 2 * np.matmul(np.ones((2, 2)), x)),
    "dot": (lambda x: x @ np.transpose(x), lambda x: 2 * np.dot(np.ones((2, 2)), x)),
    "einsum": (lambda x: x @ np.transpose(x), lambda x: 2 * np.einsum("ij,jk->ik", np.ones((2, 2)), x)),
    "minimum": (lambda x: np.where(x < 1, x**2, 2 * x), lambda x: 2 * np.minimum(x, 1.0)),
    "sum": (lambda x: np.sum(x) ** 2, lambda x: 2 * np.sum(x) + 0 * x),
    "sum over an axis": (lambda x: np.sum(x, axis=1) ** 2, lambda x: 2 * np.sum(x, axis=1, keepdims=True) + 0 * x),
    "mean": (lambda x: np.mean(x, axis=0) ** 2, lambda x: np.mean(x, axis=0) + 0 * x),
    "reshape, transpose": (
        lambda x: np.transpose(x) * np.reshape(x, (3, 2)),
        lambda x: np.transpose(np.reshape(x, (3, 2))) + np.reshape(np.transpose(x), (2, 3)),
    ),
    "expand_dims": (lambda x: x[0] * x[0], lambda x: np.concatenate([np.expand_dims(2 * x[0], 0), 0 * x[1:]])),
}


@pytest.mark.parametrize("name", SLOPES)
def test_what_numpy_says_in_a_users_operation(name):
    value, slope = SLOPES[name]

    class Written(ops.Op):
        def forward(self, x):
            self.x = x
            return np.sum(value(x))

        def backward(self, dy):
            return dy * slope(self.x)

    x = leaf([0.5, 2.0, 1.5], [1.2, 0.7, 0.3])
    assert gradcheck(lambda x: apply(Written(), x), x)
    assert gradgradcheck(lambda x: apply(Written(), x), x)


def factor(x):
    return 2 * x


class Doubling(ops.Op):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return dy * factor(self.x)


def test_a_helper_that_is_written_again_is_seen(monkeypatch):
    def third():
        x = leaf(0.5)
        (dx,) = grad(apply(Doubling(), x).sum(), x, create_graph=True)
        return grad(dx.sum(), x)[0].item()

    assert third() == 2
    monkeypatch.setattr(f"{__name__}.factor", lambda x: 5 * x)
    assert third() == 5


# --- Functions


def function(forward, backward, apart=lambda x: (x,)):
    class Cube(Function):
        pass

    Cube.forward, Cube.backward = staticmethod(forward), staticmethod(backward)
    return lambda x: Cube.apply(*apart(x))


def attribute(make):
    def forward(ctx, x, *options):
        ctx.kept = make(x, *options)
        return x**3

    return forward


UNKNOWN = {
    "saved": (lambda ctx, x: [ctx.save_for_backward(3 * x**2), x**3][1], lambda ctx, dy: dy * ctx.saved_tensors[0]),
    "a tensor": (attribute(lambda x: 3 * x**2), lambda ctx, dy: dy * ctx.kept),
    "a list of tensors": (attribute(lambda x: [3 * x**2]), lambda ctx, dy: dy * ctx.kept[0]),
    "an array": (attribute(lambda x: 3 * x.numpy() ** 2), lambda ctx, dy: dy * ctx.kept),
    "a number": (attribute(lambda x: 3 * x[0].item() ** 2), lambda ctx, dy: dy * ctx.kept),
    "a function": (attribute(lambda x: lambda: 3 * x**2), lambda ctx, dy: dy * ctx.kept()),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_promise_52_what_a_function_made_on_the_way(name):
    f, x = function(*UNKNOWN[name]), leaf(0.5)
    assert gradcheck(f, x)
    with pytest.raises(NotImplementedError, match=r"self\.(kept|saved_tensors)"):
        (dx,) = grad(f(x).sum(), x, create_graph=True)
        grad(dx.sum(), x)


KNOWN = {
    "saved": (lambda ctx, x: [ctx.save_for_backward(x), x**3][1], lambda ctx, dy: dy * 3 * ctx.saved_tensors[0] ** 2),
    "an input": (attribute(lambda x: x), lambda ctx, dy: dy * 3 * ctx.kept**2),
    "a whole number": (attribute(lambda x: 3), lambda ctx, dy: dy * 0 + ctx.kept),
}


@pytest.mark.parametrize("name", ["saved", "an input"])
def test_functions_that_keep_their_inputs(name):
    f = function(*KNOWN[name])
    assert gradcheck(f, leaf(0.5, -2.0)) and gradgradcheck(f, leaf(0.5, -2.0))


def test_a_number_that_was_an_argument_is_an_option():
    def forward(ctx, x, a):
        ctx.x, ctx.a = x, a
        return a * x**3

    def backward(ctx, dy):
        return dy * 3 * ctx.a * ctx.x**2, None

    assert gradgradcheck(function(forward, backward, lambda x: (x, 2.5)), leaf(0.5, -2.0))


class ExpAndItsSquare(Function):
    """Two outputs, both saved."""

    @staticmethod
    def forward(ctx, x):
        y, z = x.exp(), (2 * x).exp()
        ctx.save_for_backward(y, z)
        return y, z

    @staticmethod
    def backward(ctx, dy, dz):
        y, z = ctx.saved_tensors
        return dy * y + dz * 2 * z


def test_a_function_with_several_outputs_may_save_them():
    f = ExpAndItsSquare.apply
    assert gradgradcheck(f, leaf(0.5, -2.0))
    assert gradgradcheck(lambda x: f(x)[1], leaf(0.5, -2.0))
    x = leaf(0.5)
    y, z = f(x)
    (dx,) = grad((y * z).sum(), x, create_graph=True)  # e³ˣ, and the outputs are used outside, too
    assert grad(dx.sum(), x)[0].item() == pytest.approx(9 * np.exp(1.5))


def test_what_backward_is_asked_for():
    seen = []

    class Product(Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, dy):
            seen.append(ctx.needs_input_grad)
            a, b = ctx.saved_tensors
            return dy * b, dy * a

    a, b = leaf(2.0), leaf(3.0)
    y = Product.apply(a, b).sum()
    grad(y, a, retain_graph=True)
    grad(y, b, create_graph=True)
    y.backward()
    assert seen == [(True, False), (False, True), (True, True)]
