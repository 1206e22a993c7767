"""Timing in turns: each library works in a process of its own, and in every round each of them gets its turn.

What slows the machine slows them all. Before each turn is a pause, in which the threads of the library before fall asleep: for
some milliseconds after their work they spin, and would take a core from the next. A result is a median over rounds, reported as
a ratio to the median of minidl in the same run.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIBRARIES = ("minidl", "numpy", "torch", "jax")
HERE = Path(__file__).parent.parent  # the tree whose minidl is timed
PAUSE = 0.1  # seconds; OpenBLAS spins longest


def installed(name):
    return importlib.util.find_spec(name) is not None


def environment(threads, tree=HERE):
    """The environment of a process whose library is to use so many threads; minidl is the one of this tree."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "MINIDL_NUM_THREADS")
    limits = dict.fromkeys(names, str(threads))
    if threads > 1:
        # Else a thread of OpenMP that was asleep may wake on the core of the thread that called it, and wait there up to 8 ms.
        limits["OMP_PROC_BIND"] = "true"
    else:
        limits["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    limits["PYTHONPATH"] = os.pathsep.join(filter(None, (str(tree), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "JAX_PLATFORMS": "cpu", "MINIDL_QUIET": "1", **limits}


def cores(threads):
    """The cores that a process may use, where the system lets us choose: JAX told to use one thread keeps 1.5 cores busy."""
    return [str(core) for core in sorted(os.sched_getaffinity(0))[-threads:]] if hasattr(os, "sched_getaffinity") else []


class Worker:
    """A process that times one library's side of every case of a group, when it is told to."""

    def __init__(self, library, group, threads, tree=HERE):
        program = [sys.executable, str(Path(__file__).with_name("worker.py")), library, group, *cores(threads)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(program, env=environment(threads, tree), text=True, **pipes)

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().rstrip("\n")
        if not answer and self.process.wait():
            raise RuntimeError(f"a worker failed with exit code {self.process.returncode}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def contestants():
    """{name: (library, tree)} of what is compared: the libraries that are installed."""
    return {library: (library, HERE) for library in LIBRARIES if installed(library)}


def compare(group, threads, seconds, sides=None):
    """Yields (case, {name: median seconds of one call}) for every case of a group; `sides` as `contestants` has them."""
    with contextlib.ExitStack() as stack:
        sides = contestants() if sides is None else sides
        workers = {name: Worker(library, group, threads, tree) for name, (library, tree) in sides.items()}
        for worker in workers.values():
            stack.callback(worker.close)
        while True:
            names = {name: worker.ask("next") for name, worker in workers.items()}
            case = names["minidl"]
            if case == "end":
                return
            times = {library: [] for library, name in names.items() if name == case}  # "-" where a library has no part in it
            pause = PAUSE if threads > 1 else 0
            end = time.perf_counter() + (seconds + 7 * pause) * len(times)
            while time.perf_counter() < end or len(times["minidl"]) < 7:
                for library, values in times.items():
                    time.sleep(pause)
                    values.append(float(workers[library].ask("time")))
            yield case, {library: statistics.median(values) for library, values in times.items()}


def machine(threads):
    """One line that says what the figures were measured on."""
    model, cores, width = platform.processor() or platform.machine(), os.cpu_count(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
        flags = next((line for line in lines if line.startswith("flags")), "")
        width = " (AVX-512)" if "avx512f" in flags else " (AVX2)" if "avx2" in flags else ""
    libraries = ["numpy", "numba", *(library for library in ("torch", "jax") if installed(library))]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries)
    return (
        f"{model}{width}, {cores} cores, {threads} thread{'s' * (threads > 1)}; Python {platform.python_version()}, {versions}"
    )
