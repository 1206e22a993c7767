"""The pictures of the atlas, as SVG that stands in the page: its text has the colour of the page's, be it light or dark.

A function of one number is drawn as a curve with its derivative. Of any other operation the picture shows what one element of
the output depends on. The derivatives are those of the operation's own backward.
"""

import io
import re
from html import escape

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from minidl.graph.nodes import Leaf

F, SLOPE, GREY, POSITIVE, NEGATIVE = "#3b7fd4", "#d9730d", "#808080", "#e07b1a", "#3f82d8"  # to be seen on white and on black
INK = "#010203"  # what matplotlib writes for the colour of the page's text
STEP = 1e-6  # of difference quotients
HEIGHT = 5.0  # what is farther from 0 is not drawn
STYLE = {
    "svg.hashsalt": "minidl",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


def run(make, inputs, dy=None):
    """(outputs, gradients) of an operation. dy: one array for each output; by default ones."""
    op = make()
    op.needs = [Leaf(x.shape, x.dtype) if isinstance(x, np.ndarray) else None for x in inputs]
    with np.errstate(all="ignore"):  # outside of the domain there is NaN
        y = op.forward(*(x.copy() if isinstance(x, np.ndarray) else x for x in inputs))
        ys = [np.asarray(v) for v in (y if type(y) is tuple else (y,))]
        dy = [np.ones_like(v) for v in ys] if dy is None else dy
        found = op.backward(list(dy) if type(y) is tuple else dy[0])
    return ys, [None if dx is None else np.asarray(dx) for dx in (found if type(found) is tuple else (found,))]


# --- curves


class Curve:
    """f and f′ of an operation on numbers, at many x. Raises ValueError if its backward disagrees with difference quotients.

    kinks: where the slopes to the left and to the right differ; jumps: where f itself does. compared: at how many x.
    """

    def __init__(self, make):
        self.make = make
        x = np.arange(-800, 801) / 200  # kinks lie at such numbers
        inside = x[np.isfinite(self.at(x)[0])]
        self.low, self.high = inside[0], inside[-1]
        if self.high - self.low < 4:
            x = self.low + (self.high - self.low) * np.arange(1601) / 1600
        self.x = x = x[(x >= self.low) & (x <= self.high)]
        self.f, self.slope = self.at(x)
        ends = [self.at(x + h)[0] for h in (-STEP, STEP)]
        left, right = (self.f - ends[0]) / STEP, (ends[1] - self.f) / STEP
        self.quotient = (ends[1] - ends[0]) / (2 * STEP)
        seen = np.isfinite(self.quotient) & (np.abs(self.f) <= HEIGHT) & (np.abs(self.slope) <= HEIGHT)
        jump = seen & (np.abs(ends[1] - ends[0]) > 1e-3)
        bent = jump | seen & (np.abs(left - right) > 1e-3 * (1 + np.abs(self.slope)))
        self.kinks, self.jumps = x[bent & ~jump], x[jump]
        self.seen = seen & ~bent
        wrong = self.seen & (np.abs(self.slope - self.quotient) > 1e-6 * (1 + np.abs(self.quotient)))
        if wrong.any():
            i = int(np.argmax(wrong))
            told = f"at x = {x[i]:g} backward gives {self.slope[i]:.9g}, the difference quotient is {self.quotient[i]:.9g}"
            raise ValueError(f"{make().name}: {told}")
        self.compared = int(self.seen.sum())
        shown = np.concatenate([v[np.isfinite(v)].clip(-HEIGHT, HEIGHT) for v in (self.f, self.slope)])
        pad = 0.06 * max(shown.max() - shown.min(), 0.5)
        self.bottom, self.top = float(shown.min() - pad), float(shown.max() + pad)

    def at(self, x):
        (f,), (slope,) = run(self.make, (np.asarray(x, np.float64),))
        return f, slope

    def lines(self):
        """(x, f, f′) with NaN where a line has to be broken: at kinks and jumps, at poles, and beside what is not finite."""
        around = np.concatenate([np.concatenate([self.kinks, self.jumps]) + d for d in (-1e-9, 0, 1e-9)])
        x = np.union1d(self.x, around)
        f, slope = self.at(x)
        broken = np.isin(x, self.jumps)
        f, slope = np.where(broken, np.nan, f), np.where(broken | np.isin(x, self.kinks), np.nan, slope)
        return x, self._cut(f), self._cut(slope)

    def _cut(self, v):
        v = np.where(np.isfinite(v), v, np.nan)
        over = np.abs(np.diff(v, append=v[-1])) > self.top - self.bottom
        return np.where(over | (np.abs(v) > 4 * HEIGHT), np.nan, v)

    def svg(self, name):
        with matplotlib.rc_context(STYLE):
            figure, ax = plt.subplots(figsize=(6.6, 3.7), layout="constrained")
            x, f, slope = self.lines()
            ax.axhline(0, color=GREY, linewidth=0.7)
            if self.low < 0 < self.high:
                ax.axvline(0, color=GREY, linewidth=0.7)
            ax.plot(x, f, color=F, linewidth=2.2, label="f: forward")
            ax.plot(x, slope, "--", color=SLOPE, linewidth=2.0, label="f′: backward, for dy = 1")
            if bends := [*self.kinks, *self.jumps]:
                f, slope = self.at(np.array(bends))
                ax.plot(bends, f, "o", color=F, markersize=6)
                ring = {"markerfacecolor": "none", "markeredgecolor": SLOPE, "markeredgewidth": 1.8}
                ax.plot(bends, slope, "o", markersize=11, label="f′ at a kink or jump", **ring)
            margin = 0.02 * (self.high - self.low)
            across = self.low - margin, self.high + margin
            ax.set(xlim=across, ylim=(self.bottom, self.top), xlabel="x", ylabel="f(x) and f′(x)")
            ax.spines[["top", "right"]].set_visible(False)
            style = {"ncols": 3, "frameon": False, "borderaxespad": 0.2, "handlelength": 1.8, "columnspacing": 1.4}
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), **style)
            text = io.StringIO()
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
            plt.close(figure)
        return inline(text.getvalue(), f"{name}: f and its derivative for x from {self.low:g} to {self.high:g}")

    def thumbnail(self, width=96, height=44):
        x, *lines = self.lines()
        across = 2 + (width - 4) * (x - self.low) / (self.high - self.low)
        parts = []
        for v, style in zip(lines, (f'stroke="{F}"', f'stroke="{SLOPE}" stroke-dasharray="4 2"'), strict=True):
            down = 2 + (height - 4) * (self.top - v) / (self.top - self.bottom)
            pen, path = "M", []
            for i in thinned(across, down, height):
                path.append(f"{pen}{across[i]:.1f} {down[i]:.1f}" if i >= 0 else "")
                pen = "L" if i >= 0 else "M"
            parts.append(f'<path d="{"".join(path)}" fill="none" stroke-width="1.6" {style}/>')
        zero = 2 + (height - 4) * self.top / (self.top - self.bottom)
        axis = f'<path d="M0 {zero:.1f}H{width}" stroke="{GREY}" stroke-width="0.6"/>' if self.bottom < 0 < self.top else ""
        size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        return f'<svg {size} aria-hidden="true">{axis}{"".join(parts)}</svg>'


