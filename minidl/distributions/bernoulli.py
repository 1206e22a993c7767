"""Coins: how one falls (Bernoulli), how often in n throws (Binomial), how often in vain before it does (Geometric).

All three are made of the two logarithms ln p and ln(1 − p), weighted: `_expected_log`.
"""

import math

import numpy as np

from .. import ops
from ..graph.modes import no_grad
from ..graph.watch import repeatable
from ..nn.functional import logsigmoid
from ..random import default_generator
from ..tensors.creation import arange
from ..tensors.indexing import where
from ..tensors.record import apply, wrap
from . import constraints
from .counting import draw_around_mode, log_choose
from .distribution import Distribution, broadcast_all
from .kl import register_kl
from .parameters import counts, derived, given


class _Coin(Distribution):
    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(self, probs=None, logits=None, validate_args=None):
        which, value = given(type(self).__name__, probs, logits)
        (value,) = broadcast_all(value)
        setattr(self, which, value)
        super().__init__(value.shape, (), validate_args)

    @derived
    def probs(self):
        """p, the probability of a success."""
        return self.logits.sigmoid()

    @derived
    def logits(self):
        """ln p − ln(1 − p), the log-odds: exact, so −inf for p = 0 and +inf for p = 1."""
        return self.probs.log() - (-self.probs).log1p()

    @property
    def param_shape(self):
        return self._batch_shape

    @property
    def _failure(self):
        """1 − p"""
        return (-self.logits).sigmoid() if "logits" in self.__dict__ else 1 - self.probs

    def _expected_log(self, successes, failures):
        """successes·ln p + failures·ln(1 − p); 0·ln 0 = 0, which sends the gradient 0 back."""
        if "logits" in self.__dict__:
            heads, tails = (where(weight == 0, 0, self.logits) for weight in (successes, failures))
            return successes * logsigmoid(heads) + failures * logsigmoid(-tails)
        return successes.xlogy(self.probs) + failures * (-where(failures == 0, 0, self.probs)).log1p()


class Bernoulli(_Coin):
    """1 with probability p, else 0. `probs` (p) or `logits` (ln p/(1 − p)), a number or a tensor of the batch_shape.

    The logarithms are exact, as probs at 0 and 1 show: PyTorch's stay 1e-7 away from there.

    >>> import minidl
    >>> coin = Bernoulli(minidl.tensor([0.25, 0.0]))
    >>> coin.log_prob(minidl.tensor([1.0, 0.0])), coin.entropy()
    (tensor([-1.3863,  0.0000]), tensor([0.5623, 0.0000]))
    """

    support = constraints.boolean
    has_enumerate_support = True

    @property
    def mean(self):
        return self.probs

    @property
    def mode(self):
        """1 or 0, NaN where both are as likely."""
        p = self.probs.detach()
        return (p > 0.5).to(p.dtype).masked_fill(p == 0.5, math.nan)

    @property
    def variance(self):
        return self.probs * self._failure

    def sample(self, sample_shape=()):
        """0 or 1, in the dtype of the parameter, by PyTorch's stream: a uniform below p is a 1."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            probs = self.probs.array
        return wrap(default_generator.bernoulli(shape, probs, probs.dtype))

    def log_prob(self, value):
        value = counts(self, value)
        return self._expected_log(value, 1 - value)

    def entropy(self):
        return 0 - self._expected_log(self.probs, self._failure)  # no −0

    def enumerate_support(self, expand=True):
        """0 and 1 along a new first axis: (2, *batch_shape), or (2, 1, …) without expand."""
        return _counted(self, 1, expand)


class Binomial(_Coin):
    """The number of successes in total_count independent throws with probability p. total_count broadcasts with the parameter.

    >>> import minidl
    >>> Binomial(4, minidl.tensor(0.5)).log_prob(minidl.tensor([0.0, 2.0])).exp()  # 1/16 and 6/16
    tensor([0.0625, 0.3750])
    """

    arg_constraints = {"total_count": constraints.nonnegative_integer, **_Coin.arg_constraints}
    has_enumerate_support = True

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        which, value = given("Binomial", probs, logits)
        self.total_count, value = broadcast_all(total_count, value)
        super().__init__(**{which: value}, validate_args=validate_args)

    @property
    def support(self):
        return constraints.integer_interval(0, self.total_count.array)

    @property
    def mean(self):
        return self.total_count * self.probs

    @property
    def mode(self):
        return ((self.total_count + 1) * self.probs).detach().floor().minimum(self.total_count.detach())

    @property
    def variance(self):
        return self.total_count * self.probs * self._failure

    def sample(self, sample_shape=()):
        """Counts in the dtype of the parameter. By inversion, from one float64 uniform each; PyTorch's numbers are others."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            n, p, q = (x.array.astype(np.float64) for x in (self.total_count, self.probs, self._failure))
        mode = np.minimum(np.floor((n + 1) * p), n)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p = np.where(mode > 0, mode * np.log(p), 0) + np.where(n > mode, (n - mode) * np.log(q), 0)
            odds = np.where(q > 0, p / q, 0)
        chance = np.exp(log_p + log_choose(wrap(n), wrap(mode)).array)
        draws = draw_around_mode(shape, mode, chance, (n + 1) * odds, -odds)
        return wrap(draws.astype(self.total_count.dtype))

    def log_prob(self, value):
        value = counts(self, value)
        return log_choose(self.total_count, value).to(value.dtype) + self._expected_log(value, self.total_count - value)

    def entropy(self):
        """By summing over all counts, so total_count must be one for the whole batch."""
        log_p = self.log_prob(self.enumerate_support(expand=False))
        return 0 - (log_p.exp() * log_p.masked_fill(log_p.detach() == -math.inf, 0)).sum(0)

    def enumerate_support(self, expand=True):
        """0, …, total_count along a new first axis; total_count must be one for the whole batch."""
        most = _numbers_in(self.total_count.array)
        if len(most) != 1:
            raise NotImplementedError(f"Binomial: the batch has no common support, its total_count is one of {most}")
        return _counted(self, int(most[0]), expand)


