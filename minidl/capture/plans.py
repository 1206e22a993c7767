"""What is remembered for one combination of shapes: a program, its guards, and others that were put aside."""

from ..tensors.tensor import Tensor
from .arguments import filled
from .guards import LEFT

_new = object.__new__
TRIES = 2  # recordings that may differ from the one before, as what is around the step may have changed between them
ENOUGH = 32  # calls after which it does not matter that a step is recorded anew
ASIDE = 2  # programs of one plan that are put aside
ORDINARY = object()  # what a replay gives where the call can't be replayed the short way
_ASIDE = "number", "misses", "left", "left_at", "statics", "program", "guards", "shape", "first", "replay"


def no_replay(remembered, plan, args):
    """That of a plan for which none is written yet, see replay.py."""
    return ORDINARY


class Plan:
    """What is remembered for one combination of shapes."""

    def __init__(self, given):
        self.given = given  # what its key says of the arguments
        self.number = self.begun = self.misses = self.left = self.left_at = 0
        self.tries = TRIES
        self.replay = no_replay
        self.statics = self.first = self.program = self.guards = self.shape = self.changed = None
        self.turns, self.doubt = 0, False  # how often a program was taken up again; whether the next call is to be compared
        self.others = []  # what it was before, and may be again, such as the one in training and the one in evaluation

    def begin_again(self, changed):
        often = self.number < ENOUGH
        self.number, self.begun, self.first, self.program, self.changed = 1, self.begun + 1 if often else 0, None, None, changed
        self.doubt, self.replay = False, no_replay
        self.misses, self.tries = 0, TRIES

    def put_aside(self):
        """Keeps the program, as long as it is not too many: what has changed may be as it was again."""
        if self.guards.lasting:
            self.others = [*self.others[1 - ASIDE :], {name: getattr(self, name) for name in _ASIDE}]

    def turn_back(self, changed):
        """Goes on with a program that was put aside, if all is as it was then; or with a recording that was interrupted.

        What has changed; None if nothing has.
        """
        for i, other in enumerate(self.others):
            if other["program"] is not None and ((found := other["guards"].broken()) is None or found is LEFT):
                self._change_places(i)
                self.turns += 1
                self.doubt = not self.turns & (self.turns - 1)
                return found
        begun = [i for i, other in enumerate(self.others) if other["program"] is None]
        if self.program is not None and begun:
            self._change_places(begun[0])
        return changed

    def _change_places(self, i):
        other, self.others[i] = self.others[i], {name: getattr(self, name) for name in _ASIDE}
        vars(self).update(other)

    def answer(self):
        """Copies of the results of a replay, in the form of the step's result."""
        program = self.program
        if type(self.shape) is Tensor:
            result = _new(Tensor)
            result.array = program.copy(program.results[0])
            return result
        return filled(self.shape, map(program.copy, program.results))
