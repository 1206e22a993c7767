"""Running a backward that was written for arrays on tensors.

Python looks up `np`, `kernels` and helpers in a function's globals. Here the function is copied with other globals, in which
`np.exp` and `kernels.matmul` are operations on tensors (`meanings`). And the operation is copied with tensors in the place of
the arrays that it saved. The tensor of an input has the input's node in the graph, that of the output the operation itself. An
array that is neither must not count as a constant, because its gradient would be missing: its node raises when it is
differentiated.
"""

import functools
import inspect
import sys
from types import CellType, FunctionType

import numpy as np

from .. import kernels, ops
from ..graph.nodes import Part
from ..tensors.record import TensorBase, wrap
from .linear import Unknown, Unreadable
from .meanings import KERNELS, NUMPY

ENGINES_OWN = {"needs", "serial", "shape", "hooks", "retains", "grad", "origin", "outputs"}
SIMPLE = {bool, int, str, type(None), slice}
PLAIN = (bool, int, str, type(None), slice, type(...), type, np.dtype, np.bool_, np.integer)


def with_tensors(op, needs):
    """A copy of the operation with a tensor for each saved input and output, and with methods that compute with tensors.

    The name of a saved array says what it is: a parameter of `forward` is that input, and `y` is the output. Any other
    floating-point array raises when it is differentiated, unless the class lists it in `constants`.
    """
    twin = object.__new__(_OF_TENSORS.class_of(type(op)))
    names, several, options = parameters(type(op))
    nodes = dict(zip(names, op.needs, strict=False))
    state = twin.__dict__ = {**vars(op), "needs": needs, "inputs": op.needs}
    for name, value in vars(op).items():
        if type(value) in SIMPLE or name in ENGINES_OWN:
            continue
        if name in nodes:
            state[name] = _input(op, name, value, nodes[name])
        elif name == several:
            state[name] = [_input(op, name, x, node) for x, node in zip(value, op.needs, strict=True)]
        elif name == "y":
            state[name] = _output(op, np.asarray(value))
        elif name not in op.constants:
            state[name] = unknown(op, name, value, name in options)
    return twin


def _input(op, name, value, node):
    if not isinstance(value, (np.ndarray, np.floating)):
        return value
    if node is None:
        return np.asarray(value)
    if np.shape(value) != node.shape:
        raise NotImplementedError(
            f"self.{name} is called as an input of forward but has shape {np.shape(value)}, the input {node.shape}; "
            "give what is made of an input another name"
        )
    return wrap(np.asarray(value), node)


def _output(op, y):
    if hasattr(op, "outputs"):
        return wrap(y, Part(op, 0, y.shape))
    # if y was saved in another shape than the result has, it becomes a reshape of the result
    return wrap(y, op) if y.shape == op.shape else wrap(y.reshape(op.shape), op).reshape(y.shape)


def unknown(op, name, value, option=False):
    """The value with a tensor in the place of each array and number; the tensor raises when it is differentiated.

    If the value is an option of the constructor, numbers and functions stay: they do not depend on the inputs.
    """
    if isinstance(value, (np.ndarray, np.floating)):
        array = np.asarray(value)
        known = Unreadable(name) if array.dtype.kind == "O" else value
        return wrap(array, Unknown(op, name, array.shape)) if array.dtype.kind == "f" else known
    if isinstance(value, TensorBase):
        return wrap(value.array, Unknown(op, name, value.shape)) if value.is_floating_point() else value
    if isinstance(value, (tuple, list)):
        parts = [unknown(op, name, part, option) for part in value]
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else type(value)(parts)
    if isinstance(value, dict):
        return {key: unknown(op, name, part, option) for key, part in value.items()}
    if option or isinstance(value, PLAIN):
        return value
    if isinstance(value, float):
        return wrap(np.asarray(value), Unknown(op, name, ()))
    return Unreadable(name)


@functools.cache
def parameters(cls):
    """The names of the inputs of forward; that of *inputs, or None; and those of the options."""
    inputs = list(inspect.signature(cls.forward).parameters.values())[1:]
    several = [p.name for p in inputs if p.kind is p.VAR_POSITIONAL]
    names, options = [p.name for p in inputs if p.name not in several], set(inspect.signature(cls).parameters)
    return names, several[0] if several else None, options - set(names)


# --- the same code with other globals


def _stands_in(value):
    """Whether it is there only while a step is recorded."""
    return type(value) is FunctionType and (value.__module__ or "").startswith("minidl.capture.")


def _itself(value):
    """What it stands in for, if that is known."""
    return getattr(value, "stands_for", value) if _stands_in(value) else value


class Reading:
    """Classes of operations whose methods find other modules under the names `np` and `kernels`."""

    def __init__(self, numpy, kernels):
        self.numpy, self.kernels, self._globals, self._classes = numpy, kernels, {}, {}

    def class_of(self, cls):
        """A subclass with the same methods, which find the other modules."""
        if not cls.__module__.startswith(ops.__name__):  # of a user: it may still be changed
            return self._read(cls)
        if cls not in self._classes:
            self._classes[cls] = self._read(cls)
        return self._classes[cls]

    def function(self, function, instead):
        """The function, which finds the other modules; `instead` has names that mean something else there, too."""
        return self._rebound(function, self._globals_of(function.__module__, instead))

    def _read(self, cls):
        members = {}
        for base in cls.__mro__[-3::-1]:  # from the oldest below Op and object
            names = self._globals_of(base.__module__)
            members |= {name: self._rebound(value, names) for name, value in vars(base).items() if type(value) is FunctionType}
        return type(cls.__name__, (cls,), members)

    def _globals_of(self, module, instead=()):
        """The names of a module of operations, as they are found there."""
        if module in self._globals:
            return self._globals[module]
        names = {name: _itself(value) for name, value in vars(sys.modules[module]).items()}
        names = {name: value for name, value in names.items() if not _stands_in(value)}
        for name, value in names.items():
            if value is np or value is kernels:
                names[name] = self._instead(value)
            elif type(value) is FunctionType and value.__module__ == module:
                names[name] = self._rebound(value, names)
            elif type(value) is FunctionType and value.__module__.startswith(ops.__name__):  # a helper from another file of ops
                names[name] = self._rebound(value, self._globals_of(value.__module__))
            elif isinstance(value, type) and issubclass(value, ops.Op) and value.__module__ != module:
                names[name] = self.class_of(value)
        names.update(instead)
        if module.startswith(ops.__name__):
            self._globals[module] = names
        return names

    def _instead(self, module):
        return self.numpy if module is np else self.kernels

    def _rebound(self, function, names, within=()):
        """The same function with other globals. Functions of the same module in its closure get these globals, too."""
        within = (*within, function)
        cells = function.__closure__ and tuple(self._cell(cell, names, within) for cell in function.__closure__)
        return FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)

    def _cell(self, cell, names, within):
        try:
            value = cell.cell_contents
        except ValueError:  # not filled yet
            return cell
        if value is np or value is kernels:
            return CellType(self._instead(value))
        if type(value) is FunctionType and value.__module__ == within[0].__module__ and value not in within:
            return CellType(self._rebound(value, names, within))
        return cell


_OF_TENSORS = Reading(NUMPY, KERNELS)
