"""What losses have to do with each other and with information: identities, bounds, and that the most likely parameters are
those of the least cross-entropy (rows I31 to I37 of chapter 22.11 of *Dive into Deep Learning*, and its chapter 3.1)."""

import math

import numpy as np
import pytest

import minidl
from minidl import information, nn
from minidl.autograd import gradcheck
from minidl.nn import functional as F

LN2 = math.log(2)


def normal(*shape, seed=0, grad=False, scale=1.0):
    return minidl.tensor(scale * np.random.default_rng(seed).normal(size=shape), requires_grad=grad)


def rows(*shape, seed=0, grad=False):
    """Distributions along the last axis."""
    x = np.random.default_rng(seed).uniform(0.05, 1, shape)
    return minidl.tensor(x / x.sum(-1, keepdims=True), requires_grad=grad)


def labels(n, classes, seed=0):
    return minidl.tensor(np.random.default_rng(seed).integers(0, classes, n))


def close(found, expected, rtol=1e-10, atol=1e-12):
    found, expected = (x.numpy(force=True) if isinstance(x, minidl.Tensor) else np.asarray(x) for x in (found, expected))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol, atol)


# --- identities between losses that were there


def test_I32_cross_entropy_is_entropy_and_divergence():
    p, x = rows(6, 5), normal(6, 5, seed=1)
    entropy = F.entropy_from_logits(p.log()).mean()
    divergence = F.kl_div(x.log_softmax(1), p, reduction="batchmean")
    close(F.cross_entropy(x, p), (entropy + divergence).item())
    bits = information.cross_entropy(p[0], x[0].softmax(0))
    close(bits * LN2, F.cross_entropy(x[0], p[0]).item())


def test_I35_I37_three_forms_of_the_surprise_at_a_label():
    x, t = normal(7, 4), labels(7, 4)
    expected = F.cross_entropy(x, t).item()
    close(F.nll_loss(x.log_softmax(1), t), expected)
    close(F.cross_entropy(x, F.one_hot(t, 4).double()), expected)
    close(F.cross_entropy(x.log_softmax(1), t), expected)  # log-probabilities are logits too


def test_label_smoothing_mixes_in_the_cross_entropy_of_the_uniform_distribution():
    x, t, uniform = normal(7, 4), labels(7, 4), minidl.full((7, 4), 0.25, dtype=minidl.float64)
    for epsilon in (0.0, 0.1, 1.0):
        mixed = (1 - epsilon) * F.cross_entropy(x, t) + epsilon * F.cross_entropy(x, uniform)
        close(F.cross_entropy(x, t, label_smoothing=epsilon), mixed.item())


def test_I31_binary_cross_entropy_is_that_of_two_classes():
    x, t = normal(9), minidl.tensor(np.random.default_rng(1).uniform(size=9))
    binary = F.binary_cross_entropy_with_logits(x, t)
    two = minidl.stack([minidl.zeros(9, dtype=minidl.float64), x], 1)
    close(F.cross_entropy(two, minidl.stack([1 - t, t], 1)), binary.item())
    close(F.binary_cross_entropy(x.sigmoid(), t), binary.item())


def test_I31_the_binary_log_likelihood_is_minus_the_loss():
    p, y = minidl.tensor([0.2, 0.9, 0.6], dtype=minidl.float64), np.array([0.0, 1.0, 1.0])
    likelihood = math.log(0.8 * 0.9 * 0.6)
    close(F.binary_cross_entropy(p, minidl.tensor(y), reduction="sum"), -likelihood)
    close(F.sigmoid_focal_loss((p / (1 - p)).log(), minidl.tensor(y), -1, 0, "sum"), -likelihood)


def test_I33_cross_entropy_and_divergence_have_one_gradient():
    p, x, y = rows(6, 5), normal(6, 5, seed=1, grad=True), normal(6, 5, seed=1, grad=True)
    F.cross_entropy(x, p).backward()
    F.kl_div(y.log_softmax(1), p, reduction="batchmean").backward()
    close(x.grad, y.grad)


