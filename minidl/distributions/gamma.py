"""Gamma, and what is made of gamma variables: Beta and Dirichlet.

Gamma variables come from Marsaglia and Tsang (A simple method for generating gamma variables, 2000): not PyTorch's numbers.
They are kept as logarithms, for with a small concentration most are too small for any float. A rejection has no derivative,
but moving the concentration while the chance P(a, x) stays moves x, by an amount that the samples are given as their slope
(Figurnov, Mohamed & Mnih, Implicit reparameterization gradients, 2018). Beta and Dirichlet take it through their quotients.
"""

import numpy as np

from .. import kernels
from ..graph.watch import repeatable
from ..random import default_generator
from ..tensors.indexing import where
from ..tensors.record import wrap
from . import constraints
from .distribution import Distribution, broadcast_all


def log_standard_gamma(concentration):
    """The logarithm of one gamma variable of rate 1 for each concentration, with its slope in it. Any shape, to the same."""
    sample, slope = map(wrap, _draw_with_slope(concentration.array, concentration.requires_grad))
    return sample + (concentration - concentration.detach()) * slope if concentration.requires_grad else sample


@repeatable
def _draw_with_slope(concentration, slope):
    """The logarithms, and their slopes if they are wanted."""
    a, dtype = concentration.astype(np.float64), concentration.dtype
    log_x = _draw(a.ravel()).reshape(a.shape)
    return log_x.astype(dtype), (kernels.gamma_slope(a, log_x) if slope else log_x).astype(dtype)


def _draw(a):
    """ln x for x ~ Gamma(a), one for each a > 0."""
    if not (np.isfinite(a) & (a > 0)).all():  # NaN would be rejected for ever
        bad = a[~(np.isfinite(a) & (a > 0))][0]
        raise ValueError(f"sample: expected a finite concentration above 0, got {bad}")
    d = np.where(a < 1, a + 1, a) - 1 / 3
    c = 1 / np.sqrt(9 * d)
    log_x, todo = np.empty_like(a), np.arange(a.size)
    while todo.size:  # 5 of 100 are rejected, at most
        z, u = (draw((todo.size,), np.float64) for draw in (default_generator.normal, default_generator.rand))
        with np.errstate(all="ignore"):
            log_v = 3 * np.log1p(c[todo] * z)  # NaN, and so rejected, where 1 + cz < 0
            good = np.log1p(-u) < z * z / 2 + d[todo] * (1 - np.exp(log_v) + log_v)
        log_x[todo[good]] = (np.log(d[todo]) + log_v)[good]
        todo = todo[~good]
    small = np.flatnonzero(a < 1)  # Gamma(a + 1)·U^(1/a) is Gamma(a)
    log_x[small] += np.log1p(-default_generator.rand((small.size,), np.float64)) / a[small]
    return log_x


class Gamma(Distribution):
    """The density rateᵃ xᵃ⁻¹ exp(−rate·x)/Γ(a), a = concentration: of a whole a, the time to the a-th event.

    The samples are not PyTorch's for the same seed.

    >>> Gamma(2.0, 0.5).mean, Gamma(1.0, 1.0).log_prob(2.0)
    (tensor(4.), tensor(-2.))
    """

    has_rsample = True
    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative

    def __init__(self, concentration, rate, validate_args=None):
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.concentration / self.rate

    @property
    def mode(self):
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self):
        return self.concentration / self.rate**2

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        x = log_standard_gamma(self.concentration.expand(shape)).exp() / self.rate
        return x.clamp(min=float(np.finfo(x.dtype).tiny))  # above 0, so that log_prob is finite

    def log_prob(self, value):
        a, value = self.concentration, self._checked(value)
        return a * self.rate.log() + (a - 1).xlogy(value) - self.rate * value - a.lgamma()

    def cdf(self, value):
        return self.concentration.igamma(self.rate * self._checked(value))

    def entropy(self):
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()


