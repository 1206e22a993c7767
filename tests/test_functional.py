"""autograd.grad and autograd.functional: products with Jacobians and Hessians, against closed forms in NumPy (float64)."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import Function, functional, grad
from minidl.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp

X = np.array([0.5, -1.0, 2.0])
V = np.array([1.0, 3.0, -2.0])
A = np.arange(6.0).reshape(2, 3)
PRODUCTS = pytest.mark.parametrize("product", [vhp, hvp])


def number(x, requires_grad=False):
    return minidl.tensor(x, dtype=minidl.float64, requires_grad=requires_grad)


def close(x, expected, requires_grad=False):
    assert x.requires_grad is requires_grad
    assert x.shape == np.shape(expected)
    np.testing.assert_allclose(x.array, expected, 1e-12, 1e-14)


# --- grad


def test_grad_keeps_the_graph_if_it_is_to_be_differentiated():
    x = number(3.0, True)
    y = x**3
    (dx,) = grad(y, x, create_graph=True)
    (ddx,) = grad(dx, x, retain_graph=True)
    close(ddx, 18.0)
    grad(y, x, retain_graph=True)
    grad(y, x)  # the last: retain_graph is None, and create_graph is False
    with pytest.raises(RuntimeError, match="walked before"):
        grad(y, x)


def test_grad_of_what_is_not_used():
    x, z = number(X, True), number(1.0, True)
    y = (x**2).sum()
    with pytest.raises(RuntimeError, match=r"grad: .*input 1.*allow_unused=True.*materialize_grads=True"):
        grad(y, (x, z), retain_graph=True)
    with pytest.raises(RuntimeError, match=r"grad: .*input 1"):
        grad(y, (x, z), retain_graph=True, allow_unused=False)
    assert grad(y, (x, z), retain_graph=True, allow_unused=True)[1] is None
    dx, dz = grad(y, (x, z), retain_graph=True, materialize_grads=True)
    close(dx, 2 * X)
    close(dz, 0.0)
    assert grad(y, z, create_graph=True, materialize_grads=True)[0].requires_grad  # as PyTorch's
    assert x.grad is None


def test_grad_takes_the_inputs_in_a_dict():
    x, w = number(X, True), number(V, True)
    found = grad((x * w).sum(), {"x": x, "w": w})
    assert list(found) == ["x", "w"]
    close(found["x"], V)
    close(found["w"], X)


def test_grad_refuses():
    x = number(X, True)
    y = (x**2).sum()
    with pytest.raises(NotImplementedError, match="grad: is_grads_batched=True is not supported"):
        grad(y, x, minidl.ones(2), is_grads_batched=True)
    with pytest.raises(NotImplementedError, match="grad: only_inputs=False"):
        grad(y, x, only_inputs=False)
    with pytest.raises(ValueError, match="grad: materialize_grads=True"):
        grad(y, x, allow_unused=False, materialize_grads=True)
    with pytest.raises(RuntimeError, match="grad: expected one or more inputs"):
        grad(y, ())
    with pytest.raises(TypeError, match="grad: expected Tensors"):
        grad(y, 3)
    with pytest.raises(RuntimeError, match="grad: input 0 does not require grad"):
        grad(y, number(X))
    with pytest.raises(ValueError, match="grad: expected a cotangent"):
        grad(y, x, (None, None))


# --- products with the Jacobian


def test_vjp_and_jvp_of_one_tensor():
    f = lambda x: (number(A) @ x).tanh()  # noqa: E731
    j = (1 - np.tanh(A @ X) ** 2)[:, None] * A
    y, pulled = vjp(f, number(X), number([1.0, -2.0]))
    close(y, np.tanh(A @ X))
    close(pulled, [1, -2] @ j)
    y, pushed = jvp(f, number(X), number(V))
    close(y, np.tanh(A @ X))
    close(pushed, j @ V)
    close(jacobian(f, number(X)), j)
    close(vjp(lambda x: (x**2).sum(), number(X))[1], 2 * X)  # v is 1
    close(jvp(lambda x: x * number(X), number(2.0))[1], X)


def test_several_inputs_and_outputs():
    f = lambda x, y: (x * y, (x**2).sum(), y.exp())  # noqa: E731
    x, y = number(X), number(V)
    u = (number(V), number(2.0), number(X))
    out, (of_x, of_y) = vjp(f, (x, y), u)
    assert isinstance(out, tuple) and [t.shape for t in out] == [(3,), (), (3,)]
    close(of_x, V * V + 4 * X)
    close(of_y, V * X + X * np.exp(V))
    out, pushed = jvp(f, (x, y), (number(V), number(X)))
    close(pushed[0], V * V + X * X)
    close(pushed[1], 2 * X @ V)
    close(pushed[2], X * np.exp(V))
    blocks = jacobian(f, (x, y))
    expected = [[np.diag(V), np.diag(X)], [2 * X, np.zeros(3)], [np.zeros((3, 3)), np.diag(np.exp(V))]]
    for row, of_output in zip(expected, blocks, strict=True):
        assert isinstance(of_output, tuple)
        for block, found in zip(row, of_output, strict=True):
            close(found, block)
    ((alone,),) = jacobian(lambda x: (x**2,), (x,))  # tuples of one stay tuples
    close(alone, np.diag(2 * X))
    (alone,) = jacobian(lambda x: (x**2,), x)
    close(alone, np.diag(2 * X))


def test_jacobian_without_numbers():
    close(jacobian(lambda x: x[:0], number(X)), np.zeros((0, 3)))
    close(jacobian(lambda x: x**2, number(X), vectorize=True), np.diag(2 * X))


# --- Hessians


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def test_hessian_and_its_products():
    x, v = number([0.5, -1.0]), number([1.0, -2.0])
    expected = np.array([[1200 * 0.25 + 400 + 2, -200.0], [-200.0, 200.0]])
    close(hessian(rosenbrock, x), expected)
    close(hessian(lambda x: rosenbrock(x).reshape(1, 1), x), expected)
    for product in (hvp, vhp):
        y, found = product(rosenbrock, x, v)
        close(y, 100 * 1.25**2 + 0.25)
        close(found, expected @ v.array)


@PRODUCTS
def test_products_of_several_inputs(product):
    f = lambda x, y: (x**2 * y).sum() + y.sum()  # noqa: E731
    x, y = number(X), number(V)
    _, (of_x, of_y) = product(f, (x, y), (number(V), number(X)))
    close(of_x, 2 * V * V + 2 * X * X)
    close(of_y, 2 * X * V)
    (xx, xy), (yx, yy) = hessian(f, (x, y))
    close(xx, np.diag(2 * V))
    close(xy, np.diag(2 * X))
    close(yx, np.diag(2 * X))
    close(yy, np.zeros((3, 3)))
    ((alone,),) = hessian(lambda x: (x**3).sum(), (x,))
    close(alone, np.diag(6 * X))
    close(product(lambda x: x**3, number(2.0))[1], 12.0)  # v is 1


class Lying(Function):
    """Says that its gradient is (x1, 0): the Jacobian of that is [[0, 1], [0, 0]], which is not symmetric."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sum()

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * minidl.stack([x[1], 0 * x[0]])


