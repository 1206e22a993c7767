"""minidl.func: transforms of functions, against closed forms in NumPy; PyTorch's answers are in test_func_against_torch.py."""

import gc
import math
import weakref
from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

import minidl
from minidl import autograd, func, nn
from minidl.func import functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap
from minidl.func.trees import like, spread

F = nn.functional
Pair = namedtuple("Pair", "a b")
JACOBIANS = pytest.mark.parametrize("jacobian", [jacrev, jacfwd])


def number(x, requires_grad=False):
    return minidl.tensor(x, dtype=minidl.float64, requires_grad=requires_grad)


def close(x, expected, rtol=1e-12):
    assert not x.requires_grad
    assert x.shape == np.shape(expected)
    np.testing.assert_allclose(x.array, expected, rtol, 1e-14)


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


X, V = np.array([0.5, -1.0, 2.0]), np.array([1.0, 3.0, -2.0])


# --- grad and grad_and_value


def test_grad_of_arguments():
    f = lambda x, y, z: (x**2 * y).sum() + z.sum()  # noqa: E731
    x, y, z = number(X), number(X + 1), number([1.0])
    close(grad(f)(x, y, z), 2 * X * (X + 1))
    close(grad(f, -2)(x, y, z), X**2)
    of_z, of_x = grad(f, argnums=(-1, 0))(x, y, z)  # in the order of argnums
    close(of_z, [1.0])
    close(of_x, 2 * X * (X + 1))
    (of_x,) = grad(f, argnums=(0,))(x, y, z)
    close(of_x, 2 * X * (X + 1))
    close(grad(lambda x, scale=1: (x * scale).sum())(x, scale=3), [3.0, 3, 3])
    close(grad(lambda x, y: (y * 2).sum())(x, y), [0.0, 0, 0])
    close(grad(lambda x: minidl.tensor(3.0))(x), [0.0, 0, 0])


def test_grad_and_value_and_aux():
    f = lambda x: ((x**2).sum(), {"twice": 2 * x, "text": "aux"})  # noqa: E731
    gradient, (value, aux) = grad_and_value(f, has_aux=True)(number(X))
    close(gradient, 2 * X)
    close(value, (X**2).sum())
    close(aux["twice"], 2 * X)
    gradient, aux = grad(f, has_aux=True)(number(X))
    close(gradient, 2 * X)
    assert aux["text"] == "aux"
    gradient, value = grad_and_value(lambda x: (x**2).sum())(number(X))
    close(value, (X**2).sum())


def test_trees_of_arguments():
    tree = {"a": [number(1.0), Pair(number(2.0), number(3.0))], "b": (number(4.0),)}
    found = grad(lambda t: t["a"][0] * t["a"][1].a * t["a"][1].b + t["b"][0] ** 2)(tree)
    close(found["a"][0], 6.0)
    assert isinstance(found["a"][1], Pair)
    close(found["a"][1].a, 3.0)
    close(found["a"][1].b, 2.0)
    close(found["b"][0], 8.0)
    for kind in (OrderedDict, lambda x: defaultdict(list, x)):
        given = kind({"x": number(2.0)})
        found = grad(lambda t: t["x"] ** 2)(given)
        assert type(found) is type(given)
        close(found["x"], 4.0)


@pytest.mark.parametrize("order, expected", [(1, 32.0), (2, 48.0), (3, 48.0), (4, 24.0), (5, 0.0)])
def test_orders(order, expected):
    f = lambda x: x**4  # noqa: E731
    for _ in range(order):
        f = grad(f)
    close(f(number(2.0)), expected)


def test_names_are_kept():
    def loss(x):
        """The loss."""
        return x.sum()

    transformed = [grad(loss), grad_and_value(loss), jacrev(loss), jacfwd(loss), hessian(loss), vmap(loss)]
    assert [(f.__name__, f.__doc__) for f in transformed] == [("loss", "The loss.")] * len(transformed)