def test_a_penalty_on_confidence_leads_to_the_uniform_distribution():
    x = normal(1, 4, grad=True)
    optimizer = minidl.optim.SGD([x], lr=2.0)
    for _ in range(200):
        optimizer.zero_grad()
        (-F.entropy_from_logits(x).mean()).backward()
        optimizer.step()
    close(x.detach().softmax(1), np.full((1, 4), 0.25), atol=1e-6)


# --- focal losses


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_focal_losses_with_gamma_0_are_cross_entropies(reduction):
    x, t = normal(8), minidl.tensor((np.arange(8) % 3 == 0).astype(float))
    close(F.sigmoid_focal_loss(x, t, -1, 0, reduction), F.binary_cross_entropy_with_logits(x, t, reduction=reduction))
    weighted = F.binary_cross_entropy_with_logits(x, t, weight=0.3 * t + 0.7 * (1 - t), reduction=reduction)
    close(F.sigmoid_focal_loss(x, t, 0.3, 0, reduction), weighted)
    x, t, w = normal(8, 3), labels(8, 3), minidl.tensor([0.5, 1.0, 3.0], dtype=minidl.float64)
    t[2] = -1
    for weight in (None, w):
        close(
            F.focal_loss(x, t, weight, gamma=0, ignore_index=-1, reduction=reduction),
            F.cross_entropy(x, t, weight, ignore_index=-1, reduction=reduction),
        )


def test_focal_losses_by_formula():
    x, t = normal(8), np.arange(8) % 2.0
    p = 1 / (1 + np.exp(-x.numpy()))
    p = np.where(t == 1, p, 1 - p)
    for gamma in (0.5, 1, 2.0, 5):
        expected = np.where(t == 1, 0.25, 0.75) * (1 - p) ** gamma * -np.log(p)
        close(F.sigmoid_focal_loss(x, minidl.tensor(t), gamma=gamma), expected)
    x, t = normal(4, 5, 3), labels(12, 5).reshape(4, 3)
    p = np.take_along_axis(x.softmax(1).numpy(), t.numpy()[:, None], 1)[:, 0]
    for gamma in (0.5, 2.0):
        close(F.focal_loss(x, t, gamma=gamma, reduction="none"), (1 - p) ** gamma * -np.log(p))


def test_the_focal_loss_of_two_classes_is_the_sigmoid_one():
    x, t = normal(9), labels(9, 2)
    two = minidl.stack([minidl.zeros(9, dtype=minidl.float64), x], 1)
    close(F.focal_loss(two, t, reduction="none"), F.sigmoid_focal_loss(x, t.double(), alpha=-1))
    close(F.focal_loss(two, t, reduction="none"), F.sigmoid_focal_loss(x, t, alpha=-1))  # integers do


def test_all_ignored_is_nan_as_in_cross_entropy():
    x, t = normal(2, 3, grad=True), minidl.tensor([-100, -100])
    assert math.isnan(F.focal_loss(x, t).item())
    assert F.focal_loss(x, t, reduction="sum").item() == 0


# --- the Jensen-Shannon divergence


def test_js_is_symmetric_and_the_mean_of_two_divergences_to_the_mixture():
    p, q = rows(6, 5), rows(6, 5, seed=1)
    mixture = (p + q) / 2
    expected = sum(F.kl_div(mixture.log(), x, reduction="none").sum(1) for x in (p, q)) / 2
    close(F.js_divergence(p, q, reduction="none"), expected)
    close(F.js_divergence(q, p, reduction="none"), expected)
    close(F.js_divergence(p.log() + 3, q.log() - 1, logits=True, reduction="none"), expected)
    close(F.js_divergence(p.T, q.T, dim=0, reduction="none"), expected)
    close(information.jensen_shannon(p, q, dim=1, base=math.e), expected)
    close(F.js_divergence(p, q), expected.mean().item())
    close(F.js_divergence(p, q, reduction="sum"), expected.sum().item())


def test_js_is_the_information_of_a_coin_about_the_outcome():
    p, q = rows(5), rows(5, seed=1)
    joint = minidl.stack([p, q]) / 2  # a fair coin in rows chooses the distribution of the column
    close(F.js_divergence(p, q), information.mutual_information(joint, base=math.e).item())


