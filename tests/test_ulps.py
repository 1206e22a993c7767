"""ULPS.md says how far each function of one number is from the truth at most, in ulps, over all exponents; here it is measured.

`python -m tests.test_ulps` measures anew and writes the table; a bound in it is two fifths above what was measured.
"""

import functools
import math
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from numba import config

from minidl import Tensor, kernels, tensor
from minidl.kernels import special

from . import truths
from .truths import EXTENDED, LONG

DOCUMENT = Path(__file__).with_name("ULPS.md")
DTYPES = {"float32": np.float32, "float64": np.float64}
pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="a million points are for compiled code")


def of_dy(backward):
    return lambda x: backward(np.ones_like(x), x)


def of_tensor(method):
    return lambda x: method(tensor(x)).numpy()


def of_t(f, t):
    return lambda x: f(x, np.full_like(x, t))


def beside_the_root(first_term):
    """An ulp of the first of two terms, whose sum has a root."""
    return lambda x, T: spacing(first_term(x), T)


def half_an_ulp_of_x(slope, first_term=np.zeros_like):
    """The change of a result that half an ulp of x makes, left of −1; an ulp of the first term elsewhere."""
    return lambda x, T: np.where(x < -1, abs(slope(x)) * spacing(x, T) / 2, spacing(first_term(x), T))


def left_of_0(slope):
    return lambda x: slope(x) if x < 0 else Decimal(0)


# name: (function, truth), or (function, truth, unit): errors are counted in the unit where it is more than the result's ulp.
# fmt: off
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
    "gelu_backward": (of_dy(kernels.gelu_backward), truths.gelu_slope, beside_the_root(truths.chance)),
    "gelu by tanh": (lambda x: kernels.gelu(x, True), truths.gelu_tanh, half_an_ulp_of_x(truths.gelu_tanh_slope)),
    "gelu_backward by tanh": (
        of_dy(lambda dy, x: kernels.gelu_backward(dy, x, True)), truths.gelu_tanh_slope,
        half_an_ulp_of_x(
            lambda x: truths.gelu_tanh_slope(x) * 2 * truths.tanh_argument(x)[1],
            lambda x: truths.sigmoid(2 * truths.tanh_argument(x)[0]),
        ),
    ),
    "silu": (kernels.silu, truths.silu),
    "silu_backward": (of_dy(kernels.silu_backward), truths.silu_slope, beside_the_root(truths.sigmoid)),
    "softplus": (lambda x: kernels.softplus(x, 1.0, np.inf), truths.softplus),
    "softplus_backward": (of_dy(lambda dy, x: kernels.softplus_backward(dy, x, 1.0, np.inf)), truths.sigmoid),
    "binary_cross_entropy_with_logits, t = 0": (of_t(kernels.binary_cross_entropy_with_logits, 0), truths.softplus),
    "binary_cross_entropy_with_logits, t = 1": (
        of_t(kernels.binary_cross_entropy_with_logits, 1), lambda x: truths.softplus(-x),
    ),
    "binary_cross_entropy_with_logits_backward, t = 0": (
        of_t(kernels.binary_cross_entropy_with_logits_backward, 0), truths.sigmoid,
    ),
    "binary_cross_entropy_with_logits_backward, t = 1": (
        of_t(kernels.binary_cross_entropy_with_logits_backward, 1), lambda x: -truths.sigmoid(-x),
    ),
}
# What Tensor takes from NumPy: other versions and processors may be a little better or worse.
NUMPY = {
    "sqrt": (of_tensor(Tensor.sqrt), np.sqrt),
    "rsqrt": (of_tensor(Tensor.rsqrt), lambda x: 1 / np.sqrt(x)),
    "reciprocal": (of_tensor(Tensor.reciprocal), lambda x: 1 / x),
    "square": (of_tensor(Tensor.square), lambda x: x * x),
    "x**3": (of_tensor(lambda x: x**3), lambda x: x * x * x),
    "x**-2": (of_tensor(lambda x: x**-2), lambda x: 1 / (x * x)),
    "x**2.5": (of_tensor(lambda x: x**2.5), lambda x: x ** LONG(2.5)),
    "log10": (of_tensor(Tensor.log10), np.log10),
    "sin": (of_tensor(Tensor.sin), np.sin),
    "cos": (of_tensor(Tensor.cos), np.cos),
    "tan": (of_tensor(Tensor.tan), np.tan),
    "asin": (of_tensor(Tensor.asin), np.arcsin),
    "acos": (of_tensor(Tensor.acos), np.arccos),
    "atan": (of_tensor(Tensor.atan), np.arctan),
    "sinh": (of_tensor(Tensor.sinh), np.sinh),
    "cosh": (of_tensor(Tensor.cosh), np.cosh),
}
# Functions whose truth takes one Decimal, and of those with roots below 0, or steep at 0, the derivative there.
GAMMA = {
    "lgamma": (kernels.lgamma, truths.lgamma, left_of_0(truths.digamma)),
    "digamma": (kernels.digamma, truths.digamma, left_of_0(functools.partial(truths.polygamma, 1))),
    "lgamma, -20 < x < 0": (kernels.lgamma, truths.lgamma),
    "digamma, -20 < x < 0": (kernels.digamma, truths.digamma),
    **{
        f"polygamma({n})": (
            functools.partial(kernels.polygamma, n), functools.partial(truths.polygamma, n),
            *([left_of_0(functools.partial(truths.polygamma, n + 1))] if n % 2 == 0 else []),
        )
        for n in (1, 2, 3)
    },
    **{
        f"gammainc(a = {a})": (
            lambda x, a=a: kernels.gammainc(np.full_like(x, a), x), functools.partial(truths.gammainc, Decimal(a)),
            lambda x, a=Decimal(a): truths.gamma_density(a, x) if x < a * 3 / 4 else Decimal(0),
        )
        for a in (0.5, 3, 100)
    },
}
# fmt: on


