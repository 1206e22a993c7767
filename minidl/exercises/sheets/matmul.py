"""7. MatMul: y = a b, the product of two matrices (n, k) and (k, m)

y[i, j] = Σₖ a[i, k]·b[k, j]
"""


class MatMul:
    """y = a @ b"""

    def forward(self, a, b):
        self.a, self.b = a, b
        return a @ b

    def backward(self, dy):
        """Returns (da, db)."""
        # a[i, k] is in row i of y, each time with b[k, j]: da[i, k] = Σⱼ dy[i, j]·b[k, j]. The same for b.
        return dy @ self.b.T, self.a.T @ dy