def test_vhp_and_hvp_are_different_where_the_hessian_is_not_symmetric():
    x, v = number([2.0, 3.0]), number([5.0, 7.0])
    close(hessian(Lying.apply, x), [[0.0, 1.0], [0.0, 0.0]])
    close(vhp(Lying.apply, x, v)[1], [0.0, 5.0])
    close(hvp(Lying.apply, x, v)[1], [7.0, 0.0])


# --- create_graph


CALLS = {  # each is linear in w, with the factor at the right; of f(x) = w·x³, or its sum
    "vjp": (lambda f, g, x, v, cg: vjp(f, x, v, create_graph=cg)[1].sum(), (3 * X**2 * V).sum(), 6 * X * V),
    "jvp": (lambda f, g, x, v, cg: jvp(f, x, v, create_graph=cg)[1].sum(), (3 * X**2 * V).sum(), 6 * X * V),
    "jacobian": (lambda f, g, x, v, cg: jacobian(f, x, create_graph=cg).sum(), (3 * X**2).sum(), 6 * X),
    "hessian": (lambda f, g, x, v, cg: hessian(g, x, create_graph=cg).sum(), (6 * X).sum(), 6 * np.ones(3)),
    "vhp": (lambda f, g, x, v, cg: vhp(g, x, v, create_graph=cg)[1].sum(), (6 * X * V).sum(), 6 * V),
    "hvp": (lambda f, g, x, v, cg: hvp(g, x, v, create_graph=cg)[1].sum(), (6 * X * V).sum(), 6 * V),
    "value": (lambda f, g, x, v, cg: vjp(f, x, v, create_graph=cg)[0].sum(), (X**3).sum(), 3 * X**2),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("recording", [True, False])
def test_results_are_in_the_graph_only_with_create_graph(name, recording):
    call, of_w, of_x = CALLS[name]
    x, w = number(X, True), number(2.0, True)
    f, g = lambda x: w * x**3, lambda x: (w * x**3).sum()
    with minidl.set_grad_enabled(recording):
        close(call(f, g, x, number(V), False), 2 * of_w)
        assert minidl.is_grad_enabled() is recording
    y = call(f, g, x, number(V), True)
    close(y, 2 * of_w, requires_grad=True)
    dw, dx = grad(y, (w, x))
    close(dw, of_w)
    close(dx, 2 * of_x)
    assert x.grad is None and w.grad is None


def test_create_graph_within_no_grad():
    x = number(X, True)
    with minidl.no_grad():
        for found in (vjp(lambda x: x**3, x, number(V), create_graph=True)[1], jacobian(lambda x: x**3, x, create_graph=True)):
            assert found.requires_grad


def test_a_cotangent_in_a_graph():
    v = number(V, True)
    for product in (vjp, jvp):
        _, found = product(lambda x: x**2, number(X), v, create_graph=True)
        close(grad(found.sum(), v)[0], 2 * X)
        assert not product(lambda x: x**2, number(X), v)[1].requires_grad


# --- strict


def constant(x):
    return number(X)


STRICT = [
    ("vjp", "output 0 does not depend", lambda s: vjp(constant, number(X), number(V), strict=s)),
    ("jvp", "output 0 does not depend", lambda s: jvp(constant, number(X), number(V), strict=s)),
    ("jacobian", "output 0 does not depend", lambda s: jacobian(constant, number(X), strict=s)),
    ("jacobian", "output 1 does not depend", lambda s: jacobian(lambda x: (x, number(X)), number(X), strict=s)),
    ("vjp", "input 1", lambda s: vjp(lambda x, y: x * 2, (number(X), number(X)), number(V), strict=s)),
    ("jvp", "input 1", lambda s: jvp(lambda x, y: x * 2, (number(X),) * 2, (number(V),) * 2, strict=s)),
    ("jacobian", "output 0 .* input 1", lambda s: jacobian(lambda x, y: x * 2, (number(X), number(X)), strict=s)),
    ("jacobian", "output 1 .* input 0", lambda s: jacobian(lambda x, y: (x * y, y), (number(X), number(X)), strict=s)),
    ("hessian", "output .* does not depend", lambda s: hessian(lambda x: number(1.0), number(X), strict=s)),
    ("hessian", "the gradient for input 0", lambda s: hessian(lambda x: x.sum(), number(X), strict=s)),
    ("hessian", "output 0 .* input 1", lambda s: hessian(lambda x, y: (x**2 + y**2).sum(), (number(X), number(X)), strict=s)),
    ("vhp", "derivative for 0", lambda s: vhp(lambda x: x.sum(), number(X), number(V), strict=s)),
    ("hvp", "derivative for 0", lambda s: hvp(lambda x: x.sum(), number(X), number(V), strict=s)),
    ("vhp", "input 1", lambda s: vhp(lambda x, y: (x**2).sum(), (number(X),) * 2, (number(V),) * 2, strict=s)),
    ("vjp", "derivative for 0", lambda s: vjp(lambda x: x * 2, number(X), number(V), create_graph=True, strict=s)),
    ("jacobian", "derivative for 0", lambda s: jacobian(lambda x: x * 2, number(X), create_graph=True, strict=s)),
]


@pytest.mark.parametrize("name, text, call", STRICT, ids=[f"{name}: {text}" for name, text, _ in STRICT])
def test_strict(name, text, call):
    call(False)
    with pytest.raises(RuntimeError, match=f"{name}: .*{text}.*strict=True"):
        call(True)


def test_strict_lets_pass_what_depends():
    f = lambda x, y: (x**2 * y**2).sum()  # noqa: E731
    xs, vs = (number(X), number(V)), (number(V), number(X))
    for product in (vhp, hvp):
        np.testing.assert_array_equal(product(f, xs, vs, strict=True)[1][0].array, product(f, xs, vs)[1][0].array)
    hessian(f, xs, strict=True)
    jvp(f, xs, vs, strict=True)
    vjp(f, xs, strict=True, create_graph=True)


def test_zeros_without_strict():
    close(vjp(constant, number(X), number(V))[1], np.zeros(3))
    close(jvp(constant, number(X), number(V))[1], np.zeros(3))
    close(jacobian(constant, number(X)), np.zeros((3, 3)))
    close(hessian(lambda x: x.sum(), number(X)), np.zeros((3, 3)))
    close(hvp(lambda x: x.sum(), number(X), number(V))[1], np.zeros(3))
    _, pushed = jvp(lambda x: (x * 2, (x > 0).to(minidl.int64)), number(X), number(V))
    close(pushed[0], 2 * V)
    assert pushed[1].dtype == minidl.int64 and not pushed[1].any()


# --- errors


ERRORS = [
    (lambda: vjp(lambda x: x, [number(X)]), TypeError, "vjp: inputs must be a Tensor or a tuple of Tensors, got list"),
    (lambda: jvp(lambda x: x, (number(X), 3)), TypeError, "jvp: inputs must be .*a tuple with a int"),
    (lambda: jacobian(lambda x: 3.0, number(X)), TypeError, "jacobian: the outputs of func .*float"),
    (lambda: vjp(lambda x: [x], number(X)), TypeError, "vjp: the outputs of func .*list"),
    (lambda: vjp(lambda x: x, minidl.tensor([1])), RuntimeError, "vjp: .*int64"),
    (lambda: vjp(lambda x: x, number(X)), RuntimeError, "vjp: v can be left out only if the outputs are one number"),
    (lambda: jvp(lambda x: x, number(X)), RuntimeError, "jvp: v can be left out only if the inputs are one number"),
    (lambda: vhp(lambda x: x.sum(), number(X)), RuntimeError, "vhp: v can be left out"),
    (lambda: vjp(lambda x: x, number(X), number(1.0)), RuntimeError, r"vjp: expected v of .*\(3,\); got \[\(\)\]"),
    (lambda: jvp(lambda x: x, number(X), (number(X),) * 2), RuntimeError, "jvp: expected v"),
    (lambda: hvp(lambda x: x, number(X), number(V)), RuntimeError, r"hvp: func must return one Tensor of one number.*\(3,\)"),
    (lambda: vhp(lambda x: (x.sum(),), number(X), number(V)), RuntimeError, "vhp: func must return one Tensor"),
    (lambda: hessian(lambda x: x, number(X)), RuntimeError, "hessian: func must return one Tensor of one number"),
    (lambda: hessian(lambda x: (x.sum(),), number(X)), RuntimeError, "hessian: func must return one Tensor"),
    (lambda: jacobian(lambda x: x, number(X), strategy="forward-mode"), NotImplementedError, "jacobian: strategy=.*jacfwd"),
    (lambda: hessian(lambda x: x, number(X), outer_jacobian_strategy="forward-mode"), NotImplementedError, "hessian: outer"),
    (lambda: jacobian(lambda x: x, number(X), strategy="other"), ValueError, "jacobian: strategy must be"),
    (
        lambda: jacobian(lambda x: x, number(X), strict=True, vectorize=True),
        RuntimeError,
        "jacobian: strict=True and",
    ),
]


@pytest.mark.parametrize("call, error, text", ERRORS, ids=[text for _, _, text in ERRORS])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("product", [vjp, jvp, jacobian, hessian, vhp, hvp])
def test_an_error_inside_leaves_the_mode_as_it_was(product):
    def f(x):
        raise ZeroDivisionError

    for recording in (True, False):
        with minidl.set_grad_enabled(recording):
            with pytest.raises(ZeroDivisionError):
                product(f, number(X))
            assert minidl.is_grad_enabled() is recording


def test_a_tensor_that_is_read_is_not_the_input():
    """The input and the same tensor read from around are different variables: d(x·y)/dx at y = x is x, not 2x."""
    x = number(X, True)
    close(vjp(lambda y: x * y, x, number(V))[1], X * V)
    close(jacobian(lambda y: x * y, x), np.diag(X))
    both = jacobian(lambda y: x * y, x, create_graph=True)
    close(grad(both.sum(), x)[0], np.ones(3))
    assert x.grad is None


def test_of_a_network():
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x, v, eps = number(X), number(V), 1e-5
    found = hvp(lambda x: net(x).sum(), x, v)[1].array
    high, low = (vjp(lambda x: net(x).sum(), number(X + s * eps * V))[1].array for s in (1, -1))
    np.testing.assert_allclose(found, (high - low) / (2 * eps), 1e-7)
    assert all(p.grad is None for p in net.parameters())


def test_the_cosine_is_the_slope_of_the_sine():
    close(jacobian(minidl.sin, number(0.3)), math.cos(0.3))
    assert functional.vjp is vjp
