"""A tensor's way to Python, to NumPy and to other dtypes, and new tensors like it."""

import numpy as np

from .. import ops
from . import dtypes
from .arguments import sizes_of
from .record import TensorBase, apply, wrap


class Conversion:
    """To Python, NumPy, other dtypes."""

    # --- out of the graph: to Python, to NumPy

    def item(self):
        """The one element, as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(f"item: expected a tensor with one element, got shape {self.shape}")
        return self.array.item()

    def tolist(self):
        return self.array.tolist()

    def numpy(self, *, force=False):
        """The array, sharing memory. A tensor that requires grad must be detached first (`force=True` does it)."""
        if self.node is not None and not force:
            raise RuntimeError("numpy: this tensor requires grad; use .detach().numpy()")
        return self.array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __float__(self):
        return float(self._one_number("float"))

    def __int__(self):
        return int(self._one_number("int"))

    def __complex__(self):
        return complex(self._one_number("complex"))

    def _one_number(self, name):
        if self.array.size != 1:  # a ValueError, as PyTorch has it: to matplotlib it says that this is no number, but a row
            raise ValueError(f"{name}: only a tensor with one element can be a number, got shape {self.shape}")
        return self.array.item()

    def __bool__(self):
        if self.array.size != 1:
            raise RuntimeError(f"bool: the truth of a tensor with shape {self.shape} is ambiguous: use .any() or .all()")
        return bool(self.array.item())

    def __index__(self):
        if self.array.dtype.kind not in "iub" or self.array.size != 1:
            raise TypeError("index: only an integer tensor with one element can be an index")
        return int(self.array.item())

    # --- other types

    def to(self, *args, dtype=None, device=None, copy=False):
        """In another dtype, or another tensor's; the device can only be "cpu". Itself where nothing changes."""
        for arg in args:
            if isinstance(arg, TensorBase):
                dtype = arg.dtype
            elif isinstance(arg, dtypes.device) or (
                isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "mps", "meta")
            ):
                device = arg
            elif arg is not None:
                dtype = arg
        if device is not None:
            dtypes.device(device)
        dtype = self.array.dtype if dtype is None else dtypes.as_dtype(dtype)
        if dtype is self.array.dtype or dtype == self.array.dtype:
            return self.clone() if copy else self
        if dtype.kind == "f" and self.array.dtype.kind == "f":
            return apply(ops.Cast(dtype), self)
        with np.errstate(invalid="ignore"):
            return wrap(self.array.astype(dtype))

    def type(self, dtype):
        return self.to(dtype)

    def type_as(self, other):
        if not isinstance(other, TensorBase):
            raise TypeError(f"type_as: expected a Tensor, got {type(other).__name__}")
        return self.to(other.dtype)

    def float(self):
        return self.to(dtypes.float32)

    def double(self):
        return self.to(dtypes.float64)

    def long(self):
        return self.to(dtypes.int64)

    def int(self):
        return self.to(dtypes.int32)

    def bool(self):
        return self.to(dtypes.bool)

    def cpu(self):
        return self

    def cuda(self, *args, **kwargs):
        raise RuntimeError("cuda: minidl runs on the CPU only")

    # --- new tensors like this one

    def new_zeros(self, *size, dtype=None, device=None, requires_grad=False):
        """Zeros in this tensor's dtype, or another.

        >>> import minidl
        >>> minidl.ones(2).new_zeros(1, 3, dtype=minidl.int64)
        tensor([[0, 0, 0]])
        """
        return self._new(np.zeros(sizes_of("new_zeros", size), self.dtype), dtype, device, requires_grad)

    def new_ones(self, *size, dtype=None, device=None, requires_grad=False):
        """Ones in this tensor's dtype, or another."""
        return self._new(np.ones(sizes_of("new_ones", size), self.dtype), dtype, device, requires_grad)

    def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False):
        """One value everywhere, in this tensor's dtype, or another."""
        return self.new_zeros(size, dtype=dtype, device=device).fill_(fill_value).requires_grad_(requires_grad)

    def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
        """The data, copied, in this tensor's dtype, or another."""
        array = np.asarray(data.array if isinstance(data, TensorBase) else data)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"new_tensor: expected numbers, or nested lists of them, got {data!r}")
        return self._new(np.array(array), self.dtype if dtype is None else dtype, device, requires_grad)

    def _new(self, array, dtype, device, requires_grad):
        return wrap(array).to(dtype=dtype, device=device).requires_grad_(requires_grad)
