"""What a function takes from around it: closed-over values, globals, defaults, and attributes of the objects that it reaches.

Which attributes it reads is not known. It is guessed from the names and texts in its code and in the code of what it calls. An
object is looked into for these names only, and everything is looked up without running any code of the user's.
"""

import array
import collections
import contextlib
import contextvars
import copyreg
import functools
import operator
import os
import random
import sys
import threading
import types
import weakref

import numpy as np

from ..nn.module import Module
from ..optim.lr_scheduler import LRScheduler
from ..optim.optimizer import Optimizer
from ..tensors.tensor import Tensor
from .comparing import DICTS, MANY, SIMPLE, copied_items
from .names import (
    ANY,
    CATCHES,
    COMPUTED,
    MARKS,
    PIECE,
    REACHED,
    SET,
    TEXT,
    foreign,
    globals_of,
    imported_by,
    loaded_by,
    marks_of,
    ours,
    packaged,
    set_by,
)
from .places import of_cell, of_class, of_slot, place_in, slot_reader

_FEW = 100  # items of a list or dict: so many are looked into
_NUMBERS = 10_000  # an array of so many numbers is compared, if no kernel reads it
# What Python calls without a name in the code: operators, indexing, loops, `with`; and where an object is made.
_OPERATORS = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod"
_NAMES = (
    "call getitem setitem delitem getattr getattribute setattr delattr get set delete missing len iter next reversed contains "
    "enter exit bool float int complex index round trunc floor ceil hash eq ne lt le gt ge neg pos abs invert instancecheck"
)
_SILENT = frozenset(
    f"__{x}__" for x in [*_NAMES.split(), *(prefix + x for x in _OPERATORS.split() for prefix in ("", "r", "i"))]
)
_MAKING = frozenset({"__init__", "__new__", "__post_init__"})
_LISTS = list, tuple, set, frozenset, collections.deque
_NUMBERED = np.ndarray, array.array, bytearray, memoryview
_BUILT_IN = {*_LISTS, *DICTS, collections.OrderedDict, collections.defaultdict, collections.Counter}
_KEPT = {"state", "param_groups", "_checked"}  # of an optimizer; these are other guards'
# Whose objects are mostly options, or what they have counted.
_OPTIONS = (
    *("minidl.distributions.", "minidl.utils.data.transforms", "minidl.probability"),
    *("minidl.d2l.tools", "minidl.utils.history", "minidl.utils.board", "minidl.utils.stopping"),
)
_EXACT = {int, float, bool, str, type(None)}
_OF_TENSORS = {"array", *dir(Tensor)}
_CALLABLE = types.FunctionType, types.MethodType, functools.partial
_STREAMS = random.Random, np.random.Generator, np.random.RandomState


def surroundings(function, arguments, ran=(), stepped=(), read=frozenset(), made=lambda value: False):
    """What may be read, as an object with four lists, from the quickest to look at to the slowest:

    cells: (cell, value, name), codes: (function, its code), entries: (getter, key, value, name) with now = getter(key), and
    containers: (container, copy of items). And members: (module, its members) of those that did not run; tensors, inner: those
    of modules and optimizers; streams: of random numbers, which are not minidl's; optional: attributes that the code looks for,
    and may not find; optimizers; catches: whether it catches errors; caches: whether a function has a cache; places: {where:
    (get, put, name)} where it leaves tensors; settled: {where: (get, put, value)} of what else it may leave, and does not read.

    ran: modules, and stepped: optimizers, at which other guards look. read: ids of the arrays that kernels read. made(value):
    whether the step has made a tensor, or tensors in a list.
    """
    given = [x for x in arguments if not isinstance(x, Tensor) or x.node is not None]  # of the others, see examine
    names = {"forward"}
    if isinstance(function, types.FunctionType) and not set_by(function.__code__):
        names |= _told_by(function)  # which the first walk would find
    while True:  # until the code that is reached has no new names
        walk = _Walk(names, {id(x) for x in ran}, {id(x) for x in stepped}, read, made)
        walk.go([function, *given])
        if walk.found <= names:
            walk.cells, walk.entries = list(walk.cells.values()), list(walk.entries.values())
            del walk.seen, walk.made
            return walk
        names = names | walk.found


