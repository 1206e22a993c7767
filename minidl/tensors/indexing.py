"""Elements by index or by condition: x[i], x[i] = v, gather, where, masks."""

import numpy as np

from .. import ops
from ..graph.modes import mode, watchers
from ..graph.watch import repeatable
from ..graph.writes import note_write
from ..kernels.memory import address_of
from ..ops.base import normalize_axis
from . import dtypes
from .arguments import expect_tensors, within
from .record import TensorBase, apply, check_broadcast, number_array, operand, unary, wrap

_PLAIN = frozenset({int, slice, type(None), type(Ellipsis)})


class Indexing:
    """What PyTorch allows between [ and ], and the functions that take an index or a mask."""

    def __getitem__(self, index):
        """self[index]: integers, slices, None, ..., lists, index tensors and masks, as in PyTorch."""
        if (type(index) is int or type(index) is slice) and self.array.ndim:
            return self._view(ops.Index, (index, Ellipsis))
        if type(index) is tuple and len(index) <= self.array.ndim and _PLAIN.issuperset(map(type, index)):
            return self._view(ops.Index, index if Ellipsis in index else (*index, Ellipsis))  # as below, for the usual ones
        index = numpy_index(self, index)
        if ops.is_basic(index):
            full = any(part is Ellipsis for part in index)
            return self._view(ops.Index, index if full else (*index, Ellipsis))  # "...": a view also if 0-d
        if int in map(type, index):
            integers, rest = integers_first(index)
            return self[integers][rest]
        try:
            return apply(ops.Index(index), self)
        except IndexError as error:
            raise IndexError(f"getitem: {error}") from None

    def __setitem__(self, index, value):
        """self[index] = value, in place and recorded; the value is broadcast to the part and cast to this dtype."""
        index = numpy_index(self, index)
        if int in map(type, index) and not ops.is_basic(index):
            integers, index = integers_first(index)
            self[integers][index] = value
            return
        value = operand("setitem", value)
        value = value.to(self.dtype) if isinstance(value, TensorBase) else _of_number(value, self.dtype)
        while value.shape[:1] == (1,):  # which NumPy does not drop where a single element is written
            value = value.squeeze(0)
        try:
            if (self.node is None and value.node is None) or not mode.recording:
                self._check_writable()
                if watchers and mode.watch is not None and not ops.is_basic(index):  # in operations that it sees
                    self[...] = apply(ops.SetItem(index), self, value)
                    return
                self.array[index] = value.array
                if watchers and mode.watch is not None:
                    _tell(self.array[index if any(p is Ellipsis for p in index) else (*index, Ellipsis)], value.array)
                else:
                    note_write(self.array)
            else:
                self._become(apply(ops.SetItem(index), self, value))
        except ValueError as error:
            raise ValueError(f"setitem: a value of shape {value.shape} does not fit in {self.shape}[index]: {error}") from None
        except IndexError as error:
            raise IndexError(f"setitem: {error}") from None

    def gather(self, dim, index):
        """y[i][j] = x[index[i][j]][j] for dim 0, y[i][j] = x[i][index[i][j]] for dim 1: one element of the axis for each index.

        The result has the shape of the index, which must not be larger than x on the other axes.

        >>> import minidl
        >>> scores = minidl.tensor([[1, 2, 3], [4, 5, 6]])
        >>> scores.gather(1, minidl.tensor([[2], [0]]))
        tensor([[3],
                [4]])
        """
        axis = normalize_axis("gather", dim, self.ndim)
        if not self.ndim:
            expect_tensors("gather", index=index)
            return self.reshape(1).gather(0, index.reshape(-1)).reshape(index.shape)
        rows = checked_index("gather", index, self.shape[axis])
        if not rows.size:
            return self.reshape(-1)[:0].reshape(rows.shape)
        others = [i for i in range(self.ndim) if i != axis]
        if rows.ndim != self.ndim or any(rows.shape[i] > self.shape[i] for i in others):
            remedy = f"; write index.unsqueeze({axis})" if rows.ndim == self.ndim - 1 else ""
            raise ValueError(
                f"gather: an index of shape {rows.shape} does not fit input {self.shape} along axis {dim}: expected "
                f"{self.ndim} axes, the others no longer than the input's{remedy}"
            )
        return unary(ops.Gather(axis, rows), self)

    def take_along_dim(self, indices, dim=None):
        """As gather, but the other axes of the two broadcast. Without dim, of the flattened tensors.

        >>> import minidl
        >>> x = minidl.tensor([[3, 1, 2], [9, 8, 7]])
        >>> x.take_along_dim(x.argsort(1), 1)
        tensor([[1, 2, 3],
                [7, 8, 9]])
        """
        expect_tensors("take_along_dim", indices=indices)
        if dim is None:
            return self.take(indices.reshape(-1))
        axis = normalize_axis("take_along_dim", dim, self.ndim)
        if indices.ndim != self.ndim:
            got = f"{self.shape} and {indices.shape}"
            raise ValueError(f"take_along_dim: expected an input and indices with the same number of axes, got {got}")
        shapes = [(*x.shape[:axis], 1, *x.shape[axis + 1 :]) for x in (self, indices)]
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            got = f"{self.shape} and {indices.shape}"
            raise ValueError(f"take_along_dim: the axes other than {dim} do not broadcast, got {got}") from None
        rows = wrap(wrapped_index("take_along_dim", indices, self.shape[axis]))  # unlike gather, from the end too
        x, index = (t.expand((*shape[:axis], t.shape[axis], *shape[axis + 1 :])) for t in (self, rows))
        return x.gather(axis, index)

    def index_select(self, dim, index):
        """The slices of an axis at the indices in a vector, as a copy.

        >>> import minidl
        >>> x = minidl.tensor([[1, 2, 3], [4, 5, 6]])
        >>> x.index_select(1, minidl.tensor([2, 0]))
        tensor([[3, 1],
                [6, 4]])
        """
        axis = normalize_axis("index_select", dim, self.ndim)
        if not self.ndim:
            expect_tensors("index_select", index=index)
            if index.numel() != 1:
                raise ValueError(f"index_select: expected one index into a 0-d tensor, got {index.numel()}")
            return self.reshape(1).index_select(0, index).reshape(())
        rows = checked_index("index_select", index, self.shape[axis])
        if rows.ndim > 1:
            raise ValueError(f"index_select: expected a vector of indices, got shape {rows.shape}")
        return apply(ops.Index((slice(None),) * axis + (rows.reshape(-1),)), self)

    def masked_select(self, mask):
        """The elements where the mask is True, as a vector.

        >>> import minidl
        >>> x = minidl.tensor([3, -1, 2])
        >>> x.masked_select(x > 0)
        tensor([3, 2])
        """
        if not isinstance(mask, TensorBase) or mask.array.dtype.kind != "b":
            raise TypeError(
                f"masked_select: expected a boolean Tensor as mask, got {getattr(mask, 'dtype', type(mask).__name__)}"
            )
        check_broadcast("masked_select", self, mask)
        shape = np.broadcast_shapes(self.shape, mask.shape)
        return self.expand(shape)[mask.expand(shape)]

    def where(self, condition, other):
        """self where the condition is True, else other.

        >>> import minidl
        >>> x = minidl.tensor([3, -1, 2])
        >>> x.where(x > 0, 0)
        tensor([3, 0, 2])
        """
        return where(condition, self, other)

    def masked_fill(self, mask, value):
        """self, with `value` (a number or a 0-d tensor) where the mask is True. The dtype stays.

        >>> import minidl
        >>> x = minidl.tensor([3, -1, 2])
        >>> x.masked_fill(x < 0, 0)
        tensor([3, 0, 2])
        """
        value = operand("masked_fill", value)
        if isinstance(value, TensorBase):
            if value.ndim:
                raise ValueError(f"masked_fill: expected a number or a 0-d tensor, got shape {value.shape}")
            value = value.to(self.dtype)
        elif dtypes.result_type(self.array, value) != self.dtype:
            raise TypeError(f"masked_fill: {value!r} cannot be kept in a tensor of {self.dtype}")
        return where(mask, value, self)

    def nonzero(self, *, as_tuple=False):
        """The indices of what is not zero, one row each; with as_tuple=True a vector for each axis, of use as an index.

        >>> import minidl
        >>> minidl.tensor([[0, 3], [4, 0]]).nonzero(as_tuple=True)
        (tensor([0, 1]), tensor([1, 0]))
        """
        if as_tuple:
            return tuple(wrap(index) for index in np.nonzero(np.atleast_1d(self.array)))
        return wrap(np.argwhere(self.array))

    def argwhere(self):
        """The indices of what is not zero, one row each.

        >>> import minidl
        >>> minidl.tensor([0, 3, 4]).argwhere()
        tensor([[1],
                [2]])
        """
        return wrap(np.argwhere(self.array))


