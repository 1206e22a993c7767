"""Comparisons, casts of masks and of whole numbers, and argmax, as calls of kernels: what accuracies are made of."""

import numpy as np

from ..kernels.arithmetic import four_axes
from ..kernels.comparisons import ADD_INTEGERS, COMPARISONS, COUNT_MASK, OF_INTEGERS, OF_MASK, PLACES
from ..tensors.tensor import Tensor
from .events import Call

_KINDS = {np.dtype(x) for x in (np.float32, np.float64, np.int64)}
_TURNED = {"__gt__": "__lt__", "__ge__": "__le__"}
_CASTS = {"to", "float", "double", "long", "type"}
_EXACT = 2**53  # up to here a float64 has every whole number


class NoKernels(Exception):
    """There are no kernels for it."""


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
    if event.name in PLACES and x.ndim and x.flags.c_contiguous and z.size == x.size // x.shape[-1] and z.flags.c_contiguous:
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
    if z.dtype in _KINDS and x.dtype == bool:
        return _call(OF_MASK, z.dtype, z, x)
    if z.dtype in _KINDS and z.dtype.kind == "f" and x.dtype == np.int64:
        return _call(OF_INTEGERS, z.dtype, z, x)
    raise NoKernels


def _places(event, z, x):
    """Along the last axis. The options of argmax are (dim, keepdim)."""
    dim = [*event.args[1:2], *(event.options[key] for key in ("dim", "axis") if key in event.options)]
    if x.dtype not in _KINDS or len(dim) != 1 or dim[0] not in (-1, x.ndim - 1):
        raise NoKernels
    kernel = PLACES[event.name]
    return [Call(kernel, x.dtype, kernel[x.dtype], (x.reshape(-1, x.shape[-1]), z.reshape(-1)))]


def of_integers(event):
    """The sum of all elements of a mask, or of whole numbers."""
    (z,), (x,) = event.outputs, event.inputs
    if z.size != 1 or z.dtype != np.int64 or x.dtype not in (bool, np.int64):
        raise NoKernels
    kernel = COUNT_MASK if x.dtype == bool else ADD_INTEGERS
    x, _ = _axes(x, x)
    return [Call(kernel, z.dtype, kernel[z.dtype], (x, z.reshape(())))]


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
