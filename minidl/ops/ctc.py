"""Connectionist temporal classification: a loss for a sequence of labels whose steps in the input are not known."""

import numpy as np

from .. import kernels
from .base import Op

__all__ = ["CTC"]


class CTC(Op):
    """y_n = −ln Σ_a Π_t e^{x_t,n,a_t}, over all alignments a of target n to the steps
    x_tnc is a term of the alignments that have c at step t:  dx_tnc = −dy_n·P(a_t = c | target n)
    With zero_infinity, a target that has no alignment gives y_n = 0 and dx = 0; else y_n = ∞ and dx is NaN.
    """

    def __init__(self, targets, lengths, sizes, blank=0, zero_infinity=False):
        self.lists, self.zero_infinity = (targets, lengths, sizes, blank), zero_infinity

    def forward(self, x):
        self.x = x
        y = kernels.ctc_forward(x, *self.lists)
        self.impossible = np.isposinf(y)
        return np.where(self.impossible, y.dtype.type(0), y) if self.zero_infinity else y

    def backward(self, dy):
        dx = kernels.ctc_backward(dy, self.x, *self.lists)
        if self.impossible.any():
            dx[:, self.impossible] = 0 if self.zero_infinity else np.nan
        return dx
