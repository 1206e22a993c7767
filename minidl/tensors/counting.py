"""Which numbers occur, how often, and between which of a sorted row: unique, isin, bincount, searchsorted."""

import numpy as np

from . import dtypes
from .arguments import expect_tensors, numbers_of, size_of
from .creation import tensor
from .indexing import checked_index
from .record import TensorBase, wrap

__all__ = [
    "bincount",
    "bucketize",
    "isin",
    "searchsorted",
    "unique",
]


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements, in order.

    return_inverse also gives the indices that make the input again, return_counts how often each occurs.

    >>> import minidl
    >>> minidl.unique(minidl.tensor([3, 1, 3]))
    tensor([1, 3])
    >>> values, inverse = minidl.unique(minidl.tensor([3, 1, 3]), return_inverse=True)
    >>> values[inverse]
    tensor([3, 1, 3])
    """
    expect_tensors("unique", input=input)
    result = np.unique(np.asarray(input.detach()), return_inverse=return_inverse, return_counts=return_counts, axis=dim)
    return tuple(wrap(x) for x in result) if isinstance(result, tuple) else wrap(result)


def isin(elements, test_elements):
    """Whether each element is among the test elements: a boolean tensor of the elements' shape.

    >>> import minidl
    >>> minidl.isin(minidl.tensor([1, 2, 3]), minidl.tensor([3, 1]))
    tensor([ True, False,  True])
    """
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
    single = weights is not None and weights.dtype == dtypes.float32  # other weights are added up in float64
    return wrap(counts.astype(dtypes.float32) if single else counts)


def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """For each number its place in a sorted row: how many are smaller, with right=True (or side="right") or equal.

    One row serves all numbers; of several (…, n) each has its own numbers (…, m). `sorter` has the indices that sort a row
    that is not sorted.

    >>> import minidl
    >>> searchsorted(minidl.tensor([1.0, 3.0, 5.0]), minidl.tensor([3.0, 6.0]))
    tensor([1, 3])
    """
    expect_tensors("searchsorted", sorted_sequence=sorted_sequence)
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', and agree with right={right}, got {side!r}")
    rows, alone = sorted_sequence.array, not isinstance(input, TensorBase)
    if alone:
        (input,) = numbers_of("searchsorted", input=input)
        if rows.ndim != 1:
            raise ValueError(f"searchsorted: a number goes with one row, got shape {rows.shape}")
    values = np.asarray(input) if alone else input.array
    if not alone and values.dtype != rows.dtype:
        raise TypeError(f"searchsorted: expected one dtype, got {rows.dtype} and {values.dtype}")
    if not rows.ndim or (rows.ndim > 1 and rows.shape[:-1] != values.shape[:-1]):
        raise ValueError(f"searchsorted: expected one row, or rows for numbers (…, m), got {rows.shape} and {values.shape}")
    if sorter is not None:
        expect_tensors("searchsorted", sorter=sorter)
        if sorter.shape != rows.shape or sorter.dtype != dtypes.int64:
            raise ValueError(
                f"searchsorted: expected a sorter of int64, shape {rows.shape}, got {sorter.dtype}, {sorter.shape}"
            )
        order = checked_index("searchsorted", sorter, max(rows.shape[-1], 1))
        rows = np.take_along_axis(rows, order, -1)
    side, kind = "right" if right or side == "right" else "left", np.int32 if out_int32 else np.int64
    if rows.ndim == 1:
        return wrap(np.asarray(np.searchsorted(rows, values, side), kind))
    places = np.zeros(values.shape, kind)
    for i in np.ndindex(rows.shape[:-1]):
        places[i] = np.searchsorted(rows[i], values[i], side)
    return wrap(places)


def bucketize(input, boundaries, *, out_int32=False, right=False):
    """For each number the interval it lies in: how many of the sorted boundaries are smaller, with right=True or equal.

    >>> import minidl
    >>> bucketize(minidl.tensor([0.5, 3.0]), minidl.tensor([1.0, 3.0]))
    tensor([0, 1])
    """
    expect_tensors("bucketize", boundaries=boundaries)
    if boundaries.ndim != 1:
        raise ValueError(f"bucketize: expected a vector of boundaries, got shape {boundaries.shape}")
    if isinstance(input, TensorBase) and input.dtype != boundaries.dtype:  # unlike searchsorted, of any two dtypes
        dtype = dtypes.join(input.dtype, boundaries.dtype)
        input, boundaries = input.to(dtype), boundaries.to(dtype)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
