"""The numbers that an optimizer gives to its kernels: they follow its options, and those of some change at every step."""

import math
import threading
from operator import is_

from ..graph.writes import owner_of
from ..kernels.arithmetic import COUNT
from ..kernels.update_rules import RULES
from ..optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, RAdam, RMSprop, Rprop, Yogi
from ..tensors.tensor import Tensor
from .events import Call

COUNTED = {Adam, AdamW, Adagrad, Adamax, RAdam, RMSprop, Adadelta, Lion, Rprop, Yogi}  # the optimizers that count their steps
_STEADY = {RMSprop, Adadelta, Lion, Rprop}  # but whose numbers depend on the options only


class Changed(Exception):
    """What has changed, so that a program no longer holds."""


def numbers_of(optimizer, calls, table, first, assign):
    """An object whose `update()` brings the numbers up to date in a table, where the optimizer's calls begin at `first`.

    assign: sets the gradients, without which an optimizer calls no kernel, and gives a function that takes them back.
    """
    kind = Options if type(optimizer) is SGD else _Moments if isinstance(optimizer, Adam) else _Rule
    return kind(optimizer, calls, table, first, assign)


def with_counts(optimizer, calls):
    """The calls of an optimizer that has stepped, and after them those that count its steps, which eager leaves to NumPy."""
    if type(optimizer) is SGD:
        return calls
    numbers = [number for number, *_ in _counted(optimizer, calls)]
    return [*calls, *(Call(COUNT, number.dtype, COUNT[number.dtype], (number,)) for number in numbers)]


def _counted(optimizer, calls):
    """(the array that counts its steps, its group, its state) of the parameter that each call changes."""
    owners = {id(owner_of(p.array)): (p, group) for group in optimizer.param_groups for p in group["params"]}
    for call in calls:
        p, group = next(owners[id(owner)] for _, _, owner in call.arrays() if id(owner) in owners)
        yield optimizer.state[p]["step"].array, group, optimizer.state[p]


class Options:
    """Numbers that depend on the options only.

    options: [(group, what it was when it was read; nothing if it is to be read each time)].
    """

    def __init__(self, optimizer, calls, table, first, assign):
        self.optimizer, self.calls, self.table, self.first, self.assign = optimizer, calls, table, first, assign
        self.flags, self.options = self._flags(), [(group, {}) for group in optimizer.param_groups]

    def update(self):
        self.look()
        self.count()

    def look(self):
        """Reads the options if they are others than before."""
        if any(
            group.keys() != old.keys() or not all(map(is_, map(group.get, old), old.values())) for group, old in self.options
        ):
            self.read()

    def count(self):
        """Brings those numbers up to date that change at every step."""

    def _flags(self):
        """The options that say which kernels are called, and how; they are no numbers that a table can be given."""
        return [
            [bool(group.get(name)) for name in ("momentum", "nesterov", "amsgrad", "centered")]
            for group in self.optimizer.param_groups
        ]

    def read(self):
        for group in self.optimizer.param_groups:
            self.optimizer.check_options(group)
        if self._flags() != self.flags:
            raise Changed(
                f"{type(self.optimizer).__name__} makes another step: momentum, nesterov, amsgrad or centered changed"
            )
        take_back = self.assign()
        try:
            found = dry_step(self.optimizer, self.calls)
        finally:
            take_back()
        if len(found) != len(self.calls):
            raise Changed(f"{type(self.optimizer).__name__} calls other kernels")
        for i, args in enumerate(found):
            self.table.set_numbers(self.first + i, args)
        for group, old in self.options:
            old.clear()
            if not any(
                isinstance(x, (Tensor, list)) for key, x in group.items() if key[:5] != "param"
            ):  # it may change in place
                old.update(group)


class _Moments(Options):
    """Adam's: the last but one and the one before it change with the number of steps."""

    at = -3, 2

    def __init__(self, optimizer, calls, table, first, assign):
        super().__init__(optimizer, calls, table, first, assign)
        self.places = [(*found, 1, table.place(first + i, *self.at)) for i, found in enumerate(_counted(optimizer, calls))]

    def count(self):
        last = None, None
        for number, group, _, more, place in self.places:
            now = number.item() + more
            if now != last[0] or group is not last[1]:  # `==` of two groups would compare their parameters
                beta1, beta2 = group["betas"]
                rate, root = float(group["lr"]) / (1 - float(beta1) ** now), math.sqrt(1 - float(beta2) ** now)
                last = now, group
            place(rate, root)


class _Rule(_Moments):
    """Those of the optimizers whose step is a rule for each number: all of them may change with the number of steps."""

    def __init__(self, optimizer, calls, table, first, assign):
        self.names = "sign", "decay", "shrink", *RULES[optimizer._rule][2]  # in the kernel's order
        self.at = 0, len(self.names)
        super().__init__(optimizer, calls, table, first, assign)

    def count(self):
        if self.changing:
            for number, group, state, more, place in self.places:
                _, found = self.optimizer.numbers(group, state, number.item() + more)
                found = {"sign": -1.0 if group["maximize"] else 1.0, "decay": 0.0, "shrink": 1.0, **found}
                place(*[float(found[name]) for name in self.names])

    def read(self):
        super().read()
        groups = self.optimizer.param_groups
        constant = type(self.optimizer) is Adagrad and not any(group["lr_decay"] for group in groups)
        self.changing = type(self.optimizer) not in _STEADY and not constant


def in_turn(steps):
    """Where an optimizer steps several times, the later ones find numbers that the earlier ones have counted."""
    counted = {}
    for step in steps:
        if isinstance(step, _Moments):
            step.places = [(x, *of, 1 + counted.get(id(x), 0), place) for x, *of, _, place in step.places]
            for x, *_ in step.places:
                counted[id(x)] = counted.get(id(x), 0) + 1


def dry_step(optimizer, calls):
    """The arguments with which an optimizer would call its kernels now; nothing is changed."""
    found, thread = [], threading.get_ident()

    def noting(code):
        def note(*args):
            if threading.get_ident() != thread:
                return code(*args)
            found.append(getattr(code, "args", ()) + args)  # a partial's
            return None

        return note

    tables = {id(call.kernel): (call.kernel, call.dtype) for call in calls}
    before = [(kernel, dtype, kernel[dtype]) for kernel, dtype in tables.values()]
    counts = [] if type(optimizer) is SGD else [(x, x.copy()) for x, *_ in _counted(optimizer, calls)]

    def put_back():
        for kernel, dtype, code in before:
            dict.__setitem__(kernel, dtype, code)
        for number, old in counts:
            number[...] = old

    try:
        try:
            for kernel, dtype, code in before:
                dict.__setitem__(kernel, dtype, noting(code))
            for group in optimizer.param_groups:
                optimizer.update(group)
        finally:
            put_back()
    finally:
        put_back()  # once more, if Ctrl-C came meanwhile
    return found
