"""Normal numbers of float32 by Box and Muller's formula, with the very bits of PyTorch's.

PyTorch computes the logarithm, sine and cosine with the polynomials of Cephes (Moshier, netlib.org/cephes: logf.c and sinf.c).
Each multiply-and-add is rounded once. The same steps in the same order give the same bits.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .arrays import empty_array
from .jit import CodeByDtype, dense, jit
from .tile import MASKS
from .vmath import constants, select

BLOCK = 16  # uniform numbers, the first half for the radii and the second for the angles, become as many normal ones
PAIRS = 512  # made at a time

_LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1)
_LOG = constants(np.float32, *_LOG, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
_LN2_HIGH, _LN2_LOW = constants(np.float32, 0.693359375, -2.12194440e-4)  # ln 2 in two parts: e·_LN2_HIGH is exact
_SIN = constants(np.float32, -1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = constants(np.float32, 2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_QUARTER_PI = constants(np.float32, -0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)  # −π/4 in three parts
_ROOT, _ONE, _TWO, _HALF = constants(np.float32, math.sqrt(0.5), 1, 2, 0.5)
_TAU, _PER_QUARTER_PI, _UNIT = constants(np.float32, 2 * math.pi, 4 / math.pi, 2.0**-24)


@intrinsic
def _fused(typing, a, b, c):
    def codegen(context, builder, signature, arguments):
        number = arguments[0].type
        return builder.call(
            builder.module.declare_intrinsic("llvm.fma", [number], ir.FunctionType(number, [number] * 3)), arguments
        )

    return a(a, a, a), codegen


@jit(forceinline=True)
def _fma(a, b, c):
    """a·b + c rounded once; float64 holds the product of two float32 exactly."""
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))


if MASKS and not numba.config.DISABLE_JIT:  # the processor has an instruction for it
    _fma = _fused


@jit(forceinline=True)
def _horner(coefficients, x):
    y = coefficients[0]
    for coefficient in coefficients[1:]:
        y = _fma(x, y, coefficient)
    return y


@jit(forceinline=True)
def _log(x):
    """ln x for a normal x > 0, which is m·2ᵉ with √½ ≤ m < √2"""
    bits = np.int32(x.view(np.int32))
    m = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F000000)).view(np.float32)
    low = m < _ROOT
    e = np.float32(np.int32((bits >> np.int32(23)) - np.int32(126)))
    e = select(low, e - _ONE, e)
    m = select(low, m + m, m) - _ONE
    square = m * m
    y = _fma(_horner(_LOG, m) * m, square, e * _LN2_LOW)
    return _fma(e, _LN2_HIGH, m + _fma(square, -_HALF, y))


@jit(forceinline=True)
def _sin_and_cos(x):
    octant = np.int32((np.int32(x * _PER_QUARTER_PI) + np.int32(1)) & np.int32(-2))  # the nearest even number of π/4
    turns = np.float32(octant)
    for part in _QUARTER_PI:
        x = _fma(turns, part, x)
    square = x * x
    sin = _fma(_horner(_SIN, square) * square, x, x)
    cos = _fma(_horner(_COS, square) * square, square, square * -_HALF) + _ONE
    swapped = (octant & np.int32(2)) != 0  # odd multiples of π/2 exchange the two
    sin, cos = select(swapped, cos, sin), select(swapped, sin, cos)
    sin = select((octant & np.int32(4)) != 0, -sin, sin)
    return sin, select(((octant + np.int32(2)) & np.int32(4)) != 0, -cos, cos)


@jit
def normals_of_words(words, mean, std, y):
    """(u, v) → √(−2 ln(1 − u)) · (cos 2πv, sin 2πv), times std plus mean; u and v are 24 bits of a word each."""
    half = BLOCK // 2
    us, vs = empty_array(PAIRS, y.dtype), empty_array(PAIRS, y.dtype)
    for first in range(0, y.size, 2 * PAIRS):  # apart, so that one long loop has all pairs, and vector code
        pairs = min(PAIRS, (y.size - first) // 2)
        for block in range(0, pairs, half):
            for i in range(block, block + half):
                us[i] = np.float32(np.int32(words[first + block + i] & 0xFFFFFF)) * _UNIT
                vs[i] = np.float32(np.int32(words[first + block + half + i] & 0xFFFFFF)) * _UNIT
        for i in range(pairs):
            radius = np.sqrt(-_TWO * _log(_ONE - us[i]))  # 1 − u is never 0
            sin, cos = _sin_and_cos(_TAU * vs[i])
            us[i], vs[i] = _fma(radius * cos, std, mean), _fma(radius * sin, std, mean)
        for block in range(0, pairs, half):
            for i in range(block, block + half):
                y[first + block + i], y[first + block + half + i] = us[i], vs[i]


_NORMALS = CodeByDtype(normals_of_words, lambda t: (dense(types.uint64, 1), t, t, dense(t, 1, True)))


def box_muller(words, mean, std, y):
    """Fills y, whose size is a multiple of 16, with normal numbers that are made of as many random words."""
    good = words.dtype == np.uint64 and y.dtype == np.float32 and words.shape == y.shape and y.ndim == 1
    if not good or y.size % BLOCK or not (words.flags.c_contiguous and y.flags.c_contiguous):
        raise ValueError(
            f"box_muller: expected uint64 and float32 arrays of a multiple of {BLOCK}, got {words.shape} and {y.shape}"
        )
    _NORMALS[y.dtype](words, y.dtype.type(mean), y.dtype.type(std), y)
