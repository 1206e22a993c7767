"""Several tensors into one: one after the other, side by side, and the coordinates of a grid."""

import functools

import numpy as np

from .. import ops
from ..ops.base import normalize_axis
from . import dtypes
from .arguments import tensors_of
from .record import TensorBase, apply, remedy_for


def cat(tensors, dim=0, *, axis=None):
    """The tensors one after the other along an axis, the other axes equal."""
    tensors = _common("cat", tensors)
    dim = dim if axis is None else axis
    axis = normalize_axis("cat", dim, tensors[0].ndim)
    for x in tensors:
        if (
            x.ndim != tensors[0].ndim
            or not x.ndim
            or np.delete(x.shape, axis).tolist() != np.delete(tensors[0].shape, axis).tolist()
        ):
            raise ValueError(f"cat: shapes {[x.shape for x in tensors]} must have axes, and be equal but for axis {dim}")
    return apply(ops.Cat(axis), *tensors)


def stack(tensors, dim=0, *, axis=None):
    """The tensors, all of one shape, side by side along a new axis."""
    tensors = _common("stack", tensors)
    if len({x.shape for x in tensors}) > 1:
        raise ValueError(f"stack: expected equal shapes, got {[x.shape for x in tensors]}")
    return apply(ops.Stack(normalize_axis("stack", dim if axis is None else axis, tensors[0].ndim + 1)), *tensors)


def _common(name, tensors):
    if isinstance(tensors, TensorBase):
        raise TypeError(f"{name}: expected one or more Tensors in a list or tuple, got one Tensor; write {name}([a, b])")
    tensors = list(tensors)
    for x in tensors:
        if not isinstance(x, TensorBase):
            got = type(x).__name__ + remedy_for(x)
            raise TypeError(f"{name}: expected one or more Tensors in a list or tuple, among them is one {got}")
    if not tensors:
        raise TypeError(f"{name}: expected one or more Tensors in a list or tuple, got none")
    dtype = functools.reduce(dtypes.join, [x.dtype for x in tensors])
    return [x.to(dtype) for x in tensors]


concat = concatenate = cat


def vstack(tensors):
    """One above the other; vectors count as rows."""
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in tensors_of("vstack", tensors)], 0)


def hstack(tensors):
    """One beside the other: along axis 1, or 0 for vectors."""
    tensors = [x.reshape(1) if not x.ndim else x for x in tensors_of("hstack", tensors)]
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


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
