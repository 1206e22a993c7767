"""Counts: factorials as logarithms, and how to draw a count."""

import numpy as np

from .. import dtypes
from ..random import default_generator


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


def draw_around_mode(mode, chance, up, down):
    """Counts by inversion: a uniform is used up by the chances of the mode, of its two neighbours, of theirs, and so on.

    That takes as many steps as the distribution has standard deviations times some, not as many as its mean. mode, chance: (n),
    of the mode and its probability. up(k, i) = P(k)/P(k − 1) and down(k, i) = P(k)/P(k + 1), for the distributions i.

    >>> draw_around_mode(np.array([3.0]), np.array([1.0]), None, None)
    array([3.])
    """
    if (chance < 1e-5).any():
        raise NotImplementedError("sample: counts spread over more than about 100000 values would take too long to draw")
    draws = mode.copy()
    left = default_generator.rand(mode.shape, np.float64) - chance
    i = np.flatnonzero(left >= 0)
    left, above, below = left[i], chance[i], chance[i]
    step = 0
    while i.size:
        step += 1
        higher, lower = mode[i] + step, mode[i] - step
        above = above * up(higher, i)
        below = np.where(lower >= 0, below * down(np.maximum(lower, 0), i), 0)
        found_above = left < above
        found = found_above | (left < above + below)
        draws[i[found]] = np.where(found_above, higher, lower)[found]
        left = left - above - below
        # Where rounding leaves a rest and no chances are left, about once in 1e13, the mode will do.
        on = ~found & (above + below > 1e-19)
        i, left, above, below = i[on], left[on], above[on], below[on]
    return draws
