"""Autoencoders: the bound of the variational one where log p(x) is known, and the linear one that is PCA. Rows X7 and X8."""

import math

import numpy as np
import pytest

import minidl
from minidl import information, nn
from minidl.autograd import gradcheck
from minidl.models import VAE, Autoencoder, elbo, standard_normal_kl
from minidl.nn import functional as F
from minidl.utils.data import digits

LATENT, WIDTH, STD = 2, 3, 0.5


def linear_gaussian():
    """A VAE whose decoder is x = Wz + b + N(0, std²), with orthogonal columns in W, and whose encoder is the true posterior.

    Then p(x) = N(b, WWᵀ + std² I), and p(z|x) = N(MWᵀ(x − b)/std², M) with M = (I + WᵀW/std²)⁻¹, which is diagonal.
    """
    model = VAE(WIDTH, [], LATENT, likelihood="normal", std=STD).double()
    W = np.array([[1.0, 0.2], [0.5, -0.4], [0.0, 0.3]])
    b = np.array([0.3, -1.0, 0.5])
    assert abs((W.T @ W)[0, 1]) < 1e-12
    M = np.linalg.inv(np.eye(LATENT) + W.T @ W / STD**2)
    A = M @ W.T / STD**2
    model.decoder[0].weight.data.copy_(minidl.tensor(W))
    model.decoder[0].bias.data.copy_(minidl.tensor(b))
    model.encoder[0].weight.data.copy_(minidl.tensor(np.concatenate([A, np.zeros_like(A)])))
    model.encoder[0].bias.data.copy_(minidl.tensor(np.concatenate([-A @ b, np.log(np.diag(M))])))
    return model, W, b, M


def log_density(x, mean, covariance):
    gap = x - mean
    squares = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(covariance), gap)
    return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])


POINTS = np.array([[0.0, 0.0, 0.0], [2.0, -1.0, 1.0], [-3.0, 0.5, 2.0]])


def mean_elbo(model, x, samples=40_000):
    """(the mean over samples, its standard error), for each x."""
    with minidl.no_grad():
        values = np.stack([model.elbo(minidl.tensor(np.repeat(row[None], samples, 0))).numpy() for row in x])
    return values.mean(1), values.std(1) / math.sqrt(samples)


def test_the_bound_is_log_p_where_the_encoder_is_the_posterior():
    minidl.manual_seed(0)
    model, W, b, _ = linear_gaussian()
    exact = log_density(POINTS, b, W @ W.T + STD**2 * np.eye(WIDTH))
    means, errors = mean_elbo(model, POINTS)
    assert (errors < 0.01).all()
    assert (abs(means - exact) < 4 * errors).all()


@pytest.mark.parametrize(("shift", "wider"), [(0.3, 0.0), (0.0, 0.7), (-0.5, -1.0)])
def test_below_the_bound_is_missing_the_divergence_from_the_posterior(shift, wider):
    minidl.manual_seed(0)
    model, W, b, M = linear_gaussian()
    with minidl.no_grad():
        model.encoder[0].bias += minidl.tensor([shift] * LATENT + [wider] * LATENT)
    exact = log_density(POINTS, b, W @ W.T + STD**2 * np.eye(WIDTH))
    std = np.sqrt(np.diag(M))
    gap = (
        information.normal_kl(shift, minidl.tensor(std * math.exp(wider / 2)), 0.0, minidl.tensor(std), base=math.e)
        .sum()
        .item()
    )
    means, errors = mean_elbo(model, POINTS)
    assert gap > 0.1
    assert (abs(exact - gap - means) < 4 * errors).all()


