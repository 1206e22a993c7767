"""Images made larger or smaller: padded or cropped at the edges, or resampled by interpolation."""

import functools
import math

import numpy as np

from .base import Op

__all__ = ["Interpolate", "Pad", "PadFromInput"]


class Pad(Op):
    """y = x with a border of one value; `widths` has (before, after) for each of the last axes; a negative width crops
    the border does not depend on x:  dx = dy without the border, and 0 where x was cropped
    """

    def __init__(self, widths, value):
        self.widths, self.value = widths, value
        self.warns = value != 0 or math.copysign(1, value) < 0  # else y is made of zeros

    def forward(self, x):
        shape, kept, inner = _places(x.shape, self.widths)
        y = np.full(shape, self.value, x.dtype) if self.warns else np.zeros(shape, x.dtype)
        y[inner] = x if kept is None else x[kept]
        return y

    def backward(self, dy):
        shape = self.needs[0].shape
        _, kept, inner = _places(shape, self.widths)
        if kept is None:
            return dy[inner]
        dx = np.zeros(shape, dy.dtype)
        dx[kept] = dy[inner]
        return dx


class PadFromInput(Op):
    """y = x continued past its edges: "reflect" cb|abc|ba, "replicate" aa|abc|cc, "circular" bc|abc|ab
    dx of an element is the sum of dy over its copies:  dx = the inner part of dy, plus dy of each copy at the original
    """

    linear = True

    def __init__(self, mode, widths):
        self.mode, self.widths = mode, widths

    def forward(self, x):
        for k, (before, after) in enumerate(self.widths):
            axis = x.ndim - len(self.widths) + k
            places = np.arange(-before, x.shape[axis] + after)
            x = x.take(self._source(places, x.shape[axis]), axis)
        return x

    def backward(self, dy):
        shape = self.needs[0].shape
        for k, (before, after) in enumerate(self.widths):
            axis = len(shape) - len(self.widths) + k
            n = shape[axis]
            places = np.arange(-before, n + after)
            source, inside = self._source(places, n), (places >= 0) & (places < n)
            dx = np.zeros((*dy.shape[:axis], n, *dy.shape[axis + 1 :]), dy.dtype)
            to, given = np.moveaxis(dx, axis, 0), np.moveaxis(dy, axis, 0)
            to[max(-before, 0) : n - max(-after, 0)] = given[max(before, 0) : max(before, 0) + inside.sum()]
            for i in np.flatnonzero(~inside):
                to[source[i]] += given[i]
            dy = dx
        return dy

    def _source(self, places, n):
        """The element of an axis of n that stands at each place."""
        if self.mode == "circular":
            return places % n
        if self.mode == "replicate":
            return places.clip(0, n - 1)
        return n - 1 - abs(n - 1 - abs(places))


class Interpolate(Op):
    """y[i] = (1 − t[i])·x[low[i]] + t[i]·x[high[i]] along an axis; where high is None, y[i] = x[low[i]]
    each x counts with the weight that it has in y:  dx[low[i]] += (1 − t[i])·dy[i],  dx[high[i]] += t[i]·dy[i]
    low and high never decrease.
    """

    linear = True

    def __init__(self, axis, low, high=None, t=None):
        self.axis, self.low, self.high, self.t = axis, low, high, t
        self.read = [index.tobytes() for index in (low, high) if index is not None]  # for _turns

    def _share(self, x):
        return self.t.astype(x.dtype).reshape([-1 if k == self.axis else 1 for k in range(x.ndim)])

    def forward(self, x):
        y = x.take(self.low, self.axis)
        if self.high is not None:
            t = self._share(x)
            y *= 1 - t
            y += x.take(self.high, self.axis) * t
        return y

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        if self.high is None:
            self._add(dx, self.read[0], dy)
        else:
            t = self._share(dy)
            self._add(dx, self.read[0], dy * (1 - t))
            self._add(dx, self.read[1], dy * t)
        return dx

    def _add(self, dx, read, dy):
        """dx[index[i]] += dy[i]"""
        for some, places in _turns(read, dx.shape[self.axis]):
            dx[(slice(None),) * self.axis + (some,)] += dy.take(places, self.axis)


@functools.lru_cache(64)
def _turns(read, n):
    """[(some, places)]: dx[some] += dy[places] in turns, the first of each of n, the second of each, …; read: index.tobytes().

    Equal indices are neighbours.
    """
    index, every, turns = np.frombuffer(read, np.int64), np.arange(n), []
    first, end = np.searchsorted(index, every), np.searchsorted(index, every, "right")
    for turn in range((end - first).max()):
        some = np.flatnonzero(first + turn < end)
        places = first[some] + turn
        if some[-1] - some[0] == len(some) - 1:  # a slice is faster
            some = slice(int(some[0]), int(some[-1]) + 1)
        turns.append((some, places))
    return turns


@functools.lru_cache(1024)
def _places(shape, widths):
    """The shape of y, where the part that stays lies in x, None for all of it, and where it lies in y."""
    lead, kept, inner = len(shape) - len(widths), [...], [...]
    for n, (before, after) in zip(shape[lead:], widths, strict=True):
        kept.append(slice(max(-before, 0), n - max(-after, 0)))
        inner.append(slice(max(before, 0), n + before + after - max(after, 0)))
    grown = *shape[:lead], *(n + before + after for n, (before, after) in zip(shape[lead:], widths, strict=True))
    return grown, tuple(kept) if any(n < 0 for pair in widths for n in pair) else None, tuple(inner)
