"""Losses, except the cross entropy, which is in `softmax`. Logarithms are natural: losses are in nats."""

import numpy as np

from .. import kernels
from .base import Op
from .softmax import CrossEntropy

__all__ = [
    "AbsoluteError",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithLogits",
    "CrossEntropyTotal",
    "EntropyFromLogits",
    "Huber",
    "KLDivergence",
    "NegativeLogLikelihood",
    "NegativeLogLikelihoodTotal",
    "RelativeEntropy",
    "SquaredError",
]


class Distance(Op):
    """y = ℓ(x − t), of each element, or their sum or mean over all n
    dx = dy·ℓ'(x − t), over n for the mean;  dt = −dx
    """

    def __init__(self, reduction):
        self.reduction = reduction

    def forward(self, x, t):
        self.d = x - t
        return self.reduced(self.loss(self.d))

    def reduced(self, y):
        if self.reduction == "none":
            return y
        return kernels.sum_over(y, tuple(range(y.ndim)), False, y.size if self.reduction == "mean" else 1)

    def backward(self, dy):
        x, t = self.needs
        if self.reduction == "mean":
            dy = dy / dy.dtype.type(max(np.size(self.d), 1))
        dx = dy * self.slope(self.d)
        return dx if x else None, -dx if t else None


class SquaredError(Distance):
    """y = (x − t)²
    dx = dy·2(x − t);  dt = −dx
    """

    def forward(self, x, t):
        if self.reduction == "none":  # two steps, which NumPy enters sooner
            self.d = x - t
            return self.d * self.d
        self.d, y = kernels.squared_error(x, t)
        return self.reduced(y)

    def backward(self, dy):
        x, t = self.needs
        if self.reduction == "none":
            dx = dy * (self.d + self.d)
        else:
            dx = kernels.squared_error_backward(dy, self.d, max(np.size(self.d), 1) if self.reduction == "mean" else 1)
        return dx if x else None, -dx if t else None


class AbsoluteError(Distance):
    """y = |x − t|
    dx = dy·sign(x − t), 0 where they are equal;  dt = −dx
    """

    def loss(self, d):
        return np.abs(d)

    def slope(self, d):
        return np.sign(d)


class Huber(Distance):
    """y = s·½d² where |d| ≤ δ, else s·δ(|d| − ½δ), for d = x − t: a parabola that goes on as its tangents (Huber, 1964)
    dx = dy·s·d, d held within ±δ;  dt = −dx
    """

    def __init__(self, reduction, delta, scale):
        super().__init__(reduction)
        self.delta, self.scale = float(delta), float(scale)  # NumPy numbers would widen float32

    def loss(self, d):
        size = np.abs(d)
        near = np.minimum(size, self.delta)
        return self.scale * near * (size - near / 2)

    def slope(self, d):
        return self.scale * np.clip(d, -self.delta, self.delta)


class CrossEntropyTotal(CrossEntropy):
    """y = 1/w Σ_n of the rows' cross entropies: their mean, w = Σ_n weight[label_n] (NaN if w = 0), or their sum, w = 1
    each row has the same dy_n = dy/w
    """

    def forward(self, x):
        self.x = x
        options = self.labels, self.weight, self.ignore_index, self.smoothing
        _, self.shift_and_log, self.numbers, y = kernels.cross_entropy(x, *options, self.mean)
        return y

    def backward(self, dy):
        options = self.labels, self.weight, self.ignore_index, self.smoothing
        return kernels.cross_entropy_backward(dy.ravel(), self.x, self.shift_and_log, *options, self.numbers)


class NegativeLogLikelihood(Op):
    """y_n = −w_n x[n, label_n], for log-probabilities x
    y depends on the label's element only:  dx[n, label_n] = −w_n dy_n
    A row of weight 0 (an ignored label) gives exactly 0, even if it holds NaN or infinity.
    """

    linear = True

    def __init__(self, labels, weights):
        self.labels, self.weights = labels, weights

    def forward(self, x):
        return kernels.negative_log_likelihood(x, self.labels, self.weights)

    def backward(self, dy):
        return kernels.negative_log_likelihood_backward(dy, self.labels, self.weights, self.needs[0].shape[1])


class NegativeLogLikelihoodTotal(Op):
    """y = −1/w Σ_n w_label x[n, label_n]: the mean over the rows, w = Σ_n w_label (NaN if w = 0), or the sum, w = 1
    each row's label has its part:  dx[n, label_n] = −w_label dy/w
    """

    warns = False
    linear = True
    constants = ("weight", "numbers")
    alarm = "numbers"  # numbers[0] is the place of a label that is out of range

    def __init__(self, labels, weight, ignore_index, mean):
        self.labels, self.weight, self.ignore_index, self.mean = labels, weight, ignore_index, mean

    def forward(self, x):
        total = kernels.negative_log_likelihood_total
        y, self.numbers = total(x, self.labels, self.weight, self.ignore_index, self.mean)
        return y

    def backward(self, dy):
        options = self.needs[0].shape[1], self.weight, self.ignore_index
        return kernels.negative_log_likelihood_total_backward(dy, self.labels, self.numbers, *options)


