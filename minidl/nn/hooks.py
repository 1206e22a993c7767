"""Hooks of a module: functions that are called before and after forward, and on the way back through it.

For those on the way back, the inputs and the outputs of a call pass through an operation that shows their gradients.
"""

from collections import OrderedDict

from ..ops.base import Op
from ..tensors.record import apply, wrap
from ..tensors.tensor import Tensor
from .registry import HookHandle


class Hooks:
    """What every Module has of them."""

    _hooks = None  # four dicts {key: hook} once there are any: before and after forward, before and after backward

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Calls hook(module, inputs) before forward; what it returns, unless None, takes the inputs' place."""
        return self._add_hook(0, hook, prepend, with_kwargs=with_kwargs)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Calls hook(module, inputs, output) after forward; what it returns, unless None, takes the output's place."""
        return self._add_hook(1, hook, prepend, with_kwargs=with_kwargs, always_call=always_call)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Calls hook(module, grad_output) when the gradients of the outputs have arrived, a tuple of tensors.

        What it returns, unless None, takes their place.
        """
        return self._add_hook(2, hook, prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Calls hook(module, grad_input, grad_output) when backward has come to the inputs: tuples of tensors, or None.

        grad_input has one for each argument of forward that was given by position, None where none is wanted. What the hook
        returns, unless None, takes the place of grad_input.

        >>> import minidl
        >>> layer = minidl.nn.Linear(2, 1)
        >>> handle = layer.register_full_backward_hook(lambda module, dx, dy: print(dx[0].shape, dy[0].shape))
        >>> layer(minidl.ones(3, 2, requires_grad=True)).sum().backward()
        (3, 2) (3, 1)
        """
        return self._add_hook(3, hook, prepend)

    def register_backward_hook(self, hook):
        """Raises: PyTorch's old hook saw the wrong gradients of modules with several operations."""
        raise NotImplementedError("register_backward_hook: write register_full_backward_hook, which takes the same function")

    def _add_hook(self, place, hook, prepend, **unsupported):
        for option, given in unsupported.items():
            if given:
                raise NotImplementedError(
                    f"{type(self).__name__}: {option}=True of a hook is not supported; override __call__ or forward instead"
                )
        if not callable(hook):
            raise TypeError(f"{type(self).__name__}: a hook must be a function, got {type(hook).__name__}")
        if self._hooks is None:
            self._hooks = (OrderedDict(), OrderedDict(), OrderedDict(), OrderedDict())
        handle = HookHandle(self._hooks[place], hook)
        if prepend:
            self._hooks[place].move_to_end(handle.key, last=False)
        self._hooks = self._hooks  # which tells that it has changed
        return handle


class BackwardHook(Op):
    """y_i = x_i, so dx_i = dy_i, for several tensors at once: `seen` is told all dy_i, and what it gives takes their place"""

    def __init__(self, seen):
        self.seen = seen

    def forward(self, *xs):
        return tuple([x.copy() for x in xs])

    def backward(self, dy):
        gradients = self.seen([None if d is None else wrap(d.copy()) for d in dy])
        return tuple([None if g is None else g.array.copy() for g in gradients])

    def backward_recorded(self, dy, needs):
        """The same with tensors in the graph."""
        return tuple(self.seen(dy))


class Passage:
    """One call of a module that has such hooks: its inputs go in through `inputs`, its output out through `output`.

    The gradients of the outputs arrive first, and those of the inputs last, when `hooks` are called with both.
    """

    def __init__(self, module, pre_hooks, hooks):
        self.module, self.pre_hooks, self.hooks = module, pre_hooks, hooks
        self.grad_output, self.count = (), 0

    def inputs(self, given):
        """The inputs of the module; those that require grad pass through."""
        self.count = len(given)
        self.places = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
        return self._passed(given, self.places, self._at_inputs)

    def output(self, result):
        """The output of the module, a tensor or several in a tuple or list; those that require grad pass through."""
        alone = isinstance(result, Tensor)
        if not alone and not isinstance(result, (tuple, list)):
            raise NotImplementedError(
                f"{type(self.module).__name__}: backward hooks need a Tensor, or a tuple of Tensors, as the output of forward; "
                f"got {type(result).__name__}"
            )
        outputs = (result,) if alone else result
        self.output_places = [i for i, y in enumerate(outputs) if isinstance(y, Tensor) and y.requires_grad]
        self.grad_output = [None] * len(outputs)
        outputs = self._passed(outputs, self.output_places, self._at_outputs)
        if alone:
            return outputs[0]
        return type(result)(*outputs) if hasattr(result, "_fields") else type(result)(outputs)

    def _passed(self, given, places, seen):
        given = tuple(given)
        if not places:
            return given
        passed = dict(zip(places, apply(BackwardHook(seen), *(given[i] for i in places)), strict=True))
        return tuple([passed.get(i, x) for i, x in enumerate(given)])

    def _at_outputs(self, dys):
        for i, dy in zip(self.output_places, dys, strict=True):
            self.grad_output[i] = dy
        self.grad_output = tuple(self.grad_output)
        for hook in list(self.pre_hooks.values()):
            changed = hook(self.module, self.grad_output)
            self.grad_output = self._checked("grad_output", changed, self.grad_output)
        if not self.places:  # nothing will arrive at the inputs
            self._told((None,) * self.count)
        changed = self.grad_output
        self.grad_output = list(self.grad_output)  # ready for another walk
        return [changed[i] for i in self.output_places]

    def _at_inputs(self, dys):
        gradients = dict(zip(self.places, dys, strict=True))
        gradients = self._told(tuple([gradients.get(i) for i in range(self.count)]))
        return [gradients[i] for i in self.places]

    def _told(self, gradients):
        for hook in list(self.hooks.values()):
            gradients = self._checked("grad_input", hook(self.module, gradients, tuple(self.grad_output)), gradients)
        return gradients

    def _checked(self, what, changed, old):
        """What a hook returned, as a tuple like the old one."""
        if changed is None:
            return old
        changed = (changed,) if isinstance(changed, Tensor) else tuple(changed)
        name = type(self.module).__name__
        if len(changed) != len(old):
            raise RuntimeError(f"{name}: a backward hook returned {len(changed)} gradients as {what}, expected {len(old)}")
        for new, g in zip(changed, old, strict=True):
            if g is not None and (not isinstance(new, Tensor) or new.shape != g.shape or new.dtype != g.dtype):
                got = f"{new.dtype} {new.shape}" if isinstance(new, Tensor) else type(new).__name__
                raise RuntimeError(f"{name}: a backward hook must return {what} of {g.dtype} and shape {g.shape}, got {got}")
        return changed
