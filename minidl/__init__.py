"""minidl: a deep-learning framework to learn from, with PyTorch's names."""

from importlib import import_module

from . import autograd, information, nn, optim
from .graph.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .io import load, save
from .kernels import get_num_threads, set_num_threads
from .nn.functional.activation import celu, celu_, selu, selu_
from .nn.functional.piecewise import rrelu, rrelu_, threshold, threshold_
from .nn.names import no_attribute as _no_attribute
from .random import (
    Generator,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .tensors.counting import bincount, isin, unique
from .tensors.creation import (
    arange,
    as_tensor,
    e,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    inf,
    is_tensor,
    linspace,
    logspace,
    nan,
    numel,
    ones,
    ones_like,
    pi,
    tensor,
    zeros,
    zeros_like,
)
from .tensors.dtypes import *  # noqa: F403
from .tensors.functions import *  # noqa: F403
from .tensors.indexing import where
from .tensors.joining import cat, concat, concatenate, hstack, meshgrid, stack, vstack
from .tensors.printing import set_printoptions
from .tensors.products import einsum, matmul
from .tensors.random_tensors import bernoulli, multinomial, normal, rand, rand_like, randint, randn, randn_like, randperm
from .tensors.tensor import Tensor
from .warmup import warmup

__version__ = "0.1.0"

# loaded at their first use: few programs need them
_LATER = (
    "accelerator",
    "amp",
    "backends",
    "cuda",
    "distributions",
    "func",
    "generation",
    "models",
    "profiler",
    "text",
    "utils",
)
_HABITS = (
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "Size",
    "are_deterministic_algorithms_enabled",
    "bfloat16",
    "complex64",
    "complex128",
    "finfo",
    "float16",
    "get_default_device",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "half",
    "iinfo",
    "set_default_device",
    "set_default_dtype",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "use_deterministic_algorithms",
)
_REMEDIES = {  # what PyTorch has and minidl has not, and what to write
    "HalfTensor": "there are no numbers of 16 bits; write minidl.FloatTensor",
    "BFloat16Tensor": "there are no numbers of 16 bits; write minidl.FloatTensor",
    "hub": "write the model down, and load its weights with minidl.load and load_state_dict",
    "jit": "minidl runs a model as it is written; leave jit.script and jit.trace out, and save its state_dict()",
    "mps": "minidl runs on the CPU only; minidl.backends.mps.is_available() is False",
    "multiprocessing": "write import multiprocessing, or DataLoader(num_workers=…)",
    "onnx": "minidl exports no models; save the state_dict() and load it into the same model in PyTorch",
    "sparse": "there are no sparse tensors; write minidl.zeros(…) and fill it",
    "sparse_coo_tensor": "there are no sparse tensors; write minidl.zeros(…) and fill it",
    "xpu": "minidl runs on the CPU only",
    **dict.fromkeys(("complex32", "cfloat", "cdouble"), "there are no complex numbers; keep two real tensors"),
    **dict.fromkeys(("quantization", "ao", "quantize_per_tensor", "qint8", "quint8"), "there are no quantized tensors"),
}


def __getattr__(name):
    """Loads such a module, or what habits.py has, at its first use (PEP 562)."""
    if name in _LATER:
        return import_module(f".{name}", __name__)
    if name in _HABITS:
        value = globals()[name] = getattr(import_module(".habits", __name__), name)
        return value
    if name == "autocast":
        return import_module(".amp", __name__).autocast
    if name in _REMEDIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: {_REMEDIES[name]}")
    elsewhere = ("minidl.nn", nn.__all__), ("minidl.nn.functional", nn.functional.__all__), ("minidl.optim", optim.__all__)
    raise _no_attribute(__name__, name, __all__, elsewhere)


_INTERNAL = "double_backward", "graph", "habits", "import_module", "io", "tensors"
__all__ = sorted({name for name in globals() if name[0] != "_" and name not in _INTERNAL} | {*_LATER, *_HABITS, "autocast"})


def __dir__():
    return [*__all__, *(name for name in globals() if name[:2] == "__")]
