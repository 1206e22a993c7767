"""The same numbers in another arrangement. Backward moves each gradient back to where its element came from."""

import functools
import math

import numpy as np

from .. import kernels
from .base import Op, unbroadcast

__all__ = [
    "Cat",
    "Diagonal",
    "Expand",
    "Flip",
    "Gather",
    "Index",
    "Permute",
    "Repeat",
    "RepeatInterleave",
    "ReplaceView",
    "Reshape",
    "Roll",
    "SetItem",
    "Sort",
    "Stack",
    "TopK",
    "Triangle",
    "Unbind",
    "is_basic",
]


class Reshape(Op):
    """y = x in another shape, the elements in the same order
    dx = dy in x's shape
    """

    warns = False
    linear = True

    def __init__(self, shape):
        self.new_shape = shape

    def forward(self, x):
        return x.reshape(self.new_shape)

    def backward(self, dy):
        return dy.reshape(self.needs[0].shape)


class Permute(Op):
    """y = x with its axes in another order
    dx = dy with its axes in the first order
    """

    warns = False
    linear = True

    def __init__(self, axes):
        self.axes = axes

    def forward(self, x):
        return x.transpose(self.axes)

    def backward(self, dy):
        return dy.transpose(np.argsort(self.axes))


class Expand(Op):
    """y = x repeated along its axes of size 1, and along new axes in front, without copying
    dx = dy summed over the repeats
    """

    warns = False
    linear = True

    def __init__(self, shape):
        self.new_shape = shape

    def forward(self, x):
        return np.broadcast_to(x, self.new_shape)

    def backward(self, dy):
        return unbroadcast(dy, self.needs[0].shape)


class Repeat(Op):
    """y = x tiled, `repeats[i]` times along axis i (as many counts as y has axes)
    dx = dy summed over the tiles
    """

    warns = False
    linear = True

    def __init__(self, repeats):
        self.repeats = repeats

    def forward(self, x):
        pairs = list(zip(self.repeats, (1,) * (len(self.repeats) - x.ndim) + x.shape, strict=True))
        once, tiled = [], []
        for count, n in pairs:
            once += [n] if count == 1 else [1, n]
            tiled += [n] if count == 1 else [count, n]
        return np.broadcast_to(x.reshape(once), tiled).copy().reshape([count * n for count, n in pairs])

    def backward(self, dy):
        shape = self.needs[0].shape
        shape = (1,) * (len(self.repeats) - len(shape)) + shape
        tiles = dy.reshape([size for pair in zip(self.repeats, shape, strict=True) for size in pair])
        return kernels.sum_over(tiles, tuple(range(0, tiles.ndim, 2))).reshape(self.needs[0].shape)


class RepeatInterleave(Op):
    """y = every slice of x along an axis, `repeats` times in a row (a number, or one for each slice)
    dx = dy summed over each run
    """

    warns = False
    linear = True

    def __init__(self, repeats, axis):
        self.repeats, self.axis = repeats, axis

    def forward(self, x):
        n = x.shape[self.axis]
        few = isinstance(self.repeats, int) and n * self.repeats <= 65536
        self.source = (_runs if few else _runs.__wrapped__)(n, self.repeats)
        return np.take(x, self.source, self.axis)

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        _add_at(dx, (slice(None),) * self.axis + (self.source,), dy)
        return dx


@functools.lru_cache(64)
def _runs(n, repeats):
    """Which slice each place has, of n that are repeated so many times."""
    return np.repeat(np.arange(n), repeats)


class Flip(Op):
    """y = x in reverse order along some axes
    dx = dy, reversed again
    """

    warns = False
    linear = True

    def __init__(self, axes):
        self.axes = axes

    def forward(self, x):
        return np.flip(x, self.axes).copy()

    def backward(self, dy):
        return np.flip(dy, self.axes)


class Roll(Op):
    """y = x shifted along some axes; elements that leave at one end enter at the other
    dx = dy shifted back
    """

    warns = False
    linear = True

    def __init__(self, shifts, axes):
        self.shifts, self.axes = shifts, axes

    def forward(self, x):
        return np.roll(x, self.shifts, self.axes)

    def backward(self, dy):
        return np.roll(dy, [-s for s in self.shifts], self.axes)


