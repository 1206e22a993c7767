"""11. LogSoftmax: y = x − ln Σ eˣ along the last axis"""

import numpy as np


class LogSoftmax:
    """yᵢ = xᵢ − ln Σⱼ e^xⱼ"""

    def forward(self, x):
        shifted = x - x.max(-1, keepdims=True)
        self.y = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        return self.y

    def backward(self, dy):
        """Returns dx."""
        # xⱼ is in its own y with 1, and in every y of the row with −∂ ln Σ eˣ/∂xⱼ, which is −softmax(x)ⱼ.
        return dy - np.exp(self.y) * dy.sum(-1, keepdims=True)
