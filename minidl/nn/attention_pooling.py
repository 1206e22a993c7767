"""Attention with scores, as the book *Dive into Deep Learning* has it: valid lengths, dropout, and weights to look at.

`F.scaled_dot_product_attention` computes the same without keeping the weights, and `nn.MultiheadAttention` is PyTorch's layer.
"""

from ..tensors.arguments import expect_tensors
from . import functional as F
from .dropout import Dropout
from .functional.attention_scores import additive, pool_where, softmax_where, valid_mask, where_seen
from .linear import LazyLinear
from .module import Module

__all__ = ["AdditiveAttention", "DotProductAttention"]


class DotProductAttention(Module):
    """Σ_i softmax(qᵀk_i/√d) v_i (section 11 of the notes; Vaswani et al., 2017, without heads).

    queries (B, n, d), keys (B, m, d), values (B, m, v) → (B, n, v). valid_lens: as `F.masked_softmax` has it; what keys and
    values hold beyond does not matter, and a length of 0 gives zeros. dropout: the probability with which a weight is left out
    in training. `attention_weights`, (B, n, m), are those of the last call, before dropout and outside the graph.

    >>> import minidl
    >>> attention = DotProductAttention()
    >>> attention(minidl.ones(2, 1, 2), minidl.ones(2, 10, 2), minidl.ones(2, 10, 4), minidl.tensor([2, 6])).shape
    (2, 1, 4)
    """

    def __init__(self, dropout=0.0):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.attention_weights = None

    def forward(self, queries, keys, values, valid_lens=None):
        return _pooled(self, F.scaled_dot_product_scores, queries, keys, values, valid_lens)


class AdditiveAttention(Module):
    """Σ_i softmax(w_vᵀ tanh(W_q q + W_k k_i)) v_i, without biases (Bahdanau, Cho and Bengio, 2015).

    queries (B, n, q), keys (B, m, k), values (B, m, v) → (B, n, v); num_hiddens is the length of W_q q and W_k k. The first
    input decides q and k. The rest is as `DotProductAttention` has it.

    A decoder asks the same keys at each of its steps: it may compute key_features = attention.W_k(keys), (B, m, num_hiddens),
    once and give it to each.

    >>> import minidl
    >>> attention = AdditiveAttention(num_hiddens=8)
    >>> attention(minidl.ones(2, 1, 20), minidl.ones(2, 10, 2), minidl.ones(2, 10, 4), minidl.tensor([2, 6])).shape
    (2, 1, 4)
    """

    def __init__(self, num_hiddens, dropout=0.0):
        super().__init__()
        self.W_k = LazyLinear(num_hiddens, bias=False)
        self.W_q = LazyLinear(num_hiddens, bias=False)
        self.w_v = LazyLinear(1, bias=False)
        self.dropout = Dropout(dropout)
        self.attention_weights = None

    def forward(self, queries, keys, values, valid_lens=None, key_features=None):
        if key_features is None:
            return _pooled(self, lambda q, k: self._scores(q, self.W_k(k)), queries, keys, values, valid_lens)
        return _pooled(self, self._scores, queries, key_features, values, valid_lens)

    def _scores(self, queries, key_features):
        return self.w_v(additive(self.W_q(queries), key_features)).squeeze(-1)


def _pooled(module, score, queries, keys, values, valid_lens):
    """What both do with their scores."""
    name = type(module).__name__
    expect_tensors(name, queries=queries, keys=keys, values=values)
    if not queries.ndim == keys.ndim == values.ndim == 3 or not len(queries) == len(keys) == len(values):
        raise ValueError(
            f"{name}: expected queries (B, n, d), keys (B, m, d) and values (B, m, v), got {queries.shape}, {keys.shape} and "
            f"{values.shape}"
        )
    if keys.shape[1] != values.shape[1]:
        raise ValueError(f"{name}: {keys.shape[1]} keys have {values.shape[1]} values; expected one for each")
    mask = None
    if valid_lens is not None:
        mask = valid_mask(name, (*queries.shape[:2], keys.shape[1]), valid_lens)
        keys = where_seen(mask, keys)  # before the scores: NaN there would reach the queries' gradient, as 0·NaN
    scores = score(queries, keys)
    weights = scores.softmax(-1) if mask is None else softmax_where(mask, scores)
    module.attention_weights = weights.detach()
    weights = module.dropout(weights)
    return weights @ values if mask is None else pool_where(mask, weights, values)
