"""The numbers that an optimizer gives to its kernels: they follow its options, and Adam's change at every step."""

import math
import threading

from ..graph.writes import owner_of
from ..kernels.arithmetic import COUNT
from ..optim import SGD
from .events import Call


def numbers_of(step, table, first, assign):
    """An object whose `update()` brings the numbers up to date in a table, where the optimizer's calls begin at `first`.

    assign: sets the gradients, without which an optimizer calls no kernel.
    """
    return (_Options if type(step.optimizer) is SGD else _Moments)(step, table, first, assign)


def with_counts(step):
    """The calls of an optimizer that has stepped, and after them those that count its steps, which eager leaves to NumPy."""
    calls = list(step.calls)
    if type(step.optimizer) is not SGD:
        for number, _ in _counted(step):
            calls.append(Call(COUNT, number.dtype, COUNT[number.dtype], (number,)))
    return calls


def _counted(step):
    """(the array that counts its steps, its group) of the parameter that each call changes."""
    optimizer = step.optimizer
    owners = {id(owner_of(p.array)): (p, group) for group in optimizer.param_groups for p in group["params"]}
    for call in step.calls:
        p, group = next(owners[id(owner_of(x))] for x, _ in call.arrays() if id(owner_of(x)) in owners)
        yield optimizer.state[p]["step"].array, group


class _Options:
    """Numbers that depend on the options only."""

    def __init__(self, step, table, first, assign):
        self.optimizer = step.optimizer
        self.step, self.table, self.first, self.assign = step, table, first, assign
        self.options = [
            (group, ("params",), (None,)) for group in self.optimizer.param_groups
        ]  # so that they are read at first

    def update(self):
        for group, keys, values in self.options:
            for key, value in zip(keys, values):  # noqa: B905 (strict=True would cost a tenth of it)
                if group[key] is not value:
                    self.read()
                    return

    def read(self):
        for group in self.step.optimizer.param_groups:
            self.step.optimizer.check_options(group)
        self.assign()
        found = dry_step(self.step)
        if len(found) != len(self.step.calls):
            raise RuntimeError(
                f"{type(self.step.optimizer).__name__}: other kernels are called now than when it was remembered"
            )
        for i, args in enumerate(found):
            self.table.set_numbers(self.first + i, args)
        self.options = [(group, tuple(group), tuple(group.values())) for group in self.optimizer.param_groups]


class _Moments(_Options):
    """Adam's: the last but one and the one before it change with the number of steps."""

    def __init__(self, step, table, first, assign):
        super().__init__(step, table, first, assign)
        self.places = [(*found, table.place(first + i, -3, 2)) for i, found in enumerate(_counted(step))]

    def update(self):
        super().update()
        last = None, None
        for number, group, place in self.places:
            now = number.item() + 1
            if last != (now, group):
                beta1, beta2 = group["betas"]
                rate, root = float(group["lr"]) / (1 - float(beta1) ** now), math.sqrt(1 - float(beta2) ** now)
                last = now, group
            place(rate, root)


def dry_step(step):
    """The arguments with which an optimizer would call its kernels now; nothing is changed."""
    found, thread = [], threading.get_ident()

    def noting(code):
        def note(*args):
            if threading.get_ident() != thread:
                return code(*args)
            found.append(getattr(code, "args", ()) + args)  # a partial's
            return True

        return note

    tables = {id(call.kernel): (call.kernel, call.dtype) for call in step.calls}
    before = [(kernel, dtype, kernel[dtype]) for kernel, dtype in tables.values()]
    counts = [] if type(step.optimizer) is SGD else [(x, x.copy()) for x, _ in _counted(step)]
    try:
        for kernel, dtype, code in before:
            dict.__setitem__(kernel, dtype, noting(code))
        for group in step.optimizer.param_groups:
            step.optimizer.update(group)
    finally:
        for kernel, dtype, code in before:
            dict.__setitem__(kernel, dtype, code)
        for number, old in counts:
            number[...] = old
    return found
