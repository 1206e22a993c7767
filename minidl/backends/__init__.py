"""Settings of libraries that PyTorch computes with. None of them is here: what they ask for is so already, or cannot be had.

>>> import minidl
>>> minidl.backends.mps.is_available()
False
"""

from . import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
