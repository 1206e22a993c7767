"""torch.func and torch.autograd.functional as a second oracle: the same program gives the same tree of the same numbers.

`t` is torch or minidl, `f` its func, `af` its autograd.functional. Values, shapes, dtypes, requires_grad and the nesting of the
result are compared. What minidl does otherwise on purpose is not here, but in test_func.py with its reason: vmap over nothing,
names that a module does not have, results that are not tensors.
"""

import inspect
from collections import namedtuple

import numpy as np
import pytest

import minidl
import minidl.func

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Pair = namedtuple("Pair", "a b")
RNG = np.random.default_rng(0)
ARRAYS = {
    "x": RNG.normal(size=3),
    "y": RNG.normal(size=3),
    "v": RNG.normal(size=3),
    "m": RNG.normal(size=(2, 3)),
    "n": RNG.normal(size=(2, 3)),
    "s": np.array(0.7),
    "c": RNG.normal(size=(2, 3, 4)),
}

FUNC = """
f.grad(lambda x: (x**3).sum())(x)
f.grad(lambda x, y: (x**3 * y).sum(), argnums=1)(x, y)
f.grad(lambda x, y: (x**3 * y).sum(), argnums=-1)(x, y)
f.grad(lambda x, y: (x**3 * y).sum(), argnums=(1, 0))(x, y)
f.grad(lambda x, y: (x**3 * y).sum(), argnums=(-2,))(x, y)
f.grad(lambda x: ((x**2).sum(), x * 2), has_aux=True)(x)
f.grad(lambda x: ((x**2).sum(), {"a": [x * 2, x.sum()]}), has_aux=True)(x)
f.grad(lambda p, k=1: (p["a"] * p["b"][0] * k).sum())({"a": x, "b": [y]}, k=3)
f.grad(lambda p: (p.a * p.b).sum())(Pair(x, y))
f.grad(lambda x: (w * x**2).sum())(x)
f.grad(lambda x: (x**3).sum())(w)
f.grad(lambda x: (x**3).sum() * 0 + s)(x)
f.grad_and_value(lambda x: (x**3).sum())(x)
f.grad_and_value(lambda x, y: ((x**3 * y).sum(), (x, y)), argnums=(0, 1), has_aux=True)(x, y)
f.grad(f.grad(lambda s: s.sin() * s**2))(s)
f.grad(lambda s: s * f.grad(lambda r: s * r)(s))(s)
f.grad(lambda s: s * f.jvp(lambda r: s * r, (s,), (s,))[1])(s)
f.jvp(lambda s: s * f.grad(lambda r: s * r**2)(s), (s,), (s,))
f.vjp(lambda x: x**2, x)[0]
f.vjp(lambda x: x**2, x)[1](v)
f.vjp(lambda x, y: x * y, x, y)[1](v)
f.vjp(lambda x, y: (x * y, y.sum()), x, y)[1]((v, s))
f.vjp(lambda x, y: {"a": x * y, "b": [y.sum()]}, x, y)[1]({"a": v, "b": [s]})
f.vjp(lambda x: (x**2, x.sum()), x, has_aux=True)[2]
f.vjp(lambda p: p["a"] * p["b"], {"a": x, "b": y})[1](v)
f.vjp(lambda x: w * x, x)[1](v)
f.vjp(lambda x: x**2, w)[0]
f.jvp(lambda x: x**2, (x,), (v,))
f.jvp(lambda x, y: (x * y, y.exp()), (x, y), (v, x))
f.jvp(lambda p, y: [p["a"] * y, {"k": p["b"]}], ({"a": x, "b": s}, y), ({"a": v, "b": s}, x))
f.jvp(lambda x: (x**2, x.sum()), (x,), (v,), has_aux=True)
f.jvp(lambda x: y, (x,), (v,))
f.jvp(lambda x: w * x, (x,), (v,))
f.jacrev(lambda x: x**2)(x)
f.jacrev(lambda x: m @ x)(x)
f.jacrev(lambda x: (m @ x, x.sum()))(x)
f.jacrev(lambda x: {"a": m @ x, "b": [x.sum()]})(x)
f.jacrev(lambda m, x: m @ x, argnums=(0, 1))(m, x)
f.jacrev(lambda m, x: (m @ x, x), argnums=(1, 0))(m, x)
f.jacrev(lambda m, x: (m @ x, x), argnums=-1)(m, x)
f.jacrev(lambda p, x: (p["m"] @ x, x), argnums=(0, 1))({"m": m}, x)
f.jacrev(lambda p: [p["m"] @ p["x"]])({"m": m, "x": x})
f.jacrev(lambda x: (x**2, x.sum()), has_aux=True)(x)
f.jacrev(lambda x: x**2, chunk_size=2)(x)
f.jacrev(lambda x: w * x**2)(x)
f.jacfwd(lambda x: x**2)(x)
f.jacfwd(lambda x: (m @ x, x.sum()))(x)
f.jacfwd(lambda x: {"a": m @ x, "b": [x.sum()]})(x)
f.jacfwd(lambda m, x: m @ x, argnums=(0, 1))(m, x)
f.jacfwd(lambda m, x: (m @ x, x), argnums=(1, 0))(m, x)
f.jacfwd(lambda p, x: (p["m"] @ x, x), argnums=(0, 1))({"m": m}, x)
f.jacfwd(lambda x: (x**2, x.sum()), has_aux=True)(x)
f.jacfwd(lambda s: s * x)(s)
f.hessian(lambda x: (x**3).sum())(x)
f.hessian(lambda x: x**3)(x)
f.hessian(lambda x, y: (x**2 * y**2).sum(), argnums=(0, 1))(x, y)
f.hessian(lambda x, y: (x**2 * y**2).sum(), argnums=1)(x, y)
f.hessian(lambda p: (p["a"]**2 * p["b"]).sum())({"a": x, "b": y})
f.jacfwd(f.jacrev(lambda x: (x**3).sum()))(x)
f.jacrev(f.jacfwd(lambda x: (x**3).sum()))(x)
f.jacrev(f.grad(lambda x: (x**3).sum()))(x)
f.vmap(lambda x: x * 2)(m)
f.vmap(lambda x, y: (x * y).sum(), in_dims=(0, None))(m, x)
f.vmap(lambda x, y: (x * y), in_dims=(-1, 0), out_dims=-1)(m, x)
f.vmap(lambda x, y: x + y, in_dims=(1, 0))(m, x)
f.vmap(lambda x: (x, x.sum()), out_dims=(1, 0))(c)
f.vmap(lambda x: (x, x.sum()))(c)
f.vmap(lambda x: {"a": x, "b": [x.sum(0)]}, in_dims=2, out_dims={"a": 1, "b": [-1]})(c)
f.vmap(lambda p, k: p["a"] * p["b"] * k, in_dims=({"a": 0, "b": None}, None))({"a": m, "b": x}, 3)
f.vmap(lambda p: p[0] * p[1])([m, n])
f.vmap(lambda p: p.a * p.b, in_dims=(Pair(0, None),))(Pair(m, x))
f.vmap(lambda x: (x, y), out_dims=(0, None))(m)
f.vmap(lambda x: (y, 3), out_dims=None)(m)
f.vmap(lambda x: y)(m)
f.vmap(lambda x, k=1: x * k)(m, k=2)
f.vmap(lambda x: x, out_dims=(1,))(c)
f.vmap(f.vmap(lambda a, b: a * b, in_dims=(None, 0)), in_dims=(0, None))(x, y)
f.vmap(f.vmap(lambda a: a.sum(), in_dims=1), in_dims=2)(c)
f.vmap(lambda x: x * 2, chunk_size=2, randomness="same")(c)
f.vmap(f.grad(lambda x, y: (x * y).sin().sum()), in_dims=(0, None))(m, x)
f.vmap(f.grad(lambda x, y: (x * y).sin().sum(), argnums=(0, 1)))(m, n)
f.vmap(f.jacrev(lambda x: x**2))(m)
f.vmap(f.hessian(lambda x: (x**3).sum()))(m)
f.grad(lambda y: f.vmap(lambda x: (x * y).sum()**2)(m).sum())(y)
f.vmap(lambda x: w * x)(m)
f.grad(lambda a, b: (a * b**2).sum(), argnums=(0, 1))(x, x)
f.grad(lambda a, b: (a * b**2).sum(), argnums=(0, 1))(w, w)
f.grad(lambda p: (p[0] * p[1]).sum())((x, x))
f.grad(lambda s: s)(s)
f.grad(lambda x, k: x.sum() * k.sum())(x, t.tensor([1, 2]))
f.grad(lambda x: (x * 1).mul_(x).sum())(x)
f.jacrev(lambda x: x)(x)
f.jacfwd(lambda x: (x, x))(x)
f.jacrev(lambda x: x[:0])(x)
f.vjp(lambda x: (x, x), x)[1]((v, y))
f.jvp(lambda x: x, (x,), (v,))
f.jvp(lambda x: x**2, (w,), (v,))
f.jvp(lambda x: x**2, (x,), (w,))
f.vmap(f.vjp(lambda x: x**2, x)[1])(m)
f.vmap(lambda x, v: f.jvp(lambda x: x**2, (x,), (v,)))(m, n)
f.jacrev(f.vmap(lambda x: x**2))(m)
f.jacfwd(f.jacfwd(lambda x: x**3))(x)
f.grad(lambda s: f.jacfwd(lambda r: r**3 * s)(s))(s)
f.hessian(lambda x: x @ m.T @ m @ x)(x)
f.functional_call(bn, {"weight": x, "bias": y}, m)
f.grad(lambda p: (f.functional_call(bn, p, m) ** 3).sum())({"weight": x, "bias": y})
f.hessian(lambda p: (f.functional_call(bn, p, m) ** 3).sum())({"weight": x, "bias": y})
f.vmap(f.grad(lambda p, x: f.functional_call(net, p, x).sin().sum()), in_dims=(None, 0))({"weight": m}, n)
f.functional_call(layer(t), {"weight": m}, x)
f.functional_call(layer(t), ({"weight": m}, {"bias": v[:2]}), (x,), strict=True)
f.functional_call(layer(t), [{"weight": m}, {"bias": v[:2]}], (x,), {})
f.grad(lambda p: f.functional_call(net, p, x).sum())({"weight": m, "bias": v[:2]})
f.stack_module_state([layer(t), layer(t)])
f.jacrev(lambda p: f.functional_call(net, p, x))({"weight": m, "bias": v[:2]})
""".strip().splitlines()

