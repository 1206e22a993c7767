"""minidl: a deep-learning framework to learn from, with PyTorch's names."""

from importlib import import_module

from . import autograd, information, nn, optim
from .graph.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .io import load, save
from .kernels import get_num_threads, set_num_threads
from .nn.functional.activation import celu, celu_, selu, selu_
from .nn.functional.piecewise import rrelu, rrelu_, threshold, threshold_
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
from .tensors.products import einsum, matmul
from .tensors.random_tensors import bernoulli, multinomial, normal, rand, rand_like, randint, randn, randn_like, randperm
from .tensors.tensor import Tensor
from .warmup import warmup

# loaded at their first use: few programs need them
_LATER = ("distributions", "func", "generation", "models", "profiler", "text", "utils")


def __getattr__(name):
    """Loads such a module at its first use (PEP 562)."""
    if name in _LATER:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*globals(), *_LATER]
