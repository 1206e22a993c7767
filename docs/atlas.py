"""The atlas of operations: a Markdown page for each class of minidl.ops, made of what the package and its tests have.

    python docs/atlas.py FOLDER

writes them; `write` does it for the site. Each page has the formula and the derivative from the docstring, a picture, the
source, a page of minidl.viz.explain, a wrong rule from tests/test_mutants.py with what gradcheck says of it, and the functions
that use the operation. Nothing in a page is written by hand, so that it cannot be out of date.
"""

import argparse
import ast
import functools
import inspect
import linecache
import os
import re
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from atlas_mutants import Wrong
from atlas_pictures import Curve, Dependence, run
from atlas_users import users

from minidl import ops, viz
from minidl.tensors.record import apply, wrap
from minidl.viz.packing import told
from tests.checks import cotangent
from tests.table import ABSTRACT, ROW_OF, all_operations

ROOT = Path(__file__).resolve().parents[1]
MOST = 12  # functions named in a page


def write(folder, *, quick=False, pages=None, link=None, only=None):
    """Writes index.md and NAME.md for each operation into the folder, and pages of explain. Gives the names.

    pages: a folder for the pages of explain, by default `explain` in the folder; on the site they have to stand in `explain`
    beside the pages of the atlas. link: what a link to a file leads to, such as "source:{path}#L{line}"; none by default. only:
    names of operations, if not all are wanted; the index has them all. quick: no pages of explain.
    """
    folder = Path(folder)
    pages = folder / "explain" if pages is None else Path(pages)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [op for op in operations() if only is None or op.__name__ in only]
    thumbnails = {}
    with np.errstate(all="ignore"):
        for op in chosen:
            entry = Entry(op, link)
            if not quick:
                entry.page.save(pages / f"{op.__name__}.html")
            save(folder / f"{op.__name__}.md", entry.markdown(quick))
            if entry.curve:
                thumbnails[op] = entry.curve.thumbnail()
    save(folder / "index.md", index(thumbnails, chosen))
    return [op.__name__ for op in chosen]


def save(path, text):
    if not path.exists() or path.read_text(encoding="utf-8") != text:  # Sphinx does not read again what has not changed
        path.write_text(text, encoding="utf-8")


def operations():
    """All classes, in the order of the files as ops/__init__.py has them, and in each file from above."""
    files = [node for node in ast.parse(inspect.getsource(ops)).body if isinstance(node, ast.ImportFrom) and not node.module]
    order = [f"minidl.ops.{alias.name}" for node in files for alias in node.names]
    found = set(all_operations()) - ABSTRACT
    return sorted(found, key=lambda op: (order.index(op.__module__), place(op)[1]))


# --- the index


def index(thumbnails, linked):
    """The page with a table for each file."""
    lines = ["# Atlas of operations", "", INTRODUCTION, ""]
    files = {}
    for op in operations():
        files.setdefault(op.__module__, []).append(op)
    for module, found in files.items():
        lines += [f"## {module.rpartition('.')[2]}", "", prose(inspect.getdoc(sys.modules[module]).partition("\n\n")[0]), ""]
        curves = any(op in thumbnails for op in found)
        lines += ["| operation | what it computes |" + " f and f′ |" * curves, "|---|---|" + "---|" * curves]
        for op in found:
            name = f"[{op.__name__}]({op.__name__}.md)" if op in linked else op.__name__
            cell = f" {thumbnails.get(op, '')} |" if curves else ""
            lines.append(f"| {name} | {code(formula(op), table=True)} |{cell}")
        lines.append("")
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *(op.__name__ for op in linked), "```", ""])


INTRODUCTION = """\
An operation computes `y` from its inputs, and has a rule that leads the gradient back. Let L be the loss, the number at the
end. For an array `v`, `dv` is ∂L/∂v. A backward is given `dy` and returns `dx`, one array for each input.

Each page shows the formula and the derivative, a picture, the steps, the source, a wrong rule that has been planted and what
gradcheck says of it, and the functions that use the operation. All of it is made of the package and its tests. In the curves, f
is the line in blue, f′ the broken line in orange."""


def formula(op):
    """What the docstring says that y is: its first line, and those that go on with it."""
    return docstring(op)[0]


def docstring(op):
    return inspect.cleandoc(vars(op)["__doc__"]).splitlines()


def code(text, table=False):
    """Text as code in a line, whatever signs it has."""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}".replace("|", r"\|" if table else "|")


