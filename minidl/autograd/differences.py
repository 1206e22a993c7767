"""One function at one point, and its slopes: by differences of its outputs, and by the walk back."""

import numpy as np

from ..graph.modes import enable_grad, no_grad
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .functional import grad


class GradcheckError(RuntimeError):
    """The error of gradcheck: the analytic gradient is not the numeric one; the message says where.

    >>> import minidl
    >>> x = minidl.ones(2, dtype=minidl.float64, requires_grad=True)
    >>> try:
    ...     minidl.autograd.gradcheck(lambda x: x * x.detach(), x)  # the analytic gradient is x, the numeric one 2x
    ... except minidl.autograd.GradcheckError:
    ...     print("the gradients differ")
    the gradients differ
    """

    __module__ = "minidl.autograd"  # where one imports it from


class Trial:
    """A function and the inputs at which it is checked; `names` says what its inputs and outputs are called in reports."""

    def __init__(self, func, inputs, eps, names):
        self.func, self.inputs, self.eps, self.names = func, inputs, eps, names
        self.wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]

    def outputs(self):
        """The floating-point outputs, recorded or not as the mode is."""
        outputs = self.func(*self.inputs)
        outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        for y in outputs:
            if not isinstance(y, Tensor):
                raise TypeError(f"{self.names.check}: func must return a tensor or several, got {type(y).__name__}")
            if y.is_floating_point() and y.dtype != np.float64:
                raise TypeError(
                    f"{self.names.check}: func returns {y.dtype}; compute in float64 throughout (.double() on a module)"
                )
        outputs = [y for y in outputs if y.is_floating_point()]
        if not outputs:
            raise TypeError(f"{self.names.check}: func returns no floating-point tensor")
        return outputs

    def recorded(self):
        with enable_grad():
            return self.outputs()

    def analytic(self, outputs, ks, cotangents):
        """{input: gradient or None} of Σ_k v_k·y_k over the chosen outputs, by the walk back."""
        live = [k for k in ks if outputs[k].requires_grad]
        if not live:
            return dict.fromkeys(self.wanted)
        seeds = [wrap(cotangents[k].copy()) for k in live]
        xs = [self.inputs[i] for i in self.wanted]
        found = grad([outputs[k] for k in live], xs, seeds, retain_graph=True, allow_unused=True)
        for k, seed in zip(live, seeds, strict=True):
            if seed.array.tobytes() != cotangents[k].tobytes():
                raise GradcheckError(
                    f"{self.names.check}: backward changed dy, the cotangent of {self.names.output(k)}, in place; copy it"
                )
        for i, dx in zip(self.wanted, found, strict=True):
            if dx is not None and dx.dtype != np.float64:
                raise GradcheckError(f"{self.names.check}: the gradient for {self.names.input(i)} is {dx.dtype}, not float64")
        return {i: None if dx is None else dx.array for i, dx in zip(self.wanted, found, strict=True)}

    def numeric(self, i, cotangents):
        """∂(v_k·y_k)/∂x for each output k, shape (outputs, *x.shape), by moving each element of input i to both sides."""
        x = self.inputs[i].array
        slopes = np.zeros((len(cotangents), *x.shape))
        for index in np.ndindex(x.shape):
            above, below = x[index] + self.eps, x[index] - self.eps
            ups, downs = self.values_at(x, index, above), self.values_at(x, index, below)
            for k, (v, up, down) in enumerate(zip(cotangents, ups, downs, strict=True)):
                slopes[(k, *index)] = np.sum(v * (up - down)) / (above - below)
        return slopes

    def values_at(self, x, index, value):
        """The outputs (copied: they may be views of x) with one element of x replaced, for the moment."""
        kept = x[index]
        x[index] = value
        try:
            with no_grad():
                values = [y.array.copy() for y in self.outputs()]
        finally:
            x[index] = kept
        if not all(np.isfinite(y).all() for y in values):
            raise GradcheckError(
                f"{self.names.check}: an output is not finite with element {index} moved to {value}: too near a border"
            )
        return values

    def one_sided(self, i, index, ks, cotangents, step):
        """The slopes of Σ_k v_k·y_k to the left and to the right of one element of input i."""
        x = self.inputs[i].array
        low, middle, high = (
            sum(np.sum(cotangents[k] * values[k]) for k in ks)
            for values in (self.values_at(x, index, x[index] + move) for move in (-step, 0.0, step))
        )
        return (middle - low) / step, (high - middle) / step


class Names:
    """What reports call the inputs and outputs of a function."""

    check = "gradcheck"

    def input(self, i):
        return f"input {i}"

    def output(self, k):
        return f"output {k}"


class SecondNames(Names):
    """Of the function (inputs, dy) → dx that gradgradcheck differentiates: dx_of are the inputs that its outputs belong to."""

    check = "gradgradcheck"

    def __init__(self, inputs):
        self.inputs, self.dx_of = inputs, []

    def input(self, i):
        return f"input {i}" if i < self.inputs else f"the cotangent of output {i - self.inputs}"

    def output(self, k):
        return f"the gradient for input {self.dx_of[k]}"
