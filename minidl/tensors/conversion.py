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
            raise RuntimeError(
                f"item: expected a tensor with one element, got shape {self.shape}; write .tolist(), or x[i] for one of them"
            )
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
            raise ValueError(
                f"{name}: only a tensor with one element can be a number, got shape {self.shape}; write x[i] for one of them"
            )
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

    def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None):
        """In another dtype, or another tensor's; the device can only be "cpu". Itself where nothing changes.

        non_blocking changes nothing, for nothing is moved. memory_format: channels_last lays the elements in that order.

        >>> import minidl
        >>> minidl.tensor([1, 2]).to("cpu", minidl.float64, non_blocking=True)
        tensor([1., 2.], dtype=minidl.float64)
        """
        if len(args) == 1 and args[0] is self.array.dtype and dtype is device is memory_format is None and not copy:
            return self
        flags = []  # non_blocking, copy
        for arg in args:
            if isinstance(arg, TensorBase):
                dtype = arg.dtype
            elif isinstance(arg, dtypes.device) or (
                isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "gpu", "meta", "mps", "tpu", "xpu")
            ):
                device = arg
            elif isinstance(arg, bool):
                flags.append(arg)
            elif arg is not None:
                dtype = arg
        if device is not None:
            dtypes.device(device)
        copy = copy or flags[1:] == [True]
        dtype = self.array.dtype if dtype is None else dtypes.as_dtype(dtype)
        if memory_format is not None:
            result = self.to(dtype=dtype, copy=copy)
            return result if memory_format is dtypes.preserve_format else result.contiguous(memory_format=memory_format)
        if dtype is self.array.dtype or dtype == self.array.dtype:
            return self.clone() if copy else self
        if dtype.kind == "f" and self.array.dtype.kind == "f":
            return apply(ops.Cast(dtype), self)
        if self.array.dtype.kind != "f":
            return wrap(self.array.astype(dtype))
        with np.errstate(invalid="ignore"):
            return wrap(self.array.astype(dtype))

    def type(self, dtype=None, non_blocking=False):
        """In another dtype, also by an old name such as minidl.FloatTensor or "torch.FloatTensor"; without one, the old name.

        >>> import minidl
        >>> minidl.tensor([1, 2]).type(minidl.FloatTensor), minidl.tensor([1, 2]).type()
        (tensor([1., 2.]), 'minidl.LongTensor')
        """
        if dtype is None:
            return f"minidl.{next(name for name, kind in dtypes.OLD_NAMES.items() if kind == self.array.dtype)}"
        return self.to(dtypes.of_old_name(dtype) or dtype)

    def type_as(self, other):
        """In the dtype of another tensor.

        >>> import minidl
        >>> minidl.tensor([1, 2]).type_as(minidl.tensor([0.5]))
        tensor([1., 2.])
        """
        if not isinstance(other, TensorBase):
            raise TypeError(f"type_as: expected a Tensor, got {type(other).__name__}")
        return self.to(other.dtype)

    def float(self, memory_format=None):
        """As float32.

        >>> import minidl
        >>> minidl.tensor([1, 2]).float()
        tensor([1., 2.])
        """
        return self.to(dtypes.float32, memory_format=memory_format)

    def double(self, memory_format=None):
        """As float64.

        >>> import minidl
        >>> minidl.tensor([1, 2]).double()
        tensor([1., 2.], dtype=minidl.float64)
        """
        return self.to(dtypes.float64, memory_format=memory_format)

    def long(self, memory_format=None):
        """As int64; fractions are cut off.

        >>> import minidl
        >>> minidl.tensor([1.7, -1.7]).long()
        tensor([ 1, -1])
        """
        return self.to(dtypes.int64, memory_format=memory_format)

    def int(self, memory_format=None):
        """As int32; fractions are cut off.

        >>> import minidl
        >>> minidl.tensor([1.7, -1.7]).int()
        tensor([ 1, -1], dtype=minidl.int32)
        """
        return self.to(dtypes.int32, memory_format=memory_format)

    def bool(self, memory_format=None):
        """As booleans: True where x is not 0.

        >>> import minidl
        >>> minidl.tensor([0.0, 0.5]).bool()
        tensor([False,  True])
        """
        return self.to(dtypes.bool, memory_format=memory_format)

    def short(self, memory_format=None):
        """As int16; fractions are cut off.

        >>> import minidl
        >>> minidl.tensor([1.7, -1.7]).short()
        tensor([ 1, -1], dtype=minidl.int16)
        """
        return self.to(dtypes.int16, memory_format=memory_format)

    def half(self):
        """Raises TypeError: there are no numbers of 16 bits.

        >>> import minidl
        >>> minidl.ones(2).half()
        Traceback (most recent call last):
            ...
        TypeError: half: minidl has no float16; leave .half() out, or write .float()
        """
        raise TypeError("half: minidl has no float16; leave .half() out, or write .float()")

    def bfloat16(self):
        """Raises TypeError: there are no numbers of 16 bits.

        >>> import minidl
        >>> minidl.ones(2).bfloat16()
        Traceback (most recent call last):
            ...
        TypeError: bfloat16: minidl has no bfloat16; leave .bfloat16() out, or write .float()
        """
        raise TypeError("bfloat16: minidl has no bfloat16; leave .bfloat16() out, or write .float()")

    def cpu(self, memory_format=None):
        """The tensor itself: minidl has no other device.

        >>> import minidl
        >>> x = minidl.ones(2)
        >>> x.cpu() is x
        True
        """
        return self.to(memory_format=memory_format)

    def cuda(self, device=None, non_blocking=False, memory_format=None):
        """Raises RuntimeError: there is no GPU.

        >>> import minidl
        >>> minidl.ones(2).cuda()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        RuntimeError: cuda: minidl runs on the CPU only; leave it out, or write ...
        """
        raise RuntimeError(dtypes.NO_GPU.format("cuda"))

    def pin_memory(self, device=None):
        """The tensor itself: there is no GPU to copy to.

        >>> import minidl
        >>> x = minidl.ones(2)
        >>> x.pin_memory() is x
        True
        """
        return self

    def is_pinned(self, device=None):
        """False: there is no GPU to copy to.

        >>> import minidl
        >>> minidl.ones(2).is_pinned()
        False
        """
        return False

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
