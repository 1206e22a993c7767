"""Comparisons, bounds, casts of masks and of whole numbers, the place of the largest number: for remembered steps (capture/).

Eager operations leave them to NumPy, whose results these are. Arrays have four axes and any layout, as in arithmetic.py.
"""

import math

import numpy as np
from numba import types

from .jit import CodeByDtype, dense, jit, strided


def _comparison(formula):
    """z = formula(x, y), a mask"""

    def loop(x, y, z):
        for h in range(z.shape[0]):
            for i in range(z.shape[1]):
                for j in range(z.shape[2]):
                    for k in range(z.shape[3]):
                        z[h, i, j, k] = formula(x[h, i, j, k], y[h, i, j, k])

    loop.__qualname__ = f"{loop.__name__}_{formula.__qualname__}"  # keeps apart the cache files of kernels from the same lines
    return CodeByDtype(jit(loop), lambda t: (strided(t, 4), strided(t, 4), strided(types.boolean, 4, True)), integers=True)


@jit
def _equal(x, y):
    return x == y


@jit
def _not_equal(x, y):
    return x != y


@jit
def _less(x, y):
    return x < y


@jit
def _less_equal(x, y):
    return x <= y


@jit
def converted(x, z):
    """z = x: of a mask 1 where it holds and else 0, of a whole number the nearest number"""
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    z[h, i, j, k] = x[h, i, j, k]


@jit
def add_integers(x, z):
    """z = Σ x"""
    total = 0
    for h in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                for k in range(x.shape[3]):
                    total += x[h, i, j, k]
    z[()] = total


@jit
def count_mask(x, z):
    """z = how often the mask holds"""
    total = 0
    for h in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                for k in range(x.shape[3]):
                    total += 1 if x[h, i, j, k] else 0
    z[()] = total


@jit
def doubt(mask, found, alarm):
    """alarm = [-1] if the mask holds anywhere, and that was found, or nowhere, and that was found; else [0]"""
    holds = False
    for h in range(mask.shape[0]):
        for i in range(mask.shape[1]):
            for j in range(mask.shape[2]):
                for k in range(mask.shape[3]):
                    holds |= mask[h, i, j, k]
    alarm[0] = -1.0 if holds == found else 0.0


@jit
def largest(x, z):
    """z[i] = the first place of the largest of x[i], or of NaN, if there is one"""
    for i in range(x.shape[0]):
        at, best = 0, x[i, 0]
        for k in range(1, x.shape[1]):
            if best != best:
                break
            if not x[i, k] <= best:
                at, best = k, x[i, k]
        z[i] = at


@jit
def smallest(x, z):
    """z[i] = the first place of the smallest of x[i], or of NaN, if there is one"""
    for i in range(x.shape[0]):
        at, best = 0, x[i, 0]
        for k in range(1, x.shape[1]):
            if best != best:
                break
            if not x[i, k] >= best:
                at, best = k, x[i, k]
        z[i] = at


@jit
def hold(x, low, high, z, alarm):
    """z = x, but at least low and at most high

    alarm = [-1], or [0] if an element and a bound are zeros of different signs: which of them NumPy takes is not known.
    """
    low, high, alarm[0] = x.dtype.type(low), x.dtype.type(high), -1.0
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    v = x[h, i, j, k]
                    if v == 0:
                        sign = math.copysign(1.0, v)
                        if (low == 0 and sign != math.copysign(1.0, low)) or (high == 0 and sign != math.copysign(1.0, high)):
                            alarm[0] = 0.0
                    if v < low:
                        v = low
                    if v > high:
                        v = high
                    z[h, i, j, k] = v


@jit
def inside(x, low, high, dy, z):
    """z = dy where low ≤ x ≤ high, else 0"""
    low, high, none = x.dtype.type(low), x.dtype.type(high), x.dtype.type(0)
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    z[h, i, j, k] = dy[h, i, j, k] if low <= x[h, i, j, k] <= high else none


@jit
def pick(x, rows, columns, z, alarm):
    """z = x[rows, columns] and alarm = [-1], or [0] if a place is not in x"""
    alarm[0] = -1.0
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    r, c = rows[h, i, j, k], columns[h, i, j, k]
                    if 0 <= r < x.shape[0] and 0 <= c < x.shape[1]:
                        z[h, i, j, k] = x[r, c]
                    else:
                        alarm[0] = 0.0


@jit
def put_back(z, rows, columns, dy, adds, alarm):
    """z = 0, and dy at [rows, columns]; alarm = [-1], or [0] if a place is not in z

    adds: 1 if dy is added to 0, in this order; 0 if it takes its place, so that -0 stays; 2 if z stays elsewhere.
    """
    alarm[0] = -1.0
    if adds != 2:
        z[:] = 0
    for h in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                for k in range(dy.shape[3]):
                    r, c = rows[h, i, j, k], columns[h, i, j, k]
                    if 0 <= r < z.shape[0] and 0 <= c < z.shape[1]:
                        z[r, c] = z[r, c] + dy[h, i, j, k] if adds == 1 else dy[h, i, j, k]
                    else:
                        alarm[0] = 0.0


