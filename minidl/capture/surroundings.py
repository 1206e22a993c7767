"""What a function takes from around it: closed-over values, globals, defaults, and attributes of the objects that it reaches.

Which attributes it reads is not known. It is guessed from the names and texts in its code and in the code of what it calls. An
object is looked into for these names only, and everything is looked up without running any code of the user's.
"""

import array
import collections
import contextvars
import dis
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

SIMPLE = (int, float, bool, complex, str, bytes, type(None), np.generic)
_OURS = ("minidl", "numpy", "builtins", "torch")
_FEW, _MANY = 100, 1000  # items of a list or dict: so many are looked into, so many are compared one by one
_NUMBERS = 10_000  # an array of so many numbers is compared, if no kernel reads it
# What Python calls without a name in the code: operators, indexing, loops, `with`.
_NAMES = (
    "__call__ __getitem__ __getattr__ __getattribute__ __len__ __iter__ __next__ __contains__ __enter__ __exit__ __bool__ "
    "__float__ __int__ __index__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __neg__ __add__ __radd__ __sub__ __rsub__ __mul__ "
    "__rmul__ __truediv__ __rtruediv__ __pow__ __matmul__"
)
_SILENT = frozenset(_NAMES.split())
_LISTS = list, tuple, set, frozenset, collections.deque
_DICTS = dict, types.MappingProxyType
_NUMBERED = np.ndarray, array.array, bytearray
_BUILT_IN = {*_LISTS, *_DICTS, collections.OrderedDict, collections.defaultdict, collections.Counter}
_KEPT = {"state", "param_groups", "_checked"}  # of an optimizer; these are other guards'
_OF_TENSORS = {"array", *dir(Tensor)}
_CALLABLE = types.FunctionType, types.MethodType, functools.partial
_STREAMS = random.Random, np.random.Generator, np.random.RandomState
# Marks among the names in code: a text that may name an attribute, which is looked for; names of attributes are computed, of
# such pieces, or of texts that are reached; all attributes are looked at; an error is caught; a name is set.
_TEXT, _COMPUTED, _PIECE, _REACHED, _ANY, _CATCHES, _SET = "'", "+", "-", ".", "*", "!", "="
_MARKS = {_TEXT, _COMPUTED, _PIECE, _REACHED, _ANY, _CATCHES, _SET}


def surroundings(function, arguments, ran=(), stepped=(), read=frozenset()):
    """What may be read, as an object with four lists, from the quickest to look at to the slowest:

    cells: (cell, value, name), codes: (function, its code), entries: (getter, key, value, name) with now = getter(key), and
    containers: (container, copy of items). And members: (module, its members) of those that did not run; tensors, inner: those
    of modules and optimizers; streams: of random numbers, which are not minidl's; optional: attributes that the code looks for,
    and may not find; optimizers; catches: whether it catches errors; places: (a dict or cell, a name, value) of what it sets.

    ran: modules, and stepped: optimizers, at which other guards look. read: ids of the arrays that kernels read.
    """
    given = [x for x in arguments if not isinstance(x, Tensor) or x.node is not None]  # of the others, see examine
    names = {"forward"}
    while True:  # until the code that is reached has no new names
        walk = _Walk(names, {id(x) for x in ran}, {id(x) for x in stepped}, read)
        walk.go([function, *given])
        if walk.found <= names:
            walk.cells, walk.entries = list(walk.cells.values()), list(walk.entries.values())
            del walk.seen
            return walk
        names = names | walk.found


