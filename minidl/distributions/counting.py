"""Counts: factorials as logarithms, and how to draw a count."""

import numpy as np

from ..random import default_generator
from ..tensors import dtypes


def log_factorial(n):
    """ln n!, in float64: where two of them nearly cancel, float32 would leave few digits.

    >>> import minidl
    >>> log_factorial(minidl.tensor([0.0, 1.0, 4.0]))  # ln 24
    tensor([0.0000, 0.0000, 3.1781], dtype=minidl.float64)
    """
    return (n.to(dtypes.float64) + 1).lgamma()


def log_choose(n, k):
    """ln n!/(k!(n − k)!), the ways to choose k of n; in float64.

    >>> import minidl
    >>> log_choose(minidl.tensor(5), minidl.tensor(2)).exp()
    tensor(10.0000, dtype=minidl.float64)
    """
    return log_factorial(n) - log_factorial(k) - log_factorial(n - k)


def draw_around_mode(shape, mode, chance, a, b):
    """Counts by inversion: a uniform is used up by the chances of the mode, of its two neighbours, of theirs, and so on.

    That takes as many steps as there are counts of any probability to one side, not as many as the mean. mode, its probability
    chance, and a and b, with which P(k)/P(k − 1) = a/k + b (so for Poisson and Binomial), are float64 and broadcast to shape.

    >>> draw_around_mode((2,), np.array(3.0), np.array(1.0), np.array(3.0), np.array(0.0))
    array([3., 3.])
    """
    if (chance < 1e-5).any():
        raise NotImplementedError("sample: counts spread over more than about 100000 values would take too long to draw")
    left = default_generator.rand(shape, np.float64).ravel()
    draws, chance, a, b = (np.broadcast_to(x, shape).flatten() for x in (mode, chance, a, b))
    left -= chance
    i = np.flatnonzero(left >= 0)  # the draws still to be made; the arrays below are theirs
    left, a, b, high, above = left[i], a[i], b[i], draws[i], chance[i]
    low, below = high.copy(), above.copy()
    while i.size:
        high += 1
        above *= a / high + b
        down = a / np.maximum(low, 1) + b
        below = np.divide(below, down, out=np.zeros_like(below), where=low > 0)
        low -= 1
        upper, lower = left < above, left < above + below
        draws[i] = np.where(upper, high, np.where(lower, low, draws[i]))
        left -= above + below
        # Where rounding leaves a rest and no chances are left, about once in 1e13, the mode will do.
        on = ~(upper | lower) & (above + below > 1e-19)
        i, left, a, b, high, low, above, below = (x[on] for x in (i, left, a, b, high, low, above, below))
    return draws.reshape(shape)
