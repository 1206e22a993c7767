"""A board on which the numbers of a training are drawn while it runs, as *Dive into Deep Learning* (3.2.1) has it."""

import math
import sys
from collections import namedtuple

from .. import utils
from .hyperparameters import HyperParameters

Point = namedtuple("Point", "x y")


def in_notebook():
    """Whether this is a notebook, where pictures are shown.

    >>> in_notebook()
    False
    """
    ipython = sys.modules.get("IPython")
    shell = ipython and getattr(ipython, "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class ProgressBoard(HyperParameters):
    """Lines that grow: draw(x, y, label). In a notebook they are shown as they grow; `fig` is the figure.

    display: False draws nothing, and keeps the points in `data`. Without matplotlib the points are printed.

    >>> board = ProgressBoard("x", display=False)
    >>> for x in range(4):
    ...     board.draw(x, x**2, "square", every_n=2)
    >>> board.data["square"]
    [Point(x=0.5, y=0.5), Point(x=2.5, y=6.5)]
    """

    def __init__(
        self, xlabel=None, ylabel=None, xlim=None, ylim=None, xscale="linear", yscale="linear", ls=("-", "--", "-.", ":"),
        colors=("C0", "C1", "C2", "C3"), fig=None, axes=None, figsize=(3.5, 2.5), display=True,
    ):  # fmt: skip
        self.save_hyperparameters()
        self.raw_points, self.data, self._lines = {}, {}, {}

    def draw(self, x, y, label, every_n=1):
        """Adds a point to the line of this label; every_n points become one, their mean."""
        points = self.raw_points.setdefault(label, [])
        points.append(Point(float(x), float(y)))
        if len(points) < max(1, int(every_n)):
            return
        mean = Point(*(math.fsum(values) / len(points) for values in zip(*points, strict=True)))
        points.clear()
        self.data.setdefault(label, []).append(mean)
        if self.display:
            self._show(label, mean)

    def _show(self, label, point):
        try:
            drawing = utils.drawing
        except ImportError:
            print(f"{self.xlabel or 'x'} {point.x:.4g}: {label} {point.y:.4g}")
            return
        if self.axes is None:
            if self.fig is None:
                drawing.use_svg_display()
                self.fig = drawing.plt.figure(figsize=self.figsize)
            self.axes = self.fig.gca()
        if label not in self._lines:
            i = len(self._lines)
            style = {"linestyle": self.ls[i % len(self.ls)], "color": self.colors[i % len(self.colors)]}
            self._lines[label] = self.axes.plot([], [], label=label, **style)[0]
            self.axes.set(xlabel=self.xlabel or "x", ylabel=self.ylabel or "", xscale=self.xscale, yscale=self.yscale)
            self.axes.legend()
        self._lines[label].set_data(*zip(*self.data[label], strict=True))
        self.axes.relim()
        self.axes.autoscale_view()
        for limit, values in ((self.axes.set_xlim, self.xlim), (self.axes.set_ylim, self.ylim)):
            if values:
                limit(values)
        drawing.show(self.axes.figure)