FUNCTIONAL = """
af.vjp(lambda x: x**2, x, v)
af.vjp(lambda x: (x**2).sum(), x)
af.vjp(lambda x: (x**2,), (x,), (v,))
af.vjp(lambda x, y: (x * y, y.sum()), (x, y), (v, s))
af.vjp(lambda x, y: x * 2, (x, y), v)
af.vjp(lambda x: x**2, x, v, create_graph=True)
af.vjp(lambda x: x**2, w, v, create_graph=True)
af.vjp(lambda x: w * x**2, x, v)
af.vjp(lambda x: y, x, v)
af.jvp(lambda x: x**2, x, v)
af.jvp(lambda s: s * x, s)
af.jvp(lambda x, y: (x * y, y.sum()), (x, y), (v, x))
af.jvp(lambda x: y, x, v)
af.jvp(lambda x: w * x**2, x, v, create_graph=True)
af.jvp(lambda x: w * x**2, w, v, create_graph=True, strict=True)
af.jacobian(lambda x: x**2, x)
af.jacobian(lambda x: (m @ x, x.sum()), x)
af.jacobian(lambda m, x: m @ x, (m, x))
af.jacobian(lambda m, x: (m @ x, x), (m, x))
af.jacobian(lambda x: (x**2,), (x,))
af.jacobian(lambda x: w * x**2, x, create_graph=True)
af.jacobian(lambda x: x**2, x, vectorize=True)
af.jacobian(lambda m, x: m @ x, (m, x), strict=True)
af.hessian(lambda x: (x**3).sum(), x)
af.hessian(lambda x: (x**3).sum(), (x,))
af.hessian(lambda x, y: (x**2 * y**2).sum(), (x, y))
af.hessian(lambda x, y: (x**2 * y).sum(), (x, y), create_graph=True)
af.hessian(lambda x: x.sum(), x)
af.vhp(lambda x: (x**3).sum(), x, v)
af.vhp(lambda x, y: (x**2 * y**2).sum(), (x, y), (v, x))
af.vhp(lambda x: w.sum() * (x**3).sum(), x, v, create_graph=True)
af.vhp(lambda s: s**3, s)
af.hvp(lambda x: (x**3).sum(), x, v)
af.hvp(lambda x, y: (x**2 * y**2).sum(), (x, y), (v, x), strict=True)
af.hvp(lambda x: w.sum() * (x**3).sum(), x, v, create_graph=True)
af.hvp(lambda x: x.sum(), x, v)
af.vjp(lambda x: x, x, v)
af.jacobian(lambda a, b: a * b, (w, w), create_graph=True)
af.jacobian(lambda a: a * w, w)
af.hvp(lambda x: x @ m.T @ m @ x, x, v)
t.autograd.grad((w**2).sum(), w)
t.autograd.grad((w**2).sum(), {"w": w})
t.autograd.grad((w**2).sum(), (w, r), materialize_grads=True)
t.autograd.grad((w**2).sum(), (w, r), materialize_grads=True, create_graph=True)
t.autograd.grad((w**2).sum(), (w, r), None, None, False, True, True)
""".strip().splitlines()

