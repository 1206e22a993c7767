"""Convolutions of signals and images, and their transposes."""

from functools import lru_cache

import numpy as np

from ... import ops
from ...tensors import dtypes
from ...tensors.arguments import as_ints, expect_memory, expect_tensors
from ...tensors.record import apply, remedy_for
from ...tensors.tensor import Tensor

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "convolve2d"]


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of signals: (N, C, L), weight (O, C/groups, K), bias (O) → (N, O, (L + 2·padding − K)//stride + 1)

    The same as conv2d with images of one row. (C, L) → (O, …) too.

    >>> import minidl
    >>> conv1d(minidl.tensor([[1.0, 2.0, 4.0]]), minidl.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n,o,i,j] = bias[o] + Σ_{c,k,l} weight[o,c,k,l]·input[n,c,i+k,j+l], what every framework calls convolution.

    (N, C, H, W), weight (O, C/groups, KH, KW), bias (O) → (N, O, OH, OW); (C, H, W) → (O, OH, OW) too.
    OH = (H + 2·padding − dilation·(KH − 1) − 1)//stride + 1, and OW alike: rows that a stride does not reach are not read.

    stride, dilation: an integer, or one for each axis. padding: the same, rows of zeros on either side, or "valid" (none) or
    "same" (as many as keep the size; of an odd number the larger half comes after). groups: channels are cut into as many
    groups, and each group of outputs sees one group of inputs.

    >>> import minidl
    >>> x = minidl.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, minidl.arange(4.0).reshape(1, 1, 2, 2))
    tensor([[[[19., 25.],
              [37., 43.]]]])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def convolve2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution proper, y[i,j] = Σ_{k,l} weight[k,l]·input[i−k,j−l]: conv2d with the kernel turned by 180°. Not in PyTorch.

    With padding KH − 1 and KW − 1 it is the full convolution, which commutes. Options and shapes are conv2d's.

    >>> import minidl
    >>> x, w = minidl.tensor([[[1.0, 2.0, 3.0]]]), minidl.tensor([[[[0.0, 1.0, 0.5]]]])
    >>> convolve2d(x, w, padding=(0, 2))
    tensor([[[0.0000, 1.0000, 2.5000, 4.0000, 1.5000]]])
    """
    expect_tensors("convolve2d", input=input, weight=weight)
    return conv2d(input, weight.flip((2, 3)), bias, stride, padding, dilation, groups)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """conv1d's map turned round: (N, C, L), weight (C, O/groups, K) → (N, O, (L − 1)·stride − 2·padding + K + output_padding)

    >>> import minidl
    >>> conv_transpose1d(minidl.tensor([[1.0, 2.0]]), minidl.tensor([[[1.0, 1.0]]]), stride=2)
    tensor([[1., 1., 2., 2.]])
    """
    return _transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transposed map of conv2d: each pixel is spread over a window, weighted by the kernel, and overlaps add up.

    (N, C, H, W), weight (C, O/groups, KH, KW), bias (O) → (N, O, OH, OW); (C, H, W) → (O, OH, OW) too.
    OH = (H − 1)·stride − 2·padding + dilation·(KH − 1) + output_padding + 1, and OW alike. A stride takes several sizes to
    one; output_padding, smaller than stride or dilation, says which of them is meant.

    >>> import minidl
    >>> conv_transpose2d(minidl.eye(2)[None], minidl.ones(1, 1, 2, 2))
    tensor([[[1., 1., 0.],
             [1., 2., 1.],
             [0., 1., 1.]]])
    """
    return _transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _convolve(name, d, input, weight, bias, stride, padding, dilation, groups):
    _check_operands(name, input, weight, bias)
    shape, kernel = input.array.shape, weight.array.shape
    options = _plan(name, d, shape, kernel, _fixed(stride), _fixed(padding), _fixed(dilation), _fixed(groups))
    _check_bias(name, bias, kernel[0], weight)
    return _run(ops.Conv2d(*options), d, input, weight, bias)