ERRORS = [
    (lambda: grad(lambda x: x)(number(X)), RuntimeError, r"grad: func must return one number.*\(3,\)"),
    (lambda: grad(lambda x: x.sum().reshape(1))(number(X)), RuntimeError, r"grad: .*shape \(1,\)"),
    (lambda: grad_and_value(lambda x: 3.0)(number(X)), RuntimeError, "grad_and_value: .*float"),
    (lambda: grad(lambda x: (x > 0).sum())(number(X)), RuntimeError, "grad: .*int64"),
    (lambda: grad(lambda x: x.sum(), argnums=1)(number(X)), RuntimeError, "grad: argnums names argument 1"),
    (lambda: grad(lambda x: x.sum(), argnums=-2)(number(X)), RuntimeError, "grad: argnums names argument -2"),
    (lambda: grad(lambda x: x.sum(), argnums=(0, -1))(number(X)), RuntimeError, "grad: .*once"),
    (lambda: grad(lambda x: x.sum(), argnums=())(number(X)), RuntimeError, "grad: .*empty"),
    (lambda: grad(lambda x: x.sum(), argnums=[0])(number(X)), RuntimeError, "grad: argnums must be"),
    (lambda: grad(lambda x: x.sum())(3.0), ValueError, "grad: .*Tensors, got float"),
    (lambda: grad(lambda x: x[0])([number(1.0), None]), ValueError, "grad: .*Tensors, got NoneType"),
    (lambda: grad(lambda x: x.sum())(minidl.tensor([1, 2])), RuntimeError, "grad: .*int64"),
    (lambda: grad(lambda x: x.sum(), has_aux=True)(number(X)), RuntimeError, r"grad: .*\(output, aux\)"),
    (lambda: vjp(lambda x: x), RuntimeError, "vjp: expected arguments"),
    (lambda: vjp(lambda x: 3.0, number(X)), RuntimeError, "vjp: func must return Tensors only, got float"),
    (lambda: vjp(lambda x: (), number(X)), RuntimeError, "vjp: func returned nothing"),
    (lambda: vjp(lambda x: x > 0, number(X)), RuntimeError, "vjp: .*bool"),
    (lambda: vjp(lambda x: x, number(X))[1]((number(X),)), RuntimeError, r"vjp: expected cotangents built as \*, got \(\*,\)"),
    (lambda: vjp(lambda x: x, number(X))[1](number([1.0])), RuntimeError, r"vjp: a cotangent .*\(3,\); got .*\(1,\)"),
    (lambda: vjp(lambda x: x, number(X))[1](number(X), create_graph=True), NotImplementedError, "vjp: pull"),
    (lambda: vjp(lambda x: x, number(X), has_aux=True), RuntimeError, "vjp: .*has_aux"),
    (lambda: jvp(lambda x: x, number(X), number(X)), RuntimeError, "jvp: primals must be a tuple"),
    (lambda: jvp(lambda x: x, (number(X),), [number(X)]), RuntimeError, r"jvp: expected tangents built as \(\*,\), got \[\*\]"),
    (lambda: jvp(lambda x: x, (number(X),), (number([1.0]),)), RuntimeError, r"jvp: a tangent .*\(3,\); got .*\(1,\)"),
    (lambda: jvp(lambda x: number(X), (number(X),), (number(X),), strict=True), RuntimeError, "jvp: .*strict"),
    (lambda: jacrev(lambda x: x, chunk_size=0), ValueError, "jacrev: chunk_size"),
    (lambda: jacrev(lambda x: 3)(number(X)), RuntimeError, "jacrev: .*int"),
    (lambda: jacfwd(lambda x: x, randomness="some"), RuntimeError, "jacfwd: randomness"),
    (lambda: vmap(lambda x: x, randomness="some"), RuntimeError, "vmap: randomness"),
    (lambda: vmap(lambda x: x, chunk_size=0), ValueError, "vmap: chunk_size"),
    (lambda: vmap(lambda x: x, out_dims="0"), ValueError, "vmap: out_dims"),
    (lambda: vmap(lambda x: x, in_dims=[0])(number(X)), ValueError, "vmap: in_dims must be a number or a tuple"),
    (lambda: vmap(lambda x: x, in_dims=None)(number(X)), ValueError, "vmap: in_dims must be a number or a tuple"),
    (lambda: vmap(lambda x: x, in_dims=(0, 0))(number(X)), ValueError, r"vmap: in_dims \(0, 0\) does not fit"),
    (lambda: vmap(lambda x: x, in_dims=((0, 0),))([number(X), number(X)]), ValueError, r"vmap: .*\(\[\*, \*\],\)"),
    (lambda: vmap(lambda x: x, in_dims=1)(number(X)), ValueError, r"vmap: in_dims says 1 .*\(3,\)"),
    (lambda: vmap(lambda x: x, in_dims=("a",))(number(X)), ValueError, "vmap: in_dims .*'a'"),
    (lambda: vmap(lambda x, y: x)(number(X), 3), ValueError, "vmap: in_dims says 0 .*int"),
    (lambda: vmap(lambda x, y: x)(number(X), number([1.0])), ValueError, r"vmap: .*sizes \[3, 1\]"),
    (lambda: vmap(lambda x: x, in_dims=(None,))(number(X)), ValueError, "vmap: .*None for all"),
    (lambda: vmap(lambda x: x)(minidl.zeros(0, 2)), ValueError, "vmap: the size along in_dims is 0"),
    (lambda: vmap(lambda: 1)(), ValueError, "vmap: expected arguments"),
    (lambda: vmap(lambda x: 3)(number(X)), ValueError, "vmap: func must return Tensors, got int"),
    (lambda: vmap(lambda x: x, out_dims=None)(number(X)), ValueError, "vmap: out_dims is None"),
    (lambda: vmap(lambda x: (x, x), out_dims=(0,))(number(X)), ValueError, r"vmap: out_dims \(0,\) does not fit"),
    (lambda: vmap(lambda x: x, out_dims=2)(number(X)), IndexError, "vmap: out_dims says 2"),
    (lambda: vmap(lambda x: x[: int(x[0].item())])(number([[1.0, 2], [2, 2]])), ValueError, r"vmap: .*\(1,\) and \(2,\)"),
    (lambda: vmap(lambda x: minidl.rand(2))(number(X)), RuntimeError, "vmap: func has drawn random numbers"),
]


