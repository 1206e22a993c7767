"""D(p‖q) in closed form, for pairs of the continuous distributions. All follow from −H(p) − E_p log q."""

import math

import numpy as np

from .. import ops
from ..tensors.creation import full, zeros_like
from ..tensors.indexing import where
from ..tensors.record import apply
from .gamma import Beta, Dirichlet, Gamma
from .kl import kl_divergence, register_kl
from .location import Exponential, Laplace, Normal, Uniform
from .multivariate_normal import MultivariateNormal, half_log_det, solve_triangular
from .transformed import Independent, TransformedDistribution, sum_rightmost


def excess(t):
    """eᵗ − 1 − t ≥ 0, with all its digits where t is near 0. Of t = ln x it is x − 1 − ln x."""
    return apply(ops.RelativeEntropy(log=True), zeros_like(t), t)


@register_kl(Normal, Normal)
def _(p, q):
    ratio, gap = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return (excess(2 * ratio.log()) + gap * gap) / 2


@register_kl(Laplace, Laplace)
def _(p, q):
    ratio, gap = p.scale / q.scale, (p.loc - q.loc).abs() / p.scale
    return excess(ratio.log()) + ratio * excess(-gap)


@register_kl(Exponential, Exponential)
def _(p, q):
    return excess((q.rate / p.rate).log())


@register_kl(Gamma, Gamma)
def _(p, q):
    a, b = p.concentration.double(), q.concentration.double()  # large terms that cancel
    ratio = q.rate.double() / p.rate
    nats = (a - b) * a.digamma() - a.lgamma() + b.lgamma() - b * ratio.log() + a * (ratio - 1)
    return nats.to(np.result_type(p.concentration.dtype, q.concentration.dtype))


@register_kl(Beta, Beta)
def _(p, q):
    a, b = p.concentration1, p.concentration0
    c, d = q.concentration1, q.concentration0
    slopes = (a - c) * a.digamma() + (b - d) * b.digamma() + (c + d - a - b) * (a + b).digamma()
    return q.log_normalizer() - p.log_normalizer() + slopes


@register_kl(Dirichlet, Dirichlet)
def _(p, q):
    a, b = p.concentration, q.concentration
    log_x = a.digamma() - a.sum(-1, keepdim=True).digamma()  # E_p ln x
    return q.log_normalizer() - p.log_normalizer() + ((a - b) * log_x).sum(-1)


@register_kl(MultivariateNormal, MultivariateNormal)
def _(p, q):
    if p.event_shape != q.event_shape:
        raise ValueError(f"kl_divergence: event_shape {p.event_shape} of p and {q.event_shape} of q must be the same")
    mine, other = p.scale_tril, q.scale_tril
    spread = solve_triangular(other, mine)
    gap = solve_triangular(other, (p.loc - q.loc).unsqueeze(-1))
    squares = (spread * spread).sum((-2, -1)) + (gap * gap).sum((-2, -1))
    return half_log_det(other) - half_log_det(mine) + (squares - p.event_shape[0]) / 2


@register_kl(Exponential, Gamma)
def _(p, q):
    return kl_divergence(_as_gamma(p), q)


@register_kl(Gamma, Exponential)
def _(p, q):
    return kl_divergence(p, _as_gamma(q))


def _as_gamma(exponential):
    return Gamma(1.0, exponential.rate, validate_args=False)


def _to_normal(p, q):
    """−E_p log q of a normal q knows only the mean and the variance of p."""
    gap = (p.mean - q.loc) / q.scale
    return (p.variance / q.scale**2 + gap * gap + math.log(2 * math.pi)) / 2 + q.scale.log() - p.entropy()


def _to_exponential(p, q):
    return q.rate * p.mean - q.rate.log() - p.entropy()


for _p in (Uniform, Exponential, Laplace, Gamma, Beta):
    register_kl(_p, Normal)(_to_normal)
register_kl(Beta, Exponential)(_to_exponential)


@register_kl(Uniform, Exponential)
def _(p, q):
    return where(p.low < 0, math.inf, _to_exponential(p, q))


@register_kl(Uniform, Uniform)
def _(p, q):
    inside = (q.low <= p.low) & (p.high <= q.high)
    return where(inside, ((q.high - q.low) / (p.high - p.low)).log(), math.inf)


@register_kl(Beta, Uniform)
def _(p, q):
    inside = (q.low <= 0) & (q.high >= 1)
    return where(inside, (q.high - q.low).log() - p.entropy(), math.inf)


@register_kl(Uniform, Beta)
def _(p, q):
    """−H(p) − E_p log q, with E_p ln x and E_p ln(1 − x) in closed form; in float64, where the ends of p may be close."""
    low, high, a, b = (x.double() for x in (p.low, p.high, q.concentration1, q.concentration0))
    inside = (low >= 0) & (high <= 1)
    low, high = low.clamp(0, 1), high.clamp(0, 1)
    log_q = (a - 1) * _mean_log(low, high) + (b - 1) * _mean_log(1 - high, 1 - low) - a.lgamma() - b.lgamma() + (a + b).lgamma()
    return where(inside, -(high - low).log() - log_q, math.inf).to(np.result_type(p._dtype(), q._dtype()))


@register_kl(Uniform, Gamma)
def _(p, q):
    low, high, a, rate = (x.double() for x in (p.low, p.high, q.concentration, q.rate))
    log_q = a.xlogy(rate) + (a - 1) * _mean_log(low.clamp(min=0), high.clamp(min=0)) - rate * (low + high) / 2 - a.lgamma()
    return where(low >= 0, -(high - low).log() - log_q, math.inf).to(np.result_type(p._dtype(), q._dtype()))


def _mean_log(low, high):
    """E ln x of a uniform x between low and high, which are at least 0."""
    return (high.xlogy(high) - low.xlogy(low)) / (high - low) - 1


@register_kl(Beta, Gamma)
def _(p, q):
    c, d, a, rate = (x.double() for x in (p.concentration1, p.concentration0, q.concentration, q.rate))
    log_q = a.xlogy(rate) + (a - 1) * (c.digamma() - (c + d).digamma()) - rate * c / (c + d) - a.lgamma()
    entropy = Beta(c, d, validate_args=False).entropy()
    return (-entropy - log_q).to(np.result_type(p._dtype(), q._dtype()))


@register_kl(Normal, Laplace)
def _(p, q):
    gap = p.loc - q.loc
    z = gap / (p.scale * math.sqrt(2))
    distance = p.scale * math.sqrt(2 / math.pi) * (-z * z).exp() + gap * z.erf()  # E|x − loc|
    return distance / q.scale + (2 * q.scale).log() - p.entropy()


def _infinite(p, q):
    """p reaches where q has no density."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    return full(shape, math.inf, dtype=np.result_type(p._dtype(), q._dtype()))


for _p, _others in (
    (Normal, (Uniform, Exponential, Gamma, Beta)),
    (Laplace, (Uniform, Exponential, Gamma, Beta)),
    (Exponential, (Uniform, Beta)),
    (Gamma, (Uniform, Beta)),
):
    for _q in _others:
        register_kl(_p, _q)(_infinite)


@register_kl(Independent, Independent)
def _(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            f"kl_divergence: both must count the same number of axes as one event, got {p.reinterpreted_batch_ndims} and "
            f"{q.reinterpreted_batch_ndims}"
        )
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p, q):
    """An invertible function loses nothing: what told the variables apart tells their images apart."""
    if p.transforms != q.transforms:
        raise NotImplementedError(f"kl_divergence: the transforms {p.transforms} and {q.transforms} must be the same")
    return kl_divergence(p.base_dist, q.base_dist)
