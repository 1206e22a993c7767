"""The observer: what each operation got and gave, and what each step of the walk back sent on."""

import copy
import sys

import numpy as np

from ..graph import walk as walking
from ..graph.nodes import Leaf, Part
from ..graph.watch import Observer, add, remove
from ..tensors.record import apply
from ..tensors.tensor import Tensor
from .frames import Frames, failed_call

APPLY = apply.__code__
ENGINE = "needs", "serial", "shape", "origin", "retains", "grad", "hooks", "outputs"  # attributes of a node that are no options


class Entry:
    """One operation: a copy made before it ran (so that it can be run again), its inputs and outputs, and where it was called.

    `inputs` has one place for each operand: (node or None, array or number). Arrays are copies: a later write in place must
    not change what is shown. `given` are the arrays themselves, by whose identity constants are told apart.
    """

    failed = None  # the error, if it raised

    def __init__(self, op, replay, inputs, given, outputs, results, calls, line):
        self.op, self.replay, self.inputs, self.given = op, replay, inputs, given
        self.outputs, self.results, self.calls, self.line = outputs, results, calls, line
        self.name, self.recorded = str(op.name), bool(op.serial)
        self.options = options(replay)
        self.saved = {k: v for k, v in options(op).items() if k not in self.options or self.options[k] is not v}


class Step:
    """What one operation received on the way back, and what it sent on: shares is a list of (parent, dx)."""

    failed = None

    def __init__(self, node, dy):
        self.node, self.dy, self.shares = node, dy, []


def options(op):
    return {name: value for name, value in vars(op).items() if name not in ENGINE and value is not None}


def frozen(x):
    """A copy of what may be changed later."""
    return x.copy() if isinstance(x, np.ndarray) else [frozen(y) for y in x] if isinstance(x, list) else x


class Tape(Observer):
    """Everything that happens in this thread while it watches, as a context. `minidl.viz.record()` makes one.

    >>> import minidl
    >>> w = minidl.ones(2, requires_grad=True)
    >>> with minidl.viz.record() as tape:
    ...     loss = (w * 3).sum()
    >>> tape
    <Tape of 2 operations, 0 steps back>
    """

    def __init__(self, stop=None, last=None):
        self.frames = Frames(stop, last)
        self.entries, self.steps, self.by_node, self.step_of = [], [], {}, {}
        self.open = []  # (operation, copy) of those that have begun, the innermost last
        self.leaves, self.error = {}, None

    def __enter__(self):
        add(self)
        return self

    def __exit__(self, *error):
        remove(self)
        self.open.clear()

    def __repr__(self):
        return f"<Tape of {len(self.entries)} operations, {len(self.steps)} steps back>"

    # --- what the engine calls

    def before(self, op):
        self.open.append((op, copy.copy(op)))

    def after(self, op, inputs, arrays, outputs):
        while self.open and self.open[-1][0] is not op:  # those that raised, and whose error was caught
            self.open.pop()
        replay = self.open.pop()[1] if self.open else copy.copy(op)
        if self.open and self._running():  # a part of a Function's forward: the Function is shown as one operation
            return
        calls, line = self.frames.look(sys._getframe(1))
        got = [(node, frozen(x)) for node, x in zip(op.needs, arrays, strict=True)]
        entry = Entry(op, replay, got, list(arrays), [frozen(y.array) for y in outputs], outputs, calls, line)
        entry.names = [None] * len(outputs)
        for node, x in zip(op.needs, inputs, strict=True):
            if type(node) is Leaf:
                self.leaves.setdefault(node, x)
        self.by_node[op] = entry
        self.entries.append(entry)

    def _running(self):
        """Whether the innermost open operation is still on the stack: one that raised is not."""
        frame, op = sys._getframe(2), self.open[-1][0]
        while frame is not None:
            if frame.f_code is APPLY and frame.f_locals.get("op") is op:
                return True
            frame = frame.f_back
        self.open.pop()
        return bool(self.open) and self._running()

    def before_backward(self, node, dy):
        step = Step(node, frozen(dy))
        if node in self.step_of:  # walked again: only the last walk counts
            self.steps.remove(self.step_of[node])
        self.step_of[node] = step
        self.steps.append(step)

    def share(self, node, parent, dx, dy):
        self.step_of[node].shares.append((parent, frozen(dx)))

    # --- what explain asks for

    def walk(self, loss):
        """Walks back from the loss. An error of a backward is kept, with its step."""
        begun = len(self.steps)
        try:
            with self:
                walking.walk({loss.node: np.ones(loss.shape, loss.dtype)}, retain_graph=True)
        except Exception as error:
            if len(self.steps) == begun:  # the engine itself refuses: the graph was released, say
                raise
            self.error = self.steps[-1].failed = error

    def fail(self, error):
        """Adds the operation that raised, which the engine does not report, with its operands."""
        self.error = error
        lines = {}
        traceback, frame = error.__traceback__, None
        while traceback is not None:
            lines[traceback.tb_frame] = traceback.tb_lineno
            frame = frame or (traceback.tb_frame if traceback.tb_frame.f_code is APPLY else None)
            traceback = traceback.tb_next
        if frame is not None:
            op, tensors = frame.f_locals["op"], frame.f_locals["inputs"]
        else:
            frame, name, tensors = failed_call(error)
            op = Failed(name or type(error).__name__)
        calls, line = self.frames.look(frame, lines)
        nodes = [x.node if isinstance(x, Tensor) else None for x in tensors]
        arrays = [x.array if isinstance(x, Tensor) else x for x in tensors]
        entry = Entry(
            op, copy.copy(op), [(n, frozen(x)) for n, x in zip(nodes, arrays, strict=True)], arrays, [], (), calls, line
        )
        entry.failed, entry.names = error, []
        self.by_node[op] = entry
        self.entries.append(entry)
        self.last = entry


class Failed:
    """Stands for an operation that was refused before it began."""

    serial, needs, shape = 0, (), ()

    def __init__(self, name):
        self.name = name


def source_of(node):
    """(the operation or leaf, the number of its output) that a place in `needs` means."""
    return (node.needs[0], node.index) if type(node) is Part else (node, 0)
