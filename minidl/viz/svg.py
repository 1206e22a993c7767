"""A graph as a still picture: SVG text made of the places that layout.py gives, without Graphviz and without a browser."""

import hashlib
import html
import unicodedata
from collections import Counter
from itertools import pairwise

from .layout import HEAD, arrange, levels

SIZE, LINE = 12, 16  # of the letters and lines, in pixels
CHAR = 0.62  # the width of a letter by its size; it is less in the common monospace fonts
MARGIN, PADDING = 20, 8
LONGEST = 44  # letters in a line; what is longer is cut, and told in full where the pointer rests

STYLE = """
.minidl-dot { --bg: #fbfbf9; --fg: #1d2125; --mute: #596068; --card: #fff; --line: #7d848d; --leaf: #dcecf8;
  --leafline: #1b6396; --other: #e3f1e0; --otherline: #25703a; --loss: #fbe6d4; --lossline: #a84a12; }
@media (prefers-color-scheme: dark) { .minidl-dot { --bg: #16181b; --fg: #e6e8ea; --mute: #a3abb4; --card: #24292f;
  --line: #7f8893; --leaf: #17364d; --leafline: #6fb7e8; --other: #1c3a24; --otherline: #7bd08f;
  --loss: #4a2d14; --lossline: #f0a060; } }
.minidl-dot text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, "Courier New", monospace; fill: var(--fg); }
.minidl-dot .ground { fill: var(--bg); }
.minidl-dot .name { font-weight: bold; }
.minidl-dot .small { fill: var(--mute); }
.minidl-dot .edge { fill: none; stroke: var(--line); stroke-width: 1.3; }
.minidl-dot .tip { fill: var(--line); }
.minidl-dot .item rect, .minidl-dot .key rect { fill: var(--card); stroke: var(--line); stroke-width: 1.4; }
.minidl-dot .parameter rect { fill: var(--leaf); stroke: var(--leafline); }
.minidl-dot .leaf rect { fill: var(--other); stroke: var(--otherline); }
.minidl-dot .constant rect { stroke-dasharray: 2 3; }
.minidl-dot .result rect { fill: var(--loss); stroke: var(--lossline); stroke-width: 2.4; }
.minidl-dot .closed rect { stroke-width: 3; stroke: var(--mute); }
.minidl-dot .label { fill: var(--mute); paint-order: stroke; stroke: var(--bg); stroke-width: 4px; }
.minidl-dot .frame { fill: none; stroke: var(--line); stroke-dasharray: 6 4; }
.minidl-dot .sum { fill: var(--lossline); font-weight: bold; }
"""


