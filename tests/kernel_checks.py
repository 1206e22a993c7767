"""What the tests of several kernels share: memory that ends with an array, and wide vectors on any processor."""

import ctypes
import mmap

import numpy as np

from minidl.kernels import threads

# minidl sees AVX-512 and makes its vectors 64 bytes wide; LLVM, for which the last word counts, splits them for any processor.
WIDE = "NUMBA_CPU_FEATURES=+fma,+avx2,+avx512f,-avx512f"


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


def with_one_thread_and_two(function):
    """The arrays that function() gives, with one thread and with two: pairs."""
    number, results = threads.get_num_threads(), []
    try:
        for count in (1, 2):
            threads.set_num_threads(count)
            results.append(function())
    finally:
        threads.set_num_threads(number)
    return zip(*results, strict=True)
