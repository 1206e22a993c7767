"""Convolutions, and the windows of the input that they read. Sizes are N, C, H, W; O channels out; KH, KW of the kernel."""

import numpy as np

from .. import kernels
from .base import Op

__all__ = ["Conv2d", "Conv2dWeight", "ConvTranspose2d", "Fold", "Unfold"]


class Conv2d(Op):
    """y[n,o,i,j] = b[o] + Σ_{c,k,l} w[o,c,k,l]·x[n,c,i+k,j+l]   (with stride s: x[n,c,si+k,sj+l])
    x[n,c,p,q] is read by every window that contains it:  dx[n,c,p,q] = Σ_{o,k,l} w[o,c,k,l]·dy[n,o,p−k,q−l]
    w[o,c,k,l] is multiplied by one x for each output:    dw[o,c,k,l] = Σ_{n,i,j} dy[n,o,i,j]·x[n,c,i+k,j+l]
    b[o] is added to all of channel o:                    db[o] = Σ_{n,i,j} dy[n,o,i,j]
    """

    def __init__(self, stride, padding, dilation, groups):
        self.stride, self.dilation, self.groups = stride, dilation, groups
        self.padding = padding  # top, bottom, left, right

    def forward(self, x, w, b=None):
        self.x = x if self.needs[1] else None
        self.w = w if self.needs[0] else None
        self.kernel_size = w.shape[2:]
        return kernels.conv2d(x, w, b, self.stride, self.padding, self.dilation, self.groups)

    def backward(self, dy):
        x, w, b = self.needs if len(self.needs) == 3 else (*self.needs, None)
        geometry = self.stride, self.padding, self.dilation, self.groups
        dx = kernels.conv2d_input(dy, self.w, x.shape[2:], *geometry) if x else None
        dw = kernels.conv2d_weight(self.x, dy, self.kernel_size, *geometry) if w else None
        db = kernels.sum_over(dy, (0, 2, 3)) if b else None
        return (dx, dw, db)[: len(self.needs)]


class ConvTranspose2d(Op):
    """y = b + (the dx of Conv2d for dy = x): each x[n,c,i,j], times w[c,o,:,:], is added to a window of y
    x ↦ y is the transpose Aᵀ of a convolution A, so dx = A dy:  dx = conv2d(dy, w)
    dw is that of Conv2d with x and dy exchanged:  dw = conv2d's dw for the input dy and the cotangent x
    """

    def __init__(self, size, stride, padding, dilation, groups):
        self.size = size  # H, W of y: with a stride several sizes shrink to x's
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def forward(self, x, w, b=None):
        self.x = x if self.needs[1] else None
        self.w = w if self.needs[0] else None
        self.kernel_size = w.shape[2:]
        y = kernels.conv2d_input(x, w, self.size, self.stride, self.padding, self.dilation, self.groups)
        if b is not None:
            kernels.add_to_channels(y, b)
        return y

    def backward(self, dy):
        x, w, b = self.needs if len(self.needs) == 3 else (*self.needs, None)
        geometry = self.stride, self.padding, self.dilation, self.groups
        dx = kernels.conv2d(dy, self.w, None, *geometry) if x else None
        dw = kernels.conv2d_weight(dy, self.x, self.kernel_size, *geometry) if w else None
        db = kernels.sum_over(dy, (0, 2, 3)) if b else None
        return (dx, dw, db)[: len(self.needs)]


class Conv2dWeight(Op):
    """y[o,c,k,l] = Σ_{n,i,j} dy[n,o,i,j]·x[n,c,i+k,j+l]: the dw of Conv2d, as a function of x and dy
    y is linear in x and in dy. With the cotangent g, of w's shape:  dx = Conv2d's dx for w = g;  d(dy) = conv2d(x, g)
    """

    def __init__(self, kernel_size, stride, padding, dilation, groups):
        self.kernel_size, self.geometry = kernel_size, (stride, padding, dilation, groups)

    def forward(self, x, dy):
        self.x = x if self.needs[1] else None
        self.dy = dy if self.needs[0] else None
        return kernels.conv2d_weight(x, dy, self.kernel_size, *self.geometry)

    def backward(self, g):
        x, dy = self.needs
        dx = kernels.conv2d_input(self.dy, g, x.shape[2:], *self.geometry) if x else None
        return dx, kernels.conv2d(self.x, g, None, *self.geometry) if dy else None


class Unfold(Op):
    """y[n, (c,k,l), (i,j)] = x[n,c,i+k,j+l]: each window as a column, so that a convolution is one product of matrices
    y has a copy of an element of x in every window that contains it:  dx = Fold of dy, the sum over the copies
    """

    linear = True

    def __init__(self, kernel_size, dilation, padding, stride):
        self.geometry = kernel_size, dilation, padding, stride

    def forward(self, x):
        return _columns(x, *self.geometry)

    def backward(self, dy):
        return _summed(dy, self.needs[0].shape[2:], *self.geometry)


class Fold(Op):
    """y[n,c,p,q] = Σ of x[n, (c,k,l), (i,j)] over i+k = p and j+l = q: each window is added at its place
    each x is added to one element of y:  dx = Unfold of dy
    """

    linear = True

    def __init__(self, output_size, kernel_size, dilation, padding, stride):
        self.size, self.geometry = output_size, (kernel_size, dilation, padding, stride)

    def forward(self, x):
        return _summed(x, self.size, *self.geometry)

    def backward(self, dy):
        return _columns(dy, *self.geometry)


def blocks(size, kernel_size, dilation, padding, stride):
    """How many windows lie below and beside each other in an image of this size: (OH, OW).

    >>> blocks((5, 5), (3, 3), (1, 1), (0, 0), (2, 2))
    (2, 2)
    """
    options = zip(size, kernel_size, dilation, padding, stride, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in options)


def _taps(size, kernel_size, dilation, padding, stride):
    """For each tap (k, l) of the kernel, the rows and columns of the padded image that it meets."""
    oh, ow = blocks(size, kernel_size, dilation, padding, stride)
    for k in range(kernel_size[0]):
        for l in range(kernel_size[1]):
            top, left = k * dilation[0], l * dilation[1]
            rows = slice(top, top + (oh - 1) * stride[0] + 1, stride[0])
            yield k, l, rows, slice(left, left + (ow - 1) * stride[1] + 1, stride[1])


def _columns(x, kernel_size, dilation, padding, stride):
    n, c, *size = x.shape
    oh, ow = blocks(size, kernel_size, dilation, padding, stride)
    y = np.empty((n, c, *kernel_size, oh, ow), x.dtype)
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    for k, l, rows, columns in _taps(size, kernel_size, dilation, padding, stride):
        y[:, :, k, l] = x[:, :, rows, columns]
    return y.reshape(n, c * kernel_size[0] * kernel_size[1], oh * ow)


def _summed(x, size, kernel_size, dilation, padding, stride):
    n, c = x.shape[0], x.shape[1] // (kernel_size[0] * kernel_size[1])
    x = x.reshape(n, c, *kernel_size, *blocks(size, kernel_size, dilation, padding, stride))
    y = np.zeros((n, c, size[0] + 2 * padding[0], size[1] + 2 * padding[1]), x.dtype)
    for k, l, rows, columns in _taps(size, kernel_size, dilation, padding, stride):
        y[:, :, rows, columns] += x[:, :, k, l]
    return y[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]].copy()
