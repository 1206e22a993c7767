"""Guards: what has to be as it was when a step was remembered. They are checked at every call, in about a microsecond."""

import gc
import pickle
import random
import types
from operator import is_

import numpy as np

from ..graph.modes import mode
from ..graph.nodes import calls
from ..graph.writes import owner_of
from ..kernels import threads
from ..nn.module import Module, changes
from ..optim.optimizer import Optimizer
from ..tensors import dtypes
from ..tensors.tensor import Tensor
from .arguments import items
from .comparing import SIMPLE, alike, same
from .events import flat
from .functions import is_hooked
from .places import place_in
from .surroundings import members, surroundings

LEFT = "an attribute or a variable that the step sets was changed before the call"  # this call is made ordinarily
_FEW = 2**20  # numbers: larger arrays are not compared
_MANY = 1000  # objects that are looked at, to find tensors


class Guards:
    """What a step has looked at: tensors, modules, optimizers, and the values that its function takes from around it.

    modules: (module, its attributes before the step) of those that ran. optimizers: those that stepped. arguments: of the call.
    grads: (node, the array of its .grad when the step begins, or None, or True for any array). read: ids of the arrays that
    kernels read. made(value): whether the step has made a tensor. `places`: [(get, put)] of where it leaves such.
    passing(array): whether this call or the one before has made it.

    Two kinds of places decide whether a call is made ordinarily (LEFT): `forms`, (get, form) of places whose name the code
    reads, too, and `settled`, (get, put, value) of places that the step sets, but to no tensor of its own.
    """

    def __init__(self, function, arguments, tensors, modules, optimizers, grads, read, made, passing):
        self.grads = grads
        self.mode, self.dtype = mode.recording, dtypes.default
        self.number, self.forked = threads._number, threads._forked
        tensors = {id(x): x for x in tensors}
        for part, _ in modules:
            own = vars(part)
            found = map(own.get, (*own["_members"], *own["_persistent"]))
            tensors.update((id(x), x) for x in found if isinstance(x, Tensor))
        self.counts = [changes.number, calls.hooks]
        self.modules = [(part, *_attributes(part, before, made)) for part, before in modules]
        found = surroundings(function, arguments, [part for part, _ in modules], optimizers, read, made)
        places, self.forms = {**found.places}, []
        for part, _, kept in self.modules:
            places.update({(id(vars(part)), key): (*place_in(vars(part), key), key) for key in kept if made(vars(part)[key])})
        befores = {id(vars(part)): before for part, before in modules}
        for (owner, key), (get, _, name) in places.items():
            if name in found.names:  # it may ask whether something is there, and of what shape
                before = befores.get(owner, {})
                self.forms.append((get, form(before[key] if key in before else get())))
        self.places = [(get, put) for get, put, _ in places.values()]
        self.settled = list(found.settled.values())
        self.holding = [place for place in self.settled if any(passing(x.array) for x in _reached(place[2]))]
        self.cells, self.codes, self.entries, self.containers = found.cells, found.codes, found.entries, found.containers
        self.catches, self.kept = found.catches, []
        self.lasting = not found.caches  # whether a guard that has found a change finds it later, too
        stepped = {id(o): o for o in optimizers}
        others = [o for o in found.optimizers if id(o) not in stepped]
        seen = [*stepped.values(), *others]
        self.optimizers = [
            (vars(o), len(vars(o)), o.state, o.param_groups, len(o.param_groups), type(o).__name__) for o in seen
        ]
        self.groups = [
            (o.param_groups, i, group, group["params"], list(group["params"]), any(p.array.size == 1 for p in group["params"]))
            for o in seen
            for i, group in enumerate(o.param_groups)
        ]
        self.states = [(o.state, p, d, _entries(d)) for o in stepped.values() for p, d in o.state.items()]
        for o in others:  # which the step may step by itself: what it reads there, kernels read
            self.states += [(o.state, p, d, [e for e in _entries(d) if id(owner_of(e[2])) in read]) for p, d in o.state.items()]
        tensors.update((id(x), x) for x in found.tensors)
        tensors.update((id(x), x) for x in found.inner if id(owner_of(x.array)) in read)
        self.tensors = [(x, x.array, x.node) for x in tensors.values()]
        self.arrays = [x.array for x in (*tensors.values(), *found.inner)]
        self.members, self.streams = found.members, found.streams
        self.looks = bool(found.optional or found.computed or found.all)  # at attributes that an input may be given

    def broken(self):
        """None if all is as it was, else what has changed."""
        for x, array, node in self.tensors:  # a loop is faster than `all` over `map`
            if x.array is not array or x.node is not node:
                return f"a tensor of shape {array.shape}, which the step reads, has other memory or another requires_grad"
        if self.counts[0] != changes.number or self.counts[1] != calls.hooks:
            reason = self._look_closely()
            if reason is not None:
                return reason
            self.counts[:] = changes.number, calls.hooks
        if mode.recording is not self.mode:
            return "gradients are recorded now and were not, or the reverse"
        if threads._number != self.number or threads._forked is not self.forked or dtypes.default is not self.dtype:
            return "the number of threads or the default dtype has changed"
        for node, array in self.grads:
            now = node.grad
            if now is not array and (now is None or array is None or (array is not True and now.array is not array)):
                return "a gradient to which the step adds is another one, or None"
        for own, size, state, groups, number, name in self.optimizers:
            if len(own) != size or own["state"] is not state or own["param_groups"] is not groups or len(groups) != number:
                return f"{name} has another state, other groups or attributes"
        for groups, i, group, params, before, single in self.groups:
            if groups[i] is not group or group["params"] is not params or not identical(params, before, single):
                return "an optimizer has other parameters"
        for state, p, d, entries in self.states:
            if state.get(p) is not d:
                return "the state of an optimizer has changed"
            for key, x, array in entries:
                if d.get(key) is not x or x.array is not array:
                    return f"the state of an optimizer has another {key}"
        return self.moved_around() or (LEFT if (self.forms or self.settled) and self._left() else None)

    def moved_around(self):
        """The same of what the function takes from around it."""
        try:
            for cell, value, name in self.cells:
                if (now := cell.cell_contents) is not value and not same(now, value):
                    return _has_changed(name, value, now)
            for function, code in self.codes:
                if function.__code__ is not code:
                    return f"{function.__name__} has other code"
            for get, key, value, name in self.entries:
                if (now := get(key)) is not value and not same(now, value):
                    return _has_changed(name, value, now)
        except ValueError:
            return "a variable, which the step reads, is gone"
        for get, kept in self.kept:
            if kept.changed(get()):
                return f"a {kept.kind.__name__}, in which the step leaves tensors, has other items besides"
        for container, copy in self.containers:
            if not alike(container, copy):
                return f"a {type(container).__name__}, which the step reads, has other items"
        return None

    def _left(self):
        return any(form(get()) != before for get, before in self.forms) or any(
            (now := get()) is not value and not same(now, value) for get, _, value in self.settled
        )

    def keep(self, kept):
        """Looks from now on at what else is in the lists, dicts and records in which the step leaves tensors: [(get, Kept)]."""
        self.kept = kept
        for get, _ in kept:
            if not any(get is other for other, _ in self.forms):
                self.forms.append((get, form(get())))
        others = [x for _, part in kept for x in part.tensors()]
        self.tensors += [(x, x.array, x.node) for x in others]

    def settle(self):
        """After an ordinary call: a place with another value now is not looked at any more.

        The step does not set it, or sets another value in each call; and it does not read it.
        """
        self.settled = [(get, put, value) for get, put, value in self.settled if same(get(), value)]

    def unseen(self, changes):
        """A function that tells what has changed until it is called, of what the recorder can't see, and no replay would do.

        Draws from Python's and NumPy's random streams; arrays around the step that NumPy writes into; tensors that it leaves in
        objects, which no replay makes. changes: ids of those that a replay changes.
        """
        streams = [(x, _place(x)) for x in (random._inst, np.random.mtrand._rand, *self.streams)]
        arrays = [x for x in self.arrays if id(owner_of(x)) not in changes and x.size <= _FEW]
        before = [x.tobytes() for x in arrays]

        def found():
            if any(_place(x) != old for x, old in streams):
                return (
                    "it draws random numbers of Python's or NumPy's, and goes on by the first ones: draw them by minidl, or "
                    "outside of the step, and pass them as tensors"
                )
            if any(get() is not value for get, _, value in self.holding):
                return (
                    "it leaves a tensor of the call before, or another object with tensors in each call, in an attribute or a "
                    "variable: leave tensors, or lists, dicts or dataclasses of up to 100 of them, that this call has made"
                )
            for x, old in zip(arrays, before, strict=True):
                if x.tobytes() != old:
                    return f"an array of shape {x.shape} is changed in place, by NumPy: keep it out of the step"
            return None

        return found

    def _look_closely(self):
        """After an attribute of any module was set, or any tensor was given a hook."""
        for part, attributes, kept in self.modules:
            now = vars(part)
            if part._hooks is not None and is_hooked(part):
                return f"{type(part).__name__} has a hook"
            if now.keys() | kept != attributes.keys() | kept:
                return f"{type(part).__name__} has other attributes"
            for key, value in attributes.items():
                if not same(now[key], value):
                    return f"{key} of {type(part).__name__} has changed: {_short(value)} is now {_short(now[key])}"
        for part, before in self.members:
            now = members(part)
            if len(now) != len(before) or not all(map(same, now, before)):
                return f"{type(part).__name__}, whose parameters the step may read, has other ones"
        for _, array, node in self.tensors:
            if node is not None and (node.hooks or getattr(node, "after", None)):
                return f"a tensor of shape {array.shape} has a hook"
        return None


