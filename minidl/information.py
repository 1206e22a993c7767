"""Information theory: how much an outcome tells, and how different two distributions are.

Every quantity here is an expected logarithm, E_p log(…), and every function is a few lines of differentiable operations.

Units. `base` is the base of the logarithm: 2 for bits (the default), math.e for nats, 10 for hartleys. The losses of `nn`
are in nats; bits are nats divided by ln 2.

Shapes. A tensor is one distribution, whatever its shape, unless `dim` says along which axis (or axes) the distributions lie.
A joint distribution p(x, y) is a matrix, x in rows and y in columns. Lists and ndarrays are taken as `minidl.tensor` takes
them; numbers alone are computed with in float64 and give a number.

Zeros. 0·log 0 = 0, and the gradient of such a term is 0, not the −∞ or NaN of the formula: through log-probabilities or
logits that would become NaN. Elsewhere the gradient is the formula's, with the elements as independent
variables: for the entropy −log p − 1/ln base. Where p > 0 and q = 0 a divergence is +inf, its gradients for these p and q are
infinite, too, and those of the other elements are not changed. Through a softmax they become NaN: for predictions that may
underflow give log_softmax, with log=True.

Checks. Probabilities must not be negative and must sum to 1, within the square root of their dtype's
precision (3e-4 in float32, 1e-8 in float64), or a ValueError says which do not. Some textbook examples do not fulfil this, so
there are two ways to compute a formula without checks. `raw=True` checks nothing, leaves out the terms that are NaN, as chapter
22.11 of *Dive into Deep Learning* does by `nansum`, and takes the absolute value of a divergence. It must be
asked for, because the number may mean nothing. The other way is to give conditional_entropy and mutual_information their
marginals, as that chapter does: p_xy is divided by them, and nothing is checked there either. If only the joint
distribution is given, the marginals are computed.

Small probabilities. 1/52! is 0 in float32. With `log=True` all probabilities are given by their natural logarithms.

Source: Shannon, A Mathematical Theory of Communication (1948), and the chapter above.
"""

import math
import numbers

import numpy as np

from . import ops
from .graph.watch import repeatable
from .ops.base import normalize_axes
from .tensors.creation import as_tensor, zeros_like
from .tensors.indexing import where
from .tensors.joining import stack
from .tensors.record import apply, floating, number_array, wrap
from .tensors.tensor import Tensor

__all__ = [
    "bivariate_normal_mutual_information",
    "conditional_entropy",
    "cross_entropy",
    "entropy",
    "jensen_shannon",
    "joint_entropy",
    "kl_divergence",
    "multivariate_normal_entropy",
    "mutual_information",
    "normal_entropy",
    "normal_kl",
    "perplexity",
    "pointwise_mutual_information",
    "self_information",
    "uniform_entropy",
]

# --- of one distribution


def self_information(p, *, base: float = 2, log=False):
    """−log p, the information in an event of probability p: any shape, elementwise. +inf where p is 0.

    >>> self_information(1 / 64)
    6.0
    >>> self_information([1.0, 0.25])
    tensor([0., 2.])
    """
    (p,), result = _read("self_information", p)
    _check_each("self_information", p, log)
    return result(0 - _log(p, base, log))


def entropy(p, *, base: float = 2, dim=None, log=False, raw=False):
    """H(X) = −Σ p log p, the expected information: between 0 (a certain outcome) and log k (k equally likely outcomes).

    >>> entropy([0.1, 0.5, 0.1, 0.3])
    tensor(1.6855)
    >>> entropy([[0.5, 0.5], [0.0, 1.0]], dim=1)
    tensor([1., 0.])
    """
    (p,), result = _read("entropy", p)
    if not raw:
        _check("entropy", p, dim, log, "; raw=True computes the formula all the same")
    return result(0 - _expected_log(p, p, (), None if raw else _is_zero(p, log), base, dim, log))


def joint_entropy(p_xy, *, base: float = 2, log=False, raw=False):
    """H(X, Y) = −ΣΣ p(x, y) log p(x, y), for two axes or more, one for each variable.

    >>> joint_entropy([[0.1, 0.5], [0.1, 0.3]])
    tensor(1.6855)
    """
    (p,), result = _read("joint_entropy", p_xy)
    if not raw:
        if p.ndim < 2:
            raise ValueError(f"joint_entropy: expected an axis for each of two variables or more, got shape {p.shape}")
        _check("joint_entropy", p, None, log, "; raw=True computes the formula all the same")
    return result(0 - _expected_log(p, p, (), None if raw else _is_zero(p, log), base, None, log))


