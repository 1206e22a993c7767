"""Pooling: the largest or the mean of windows of signals and images, channel by channel."""

import functools
from typing import Any

import numpy as np

from ... import kernels, ops
from ...graph.watch import repeatable
from ...tensors.arguments import as_int, as_ints, expect_memory, integer
from ...tensors.record import apply, remedy_for, wrap
from ...tensors.tensor import Tensor
from .conv import as_tuple

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_unpool2d",
]


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False) -> Any:
    """The largest number of each window: (N, C, L) or (C, L), the last axis as in max_pool2d.

    >>> import minidl
    >>> max_pool1d(minidl.tensor([[1.0, 3.0, 2.0, 4.0, 0.0]]), 3, stride=2)
    tensor([[3., 4.]])
    """
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False) -> Any:
    """The largest number of each window: (N, C, H, W) → (N, C, OH, OW), or (C, H, W) → (C, OH, OW)

    OH = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1)/stride⌋ + 1, and OW alike: a border that no window reaches gets
    gradient 0. With ceil_mode ⌈…⌉, but a window must start inside the input or the padding before it. stride is kernel_size
    by default; padding, at most half of it, is −inf. Each option is an integer or a pair.

    Of equal numbers the first of the window (row by row) takes the gradient. NaN goes through. With return_indices a
    second tensor says where in the plane the maxima are, as int64 row·W + column. Integers are allowed as well.

    >>> import minidl
    >>> max_pool2d(minidl.arange(9.0).reshape(1, 1, 3, 3), 2, stride=1)
    tensor([[[[4., 5.],
              [7., 8.]]]])
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window: (N, C, L) or (C, L), the last axis as in avg_pool2d.

    >>> import minidl
    >>> avg_pool1d(minidl.tensor([[1.0, 3.0, 2.0, 4.0]]), 2)
    tensor([[2., 3.]])
    """
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The mean of each window, with the windows and shapes of max_pool2d.

    padding is 0, and counts as elements unless count_include_pad=False; what hangs over it in ceil_mode never counts.
    divisor_override: an integer to divide the sums by instead.

    >>> import minidl
    >>> avg_pool2d(minidl.arange(9.0).reshape(1, 1, 3, 3), 2, stride=1)
    tensor([[[[2., 3.],
              [5., 6.]]]])
    """
    return _avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_max_pool1d(input, output_size, return_indices=False) -> Any:
    """The largest number of each of output_size windows: (N, C, L) → (N, C, output_size), or (C, L).

    >>> import minidl
    >>> adaptive_max_pool1d(minidl.tensor([[1.0, 3.0, 2.0]]), 1)
    tensor([[3.]])
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input, output_size, return_indices=False) -> Any:
    """The largest number of each window, with the windows of adaptive_avg_pool2d and the rules of max_pool2d.

    >>> import minidl
    >>> adaptive_max_pool2d(minidl.arange(9.0).reshape(1, 3, 3), (None, 1))
    tensor([[[2.],
             [5.],
             [8.]]])
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_avg_pool1d(input, output_size):
    """The mean of each of output_size windows: (N, C, L) → (N, C, output_size), or (C, L).

    >>> import minidl
    >>> adaptive_avg_pool1d(minidl.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[2.0000, 2.5000]])
    """
    axes = _adaptive_axes("adaptive_avg_pool1d", 1, input, output_size, "f")
    return apply(ops.MeanPool(axes), input)


def adaptive_avg_pool2d(input, output_size):
    """The mean of each window: (N, C, H, W) → (N, C, OH, OW), or (C, H, W) → (C, OH, OW), for output_size OH, OW

    Window o of an axis of n goes from ⌊o·n/out⌋ up to ⌈(o + 1)·n/out⌉. output_size: one integer or two; None keeps an
    axis. 1 is global pooling.

    >>> import minidl
    >>> adaptive_avg_pool2d(minidl.arange(9.0).reshape(1, 3, 3), 1)
    tensor([[[4.]]])
    """
    axes = _adaptive_axes("adaptive_avg_pool2d", 2, input, output_size, "f")
    return apply(ops.MeanPool(axes), input)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Each number back to the place where max_pool2d(…, return_indices=True) found it, 0 elsewhere.

    (N, C, H, W) or (C, H, W), and indices of the same shape. The output has (H − 1)·stride − 2·padding + kernel_size rows
    unless output_size says otherwise, which must lie within a stride of that; columns alike. If two maxima were found at one
    place, the later is put there.

    >>> import minidl
    >>> y, where = max_pool2d(minidl.arange(4.0).reshape(1, 2, 2), 2, return_indices=True)
    >>> max_unpool2d(y, where, 2)
    tensor([[[0., 0.],
             [0., 3.]]])
    """
    name = "max_unpool2d"
    _check(name, 2, input, "f")
    kernel, stride, padding = _options(name, 2, kernel_size, stride, padding)
    sizes = [(n - 1) * s - 2 * p + k for n, k, s, p in zip(input.shape[-2:], kernel, stride, padding, strict=True)]
    if output_size is not None:
        if not isinstance(output_size, (tuple, list)):
            raise TypeError(f"{name}: output_size must be a tuple of sizes, got {output_size!r}")
        asked = tuple(integer(name, n, "output_size") for n in output_size)[-2:]
        if len(asked) < 2 or any(abs(n - m) >= s for n, m, s in zip(asked, sizes, stride, strict=True)):
            raise ValueError(f"{name}: output_size {tuple(output_size)} must be within the stride {stride} of {tuple(sizes)}")
        sizes = asked
    if not isinstance(indices, Tensor) or indices.array.dtype != np.int64 or indices.shape != input.shape:
        got = f"{indices.dtype} {indices.shape}" if isinstance(indices, Tensor) else type(indices).__name__
        raise ValueError(f"{name}: expected indices int64 of the input's shape {input.shape}, got {got}")
    return apply(ops.MaxUnpool(_places_in(name, indices.array, *sizes), tuple(sizes)), input)


