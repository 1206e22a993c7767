"""minidl.compile: a step that is remembered after its first calls, and then made without Python."""

import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, overload

from ..graph.modes import mode as engine, watchers
from .explain import explained
from .plans import ORDINARY
from .remembered import Remembered, recording

# The attributes of a Compiled itself; all others are those of the function or the module.
_OWN = {"_function", "_fullgraph", "_disabled", "_bound", "_remembered", "_steps", "_method"}
_all = weakref.WeakSet()


def _open_locks():
    """In a forked child, where the threads that held them are not."""
    recording.clear()
    for step in _all:
        step._remembered.lock, step._remembered.busy = threading.RLock(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_locks)


@overload
def compile(model: Callable[..., Any], **options: Any) -> "Compiled": ...


@overload
def compile(model: None = None, **options: Any) -> Callable[[Callable[..., Any]], "Compiled"]: ...


def compile(model: Any = None, *, fullgraph=False, dynamic=None, backend=None, mode=None, options=None, disable=False) -> Any:
    """A function that does what `model` does, after its first calls without Python: a training step, or a model's forward.

    model: a function of tensors that gives tensors, with zero_grad, forward, backward and optimizer.step inside; or a Module,
    for calls under no_grad. As a decorator, too. fullgraph: raise if it can't be remembered, else it stays ordinary with
    a warning. The other options of PyTorch's compile are refused. MINIDL_COMPILE=0 in the environment turns it off.

    The first three calls are ordinary; the second and third are recorded. The fourth is made both ways and compared bit for
    bit, and so are calls 8, 16, 32, …; all others make the recorded calls of kernels again. There is one program for each
    combination of shapes, and of the values of arguments that are no tensors; at most 8. Tensors may be in tuples, lists,
    dicts, named tuples and dataclasses. A step that is recorded anew for the ninth time, each time within 32 calls, stays
    ordinary.

    - Python within the step runs only in the ordinary calls: no prints, no counts, no `if` about a value. Give back what you
      want to see, or leave it in an attribute or a variable: `self.loss = loss` is done in each call, `losses.append(loss)`
      can't be remembered. Arguments are copied: the step finds them contiguous, in memory of their own. Results, and what it
      leaves, are copies without a graph. `.grad` is right after each call, and overwritten by the next.
    - What may change between calls: parameters, buffers and optimizers' state (also if they are loaded or replaced), learning
      rates and other options, train() and eval(), attributes of modules, and numbers and tensors that the function closes over
      or finds among its globals. What changes to and fro is recorded once for each of up to three ways. Random numbers go on
      as in ordinary calls.
    - What can't be remembered: `item()` and whatever else reads a value (`array`, the text of a tensor), NumPy between
      operations, random numbers of Python's or NumPy's, `.data` that is set, hooks, a scheduler's step, gradients of gradients
      of some operations. The warning says which it was.
    - What the recorder can't see: Python's own state, a counter in an iterator or in a library's object that changes the
      formula; items of lists of more than 1000, and numbers that Python takes from arrays of more than 10,000; attributes
      that are put into `vars(module)`, functions of minidl that are replaced, memory whose shape or flags NumPy sets in place.
      Such a step is wrong until one of the later comparisons, which then raises RuntimeError (if what has changed is not put
      back before). Pass such values as arguments.
      What is no tensor and is another in each call, such as `self.time = time.time()`, stays as an ordinary call has left it.
    - A method that is remembered for an object with __slots__ keeps this object.

    `explain()` of the result says what was remembered.

    >>> import minidl
    >>> from minidl import nn
    >>> net = nn.Linear(2, 1)
    >>> optimizer = minidl.optim.SGD(net.parameters(), lr=0.1)
    >>> @minidl.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.mse_loss(net(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = minidl.ones(4, 2), minidl.zeros(4, 1)
    >>> losses = [step(x, y).item() for _ in range(6)]
    >>> losses[-1] < losses[0]
    True
    """
    for name, value, fine in (
        ("dynamic", dynamic, (None, False)),
        ("backend", backend, (None,)),
        ("mode", mode, (None, "default")),
        ("options", options, (None,)),
    ):
        if value not in fine:
            raise NotImplementedError(f"compile: {name}={value!r} is not supported; leave it out")
    if not isinstance(fullgraph, bool) or not isinstance(disable, bool):
        raise TypeError(f"compile: fullgraph and disable must be True or False, got {fullgraph!r} and {disable!r}")
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, disable=disable)
    if isinstance(model, Compiled):
        return model
    if not callable(model):
        raise TypeError(f"compile: expected a function or a Module, got {type(model).__name__}")
    return Compiled(model, fullgraph, disable or os.environ.get("MINIDL_COMPILE") == "0")


