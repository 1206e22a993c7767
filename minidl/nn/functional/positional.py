"""Where a token stands in its sequence, told to attention: rotary positions and linear biases."""

import math

import numpy as np

from ...functions import as_tensor, expect_tensors
from ...tensor import wrap


def sinusoids(positions, width, base=10000.0):
    """Angles p / base^(2i/width): positions (T) → (T, width/2), an array of float64."""
    if width < 1 or width % 2:
        raise ValueError(f"sinusoids: sines and cosines come in pairs; expected an even width above 0, got {width}")
    return np.asarray(positions, np.float64)[:, None] / base ** (np.arange(0, width, 2) / width)


def rotary(x, positions=None, base=10000.0):
    """Turns each pair (x_2i, x_2i+1) of the vector at position p by the angle p / base^(2i/E):  (…, T, E) → (…, T, E)

    positions: T integers in a list or a tensor; 0, 1, … by default. For queries and keys before attention: the product of a
    turned query and a turned key depends on the difference of their positions alone. Su et al., "RoFormer" (2021).

    >>> import minidl
    >>> q, k = minidl.tensor([[1.0, 2.0]]), minidl.tensor([[3.0, 4.0]])
    >>> (rotary(q, [5]) * rotary(k, [3])).sum(), (rotary(q, [12]) * rotary(k, [10])).sum()
    (tensor(-6.3962), tensor(-6.3962))
    """
    expect_tensors("rotary", x=x)
    if x.ndim < 2 or not x.is_floating_point():
        raise ValueError(f"rotary: expected floats of shape (…, T, E), got {x.dtype} of shape {x.shape}")
    length, width = x.shape[-2:]
    if width < 2 or width % 2:
        raise ValueError(f"rotary: turns pairs, so the last axis must have an even length above 0, got shape {x.shape}")
    if isinstance(base, bool) or not isinstance(base, (int, float)) or not 0 < base < math.inf:
        raise ValueError(f"rotary: base must be a number above 0, got {base!r}")
    places = np.arange(length) if positions is None else as_tensor(positions).array
    if places.shape != (length,) or (length and places.dtype.kind not in "iu"):
        raise ValueError(f"rotary: expected {length} integers as positions of x {x.shape}, got {positions!r}")
    angles = sinusoids(places, width, base)
    cos = np.repeat(np.cos(angles), 2, axis=-1).astype(x.dtype)  # (T, E): each angle serves two columns
    sin = np.repeat(np.sin(angles), 2, axis=-1).astype(x.dtype)
    sin[:, ::2] *= -1  # (a, b) → (a cos − b sin, b cos + a sin)
    swapped = x.unflatten(-1, (width // 2, 2)).flip(-1).flatten(-2)  # (b, a)
    return x * wrap(cos) + swapped * wrap(sin)


def alibi_slopes(num_heads):
    """How steeply attention falls with distance in each head: (H) floats, 2^(−8/H), 2^(−16/H), … down to 2^(−8).

    If H is no power of 2: those for the power below, then every other one of those for the power above, as Press et al. do.

    >>> alibi_slopes(4)
    tensor([0.2500, 0.0625, 0.0156, 0.0039])
    """
    if isinstance(num_heads, bool) or not isinstance(num_heads, int) or num_heads < 1:
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
    if not 0 <= queries <= keys:
        raise ValueError(f"alibi_bias: queries are the last of the keys; expected 0 ≤ queries ≤ keys, got {queries} and {keys}")
    ahead = np.arange(keys) - np.arange(keys - queries, keys)[:, None]  # j − i, (L, S)
    bias = -slopes.array[:, None, None] * np.abs(ahead) + 0.0  # + 0.0 makes 0 of −0
    return wrap(np.where(causal & (ahead > 0), -np.inf, bias).astype(slopes.dtype))
