"""Module: a tree of parameters, buffers and smaller modules, with a forward.

An attribute to which a `Parameter` is assigned is a parameter; one to which a `Module` is assigned is a submodule. Its value is
in the object's `__dict__`, like that of any attribute, so `self.weight` is read without a detour. `_members` keeps the names of
these attributes, in the order in which they were assigned.
"""

from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graph.modes import mode, watchers
from ..graph.writes import note_write
from ..tensors import dtypes
from ..tensors.record import remedy_for, wrap
from ..tensors.tensor import Tensor
from .construction import Constructed
from .hooks import Hooks, Passage
from .parameter import Parameter, Uninitialized
from .registry import Registry, hints_for_keys, warn_of_hidden

__all__ = ["Module"]


class _Changes:
    number = 0  # how many attributes of modules were set so far: a remembered step (capture/) looks at modules when it grows


changes = _Changes()


class Module(Constructed, Hooks):
    """Base of layers and models. A subclass calls `super().__init__()`, assigns its parts and writes `forward`.

    >>> import minidl
    >>> from minidl import nn
    >>> class Double(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(minidl.tensor(2.0))
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> net = Double()
    >>> net(minidl.tensor(3.0)).item(), [name for name, _ in net.named_parameters()]
    (6.0, ['factor'])
    """

    _searched = False  # whether parameters() has looked for modules in plain lists

    def __init__(self):
        # _members: the names of parameters and modules; _persistent: name of a buffer -> whether state_dict has it
        vars(self).update(training=True, _members={}, _persistent={})

    def forward(self, *inputs):
        """What the module computes; called by `module(*inputs)`."""
        raise NotImplementedError(f"{type(self).__name__}: write a forward(self, ...) method")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if self._hooks is None:
            return self.forward(*inputs, **options) if options else self.forward(*inputs)
        before, after, *on_the_way_back = self._hooks
        for hook in list(before.values()):
            result = hook(self, inputs)
            if result is not None:
                inputs = result if isinstance(result, tuple) else (result,)
        passage = Passage(self, *on_the_way_back) if any(on_the_way_back) else None
        if passage:
            inputs = passage.inputs(inputs)
        output = self.forward(*inputs, **options)
        for hook in list(after.values()):
            result = hook(self, inputs, output)
            output = output if result is None else result
        return passage.output(output) if passage else output

    # --- what is assigned

    def __setattr__(self, name, value):
        own = vars(self)
        old = own.get(name)
        if isinstance(value, (Parameter, Module)):
            self._check_begun(name)
            own["_persistent"].pop(name, None)
            own["_members"].setdefault(name)
        elif value is not None and isinstance(old, (Parameter, Module)) and name in own["_members"]:
            kind = "Module" if isinstance(old, Module) else "Parameter"
            raise TypeError(
                f"{type(self).__name__}: {name!r} is a {kind}; expected another {kind} or None, got {type(value).__name__}"
                + ("" if kind == "Module" else f"; write nn.Parameter(…), or .{name}.data = … for other values")
            )
        elif value is not None and name in own.get("_persistent", ()) and not isinstance(value, Tensor):
            raise TypeError(
                f"{type(self).__name__}: {name!r} is a buffer; expected a Tensor or None, got {type(value).__name__}"
            )
        object.__setattr__(self, name, value)
        changes.number += 1

    def __delattr__(self, name):
        object.__delattr__(self, name)
        changes.number += 1
        self._members.pop(name, None)
        self._persistent.pop(name, None)

    def register_parameter(self, name, param):
        """Sets a Parameter (or None) under a name that is not taken."""
        self._register(name, param, Parameter)

    def add_module(self, name, module):
        """Sets a Module (or None) under a name that is not taken."""
        self._register(name, module, Module)

    register_module = add_module

    def register_buffer(self, name, tensor, persistent=True):
        """Sets a tensor (or None) that belongs to the state but is not learned; state_dict has it if it is persistent."""
        if isinstance(tensor, Parameter):
            raise TypeError(f"{type(self).__name__}: {name!r} is a Parameter; as a buffer register its .detach()")
        self._register(name, tensor, Tensor)
        self._persistent[name] = persistent

    def _register(self, name, value, kind):
        self._check_begun(name)
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"{type(self).__name__}: a name must be a string without dots, not empty; got {name!r}")
        if hasattr(self, name) and not isinstance(vars(self).get(name, ...), (kind, type(None))):
            raise KeyError(f"{type(self).__name__}: it already has an attribute {name!r}")
        if value is not None and not isinstance(value, kind):
            got = type(value).__name__ + (remedy_for(value) if kind is Tensor else "")
            got += "; write nn.Parameter(x)" if kind is Parameter and isinstance(value, Tensor) else ""
            got += f"; write {value.__name__}(…)" if kind is not Parameter and isinstance(value, type) else ""
            raise TypeError(f"{type(self).__name__}: {name!r} must be a {kind.__name__} or None, got {got}")
        if kind is not Tensor:
            self._members.setdefault(name)  # also for None: the order is that of registration
        setattr(self, name, value)

    def _check_begun(self, name):
        if "_persistent" not in vars(self):
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning {name!r}")

    # --- what is there

    @property
    def _parameters(self):
        return Registry(self, self._members, Parameter)

    @property
    def _modules(self):
        return Registry(self, self._members, Module)

    @property
    def _buffers(self):
        return Registry(self, self._persistent, Tensor)

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """(dotted name, module) of this module, named as the prefix, and of all in it, parents first."""
        memo, waiting = set() if memo is None else memo, [(prefix, self)]
        while waiting:  # without recursion, whose depth Python limits
            prefix, module = waiting.pop()
            if module in memo:
                continue
            if remove_duplicate:
                memo.add(module)
            yield prefix, module
            children = [(f"{prefix}.{name}" if prefix else name, child) for name, child in module._modules.items()]
            waiting += reversed(children)

    def modules(self, remove_duplicate=True):
        """This module and all in it, each once."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self):
        """(name, module) of the modules directly in this one, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module not in seen:
                seen.add(module)
                yield name, module

    def children(self):
        """The modules directly in this one, each once."""
        return (module for _, module in self.named_children())

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """(dotted name, parameter) of this module and, with recurse, of all in it; a shared one once, under its first name.

        The first call warns of modules and parameters in plain lists, tuples and dicts, which are not found.
        """
        if recurse and not self._searched:
            warn_of_hidden(self, Module, Parameter)
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        """The parameters of this module and, with recurse, of all in it, each once."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """(dotted name, buffer) of this module and, with recurse, of all in it."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """The buffers of this module and, with recurse, of all in it, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, registry, prefix, recurse, remove_duplicate):
        seen = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, x in getattr(module, registry).items():
                if id(x) not in seen:
                    if remove_duplicate:
                        seen.add(id(x))
                    yield f"{path}.{name}" if path else name, x

    def get_submodule(self, target):
        """The module at a dotted path: net.get_submodule("encoder.0"). "" is this module."""
        return self._get(target, Module)

    def get_parameter(self, target):
        """The parameter at a dotted path: net.get_parameter("encoder.0.weight")."""
        return self._get(target, Parameter)

    def get_buffer(self, target):
        """The buffer at a dotted path."""
        return self._get(target, Tensor)

    def _get(self, target, kind):
        if not isinstance(target, str):
            raise TypeError(f"target: expected a dotted path such as '0.weight', got {type(target).__name__}")
        found = self
        for name in target.split(".") if target else ():
            inside, found = found, vars(found).get(name) if isinstance(found, Module) else None
            if found is None:
                raise AttributeError(f"target: {type(inside).__name__} has no {name!r} (looking for {target!r})")
        if not isinstance(found, kind):
            raise AttributeError(f"target: {target!r} is not a {kind.__name__} but a {type(found).__name__}")
        return found

    # --- what is done to all of it

    def apply(self, fn):
        """Calls fn on every module in this one, children first, then on this one; returns it."""
        waiting, seen = [self], []
        while waiting:
            seen.append(waiting.pop())
            waiting += seen[-1].children()
        for module in reversed(seen):
            fn(module)
        return self

    def train(self, mode=True):
        """Sets `training` of this module and all in it: dropout, for example, drops only in training. Returns self."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: expected True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """train(False)"""
        return self.train(False)

    def zero_grad(self, set_to_none=True):
        """Sets the .grad of all parameters to None, or (set_to_none=False) to zeros."""
        for param in self.parameters():
            if set_to_none:
                param.grad = None
            elif param.grad is not None:
                param.grad.zero_()

    def requires_grad_(self, requires_grad=True):
        """Asks for the gradients of all parameters, or (False) freezes them. Returns self."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def to(self, *args, dtype=None, device=None, non_blocking=False, memory_format=None):
        """Converts floating-point parameters and buffers to a dtype, or another tensor's, in place; the device is "cpu".

        non_blocking and memory_format change nothing: nothing is moved, and parameters stay as the kernels want them.

        >>> import minidl
        >>> minidl.nn.Linear(2, 1).to("cpu", memory_format=minidl.channels_last).weight.dtype
        dtype('float32')
        """
        if memory_format is not None and not isinstance(memory_format, dtypes.memory_format):
            raise TypeError(f"to: memory_format must be one of minidl's, as minidl.channels_last, got {memory_format!r}")
        probe = wrap(np.empty(0, bool)).to(*args, dtype=dtype, device=device)
        if probe.dtype != bool:
            if not dtypes.is_float(probe.dtype):
                raise TypeError(f"to: parameters are floating-point numbers; cannot convert them to {probe.dtype}")
            for _, param in self.named_parameters():
                grad = param.grad
                param.data = param.data.to(probe.dtype)
                param.grad = None if grad is None else grad.to(probe.dtype)
            for buffer in self.buffers():
                if buffer.is_floating_point():
                    buffer.data = buffer.data.to(probe.dtype)
        return self

    def float(self):
        """Everything in float32."""
        return self.to(dtypes.float32)

    def double(self):
        """Everything in float64."""
        return self.to(dtypes.float64)

    def cpu(self):
        """Returns self: there is no other device."""
        return self

    def cuda(self, device=None):
        """Raises: there is no GPU."""
        raise RuntimeError(dtypes.NO_GPU.format("cuda"))

    half, bfloat16 = Tensor.half, Tensor.bfloat16  # which raise

    # --- state

    def _state(self):
        for path, module in self.named_modules(remove_duplicate=False):
            dot = f"{path}." if path else ""
            for name, param in module._parameters.items():
                yield dot + name, param
            for name, buffer in module._buffers.items():
                if module._persistent[name]:
                    yield dot + name, buffer

    def state_dict(self, *, prefix="", keep_vars=False):
        """{dotted name: tensor} of all parameters and persistent buffers, sharing their memory, outside the graph.

        keep_vars: the parameters themselves. A parameter shared by two modules is there under both names.
        """
        state = OrderedDict()
        for key, x in self._state():
            state[prefix + key] = x if keep_vars or isinstance(x, Uninitialized) else x.detach()
        return state

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copies values (tensors, ndarrays, or what becomes one) into the parameters and buffers of the same names.

        Names all missing and unexpected keys (if strict) and mis-shaped ones in one RuntimeError, and then changes nothing.
        Returns (missing_keys, unexpected_keys).
        """
        if assign:
            raise NotImplementedError("load_state_dict: assign=True is not supported; leave it out, and values are copied")
        if not isinstance(state_dict, Mapping):
            kind = type(state_dict).__name__
            raise TypeError(f"load_state_dict: expected a dict, got {kind}; write minidl.load(file), or net.state_dict()")
        own = dict(self._state())
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        problems = []
        if strict and missing:
            problems.append("Missing key(s): " + ", ".join(map(repr, missing)))
        if strict and unexpected:
            problems.append("Unexpected key(s): " + ", ".join(map(repr, unexpected)))
        values = {}
        for key, x in own.items():
            if key in state_dict:
                value = values[key] = _array(state_dict[key])
                if value.dtype.kind not in "fiub":
                    problems.append(f"{key}: expected numbers, got {type(state_dict[key]).__name__}")
                elif not isinstance(x, Uninitialized) and value.shape != x.shape:
                    problems.append(f"size mismatch for {key}: the state has shape {value.shape}, the module {x.shape}")
        if problems:
            problems += hints_for_keys(missing, unexpected) if strict else []
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))
        for key, value in values.items():
            x = own[key]
            if isinstance(x, Uninitialized):
                x.materialize(value.shape)
            np.copyto(x.array, value, casting="unsafe")
            if watchers and mode.watch is not None and value.dtype == x.dtype:
                mode.watch.copied(value, x.array)
            note_write(x.array)
        return LoadResult(missing, unexpected)

    # --- text

    def extra_repr(self):
        """What stands between the parentheses of repr; a subclass overrides it."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = self._child_lines()
        if len(lines) == 1 and not children:
            return f"{type(self).__name__}({extra})"
        lines += children
        body = "\n  ".join(line.replace("\n", "\n  ") for line in lines)
        return f"{type(self).__name__}(\n  {body}\n)" if lines else f"{type(self).__name__}()"

    def _child_lines(self):
        return [f"({name}): {module!r}" for name, module in self._modules.items()]


class LoadResult(namedtuple("IncompatibleKeys", "missing_keys unexpected_keys")):
    """What load_state_dict returns: the names that had no value, and the values that had no name in the module."""

    def __repr__(self):
        return super().__repr__() if any(self) else "<All keys matched successfully>"


def _array(value):
    if isinstance(value, Tensor):
        return value.array
    return np.asarray(value.detach() if hasattr(value, "detach") else value)  # PyTorch's tensors want to be detached first