def test_jensens_bound_by_hand():
    """log E_q [p(x|z) p(z)/q(z)] = log p(x) for any q, and E_q log of it is below: on a z of three values."""
    rng = np.random.default_rng(0)
    prior, likelihood = rng.dirichlet(np.ones(3)), rng.random(3)
    log_p = math.log(prior @ likelihood)
    for _ in range(20):
        q = rng.dirichlet(np.ones(3))
        ratio = likelihood * prior / q
        assert math.log(q @ ratio) == pytest.approx(log_p)
        assert q @ np.log(ratio) < log_p
    posterior = likelihood * prior / (likelihood @ prior)
    assert posterior @ np.log(likelihood * prior / posterior) == pytest.approx(log_p)


def test_divergence_from_the_standard_normal():
    rng = np.random.default_rng(0)
    mean, log_variance = (minidl.tensor(rng.normal(size=(4, 3)), requires_grad=True) for _ in range(2))
    result = standard_normal_kl(mean, log_variance)
    std = (log_variance / 2).exp()
    assert minidl.allclose(result, information.normal_kl(mean, std, 0.0, 1.0, base=math.e).sum(1))
    m, s2 = mean.detach().numpy(), np.exp(log_variance.detach().numpy())
    np.testing.assert_allclose(result.detach().numpy(), 0.5 * (m**2 + s2 - 1 - np.log(s2)).sum(1))
    assert gradcheck(standard_normal_kl, (mean, log_variance))
    assert standard_normal_kl(minidl.zeros(3), minidl.zeros(3)).item() == 0
    assert standard_normal_kl(minidl.zeros(1), minidl.full((1,), 1e-4)).item() == pytest.approx(0.25e-8, rel=0.01)
    assert elbo(minidl.tensor([-1.0]), minidl.ones(1, 2), minidl.zeros(1, 2)).tolist() == [-2]


def test_likelihoods():
    rng = np.random.default_rng(1)
    x, output = minidl.tensor(rng.random((2, 5))), minidl.tensor(rng.normal(size=(2, 5)))
    p = 1 / (1 + np.exp(-output.numpy()))
    bernoulli = (x.numpy() * np.log(p) + (1 - x.numpy()) * np.log(1 - p)).sum(1)
    np.testing.assert_allclose(VAE(5, [], 2).log_likelihood(x, output).numpy(), bernoulli)
    normal = VAE(5, [], 2, likelihood="normal", std=0.3).log_likelihood(x, output)
    np.testing.assert_allclose(normal.numpy(), minidl.distributions.Normal(output, 0.3).log_prob(x).sum(1).numpy())


def test_samples_of_the_code_have_its_moments_and_gradients():
    minidl.manual_seed(0)
    model = VAE(4, [], 2)
    mean = minidl.tensor([1.0, -2.0], dtype=minidl.float64, requires_grad=True)
    log_variance = minidl.tensor([0.0, 2.0], dtype=minidl.float64, requires_grad=True)
    z = model.reparameterize(mean.expand(20_000, 2), log_variance.expand(20_000, 2))
    assert z.mean(0).tolist() == pytest.approx([1, -2], abs=0.08)
    assert z.std(0).tolist() == pytest.approx([1, math.e], rel=0.03)
    (z**2).mean(0).sum().backward()  # E z² = μ² + σ², whose slopes are 2μ and σ²
    assert mean.grad.tolist() == pytest.approx([2, -4], abs=0.2)
    assert log_variance.grad.tolist() == pytest.approx([1, math.exp(2)], rel=0.06)
    one, other = (model.reparameterize(mean, log_variance, minidl.Generator().manual_seed(3)) for _ in range(2))
    assert one.equal(other)


def test_shapes_and_parts():
    model = VAE(6, [5, 4], 2, nn.Tanh)
    assert [type(layer).__name__ for layer in model.encoder] == ["Linear", "Tanh", "Linear", "Tanh", "Linear"]
    assert [layer.weight.shape for layer in model.decoder[::2]] == [(4, 2), (5, 4), (6, 5)]
    output, mean, log_variance = model(minidl.rand(3, 6))
    assert (output.shape, mean.shape, log_variance.shape) == ((3, 6), (3, 2), (3, 2))
    sample = model.sample(7)
    assert sample.shape == (7, 6)
    assert ((sample > 0) & (sample < 1)).all()  # probabilities, not logits
    assert model.double().sample(1).dtype == minidl.float64
    z = minidl.randn(1, 2, dtype=minidl.float64)
    assert minidl.allclose(model.decode(z), model.decoder(z).sigmoid())
    plain = Autoencoder(6, [5, 4], 2)
    assert [layer.weight.shape for layer in plain.encoder[::2]] == [(5, 6), (4, 5), (2, 4)]
    x = minidl.rand(3, 6)
    assert plain(x).equal(plain.decoder(plain.encoder(x)))
    assert plain.encode(x).shape == (3, 2)


