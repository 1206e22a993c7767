"""Bayes' rule, expectations and naive Bayes. Rows P8 and P9 of the mission.

scikit-learn is the reference where it has the same.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minidl
from minidl.autograd import gradcheck
from minidl.probability import BernoulliNB, GaussianNB, bayes, expectation, variance
from minidl.utils.data import digits

# --- Bayes' rule (P8)


def test_the_posterior_after_medical_tests():
    """The book's 2.6.5: 0.15 % are ill; a test is positive for all of them and 1 % of the others, a second for 98 % and 3 %."""
    prior = [0.0015, 0.9985]
    evidence = 0.0015 * 1 + 0.9985 * 0.01
    assert evidence == pytest.approx(0.011485)
    first = bayes(minidl.tensor(prior, dtype=minidl.float64), [1.0, 0.01])
    assert first[0].item() == pytest.approx(0.0015 / evidence) == pytest.approx(0.1306, abs=5e-5)
    second = bayes(first, [0.98, 0.03])
    both = bayes(minidl.tensor(prior, dtype=minidl.float64), [1 * 0.98, 0.01 * 0.03])
    assert second[0].item() == pytest.approx(both[0].item()) == pytest.approx(0.8307, abs=5e-5)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_bayes_turns_a_joint_distribution_around(k, m, seed):
    joint = np.random.default_rng(seed).dirichlet(np.ones(k * m)).reshape(k, m)
    prior, likelihood = joint.sum(1), joint / joint.sum(1, keepdims=True)
    posterior = bayes(minidl.tensor(prior), minidl.tensor(likelihood))
    np.testing.assert_allclose(posterior.numpy(), joint / joint.sum(0), atol=1e-12)
    logs = bayes(minidl.tensor(np.log(prior)), minidl.tensor(np.log(likelihood)), log=True)
    np.testing.assert_allclose(logs.exp().numpy(), posterior.numpy(), atol=1e-12)


def test_logarithms_do_not_underflow():
    log_likelihood = minidl.tensor([-2000.0, -2001.0])
    posterior = bayes(minidl.tensor([0.5, 0.5]).log(), log_likelihood, log=True)
    assert posterior.exp().tolist() == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.e)], rel=1e-4)


def test_a_certain_prior_is_not_moved_and_gradients_pass():
    assert bayes([1.0, 0.0], [0.2, 0.9]).tolist() == [1, 0]
    likelihood = minidl.tensor(np.random.default_rng(0).uniform(0.1, 0.9, (3, 2)), requires_grad=True)
    assert gradcheck(lambda x: bayes([0.25, 0.25, 0.5], x), likelihood)


# --- expectations (P9)


def test_expectation_and_variance_of_an_investment():
    """The book's 2.6.7: returns 0, 2 and 10 with probabilities 0.5, 0.4 and 0.1; utilities −1, 2 and 10."""
    p, returns = minidl.tensor([0.5, 0.4, 0.1], dtype=minidl.float64), [0.0, 2.0, 10.0]
    assert expectation(p, returns).item() == pytest.approx(1.8)
    assert expectation(p, [-1.0, 2.0, 10.0]).item() == pytest.approx(1.3)
    assert variance(p, returns).item() == pytest.approx(8.36)
    square = expectation(p, minidl.tensor(returns) ** 2)
    assert variance(p, returns).item() == pytest.approx(square.item() - 1.8**2)


def test_expectation_is_linear_and_a_mean_comes_near_it():
    rng = np.random.default_rng(0)
    p = minidl.tensor(rng.dirichlet(np.ones(4), size=3))
    x, y = (minidl.tensor(rng.normal(size=4)) for _ in "xy")
    assert expectation(p, x).shape == (3,)
    assert minidl.allclose(expectation(p, 2 * x + y - 1), 2 * expectation(p, x) + expectation(p, y) - 1)
    assert minidl.allclose(variance(p, 2 * x + 1), 4 * variance(p, x))
    assert minidl.allclose(expectation(p.T, x.unsqueeze(1), dim=0), p @ x)
    assert minidl.allclose(variance(p.T, x.unsqueeze(1), dim=0), variance(p, x))
    minidl.manual_seed(0)
    n = 40_000
    drawn = minidl.multinomial(p, n, replacement=True)
    for row, mean, spread in zip(drawn, expectation(p, x), variance(p, x), strict=True):
        assert x[row].mean().item() == pytest.approx(mean.item(), abs=4 * math.sqrt(spread.item() / n))
        assert x[row].var().item() == pytest.approx(spread.item(), rel=0.05)


