"""10. Softmax: y = eˣ / Σ eˣ along the last axis

Each number of y depends on all the x of its row.
"""

import numpy as np


class Softmax:
    """yᵢ = e^xᵢ / Σⱼ e^xⱼ"""

    def forward(self, x):
        e = np.exp(x - x.max(-1, keepdims=True))
        self.y = e / e.sum(-1, keepdims=True)
        return self.y

    def backward(self, dy):
        """Returns dx."""
        # ∂yᵢ/∂xⱼ = yᵢ·(1 if i is j, else 0) − yᵢ·yⱼ
        return self.y * (dy - (dy * self.y).sum(-1, keepdims=True))
