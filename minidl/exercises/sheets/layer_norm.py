"""13. LayerNorm: y = (x − μ)/σ along the last axis

μ is the mean of the row, σ = √(variance + ε), with the variance Σ(x − μ)²/n. Both depend on x.
"""

import numpy as np


class LayerNorm:
    """y = (x − μ)/√(var + ε)"""

    def __init__(self, eps):
        self.eps = eps

    def forward(self, x):
        centred = x - x.mean(-1, keepdims=True)
        self.std = np.sqrt((centred**2).mean(-1, keepdims=True) + self.eps)
        self.y = centred / self.std
        return self.y

    def backward(self, dy):
        """Returns dx."""
        # Through x itself dy/σ; through μ less the mean of dy; through σ less y times the mean of dy·y.
        mean = dy.mean(-1, keepdims=True)
        along = (dy * self.y).mean(-1, keepdims=True)
        return (dy - mean - self.y * along) / self.std
