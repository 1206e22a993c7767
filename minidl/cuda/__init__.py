"""`minidl.cuda`: there is no GPU. What asks is answered, seeds and waits do nothing, what needs a GPU raises.

>>> import minidl
>>> device = "cuda" if minidl.cuda.is_available() else "cpu"
>>> device
'cpu'
"""

from ..accelerator import synchronize
from . import amp

__all__ = [
    "amp",
    "current_device",
    "device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "get_device_properties",
    "get_rng_state_all",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device",
    "set_rng_state_all",
    "synchronize",
]


def _needs_gpu(name):
    return RuntimeError(f"cuda.{name}: minidl runs on the CPU only; ask minidl.cuda.is_available() first, which is False")


def is_available():
    """False

    >>> is_available()
    False
    """
    return False


def is_initialized():
    """False

    >>> is_initialized()
    False
    """
    return False


def is_bf16_supported(including_emulation=True):
    """False

    >>> is_bf16_supported()
    False
    """
    return False


def device_count():
    """0

    >>> device_count()
    0
    """
    return 0


def manual_seed(seed):
    """Nothing, for a GPU that is not there; `minidl.manual_seed` seeds the CPU's stream.

    >>> manual_seed(0)
    """


def manual_seed_all(seed):
    """Nothing, for GPUs that are not there; `minidl.manual_seed` seeds the CPU's stream.

    >>> manual_seed_all(0)
    """


def get_rng_state_all():
    """The states of no GPU.

    >>> get_rng_state_all()
    []
    """
    return []


def set_rng_state_all(new_states):
    """Takes the states of no GPU.

    >>> set_rng_state_all([])
    """
    if len(new_states):
        raise _needs_gpu("set_rng_state_all")


def empty_cache():
    """Nothing.

    >>> empty_cache()
    """


def ipc_collect():
    """Nothing.

    >>> ipc_collect()
    """


def reset_peak_memory_stats(device=None):
    """Nothing.

    >>> reset_peak_memory_stats()
    """


def memory_allocated(device=None):
    """0 bytes

    >>> memory_allocated()
    0
    """
    return 0


def max_memory_allocated(device=None):
    """0 bytes

    >>> max_memory_allocated()
    0
    """
    return 0


def memory_reserved(device=None):
    """0 bytes

    >>> memory_reserved()
    0
    """
    return 0


def current_device():
    """Raises: there is none.

    >>> current_device()
    Traceback (most recent call last):
    RuntimeError: cuda.current_device: minidl runs on the CPU only; ask minidl.cuda.is_available() first, which is False
    """
    raise _needs_gpu("current_device")


def set_device(device):
    """Raises: there is none.

    >>> set_device(0)
    Traceback (most recent call last):
    RuntimeError: cuda.set_device: minidl runs on the CPU only; ask minidl.cuda.is_available() first, which is False
    """
    raise _needs_gpu("set_device")


def get_device_name(device=None):
    """Raises: there is none.

    >>> get_device_name(0)
    Traceback (most recent call last):
    RuntimeError: cuda.get_device_name: minidl runs on the CPU only; ask minidl.cuda.is_available() first, which is False
    """
    raise _needs_gpu("get_device_name")


def get_device_properties(device=None):
    """Raises: there is none.

    >>> get_device_properties(0)
    Traceback (most recent call last):
    RuntimeError: cuda.get_device_properties: minidl runs on the CPU only; ask minidl.cuda.is_available() first, which is False
    """
    raise _needs_gpu("get_device_properties")


def device(device):
    """Raises: there is none.

    >>> device(0)
    Traceback (most recent call last):
    RuntimeError: cuda.device: minidl runs on the CPU only; ask minidl.cuda.is_available() first, which is False
    """
    raise _needs_gpu("device")


def __getattr__(name):
    """What else PyTorch has here (streams, events, graphs, FloatTensor) needs a GPU."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise AttributeError(f"minidl.cuda.{name}: minidl runs on the CPU only, and this needs a GPU; leave it out")
