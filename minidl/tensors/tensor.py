"""The class Tensor. Its methods are in the files beside this one; which is where, the package's first lines say."""

import numpy as np

from . import dtypes
from .arithmetic import Arithmetic
from .attributes import Attributes
from .comparisons import Comparisons
from .conversion import Conversion
from .elementwise import Elementwise
from .gradients import Gradients
from .in_place import InPlace
from .indexing import Indexing
from .ordering import Ordering
from .products import Products
from .record import TensorBase
from .reductions import Reductions
from .shapes import Shapes
from .slices import Slices
from .views import Views


class Tensor(
    TensorBase,
    Gradients,
    Arithmetic,
    Products,
    Comparisons,
    Elementwise,
    Reductions,
    Ordering,
    Shapes,
    Slices,
    Indexing,
    InPlace,
    Views,
    Conversion,
    Attributes,
):
    """An n-dimensional array of numbers that remembers how it was made.

    `array` is its ndarray. `node` is None for a constant, a `Leaf` for a tensor whose gradient is wanted, and for a result the
    operation that made it. Make one with `minidl.tensor`.
    """

    __array_ufunc__ = None  # NumPy on the left lets our reflected operator answer
    __hash__ = object.__hash__

    def __init__(self, data=()):
        array = data.array if isinstance(data, Tensor) else np.asarray(data)
        if array.dtype.kind not in "fiub":  # NumPy would make NaN of None, and 1 of "1"
            raise TypeError(f"Tensor: expected numbers, got {data!r}")
        self.array = np.array(array, dtypes.float32)
