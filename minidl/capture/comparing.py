"""Whether values and containers are what they were when a step was remembered."""

import operator
import types

import numpy as np

from ..tensors.tensor import Tensor

SIMPLE = (int, float, bool, complex, str, bytes, type(None), np.generic)
MANY = 1000  # items of a list or dict that are compared one by one
DICTS = dict, types.MappingProxyType


class _Some(dict):
    """Some items of a dict with many."""


def copied_items(value, names):
    """What a container holds, to see that it is changed; of a long one its length, or the items whose keys are in the code."""
    if isinstance(value, DICTS):
        return dict(value) if len(value) <= MANY else _Some((key, value[key]) for key in names & value.keys())
    if len(value) > MANY:
        return len(value)
    return set(value) if isinstance(value, set) else list(value)


def alike(now, copy):
    """Whether a container still has the items that the copy has."""
    kind = type(copy)
    if kind is int:
        return len(now) == copy
    if kind is bytes:
        return np.asarray(now).tobytes() == copy
    if kind is _Some:
        return all(key in now and same(now[key], value) for key, value in copy.items())
    if len(now) != len(copy):
        return False
    if kind is set:
        return now == copy
    if kind is dict:
        if not all(map(_one_key, now, copy)):
            return False
        now, copy = now.values(), copy.values()
    return all(map(operator.is_, now, copy)) or all(map(same, now, copy))


def _one_key(a, b):
    return a is b or (not isinstance(a, Tensor) and a == b)  # two tensors would be compared number by number


def same(now, before):
    """The same object, or an equal number: 0 and -0 differ."""
    if now is before:
        return True
    if type(now) is not type(before):
        return False
    if isinstance(now, SIMPLE):
        return repr(now) == repr(before)
    return type(now) is tuple and len(now) == len(before) and all(map(same, now, before))