def where(condition, input=None, other=None):
    """input where the condition is True, else other. The side that is not chosen gets a gradient of exactly 0.

    where(condition) alone gives the indices of what is true, one tensor for each axis.

    >>> import minidl
    >>> x = minidl.tensor([3.0, -1.0, 2.0])
    >>> minidl.where(x > 0, x, 0.0)
    tensor([3., 0., 2.])
    >>> minidl.where(x > 0)
    (tensor([0, 2]),)
    """
    if input is None and other is None:
        return (condition if isinstance(condition, TensorBase) else wrap(np.asarray(condition))).nonzero(as_tuple=True)
    condition = condition.array if isinstance(condition, TensorBase) else np.asarray(condition)
    if input is None or other is None:
        raise TypeError("where: give both values or none: where(condition, a, b), or where(condition) for the indices")
    if condition.dtype.kind != "b":
        raise TypeError(f"where: the condition must be boolean, got {condition.dtype}; write it as x > 0, or x.bool()")
    a, b = operand("where", input), operand("where", other)
    a_tensor, b_tensor = isinstance(a, TensorBase), isinstance(b, TensorBase)
    dtype = dtypes.result_type(a.array if a_tensor else a, b.array if b_tensor else b)
    a = a.to(dtype) if a_tensor else wrap(number_array("where", a, dtype))
    b = b.to(dtype) if b_tensor else wrap(number_array("where", b, dtype))
    try:
        return apply(ops.Where(condition), a, b)
    except ValueError:
        raise ValueError(f"where: shapes {condition.shape}, {a.shape} and {b.shape} do not broadcast") from None


