"""The bytes: process groups over MPI, by mpi4py. Every transfer is a non-blocking one that Python waits for.

A blocking call of MPI holds the process inside C: Ctrl-C is not seen, a limit of time cannot be kept, and a rank that waits
takes a whole core from the others. A non-blocking call is as fast (benchmarks/distributed.py), and the wait below asks again
and again, gives the core away between two questions, and ends with an error when the limit is over.
"""

import os
import pickle
import time

import numpy as np
from mpi4py import MPI

from ..nn.parallel.group import ProcessGroup
from .checks import Checks

# How often to ask before the first yield. Where each rank has a core, a yield only helps other programs, which then have the
# core for milliseconds: so about a millisecond is spun away first. Ranks that share a core yield at once.
_SPINS, _SPINS_IN_TURNS = 3000, 50
_PATIENCE = 0.05  # seconds after which a waiting rank also sleeps, for what it waits for takes long
_NAP = 0.0002
_OPS = {"sum": MPI.SUM, "avg": MPI.SUM, "product": MPI.PROD, "min": MPI.MIN, "max": MPI.MAX}
_yield = getattr(os, "sched_yield", lambda: time.sleep(0))  # not on Windows


class _Clock:
    waited = 0.0  # seconds that this process has waited for others
    spins = _SPINS


clock = _Clock()


def wait_for(test, limit, late):
    """Returns when test() is true. After `limit` seconds it raises what late(seconds) returns."""
    start = time.monotonic()
    try:
        _wait_for(test, limit, late, start)
    finally:
        clock.waited += time.monotonic() - start


def _wait_for(test, limit, late, start):
    for _ in range(clock.spins):
        if test():
            return
    turns = 0
    while not test():
        _yield()
        turns += 1
        if not turns % 64:
            waited = time.monotonic() - start
            if waited > limit:
                raise late(limit)
            if waited > _PATIENCE:
                time.sleep(_NAP)


class Work:
    """A transfer that has begun. Its tensors must be left alone until `wait()` returns."""

    def __init__(self, request, group, call, finish=None, keep=()):
        self._request, self._group, self._call, self._finish, self._keep = request, group, call, finish, keep
        self._done = False

    def is_completed(self):
        """Whether the transfer is over. Asking also moves it on: MPI works only while it is called."""
        return self._done or self._request is None or bool(self._request.Test())

    def wait(self, timeout=None):
        """Returns True when the tensors hold the result; RuntimeError after `timeout` (a timedelta), by default the group's."""
        if not self._done:
            if self._request is not None:
                limit = self._group.limit if timeout is None else timeout.total_seconds()
                wait_for(self._request.Test, limit, self._late)
            self._done = True
            if self._finish is not None:
                self._finish()
            self._request = self._finish = self._keep = None
        return True

    def _late(self, seconds):
        return RuntimeError(
            f"rank {self._group.rank}: {self._call} was not finished after {seconds:g} s: not all of the {self._group.size} "
            "ranks have made this call, or one of them has gone. MINIDL_DISTRIBUTED_DEBUG=1 says which"
        )


