"""Several tensors into one: one after the other, side by side, and the coordinates of a grid."""

import functools
import itertools

import numpy as np

from .. import ops
from ..ops.base import normalize_axis
from . import dtypes
from .arguments import integer, tensors_of
from .record import TensorBase, apply, remedy_for, wrap

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cat",
    "combinations",
    "concat",
    "concatenate",
    "dstack",
    "hstack",
    "meshgrid",
    "stack",
    "vstack",
]


def cat(tensors, dim=0, *, axis=None):
    """The tensors one after the other along an axis; the other axes must be equal.

    >>> import minidl
    >>> x = minidl.tensor([[1, 2], [3, 4]])
    >>> minidl.cat([x, x])
    tensor([[1, 2],
            [3, 4],
            [1, 2],
            [3, 4]])
    >>> minidl.cat([x, x], dim=1)
    tensor([[1, 2, 1, 2],
            [3, 4, 3, 4]])
    """
    tensors = _common("cat", tensors)
    dim = dim if axis is None else axis
    tensors = [
        x for x in tensors if x.array.shape != (0,)
    ] or tensors  # PyTorch lets a vector of nothing stand beside any shape
    shape = tensors[0].array.shape
    axis = normalize_axis("cat", dim, len(shape))
    for x in tensors:
        other = x.array.shape
        if len(other) != len(shape) or not other or other[:axis] != shape[:axis] or other[axis + 1 :] != shape[axis + 1 :]:
            raise ValueError(f"cat: shapes {[x.shape for x in tensors]} must have axes, and be equal but for axis {dim}")
    return apply(ops.Cat(axis), *tensors)


def stack(tensors, dim=0, *, axis=None):
    """The tensors, all of one shape, along a new axis.

    >>> import minidl
    >>> a, b = minidl.tensor([1, 2]), minidl.tensor([3, 4])
    >>> minidl.stack([a, b])
    tensor([[1, 2],
            [3, 4]])
    >>> minidl.stack([a, b], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    tensors = _common("stack", tensors)
    if len({x.array.shape for x in tensors}) > 1:
        raise ValueError(f"stack: expected equal shapes, got {[x.shape for x in tensors]}")
    return apply(ops.Stack(normalize_axis("stack", dim if axis is None else axis, tensors[0].ndim + 1)), *tensors)


def _common(name, tensors):
    if isinstance(tensors, TensorBase):
        raise TypeError(f"{name}: expected one or more Tensors in a list or tuple, got one Tensor; write {name}([a, b])")
    tensors, found = list(tensors), []
    for x in tensors:
        if not isinstance(x, TensorBase):
            got = type(x).__name__ + remedy_for(x)
            raise TypeError(f"{name}: expected one or more Tensors in a list or tuple, among them is one {got}")
        if x.array.dtype not in found:
            found.append(x.array.dtype)
    if not tensors:
        raise TypeError(f"{name}: expected one or more Tensors in a list or tuple, got none")
    if len(found) == 1:
        return tensors
    dtype = functools.reduce(dtypes.join, found)
    return [x.to(dtype) for x in tensors]


concat = concatenate = cat


def vstack(tensors):
    """One below the other, along axis 0; a vector is one row.

    >>> import minidl
    >>> minidl.vstack([minidl.tensor([1, 2]), minidl.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in tensors_of("vstack", tensors)], 0)


def hstack(tensors):
    """One beside the other: along axis 1, for vectors along axis 0.

    >>> import minidl
    >>> minidl.hstack([minidl.tensor([1, 2]), minidl.tensor([3, 4])])
    tensor([1, 2, 3, 4])
    """
    tensors = [x.reshape(1) if not x.ndim else x for x in tensors_of("hstack", tensors)]
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


def broadcast_tensors(*tensors):
    """The tensors, each expanded to the shape that all of them have in common.

    >>> import minidl
    >>> a, b = broadcast_tensors(minidl.zeros(2, 1), minidl.zeros(3))
    >>> a.shape, b.shape
    ((2, 3), (2, 3))
    """
    tensors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    tensors = tensors_of("broadcast_tensors", tensors)
    try:
        shape = np.broadcast_shapes(*(x.shape for x in tensors))
    except ValueError:
        raise ValueError(f"broadcast_tensors: shapes {[x.shape for x in tensors]} do not broadcast") from None
    return tuple(x.expand(shape) for x in tensors)


