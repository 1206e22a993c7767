"""NumPy's functions that have an operation here: np.mean(t, axis=0) is t.mean(0), recorded like any other.

Each function below has NumPy's name and those of NumPy's arguments that it can heed; the others are refused. What NumPy and
PyTorch compute differently under one name is as in NumPy, whose name it is: np.std divides by n, np.sort has no indices.
NotImplemented stands for what there is no operation for.
"""

import operator

import numpy as np

from ..ops.base import normalize_axis
from . import indexing, joining, products
from .record import TensorBase, checked_dtype, operand, wrap

FUNCTIONS = {}  # NumPy's function -> what computes it, given (the name for errors, args, kwargs)


def _of(*numpy_functions):
    """The decorated function computes these."""

    def register(function):
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        most = None if code.co_flags & 4 else code.co_argcount  # 4: it has *args

        def checked(name, args, kwargs):
            if most is not None and len(args) > most:
                raise TypeError(f"{name}: of a Tensor, more than {most} arguments are given by name: {', '.join(names)}")
            refused = [key for key, value in kwargs.items() if key not in names and value is not None]
            if refused:
                raise TypeError(
                    f"{name}: {refused[0]}= cannot be given with a Tensor; write {name}(t.detach().numpy(), …, {refused[0]}=…)"
                )
            return function(*args, **{key: value for key, value in kwargs.items() if key in names})

        for numpy_function in numpy_functions:
            FUNCTIONS[numpy_function] = checked
        return function

    return register


def _tensor(x):
    """A Tensor as it is; ndarrays, numbers and lists as one."""
    return x if isinstance(x, TensorBase) else wrap(checked_dtype("numpy", np.asarray(x)))


def _tensors(arrays):
    return [_tensor(x) for x in arrays]


# --- reductions


@_of(np.sum)
def sum(a, axis=None, dtype=None, *, keepdims=False):
    return _tensor(a).sum(axis, keepdims, dtype=dtype)


@_of(np.nansum)
def nansum(a, axis=None, *, keepdims=False):
    return _tensor(a).nansum(axis, keepdims)


@_of(np.mean)
def mean(a, axis=None, dtype=None, *, keepdims=False):
    return _tensor(a).mean(axis, keepdims, dtype=dtype)


@_of(np.prod)
def prod(a, axis=None, dtype=None, *, keepdims=False):
    return _tensor(a).prod(axis, keepdims, dtype=dtype)


@_of(np.var)
def var(a, axis=None, *, ddof=0, keepdims=False, correction=None):
    return _tensor(a).var(axis, keepdim=keepdims, correction=ddof if correction is None else correction)


@_of(np.std)
def std(a, axis=None, *, ddof=0, keepdims=False, correction=None):
    return _tensor(a).std(axis, keepdim=keepdims, correction=ddof if correction is None else correction)


@_of(np.max, np.amax)
def max(a, axis=None, *, keepdims=False):
    return _tensor(a).amax(axis, keepdims)


@_of(np.min, np.amin)
def min(a, axis=None, *, keepdims=False):
    return _tensor(a).amin(axis, keepdims)


@_of(np.argmax)
def argmax(a, axis=None, *, keepdims=False):
    return _tensor(a).argmax(axis, keepdims)


@_of(np.argmin)
def argmin(a, axis=None, *, keepdims=False):
    return _tensor(a).argmin(axis, keepdims)


@_of(np.all)
def all(a, axis=None, *, keepdims=False):
    return _tensor(a).all(axis, keepdims)


@_of(np.any)
def any(a, axis=None, *, keepdims=False):
    return _tensor(a).any(axis, keepdims)


@_of(np.count_nonzero)
def count_nonzero(a, axis=None):
    return _tensor(a).count_nonzero(axis)


@_of(np.cumsum)
def cumsum(a, axis=None):
    return _tensor(a).flatten().cumsum(0) if axis is None else _tensor(a).cumsum(axis)


@_of(np.linalg.norm)
def norm(x, ord=None, axis=None, *, keepdims=False):
    x = _tensor(x)
    axes = x.ndim if axis is None else len(axis) if isinstance(axis, (tuple, list)) else 1
    if ord is not None and axes > 1 and ord != "fro":  # of a matrix NumPy means its singular values or its rows
        return NotImplemented
    return x.norm(2 if ord is None else ord, axis, keepdims)


# --- shapes


@_of(np.reshape)
def reshape(a, shape):
    return _tensor(a).reshape(shape)


@_of(np.ravel)
def ravel(a):
    return _tensor(a).ravel()


