"""Arrays as the page holds them: each once, whole if it is small, else its first part, always with statistics of all of it."""

import base64
import hashlib
import math
import re

import numpy as np

WHOLE = 4096  # elements; of a larger array as many are shown


def number(x):
    """A number for JSON, which has no infinities: six digits, or a text."""
    x = float(x)
    return float(f"{x:.6g}") if math.isfinite(x) else str(x)


class Arrays:
    """The arrays of one page. `add` gives an array's number; equal arrays have one number. What exceeds the budget is left out.

    >>> arrays = Arrays(budget=1000)
    >>> arrays.add(np.ones(3)), arrays.add(np.zeros(3)), arrays.add(np.ones(3))
    (0, 1, 0)
    >>> arrays.rows[0]["mean"], arrays.left_out
    (1.0, 0)
    """

    def __init__(self, budget):
        self.budget, self.rows, self.left_out, self._numbers = budget, [], 0, {}

    def add(self, x):
        """The array's number; None for what is no array of numbers."""
        if isinstance(x, (bool, int, float)):
            x = np.asarray(x)
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
            return None
        x = np.ascontiguousarray(x).reshape(x.shape)
        key = x.shape, x.dtype.str, hashlib.sha1(x.tobytes()).digest()
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.rows)
            self.rows.append(self._row(x))
        return found

    def _row(self, x):
        row = {"shape": list(x.shape), "dtype": str(x.dtype), **statistics(x)}
        shown = corner(x)
        data = base64.b64encode(np.ascontiguousarray(shown, np.float32).tobytes()).decode()
        if len(data) > self.budget:
            self.left_out += 1
            return row
        self.budget -= len(data)
        return {**row, "shown": list(shown.shape), "data": data}


def statistics(x):
    if x.size == 0:
        return {"n": 0}
    x = x.astype(np.float64).ravel()
    finite = x[np.isfinite(x)]
    row = {"n": x.size, "zeros": int((x == 0).sum())}
    if finite.size:
        row |= {"min": number(finite.min()), "max": number(finite.max()), "mean": number(finite.mean())}
        row |= {"std": number(finite.std()), "rms": number(np.sqrt(np.mean(finite * finite)))}
    if finite.size < x.size:
        row["bad"] = [int(np.isnan(x).sum()), int((x == np.inf).sum()), int((x == -np.inf).sum())]
    return row


def corner(x):
    """x, or of a large array the first entries along its first axes, WHOLE elements at most, with the same number of axes."""
    if x.size <= WHOLE:
        return x
    left, cut = WHOLE, []
    for size in reversed(x.shape):
        cut.append(max(1, min(size, left)))
        left //= cut[-1]
    return x[tuple(slice(0, n) for n in reversed(cut))]


def told(value, names=None):
    """An option in a few words, without the addresses of objects."""
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return text if len(text) <= 120 else text[:117] + "…"
