"""What was written in place, and when.

An operation may have saved an array that is overwritten before backward reads it: backward must then raise. PyTorch counts the
writes to each tensor, and each operation keeps a list of these counts. Here a write stores the time (a serial number) for the
array that owns the memory. So recording an operation costs nothing. The walk first compares one number, the time of the newest
write of all: only if that is later than the node does it look at the arrays that the node has saved.
"""

import weakref

import numpy as np

from ..kernels.memory import owner_of
from .modes import mode, watchers
from .nodes import next_serial


class _Writes:
    newest = 0
    times = {}  # id of the array that owns the memory -> [weak reference to it, serial of the last write]


_writes = _Writes()


def written_since(serial):
    """Whether any array was written to in place after this time."""
    return serial < _writes.newest


def note_write(array):
    """Remembers that this array's memory has been changed in place, now."""
    owner = array if array.base is None else owner_of(array)
    entry = _writes.times.get(id(owner))
    if entry is None:
        entry = _writes.times[id(owner)] = [_forgotten(owner), 0]
    _writes.newest = entry[1] = next_serial()
    if watchers and mode.watch is not None:
        mode.watch.written(array)


def _forgotten(owner):
    """A weak reference that removes the owner's entry when it dies, before its id can be used again."""
    key = id(owner)
    return weakref.ref(owner, lambda _, forget=_writes.times.pop: forget(key, None))


def check_unchanged(op):
    for name, value in vars(op).items():
        for array in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(array, np.ndarray) and _writes.times.get(id(owner_of(array)), (None, 0))[1] > op.serial:
                raise RuntimeError(
                    f"{op.name}: an array that backward needs (saved as '{name}', shape {array.shape}) was changed in place "
                    "after the operation, or by an optimizer step. Call backward before that, or change a clone()."
                )
