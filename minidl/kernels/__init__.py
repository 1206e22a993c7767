"""Loops over arrays, compiled by Numba: arrays in, arrays out. No Tensor, no graph, no derivative lore.

`jit` says how a kernel is compiled and cached, `ahead` compiles what a step will need, `inspection` shows what a kernel has
become (`xray`), `threads` when it uses more than one thread, `shares` how; `memory` keeps the memory of large arrays for new
ones, `copies` shows remembered steps what NumPy does for kernels. `vmath` and `gated` hold functions of one number as vector
code, which `elementwise` maps over arrays; `tile` is the vector code that `gemm` multiplies matrices with (with vectors,
`vector_products` does; `contract` makes Einstein's sums of products), and `conv` (`conv_loops`, `conv_batches`, `conv_pixels`),
`conv_weight` and `depthwise` images, over `planes` that they lay out. `sums` adds over any axes (also `variances` and
`extremes`), `rows` works along rows (softmax and what is made of it), `fused_attention` along queries and keys, `recurrent`
along sequences, `ctc` over alignments of two; `pool` takes the maxima and means of windows, `norm` normalises (by
`norm_loops` and `norm_columns`), `special` has Γ and its relatives, `losses`, `index`, `clipping` and `layout` small loops
that would else be NumPy's, `numpy_loops` calls NumPy's own, `update` (SGD, Adam) and `update_rules` (all others) are the
optimizers' steps.

A file is loaded when one of its functions is first asked for: few programs use all of them. Therefore other packages write
`kernels.relu(x)` and import no function by its name.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .jit import global_compiler_lock

if TYPE_CHECKING:
    from .ahead import *  # noqa: F403
    from .clipping import *  # noqa: F403
    from .contract import *  # noqa: F403
    from .conv import *  # noqa: F403
    from .conv_weight import *  # noqa: F403
    from .ctc import *  # noqa: F403
    from .elementwise import *  # noqa: F403
    from .extremes import *  # noqa: F403
    from .fused_attention import *  # noqa: F403
    from .gemm import *  # noqa: F403
    from .index import *  # noqa: F403
    from .inspection import *  # noqa: F403
    from .losses import *  # noqa: F403
    from .memory import *  # noqa: F403
    from .norm import *  # noqa: F403
    from .normals import *  # noqa: F403
    from .pool import *  # noqa: F403
    from .recurrent import *  # noqa: F403
    from .rows import *  # noqa: F403
    from .special import *  # noqa: F403
    from .sums import *  # noqa: F403
    from .threads import *  # noqa: F403
    from .update import *  # noqa: F403
    from .update_rules import *  # noqa: F403
    from .variances import *  # noqa: F403

_FILES = {
    "ahead": ("compile_ahead",),
    "clipping": ("common_norm", "scale_all"),
    "contract": ("einsum",),
    "conv": ("add_to_channels", "conv2d", "conv2d_input"),
    "conv_weight": ("conv2d_weight",),
    "ctc": ("ctc_backward", "ctc_forward"),
    "elementwise": (
        "add",
        "add_rows",
        "binary_cross_entropy_with_logits",
        "binary_cross_entropy_with_logits_backward",
        "clamp",
        "elu",
        "elu_backward",
        "erf",
        "erfc",
        "exp",
        "expm1",
        "gelu",
        "gelu_backward",
        "leaky_relu",
        "leaky_relu_backward",
        "log",
        "log1p",
        "log2",
        "logsigmoid",
        "logsigmoid_backward",
        "relu",
        "relu_backward",
        "sigmoid",
        "sigmoid_backward",
        "silu",
        "silu_backward",
        "softplus",
        "softplus_backward",
        "sum_of_squares",
        "tanh",
        "tanh_backward",
    ),
    "extremes": ("amax", "amin", "max_along", "min_along", "topk"),
    "fused_attention": ("attention", "attention_backward"),
    "gemm": ("linear", "linear_backward", "matmul"),
    "index": ("copy", "join", "place_at", "sum_rows", "take_rows", "to_int64"),
    "inspection": ("xray",),
    "losses": (
        "negative_log_likelihood",
        "negative_log_likelihood_backward",
        "negative_log_likelihood_total",
        "negative_log_likelihood_total_backward",
        "squared_error",
        "squared_error_backward",
    ),
    "memory": ("empty_cache", "get_memory_kept", "set_memory_kept"),
    "norm": (
        "batch_norm",
        "batch_norm_backward",
        "count_up",
        "group_norm",
        "group_norm_backward",
        "layer_norm",
        "layer_norm_backward",
        "running_statistics",
        "update_running",
    ),
    "normals": ("box_muller",),
    "pool": (
        "adaptive_windows",
        "max_pool",
        "max_pool_backward",
        "max_pool_indices",
        "mean_pool",
        "mean_pool_backward",
        "pool_windows",
    ),
    "recurrent": ("gru", "gru_backward", "lstm", "lstm_backward", "rnn", "rnn_backward"),
    "rows": (
        "cross_entropy",
        "cross_entropy_backward",
        "cross_entropy_soft",
        "cross_entropy_soft_backward",
        "cross_entropy_soft_backward_targets",
        "log_softmax",
        "log_softmax_backward",
        "logsumexp",
        "softmax",
        "softmax_backward",
    ),
    "special": ("digamma", "gamma_slope", "gammainc", "lgamma", "polygamma"),
    "sums": ("running_sums", "sum_over", "total"),
    "threads": ("get_num_threads", "set_num_threads"),
    "update": ("adam", "sgd"),
    "update_rules": ("optimizer_step",),
    "variances": ("variance",),
}
_FILE_OF = {name: file for file, names in _FILES.items() for name in names}
__all__ = sorted(_FILE_OF.keys() - {"compile_ahead"})


def __getattr__(name):
    """Loads the file of a function at its first use (PEP 562)."""
    if name not in _FILE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with global_compiler_lock:  # so that no child is forked meanwhile: it could never load that file
        value = globals()[name] = getattr(import_module(f".{_FILE_OF[name]}", __name__), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})
