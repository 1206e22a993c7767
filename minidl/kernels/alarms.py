"""Alarms: what a kernel has seen, in an array, for callers who would do something else then.

A remembered step (capture/) stops its table at a call of `ALARM` whose alarm is 0 or more. Python then makes the operation
again, and the table goes on behind it.
"""

import math

import numpy as np
from numba import types

from .elementwise import plain, squares
from .jit import CodeByDtype, dense, jit


@jit
def finite(x, alarm):
    """alarm = [-1] if Σ x² is finite, else [0]"""
    alarm[0] = -1.0 if math.isfinite(squares(x)) else 0.0


ALARM = CodeByDtype(finite, lambda t: (dense(t, 1), dense(types.float64, 1, True)))


def is_finite(x):
    """Whether the sum of the squares is, in float64.

    >>> is_finite(np.ones(3)), is_finite(np.array([1.0, np.nan]))
    (True, False)
    """
    alarm = np.empty(1)
    ALARM[x.dtype](plain(x.ravel("K")), alarm)
    return bool(alarm[0] < 0)
