"""Parameters: the tensors that a module learns."""

import numpy as np

from .. import dtypes
from ..tensor import Tensor, wrap


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
            self.array = np.empty(0, dtypes.float32)
        elif isinstance(data, Tensor):
            self.array = data.array
        else:
            raise TypeError(f"Parameter: expected a Tensor, got {type(data).__name__}; write minidl.tensor(...) around it")
        if requires_grad:
            self.requires_grad_()

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known before the first input: empty until `materialize(shape)` makes it a Parameter.

    It stays the same object, so an optimizer may be given it before.
    """

    def __init__(self, requires_grad=True, device=None, dtype=None):
        if device is not None:
            dtypes.device(device)
        self.array = np.empty(0, dtypes.float32 if dtype is None else dtypes.as_dtype(dtype))
        if requires_grad:
            self.requires_grad_()

    def materialize(self, shape):
        """Becomes a Parameter of this shape, with memory that is not filled yet."""
        self.__class__ = Parameter
        self.data = wrap(np.empty(shape, self.array.dtype))

    @property
    def shape(self):
        raise RuntimeError("shape: this parameter has none before its lazy module has seen a first input")

    def numel(self):
        """Raises: the number of elements is not known yet."""
        return self.shape

    def __repr__(self):
        return f"<{type(self).__name__}>"
