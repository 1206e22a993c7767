"""What linear algebra knows of a square matrix as a whole: its determinant, its root, its inverse times another."""

import numpy as np

from .base import Op, unbroadcast

__all__ = ["Cholesky", "Inverse", "LogDet", "SolveTriangular"]


class Inverse(Op):
    """y = x⁻¹, of the matrices in the last two axes
    y x = 1 stays so:  (dy)x + y(dx) = 0 for the changes of both, and read backwards  dx = −yᵀ dy yᵀ
    """

    def forward(self, x):
        self.y = np.linalg.inv(x)
        return self.y

    def backward(self, dy):
        transposed = np.swapaxes(self.y, -1, -2)
        return -(transposed @ dy @ transposed)


class LogDet(Op):
    """y = ln |det x|, of the matrices in the last two axes; −∞ for a singular one, which has no gradient
    det x is linear in x[i,j], with its cofactor as the slope, and the inverse is cofactors over det:  dx = dy·x⁻ᵀ
    """

    def forward(self, x):
        self.x = x
        return np.linalg.slogdet(x)[1]

    def backward(self, dy):
        return dy[..., None, None] * np.swapaxes(np.linalg.inv(self.x), -1, -2)


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
