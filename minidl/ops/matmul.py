"""Products of matrices. No transposed copy is made here: the kernel takes operands in any layout."""

import numpy as np

from .. import kernels
from .base import Op, unbroadcast

__all__ = ["Einsum", "Linear", "MatMul"]


def transpose(x):
    return np.swapaxes(x, -1, -2)


class MatMul(Op):
    """y[i,j] = Σ_k a[i,k] b[k,j]
    ∂y[i,j]/∂a[i,k] = b[k,j], so Σ_j dy[i,j] b[k,j]:   da = dy bᵀ
    ∂y[i,j]/∂b[k,j] = a[i,k], so Σ_i a[i,k] dy[i,j]:   db = aᵀ dy
    Leading axes are batches and broadcast; a vector is a matrix with one row (a) or one column (b).
    """

    warns = False

    def forward(self, a, b):
        self.a = a if self.needs[1] else None
        self.b = b if self.needs[0] else None
        self.ranks = a.ndim, b.ndim
        return kernels.matmul(a, b)

    def backward(self, dy):
        a, b = self.needs
        row, column = (n == 1 for n in self.ranks)
        if column:
            dy = dy[..., None]
        if row:
            dy = dy[..., None, :]
        da = db = None
        if a:
            b_matrix = self.b[:, None] if column else self.b
            da = kernels.matmul(dy, transpose(b_matrix))
            da = unbroadcast(da[..., 0, :] if row else da, a.shape)
        if b:
            a_matrix = self.a[None, :] if row else self.a
            db = kernels.matmul(transpose(a_matrix), dy)
            db = unbroadcast(db[..., 0] if column else db, b.shape)
        return da, db


class Linear(Op):
    """y[n,o] = Σ_i x[n,i] w[o,i] + b[o]
    ∂y[n,o]/∂x[n,i] = w[o,i], so Σ_o dy[n,o] w[o,i]:  dx = dy w
    ∂y[n,o]/∂w[o,i] = x[n,i], so Σ_n dy[n,o] x[n,i]:  dw = dyᵀ x
    b[o] is added to every row of y:                  db = Σ_n dy[n,:]
    """

    warns = False

    def forward(self, x, w, b=None):
        self.x = x if self.needs[1] else None
        self.w = w if self.needs[0] else None
        return kernels.linear(x, w, b)

    def backward(self, dy):
        gradients = kernels.linear_backward(dy, self.x, self.w, self.needs)
        return gradients if len(self.needs) == 3 else gradients[:2]


class Einsum(Op):
    """y[right] = Σ x₁[term₁]·x₂[term₂]·…, summed over every axis that is not on the right
    the derivative by one factor is the product of the others:  dx_i[term_i] = Σ dy[right]·Π_{j≠i} x_j[term_j]
    """

    def __init__(self, terms, right):
        self.terms, self.right = terms, right

    def forward(self, *xs):
        self.xs = xs
        return kernels.einsum(self.terms, self.right, *xs)

    def backward(self, dy):
        return tuple(self._gradient(i, dy) if need else None for i, need in enumerate(self.needs))

    def _gradient(self, i, dy):
        x, term = self.xs[i], self.terms[i]
        others = [(other, x) for j, (other, x) in enumerate(zip(self.terms, self.xs, strict=True)) if j != i]
        terms, arrays = [self.right, *(other for other, _ in others)], [dy, *(x for _, x in others)]
        # An axis that only x_i has was summed away: dx_i is the same all along it.
        return kernels.einsum(tuple(terms), term, *arrays, shape=x.shape)
