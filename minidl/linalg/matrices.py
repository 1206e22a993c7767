"""Determinants, inverses, systems of equations, and products."""

from collections import namedtuple
from itertools import pairwise

import numpy as np

from .. import ops
from ..ops.base import normalize_axis
from ..ops.linalg import is_above
from ..tensors.arguments import expect_memory, expect_tensors, flag, integer, number, one_of, tensors_of
from ..tensors.contractions import cross as _cross
from ..tensors.creation import eye, zeros
from ..tensors.matrices import inverse, pseudoinverse, with_tolerances
from ..tensors.matrix_checks import existing, matrices, square
from ..tensors.products import matmul
from ..tensors.record import wrap
from .decompositions import svdvals

__all__ = [
    "cross",
    "det",
    "diagonal",
    "inv",
    "lstsq",
    "matmul",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "pinv",
    "slogdet",
    "solve",
    "solve_triangular",
    "vander",
]

LstsqResult = namedtuple("linalg_lstsq", "solution residuals rank singular_values")


def det(A):
    """The determinants of square matrices: (…, n, n) → (…).

    >>> import minidl
    >>> det(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    expect_tensors("det", A=A)
    return A.det()


def slogdet(A):
    """(sign, ln |det A|) of square matrices; (0, −∞) of singular ones.

    >>> import minidl
    >>> slogdet(-2 * minidl.eye(3))
    slogdet(sign=tensor(-1.), logabsdet=tensor(2.0794))
    """
    expect_tensors("slogdet", A=A)
    return A.slogdet()


def inv(A):
    """The inverses of square matrices. LinAlgError for a singular one.

    >>> import minidl
    >>> inv(minidl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return inverse("inv", A)


def solve(A, B, *, left=True):
    """X with A X = B, or with left=False X A = B. B is a stack of matrices, or of vectors: (n), or (…, n) for A (…, n, n).

    >>> import minidl
    >>> solve(minidl.tensor([[2.0, 0.0], [0.0, 4.0]]), minidl.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    square("solve", A)
    flag("solve", "left", left)
    _same_dtype("solve", A, B)
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
    _check_stacks("solve", A, B)
    return existing("solve", "a matrix is singular", ops.Solve(), A, B)


def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """X with A X = B, or with left=False X A = B; of A (…, n, n) one triangle is read, the upper or the lower one.

    B is (…, n, k), or with left=False (…, k, n). With unitriangular the diagonal is taken for ones, and not read.

    >>> import minidl
    >>> solve_triangular(minidl.tensor([[2.0, 9.0], [1.0, 1.0]]), minidl.tensor([[2.0], [3.0]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    square("solve_triangular", A)
    for what, given in (("upper", upper), ("left", left), ("unitriangular", unitriangular)):
        flag("solve_triangular", what, given)
    _same_dtype("solve_triangular", A, B)
    if B.ndim < 2 or B.shape[-2 if left else -1] != A.shape[-1]:
        what = "rows" if left else "columns"
        raise ValueError(f"solve_triangular: shapes {A.shape} and {B.shape} disagree: the {what} of B must be {A.shape[-1]}")
    _check_stacks("solve_triangular", A, B)
    if not left:
        return solve_triangular(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT
    if unitriangular:
        A = (A.triu(1) if upper else A.tril(-1)) + eye(A.shape[-1], dtype=A.dtype)
    if upper:  # read backwards, it is a lower one
        A, B = A.flip((-2, -1)), B.flip(-2)
    X = existing("solve_triangular", "the diagonal has a zero", ops.SolveTriangular(), A, B)
    return X.flip(-2) if upper else X


def _same_dtype(name, A, B):
    expect_tensors(name, B=B)
    if A.dtype != B.dtype:
        raise TypeError(f"{name}: expected one dtype, got {A.dtype} and {B.dtype}")


def _check_stacks(name, A, B):
    try:
        np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    except ValueError:
        raise ValueError(f"{name}: the stacks of {A.shape} and {B.shape} do not broadcast") from None


def matrix_power(A, n):
    """A @ A … @ A, n times; for n < 0 of the inverse; for 0 the identity.

    >>> import minidl
    >>> matrix_power(minidl.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    expect_tensors("matrix_power", A=A)
    return A.matrix_power(n)


def pinv(A, *, atol=None, rtol=None, hermitian=False):
    """The pseudoinverse A⁺ (…, n, m) of A (…, m, n), by singular values: small ones are taken for 0.

    Small: at most atol, or rtol times the largest. rtol is the rounding error times the larger of m and n, or 0 with an atol.
    hermitian: A is symmetric, and its lower triangle alone is read. The gradient holds while the rank stays.

    >>> import minidl
    >>> pinv(minidl.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return pseudoinverse("pinv", A, atol, rtol, hermitian)


def matrix_rank(A, *, atol=None, rtol=None, hermitian=False):
    """How many singular values are above atol, and above rtol times the largest: integers (…), without a gradient.

    What atol, rtol and hermitian are: see pinv.

    >>> import minidl
    >>> matrix_rank(minidl.ones(3, 3)), matrix_rank(minidl.eye(3))
    (tensor(1), tensor(3))
    """
    A, atol, rtol = with_tolerances("matrix_rank", A, atol, rtol, hermitian)
    s = svdvals(A.detach()).array
    return wrap(np.asarray(is_above(s, atol, rtol).sum(-1), np.int64))


def lstsq(A, B, rcond=None, *, driver=None):
    """(solution, residuals, rank, singular_values): the X of least ‖A X − B‖, and of those that are, the shortest.

    A (…, m, n), B (…, m, k) or vectors (m) or (…, m); X (…, n, k) or (…, n). Singular values of A at most rcond times the
    largest are taken for 0. residuals: Σ (A X − B)² of each column where m > n and all ranks are n, otherwise empty. All
    four are given for each driver, of which there is one here. The gradient, of the solution and the residuals, holds while
    the rank stays.

    >>> import minidl
    >>> x = minidl.tensor([0.0, 1.0, 2.0])
    >>> lstsq(minidl.stack([minidl.ones(3), x], 1), 1 + 2 * x).solution
    tensor([1.0000, 2.0000])
    """
    if driver is not None:
        one_of("lstsq", "driver", driver, ("gels", "gelsy", "gelsd", "gelss"))
    matrices("lstsq", A)
    _same_dtype("lstsq", A, B)
    vectors = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    if B.ndim < 1 or B.shape[-1 if vectors else -2] != A.shape[-2]:
        raise ValueError(f"lstsq: shapes {A.shape} and {B.shape} disagree: B must have {A.shape[-2]} rows, as A has")
    columns = B.unsqueeze(-1) if vectors else B
    _check_stacks("lstsq", A, columns)
    rcond = None if rcond is None else number("lstsq", "rcond", rcond)
    X = pinv(A, rtol=rcond) @ columns
    rank = matrix_rank(A, rtol=rcond)
    residuals = zeros(0, dtype=A.dtype)
    if A.shape[-2] > A.shape[-1] and (rank.array == A.shape[-1]).all():
        residuals = ((A @ X - columns) ** 2).sum(-2)
    X, residuals = (X.squeeze(-1), residuals.squeeze(-1) if residuals.ndim > 1 else residuals) if vectors else (X, residuals)
    return LstsqResult(X, residuals, rank, svdvals(A.detach()))


def multi_dot(tensors):
    """The matrix product of two or more tensors, in the order of the fewest multiplications; the first and last may be vectors.

    >>> import minidl
    >>> multi_dot([minidl.ones(2, 100), minidl.ones(100, 3), minidl.ones(3)])
    tensor([300., 300.])
    """
    parts = tensors_of("multi_dot", tensors)
    if len(parts) < 2:
        raise ValueError("multi_dot: expected two or more tensors, got one")
    for i, x in enumerate(parts):
        if x.ndim != 2 and not (x.ndim == 1 and i in (0, len(parts) - 1)):
            raise ValueError(f"multi_dot: expected matrices (vectors first and last), tensor {i} has shape {x.shape}")
        if x.dtype != parts[0].dtype:
            raise TypeError(f"multi_dot: expected one dtype, got {parts[0].dtype} and {x.dtype}")
    first, last = parts[0].ndim == 1, parts[-1].ndim == 1
    parts[0] = parts[0].unsqueeze(0) if first else parts[0]
    parts[-1] = parts[-1].unsqueeze(1) if last else parts[-1]
    for a, b in pairwise(parts):
        if a.shape[1] != b.shape[0]:
            raise ValueError(f"multi_dot: shapes {a.shape} and {b.shape} disagree")
    y = _product(parts, _order([x.shape[0] for x in parts] + [parts[-1].shape[1]]), 0, len(parts) - 1)
    y = y.squeeze(0) if first else y
    return y.squeeze(-1) if last else y


def _order(sizes):
    """Where to cut the product of matrices i to j, as cut[i, j]; matrix i is sizes[i] × sizes[i + 1]. (Cormen et al., 15.2)"""
    n, cost, cut = len(sizes) - 1, {}, {}
    for i in reversed(range(n)):
        cost[i, i] = 0
        for j in range(i + 1, n):
            cost[i, j], cut[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return cut


def _product(parts, cut, i, j):
    if i == j:
        return parts[i]
    return _product(parts, cut, i, cut[i, j]) @ _product(parts, cut, cut[i, j] + 1, j)


def vander(x, *, N=None):
    """The powers x⁰, x¹ … of each number as a row: (…, n) → (…, n, N), N being n if it is not given.

    >>> import minidl
    >>> minidl.linalg.vander(minidl.tensor([1.0, 2.0, 3.0]))
    tensor([[1., 1., 1.],
            [1., 2., 4.],
            [1., 3., 9.]])
    """
    expect_tensors("vander", x=x)
    N = (x.shape[-1] if x.ndim else 0) if N is None else integer("vander", N, "N")
    if not x.ndim or N < 1:
        raise ValueError(f"vander: expected an axis or more and N of 1 or more, got shape {x.shape} and N={N}")
    expect_memory("vander", (*x.shape, N), x.dtype)
    return x.unsqueeze(-1) ** wrap(np.arange(N)).to(x.dtype)


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
