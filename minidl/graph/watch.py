"""Observers: objects that are told of every operation, on the way forward and back.

`detect_anomaly` is one, the profiler another. Without an observer, an operation only tests whether a list is empty.
"""

import functools
import inspect

from .modes import OBSERVED, Switch, complete, mode, watchers


class Observer:
    """Base of observers: the methods that are called. They must not change the arrays, which the engine goes on using."""

    def before(self, op):
        """`op` is about to run forward. If its forward raises, `failed` is called, not `after`."""

    def after(self, op, inputs, arrays, outputs):
        """`op` has run: its inputs (Tensors and numbers), their arrays, and its outputs, a tuple of Tensors.

        If it was recorded, `op.serial` says its place in the order of creation; else it is 0.
        """

    def failed(self, op):
        """`op`, or the backward of the node `op`, has raised an error."""

    def before_backward(self, node, dy):
        """The walk has all of dy, the gradient of the node's output, and is about to call `node.backward(dy)`."""

    def after_backward(self, node, gradients):
        """`node.backward(dy)` has returned a tuple of arrays (None: no gradient). If it raises, `failed` is called."""

    def share(self, node, parent, dx, dy):
        """The walk sends dx, a part of the gradient of `parent`, from `node` on to it."""

    def summed(self, total, dx, result):
        """Two shares of a gradient were added: result = total + dx, or, where result is the array total, total += dx."""

    def copied(self, source, copy):
        """The engine has copied an array: a gradient that is used elsewhere, too, a result that is written in place, or what an
        operation has saved and that is about to be overwritten."""

    def accumulated(self, node, dx):
        """backward() has made dx the `.grad` of a leaf or of a node that retains it, or has added it to the one it had."""

    def written(self, array):
        """An array was changed in place: by an operation that ends in _, by an index, by an optimizer."""

    def stepping(self, optimizer):
        """An optimizer is about to step."""

    def stepped(self, optimizer):
        """The optimizer has stepped."""

    def enter(self, label):
        """A named part of the program begins. What follows belongs to it, until `leave` is called with this name."""

    def leave(self, label):
        """The innermost part of this name ends, normally or by an exception."""


class watching(Switch):
    """Tells an observer of all operations of this thread inside; also a decorator. Several may watch, the outermost first.

    >>> import minidl
    >>> class Names(Observer):
    ...     def after(self, op, inputs, arrays, outputs):
    ...         print(op.name, outputs[0].shape)
    >>> with watching(Names()):
    ...     y = (minidl.ones(2, 3) * 2).sum()
    Mul (2, 3)
    Sum ()
    """

    def __init__(self, observer):
        self.observer = complete(observer)

    def __enter__(self):
        add(self.observer)
        return self

    def __exit__(self, *error):
        remove(self.observer)


def add(observer):
    """Adds an observer, which is called after those that are there already."""
    mode.watch = observer if mode.watch is None else Several(*_told(), observer)


def remove(observer):
    """Removes an observer, in any order. If it was added twice, the later one is removed."""
    told = _told()
    for i in reversed(range(len(told))):
        if told[i] is observer:
            del told[i]
            mode.watch = Several(*told) if len(told) > 1 else told[0] if told else None
            return


def _told():
    watch = mode.watch
    return [] if watch is None else list(watch.observers) if type(watch) is Several else [watch]


class Several:
    """Several observers as one: what it is told, it tells each of them."""

    def __init__(self, *observers):
        self.observers = observers

    def __getattr__(self, name):
        if name not in OBSERVED:
            raise AttributeError(name)

        def tell(*told):
            for observer in self.observers:
                getattr(observer, name)(*told)

        return tell


repeatables, constants = {}, set()  # name -> the functions of that name that are marked; the names of those that are constant


def repeatable(function=None, *, constant=False):
    """Marks a function of a module, called by its name there, as one that a remembered step (capture/) may call again.

    Its result depends on its arguments (tensors, arrays, numbers) and on the random stream only, and has no graph. It is
    arrays, which are computed in each call, but once if it is constant: the same unless an array is among the arguments.
    Or it is what Python decides by, such as True: where a later call finds something else, the step is made ordinarily.

    >>> import numpy as np
    >>> @repeatable
    ... def all_finite(x):
    ...     return bool(np.isfinite(x).all())
    >>> all_finite(np.ones(2))
    True
    """
    if function is None:
        return functools.partial(repeatable, constant=constant)
    repeatables.setdefault(function.__name__, []).append(function)
    if constant:
        constants.add(function.__name__)
    return function


class record_function:
    """Names a part of the program for whoever watches it, such as `minidl.profiler.profile`; also a decorator of a function.

    >>> import minidl
    >>> with minidl.profiler.profile() as p:
    ...     with record_function("forward"):
    ...         y = minidl.ones(2).exp()
    >>> [event.name for event in p.events()]
    ['forward', 'Exp']
    """

    def __init__(self, name, args=None):
        if not isinstance(name, str):
            raise TypeError(f"record_function: expected a name, got {name!r}")
        if args is not None:
            raise NotImplementedError(f"record_function: args={args!r} is not supported; write it into the name")
        self.name, self._watches = name, []

    def __enter__(self):
        watch = mode.watch if watchers else None
        self._watches.append(watch)
        if watch is not None:
            watch.enter(self.name)
        return self

    def __exit__(self, *error):
        watch = self._watches.pop()
        if watch is not None:
            watch.leave(self.name)

    def __call__(self, function):
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(
                f"record_function: {function.__name__} is a generator or a coroutine, whose call only makes it; "
                f"write `with record_function({self.name!r}):` inside it"
            )

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with record_function(self.name):
                return function(*args, **kwargs)

        return wrapper
