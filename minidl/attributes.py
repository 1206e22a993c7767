"""What a Tensor is without its graph: its sizes and dtype, what it looks like, and its way to Python, NumPy and other dtypes.

These are methods of `Tensor` (in `tensor.py`, which inherits them).
"""

import numpy as np

from . import dtypes, ops
from .methods import Methods, sizes_of
from .ops.base import normalize_axis
from .printing import format_tensor

_CPU = dtypes.device("cpu")


class Attributes:
    """The parts of a Tensor that read its array and leave its graph alone."""

    # --- what it is

    @property
    def shape(self):
        """The size of each axis, as a tuple."""
        return self.array.shape

    @property
    def ndim(self):
        return self.array.ndim

    @property
    def dtype(self):
        return self.array.dtype

    @property
    def device(self):
        return _CPU

    @property
    def itemsize(self):
        return self.array.itemsize

    @property
    def nbytes(self):
        return self.array.nbytes

    def size(self, dim=None):
        """The shape, or the size of one axis."""
        return self.array.shape if dim is None else self.array.shape[normalize_axis("size", dim, self.ndim)]

    def dim(self):
        return self.array.ndim

    def numel(self):
        """How many elements."""
        return self.array.size

    nelement = numel

    def element_size(self):
        return self.array.itemsize

    def stride(self):
        """Steps between neighbours along each axis, in elements."""
        return tuple(s // self.array.itemsize for s in self.array.strides)

    def is_contiguous(self):
        return self.array.flags.c_contiguous

    def is_floating_point(self):
        return self.array.dtype.kind == "f"

    def data_ptr(self):
        return self.array.ctypes.data

    def __len__(self):
        if not self.array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __iter__(self):
        if not self.array.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind())

    def __contains__(self, element):
        return bool((self == element).any())

    def __repr__(self):
        node = self.node
        if node is None:
            suffix = ()
        else:
            suffix = ("requires_grad=True",) if self.is_leaf else (f"grad_fn={node!r}",)
        return format_tensor(self.array, suffix_parts=suffix)

    def __format__(self, spec):
        return format(self.item(), spec) if not self.array.ndim else object.__format__(self, spec)

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
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        if self.array.size != 1:
            raise RuntimeError(f"the truth of a tensor with shape {self.shape} is ambiguous: use .any() or .all()")
        return bool(self.array.item())

    def __index__(self):
        if self.array.dtype.kind not in "iub" or self.array.size != 1:
            raise TypeError("only an integer tensor with one element can be an index")
        return int(self.array.item())

    # --- other types

    def to(self, *args, dtype=None, device=None, copy=False):
        """In another dtype, or another tensor's; the device can only be "cpu". Itself where nothing changes."""
        for arg in args:
            if isinstance(arg, Methods):
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
            return self._apply(ops.Cast(dtype), self)
        with np.errstate(invalid="ignore"):
            return self._wrap(self.array.astype(dtype))

    def type(self, dtype):
        return self.to(dtype)

    def type_as(self, other):
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
        array = np.asarray(data.array if isinstance(data, Methods) else data)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"new_tensor: expected numbers, or nested lists of them, got {data!r}")
        return self._new(np.array(array), self.dtype if dtype is None else dtype, device, requires_grad)

    def _new(self, array, dtype, device, requires_grad):
        return self._wrap(array).to(dtype=dtype, device=device).requires_grad_(requires_grad)
