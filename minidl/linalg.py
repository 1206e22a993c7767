"""Linear algebra, with the names of torch.linalg: matrices are the last two axes, what is in front are stacks of them.

The values are LAPACK's, as NumPy has it; the gradients are in `ops/linalg.py`, with their derivations.
"""

import math
from collections import namedtuple

import numpy as np

from . import ops
from .ops.base import normalize_axes, normalize_axis
from .tensors import dtypes
from .tensors.arguments import expect_tensors, integer, number
from .tensors.contractions import cross as _cross
from .tensors.creation import eye
from .tensors.products import matmul
from .tensors.record import apply, wrap

__all__ = [
    "LinAlgError",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "vector_norm",
]

SlogdetResult = namedtuple("slogdet", "sign logabsdet")
EighResult = namedtuple("linalg_eigh", "eigenvalues eigenvectors")
SVDResult = namedtuple("linalg_svd", "U S Vh")
QRResult = namedtuple("linalg_qr", "Q R")


class LinAlgError(RuntimeError, ValueError):
    """The error where no result exists: the inverse of a singular matrix, the root of one that is not positive definite.

    >>> import minidl
    >>> try:
    ...     minidl.linalg.inv(minidl.zeros(2, 2))
    ... except minidl.linalg.LinAlgError:
    ...     print("singular")
    singular
    """