def _reached(value):
    """The tensors in a value, also in an object or a function; not those of modules and optimizers. The search has an end."""
    seen, waiting = {}, [value]
    while waiting and len(seen) < _MANY:
        x = waiting.pop()
        if isinstance(x, (*SIMPLE, Module, Optimizer, type, types.ModuleType, types.CodeType)) or id(x) in seen:
            continue
        seen[id(x)] = x
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, types.FunctionType):
            waiting += [x.__closure__, x.__defaults__, x.__kwdefaults__]
        else:
            waiting += gc.get_referents(x)


def form(value):
    """Of tensors their shapes and dtypes; numbers and texts; the kinds of all else, and of lists, dicts and records what they
    hold."""
    if isinstance(value, Tensor):
        return value.array.shape, value.array.dtype
    if isinstance(value, tuple):
        return type(value), [form(x) for x in value]
    found = items(value)
    if found is not None:
        return type(value), [(id(key) if isinstance(key, Tensor) else key, form(x)) for key, x in found.items()]
    return type(value), repr(value) if isinstance(value, SIMPLE) else None


def _attributes(part, before, made):
    """(the attributes that must stay, the names of those that the step sets itself: tensors that it keeps for others to see)"""
    now = vars(part)
    kept = {
        key for key, value in now.items() if before.get(key, _attributes) is not value and (_of_tensors(value) or made(value))
    }
    return {key: value for key, value in now.items() if key not in kept}, kept


def _place(stream):
    """Where a random stream of Python's or NumPy's stands, as something that can be compared."""
    if isinstance(stream, random.Random):
        return stream.getstate()
    generator = stream.bit_generator if isinstance(stream, np.random.Generator) else stream._bit_generator
    return pickle.dumps(generator.state)


def _of_tensors(value):
    parts = list(flat([value]))
    return bool(parts) and all(x is None or isinstance(x, Tensor) for x in parts)


def _entries(state):
    """Tensors of an optimizer's state for one parameter."""
    return [(key, x, x.array) for key, x in state.items() if isinstance(x, Tensor)]


def identical(tensors, before, single):
    """Whether two lists have the same tensors. `==` looks for that first, in a fifth of the time; for single numbers it is not
    enough."""
    try:
        return tensors == before and (not single or all(map(is_, tensors, before)))
    except (RuntimeError, ValueError, TypeError):  # two tensors were compared number by number
        return False


def _has_changed(name, value, now):
    return f"{name}, which the step reads, has changed: {_short(value)} is now {_short(now)}"


def _short(value):
    text = repr(value) if isinstance(value, SIMPLE) else f"a {type(value).__name__}"
    return text if len(text) < 60 else f"{text[:57]}..."
