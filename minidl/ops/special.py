"""The gamma function and functions related to it: the derivative of one is often another one."""

import numpy as np

from .. import kernels
from .base import Op, unbroadcast

__all__ = ["Digamma", "Erfinv", "GammaInc", "Lgamma", "Polygamma"]


class Lgamma(Op):
    """y = ln |Γ(x)|
    dx = dy·ψ(x)   (ψ, the derivative of ln Γ, is called digamma)
    """

    def forward(self, x):
        self.x = x
        return kernels.lgamma(x)

    def backward(self, dy):
        return dy * kernels.digamma(self.x)


class Digamma(Op):
    """y = ψ(x) = Γ′(x)/Γ(x)
    dx = dy·ψ′(x)
    """

    def forward(self, x):
        self.x = x
        return kernels.digamma(x)

    def backward(self, dy):
        return dy * kernels.polygamma(1, self.x)


class Polygamma(Op):
    """y = ψ⁽ⁿ⁾(x), the n-th derivative of ψ, n ≥ 1
    dx = dy·ψ⁽ⁿ⁺¹⁾(x)
    """

    def __init__(self, n):
        self.n = n

    def forward(self, x):
        self.x = x
        return kernels.polygamma(self.n, x)

    def backward(self, dy):
        return dy * kernels.polygamma(self.n + 1, self.x)


class GammaInc(Op):
    """y = P(a, x) = ∫ f from 0 to x, f(t) = tᵃ⁻¹e⁻ᵗ/Γ(a): the chance that a gamma variable of shape a is at most x
    the derivative by x is the integrand f(x):                 dx = dy·f(x)
    let x(a) keep P(a, x(a)) constant; then ∂P/∂a + f·∂x/∂a = 0:  da = −dy·f(x)·∂x/∂a
    The slopes are computed in float64: the exponent of f is a difference of terms as large as a·ln a.
    """

    def forward(self, a, x):
        self.a, self.x = a, x
        return kernels.gammainc(*self._alike(np.result_type(a, x)))

    def _alike(self, dtype):
        """Both as arrays of one shape, in this dtype."""
        shape = np.broadcast_shapes(np.shape(self.a), np.shape(self.x))
        return [np.broadcast_to(np.asarray(v, dtype), shape) for v in (self.a, self.x)]

    def backward(self, dy):
        (needs_a, needs_x), (a, x) = self.needs, self._alike(np.float64)
        log_x = kernels.log(x)
        dlog_x = dy * kernels.exp(a * log_x - x - kernels.lgamma(a))  # f(x)·x
        da = unbroadcast(np.asarray(-dlog_x * kernels.gamma_slope(a, log_x), dy.dtype), needs_a.shape) if needs_a else None
        return da, unbroadcast(np.asarray(dlog_x / x, dy.dtype), needs_x.shape) if needs_x else None


class Erfinv(Op):
    """y with erf y = x, |x| ≤ 1
    the derivative is 1 over that of erf at y:  dx = dy·√π/2·exp(y²)
    A first guess (Winitzki 2008), then Halley's steps on erf y = x, beyond ½ on erfc |y| = 1 − |x|, which keeps its digits.
    """

    def forward(self, x):
        v = np.asarray(x, np.float64)
        size = np.abs(v)
        rest = 1 - size
        log = np.log(rest * (1 + size))
        a = 0.147
        b = 2 / (np.pi * a) + log / 2
        y = np.sqrt(np.sqrt(b * b - log / a) - b)
        for _ in range(3):
            off = np.where(size < 0.5, kernels.erf(y) - size, rest - kernels.erfc(y))
            step = off * (np.sqrt(np.pi) / 2) * np.exp(y * y)
            y = y - step / (1 + y * step)
        y = np.where(size == 1, np.inf, y)
        self.y = np.asarray(np.copysign(y, v), x.dtype)
        return self.y

    def backward(self, dy):
        return dy * (np.sqrt(np.pi).item() / 2 * kernels.exp(self.y * self.y))
