"""Linear algebra: inverse, determinant, triangular and orthogonal factors, eigenvalues, solutions of linear systems."""

import numpy as np

from .base import Op, unbroadcast
from .scan import products_before

__all__ = ["QR", "SVD", "Cholesky", "Det", "Eigh", "Inverse", "LogDet", "PseudoInverse", "Solve", "SolveTriangular"]


def is_above(s, atol, rtol):
    """Which singular values count: those above atol, and above rtol times the largest, which may be beyond all numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        return s > np.maximum(atol, rtol * s.max(-1, keepdims=True, initial=0))


class Inverse(Op):
    """y = x⁻¹, of the matrices in the last two axes
    y x = 1. For small changes δ: (δy)x + y(δx) = 0, so δy = −y (δx) y, and the gradient is  dx = −yᵀ dy yᵀ
    """

    def forward(self, x):
        self.y = np.linalg.inv(x)
        return self.y

    def backward(self, dy):
        transposed = np.swapaxes(self.y, -1, -2)
        return -(transposed @ dy @ transposed)


class PseudoInverse(Op):
    """y = x⁺, with x y x = x, y x y = y, x y and y x symmetric; singular values up to atol, or to rtol times the largest, are 0
    dx = −yᵀ dy yᵀ + (1 − x y) dyᵀ y yᵀ + yᵀ y dyᵀ (1 − y x), while the rank stays (Golub & Pereyra 1973): the first part as
    of the inverse, the others from 1 − x y and 1 − y x, which stay projections. No singular values need be apart.
    """

    def __init__(self, atol, rtol):
        self.atol, self.rtol = atol, rtol

    def forward(self, x):
        self.x = x
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        kept = is_above(s, self.atol, self.rtol)
        inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(x.dtype)
        self.y = np.swapaxes(vt, -1, -2) @ (inverse[..., None] * np.swapaxes(u, -1, -2))
        return self.y

    def backward(self, dy):
        x, y = self.x, self.y
        yt, dyt = np.swapaxes(y, -1, -2), np.swapaxes(dy, -1, -2)
        rest = dyt @ y @ yt
        other = yt @ y @ dyt
        return -yt @ dy @ yt + rest - x @ y @ rest + other - other @ y @ x


class LogDet(Op):
    """y = ln |det x|, of the matrices in the last two axes; −∞ for a singular one, which has no gradient
    det x is linear in x[i,j], with its cofactor as the slope, and the inverse is cofactors over det:  dx = dy·x⁻ᵀ
    """

    def forward(self, x):
        self.x = x
        return np.linalg.slogdet(x)[1]

    def backward(self, dy):
        try:
            inverse = np.linalg.inv(self.x)
        except np.linalg.LinAlgError:
            raise np.linalg.LinAlgError("slogdet, logdet: a singular matrix has no gradient") from None
        return dy[..., None, None] * np.swapaxes(inverse, -1, -2)


class Cholesky(Op):
    """y = L, lower triangular with a diagonal above 0, L Lᵀ = x, of symmetric matrices x; an x that is not is averaged with xᵀ
    dx = L⁻ᵀ Φ(Lᵀ dy) L⁻¹, Φ(m) the lower triangle with half its diagonal, averaged with its transpose:
    from dx = dL Lᵀ + L dLᵀ, L⁻¹ dx L⁻ᵀ is L⁻¹dL, which is lower triangular, plus its transpose. (Murray 2016)
    """

    def forward(self, x):
        self.y = np.linalg.cholesky((x + np.swapaxes(x, -1, -2)) / 2)
        return self.y

    def backward(self, dy):
        transposed = np.swapaxes(self.y, -1, -2)
        phi = np.tril(transposed @ dy) * (1 - np.eye(dy.shape[-1], dtype=dy.dtype) / 2)
        half = np.linalg.solve(transposed, phi)  # L⁻ᵀ Φ, then times L⁻¹ from the right
        dx = np.swapaxes(np.linalg.solve(transposed, np.swapaxes(half, -1, -2)), -1, -2)
        return (dx + np.swapaxes(dx, -1, -2)) / 2


class SolveTriangular(Op):
    """y with a y = b: the lower triangles a (…, n, n), of which nothing above the diagonal is read, b and y (…, n, m)
    db = a⁻ᵀ dy, as y = a⁻¹ b is linear in b;  da = −db yᵀ in the lower triangle, as da y + a dy = 0
    """

    def forward(self, a, b):
        self.a = a
        self.y = np.linalg.solve(np.tril(a), b)
        return self.y

    def backward(self, dy):
        a, b = self.needs
        db = np.linalg.solve(np.swapaxes(np.tril(self.a), -1, -2), dy)
        da = unbroadcast(-np.tril(db @ np.swapaxes(self.y, -1, -2)), a.shape) if a else None
        return da, unbroadcast(db, b.shape) if b else None


class Solve(Op):
    """y with a y = b: square matrices a (…, n, n), b and y (…, n, m)
    db = a⁻ᵀ dy, as y = a⁻¹ b is linear in b;  da = −db yᵀ, as da y + a dy = 0
    """

    def forward(self, a, b):
        self.a = a
        self.y = np.linalg.solve(a, b)
        return self.y

    def backward(self, dy):
        a, b = self.needs
        db = np.linalg.solve(np.swapaxes(self.a, -1, -2), dy)
        da = unbroadcast(-(db @ np.swapaxes(self.y, -1, -2)), a.shape) if a else None
        return da, unbroadcast(db, b.shape) if b else None


class Det(Op):
    """y = det x, of the matrices in the last two axes
    det x is linear in x[i,j], with its cofactor as the slope:  dx = dy·C
    With x = u s vᵀ, C = det u·det v·u c vᵀ, c_i the product of the other s_j: so this holds for singular matrices, too.
    """

    def forward(self, x):
        self.x = x
        return np.linalg.det(x)

    def backward(self, dy):
        if not self.x.shape[-1]:
            return np.zeros(self.x.shape, dy.dtype)
        u, s, vt = np.linalg.svd(self.x)
        others = products_before(s, -1) * np.flip(products_before(np.flip(s, -1), -1), -1)
        sign = np.linalg.det(u) * np.linalg.det(vt)
        return (dy * sign)[..., None, None] * ((u * others[..., None, :]) @ vt)


class Eigh(Op):
    """w, v: the eigenvalues of symmetric x in rising order, and in the columns of v their vectors; x is averaged with xᵀ
    dx = v (diag dw + f∘(vᵀ dv)) vᵀ,  f_ij = 1/(w_j − w_i), 0 on the diagonal: v moves by v (f∘(vᵀ dx v)), as vᵀ dv is
    antisymmetric, and w by the diagonal of vᵀ dx v. Equal eigenvalues have no vectors of their own: then f is infinite.
    """

    def forward(self, x):
        self.x = x
        self.w, self.v = np.linalg.eigh((x + np.swapaxes(x, -1, -2)) / 2)
        return self.w, self.v

    def backward(self, dy):
        dw, dv = dy
        v, w = self.v, self.w
        transposed, one = np.swapaxes(v, -1, -2), np.eye(w.shape[-1], dtype=w.dtype)
        inner = 0 if dw is None else dw[..., None, :] * one
        if dv is not None:
            inner = inner + _gaps(w) * (transposed @ dv)
        dx = v @ inner @ transposed
        return (dx + np.swapaxes(dx, -1, -2)) / 2


class SVD(Op):
    """u, s, vᵀ with x = u diag(s) vᵀ: s falling and at least 0, the columns of u and of v orthonormal
    dx = u (f∘skew(uᵀ du)·s + s·f∘skew(vᵀ dv) + diag ds) vᵀ + (1 − u uᵀ) du s⁻¹ vᵀ + u s⁻¹ dvᵀ (1 − v vᵀ),
    f_ij = 1/(s_j² − s_i²), 0 on the diagonal, skew(m) = m − mᵀ. (Townsend 2016)
    With `full`, u and v are square; the columns added to them are arbitrary, and have no gradient.
    """

    def __init__(self, full=False):
        self.full = full

    def forward(self, x):
        self.x = x
        *stack, m, n = x.shape
        if not self.full and min(m, n) == 0:  # of no rows LAPACK makes as many columns as there are, one by one
            u, s, vt = (np.zeros((*stack, *shape), x.dtype) for shape in ((m, 0), (0,), (0, n)))
        else:
            u, s, vt = np.linalg.svd(x, full_matrices=self.full)
        k = s.shape[-1]
        self.u, self.s, self.vt = u[..., :k], s, vt[..., :k, :]
        return u, s, vt

    def backward(self, dy):
        du, ds, dvt = dy
        u, s, vt = self.u, self.s, self.vt
        k, (rows, columns) = s.shape[-1], self.x.shape[-2:]
        inner = 0 if ds is None else ds[..., None, :] * np.eye(k, dtype=s.dtype)
        outer = 0
        if du is not None:
            du = du[..., :k]
            within = np.swapaxes(u, -1, -2) @ du
            inner = inner + _gaps(s * s) * (within - np.swapaxes(within, -1, -2)) * s[..., None, :]
            if rows > k:
                outer = outer + (du - u @ within) / s[..., None, :] @ vt
        if dvt is not None:
            dvt = dvt[..., :k, :]
            within = dvt @ np.swapaxes(vt, -1, -2)
            inner = inner + s[..., None] * (_gaps(s * s) * (np.swapaxes(within, -1, -2) - within))
            if columns > k:
                outer = outer + u @ ((dvt - within @ vt) / s[..., None])
        return u @ inner @ vt + outer


def _gaps(w):
    """1/(w_j − w_i), and 0 on the diagonal."""
    same = np.eye(w.shape[-1], dtype=bool)
    return (1 - np.eye(w.shape[-1], dtype=w.dtype)) / np.where(same, 1.0, w[..., None, :] - w[..., None])


class QR(Op):
    """q, r with x = q r: the columns of q orthonormal, r upper triangular; x has at least as many rows as columns
    dx = (dq + q m) r⁻ᵀ, m symmetric, its upper triangle that of dr rᵀ − qᵀ dq
    From dx = dq r + q dr: qᵀ dx r⁻¹ = qᵀdq + dr r⁻¹, antisymmetric plus upper triangular. (Walter & Lehmann 2018)
    """

    def forward(self, x):
        self.x = x
        self.q, self.r = np.linalg.qr(x)
        return self.q, self.r

    def backward(self, dy):
        dq, dr = dy
        q, r = self.q, self.r
        inner = 0 if dr is None else dr @ np.swapaxes(r, -1, -2)
        inner = inner if dq is None else inner - np.swapaxes(q, -1, -2) @ dq
        upper = np.triu(inner)
        upper = upper + np.swapaxes(upper, -1, -2)
        upper = upper * (1 - np.eye(r.shape[-1], dtype=r.dtype) / 2)  # what is on the diagonal was taken twice
        dx = q @ upper if dq is None else dq + q @ upper
        return np.swapaxes(np.linalg.solve(r, np.swapaxes(dx, -1, -2)), -1, -2)
