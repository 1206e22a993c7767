"""Scalar exp, log, tanh, sigmoid, erf … without branches, so that LLVM turns a loop over them into vector code.

`math.exp` inside a kernel is a library call, one element at a time. Here each function is a range reduction, a
polynomial, and powers of two made by writing the exponent's bits; special values are picked by selection, not by jumps.
Results are within 2 ulp over the whole range, subnormals, ±inf and NaN included, and keep the type of the argument.

The functions are for kernels: they take a float32 or float64 scalar. Multiplications and additions may be contracted to
FMA, but never reordered, so an element's bits do not depend on its place in the array.
"""

from math import factorial

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable
from numba.np.numpy_support import as_dtype

from .pipeline import WITHIN

COMPILE = {"error_model": "numpy", "fastmath": {"contract"}, "forceinline": True, **WITHIN}
scalar = register_jitable(**COMPILE)  # a Python function that kernels can call, compiled into each of them


def by_dtype(factory):
    """The scalar function that is `factory(np.float32)` or `factory(np.float64)` by the type of its argument.

    Constants and polynomials depend on the precision, so each factory computes them and returns the formula.
    """
    formulas = {T: factory(T) for T in (np.float32, np.float64)}

    def function(x):
        return formulas[type(x)](x)

    overload(function, jit_options=COMPILE)(lambda x: formulas[as_dtype(x).type])
    function.__name__, function.__qualname__, function.__doc__ = factory.__name__, factory.__qualname__, factory.__doc__
    return function


@intrinsic
def _select(typingctx, condition, a, b):
    def codegen(context, builder, signature, arguments):
        return builder.select(*arguments)

    return a(types.boolean, a, a), codegen


def select(condition, a, b):
    """a if condition else b, with both sides computed: LLVM keeps a real `if` around an expensive side as a jump."""
    return a if condition else b


@overload(select, jit_options=COMPILE)
def _(condition, a, b):
    return lambda condition, a, b: _select(condition, a, b)


@intrinsic
def _maximum(typingctx, a, b):
    def codegen(context, builder, signature, arguments):
        number = arguments[0].type
        function = builder.module.declare_intrinsic("llvm.maxnum", [number], ir.FunctionType(number, [number, number]))
        return builder.call(function, arguments, fastmath=("nnan", "nsz"))  # else it takes three instructions instead of one

    return a(a, a), codegen


def maximum(a, b):
    """The greater of two floats, any number if one is NaN: unlike `max` an operation that LLVM may reorder into vector code."""
    return a if a > b else b


@overload(maximum, jit_options=COMPILE)
def _(a, b):
    return lambda a, b: _maximum(a, b)


def constants(T, *values):
    return tuple(T(value) for value in values)


# Per type: the unsigned integer of the same width, bits of the mantissa, and 1.5·2^bits. A float near the last has its
# integer part in its low bits: adding it rounds to an integer, and makes the bits of an integer out of a float.
FORMAT = {np.float32: (np.uint32, 23, np.float32(1.5 * 2**23)), np.float64: (np.uint64, 52, np.float64(1.5 * 2**52))}


@by_dtype
def power_of_two(T):
    """2**n for an integral float n within the normal exponents (-126..127, -1022..1023)."""
    U, bits, magic = FORMAT[T]
    bias, shift = T(2 ** (np.finfo(T).nexp - 1) - 1), U(bits)

    def formula(x):
        return U(T((x + bias) + magic).view(U) << shift).view(T)

    return formula


@by_dtype
def powers_of_two(T):
    """(p, s), two powers of two with p·s = 2**n for an integral float n up to twice the normal exponents

    Of a product with p and then s only the last step rounds, to a subnormal or inf.
    """
    _, _, magic = FORMAT[T]
    half = T(0.5)

    def formula(x):
        first = (x * half + magic) - magic
        return power_of_two(first), power_of_two(x - first)

    return formula


@by_dtype
def split(T):
    """(m, e) with x = m·2**e and √½ <= m < √2, for x > 0 and normal."""
    U, bits, magic = FORMAT[T]
    root, shift = T(0.5**0.5).view(U), U(bits)
    up = T(1).view(U) - root
    mask, bias, magic_bits = U(2**bits - 1), T(2 ** (np.finfo(T).nexp - 1) - 1), magic.view(U)

    def formula(x):
        # Moved up by one - root, the exponent field changes at √½·2^k instead of at 2^k.
        moved = U(T(x).view(U) + up)
        exponent = U(U(moved >> shift) | magic_bits).view(T) - magic - bias
        return U(U(moved & mask) + root).view(T), exponent

    return formula


