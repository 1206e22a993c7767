"""Autoencoders: networks that squeeze their input through few numbers and build it up again; plain, and variational.

A plain one learns a short code. With one linear layer on each side and squared error it finds what principal component analysis
finds: its outputs lie in the subspace of the first principal directions. A variational one learns a distribution: codes z are
N(0, 1), p(x|z) is the decoder, and it raises a lower bound of log p(x), since log p(x) itself is an integral over all z.

Source: Kingma and Welling, *Auto-Encoding Variational Bayes* (2014).
"""

import math
from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensors.arguments import expect_tensors, integer, number
from ..tensors.random_tensors import randn

__all__ = ["VAE", "Autoencoder", "elbo", "standard_normal_kl"]


class Autoencoder(nn.Module):
    """(…, in_features) → (…, latent_features) → (…, in_features), by two multilayer perceptrons that mirror each other.

    hidden: the widths of the encoder's hidden layers; with () both halves are affine, and squared error makes it PCA.

    >>> import minidl
    >>> model = Autoencoder(64, [32], 2)
    >>> model(minidl.ones(5, 64)).shape, model.encode(minidl.ones(5, 64)).shape
    ((5, 64), (5, 2))
    """

    def __init__(self, in_features, hidden, latent_features, activation: Any = nn.ReLU):
        super().__init__()
        self.encoder = nn.MLP(in_features, hidden, latent_features, activation)
        self.decoder = nn.MLP(latent_features, [*reversed(hidden)], in_features, activation)

    def encode(self, x):
        """The codes: (…, in_features) → (…, latent_features)"""
        return self.encoder(x)

    def decode(self, z):
        """What the codes stand for: (…, latent_features) → (…, in_features)"""
        return self.decoder(z)

    def forward(self, x):
        return self.decode(self.encode(x))


class VAE(nn.Module):
    """A variational autoencoder: z is N(0, 1) in each of latent_features, the decoder tells p(x|z), the encoder q(z|x).

    q(z|x) is normal, with a mean and a log variance for each feature of z. likelihood: "bernoulli", for x in [0, 1] (of grey
    values the cross-entropy), the decoder's output are logits; or "normal", N(output, std²). Training maximises the mean of
    `elbo(x)`: `loss = -model.elbo(x).mean()`. forward gives (output, mean, log variance).

    >>> import minidl
    >>> model = VAE(64, [32], 2)
    >>> x = minidl.rand(5, 64)
    >>> model.elbo(x).shape, model(x)[1].shape, model.sample(3).shape
    ((5,), (5, 2), (3, 64))
    """

    def __init__(
        self, in_features, hidden, latent_features, activation: Any = nn.ReLU, *, likelihood="bernoulli", std: float = 1.0
    ):
        super().__init__()
        if likelihood not in ("bernoulli", "normal"):
            raise ValueError(f"VAE: likelihood must be 'bernoulli' or 'normal', got {likelihood!r}")
        self.likelihood, self.std = likelihood, number("VAE", "std", std)
        if not 0 < self.std < math.inf:
            raise ValueError(f"VAE: std must be above 0, got {std}")
        if likelihood == "bernoulli" and self.std != 1:
            raise ValueError("VAE: std is for likelihood='normal'")
        self.latent_features = integer("VAE", latent_features, "latent_features")
        self.encoder = nn.MLP(in_features, hidden, 2 * self.latent_features, activation)
        self.decoder = nn.MLP(self.latent_features, [*reversed(hidden)], in_features, activation)

    def encode(self, x):
        """Mean and log variance of q(z|x): (N, in_features) → two (N, latent_features)"""
        return self.encoder(x).chunk(2, -1)

    def decode(self, z):
        """The mean of p(x|z): (N, latent_features) → (N, in_features), for "bernoulli" probabilities."""
        output = self.decoder(z)
        return output.sigmoid() if self.likelihood == "bernoulli" else output

    def reparameterize(self, mean, log_variance, generator=None):
        """z = μ + σε with ε ~ N(0, 1): a sample of N(μ, σ²) through which gradients reach μ and σ."""
        return mean + (log_variance / 2).exp() * randn(mean.shape, generator=generator, dtype=mean.dtype)

    def forward(self, x):
        mean, log_variance = self.encode(x)
        return self.decoder(self.reparameterize(mean, log_variance)), mean, log_variance

    def log_likelihood(self, x, output):
        """log p(x|z) in nats, of the decoder's output for z: (…, in_features) → (…)"""
        expect_tensors("VAE.log_likelihood", x=x, output=output)
        if self.likelihood == "normal":
            squares = ((x - output) / self.std) ** 2
            return -0.5 * (squares + math.log(2 * math.pi * self.std**2)).sum(-1)
        if not ((x.array >= 0) & (x.array <= 1)).all():
            raise ValueError("VAE: with likelihood='bernoulli' x must lie in [0, 1]; divide grey values by 255")
        return -F.binary_cross_entropy_with_logits(output, x, reduction="none").sum(-1)

    def elbo(self, x):
        """A lower bound of log p(x) in nats, with one sample of z: (N, in_features) → (N,)"""
        output, mean, log_variance = self(x)
        return elbo(self.log_likelihood(x, output), mean, log_variance)

    def sample(self, num_samples, generator=None):
        """Means of p(x|z) for num_samples codes z that are drawn from N(0, 1): (num_samples, in_features)"""
        weight = next(self.decoder.parameters())
        count = integer("VAE.sample", num_samples, "num_samples")
        return self.decode(randn(count, self.latent_features, generator=generator, dtype=weight.dtype))


def standard_normal_kl(mean, log_variance):
    """D(N(μ, σ²)‖N(0, 1)) = ½ Σ (μ² + σ² − 1 − ln σ²) in nats, summed over the last axis: (…, k), (…, k) → (…)

    >>> import minidl
    >>> standard_normal_kl(minidl.tensor([1.0, 0.0]), minidl.tensor([0.0, 0.0]))
    tensor(0.5000)
    """
    expect_tensors("standard_normal_kl", mean=mean, log_variance=log_variance)
    if mean.shape != log_variance.shape or not mean.ndim:
        raise ValueError(
            f"standard_normal_kl: expected a mean and a log variance of one shape, got {mean.shape}, {log_variance.shape}"
        )
    return 0.5 * (mean**2 + log_variance.expm1() - log_variance).sum(-1)


def elbo(log_likelihood, mean, log_variance):
    """The evidence lower bound E_q log p(x|z) − D(q(z|x)‖p(z)) ≤ log p(x), in nats, with z ~ N(0, 1) before x is seen.

    log_likelihood: (…) log p(x|z) of a sample z from q = N(mean, exp(log_variance)), or the mean over samples; mean,
    log_variance: (…, k). Why it is a bound: log p(x) = log E_q [p(x|z) p(z)/q(z)] ≥ E_q log [p(x|z) p(z)/q(z)], by Jensen's
    inequality, for log is concave. What is missing is D(q(z|x)‖p(z|x)).

    >>> import minidl
    >>> elbo(minidl.tensor(-3.0), minidl.zeros(2), minidl.zeros(2))
    tensor(-3.)
    """
    expect_tensors("elbo", log_likelihood=log_likelihood)
    divergence = standard_normal_kl(mean, log_variance)
    if log_likelihood.shape != divergence.shape:
        raise ValueError(
            f"elbo: expected a log-likelihood for each row of the mean, {divergence.shape}, got {log_likelihood.shape}"
        )
    return log_likelihood - divergence
