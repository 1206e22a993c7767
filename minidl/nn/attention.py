"""Multi-head attention: several attentions at once, each in a space of its own, as the layers of a Transformer use it."""

import math

import numpy as np

from .. import ops
from ..graph.watch import repeatable
from ..tensors.arguments import expect_tensors
from ..tensors.creation import empty, ones, zeros
from ..tensors.joining import cat
from ..tensors.record import apply, wrap
from ..tensors.tensor import Tensor
from . import functional as F, init
from .functional.attention_scores import pool_where, softmax_where, where_seen
from .functional.basic import check_probability
from .linear import Linear, checked_sizes
from .module import Module
from .parameter import Parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """concat(head₁, …, head_H) W_o + b_o with head_i = attention(q W_i^q, k W_i^k, v W_i^v)

    query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim) → (output (L, N, embed_dim), weights); with batch_first the
    first two axes change places, and without a batch N is left out. Each head works in embed_dim/num_heads dimensions. The
    parameters have PyTorch's names: in_proj_weight (the three matrices one below the other; q_proj_weight, k_proj_weight and
    v_proj_weight if kdim or vdim differ from embed_dim), in_proj_bias and out_proj. The matrices start from Xavier's uniform
    distribution, the biases from 0. add_bias_kv: a learned key and value, bias_k and bias_v, stand behind the projected ones;
    add_zero_attn: then a key and a value of zeros. Every query sees them, no mask has a place for them, and the weights have.

    Stricter than PyTorch: a query that may see no key gets zero weights and an output of out_proj.bias, and no NaN; and
    is_causal=True is compared with the mask that it speaks of. Vaswani et al., "Attention Is All You Need" (2017).

    >>> import minidl
    >>> attention = MultiheadAttention(8, 2, batch_first=True)
    >>> x = minidl.randn(4, 5, 8)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape, weights.sum(-1).allclose(minidl.ones(4, 5))
    ((4, 5, 8), (4, 5, 5), True)
    """

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        sizes = checked_sizes(self, embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        self.embed_dim, self.num_heads, self.kdim, self.vdim = sizes
        if self.embed_dim < 1 or self.num_heads < 1 or self.embed_dim % self.num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim must be a multiple of num_heads, both 1 or more; got embed_dim={embed_dim} and "
                f"num_heads={num_heads}"
            )
        check_probability("MultiheadAttention", dropout)
        self.dropout, self.batch_first = dropout, batch_first
        self.head_dim = self.embed_dim // self.num_heads
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        options = {"device": device, "dtype": dtype}
        if self.kdim == self.vdim == self.embed_dim:
            self.in_proj_weight = Parameter(empty(3 * self.embed_dim, self.embed_dim, **options))
        else:
            self.q_proj_weight = Parameter(empty(self.embed_dim, self.embed_dim, **options))
            self.k_proj_weight = Parameter(empty(self.embed_dim, self.kdim, **options))
            self.v_proj_weight = Parameter(empty(self.embed_dim, self.vdim, **options))
        self.in_proj_bias = Parameter(empty(3 * self.embed_dim, **options)) if bias else None
        self.out_proj = Linear(self.embed_dim, self.embed_dim, bias=bias, **options)
        self.bias_k, self.bias_v = (Parameter(empty(1, 1, self.embed_dim, **options)) if add_bias_kv else None for _ in "kv")
        self.add_zero_attn = add_zero_attn
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the first values of what stands before the heads (again), as PyTorch does; out_proj has drawn its own."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        if self.bias_k is not None:
            init.xavier_normal_(self.bias_k)
            init.xavier_normal_(self.bias_v)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        """(output, weights), the weights None unless need_weights.

        key_padding_mask (N, S): keys that nobody sees. attn_mask (L, S) or (N·num_heads, L, S): what a query does not see. In
        both True means hidden; floats are added to the scores. is_causal=True says that attn_mask hides exactly the keys after
        the query, which is faster. weights: (N, L, S), the mean over the heads, or with average_attn_weights=False
        (N, num_heads, L, S); in training those that dropout left. need_weights=False is faster and takes less memory.
        """
        batched = self._check(query, key, value)
        if not batched:
            alike = query is key, key is value
            query = query.unsqueeze(0)
            key = query if alike[0] else key.unsqueeze(0)
            value = key if alike[1] else value.unsqueeze(0)
            if isinstance(key_padding_mask, Tensor) and key_padding_mask.ndim == 1:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        first = self.batch_first or not batched
        q, k, v = self._heads(query, key, value, first)
        mask, causal = self._mask(q, k, key_padding_mask, attn_mask, is_causal, need_weights)
        k, v = self._with_further_keys(k, v)
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            weights = F.dropout(attention_weights(q, k, mask), dropout)
            heads = weights @ v if mask is None else pool_where(seen_by(mask), weights, v)
        else:
            weights = None
            heads = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
        together = heads.permute(0, 2, 1, 3) if first else heads.permute(2, 0, 1, 3)
        output = self.out_proj(together.reshape(*query.shape[:2], self.embed_dim))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if batched:
            return output, weights
        return output.squeeze(0), None if weights is None else weights.squeeze(0)

    def _heads(self, query, key, value, batch_first):
        """Queries (N, H, L, D), keys and values (N, H, S, D): projected, then cut into heads."""
        E, H, D, bias = self.embed_dim, self.num_heads, self.head_dim, self.in_proj_bias
        if query is key and key is value and self.in_proj_weight is not None:  # one product in place of three
            return unpacked_heads(F.linear(query, self.in_proj_weight, bias), H, batch_first)
        if self.in_proj_weight is not None:
            weights = self.in_proj_weight.split(E)
        else:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        biases = (None, None, None) if bias is None else bias.split(E)
        heads = []
        for x, weight, b in zip((query, key, value), weights, biases, strict=True):
            y = F.linear(x, weight, b).reshape(*x.shape[:2], H, D)
            heads.append(y.permute(0, 2, 1, 3) if batch_first else y.permute(1, 2, 0, 3))
        return heads

    def _check(self, query, key, value):
        """Whether there is a batch; raises if the shapes do not fit."""
        expect_tensors("MultiheadAttention", query=query, key=key, value=value)
        q, k, v = query.shape, key.shape, value.shape
        batch = 0 if self.batch_first else 1
        fits = len(q) == len(k) == len(v) and len(q) in (2, 3) and k[:-1] == v[:-1] and (len(q) == 2 or q[batch] == k[batch])
        if not fits or (q[-1], k[-1], v[-1]) != (self.embed_dim, self.kdim, self.vdim):
            lead = ("N, L", "N, S") if self.batch_first else ("L, N", "S, N")
            wanted = f"({lead[0]}, {self.embed_dim}), ({lead[1]}, {self.kdim}) and ({lead[1]}, {self.vdim})"
            raise ValueError(
                f"MultiheadAttention: expected query, key and value {wanted}, or all without N, since "
                f"batch_first={self.batch_first}; got {q}, {k} and {v}"
            )
        return len(q) == 3

    def _mask(self, q, k, padding, mask, is_causal, need_weights):
        """The masks as one (True: seen; floats: added), or None and True if causality, which needs no mask, is all of it."""
        (N, H, L, _), S = q.shape, k.shape[2]
        _check_mask("key_padding_mask", padding, [(N, S)], q.dtype)
        _check_mask("attn_mask", mask, [(L, S), (N * H, L, S)], q.dtype)
        if is_causal:
            if mask is None:
                raise ValueError(
                    "MultiheadAttention: is_causal=True speaks of an attn_mask, and none was given; pass "
                    "nn.Transformer.generate_square_subsequent_mask(L) with it"
                )
            if not is_causal_mask(mask):
                raise ValueError(
                    f"MultiheadAttention: is_causal=True was given, but attn_mask {mask.shape} does not hide exactly the keys "
                    "after the query; leave is_causal out"
                )
            if padding is None and not need_weights and not mask.requires_grad and not self._further_keys:
                return None, True
        if mask is not None and mask.ndim == 3:
            mask = mask.unflatten(0, (N, H))
        if padding is not None:
            padding = padding.reshape(N, 1, 1, S)
        mask = merged_mask(mask, padding, q.dtype)
        if mask is not None and self._further_keys:
            seen = ones if mask.dtype == bool else zeros
            mask = cat([mask, seen(*mask.shape[:-1], self._further_keys, dtype=mask.dtype)], -1)
        return mask, False

    @property
    def _further_keys(self):
        return (self.bias_k is not None) + bool(self.add_zero_attn)

    def _with_further_keys(self, k, v):
        """Keys and values (N, H, S, D) with bias_k and bias_v and the zeros behind them."""
        N, H, _, D = k.shape
        if self.bias_k is not None:
            k = cat([k, self.bias_k.reshape(1, H, 1, D).expand(N, H, 1, D)], 2)
            v = cat([v, self.bias_v.reshape(1, H, 1, D).expand(N, H, 1, D)], 2)
        if self.add_zero_attn:
            nothing = zeros(N, H, 1, D, dtype=k.dtype)
            k, v = cat([k, nothing], 2), cat([v, nothing], 2)
        return k, v

    def extra_repr(self):
        sizes = "" if self.kdim == self.vdim == self.embed_dim else f", kdim={self.kdim}, vdim={self.vdim}"
        sizes += ", add_bias_kv=True" if self.bias_k is not None else ""
        sizes += ", add_zero_attn=True" if self.add_zero_attn else ""
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}{sizes}, dropout={self.dropout}, "
            f"bias={self.in_proj_bias is not None}, batch_first={self.batch_first}"
        )