def perplexity(p, *, dim=None, log=False):
    """exp(−mean ln p), of the probabilities p that a model gave to the actual outcomes: any shape, the mean over dim or all.

    It is 1 for certainty, k for a uniform guess among k outcomes, +inf if one p is 0. A mean
    loss in nats, as nn.CrossEntropyLoss has it, makes the perplexity loss.exp(); an entropy H in bits, 2**H.

    >>> perplexity([0.25, 0.25, 0.25])
    tensor(4.)
    """
    (p,), result = _read("perplexity", p)
    _check_each("perplexity", p, log)
    if not p.numel():
        raise ValueError(f"perplexity: expected the probability of one outcome or more, got shape {p.shape}")
    return result(2 ** -_log(p, 2, log).mean(dim))


# --- of two variables


def conditional_entropy(p_xy, p_x=None, *, base: float = 2, log=False):
    """H(Y|X) = −ΣΣ p(x, y) log p(y|x), the expected information in the column if the row is known.

    p_xy: (X, Y). For H(X|Y) give the transpose. p_x, if given, divides p_xy as it broadcasts (the marginal of the rows has
    shape (X, 1)), and nothing is checked: see `raw` above.

    >>> conditional_entropy([[0.1, 0.5], [0.1, 0.3]])
    tensor(0.7145)
    >>> conditional_entropy([[0.1, 0.5], [0.2, 0.3]], [0.2, 0.8])
    tensor(0.8635)
    """
    if p_x is not None:
        (p, p_x), result = _read("conditional_entropy", p_xy, p_x)
        return result(0 - _expected_log(p, p, (p_x,), None, base, None, log))
    (p,), result = _read("conditional_entropy", p_xy)
    _check_table("conditional_entropy", p, log)
    return result(0 - _expected_log(p, p, (_marginal(p, 1, log),), _is_zero(p, log), base, None, log))


def mutual_information(p_xy, p_x=None, p_y=None, *, base: float = 2, log=False):
    """I(X, Y) = ΣΣ p(x, y) log p(x, y)/(p(x) p(y)), what one variable tells about the other: 0 if they are independent.

    p_xy: (X, Y). p_x and p_y, if given (both, then), divide p_xy as their product broadcasts (the marginals have shapes (X, 1)
    and (1, Y)), and nothing is checked: see `raw` above.

    >>> mutual_information([[0.1, 0.5], [0.1, 0.3]])
    tensor(0.0074)
    >>> mutual_information([[0.1, 0.5], [0.1, 0.3]], [0.2, 0.8], [[0.75, 0.25]])
    tensor(0.7195)
    """
    if (p_x is None) != (p_y is None):
        raise TypeError("mutual_information: give both marginals, p_x and p_y, or neither")
    if p_x is not None:
        (p, p_x, p_y), result = _read("mutual_information", p_xy, p_x, p_y)
        return result(_expected_log(p, p, (p_x + p_y if log else p_x * p_y,), None, base, None, log))
    (p,), result = _read("mutual_information", p_xy)
    _check_table("mutual_information", p, log)
    wide = p.double()
    p_x, p_y = _marginal(wide, 1, log), _marginal(wide, 0, log)
    if log:
        nats = relative_entropy(wide, (p_x + p_y).expand_as(p), None, True)
        return result(_log(nats, base, True).to(p.dtype))
    # D(p‖p_x·p_y), by p_x: the product of two small probabilities may be 0
    rows = wide / p_x.masked_fill(p_x == 0, 1)
    nats = (p_x.squeeze(1) * relative_entropy(rows, p_y.expand_as(p), 1)).sum()
    return result(_log(nats, base, True).to(p.dtype))


def pointwise_mutual_information(p_xy, *, base: float = 2, log=False):
    """log p(x, y)/(p(x) p(y)) for each pair: how much more often x and y meet than by chance. (X, Y) → (X, Y)

    −inf where both occur but never together, with the gradient 0; 0 where one of them never occurs.

    >>> pointwise_mutual_information([[0.25, 0.0], [0.25, 0.5]])
    tensor([[ 1.0000,    -inf],
            [-0.5850,  0.4150]])
    """
    (p,), result = _read("pointwise_mutual_information", p_xy)
    _check_table("pointwise_mutual_information", p, log)
    x, y, zero = _marginal(p, 1, log), _marginal(p, 0, log), -math.inf if log else 0
    never, both_occur = p == zero, (x != zero) & (y != zero)
    p, *marginals = (t.masked_fill(never, 0 if log else 1) for t in (p, x, y))
    return result(_log_ratio(p, marginals, base, log).masked_fill(never & both_occur, -math.inf))


