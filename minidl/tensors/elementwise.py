"""Functions of each element, and softmax along an axis. Thin: the mathematics is in `ops/`."""

import functools

import numpy as np

from .. import ops
from ..ops.base import normalize_axis
from . import dtypes
from .arguments import as_int, integer, number
from .record import TensorBase, apply, floating, wrap


class Elementwise:
    """One function of each element; integers are taken as float32."""

    def abs(self):
        return apply(ops.Abs(), self)

    __abs__ = absolute = abs

    def exp(self):
        return apply(ops.Exp(), floating(self))

    def expm1(self):
        """eˣ − 1, exact for small x."""
        return apply(ops.Expm1(), floating(self))

    def log(self):
        """The natural logarithm."""
        return apply(ops.Log(), floating(self))

    def log2(self):
        return apply(ops.Log2(), floating(self))

    def log10(self):
        return apply(ops.Log10(), floating(self))

    def log1p(self):
        """ln(1 + x), exact for small x."""
        return apply(ops.Log1p(), floating(self))

    def sqrt(self):
        return apply(ops.Sqrt(), floating(self))

    def rsqrt(self):
        return apply(ops.Rsqrt(), floating(self))

    def square(self):
        return apply(ops.Square(), self.to(dtypes.int64) if self.array.dtype.kind == "b" else self)

    def reciprocal(self):
        return apply(ops.Reciprocal(), floating(self))

    def sin(self):
        return apply(ops.Sin(), floating(self))

    def cos(self):
        return apply(ops.Cos(), floating(self))

    def tan(self):
        return apply(ops.Tan(), floating(self))

    def asin(self):
        return apply(ops.Asin(), floating(self))

    def acos(self):
        return apply(ops.Acos(), floating(self))

    def atan(self):
        return apply(ops.Atan(), floating(self))

    arcsin, arccos, arctan = asin, acos, atan

    def sinh(self):
        return apply(ops.Sinh(), floating(self))

    def cosh(self):
        return apply(ops.Cosh(), floating(self))

    def tanh(self):
        return apply(ops.Tanh(), floating(self))

    def sigmoid(self):
        return apply(ops.Sigmoid(), floating(self))

    def erf(self):
        return apply(ops.Erf(), floating(self))

    def erfc(self):
        """1 − erf(x), to the last digits for large x."""
        return apply(ops.Erfc(), floating(self))

    def lgamma(self):
        """ln |Γ(x)|; (n − 1)! = Γ(n)."""
        return apply(ops.Lgamma(), floating(self))

    def digamma(self):
        """ψ(x), the derivative of lgamma."""
        return apply(ops.Digamma(), floating(self))

    def polygamma(self, n):
        """The n-th derivative of digamma, n from 0 to 170."""
        n = as_int(n)
        if type(n) is not int or not 0 <= n <= 170:
            raise ValueError(f"polygamma: n must be an integer from 0 to 170, got {n!r}")
        return apply(ops.Polygamma(n), floating(self)) if n else self.digamma()

    def relu(self):
        """max(x, 0), with slope 0 at 0."""
        return apply(ops.ReLU(), self) if self.array.dtype.kind == "f" else wrap(np.asarray(np.maximum(self.array, 0)))

    def sign(self):
        return self.clone() if self.array.dtype.kind == "b" else apply(ops.PiecewiseConstant(np.sign), self)

    def floor(self):
        return apply(ops.PiecewiseConstant(np.floor), self)

    def ceil(self):
        return apply(ops.PiecewiseConstant(np.ceil), self)

    def trunc(self):
        return apply(ops.PiecewiseConstant(np.trunc), self)

    def round(self, *, decimals=0):
        """To the nearest number with so many decimals; half goes to even."""
        decimals = integer("round", decimals)
        return apply(ops.PiecewiseConstant(functools.partial(np.round, decimals=decimals)), self)

    def clamp(self, min=None, max=None):
        """Held between min and max, numbers or tensors."""
        if min is None and max is None:
            raise ValueError("clamp: expected min, max or both")
        if isinstance(min, TensorBase) or isinstance(max, TensorBase):
            result = self if min is None else self.maximum(min)
            return result if max is None else result.minimum(max)
        dtype = functools.reduce(dtypes.join, [dtypes.result_type(self.array, x) for x in (min, max) if x is not None])
        try:
            return apply(ops.Clamp(min, max), self.to(dtype))
        except (TypeError, ValueError):
            raise TypeError(f"clamp: expected numbers or tensors as min and max, got {min!r} and {max!r}") from None

    clip = clamp

    def hardshrink(self, lambd=0.5):
        """0 where |x| ≤ lambd, else x."""
        limit = number("hardshrink", "lambd", lambd)
        if self.array.dtype.kind != "f":
            raise TypeError(f"hardshrink: expected a floating-point tensor, got {self.dtype}; use .float()")
        return self.masked_fill((self >= -limit) & (self <= limit), 0)

    def prelu(self, weight):
        """x where x > 0, else weight·x. weight: of one number, or one for each channel, which is axis 1."""
        if not isinstance(weight, TensorBase):
            raise TypeError(f"prelu: expected a Tensor as weight, got {type(weight).__name__}")
        if self.array.dtype.kind != "f" or weight.dtype != self.dtype:
            raise TypeError(f"prelu: expected input and weight in one floating-point dtype, got {self.dtype}, {weight.dtype}")
        channels = self.shape[1] if self.ndim > 1 else 1
        if weight.ndim > 1 or weight.numel() not in (1, channels):
            raise ValueError(f"prelu: expected a weight (1) or ({channels}) for input {self.shape}, got shape {weight.shape}")
        shape = () if weight.numel() == 1 else (-1, *(1,) * (self.ndim - 2))
        return self.relu() + weight.reshape(shape) * self.clamp(max=0)

    # --- softmax

    def softmax(self, dim, dtype=None):
        """e^x/Σe^x along an axis; a row that is −inf throughout gives zeros."""
        x = floating(self if dtype is None else self.to(dtype))
        return apply(ops.Softmax(normalize_axis("softmax", dim, self.ndim)), x)

    def log_softmax(self, dim, dtype=None):
        """The logarithm of softmax, computed without it."""
        x = floating(self if dtype is None else self.to(dtype))
        return apply(ops.LogSoftmax(normalize_axis("log_softmax", dim, self.ndim)), x)
