"""One step of a recurrent layer, for loops over time that the user writes."""

import math

from .. import ops
from ..tensors.creation import empty
from ..tensors.record import apply, remedy_for
from ..tensors.tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter
from .recurrent import no_state, sizes_of

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class RNNCellBase(Module):
    """weight_ih (gates·hidden, inputs), weight_hh (gates·hidden, hidden), bias_ih and bias_hh (gates·hidden)."""

    gates = 1

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__()
        self.input_size, self.hidden_size = sizes_of(self, input_size=input_size, hidden_size=hidden_size)
        self.bias, rows = bias, self.gates * self.hidden_size
        self.weight_ih = Parameter(empty(rows, self.input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, self.hidden_size, device=device, dtype=dtype))
        self.bias_ih = Parameter(empty(rows, device=device, dtype=dtype)) if bias else None
        self.bias_hh = Parameter(empty(rows, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the first values (again): uniform on ±1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self):
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def _step(self, op, input, *states):
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}{remedy_for(input)}")
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(f"{name}: expected an input (N, {self.input_size}) or ({self.input_size},), got {input.shape}")
        shape = (*input.shape[:-1], self.hidden_size)
        for state in states:
            if state is not None and (not isinstance(state, Tensor) or state.shape != shape):
                got = state.shape if isinstance(state, Tensor) else type(state).__name__
                raise ValueError(f"{name}: expected a state of shape {shape}, got {got}")
        batched = input.ndim == 2
        x = input.unsqueeze(0) if batched else input.unsqueeze(0).unsqueeze(0)
        zeros = no_state(x.shape[1], self.hidden_size, x.dtype)
        states = [zeros if s is None else s if batched else s.unsqueeze(0) for s in states]
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)[: 4 if self.bias else 2]
        _, *lasts = apply(op, x, *states, *weights)
        return lasts if batched else [last.squeeze(0) for last in lasts]


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU in tanh's place:  (N, input), (N, hidden) → (N, hidden)

    >>> import minidl
    >>> minidl.nn.RNNCell(10, 20)(minidl.ones(3, 10)).shape
    (3, 20)
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input, hx=None):
        return self._step(ops.RNN(relu=self.nonlinearity == "relu"), input, hx)[0]

    def extra_repr(self):
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of `LSTM`:  (N, input), ((N, hidden), (N, hidden)) → (h', c')

    >>> import minidl
    >>> h, c = minidl.nn.LSTMCell(10, 20)(minidl.ones(3, 10))
    >>> h.shape, c.shape
    ((3, 20), (3, 20))
    """

    gates = 4

    def forward(self, input, hx=None):
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"LSTMCell: expected the states as (h, c), got {type(hx).__name__}")
        return tuple(self._step(ops.LSTM(), input, *((None, None) if hx is None else hx)))


class GRUCell(RNNCellBase):
    """One step of `GRU`:  (N, input), (N, hidden) → (N, hidden)

    >>> import minidl
    >>> minidl.nn.GRUCell(10, 20)(minidl.ones(3, 10)).shape
    (3, 20)
    """

    gates = 3

    def forward(self, input, hx=None):
        return self._step(ops.GRU(), input, hx)[0]
