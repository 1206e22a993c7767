"""Distribution: what all distributions have in common. Shapes, checks, and what follows from log_prob and entropy.

A sample has the shape sample_shape + batch_shape + event_shape: so many draws, for each of so many distributions side by side,
of values of this shape. `log_prob` has one number for each value: sample_shape + batch_shape. All in nats.
"""

import numbers

import numpy as np

from ..graph.modes import no_grad
from ..graph.watch import repeatable
from ..tensors import dtypes
from ..tensors.arguments import as_ints
from ..tensors.record import floating, number_array, wrap
from ..tensors.tensor import Tensor
from . import constraints


def broadcast_all(*values):
    """Tensors and numbers, as floating-point tensors of one shape and one dtype. Numbers take the dtype of the tensors.

    >>> broadcast_all(wrap(np.zeros(2)), 1.0)[1]
    tensor([1., 1.], dtype=minidl.float64)
    """
    for value in values:
        if not isinstance(value, (Tensor, numbers.Real)):
            raise TypeError(f"distributions: expected parameters that are tensors or numbers, got {type(value).__name__}")
    tensors = [floating(value) for value in values if isinstance(value, Tensor)]
    dtype = np.result_type(*(t.dtype for t in tensors)) if tensors else dtypes.default
    values = [floating(v).to(dtype) if isinstance(v, Tensor) else wrap(number_array("distributions", v, dtype)) for v in values]
    try:
        shape = np.broadcast_shapes(*(v.shape for v in values))
    except ValueError:
        raise ValueError(
            f"distributions: parameters of the shapes {', '.join(str(v.shape) for v in values)} do not broadcast"
        ) from None
    return tuple(v if v.shape == shape else v.expand(shape) for v in values)