# --- of two distributions


def kl_divergence(p, q, *, base: float = 2, dim=None, log=False, raw=False):
    """D(P‖Q) = Σ p log p/q ≥ 0, the extra bits if outcomes of P are coded by a code made for Q: 0 only if P = Q. Not symmetric.

    p, q: one shape. +inf where p > 0 and q = 0. With raw its absolute value.

    >>> kl_divergence([0.5, 0.5], [0.75, 0.25])
    tensor(0.2075)
    >>> kl_divergence([0.5, 0.5], [1.0, 0.0])
    tensor(inf)
    """
    (p, q), result = _read("kl_divergence", p, q)
    if raw:
        return result(_expected_log(p, p, (q,), None, base, dim, log).abs())
    _check_pair("kl_divergence", p, q, dim, log, "; raw=True computes the formula all the same")
    return result(_log(relative_entropy(p.double(), q.double(), dim, log), base, True).to(p.dtype))


def cross_entropy(p, q, *, base: float = 2, dim=None, log=False):
    """CE(P, Q) = −Σ p log q = H(P) + D(P‖Q), the expected −log q for outcomes of P.

    p, q: one shape. +inf where p > 0 and q = 0. The loss of that name, of logits against class labels, in nats and averaged
    over examples, is nn.functional.cross_entropy. Of probabilities it is nn.functional.nll_loss(q.log(),
    labels), which is the mean of this over rows p that are one-hot, with base=math.e.

    >>> cross_entropy([0.5, 0.5], [0.75, 0.25])
    tensor(1.2075)
    """
    (p, q), result = _read("cross_entropy", p, q)
    if p.shape != q.shape and 1 in (p.ndim, q.ndim) and 2 in (p.ndim, q.ndim):
        raise ValueError(
            f"cross_entropy: p {p.shape} and q {q.shape} must be distributions of one shape; for the loss of class labels use "
            "nn.functional.nll_loss(probabilities.log(), labels), for the labels as distributions nn.functional.one_hot"
        )
    _check_pair("cross_entropy", p, q, dim, log)
    return result(0 - _expected_log(p, q, (), _is_zero(p, log) & _is_zero(q, log), base, dim, log))


def jensen_shannon(p, q, *, base: float = 2, dim=None, log=False):
    """½D(P‖M) + ½D(Q‖M), M = ½(P + Q) the even mixture: a symmetric divergence from 0 to 1 bit, finite for all P and Q.

    p, q: one shape. (Lin, Divergence measures based on the Shannon entropy, 1991)

    >>> jensen_shannon([1.0, 0.0], [0.0, 1.0])
    tensor(1.)
    """
    (p, q), result = _read("jensen_shannon", p, q)
    _check_pair("jensen_shannon", p, q, dim, log)
    dtype, p, q = p.dtype, p.double(), q.double()
    total = stack([p, q]).logsumexp(0) if log else p + q  # 2M instead of M: half of the smallest number would be 0
    parts = [relative_entropy(t + math.log(2) if log else 2 * t, total, dim, log) for t in (p, q)]
    return result(_log((parts[0] + parts[1]) / 4, base, True).to(dtype))


# --- of densities: an entropy is then relative to the unit of x, and may be negative


def uniform_entropy(low, high, *, base: float = 2):
    """log(high − low), of the uniform distribution between them: the largest on that interval. Elementwise.

    >>> uniform_entropy(0, 0.5)
    -1.0
    """
    (low, high), result = _read("uniform_entropy", low, high)
    width = high - low
    _require("uniform_entropy", "high − low", width, _above_0, "must be above 0")
    return result(_log(width, base))


def normal_entropy(std, *, base: float = 2):
    """½ log(2πe·std²), of normal distributions with the standard deviations std: the largest for the variance. Elementwise.

    >>> normal_entropy([1.0, 0.5])
    tensor([2.0471, 1.0471])
    """
    (std,), result = _read("normal_entropy", std)
    _require("normal_entropy", "std", std, _above_0, "must be above 0")
    return result(_log(std * math.sqrt(2 * math.pi * math.e), base))


