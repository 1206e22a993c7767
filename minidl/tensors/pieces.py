"""Pieces of unequal sizes, windows onto the same memory, matrices from diagonals, rotation."""

import math
from itertools import accumulate, pairwise

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from ..ops.base import normalize_axes, normalize_axis
from .arguments import integer, sizes_of
from .record import TensorBase, apply, wrap


@repeatable(constant=True)
def _diagonal(shape, n, offset, dtype):
    """Zeros, and the rows and columns of the n elements of a diagonal."""
    rows = np.arange(n) + max(-offset, 0)
    return wrap(np.zeros(shape, dtype)), rows, rows + offset


class Pieces:
    """Parts of a tensor that narrow and split do not give, and tensors around one."""

    def tensor_split(self, indices_or_sections, dim=0):
        """So many pieces along an axis, the first ones longer by 1 if it does not divide; or cut before each index.

        >>> import minidl
        >>> minidl.arange(5).tensor_split(2), minidl.arange(5).tensor_split((1, 3))
        ((tensor([0, 1, 2]), tensor([3, 4])), (tensor([0]), tensor([1, 2]), tensor([3, 4])))
        """
        return _split(self, "tensor_split", indices_or_sections, dim)

    def hsplit(self, indices_or_sections):
        """Pieces along axis 1 (0 of a vector): equal ones, or cut before each index.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).hsplit(2)
        (tensor([[1],
                [3]]), tensor([[2],
                [4]]))
        """
        if not self.ndim:
            raise ValueError("hsplit: expected a tensor with one axis or more, got a 0-d tensor")
        return _equal_split(self, "hsplit", indices_or_sections, 0 if self.ndim == 1 else 1)

    def vsplit(self, indices_or_sections):
        """Pieces along axis 0 of a tensor with two axes or more: equal ones, or cut before each index.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).vsplit(2)
        (tensor([[1, 2]]), tensor([[3, 4]]))
        """
        if self.ndim < 2:
            raise ValueError(f"vsplit: expected a tensor with two axes or more, got shape {self.shape}")
        return _equal_split(self, "vsplit", indices_or_sections, 0)

    def dsplit(self, indices_or_sections):
        """Pieces along axis 2: equal ones, or cut before each index.

        >>> import minidl
        >>> [part.shape for part in minidl.zeros(1, 2, 6).dsplit(2)]
        [(1, 2, 3), (1, 2, 3)]
        """
        if self.ndim < 3:
            raise ValueError(f"dsplit: expected a tensor with three axes or more, got shape {self.shape}")
        return _equal_split(self, "dsplit", indices_or_sections, 2)

    def moveaxis(self, source, destination):
        """Axes moved to other positions, the rest in order.

        >>> import minidl
        >>> minidl.zeros(2, 3, 4).moveaxis(0, -1).shape
        (3, 4, 2)
        """
        return self.movedim(source, destination)

    def rot90(self, k=1, dims=(0, 1)):
        """Turned k times by 90° from the first of the two axes towards the second.

        >>> import minidl
        >>> minidl.tensor([[0, 1], [2, 3]]).rot90()
        tensor([[1, 3],
                [0, 2]])
        """
        k, axes = integer("rot90", k) % 4, normalize_axes("rot90", dims, self.ndim)
        if len(axes) != 2 or self.ndim < 2:
            raise ValueError(f"rot90: expected two axes of a tensor with 2 or more, got dims={dims}, shape {self.shape}")
        if k == 2:
            return self.flip(*axes)
        if k == 0:
            return self.clone()
        return (self.flip(axes[1]) if k == 1 else self.flip(axes[0])).transpose(*axes)

    def diag_embed(self, offset=0, dim1=-2, dim2=-1):
        """Matrices in two new axes, whose diagonals are the last axis; 0 elsewhere.

        >>> import minidl
        >>> minidl.tensor([1, 2]).diag_embed()
        tensor([[1, 0],
                [0, 2]])
        """
        offset = integer("diag_embed", offset)
        if not self.ndim:
            raise ValueError("diag_embed: expected a tensor with one axis or more, got a 0-d tensor")
        axes = tuple(normalize_axis("diag_embed", d, self.ndim + 1) for d in (dim1, dim2))
        if axes[0] == axes[1]:
            raise ValueError(f"diag_embed: expected two different axes, got dim1={dim1} and dim2={dim2}")
        size = self.shape[-1] + abs(offset)
        zeros, *places = _diagonal((*self.shape[:-1], size, size), self.shape[-1], offset, self.dtype)
        y = apply(ops.SetItem((Ellipsis, *places)), zeros, self)
        return y.movedim((-2, -1), axes)

    def unfold(self, dimension, size, step=1):
        """Windows of a size along an axis, `step` apart: shape (…, number of windows, …, size). A view; if windows overlap it
        cannot be written to.

        >>> import minidl
        >>> minidl.arange(5).unfold(0, 3, 2)
        tensor([[0, 1, 2],
                [2, 3, 4]])
        """
        axis, size, step = normalize_axis("unfold", dimension, self.ndim), integer("unfold", size), integer("unfold", step)
        n = self.shape[axis] if self.ndim else 1
        if not 0 <= size <= n or step < 1:
            what = f"from 0 to {n}, the size of axis {dimension}, and step 1 or more, got size={size}, step={step}"
            raise ValueError(f"unfold: size must be {what}")
        if not self.ndim:
            return self.reshape(1)[:size]
        return self._view(ops.Windows, (axis, size, step))

    def as_strided(self, size, stride, storage_offset=0):
        """The memory of a contiguous tensor, read with other sizes and steps (in elements) from an offset on. A view; if
        elements share memory it cannot be written to.

        >>> import minidl
        >>> minidl.arange(9).reshape(3, 3).as_strided((3,), (4,))
        tensor([0, 4, 8])
        """
        size, stride = sizes_of("as_strided", (size,)), sizes_of("as_strided", (stride,))
        offset = integer("as_strided", storage_offset)
        if len(size) != len(stride) or min((*size, *stride, offset), default=0) < 0:
            raise ValueError(
                f"as_strided: expected as many sizes as strides, and no negative one, got {size}, {stride}, {offset}"
            )
        if not self.array.flags.c_contiguous:
            raise ValueError(f"as_strided: expected a contiguous tensor, got strides {self.stride()}; use .contiguous() first")
        if math.prod(size):
            last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
            if last >= self.numel():
                what = f"sizes {size}, strides {stride} and offset {offset}"
                raise ValueError(f"as_strided: {what} reach element {last}, and there are {self.numel()}")
        elif offset > self.numel():
            raise ValueError(f"as_strided: the offset is {offset}, and there are {self.numel()} elements")
        return self._view(ops.AsStrided, (size, stride, offset))


