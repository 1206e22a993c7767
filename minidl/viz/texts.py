"""What the page quotes: formulas, the source of forward, backward and kernels, and the user's lines. Each is stored once."""

import inspect
import re
import textwrap
from pathlib import Path

from .. import kernels
from ..autograd.function import Function
from .frames import PACKAGE, around


class Texts:
    """Formulas and sources of operations, by name; the user's lines in their context, by number."""

    def __init__(self):
        self.rules, self.lines, self._numbers = {}, [], {}

    def rule(self, op):
        """The key of an operation's text in `rules`."""
        function = getattr(op, "function", None)
        of = function if isinstance(function, type) and issubclass(function, Function) else type(op)
        key = of.__name__
        if key not in self.rules:
            doc = inspect.cleandoc(vars(of).get("__doc__") or getattr(of, "__doc__", None) or "")
            sources = [source(getattr(of, name, None), name) for name in ("forward", "backward")]
            called = re.findall(r"\bkernels\.(\w+)", "".join(s["text"] for s in sources if s))
            loops = {f.__name__: f for name in dict.fromkeys(called) for f in readable(name)}
            loops = [source(f, f"kernel {name}") for name, f in loops.items()]
            self.rules[key] = {"doc": doc, "source": [s for s in (*sources, *loops) if s]}
        return key

    def line(self, place):
        """The number of a line, (file, line), in `lines`; None for None."""
        if place is None:
            return None
        if place not in self._numbers:
            self._numbers[place] = len(self.lines)
            path = Path(place[0])
            name = "notebook cell" if path.parent.name.startswith("ipykernel_") else path.name  # else a hash of its text
            self.lines.append({"file": name, "line": place[1], "text": around(*place)})
        return self._numbers[place]


def source(function, name):
    """{name, where, text} of a function; None if its source is not to be had."""
    try:
        lines, start = inspect.getsourcelines(inspect.unwrap(function))
        path = Path(inspect.getsourcefile(inspect.unwrap(function)))
    except (OSError, TypeError):
        return None
    home = Path(PACKAGE).parent
    path = path.relative_to(home).as_posix() if path.is_relative_to(home) else path.name
    return {"name": name, "where": f"{path}:{start}", "text": textwrap.dedent("".join(lines)).rstrip()}


def readable(name):
    """The function that an operation calls in `kernels`, and the compiled loops that it names: those a person can read."""
    front = getattr(kernels, name, None)
    if not inspect.isfunction(front):
        return [front] if hasattr(front, "__wrapped__") else []
    text, space, found = inspect.getsource(front), front.__globals__, []
    for word in dict.fromkeys(re.findall(r"\b_?[a-z]\w+", text)):
        value = space.get(word)
        if isinstance(value, dict):
            value = next((v for v in value.values() if hasattr(v, "__wrapped__")), None)
        if hasattr(value, "__wrapped__") and inspect.isfunction(value.__wrapped__):
            found.append(value)
    return [front, *found[:3]]
