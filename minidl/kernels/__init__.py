"""Loops over arrays, compiled by Numba: arrays in, arrays out. No Tensor, no graph, no derivative lore.

`jit` says how a kernel is compiled and cached, `ahead` compiles what a step will need, `inspection` shows what a kernel has
become (`xray`), `threads` when it uses more
than one thread, `shares` how; `memory` keeps the memory of large arrays for new ones. `vmath` and `gated` hold functions of
one number as vector code, which `elementwise` maps over arrays; `tile` is the vector code that `gemm` multiplies matrices
with (with vectors, `vector_products` does), and `conv` (`conv_batches`, `conv_loops`), `conv_weight` and `depthwise` images,
over `planes` that they lay out. `sums` adds over any axes, `rows` works along rows (softmax and what is made of it),
`fused_attention` along queries and keys, `recurrent` along sequences, `ctc` over alignments of two; `pool` takes the maxima
and means of windows, `norm` normalises (by `norm_loops` and `norm_columns`), `special` has Γ and its relatives, `losses`,
`index`, `clipping` and `layout` small loops that would else be NumPy's, `update` (SGD, Adam) and `update_rules` (all others)
are the optimizers' steps.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .clipping import common_norm, scale_all
from .conv import conv2d, conv2d_input
from .conv_weight import conv2d_weight
from .ctc import ctc_backward, ctc_forward
from .elementwise import (
    add,
    add_rows,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
    elu,
    elu_backward,
    erf,
    erfc,
    exp,
    expm1,
    gelu,
    gelu_backward,
    leaky_relu,
    leaky_relu_backward,
    log,
    log1p,
    log2,
    logsigmoid,
    logsigmoid_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    softplus,
    softplus_backward,
    sum_of_squares,
    tanh,
    tanh_backward,
)
from .fused_attention import attention, attention_backward
from .gemm import linear, linear_backward, matmul
from .index import copy, place_at, sum_rows, take_rows, to_int64
from .losses import squared_error, squared_error_backward
from .memory import empty_cache, get_memory_kept, set_memory_kept
from .norm import (
    batch_norm,
    batch_norm_backward,
    count_up,
    group_norm,
    group_norm_backward,
    layer_norm,
    layer_norm_backward,
    running_statistics,
    update_running,
)
from .pool import (
    adaptive_windows,
    max_pool,
    max_pool_backward,
    max_pool_indices,
    mean_pool,
    mean_pool_backward,
    pool_windows,
)
from .recurrent import gru, gru_backward, lstm, lstm_backward, rnn, rnn_backward
from .rows import (
    cross_entropy,
    cross_entropy_backward,
    cross_entropy_soft,
    cross_entropy_soft_backward,
    cross_entropy_soft_backward_targets,
    log_softmax,
    log_softmax_backward,
    logsumexp,
    softmax,
    softmax_backward,
)
from .special import digamma, gamma_slope, gammainc, lgamma, polygamma
from .sums import running_sums, sum_over, total
from .threads import get_num_threads, set_num_threads
from .update import adam, sgd
from .update_rules import optimizer_step

if TYPE_CHECKING:
    from .inspection import xray as xray

__all__ = [
    "adam",
    "adaptive_windows",
    "add",
    "add_rows",
    "attention",
    "attention_backward",
    "batch_norm",
    "batch_norm_backward",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "common_norm",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "copy",
    "count_up",
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_soft",
    "cross_entropy_soft_backward",
    "cross_entropy_soft_backward_targets",
    "ctc_backward",
    "ctc_forward",
    "digamma",
    "elu",
    "elu_backward",
    "empty_cache",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "gamma_slope",
    "gammainc",
    "gelu",
    "gelu_backward",
    "get_memory_kept",
    "get_num_threads",
    "group_norm",
    "group_norm_backward",
    "gru",
    "gru_backward",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "lgamma",
    "linear",
    "linear_backward",
    "log",
    "log1p",
    "log2",
    "log_softmax",
    "log_softmax_backward",
    "logsigmoid",
    "logsigmoid_backward",
    "logsumexp",
    "lstm",
    "lstm_backward",
    "matmul",
    "max_pool",
    "max_pool_backward",
    "max_pool_indices",
    "mean_pool",
    "mean_pool_backward",
    "optimizer_step",
    "place_at",
    "polygamma",
    "pool_windows",
    "relu",
    "relu_backward",
    "rnn",
    "rnn_backward",
    "running_statistics",
    "running_sums",
    "scale_all",
    "set_memory_kept",
    "set_num_threads",
    "sgd",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "squared_error",
    "squared_error_backward",
    "sum_of_squares",
    "sum_over",
    "sum_rows",
    "take_rows",
    "tanh",
    "tanh_backward",
    "to_int64",
    "total",
    "update_running",
    "xray",
]


def __getattr__(name):
    """Loads a file at its first use (PEP 562): few programs look into kernels, or compile them ahead."""
    if name == "xray":
        return import_module(".inspection", __name__).xray
    if name == "compile_ahead":
        return import_module(".ahead", __name__).compile_ahead
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
