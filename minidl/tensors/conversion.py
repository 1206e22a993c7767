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
        """The only element, as a Python number. RuntimeError if there is not exactly one.

        >>> import minidl
        >>> minidl.tensor([2.5]).item()
        2.5
        """
        if self.array.size != 1:
            raise RuntimeError(f"item: expected a tensor with one element, got shape {self.shape}")
        return self.array.item()

    def tolist(self):
        """The elements as nested lists of Python numbers; of a 0-d tensor the number.

        >>> import minidl
        >>> minidl.tensor([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        return self.array.tolist()

    def numpy(self, *, force=False):
        """The ndarray, sharing memory. A tensor that requires grad must be detached first (`force=True` does it).

        >>> import minidl
        >>> x = minidl.zeros(2)
        >>> x.numpy()[0] = 5
        >>> x
        tensor([5., 0.])
        """
        if self.node is not None and not force:
            raise RuntimeError("numpy: this tensor requires grad; use .detach().numpy()")
        return self.array

    def __array__(self, dtype=None, copy=None):
        """What np.asarray(self) gives: the ndarray, or a copy in another dtype."""
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __float__(self):
        """float(self), of a tensor with one element."""
        return float(self._one_number("float"))

    def __int__(self):
        """int(self), of a tensor with one element."""
        return int(self._one_number("int"))

    def __complex__(self):
        """complex(self), of a tensor with one element."""
        return complex(self._one_number("complex"))

    def _one_number(self, name):
        if self.array.size != 1:  # a ValueError, as PyTorch has it: to matplotlib it says that this is no number, but a row
            raise ValueError(f"{name}: only a tensor with one element can be a number, got shape {self.shape}")
        return self.array.item()

    def __bool__(self):
        """bool(self), of a tensor with one element: whether it is not 0."""
        if self.array.size != 1:
            raise RuntimeError(f"bool: the truth of a tensor with shape {self.shape} is ambiguous: use .any() or .all()")
        return bool(self.array.item())

    def __index__(self):
        """A tensor with one integer as an index, as in list[self]."""
        if self.array.dtype.kind not in "iub" or self.array.size != 1:
            raise TypeError("index: only an integer tensor with one element can be an index")
        return int(self.array.item())

    # --- other types

    def to(self, *args, dtype=None, device=None, copy=False):
        """In another dtype, or in that of another tensor; the device can only be "cpu".

        Without a change it is the tensor itself, unless copy=True.

        >>> import minidl
        >>> minidl.tensor([1.7, -1.7]).to(minidl.int64)
        tensor([ 1, -1])
        >>> minidl.tensor([1, 2]).to(minidl.zeros(1))
        tensor([1., 2.])
        """
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
        """As to(dtype).

        >>> import minidl
        >>> minidl.tensor([0, 2]).type(minidl.float64)
        tensor([0., 2.], dtype=minidl.float64)
        """
        return self.to(dtype)

    def type_as(self, other):
        """In the dtype of another tensor.

        >>> import minidl
        >>> minidl.tensor([1, 2]).type_as(minidl.tensor([0.5]))
        tensor([1., 2.])
        """
        if not isinstance(other, TensorBase):
            raise TypeError(f"type_as: expected a Tensor, got {type(other).__name__}")
        return self.to(other.dtype)

    def float(self):
        """As float32.

        >>> import minidl
        >>> minidl.tensor([1, 2]).float()
        tensor([1., 2.])
        """
        return self.to(dtypes.float32)

    def double(self):
        """As float64.

        >>> import minidl
        >>> minidl.tensor([1, 2]).double()
        tensor([1., 2.], dtype=minidl.float64)
        """
        return self.to(dtypes.float64)

    def long(self):
        """As int64; fractions are cut off.

        >>> import minidl
        >>> minidl.tensor([1.7, -1.7]).long()
        tensor([ 1, -1])
        """
        return self.to(dtypes.int64)

    def int(self):
        """As int32; fractions are cut off.

        >>> import minidl
        >>> minidl.tensor([1.7, -1.7]).int()
        tensor([ 1, -1], dtype=minidl.int32)
        """
        return self.to(dtypes.int32)

    def bool(self):
        """As booleans: True where x is not 0.

        >>> import minidl
        >>> minidl.tensor([0.0, 0.5]).bool()
        tensor([False,  True])
        """
        return self.to(dtypes.bool)

    def cpu(self):
        """The tensor itself: minidl has no other device.

        >>> import minidl
        >>> x = minidl.ones(2)
        >>> x.cpu() is x
        True
        """
        return self

    def cuda(self, *args, **kwargs):
        """Raises RuntimeError: minidl runs on the CPU only.

        >>> import minidl
        >>> minidl.ones(2).cuda()
        Traceback (most recent call last):
            ...
        RuntimeError: cuda: minidl runs on the CPU only
        """
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
        """Ones in this tensor's dtype, or in another.

        >>> import minidl
        >>> minidl.tensor([1, 2]).new_ones(3)
        tensor([1, 1, 1])
        """
        return self._new(np.ones(sizes_of("new_ones", size), self.dtype), dtype, device, requires_grad)

    def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False):
        """One value everywhere, in this tensor's dtype, or in another.

        >>> import minidl
        >>> minidl.tensor([1, 2]).new_full((2,), 7)
        tensor([7, 7])
        """
        return self.new_zeros(size, dtype=dtype, device=device).fill_(fill_value).requires_grad_(requires_grad)

    def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
        """The data, copied, in this tensor's dtype, or in another.

        >>> import minidl
        >>> minidl.tensor([0.5]).new_tensor([1, 2])
        tensor([1., 2.])
        """
        array = np.asarray(data.array if isinstance(data, TensorBase) else data)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"new_tensor: expected numbers, or nested lists of them, got {data!r}")
        return self._new(np.array(array), self.dtype if dtype is None else dtype, device, requires_grad)

    def _new(self, array, dtype, device, requires_grad):
        return wrap(array).to(dtype=dtype, device=device).requires_grad_(requires_grad)
