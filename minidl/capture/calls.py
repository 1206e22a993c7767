"""Calls of kernels that do what NumPy has done with arrays of any layout: what the rules of `lowered` are written in."""

import numpy as np

from ..graph.writes import owner_of
from ..kernels.arithmetic import FILL, NUMBERS, PAIRS, SELECT, four_axes
from ..kernels.numpy_loops import LONGEST
from .events import Call

_FLOATS = np.dtype(np.float32), np.dtype(np.float64)


class NoKernels(Exception):
    """There are no kernels for it."""


def call(kernel, z, *args):
    return [Call(kernel, z.dtype, kernel[z.dtype], args)]


def axes(z, *xs, mask=()):
    """The arrays with four axes; all but masks and indices must be of z's dtype."""
    if z.dtype not in _FLOATS or not all(isinstance(x, np.ndarray) and x.dtype == z.dtype for x in xs):
        raise NoKernels
    try:
        arrays = four_axes(z, *xs, *mask)
    except ValueError:  # shapes that do not broadcast
        arrays = None
    if arrays is None:
        raise NoKernels
    return arrays


def _parts(z, *xs):
    """`axes`, or, where they are too many, those of parts of the arrays: of all places along the shortest axis."""
    try:
        return [axes(z, *xs)]
    except NoKernels:
        if z.ndim <= 4 or not 1 < min(n for n in z.shape if n != 1) <= LONGEST or not z.size:
            raise
    xs = [np.broadcast_to(x, z.shape) for x in xs]
    axis = z.shape.index(min(n for n in z.shape if n != 1))
    z, *xs = (np.moveaxis(x, axis, 0) for x in (z, *xs))
    return [part for i in range(len(z)) for part in _parts(*(x[i, ...] for x in (z, *xs)))]


def pair(name, z, x, y):
    return [one for z_, x_, y_ in _parts(z, x, y) for one in call(PAIRS[name], z, x_, y_, z_)]


def number(name, z, x, a=0.0):
    if type(a) not in (int, float) or abs(a) > 2**53 or x.shape != z.shape:
        raise NoKernels
    return [one for z_, x_ in _parts(z, x) for one in call(NUMBERS[name], z, x_, float(a), z_)]


def put(z, x):
    """z[...] = x, which is repeated where z is larger; a number may stand for x."""
    if isinstance(x, (int, float)):
        (z_,) = axes(z)
        return call(FILL, z, z_, float(x))
    return [one for z_, x_ in _parts(z, x) for one in call(NUMBERS["copy"], z, x_, 0.0, z_)]


def select(z, mask, x, y):
    """z = x where the mask holds, else y; x and y may be numbers."""
    x, y = (np.array(v, z.dtype) if type(v) in (int, float) else v for v in (x, y))
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        raise NoKernels
    z_, x, y, mask = axes(z, x, y, mask=(mask,))
    return call(SELECT, z, mask, x, y, z_)


def terms(event, given):
    """The arrays that the kernels of an event read, and that it was not given and they have not made, in order."""
    seen = {id(owner_of(x)) for x in given if isinstance(x, np.ndarray)}
    for one in event.calls:
        for x, written, owner in one.arrays():
            if not written and x.size and id(owner) not in seen:
                yield owner
            seen.add(id(owner))
