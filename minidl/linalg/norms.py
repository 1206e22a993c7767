"""How long a vector is, and how large a matrix."""

import math

import numpy as np

from ..ops.base import normalize_axes
from ..tensors.arguments import expect_tensors, flag, number
from ..tensors.creation import eye
from ..tensors.indexing import where
from ..tensors.matrix_checks import matrices, square
from .checks import of_floats
from .decompositions import svdvals
from .matrices import inv, slogdet

__all__ = ["cond", "matrix_norm", "norm", "vector_norm"]


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(Σ |x|ᵖ)^(1/p) with p = ord, over all axes or those in dim; ±math.inf: the largest, the smallest |x|; 0 counts.

    >>> import minidl
    >>> vector_norm(minidl.tensor([3.0, -4.0])), vector_norm(minidl.tensor([3.0, -4.0]), ord=1)
    (tensor(5.), tensor(7.))
    """
    x, p = of_floats("vector_norm", x, dtype), number("vector_norm", "ord", ord)
    axes = normalize_axes("vector_norm", dim, x.ndim) if x.ndim else ()
    if (p < 0 or p == math.inf) and any(x.shape[axis] == 0 for axis in axes or range(x.ndim)):
        raise ValueError(f"vector_norm: ord={ord} of no elements, shape {x.shape}")
    return x.norm(p, dim, keepdim)


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """A norm of the matrices in two axes.

    "fro": √(Σ x²); "nuc": the sum of the singular values; ±2: the largest, the smallest of them; ±1: of the sums of |x| in
    the columns, ±math.inf: in the rows, the largest, the smallest.

    >>> import minidl
    >>> matrix_norm(minidl.eye(4)), matrix_norm(minidl.eye(4), "nuc"), matrix_norm(minidl.eye(4), 1)
    (tensor(2.), tensor(4.), tensor(1.))
    """
    A = of_floats("matrix_norm", A, dtype)
    if A.ndim < 2:
        raise ValueError(f"matrix_norm: expected a tensor with two axes or more, got shape {A.shape}")
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ValueError(f"matrix_norm: expected two axes as dim, got {dim!r}")
    flag("matrix_norm", "keepdim", keepdim)
    rows, columns = normalize_axes("matrix_norm", dim, A.ndim)
    if isinstance(ord, str) and ord == "fro":
        return A.norm(2, (rows, columns), keepdim)
    if not isinstance(ord, str):
        ord = number("matrix_norm", "ord", ord)
    if ord in ("nuc", 2, -2):
        s = svdvals(A.movedim((rows, columns), (-2, -1)))
        if ord != "nuc" and not s.shape[-1]:
            raise ValueError(f"matrix_norm: ord={ord} of matrices without elements, shape {A.shape}")
        y = s.sum(-1) if ord == "nuc" else s.amax(-1) if ord == 2 else s.amin(-1)
        return y.reshape([1 if i in (rows, columns) else n for i, n in enumerate(A.shape)]) if keepdim else y
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(f"matrix_norm: ord must be 'fro', 'nuc', ±1, ±2 or ±math.inf, got {ord!r}")
    summed, kept = (rows, columns) if abs(ord) == 1 else (columns, rows)
    if not A.shape[kept]:
        raise ValueError(f"matrix_norm: ord={ord} of matrices without elements, shape {A.shape}")
    y = A.abs().sum(summed, keepdim=True)
    y = y.amax(kept, keepdim=True) if ord > 0 else y.amin(kept, keepdim=True)
    return y if keepdim else y.squeeze((rows, columns))


def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """vector_norm of all elements (without ord) or along one axis, matrix_norm over two; a matrix with ord is a matrix.

    >>> import minidl
    >>> norm(minidl.ones(2, 2)), norm(minidl.ones(2, 2), 1), norm(minidl.ones(2, 2), 1, dim=0)
    (tensor(2.), tensor(2.), tensor([2., 2.]))
    """
    expect_tensors("norm", A=A)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if isinstance(dim, (tuple, list)) and len(dim) == 1:
        (dim,) = dim
    if dim is None:
        if A.ndim not in (1, 2):
            raise ValueError(f"norm: with ord and without dim, A must be a vector or a matrix, got shape {A.shape}")
        dim = 0 if A.ndim == 1 else (0, 1)
    if isinstance(dim, (tuple, list)):
        return matrix_norm(A, ord, dim, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise ValueError(f"norm: ord {ord!r} is for matrices; give two axes as dim, got {dim}")
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


def cond(A, p=None):
    """The condition of A: how many times larger a relative error of b may become in the solution of A x = b.

    p None or 2: the largest singular value over the smallest; -2: the other way round. Otherwise, of square matrices,
    matrix_norm(A, p) times matrix_norm of the inverse. Infinite where A is singular.

    >>> import minidl
    >>> cond(minidl.tensor([[4.0, 0.0], [0.0, 0.5]])), cond(minidl.ones(2, 2), 1)
    (tensor(8.), tensor(inf))
    """
    matrices("cond", A)
    p = p if p is None or isinstance(p, str) else number("cond", "p", p)
    if p is None or p in (2, -2):
        s = svdvals(A)
        if not s.shape[-1]:
            raise ValueError(f"cond: a matrix without elements has none, shape {A.shape}")
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    square("cond", A)
    singular = slogdet(A.detach()).sign == 0
    regular = where(singular.unsqueeze(-1).unsqueeze(-1), eye(A.shape[-1], dtype=A.dtype), A)
    y = matrix_norm(A, p) * matrix_norm(inv(regular), p)
    return where(singular, np.inf, y) if singular.any() else y