@lru_cache(256, typed=True)  # a network uses few different options
def _plan(name, d, shape, kernel, stride, padding, dilation, groups):
    """The options of the operation, once the shapes are known to fit."""
    stride, dilation = as_tuple(name, "stride", stride, d, 1), as_tuple(name, "dilation", dilation, d, 1)
    _check_shapes(name, d, shape, kernel, groups)
    if shape[-d - 1] != kernel[1] * groups or kernel[0] % groups:
        channels, axis = kernel[1] * groups, len(shape) - d - 1
        remedy = ""
        if shape[-1] == channels != shape[axis]:  # the channels came last
            order = (*range(axis), len(shape) - 1, *range(axis, len(shape) - 1))
            remedy = f"; write x.permute{order} where the channels are on the last axis"
        if groups == 1:
            raise ValueError(
                f"{name}: input {shape} and weight {kernel} disagree: expected {channels} channels on axis {axis} of the "
                f"input, got {shape[axis]}{remedy}"
            )
        raise ValueError(
            f"{name}: input {shape} and weight {kernel} disagree with groups={groups}: expected {kernel[1]}·{groups} = "
            f"{channels} channels on axis {axis} of the input, and weight.shape[0] to be a multiple of {groups}{remedy}"
        )
    sides = _sides(name, padding, kernel[2:], stride, dilation)
    for a in range(d):
        padded = shape[a - d] + sides[2 * a] + sides[2 * a + 1]
        window = dilation[a] * (kernel[2 + a] - 1) + 1
        if window > padded:
            raise ValueError(
                f"{name}: the output would have size {(padded - window) // stride[a] + 1} on axis {len(shape) - d + a}: a "
                f"kernel of {kernel[2:]} with dilation {dilation} reaches over {window}, but input {shape} has, with "
                f"its padding, only {padded}"
            )
        if stride[a] > padded:  # leaves one output, as a stride of the whole size does, for which there is memory
            stride = (*stride[:a], padded, *stride[a + 1 :])
    row = 2 - d  # a signal is an image of one row
    return (1,) * row + stride, (0, 0) * row + sides, (1,) * row + dilation, groups


def _transpose(name, d, input, weight, bias, stride, padding, output_padding, groups, dilation):
    _check_operands(name, input, weight, bias)
    shape, kernel = input.array.shape, weight.array.shape
    options = _fixed(stride), _fixed(padding), _fixed(dilation), _fixed(output_padding), _fixed(groups)
    more, *options = _plan_transposed(name, d, shape, kernel, *options)
    groups = options[-1]
    _check_bias(name, bias, kernel[1] * groups, weight)
    if more:
        input = apply(ops.Pad(more, 0), input)
    return _run(ops.ConvTranspose2d(*options), d, input, weight, bias)


