"""The order in which one of several processes reads its part of a data set."""

import math

from ... import random
from ...nn.parallel.group import rank_and_size
from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler):
    """Every num_replicas-th index, beginning with number `rank`: a part of the data for each process, all of one length.

    All processes shuffle alike, by seed + epoch, in PyTorch's order, and each takes its part. What is missing for equal parts
    is taken once more from the beginning; with drop_last the rest is left out. Call `set_epoch(epoch)` before each epoch:
    otherwise all have the same order. num_replicas and rank are those of minidl.distributed by default.

    >>> import minidl
    >>> [list(DistributedSampler(range(5), num_replicas=2, rank=rank, shuffle=False)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    >>> sampler = DistributedSampler(range(8), num_replicas=2, rank=0)
    >>> loader = minidl.utils.data.DataLoader(range(8), batch_size=2, sampler=sampler)
    >>> for epoch in range(2):
    ...     sampler.set_epoch(epoch)
    ...     print([batch.tolist() for batch in loader])
    [[4, 7], [2, 1]]
    [[5, 2], [7, 1]]
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=True, seed=0, drop_last=False):
        name = "DistributedSampler"
        self.rank, self.num_replicas = rank_and_size(name, rank, num_replicas)
        for what, value in (("shuffle", shuffle), ("drop_last", drop_last)):
            if not isinstance(value, bool):
                raise TypeError(f"{name}: {what} must be True or False, got {value!r}")
        if type(seed) is not int:
            raise TypeError(f"{name}: seed must be an integer, got {seed!r}")
        N = len(dataset)
        if not N:
            raise ValueError(f"{name}: the data set is empty")
        self.dataset, self.shuffle, self.seed, self.drop_last, self.epoch = dataset, shuffle, seed, drop_last, 0
        self.num_samples = N // self.num_replicas if drop_last else math.ceil(N / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self):
        N = len(self.dataset)
        if self.shuffle:
            order = random.Generator().manual_seed(self.seed + self.epoch).randperm(N).tolist()
        else:
            order = list(range(N))
        order = order * math.ceil(self.total_size / N)
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self):
        return self.num_samples

    def set_epoch(self, epoch):
        """From the next iteration on the order is that of this epoch."""
        if type(epoch) is not int:
            raise TypeError(f"set_epoch: epoch must be an integer, got {epoch!r}")
        self.epoch = epoch
