"""Softmax and its logarithm, along one axis; and the loss made of them, in one pass."""

import numpy as np

from .. import kernels
from .base import Op


class Softmax(Op):
    """y_i = e^{x_i} / Σ_k e^{x_k}
    raising x_j lifts y_j and, through the sum, lowers all:  dx = y·(dy − Σ_k dy_k y_k)
    A row that is −inf throughout gives zeros.
    """

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        self.y = kernels.softmax(x, self.axis)
        return self.y

    def backward(self, dy):
        return kernels.softmax_backward(dy, self.y, self.axis)


class LogSoftmax(Op):
    """y_i = x_i − ln Σ_k e^{x_k}
    the sum's slope is softmax = e^y:  dx = dy − e^y·Σ_k dy_k
    """

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        self.y = kernels.log_softmax(x, self.axis)
        return self.y

    def backward(self, dy):
        return kernels.log_softmax_backward(dy, self.y, self.axis)


class CrossEntropy(Op):
    """y_n = ln Σ_k e^{x_nk} − x_n,label: the loss of each row of logits, in nats
    softmax less one at the label:  dx_n = dy_n·(softmax(x_n) − onehot(label_n))
    With smoothing ε the one-hot becomes (1 − ε)·onehot + ε/C; each class counts with its weight; an ignored label gives 0.
    """

    def __init__(self, labels, weight, ignore_index, smoothing):
        self.labels, self.weight, self.ignore_index, self.smoothing = labels, weight, ignore_index, smoothing

    def forward(self, x):
        y, lse = kernels.cross_entropy(x, self.labels, self.weight, self.ignore_index, self.smoothing)
        self.x, self.lse = x, lse  # one number for each row; the probabilities are made again when they are needed
        return y

    def backward(self, dy):
        return kernels.cross_entropy_backward(dy, self.x, self.lse, self.labels, self.weight, self.ignore_index, self.smoothing)


class CrossEntropySoft(Op):
    """y_n = −Σ_k t_nk·ln softmax(x_n)_k, for target probabilities t
    dx_n = dy_n·(softmax(x_n)·Σ_k t_nk − t_n);   dt_n = −dy_n·ln softmax(x_n)
    With smoothing ε, t becomes (1 − ε)·t + ε/C; each class counts with its weight.
    """

    def __init__(self, weight, smoothing):
        self.weight, self.smoothing = weight, smoothing

    def forward(self, x, t):
        self.logp = kernels.log_softmax(x, -1)
        self.t = (1 - self.smoothing) * t + self.smoothing / x.shape[-1]
        if self.weight is not None:
            self.t = self.t * self.weight
        return -_product(self.t, self.logp).sum(-1)

    def backward(self, dy):
        dy = dy[:, None]
        x, t = self.needs
        dx = dy * (kernels.exp(self.logp) * self.t.sum(-1, keepdims=True) - self.t) if x else None
        dt = -dy * (1 - self.smoothing) * self.logp if t else None
        if dt is not None and self.weight is not None:
            dt = dt * self.weight
        return dx, dt


def _product(t, logp):
    # 0 · −inf is NaN, but what has no target probability has no part in the loss
    return np.where(t == 0, t, t * np.where(t == 0, t, logp))
