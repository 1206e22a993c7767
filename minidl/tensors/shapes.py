"""The same elements in another shape: reshape and what is made of it, axes in another order, repetition."""

import functools
import math
from collections.abc import Sequence

import numpy as np

from .. import ops
from ..ops.base import normalize_axes, normalize_axis
from . import dtypes
from .arguments import as_int, expect_memory, integer, sizes_of
from .record import TensorBase, apply, unary


@functools.lru_cache(256)
def _exchange(dim0, dim1, ndim):
    """The order of the axes after two of them are exchanged."""
    axes = list(range(ndim))
    i, j = normalize_axis("transpose", dim0, ndim), normalize_axis("transpose", dim1, ndim)
    if axes:
        axes[i], axes[j] = axes[j], axes[i]
    return tuple(axes)


@functools.lru_cache(256)
def _order(dims, ndim):
    """dims, integers, as the order of all axes."""
    axes = normalize_axes("permute", dims, ndim)
    if len(axes) != ndim:
        raise ValueError(f"permute: expected {ndim} axes, got {dims}")
    return axes


@functools.lru_cache(256)
def _flattened(shape, start_dim, end_dim):
    first, last = (normalize_axis("flatten", d, len(shape)) for d in (start_dim, end_dim))
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return shape[:first] + (math.prod(shape[first : last + 1]),) + shape[last + 1 :]


@functools.lru_cache(256)
def _expanded(shape, sizes):
    lead = len(sizes) - len(shape)
    result = tuple([shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(sizes)])
    fits = lead >= 0 and all(old in (1, new) for old, new in zip(shape, result[lead:], strict=True))
    if not fits or -1 in result:
        raise ValueError(f"expand: shape {shape} cannot be expanded to {sizes}: only axes of size 1 can grow")
    return result


