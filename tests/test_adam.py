"""Adam and AdamW: against a plain loop in float64, against PyTorch where it is installed, and where users trip."""

import itertools
import pickle
import re

import numpy as np
import pytest

import minidl
from minidl.kernels import adam
from minidl.optim import SGD, Adam, AdamW
from minidl.optim.lr_scheduler import StepLR

# Every kind of step: (betas, eps, weight_decay, amsgrad, maximize)
RULES = list(itertools.product([(0.9, 0.999), (0.0, 0.5)], [1e-8, 0.1], [0.0, 0.3], [False, True], [False, True]))
NAMES = ("betas", "eps", "weight_decay", "amsgrad", "maximize")
CLASSES = [Adam, AdamW]


def leaf(array, dtype=None):
    return minidl.tensor(array, dtype=dtype, requires_grad=True)


def descend(optimizer, p, gradients):
    for g in gradients:
        p.grad = None if g is None else minidl.tensor(g)
        optimizer.step()


def numpy_adam(p, gradients, lr, decoupled, betas, eps, weight_decay, amsgrad, maximize):
    """The rule, one number at a time, in float64."""
    p = p.astype(np.float64)
    for at in np.ndindex(p.shape):
        m = v = top = 0.0
        for t, g in enumerate(gradients, 1):
            d = -float(g[at]) if maximize else float(g[at])
            if decoupled:
                p[at] -= lr * weight_decay * p[at]
            else:
                d += weight_decay * p[at]
            m = betas[0] * m + (1 - betas[0]) * d
            v = betas[1] * v + (1 - betas[1]) * d * d
            top = max(top, v) if amsgrad else v
            p[at] -= lr * m / (1 - betas[0] ** t) / (np.sqrt(top / (1 - betas[1] ** t)) + eps)
    return p


def sequence(shape, dtype, steps=5):
    random = np.random.default_rng(0)
    gradients = random.normal(size=(steps, *shape)) * np.array([3.0, 1.0, 0.1, 1.0, 2.0])[:steps].reshape(-1, *[1] * len(shape))
    return random.normal(size=shape).astype(dtype), gradients.astype(dtype)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0, 4)])
