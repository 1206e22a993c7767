"""Data sets, the order in which they are read, and batches of them."""

from importlib import import_module

from . import dataloader, transforms
from .collate import default_collate, default_convert
from .dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from .digits import digits
from .distributed import DistributedSampler
from .idx import read_idx, write_idx
from .loader import DataLoader
from .mnist import MNIST, FashionMNIST
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler
from .worker import get_worker_info

__all__ = [
    "MNIST",
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "FashionMNIST",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "dataloader",
    "default_collate",
    "default_convert",
    "digits",
    "download",
    "get_worker_info",
    "random_split",
    "read_idx",
    "transforms",
    "write_idx",
]


def __getattr__(name):
    """Loads `download` when it is first asked for (PEP 562): what HTTP and TLS need took a tenth of the time of the import."""
    if name == "download":
        return import_module(".network", __name__).download
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