ERRORS = """
f.grad(lambda x: x)(x)
f.grad(lambda x: x.sum().reshape(1))(x)
f.grad(lambda x: 3.0)(x)
f.grad(lambda x: x.sum(), argnums=1)(x)
f.grad(lambda x: x.sum(), argnums=(0, 0))(x)
f.grad(lambda x: x.sum(), argnums=())(x)
f.grad(lambda x: x.sum(), argnums=[0])(x)
f.grad(lambda x: x.sum())(3.0)
f.grad(lambda x: x.sum())(t.tensor([1, 2]))
f.grad(lambda x: x.sum(), has_aux=True)(x)
f.vjp(lambda x: 3.0, x)
f.vjp(lambda x: x > 0, x)
f.vjp(lambda x: x, x)[1]((x,))
f.vjp(lambda x: x, x)[1](s)
f.jvp(lambda x: x, x, x)
f.jvp(lambda x: x, (x,), [x])
f.jvp(lambda x: x, (x,), (s,))
f.jvp(lambda x: y, (x,), (v,), strict=True)
f.jacrev(lambda x: x, chunk_size=0)
f.jacrev(lambda x: 3)(x)
f.vmap(lambda x: x, in_dims=[0])(x)
f.vmap(lambda x: x, in_dims=(0, 0))(x)
f.vmap(lambda x: x, in_dims=1)(x)
f.vmap(lambda x: x, in_dims=(None,))(x)
f.vmap(lambda x, y: x)(x, 3)
f.vmap(lambda x, y: x)(x, m)
f.vmap(lambda x: 3)(x)
f.vmap(lambda x: x, out_dims=None)(x)
f.vmap(lambda x: (x, x), out_dims=(0,))(x)
f.vmap(lambda x: [x, x], out_dims=(0, 0))(x)
f.vmap(lambda x: x, out_dims=2)(x)
f.vmap(lambda x: x, out_dims="a")(x)
f.vmap(lambda x: t.rand(2))(x)
f.vmap(lambda x: x, randomness="some")
f.vmap(lambda x: x, chunk_size=0)
f.vmap(lambda: 1)()
f.functional_call(layer(t), {"weight": m}, x, strict=True)
f.functional_call(layer(t), {"foo": m, "weight": m, "bias": y}, x, strict=True)
f.functional_call(layer(t), ({"weight": m}, {"weight": m}), x)
f.functional_call(layer(t), 3, x)
f.stack_module_state([])
f.stack_module_state([layer(t), layer(t).eval()])
f.stack_module_state([layer(t), t.nn.ReLU()])
af.vjp(lambda x: x, [x])
af.vjp(lambda x: [x], x, v)
af.vjp(lambda x: x, x)
af.vjp(lambda x: x, x, s)
af.vjp(lambda x: x, x, (v, v))
af.vjp(lambda x: y, x, v, strict=True)
af.vjp(lambda x, y: x, (x, y), v, strict=True)
af.vjp(lambda x: x * 2, x, v, create_graph=True, strict=True)
af.jvp(lambda x: x, x)
af.jvp(lambda x: y, x, v, strict=True)
af.jvp(lambda x, y: x, (x, y), (v, v), strict=True)
af.jacobian(lambda x: y, x, strict=True)
af.jacobian(lambda x, y: x, (x, y), strict=True)
af.jacobian(lambda x: x, x, strict=True, vectorize=True)
af.hessian(lambda x: x, x)
af.hessian(lambda x: x.sum(), x, strict=True)
af.hessian(lambda x, y: (x**2 + y**2).sum(), (x, y), strict=True)
af.vhp(lambda x: x, x, v)
af.vhp(lambda x: x.sum(), x, v, strict=True)
af.hvp(lambda x: x.sum(), x, v, strict=True)
af.hvp(lambda x: (x.sum(),), x, v)
t.autograd.grad((w**2).sum(), (w, r))
t.autograd.grad((w**2).sum(), ())
t.autograd.grad((w**2).sum(), w, allow_unused=False, materialize_grads=True)
""".strip().splitlines()


