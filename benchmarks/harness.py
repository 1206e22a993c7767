"""Timing by interleaving: every competitor runs in every round, so what slows the machine slows them all.

A result is a median over rounds, and is reported as a ratio to minidl's median in the same run. The times themselves belong
to the machine that is named with them.
"""

import argparse
import gc
import importlib.util
import os
import platform
import statistics
import sys
import time
from pathlib import Path


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each case and competitor")
    parser.add_argument("--only", nargs="*", help="groups to run: " + ", ".join(GROUPS))
    parser.add_argument("--out", type=Path, help="folder for the table as Markdown and PNG")
    return parser.parse_args()


GROUPS = ("overhead", "matmul", "rows", "elementwise", "step", "start")


def limit_threads(threads):
    """Sets the number of threads for every library. To be called before NumPy is imported: OpenBLAS reads it once."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "MINIDL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def installed(name):
    return importlib.util.find_spec(name) is not None


def compare(candidates, seconds):
    """The median seconds of one call of each candidate, {name: function}, the calls of all in turn."""
    loops = {}
    for name, function in candidates.items():
        function()
        start = time.perf_counter()
        function()
        once = max(time.perf_counter() - start, 1e-7)
        loops[name] = max(1, int(2e-3 / once))  # about 2 ms at a time, so that the clock's own cost does not show
    times = {name: [] for name in candidates}
    end = time.perf_counter() + seconds * len(candidates)
    gc.collect()
    gc.disable()
    try:
        while time.perf_counter() < end or len(next(iter(times.values()))) < 7:
            for name, function in candidates.items():
                n = loops[name]
                start = time.perf_counter()
                for _ in range(n):
                    function()
                times[name].append((time.perf_counter() - start) / n)
    finally:
        gc.enable()
    return {name: statistics.median(values) for name, values in times.items()}


def machine(threads):
    """One line that says what the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
        width = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
        model = f"{names[0] if names else model} ({width}), {len(names)} cores"
    versions = [f"Python {platform.python_version()}"]
    for name in ("numpy", "numba", "torch", "jax"):
        if name in sys.modules:
            versions.append(f"{name} {sys.modules[name].__version__}")
    return f"{model}, {threads} thread{'s' if threads > 1 else ''}; " + ", ".join(versions)
