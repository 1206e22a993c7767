"""Γ and its relatives, computed in float64: ln Γ, its derivatives, and the incomplete Γ with its slope in a.

All rest on one asymptotic series in the Bernoulli numbers (NIST Digital Library of Mathematical Functions, 5.11, 5.15, 25.11),
good to the last digits from 10 on, and a recurrence that leads there; where a function is near a root, a Taylor series or
the difference to the root. How far the results are from the truth at most is in tests/ULPS.md.
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
_ARTANH = tuple(1 / (2 * k + 1) for k in range(13, 0, -1))  # artanh v = v + v³·Σ v²ᵏ/(2k + 3)
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


# ln Γ(2 + z) = (1 − γ) z + Σ (−1)ᵏ (ζ(k) − 1) zᵏ/k and its derivative ψ(2 + z); then ψ around its root between 1 and 2, which
# is the sum of three numbers.
_AT_TWO = tuple((-1) ** k * _zeta(float(k), 2.0) / k for k in range(28, 1, -1)) + (0.42278433509846714,)
_PSI_AT_TWO = tuple((-1) ** k * _zeta(float(k), 2.0) for k in range(34, 1, -1)) + (0.42278433509846714,)
_PSI_EVEN, _PSI_ODD = _PSI_AT_TWO[1::2], _PSI_AT_TWO[::2]
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


# Left of 0 both functions have roots, as near to the poles as their values are large: a root is at t − n, and t is here, as the
# sum of two numbers (bisection in 80 digits). ln |Γ| has two beside each pole from −3 to −17, and those below
# are less than an ulp from the pole; ψ has one, right of each pole. There the difference to the root is computed: each of its
# terms has the factor d = the distance to the root, which is exact.
# fmt: off
_LEFT_OF_POLE = (  # from −2 to −17
    (-0.45702473822080064, 1.843554041574456e-17), (-0.14358088834998006, 3.862806401714152e-18),
    (-0.03936183974053688, 3.2731379225891636e-18), (-0.008218168322593521, -5.582665915956405e-19),
    (-0.0013852944531550972, -2.6295731811446077e-20), (-0.00019833340732475162, 1.1820573401560963e-20),
    (-2.48002706819597e-05, 1.0083974251164085e-21), (-2.7557148226503463e-06, -5.624459871432079e-23),
    (-2.755730136466002e-07, -2.4472526783403563e-23), (-2.5052106852407546e-08, 1.2924868620853802e-24),
    (-2.087675687777539e-09, -4.849684877236172e-26), (-1.6059043830108875e-10, 7.046449983196074e-27),
    (-1.147074559737784e-11, 4.194056116105366e-28), (-7.647163731803788e-13, 4.886154187641447e-29),
    (-4.779477332386745e-14, -1.811833433216651e-30), (-2.811457254345498e-15, -2.2878206410005478e-32),
)
_RIGHT_OF_POLE = (  # from −3 to −17
    (0.2523173532725874, -2.04688991691325e-17), (0.04470571514140207, 8.223977942582053e-19),
    (0.008455359439952277, 8.231751957350036e-19), (0.0013925199191243706, -7.090441230646531e-20),
    (0.0001984921093623021, 6.263909978492175e-21), (2.4802904179335845e-05, 3.15397713595963e-22),
    (2.7557490225318057e-06, -6.500300408654724e-23), (2.7557337083353163e-07, 1.4502658434955713e-23),
    (2.5052109918476226e-08, -6.807394864189793e-25), (2.087675709796081e-09, -8.658839215884982e-26),
    (1.6059043843534355e-10, 6.465141936497467e-27), (1.147074559808161e-11, -7.830340218001236e-28),
    (7.647163731835846e-13, -3.8035184915187745e-29), (4.779477332388026e-14, -9.319923331229129e-31),
    (2.8114572543455435e-15, -8.713180440266469e-32),
)
_OF_PSI = (  # from −1 to −20
    (0.4959169917355446, -8.15428206243813e-18), (0.42650152683760956, -1.574185691077347e-17),
    (0.38927913155585536, -1.2202694992732132e-17), (0.3647066335630989, -9.671895995274374e-19),
    (0.34676223825685754, 2.2628894141607193e-17), (0.33283755844311447, -3.2153051074948335e-18),
    (0.32158178692657324, 1.40129649619771e-17), (0.312211674968374, -2.4133947001851525e-17),
    (0.30423583618359873, 4.467870224652488e-18), (0.29732745999813626, 7.435123333532191e-18),
    (0.29125916174585537, -1.8098511510194027e-17), (0.28586693877104613, 2.715774696551599e-17),
    (0.2810289742507925, 2.4369117870628782e-17), (0.2766525426361732, 8.738659301743149e-18),
    (0.27266558398147106, 1.8892751268118038e-17), (0.2690110936671176, -5.5027387288572304e-18),
    (0.2656432760442643, 1.7295163907657788e-17), (0.2625248400224111, -1.2977261991403057e-17),
    (0.2596250552199003, -1.4230298349280131e-18), (0.2569183274097824, -1.556656310557129e-17),
)
# fmt: on
_LAST_POLE = len(_OF_PSI)


@function
def _quotient(coefficients, x, y):
    """(p(x) − p(y))/(x − y) of a polynomial, without a difference: the quotient's coefficients are Horner's values at y."""
    value, quotient = 0.0, 0.0
    for c in coefficients:
        quotient = quotient * x + value
        value = value * y + c
    return quotient


@function
def _lgamma_near_root(n, t, root, rest):
    """ln |Γ(t − n)| − ln |Γ(root − n)|, of which the second is 0"""
    d = (t - root) - rest
    y = d * _quotient(_AT_TWO + (0.0,), t, root) - np.log1p(d / (1.0 + root)) - np.log1p(d / root)
    for k in range(1, n + 1):
        y -= np.log1p(-d / (k - root))
    return y


@function
def _lgamma_of_negative(x):
    """Γ(t − n) = Γ(1 + t)/(t·(t − 1)…(t − n)) for the nearest pole −n"""
    n = 2 if -2.6 < x < -2.5 else int(-np.rint(x))  # from −2.75 to −2.45 the nearest root, for the function is small between
    t = x + n
    if 3 <= n <= 17 and t > 0.0:
        root, rest = _RIGHT_OF_POLE[n - 3]
        if 0.5 * root < t < 2.0 * root:
            return _lgamma_near_root(n, t, root, rest)
    if 2 <= n <= 17 and t < 0.0:
        root, rest = _LEFT_OF_POLE[n - 2]
        if 2.0 * root < t < 0.5 * root:
            return _lgamma_near_root(n, t, root, rest)
    product = abs(t)
    for k in range(1, n + 1):
        product *= k - t
    return _horner(_AT_TWO, t) * t - np.log1p(t) - np.log(product)


@function
def _lgamma64(x):
    if x > 0.0 or x != x:
        return _lgamma_of_positive(x) if x < np.inf else x
    if x == -np.inf or x == np.rint(x):
        return np.inf
    if x > -_LAST_POLE:
        return _lgamma_of_negative(x)
    sine = abs(np.sin(np.pi * (x - np.rint(x)))) / np.pi
    return -np.log(-x) - np.log(sine) - _lgamma_of_positive(-x)  # Γ(x) Γ(−x) = −π/(x sin πx)


@function
def _psi_at_two(t):
    """ψ(2 + t), the even and the odd terms side by side, which takes half the time"""
    z, even, odd = t * t, 0.0, 0.0
    for k in range(len(_PSI_EVEN)):
        even = even * z + _PSI_EVEN[k]
        odd = odd * z + _PSI_ODD[k]
    return even + t * odd


@function
def _digamma_of_negative(x):
    """ψ(t − n) = ψ(2 + t) − 1/(1 + t) − 1/t + Σ 1/(k − t), k = 1 … n, t from −0.4 to 0.6; right of a pole less ψ at the root"""
    n = int(-np.rint(x - 0.1))
    t = x + n
    if n == 0 or t < 0.0:
        y = _psi_at_two(t) - 1.0 / (1.0 + t) - 1.0 / t
        for k in range(1, n + 1):
            y += 1.0 / (k - t)
        return y
    root, rest = _OF_PSI[n - 1]
    slope = _quotient(_PSI_AT_TWO, t, root) + 1.0 / ((1.0 + t) * (1.0 + root)) + 1.0 / (t * root)
    for k in range(1, n + 1):
        slope += 1.0 / ((k - t) * (k - root))
    dropped = x - (t - n)  # by rounding t, which x above −½ has finer digits than
    return slope * ((t - root) + (dropped - rest))


@function
def _digamma64(x):
    if x == 0.0:
        return -np.inf if 1.0 / x > 0.0 else np.inf
    if -_LAST_POLE - 0.3 < x <= 0.6 and x != np.rint(x):
        return _digamma_of_negative(x)
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
    if x < 1.5:
        return _psi_at_two(x - 1.0) - 1.0 / x
    if x < 10.0:
        total = 0.0
        while x > 2.5:
            x -= 1.0
            total += 1.0 / x
        return _psi_at_two(x - 2.0) + total
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
    factorial = sign
    for k in range(2, int(s)):
        factorial *= k
    return factorial * total


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
def _gamma_term(a, x, log_x):
    """xᵃ e⁻ˣ/Γ(a + 1). For large a by Stirling's series, so that near x = a no large terms cancel."""
    if a < 10.0:
        return np.exp(a * log_x - x - _lgamma_of_positive(a + 1.0))
    u = (x - a) / a
    v = u / (2.0 + u)
    scale = np.exp(-_horner(_STIRLING, 1.0 / (a * a)) / a) / np.sqrt(2.0 * np.pi * a)
    if abs(v) < 0.25:  # u − ln(1 + u), with ln(1 + u) = 2 artanh v
        return scale * np.exp(-a * v * (u - 2.0 * v * v * _horner(_ARTANH, v * v)))
    if x < a and a < 700.0:
        root = (x / a) ** (0.5 * a)  # the power itself may be too small for a float
        return scale * np.exp(a - x) * root * root
    return scale * np.exp(-a * (u - np.log(x / a)))


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
        term = x**a * np.exp(-x - _lgamma_of_positive(a + 1.0)) if a < 10.0 else _gamma_term(a, x, log_x)
        return term * _below(a, x)[0]
    return 1.0 - a * _gamma_term(a, x, log_x) * _above(a, x)[0]


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
