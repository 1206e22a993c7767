"""What PyTorch has at the top and not in its linalg: `minidl.cholesky_solve`. `minidl.det` and its like are methods, too."""

import numpy as np

from ..tensors.arguments import expect_tensors, flag
from ..tensors.matrix_checks import square
from ..tensors.record import wrap
from .composed import householder_product
from .matrices import multi_dot, solve_triangular

__all__ = ["chain_matmul", "cholesky_inverse", "cholesky_solve", "orgqr"]


def chain_matmul(*matrices):
    """The product of matrices in the order of the fewest multiplications: `linalg.multi_dot`.

    >>> import minidl
    >>> minidl.chain_matmul(minidl.ones(2, 9), minidl.ones(9, 3), minidl.ones(3, 1))
    tensor([[27.],
            [27.]])
    """
    expect_tensors("chain_matmul", **{f"matrix {i}": x for i, x in enumerate(matrices)})
    for x in matrices:
        if x.ndim != 2:
            raise ValueError(f"chain_matmul: expected matrices, got shape {x.shape}")
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


def cholesky_solve(B, L, upper=False):
    """X with (L Lᵀ) X = B, of a factor L as `linalg.cholesky` gives it; with upper=True (Lᵀ L) X = B.

    >>> import minidl
    >>> minidl.cholesky_solve(minidl.tensor([[8.0]]), minidl.tensor([[2.0]]))
    tensor([[2.]])
    """
    square("cholesky_solve", L)
    expect_tensors("cholesky_solve", B=B)
    if B.ndim < 2 or B.dtype != L.dtype:
        got = f"{B.dtype} {B.shape} and {L.dtype} {L.shape}"
        raise (ValueError if B.ndim < 2 else TypeError)(f"cholesky_solve: expected matrices B and L of one dtype, got {got}")
    first, second = (L.mT, L) if flag("cholesky_solve", "upper", upper) else (L, L.mT)
    return solve_triangular(second, solve_triangular(first, B, upper=False), upper=True)


def cholesky_inverse(L, upper=False):
    """The inverse of L Lᵀ, of a factor L as `linalg.cholesky` gives it; with upper=True of Lᵀ L.

    >>> import minidl
    >>> minidl.cholesky_inverse(minidl.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    square("cholesky_inverse", L)
    flag("cholesky_inverse", "upper", upper)
    return cholesky_solve(wrap(np.eye(L.shape[-1], dtype=L.dtype)).expand(L.shape), L, upper)


def orgqr(input, tau):
    """`linalg.householder_product`: the columns of a product of reflections.

    >>> import minidl
    >>> minidl.orgqr(minidl.tensor([[9.0], [1.0]]), minidl.tensor([1.0]))
    tensor([[ 0.],
            [-1.]])
    """
    return householder_product(input, tau)
