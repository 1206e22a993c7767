"""Positions, added to what is at them."""

import numpy as np

from ..functions import expect_tensors
from ..tensor import wrap
from .dropout import Dropout
from .functional.positional import sinusoids
from .linear import checked_sizes
from .module import Module


class PositionalEncoding(Module):
    """x + P, then dropout:  (N, T, num_hiddens) → (N, T, num_hiddens), for T up to max_len

    P[p, 2i] = sin(p / 10000^(2i/num_hiddens)) and P[p, 2i+1] = cos of the same. The buffer `P`, (1, max_len, num_hiddens), is
    not learned and not in the state_dict. Vaswani et al., "Attention Is All You Need" (2017), 3.5.

    >>> import minidl
    >>> minidl.nn.PositionalEncoding(4)(minidl.zeros(1, 2, 4))
    tensor([[[0.0000, 1.0000, 0.0000, 1.0000],
             [0.8415, 0.5403, 0.0100, 0.9999]]])
    """

    def __init__(self, num_hiddens, dropout=0.0, max_len=1000):
        super().__init__()
        self.num_hiddens, self.max_len = checked_sizes(self, num_hiddens=num_hiddens, max_len=max_len)
        if num_hiddens < 1 or num_hiddens % 2:
            raise ValueError(
                f"PositionalEncoding: sines and cosines come in pairs; num_hiddens must be even and above 0, got {num_hiddens}"
            )
        self.dropout = Dropout(dropout)
        angles = sinusoids(np.arange(max_len), num_hiddens)  # (max_len, num_hiddens/2)
        table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(1, max_len, num_hiddens)
        self.register_buffer("P", wrap(table.astype(np.float32)), persistent=False)

    def forward(self, X):
        expect_tensors("PositionalEncoding", X=X)
        if X.ndim != 3 or X.shape[-1] != self.num_hiddens:
            raise ValueError(f"PositionalEncoding: expected an input (N, T, {self.num_hiddens}), got shape {X.shape}")
        if X.shape[1] > self.max_len:
            raise ValueError(
                f"PositionalEncoding: a sequence of {X.shape[1]} is longer than max_len={self.max_len}; give a larger max_len"
            )
        return self.dropout(X + self.P[:, : X.shape[1]])

    def extra_repr(self):
        return f"{self.num_hiddens}, max_len={self.max_len}"
