"""Functions of one number, more exact than the kernels: with NumPy's longdouble, and Γ and its relatives with `decimal`.

A truth takes an array of longdouble and returns one. Where longdouble is no more than a double (Windows, ARM), truths are good
enough for float32 only: `EXTENDED` says so. Those with `decimal` take one Decimal and are good to 30 digits everywhere.
"""

import functools
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

LONG = np.longdouble
EXTENDED = np.finfo(LONG).nmant >= 63
BORDER = 1.4  # of the series of erf around 0 and the continued fraction of erfc
PI = LONG(2) * np.arccos(LONG(0))


def exp_of_square(x, c):
    """exp(-c·x²) with nothing lost in x²: x is cut in two, so that the square of the first part is exact."""
    high = x.astype(np.float32).astype(LONG)
    return np.exp(-c * high * high) * np.exp(-c * (x - high) * (x + high))


def erf_near_0(x):
    """2/√π·e^(-x²)·Σ 2ᵏ x²ᵏ⁺¹/(1·3·…·(2k + 1)), all terms of one sign; for |x| up to 1.5"""
    term = total = x
    for k in range(1, 60):
        term = term * (2 * x * x / (2 * k + 1))
        total = total + term
    return total * exp_of_square(x, 1) * 2 / np.sqrt(PI)


def scaled_erfc(x):
    """erfc(x)·exp(x²) for x from 1.4: Laplace's continued fraction (DLMF 7.9.1), from its 300th level up"""
    y = x
    for k in range(300, 0, -1):
        y = x + k / (2 * y)
    return 1 / (y * np.sqrt(PI))


def in_parts(x, border, end, near, far):
    """near(x) for |x| < border, far(|x|) beyond it and up to the end, 0 from there on: each only computed where it is wanted"""
    a = abs(x)
    y = np.where(np.isnan(x), x, LONG(0))
    y[a < border] = near(x[a < border])
    outside = (a >= border) & (a < end)
    y[outside] = far(a[outside])
    return y


def erf(x):
    y = in_parts(x, BORDER, 200, erf_near_0, lambda a: scaled_erfc(a) * exp_of_square(a, 1))
    return np.where(abs(x) >= BORDER, np.copysign(1 - y, x), y)


def erfc(x):
    y = in_parts(x, BORDER, 200, lambda x: 1 - erf_near_0(x), lambda a: scaled_erfc(a) * exp_of_square(a, 1))
    return np.where(x <= -BORDER, 2 - y, y)


def chance(x):
    """Φ(x), that a standard normal is below x"""
    root = np.sqrt(LONG(2))
    y = in_parts(
        x,
        BORDER * root,
        200,
        lambda x: (1 + erf_near_0(x / root)) / 2,
        lambda a: scaled_erfc(a / root) * exp_of_square(a, 0.5) / 2,
    )
    return np.where(x >= BORDER * root, 1 - y, y)


def density(x):
    return exp_of_square(np.clip(x, -200, 200), 0.5) / np.sqrt(2 * PI)


def sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def gelu(x):
    return np.where(x < -200, 0, x) * chance(x)


def gelu_slope(x):
    return chance(x) + np.clip(x, -200, 200) * density(x)


def tanh_argument(x):
    """u of gelu's approximation ½x·(1 + tanh u), and its derivative"""
    x = np.clip(x, -1e3, 1e3)
    c, cubic = np.sqrt(2 / PI), LONG(44715) / 1000000
    return c * (x + cubic * x**3), c * (1 + 3 * cubic * x * x)


def gelu_tanh(x):
    return np.clip(x, -1e3, None) * sigmoid(2 * tanh_argument(x)[0])


def gelu_tanh_slope(x):
    u, slope = tanh_argument(x)
    s = sigmoid(2 * u)
    return s + np.clip(x, -1e3, 1e3) * 2 * s * sigmoid(-2 * u) * slope


def silu(x):
    return np.where(x < -2e4, 0, x) * sigmoid(x)


def silu_slope(x):
    return sigmoid(x) * (1 + np.clip(x, -2e4, 2e4) * sigmoid(-x))


# --- Γ and its relatives, one Decimal at a time


def bernoulli(count):
    """B₂, B₄, … by Σ (n + 1 over k) B_k = 0"""
    b = [Fraction(1)]
    for n in range(1, 2 * count + 1):
        b.append(-sum(math.comb(n + 1, k) * b[k] for k in range(n)) / (n + 1))
    return [Decimal(f.numerator) / f.denominator for f in b[2::2]]


def in_digits(function):
    """The function, computed with 50 digits; twice the same argument is computed once."""

    @functools.cache
    def exact(*arguments):
        with localcontext() as context:
            context.prec = 50
            context.Emin, context.Emax = -99999, 99999
            return function(*arguments)

    return exact


BERNOULLI = in_digits(bernoulli)(20)
LARGE = 25  # from here on the asymptotic series are good to 40 digits
TWO_PI = Decimal("6.28318530717958647692528676655900576839433879875021164194988918461563281257")


def sin_cos(angle):
    term, sums = Decimal(1), [Decimal(0), Decimal(0)]
    for k in range(60):
        sums[k % 2] += term if k % 4 < 2 else -term
        term *= angle / (k + 1)
    return sums[1], sums[0]


@in_digits
def lgamma(x):
    if x <= -200:
        r = x - x.to_integral_value()
        return (TWO_PI / 2 / abs(x * sin_cos(TWO_PI / 2 * r)[0])).ln() - lgamma(-x)
    product = Decimal(1)
    while x < LARGE:
        product *= x
        x += 1
    series = sum(b / (2 * k * (2 * k - 1)) / x ** (2 * k - 1) for k, b in enumerate(BERNOULLI, 1))
    return (x - Decimal("0.5")) * x.ln() - x + TWO_PI.ln() / 2 + series - abs(product).ln()


@in_digits
def digamma(x):
    if x <= -200:
        sine, cosine = sin_cos(TWO_PI / 2 * (x - x.to_integral_value()))
        return digamma(1 - x) - TWO_PI / 2 * cosine / sine
    total = Decimal(0)
    while x < LARGE:
        total -= 1 / x
        x += 1
    return total + x.ln() - 1 / (2 * x) - sum(b / (2 * k) / x ** (2 * k) for k, b in enumerate(BERNOULLI, 1))


@in_digits
def polygamma(n, x):
    """(-1)ⁿ⁺¹ n! Σ (x + k)⁻ⁿ⁻¹, the sum from LARGE on by Euler and Maclaurin"""
    total = Decimal(0)
    while x < LARGE:
        total += x ** (-n - 1)
        x += 1
    total += x**-n / n + x ** (-n - 1) / 2
    for k, b in enumerate(BERNOULLI, 1):
        total += b * math.comb(n + 2 * k - 1, 2 * k - 1) / (2 * k) / x ** (n + 2 * k)
    return (-1) ** (n + 1) * math.factorial(n) * total


@in_digits
def gammainc(a, x):
    """P(a, x) = xᵃ e⁻ˣ/Γ(a + 1)·Σ xᵏ/((a + 1)…(a + k))"""
    if x > 4 * a + 200:
        return Decimal(1)
    term = total = Decimal(1)
    k = 0
    while k < x or term > total * Decimal("1e-40"):
        k += 1
        term *= x / (a + k)
        total += term
    return gamma_density(a, x) * x / a * total


@in_digits
def gamma_density(a, x):
    """∂P(a, x)/∂x = xᵃ⁻¹ e⁻ˣ/Γ(a)"""
    return ((a - 1) * x.ln() - x - lgamma(a)).exp()
