"""5. ReLU: y = x where x is above 0, else 0

At x = 0 there is a kink. The gradient there is taken to be 0.
"""

import numpy as np


class ReLU:
    """y = max(x, 0)"""

    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dy):
        """Returns dx."""
        # y moves with x where x is above 0, and stays elsewhere.
        return np.where(self.x > 0, dy, 0)