def prose(text):
    """A sentence of a docstring in Markdown: names in backquotes stay code, other signs are no markup."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_|<\[\]])", r"\\\1", part) for part in parts)


# --- a page


class Entry:
    """What the page of one operation shows."""

    def __init__(self, op, link=None):
        self.op, self.name, self.link, self.row = op, op.__name__, link, ROW_OF[op]
        self.case = sample(self.row)
        number = case_of_numbers(self.row)
        self.curve = Curve(lambda: op(*number.options)) if number else None
        self.options = (number or self.case).options
        self.inputs = parameters(op.forward, len(self.case.inputs))
        self.wrong = Wrong(self.row)

    @functools.cached_property
    def page(self):
        """The page of explain, for the case of the table."""
        return explained(self.op, self.case, self.inputs)

    def markdown(self, quick=False):
        path, line = place(self.op)
        parts = [f"# {self.name}", f"An [operation](index.md) of {self.to(path, line)}."]
        parts += [raw(STYLE), "## Formula and derivative", lines_of_text("\n".join(docstring(self.op)))]
        parts += ["## Curve" if self.curve else "## What one element depends on", *self.picture()]
        if not quick:
            parts += ["## Step by step", *self.frame()]
        parts += ["## Source", *self.sources(), "## A wrong rule under gradcheck", *self.mutant()]
        parts += ["## Used by", *self.users()]
        return "\n\n".join(parts) + "\n"

    def to(self, path, line):
        text = f"`{path}`, line {line}"
        return f"[{text}]({self.link.format(path=path, line=line)})" if self.link else text

    def picture(self):
        if self.curve:
            curve = self.curve
            said = (
                f"f by `forward` and f′ by `backward`{self.with_options()}. For {curve.compared} values of x, f′ was compared "
            )
            said += "with difference quotients of f: they agree."
            for xs, what in ((curve.kinks, "bends"), (curve.jumps, "jumps")):
                if len(xs):
                    numbers = ", ".join(f"{x:g}" for x in xs)
                    said += f" f {what} at x = {numbers}; what `backward` gives there is marked by a ring."
            return [raw(curve.svg(self.name)), said]
        arrays = Dependence(lambda: self.op(*self.case.options), self.case.inputs)
        outputs = ["y"] if len(arrays.outputs) == 1 else [f"y{i}" for i in range(1, len(arrays.outputs) + 1)]
        svg, element = arrays.svg(self.name, self.inputs, outputs)
        said = (
            f"Above the values, below how `{element}`, which is framed, changes with each element: the answer of `backward` to "
        )
        said += f"a `dy` that is 1 there and 0 elsewhere{self.with_options()}. Orange is positive, blue negative, empty 0; the "
        said += "stronger the larger, in each table by itself. Point at an element to read its number."
        return [raw(svg), said]

    def with_options(self):
        names = parameters(self.op.__init__, len(self.options)) if self.options else []
        given = [f"`{name}` = {code(brief(x))}" for name, x in zip(names, self.options, strict=True)]
        return f", for {', '.join(given)}" if given else ""

    def frame(self):
        path, title = f"explain/{self.name}.html", f"{self.name}: backprop, step by step"
        style = "width:100%;height:42rem;border:1px solid #8888;border-radius:4px"
        said = (
            "A loss of this one operation: its output times constants `c`, summed. Press → to step through the walk back, ← to "
        )
        said += f'go back. <a href="{path}">In a window of its own</a>.'
        return [said, raw(f'<iframe class="explain" src="{path}" title="{title}" loading="lazy" style="{style}"></iframe>')]

    def sources(self):
        for name in ("__init__", "forward", "backward"):
            function = getattr(self.op, name)
            if inspect.isfunction(function) and function is not getattr(ops.Op, name, None):
                yield f"`{name}`: {self.to(*place(function))}"
                yield fenced(textwrap.dedent(inspect.getsource(function)).rstrip(), "python")

    def mutant(self):
        wrong = self.wrong
        yield f"In `tests/test_mutants.py` this mistake is planted: *{prose(wrong.what)}*."
        yield fenced(wrong.code, "python")
        if "right(" in wrong.code:
            yield "There `s` is the operation, and `right(s, dy)` what the right rule gives."
        yield f"`gradcheck` on the table's case `{wrong.case}`, word for word:"
        yield lines_of_text(wrong.report)
        yield f"The right rule passes the same check, on this case and on {wrong.others(len(self.row.cases))}."

    def users(self):
        found = users().get(self.op, [])
        shown = [f"{{py:obj}}`{name}`" if linked else f"`{name}`" for name, linked in found[:MOST]]
        if not shown:
            return ["No public function calls it directly; other parts of the package do."]
        more = f", and {len(found) - MOST} more" if len(found) > MOST else ""
        return [f"{', '.join(shown)}{more}."]


def fenced(text, language):
    return f"```{language}\n{text}\n```"


def lines_of_text(text):
    """Text whose lines stay lines; one that is too long for the page goes on below, so that no word is hidden."""
    return f"```{{code-block}} text\n:class: atlas-text\n\n{text}\n```"


STYLE = """\
<style>
.atlas-text pre { white-space: pre-wrap; overflow-wrap: anywhere; }
@media (min-width: 75rem) { .main > .content:has(.atlas-text) { width: min(100%, 64rem); } }
</style>"""


def raw(html):
    return f"```{{raw}} html\n{html}\n```"


def brief(x):
    """An option in a few signs."""
    if isinstance(x, np.ndarray):
        return re.sub(r"\s+", " ", told(x.tolist()))
    if isinstance(x, ops.Op):
        return f"ops.{x.name}(…)"
    return told(x)


def place(x):
    """(file, line) of a class or function."""
    path = Path(inspect.getsourcefile(x)).resolve()
    line = classes(path)[x.__name__] if isinstance(x, type) else x.__code__.co_firstlineno
    return path.relative_to(ROOT).as_posix(), line


@functools.cache
def classes(path):
    """{name: line} of the classes of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node.lineno for node in tree.body if isinstance(node, ast.ClassDef)}


