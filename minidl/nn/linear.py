"""Affine maps, and the layers that only pass their input on, perhaps in another shape."""

import math
from collections.abc import Sequence
from typing import Any

from ..tensors.arguments import as_int, as_ints, expect_tensors
from ..tensors.creation import empty
from . import functional as F, init
from .activation import ReLU
from .containers import Sequential
from .dropout import Dropout
from .lazy import LazyModule
from .module import Module
from .parameter import Parameter, UninitializedParameter

__all__ = ["MLP", "Bilinear", "Flatten", "Identity", "LazyLinear", "Linear", "Unflatten"]


class Linear(Module):
    """y = x Wᵀ + b:  (..., in_features) → (..., out_features)

    W has shape (out_features, in_features), b (out_features). Both start from the uniform distribution on ±1/√in_features.

    >>> import minidl
    >>> minidl.nn.Linear(20, 30)(minidl.ones(128, 20)).shape
    (128, 30)
    """

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        self.in_features, self.out_features = checked_sizes(self, in_features=in_features, out_features=out_features)
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.bias: Any = Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the first values (again)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # the slope that makes the bound 1/√in_features
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class LazyLinear(LazyModule, Linear):
    """A Linear that takes in_features from its first input, and is then a Linear.

    >>> import minidl
    >>> layer = minidl.nn.LazyLinear(3)
    >>> layer(minidl.ones(2, 5)).shape, layer
    ((2, 3), Linear(in_features=5, out_features=3, bias=True))
    """

    becomes = Linear

    def __init__(self, out_features, bias=True, device=None, dtype=None):
        Module.__init__(self)
        self.in_features = 0
        (self.out_features,) = checked_sizes(self, out_features=out_features)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.bias = UninitializedParameter(device=device, dtype=dtype) if bias else None

    def infer(self, input):
        """Takes in_features from the last axis of the input."""
        if self.has_uninitialized_params():
            expect_tensors("LazyLinear", input=input)
            if not input.ndim:
                raise ValueError("LazyLinear: expected an input (..., in_features), got a number")
            self.in_features = input.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))
            if self.bias is not None:
                self.bias.materialize((self.out_features,))
            self.reset_parameters()
        else:  # load_state_dict came first
            self.in_features = self.weight.shape[1]

    def reset_parameters(self):
        """Draws the first values, once there is something to fill."""
        if not self.has_uninitialized_params():
            super().reset_parameters()


class Bilinear(Module):
    """y_o = x₁ᵀ W_o x₂ + b_o:  (..., in1_features), (..., in2_features) → (..., out_features)

    >>> import minidl
    >>> minidl.nn.Bilinear(2, 3, 4)(minidl.ones(5, 2), minidl.ones(5, 3)).shape
    (5, 4)
    """

    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        self.in1_features, self.in2_features, self.out_features = checked_sizes(
            self, in1_features=in1_features, in2_features=in2_features, out_features=out_features
        )
        self.weight = Parameter(empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.bias = Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the first values (again)."""
        bound = 1 / math.sqrt(self.in1_features) if self.in1_features else 0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self):
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """y = x, whatever it was constructed with: a place-holder.

    >>> import minidl
    >>> minidl.nn.Identity(54, unused=0.1)(minidl.tensor(1.0))
    tensor(1.)
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        return input


class Flatten(Module):
    """One axis in place of those from start_dim to end_dim: (N, C, H, W) → (N, C·H·W) by default.

    >>> import minidl
    >>> minidl.nn.Flatten()(minidl.ones(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        expect_tensors("Flatten", input=input)
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Several axes in place of one.

    >>> import minidl
    >>> minidl.nn.Unflatten(1, (3, 4))(minidl.ones(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim, unflattened_size):
        super().__init__()
        if not isinstance(unflattened_size, Sequence):
            raise TypeError(f"Unflatten: expected a tuple of sizes, got {unflattened_size!r}")
        self.dim, self.unflattened_size = as_int(dim), as_ints(tuple(unflattened_size))

    def forward(self, input):
        expect_tensors("Unflatten", input=input)
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class MLP(Sequential):
    """A multilayer perceptron: Linear, norm, activation and dropout for each hidden width, then a Linear.

    hidden: the widths, a sequence of integers; an empty one gives an affine map.
    activation: makes the activation, `activation()`. norm: makes a normalization from a width, `norm(width)`; None for none.
    dropout: the probability with which a hidden unit is dropped in training; 0 leaves the layer out.
    (..., in_features) → (..., out_features)

    >>> import minidl
    >>> minidl.nn.MLP(2, [8, 8], 1)(minidl.ones(4, 2)).shape
    (4, 1)
    """

    def __init__(self, in_features, hidden, out_features, activation: Any = ReLU, dropout=0.0, norm=None):
        if not isinstance(hidden, Sequence) or isinstance(hidden, str):
            raise TypeError(f"MLP: hidden must be a sequence of widths such as [64], got {hidden!r}")
        layers, width = [], in_features
        for units in hidden:
            layers.append(Linear(width, units))
            if norm is not None:
                layers.append(norm(units))
            layers.append(activation())
            if dropout:
                layers.append(Dropout(dropout))
            width = units
        super().__init__(*layers, Linear(width, out_features))


def checked_sizes(module, **sizes):
    """The sizes as Python's integers of 0 or more, in order."""
    result = [as_int(size) for size in sizes.values()]
    for name, size in zip(sizes, result, strict=True):
        if type(size) is not int or size < 0:
            raise ValueError(f"{type(module).__name__}: {name} must be an integer of 0 or more, got {size!r}")
    return result