@lru_cache(256, typed=True)
def _plan_transposed(name, d, shape, kernel, stride, padding, dilation, output_padding, groups):
    """What the input is to be padded with, and the options of the operation."""
    stride, dilation = as_tuple(name, "stride", stride, d, 1), as_tuple(name, "dilation", dilation, d, 1)
    padding, extra = as_tuple(name, "padding", padding, d, 0), as_tuple(name, "output_padding", output_padding, d, 0)
    _check_shapes(name, d, shape, kernel, groups)
    if shape[-d - 1] != kernel[0] or kernel[0] % groups:
        raise ValueError(
            f"{name}: input {shape} and weight {kernel} disagree with groups={groups}: expected {kernel[0]} channels on axis "
            f"{len(shape) - d - 1} of the input, a multiple of {groups}"
        )
    if any(e >= max(s, r) for e, s, r in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{name}: output_padding must be smaller than stride or dilation, got {extra} with stride {stride} and "
            f"dilation {dilation}"
        )
    size = tuple(
        (shape[a - d] - 1) * stride[a] - 2 * padding[a] + dilation[a] * (kernel[2 + a] - 1) + extra[a] + 1 for a in range(d)
    )
    if min(size) < 1:
        raise ValueError(
            f"{name}: the output would have size {size}, for input {shape}, kernel {kernel[2:]} and padding {padding}"
        )
    expect_memory(name, (*shape[: -d - 1], kernel[1] * groups, *size), dtypes.float32)
    # an output_padding of the stride or more makes a size that belongs to an input with more rows: of zeros
    more = tuple((0, e // s) for e, s in zip(extra, stride, strict=True))
    row = 2 - d
    sides = (0, 0) * row + tuple(p for p in padding for _ in (0, 1))
    options = (1,) * row + size, (1,) * row + stride, sides, (1,) * row + dilation, groups
    return more if any(n for _, n in more) else (), *options


def _run(op, d, input, weight, bias):
    """Runs the operation on (N, C, H, W), with the axes that the input has not, and takes them away again."""
    shape = input.array.shape
    batch, row = shape[: len(shape) - d - 1], (1,) * (2 - d)
    whole = d == 2 and batch
    if not whole:
        input = apply(ops.Reshape((*(batch or (1,)), shape[-d - 1], *row, *shape[-d:])), input)
        weight = apply(ops.Reshape((*weight.shape[:2], *row, *weight.shape[2:])), weight)
    y = apply(op, input, weight) if bias is None else apply(op, input, weight, bias)
    return y if whole else apply(ops.Reshape((*batch, y.shape[1], *y.shape[4 - d :])), y)


def as_tuple(name, option, value, d, least):
    """An option as a tuple of d integers: from an integer, or from one for each axis."""
    if type(value) is int:
        value = (value,) * d
    elif type(value) is not tuple:
        value = as_ints(value)
        value = value if type(value) is tuple else (value,) * d
    if len(value) == 1:
        value *= d
    for n in value:
        if type(n) is not int:
            value = as_ints(value)
            break
    if len(value) != d or any(type(n) is not int or n < least for n in value):
        several = "" if d == 1 else f" or {d} of them"
        raise ValueError(f"{name}: {option} must be an integer of {least} or more{several}, got {value}")
    return value


def _sides(name, padding, kernel, stride, dilation):
    """The padding before and after each axis, one after the other."""
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: padding='same' is not supported for strided convolutions, got stride {stride}")
        total = [r * (k - 1) for k, r in zip(kernel, dilation, strict=True)]
        return tuple(side for n in total for side in (n // 2, n - n // 2))
    if padding == "valid":
        padding = 0
    elif isinstance(padding, str):
        raise ValueError(f"{name}: padding must be integers, 'valid' or 'same', got {padding!r}")
    return tuple(p for p in as_tuple(name, "padding", padding, len(kernel), 0) for _ in (0, 1))


def _fixed(option):
    """What a cache can be asked for: Python's numbers, which do not change."""
    if type(option) is int:
        return option
    if type(option) is tuple:
        for n in option:
            if type(n) is not int:
                break
        else:
            return option
    option = as_ints(option.tolist() if isinstance(option, np.ndarray) else option)
    if isinstance(option, tuple):  # lists in it are no numbers, and cannot be looked up: their text is refused later
        return tuple(repr(n) if isinstance(n, (list, tuple)) else n for n in option)
    return option


def _check_operands(name, input, weight, bias):
    for what, x in ("input", input), ("weight", weight), ("bias", bias):
        if not isinstance(x, Tensor) and (x is not None or what != "bias"):
            raise TypeError(f"{name}: expected a Tensor as {what}, got {type(x).__name__}{remedy_for(x)}")
    dtype, other = input.array.dtype, weight.array.dtype
    if dtype.kind != "f":
        raise TypeError(f"{name}: expected floating-point numbers, got {dtype}; use .float() first")
    if dtype != other:
        raise TypeError(
            f"{name}: the input is {dtype} and the weight {other}; bring them to one dtype, as by input.to(weight.dtype)"
        )


def _check_shapes(name, d, shape, kernel, groups):
    axes = ("N", "C", "L") if d == 1 else ("N", "C", "H", "W")
    if len(shape) not in (d + 1, d + 2):
        remedy = "; x.unsqueeze(0) has one axis more, of one channel" if len(shape) == d else ""
        right = f"({', '.join(axes)}) or ({', '.join(axes[1:])})"
        raise ValueError(f"{name}: expected an input {right}, got shape {shape}{remedy}")
    if len(kernel) != d + 2 or 0 in kernel:
        raise ValueError(f"{name}: expected a weight with {d + 2} axes, none empty, got shape {kernel}")
    if 0 in shape[len(shape) - d :]:
        raise ValueError(f"{name}: only the batch may be empty, got an input of shape {shape}")
    if type(groups) is not int or groups < 1:
        raise ValueError(f"{name}: groups must be an integer of 1 or more, got {groups!r}")


def _check_bias(name, bias, out, weight):
    if bias is not None and (bias.array.shape != (out,) or bias.array.dtype != weight.array.dtype):
        raise ValueError(f"{name}: expected a bias of shape ({out},) and {weight.dtype}, got {bias.shape} and {bias.dtype}")
