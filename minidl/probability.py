"""Bayes' rule, expectations, and the classifiers that are nothing but the rule: naive Bayes.

Bayes' rule turns around what depends on what: from how likely the evidence B is under each hypothesis A, and how likely the
hypotheses were before, to how likely they are now, P(A|B) = P(B|A) P(A)/P(B). A naive Bayes classifier learns P(x|class) and
P(class) by counting, as if the features of x did not depend on each other once the class is known, so that P(x|class) is a
product over features. Products of many small numbers are 0 in floating point: everything is computed with logarithms.

The classifiers have scikit-learn's names, arguments and results. What they learn is float64, and so are their probabilities;
gradients reach X where P(x|class) has a slope.

Source: *Dive into Deep Learning*, chapters 2.6 and 22.9.
"""

import math

import numpy as np

from .graph.watch import repeatable
from .ops.base import normalize_axis
from .tensors.arguments import number
from .tensors.creation import as_tensor
from .tensors.record import floating, wrap

__all__ = ["BernoulliNB", "GaussianNB", "bayes", "expectation", "variance"]

# --- distributions of few outcomes


def bayes(prior, likelihood, *, log=False):
    """P(A|B) = P(B|A) P(A)/P(B) for the hypotheses A: prior (k,), likelihood (k,) or (k, …) → the shape of likelihood

    likelihood: P(B|A) of the evidence B under each hypothesis, or a density; more axes hold several pieces of evidence, each
    for itself. Evidence that is impossible under all hypotheses is an error. The posterior is the prior of the next evidence,
    if this is independent of the first once A is known. log: all three are natural logarithms.

    A test finds every one of the 0.15 % who are ill, and takes 1 % of the others for ill. Positive: ill with probability 13 %.

    >>> posterior = bayes([0.0015, 0.9985], [1.0, 0.01])
    >>> posterior
    tensor([0.1306, 0.8694])
    >>> bayes(posterior, [0.98, 0.03])
    tensor([0.8307, 0.1693])
    """
    if not isinstance(log, bool):
        raise TypeError(f"bayes: log must be True or False, got {log!r}")
    prior, likelihood = _floats("bayes", "prior", prior), _floats("bayes", "likelihood", likelihood)
    if prior.ndim != 1 or not likelihood.ndim or len(prior) != len(likelihood) or not len(prior):
        raise ValueError(
            f"bayes: expected a prior (k,) and a likelihood (k, …) of as many hypotheses, got {prior.shape}, {likelihood.shape}"
        )
    with np.errstate(over="ignore"):
        _check_distribution("bayes: the prior", prior.array, log=log)
    if _any_wrong(likelihood.array, log):
        raise ValueError("bayes: likelihoods must be numbers of 0 or more; their logarithms go with log=True")
    prior = prior.reshape(-1, *[1] * (likelihood.ndim - 1))
    joint = prior + likelihood if log else prior * likelihood
    evidence = joint.logsumexp(0) if log else joint.sum(0)
    if _any_equal(evidence.array, -np.inf if log else 0):
        raise ValueError("bayes: the evidence has probability 0 under every hypothesis with a prior above 0")
    return joint - evidence if log else joint / evidence


def expectation(p, values, *, dim=-1):
    """E[X] = Σ p(x) x, of the values of a function f(x) instead E[f(X)]: values broadcast against p, summed along dim.

    An investment that loses all with probability 0.5, and returns its double or tenfold otherwise:

    >>> expectation([0.5, 0.4, 0.1], [0.0, 2.0, 10.0])
    tensor(1.8000)
    """
    p, values = _weighted("expectation", p, values, dim)
    return (p * values).sum(dim)


def variance(p, values, *, dim=-1):
    """Var[X] = E[(X − E[X])²], of the values that a variable takes with the probabilities p along dim.

    >>> variance([0.5, 0.4, 0.1], [0.0, 2.0, 10.0])
    tensor(8.3600)
    """
    p, values = _weighted("variance", p, values, dim)
    return (p * (values - (p * values).sum(dim, keepdim=True)) ** 2).sum(dim)


def _weighted(name, p, values, dim):
    p, values = _floats(name, "p", p), _floats(name, "values", values)
    try:
        shape = np.broadcast_shapes(p.shape, values.shape)
    except ValueError:
        raise ValueError(f"{name}: p {p.shape} and values {values.shape} do not broadcast") from None
    if not shape:
        raise ValueError(f"{name}: expected the probabilities of one value or more, got a number")
    normalize_axis(name, dim, len(shape))
    p = p.expand(shape)
    _check_distribution(f"{name}: p", p.array, dim)
    return p, values


