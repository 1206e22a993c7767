"""Γ and its relatives, computed in float64: ln Γ, its derivatives, and the incomplete Γ with its slope in a.

All rest on one asymptotic series in the Bernoulli numbers (NIST Digital Library of Mathematical Functions, 5.11, 5.15, 25.11),
good to the last digits from 10 on, and a recurrence that leads there; where a function is near a root, a Taylor series.
"""

import math

import numpy as np
from numba.extending import register_jitable

from .elementwise import binary, unary

function = register_jitable(error_model="numpy")  # calls stay calls: these are long, and run one element at a time

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)  # B₂, B₄, …
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))[::-1]
_PSI = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI, 1))[::-1]
_ZETA = tuple(b / math.factorial(2 * k) for k, b in enumerate(_BERNOULLI, 1))
_LARGE = 1e6  # from here on the cube root of a gamma variable counts as normal: P is off by 1e-6 at most


@function
def _horner(coefficients, x):
    y = 0.0
    for c in coefficients:
        y = y * x + c
    return y


@function
def _zeta(s, x):
    """Σ (x + k)⁻ˢ over k ≥ 0, x > 0: the first terms one by one, the rest by Euler and Maclaurin."""
    total = 0.0
    while x < 10.0 + s:
        term = x**-s
        total += term
        if term < 1e-18 * total:
            return total
        x += 1.0
    rest, factor = 1.0 / (s - 1.0) + 0.5 / x, s / (x * x)
    for k in range(8):
        rest += _ZETA[k] * factor
        factor *= (s + 2 * k + 1) * (s + 2 * k + 2) / (x * x)
    return total + x ** (1.0 - s) * rest


# ln Γ(2 + z) = (1 − γ) z + Σ (−1)ᵏ (ζ(k) − 1) zᵏ/k, and ψ around its root between 1 and 2, which is the sum of three numbers.
_AT_TWO = tuple((-1) ** k * _zeta(float(k), 2.0) / k for k in range(28, 1, -1)) + (0.42278433509846714,)
_ROOT = 1569415565 / 2**30, 381566830 / 2**60, 9.016312093258696e-20
_AT_ROOT = tuple((-1) ** k * _zeta(float(k), sum(_ROOT)) for k in range(30, 1, -1))


@function
def _lgamma_of_positive(x):
    if x >= 10.0:
        return (x - 0.5) * (np.log(x) - 1.0) + 0.41893853320467274 + _horner(_STIRLING, 1.0 / (x * x)) / x
    if x < 1.5:
        z, apart = x - 1.0, 0.0
        if x < 0.5:
            z, apart = x, np.log(x)
        return _horner(_AT_TWO, z) * z - np.log1p(z) - apart
    product = 1.0
    while x >= 2.5:
        x -= 1.0
        product *= x
    z = x - 2.0
    return _horner(_AT_TWO, z) * z + np.log(product)


@function
def _lgamma64(x):
    if x > 0.0 or x != x:
        return _lgamma_of_positive(x) if x < np.inf else x
    if x == -np.inf or x == np.rint(x):
        return np.inf
    sine = abs(np.sin(np.pi * (x - np.rint(x)))) / np.pi
    return -np.log(-x) - np.log(sine) - _lgamma_of_positive(-x)  # Γ(x) Γ(−x) = −π/(x sin πx)


@function
def _digamma64(x):
    if x == 0.0:
        return -np.inf if 1.0 / x > 0.0 else np.inf
    apart = 0.0
    if x < 0.0:
        if x == np.rint(x):
            return np.nan
        apart = np.pi / np.tan(np.pi * (x - np.rint(x)))
        x = 1.0 - x  # ψ(x) = ψ(1 − x) − π cot πx
    near = x - _ROOT[0]
    if abs(near) < 0.3:
        z = near - _ROOT[1] - _ROOT[2]
        return _horner(_AT_ROOT, z) * z - apart
    while x < 10.0:
        apart += 1.0 / x
        x += 1.0
    return np.log(x) - 0.5 / x - _horner(_PSI, 1.0 / (x * x)) / (x * x) - apart


@function
def _polygamma64(x, n):
    """(−1)ⁿ⁺¹ n! Σ (x + k)⁻ⁿ⁻¹, n ≥ 1. Left of ½ the sum over all integers k, which has period 1, less those below."""
    s = n + 1.0
    sign = 1.0 if n % 2.0 == 1.0 else -1.0
    if x >= 0.5:
        total = _zeta(s, x)
    else:
        r = x - np.rint(x)
        if r == 0.0:
            return sign * np.inf
        total = abs(r) ** -s
        if r < 0.0:
            total *= sign
        total += _zeta(s, 1.0 + r) + sign * (_zeta(s, 1.0 - r) - _zeta(s, 1.0 - x))
    return sign * np.exp(_lgamma64(s)) * total


