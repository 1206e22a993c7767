"""Two recordings side by side: did the step do the same twice, and where does every array come from (origins.py)?"""

import functools
import operator

import numba
import numpy as np

from ..distributions.constraints import Constraint
from ..kernels.memory import owner_of
from ..nn.utils import clip_grad_norm_
from ..ops import Op
from ..optim import SGD
from ..tensors.tensor import Tensor
from .events import BOOKKEEPING, Backward, Copy, Forward, Grad, Step, arrays_in, inside, is_inner, keeps_numbers
from .lowering import lowered, prepared, replaces
from .numbers import COUNTED
from .origins import CannotRemember, Origins

_NUMPY = "NumPy takes part in it"
_PLAIN = (int, float, bool, str, bytes, type(None), complex, np.dtype, np.generic, slice, range, type(...), type)


class Matching(Origins):
    """The second recording, explained: where its arrays come from, and which of its events are `native`.

    An event is native if its kernels alone do all of it, so that it needs no Python.
    """

    def __init__(self, first, second):
        super().__init__(first, second)
        self.native, self.lowered, self.why = set(), {}, {}
        self.before = {}  # id of an optimizer's step -> calls that bring gradients into the order of the parameters' memory
        self.fixed = []  # functions that give the same arrays in each call
        events = first.events, second.events
        methods = {kind: getattr(self, f"_{kind.__name__.lower()}") for kind in set(map(type, second.events))}
        for a, b in zip(*events, strict=False):
            if type(a) is not type(b) or a.name != b.name:
                self._different(f"{a.name} the first time and {b.name} the second time")
            methods[type(b)](a, b)
        if len(events[0]) != len(events[1]):
            longer = max(events, key=len)
            self._different(f"{longer[min(map(len, events))].name} only once in two calls")

    def _different(self, what):
        raise CannotRemember(
            f"the step did {what}; does it depend on a value, or on how often it was called? Only what it does in every call "
            "can be remembered"
        )

    def _values(self, a, b, event):
        """Compares what an operation was given, or keeps: arrays, numbers, and whatever holds them."""
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            self._same(a, b, event)
        elif isinstance(a, Tensor) and isinstance(b, Tensor):
            self._same(a.array, b.array, event)
        elif isinstance(b, (tuple, list, dict)):
            if type(a) is not type(b) or len(a) != len(b) or (type(b) is dict and list(a) != list(b)):
                self._different(f"{event.name} with other options in two calls")
            pairs = zip(a.values(), b.values(), strict=True) if type(b) is dict else zip(a, b, strict=True)
            for x, y in pairs:
                self._values(x, y, event)
        elif isinstance(b, _PLAIN):
            if type(a) is not type(b) or repr(a) != repr(b):
                self._different(f"{event.name} with {a!r} and then {b!r}")
        elif type(a) is type(b) and isinstance(b, (functools.partial, Constraint)):
            of = vars if isinstance(b, Constraint) else lambda x: {"func": x.func, "args": x.args, "keywords": x.keywords}
            self._values(of(a), of(b), event)
        elif is_inner(a) and is_inner(b) and type(a) is type(b):
            self._values(inside(a), inside(b), event)
            self._values(a.needs[0].shape, b.needs[0].shape, event)
        elif a is not b and not (callable(b) and getattr(a, "__code__", 0) == getattr(b, "__code__", 1)):
            raise CannotRemember(
                f"{event.name} keeps an object of {type(b).__name__}, which can't be compared with the last call's"
            )
        elif a is not b and (b.__closure__ or b.__defaults__):
            for x, y in zip(b.__closure__ or (), a.__closure__ or (), strict=True):
                self._values(y.cell_contents, x.cell_contents, event)
            for x in arrays_in([x.cell_contents for x in b.__closure__ or ()]):
                if id(owner_of(x)) in self._yours:  # nothing can be put in its place there
                    raise CannotRemember(f"{event.name} keeps a function that has an array of shape {x.shape} of this call")

    # --- events

    def _try_calls(self, a, b):
        """None if an event's kernels do the same in both recordings with known arrays, else why not. Notes what they make."""
        if b.nested:
            return "operations run within it"
        if not b.same:
            return _NUMPY
        if len(a.calls) != len(b.calls):
            return "other kernels in each call"
        given = b.given()
        for one, two in zip(a.calls, b.calls, strict=True):
            if one.kernel is not two.kernel or one.dtype != two.dtype:
                return "other kernels in each call"
            if two.answers:
                return f"the kernel {two.name} gives a number back to Python"
            if type(b) is not Step and not _same_numbers(one.numbers(), two.numbers()):
                return f"the kernel {two.name} is given other numbers in each call"
            fresh, others = [], []
            for pair in zip(one.arrays(), two.arrays(), strict=True):  # first what it reads
                (x, _, old), (y, written, owner) = pair
                if written and y.size and not self._knows(owner) and id(owner) not in given:
                    fresh.append(pair)
                elif not self._are_same(x, old, y, owner):
                    others.append(pair)
            if others and not {id(owner) for _, (_, _, owner) in others} <= {id(owner) for _, (_, _, owner) in fresh}:
                return _NUMPY
            for (x, _, old), (y, _, owner) in (*fresh, *others):  # then what it makes
                if old is not owner and id(owner) in self.second.existing():
                    self._same(x, y, b, two.name)
                if old is owner:  # memory that a kernel keeps for itself
                    self.constant.setdefault(id(owner), owner)
                else:
                    self._made(x, y, b)
        return None

    def _is_native(self, a, b):
        """Whether the event's kernels do all of it: they are explained, and so is everything it gives and keeps."""
        noted = self._noted()
        if type(b) is Forward and keeps_numbers(b):  # Python has computed them: it must do so in each call
            self.why[id(b)] = "it keeps a number for backward"
            return False
        reason = self._try_calls(a, b)
        if reason is None and not _checks_indices(b):
            reason = "its indices are checked in Python"
        if reason is None and not self._all_explained(a, b):
            reason, calls = _NUMPY, lowered(b) if b.followed is None else None
            if calls is not None and self._may_read(b, calls):  # the kernels are understood, and what NumPy does is, too
                self.lowered[id(b)] = calls
                return False
        if reason == _NUMPY and (found := prepared(b)) and not any(map(self.known, found[0])):
            for x, y in zip((prepared(a) or ((),))[0], found[0], strict=False):
                self._made(x, y, b)
            calls = [*found[1], *b.calls]
            if self._may_read(b, calls) and self._try_calls(a, b) is None and self._all_explained(a, b):
                self.lowered[id(b)] = calls
                return False
        if reason is not None:
            self._forget(noted)
            self.why[id(b)] = reason
            if b.followed is not None and self._may_read(b, b.followed):
                self._follow(a, b)
            elif (not b.calls or replaces(b)) and (calls := lowered(b)) is not None and self._may_read(b, calls):
                self.lowered[id(b)] = calls
            return False
        self.native.add(id(b))
        return True

    def _follow(self, a, event):
        """Lets the calls do it that were found by following the operation. What else they write lives as long as they run."""
        for x, y in self._results(a, event):
            if not self.known(y):
                self._made(x, y, event)
        self.lowered[id(event)] = event.followed
        for call in event.followed:
            for x, written, owner in call.arrays():
                if written and x.size and not self._knows(owner):
                    self.temporary[id(owner)] = owner

    def _may_read(self, event, calls):
        """Whether all is known that calls read of what a backward's forward has kept."""
        kept = event.kept() if type(event) is Backward else {}
        return all(self.known(x) for call in calls for x, written, owner in call.arrays() if not written and id(owner) in kept)

    def _all_explained(self, a, b):
        return all(self._explained(x, y) for x, y in self._results(a, b))

    def _results(self, a, b):
        """Pairs of the arrays that an event has made, or has kept for backward, in two recordings."""
        yours, mine = a.gives(), b.gives()
        if len(yours) != len(mine):
            self._different(f"{b.name} with another number of results in two calls")
        return zip(yours, mine, strict=True)

    def _forward(self, a, b):
        if list(a.before) != list(b.before) or len(a.inputs) != len(b.inputs) or len(a.outputs) != len(b.outputs):
            self._different(f"{b.name} with other options in two calls")
        for key, y in b.before.items():
            if key not in BOOKKEEPING:
                self._values(a.before[key], y, b)
        for x, y in zip(a.inputs, b.inputs, strict=True):
            self._values(x, y, b)
        if [x is None for x in a.before.get("needs", ())] != [x is None for x in b.before.get("needs", ())]:
            self._different(f"{b.name} with a gradient only once in two calls")
        if not self._is_native(a, b):
            for x, y in zip(a.outputs, b.outputs, strict=True):
                self._made(x, y, b)

    def _backward(self, a, b):
        self._values(a.dy, b.dy, b) if type(b.dy) is list else self._seed_or_known(a.dy, b.dy, b)
        if [x is None for x in a.gradients] != [x is None for x in b.gradients]:
            self._different(f"{b.name} with a gradient only once in two calls")
        if not self._is_native(a, b):
            self._all_made(a, b)

    def _all_made(self, a, b):
        for x, y in self._results(a, b):
            self._made(x, y, b)

    def _seed_or_known(self, a, b, event):
        """The gradient that the walk starts with may be a fresh array of ones."""
        if not self.known(b) and a is not b and (a == 1).all() and (b == 1).all() and id(owner_of(a)) not in self._mine:
            self._made(a, b, event)
            del self.temporary[id(owner_of(b))]
            self.constant[id(owner_of(b))] = owner_of(b)
            return
        self._same(a, b, event)

    def _sum(self, a, b):
        self._same(a.total, b.total, b)
        self._same(a.dx, b.dx, b)
        self._made(a.result, b.result, b)
        self._lower(b)

    def _copy(self, a, b):
        self._same(a.source, b.source, b)
        owner = owner_of(b.copy)
        there = id(owner) in self.second.targets and not self.known(b.copy) and not self._is_born(owner)
        if there and owner_of(a.copy) is not owner:
            raise CannotRemember(f"it overwrites a tensor of shape {b.copy.shape} that is another one in each call")
        self._made(a.copy, b.copy, b)
        self._lower(b)

    def _is_born(self, owner):
        """Whether it is the memory of a leaf that the step itself has made, or of a tensor that was empty."""
        tensors = [node.variable for node in self.second.born.values()]
        return id(owner) in self.second.empty or any(x is not None and owner_of(x.array) is owner for x in tensors)

    def _lower(self, event):
        calls = lowered(event)
        if calls is not None:
            self.lowered[id(event)] = calls

    def _grad(self, a, b):
        if a.node is not b.node and not (id(a.node) in self.first.born and id(b.node) in self.second.born):
            raise CannotRemember("a gradient is kept in a tensor that is another one in each call: take it by autograd.grad")
        if a.array is None or b.array is None:
            if a.array is not b.array:
                self._different("without a gradient only once in two calls")
            return
        self._same(a.array, b.array, b)

    def _step(self, a, b):
        if a.optimizer is not b.optimizer:
            raise CannotRemember("the optimizer is another one in each call: make it once, outside of the step")
        kept = {id(owner_of(x.array)) for of in b.optimizer.state.values() for x in of.values() if isinstance(x, Tensor)}
        for one, two in zip(a.calls, b.calls, strict=False) if kept else ():
            for (_, _, x), (_, _, y) in zip(one.arrays(), two.arrays(), strict=False):
                if x is not y and id(y) in kept:  # it has been loaded, or forgotten
                    raise CannotRemember("the state of the optimizer is another one in each call: load it outside of the step")
        if type(b.optimizer) is SGD or (type(b.optimizer) in COUNTED and not numba.config.DISABLE_JIT):
            mine = list(_copied(b, self.second))
            copies = [lowered(Copy(source=source, copy=y)) for source, y in mine]
            if mine and all(copies):
                for (_, x), (_, y) in zip(_copied(a, self.first), mine, strict=False):
                    self._made(x, y, b)
            self._is_native(a, b)
            self.before[id(b)] = [call for calls in copies for call in calls or ()]
        else:
            self.why[id(b)] = "its numbers change from step to step"

    def _loose(self, a, b):
        reason = self._try_calls(a, b)
        if reason:
            raise CannotRemember(f"the kernel {b.name} is called outside of any operation, and {reason}")
        self.native.add(id(b))

    def _effect(self, a, b):
        if a.function is not b.function or not _same_objects((a.args, a.options), (b.args, b.options)):
            self._different(f"{a.name} with other arguments in two calls")
        plain = b.function is clip_grad_norm_ and len(b.args) < 4 and "error_if_nonfinite" not in b.options
        if plain and b.calls and self._is_native(a, b):  # that Python reads the norm changes nothing
            return
        self._all_made(a, b)

    def _function(self, a, b):
        if a.function is not b.function:
            self._different(f"{a.name} the first time and {b.name} the second time")
        self._values(a.args, b.args, b)
        self._values(a.options, b.options, b)
        if not b.fixed and not b.decides and self._is_native(a, b):
            return
        if b.decides and (type(a.result) is not type(b.result) or repr(a.result) != repr(b.result)):
            self._different(f"{b.name} and found {a.result!r} and then {b.result!r}")
        if b.followed is not None:
            return self._follow(a, b)
        self._all_made(a, b)
        if b.fixed:
            self.fixed.append(b)


