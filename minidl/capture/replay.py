"""A replay as one function: its source is written for one program, and compiled by Python once.

It checks the arguments and the guards, copies the inputs, brings the optimizers' numbers up to date, makes the calls of kernels
and gives the results out. Loops over inputs, guards and parameters take half as long again as the same lines written out. For a
small network that matters: its kernels take 3 µs. For a step of one tensor, in short:

    def replay(me, plan, args):
        (x0,) = args
        with me.lock:
            if not (type(x0) is Tensor and (a0 := x0.array).shape == (32, 2) and v1.array is v2 and …):
                return ORDINARY
            v9[...] = a0         # the step's own input
            v10()                # all kernels
            v11.grad = v12       # of a parameter
            result.array = v13.copy()
            return result
"""

from functools import lru_cache

import numpy as np

from ..graph import writes
from ..graph.modes import mode
from ..graph.nodes import calls, next_serial
from ..kernels import threads
from ..nn.module import changes
from ..tensors import dtypes
from ..tensors.tensor import Tensor
from .comparing import same
from .guards import identical
from .numbers import Changed, Options
from .plans import ORDINARY
from .program import Otherwise

MOST = 100  # lines of one kind that are written out: to compile as many takes 3 ms
_KNOWN = {
    **{"mode": mode, "calls": calls, "threads": threads, "changes": changes, "dtypes": dtypes, "same": same},
    "identical": identical,
    **{"ORDINARY": ORDINARY, "Otherwise": Otherwise, "Changed": Changed, "Tensor": Tensor, "new": object.__new__},
    **{"writes": writes._writes, "next_serial": next_serial},
}


class Values:
    """The objects that a source speaks of, and their names in it."""

    def __init__(self):
        self.values = []

    def __call__(self, value):
        self.values.append(value)
        return f"v{len(self.values) - 1}"


def replay_of(plan, places):
    """A function (remembered, plan, args) → the result of a replay, or ORDINARY.

    places: of each argument the number of the static that it is copied to; a tensor that is given twice has one. remembered:
    the Remembered whose `last` the plan is. args: of the call, a tuple; there are no named ones.
    """
    name, inputs = Values(), range(len(places))
    conditions = [f"me.last is plan and plan.program is {name(plan.program)} and not me.busy", *_of_inputs(plan, places, name)]
    found = conditions_of(plan.guards, name)
    conditions += ["plan.guards.broken() is None"] if found is None else found
    lines = [f"{name(static)}[...] = a{i}" for i, static in enumerate(plan.statics)]  # in half the time of copyto
    lines += ["plan.number = number", "try:", *_indented(_of_program(plan, name)), *_indented(_of_answer(plan, name))]
    source = [
        f"if len(args) != {len(inputs)}: return ORDINARY",
        *([f"{', '.join(f'x{i}' for i in inputs)}, = args"] if inputs else []),
        "with me.lock:",
        " try:",
        "  if not (" + "\n    and ".join(conditions) + "): return ORDINARY",
        " except (ValueError, RuntimeError, TypeError): return ORDINARY",  # a variable is gone, or two tensors were compared
        " number = plan.number + 1",
        " if not number & plan.number: return ORDINARY",  # call 8, 16, 32, …
        *_indented(lines),
        " except (Otherwise, Changed):",
        "  plan.number -= 1",
        "  return ORDINARY",
    ]
    space = dict(_KNOWN)
    exec(_code("\n".join(_indented(source, 2)), len(name.values)), space)
    return space["make"](*name.values)


@lru_cache(maxsize=64)
def _code(body, count):
    names = ", ".join(f"v{i}" for i in range(count))
    return compile(f"def make({names}):\n def replay(me, plan, args):\n{body}\n return replay", "<replay of a step>", "exec")


def _indented(lines, by=1):
    return [" " * by + line for line in lines]


def _of_inputs(plan, places, name):
    """That the arguments are tensors of the same shapes and dtypes, the same of them are one, and none shares memory with what
    the step changes before it reads it."""
    first = [places.index(j) for j in range(len(plan.statics))]
    for i, j in enumerate(places):
        if i != first[j]:
            yield f"x{i} is x{first[j]}"
    for j, static in enumerate(plan.statics):
        yield f"type(x{first[j]}) is Tensor and x{first[j]}.node is None"
        yield f"(a{j} := x{first[j]}.array).shape == {static.shape} and a{j}.dtype is {name(static.dtype)}"
    if len(first) == 2:
        yield f"x{first[0]} is not x{first[1]}"
    elif len(first) > 2:
        yield f"len({{*map(id, args)}}) == {len(first)}"
    if plan.program.late:
        yield f"not plan.program.shares([{', '.join(f'a{j}' for j in range(len(first)))}])"