def test_against_a_plain_loop(cls, dtype, shape):
    start, gradients = sequence(shape, dtype)
    for rule in RULES:
        p, before = leaf(start), gradients.copy()
        descend(cls([p], lr=0.05, **dict(zip(NAMES, rule, strict=True))), p, gradients)
        assert p.dtype == dtype
        exact = numpy_adam(start, gradients, 0.05, cls is AdamW, *rule)
        tolerance = {"rtol": 1e-5, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
        np.testing.assert_allclose(p.detach().numpy(), exact, **tolerance)
        np.testing.assert_array_equal(gradients, before)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_against_pytorch(name):
    torch = pytest.importorskip("torch")
    start, gradients = sequence((6, 5), "float64")
    for rule in RULES:
        options = {"lr": 0.05, **dict(zip(NAMES, rule, strict=True))}
        ours, theirs = leaf(start), torch.tensor(start, requires_grad=True)
        optimizer, other = getattr(minidl.optim, name)([ours], **options), getattr(torch.optim, name)([theirs], **options)
        for g in gradients:
            ours.grad, theirs.grad = minidl.tensor(g), torch.tensor(g)
            optimizer.step()
            other.step()
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
        assert repr(optimizer) == repr(other)
        mine, yours = optimizer.state_dict(), other.state_dict()
        assert mine["param_groups"] == yours["param_groups"]
        assert list(mine["state"][0]) == list(yours["state"][0])
        for key, x in mine["state"][0].items():
            np.testing.assert_allclose(x.numpy(), yours["state"][0][key].numpy(), rtol=1e-10, atol=1e-13)
        again = leaf(ours.tolist(), "float64")  # and its state loads here, and ours there
        resumed = getattr(minidl.optim, name)([again])
        resumed.load_state_dict(yours)
        for x, o in ((ours, optimizer), (again, resumed)):
            descend(o, x, gradients[:1])
        np.testing.assert_allclose(ours.detach().numpy(), again.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("cls", CLASSES)
def test_state_dict_resumes_bit_for_bit(cls, amsgrad):
    start, gradients = sequence((4, 3), "float32")
    p = leaf(start)
    optimizer = cls([{"params": [p]}, {"params": [leaf([3.0])], "lr": 0.5}], lr=0.1, amsgrad=amsgrad, weight_decay=0.1)
    descend(optimizer, p, gradients[:3])
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    keys = ["step", "exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * amsgrad
    assert list(saved["state"]) == [0] and list(saved["state"][0]) == keys
    assert saved["state"][0]["step"].item() == 3 and saved["state"][0]["step"].dtype == minidl.float32
    q = leaf(p.tolist())
    other = cls([{"params": [q]}, {"params": [leaf([3.0])]}])
    other.load_state_dict(saved)
    for x, o in ((p, optimizer), (q, other)):
        descend(o, x, gradients[3:])
    assert p.equal(q) and other.state[q]["step"].item() == 5
    assert not np.shares_memory(other.state[q]["exp_avg"].array, optimizer.state[p]["exp_avg"].array)


def test_older_and_foreign_states():
    p = leaf([1.0, 2.0])
    for cls, decoupled in ((Adam, False), (AdamW, True)):
        optimizer = cls([p])
        descend(optimizer, p, [np.ones(2, "float32")])
        saved = optimizer.state_dict()
        del saved["param_groups"][0]["decoupled_weight_decay"]  # before PyTorch 2.7
        saved["state"][0]["step"] = 1  # before PyTorch 1.12
        optimizer.load_state_dict(saved)
        assert optimizer.param_groups[0]["decoupled_weight_decay"] is decoupled
        descend(optimizer, p, [np.ones(2, "float32")])
        assert optimizer.state[p]["step"].item() == 2
    saved = Adam([p]).state_dict()
    saved["state"] = {0: {"momentum_buffer": minidl.ones(2)}}
    with pytest.raises(ValueError, match="parameter 0 has no exp_avg, exp_avg_sq, step, which Adam needs"):
        Adam([p]).load_state_dict(saved)
    with pytest.raises(ValueError, match="parameter group 0 has no amsgrad, betas"):
        Adam([p]).load_state_dict(SGD([p], lr=0.1).state_dict())
    for wrong in (3, {"state": {}, "param_groups": [3]}, {"state": {0: 3}, "param_groups": [{"params": [0]}]}):
        with pytest.raises(TypeError, match="load_state_dict: expected"):
            Adam([p]).load_state_dict(wrong)


@pytest.mark.parametrize("maximum", [False, True])
@pytest.mark.parametrize("size", [65536 + 37, 200003])
def test_the_same_bits_on_one_thread_and_on_all(maximum, size):
    random = np.random.default_rng(1)
    arrays = [np.abs(random.normal(size=size)).astype("float32") for _ in range(4 + maximum)]
    options = {"step": 3, "weight_decay": 0.1}
    threads = minidl.get_num_threads()
    results = []
    for number in {1, threads}:
        minidl.set_num_threads(number)
        copies = [x.copy() for x in arrays]
        adam(*copies, **options)
        results.append(copies)
    minidl.set_num_threads(threads)
    pieces = [x.copy() for x in arrays]  # in slices, as more threads would have it
    for k in range(0, size, 9973):
        adam(*[x[k : k + 9973] for x in pieces], **options)
    for other in (*results[1:], pieces):
        for x, y in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2]])
def test_parameters_gradients_and_state_of_any_layout(layout):
    start, gradients = sequence((4, 6), "float64", 3)
    plain, strided = [[f(start.copy()), *[f(np.zeros((4, 6))) for _ in range(3)]] for f in (np.ascontiguousarray, layout)]
    for step, g in enumerate(gradients, 1):
        adam(plain[0], g, *plain[1:], step=step, weight_decay=0.1, decoupled=True)
        adam(strided[0], layout(g), *strided[1:], step=step, weight_decay=0.1, decoupled=True)
    for x, y in zip(plain, strided, strict=True):
        np.testing.assert_array_equal(x, y)
    assert not np.array_equal(plain[0], start)


def test_the_kernel_refuses_arrays_that_do_not_fit():
    x, y = np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)
    for given in ([x, y, x, x], [x, x, y, x], [x, x, x, y], [x, x, x, x, y], [x, x, x, x.astype(np.float64)]):
        with pytest.raises(ValueError, match=r"adam: expected the parameter's shape \(2, 3\) and dtype float32"):
            adam(*[a.copy() for a in given])
    with pytest.raises(ValueError, match="expected a step of 1 or more, got 0"):
        adam(x, x.copy(), x.copy(), x.copy(), step=0)


def test_infinite_parameters_and_nan():
    p = leaf([np.inf, 1.0, 2.0])
    optimizer = Adam([p], lr=0.5, amsgrad=True)
    descend(optimizer, p, [np.array([1.0, np.nan, 0.0], "float32")])
    np.testing.assert_array_equal(
        p.detach().numpy(), [np.inf, np.nan, 2]
    )  # without decay ∞ stays; a gradient of 0 moves nothing
    descend(optimizer, p, [np.ones(3, "float32")])
    assert np.isnan(optimizer.state[p]["max_exp_avg_sq"].numpy()).tolist() == [False, True, False]


