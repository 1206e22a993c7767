"""Parameters computed from others: `register_parametrization(layer, "weight", f)` makes layer.weight f(original).

The layer becomes one of a class made for it, a child of its own class, in which the name is a property that computes the value.
The originals are parameters in `layer.parametrizations.weight`, with PyTorch's names in the state_dict.
"""

from contextlib import contextmanager

from ...graph.modes import no_grad
from ...tensors.tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
]

_cache = None  # {ParametrizationList: value} within `cached()`


class ParametrizationList(ModuleList):
    """The functions that one parameter goes through, and what the first of them is given: `original`, or `original0`, ….

    >>> import minidl
    >>> from minidl import nn
    >>> layer = register_parametrization(nn.Linear(2, 2), "weight", nn.Tanh())
    >>> layer.parametrizations.weight
    ParametrizationList(
      (0): Tanh()
    )
    """

    def __init__(self, modules, original, unsafe=False):
        super().__init__(modules)
        self.unsafe = unsafe
        start = original
        with no_grad():
            for module in reversed(self._items()):
                start = _inverse(module, start)
        several = isinstance(start, (tuple, list))
        self.names = [f"original{i}" for i in range(len(start))] if several else ["original"]
        for name, x in zip(self.names, start if several else [start], strict=True):
            if not isinstance(x, Tensor):
                raise TypeError(f"register_parametrization: right_inverse must return Tensors, got {type(x).__name__}")
            if isinstance(original, Parameter):
                x = original if x is original else Parameter(x.detach().clone(), requires_grad=original.requires_grad)
                self.register_parameter(name, x)
            else:
                self.register_buffer(name, x)

    def originals(self):
        """What the first function is given."""
        return [vars(self)[name] for name in self.names]

    def forward(self):
        """The parameter's value."""
        first, *others = self._items()
        value = first(*self.originals())
        for module in others:
            value = module(value)
        return value

    def right_inverse(self, value):
        """Sets the originals such that the value is, if the functions know how, this tensor."""
        with no_grad():
            for module in reversed(self._items()):
                value = _inverse(module, value, needed=True)
            values = value if isinstance(value, (tuple, list)) else [value]
            if len(values) != len(self.names):
                raise ValueError(f"right_inverse: expected {len(self.names)} tensors, got {len(values)}")
            for original, x in zip(self.originals(), values, strict=True):
                original.copy_(x)


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Has module.<tensor_name> computed by a Module, from the parameter (or buffer) that was there, at every access.

    parametrization: its forward takes the original and returns the value. If it has a method right_inverse(value), that returns
    the original(s) to begin with, and those for a value that is assigned. unsafe: the value may have another shape or dtype.
    Returns the module. A second function for the same name is applied after the first.

    >>> import minidl
    >>> from minidl import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all()), sorted(layer.state_dict())
    (True, ['bias', 'parametrizations.weight.original'])
    """
    name = "register_parametrization"
    if not isinstance(module, Module) or not isinstance(parametrization, Module):
        raise TypeError(f"{name}: expected two Modules, got {type(module).__name__} and {type(parametrization).__name__}")
    if is_parametrized(module, tensor_name):
        found = module.parametrizations[tensor_name]
        value = getattr(module, tensor_name)
        if not unsafe:
            _check_kept(value, parametrization(value), parametrization)
        with no_grad():
            found.append(parametrization)
            found.right_inverse(value) if hasattr(parametrization, "right_inverse") else None
        return module
    original = vars(module).get(tensor_name)
    if not isinstance(tensor_name, str) or tensor_name not in {**module._parameters, **module._buffers}:
        raise ValueError(f"{name}: {type(module).__name__} has no parameter or buffer {tensor_name!r}")
    functions = ParametrizationList([parametrization], original, unsafe)
    functions.train(module.training)
    if not unsafe:
        _check_kept(original, functions(), parametrization)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        kind = type(module)
        module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), {"__module__": __name__})
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = functions
    return module


def is_parametrized(module, tensor_name=None):
    """Whether a module has parameters that are computed from others; or this one.

    >>> from minidl import nn
    >>> is_parametrized(nn.Linear(2, 2))
    False
    """
    found = vars(module).get("parametrizations")
    if not isinstance(found, ModuleDict) or not len(found):
        return False
    return tensor_name is None or tensor_name in found


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Makes module.<tensor_name> a parameter again: with its present value, or else with that of its original.

    >>> from minidl import nn
    >>> layer = register_parametrization(nn.Linear(2, 2), "weight", nn.Tanh())
    >>> remove_parametrizations(layer, "weight")
    Linear(in_features=2, out_features=2, bias=True)
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"remove_parametrizations: {type(module).__name__} has no parametrization of {tensor_name!r}")
    functions = module.parametrizations[tensor_name]
    originals = functions.originals()
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach()
    elif len(originals) > 1:
        raise ValueError("remove_parametrizations: leave_parametrized=False is for one original, and here are several")
    result = originals[0]
    if leave_parametrized and len(originals) == 1 and value.shape == result.shape and value.dtype == result.dtype:
        with no_grad():
            result.copy_(value.clone())  # the same Parameter, which optimizers know
    elif leave_parametrized:
        learned = isinstance(result, Parameter)
        wanted = any(x.requires_grad for x in originals)
        result = Parameter(value.clone(), requires_grad=wanted) if learned else value.clone()
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    if isinstance(result, Parameter):
        module.register_parameter(tensor_name, result)
    else:
        module.register_buffer(tensor_name, result)
    return module


@contextmanager
def cached():
    """Within it each parameter that is computed is computed once: for several uses of one, as in recurrent networks.

    >>> from minidl import nn
    >>> layer = register_parametrization(nn.Linear(2, 2), "weight", nn.Tanh())
    >>> with cached():
    ...     layer.weight is layer.weight
    True
    """
    global _cache
    before, _cache = _cache, {} if _cache is None else _cache
    try:
        yield
    finally:
        _cache = before


def _property(name):
    def get(self):
        functions = self.parametrizations[name]
        if _cache is None:
            return functions()
        if functions not in _cache:
            _cache[functions] = functions()
        return _cache[functions]

    def put(self, value):
        if not isinstance(value, Tensor):
            raise TypeError(f"{type(self).__name__}: expected a Tensor as {name}, got {type(value).__name__}")
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def _inverse(module, value, needed=False):
    if hasattr(module, "right_inverse"):
        return module.right_inverse(value)
    if needed:
        raise RuntimeError(
            f"{type(module).__name__} has no method right_inverse(value), so the parameter that it computes cannot be assigned"
        )
    return value


def _check_kept(original, value, parametrization):
    if not isinstance(value, Tensor) or value.shape != original.shape or value.dtype != original.dtype:
        got = f"{value.shape}, {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"register_parametrization: {type(parametrization).__name__} makes of {original.shape}, {original.dtype} "
            f"{got}; expected the same, or unsafe=True"
        )
