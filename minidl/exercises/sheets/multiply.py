"""2. Multiply: y = a·b, number by number

a and b have the same shape.
"""


class Multiply:
    """y = a·b"""

    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, dy):
        """Returns (da, db)."""
        # If a grows by h, y grows by h·b.
        return dy * self.b, dy * self.a