class Distribution:
    """The base: subclasses give `arg_constraints`, `support`, and log_prob, sample or rsample, entropy, mean and variance.

    batch_shape: of the distributions side by side, each with parameters of its own. event_shape: of one value of one of them.
    validate_args: check the parameters, and the values given to log_prob; None for the default, which is to check.

    >>> Distribution((3,), (2,))._extended_shape((5,))
    (5, 3, 2)
    """

    has_rsample = False  # whether gradients flow through samples to the parameters
    has_enumerate_support = False
    arg_constraints = {}  # name of a parameter -> what it must be
    support = None  # what a value must be
    _validate_args = __debug__

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape, self._event_shape = self._shape("batch_shape", batch_shape), self._shape("event_shape", event_shape)
        if validate_args is not None:
            if validate_args not in (True, False) if isinstance(validate_args, (int, np.bool_)) else True:
                raise TypeError(f"{type(self).__name__}: validate_args must be True, False or None, got {validate_args!r}")
            self._validate_args = bool(validate_args)
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if name in self.__dict__:
                    self._require(name, self.__dict__[name], constraint)

    def _shape(self, what, sizes):
        """A tuple of sizes, or an error that says which argument is none."""
        shape = as_ints(sizes)
        if isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape):
            return shape
        raise TypeError(f"{type(self).__name__}: {what} must be a tuple of sizes, got {sizes!r}")

    @staticmethod
    def set_default_validate_args(value):
        """Whether distributions made from now on check, where they are not told."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: expected True or False, got {value!r}")
        Distribution._validate_args = value

    @property
    def batch_shape(self):
        """How many distributions there are side by side, as a shape."""
        return self._batch_shape

    @property
    def event_shape(self):
        """The shape of one value of one of the distributions."""
        return self._event_shape

    # --- what a distribution gives

    @property
    def mean(self):
        """E x, the mean."""
        return self._missing("mean")

    @property
    def mode(self):
        """The value with the highest probability or density."""
        return self._missing("mode")

    @property
    def variance(self):
        """E (x − mean)², the variance."""
        return self._missing("variance")

    @property
    def stddev(self):
        """√variance, the standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape=()):
        """Draws, without a gradient: sample_shape + batch_shape + event_shape."""
        with no_grad():
            return self.rsample(sample_shape)

    def sample_n(self, n):
        """sample((n,))."""
        return self.sample((n,))

    def rsample(self, sample_shape=()):
        """Draws that are a differentiable function of the parameters (reparameterised); the same numbers as from sample."""
        return self._missing("rsample")

    def log_prob(self, value):
        """The logarithm of the density, or of the probability, at the value, in nats."""
        return self._missing("log_prob")

    def cdf(self, value):
        """The chance to be at most this value."""
        return self._missing("cdf")

    def icdf(self, value):
        """The inverse of cdf: the quantile of a chance in [0, 1]."""
        return self._missing("icdf")

    def enumerate_support(self, expand=True):
        """All values that the distribution can give, along a new first axis; only of discrete distributions."""
        return self._missing("enumerate_support")

    def entropy(self):
        """−E log_prob, in nats: batch_shape."""
        return self._missing("entropy")

    def perplexity(self):
        """exp of the entropy: as if so many outcomes were alike."""
        return self.entropy().exp()

    def expand(self, batch_shape, _instance=None):
        """The same distribution repeated to a larger batch_shape, without copying its parameters."""
        if _instance is not None:
            raise NotImplementedError("expand: _instance is not supported")
        batch_shape, own = self._shape("batch_shape", batch_shape), len(self._batch_shape)
        parameters = {name: p.expand(*batch_shape, *p.shape[own:]) for name, p in self._parameters().items()}
        return type(self)(**parameters, validate_args=False)._validating(self._validate_args)

    # --- for subclasses

    def _parameters(self):
        """What the constructor wants to make this again, of the shapes batch_shape + …"""
        return {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}

    def _validating(self, wanted):
        self._validate_args = wanted
        return self

    def _extended_shape(self, sample_shape=()):
        """sample_shape + batch_shape + event_shape"""
        return (*self._sizes(sample_shape), *self._batch_shape, *self._event_shape)

    def _sizes(self, sample_shape):
        sizes = as_ints(sample_shape)
        if not isinstance(sizes, tuple) or not all(type(n) is int for n in sizes):
            raise TypeError(f"{type(self).__name__}: sample_shape must be a tuple of integers, got {sample_shape!r}")
        return sizes

    def _checked(self, value):
        """The value given to log_prob or cdf as a tensor, checked if this distribution checks."""
        if isinstance(value, numbers.Real):
            value = wrap(number_array(type(self).__name__, value, self._dtype()))
        elif not isinstance(value, Tensor):
            raise TypeError(f"{type(self).__name__}: expected the value as a tensor, got {type(value).__name__}")
        if self._validate_args:
            self._validate_sample(value)
        return value

    def _checked_chance(self, value):
        """The chance given to icdf as a tensor, in [0, 1] if this distribution checks."""
        if isinstance(value, numbers.Real):
            value = wrap(number_array(type(self).__name__, value, self._dtype()))
        elif not isinstance(value, Tensor):
            raise TypeError(f"{type(self).__name__}: expected the chance as a tensor, got {type(value).__name__}")
        value = floating(value)
        if self._validate_args:
            self._require("the chance", value, constraints.unit_interval)
        return value

    def _dtype(self):
        return next((p.dtype for p in self.__dict__.values() if isinstance(p, Tensor)), dtypes.default)

    def _validate_sample(self, value):
        event = value.shape[max(value.ndim - len(self._event_shape), 0) :]
        if event != self._event_shape:
            raise ValueError(
                f"{type(self).__name__}: the value of shape {value.shape} must end in the event_shape {self._event_shape}"
            )
        try:
            np.broadcast_shapes(value.shape, self._extended_shape())
        except ValueError:
            raise ValueError(
                f"{type(self).__name__}: the value of shape {value.shape} does not broadcast with batch_shape + event_shape "
                f"{self._extended_shape()}"
            ) from None
        if self.support is not None:
            self._require("the value", value, self.support)

    def _require(self, name, value, constraint):
        _expect(type(self).__name__, name, value, constraint)

    def _missing(self, what):
        raise NotImplementedError(f"{type(self).__name__} has no {what}")

    def __repr__(self):
        """As PyTorch's: parameters of one element by value, others by shape.

        >>> Distribution()
        Distribution()
        """
        parts = (f"{k}: {p if p.numel() == 1 else p.shape}" for k, p in self._parameters().items())
        return f"{type(self).__name__}({', '.join(parts)})"


@repeatable
def _expect(kind, name, value, constraint):
    good = constraint.check(value).array
    if not good.all():
        event = value.shape[value.ndim - constraint.event_dim :]
        found = np.broadcast_to(value.array, good.shape + event)[tuple(np.argwhere(~good)[0])]  # the first bad one
        found = np.array2string(found, threshold=16).replace("\n", "") if event else f"{found}"
        raise ValueError(f"{kind}: {name} must be {constraint.rule}, got {found}")
