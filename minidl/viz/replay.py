"""Running operations again, in float64, with one number moved: what the walk back says, checked against difference quotients.

Two checks are made. *This rule*: ⟨dy, y⟩ of one operation, with an element of one of its inputs moved. *The whole chain*: the
loss itself, with an element of any array moved, by running again all operations that depend on it.
"""

import copy
import math

import numpy as np

from ..graph.modes import SILENT, float_errors
from ..graph.nodes import Leaf
from .tape import source_of

EPS, NEARER = 1e-6, 1e-2  # the step, and the share of it that is tried near a kink
PICKS = 4  # elements of each array that are moved: the one with the largest gradient, and others
LONG = 1_000  # an operation that costs more is not run again
FEW = 6  # of a smaller array all are moved
PRODUCTS = "Conv2d", "Linear", "MatMul"
NUDGES = 1e-3, 1e-2, 1e-1, 1.0


class Refused(Exception):
    """Why an operation, or a chain of them, cannot be run again."""


def cost(entry):
    """About how many tenths of a millisecond it takes to run an operation again: by its elements and its products."""
    shapes = [np.shape(x) for _, x in entry.inputs]
    made = sum(y.size for y in entry.outputs)
    products = (
        made * (math.prod(shapes[1][1:]) if entry.name in ("Conv2d", "Linear") else shapes[0][-1])
        if entry.name in PRODUCTS
        else 0
    )
    return 1 + (made + sum(map(math.prod, shapes))) / 50_000 + products / 200_000


def wide(x):
    return x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x


def run(entry, arrays):
    """The outputs of an operation at other inputs, in float64, as a list."""
    op = copy.copy(entry.replay)
    for name, value in vars(op).items():
        if isinstance(value, np.ndarray):
            setattr(op, name, wide(value) if value.dtype.kind == "f" else value)
    if getattr(op, "patched", None) is not None:
        op.patched = None
    op.needs = [None] * len(arrays)
    if entry.name == "Cast" and entry.outputs[0].dtype.kind == "f":
        return [wide(arrays[0])]
    token = float_errors.set(SILENT)
    try:
        y = op.forward(*(x.copy() if isinstance(x, np.ndarray) else x for x in arrays))
    finally:
        float_errors.reset(token)
    return [np.asarray(part) for part in y] if isinstance(y, tuple) else [np.asarray(y)]


def alike(values, outputs):
    """Whether outputs are those of the first run, but for the rounding to float32."""
    for value, y in zip(values, outputs, strict=True):
        scale = np.abs(y[np.isfinite(y)]).max(initial=0) if y.dtype.kind == "f" else 0
        if value.shape != y.shape or not np.allclose(value, y, 1e-3, 1e-4 * scale + 1e-6, equal_nan=True):
            return False
    return True


def picks(dx, seed):
    """Some elements: where dx is largest, and others at random."""
    if dx.size <= FEW:
        return list(np.ndindex(*dx.shape))
    rng = np.random.default_rng(seed)
    finite = np.where(np.isfinite(dx), np.abs(dx), 0).ravel()
    flat = [int(finite.argmax()), *(int(k) for k in rng.integers(0, dx.size, PICKS - 1))]
    return [tuple(int(i) for i in np.unravel_index(k, dx.shape)) for k in dict.fromkeys(flat)]


def judge(analytic, f, x, index, tolerance, strict=True):
    """{at, back, quotient, verdict} for one element of x, moved to both sides: ok, kink, wrong or not finite.

    f gives the terms of a sum. At a kink the slopes of the terms to both sides differ; back may have for each term any slope
    between these two, and must lie between the `sides`. A chain is not so strict: there the terms are not known. Near a kink,
    within the step, back agrees with the quotient of a smaller step (`near`).
    """
    h = EPS * max(1.0, abs(float(x[index]))) if np.isfinite(x[index]) else EPS
    left, right = _slopes(f, x, index, h)
    slope = (left.sum() + right.sum()) / 2
    row = {"at": list(index), "back": float(analytic), "quotient": float(slope), "verdict": "ok"}
    if not np.isfinite([analytic, slope]).all():
        return {**row, "verdict": "not finite"}
    if abs(analytic - slope) <= tolerance:
        return row
    if np.abs(left - right).sum() <= max(tolerance, 1e-3 * max(np.abs(left).sum(), np.abs(right).sum())):
        return {**row, "verdict": "wrong"}
    closer = sum(side.sum() for side in _slopes(f, x, index, NEARER * h)) / 2
    if abs(analytic - closer) <= 2 * tolerance:
        return {**row, "verdict": "kink", "near": h, "quotient": float(closer)}
    low, high = np.minimum(left, right).sum(), np.maximum(left, right).sum()
    if low - tolerance <= analytic <= high + tolerance or not strict:
        return {**row, "verdict": "kink", "sides": [float(left.sum()), float(right.sum())]}
    return {**row, "verdict": "wrong"}


