"""Operations of one's own, written as PyTorch's are: static forward and backward on tensors, and a ctx between them."""

import numpy as np

from .. import double_backward
from ..graph.modes import no_grad
from ..graph.nodes import Part
from ..ops import Op
from ..tensors.record import apply, wrap
from ..tensors.tensor import Tensor


class Function:
    """Subclass it with a static `forward(ctx, *args)` and `backward(ctx, *gradients)`, and call `.apply(*args)`.

    backward returns one gradient for each argument of forward (None for what is no tensor).

    >>> import minidl
    >>> class Cube(minidl.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, dy):
    ...         (x,) = ctx.saved_tensors
    ...         return dy * 3 * x**2
    >>> x = minidl.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(ctx, *args):
        raise NotImplementedError("Function: write a static forward(ctx, *args)")

    @staticmethod
    def backward(ctx, *gradients):
        """The gradients of forward's arguments, from those of its results. A subclass writes it as a staticmethod."""
        raise NotImplementedError("Function: write a static backward(ctx, *gradients)")

    def __init_subclass__(cls):
        if hasattr(cls, "setup_context"):
            raise TypeError(f"{cls.__name__}: setup_context is not supported; write forward(ctx, *args)")

    @classmethod
    def apply(cls, *args):
        """Runs forward on the arguments and records the call; gives what forward gives."""
        result = apply(_Call(cls, args), *(x for x in args if isinstance(x, Tensor)))
        if type(result) is Tensor and not result.is_floating_point():
            result.node = None
        return result


class Context:
    """What forward leaves for backward: tensors by `save_for_backward`, anything else as attributes."""

    saved_tensors = ()
    needs_input_grad = ()

    def save_for_backward(self, *tensors):
        """Keeps tensors (or None); backward finds them in `saved_tensors`, and raises if one was changed in place."""
        for x in tensors:
            if x is not None and not isinstance(x, Tensor):
                raise TypeError(f"save_for_backward: expected Tensors, got {type(x).__name__}; set an attribute of ctx instead")
        self.saved_tensors = tensors


class _Call(Op):
    """One call of a Function, as a node of the graph."""

    function = Function

    def __init__(self, function, args):
        self.function, self.args = function, args
        self.is_tensor = [isinstance(x, Tensor) for x in args]

    @property
    def name(self):
        return self.function.__name__

    def forward(self, *arrays):
        self.context = ctx = Context()
        self._ask(ctx, self.needs)
        tensors = iter(arrays)
        args = [wrap(next(tensors)) if is_tensor else x for x, is_tensor in zip(self.args, self.is_tensor, strict=True)]
        options, self.args = self.args, None  # backward has what ctx was given, and nothing else is kept
        with no_grad():
            result = self.function.forward(ctx, *args)
        self.saved = [x.array for x in ctx.saved_tensors if x is not None]  # for the check of changes in place
        self.sources = [self._source(x, arrays, result) for x in ctx.saved_tensors]
        self.attributes = {name: self._source(x, arrays, result, options) for name, x in vars(ctx).items()}
        if not isinstance(result, tuple):
            return self._own(result, arrays)
        results = tuple(self._own(y, arrays) for y in result)
        self.like = [(y.shape, y.dtype) for y in results]
        return results

    def _own(self, y, arrays):
        if not isinstance(y, Tensor):
            raise TypeError(f"{self.name}.forward: expected a Tensor or a tuple of Tensors, got {type(y).__name__}")
        return y.array.copy() if any(np.may_share_memory(y.array, x) for x in arrays) else y.array

    def _ask(self, ctx, needs):
        needs = iter(needs)
        ctx.needs_input_grad = tuple(is_tensor and next(needs) is not None for is_tensor in self.is_tensor)

    def _source(self, saved, arrays, result, options=()):
        """Where a saved value is from: ("input", i), ("output", i), ("option", 0), or None: forward made it on the way."""
        results = result if isinstance(result, tuple) else (result,)
        if isinstance(saved, Tensor):
            for what, found in (("output", [y is saved for y in results]), ("input", [x is saved.array for x in arrays])):
                if any(found):
                    return what, found.index(True)
            return None
        return ("option", 0) if any(saved is x for x in options) else None

    def _recorded(self, name, value, source):
        """A saved value with its place in the graph; what forward made on the way has none, and must not be differentiated."""
        what, i = source or (None, 0)
        if what == "option" or value is None:
            return value
        if what is None or not value.is_floating_point():
            return double_backward.unknown(self, name, value)
        if what == "input":
            return wrap(value.array, self.needs[i])
        return wrap(value.array, Part(self, i, value.shape) if hasattr(self, "outputs") else self)

    def backward_recorded(self, dy, needs):
        """backward on tensors in the graph; what forward saved of its inputs, and its result, is in it, too."""
        ctx, saved = Context(), self.context.saved_tensors
        for name, value in vars(self.context).items():
            setattr(ctx, name, self._recorded(name, value, self.attributes.get(name)))
        pairs = zip(saved, self.sources, strict=True)
        ctx.saved_tensors = tuple(self._recorded("saved_tensors[…]", x, source) for x, source in pairs)
        self._ask(ctx, needs)
        if isinstance(dy, list):
            dy = [wrap(np.zeros(*like)) if d is None else d for d, like in zip(dy, self.like, strict=True)]
        gradients = self._checked(self.function.backward(ctx, *(dy if isinstance(dy, list) else [dy])))
        return tuple(g for g, is_tensor in zip(gradients, self.is_tensor, strict=True) if is_tensor)

    def backward(self, dy):
        # Copied, because a user's backward may write to its argument, and the walk may use the same array elsewhere.
        if isinstance(dy, list):  # one for each output; None if the output was not used: zeros then
            dys = [wrap(np.zeros(*like) if d is None else d.copy()) for d, like in zip(dy, self.like, strict=True)]
        else:
            dys = [wrap(dy.copy())]
        self._ask(self.context, self.needs)
        with no_grad():
            gradients = self._checked(self.function.backward(self.context, *dys))
        # Copied, because a user's backward may return one tensor twice, or one that it saved.
        pairs = zip(gradients, self.is_tensor, strict=True)
        return tuple(None if g is None else g.array.copy() for g, is_tensor in pairs if is_tensor)

    def _checked(self, gradients):
        """One gradient, a Tensor or None, for each argument of forward."""
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        expected = len(self.is_tensor)
        if len(gradients) < expected or any(g is not None for g in gradients[expected:]):
            raise RuntimeError(
                f"{self.name}.backward: expected {expected} gradients, one for each argument of forward, got {len(gradients)}"
            )
        for i, (gradient, is_tensor) in enumerate(zip(gradients[:expected], self.is_tensor, strict=True)):
            if gradient is not None and not is_tensor:
                raise RuntimeError(f"{self.name}.backward: gradient {i} must be None, because argument {i} is no tensor")
            if gradient is not None and not isinstance(gradient, Tensor):
                raise TypeError(f"{self.name}.backward: gradient {i} must be a Tensor or None, got {type(gradient).__name__}")
        return gradients[:expected]
