"""What a replay changes, kept and compared: for making a step both ways from the same beginning."""

import numpy as np

from ..tensors.tensor import Tensor
from .arguments import held, parts, put_in
from .comparing import same


class State:
    """A copy of everything that a replay changes: arrays that were there before, optimizers' state, random streams."""

    def __init__(self, program):
        self.arrays = [(x, x.copy()) for x in state_arrays(program)]
        grads = [(node, node.grad) for node in program.nodes]
        self.grads = [(node, grad, None if grad is None else grad.array.copy()) for node, grad in grads]
        self.streams = [(g, g.get_state()) for g in program.generators]
        self.kept = [(o.state, {p: dict(values) for p, values in o.state.items()}) for o in program.optimizers]
        self.own = [(vars(o), dict(vars(o))) for o in program.optimizers]  # such as a counter of one's own
        self.places = [(get, put, get()) for get, put, *_ in program.places]
        self.left = [_parts(value) for *_, value in self.places]
        self.held = [held(value) for *_, value in self.places]

    def restore(self):
        for state, kept in self.kept:  # an option that has changed may have begun another tensor
            for p in list(state):
                state[p].clear()
                state[p].update(kept.get(p, {}))
        for now, own in self.own:
            now.update(own)
        for (_, put, value), found in zip(self.places, self.held, strict=True):
            put_in(found)
            put(value)
        for x, old in self.arrays:
            np.copyto(x, old)
        for node, grad, old in self.grads:
            node.grad = grad
            if grad is not None:
                np.copyto(grad.array, old)
        for generator, state in self.streams:
            generator.set_state(state)

    def equal(self):
        streams = [(g.get_state().array, state.array) for g, state in self.streams]
        left = [_parts(get()) for get, *_ in self.places]
        return all(same_bits(*pair) for pair in (*self.arrays, *streams)) and all(map(_alike, left, self.left))


def _parts(value):
    return [x.array.copy() if isinstance(x, Tensor) else x for x in parts(value)]


def _alike(a, b):
    pairs = list(zip(a, b, strict=False))
    arrays = all(isinstance(x, np.ndarray) == isinstance(y, np.ndarray) for x, y in pairs)
    return len(a) == len(b) and arrays and all(same_bits(x, y) if isinstance(x, np.ndarray) else same(x, y) for x, y in pairs)


class Before:
    """These arrays, gradients, and where random streams stand: `restore` brings them back."""

    def __init__(self, arrays, nodes, generators):
        self.arrays, self.marks = [(x, x.copy()) for x in arrays], [(g, g.mark()) for g in generators]
        self.grads = [(node, node.grad) for node in nodes]

    def restore(self):
        for x, old in self.arrays:
            np.copyto(x, old)
        for node, grad in self.grads:
            node.grad = grad
        for generator, mark in self.marks:
            generator.go_back(mark)


def state_arrays(program):
    """What was there before the step, and is changed by it."""
    found = {id(x): x for x in program.state}
    for optimizer in program.optimizers:
        for p in [p for group in optimizer.param_groups for p in group["params"]]:
            for x in (p, *optimizer.state.get(p, {}).values()):
                if isinstance(x, Tensor):
                    found[id(x.array)] = x.array
    return list(found.values())


def grads_of(program):
    return [None if node.grad is None else node.grad.array.copy() for node in program.nodes]


def equal(a, b):
    """Whether two lists have the same arrays bit for bit, or None in the same places."""
    return len(a) == len(b) and all(
        x is y or (x is not None and y is not None and same_bits(x, y)) for x, y in zip(a, b, strict=True)
    )


def same_bits(x, y):
    """But for the sign of NaN, which means nothing: it depends on the order in which a processor is given two of them."""
    if x.tobytes() == y.tobytes():
        return True
    if x.dtype != y.dtype or x.shape != y.shape or x.dtype.kind != "f":
        return False
    nan = np.isnan(x)
    return (nan == np.isnan(y)).all() and np.where(nan, 0, x).tobytes() == np.where(nan, 0, y).tobytes()