def _slopes(f, x, index, h):
    """The slopes of f's terms to the left and to the right of x[index]."""
    kept, middle = x[index], f()
    try:
        x[index] = kept + h
        up = f()
        x[index] = kept - h
        down = f()
    finally:
        x[index] = kept
    return (middle - down) / h, (up - middle) / h


def slack(dx, dy):
    """How far apart the two numbers may be. Relative to the whole array: a bias before a batch norm has the gradient 0."""
    single = dx.dtype != np.float64
    largest = np.abs(dx[np.isfinite(dx)]).max(initial=0)
    return float(largest * (2e-3 if single else 1e-5) + dy * (3e-7 if single else 1e-9) + 1e-12)


def check_rule(entry, dy, i, dx):
    """The list of judgements about dx, what backward gave for input i, or a text: why it is not checked."""
    if cost(entry) > LONG:
        return "it would take too long to run it again"
    arrays = [wide(x) for _, x in entry.inputs]
    dys = [None if d is None else d.astype(np.float64) for d in (dy if isinstance(dy, list) else [dy])]
    try:
        if not alike(run(entry, arrays), entry.outputs):
            raise Refused("it gives other values when it is run again")

        def f():
            ys = run(entry, arrays)
            terms = [
                np.multiply(d, y, out=np.zeros_like(d), where=d != 0) for d, y in zip(dys, ys, strict=True) if d is not None
            ]
            return np.concatenate([term.ravel() for term in terms])  # a masked score, −∞, receives 0 and counts as 0

        largest = max((np.abs(d[np.isfinite(d)]).max(initial=0) for d in dys if d is not None), default=0)
        return [judge(dx[k], f, arrays[i], k, slack(dx, largest)) for k in picks(dx, i)]
    except Exception as error:
        return f"{type(error).__name__}: {error}" if not isinstance(error, Refused) else str(error)


class Chain:
    """All operations between some arrays and the loss, which can be run again with one of the arrays moved."""

    def __init__(self, entries, goal, loss):
        self.entries, self.goal, self.runs = [e for e in entries if e.recorded], goal, 0
        self.sources = {e: [None if node is None else source_of(node) for node, _ in e.inputs] for e in self.entries}
        self.plain = {}
        self.plain = self._values({})
        if not alike([self.plain[goal]], [loss]):
            raise Refused("the loss is another one when all operations are run again")

    def _values(self, moved):
        """{(operation, output number): array} of what differs from the plain run when some arrays are replaced."""
        values = dict(moved)
        for e in self.entries:
            sources = self.sources[e]
            if self.plain and not any(s in values for s in sources):
                continue
            pairs = zip(sources, e.inputs, strict=True)
            arrays = [values[s] if s in values else self.plain[s] if s in self.plain else wide(x) for s, (_, x) in pairs]
            self.runs += cost(e)
            for k, y in enumerate(run(e, arrays)):
                values.setdefault((e.op, k), y)
        return values

    def loss(self, moved):
        """The loss with arrays in the place of others: {(operation or leaf, output number): array}."""
        values = self._values(moved)
        return float(np.sum(values.get(self.goal, self.plain[self.goal])))

    def check(self, key, x, dx, most=PICKS):
        """Judgements about dx, the gradient of the loss for the array x that `key` names."""
        try:
            x = wide(x).copy()
            f = lambda: np.array([self.loss({key: x})])  # noqa: E731
            return [judge(dx[k], f, x, k, slack(dx, 1.0), strict=False) for k in picks(dx, 0)[:most]]
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def nudge(self, key, x, dx):
        """For the elements with the largest gradients: {at, slope, rows: [[h, predicted change, true change], …]}."""
        found, x = [], wide(x).copy()
        plain = self.loss({})
        order = np.argsort(-np.abs(np.nan_to_num(dx)).ravel(), kind="stable")[:3]
        for index in (np.unravel_index(k, dx.shape) for k in order):
            rows, kept = [], x[index]
            for h in (-1.0, -0.1, *NUDGES):
                x[index] = kept + h
                rows.append([h, float(dx[index]) * h, self.loss({key: x}) - plain])
            x[index] = kept
            found.append({"at": [int(i) for i in index], "value": float(kept), "slope": float(dx[index]), "rows": rows})
        return found


def leaves_of(entries):
    """{leaf: its array}, in the order of first use."""
    found = {}
    for entry in entries:
        for node, x in entry.inputs:
            if type(node) is Leaf:
                found.setdefault(node, x)
    return found
