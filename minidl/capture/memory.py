"""Where the temporary arrays of a remembered step lie: in one memory, where those that never live together overlap."""

import numpy as np

from ..graph.writes import owner_of

_LINE = 64  # bytes


class Plan:
    """lives: {id of an array that owns memory: (array, number of the first event that uses it, of the last)}.

    `size` is the memory's in bytes, `separate` what one buffer for each would take. `moved` gives the array in its new place.
    """

    def __init__(self, lives):
        self.lives, self.offsets, self.size, self.separate = lives, {}, 0, 0
        placed = []  # (begin, end, first, last)
        for key, (array, first, last) in sorted(lives.items(), key=lambda item: -item[1][0].nbytes):  # the largest first
            need, at = -(-array.nbytes // _LINE) * _LINE, 0
            for begin, end in sorted([(b, e) for b, e, f, l in placed if f <= last and first <= l]):
                if begin - at >= need:
                    break
                at = max(at, end)
            placed.append((at, at + need, first, last))
            self.offsets[key] = at
            self.size, self.separate = max(self.size, at + need), self.separate + need
        memory = np.empty(self.size + _LINE, np.uint8)
        start = -_start(memory) % _LINE
        self.memory = memory[start : start + self.size]

    def moved(self, array):
        """The array, or if it is temporary, its twin in this memory."""
        owner = owner_of(array)
        offset = self.offsets.get(id(owner))
        if offset is None or not array.size:
            return array
        return np.ndarray(array.shape, array.dtype, self.memory, offset + _start(array) - _start(owner), array.strides)

    def poison(self):
        """Overwrites all temporaries with NaN."""
        self.memory.fill(0xFF)


def _start(array):
    return array.__array_interface__["data"][0]