class MPIGroup(ProcessGroup):
    """A communicator of MPI. `ranks[i]` is the rank in the group of all processes of the group's rank i."""

    def __init__(self, comm, ranks, limit, debug):
        self.comm, self.ranks, self.limit = comm, ranks, limit
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.checks = Checks(comm.Dup(), ranks, limit, wait_for) if debug and self.size > 1 else None
        self.debug = debug

    def __repr__(self):
        return f"<ProcessGroup of ranks {list(self.ranks)}, this one is number {self.rank}>"

    def check(self, call, array=None, detail=""):
        """Under MINIDL_DISTRIBUTED_DEBUG=1: whether all ranks of the group make this call, with one shape and one dtype."""
        if self.checks is not None:
            self.checks.agree(call, array, detail)

    def duplicate(self):
        self.barrier("duplicate").wait()
        return MPIGroup(self.comm.Dup(), self.ranks, self.limit, self.debug)

    def split(self, members, limit):
        """A group of these ranks of this one, in their order; None on ranks that are not among them. All must call it."""
        self.barrier("new_group", f"ranks={list(members)}").wait()  # Split blocks: so all must be there
        inside = self.rank in members
        comm = self.comm.Split(0 if inside else MPI.UNDEFINED, members.index(self.rank) if inside else 0)
        return MPIGroup(comm, tuple(self.ranks[i] for i in members), limit, self.debug) if inside else None

    def free(self):
        if self.checks is not None:
            self.checks.comm.Free()
        self.comm.Free()

    def _work(self, begin, call, finish=None, keep=()):
        return Work(begin() if self.size > 1 else None, self, call, finish, keep)

    def barrier(self, call="barrier", detail=""):
        self.check(call, None, detail)
        return self._work(self.comm.Ibarrier, call)

    def all_reduce(self, array, op="sum", finish=None):
        self.check("all_reduce", array, op)
        return self._work(lambda: self.comm.Iallreduce(MPI.IN_PLACE, _raw(array), _OPS[op]), "all_reduce", finish, array)

    def reduce(self, array, root, op, finish=None):
        self.check("reduce", array, f"{op}, to rank {self.ranks[root]}")
        buffers = (MPI.IN_PLACE, _raw(array)) if self.rank == root else (_raw(array), None)
        return self._work(lambda: self.comm.Ireduce(*buffers, _OPS[op], root), "reduce", finish, array)

    def reduce_scatter(self, parts, array, op, finish=None):
        self.check("reduce_scatter", array, op)
        if self.size == 1:
            np.copyto(array, parts[0])
        return self._work(
            lambda: self.comm.Ireduce_scatter_block(_raw(parts), _raw(array), _OPS[op]),
            "reduce_scatter",
            finish,
            (parts, array),
        )

    def broadcast(self, array, root=0, finish=None):
        self.check("broadcast", array, f"from rank {self.ranks[root]}")
        return self._work(lambda: self.comm.Ibcast(_raw(array), root), "broadcast", finish, array)

    def all_gather_into(self, parts, array, finish=None):
        self.check("all_gather", array)
        if self.size == 1:
            np.copyto(parts[0], array)
        return self._work(lambda: self.comm.Iallgather(_raw(array), _raw(parts)), "all_gather", finish, (parts, array))

    def all_gather(self, array):
        array = np.ascontiguousarray(array)
        parts = np.empty((self.size, *array.shape), array.dtype)
        self.all_gather_into(parts, array).wait()
        return parts

    def send(self, array, to, tag):
        return Work(self.comm.Isend(_raw(array), to, tag), self, f"send to rank {self.ranks[to]}", keep=array)

    def receive(self, array, origin, tag, finish=None):
        """A transfer and the status, from which origin_of reads who sent."""
        source = MPI.ANY_SOURCE if origin is None else origin
        name = "recv" if origin is None else f"recv from rank {self.ranks[origin]}"
        return Work(self.comm.Irecv(_raw(array), source, tag), self, name, finish, array)

    def receive_now(self, array, origin, tag, call):
        """Waits for a message, checks that it is one of the array's size and dtype, and returns the rank that sent it."""
        source, status = MPI.ANY_SOURCE if origin is None else origin, MPI.Status()
        name = "recv" if origin is None else f"recv from rank {self.ranks[origin]}"
        wait_for(lambda: self.comm.Iprobe(source, tag, status), self.limit, Work(None, self, name)._late)
        sender, bytes_sent = status.Get_source(), status.Get_count(MPI.BYTE)
        if bytes_sent != array.nbytes:
            raise ValueError(
                f"{call}: rank {self.ranks[sender]} sends {bytes_sent} bytes, the tensor here, {array.dtype} of shape "
                f"{array.shape}, has {array.nbytes}; give both ranks tensors of one shape and dtype"
            )
        self.receive(array, sender, tag).wait()
        return sender

    def broadcast_objects(self, objects, root):
        """The objects of the root: pickles, which are safe here, for all ranks are the user's own program."""
        content = np.frombuffer(bytearray(pickle.dumps(objects)) if self.rank == root else bytearray(), np.uint8)
        size = np.array([content.size])
        self.check("broadcast_object_list", None, f"{len(objects)} objects, from rank {self.ranks[root]}")
        self.broadcast(size, root).wait()
        content = content if self.rank == root else np.empty(int(size[0]), np.uint8)
        self.broadcast(content, root).wait()
        return objects if self.rank == root else pickle.loads(content.tobytes())


def _raw(array):
    """What MPI takes: booleans are bytes to it."""
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def world(limit, debug):
    """The group of all processes that mpiexec started; of this process alone without mpiexec."""
    comm = MPI.COMM_WORLD.Dup()
    clock.spins = _SPINS if ranks_here() <= cores() else _SPINS_IN_TURNS
    return MPIGroup(comm, tuple(range(comm.Get_size())), limit, debug)


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ranks_here():
    """How many ranks run on this machine."""
    here = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    count = here.Get_size()
    here.Free()
    return count


def abort(status):
    """Ends all ranks."""
    MPI.COMM_WORLD.Abort(status)


def library():
    """Name and version of the MPI library."""
    return MPI.Get_library_version().splitlines()[0].strip("\0 ")
