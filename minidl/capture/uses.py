"""Which memory the events of a step use and change, and when. They are counted from 0."""

import numpy as np

from ..graph.writes import owner_of
from ..kernels.alarms import ALARM
from ..kernels.comparisons import STOPPING
from .events import Backward, Copy, Effect, Forward, Function, Grad, Step, Sum, owners_in

_ALARM, _STOPPING = id(ALARM), frozenset(map(id, (ALARM, *STOPPING)))


class Uses:
    """lives: {id of owner: [owner, first event that uses it, last one]} of all temporaries; those that become a gradient live
    to the end. changed: {id: (the first event that changes it, array)} of what was there before. refused: the last event whose
    kernels may refuse a value, so that Python is asked for the error; -1 if none may.

    lowered: {id of an event: calls of kernels that do it}.
    """

    def __init__(self, events, matching, lowered):
        self.lives, self.changed, self._temporary = {}, {}, matching.temporary
        self._end = self._first = len(events)  # `_first`: the first event that changes memory without calls of kernels
        self.refused = -1
        self._written = {}  # id of owner -> the first event that writes it, or gives it as a result
        for i, event in enumerate(events):
            if type(event) is Grad:
                if event.array is not None:
                    self._use([id(owner_of(event.array))], self._end)
                continue
            native, kernels = id(event) in matching.native, [id(call.kernel) for call in event.calls]
            if native and (_ALARM in kernels or (type(event) is Forward and event.op.alarm)):
                self.refused = i
            if native and self.refused < i and _STOPPING.isdisjoint(kernels):
                self._use([id(owner) for call in event.calls for _, _, owner in call.arrays()], i)
            else:
                self._use(event.used(), i)
                self._use([id(owner) for call in lowered.get(id(event), ()) for _, _, owner in call.arrays()], i)
            if type(event) is Backward and (not native or _ALARM in kernels):
                self._use({**event.kept(), **event.forward.used()}, i)
            self._note_changes(event, i, native, matching.constant)

    def _use(self, owners, i):
        lives, temporary = self.lives, self._temporary
        for key in owners:
            if key in lives:
                lives[key][2] = i
            elif key in temporary:
                lives[key] = [temporary[key], i, i]

    def _note_changes(self, event, i, native, constant):
        if type(event) in (Step, Effect):
            self._first = min(self._first, i)
        changed = event.written()
        results = () if type(event) is Backward else event.outputs if type(event) is Forward else event.gives()
        for key in changed:
            self._written.setdefault(key, i)
        for x in results:
            self._written.setdefault(id(x if x.base is None else owner_of(x)), i)
        changed = changed if native else {}
        if type(event) in (Sum, Copy, Function, Effect):
            x = event.copy if type(event) is Copy else event.result
            changed = {**changed, **owners_in(x)} if isinstance(x, np.ndarray) else changed
        for key, x in changed.items():
            if key in constant and x.size:
                self.changed.setdefault(key, (i, x))

    def to_the_end(self, arrays):
        """The step leaves these behind."""
        self._use(owners_in(arrays), self._end)

    def from_the_start(self, arrays):
        """They are there before the step."""
        for x in arrays:
            self.lives[id(owner_of(x))][1] = 0

    def first_change(self, changes):
        """The first event that changes something of what a replay changes, by the ids of owners; how many there are if none."""
        return min([self._first, *[self._written[key] for key in changes & self._written.keys()]])

    def changed_before(self, i):
        """The arrays that were there before, and that events before number i change."""
        return [x for first, x in self.changed.values() if first < i]


def read_after(first, events, results, statics):
    """The places of the inputs that are read after event number `first`: they must not share memory with what it changes."""
    later = events[first + 1 :]
    owners = owners_in(results) if first < len(events) else {}
    for event in later:
        owners.update({**event.used(), **event.given()})
    return [i for i, x in enumerate(statics) if id(owner_of(x)) in owners]


def stops(call):
    """Whether a table stops at a kernel that has met a value that it can't take."""
    return id(call.kernel) in _STOPPING