@pytest.mark.parametrize("call, error, text", ERRORS, ids=[text for _, _, text in ERRORS])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


# --- vjp and jvp


def test_vjp():
    a = np.arange(6.0).reshape(2, 3)
    f = lambda x, w: {"y": w @ x, "z": x.exp()}  # noqa: E731
    y, pull = vjp(f, number(X), number(a))
    close(y["y"], a @ X)
    u, v = np.array([1.0, -2]), np.array([3.0, 0, 1])
    for _ in range(2):
        of_x, of_w = pull({"z": number(v), "y": number(u)})  # keys in another order
        close(of_x, u @ a + v * np.exp(X))
        close(of_w, np.outer(u, X))
    y, pull, aux = vjp(lambda x: (x**2, (x, "aux")), number(X), has_aux=True)
    close(aux[0], X)
    (of_x,) = pull(number(v))  # always a tuple
    close(of_x, 2 * X * v)


def test_jvp():
    a = np.arange(6.0).reshape(2, 3)
    t, s = np.array([1.0, -2, 0.5]), np.ones((2, 3))
    y, pushed = jvp(lambda x, w: (w @ x, [x.exp()]), (number(X), number(a)), (number(t), number(s)))
    close(y[0], a @ X)
    close(pushed[0], a @ t + s @ X)
    close(pushed[1][0], t * np.exp(X))
    y, pushed, aux = jvp(lambda x: (x**2, x), (number(X),), (number(t),), has_aux=True)
    close(pushed, 2 * X * t)
    close(aux, X)
    _, pushed = jvp(lambda x: (x * 2, number(X), x > 0), (number(X),), (number(t),))
    close(pushed[1], [0.0, 0, 0])
    assert pushed[2].dtype == minidl.bool and not pushed[2].any()
    close(jvp(lambda x: x, (number(X),), (number(t),), strict=True)[1], t)


# --- Jacobians


@JACOBIANS
def test_jacobian_of_a_matrix_product(jacobian):
    w = np.arange(6.0).reshape(2, 3)
    f = lambda w, x: w @ x  # noqa: E731
    of_w = np.einsum("ik,j->ikj", np.eye(2), X)
    close(jacobian(f)(number(w), number(X)), of_w)
    close(jacobian(f, argnums=1)(number(w), number(X)), w)
    of_x, of_w2 = jacobian(f, argnums=(-1, 0))(number(w), number(X))
    close(of_x, w)
    close(of_w2, of_w)
    result, aux = jacobian(lambda x: (x**2, {"y": x + 1}), has_aux=True)(number(X))
    close(result, np.diag(2 * X))
    close(aux["y"], X + 1)


@JACOBIANS
def test_jacobian_of_trees(jacobian):
    """Built like the output, and in the place of each tensor what is built like the argument."""
    f = lambda p, s: Pair(p["x"] ** 2 * s, [p["y"].sin()])  # noqa: E731
    result = jacobian(f, argnums=(0, 1))({"x": number(X), "y": number(0.3)}, number(2.0))
    close(result.a[0]["x"], np.diag(4 * X))
    close(result.a[0]["y"], np.zeros(3))
    close(result.a[1], X**2)
    close(result.b[0][0]["x"], np.zeros(3))
    close(result.b[0][0]["y"], math.cos(0.3))
    close(result.b[0][1], 0.0)


