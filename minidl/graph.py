"""The graph and the walk back through it. Knows nodes and arrays; knows no formula and no Tensor.

A node is a recorded operation (`ops.base.Op`) or a `Leaf`, the end of the graph at a tensor the user made. An operation points
to the nodes of its inputs (`needs`), so the graph is held by its results and dies with them; nothing points forward.

Why the walk goes from the newest node to the oldest: take

    b = a + a
    c = b + b

Every input exists before the output made from it, so the order of creation is already a topological order. Walked newest first,
a node is reached only after everything that used it has sent its share, and `b` hands on 2 once rather than 1 twice.
"""

import contextvars
import itertools
import linecache
import sys
import threading
import weakref
from heapq import heappop, heappush
from pathlib import Path

import numpy as np
from numpy import ndarray

from .kernels.memory import Block

# What np.errstate sets; to set it directly takes a quarter of the time. A NumPy without it would warn of infinities and NaNs.
float_errors = getattr(np._core.umath, "_extobj_contextvar", None) or contextvars.ContextVar("float_errors")
SILENT = np._core.umath._make_extobj(all="ignore") if hasattr(np._core.umath, "_make_extobj") else None

next_serial = itertools.count(1).__next__


class _Mode(threading.local):
    """What a thread does with operations: `recording` them, and looking for the first that is not finite."""

    recording = True
    anomaly = False


mode = _Mode()


class Leaf:
    """Where the gradient of a tensor that the user made arrives and is kept."""

    needs = ()
    hooks = None
    retains = True
    name = "leaf"

    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.grad = shape, dtype, None

    def __getstate__(self):
        return {**vars(self), "hooks": None}  # a hook belongs to one tensor, not to its copies


class Part:
    """Output number `index` of an operation with several: a node of its own, so that each collects its own gradient."""

    hooks, retains, grad, name = None, False, None, "Part"

    def __init__(self, op, index, shape):
        self.needs, self.index, self.shape, self.serial = (op,), index, shape, next_serial()

    def __repr__(self):
        return repr(self.needs[0])


def walk(seeds, retain_graph=False, wanted=()):
    """Sends the cotangents `seeds` ({node: dy}) back to the leaves.

    Returns {node: gradient} for the leaves, for the nodes that retain theirs and for the `wanted` ones; these arrays belong to
    the caller alone. Operations are released as they are passed, unless `retain_graph`.
    """
    token = float_errors.set(SILENT)  # infinities and NaNs are results here as in PyTorch, not warnings
    try:
        return _walk(seeds, retain_graph, wanted)
    finally:
        float_errors.reset(token)


def _walk(seeds, retain_graph, wanted):
    pending = dict(seeds)  # node -> the gradient that has arrived so far
    lent = set(seeds)  # nodes whose pending array others hold, too: it may not be added to in place, nor given away
    queue = []  # the operations among the pending nodes, the newest at the top of the heap
    found = {}
    watch = mode.anomaly
    for node in seeds:
        enqueue(queue, node)
    while queue:
        node = heappop(queue)[1]
        dy = pending.pop(node)
        if node.hooks:
            dy = _run_hooks(node, dy)
            lent.add(node)
        if node.retains or (wanted and node in wanted):
            found[node] = dy.copy() if node in lent else dy
        if type(node) is Part:
            op = node.needs[0]
            if op not in pending:
                pending[op] = [None] * op.outputs
                enqueue(queue, op)
            pending[op][node.index] = dy
            continue
        if node.serial < _writes.newest:
            check_unchanged(node)
        gradients = node.backward(dy)
        if type(gradients) is not tuple:
            gradients = (gradients,)
        for parent, dx in zip(node.needs, gradients):  # noqa: B905 (strict=True would cost as much as the loop)
            if parent is None or dx is None:
                continue
            if type(dx) is not ndarray:
                dx = np.asarray(dx)  # arithmetic on 0-d arrays makes NumPy scalars
            if dx.shape != parent.shape:
                raise RuntimeError(f"{node.name}.backward: a gradient of shape {dx.shape} for an input of {parent.shape}")
            if watch:
                check_finite(node, dx, "the gradient that it passes back")
            if parent not in pending:
                pending[parent] = dx
                if dx is dy or not (dx.base is None or type(dx.base) is Block):  # anything but an array of its own
                    lent.add(parent)
                if type(parent) is not Leaf:
                    enqueue(queue, parent)
            elif parent in lent:
                pending[parent] = np.asarray(pending[parent] + dx)
                lent.discard(parent)
            else:
                pending[parent] += dx
        if not retain_graph:
            release(node)
    for leaf, dy in pending.items():  # what is left has no way on
        if leaf.hooks:
            dy = _run_hooks(leaf, dy)
            lent.add(leaf)
        found[leaf] = dy.copy() if leaf in lent else dy
    return found


