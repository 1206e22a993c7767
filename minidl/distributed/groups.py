"""Beginning and end: which processes there are, and groups of some of them."""

import atexit
import datetime
import importlib.util
import os
import sys
import time
import traceback

from .. import distributed, kernels
from ..nn.parallel.group import ProcessGroup, current, group_for
from . import journal

__all__ = [
    "GroupMember",
    "ProcessGroup",
    "destroy_process_group",
    "get_backend",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "group",
    "init_process_group",
    "is_available",
    "is_initialized",
    "is_mpi_available",
    "new_group",
    "seconds_waited",
]

_LIMIT = 1800.0  # seconds, as in PyTorch
_TO_BE_READ = 0.5  # seconds that mpiexec has to pass on what a rank has written, before it ends all of them
_LIMIT_OF_CHECKS = 60.0  # under MINIDL_DISTRIBUTED_DEBUG=1: an error is wanted soon


class GroupMember:
    """What new_group returns on ranks that are not in the new group.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> dist.get_rank(dist.GroupMember.NON_GROUP_MEMBER)
    -1
    """

    NON_GROUP_MEMBER = object()


class group:
    """`group.WORLD` is the group of all processes, None before init_process_group.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> dist.group.WORLD is None
    True
    """

    class _World:
        def __get__(self, instance, owner):
            return current.group

    WORLD = _World()


class _State:
    hook = None  # sys.excepthook as it was
    at_exit = False


_state = _State()


def is_available():
    """Whether mpi4py is installed.

    >>> import minidl
    >>> minidl.distributed.is_available() in (True, False)
    True
    """
    return importlib.util.find_spec("mpi4py") is not None


is_mpi_available = is_available


def is_initialized():
    """Whether this process is between init_process_group and destroy_process_group.

    >>> import minidl
    >>> minidl.distributed.is_initialized()
    False
    """
    return current.group is not None


