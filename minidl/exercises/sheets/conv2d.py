"""14. Conv2d: y[n, o, i, j] = Σ over c, p, q of x[n, c, s·i + p, s·j + q]·w[o, c, p, q]

x: (N, C, H, W), w: (O, C, h, w), s: the stride; no padding. Forward goes through the places (p, q) of the kernel: for each of
them, one part of x, for all places of y at once, is multiplied by the numbers w[:, :, p, q]. Backward can go the same way.
"""

import numpy as np


class Conv2d:
    """y = x convolved with w"""

    def __init__(self, stride):
        self.stride = stride

    def forward(self, x, w):
        self.x, self.w = x, w
        self.rows, self.columns = ((n - k) // self.stride + 1 for n, k in zip(x.shape[2:], w.shape[2:], strict=True))
        y = np.zeros((len(x), len(w), self.rows, self.columns), x.dtype)
        for p, q in np.ndindex(w.shape[2:]):
            y += np.einsum("ncij,oc->noij", x[self.part(p, q)], w[:, :, p, q])
        return y

    def part(self, p, q):
        """The index of what the place (p, q) of the kernel is multiplied by: an array (N, C, rows, columns)."""
        s = self.stride
        return slice(None), slice(None), slice(p, p + s * self.rows, s), slice(q, q + s * self.columns, s)

    def backward(self, dy):
        """Returns (dx, dw)."""
        # The two rules of a product, for each place of the kernel. An x that several windows see gets the sum.
        dx, dw = np.zeros_like(self.x), np.zeros_like(self.w)
        for p, q in np.ndindex(self.w.shape[2:]):
            dx[self.part(p, q)] += np.einsum("noij,oc->ncij", dy, self.w[:, :, p, q])
            dw[:, :, p, q] = np.einsum("noij,ncij->oc", dy, self.x[self.part(p, q)])
        return dx, dw
