"""Determinants, inverses and factors of matrices. `minidl.linalg` has these and more, with further options."""

import math
from collections import namedtuple

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from .arguments import flag, integer, number, one_of
from .indexing import where
from .matrix_checks import existing, matrices, square, symmetric
from .record import apply, wrap

SlogdetResult = namedtuple("slogdet", "sign logabsdet")
QRResult = namedtuple("qr", "Q R")
SVDResult = namedtuple("svd", "U S V")
_TERMS = {4: 10, 8: 18}  # of the exponential's series: the next term is below the rounding, of matrices of norm 1/2


class Matrices:
    """The methods that take matrices in the last two axes; what is in front are stacks of them."""

    def det(self):
        """The determinants of square matrices: (…, n, n) → (…).

        >>> import minidl
        >>> minidl.tensor([[1.0, -1.0], [2.0, 3.0]]).det()
        tensor(5.)
        """
        square("det", self)
        return apply(ops.Det(), self)

    def slogdet(self):
        """(sign, ln |det|) of square matrices; (0, −∞) of singular ones.

        >>> import minidl
        >>> (-2 * minidl.eye(3)).slogdet()
        slogdet(sign=tensor(-1.), logabsdet=tensor(2.0794))
        """
        square("slogdet", self)
        with np.errstate(invalid="ignore"):
            sign = np.asarray(np.linalg.slogdet(self.array)[0])
        still = apply(ops.PiecewiseConstant(lambda x: sign), self.sum((-2, -1)))  # it passes back zeros
        return SlogdetResult(still, apply(ops.LogDet(), self))

    def logdet(self):
        """ln det of square matrices; NaN where the determinant is below 0, −∞ where it is 0.

        >>> import minidl
        >>> (2 * minidl.eye(3)).logdet()
        tensor(2.0794)
        """
        square("logdet", self)
        sign, log = self.slogdet()
        return where(sign.detach() < 0, float("nan"), log)

    def inverse(self):
        """The inverses of square matrices: `linalg.inv`. LinAlgError for a singular one.

        >>> import minidl
        >>> minidl.tensor([[2.0]]).inverse()
        tensor([[0.5000]])
        """
        return inverse("inverse", self)

    def pinverse(self, rcond=1e-15):
        """The pseudoinverse: `linalg.pinv` with rtol=rcond.

        >>> import minidl
        >>> minidl.tensor([[2.0], [0.0]]).pinverse()
        tensor([[0.5000, 0.0000]])
        """
        return pseudoinverse("pinverse", self, None, number("pinverse", "rcond", rcond))

    def matrix_power(self, n):
        """x @ x … @ x, n times; for n < 0 of the inverse; for 0 the identity.

        >>> import minidl
        >>> minidl.tensor([[1.0, 1.0], [0.0, 1.0]]).matrix_power(3)
        tensor([[1., 3.],
                [0., 1.]])
        """
        square("matrix_power", self)
        n = integer("matrix_power", n)
        if n == 0:
            one = wrap(np.eye(self.shape[-1], dtype=self.dtype))
            return self * 0 + one if self.isfinite().all() else one.expand(self.shape)
        x, n = (inverse("matrix_power", self), -n) if n < 0 else (self, n)
        result = None
        while n:
            if n & 1:
                result = x if result is None else result @ x
            n >>= 1
            x = x @ x if n else x
        return result

    def matrix_exp(self):
        """1 + x + x x/2! + x x x/3! + …, of square matrices.

        Computed of x/2ˢ, whose norm is at most 1/2, and squared s times (Moler and Van Loan, 2003, method 3).

        >>> import minidl
        >>> minidl.tensor([[0.0, 1.0], [0.0, 0.0]]).matrix_exp()
        tensor([[1., 1.],
                [0., 1.]])
        """
        square("matrix_exp", self)
        squarings = _squarings(self.array)
        x = self * 0.5**squarings
        one = wrap(np.eye(self.shape[-1], dtype=self.dtype))
        y = one.expand(self.shape)
        for k in range(_TERMS[self.itemsize], 0, -1):
            y = one + (x @ y) / k
        for _ in range(squarings):
            y = y @ y
        return y

    def cholesky(self, upper=False):
        """L, lower triangular, with L Lᵀ = x, of symmetric positive definite x (the lower triangle is read); or Lᵀ.

        >>> import minidl
        >>> minidl.tensor([[4.0, 2.0], [2.0, 2.0]]).cholesky()
        tensor([[2., 0.],
                [1., 1.]])
        """
        square("cholesky", self)
        L = existing("cholesky", "a matrix is not positive definite", ops.Cholesky(), symmetric(self, True))
        return L.mT if flag("cholesky", "upper", upper) else L

    def qr(self, some=True):
        """(Q, R) with x = Q R: `linalg.qr`, with some=False in the mode "complete".

        >>> import minidl
        >>> minidl.tensor([[3.0], [4.0]]).qr().Q.abs()
        tensor([[0.6000],
                [0.8000]])
        """
        return orthogonal("qr", self, "reduced" if flag("qr", "some", some) else "complete")

    def svd(self, some=True, compute_uv=True):
        """(U, S, V) with x = U diag(S) Vᵀ. V is not transposed, as it is in `linalg.svd`, and some=False makes U and V square.

        >>> import minidl
        >>> minidl.tensor([[0.0, 2.0], [1.0, 0.0]]).svd().S
        tensor([2., 1.])
        """
        if not flag("svd", "compute_uv", compute_uv):
            raise NotImplementedError("svd: compute_uv=False is not supported; use minidl.linalg.svdvals")
        matrices("svd", self)
        U, S, Vh = existing("svd", "the computation did not converge", ops.SVD(not flag("svd", "some", some)), self)
        return SVDResult(U, S, Vh.mT)