def conditions_of(guards, name):
    """Conditions that hold as long as guards.broken() gives None, or None if that takes more than expressions.

    Where they do not hold, all may be well, too. name(value): how the value is called in them.
    """
    if guards.containers or guards.forms or guards.settled:
        return None
    if len(guards.tensors) + len(guards.grads) + len(guards.states) + len(guards.cells) + len(guards.entries) > MOST:
        return None
    counts = name(guards.counts)
    conditions = [
        f"{counts}[0] == changes.number and {counts}[1] == calls.hooks",
        f"mode.recording is {name(guards.mode)} and dtypes.default is {name(guards.dtype)}",
        f"threads._number == {name(guards.number)} and threads._forked is {name(guards.forked)}",
    ]
    for x, array, node in guards.tensors:
        conditions.append(f"{(x := name(x))}.array is {name(array)} and {x}.node is {name(node)}")
    for node, array in guards.grads:
        now = f"{name(node)}.grad"
        other = "" if array is None or array is True else f" and {now}.array is {name(array)}"
        conditions.append(f"{now} is None" if array is None else f"{now} is not None{other}")
    for own, size, state, groups, number, _ in guards.optimizers:
        own, groups = name(own), name(groups)
        conditions.append(f"len({own}) == {size} and {own}['state'] is {name(state)} and {own}['param_groups'] is {groups}")
        conditions.append(f"len({groups}) == {number}")
    for groups, i, group, params, before, single in guards.groups:
        group, params, before = name(group), name(params), name(before)
        conditions.append(f"{name(groups)}[{i}] is {group} and {group}['params'] is {params}")
        conditions.append(f"identical({params}, {before}, {single})" if single else f"{params} == {before}")
    for state, p, d, entries in guards.states:
        conditions.append(f"{name(state)}.get({name(p)}) is {(d := name(d))}")
        for key, x, array in entries:
            conditions.append(f"{d}.get({name(key)}) is {(x := name(x))} and {x}.array is {name(array)}")
    for cell, value, _ in guards.cells:
        conditions.append(f"((now := {name(cell)}.cell_contents) is {(value := name(value))} or same(now, {value}))")
    for function, code in guards.codes:
        conditions.append(f"{name(function)}.__code__ is {name(code)}")
    for get, key, value, _ in guards.entries:
        conditions.append(f"((now := {name(get)}({name(key)})) is {(value := name(value))} or same(now, {value}))")
    return conditions


def _of_program(plan, name):
    """Brings the optimizers' numbers up to date, makes the calls of kernels, leaves what they leave; as Program.run does."""
    program = plan.program
    if program.only is None:
        return ["plan.program.run()"]
    lines = [line for step in program.steps for line in _of_options(step, name)]
    lines += [f"stopped = {name(program.only.at_once)}()", "if stopped >= 0: plan.program.stopped_at(stopped)"]
    if program.places or len(program.final) + len(program.writes) > MOST:
        return [*lines, "plan.program.leave()"]
    lines += [f"{name(node)}.grad = {name(grad)}" for node, grad in program.final]
    return [*lines, "writes.newest = now = next_serial()", *(f"{name(entry)}[1] = now" for entry in program.writes)]


def _of_options(step, name):
    """Brings an optimizer's numbers up to date, as its update() does."""
    this, conditions = name(step), []
    for group, old in step.options:
        g, o = name(group), name(old)
        conditions += [f"{g}[{key!r}] is {o}[{key!r}]" for key in old]
    if len(conditions) > MOST or not all(old for _, old in step.options):
        return [f"{this}.update()"]
    lines = [
        f"try: as_before = {' and '.join(conditions)}",
        "except KeyError: as_before = False",
        f"if not as_before: {this}.look()",
    ]
    return lines if type(step) is Options else [*lines, f"{this}.count()"]


def _of_answer(plan, name):
    program = plan.program
    if type(plan.shape) is not Tensor or program.copy is not np.ndarray.copy:
        return ["return plan.answer()"]
    return ["result = new(Tensor)", f"result.array = {name(program.results[0])}.copy()", "return result"]
