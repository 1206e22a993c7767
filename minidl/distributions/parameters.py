"""What distributions with two ways to be parameterised share: a probability or its logit, of which one is given."""

import numpy as np

from ..tensors.record import floating
from ..tensors.tensor import Tensor


class derived:
    """An attribute that is computed from the others, unless the instance holds one of that name.

    Computed anew each time: what was kept would belong to a graph that the first backward releases.
    """

    def __init__(self, function):
        self.function, self.__doc__ = function, function.__doc__

    def __get__(self, instance, owner=None):
        return self if instance is None else self.function(instance)


def counts(distribution, value):
    """The checked value, as floating-point numbers of a precision no less than the parameters'."""
    value, dtype = distribution._checked(value), distribution._dtype()
    return value.to(np.result_type(value.dtype, dtype) if value.dtype.kind == "f" else dtype)


def given(name, probs, logits):
    """('probs' or 'logits', its value): the one that is not None.

    >>> given("Bernoulli", 0.5, None)
    ('probs', 0.5)
    """
    if (probs is None) == (logits is None):
        raise ValueError(f"{name}: give probs or logits, {'one of them' if probs is None else 'not both'}")
    return ("probs", probs) if logits is None else ("logits", logits)


def given_rows(name, probs, logits):
    """The same, for floating-point tensors with an axis of classes."""
    which, value = given(name, probs, logits)
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected {which} as a tensor, got {type(value).__name__}")
    if not value.ndim or not value.shape[-1]:
        raise ValueError(f"{name}: {which} must have an axis of one class or more, got shape {value.shape}")
    return which, floating(value)
