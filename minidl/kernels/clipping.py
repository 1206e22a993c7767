"""The common norm of many arrays, and their scaling by one factor, without a number that goes through Python."""

import math

import numpy as np
from numba import types

from .elementwise import number, squares
from .jit import CodeByDtype, dense, jit


@jit
def put_squares(x, place, sums):
    sums[place] = squares(x)


@jit
def put_factor(sums, most, numbers, y):
    """numbers = [norm, factor] for sums of squares; y = [norm], rounded."""
    total = 0.0
    for i in range(sums.size):
        total += sums[i]
    norm = math.sqrt(total)
    numbers[0], numbers[1], y[0] = norm, 1.0, norm
    if not norm <= most:
        numbers[1] = most / (norm + 1e-6)  # PyTorch's 1e-6


@jit
def scale(x, numbers):
    factor = x.dtype.type(numbers[1])
    if numbers[1] != 1:
        for i in range(x.size):
            x[i] *= factor


_F64 = dense(types.float64, 1), dense(types.float64, 1, True)
_put_squares = CodeByDtype(put_squares, lambda t: (dense(t, 1), types.intp, _F64[1]))
_put_factor = CodeByDtype(put_factor, lambda t: (_F64[0], types.float64, _F64[1], dense(t, 1, True)))
_scale = CodeByDtype(scale, lambda t: (dense(t, 1, True), _F64[0]))


def _flat(name, arrays):
    if not arrays or any(x.dtype != np.float32 or not x.flags.carray for x in arrays):
        raise ValueError(f"{name}: expected one or more contiguous arrays of float32 that can be written to")
    return [x.reshape(-1) for x in arrays]


def common_norm(arrays, most=math.inf):
    """√(Σ x²) over all elements of float32 arrays, as (float64 [norm, factor], norm of float32 ()).

    The factor is 1 up to a norm of `most`, else it is what makes the norm a little less than that.

    >>> common_norm([np.array([3, 4], np.float32)])[1]
    array(5., dtype=float32)
    """
    arrays = _flat("common_norm", arrays)
    sums, numbers, y, dtype = np.empty(len(arrays)), np.empty(2), np.empty(1, np.float32), arrays[0].dtype
    for i, x in enumerate(arrays):
        _put_squares[dtype](x, i, sums)
    _put_factor[dtype](sums, number(most), numbers, y)
    return numbers, y.reshape(())


def scale_all(arrays, numbers):
    """Multiplies float32 arrays, in place, by numbers[1], the factor of `common_norm`."""
    if numbers.shape != (2,) or numbers.dtype != np.float64 or not numbers.flags.carray:
        raise ValueError(f"scale_all: expected the first result of common_norm, got {numbers.shape} of {numbers.dtype}")
    for x in _flat("scale_all", arrays):
        _scale[x.dtype](x, numbers)