class BinaryCrossEntropy(Op):
    """y = −t·ln x − (1 − t)·ln(1 − x), for probabilities x; a logarithm below −100 counts as −100, as in PyTorch
    dx = dy·(x − t)/(x(1 − x)), the denominator at least 1e−12;  dt = dy·(ln(1 − x) − ln x)
    """

    def forward(self, x, t):
        self.x, self.t = x, t
        log, log_other = self._logarithms()
        return -(t * log + (1 - t) * log_other)

    def backward(self, dy):
        needs_x, needs_t = self.needs
        x, t = self.x, self.t
        dx = dy * (x - t) / np.maximum(x * (1 - x), 1e-12) if needs_x else None
        dt = None
        if needs_t:
            log, log_other = self._logarithms()
            dt = dy * (log_other - log)
        return dx, dt

    def _logarithms(self):
        return np.maximum(np.log(self.x), -100), np.maximum(np.log1p(-self.x), -100)


class BinaryCrossEntropyWithLogits(Op):
    """y = −t·ln σ(x) − (1 − t)·ln σ(−x) = max(x, 0) − x·t + ln(1 + e^−|x|), which never overflows
    dx = dy·(σ(x) − t);  dt = −dy·x
    """

    def forward(self, x, t):
        self.x, self.t = x, t
        return kernels.binary_cross_entropy_with_logits(x, t)

    def backward(self, dy):
        needs_x, needs_t = self.needs
        dx = kernels.binary_cross_entropy_with_logits_backward(self.x, self.t, dy) if needs_x else None
        return dx, -dy * self.x if needs_t else None


class RelativeEntropy(Op):
    """y = p·ln(p/q) − p + q, q where p = 0;  with log, p and q stand for their logarithms
    dp = dy·ln(p/q), given as 0 where p = 0;  dq = dy·(1 − p/q);  of the logarithms  dy·p·ln(p/q)  and  dy·(q − p)
    Of distributions −p + q sums to 0, and what is left is D(P‖Q). No term is below 0, and none loses digits where p is near q:
    with s = (p − q)/(p + q), ln(p/q) = 2 artanh s, so that y = (p − q)·s + 2p·(s³/3 + s⁵/5 + …).
    """

    def __init__(self, log=False):
        self.log = log

    def forward(self, p, q):
        self.p, self.q = p, q
        a, b = (np.exp(p), np.exp(q)) if self.log else (p, q)
        ratio = p - q if self.log else self._log_of_ratio(a, b)
        self.ratio = np.where(a == 0, p.dtype.type(0), ratio)
        d = a - b
        s = np.tanh(self.ratio / 2) if self.log else np.divide(d, a + b, out=np.zeros_like(d), where=a + b > 0)
        near = np.abs(s) < 0.125
        d = np.where(near & self.log, b * np.expm1(self.ratio), d)
        square, series = s * s, 0.0
        for k in range(19, 1, -2):
            series = (series + 1 / k) * square
        return np.where(a == 0, b, np.where(near, d * s + 2 * a * s * series, a * self.ratio - d))

    @staticmethod
    def _log_of_ratio(a, b):
        ratio = a / b
        apart = (ratio < np.finfo(ratio.dtype).tiny) | (ratio == np.inf)
        return np.where(apart, np.log(a) - np.log(b), np.log(ratio))

    def backward(self, dy):
        p, q = self.p, self.q
        if self.log:
            p, q = np.exp(p), np.exp(q)
            return dy * (p * self.ratio), dy * (q - p)
        return dy * self.ratio, dy * (1 - np.divide(p, q, out=np.zeros_like(p), where=p > 0))


class KLDivergence(Op):
    """y = t·(ln t − x) for log-probabilities x, and 0 where t = 0;  with log_target, t stands for ln t
    dx = −dy·t;  dt = dy·(ln t − x + 1);  d(ln t) = dy·t·(ln t − x + 1)
    Where t = 0 the slope −∞ of t·ln t is given as 0: through a softmax it is multiplied by 0, and −∞·0 would be NaN.
    """

    def __init__(self, log_target):
        self.log_target = log_target

    def forward(self, x, t):
        self.x, self.t = x, t
        self.p, log_p = (np.exp(t), t) if self.log_target else (t, np.log(np.where(t == 0, t.dtype.type(1), t)))
        self.gap = np.where(self.p == 0, t.dtype.type(0), log_p - x)
        return np.where(self.p == 0, t.dtype.type(0), self.p * self.gap)

    def backward(self, dy):
        x, t = self.needs
        dt = None
        if t:
            dt = dy * np.where(self.p == 0, 0, self.gap + 1)
            if self.log_target:
                dt *= self.p
        return -dy * self.p if x else None, dt


class EntropyFromLogits(Op):
    """y = −Σ_k p_k·ln p_k for p = softmax(x) along an axis, which is dropped
    dx_k = −dy·p_k·(ln p_k + y): a larger logit lowers the entropy if p_k is above e^−y
    Where p = 0, the term of y and dx are 0.
    """

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        logp = kernels.log_softmax(x, self.axis)
        self.x, self.p = x, np.exp(logp)
        self.logp = np.where(self.p == 0, x.dtype.type(0), logp)
        self.entropy = -(self.p * self.logp).sum(self.axis, keepdims=True)
        return self.entropy.squeeze(self.axis)

    def backward(self, dy):
        return -np.expand_dims(dy, self.axis) * self.p * (self.logp + self.entropy)
