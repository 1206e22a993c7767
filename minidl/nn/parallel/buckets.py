"""Flat arrays in which gradients travel: one message of a megabyte takes far less time than a thousand of a kilobyte."""

import zlib

import numpy as np

from ...graph.writes import note_write
from ...tensors.record import wrap


class Bucket:
    """The gradients of some parameters of one dtype, side by side in one array; behind them one number for each parameter.

    That number is 1 if the parameter got a gradient here: the sum over the processes says how many of them used it. Sent with
    the gradients, it costs no message of its own.
    """

    def __init__(self, named, group, as_view):
        self.names, self.parameters = list(named), list(named.values())
        self.group, self.as_view = group, as_view
        sizes = [x.array.size for x in self.parameters]
        ends = np.cumsum(sizes).tolist()
        self.flat = np.zeros(ends[-1] + len(sizes), self.parameters[0].array.dtype)
        places = zip(self.parameters, sizes, ends, strict=True)
        self.slots = [self.flat[end - size : end].reshape(x.array.shape) for x, size, end in places]
        self.used = self.flat[ends[-1] :]
        self.work = None
        self.begin()

    def begin(self):
        self.filled, self.count = [False] * len(self.slots), 0

    @property
    def full(self):
        return self.count == len(self.slots)

    def fill(self, i, grad, fired):
        """Puts a gradient in its place, or zeros for one that is missing."""
        slot = self.slots[i]
        if grad is None:
            slot[...] = 0
        else:
            array = grad.array
            if array.shape != slot.shape or array.dtype != slot.dtype:
                raise RuntimeError(
                    f"DistributedDataParallel: {self.names[i]} was {slot.dtype} of shape {slot.shape} when the model was "
                    f"wrapped, its gradient is {array.dtype} of shape {array.shape}; convert the module first, and wrap it then"
                )
            if not (self.as_view and np.shares_memory(array, slot)):
                slot[...] = array
        self.used[i] = fired
        if not self.filled[i]:
            self.filled[i] = True
            self.count += 1

    def complete(self):
        """Fills what has not come: a parameter that this process did not use."""
        for i, parameter in enumerate(self.parameters):
            if not self.filled[i]:
                self.fill(i, parameter.grad, fired=False)

    def launch(self):
        self.work = self.group.all_reduce(self.flat)

    def finish(self, unused_allowed):
        """Waits for the sum and puts the mean into the .grad. Returns which parameters some ranks did not use."""
        self.work.wait()
        self.work, n, missing = None, self.group.size, []
        for i, (parameter, slot) in enumerate(zip(self.parameters, self.slots, strict=True)):
            users, grad = round(float(self.used[i])), parameter.grad
            if users < n and not unused_allowed:
                missing.append(f"{self.names[i]} on {n - users} of {n} ranks")
            if not users and grad is None:
                continue
            if self.as_view:
                np.divide(slot, n, out=slot)
                if grad is None or grad.array is not slot:
                    parameter.grad = wrap(slot)
            elif grad is None:
                parameter.grad = wrap(np.asarray(slot / n))
            else:
                np.divide(slot, n, out=grad.array)
            note_write(parameter.grad.array)
        return missing


def buckets_for(named, group, first, cap, as_view):
    """Buckets of at most `cap` bytes, the first of `first`. The last parameters come first: their gradients are ready first."""
    buckets, open_ones = [], {}  # dtype -> {name: parameter}
    for name, parameter in reversed(list(named.items())):
        dtype = parameter.array.dtype
        waiting = open_ones.setdefault(dtype, {})
        size = sum(x.array.nbytes for x in waiting.values())
        if waiting and size + parameter.array.nbytes > (cap if buckets else first):
            buckets.append(Bucket(waiting, group, as_view))
            waiting = open_ones[dtype] = {}
        waiting[name] = parameter
    return buckets + [Bucket(waiting, group, as_view) for waiting in open_ones.values() if waiting]


def broadcast_all(tensors, group, root=0):
    """Gives these tensors the values of rank `root`, in one message for each dtype."""
    by_dtype = {}
    for x in tensors:
        by_dtype.setdefault(x.array.dtype, []).append(x.array)
    for dtype, arrays in by_dtype.items():
        flat = np.concatenate([a.reshape(-1) for a in arrays]) if group.rank == root else np.empty(_size(arrays), dtype)
        group.broadcast(flat, root).wait()
        if group.rank != root:
            start = 0
            for a in arrays:
                a[...] = flat[start : start + a.size].reshape(a.shape)
                start += a.size
                note_write(a)


def _size(arrays):
    return sum(a.size for a in arrays)


def expect_alike(name, module, group):
    """RuntimeError on all ranks unless the module has parameters of the same names, shapes and dtypes on all of them."""
    items = [*module.named_parameters(), *module.named_buffers()]
    lines = [f"{key}: {x.array.dtype} of shape {x.array.shape}, requires_grad={x.requires_grad}" for key, x in items]
    content = "\n".join(lines).encode()
    sums = group.all_gather(np.array([len(items), len(content), zlib.crc32(content)]))
    other = [i for i in range(group.size) if (sums[i] != sums[0]).any()]
    if not other:
        return
    first = np.frombuffer(content, np.uint8).copy() if group.rank == 0 else np.empty(int(sums[0, 1]), np.uint8)
    group.broadcast(first, 0).wait()
    at_root = first.tobytes().decode().split("\n")
    differing = [
        f"rank {group.rank} has {mine}, rank 0 has {theirs}"
        for mine, theirs in zip(lines, at_root, strict=False)
        if mine != theirs
    ]
    counts = ", ".join(f"rank {i}: {int(sums[i, 0])}" for i in range(group.size))
    raise RuntimeError(
        f"{name}: the model of ranks {other} is not that of rank 0 (parameters and buffers: {counts}). "
        + (differing[0] if differing else "Build the same model on every rank")
    )