@function
def _below(a, x):
    """(S, −∂S/∂a) of S = Σ xᵏ/((a + 1)…(a + k)): P(a, x) = xᵃ e⁻ˣ S/Γ(a + 1)."""
    term, total, slope, harmonic, k = 1.0, 1.0, 0.0, 0.0, 0.0
    while term * (1.0 + harmonic) > 1e-17 * total:
        k += 1.0
        harmonic += 1.0 / (a + k)
        term *= x / (a + k)
        total += term
        slope += term * harmonic
    return total, slope


@function
def _above(a, x):
    """(h, ∂h/∂a) of Legendre's continued fraction: 1 − P(a, x) = xᵃ e⁻ˣ h/Γ(a). Lentz's recurrence and its derivative."""
    b = x + 1.0 - a
    c, dc = 1e300, 0.0
    d = 1.0 / b
    dd = d * d
    h, dh = d, dd
    for i in range(1, 20000):
        t = i * (a - i)
        b += 2.0
        d, dd = t * d + b, i * d + t * dd - 1.0
        d = 1.0 / d
        dd *= -d * d
        c, dc = b + t / c, (i - t * dc / c) / c - 1.0
        h, dh, before = h * d * c, dh * d * c + h * (dd * c + d * dc), dh
        if abs(d * c - 1.0) < 4e-16 and abs(dh - before) <= 1e-15 * abs(dh):
            break
    return h, dh


@function
def _cube_root_normal(a, log_x):
    """(c, z): the cube root c of x/a is nearly normal with mean 1 − 1/9a and variance 1/9a (Wilson & Hilferty 1931)."""
    c = np.exp((log_x - np.log(a)) / 3.0)
    return c, 3.0 * np.sqrt(a) * (c - 1.0 + 1.0 / (9.0 * a))


@function
def _gamma_slope64(a, log_x):
    if not a > 0.0 or not log_x < np.inf:
        return np.nan
    if a > _LARGE:
        c, z = _cube_root_normal(a, log_x)
        return 1.0 / a + (1.0 / (3.0 * a) - z / (2.0 * np.sqrt(a))) / (a * c)
    x = np.exp(log_x)
    # On either side both terms are positive: nothing cancels.
    if x < max(a + 0.5, 1.5):
        s, ds = _below(a, x)
        return (s * (_digamma64(a + 1.0) - log_x) + ds) / a
    h, dh = _above(a, x)
    return h * (log_x - _digamma64(a)) + dh


@function
def _gammainc64(a, x):
    if not (a > 0.0 and x >= 0.0) or a == np.inf:
        return np.nan
    if x == 0.0 or x == np.inf:
        return 0.0 if x == 0.0 else 1.0
    log_x = np.log(x)
    if a > _LARGE:
        return 0.5 * math.erfc(-_cube_root_normal(a, log_x)[1] / math.sqrt(2.0))
    if x < max(a + 0.5, 1.5):
        return np.exp(a * log_x - x - _lgamma_of_positive(a + 1.0)) * _below(a, x)[0]
    return 1.0 - np.exp(a * log_x - x - _lgamma_of_positive(a)) * _above(a, x)[0]


@function
def _lgamma(x):
    return type(x)(_lgamma64(np.float64(x)))


@function
def _digamma(x):
    return type(x)(_digamma64(np.float64(x)))


@function
def _polygamma(x, n):
    return type(x)(_polygamma64(np.float64(x), n))


@function
def _gammainc(a, x):
    return type(x)(_gammainc64(np.float64(a), np.float64(x)))


@function
def _gamma_slope(a, log_x):
    return type(a)(_gamma_slope64(np.float64(a), np.float64(log_x)))


lgamma = unary(_lgamma)
digamma = unary(_digamma)
_polygamma_map = unary(_polygamma)
gammainc = binary(_gammainc)
gamma_slope = binary(_gamma_slope)
lgamma.__doc__ = "ln |Γ(x)|; +∞ at 0, −1, −2, …"
digamma.__doc__ = "ψ(x), the derivative of lgamma: ∓∞ at ±0, NaN at −1, −2, …"
gammainc.__doc__ = "P(a, x) = ∫ tᵃ⁻¹ e⁻ᵗ dt/Γ(a) from 0 to x: the chance that a gamma variable of shape a is at most x."
gamma_slope.__doc__ = "d ln x/da of (a, ln x), if x moves with a so that P(a, x) stays."


def polygamma(n, x):
    """The n-th derivative of digamma, n from 1 to 170."""
    if not 1 <= n <= 170:
        raise ValueError(f"polygamma: expected n from 1 to 170, got {n}")
    return _polygamma_map(x, float(n))
