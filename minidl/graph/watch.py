"""Observers: objects that are told of every operation, on the way forward and back.

`detect_anomaly` is one, the profiler another. While nobody watches, this costs an operation one test of an empty list.
"""

from .modes import Switch, mode


class Observer:
    """What an observer is told. It changes nothing: the arrays are the engine's own."""

    def before(self, op):
        """`op` is about to run forward; one that raises is never told of by `after`."""

    def after(self, op, inputs, arrays, outputs):
        """`op` has run: its inputs (Tensors and numbers), their arrays, and its outputs, a tuple of Tensors.

        If it was recorded, `op.serial` says its place in the order of creation; else it is 0.
        """

    def before_backward(self, node, dy):
        """The walk has all of dy, the gradient of the node's output, and is about to call `node.backward(dy)`."""

    def share(self, node, parent, dx, dy):
        """The walk sends dx, a part of the gradient of `parent`, from `node` on to it."""

    def enter(self, name):
        """A part of the program begins that has a name (`profiler.record_function`)."""

    def leave(self, name):
        """It ends."""


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

    field = "watch"

    def __init__(self, observer):
        self.observer = observer

    def chosen(self):
        return self.observer if mode.watch is None else Several(mode.watch, self.observer)


class Several(Observer):
    """Two observers (each of them may be several) as one."""

    def __init__(self, first, second):
        self.both = first, second

    def before(self, op):
        for observer in self.both:
            observer.before(op)

    def after(self, op, inputs, arrays, outputs):
        for observer in self.both:
            observer.after(op, inputs, arrays, outputs)

    def before_backward(self, node, dy):
        for observer in self.both:
            observer.before_backward(node, dy)

    def share(self, node, parent, dx, dy):
        for observer in self.both:
            observer.share(node, parent, dx, dy)

    def enter(self, name):
        for observer in self.both:
            observer.enter(name)

    def leave(self, name):
        for observer in self.both:
            observer.leave(name)
