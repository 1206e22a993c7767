"""DataLoader: a data set, an order and a way to make batches, put together."""

import collections
import contextlib
import itertools
import math
import multiprocessing
import os
import pickle
import socket
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ... import random
from ...nn.construction import ClassSignature, check_arguments
from ...tensors.arguments import as_int
from ...tensors.tensor import Tensor
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset, describe
from .sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed
from .worker import WorkerInfo, fetch, work

_REMEDIES = {-9: " (killed; if for want of memory, take fewer workers or smaller batches)"}
_JOIN = 5  # seconds to wait for a worker to end by itself
_LOOK = 5  # seconds without an answer, after which the loader looks whether the worker is alive


class DataLoader:
    """Iterates over batches of a data set.

    batch_size: samples in a batch; None gives single samples, as they are. drop_last leaves out a last, shorter batch.
    shuffle: a new random order in each epoch. The same seed gives PyTorch's order.
    sampler, batch_sampler: an order of one's own, of indices or of lists of indices.
    collate_fn: makes a batch from a list of samples; by default it stacks tensors and gives lists of them.
    num_workers: processes that load batches while the main one computes; 0 loads them in the main process. Which worker
    makes which batch does not depend on time, so random augmentations are the same in every run. RuntimeError if a worker dies
    (the system may kill it for want of memory: try fewer workers or smaller batches).
    prefetch_factor, persistent_workers, pin_memory, pin_memory_device, in_order: in PyTorch they change how fast batches come,
    and not which. Here they change nothing: each worker is one batch ahead and is started anew in each epoch, and batches
    come in order.

    >>> import minidl
    >>> data = minidl.utils.data.TensorDataset(minidl.arange(10.0).reshape(5, 2), minidl.arange(5))
    >>> for x, y in DataLoader(data, batch_size=2):
    ...     print(tuple(x.shape), y)
    (2, 2) tensor([0, 1])
    (2, 2) tensor([2, 3])
    (1, 2) tensor([4])
    """

    __signature__ = ClassSignature()

    def __new__(cls, *args, **options):
        if options:
            check_arguments(cls, (), options)
        return object.__new__(cls)

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=None,
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        drop_last=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor=None,
        persistent_workers=False,
        pin_memory_device="",
        in_order=True,
    ):
        if pin_memory:
            warnings.warn("DataLoader: pin_memory=True has no effect, minidl runs on the CPU only", stacklevel=2)
        random.source(generator)  # now, not at the first epoch
        num_workers = as_int(num_workers)
        if type(num_workers) is not int or not isinstance(timeout, (int, float)):
            raise TypeError(
                f"DataLoader: num_workers must be an integer and timeout a number, got {num_workers!r} and {timeout!r}"
            )
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"DataLoader: collate_fn must be a function of a list of samples, got {collate_fn!r}")
        _check_dataset(dataset, batch_size)
        for name, order in {"sampler": sampler, "batch_sampler": batch_sampler}.items():
            if order is not None and not isinstance(order, Iterable):
                raise TypeError(f"DataLoader: {name} must be an iterable of indices, got {order!r}")
        if num_workers < 0 or timeout < 0:
            raise ValueError(f"DataLoader: num_workers and timeout must be 0 or more, got {num_workers} and {timeout}")
        if timeout and not num_workers:
            raise ValueError("DataLoader: timeout is the patience with workers, which need num_workers > 0")
        prefetch_factor = as_int(prefetch_factor)
        if prefetch_factor is not None and (type(prefetch_factor) is not int or prefetch_factor < 1):
            raise ValueError(f"DataLoader: prefetch_factor must be an integer of 1 or more, got {prefetch_factor!r}")
        self.dataset, self.generator = dataset, generator
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.multiprocessing_context, self.prefetch_factor = multiprocessing_context, prefetch_factor
        self.persistent_workers, self.pin_memory, self.pin_memory_device = persistent_workers, pin_memory, pin_memory_device
        self.in_order = in_order
        self._streams = isinstance(dataset, IterableDataset)
        if self._streams:
            if shuffle or sampler is not None or batch_sampler is not None:
                raise ValueError("DataLoader: an IterableDataset has its own order; leave out shuffle and samplers")
            if num_workers:
                raise NotImplementedError("DataLoader: an IterableDataset is read in the main process; use num_workers=0")
        if shuffle not in (None, True, False):
            raise TypeError(f"DataLoader: shuffle must be True, False or None, got {shuffle!r}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: give shuffle=True or a sampler, not both")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("DataLoader: a batch_sampler takes the place of batch_size, shuffle, sampler and drop_last")
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last needs a batch_size")
        if sampler is None and not self._streams:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(
                dataset if self._streams else sampler, batch_size, drop_last
            )  # checks batch_size, also for streams
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)

    def __repr__(self):
        order = "its own order" if self._streams else repr(self.sampler)
        own = "" if self.batch_sampler is None or type(self.batch_sampler) is BatchSampler else f", {self.batch_sampler!r}"
        size = f"batch_size={self.batch_size}"
        return f"DataLoader({describe(self.dataset)}, {size}{own}, {order}, num_workers={self.num_workers})"

    def __len__(self):
        """How many batches an epoch has."""
        if self._streams:
            return (
                len(self.dataset)
                if self.batch_size is None
                else len(BatchSampler(self.dataset, self.batch_size, self.drop_last))
            )
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        # Drawn at the start of each epoch even without workers, as PyTorch does: else the order would depend on num_workers.
        seed = draw_seed(random.source(self.generator))
        if self._streams:
            return self._stream()
        order = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        if self.num_workers:
            return self._from_workers(order, seed)
        batched = self.batch_sampler is not None
        return (fetch(self.dataset, indices, self.collate_fn, batched) for indices in order)

    def _stream(self):
        if self.batch_size is None:
            yield from map(self.collate_fn, self.dataset)
            return
        samples = iter(self.dataset)
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def _from_workers(self, order, seed):
        """Batch i comes from worker i mod num_workers, each of which is one batch ahead."""
        context = self.multiprocessing_context
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context)
        workers, busy = [], collections.deque()
        try:
            for i in range(self.num_workers):
                ours, theirs = context.Pipe()
                info = WorkerInfo(i, self.num_workers, seed + i, self.dataset)
                forked = [*(connection for _, _, connection in workers), ours] if context.get_start_method() == "fork" else []
                job = (self.collate_fn, self.batch_sampler is not None)
                args = (theirs, forked, info, job, self.worker_init_fn)
                process = context.Process(target=work, args=args, daemon=True)
                process.start()
                theirs.close()
                workers.append((i, process, ours))
            for worker, indices in zip(workers, order, strict=False):
                _ask(worker[2], indices)
                busy.append(worker)
            while busy:
                worker = busy.popleft()
                batch = self._receive(*worker)
                indices = next(order, None)
                if indices is not None:
                    _ask(worker[2], indices)
                    busy.append(worker)
                yield batch
        finally:
            for _, _, connection in workers:
                _hang_up(connection)
            for _, process, _ in workers:
                process.join(_JOIN)
                if process.is_alive():
                    process.terminate()
                    process.join(_JOIN)
                if process.is_alive():  # it did not end when it was terminated
                    process.kill()
                    process.join()

    def _receive(self, number, process, connection):
        end = time.monotonic() + self.timeout if self.timeout else math.inf
        try:
            while not connection.poll(max(0, min(_LOOK, end - time.monotonic()))):
                # The end of a worker is seen at once, unless another process got a copy of its connection when it was forked.
                if not process.is_alive() and not connection.poll():
                    raise EOFError
                if time.monotonic() >= end:
                    raise RuntimeError(f"DataLoader: no batch from worker {number} within {self.timeout} s")
            answer = connection.recv_bytes()
        except (EOFError, OSError):  # OSError: it ended in the middle of a batch
            process.join(_JOIN)
            raise RuntimeError(
                f"DataLoader: worker {number} died, exit code {process.exitcode}"
                f"{_REMEDIES.get(process.exitcode, '; with num_workers=0 its error shows where it comes from')}"
            ) from None
        failure, batch = pickle.loads(answer)  # an error here is one of the user's objects: the worker is alive
        if failure:
            error, text = failure
            raise error from RuntimeError(f"in DataLoader worker {number}:\n{text}")
        return batch


