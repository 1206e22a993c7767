"""The class Tensor. Its methods are in the files beside this one; which is where, the package's first lines say."""

import numpy as np

from . import dtypes
from .arguments import as_ints, size_of
from .arithmetic import Arithmetic
from .attributes import Attributes
from .combined import Combined
from .comparisons import Comparisons
from .contractions import Contractions
from .conversion import Conversion
from .elementwise import Elementwise
from .exchange import Exchange
from .gradients import Gradients
from .in_place import InPlace
from .indexing import Indexing
from .matrices import Matrices
from .ordering import Ordering
from .pieces import Pieces
from .products import Products
from .record import TensorBase
from .reductions import Reductions
from .scattering import Scattering
from .shapes import Shapes
from .slices import Slices
from .statistics import Statistics
from .views import Views


class Tensor(
    TensorBase,
    Gradients,
    Arithmetic,
    Combined,
    Products,
    Contractions,
    Matrices,
    Comparisons,
    Elementwise,
    Reductions,
    Ordering,
    Statistics,
    Shapes,
    Slices,
    Pieces,
    Indexing,
    Scattering,
    InPlace,
    Views,
    Conversion,
    Exchange,
    Attributes,
):
    """An n-dimensional array of numbers that remembers how it was made.

    `array` is its ndarray. `node` is None for a constant, a `Leaf` for a tensor whose gradient is wanted, and for a result the
    operation that made it. Make one with `minidl.tensor`. The class itself is given sizes, as in PyTorch, for zeros,
    or a sequence of numbers; either way in float32.

    >>> Tensor(2, 3).shape, Tensor([2.0, 3.0])
    ((2, 3), tensor([2., 3.]))
    """

    __hash__ = object.__hash__

    def __init__(self, *data):
        """Zeros of the given sizes, or the given numbers, in the default dtype."""
        sizes = as_ints(data) if len(data) > 1 or isinstance(data[:1] and data[0], np.integer) else data
        if sizes and all(type(size) is int for size in sizes):
            self.array = np.zeros(size_of("Tensor", sizes), dtypes.default)
            return
        if len(data) > 1:
            raise TypeError(f"Tensor: expected sizes, as in Tensor(2, 3), or one sequence of numbers, got {data!r}")
        (data,) = data or ((),)
        if isinstance(data, (float, bool)):
            raise TypeError(f"Tensor: expected sizes or a sequence of numbers, got {data!r}; use minidl.tensor({data!r})")
        array = data.array if isinstance(data, Tensor) else np.asarray(data)
        if array.dtype.kind not in "fiub":  # NumPy would make NaN of None, and 1 of "1"
            raise TypeError(f"Tensor: expected numbers, got {data!r}")
        with np.errstate(over="ignore"):  # 1e308 is infinite in float32
            self.array = np.array(array, dtypes.default)
