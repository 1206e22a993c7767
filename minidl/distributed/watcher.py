"""A program of its own: python watcher.py folder host rank:process… It waits until one of the processes ends.

If that rank had not said that it ends, it writes to the folder which rank it was. It imports nothing of minidl. Not on Windows.

Each rank holds the writing ends of two pipes, which the system closes when it dies, near the moment at which mpiexec hears of
the death and kills the other ranks. Linux reports closed pipes in the order in which they were closed, however late one asks.
With more ranks than cores the order may still be wrong, rarely; the process that mpiexec's message names is the right one.
"""

import contextlib
import fcntl
import json
import os
import select
import sys
import time
from pathlib import Path

_HIGH = 200  # the least number of the second pipe
_held = []  # files of this process that stay open


def hold(folder, rank):
    """Opens the pipes of this rank until its process ends. The processes that it forks close theirs."""
    for path in _pipes(folder, rank):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.mkfifo(path, 0o600)
    low, high = (os.open(path, os.O_RDWR) for path in _pipes(folder, rank))  # O_RDWR: does not wait for a reader
    _held.extend([low, fcntl.fcntl(high, fcntl.F_DUPFD_CLOEXEC, _HIGH)])
    os.close(high)
    if len(_held) == 2:
        os.register_at_fork(after_in_child=lambda: [os.close(number) for number in _held])


def _pipes(folder, rank):
    return Path(folder, f"rank-{rank}.low"), Path(folder, f"rank-{rank}.high")


def watch(folder, host, ranks):
    """ranks: {rank: process}. Returns when all have ended, or the first that did not end well is written down."""
    poll, rank_of = select.epoll() if hasattr(select, "epoll") else select.poll(), {}
    for rank in ranks:
        for path in _pipes(folder, rank):
            number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            rank_of[number] = rank
            poll.register(number, select.POLLHUP)
    waiting = set(ranks)
    while waiting:
        for number, _ in poll.poll():
            poll.unregister(number)
            rank = rank_of[number]
            state = _state(folder, rank) if rank in waiting else "ended"
            waiting.discard(rank)
            if state.startswith("failed"):  # it ended the others, and said why
                return
            if state != "ended":
                path = Path(folder, f"first-{host}.json")
                unfinished = path.with_suffix(".new")
                content = {"host": host, "time": time.time(), "rank": rank, "pid": ranks[rank]}
                unfinished.write_text(json.dumps(content), encoding="utf-8")
                os.replace(unfinished, path)
                return


def _state(folder, rank):
    return json.loads(Path(folder, f"rank-{rank}.json").read_text(encoding="utf-8"))["state"]


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2], {int(rank): int(pid) for rank, pid in (word.split(":") for word in sys.argv[3:])})
