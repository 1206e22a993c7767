"""ULPS.md says how far each function of one number is from the truth at most, in ulps, over all exponents; here it is measured.

`python tests/test_ulps.py` measures anew and writes the table; a bound in it is a quarter above what was measured.
"""

import functools
import re
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import truths
from numba import config
from truths import LONG

from minidl import kernels, tensor

DOCUMENT = Path(__file__).with_name("ULPS.md")
DTYPES = {"float32": np.float32, "float64": np.float64}
pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="a million points are for compiled code")


def of_dy(backward):
    return lambda x: backward(np.ones_like(x), x)


def of_tensor(method):
    return lambda x: method(tensor(x)).numpy()


def with_zeros(f):
    """The function of a kernel of two arrays with all targets the same."""
    return lambda x: f(x, np.zeros_like(x))


def bce(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


# name: (function, truth), or (function, truth, unit): errors are counted in ulps of the unit where those are more than the
# result's. A sum that has a root is measured so in the ulps of its larger term beside the root.
PLAIN = {
    "exp": (kernels.exp, np.exp),
    "expm1": (kernels.expm1, np.expm1),
    "log": (kernels.log, np.log),
    "log2": (kernels.log2, np.log2),
    "log1p": (kernels.log1p, np.log1p),
    "tanh": (kernels.tanh, np.tanh),
    "tanh_backward of y": (of_dy(kernels.tanh_backward), lambda y: (1 - y) * (1 + y)),
    "sigmoid": (kernels.sigmoid, truths.sigmoid),
    "sigmoid_backward of y": (of_dy(kernels.sigmoid_backward), lambda y: y * (1 - y)),
    "logsigmoid": (kernels.logsigmoid, lambda x: -truths.softplus(-x)),
    "logsigmoid_backward": (of_dy(kernels.logsigmoid_backward), lambda x: truths.sigmoid(-x)),
    "erf": (kernels.erf, truths.erf),
    "erfc": (kernels.erfc, truths.erfc),
    "elu": (kernels.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "elu_backward": (of_dy(kernels.elu_backward), lambda x: np.exp(np.minimum(x, 0))),
    "gelu": (kernels.gelu, truths.gelu),
    "gelu_backward": (of_dy(kernels.gelu_backward), truths.gelu_slope, lambda x: np.where(abs(x + 0.75) < 0.25, 0.25, 0)),
    "gelu by tanh": (lambda x: kernels.gelu(x, True), truths.gelu_tanh),
    "gelu_backward by tanh": (
        of_dy(lambda dy, x: kernels.gelu_backward(dy, x, True)),
        truths.gelu_tanh_slope,
        lambda x: np.where(abs(x + 0.75) < 0.25, 0.25, 0),
    ),
    "silu": (kernels.silu, lambda x: np.where(x < -2e4, 0, x) * truths.sigmoid(x)),
    "silu_backward": (of_dy(kernels.silu_backward), truths.silu_slope, lambda x: np.where(abs(x + 1.3) < 0.3, 0.25, 0)),
    "softplus": (lambda x: kernels.softplus(x, 1.0, np.inf), truths.softplus),
    "softplus_backward": (of_dy(lambda dy, x: kernels.softplus_backward(dy, x, 1.0, np.inf)), truths.sigmoid),
    "binary_cross_entropy_with_logits of t = 0": (
        lambda x: kernels.binary_cross_entropy_with_logits(x, np.zeros_like(x)),
        truths.softplus,
    ),
    "binary_cross_entropy_with_logits of t = 1": (
        lambda x: kernels.binary_cross_entropy_with_logits(x, np.ones_like(x)),
        lambda x: truths.softplus(-x),
    ),
    "binary_cross_entropy_with_logits_backward of t = 0": (
        lambda x: kernels.binary_cross_entropy_with_logits_backward(x, np.zeros_like(x)),
        truths.sigmoid,
    ),
    "binary_cross_entropy_with_logits_backward of t = 1": (
        lambda x: kernels.binary_cross_entropy_with_logits_backward(x, np.ones_like(x)),
        lambda x: -truths.sigmoid(-x),
    ),
}


def random_mantissas(T, count, rng):
    """`count` floats of each exponent and sign, subnormals included, least and greatest among them."""
    info, U = np.finfo(T), {np.float32: np.uint32, np.float64: np.uint64}[T]
    mantissas = rng.integers(0, 2**info.nmant, (2**info.nexp - 1, count), U)
    mantissas[:, 0], mantissas[:, 1] = 0, 2**info.nmant - 1
    sizes = (mantissas + (np.arange(len(mantissas), dtype=U) << U(info.nmant))[:, None]).view(T).ravel()
    return np.concatenate([sizes, -sizes])


@functools.cache
def points(T):
    """Several hundred floats of each exponent and sign, and many more where something happens."""
    rng = np.random.default_rng(0)
    many = {np.float32: 1000, np.float64: 200}[T]
    return np.concatenate([random_mantissas(T, many, rng)] + [rng.uniform(-w, w, 40_000).astype(T) for w in (2, 20, 120, 800)])


def errors(y, truth, unit=0):
    """|y - truth| in ulps of y's type at the truth, or at the unit where that is more; 0 where both are the same inf or NaN."""
    T, info = y.dtype.type, np.finfo(y.dtype)
    rounded = truth.astype(T)
    place = np.maximum(np.minimum(abs(rounded), info.max), np.asarray(unit, T))
    beyond = LONG(2) ** info.maxexp  # what inf stands for, if the other is finite
    distance = abs(np.clip(y.astype(LONG), -beyond, beyond) - np.clip(truth, -beyond, beyond)) / np.spacing(place)
    same = (y == rounded) & np.isinf(y) | np.isnan(y) & np.isnan(truth)
    return np.where(same, 0, distance)


def measure(name, T):
    """(the largest error, its place)"""
    function, truth, *unit = PLAIN[name]
    x = points(T)
    if name.endswith("of y"):
        x = x[(x >= (-1 if "tanh" in name else 0)) & (x <= 1)]
    with np.errstate(all="ignore"):
        long = x.astype(LONG)
        e = errors(function(x), truth(long), *(u(long) for u in unit))
    worst = np.argmax(e)  # of a NaN, if there is one
    return float(e[worst]), float(x[worst])


if __name__ == "__main__":
    import sys, time

    for name in PLAIN:
        for T in DTYPES.values():
            t = time.perf_counter()
            print(name, T.__name__, measure(name, T), f"{time.perf_counter() - t:.2f} s", flush=True)
