"""The functions that move tensors between ranks. All work in place, and wait unless async_op=True, which returns a Work."""

import numpy as np

from ..graph.writes import note_write
from ..nn.parallel.group import group_for
from ..tensors.record import TensorBase, remedy_for
from .groups import GroupMember

__all__ = [
    "ReduceOp",
    "all_gather",
    "all_gather_into_tensor",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "irecv",
    "isend",
    "recv",
    "reduce",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "send",
]


class ReduceOp:
    """How numbers of different ranks are combined.

    >>> import minidl
    >>> minidl.distributed.ReduceOp.SUM
    'sum'
    """

    SUM, AVG, PRODUCT, MIN, MAX = "sum", "avg", "product", "min", "max"


_OPS = ReduceOp.SUM, ReduceOp.AVG, ReduceOp.PRODUCT, ReduceOp.MIN, ReduceOp.MAX


def all_reduce(tensor, op=ReduceOp.SUM, group=None, async_op=False):
    """Puts the sum (mean, product, minimum, maximum) of the ranks' tensors into the tensor of every rank.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> x = minidl.ones(2)
    >>> dist.all_reduce(x, dist.ReduceOp.AVG, group=dist.ProcessGroup())  # of this process alone; else all processes
    >>> x
    tensor([1., 1.])
    """
    if group is GroupMember.NON_GROUP_MEMBER:
        return None
    group, buffer = group_for("all_reduce", group), _Buffer("all_reduce", tensor, op)
    return _begun(group.all_reduce(buffer.array, op, buffer.ending(op, group.size)), async_op)


def reduce(tensor, dst=None, op=ReduceOp.SUM, group=None, async_op=False, group_dst=None):
    """Puts the sum of the ranks' tensors into that of rank dst. The others' tensors stay as they are.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> x = minidl.ones(2)
    >>> dist.reduce(x, dst=0, group=dist.ProcessGroup())
    >>> x
    tensor([1., 1.])
    """
    if group is GroupMember.NON_GROUP_MEMBER:
        return None
    group, buffer = group_for("reduce", group), _Buffer("reduce", tensor, op)
    root = _member("reduce", "dst", group, dst, group_dst)
    ending = buffer.ending(op, group.size) if root == group.rank else None
    return _begun(group.reduce(buffer.array, root, op, ending), async_op)


def broadcast(tensor, src=None, group=None, async_op=False, group_src=None):
    """Puts the tensor of rank src into that of every rank.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> x = minidl.ones(2)
    >>> work = dist.broadcast(x, src=0, group=dist.ProcessGroup(), async_op=True)
    >>> work.wait()  # until then x must be left alone
    True
    """
    if group is GroupMember.NON_GROUP_MEMBER:
        return None
    group, buffer = group_for("broadcast", group), _Buffer("broadcast", tensor)
    root = _member("broadcast", "src", group, src, group_src)
    return _begun(group.broadcast(buffer.array, root, None if root == group.rank else buffer.ending()), async_op)


def all_gather(tensor_list, tensor, group=None, async_op=False):
    """Puts the tensor of rank i into tensor_list[i], on every rank. They go through one buffer, which
    all_gather_into_tensor does without.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> found = [minidl.zeros(2)]
    >>> dist.all_gather(found, minidl.ones(2), group=dist.ProcessGroup())
    >>> found
    [tensor([1., 1.])]
    """
    if group is GroupMember.NON_GROUP_MEMBER:
        return None
    group = group_for("all_gather", group)
    own = _Buffer("all_gather", tensor, reads=True)
    buffers = _parts("all_gather", "tensor_list", tensor_list, group, own)
    parts = np.empty((group.size, *own.array.shape), own.array.dtype)

    def finish():
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.put(part)

    return _begun(group.all_gather_into(parts, own.array, finish), async_op)


def all_gather_into_tensor(output_tensor, input_tensor, group=None, async_op=False):
    """Puts the tensors of all ranks into one, side by side along axis 0, or along a new one:  (N, …) → (size·N, …)

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> whole = minidl.zeros(2)
    >>> dist.all_gather_into_tensor(whole, minidl.ones(2), group=dist.ProcessGroup())
    >>> whole
    tensor([1., 1.])
    """
    if group is GroupMember.NON_GROUP_MEMBER:
        return None
    group, name = group_for("all_gather_into_tensor", group), "all_gather_into_tensor"
    own, whole = _Buffer(name, input_tensor, reads=True), _Buffer(name, output_tensor)
    parts = _rows(name, "output_tensor", whole, own, group)
    return _begun(group.all_gather_into(parts, own.array, whole.ending()), async_op)


