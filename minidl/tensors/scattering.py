"""Writing at places that an index names: scatter, index_add, put and their relatives. Out of place, each gives a new tensor."""

import numpy as np

from .. import kernels, ops
from ..graph.watch import repeatable
from ..ops.base import normalize_axis
from . import dtypes
from .arguments import expect_tensors, numbers_of
from .indexing import checked_index, numpy_index, wrapped_index
from .record import TensorBase, apply, number_array, operand, wrap

REDUCTIONS = {"sum": "sum", "add": "sum", "mean": "mean", "prod": "prod", "multiply": "prod", "amax": "amax", "amin": "amin"}


class Scattering:
    """The tensor with something written at an index, as a new tensor."""

    def scatter(self, dim, index, src=None, *, value=None, reduce=None):
        """y = self with y[index[i][j]][j] = src[i][j] for dim 0; src is a tensor or, also as `value`, a number.

        With reduce "add" or "multiply", src is added to what is there, or multiplied with it. Where places repeat, the last
        one written stays, and only that one gets a gradient.

        >>> import minidl
        >>> minidl.zeros(3).scatter(0, minidl.tensor([2, 0]), minidl.tensor([5.0, 7.0]))
        tensor([7., 0., 5.])
        """
        if (src is None) == (value is None):
            raise TypeError("scatter: expected src, a tensor or a number, or value, a number")
        src = value if src is None else src
        if reduce is not None and reduce not in ("add", "multiply"):
            raise ValueError(f"scatter: reduce must be None, 'add' or 'multiply', got {reduce!r}")
        if not isinstance(src, TensorBase):
            expect_tensors("scatter", index=index)
            (src,) = numbers_of("scatter", value=src)
            src = wrap(_filled(index.shape, number_of_kind("scatter", src, self.dtype), self.dtype))
        if reduce is not None:
            return self.scatter_reduce(dim, index, src, "sum" if reduce == "add" else "prod")
        x, where, src = _prepared("scatter", self, dim, index, src)
        return apply(ops.SetItem(where), x, src).reshape(self.shape)

    def scatter_add(self, dim, index, src):
        """y = self with src[i][j] added to y[index[i][j]][j] for dim 0; places may repeat.

        >>> import minidl
        >>> minidl.zeros(3).scatter_add(0, minidl.tensor([2, 0, 2]), minidl.tensor([1.0, 2.0, 3.0]))
        tensor([2., 0., 4.])
        """
        x, where, src = _prepared("scatter_add", self, dim, index, src)
        return (x + apply(ops.ScatterAdd(where, x.shape), src)).reshape(self.shape)

    def scatter_reduce(self, dim, index, src, reduce, *, include_self=True):
        """As scatter_add, with "sum", "prod", "mean", "amax" or "amin" of what meets at a place.

        With include_self=False, what self holds at a place of the index does not count.

        >>> import minidl
        >>> minidl.zeros(2).scatter_reduce(0, minidl.tensor([1, 1]), minidl.tensor([3.0, 5.0]), "amax")
        tensor([0., 5.])
        """
        if reduce not in ("sum", "prod", "mean", "amax", "amin"):
            raise ValueError(f"scatter_reduce: reduce must be 'sum', 'prod', 'mean', 'amax' or 'amin', got {reduce!r}")
        x, where, src = _prepared("scatter_reduce", self, dim, index, src)
        return _reduced(x, where, src, reduce, include_self).reshape(self.shape)

    def index_add(self, dim, index, source, *, alpha=1):
        """y = self with alpha·source[i] added to slice index[i] of an axis; places may repeat.

        >>> import minidl
        >>> minidl.zeros(3).index_add(0, minidl.tensor([2, 2]), minidl.tensor([1.0, 2.0]))
        tensor([0., 0., 3.])
        """
        x, where, source = _slices("index_add", self, dim, index, source)
        alpha = number_of_kind("index_add", alpha, self.dtype)
        source = source if alpha == 1 else source * alpha
        return (x + apply(ops.ScatterAdd(where, x.shape), source)).reshape(self.shape)

    def index_copy(self, dim, index, source):
        """y = self with source[i] in place of slice index[i] of an axis.

        >>> import minidl
        >>> minidl.zeros(3).index_copy(0, minidl.tensor([2, 0]), minidl.tensor([1.0, 2.0]))
        tensor([2., 0., 1.])
        """
        x, where, source = _slices("index_copy", self, dim, index, source)
        return apply(ops.SetItem(where), x, source).reshape(self.shape)

    def index_fill(self, dim, index, value):
        """y = self with one value, a number or a 0-d tensor, in the slices of an axis that the index names.

        >>> import minidl
        >>> minidl.zeros(3).index_fill(0, minidl.tensor([2, 0]), 7)
        tensor([7., 0., 7.])
        """
        value = operand("index_fill", value)
        if isinstance(value, TensorBase):
            if value.ndim:
                raise ValueError(f"index_fill: expected a number or a 0-d tensor as value, got shape {value.shape}")
            value = value.to(self.dtype)
        else:
            value = wrap(number_array("index_fill", number_of_kind("index_fill", value, self.dtype), self.dtype))
        x, where, _ = _slices("index_fill", self, dim, index)
        return apply(ops.SetItem(where), x, value).reshape(self.shape)

    def index_put(self, indices, values, accumulate=False):
        """y = self with y[indices] = values, or y[indices] += values with accumulate=True; indices is a tuple of tensors.

        >>> import minidl
        >>> minidl.zeros(3).index_put((minidl.tensor([1, 1]),), minidl.tensor([2.0, 3.0]), accumulate=True)
        tensor([0., 5., 0.])
        """
        if not isinstance(indices, (tuple, list)):
            raise TypeError(f"index_put: expected a tuple of tensors as indices, got {type(indices).__name__}")
        expect_tensors("index_put", values=values)
        if values.dtype != self.dtype:
            raise TypeError(f"index_put: expected values of {self.dtype}, got {values.dtype}")
        parts = tuple(slice(None) if i is None else i for i in indices)
        where = numpy_index(self, tuple(i.reshape(1) if isinstance(i, TensorBase) and not i.ndim else i for i in parts))
        try:
            shape = np.empty(self.shape, bool)[where].shape  # checks the bounds, too
        except IndexError as error:
            raise IndexError(f"index_put: {error}") from None
        try:
            values = values.expand(shape)
        except ValueError:
            raise ValueError(f"index_put: values of shape {values.shape} do not fit self[indices], shape {shape}") from None
        if accumulate:
            return self + apply(ops.ScatterAdd(where, self.shape), values)
        return apply(ops.SetItem(where), self, values)

    def put(self, index, source, accumulate=False):
        """y = self with y.flatten()[index] = source, or += source with accumulate=True.

        >>> import minidl
        >>> minidl.zeros(2, 2).put(minidl.tensor([3, 0]), minidl.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 1.]])
        """
        expect_tensors("put", index=index, source=source)
        if index.numel() != source.numel():
            raise ValueError(f"put: {index.numel()} indices, but a source of {source.numel()} elements")
        rows = wrap(wrapped_index("put", index, self.numel()).reshape(-1))
        return self.reshape(-1).index_put((rows,), source.reshape(-1), accumulate).reshape(self.shape)

    def take(self, index):
        """The elements of the flattened tensor at an index, in the index's shape; negative ones count from the end.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).take(minidl.tensor([3, 0]))
        tensor([4, 1])
        """
        expect_tensors("take", index=index)
        rows = wrapped_index("take", index, self.numel())
        return apply(ops.Index((rows.reshape(-1),)), self.reshape(-1)).reshape(rows.shape)

    def masked_scatter(self, mask, source):
        """y = self with the elements of source, in order, where the mask is True; mask and self broadcast.

        >>> import minidl
        >>> minidl.zeros(3).masked_scatter(minidl.tensor([True, False, True]), minidl.tensor([1.0, 2.0]))
        tensor([1., 0., 2.])
        """
        expect_tensors("masked_scatter", mask=mask, source=source)
        if mask.dtype != dtypes.bool:
            raise TypeError(f"masked_scatter: expected a boolean mask, got {mask.dtype}")
        if source.dtype != self.dtype:
            raise TypeError(f"masked_scatter: expected a source of {self.dtype}, got {source.dtype}")
        try:
            shape = np.broadcast_shapes(self.shape, mask.shape)
        except ValueError:
            raise ValueError(f"masked_scatter: shapes {self.shape} and {mask.shape} do not broadcast") from None
        mask = np.broadcast_to(mask.array, shape)
        count = _count(mask)
        if count > source.numel():
            raise ValueError(f"masked_scatter: {count} elements are masked, but the source has {source.numel()}")
        return apply(ops.SetItem((mask,)), self.expand(shape), source.reshape(-1)[:count])