def _copied(step, recording):
    """(the gradient of a parameter, the copy of it that an optimizer's kernel was given, as it lay in another order)"""
    grads = {}
    for event in recording.events:
        if event is step:
            break
        if type(event) is Grad:
            grads[id(event.node)] = event.array
    grads = {key: x for key, x in grads.items() if x is not None and not x.flags.c_contiguous}
    if not grads:
        return
    parameters = {id(owner_of(p.array)): p for group in step.optimizer.param_groups for p in group["params"]}
    for call in step.calls:
        p, (_, _, g) = parameters.get(id(call.arrays()[0][2])), call.arrays()[1]
        found = None if p is None else grads.get(id(p.node))
        if found is not None and g is not owner_of(found) and g.flags.c_contiguous:
            yield found, g.reshape(found.shape)


def _checks_indices(event):
    """Whether no kernel of the event could be led astray by whole numbers from outside: those it reads are checked or its own.

    Kernels check no bounds. What an operation checks before its kernels is Python, and has to be done in each call.
    """
    operation = event.forward.op if type(event) is Backward else getattr(event, "op", None)
    if isinstance(operation, Op) and (operation.alarm or not operation.indexes):
        return True
    given = (event.forward if type(event) is Backward else event).given()
    return all(given.keys().isdisjoint(map(id, call.integers())) for call in event.calls)


def _same_numbers(a, b):
    """Whether two lists have the same numbers: the bits, too, of NaN and -0.0, as far as they print."""
    return len(a) == len(b) and (all(map(operator.is_, a, b)) or all(repr(x) == repr(y) for x, y in zip(a, b, strict=True)))


def _same_objects(a, b):
    """Whether arguments are the same objects, or equal numbers; lists are compared item by item."""
    if type(b) in (tuple, list, dict):
        if type(a) is not type(b) or len(a) != len(b):
            return False
        a, b = (list(x.items()) if type(x) is dict else x for x in (a, b))
        return all(map(_same_objects, a, b))
    return a is b or (isinstance(b, _PLAIN) and type(a) is type(b) and repr(a) == repr(b))
