"""15. Attention: y = softmax(q kᵀ/√d) v

q: (…, T, d), k: (…, S, d), v: (…, S, e). Each row of y is a mean of the rows of v, weighted by how well q fits k.
"""

import numpy as np


class Attention:
    """y = softmax(q kᵀ/√d) v"""

    def forward(self, q, k, v):
        self.q, self.k, self.v = q, k, v
        self.scale = float(1 / np.sqrt(q.shape[-1]))
        scores = q @ np.swapaxes(k, -1, -2) * self.scale
        e = np.exp(scores - scores.max(-1, keepdims=True))
        self.p = e / e.sum(-1, keepdims=True)
        return self.p @ v

    def backward(self, dy):
        """Returns (dq, dk, dv)."""
        # y = p v, p = softmax(s), s = q kᵀ·scale: the rules of exercises 7 and 10, from the end to the beginning.
        dp = dy @ np.swapaxes(self.v, -1, -2)
        ds = self.p * (dp - (dp * self.p).sum(-1, keepdims=True)) * self.scale
        return ds @ self.k, np.swapaxes(ds, -1, -2) @ self.q, np.swapaxes(self.p, -1, -2) @ dy