@repeatable(constant=True)
def _of_list(index):
    return np.asarray(index) if len(index) else np.zeros(0, np.int64)


@repeatable(constant=True)
def _of_number(value, dtype):
    return wrap(number_array("setitem", value, dtype))


def _tell(part, source):
    """Tells the observer that the source was copied into a part of a tensor; x[i] += 1 has changed that part before."""
    if part.shape != source.shape or part.strides != source.strides or address_of(part) != address_of(source):
        mode.watch.copied(source, part)
        note_write(part)


# --- from what PyTorch allows between [ and ] to what NumPy does


def numpy_index(x, index):
    """The index as a tuple in NumPy's terms, of what PyTorch allows."""
    if type(index) is slice or type(index) is int:
        parts = (index,)
    else:
        parts = tuple([_index_part(part) for part in (index if isinstance(index, tuple) else (index,))])
    used = 0
    for p in parts:
        used += p.ndim if isinstance(p, np.ndarray) and p.dtype.kind == "b" else p is not None and p is not Ellipsis
    if used > x.array.ndim:
        raise IndexError(f"index: {used} indices for a tensor with {x.ndim} axes, shape {x.shape}")
    return parts


def integers_first(index):
    """An index of arrays and integers as two: x[i, rows] is x[i][rows] in PyTorch; NumPy would broadcast i with rows."""
    whole = []
    for part in index:
        if type(part) is int or part is Ellipsis:
            whole.append(part)
        elif part is not None:
            whole += [slice(None)] * (part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1)
    return tuple(whole), tuple(part for part in index if type(part) is not int)


def _index_part(part):
    if part is None or part is Ellipsis or (isinstance(part, (slice, int)) and not isinstance(part, bool)):
        return part
    if isinstance(part, (TensorBase, np.ndarray)):
        array = part.array if isinstance(part, TensorBase) else part
        if array.dtype.kind not in "iub" or array.dtype == np.uint8:
            raise TypeError(f"index: tensors used as indices must be integers or booleans, got {array.dtype}")
        return int(part) if array.ndim == 0 and array.dtype.kind != "b" else array
    if isinstance(part, (list, range)):
        part = [p.item() if isinstance(p, TensorBase) else p for p in part]
        return _of_list(part)
    if isinstance(part, (bool, np.bool_, np.integer)):
        return np.asarray(part) if isinstance(part, (bool, np.bool_)) else int(part)
    raise TypeError(f"index: expected integers, slices, None, ..., lists or tensors, got {type(part).__name__}")


@repeatable
def checked_index(name, index, bound):
    array = _integers(name, index)
    if not within(array, bound):
        bad = (array < 0) | (array >= bound)
        raise IndexError(f"{name}: index {array[bad][0]} is out of range for size {bound}")
    return array


@repeatable
def wrapped_index(name, index, bound):
    """As checked_index, but negative ones count from the end."""
    array = _integers(name, index).astype(np.int64)
    bad = (array < -bound) | (array >= bound)
    if bad.any():
        raise IndexError(f"{name}: index {array[bad][0]} is out of range for size {bound}")
    return np.where(array < 0, array + bound, array)


def _integers(name, index):
    array = index.array if isinstance(index, TensorBase) else np.asarray(index)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: the index must hold integers, got {array.dtype}")
    return array
