"""Invertible functions of one number, with the logarithm of their slope: what a change of variables asks for."""

import functools
import numbers
import operator

from ..nn.functional import softplus
from ..tensors.tensor import Tensor
from . import constraints


class Transform:
    """y = f(x), elementwise and monotone. Subclasses give `_call`, `_inverse` and `log_abs_det_jacobian`.

    `sign` is +1 where f rises and −1 where it falls; `domain` and `codomain` say what x and y may be. `inv` is the inverse.

    >>> import minidl
    >>> exp, x = minidl.distributions.ExpTransform(), minidl.tensor([2.0])
    >>> exp(x), exp.inv(exp(x))
    (tensor([7.3891]), tensor([2.]))
    >>> exp.log_abs_det_jacobian(x, exp(x))  # ln |(eˣ)′| = x
    tensor([2.])
    """

    sign = 1
    domain = codomain = constraints.real
    event_dim = 0

    def __call__(self, x):
        if not isinstance(x, Tensor):
            raise TypeError(f"{type(self).__name__}: expected a Tensor, got {type(x).__name__}; use minidl.tensor(x)")
        return self._call(x)

    @property
    def inv(self):
        """The inverse, x = f⁻¹(y), a Transform too."""
        return _Inverse(self)

    def log_abs_det_jacobian(self, x, y):
        """ln |f′(x)|, for y = f(x)."""
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian")

    def __eq__(self, other):
        return type(self) is type(other)

    __hash__ = None

    def __repr__(self):
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    def __init__(self, transform):
        self.inv = transform
        self.sign, self.domain, self.codomain = transform.sign, transform.codomain, transform.domain

    inv = None  # an attribute here, not computed

    def _call(self, y):
        return self.inv._inverse(y)

    def _inverse(self, x):
        return self.inv(x)

    def log_abs_det_jacobian(self, y, x):
        return -self.inv.log_abs_det_jacobian(x, y)

    def __eq__(self, other):
        return isinstance(other, _Inverse) and self.inv == other.inv

    __hash__ = None

    def __repr__(self):
        return f"{self.inv}.inv"


class ExpTransform(Transform):
    """y = eˣ

    >>> from minidl import tensor
    >>> ExpTransform().inv(tensor(1.0))
    tensor(0.)
    """

    codomain = constraints.positive

    def _call(self, x):
        return x.exp()

    def _inverse(self, y):
        return y.log()

    def log_abs_det_jacobian(self, x, y):
        return x


class SigmoidTransform(Transform):
    """y = 1/(1 + e⁻ˣ)

    >>> from minidl import tensor
    >>> SigmoidTransform()(tensor(0.0))
    tensor(0.5000)
    """

    codomain = constraints.unit_interval

    def _call(self, x):
        return x.sigmoid()

    def _inverse(self, y):
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x, y):
        return -softplus(-x) - softplus(x)


class AffineTransform(Transform):
    """y = loc + scale·x, for numbers or tensors; scale may be negative, not 0.

    >>> from minidl import tensor
    >>> AffineTransform(1.0, 2.0)(tensor(3.0))
    tensor(7.)
    """

    def __init__(self, loc, scale, event_dim=0):
        for what, value in (("loc", loc), ("scale", scale)):
            if not isinstance(value, (Tensor, numbers.Real)):
                raise TypeError(f"AffineTransform: {what} must be a number or a tensor, got {type(value).__name__}")
        if type(event_dim) is not int or event_dim:
            raise NotImplementedError(f"AffineTransform: only event_dim=0 is supported, got {event_dim}; see Independent")
        self.loc, self.scale = loc, scale

    @property
    def sign(self):
        return self.scale.sign() if isinstance(self.scale, Tensor) else 1 if self.scale > 0 else -1

    def _call(self, x):
        return self.loc + self.scale * x

    def _inverse(self, y):
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x, y):
        return (x * 0 + self.scale).abs().log()

    def __eq__(self, other):
        return isinstance(other, AffineTransform) and _same(self.loc, other.loc) and _same(self.scale, other.scale)

    __hash__ = None


def _same(a, b):
    same = a == b
    return bool(same.all()) if isinstance(same, Tensor) else same


class ComposeTransform(Transform):
    """One after the other, the first of the list first.

    >>> from minidl import tensor
    >>> ComposeTransform([AffineTransform(0.0, 2.0), ExpTransform()]).log_abs_det_jacobian(tensor(1.0), tensor(7.389))
    tensor(2.6931)
    """

    def __init__(self, parts):
        self.parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
        for part in self.parts:
            if not isinstance(part, Transform):
                raise TypeError(f"ComposeTransform: expected a list of transforms, got {type(part).__name__} in it")
        self.domain = self.parts[0].domain if self.parts else constraints.real
        self.codomain = self.parts[-1].codomain if self.parts else constraints.real

    @property
    def sign(self):
        return functools.reduce(operator.mul, (part.sign for part in self.parts), 1)

    def _call(self, x):
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y):
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x, y):
        total = x * 0
        for part in self.parts:
            y = part(x)
            total, x = total + part.log_abs_det_jacobian(x, y), y
        return total

    def __eq__(self, other):
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    __hash__ = None

    def __repr__(self):
        return f"ComposeTransform([{', '.join(map(repr, self.parts))}])"
