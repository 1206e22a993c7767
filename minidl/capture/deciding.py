"""As calls of kernels: comparisons, casts of masks, argmax, of which accuracies are made; bounds; Euclidean norms."""

import math

import numpy as np

from ..kernels.arithmetic import PAIRS, four_axes
from ..kernels.comparisons import (
    ADD_INTEGERS,
    COMPARISONS,
    CONVERSIONS,
    COUNT_MASK,
    HOLD,
    INSIDE,
    PICK,
    PLACES,
    PUT_BACK,
    ROOT_OF_SUMS,
    TRUNCATE,
)
from ..tensors.tensor import Tensor
from .calls import NoKernels
from .events import Call

_KINDS = {np.dtype(x) for x in (np.float32, np.float64, np.int64)}
_TURNED = {"__gt__": "__lt__", "__ge__": "__le__"}
_CASTS = {"to", "float", "double", "long", "type"}
_EXACT = 2**53  # up to here a float64 has every whole number


def of_function(event):
    """The calls of a function without a graph."""
    z = event.result.array if isinstance(event.result, Tensor) else None
    x = event.args[0].array if event.args and isinstance(event.args[0], Tensor) else None
    if z is None or x is None or not z.size:
        raise NoKernels
    if event.name in COMPARISONS or event.name in _TURNED:
        return _compared(event.name, z, *event.args)
    if event.name in _CASTS and x.shape == z.shape:
        return _cast(z, x)
    if x.ndim and x.flags.c_contiguous and z.size == x.size // x.shape[-1] and z.flags.c_contiguous:
        return _places(event, z, x)
    raise NoKernels


def _compared(name, z, x, y):
    x = x.array
    y = y.array if isinstance(y, Tensor) else _number(y, x.dtype)
    if x.dtype not in _KINDS or x.dtype != y.dtype or z.dtype != bool:
        raise NoKernels
    if name in _TURNED:
        name, x, y = _TURNED[name], y, x
    return _call(COMPARISONS[name], x.dtype, z, x, y)


def _number(x, dtype):
    if (type(x) is not int and (type(x) is not float or dtype.kind != "f")) or abs(x) > _EXACT:
        raise NoKernels
    return np.array(x, dtype)


def _cast(z, x):
    if z.dtype in _KINDS and (z.dtype.kind == "f" or x.dtype == bool) and x.dtype in CONVERSIONS:
        return _call(CONVERSIONS[x.dtype], z.dtype, z, x)
    if z.dtype == np.int64 and x.dtype in _KINDS and x.dtype.kind == "f":
        z, x = _axes(z, x)
        return [Call(TRUNCATE, x.dtype, TRUNCATE[x.dtype], (x, z, np.full(1, -1.0)))]
    raise NoKernels


def _places(event, z, x):
    """Along the last axis. The options of argmax are (dim, keepdim)."""
    if event.name == "_arg_extreme":  # of max and min along an axis
        name, dim = event.args[2].__name__, event.args[3:4]
    else:
        name = event.name
        dim = [*event.args[1:2], *(event.options[key] for key in ("dim", "axis") if key in event.options)]
    if name not in PLACES or x.dtype not in _KINDS or len(dim) != 1 or dim[0] not in (-1, x.ndim - 1):
        raise NoKernels
    kernel = PLACES[name]
    return [Call(kernel, x.dtype, kernel[x.dtype], (x.reshape(-1, x.shape[-1]), z.reshape(-1)))]


def of_integers(event):
    """The sum of all elements of a mask, or of whole numbers."""
    (z,), (x,) = event.outputs, event.inputs
    if z.size != 1 or z.dtype != np.int64 or x.dtype not in (bool, np.int64):
        raise NoKernels
    kernel = COUNT_MASK if x.dtype == bool else ADD_INTEGERS
    x, _ = _axes(x, x)
    return [Call(kernel, z.dtype, kernel[z.dtype], (x, z.reshape(())))]


def held(event):
    """y = x between two bounds. The kernel stops the table where NumPy may choose between 0 and −0."""
    (z,), (x,) = event.outputs, event.inputs
    z, x = _axes(z, x)
    _floats(x, z)
    return [Call(HOLD, z.dtype, HOLD[z.dtype], (x, *_bounds(event.before), z, np.full(1, -1.0)))]


def held_back(event):
    """dx = dy between the bounds, 0 elsewhere"""
    z, x, dy = _axes(event.gradients[0], event.saved["x"], event.dy)
    _floats(z, x, dy)
    return [Call(INSIDE, z.dtype, INSIDE[z.dtype], (x, *_bounds(event.saved), dy, z))]