def thinned(across, down, height):
    """Numbers of the points that a small picture needs, and −1 where the line is broken."""
    last, kept = None, [-1]
    for i, v in enumerate(down):
        if not -2 < v < height + 2:  # NaN, too
            if kept[-1] != -1:
                kept.append(-1)
            last = None
        elif last is None or across[i] - across[last] > 1.5 or abs(v - down[last]) > 2:
            kept.append(i)
            last = i
    return kept


def inline(svg, label):
    """The SVG without its head, in the colour of the page's text, not wider than there is room, with a label in words."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S)  # it would hold for all of the page
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S).replace(INK, "currentColor")
    svg = re.sub(r"font-family: [^;]*;", "font-family: sans-serif;", svg)
    style = r"stroke-linejoin:round;width:100%;max-width:\2pt;height:auto"
    svg = re.sub(r'(<svg [^>]*?) width="([\d.]+)pt" height="[\d.]+pt"', rf'\1 style="{style}"', svg)
    svg = re.sub(r"(\d\.\d)\d{3,}", r"\1", svg)  # coordinates; what is written at an axis has fewer digits
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1).strip()


# --- what one element depends on

CELL, GAP, WIDTH = 20, 8, 720


class Dependence:
    """How one element of an output changes with each element of each input: the gradients for dy = 1 there and 0 elsewhere.

    Of all elements of the first output it is one that depends on the most, and of those the one nearest to the middle.
    """

    def __init__(self, make, inputs):
        self.inputs = inputs
        self.outputs, _ = run(make, inputs)
        first, best = self.outputs[0], (-1, 0)
        places = sorted(range(first.size), key=lambda i: (abs(i - first.size // 2), i))
        for i in places:
            dy = [np.zeros_like(y) for y in self.outputs]
            dy[0].reshape(-1)[i] = 1
            _, found = run(make, inputs, dy)
            count = sum(np.count_nonzero(dx) for dx in found if dx is not None)
            if count > best[0]:
                best, self.gradients, self.dy = (count, i), found, dy
        self.place = tuple(int(i) for i in np.unravel_index(best[1], first.shape))

    def svg(self, name, names, output_names):
        element = output_names[0] + (f"[{', '.join(map(str, self.place))}]" if self.place else "")
        blocks = []
        for label, x, dx in zip(names, self.inputs, self.gradients, strict=True):
            if isinstance(x, np.ndarray):
                blocks.append(block(label, x, dx, f"∂{element}/∂{label}"))
        blocks += [
            block(label, y, None, "", self.place if i == 0 else None)
            for i, (label, y) in enumerate(zip(output_names, self.outputs, strict=True))
        ]
        label = f"{name}: its inputs and output, and how {element} depends on them"
        return arranged(blocks, label), element


def block(label, x, dx, below, mark=None):
    """(width, height, SVG) of an array with its gradient under it."""
    shape = "×".join(map(str, x.shape)) or "one number"
    parts = [f'<text x="0" y="12">{escape(label)} <tspan fill="{GREY}">{shape}</tspan></text>']
    width, height, cells = grid(x, 20, mark)
    parts.append(cells)
    width, bottom = max(width, 7.3 * len(f"{label} {shape}")), 20 + height
    if dx is not None:
        parts.append(f'<text x="0" y="{bottom + 20}">{escape(below)}</text>')
        wide, high, cells = grid(dx, bottom + 28)
        parts.append(cells)
        width, bottom = max(width, wide, 7.3 * len(below)), bottom + 28 + high
    return width, bottom, "".join(parts)


def grid(x, top, mark=None):
    """(width, height, SVG) of an array's elements: stronger is larger, and the first axes of more than two set tables apart."""
    largest = float(np.abs(x[np.isfinite(x)]).max(initial=0)) or 1.0
    table = x.reshape((1,) * (2 - x.ndim) + x.shape)
    extent, parts = [0, 0], []
    for index, v in zip(np.ndindex(table.shape), table.ravel().tolist(), strict=True):
        row, column = (position(index, table.shape, axis) for axis in (0, 1))
        extent = [max(extent[0], row + CELL), max(extent[1], column + CELL)]
        colour = POSITIVE if v > 0 else NEGATIVE
        fill = f' fill="{colour}" fill-opacity="{0.15 + 0.85 * abs(v) / largest:.2f}"' if v else ' fill="none"'
        place = index[2 - x.ndim :] if x.ndim < 2 else index
        marked = mark is not None and place == mark
        parts.append(f'<rect x="{column}" y="{top + row}" width="{CELL - 2}" height="{CELL - 2}"{fill} stroke="{GREY}"')
        parts.append(' stroke-width="0.5"' + f"><title>{list(place)}: {v:.4g}</title></rect>")
        if marked:
            parts.append(f'<rect x="{column - 1.5}" y="{top + row - 1.5}" width="{CELL + 1}" height="{CELL + 1}" rx="2"')
            parts.append(' fill="none" stroke="currentColor" stroke-width="2.5"/>')
    return extent[1], extent[0], "".join(parts)


def position(index, shape, axis):
    """Pixels down (axis 0) or across (axis 1): the last two axes make a table, the ones before put tables beside and below."""
    axes = [k for k in range(len(shape)) if (len(shape) - 1 - k) % 2 == 1 - axis][::-1]
    size, place = CELL, 0
    for k in axes:
        place += index[k] * size
        size = size * shape[k] + GAP
    return place


def arranged(blocks, label):
    """The blocks side by side, in as many rows as the width asks for."""
    x, y, high, wide, parts = 2, 4, 0, 0, []
    for width, height, svg in blocks:
        if x > 2 and x + width > WIDTH:
            x, y, high = 2, y + high + 22, 0
        parts.append(f'<g transform="translate({x:.0f} {y})">{svg}</g>')
        x, high = x + width + 26, max(high, height)
        wide = max(wide, x - 26)
    size = f'viewBox="0 0 {wide + 4:.0f} {y + high + 4:.0f}" style="width:100%;max-width:{wide + 4:.0f}px;height:auto"'
    head = f'<svg role="img" aria-label="{escape(label)}" {size} font-size="12.5" font-family="sans-serif" fill="currentColor">'
    return head + "".join(parts) + "</svg>"
