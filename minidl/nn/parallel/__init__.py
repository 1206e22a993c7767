"""One model, trained by many processes: `DistributedDataParallel`. The processes are those of `minidl.distributed`."""

from .data_parallel import DistributedDataParallel

__all__ = ["DistributedDataParallel"]