@pytest.mark.parametrize("dtype", [minidl.float32, minidl.float64])
def test_js_is_bounded_by_ln_2_and_its_root_is_a_distance(dtype):
    p, q, r = (normal(200, 6, seed=s, scale=4).to(dtype) for s in range(3))
    pq, qr, pr = (F.js_divergence(a, b, logits=True, reduction="none").numpy() for a, b in ((p, q), (q, r), (p, r)))
    assert pq.dtype == dtype
    assert pq.min() > 0
    assert pq.max() < LN2
    assert (np.sqrt(pr) <= np.sqrt(pq) + np.sqrt(qr)).all()
    close(F.js_divergence(p, p, logits=True, reduction="none"), np.zeros(200, dtype), atol=1e-7)


def test_promise_17_js_at_probabilities_0_is_finite():
    p = minidl.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    q = minidl.tensor([[0.0, 1.0, 0.0]], requires_grad=True)
    loss = F.js_divergence(p, q)
    assert loss.item() == pytest.approx(LN2)
    loss.backward()
    close(p.grad, np.array([[LN2 / 2, -0.5, 0]], np.float32), rtol=1e-6)  # -½ through the mixture
    x = minidl.tensor([[0.0, -math.inf, -1e5], [1e30, 0.0, -1e30]], requires_grad=True)
    y = minidl.tensor([[0.0, 0.0, -1e5], [-1e30, -90.0, 1e30]], requires_grad=True)
    F.js_divergence(x, y, logits=True).backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert np.isfinite(y.grad.numpy()).all()


# --- InfoNCE


def test_info_nce_by_formula():
    q, k = normal(5, 3), normal(5, 3, seed=1)
    unit = [x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True) for x in (q, k)]
    for vectors, normalized in ((unit, True), ([q.numpy(), k.numpy()], False)):
        s = vectors[0] @ vectors[1].T / 0.2
        expected = np.log(np.exp(s).sum(1)) - np.diag(s)
        close(F.info_nce(q, k, temperature=0.2, normalize_vectors=normalized, reduction="none"), expected)
    close(F.info_nce(q, k, temperature=0.2, normalize_vectors=False), expected.mean())
    close(F.info_nce(3 * q, 0.1 * k), F.info_nce(q, k).item())


def test_info_nce_with_negatives_of_its_own():
    q, k = normal(4, 3), normal(4, 3, seed=1)
    others = minidl.stack([k[[j for j in range(4) if j != i]] for i in range(4)])  # (4, 3, 3)
    close(F.info_nce(q, k, others, reduction="none"), F.info_nce(q, k, reduction="none"))
    shared = normal(6, 3, seed=2)
    close(F.info_nce(q, k, shared), F.info_nce(q, k, shared.expand(4, 6, 3)).item())
    assert F.info_nce(q, k, shared[:0]).item() == 0  # one candidate, no surprise


def test_info_nce_lies_between_no_surprise_and_that_of_similarity_upside_down():
    q, k = normal(8, 4), normal(8, 4, seed=1)
    for temperature in (0.05, 1.0, 20.0):
        losses = F.info_nce(q, k, temperature=temperature, reduction="none").numpy()
        assert (losses > 0).all()
        assert (losses <= math.log(1 + 7 * math.exp(2 / temperature)) + 1e-9).all()
    close(F.info_nce(q, k, temperature=1e9), math.log(8), rtol=1e-6)  # nothing told apart


def test_info_nce_bounds_the_mutual_information_from_below():
    """X is a symbol, Y that symbol or, sometimes, any. The information is known, and so is the best critic, ln p(y|x)/p(y)."""
    classes, noise, n = 4, 0.3, 64
    channel = np.full((classes, classes), noise / classes) + (1 - noise) * np.eye(classes)
    true = information.mutual_information(channel / classes, base=math.e).item()
    critic, uniform = np.log(channel * classes), np.full(classes, 1 / classes)
    rng = np.random.default_rng(0)
    bounds = []
    for _ in range(200):
        x = rng.choice(classes, n, p=uniform)
        y = np.where(rng.random(n) < noise, rng.choice(classes, n), x)
        # Rows of the critic against unit vectors: their products are the critic's values.
        q, k = minidl.tensor(critic[x]), minidl.tensor(np.eye(classes)[y])
        bounds.append(math.log(n) - F.info_nce(q, k, temperature=1.0, normalize_vectors=False).item())
    bound, error = np.mean(bounds), np.std(bounds) / math.sqrt(len(bounds))
    assert bound < true + 3 * error
    assert bound == pytest.approx(true, abs=0.05)  # and with the best critic among many, close to it
    assert max(bounds) <= math.log(n)