def spacing(x, T):
    """An ulp of the type T at x, of inf that at the greatest number."""
    return np.spacing(np.minimum(abs(x).astype(T), np.finfo(T).max))


def in_exponents(T, low, high, count, rng):
    """`count` floats of each sign and exponent from 2**low to 2**high, the least and the greatest of each among them."""
    bits, bias = np.finfo(T).nmant, -np.finfo(T).minexp + 1
    U = {np.float32: np.uint32, np.float64: np.uint64}[T]
    fields = np.arange(max(low + bias, 0), min(high + bias, 2 * bias) + 1, dtype=U) << U(bits)
    mantissas = rng.integers(0, 2**bits, (len(fields), count), U)
    if count > 1:
        mantissas[:, 0], mantissas[:, 1] = 0, 2**bits - 1
    sizes = (mantissas | fields[:, None]).view(T).ravel()
    return np.concatenate([sizes, -sizes])


@functools.cache
def points(T):
    """400 floats of each sign and exponent where a function may bend, 20 of all other exponents, subnormals included."""
    rng = np.random.default_rng(0)
    middle = -np.finfo(T).nmant - 6, 11
    parts = [in_exponents(T, *middle, 400, rng), in_exponents(T, -2000, 2000, 20, rng)]
    parts += [rng.uniform(-w, w, 5000).astype(T) for w in (2, 20, 120, 800)]
    return np.concatenate([*parts, np.array([0.0, -0.0, np.inf, -np.inf, np.nan], T)])


@functools.cache
def gamma_points(T):
    """A few of each exponent, more between −20 and 20, and some beside each root of ln |Γ| and ψ and each pole."""
    rng = np.random.default_rng(0)
    roots = [1.0, 2.0, -2.4570247382208006, -2.7476826467274126, 1.4616321449683622]
    for last, pairs in ((-2, special._LEFT_OF_POLE), (-3, special._RIGHT_OF_POLE), (-1, special._OF_PSI)):
        roots += [last - i + root for i, (root, _) in enumerate(pairs)]
    beside = [r + s * 2.0**k for r in roots for s in (1, -1) for k in range(-44, -2, 12)]
    beside += [np.nextafter(T(r), T(to)) for r in roots for to in (-99, 99)]
    middle = np.concatenate([rng.uniform(-2.6, -2.5, 200), rng.uniform(60, 140, 200)])
    parts = [in_exponents(T, -2000, 2000, 1, rng), in_exponents(T, -8, 7, 20, rng), rng.uniform(-20, 20, 400), roots]
    x = np.concatenate([*parts, beside, middle]).astype(T)
    return x[(x > 0) | (x != np.rint(x)) & (x > -1e6)]


def largest(e, x):
    worst = np.argmax(e)  # or the first NaN
    return float(e[worst]), float(x[worst])