def unpacked_heads(packed, num_heads, batch_first=True):
    """Queries, keys and values (N, H, T, D) from what one dense layer made of them, (N, T, 3·H·D) (or T first)

    >>> import minidl
    >>> [x.shape for x in unpacked_heads(minidl.ones(2, 5, 24), 4)]
    [(2, 4, 5, 2), (2, 4, 5, 2), (2, 4, 5, 2)]
    """
    order = (0, 2, 1, 3) if batch_first else (1, 2, 0, 3)
    packed = packed.reshape(*packed.shape[:2], 3, num_heads, packed.shape[-1] // (3 * num_heads))
    return tuple(x.permute(order) for x in apply(ops.Unbind(2), packed))


def attention_weights(q, k, mask=None):
    """softmax(q kᵀ/√E + mask):  (…, L, E), (…, S, E) → (…, L, S); mask as F.scaled_dot_product_attention has it.

    >>> import minidl
    >>> attention_weights(minidl.ones(1, 2), minidl.ones(4, 2))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    q = q * (1 / math.sqrt(q.shape[-1]))
    if mask is None:
        return (q @ k.transpose(-1, -2)).softmax(-1)
    seen = seen_by(mask)
    scores = q @ where_seen(seen, k).transpose(-1, -2)
    return softmax_where(seen, scores if mask.dtype == bool else scores + mask)


@repeatable
def seen_by(mask):
    """Where a mask, True for seen or floats to be added, lets a query see a key: an array of booleans."""
    return mask.array if mask.dtype == bool else mask.array != -math.inf


def merged_mask(mask, padding, dtype):
    """Masks with True for hidden (or floats to be added), which broadcast, as one with True for seen (or floats)."""
    both = [x for x in (mask, padding) if x is not None]
    if not both:
        return None
    hidden = [x for x in both if x.dtype == bool]
    added = [x for x in both if x.dtype != bool]
    if not added:
        return ~hidden[0] if len(hidden) == 1 else ~(hidden[0] | hidden[1])
    if hidden:
        added.append(_hiding(hidden[0], dtype))
    return added[0] if len(added) == 1 else added[0] + added[1]


@repeatable
def _hiding(hidden, dtype):
    """−∞ where True, to be added."""
    return wrap(np.where(hidden.array, -math.inf, 0.0).astype(dtype))


@repeatable
def is_causal_mask(mask):
    """Whether a mask (L, S), True or −inf for hidden, hides exactly the keys after the query."""
    if mask.ndim != 2:
        return False
    later = np.arange(mask.shape[1]) > np.arange(mask.shape[0])[:, None]
    array = mask.array
    return bool((array == (later if array.dtype == bool else np.where(later, -math.inf, 0.0))).all())


def _check_mask(what, mask, shapes, dtype):
    if mask is None:
        return
    if not isinstance(mask, Tensor) or mask.dtype not in (bool, dtype):
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(
            f"MultiheadAttention: {what} must be a tensor of bool (True: hidden) or, added to the scores, {dtype}; got {got}"
        )
    if mask.shape not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise ValueError(f"MultiheadAttention: expected {what} of shape {wanted}, got {mask.shape}")
