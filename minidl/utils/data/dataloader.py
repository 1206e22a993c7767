"""The place where PyTorch has DataLoader: `from minidl.utils.data.dataloader import DataLoader, default_collate`."""

from .collate import default_collate, default_convert
from .loader import DataLoader

__all__ = ["DataLoader", "default_collate", "default_convert"]
