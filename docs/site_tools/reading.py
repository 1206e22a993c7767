"""The reading order: README's list of what to read, and for each file a page with its text beside its source."""

import ast
import re
from pathlib import Path

from . import prose

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| \[([\w/]+\.py)\]\(\1\) \| \d+ \| (.+) \|$", re.M)
MARK = "<!-- the pages in their order -->"


def order():
    """[(file, what it shows)] of README's table, after the whole engine in one page."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return ROW.findall(readme)


def write(folder):
    """Writes a page for each file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (path, what) in enumerate(order(), 1):
        _save(folder / f"{_name(path)}.rst", _page(number, path, what))


def completed(text):
    """The text of reading.md with the list of the pages, and with links to them in place of links to the files."""
    pages = {path: _name(path) for path, _ in order()}
    text = text.replace(MARK, "\n".join(f"reading/{name}" for name in pages.values()))
    return re.sub(r"^(\| \[.+?\])\(source:(.+?)\)", lambda row: f"{row[1]}(/reading/{pages[row[2]]}.rst)", text, flags=re.M)


def _name(path):
    return path.removeprefix("minidl/").removesuffix(".py").replace("/", "-").replace("-__init__", "")


def _page(number, path, what):
    """A page of one file: its pieces, each with its docstring on the left and its source on the right."""
    text = (ROOT / path).read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    title = f"{number}. {path}".replace("_", "\\_")
    page = [title, "=" * (2 * len(title)), "", *prose.rest(f"{what[0].upper()}{what[1:]}.")]
    start = 1
    for node in tree.body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            continue
        first = min([node.lineno, *(x.lineno for x in node.decorator_list)])
        while first > 1 and lines[first - 2].startswith("#"):  # a comment above belongs to it
            first -= 1
        if any(line.strip() for line in lines[start - 1 : first - 1]):
            page += _piece(path, start, first - 1, ast.get_docstring(tree) if start == 1 else None)
        page += _piece(path, first, node.end_lineno, ast.get_docstring(node), node.name)
        start = node.end_lineno + 1
    if any(line.strip() for line in lines[start - 1 :]):
        page += _piece(path, start, len(lines), ast.get_docstring(tree) if start == 1 else None)
    return page


def _piece(path, first, last, text, name=None):
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    while not lines[first - 1].strip():
        first += 1
    while not lines[last - 1].strip():
        last -= 1
    beside = [*([f"``{name}``", ""] if name else []), *prose.rest(_without_examples(text or ""))]
    up = "/../" + path
    return [
        ".. container:: beside",
        "",
        "   .. container:: text",
        "",
        *(f"      {line}".rstrip() for line in beside or ["\\ "]),
        "",
        f"   .. literalinclude:: {up}",
        f"      :lines: {first}-{last}",
        "      :lineno-match:",
        "      :language: python",
        "",
    ]


def _without_examples(text):
    return re.sub(r"(?ms)^ *>>> .*?(?=^\s*$|\Z)", "", text)


def _save(path, lines):
    written = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != written:
        path.write_text(written, encoding="utf-8")
