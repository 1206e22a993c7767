"""minidl: a deep-learning framework to learn from, with PyTorch's names."""

from importlib import import_module
from typing import TYPE_CHECKING

from .startup import NoCollection

with NoCollection():
    from . import autograd as autograd, information as information, nn as nn, optim as optim
    from .graph.modes import (
        enable_grad as enable_grad,
        inference_mode as inference_mode,
        is_grad_enabled as is_grad_enabled,
        no_grad as no_grad,
        set_grad_enabled as set_grad_enabled,
    )
    from .kernels import get_num_threads as get_num_threads, set_num_threads as set_num_threads
    from .nn.functional.activation import celu as celu, celu_ as celu_, selu as selu, selu_ as selu_
    from .nn.functional.piecewise import rrelu as rrelu, rrelu_ as rrelu_, threshold as threshold, threshold_ as threshold_
    from .nn.names import no_attribute as _no_attribute
    from .random import (
        Generator as Generator,
        default_generator as default_generator,
        fork_rng as fork_rng,
        get_rng_state as get_rng_state,
        initial_seed as initial_seed,
        manual_seed as manual_seed,
        seed as seed,
        set_rng_state as set_rng_state,
    )
    from .tensors.complex import *  # noqa: F403
    from .tensors.counting import *  # noqa: F403
    from .tensors.creation import *  # noqa: F403
    from .tensors.dtypes import *  # noqa: F403
    from .tensors.functions import *  # noqa: F403
    from .tensors.indexing import where as where
    from .tensors.joining import *  # noqa: F403
    from .tensors.printing import set_printoptions as set_printoptions
    from .tensors.products import *  # noqa: F403
    from .tensors.random_tensors import *  # noqa: F403
    from .tensors.tensor import Tensor as Tensor
    from .warmup import warmup as warmup

if TYPE_CHECKING:  # what is loaded at its first use
    from . import (
        accelerator as accelerator,
        amp as amp,
        backends as backends,
        cuda as cuda,
        d2l as d2l,
        decomposition as decomposition,
        distributed as distributed,
        distributions as distributions,
        exercises as exercises,
        func as func,
        generation as generation,
        linalg as linalg,
        model_selection as model_selection,
        models as models,
        optimization as optimization,
        probability as probability,
        profiler as profiler,
        special as special,
        text as text,
        utils as utils,
        viz as viz,
    )
    from .amp import autocast as autocast
    from .capture import compile as compile
    from .habits import *  # noqa: F403
    from .io import load as load, save as save
    from .linalg.namesakes import *  # noqa: F403
    from .utils.summary import summary as summary

__version__ = "0.1.0"

# loaded at their first use: few programs need them
_LATER = (
    "accelerator",
    "amp",
    "backends",
    "cuda",
    "d2l",
    "decomposition",
    "distributed",
    "distributions",
    "exercises",
    "func",
    "generation",
    "linalg",
    "model_selection",
    "models",
    "optimization",
    "probability",
    "profiler",
    "special",
    "text",
    "utils",
    "viz",
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
_SINGLE = "autocast", "compile", "load", "save", "summary"
_NAMESAKES = "chain_matmul", "cholesky_inverse", "cholesky_solve", "orgqr"  # of minidl.linalg
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
    **dict.fromkeys(("complex32", "cfloat", "cdouble"), "complex numbers are results only; keep two real tensors"),
    **dict.fromkeys(("quantization", "ao", "quantize_per_tensor", "qint8", "quint8"), "there are no quantized tensors"),
}


def __getattr__(name):
    """Loads such a module, or what habits.py has, at its first use (PEP 562)."""
    if name in _LATER:
        return import_module(f".{name}", __name__)
    if name in _HABITS:
        value = globals()[name] = getattr(import_module(".habits", __name__), name)
        return value
    if name in _NAMESAKES:
        value = globals()[name] = getattr(import_module(".linalg", __name__).namesakes, name)
        return value
    if name == "autocast":
        return import_module(".amp", __name__).autocast
    if name == "compile":
        return import_module(".capture", __name__).compile
    if name in ("load", "save"):
        return getattr(import_module(".io", __name__), name)
    if name == "summary":
        return import_module(".utils", __name__).summary.summary
    if name in _REMEDIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: {_REMEDIES[name]}")
    elsewhere = ("minidl.nn", nn.__all__), ("minidl.nn.functional", nn.functional.__all__), ("minidl.optim", optim.__all__)
    raise _no_attribute(__name__, name, __all__, elsewhere)


_INTERNAL = "NoCollection", "TYPE_CHECKING", "double_backward", "graph", "habits", "import_module", "io", "startup", "tensors"
_AT_FIRST_USE = {*_LATER, *_HABITS, *_NAMESAKES, *_SINGLE}
__all__ = sorted({name for name in globals() if name[0] != "_" and name not in _INTERNAL} | _AT_FIRST_USE)


def __dir__():
    return [*__all__, *(name for name in globals() if name[:2] == "__")]
