"""minidl: a deep-learning framework small enough to read in a weekend, with PyTorch's names."""

from importlib import import_module

from . import autograd, information, nn, optim
from .dtypes import *  # noqa: F403
from .functions import *  # noqa: F403
from .grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .io import load, save
from .kernels import get_num_threads, set_num_threads
from .namespace import *  # noqa: F403
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
from .tensor import Tensor
from .warmup import warmup

_LATER = ("distributions", "generation", "models", "text", "utils")  # rooms that few programs need, or import by name


def __getattr__(name):
    """Loads a room at its first use (PEP 562)."""
    if name in _LATER:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*globals(), *_LATER]