@_of(np.transpose)
def transpose(a, axes=None):
    a = _tensor(a)
    return a.permute(tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


@_of(np.swapaxes)
def swapaxes(a, axis1, axis2):
    return _tensor(a).transpose(axis1, axis2)


@_of(np.moveaxis)
def moveaxis(a, source, destination):
    return _tensor(a).movedim(source, destination)


@_of(np.expand_dims)
def expand_dims(a, axis):
    a = _tensor(a)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for i in sorted(normalize_axis("np.expand_dims", i, a.ndim + len(axes)) for i in axes):
        a = a.unsqueeze(i)
    return a


@_of(np.squeeze)
def squeeze(a, axis=None):
    return _tensor(a).squeeze(axis)


@_of(np.broadcast_to)
def broadcast_to(array, shape):
    return _tensor(array).expand(shape)


@_of(np.flip)
def flip(m, axis=None):
    m = _tensor(m)
    return m.flip(tuple(range(m.ndim)) if axis is None else axis)


@_of(np.roll)
def roll(a, shift, axis=None):
    return _tensor(a).roll(shift, axis)


@_of(np.tile)
def tile(A, reps):
    return _tensor(A).tile(reps)


@_of(np.repeat)
def repeat(a, repeats, axis=None):
    return _tensor(a).repeat_interleave(repeats, axis)


@_of(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    return _tensor(a).diagonal(offset, axis1, axis2)


@_of(np.diag)
def diag(v, k=0):
    return _tensor(v).diag(k)


@_of(np.trace)
def trace(a, offset=0, axis1=0, axis2=1):
    return _tensor(a).diagonal(offset, axis1, axis2).sum(-1)


@_of(np.tril)
def tril(m, k=0):
    return _tensor(m).tril(k)


@_of(np.triu)
def triu(m, k=0):
    return _tensor(m).triu(k)


# --- several into one, and what chooses


@_of(np.concatenate)
def concatenate(arrays, axis=0):
    arrays = _tensors(arrays)
    return joining.cat(arrays, axis) if axis is not None else joining.cat([x.reshape(-1) for x in arrays])


@_of(np.stack)
def stack(arrays, axis=0):
    return joining.stack(_tensors(arrays), axis)


@_of(np.vstack)
def vstack(tup):
    return joining.vstack(_tensors(tup))


@_of(np.hstack)
def hstack(tup):
    return joining.hstack(_tensors(tup))


@_of(np.split)
def split(ary, indices_or_sections, axis=0):
    ary = _tensor(ary)
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


@_of(np.clip)
def clip(a, a_min=None, a_max=None, *, min=None, max=None):
    return _tensor(a).clamp(a_min if min is None else min, a_max if max is None else max)


@_of(np.round, np.around)
def round(a, decimals=0):
    return _tensor(a).round(decimals=decimals)


@_of(np.take)
def take(a, indices, axis=None):
    a, indices = _tensor(a), _tensor(indices)
    a, axis = (a.reshape(-1), 0) if axis is None else (a, normalize_axis("np.take", axis, a.ndim))
    return a[(slice(None),) * axis + (indices,)]


@_of(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    return _tensor(arr).take_along_dim(_tensor(indices), axis)


@_of(np.sort)
def sort(a, axis=-1, *, kind=None, stable=None):
    a, axis = (_tensor(a).reshape(-1), 0) if axis is None else (_tensor(a), axis)
    return a.sort(axis).values


@_of(np.argsort)
def argsort(a, axis=-1, *, kind=None, stable=None):
    a, axis = (_tensor(a).reshape(-1), 0) if axis is None else (_tensor(a), axis)
    return a.argsort(axis)


# --- products


@_of(np.dot)
def dot(a, b):
    if not np.ndim(a) or not np.ndim(b):
        return operand("np.dot", a) * operand("np.dot", b)
    a, b = _tensor(a), _tensor(b)
    return a @ b if b.ndim < 3 else _einsum_of_last(a, b, -2)


@_of(np.inner)
def inner(a, b):
    if not np.ndim(a) or not np.ndim(b):
        return operand("np.inner", a) * operand("np.inner", b)
    return _einsum_of_last(_tensor(a), _tensor(b), -1)


@_of(np.outer)
def outer(a, b):
    return _tensor(a).reshape(-1).outer(_tensor(b).reshape(-1))


@_of(np.einsum)
def einsum(subscripts, *operands, optimize=False):
    return products.einsum(subscripts, *_tensors(operands))


def _einsum_of_last(a, b, axis):
    """Σ of the last axis of a with an axis of b: the axes of the one that are left, then those of the other."""
    letters = [chr(ord("a") + i) for i in range(a.ndim + b.ndim)]
    of_a, of_b = letters[: a.ndim], letters[a.ndim :]
    summed = of_b[axis] = of_a[-1]
    right = [letter for letter in of_a + of_b if letter != summed]
    return products.einsum(f"{''.join(of_a)},{''.join(of_b)}->{''.join(right)}", a, b)


# --- comparisons, and new ones like these


# Comparisons have no gradient, so lists are as good as tensors here, and tensors that require grad as good as others.


@_of(np.isclose)
def isclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=False):
    return wrap(np.asarray(np.isclose(_values(a), _values(b), _values(rtol), _values(atol), equal_nan)))


@_of(np.allclose)
def allclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=False):
    return np.allclose(_values(a), _values(b), _values(rtol), _values(atol), equal_nan)


@_of(np.array_equal)
def array_equal(a1, a2, equal_nan=False):
    return np.array_equal(_values(a1), _values(a2), equal_nan)


def _values(x):
    return x.array if isinstance(x, TensorBase) else x


@_of(np.zeros_like)
def zeros_like(a, dtype=None):
    return a.new_zeros(a.shape, dtype=dtype)


@_of(np.ones_like)
def ones_like(a, dtype=None):
    return a.new_ones(a.shape, dtype=dtype)


@_of(np.full_like)
def full_like(a, fill_value, dtype=None):
    return a.new_full(a.shape, operator.index(fill_value) if isinstance(fill_value, np.integer) else fill_value, dtype=dtype)
