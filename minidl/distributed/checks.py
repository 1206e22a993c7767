"""MINIDL_DISTRIBUTED_DEBUG=1: before each collective call all ranks tell each other what they are about to do.

Without it a rank that makes another call than the others, or none, leaves them waiting. With it every rank sends a short text
to every other and compares: an error says which rank does what. It costs a message to each other rank for each call.
"""

import contextlib
import time

import numpy as np

_SIZE = 512  # bytes of a message
_GRACE = 2.0  # seconds in which the others' messages may still come after one was seen that differs


class Checks:
    """The texts of one group, sent in a communicator of their own."""

    def __init__(self, comm, ranks, limit, wait_for):
        self.comm, self.ranks, self.limit, self.wait_for = comm, ranks, limit, wait_for
        self.rank, self.number, self.broken = comm.Get_rank(), 0, None

    def agree(self, call, array=None, detail=""):
        """RuntimeError on every rank unless all of them come to the same text."""
        if self.broken is not None:
            raise RuntimeError(f"rank {self.ranks[self.rank]}: {call}: the ranks are out of step since: {self.broken}")
        self.number += 1
        kind = "" if array is None else f"{array.dtype} of shape {array.shape}"
        mine = f"{call}({', '.join(part for part in (kind, detail) if part)})"
        others = [i for i in range(len(self.ranks)) if i != self.rank]
        sent = [self.comm.Isend(_bytes(mine), i) for i in others]
        texts = {i: np.zeros(_SIZE, np.uint8) for i in others}
        waiting = {i: self.comm.Irecv(texts[i], i) for i in others}
        said, first = {self.rank: mine}, []

        def all_here():
            for i in [i for i, request in waiting.items() if request.Test()]:
                del waiting[i]
                said[i] = bytes(texts[i]).rstrip(b"\0").decode(errors="replace")
                if said[i] != mine and not first:
                    first.append(time.monotonic())
            return not waiting or (first and time.monotonic() - first[0] > _GRACE)

        with contextlib.suppress(TimeoutError):
            self.wait_for(all_here, self.limit, lambda seconds: TimeoutError(f"{seconds:g} s"))
        missing = [self.ranks[i] for i in waiting]
        for request in waiting.values():
            request.Cancel()
        if missing or any(text != mine for text in said.values()):
            raise self._error(said, missing)
        for request in sent:
            self.wait_for(request.Test, self.limit, lambda seconds: TimeoutError(f"{call}: the ranks do not answer"))

    def _error(self, said, missing):
        here = self.ranks[self.rank]
        calls = {}
        for i in sorted(said):
            calls.setdefault(said[i], []).append(self.ranks[i])
        lines = [f"{_ranks(ranks)}: {call}" for call, ranks in calls.items()]
        if missing:
            lines.append(f"{_ranks(missing)}: no call")
        message = f"collective call {self.number} is not the same on all ranks: " + "; ".join(lines)
        if missing:
            self.broken = message
        return RuntimeError(f"rank {here}: {message}. All ranks of a group must make the same calls in the same order")

    def leave(self, what):
        """Tells ranks that wait for a call of this one that none will come."""
        if self.broken is None:
            for i in range(len(self.ranks)):
                if i != self.rank:
                    self.comm.Isend(_bytes(what), i)


def _bytes(text):
    content = np.zeros(_SIZE, np.uint8)
    encoded = text.encode()[: _SIZE - 1]
    content[: len(encoded)] = np.frombuffer(encoded, np.uint8)
    return content


def _ranks(ranks):
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"