class Index(Op):
    """y = x[index], in any of NumPy's forms
    dx = 0, plus dy at the places that y was taken from; an element that was taken twice gets the sum
    """

    warns = False
    linear = True

    def __init__(self, index):
        self.index = index

    def forward(self, x):
        return x[self.index]

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        if is_basic(self.index):
            dx[self.index] = dy
        elif len(self.index) == 1 and isinstance(self.index[0], np.ndarray) and self.index[0].dtype.kind in "iu":
            _add_rows(dx, self.index[0], dy)
        else:
            _add_at(dx, self.index, dy)
        return dx


def _add_at(dx, index, dy):
    """dx[index] += dy, where places may repeat. Beyond 32 axes add.at would crash the process: there it gets flat places."""
    if max(dx.ndim, dy.ndim) > 32:
        index = np.arange(dx.size).reshape(dx.shape)[index].ravel()
        dx, dy = dx.reshape(-1), dy.ravel()
    np.add.at(dx, index, dy)


def _add_rows(dx, index, dy):
    """dx[index[i]] += dy[i]: what np.add.at does, in a twentieth of the time."""
    rows, size = len(dx), math.prod(dx.shape[1:])
    index = index.reshape(-1).astype(np.int64)
    if index.size and size:
        kernels.add_rows(
            dx.reshape(rows, size), index % rows, dy.reshape(len(index), size)
        )  # the negative ones count from the end


class SetItem(Op):
    """y = x with y[index] = v
    what was overwritten no longer depends on x:  dx = dy, but 0 at the index;  dv = dy[index]
    Where an index repeats, NumPy keeps the last value written, and only that one gets a gradient.
    """

    def __init__(self, index):
        self.index = index

    def forward(self, x, v):
        y = x.copy()
        y[self.index] = v
        return y

    def backward(self, dy):
        x, v = self.needs
        dx = dv = None
        if x:
            dx = dy.copy()
            dx[self.index] = 0
        if v:
            taken = dy[self.index]
            if not is_basic(self.index):
                number = np.arange(taken.size).reshape(taken.shape)
                last = np.full(dy.shape, -1)
                last[self.index] = number
                taken = np.where(last[self.index] == number, taken, dy.dtype.type(0))
            dv = _fit(taken, v.shape)
        return dx, dv


def _fit(dx, shape):
    # v may have leading axes of size 1 that x[index] has not: NumPy's assignment allows it
    extra = max(len(shape) - dx.ndim, 0)
    return unbroadcast(dx, shape[extra:]).reshape(shape)


class ReplaceView(Op):
    """y = x with the part that a view shows replaced by v
    dx = dy, but 0 in the part;  dv = the part of dy
    """

    def __init__(self, view, patched=None):
        self.view = view  # a fresh operation that makes the view
        self.patched = patched  # y, if v has been written there already

    def forward(self, x, v):
        if self.patched is not None:
            y, self.patched = self.patched, None
            return y
        y = x.copy("C")
        self.view.forward(y)[...] = v
        return y

    def backward(self, dy):
        dx = dy.copy("C")
        part = self.view.forward(dx)
        dv = part.copy()
        part[...] = 0
        return dx, dv


class Gather(Op):
    """y[i][j] = x[index[i][j]][j], along the given axis
    dx = 0 with dy added where it was taken from
    """

    warns = False
    linear = True

    def __init__(self, axis, index):
        self.axis, self.index = axis, index

    def forward(self, x):
        # PyTorch allows the index to be shorter than x along the other axes. One that is empty reads nothing
        sizes = self.index.shape if self.index.size else tuple([min(n, 1) for n in self.index.shape])
        self.where = along_axis(sizes, self.axis, self.index)
        return x[self.where]

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        _add_at(dx, self.where, dy)
        return dx


class Cat(Op):
    """y = the inputs one after the other along an axis
    each input gets its part of dy
    """

    warns = False

    def __init__(self, axis):
        self.axis = axis

    def forward(self, *xs):
        self.sizes = [x.shape[self.axis] for x in xs]
        return np.concatenate(xs, self.axis)

    def backward(self, dy):
        ends = np.cumsum(self.sizes)[:-1]
        return tuple(np.split(dy, ends, self.axis))


