"""Positions: attention alone does not know the order of a sequence, so it is told in one of these ways."""

import math

import numpy as np

from ..dtypes import as_dtype
from ..functions import expect_tensors, stack
from ..tensor import wrap
from .dropout import Dropout
from .linear import checked_sizes
from .module import Module


class PositionalEncoding(Module):
    """x + P with P[t, 2j] = sin(t/10000^{2j/num_hiddens}), P[t, 2j+1] = cos(the same):  (N, T, num_hiddens), same shape out

    Then dropout. P (1, max_len, num_hiddens) is a buffer that state_dict leaves out. A step of fixed length turns each pair
    (sin, cos) by a fixed angle, wherever it starts. Vaswani et al., 2017, section 3.5.

    >>> import minidl
    >>> PositionalEncoding(4)(minidl.zeros(1, 2, 4))
    tensor([[[0.0000, 1.0000, 0.0000, 1.0000],
             [0.8415, 0.5403, 0.0100, 0.9999]]])
    """

    def __init__(self, num_hiddens, dropout=0.0, max_len=1000):
        super().__init__()
        self.num_hiddens, self.max_len = checked_sizes(self, num_hiddens=num_hiddens, max_len=max_len)
        self.dropout = Dropout(dropout)
        angles = np.arange(max_len)[:, None] / 10000 ** (np.arange(0, num_hiddens, 2) / max(num_hiddens, 1))
        table = np.empty((1, max_len, num_hiddens), np.float32)
        table[0, :, 0::2] = np.sin(angles)
        table[0, :, 1::2] = np.cos(angles[:, : num_hiddens // 2])
        self.register_buffer("P", wrap(table), persistent=False)

    def forward(self, X):
        expect_tensors("PositionalEncoding", X=X)
        if X.ndim != 3 or X.shape[2] != self.num_hiddens or X.shape[1] > self.max_len:
            raise ValueError(
                f"PositionalEncoding: expected an input (N, T, {self.num_hiddens}) with T at most max_len={self.max_len}, "
                f"got {X.shape}"
            )
        return self.dropout(X + self.P[:, : X.shape[1]])

    def extra_repr(self):
        return f"num_hiddens={self.num_hiddens}, max_len={self.max_len}"


def apply_rotary(x, offset=0, base=10000.0):
    """Turns each pair (x[2j], x[2j+1]) of the vector at place t by the angle t/base^{2j/E}:  (…, T, E) → (…, T, E)

    Done to queries and keys, it makes their products depend on the distance of their places alone. offset: the place of the
    first vector. E must be even. Su et al., "RoFormer" (2021), equation 34.

    >>> import minidl
    >>> apply_rotary(minidl.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """
    expect_tensors("apply_rotary", x=x)
    if x.ndim < 2 or x.shape[-1] % 2 or not x.is_floating_point():
        raise ValueError(
            f"apply_rotary: expected floating-point numbers (..., T, E) with an even E, got {x.dtype} of shape {x.shape}"
        )
    if type(offset) is not int or offset < 0:
        raise ValueError(f"apply_rotary: offset must be an integer of 0 or more, got {offset!r}")
    T, E = x.shape[-2:]
    angles = np.arange(offset, offset + T)[:, None] / base ** (np.arange(0, E, 2) / max(E, 1))
    sin, cos = wrap(np.sin(angles).astype(x.dtype)), wrap(np.cos(angles).astype(x.dtype))
    a, b = x[..., 0::2], x[..., 1::2]
    return stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def alibi_slopes(num_heads):
    """How fast each head's score falls with the distance: 2^{-8h/H} for head h = 1 … H:  → (num_heads)

    Where H is not a power of 2, the paper's code takes the slopes of the power below and every second one of the power above.
    Press, Smith and Lewis, "Train Short, Test Long" (2021).

    >>> alibi_slopes(4)
    tensor([0.2500, 0.0625, 0.0156, 0.0039])
    """
    return wrap(_slopes("alibi_slopes", num_heads).astype(np.float32))


def alibi_bias(num_heads, L, S=None, causal=True, dtype=None):
    """What ALiBi adds to the scores: −slope·distance, and −inf for later keys if causal:  → (num_heads, L, S)

    The L queries are the last of the S places (all by default), as they are when earlier ones are kept in a cache.

    >>> alibi_bias(1, 2)
    tensor([[[ 0.0000,    -inf],
             [-0.0039,  0.0000]]])
    """
    S = L if S is None else S
    if type(L) is not int or type(S) is not int or not 0 <= L <= S:
        raise ValueError(f"alibi_bias: expected lengths 0 <= L <= S, got L={L!r} and S={S!r}")
    distance = np.arange(S - L, S)[:, None] - np.arange(S)
    bias = _slopes("alibi_bias", num_heads)[:, None, None] * -np.abs(distance)
    if causal:
        bias[:, distance < 0] = -math.inf
    return wrap(bias.astype(np.float32 if dtype is None else as_dtype(dtype)))


def _slopes(name, num_heads):
    if isinstance(num_heads, bool) or not isinstance(num_heads, int) or num_heads < 1:
        raise ValueError(f"{name}: num_heads must be an integer of 1 or more, got {num_heads!r}")
    below = 1 << (num_heads.bit_length() - 1)
    slopes = [2 ** (-8 * h / below) for h in range(1, below + 1)]
    return np.array(slopes + [2 ** (-4 * h / below) for h in range(1, 2 * below, 2)][: num_heads - below])
