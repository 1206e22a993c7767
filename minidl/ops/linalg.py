"""What linear algebra knows of a square matrix as a whole."""

import numpy as np

from .base import Op


class LogDet(Op):
    """y = ln |det x|, of the matrices in the last two axes; −∞ for a singular one, which has no gradient
    det x is linear in x[i,j], with its cofactor as the slope, and the inverse is cofactors over det:  dx = dy·x⁻ᵀ
    """

    def forward(self, x):
        self.x = x
        return np.linalg.slogdet(x)[1]

    def backward(self, dy):
        return dy[..., None, None] * np.swapaxes(np.linalg.inv(self.x), -1, -2)
