"""Pooling: each window of a plane becomes one number. `axes` has a `kernels.pool.Windows` for each of the pooled last axes."""

import math

import numpy as np

from .. import kernels
from .base import Op

__all__ = ["MaxPool", "MaxUnpool", "MeanPool"]


class MaxPool(Op):
    """y_o = max x over the elements of window o; the padding does not count
    dy_o goes to the largest element of its window:  dx_i = Σ dy_o over the windows o whose largest element is x_i
    Of equal elements the first in reading order counts as largest. NaN counts as larger than all; of several NaN, the last.
    """

    def __init__(self, axes):
        self.axes = axes

    def forward(self, x):
        y, self.codes = kernels.max_pool(x, self.axes)
        return y

    def backward(self, dy):
        return kernels.max_pool_backward(dy, self.codes, self.axes)

    def indices(self):
        """Where the maxima were, counted along each plane."""
        return kernels.max_pool_indices(self.codes, self.axes)


class MeanPool(Op):
    """y_o = 1/n_o Σ x over the elements of window o
    each of them has the weight 1/n_o:  dx_i = Σ dy_o/n_o over the windows o that i lies in
    n_o counts the padding too, or not, or is a given divisor.
    """

    linear = True

    def __init__(self, axes, count_include_pad=True, divisor=None):
        self.axes, self.count_include_pad, self.divisor = axes, count_include_pad, divisor

    def forward(self, x):
        return kernels.mean_pool(x, self.axes, self.count_include_pad, self.divisor)

    def backward(self, dy):
        return kernels.mean_pool_backward(dy, self.axes, self.count_include_pad, self.divisor)


class MaxUnpool(Op):
    """y[p, index[p, k]] = x[p, k] in every plane p, and 0 elsewhere
    dx[p, k] = dy[p, index[p, k]], but 0 for an x that a later one overwrote
    """

    linear = True

    def __init__(self, index, sizes):
        self.index, self.sizes = index, sizes  # of x's shape; sizes of the axes that are unpooled

    def forward(self, x):
        lead = x.shape[: -len(self.sizes)]
        planes = math.prod(lead)
        self.places = self.index.reshape(planes, math.prod(x.shape[len(lead) :]))
        y = np.zeros((planes, math.prod(self.sizes)), x.dtype)
        np.put_along_axis(y, self.places, x.reshape(self.places.shape), 1)
        return y.reshape(*lead, *self.sizes)

    def backward(self, dy):
        planes = dy.reshape(len(self.places), math.prod(self.sizes))
        order = np.arange(self.places.shape[1])[None]
        last = np.zeros(planes.shape, np.int64)  # which x each place has in the end
        np.put_along_axis(last, self.places, order, 1)
        kept = np.take_along_axis(last, self.places, 1) == order
        return (np.take_along_axis(planes, self.places, 1) * kept).reshape(self.needs[0].shape)
