"""What the tests of several kernels share: memory that ends with an array, and a run of themselves for another processor."""

import ctypes
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

from minidl.kernels.tile import VECTOR_BYTES

# minidl sees AVX-512 and makes its vectors 64 bytes wide; LLVM, for which the last word counts, splits them for any processor.
WIDE = "NUMBA_CPU_FEATURES=+fma,+avx2,+avx512f,-avx512f"


def run_again(file, setting, chosen, folder):
    """Runs the tests `chosen` (-k) of a file once more: small, on one thread, a variable set as "NAME=value" says."""
    if {WIDE: 64, "NUMBA_CPU_NAME=haswell": 32}.get(setting) == VECTOR_BYTES:
        pytest.skip("this processor has vectors of that width: the other tests of this file have run with them")
    name, value = setting.split("=")
    child = {name: value, "MINIDL_CACHE": str(folder), "MINIDL_TEST_SMALL": "1", "MINIDL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", file, "-k", chosen]
    done = subprocess.run(command, env={**os.environ, **child}, capture_output=True, text=True, cwd=os.getcwd())
    assert done.returncode == 0, done.stdout + done.stderr


def guarded(array, pages):
    """A copy that ends where the memory of the process ends; `pages` keeps the memory."""
    size = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    assert protect(address + size, mmap.PAGESIZE, 0) == 0
    pages.append(memory)
    copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes).reshape(array.shape)
    copy[...] = array
    return copy
