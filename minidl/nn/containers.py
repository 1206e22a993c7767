"""Modules that hold modules, or parameters, in order or by name."""

from collections.abc import Iterable, Iterator, Mapping

from ..tensors.arguments import integer
from ..tensors.tensor import Tensor
from .module import Module
from .parameter import Parameter
from .registry import Registry

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Indexed(Module):
    """What is kept under the names "0", "1", …, in order."""

    kind = Module
    held = (Module,)  # what an item may be

    def _items(self):
        own = vars(self)
        return [own[name] for name in self._names()]

    def _names(self):
        own = vars(self)
        return [name for name in self._members if isinstance(own.get(name), self.held)]

    def _admit(self, x):
        if isinstance(x, self.held):
            return x
        name, remedy = type(self).__name__, ""
        if isinstance(x, type) and issubclass(x, Module):
            raise TypeError(f"{name}: expected a {self.kind.__name__}, got the class {x.__name__}; write {x.__name__}(…)")
        if isinstance(x, (list, tuple, Iterator)):
            remedy = f"; write {name}({'*layers' if isinstance(self, Sequential) else '[…]'}), without another list around"
        elif callable(x):
            remedy = f"; write a layer such as nn.ReLU(), or a Module whose forward calls {getattr(x, '__name__', 'it')}"
        raise TypeError(f"{name}: expected a {self.kind.__name__}, got {type(x).__name__}{remedy}")

    def _put(self, name, x):
        self._members.setdefault(name)  # also None keeps its place in the order
        setattr(self, name, x)

    def _fill(self, items):
        """Puts these in the place of what was there."""
        items = [self._admit(x) for x in items]
        for name in self._names():
            delattr(self, name)
        for i, x in enumerate(items):
            self._put(str(i), x)

    def _name_at(self, index):
        names, i = self._names(), integer(type(self).__name__, index)
        if not -len(names) <= i < len(names):
            raise IndexError(f"{type(self).__name__}: index {i} is out of range for {len(names)} items")
        return names[i]

    def __len__(self):
        return len(self._names())

    def __iter__(self):
        return iter(self._items())

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(self._items()[index])
        return vars(self)[self._name_at(index)]

    def __setitem__(self, index, x):
        self._put(self._name_at(index), self._admit(x))

    def __delitem__(self, index):
        items = self._items()
        del items[index]
        self._fill(items)

    def append(self, x):
        """Adds one at the end; returns self."""
        self._put(str(len(self)), self._admit(x))
        return self

    def extend(self, items):
        """Adds several at the end; returns self."""
        for x in list(items):
            self.append(x)
        return self

    def insert(self, index, x):
        """Puts one before the index; those after it move up by one name."""
        items = self._items()
        items.insert(index, self._admit(x))
        self._fill(items)
        return self

    def pop(self, index=-1):
        """Takes one out and returns it."""
        x = self[index]
        del self[index]
        return x

    def __iadd__(self, items):
        return self.extend(items)

    def __add__(self, items):
        return type(self)([*self, *items])


class Sequential(_Indexed):
    """Calls its modules one after the other: Sequential(a, b)(x) is b(a(x)).

    An OrderedDict gives them names: Sequential(OrderedDict(hidden=a, output=b)).

    >>> import minidl
    >>> from minidl import nn
    >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> net(minidl.ones(2, 3)).shape, len(net), net[-1]
    ((2, 1), 3, Linear(in_features=4, out_features=1, bias=True))
    """

    def __init__(self, *modules):
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, self._admit(module))
        else:
            for i, module in enumerate(modules):
                setattr(self, str(i), self._admit(module))

    def forward(self, input):
        own = vars(self)
        for name in own["_members"]:
            module = own.get(name)
            if isinstance(module, Module):
                input = module(input)
        return input

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def __delitem__(self, index):
        for name in self._names()[index] if isinstance(index, slice) else [self._name_at(index)]:
            delattr(self, name)
        if all(name.isdigit() for name in self._names()):
            self._fill(self._items())

    def __add__(self, other):
        return Sequential(*self, *other)


