"""The names that PyTorch has at the top, too: `minidl.det` and others. Some differ from those of `linalg` in what they give."""

from collections import namedtuple

from ..tensors.arguments import number
from ..tensors.indexing import where
from . import decompositions, matrices

__all__ = ["cholesky", "det", "inverse", "logdet", "matrix_power", "pinverse", "qr", "slogdet", "svd"]

SVDResult = namedtuple("svd", "U S V")


def cholesky(input, upper=False):
    """`linalg.cholesky`: L, lower triangular, with L Lᵀ = input; with upper=True Lᵀ.

    >>> import minidl
    >>> minidl.cholesky(minidl.tensor([[4.0]]))
    tensor([[2.]])
    """
    return decompositions.cholesky(input, upper=upper)


def det(input):
    """`linalg.det`: the determinants of square matrices.

    >>> import minidl
    >>> minidl.det(minidl.tensor([[1.0, -1.0], [2.0, 3.0]]))
    tensor(5.)
    """
    return matrices.det(input)


def inverse(input):
    """`linalg.inv`: the inverses of square matrices.

    >>> import minidl
    >>> minidl.inverse(minidl.tensor([[2.0]]))
    tensor([[0.5000]])
    """
    return matrices.inv(input)


def logdet(input):
    """ln det of square matrices; NaN where the determinant is below 0, −∞ where it is 0.

    >>> import minidl
    >>> minidl.logdet(2 * minidl.eye(3))
    tensor(2.0794)
    """
    sign, log = matrices.slogdet(input)
    return where(sign.detach() < 0, float("nan"), log)


def matrix_power(input, n):
    """`linalg.matrix_power`: input @ input … @ input, n times.

    >>> import minidl
    >>> minidl.matrix_power(minidl.tensor([[2.0]]), 3)
    tensor([[8.]])
    """
    return matrices.matrix_power(input, n)


def pinverse(input, rcond=1e-15):
    """`linalg.pinv` with rtol=rcond: the pseudoinverse.

    >>> import minidl
    >>> minidl.pinverse(minidl.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return matrices.pinv(input, rtol=number("pinverse", "rcond", rcond))


def qr(input, some=True):
    """`linalg.qr`, with some=False in the mode "complete".

    >>> import minidl
    >>> minidl.qr(minidl.tensor([[3.0], [4.0]])).Q.abs()
    tensor([[0.6000],
            [0.8000]])
    """
    return decompositions.qr(input, "reduced" if some else "complete")


def slogdet(input):
    """`linalg.slogdet`: (sign, ln |det|).

    >>> import minidl
    >>> minidl.slogdet(minidl.eye(2)).sign
    tensor(1.)
    """
    return matrices.slogdet(input)


def svd(input, some=True, compute_uv=True):
    """(U, S, V) with input = U diag(S) Vᵀ. V is not transposed, as it is in `linalg.svd`, and some=False makes U and V square.

    >>> import minidl
    >>> minidl.svd(minidl.tensor([[0.0, 2.0], [1.0, 0.0]])).S
    tensor([2., 1.])
    """
    if not compute_uv:
        raise NotImplementedError("svd: compute_uv=False is not supported; use minidl.linalg.svdvals")
    U, S, Vh = decompositions.svd(input, not some)
    return SVDResult(U, S, Vh.mT)
