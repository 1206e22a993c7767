"""Discrete distributions: against their probabilities counted out, moments of samples, gradients, shapes and errors; SciPy and
PyTorch as second opinions where they are there. Rows I36, P8 and P9 of the appendix of *Dive into Deep Learning*."""

import math

import numpy as np
import pytest

import minidl
from minidl import distributions as D
from minidl.autograd import gradcheck
from minidl.nn import functional as F

INF = math.inf


def double(values, grad=False):
    return minidl.tensor(values, dtype=minidl.float64, requires_grad=grad)


def array(x):
    return x.numpy(force=True) if isinstance(x, minidl.Tensor) else np.asarray(x)


def close(found, expected, rtol=1e-10, atol=1e-12):
    found, expected = array(found), array(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol, atol)


def chances(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def weights(*shape, seed=0):
    x = np.random.default_rng(seed).uniform(0.1, 1, shape)
    return x / x.sum(-1, keepdims=True)


def logit(p):
    return np.log(p) - np.log1p(-p)


def both(kind, p, *count):
    """The distribution by probabilities, and by logits."""
    logits = np.log(p) + 3 if issubclass(kind, (D.Categorical, D.OneHotCategorical, D.Multinomial)) else logit(p)
    return kind(*count, probs=double(p)), kind(*count, logits=double(logits))


def counted(distribution, most):
    """Enough values to hold all the probability, along a new first axis."""
    return minidl.arange(most + 1, dtype=minidl.float64).reshape(-1, *(1 for _ in distribution.batch_shape))


# Each with the values that it may take; for those without end, all that matter.
FINITE = {
    "Bernoulli": lambda seed: [(d, d.enumerate_support()) for d in both(D.Bernoulli, chances(3, seed=seed))],
    "Binomial": lambda seed: [(d, d.enumerate_support()) for d in both(D.Binomial, chances(3, seed=seed), 7)],
    "Geometric": lambda seed: [(d, counted(d, 1500)) for d in both(D.Geometric, chances(3, seed=seed))],
    "Poisson": lambda seed: [(d, counted(d, 150)) for d in [D.Poisson(double(20 * chances(3, seed=seed)))]],
    "Categorical": lambda seed: [(d, d.enumerate_support()) for d in both(D.Categorical, weights(3, 4, seed=seed))],
    "OneHotCategorical": lambda seed: [(d, d.enumerate_support()) for d in both(D.OneHotCategorical, weights(3, 4, seed=seed))],
    "Multinomial": lambda seed: [(d, outcomes(d)) for d in both(D.Multinomial, weights(3, 4, seed=seed), 5)],
}
EXAMPLES = [pytest.param(name, i, id=f"{name}-{i}") for name in FINITE for i in range(1 if name == "Poisson" else 2)]


def outcomes(d):
    """All counts of a Multinomial, in rows: (rows, 1, K)."""
    k = d.event_shape[0]
    grid = np.stack(np.meshgrid(*[np.arange(d.total_count + 1.0)] * k), -1).reshape(-1, 1, k)
    return double(grid[grid.sum(-1)[:, 0] == d.total_count])


def example(name, i, seed=0):
    return FINITE[name](seed)[i]


# --- probabilities, and all that follows from them


@pytest.mark.parametrize("name, i", EXAMPLES)
def test_P9_moments_entropy_and_mode_are_those_of_the_probabilities(name, i):
    d, values = example(name, i)
    p = array(d.log_prob(values).exp())
    close(p.sum(0), np.ones(3), rtol=1e-9)
    close(d.entropy(), -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(0), rtol=1e-9)
    close(d.perplexity(), array(d.entropy().exp()))
    if name == "Categorical":
        assert np.isnan(array(d.mean)).all()
        assert np.isnan(array(d.variance)).all()
    else:
        x = array(values)
        weight = p[..., None] if d.event_shape else p
        mean = (weight * x).sum(0)
        close(d.mean, mean, rtol=1e-8)
        close(d.variance, (weight * (x - mean) ** 2).sum(0), rtol=1e-8)
        close(d.stddev, np.sqrt(array(d.variance)))
    if name != "Multinomial":  # which has no mode in PyTorch either
        likeliest = p.argmax(0)
        x = np.broadcast_to(array(values), (len(p), *d.batch_shape, *d.event_shape))
        close(d.mode, np.stack([x[k, j] for j, k in enumerate(likeliest)]))


@pytest.mark.parametrize("name, i", EXAMPLES)
def test_divergence_counted_out(name, i):
    d, values = example(name, i)
    p = array(d.log_prob(values))
    for j in range(1 if name == "Poisson" else 2):
        other, _ = example(name, j, seed=1)
        expected = (np.exp(p) * (p - array(other.log_prob(values)))).sum(0)
        close(D.kl_divergence(d, other), expected, rtol=1e-8)
    close(D.kl_divergence(d, d), np.zeros(3), atol=1e-9)
    assert (array(D.kl_divergence(d, other)) > 0).all()


@pytest.mark.parametrize("name, i", EXAMPLES)
def test_P9_divergence_and_moments_by_monte_carlo(name, i):
    minidl.manual_seed(i)
    d, _ = example(name, i)
    other, _ = example(name, 0, seed=1)
    n = 20000
    x = d.sample((n,))
    assert x.shape == (n, *d.batch_shape, *d.event_shape)
    surprises = array(d.log_prob(x) - other.log_prob(x))
    error = surprises.std(0) / math.sqrt(n)
    assert (abs(surprises.mean(0) - array(D.kl_divergence(d, other))) < 5 * error + 1e-9).all()
    if name == "Categorical":
        found = np.stack([(array(x) == k).mean(0) for k in range(4)], -1)
        assert (abs(found - array(d.probs)) < 5 * np.sqrt(0.25 / n)).all()
    else:
        x, sd = array(x), array(d.stddev)
        assert (abs(x.mean(0) - array(d.mean)) < 5 * sd / math.sqrt(n)).all()
        assert (abs(x.var(0) / sd**2 - 1) < 0.1).all()


def test_divergence_of_a_bernoulli_and_a_poisson():
    p, q = D.Bernoulli(double([0.3, 0.0])), D.Poisson(double([0.7, 0.2]))
    values = double([[0.0, 0.0], [1.0, 1.0]])
    chance = array(p.log_prob(values).exp())
    ratio = np.where(chance > 0, np.log(np.where(chance > 0, chance, 1)) - array(q.log_prob(values)), 0)
    close(D.kl_divergence(p, q), (chance * ratio).sum(0))


# --- the edges


def test_certain_coins_have_no_entropy_and_exact_logarithms():
    p = double([0.0, 1.0, 0.5], grad=True)
    coin = D.Bernoulli(p)
    close(coin.log_prob(double([0.0, 1.0, 1.0])), [0, 0, -math.log(2)])
    close(coin.log_prob(double([1.0, 0.0, 0.0])), [-INF, -INF, -math.log(2)])
    close(coin.entropy(), [0, 0, math.log(2)])
    assert np.isnan(array(coin.mode)[2])
    (coin.log_prob(double([0.0, 1.0, 1.0])).sum() + coin.entropy().sum()).backward()
    assert np.isfinite(array(p.grad)).all()
    p.grad = None
    D.kl_divergence(coin, D.Bernoulli(double([0.5, 0.5, 0.5]))).sum().backward()
    assert np.isfinite(array(p.grad)).all()
    close(D.kl_divergence(D.Bernoulli(double([0.5, 0.0, 1.0])), D.Bernoulli(double([0.0, 0.0, 0.0]))), [INF, 0, INF])
    close(coin.logits, [-INF, INF, 0])
    again = D.Bernoulli(logits=coin.logits.detach().requires_grad_())
    close(again.log_prob(double([0.0, 1.0, 1.0])), [0, 0, -math.log(2)])
    close(again.log_prob(double([1.0, 0.0, 0.0])), [-INF, -INF, -math.log(2)])
    close(again.entropy(), [0, 0, math.log(2)])
    close(D.kl_divergence(again, coin), [0, 0, 0])


def test_promise_15_extreme_logits_in_float32():
    x = minidl.tensor([-1e30, -200.0, 200.0, 1e30], requires_grad=True)
    coin = D.Bernoulli(logits=x)
    ones = coin.log_prob(minidl.ones(4))
    np.testing.assert_allclose(array(ones), [-1e30, -200, 0, 0], 1e-6)
    assert ones.dtype == minidl.float32
    (coin.entropy().sum() + coin.log_prob(minidl.tensor([0.0, 0, 1, 1])).sum()).backward()
    assert np.isfinite(array(x.grad)).all()
    close(D.Bernoulli(logits=double(20.0)).entropy(), 20 / math.exp(20) + 1 / math.exp(20), rtol=1e-7)


def test_promise_17_impossible_classes_send_finite_gradients():
    for options in ({"probs": [[0.5, 0.5, 0.0]]}, {"logits": [[0.0, 0.0, -INF]]}):
        (which, values), *_ = options.items()
        parameter = double(values, grad=True)
        d = D.Categorical(**{which: parameter})
        close(d.entropy(), [math.log(2)])
        close(d.log_prob(minidl.tensor([2])), [-INF])
        rows = D.OneHotCategorical(**{which: parameter})
        other = D.OneHotCategorical(double([[0.2, 0.3, 0.5]]))
        close(rows.log_prob(double([[0.0, 0.0, 1.0]])), [-INF])
        close(D.kl_divergence(other, rows), [INF])
        total = d.entropy() + rows.log_prob(double([[1.0, 0.0, 0.0]])) + D.kl_divergence(rows, other) + d.log_prob(1)
        total.sum().backward()
        assert np.isfinite(array(parameter.grad)).all()
        trials = D.Multinomial(3, **{which: parameter.detach()})
        close(trials.log_prob(double([[1.0, 2.0, 0.0]])), [math.log(3 / 8)])
        close(trials.entropy(), D.Binomial(3, double([0.5])).entropy())


def test_degenerate_counts():
    close(D.Poisson(0.0).log_prob(minidl.tensor([0.0, 1.0])), np.array([0, -INF], np.float32))
    close(D.Poisson(double(0.0)).entropy(), 0.0)
    close(D.Poisson(double([0.0, 0.0])).sample((3,)), np.zeros((3, 2)))
    close(D.Binomial(4, double([0.0, 1.0])).log_prob(double([0.0, 4.0])), [0, 0])
    close(D.Binomial(4, double([0.0, 1.0])).sample((2,)), [[0, 4], [0, 4]])
    close(D.Binomial(4, double([0.0, 1.0])).entropy(), [0, 0])
    close(D.Binomial(0, double(0.3)).log_prob(0), 0.0)
    close(D.Geometric(double(1.0)).log_prob(double([0.0, 2.0])), [0, -INF])
    close(D.Geometric(double([1.0])).sample((3,)), np.zeros((3, 1)))
    close(D.Geometric(double(1.0)).entropy(), 0.0)
    close(D.Multinomial(0, double([0.5, 0.5])).sample((2,)), np.zeros((2, 2)))
    close(D.kl_divergence(D.Poisson(double([0.0, 2.0])), D.Poisson(double([3.0, 0.0]))), [3, INF])
    close(D.kl_divergence(D.Binomial(5, double(0.5)), D.Binomial(4, double(0.5))), INF)


def test_large_counts_keep_their_digits_and_are_drawn_quickly():
    minidl.manual_seed(0)
    for d in (D.Poisson(double(1e6)), D.Binomial(4_000_000, double(0.5)), D.Binomial(1000, double(0.999))):
        x = array(d.sample((20000,)))
        sd = d.stddev.item()
        assert abs(x.mean() - d.mean.item()) < 5 * sd / math.sqrt(20000)
        assert abs(x.var() / sd**2 - 1) < 0.06
    close(D.Binomial(10**6, double(0.5)).log_prob(5e5).exp(), math.sqrt(2 / (math.pi * 10**6)), rtol=1e-6)
    wide = D.Binomial(100000, minidl.tensor(0.5)).log_prob(minidl.tensor(50000.0))
    assert wide.item() == pytest.approx(0.5 * math.log(2 / (math.pi * 1e5)), abs=0.02)  # float32


def test_samples_by_inversion_have_their_probabilities():
    minidl.manual_seed(3)
    n = 100000
    for d, most in ((D.Poisson(double(3.7)), 12), (D.Binomial(12, double(0.7)), 12), (D.Poisson(double(0.2)), 3)):
        x = array(d.sample((n,)))
        values = np.arange(most + 1.0)
        expected = array(d.log_prob(double(values)).exp()) * n
        found = (x[:, None] == values).sum(0)
        kept = expected > 5
        chi2 = ((found - expected) ** 2 / expected)[kept].sum()
        assert chi2 < kept.sum() + 5 * math.sqrt(2 * kept.sum())


# --- gradients


def test_promise_03_gradients_of_discrete_distributions():
    p, q, x, y = (double(v, grad=True) for v in (chances(3), chances(3, seed=1), logit(chances(3)), logit(chances(3, seed=2))))
    ones = double([0.0, 1.0, 1.0])
    counts = double([0.0, 2.0, 5.0])
    for kind, count, value in ((D.Bernoulli, (), ones), (D.Binomial, (5,), counts), (D.Geometric, (), counts)):
        assert gradcheck(lambda p, k=kind, c=count, v=value: k(*c, probs=p).log_prob(v), [p])
        assert gradcheck(lambda x, k=kind, c=count, v=value: k(*c, logits=x).log_prob(v), [x])
        assert gradcheck(lambda p, k=kind, c=count: k(*c, probs=p).entropy(), [p])
        assert gradcheck(lambda x, k=kind, c=count: k(*c, logits=x).entropy(), [x])
        assert gradcheck(lambda p, q, k=kind, c=count: D.kl_divergence(k(*c, probs=p), k(*c, probs=q)), [p, q])
        assert gradcheck(lambda x, y, k=kind, c=count: D.kl_divergence(k(*c, logits=x), k(*c, logits=y)), [x, y])
        assert gradcheck(lambda x, q, k=kind, c=count: D.kl_divergence(k(*c, logits=x), k(*c, probs=q)), [x, q])
        assert gradcheck(lambda x, k=kind, c=count: k(*c, logits=x).variance + k(*c, logits=x).mean, [x])
    assert gradcheck(lambda p: D.Poisson(p).log_prob(counts) + D.Poisson(p).entropy(), [p])
    assert gradcheck(lambda p, q: D.kl_divergence(D.Poisson(p), D.Poisson(q)), [p, q])
    assert gradcheck(lambda p, q: D.kl_divergence(D.Bernoulli(p), D.Poisson(q)), [p, q])
    between = double([0.5, 2.3, 4.1], grad=True)  # no counts, but the formulas go on
    assert gradcheck(lambda p, k: D.Binomial(5, p, validate_args=False).log_prob(k), [p, between])
    assert gradcheck(lambda p, k: D.Poisson(p, validate_args=False).log_prob(k), [p, between])
    assert gradcheck(lambda p, k: D.Multinomial(5, p, validate_args=False).log_prob(k), [p, between])


def test_promise_03_gradients_of_distributions_of_classes():
    p, q, x, y = (double(v, grad=True) for v in (weights(2, 3), weights(2, 3, seed=1), weights(2, 3), weights(2, 3, seed=2)))
    row, index, counts = double([0.0, 1.0, 0.0]), minidl.tensor([[2, 0], [1, 1]]), double([1.0, 0.0, 3.0])
    for kind, count, value in ((D.Categorical, (), index), (D.OneHotCategorical, (), row), (D.Multinomial, (4,), counts)):
        assert gradcheck(lambda p, k=kind, c=count, v=value: k(*c, probs=p).log_prob(v), [p])
        assert gradcheck(lambda x, k=kind, c=count, v=value: k(*c, logits=x).log_prob(v), [x])
        assert gradcheck(lambda p, k=kind, c=count: k(*c, probs=p).entropy(), [p])
        assert gradcheck(lambda x, k=kind, c=count: k(*c, logits=x).entropy(), [x])
        assert gradcheck(lambda p, q, k=kind, c=count: D.kl_divergence(k(*c, probs=p), k(*c, probs=q)), [p, q])
        assert gradcheck(lambda x, q, k=kind, c=count: D.kl_divergence(k(*c, logits=x), k(*c, probs=q)), [x, q])
        assert gradcheck(lambda p, y, k=kind, c=count: D.kl_divergence(k(*c, probs=p), k(*c, logits=y)), [p, y])


def test_samples_have_no_gradient_and_two_walks_back_are_possible():
    x = double([0.3, -1.0], grad=True)
    coin = D.Bernoulli(logits=x)
    assert not coin.sample().requires_grad
    coin.entropy().sum().backward()
    coin.mean.sum().backward()  # nothing kept belongs to the first graph
    assert not D.Categorical(logits=x).sample().requires_grad
    assert not D.Bernoulli.has_rsample
    with pytest.raises(NotImplementedError, match="Bernoulli has no rsample"):
        coin.rsample()


# --- shapes and dtypes


@pytest.mark.parametrize("name, i", EXAMPLES)
def test_shapes(name, i):
    d, _ = example(name, i)
    event = {"OneHotCategorical": (4,), "Multinomial": (4,)}.get(name, ())
    assert (d.batch_shape, d.event_shape) == ((3,), event)
    assert d.sample().shape == (3, *event)
    assert d.sample((2, 0)).shape == (2, 0, 3, *event)
    x = d.sample((5, 2))
    assert x.dtype == (minidl.int64 if name == "Categorical" else minidl.float64)
    assert d.log_prob(x).shape == (5, 2, 3)
    assert d.log_prob(x[0, 0]).shape == (3,)
    assert d.entropy().shape == (3,)
    wide = d.expand((2, 3))
    assert type(wide) is type(d)
    assert wide.batch_shape == (2, 3)
    assert wide.sample((4,)).shape == (4, 2, 3, *event)
    close(wide.log_prob(x), d.log_prob(x))
    close(wide.entropy(), np.broadcast_to(array(d.entropy()), (2, 3)))


def test_supports_are_enumerated_with_or_without_the_batch():
    for d, n, event in (
        (D.Bernoulli(double(chances(2, 3))), 2, ()),
        (D.Binomial(4, double(chances(2, 3))), 5, ()),
        (D.Categorical(double(weights(2, 3, 6))), 6, ()),
        (D.OneHotCategorical(double(weights(2, 3, 6))), 6, (6,)),
    ):
        assert type(d).has_enumerate_support
        assert d.enumerate_support().shape == (n, 2, 3, *event)
        assert d.enumerate_support(expand=False).shape == (n, 1, 1, *event)
        close(d.log_prob(d.enumerate_support()).exp().sum(0), np.ones((2, 3)))
        assert d.support.check(d.enumerate_support()).all()


def test_numbers_make_single_distributions_in_float32():
    for d in (D.Bernoulli(0.3), D.Bernoulli(logits=1), D.Binomial(3, 0.3), D.Geometric(0.3), D.Poisson(2)):
        assert d.batch_shape == ()
        assert d.sample((2,)).dtype == minidl.float32
        assert d.log_prob(1).dtype == minidl.float32
    assert D.Binomial(minidl.tensor([[3], [5]]), minidl.tensor([0.5, 0.2])).sample().shape == (2, 2)
    assert repr(D.Bernoulli(0.5)) == "Bernoulli(probs: 0.5)"


def test_integer_and_boolean_values_do():
    coin = D.Bernoulli(double([0.3, 0.6]))
    close(coin.log_prob(minidl.tensor([True, False])), coin.log_prob(double([1.0, 0.0])))
    close(D.Poisson(double(2.0)).log_prob(minidl.tensor([3])), D.Poisson(double([2.0])).log_prob(3))
    d = D.Categorical(double(weights(4)))
    close(d.log_prob(double([0.0, 3.0])), d.log_prob(minidl.tensor([0, 3])))


# --- errors

COIN = minidl.tensor([0.5, 0.5])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: D.Bernoulli(), ValueError, "Bernoulli: give probs or logits, one of them"),
        (lambda: D.Geometric(0.5, 0.0), ValueError, "Geometric: give probs or logits, not both"),
        (lambda: D.Multinomial(2, COIN, COIN), ValueError, "Multinomial: give probs or logits, not both"),
        (lambda: D.Bernoulli(1.5), ValueError, r"Bernoulli: probs must be in \[0, 1\], got 1.5"),
        (lambda: D.Bernoulli(logits=math.nan), ValueError, "logits must be a number"),
        (lambda: D.Binomial(-1, 0.5), ValueError, "total_count must be an integer of at least 0, got -1"),
        (lambda: D.Binomial(1.5, 0.5), ValueError, "total_count must be an integer"),
        (lambda: D.Geometric(0.0), ValueError, "probs must be above 0 and at most 1, got 0.0"),
        (lambda: D.Poisson(-2.0), ValueError, "rate must be at least 0, got -2.0"),
        (lambda: D.Categorical(-COIN), ValueError, "probs must be finite, at least 0 and not all 0"),
        (lambda: D.Categorical(0 * COIN), ValueError, "probs must be finite, at least 0 and not all 0"),
        (lambda: D.Categorical(INF * COIN), ValueError, "probs must be finite"),
        (lambda: D.Categorical(logits=-INF * COIN), ValueError, "not all -inf along the last axis"),
        (lambda: D.Categorical(logits=INF * COIN), ValueError, "logits must be numbers below"),
        (lambda: D.Categorical(logits=math.nan * COIN), ValueError, "logits must be numbers below"),
        (lambda: D.Categorical([0.5, 0.5]), TypeError, "expected probs as a tensor, got list"),
        (lambda: D.Categorical(minidl.tensor(0.5)), ValueError, r"axis of one class or more, got shape \(\)"),
        (lambda: D.Multinomial(COIN, COIN), NotImplementedError, "total_count must be one integer"),
        (lambda: D.Multinomial(-1, COIN), ValueError, "total_count must not be negative"),
        (lambda: D.Bernoulli(COIN).log_prob(0.5), ValueError, "the value must be 0 or 1, got 0.5"),
        (lambda: D.Binomial(3, COIN).log_prob(4), ValueError, "the value must be an integer in"),
        (lambda: D.Categorical(COIN).log_prob(2), ValueError, r"the value must be an integer in \[0, 1\]"),
        (lambda: D.OneHotCategorical(COIN).log_prob(2 * COIN), ValueError, "must be one 1 among zeros"),
        (lambda: D.OneHotCategorical(COIN).log_prob(minidl.tensor([1.0, 0.0, 0.0])), ValueError, r"event_shape \(2,\)"),
        (lambda: D.Multinomial(3, COIN).log_prob(2 * COIN), ValueError, "with the sum 3 along the last axis"),
        (lambda: D.Poisson(1.0).log_prob(-1), ValueError, "the value must be an integer of at least 0"),
        (lambda: D.Bernoulli(COIN).log_prob(minidl.zeros(3)), ValueError, "does not broadcast"),
        (lambda: D.Binomial(minidl.tensor([2, 3]), COIN).entropy(), NotImplementedError, r"no common support.*\[2.0, 3.0\]"),
        (lambda: D.Poisson(1e12).sample(), NotImplementedError, "too long to draw"),
        (lambda: D.Binomial(1e12, 0.5).sample(), NotImplementedError, "too long to draw"),
        (lambda: D.Poisson(1e7).entropy(), NotImplementedError, "too many of them for the rate 1e\\+07"),
        (lambda: D.kl_divergence(D.Binomial(2, COIN), D.Binomial(3, COIN)), NotImplementedError, "fewer throws"),
        (lambda: D.kl_divergence(D.Multinomial(2, COIN), D.Multinomial(3, COIN)), NotImplementedError, "total_count"),
        (lambda: D.kl_divergence(D.Categorical(COIN), D.Categorical(minidl.ones(3))), ValueError, "2 classes and q 3"),
        (lambda: D.kl_divergence(D.Categorical(COIN), D.OneHotCategorical(COIN)), NotImplementedError, "no formula"),
        (lambda: D.Bernoulli(COIN).sample(3), TypeError, "sample_shape must be a tuple"),
        (lambda: D.Categorical(COIN).sample(3), TypeError, "sample_shape must be a tuple"),
    ],
)
def test_promise_28_errors_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_checks_can_be_turned_off():
    assert D.Bernoulli(COIN, validate_args=False).log_prob(minidl.tensor([0.5, 1.0])).shape == (2,)
    assert np.isnan(array(D.Bernoulli(minidl.tensor(2.0), validate_args=False).entropy()))


