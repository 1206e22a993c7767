"""Functions of each element, and softmax along an axis. Thin: the mathematics is in `ops/`."""

import functools

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from ..ops.base import normalize_axis
from . import dtypes
from .arguments import as_int, integer, number
from .record import TensorBase, apply, check_broadcast, floating, unary, wrap

_BOUNDS = {int, float, type(None)}


class Elementwise:
    """One function of each element; integers are taken as float32."""

    def abs(self):
        """|x|. Its derivative is sign(x), 0 at 0.

        >>> import minidl
        >>> minidl.tensor([-1.5, 0.0, 2.0]).abs()
        tensor([1.5000, 0.0000, 2.0000])
        """
        return apply(ops.Abs(), self)

    __abs__ = absolute = abs

    def exp(self):
        """eˣ.

        >>> import minidl
        >>> minidl.tensor([0.0, 1.0]).exp()
        tensor([1.0000, 2.7183])
        """
        return apply(ops.Exp(), floating(self))

    def exp2(self):
        """2 to the power of each element.

        >>> import minidl
        >>> minidl.tensor([3.0, -1.0]).exp2()
        tensor([8.0000, 0.5000])
        """
        return apply(ops.Exp2(), floating(self))

    def expm1(self):
        """eˣ − 1, exact for small x.

        >>> import minidl
        >>> x = minidl.tensor([1e-10])
        >>> x.expm1(), x.exp() - 1
        (tensor([1.0000e-10]), tensor([0.]))
        """
        return apply(ops.Expm1(), floating(self))

    def log(self):
        """ln x, the natural logarithm: −∞ at 0, NaN below it.

        >>> import minidl
        >>> minidl.tensor([1.0, minidl.e, 0.0, -1.0]).log()
        tensor([0., 1., -inf, nan])
        """
        return apply(ops.Log(), floating(self))

    def log2(self):
        """The logarithm to base 2: y with 2^y = x.

        >>> import minidl
        >>> minidl.tensor([1.0, 8.0, 0.5]).log2()
        tensor([ 0.,  3., -1.])
        """
        return apply(ops.Log2(), floating(self))

    def log10(self):
        """The logarithm to base 10: y with 10^y = x.

        >>> import minidl
        >>> minidl.tensor([1.0, 100.0, 0.1]).log10()
        tensor([ 0.0000,  2.0000, -1.0000])
        """
        return apply(ops.Log10(), floating(self))

    def log1p(self):
        """ln(1 + x), exact for small x.

        >>> import minidl
        >>> x = minidl.tensor([1e-10])
        >>> x.log1p(), (1 + x).log()
        (tensor([1.0000e-10]), tensor([0.]))
        """
        return apply(ops.Log1p(), floating(self))

    def sqrt(self):
        """√x; NaN for x below 0.

        >>> import minidl
        >>> minidl.tensor([4.0, 2.0]).sqrt()
        tensor([2.0000, 1.4142])
        """
        return apply(ops.Sqrt(), floating(self))

    def rsqrt(self):
        """1/√x.

        >>> import minidl
        >>> minidl.tensor([4.0, 2.0]).rsqrt()
        tensor([0.5000, 0.7071])
        """
        return apply(ops.Rsqrt(), floating(self))

    def square(self):
        """x². Integers stay integers.

        >>> import minidl
        >>> minidl.tensor([-3, 2]).square()
        tensor([9, 4])
        """
        return apply(ops.Square(), self.to(dtypes.int64) if self.array.dtype.kind == "b" else self)

    def reciprocal(self):
        """1/x.

        >>> import minidl
        >>> minidl.tensor([4, -0.5]).reciprocal()
        tensor([ 0.2500, -2.0000])
        """
        return apply(ops.Reciprocal(), floating(self))

    def sin(self):
        """sin x, of x in radians.

        >>> import minidl
        >>> minidl.tensor([0.0, minidl.pi / 2]).sin()
        tensor([0., 1.])
        """
        return apply(ops.Sin(), floating(self))

    def cos(self):
        """cos x, of x in radians.

        >>> import minidl
        >>> minidl.tensor([0.0, minidl.pi / 3]).cos()
        tensor([1.0000, 0.5000])
        """
        return apply(ops.Cos(), floating(self))

    def tan(self):
        """tan x = sin x/cos x, of x in radians.

        >>> import minidl
        >>> minidl.tensor([0.0, minidl.pi / 4]).tan()
        tensor([0., 1.])
        """
        return apply(ops.Tan(), floating(self))

    def asin(self):
        """The angle in [−π/2, π/2] whose sine is x; NaN outside [−1, 1].

        >>> import minidl
        >>> minidl.tensor([0.0, 1.0, 2.0]).asin()
        tensor([0.0000, 1.5708,    nan])
        """
        return apply(ops.Asin(), floating(self))

    def acos(self):
        """The angle in [0, π] whose cosine is x; NaN outside [−1, 1].

        >>> import minidl
        >>> minidl.tensor([1.0, 0.0, -1.0]).acos()
        tensor([0.0000, 1.5708, 3.1416])
        """
        return apply(ops.Acos(), floating(self))

    def atan(self):
        """The angle in (−π/2, π/2) whose tangent is x.

        >>> import minidl
        >>> minidl.tensor([0.0, 1.0, minidl.inf]).atan()
        tensor([0.0000, 0.7854, 1.5708])
        """
        return apply(ops.Atan(), floating(self))

    def asinh(self):
        """The number whose hyperbolic sine it is: ln(x + √(x² + 1)).

        >>> import minidl
        >>> minidl.tensor([0.0, 1.0]).asinh()
        tensor([0.0000, 0.8814])
        """
        return apply(ops.Asinh(), floating(self))

    def acosh(self):
        """The number of 0 or more whose hyperbolic cosine it is: ln(x + √(x² − 1)); NaN below 1.

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0]).acosh()
        tensor([0.0000, 1.3170])
        """
        return apply(ops.Acosh(), floating(self))

    def atanh(self):
        """The number whose hyperbolic tangent it is: ½ ln((1 + x)/(1 − x)); infinite at ±1.

        >>> import minidl
        >>> minidl.tensor([0.0, 0.5]).atanh()
        tensor([0.0000, 0.5493])
        """
        return apply(ops.Atanh(), floating(self))

    arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh

    def sinh(self):
        """(eˣ − e⁻ˣ)/2.

        >>> import minidl
        >>> minidl.tensor([0.0, 1.0]).sinh()
        tensor([0.0000, 1.1752])
        """
        return apply(ops.Sinh(), floating(self))

    def cosh(self):
        """(eˣ + e⁻ˣ)/2.

        >>> import minidl
        >>> minidl.tensor([0.0, 1.0]).cosh()
        tensor([1.0000, 1.5431])
        """
        return apply(ops.Cosh(), floating(self))

    def tanh(self):
        """(eˣ − e⁻ˣ)/(eˣ + e⁻ˣ), between −1 and 1.

        >>> import minidl
        >>> minidl.tensor([-20.0, 0.0, 1.0]).tanh()
        tensor([-1.0000,  0.0000,  0.7616])
        """
        return apply(ops.Tanh(), floating(self))

    def sigmoid(self):
        """1/(1 + e⁻ˣ), between 0 and 1.

        >>> import minidl
        >>> minidl.tensor([-2.0, 0.0, 2.0]).sigmoid()
        tensor([0.1192, 0.5000, 0.8808])
        """
        return apply(ops.Sigmoid(), floating(self))

    def erf(self):
        """(2/√π) ∫₀ˣ exp(−t²) dt, the error function: the chance that a normal variable with variance 1/2 is in [−x, x].

        >>> import minidl
        >>> minidl.tensor([0.0, 0.5, 3.0]).erf()
        tensor([0.0000, 0.5205, 1.0000])
        """
        return apply(ops.Erf(), floating(self))

    def erfc(self):
        """1 − erf(x), with all its digits also for large x.

        >>> import minidl
        >>> x = minidl.tensor([5.0])
        >>> x.erfc(), 1 - x.erf()
        (tensor([1.5375e-12]), tensor([0.]))
        """
        return apply(ops.Erfc(), floating(self))

    def erfinv(self):
        """The inverse of erf, of numbers from −1 to 1.

        >>> import minidl
        >>> minidl.tensor([0.0, 0.5]).erfinv()
        tensor([0.0000, 0.4769])
        """
        return apply(ops.Erfinv(), floating(self))

    def logit(self, eps=None):
        """ln(x/(1 − x)), the inverse of sigmoid; with eps, x is first held between eps and 1 − eps.

        >>> import minidl
        >>> minidl.tensor([0.5, 0.9]).logit()
        tensor([0.0000, 2.1972])
        """
        x = floating(self)
        if eps is not None:
            x = x.clamp(number("logit", "eps", eps), 1 - number("logit", "eps", eps))
        return x.log() - (-x).log1p()

    def lgamma(self):
        """ln |Γ(x)|. For whole numbers Γ(n) = (n − 1)!

        >>> import minidl
        >>> minidl.tensor([5.0]).lgamma(), minidl.tensor([24.0]).log()
        (tensor([3.1781]), tensor([3.1781]))
        """
        return apply(ops.Lgamma(), floating(self))

    def digamma(self):
        """ψ(x) = Γ′(x)/Γ(x), the derivative of lgamma.

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0]).digamma()
        tensor([-0.5772,  0.4228])
        """
        return apply(ops.Digamma(), floating(self))

    def polygamma(self, n):
        """ψ⁽ⁿ⁾(x), the n-th derivative of digamma, n from 0 to 170.

        >>> import minidl
        >>> minidl.tensor([1.0]).polygamma(1), minidl.pi**2 / 6
        (tensor([1.6449]), 1.6449340668482264)
        """
        n = as_int(n)
        if type(n) is not int or not 0 <= n <= 170:
            raise ValueError(f"polygamma: n must be an integer from 0 to 170, got {n!r}")
        return apply(ops.Polygamma(n), floating(self)) if n else self.digamma()

    def relu(self):
        """max(x, 0), with slope 0 at 0.

        >>> import minidl
        >>> minidl.tensor([-1.0, 2.0]).relu()
        tensor([0., 2.])
        """
        return apply(ops.ReLU(), self) if self.array.dtype.kind == "f" else wrap(np.asarray(np.maximum(self.array, 0)))

    def sign(self):
        """−1, 0 or 1: the sign of x. Its gradient is 0.

        >>> import minidl
        >>> minidl.tensor([-3.0, 0.0, 5.0]).sign()
        tensor([-1.,  0.,  1.])
        """
        return self.clone() if self.array.dtype.kind == "b" else apply(ops.PiecewiseConstant(np.sign), self)

    def floor(self):
        """⌊x⌋, the largest whole number that is not above x. Its gradient is 0.

        >>> import minidl
        >>> minidl.tensor([1.7, -1.2]).floor()
        tensor([ 1., -2.])
        """
        return apply(ops.PiecewiseConstant(np.floor), self)

    def ceil(self):
        """⌈x⌉, the smallest whole number that is not below x. Its gradient is 0.

        >>> import minidl
        >>> minidl.tensor([1.2, -1.7]).ceil()
        tensor([ 2., -1.])
        """
        return apply(ops.PiecewiseConstant(np.ceil), self)

    def trunc(self):
        """x without its fraction: rounded towards 0. Its gradient is 0.

        >>> import minidl
        >>> minidl.tensor([1.7, -1.7]).trunc()
        tensor([ 1., -1.])
        """
        return apply(ops.PiecewiseConstant(np.trunc), self)

    def round(self, *, decimals=0):
        """x rounded to so many decimals. A number halfway goes to the even neighbour. Its gradient is 0.

        >>> import minidl
        >>> minidl.tensor([0.5, 1.5, 2.7]).round()
        tensor([0., 2., 3.])
        >>> minidl.tensor([3.14159]).round(decimals=2)
        tensor([3.1400])
        """
        decimals = integer("round", decimals)
        return apply(ops.PiecewiseConstant(functools.partial(np.round, decimals=decimals)), self)

    def clamp(self, min=None, max=None):
        """min(max(x, min), max): x held between min and max, which are numbers or tensors. One of them may be left out.

        The gradient goes to x where x is kept, the bounds included, and else to the bound; where one of them is NaN, to none.

        >>> import minidl
        >>> minidl.tensor([-2.0, 0.5, 3.0]).clamp(0, 1)
        tensor([0.0000, 0.5000, 1.0000])
        >>> minidl.tensor([-2.0, 0.5, 3.0]).clamp(min=0)
        tensor([0.0000, 0.5000, 3.0000])
        """
        if min is None and max is None:
            raise ValueError("clamp: expected min, max or both")
        if self.array.dtype.kind == "f" and type(min) in _BOUNDS and type(max) in _BOUNDS:  # the usual call
            return unary(ops.Clamp(min, max), self)
        if isinstance(min, (list, tuple)) or isinstance(max, (list, tuple)):  # which NumPy would take for arrays
            raise TypeError(f"clamp: expected numbers or tensors as min and max, got {min!r} and {max!r}")
        if isinstance(min, TensorBase) or isinstance(max, TensorBase):
            result = self if min is None else _held(self, min, np.less)
            return result if max is None else _held(result, max, np.greater)
        dtype = functools.reduce(dtypes.join, [dtypes.result_type(self.array, x) for x in (min, max) if x is not None])
        try:
            return apply(ops.Clamp(min, max), self.to(dtype))
        except (TypeError, ValueError):
            raise TypeError(f"clamp: expected numbers or tensors as min and max, got {min!r} and {max!r}") from None

    clip = clamp

    def hardshrink(self, lambd=0.5):
        """0 where |x| ≤ lambd, else x.

        >>> import minidl
        >>> minidl.tensor([-1.0, 0.3, 2.0]).hardshrink()
        tensor([-1.,  0.,  2.])
        """
        limit = number("hardshrink", "lambd", lambd)
        if self.array.dtype.kind != "f":
            raise TypeError(f"hardshrink: expected a floating-point tensor, got {self.dtype}; use .float()")
        return self.masked_fill((self >= -limit) & (self <= limit), 0)

    def prelu(self, weight):
        """x where x > 0, else weight·x. weight: of one number, or one for each channel, which is axis 1.

        >>> import minidl
        >>> minidl.tensor([-1.0, 2.0]).prelu(minidl.tensor([0.1]))
        tensor([-0.1000,  2.0000])
        """
        if not isinstance(weight, TensorBase):
            raise TypeError(f"prelu: expected a Tensor as weight, got {type(weight).__name__}")
        if self.array.dtype.kind != "f" or weight.dtype != self.dtype:
            raise TypeError(f"prelu: expected input and weight in one floating-point dtype, got {self.dtype}, {weight.dtype}")
        channels = self.shape[1] if self.ndim > 1 else 1
        if weight.ndim > 1 or weight.numel() not in (1, channels):
            raise ValueError(f"prelu: expected a weight (1) or ({channels}) for input {self.shape}, got shape {weight.shape}")
        shape = () if weight.numel() == 1 else (-1, *(1,) * (self.ndim - 2))
        above = self > 0  # not NaN: it is multiplied by the weight, as in PyTorch
        return self.masked_fill(~above, 0) + weight.reshape(shape) * self.masked_fill(above, 0)

    # --- softmax

    def softmax(self, dim, dtype=None):
        """eˣ/Σeˣ along an axis: positive numbers with sum 1. A row of −∞ only gives zeros.

        >>> import minidl
        >>> minidl.tensor([[0.0, 0.0], [0.0, 1.0]]).softmax(1)
        tensor([[0.5000, 0.5000],
                [0.2689, 0.7311]])
        """
        x = floating(self if dtype is None else self.to(dtype))
        return apply(ops.Softmax(normalize_axis("softmax", dim, self.ndim)), x)

    def log_softmax(self, dim, dtype=None):
        """x − ln Σeˣ along an axis: the logarithm of softmax, finite also where softmax is rounded to 0.

        >>> import minidl
        >>> x = minidl.tensor([0.0, 200.0])
        >>> x.log_softmax(0), x.softmax(0).log()
        (tensor([-200.,    0.]), tensor([-inf, 0.]))
        """
        x = floating(self if dtype is None else self.to(dtype))
        return apply(ops.LogSoftmax(normalize_axis("log_softmax", dim, self.ndim)), x)


def _held(x, bound, beyond):
    """x, or the bound where x is beyond it: `beyond` is np.less or np.greater. NaN in one of the two gives NaN."""
    limit = bound.array if isinstance(bound, TensorBase) else bound
    try:
        inside = _inside(x.array, limit, beyond)
    except ValueError:
        check_broadcast("clamp", x, bound)
        raise
    y = x.where(inside, bound)
    return y.masked_fill(_unknown(x.array, limit), np.nan) if _any_unknown(x.array, limit) else y


@repeatable
def _inside(x, limit, beyond):
    return wrap(np.asarray(~beyond(x, limit)))


@repeatable
def _unknown(x, limit):
    return wrap(np.asarray(np.isnan(x) | np.isnan(limit)))


@repeatable
def _any_unknown(x, limit):
    return bool((np.isnan(x) | np.isnan(limit)).any())
