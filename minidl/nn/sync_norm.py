"""Batch norm over the batches of all processes together."""

import numpy as np

from .. import kernels
from ..graph.writes import note_write
from ..ops.base import Op
from ..tensors.record import apply
from .norm import BatchNorm
from .parallel.group import ProcessGroup, current, group_for

__all__ = ["SyncBatchNorm"]


class SyncNorm(Op):
    """y = γ·x̂ + β as BatchNorm, μ and σ² over the n = Σ nᵢ values that all processes have of a channel:
    μ = Σ nᵢμᵢ/n, σ² = Σ nᵢ(σᵢ² + (μᵢ − μ)²)/n (Chan, Golub and LeVeque, 1979)
    A change of one x moves μ and σ² for all processes:  dx = γr·(dy − Σdy/n − x̂·Σ(dy·x̂)/n), sums over all of them
    dγ = Σ dy·x̂ and dβ = Σ dy are this process's own, as any layer's: DistributedDataParallel averages them.
    """

    def __init__(self, group, eps):
        self.group, self.eps = group, eps

    def forward(self, x, w, b):
        local = kernels.batch_norm(x, None, None, self.eps)[1]  # mean and variance
        own = np.array([np.full(len(local[0]), float(x.size // max(x.shape[1], 1))), *local])
        counts, means, variances = self.group.all_gather(own).transpose(1, 0, 2)  # (processes, C) each
        n = counts.sum(0)
        safe = np.maximum(n, 1)
        mean = (counts * means).sum(0) / safe
        var = (counts * (variances + (means - mean) ** 2)).sum(0) / safe
        self.stats, self.count = np.array([mean, var]), int(n[0]) if len(n) else 0
        if self.count == 1:
            raise ValueError("SyncBatchNorm: expected more than 1 value per channel in training, over all processes together")
        self.x, self.w = x, w
        return kernels.batch_norm(x, w, b, self.eps, self.stats)[0]

    def backward(self, dy):
        x, w, b = self.needs
        dx, dw, db = kernels.batch_norm_backward(dy, self.x, self.w, self.eps, self.stats, False, x is not None)
        if x is not None:
            sums = np.array([db, dw], np.float64)
            self.group.all_reduce(sums).wait()
            mean, var = self.stats
            rstd = 1 / np.sqrt(var + self.eps)
            scale = rstd if self.w is None else rstd * self.w
            shape = (1, -1, *[1] * (self.x.ndim - 2))
            # dx −= offset + slope·(x − μ)
            offset, slope = scale * sums[0] / self.count, scale * rstd * sums[1] / self.count
            T = dx.dtype
            correction = self.x - mean.astype(T).reshape(shape)
            correction *= slope.astype(T).reshape(shape)
            correction += offset.astype(T).reshape(shape)
            dx -= correction
        return dx, dw if w else None, db if b else None

    def backward_recorded(self, dy, needs):
        """Not there: the sums over the processes have no gradient of their own."""
        raise NotImplementedError(
            "SyncBatchNorm: gradients of gradients are not supported; use BatchNorm2d with create_graph=True"
        )


class SyncBatchNorm(BatchNorm):
    """Batch norm with the mean and variance of the batches of all processes:  (N, C, …), of the same shape out

    With n processes and N samples in each it computes what BatchNorm1d or BatchNorm2d computes from n·N samples. In evaluation,
    and with one process, it is the same layer. One message forward, 3·C numbers, and one back, 2·C.

    process_group: of minidl.distributed.new_group; all processes by default. Give the model to `convert_sync_batchnorm`
    before DistributedDataParallel. Ioffe and Szegedy, 2015, over processes as in PyTorch.

    >>> import minidl
    >>> SyncBatchNorm(2)(minidl.tensor([[1.0, 2.0], [2.0, 3.0]])).detach()
    tensor([[-1.0000, -1.0000],
            [ 1.0000,  1.0000]])
    """

    axes = (2, 3, 4)

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        if process_group is not None and not isinstance(process_group, ProcessGroup):
            group_for("SyncBatchNorm", process_group)
        self.process_group = process_group

    def forward(self, input):
        group = current.group if self.process_group is None else self.process_group
        if not self.training or group is None or group.size == 1:
            return super().forward(input)
        self._check_input(input)
        op, tracks = SyncNorm(group, float(self.eps)), self.track_running_stats
        y = apply(op, input, self.weight, self.bias)
        if tracks:
            kernels.count_up(self.num_batches_tracked.array)
            momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
            kernels.update_running(self.running_mean.array, self.running_var.array, op.stats, momentum, op.count)
            for buffer in (self.running_mean, self.running_var, self.num_batches_tracked):
                note_write(buffer.array)
        return y

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """The module with a SyncBatchNorm in place of each batch norm in it, with its parameters, buffers and state.

        >>> import minidl
        >>> net = minidl.nn.Sequential(minidl.nn.Linear(3, 2), minidl.nn.BatchNorm1d(2))
        >>> SyncBatchNorm.convert_sync_batchnorm(net)[1]
        SyncBatchNorm(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
        """
        if isinstance(module, BatchNorm) and not isinstance(module, cls):
            if not module.num_features:
                raise ValueError("convert_sync_batchnorm: a lazy batch norm has no shape yet; give the model one batch before")
            new = cls.__new__(cls)
            vars(new).update(vars(module))  # the parameters themselves, so that an optimizer that has them keeps them
            new.process_group = process_group
            return new
        for name, child in list(module.named_children()):
            converted = cls.convert_sync_batchnorm(child, process_group)
            if converted is not child:
                setattr(module, name, converted)
        return module
