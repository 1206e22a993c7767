"""Normal, Laplace, Uniform and Exponential: a standard variable, shifted and stretched."""

import math
from statistics import NormalDist

import numpy as np

from ..graph.watch import repeatable
from ..random import default_generator
from ..tensors.indexing import where
from ..tensors.record import wrap
from . import constraints
from .distribution import Distribution, broadcast_all


class Normal(Distribution):
    """N(loc, scale²), the density of largest entropy for its variance. Samples are PyTorch's for the same seed.

    >>> d = Normal(0.0, 1.0)
    >>> d, d.log_prob(1.0), d.entropy()
    (Normal(loc: 0.0, scale: 1.0), tensor(-1.4189), tensor(1.4189))
    """

    has_rsample = True
    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc, scale, validate_args=None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.loc

    mode = mean

    @property
    def stddev(self):
        return self.scale

    @property
    def variance(self):
        return self.scale**2

    def rsample(self, sample_shape=()):
        noise = default_generator.normal(self._extended_shape(sample_shape), self.loc.dtype)
        return wrap(noise) * self.scale + self.loc

    def log_prob(self, value):
        z = (self._checked(value) - self.loc) / self.scale
        return -z * z / 2 - self.scale.log() - math.log(2 * math.pi) / 2

    def cdf(self, value):
        return ((self.loc - self._checked(value)) / (self.scale * math.sqrt(2))).erfc() / 2

    def icdf(self, value):
        chance = self._checked_chance(value)
        z = _normal_quantile(chance.array.astype(np.float64))
        slope = np.exp(z * z / 2) * math.sqrt(2 * math.pi)  # of the inverse: 1/density
        with np.errstate(over="ignore"):
            z, slope = (wrap(np.asarray(x, chance.dtype)) for x in (z, slope))
        if chance.requires_grad:
            z = z + (chance - chance.detach()) * slope
        return z * self.scale + self.loc

    def entropy(self):
        return self.scale.log() + (1 + math.log(2 * math.pi)) / 2


def _normal_quantile(chance):
    standard = NormalDist()
    ends = {0.0: -math.inf, 1.0: math.inf}
    values = [ends[p] if p in ends else standard.inv_cdf(p) if 0 < p < 1 else math.nan for p in chance.ravel().tolist()]
    return np.array(values).reshape(chance.shape)


@repeatable
def _of_uniform(u):
    """Numbers with the density exp(−|x|)/2 for numbers that are uniform on (−1, 1)."""
    return np.asarray(np.sign(u) * np.log1p(-abs(u)), u.dtype)


class Laplace(Distribution):
    """The density exp(−|x − loc|/scale)/(2 scale). Samples are PyTorch's for the same seed.

    >>> Laplace(0.0, 1.0).log_prob(1.0)
    tensor(-1.6931)
    """

    has_rsample = True
    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc, scale, validate_args=None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.loc

    mode = mean

    @property
    def stddev(self):
        return self.scale * math.sqrt(2)

    @property
    def variance(self):
        return 2 * self.scale**2

    def rsample(self, sample_shape=()):
        dtype = self.loc.dtype
        low = float(np.finfo(dtype).eps) - 1  # not −1, whose logarithm below would be infinite
        u = default_generator.uniform(self._extended_shape(sample_shape), dtype, low, 1.0)
        return self.loc - self.scale * wrap(_of_uniform(u))

    def log_prob(self, value):
        return -(self._checked(value) - self.loc).abs() / self.scale - (2 * self.scale).log()

    def cdf(self, value):
        gap = self._checked(value) - self.loc
        tail = (-gap.abs() / self.scale).exp() / 2
        return where(gap < 0, tail, 1 - tail)

    def icdf(self, value):
        u = self._checked_chance(value) - 0.5
        return self.loc - self.scale * u.sign() * (-2 * u.abs()).log1p()

    def entropy(self):
        return (2 * self.scale).log() + 1


@repeatable
def _check_bounds(low, high):
    if not (good := low < high).all():
        raise ValueError(f"Uniform: low must be below high, got low {low[~good].flat[0]} and high {high[~good].flat[0]}")


class Uniform(Distribution):
    """The same density everywhere in [low, high), 0 elsewhere. Samples are PyTorch's for the same seed.

    >>> Uniform(0.0, 2.0).entropy()
    tensor(0.6931)
    """

    has_rsample = True
    arg_constraints = {"low": constraints.real, "high": constraints.real}

    def __init__(self, low, high, validate_args=None):
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        if self._validate_args:
            _check_bounds(self.low.array, self.high.array)

    @property
    def support(self):
        return constraints.interval(self.low.array, self.high.array)

    @property
    def mean(self):
        return (self.low + self.high) / 2

    @property
    def variance(self):
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape=()):
        u = default_generator.rand(self._extended_shape(sample_shape), self.low.dtype)
        return self.low + wrap(u) * (self.high - self.low)

    def log_prob(self, value):
        value = self._checked(value)
        outside = ~((value >= self.low) & (value < self.high))
        return (value * 0 - (self.high - self.low).log()).masked_fill(outside, -math.inf)

    def cdf(self, value):
        return ((self._checked(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value):
        return self.low + self._checked_chance(value) * (self.high - self.low)

    def entropy(self):
        return (self.high - self.low).log()


class Exponential(Distribution):
    """The time to an event that comes `rate` times per unit of time: the density rate·exp(−rate·x), x ≥ 0.

    Samples are PyTorch's for the same seed.

    >>> Exponential(2.0).mean
    tensor(0.5000)
    """

    has_rsample = True
    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative

    def __init__(self, rate, validate_args=None):
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self):
        return 1 / self.rate

    stddev = mean

    @property
    def mode(self):
        return self.rate.detach() * 0

    @property
    def variance(self):
        return self.rate**-2

    def rsample(self, sample_shape=()):
        return wrap(default_generator.exponential(self._extended_shape(sample_shape), self.rate.dtype)) / self.rate

    def log_prob(self, value):
        return self.rate.log() - self.rate * self._checked(value)

    def cdf(self, value):
        return -(-self.rate * self._checked(value)).expm1()

    def icdf(self, value):
        return -(-self._checked_chance(value)).log1p() / self.rate

    def entropy(self):
        return 1 - self.rate.log()