# --- naive Bayes (P8)


def binary(seed=0, n=60, k=7):
    rng = np.random.default_rng(seed)
    y = rng.choice([2, 5, 9], n)
    return (rng.random((n, k)) < rng.random((10, k))[y]).astype("f4"), y


def real(seed=0, n=60, k=4):
    rng = np.random.default_rng(seed)
    y = rng.choice([2, 5, 9], n)
    return rng.normal(size=(10, k))[y] + rng.normal(size=(n, k)), y


def test_plus_1_above_and_plus_2_below():
    X, y = binary()
    model = BernoulliNB().fit(minidl.tensor(X), minidl.tensor(y))
    assert model.classes_.tolist() == [2, 5, 9]
    for i, c in enumerate([2, 5, 9]):
        n = (y == c).sum()
        assert model.class_log_prior_[i].item() == pytest.approx(math.log(n / len(y)))
        for j in range(X.shape[1]):
            assert model.feature_log_prob_[i, j].exp().item() == pytest.approx((X[y == c, j].sum() + 1) / (n + 2))


def test_the_posterior_is_bayes_rule_with_a_product_over_features():
    X, y = binary()
    model = BernoulliNB(alpha=0.5).fit(minidl.tensor(X), minidl.tensor(y))
    p = model.feature_log_prob_.exp().numpy()  # (classes, features)
    likelihood = np.prod(np.where(X[:, None] == 1, p, 1 - p), 2).T  # (classes, N)
    posterior = bayes(model.class_log_prior_.exp(), minidl.tensor(likelihood))
    np.testing.assert_allclose(model.predict_proba(minidl.tensor(X)).numpy(), posterior.numpy().T)


SETTINGS = [
    (BernoulliNB, binary, {}),
    (BernoulliNB, binary, {"alpha": 0.3}),
    (BernoulliNB, binary, {"fit_prior": False}),
    (BernoulliNB, binary, {"class_prior": [0.2, 0.3, 0.5]}),
    (BernoulliNB, binary, {"binarize": None}),
    (BernoulliNB, real, {"binarize": 0.4}),
    (GaussianNB, real, {}),
    (GaussianNB, real, {"priors": [0.1, 0.1, 0.8]}),
    (GaussianNB, real, {"var_smoothing": 0.2}),
    (GaussianNB, binary, {"var_smoothing": 1e-3}),
]


@pytest.mark.parametrize(("kind", "data", "options"), SETTINGS)
def test_naive_bayes_is_scikit_learns(kind, data, options):
    theirs = getattr(pytest.importorskip("sklearn.naive_bayes"), kind.__name__)
    X, y = data()
    X = X.astype(np.float64)
    new = np.random.default_rng(9).permutation(X.ravel()).reshape(X.shape)
    ours, theirs = kind(**options).fit(minidl.tensor(X), minidl.tensor(y)), theirs(**options).fit(X, y)
    for name in ("classes_", "class_count_", "class_log_prior_", "feature_log_prob_", "feature_count_", "theta_", "var_"):
        assert hasattr(ours, name) == hasattr(theirs, name), name
        if hasattr(theirs, name):
            np.testing.assert_allclose(getattr(ours, name).numpy(), getattr(theirs, name), err_msg=name)
    if kind is GaussianNB:
        np.testing.assert_allclose(ours.class_prior_.numpy(), theirs.class_prior_)
        assert ours.epsilon_ == pytest.approx(theirs.epsilon_)
    for method in ("predict_joint_log_proba", "predict_log_proba", "predict_proba", "predict"):
        result = getattr(ours, method)(minidl.tensor(new)).numpy()
        np.testing.assert_allclose(result, getattr(theirs, method)(new), rtol=1e-6, atol=1e-12, err_msg=method)
    assert ours.score(minidl.tensor(X), minidl.tensor(y)) == theirs.score(X, y)


def test_what_was_never_seen_is_unlikely_not_impossible():
    X, y = minidl.tensor([[0, 1], [0, 1], [1, 0]]), minidl.tensor([0, 0, 1])
    model = BernoulliNB().fit(X, y)
    p = model.predict_proba(minidl.tensor([[1, 1]]))
    assert 0.1 < p.min().item() < p.max().item() < 0.9
    assert model.feature_log_prob_.exp()[0].tolist() == pytest.approx([1 / 4, 3 / 4])


