"""Whether docs/coverage.md says the truth: each row is there, with code, a test and an example that are there too.

Everything is read, nothing is imported: a name must be defined in the file that its link leads to.
"""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "coverage.md"
GALLERY = ROOT / "examples" / "README.md"
HOW_MANY = {"I": 38, "P": 9, "L": 13, "C": 8, "M": 14, "B": 1, "N": 13, "V": 7, "R": 8, "A": 13, "O": 9, "X": 8, "Z": 7}
ROWS = [f"{letter}{i}" for letter, count in HOW_MANY.items() for i in range(1, count + 1)]
COLUMNS = {"code": "minidl/", "tests": "tests/test_", "examples": "examples/"}

# Files that the table names and that are still being written. While one is not there, nothing is asked of it.
LIST = ""
AWAITED = set(LIST.split())


@functools.cache
def table():
    """{row: {column: [(name, path)]}}, the paths from the root."""
    rows = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)][1:-1]
        if cells and re.fullmatch(r"[A-Z]\d+", cells[0]):
            assert len(cells) == 5, f"{cells[0]}: expected 5 cells (row, what, code, tests, examples), got {len(cells)}: {line}"
            assert cells[0] not in rows, f"{cells[0]} stands there twice"
            rows[cells[0]] = {column: links(cell) for column, cell in zip(COLUMNS, cells[2:], strict=True)}
    return rows


def links(text):
    return [(name.strip("`"), target.removeprefix("../")) for name, target in re.findall(r"\[(.+?)\]\((.+?)\)", text)]


@functools.cache
def defined(path):
    """All names that a file defines or assigns, methods and attributes of classes too."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def wrong(column, name, path):
    """What is wrong with a link, or None."""
    if not path.startswith(COLUMNS[column]):
        return f"{path} is no file of {COLUMNS[column]}…"
    if not (ROOT / path).is_file():
        return None if path in AWAITED else f"there is no {path}"
    last = name.split(".")[-1]
    if column == "examples":
        return None if last == Path(path).stem else f"{name} leads to {path}"
    if column == "tests" and not name.startswith("test_"):
        return f"{name} is not the name of a test"
    if name.endswith(".py"):
        return None if path.endswith(name) else f"{name} leads to {path}"
    return None if last in defined(path) else f"{path} defines no {last}"


def test_the_rows_are_those_of_the_documents_in_their_order():
    rows = list(table())
    assert not (missing := [row for row in ROWS if row not in rows]), f"rows that are missing: {missing}"
    assert not (strange := [row for row in rows if row not in ROWS]), f"rows that are not of the documents: {strange}"
    assert rows == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_code_tests_and_examples_of_a_row_are_there(row):
    cells = table()[row]
    lacks = [f"{row} lacks {column}: docs/coverage.md has nothing in this cell" for column, found in cells.items() if not found]
    for column, found in cells.items():
        lacks += [f"{row}, {column}: {problem}" for link in found if (problem := wrong(column, *link))]
    assert not lacks, "\n".join(lacks)


def all_examples():
    """The programs of examples/: not what they share (_name.py), nor what runs them."""
    return {path.stem for path in (ROOT / "examples").glob("[!_]*.py")} - {"gallery"}


def test_every_example_is_named_by_a_row_or_among_the_others():
    named = {name for name, path in links(TABLE.read_text(encoding="utf-8")) if path.startswith("examples/")}
    missing = sorted(all_examples() - named)
    assert not missing, f"docs/coverage.md names these examples nowhere (in a row, or below under Other examples): {missing}"


def test_every_example_is_in_the_gallery_and_the_gallery_has_no_others():
    named = {Path(path).stem for _, path in links(GALLERY.read_text(encoding="utf-8")) if path.endswith(".py")}
    assert not (missing := sorted(all_examples() - named)), f"examples/README.md has no row for: {missing}"
    gone = sorted(name for name in named - all_examples() if f"examples/{name}.py" not in AWAITED)
    assert not gone, f"examples/README.md names what is not there: {gone}"


def test_something_is_still_awaited_or_the_list_is_empty():
    there = all((ROOT / path).is_file() for path in AWAITED)
    assert not AWAITED or not there, "all that was awaited is there: empty LIST in tests/test_coverage.py"


@pytest.mark.parametrize(
    "column, name, path, message",
    [
        ("code", "information.entropi", "minidl/information.py", "minidl/information.py defines no entropi"),
        ("code", "entropy", "minidl/informations.py", "there is no minidl/informations.py"),
        ("code", "main", "examples/kl_asymmetry.py", "examples/kl_asymmetry.py is no file of minidl/…"),
        ("tests", "test_nothing_at_all", "tests/test_book.py", "tests/test_book.py defines no test_nothing_at_all"),
        ("tests", "near", "tests/test_book_norm.py", "near is not the name of a test"),
        ("examples", "kl", "examples/kl_asymmetry.py", "kl leads to examples/kl_asymmetry.py"),
        ("code", "graph/run.py", "minidl/graph/walk.py", "graph/run.py leads to minidl/graph/walk.py"),
    ],
)
def test_what_is_wrong_is_said(column, name, path, message):
    assert wrong(column, name, path) == message
