"""As calls of kernels: operations that keep for backward what NumPy has made of their inputs, distances and maxima."""

import numpy as np

from .. import ops
from ..kernels.arithmetic import HUBER, HUBER_SLOPE, PART_OF_SLOPE
from ..kernels.comparisons import LARGER, PUT, SMALLER, TAKE
from .calls import NoKernels, axes, call, number, pair, terms


def _of_difference(of, kernel, name, z, d):
    """z = ℓ(d) or ℓ'(d), for the attributes of the operation"""
    if "delta" not in of:
        return number(name, z, d)
    z_, d = axes(z, d)
    return call(kernel, z, d, of["delta"], of["scale"], z_)


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


def one_of_two(event):
    """y = max(a, b) or min(a, b), and a's share of dy."""
    (y,), share = event.outputs, event.after["share"]
    kept = np.empty_like(y) if share is None else share
    y_, share_, a, b = axes(y, kept, *event.inputs)
    kernel = SMALLER if type(event.op) is ops.Minimum else LARGER
    return [y] if share is None else [y, share], call(kernel, y, a, b, y_, share_, np.full(1, -1.0))


def of_share(saved, dy, i, z):
    """z = dy·share for da, dy·(1 − share) for db"""
    if i == 0:
        return pair("*", z, dy, saved["share"])
    return [*number("from", z, saved["share"], 1), *pair("*", z, dy, z)]


def taken(event):
    """y = x at one index per row along the last axis"""
    (z,), (x,) = event.outputs, event.inputs
    return _at_places(TAKE, event.before, x, z)


def put_there(event):
    """dx = 0, but dy where y was taken from"""
    return _at_places(PUT, event.saved, event.gradients[0], event.dy)


def _at_places(kernel, of, x, y):
    index = of["index"]
    if x.ndim < 1 or of["axis"] != x.ndim - 1 or not (x.flags.c_contiguous and y.flags.c_contiguous) or not y.size:
        raise NoKernels
    rows = np.arange(y.size)
    y, rows, columns = axes(y.reshape(-1), mask=(rows, index.reshape(-1)))
    return call(kernel, x, x.reshape(-1, x.shape[-1]), rows, columns, y, np.full(1, -1.0))