def test_info_nce_sees_no_more_than_ln_n():
    views = normal(16, 8)
    bound = math.log(16) - F.info_nce(views, views, temperature=0.01).item()
    assert bound == pytest.approx(math.log(16), abs=1e-6)


# --- the most likely parameters have the least cross-entropy


def test_X5_the_coin_of_the_book_by_gradient_descent():
    heads, tails = 8675309, 256245
    theta = minidl.tensor(0.0, dtype=minidl.float64, requires_grad=True)  # a logit
    frequency = minidl.tensor(heads / (heads + tails), dtype=minidl.float64)
    optimizer = minidl.optim.SGD([theta], lr=5.0)
    for _ in range(300):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(theta, frequency)
        loss.backward()
        optimizer.step()
    assert theta.sigmoid().item() == pytest.approx(0.97131014, abs=1e-8)
    least = information.entropy([heads / (heads + tails), tails / (heads + tails)], base=math.e).item()
    assert loss.item() == pytest.approx(least, abs=1e-7)  # the divergence is gone, the entropy stays


def test_I36_the_frequencies_are_the_most_likely_multinoulli():
    counts = np.array([12, 5, 30, 3])
    x = minidl.zeros(4, dtype=minidl.float64, requires_grad=True)
    t = minidl.tensor(np.repeat(np.arange(4), counts))
    optimizer = minidl.optim.SGD([x], lr=2.0)
    for _ in range(400):
        optimizer.zero_grad()
        loss = F.cross_entropy(x.expand(50, 4), t)
        loss.backward()
        optimizer.step()
    close(x.detach().softmax(0), counts / 50, atol=1e-7)
    close(loss, information.entropy(counts / 50, base=math.e).item())


def test_L4_the_normal_density():
    nll = F.gaussian_nll_loss(minidl.zeros(1), minidl.zeros(1), 1.0, full=True)
    assert math.exp(-nll.item()) == pytest.approx(0.3989423, abs=1e-7)


def test_L5_L6_the_most_likely_line_under_normal_noise_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    features = np.c_[rng.normal(size=(100, 2)), np.ones(100)]
    y = features @ [2.0, -3.4, 4.2] + 0.1 * rng.normal(size=100)
    exact = np.linalg.solve(features.T @ features, features.T @ y)
    found = []
    for loss in (F.mse_loss, lambda x, t: F.gaussian_nll_loss(x, t, 0.5, full=True)):
        w = minidl.zeros(3, dtype=minidl.float64, requires_grad=True)
        optimizer = minidl.optim.SGD([w], lr=0.3)
        for _ in range(200):
            optimizer.zero_grad()
            loss(minidl.tensor(features) @ w, minidl.tensor(y)).backward()
            optimizer.step()
        found.append(w.detach().numpy())
    close(found[0], exact)
    close(found[1], exact)  # with variance ½ the two losses differ by a constant alone, and the steps are the same


# --- gradients


def test_promise_03_gradients_of_losses_of_information():
    x, t = normal(3, 4, grad=True), labels(3, 4)
    w = minidl.tensor([0.5, 1.0, 2.0, 3.0], dtype=minidl.float64)
    for gamma in (0, 0.5, 2.0):
        assert gradcheck(lambda x, g=gamma: F.focal_loss(x, t, w, gamma=g), [x])
    soft = minidl.tensor(np.random.default_rng(2).uniform(0.1, 0.9, (3, 4)), requires_grad=True)
    for gamma in (0, 0.5, 2.0):
        assert gradcheck(lambda x, s, g=gamma: F.sigmoid_focal_loss(x, s, gamma=g), [x, soft])
    y = normal(3, 4, seed=1, grad=True)
    assert gradcheck(lambda x, y: F.js_divergence(x, y, logits=True, reduction="none"), [x, y])
    assert gradcheck(lambda x, y: F.js_divergence(x, y, dim=0, logits=True), [x, y])
    for normalized in (True, False):
        assert gradcheck(lambda x, y, n=normalized: F.info_nce(x, y, temperature=0.7, normalize_vectors=n), [x, y])
    shared, each = normal(2, 4, seed=3, grad=True), normal(3, 2, 4, seed=3, grad=True)
    assert gradcheck(lambda x, y, z: F.info_nce(x, y, z, temperature=0.7, reduction="none"), [x, y, shared])
    assert gradcheck(lambda x, y, z: F.info_nce(x, y, z, temperature=0.7), [x, y, each])


