"""What every optimizer shares: groups of parameters with their options, and the state that a rule keeps for each of them."""

import math
import operator
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from ..graph.modes import enable_grad, mode, watchers
from ..graph.watch import record_function
from ..graph.writes import note_write
from ..nn.construction import ClassSignature, check_arguments
from ..tensors.record import remedy_for, wrap
from ..tensors.tensor import Tensor

_UNSUPPORTED = ("foreach", "differentiable", "fused", "capturable")  # how PyTorch may compute a step; here there is one way
_NUMBERS = ("lr", "momentum", "dampening", "weight_decay", "eps")  # what a rule that has them computes with
_SCALARS = ("step", "mu_product", "eta", "mu")  # what a rule keeps once for a parameter, not for each of its numbers


class Optimizer:
    """Base of the update rules. A rule passes its options as `defaults` and writes `update(group)`.

    params: tensors, (name, tensor) pairs, or dicts {"params": tensors, option: value, ...}, one for each group of parameters
    whose options differ from the defaults. Only leaves can be optimized, and each only once.

    `param_groups` is a list of dicts with "params" and a value for every option, read at each step: to change the learning
    rate, write `group["lr"] = ...`. `state[p]` holds what the rule remembers about p, as tensors.

    >>> import minidl
    >>> class SignDescent(minidl.optim.Optimizer):
    ...     def update(self, group):
    ...         for p in group["params"]:
    ...             if p.grad is not None:
    ...                 p.data -= group["lr"] * p.grad.sign()
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([w], {"lr": 0.5})
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.5000, -1.5000], requires_grad=True)
    """

    __signature__ = ClassSignature()
    _state_keys = ()  # what the state of a parameter must hold, if it holds anything

    def __new__(cls, *args, **options):
        if options:
            check_arguments(cls, (), options)
        return object.__new__(cls)

    def __init__(self, params, defaults):
        if isinstance(params, (Tensor, dict, set, str)) or not isinstance(params, Iterable):
            kind = type(params).__name__
            is_net = hasattr(params, "parameters") or callable(params) or isinstance(params, dict)
            remedy = "net.parameters()" if is_net else "[w] for a single tensor"
            raise TypeError(f"{self._name}: params must be an ordered iterable of tensors or dicts, got {kind}; write {remedy}")
        self.defaults = defaults
        self.state = defaultdict(dict)
        self.param_groups = []
        self._checked = []  # the options as they were at the last step
        groups = list(params)
        if not groups:
            raise ValueError(
                f"{self._name}: got an empty list of parameters (a generator can be used only once); a module's are those of "
                "layers and Parameters that were assigned to it, or stand in a ModuleList"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self):
        return type(self).__name__

    def check_options(self, group):
        """Raises for an option of this group that makes no sense. A rule extends it."""
        for option in _UNSUPPORTED:
            if group.get(option):
                raise NotImplementedError(f"{self._name}: {option}={group[option]!r} is not supported")
        for option in _NUMBERS:
            if option in group:
                check_number(self._name, option, group[option])

    def state_shapes(self, p):
        """What the state of a parameter must hold, if it holds anything, and of which shape."""
        return dict.fromkeys(self._state_keys, p.array.shape)

    def update(self, group):
        """Moves the parameters of a group that have a gradient, in place."""
        raise NotImplementedError(f"{self._name} has no update rule")

    def add_param_group(self, param_group):
        """Adds {"params": tensors, option: value, ...}; options that are left out get their defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"{self._name}: a parameter group must be a dict, got {type(param_group).__name__}")
        group = dict(param_group)
        if "params" not in group:
            raise ValueError(f"{self._name}: a parameter group needs 'params', got {list(group)}")
        unknown = set(group) - set(self.defaults) - {"params", "param_names", "name", "initial_lr"}
        if unknown:
            raise ValueError(f"{self._name}: unknown option {sorted(unknown)[0]!r}; expected {', '.join(self.defaults)}")
        params = group["params"]
        if isinstance(params, (set, dict)) or not isinstance(params, Iterable):
            remedy = "; write net.parameters()" if hasattr(params, "parameters") else ""
            raise TypeError(f"{self._name}: params must have an order, got a {type(params).__name__}{remedy}")
        params = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ValueError(f"{self._name}: got an empty list of parameters (a generator can be used only once)")
        if all(isinstance(p, tuple) and len(p) == 2 for p in params):
            group["param_names"], params = [name for name, _ in params], [p for _, p in params]
        group["params"] = params
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                remedy = "; write net.parameters()" if hasattr(p, "parameters") else remedy_for(p)
                raise TypeError(f"{self._name}: parameter {i} must be a Tensor, got {type(p).__name__}{remedy}")
            if not p.is_leaf:
                raise ValueError(
                    f"{self._name}: parameter {i} is the result of an operation ({p.grad_fn!r}); only leaves can be optimized"
                )
            if id(p) in known:
                raise ValueError(f"{self._name}: parameter {i} appears more than once")
            known.add(id(p))
        for option, value in self.defaults.items():
            group.setdefault(option, value)
        self.check_options(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none=True):
        """Forgets the gradients of all parameters, or sets them to 0."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.array.fill(0)
                    note_write(p.grad.array)

    def step(self, closure=None):
        """One update of every parameter that has a gradient; the others are left alone, weight decay included.

        closure, if given, computes the loss and its gradients first; its result is returned. Options that were changed since
        the last step are checked before any parameter moves.
        """
        if watchers:
            with record_function(f"Optimizer.step#{self._name}.step"):
                return self._watched_step(closure)
        return self._step(closure)

    def _watched_step(self, closure):
        watch = mode.watch
        if watch is None:  # another thread is observed
            return self._step(closure)
        watch.stepping(self)
        try:
            return self._step(closure)
        finally:
            watch.stepped(self)

    def _step(self, closure):
        loss = None
        if closure is not None:
            if not callable(closure) or isinstance(closure, Tensor):
                kind = type(closure).__name__
                raise TypeError(f"step: closure must be a function that computes the loss, got {kind}; write optimizer.step()")
            with enable_grad():
                loss = closure()
        options = []
        for group in self.param_groups:
            options += group.values()
        if len(options) != len(self._checked) or not all(map(operator.is_, options, self._checked)):
            for group in self.param_groups:
                self.check_options(group)
            self._checked = options
        for group in self.param_groups:
            self.update(group)
        return loss

    def state_dict(self):
        """Options and state in PyTorch's layout: parameters are numbered through all groups. Tensors are not copied."""
        number, groups = {}, []
        for group in self.param_groups:
            for p in group["params"]:
                number[id(p)] = len(number)
            groups.append({**group, "params": [number[id(p)] for p in group["params"]]})
        state = {number[id(p)]: dict(values) for p, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Takes over the options and a copy of the state of an optimizer with groups of the same sizes.

        Raises, and changes nothing, where they do not fit.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            got = list(state_dict) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            got = f"{got}; a model's state goes to model.load_state_dict(state)" if isinstance(got, list) else got
            raise TypeError(
                f"load_state_dict: expected a dict with 'state' and 'param_groups', as optimizer.state_dict() gives, got {got}"
            )
        ours, theirs, saved = self.param_groups, state_dict["param_groups"], state_dict["state"]
        if not isinstance(saved, Mapping) or not all(isinstance(x, Mapping) for x in saved.values()):
            raise TypeError("load_state_dict: expected 'state' to be a dict with a dict for each parameter")
        for i, group in enumerate(theirs if isinstance(theirs, list) else [None]):
            if not isinstance(group, Mapping) or not isinstance(group.get("params"), list):
                raise TypeError(f"load_state_dict: expected 'param_groups' to be a list of dicts with 'params', got {group!r}")
            missing = set(self.defaults) - set(group)
            if missing:
                raise ValueError(f"load_state_dict: parameter group {i} has no {', '.join(sorted(missing))}")
        sizes, wanted = [len(group["params"]) for group in theirs], [len(group["params"]) for group in ours]
        if sizes != wanted:
            raise ValueError(f"load_state_dict: expected parameter groups of sizes {wanted}, got {sizes}")
        groups = [{**other, "params": group["params"]} for group, other in zip(ours, theirs, strict=True)]
        for group in groups:
            self.check_options(group)
        parameters = [p for group in ours for p in group["params"]]
        numbers = [number for group in theirs for number in group["params"]]
        state = defaultdict(dict)
        for number, p in zip(numbers, parameters, strict=True):
            if number in saved:
                shapes = self.state_shapes(p)
                state[p] = {key: _own(number, key, x, p, shapes.get(key, p.array.shape)) for key, x in saved[number].items()}
                missing = set(shapes) - set(state[p]) if state[p] else ()
                if missing:
                    raise ValueError(
                        f"load_state_dict: the state of parameter {number} has no {', '.join(sorted(missing))}, which "
                        f"{self._name} needs; is it the state of another optimizer?"
                    )
                if isinstance(state[p].get("step"), (int, float)):  # a number, in files of PyTorch before 1.12
                    state[p]["step"] = wrap(np.array(state[p]["step"], np.float32))
        unknown = [number for number in saved if number not in numbers]
        if unknown:
            raise ValueError(f"load_state_dict: state for parameters {unknown}, which are in no group")
        self.state, self.param_groups = state, groups

    def __repr__(self):
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def check_number(name, option, value):
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: {option} must be a number, got {value!r}")
    if math.isnan(value):
        raise ValueError(f"{name}: {option} must be at least 0, got nan")


def check_at_least_zero(name, group, *options):
    for option in options:
        value = group[option]
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating, Tensor)):
            raise TypeError(f"{name}: {option} must be a number, got {value!r}")
        if not float(value) >= 0:
            raise ValueError(f"{name}: {option} must be at least 0, got {value}")


