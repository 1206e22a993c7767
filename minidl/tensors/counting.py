"""Which numbers occur, and how often: unique, isin, bincount."""

import numpy as np

from .arguments import expect_tensors, size_of
from .creation import tensor
from .record import TensorBase, wrap


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements, in order; with the indices that rebuild the input, or with their counts."""
    expect_tensors("unique", input=input)
    result = np.unique(input.array, return_inverse=return_inverse, return_counts=return_counts, axis=dim)
    return tuple(wrap(x) for x in result) if isinstance(result, tuple) else wrap(result)


def isin(elements, test_elements):
    """Whether each element is among the test elements: a boolean tensor of the elements' shape."""
    expect_tensors("isin", elements=elements)
    among = test_elements if isinstance(test_elements, TensorBase) else tensor(test_elements)
    return wrap(np.isin(elements.array, among.array))


def bincount(input, weights=None, minlength=0):
    """How often each of 0, 1, 2, … occurs in a vector of integers. With weights their sums: float32 of float32, else float64.

    >>> import minidl
    >>> minidl.bincount(minidl.tensor([1, 1, 3]), minidl.tensor([2, 3, 4]))
    tensor([0., 5., 0., 4.], dtype=minidl.float64)
    """
    expect_tensors("bincount", input=input, **({} if weights is None else {"weights": weights}))
    if input.ndim != 1 or input.dtype.kind not in "iu" or (input.array < 0).any():
        raise ValueError(f"bincount: expected a vector of integers of 0 or more, got {input.dtype}, shape {input.shape}")
    if weights is not None and weights.shape != input.shape:
        raise ValueError(f"bincount: expected weights of the input's shape {input.shape}, got {weights.shape}")
    (minlength,) = size_of("bincount", (minlength,))
    counts = np.bincount(input.array, None if weights is None else weights.array, minlength)
    return wrap(counts.astype(np.float32) if weights is not None and weights.dtype == np.float32 else counts)
