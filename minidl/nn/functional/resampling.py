"""Which elements of an axis are mixed into each of a resized axis, and with which weights: windows, cubics, filters."""

import numpy as np

from ...graph.watch import repeatable
from ...tensors.record import wrap


def mixed(input, axis, index, weights):
    """y[o] = Σₖ weights[o, k]·x[index[o, k]] along an axis; index and weights have shape (out, k)."""
    parts = input.index_select(axis, wrap(index.ravel())).unflatten(axis, index.shape)
    factors = wrap(weights).to(input.dtype).reshape(*weights.shape, *(1,) * (input.ndim - axis - 1))
    return (parts * factors).sum(axis + 1)


@repeatable(constant=True)
def windows(n, out):
    """The means of adaptive pooling: window o goes from ⌊o·n/out⌋ up to ⌈(o + 1)·n/out⌉."""
    start, end = np.arange(out) * n // out, -(-np.arange(1, out + 1) * n // out)
    return _padded(start, end, n, lambda places: np.ones(places.shape))


@repeatable(constant=True)
def cubic(n, out, factor, align_corners):
    """A cubic through the four nearest elements; beyond the ends the last element goes on (Keys, 1981, with a = −¾)."""
    places = np.arange(out) * _step(n, out, factor, True) if align_corners else centres(n, out, factor)
    low = np.floor(places).astype(np.int64)
    near = low[:, None] + np.arange(-1, 3)
    return near.clip(0, n - 1), _keys(places[:, None] - near, -0.75)


@repeatable(constant=True)
def filtered(n, out, factor, align_corners, kind):
    """Means over all that a new element stands for, near ones counting more: a hat ("bilinear"), or Keys' cubic, a = −½."""
    step = _step(n, out, factor, align_corners)
    reach, width = (1, 2)[kind == "bicubic"], max(step, 1.0)
    places = step * (np.arange(out) + 0.5)
    start = np.maximum((places - reach * width + 0.5).astype(np.int64), 0)
    end = np.minimum((places + reach * width + 0.5).astype(np.int64), n)

    def weight(near):
        distance = (near + 0.5 - places[:, None]) / width
        return _keys(distance, -0.5) if kind == "bicubic" else np.maximum(1 - abs(distance), 0)

    return _padded(start, end, n, weight)


def centres(n, out, factor):
    """The place of each new element among the old ones, if all are squares and their corners meet."""
    return (np.arange(out) + 0.5) * _step(n, out, factor, False) - 0.5


def _step(n, out, factor, align_corners):
    if align_corners:
        return (n - 1) / (out - 1) if out > 1 else 0.0
    return n / out if factor is None else 1 / factor


def _padded(start, end, n, weight):
    """The elements from start up to end, for each new one, and their weights, of sum 1; 0 behind the end."""
    near = start[:, None] + np.arange((end - start).max())
    weights = np.where(near < end[:, None], weight(near), 0)
    return near.clip(0, n - 1), weights / weights.sum(1, keepdims=True)


def _keys(x, a):
    """Keys' cubic: 1 at 0, 0 at the other integers and from ±2 on."""
    x = abs(x)
    inner, outer = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0))
