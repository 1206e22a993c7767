"""Absurd sizes are refused before memory is taken: in a process with little of it, which must survive."""

import os
import subprocess
import sys

import numba
import pytest

pytest.importorskip("resource")

LIMITED = """
import math, resource
import minidl, minidl.nn.functional as F
from minidl import nn

x3, x4, index = minidl.ones(1, 1, 8), minidl.ones(1, 1, 8, 8), minidl.arange(4)
calls = {
    "zeros": lambda n: minidl.zeros(n, n),
    "rand": lambda n: minidl.rand(n),
    "eye": lambda n: minidl.eye(n, n),
    "arange": lambda n: minidl.arange(0, n, 1, dtype=minidl.float32),
    "arange, floats": lambda n: minidl.arange(0.0, n),
    "linspace": lambda n: minidl.linspace(0, 1, n),
    "repeat": lambda n: x3.repeat(n, 1, 1),
    "repeat_interleave": lambda n: x3.repeat_interleave(n),
    "expand, and a copy": lambda n: minidl.ones(1).expand(n).clone(),
    "one_hot": lambda n: F.one_hot(index, n),
    "pad": lambda n: F.pad(x4, (n, n)),
    "pad, replicate": lambda n: F.pad(x4, (n, n), mode="replicate"),
    "interpolate": lambda n: F.interpolate(x3, n),
    "interpolate, linear": lambda n: F.interpolate(x3, scale_factor=float(n), mode="linear"),
    "adaptive_avg_pool1d": lambda n: F.adaptive_avg_pool1d(x3, n),
    "adaptive_max_pool1d": lambda n: F.adaptive_max_pool1d(x3, n),
    "adaptive_avg_pool2d": lambda n: F.adaptive_avg_pool2d(x4, (n, 1)),
    "adaptive_max_pool2d": lambda n: F.adaptive_max_pool2d(x4, n),
    "max_pool1d": lambda n: F.max_pool1d(x3, n, stride=1, padding=n // 2),
    "max_unpool2d": lambda n: F.max_unpool2d(x4, minidl.zeros(1, 1, 8, 8, dtype=minidl.int64), n),
    "conv1d": lambda n: F.conv1d(x3, minidl.ones(1, 1, 3), padding=n),
    "conv_transpose1d": lambda n: F.conv_transpose1d(x3, minidl.ones(1, 1, 3), stride=n),
    "conv_transpose2d": lambda n: F.conv_transpose2d(x4, minidl.ones(1, 1, 3, 3), dilation=n),
    "unfold": lambda n: F.unfold(x4, 3, padding=n),
    "Linear": lambda n: nn.Linear(n, 8),
    "Embedding": lambda n: nn.Embedding(n, 8),
}
taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 30), resource.RLIM_INFINITY))
for name, call in calls.items():
    tables = name.split(",")[0] in ("arange", "linspace", "one_hot", "interpolate") or "adaptive" in name
    for n in (*[2 * 10**8] * tables, 10**9, 10**12, 10**18):  # at the first, what is made on the way would fit, all of it not
        try:
            call(n)
            print(name, n, "was not refused")
        except (MemoryError, ValueError) as error:
            if not str(error):
                print(name, n, "says nothing")
        now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if now > taken + 100_000:  # KiB
            print(name, n, "took", (now - taken) // 1024, "MiB before it was refused")
            taken = now
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and counts in KiB")
def test_absurd_sizes_are_refused_before_memory_is_taken():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""


PROGRAM = """
import resource, sys
import numpy as np
import minidl
from minidl import kernels

minidl.set_num_threads(int(sys.argv[1]))
small, labels = np.zeros((4, 20_000), "f4"), np.zeros(4, "i8")
kernels.cross_entropy(small[:, :9], labels), kernels.cross_entropy(small, labels)  # compiles both ways to run it
x = np.zeros((4, 20_000_000), "f4") + np.arange(4, dtype="f4")[:, None]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 70_000_000, -1))  # less than the 80 MB that each thread wants
try:
    print("lost:", kernels.cross_entropy(x, labels)[0])
except MemoryError:
    print("MemoryError")
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print(np.abs(kernels.cross_entropy(x, labels)[0] - np.log(20_000_000)).max() < 1e-5)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
@pytest.mark.parametrize("number", [1, 2])
def test_memory_that_ends_within_a_kernel_is_told_on_any_number_of_threads(number):
    if number > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("one thread")
    command = [sys.executable, "-c", PROGRAM, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MINIDL_QUIET": "1"})
    assert done.stdout.split() == ["MemoryError", "True"], done.stdout + done.stderr