# --- rows of the book


def test_I36_the_likelihood_of_a_multinoulli_and_its_cross_entropy():
    labels = minidl.tensor([0, 2, 2, 1, 2])
    x = double(np.random.default_rng(0).normal(size=(5, 3)), grad=True)
    likelihood = D.Categorical(logits=x).log_prob(labels)
    close(-likelihood.mean(), F.cross_entropy(x, labels).item())
    z = F.one_hot(labels, 3).double()
    close(D.OneHotCategorical(logits=x).log_prob(z), likelihood)
    close(likelihood, (z * x.log_softmax(1)).sum(1))  # Σ zⱼ ln πⱼ
    counts = z.sum(0)
    pi = (counts / 5).requires_grad_()
    best = D.Multinomial(5, pi).log_prob(counts)
    best.backward()
    close(pi.grad, np.zeros(3), atol=1e-9)  # at the frequencies no change of the weights is for the better
    for other in ([0.2, 0.3, 0.5], [1 / 3] * 3):
        assert D.Multinomial(5, double(other)).log_prob(counts).item() < best.item()


def test_P8_bayes_theorem_of_a_test():
    """One in a thousand is ill. The test finds all of them, and one in a hundred of the others."""
    ill = D.Bernoulli(double(0.001))
    hypotheses = ill.enumerate_support()
    positive = D.Bernoulli(double([0.01, 1.0]))  # if healthy, if ill
    joint = ill.log_prob(hypotheses) + positive.log_prob(1)
    posterior = D.Categorical(logits=joint)
    assert posterior.probs[1].item() == pytest.approx(0.001 / (0.001 + 0.999 * 0.01))
    twice = D.Categorical(logits=joint + positive.log_prob(1))
    assert twice.probs[1].item() == pytest.approx(0.001 / (0.001 + 0.999 * 0.0001))


