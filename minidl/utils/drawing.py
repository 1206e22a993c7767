"""What draws with matplotlib. Loaded at its first use, because matplotlib is no dependency."""

import sys

import matplotlib
from matplotlib import pyplot as plt

from .board import in_notebook

__all__ = ["plt", "set_axes", "set_figsize", "show", "use_svg_display"]


def use_svg_display():
    """Pictures in a notebook as SVG, which stays sharp; elsewhere nothing.

    >>> use_svg_display()
    """
    if in_notebook():
        matplotlib_inline = sys.modules.get("matplotlib_inline.backend_inline")
        if matplotlib_inline is not None:
            matplotlib_inline.set_matplotlib_formats("svg")


def set_figsize(figsize=(3.5, 2.5)):
    """The size of the figures to come, in inches.

    >>> set_figsize((4, 3))
    >>> list(plt.rcParams["figure.figsize"])
    [4.0, 3.0]
    """
    use_svg_display()
    matplotlib.rcParams["figure.figsize"] = figsize


def set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend):
    """Labels, limits, scales, legend and grid of a matplotlib Axes.

    >>> set_axes(plt.figure().gca(), "x", "f(x)", (0, 1), None, "linear", "log", ["f"])
    >>> plt.gca().get_ylabel(), plt.gca().get_yscale()
    ('f(x)', 'log')
    >>> plt.close("all")
    """
    axes.set(xlabel=xlabel or "", ylabel=ylabel or "", xscale=xscale, yscale=yscale)
    for limit, values in ((axes.set_xlim, xlim), (axes.set_ylim, ylim)):
        if values is not None:
            limit(values)
    if legend:
        lines = axes.get_lines()
        axes.legend(lines[: len(legend)], list(legend)[: len(lines)]) if lines else None
    axes.grid(True)


def show(figure):
    """Shows a figure in a notebook, in place of what was shown before in this cell; elsewhere nothing.

    >>> show(None)
    """
    if in_notebook():
        display = sys.modules["IPython"].display
        display.display(figure)
        display.clear_output(wait=True)
