"""MINIDL_DISTRIBUTED_LOG=folder: which ranks ran, how each ended, and which was gone first.

When a rank dies, mpiexec kills the others within milliseconds, by a signal that no program can catch: no survivor can say what
happened. So a small process beside them (watcher.py, one on each machine) waits until a rank ends, and writes down which it
was. The next start with the same folder reads it, and says it.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from .. import distributed

_VARIABLE = "MINIDL_DISTRIBUTED_LOG"
_WATCHER = Path(__file__).with_name("watcher.py")


class _Own:
    path = None  # the file of this rank
    content = None


_own = _Own()


def begin(world):
    """Reports on the last run, writes this rank's file, and starts the watcher. Does nothing without the variable."""
    folder = os.environ.get(_VARIABLE)
    if not folder:
        return
    folder = Path(folder)
    if world.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        report = last_run(folder)
        if report:
            print(f"minidl.distributed: {report}", file=sys.stderr, flush=True)
        for path in [*folder.glob("rank-*.json"), *folder.glob("first-*.json")]:
            path.unlink()
    world.barrier().wait()
    host, pid = socket.gethostname(), os.getpid()
    _own.path = folder / f"rank-{world.rank}.json"
    _own.content = {"rank": world.rank, "size": world.size, "pid": pid, "host": host, "start": time.time(), "state": "running"}
    _write()
    if os.name == "posix":
        distributed.watcher.hold(folder, world.rank)
    places = world.comm.allgather((host, pid))
    here = [(rank, other_pid) for rank, (other_host, other_pid) in enumerate(places) if other_host == host]
    if here[0][0] == world.rank and os.name == "posix":
        command = [sys.executable, "-I", "-S", str(_WATCHER), str(folder), host, *(f"{rank}:{pid}" for rank, pid in here)]
        quiet = subprocess.DEVNULL
        watcher = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        watcher.returncode = 0  # it outlives this process: Python is not to warn of that
    world.barrier().wait()


def note(state):
    """How this rank is."""
    if _own.path is not None:
        _own.content["state"] = state
        _write()


def end(state="ended"):
    """The last note of this rank."""
    note(state)
    _own.path = None


def _write():
    unfinished = _own.path.with_suffix(".new")
    unfinished.write_text(json.dumps(_own.content), encoding="utf-8")
    os.replace(unfinished, _own.path)


def last_run(folder):
    """A sentence on a run that did not end well, from the files in the folder; "" if all of its ranks ended, or there was none.

    >>> last_run(Path("no such folder"))
    ''
    """
    ranks = sorted(_read(folder, "rank-*.json"), key=lambda entry: entry["rank"])
    if all(entry["state"] == "ended" for entry in ranks):
        return ""
    first = sorted(_read(folder, "first-*.json"), key=lambda entry: entry["time"])
    failed = [f"rank {entry['rank']} {entry['state']}" for entry in ranks if entry["state"].startswith("failed")]
    words = [f"the last run, of {ranks[0]['size']} ranks, did not end"]
    if first:
        when = time.strftime("%H:%M:%S", time.localtime(first[0]["time"]))
        words.append("rank {rank} (process {pid} on {host}) was gone first, at {when}".format(when=when, **first[0]))
    return "; ".join(words[:1] + failed + words[1:])


def _read(folder, pattern):
    return [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob(pattern)]
