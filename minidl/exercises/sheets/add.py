"""1. Add: y = a + b

a and b may differ in shape: NumPy then repeats the smaller one (it broadcasts). Backward is given dy, the gradient for y, and
returns the gradients for a and for b, each of that input's shape. What was repeated gets the sum over its copies.
"""


class Add:
    """y = a + b"""

    def forward(self, a, b):
        self.a_shape, self.b_shape = a.shape, b.shape
        return a + b

    def backward(self, dy):
        """Returns (da, db)."""

        # Each number of y grows as fast as its a, and as fast as its b: dy goes to both.
        def over_copies(dx, shape):
            dx = dx.sum(tuple(range(dx.ndim - len(shape))))  # the axes in front that broadcasting has added
            return dx.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)

        return over_copies(dy, self.a_shape), over_copies(dy, self.b_shape)
