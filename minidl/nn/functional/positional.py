"""Where a token stands in its sequence: rotary positions, and the angles of sines and cosines."""

import math

import numpy as np

from ...graph.watch import repeatable
from ...tensors.arguments import expect_tensors
from ...tensors.creation import as_tensor
from ...tensors.record import wrap

__all__ = ["rotary"]


def sinusoids(positions, width, base=10000.0):
    """Angles p / base^(2i/width): positions (T) → (T, width/2), an array of float64."""
    if width < 1 or width % 2:
        raise ValueError(f"sinusoids: sines and cosines come in pairs; expected an even width above 0, got {width}")
    return np.asarray(positions, np.float64)[:, None] / base ** (np.arange(0, width, 2) / width)


def rotary(x, positions=None, base=10000.0):
    """Turns each pair (x_2i, x_2i+1) of the vector at position p by the angle p / base^(2i/E):  (…, T, E) → (…, T, E)

    positions: T integers in a list or a tensor; 0, 1, … by default. For queries and keys before attention: the product of a
    turned query and a turned key depends on the difference of their positions alone. Su et al., "RoFormer" (2021).

    >>> import minidl
    >>> q, k = minidl.tensor([[1.0, 2.0]]), minidl.tensor([[3.0, 4.0]])
    >>> (rotary(q, [5]) * rotary(k, [3])).sum(), (rotary(q, [12]) * rotary(k, [10])).sum()
    (tensor(-6.3962), tensor(-6.3962))
    """
    expect_tensors("rotary", x=x)
    if x.ndim < 2 or not x.is_floating_point():
        raise ValueError(f"rotary: expected floats of shape (…, T, E), got {x.dtype} of shape {x.shape}")
    length, width = x.shape[-2:]
    if width < 2 or width % 2:
        raise ValueError(f"rotary: turns pairs, so the last axis must have an even length above 0, got shape {x.shape}")
    if isinstance(base, bool) or not isinstance(base, (int, float)) or not 0 < base < math.inf:
        raise ValueError(f"rotary: base must be a number above 0, got {base!r}")
    places = np.arange(length) if positions is None else as_tensor(positions).array
    if places.shape != (length,) or (length and places.dtype.kind not in "iu"):
        raise ValueError(f"rotary: expected {length} integers as positions of x {x.shape}, got {positions!r}")
    cos, sin = _turns(length if positions is None else places, width, base, x.dtype)
    swapped = x.unflatten(-1, (width // 2, 2)).flip(-1).flatten(-2)  # (b, a)
    return x * wrap(cos) + swapped * wrap(sin)


@repeatable(constant=True)
def _turns(places, width, base, dtype):
    """(T, E): the cosine of each angle, which serves two columns; and its sine, negative for the first of them.

    places: T integers, or T for 0, 1, …, T − 1.
    """
    places = np.arange(places) if isinstance(places, int) else places
    angles = sinusoids(places, width, base)
    cos, sin = (np.repeat(f(angles), 2, axis=-1).astype(dtype) for f in (np.cos, np.sin))
    sin[:, ::2] *= -1  # (a, b) → (a cos − b sin, b cos + a sin)
    return cos, sin