def reduce_scatter(output, input_list, op=ReduceOp.SUM, group=None, async_op=False):
    """Puts the sum of the ranks' input_list[i] into the output of rank i. The lists go through one buffer.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> x = minidl.zeros(2)
    >>> dist.reduce_scatter(x, [minidl.ones(2)], group=dist.ProcessGroup())
    >>> x
    tensor([1., 1.])
    """
    if group is GroupMember.NON_GROUP_MEMBER:
        return None
    group, own = group_for("reduce_scatter", group), _Buffer("reduce_scatter", output, op)
    buffers = _parts("reduce_scatter", "input_list", input_list, group, own, reads=True)
    parts = np.stack([buffer.array for buffer in buffers])
    return _begun(group.reduce_scatter(parts, own.array, op, own.ending(op, group.size)), async_op)


def reduce_scatter_tensor(output, input, op=ReduceOp.SUM, group=None, async_op=False):
    """Puts part i of the sum of the ranks' inputs, cut along axis 0, into the output of rank i:  (size·N, …) → (N, …)

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> x = minidl.zeros(2)
    >>> dist.reduce_scatter_tensor(x, minidl.ones(2), group=dist.ProcessGroup())
    >>> x
    tensor([1., 1.])
    """
    if group is GroupMember.NON_GROUP_MEMBER:
        return None
    group, name = group_for("reduce_scatter_tensor", group), "reduce_scatter_tensor"
    own, whole = _Buffer(name, output, op), _Buffer(name, input, op, reads=True)
    parts = _rows(name, "input", whole, own, group)
    return _begun(group.reduce_scatter(parts, own.array, op, own.ending(op, group.size)), async_op)


def barrier(group=None, async_op=False, device_ids=None):
    """Waits until every rank of the group has come here.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> dist.barrier(dist.ProcessGroup())
    """
    if device_ids is not None:
        raise NotImplementedError("barrier: device_ids is not supported, there are no devices but the CPU; leave it out")
    return None if group is GroupMember.NON_GROUP_MEMBER else _begun(group_for("barrier", group).barrier(), async_op)


def send(tensor, dst=None, group=None, tag=0, group_dst=None):
    """Sends the tensor to rank dst, which must call recv. Waits until the tensor may be changed.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> if dist.is_initialized() and dist.get_world_size() > 1:  # under mpiexec
    ...     rank, x = dist.get_rank(), minidl.ones(2)
    ...     dist.send(x, dst=1) if rank == 0 else dist.recv(x, src=0)
    """
    isend(tensor, dst, group, tag, group_dst).wait()


def isend(tensor, dst=None, group=None, tag=0, group_dst=None):
    """As send, without waiting: returns a Work.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> if dist.is_initialized() and dist.get_world_size() > 1:  # under mpiexec
    ...     rank, x = dist.get_rank(), minidl.ones(2)
    ...     work = dist.isend(x, dst=1) if rank == 0 else dist.irecv(x, src=0)
    ...     work.wait()
    """
    group, buffer = group_for("send", group), _Buffer("send", tensor, reads=True)
    return group.send(buffer.array, _other("send", "dst", group, dst, group_dst), tag)


def recv(tensor, src=None, group=None, tag=0, group_src=None):
    """Waits for a tensor from rank src, or from any, and returns the rank that sent it. ValueError if its size differs.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> if dist.is_initialized() and dist.get_world_size() > 1:  # under mpiexec
    ...     rank, x = dist.get_rank(), minidl.ones(2)
    ...     dist.send(x, dst=1) if rank == 0 else dist.recv(x, src=0)
    """
    group, buffer = group_for("recv", group), _Buffer("recv", tensor)
    origin = None if src is None and group_src is None else _other("recv", "src", group, src, group_src)
    sender = group.receive_now(buffer.array, origin, tag, "recv")
    buffer.ending()()
    return group.ranks[sender]


def irecv(tensor, src=None, group=None, tag=0, group_src=None):
    """As recv, without waiting: returns a Work. The tensor holds what was sent after its wait().

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> if dist.is_initialized() and dist.get_world_size() > 1:  # under mpiexec
    ...     rank, x = dist.get_rank(), minidl.ones(2)
    ...     work = dist.isend(x, dst=1) if rank == 0 else dist.irecv(x, src=0)
    ...     work.wait()
    """
    group, buffer = group_for("irecv", group), _Buffer("irecv", tensor)
    origin = None if src is None and group_src is None else _other("irecv", "src", group, src, group_src)
    return group.receive(buffer.array, origin, tag, buffer.ending())


def broadcast_object_list(object_list, src=None, group=None, device=None, group_src=None):
    """Puts the objects of rank src into the list of every rank; what pickle can write. The lists must be of one length.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> objects = [{"epoch": 3}, "two"]
    >>> dist.broadcast_object_list(objects, src=0, group=dist.ProcessGroup())
    >>> objects
    [{'epoch': 3}, 'two']
    """
    if device is not None:
        raise NotImplementedError("broadcast_object_list: device is not supported, there is only the CPU; leave it out")
    if not isinstance(object_list, list) or not object_list:
        raise TypeError(f"broadcast_object_list: expected a list with as many objects as rank src has, got {object_list!r}")
    if group is GroupMember.NON_GROUP_MEMBER:
        return
    group = group_for("broadcast_object_list", group)
    root = _member("broadcast_object_list", "src", group, src, group_src)
    objects = group.broadcast_objects(object_list, root)
    if len(objects) != len(object_list):
        raise ValueError(
            f"broadcast_object_list: rank {src} sends {len(objects)} objects, the list here has {len(object_list)}"
        )
    object_list[:] = objects


