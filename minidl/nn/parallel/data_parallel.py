"""DistributedDataParallel: every process has the whole model and a part of the batch, and all take the same step."""

import contextlib
import copy

from ...graph.modes import mode
from ...graph.nodes import calls, next_serial
from ...tensors.tensor import Tensor
from ..module import Module
from .buckets import broadcast_all, buckets_for, expect_alike
from .group import group_for

__all__ = ["DistributedDataParallel"]

_POKES = 20  # how often a hook moves a transfer on that is under way: each time it goes on by some ten kilobytes
_CAP, _FIRST_CAP = 25, 1  # MB, PyTorch's; the first bucket is small, so that its transfer begins early


class DistributedDataParallel(Module):
    """A module whose gradients are, after backward(), the mean over all processes: each has a part of the batch.

    At the start every process gets the parameters and buffers of rank 0. So all have equal parameters, equal gradients, and,
    with equal optimizers, equal parameters after each step. If each of n processes has the mean loss of b samples, the step is
    that of one process with n·b samples.

    Gradients travel in buckets, flat arrays of up to `bucket_cap_mb` MB (25; the first of 1), the last parameters first. As
    soon as all gradients of a bucket are there, its sum over the processes begins, while backward goes on. backward() returns
    when all have arrived.

    broadcast_buffers: before a forward in training, buffers (running statistics) are made those of rank 0 again.
    find_unused_parameters: parameters that a process did not use count as 0 there, and keep their .grad if nobody used them;
    without it, a parameter without a gradient is an error, on all ranks alike. static_graph: the same as
    find_unused_parameters here. gradient_as_bucket_view: .grad is a view of the bucket, which saves one copy, and its content
    changes with the next backward.

    `state_dict` has the names of `module` itself, without PyTorch's "module." in front; load_state_dict takes both.
    A forward with buffers is a call that all ranks must make: to evaluate on one rank, call `ddp.module(x)`. A step under
    minidl.compile stays an ordinary one, and it says so: the hooks that send gradients are Python.

    >>> import minidl
    >>> from minidl.nn.parallel.group import ProcessGroup  # of one process; init_process_group() makes those on MPI
    >>> ddp = DistributedDataParallel(minidl.nn.Linear(2, 1), process_group=ProcessGroup())
    >>> ddp(minidl.ones(3, 2)).sum().backward()
    >>> ddp.module.weight.grad, list(ddp.state_dict())
    (tensor([[3., 3.]]), ['weight', 'bias'])

    Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training, 2020.
    """

    def __init__(
        self,
        module,
        device_ids=None,
        output_device=None,
        dim=0,
        broadcast_buffers=True,
        init_sync=True,
        process_group=None,
        bucket_cap_mb=None,
        find_unused_parameters=False,
        check_reduction=False,
        gradient_as_bucket_view=False,
        static_graph=False,
    ):
        super().__init__()
        name = "DistributedDataParallel"
        if not isinstance(module, Module):
            raise TypeError(f"{name}: expected a Module, got {type(module).__name__}")
        if device_ids not in (None, []) or output_device is not None or dim != 0:
            raise NotImplementedError(f"{name}: device_ids, output_device and dim are for GPUs; leave them out")
        cap = _CAP if bucket_cap_mb is None else bucket_cap_mb
        if isinstance(cap, bool) or not isinstance(cap, (int, float)) or not cap > 0:
            raise ValueError(f"{name}: bucket_cap_mb must be a number above 0, got {bucket_cap_mb!r}")
        learned = {key: x for key, x in module.named_parameters() if x.requires_grad}
        if not learned:
            raise RuntimeError(f"{name}: the module has no parameters that require grad, so there is nothing to average")
        self.module, self.process_group = module, group_for(name, process_group)
        self.broadcast_buffers, self.find_unused_parameters = broadcast_buffers, find_unused_parameters or static_graph
        self.gradient_as_bucket_view, self.static_graph, self.bucket_cap_mb = gradient_as_bucket_view, static_graph, cap
        self.require_backward_grad_sync = self.require_forward_param_sync = True
        expect_alike(name, module, self.process_group)
        self._group = self.process_group.duplicate()  # its own, so that two models never mix their messages
        if init_sync:
            broadcast_all([*module.parameters(), *module.buffers()], self._group)
        first = _FIRST_CAP if bucket_cap_mb is None else cap
        self._buckets = buckets_for(learned, self._group, int(first * 2**20), int(cap * 2**20), gradient_as_bucket_view)
        self._armed, self._begun, self._launched = False, False, 0
        for bucket in self._buckets:
            for i, parameter in enumerate(bucket.parameters):
                parameter.register_post_accumulate_grad_hook(self._hook(bucket, i))

    def forward(self, *inputs, **kwargs):
        """The module's output."""
        if self._begun and not calls.at_end:
            raise RuntimeError(
                "DistributedDataParallel: the backward before ended with an error in the middle of its transfers, so the "
                "ranks are out of step; end the program, and go on from a checkpoint"
            )
        if self.broadcast_buffers and self.require_forward_param_sync:
            broadcast_all(list(self.module.buffers()), self._group)
        self._armed = self.require_forward_param_sync = mode.recording and self.require_backward_grad_sync
        output = self.module(*inputs, **kwargs)
        if self._armed:
            self._mark(output)
        return output

    @contextlib.contextmanager
    def no_sync(self):
        """Within it, backward() adds up gradients of this process only; the first backward after it averages the sums.

        Forward and backward of these batches both belong inside.
        """
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def join(self, *args, **kwargs):
        """Raises: all ranks need equally many batches, which a DistributedSampler gives."""
        raise NotImplementedError("join: is not supported; give all ranks equally many batches, with a DistributedSampler")

    def __deepcopy__(self, memo):
        """A model of its own, whose gradients are averaged, too. All ranks must copy it."""
        return type(self)(
            copy.deepcopy(self.module, memo),
            broadcast_buffers=self.broadcast_buffers,
            process_group=self.process_group,
            bucket_cap_mb=self.bucket_cap_mb,
            find_unused_parameters=self.find_unused_parameters,
            gradient_as_bucket_view=self.gradient_as_bucket_view,
            static_graph=self.static_graph,
        )

    # --- the way back

    def _hook(self, bucket, i):
        def arrived(parameter):
            if self._armed:
                self._begin()
                bucket.fill(i, parameter.grad, fired=True)
                self._launch()

        return arrived

    def _mark(self, output):
        """Makes backward() through this output begin the transfers, even if it reaches no parameter on this rank."""
        waiting = [output]
        while waiting:
            x = waiting.pop()
            if isinstance(x, Tensor):
                if x.node is not None and not x.is_leaf:
                    x.node.hooks = {**(x.node.hooks or {}), next_serial(): self._seen}
            elif isinstance(x, dict):
                waiting += x.values()
            elif isinstance(x, (tuple, list)):
                waiting += x

    def _seen(self, dy):
        if self._armed:
            self._begin()

    def _begin(self):
        if not self._begun:
            self._begun, self._launched = True, 0
            calls.at_end.append(self._end)
            for bucket in self._buckets:
                bucket.begin()

    def _launch(self):
        """Starts the buckets that are full, in their order, which is the same on all ranks; moves the earlier ones on."""
        while self._launched < len(self._buckets) and self._buckets[self._launched].full:
            self._buckets[self._launched].launch()
            self._launched += 1
        for bucket in self._buckets[: self._launched]:
            if not any(bucket.work.is_completed() for _ in range(_POKES)):
                break

    def _end(self):
        """At the end of backward(): the rest is sent, and all is awaited."""
        for bucket in self._buckets[self._launched :]:
            bucket.complete()
            bucket.launch()
        missing = []
        for bucket in self._buckets:
            missing += bucket.finish(self.find_unused_parameters)
        self._begun = False
        if missing:
            raise RuntimeError(
                "DistributedDataParallel: after backward() there are parameters without a gradient: "
                f"{'; '.join(missing)}. If they are meant not to be used in every step, pass find_unused_parameters=True"
            )

    # --- state

    def _state(self):
        return self.module._state()

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """As the module's; names that begin with "module.", as PyTorch's DistributedDataParallel writes them, are taken too."""
        if isinstance(state_dict, dict) and state_dict and all(str(key).startswith("module.") for key in state_dict):
            own = {key for key, _ in self._state()}
            if not own.intersection(state_dict):
                state_dict = {key[len("module.") :]: value for key, value in state_dict.items()}
        return super().load_state_dict(state_dict, strict, assign)
