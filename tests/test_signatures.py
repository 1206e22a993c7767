"""What layers, functions and networks take, and what they do by default: signatures.txt, written down once.

A default is part of what is promised: PyTorch's in minidl.nn, the papers' in minidl.models. A layer with another one computes
something else for everybody who leaves the argument out, and a test that gives the argument does not see it.
"""

import inspect
import re
from pathlib import Path

import pytest

from minidl import models, nn
from minidl.nn import functional, init, utils

SPACES = {space.__name__: space for space in (nn, functional, init, utils, utils.rnn, models)}


def written():
    spaces = {}
    for line in (Path(__file__).parent / "signatures.txt").read_text().splitlines():
        if line.startswith("# "):
            lines = spaces.setdefault(line[2:], [])
        elif line:
            lines.append(line)
    return spaces


def public(space):
    names = getattr(space, "__all__", None) or [name for name in vars(space) if not name.startswith("_")]
    return sorted(
        name for name in names if getattr(getattr(space, name), "__module__", "").startswith("minidl.nn") or space is models
    )


def signature(space, name):
    """As it is written, with the names of functions and classes for themselves."""
    text = str(inspect.signature(getattr(space, name)))
    return name + re.sub(r"<function (\w+) at 0x\w+>|<class '[\w.]*?(\w+)'>", lambda found: found[1] or found[2], text)


@pytest.mark.parametrize("name", SPACES)
def test_signatures_are_those_that_are_written_down(name):
    space = SPACES[name]
    found = [signature(space, each) for each in public(space) if callable(getattr(space, each))]
    assert found == written()[name], f"a signature of {name} is new: if PyTorch has it so, write it into tests/signatures.txt"