def _floats(z, *xs):
    if z.dtype not in _KINDS or z.dtype.kind != "f" or any(x.dtype != z.dtype for x in xs):
        raise NoKernels


def _bounds(of):
    low, high = (none if of[key] is None else of[key] for key, none in (("low", -math.inf), ("high", math.inf)))
    plain = all(type(x) in (int, float) and (abs(x) <= _EXACT or abs(x) == math.inf) for x in (low, high))
    if not plain or low == high == 0:
        raise NoKernels
    return float(low), float(high)


def picked(event):
    """y = x[index], where the index is one array, or two for the axes of a matrix; or y = x.gather(axis, index) of a matrix.

    At a negative index, or at one that is out of range, the kernel stops the table, and the call is made ordinarily.
    """
    (z,), (x,) = event.outputs, event.inputs
    x, z, *places = _places_in(event.before, x, z)
    _floats(x, z)
    return [Call(PICK, x.dtype, PICK[x.dtype], (x, *places, z, np.full(1, -1.0)))]


def put_back(event):
    """dx = 0, plus dy at the places that y was taken from"""
    dx, dy, *places = _places_in(event.saved, event.gradients[0], event.dy)
    _floats(dx, dy)
    return [Call(PUT_BACK, dx.dtype, PUT_BACK[dx.dtype], (dx, *places, dy, 1, np.full(1, -1.0)))]


def _places_in(of, x, y):
    """x as a matrix, and with four axes: y, and the rows and columns of x where y's elements lie."""
    index = of["index"] if "axis" not in of else None
    if not x.flags.c_contiguous or not x.size or not y.size or x.ndim < 1:
        raise NoKernels
    if index is None and x.ndim == 2:  # gather
        rows, columns = (np.arange(n).reshape(-1, 1) if axis == 0 else np.arange(n) for axis, n in enumerate(y.shape))
        rows, columns = (of["index"], columns) if of["axis"] == 0 else (rows, of["index"])
    elif index is not None and len(index) == 1 and isinstance(index[0], np.ndarray):
        x = x.reshape(len(x), -1)
        rows, columns = index[0].reshape(-1, 1), np.arange(x.shape[1])
        y = y.reshape(rows.size, -1) if y.flags.c_contiguous else None
    elif index is not None and len(index) == 2 and x.ndim == 2 and all(isinstance(i, np.ndarray) for i in index):
        rows, columns = index
    else:
        raise NoKernels
    if y is None or any(i.dtype != np.int64 or i.min() < 0 for i in (rows, columns)):
        raise NoKernels
    return x, *_axes(y, rows, columns)


def norm(event):
    """y = √Σ x²: the root of a sum in float64, which a kernel has made."""
    (z,), (x,) = event.outputs, event.inputs
    sums = [y for y, changed, _ in event.calls[-1].arrays() if changed and y.size] if event.calls else []
    if event.before["p"] != 2 or z.dtype != np.float32 or [y.dtype for y in sums] != [np.float64] or sums[0].size != z.size:
        raise NoKernels
    if not (x.flags.c_contiguous and z.flags.c_contiguous and sums[0].flags.c_contiguous):  # the sums may be in another order
        raise NoKernels
    return [*event.calls, *_call(ROOT_OF_SUMS, z.dtype, z, sums[0].reshape(z.shape))]


def norm_back(event):
    """dx = dy·x/y, and over 1 where y = 0"""
    (dx,), dy, saved = event.gradients, event.dy, event.saved
    y = saved["y"] if saved["y"] is not event.forward.after["y"] else event.forward.outputs[0]  # where it was overwritten
    if saved["p"] != 2 or dx.dtype != np.float32 or dy.dtype != dx.dtype:
        raise NoKernels
    kept = [1 if axis in saved["axes"] else n for axis, n in enumerate(dx.shape)]
    dy, y = dy.reshape(kept), y.reshape(kept)
    return [*_call(PAIRS["*"], dx.dtype, dx, dy, saved["x"]), *_call(PAIRS["/ unless 0"], dx.dtype, dx, dx, y)]


def _axes(z, *xs):
    try:
        arrays = four_axes(z, *xs)
    except ValueError:  # shapes that do not broadcast
        arrays = None
    if arrays is None:
        raise NoKernels
    return arrays


def _call(kernel, dtype, z, *xs):
    z, *xs = _axes(z, *xs)
    return [Call(kernel, dtype, kernel[dtype], (*xs, z))]
