"""What happens in a step, as the recorder notes it: one object for each thing that has to be done again."""

from types import SimpleNamespace

import numpy as np
from numba import types

from ..double_backward.linear import Place
from ..kernels.memory import owner_of
from ..kernels.shares import SharedCode
from ..ops import Op
from ..tensors.tensor import Tensor

_OF_THE_GRAPH = {"needs", "serial", "hooks", "retains", "grad", "origin"}
PLAIN = frozenset({int, float, bool, str, type(None)})  # types without arrays inside
BOOKKEEPING = {"needs", "serial", "shape", "outputs", "origin"}  # attributes that the engine gives an operation
_WITHOUT_ARRAYS = _OF_THE_GRAPH | {"shape"}
_EMPTY = PLAIN | {SimpleNamespace}  # what stands for a node


class Call:
    """One call of a kernel: the table it is in, its element type, its machine code and its arguments."""

    __slots__ = "_found", "answers", "args", "code", "dtype", "kernel", "kinds", "plain"

    def __init__(self, kernel, dtype, code, args):
        self.kernel, self.dtype, self.code, self.args = kernel, dtype, code, args
        self.kinds = kernel.kinds(dtype)
        self.plain = _plain(self.kinds)
        self.answers = False  # whether it gives something back to Python
        self._found = None

    @property
    def name(self):
        return self.kernel.kernel.__name__

    @property
    def launches(self):
        """Whether it is done by all threads."""
        return isinstance(self.kernel, SharedCode) and self.args[-1] < 0

    def arrays(self):
        """[(array, whether it is written, the array that owns its memory)]"""
        if self._found is None:
            if self.plain is None:
                self._found = list(_arrays_of(self.kinds, self.args))
            else:
                args = self.args
                self._found = [
                    (x := args[i], written, x if x.base is None else owner_of(x)) for i, written in self.plain.arrays
                ]
        return self._found

    def integers(self):
        """The owners of the arrays of integers."""
        if self.plain is None:
            return [owner for x, _, owner in self.arrays() if x.dtype.kind in "iu"]
        return [self.arrays()[i][2] for i in self.plain.integers]

    def numbers(self):
        if self.plain is None:
            return [x for x in flat(self.args) if not isinstance(x, np.ndarray)]
        args = self.args
        return [args[i] for i in self.plain.numbers]

    def make(self):
        return self.code(*self.args)

    def with_arrays(self, change):
        if self.plain is None:
            args = changed(self.args, change)
        else:
            args = list(self.args)
            for i, _ in self.plain.arrays:
                args[i] = change(args[i])
        new = object.__new__(Call)
        new.kernel, new.dtype, new.code, new.args = self.kernel, self.dtype, self.code, tuple(args)
        new.kinds, new.plain, new.answers, new._found = self.kinds, self.plain, self.answers, None
        return new


_plains = {}  # id of the types of a kernel's arguments, which live as long as this -> (they, what `_plain` gives)


class _Plain:
    """What is where among a kernel's arguments.

    arrays: [(position of an array, whether it is written)]. numbers: [position of a number]. integers: [which of the arrays is
    one of integers].
    """

    def __init__(self, kinds):
        arrays = [isinstance(kind, types.Array) for kind in kinds]
        self.arrays = [(i, kind.mutable) for i, kind in enumerate(kinds) if arrays[i]]
        self.numbers = [i for i, array in enumerate(arrays) if not array]
        self.integers = [n for n, (i, _) in enumerate(self.arrays) if isinstance(kinds[i].dtype, types.Integer)]


def _plain(kinds):
    """A _Plain of the types of a kernel's arguments; None for a kernel that is given tuples."""
    found = _plains.get(id(kinds))
    if found is None:
        nested = any(isinstance(kind, types.BaseTuple) for kind in kinds)
        found = _plains[id(kinds)] = kinds, None if nested else _Plain(kinds)
    return found[1]


def _arrays_of(kinds, args):
    for kind, arg in zip(kinds, args, strict=True):
        if isinstance(arg, np.ndarray):
            yield arg, kind.mutable, owner_of(arg)
        elif isinstance(arg, tuple):
            yield from _arrays_of(kind.types, arg)


def flat(args):
    """The parts of nested tuples, lists and dicts."""
    if isinstance(args, dict):
        args = args.values()
    for arg in args:
        if isinstance(arg, (tuple, list, dict)):
            yield from flat(arg)
        else:
            yield arg


def is_inner(x):
    """Whether it is an operation that another one keeps: the adjoint of a linear one, in gradients of gradients."""
    return isinstance(x, Op) and type(x.needs) is list and len(x.needs) == 1 and type(x.needs[0]) is Place


def inside(operation):
    """The attributes of such an operation, but for those of the graph."""
    return own(vars(operation))


def own(attributes):
    """The attributes of an operation, but for those of the graph."""
    return {key: x for key, x in attributes.items() if key not in _OF_THE_GRAPH}


def arrays_of(attributes):
    """All arrays in the attributes of an operation, but for those of the graph."""
    found = []
    for key, x in attributes.items():
        if type(x) is np.ndarray:  # none of the graph's
            found.append(x)
        elif key not in _WITHOUT_ARRAYS:
            _collect((x,), found)
    return found


def arrays_in(*values):
    """All arrays in nested tuples, lists and dicts, of tensors too."""
    found = []
    _collect(values, found)
    return found


