"""minidl.compile: a step that is remembered after its first calls, and then made without Python."""

import functools
import os
import threading
import warnings

import numpy as np

from .. import random
from ..graph.modes import mode as engine, watchers
from ..nn.module import Module
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .explain import explained
from .guards import Guards
from .matching import CannotRemember, Matching
from .program import Program
from .recorder import Recorder, options_of

_new = object.__new__
MOST = 8  # programs of one step
_recording = threading.Lock()  # one thread records at a time


def compile(model=None, *, fullgraph=False, dynamic=None, backend=None, mode=None, options=None, disable=False):
    """A function that does what `function` does, and after some calls without Python: a training step, or a model's forward.

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
    """What compile returns. `explain()` says what was remembered."""

    def __init__(self, function, fullgraph, disabled):
        self._function, self._fullgraph, self._disabled = function, fullgraph, disabled
        self._plans, self._last, self.refusal = {}, None, None
        functools.update_wrapper(self, function, updated=())

    def __repr__(self):
        return f"compile({self._function!r})"

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        bound = vars(instance).setdefault("_compiled", {})
        if self not in bound:
            bound[self] = Compiled(self._function.__get__(instance), self._fullgraph, self._disabled)
        return bound[self]

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._function, name)

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
        return "\n\n".join(explained(name, plan) for plan in self._plans.values()) or f"{name}: not called yet"

    def __call__(self, *args, **options):
        plan = self._last
        if plan is not None and not options and not watchers and len(args) == len(plan.kinds):
            arrays = []
            for x, (shape, dtype) in zip(args, plan.kinds, strict=True):
                if type(x) is not Tensor or x.node is not None or (x := x.array).shape != shape or x.dtype is not dtype:
                    break
                arrays.append(x)
            else:
                if plan.lock.acquire(blocking=False):
                    try:
                        number = plan.number + 1
                        if number & plan.number and plan.guards.broken() is None:  # not call 8, 16, 32, …
                            plan.number = number
                            return plan.answer(plan.program.replay(arrays))
                    finally:
                        plan.lock.release()
        return self._call(args, options)

    def _call(self, args, options):
        if self._disabled or watchers or self.refusal is not None:
            return self._function(*args, **options)
        if engine.recording and isinstance(self._function, Module):
            raise RuntimeError(
                "compile: a compiled Module computes without gradients: call it under minidl.no_grad(). To train, compile the "
                "whole step: a function with zero_grad, forward, backward and optimizer.step"
            )
        arrays, key = [], [engine.recording]
        for x in args:
            if type(x) is Tensor and x.node is None:
                x = x.array
                arrays.append(x)
                key.append((x.shape, x.dtype.char))
            else:
                _examine(x, arrays, key)
        for name, x in options.items():
            key.append(name)
            _examine(x, arrays, key)
        key = tuple(key)
        try:
            plan = self._plans.get(key)
        except TypeError:
            return self._stay(f"an argument can't be compared with the last call's: {args!r}", args, options)
        if plan is None:
            if len(self._plans) >= MOST:
                return self._stay(f"it was called with more than {MOST} combinations of shapes and values", args, options)
            plan = self._plans[key] = Plan()
        if plan.program is not None and plan.number >= 4:
            program = plan.program
            if not plan.lock.acquire(blocking=False):  # another thread is in it
                return self._function(*args, **options)
            try:
                changed = plan.guards.broken()
                if changed is None:
                    plan.number += 1
                    if not plan.number & (plan.number - 1):  # call 8, 16, 32, …
                        return self._check(plan, arrays, args, options)
                    if not options and all(type(x) is Tensor for x in args):  # the short way from now on
                        plan.kinds = [(x.shape, x.dtype) for x in plan.statics]
                        self._last = plan
                    return plan.answer(program.replay(arrays))
            finally:
                plan.lock.release()
            self._last = None
            plan.begin_again(changed)
            if plan.begun > MOST:
                return self._stay(f"it changed too often: {changed}", args, options)
        return self._begin(plan, arrays, args, options)

    # --- the first calls

    def _begin(self, plan, arrays, args, options):
        plan.number += 1
        if plan.number == 1:
            return self._function(*args, **options)
        if not _recording.acquire(blocking=False):
            plan.number -= 1
            return self._function(*args, **options)
        try:
            if plan.number == 4:
                return self._check(plan, arrays, args, options)
            return self._record(plan, arrays, args, options)
        finally:
            _recording.release()

    def _record(self, plan, arrays, args, options):
        if plan.number == 2:
            plan.statics = [np.array(x, order="C") for x in arrays]
        for static, x in zip(plan.statics, arrays, strict=True):
            np.copyto(static, x)
        args, options = _with_statics((args, options), iter(plan.statics))
        try:
            with Recorder(plan.statics, plan.number == 3) as recorder:
                result = self._function(*args, **options)
        except BaseException:
            plan.number, plan.first = 1, None  # the next call begins again
            raise
        reason = recorder.refusal or _refused(result)
        if reason is None and any(event.options != options_of(event.optimizer) for event in recorder.steps()):
            reason = "an option of an optimizer changes in the step: let the scheduler step outside of it"
        if reason is None and plan.number == 2:
            plan.first = recorder
        elif reason is None:
            try:
                self._build(plan, recorder, result)
            except CannotRemember as error:
                reason = str(error)
        if reason is not None:
            plan.first = plan.program = None
            self._refuse(reason)
        return _copied(result)

    def _build(self, plan, recorder, result):
        matching = Matching(plan.first, recorder, plan.statics)
        plan.shape = result
        leaves = {}
        for x, _, node in recorder.tensors.values():
            if node is not None and x.is_leaf:
                leaves[id(node)] = node
        steps = [event.optimizer for event in recorder.steps()]
        zeroed = [o for o in recorder.zeroed if not isinstance(o, Module)]
        parameters = [p for o in (*steps, *zeroed) for group in o.param_groups for p in group["params"]]
        parameters += [
            p for m in (*recorder.modules.values(), *recorder.zeroed) if isinstance(m, Module) for p in m.parameters()
        ]
        for p in parameters:
            if p.node is not None:
                leaves[id(p.node)] = p.node
        for event in recorder.events:
            if hasattr(event, "node"):
                leaves[id(event.node)] = event.node
        tensors = [x for x, array, _ in recorder.tensors.values() if id(array) in _ids(matching.constant)]
        tensors += [p for o in steps for group in o.param_groups for p in group["params"]]
        plan.program = Program(matching, plan.statics, [x.array for x in _tensors(result)], list(leaves.values()))
        plan.guards = Guards(self._function, tensors, list(recorder.modules.values()), steps)
        plan.first = None

    # --- the step both ways

    def _check(self, plan, arrays, args, options):
        """Makes the step ordinarily and by replay, from the same state, over rubbish: the same bits?"""
        program = plan.program
        before = State(program)
        result = self._function(*args, **options)
        expected, grads, after = [x.array.copy() for x in _tensors(result)], _grads(program), State(program)
        before.restore()
        program.plan.poison()
        try:
            got = program.replay(arrays)
            differs = not (_equal(expected, got) and after.equal() and _equal(grads, _grads(program)))
        except Exception as error:
            differs = f"the replay raises {type(error).__name__}: {error}"
        if not differs:
            return plan.answer(got)
        after.restore()
        for (node, _), grad in zip(program.final, grads, strict=True):
            node.grad = None if grad is None else wrap(grad)
        reason = "the replay gives other numbers than the step" if differs is True else differs
        plan.program = self._last = None
        if plan.number > 4:
            self.refusal = reason
            raise RuntimeError(
                f"compile: at call {plan.number} {reason}. The step depends on something that the recorder can't see: a count "
                "of its calls, say, or a list that Python changes. Its last calls may be wrong. Pass such values as arguments."
            )
        self._refuse(reason)
        return _copied(result)

    def _refuse(self, reason):
        self.refusal, self._last = reason, None
        if self._fullgraph:
            raise CannotRemember(f"compile: the step can't be remembered: {reason}")
        name = getattr(self._function, "__name__", type(self._function).__name__)
        warnings.warn(f"compile: {name} stays ordinary: {reason}", stacklevel=5)

    def _stay(self, reason, args, options):
        self._refuse(reason)
        return self._function(*args, **options)


class Plan:
    """What is remembered for one combination of shapes."""

    def __init__(self):
        self.number = self.begun = 0
        self.lock = threading.Lock()
        self.kinds = ()
        self.statics = self.first = self.program = self.guards = self.shape = self.changed = None

    def begin_again(self, changed):
        self.number, self.begun, self.first, self.program, self.changed = 1, self.begun + 1, None, None, changed

    def answer(self, arrays):
        """The arrays of a replay in the form of the step's result."""
        if type(self.shape) is Tensor:
            result = _new(Tensor)
            result.array = arrays[0]
            return result
        return _filled(self.shape, iter(arrays))


