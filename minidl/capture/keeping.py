"""As calls of kernels: operations that keep for backward what NumPy has made of their inputs, distances."""

import numpy as np

from ..kernels.arithmetic import HUBER, HUBER_SLOPE, PART_OF_SLOPE
from ..kernels.comparisons import PUT, TAKE
from .calls import NoKernels, axes, call, number, pair, terms


def _of_difference(attributes, kernel, name, z, d):
    """z = ℓ(d) or ℓ'(d): of Huber by the kernel, else by the one of this name"""
    if "delta" not in attributes:
        return number(name, z, d)
    z_, d = axes(z, d)
    return call(kernel, z, d, attributes["delta"], attributes["scale"], z_)


def distance(event):
    """d = x − t, and ℓ(d), of which a kernel may have made the sum or the mean."""
    (x, t), of, d = event.inputs, event.before, event.after["d"]
    y = event.outputs[0]
    if of["reduction"] != "none":
        y = next(terms(event, event.inputs), None)
        if y is None or y.shape != d.shape or not y.flags.c_contiguous:
            raise NoKernels
    return [d, y], [*pair("-", d, x, t), *_of_difference(of, HUBER, "size", y, d)]


def distance_back(event):
    """dx = dy/n · ℓ'(d), dt = −dx"""
    (dx, dt), dy, of = event.gradients, event.dy, event.saved
    z, d = dt if dx is None else dx, of["d"]
    n = max(d.size, 1) if of["reduction"] == "mean" else 1
    z_, dy = axes(z, dy)
    calls = [*_of_difference(of, HUBER_SLOPE, "sign", z, d), *call(PART_OF_SLOPE, z, dy, float(n), z_, z_)]
    return calls if dt is None else [*calls, *number("negative", dt, z)]


def taken(event):
    """y = x at one index per row along the last axis"""
    z, x, *places = _places_in(event.before, event.outputs[0], event.inputs[0])
    return call(TAKE, z, x, *places, z, np.full(1, -1.0))


def put_there(event):
    """dx = 0, but dy where y was taken from"""
    dy, dx, *places = _places_in(event.saved, event.dy, event.gradients[0])
    return call(PUT, dx, dx, *places, dy, 0, np.full(1, -1.0))


def _places_in(attributes, y, x):
    """y with four axes, x as a matrix, and the rows and columns of x where y's elements lie."""
    last = x.ndim and attributes["axis"] == x.ndim - 1
    if not last or not (x.flags.c_contiguous and y.flags.c_contiguous) or not y.size:
        raise NoKernels
    y, rows, columns = axes(y.reshape(-1), mask=(np.arange(y.size), attributes["index"].reshape(-1)))
    return y, x.reshape(-1, x.shape[-1]), rows, columns
