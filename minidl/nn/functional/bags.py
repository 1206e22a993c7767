"""Bags of integers: the sum, mean or maximum of the rows of a table that each names."""

import math

import numpy as np

from ... import ops
from ...graph.watch import repeatable
from ...tensors.arguments import expect_memory, expect_tensors
from ...tensors.creation import full
from ...tensors.record import apply, wrap
from ...tensors.tensor import Tensor
from .basic import embedding, row_of

__all__ = ["embedding_bag"]


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """The sum, mean or maximum (mode) of rows of a table, weight (V, E), for each bag of integers → (B, E).

    input: (B, L), a bag in each row; or (n), where bag b goes from offsets[b] up to offsets[b + 1], the last one to the end
    (include_last_offset: the last offset is the end itself, and starts no bag). An empty bag gives zeros.
    per_sample_weights: of the input's shape, by which rows are multiplied; for mode "sum". padding_idx: an index that counts
    for nothing. max_norm, norm_type, scale_grad_by_freq: as in `embedding`.

    >>> import minidl
    >>> embedding_bag(minidl.tensor([0, 2, 1]), minidl.eye(3), minidl.tensor([0, 2]))
    tensor([[0.5000, 0.0000, 0.5000],
            [0.0000, 1.0000, 0.0000]])
    """
    name = "embedding_bag"
    expect_tensors(name, input=input, weight=weight)
    if weight.ndim != 2:
        raise ValueError(f"{name}: expected a weight (rows, features), got shape {weight.shape}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if per_sample_weights is not None:
        expect_tensors(name, per_sample_weights=per_sample_weights)
        if mode != "sum":
            raise NotImplementedError(f"{name}: per_sample_weights are for mode 'sum', got mode {mode!r}")
        if per_sample_weights.shape != input.shape or per_sample_weights.dtype != weight.dtype:
            raise ValueError(
                f"{name}: expected per_sample_weights of shape {input.shape} and {weight.dtype}, got "
                f"{per_sample_weights.shape} and {per_sample_weights.dtype}"
            )
    if mode == "max" and scale_grad_by_freq:
        raise NotImplementedError(f"{name}: scale_grad_by_freq is for the modes 'sum' and 'mean'")
    if padding_idx is not None:
        padding_idx = row_of(name, padding_idx, weight)
    flat = input.reshape(-1)
    rows = embedding(flat, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    places, kept, some, counts = _places(name, input, offsets, include_last_offset, padding_idx, weight)
    if not places.shape[1]:
        return rows.sum(0).expand(len(places), weight.shape[1]) * 0.0
    filling = full((1, 1, 1), -math.inf if mode == "max" else 0, dtype=weight.dtype)
    bags = apply(ops.Where(kept), apply(ops.Index((places,)), rows), filling)
    if mode == "max":
        return apply(ops.Where(some), bags.max(1).values, filling[0].new_zeros(1, 1))
    return bags.sum(1) / wrap(counts) if mode == "mean" else bags.sum(1)


@repeatable
def _places(name, input, offsets, include_last_offset, padding_idx, weight):
    """(bags, longest): where the rows of each bag are, and (bags, longest, 1) whether there are any and they count.

    (bags, 1): whether any row of the bag counts; and how many do, but at least 1, in the weight's dtype.
    """
    starts, ends = _bags(name, input, offsets, include_last_offset)
    longest = int((ends - starts).max(initial=0))
    expect_memory(name, (len(starts), longest, weight.shape[1]), weight.dtype)
    places = starts[:, None] + np.arange(longest)
    kept = places < ends[:, None]
    places = np.where(kept, places, 0)
    if padding_idx is not None and longest:
        kept &= input.array.reshape(-1)[places] != padding_idx
    counts = np.maximum(kept.sum(1), 1).astype(weight.dtype)
    return places, kept[..., None], kept.any(1)[:, None], counts[:, None]


def _bags(name, input, offsets, include_last_offset):
    """Where each bag starts and ends among the integers."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{name}: a matrix holds a bag in each row, and takes no offsets, got {offsets!r}")
        rows, length = input.shape
        starts = np.arange(rows) * length
        return starts, starts + length
    if input.ndim != 1:
        raise ValueError(f"{name}: expected an input (B, L) or (n), got shape {input.shape}")
    if not isinstance(offsets, Tensor) or offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        raise ValueError(f"{name}: an input (n) needs offsets, integers (B), where each bag starts; got {offsets!r}")
    starts, count = offsets.array.astype(np.int64), input.shape[0]
    if include_last_offset and (not len(starts) or starts[-1] != count):
        raise ValueError(f"{name}: with include_last_offset the last offset must be the number of integers, {count}")
    bounds = starts if include_last_offset else np.append(starts, count)
    if (np.diff(bounds) < 0).any() or (len(bounds) and bounds[0] != 0):
        raise ValueError(f"{name}: offsets must begin with 0, never decrease, and be at most {count}, got {offsets.tolist()}")
    return bounds[:-1], bounds[1:]
