"""Seeing backprop: any loss as a page on which the walk back is stepped through.

explain and record make a Page (pages.py). tape.py observes the engine, frames.py reads names and lines off the Python stack,
folding.py makes boxes of module calls and repeated parts, reach.py knows which elements an element depends on, replay.py checks
against difference quotients, texts.py quotes formulas and sources, packing.py holds arrays, building.py puts it all together.
layout.py places boxes and operations, for still pictures, which svg.py writes and make_dot (dot.py) asks for; page/ is what the
browser runs, with the same layout in layout.js.
boundary.py and landscape.py compute what a model says, and its loss, over a plane, from snapshots of a training (snapshots.py);
films.py draws these with matplotlib.
"""

from importlib import import_module

from .boundary import Boundary, decision_boundary
from .dot import Dot, make_dot
from .landscape import Landscape, loss_landscape
from .pages import Page, explain, record
from .snapshots import Snapshots

__all__ = [
    "Boundary",
    "Dot",
    "Landscape",
    "Page",
    "Snapshots",
    "decision_boundary",
    "explain",
    "loss_landscape",
    "make_dot",
    "record",
]


def __getattr__(name):
    """Loads films.py at its first use (PEP 562): it needs matplotlib, which may be missing."""
    if name == "films":
        try:
            return import_module(".films", __name__)
        except ModuleNotFoundError as error:
            if error.name != "matplotlib":
                raise
            raise ImportError("minidl: pictures need matplotlib; install it with: pip install matplotlib") from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
