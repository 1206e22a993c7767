"""What is put together of other operations: reflections, systems of equations over several axes, products of vectors."""

import math

import numpy as np

from ..ops.base import normalize_axes, normalize_axis
from ..tensors.arguments import expect_tensors, integer
from ..tensors.matrices import inverse
from ..tensors.matrix_checks import matrices
from ..tensors.record import wrap
from .matrices import solve

__all__ = ["householder_product", "matrix_exp", "tensorinv", "tensorsolve", "vecdot"]


def matrix_exp(A):
    """The exponential of square matrices, 1 + A + A A/2! + …: `Tensor.matrix_exp`.

    >>> import minidl
    >>> minidl.linalg.matrix_exp(minidl.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    expect_tensors("matrix_exp", A=A)
    return A.matrix_exp()


def vecdot(x, y, *, dim=-1):
    """The products x·y of vectors along an axis; the others broadcast.

    >>> import minidl
    >>> vecdot(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([1.0, -1.0]))
    tensor([-1., -1.])
    """
    expect_tensors("vecdot", x=x, y=y)
    if not (x.ndim and y.ndim):
        raise ValueError(f"vecdot: expected vectors, got shapes {x.shape} and {y.shape}")
    dim = normalize_axis("vecdot", dim, max(x.ndim, y.ndim))
    back = dim - max(x.ndim, y.ndim)
    if back < -min(x.ndim, y.ndim) or x.shape[back] != y.shape[back]:
        raise ValueError(f"vecdot: shapes {x.shape} and {y.shape} have vectors of different lengths in axis {dim}")
    return (x * y).sum(dim)


def householder_product(A, tau):
    """The first n columns of H₁ H₂ … H_k, with Hᵢ = 1 − tauᵢ vᵢ vᵢᵀ: how LAPACK keeps the Q of a QR decomposition.

    A (…, m, n), m ≥ n: below the 1 of vᵢ, at place i, stands column i of A, above it zeros. tau (…, k), k ≤ n. The diagonal of
    A and what is above it are not read. (Golub and Van Loan, *Matrix Computations*, section 5.1.6)

    >>> import minidl
    >>> householder_product(minidl.tensor([[9.0], [1.0]]), minidl.tensor([1.0]))
    tensor([[ 0.],
            [-1.]])
    """
    name = "householder_product"
    matrices(name, A)
    expect_tensors(name, tau=tau)
    (m, n), stack = A.shape[-2:], A.shape[:-2]
    if m < n or tau.ndim < 1 or tau.shape[:-1] != stack or tau.shape[-1] > n:
        raise ValueError(
            f"{name}: expected A (…, m, n) with m >= n and tau (…, k) with k <= n, got shapes {A.shape} and {tau.shape}"
        )
    if A.dtype != tau.dtype:
        raise TypeError(f"{name}: expected one dtype, got {A.dtype} and {tau.dtype}")
    one = wrap(np.eye(m, n, dtype=A.dtype))
    v, q = A.tril(-1) + one, one.expand(A.shape)
    for i in reversed(range(tau.shape[-1])):
        column = v[..., i : i + 1]
        q = q - tau[..., i, None, None] * column @ (column.mT @ q)
    return q


def tensorinv(A, ind=2):
    """The inverse of A as a map from its last axes to its first `ind`: tensordot(tensorinv(A), A, ind) is the identity.

    >>> import minidl
    >>> tensorinv(2 * minidl.eye(6).reshape(2, 3, 6)).shape
    (6, 2, 3)
    """
    expect_tensors("tensorinv", A=A)
    ind = integer("tensorinv", ind, "ind")
    first, last = A.shape[: max(ind, 0)], A.shape[max(ind, 0) :]
    if ind < 1 or math.prod(first) != math.prod(last):
        raise ValueError(f"tensorinv: expected as many elements in the first ind axes as in the rest, got {A.shape}, ind={ind}")
    return inverse("tensorinv", A.reshape(math.prod(first), math.prod(last))).reshape(*last, *first)


def tensorsolve(A, B, dims=None):
    """X with tensordot(A, X, X.ndim) = B: the first axes of A are those of B, the others those of X.

    dims: axes of A that are moved to its end first.

    >>> import minidl
    >>> tensorsolve(2 * minidl.eye(6).reshape(2, 3, 6), minidl.ones(2, 3))
    tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000])
    """
    expect_tensors("tensorsolve", A=A, B=B)
    if dims is not None:
        dims = normalize_axes("tensorsolve", dims, A.ndim)
        A = A.movedim(dims, tuple(range(A.ndim - len(dims), A.ndim)))
    rest = A.shape[B.ndim :]
    if A.shape[: B.ndim] != B.shape or math.prod(rest) != B.numel():
        raise ValueError(f"tensorsolve: shapes {A.shape} and {B.shape} disagree: A must be {(*B.shape, '…')}, square as a map")
    return solve(A.reshape(B.numel(), B.numel()), B.reshape(-1)).reshape(rest)