def test_thousands_of_features_do_not_underflow():
    rng = np.random.default_rng(0)
    X, y = minidl.tensor((rng.random((20, 5000)) < 0.5).astype("f4")), minidl.tensor([0, 1] * 10)
    p = BernoulliNB().fit(X, y).predict_proba(X)
    assert p.isfinite().all()
    assert p.sum(1).tolist() == pytest.approx([1] * 20)


def test_probabilities_have_gradients():
    X, y = real(n=20)
    model = GaussianNB().fit(minidl.tensor(X), minidl.tensor(y))
    assert gradcheck(model.predict_log_proba, minidl.tensor(X[:3], requires_grad=True))


def test_naive_bayes_reads_digits():
    """8×8 digits, a pixel is 1 above half: mission 3.8 expects 0.83 to 0.88."""
    (X, y), (X_test, y_test) = (digits(train=train).tensors for train in (True, False))
    assert 0.83 < BernoulliNB(binarize=0.5).fit(X, y).score(X_test, y_test) < 0.93
    assert 0.75 < GaussianNB().fit(X, y).score(X_test, y_test) < 0.9


# --- mistakes

X2, Y2 = minidl.tensor([[0.0, 1.0], [1.0, 0.0]]), minidl.tensor([0, 1])
MISTAKES = [
    (lambda: bayes([0.5, 0.6], [1.0, 1.0]), ValueError, "bayes: the prior must be probabilities that sum to 1"),
    (lambda: bayes([1.5, -0.5], [1.0, 1.0]), ValueError, "-0.5 among them"),
    (lambda: bayes([0.5, 0.5], [1.0, 1.0, 1.0]), ValueError, r"of as many hypotheses, got \(2,\), \(3,\)"),
    (lambda: bayes(1.0, [1.0]), ValueError, r"expected a prior \(k,\)"),
    (lambda: bayes([0.5, 0.5], [-1.0, 1.0]), ValueError, "log=True"),
    (lambda: bayes([0.5, 0.5], [math.nan, 1.0]), ValueError, "likelihoods must be numbers of 0 or more"),
    (lambda: bayes([1.0, 0.0], [0.0, 1.0]), ValueError, "the evidence has probability 0"),
    (lambda: bayes([0.0, -math.inf], [-math.inf, 0.0], log=True), ValueError, "the evidence has probability 0"),
    (lambda: bayes(["a"], [1.0]), TypeError, "bayes: expected numbers as prior"),
    (lambda: expectation([0.5, 0.6], [1.0, 2.0]), ValueError, "expectation: p must be probabilities"),
    (lambda: expectation([0.5, 0.5], [1.0, 2.0, 3.0]), ValueError, "do not broadcast"),
    (lambda: variance([0.5, 0.5], [1.0, 2.0], dim=1), IndexError, "variance"),
    (lambda: variance(1.0, 2.0), ValueError, "variance: expected the probabilities"),
    (lambda: BernoulliNB(alpha=0), ValueError, "alpha must be above 0, got 0"),
    (lambda: BernoulliNB(fit_prior=1), TypeError, "fit_prior"),
    (lambda: BernoulliNB(binarize=None).fit(X2 * 2, Y2), ValueError, "must be 0 and 1"),
    (lambda: BernoulliNB(class_prior=[0.5, 0.2]).fit(X2, Y2), ValueError, "sum to 1, got a sum of 0.7"),
    (lambda: BernoulliNB(class_prior=[1.0]).fit(X2, Y2), ValueError, "a prior for each of 2 classes"),
    (lambda: BernoulliNB().predict(X2), RuntimeError, "fit comes first"),
    (lambda: BernoulliNB().fit(X2, Y2).predict(X2[:, :1]), ValueError, "expected 2 features"),
    (lambda: BernoulliNB().fit(X2, Y2).score(X2, Y2[:1]), ValueError, r"expected labels \(2,\)"),
    (lambda: BernoulliNB().fit(X2, Y2[:1]), ValueError, r"expected labels \(2,\)"),
    (lambda: BernoulliNB().fit(X2, X2[0]), ValueError, "of integers"),
    (lambda: BernoulliNB().fit(X2[:0], Y2[:0]), ValueError, "one or more"),
    (lambda: BernoulliNB().fit(X2 * math.nan, Y2), ValueError, "infinite or NaN"),
    (lambda: GaussianNB().fit(X2[0], Y2), ValueError, r"expected numbers \(examples, features\)"),
    (lambda: GaussianNB(var_smoothing=-1), ValueError, "var_smoothing"),
    (lambda: GaussianNB(var_smoothing=0).fit(X2, Y2), ValueError, "does not vary within a class"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()
