"""Losses: their values against plain formulas, their gradients, their errors; PyTorch as a second opinion where it is there."""

import itertools
import math

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn
from minidl.autograd import gradcheck

REDUCTIONS = ["mean", "sum", "none"]


def tensor64(*shape, seed=0, grad=True):
    return minidl.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=grad)


def probabilities64(*shape, seed=0, grad=False):
    x = np.random.default_rng(seed).uniform(0.1, 1, shape)
    return minidl.tensor(x / x.sum(-1, keepdims=True), requires_grad=grad)


def reduced(losses, reduction):
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def close(found, expected, rtol=1e-12):
    found = found.numpy(force=True) if isinstance(found, minidl.Tensor) else found
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-14)


# --- values by formula


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_of_numbers_by_formula(reduction):
    x, t = tensor64(3, 4), tensor64(3, 4, seed=1)
    d = x.numpy(force=True) - t.numpy(force=True)
    close(F.mse_loss(x, t, reduction=reduction), reduced(d**2, reduction))
    close(F.l1_loss(x, t, reduction=reduction), reduced(np.abs(d), reduction))
    for k in (0.3, 1.0, 2.5):
        parabola = np.abs(d) < k
        close(
            F.smooth_l1_loss(x, t, reduction=reduction, beta=k),
            reduced(np.where(parabola, d**2 / (2 * k), np.abs(d) - k / 2), reduction),
        )
        close(
            F.huber_loss(x, t, reduction, k),
            reduced(np.where(parabola, d**2 / 2, k * (np.abs(d) - k / 2)), reduction),
        )
    close(F.smooth_l1_loss(x, t, reduction=reduction, beta=0), reduced(np.abs(d), reduction))
    v = probabilities64(3, 4)
    expected = 0.5 * (np.log(v.numpy()) + d**2 / v.numpy())
    close(F.gaussian_nll_loss(x, t, v, reduction=reduction), reduced(expected, reduction))
    close(F.gaussian_nll_loss(x, t, v, full=True, reduction=reduction), reduced(expected + np.log(2 * np.pi) / 2, reduction))


def test_gaussian_nll_is_the_density():
    x, t, v = tensor64(5), tensor64(5, seed=1), minidl.full((5,), 0.49, dtype=minidl.float64)
    density = np.exp(-((x.numpy(force=True) - t.numpy(force=True)) ** 2) / (2 * 0.49)) / np.sqrt(2 * np.pi * 0.49)
    close(F.gaussian_nll_loss(x, t, v, full=True, reduction="none"), -np.log(density))


def test_gaussian_nll_takes_one_variance_for_each_row_and_holds_it():
    x, t = tensor64(3, 4), tensor64(3, 4, seed=1)
    v = minidl.tensor(np.array([0.5, 1.0, 2.0]))
    full = F.gaussian_nll_loss(x, t, v[:, None].expand(3, 4))
    for form in (v, v[:, None]):
        close(F.gaussian_nll_loss(x, t, form), full.item())
    close(F.gaussian_nll_loss(x, t, 2.0), F.gaussian_nll_loss(x, t, minidl.full((3, 4), 2.0, dtype=minidl.float64)).item())
    assert math.isfinite(F.gaussian_nll_loss(x, t, minidl.zeros(3, 4, dtype=minidl.float64)).item())
    assert F.gaussian_nll_loss(x, t, math.inf).item() == math.inf
    with pytest.raises(ValueError, match="negative"):
        F.gaussian_nll_loss(x, t, -v)
    with pytest.raises(ValueError, match=r"\(2,\).*\(3, 4\)"):
        F.gaussian_nll_loss(x, t, v[:2])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_by_formula(reduction, weighted, smoothing):
    x, labels = tensor64(6, 4), np.array([0, 3, 1, -100, 2, 2])
    w = np.array([0.5, 1.0, 2.0, 0.1]) if weighted else np.ones(4)
    logp = np.log(np.exp(x.numpy(force=True)) / np.exp(x.numpy(force=True)).sum(1, keepdims=True))
    kept = labels != -100
    target = (1 - smoothing) * np.eye(4)[np.where(kept, labels, 0)] + smoothing / 4
    losses = np.where(kept, -(target * w * logp).sum(1), 0)
    expected = losses.sum() / w[labels[kept]].sum() if reduction == "mean" else reduced(losses, reduction)
    weight = minidl.tensor(w) if weighted else None
    found = F.cross_entropy(x, minidl.tensor(labels), weight, reduction=reduction, label_smoothing=smoothing)
    close(found, expected)
    soft = F.cross_entropy(
        x, minidl.tensor(np.eye(4)[np.where(kept, labels, 0)]), weight, reduction="none", label_smoothing=smoothing
    )
    close(soft.numpy(force=True)[kept], losses[kept])


