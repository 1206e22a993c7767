"""Modules as functions of their parameters."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..nn import Module, ModuleList
from ..tensors.joining import stack
from ..tensors.tensor import Tensor


def functional_call(module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False) -> Any:
    """module(*args, **kwargs) with other tensors in the place of its parameters and buffers, during this call only.

    parameter_and_buffer_dicts: {name: tensor}, named as in named_parameters() and named_buffers(), or several such dicts that
    share no name. What is not in it stays the module's own. args: a tuple, or one argument.
    tie_weights: a parameter that the module has under several names is replaced under all of them, by whichever is given.
    strict: a name that is missing raises, too. A name that the module does not have raises always.
    A buffer that the module assigns anew is written back to the dict, if one dict was given.

    >>> import minidl
    >>> from minidl.func import functional_call
    >>> layer = minidl.nn.Linear(2, 1)
    >>> weights = {"weight": minidl.tensor([[1., 2.]]), "bias": minidl.tensor([0.5])}
    >>> functional_call(layer, weights, minidl.tensor([10., 1.]))
    tensor([12.5000])
    """
    if not isinstance(module, Module):
        raise TypeError(f"functional_call: expected a Module, got {type(module).__name__}")
    given = _merged(parameter_and_buffer_dicts)
    own = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers(remove_duplicate=False))}
    _check_names(module, given, own, strict)
    replaced = _tied(given, own) if tie_weights else dict(given)
    if strict and (missing := sorted(own.keys() - replaced.keys())):
        raise RuntimeError(f"functional_call: strict=True, and {type(module).__name__} has names that are missing: {missing}")
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    places, kept = [], []
    try:
        for name, value in replaced.items():
            path, _, last = name.rpartition(".")
            attributes = vars(module.get_submodule(path))
            places.append((name, attributes, last))
            kept.append(attributes[last])
            attributes[last] = value  # not by setattr, which would ask for a Parameter
        return module(*args, **(kwargs or {}))
    finally:
        for (name, attributes, last), value in zip(places, kept, strict=True):
            if name in given:
                given[name] = attributes[last]
            attributes[last] = value


def stack_module_state(models) -> Any:
    """(parameters, buffers) of models built alike, for vmap over functional_call: {name: tensor of shape (models, *shape)}.

    The stacked parameters are new leaves. The models must be of one class, and all train or all evaluate.

    >>> import minidl
    >>> from minidl.func import functional_call, stack_module_state, vmap
    >>> models = [minidl.nn.Linear(3, 2) for _ in range(4)]
    >>> parameters, buffers = stack_module_state(models)
    >>> def call(parameters, buffers, x):
    ...     return functional_call(models[0], (parameters, buffers), (x,))
    >>> vmap(call, in_dims=(0, 0, None))(parameters, buffers, minidl.ones(5, 3)).shape
    (4, 5, 2)
    """
    if not isinstance(models, (Sequence, ModuleList)) or not all(isinstance(model, Module) for model in models):
        raise TypeError(f"stack_module_state: expected a list of Modules, got {type(models).__name__}")
    if len(models) == 0:
        raise RuntimeError("stack_module_state: expected at least one model, got none")
    if len({model.training for model in models}) > 1:
        raise RuntimeError("stack_module_state: the models must all train, or all evaluate")
    if len({type(model) for model in models}) > 1:
        raise RuntimeError(f"stack_module_state: expected one class, got {sorted({type(m).__name__ for m in models})}")
    return _stacked([dict(m.named_parameters()) for m in models]), _stacked([dict(m.named_buffers()) for m in models])


def _stacked(states):
    names = list(states[0])
    if any(list(state) != names for state in states):
        raise RuntimeError("stack_module_state: the models do not have the same names of parameters and buffers")
    stacked = {}
    for name in names:
        tensors = [state[name] for state in states]
        if len({x.shape for x in tensors}) > 1:
            raise RuntimeError(f"stack_module_state: {name} has different shapes: {[x.shape for x in tensors]}")
        if len({x.requires_grad for x in tensors}) > 1:
            raise RuntimeError(f"stack_module_state: {name} requires grad in some of the models only")
        stacked[name] = stack([x.detach() for x in tensors]).requires_grad_(tensors[0].requires_grad)
    return stacked


def _merged(dicts):
    """One dict; the given one itself, so that buffers can be written back to it."""
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, Sequence) or not all(isinstance(d, dict) for d in dicts):
        raise ValueError(f"functional_call: expected a dict of tensors, or a tuple of dicts, got {type(dicts).__name__}")
    twice = [name for name, times in Counter(name for d in dicts for name in d).items() if times > 1]
    if twice:
        raise ValueError(f"functional_call: {twice} are in several of the dicts, and it is not clear which to take")
    return {name: x for d in dicts for name, x in d.items()}


def _check_names(module, given, own, strict):
    for name, x in given.items():
        if name not in own:
            raise (RuntimeError if strict else KeyError)(
                f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}; it has {sorted(own)}"
            )
        if not isinstance(x, Tensor):
            raise TypeError(f"functional_call: {name!r} must be a Tensor, got {type(x).__name__}")


def _tied(given, own):
    """The given tensors under all the names that the module has for what each replaces."""
    replaced = {}
    for name, x in given.items():
        for other in [other for other, value in own.items() if value is own[name]]:
            if replaced.setdefault(other, x) is not x:
                raise ValueError(
                    f"functional_call: different values are given for {name!r} and another name of the same parameter "
                    "(tie_weights=False takes both)"
                )
    return replaced