def test_P9_the_mean_of_a_sample_tends_to_the_expectation():
    minidl.manual_seed(0)
    die = D.Categorical(minidl.ones(6, dtype=minidl.float64))
    faces = die.enumerate_support() + 1
    expectation = (die.probs * faces).sum().item()
    variance = (die.probs * (faces - expectation) ** 2).sum().item()
    assert (expectation, variance) == (pytest.approx(3.5), pytest.approx(35 / 12))
    rolls = array(die.sample((40000,)) + 1.0)
    for n in (100, 2500, 40000):
        assert abs(rolls[:n].mean() - 3.5) < 4 * math.sqrt(variance / n)


# --- second opinions


def test_discrete_distributions_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    p, k = chances(50), np.random.default_rng(1).integers(0, 2, 50).astype(float)
    n, rate = np.random.default_rng(2).integers(1, 300, 50), 100 * chances(50, seed=3)
    close(D.Bernoulli(double(p)).log_prob(double(k)), stats.bernoulli.logpmf(k, p), 1e-9)
    close(D.Bernoulli(double(p)).entropy(), stats.bernoulli.entropy(p), 1e-9)
    m = np.floor(n * p)
    close(D.Binomial(minidl.tensor(n), double(p)).log_prob(double(m)), stats.binom.logpmf(m, n, p), 1e-8)
    close(D.Binomial(40, double(p[:5])).entropy(), stats.binom.entropy(40, p[:5]), 1e-8)
    close(D.Geometric(double(p)).log_prob(double(m)), stats.geom.logpmf(m + 1, p), 1e-9)
    close(D.Geometric(double(p[:5])).entropy(), stats.geom.entropy(p[:5]), 1e-6)
    close(D.Poisson(double(rate)).log_prob(double(m)), stats.poisson.logpmf(m, rate), 1e-9)
    close(D.Poisson(double(rate[:5])).entropy(), stats.poisson.entropy(rate[:5]), 1e-6)
    w, counts = weights(50, 4), np.random.default_rng(4).multinomial(20, [0.25] * 4, 50)
    close(D.Multinomial(20, double(w)).log_prob(double(counts)), stats.multinomial.logpmf(counts, 20, w), 1e-9)
    close(D.Multinomial(20, double(w[:5])).entropy(), [stats.multinomial.entropy(20, row) for row in w[:5]], 1e-8)


