"""Self-attention as GPT and ViT use it: one dense layer makes queries, keys and values for all heads."""

from .. import nn
from ..nn import functional as F
from ..nn.attention import attention_weights, unpacked_heads
from ..nn.functional.basic import check_probability
from ..tensors.creation import ones
from ..tensors.joining import cat


class SelfAttention(nn.Module):
    """Each place takes a mean of the values at the others, by how well its query fits their keys:  (N, T, E) → (N, T, E)

    The rows of `qkv` stand in the order query, key, value, and in each of these head after head. dropout: of attention weights,
    in training. forward has more to say than which places there are:

    mask: which keys may be seen, or what is added to the scores (as attn_mask of F.scaled_dot_product_attention).
    causal: each place sees itself and earlier ones. positions (T): turn queries and keys by them (F.rotary).
    past: `(layer, cache)`, to put the keys and values behind those of earlier calls.
    seen: a list, to which the weights (N, H, T, S) are appended.

    >>> import minidl
    >>> SelfAttention(8, heads=2)(minidl.randn(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(self, width, heads, dropout=0.0, bias=True):
        super().__init__()
        check_probability(type(self).__name__, dropout)
        if width < 1 or heads < 1 or width % heads:
            raise ValueError(f"{type(self).__name__}: the width must be a multiple of the heads, got {width} and {heads} heads")
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def forward(self, x, mask=None, causal=False, positions=None, past=None, seen=None):
        q, k, v = unpacked_heads(self.qkv(x), self.heads)  # each (N, H, T, D)
        if positions is not None:
            q, k = F.rotary(q, positions), F.rotary(k, positions)
        if past is not None:
            layer, cache = past
            k, v = cache.extend(layer, k, v)  # (N, H, S, D)
        if seen is not None:
            seen.append(attention_weights(q, k, later_hidden(q.shape[-2], k.shape[-2]) if causal else mask))
        drop = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, mask, drop, is_causal=causal)  # (N, H, T, D)
        return self.out(y.transpose(1, 2).flatten(-2))  # the heads side by side again


def later_hidden(queries, keys):
    """True where a query may see a key, the queries being the last of the keys:  (queries, keys)

    >>> later_hidden(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    return ones(queries, keys).tril(keys - queries).bool()


class KeyValueCache:
    """The keys and values of the tokens that a model has read, so that it reads each only once.

    >>> import minidl
    >>> cache = KeyValueCache()
    >>> k, v = cache.extend(0, minidl.ones(1, 2, 3, 4), minidl.ones(1, 2, 3, 4))
    >>> k, v = cache.extend(0, minidl.ones(1, 2, 1, 4), minidl.ones(1, 2, 1, 4))
    >>> k.shape, cache.length
    ((1, 2, 4, 4), 4)
    """

    def __init__(self):
        self._layers = {}  # layer -> keys, values, each (N, H, length, D)

    @property
    def length(self):
        """How many tokens have been read."""
        return self._layers[0][0].shape[-2] if self._layers else 0

    @property
    def batch(self):
        """How many sequences are read side by side; None before the first."""
        return len(self._layers[0][0]) if self._layers else None

    def extend(self, layer, k, v):
        """Puts keys and values, (N, H, T, D), behind those of a layer; returns all of them."""
        if layer in self._layers:
            before_k, before_v = self._layers[layer]
            k, v = cat([before_k, k], dim=-2), cat([before_v, v], dim=-2)
        self._layers[layer] = k, v
        return k, v

    def take(self, rows):
        """Keeps these sequences, a tensor of integers, in this order; one may be taken more than once (beam search)."""
        self._layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self._layers.items()}
