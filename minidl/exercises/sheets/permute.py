"""8. Permute: y = x with its axes in another order

axes says where each axis of y comes from: y.shape[i] = x.shape[axes[i]]. axes = (1, 0) transposes a matrix.
"""

import numpy as np


class Permute:
    """y = x.transpose(axes)"""

    def __init__(self, axes):
        self.axes = axes

    def forward(self, x):
        return x.transpose(self.axes)

    def backward(self, dy):
        """Returns dx."""
        # The way back is the inverse permutation: place i of y came from axes[i] of x.
        return dy.transpose(np.argsort(self.axes))