@pytest.mark.parametrize("which", ["probs", "logits"])
@pytest.mark.parametrize("name", ["Bernoulli", "Binomial", "Geometric", "Categorical", "OneHotCategorical", "Multinomial"])
def test_discrete_distributions_agree_with_torch(name, which):
    torch = pytest.importorskip("torch")
    classes = name in ("Categorical", "OneHotCategorical", "Multinomial")
    count = {"Binomial": (9,), "Multinomial": (9,)}.get(name, ())
    for seed in range(5):
        shape = (4, 3) if classes else (4,)
        draw = np.random.default_rng(seed).uniform(0.05, 0.95, (2, *shape))
        parameters = draw if which == "probs" else np.log(draw)
        ours, other = (getattr(D, name)(*count, **{which: double(x)}) for x in parameters)
        theirs, their_other = (getattr(torch.distributions, name)(*count, **{which: torch.tensor(x)}) for x in parameters)
        value = theirs.sample((6,))
        close(ours.log_prob(minidl.tensor(value.numpy())), theirs.log_prob(value).numpy(), 1e-6)
        for quantity in ("probs", "logits", "mean", "variance", "stddev"):
            close(getattr(ours, quantity), getattr(theirs, quantity).numpy(), 1e-6)
        close(ours.entropy(), theirs.entropy().numpy(), 1e-6)
        if name != "Multinomial":
            close(ours.mode, theirs.mode.numpy())
            kl = torch.distributions.kl_divergence(theirs, their_other)
            close(D.kl_divergence(ours, other), kl.numpy(), 1e-6)
        if name not in ("Geometric", "Multinomial"):
            for expand in (True, False):
                close(ours.enumerate_support(expand), theirs.enumerate_support(expand).numpy())
        if name != "Geometric":
            assert ours.param_shape == tuple(theirs.param_shape)
        assert ours.sample().dtype == minidl.tensor(theirs.sample().numpy()).dtype