# ln 2 in two pieces, the first so short that n times it is exact, and 1/ln 2.
LN2 = {
    np.float32: constants(np.float32, 0.693359375, -2.12194440054690583e-4, 1.4426950408889634),
    np.float64: constants(np.float64, 6.93147180369123816490e-01, 1.90821492927058770002e-10, 1.4426950408889634),
}


@by_dtype
def exp_parts(T):
    """(q, n) with exp(x) = (1 + q)·2**n: n is x/ln 2 rounded, q = exp(x - n·ln 2) - 1 by Taylor's series."""
    _, _, magic = FORMAT[T]
    high, low, per_ln2 = LN2[T]
    degree = {np.float32: 7, np.float64: 13}[T]  # the next term is below 0.1 ulp at |r| = ln 2 / 2
    series = constants(T, *(1 / factorial(k) for k in range(degree, 1, -1)))

    def formula(x):
        n = (x * per_ln2 + magic) - magic
        far = x - n * high
        r = far - n * low
        lost = (far - r) - n * low
        p = series[0]
        for c in series[1:]:
            p = p * r + c
        return r * r * p + lost + r, n

    return formula


@by_dtype
def exp(T):
    """eˣ"""
    lowest, highest = {np.float32: (-104, 89), np.float64: (-746, 710)}[T]  # beyond them 0 and inf
    lowest, highest, one = constants(T, lowest, highest, 1)

    def formula(x):
        x = lowest if x < lowest else x
        x = highest if x > highest else x
        q, n = exp_parts(x)
        p, s = powers_of_two(n)  # 2**n itself may be out of range
        return (one + q) * p * s

    return formula


@by_dtype
def exp_of_negative(T):
    """eˣ, the very bits of `exp`, for x that is at most 0 or NaN: a third less to do"""
    lowest, digits = {np.float32: (-104, 24), np.float64: (-746, 54)}[T]
    lowest, digits, scale, one = constants(T, lowest, digits, 0.5**digits, 1)

    def formula(x):
        x = lowest if x < lowest else x
        q, n = exp_parts(x)
        return (one + q) * power_of_two(n + digits) * scale  # only the last step rounds, to a subnormal

    return formula


@by_dtype
def expm1(T):
    """eˣ - 1, exact in its last digits near 0 as well"""
    lowest, highest, half, one = constants(T, *{np.float32: (-80, 89), np.float64: (-700, 710)}[T], 0.5, 1)
    tiny = np.finfo(T).tiny

    def formula(x):
        y = lowest if x < lowest else x
        y = highest if y > highest else y
        q, n = exp_parts(y)
        p = power_of_two(n - one)  # half of 2**n, which is still finite where the result is
        y = q * p + (p - half)
        return select(abs(x) < tiny, x, y + y)  # -0.0 stays

    return formula


@by_dtype
def log_parts(T):
    """(f, t, e) with log(x) = f - t + e·ln 2, f exact and t = f - 2·artanh(f/(2+f)) by its series, for 0 < x < inf"""
    _, bits, _ = FORMAT[T]
    zero, half, one, two, scale, shift = constants(T, 0, 0.5, 1, 2, 2.0**bits, bits)
    tiny = np.finfo(T).tiny
    terms = {np.float32: 5, np.float64: 10}[T]
    series = constants(T, *(2 / (2 * k + 1) for k in range(terms, 0, -1)))

    def formula(x):
        subnormal = x < tiny
        m, e = split(x * scale if subnormal else x)
        e = e - (shift if subnormal else zero)
        f = m - one
        s = f / (two + f)
        z = s * s
        p = series[0]
        for c in series[1:]:
            p = p * z + c
        h = half * f * f
        return f, h - s * (h + z * p), e

    return formula


@by_dtype
def log(T):
    """ln x; -inf at 0, NaN below"""
    high, low, _ = LN2[T]
    zero, inf, nan = constants(T, 0, np.inf, np.nan)

    def formula(x):
        f, t, e = log_parts(x)
        y = e * high + (f - (t - e * low))
        y = select(x > zero, y, select(x == zero, -inf, nan))
        return select(x < inf, y, x)

    return formula


@by_dtype
def log2(T):
    """log₂ x, exact for powers of two"""
    _, _, per_ln2 = LN2[T]
    zero, inf, nan = constants(T, 0, np.inf, np.nan)

    def formula(x):
        f, t, e = log_parts(x)
        y = e + (f - t) * per_ln2
        y = select(x > zero, y, select(x == zero, -inf, nan))
        return select(x < inf, y, x)

    return formula


