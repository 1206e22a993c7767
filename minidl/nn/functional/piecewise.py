"""Activation functions with corners or steps: straight lines put together, one of them bent in hardswish."""

import math

import numpy as np

from ... import ops, random
from ...graph.watch import repeatable
from ...tensors.arguments import expect_tensors, number
from ...tensors.in_place import NOTHING, OLD, twin
from ...tensors.record import apply, wrap
from .activation import floating

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "prelu",
    "relu6",
    "rrelu",
    "rrelu_",
    "softshrink",
    "threshold",
    "threshold_",
]


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x held between min_val and max_val, with slope 0 at both and beyond.

    >>> import minidl
    >>> hardtanh(minidl.tensor([-3.0, 0.5, 2.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if inplace:
        return hardtanh_(input, min_val, max_val)
    low, high = number("hardtanh", "min_val", min_val), number("hardtanh", "max_val", max_val)
    if not low <= high:
        raise ValueError(f"hardtanh: min_val must not be above max_val, got {min_val} and {max_val}")
    return apply(ops.Hardtanh(low, high), floating("hardtanh", input))


hardtanh_ = twin(hardtanh, OLD, "[-3.0, 0.5, 2.0]", "hardtanh_(x)", "[-1.0000,  0.5000,  1.0000]")


def relu6(input, inplace=False):
    """x held between 0 and 6, with slope 0 at both and beyond.

    >>> import minidl
    >>> relu6(minidl.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """
    if inplace:
        return _relu6_(input)
    return apply(ops.Hardtanh(0.0, 6.0), floating("relu6", input))


_relu6_ = twin(relu6)


def hardsigmoid(input, inplace=False):
    """x/6 + ½ held between 0 and 1: a sigmoid of straight lines.

    >>> import minidl
    >>> hardsigmoid(minidl.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """
    if inplace:
        return _hardsigmoid_(input)
    x = floating("hardsigmoid", input) + 3
    between, ends = _between(x.array, 0, 6)
    return apply(ops.Where(between), x, wrap(ends)) / 6


@repeatable
def _between(x, low, high):
    """Where x lies between, not NaN; and x held there."""
    return (x > low) & (x < high), np.clip(x, low, high)


_hardsigmoid_ = twin(hardsigmoid)


def hardswish(input, inplace=False):
    """x·hardsigmoid(x): 0 up to −3, x from 3 on, x·(x + 3)/6 between (Howard et al., 2019).

    >>> import minidl
    >>> hardswish(minidl.tensor([-1.0, 1.0, 5.0]))
    tensor([-0.3333,  0.6667,  5.0000])
    """
    if inplace:
        return _hardswish_(input)
    return apply(ops.Hardswish(), floating("hardswish", input))


_hardswish_ = twin(hardswish)


def threshold(input, threshold, value, inplace=False):
    """x where x > threshold, else value.

    >>> import minidl
    >>> threshold(minidl.tensor([0.1, 2.0]), 0.5, -1.0)
    tensor([-1.,  2.])
    """
    if inplace:
        return threshold_(input, threshold, value)
    limit, value = number("threshold", "threshold", threshold), number("threshold", "value", value)
    return floating("threshold", input).masked_fill(input <= limit, value)


threshold_ = twin(threshold, NOTHING, "[0.5, 2.0]", "threshold_(x, 1.0, -7.0)", "[-7.,  2.]")


def hardshrink(input, lambd=0.5):
    """0 where |x| ≤ lambd, else x.

    >>> import minidl
    >>> hardshrink(minidl.tensor([-0.4, 2.0]))
    tensor([0., 2.])
    """
    expect_tensors("hardshrink", input=input)
    return input.hardshrink(lambd)


def softshrink(input, lambd=0.5):
    """0 where |x| ≤ lambd, else x moved by lambd towards 0; lambd is 0 or more.

    >>> import minidl
    >>> softshrink(minidl.tensor([-0.4, 2.0]))
    tensor([0.0000, 1.5000])
    """
    limit = number("softshrink", "lambd", lambd)
    if not limit >= 0:
        raise ValueError(f"softshrink: lambd must be 0 or more, got {lambd}")
    return floating("softshrink", input) - input.clamp(-limit, limit)


def prelu(input, weight):
    """x where x > 0, else weight·x. weight: of one number, or one for each channel, which is axis 1 (He et al., 2015).

    >>> import minidl
    >>> prelu(minidl.tensor([-2.0, 2.0]), minidl.tensor([0.25]))
    tensor([-0.5000,  2.0000])
    """
    expect_tensors("prelu", input=input)
    return input.prelu(weight)


def rrelu(input, lower=1 / 8, upper=1 / 3, training=False, inplace=False):
    """x where x > 0, else slope·x: in training each slope is drawn uniformly from [lower, upper], else it is their mean.

    >>> import minidl
    >>> rrelu(minidl.tensor([-2.0, 2.0]), 0.2, 0.3)
    tensor([-0.5000,  2.0000])
    """
    if inplace:
        return rrelu_(input, lower, upper, training)
    lower, upper = number("rrelu", "lower", lower), number("rrelu", "upper", upper)
    if not lower <= upper:
        raise ValueError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    floating("rrelu", input)
    if not training:
        return apply(ops.LeakyReLU(lower / 2 + upper / 2), input)  # their sum may be beyond the largest number
    if not math.isfinite(upper - lower):
        raise ValueError(f"rrelu: lower and upper must be finite and less than 1.8e308 apart, got {lower} and {upper}")
    return apply(ops.Dropout(_slopes(input.array, lower, upper)), input)  # x·slopes


@repeatable
def _slopes(x, lower, upper):
    """1 where x > 0, else drawn from [lower, upper]."""
    slopes, below = np.ones(x.shape, x.dtype), x <= 0
    with np.errstate(over="ignore"):  # a slope beyond float32 is infinite there
        slopes[below] = random.default_generator.uniform((int(below.sum()),), np.float64, lower, upper)
    return slopes


rrelu_ = twin(rrelu, OLD, "[-8.0, 2.0]", "rrelu_(x, 0.25, 0.75)", "[-4.,  2.]")