@JACOBIANS
def test_jacobian_without_numbers(jacobian):
    close(jacobian(lambda x: x[:0])(number(X)), np.zeros((0, 3)))
    close(jacobian(lambda x: x.sum() + number(X))(number([])), np.zeros((3, 0)))


@JACOBIANS
def test_jacfwd_runs_func_once(jacobian):
    calls = []
    jacobian(lambda x: calls.append(1) or x**2)(number(X))
    assert len(calls) == 1


def test_chunk_size_changes_nothing():
    for size in (None, 1, 2, 100):
        close(jacrev(lambda x: x**2, chunk_size=size)(number(X)), np.diag(2 * X))
        close(vmap(lambda x: x**2, chunk_size=size)(number(X)), X**2)


def test_hessian():
    close(hessian(rosenbrock)(number([0.5, -1.0])), [[1200 * 0.25 + 400 + 2, -200.0], [-200.0, 200.0]])
    (xx, xy), (yx, yy) = hessian(lambda x, y: (x**2 * y).sum(), argnums=(0, 1))(number(X), number(X + 1))
    close(xx, np.diag(2 * (X + 1)))
    close(xy, np.diag(2 * X))
    close(yx, np.diag(2 * X))
    close(yy, np.zeros((3, 3)))


@pytest.mark.parametrize("outer", [jacrev, jacfwd])
@pytest.mark.parametrize("inner", [jacrev, jacfwd])
def test_jacobians_of_jacobians(outer, inner):
    expected = np.zeros((3, 3, 3))
    for i in range(3):
        expected[i, i, i] = 6 * X[i]
    close(outer(inner(lambda x: x**3))(number(X)), expected)


# --- perturbations


def nested(f_outer, f_inner):
    """d/dx (x · d/dy (x·y)): 2x; who takes the two for each other finds 3x or x."""
    return f_outer(lambda x: x * f_inner(lambda y: x * y))


def by_grad(f, at):
    return grad(f)(at)


def by_jvp(f, at):
    return jvp(f, (at,), (minidl.ones_like(at),))[1]


def by_vjp(f, at):
    return vjp(f, at)[1](minidl.ones_like(at))[0]


def by_jacrev(f, at):
    return jacrev(f)(at)


def by_jacfwd(f, at):
    return jacfwd(f)(at)


WAYS = [by_grad, by_jvp, by_vjp, by_jacrev, by_jacfwd]


@pytest.mark.parametrize("outer", WAYS)
@pytest.mark.parametrize("inner", WAYS)
def test_perturbations_are_not_confused(outer, inner):
    """d/dx (x · d/dy (x + y)) at y = 1 is 1, not 2 (Siskind and Pearlmutter, 2005); or where it is given x itself."""
    close(outer(lambda x: x * inner(lambda y: x + y, number(1.0)), number(1.0)), 1.0)
    close(outer(lambda x: x * inner(lambda y: x * y, number(5.0)), number(3.0)), 6.0)
    close(outer(lambda x: x * inner(lambda y: x * y * y, x), number(3.0)), 3 * 2 * 9 + 0.0)  # x·(x·2x) = 2x³
    close(outer(lambda x: inner(lambda y: y**3, x) + inner(lambda y: x * y, x), number(3.0)), 6 * 3.0 + 1)


def test_vmap_among_gradients():
    x, w = number(X), number([1.0, 2.0, 3.0])
    close(vmap(grad(lambda x, w: (x * w).sin()), in_dims=(0, 0))(x, w), w.array * np.cos(X * w.array))
    close(grad(lambda w: vmap(lambda x: (x * w).sum() ** 2)(x).sum())(w), sum(2 * x * x * 6 for x in X) * np.ones(3))
    close(vmap(vmap(lambda a, b: a * b, (None, 0)), (0, None))(x, w), np.outer(X, w.array))
    close(vmap(jacrev(lambda x: x**2))(number([[1.0, 2], [3, 4]])), [np.diag([2.0, 4]), np.diag([6.0, 8])])
    close(vmap(hessian(rosenbrock))(number([[0.5, -1.0]]))[0], [[702.0, -200], [-200, 200]])
    close(jacrev(grad(rosenbrock))(number([0.5, -1.0])), [[702.0, -200], [-200, 200]])
    close(jacfwd(vmap(lambda x: x**2))(x), np.diag(2 * X))
    close(jvp(vmap(grad(lambda x: x**3)), (x,), (w,))[1], 6 * X * w.array)


