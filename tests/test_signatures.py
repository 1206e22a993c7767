"""What layers, functions and networks take, and what they do by default: signatures.txt, written down once.

A default is part of what is promised: PyTorch's in minidl.nn, the papers' in minidl.models. A layer with another one computes
something else for everybody who leaves the argument out, and a test that gives the argument does not see it.
"""

import inspect
import re
from pathlib import Path

import pytest

import minidl
from minidl import models, nn
from minidl.nn import activation, functional, init, piecewise, utils

MODULES = nn, functional, init, utils, utils.norms, utils.parametrizations, utils.parametrize, utils.rnn, models
SPACES = {space.__name__: space for space in MODULES}


def written():
    spaces = {}
    for line in (Path(__file__).parent / "signatures.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            lines = spaces.setdefault(line[2:], [])
        elif line:
            lines.append(line)
    return spaces


def public(space):
    own = [name for name, x in vars(space).items() if getattr(x, "__module__", None) == space.__name__]
    return sorted(getattr(space, "__all__", None) or [name for name in own if not name.startswith("_")])


def text(name, function):
    """As it is written, with the names of functions and classes for themselves."""
    signature = inspect.signature(function)  # without types, which say nothing of what is computed
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    words = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return name + re.sub(r"<function (\w+) at 0x\w+>|<class '[\w.]*?(\w+)'>", lambda found: found[1] or found[2], words)


def signatures(space, name):
    """Its own, and those of the methods of a class that do something by default."""
    x = getattr(space, name)
    if not callable(x):
        return
    yield text(name, x)
    base = next((base for base in (minidl.Tensor, nn.Module) if inspect.isclass(x) and issubclass(x, base)), None)
    for method in dir(x) if base else ():
        function = getattr(x, method)
        inherited = x is not base and function is getattr(base, method, None)
        if inspect.isfunction(function) and not method.startswith("_") and not inherited:
            yield from [text(f"{name}.{method}", function)] if "=" in str(inspect.signature(function)) else []


def found(space):
    return [line for name in public(space) for line in signatures(space, name)]


def known(name):
    """Activations: their rows in tests/table_functional.py ask for their options, and for what these are by default."""
    return any(name in space.__all__ for space in (activation, piecewise, functional.activation, functional.piecewise))


@pytest.mark.parametrize("name", SPACES)
def test_signatures_are_those_that_are_written_down(name):
    message = f"a signature of {name} is new: if PyTorch has it so, write it into tests/signatures.txt"
    lines = written()[name]
    assert [line for line in found(SPACES[name]) if line in lines or not known(line.partition("(")[0])] == lines, message