def _split(x, name, where, dim):
    axis = normalize_axis(name, dim, x.ndim)
    if not x.ndim:
        raise ValueError(f"{name}: expected a tensor with one axis or more, got a 0-d tensor")
    n = x.shape[axis]
    if isinstance(where, TensorBase):
        if where.ndim > 1 or where.dtype != np.int64:
            raise TypeError(f"{name}: expected an integer or a vector of int64, got {where.dtype} of shape {where.shape}")
        where = where.tolist()
    if isinstance(where, (tuple, list)):
        cuts = [integer(name, i) for i in where]
        cuts = [min(max(i + n if i < 0 else i, 0), n) for i in cuts]
        stretches = zip([0, *cuts], [*cuts, n], strict=True)
    else:
        count = integer(name, where)
        if count < 1:
            raise ValueError(f"{name}: expected 1 piece or more, got {count}")
        try:
            sizes = [n // count] * count
        except (MemoryError, OverflowError):
            raise MemoryError(f"{name}: {count} pieces do not fit in memory") from None
        sizes[: n % count] = [n // count + 1] * (n % count)
        ends = accumulate(sizes, initial=0)
        stretches = pairwise(ends)
    return tuple(x._part(axis, slice(start, max(start, end))) for start, end in stretches)


def _equal_split(x, name, where, axis):
    if isinstance(where, (int, np.integer)) and not isinstance(where, bool) and (where < 1 or x.shape[axis] % where):
        raise ValueError(f"{name}: axis {axis} of size {x.shape[axis]} does not divide into {where} equal pieces")
    return _split(x, name, where, axis)