def test_cross_entropy_over_more_axes_moves_the_classes_last():
    x, t = tensor64(2, 4, 3, 5), minidl.tensor(np.random.default_rng(1).integers(0, 4, (2, 3, 5)))
    by_pixel = F.cross_entropy(x.permute(0, 2, 3, 1).reshape(-1, 4), t.reshape(-1), reduction="none").reshape(2, 3, 5)
    close(F.cross_entropy(x, t, reduction="none"), by_pixel.numpy(force=True))
    close(F.cross_entropy(x, t), by_pixel.mean().item())
    close(F.nll_loss(x.log_softmax(1), t, reduction="none"), by_pixel.numpy(force=True))
    p = minidl.tensor(np.moveaxis(np.eye(4)[t.numpy()], -1, 1))
    close(F.cross_entropy(x, p, reduction="none"), by_pixel.numpy(force=True))
    close(F.cross_entropy(x, p), by_pixel.mean().item())
    close(F.cross_entropy(x[0, :, 0, 0], t[0, 0, 0]), by_pixel[0, 0, 0].item())
    close(F.cross_entropy(x[0, :, 0, 0], p[0, :, 0, 0], reduction="none"), by_pixel[0, 0, 0].numpy(force=True))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_by_formula_and_its_forms_agree(reduction):
    x, t = tensor64(3, 4), minidl.tensor(np.random.default_rng(1).uniform(size=(3, 4)))
    w, p = minidl.tensor(np.linspace(0.5, 2, 4)), minidl.tensor(np.array([[0.5], [1.0], [3.0]]))
    s = 1 / (1 + np.exp(-x.numpy(force=True)))
    for weight, pos_weight in itertools.product((None, w), (None, p)):
        positive = 1 if pos_weight is None else p.numpy()
        expected = -positive * t.numpy() * np.log(s) - (1 - t.numpy()) * np.log(1 - s)
        expected = expected if weight is None else expected * w.numpy()
        found = F.binary_cross_entropy_with_logits(x, t, weight, reduction=reduction, pos_weight=pos_weight)
        close(found, reduced(expected, reduction), 1e-11)
        if pos_weight is None:
            close(F.binary_cross_entropy(x.sigmoid(), t, weight, reduction=reduction), reduced(expected, reduction), 1e-11)


def test_kl_div_by_formula():
    q, p = probabilities64(3, 4), probabilities64(3, 4, seed=1)
    pointwise = p.numpy() * np.log(p.numpy() / q.numpy())
    for reduction in REDUCTIONS:
        close(F.kl_div(q.log(), p, reduction=reduction), reduced(pointwise, reduction))
        close(F.kl_div(q.log(), p.log(), reduction=reduction, log_target=True), reduced(pointwise, reduction))
    close(F.kl_div(q.log(), p, reduction="batchmean"), pointwise.sum() / 3)


def test_entropy_from_logits_is_in_nats():
    p = probabilities64(3, 4)
    close(F.entropy_from_logits(p.log() + 7), -(p.numpy() * np.log(p.numpy())).sum(-1))
    close(F.entropy_from_logits(p.log().T, dim=0), -(p.numpy() * np.log(p.numpy())).sum(-1))
    close(F.entropy_from_logits(minidl.zeros(4, dtype=minidl.float64)), math.log(4))


def test_values_of_the_books():
    preds, labels = minidl.tensor(np.array([[0.3, 0.6, 0.1], [0.2, 0.3, 0.5]])), minidl.tensor([0, 2])
    for loss in (
        F.cross_entropy(preds.log(), labels),
        nn.NLLLoss()(preds.log(), labels),
        nn.CrossEntropyLoss()(preds.log(), labels),
    ):
        assert loss.item() == pytest.approx(0.9485599924429406, abs=1e-15)
    y_hat = minidl.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    assert F.cross_entropy(y_hat.log(), labels).item() == pytest.approx(1.4978661, abs=1e-6)
    assert minidl.tensor([1.0, 2.0, 3.0]).softmax(-1).numpy() == pytest.approx([0.09003057, 0.24472847, 0.66524096])
    logits = minidl.tensor([[1.0, 2.0, 3.0]])
    assert F.cross_entropy(logits, minidl.tensor([0])).item() == pytest.approx(3.40760596 - 1)