def test_poisson_agrees_with_torch():
    torch = pytest.importorskip("torch")
    rates = 30 * np.random.default_rng(0).random((2, 50))
    ours, other = (D.Poisson(double(r)) for r in rates)
    theirs, their_other = (torch.distributions.Poisson(torch.tensor(r)) for r in rates)
    value = theirs.sample((4,))
    close(ours.log_prob(double(value.numpy())), theirs.log_prob(value).numpy(), 1e-6)
    close(D.kl_divergence(ours, other), torch.distributions.kl_divergence(theirs, their_other).numpy(), 1e-6)
    bernoulli = D.Bernoulli(double(rates[0] / 30)), torch.distributions.Bernoulli(torch.tensor(rates[0] / 30))
    expected = torch.distributions.kl_divergence(bernoulli[1], their_other).numpy()
    close(D.kl_divergence(bernoulli[0], other), expected, 1e-6)
    close(ours.mode, theirs.mode.numpy())


def test_samples_are_those_of_torchs_stream():
    torch = pytest.importorskip("torch")
    p = chances(3, 4).astype(np.float32)
    torch.manual_seed(0)
    minidl.manual_seed(0)
    # One draw of classes is a race of exponentials, which PyTorch takes from MKL's stream on some processors.
    own = torch.empty(3).exponential_().numpy() == pytest.approx(minidl.default_generator.exponential(3), rel=1e-5)
    for name, count in (
        ("Bernoulli", ()),
        ("Geometric", ()),
        ("Categorical", ()),
        ("OneHotCategorical", ()),
        ("Multinomial", (7,)),
    ):
        for shape in ((5,), (2, 3), ()) if own else ((5,), (2, 3)):
            minidl.manual_seed(1)
            torch.manual_seed(1)
            ours = getattr(D, name)(*count, probs=minidl.tensor(p)).sample(shape)
            theirs = getattr(torch.distributions, name)(*count, probs=torch.tensor(p)).sample(shape)
            close(ours, theirs.numpy())
