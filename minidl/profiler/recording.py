"""The observer of a profile: notes when each operation begins and ends, what it made, and who called it.

The recorder works before it reads the clock at a beginning, and after it reads the clock at an end. So its own time is not
counted as time of the operation, but as time of the event around it.
"""

import sys
import threading
import weakref
from pathlib import Path

import numpy as np
from numba.core import event as numba_event

from .. import double_backward
from ..graph import walk
from ..graph.watch import Observer
from ..kernels.memory import Block
from ..nn.module import Module
from ..tensors.record import apply
from .events import FunctionEvent, connect, nest

PACKAGE = str(Path(__file__).parents[1])
# The functions that call an observer. Codes are compared by `is`: hashing one would take as long as all the rest.
APPLY, WALK, WALK_RECORDED = apply.__code__, walk._walk.__code__, double_backward._walk.__code__
MODULE_CALL = Module.__call__.__code__


class Recorder(Observer):
    """Makes the list `events`, in the order in which they began, from the call of `begin` until that of `finish`."""

    def __init__(self, clock, shapes=False, memory=False, stacks=False, modules=True):
        self.clock, self.shapes, self.memory, self.stacks, self.modules = clock, shapes, memory, stacks, modules
        self.events, self.open, self.running = [], [], False
        self.names = weakref.WeakKeyDictionary()  # module -> {module in it: its name}
        self.own = {}  # file -> whether it is minidl's
        self.compiled = _Compiled(self)

    def begin(self, origin=None):
        """Starts. Times are measured from `origin`, or from now."""
        self.thread = threading.get_native_id()
        self.owner = threading.get_ident()
        numba_event.register("numba:compile", self.compiled)
        self.running, self.origin = True, self.clock() if origin is None else origin

    def finish(self):
        """Closes the open events, and returns all events."""
        end = self.clock()
        numba_event.unregister("numba:compile", self.compiled)
        self._drop_dead()
        self.running = False
        while self.open:
            self._close(self.open.pop(), end)
        for event in self.events:
            event.origin = self.origin
        connect(self.events)
        return self.events

    # --- what the engine calls

    def before(self, op):
        if self.running:
            frames = _frames()
            event = self._begin("operation", op.name, id(op), frames)
            self._place(event, frames)
            event._start = self.clock()

    def after(self, op, inputs, arrays, outputs):
        end = self.clock()
        span = self._end(id(op), end)
        if span is None:
            return
        event = span.event
        if op.serial:
            event.sequence_nr = op.serial
        if self.shapes:
            event.input_shapes = [list(np.shape(x)) for x in arrays]
        if self.memory:
            self._made(span, [y.array for y in outputs], [_owner(x) for x in arrays])

    def before_backward(self, node, dy):
        if self.running:
            event = self._begin("backward", f"{node.name}Backward0", id(node), _frames())
            event.sequence_nr = node.serial
            if self.memory:
                given = dy if isinstance(dy, list) else [dy]
                self.open[-1].given = [weakref.ref(_owner(x)) for x in given if isinstance(x, np.ndarray)]
            event._start = self.clock()

    def after_backward(self, node, gradients):
        end = self.clock()
        span = self._end(id(node), end)
        if span is not None:
            if self.shapes:
                span.event.input_shapes = [list(np.shape(dx)) for dx in gradients if dx is not None]
            if self.memory:
                self._made(span, gradients, [reference() for reference in span.given])

    def enter(self, label):
        if self.running:
            if self.open:
                self._drop_dead()
            frames = _frames()
            event = self._begin("label", label, label, None)
            self._place(event, frames)
            event._start = self.clock()

    def leave(self, label):
        end = self.clock()
        self._end(label, end)

    # --- events that are open

    def _begin(self, kind, name, key, frames):
        """Opens an event. `frames` of an operation or a backward are the stack; it belongs to the innermost that tells."""
        depth = code = None
        if frames is not None:
            depth = len(frames)
            for frame in frames:
                code = frame.f_code
                if code is APPLY or code is WALK or code is WALK_RECORDED:
                    break
                depth -= 1
            if self.open:
                self._drop_dead(frames, depth)
        event = FunctionEvent(len(self.events), kind, name, self.thread, 0)
        self.events.append(event)
        if self.open:
            nest(self.open[-1].event, event)
        self.open.append(_Span(event, key, depth, code))
        return event

    def _end(self, key, end):
        """Ends the innermost open event of this key, and those inside it that failed; None if there is no such event."""
        if not self.running or all(span.key != key for span in self.open):
            return None
        while True:
            span = self.open.pop()
            self._close(span, end if span.key == key else None)
            if span.key == key:
                return span

    def _drop_dead(self, frames=None, depth=None):
        """Closes the operations that raised: their frame is no longer in the stack.

        The engine does not report an operation that raises. When the next one begins, its frame has left the stack.
        """
        frames = _frames() if frames is None else frames
        for i, span in enumerate(self.open):
            if span.depth is not None:
                gone = span.depth > len(frames) or frames[-span.depth].f_code is not span.code
                if gone or (depth is not None and span.depth >= depth):
                    while len(self.open) > i:
                        self._close(self.open.pop(), None)
                    return

    def _close(self, span, end):
        event = span.event
        if end is None:
            event.failed = True
            end = max([event._start, *(child._end for child in event.cpu_children)])
        event._end = end
        event.cpu_memory_usage = sum(child.cpu_memory_usage for child in event.cpu_children)
        if span.made and self._within():
            self.open[-1].made += span.made

    def _within(self):
        """Whether an operation or a backward is open."""
        return any(span.depth is not None for span in self.open)

    # --- what is noted

    def _made(self, span, arrays, known):
        """Counts the memory of `arrays` that is not in `known` and was not made by an operation inside this one."""
        known += [reference() for reference in span.made]
        new = []
        for array in arrays:
            if array is None:
                continue
            owner = _owner(array)
            if not any(owner is other for other in known):
                known.append(owner)
                new.append(owner)
        span.event.cpu_memory_usage += sum(owner.nbytes for owner in new)
        if self._within():  # the event around it may return the same arrays
            self.open[-1].made += [weakref.ref(owner) for owner in new if isinstance(owner, np.ndarray)]

    def _place(self, event, frames):
        """The line of the user's program that the event comes from, and the modules that it is in."""
        own, stacks, place, modules, stack = self.own, self.stacks, None, [], []
        for frame in frames:
            code = frame.f_code
            if code is MODULE_CALL:
                if self.modules:
                    modules.append(frame.f_locals["self"])
                continue
            if place is not None and not stacks:  # only modules are looked for
                continue
            file = code.co_filename
            inside = own.get(file)
            if inside is None:
                inside = own[file] = file.startswith(PACKAGE)
            if inside:
                continue
            if place is None:
                event._place = place = file, frame.f_lineno, code.co_name
            if stacks:
                stack.append(f"{file}({frame.f_lineno}): {code.co_name}")
            elif not self.modules:
                break
        if stack:
            event.stack = stack
        if modules:
            event.module = self._path(modules[::-1])

    def _path(self, modules):
        """'Sequential.0 (Linear)': the class of the outermost module, the name in it of the innermost, and its class."""
        outer, path = modules[0], type(modules[0]).__name__
        for inner in modules[1:]:
            names = self.names.get(outer)
            if names is None or inner not in names:
                found = weakref.WeakKeyDictionary({module: name for name, module in outer.named_modules()})
                names = self.names[outer] = found
            name = names.get(inner)
            path += f".{name}" if name else "" if inner is outer else f" > {type(inner).__name__}"
            outer = inner
        return path if len(modules) == 1 else f"{path} ({type(outer).__name__})"


