"""Guards: what has to be as it was when a step was remembered. They are checked at every call, in about a microsecond."""

import types

import numpy as np

from ..graph.modes import mode
from ..kernels import threads
from ..nn.module import Module, changes
from ..optim.optimizer import Optimizer
from ..tensors import dtypes
from ..tensors.tensor import Tensor

_SIMPLE = (int, float, bool, complex, str, bytes, type(None), np.generic)
_OURS = ("minidl", "numpy", "builtins")
_SHORT = 16  # items of a list or dict that are compared one by one


class Guards:
    """What a step has looked at: tensors, modules, optimizers, and the values that its function takes from around it."""

    def __init__(self, function, tensors, modules, optimizers):
        self.mode, self.dtype = mode.recording, dtypes.default
        self.number, self.forked = threads._number, threads._forked
        tensors, parts = {id(x): x for x in tensors}, [part for module in modules for part in module.modules()]
        for part in parts:
            tensors.update((id(x), x) for x in [*part.parameters(recurse=False), *part.buffers(recurse=False)])
        self.tensors = [(x, x.array, x.node) for x in tensors.values()]
        self.modules, self.changes = [(part, dict(vars(part))) for part in parts], changes.number
        self.optimizers = [(o, o.state, o.param_groups, len(o.param_groups)) for o in optimizers]
        self.groups = [(group, group["params"], len(group["params"])) for o in optimizers for group in o.param_groups]
        self.around = list(_around(function))

    def broken(self):
        """None if all is as it was, else what has changed."""
        for x, array, node in self.tensors:  # a loop is faster than `all` over `map`
            if x.array is not array or x.node is not node:
                return f"a tensor of shape {array.shape}, which the step reads, has other memory or another requires_grad"
        if self.changes != changes.number:
            for part, attributes in self.modules:
                now = vars(part)
                if now.keys() != attributes.keys() or not all(_same(now[key], attributes[key]) for key in now):
                    return f"an attribute of {type(part).__name__} has changed"
            self.changes = changes.number
        if mode.recording is not self.mode:
            return "gradients are recorded now and were not, or the reverse"
        if threads._number != self.number or threads._forked is not self.forked or dtypes.default is not self.dtype:
            return "the number of threads or the default dtype has changed"
        for optimizer, state, groups, number in self.optimizers:
            if optimizer.state is not state or optimizer.param_groups is not groups or len(groups) != number:
                return f"{type(optimizer).__name__} has another state or other groups"
        for group, params, number in self.groups:
            if group["params"] is not params or len(params) != number:
                return "an optimizer has other parameters"
        for get, key, name, value, copy in self.around:
            now = get(key) if key is not None else get.cell_contents
            if now is not value and not _same(now, value):
                return f"{name}, which the step reads, has changed: {_short(value)} is now {_short(now)}"
            if copy is not None and not _alike(now, copy):
                return f"{name}, which the step reads, has changed: it is a {type(now).__name__} of other items"
        return None


def _same(now, before):
    """The same object, or an equal number. A result that a module keeps for others to see may be another one in each call."""
    if now is before:
        return True
    if type(now) is not type(before):
        return False
    if isinstance(now, _SIMPLE):
        return now == before or (now != now and before != before)
    if type(now) is tuple:
        return len(now) == len(before) and all(map(_same, now, before))
    return isinstance(now, Tensor) and not now.is_leaf


def _around(function):
    """(getter, key, name, value, copy of its items) of each value that a function, or one it calls, takes from around it."""
    seen, waiting = set(), [function]
    while waiting:
        function = waiting.pop()
        if isinstance(function, Module):
            function = type(function).forward if type(function).__module__.partition(".")[0] not in _OURS else None
        if isinstance(function, types.MethodType):
            owner, function = function.__self__, function.__func__
            if isinstance(function, types.FunctionType):
                found = list(_attributes(owner, function))
                waiting += [*(value for _, _, _, value, _ in found), *_methods(owner, function)]
                yield from found
        if hasattr(function, "func") and hasattr(function, "keywords"):  # functools.partial
            waiting.append(function.func)
        if not isinstance(function, types.FunctionType) or id(function) in seen:
            continue
        seen.add(id(function))
        if (function.__module__ or "").partition(".")[0] in _OURS:
            continue
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not yet set
                continue
            if not isinstance(value, types.ModuleType):
                yield cell, None, name, value, _items(value)
                yield from _attributes(value, function)
                waiting += [value, *_methods(value, function)]
        for name in set(_names(function.__code__)) & function.__globals__.keys():
            value = function.__globals__[name]
            if not isinstance(value, types.ModuleType):
                yield function.__globals__.get, name, name, value, _items(value)
                yield from _attributes(value, function)
                waiting += [value, *_methods(value, function)]


def _attributes(owner, function):
    """Those attributes of an object that the function may read, going by their names."""
    if isinstance(owner, (Module, Tensor, Optimizer, type, types.ModuleType, types.FunctionType, *_SIMPLE)):
        return
    own = getattr(owner, "__dict__", None)
    if type(own) is dict and type(owner).__module__.partition(".")[0] not in _OURS:
        for name in set(_names(function.__code__)) & own.keys():
            yield own.get, name, f"{type(owner).__name__}.{name}", own[name], _items(own[name])


def _methods(owner, function):
    """The methods of an object of the user's that the function may call."""
    kind = type(owner)
    if isinstance(owner, (Module, Tensor, Optimizer, type, types.ModuleType)) or kind.__module__.partition(".")[0] in _OURS:
        return
    for name in set(_names(function.__code__)):
        method = getattr(kind, name, None)
        if isinstance(method, types.FunctionType):
            yield types.MethodType(method, owner)


def _names(code):
    """All names that a function's code reads, also within the functions it defines."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _items(value):
    """A copy of what a list or a dict holds, to see that it is changed; of a long one its length."""
    if type(value) not in (list, dict, set):
        return None
    return len(value) if len(value) > _SHORT else value.copy()


def _alike(now, copy):
    if type(copy) is int:
        return len(now) == copy
    if len(now) != len(copy):
        return False
    if type(now) is dict:
        return now.keys() == copy.keys() and all(_same(now[key], copy[key]) for key in now)
    return all(map(_same, now, copy)) if type(now) is list else now == copy


def _short(value):
    text = repr(value) if isinstance(value, _SIMPLE) else f"a {type(value).__name__}"
    return text if len(text) < 60 else f"{text[:57]}..."
