"""The observer behind the profiler: what ran, when, called from where, as a list of events that lie within each other."""

import sys
import time
import weakref
from pathlib import Path

import numpy as np

from ..graph.watch import Observer
from ..nn.module import Module

_PACKAGE = str(Path(__file__).parents[1])
_MODULE_CALL = Module.__call__.__code__


class Event:
    """One stretch of time: an operation forward or backward, or a `record_function`. Times are seconds."""

    kind = "forward"  # or "backward", or "annotation"
    end = parent = serial = None
    line = module = ""
    shapes, own_nbytes, failed = (), 0, False

    def __init__(self, name, start):
        self.name, self.start, self.children = name, start, []

    @property
    def total(self):
        return self.end - self.start

    @property
    def self_total(self):
        """The time that no event within this one took."""
        return self.total - sum(child.total for child in self.children)

    @property
    def nbytes(self):
        return self.self_nbytes + sum(child.nbytes for child in self.children)

    @property
    def self_nbytes(self):
        """The bytes of new results, or of gradients; what events within this one have made counts as theirs."""
        return 0 if self.children else self.own_nbytes

    def __repr__(self):
        return f"<Event {self.name} {self.kind} {1e6 * self.total:.1f} µs>"


def _in_no_time(method):
    """Sets `self.now` for a method of the recorder, and takes the time that the method takes out of the record."""

    def wrapper(self, *args):
        begin = self.clock()
        self.now = begin - self.lost
        method(self, *args)
        self.lost += self.clock() - begin

    return wrapper


class Recorder(Observer):
    """Makes events of what it is told. `clock` gives seconds; the recorder's own time is left out."""

    def __init__(self, clock=time.perf_counter):
        self.clock, self.lost = clock, 0.0
        self.events, self.open = [], []  # open: (event, the frame that it ends with, its operation)
        self.origins = {}  # serial of a recorded operation -> its forward event
        self.names = weakref.WeakKeyDictionary()  # outermost module -> {id of a module within: its name}

    # --- what it is told

    @_in_no_time
    def before(self, op):
        frames = _frames()
        self._close_what_is_over(frames)
        event = self._begin(op.name, frames[0], op)
        event.line, event.module = self._place(frames)

    @_in_no_time
    def after(self, op, inputs, arrays, outputs):
        while self.open and self.open[-1][2] is not op:  # an operation within that raised, and was caught
            self._close(failed=True)
        if not self.open:
            return  # it began before the profiler did
        event = self.open[-1][0]
        event.shapes = tuple(getattr(x, "shape", ()) for x in arrays)
        given = [x for x in arrays if isinstance(x, np.ndarray)]
        event.own_nbytes = sum(y.array.nbytes for y in outputs if not any(np.may_share_memory(y.array, x) for x in given))
        if op.serial:
            event.serial = op.serial
            self.origins[op.serial] = event
        self._close()

    @_in_no_time
    def before_backward(self, node, dy):
        frames = _frames()
        self._close_what_is_over(frames, walk=frames[0])
        event = self._begin(node.name, frames[0], node)
        origin = self.origins.get(node.serial)
        event.kind, event.serial = "backward", node.serial
        if origin is not None:
            event.line, event.module, event.shapes = origin.line, origin.module, origin.shapes

    @_in_no_time
    def share(self, node, parent, dx, dy):
        if self.open and self.open[-1][2] is node:
            event = self.open[-1][0]
            event.end = self.now  # so far
            if dx.base is None and dx is not dy:
                event.own_nbytes += dx.nbytes

    @_in_no_time
    def enter(self, name):
        self._close_what_is_over(_frames())
        event = self._begin(name, None, None)
        event.kind = "annotation"

    @_in_no_time
    def leave(self, name):
        while self.open:
            found = self.open[-1][0].kind == "annotation" and self.open[-1][0].name == name
            self._close()
            if found:
                return

    @_in_no_time
    def finish(self):
        """Closes what is still open at the end of the profile."""
        while self.open:
            self._close()

    # --- opening and closing

    def _begin(self, name, frame, op):
        event = Event(name, self.now)
        if self.open:
            event.parent = self.open[-1][0]
            event.parent.children.append(event)
        self.events.append(event)
        self.open.append((event, frame, op))
        return event

    def _close(self, failed=False):
        event = self.open.pop()[0]
        event.failed = failed
        event.end = self.now if event.end is None else event.end

    def _close_what_is_over(self, frames, walk=None):
        """An event is over when its frame is: an operation that raised, a walk; and a step of a walk with the next one."""
        while self.open:
            event, frame, _ = self.open[-1]
            running = frame is None or any(frame is other for other in frames)
            passed = event.kind == "backward" and (frame is walk or event.end is not None)
            if running and not passed:
                return
            self._close(failed=event.kind == "forward")

    def _place(self, frames):
        """The innermost line that is not minidl's, and the innermost module that is being called."""
        line, modules = "", []
        for frame in frames:
            code = frame.f_code
            if code is _MODULE_CALL:
                modules.append(frame.f_locals["self"])
            elif not line and not code.co_filename.startswith(_PACKAGE):
                line = f"{code.co_filename}:{frame.f_lineno}"
        return line, self._path(modules) if modules else ""

    def _path(self, modules):
        inner, outer = modules[0], modules[-1]
        names = self.names.get(outer)
        if names is None:
            names = self.names[outer] = {id(module): name for name, module in outer.named_modules()}
        name = names.get(id(inner), "")
        return f"{type(outer).__name__}.{name} ({type(inner).__name__})" if name else type(inner).__name__


def _frames():
    """The frames from the one that calls the observer outwards."""
    frame, found = sys._getframe(3), []  # past the method and its wrapper
    while frame is not None and frame.f_code.co_filename.endswith("watch.py"):  # of an observer that stands for several
        frame = frame.f_back
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found