def parameters(function, count):
    """Names for as many arguments: those of the function, numbered where it takes any number of them."""
    names = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            stem = parameter.name.removesuffix("s") or parameter.name
            names += [f"{stem}{i}" for i in range(1, count - len(names) + 1)]
        else:
            names.append(parameter.name)
    return names[:count]


# --- samples


def sample(row):
    """The table's case that is best to look at: small but not empty, all inputs there, in tables of unequal sides."""

    def rank(case):
        arrays = [x for x in case.inputs if isinstance(x, np.ndarray)]
        sizes = [x.size for x in arrays]
        fits = bool(sizes) and min(sizes) > 0 and 4 <= sum(sizes) <= 90
        lead = arrays[0] if arrays else np.zeros(0)
        table = lead.ndim >= 2 and len(set(lead.shape)) > 1
        return fits and len(arrays) == len(case.inputs), fits, len(arrays), table, lead.ndim > 0

    best = max(map(rank, row.cases))
    fitting = [case for case in row.cases if rank(case) == best]

    def several(case):
        outputs, _ = run(lambda: row.op(*case.options), case.inputs)
        return outputs[0].size > 1

    return next(filter(several, fitting), fitting[0])


def case_of_numbers(row):
    """A case of a function of one number that is applied to each element, or None."""
    for case in row.cases:
        if len(case.inputs) == 1 and np.shape(case.inputs[0]) == (5,):
            (x,) = case.inputs

            def f(x, options=case.options):
                return run(lambda: row.op(*options), (x,))[0][0]

            try:
                alone = [f(x[i : i + 1]) for i in range(len(x))]
            except (IndexError, ValueError):
                return None
            y = f(x)
            same = y.shape == x.shape and all(v.shape == (1,) for v in alone)
            return case if same and np.allclose(np.concatenate(alone), y, 1e-12, 1e-12) else None
    return None


def explained(op, case, names):
    """The page of explain for a short program that calls the operation once."""
    name = op.__name__
    options = parameters(op.__init__, len(case.options)) if case.options else []
    space = {"apply": apply, name: op, **dict(zip(options, case.options, strict=True))}
    for key, x in zip(names, case.inputs, strict=True):
        space[key] = wrap(x.copy()).requires_grad_() if isinstance(x, np.ndarray) else x
    outputs, _ = run(lambda: op(*case.options), case.inputs)
    results = ["y"] if len(outputs) == 1 else [f"y{i}" for i in range(1, len(outputs) + 1)]
    constants = ["c" + result[1:] for result in results]
    space |= {c: wrap(cotangent(y)) for c, y in zip(constants, outputs, strict=True)}
    terms = " + ".join(f"({y} * {c}).sum()" for y, c in zip(results, constants, strict=True))
    call = f"{', '.join(results)} = apply({name}({', '.join(options)}), {', '.join(names)})"
    text = f"def loss():\n    {call}\n    return {terms}\n"
    file = f"{name}.py"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file  # for the page, which shows the line
    try:
        exec(compile(text, file, "exec"), space)
        return viz.explain(space["loss"], title=name)
    finally:
        del linecache.cache[file]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pages shall stand")
    parser.add_argument("--quick", action="store_true", help="without the pages of explain")
    options = parser.parse_args()
    names = write(options.folder, quick=options.quick)
    files = [path for path in options.folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"{len(names)} operations, {size:.1f} MB: {os.path.relpath(options.folder)}")


if __name__ == "__main__":
    main()
