"""What the tests of several kernels share: memory that ends with an array, arrays side by side, vectors of any width."""

import contextlib
import ctypes
import math
import mmap
from unittest import mock

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


@contextlib.contextmanager
def arrays_with_gaps(gap, filled=0, size=1 << 20):
    """Within it, np.empty places each array `gap` bytes behind the one before. It gives a function that copies an array there.

    All bytes of a new array are `filled`. Kernels must be compiled before, as Numba does not know this np.empty.
    """
    memory, end, empty = np.full(size, filled, np.uint8), 0, np.empty

    def placed(shape, dtype=float, order="C"):
        nonlocal end
        dtype, sizes = np.dtype(dtype), tuple(np.atleast_1d(np.asarray(shape, int)))
        first = end + -end % max(1, dtype.itemsize)
        last = first + math.prod(sizes) * dtype.itemsize
        if dtype.hasobject or not dtype.itemsize or last > size:
            return empty(shape, dtype, order)
        end = last + gap
        return memory[first:last].view(dtype).reshape(sizes, order=order)

    def copied(x):
        copy = placed(x.shape, x.dtype)
        copy[...] = x
        return copy

    def like(x, dtype=None, shape=None):
        return placed(x.shape if shape is None else shape, dtype or x.dtype)

    with mock.patch.multiple(np, empty=placed, empty_like=like):
        yield copied


def bits_with_gaps(function, *arrays):
    """The bits of the arrays that function(*arrays) gives: first with all arrays far apart, then five times close together.

    What the function makes lies behind the last of the arguments, or behind the first. New arrays hold zeros, once NaN.
    """
    function(*arrays)  # compiles what it needs
    for gap, step, filled in (4096, 1, 0), (0, 1, 255), (16, 1, 0), (48, 1, 0), (0, -1, 0), (16, -1, 0):
        with arrays_with_gaps(gap, filled) as copied:
            copies = [copied(x) for x in arrays[::step]]
            yield [None if x is None else np.asarray(x).tobytes() for x in function(*copies[::step])]
