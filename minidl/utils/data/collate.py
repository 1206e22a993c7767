"""From a list of samples to one batch."""

from collections.abc import Mapping, Sequence

import numpy as np

from ...tensors import dtypes
from ...tensors.creation import as_tensor, tensor
from ...tensors.joining import stack
from ...tensors.tensor import Tensor


def default_collate(batch):
    """The samples' tensors stacked along a new first axis, kept apart as the samples keep them: in tuples, lists or dicts.

    Arrays and numbers become tensors (Python's floats float64, as in PyTorch); strings stay a list.

    >>> default_collate([{"x": 1, "name": "a"}, {"x": 2, "name": "b"}])
    {'x': tensor([1, 2]), 'name': ['a', 'b']}
    """
    return _unless_endless("default_collate", _collated, batch)


def _collated(batch):
    first = batch[0]
    if isinstance(first, Tensor):
        if any(isinstance(x, Tensor) and x.shape != first.shape for x in batch):
            shapes = [x.shape for x in batch[:4]]
            raise ValueError(
                f"default_collate: expected equal shapes, the samples of a batch have {shapes}{'' if len(batch) < 5 else '…'}; "
                "bring them to one shape in the data set, or give the DataLoader a collate_fn that pads them"
            )
        return stack(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return tensor(np.stack(batch))
    if isinstance(first, float):
        return tensor(batch, dtype=dtypes.float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _like(first, {key: _collated([sample[key] for sample in batch]) for key in first})
    if isinstance(first, Sequence):
        sizes = {len(sample) for sample in batch}
        if len(sizes) > 1:
            raise RuntimeError(f"default_collate: the samples of a batch have different lengths: {sorted(sizes)}")
        parts = [_collated(list(part)) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(
        f"default_collate: samples must hold tensors, arrays, numbers, strings, or dicts and sequences of them; "
        f"got {type(first).__name__}. Pass a collate_fn that makes a batch from a list of them."
    )


def default_convert(sample):
    """One sample with its arrays as tensors, sharing memory: what a DataLoader does with batch_size=None.

    >>> default_convert((np.zeros(2, "float32"), "a"))
    (tensor([0., 0.]), 'a')
    """
    return _unless_endless("default_convert", _converted, sample)


def _converted(sample):
    if isinstance(sample, Tensor):
        return sample
    if isinstance(sample, (np.ndarray, np.generic)):
        return as_tensor(sample)
    if isinstance(sample, Mapping):
        return _like(sample, {key: _converted(value) for key, value in sample.items()})
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*map(_converted, sample))
    if isinstance(sample, (list, tuple)):
        return type(sample)(map(_converted, sample))
    return sample


def _unless_endless(name, function, samples):
    try:
        return function(samples)
    except RecursionError:
        raise ValueError(f"{name}: the samples are nested too deep, or hold themselves") from None


def _like(original, values):
    try:
        return type(original)(values)
    except TypeError:  # a Mapping whose constructor takes something else
        return values
