"""Adafactor: against the paper's formulas in plain loops, and PyTorch's; SparseAdam, which there is not."""

import math

import numpy as np
import pytest

import minidl
from minidl import optim

SHAPES = [(5,), (), (4, 3), (1, 3), (2, 3, 4)]
OPTIONS = [
    {},
    {"lr": 0.5, "weight_decay": 0.1, "maximize": True},
    {"lr": 0.3, "beta2_decay": -0.5, "eps": (1e-4, 0.1), "d": 2.0},
    {"lr": 2.0, "eps": (0.0, 0.0)},
    {"lr": 0.2, "eps": (20.0, 0.01)},
]


def sequence(shape, dtype):
    rng = np.random.default_rng(len(shape))
    return rng.normal(size=shape).astype(dtype), [rng.normal(size=shape).astype(dtype) * 3 for _ in range(4)]


def plain(x, gradients, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, maximize=False):
    """One matrix or vector, element by element."""
    x = x.copy()
    least, smallest = np.finfo(x.dtype).eps if eps[0] is None else eps[0], eps[1]
    memory = {}
    for t, g in enumerate(gradients, 1):
        g = -g if maximize else g
        share = t**beta2_decay

        def kept(key, new, share=share):
            memory[key] = (1 - share) * memory.get(key, 0.0) + share * new
            return memory[key]

        v = np.empty_like(x)
        if x.ndim == 2:
            m, n = x.shape
            rows = [kept(("row", i), sum(g[i, j] ** 2 for j in range(n)) / n) for i in range(m)]
            columns = [kept(("column", j), sum(g[i, j] ** 2 for i in range(m)) / m) for j in range(n)]
            mean = max(sum(rows) / m, least)
            for i, j in np.ndindex(m, n):
                v[i, j] = rows[i] * columns[j] / mean
        else:
            for i in np.ndindex(x.shape):
                v[i] = kept(i, g[i] ** 2)
        u = np.empty_like(x)
        for i in np.ndindex(x.shape):
            u[i] = g[i] / math.sqrt(max(v[i], least**2))
        size = math.sqrt(sum(u[i] ** 2 for i in np.ndindex(x.shape)) / u.size)
        length = math.sqrt(sum(x[i] ** 2 for i in np.ndindex(x.shape)) / x.size)
        rate = max(smallest, length) * min(lr, 1 / math.sqrt(t)) / max(1, size / d)
        for i in np.ndindex(x.shape):
            x[i] = x[i] * (1 - lr * weight_decay) - rate * u[i]
    return x


def descend(optimizer, p, gradients):
    for g in gradients:
        p.grad = minidl.tensor(g)
        optimizer.step()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", SHAPES[:4])
def test_it_is_the_papers_rule(shape, options):
    start, gradients = sequence(shape, "float64")
    p = minidl.tensor(start, requires_grad=True)
    descend(optim.Adafactor([p], **options), p, gradients)
    np.testing.assert_allclose(p.detach().numpy(), plain(start, gradients, **options), rtol=1e-10)


def test_the_mean_of_the_rows_has_a_least_value_of_its_own():  # 0.9, and the memory 0.81, which the first element is above
    start, gradient = np.ones((2, 3)), np.array([[1.5, 0.0, 0.0], [0.0, 0.3, 0.0]])
    p = minidl.tensor(start, requires_grad=True)
    descend(optim.Adafactor([p], eps=(0.9, 1e-3)), p, [gradient])
    np.testing.assert_allclose(p.detach().numpy(), plain(start, [gradient], eps=(0.9, 1e-3)), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_pytorchs(shape, options, dtype):
    torch = pytest.importorskip("torch")
    start, gradients = sequence(shape, dtype)
    ours, theirs = minidl.tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    optimizer, other = optim.Adafactor([ours], **options), torch.optim.Adafactor([theirs], **options)
    assert repr(optimizer) == repr(other)
    for g in gradients:
        ours.grad, theirs.grad = minidl.tensor(g), torch.tensor(g)
        optimizer.step()
        other.step()
    tight = {"rtol": 1e-10} if dtype == "float64" else {"rtol": 2e-5, "atol": 1e-6}
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), **tight)
    assert set(optimizer.state[ours]) == set(other.state[theirs])
    for key, x in other.state[theirs].items():
        np.testing.assert_allclose(optimizer.state[ours][key].numpy(), x.numpy(), **tight)
    again = minidl.tensor(ours.detach().numpy(), requires_grad=True)
    resumed = optim.Adafactor([again], **options)
    resumed.load_state_dict(other.state_dict())  # and go on alike
    for optimizer_, p in ((resumed, again), (optimizer, ours)):
        p.grad = minidl.tensor(gradients[0])
        optimizer_.step()
    np.testing.assert_allclose(again.detach().numpy(), ours.detach().numpy(), **tight)