def inverse(name, x):
    square(name, x)
    return existing(name, "a matrix is singular", ops.Inverse(), x)


def pseudoinverse(name, x, atol, rtol, hermitian=False):
    x, atol, rtol = with_tolerances(name, x, atol, rtol, hermitian)
    return existing(name, "the computation did not converge", ops.PseudoInverse(atol, rtol), x)


def with_tolerances(name, x, atol, rtol, hermitian):
    """x, mirrored if it is hermitian, and both tolerances as numbers."""
    matrices(name, x)
    if flag(name, "hermitian", hermitian):
        square(name, x)
        x = symmetric(x, True)
    rtol = (np.finfo(x.dtype).eps * max(x.shape[-2:]) if atol is None else 0.0) if rtol is None else number(name, "rtol", rtol)
    atol = 0.0 if atol is None else number(name, "atol", atol)
    if not (atol >= 0 and rtol >= 0):
        raise ValueError(f"{name}: atol and rtol must be 0 or more, got {atol} and {rtol}")
    return x, atol, rtol


def orthogonal(name, x, mode):
    """(Q, R) in a mode of `linalg.qr`."""
    matrices(name, x)
    one_of(name, "mode", mode, ("reduced", "complete", "r"))
    m, n = x.shape[-2:]
    if mode == "r" or (mode == "complete" and m > n):
        if x.requires_grad:
            raise RuntimeError(f"{name}: mode {mode!r} has no gradient for {x.shape}; use mode='reduced', or .detach()")
        q, r = np.linalg.qr(x.array, "complete" if mode == "complete" else "reduced")
        return QRResult(wrap(q if mode == "complete" else np.zeros(0, x.dtype)), wrap(r))
    q, r = apply(ops.QR(), x[..., :m])
    if n > m:  # the other columns in terms of Q
        r = apply(ops.Cat(r.ndim - 1), r, q.mT @ x[..., m:])
    return QRResult(q, r)


@repeatable
def _squarings(x):
    """How often x has to be halved for a norm of at most 1/2."""
    norm = np.abs(x).sum(-1, dtype=np.float64).max(initial=0)
    return max(0, math.frexp(norm)[1] + 1) if math.isfinite(norm) else 0
