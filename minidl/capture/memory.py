"""Where the temporary arrays of a remembered step lie: in one memory, where those that never live together overlap."""

import numpy as np

from ..kernels.memory import address_of, offset_of, owner_of

_LINE = 64  # bytes


def _gap(begins, ends, need):
    """The first place where `need` bytes are free beside blocks that are given by their begin."""
    if not begins.size or begins[0] >= need:
        return 0
    reached = np.maximum.accumulate(ends)  # where the memory before the next block ends
    gaps = begins[1:] - reached[:-1] >= need
    first = gaps.argmax() if gaps.size else -1
    return int(reached[first if first >= 0 and gaps[first] else -1])


class Plan:
    """lives: {id of an array that owns memory: [array, number of the first event that uses it, of the last]}.

    `size` is the memory's in bytes, `separate` what one buffer for each would take. `moved` gives the array in its new place.
    inputs: arrays that get a place of their own each.
    """

    def __init__(self, lives, inputs=()):
        self.inputs = {id(x): (x, np.empty_like(x)) for x in inputs}
        self.lives, self.offsets, self.size, self.separate = lives, {}, 0, 0
        placed = np.empty((4, len(lives)), np.int64)  # of each: begin, end, first event, last event; by their begin
        order = sorted(lives.items(), key=lambda item: -item[1][0].nbytes)  # the largest first
        for n, (key, (array, first, last)) in enumerate(order):
            need = -(-array.nbytes // _LINE) * _LINE
            begins, ends, firsts, lasts = placed[:, :n]
            others = (firsts <= last) & (lasts >= first)  # those that live at the same time
            at = _gap(begins[others], ends[others], need)
            self.offsets[key] = at
            self.size, self.separate = max(self.size, at + need), self.separate + need
            place = begins.searchsorted(at)
            placed[:, place + 1 : n + 1] = placed[:, place:n]
            placed[:, place] = at, at + need, first, last
        memory = np.empty(self.size + _LINE, np.uint8)
        start = -address_of(memory) % _LINE
        self.memory = memory[start : start + self.size]

    def moved(self, array):
        """The array, or if it is temporary, its twin in this memory."""
        owner = owner_of(array)
        offset = self.offsets.get(id(owner))
        if offset is None or not array.size:
            place = self.inputs.get(id(owner)) if array.size else None
            if place is None:
                return array
            return np.ndarray(array.shape, array.dtype, place[1], offset_of(array, owner), array.strides)
        return np.ndarray(array.shape, array.dtype, self.memory, offset + offset_of(array, owner), array.strides)

    def poison(self):
        """Overwrites all temporaries with NaN."""
        self.memory.fill(0xFF)