# --- what is around the function


def test_a_tensor_that_is_read_goes_on():
    """The result is in the graph of a parameter that func reads, and of an argument that requires grad; of nothing else."""
    w, x = number(X, True), number(X + 1, True)
    for result in (
        grad(lambda x: (x**2 * w).sum())(x),
        vjp(lambda x: x**2 * w, x)[1](minidl.ones_like(x))[0],
        jvp(lambda x: x**2 * w, (x,), (minidl.ones_like(x),))[1],
        jacrev(lambda x: x**2 * w)(x).sum(1),
        jacfwd(lambda x: x**2 * w)(x).sum(1),
    ):
        of_w, of_x = autograd.grad(result.sum(), (w, x))
        close(of_w, 2 * (X + 1))
        close(of_x, 2 * X)
    assert w.grad is None and x.grad is None
    y, pull = vjp(lambda x: x**2 * w, x.detach())
    assert y.requires_grad and pull(y)[0].requires_grad
    assert not vjp(lambda x: x**2, x.detach())[1](minidl.ones_like(x))[0].requires_grad
    assert vjp(lambda x: x**2, x.detach())[1](x)[0].requires_grad  # the cotangent requires grad


def test_only_what_is_live_leaves_with_a_graph():
    w, x = number(2.0, True), number(3.0)
    gradient, (value, (alone, both)) = grad_and_value(lambda x: (x**2, (x * 5, x * w)), has_aux=True)(x)
    assert [t.requires_grad for t in (gradient, value, alone, both)] == [False, False, False, True]
    both.backward()
    assert w.grad.item() == 3


def test_no_grad():
    w, x = number(X, True), number(X + 1, True)
    with minidl.no_grad():
        close(grad(lambda x: (x**2 * w).sum())(x), 2 * (X + 1) * X)
        close(vjp(lambda x: x**2 * w, x)[1](w)[0], 2 * (X + 1) * X * X)
        close(jvp(lambda x: x**2 * w, (x,), (x,))[1], 2 * (X + 1) ** 2 * X)
        close(jacrev(lambda x: x**2 * w)(x), np.diag(2 * (X + 1) * X))
        close(jacfwd(lambda x: x**2 * w)(x), np.diag(2 * (X + 1) * X))
        close(hessian(lambda x: (x**2 * w).sum())(x), np.diag(2 * X))
        close(grad(grad(lambda x: x**3))(number(2.0)), 12.0)
        assert not minidl.is_grad_enabled()

    def inside(x):  # the inner gradient is a constant for the outer one
        with minidl.no_grad():
            slope = grad(lambda y: y**3)(x)
        return x * slope

    close(grad(inside)(number(2.0)), 12.0)


def test_pull_obeys_the_mode_of_its_own_call():
    w, v = number(X, True), number(V)
    y, pull = vjp(lambda x: x**3 * w, w)
    with minidl.no_grad():
        close(pull(v)[0], 3 * X**3 * V)
    assert y.requires_grad and pull(v)[0].requires_grad
    with minidl.no_grad():
        y, pull = vjp(lambda x: x**3, w)
    close(y, X**3)
    close(autograd.grad(pull(v)[0].sum(), w)[0], 6 * X * V)


def test_nothing_is_left_behind():
    net = nn.Linear(3, 1)
    x = number(X, True)
    hook_calls = []
    net.weight.register_hook(hook_calls.append)
    grad(lambda x: net(x.to(minidl.float32)).sum())(x)
    hessian(lambda x: (x**3).sum())(x)
    assert x.grad is None and net.weight.grad is None and net.bias.grad is None and not hook_calls
    y = (x**2).sum()
    y.backward()
    close(x.grad, 2 * X)


