"""What runs in a worker process of a DataLoader: it receives lists of indices and sends back batches."""

import pickle
import random as python_random
import traceback
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import numpy as np

from ... import random
from ...kernels import threads
from .collate import default_collate
from .dataset import Subset, TensorDataset


class WorkerInfo(NamedTuple):
    """Which of the worker processes this is."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Here:
    info = None


def get_worker_info():
    """The WorkerInfo of this worker process: its id, num_workers, seed and data set. None in the main process.

    >>> import minidl
    >>> get_worker_info() is None
    True
    """
    return _Here.info


def fetch(dataset, indices, collate, batched):
    """The batch of the samples at the indices; not batched, what the data set has at `indices` itself."""
    if not batched:
        return collate(dataset[indices])
    if collate is default_collate:
        inner, rows = dataset, indices
        if type(dataset) is Subset:
            inner, rows = dataset.dataset, [dataset.indices[i] for i in indices]
        if type(inner) is TensorDataset:  # one lookup in place of many; the values are the same, and a copy
            rows = np.asarray(rows if len(rows) else np.zeros(0, np.int64))
            if rows.dtype.kind not in "iu":
                raise TypeError(f"DataLoader: expected integers from the sampler, got {indices}")
            return [x[rows] for x in inner.tensors]
    if hasattr(dataset, "__getitems__"):
        return collate(dataset.__getitems__(list(indices)))
    return collate([dataset[i] for i in indices])


def work(connection, others, info, job, worker_init_fn):
    """The loop of a worker process. It ends when the main process closes its end of the connection, or dies."""
    for other in others:  # copies that fork made of the main process's ends: they would keep the connection open
        other.close()
    _Here.info = info
    threads.set_num_threads(1)  # the processes are the parallelism
    random.manual_seed(info.seed)
    python_random.seed(info.seed)
    np.random.seed(info.seed % 2**32)
    try:
        failure = None
        if worker_init_fn is not None:
            failure, _ = _attempt(worker_init_fn, info.id)
        while True:
            indices = connection.recv()
            answer = (failure, None) if failure else _attempt(fetch, info.dataset, indices, *job)
            connection.send_bytes(_packed(answer))
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        pass


def _packed(answer):
    """The bytes of an answer; of one that cannot be sent, those of an error that says so."""
    try:
        return ForkingPickler.dumps(answer)  # what connection.send does
    except Exception as error:
        what = f"DataLoader: a batch of type {type(answer[1]).__name__} cannot be sent from a worker process ({error})"
        failure = RuntimeError(f"{what}; make it of tensors, arrays, numbers and text, or use num_workers=0")
        return pickle.dumps(((failure, traceback.format_exc()), None))


def _attempt(function, *args):
    """((error, its traceback), None) or (None, result)."""
    try:
        return None, function(*args)
    except Exception as error:
        text = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return (error, text), None