def layer(t):
    t.manual_seed(0)
    return t.nn.Linear(3, 2).double()


def evaluate(t, code):
    names = {name: t.tensor(array, dtype=t.float64) for name, array in ARRAYS.items()}
    names |= {"w": t.tensor(ARRAYS["v"], requires_grad=True), "r": t.tensor(1.0, requires_grad=True, dtype=t.float64)}
    names |= {
        "t": t,
        "f": t.func,
        "af": t.autograd.functional,
        "layer": layer,
        "net": layer(t),
        "bn": t.nn.BatchNorm1d(3, track_running_stats=False).double(),
        "Pair": Pair,
    }
    return eval(code, names)


def compare(ours, theirs, where="result"):
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, minidl.Tensor), where
        assert ours.shape == tuple(theirs.shape), where
        assert str(ours.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2], where
        assert ours.requires_grad == theirs.requires_grad, where
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-10, 1e-12, err_msg=where)
    elif isinstance(theirs, (tuple, list, dict)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs), where
        keys = list(theirs) if isinstance(theirs, dict) else range(len(theirs))
        assert not isinstance(theirs, dict) or list(ours) == keys, where
        for key in keys:
            compare(ours[key], theirs[key], f"{where}[{key!r}]")
    else:
        assert ours == theirs, where