def test_memory_is_free_at_once():
    gc.collect()
    gc.disable()
    try:
        kept = []
        grad(lambda x: kept.append(weakref.ref(z := x.exp())) or (z**2).sum())(number(X))
        hessian(lambda x: kept.append(weakref.ref(z := x.exp())) or (z**2).sum())(number(X))
        jvp(lambda x: kept.append(weakref.ref(z := x.exp())) or z**2, (number(X),), (number(X),))
        assert [ref() for ref in kept] == [None, None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("transform", [grad, jacrev, jacfwd, vmap, hessian, lambda f: lambda x: vjp(f, x), grad_and_value])
def test_an_error_inside_leaves_all_as_it_was(transform):
    def f(x):
        raise ZeroDivisionError

    for recording in (True, False):
        with minidl.set_grad_enabled(recording):
            with pytest.raises(ZeroDivisionError):
                transform(f)(number(X))
            assert minidl.is_grad_enabled() is recording


def test_a_write_in_place_to_the_argument():
    """func may write into a result of its own. Its argument refuses if it is a leaf, as in PyTorch; if it is a result (where
    PyTorch refuses, too), the write is seen outside, and the gradient is the one at the argument as it came in."""
    x = number(X)
    close(grad(lambda x: (x * 2).mul_(x).sum())(x), 4 * X)
    with pytest.raises(RuntimeError):
        grad(lambda x: x.mul_(2).sum())(x)
    close(x, X)
    z = number(X, True) * 1
    np.testing.assert_allclose(grad(lambda x: (x.mul_(3) ** 2).sum())(z).array, 18 * X)
    np.testing.assert_array_equal(z.array, 3 * X)


# --- vmap


def test_vmap_axes():
    x = np.arange(24.0).reshape(2, 3, 4)
    for d in (0, 1, 2, -1, -2, -3):
        close(vmap(lambda x: x.sum(), in_dims=d)(number(x)), x.sum(tuple(i for i in range(3) if i != d % 3)))
        close(vmap(lambda x: x * 2, out_dims=d)(number(x)), np.moveaxis(2 * x, 0, d))
    a, b = vmap(lambda x: (x, x.sum()), out_dims=(1, 0))(number(x))
    close(a, np.moveaxis(x, 0, 1))
    close(b, x.sum((1, 2)))
    found = vmap(lambda x: {"a": x, "b": [x, x[0]]}, out_dims={"a": 1, "b": [-1, 0]})(number(x))
    close(found["a"], np.moveaxis(x, 0, 1))
    close(found["b"][0], np.moveaxis(x, 0, -1))
    close(found["b"][1], x[:, 0])
    close(vmap(lambda x: x, out_dims=(1,))(number(x)), np.moveaxis(x, 0, 1))


def test_vmap_in_dims_of_trees():
    x, y = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    f = lambda t, s, k=1: t["x"] * t["p"].a + t["p"].b + s * k  # noqa: E731
    tree = {"x": number(x), "p": Pair(number(y), number(10.0))}
    close(vmap(f, in_dims=({"x": 1, "p": Pair(0, None)}, None))(tree, number([1.0, 2]), k=2), (x * y + 10).T + [[2, 4]])
    close(vmap(lambda p, s: p[0] * p[1] + s, in_dims=(0, None))((number(y), number(y)), 3), y * y + 3)


def test_vmap_out_dims_none():
    same, each = vmap(lambda x: (number(7.0), x), out_dims=(None, 0))(number(X))
    close(same, 7.0)
    close(each, X)
    assert vmap(lambda x: "text", out_dims=None)(number(X)) == "text"


def test_vmap_randomness():
    minidl.manual_seed(3)
    first, second = minidl.rand(2).array, minidl.rand(2).array
    minidl.manual_seed(3)
    np.testing.assert_array_equal(
        vmap(lambda x: minidl.rand(2), randomness="different")(number([0.0, 0])).array, [first, second]
    )
    minidl.manual_seed(3)
    np.testing.assert_array_equal(vmap(lambda x: minidl.rand(2), randomness="same")(number([0.0, 0])).array, [first, first])
    np.testing.assert_array_equal(minidl.rand(2).array, second)


def test_trees_that_do_not_fit():
    assert spread((1, [2, 3]), (0, [None, 1])) == [0, None, 1]
    assert spread((1, [2, 3]), 5) == [5, 5, 5]
    assert spread((1, [2, 3]), (0, (1, 2))) is None
    assert spread((1, 2), (0, 1, 2)) is None
    assert spread({"a": 1}, {"b": 0}) is None
    assert like(((1,), ((2,),)), (1, ((2,),))) is None
    assert like((1, 2), [1, 2]) is None
    assert like({"a": 1, "b": 2}, {"b": 20, "a": 10}) == [10, 20]
    assert like(Pair(1, 2), (1, 2)) is None


# --- functional_call and stack_module_state


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(2, 2, bias=False)
        self.two = nn.Linear(2, 2, bias=False)
        self.two.weight = self.one.weight

    def forward(self, x, scale=1):
        return self.two(self.one(x)) * scale


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", minidl.zeros(1))

    def forward(self, x):
        self.count = self.count + 1
        return x * self.count


def test_functional_call():
    layer = nn.Linear(2, 1)
    weight, bias = layer.weight, layer.bias
    x = minidl.tensor([10.0, 1.0])
    new = {"weight": minidl.tensor([[1.0, 2.0]])}
    assert functional_call(layer, new, (x,)).item() == pytest.approx(12 + bias.item())  # what is not given stays
    both = (new, {"bias": minidl.tensor([0.5])})
    assert functional_call(layer, both, x).item() == 12.5
    assert functional_call(layer, list(both), x).item() == 12.5
    assert functional_call(layer, {**new, **both[1]}, x, strict=True).item() == 12.5
    assert layer.weight is weight and layer.bias is bias and layer.weight.grad is None


def test_functional_call_of_tied_weights():
    net, a, b = Tied(), 2 * minidl.eye(2), 3 * minidl.eye(2)
    shared, x = net.one.weight, minidl.tensor([1.0, 2.0])
    for name in ("one.weight", "two.weight"):
        np.testing.assert_array_equal(functional_call(net, {name: a}, x).array, [4, 8])
    np.testing.assert_array_equal(functional_call(net, {"one.weight": a, "two.weight": a}, x, {"scale": 2}).array, [8, 16])
    np.testing.assert_array_equal(functional_call(net, {"one.weight": a, "two.weight": b}, x, tie_weights=False).array, [6, 12])
    with pytest.raises(ValueError, match=r"functional_call: different values.*tie_weights=False"):
        functional_call(net, {"one.weight": a, "two.weight": b}, x)
    np.testing.assert_array_equal(functional_call(net, {"one.weight": a}, kwargs={"x": x}, strict=True).array, [4, 8])
    with pytest.raises(RuntimeError, match=r"strict=True.*\['two.weight'\]"):
        functional_call(net, {"one.weight": a}, x, strict=True, tie_weights=False)
    assert net.one.weight is shared and net.two.weight is shared


def test_functional_call_writes_buffers_back():
    net = Counting()
    own, state = net.count, {"count": minidl.tensor([5.0])}
    assert functional_call(net, state, minidl.ones(1)).item() == 6
    assert state["count"].item() == 6 and net.count is own and own.item() == 0


def test_functional_call_refuses():
    layer, x = nn.Linear(2, 1), minidl.ones(2)
    weight = layer.weight
    with pytest.raises(KeyError, match="functional_call: Linear has no parameter or buffer 'wieght'"):
        functional_call(layer, {"wieght": weight}, x)
    with pytest.raises(RuntimeError, match="functional_call: Linear has no parameter or buffer 'wieght'"):
        functional_call(layer, {"wieght": weight}, x, strict=True)
    with pytest.raises(RuntimeError, match=r"strict=True.*\['bias'\]"):
        functional_call(layer, {"weight": weight}, x, strict=True)
    with pytest.raises(ValueError, match=r"functional_call: \['weight'\] are in several"):
        functional_call(layer, ({"weight": weight}, {"weight": weight}), x)
    with pytest.raises(ValueError, match="functional_call: expected a dict"):
        functional_call(layer, 3, x)
    with pytest.raises(TypeError, match="functional_call: 'weight' must be a Tensor"):
        functional_call(layer, {"weight": 3}, x)
    with pytest.raises(TypeError, match="functional_call: expected a Module"):
        functional_call(lambda x: x, {}, x)
    bias = layer.bias
    with pytest.raises((RuntimeError, ValueError)):  # the shapes do not fit: raised inside
        functional_call(layer, {"weight": minidl.ones(1, 5), "bias": minidl.ones(1)}, x)
    assert layer.weight is weight and layer.bias is bias


def test_stack_module_state():
    models = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval() for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    assert parameters["0.weight"].shape == (3, 4, 3) and parameters["0.weight"].is_leaf and parameters["0.weight"].requires_grad
    assert buffers["1.running_mean"].shape == (3, 4) and not buffers["1.running_mean"].requires_grad
    x = minidl.randn(5, 3)
    y = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)), in_dims=(0, 0, None))(parameters, buffers, x)
    np.testing.assert_allclose(y.array, np.stack([model(x).array for model in models]), 1e-6)
    y.sum().backward()
    own = [autograd.grad(model(x).sum(), model[0].weight)[0].array for model in models]
    np.testing.assert_allclose(parameters["0.weight"].grad.array, np.stack(own), 1e-5, 1e-6)
    assert all(p.grad is None for model in models for p in model.parameters())