def multivariate_normal_entropy(covariance, *, base: float = 2):
    """½ log((2πe)ᵏ det Σ), of the normal distribution with the covariance Σ. (…, k, k) → (…)

    >>> multivariate_normal_entropy([[1.0, 0.0], [0.0, 1.0]])
    tensor(4.0942)
    """
    (covariance,), result = _read("multivariate_normal_entropy", covariance)
    _check_covariance(covariance)
    nats = (apply(ops.LogDet(), covariance) + covariance.shape[-1] * math.log(2 * math.pi * math.e)) / 2
    return result(_log(nats, base, log=True))


def normal_kl(mean1, std1, mean2, std2, *, base: float = 2):
    """D(N(mean1, std1²)‖N(mean2, std2²)) = ln std2/std1 + (std1² + (mean1 − mean2)²)/(2 std2²) − ½ nats. With broadcasting.

    >>> normal_kl(0, 1, 1, 1, base=math.e)
    0.5
    """
    (mean1, std1, mean2, std2), result = _read("normal_kl", mean1, std1, mean2, std2)
    for name, std in (("std1", std1), ("std2", std2)):
        _require("normal_kl", name, std, _above_0, "must be above 0")
    ratio, gap = std1 / std2, (mean1 - mean2) / std2
    log_square = 2 * ratio.log()  # ratio² − 1 − ln ratio² is not below 0
    nats = (apply(ops.RelativeEntropy(log=True), zeros_like(log_square), log_square) + gap * gap) / 2
    return result(_log(nats, base, log=True))


def bivariate_normal_mutual_information(correlation, *, base: float = 2):
    """−½ log(1 − ρ²), of two jointly normal variables with the correlation ρ: +inf for ±1. Elementwise.

    >>> bivariate_normal_mutual_information([0.0, 0.5])
    tensor([0.0000, 0.2075])
    """
    (rho,), result = _read("bivariate_normal_mutual_information", correlation)
    _require("bivariate_normal_mutual_information", "correlation", rho, _within_1, "must lie in [−1, 1]")
    return result(_log((-rho * rho).log1p() * -0.5, base, log=True))


# --- the one formula


def relative_entropy(p, q, dim, log=False):
    """Σ p·ln(p/q) − p + q along dim: D(P‖Q). No term is below 0, and none loses digits where P is near Q.

    For float64, in nats. The gradient is that of Σ p·ln(p/q); −p + q, which sums to 0 for distributions, has none.
    """
    zero = (p.detach().exp() if log else p.detach()) == 0  # such a term has the gradient 0
    rest = where(zero, 0.0, p.exp() - q.exp() if log else p - q)
    terms = apply(ops.RelativeEntropy(log), p, where(zero, q.detach(), q))
    return (terms + (rest - rest.detach())).sum(dim)


def _expected_log(p, over, under, drop, base, dim, log):
    """Σ p·log(over/Π under) along dim. Terms to drop are computed as 1·log 1: value and gradients are then 0, never 0·∞.

    drop: where, or None for where the terms are NaN.
    """
    if drop is None:
        ratio = _over(over.detach(), [x.detach() for x in under], log)
        drop = ((p.detach().exp() if log else p.detach()) * _log(ratio, base, log)).isnan()
    blank = 0 if log else 1
    p, over, *under = (x.masked_fill(drop, blank) for x in (p, over, *under))
    return ((p.exp() if log else p) * _log_ratio(over, under, base, log)).sum(dim)


def _log_ratio(x, divisors, base, log):
    """log(x/Π divisors), where that ratio is not negative. +inf where one of them is 0, with gradients that are not NaN."""
    ratio = _over(x, divisors, log)
    if log or not divisors or not ratio.isinf().any():
        return _log(ratio, base, log)
    # The gradient through an infinite ratio is ∞·0. A difference of logarithms avoids it, but is less exact for ratios near 1.
    log_x, *others = (_log(where(t < 0, -t, t), base) for t in (x, *divisors))
    return log_x - sum(others)


def _over(x, divisors, log):
    """x divided by each; one after the other, because the product of two small probabilities may be 0."""
    for divisor in divisors:
        x = x - divisor if log else x / divisor
    return x


def _log(x, base, log=False):
    """The logarithm of x; with `log`, x is the natural one already and only changes its unit."""
    if isinstance(base, bool) or not isinstance(base, numbers.Real) or not 0 < base < math.inf or base == 1:
        raise ValueError(f"base: expected a number above 0 other than 1, as 2 for bits or math.e for nats, got {base!r}")
    if not log and base in (2, 10):  # exact for their powers
        return x.log2() if base == 2 else x.log10()
    x = x if log else x.log()
    return x if base == math.e else x / math.log(base)


def _marginal(p, dim, log):
    return p.logsumexp(dim, keepdim=True) if log else p.sum(dim, keepdim=True)


