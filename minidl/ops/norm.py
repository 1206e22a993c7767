"""Normalisation: an input gets mean 0 and variance 1, along the batch, a row or a group of channels.

In all of them x̂ = (x − μ)·r with r = 1/√(σ² + ε), σ² the mean of (x − μ)². A change of one x also changes μ and σ².
With g the gradient of x̂ this gives  dx = r·(g − mean(g) − x̂·mean(g·x̂)): for ε = 0, dx is at right angles to 1 and to x̂.
"""

import numpy as np

from .. import kernels
from .base import Op

__all__ = ["BatchNorm", "GroupNorm", "LayerNorm", "RMSNorm"]


class BatchNorm(Op):
    """y = γ·x̂ + β for each channel of x (N, C, …), μ and σ² over all but C:  dγ = Σ dy·x̂;  dβ = Σ dy
    x enters x̂ directly, through μ and through σ²:  dx = γr·(dy − mean(dy) − x̂·mean(dy·x̂))
    With given stats = [μ, σ²], (2, C) float64, these are constants:  dx = γr·dy
    """

    def __init__(self, eps, stats=None):
        self.eps, self.given, self.batch = eps, stats, stats is None

    def forward(self, x, w, b):
        y, self.stats = kernels.batch_norm(x, w, b, self.eps, self.given)
        self.x, self.w = x, w
        return y

    def backward(self, dy):
        x, w, b = self.needs
        dx, dw, db = kernels.batch_norm_backward(dy, self.x, self.w, self.eps, self.stats, self.batch, x is not None)
        return dx, dw if w else None, db if b else None


class LayerNorm(Op):
    """y = γ·x̂ + β, μ and σ² over the last axes of x, whose shape γ and β have:  dγ = Σ dy·x̂;  dβ = Σ dy, over the other axes
    g = γ·dy; x enters x̂ directly, through μ and through σ²:  dx = r·(g − mean(g) − x̂·mean(g·x̂))
    """

    centred = True

    def __init__(self, axes, eps):
        self.axes, self.eps = axes, eps

    def forward(self, x, w, b):
        y, self.stats = kernels.layer_norm(x, self.axes, w, b, self.eps, self.centred)
        self.x, self.w = x, np.ones_like(b) if w is None and b is not None else w
        return y

    def backward(self, dy):
        x, w, b = self.needs
        dx, dw, db = kernels.layer_norm_backward(dy, self.x, self.axes, self.w, self.stats, self.centred, x is not None)
        return dx, dw if w else None, db if b else None


class RMSNorm(LayerNorm):
    """y = γ·x̂ with μ = 0: x̂ = x·r, r = 1/√(mean(x²) + ε), over the last axes of x:  dγ = Σ dy·x̂
    x enters x̂ directly and through the mean of squares:  dx = r·(g − x̂·mean(g·x̂)), g = γ·dy
    """

    centred = False


class GroupNorm(Op):
    """y = γ·x̂ + β for x (N, C, …), γ and β for each channel, μ and σ² over C/groups channels of one sample
    dx = r·(g − mean(g) − x̂·mean(g·x̂)), g = γ·dy, as layer norm's;  dγ = Σ dy·x̂;  dβ = Σ dy, over all but C
    With as many groups as channels it is instance norm.
    """

    def __init__(self, groups, eps):
        self.groups, self.eps = groups, eps

    def forward(self, x, w, b):
        y, self.stats = kernels.group_norm(x, self.groups, w, b, self.eps)
        self.x, self.w = x, w
        return y

    def backward(self, dy):
        x, w, b = self.needs
        dx, dw, db = kernels.group_norm_backward(dy, self.x, self.groups, self.w, self.stats, x is not None)
        return dx, dw if w else None, db if b else None