def test_stack_module_state_refuses():
    with pytest.raises(RuntimeError, match="stack_module_state: expected at least one"):
        stack_module_state([])
    with pytest.raises(RuntimeError, match="train"):
        stack_module_state([nn.Linear(1, 1), nn.Linear(1, 1).eval()])
    with pytest.raises(RuntimeError, match="one class"):
        stack_module_state([nn.Linear(1, 1), nn.ReLU()])
    with pytest.raises(RuntimeError, match="weight has different shapes"):
        stack_module_state([nn.Linear(1, 1), nn.Linear(2, 1)])
    with pytest.raises(RuntimeError, match="same names"):
        stack_module_state([nn.Linear(1, 1), nn.Linear(1, 1, bias=False)])
    with pytest.raises(RuntimeError, match="weight requires grad in some"):
        frozen = nn.Linear(1, 1)
        frozen.weight.requires_grad_(False)
        stack_module_state([nn.Linear(1, 1), frozen])
    with pytest.raises(TypeError, match="stack_module_state: expected a list"):
        stack_module_state(nn.Linear(1, 1))


# --- what it is for


def test_maml():
    """Finn, Abbeel and Levine (2017): the gradient through one inner step, w' = w - α ∂/∂w ½mean(x w - y)², in closed form."""
    rng, alpha = np.random.default_rng(0), 0.3
    x, y, x_new, y_new = rng.normal(size=(4, 2)), rng.normal(size=4), rng.normal(size=(5, 2)), rng.normal(size=5)
    net = nn.Linear(2, 1, bias=False).double()
    loss = lambda p, x, y: ((functional_call(net, p, x).squeeze(-1) - y) ** 2).mean() / 2  # noqa: E731

    def after_a_step(p):
        gradient = grad(loss)(p, number(x), number(y))
        adapted = {name: w - alpha * gradient[name] for name, w in p.items()}
        return loss(adapted, number(x_new), number(y_new))

    found = grad(after_a_step)({"weight": net.weight.detach()})["weight"]
    w = net.weight.array[0]
    step = np.eye(2) - alpha * x.T @ x / 4  # ∂w'/∂w; first-order MAML takes 1
    adapted = w - alpha * x.T @ (x @ w - y) / 4
    close(found, [step.T @ x_new.T @ (x_new @ adapted - y_new) / 5])
    after_a_step(dict(net.named_parameters())).backward()  # the same with the parameters themselves
    close(net.weight.grad, found.array)


