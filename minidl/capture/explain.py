"""What was remembered of a step, as a table."""

from collections import Counter


def explained(name, plan):
    """The text for one combination of shapes."""
    program = plan.program
    if program is None:
        return f"{name}: called {plan.number} times; a program is there after call 4" + (
            f"\n(it began again, because {plan.changed})" if plan.changed else ""
        )
    calls = sum(len(table.calls) for table in program.tables)
    python = sum(how == "Python" for _, _, how, _ in program.rows)
    lines = [
        f"{name}: inputs {', '.join(f'{x.dtype} {x.shape}' for x in program.statics) or 'none'}",
        f"  {len(program.rows)} events in {calls} calls of kernels, made by {len(program.tables)} native "
        f"table{'s' if len(program.tables) != 1 else ''}, and {python} calls of Python",
        f"  memory {program.plan.size:,} bytes, planned by lifetime; one buffer for each array would take "
        f"{program.plan.separate:,}",
        "",
        f"  {'times':>5}  {'what':<28} {'how':<8} {'kernels, or why Python':<50}",
    ]
    counted = Counter(program.rows)
    lines += [f"  {n:>5}  {what:<28} {how:<8} {_text(detail)}" for (_, what, how, detail), n in counted.items()]
    return "\n".join(lines)


def _text(detail):
    """The names of kernels, without what tells their cache files apart; or what is said instead."""
    return detail if type(detail) is str else ", ".join(kernel.__qualname__.rpartition(".")[2] for kernel in detail)