def broadcast_shapes(*shapes):
    """The shape that tensors of these shapes have in common.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"broadcast_shapes: shapes {shapes} do not broadcast") from None


def atleast_1d(*tensors):
    """The tensors, 0-d ones as vectors of one element.

    >>> import minidl
    >>> atleast_1d(minidl.tensor(2.0))
    tensor([2.])
    """
    return _at_least("atleast_1d", tensors, lambda x: x.reshape(1) if not x.ndim else x)


def atleast_2d(*tensors):
    """The tensors, vectors as matrices of one row.

    >>> import minidl
    >>> minidl.atleast_2d(minidl.tensor([1, 2]))
    tensor([[1, 2]])
    """
    return _at_least("atleast_2d", tensors, lambda x: x.reshape(1, -1) if x.ndim < 2 else x)


def atleast_3d(*tensors):
    """The tensors, with new axes of size 1: (n) → (1, n, 1), (n, m) → (n, m, 1).

    >>> import minidl
    >>> minidl.atleast_3d(minidl.zeros(2, 5)).shape
    (2, 5, 1)
    """
    return _at_least(
        "atleast_3d", tensors, lambda x: x.reshape(1, -1, 1) if x.ndim < 2 else x.unsqueeze(-1) if x.ndim == 2 else x
    )


def _at_least(name, tensors, change):
    if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)):
        return change(*tensors_of(name, tensors))
    tensors = tensors[0] if len(tensors) == 1 else tensors
    return tuple(change(x) for x in tensors_of(name, tensors))


def dstack(tensors):
    """One behind the other, along axis 2.

    >>> import minidl
    >>> minidl.dstack([minidl.tensor([1, 2]), minidl.tensor([3, 4])])
    tensor([[[1, 3],
             [2, 4]]])
    """
    return cat(atleast_3d(tensors_of("dstack", tensors)), 2)


def block_diag(*tensors):
    """The matrices one after the other on the diagonal of a larger one, 0 elsewhere.

    >>> import minidl
    >>> block_diag(minidl.tensor([[1, 2]]), minidl.tensor([[3]]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    for x in tensors_of("block_diag", tensors):
        if x.ndim > 2:
            raise ValueError(f"block_diag: expected matrices, got shape {x.shape}")
    tensors = [x.reshape(1, -1) if x.ndim < 2 else x for x in _common("block_diag", tensors)]
    width, rows, before = sum(x.shape[1] for x in tensors), [], 0
    for x in tensors:
        sides = (before, width - before - x.shape[1])
        rows.append(apply(ops.Cat(1), *_between(x, sides)))
        before += x.shape[1]
    return cat(rows, 0)


def _between(x, sides):
    left, right = (wrap(np.zeros((len(x), n), x.dtype)) for n in sides)
    return left, x, right


def cartesian_prod(*tensors):
    """Every choice of one element from each vector, as the rows of a matrix (of one vector, itself).

    >>> import minidl
    >>> cartesian_prod(minidl.tensor([1, 2]), minidl.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    for i, x in enumerate(tensors_of("cartesian_prod", tensors)):
        if x.ndim != 1:
            raise ValueError(f"cartesian_prod: expected vectors, argument {i} has shape {x.shape}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([x.reshape(-1) for x in meshgrid(*_common("cartesian_prod", tensors))], 1)


def combinations(input, r=2, with_replacement=False):
    """Every choice of r elements of a vector, in its order, as the rows of a matrix.

    >>> import minidl
    >>> combinations(minidl.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    (input,), r = tensors_of("combinations", [input]), integer("combinations", r)
    if input.ndim != 1 or r < 0:
        raise ValueError(f"combinations: expected a vector, and r of 0 or more, got shape {input.shape} and r={r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    index = np.array(list(choose(range(len(input)), r)), np.int64).reshape(-1, r)
    return input[index] if r else input[:0]


def meshgrid(*tensors, indexing="ij"):
    """The coordinates of a grid: one tensor for each axis, all of the grid's shape.

    >>> import minidl
    >>> rows, columns = meshgrid(minidl.arange(2), minidl.arange(3))
    >>> rows
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    for i, x in enumerate(tensors_of("meshgrid", tensors)):
        if x.ndim > 1:
            raise ValueError(f"meshgrid: expected vectors, argument {i} has shape {x.shape}")
    tensors = [x.reshape(-1) for x in tensors]
    order = list(range(len(tensors)))
    if indexing == "xy" and len(tensors) > 1:
        order[:2] = 1, 0
    shape = [len(tensors[i]) for i in order]
    return tuple(
        x.reshape([-1 if order[k] == i else 1 for k in range(len(order))]).expand(shape) for i, x in enumerate(tensors)
    )