class State:
    """A copy of everything that a replay changes: arrays that were there before, optimizers' state, the random stream."""

    def __init__(self, program):
        self.arrays = [(x, x.copy()) for x in _state_arrays(program)]
        self.grads = [(node, node.grad, None if node.grad is None else node.grad.array.copy()) for node, _ in program.final]
        self.stream = random.default_generator.get_state()

    def restore(self):
        for x, old in self.arrays:
            np.copyto(x, old)
        for node, grad, old in self.grads:
            node.grad = grad
            if grad is not None:
                np.copyto(grad.array, old)
        random.default_generator.set_state(self.stream)

    def equal(self):
        stream = random.default_generator.get_state()
        return _equal([x for x, _ in self.arrays], [old for _, old in self.arrays]) and _equal(
            [stream.array], [self.stream.array]
        )


def _state_arrays(program):
    found = {id(x): x for x in program.state}
    for event in program.events:
        optimizer = getattr(event, "optimizer", None)
        for p in [p for group in optimizer.param_groups for p in group["params"]] if optimizer else ():
            for x in (p, *optimizer.state.get(p, {}).values()):
                if isinstance(x, Tensor):
                    found[id(x.array)] = x.array
    return list(found.values())


def _grads(program):
    return [None if node.grad is None else node.grad.array.copy() for node, _ in program.final]