class Compiled:
    """What compile returns. `explain()` says what was remembered. Threads that call it wait for one another."""

    def __init__(self, function, fullgraph, disabled, bound=False):
        self._function, self._fullgraph, self._disabled, self._bound = function, fullgraph, disabled, bound
        self._remembered, self._steps = Remembered(function, fullgraph), {}
        functools.update_wrapper(self, function, updated=())
        _all.add(self)

    def __repr__(self):
        return f"compile({self._function!r})"

    def __get__(self, instance, owner=None):
        """A method: each object has a remembered step of its own, which it keeps."""
        if instance is None:
            return self
        own = None if isinstance(instance, type) else getattr(instance, "__dict__", None)  # of a class, or with slots: here
        steps, key = (self._steps, id(instance)) if own is None else (own.setdefault("_compiled", {}), id(self))
        step = steps.get(key)
        if step is not None and own is not None and _dict_of(step._function) is not own:  # of the object that this is a copy of
            own["_compiled"], step = {}, None
            steps = own["_compiled"]
        if step is None:
            step = steps[key] = Compiled(self._function.__get__(instance), self._fullgraph, self._disabled, True)
            step._method = self  # alive, so that no other gets its id
        return step

    def __reduce__(self):
        """For copy and pickle: a copy remembers nothing. That of a method is made anew where it is next called."""
        return (type(None), ()) if self._bound else (Compiled, (self._function, self._fullgraph, self._disabled))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._function, name)

    def __setattr__(self, name, value):
        if name in _OWN or name.startswith("__"):
            object.__setattr__(self, name, value)
        else:  # as it is read: of the function or the module
            setattr(self._function, name, value)

    def __delattr__(self, name):
        delattr(self._function, name)

    @property
    def refusal(self):
        """Why the step stays ordinary, or None.

        >>> import minidl
        >>> double = compile(lambda x: x * 2)
        >>> y = double(minidl.ones(3))
        >>> double.refusal is None
        True
        """
        return self._remembered.refusal

    def explain(self):
        """What was remembered, as a table for each combination of shapes: the events of the step, and how each is made.

        >>> import minidl
        >>> double = compile(lambda x: x * 2)
        >>> for _ in range(4):
        ...     y = double(minidl.ones(3))
        >>> print(double.explain())  # doctest: +ELLIPSIS
        <lambda>: inputs float32 (3,)
          1 events in 1 calls of kernels, made by 1 native table, and 0 calls of Python
        ...
              1  Mul                          kernels  ...
        """
        name = getattr(self._function, "__name__", type(self._function).__name__)
        if self._disabled:
            return f"{name}: compile is turned off"
        if self.refusal is not None:
            return f"{name} stays ordinary: {self.refusal}"
        return "\n\n".join(explained(name, plan) for plan in self._remembered.plans.values()) or f"{name}: not called yet"

    def run_kernels(self):
        """Makes the kernels' calls of the last remembered step once more, and nothing else: what they take without any Python.

        For measuring; parameters move. RuntimeError if there is none, or if a part of it stays Python.

        >>> import minidl
        >>> double = compile(lambda x: x * 2)
        >>> for _ in range(6):
        ...     y = double(minidl.ones(3))
        >>> double.run_kernels()
        """
        last = self._remembered.last
        if last is None or last.program.only is None:
            raise RuntimeError("run_kernels: expected a step that is remembered and has no part in Python; see explain()")
        last.program.only.run()

    def __call__(self, *args: Any, **options: Any) -> Any:
        me = self._remembered
        if (last := me.last) is not None and not options and not watchers:
            result = last.replay(me, last, args)
            if result is not ORDINARY:
                return result
        if self._disabled or me.refusal is not None or (watchers and engine.watch is not None):  # watchers see operations
            return self._function(*args, **options)
        with me.lock:
            if me.busy or me.refusal is not None:  # busy: it is called from within itself
                return self._function(*args, **options)
            try:
                me.busy = True
                return me.call(args, options)
            finally:
                me.busy = False


def _dict_of(method):
    return getattr(getattr(method, "__self__", None), "__dict__", None)
