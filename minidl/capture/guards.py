"""Guards: what has to be as it was when a step was remembered. Each is checked at every call, in about a microsecond in all."""

import operator
import types

import numpy as np

from ..graph.modes import mode
from ..kernels import threads
from ..nn.module import Module, changes
from ..optim.optimizer import Optimizer
from ..tensors import dtypes
from ..tensors.tensor import Tensor

_SIMPLE = (int, float, bool, str, bytes, type(None))


class Guards:
    """What the step has looked at: tensors, modules, the values that its function closes over."""

    def __init__(self, function, tensors, modules, steps):
        self.mode, self.number, self.dtype = mode.recording, threads.get_num_threads(), dtypes.default
        tensors = {id(x): x for x in tensors}
        for module in modules:
            for part in module.modules():
                tensors.update((id(x), x) for x in [*part.parameters(recurse=False), *part.buffers(recurse=False)])
        self.tensors = [(x, x.array, vars(x).get("node")) for x in tensors.values()]
        self.modules = [(part, _attributes(part)) for module in modules for part in module.modules()]
        self.changes = changes.number
        self.optimizers = [(o, o.state, o.param_groups, _parts(o)) for o in steps]
        self.free = Free(function)

    def hold(self):
        """None if all is as it was, else what has changed."""
        for x, array, node in self.tensors:
            if x.array is not array or x.node is not node:
                return f"a tensor of shape {array.shape} has other memory, or another requires_grad"
        if self.changes != changes.number:
            for part, attributes in self.modules:
                if not _alike(_attributes(part), attributes):
                    return f"an attribute of {type(part).__name__} has changed"
            self.changes = changes.number
        if mode.recording is not self.mode:
            return "gradients are recorded, or not, as they were not before"
        if threads.get_num_threads() != self.number or dtypes.default != self.dtype:
            return "the number of threads or the default dtype has changed"
        for optimizer, state, groups, parts in self.optimizers:
            if optimizer.state is not state or optimizer.param_groups is not groups or _parts(optimizer) != parts:
                return f"{type(optimizer).__name__} has another state or other parameters"
        return self.free.changed()


def _parts(optimizer):
    return [id(p) for group in optimizer.param_groups for p in group["params"]]


def _attributes(module):
    return {key: value for key, value in vars(module).items() if not key.startswith("__")}


def _alike(a, b):
    """Whether attributes are the same: by identity, simple ones by value. Results that a forward keeps do not count."""
    if a.keys() != b.keys():
        return False
    return all(_unchanged(a[key], b[key]) for key in a)


def _unchanged(x, y):
    if x is y:
        return True
    if type(x) is type(y) and isinstance(x, _SIMPLE):
        return x == y or x != x
    if type(x) is type(y) and isinstance(x, (tuple, list)):
        return len(x) == len(y) and all(map(_unchanged, x, y))
    return isinstance(x, Tensor) and isinstance(y, Tensor) and not x.is_leaf


class Free:
    """The values that a function and the functions it calls take from around it: closed-over ones and globals."""

    def __init__(self, function):
        self.cells, self.globals, self.owners, seen = [], [], [], set()
        self._add(function, seen)

    def _add(self, function, seen):
        if id(function) in seen:
            return
        seen.add(id(function))
        if isinstance(function, types.MethodType):
            owner = function.__self__
            if not isinstance(owner, (Module, type, types.ModuleType)):
                names = set(_names(function.__func__.__code__)) if hasattr(function.__func__, "__code__") else ()
                for name in names:
                    if name in getattr(owner, "__dict__", {}):
                        self._note(self.owners, owner.__dict__, name, owner.__dict__[name], seen)
            function = function.__func__
        if hasattr(function, "func") and hasattr(function, "keywords"):  # functools.partial
            self._add(function.func, seen)
            return
        if not isinstance(function, types.FunctionType) or function.__module__.partition(".")[0] in ("minidl", "numpy"):
            return
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:  # not yet set
                continue
            if self._matters(value):
                self.cells.append((cell, value))
            self._follow(value, seen)
        for name in _names(function.__code__):
            if name in function.__globals__:
                self._note(self.globals, function.__globals__, name, function.__globals__[name], seen)

    def _note(self, where, names, name, value, seen):
        if self._matters(value):
            where.append((names, name, value))
        self._follow(value, seen)

    def _follow(self, value, seen):
        if isinstance(value, (types.FunctionType, types.MethodType)) or hasattr(value, "func"):
            self._add(value, seen)
        elif isinstance(value, Module) and type(value).__module__.partition(".")[0] != "minidl":
            self._add(type(value).forward, seen)

    @staticmethod
    def _matters(value):
        return isinstance(value, (*_SIMPLE, Tensor, Module, Optimizer, np.ndarray, tuple, list, types.FunctionType, np.generic))

    def changed(self):
        for cell, value in self.cells:
            now = cell.cell_contents
            if now is not value and not _unchanged(now, value):
                return f"a value that the step closes over has changed: {_short(value)} is now {_short(now)}"
        for names, name, value in self.globals:
            now = names.get(name)
            if now is not value and not _unchanged(now, value):
                return f"{name}, which the step reads, has changed: {_short(value)} is now {_short(now)}"
        for names, name, value in self.owners:
            now = names.get(name)
            if now is not value and not _unchanged(now, value):
                return f"the attribute {name}, which the step reads, has changed: {_short(value)} is now {_short(now)}"
        return None


def _names(code):
    """All names that a function's code reads, also within the functions it defines."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _short(value):
    text = repr(value) if isinstance(value, _SIMPLE) else f"a {type(value).__name__}"
    return text if len(text) < 60 else f"{text[:57]}..."


same = operator.is_