def test_promise_09_a_step_between_forward_and_backward_raises():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    loss = (w * x).sum()
    w.grad = minidl.ones(2)
    Adam([w, x]).step()
    with pytest.raises(RuntimeError, match=r"Mul.*changed in place.*optimizer step"):
        loss.backward()


def test_promise_12_numpy_options_keep_float32():
    p = leaf([1.0, 2.0])
    optimizer = AdamW([p], np.float64(0.1), (np.float64(0.9), np.float64(0.99)), np.float64(1e-8), np.float64(0.1), True)
    descend(optimizer, p, [np.ones(2, "float32")] * 2)
    assert p.dtype == minidl.float32
    assert {x.dtype for x in optimizer.state[p].values()} == {np.dtype("float32")}


@pytest.mark.parametrize("cls", CLASSES)
def test_promise_32_no_gradient_no_change(cls):
    p, q = leaf([1.0, 2.0]), leaf([3.0])
    optimizer = cls([p, q], lr=0.1, weight_decay=0.5)
    descend(optimizer, q, [np.ones(1, "float32"), None])
    assert p.tolist() == [1.0, 2.0] and p not in optimizer.state
    assert optimizer.state[q]["step"].item() == 1
    with pytest.raises(ValueError, match="empty list of parameters"):
        cls([])


def test_promise_32_a_zero_gradient_still_decays():
    p = leaf([1.0, -2.0])
    descend(AdamW([p], lr=0.1, weight_decay=0.5), p, [np.zeros(2, "float32")])
    np.testing.assert_allclose(p.detach().numpy(), [0.95, -1.9], rtol=1e-6)
    q = leaf([1.0, -2.0])
    descend(Adam([q], lr=0.1, weight_decay=0.5), q, [np.zeros(2, "float32")])
    np.testing.assert_allclose(q.detach().numpy(), [0.9, -1.9], rtol=1e-6)


def test_groups_step_with_their_own_options_and_schedules():
    p, q = leaf([1.0]), leaf([1.0])
    optimizer = AdamW([{"params": [p], "weight_decay": 0.0}, {"params": [q], "lr": 0.5, "betas": (0.5, 0.5)}], lr=0.1)
    schedule = StepLR(optimizer, 1, gamma=0.5)
    for x in (p, q):
        x.grad = minidl.ones(1)
    optimizer.step()
    schedule.step()
    assert (p.item(), q.item()) == pytest.approx((0.9, 1 - 0.5 * 0.01 - 0.5))
    optimizer.step()
    assert p.item() == pytest.approx(0.85)
    optimizer.param_groups[0]["lr"] = minidl.tensor(1.0)
    optimizer.step()
    assert p.item() == pytest.approx(-0.15, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -0.1}, ValueError, "lr must be at least 0, got -0.1"),
        ({"eps": -1e-9}, ValueError, "eps must be at least 0, got -1e-09"),
        ({"eps": "small"}, TypeError, "eps must be a number, got 'small'"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be at least 0, got -1"),
        ({"betas": 0.9}, TypeError, "betas must be two numbers, such as (0.9, 0.999), got 0.9"),
        ({"betas": (0.9,)}, TypeError, "betas must be two numbers"),
        ({"betas": (0.9, 1.0)}, ValueError, "betas[1] must be a number of at least 0 and below 1, got 1.0"),
        ({"betas": (-0.1, 0.9)}, ValueError, "betas[0] must be a number of at least 0 and below 1, got -0.1"),
        ({"betas": (float("nan"), 0.9)}, ValueError, "betas[0] must be a number"),
        ({"betas": ("0.9", 0.9)}, ValueError, "betas[0] must be a number"),
        ({"fused": True}, NotImplementedError, "fused=True is not supported"),
        ({"foreach": True}, NotImplementedError, "foreach=True is not supported"),
        ({"capturable": True}, NotImplementedError, "capturable=True is not supported"),
        ({"differentiable": True}, NotImplementedError, "differentiable=True is not supported"),
    ],
)
@pytest.mark.parametrize("cls", CLASSES)
def test_options_are_checked_also_when_they_are_set_later(cls, options, error, message):
    with pytest.raises(error, match=re.escape(f"{cls.__name__}: {message}")):
        cls([leaf([1.0])], **options)
    p = leaf([1.0])
    optimizer = cls([p])
    optimizer.param_groups[0].update(options)
    p.grad = minidl.ones(1)
    with pytest.raises(error, match=re.escape(message)):
        optimizer.step()
    assert p.item() == 1


def test_a_network_learns():
    minidl.manual_seed(0)
    net = minidl.nn.MLP(2, [8], 2)
    x = minidl.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = minidl.tensor([0, 1, 1, 0])
    optimizer = AdamW(net.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = minidl.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01