@jit
def truncated(x, z, alarm):
    """z = x as a whole number, towards 0; alarm = [-1], or [0] if an int64 can't hold one, or it is NaN"""
    alarm[0] = -1.0
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    if abs(x[h, i, j, k]) < 2**62:
                        z[h, i, j, k] = np.int64(x[h, i, j, k])
                    else:
                        alarm[0] = 0.0


@jit
def _comes_first(a, b):
    """Whether a comes before b in order: NaN comes last."""
    return a < b or (a == a and b != b)


@jit
def in_order(x, places, spare):
    """places[m] = the places of the elements of x[m] in order; equal ones stay in theirs. spare: room for as many places."""
    M, N = x.shape
    spare[:] = 0
    for m in range(M):
        row, order = x[m], places[m]
        for first in range(0, N, 8):  # runs of eight, by insertion
            for i in range(first, min(first + 8, N)):
                k = i
                while k > first and _comes_first(row[i], row[order[k - 1]]):
                    order[k] = order[k - 1]
                    k -= 1
                order[k] = i
        width = 8
        while width < N:
            for first in range(0, N, 2 * width):  # two runs become one
                i, middle = first, min(first + width, N)
                j, end = middle, min(first + 2 * width, N)
                for k in range(first, end):
                    if j < end and (i == middle or _comes_first(row[order[j]], row[order[i]])):
                        spare[k] = order[j]
                        j += 1
                    else:
                        spare[k] = order[i]
                        i += 1
            for k in range(N):
                order[k] = spare[k]
            width *= 2


@jit
def root_of_sums(x, z):
    """z = √x, computed in float64 and rounded once"""
    for h in range(z.shape[0]):
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for k in range(z.shape[3]):
                    z[h, i, j, k] = math.sqrt(x[h, i, j, k])


COMPARISONS = {
    "__eq__": _comparison(_equal),
    "__ne__": _comparison(_not_equal),
    "__lt__": _comparison(_less),
    "__le__": _comparison(_less_equal),
}
OF_MASK = CodeByDtype(converted, lambda t: (strided(types.boolean, 4), strided(t, 4, True)), integers=True)
OF_INTEGERS = CodeByDtype(converted, lambda t: (strided(types.int64, 4), strided(t, 4, True)), integers=True)
CONVERSIONS = {  # by what is converted
    np.dtype(bool): OF_MASK,
    np.dtype(np.int64): OF_INTEGERS,
    np.dtype(np.float32): CodeByDtype(converted, lambda t: (strided(types.float32, 4), strided(t, 4, True))),
    np.dtype(np.float64): CodeByDtype(converted, lambda t: (strided(types.float64, 4), strided(t, 4, True))),
}
ADD_INTEGERS = CodeByDtype(add_integers, lambda t: (strided(t, 4), strided(t, 0, True)), integers=True)
COUNT_MASK = CodeByDtype(count_mask, lambda t: (strided(types.boolean, 4), strided(t, 0, True)), integers=True)
PLACES = {
    "argmax": CodeByDtype(largest, lambda t: (strided(t, 2), strided(types.int64, 1, True)), integers=True),
    "argmin": CodeByDtype(smallest, lambda t: (strided(t, 2), strided(types.int64, 1, True)), integers=True),
}
HOLD = CodeByDtype(hold, lambda t: (strided(t, 4), *[types.float64] * 2, strided(t, 4, True), dense(types.float64, 1, True)))
INSIDE = CodeByDtype(inside, lambda t: (strided(t, 4), *[types.float64] * 2, strided(t, 4), strided(t, 4, True)))
ROOT_OF_SUMS = CodeByDtype(root_of_sums, lambda t: (strided(types.float64, 4), strided(t, 4, True)))
_PLACES = strided(types.int64, 4), strided(types.int64, 4)
_ALARM = dense(types.float64, 1, True)
PICK = CodeByDtype(pick, lambda t: (dense(t, 2), *_PLACES, strided(t, 4, True), _ALARM), integers=True)
TAKE = CodeByDtype(pick, PICK.signature)  # where eager does not look whether a place is in x: Python then tells
PUT_BACK = CodeByDtype(put_back, lambda t: (dense(t, 2, True), *_PLACES, strided(t, 4), types.intp, _ALARM), integers=True)
PUT = CodeByDtype(put_back, PUT_BACK.signature)  # of what TAKE has taken
DOUBT = CodeByDtype(doubt, lambda t: (strided(types.boolean, 4), types.boolean, _ALARM))  # Python has gone on by what it found
TRUNCATE = CodeByDtype(truncated, lambda t: (strided(t, 4), strided(types.int64, 4, True), _ALARM))
ORDER = CodeByDtype(in_order, lambda t: (dense(t, 2), *[dense(types.int64, n, True) for n in (2, 1)]), integers=True)
STOPPING = DOUBT, HOLD, TRUNCATE, PICK, TAKE, PUT_BACK, PUT  # whose last argument is an alarm