def width(text, bold=False):
    """How wide a line is at most, in pixels; letters of East Asia take two places."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text) * SIZE * CHAR * (1.02 if bold else 1)


def cut(text, longest=LONGEST):
    text = " ".join(str(text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def shape_text(shape):
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


class Picture:
    """The picture of a graph: data as of a page (`nodes`, `boxes`, `results`), with the boxes open that leave `most` items."""

    def __init__(self, data, most, title):
        self.data, self.title = data, title
        self.nodes, self.boxes = data["nodes"], data["boxes"]
        self.users = Counter(j for node in self.nodes for j in node["needs"])
        self.tree = levels(data)
        self.open = opened(self.tree, self.boxes, most)
        self.inside = self._inside()
        self.lines = {}
        self.drawing = arrange(self.tree, self.open, self.size)

    def _inside(self):
        """The nodes within each box, at any depth."""
        inside = {}
        for i, node in enumerate(self.nodes):
            box = node["box"]
            while box is not None:
                inside.setdefault(box, []).append(i)
                box = self.boxes[box]["parent"]
        return inside

    # --- what is written where

    def text(self, key):
        """[(class, line)] of an item."""
        if key not in self.lines:
            of = self._closed(int(key[1:])) if key[0] == "b" else self._node(key)
            self.lines[key] = [(kind, cut(line)) for kind, line in of if line]
        return self.lines[key]

    def _node(self, key):
        number, _, user = key[1:].partition(".")
        node = self.nodes[int(number)]
        uses = node["uses"]
        name = node["name"] if node["kind"] != "op" or not node["var"] else f"{node['var']} = {node['name']}"
        lines = [("name", name), ("small", node["text"])]
        if uses > 1:
            lines.append(("sum", f"Σ of {uses} shares"))
        elif user and node["kind"] == "constant":
            lines.append(("small", f"one of {self.users[int(number)]} uses"))
        return lines + [("small", line) for line in node["more"]]

    def _closed(self, box):
        row, inside = self.boxes[box], [self.nodes[i] for i in self.inside.get(box, ())]
        kinds = Counter(node["name"] for node in inside if node["kind"] == "op")
        told = ", ".join(name if n == 1 else f"{name} ×{n}" for name, n in kinds.most_common(3))
        more = f" and {len(kinds) - 3} more kinds" if len(kinds) > 3 else ""
        needs = [j for node in inside for j in node["needs"] if self.nodes[j]["kind"] in ("parameter", "leaf")]
        named = {j: self.nodes[j]["name"] for j in needs}
        uses = ", ".join(list(named.values())[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
        n = sum(kinds.values())
        return [
            ("name", self.label(row)),
            ("small", f"{n} operation{'s' * (n != 1)}, closed"),
            ("small", told + more),
            ("small", f"with {uses}" if named else ""),
        ]

    @staticmethod
    def label(row):
        text = f"{row['attr']}: {row['label']}" if row["attr"] else row["label"]
        return f"{text} ×{row['times']}" if "times" in row else f"{text} #{row['turn']}" if "turn" in row else text

    def size(self, key):
        if key[0] == "b" and int(key[1:]) in self.open:  # a line that enters in the middle passes the label
            return 2 * width(cut(self.label(self.boxes[int(key[1:])]))) + 24, HEAD
        lines = self.text(key)
        return max(width(line, kind == "name") for kind, line in lines) + 2 * PADDING, len(lines) * LINE + PADDING

    def summary(self):
        """What the picture shows, in a sentence or two."""
        kinds = Counter(node["kind"] for node in self.nodes)
        words = ("op", "operation", "operations"), ("parameter",) * 2 + ("parameters",), ("leaf", "other leaf", "other leaves")
        parts = [f"{kinds[kind]:,} {one if kinds[kind] == 1 else many}" for kind, one, many in words if kinds[kind]]
        text = ", ".join(parts) + "."
        closed = [p for p in self.drawing.places if p.key[0] == "b" and not p.open]
        if closed:
            n = sum(sum(self.nodes[i]["kind"] == "op" for i in self.inside[int(p.key[1:])]) for p in closed)
            boxes = "a closed box" if len(closed) == 1 else f"{len(closed)} closed boxes"
            text += f" {n:,} of them are within {boxes}; a larger most= draws more."
        return text

    def legend(self):
        """[(class, text)] of the kinds that are there."""
        kinds = {node["kind"] for node in self.nodes}
        rows = [("parameter", "parameter"), ("leaf", "other leaf that requires grad"), ("constant", "constant")]
        rows = [(kind, text) for kind, text in rows if kind in kinds] + [("result", self.data["goal"])]
        if any(kind == "sum" for lines in self.lines.values() for kind, _ in lines):
            rows.append(("sum", "Σ: used at several places, from which shares of the gradient come and add up"))
        return rows

    # --- SVG

    def svg(self):
        drawing, body, y = self.drawing, [], MARGIN
        heads = [("name", self.title), ("small", self.summary())]
        inner = max([drawing.w, *(width(line, kind == "name") for kind, line in heads)])
        for kind, line in heads:
            body.append(_text(MARGIN, y + 12, line, kind))
            y += LINE + 2
        x = MARGIN
        for kind, line in self.legend():
            sample = 0 if kind == "sum" else 22
            if x > MARGIN and x + sample + width(line) > inner + MARGIN:
                x, y = MARGIN, y + LINE + 4
            if sample:
                body.append(f'<g class="key {kind}"><rect x="{x:g}" y="{y + 2}" width="16" height="11" rx="3"/></g>')
            body.append(_text(x + sample, y + 12, line, "sum" if kind == "sum" else "small"))
            inner = max(inner, x + sample + width(line, kind == "sum") - MARGIN)
            x += sample + width(line) + 18
        y += LINE + 14
        w, h = inner + 2 * MARGIN, y + drawing.h + MARGIN
        left = MARGIN + (inner - drawing.w) / 2
        body.append(f'<g transform="translate({left:.1f} {y:.1f})">')
        body += [_rect(p, 9, "frame") for p in drawing.places if p.open]
        body += [_edge(route.points) for route in drawing.routes]
        body += [self._label(p) for p in drawing.places if p.open]
        body += [self._item(p) for p in drawing.places if not p.open]
        body.append("</g>")
        inside = "\n".join(body)
        mark = hashlib.sha1(inside.encode()).hexdigest()[:10]  # several pictures may be in one document
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="minidl-dot" viewBox="0 0 {w:.0f} {h:.0f}" '
            f'width="{w:.0f}" height="{h:.0f}" '
            f'role="img" aria-labelledby="t{mark} d{mark}">\n<title id="t{mark}">{html.escape(self.title)}</title>\n'
            f'<desc id="d{mark}">{html.escape(self.description())}</desc>\n<style>{STYLE}</style>\n'
            f'<rect class="ground" width="100%" height="100%"/>\n{inside}\n</svg>\n'
        )

    def description(self):
        """The graph as text, for who cannot see it: what each operation is made of; of a large graph the summary."""
        rows = [node for node in self.nodes if node["kind"] == "op"]
        if len(rows) > 40:
            return self.summary()
        made = [
            f"{node['name']} of {' and '.join(self.nodes[j]['name'] for j in node['needs']) or 'constants'}" for node in rows
        ]
        return f"{self.summary()} From the inputs down: {'; '.join(made)}."

    def _label(self, p):
        return _text(p.x + 8, p.y + 15, cut(self.label(self.boxes[int(p.key[1:])])), "label")

    def _item(self, p):
        if p.key[0] == "b":
            kind, round_, told = "closed", 6, self.label(self.boxes[int(p.key[1:])])
        else:
            i = int(p.key[1:].partition(".")[0])
            node = self.nodes[i]
            kind, told = "result" if i in self.data["results"] else node["kind"], f"{node['name']} {node['text']}"
            round_ = 6 if node["kind"] == "op" else 14
            told = "\n".join([told, *node["more"]])
        lines = "".join(
            _text(p.x + p.w / 2, p.y + PADDING / 2 + 12 + k * LINE, line, f"{style} mid")
            for k, (style, line) in enumerate(self.text(p.key))
        )
        rect = _rect(p, round_)
        return f'<g class="item {kind}"><title>{html.escape(told)}</title>{rect}{lines}</g>'


def _text(x, y, line, style):
    middle, style = style.endswith(" mid"), style.removesuffix(" mid")
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}"{anchor}>{html.escape(line)}</text>'


def _rect(p, corner, style=""):
    style = f'class="{style}" ' if style else ""
    return f'<rect {style}x="{p.x:.1f}" y="{p.y:.1f}" width="{p.w:.1f}" height="{p.h:.1f}" rx="{corner}"/>'


def _edge(points):
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for k, ((x1, y1), (x2, y2)) in enumerate(pairwise(points)):
        bend = max(10, (y2 - y1) / 2)
        curve = f"C{x1:.1f},{y1 + bend:.1f} {x2:.1f},{y2 - bend:.1f} " if k % 2 == 0 else "L"
        path += f"{curve}{x2:.1f},{y2:.1f}"
    x, y = points[-1]
    return f'<path class="edge" d="{path}"/><path class="tip" d="M{x:.1f},{y:.1f}l-4,-8h8z"/>'


def opened(tree, boxes, most):
    """The boxes that can be open so that at most `most` items show, from the outside in, and on each level the last first.

    Of equal parts that are folded, all are open or none.
    """
    count, found, level = len(tree.items.get(None, ())), set(), [None]
    while level:
        below = []
        for box in level:
            for key in reversed(tree.items.get(box, ())):
                if key[0] != "b":
                    continue
                opening, inside = [int(key[1:])], tree.items[int(key[1:])]
                if boxes[opening[0]]["kind"] == "fold":
                    opening += [int(turn[1:]) for turn in inside]
                    inside = [item for turn in opening[1:] for item in tree.items[turn]]
                if count + len(inside) - 1 > most:
                    continue
                count += len(inside) - 1
                found.update(opening)
                below.append(opening[0]) if len(opening) == 1 else below.extend(opening[1:])
        level = below
    return found
