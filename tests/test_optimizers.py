"""The optimizers beside SGD and Adam: against plain loops in float64, against PyTorch where it is installed, and bad input."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest

import minidl
from minidl import kernels, optim
from minidl.optim.lbfgs import cubic_minimum, strong_wolfe
from minidl.optim.muon import orthogonal

STEPS = 12


def loop(start, gradients, rule, **options):
    """The rule, one number at a time, in float64: rule(p, g, state, t, **options) → p."""
    p = start.astype(np.float64)
    for at in np.ndindex(p.shape):
        state, maximize = {}, options.get("maximize", False)
        for t, g in enumerate(gradients, 1):
            p[at] = rule(p[at], -float(g[at]) if maximize else float(g[at]), state, t, **options)
    return p


def adagrad(
    p, g, s, t, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, eps_inside_sqrt=False, **_
):
    g += weight_decay * p
    s["sum"] = s.get("sum", initial_accumulator_value) + g * g
    below = math.sqrt(s["sum"] + eps) if eps_inside_sqrt else math.sqrt(s["sum"]) + eps
    return p - lr / (1 + (t - 1) * lr_decay) * g / below


def rmsprop(p, g, s, t, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, eps_inside_sqrt=False, **_):
    g += weight_decay * p
    s["square"] = alpha * s.get("square", 0) + (1 - alpha) * g * g
    s["mean"] = alpha * s.get("mean", 0) + (1 - alpha) * g
    spread = s["square"] - s["mean"] ** 2 if centered else s["square"]
    step = g / (math.sqrt(spread + eps) if eps_inside_sqrt else math.sqrt(spread) + eps)
    s["buffer"] = momentum * s.get("buffer", 0) + step
    return p - lr * s["buffer"]


def adadelta(p, g, s, t, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, **_):
    g += weight_decay * p
    s["square"] = rho * s.get("square", 0) + (1 - rho) * g * g
    d = math.sqrt(s.get("moved", 0) + eps) / math.sqrt(s["square"] + eps) * g
    s["moved"] = rho * s.get("moved", 0) + (1 - rho) * d * d
    return p - lr * d


def _means(g, s, betas):
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    return s["m"], s["v"]


def adamax(p, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, **_):
    g += weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["u"] = max(betas[1] * s.get("u", 0), abs(g) + eps)
    return p - lr / (1 - betas[0] ** t) * s["m"] / s["u"]


def _decayed(p, g, lr, weight_decay, decoupled):
    return (p * (1 - lr * weight_decay), g) if decoupled else (p, g + weight_decay * p)


def nadam(
    p, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3, decoupled_weight_decay=False, **_
):
    p, g = _decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    m, v = _means(g, s, betas)
    mu, following = (betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
    s["product"] = s.get("product", 1.0) * mu
    below = math.sqrt(v / (1 - betas[1] ** t)) + eps
    return p - lr * ((1 - mu) / (1 - s["product"]) * g + following / (1 - s["product"] * following) * m) / below


def radam(p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False, **_):
    p, g = _decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    m, v = _means(g, s, betas)
    m /= 1 - betas[0] ** t
    most = 2 / (1 - betas[1]) - 1
    rho = most - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    if rho <= 5:
        return p - lr * m
    r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    return p - lr * m * r * math.sqrt(1 - betas[1] ** t) / (math.sqrt(v) + eps)


def yogi(p, g, s, t, lr=1e-2, betas=(0.9, 0.999), eps=1e-3, weight_decay=0, **_):
    g += weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    v = s.get("v", 0.0)
    s["v"] = v + (1 - betas[1]) * np.sign(g * g - v) * g * g
    return p - lr * s["m"] / (1 - betas[0] ** t) / (math.sqrt(s["v"] / (1 - betas[1] ** t)) + eps)


def lion(p, g, s, t, lr=1e-4, betas=(0.9, 0.99), weight_decay=0, **_):
    m = s.get("m", 0)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return p * (1 - lr * weight_decay) - lr * np.sign(betas[0] * m + (1 - betas[0]) * g)


def asgd(p, g, s, t, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, **_):
    g += weight_decay * p
    eta, mu = s.get("eta", lr), s.get("mu", 1.0)
    p = p * (1 - lambd * eta) - eta * g
    s["ax"] = p if mu == 1 else s["ax"] + mu * (p - s["ax"])
    s["eta"], s["mu"] = lr / (1 + lambd * lr * t) ** alpha, 1 / max(1, t - t0)
    return p


def rprop(p, g, s, t, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), **_):
    width = s.get("width", lr) * (1 if g * s.get("g", 0) == 0 else etas[1] if g * s["g"] > 0 else etas[0])
    s["width"] = min(max(width, step_sizes[0]), step_sizes[1])
    s["g"] = 0 if g * s.get("g", 0) < 0 else g
    return p - np.sign(s["g"]) * s["width"]


def options(**choices):
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


DECAY, SIGN = (0, 0.3), (False, True)
BETAS = (0.9, 0.999), (0.5, 0.8)
# For each optimizer its loop and the options that are tried, all with all
RULES = {
    "Adagrad": (
        adagrad,
        options(
            lr=[0.1], lr_decay=[0, 0.2], weight_decay=DECAY, initial_accumulator_value=[0, 0.5], eps=[1e-10, 0.1], maximize=SIGN
        ),
    ),
    "RMSprop": (
        rmsprop,
        options(lr=[0.1], alpha=[0.99, 0.5], eps=[0.01], weight_decay=DECAY, momentum=[0, 0.9], centered=SIGN, maximize=SIGN),
    ),
    "Adadelta": (adadelta, options(lr=[1.0, 0.5], rho=[0.9, 0.5], eps=[1e-6, 0.1], weight_decay=DECAY, maximize=SIGN)),
    "Adamax": (adamax, options(lr=[0.1], betas=BETAS, eps=[1e-8, 0.1], weight_decay=DECAY, maximize=SIGN)),
    "NAdam": (
        nadam,
        options(
            lr=[0.1],
            betas=BETAS,
            eps=[1e-8, 0.1],
            weight_decay=DECAY,
            momentum_decay=[0.004, 0.5],
            decoupled_weight_decay=SIGN,
            maximize=SIGN,
        ),
    ),
    "RAdam": (
        radam,
        options(lr=[0.1], betas=BETAS, eps=[1e-8, 0.1], weight_decay=DECAY, decoupled_weight_decay=SIGN, maximize=SIGN),
    ),
    "ASGD": (asgd, options(lr=[0.1], lambd=[1e-4, 0.3], alpha=[0.75, 0.2], t0=[1e6, 3], weight_decay=DECAY, maximize=SIGN)),
    "Rprop": (
        rprop,
        options(lr=[0.1, 2.0], etas=[(0.5, 1.2), (0.9, 3.0)], step_sizes=[(1e-6, 50), (0.05, 0.2)], maximize=SIGN),
    ),
    "Yogi": (yogi, options(lr=[0.1], betas=BETAS, eps=[1e-3, 0.1], weight_decay=DECAY, maximize=SIGN)),
    "Lion": (lion, options(lr=[0.1], betas=BETAS, weight_decay=DECAY, maximize=SIGN)),
}
NOT_PYTORCH = {"Yogi", "Lion"}
INSIDE = [("Adagrad", adagrad), ("RMSprop", rmsprop)]


def leaf(array, dtype=None):
    return minidl.tensor(array, dtype=dtype, requires_grad=True)


def descend(optimizer, p, gradients):
    for g in gradients:
        p.grad = minidl.tensor(g)
        optimizer.step()


def sequence(shape, dtype):
    random = np.random.default_rng(0)
    scales = 2.0 ** random.integers(-3, 3, (STEPS, *[1] * len(shape)))
    return random.normal(size=shape).astype(dtype), (random.normal(size=(STEPS, *shape)) * scales).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RULES)
def test_against_a_plain_loop(name, dtype):
    rule, choices = RULES[name]
    for shape, some in (((3, 5), choices), ((), choices[:1]), ((0, 4), choices[:1])):
        start, gradients = sequence(shape, dtype)
        before = gradients.copy()
        for given in some:
            p = leaf(start)
            descend(getattr(optim, name)([p], **given), p, gradients)
            assert p.dtype == dtype
            # NAdam keeps the product of its momenta in float32, as PyTorch does; a step of Rprop and Lion is all or nothing
            exact = 1e-5 if name in ("NAdam", "ASGD") else 1e-11
            tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": exact, "atol": exact}
            np.testing.assert_allclose(
                p.detach().numpy(), loop(start, gradients, rule, **given), **tolerance, err_msg=str(given)
            )
        np.testing.assert_array_equal(gradients, before)


@pytest.mark.parametrize(("name", "rule"), INSIDE)
def test_epsilon_inside_the_root_as_in_the_book(name, rule):
    start, gradients = sequence((7,), "float64")
    p = leaf(start)
    descend(getattr(optim, name)([p], lr=0.1, eps=0.5, eps_inside_sqrt=True), p, gradients)
    exact = loop(start, gradients, rule, lr=0.1, eps=0.5, eps_inside_sqrt=True)
    np.testing.assert_allclose(p.detach().numpy(), exact, rtol=1e-11)
    other = loop(start, gradients, rule, lr=0.1, eps=0.5)
    assert np.abs(exact - other).max() > 1e-3


@pytest.mark.parametrize("name", sorted(RULES.keys() - NOT_PYTORCH))
def test_against_pytorch(name):
    torch = pytest.importorskip("torch")
    start, gradients = sequence((6, 5), "float64")
    for given in RULES[name][1]:
        ours, theirs = leaf(start), torch.tensor(start, requires_grad=True)
        optimizer, other = getattr(optim, name)([ours], **given), getattr(torch.optim, name)([theirs], **given)
        for g in gradients:
            ours.grad, theirs.grad = minidl.tensor(g), torch.tensor(g)
            optimizer.step()
            other.step()
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=str(given))
        assert repr(optimizer) == repr(other)
        mine, yours = optimizer.state_dict(), other.state_dict()
        assert mine["param_groups"] == yours["param_groups"]
        assert set(mine["state"][0]) == {key for key, x in yours["state"][0].items() if x is not None}
        for key, x in mine["state"][0].items():
            np.testing.assert_allclose(x.numpy(), yours["state"][0][key].numpy(), rtol=1e-6, atol=1e-9, err_msg=key)
        again = leaf(ours.tolist(), "float64")  # and its state loads here
        resumed = getattr(optim, name)([again])
        resumed.load_state_dict(yours)
        for x, o in ((ours, optimizer), (again, resumed)):
            descend(o, x, gradients[:2])
        np.testing.assert_allclose(ours.detach().numpy(), again.detach().numpy(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
def test_state_dict_resumes_bit_for_bit(name):
    start, gradients = sequence((4, 3), "float32")
    for given in (RULES[name][1][0], RULES[name][1][-1]):
        p, q = leaf(start), None
        optimizer = getattr(optim, name)([p], **given)
        descend(optimizer, p, gradients[:5])
        saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
        assert saved["state"][0]["step"].item() == 5
        q = leaf(p.tolist())
        other = getattr(optim, name)([q])
        other.load_state_dict(saved)
        descend(optimizer, p, gradients[5:])
        descend(other, q, gradients[5:])
        assert p.equal(q)
        key = next(key for key, x in saved["state"][0].items() if x.shape == (4, 3))
        assert not np.shares_memory(other.state[q][key].array, saved["state"][0][key].array)


@pytest.mark.parametrize("name", RULES)
def test_any_layout_and_size(name):
    """Parts for two threads, and parameters that are views: the same numbers as a contiguous one gets."""
    size = 70_001
    random = np.random.default_rng(1)
    start, gradients = random.normal(size=size).astype("float32"), random.normal(size=(3, size)).astype("float32")
    whole, few = leaf(start), leaf(start[-50:])
    twice = minidl.zeros(size, 2)
    view = twice.detach()[:, 1]
    view.copy_(minidl.tensor(start))
    view.requires_grad_()
    for p, part in ((whole, gradients), (few, gradients[:, -50:]), (view, gradients)):
        descend(getattr(optim, name)([p], **RULES[name][1][-1]), p, part)
    assert few.equal(whole[-50:]) and view.equal(whole) and twice[:, 0].eq(0).all()


@pytest.mark.parametrize("name", RULES)
def test_gradients_that_are_nan_stay_where_they_are(name):
    p = leaf([1.0, 2.0, 3.0])
    descend(getattr(optim, name)([p]), p, np.array([[np.nan, 1, 0]] * 2, "float32"))
    assert p[0].isnan() and p[1].isfinite() and p[2].isfinite()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("option", ["lr", "eps", "weight_decay"])
def test_options_that_make_no_sense(name, option):
    p = leaf([1.0])
    cls = getattr(optim, name)
    if option not in cls([p]).defaults:
        pytest.skip(f"{name} has no {option}")
    for wrong, error in ((-1.0, ValueError), ("1", TypeError), (math.nan, ValueError), (None, TypeError)):
        with pytest.raises(error, match=f"{name}: {option}"):
            cls([p], **{option: wrong})
    optimizer = cls([p], lr=0.1)
    optimizer.param_groups[0][option] = -2.0
    p.grad = minidl.ones(1)
    with pytest.raises(ValueError, match=f"{name}: {option}"):
        optimizer.step()
    assert p.item() == 1.0


@pytest.mark.parametrize("name", sorted(RULES.keys() - NOT_PYTORCH))
def test_ways_to_compute_that_are_not_there(name):
    for option in ("foreach", "differentiable", "capturable", "fused"):
        if option in getattr(optim, name)([leaf([1.0])]).defaults:
            getattr(optim, name)([leaf([1.0])], **{option: False})
            with pytest.raises(NotImplementedError, match=f"{name}: {option}=True"):
                getattr(optim, name)([leaf([1.0])], **{option: True})


@pytest.mark.parametrize("name", RULES)
def test_a_state_of_another_optimizer_is_refused(name):
    p = leaf([1.0, 2.0])
    optimizer = getattr(optim, name)([p])
    saved = optimizer.state_dict()
    saved["state"] = {0: {"momentum_buffer": minidl.ones(2)}}
    with pytest.raises(ValueError, match=rf"has no .*step.*{name} needs"):
        optimizer.load_state_dict(saved)
    assert not optimizer.state


def test_rmsprop_momentum_switched_on_later():
    start, gradients = sequence((3,), "float64")
    p = leaf(start)
    optimizer = optim.RMSprop([p], lr=0.1)
    descend(optimizer, p, gradients[:1])
    optimizer.param_groups[0].update(momentum=0.5, centered=True)
    descend(optimizer, p, gradients[1:3])
    assert set(optimizer.state[p]) == {"step", "square_avg", "momentum_buffer", "grad_avg"} and p.isfinite().all()


# ---------------------------------------------------------------------------------------------- the book's traces


def trace(make, steps=20):
    """Where .1·x1² + 2·x2² is after so many steps from (−5, −2)."""
    x = leaf([-5.0, -2.0], "float64")
    optimizer = make([x])
    for _ in range(steps):
        optimizer.zero_grad()
        (0.1 * x[0] ** 2 + 2 * x[1] ** 2).backward()
        optimizer.step()
    return x.tolist()


BOOK = {"eps": 1e-6, "eps_inside_sqrt": True}
TRACES = [
    (lambda x: optim.SGD(x, 0.4), (-0.943467, -0.000073)),
    (lambda x: optim.SGD(x, 0.6), (-0.387814, -1673.365109)),
    (lambda x: optim.SGD(x, 0.6, momentum=0.5), (0.007188, 0.002553)),
    (lambda x: optim.SGD(x, 0.6, momentum=0.25), (-0.126340, -0.186632)),
    (lambda x: optim.Adagrad(x, 0.4, **BOOK), (-2.382563, -0.158591)),
    (lambda x: optim.Adagrad(x, 2.0, **BOOK), (-0.002295, 0.0)),
    (lambda x: optim.RMSprop(x, 0.4, 0.9, **BOOK), (-0.010599, 0.0)),
]


@pytest.mark.parametrize(("make", "end"), TRACES)
def test_traces_of_the_book(make, end):
    np.testing.assert_allclose(trace(make), end, rtol=1e-6, atol=6e-7)


def test_gradient_descent_in_one_dimension():
    for lr, end in ((0.2, 0.060466), (0.05, 3.486784), (1.1, 61.917364)):
        x = leaf(10.0, "float64")
        optimizer = optim.SGD([x], lr)
        for _ in range(10):
            optimizer.zero_grad()
            (x * x).backward()
            optimizer.step()
        assert abs(x.item() - end) < 6e-7


# ---------------------------------------------------------------------------------------------------------- L-BFGS


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def minimise(module, x, loss, steps, **given):
    """The losses before each step."""
    optimizer = module.optim.LBFGS([x], **given)

    def closure():
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        return value

    return [float(optimizer.step(closure).detach()) for _ in range(steps)], optimizer, closure


def quadratic(x):
    return 0.5 * (x[0] ** 2 + 10 * x[1] ** 2 + x[0] * x[1]) + x[0]


LBFGS_OPTIONS = [
    {"lr": 0.1},
    {"lr": 1.0, "max_iter": 4, "history_size": 2},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2},
    {"line_search_fn": "strong_wolfe", "max_eval": 5},
    {"line_search_fn": "strong_wolfe", "lr": 0.01},
    {"line_search_fn": "strong_wolfe", "lr": 30.0},
]


@pytest.mark.parametrize("given", LBFGS_OPTIONS)
@pytest.mark.parametrize("loss", [rosenbrock, quadratic])
def test_lbfgs_against_pytorch(loss, given):
    torch = pytest.importorskip("torch")
    ours, theirs = leaf([-1.2, 1.0], "float64"), torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    mine, optimizer, _ = minimise(minidl, ours, loss, 6, **given)
    yours, other, _ = minimise(torch, theirs, loss, 6, **given)
    np.testing.assert_allclose(mine, yours, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-6, atol=1e-9)
    kept, saved = optimizer.state[ours], other.state[theirs]
    assert (kept["n_iter"], kept["func_evals"]) == (saved["n_iter"], saved["func_evals"])
    again = leaf(theirs.tolist(), "float64")
    resumed = optim.LBFGS([again], **given)
    resumed.load_state_dict(other.state_dict())
    assert len(resumed.state[again]["old_dirs"]) == len(saved["old_dirs"])


def test_lbfgs_finds_minima_and_says_when():
    x = leaf([-1.2, 1.0], "float64")
    losses, _, _ = minimise(minidl, x, rosenbrock, 3, line_search_fn="strong_wolfe", max_iter=40)
    np.testing.assert_allclose(x.tolist(), [1, 1], atol=1e-4)
    assert losses[0] == pytest.approx(24.2) and losses[-1] < 1e-8
    random = np.random.default_rng(0)
    a = random.normal(size=(6, 6))
    matrix, b = minidl.tensor(a @ a.T + np.eye(6)), minidl.tensor(random.normal(size=6))
    y = leaf(np.zeros(6), "float64")
    minimise(
        minidl, y, lambda y: 0.5 * y @ matrix @ y - b @ y, 2, line_search_fn="strong_wolfe", max_iter=30, tolerance_change=1e-14
    )
    np.testing.assert_allclose(y.detach().numpy(), np.linalg.solve(matrix.numpy(), b.numpy()), atol=1e-6)


def test_lbfgs_steps_are_those_of_the_matrix():
    """x − H·∇f, with H written out: of H₀ = (s·y)/(y·y)·I and all pairs, oldest first."""
    a, x, pairs = np.diag([1.0, 9.0, 40.0]), np.array([3.0, -2.0, 1.0]), []
    p = leaf(x, "float64")
    matrix = minidl.tensor(a)
    _, optimizer, closure = minimise(minidl, p, lambda p: 0.5 * p @ matrix @ p, 0, max_iter=1)
    for step in range(5):
        g = a @ x
        h = np.eye(3)
        if pairs:
            s, y = pairs[-1]
            h *= s @ y / (y @ y)
        for s, y in pairs:
            left = np.eye(3) - np.outer(s, y) / (s @ y)
            h = left @ h @ left.T + np.outer(s, s) / (s @ y)
        s = -h @ g * (1 if step else min(1, 1 / np.abs(g).sum()))
        pairs.append((s, a @ s))
        x = x + s
        optimizer.step(closure)
        np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-9, atol=1e-11)


def test_lbfgs_resumes_bit_for_bit():
    x = leaf([-1.2, 1.0], "float64")
    _, optimizer, closure = minimise(minidl, x, rosenbrock, 1, line_search_fn="strong_wolfe", max_iter=3)
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    y = leaf(x.tolist(), "float64")
    _, other, second = minimise(minidl, y, rosenbrock, 0)
    other.load_state_dict(saved)
    optimizer.step(closure)
    other.step(second)
    assert x.equal(y) and x.tolist() != [-1.2, 1.0]


def test_lbfgs_takes_parameters_of_several_shapes():
    minidl.manual_seed(0)
    model = minidl.nn.Linear(3, 2, dtype=minidl.float64)
    x = minidl.randn(20, 3, dtype=minidl.float64)
    y = x @ minidl.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=minidl.float64) + 1
    optimizer = optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe", max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(model.weight.detach().numpy(), [[1, 3, 5], [2, 4, 6]], atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_iter": 0}, "max_iter must be an integer of 1 or more"),
        ({"history_size": 1.5}, "history_size must be an integer"),
        ({"line_search_fn": "wolfe"}, 'must be None or "strong_wolfe"'),
        ({"tolerance_grad": -1.0}, "tolerance_grad must be at least 0"),
    ],
)
def test_lbfgs_refuses(given, message):
    with pytest.raises(ValueError, match=message):
        optim.LBFGS([leaf([1.0])], **given)
    with pytest.raises(ValueError, match="a second one"):
        optim.LBFGS([{"params": [leaf([1.0])]}, {"params": [leaf([1.0])]}])
    with pytest.raises(TypeError, match="a function that computes the loss"):
        optim.LBFGS([leaf([1.0])]).step(None)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optim.LBFGS([leaf([1.0])]).add_param_group({"params": [leaf([2.0])]}), ValueError, "a second one"),
        (lambda: optim.LBFGS([leaf([1.0])]).step(lambda: None), TypeError, "let it return the loss"),
        (lambda: optim.Rprop([leaf([1.0])], step_sizes=(5, 1)), ValueError, "the least and the most"),
        (lambda: kernels.optimizer_step("lion", np.ones(1), np.ones(1), ([1.0],), rate=1), TypeError, "tuple of arrays"),
        (lambda: kernels.optimizer_step(["lion"], np.ones(1), np.ones(1), (), rate=1), ValueError, "expected one of adagrad"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_damaged_state_of_lbfgs_changes_nothing():
    optimizer = optim.LBFGS([leaf([1.0, 2.0])])
    groups = optimizer.state_dict()["param_groups"]
    for state, error in (({"old_dirs": 5}, TypeError), ({"d": np.ones(3)}, ValueError), ({"ro": [1.0]}, ValueError)):
        with pytest.raises(error, match="LBFGS"):
            optimizer.load_state_dict({"state": {0: state}, "param_groups": groups})
        assert not optimizer.state


def test_strong_wolfe_conditions_hold():
    random = np.random.default_rng(0)
    for _ in range(200):
        a, b, c = random.uniform(0.1, 3), random.uniform(-2, 2), random.uniform(0.5, 4)

        def along(t, a=a, b=b, c=c):
            loss = a * (t - c) ** 2 + b * math.sin(t)
            return type("P", (), {"t": t, "loss": loss, "gradient": None, "slope": 2 * a * (t - c) + b * math.cos(t)})()

        start = along(0.0)
        if start.slope >= 0:
            continue
        end = strong_wolfe(along, start, random.choice([0.01, 1.0, 20.0]), np.ones(1), 1e-12, 40)
        assert end.loss <= start.loss + 1e-4 * end.t * start.slope and abs(end.slope) <= 0.9 * abs(start.slope)


def test_the_minimum_of_a_cubic():
    def point(t):  # of t³ − 3t, whose minimum is at 1
        return type("P", (), {"t": t, "loss": t**3 - 3 * t, "slope": 3 * t * t - 3})()

    for a, b in ((0.0, 3.0), (3.0, 0.0), (0.5, 0.7)):
        assert cubic_minimum(point(a), point(b), -5.0, 5.0) == pytest.approx(1.0)
    assert cubic_minimum(point(0.0), point(3.0), 1.5, 2.0) == 1.5


# ------------------------------------------------------------------------------------------------------------ Muon


def test_muon_moves_all_directions_alike():
    random = np.random.default_rng(0)
    for shape in ((6, 4), (4, 6), (5, 5)):
        u, _, v = np.linalg.svd(random.normal(size=shape), full_matrices=False)
        o = orthogonal(u * np.geomspace(1, 0.05, min(shape)) @ v)
        spread = np.linalg.svd(o, compute_uv=False)
        assert spread.min() > 0.6 and spread.max() < 1.25
        np.testing.assert_allclose(np.sign(np.diag(u.T @ o @ v.T)), 1)  # the same directions


@pytest.mark.parametrize("adjust", [None, "original", "match_rms_adamw"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_muon_against_a_plain_loop(adjust, nesterov):
    start, gradients = sequence((6, 3), "float64")
    p = leaf(start)
    optimizer = optim.Muon([p], lr=0.1, weight_decay=0.2, momentum=0.8, nesterov=nesterov, adjust_lr_fn=adjust)
    descend(optimizer, p, gradients)
    x, v = start.copy(), np.zeros_like(start)
    for g in gradients:
        v = 0.8 * v + 0.2 * g
        u = 0.2 * g + 0.8 * v if nesterov else v
        y = u.T / np.linalg.norm(u)
        for _ in range(5):
            gram = y @ y.T
            y = 3.4445 * y + (-4.775 * gram + 2.0315 * gram @ gram) @ y
        x = x * (1 - 0.1 * 0.2) - 0.1 * (0.2 * math.sqrt(6) if adjust == "match_rms_adamw" else math.sqrt(2)) * y.T
    np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-9)


def test_muon_against_pytorch():
    torch = pytest.importorskip("torch")
    start, gradients = sequence((6, 5), "float32")
    ours, theirs = leaf(start), torch.tensor(start, requires_grad=True)
    optimizer, other = optim.Muon([ours]), torch.optim.Muon([theirs])
    for g in gradients:
        ours.grad, theirs.grad = minidl.tensor(g), torch.tensor(g)
        optimizer.step()
        other.step()
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), atol=3e-4)  # theirs is of bfloat16
    assert repr(optimizer) == repr(other)
    np.testing.assert_allclose(
        optimizer.state[ours]["momentum_buffer"].numpy(), other.state[theirs]["momentum_buffer"].numpy(), rtol=1e-5, atol=1e-6
    )


def test_muon_wants_matrices():
    with pytest.raises(ValueError, match=r"parameter 1 has shape \(3,\); use AdamW"):
        optim.Muon([leaf(np.ones((2, 2))), leaf(np.ones(3))])
    with pytest.raises(ValueError, match="adjust_lr_fn must be"):
        optim.Muon([leaf(np.ones((2, 2)))], adjust_lr_fn="other")
    with pytest.raises(ValueError, match="ns_steps must be"):
        optim.Muon([leaf(np.ones((2, 2)))], ns_steps=100)


def test_copies_go_on_alike():
    for name in RULES:
        p = leaf([1.0, 2.0])
        optimizer = getattr(optim, name)([p])
        descend(optimizer, p, np.ones((2, 2), "float32"))
        again = copy.deepcopy(optimizer)
        q = again.param_groups[0]["params"][0]
        descend(optimizer, p, np.ones((1, 2), "float32"))
        descend(again, q, np.ones((1, 2), "float32"))
        assert p.equal(q)