@by_dtype
def log1p(T):
    """ln(1 + x), exact in its last digits near 0 as well"""
    tiny, zero, one, inf = constants(T, np.finfo(T).tiny, 0, 1, np.inf)

    def formula(x):
        u = one + x
        lost = select(x < one, x - (u - one), one - (u - x))  # what rounding 1 + x dropped
        lost = select(x < inf, lost, zero)
        y = log(u) + lost / select(u > zero, u, one)
        return select(abs(x) < tiny, x, y)

    return formula


@by_dtype
def tanh(T):
    """(1 - e⁻²ˣ) / (1 + e⁻²ˣ), as 1 - 2/(e²ˣ + 1) for large |x|, and by expm1 without cancellation for small"""
    border, half, one, two = constants(T, 0.5, 0.5, 1, 2)

    def formula(x):
        a = abs(x)
        e = expm1(two * a)
        far = a > border
        s = e + two
        y = select(far, two, e) / s
        lost = e - (s - two)  # by rounding s
        return np.copysign(select(far, one - y, y - y * lost * half), x)

    return formula


@by_dtype
def sigmoid(T):
    """1 / (1 + e⁻ˣ), by e⁻|ˣ|, which cannot overflow"""
    zero, one = constants(T, 0, 1)

    def formula(x):
        e = exp(-abs(x))
        s = one + e
        y = select(x < zero, e, one) / s
        lost = e - (s - one)  # by rounding s; divide it by s as well, with the quotient at hand
        return y - y * (lost * select(x < zero, one - y, y))

    return formula


# erf is x + x·p(x²) up to the border and 1 - exp(q(x)), q = log erfc, from there to where it rounds to 1: border, end,
# p and q, fitted for the least maximal relative error of erf (reweighted least squares in 50 digits).
# fmt: off
ERF = {
    np.float32: (
        0.92, 3.95,
        (
            8.4094162646e-5, -8.15250010679e-4, 5.20194808087e-3, -2.68597932798e-2, 0.112837032097, -0.37612634288,
            0.128379166702,
        ),
        (
            -2.10971697091e-5, 4.3448578207e-4, -4.17116905046e-3, 2.51196909587e-2, -0.108280474128, -0.633346576351,
            -1.12951508462, 1.74714726166e-4,
        ),
    ),
    np.float64: (
        1.0, 5.95,
        (
            5.9606467581346218053e-11, -1.1374931875741774976e-9, 1.4660322254414288812e-8, -1.635039521343067912e-7,
            1.6461008377670960187e-6, -1.4925595765603386218e-5, 1.2055331132666754686e-4, -8.5483269814171521006e-4,
            5.2239776248282757192e-3, -2.686617064507785819e-2, 0.11283791670954884376, -0.37612638903183748176,
            0.12837916709551257377,
        ),
        (
            2.2529162097015930272e-14, -1.2472569142553971374e-12, 3.2692534122165041424e-11,
            -5.3969744697559005491e-10, 6.2941021473165531481e-9, -5.5096103395011417352e-8, 3.7499777344299541521e-7,
            -2.0242119421343265841e-6, 8.7266268273894509364e-6, -2.9787583213243376381e-5, 7.7468173669808341624e-5,
            -1.3468671473102983846e-4, 5.860445220576997724e-5, 5.0700056533032468821e-4, -1.6298885205677153673e-3,
            1.6693807584888765081e-4, 1.9149442037206168214e-2, -0.10278043817152535815, -0.6366177077909254061,
            -1.1283795093967130168, 2.6837738752265781374e-8,
        ),
    ),
}
# fmt: on


@by_dtype
def erf(T):
    """2/√π · ∫₀ˣ exp(-t²) dt"""
    border, end, inner, outer = ERF[T]
    border, end, one = constants(T, border, end, 1)
    inner, outer = constants(T, *inner), constants(T, *outer)
    middle = len(outer) // 2

    def formula(x):
        t = abs(x)
        z = t * t
        p = inner[0]
        for c in inner[1:]:
            p = p * z + c
        t = end if t > end else t  # erf rounds to 1 from here on
        q = outer[0]
        for c in outer[1:middle]:  # LLVM writes out a loop over a tuple up to about a dozen terms
            q = q * t + c
        for c in outer[middle:]:
            q = q * t + c
        far = np.copysign(one - exp(q), x)
        return select(t > border, far, x * p + x)

    return formula
