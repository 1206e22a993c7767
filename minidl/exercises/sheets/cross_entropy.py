"""12. CrossEntropy: y = the mean over the rows of −ln softmax(x)[label]

x are logits, of shape (N, classes); labels has N whole numbers. y is one number.
"""

import numpy as np


class CrossEntropy:
    """y = −1/N Σₙ ln softmax(xₙ)[labelₙ]"""

    def __init__(self, labels):
        self.labels = labels

    def forward(self, x):
        shifted = x - x.max(-1, keepdims=True)
        self.log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        return -self.log_p[np.arange(len(x)), self.labels].mean()

    def backward(self, dy):
        """Returns dx."""
        # Of one row: softmax(x) − onehot(label), what was predicted less what was right. The mean divides by N.
        dx = np.exp(self.log_p)
        dx[np.arange(len(dx)), self.labels] -= 1
        return dx * (dy / len(dx))
