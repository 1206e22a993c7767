"""Connectionist temporal classification."""

import numpy as np

from ... import ops
from ...graph.watch import repeatable
from ...tensors.arguments import as_int, expect_tensors
from ...tensors.record import apply, wrap
from ...tensors.tensor import Tensor

__all__ = ["ctc_loss"]


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """−ln P(targets), in nats, over all alignments:  log_probs (T, N, C) or (T, C) → (), or (N) with reduction="none"

    An alignment names a class at each step; without repeats and then without blanks it is the target. log_probs: what
    log_softmax gives. targets: integers (N, S), padded, or all in a row, (sum of target_lengths); none is the blank.
    reduction="mean" divides each loss by its target's length, then takes the mean. A target that is too long for its input has
    loss ∞, or, with zero_infinity, 0 and a gradient of 0.

    The gradient is the true one, for log_probs as they are given. PyTorch's differs from it by e^log_probs, which log_softmax
    takes away again: through it both are the same. Graves et al. (2006).

    >>> import minidl
    >>> ctc_loss(minidl.full((2, 1, 3), 1 / 3).log(), minidl.tensor([[1]]), [2], [1]).exp()  # of 9 pairs, 1 1, 1 - and - 1
    tensor(3.)
    """
    expect_tensors("ctc_loss", log_probs=log_probs, targets=targets)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"ctc_loss: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    if log_probs.ndim not in (2, 3) or not log_probs.is_floating_point():
        got = f"{log_probs.dtype} of shape {log_probs.shape}"
        raise ValueError(f"ctc_loss: expected floating-point log_probs (T, N, C) or (T, C), got {got}")
    batched = log_probs.ndim == 3
    x = log_probs if batched else log_probs.unsqueeze(1)
    T, N, C = x.shape
    lengths, sizes = _lengths("input_lengths", input_lengths, N, T), _lengths("target_lengths", target_lengths, N)
    blank = as_int(blank)
    if type(blank) is not int or not 0 <= blank < C:
        raise ValueError(f"ctc_loss: blank must be an integer from 0 to {C - 1}, got {blank!r}")
    rows = _rows(targets, sizes, N, batched)
    _check_targets(rows, sizes, C, blank)
    y = apply(ops.CTC(rows, lengths, sizes, int(blank), bool(zero_infinity)), x)
    if reduction == "mean":
        return (y / wrap(_at_least_1(sizes, y.dtype))).mean()
    return y.sum() if reduction == "sum" else y if batched else y.squeeze(0)


@repeatable
def _at_least_1(sizes, dtype):
    return np.maximum(sizes, 1).astype(dtype)


@repeatable
def _check_targets(rows, sizes, C, blank):
    for row, size in zip(rows, sizes, strict=True):
        wrong = row[:size][(row[:size] < 0) | (row[:size] >= C) | (row[:size] == blank)]
        if wrong.size:
            raise IndexError(f"ctc_loss: targets must be from 0 to {C - 1} and not the blank, {blank}; got {wrong[0]}")


@repeatable
def _lengths(what, lengths, N, most=None):
    lengths = np.atleast_1d(np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths))
    if (lengths.dtype.kind not in "iu" and lengths.size) or lengths.shape != (N,):
        raise ValueError(f"ctc_loss: expected {what} as {N} integers, got {lengths.dtype} of shape {lengths.shape}")
    if N and (lengths.min() < 0 or (most is not None and lengths.max() > most)):
        bound = f"from 0 to {most}" if most is not None else "of 0 or more"
        raise ValueError(f"ctc_loss: {what} must be {bound}, got {lengths.tolist()}")
    return lengths.astype(np.int64)


@repeatable
def _rows(targets, sizes, N, batched):
    """The targets padded, (N, S) int64."""
    array = targets.array
    if array.dtype.kind not in "iu":
        raise TypeError(f"ctc_loss: targets must be integers, got {array.dtype}")
    if array.ndim == 2 and batched and len(array) == N and (not N or sizes.max() <= array.shape[1]):
        return array.astype(np.int64)
    if array.ndim != 1 or array.size != sizes.sum():
        right = f"targets (N, S) with S at least {sizes.max(initial=0)}, or {sizes.sum()} in a row"
        raise ValueError(f"ctc_loss: expected {right}, got shape {array.shape}")
    rows = np.zeros((N, sizes.max(initial=0)), np.int64)
    rows[np.arange(rows.shape[1]) < sizes[:, None]] = array
    return rows