def test_the_gradient_of_cross_entropy_is_softmax_less_target():
    x, p = tensor64(5, 3), probabilities64(5, 3, seed=1)
    F.cross_entropy(x, p, reduction="sum").backward()
    close(x.grad, (x.detach().softmax(1) - p).numpy())
    x, labels = tensor64(5, 3), minidl.tensor([0, 1, 2, 1, 0])
    F.cross_entropy(x, labels, reduction="sum").backward()
    close(x.grad, (x.detach().softmax(1) - F.one_hot(labels, 3)).numpy())


def test_minimizing_cross_entropy_and_kl_is_the_same():
    p = probabilities64(4, 3, seed=1)
    a, b = tensor64(4, 3), tensor64(4, 3)
    F.cross_entropy(a, p).backward()
    F.kl_div(b.log_softmax(1), p, reduction="batchmean").backward()
    close(a.grad, b.grad.numpy())
    gap = F.cross_entropy(a, p) - F.kl_div(a.log_softmax(1), p, reduction="batchmean")
    close(gap, F.entropy_from_logits(p.log()).mean().item())


# --- the extremes


def test_promise_15_losses_of_large_logits_are_exact():
    x = minidl.tensor([[1000.0, 0.0, 0.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, minidl.tensor([1]))
    loss.backward()
    assert loss.item() == 1000
    assert x.grad.tolist() == [[1, -1, 0, 0]]
    x = minidl.tensor([1000.0, -1000.0, 1000.0, -1000.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, minidl.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    loss.sum().backward()
    assert loss.tolist() == [0, 0, 1000, 1000]
    assert x.grad.tolist() == [0, 0, 1, -1]


def test_promise_17_no_probability_no_entropy_and_finite_gradients():
    x = minidl.tensor([[0.0, -math.inf, -2000.0, 0.0]], requires_grad=True)
    h = F.entropy_from_logits(x)
    h.sum().backward()
    assert h.item() == pytest.approx(math.log(2))
    assert x.grad.tolist() == [[0, 0, 0, 0]]
    q, p = minidl.tensor([[-math.inf, 0.0]], requires_grad=True), minidl.tensor([[0.0, 1.0]], requires_grad=True)
    loss = F.kl_div(q, p, reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert q.grad.tolist() == [[0, -1]]
    assert np.isfinite(p.grad.numpy()).all()
    assert F.kl_div(q, p.log(), reduction="sum", log_target=True).item() == 0
    assert F.kl_div(q, minidl.tensor([[0.5, 0.5]]), reduction="sum").item() == math.inf
    z = minidl.tensor([[0.0, -2000.0]], requires_grad=True)
    F.kl_div(minidl.tensor([[0.5, 0.5]]).log(), z.softmax(1), reduction="sum").backward()
    assert z.grad.tolist() == [[0, 0]]


def test_binary_cross_entropy_holds_the_logarithm_at_minus_100():
    x = minidl.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(x, minidl.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert loss.tolist() == [0, 0, 100, 100]
    loss.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_ignored_labels_count_for_nothing():
    x, labels = tensor64(4, 3), minidl.tensor([0, -100, 2, -100])
    loss = F.cross_entropy(x, labels)
    loss.backward()
    close(loss, F.cross_entropy(x[minidl.tensor([0, 2])], minidl.tensor([0, 2])).item())
    assert x.grad.numpy()[[1, 3]].tolist() == [[0, 0, 0]] * 2
    close(F.cross_entropy(x, minidl.tensor([0, 1, 2, 1]), ignore_index=1), loss.item())
    close(F.nll_loss(x.log_softmax(1), minidl.tensor([0, 1, 2, 1]), ignore_index=1), loss.item())
    ignored = minidl.tensor([-100] * 4)
    assert F.cross_entropy(x, ignored, reduction="none").tolist() == [0] * 4
    assert F.cross_entropy(x, ignored, reduction="sum").item() == 0
    for loss in (F.cross_entropy, F.nll_loss):
        assert math.isnan(loss(x, ignored).item())  # 0/0, as in PyTorch
        x.grad = None
        loss(x, ignored).backward()
        assert x.grad.tolist() == [[0] * 3] * 4
    broken = minidl.tensor([[math.inf, math.nan], [0.0, 1.0]])
    assert F.nll_loss(broken, minidl.tensor([-100, 0])).item() == 0


def test_empty_batches():
    x, none = minidl.zeros(0, 3), minidl.zeros(0, dtype=minidl.int64)
    assert F.cross_entropy(x, none, reduction="sum").item() == 0
    assert F.cross_entropy(x, none, reduction="none").shape == (0,)
    assert math.isnan(F.cross_entropy(x, none).item())
    assert math.isnan(F.mse_loss(x, x).item())
    assert F.mse_loss(x, x, reduction="sum").item() == 0


# --- gradients

LABELS = minidl.tensor([0, 2, 1, -100, 1])
CHECKED = {
    **{f"mse-{r}": (lambda x, t, r=r: F.mse_loss(x, t, reduction=r), "pair") for r in REDUCTIONS},
    **{f"l1-{r}": (lambda x, t, r=r: F.l1_loss(x, t, reduction=r), "pair") for r in REDUCTIONS},
    **{f"smooth_l1-{r}": (lambda x, t, r=r: F.smooth_l1_loss(x, t, reduction=r, beta=0.7), "pair") for r in REDUCTIONS},
    **{f"huber-{r}": (lambda x, t, r=r: F.huber_loss(x, t, r, 0.7), "pair") for r in REDUCTIONS},
    "bce_logits": (lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"), "pair"),
    "bce_logits-pos_weight": (
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, pos_weight=minidl.tensor([0.5, 1.0, 3.0])),
        "pair",
    ),
    "bce": (lambda p, t: F.binary_cross_entropy(p, t, reduction="none"), "probabilities"),
    "kl": (lambda q, p: F.kl_div(q.log(), p, reduction="none"), "probabilities"),
    "kl-log_target": (lambda q, p: F.kl_div(q, p, reduction="batchmean", log_target=True), "pair"),
    "gaussian_nll": (lambda x, t: F.gaussian_nll_loss(x, t, t.exp() * 0.3), "pair"),
    "cross_entropy": (lambda x: F.cross_entropy(x, LABELS), "rows"),
    "cross_entropy-none": (lambda x: F.cross_entropy(x, LABELS, reduction="none", label_smoothing=0.2), "rows"),
    "cross_entropy-weight": (
        lambda x: F.cross_entropy(x, LABELS, minidl.tensor(np.array([0.5, 1.0, 2.0])), label_smoothing=0.2),
        "rows",
    ),
    "cross_entropy-soft": (
        lambda x, p: F.cross_entropy(x, p, minidl.tensor(np.array([0.5, 1.0, 2.0])), label_smoothing=0.2),
        "probabilities",
    ),
    "nll": (lambda x: F.nll_loss(x, LABELS, minidl.tensor(np.array([0.5, 1.0, 2.0])), reduction="none"), "rows"),
    "entropy": (F.entropy_from_logits, "rows"),
    "entropy-dim": (lambda x: F.entropy_from_logits(x, 0), "rows"),
    "cosine_similarity": (F.cosine_similarity, "pair"),
    "normalize": (F.normalize, "rows"),
    "pairwise_distance": (F.pairwise_distance, "pair"),
}


@pytest.mark.parametrize("name", CHECKED)
def test_promise_03_gradients_of_losses(name):
    function, inputs = CHECKED[name]
    if inputs == "pair":
        gradcheck(function, [tensor64(5, 3), tensor64(5, 3, seed=1)])
    elif inputs == "probabilities":
        gradcheck(function, [probabilities64(5, 3, grad=True), probabilities64(5, 3, seed=1, grad=True)])
    else:
        gradcheck(function, [tensor64(5, 3)])


def twin_cross_entropy(x, labels):
    return -(x - x.logsumexp(1, keepdim=True))[minidl.arange(len(labels)), labels].mean()


def twin_bce(x, t):
    return -(t * x.sigmoid().log() + (1 - t) * (1 - x.sigmoid()).log()).mean()


def twin_entropy(x):
    return -(x.softmax(-1) * x.log_softmax(-1)).sum(-1)


def twin_kl(x, t):
    return (t * (t.log() - x)).mean()


@pytest.mark.parametrize(
    "fast, slow, inputs",
    [
        (F.mse_loss, lambda x, t: ((x - t) ** 2).mean(), [tensor64(4, 3), tensor64(4, 3, seed=1)]),
        (F.l1_loss, lambda x, t: (x - t).abs().mean(), [tensor64(4, 3), tensor64(4, 3, seed=1)]),
        (
            F.huber_loss,
            lambda x, t: minidl.where((x - t).abs() < 1, (x - t) ** 2 / 2, (x - t).abs() - 0.5).mean(),
            [tensor64(4, 3), tensor64(4, 3, seed=1)],
        ),
        (F.cross_entropy, twin_cross_entropy, [tensor64(4, 3), minidl.tensor([0, 2, 1, 1])]),
        (F.binary_cross_entropy_with_logits, twin_bce, [tensor64(4, 3), tensor64(4, 3, seed=1)]),
        (F.entropy_from_logits, twin_entropy, [tensor64(4, 3)]),
        (F.kl_div, twin_kl, [tensor64(4, 3), probabilities64(4, 3, grad=True)]),
    ],
)
def test_promise_06_losses_and_their_twins_agree(fast, slow, inputs):
    results = []
    for function in (fast, slow):
        for x in inputs:
            x.grad = None
        y = function(*inputs)
        y.sum().backward()
        results.append([y.numpy(force=True), *(x.grad.numpy() for x in inputs if x.requires_grad)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)


def every_loss(dtype):
    x, t = (tensor64(4, 3, seed=s).detach().to(dtype).requires_grad_() for s in (0, 1))
    p, q = (probabilities64(4, 3, seed=s).to(dtype).requires_grad_() for s in (0, 1))
    labels, w = minidl.tensor([0, 2, -100, 1]), minidl.tensor([0.5, 1.0, 2.0], dtype=dtype)
    pairs = [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits]
    yield from ((lambda f=f: f(x, t), (x, t)) for f in pairs)
    yield lambda: F.binary_cross_entropy_with_logits(x, t, pos_weight=w), (x, t)
    yield lambda: F.binary_cross_entropy(p, q), (p, q)
    yield lambda: F.kl_div(x, p), (x, p)
    yield lambda: F.kl_div(x, t, log_target=True), (x, t)
    yield lambda: F.gaussian_nll_loss(x, t, p, full=True), (x, t, p)
    yield lambda: F.cross_entropy(x, labels, w, label_smoothing=0.1), (x,)
    yield lambda: F.cross_entropy(x, labels), (x,)
    yield lambda: F.cross_entropy(x, p, w, label_smoothing=0.1), (x, p)
    yield lambda: F.nll_loss(x, labels, w), (x,)
    yield lambda: F.entropy_from_logits(x).sum(), (x,)
    yield lambda: F.cosine_similarity(x, t).sum(), (x, t)
    yield lambda: F.normalize(x).sum(), (x,)
    yield lambda: F.pairwise_distance(x, t).sum(), (x, t)


@pytest.mark.parametrize("dtype", [minidl.float32, minidl.float64])
def test_promise_12_losses_keep_the_dtype(dtype):
    for loss, inputs in every_loss(dtype):
        y = loss()
        y.backward()
        assert y.dtype == dtype
        for x in inputs:
            assert x.grad.dtype == dtype
            x.grad = None


def test_promise_08_losses_change_no_input():
    for (loss, inputs), (_, fresh) in zip(every_loss(minidl.float32), every_loss(minidl.float32), strict=True):
        loss().backward()
        assert all(np.array_equal(a.numpy(force=True), b.numpy(force=True)) for a, b in zip(inputs, fresh, strict=True))


# --- errors


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_promise_27_labels_are_checked(loss):
    x = minidl.zeros(2, 3)
    for label in (3, -1, 10**12):
        with pytest.raises(IndexError, match=rf"label {label} .* 3 classes: expected 0 to 2"):
            loss(x, minidl.tensor([0, label]))
    with pytest.raises(TypeError, match=r"integers, got float32; use target.long\(\)"):
        loss(x, minidl.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"\(2, 3\) needs labels of shape \(2,\), got \(3,\)"):
        loss(x, minidl.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match=r"use target.reshape\(2,\)"):
        loss(x, minidl.tensor([[0], [1]]))
    with pytest.raises(TypeError, match="floating-point input, got int64"):
        loss(minidl.zeros(2, 3, dtype=minidl.int64), minidl.tensor([0, 1]))
    with pytest.raises(TypeError, match="ndarray"):
        loss(x, np.array([0, 1]))
    for bad in (minidl.ones(2), minidl.ones(3, dtype=minidl.float64), [1.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match="one weight for each of 3 classes"):
            loss(x, minidl.tensor([0, 1]), bad)
    with pytest.raises(NotImplementedError, match="detach"):
        loss(x, minidl.tensor([0, 1]), minidl.ones(3, requires_grad=True))
    assert loss(x, minidl.tensor([0, 1], dtype=minidl.int32)).shape == ()
    assert loss(x, minidl.tensor([0, 1], dtype=minidl.uint8)).shape == ()


PAIRED = [
    F.mse_loss,
    F.l1_loss,
    F.smooth_l1_loss,
    F.huber_loss,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.kl_div,
    lambda x, t: F.gaussian_nll_loss(x, t, 1.0),
]


@pytest.mark.parametrize("loss", PAIRED)
def test_promise_28_losses_do_not_broadcast(loss):
    with pytest.raises(ValueError, match=r"input \(3, 1\) and target \(3,\) differ.*target.reshape\(3, 1\)"):
        loss(minidl.ones(3, 1), minidl.ones(3))
    if loss is not PAIRED[-1]:
        with pytest.raises(ValueError, match=r"\(3, 2\) and target \(2,\)"):
            loss(minidl.ones(3, 2), minidl.ones(2))
    with pytest.raises(ValueError, match=r"\(3,\) and target \(3, 1\) differ"):
        loss(minidl.ones(3), minidl.ones(3, 1))
    with pytest.raises(TypeError, match="float32 and the target float64"):
        loss(minidl.ones(2), minidl.ones(2, dtype=minidl.float64))
    with pytest.raises(TypeError, match="int64"):
        loss(minidl.ones(2, dtype=minidl.int64), minidl.ones(2, dtype=minidl.int64))
    with pytest.raises(TypeError, match="Tensor and ndarray"):
        loss(minidl.ones(2), np.ones(2))
    assert loss(minidl.ones(2), minidl.ones(2, dtype=minidl.int64)).dtype == minidl.float32


def test_gaussian_nll_repeats_a_target_within_the_inputs_shape():
    """PyTorch's documentation lets the target have sizes of 1. The loss keeps the input's shape, so promise 28 holds."""
    x = tensor64(3, 4)
    for shape in ((), (1,), (4,), (1, 4), (3, 1), (1, 1)):
        t = tensor64(*shape, seed=1)
        losses = F.gaussian_nll_loss(x, t, 0.5, reduction="none")
        assert losses.shape == (3, 4)
        whole = t.detach().expand(3, 4).clone().requires_grad_()
        close(losses, F.gaussian_nll_loss(x, whole, 0.5, reduction="none").numpy(force=True))
        losses.sum().backward()
        F.gaussian_nll_loss(x.detach(), whole, 0.5, reduction="sum").backward()
        repeated = tuple(axis for axis, n in enumerate((1,) * (2 - len(shape)) + shape) if n == 1)
        close(t.grad, whole.grad.numpy().sum(repeated).reshape(shape))
    for shape in ((3,), (1, 3, 4), (2, 4), (3, 4, 1)):
        with pytest.raises(ValueError, match="differ, and losses do not broadcast"):
            F.gaussian_nll_loss(x, tensor64(*shape), 0.5)


def test_reductions_that_do_not_exist_raise():
    x, labels = minidl.ones(2, 3), minidl.tensor([0, 1])
    for loss in [*PAIRED[:-1], F.cross_entropy, F.nll_loss]:
        with pytest.raises(ValueError, match=r"reduction must be .*got 'avg'"):
            loss(x, labels if loss in (F.cross_entropy, F.nll_loss) else x, reduction="avg")
    for kind in (nn.MSELoss, nn.CrossEntropyLoss, nn.GaussianNLLLoss):
        with pytest.raises(ValueError, match=r"or .none., got .batchmean."):
            kind(reduction="batchmean")
    with pytest.raises(TypeError):
        F.mse_loss(x, x, False)  # PyTorch's deprecated size_average


def test_promise_35_arguments_of_pytorch_that_are_not_there_raise():
    x = minidl.ones(2, 3)
    with pytest.raises(TypeError):
        F.mse_loss(x, x, size_average=False)
    with pytest.raises(TypeError):
        F.cross_entropy(x, minidl.tensor([0, 1]), None, -100)
    with pytest.raises(TypeError):
        nn.CrossEntropyLoss(reduce=True)


def test_options_out_of_range_raise():
    x = minidl.ones(2)
    with pytest.raises(ValueError, match="beta"):
        F.smooth_l1_loss(x, x, beta=-1)
    with pytest.raises(ValueError, match="delta"):
        F.huber_loss(x, x, delta=0)
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(minidl.ones(1, 2), minidl.tensor([0]), label_smoothing=2.0)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5; for logits"):
        F.binary_cross_entropy(minidl.tensor([0.5, 1.5]), x)
    with pytest.raises(ValueError, match="pos_weight of shape"):
        F.binary_cross_entropy_with_logits(x, x, pos_weight=minidl.ones(3))


def test_modules_pass_their_options_on():
    x, t = tensor64(4, 3), tensor64(4, 3, seed=1)
    p, q = probabilities64(4, 3), probabilities64(4, 3, seed=1)
    labels, w = minidl.tensor([0, 2, 2, 1]), minidl.tensor(np.array([0.5, 1.0, 2.0]))
    pairs = [
        (nn.MSELoss(reduction="sum")(x, t), F.mse_loss(x, t, reduction="sum")),
        (nn.L1Loss(reduction="sum")(x, t), F.l1_loss(x, t, reduction="sum")),
        (nn.SmoothL1Loss(beta=0.3)(x, t), F.smooth_l1_loss(x, t, beta=0.3)),
        (nn.HuberLoss(delta=0.3)(x, t), F.huber_loss(x, t, delta=0.3)),
        (nn.GaussianNLLLoss(full=True, eps=0.5)(x, t, p), F.gaussian_nll_loss(x, t, p, True, 0.5)),
        (
            nn.CrossEntropyLoss(w, ignore_index=1, label_smoothing=0.1)(x, labels),
            F.cross_entropy(x, labels, w, ignore_index=1, label_smoothing=0.1),
        ),
        (nn.NLLLoss(w, ignore_index=1)(x, labels), F.nll_loss(x, labels, w, ignore_index=1)),
        (nn.BCELoss(w)(p, q), F.binary_cross_entropy(p, q, w)),
        (nn.BCEWithLogitsLoss(w, pos_weight=w)(x, q), F.binary_cross_entropy_with_logits(x, q, w, pos_weight=w)),
        (nn.KLDivLoss(reduction="batchmean", log_target=True)(x, t), F.kl_div(x, t, reduction="batchmean", log_target=True)),
    ]
    for a, b in pairs:
        assert a.item() == b.item()
    assert list(nn.CrossEntropyLoss(w).state_dict()) == ["weight"]
    assert nn.CrossEntropyLoss().state_dict() == {}


# --- PyTorch's values and gradients


def compared(name, arrays, rtol=1e-9, **options):
    """The function of this name here and in PyTorch, on the same float64 arrays: equal values, and gradients of the floats."""
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    ours = [minidl.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    convert = {torch.tensor: {}, minidl.tensor: {}}
    for make, given in convert.items():
        given.update({k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()})
    a = getattr(F, name)(*ours, **convert[minidl.tensor])
    b = getattr(torch.nn.functional, name)(*theirs, **convert[torch.tensor])
    np.testing.assert_allclose(a.numpy(force=True), b.detach().numpy(), rtol=rtol, atol=1e-12)
    dy = np.random.default_rng(9).uniform(0.5, 1.5, a.shape)
    a.backward(minidl.tensor(dy))
    b.backward(torch.tensor(dy))
    for x, t in zip(ours, theirs, strict=True):
        if x.requires_grad and t.grad is not None:
            np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
def test_losses_agree_with_torch(reduction):
    rng = np.random.default_rng(5)
    x, t = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    p, q = (y / y.sum(1, keepdims=True) for y in rng.uniform(0.01, 1, (2, 6, 4)))
    labels, weight = np.array([0, 3, -100, 2, 2, 1]), rng.uniform(0.2, 2, 4)
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"):
        compared(name, [x, t if name != "kl_div" else q], reduction=reduction)
    for beta in (0.0, 0.5, 3.0):
        compared("smooth_l1_loss", [x, t], reduction=reduction, beta=beta)
    for delta in (0.5, 3.0):
        compared("huber_loss", [x, t], reduction=reduction, delta=delta)
    compared("kl_div", [x, t], reduction=reduction, log_target=True)
    for full in (False, True):
        compared("gaussian_nll_loss", [x, t, p], full=full, reduction=reduction, eps=0.05)
    for w in (None, weight):
        compared("binary_cross_entropy", [p, q], weight=w, reduction=reduction)
        for pos in (None, weight):
            compared("binary_cross_entropy_with_logits", [x, q], weight=w, pos_weight=pos, reduction=reduction)
        for ignore_index in (-100, 2):
            clean = np.where(labels == -100, 1, labels) if ignore_index == 2 else labels
            compared("nll_loss", [x, clean], weight=w, ignore_index=ignore_index, reduction=reduction)
            for smoothing in (0.0, 0.3):
                options = {"weight": w, "reduction": reduction, "label_smoothing": smoothing}
                compared("cross_entropy", [x, clean], ignore_index=ignore_index, **options)
        for smoothing in (0.0, 0.3):
            options = {"weight": w, "reduction": reduction, "label_smoothing": smoothing}
            compared("cross_entropy", [x, p], **options)
            compared("cross_entropy", [x[0], p[0]], **options)
            compared("cross_entropy", [x[0], labels[1]], **options)
            image, mask = rng.normal(size=(2, 4, 3, 5)), rng.integers(0, 4, (2, 3, 5))
            compared("cross_entropy", [image, mask], **options)
            compared("cross_entropy", [image, rng.uniform(size=image.shape)], **options)


def test_batchmean_and_distances_agree_with_torch():
    rng = np.random.default_rng(5)
    x, t = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    compared("kl_div", [x, np.abs(t)], reduction="batchmean")
    compared("kl_div", [x[0], np.abs(t)[0]], reduction="batchmean")
    for options in ({}, {"dim": 0}, {"dim": -1, "eps": 1e-3}):
        compared("cosine_similarity", [x, t], **options)
    for options in ({}, {"p": 1.0, "dim": 0}, {"p": 3.0, "eps": 10.0}):
        compared("normalize", [x], **options)
    for options in ({}, {"p": 1.0}, {"p": 3.0, "keepdim": True}):
        compared("pairwise_distance", [x, t], **options)


def test_all_ignored_agrees_with_torch():
    torch = pytest.importorskip("torch")
    assert torch.nn.functional.cross_entropy(torch.zeros(2, 3), torch.tensor([-100, -100])).isnan()
    assert F.cross_entropy(minidl.zeros(2, 3), minidl.tensor([-100, -100])).isnan()


def test_what_overflows_is_infinite_without_a_warning():
    huge = minidl.tensor([[3e38, 0.0], [3e38, 0.0]], requires_grad=True)
    assert F.cross_entropy(huge, minidl.tensor([1, 1]), reduction="sum").item() == math.inf
    x = minidl.tensor([[3e38], [-3e38]])
    assert F.linear(x, minidl.ones(1, 1), minidl.tensor([3e38])).tolist() == [[math.inf], [0.0]]
    assert F.relu(F.linear(x, minidl.tensor([[2.0], [1.0]]))).tolist()[0][0] == math.inf


def test_nll_loss_of_a_row_of_weight_0_is_0_whatever_it_holds():
    x = minidl.tensor([[minidl.nan, 1.0], [2.0, 3.0]], requires_grad=True)
    weight, labels = minidl.tensor([0.0, 2.0]), minidl.tensor([0, 1])
    loss = F.nll_loss(x, labels, weight, reduction="none")
    assert loss.tolist() == [0, -6]
    loss.sum().backward()
    assert x.grad.tolist() == [[0, 0], [0, -2]]
    assert F.nll_loss(x, labels * 0, weight).isnan()  # a mean over no weight
    assert F.nll_loss(x[1:], labels[:1], weight).isnan()