def _floats(name, what, x):
    try:
        x = as_tensor(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected numbers as {what}: {error}") from None
    if x.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected numbers as {what}, got {x.dtype}")
    return floating(x)


@repeatable
def _check_distribution(name, p, dim=0, log=False):
    p = np.exp(p) if log else p
    wrong = np.isnan(p) | (p < 0)
    with np.errstate(over="ignore"):
        sums = p.sum(dim)
    if wrong.any() or (abs(sums - 1) > float(np.finfo(p.dtype).eps) ** 0.5).any():
        found = f"{p[wrong].flat[0]} among them" if wrong.any() else f"a sum of {np.asarray(sums).flat[0]:.6g}"
        raise ValueError(f"{name} must be probabilities that sum to 1, got {found}")


@repeatable
def _any_wrong(likelihood, log):
    return bool((np.isnan(likelihood) | (likelihood == np.inf)).any() or (not log and (likelihood < 0).any()))


@repeatable
def _any_equal(x, value):
    return bool((x == value).any())


@repeatable
def _all_finite(x):
    return bool(np.isfinite(x).all())


# --- naive Bayes


class _NaiveBayes:
    """What both have: the classes and their priors, and Bayes' rule over log P(x|class), which a subclass computes."""

    def fit(self, X, y):
        """Counts. X: (N, features); y: (N,), integers, of any values."""
        name = f"{type(self).__name__}.fit"
        X, y = self._features(name, X).array, as_tensor(y)
        if y.shape != (len(X),) or y.dtype.kind not in "iub" or not len(X):
            raise ValueError(f"{name}: expected labels ({len(X)},) of integers, one or more, got {y.dtype} {y.shape}")
        classes, which = np.unique(y.array, return_inverse=True)
        members = which == np.arange(len(classes))[:, None]  # (classes, N)
        given, counted = self._priors()
        prior = members.mean(1) if counted else np.full(len(classes), 1 / len(classes))
        if given is not None:
            prior = as_tensor(given, dtype=np.float64).array
            if prior.shape != classes.shape:
                raise ValueError(f"{name}: expected a prior for each of {len(classes)} classes, got shape {prior.shape}")
            _check_distribution(f"{name}: the prior", prior)
        self.classes_, self.class_count_ = wrap(classes), wrap(members.sum(1).astype(np.float64))
        self.n_features_in_ = X.shape[1]
        with np.errstate(divide="ignore"):
            self._log_prior = wrap(np.log(prior))
        self._learn(X, members)
        return self

    def predict_joint_log_proba(self, X):
        """log P(x, class): (N, features) → (N, classes), float64. Without classes that are impossible, logits."""
        name = f"{type(self).__name__}.predict_joint_log_proba"
        if not hasattr(self, "classes_"):
            raise RuntimeError(f"{name}: fit comes first")
        X = self._features(name, X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"{name}: expected {self.n_features_in_} features, got shape {X.shape}")
        return self._log_prior + self._log_likelihood(X)

    def predict_log_proba(self, X):
        """log P(class|x): (N, features) → (N, classes), float64."""
        return self.predict_joint_log_proba(X).log_softmax(1)

    def predict_proba(self, X):
        """P(class|x): (N, features) → (N, classes), float64."""
        return self.predict_log_proba(X).exp()

    def predict(self, X):
        """The most probable class of each example: (N, features) → (N,), labels as fit was given them."""
        best = self.predict_joint_log_proba(X).argmax(1)
        return self.classes_[best]

    def score(self, X, y):
        """The fraction of examples whose class is predicted."""
        predicted, y = self.predict(X), as_tensor(y)
        if predicted.shape != y.shape or not len(y):
            raise ValueError(f"{type(self).__name__}.score: expected labels {predicted.shape}, one or more, got {y.shape}")
        return (predicted == y).double().mean().item()

    def _features(self, name, X):
        X = as_tensor(X)
        if X.ndim != 2 or X.dtype.kind not in "fiub":
            raise ValueError(f"{name}: expected numbers (examples, features), got {X.dtype} {X.shape}")
        if not _all_finite(X.array):
            raise ValueError(f"{name}: X has values that are infinite or NaN")
        return X.double()


class BernoulliNB(_NaiveBayes):
    """Naive Bayes for features that are 0 or 1: P(xᵢ = 1|class) = (how often + alpha)/(examples of the class + 2 alpha).

    alpha = 1 is Laplace's smoothing, +1 above and +2 below: what was never seen is unlikely and not impossible. binarize: what
    is above it counts as 1; None for features that are 0 and 1 already. fit_prior=False: all classes alike before the evidence.
    log P(x, class) is linear in x, so this is a softmax regression whose weights are counted, not descended to.

    After fit: classes_, class_log_prior_, feature_log_prob_ (log P(xᵢ = 1|class)), class_count_, feature_count_.

    >>> import minidl
    >>> X, y = minidl.tensor([[1, 0], [1, 1], [0, 1]]), minidl.tensor([0, 0, 1])
    >>> model = BernoulliNB().fit(X, y)
    >>> model.feature_log_prob_.exp(), model.predict(minidl.tensor([[1, 0], [0, 1]]))
    (tensor([[0.7500, 0.5000],
            [0.3333, 0.6667]], dtype=minidl.float64), tensor([0, 1]))
    """

    def __init__(self, *, alpha=1.0, binarize=0.0, fit_prior=True, class_prior=None):
        self.alpha = number("BernoulliNB", "alpha", alpha)
        if not 0 < self.alpha < math.inf:
            raise ValueError(
                f"BernoulliNB: alpha must be above 0, got {alpha}; with 0 a value that was never seen decides alone, by log 0"
            )
        self.binarize = None if binarize is None else number("BernoulliNB", "binarize", binarize)
        if not isinstance(fit_prior, bool):
            raise TypeError(f"BernoulliNB: fit_prior must be True or False, got {fit_prior!r}")
        self.fit_prior, self.class_prior = fit_prior, class_prior

    def _priors(self):
        return self.class_prior, self.fit_prior

    def _features(self, name, X):
        X = super()._features(name, X)
        if self.binarize is not None:
            return wrap((X.array > self.binarize).astype(np.float64))
        if not np.isin(X.array, (0, 1)).all():
            raise ValueError(f"{name}: with binarize=None the features must be 0 and 1")
        return X

    def _learn(self, X, members):
        counts = members.astype(np.float64) @ X
        self.feature_count_ = wrap(counts)
        smoothed = members.sum(1, keepdims=True) + 2 * self.alpha
        self.feature_log_prob_ = wrap(np.log(counts + self.alpha) - np.log(smoothed))
        self._log_other = wrap(np.log(smoothed - counts - self.alpha) - np.log(smoothed))  # log P(xᵢ = 0|class)
        self.class_log_prior_ = self._log_prior

    def _log_likelihood(self, X):
        return X @ (self.feature_log_prob_ - self._log_other).T + self._log_other.sum(1)


class GaussianNB(_NaiveBayes):
    """Naive Bayes for real features: P(xᵢ|class) is normal, with the mean and the variance of the class.

    var_smoothing: this part of the largest variance of a feature is added to all variances, so that none is 0. priors: the
    probabilities of the classes, by default how often they came.

    After fit: classes_, class_prior_, class_count_, epsilon_ (what was added), and theta_ and var_, the means and variances, a
    row for each class.

    >>> import minidl
    >>> X, y = minidl.tensor([[-1.0], [1.0], [4.0], [6.0]]), minidl.tensor([0, 0, 1, 1])
    >>> model = GaussianNB().fit(X, y)
    >>> model.theta_.T, model.predict_proba(minidl.tensor([[2.5], [3.0]]))
    (tensor([[0., 5.]], dtype=minidl.float64), tensor([[0.5000, 0.5000],
            [0.0759, 0.9241]], dtype=minidl.float64))
    """

    def __init__(self, *, priors=None, var_smoothing=1e-9):
        self.var_smoothing, self.priors = number("GaussianNB", "var_smoothing", var_smoothing), priors
        if not 0 <= self.var_smoothing < math.inf:
            raise ValueError(f"GaussianNB: var_smoothing must be a number of 0 or more, got {var_smoothing}")

    def _priors(self):
        return self.priors, True

    def _learn(self, X, members):
        self.epsilon_ = self.var_smoothing * float(X.var(0).max(initial=0))
        parts = [X[rows] for rows in members]
        variances = np.array([part.var(0) for part in parts]) + self.epsilon_
        if not (variances > 0).all():
            raise ValueError("GaussianNB.fit: a feature does not vary within a class; give var_smoothing above 0, or drop it")
        self.theta_, self.var_ = wrap(np.array([part.mean(0) for part in parts])), wrap(variances)
        self.class_prior_ = self._log_prior.exp()

    def _log_likelihood(self, X):
        squares = ((X.unsqueeze(1) - self.theta_) ** 2 / self.var_).sum(2)
        return -0.5 * (squares + (2 * math.pi * self.var_).log().sum(1))
