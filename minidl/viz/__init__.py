"""Seeing backprop: any loss as a page on which the walk back is stepped through.

explain and record make a Page (pages.py). tape.py observes the engine, frames.py reads names and lines off the Python stack,
folding.py makes boxes of module calls and repeated parts, reach.py knows which elements an element depends on, replay.py checks
against difference quotients, texts.py quotes formulas and sources, packing.py holds arrays, building.py puts it all together.
layout.py places boxes and operations, for still pictures, which svg.py writes and make_dot (dot.py) asks for; page/ is what the
browser runs, with the same layout in layout.js.
"""

from .dot import Dot, make_dot
from .pages import Page, explain, record

__all__ = ["Dot", "Page", "explain", "make_dot", "record"]
