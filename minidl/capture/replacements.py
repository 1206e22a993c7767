"""What stands in the place of functions and methods while a step is recorded, and tells the recorder of each call."""

import functools
import sys
import threading
import types

from .. import double_backward
from ..graph.nodes import Leaf
from ..graph.watch import constants
from ..nn.module import Module
from ..ops import Index, SetItem
from ..optim import LBFGS
from ..tensors.tensor import Tensor
from .events import Effect, Function, arrays_in, flat
from .functions import CONSTANT, STREAMS, functions, is_hooked, schedulers

FORGOTTEN = object()
_TAKING = "minidl.utils.", "minidl.d2l.", "minidl.viz.", "minidl.io", "minidl.model_selection."


@functools.cache
def _takes(name):
    """Whether the code of this module gives what it reads in a tensor to Python."""
    return name.startswith(_TAKING) or name.partition(".")[0] != "minidl"


def array_of(x):
    """A tensor's array, without telling the recorder."""
    return x.__dict__["array"]


def _parts_of(module):
    """{id: (module, its attributes)} of a module and all in it, parents first."""
    found, waiting = {}, [module]
    while waiting:
        part = waiting.pop()
        if id(part) not in found:
            own = dict(vars(part))
            found[id(part)] = part, own
            waiting += [x for name in reversed(own["_members"]) if isinstance(x := own.get(name), Module)]
    return found


