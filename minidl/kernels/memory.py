"""Memory that the next step uses again need not be asked of the system again: a free list for large arrays.

The C library gives large blocks back to the system when they are freed. In the next step the system hands out every page anew,
cleared, and that takes longer than many a kernel that writes to it. Two things are done about it:

- Below 32 MiB the C library could keep them itself. That of Linux (glibc) begins to once it has seen a large block freed, so it
  is shown one at the import. This holds for what NumPy allocates, too: the results of a * b, and copies.
- Larger ones it never keeps. `empty` makes such arrays in blocks which are kept when their array is gone, up to a limit; beyond
  it the block that has waited longest goes back to the system. To keep smaller ones in the same way took a third more memory in
  a step, since an array does not fit into the block of a smaller one, and no less time.

A block holds one array at a time, and is free when that array is gone. Every view refers to the array that it shows; so do
memoryviews and other libraries that share its memory. An array is therefore gone only when nothing shows its memory any more.
"""

import ctypes
import math
import os
import sys
import threading
import weakref

import numpy as np

LARGE = (32 << 20) - 8192  # bytes from which an array is made in a block; two pages below the most that glibc keeps
ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Block(np.ndarray):
    """Memory for one large array, which has it as its base. An array with such a base shares its memory with no other array."""

    __slots__ = ()


def owner_of(array):
    """The array that owns the memory: the array itself, or what it is a view of, also one made by `as_strided`."""
    base = array.base
    while base is not None:
        if isinstance(base, np.ndarray) and type(base) is not Block:
            array = base
        elif not isinstance(base, _Strided):
            break
        base = base.base
    return array


_HEAD = object.__basicsize__  # bytes with which every object begins; in an array (PyArrayObject in C) its address follows
_pointer_at = ctypes.c_void_p.from_address


def address_of(array):
    """Where the array's first element lies in memory, in a tenth of the time that `array.ctypes.data` takes."""
    return _pointer_at(id(array) + _HEAD).value


_one = np.empty(1)
if address_of(_one) != _one.ctypes.data:  # another Python, in which an object's id is not where it lies

    def address_of(array):
        return array.ctypes.data


def offset_of(array, owner):
    """How many bytes the array's first element lies behind that of its owner."""
    if array is owner or (array.nbytes == owner.nbytes and array.flags.forc):  # no part of it, but all
        return 0
    return address_of(array) - address_of(owner)


_Strided = type(np.lib.stride_tricks.as_strided(np.zeros(1)).base)  # what such a view has as its base


class FreeList:
    """Blocks by size, at most `limit` bytes of them.

    An array can go at any moment, also while this list is being changed (the garbage collector may run at any line). Then, and
    when another thread is at the list, its block is not kept: whoever finds the lock taken does not wait for it.
    """

    def __init__(self, limit):
        self.limit = limit
        self.lent = {}  # id of a weak reference to an array -> (that reference, its block, where in it the array begins, size)
        self.begin()

    def begin(self):
        """Begins with no blocks and an open lock, also in a forked child: another thread may have held the parent's."""
        self.lock, self.free, self.bytes = threading.Lock(), {}, 0  # free: size -> blocks; first the size that waits longest

    def clear(self, limit):
        with self.lock:
            self.limit, self.free, self.bytes = limit, {}, 0

    def empty(self, shape, dtype, nbytes):
        step = 1 << (nbytes.bit_length() - 4)
        size = -(-nbytes // step) * step  # at most an eighth more, so that similar arrays share blocks
        block, start = self._take(size) or self._make(size)
        array = np.ndarray(shape, dtype, block, start)
        reference = weakref.ref(array, self._give_back)
        self.lent[id(reference)] = reference, block, start, size
        return array

    def _make(self, size):
        try:
            block = np.ndarray.__new__(Block, size + ALIGNMENT, np.uint8)
        except MemoryError:  # what is kept may be in the way
            self.clear(self.limit)
            block = np.ndarray.__new__(Block, size + ALIGNMENT, np.uint8)
        return block, -block.ctypes.data % ALIGNMENT

    def _take(self, size):
        found = None
        if not self.lock.locked():
            with self.lock:
                blocks = self.free.get(size)
                if blocks:
                    self.bytes -= size
                    found = blocks.pop()  # the one given back last: it may still be in the cache
        return found

    def _give_back(self, reference, getrefcount=sys.getrefcount):  # at the end of the process, `sys` may be gone
        """Called when an array is gone."""
        entry = self.lent.pop(id(reference))
        # Three refer to the block: the entry, the array that is going, and the call. It is not free if somebody else does.
        if getrefcount(entry[1]) > 3 or self.lock.locked():
            return
        with self.lock:
            _, block, start, size = entry
            blocks = self.free.pop(size, [])
            blocks.append((block, start))
            self.free[size] = blocks
            self.bytes += size
            while self.bytes > self.limit:
                self._drop()

    def _drop(self):
        size, blocks = next(iter(self.free.items()))
        if blocks:
            del blocks[0]
            self.bytes -= size
        else:
            del self.free[size]


def _chosen_limit():
    chosen = os.environ.get("MINIDL_MEMORY_KEPT", "512")
    if not chosen.isdigit():
        raise ValueError(f"the environment variable MINIDL_MEMORY_KEPT must be a number of MiB, or 0 for none, got {chosen!r}")
    return int(chosen) << 20


_list = FreeList(_chosen_limit())
if _list.limit:
    # From now on malloc keeps blocks up to this size, and up to twice as much in all, as after any array of this size that a
    # program frees (mallopt(3), M_MMAP_THRESHOLD: "dynamic"). None of its pages is touched; it takes some microseconds.
    np.empty(LARGE, np.uint8)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_list.begin)


def empty(shape, dtype):
    """np.empty(shape, dtype) for a tuple and a np.dtype; a large array's memory comes from the free list, and returns to it.

    >>> empty((2, 3), np.dtype("float32")).shape
    (2, 3)
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < LARGE or not _list.limit:
        return np.empty(shape, dtype)
    return _list.empty(shape, dtype, nbytes)


def get_memory_kept():
    """How many MiB of memory, no longer used, are kept for new arrays at most."""
    return _list.limit >> 20


def set_memory_kept(mebibytes):
    """Keeps at most so many MiB of memory, no longer used, for new arrays; 0 keeps none. What is kept now is given back.

    The environment variable MINIDL_MEMORY_KEPT says it from the start; without it the number is 512. With 0 there, the C
    library is left as it is, too.
    """
    if type(mebibytes) is not int or mebibytes < 0:
        raise ValueError(f"set_memory_kept: expected a whole number of MiB, 0 or more, got {mebibytes!r}")
    _list.clear(mebibytes << 20)


def empty_cache():
    """Gives back to the system what is kept for new arrays. Results do not change; the next step takes longer."""
    _list.clear(_list.limit)
