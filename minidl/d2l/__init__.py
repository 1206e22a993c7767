"""The helper layer of *Dive into Deep Learning* 1.0.3 under its names: `from minidl import d2l` in place of
`from d2l import torch as d2l`.

What minidl has already is that: d2l.Trainer is minidl.utils.train.Trainer, d2l.Vocab is minidl.text.Vocab, and so on. Data are
read from `root` (the book's ../data) where they are there, else fetched and checked. Pictures need matplotlib, which is loaded
when the first is drawn; `d2l.plt` is its pyplot.
"""

from ..models import AttentionDecoder, Decoder, Encoder, Residual, ResNeXtBlock, init_cnn, init_seq2seq
from ..nn import AdditiveAttention, DotProductAttention, PositionalEncoding
from ..nn.functional import masked_softmax
from ..text import Vocab, bleu
from ..utils.board import ProgressBoard
from ..utils.hyperparameters import HyperParameters
from ..utils.train import Trainer
from . import aliases, attention, base, convnets, drawings, linear, optimization, sequences, texts, tools
from .aliases import *  # noqa: F403
from .attention import *  # noqa: F403
from .base import *  # noqa: F403
from .convnets import *  # noqa: F403
from .drawings import *  # noqa: F403
from .linear import *  # noqa: F403
from .optimization import *  # noqa: F403
from .sequences import *  # noqa: F403
from .texts import *  # noqa: F403
from .tools import *  # noqa: F403

__all__ = ["AdditiveAttention", "AttentionDecoder", "Decoder", "DotProductAttention", "Encoder", "HyperParameters"]
__all__ += ["PositionalEncoding", "ProgressBoard", "ResNeXtBlock", "Residual", "Trainer", "Vocab", "bleu", "init_cnn"]
__all__ += ["init_seq2seq", "masked_softmax"]
for _part in (aliases, attention, base, convnets, drawings, linear, optimization, sequences, texts, tools):
    __all__ += _part.__all__


def __getattr__(name):
    if name == "plt":
        return drawings.utils.drawing.plt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