@pytest.mark.parametrize("gamma", [0, 0.01, 0.5, 2, 5.0])
def test_promise_15_extremes_in_float32_are_finite(gamma):
    extremes = [-1e37, -1e4, -100.0, -88.0, 0.0, 88.0, 100.0, 1e4, 1e37]
    for target in (0.0, 1.0, 0.5):
        x = minidl.tensor(extremes, requires_grad=True)
        loss = F.sigmoid_focal_loss(x, minidl.full((9,), target), 0.25, gamma)
        assert loss.dtype == minidl.float32
        assert np.isfinite(loss.numpy(force=True)).all()
        (loss / 1e10).sum().backward()
        assert np.isfinite(x.grad.numpy()).all()
    x = minidl.tensor([[v, 0.0] for v in extremes], requires_grad=True)
    loss = F.focal_loss(x, minidl.tensor([0] * 9), gamma=gamma, reduction="none")
    assert np.isfinite(loss.numpy(force=True)).all()
    assert loss[0].item() == pytest.approx(1e37)
    loss.backward(minidl.ones(9))
    assert np.isfinite(x.grad.numpy()).all()
    assert x.grad[0, 0].item() == pytest.approx(-1)


def test_info_nce_of_zero_vectors_and_low_temperature_is_finite():
    q, k = minidl.zeros(3, 4, requires_grad=True), minidl.tensor(np.eye(3, 4, dtype=np.float32), requires_grad=True)
    F.info_nce(q, k, temperature=1e-5).backward()
    assert np.isfinite(q.grad.numpy()).all()
    q = minidl.tensor(np.eye(3, 4, dtype=np.float32), requires_grad=True)
    loss = F.info_nce(q, k, temperature=1e-30)
    loss.backward()
    assert loss.item() == 0
    assert np.isfinite(q.grad.numpy()).all()


def test_empty_batches():
    assert F.sigmoid_focal_loss(minidl.zeros(0), minidl.zeros(0)).shape == (0,)
    assert F.focal_loss(minidl.zeros(0, 3), minidl.zeros(0, dtype=minidl.int64), reduction="sum").item() == 0
    assert F.js_divergence(minidl.zeros(0, 3), minidl.zeros(0, 3), reduction="none").shape == (0,)
    assert F.info_nce(minidl.zeros(0, 3), minidl.zeros(0, 3), reduction="none").shape == (0,)


# --- modules and errors