class _Span:
    """An event that is open. `key` tells it at its end; `depth` is that of its frame in the stack, None for a label."""

    __slots__ = ("code", "depth", "event", "given", "key", "made")

    def __init__(self, event, key, depth, code):
        self.event, self.key, self.depth, self.code = event, key, depth, code
        self.made, self.given = [], ()  # weak references to the arrays made inside; and to the gradients that came in


class _Compiled(numba_event.Listener):
    """Makes an event of each kernel that Numba compiles in the thread of the profile."""

    def __init__(self, recorder):
        self.recorder = weakref.ref(recorder)

    def on_start(self, event):
        recorder = self.recorder()
        if recorder is not None and recorder.running and threading.get_ident() == recorder.owner:
            name = _compiled_name(event)
            recorder._begin("compile", name, name, None)._start = recorder.clock()

    def on_end(self, event):
        recorder = self.recorder()
        if recorder is not None and recorder.running and threading.get_ident() == recorder.owner:
            recorder.leave(_compiled_name(event))


def _compiled_name(event):
    return f"compile {event.data['dispatcher'].py_func.__name__}"


def _frames():
    """The stack outside this file, the innermost first."""
    frame, frames = sys._getframe(2), []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _owner(array):
    """The array that owns the memory which this one shows."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray) and type(array.base) is not Block:
        array = array.base
    return array