def det(A):
    """The determinants of square matrices: (…, n, n) → (…).

    >>> import minidl
    >>> det(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    _square("det", A)
    return apply(ops.Det(), A)


def slogdet(A):
    """(sign, ln |det A|) of square matrices; (0, −∞) of singular ones.

    >>> import minidl
    >>> slogdet(-2 * minidl.eye(3))
    slogdet(sign=tensor(-1.), logabsdet=tensor(2.0794))
    """
    _square("slogdet", A)
    sign = np.asarray(np.linalg.slogdet(A.array)[0])
    still = apply(ops.PiecewiseConstant(lambda x: sign), A.sum((-2, -1)))  # it passes back zeros
    return SlogdetResult(still, apply(ops.LogDet(), A))


def inv(A):
    """The inverses of square matrices. LinAlgError for a singular one.

    >>> import minidl
    >>> inv(minidl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    _square("inv", A)
    return _existing("inv", "a matrix is singular", ops.Inverse(), A)


def solve(A, B, *, left=True):
    """X with A X = B, or with left=False X A = B. B is a stack of matrices, or of vectors: (n), or (…, n) for A (…, n, n).

    >>> import minidl
    >>> solve(minidl.tensor([[2.0, 0.0], [0.0, 4.0]]), minidl.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    _square("solve", A)
    expect_tensors("solve", B=B)
    if A.dtype != B.dtype:
        raise TypeError(f"solve: expected one dtype, got {A.dtype} and {B.dtype}")
    vectors = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    if vectors:
        if not left:
            raise ValueError("solve: left=False takes matrices as B, got vectors")
        if B.shape[-1] != A.shape[-1]:
            raise ValueError(f"solve: shapes {A.shape} and {B.shape} disagree")
        return solve(A, B.unsqueeze(-1)).squeeze(-1)
    if B.ndim < 2 or B.shape[-2 if left else -1] != A.shape[-1]:
        what = "rows" if left else "columns"
        raise ValueError(f"solve: shapes {A.shape} and {B.shape} disagree: the {what} of B must be {A.shape[-1]}")
    if not left:
        return solve(A.mT, B.mT).mT
    try:
        np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    except ValueError:
        raise ValueError(f"solve: the stacks of {A.shape} and {B.shape} do not broadcast") from None
    return _existing("solve", "a matrix is singular", ops.Solve(), A, B)


def cholesky(A, *, upper=False):
    """L, lower triangular, with L Lᵀ = A, of symmetric positive definite A (the lower triangle is read); with upper=True Lᵀ.

    >>> import minidl
    >>> cholesky(minidl.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    _square("cholesky", A)
    L = _existing("cholesky", "a matrix is not positive definite", ops.Cholesky(), _symmetric(A, True))
    return L.mT if upper else L


def eigh(A, UPLO="L"):
    """(w, V): the eigenvalues of symmetric A in rising order, and its eigenvectors in the columns of V.

    One triangle is read, the lower one or with "U" the upper one. The signs of the vectors are LAPACK's: a loss must not
    depend on them.

    >>> import minidl
    >>> eigh(minidl.tensor([[2.0, 1.0], [1.0, 2.0]])).eigenvalues
    tensor([1., 3.])
    """
    _square("eigh", A)
    _check_triangle("eigh", UPLO)
    return EighResult(*_existing("eigh", "the computation did not converge", ops.Eigh(), _symmetric(A, UPLO in "Ll")))


def eigvalsh(A, UPLO="L"):
    """The eigenvalues of symmetric A in rising order; of A one triangle is read.

    >>> import minidl
    >>> minidl.linalg.eigvalsh(minidl.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    _square("eigvalsh", A)
    _check_triangle("eigvalsh", UPLO)
    return _existing("eigvalsh", "the computation did not converge", ops.Eigh(), _symmetric(A, UPLO in "Ll"))[0]


def svd(A, full_matrices=True, *, driver=None):
    """(U, S, Vh) with A = U diag(S) Vh: singular values falling, the columns of U and the rows of Vh orthonormal.

    U is (…, m, m) and Vh (…, n, n), with full_matrices=False (…, m, k) and (…, k, n), k the smaller of m and n.

    >>> import minidl
    >>> svd(minidl.tensor([[0.0, 2.0], [1.0, 0.0]])).S
    tensor([2., 1.])
    """
    _matrices("svd", A)
    if driver is not None:
        raise ValueError(f"svd: driver is for PyTorch on CUDA, got {driver!r}")
    return SVDResult(*_existing("svd", "the computation did not converge", ops.SVD(bool(full_matrices)), A))


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
    _matrices("qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    m, n = A.shape[-2:]
    if mode == "r" or (mode == "complete" and m > n):
        if A.requires_grad:
            raise RuntimeError(f"qr: mode {mode!r} has no gradient for {A.shape}; use mode='reduced', or .detach()")
        q, r = np.linalg.qr(A.array, "complete" if mode == "complete" else "reduced")
        return QRResult(wrap(q if mode == "complete" else np.zeros(0, A.dtype)), wrap(r))
    q, r = apply(ops.QR(), A[..., :m])
    if n > m:  # the other columns in terms of Q
        r = apply(ops.Cat(r.ndim - 1), r, q.mT @ A[..., m:])
    return QRResult(q, r)


def matrix_power(A, n):
    """A @ A … @ A, n times; for n < 0 of the inverse; for 0 the identity.

    >>> import minidl
    >>> matrix_power(minidl.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    _square("matrix_power", A)
    n = integer("matrix_power", n)
    if n == 0:
        return A * 0 + eye(A.shape[-1], dtype=A.dtype) if A.isfinite().all() else eye(A.shape[-1]).to(A.dtype).expand(A.shape)
    A, n = (inv(A), -n) if n < 0 else (A, n)
    result = None
    while n:
        if n & 1:
            result = A if result is None else result @ A
        n >>= 1
        A = A @ A if n else A
    return result


def pinv(A):
    """The pseudoinverse of A, by its singular values: those below the largest times the rounding error times the size are 0.

    >>> import minidl
    >>> pinv(minidl.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    U, S, Vh = svd(A, False)
    small = S.array <= S.array.max(-1, keepdims=True, initial=0) * np.finfo(A.dtype).eps * max(A.shape[-2:])
    inverse = apply(ops.Where(small), 0.0, 1 / apply(ops.Where(small), 1.0, S))
    return Vh.mT @ (inverse.unsqueeze(-1) * U.mT)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of the matrices in two axes, as the last axis.

    >>> import minidl
    >>> minidl.linalg.diagonal(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    expect_tensors("diagonal", A=A)
    return A.diagonal(offset, dim1, dim2)


def cross(input, other, *, dim=-1):
    """The cross product of vectors of 3 along an axis; the others broadcast.

    >>> import minidl
    >>> minidl.linalg.cross(minidl.tensor([1.0, 0.0, 0.0]), minidl.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    expect_tensors("cross", input=input, other=other)
    if input.ndim != other.ndim:
        raise ValueError(f"cross: expected as many axes in both, got shapes {input.shape} and {other.shape}")
    return _cross(input, other, normalize_axis("cross", dim, input.ndim))


# --- norms


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(Σ |x|ᵖ)^(1/p) with p = ord, over all axes or those in dim; ±math.inf: the largest, the smallest |x|; 0 counts.

    >>> import minidl
    >>> vector_norm(minidl.tensor([3.0, -4.0])), vector_norm(minidl.tensor([3.0, -4.0]), ord=1)
    (tensor(5.), tensor(7.))
    """
    x, p = _of_floats("vector_norm", x, dtype), number("vector_norm", "ord", ord)
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
    A = _of_floats("matrix_norm", A, dtype)
    if A.ndim < 2:
        raise ValueError(f"matrix_norm: expected a tensor with two axes or more, got shape {A.shape}")
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ValueError(f"matrix_norm: expected two axes as dim, got {dim!r}")
    rows, columns = normalize_axes("matrix_norm", dim, A.ndim)
    if ord == "fro":
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


# --- helpers


def _matrices(name, A):
    expect_tensors(name, A=A)
    if A.ndim < 2:
        raise ValueError(f"{name}: expected matrices in the last two axes, got shape {A.shape}")
    if A.array.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating-point tensor, got {A.dtype}; use .float()")


def _square(name, A):
    _matrices(name, A)
    if A.shape[-1] != A.shape[-2]:
        raise ValueError(f"{name}: expected square matrices in the last two axes, got shape {A.shape}")


def _check_triangle(name, UPLO):
    if UPLO not in ("L", "U", "l", "u"):
        raise ValueError(f"{name}: UPLO must be 'L' or 'U', got {UPLO!r}")


def _of_floats(name, A, dtype):
    expect_tensors(name, A=A)
    dtype = A.dtype if dtype is None else dtypes.as_dtype(dtype)
    if A.array.dtype.kind != "f" or dtype.kind != "f":
        raise TypeError(
            f"{name}: expected a floating-point tensor, got {A.dtype if dtype.kind == 'f' else dtype}; use .float()"
        )
    return A.to(dtype)


def _symmetric(A, lower):
    """A with one triangle mirrored into the other. As in PyTorch the gradient is that of symmetric matrices, for all of A."""
    x = A.array
    triangle = np.tril(x) if lower else np.triu(x)
    mirrored = triangle + np.swapaxes(triangle - triangle * np.eye(x.shape[-1], dtype=x.dtype), -1, -2)
    if np.array_equal(mirrored, x):
        return A
    return wrap(mirrored) + (A - A.detach())


def _existing(name, why, op, *inputs):
    try:
        return apply(op, *inputs)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {why} (shapes {[x.shape for x in inputs]}): {error}") from None
