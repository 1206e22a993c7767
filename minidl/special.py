"""Special functions, with the names of torch.special: those that minidl has."""

import math

import numpy as np

from . import ops
from .tensors.arguments import expect_tensors, number
from .tensors.functions import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    igamma as gammainc,
    lgamma as gammaln,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    polygamma,
    round,
    sigmoid as expit,
    softmax,
    xlogy,
)
from .tensors.record import apply, floating, wrap

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaln",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]

psi = digamma


def entr(input):
    """−x ln x, 0 at 0 and −∞ below.

    >>> import minidl
    >>> entr(minidl.tensor([0.0, 0.5]))
    tensor([0.0000, 0.3466])
    """
    expect_tensors("entr", input=input)
    x = floating(input)
    below = wrap(x.array < 0)
    kept = x.masked_fill(below, 0)
    return (0.0 - kept.xlogy(kept)).masked_fill(below, -np.inf)


def ndtr(input):
    """The chance that a normal variable is at most x: ½ erfc(−x/√2).

    >>> import minidl
    >>> ndtr(minidl.tensor([0.0, 1.96]))
    tensor([0.5000, 0.9750])
    """
    expect_tensors("ndtr", input=input)
    return (input * -math.sqrt(0.5)).erfc() * 0.5


def log_ndtr(input):
    """ln ndtr(x), also far below 0, where ndtr(x) is 0.

    >>> import minidl
    >>> log_ndtr(minidl.tensor([0.0, -1.0]))
    tensor([-0.6931, -1.8410])
    """
    expect_tensors("log_ndtr", input=input)
    x = floating(input)
    far = x.array < -5
    near = ndtr(apply(ops.Where(far), 0.0, x)).log()
    if not far.any():
        return near
    # far below 0, −x²/2 − ln(−x √2π) + ln(1 − 1/x² + 3/x⁴ − …), here as a continued fraction
    t = apply(ops.Where(far), -x, 5.0)
    rest = t
    for n in range(60, 0, -1):
        rest = t + n / rest
    tail = -0.5 * t * t - rest.log() - 0.5 * math.log(2 * math.pi)
    return apply(ops.Where(far), tail, near)


def ndtri(input):
    """x with ndtr(x) = p: the quantiles of the normal distribution.

    >>> import minidl
    >>> ndtri(minidl.tensor([0.5, 0.975]))
    tensor([0.0000, 1.9600])
    """
    expect_tensors("ndtri", input=input)
    return (2 * floating(input) - 1).erfinv() * math.sqrt(2)


def xlog1py(input, other):
    """x·ln(1 + y), and 0 where x is 0.

    >>> import minidl
    >>> xlog1py(minidl.tensor([0.0, 2.0]), minidl.tensor([-1.0, 0.0]))
    tensor([0., 0.])
    """
    expect_tensors("xlog1py", input=input, other=other)
    zero = (input.array == 0) & ~np.isnan(other.array)
    product = input * apply(ops.Where(zero), 0.0, floating(other)).log1p()
    return product


def sinc(input):
    """sin(πx)/(πx), and 1 at 0.

    >>> import minidl
    >>> sinc(minidl.tensor([0.0, 0.5]))
    tensor([1.0000, 0.6366])
    """
    expect_tensors("sinc", input=input)
    x = floating(input) * math.pi
    zero = x.array == 0
    return apply(ops.Where(zero), 1.0 - x * x / 6, x.sin() / apply(ops.Where(zero), 1.0, x))


def multigammaln(input, p):
    """ln of the multivariate gamma function of p dimensions: p(p − 1)/4·ln π + Σ_{j<p} ln Γ(x − j/2).

    >>> import minidl
    >>> x = minidl.tensor([3.0])
    >>> minidl.special.multigammaln(x, 1), x.lgamma()
    (tensor([0.6931]), tensor([0.6931]))
    """
    expect_tensors("multigammaln", input=input)
    if not isinstance(p, int) or p < 1:
        raise ValueError(f"multigammaln: p must be an integer of 1 or more, got {p!r}")
    if not (input.array > (p - 1) / 2).all():
        raise ValueError(f"multigammaln: all elements must be above (p − 1)/2 = {(p - 1) / 2}")
    x = floating(input).unsqueeze(-1) - wrap((np.arange(p) / 2).astype(floating(input).dtype))
    return x.lgamma().sum(-1) + number("multigammaln", "p", p * (p - 1) / 4 * math.log(math.pi))