class ModuleList(_Indexed):
    """A list of modules (or None) whose parameters are found. It has no forward: call its modules yourself.

    >>> from minidl import nn
    >>> len(list(nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]).parameters()))
    6
    """

    held = Module, type(None)

    def forward(self, *inputs):
        """Raises: a list does not say in which order its modules are called."""
        raise NotImplementedError(
            f"{type(self).__name__}: it has no forward; write `for layer in layers: x = layer(x)`, or use nn.Sequential"
        )

    def __init__(self, modules=None):
        super().__init__()
        if isinstance(modules, Module) and not isinstance(modules, (_Indexed, _Named)):
            raise TypeError(f"{type(self).__name__}: expected a list of modules, got one {type(modules).__name__}; write [it]")
        if isinstance(modules, type):
            raise TypeError(f"{type(self).__name__}: expected a list of modules, got the class; write [{modules.__name__}(…)]")
        self.extend(() if modules is None else modules)

    def _child_lines(self):
        """Equal neighbours on one line, as PyTorch prints them: (0-2): 3 x ReLU()"""
        runs = []  # [first index, last index, text]
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        return [f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}" for a, b, text in runs]


class ParameterList(_Indexed):
    """A list of parameters that are found; other tensors become Parameters.

    >>> import minidl
    >>> weights = minidl.nn.ParameterList([minidl.zeros(2), minidl.ones(3)])
    >>> [name for name, _ in weights.named_parameters()]
    ['0', '1']
    """

    kind, held = Parameter, (Parameter,)

    def __init__(self, values=None):
        super().__init__()
        self.extend(() if values is None else values)

    def _admit(self, x):
        return super()._admit(_as_parameter(x))

    def _child_lines(self):
        return [f"({i}): {_described(x)}" for i, x in enumerate(self)]


class _Named(Module):
    """What is kept under names of the user's."""

    kind = Module
    held = Module, type(None)

    def _admit(self, x):
        return x

    def _registry(self):
        return Registry(self, self._members, self.held)

    def __getitem__(self, key):
        return self._registry()[key]

    def __setitem__(self, key, x):
        self._register(key, self._admit(x), self.kind)

    def __delitem__(self, key):
        del self._registry()[key]

    def __len__(self):
        return len(self._registry())

    def __iter__(self):
        return iter(self._registry())

    def __contains__(self, key):
        return key in self._registry()

    def keys(self):
        return self._registry().keys()

    def values(self):
        return self._registry().values()

    def items(self):
        return self._registry().items()

    def update(self, items):
        """Adds what is in a dict, or in (name, value) pairs."""
        if not isinstance(items, (Mapping, _Named, Iterable)):
            raise TypeError(f"{type(self).__name__}: expected a dict or pairs, got {type(items).__name__}")
        try:
            pairs = [(key, x) for key, x in (items.items() if hasattr(items, "items") else items)]
        except (TypeError, ValueError):
            raise TypeError(f"{type(self).__name__}: expected a dict or pairs, got {type(items).__name__}") from None
        for key, x in pairs:
            self[key] = x

    def pop(self, key):
        """Takes one out and returns it."""
        x = self[key]
        del self[key]
        return x

    def clear(self):
        """Takes all out."""
        for key in list(self):
            del self[key]


class ModuleDict(_Named):
    """A dict of modules (or None) whose parameters are found. It has no forward: call its modules yourself.

    >>> from minidl import nn
    >>> nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})["tanh"]
    Tanh()
    """

    def __init__(self, modules=None):
        super().__init__()
        self.update(() if modules is None else modules)

    def _child_lines(self):
        return [f"({name}): {module!r}" for name, module in self.items()]


class ParameterDict(_Named):
    """A dict of parameters that are found; other tensors become Parameters.

    >>> import minidl
    >>> list(minidl.nn.ParameterDict({"scale": minidl.ones(2)}).keys())
    ['scale']
    """

    kind, held = Parameter, (Parameter, type(None))

    def __init__(self, parameters=None):
        super().__init__()
        self.update(() if parameters is None else parameters)

    def _admit(self, x):
        return _as_parameter(x)

    def _child_lines(self):
        return [f"({key}): {_described(x)}" for key, x in self.items()]


def _as_parameter(x):
    return Parameter(x) if isinstance(x, Tensor) and not isinstance(x, Parameter) else x


def _described(x):
    return f"Parameter containing: [{x.dtype} of size {'x'.join(map(str, x.shape))}]"