def _collect(values, found):
    for x in values:
        kind = type(x)
        if kind is np.ndarray:
            found.append(x)
        elif kind in _EMPTY:
            pass
        elif kind is tuple or kind is list:
            _collect(x, found)
        elif isinstance(x, np.ndarray):
            found.append(x)
        elif isinstance(x, Tensor):
            found.append(x.array)
        elif isinstance(x, (tuple, list, dict)):
            _collect(x.values() if isinstance(x, dict) else x, found)
        elif is_inner(x):
            _collect(inside(x).values(), found)


def owners_in(*values):
    """{id: array} of the arrays that own the memory of all those in nested tuples, lists and dicts."""
    return {id(owner := x if x.base is None else owner_of(x)): owner for x in arrays_in(*values)}


def changed(value, change):
    """The value with change(array) in the place of each array, also within tuples, lists and dicts."""
    if isinstance(value, np.ndarray):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)([changed(x, change) for x in value])
    if type(value) is dict:
        return {key: changed(x, change) for key, x in value.items()}
    return value


class Event:
    """calls: of kernels, while it happened. nested: whether operations of tensors ran within it.

    takes: all that it was given. gives: the arrays that it has made. They are looked for once, when it is over.
    """

    nested = False
    same = True  # whether its kernels alone, called again over rubbish, gave the same bits
    followed = None  # calls of kernels that do what NumPy does in it, too
    keeps = False  # whether its operation has kept a number of NumPy's, now an array, for backward
    _given = _written = None

    def __init__(self, calls=None, **fields):
        self.calls = [] if calls is None else calls
        for name, value in fields.items():
            setattr(self, name, value)

    def takes(self):
        return ()

    def gives(self):
        return ()

    def given(self):
        """{id: owner} of all arrays that it was given; an operation that goes back also has those that it has saved."""
        if self._given is None:
            self._given = owners_in(*self.takes())
        return self._given

    def written(self):
        """{id: owner} of the arrays that its kernels have written to."""
        if self._written is None:
            self._written = {
                id(owner): owner for call in self.calls for x, written, owner in call.arrays() if written and x.size
            }
        return self._written

    def used(self):
        """{id: owner} of the arrays that it or its kernels were given or have made."""
        found = owners_in(*self.takes(), *self.gives())
        for call in self.calls:
            for _, _, owner in call.arrays():
                found[id(owner)] = owner
        return found


class Forward(Event):
    """An operation has run forward on `inputs` and has given `outputs`; its attributes before and after."""

    op = before = after = inputs = outputs = None
    name = property(lambda self: type(self.op).__name__)

    def takes(self):
        return own(self.before), self.inputs

    def gives(self):
        return [*self.outputs, *arrays_of(self.after)]

    def given(self):
        if self._given is None:
            self._given = owners_in(*arrays_of(self.before), *self.inputs)
        return self._given


class Backward(Event):
    """The operation of an earlier event has been given dy, and has given `gradients`, arrays or None."""

    forward = saved = dy = gradients = None
    name = property(lambda self: f"{type(self.forward.op).__name__}.backward")

    def takes(self):
        return (self.dy,)

    def gives(self):
        return [dx for dx in self.gradients if dx is not None]

    def given(self):
        if self._given is None:
            self._given = owners_in(self.dy, *arrays_of(self.saved))
        return self._given

    def kept(self):
        """{id: owner} of the arrays that the operation has saved."""
        return owners_in(*arrays_of(self.saved))


class Sum(Event):
    """result = total + dx, or total += dx where they are one array."""

    total = dx = result = None
    name = "the sum of two gradients"

    def takes(self):
        return self.total, self.dx

    def gives(self):
        return [self.result]


class Copy(Event):
    source = copy = None
    name = "a copy"

    def takes(self):
        return (self.source,)

    def gives(self):
        return [self.copy]


class Grad(Event):
    """.grad of a node is `array` from now on, or None."""

    calls = ()
    name = "a gradient"

    def __init__(self, node, array):
        self.node, self.array = node, array


class Step(Event):
    """An optimizer has stepped."""

    optimizer = options = None
    name = property(lambda self: f"{type(self.optimizer).__name__}.step")


class Loose(Event):
    """A kernel was called outside of any operation."""

    name = property(lambda self: self.calls[0].name)


class Effect(Event):
    """A function that changes gradients, function(*args, **options): it has to be called again with the same tensors."""

    function = args = options = result = None
    name = property(lambda self: getattr(self.function, "__name__", "a function"))

    def takes(self):
        return self.args, self.options

    def gives(self):
        return arrays_in(self.result)


class Function(Event):
    """A function of tensors without a graph: result = function(*args, **options). fixed: it is the same in each call.

    decides: the result has no arrays, and Python has gone on by it.
    """

    fixed = decides = False
    function = args = options = result = None
    name = property(lambda self: getattr(self.function, "__name__", "a function"))

    def takes(self):
        return self.args, self.options

    def gives(self):
        return arrays_in(self.result)


def keeps_numbers(event):
    """Whether forward has left floats in an attribute that it was not given: they may be values of this call."""
    before, after = event.before, event.after.items()
    new = [x for key, x in after if type(x) is not np.ndarray and key not in BOOKKEEPING and x is not before.get(key)]
    found = [x for x in flat(new) if isinstance(x, (float, np.floating))] if new else ()
    return any(not any(x is y for y in event.inputs) for x in found)
