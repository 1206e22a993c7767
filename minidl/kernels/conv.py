"""Convolution by one product of matrices for each tap of the kernel: the plain form, to be replaced by the fast one.

Shapes: x (N, C, H, W), w (O, C/groups, KH, KW), dy and y (N, O, OH, OW). `padding` is (top, bottom, left, right).
"""

import numpy as np


def _taps(x, w_shape, out_hw, stride, dilation):
    """For each tap (kh, kw), the view of the padded x that it meets: (N, C, OH, OW)."""
    for kh in range(w_shape[2]):
        for kw in range(w_shape[3]):
            i, j = kh * dilation[0], kw * dilation[1]
            rows = slice(i, i + (out_hw[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(j, j + (out_hw[1] - 1) * stride[1] + 1, stride[1])
            yield kh, kw, x[:, :, rows, columns]


def _padded(x, padding):
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))


def _out_hw(size, w_shape, stride, padding, dilation):
    return tuple(
        (size[a] + padding[2 * a] + padding[2 * a + 1] - dilation[a] * (w_shape[2 + a] - 1) - 1) // stride[a] + 1
        for a in (0, 1)
    )


def conv2d(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """y[n,o,i,j] = b[o] + Σ_{c,kh,kw} w[o,c,kh,kw] · x[n,c, i·sh + kh·dh − top, j·sw + kw·dw − left]."""
    oh, ow = _out_hw(x.shape[2:], w.shape, stride, padding, dilation)
    n, o, g = x.shape[0], w.shape[0], groups
    y = np.zeros((n, g, o // g, oh, ow), x.dtype)
    for kh, kw, part in _taps(_padded(x, padding), w.shape, (oh, ow), stride, dilation):
        part = part.reshape(n, g, -1, oh, ow)
        y += np.einsum("goc,ngcij->ngoij", w[:, :, kh, kw].reshape(g, o // g, -1), part, optimize=True)
    y = y.reshape(n, o, oh, ow)
    return y if b is None else y + b[:, None, None]


def conv2d_input(dy, w, size, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """dx of conv2d for an input of `size` (H, W): each dy[n,o,i,j] goes back to what it was computed from."""
    n, o, oh, ow = dy.shape
    top, bottom, left, right = padding
    c, g = w.shape[1] * groups, groups
    dx = np.zeros((n, c, size[0] + top + bottom, size[1] + left + right), dy.dtype)
    for kh, kw, part in _taps(dx, w.shape, (oh, ow), stride, dilation):
        weights = w[:, :, kh, kw].reshape(g, o // g, -1)
        part += np.einsum("goc,ngoij->ngcij", weights, dy.reshape(n, g, o // g, oh, ow), optimize=True).reshape(part.shape)
    return np.ascontiguousarray(dx[:, :, top : top + size[0], left : left + size[1]])


def conv2d_weight(x, dy, kernel_size, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """dw of conv2d for a kernel of `kernel_size` (KH, KW): dw[o,c,kh,kw] = Σ_{n,i,j} dy[n,o,i,j] · x[n,c,…]."""
    n, o, oh, ow = dy.shape
    g, c = groups, x.shape[1] // groups
    dw = np.empty((g, o // g, c, *kernel_size), x.dtype)
    dy = dy.reshape(n, g, o // g, oh, ow)
    for kh, kw, part in _taps(_padded(x, padding), (o, c, *kernel_size), (oh, ow), stride, dilation):
        dw[:, :, :, kh, kw] = np.einsum("ngoij,ngcij->goc", dy, part.reshape(n, g, c, oh, ow), optimize=True)
    return dw.reshape(o, c, *kernel_size)


def channel_sums(dy):
    """Σ over n, i, j of dy (N, C, H, W): (C,)."""
    return dy.sum((0, 2, 3))
