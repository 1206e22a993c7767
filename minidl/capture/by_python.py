"""What kernels alone do not do: events of a remembered step as functions that call Python, on the step's own memory."""

import copy

import numpy as np

from ..kernels.memory import owner_of
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .events import Backward, Copy, Effect, Forward, Step, Sum, arrays_in, changed, inside, is_inner


class Otherwise(Exception):
    """Python would go on otherwise than when the step was recorded: this call must be made ordinarily."""


class Failed(Otherwise):
    """Python has raised an error; made ordinarily, the call raises it in the words of whoever checks first."""


class ByPython:
    """moved: gives an array's twin in the memory of the program. lowered: {id of an event: calls of kernels that do it}."""

    def __init__(self, matching, lowered, moved):
        self.matching, self.lowered, self.moved, self._twins = matching, lowered, moved, {}

    def function(self, event):
        """The event as a function without arguments."""
        moved = self.moved
        if type(event) is Forward:
            twin = self.twin(event)
            inputs = [moved(x) if isinstance(x, np.ndarray) else x for x in event.inputs]
            targets = [self._target(x, event) for x in event.outputs]
            attributes = dict(vars(twin))

            def run():
                vars(twin).update(attributes)  # as they were before forward
                _fill(targets, twin.forward(*inputs))

            return run
        if type(event) is Backward:
            twin, dy = self.twin(event.forward, event.saved), changed(event.dy, moved)
            targets = [None if x is None else self._target(x, event) for x in event.gradients]
            after = event.forward.after
            kept = {k: moved(x) for k, x in event.saved.items() if isinstance(x, np.ndarray) and after.get(k) is not x}

            def back():
                vars(twin).update(kept)  # copies of what was overwritten since forward
                _fill(targets, twin.backward(dy))

            return back
        if type(event) is Sum:
            total, dx, result = moved(event.total), moved(event.dx), moved(event.result)
            return lambda: np.add(total, dx, out=result)
        if type(event) is Copy:
            source, target = moved(event.source), moved(event.copy)
            return lambda: np.copyto(target, source)
        if type(event) is Step:
            return event.optimizer.step
        if type(event) is Effect:
            args, options, function = event.args, event.options, event.function
            targets = [self._target(x, event) for x in arrays_in([event.result])]
            return lambda: _fill(targets, *arrays_in([function(*args, **options)]))
        args, options, function = self._tensors(event.args), self._tensors(event.options), event.function
        if event.decides:
            return lambda: _decide(event, function(*args, **options))
        targets = [self._target(x, event) for x in arrays_in([event.result])]
        return lambda: _fill(targets, *arrays_in([function(*args, **options)]))

    def again(self, event):
        """A function that does a native event by Python, with all that it leaves behind."""
        moved = self.moved
        if type(event) is Backward:
            twin, dy = self.twin(event.forward, event.saved), changed(event.dy, moved)
            targets = [None if x is None else self._target(x, event) for x in event.gradients]
            return lambda: _fill(targets, twin.backward(dy))
        twin, inputs = self.twin(event), [moved(x) if isinstance(x, np.ndarray) else x for x in event.inputs]
        outputs = [self._target(x, event) for x in event.outputs]
        kept = {key: [self._target(x, event) for x in arrays_in([value])] for key, value in event.after.items()}

        def run():
            op = copy.copy(twin)  # forward leaves other arrays in it
            _fill(outputs, op.forward(*inputs))
            for key, targets in kept.items():
                value = getattr(op, key)
                _fill(targets, arrays_in([np.asarray(value) if isinstance(value, np.floating) else value]))

        return run

    def _target(self, array, event):
        """Where a result has to be copied to; None if it is a part of what is there already."""
        owner = owner_of(array)
        return self.moved(array) if array.size and self.matching.maker.get(id(owner)) is event else None

    def _tensors(self, value):
        if isinstance(value, Tensor):
            return wrap(self.moved(value.array))
        if type(value) in (tuple, list):
            return type(value)(map(self._tensors, value))
        if type(value) is dict:
            return {key: self._tensors(x) for key, x in value.items()}
        if is_inner(value):
            twin = copy.copy(value)
            twin.__dict__ = {**vars(value), **self._tensors(inside(value))}
            return twin
        return self.moved(value) if isinstance(value, np.ndarray) else value

    def twin(self, forward, saved=None):
        """The operation once more, with the arrays of the program."""
        if id(forward) not in self._twins:
            twin = self._twins[id(forward)] = object.__new__(type(forward.op))
            python = id(forward) not in self.matching.native and id(forward) not in self.lowered
            attributes = {**forward.before, **{k: v for k, v in forward.after.items() if k in ("shape", "serial", "outputs")}}
            twin.__dict__ = self._tensors(attributes if python else (saved or forward.after))
            twin.needs = forward.before["needs"]
        return self._twins[id(forward)]


def _decide(event, found):
    if type(found) is not type(event.result) or repr(found) != repr(event.result):
        raise Otherwise(f"{event.name} found {event.result!r} before and finds {found!r} now")


def _fill(targets, *results):
    if len(results) == 1 and type(results[0]) in (tuple, list):
        results = results[0]
    for target, result in zip(targets, results, strict=False):
        if target is not None:
            if np.shape(result) != target.shape:
                raise Otherwise(f"a result has shape {np.shape(result)} now and had {target.shape} when it was remembered")
            np.copyto(target, result)