def init_process_group(
    backend=None,
    init_method=None,
    timeout=None,
    world_size=-1,
    rank=-1,
    store=None,
    group_name="",
    pg_options=None,
    device_id=None,
):
    """Joins this process to those that mpiexec (or srun) started with it. Each must call it, once, before anything else here.

    backend: "mpi" or None, there is no other. timeout: a timedelta; a call that others have not joined after it raises (30
    minutes; 1 minute under MINIDL_DISTRIBUTED_DEBUG=1). world_size and rank: only to be checked; MPI knows them. Without
    mpiexec there is one rank, 0.

    The ranks of a machine share its cores: each has its part of the threads, unless MINIDL_NUM_THREADS says how many.

    From here on an error that nobody catches, and Ctrl-C, end all ranks, with its traceback and the number of its rank.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> import os
    >>> if "PMI_RANK" in os.environ:  # mpiexec started this program
    ...     dist.init_process_group()
    """
    if is_initialized():
        raise RuntimeError("init_process_group: called twice; call destroy_process_group() in between")
    _expect_mpi("init_process_group", backend)
    for what, value in (("store", store), ("pg_options", pg_options), ("device_id", device_id)):
        if value is not None:
            raise NotImplementedError(f"init_process_group: {what} is not supported; leave it out, MPI needs none")
    if init_method not in (None, "env://"):
        raise ValueError(f"init_process_group: init_method={init_method!r}; leave it out, mpiexec says where the others are")
    debug = os.environ.get("MINIDL_DISTRIBUTED_DEBUG", "0") not in ("", "0")
    limit = _seconds("init_process_group", timeout, _LIMIT_OF_CHECKS if debug else _LIMIT)
    world = _engine("init_process_group").world(limit, debug)
    for what, given, found in (("world_size", world_size, world.size), ("rank", rank, world.rank)):
        if given not in (-1, found):
            world.free()
            raise ValueError(
                f"init_process_group: {what}={given}, but MPI says {found}; leave it out, and start the program with "
                "mpiexec -n <ranks> python …"
            )
    current.group = world
    here = distributed.mpi.ranks_here()
    if here > 1 and not os.environ.get("MINIDL_NUM_THREADS"):
        kernels.set_num_threads(max(1, kernels.get_num_threads() // here))
    journal.begin(world)
    if world.size > 1 and _state.hook is None:
        _state.hook, sys.excepthook = sys.excepthook, _end_all
    if not _state.at_exit:
        _state.at_exit = True
        atexit.register(_leave)


def _engine(name):
    """The module `mpi`, loaded at its first use: importing mpi4py.MPI starts MPI."""
    try:
        return distributed.mpi
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "mpi4py":
            raise
        raise ModuleNotFoundError(
            f"{name}: needs mpi4py and an MPI library: pip install 'minidl[distributed]'", name="mpi4py"
        ) from None
    except (ImportError, RuntimeError) as error:  # mpi4py is there and finds no libmpi
        raise ImportError(
            f"{name}: mpi4py found no MPI library ({error}); pip install mpich, or load the cluster's module of MPI"
        ) from error


def _expect_mpi(name, backend):
    if backend not in (None, "mpi"):
        raise ValueError(f'{name}: backend={backend!r} is not supported; minidl sends by MPI: write backend="mpi"')


def _seconds(name, timeout, default):
    if timeout is None:
        return default
    if not isinstance(timeout, datetime.timedelta) or timeout.total_seconds() <= 0:
        raise TypeError(f"{name}: timeout must be a datetime.timedelta above 0, got {timeout!r}")
    return timeout.total_seconds()


def _end_all(kind, error, trace):
    """sys.excepthook: MPI's other ranks would wait for ever for one that has gone."""
    rank = current.group.rank if current.group is not None else "?"
    lines = "".join(traceback.format_exception(kind, error, trace)).rstrip().splitlines()
    sys.stdout.flush()
    sys.stderr.write("".join(f"rank {rank}: {line}\n" for line in lines))
    sys.stderr.flush()
    journal.end(f"failed: {kind.__name__}: {error}")
    time.sleep(_TO_BE_READ)
    _engine("init_process_group").abort(130 if issubclass(kind, KeyboardInterrupt) else 1)


def _leave():
    """At the end of the program, before MPI's own."""
    if current.group is not None:
        if current.group.checks is not None:
            current.group.checks.leave("the end of the program, without destroy_process_group()")
        journal.end()


def destroy_process_group(group=None):
    """Ends a group; without one, all of them. All its ranks must call it.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> if dist.is_initialized():
    ...     dist.destroy_process_group()
    >>> dist.is_initialized()
    False
    """
    target = group_for("destroy_process_group", group)
    target.barrier("destroy_process_group").wait()
    target.free()
    if target is current.group:
        current.group = None
        journal.end()
        if _state.hook is not None:
            sys.excepthook, _state.hook = _state.hook, None


def get_rank(group=None):
    """The number of this process in the group, from 0; -1 if it is not in it.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> dist.get_rank(dist.ProcessGroup())  # of this process alone; without an argument, all processes
    0
    """
    return -1 if group is GroupMember.NON_GROUP_MEMBER else group_for("get_rank", group).rank


def get_world_size(group=None):
    """How many processes are in the group; -1 on those that are not.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> dist.get_world_size(dist.ProcessGroup())
    1
    """
    return -1 if group is GroupMember.NON_GROUP_MEMBER else group_for("get_world_size", group).size


def get_backend(group=None):
    """The name of what carries the bytes: "mpi".

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> dist.get_backend(dist.ProcessGroup())
    'mpi'
    """
    group_for("get_backend", group)
    return "mpi"


def get_process_group_ranks(group=None):
    """The ranks of a group, by their numbers in the group of all processes.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> dist.get_process_group_ranks(dist.ProcessGroup())
    [0]
    """
    return list(group_for("get_process_group_ranks", group).ranks)


def seconds_waited():
    """How long this process has waited for others in all, in the functions here and in DistributedDataParallel. Not PyTorch's.

    A step that takes longer than it computes waits: for slower ranks, or for bytes that are on their way.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> dist.seconds_waited() if dist.is_initialized() else 0.0
    0.0
    """
    group_for("seconds_waited")
    return distributed.mpi.clock.waited


def new_group(
    ranks=None,
    timeout=None,
    backend=None,
    pg_options=None,
    use_local_synchronization=False,
    group_desc=None,
    device_id=None,
    sort_ranks=True,
):
    """A group of some of the processes, all of them by default. Every process must call it, also those that are not in it.

    Those get GroupMember.NON_GROUP_MEMBER, with which collective functions do nothing. group_desc: a name, for readers only.

    >>> import minidl
    >>> from minidl import distributed as dist
    >>> if dist.is_initialized() and dist.get_world_size() > 2:  # under mpiexec
    ...     pair = dist.new_group([0, 2])
    """
    world = group_for("new_group")
    _expect_mpi("new_group", backend)
    if pg_options is not None or device_id is not None or use_local_synchronization:
        raise NotImplementedError(
            "new_group: pg_options, device_id and use_local_synchronization are not supported; leave them out"
        )
    members = list(range(world.size)) if ranks is None else list(ranks)
    wrong = [r for r in members if type(r) is not int or not 0 <= r < world.size]
    if wrong or not members or len(set(members)) < len(members):
        raise ValueError(f"new_group: ranks must be different numbers from 0 to {world.size - 1}, got {ranks!r}")
    members = sorted(members) if sort_ranks else members
    made = world.split(members, _seconds("new_group", timeout, world.limit))
    return GroupMember.NON_GROUP_MEMBER if made is None else made
