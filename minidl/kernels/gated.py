"""erfc, and x times a gate between 0 and 1 with its slope: x·Φ(x) (GELU), x·σ(x) (SiLU); scalar functions as in `vmath`.

Far left the gate is tiny: a sum like 1 + erf(x), or a subnormal before the last product, would leave it no digits.
tests/ULPS.md says how far each is from the truth at most, over the whole range.
"""

import numpy as np

from .vmath import FORMAT, by_dtype, constants, exp_parts, powers_of_two, scalar, select


@by_dtype
def square(T):
    """(z, rest) with z + rest = x², z rounded: x is cut in two, so that squares and product of the halves are exact"""
    U, bits, _ = FORMAT[T]
    mask = U(2 ** np.finfo(T).bits - 2 ** (bits // 2 + 1))

    def formula(x):
        z = x * x
        high = U(T(x).view(U) & mask).view(T)
        low = x - high
        return z, ((high * high - z) + (high + high) * low) + low * low

    return formula


@scalar
def bell(a, c):
    """(m, p, s) with m·p·s = exp(-c·a²), p and s powers of two: for c = ½ or 1 and 0 <= a up to FARTHEST·√(½/c)

    Rounding a² to z changes e⁻ᶻ by z/2 ulp, so what it dropped is put back. The powers come last: a product with m may be
    subnormal, and should be rounded only once.
    """
    z, rest = square(a)
    q, n = exp_parts(-c * z)
    rest = c * rest
    p, s = powers_of_two(n)
    return type(a)(1) + (q - (rest + rest * q)), p, s


# Φ(-a)·exp(a²/2), the normal distribution's tail less its steep part (Mills's ratio/√2π), is p(q)·4/(a + 4) with
# q = (a - 4)/(a + 4) (the substitution of Shepherd & Laframboise 1981). p is fitted for the least maximal relative error up to
# a = FARTHEST (reweighted least squares in 50 digits), where Φ(-a) rounds to 0 even if multiplied by a.
FARTHEST = {np.float32: 15.0, np.float64: 39.7}
# fmt: off
TAIL = {
    np.float32: (
        -3.144570655422285e-05, 4.7740999434608966e-05, 0.00039258753531612456, -0.0008803530945442617, -0.0018818886019289494,
        0.015101556666195393, -0.04663071036338806, 0.09678415954113007, -0.151974156498909, 0.18882128596305847,
    ),
    np.float64: (
        -3.071335913165315e-10, -9.401987984146442e-11, 3.6858128955988253e-09, 4.049690960851099e-09, -1.9360167921600887e-08,
        -3.9197821559682675e-08, 6.610525724408121e-08, 2.5550844479959456e-07, -1.563590607926432e-07,
        -1.4800275581361828e-06, 1.7877149171278102e-07, 8.78615143108462e-06, -4.769708318856744e-07, -5.777372803693964e-05,
        3.333606440095262e-05, 0.0004077046136210905, -0.0008699230907216341, -0.0018850472416325498, 0.015099143722691492,
        -0.04663046448991551, 0.09678435018555398, -0.15197416049297302, 0.18882128260393788,
    ),
}
# fmt: on


@by_dtype
def tail(T):
    """Φ(-x)·exp(x²/2) for 0 <= x <= FARTHEST: ½ at 0, near 1/(√2π·x) far out"""
    series, one, four, density = constants(T, *TAIL[T]), *constants(T, 1, 4, 0.3989422804014327)
    middle = len(series) // 2

    def formula(x):
        sum = x + four
        rounded = sum - four  # x but for what rounding the sum dropped
        per = one / sum
        q = (rounded - four) * per
        p = series[0]
        for c in series[1:middle]:  # LLVM writes out a loop over a tuple up to about a dozen terms
            p = p * q + c
        for c in series[middle:]:
            p = p * q + c
        y = p * (four * per)
        return y + (x - rounded) * (rounded * y - density)  # the derivative is x·y - φ(0)

    return formula


@by_dtype
def erfc(T):
    """1 - erf(x), to the last digits where erf is near 1 as well"""
    end, zero, one, two, root = constants(T, {np.float32: 10.2, np.float64: 28}[T], 0, 1, 2, 2**0.5)

    def formula(x):
        a = abs(x)
        a = end if a > end else a  # erfc rounds to 0 or 2 from here on
        m, p, s = bell(a, one)
        y = two * tail(a * root) * m * p * s
        return select(x < zero, two - y, y)

    return formula


@by_dtype
def normal_cdf_parts(T):
    """(a, t, m, p, s) for a = |x|, at most FARTHEST: t·m·p·s = Φ(-a), as in `tail` and `bell`"""
    end, half = constants(T, FARTHEST[T], 0.5)

    def formula(x):
        a = abs(x)
        a = end if a > end else a
        return a, tail(a), *bell(a, half)

    return formula


@scalar
def gelu(x):
    """x·Φ(x) = max(x, 0) - |x|·Φ(-|x|), with Φ(x) the chance that a standard normal is below x"""
    a, t, m, p, s = normal_cdf_parts(x)
    zero = type(x)(0)
    return select(x < zero, -zero, x) - a * t * m * p * s


@scalar
def gelu_slope(x):
    """Φ(x) + x·φ(x), φ(x) = exp(-x²/2)/√2π: Φ(-|x|) - |x|·φ(x) for x < 0, and 1 less that for x > 0"""
    a, t, m, p, s = normal_cdf_parts(x)
    T = type(x)
    y = (t - a * T(0.3989422804014327)) * m * p * s
    return select(x < T(0), y, T(1) - y)


@scalar
def sigmoid_parts(x):
    """(r, m, p, s) with r = 1/(1 + e), e = m·p·s = e⁻|ˣ|, p and s powers of two that come last; |x| up to 1000 (200 in float32)

    σ(x) is r or e·r by the sign of x. A product with e·r keeps its digits where e alone is subnormal.
    """
    one = type(x)(1)
    q, n = exp_parts(-abs(x))
    m = one + q
    p, s = powers_of_two(n)
    return one / (one + m * p * s), m, p, s


@by_dtype
def silu(T):
    """x·σ(x)"""
    zero, one = constants(T, 0, 1)
    end = T({np.float32: 120, np.float64: 760}[T])  # x·σ(x) rounds to 0 or x from here on

    def formula(x):
        a = abs(x)
        a = end if a > end else a
        r, m, p, s = sigmoid_parts(a)
        below = x < zero
        return select(below, -a, x) * (r * select(below, m * p, one)) * select(below, s, one)

    return formula


@scalar
def sigmoid_product_slope(x, w, slope):
    """σ(w) + x·σ(w)·σ(-w)·slope, the derivative of x·σ(w(x)), for |w| up to 1000 (200 in float32)"""
    r, m, p, s = sigmoid_parts(w)
    zero, one = type(x)(0), type(x)(1)
    below, m, u = w < zero, m * p, x * slope * r
    return r * (one + select(below, u, u * (m * s))) * select(below, m, one) * select(below, s, one)


@by_dtype
def silu_slope(T):
    """σ(x) + x·σ(x)·σ(-x)"""
    end, one = T({np.float32: 120, np.float64: 760}[T]), T(1)

    def formula(x):
        x = -end if x < -end else x
        x = end if x > end else x
        return sigmoid_product_slope(x, x, one)

    return formula


@by_dtype
def gelu_tanh(T):
    """x/2·(1 + tanh(w/2)) = x·σ(w), w = √(8/π)·(x + 0.044715 x³)"""
    end = T({np.float32: 12, np.float64: 22}[T])  # x·σ(w) rounds to 0 or x from here on
    zero, one, first, third = constants(T, 0, 1, (8 / np.pi) ** 0.5, 0.044715 * (8 / np.pi) ** 0.5)

    def formula(x):
        a = abs(x)
        a = end if a > end else a
        r, m, p, s = sigmoid_parts(a * (first + third * (a * a)))
        below = x < zero
        return select(below, -a, x) * (r * select(below, m * p, one)) * select(below, s, one)

    return formula


@by_dtype
def gelu_tanh_slope(T):
    """σ(w) + x·σ(w)·σ(-w)·w′, with w as in `gelu_tanh`"""
    end = T({np.float32: 12, np.float64: 22}[T])
    first, third, of_square = constants(T, *((8 / np.pi) ** 0.5 * c for c in (1, 0.044715, 3 * 0.044715)))

    def formula(x):
        x = -end if x < -end else x
        x = end if x > end else x
        z = x * x
        return sigmoid_product_slope(x, x * (first + third * z), first + of_square * z)

    return formula
