"""Operations of one's own, written as PyTorch's are: static forward and backward on tensors, and a ctx between them."""

from ..ops import Op
from ..tensor import Tensor, apply, no_grad, wrap


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
        raise NotImplementedError("Function: write a static backward(ctx, *gradients)")

    @classmethod
    def apply(cls, *args):
        return apply(_Call(cls, args), *(x for x in args if isinstance(x, Tensor)))


class Context:
    """What forward leaves for backward: tensors by `save_for_backward`, anything else as attributes."""

    saved_tensors = ()
    needs_input_grad = ()

    def save_for_backward(self, *tensors):
        self.saved_tensors = tensors


class _Call(Op):
    """One call of a Function, as a node of the graph."""

    def __init__(self, function, args):
        self.function, self.args = function, args
        self.is_tensor = [isinstance(x, Tensor) for x in args]

    @property
    def name(self):
        return self.function.__name__

    def forward(self, *arrays):
        needs = iter(self.needs)
        self.context = ctx = Context()
        ctx.needs_input_grad = tuple(is_tensor and next(needs) is not None for is_tensor in self.is_tensor)
        tensors = iter(arrays)
        args = [wrap(next(tensors)) if is_tensor else x for x, is_tensor in zip(self.args, self.is_tensor, strict=True)]
        self.args = None  # backward has what ctx was given, and nothing else is kept
        with no_grad():
            result = self.function.forward(ctx, *args)
        self.saved = [x.array for x in ctx.saved_tensors if x is not None]  # for the check of changes in place
        if isinstance(result, tuple):
            return tuple(self._own(y, arrays) for y in result)
        return self._own(result, arrays)

    def _own(self, y, arrays):
        if not isinstance(y, Tensor):
            raise TypeError(f"{self.name}.forward: expected a Tensor or a tuple of Tensors, got {type(y).__name__}")
        return y.array.copy() if any(y.array is x for x in arrays) else y.array

    def backward(self, dy):
        dys = [None if d is None else wrap(d) for d in dy] if isinstance(dy, list) else [wrap(dy)]
        with no_grad():
            gradients = self.function.backward(self.context, *dys)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        if len(gradients) != len(self.is_tensor):
            raise RuntimeError(
                f"{self.name}.backward: expected {len(self.is_tensor)} gradients, one for each argument of forward, got {len(gradients)}"
            )
        # Copied, because a user's backward may well return one tensor twice, or one that it saved.
        return tuple(
            None if g is None else g.array.copy()
            for g, is_tensor in zip(gradients, self.is_tensor, strict=True)
            if is_tensor
        )