class _Walk:
    """From value to value, each once."""

    def __init__(self, names, ran, stepped, read, made):
        self.names, self.found = {x for x in names if x[:1] not in MARKS}, set()
        self.optional, self.pieces, self.reached, self.set = (
            {x[1:] for x in names if x[:1] == mark} for mark in (TEXT, PIECE, REACHED, SET)
        )
        self.made, self.places, self.settled = made, {}, {}
        self.catches = CATCHES in names or "suppress" in names
        self.computed, self.all = COMPUTED in names, ANY in names
        self.ran, self.stepped, self.read = ran, stepped, read
        self.optimizers, self.caches = [], False
        self.cells, self.codes, self.entries, self.containers = {}, [], {}, []
        self.members, self.streams, self.tensors, self.inner, self.indirect = [], [], [], [], set()
        self.seen, self.waiting = {}, []

    def go(self, values):
        self.waiting += values
        while self.waiting:
            value = self.waiting.pop()
            if self.computed and isinstance(value, str):
                self.found.update(REACHED + part for part in value.split("."))
            if type(value) in _EXACT or id(value) in self.seen or (isinstance(value, SIMPLE) and not _own(value)):
                continue
            self.seen[id(value)] = value  # alive, so that no other gets its id
            self.look(value)

    def look(self, value):
        if type(value) in weakref.ProxyTypes:
            with contextlib.suppress(ReferenceError):
                self.waiting.append(value.__str__.__self__)
        elif isinstance(value, Tensor):
            (self.inner if id(value) in self.indirect else self.tensors).append(value)
            own = vars(value)
            if not (own.keys() <= _OF_TENSORS and ours(type(value).__module__)):
                self.attributes(value, own, but=_OF_TENSORS)
        elif isinstance(value, Module):
            self.module(value)
        elif isinstance(value, types.MethodType):
            self.waiting += [value.__self__, value.__func__]
        elif isinstance(value, types.BuiltinMethodType):
            self.waiting.append(value.__self__)
        elif isinstance(value, functools.partial):
            self.waiting += [value.func, value.args, value.keywords]
        elif isinstance(value, types.FunctionType):
            self.function(value)
        elif isinstance(value, (*_LISTS, *DICTS)):
            self.container(value)
        elif isinstance(value, _NUMBERED):
            view = np.asarray(value)
            if view.dtype == object:
                self.container(value) if view.ndim == 1 else None
            elif view.size <= _NUMBERS and id(value) not in self.read:
                self.containers.append((value, view.tobytes()))
        elif isinstance(value, (operator.attrgetter, operator.methodcaller)):
            make, args = value.__reduce__()
            self.waiting += [*args, getattr(make, "keywords", None)]
            texts = [x for x in (*args, *getattr(make, "args", ())) if isinstance(x, str)]
            self.found.update(*[x.split(".") for x in texts])
        elif isinstance(value, _STREAMS):
            self.streams.append(value)
        elif isinstance(value, weakref.ref):
            self.note(value, "", lambda _: value(), "", "an object behind a weak reference", value())
        elif isinstance(value, contextvars.ContextVar):
            self.note(value, "", value.get, None, value.name, value.get(None))
        elif value is os:
            if not self.names.isdisjoint({"environ", "getenv"}):
                self.container(os.environ._data)
        elif isinstance(value, types.ModuleType):
            if not foreign(value.__name__):
                self.attributes(value, vars(value))
        elif isinstance(value, Optimizer):
            self.optimizer(value)
        elif isinstance(value, LRScheduler):
            self.attributes(value, vars(value))
            if "get_last_lr" in self.names:
                self.attribute(value, vars(value), "_last_lr")
        elif isinstance(value, type):
            self.of_class(None, value)
            if not foreign(type(value).__module__):
                self.of_class(value, type(value))
        elif "__wrapped__" in _own(value):  # a compiled function, a function with a cache
            if callable(found := getattr(value, "cache_info", None)):  # which was cleared if it is short of misses
                self.caches, misses = True, found().misses
                self.note(value, "", lambda _: found().misses < misses, "", "the cache of a function", False)
            self.waiting.append(_own(value)["__wrapped__"])
            self.attributes(value, _own(value), but={key for key in _own(value) if key[0] == "_"})
        elif not isinstance(value, types.CodeType):
            if _is_of(type(value), _OPTIONS):  # minidl's own code reads them, which is not looked at
                for name in _own(value):
                    self.attribute(value, _own(value), name)
            self.attributes(value, _own(value))
            self.of_class(value, type(value))

    def note(self, owner, name, get, key, text, value):
        self.entries[id(owner), name] = get, key, value, text
        self.waiting.append(value)

    def function(self, f):
        if _is_ours(f):
            return
        loaded = loaded_by(f.__code__)
        self.found |= _told_by(f)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not yet set
                continue
            if name in self.set and self.made(value):
                self.places[id(cell), ""] = *of_cell(cell), name
            elif name in self.set and name not in self.names:
                self.settled[id(cell), ""] = *of_cell(cell), value
            elif name in loaded:
                self.cells[id(cell)] = cell, value, name
                self.waiting.append(value)
        left = self.leaves(f.__globals__, False)
        for name in sorted((loaded & f.__globals__.keys()) - left):
            self.attribute(f, f.__globals__, name, name)
        for name in globals_of(f.__code__):  # a global of that name may come later: it is a builtin's, or an error is caught
            if name not in f.__globals__:
                self.entries[id(f.__globals__), name] = f.__globals__.get, name, None, name
        self.codes.append((f, f.__code__))
        self.imported(f, loaded)
        for name in ("__defaults__", "__kwdefaults__"):
            value = getattr(f, name)
            if value is not None:
                self.note(f, name, functools.partial(getattr, f), name, f"{name} of {f.__name__}", value)
        self.attributes(f, vars(f))

    def imported(self, f, loaded):
        """Modules that the code imports, or finds by a text."""
        names = imported_by(f.__code__, f.__globals__.get("__package__"))
        if not loaded.isdisjoint({"modules", "import_module", "__import__"}):
            names = names | (loaded & sys.modules.keys())
        self.waiting += [sys.modules[name] for name in names if name in sys.modules]

    def container(self, value):
        if not isinstance(value, (tuple, frozenset)):  # its items are the same as long as it is
            self.containers.append((value, copied_items(value, self.names)))
        if isinstance(value, DICTS):
            some = value.values() if len(value) <= MANY else [value[key] for key in self.names & value.keys()]
            self.waiting.extend(x for x in some if len(value) <= _FEW or not isinstance(x, (Tensor, *_NUMBERED)))
            self.waiting += [value[key] for key in self.names & value.keys()]
        elif len(value) <= MANY:  # of many tensors only those are looked at that kernels read
            self.waiting.extend(x for x in value if len(value) <= _FEW or not isinstance(x, (Tensor, *_NUMBERED)))
        if type(value) not in _BUILT_IN:
            self.attributes(value, _own(value))
            self.of_class(value, type(value))

    def module(self, module):
        own = vars(module)
        for name in own["_members"]:
            if isinstance(child := own.get(name), Module):
                self.waiting.append(child)
        for x in own.values():
            if type(x) in _EXACT:
                continue
            if isinstance(x, Tensor):
                self.indirect.add(id(x))
                self.waiting.append(x)
            elif isinstance(x, _CALLABLE):
                self.waiting.append(x)
        if id(module) not in self.ran:
            self.members.append((module, members(module)))
        self.attributes(module, own, id(module) not in self.ran)
        self.of_class(module, type(module))

    def optimizer(self, optimizer):
        """Its options, if they are read by the user's code, and what it has beside them."""
        self.of_class(optimizer, type(optimizer))
        params = [p for group in optimizer.param_groups for p in group["params"]]
        self.indirect.update(map(id, params))
        self.waiting += params
        self.optimizers.append(optimizer)
        self.attributes(optimizer, vars(optimizer), but=_KEPT)
        if id(optimizer) in self.stepped and "param_groups" not in self.names:
            return
        for group in optimizer.param_groups:
            for key in group.keys() - {"params"}:
                self.attribute(group, group, key)

    def attributes(self, owner, own, watched=True, but=frozenset()):
        names = self.names & own.keys()
        but = but | self.leaves(own, not isinstance(owner, types.ModuleType), but)
        if (self.all or self.computed) and not isinstance(owner, (types.ModuleType, types.FunctionType)):
            names |= {x for x in own if self.all or x in self.reached or any(piece in x for piece in self.pieces)}
        for name in sorted(names - but):
            if watched:
                self.attribute(owner, own, name)
            else:
                self.waiting.append(own[name])
        if watched and not ours(type(owner).__module__):
            for name in self.optional - own.keys() - but:
                self.entries[id(owner), name] = own.get, name, None, f"{type(owner).__name__}.{name}"

    def leaves(self, own, few=True, but=frozenset()):
        """The names under which the step leaves what it has made in a `__dict__`. few: it is that of an object."""
        names, sets = set(), self.set & own.keys()
        for name in list(own) if few else sets:
            if type(own[name]) not in _EXACT and name not in but and self.made(own[name]):
                names.add(name)
                self.places[id(own), name] = *place_in(own, name), name
        for name in sets - self.names - but - names:
            self.settled[id(own), name] = *place_in(own, name), own[name]
        return names

    def attribute(self, owner, own, name, text=None):
        named = isinstance(owner, (type, types.ModuleType, types.FunctionType))
        text = text or f"{owner.__name__ if named else type(owner).__name__}.{name}"
        self.note(owner, name, own.get, name, text, own[name])

    def of_class(self, owner, kind):
        """What the classes of the user's among those of an object have; owner is None for a class itself."""
        classes = [cls for cls in kind.__mro__ if not ours(cls.__module__)]
        hidden = [] if owner is None or id(owner) in self.ran else [(owner, _own(owner))]  # may get what a class has
        for cls in classes:
            own = vars(cls)
            known = foreign(cls.__module__)
            if not known:  # a method that it is given later may hide another class's
                with contextlib.suppress(AttributeError, TypeError):
                    copyreg._slotnames(cls)  # an attribute that it would be given by the first copy of an object
                self.entries[id(cls), ""] = len, own, len(own), f"how many attributes {cls.__name__} has"
            making = _MAKING if owner is None or not self.names.isdisjoint({"type", "__class__"}) else frozenset()
            if "__match_args__" in self.names:
                self.found.update(own.get("__match_args__", ()))
            for name in sorted(own.keys() & (self.names | _SILENT | making | self.set)):
                value = own[name]
                if name in self.set:
                    if isinstance(value, property):
                        self.waiting.append(value.fset)
                    elif hasattr(type(value), "__set__"):
                        self.waiting.append(value)
                    slot = isinstance(value, types.MemberDescriptorType) and owner is not None
                    if self.made(slot_reader(value)(owner) if slot else value):
                        place = of_slot(value, owner) if slot else of_class(cls, name)
                        self.places[id(owner if slot else cls), name] = *place, name
                        continue
                    if name not in self.names:
                        if slot:
                            self.settled[id(owner), name] = *of_slot(value, owner), slot_reader(value)(owner)
                        elif not isinstance(value, (property, types.MemberDescriptorType)):
                            self.settled[id(cls), name] = *of_class(cls, name), value
                        continue
                if isinstance(value, types.MemberDescriptorType):  # of __slots__
                    if owner is not None:
                        self.note(owner, name, slot_reader(value), owner, f"{cls.__name__}.{name}", slot_reader(value)(owner))
                    continue
                if known:  # nobody changes it
                    self.waiting.append(value)
                else:
                    self.attribute(cls, own, name)
                for before, place in hidden:
                    if name not in place and name not in _SILENT:
                        self.entries[id(before), name] = place.get, name, None, f"{cls.__name__}.{name}"
                if isinstance(value, property):
                    self.waiting.append(value.fget)
                elif isinstance(value, (classmethod, staticmethod)):
                    self.waiting.append(value.__func__)
                elif isinstance(value, functools.cached_property):
                    self.waiting.append(value.func)


