"""Softmax and its logarithm, along one axis; and the loss made of them, in one pass."""

from .. import kernels
from .base import Op

__all__ = ["CrossEntropy", "CrossEntropySoft", "LogSoftmax", "Softmax"]


class Softmax(Op):
    """y_i = e^{x_i} / Σ_k e^{x_k}
    a larger x_j raises y_j and, through the sum, lowers all y:  dx = y·(dy − Σ_k dy_k y_k)
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
    the derivative of ln Σ eˣ is the softmax, e^y:  dx = dy − e^y·Σ_k dy_k
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
    the softmax, minus 1 at the label:  dx_n = dy_n·(softmax(x_n) − onehot(label_n))
    With smoothing ε the one-hot becomes (1 − ε)·onehot + ε/C; each class counts with its weight; an ignored label gives 0.
    """

    warns = False
    constants = ("weight", "numbers")
    alarm = "numbers"  # numbers[0] is the place of a label that is out of range

    def __init__(self, labels, weight, ignore_index, smoothing, mean=False):
        self.labels, self.weight, self.ignore_index, self.smoothing = labels, weight, ignore_index, smoothing
        self.mean = mean  # of `CrossEntropyTotal`

    def forward(self, x):
        self.x = x  # and two numbers for each row, in shift_and_log: the probabilities are made again when they are needed
        options = self.labels, self.weight, self.ignore_index, self.smoothing
        y, self.shift_and_log, self.numbers, _ = kernels.cross_entropy(x, *options)
        return y

    def backward(self, dy):
        options = self.labels, self.weight, self.ignore_index, self.smoothing
        return kernels.cross_entropy_backward(dy, self.x, self.shift_and_log, *options)


class CrossEntropySoft(Op):
    """y_n = −Σ_k t_nk·ln softmax(x_n)_k, for target probabilities t
    dx_n = dy_n·(softmax(x_n)·Σ_k t_nk − t_n);   dt_n = −dy_n·ln softmax(x_n)
    With smoothing ε, t becomes (1 − ε)·t + ε/C; each class counts with its weight.
    """

    constants = ("weight",)

    def __init__(self, weight, smoothing):
        self.weight, self.smoothing = weight, smoothing

    def forward(self, x, t):
        y, self.shift_and_log = kernels.cross_entropy_soft(x, t, self.weight, self.smoothing)
        self.x, self.t = x, t if self.needs[0] else None
        return y

    def backward(self, dy):
        x, t = self.needs
        dx = (
            kernels.cross_entropy_soft_backward(dy, self.x, self.shift_and_log, self.t, self.weight, self.smoothing)
            if x
            else None
        )
        dt = (
            kernels.cross_entropy_soft_backward_targets(dy, self.x, self.shift_and_log, self.weight, self.smoothing)
            if t
            else None
        )
        return dx, dt