def check_betas(name, group, option="betas"):
    betas = group[option]
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"{name}: {option} must be two numbers, such as (0.9, 0.999), got {betas!r}")
    for i, beta in enumerate(betas):
        check_share(name, f"{option}[{i}]", beta)


def check_share(name, option, value):
    """At least 0 and below 1: what a running mean keeps of the past."""
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (real and 0 <= value < 1):
        raise ValueError(f"{name}: {option} must be a number of at least 0 and below 1, got {value!r}")


def _own(number, key, x, p, shape):
    if x is None or isinstance(x, (int, float)):
        return x
    if isinstance(x, np.ndarray) or hasattr(x, "detach"):  # PyTorch's tensors want to be detached first
        x = x if isinstance(x, Tensor) else wrap(np.asarray(x.detach() if hasattr(x, "detach") else x))
    else:
        raise TypeError(f"load_state_dict: {key} of parameter {number} must be a tensor or a number, got {type(x).__name__}")
    if key in _SCALARS and not x.ndim:  # of its own dtype
        return x.clone()
    if x.array.dtype.kind not in "fiub":
        raise TypeError(f"load_state_dict: {key} of parameter {number} must hold numbers, got {x.dtype}")
    if x.shape != shape:
        wanted = f"the parameter {shape}" if shape == p.array.shape else f"expected {shape} for a parameter {p.array.shape}"
        raise ValueError(f"load_state_dict: {key} of parameter {number} has shape {x.shape}, {wanted}")
    return wrap(x.array.astype(p.dtype))
