"""Scaled dot-product attention."""

import math

from ... import ops, random
from ...graph.watch import repeatable
from ...kernels import twister
from ...tensors.arguments import expect_tensors, number
from ...tensors.record import apply
from ...tensors.tensor import Tensor
from .basic import check_probability, dropout

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """softmax(q kᵀ·scale + mask) v:  (…, L, E), (…, S, E), (…, S, F) → (…, L, F), without storing the L × S weights

    attn_mask (…, L or 1, S or 1): bool, True where a query may see a key, or float, added to the scores. is_causal: query i
    sees the keys up to i. scale: 1/√E by default. dropout_p: each weight is dropped with this probability; there is no training
    flag. enable_gqa: several heads of queries, axis −3, share one of keys. In primitive operations, without dropout:

        scores = (query @ key.transpose(-1, -2) * scale).masked_fill(~attn_mask, -math.inf)
        return scores.softmax(-1) @ value

    What is hidden does not matter, even NaN; a query that sees nothing gives zeros and gets a gradient of zeros. (In PyTorch
    both give NaN, in some of its ways to compute this.) Dao et al., "FlashAttention" (2022).

    >>> import minidl
    >>> keys = minidl.tensor([[5.0, 0.0], [0.0, 5.0]])
    >>> scaled_dot_product_attention(2 * keys, keys, minidl.tensor([[1.0], [2.0]]))
    tensor([[1.],
            [2.]])
    """
    name = "scaled_dot_product_attention"
    expect_tensors(name, query=query, key=key, value=value)
    check_probability(name, dropout_p)
    if attn_mask is not None and is_causal:
        raise ValueError(f"{name}: is_causal=True and an attn_mask were given; hide later keys in the mask, or leave it out")
    if attn_mask is not None and (not isinstance(attn_mask, Tensor) or attn_mask.array.dtype.kind not in "bf"):
        kind = attn_mask.dtype if isinstance(attn_mask, Tensor) else type(attn_mask).__name__
        raise TypeError(f"{name}: expected an attn_mask of bool (True: may be seen) or of floats, added to scores, got {kind}")
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1] or 1) if query.ndim else 1.0
    if enable_gqa:
        query, key, value, attn_mask = _grouped(name, query, key, value, attn_mask)
    allowed = bias = None
    if attn_mask is not None:
        allowed, bias = (attn_mask.array, None) if attn_mask.array.dtype.kind == "b" else (None, attn_mask)
    drop = dropout_p if dropout_p < 1 else 0.0
    seed = _draw_seed() if drop else 0
    op = ops.ScaledDotProductAttention(number(name, "scale", scale), bool(is_causal), allowed, float(drop), seed)
    y = apply(op, query, key, value) if bias is None else apply(op, query, key, value, bias)
    if dropout_p == 1:
        y = dropout(y, 1.0)
    return y.flatten(-4, -3) if enable_gqa else y


@repeatable
def _draw_seed():
    """Of the random numbers that decide which weights are dropped."""
    return random.default_generator.with_words(twister.seed_from)


def _grouped(name, query, key, value, mask):
    """The heads of queries (…, H, L, E) as (…, heads of keys, H / these, L, E), and the others to fit."""
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise ValueError(
            f"{name}: enable_gqa needs heads, (…, heads, length, E), got {query.shape}, {key.shape}, {value.shape}"
        )
    heads, shared = query.shape[-3], key.shape[-3]
    if value.shape[-3] != shared or not shared or heads % shared:
        got = f"{heads}, {shared} and {value.shape[-3]}"
        raise ValueError(f"{name}: heads of queries must be a multiple of those of keys, which are those of values; got {got}")
    if mask is not None and mask.ndim > 2:
        mask = mask.unflatten(-3, (shared, heads // shared)) if mask.shape[-3] == heads else mask.unsqueeze(-3)
    return query.unflatten(-3, (shared, heads // shared)), key.unsqueeze(-3), value.unsqueeze(-3), mask
