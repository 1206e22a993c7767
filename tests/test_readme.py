"""The README keeps its word: every Python block runs, each in a process and a folder of its own, and prints what it says."""

import doctest
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A block of Python, and the block of plain output right after it, if there is one. "..." in the output stands for anything.
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n*^```(?:text|console|output)?\n(?P<output>.*?)^```$)?", re.DOTALL | re.MULTILINE
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
RUN_DOCTEST = """
import doctest, sys
example = doctest.DocTestParser().get_doctest(sys.stdin.read(), {{"__name__": "__main__"}}, "README.md", "README.md", 0)
sys.exit(bool(doctest.DocTestRunner(optionflags={flags}).run(example).failed))
"""


def blocks(text):
    """(line of the block, code, expected output or None) for each Python block."""
    return [(text.count("\n", 0, m.start()) + 1, m["code"], m["output"]) for m in BLOCK.finditer(text)]


def check(code, output, folder):
    """Runs a block and raises AssertionError where it fails or prints something else."""
    program, stdin = ("-c", RUN_DOCTEST.format(flags=FLAGS)), code
    if ">>>" not in code:
        program, stdin = ("-",), code
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINIDL_QUIET": "1", "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, *program], input=stdin, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if output is not None:
        assert doctest.OutputChecker().check_output(output, done.stdout, FLAGS), f"it printed:\n{done.stdout}"


def readme():
    path = ROOT / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_the_readme_shows_code():
    assert blocks(readme())


def contributing():
    return textwrap.dedent((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("\n   ", "\n"))


@pytest.mark.parametrize(
    ("line", "code", "output"),
    [
        pytest.param(*b, id=f"{name} line {b[0]}")
        for name, text in (("README", readme()), ("CONTRIBUTING", contributing()))
        for b in blocks(text)
    ],
)
def test_the_readme_runs(line, code, output, tmp_path):
    check(code, output, tmp_path)


EXAMPLE = """# Title

```sh
make test
```

```python
print(1 + 1)
print("a")
```

```
2
...
```

```python
>>> x = 2
>>> x
2
```
"""


def test_blocks_are_found_and_checked(tmp_path):
    found = blocks(EXAMPLE)
    assert [(line, output) for line, _, output in found] == [(7, "2\n...\n"), (17, None)]
    for _, code, output in found:
        check(code, output, tmp_path)
    for code, output in [("print(3)\n", "2\n"), ("1 / 0\n", None), (">>> 1\n2\n", None)]:
        with pytest.raises(AssertionError):
            check(code, output, tmp_path)


def near(said, counted):
    """A tenth more or less: nobody has to change the README for each line that is written."""
    return abs(int(said.replace(",", "")) - counted) <= counted / 10


def test_the_reading_order_names_files_with_their_lengths():
    rows = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| (\d+) \|", readme(), re.MULTILINE)
    assert len(rows) > 10
    lengths = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for _, path, _ in rows}
    assert not [(path, said, lengths[path]) for _, path, said in rows if not near(said, lengths[path])]


def test_the_readme_counts_the_lines_of_the_engine():
    def lines(folder):
        return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "minidl" / folder).rglob("*.py"))

    engine, kernels = sum(map(lines, ("graph", "ops", "tensors"))), lines("kernels")
    sentence = r"`tensors`\) is about ([\d,]+) lines, its kernels ([\d,]+), and everything built on them ([\d,]+)\."
    said = re.search(sentence, readme().replace("\n", " ")).groups()
    assert all(map(near, said, (engine, kernels, lines(".") - engine - kernels)))


def test_the_files_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:minidl|tests|examples|benchmarks)/[\w/.]+\w", text)) - {"examples/name.py"}
    assert len(named) > 20
    assert not [path for path in named if not (ROOT / path).exists()]
