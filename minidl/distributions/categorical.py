"""One of K classes: its index (Categorical), as a row of zeros with one 1 (OneHotCategorical), and counted (Multinomial)."""

import math
import operator

import numpy as np

from .. import ops
from ..graph.modes import no_grad
from ..graph.watch import repeatable
from ..nn.functional import entropy_from_logits, log_softmax, one_hot
from ..random import default_generator
from ..tensors.creation import arange, eye
from ..tensors.indexing import where
from ..tensors.record import apply, wrap
from . import constraints
from .bernoulli import Binomial
from .counting import log_factorial
from .distribution import Distribution, broadcast_all
from .kl import register_kl
from .parameters import counts, derived, given_rows

# Before they are normalised: afterwards two negative weights would be positive, and what is wrong with others NaN.
_GIVEN = {
    "probs": constraints.Constraint(
        "finite, at least 0 and not all 0 along the last axis",
        lambda x: ((x >= 0) & (x < math.inf)).all(-1) & (x > 0).any(-1),
        1,
    ),
    "logits": constraints.Constraint(
        "numbers below +inf and not all -inf along the last axis",
        lambda x: (x < math.inf).all(-1) & (x > -math.inf).any(-1),
        1,
    ),
}


@repeatable
def _drawn_of(rows, count, shape):
    """`count` indices of each row of probabilities, in this shape."""
    if not math.prod(shape):
        return np.zeros(shape, np.int64)
    return default_generator.multinomial(rows, count, replacement=True).T.reshape(shape)


class _Classes(Distribution):
    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(self, probs=None, logits=None, validate_args=None):
        which, value = given_rows(type(self).__name__, probs, logits)
        if self._validate_args if validate_args is None else validate_args:
            self._require(which, value, _GIVEN[which])
        # Normalised: probabilities sum to 1, and logits are the logarithms of such.
        setattr(self, which, value / value.sum(-1, keepdim=True) if which == "probs" else log_softmax(value, -1))
        event_shape = () if isinstance(self, Categorical) else value.shape[-1:]
        super().__init__(value.shape[:-1], event_shape, validate_args)

    @derived
    def probs(self):
        """p, the probability of each class."""
        return self.logits.exp()

    @derived
    def logits(self):
        """ln p: exact, so −inf for p = 0."""
        return self.probs.log()

    @property
    def param_shape(self):
        return self._param.shape

    @property
    def _param(self):
        return self.__dict__.get("probs", self.__dict__.get("logits"))

    @property
    def _num_events(self):
        return self._param.shape[-1]

    def _drawn(self, sample_shape):
        """Indices, as an array of sample_shape + batch_shape, by PyTorch's stream."""
        with no_grad():
            rows = self.probs.array.reshape(-1, self._num_events)
        sizes = self._sizes(sample_shape)
        return _drawn_of(rows, math.prod(sizes), (*sizes, *self._batch_shape))

    def _expected_log(self, weights):
        """Σ weights·ln p; 0·ln 0 = 0, which sends the gradient 0 back."""
        if "logits" in self.__dict__:
            return (weights * where(weights == 0, 0, self.logits)).sum(-1)
        return weights.xlogy(self.probs).sum(-1)

    def _entropy(self):
        """−Σ p ln p of one draw."""
        return entropy_from_logits(self.logits) if "logits" in self.__dict__ else 0 - self._expected_log(self.probs)


class Categorical(_Classes):
    """An index from 0 to K − 1: the multinoulli variable. `probs` (…, K), weights of any sum, or `logits`, of any offset.

    >>> import minidl
    >>> die = Categorical(minidl.tensor([1.0, 1.0, 2.0, 0.0]))
    >>> die.log_prob(minidl.tensor([0, 2])).exp(), die.entropy()
    (tensor([0.2500, 0.5000]), tensor(1.0397))
    """

    has_enumerate_support = True

    @property
    def support(self):
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self):
        """NaN: classes have no order, and no mean."""
        return wrap(np.full(self._batch_shape, math.nan, self._param.dtype))

    @property
    def mode(self):
        return self._param.detach().argmax(-1)

    @property
    def variance(self):
        """NaN, as the mean."""
        return self.mean

    def sample(self, sample_shape=()):
        """int64 indices, by PyTorch's stream."""
        self._extended_shape(sample_shape)
        return wrap(self._drawn(sample_shape))

    def log_prob(self, value):
        index = self._checked(value).long()
        shape = np.broadcast_shapes(index.shape, self._batch_shape)
        rows = self._param.expand(*shape, self._num_events)
        found = rows.gather(-1, index.expand(*shape).unsqueeze(-1)).squeeze(-1)
        return found if "logits" in self.__dict__ else found.log()

    def entropy(self):
        return self._entropy()

    def enumerate_support(self, expand=True):
        """0, …, K − 1 along a new first axis: (K, *batch_shape), or (K, 1, …) without expand."""
        k, batch = self._num_events, self._batch_shape
        values = arange(k).reshape(k, *(1 for _ in batch))
        return values.expand(k, *batch) if expand else values