def measure_plain(function, truth, T, unit=None, low=-np.inf, finite=False):
    """(the largest error, where)"""
    x = points(T)
    x = x[~((x < low) | (abs(x) > 1) & (low > -np.inf) | np.isinf(x) & finite)]
    with np.errstate(all="ignore"):
        y, long = function(x), x.astype(LONG)
        assert y.dtype == T
        true = truth(long)
        rounded = true.astype(T)
        ulp = spacing(rounded, T)
        if unit is not None:
            ulp = np.fmax(ulp, unit(long, T))
        beyond = LONG(2) ** np.finfo(T).maxexp  # what inf stands for, if the other is finite
        e = abs(np.clip(y.astype(LONG), -beyond, beyond) - np.clip(true, -beyond, beyond)) / ulp
    return largest(np.where((y == rounded) & np.isinf(y) | np.isnan(y) & np.isnan(true), 0, e), x)


@np.errstate(all="ignore")
def measure_gamma(function, truth, T, slope=lambda x: Decimal(0), low=-np.inf, high=np.inf):
    x = gamma_points(T)
    x = x[(x > low) & (x < high)]
    y, e = function(x), np.zeros(len(x))
    for i, (at, got) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        true = truth(Decimal(at))
        true = Decimal(0) if abs(true) < Decimal("1e-40") and truth is truths.lgamma else true  # at 1 and 2
        rounded = T(float(true))
        if math.isinf(got) and got == rounded:
            continue
        distance = abs(Decimal(got) - true) if math.isfinite(got) else Decimal("inf")
        e[i] = distance / Decimal(float(spacing(rounded, T)))
        if e[i] > 1:
            change = abs(slope(Decimal(at))) * Decimal(float(spacing(T(at), T))) / 2
            e[i] = min(e[i], float(distance / change) if change else np.inf)
    return largest(e, x)


def measure(name, T):
    if name in GAMMA:
        function, truth, *slope = GAMMA[name]
        low = 0 if "gammainc" in name else -150 if "poly" in name else -20 if "<" in name else -np.inf
        return measure_gamma(function, truth, T, *slope, low=low, high=0 if "<" in name else np.inf)
    function, truth, *unit = {**PLAIN, **NUMPY}[name]
    low = {"tanh_backward of y": -1, "sigmoid_backward of y": 0}.get(name, -np.inf)
    return measure_plain(function, truth, T, *unit, low=low, finite="logits" in name)


NAMES = [*PLAIN, *NUMPY, *GAMMA]
TABLE = re.compile(r"^\| `(.+?)` +\| +([\d.]+) \| +([\d.]+) \|$", re.M)


def written():
    """{name: (bound in float32, in float64)} in the document"""
    return {name: (float(single), float(double)) for name, single, double in TABLE.findall(DOCUMENT.read_text("utf-8"))}


def test_the_table_has_each_function_once():
    names = [name for name, *_ in TABLE.findall(DOCUMENT.read_text("utf-8"))]
    assert names == NAMES


@pytest.mark.parametrize("T", DTYPES.values())
@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_true(name, T):
    """No error above the bound, and no bound that is twice the largest error."""
    if T is np.float64 and name not in GAMMA and not EXTENDED:
        pytest.skip("longdouble is no more exact than float64 here")
    bound = written()[name][T is np.float64]
    error, where = measure(name, T)
    assert error <= bound, f"{name}: {error:.2f} ulp at {where!r} ({where.hex()}), {bound} in {DOCUMENT.name}"
    if name not in NUMPY:
        assert bound <= max(1, 2 * error), f"{name}: {bound} in {DOCUMENT.name}, but measured is {error:.2f}"


def row(name):
    bounds = []
    for T in DTYPES.values():
        error, where = measure(name, T)
        print(f"{name} in {T.__name__}: {error:.3f} at {where!r}", flush=True)
        bounds.append(4.0 if name in NUMPY and error < 4 else math.ceil(14 * error) / 10)
    return f"| {f'`{name}`':50} | {bounds[0]:7.1f} | {bounds[1]:7.1f} |"


if __name__ == "__main__":
    rows = iter([row(name) for name in NAMES])
    text = DOCUMENT.read_text("utf-8")
    before, after = TABLE.split(text)[0], TABLE.split(text)[-1]
    DOCUMENT.write_text(before + "\n".join(rows) + after, "utf-8")
