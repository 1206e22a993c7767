"""The notebooks of docs/notebooks as texts: cells, titles, assertions, imports. `make notebooks` executes them."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "notebooks"
ASSERTIONS = {"attention": 35, "backprop_by_hand": 35, "convolution": 30, "information_theory": 50}  # at least
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.name != "run.py")
MARK = re.compile(r"^# %%(.*)$", re.MULTILINE)


def cells(text):
    """[(kind, source)] of a script in percent format; a text's `# ` is taken away."""
    head, *parts = MARK.split(text)
    assert not head.strip(), f"before the first cell: {head!r}"
    found = []
    for mark, source in zip(parts[::2], parts[1::2], strict=True):
        assert mark.strip() in ("", "[markdown]"), f"a mark that jupytext would take for a title: {mark!r}"
        kind, source = ("text" if mark.strip() else "code"), source.strip("\n")
        if kind == "text":
            lines = source.split("\n")
            assert all(line == "#" or line.startswith("# ") for line in lines), f"code in a cell of text:\n{source}"
            source = "\n".join(line[2:] for line in lines)
        found.append((kind, source))
    return found


def test_all_notebooks_are_here():
    assert {path.stem for path in SCRIPTS} == set(ASSERTIONS)
    for name in ASSERTIONS:
        assert name in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_is_a_title_then_imports_then_cells_that_compile_and_assert(path):
    (kind, title), (second, imports), *rest = cells(path.read_text(encoding="utf-8"))
    assert kind == "text" and re.match(r"# \S.*\n\n\S", title) and second == "code"
    assert 15 <= 2 + len(rest) <= 40
    assertions = 0
    for kind, source in [(second, imports), *rest]:
        assert source, "an empty cell"
        if kind == "code":
            tree = ast.parse(source)
            compile(tree, path.name, "exec")
            assertions += sum(isinstance(node, ast.Assert) for node in ast.walk(tree))
            assert source is imports or not any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.walk(tree))
    assert assertions >= ASSERTIONS[path.stem]
    assert "minidl" in imports and "/work/" not in path.read_text() and "/home/" not in path.read_text()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_headings_are_in_order_and_two_texts_do_not_follow_each_other(path):
    found = cells(path.read_text(encoding="utf-8"))
    headings = [line for kind, source in found if kind == "text" for line in source.split("\n") if line.startswith("#")]
    levels = [len(line) - len(line.lstrip("#")) for line in headings]
    assert levels[0] == 1 and 1 not in levels[1:] and all(b - a <= 1 for a, b in pairwise(levels))
    assert any("Exercises" in line for line in headings)
    kinds = [kind for kind, _ in found]
    assert ("text", "text") not in pairwise(kinds)


def test_jupytext_sees_the_same_cells():
    jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed: pip install -e '.[notebooks]'")
    for path in SCRIPTS:
        seen = [("text" if c.cell_type == "markdown" else "code", c.source.strip("\n")) for c in jupytext.read(path).cells]
        assert seen == cells(path.read_text(encoding="utf-8"))


BROKEN = """# %% [markdown]
# # Broken

# %%
good = 1
assert good == 1

# %%
import warnings

warnings.warn("careful")

# %%
assert good == 2, "not two"

# %%
unreached = 1
"""


@pytest.mark.skipif(
    not all(map(find_spec, ("jupytext", "nbclient", "nbconvert", "ipykernel"))),
    reason="Jupyter's packages are not installed: pip install -e '.[notebooks]'",
)
def test_the_runner_says_which_cell_failed(tmp_path):
    runner = tmp_path / "docs" / "notebooks" / "run.py"
    runner.parent.mkdir(parents=True)
    runner.write_text((FOLDER / "run.py").read_text())
    (runner.parent / "broken.py").write_text(BROKEN)
    done = subprocess.run(
        [sys.executable, runner, "--out", tmp_path / "out"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1 and "failed: broken" in done.stderr
    assert "broken.py: cell 3 failed" in done.stderr and "UserWarning: careful" in done.stderr
    assert "broken.py: cell 4 failed" in done.stderr and "AssertionError: not two" in done.stderr
    assert 'assert good == 2, "not two"' in done.stderr and "cell 5" not in done.stderr
    assert (tmp_path / "out" / "broken.ipynb").is_file()
    done = subprocess.run([sys.executable, runner, "nothing"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and "there is no notebook nothing; there are broken" in done.stderr
