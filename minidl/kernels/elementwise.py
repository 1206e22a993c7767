"""Activations and other maps over the elements of arrays, and their backward maps; rows added by index; sums of squares.

A map is a formula for one element; `unary` and `binary` make the loop around it. Reading the memory once and writing it
once is most of the cost, so each backward is a single map of `dy` and the cheapest thing saved, not a chain of NumPy
calls.
"""

import functools

import numpy as np
from numba import types

from . import gated, vmath
from .copies import in_order
from .jit import CodeByDtype, dense, jit
from .memory import empty
from .shares import SharedCode
from .threads import run
from .vmath import scalar, select

SHARED_SIZE = 65536  # elements from which a second thread pays for its launch


def number(x):
    """An option of a kernel as a float."""
    if isinstance(x, np.complexfloating):  # of whose imaginary part NumPy only warns
        raise TypeError(f"a kernel expected a real number, got {x!r}")
    return float(x)


def plain(x):
    """x in the form that kernels are compiled for, contiguous, aligned and writeable; a copy unless it is so."""
    try:
        return x if x.flags.carray else in_order(x)
    except AttributeError:
        raise TypeError(f"a kernel expected an ndarray, got {type(x).__name__}") from None


@jit(forceinline=True)
def part_of(x, part, parts):
    """Slice number `part` of x in `parts`. A loop over it starts at 0: no index can count from the end."""
    return x[x.size * part // parts : x.size * (part + 1) // parts]


def _by_dtype(formula, loop, operands):
    """The kernel that is this loop around a formula, over so many arrays of operands."""
    loop.__qualname__ = formula.__qualname__  # keeps apart the cache files of kernels that come from the same lines
    return SharedCode(jit(loop), lambda t: (*[dense(t, 1)] * operands, dense(t, 1, True), types.float64, types.float64))


def unary(formula):
    """The map y[i] = formula(x[i], a, b): a function of an array, and of no more numbers than the formula takes."""
    count = formula.__code__.co_argcount - 1

    def loop(x, y, a, b, part, parts):
        x, y = part_of(x, part, parts), part_of(y, part, parts)
        for i in range(x.size):
            y[i] = formula(x[i], *(a, b)[:count])

    kernel = _by_dtype(formula, loop, 1)

    @functools.wraps(formula)
    def apply(x, a=0.0, b=0.0):
        x, dtype = plain(x), x.dtype
        if x.size < SHARED_SIZE:
            y = np.empty(x.shape, dtype)
            kernel[dtype](x.ravel(), y.ravel(), a, b, 0, 1)
        else:
            y = empty(x.shape, dtype)
            run(True, kernel, dtype, x.ravel(), y.ravel(), a, b)
        return y

    return apply


def binary(formula):
    """The map z[i] = formula(x[i], y[i], a, b) of two arrays of one shape and dtype."""
    count = formula.__code__.co_argcount - 2

    def loop(x, y, z, a, b, part, parts):
        x, y, z = part_of(x, part, parts), part_of(y, part, parts), part_of(z, part, parts)
        for i in range(x.size):
            z[i] = formula(x[i], y[i], *(a, b)[:count])

    kernel = _by_dtype(formula, loop, 2)

    @functools.wraps(formula)
    def apply(x, y, a=0.0, b=0.0):
        dtype, shape = x.dtype, x.shape
        if y.dtype != dtype or y.shape != shape:
            got = f"{shape} of {dtype} and {y.shape} of {y.dtype}"
            raise ValueError(f"{formula.__name__.strip('_')}: expected two arrays of one shape and dtype, got {got}")
        x, y = plain(x), plain(y)
        if x.size < SHARED_SIZE:
            z = np.empty(shape, dtype)
            kernel[dtype](x.ravel(), y.ravel(), z.ravel(), a, b, 0, 1)
        else:
            z = empty(shape, dtype)
            run(True, kernel, dtype, x.ravel(), y.ravel(), z.ravel(), a, b)
        return z

    return apply


# Formulas. Numbers are converted to the element's type, or they would promote float32 to float64.


@scalar
def _relu(x):
    """max(x, 0); NaN stays"""
    zero = type(x)(0)
    return select(x < zero, zero, x) + zero  # + 0 makes -0 into 0


@scalar
def _relu_backward(dy, y):
    """0 where y = max(x, 0) is 0, else dy"""
    zero = type(dy)(0)
    return select(y <= zero, zero, dy)


@scalar
def _leaky_relu(x, slope):
    """x where x > 0, else slope·x"""
    T = type(x)
    return select(x > T(0), x, x * T(slope))


@scalar
def _leaky_relu_backward(dy, x, slope):
    """dy where x > 0, else slope·dy"""
    T = type(x)
    return select(x > T(0), dy, dy * T(slope))


@scalar
def _elu(x, alpha):
    """x where x > 0, else α·(eˣ - 1)"""
    T = type(x)
    return select(x > T(0), x, T(alpha) * vmath.expm1(x))


@scalar
def _elu_backward(dy, x, alpha):
    """dy where x > 0, else dy·α·eˣ"""
    T = type(x)
    return select(x > T(0), dy, dy * (T(alpha) * vmath.exp(x)))


@scalar
def _gelu_backward(dy, x):
    """dy·(Φ(x) + x·φ(x)), φ(x) = e^(-x²/2)/√2π"""
    return dy * gated.gelu_slope(x)


@scalar
def _gelu_tanh_backward(dy, x):
    """dy·(x·σ(w))′, w = √(8/π)·(x + 0.044715 x³)"""
    return dy * gated.gelu_tanh_slope(x)


@scalar
def _silu_backward(dy, x):
    """dy·(σ(x) + x·σ(x)·σ(-x))"""
    return dy * gated.silu_slope(x)


@scalar
def _softplus(x, beta, threshold):
    """ln(1 + e^(βx))/β; x itself where βx > threshold"""
    T = type(x)
    z = x * T(beta)
    zero = T(0)
    stable = select(z > zero, z, zero) + vmath.log1p(vmath.exp_of_negative(-abs(z)))
    return select(z > T(threshold), x, stable / T(beta))


@scalar
def _softplus_backward(dy, x, beta, threshold):
    """dy·σ(βx); dy itself where βx > threshold"""
    T = type(x)
    z = x * T(beta)
    return select(z > T(threshold), dy, dy * vmath.sigmoid(z))


@scalar
def _tanh_backward(dy, y):
    """dy·(1 - y²), y = tanh x"""
    one = type(y)(1)
    return dy * ((one - y) * (one + y))


@scalar
def _sigmoid_backward(dy, y):
    """dy·y·(1 - y), y = σ(x)"""
    return dy * (y * (type(y)(1) - y))


@scalar
def _logsigmoid(x):
    """ln σ(x) = min(x, 0) - ln(1 + e⁻|x|)"""
    zero = type(x)(0)
    return select(x > zero, zero, x) - vmath.log1p(vmath.exp_of_negative(-abs(x)))


@scalar
def _logsigmoid_backward(dy, x):
    """dy·σ(-x)"""
    return dy * vmath.sigmoid(-x)


@scalar
def _binary_cross_entropy_with_logits(x, t):
    """-t·ln σ(x) - (1 - t)·ln σ(-x) = |x|·(1 - t where x > 0, else t) + ln(1 + e⁻|x|), in nats"""
    zero, one = type(x)(0), type(x)(1)
    wrong = select(x > zero, one - t, t)  # how much of the target is on the other side
    return select(wrong == zero, zero, abs(x) * wrong) + vmath.log1p(vmath.exp_of_negative(-abs(x)))


@scalar
def _binary_cross_entropy_with_logits_backward(x, t):
    """σ(x) - t, the derivative by x: by e = e⁻|ˣ|, which keeps its digits where σ(x) rounds to t = 1"""
    one = type(x)(1)
    e = vmath.exp_of_negative(-abs(x))
    rest = one - t
    return select(x < type(x)(0), e * rest - t, rest - e * t) / (one + e)


@scalar
def _clamp(x, low, high):
    """min(max(x, low), high); NaN stays, and so does a zero beside a bound that is a zero of the other sign"""
    T = type(x)
    v = select(x < T(low), T(low), x)
    return select(v > T(high), T(high), v)


@scalar
def _plus(x, y):
    """x + y"""
    return x + y


add = binary(_plus)
exp = unary(vmath.exp)
expm1 = unary(vmath.expm1)
log = unary(vmath.log)
log2 = unary(vmath.log2)
log1p = unary(vmath.log1p)
erf = unary(vmath.erf)
erfc = unary(gated.erfc)
tanh = unary(vmath.tanh)
tanh_backward = binary(_tanh_backward)
sigmoid = unary(vmath.sigmoid)
sigmoid_backward = binary(_sigmoid_backward)
logsigmoid = unary(_logsigmoid)
logsigmoid_backward = binary(_logsigmoid_backward)
relu = unary(_relu)
relu_backward = binary(_relu_backward)
silu = unary(gated.silu)
silu_backward = binary(_silu_backward)
binary_cross_entropy_with_logits = binary(_binary_cross_entropy_with_logits)
_binary_cross_entropy_slope = binary(_binary_cross_entropy_with_logits_backward)

_clamp_map = unary(_clamp)
_leaky_relu_map, _leaky_relu_backward_map = unary(_leaky_relu), binary(_leaky_relu_backward)
_elu_map, _elu_backward_map = unary(_elu), binary(_elu_backward)
_gelu_map, _gelu_backward_map = unary(gated.gelu), binary(_gelu_backward)
_gelu_tanh_map, _gelu_tanh_backward_map = unary(gated.gelu_tanh), binary(_gelu_tanh_backward)
_softplus_map, _softplus_backward_map = unary(_softplus), binary(_softplus_backward)


@jit
def times_slope(dy, x, t, dx, part, parts):
    dy, x, t, dx = part_of(dy, part, parts), part_of(x, part, parts), part_of(t, part, parts), part_of(dx, part, parts)
    for i in range(x.size):
        dx[i] = dy[i] * _binary_cross_entropy_with_logits_backward(x[i], t[i])


_times_slope = SharedCode(times_slope, lambda t: (*[dense(t, 1)] * 3, dense(t, 1, True)))


def binary_cross_entropy_with_logits_backward(x, t, dy=None):
    """σ(x) − t, the derivative by x; or that times dy."""
    if dy is None:
        return _binary_cross_entropy_slope(x, t)
    dtype, shape = x.dtype, x.shape
    if not (t.dtype == dy.dtype == dtype and t.shape == dy.shape == shape):
        got = ", ".join(f"{a.shape} of {a.dtype}" for a in (x, t, dy))
        raise ValueError(f"binary_cross_entropy_with_logits_backward: expected arrays of one shape and dtype, got {got}")
    x, t, dy = plain(x), plain(t), plain(dy)
    if x.size < SHARED_SIZE:
        dx = np.empty(shape, dtype)
        _times_slope[dtype](dy.ravel(), x.ravel(), t.ravel(), dx.ravel(), 0, 1)
    else:
        dx = empty(shape, dtype)
        run(True, _times_slope, dtype, dy.ravel(), x.ravel(), t.ravel(), dx.ravel())
    return dx


_BOUNDS = {int, float, type(None)}


def clamp(x, low, high):
    """x held between two numbers, either of which may be None; NaN if one of them is NaN.

    Arrays of integers, and bounds that are no numbers or NaN, are left to NumPy.
    """
    if x.dtype.kind == "f" and type(low) in _BOUNDS and type(high) in _BOUNDS and low == low and high == high:
        low, high = -np.inf if low is None else float(low), np.inf if high is None else float(high)
        if not x.flags.carray:  # in the order of memory it may be one that needs no copy
            order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
            return _clamp_map(x.transpose(order), low, high).transpose(np.argsort(order))
        return _clamp_map(x, low, high)
    with np.errstate(all="ignore"):
        return np.clip(x, low, high, dtype=x.dtype)  # a bound that is a float64 does not widen x


def leaky_relu(x, slope=0.01):
    """x where x > 0, else slope·x."""
    return _leaky_relu_map(x, number(slope))


def leaky_relu_backward(dy, x, slope=0.01):
    return _leaky_relu_backward_map(dy, x, number(slope))


def elu(x, alpha=1.0):
    """x where x > 0, else alpha·(eˣ - 1)."""
    return _elu_map(x, number(alpha))


def elu_backward(dy, x, alpha=1.0):
    return _elu_backward_map(dy, x, number(alpha))


def gelu(x, tanh=False):
    """x·Φ(x), with the exact normal distribution Φ or its approximation by tanh (Hendrycks & Gimpel 2016)."""
    return _gelu_tanh_map(x) if tanh else _gelu_map(x)


def gelu_backward(dy, x, tanh=False):
    return _gelu_tanh_backward_map(dy, x) if tanh else _gelu_backward_map(dy, x)


def softplus(x, beta=1.0, threshold=20.0):
    """ln(1 + e^(beta·x))/beta, and x itself where beta·x > threshold."""
    return _softplus_map(x, number(beta), number(threshold))


def softplus_backward(dy, x, beta=1.0, threshold=20.0):
    return _softplus_backward_map(dy, x, number(beta), number(threshold))


@jit
def add_by_index(table, index, rows):
    for i in range(index.size):
        row = table[index[i]]
        for e in range(row.size):
            row[e] += rows[i, e]


# Reordering the sum is what lets it use vectors. NaN and inf still come through.
@jit(fastmath={"reassoc", "contract"})
def squares(x):
    total = 0.0
    for i in range(x.size):
        v = np.float64(x[i])
        total += v * v
    return total


_add_by_index = CodeByDtype(add_by_index, lambda t: (dense(t, 2, True), dense(types.int64, 1), dense(t, 2)))
_squares = CodeByDtype(squares, lambda t: (dense(t, 1),))


def add_rows(table, index, rows):
    """table[index[i]] += rows[i], in this order: table (V, E), int64 index (n,) in 0…V - 1, rows (n, E). Changes the table."""
    n, (V, E) = len(index), table.shape
    if rows.shape != (n, E) or rows.dtype != table.dtype or not table.flags.carray:
        raise ValueError(f"add_rows: expected a contiguous table and rows {(n, E)}, got {table.shape} and {rows.shape}")
    if index.dtype != np.int64 or index.ndim != 1:
        raise ValueError(f"add_rows: expected an int64 index with one axis, got {index.dtype} of shape {index.shape}")
    if n and not 0 <= index.min() <= index.max() < V:
        raise IndexError(f"add_rows: expected indices in 0 to {V - 1}, got {index.min()} to {index.max()}")
    _add_by_index[table.dtype](table, plain(index), plain(rows))


def sum_of_squares(x):
    """Σ x² as a Python float, accumulated in float64: the squared norm of a float32 gradient of 1e19 is finite."""
    return _squares[x.dtype](plain(x).ravel())
