"""Parts of a tensor by place: pieces along an axis, slices, diagonals, triangles."""

from itertools import accumulate

import numpy as np

from .. import ops
from ..ops.base import normalize_axis
from .arguments import integer, sizes_of
from .record import apply, unary, wrap


class Slices:
    """Views of parts, and matrices with parts set to 0."""

    def unbind(self, dim=0):
        """The slices along an axis, without that axis. They share memory.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).unbind()
        (tensor([1, 2]), tensor([3, 4]))
        """
        axis = normalize_axis("unbind", dim, self.ndim)
        return tuple([self._part(axis, i) for i in range(self.shape[axis])])

    def _part(self, axis, index):
        return self._view(ops.Index, ((slice(None),) * axis + (index, Ellipsis)))

    def split(self, split_size_or_sections, dim=0):
        """Pieces along an axis: of one size (the last may be smaller), or of the sizes in a list. They share memory.

        >>> import minidl
        >>> minidl.arange(5).split(2)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
        >>> minidl.arange(5).split([1, 4])
        (tensor([0]), tensor([1, 2, 3, 4]))
        """
        axis = normalize_axis("split", dim, self.ndim)
        total, sizes = self.shape[axis], split_size_or_sections
        if isinstance(sizes, (tuple, list)):
            sizes = sizes_of("split", sizes)
        else:
            sizes = integer("split", sizes)
            if sizes < 1:
                raise ValueError(f"split: the size of a piece must be 1 or more, got {sizes}")
            starts = range(0, total, sizes) or (0,)
            return tuple([self._part(axis, slice(start, min(start + sizes, total))) for start in starts])
        if sum(sizes) != total or any(n < 0 for n in sizes):
            raise ValueError(f"split: sizes {list(sizes)} do not add up to {total}, the size of axis {dim}")
        ends = accumulate(sizes)
        return tuple([self._part(axis, slice(end - n, end)) for end, n in zip(ends, sizes, strict=True)])

    def chunk(self, chunks, dim=0):
        """At most so many pieces along an axis, as equal as possible. They share memory.

        >>> import minidl
        >>> minidl.arange(5).chunk(2)
        (tensor([0, 1, 2]), tensor([3, 4]))
        """
        if integer("chunk", chunks) < 1:
            raise ValueError(f"chunk: expected 1 chunk or more, got {chunks}")
        axis = normalize_axis("chunk", dim, self.ndim)
        return self.split(max(-(-self.shape[axis] // chunks), 1), axis)

    def narrow(self, dim, start, length):
        """The part [start, start + length) of an axis. Shares memory.

        >>> import minidl
        >>> minidl.arange(5).narrow(0, 1, 3)
        tensor([1, 2, 3])
        """
        axis = normalize_axis("narrow", dim, self.ndim)
        start, length = integer("narrow", start), integer("narrow", length)
        if not 0 <= start <= start + length <= self.shape[axis]:
            raise IndexError(f"narrow: [{start}, {start + length}) is not within axis {dim} of size {self.shape[axis]}")
        return self._part(axis, slice(start, start + length))

    def select(self, dim, index):
        """One slice of an axis, without that axis. Shares memory.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).select(1, 0)
        tensor([1, 3])
        """
        axis, index = normalize_axis("select", dim, self.ndim), integer("select", index)
        if not self.ndim or not -self.shape[axis] <= index < self.shape[axis]:
            raise IndexError(f"select: index {index} is out of range for axis {dim} of shape {self.shape}")
        return self._part(axis, index)

    def diagonal(self, offset=0, dim1=0, dim2=1):
        """The elements x[i, i + offset] of two axes, as the last axis. Shares memory.

        >>> import minidl
        >>> x = minidl.tensor([[1, 2], [3, 4]])
        >>> x.diagonal(), x.diagonal(1)
        (tensor([1, 4]), tensor([2]))
        """
        axes = normalize_axis("diagonal", dim1, self.ndim), normalize_axis("diagonal", dim2, self.ndim)
        offset = integer("diagonal", offset)
        if self.ndim < 2 or axes[0] == axes[1]:
            raise ValueError(f"diagonal: expected two different axes of a tensor with 2 or more, got shape {self.shape}")
        most = np.iinfo(np.int32).max  # what NumPy takes; beyond it no diagonal has elements
        return self._view(ops.Diagonal, (min(max(offset, -most), most), *axes))

    def diag(self, diagonal=0):
        """Of a matrix its diagonal, as a copy; of a vector the matrix with that diagonal.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).diag()
        tensor([1, 4])
        >>> minidl.tensor([1, 2]).diag()
        tensor([[1, 0],
                [0, 2]])
        """
        diagonal = integer("diag", diagonal)
        if self.ndim == 2:
            return self.diagonal(diagonal).clone()
        if self.ndim != 1:
            raise ValueError(f"diag: expected a vector or a matrix, got shape {self.shape}")
        n = len(self) + abs(diagonal)
        row = np.arange(len(self)) + max(-diagonal, 0)
        zeros = wrap(np.zeros((n, n), self.dtype))
        return apply(ops.SetItem((row, row + diagonal)), zeros, self)

    def tril(self, diagonal=0):
        """The lower triangle: x[i, j] where j ≤ i + diagonal, and 0 above it.

        >>> import minidl
        >>> minidl.ones(3, 3).tril()
        tensor([[1., 0., 0.],
                [1., 1., 0.],
                [1., 1., 1.]])
        """
        return unary(ops.Triangle(True, integer("tril", diagonal)), self)

    def triu(self, diagonal=0):
        """The upper triangle: x[i, j] where j ≥ i + diagonal, and 0 below it.

        >>> import minidl
        >>> minidl.ones(3, 3).triu(1)
        tensor([[0., 1., 1.],
                [0., 0., 1.],
                [0., 0., 0.]])
        """
        return unary(ops.Triangle(False, integer("triu", diagonal)), self)

    def trace(self):
        """Σᵢ x[i, i], the sum of a matrix's diagonal.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).trace()
        tensor(5)
        """
        if self.ndim != 2:
            raise ValueError(f"trace: expected a matrix, got shape {self.shape}")
        return self.diagonal().sum()
