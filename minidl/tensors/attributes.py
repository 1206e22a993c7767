"""What a tensor is without its graph: sizes, dtype, device, memory, and what it looks like."""

from ..ops.base import normalize_axis
from . import dtypes
from .printing import format_tensor

_CPU = dtypes.device("cpu")


class Attributes:
    """The parts of a Tensor that read its array and leave its graph alone."""

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

    def is_contiguous(self, memory_format=dtypes.contiguous_format):
        """Whether the elements lie in the order of the axes, or in that of a memory_format.

        >>> import minidl
        >>> minidl.ones(2, 3).t().is_contiguous()
        False
        """
        order = dtypes.order_in_memory("is_contiguous", memory_format, self.ndim)
        return (self.array if order is None else self.array.transpose(order)).flags.c_contiguous

    @property
    def is_cuda(self):
        """False: a tensor lies in the memory of the CPU."""
        return False

    @property
    def is_mps(self):
        """False: a tensor lies in the memory of the CPU."""
        return False

    @property
    def is_sparse(self):
        """False: all elements of a tensor are stored."""
        return False

    @property
    def is_quantized(self):
        """False"""
        return False

    def get_device(self):
        """−1: the CPU."""
        return -1

    def is_complex(self):
        """False: there are no complex numbers."""
        return False

    def is_floating_point(self):
        return self.array.dtype.kind == "f"

    def data_ptr(self):
        return self.array.ctypes.data

    @property
    def ctypes(self):
        """NumPy's `ndarray.ctypes`, for what reads an ndarray's memory: safetensors.numpy.save(dict(model.state_dict())).

        ValueError if the elements do not lie in order, for such programs do not ask about strides.

        >>> import minidl
        >>> x = minidl.ones(3)
        >>> x.ctypes.data == x.data_ptr()
        True
        """
        if not self.array.flags.c_contiguous:
            raise ValueError(
                f"ctypes: the elements of this tensor of shape {self.shape} do not lie in order; use .contiguous()"
            )
        return self.array.ctypes

    def __len__(self):
        if not self.array.ndim:
            raise TypeError("len: a 0-d tensor has no length (len() of a 0-d tensor)")
        return len(self.array)

    def __iter__(self):
        if not self.array.ndim:
            raise TypeError("iter: iteration over a 0-d tensor")
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
