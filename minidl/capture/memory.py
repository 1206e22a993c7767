"""Where the temporary arrays of a remembered step lie: in one memory, where those that never live together overlap."""

from bisect import bisect

import numpy as np

from ..kernels.memory import address_of, offset_of, owner_of

_LINE = 64  # bytes
_SMALL = 4096  # bytes up to which an array goes where there is room at its time: a search of the best place would take longer


def _gap(begins, ends, need):
    """The first place where `need` bytes are free beside blocks that are given by their begin."""
    if not begins.size or begins[0] >= need:
        return 0
    reached = np.maximum.accumulate(ends)  # where the memory before the next block ends
    gaps = begins[1:] - reached[:-1] >= need
    first = gaps.argmax() if gaps.size else -1
    return int(reached[first if first >= 0 and gaps[first] else -1])


def _one_by_one(lives):
    """({key: offset}, size in all) for lives = [(key, bytes, first event, last event)]: the largest first, where it fits."""
    offsets, size = {}, 0
    placed = np.empty((4, len(lives)), np.int64)  # of each: begin, end, first event, last event; by their begin
    for n, (key, need, first, last) in enumerate(sorted(lives, key=lambda life: -life[1])):
        begins, ends, firsts, lasts = placed[:, :n]
        others = (firsts <= last) & (lasts >= first)  # those that live at the same time
        at = offsets[key] = _gap(begins[others], ends[others], need)
        size = max(size, at + need)
        place = begins.searchsorted(at)
        placed[:, place + 1 : n + 1] = placed[:, place:n]
        placed[:, place] = at, at + need, first, last
    return offsets, size


def _in_time(lives):
    """The same by one walk through the events: an array gets the first free piece that is large enough."""
    offsets, size, free = {}, 0, []  # free: [(begin, end)] in order
    events = [(first, 0, -need, key) for key, need, first, _ in lives]
    events += [(last, 1, -need, key) for key, need, _, last in lives]
    for _, gone, need, key in sorted(events):
        if gone:
            begin = offsets[key]
            end, i = begin - need, bisect(free, (begin,))
            if i < len(free) and free[i][0] == end:
                end = free.pop(i)[1]
            if i and free[i - 1][1] == begin:
                i -= 1
                begin = free.pop(i)[0]
            free.insert(i, (begin, end))
            continue
        for i, (begin, end) in enumerate(free):
            if end - begin >= -need:
                del free[i]
                if end > begin - need:
                    free.insert(i, (begin - need, end))
                break
        else:
            begin = free.pop()[0] if free and free[-1][1] == size else size
            size = begin - need
        offsets[key] = begin
    return offsets, size


class Plan:
    """lives: {id of an array that owns memory: [array, number of the first event that uses it, of the last]}.

    `size` is the memory's in bytes, `separate` what one buffer for each would take. `moved` gives the array in its new place.
    inputs: arrays that get a place of their own each.
    """

    def __init__(self, lives, inputs=()):
        needs = [(key, -(-x.nbytes // _LINE) * _LINE, first, last) for key, (x, first, last) in lives.items()]
        self.lives, self.separate = lives, sum(need for _, need, _, _ in needs)
        self.offsets, behind = _one_by_one([life for life in needs if life[1] > _SMALL])
        small, more = _in_time([life for life in needs if life[1] <= _SMALL])
        self.offsets.update((key, behind + at) for key, at in small.items())
        self.size = behind + more
        memory = np.empty(self.size + _LINE, np.uint8)
        start = -address_of(memory) % _LINE
        self.memory = memory[start : start + self.size]
        self.places = {key: (self.memory, at) for key, at in self.offsets.items()}  # of owners: memory, and where in it
        self.places.update((id(x), (np.empty_like(x), 0)) for x in inputs)

    def moved(self, array):
        """The array, or if it is temporary or an input, its twin in this memory."""
        owner = array if array.base is None else owner_of(array)
        place = self.places.get(id(owner))
        if place is None or not array.size:
            return array
        memory, at = place
        if array is not owner:
            at += offset_of(array, owner)
        return np.ndarray(array.shape, array.dtype, memory, at, array.strides)

    def poison(self):
        """Overwrites all temporaries with NaN."""
        self.memory.fill(0xFF)
