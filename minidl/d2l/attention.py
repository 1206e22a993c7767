"""Attention with several heads, and the Transformer's encoder, of the book (11.5 and 11.7)."""

import math

from .. import nn
from ..nn import DotProductAttention, PositionalEncoding
from ..tensors.arguments import integer
from .base import Module

__all__ = ["AddNorm", "MultiHeadAttention", "PositionWiseFFN", "TransformerEncoder", "TransformerEncoderBlock"]


class MultiHeadAttention(Module):
    """Attention in num_heads subspaces, the outputs joined: (N, n, q), (N, m, k), (N, m, v) → (N, n, num_hiddens)

    valid_lens: None, (N,) or (N, n). nn.MultiheadAttention is PyTorch's.

    >>> import minidl
    >>> attention = MultiHeadAttention(100, 5, 0.5)
    >>> attention(minidl.ones(2, 4, 100), minidl.ones(2, 6, 100), minidl.ones(2, 6, 100), minidl.tensor([3, 2])).shape
    (2, 4, 100)
    """

    def __init__(self, num_hiddens, num_heads, dropout, bias=False):
        super().__init__()
        num_hiddens, num_heads = (integer("MultiHeadAttention", n) for n in (num_hiddens, num_heads))
        if num_heads < 1 or num_hiddens % num_heads:
            raise ValueError(f"MultiHeadAttention: num_heads must divide num_hiddens, got {num_heads} and {num_hiddens}")
        self.num_heads = num_heads
        self.attention = DotProductAttention(dropout)
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.LazyLinear(num_hiddens, bias=bias) for _ in range(4))

    def forward(self, queries, keys, values, valid_lens=None):
        queries, keys, values = (
            self.transpose_qkv(layer(x)) for layer, x in ((self.W_q, queries), (self.W_k, keys), (self.W_v, values))
        )
        if valid_lens is not None:
            valid_lens = valid_lens.repeat_interleave(self.num_heads, dim=0)
        return self.W_o(self.transpose_output(self.attention(queries, keys, values, valid_lens)))

    def transpose_qkv(self, X):
        """(N, n, num_hiddens) → (N·num_heads, n, num_hiddens/num_heads)"""
        X = X.reshape(*X.shape[:2], self.num_heads, -1).permute(0, 2, 1, 3)
        return X.reshape(-1, *X.shape[2:])

    def transpose_output(self, X):
        """Back: (N·num_heads, n, d) → (N, n, num_heads·d)"""
        X = X.reshape(-1, self.num_heads, *X.shape[1:]).permute(0, 2, 1, 3)
        return X.reshape(*X.shape[:2], -1)


class PositionWiseFFN(nn.Module):
    """Two linear layers with a ReLU between, the same at each place.

    >>> import minidl
    >>> PositionWiseFFN(4, 8)(minidl.ones(2, 3, 4)).shape
    (2, 3, 8)
    """

    def __init__(self, ffn_num_hiddens, ffn_num_outputs):
        super().__init__()
        self.dense1, self.relu, self.dense2 = nn.LazyLinear(ffn_num_hiddens), nn.ReLU(), nn.LazyLinear(ffn_num_outputs)

    def forward(self, X):
        return self.dense2(self.relu(self.dense1(X)))


class AddNorm(nn.Module):
    """LayerNorm(X + dropout(Y))

    >>> import minidl
    >>> AddNorm(4, 0.5)(minidl.ones(2, 3, 4), minidl.ones(2, 3, 4)).shape
    (2, 3, 4)
    """

    def __init__(self, norm_shape, dropout):
        super().__init__()
        self.dropout, self.ln = nn.Dropout(dropout), nn.LayerNorm(norm_shape)

    def forward(self, X, Y):
        return self.ln(self.dropout(Y) + X)


class TransformerEncoderBlock(nn.Module):
    """Attention, then the two linear layers, each with AddNorm: (N, n, num_hiddens) → the same

    >>> import minidl
    >>> TransformerEncoderBlock(24, 48, 8, 0.5)(minidl.ones(2, 100, 24), minidl.tensor([3, 2])).shape
    (2, 100, 24)
    """

    def __init__(self, num_hiddens, ffn_num_hiddens, num_heads, dropout, use_bias=False):
        super().__init__()
        self.attention = MultiHeadAttention(num_hiddens, num_heads, dropout, use_bias)
        self.addnorm1, self.addnorm2 = AddNorm(num_hiddens, dropout), AddNorm(num_hiddens, dropout)
        self.ffn = PositionWiseFFN(ffn_num_hiddens, num_hiddens)

    def forward(self, X, valid_lens):
        Y = self.addnorm1(X, self.attention(X, X, X, valid_lens))
        return self.addnorm2(Y, self.ffn(Y))


class TransformerEncoder(nn.Module):
    """Embedding, positions and num_blks blocks: tokens (N, n) → (N, n, num_hiddens). `attention_weights`: those of each block.

    >>> import minidl
    >>> encoder = TransformerEncoder(200, 24, 48, 8, 2, 0.5)
    >>> encoder(minidl.ones(2, 100, dtype=minidl.int64), minidl.tensor([3, 2])).shape
    (2, 100, 24)
    """

    def __init__(self, vocab_size, num_hiddens, ffn_num_hiddens, num_heads, num_blks, dropout, use_bias=False):
        super().__init__()
        self.num_hiddens = num_hiddens
        self.embedding = nn.Embedding(vocab_size, num_hiddens)
        self.pos_encoding = PositionalEncoding(num_hiddens, dropout)
        self.blks = nn.Sequential()
        for i in range(num_blks):
            self.blks.add_module(
                f"block{i}", TransformerEncoderBlock(num_hiddens, ffn_num_hiddens, num_heads, dropout, use_bias)
            )

    def forward(self, X, valid_lens):
        X = self.pos_encoding(self.embedding(X) * math.sqrt(self.num_hiddens))
        self.attention_weights = []
        for block in self.blks:
            X = block(X, valid_lens)
            self.attention_weights.append(block.attention.attention.attention_weights)
        return X