def test_per_sample_gradients():
    net, x = nn.Linear(3, 1).double(), number(np.random.default_rng(0).normal(size=(5, 3)))
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    loss = lambda p, x: functional_call(net, p, (x,)).square().sum()  # noqa: E731
    each = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    error = 2 * (x.array @ net.weight.array.T + net.bias.array)
    close(each["weight"], error[:, :, None] * x.array[:, None])
    close(each["bias"], error)


def test_newton_on_rosenbrock():
    x, step = number([-1.2, 1.0]), 0
    while (g := grad(rosenbrock)(x)).norm().item() > 1e-10:
        x = x - number(np.linalg.solve(hessian(rosenbrock)(x).array, g.array))
        step += 1
    np.testing.assert_allclose(x.array, [1, 1], 1e-12)
    assert step <= 7


def test_hessian_of_a_network_against_differences():
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x, y = minidl.randn(6, 2, dtype=minidl.float64), minidl.randn(6, 1, dtype=minidl.float64)
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    loss = lambda p: F.mse_loss(functional_call(net, p, x), y)  # noqa: E731
    blocks = hessian(loss)(parameters)
    for name, w in parameters.items():
        for i in range(w.numel()):
            moved = [w.array.copy(), w.array.copy()]
            moved[0].flat[i] += 1e-5
            moved[1].flat[i] -= 1e-5
            high, low = (grad(loss)({**parameters, name: number(array)}) for array in moved)
            for other in parameters:
                column = blocks[other][name].array.reshape(*parameters[other].shape, -1)[..., i]
                np.testing.assert_allclose(column, (high[other].array - low[other].array) / 2e-5, 1e-6, 1e-8)


def test_the_names():
    expected = "functional_call grad grad_and_value hessian jacfwd jacrev jvp stack_module_state vjp vmap"
    assert " ".join(sorted(func.__all__)) == expected
