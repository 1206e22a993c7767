"""NumPy's functions that arrange, join and choose elements: np.concatenate([t, u]) is minidl.cat([t, u]).

As in numpy_numbers.py: np.sort gives no indices, np.repeat repeats elements, np.split takes places where to cut.
"""

import operator

import numpy as np

from ..ops.base import normalize_axis
from . import indexing, joining
from .numpy_arguments import method_of, registers, tensor_of, tensors_of

FUNCTIONS = {}  # NumPy's function -> what computes it
_of = registers(FUNCTIONS)


# --- shapes


@_of(np.reshape)
def reshape(a, shape):
    return tensor_of(a).reshape(shape)


@_of(np.ravel)
def ravel(a):
    return tensor_of(a).ravel()


@_of(np.transpose)
def transpose(a, axes=None):
    a = tensor_of(a)
    return a.permute(tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


@_of(np.swapaxes)
def swapaxes(a, axis1, axis2):
    return tensor_of(a).transpose(axis1, axis2)


@_of(np.moveaxis)
def moveaxis(a, source, destination):
    return tensor_of(a).movedim(source, destination)


@_of(np.expand_dims)
def expand_dims(a, axis):
    a = tensor_of(a)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for i in sorted(normalize_axis("np.expand_dims", i, a.ndim + len(axes)) for i in axes):
        a = a.unsqueeze(i)
    return a


@_of(np.squeeze)
def squeeze(a, axis=None):
    return tensor_of(a).squeeze(axis)


@_of(np.broadcast_to)
def broadcast_to(array, shape):
    return tensor_of(array).expand(shape)


@_of(np.flip)
def flip(m, axis=None):
    m = tensor_of(m)
    return m.flip(tuple(range(m.ndim)) if axis is None else axis)


@_of(np.fliplr)
def fliplr(m):
    return tensor_of(m).flip(1)


@_of(np.flipud)
def flipud(m):
    return tensor_of(m).flip(0)


@_of(np.rot90)
def rot90(m, k=1, axes=(0, 1)):
    return method_of(m, "rot90", k, axes)


@_of(np.roll)
def roll(a, shift, axis=None):
    return tensor_of(a).roll(shift, axis)


@_of(np.tile)
def tile(A, reps):
    return tensor_of(A).tile(reps)


@_of(np.repeat)
def repeat(a, repeats, axis=None):
    return tensor_of(a).repeat_interleave(repeats, axis)


@_of(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    return tensor_of(a).diagonal(offset, axis1, axis2)


@_of(np.diag)
def diag(v, k=0):
    return tensor_of(v).diag(k)


@_of(np.trace)
def trace(a, offset=0, axis1=0, axis2=1):
    return tensor_of(a).diagonal(offset, axis1, axis2).sum(-1)


@_of(np.tril)
def tril(m, k=0):
    return tensor_of(m).tril(k)


@_of(np.triu)
def triu(m, k=0):
    return tensor_of(m).triu(k)


# --- several into one, and what chooses


@_of(np.concatenate)
def concatenate(arrays, axis=0):
    arrays = tensors_of(arrays)
    return joining.cat(arrays, axis) if axis is not None else joining.cat([x.reshape(-1) for x in arrays])


@_of(np.stack)
def stack(arrays, axis=0):
    return joining.stack(tensors_of(arrays), axis)


@_of(np.vstack)
def vstack(tup):
    return joining.vstack(tensors_of(tup))


@_of(np.hstack)
def hstack(tup):
    return joining.hstack(tensors_of(tup))


@_of(np.split)
def split(ary, indices_or_sections, axis=0):
    ary = tensor_of(ary)
    axis = normalize_axis("np.split", axis, ary.ndim)
    size = ary.shape[axis]
    if np.ndim(indices_or_sections):  # where to cut
        cuts = [slice(cut).indices(size)[1] for cut in np.asarray(indices_or_sections).tolist()]
        sizes = [np.maximum(stop - start, 0) for start, stop in zip([0, *cuts], [*cuts, size], strict=True)]
        return [ary.narrow(axis, start, length) for start, length in zip([0, *cuts], sizes, strict=True)]
    sections = operator.index(indices_or_sections)
    if sections < 1 or size % sections:
        raise ValueError(f"np.split: axis {axis} of shape {ary.shape} cannot be split into {sections} equal parts")
    return list(ary.split(size // sections, axis)) if size else [ary] * sections


@_of(np.where)
def where(condition, x=None, y=None):
    return indexing.where(condition, x, y)


@_of(np.nonzero)
def nonzero(a):
    return indexing.where(a)


@_of(np.argwhere)
def argwhere(a):
    return tensor_of(a).nonzero()


@_of(np.clip)
def clip(a, a_min=None, a_max=None, *, min=None, max=None):
    return tensor_of(a).clamp(a_min if min is None else min, a_max if max is None else max)


@_of(np.round, np.around)
def round(a, decimals=0):
    return tensor_of(a).round(decimals=decimals)


@_of(np.take)
def take(a, indices, axis=None):
    a, indices = tensor_of(a), tensor_of(indices)
    a, axis = (a.reshape(-1), 0) if axis is None else (a, normalize_axis("np.take", axis, a.ndim))
    return a[(slice(None),) * axis + (indices,)]


@_of(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    return tensor_of(arr).take_along_dim(tensor_of(indices), axis)


@_of(np.sort)
def sort(a, axis=-1, *, kind=None, stable=None):
    a, axis = (tensor_of(a).reshape(-1), 0) if axis is None else (tensor_of(a), axis)
    return a.sort(axis).values


@_of(np.argsort)
def argsort(a, axis=-1, *, kind=None, stable=None):
    a, axis = (tensor_of(a).reshape(-1), 0) if axis is None else (tensor_of(a), axis)
    return a.argsort(axis)