class Beta(Distribution):
    """The density xᵃ⁻¹(1 − x)ᵇ⁻¹/B(a, b) on [0, 1], a = concentration1, b = concentration0: of a chance of which a − 1
    successes and b − 1 failures are known.

    The samples are not PyTorch's for the same seed.

    >>> Beta(2.0, 2.0).mean, Beta(1.0, 1.0).log_prob(0.3)
    (tensor(0.5000), tensor(0.))
    """

    has_rsample = True
    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, concentration1, concentration0, validate_args=None):
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self):
        return self._pair().mode[..., 0]

    @property
    def variance(self):
        a, b = self.concentration1, self.concentration0
        return a * b / ((a + b) ** 2 * (a + b + 1))

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        x, y = (log_standard_gamma(c.expand(shape)) for c in (self.concentration1, self.concentration0))
        return (x - y).sigmoid()

    def log_prob(self, value):
        a, b, value = self.concentration1, self.concentration0, self._checked(value)
        return (a - 1).xlogy(value) + (b - 1).xlogy(1 - value) - self.log_normalizer()

    def log_normalizer(self):
        """ln B(a, b) = ln Γ(a) + ln Γ(b) − ln Γ(a + b)"""
        a, b = self.concentration1, self.concentration0
        return a.lgamma() + b.lgamma() - (a + b).lgamma()

    def entropy(self):
        a, b = self.concentration1, self.concentration0
        both = (a + b - 2) * (a + b).digamma()
        return self.log_normalizer() - (a - 1) * a.digamma() - (b - 1) * b.digamma() + both

    def _pair(self):
        a, b = self.concentration1, self.concentration0
        pair = where(wrap(np.array([True, False])), a.unsqueeze(-1), b.unsqueeze(-1))
        return Dirichlet(pair, validate_args=False)


class Dirichlet(Distribution):
    """The density Π xᵢ^(aᵢ − 1)/B(a) of probabilities x with the sum 1: Beta for k outcomes. concentration a: (…, k)

    The samples are not PyTorch's for the same seed.

    >>> Dirichlet(wrap(np.array([1.0, 2.0, 1.0]))).mean
    tensor([0.2500, 0.5000, 0.2500], dtype=minidl.float64)
    """

    has_rsample = True
    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex

    def __init__(self, concentration, validate_args=None):
        (self.concentration,) = broadcast_all(concentration)
        if not self.concentration.ndim:
            raise ValueError("Dirichlet: concentration must have one axis or more, (…, k), got a number")
        super().__init__(self.concentration.shape[:-1], self.concentration.shape[-1:], validate_args)

    @property
    def mean(self):
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self):
        above = (self.concentration - 1).clamp(min=0)
        corner = np.arange(above.shape[-1]) == self.concentration.array.argmax(-1)[..., None]
        below = (self.concentration.array < 1).all(-1, keepdims=True)  # then a corner has the highest density
        return where(wrap(below), wrap(corner.astype(above.dtype)), above / above.sum(-1, keepdim=True))

    @property
    def variance(self):
        total, mean = self.concentration.sum(-1, keepdim=True), self.mean
        return mean * (1 - mean) / (total + 1)

    def rsample(self, sample_shape=()):
        return log_standard_gamma(self.concentration.expand(self._extended_shape(sample_shape))).softmax(-1)

    def log_prob(self, value):
        return (self.concentration - 1).xlogy(self._checked(value)).sum(-1) - self.log_normalizer()

    def log_normalizer(self):
        """ln B(a) = Σ ln Γ(aᵢ) − ln Γ(Σ aᵢ)"""
        return self.concentration.lgamma().sum(-1) - self.concentration.sum(-1).lgamma()

    def entropy(self):
        a = self.concentration
        total, k = a.sum(-1), a.shape[-1]
        return self.log_normalizer() + (total - k) * total.digamma() - ((a - 1) * a.digamma()).sum(-1)
