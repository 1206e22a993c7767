"""The layers of the Transformer: encoder, decoder, and both together (Vaswani et al., "Attention Is All You Need", 2017).

Each layer is a sum: what comes in, plus what attention makes of it, plus what two dense layers make of that. Layer norm stands
after each sum (as in the paper) or, with norm_first, before each summand, which trains more easily (Xiong et al., 2020).

Sequences are (T, N, d_model), with batch_first (N, T, d_model), without a batch (T, d_model). In all masks True means hidden,
and floats are added to the scores; see nn.MultiheadAttention. Arguments and parameter names are PyTorch's.
"""

import copy
import math

from ..tensors.arguments import as_int, expect_tensors
from ..tensors.creation import full
from . import functional as F, init
from .attention import MultiheadAttention, is_causal_mask
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear, checked_sizes
from .module import Module
from .norm import LayerNorm

__all__ = ["Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer"]


class TransformerEncoderLayer(Module):
    """x + attention(x), then x + feed_forward(x), each normalised:  (T, N, d_model), of the same shape out

    nhead: heads of attention; must divide d_model. dim_feedforward: the width between the two dense layers. activation: "relu",
    "gelu" or any function of a tensor. norm_first: normalise what goes into attention and dense layers, not what comes out.

    >>> import minidl
    >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(minidl.ones(4, 5, 8)).shape
    (4, 5, 8)
    """

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        _check_heads(self, d_model, nhead)
        options = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        self.linear1 = Linear(d_model, dim_feedforward, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **options)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, **options)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, **options)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation(self, activation)

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        """src_mask (T, T) or (N·nhead, T, T), src_key_padding_mask (N, T). is_causal: src_mask hides exactly what is later."""
        x = src
        if self.norm_first:
            x = x + self._attend(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            return x + self._feed_forward(self.norm2(x))
        x = self.norm1(x + self._attend(x, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._feed_forward(x))

    def _attend(self, x, mask, padding, is_causal):
        return self.dropout1(self.self_attn(x, x, x, padding, False, mask, is_causal=is_causal)[0])

    def _feed_forward(self, x):
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoderLayer(Module):
    """x + attention(x), then x + attention(x, memory), then x + feed_forward(x), each normalised

    tgt (T, N, d_model), memory (S, N, d_model), of the encoder → (T, N, d_model). Arguments as TransformerEncoderLayer's.

    >>> import minidl
    >>> TransformerDecoderLayer(8, 2, 16, batch_first=True)(minidl.ones(4, 5, 8), minidl.ones(4, 3, 8)).shape
    (4, 5, 8)
    """

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        _check_heads(self, d_model, nhead)
        options = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        self.linear1 = Linear(d_model, dim_feedforward, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **options)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, **options)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, **options)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, **options)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _activation(self, activation)

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=False,
        memory_is_causal=False,
    ):
        """tgt_mask (T, T), memory_mask (T, S), or (N·nhead, …); tgt_key_padding_mask (N, T), memory_key_padding_mask (N, S).

        tgt_is_causal, memory_is_causal: the mask hides exactly what is later.
        """
        own = tgt_mask, tgt_key_padding_mask, tgt_is_causal
        other = memory_mask, memory_key_padding_mask, memory_is_causal
        x = tgt
        if self.norm_first:
            x = x + self._attend(self.norm1(x), *own)
            x = x + self._attend_to_memory(self.norm2(x), memory, *other)
            return x + self._feed_forward(self.norm3(x))
        x = self.norm1(x + self._attend(x, *own))
        x = self.norm2(x + self._attend_to_memory(x, memory, *other))
        return self.norm3(x + self._feed_forward(x))

    def _attend(self, x, mask, padding, is_causal):
        return self.dropout1(self.self_attn(x, x, x, padding, False, mask, is_causal=is_causal)[0])

    def _attend_to_memory(self, x, memory, mask, padding, is_causal):
        return self.dropout2(self.multihead_attn(x, memory, memory, padding, False, mask, is_causal=is_causal)[0])

    def _feed_forward(self, x):
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoder(Module):
    """num_layers copies of a layer, one after the other, and a norm at the end if given.

    All copies start from the same weights, as in PyTorch; draw others if you want them different (Transformer does).
    enable_nested_tensor and mask_check are accepted for PyTorch's sake and change nothing: there are no nested tensors here, so
    padded places are computed like others (PyTorch may give zeros there in evaluation).

    >>> import minidl
    >>> layer = TransformerEncoderLayer(8, 2, 16, norm_first=True)
    >>> TransformerEncoder(layer, 3, LayerNorm(8))(minidl.ones(5, 4, 8)).shape
    (5, 4, 8)
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        self.layers = _copies(self, encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        """mask (T, T) or (N·nhead, T, T), src_key_padding_mask (N, T). is_causal: None looks whether the mask is causal."""
        is_causal = _seen_or_told(mask, is_causal)
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """num_layers copies of a layer, one after the other, and a norm at the end if given. All start from the same weights.

    >>> import minidl
    >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), 3)
    >>> decoder(minidl.ones(5, 4, 8), minidl.ones(6, 4, 8)).shape
    (5, 4, 8)
    """

    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__()
        self.layers = _copies(self, decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """Masks as TransformerDecoderLayer's. tgt_is_causal: None looks whether tgt_mask is causal."""
        options = {
            "tgt_mask": tgt_mask,
            "memory_mask": memory_mask,
            "tgt_key_padding_mask": tgt_key_padding_mask,
            "memory_key_padding_mask": memory_key_padding_mask,
            "tgt_is_causal": _seen_or_told(tgt_mask, tgt_is_causal),
            "memory_is_causal": memory_is_causal,
        }
        for layer in self.layers:
            tgt = layer(tgt, memory, **options)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder of the source and a decoder of the target, both with a layer norm at the end.

    src (S, N, d_model), tgt (T, N, d_model) → (T, N, d_model), what comes before a last dense layer; embeddings and positions
    are the caller's. All matrices start from Xavier's uniform distribution. Arguments as TransformerEncoderLayer's.

    >>> import minidl
    >>> model = Transformer(8, 2, 1, 1, 16)
    >>> mask = Transformer.generate_square_subsequent_mask(4)
    >>> model(minidl.ones(6, 3, 8), minidl.ones(4, 3, 8), tgt_mask=mask).shape
    (4, 3, 8)
    """

    def __init__(
        self,
        d_model=512,
        nhead=8,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        custom_encoder=None,
        custom_decoder=None,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        of_layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        options = {"bias": bias, "device": device, "dtype": dtype}
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            layer = TransformerEncoderLayer(*of_layer, **options)
            self.encoder = TransformerEncoder(layer, num_encoder_layers, LayerNorm(d_model, layer_norm_eps, **options))
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            layer = TransformerDecoderLayer(*of_layer, **options)
            self.decoder = TransformerDecoder(layer, num_decoder_layers, LayerNorm(d_model, layer_norm_eps, **options))
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the first values of all matrices (again)."""
        for param in self.parameters():
            if param.ndim > 1:
                init.xavier_uniform_(param)

    def forward(
        self,
        src,
        tgt,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        src_is_causal=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """Masks as the encoder's and the decoder's. memory_key_padding_mask is most often src_key_padding_mask."""
        expect_tensors("Transformer", src=src, tgt=tgt)
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 == tgt.ndim and src.shape[batch] != tgt.shape[batch]:
            raise ValueError(
                f"Transformer: src {src.shape} and tgt {tgt.shape} have {src.shape[batch]} and {tgt.shape[batch]} sequences, "
                f"counted along axis {batch} since batch_first={self.batch_first}; expected the same number"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """(sz, sz): −inf for what is later, which must not be seen, else 0.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        sz = as_int(sz)
        if type(sz) is not int or sz < 0:
            raise ValueError(f"generate_square_subsequent_mask: sz must be an integer of 0 or more, got {sz!r}")
        return full((sz, sz), -math.inf, device=device, dtype=dtype).triu(1)


def _activation(module, activation):
    if isinstance(activation, str) and activation in ("relu", "gelu"):
        return getattr(F, activation)
    if not callable(activation):
        raise ValueError(
            f"{type(module).__name__}: activation must be 'relu', 'gelu' or a function of a tensor, got {activation!r}"
        )
    return activation


def _copies(module, layer, count):
    (count,) = checked_sizes(module, num_layers=count)
    if not isinstance(layer, Module):
        raise TypeError(f"{type(module).__name__}: expected a layer, a Module, to copy, got {type(layer).__name__}")
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


def _seen_or_told(mask, is_causal):
    if is_causal is not None:
        return is_causal
    return mask is not None and is_causal_mask(mask)


def _check_heads(module, d_model, nhead):
    """Else MultiheadAttention would raise, under its own names for the two."""
    d_model, nhead = as_int(d_model), as_int(nhead)
    if type(d_model) is type(nhead) is int and (nhead < 1 or d_model % nhead):
        name = type(module).__name__
        raise ValueError(f"{name}: d_model must be a multiple of nhead, got d_model={d_model} and nhead={nhead}")