@repeatable
def _places_in(name, indices, rows, columns):
    """A copy of indices that lie in planes of this size."""
    bad = (indices < 0) | (indices >= rows * columns)
    if bad.any():
        raise IndexError(f"{name}: index {indices[bad][0]} is out of range for planes of {rows}×{columns}: give output_size")
    return indices.copy()


def _max_pool(name, d, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    _check(name, d, input, "fiu")
    return _maxima(_axes(name, d, input, kernel_size, stride, padding, dilation, ceil_mode), input, return_indices)


def _avg_pool(name, d, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    _check(name, d, input, "f")
    divisor_override = as_int(divisor_override)
    if divisor_override is not None and (type(divisor_override) is not int or divisor_override == 0):
        raise ValueError(f"{name}: divisor_override must be an integer other than 0, got {divisor_override!r}")
    axes = _axes(name, d, input, kernel_size, stride, padding, 1, ceil_mode)
    return apply(ops.MeanPool(axes, bool(count_include_pad), divisor_override), input)


def _adaptive_max_pool(name, d, input, output_size, return_indices):
    return _maxima(_adaptive_axes(name, d, input, output_size, "fiu"), input, return_indices)


def _maxima(axes, input, return_indices):
    op = ops.MaxPool(axes)
    y = apply(op, input)
    return (y, wrap(_indices(op.codes, axes))) if return_indices else y


@repeatable
def _indices(codes, axes):
    """Where the maxima were, counted along each plane."""
    return kernels.max_pool_indices(codes, axes)


def _check(name, d, input, kinds):
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}{remedy_for(input)}")
    shape, dtype = input.array.shape, input.array.dtype
    if dtype.kind not in kinds:
        what = "numbers" if "i" in kinds else "floating-point numbers"
        raise TypeError(f"{name}: expected a tensor of {what}, got {dtype}; convert it, as by input.float()")
    if len(shape) not in (d + 1, d + 2):
        letters = "H, W" if d == 2 else "L"
        remedy = "; x.unsqueeze(0) has one axis more, of one channel" if len(shape) == d else ""
        raise ValueError(f"{name}: expected an input (N, C, {letters}) or (C, {letters}), got shape {shape}{remedy}")


def _options(name, d, kernel_size, stride, padding):
    kernel = as_tuple(name, "kernel_size", kernel_size, d, 1)
    stride = (
        kernel
        if stride is None or (isinstance(stride, (tuple, list)) and not stride)
        else as_tuple(name, "stride", stride, d, 1)
    )
    padding = as_tuple(name, "padding", padding, d, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{name}: padding {padding} must be at most half of kernel_size {kernel}")
    return kernel, stride, padding


def _axes(name, d, input, kernel_size, stride, padding, dilation, ceil_mode):
    given, shape = (kernel_size, stride, padding, dilation), input.array.shape
    windows = _windows if _WHOLE.issuperset(map(type, given)) else _windows.__wrapped__
    return windows(name, d, shape, *given, bool(ceil_mode))


_WHOLE = frozenset({int, type(None)})  # options of these types are remembered; others could be equal and yet be wrong, as 2.0


@functools.lru_cache(1024, typed=True)
def _windows(name, d, shape, kernel_size, stride, padding, dilation, ceil_mode):
    options = *_options(name, d, kernel_size, stride, padding), as_tuple(name, "dilation", dilation, d, 1)
    axes = []
    for axis, *of_axis in zip(range(-d, 0), *options, strict=True):
        try:
            axes.append(kernels.pool_windows(shape[axis], *of_axis, ceil_mode))
        except ValueError as error:
            raise ValueError(f"{name}: input {shape}, axis {axis}: {error}") from None
    return tuple(axes)


def _adaptive_axes(name, d, input, output_size, kinds):
    _check(name, d, input, kinds)
    sizes = as_ints(output_size)
    sizes = sizes if isinstance(sizes, tuple) else (sizes,) * d
    sizes = sizes * d if len(sizes) == 1 else sizes
    if len(sizes) != d or any(n is not None and (type(n) is not int or n < 0) for n in sizes):
        raise ValueError(f"{name}: output_size must be {d} integers of 0 or more (None keeps an axis), got {output_size!r}")
    shape = input.array.shape[-d:]
    if 0 in shape:
        raise ValueError(f"{name}: the pooled axes of an input must have elements, got shape {input.shape}")
    sizes = tuple([n if out is None else out for n, out in zip(shape, sizes, strict=True)])
    expect_memory(name, (*input.array.shape[:-d], *sizes), input.array.dtype, 96 * sum(sizes))  # the tables of windows
    return tuple([kernels.adaptive_windows(n, out) for n, out in zip(shape, sizes, strict=True)])
