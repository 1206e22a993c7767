"""How weights and images are laid out before the loops of a convolution: numbers repeated, borders and gaps of zeros."""

import numpy as np
from numba import types

from .jit import CodeByDtype, dense, jit


@jit
def repeat(x, order, times, y):
    """Each x[order[i]] so many times; zeros for an empty x."""
    for i in range(order.size):
        value = x[order[i]] if x.size else x.dtype.type(0)
        for k in range(times):
            y[i * times + k] = value


@jit
def lengthen(x, y):
    """x and then zeros"""
    for i in range(x.size):
        y[i] = x[i]
    for i in range(x.size, y.size):
        y[i] = 0


@jit
def zero(y):
    for i in range(y.size):
        y[i] = 0


_repeat = CodeByDtype(repeat, lambda t: (dense(t, 1), dense(types.int64, 1), types.intp, dense(t, 1, True)))
_lengthen = CodeByDtype(lengthen, lambda t: (dense(t, 1), dense(t, 1, True)))
_zero = CodeByDtype(zero, lambda t: (dense(t, 1, True),))


def repeated(x, order, times):
    """x[order].repeat(times) for a vector and indices in it; zeros if x is empty."""
    y = np.empty(order.size * times, x.dtype)
    _repeat[x.dtype](x, order.reshape(-1), times, y)
    return y


def lengthened(x, more):
    """The vector with so many zeros after it."""
    y = np.empty(x.size + more, x.dtype)
    _lengthen[x.dtype](x, y)
    return y


def clear(y):
    """Fills a new array with zeros."""
    _zero[y.dtype](y.reshape(-1))
