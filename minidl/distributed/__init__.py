"""Many processes, on one machine or many, that train one model: PyTorch's `torch.distributed` on MPI.

    mpiexec -n 2 python train.py

starts the same program twice, as rank 0 and rank 1. Each calls `init_process_group()`, wraps its model in
`nn.parallel.DistributedDataParallel`, and reads its part of the data through a `utils.data.DistributedSampler`. MPI carries the
bytes: `pip install 'minidl[distributed]'` installs mpi4py and MPICH; on a cluster, mpi4py uses the MPI that is there.

All collective functions work in place. A C-contiguous tensor is sent from where it is; one with strides goes through one packed
copy. All ranks of a group must make the same calls, in the same order, with tensors of one shape and dtype. Under
MINIDL_DISTRIBUTED_DEBUG=1 this is checked before each call, and the error names ranks and shapes. MINIDL_DISTRIBUTED_LOG=folder
keeps a record there of which ranks ran, and which ended first.
"""

from importlib import import_module

from . import groups, transfers
from .groups import *  # noqa: F403
from .transfers import *  # noqa: F403

__all__ = [*groups.__all__, *transfers.__all__]


def __getattr__(name):
    """Loads a module at its first use (PEP 562): `mpi` starts MPI, which not everybody has, and `watcher` is for POSIX."""
    if name in ("mpi", "watcher"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