class _Walk:
    """From value to value, each once."""

    def __init__(self, names, ran, stepped, read):
        self.names, self.found = {x for x in names if x[:1] not in _MARKS}, set()
        self.optional, self.pieces, self.reached, self.set = (
            {x[1:] for x in names if x[:1] == mark} for mark in (_TEXT, _PIECE, _REACHED, _SET)
        )
        self.catches = _CATCHES in names or "suppress" in names
        self.computed, self.all = _COMPUTED in names, _ANY in names
        self.ran, self.stepped, self.read = ran, stepped, read
        self.optimizers, self.places = [], []
        self.cells, self.codes, self.entries, self.containers = {}, [], {}, []
        self.members, self.streams, self.tensors, self.inner, self.indirect = [], [], [], [], set()
        self.seen, self.waiting = {}, []

    def go(self, values):
        self.waiting += values
        while self.waiting:
            value = self.waiting.pop()
            if self.computed and isinstance(value, str):
                self.found.add(_REACHED + value)
            if isinstance(value, SIMPLE) or id(value) in self.seen:
                continue
            self.seen[id(value)] = value  # alive, so that no other gets its id
            self.look(value)

    def look(self, value):
        if isinstance(value, types.MethodType):
            self.waiting += [value.__self__, value.__func__]
        elif isinstance(value, types.BuiltinMethodType):
            self.waiting.append(value.__self__)
        elif isinstance(value, functools.partial):
            self.waiting += [value.func, value.args, value.keywords]
        elif isinstance(value, types.FunctionType):
            self.function(value)
        elif isinstance(value, Tensor):
            (self.inner if id(value) in self.indirect else self.tensors).append(value)
            self.attributes(value, vars(value), but=_OF_TENSORS)
        elif isinstance(value, (*_LISTS, *_DICTS)):
            self.container(value)
        elif isinstance(value, _NUMBERED):
            view = np.asarray(value)
            if view.dtype == object:
                self.container(value) if view.ndim == 1 else None
            elif view.size <= _NUMBERS and id(value) not in self.read:
                self.containers.append((value, view.tobytes()))
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
        elif isinstance(value, Module):
            self.module(value)
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
            self.waiting.append(_own(value)["__wrapped__"])
            self.attributes(value, _own(value), but={key for key in _own(value) if key[0] == "_"})
        elif not isinstance(value, types.CodeType):
            self.attributes(value, _own(value))
            self.of_class(value, type(value))

    def note(self, owner, name, get, key, text, value):
        self.entries[id(owner), name] = get, key, value, text
        self.waiting.append(value)

    def function(self, f):
        if _ours(f.__module__) or (f.__code__.co_filename == "<string>" and f.__name__ in _SILENT):  # of a dataclass
            return
        loaded = _loaded(f.__code__)
        self.found |= loaded
        if not _packaged(f.__code__, f.__module__):
            self.found |= _marks(f.__code__)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not yet set
                continue
            if name in self.set:
                self.places.append((cell, "cell_contents", value))
            if name in loaded:
                self.cells[id(cell)] = cell, value, name
                self.waiting.append(value)
        for name in sorted(loaded & f.__globals__.keys()):
            self.attribute(f, f.__globals__, name, name)
        self.places += [(f.__globals__, name, f.__globals__[name]) for name in self.set & f.__globals__.keys()]
        self.codes.append((f, f.__code__))
        for name in ("__defaults__", "__kwdefaults__"):
            value = getattr(f, name)
            if value is not None:
                self.note(f, name, functools.partial(getattr, f), name, f"{name} of {f.__name__}", value)
        self.attributes(f, vars(f))

    def container(self, value):
        if not isinstance(value, (tuple, frozenset)):  # its items are the same as long as it is
            self.containers.append((value, _copy(value, self.names)))
        if isinstance(value, _DICTS):
            self.waiting += value.values() if len(value) <= _FEW else [value[key] for key in self.names & value.keys()]
        elif len(value) <= _FEW:
            self.waiting.extend(value)
        if type(value) not in _BUILT_IN:
            self.attributes(value, _own(value))
            self.of_class(value, type(value))

    def module(self, module):
        own = vars(module)
        self.waiting += module.children()
        for x in own.values():
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
        if type(own) is dict:
            self.places += [(own, name, own[name]) for name in self.set & own.keys()]
        if (self.all or self.computed) and not isinstance(owner, (types.ModuleType, types.FunctionType)):
            names |= {x for x in own if self.all or x in self.reached or any(piece in x for piece in self.pieces)}
        for name in sorted(names - but):
            if watched:
                self.attribute(owner, own, name)
            else:
                self.waiting.append(own[name])
        if watched and not _ours(type(owner).__module__):
            for name in self.optional - own.keys() - but:
                self.entries[id(owner), name] = own.get, name, None, f"{type(owner).__name__}.{name}"

    def attribute(self, owner, own, name, text=None):
        named = isinstance(owner, (type, types.ModuleType, types.FunctionType))
        text = text or f"{owner.__name__ if named else type(owner).__name__}.{name}"
        self.note(owner, name, own.get, name, text, own[name])

    def of_class(self, owner, kind):
        """What the classes of the user's among those of an object have; owner is None for a class itself."""
        hidden = [] if owner is None or id(owner) in self.ran else [(owner, _own(owner))]  # may get what a class has
        for cls in kind.__mro__:
            if _ours(cls.__module__):
                continue
            own = vars(cls)
            for name in sorted(own.keys() & (self.names | _SILENT)):
                value = own[name]
                if isinstance(value, types.MemberDescriptorType):  # of __slots__
                    if owner is not None:
                        self.note(owner, name, _slot(value), owner, f"{cls.__name__}.{name}", _slot(value)(owner))
                    continue
                self.attribute(cls, own, name)
                for before, place in hidden:
                    if name not in place:
                        self.entries[id(before), name] = place.get, name, None, f"{cls.__name__}.{name}"
                if isinstance(value, property):
                    self.waiting.append(value.fget)
                elif isinstance(value, (classmethod, staticmethod)):
                    self.waiting.append(value.__func__)
                elif isinstance(value, functools.cached_property):
                    self.waiting.append(value.func)
            hidden.append((cls, own))