def _is_ours(f):
    """Whether nothing in the function's code is looked at: it is minidl's, NumPy's, or a method that a dataclass was given."""
    return ours(f.__module__) or (f.__code__.co_filename == "<string>" and f.__name__ in _SILENT)


def _told_by(f):
    """The names that a function's code tells, with marks."""
    if _is_ours(f):
        return frozenset()
    found = loaded_by(f.__code__) | set_by(f.__code__)
    return found if packaged(f.__code__, f.__module__) else found | marks_of(f.__code__)


def _is_of(kind, places):
    return any(cls.__module__.startswith(places) for cls in kind.__mro__)


def members(module):
    """[(name, parameter, module or buffer)]; of a layer of ours with its options."""
    own = vars(module)
    kinds = [cls for cls in type(module).__mro__ if cls not in Module.__mro__]
    if any(ours(cls.__module__) for cls in kinds):  # whose forward may be called by itself: it reads any of them
        kept = {*own.get("_members", ()), *own.get("_persistent", ())}
        return [(name, x) for name, x in own.items() if name in kept or not isinstance(x, Tensor)]
    return [(name, own.get(name)) for name in (*own.get("_members", ()), *own.get("_persistent", ()))]


def _own(value):
    try:
        get = threading.local if isinstance(value, threading.local) else object
        return get.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