class _Buffer:
    """The memory of a tensor as MPI takes it: its own if that is C-contiguous, else a packed copy, put back at the end."""

    def __init__(self, name, tensor, op=None, reads=False):
        if not isinstance(tensor, TensorBase):
            raise TypeError(f"{name}: expected a Tensor, got {type(tensor).__name__}{remedy_for(tensor)}")
        self.whole = tensor.array
        if not reads:
            if not tensor.is_leaf:
                raise RuntimeError(f"{name}: would change the result of a recorded operation in place; give tensor.detach()")
            if not self.whole.flags.writeable:
                raise ValueError(f"{name}: expected memory that can be written to, got a read-only array")
        if op is not None:
            _check_op(name, op, self.whole.dtype)
        self.array = self.whole if self.whole.flags.c_contiguous else np.ascontiguousarray(self.whole)

    def put(self, values):
        np.copyto(self.whole, values)
        note_write(self.whole)

    def ending(self, op=None, size=1):
        """What is to be done when the transfer is over."""

        def finish():
            if op == ReduceOp.AVG:
                np.divide(self.array, size, out=self.array)
            if self.array is not self.whole:
                np.copyto(self.whole, self.array)
            note_write(self.whole)

        return finish


def _check_op(name, op, dtype):
    if op not in _OPS:
        raise ValueError(f"{name}: op must be one of ReduceOp.{', '.join(op.upper() for op in _OPS)}, got {op!r}")
    if op == ReduceOp.AVG and dtype.kind != "f":
        raise TypeError(f"{name}: the mean needs floating-point numbers, got {dtype}; use ReduceOp.SUM, or .float() first")
    if op in (ReduceOp.SUM, ReduceOp.PRODUCT) and dtype.kind == "b":
        raise TypeError(f"{name}: expected numbers for ReduceOp.{op.upper()}, got {dtype}; use ReduceOp.MAX (any), MIN (all)")


def _parts(name, what, tensors, group, own, reads=False):
    if not isinstance(tensors, (list, tuple)) or len(tensors) != group.size:
        got = f"{len(tensors)}" if isinstance(tensors, (list, tuple)) else type(tensors).__name__
        raise ValueError(f"{name}: {what} must be a list of {group.size} tensors, one for each rank, got {got}")
    buffers = [_Buffer(name, tensor, reads=reads) for tensor in tensors]
    for i, buffer in enumerate(buffers):
        if buffer.array.shape != own.array.shape or buffer.array.dtype != own.array.dtype:
            raise ValueError(
                f"{name}: {what}[{i}] is {buffer.array.dtype} of shape {buffer.array.shape}, the other tensor "
                f"{own.array.dtype} of shape {own.array.shape}; they must be alike"
            )
    return buffers


def _rows(name, what, whole, own, group):
    """The memory of `whole` as `size` arrays of own's shape, side by side."""
    shape, N = own.array.shape, group.size
    allowed = [(N, *shape)] + ([(N * shape[0], *shape[1:])] if shape else [])
    if whole.array.shape not in allowed or whole.array.dtype != own.array.dtype:
        raise ValueError(
            f"{name}: {what} must be {own.array.dtype} of shape {allowed[-1]}, {N} ranks beside a tensor of shape {shape}; got "
            f"{whole.array.dtype} of shape {whole.array.shape}"
        )
    return whole.array.reshape(N, *shape)


def _member(name, what, group, rank, group_rank):
    """The number within the group of a rank that is given by its number among all processes, or within the group."""
    if (rank is None) == (group_rank is None):
        raise ValueError(f"{name}: give {what}, or group_{what}, and not both")
    if group_rank is not None:
        if type(group_rank) is not int or not 0 <= group_rank < group.size:
            raise ValueError(f"{name}: group_{what} must lie between 0 and {group.size - 1}, got {group_rank!r}")
        return group_rank
    if type(rank) is not int or rank not in group.ranks:
        raise ValueError(f"{name}: {what} must be one of the group's ranks {list(group.ranks)}, got {rank!r}")
    return group.ranks.index(rank)


def _other(name, what, group, rank, group_rank):
    if group is GroupMember.NON_GROUP_MEMBER:
        raise ValueError(f"{name}: this process is not in the group")
    member = _member(name, what, group, rank, group_rank)
    if member == group.rank:
        raise ValueError(f"{name}: {what} is this rank itself, {group.ranks[member]}; copy the tensor instead")
    return member


def _begun(work, async_op):
    if async_op:
        return work
    work.wait()
    return None
