"""Calls in forked children under a memory limit and a time limit: a crash and a hang cost one call, and are counted.

`run(play, number, …)` calls play(i) for each i below `number` and answers with a Report. play returns "result", "error" (that
is clear) or "raw" (an error of Python's or NumPy's own, or one that names nothing), and raises Fault for what must not be.
"""

import collections
import faulthandler
import json
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
import traceback

EACH_CHILD = 400  # calls, after which a new child begins with clean memory
MEMORY = 2 << 30  # bytes that a child may take beyond what it has when it begins
SECONDS = 30.0  # for one call; kernels may have to be compiled
OUTCOMES = ["not run", "result", "error", "fault", "raw"]


class Fault(Exception):
    """What a call must not do."""


class Report:
    def __init__(self, outcomes, faults):
        self.outcomes = outcomes  # one of OUTCOMES for each call
        self.faults = faults  # {number of the call: text}

    def table(self, name_of):
        """Lines of counts for each function: calls, results, expected errors, faults."""
        counts = collections.defaultdict(collections.Counter)
        for i, outcome in enumerate(self.outcomes):
            counts[name_of(i)][outcome] += 1
        width = max(map(len, counts), default=8)
        yield f"{'function':{width}} {'calls':>8} {'results':>8} {'errors':>8} {'raw':>8} {'faults':>8}"
        for name in [*sorted(counts), "total"]:
            count = collections.Counter(self.outcomes) if name == "total" else counts[name]
            yield f"{name:{width}} {count.total():8} {count['result']:8} {count['error']:8} {count['raw']:8} {count['fault']:8}"


def run(play, number, numbers=None, seconds=SECONDS):
    numbers = list(range(number)) if numbers is None else numbers
    state = mmap.mmap(-1, 8 + len(numbers))  # the place of the call that runs, then an outcome for each
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "faults")
        place, crashed = 0, {}
        while place < len(numbers):
            end = min(place + EACH_CHILD, len(numbers))
            state[:8] = place.to_bytes(8, "little")
            sys.stdout.flush()
            child = os.fork()
            if child == 0:
                _work(play, numbers, place, end, state, folder, log)
            status, reason = _wait(child, state, seconds)
            if status == 0:
                place = end
                continue
            place = int.from_bytes(state[:8], "little")
            with open(os.path.join(folder, "stderr"), errors="replace") as file:
                lines = file.read().splitlines()
            stack = " | ".join(line.strip() for line in lines[-40:] if "minidl" in line or "fuzz" in line)[-600:]
            crashed[numbers[place]] = f"{reason or f'killed by signal {status & 127}, exit {status >> 8}'}: {stack}"
            state[8 + place] = 3
            place += 1
        faults = dict(crashed)
        if os.path.exists(log):
            with open(log) as file:
                faults |= dict(json.loads(line) for line in file)
    return Report([OUTCOMES[x] for x in state[8:]], dict(sorted(faults.items())))


def _wait(child, state, seconds):
    """(status, reason) of the child; killed where one call takes too long."""
    place, since = None, time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status, None
        now = state[:8]
        if now != place:
            place, since = now, time.monotonic()
        elif time.monotonic() - since > seconds:
            os.kill(child, signal.SIGABRT)  # the child says where it is
            time.sleep(0.2)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 9, f"hangs (over {seconds:g} s)"
        time.sleep(0.005)


def _work(play, numbers, place, end, state, folder, log):
    """The child: never returns."""
    try:
        os.chdir(folder)
        nothing = os.open(os.devnull, os.O_RDWR)
        errors = os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number, file in enumerate((nothing, nothing, errors)):
            os.dup2(file, number)
        faulthandler.enable()
        if sys.platform == "linux":
            with open("/proc/self/statm") as file:
                used = int(file.read().split()[0]) * mmap.PAGESIZE
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for i in range(place, end):
            state[:8] = i.to_bytes(8, "little")
            try:
                state[8 + i] = OUTCOMES.index(play(numbers[i]))
            except Fault as fault:
                state[8 + i] = 3
                with open(log, "a") as file:
                    file.write(json.dumps([numbers[i], str(fault)]) + "\n")
        os._exit(0)
    except BaseException as error:
        os.write(2, f"minidl fuzzer: {type(error).__name__}: {error}\n".encode(errors="replace"))
        os.write(2, "".join(traceback.format_tb(error.__traceback__)).encode(errors="replace"))
        os._exit(3)
