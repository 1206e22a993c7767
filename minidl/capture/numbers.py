"""The numbers that an optimizer gives to its kernels: they follow its options, and Adam's change at every step."""

import math
import threading

from ..kernels.arithmetic import COUNT
from ..optim import SGD
from .events import Call


def numbers_of(step, table, first):
    """An object whose `update()` brings the numbers up to date in a table, where the optimizer's calls begin at `first`."""
    return (_Options if type(step.optimizer) is SGD else _Moments)(step, table, first)


def with_counts(step):
    """The calls of an optimizer that has stepped, and after them those that count its steps, which eager leaves to NumPy."""
    calls = list(step.calls)
    if type(step.optimizer) is not SGD:
        for p in _parameters(step.optimizer):
            number = step.optimizer.state[p]["step"].array
            calls.append(Call(COUNT, number.dtype, COUNT[number.dtype], (number,)))
    return calls


def _parameters(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"] if p in optimizer.state]


class _Options:
    """Numbers that depend on the options only."""

    def __init__(self, step, table, first):
        self.step, self.table, self.first, self.options = step, table, first, None

    def update(self):
        options = []
        for group in self.step.optimizer.param_groups:
            options += group.values()
        old = self.options
        if old is None or len(options) != len(old) or not all(map(_is, options, old)):
            self.read()
            self.options = options

    def read(self):
        for group in self.step.optimizer.param_groups:
            self.step.optimizer.check_options(group)
        found = dry_step(self.step)
        if len(found) != len(self.step.calls):
            raise RuntimeError(f"{type(self.step.optimizer).__name__}: other kernels are called now than when it was remembered")
        for i, args in enumerate(found):
            self.table.set_numbers(self.first + i, args)


class _Moments(_Options):
    """Adam's: the last but one and the one before it change with the number of steps."""

    def __init__(self, step, table, first):
        super().__init__(step, table, first)
        self.groups = []
        at = first
        for group in step.optimizer.param_groups:
            places = []
            for p in group["params"]:
                if p in step.optimizer.state and p.grad is not None:
                    places.append((step.optimizer.state[p]["step"].array, table.place(at, -3, 2)))
                    at += 1
            self.groups.append((group, places))

    def update(self):
        super().update()
        for group, places in self.groups:
            last = None
            for number, place in places:
                now = number.item() + 1
                if now != last:
                    beta1, beta2 = group["betas"]
                    rate, root = float(group["lr"]) / (1 - float(beta1) ** now), math.sqrt(1 - float(beta2) ** now)
                    last = now
                place(rate, root)


def _is(a, b):
    return a is b


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
    counts = [(x, x.copy()) for p in _parameters(step.optimizer) if "step" in (s := step.optimizer.state[p]) for x in [s["step"].array]]
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
