"""Parameters: the tensors that a module learns."""

import numpy as np

from ..tensors import dtypes
from ..tensors.record import wrap
from ..tensors.tensor import Tensor

__all__ = ["Parameter", "UninitializedBuffer", "UninitializedParameter"]


class Parameter(Tensor):
    """A tensor that a Module registers when it is assigned as an attribute; requires grad unless told otherwise.

    It shares the memory of `data`.

    >>> import minidl
    >>> Parameter(minidl.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data=None, requires_grad=True):
        if data is None:
            self.array = np.empty(0, dtypes.default)
        elif isinstance(data, Tensor):
            self.array = data.array
        else:
            raise TypeError(f"Parameter: expected a Tensor, got {type(data).__name__}; write minidl.tensor(...) around it")
        if requires_grad:
            self.requires_grad_()

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo):
        return self._copy(memo)  # without .grad


class Uninitialized:
    """A parameter or buffer whose shape is not known before the first input: empty until `materialize(shape)`.

    It stays the same object, so an optimizer may be given it before.
    """

    becomes = None  # the class that it has with a shape

    def __init__(self, requires_grad=False, device=None, dtype=None):
        if device is not None:
            dtypes.device(device)
        self.array = np.empty(0, dtypes.default if dtype is None else dtypes.as_dtype(dtype))
        if requires_grad:
            self.requires_grad_()

    def materialize(self, shape):
        """Gets this shape, and memory that is not filled yet."""
        self.__class__ = self.becomes
        self.data = wrap(np.empty(shape, self.array.dtype))

    @property
    def shape(self):
        raise RuntimeError("shape: there is none before the lazy module has seen a first input")

    def numel(self):
        """Raises: the number of elements is not known yet."""
        return self.shape

    def __repr__(self):
        return f"<{type(self).__name__}>"


class UninitializedParameter(Uninitialized, Parameter):
    """A Parameter without a shape, until `materialize(shape)`."""

    becomes = Parameter

    def __init__(self, requires_grad=True, device=None, dtype=None):
        super().__init__(requires_grad, device, dtype)


class UninitializedBuffer(Uninitialized, Tensor):
    """A buffer without a shape, until `materialize(shape)`."""

    becomes = Tensor