@repeatable
def _numbers_in(counts):
    return np.unique(counts).tolist()


class Geometric(_Coin):
    """The number of failures before the first success, 0, 1, …: P(k) = (1 − p)^k·p, for 0 < p ≤ 1.

    >>> import minidl
    >>> Geometric(minidl.tensor(0.5)).log_prob(minidl.tensor([0.0, 2.0])).exp()
    tensor([0.5000, 0.1250])
    """

    arg_constraints = {
        "probs": constraints.Constraint("above 0 and at most 1", lambda x: (x > 0) & (x <= 1)),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    @property
    def mean(self):
        return self._failure / self.probs

    @property
    def mode(self):
        return self.probs.detach() * 0

    @property
    def variance(self):
        return self._failure / self.probs.square()

    def sample(self, sample_shape=()):
        """Counts in the dtype of the parameter, ⌊ln u/ln(1 − p)⌋ for a uniform u of PyTorch's stream."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            p = self.probs.array
        u = default_generator.uniform(shape, p.dtype, float(np.finfo(p.dtype).tiny), 1.0)
        with np.errstate(divide="ignore"):
            return wrap(np.floor(np.log(u) / np.log1p(-p)))

    def log_prob(self, value):
        value = counts(self, value)
        return self._expected_log(wrap(np.ones((), value.dtype)), value)

    def entropy(self):
        """That of one throw, times the expected number of throws."""
        return (0 - self._expected_log(self.probs, self._failure)) / self.probs


def _counted(distribution, most, expand):
    """0, …, most along a new first axis."""
    batch = distribution.batch_shape
    values = arange(most + 1, dtype=distribution._dtype()).reshape(-1, *(1 for _ in batch))
    return values.expand(most + 1, *batch) if expand else values


def _divergence(p, q):
    """D(p‖q) of one throw, of whose terms none is below 0."""
    log = "logits" in p.__dict__ and "logits" in q.__dict__
    pairs = zip(_chances(p, log), _chances(q, log), strict=True)
    success, failure = (apply(ops.RelativeEntropy(log), *broadcast_all(x, y)) for x, y in pairs)
    return (success + failure).to(np.result_type(p._dtype(), q._dtype()))


def _chances(coin, log):
    """p and 1 − p, or their logarithms, in float64, where they neither vanish nor round to 1."""
    if "logits" not in coin.__dict__:
        return coin.probs.double(), 1 - coin.probs.double()
    logits = coin.logits.double()
    return tuple(logsigmoid(x) if log else x.sigmoid() for x in (logits, -logits))


register_kl(Bernoulli, Bernoulli)(_divergence)


@repeatable
def _any_below(x, y):
    return bool((x < y).any())


@register_kl(Binomial, Binomial)
def _(p, q):
    if _any_below(p.total_count.array, q.total_count.array):
        raise NotImplementedError("kl_divergence: of Binomials with fewer throws in p than in q there is no formula")
    return (p.total_count * _divergence(p, q)).masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Geometric, Geometric)
def _(p, q):
    return _divergence(p, q) / p.probs
