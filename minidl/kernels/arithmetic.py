"""Arithmetic with NumPy's bits, on arrays of any layout: for remembered steps (capture/), which run without Python.

Eager operations leave a + b to NumPy, whose own loops are as fast and are entered sooner.
"""

import math

import numpy as np
from numba import types

from .jit import FLOATS, CodeByDtype, jit, strided
from .memory import offset_of, owner_of


def _pairs(formula):
    """z = formula(x, y), each with four axes, of any strides (0 where it is repeated)."""

    def loop(x, y, z):
        for h in range(z.shape[0]):
            for i in range(z.shape[1]):
                for j in range(z.shape[2]):
                    for k in range(z.shape[3]):
                        z[h, i, j, k] = formula(x[h, i, j, k], y[h, i, j, k])

    return _kernel(formula, loop, lambda t: (strided(t, 4), strided(t, 4), strided(t, 4, True)))


def _with_number(formula):
    """z = formula(x, a) for a number, which is brought to the arrays' dtype first."""

    def loop(x, a, z):
        a = x.dtype.type(a)
        for h in range(z.shape[0]):
            for i in range(z.shape[1]):
                for j in range(z.shape[2]):
                    for k in range(z.shape[3]):
                        z[h, i, j, k] = formula(x[h, i, j, k], a)

    return _kernel(formula, loop, lambda t: (strided(t, 4), types.float64, strided(t, 4, True)))


def _with_numbers(formula):
    """z = formula(x, a, b) for two numbers."""

    def loop(x, a, b, z):
        a, b = x.dtype.type(a), x.dtype.type(b)
        for h in range(z.shape[0]):
            for i in range(z.shape[1]):
                for j in range(z.shape[2]):
                    for k in range(z.shape[3]):
                        z[h, i, j, k] = formula(x[h, i, j, k], a, b)

    return _kernel(formula, loop, lambda t: (strided(t, 4), types.float64, types.float64, strided(t, 4, True)))


def _kernel(formula, loop, signature):
    loop.__qualname__ = f"{loop.__name__}_{formula.__qualname__}"  # keeps apart the cache files of kernels from the same lines
    return CodeByDtype(jit(loop), signature)


@jit
def _plus(x, y):
    return x + y


@jit
def _minus(x, y):
    return x - y


@jit
def _times(x, y):
    return x * y


@jit
def _minus_times(x, y):
    return -x * y


@jit
def _over(x, y):
    return x / y


@jit
def _over_unless_0(x, y):
    return x / (y if y != 0 else y + 1)


@jit
def _from(x, a):
    return a - x


@jit
def _under(x, a):
    return a / x


@jit
def _negative(x, a):
    return -x


@jit
def _itself(x, a):
    return x


@jit
def _root(x, a):
    return math.sqrt(x)


@jit
def _size(x, a):
    return abs(x)


@jit
def _sign(x, a):
    """−1, 0 or 1; NaN of NaN."""
    T = type(x)
    return T(1) if x > 0 else T(-1) if x < 0 else T(0) if x == 0 else x


@jit
def _huber(d, delta, scale):
    """scale·½d² where |d| ≤ δ, else scale·δ(|d| − ½δ), as ops.Huber computes it"""
    size = abs(d)
    near = delta if size > delta else size
    return scale * near * (size - near / type(d)(2))


@jit
def _huber_slope(d, delta, scale):
    """scale·d, d held within ±δ"""
    return scale * (-delta if d < -delta else delta if d > delta else d)


@jit
def part_of_slope(dy, n, slope, z):
    """z = dy/n · slope"""
    n = z.dtype.type(n)
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    z[h, i, j, k] = dy[h, i, j, k] / n * slope[h, i, j, k]


@jit
def select(mask, x, y, z):
    """z = x where the mask holds, else y"""
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    z[h, i, j, k] = x[h, i, j, k] if mask[h, i, j, k] else y[h, i, j, k]