@pytest.mark.parametrize("code", FUNC + FUNCTIONAL)
def test_the_same_result(code):
    compare(evaluate(minidl, code), evaluate(torch, code))


@pytest.mark.parametrize("code", FUNC)
def test_the_same_result_within_no_grad(code):
    with minidl.no_grad():
        ours = evaluate(minidl, code)
    with torch.no_grad():
        theirs = evaluate(torch, code)
    compare(ours, theirs)


@pytest.mark.parametrize("code", ERRORS)
def test_the_same_error(code):
    with pytest.raises(Exception) as theirs:
        evaluate(torch, code)
    with pytest.raises(theirs.type):
        evaluate(minidl, code)


@pytest.mark.parametrize("name", minidl.func.__all__)
def test_the_same_signature_of_func(name):
    ours, theirs = (inspect.signature(getattr(t.func, name)).parameters for t in (minidl, torch))
    public = {key: p for key, p in theirs.items() if not key.startswith("_")}
    assert [(key, p.default, p.kind) for key, p in ours.items()] == [(key, p.default, p.kind) for key, p in public.items()]


@pytest.mark.parametrize("name", ["vjp", "jvp", "jacobian", "hessian", "vhp", "hvp", "grad"])
def test_the_same_signature_of_functional(name):
    if name == "grad":
        ours, theirs = minidl.autograd.grad, torch.autograd.grad
    else:
        ours, theirs = (getattr(t.autograd.functional, name) for t in (minidl, torch))
    ours, theirs = (inspect.signature(function).parameters for function in (ours, theirs))
    assert [(key, p.default) for key, p in ours.items()] == [(key, p.default) for key, p in theirs.items()]
