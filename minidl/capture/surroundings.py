"""What a function takes from around it: closed-over values, globals, and attributes of objects that are no modules.

Which attributes it reads is not known. It is guessed from the names in its code and in the code of what it calls.
"""

import types

import numpy as np

from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensors.tensor import Tensor

SIMPLE = (int, float, bool, complex, str, bytes, type(None), np.generic)
_OURS = ("minidl", "numpy", "builtins", "torch")
_WATCHED = (Module, Tensor, Optimizer)  # other guards look at them
_SHORT = 16  # items of a list or dict that are compared one by one


def surroundings(function, arguments):
    """[(getter, key, name, value, copy of its items)] of all that may be read: now = getter(key), or getter.cell_contents."""
    functions, owners, names = _reached(function, arguments)
    found = []
    for f in functions:
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            value = _contents(cell)
            if not isinstance(value, (types.ModuleType, types.CellType)):
                found.append((cell, None, name, value, _items(value)))
        for name in sorted(_names(f) & f.__globals__.keys()):
            value = f.__globals__[name]
            if not isinstance(value, types.ModuleType):
                found.append((f.__globals__.get, name, name, value, _items(value)))
    for owner in owners:
        for name, place in _attributes(owner, names):
            text = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
            found.append((place.get, name, text, place[name], _items(place[name])))
    return found


def _reached(function, arguments):
    """The user's functions that may be called, the user's objects that they may look into, and all names in their code."""
    functions, owners, names, seen, waiting = [], [], set(), set(), [function, *arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, types.MethodType):
            waiting.append(value.__self__)
            value = value.__func__
        if hasattr(value, "func") and hasattr(value, "keywords"):  # functools.partial
            waiting += [value.func, *value.args, *value.keywords.values()]
        if id(value) in seen or isinstance(value, (*SIMPLE, Tensor, Optimizer, types.ModuleType)):
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            if (value.__module__ or "").partition(".")[0] in _OURS:
                continue
            functions.append(value)
            waiting += map(_contents, value.__closure__ or ())
            waiting += [value.__globals__[name] for name in _names(value) & value.__globals__.keys()]
            if not _names(value) <= names:
                names |= _names(value)
                seen -= {id(owner) for owner in owners}  # they may have attributes of the new names
                waiting += owners
                owners = []
        elif isinstance(value, Module):
            waiting += [type(part).forward for part in value.modules()]
            owners.append(value)
            waiting += _methods(value, names)
        elif isinstance(value, (list, tuple, dict)):
            if len(value) <= _SHORT:
                waiting += value.values() if type(value) is dict else value
        elif _users(value):
            owners.append(value)
            waiting += [place[name] for name, place in _attributes(value, names)] + list(_methods(value, names))
    return functions, owners, names


def _users(value):
    kind = value if isinstance(value, type) else type(value)
    return (kind.__module__ or "").partition(".")[0] not in _OURS and not isinstance(value, types.CodeType)


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not yet set
        return cell


def _attributes(owner, names):
    """(name, the dict that has it) of those attributes of an object, or of its class, that may be read."""
    if isinstance(owner, _WATCHED):
        return
    own = getattr(owner, "__dict__", {})
    kind = vars(owner if isinstance(owner, type) else type(owner))
    for name in sorted(names):
        place = own if name in own else kind
        if name in place and not isinstance(place[name], (types.FunctionType, property, classmethod, staticmethod)):
            yield name, place


def _methods(owner, names):
    kind = owner if isinstance(owner, type) else type(owner)
    for name in sorted(names):
        method = getattr(kind, name, None)
        if isinstance(method, types.FunctionType):
            yield method


def _names(function):
    return set(_names_in(function.__code__))


def _names_in(code):
    """All names that code reads, also within the functions it defines."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def _items(value):
    """A copy of what a list, dict or set holds, to see that it is changed; of a long one its length."""
    if type(value) not in (list, dict, set):
        return None
    return len(value) if len(value) > _SHORT else value.copy()
