"""The number of independent rare events."""

import math

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from ..tensors.creation import arange
from ..tensors.record import apply, wrap
from . import constraints
from .bernoulli import Bernoulli
from .counting import draw_around_mode, log_factorial
from .distribution import Distribution, broadcast_all
from .kl import register_kl
from .parameters import counts


class Poisson(Distribution):
    """P(k) = rate^k·exp(−rate)/k!, for k = 0, 1, … The rate, at least 0, is the mean and the variance.

    >>> import minidl
    >>> Poisson(minidl.tensor(2.0)).log_prob(minidl.tensor([0.0, 2.0])).exp()
    tensor([0.1353, 0.2707])
    """

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate, validate_args=None):
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self):
        return self.rate

    @property
    def mode(self):
        return self.rate.detach().floor()

    @property
    def variance(self):
        return self.rate

    def sample(self, sample_shape=()):
        """Counts in the dtype of the rate. By inversion, from one float64 uniform each; PyTorch's numbers are others."""
        shape, rate = self._extended_shape(sample_shape), self.rate.array.astype(np.float64)
        mode = np.floor(rate)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p = np.where(mode > 0, mode * np.log(rate), 0) - rate - log_factorial(wrap(mode)).array
        draws = draw_around_mode(shape, mode, np.exp(log_p), rate, np.zeros(()))
        return wrap(draws.astype(self.rate.dtype))

    def log_prob(self, value):
        value = counts(self, value)
        return value.xlogy(self.rate) - self.rate - log_factorial(value).to(value.dtype)

    def entropy(self):
        """By summing over the counts that matter, there being no closed form; PyTorch has none at all."""
        values = arange(_counts_that_matter(self.rate.array), dtype=self.rate.dtype)
        log_p = Poisson(self.rate, validate_args=False).log_prob(values.reshape(-1, *(1 for _ in self._batch_shape)))
        return 0 - (log_p.exp() * log_p.masked_fill(log_p.detach() == -math.inf, 0)).sum(0)


@repeatable
def _counts_that_matter(rate):
    most = float(rate.max(initial=0))
    if not most < 1e6:
        raise NotImplementedError(f"Poisson: the entropy is a sum over counts, too many of them for the rate {most:g}")
    return math.ceil(most + 12 * math.sqrt(most) + 40)


@register_kl(Poisson, Poisson)
def _(p, q):
    return apply(ops.RelativeEntropy(), *broadcast_all(p.rate, q.rate))


@register_kl(Bernoulli, Poisson)
def _(p, q):
    return q.rate - p.probs.xlogy(q.rate) - p.entropy()
