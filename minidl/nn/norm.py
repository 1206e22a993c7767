"""Normalisation: layers that bring what passes to mean 0 and variance 1, then scale and shift it by what they learn."""

import functools

from .. import kernels
from ..graph.writes import note_write
from ..tensors.arguments import as_ints, expect_tensors
from ..tensors.creation import empty, tensor
from . import functional as F, init
from .lazy import LazyModule
from .linear import checked_sizes
from .module import Module
from .parameter import Parameter, Uninitialized, UninitializedBuffer, UninitializedParameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "RMSNorm",
]


class _RunningNorm(Module):
    """What batch and instance norm share: a scale and a shift for each channel, and running statistics."""

    axes = ()  # how many axes the input may have

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__()
        (num_features,) = checked_sizes(self, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        new = functools.partial(empty, num_features, device=device, dtype=dtype)
        self._make(lambda: Parameter(new()), new, bias)
        self.reset_parameters()

    def _make(self, parameter, buffer, bias):
        self.weight = parameter() if self.affine else None
        self.bias = parameter() if self.affine and bias else None
        tracks = self.track_running_stats
        self.register_buffer("running_mean", buffer() if tracks else None)
        self.register_buffer("running_var", buffer() if tracks else None)
        self.register_buffer("num_batches_tracked", tensor(0) if tracks else None)

    def reset_running_stats(self):
        """Running mean 0, running variance 1, no batches seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Scale 1, shift 0, and no running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input(self, input):
        try:
            fits = input.ndim in self.axes
        except AttributeError:
            expect_tensors(type(self).__name__, input=input)
            raise
        if not fits:
            wanted = " or ".join(f"{n}" for n in self.axes)
            raise ValueError(f"{type(self).__name__}: expected an input with {wanted} axes, got shape {input.shape}")

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm(_RunningNorm):
    def forward(self, input):
        self._check_input(input)
        mean, var, momentum = self.running_mean, self.running_var, self.momentum
        tracks = self.training and self.track_running_stats
        if momentum is None:  # the average of all batches
            momentum = 1 / (self.num_batches_tracked.item() + 1) if tracks else 0.0
        if self.training and not tracks:
            mean = var = None
        y = F.batch_norm(input, mean, var, self.weight, self.bias, self.training or mean is None, momentum, self.eps)
        if tracks:
            kernels.count_up(self.num_batches_tracked.array)
            note_write(self.num_batches_tracked.array)
        return y


class BatchNorm1d(BatchNorm):
    """(x − mean)/√(var + eps)·weight + bias for each feature:  (N, C) or (N, C, L), of the same shape out

    In training, mean and var (biased) are the batch's, and running_mean and running_var (unbiased) move by `momentum` towards
    them; momentum=None averages all batches alike. In evaluation they are the running ones, whatever else is in the batch;
    without track_running_stats, the batch's in both. affine: learn weight (from 1) and bias (from 0), each (C).

    The one that *Dive into Deep Learning* writes out differs twice: its moving variance takes the biased one, and it asks
    whether gradients are recorded where this asks for `training`. Ioffe and Szegedy, 2015.

    >>> import minidl
    >>> minidl.nn.BatchNorm1d(2)(minidl.tensor([[1.0, 2.0], [2.0, 3.0]])).detach()
    tensor([[-1.0000, -1.0000],
            [ 1.0000,  1.0000]])
    """

    axes = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch norm of images, for each channel over N, H and W:  (N, C, H, W) → (N, C, H, W). As BatchNorm1d else.

    >>> import minidl
    >>> minidl.nn.BatchNorm2d(3)(minidl.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    axes = (4,)


class _LazyBatchNorm(LazyModule):
    def __init__(self, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True):
        Module.__init__(self)
        self.num_features, self.eps, self.momentum = 0, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        kinds = UninitializedParameter, UninitializedBuffer
        self._make(*(functools.partial(kind, device=device, dtype=dtype) for kind in kinds), bias)

    def infer(self, input):
        """Takes num_features from axis 1 of the input."""
        self._check_input(input)
        self.num_features = input.shape[1]
        starts = (self.weight, 1), (self.bias, 0), (self.running_mean, 0), (self.running_var, 1)
        for x, start in starts:
            if isinstance(x, Uninitialized):  # load_state_dict may have come first
                x.materialize((self.num_features,))
                init.constant_(x, start)

    def reset_parameters(self):
        """Scale 1, shift 0, and no running statistics, once there is something to fill."""
        if not self.has_uninitialized_params():
            super().reset_parameters()


class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d):
    """A BatchNorm1d that takes num_features from its first input, and is then a BatchNorm1d.

    >>> import minidl
    >>> layer = minidl.nn.LazyBatchNorm1d()
    >>> layer(minidl.ones(2, 5)).shape, layer.num_features, type(layer).__name__
    ((2, 5), 5, 'BatchNorm1d')
    """

    becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d):
    """A BatchNorm2d that takes num_features from its first input, and is then a BatchNorm2d.

    >>> import minidl
    >>> layer = minidl.nn.LazyBatchNorm2d()
    >>> layer(minidl.ones(2, 5, 4, 4)).shape, layer.num_features, type(layer).__name__
    ((2, 5, 4, 4), 5, 'BatchNorm2d')
    """

    becomes = BatchNorm2d


class _InstanceNorm(_RunningNorm):
    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input):
        self._check_input(input)
        single = input.ndim == self.axes[0]
        channels = input.shape[0 if single else 1]
        if channels != self.num_features and (self.affine or self.track_running_stats):
            raise ValueError(f"{type(self).__name__}: expected {self.num_features} channels, got an input of {input.shape}")
        y = F.instance_norm(
            input.unsqueeze(0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y.squeeze(0) if single else y


class InstanceNorm1d(_InstanceNorm):
    """(x − mean)/√(var + eps) for each channel of each sample:  (N, C, L) or (C, L), of the same shape out

    affine: learn a weight and a bias, each (C). track_running_stats: keep running statistics, and use them in evaluation.

    >>> import minidl
    >>> minidl.nn.InstanceNorm1d(2)(minidl.tensor([[[1.0, 2.0], [30.0, 50.0]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """

    axes = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of images, over H and W:  (N, C, H, W) or (C, H, W), of the same shape out. As InstanceNorm1d else.

    >>> import minidl
    >>> minidl.nn.InstanceNorm2d(3)(minidl.ones(2, 3, 4, 4)).sum()
    tensor(0.)
    """

    axes = (3, 4)


class LayerNorm(Module):
    """(x − mean)/√(var + eps)·weight + bias over the last axes of each sample:  (…, *normalized_shape), of the same shape out

    normalized_shape: an integer for the last axis alone, or a tuple; weight (from 1) and bias (from 0) have this shape. The
    same in training and evaluation, and for a sample alone or in a batch. Ba, Kiros and Hinton, 2016.

    >>> import minidl
    >>> minidl.nn.LayerNorm(2)(minidl.tensor([[1.0, 2.0], [2.0, 3.0]])).detach()
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape = _sizes(self, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(empty(shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.bias = Parameter(empty(shape, device=device, dtype=dtype)) if elementwise_affine and bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Scale 1 and shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """x/√(mean(x²) + eps)·weight over the last axes: layer norm without the mean.  (…, *normalized_shape), same shape out

    eps: that of the input's dtype by default. Zhang and Sennrich, 2019.

    >>> import minidl
    >>> minidl.nn.RMSNorm(2)(minidl.tensor([3.0, -3.0])).detach()
    tensor([ 1., -1.])
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape = _sizes(self, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(empty(shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.reset_parameters()

    def reset_parameters(self):
        """Scale 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input):
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """(x − mean)/√(var + eps)·weight + bias over groups of num_channels/num_groups channels of a sample:  (N, C, …) → (N, C, …)

    weight (from 1) and bias (from 0) have shape (C). The same in training and evaluation. Wu and He, 2018.

    >>> import minidl
    >>> minidl.nn.GroupNorm(2, 4)(minidl.tensor([[1.0, 2.0, 30.0, 50.0]])).detach()
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True):
        super().__init__()
        num_groups, num_channels = checked_sizes(self, num_groups=num_groups, num_channels=num_channels)
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels {num_channels} must be divisible by num_groups {num_groups}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = Parameter(empty(num_channels, device=device, dtype=dtype)) if affine else None
        self.bias = Parameter(empty(num_channels, device=device, dtype=dtype)) if affine and bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Scale 1 and shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


def _sizes(module, shape):
    sizes = as_ints(shape)
    sizes = sizes if isinstance(sizes, tuple) else (sizes,)
    if not sizes or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError(f"{type(module).__name__}: normalized_shape must be sizes of one axis or more, got {shape!r}")
    return sizes
