"""What a thread does with operations, and the contexts (they are decorators, too) that change it: no_grad and its relatives."""

import contextvars
import copy
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

# The variable that np.errstate sets. Setting it directly takes a quarter of the time that np.errstate takes. It must be set
# within `try`, whose `finally` restores it: otherwise Ctrl-C, which may come after any call, would leave it set. A NumPy
# without this variable warns of infinities and NaNs.
float_errors = getattr(np._core.umath, "_extobj_contextvar", None) or contextvars.ContextVar("float_errors", default=None)
LOUD = float_errors.get()  # NumPy's default
SILENT = np._core.umath._make_extobj(all="ignore") if hasattr(np._core.umath, "_make_extobj") else None


watchers = []  # one entry for each thread that has an observer; while it is empty, `mode.watch` need not be looked up


OBSERVED = (  # see watch.Observer
    *("before", "after", "before_backward", "after_backward", "share", "summed", "copied", "accumulated", "written"),
    *("stepping", "stepped", "enter", "leave", "failed"),
)


class _Partial:
    """An observer that has only some of the methods: the others do nothing."""

    def __init__(self, observer):
        self.observer = observer

    def __getattr__(self, name):
        return getattr(self.observer, name, lambda *told: None)


def complete(observer):
    """The observer if it has all methods of an Observer; else an object with all of them that calls those it has."""
    return observer if all(hasattr(observer, name) for name in OBSERVED) else _Partial(observer)


class _Mode(threading.local):
    """What a thread does with operations: `recording` them, and who is told of them (`watch`, see watch.py)."""

    recording = True
    _watch = None

    @property
    def watch(self):
        """None, or the object that is told of every operation of this thread."""
        return self._watch

    @watch.setter
    def watch(self, observer):
        before, new = self._watch, None if observer is None else complete(observer)
        if before is None and new is not None:  # Ctrl-C between the two lines leaves an entry too many, which only costs time
            watchers.append(True)
        self._watch = new
        if before is not None and new is None:
            watchers.pop()


mode = _Mode()


class Switch:
    """Sets one field of the thread's mode, as a context (any number of times, nested) or as a decorator of a function."""

    field, value = "recording", False

    def __enter__(self) -> None:
        before = getattr(mode, self.field)
        try:
            self.__dict__.setdefault("before", []).append(before)
            setattr(mode, self.field, self.value)
        except BaseException:  # after Ctrl-C here, __exit__ is not called
            setattr(mode, self.field, before)
            raise

    def __exit__(self, *error: object) -> None:
        setattr(mode, self.field, self.before.pop())

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with self._fresh():
                return function(*args, **kwargs)

        @functools.wraps(function)
        def generator_wrapper(*args, **kwargs):  # the mode is set only while the generator runs, not while it waits
            generator, switch = function(*args, **kwargs), self._fresh()
            resume, argument = generator.send, None
            try:
                while True:
                    with switch:
                        value = resume(argument)
                    try:
                        resume, argument = generator.send, (yield value)
                    except GeneratorExit:
                        with switch:
                            generator.close()
                        raise
                    except BaseException as error:
                        resume, argument = generator.throw, error
            except StopIteration as stop:
                return stop.value

        return generator_wrapper if inspect.isgeneratorfunction(function) else wrapper

    def _fresh(self):
        """The same switch, for one call."""
        new = copy.copy(self)
        new.before = []
        return new


class no_grad(Switch):
    """Operations inside are not recorded, in this thread: `with no_grad():` or `@no_grad()`.

    >>> import minidl
    >>> w = minidl.ones(2, requires_grad=True)
    >>> with minidl.no_grad():
    ...     print((w * 2).requires_grad)
    False
    """

    @overload
    def __new__(cls, function: None = None) -> "no_grad": ...

    @overload
    def __new__(cls, function: F) -> F: ...

    def __new__(cls, function: Any = None) -> Any:  # also as @no_grad, without parentheses
        self = super().__new__(cls)
        if function is not None and not callable(function):
            raise TypeError(f"no_grad: expected a function or nothing, got {function!r}; write `with minidl.no_grad():`")
        return self if function is None else self(function)

    def __init__(self, function: Any = None):
        pass


class enable_grad(no_grad):
    """Operations inside are recorded again, within `no_grad`.

    >>> import minidl
    >>> w = minidl.ones(2, requires_grad=True)
    >>> with minidl.no_grad():
    ...     with minidl.enable_grad():
    ...         y = w * 2
    >>> y.requires_grad
    True
    """

    value = True


class inference_mode(no_grad):
    """As no_grad: operations inside are not recorded. inference_mode(False) records them.

    PyTorch also forbids to use the results in a graph later; here they are ordinary constants.

    >>> import minidl
    >>> w = minidl.ones(2, requires_grad=True)
    >>> with minidl.inference_mode():
    ...     print((w * 2).requires_grad)
    False
    """

    def __new__(cls, mode=True):
        return super().__new__(cls, mode if callable(mode) else None)

    def __init__(self, mode=True):
        if not isinstance(mode, bool):
            raise TypeError(f"inference_mode: expected True or False, got {mode!r}")
        self.value = not mode


class set_grad_enabled(Switch):
    """Switches recording on or off, at once. As a context, it restores the former state at its end.

    >>> import minidl
    >>> w = minidl.ones(2, requires_grad=True)
    >>> with minidl.set_grad_enabled(False):
    ...     y = w * 2
    >>> y.requires_grad
    False
    """

    def __init__(self, enabled):
        if not isinstance(enabled, bool):
            raise TypeError(f"set_grad_enabled: expected True or False, got {enabled!r}")
        self.value, self.before, self.found = enabled, [], [mode.recording]
        mode.recording = self.value

    def __enter__(self):
        self.before.append(self.found.pop() if self.found else mode.recording)
        mode.recording = self.value

    def __call__(self, function):
        mode.recording = self.found.pop()  # a decorator changes nothing until the function is called
        return super().__call__(function)


def is_grad_enabled() -> bool:
    """Whether this thread records operations.

    >>> import minidl
    >>> with minidl.no_grad():
    ...     print(minidl.is_grad_enabled())
    False
    """
    return mode.recording
