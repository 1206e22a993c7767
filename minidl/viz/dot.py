"""make_dot: the graph of a loss as a still picture, with torchviz's name and signature, and without Graphviz."""

import html
import sys
import tempfile
import webbrowser
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..graph.nodes import Leaf, Part
from ..nn.module import Module
from ..nn.parameter import Parameter
from ..tensors.record import remedy_for
from ..tensors.tensor import Tensor
from . import folding
from .frames import Frames
from .packing import told
from .pages import Page
from .svg import Picture, cut, shape_text
from .tape import options, source_of

MOST = 120  # items in a picture, unless more are asked for
STRETCHES = 40  # a longer list of operations that do not repeat is cut into so many


def make_dot(var, params=None, show_attrs=False, show_saved=False, max_attr_chars=50, *, most=MOST):
    """The graph that leads to a tensor, as an SVG picture: torchviz's `make_dot`.

    var: a tensor, a tuple of them, or a page of `viz.explain`, whose boxes are then the calls of modules. Of a tensor alone
    the graph is known and no values: shapes, names and what is shared. params: {name: tensor} as torchviz wants it; without
    it the variables and modules where make_dot is called give the names. show_attrs, show_saved: the options of each
    operation, and the arrays that it keeps for its backward, in max_attr_chars letters at most. most: how many items are
    drawn; of a larger graph equal parts and long stretches are closed boxes, whose contents are counted.

    The result shows itself in a notebook; `.render("net", format="svg")` or `.save("net.svg")` writes it. Its `.source` is the
    whole graph in DOT, Graphviz's language. Raises where the graph has been released, and for a tensor that has none.

    >>> import minidl
    >>> w = minidl.ones(3, requires_grad=True)
    >>> dot = make_dot((w * w.exp()).sum(), params={"w": w})
    >>> dot
    <Dot: 3 operations, 1 other leaf.>
    >>> print(dot.source.splitlines()[3])
      n1 [label="Exp\\n(3,)" shape=box]
    """
    for name, value in (("show_attrs", show_attrs), ("show_saved", show_saved)):
        if not isinstance(value, bool):
            raise TypeError(f"make_dot: {name} must be True or False, got {value!r}")
    for name, value, least in (("max_attr_chars", max_attr_chars, 3), ("most", most, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"make_dot: {name} must be an integer of {least} or more, got {value!r}")
    given = _given(params)
    show = show_attrs, show_saved, int(max_attr_chars)
    if isinstance(var, Page):
        if params is not None:
            raise ValueError("make_dot: a page has its names already; leave params out, or pass model= to viz.explain")
        return Dot(_of_page(var, *show), int(most), f"the graph of {var.title}")
    outputs = var if isinstance(var, (tuple, list)) else (var,)
    _check(outputs, var)
    frames = Frames(last=sys._getframe(1).f_code)
    frames.look(sys._getframe(1))
    names = given or _found(frames)
    return Dot(_of_graph(outputs, names, frames.names, *show), int(most), "the graph of " + _title(outputs, frames.names))


def _title(outputs, names):
    found = [names.get(y.node) for y in outputs]
    return ", ".join(name for name in found if name) or ("a tensor" if len(outputs) == 1 else f"{len(outputs)} tensors")


def _given(params):
    """{node: name} of what the user named."""
    if params is None:
        return {}
    if isinstance(params, Module):
        raise TypeError("make_dot: params must be {name: tensor}; write params=dict(model.named_parameters())")
    if not isinstance(params, Mapping):
        raise TypeError(f"make_dot: params must be {{name: tensor}}, got {type(params).__name__}; dict(…) makes one of pairs")
    for name, x in params.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"make_dot: params[{name!r}] must be a tensor, got {type(x).__name__}{remedy_for(x)}")
    names = {}
    for name, x in params.items():
        if x.node is not None:
            names.setdefault(x.node, str(name))
    return names


def _found(frames):
    """{node: name} of parameters of the modules that the caller's variables hold; of one module without its name."""
    inner = {id(child) for _, m in frames.modules.values() for child in m.modules() if child is not m}
    roots = [(name, m) for name, m in frames.modules.values() if id(m) not in inner]
    names = {}
    for root, module in roots:
        for name, parameter in module.named_parameters():
            if parameter.node is not None:
                names.setdefault(parameter.node, name if len(roots) == 1 else f"{root}.{name}")
    return names