def _equal(a, b):
    return len(a) == len(b) and all(
        (x is None and y is None) or (x is not None and y is not None and x.tobytes() == y.tobytes())
        for x, y in zip(a, b, strict=True)
    )


def _ids(owners):
    return {id(x) for x in owners.values()}


# --- arguments and results


def _examine(x, arrays, key):
    """Adds an argument's tensors to the arrays, and to the key what must be the same for the same program."""
    if isinstance(x, Tensor):
        if x.node is None:
            arrays.append(x.array)
            key.append((x.array.shape, x.array.dtype.char))
        else:  # a parameter
            key.append(x)
    elif type(x) in (tuple, list):
        key.append((type(x), len(x)))
        for part in x:
            _examine(part, arrays, key)
    elif type(x) is dict:
        key.append(tuple(x))
        for part in x.values():
            _examine(part, arrays, key)
    elif isinstance(x, np.ndarray):
        raise TypeError("compile: an argument is a NumPy array; pass a tensor: minidl.tensor(x), or minidl.from_numpy(x)")
    else:
        key.append((type(x), x))


def _with_statics(x, statics):
    if isinstance(x, Tensor):
        return wrap(next(statics)) if x.node is None else x
    if type(x) in (tuple, list):
        return type(x)([_with_statics(part, statics) for part in x])
    if type(x) is dict:
        return {key: _with_statics(part, statics) for key, part in x.items()}
    return x


def _refused(result):
    """Why this result can't be given by a replay, or None."""
    for x in _parts(result):
        if isinstance(x, Tensor):
            if x.node is not None and (x.is_leaf or x.node.needs is not None):
                return "a result still wants a gradient: call backward() within the step, or return x.detach()"
        elif x is not None and not isinstance(x, (bool, str)):
            return f"it returns a {type(x).__name__}: return tensors only"
    return None


def _parts(result):
    if isinstance(result, (tuple, list, dict)):
        for x in result.values() if isinstance(result, dict) else result:
            yield from _parts(x)
    else:
        yield result


def _tensors(result):
    return [x for x in _parts(result) if isinstance(x, Tensor)]


def _filled(shape, arrays):
    if isinstance(shape, Tensor):
        return wrap(next(arrays))
    if isinstance(shape, dict):
        return {key: _filled(x, arrays) for key, x in shape.items()}
    if isinstance(shape, tuple) and hasattr(shape, "_fields"):
        return type(shape)(*[_filled(x, arrays) for x in shape])
    if isinstance(shape, (tuple, list)):
        return type(shape)([_filled(x, arrays) for x in shape])
    return shape


def _copied(result):
    return _filled(result, iter([x.array.copy() for x in _tensors(result)]))
