"""The tool of MUTATION.md works: it sees what breaks a layer, and says of what no test sees that it lives."""

import ast
import os
import subprocess
import sys

import pytest

from . import mutate
from .mutations import drawn, mutants

KILLED = "nn/dropout.py Dropout.__init__: ⟦super().__init__() → pass⟧"
ALIVE = "nn/dropout.py Dropout.__init__: def __init__(self, p=⟦0.5 → 0.25⟧"  # lives, because only the doctest is asked


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_one_mutant_dies_and_one_lives():
    command = [sys.executable, "-m", "tests.mutate", "--tests", "minidl/nn/dropout.py", "--only", KILLED, "--only", ALIVE]
    done = subprocess.run(command, cwd=mutate.ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONUTF8": "1"})
    assert "2 mutants: 1 killed, 0 equivalent, 1 survived" in done.stdout, (done.stdout + done.stderr)[-3000:]
    assert done.returncode == 1


SOURCES = {"a.py": 'def f(x, n=3):\n    """2 words"""\n    return g(x, n) * 2 if x < n else -x\n', "b.py": "__all__ = ['f']\n"}


def test_a_seed_draws_the_same_mutants():
    first, again, other = (drawn(SOURCES, seed, 8) for seed in (0, 0, 1))
    assert first == again != other
    assert len({mutant.key for mutant in first}) == 8


def test_mutants_are_other_programs_with_the_same_words():
    chosen = drawn(SOURCES, 0, 1000)
    assert {mutant.new for mutant in chosen if mutant.kind == "comparison"} == {"(x <= n)", "(x >= n)"}
    for mutant in chosen:
        changed = mutant.applied(SOURCES[mutant.path])
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(SOURCES[mutant.path]))
        assert '"""2 words"""' in changed


def test_what_is_called_equivalent_is_in_the_sources():
    listed = mutate.reasons()
    sources = mutate.source_files()
    paths = {key.split()[0] for key in listed}
    known = {mutant.key for path in paths for mutant in mutants(path, sources[path])}
    assert sorted(set(listed) - known) == []
