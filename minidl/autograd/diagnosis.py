"""What to tell about a wrong gradient: which one of several, where it is wrong, and one hint at the most."""

import ast
import functools
import math
import re

import numpy as np

from .differences import GradcheckError
from .hints import HINTS, NEARLY_RIGHT, axes_named, close

SHOWN = 5  # wrong elements in a report


class Finding:
    """A gradient that differs from the numeric one: of the outputs ks, with respect to input i, at the elements `wrong`."""

    def __init__(self, trial, i, ks, analytic, numeric, wrong, others):
        self.trial, self.i, self.ks, self.analytic, self.numeric, self.wrong = trial, i, ks, analytic, numeric, wrong
        self.others = others  # cotangents, first outputs and recorded outputs; and the numeric gradients for all inputs so far

    @functools.cached_property
    def nearly_right(self):
        return close(self.analytic, self.numeric)

    @functools.cached_property
    def hint(self):
        return next(filter(None, map(self.says, HINTS)), "")

    def says(self, hint):
        if self.nearly_right and hint not in NEARLY_RIGHT:
            return ""
        try:
            with np.errstate(all="ignore"):
                return hint(self) or ""
        except (GradcheckError, ArithmeticError, ValueError, IndexError, TypeError, RuntimeError):
            return ""  # what the hint tries cannot be computed here, so this is not the mistake

    @property
    def richness(self):
        """The finding that says most is reported: one with a hint, of one output alone, with many elements, the first."""
        return bool(self.hint), len(self.ks) == 1, self.numeric.size, -self.i

    def what(self):
        names, everything = self.trial.names, len(self.others.values)
        of = "the outputs" if len(self.ks) > 1 else names.output(self.ks[0]) if everything > 1 else "the output"
        return f"the gradient of {of} with respect to {names.input(self.i)}, shape {self.numeric.shape},"


class Evidence:
    """What a check has computed, for the hints."""

    def __init__(self, cotangents, values, outputs):
        self.cotangents, self.values, self.outputs = cotangents, values, outputs
        self.numeric = {}  # (input, outputs) -> gradient


def report(findings):
    """The text about the richest of the findings, with the other inputs that are wrong, too."""
    best = max(findings, key=lambda finding: finding.richness)
    error = relative_error(best.analytic, best.numeric)
    n, size = len(best.wrong), best.numeric.size
    shown = "" if n == 1 else "; the worst:" if n > SHOWN else ":"
    lines = [
        f"{best.trial.names.check}: {best.what()} is wrong at {n} of {size} elements{shown}",
        f"{'index':>12}{'analytic':>18}{'numeric':>18}{'relative error':>18}",
    ]
    for index in best.wrong[:SHOWN]:
        lines.append(f"{index!s:>12}{best.analytic[index]:18.10g}{best.numeric[index]:18.10g}{error[index]:18.2g}")
    lines.append(f"hint: {best.hint}" if best.hint else NO_HINT)
    others = sorted({finding.i for finding in findings} - {best.i})
    if others:
        lines.append(f"(wrong, too: the gradient with respect to {', '.join(map(best.trial.names.input, others))})")
    return "\n".join(lines)


NO_HINT = (
    "no hint: it looks like none of the usual mistakes. Compare with the derivation term by term: an input that is used twice "
    "has a term for each use (f·g has f′·g and f·g′). What forward saves it must not overwrite later"
)


def relative_error(analytic, numeric):
    scale = np.maximum(np.abs(analytic), np.abs(numeric))
    return np.divide(np.abs(analytic - numeric), scale, np.full_like(scale, np.inf), where=np.isfinite(scale) & (scale > 0))


def wrong_first(analytic, numeric, rtol, atol):
    """The indices where they disagree, the worst first."""
    error = relative_error(analytic, numeric)
    with np.errstate(all="ignore"):  # a tolerance may be huge
        wrong = np.argwhere(~np.isclose(analytic, numeric, rtol, atol))
    return sorted(map(tuple, wrong.tolist()), key=lambda index: -error[index])


# --- gradients that have not even the right shape

SHAPES = r"a gradient of shape (\(.*?\)) for an input of (\(.*?\))"


def of_the_shape(message):
    """What to say to the walk's complaint about a gradient's shape, if it looks like a usual mistake; it begins a line."""
    match = re.search(SHAPES, message)
    if not match:
        return ""
    found, shape = map(ast.literal_eval, match.groups())
    hint = ""
    if len(found) > 1 and found != shape and sorted(found) == sorted(shape):
        hint = "transposed: a .T, or a permute of the axes, is missing"
    elif _broadcasts(shape, found):
        axes = tuple(a for a in range(len(found)) if a < len(found) - len(shape) or shape[a - len(found)] != found[a])
        hint = f"broadcasting repeated this input. Sum over {axes_named(axes)} (arrays: minidl.ops.base.unbroadcast(dx, shape))"
    elif math.prod(found) == math.prod(shape):
        hint = "the right number of elements: a reshape to the input's shape is missing"
    elif math.prod(found) < math.prod(shape):
        hint = "forward summed or left out elements. Backward spreads dy over all of them (np.broadcast_to), or puts 0 there"
    return f"\nhint: {hint}" if hint else ""


def _broadcasts(shape, to):
    try:
        return shape != to and np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False
