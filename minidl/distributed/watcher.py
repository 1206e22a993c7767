"""A program of its own: python watcher.py folder host rank:process… It waits until one of the processes ends.

If that rank had not said that it ends, it writes to the folder which rank it was. It imports nothing of minidl.
"""

import json
import os
import select
import sys
import time
from pathlib import Path


def watch(folder, host, ranks):
    """ranks: {rank: process}. Returns when all have ended, or the first that did not end well is written down."""
    poll, waiting = select.poll(), {}
    for rank, pid in ranks.items():
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        waiting[handle] = rank
        poll.register(handle, select.POLLIN)
    while waiting:
        gone = []
        for handle, _ in poll.poll():
            poll.unregister(handle)
            os.close(handle)
            rank = waiting.pop(handle)
            if _state(folder, rank) != "ended":
                gone.append((rank, ranks[rank]))
        if any(_state(folder, rank).startswith("failed") for rank in ranks):  # it ended the others, and said why
            return
        if gone:
            path = Path(folder, f"first-{host}.json")
            unfinished = path.with_suffix(".new")
            unfinished.write_text(json.dumps({"host": host, "time": time.time(), "gone": sorted(gone)}), encoding="utf-8")
            os.replace(unfinished, path)
            return


def _state(folder, rank):
    return json.loads(Path(folder, f"rank-{rank}.json").read_text(encoding="utf-8"))["state"]


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2], {int(rank): int(pid) for rank, pid in (word.split(":") for word in sys.argv[3:])})