def test_a_variational_autoencoder_learns_digits():
    """It ends above what pixels that are independent of each other reach, which knows the mean image alone."""
    minidl.manual_seed(0)
    x, held_out = (digits(train=train).tensors[0] for train in (True, False))
    mean_image = x.mean(0).clamp(1e-3, 1 - 1e-3)
    alone = -F.binary_cross_entropy(mean_image.expand_as(held_out), held_out, reduction="none").sum(1).mean().item()
    model = VAE(64, [64], 4)
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        (-model.elbo(x).mean()).backward()
        optimizer.step()
    with minidl.no_grad():
        assert model.elbo(held_out).mean().item() > alone + 1.5
        assert standard_normal_kl(*model.encode(held_out)).mean().item() > 2  # the code is used


def test_a_linear_autoencoder_is_principal_component_analysis():
    """Its outputs span the first principal directions (principal angles about 0), and its error is what the others carry."""
    minidl.manual_seed(0)
    x, k = digits().tensors[0].double(), 4
    x = x - x.mean(0)
    _, s, directions = np.linalg.svd(x.numpy(), full_matrices=False)
    model = Autoencoder(64, [], k).double()
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1, momentum=0.95)
    for _ in range(500):
        optimizer.zero_grad()
        loss = ((model(x) - x) ** 2).sum(1).mean()
        loss.backward()
        optimizer.step()
    span, _ = np.linalg.qr(model.decoder[0].weight.detach().numpy())
    cosines = np.linalg.svd(directions[:k] @ span, compute_uv=False)
    assert np.degrees(np.arccos(cosines.clip(max=1))).max() < 0.1
    assert loss.item() == pytest.approx((s[k:] ** 2).sum() / len(x), rel=1e-5)
    projected = x.numpy() @ directions[:k].T @ directions[:k]
    np.testing.assert_allclose(model(x).detach().numpy(), projected, atol=0.02)


MISTAKES = [
    (lambda: VAE(4, [], 2, likelihood="poisson"), ValueError, "likelihood must be 'bernoulli' or 'normal', got 'poisson'"),
    (lambda: VAE(4, [], 2, likelihood="normal", std=0), ValueError, "std must be above 0"),
    (lambda: VAE(4, [], 2, std=0.5), ValueError, "std is for likelihood='normal'"),
    (lambda: VAE(4, [], 2.5), TypeError, "latent_features must be an integer"),
    (lambda: VAE(4, 8, 2), TypeError, "hidden must be a sequence"),
    (lambda: Autoencoder(4, 8, 2), TypeError, "hidden must be a sequence"),
    (lambda: VAE(4, [], 2).elbo(2 * minidl.ones(1, 4)), ValueError, r"x must lie in \[0, 1\]"),
    (lambda: VAE(4, [], 2).sample(2.5), TypeError, "num_samples must be an integer"),
    (
        lambda: elbo(minidl.zeros(3), minidl.zeros(2, 2), minidl.zeros(2, 2)),
        ValueError,
        r"elbo: expected .* \(2,\), got \(3,\)",
    ),
    (lambda: elbo(0.5, minidl.zeros(2), minidl.zeros(2)), TypeError, "elbo: expected a Tensor as log_likelihood"),
    (lambda: standard_normal_kl(minidl.zeros(2), minidl.zeros(3)), ValueError, "of one shape"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
