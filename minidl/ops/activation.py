"""Activation functions, which make a network nonlinear, and dropout. Each backward is one pass over the array."""

import numpy as np

from .. import kernels
from .base import Op

__all__ = [
    "ELU",
    "GELU",
    "Dropout",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
]


class ReLU(Op):
    """y = max(x, 0)
    dx = dy where x > 0, and 0 where x ≤ 0 (the left derivative at 0)
    """

    warns = False

    def forward(self, x):
        self.y = kernels.relu(x)  # y > 0 exactly where x > 0, so x need not be kept
        return self.y

    def backward(self, dy):
        return kernels.relu_backward(dy, self.y)


class LeakyReLU(Op):
    """y = x where x > 0, else slope·x
    dx = dy where x > 0, else slope·dy
    """

    def __init__(self, slope):
        self.slope = slope

    def forward(self, x):
        self.x = x
        return kernels.leaky_relu(x, self.slope)

    def backward(self, dy):
        return kernels.leaky_relu_backward(dy, self.x, self.slope)


class ELU(Op):
    """y = x where x > 0, else α(eˣ − 1)
    dx = dy where x > 0, else dy·α·eˣ
    """

    def __init__(self, alpha):
        self.alpha = alpha

    def forward(self, x):
        self.x = x
        return kernels.elu(x, self.alpha)

    def backward(self, dy):
        return kernels.elu_backward(dy, self.x, self.alpha)


class GELU(Op):
    """y = x·Φ(x), Φ the normal distribution function: ½(1 + erf(x/√2)), or its approximation by tanh
    the product rule:  dx = dy·(Φ(x) + x·φ(x)), φ the normal density
    """

    def __init__(self, approximate):
        self.approximate = approximate == "tanh"

    def forward(self, x):
        self.x = x
        return kernels.gelu(x, self.approximate)

    def backward(self, dy):
        return kernels.gelu_backward(dy, self.x, self.approximate)


class SiLU(Op):
    """y = x·σ(x)
    the product rule:  dx = dy·σ(x)·(1 + x·(1 − σ(x)))
    """

    def forward(self, x):
        self.x = x
        return kernels.silu(x)

    def backward(self, dy):
        return kernels.silu_backward(dy, self.x)


class Softplus(Op):
    """y = ln(1 + e^{βx})/β, and x itself where βx > threshold
    dx = dy·σ(βx), and dy beyond the threshold
    """

    def __init__(self, beta, threshold):
        self.beta, self.threshold = beta, threshold

    def forward(self, x):
        self.x = x
        return kernels.softplus(x, self.beta, self.threshold)

    def backward(self, dy):
        return kernels.softplus_backward(dy, self.x, self.beta, self.threshold)


class Sigmoid(Op):
    """y = 1/(1 + e⁻ˣ)
    dx = dy·y(1 − y), at most ¼ of dy
    """

    def forward(self, x):
        self.y = kernels.sigmoid(x)
        return self.y

    def backward(self, dy):
        return kernels.sigmoid_backward(dy, self.y)


class LogSigmoid(Op):
    """y = ln σ(x) = −ln(1 + e⁻ˣ)
    dx = dy·(1 − σ(x)) = dy·σ(−x)
    """

    def forward(self, x):
        self.x = x
        return kernels.logsigmoid(x)

    def backward(self, dy):
        return kernels.logsigmoid_backward(dy, self.x)


class Tanh(Op):
    """y = (1 − e⁻²ˣ)/(1 + e⁻²ˣ)
    dx = dy·(1 − y²)
    """

    def forward(self, x):
        self.y = kernels.tanh(x)
        return self.y

    def backward(self, dy):
        return kernels.tanh_backward(dy, self.y)


class Hardtanh(Op):
    """y = x, but at least low and at most high
    dx = 0 where x ≤ low or x ≥ high, as in PyTorch, and dy elsewhere, also where x is NaN
    """

    def __init__(self, low, high):
        self.low, self.high = low, high

    def forward(self, x):
        self.x = x
        return np.clip(x, self.low, self.high)

    def backward(self, dy):
        return np.where((self.x <= self.low) | (self.x >= self.high), 0, dy)


class Hardswish(Op):
    """y = x·h, where h = x/6 + ½, but at least 0 and at most 1
    the product rule where −3 < x < 3:  dx = dy·(x/3 + ½);  dx = 0 where x ≤ −3, dy where x ≥ 3
    """

    def forward(self, x):
        self.x = x
        return x * np.clip(x / 6 + 0.5, 0, 1)

    def backward(self, dy):
        return np.where(self.x <= -3, 0, np.where(self.x >= 3, dy, dy * (self.x / 3 + 0.5)))


class Softsign(Op):
    """y = x/(1 + |x|)
    dy/dx = 1/(1 + |x|) − |x|/(1 + |x|)² = 1/(1 + |x|)²; x is kept, since 1 − |y| has no digits left where |x| is large
    """

    def forward(self, x):
        self.x = x
        return x / (1 + np.abs(x))

    def backward(self, dy):
        size = 1 + np.abs(self.x)
        return dy / size / size


class Dropout(Op):
    """y = x·mask, where mask holds 0 for what is dropped and 1/(1 − p) for what stays, so that E[y] = x
    dx = dy·mask
    """

    linear = True

    def __init__(self, mask):
        self.mask = mask

    def forward(self, x):
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask
