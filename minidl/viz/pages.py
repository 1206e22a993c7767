"""explain and record: from a loss to a page, one HTML file that needs nothing else."""

import html
import json
import sys
import tempfile
import webbrowser
from pathlib import Path

import numpy as np

from ..graph.modes import enable_grad
from ..graph.nodes import Leaf
from ..nn.module import Module
from ..random import fork_rng
from ..tensors.record import remedy_for
from ..tensors.tensor import Tensor
from .building import Building, Unseen, parameter_names
from .tape import Tape, source_of

HERE = Path(__file__).parent / "page"
BUDGET = 10_000_000  # bytes of arrays in a page


class Page:
    """A page on which the walk back of one loss can be stepped through: `save`, `open`, or as the last line of a cell.

    data: what it shows, as a dict. error: what the function raised, or None. left_out: how many arrays are shown by their
    statistics only, because the page would exceed its budget.

    >>> import minidl
    >>> w = minidl.ones(3, requires_grad=True)
    >>> page = minidl.viz.explain(lambda: (w * w).sum())
    >>> page
    <Page 'loss': 2 operations, 2 steps back>
    >>> [node["name"] for node in page.data["nodes"]]
    ['w', 'Mul', 'Sum']
    """

    def __init__(self, data, title, error=None, left_out=0):
        self.data, self.title, self.error, self.left_out = data, title, error, left_out

    def __repr__(self):
        operations = sum(node["kind"] == "op" for node in self.data["nodes"])
        failed = f", failed: {type(self.error).__name__}" if self.error else ""
        return f"<Page {self.title!r}: {operations} operations, {len(self.data['steps'])} steps back{failed}>"

    def html(self):
        """The page as text: the same for the same program, seed and versions."""
        parts = {name: (HERE / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "layout.js", "page.js")}
        text = json.dumps(self.data, separators=(",", ":"), allow_nan=False, ensure_ascii=False).replace("</", "<\\/")
        page = parts.pop("page.html")
        for mark, part in (("TITLE", html.escape(self.title)), ("CSS", parts["page.css"]), ("DATA", text)):
            page = page.replace(f"__{mark}__", part, 1 if mark != "TITLE" else -1)
        return page.replace("__SCRIPT__", parts["layout.js"] + parts["page.js"], 1)

    def save(self, path):
        """Writes the page to a file, whose folder is made if need be, and gives its path."""
        path = Path(path)
        if path.is_dir():
            raise IsADirectoryError(f"Page.save: {str(path)!r} is a folder; name a file, such as 'out/step.html'")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def open(self):
        """Writes the page to a temporary file and opens it in a browser; gives the path."""
        path = self.save(Path(tempfile.mkdtemp(prefix="minidl-")) / "page.html")
        if not webbrowser.open(path.as_uri()):
            raise RuntimeError(f"Page.open: no browser was found; the page is {path}, or write it with .save('step.html')")
        return path

    def _repr_html_(self):
        """For notebooks: the page in a frame of its own, so that pages do not disturb each other.

        JupyterLab takes frames out of notebooks that it does not trust, and leaves the text that says so.
        """
        style = "width:100%;height:640px;border:1px solid #8888"
        title, document = html.escape(self.title), html.escape(self.html(), quote=True)
        told = f"“{title}” is a page to step through. Run this cell, or trust the notebook, to see it."
        return f'<iframe title="{title}" sandbox="allow-scripts" style="{style}" srcdoc="{document}">{told}</iframe>'


def explain(loss, *, model=None, title=None, budget=BUDGET, check=True):
    """The page of a loss: its graph as boxes of module calls, every value and cotangent, and each step of the walk back.

    loss: a function without arguments that computes the loss, a tensor of one element. Or the loss itself: the graph keeps no
    values, so its page has shapes, formulas and gradients, and says what else there would be. model: names the parameters;
    without it the modules that are called do. budget: bytes of arrays in the page; what exceeds it is left out, and the page
    says so. check: compare with difference quotients, for which operations run again in float64.

    A function that raises gives the page up to its error; `Page.error` is the error. No `.grad` changes. A ValueError says what
    is wrong with a loss of several elements, or one that depends on nothing that requires grad.

    >>> import minidl
    >>> from minidl import nn
    >>> model, x = nn.Linear(3, 2), minidl.ones(4, 3)
    >>> page = explain(lambda: model(x).square().mean(), title="one layer")
    >>> page
    <Page 'one layer': 3 operations, 3 steps back>
    """
    if isinstance(loss, Tensor):
        return Recording().page(loss, model, title, {"budget": budget, "check": check}, seen=False)
    if not callable(loss) or isinstance(loss, Module):
        what = "; write explain(lambda: loss_of(model(x)))" if isinstance(loss, Module) else remedy_for(loss)
        raise TypeError(f"explain: expected a tensor, or a function that returns the loss, got {type(loss).__name__}{what}")
    tape = Recording(stop=sys._getframe(0).f_code)
    try:
        with enable_grad(), tape:
            result = loss()
    except Exception as error:
        tape.fail(error)
        return tape.page(None, model, title, {"budget": budget, "check": check})
    _check_loss("explain", result)
    return tape.page(result, model, title, {"budget": budget, "check": check})


def record():
    """Keeps everything that this thread computes inside: `with record() as tape:`; then `tape.explain(loss)` gives the page.

    A backward inside is kept, too: its loss can be explained although its graph is gone.

    >>> import minidl
    >>> w = minidl.ones(3, requires_grad=True)
    >>> with record() as tape:
    ...     loss = (w * w).sum()
    ...     loss.backward()
    >>> tape.explain(loss)
    <Page 'loss': 2 operations, 2 steps back>
    """
    return Recording(last=sys._getframe(1).f_code)


class Recording(Tape):
    """A tape that makes pages."""

    __doc__ = Tape.__doc__

    def explain(self, loss, *, model=None, title=None, budget=BUDGET, check=True):
        """The page of a loss that was computed while the tape watched: as `minidl.viz.explain`, with all values."""
        _check_loss("Tape.explain", loss)
        if source_of(loss.node)[0] not in self.by_node:
            raise ValueError(
                "Tape.explain: this loss was not computed while the tape watched; compute it inside `with record() as tape:`, "
                "or write minidl.viz.explain(loss), which has no values"
            )
        return self.page(loss, model, title, {"budget": budget, "check": check})

    def page(self, loss, model, title, options, seen=True):
        _check_options(model, title, **options)
        if loss is not None:
            _check_loss("explain", loss)
            if source_of(loss.node)[0] not in self.step_of:
                _check_alive(loss.node)
                self.walk(loss)
        name = None if loss is None else self.frames.names.get(loss.node)
        building = Building(self, loss, parameter_names(model, self.frames), options["budget"], options["check"])
        with fork_rng(), np.errstate(all="ignore"):  # operations run again, with numbers that may not be finite
            data = building.data()
        data |= {"title": title or name or "loss", "version": 1, "notes": self._notes(building, seen, options)}
        if self.error is not None:
            data["error"] = f"{type(self.error).__name__}: {self.error}"
        return Page(data, data["title"], self.error, building.arrays.left_out)

    def _notes(self, building, seen, options):
        notes = []
        if not seen:
            notes.append("No values: the loss was computed before anything watched. Use explain(function) or record().")
        elif unseen := sum(isinstance(e, Unseen) for e in building.entries):
            notes.append(f"No values of {unseen} operations, which were computed before anything watched.")
        if any(step.node.hooks for step in self.steps if step.node in building.index):
            notes.append("A hook may change gradients here: the difference quotient knows nothing of it.")
        if building.arrays.left_out:
            n = building.arrays.left_out
            notes.append(f"{n} arrays are left out: the page would exceed its budget of {options['budget']:,} bytes.")
        if building.unchecked:
            notes.append(
                f"{building.unchecked} steps back are not checked against difference quotients: it would take too long."
            )
        if building.refused:
            notes.append(f"The whole chain is not checked: {building.refused}.")
        if not options["check"]:
            notes.append("Nothing is checked against difference quotients (check=False).")
        if not building.entries:
            notes.append("No operation was recorded.")
        return notes


def _check_options(model, title, budget, check):
    if model is not None and not isinstance(model, Module):
        raise TypeError(f"explain: model must be a Module, got {type(model).__name__}")
    if title is not None and not isinstance(title, str):
        raise TypeError(f"explain: title must be a text, got {title!r}")
    if isinstance(budget, bool) or not isinstance(budget, (int, np.integer)) or budget < 0:
        raise ValueError(f"explain: budget must be a number of bytes, 0 or more, got {budget!r}")
    if not isinstance(check, bool):
        raise TypeError(f"explain: check must be True or False, got {check!r}")


def _check_alive(node):
    """Raises if a part of the graph has been released, before anything is walked."""
    seen, stack = set(), [node]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.needs is None:
            raise RuntimeError(
                f"explain: the graph of this loss has been walked and released, at {node.name}; pass retain_graph=True to that "
                "backward, explain the loss before it, or compute both inside `with minidl.viz.record() as tape:`"
            )
        stack += node.needs


def _check_loss(name, loss):
    if not isinstance(loss, Tensor):
        raise TypeError(f"{name}: expected a tensor as loss, got {type(loss).__name__}{remedy_for(loss)}")
    if loss.array.size != 1:
        raise ValueError(f"{name}: a loss has one element, this has the shape {loss.shape}; write .sum() or .mean()")
    if loss.node is None:
        raise ValueError(f"{name}: the loss depends on nothing that requires grad; use requires_grad_(), and not no_grad()")
    if type(loss.node) is Leaf:
        raise ValueError(f"{name}: the loss is a leaf: no operation leads to it")
