"""The guards of a small step as one expression, which Python evaluates in two thirds of the time that loops over them take."""

from functools import lru_cache

from ..graph.modes import mode
from ..graph.nodes import calls
from ..kernels import threads
from ..nn.module import changes
from ..tensors import dtypes
from .surroundings import same

MOST = 100  # conditions: to compile as many takes 3 ms
_KNOWN = {"mode": mode, "calls": calls, "threads": threads, "changes": changes, "dtypes": dtypes, "same": same}


def expression_of(guards, identical):
    """A function that says whether all is as it was, or None if that takes more than an expression.

    Where it says True, guards.broken() gives None. Where it does not, all may be well, too. identical(tensors, before, single):
    whether two lists hold the same tensors.
    """
    if guards.containers or guards.forms or guards.settled:
        return None
    if len(guards.tensors) + len(guards.grads) + len(guards.states) + len(guards.cells) + len(guards.entries) > MOST:
        return None
    values = [guards.counts, identical]

    def name(value):
        values.append(value)
        return f"v{len(values) - 1}"

    conditions = [
        "v0[0] == changes.number and v0[1] == calls.hooks",
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
        conditions.append(f"v1({params}, {before}, {single})" if single else f"{params} == {before}")
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
    space = dict(_KNOWN)
    exec(_code(" and\n".join(conditions), len(values)), space)
    return space["make"](*values)


@lru_cache(maxsize=64)
def _code(condition, count):
    names = ", ".join(f"v{i}" for i in range(count))
    lines = [
        *(f"def make({names}):", " def holds():", "  try:", f"   return ({condition})"),
        "  except (ValueError, RuntimeError, TypeError):",  # a variable is gone, or two tensors were compared
        *("   return False", " return holds"),
    ]
    return compile("\n".join(lines), "<guards of a remembered step>", "exec")
