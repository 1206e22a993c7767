"""What a tensor is without its graph: sizes, dtype, device, memory, and what it looks like."""

from ..ops.base import normalize_axis
from . import dtypes
from .describing import describe, html_of
from .printing import format_tensor

_CPU = dtypes.device("cpu")


class Attributes:
    """The parts of a Tensor that read its array and leave its graph alone."""

    @property
    def shape(self):
        """The size of each axis, as a tuple.

        >>> import minidl
        >>> minidl.zeros(2, 3).shape
        (2, 3)
        """
        return self.array.shape

    @property
    def ndim(self):
        """How many axes.

        >>> import minidl
        >>> minidl.zeros(2, 3).ndim
        2
        """
        return self.array.ndim

    @property
    def dtype(self):
        """The type of its numbers, a dtype of NumPy.

        >>> import minidl
        >>> minidl.tensor([1, 2]).dtype, minidl.tensor([1.0]).dtype
        (dtype('int64'), dtype('float32'))
        """
        return self.array.dtype

    @property
    def device(self):
        """Where its memory is: always the CPU.

        >>> import minidl
        >>> minidl.ones(2).device
        device(type='cpu')
        """
        return _CPU

    @property
    def itemsize(self):
        """The size of one element, in bytes.

        >>> import minidl
        >>> minidl.ones(2).itemsize
        4
        """
        return self.array.itemsize

    @property
    def nbytes(self):
        """The size of all elements, in bytes.

        >>> import minidl
        >>> minidl.ones(2, 3).nbytes
        24
        """
        return self.array.nbytes

    def size(self, dim=None):
        """The shape, or the size of one axis.

        >>> import minidl
        >>> x = minidl.zeros(2, 3)
        >>> x.size(), x.size(-1)
        ((2, 3), 3)
        """
        return self.array.shape if dim is None else self.array.shape[normalize_axis("size", dim, self.ndim)]

    def dim(self):
        """How many axes: ndim.

        >>> import minidl
        >>> minidl.zeros(2, 3).dim()
        2
        """
        return self.array.ndim

    def numel(self):
        """How many elements.

        >>> import minidl
        >>> minidl.zeros(2, 3).numel()
        6
        """
        return self.array.size

    nelement = numel

    def element_size(self):
        """The size of one element, in bytes: itemsize.

        >>> import minidl
        >>> minidl.tensor([1.0]).element_size()
        4
        """
        return self.array.itemsize

    def stride(self):
        """For each axis, how many elements lie in memory between one index and the next.

        >>> import minidl
        >>> x = minidl.zeros(2, 3)
        >>> x.stride(), x.T.stride()
        ((3, 1), (1, 3))
        """
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
        """False: a tensor lies in the memory of the CPU.

        >>> import minidl
        >>> minidl.ones(2).is_cuda
        False
        """
        return False

    @property
    def is_mps(self):
        """False: a tensor lies in the memory of the CPU.

        >>> import minidl
        >>> minidl.ones(2).is_mps
        False
        """
        return False

    @property
    def is_sparse(self):
        """False: all elements of a tensor are stored.

        >>> import minidl
        >>> minidl.ones(2).is_sparse
        False
        """
        return False

    @property
    def is_quantized(self):
        """False: the elements are the numbers themselves.

        >>> import minidl
        >>> minidl.ones(2).is_quantized
        False
        """
        return False

    def get_device(self):
        """−1, PyTorch's number of the CPU.

        >>> import minidl
        >>> minidl.ones(2).get_device()
        -1
        """
        return -1

    def is_complex(self):
        """False: complex numbers are in ComplexTensors, which only `minidl.linalg.eig` and `minidl.tensor` make.

        >>> import minidl
        >>> minidl.ones(2).is_complex()
        False
        """
        return False

    def is_floating_point(self):
        """Whether its numbers are float32 or float64.

        >>> import minidl
        >>> minidl.tensor([1.0]).is_floating_point(), minidl.tensor([1]).is_floating_point()
        (True, False)
        """
        return self.array.dtype.kind == "f"

    def data_ptr(self):
        """The address of its first element in memory. Views of one start have the same.

        >>> import minidl
        >>> x = minidl.zeros(4)
        >>> x.data_ptr() == x.view(2, 2).data_ptr()
        True
        """
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
        """len(self): the size of the first axis."""
        if not self.array.ndim:
            raise TypeError("len: a 0-d tensor has no length (len() of a 0-d tensor)")
        return len(self.array)

    def __iter__(self):
        """The slices of the first axis, one after the other."""
        if not self.array.ndim:
            raise TypeError("iter: iteration over a 0-d tensor")
        return iter(self.unbind())

    def __reversed__(self):
        """reversed(self): the slices of the first axis in the opposite order, as a tensor."""
        return self.flip(0) if self.array.ndim else self

    def __contains__(self, element):
        """element in self: whether an element is equal to it."""
        return bool((self == element).any())

    def __repr__(self):
        """The text that PyTorch prints, such as tensor([1., 2.], requires_grad=True)."""
        node = self.node
        if node is None:
            suffix = ()
        else:
            suffix = ("requires_grad=True",) if self.is_leaf else (f"grad_fn={node!r}",)
        return format_tensor(self.array, suffix_parts=suffix)

    def describe(self):
        """What it holds, as a text: shape, dtype, bytes, the extremes, mean and std of its numbers, zeros, NaN, and its graph.

        std is that of `x.std()`, divided by n − 1. NaN and infinities are counted and left out of the other numbers.

        >>> import minidl
        >>> w = minidl.tensor([0.0, 1.0, 2.0], requires_grad=True)
        >>> (w * 2).describe()
        shape (3,), float32, 12 bytes
        min 0, mean 2, max 4, std 2
        zeros 33.3%, NaN 0, inf 0
        requires_grad True, made by Mul
        """
        node = self.node
        made_by = None if node is None or self.is_leaf else str(node.name)
        kept = node or getattr(self, "_frozen", None)
        return describe(self.array, self.shape, node is not None, kept is not None and kept.grad is not None, made_by)

    def _repr_html_(self):
        """For notebooks: its text, a picture of a matrix or of images, what describe() says. Of bounded size; never raises."""
        try:
            return html_of(self.array, repr(self), self.describe())
        except Exception:
            return None  # a notebook then shows repr

    def __format__(self, spec):
        """format(self, spec): of a 0-d tensor as of its number, so f"{loss:.3f}" works."""
        return format(self.item(), spec) if not self.array.ndim else object.__format__(self, spec)
