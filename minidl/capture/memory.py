"""Where the temporary arrays of a remembered step lie: in one memory, where those that never live together overlap."""

import numpy as np

from ..kernels.memory import address_of, offset_of, owner_of

_LINE = 64  # bytes


class Plan:
    """lives: {id of an array that owns memory: (array, number of the first event that uses it, of the last)}.

    `size` is the memory's in bytes, `separate` what one buffer for each would take. `moved` gives the array in its new place.
    """

    def __init__(self, lives):
        self.lives, self.offsets, self.size, self.separate = lives, {}, 0, 0
        placed = np.empty((4, len(lives)), np.int64)  # of each: begin, end, first event, last event
        order = sorted(lives.items(), key=lambda item: -item[1][0].nbytes)  # the largest first
        for n, (key, (array, first, last)) in enumerate(order):
            need = -(-array.nbytes // _LINE) * _LINE
            begins, ends, firsts, lasts = placed[:, :n]
            others = np.flatnonzero((firsts <= last) & (first <= lasts))  # those that live at the same time
            others = others[np.argsort(begins[others], kind="stable")]
            reached = np.maximum.accumulate(np.append(0, ends[others]))  # where the memory before each of them ends
            gaps = np.flatnonzero(begins[others] - reached[:-1] >= need)
            at = int(reached[gaps[0]] if gaps.size else reached[-1])
            placed[:, n] = at, at + need, first, last
            self.offsets[key] = at
            self.size, self.separate = max(self.size, at + need), self.separate + need
        memory = np.empty(self.size + _LINE, np.uint8)
        start = -address_of(memory) % _LINE
        self.memory = memory[start : start + self.size]

    def moved(self, array):
        """The array, or if it is temporary, its twin in this memory."""
        owner = owner_of(array)
        offset = self.offsets.get(id(owner))
        if offset is None or not array.size:
            return array
        return np.ndarray(array.shape, array.dtype, self.memory, offset + offset_of(array, owner), array.strides)

    def poison(self):
        """Overwrites all temporaries with NaN."""
        self.memory.fill(0xFF)
