"""A small GPT: a Transformer that reads a sequence from left to right and says what comes next (Radford et al., 2018, 2019)."""

import math

import numpy as np

from .. import nn
from ..functions import arange, expect_tensors
from ..nn import functional as F
from ..nn.attention import unpacked_heads
from ..nn.linear import checked_sizes
from ..tensor import wrap

POSITIONS = ("learned", "rotary", "alibi")


class GPT(nn.Module):
    """tokens (N, T), integers below vocab_size → logits (N, T, vocab_size); those at place t see the tokens up to t alone

    block_size: the longest sequence that it is made for. dropout: of embeddings, attention weights, and what each half of a
    block adds. bias: whether dense layers and norms have one. positions: "learned" adds a vector for each place; "rotary" turns
    queries and keys by their place; "alibi" lowers the scores of what is far. tie_weights: the last layer uses the embedding's
    matrix. With F.cross_entropy(model(x).flatten(0, 1), y.flatten()) it learns to foretell y, x one step on.

    >>> import minidl
    >>> model = GPT(vocab_size=50, block_size=16, num_layers=2, num_heads=2, num_hiddens=8)
    >>> model(minidl.zeros(3, 10, dtype=minidl.int64)).shape
    (3, 10, 50)
    """

    def __init__(
        self,
        vocab_size,
        block_size,
        num_layers=3,
        num_heads=4,
        num_hiddens=128,
        dropout=0.0,
        bias=True,
        positions="learned",
        tie_weights=True,
    ):
        super().__init__()
        if positions not in POSITIONS:
            raise ValueError(f"GPT: positions must be one of {', '.join(map(repr, POSITIONS))}, got {positions!r}")
        sizes = checked_sizes(self, vocab_size=vocab_size, block_size=block_size, num_heads=num_heads, num_hiddens=num_hiddens)
        self.vocab_size, self.block_size, self.num_heads, self.num_hiddens = sizes
        self.positions = positions
        self.tokens = nn.Embedding(vocab_size, num_hiddens)
        self.places = nn.Embedding(block_size, num_hiddens) if positions == "learned" else None
        self.dropout = nn.Dropout(dropout)
        blocks = [GPTBlock(num_hiddens, num_heads, dropout, bias, positions == "rotary") for _ in range(num_layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(num_hiddens, bias=bias)
        self.head = nn.Linear(num_hiddens, vocab_size, bias=False)
        if tie_weights:
            self.head.weight = self.tokens.weight
        self.reset_parameters()

    def reset_parameters(self):
        """GPT-2's first values: normal with deviation 0.02, less for layers whose output is added up over the blocks."""
        for name, param in self.named_parameters():
            if param.ndim > 1:
                added = name.endswith(("attention.out.weight", "down.weight"))
                nn.init.normal_(param, std=0.02 / math.sqrt(2 * len(self.blocks)) if added else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(param)

    def forward(self, tokens, cache=None):
        """The logits. cache, from make_cache(): `tokens` go on from what it has seen, and it takes them in."""
        expect_tensors("GPT", tokens=tokens)
        seen = 0 if cache is None else cache.length
        if tokens.ndim != 2 or seen + tokens.shape[1] > self.block_size:
            before = f" after {seen} in the cache" if seen else ""
            raise ValueError(
                f"GPT: expected tokens (N, T) with T at most block_size={self.block_size}, got {tokens.shape}{before}"
            )
        T = tokens.shape[1]
        x = self.tokens(tokens)
        if self.places is not None:
            x = x + self.places(arange(seen, seen + T))
        if cache is not None and x.requires_grad:
            raise RuntimeError("GPT: no gradient goes through a cache; call the model with it inside `with minidl.no_grad():`")
        x = self.dropout(x)
        mask = self._mask(T, seen)
        for i, block in enumerate(self.blocks):
            x = block(x, mask, None if cache is None else cache.layers[i], seen)
        if cache is not None:
            cache.length += T
        return self.head(self.norm(x))

    def _mask(self, T, seen):
        """None where causality is all: then attention needs no mask, and skips what is hidden."""
        if self.positions == "alibi":
            return nn.alibi_bias(self.num_heads, T, seen + T, dtype=self.tokens.weight.dtype)
        if seen:
            return wrap(np.tri(T, seen + T, seen, dtype=bool))
        return None

    def make_cache(self, batch_size):
        """An empty cache for so many sequences."""
        return KeyValueCache(self, batch_size)


class GPTBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)):  (N, T, num_hiddens), of the same shape out

    >>> import minidl
    >>> GPTBlock(8, 2)(minidl.ones(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(self, num_hiddens, num_heads, dropout=0.0, bias=True, rotary=False):
        super().__init__()
        self.norm1 = nn.LayerNorm(num_hiddens, bias=bias)
        self.attention = CausalSelfAttention(num_hiddens, num_heads, dropout, bias, rotary)
        self.norm2 = nn.LayerNorm(num_hiddens, bias=bias)
        self.up = nn.Linear(num_hiddens, 4 * num_hiddens, bias=bias)
        self.down = nn.Linear(4 * num_hiddens, num_hiddens, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None, cache=None, offset=0):
        x = x + self.dropout(self.attention(self.norm1(x), mask, cache, offset))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))


class CausalSelfAttention(nn.Module):
    """Attention of a sequence to itself, each place to those up to it:  (N, T, num_hiddens), of the same shape out

    mask: in place of plain causality, as F.scaled_dot_product_attention takes it. cache: the keys and values of `offset`
    earlier places, to which it adds its own. rotary: queries and keys are turned by their place.

    >>> import minidl
    >>> CausalSelfAttention(8, 2)(minidl.ones(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(self, num_hiddens, num_heads, dropout=0.0, bias=True, rotary=False):
        super().__init__()
        if num_heads < 1 or num_hiddens % num_heads:
            raise ValueError(
                f"CausalSelfAttention: num_hiddens must be a multiple of num_heads, got {num_hiddens} and {num_heads}"
            )
        if rotary and num_hiddens // num_heads % 2:
            raise ValueError(
                f"CausalSelfAttention: rotary turns pairs, so num_hiddens/num_heads must be even; got {num_hiddens} and "
                f"{num_heads}"
            )
        self.num_heads, self.dropout, self.rotary = num_heads, dropout, rotary
        self.qkv = nn.Linear(num_hiddens, 3 * num_hiddens, bias=bias)
        self.out = nn.Linear(num_hiddens, num_hiddens, bias=bias)

    def forward(self, x, mask=None, cache=None, offset=0):
        N, T, E = x.shape
        q, k, v = unpacked_heads(self.qkv(x), self.num_heads)
        if self.rotary:
            q, k = nn.apply_rotary(q, offset), nn.apply_rotary(k, offset)
        if cache is not None:
            k, v = cache.extended(k, v, offset)
        y = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0, mask is None)
        return self.out(y.transpose(1, 2).reshape(N, T, E))


class KeyValueCache:
    """The keys and values of what a GPT has read, so that a next token costs one step and not the whole sequence again.

    It has room for the model's block_size, and is meant for minidl.no_grad(): gradients do not go through it.
    """

    def __init__(self, model, batch_size):
        head = model.num_hiddens // model.num_heads
        sizes, dtype = (2, batch_size, model.num_heads, model.block_size, head), model.tokens.weight.dtype
        self.length, self.layers = 0, [LayerCache(np.empty(sizes, dtype)) for _ in model.blocks]

    def select(self, rows):
        """Goes on with these rows of the batch, an array of integers; one may be taken more than once."""
        for layer in self.layers:
            layer.room = layer.room[:, rows]


class LayerCache:
    """Keys and values of one layer: room (2, N, H, block_size, D)."""

    def __init__(self, room):
        self.room = room

    def extended(self, k, v, offset):
        """All keys and values, these (N, H, T, D) put behind `offset` earlier ones."""
        end = offset + k.shape[2]
        self.room[0, :, :, offset:end], self.room[1, :, :, offset:end] = k.numpy(), v.numpy()
        return wrap(self.room[0, :, :, :end]), wrap(self.room[1, :, :, :end])
