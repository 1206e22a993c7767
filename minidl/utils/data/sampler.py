"""The order in which a data set is read: iterables over its indices, drawn from the same random numbers as PyTorch's."""

import itertools
import operator
from collections.abc import Iterable

import numpy as np

from ... import random
from ...tensors.tensor import Tensor


class Sampler:
    """Base of samplers. Write `__iter__()`, which gives indices, and `__len__()`."""

    def __repr__(self):
        count = f"{len(self)}" if hasattr(self, "__len__") else ""
        return f"{type(self).__name__}({count})"

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class SequentialSampler(Sampler):
    """0, 1, 2, …"""

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def __len__(self):
        return len(self.data_source)


class RandomSampler(Sampler):
    """A new random order each time, or with replacement `num_samples` draws.

    Without a generator, each order has one of its own, whose seed is drawn from the default generator.

    >>> import minidl
    >>> list(RandomSampler(range(5), generator=minidl.Generator().manual_seed(0)))
    [4, 0, 1, 3, 2]
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement must be True or False, got {replacement!r}")
        random.source(generator)
        self.data_source, self.replacement = data_source, replacement
        self._num_samples = None if num_samples is None else _count("RandomSampler", num_samples)
        self.generator = generator
        if self.num_samples < 1:
            raise ValueError("RandomSampler: the data set is empty")

    @property
    def num_samples(self):
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self):
        n, wanted = len(self.data_source), self.num_samples
        generator = self.generator
        if generator is None:
            generator = random.Generator().manual_seed(draw_seed(random.default_generator))
        if self.replacement:  # in portions of 32, so that the stream is used as PyTorch uses it
            for start in range(0, wanted, 32):
                yield from generator.randint(0, n, (min(32, wanted - start),)).tolist()
        else:
            for _ in range(wanted // n):
                yield from generator.randperm(n).tolist()
            yield from generator.randperm(n)[: wanted % n].tolist()

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in a new random order each time."""

    def __init__(self, indices, generator=None):
        random.source(generator)  # now, not at the first epoch
        self.indices, self.generator = indices, generator

    def __iter__(self):
        for i in random.source(self.generator).randperm(len(self.indices)).tolist():
            yield self.indices[i]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """num_samples indices, drawn with probabilities proportional to the weights."""

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        if not isinstance(replacement, bool):
            raise TypeError(f"WeightedRandomSampler: replacement must be True or False, got {replacement!r}")
        weights = np.asarray(weights.array if isinstance(weights, Tensor) else weights)
        if weights.dtype.kind not in "fiub":
            raise TypeError(f"WeightedRandomSampler: expected numbers as weights, got {weights.dtype}")
        self.weights = weights.astype(np.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: weights must have one axis, got shape {self.weights.shape}")
        random.source(generator)
        self.num_samples = _count("WeightedRandomSampler", num_samples)
        self.replacement, self.generator = replacement, generator

    def __iter__(self):
        generator = random.source(self.generator)
        yield from generator.multinomial(self.weights, self.num_samples, self.replacement).tolist()

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of batch_size indices from another sampler; the last may be shorter, or is left out with drop_last.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler, batch_size, drop_last):
        if not isinstance(drop_last, bool):
            raise TypeError(f"BatchSampler: drop_last must be True or False, got {drop_last!r}")
        if not isinstance(sampler, Iterable):
            raise TypeError(f"BatchSampler: expected a sampler, or another iterable of indices, got {sampler!r}")
        self.sampler, self.drop_last = sampler, drop_last
        self.batch_size = _count("BatchSampler", batch_size, "batch_size")

    def __iter__(self):
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                break
            yield batch

    def __len__(self):
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)


def draw_seed(generator):
    """A seed for another generator: PyTorch's torch.empty((), dtype=torch.int64).random_().item()."""
    return generator.randint(0, 2**63, ()).item()


def _count(name, number, what="num_samples"):
    try:
        if isinstance(number, bool) or operator.index(number) < 1:
            raise ValueError(f"{name}: {what} must be 1 or more, got {number!r}")
    except TypeError:
        raise TypeError(f"{name}: {what} must be an integer, got {number!r}") from None
    return operator.index(number)
