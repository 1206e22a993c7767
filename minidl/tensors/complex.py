"""Complex numbers as results: what eigenvalues need, and nothing else. They have no gradients and no arithmetic."""

import numpy as np

from .. import ops
from .arguments import expect_tensors
from .printing import format_tensor
from .record import apply, floating, wrap
from .tensor import Tensor

__all__ = ["angle", "imag", "real"]

_KNOWN = "real, imag, abs(), angle(), shape, dtype, numpy(), tolist(), item() and indexing"


def _refused(symbol):
    def operator(self, *others):
        raise TypeError(f"{symbol}: complex tensors have no arithmetic; compute with .real and .imag, or .numpy()")

    return operator


class ComplexTensor:
    """An array of complex numbers, complex64 or complex128, which only `minidl.linalg.eig`, `eigvals` and `tensor` make.

    It has its two parts, length and angle as real tensors, indexing, iteration and printing. Everything else is refused by
    name. To sort, by length for example: z[z.abs().argsort()].

    >>> import minidl
    >>> z = minidl.tensor([3 + 4j, 1j])
    >>> z, z.abs(), z[z.abs().argsort()]
    (tensor([3.+4.j, 0.+1.j]), tensor([5., 1.]), tensor([0.+1.j, 3.+4.j]))
    """

    requires_grad, grad, __hash__ = False, None, object.__hash__
    __array_ufunc__ = None  # NumPy leaves operators to this class

    def __init__(self, array):
        self.array = array

    shape = property(lambda self: self.array.shape, doc="The sizes of the axes.")
    ndim = property(lambda self: self.array.ndim, doc="The number of axes.")
    dtype = property(lambda self: self.array.dtype, doc="complex64 or complex128.")
    real = property(lambda self: wrap(self.array.real.copy()), doc="The real parts, a real tensor.")
    imag = property(lambda self: wrap(self.array.imag.copy()), doc="The imaginary parts, a real tensor.")

    def abs(self):
        """√(real² + imag²), a real tensor."""
        return wrap(np.asarray(np.abs(self.array)))

    absolute = __abs__ = abs

    def angle(self):
        """The angle with the real axis, in (−π, π], a real tensor."""
        return wrap(np.asarray(np.angle(self.array)))

    def numpy(self):
        """The numbers as an ndarray."""
        return self.array

    def tolist(self):
        """The numbers as Python's, in nested lists."""
        return self.array.tolist()

    def item(self):
        """The one number, as Python's."""
        if self.array.size != 1:
            raise ValueError(f"item: expected one element, got shape {self.shape}")
        return self.array.item()

    def is_complex(self):
        """True."""
        return True

    def detach(self):
        """Itself: there is no gradient."""
        return self

    def size(self, dim=None):
        """The sizes, or one of them."""
        return self.shape if dim is None else self.shape[dim]

    def __getitem__(self, key):
        keys = tuple(k.array if isinstance(k, Tensor) else k for k in (key if isinstance(key, tuple) else (key,)))
        try:
            return ComplexTensor(np.asarray(self.array[keys]))
        except IndexError as error:
            raise IndexError(f"complex tensor: {error}; shape {self.shape}") from None

    def __len__(self):
        if not self.ndim:
            raise TypeError("len: a 0-d tensor has no length")
        return len(self.array)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __complex__(self):
        return complex(self.item())

    __add__ = __radd__ = _refused("+")
    __sub__ = __rsub__ = __neg__ = _refused("-")
    __mul__ = __rmul__ = _refused("*")
    __truediv__ = __rtruediv__ = _refused("/")
    __pow__ = __rpow__ = _refused("**")
    __matmul__ = __rmatmul__ = _refused("@")
    __eq__ = __ne__ = _refused("==")
    __lt__ = __le__ = __gt__ = __ge__ = _refused("<")
    __setitem__ = _refused("z[…] = …")

    def __repr__(self):
        return format_tensor(self.array)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype, copy=copy)

    def __getattr__(self, name):
        if name.startswith("__"):  # what Python asks for
            raise AttributeError(name)
        raise AttributeError(f"{name}: complex tensors have only {_KNOWN}; compute with .real and .imag, or .numpy()")


def real(input):
    """The real parts of a complex tensor; a real one as it is.

    >>> import minidl
    >>> minidl.real(minidl.tensor([1 + 2j]))
    tensor([1.])
    """
    return input.real if isinstance(input, ComplexTensor) else _tensor("real", input)


def imag(input):
    """The imaginary parts of a complex tensor. A real one has none: RuntimeError, as in PyTorch.

    >>> import minidl
    >>> minidl.imag(minidl.tensor([1 + 2j]))
    tensor([2.])
    """
    if isinstance(input, ComplexTensor):
        return input.imag
    raise RuntimeError(f"imag: expected a complex tensor, got {_tensor('imag', input).dtype}")


def angle(input):
    """The angle with the real axis: of complex numbers in (−π, π], of real ones π where they are below 0, otherwise 0.

    >>> import minidl
    >>> minidl.angle(minidl.tensor([1j, 1 + 1j])), minidl.angle(minidl.tensor([-2.0, 3.0]))
    (tensor([1.5708, 0.7854]), tensor([3.1416, 0.0000]))
    """
    if isinstance(input, ComplexTensor):
        return input.angle()
    return apply(ops.PiecewiseConstant(_angle), floating(_tensor("angle", input)))


def _angle(x):
    return np.where(np.isnan(x), x, np.where(x < 0, np.pi, 0)).astype(x.dtype)


def _tensor(name, input):
    expect_tensors(name, input=input)
    return input