class Stack(Op):
    """y = the inputs side by side along a new axis
    each input gets its own slice of dy
    """

    warns = False

    def __init__(self, axis):
        self.axis = axis

    def forward(self, *xs):
        new = (slice(None),) * self.axis + (None,)
        return np.concatenate([x[new] for x in xs], self.axis)

    def backward(self, dy):
        return tuple(np.moveaxis(dy, self.axis, 0))


class Unbind(Op):
    """y_i = x at place i of an axis, which is dropped: as many outputs as there are places
    dx has dy_i at place i. It is written once; an Index for each y_i would add up as many arrays of x's size
    """

    warns = False

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        return tuple(np.moveaxis(x, self.axis, 0))

    def backward(self, dy):
        dx = np.empty(self.needs[0].shape, next(part.dtype for part in dy if part is not None))
        large = self.axis and dx.size >= 2048 * len(dy)  # smaller ones NumPy enters sooner
        for i, part in enumerate(dy):
            if large and part is not None:
                kernels.place_at(part, i, dx, self.axis)
                continue
            dx[(slice(None),) * self.axis + (i,)] = 0 if part is None else part  # None: nothing was made of this output
        return dx


class Diagonal(Op):
    """y = the elements of x with equal indices on two axes, offset apart; the diagonal is y's last axis
    dx = 0 with dy on the diagonal
    """

    linear = True

    def __init__(self, where):
        self.where = where  # offset, axis1, axis2

    def forward(self, x):
        y = np.diagonal(x, *self.where)
        y.flags.writeable = x.flags.writeable  # a later NumPy may do this by itself
        return y

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        part = np.diagonal(dx, *self.where)
        part.flags.writeable = True
        part[...] = dy
        return dx


class Triangle(Op):
    """y = x, but 0 above (lower) or below (upper) the k-th diagonal of the last two axes
    dx = dy, but 0 in the same places
    """

    warns = False
    linear = True

    def __init__(self, lower, k):
        self.cut, self.k = np.tril if lower else np.triu, k

    def forward(self, x):
        if x.ndim < 2:
            raise ValueError(f"{self.cut.__name__}: expected a tensor with 2 axes or more, got shape {x.shape}")
        return self.cut(x, self.k)

    def backward(self, dy):
        return self.cut(dy, self.k)


class Sort(Op):
    """y = x in another order along an axis: y = x taken at `index`
    dx = dy put back in x's order
    """

    warns = False
    linear = True

    def __init__(self, index, axis):
        self.index, self.axis = index, axis

    def forward(self, x):
        return x[along_axis(x.shape, self.axis, self.index)]

    def backward(self, dy):
        dx = np.zeros(self.needs[0].shape, dy.dtype)
        dx[along_axis(dx.shape, self.axis, self.index)] = dy
        return dx


class TopK(Sort):
    """y = the k largest x of each row, the last axis, in order; or the smallest
    dx = dy put back where y was taken from
    """

    linear = False  # where it is taken from depends on x

    def __init__(self, k, axis, largest):
        self.k, self.axis, self.largest = k, axis, largest

    def forward(self, x):
        y, self.index = kernels.topk(x, self.k, self.largest)
        return y


def along_axis(sizes, axis, index):
    """The index for x[…] that takes or puts along one axis, as np.take_along_axis: of these sizes on the other axes."""
    places = (_places if sum(sizes) <= 65536 else _places.__wrapped__)(sizes)
    return (*places[:axis], index, *places[axis + 1 :])


@functools.lru_cache(256)
def _places(sizes):
    """For each axis the places on it, in an array that lies along that axis."""
    return [np.arange(n).reshape([-1 if i == k else 1 for k in range(len(sizes))]) for i, n in enumerate(sizes)]


def is_basic(index):
    """Whether NumPy answers x[index] with a view: slices, integers, None and ... only."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or (isinstance(part, (slice, int, np.integer)) and not isinstance(part, bool))
        for part in parts
    )