def _check(outputs, var):
    for y in outputs:
        if not isinstance(y, Tensor):
            what = "; call it: make_dot(model(x))" if isinstance(y, Module) else remedy_for(y)
            raise TypeError(f"make_dot: expected a tensor, a tuple of tensors or a page, got {type(y).__name__}{what}")
        if y.node is None:
            raise ValueError(
                "make_dot: the tensor depends on nothing that requires grad; use requires_grad_(), and not no_grad()"
            )
        if type(y.node) is Leaf:
            raise ValueError("make_dot: the tensor is a leaf: no operation leads to it")
    if not outputs:
        raise ValueError(f"make_dot: there is no tensor in {var!r}")


# --- the graph as the data of a page


class _Entry:
    """An operation as folding sees it."""

    calls, line = (), None

    def __init__(self, op):
        self.op, self.name, self.outputs = op, str(op.name), [op]


def _of_graph(outputs, names, variables, attrs, saved, longest):
    ops, shapes, stack = set(), {}, [y.node for y in outputs]
    while stack:
        node = stack.pop()
        if type(node) is Part and node.needs:
            shapes.setdefault(node.needs[0], {})[node.index] = node.shape
        if node.needs is None:
            raise RuntimeError(
                f"make_dot: the graph of this tensor has been walked and released, at {node.name}; call make_dot before "
                "backward(), or pass retain_graph=True to it"
            )
        op = source_of(node)[0]
        if op in ops or type(op) is Leaf:
            continue
        if op is not node:
            stack.append(op)
            continue
        ops.add(op)
        stack += [parent for parent in op.needs if parent is not None]
    entries = [_Entry(op) for op in sorted(ops, key=lambda op: op.serial)]
    root = folding.boxes(entries, lambda number: None)
    _stretch(root)
    boxes, box_of = folding.numbered(root)
    nodes, index, shares = [], {}, Counter(parent for op in ops for parent in op.needs if parent is not None)
    most = {}  # shares that add up, at the output that gets most of them
    for node, n in shares.items():
        op = source_of(node)[0]
        most[op] = max(most.get(op, 0), n)
    for entry in entries:
        op, box, needs = entry.op, box_of[entry], []
        for parent in op.needs:
            if parent is None:
                continue
            key = source_of(parent)[0]
            if key not in index:
                index[key] = len(nodes)
                nodes.append(_leaf(key, names, variables, box) | {"uses": most[key]})
            if type(key) is Leaf:
                nodes[index[key]]["box"] = folding.common(boxes, nodes[index[key]]["box"], box)
            needs.append(index[key])
        made = shapes.get(op, {0: op.shape})
        text = " · ".join(shape_text(made[k]) for k in sorted(made)[:4]) + (" …" if len(made) > 4 else "")
        more = _more(options(op).items(), attrs, saved, longest)
        index[op] = len(nodes)
        row = {"kind": "op", "name": entry.name, "var": variables.get(op, ""), "text": text, "more": more}
        nodes.append(row | {"needs": needs, "box": box, "uses": most.get(op, 0)})
    results = [index[source_of(y.node)[0]] for y in outputs]
    return {"nodes": nodes, "boxes": boxes, "results": results, "goal": "the tensor whose graph it is"}


def _leaf(leaf, names, variables, box):
    tensor = leaf.variable
    kind = "parameter" if isinstance(tensor, Parameter) else "leaf"
    name = names.get(leaf) or variables.get(leaf) or kind
    row = {"kind": kind, "name": name, "var": "", "text": shape_text(leaf.shape), "more": []}
    return row | {"needs": [], "box": box}


def _more(items, attrs, saved, longest):
    lines = []
    for name, value in items:
        arrays = [value] if isinstance(value, np.ndarray) else value if isinstance(value, (list, tuple)) else []
        if len(arrays) and all(isinstance(x, np.ndarray) for x in arrays):
            kept = " ".join(f"{shape_text(x.shape)} {x.dtype}" for x in arrays)
            lines += [cut(f"keeps {name} {kept}", longest)] if saved else []
        elif attrs and name not in ("args", "function"):
            lines.append(cut(f"{name}: {told(value)}", longest))
    return lines