@jit
def accumulate(total, x):
    """total += x"""
    for h in range(total.shape[0]):
        for i in range(total.shape[1]):
            for j in range(total.shape[2]):
                for k in range(total.shape[3]):
                    total[h, i, j, k] += x[h, i, j, k]


@jit
def fill(z, a):
    """z = a"""
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    z[h, i, j, k] = a


@jit
def count(step):
    """step += 1, for the number of an optimizer's steps"""
    step[()] += 1


PAIRS = {
    **{"+": _pairs(_plus), "-": _pairs(_minus), "*": _pairs(_times), "/": _pairs(_over), "-*": _pairs(_minus_times)},
    "/ unless 0": _pairs(_over_unless_0),
}
NUMBERS = {
    **{"+": _with_number(_plus), "*": _with_number(_times), "/": _with_number(_over)},
    **{"from": _with_number(_from), "under": _with_number(_under)},
    **{"negative": _with_number(_negative), "copy": _with_number(_itself)},
    **{"root": _with_number(_root), "size": _with_number(_size), "sign": _with_number(_sign)},
}
HUBER, HUBER_SLOPE = _with_numbers(_huber), _with_numbers(_huber_slope)
PART_OF_SLOPE = CodeByDtype(part_of_slope, lambda t: (strided(t, 4), types.float64, strided(t, 4), strided(t, 4, True)))
SELECT = CodeByDtype(select, lambda t: (strided(types.boolean, 4), *[strided(t, 4)] * 2, strided(t, 4, True)), integers=True)
FILL = CodeByDtype(fill, lambda t: (strided(t, 4, True), types.float64))
COUNT = CodeByDtype(count, lambda t: (strided(t, 0, True),))
ADD_TO = CodeByDtype(accumulate, lambda t: (strided(t, 4, True), strided(t, 4)))


def four_axes(z, *others):
    """The arrays with four axes, each of the others repeated to z's shape; None if they can't be brought to four.

    Neighbouring axes are joined where no array has a gap between them. The results refer to the memory of the arrays' owners.
    """
    arrays = [z, *(np.broadcast_to(x, z.shape) for x in others)]
    shape, strides = [], [[] for _ in arrays]
    for axis, n in enumerate(z.shape):
        if n == 1:
            continue
        steps = [x.strides[axis] for x in arrays]
        if shape and all(s[-1] == n * step for s, step in zip(strides, steps, strict=True)):
            shape[-1] *= n
            for s, step in zip(strides, steps, strict=True):
                s[-1] = step
        else:
            shape.append(n)
            for s, step in zip(strides, steps, strict=True):
                s.append(step)
    lead = 4 - len(shape)
    buffers = [buffer_of(x) for x in (z, *others)]
    if lead < 0 or not z.size or any(b is None for b in buffers):
        return None
    shape = (1,) * lead + tuple(shape)
    return [
        np.ndarray(shape, x.dtype, b, offset_of(x, b), (0,) * lead + tuple(s))
        for x, s, b in zip((z, *others), strides, buffers, strict=True)
    ]


def buffer_of(x):
    """The array that owns x's memory, or a view of it, in the order of its memory."""
    owner = owner_of(x)
    if owner.flags.c_contiguous:
        return owner
    owner = owner.transpose(sorted(range(owner.ndim), key=lambda axis: -abs(owner.strides[axis])))
    return owner if owner.flags.c_contiguous else None


def copy_to(z, x):
    """z = x by a kernel, of floats that four axes can show; else z stays as it is."""
    if z.dtype in FLOATS and (arrays := four_axes(z, x)):
        NUMBERS["copy"][z.dtype](arrays[1], 0.0, arrays[0])


def clear(z):
    """z = 0, likewise"""
    if z.dtype in FLOATS and (arrays := four_axes(z)):
        FILL[z.dtype](arrays[0], 0.0)


def product_to(z, x, y):
    """z = x·y, likewise"""
    if z.dtype in FLOATS and (arrays := four_axes(z, x, y)):
        PAIRS["*"][z.dtype](arrays[1], arrays[2], arrays[0])
