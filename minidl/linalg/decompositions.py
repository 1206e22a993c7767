"""Matrices as products of simpler ones."""

from collections import namedtuple

import numpy as np

from .. import ops
from ..graph.modes import is_grad_enabled
from ..graph.watch import repeatable
from ..tensors.arguments import expect_tensors, flag
from ..tensors.complex import ComplexTensor
from ..tensors.matrices import orthogonal
from ..tensors.matrix_checks import LinAlgError, existing, matrices, square, symmetric
from .checks import check_triangle

__all__ = ["cholesky", "eig", "eigh", "eigvals", "eigvalsh", "qr", "svd", "svdvals"]

EigResult = namedtuple("linalg_eig", "eigenvalues eigenvectors")
EighResult = namedtuple("linalg_eigh", "eigenvalues eigenvectors")
SVDResult = namedtuple("linalg_svd", "U S Vh")
QRResult = namedtuple("linalg_qr", "Q R")


def cholesky(A, *, upper=False):
    """L, lower triangular, with L Lᵀ = A, of symmetric positive definite A (the lower triangle is read); with upper=True Lᵀ.

    >>> import minidl
    >>> cholesky(minidl.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    expect_tensors("cholesky", A=A)
    return A.cholesky(upper)


def eig(A):
    """(w, V): the eigenvalues of square matrices, which may be complex, and in the columns of V vectors of length 1, A V = V w.

    The values are in LAPACK's order; sort them with w[w.abs().argsort()]. Both are complex tensors, which have .real, .imag,
    abs() and angle(), and no gradient: A must not require one. Symmetric matrices have eigh, which is real and has.

    >>> import minidl
    >>> eig(minidl.tensor([[2.0, 1.0], [2.0, 3.0]])).eigenvalues
    tensor([1.+0.j, 4.+0.j])
    """
    return EigResult(*map(_complex, _eigen("eig", np.linalg.eig, A)))


def eigvals(A):
    """The eigenvalues of square matrices, a complex tensor without a gradient: see eig.

    >>> import minidl
    >>> minidl.linalg.eigvals(minidl.tensor([[0.0, -2.0], [2.0, 0.0]]))
    tensor([0.+2.j, 0.-2.j])
    """
    return _complex(_eigen("eigvals", np.linalg.eigvals, A))


@repeatable
def _eigen(name, function, A):
    square(name, A)
    if A.requires_grad and is_grad_enabled():
        raise RuntimeError(f"{name}: complex results have no gradient; give A.detach(), or use eigh if A is symmetric")
    try:
        return function(A.array)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {error} (shape {A.shape})") from None


def _complex(array):
    """NumPy gives real results where all imaginary parts are 0; these, too, become complex, as in PyTorch."""
    return ComplexTensor(array.astype(np.result_type(array, np.complex64)))


def eigh(A, UPLO="L"):
    """(w, V): the eigenvalues of symmetric A in rising order, and its eigenvectors in the columns of V.

    One triangle is read, the lower one or with "U" the upper one. The signs of the vectors are LAPACK's: a loss must not
    depend on them.

    >>> import minidl
    >>> eigh(minidl.tensor([[2.0, 1.0], [1.0, 2.0]])).eigenvalues
    tensor([1., 3.])
    """
    square("eigh", A)
    check_triangle("eigh", UPLO)
    return EighResult(*existing("eigh", "the computation did not converge", ops.Eigh(), symmetric(A, UPLO in "Ll")))


def eigvalsh(A, UPLO="L"):
    """The eigenvalues of symmetric A in rising order; of A one triangle is read.

    >>> import minidl
    >>> minidl.linalg.eigvalsh(minidl.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    square("eigvalsh", A)
    check_triangle("eigvalsh", UPLO)
    return existing("eigvalsh", "the computation did not converge", ops.Eigh(), symmetric(A, UPLO in "Ll"))[0]


def svd(A, full_matrices=True, *, driver=None):
    """(U, S, Vh) with A = U diag(S) Vh: singular values falling, the columns of U and the rows of Vh orthonormal.

    U is (…, m, m) and Vh (…, n, n), with full_matrices=False (…, m, k) and (…, k, n), k the smaller of m and n.

    >>> import minidl
    >>> svd(minidl.tensor([[0.0, 2.0], [1.0, 0.0]])).S
    tensor([2., 1.])
    """
    matrices("svd", A)
    if driver is not None:
        raise ValueError(f"svd: driver is for PyTorch on CUDA, got {driver!r}")
    return SVDResult(
        *existing("svd", "the computation did not converge", ops.SVD(flag("svd", "full_matrices", full_matrices)), A)
    )


def svdvals(A, *, driver=None):
    """The singular values of A, falling.

    >>> import minidl
    >>> minidl.linalg.svdvals(minidl.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    return svd(A, False, driver=driver).S


def qr(A, mode="reduced"):
    """(Q, R) with A = Q R: the columns of Q orthonormal, R upper triangular.

    "reduced": (…, m, k) and (…, k, n), k the smaller of m and n. "complete": (…, m, m) and (…, m, n). "r": R alone, Q empty.

    >>> import minidl
    >>> qr(minidl.tensor([[3.0], [4.0]])).R.abs()
    tensor([[5.]])
    """
    return QRResult(*orthogonal("qr", A, mode))
