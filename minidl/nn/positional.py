"""Where a token stands: sines and cosines added to its vector, or biases added to the scores of attention."""

import numpy as np

from ..tensors import dtypes
from ..tensors.arguments import as_int, expect_tensors, integer
from ..tensors.record import wrap
from .dropout import Dropout
from .functional.positional import sinusoids
from .linear import checked_sizes
from .module import Module

__all__ = ["PositionalEncoding"]


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
        num_hiddens, max_len = self.num_hiddens, self.max_len
        if num_hiddens < 1 or num_hiddens % 2:
            raise ValueError(
                f"PositionalEncoding: sines and cosines come in pairs; num_hiddens must be even and above 0, got {num_hiddens}"
            )
        self.dropout = Dropout(dropout)
        angles = sinusoids(np.arange(max_len), num_hiddens)  # (max_len, num_hiddens/2)
        table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(1, max_len, num_hiddens)
        self.register_buffer("P", wrap(table.astype(dtypes.default)), persistent=False)

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


def alibi_slopes(num_heads):
    """How steeply attention falls with distance in each head: (H) floats, 2^(−8/H), 2^(−16/H), … down to 2^(−8).

    If H is no power of 2: those for the power below, then every other one of those for the power above, as Press et al. do.

    >>> alibi_slopes(4)
    tensor([0.2500, 0.0625, 0.0156, 0.0039])
    """
    num_heads = as_int(num_heads)
    if type(num_heads) is not int or num_heads < 1:
        raise ValueError(f"alibi_slopes: expected an integer of at least 1 as num_heads, got {num_heads!r}")
    lower = 1 << (num_heads.bit_length() - 1)  # the power of 2 at or below
    slopes = [2 ** (-8 * i / lower) for i in range(1, lower + 1)]
    slopes += [2 ** (-8 * i / (2 * lower)) for i in range(1, 2 * lower + 1, 2)][: num_heads - lower]
    return wrap(np.array(slopes, np.float32))


def alibi_bias(slopes, queries, keys, causal=True):
    """−slope·|i − j|, to be added to the scores of attention: slopes (H) → (H, queries, keys).

    The queries are the last of the keys' positions, so with a cache of past keys `queries` is smaller than `keys`. With causal,
    later keys get −inf. It goes to `scaled_dot_product_attention` as attn_mask. Press, Smith and Lewis, "Train Short, Test
    Long: Attention with Linear Biases" (2022).

    >>> import minidl
    >>> alibi_bias(minidl.tensor([0.5]), 2, 3)
    tensor([[[-0.5000,  0.0000,    -inf],
             [-1.0000, -0.5000,  0.0000]]])
    """
    expect_tensors("alibi_bias", slopes=slopes)
    if slopes.ndim != 1 or not slopes.is_floating_point():
        raise ValueError(f"alibi_bias: expected slopes (H) of floats, got {slopes.dtype} of shape {slopes.shape}")
    queries, keys = integer("alibi_bias", queries, "queries"), integer("alibi_bias", keys, "keys")
    if not 0 <= queries <= keys:
        raise ValueError(f"alibi_bias: queries are the last of the keys; expected 0 ≤ queries ≤ keys, got {queries} and {keys}")
    ahead = np.arange(keys) - np.arange(keys - queries, keys)[:, None]  # j − i, (L, S)
    bias = -slopes.array[:, None, None] * np.abs(ahead) + 0.0  # + 0.0 makes 0 of −0
    return wrap(np.where(causal & (ahead > 0), -np.inf, bias).astype(slopes.dtype))
