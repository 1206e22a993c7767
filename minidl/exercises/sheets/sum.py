"""6. Sum: y = Σ x over one axis

The axis may be negative, and counts from the end then. With keepdim the axis stays, with size 1; else it is gone from y.
"""

import numpy as np


class Sum:
    """y = Σ x over an axis"""

    def __init__(self, axis, keepdim):
        self.axis, self.keepdim = axis, keepdim

    def forward(self, x):
        self.shape = x.shape
        return x.sum(self.axis, keepdims=self.keepdim)

    def backward(self, dy):
        """Returns dx."""
        # Each x of a sum moves it by as much as x itself moves: all of them get the sum's dy.
        dy = dy if self.keepdim else np.expand_dims(dy, self.axis)
        return np.broadcast_to(dy, self.shape)
