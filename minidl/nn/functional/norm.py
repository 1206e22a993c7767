"""Normalisation: over the batch, a row, or a group of channels."""

import math

import numpy as np

from ... import kernels, ops
from ...graph.watch import repeatable
from ...graph.writes import note_write
from ...tensors.arguments import as_int, as_ints, expect_tensors, number
from ...tensors.record import apply, remedy_for
from ...tensors.tensor import Tensor

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """(x − mean)/√(var + eps)·weight + bias for each channel:  (N, C, …), the others (C) → (N, C, …)

    training: mean and (biased) variance are the batch's, and running_mean and running_var, unless None, move by `momentum`
    towards its mean and unbiased variance, in place. Otherwise they are the running ones.

    >>> import minidl
    >>> batch_norm(minidl.tensor([[1.0, 2.0], [2.0, 3.0]]), None, None, training=True)
    tensor([[-1.0000, -1.0000],
            [ 1.0000,  1.0000]])
    """
    shape = _shape("batch_norm", input)
    count, stats = math.prod(shape) // max(shape[1], 1), None
    _check_running("batch_norm", input, running_mean, running_var)
    momentum = number("batch_norm", "momentum", momentum)
    if training:
        if count == 1:
            raise ValueError(
                f"batch_norm: expected more than 1 value per channel in training, got an input of shape {shape}: its outputs "
                "would all be the bias. Use larger batches (drop_last=True if only a DataLoader's last is short) or eval()"
            )
    elif running_mean is None:
        raise ValueError("batch_norm: running_mean and running_var are needed unless training=True")
    else:
        stats = kernels.running_statistics(running_mean.array, running_var.array)
    op = ops.BatchNorm(number("batch_norm", "eps", eps), stats)
    y = _apply("batch_norm", op, input, weight, bias)
    if training and running_mean is not None and count:
        _update(running_mean, running_var, op.stats, momentum, count)
    return y


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x − mean)/√(var + eps)·weight + bias over the last axes, whose sizes are normalized_shape, as are weight's and bias's.

    >>> import minidl
    >>> layer_norm(minidl.tensor([[1.0, 2.0], [2.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    axes = _trailing("layer_norm", input, normalized_shape)
    return _apply("layer_norm", ops.LayerNorm(axes, number("layer_norm", "eps", eps)), input, weight, bias)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x/√(mean(x²) + eps)·weight over the last axes, whose sizes are normalized_shape. eps: that of the dtype by default.

    >>> import minidl
    >>> rms_norm(minidl.tensor([3.0, -3.0]), (2,))
    tensor([ 1., -1.])
    """
    axes = _trailing("rms_norm", input, normalized_shape)
    if input.array.dtype.kind != "f":
        raise TypeError(f"rms_norm: expected floating-point numbers, got {input.dtype}; use .float() first")
    eps = float(np.finfo(input.dtype).eps) if eps is None else number("rms_norm", "eps", eps)
    return _apply("rms_norm", ops.RMSNorm(axes, eps), input, weight, None)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """(x − mean)/√(var + eps)·weight + bias over groups of C/num_groups channels of one sample:  (N, C, …) → (N, C, …)

    >>> import minidl
    >>> group_norm(minidl.tensor([[1.0, 2.0, 30.0, 50.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    shape = _shape("group_norm", input)
    num_groups = as_int(num_groups)
    if type(num_groups) is not int or num_groups < 1 or shape[1] % num_groups:
        raise ValueError(f"group_norm: the {shape[1]} channels of the input {shape} cannot make {num_groups!r} equal groups")
    if math.prod(shape) == num_groups:
        raise ValueError(f"group_norm: expected more than 1 value in a group, got {shape} in {num_groups} groups")
    return _apply("group_norm", ops.GroupNorm(num_groups, number("group_norm", "eps", eps)), input, weight, bias)


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """(x − mean)/√(var + eps)·weight + bias for each channel of each sample:  (N, C, L, …), the others (C) → (N, C, L, …)

    use_input_stats=False: with the running mean and variance instead. They move, if given, towards the samples' average.

    >>> import minidl
    >>> instance_norm(minidl.tensor([[[1.0, 2.0], [30.0, 50.0]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """
    shape = _shape("instance_norm", input)
    _check_running("instance_norm", input, running_mean, running_var)
    momentum = number("instance_norm", "momentum", momentum)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    (N, C), count = shape[:2], math.prod(shape[2:])
    if count == 1:
        raise ValueError(f"instance_norm: expected more than 1 value per channel of a sample, got an input of shape {shape}")
    if not C:
        return input.clone()
    op = ops.GroupNorm(C, number("instance_norm", "eps", eps))
    y = _apply("instance_norm", op, input, weight, bias)
    if running_mean is not None and y.array.size:
        _update(running_mean, running_var, _averages(op.stats, op.eps, N, C), momentum, count)
    return y


@repeatable
def _averages(stats, eps, N, C):
    """(2, C): means and variances of each channel, averaged over the samples, of stats (N·C, 2), means and 1/√(var + eps)."""
    mean, rstd = stats.T
    with np.errstate(all="ignore"):  # an infinite eps makes a variance of NaN
        return np.array([mean, rstd**-2 - eps]).reshape(2, N, C).mean(1)


def _apply(name, op, input, weight, bias):
    try:
        return apply(op, input, weight, bias)
    except AttributeError:  # an argument is not a tensor
        given = {"weight": weight, "bias": bias}
        expect_tensors(name, **{what: x for what, x in given.items() if x is not None})
        raise


def _update(running_mean, running_var, stats, momentum, count):
    if not (running_mean.array.flags.writeable and running_var.array.flags.writeable):
        raise ValueError("running_mean and running_var: expected memory that can be written to, got a read-only array")
    kernels.update_running(running_mean.array, running_var.array, stats, momentum, count)
    note_write(running_mean.array)
    note_write(running_var.array)


def _shape(name, input):
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}{remedy_for(input)}")
    shape = input.array.shape
    if len(shape) < 2:
        raise ValueError(f"{name}: expected an input (N, C, ...), got shape {shape}")
    return shape


def _check_running(name, input, running_mean, running_var):
    if running_mean is None or running_var is None:
        if running_mean is not running_var:
            raise ValueError(f"{name}: running_mean and running_var must be given both, or neither")
        return
    expect_tensors(name, running_mean=running_mean, running_var=running_var)
    array = input.array
    for x in (running_mean.array, running_var.array):
        what = "running_mean" if x is running_mean.array else "running_var"
        if x.shape != array.shape[1:2]:
            raise ValueError(
                f"{name}: for an input of shape {array.shape} expected {what} of shape {array.shape[1:2]}, got {x.shape}; "
                f"the layer for it has num_features={array.shape[1]}"
            )
        if x.dtype != array.dtype:
            raise TypeError(f"{name}: the input is {array.dtype} and {what} {x.dtype}; bring them to one dtype")


def _trailing(name, input, normalized_shape):
    """How many axes are normalised."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}{remedy_for(input)}")
    if type(normalized_shape) is not tuple:
        normalized_shape = as_ints(normalized_shape)
    if not isinstance(normalized_shape, tuple):
        remedy = f"; write ({normalized_shape},)" if type(normalized_shape) is int else ""
        raise TypeError(f"{name}: normalized_shape must be a tuple of sizes, got {normalized_shape!r}{remedy}")
    shape, wanted = input.array.shape, tuple(normalized_shape)
    if not wanted:
        raise ValueError(f"{name}: normalized_shape must name one axis or more, got {normalized_shape!r}")
    if shape[-len(wanted) :] != wanted:
        raise ValueError(f"{name}: normalized_shape {wanted} and input {shape} disagree: expected (..., {str(wanted)[1:]}")
    return len(wanted)