class Replacements:
    """The part of a recorder that replaces: each method makes, of a name and what is there, what stands there meanwhile.

    `_replaced`: (where, name, what was there) of what is replaced now.
    """

    def replace(self):
        found, effects, readers, empties = functions()
        for place, name, always in found:
            self._patch(place, name, functools.partial(self._function, always))
        for place, name in effects:
            self._patch(place, name, self._effect)
        for place, name in schedulers():
            self._patch(place, name, self._scheduler)
        for place, name in empties:
            self._patch(place, name, self._empty)
        self._patch(LBFGS, "step", self._searching)
        for place, name in readers:
            self._patch(place, name, self._reader)
        for place, name in STREAMS:
            self._patch(place, name, self._stream)
        self._patch(Module, "__call__", self._module)
        self._patch(Leaf, "__init__", self._leaf)
        self._patch(Tensor, "grad", self._gradient)
        self._patch(Tensor, "data", self._data)
        self._patch(Tensor, "detach", self._detached)
        self._patch(Tensor, "array", self._array)
        self._patch(double_backward, "walk", self._second)

    def put_back(self):
        while self._replaced:
            place, name, old = self._replaced[-1]
            if old is not None:
                setattr(place, name, old)
            elif name in vars(place):
                delattr(place, name)
            self._replaced.pop()

    def _patch(self, place, name, make):
        old = vars(place).get(name)
        function = getattr(place, name, None)
        self._replaced.append((place, name, old))
        setattr(place, name, make(name, function))

    def _mine(self):
        return threading.get_ident() == self._thread

    # --- tensors and their nodes

    def _gradient(self, name, old):
        """The property `grad` of tensors, which tells what the step finds there, and what it puts there."""

        def get(x):
            node = x.node or x._frozen
            if node is not None and id(node) not in self.grads and self._mine():
                self._begins(node, None if node.grad is None else array_of(node.grad))
            return old.fget(x)

        def put(x, grad):
            old.fset(x, grad)
            node = x.node or x._frozen
            if node is not None and self._mine():
                self._begins(node, FORGOTTEN)
                if not self._stack:
                    self._keeps(node, None if grad is None else array_of(grad))

        return property(get, put, old.fdel)

    def _leaf(self, name, old):
        def begin(node, *args):
            old(node, *args)
            if self._mine():
                self.born[id(node)] = node

        return begin

    def _read(self, x):
        """Notes that the step reads this tensor's array."""
        if isinstance(x, Tensor) and id(x) not in self.tensors:
            self.tensors[id(x)] = x, array_of(x), vars(x).get("node")

    def _data(self, name, old):
        """The property `data`: another tensor that has the same array; and setting it gives a tensor another array."""

        def get(x):
            if self._mine():
                self._read(x)
            return old.fget(x)

        def put(x, value):
            if self._mine() and isinstance(value, Tensor) and value.array is not x.array:
                self.refuse("it sets the data of a tensor: write `x.data.copy_(…)`, which changes the values only")
            old.fset(x, value)

        return property(get, put)

    def _array(self, name, old):
        """The attribute `array`, which tells if it is read outside of minidl, or there by what gives numbers to Python.

        What NumPy makes of it is not seen. It may be an option of an operation of the user's.
        """

        stack, frame = self._stack, sys._getframe

        def get(x):
            try:
                array = x.__dict__["array"]
            except KeyError:
                raise AttributeError("array") from None
            if not stack and _takes(frame(1).f_globals.get("__name__", "")) and self._mine():
                self._taken[id(array)] = array
            return array

        def put(x, array):
            x.__dict__["array"] = array

        return property(get, put)

    def _detached(self, name, old):
        def detach(x):
            if self._mine():
                self._read(x)
            return old(x)

        return detach

    # --- modules, optimizers, random streams, values

    def _module(self, name, old):
        def call(module, *inputs, **options):
            if self._mine() and not self._stack:
                if id(module) not in self.modules:
                    self.modules.update(_parts_of(module))
                if module._hooks is not None and is_hooked(module):
                    self.refuse(f"{type(module).__name__} has a hook, which is Python: remove it, or leave the step ordinary")
            return old(module, *inputs, **options)

        return call

    def _scheduler(self, name, old):
        def step(scheduler, *args, **options):
            if self._mine():
                self.refuse(f"{type(scheduler).__name__} steps within the step: let it step outside, after it")
            return old(scheduler, *args, **options)

        return step

    def _empty(self, name, old):
        def make(*args, **options):
            new = old(*args, **options)
            if self._mine():
                self.empty[id(new.array)] = new.array
            return new

        return make

    def _searching(self, name, old):
        def step(optimizer, *args, **options):
            if self._mine():
                self.refuse("LBFGS goes on by the values of the closure's losses: leave its step ordinary")
            return old(optimizer, *args, **options)

        return step

    def _stream(self, name, old):
        def call(generator, *args, **options):
            if self._mine() and not self._stack:
                self.refuse(f"Generator.{name} looks at a random stream, or sets it: do that outside of the step")
            return old(generator, *args, **options)

        return call

    def _second(self, name, old):
        """The walk back by operations on tensors, with create_graph=True."""

        def walk(*args, **options):
            if not self._mine():
                return old(*args, **options)
            self._recorded_walks, self.second = self._recorded_walks + 1, True
            try:
                return old(*args, **options)
            finally:
                self._recorded_walks -= 1

        return walk

    def _reader(self, name, old):
        def read(tensor, *args, **options):
            if self._mine() and not (self._stack and type(getattr(self._stack[-1], "op", None)) not in (Index, SetItem)):
                self.refuse(self._why_not(name))
            return old(tensor, *args, **options)

        return read

    def _why_not(self, name):
        """What is wrong with Tensor.name, which reads a value."""
        if name == "__bool__":
            return (
                "Tensor.__bool__ reads a value, and an `if` or `and` goes on by it: choose with where or clamp (of the norm of "
                "gradients: clip_grad_norm_), or do it outside of the step"
            )
        return f"Tensor.{name} reads a value: return the tensor, and read it outside of the step"

    # --- functions without a graph

    def _effect(self, name, old):
        """A function that changes tensors that are the same in each call, such as the gradients of parameters."""

        def call(*args, **options):
            if self._stack or not self._mine():
                return old(*args, **options)
            if name == "zero_grad" and options.get("set_to_none", args[1] if len(args) > 1 else True):
                return old(*args, **options)
            args = tuple(list(x) if isinstance(x, types.GeneratorType) else x for x in args)
            event = Effect(function=old, args=args, options=options)
            self._stack.append(event)
            try:
                event.result = old(*args, **options)
            finally:
                self._stack.pop()
            self._add(event)
            return event.result

        return call

    def _function(self, always, name, old):
        def call(*args, **options):
            graph = not always and any(isinstance(x, Tensor) and x.requires_grad for x in flat((args, options)))
            if self._stack or not self._mine() or graph:
                return old(*args, **options)
            alike = name.endswith("_like") or not arrays_in(args, options)
            fixed = alike and (name in CONSTANT or name in constants)
            event = Function(function=old, args=args, options=options, fixed=fixed)
            for x in flat((args, options)):
                self._read(x)
            self._stack.append(event)
            try:
                event.result = old(*args, **options)
            finally:
                self._stack.pop()
            if not (isinstance(event.result, Tensor) and any(event.result is x for x in args)):  # a cast that changes nothing
                event.decides = not arrays_in([event.result])
                self._follow(event)
                self._add(event)
            return event.result

        call.stands_for = old  # in what functions that are followed call (double_backward/reading.py)
        return call
