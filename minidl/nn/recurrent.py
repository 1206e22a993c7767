"""Recurrent layers: RNN, LSTM and GRU over whole sequences. All steps of a layer are one operation, and one kernel."""

import math
import numbers
import warnings
from typing import Any

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from ..tensors.arguments import integer, number
from ..tensors.creation import empty, zeros
from ..tensors.joining import cat, stack
from ..tensors.record import apply, remedy_for, wrap
from ..tensors.tensor import Tensor
from . import functional as F, init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]

PARTS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


@repeatable(constant=True)
def no_state(rows, features, dtype):
    """The state before the first step."""
    return np.zeros((rows, features), dtype)


class RNNBase(Module):
    """What RNN, LSTM and GRU have in common: parameters, layers one above the other, directions.

    Layer l has weight_ih_l{l} (gates·hidden, inputs), weight_hh_l{l} (gates·hidden, hidden), bias_ih_l{l} and bias_hh_l{l}
    (gates·hidden), and the same with _reverse for the direction from the end. All start from the uniform distribution on
    ±1/√hidden_size.

    >>> import minidl
    >>> rnn = minidl.nn.LSTM(3, 5)
    >>> isinstance(rnn, RNNBase), rnn.weight_ih_l0.shape  # an LSTM has 4 gates
    (True, (20, 3))
    >>> output, (h, c) = rnn(minidl.randn(7, 2, 3))
    >>> output.shape, h.shape
    ((7, 2, 5), (1, 2, 5))
    """

    gates = 1
    weight_ih_l0: Any
    weight_hh_l0: Any
    bias_ih_l0: Any
    bias_hh_l0: Any

    def __init__(
        self,
        mode,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        super().__init__()
        name = type(self).__name__
        self.mode, self.bias, self.batch_first, self.bidirectional = mode, bias, batch_first, bidirectional
        self.input_size, self.hidden_size, self.num_layers = sizes_of(
            self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers
        )
        if isinstance(dropout, bool) or not isinstance(dropout, numbers.Real) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be a probability from 0 to 1, got {dropout!r}")
        if dropout and self.num_layers == 1:
            warnings.warn(f"{name}: dropout stands between layers, and with num_layers=1 there is none", stacklevel=3)
        self.dropout, self.proj_size = number(name, "dropout", dropout), self._checked_proj_size(proj_size)
        self._flat_weights_names = []
        H, outputs = self.hidden_size, self.proj_size or self.hidden_size
        for layer in range(self.num_layers):
            inputs = self.input_size if layer == 0 else outputs * self.directions
            rows = self.gates * H
            shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, outputs), "weight_hr": (outputs, H)}
            for suffix in self._suffixes(layer):
                for part in self._parts:
                    weight = Parameter(empty(shapes.get(part, (rows,)), device=device, dtype=dtype))
                    setattr(self, part + suffix, weight)
                    self._flat_weights_names.append(part + suffix)
        self.reset_parameters()

    @property
    def directions(self):
        """2 if the layer is bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    def _checked_proj_size(self, proj_size):
        name, size = type(self).__name__, integer(type(self).__name__, proj_size, "proj_size")
        if size and self.mode != "LSTM":
            raise ValueError(f"{name}: only LSTM has a projection, got proj_size={proj_size}; leave it out")
        if not 0 <= size < self.hidden_size:
            raise ValueError(
                f"{name}: proj_size must be 0 (none) to {self.hidden_size - 1}, below hidden_size, got {proj_size}"
            )
        return size

    @property
    def _parts(self):
        """The names of a layer's parameters, without their suffix."""
        return PARTS[: 4 if self.bias else 2] + (("weight_hr",) if self.proj_size else ())

    def _suffixes(self, layer):
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    @property
    def _flat_weights(self):
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self):
        """The parameters, a list for each layer and direction."""
        count = len(self._parts)
        return [self._flat_weights[i : i + count] for i in range(0, len(self._flat_weights_names), count)]

    def reset_parameters(self):
        """Draws the first values (again)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self):
        """There is nothing to do: each weight is packed when it is used."""

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        defaults["proj_size"] = 0
        changed = {name: getattr(self, name) for name, default in defaults.items() if getattr(self, name) != default}
        return ", ".join([text, *(f"{name}={value}" for name, value in changed.items())])

    def forward(self, input, hx=None):
        name, packed = type(self).__name__, isinstance(input, PackedSequence)
        x, sizes = (input.data, tuple(input.batch_sizes.tolist())) if packed else (input, None)
        batched = packed or self._check_input(name, x)
        if not packed:
            if not batched:
                x = x.unsqueeze(1)
            elif self.batch_first:
                x = x.transpose(0, 1)
            if 0 in x.shape[:1]:
                raise ValueError(f"{name}: expected sequences of length 1 or more, got an input of shape {input.shape}")
        elif x.ndim != 2 or x.shape[1] != self.input_size:
            raise ValueError(f"{name}: expected packed rows of {self.input_size} features, got shape {x.shape}")
        states = self._first_states(name, hx, sizes[0] if packed else x.shape[1], batched, x)
        if packed and input.sorted_indices is not None:
            states = [None if s is None else s.index_select(1, input.sorted_indices) for s in states]
        nothing = no_state(sizes[0] if packed else x.shape[1], self.hidden_size, x.dtype)  # no gradient is wanted for it
        lasts = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                at = layer * self.directions + direction
                firsts = [nothing if s is None else s[at] for s in states]
                weights = [getattr(self, part + suffix) for part in self._parts]
                y, *last = self._run(x, sizes, direction == 1, firsts, weights)
                outputs.append(y)
                lasts.append(last)
            x = cat(outputs, -1) if self.bidirectional else outputs[0]
        lasts = [stack(parts) for parts in zip(*lasts, strict=True)]
        if packed:
            if input.unsorted_indices is not None:
                lasts = [last.index_select(1, input.unsorted_indices) for last in lasts]
            x = PackedSequence(x, *input[1:])
        elif not batched:
            x, lasts = x.squeeze(1), [last.squeeze(1) for last in lasts]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, lasts[0] if len(lasts) == 1 else tuple(lasts)

    def _run(self, x, sizes, reverse, firsts, weights):
        """One layer in one direction: y and the last states."""
        return apply(self._operation(sizes, reverse), x, *firsts, *weights)

    def _check_input(self, name, x):
        """Whether there is a batch axis."""
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected a Tensor or a PackedSequence, got {type(x).__name__}{remedy_for(x)}")
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            order = "(N, T" if self.batch_first else "(T, N"
            raise ValueError(f"{name}: expected an input {order}, {self.input_size}) or (T, {self.input_size}), got {x.shape}")
        return x.ndim == 3

    def _first_states(self, name, hx, N, batched, x):
        """[h] or [h, c], each (layers·directions, N, hidden), or None for zeros."""
        count = 2 if self.mode == "LSTM" else 1
        given = [None] * count if hx is None else list(hx) if count == 2 and isinstance(hx, (tuple, list)) else [hx]
        if len(given) != count:
            right = "(h_0, c_0)" if count == 2 else "a Tensor h_0"
            call = "layer(x, (h_0, c_0))" if count == 2 else "layer(x, h_0)"
            raise TypeError(f"{name}: expected the first states as {right}, got {type(hx).__name__}; write {call}")
        lead = self.num_layers * self.directions
        for label, state, size in zip(
            ("h_0", "c_0"), given, (self.proj_size or self.hidden_size, self.hidden_size), strict=False
        ):
            shape = (lead, N, size) if batched else (lead, size)
            if state is None and hx is None:
                continue
            if not isinstance(state, Tensor):
                raise TypeError(f"{name}: expected {label} as a Tensor, got {type(state).__name__}{remedy_for(state)}")
            if state.shape != shape or state.dtype != x.dtype:
                got = f"{state.shape} and {state.dtype}"
                raise ValueError(f"{name}: expected {label} of shape {shape} and {x.dtype}, got {got}")
        return [s if s is None or batched else s.unsqueeze(1) for s in given]


def _first_rows(sizes, reverse):
    """Which row of the packed input each sequence begins with: of the first step, or, read from its end, of its last one."""
    sequences = np.arange(sizes[0])
    if not reverse:
        return sequences
    lasts = (sizes[:, None] > sequences).sum(0) - 1
    return (np.cumsum(sizes) - sizes)[lasts] + sequences


def sizes_of(module, **sizes):
    """The sizes as Python integers of 1 or more."""
    name = type(module).__name__
    for key, value in sizes.items():
        size = integer(name, value, key)
        if size < 1:
            raise ValueError(f"{name}: {key} must be 1 or more, got {value!r}")
        yield size


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), or ReLU in tanh's place:  (T, N, input) → (T, N, hidden), last states

    batch_first: (N, T, …). Without a batch axis: (T, input) → (T, hidden). A PackedSequence gives a PackedSequence. The first
    states are zeros by default, (layers·directions, N, hidden). With several layers, each reads the outputs of the one below,
    after dropout; bidirectional: a second direction reads from the end, and its outputs stand beside the first one's.

    >>> import minidl
    >>> y, h = minidl.nn.RNN(10, 20)(minidl.ones(5, 3, 10))
    >>> y.shape, h.shape
    ((5, 3, 20), (1, 3, 20))
    """

    chosen = ("mode",)

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", *args, **options):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, *args, **options)

    def _operation(self, sizes, reverse):
        return ops.RNN(sizes, reverse, self.nonlinearity == "relu")


