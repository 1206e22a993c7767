"""Sequences of different lengths: padded to one length, or packed without the padding.

Packed, the rows of all sequences lie step after step: first the first step of each, longest sequence first, then the second
step of those that have one, and so on. `batch_sizes` says how many sequences each step still has.
"""

from typing import NamedTuple

import numpy as np

from ...graph.watch import repeatable
from ...tensors.joining import stack
from ...tensors.record import wrap
from ...tensors.tensor import Tensor


class PackedSequence(NamedTuple):
    """The rows (sum of lengths, …) of packed sequences, how many each step has, and where each sequence was and is.

    Made by `pack_padded_sequence` and `pack_sequence`. `sorted_indices` are the sequences in the order in which they are
    packed, `unsorted_indices` the inverse; None if they came in order.

    >>> import minidl
    >>> packed = pack_sequence([minidl.tensor([1, 2, 3]), minidl.tensor([4, 5])])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 5, 3]), tensor([2, 2, 1]))
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Packs padded sequences:  (T, N, …), or with batch_first (N, T, …), and N lengths from 1 to T → PackedSequence

    Unless enforce_sorted is False, the lengths must fall, and the longest must come first.

    >>> import minidl
    >>> x = minidl.tensor([[1, 2, 3], [4, 5, 0]])
    >>> packed = pack_padded_sequence(x, [3, 2], batch_first=True)
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 5, 3]), tensor([2, 2, 1]))
    """
    name = "pack_padded_sequence"
    if not isinstance(input, Tensor) or input.ndim < 2:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise TypeError(f"{name}: expected a Tensor of padded sequences, (T, N, …) or with batch_first (N, T, …), got {got}")
    T, N = (input.shape[1], input.shape[0]) if batch_first else input.shape[:2]
    lengths = _lengths(name, lengths, N, T)
    order = None
    if (np.diff(lengths) > 0).any():
        if enforce_sorted:
            raise ValueError(f"{name}: lengths must fall, got {lengths.tolist()}; sort them, or pass enforce_sorted=False")
        order = np.argsort(-lengths, kind="stable")
    elif not enforce_sorted:
        order = np.arange(N)
    ranked = lengths if order is None else lengths[order]
    runs = ranked > np.arange(ranked[0])[:, None]  # (T, N): whether a sequence still runs
    steps, places = np.nonzero(runs)
    places = places if order is None else order[places]
    data = input[wrap(places), wrap(steps)] if batch_first else input[wrap(steps), wrap(places)]
    indices = (None, None) if order is None else (wrap(order), wrap(np.argsort(order)))
    return PackedSequence(data, wrap(runs.sum(1)), *indices)


def _lengths(name, lengths, N, T):
    return np.array(_checked(name, lengths.array if isinstance(lengths, Tensor) else lengths, N, T), np.int64)


@repeatable
def _checked(name, lengths, N, T):
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu" or lengths.shape != (N,):
        got = f"{lengths.dtype} of shape {lengths.shape}"
        raise ValueError(f"{name}: expected {N} lengths, one integer for each sequence, got {got}")
    if not N or lengths.min() < 1 or lengths.max() > T:
        raise ValueError(f"{name}: lengths must be from 1 to {T}, the padded length, got {lengths.tolist()}")
    return lengths.tolist()


def _places(sequence):
    """(step, sequence) of each packed row, and the lengths; sequences in the order they had before packing."""
    sizes = sequence.batch_sizes.numpy()
    steps = np.repeat(np.arange(len(sizes)), sizes)
    ranks = np.concatenate([np.arange(n) for n in sizes])
    lengths = (sizes[:, None] > np.arange(sizes[0])).sum(0)
    if sequence.sorted_indices is None:
        return steps, ranks, lengths
    return steps, sequence.sorted_indices.numpy()[ranks], lengths[sequence.unsorted_indices.numpy()]


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """The inverse of pack_padded_sequence: ((T, N, …) padded with padding_value, lengths). total_length: T, if not the longest.

    >>> import minidl
    >>> pad_packed_sequence(pack_sequence([minidl.tensor([1, 2, 3]), minidl.tensor([4, 5])]), batch_first=True)
    (tensor([[1, 2, 3],
            [4, 5, 0]]), tensor([3, 2]))
    """
    name = "pad_packed_sequence"
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{name}: expected a PackedSequence, got {type(sequence).__name__}")
    steps, places, lengths = _places(sequence)
    if total_length is not None and not isinstance(total_length, (int, np.integer)):
        raise TypeError(f"{name}: total_length must be an integer, got {total_length!r}")
    T = int(lengths.max()) if total_length is None else int(total_length)
    if lengths.max() > T:
        raise ValueError(f"{name}: total_length is {T}, but the longest sequence has {lengths.max()} steps")
    data, N = sequence.data, len(lengths)
    shape = (N, T) if batch_first else (T, N)
    padded = data.new_full((*shape, *data.shape[1:]), padding_value)
    padded[(wrap(places), wrap(steps)) if batch_first else (wrap(steps), wrap(places))] = data
    return padded, wrap(lengths)


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Sequences (T_i, …) as one Tensor (T, N, …), or with batch_first (N, T, …), the shorter ones padded.

    >>> import minidl
    >>> pad_sequence([minidl.tensor([1, 2, 3]), minidl.tensor([4, 5])], batch_first=True)
    tensor([[1, 2, 3],
            [4, 5, 0]])
    """
    sequences = _list("pad_sequence", sequences)
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: padding_side must be 'left' or 'right', got {padding_side!r}")
    T = max(len(x) for x in sequences)
    rows = []
    for x in sequences:
        padded = x.new_full((T, *x.shape[1:]), padding_value)
        padded[slice(T - len(x), None) if padding_side == "left" else slice(len(x))] = x
        rows.append(padded)
    return stack(rows, 0 if batch_first else 1)


def _list(name, sequences):
    sequences = list(sequences)
    if not sequences or not all(isinstance(x, Tensor) and x.ndim for x in sequences):
        raise TypeError(f"{name}: expected a list of one or more Tensors (T_i, …)")
    if len({(x.shape[1:], x.dtype) for x in sequences}) > 1:
        raise ValueError(f"{name}: sequences must agree but for their length, got shapes {[x.shape for x in sequences]}")
    return sequences


def pack_sequence(sequences, enforce_sorted=True):
    """Packs a list of sequences (T_i, …), longest first unless enforce_sorted is False.

    >>> import minidl
    >>> pack_sequence([minidl.tensor([1, 2, 3]), minidl.tensor([4, 5])]).data
    tensor([1, 4, 2, 5, 3])
    """
    sequences = _list("pack_sequence", sequences)
    return pack_padded_sequence(pad_sequence(sequences), [len(x) for x in sequences], enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """The inverse of pad_sequence: a list of sequences (T_i, …).

    >>> import minidl
    >>> unpad_sequence(minidl.tensor([[1, 2, 3], [4, 5, 0]]), [3, 2], batch_first=True)
    [tensor([1, 2, 3]), tensor([4, 5])]
    """
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    lengths = _lengths("unpad_sequence", lengths, *rows.shape[:2])
    return [row[: int(n)] for row, n in zip(rows, lengths, strict=True)]


def unpack_sequence(packed_sequences):
    """The inverse of pack_sequence: a list of sequences (T_i, …).

    >>> import minidl
    >>> unpack_sequence(pack_sequence([minidl.tensor([1, 2, 3]), minidl.tensor([4, 5])]))
    [tensor([1, 2, 3]), tensor([4, 5])]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