def _check_dataset(dataset, batch_size):
    arrays = (Tensor, np.ndarray)
    if isinstance(dataset, tuple) and dataset and all(isinstance(x, arrays) for x in dataset):
        raise TypeError(
            f"DataLoader: got a tuple of {len(dataset)}, which would be a data set of {len(dataset)} samples; "
            "write DataLoader(TensorDataset(X, y), …)"
        )
    if isinstance(batch_size, arrays) and batch_size.ndim:
        raise TypeError("DataLoader: batch_size must be an integer, got an array; write DataLoader(TensorDataset(X, y), …)")
    name = dataset.__name__ if isinstance(dataset, type) else type(dataset).__name__
    if isinstance(dataset, type):
        raise TypeError(f"DataLoader: expected a data set, got the class {name}; write {name}(…)")
    if isinstance(dataset, IterableDataset):
        return
    if dataset is None:
        raise TypeError("DataLoader: expected a data set, got None; a function that ends without `return` gives None")
    for method in ("__getitem__", "__len__"):
        if not hasattr(dataset, method) or (method == "__getitem__" and type(dataset).__getitem__ is Dataset.__getitem__):
            raise TypeError(
                f"DataLoader: expected a data set, with __getitem__ and __len__, got {name} without {method}; write "
                f"{'def __len__(self)' if method == '__len__' else 'def __getitem__(self, i)'} in the class {name}"
            )


def _ask(connection, indices):
    """Sends a worker what it shall load. That it has died is told when its batch is due."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.send(indices)


def _hang_up(connection):
    """Ends a connection, also for processes that got a copy of it when they were forked: the worker shall see the end now."""
    if os.name == "posix":
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
    connection.close()
