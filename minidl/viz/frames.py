"""What the Python stack tells at the moment of an operation: calls of modules, the user's line, the names of variables.

Nothing is patched and no model has to be passed. A frame whose code is that of `Module.__call__` is one call of a module. The
innermost frame outside of minidl is the user's line, and the variables of all frames outside of it are names of tensors.
"""

import linecache
from pathlib import Path

from .. import double_backward
from ..nn.module import Module
from ..tensors.tensor import Tensor

PACKAGE = str(Path(__file__).parents[1])
MODULE_CALL, WALK = Module.__call__.__code__, double_backward._walk.__code__
CONTEXT = 3  # lines shown before and after the user's line
MANY = 64  # of a longer list, no names are taken


def key_of(tensor):
    """What identifies a tensor's value: its node in the graph, or for a constant its array."""
    node = tensor.__dict__.get("node") if isinstance(tensor, Tensor) else None
    return node if node is not None else id(tensor.array)


class Frames:
    """The calls of modules so far, numbered, and the names found.

    A frame's id is used again after the frame has died. So the frames of calls are kept here until the page is made.
    """

    def __init__(self, stop=None, last=None):
        self.stop, self.last = stop, last  # the code of a function of minidl at which the program ends, or the last of its own
        self.calls, self.frames, self.names, self.modules, self.seen = {}, [], {}, {}, set()

    def look(self, frame, lines=None):
        """(the calls around this moment, the outermost first, as numbers; the user's file and line, or None).

        lines: of frames that have been left by an error, the line where that was.
        """
        calls, line, outside = [], None, []
        while frame is not None and frame.f_code is not self.stop:
            code = frame.f_code
            if code is MODULE_CALL or code is WALK:
                calls.append(self._number(frame))
            elif not code.co_filename.startswith(PACKAGE):
                line = line or (code.co_filename, (lines or {}).get(frame, frame.f_lineno))
                outside.append(frame)
            if code is self.last:
                break
            frame = frame.f_back
        for frame in outside:
            self._read(frame.f_locals)
            if id(frame.f_globals) not in self.seen:
                self.seen.add(id(frame.f_globals))
                self._read(frame.f_globals)
        return tuple(reversed(calls)), line

    def _number(self, frame):
        number = self.calls.get(id(frame))
        if number is None:
            number = self.calls[id(frame)] = len(self.frames)
            self.frames.append(frame)
        return number

    def module(self, number):
        """The module of a call, or None for a walk back that was recorded (create_graph=True)."""
        return self.frames[number].f_locals["self"] if self.frames[number].f_code is MODULE_CALL else None

    def _read(self, variables):
        for name, value in list(variables.items()):
            if name.startswith("__") or name == "_":
                continue
            self._name(name, value)
            if type(value) in (list, tuple) and len(value) <= MANY:
                for i, item in enumerate(value):
                    self._name(f"{name}[{i}]", item)
            elif type(value) is dict and len(value) <= MANY:
                for key, item in value.items():
                    self._name(f"{name}[{key!r}]", item)
            elif name == "self" and hasattr(value, "__dict__"):
                for key, item in vars(value).items():
                    self._name(f"self.{key}", item)

    def _name(self, name, value):
        if isinstance(value, Tensor):
            self.names.setdefault(key_of(value), name)
        elif isinstance(value, Module):
            self.modules.setdefault(id(value), (name, value))


def failed_call(error):
    """(the frame of the function of minidl that failed, or of the user's own; its name; its tensors), from an error."""
    traceback, frame, name, tensors = error.__traceback__, None, None, []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            frame, name, tensors = traceback.tb_frame, type(error).__name__, []
        elif frame is not None and name == type(error).__name__ and code is not MODULE_CALL:
            frame, name = traceback.tb_frame, code.co_name.strip("_")
            tensors = [x for x in frame.f_locals.values() if isinstance(x, Tensor)]
        traceback = traceback.tb_next
    return frame, name, tensors


def around(path, line):
    """The lines around one: [[number, text], …]."""
    lines = [(n, linecache.getline(path, n)) for n in range(max(1, line - CONTEXT), line + CONTEXT + 1)]
    return [[n, text.rstrip()] for n, text in lines if text]