@repeatable
def _count(mask):
    return int(np.count_nonzero(mask))


@repeatable(constant=True)
def _filled(shape, number, dtype):
    return np.full(shape, number_array("scatter", number, dtype), dtype)


def number_of_kind(name, value, dtype):
    """A Python number that a tensor of this dtype can hold: no fraction among integers."""
    (value,) = numbers_of(name, value=value)
    if dtypes.result_type(np.zeros(1, dtype), value) != dtype:
        raise TypeError(f"{name}: {value!r} cannot be kept in a tensor of {dtype}")
    return value


def _prepared(name, x, dim, index, src):
    """x with an axis at least, the places of the index in it in NumPy's terms, and the part of src that is read."""
    expect_tensors(name, index=index, src=src)
    axis = normalize_axis(name, dim, x.ndim)
    if src.dtype != x.dtype:
        raise TypeError(f"{name}: expected a src of {x.dtype}, as self, got {src.dtype}")
    x, index, src = (t if t.ndim else t.reshape(1) for t in (x, index, src))
    rows = checked_index(name, index, x.shape[axis])
    if not rows.size:
        rows = np.zeros((0,) * x.ndim, np.int64)  # PyTorch takes an empty index of any shape
    fits = rows.ndim == x.ndim == src.ndim and all(n <= m for n, m in zip(rows.shape, src.shape, strict=True))
    if not fits or any(n > m for i, (n, m) in enumerate(zip(rows.shape, x.shape, strict=True)) if i != axis):
        got = f"{rows.shape}, self {x.shape} and src {src.shape}"
        raise ValueError(f"{name}: along the axes other than {dim}, index must fit in self, and in src; got an index of {got}")
    return x, _places(rows, axis), src[tuple(slice(n) for n in rows.shape)]