class Shapes:
    """Shapes take sizes as PyTorch's do: (2, 3), ((2, 3),) and ([2, 3],) alike."""

    def reshape(self, *shape: int | Sequence[int]):
        """The same elements in another shape. One size may be −1: it is what is left for it. Shares memory where it can.

        >>> import minidl
        >>> minidl.arange(6).reshape(2, 3)
        tensor([[0, 1, 2],
                [3, 4, 5]])
        >>> minidl.arange(6).reshape(3, -1).shape
        (3, 2)
        """
        fits = True
        for n in shape:
            if type(n) is not int or n < -1:
                shape = sizes_of("reshape", shape)
                fits = min(shape, default=0) >= -1
                break
        try:
            if fits:
                return self._view(ops.Reshape, shape)
        except ValueError:
            pass
        raise ValueError(f"reshape: {self.numel()} elements of shape {self.shape} do not fit into shape {shape}")

    def view(self, *shape: int | Sequence[int]):
        """As reshape, but RuntimeError where memory cannot be shared. view(dtype) is not supported.

        >>> import minidl
        >>> x = minidl.zeros(4)
        >>> x.view(2, 2)[0, 1] = 7
        >>> x
        tensor([0., 7., 0., 0.])
        """
        if len(shape) == 1 and isinstance(shape[0], np.dtype):
            raise TypeError("view: reinterpreting the memory as another dtype is not supported; use .to(dtype)")
        result = self.reshape(*shape)
        if result.base is None and result.array.size and not np.may_share_memory(result.array, self.array):
            raise RuntimeError(f"view: shape {result.shape} needs a copy of this non-contiguous tensor; use .reshape(...)")
        return result

    def reshape_as(self, other):
        """As reshape, to the shape of another tensor.

        >>> import minidl
        >>> minidl.arange(4).reshape_as(minidl.zeros(2, 2))
        tensor([[0, 1],
                [2, 3]])
        """
        return self.reshape(other.shape)

    def view_as(self, other):
        """As view, to the shape of another tensor.

        >>> import minidl
        >>> minidl.arange(4).view_as(minidl.zeros(2, 2))
        tensor([[0, 1],
                [2, 3]])
        """
        return self.view(other.shape)

    def flatten(self, start_dim=0, end_dim=-1):
        """The axes from start_dim to end_dim as one.

        >>> import minidl
        >>> x = minidl.zeros(2, 3, 4)
        >>> x.flatten().shape, x.flatten(1).shape
        ((24,), (2, 12))
        """
        flattened = _flattened if type(start_dim) is type(end_dim) is int else _flattened.__wrapped__
        return self._view(ops.Reshape, flattened(self.array.shape, start_dim, end_dim))

    def ravel(self):
        """All elements as a vector.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).ravel()
        tensor([1, 2, 3, 4])
        """
        return self.reshape(-1)

    def unflatten(self, dim, sizes):
        """One axis as several. One size may be −1.

        >>> import minidl
        >>> minidl.zeros(2, 6).unflatten(1, (3, -1)).shape
        (2, 3, 2)
        """
        axis = normalize_axis("unflatten", dim, self.ndim)
        sizes, size = sizes_of("unflatten", (sizes,)), self.shape[axis]
        if sizes.count(-1) == 1 and (known := -math.prod(sizes)):
            sizes = tuple(size // known if n == -1 else n for n in sizes)
        if math.prod(sizes) != size or min(sizes) < 0:
            raise ValueError(f"unflatten: axis {dim} of size {size} does not split into {sizes}")
        return self.reshape(self.shape[:axis] + sizes + self.shape[axis + 1 :])

    @property
    def T(self):
        """The axes in reverse order; of a matrix the transpose. Shares memory.

        >>> import minidl
        >>> minidl.tensor([[1, 2, 3], [4, 5, 6]]).T
        tensor([[1, 4],
                [2, 5],
                [3, 6]])
        """
        ndim = self.array.ndim
        return self._view(ops.Permute, (1, 0) if ndim == 2 else tuple(reversed(range(ndim))))

    @property
    def mT(self):
        """The last two axes exchanged: the transpose of each matrix in a batch. Shares memory.

        >>> import minidl
        >>> minidl.zeros(5, 2, 3).mT.shape
        (5, 3, 2)
        """
        return self.transpose(-1, -2)

    def t(self):
        """The transpose of a matrix; of a vector or a number itself.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).t()
        tensor([[1, 3],
                [2, 4]])
        """
        if self.ndim > 2:
            raise ValueError(f"t: expected at most 2 axes, got shape {self.shape}")
        return self.T

    def transpose(self, dim0, dim1):
        """Two axes exchanged. Shares memory.

        >>> import minidl
        >>> minidl.zeros(2, 3, 4).transpose(0, 2).shape
        (4, 3, 2)
        """
        exchange = _exchange if type(dim0) is int and type(dim1) is int else _exchange.__wrapped__
        return self._view(ops.Permute, exchange(dim0, dim1, self.array.ndim))

    swapaxes = swapdims = transpose

    def permute(self, *dims: int | Sequence[int]):
        """The axes in the given order. Shares memory.

        >>> import minidl
        >>> minidl.zeros(2, 3, 4).permute(2, 0, 1).shape
        (4, 2, 3)
        """
        return self._view(ops.Permute, _order(sizes_of("permute", dims), self.array.ndim))

    def movedim(self, source, destination):
        """Axes moved to other positions; the rest keep their order. Shares memory.

        >>> import minidl
        >>> minidl.zeros(2, 3, 4).movedim(0, -1).shape
        (3, 4, 2)
        """
        source = normalize_axes("movedim", source, self.ndim)
        destination = normalize_axes("movedim", destination, self.ndim)
        if len(source) != len(destination):
            raise ValueError(f"movedim: {len(source)} axes cannot go to {len(destination)} places")
        axes = [axis for axis in range(self.ndim) if axis not in source]
        for place, axis in sorted(zip(destination, source, strict=True)):
            axes.insert(place, axis)
        return self._view(ops.Permute, tuple(axes)[: self.ndim])  # a scalar has an axis 0 in name only

    def unsqueeze(self, dim):
        """A new axis of size 1 at position dim. Shares memory.

        >>> import minidl
        >>> x = minidl.zeros(3)
        >>> x.unsqueeze(0).shape, x.unsqueeze(1).shape
        ((1, 3), (3, 1))
        """
        shape = self.array.shape
        axis = normalize_axis("unsqueeze", dim, len(shape) + 1)
        return self._view(ops.Reshape, shape[:axis] + (1,) + shape[axis:])

    def squeeze(self, dim=None):
        """Without its axes of size 1, or without those of `dim` that have size 1.

        >>> import minidl
        >>> x = minidl.zeros(1, 3, 1)
        >>> x.squeeze().shape, x.squeeze(0).shape
        ((3,), (3, 1))
        """
        shape = self.array.shape
        axes = range(len(shape)) if dim is None else normalize_axes("squeeze", dim, len(shape))
        return self._view(ops.Reshape, tuple([n for i, n in enumerate(shape) if n != 1 or i not in axes]))

    def expand(self, *sizes: int | Sequence[int]):
        """Repeated along axes of size 1, without a copy. −1 leaves an axis as it is.

        >>> import minidl
        >>> minidl.tensor([[1], [2]]).expand(-1, 3)
        tensor([[1, 1, 1],
                [2, 2, 2]])
        """
        return self._view(ops.Expand, _expanded(self.array.shape, sizes_of("expand", sizes)))

    def expand_as(self, other):
        """As expand, to the shape of another tensor.

        >>> import minidl
        >>> minidl.tensor([1, 2]).expand_as(minidl.zeros(2, 2))
        tensor([[1, 2],
                [1, 2]])
        """
        return self.expand(other.shape)

    broadcast_to = expand

    def repeat(self, *repeats: int | Sequence[int]):
        """The tensor several times: `repeats[i]` copies along axis i. More counts than axes put new axes in front.

        >>> import minidl
        >>> minidl.tensor([1, 2]).repeat(3)
        tensor([1, 2, 1, 2, 1, 2])
        >>> minidl.tensor([1, 2]).repeat(2, 1)
        tensor([[1, 2],
                [1, 2]])
        """
        repeats = sizes_of("repeat", repeats)
        if len(repeats) < self.ndim or any(n < 0 for n in repeats):
            write = ", ".join(["1"] * (self.ndim - 1) + ["2"])
            raise ValueError(
                f"repeat: expected a count of 0 or more for each of the {self.ndim} axes, got {repeats}; write repeat({write})"
            )
        lead = len(repeats) - self.ndim
        expect_memory("repeat", tuple(n * m for n, m in zip(repeats, (1,) * lead + self.shape, strict=True)), self.dtype)
        return unary(ops.Repeat(repeats), self)

    def tile(self, *dims: int | Sequence[int]):
        """As repeat; fewer counts than axes are for the last axes.

        >>> import minidl
        >>> minidl.tensor([[1], [2]]).tile(3)
        tensor([[1, 1, 1],
                [2, 2, 2]])
        """
        dims = sizes_of("tile", dims)
        return self.repeat((1,) * (self.ndim - len(dims)) + dims)

    def repeat_interleave(self, repeats, dim=None, *, output_size=None):
        """Every element (or slice along dim) `repeats` times in a row; a tensor gives a count for each.

        `output_size`, which saves PyTorch a sum, is checked: the size of the axis that comes out.

        >>> import minidl
        >>> minidl.tensor([1, 2]).repeat_interleave(2)
        tensor([1, 1, 2, 2])
        >>> minidl.tensor([1, 2]).repeat_interleave(minidl.tensor([3, 1]))
        tensor([1, 1, 1, 2])
        """
        x, axis = (self.flatten(), 0) if dim is None else (self, normalize_axis("repeat_interleave", dim, self.ndim))
        number = as_int(repeats) if not isinstance(repeats, TensorBase) else None
        repeats = np.asarray(repeats.array if isinstance(repeats, TensorBase) else repeats)
        if repeats.dtype.kind not in "iu":
            raise TypeError(f"repeat_interleave: expected integers, got {repeats.dtype}")
        if np.any(np.less(repeats, 0)) or np.size(repeats) not in (1, x.shape[axis]):
            raise ValueError(f"repeat_interleave: expected one count, or {x.shape[axis]} counts, of 0 or more, got {repeats}")
        total = int(repeats.sum()) if repeats.size != 1 else int(repeats.item()) * x.shape[axis]
        if output_size is not None and integer("repeat_interleave", output_size) != total:
            raise ValueError(f"repeat_interleave: the result has size {total} along its axis, not output_size={output_size}")
        return apply(ops.RepeatInterleave(number if type(number) is int else repeats, axis), x)

    def flip(self, *dims: int | Sequence[int]):
        """In reverse order along the given axes (a copy).

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).flip(1)
        tensor([[2, 1],
                [4, 3]])
        """
        axes = normalize_axes("flip", sizes_of("flip", dims), self.ndim)
        return unary(ops.Flip(axes if self.ndim else ()), self)

    def roll(self, shifts, dims=None):
        """Shifted along the given axes; what leaves at one end comes in at the other.

        Without dims, the flattened tensor is shifted.

        >>> import minidl
        >>> minidl.tensor([1, 2, 3, 4]).roll(1)
        tensor([4, 1, 2, 3])
        """
        if dims is None:
            return self.flatten().roll(shifts, 0).reshape(self.shape)
        axes = normalize_axes("roll", dims, self.ndim)
        shifts = sizes_of("roll", (shifts,))
        if len(shifts) != len(axes):
            raise ValueError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
        return unary(ops.Roll(shifts, axes), self)

    def contiguous(self, memory_format=dtypes.contiguous_format):
        """Itself if its elements lie in order, else a copy. memory_format=channels_last: the order N, H, W, C of (N, C, H, W).

        >>> import minidl
        >>> minidl.ones(2, 3).t().contiguous().stride()
        (2, 1)
        """
        if memory_format is not dtypes.contiguous_format:
            order = dtypes.order_in_memory("contiguous", memory_format, self.ndim)
            if order is None:
                raise ValueError(f"contiguous: memory_format={memory_format!r} says no order; leave it out")
            back = tuple(order.index(axis) for axis in range(self.ndim))
            return self.permute(order).contiguous().permute(back)
        if self.array.flags.c_contiguous:
            return self
        return apply(ops.Clone(), self)
