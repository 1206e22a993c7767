"""Data sets: `dataset[i]` is one sample, `len(dataset)` says how many there are."""

import bisect
import itertools
import math
import numbers
import operator
import warnings

from ... import random
from ...tensors.record import remedy_for
from ...tensors.tensor import Tensor


def describe(dataset):
    """A data set in a line of text: as it prints itself, or its class and how many samples it has."""
    if isinstance(dataset, Dataset):
        return repr(dataset).partition("\n")[0]
    return f"{type(dataset).__name__}{f' of {len(dataset)} samples' if hasattr(dataset, '__len__') else ''}"


class Dataset:
    """Base of data sets. Write `__getitem__(i)`, and `__len__()` where the length is known.

    >>> import minidl
    >>> class Squares(minidl.utils.data.Dataset):
    ...     def __getitem__(self, i):
    ...         return i * i
    ...     def __len__(self):
    ...         return 5
    >>> data = Squares()
    >>> data[3], len(data)
    (9, 5)
    """

    def __repr__(self):
        count = f"{len(self)} samples" if hasattr(self, "__len__") else ""
        return f"{type(self).__name__}({count})"

    def __getitem__(self, index):
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Base of data sets that can only be read in order, from a stream. Write `__iter__()`.

    >>> import minidl
    >>> class Countdown(minidl.utils.data.IterableDataset):
    ...     def __iter__(self):
    ...         return iter([3, 2, 1])
    >>> next(iter(minidl.utils.data.DataLoader(Countdown(), batch_size=2)))
    tensor([3, 2])
    """

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __add__(self, other):
        raise NotImplementedError(
            "IterableDataset: + (PyTorch's ChainDataset) is not supported; use itertools.chain in __iter__"
        )


class TensorDataset(Dataset):
    """Tensors side by side: sample i is the tuple of their rows i.

    >>> import minidl
    >>> data = TensorDataset(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), minidl.tensor([0, 1]))
    >>> data[1]
    (tensor([3., 4.]), tensor(1))
    """

    def __init__(self, *tensors):
        for i, x in enumerate(tensors):
            if not isinstance(x, Tensor) or not x.ndim:
                got = f"shape {x.shape}" if isinstance(x, Tensor) else f"type {type(x).__name__}"
                if isinstance(x, (list, tuple)) and x and all(isinstance(part, Tensor) for part in x):
                    raise TypeError(
                        f"TensorDataset: argument {i} is a {type(x).__name__} of tensors; write TensorDataset(*tensors)"
                    )
                raise TypeError(
                    f"TensorDataset: expected tensors with at least one axis, argument {i} has {got}{remedy_for(x)}"
                )
        if not tensors or len({len(x) for x in tensors}) > 1:
            raise ValueError(f"TensorDataset: expected tensors of one length, got shapes {[x.shape for x in tensors]}")
        self.tensors = tensors

    def __repr__(self):
        parts = ", ".join(f"{x.dtype} {x.shape}" for x in self.tensors)
        return f"TensorDataset({parts}: {len(self)} samples)"

    def __getitem__(self, index):
        return tuple(x[index] for x in self.tensors)

    def __len__(self):
        return len(self.tensors[0])


class Subset(Dataset):
    """The samples of a data set at the given indices.

    >>> import minidl
    >>> data = Subset(["a", "b", "c"], [2, 0])
    >>> len(data), data[0]
    (2, 'c')
    """

    def __init__(self, dataset, indices):
        self.dataset, self.indices = dataset, indices

    def __repr__(self):
        return f"Subset({len(self)} of {describe(self.dataset)})"

    def __getitem__(self, index):
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self):
        return len(self.indices)


class ConcatDataset(Dataset):
    """One data set after the other.

    >>> data = ConcatDataset([["a", "b"], ["c"]])
    >>> len(data), data[2], data[-3]
    (3, 'c', 'a')
    """

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one data set")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise TypeError("ConcatDataset: an IterableDataset has no order of indices; use itertools.chain")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __repr__(self):
        return f"ConcatDataset([{', '.join(map(describe, self.datasets))}]: {len(self)} samples)"

    def __getitem__(self, index):
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self):
        return self.cumulative_sizes[-1]


def random_split(dataset, lengths, generator=None):
    """Subsets of the given lengths, at random and without overlap.

    Fractions that add up to 1 are rounded down, and what is left goes to the first subsets, one sample each.

    >>> import minidl
    >>> train, test = random_split(range(10), [0.75, 0.25], minidl.Generator().manual_seed(0))
    >>> len(train), sorted([*train, *test]) == list(range(10))
    (8, True)
    """
    if isinstance(lengths, (int, float)):
        raise TypeError(f"random_split: lengths must be a list, got {lengths}; write [0.8, 0.2], or two numbers of samples")
    total, lengths = len(dataset), list(lengths)
    if any(isinstance(n, numbers.Complex) and not isinstance(n, numbers.Real) for n in lengths):
        raise TypeError(f"random_split: lengths must be numbers, got {lengths}")
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        if min(lengths) < 0:
            raise ValueError(f"random_split: fractions must not be negative, got {lengths}")
        lengths = [math.floor(total * fraction) for fraction in lengths]
        for i in range(total - sum(lengths)):
            lengths[i % len(lengths)] += 1
        if 0 in lengths:
            warnings.warn(f"random_split: of {total} samples, subset {lengths.index(0)} gets none", stacklevel=2)
    if sum(lengths) != total or min(lengths, default=0) < 0:
        raise ValueError(f"random_split: lengths {lengths} must add up to {total}, or fractions to 1")
    order = random.source(generator).randperm(total).tolist()
    ends = itertools.accumulate(lengths)
    return [Subset(dataset, order[end - n : end]) for end, n in zip(ends, lengths, strict=True)]
