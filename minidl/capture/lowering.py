"""Arithmetic that eager leaves to NumPy, as calls of kernels with the same bits: additions of gates, residuals, gradients."""

import numpy as np

from .. import ops
from ..kernels.arithmetic import ADD_TO, NUMBERS, PAIRS, three_axes
from .events import Backward, Call, Copy, Forward, Sum

_FLOATS = np.dtype(np.float32), np.dtype(np.float64)


def lowered(event):
    """The calls of kernels that do what the event does, or None."""
    if type(event) is Forward:
        rule = _FORWARD.get(type(event.op))
        return rule and rule(event.outputs[0], *event.inputs)
    if type(event) is Backward:
        rule = _BACKWARD.get(type(event.forward.op))
        return rule and rule(event)
    if type(event) is Sum:
        if event.result is event.total:
            return _into(event.total, event.dx)
        return _pair("+", event.result, event.total, event.dx)
    if type(event) is Copy:
        return _number("copy", event.copy, event.source, 0.0)
    return None


def _fit(z, *xs):
    """Whether the arrays have z's dtype, a floating-point one."""
    return z.dtype in _FLOATS and all(isinstance(x, np.ndarray) and x.dtype == z.dtype for x in xs)


def _call(kernel, z, *args):
    return [Call(kernel, z.dtype, kernel[z.dtype], args)]


def _pair(name, z, x, y):
    arrays = three_axes(z, x, y) if _fit(z, x, y) else None
    return arrays and _call(PAIRS[name], z, arrays[1], arrays[2], arrays[0])


def _number(name, z, x, a):
    fits = _fit(z, x) and type(a) in (int, float) and x.shape == z.shape and abs(a) < 2**53
    arrays = three_axes(z, x) if fits else None
    return arrays and _call(NUMBERS[name], z, arrays[1], float(a), arrays[0])


def _into(total, x):
    arrays = three_axes(total, x) if _fit(total, x) else None
    return arrays and _call(ADD_TO, total, arrays[0], arrays[1])


def _binary(name, reverse):
    """z = x op y, where one of the two may be a number."""

    def rule(z, x, y):
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            return _pair(name, z, x, y)
        if isinstance(y, np.ndarray):
            return _number(reverse, z, y, x)
        return _number("+", z, x, -y) if name == "-" else _number(name, z, x, y)

    return rule


def _negated(event):
    """da = dy, db = −dy"""
    (da, db), dy = event.gradients, event.dy
    if da is not None and (da is not dy):
        return None
    return [] if db is None else db.shape == dy.shape and _number("negative", db, dy, 0.0) or None


def _products(event):
    """da = dy·b, db = dy·a"""
    calls = []
    for d, x in zip(event.gradients, (event.saved["b"], event.saved["a"]), strict=True):
        if d is not None:
            if d.shape != event.dy.shape:
                return None
            more = _pair("*", d, event.dy, x) if isinstance(x, np.ndarray) else _number("*", d, event.dy, x)
            if more is None:
                return None
            calls += more
    return calls


_FORWARD = {
    ops.Add: _binary("+", "+"),
    ops.Sub: _binary("-", "from"),
    ops.Mul: _binary("*", "*"),
    ops.Div: _binary("/", "under"),
    ops.Neg: lambda z, x: _number("negative", z, x, 0.0),
    ops.Clone: lambda z, x: _number("copy", z, x, 0.0),
    ops.Reshape: lambda z, x: None if np.may_share_memory(z, x) else _number("copy", z.reshape(x.shape), x, 0.0),
    ops.Dropout: lambda z, x: None,
}
_BACKWARD = {
    ops.Sub: _negated,
    ops.Mul: _products,
    ops.Neg: lambda event: _number("negative", event.gradients[0], event.dy, 0.0),
}