def test_a_matrix_costs_a_memory_of_its_sides():
    p = minidl.ones(30, 20, requires_grad=True)
    optimizer = optim.Adafactor([p])
    descend(optimizer, p, [np.ones((30, 20), "float32")])
    assert sum(x.numel() for x in optimizer.state[p].values()) == 30 + 20 + 1


def test_it_minimizes_and_goes_on_from_its_state():
    minidl.manual_seed(0)
    w, target = minidl.randn(4, 3, requires_grad=True), minidl.randn(4, 3)
    optimizer = optim.Adafactor([w], lr=0.1)
    for step in range(60):
        optimizer.zero_grad()
        ((w - target) ** 2).sum().backward()
        if step == 30:
            state = optimizer.state_dict()
            optimizer = optim.Adafactor([w], lr=0.1)
            optimizer.load_state_dict(state)
        optimizer.step()
    assert ((w - target) ** 2).max().item() < 0.01
    assert optimizer.state[w]["step"].item() == 60


def test_no_elements_and_no_gradient():
    empty, still = minidl.zeros(0, 3, requires_grad=True), minidl.ones(2, requires_grad=True)
    optimizer = optim.Adafactor([empty, still])
    empty.grad = minidl.zeros(0, 3)
    optimizer.step()
    assert still.tolist() == [1, 1] and optimizer.state[empty]["step"].item() == 1 and not optimizer.state[still]


MISTAKES = [
    ({"eps": 1e-3}, TypeError, "Adafactor: eps must be two numbers, the first of which may be None"),
    ({"eps": (None, None)}, TypeError, r"Adafactor: eps\[1\] must be a number, got None"),
    ({"eps": (-1.0, 0.1)}, ValueError, r"Adafactor: eps\[0\] must be at least 0"),
    ({"beta2_decay": 0.5}, ValueError, "Adafactor: beta2_decay must be at most 0, got 0.5"),
    ({"d": 0.5}, ValueError, "Adafactor: d must be at least 1, got 0.5"),
    ({"d": "1"}, TypeError, "Adafactor: d must be a number"),
    ({"lr": -1}, ValueError, "Adafactor: lr must be at least 0"),
    ({"weight_decay": -1}, ValueError, "weight_decay must be at least 0"),
    ({"foreach": True}, NotImplementedError, "Adafactor: foreach=True is not supported"),
]


@pytest.mark.parametrize(("options", "error", "message"), MISTAKES)
def test_mistakes_are_told(options, error, message):
    with pytest.raises(error, match=message):
        optim.Adafactor([minidl.ones(2, requires_grad=True)], **options)


def test_states_of_others_are_refused():
    p, v = minidl.ones(3, 2, requires_grad=True), minidl.ones(3, requires_grad=True)
    for wrong, other in (([p], [minidl.ones(3, 2, requires_grad=True)]), ([v], [minidl.ones(3, requires_grad=True)])):
        adam = optim.Adam(wrong)
        descend(adam, wrong[0], [np.ones(wrong[0].shape, "float32")])
        state = {**optim.Adafactor(other).state_dict(), "state": adam.state_dict()["state"]}
        with pytest.raises(ValueError, match=r"has no (col_var, row_var|variance), which Adafactor needs"):
            optim.Adafactor(other).load_state_dict(state)
    optimizer = optim.Adafactor([p])
    descend(optimizer, p, [np.ones((3, 2), "float32")])
    state = optimizer.state_dict()
    state["state"][0]["row_var"] = minidl.ones(3, 2)
    with pytest.raises(
        ValueError, match=r"row_var of parameter 0 has shape \(3, 2\), expected \(3, 1\) for a parameter \(3, 2\)"
    ):
        optim.Adafactor([p]).load_state_dict(state)


def test_there_is_no_sparse_adam():
    with pytest.raises(AttributeError, match="no attribute 'SparseAdam': there are no sparse tensors; write Adam"):
        optim.SparseAdam  # noqa: B018