@repeatable
def _places(rows, axis):
    """The index of x[i, rows[i, j], k] for axis 1, and so on: an array for each axis."""
    where = [np.arange(n).reshape([-1 if i == k else 1 for k in range(rows.ndim)]) for i, n in enumerate(rows.shape)]
    where[axis] = rows
    return tuple(np.broadcast_arrays(*where)) if rows.size else tuple(np.zeros(rows.shape, np.int64) for _ in where)


def _slices(name, x, dim, index, source=None):
    """x with an axis at least, the index of its slices in NumPy's terms, and the source in the shape of these slices."""
    expect_tensors(name, index=index, **({} if source is None else {"source": source}))
    axis = normalize_axis(name, dim, x.ndim)
    if index.ndim > 1:
        raise ValueError(f"{name}: expected a vector of indices, got shape {index.shape}")
    shape = x.shape or (1,)
    rows = kernels.to_int64(checked_index(name, index.reshape(-1), shape[axis]))
    if source is not None:
        expected = (*shape[:axis], len(rows), *shape[axis + 1 :])
        if source.dtype != x.dtype:
            raise TypeError(f"{name}: expected a source of {x.dtype}, as self, got {source.dtype}")
        if source.shape != expected and (source.ndim or expected != (1,)):
            raise ValueError(f"{name}: expected a source of shape {expected}, got {source.shape}")
        source = source.reshape(expected)
    return x.reshape(shape), (slice(None),) * axis + (rows,), source


def _reduced(x, where, src, reduce, include_self):
    """scatter_reduce, on what was prepared."""
    touched, count = _counts(x.shape, where, include_self)
    if reduce in ("amax", "amin"):
        return apply(ops.ScatterExtreme(where, reduce == "amax", include_self), x, src)
    if reduce == "prod":
        return apply(ops.ScatterProd(where, include_self), x, src)
    if not include_self:
        x = apply(ops.Where(touched), number_array("scatter_reduce", 0, x.dtype), x)
    y = x + apply(ops.ScatterAdd(where, x.shape), src)
    if reduce == "sum":
        return y
    count = wrap(count).to(x.dtype)
    return y / count if x.dtype.kind == "f" else y // count


@repeatable
def _counts(shape, where, include_self):
    """Where the index names a place; and how often, at least 1, what was there included or not."""
    count = np.zeros(shape, np.int64)
    np.add.at(count, where, 1)
    return count > 0, np.maximum(count + bool(include_self), 1)
