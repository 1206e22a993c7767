"""Finds which arrays share memory, so that they share it again after loading: tied weights, a matrix and its rows.

Arrays whose memory overlaps are one array in the file, and each of them is a view of it: an offset, sizes and strides, all
counted in elements.
"""

import math

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided


def place(found):
    """The arrays for the file by name. found: [(array, its code)]; the name, and a view if needed, are added to the code."""
    arrays, memories = {}, {}
    groups = _overlapping([array for array, _ in found])
    for i, (array, code) in enumerate(found):
        members = groups.get(i, (i,))
        if members not in memories:
            name = f"tensor{len(arrays)}"
            arrays[name] = array if len(members) == 1 else _memory_of([found[j][0] for j in members])
            memories[members] = name, arrays[name], min(byte_bounds(found[j][0])[0] for j in members)
        name, memory, start = memories[members]
        code[next(iter(code))] = name
        if len(members) > 1:
            whole = array.shape == memory.shape and array.flags.c_contiguous
            code["view"] = None if whole else _view(array, start)
    return arrays


def _overlapping(arrays):
    """{i: the numbers of all arrays that overlap with the i-th, directly or through others}; an i without any is left out."""
    bounds = sorted((*byte_bounds(array), i) for i, array in enumerate(arrays) if array.size)
    groups, members, end = {}, [], 0
    for low, high, i in [*bounds, (math.inf, math.inf, None)]:
        if low >= end:
            if len(members) > 1:
                groups |= dict.fromkeys(members, tuple(sorted(members)))
            members = []
        members.append(i)
        end = max(end, high)
    return groups


def _memory_of(arrays):
    """One array for all of them: the one that covers all others, else a new one, which is 0 where none of them has memory."""
    start, end = min(byte_bounds(x)[0] for x in arrays), max(byte_bounds(x)[1] for x in arrays)
    dtype = arrays[0].dtype
    for array in arrays:
        places = byte_bounds(array)[0] - start, *array.strides
        if array.dtype != dtype or any(place % dtype.itemsize for place in places):
            raise ValueError(
                f"save: an array of {array.dtype} shares memory with one of {dtype}, which a file cannot hold; save a .clone()"
            )
    for array in arrays:
        if array.flags.c_contiguous and array.nbytes == end - start:
            return array
    memory = np.zeros((end - start) // dtype.itemsize, dtype)
    for array in arrays:
        offset, sizes, strides = _view(array, start)
        as_strided(memory[offset:], sizes, [step * dtype.itemsize for step in strides])[...] = array
    return memory


def _view(array, start):
    """[offset, sizes, strides] of an array in memory that begins at an address."""
    offset = (array.__array_interface__["data"][0] - start) // array.itemsize
    return [offset, list(array.shape), [step // array.itemsize for step in array.strides]]


def part_of(memory, name, view):
    """The part of an array that a view from a file describes. ValueError if it is not within the array, or is damaged."""
    if not isinstance(view, list) or len(view) != 3 or not isinstance(view[1], list) or not isinstance(view[2], list):
        raise ValueError(f"a view of {name!r} is damaged")
    offset, sizes, strides = view
    if any(type(n) is not int for n in [offset, *sizes, *strides]) or len(sizes) != len(strides) or len(sizes) > 64:
        raise ValueError(f"a view of {name!r} is damaged")
    reach = [(n - 1) * step for n, step in zip(sizes, strides, strict=True)]
    low, high = offset + sum(min(x, 0) for x in reach), offset + sum(max(x, 0) for x in reach)
    if min(sizes, default=1) < 1 or math.prod(sizes) > 2**59 or low < 0 or high >= memory.size or not memory.flags.c_contiguous:
        raise ValueError(f"a view of {name!r} reaches out of it")
    part = as_strided(memory.reshape(-1)[offset:], sizes, [step * memory.itemsize for step in strides])
    if _repeats(sizes, strides):
        part.flags.writeable = False
    return part


def _repeats(sizes, strides):
    """Whether two elements may share one place in memory."""
    reach = 1
    for step, n in sorted((abs(step), n) for n, step in zip(sizes, strides, strict=True) if n > 1):
        if step < reach:
            return True
        reach += (n - 1) * step
    return False