def _stretch(box):
    """Cuts a long list of items into boxes of items that follow each other: the graph of these has no cycles either."""
    for item in box.items:
        if isinstance(item, folding.Box):
            _stretch(item)
    if len(box.items) > 2 * STRETCHES:
        size, items = -(-len(box.items) // STRETCHES), box.items
        box.items = []
        for k in range(0, len(items), size):
            what = "parts" if any(isinstance(item, folding.Box) for item in items) else "operations"
            part = folding.Box("part", f"{what} {k + 1} to {min(k + size, len(items))}")
            part.items = items[k : k + size]
            box.items.append(part)


def _of_page(page, attrs, saved, longest):
    data = page.data

    def lines(node):
        told = node.get("options", []) + node.get("saved", [])
        kept = [(k, data["arrays"][v["array"]]) for k, v in told if isinstance(v, dict)] if saved else []
        found = [f"keeps {k} {shape_text(x['shape'])} {x['dtype']}" for k, x in kept]
        found += [f"{k}: {v}" for k, v in told if not isinstance(v, dict)] if attrs else []
        return [cut(line, longest) for line in found]

    nodes, uses = [], {}
    for (i, _), n in Counter((o["to"], o.get("output")) for step in data["steps"] for o in step["out"]).items():
        uses[i] = max(uses.get(i, 0), n)
    for i, node in enumerate(data["nodes"]):
        shape = "failed" if node["shape"] is None else shape_text(node["shape"])
        shape += f" and {node['outputs'] - 1} more" if "outputs" in node else ""
        kept = {key: node[key] for key in ("kind", "name", "needs", "box")}
        nodes.append(kept | {"var": node.get("var", ""), "text": shape, "more": lines(node), "uses": uses.get(i, 0)})
    goal = "the loss" if page.error is None else "the operation that failed"
    return {"nodes": nodes, "boxes": data["boxes"], "results": [data["loss"]] if nodes else [], "goal": goal}


class Dot:
    """The picture that make_dot makes, with the methods of graphviz.Digraph that users of torchviz call.

    >>> import minidl
    >>> w = minidl.ones(3, requires_grad=True)
    >>> dot = make_dot(w.sum())
    >>> dot.svg[:4], dot.format
    ('<svg', 'svg')
    """

    format = "svg"

    def __init__(self, data, most, title):
        self.picture = Picture(data, most, title)
        self._svg = None

    def __repr__(self):
        return f"<Dot: {self.picture.summary()}>"

    @property
    def svg(self):
        """The picture as text: the same for the same program."""
        if self._svg is None:
            self._svg = self.picture.svg()
        return self._svg

    @property
    def source(self):
        """The whole graph in DOT, for those who have Graphviz: graphviz.Source(dot.source)."""
        colour = {"parameter": "lightblue", "leaf": "palegreen"}
        rows = ["digraph {", "  node [fontname=monospace]"]
        for i, node in enumerate(self.picture.nodes):
            lines = [node["name"], node["text"], *node["more"]]
            label = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
            filled = "orange" if i in self.picture.data["results"] else colour.get(node["kind"])
            style = f" style=filled fillcolor={filled}" if filled else ""
            rows.append(f'  n{i} [label="{label}" shape={"box" if node["kind"] == "op" else "ellipse"}{style}]')
        rows += [f"  n{j} -> n{i}" for i, node in enumerate(self.picture.nodes) for j in node["needs"]]
        return "\n".join([*rows, "}"]) + "\n"

    def render(self, filename="graph", directory=None, view=False, cleanup=False, format=None):
        """Writes `filename`.svg and gives its path; view opens it. cleanup: nothing else is written that could be removed."""
        format = self.format if format is None else format
        if format != "svg":
            raise ValueError(
                f"Dot.render: format {format!r} needs Graphviz, which is not used; write format='svg', or where Graphviz is "
                f"installed graphviz.Source(dot.source).render('graph', format={format!r})"
            )
        path = Path(filename) if str(filename).endswith(".svg") else Path(f"{filename}.svg")
        path = self.save(path if directory is None else Path(directory) / path)
        if view and not webbrowser.open(Path(path).resolve().as_uri()):
            raise RuntimeError(f"Dot.render: no browser was found; the picture is {path}")
        return path

    def save(self, filename="graph.svg"):
        """Writes the picture (.svg) or the DOT source (.gv, .dot), by the ending of the name, and gives the path as a text."""
        path = Path(filename)
        if path.suffix not in (".svg", ".gv", ".dot"):
            raise ValueError(f"Dot.save: expected a name that ends in .svg, .gv or .dot, got {str(filename)!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.svg if path.suffix == ".svg" else self.source, encoding="utf-8")
        return str(path)

    def view(self):
        """Opens the picture in a browser, from a temporary file; gives its path."""
        return self.render(Path(tempfile.mkdtemp(prefix="minidl-")) / "graph", view=True)

    def _repr_svg_(self):
        return self.svg

    def _repr_html_(self):
        """For notebooks; wider pictures scroll."""
        return f'<div style="overflow:auto" tabindex="0" aria-label="{html.escape(self.picture.title)}">{self.svg}</div>'