def enqueue(queue, node):
    if node.needs:
        heappush(queue, (-node.serial, node))
    elif node.needs is None:
        raise RuntimeError(
            f"backward: this graph has been walked before and {node.name} has dropped what it had saved. "
            "Pass retain_graph=True to the first backward, or compute the loss again."
        )


def release(op):
    """Drops all that an operation saved, and its way to older nodes; a gradient that was asked for stays."""
    op.__dict__ = {"needs": None, "retains": True, "grad": op.grad} if op.retains else {"needs": None}


def _run_hooks(node, dy):
    for hook in list(node.hooks.values()):
        result = hook(dy)
        if result is not None:
            if result.shape != dy.shape:
                raise RuntimeError(f"hook on {node.name}: expected a gradient of shape {dy.shape}, got {result.shape}")
            dy = result
    return dy


# --- what was written in place, and when
# An operation may have saved an array that is overwritten before backward reads it. Rather than give each tensor a version and
# each operation a list of them, a write notes the time (a serial number) under the array that owns the memory. Recording an
# operation then costs nothing, and the walk compares one number as long as nothing newer than the node was written.


class _Writes:
    newest = 0
    times = {}  # id of the array that owns the memory -> [weak reference to it, serial of the last write]


_writes = _Writes()


def _owner(array):
    while isinstance(array.base, np.ndarray) and type(array.base) is not Block:
        array = array.base
    return array


def written_since(serial):
    """Whether any array was written to in place after this time."""
    return serial < _writes.newest


def note_write(array):
    """Remembers that this array's memory has been changed in place, now."""
    owner = array if array.base is None else _owner(array)
    entry = _writes.times.get(id(owner))
    if entry is None:
        entry = _writes.times[id(owner)] = [_forgotten(owner), 0]
    _writes.newest = entry[1] = next_serial()


def _forgotten(owner):
    """A weak reference that removes the owner's entry when it dies, before its id can be used again."""
    key = id(owner)
    return weakref.ref(owner, lambda _, forget=_writes.times.pop: forget(key, None))


def check_unchanged(op):
    for name, value in vars(op).items():
        for array in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(array, np.ndarray) and _writes.times.get(id(_owner(array)), (None, 0))[1] > op.serial:
                raise RuntimeError(
                    f"{op.name}: an array that backward needs (saved as '{name}', shape {array.shape}) was changed in place "
                    "after the operation, or by an optimizer step. Call backward before that, or change a clone()."
                )


# --- detect_anomaly

_package = str(Path(__file__).parent)


def user_line():
    """The innermost line of code that is not minidl's own, as 'file:line: text'."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_package):
        frame = frame.f_back
    path, line = frame.f_code.co_filename, frame.f_lineno
    return f"{path}:{line}: {linecache.getline(path, line).strip()}"


def check_finite(op, array, what):
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        line = op.origin or "a line before detect_anomaly"
        raise RuntimeError(f"detect_anomaly: {op.name}: {what} is not finite. The operation was called at {line}")
