"""NumPy's functions that compute numbers and have an operation here: np.mean(t, axis=0) is t.mean(0), recorded like any other.

Each function below has NumPy's name and those of NumPy's arguments that it can heed. What NumPy and PyTorch compute differently
under one name is as in NumPy, whose name it is: np.std divides by n. NotImplemented: there is no operation for that.
"""

import operator

import numpy as np

from . import products
from .numpy_arguments import method_of, registers, tensor_of, tensors_of, values_of
from .record import operand, wrap

FUNCTIONS = {}  # NumPy's function -> what computes it
_of = registers(FUNCTIONS)


# --- reductions


@_of(np.sum)
def sum(a, axis=None, dtype=None, *, keepdims=False):
    return tensor_of(a).sum(axis, keepdims, dtype=dtype)


@_of(np.nansum)
def nansum(a, axis=None, *, keepdims=False):
    return tensor_of(a).nansum(axis, keepdims)


@_of(np.mean)
def mean(a, axis=None, dtype=None, *, keepdims=False):
    return tensor_of(a).mean(axis, keepdims, dtype=dtype)


@_of(np.prod)
def prod(a, axis=None, dtype=None, *, keepdims=False):
    return tensor_of(a).prod(axis, keepdims, dtype=dtype)


@_of(np.var)
def var(a, axis=None, *, ddof=0, keepdims=False, correction=None):
    return tensor_of(a).var(axis, keepdim=keepdims, correction=ddof if correction is None else correction)


@_of(np.std)
def std(a, axis=None, *, ddof=0, keepdims=False, correction=None):
    return tensor_of(a).std(axis, keepdim=keepdims, correction=ddof if correction is None else correction)


@_of(np.max, np.amax)
def max(a, axis=None, *, keepdims=False):
    return tensor_of(a).amax(axis, keepdims)


@_of(np.min, np.amin)
def min(a, axis=None, *, keepdims=False):
    return tensor_of(a).amin(axis, keepdims)


@_of(np.argmax)
def argmax(a, axis=None, *, keepdims=False):
    return tensor_of(a).argmax(axis, keepdims)


@_of(np.argmin)
def argmin(a, axis=None, *, keepdims=False):
    return tensor_of(a).argmin(axis, keepdims)


@_of(np.all)
def all(a, axis=None, *, keepdims=False):
    return tensor_of(a).all(axis, keepdims)


@_of(np.any)
def any(a, axis=None, *, keepdims=False):
    return tensor_of(a).any(axis, keepdims)


@_of(np.count_nonzero)
def count_nonzero(a, axis=None):
    return tensor_of(a).count_nonzero(axis)


@_of(np.cumsum)
def cumsum(a, axis=None):
    return tensor_of(a).flatten().cumsum(0) if axis is None else tensor_of(a).cumsum(axis)


@_of(np.linalg.norm)
def norm(x, ord=None, axis=None, *, keepdims=False):
    x = tensor_of(x)
    axes = x.ndim if axis is None else len(axis) if isinstance(axis, (tuple, list)) else 1
    if ord is not None and axes > 1 and ord != "fro":  # of a matrix NumPy means its singular values or its rows
        return NotImplemented
    return x.norm(2 if ord is None else ord, axis, keepdims)


# --- statistics


@_of(np.nanmean)
def nanmean(a, axis=None, *, keepdims=False):
    return method_of(a, "nanmean", axis, keepdims)


@_of(np.median)
def median(a, axis=None, *, keepdims=False):
    return method_of(a, "quantile", 0.5, axis, keepdims)  # of two in the middle their mean, unlike PyTorch's median


@_of(np.quantile)
def quantile(a, q, axis=None, *, keepdims=False):
    return method_of(a, "quantile", q, axis, keepdims)


@_of(np.percentile)
def percentile(a, q, axis=None, *, keepdims=False):
    return method_of(a, "quantile", q / 100, axis, keepdims)


@_of(np.cumprod)
def cumprod(a, axis=None):
    return method_of(tensor_of(a).flatten() if axis is None else a, "cumprod", 0 if axis is None else axis)


@_of(np.diff)
def diff(a, n=1, axis=-1):
    return method_of(a, "diff", n, axis)


@_of(np.nan_to_num)
def nan_to_num(x, *, nan=0.0, posinf=None, neginf=None):
    return method_of(x, "nan_to_num", nan, posinf, neginf)


# --- products


@_of(np.dot)
def dot(a, b):
    if not np.ndim(a) or not np.ndim(b):
        return operand("np.dot", a) * operand("np.dot", b)
    a, b = tensor_of(a), tensor_of(b)
    return a @ b if b.ndim < 3 else _einsum_of_last(a, b, -2)


@_of(np.inner)
def inner(a, b):
    if not np.ndim(a) or not np.ndim(b):
        return operand("np.inner", a) * operand("np.inner", b)
    return _einsum_of_last(tensor_of(a), tensor_of(b), -1)


@_of(np.outer)
def outer(a, b):
    return tensor_of(a).reshape(-1).outer(tensor_of(b).reshape(-1))


@_of(np.einsum)
def einsum(subscripts, *operands, optimize=False):
    return products.einsum(subscripts, *tensors_of(operands))


def _einsum_of_last(a, b, axis):
    """Σ of the last axis of a with an axis of b: the axes of the one that are left, then those of the other."""
    letters = [chr(ord("a") + i) for i in range(a.ndim + b.ndim)]
    of_a, of_b = letters[: a.ndim], letters[a.ndim :]
    summed = of_b[axis] = of_a[-1]
    right = [letter for letter in of_a + of_b if letter != summed]
    return products.einsum(f"{''.join(of_a)},{''.join(of_b)}->{''.join(right)}", a, b)


@_of(np.kron)
def kron(a, b):
    return method_of(a, "kron", tensor_of(b))


@_of(np.tensordot)
def tensordot(a, b, axes=2):
    return method_of(a, "tensordot", tensor_of(b), axes)


# --- comparisons, and new ones like these


# Comparisons have no gradient, so lists are as good as tensors here, and tensors that require grad as good as others.


@_of(np.isclose)
def isclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=False):
    return wrap(np.asarray(np.isclose(values_of(a), values_of(b), values_of(rtol), values_of(atol), equal_nan)))


@_of(np.allclose)
def allclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=False):
    return np.allclose(values_of(a), values_of(b), values_of(rtol), values_of(atol), equal_nan)


@_of(np.array_equal)
def array_equal(a1, a2, equal_nan=False):
    return np.array_equal(values_of(a1), values_of(a2), equal_nan)


@_of(np.zeros_like)
def zeros_like(a, dtype=None):
    return a.new_zeros(a.shape, dtype=dtype)


@_of(np.ones_like)
def ones_like(a, dtype=None):
    return a.new_ones(a.shape, dtype=dtype)


@_of(np.full_like)
def full_like(a, fill_value, dtype=None):
    return a.new_full(a.shape, operator.index(fill_value) if isinstance(fill_value, np.integer) else fill_value, dtype=dtype)