def test_modules_pass_their_options_on():
    x, t, y = normal(5, 3), labels(5, 3), normal(5, 3, seed=1)
    w = minidl.tensor([1.0, 2.0, 3.0], dtype=minidl.float64)
    b = F.one_hot(t, 3).double()
    close(nn.SigmoidFocalLoss(0.4, 1, "sum")(x, b), F.sigmoid_focal_loss(x, b, 0.4, 1, "sum"))
    module = nn.FocalLoss(w, gamma=1.5, ignore_index=2, reduction="none")
    close(module(x, t), F.focal_loss(x, t, w, gamma=1.5, ignore_index=2, reduction="none"))
    assert list(module.state_dict()) == ["weight"]
    close(nn.JSDivLoss(dim=0, logits=True, reduction="sum")(x, y), F.js_divergence(x, y, dim=0, logits=True, reduction="sum"))
    for options in ({"temperature": 0.3}, {"normalize_vectors": False}, {"reduction": "none"}):
        close(nn.InfoNCELoss(**options)(x, y), F.info_nce(x, y, **options))
        close(nn.InfoNCELoss(**options)(x, y, y), F.info_nce(x, y, y, **options))
    assert repr(nn.JSDivLoss()) == "JSDivLoss()"


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x, t: F.sigmoid_focal_loss(x, x, gamma=-1), ValueError, "gamma must be finite and not negative, got -1"),
        (lambda x, t: F.sigmoid_focal_loss(x, x, alpha=1.5), ValueError, r"alpha must lie in \[0, 1\].*1.5"),
        (lambda x, t: F.sigmoid_focal_loss(x, x[0]), ValueError, "do not broadcast"),
        (lambda x, t: F.sigmoid_focal_loss(x, x, reduction="average"), ValueError, "reduction must be"),
        (lambda x, t: F.focal_loss(x, t, gamma=math.nan), ValueError, "gamma"),
        (lambda x, t: F.focal_loss(x, t + 3), IndexError, "label [345].* out of range for 3 classes"),
        (lambda x, t: F.focal_loss(x, t.double()), TypeError, "labels must be integers"),
        (lambda x, t: F.focal_loss(x, t, x[0, :2]), ValueError, "weight"),
        (lambda x, t: F.js_divergence(x, x), ValueError, "no probability; for logits use logits=True"),
        (lambda x, t: F.js_divergence(x.abs(), x.abs()), ValueError, r"\(4, 3\) sums to .* along dim 1, expected 1"),
        (lambda x, t: F.js_divergence(x.softmax(1), x[:2].softmax(1)), ValueError, "differ"),
        (lambda x, t: F.js_divergence(x, x, dim=2, logits=True), IndexError, "dim"),
        (lambda x, t: F.info_nce(x, x, temperature=0), ValueError, "temperature must be above 0, got 0"),
        (lambda x, t: F.info_nce(x, x[:2]), ValueError, r"\(4, 3\).*\(2, 3\)"),
        (lambda x, t: F.info_nce(x[0], x[0]), ValueError, r"\(N, E\), got \(3,\)"),
        (lambda x, t: F.info_nce(x, x, x[:, :2]), ValueError, r"negatives \(M, 3\) or \(4, M, 3\), got \(4, 2\)"),
        (lambda x, t: F.info_nce(x, x, x[0]), ValueError, r"got \(3,\)"),
        (lambda x, t: F.info_nce(x, x, x.float()), TypeError, "float32"),
        (lambda x, t: nn.InfoNCELoss(reduction="batchmean"), ValueError, "InfoNCELoss: reduction"),
    ],
)
def test_promise_28_errors_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(normal(4, 3), labels(4, 3))


# --- PyTorch as a second opinion


def test_losses_of_information_agree_with_torch():
    torch = pytest.importorskip("torch")
    x, t = normal(6, 4), labels(6, 4)
    y, s = torch.tensor(x.numpy(), requires_grad=True), torch.tensor(t.numpy())
    ours = minidl.tensor(x.numpy(), requires_grad=True)
    b = F.one_hot(t, 4).double()
    p = torch.sigmoid(y)  # torchvision's code
    tb = torch.tensor(b.numpy())
    ce = torch.nn.functional.binary_cross_entropy_with_logits(y, tb, reduction="none")
    expected = (0.25 * tb + 0.75 * (1 - tb)) * ce * (1 - (p * tb + (1 - p) * (1 - tb))) ** 2
    expected.sum().backward()
    loss = F.sigmoid_focal_loss(ours, b)
    loss.sum().backward()
    close(loss, expected.detach().numpy())
    close(ours.grad, y.grad.numpy())

    y.grad = ours.grad = None
    log_p = torch.log_softmax(y, 1).gather(1, s[:, None])[:, 0]
    expected = ((1 - log_p.exp()) ** 2 * -log_p).mean()
    expected.backward()
    loss = F.focal_loss(ours, t)
    loss.backward()
    close(loss, expected.item())
    close(ours.grad, y.grad.numpy())

    y.grad = ours.grad = None
    z = normal(6, 4, seed=1)
    unit = torch.nn.functional.normalize
    expected = torch.nn.functional.cross_entropy(unit(y) @ unit(torch.tensor(z.numpy())).T / 0.1, torch.arange(6))
    expected.backward()
    loss = F.info_nce(ours, z)
    loss.backward()
    close(loss, expected.item())
    close(ours.grad, y.grad.numpy())