class LSTM(RNNBase):
    """i, f, o = σ(…), g = tanh(…); c_t = f·c_{t−1} + i·g; h_t = o·tanh(c_t):  (T, N, input) → (T, N, hidden), (last h, last c)

    Each gate is a function of W_ih x_t + b_ih + W_hh h_{t−1} + b_hh, whose rows have the order i, f, g, o. Shapes and options
    as `RNN`; the first states are a pair (h_0, c_0). Hochreiter and Schmidhuber, "Long short-term memory" (1997).

    proj_size P, below hidden_size: h_t = W_hr (o·tanh(c_t)), so that outputs and h have P numbers, c still hidden_size.
    weight_hr_l{l} is (P, hidden). Sak, Senior and Beaufays, "Long short-term memory based recurrent neural network
    architectures" (2014).

    >>> import minidl
    >>> y, (h, c) = minidl.nn.LSTM(10, 20, num_layers=2, batch_first=True)(minidl.ones(3, 5, 10))
    >>> y.shape, h.shape, c.shape
    ((3, 5, 20), (2, 3, 20), (2, 3, 20))
    """

    gates, chosen = 4, ("mode",)

    def __init__(self, *args, **options):
        super().__init__("LSTM", *args, **options)

    def _operation(self, sizes, reverse):
        return ops.LSTM(sizes, reverse)

    def _run(self, x, sizes, reverse, firsts, weights):
        """With a projection, the kernel runs over m = o·tanh(c):  h_{t−1} = W_hr m_{t−1}, W_hh h_{t−1} = (W_hh W_hr) m_{t−1}.

        h_0 comes from no m. It enters the first step as further inputs, with W_hh for their weights: they are 0 in later steps.
        """
        if not self.proj_size:
            return super()._run(x, sizes, reverse, firsts, weights)
        (h, c), (w_ih, w_hh, *biases, w_hr) = firsts, weights
        m = no_state(len(c), self.hidden_size, x.dtype)
        if isinstance(h, Tensor):
            sizes_ = np.full(x.shape[0], x.shape[1]) if sizes is None else np.array(sizes)
            at = _first_rows(sizes_, reverse)
            further = zeros(int(sizes_.sum()), self.proj_size, dtype=x.dtype).index_copy(0, wrap(at), h)
            x = cat([x, further.reshape(*x.shape[:-1], self.proj_size)], -1)
            w_ih = cat([w_ih, w_hh], 1)
        y, m, c = apply(self._operation(sizes, reverse), x, m, c, w_ih, w_hh @ w_hr, *biases)
        return F.linear(y, w_hr), F.linear(m, w_hr), c


class GRU(RNNBase):
    """n = tanh(W_in x_t + b_in + r·(W_hn h_{t−1} + b_hn)); h_t = (1 − z)·n + z·h_{t−1}:  (T, N, input) → (T, N, hidden), last h

    r, z = σ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh). The rows of the weights have the order r, z, n. reset_after=False: r is
    multiplied before the product, as *Dive into Deep Learning* has it: n = tanh(W_in x_t + b_in + W_hn (r·h_{t−1}) + b_hn).
    Shapes and other options as `RNN`. Cho et al. (2014).

    >>> import minidl
    >>> y, h = minidl.nn.GRU(10, 20, bidirectional=True)(minidl.ones(5, 3, 10))
    >>> y.shape, h.shape
    ((5, 3, 40), (2, 3, 20))
    """

    gates, chosen = 3, ("mode",)

    def __init__(self, *args, reset_after=True, **options):
        self.reset_after = reset_after
        super().__init__("GRU", *args, **options)

    def _operation(self, sizes, reverse):
        return ops.GRU(sizes, reverse, self.reset_after)
