"""The processes that train together, as layers and samplers see them. `minidl.distributed` makes them and carries the bytes.

This file imports nothing of it: a program that trains alone loads no MPI, and imports go from `minidl.distributed` to this.
"""

import numpy as np

__all__ = ["ProcessGroup", "current", "group_for", "rank_and_size"]


class Done:
    """A transfer that is over."""

    def __init__(self, finish=None):
        if finish is not None:
            finish()

    def is_completed(self):
        return True

    def wait(self, timeout=None):
        return True


class ProcessGroup:
    """Processes, the ranks, numbered from 0 to `size` − 1; `rank` is this process's number. This class: one process alone.

    The methods that give work in place on C-contiguous arrays. They return at once, with an object whose `wait()` returns when
    the arrays hold the result (and `finish()` has been called), and whose `is_completed()` asks, and helps it along.
    `all_gather(array)` waits, and returns the arrays of all ranks, stacked. `duplicate()` is a group of the same processes
    whose messages never meet those of this one; every rank must call it.

    >>> import minidl
    >>> group = ProcessGroup()
    >>> group.rank, group.size
    (0, 1)
    """

    rank, size, ranks = 0, 1, (0,)
    checks = None  # of the calls of all ranks, under MINIDL_DISTRIBUTED_DEBUG=1

    def barrier(self):
        return Done()

    def all_reduce(self, array, op="sum", finish=None):
        return Done(finish)

    def reduce(self, array, root, op, finish=None):
        return Done(finish)

    def broadcast(self, array, root=0, finish=None):
        return Done(finish)

    def reduce_scatter(self, parts, array, op, finish=None):
        np.copyto(array, parts[0])
        return Done(finish)

    def all_gather_into(self, parts, array, finish=None):
        np.copyto(parts[0], array)
        return Done(finish)

    def all_gather(self, array):
        return array[None].copy()

    def broadcast_objects(self, objects, root):
        return objects

    def duplicate(self):
        return self

    def free(self):
        pass

    def __deepcopy__(self, memo):
        return self  # the copy of a layer is in the same group


class _Current:
    group = None  # of all processes, between init_process_group and destroy_process_group


current = _Current()


def group_for(name, group=None):
    """The given group, or that of all processes. `name` is the function or class that errors name."""
    if group is None:
        group = current.group
        if group is None:
            raise RuntimeError(f"{name}: there is no process group yet; call minidl.distributed.init_process_group() first")
    if not isinstance(group, ProcessGroup):
        raise TypeError(f"{name}: expected a process group of minidl.distributed.new_group, or None, got {group!r}")
    return group


def rank_and_size(name, rank=None, size=None):
    """Rank and number of processes: what is given, else those of the group of all processes."""
    size = group_for(name).size if size is None else size
    rank = group_for(name).rank if rank is None else rank
    for what, value in (("rank", rank), ("num_replicas", size)):
        if type(value) is not int:
            raise TypeError(f"{name}: {what} must be an integer, got {value!r}")
    if not 0 <= rank < size:
        raise ValueError(f"{name}: rank must lie between 0 and num_replicas - 1 = {size - 1}, got {rank}")
    return rank, size