def _is_zero(p, log):
    """Where the weight p is 0, also because it underflows."""
    return (p.detach().exp() if log else p) == 0


# --- reading and checking


def _read(name, *values):
    """(the values as floating-point tensors, a function for the result): numbers alone become float64 and give a number."""
    kinds = {type(x) for x in values}
    if all(issubclass(kind, numbers.Real) for kind in kinds):
        return [wrap(np.asarray(float(x))) for x in values], Tensor.item
    tensors = [x if isinstance(x, numbers.Real) else as_tensor(x) for x in values]
    if any(isinstance(x, Tensor) and x.dtype.kind not in "fiub" for x in tensors):
        raise TypeError(f"{name}: expected numbers")
    dtype = next(floating(x).dtype for x in tensors if isinstance(x, Tensor))
    return [floating(x) if isinstance(x, Tensor) else wrap(number_array(name, x, dtype)) for x in tensors], _itself


def _itself(x):
    return x


def _above_0(x):
    return x > 0


def _within_1(x):
    return abs(x) <= 1


@repeatable
def _require(name, what, x, rule, text):
    if not (good := rule(x.array)).all():
        raise ValueError(f"{name}: {what} {text}, got {x.array[~good].flat[0]}")


def _tolerance(x):
    return float(np.finfo(x.dtype).eps) ** 0.5


@repeatable
def _check_each(name, p, log):
    """Every element must be a probability (or the logarithm of one)."""
    with np.errstate(invalid="ignore"):
        good = (p.array <= _tolerance(p)) if log else (p.array >= 0) & (p.array <= 1 + _tolerance(p))
    if not good.all():
        kind, bound = ("the logarithm of a probability", "at most 0") if log else ("a probability", "in [0, 1]")
        raise ValueError(f"{name}: {_found(p.array, ~good)} is not {kind}, which is {bound}{_hint(p, log)}")


@repeatable
def _check(name, p, dim, log, advice=""):
    """The elements along dim must be a distribution."""
    axes = normalize_axes(name, dim, p.ndim) if p.ndim else ()
    p64 = p.array.astype(np.float64)
    bad = np.isnan(p64) | ((p64 == np.inf) if log else (p64 < 0))
    if bad.any():
        kind = "the logarithm of a probability" if log else "a probability"
        raise ValueError(f"{name}: {_found(p.array, bad)} is not {kind}{_hint(p, log)}{advice}")
    with np.errstate(over="ignore", under="ignore"):
        sums = np.asarray((np.exp(p64) if log else p64).sum(axis=axes))
    off = ~np.asarray(abs(sums - 1) <= _tolerance(p))
    if off.any():
        place = f" at {_place(off)} of shape {p.shape} along dim={dim}" if sums.ndim else f" of shape {p.shape}"
        value = sums[off].flat[0]
        raise ValueError(
            f"{name}: the probabilities{place} sum to {value:.6g}, expected 1 within {_tolerance(p):.0e}{_hint(p, log)}{advice}"
        )


def _hint(p, log):
    return "; log-probabilities go with log=True" if not log and p.numel() and (p.array <= 0).all() else ""


def _found(array, bad):
    value = array[bad].flat[0]
    return f"{value} at {_place(bad)}" if array.ndim else f"{value}"


def _place(mask):
    return f"index {tuple(np.argwhere(mask)[0].tolist())}"


def _check_pair(name, p, q, dim, log, advice=""):
    if p.shape != q.shape:
        raise ValueError(f"{name}: p {p.shape} and q {q.shape} must have one shape; to compare many with one, q.expand_as(p)")
    _check(f"{name}: p", p, dim, log, advice)
    _check(f"{name}: q", q, dim, log, advice)


def _check_table(name, p, log):
    if p.ndim != 2:
        raise ValueError(f"{name}: expected a joint distribution (X, Y), got shape {p.shape}")
    _check(name, p, None, log)


@repeatable
def _check_covariance(covariance):
    name, array = "multivariate_normal_entropy", covariance.array
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f"{name}: expected a covariance (…, k, k), got shape {array.shape}")
    if not np.allclose(array, np.swapaxes(array, -1, -2), _tolerance(covariance), 0):
        raise ValueError(f"{name}: a covariance is symmetric, and this one is not")
    if not (smallest := np.linalg.eigvalsh(array).min(initial=np.inf)) > 0:
        raise ValueError(f"{name}: a covariance has eigenvalues above 0, and this one has {smallest:.6g}")