def members(module):
    """[(name, parameter, module or buffer)]; of a layer of ours with its options."""
    own = vars(module)
    if _ours(type(module).__module__):  # whose forward may be called by itself: it reads any of them
        kept = {*own.get("_members", ()), *own.get("_persistent", ())}
        return [(name, x) for name, x in own.items() if name in kept or not isinstance(x, Tensor)]
    return [(name, own.get(name)) for name in (*own.get("_members", ()), *own.get("_persistent", ()))]


def _ours(name):
    return (name or "").partition(".")[0] in _OURS


def foreign(name):
    return _ours(name) or name.partition(".")[0] in sys.stdlib_module_names


def _own(value):
    try:
        get = threading.local if isinstance(value, threading.local) else object
        return get.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}


def _slot(descriptor):
    def get(owner):
        try:
            return descriptor.__get__(owner)
        except AttributeError:  # not set
            return None

    return get


_EXCEPT = {"CHECK_EXC_MATCH", "CHECK_EG_MATCH", "JUMP_IF_NOT_EXC_MATCH"}


@functools.lru_cache(4096)
def _loaded(code):
    """The names that code reads, also within the functions it defines, and the texts in it that may be names."""
    found = set()
    for instruction in dis.get_instructions(code):
        what, value = instruction.opname, instruction.argval
        if what.startswith("LOAD_") and not what.startswith("LOAD_FAST") and isinstance(value, str):
            found.add(value)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _loaded(constant)
    return frozenset(found)


@functools.lru_cache(4096)
def _marks(code):
    """What else is to be known of code: see _CATCHES and the others."""
    found, computed, before, last = set(), 0, None, [None, None]  # last: texts before a call, getattr's default or its name
    for instruction in dis.get_instructions(code):
        what, value = instruction.opname, instruction.argval
        if what in _EXCEPT or (what == "POP_TOP" and before == "PUSH_EXC_INFO"):
            found.add(_CATCHES)
        if what.startswith("STORE_") and what != "STORE_FAST" and isinstance(value, str):
            found.add(_SET + value)
        text = value if what == "LOAD_CONST" and isinstance(value, str) else None
        computed += what != "LOAD_CONST" and value == "getattr"
        if what in ("PRECALL", "CALL"):
            computed -= any(x is not None and x.isidentifier() for x in last)
            last = [None, None]
        else:
            last = [last[1], text]
        before = what
    texts = {x for x in code.co_consts if isinstance(x, str) and x}
    if {"getattr", "hasattr"} & {*code.co_names}:
        found.update(_TEXT + x for x in texts if x.isidentifier())
    if computed > 0:
        found.update([_COMPUTED, *(_PIECE + x for x in texts)])
    if {"vars", "__dict__"} & {*code.co_names}:
        found.add(_ANY)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _marks(constant)
    return frozenset(found)


def _packaged(code, module):
    """Whether it is the code of a library, which takes names apart and catches errors for reasons of its own."""
    return foreign(module or "") or "site-packages" in code.co_filename


class _Some(dict):
    """Some items of a dict with many."""


def _copy(value, names):
    """What a container holds, to see that it is changed; of a long one its length, or the items whose keys are in the code."""
    if isinstance(value, _DICTS):
        return dict(value) if len(value) <= _MANY else _Some((key, value[key]) for key in names & value.keys())
    if len(value) > _MANY:
        return len(value)
    return set(value) if isinstance(value, set) else list(value)


def alike(now, copy):
    """Whether a container still has the items that the copy has."""
    kind = type(copy)
    if kind is int:
        return len(now) == copy
    if kind is bytes:
        return np.asarray(now).tobytes() == copy
    if kind is _Some:
        return all(key in now and same(now[key], value) for key, value in copy.items())
    if len(now) != len(copy):
        return False
    if kind is set:
        return now == copy
    if kind is dict:
        if not all(map(_one_key, now, copy)):
            return False
        now, copy = now.values(), copy.values()
    return all(map(operator.is_, now, copy)) or all(map(same, now, copy))


def _one_key(a, b):
    return a is b or (not isinstance(a, Tensor) and a == b)  # two tensors would be compared number by number


def same(now, before):
    """The same object, or an equal number: 0 and -0 differ."""
    if now is before:
        return True
    if type(now) is not type(before):
        return False
    if isinstance(now, SIMPLE):
        return repr(now) == repr(before)
    return type(now) is tuple and len(now) == len(before) and all(map(same, now, before))