class OneHotCategorical(_Classes):
    """A row of K zeros, but for a 1 at the index that Categorical gives. Parameters as there.

    >>> import minidl
    >>> die = OneHotCategorical(minidl.tensor([0.25, 0.25, 0.5]))
    >>> die.log_prob(minidl.tensor([0.0, 0.0, 1.0])).exp(), die.variance
    (tensor(0.5000), tensor([0.1875, 0.1875, 0.2500]))
    """

    support = constraints.one_hot
    has_enumerate_support = True

    @property
    def mean(self):
        return self.probs

    @property
    def mode(self):
        return one_hot(self._param.detach().argmax(-1), self._num_events).to(self._param.dtype)

    @property
    def variance(self):
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        """Rows in the dtype of the parameter, by PyTorch's stream."""
        self._extended_shape(sample_shape)
        return one_hot(wrap(self._drawn(sample_shape)), self._num_events).to(self._param.dtype)

    def log_prob(self, value):
        return self._expected_log(counts(self, value))

    def entropy(self):
        return self._entropy()

    def enumerate_support(self, expand=True):
        """The K rows along a new first axis: (K, *batch_shape, K), or (K, 1, …, K) without expand."""
        k, batch = self._num_events, self._batch_shape
        values = eye(k, dtype=self._param.dtype).reshape(k, *(1 for _ in batch), k)
        return values.expand(k, *batch, k) if expand else values


class Multinomial(_Classes):
    """How often each of K classes comes in total_count independent draws. total_count: an integer, one for the whole batch.

    The log-likelihood of counts z is Σ zⱼ ln pⱼ and a constant, the number of orders in which they may have come.

    >>> import minidl
    >>> dice = Multinomial(3, minidl.tensor([0.5, 0.25, 0.25]))
    >>> dice.log_prob(minidl.tensor([1.0, 1.0, 1.0])).exp()  # 3!/32
    tensor(0.1875)
    """

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        try:
            self.total_count = operator.index(total_count)
        except TypeError:
            raise NotImplementedError(f"Multinomial: total_count must be one integer, got {total_count!r}") from None
        if self.total_count < 0:
            raise ValueError(f"Multinomial: total_count must not be negative, got {total_count}")
        super().__init__(probs, logits, validate_args)

    def expand(self, batch_shape, _instance=None):
        if _instance is not None:
            raise NotImplementedError("expand: _instance is not supported")
        parameters = {k: p.expand(*batch_shape, self._num_events) for k, p in self._parameters().items()}
        return Multinomial(self.total_count, **parameters, validate_args=False)._validating(self._validate_args)

    @property
    def support(self):
        n = self.total_count
        rule = f"integers of at least 0 with the sum {n} along the last axis"
        return constraints.Constraint(rule, lambda x: ((x >= 0) & (x % 1 == 0)).all(-1) & (x.sum(-1) == n), 1, True)

    @property
    def mean(self):
        return self.total_count * self.probs

    @property
    def variance(self):
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        """Counts in the dtype of the parameter, by PyTorch's stream: total_count draws of Categorical."""
        shape, k = self._extended_shape(sample_shape), self._num_events
        rows = math.prod(shape) // k
        places = self._drawn((self.total_count, *sample_shape)).reshape(self.total_count, rows) + k * np.arange(rows)
        return wrap(np.bincount(places.ravel(), minlength=rows * k).reshape(shape).astype(self._param.dtype))

    def log_prob(self, value):
        value = counts(self, value)
        orders = log_factorial(value.sum(-1)) - log_factorial(value).sum(-1)
        return orders.to(value.dtype) + self._expected_log(value)

    def entropy(self):
        """n·H(p) − ln n! + Σⱼ E[ln zⱼ!], and each zⱼ alone is a Binomial."""
        n = self.total_count
        weights = log_factorial(arange(n + 1)).to(self._param.dtype).reshape(-1, *(1 for _ in self.param_shape))
        single = Binomial(n, self.probs, validate_args=False)
        repeats = (single.log_prob(single.enumerate_support(expand=False)).exp() * weights).sum(0).sum(-1)
        return n * self._entropy() - log_factorial(wrap(np.asarray(n))).item() + repeats


def _divergence(p, q):
    """D(p‖q) of one draw."""
    if p._num_events != q._num_events:
        raise ValueError(f"kl_divergence: p has {p._num_events} classes and q {q._num_events}")
    log = "logits" in p.__dict__ and "logits" in q.__dict__
    x, y = _wide(p, log), _wide(q, log)
    # Terms of which none is below 0. They add up to D(p‖q) as far as both sum to 1.
    return apply(ops.RelativeEntropy(log), *broadcast_all(x, y)).sum(-1).to(np.result_type(p._dtype(), q._dtype()))


def _wide(d, log):
    """The probabilities, or their logarithms, in float64, where they do not vanish."""
    if "logits" not in d.__dict__:
        return d.probs.double()
    return d.logits.double() if log else d.logits.double().exp()


register_kl(Categorical, Categorical)(_divergence)
register_kl(OneHotCategorical, OneHotCategorical)(_divergence)


@register_kl(Multinomial, Multinomial)
def _(p, q):
    if p.total_count != q.total_count:
        raise NotImplementedError("kl_divergence: of Multinomials with different total_count there is no formula")
    return p.total_count * _divergence(p, q)
