"""What eager leaves to NumPy, as calls of kernels with the same bits: gates, residuals, gradients that meet, parts together."""

import numpy as np

from .. import ops
from ..graph.writes import owner_of
from ..kernels.arithmetic import ADD_TO, NUMBERS
from ..ops.arithmetic import POWERS
from .calls import NoKernels, axes, call, number, pair, put, select, terms
from .deciding import held, held_back, norm, norm_back, of_function, of_integers, picked, put_back
from .events import Backward, Copy, Forward, Function, Sum
from .keeping import distance, distance_back, put_there, taken


def lowered(event):
    """The calls of kernels that do what the event does, or None. Those that it has made itself may be among them."""
    rule = None
    if type(event) is Forward:
        rule = _FORWARD.get(type(event.op))
    elif type(event) is Backward:
        rule = _BACKWARD.get(type(event.forward.op))
    elif type(event) is Sum:
        rule = _sum
    elif type(event) is Copy:
        rule = _copy
    elif type(event) is Function:
        rule = of_function
    try:
        return rule and rule(event)
    except NoKernels:
        return None


def replaces(event):
    """Whether the calls of `lowered` leave out those that the event has made itself."""
    return type(event) is Backward and type(event.forward.op) is ops.Index


def prepared(event):
    """(arrays, calls): what NumPy has made for the kernels of the event, or for its backward, and calls that make it; or None.

    Kernels of a backward sum what is there for an operand that was repeated. An array that is no sum is the gradient of one
    that was not.
    """
    try:
        if type(event) is Forward:
            rule = _KEEPING.get(type(event.op))
            return rule and rule(event)
        rule = type(event) is Backward and _TERMS.get(type(event.forward.op))
        return _summed(event, rule) if rule and isinstance(event.dy, np.ndarray) else None
    except NoKernels:
        return None


def _summed(event, rule):
    made, calls, dy, found = [], [], event.dy, terms(event, (event.dy, *event.saved.values()))
    for i, d in enumerate(event.gradients):
        if d is None or (i == 0 and type(event.forward.op) is ops.Sub):  # which is dy, or a sum of it
            continue
        z = d if d.shape == dy.shape else next(found, None)
        if z is None or z.shape != dy.shape or not z.flags.c_contiguous:
            return None
        made.append(z)
        calls += rule(event.saved, dy, i, z)
    return made, calls


def _sum(event):
    if event.result is not event.total:
        return pair("+", event.result, event.total, event.dx)
    total, dx = axes(event.total, event.dx)
    return call(ADD_TO, event.total, total, dx)


def _copy(event):
    if not event.copy.size:
        return []
    if owner_of(event.copy) is owner_of(event.source):  # a part may lie over the other
        raise NoKernels
    return number("copy", event.copy, event.source)


# --- rules


def _binary(name, reverse):
    """z = x op y, where one of the two may be a number."""

    def rule(event):
        (z,), (x, y) = event.outputs, event.inputs
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            return pair(name, z, x, y)
        if isinstance(y, np.ndarray):
            return number(reverse, z, y, x)
        return number("+", z, x, -y) if name == "-" else number(name, z, x, y)

    return rule


def _of_input(name):
    """y = f(x)"""
    return lambda event: number(name, event.outputs[0], event.inputs[0])


def _by_saved(name, key):
    """dx = dy·s or dy/s, where s is what forward has kept."""
    return lambda event: pair(name, event.gradients[0], event.dy, event.saved[key])


def _by_part(name, part, key, a=0.0):
    """dx = dy·f(s) or dy/f(s): f(s) first lies where dx will be."""

    def rule(event):
        dx = event.gradients[0]
        return [*number(part, dx, event.saved[key], a), *pair(name, dx, event.dy, dx)]

    return rule


def _power(z, a, b):
    """z = aᵇ, for the numbers b that NumPy is not asked for either"""
    if type(b) not in (int, float) or b not in POWERS:
        raise NoKernels
    calls = number("root", z, a) if abs(b) == 0.5 else pair("*", z, a, a) if abs(b) > 1 else []
    calls += pair("*", z, z, a) if b == 3 else []
    return calls if b > 0 else [*calls, *number("under", z, z if calls else a, 1)]


def _power_back(event):
    """da = dy·b·aᵇ⁻¹"""
    (da, _), a, b = event.gradients, event.saved["a"], event.saved["b"]
    if type(b) not in (int, float) or b == 0:
        raise NoKernels
    return [*_power(da, a, b - 1), *number("*", da, da, b), *pair("*", da, event.dy, da)]


def _chosen(event):
    return select(event.outputs[0], event.before["condition"], *event.inputs)


def _chosen_back(event):
    calls, dy, mask = [], event.dy, event.saved["condition"]
    for d, parts in zip(event.gradients, ((dy, 0.0), (0.0, dy)), strict=True):
        if d is not None:
            if d.shape != dy.shape:
                raise NoKernels
            calls += select(d, mask, *parts)
    return calls


def _negated(event):
    """da = dy, db = −dy"""
    (da, db), dy = event.gradients, event.dy
    if da is not None and owner_of(da) is not owner_of(dy):
        raise NoKernels
    return [] if db is None else number("negative", db, dy)


def _product(saved, dy, i, z):
    """z = dy·b for da, dy·a for db"""
    x = saved["a" if i else "b"]
    return pair("*", z, dy, x) if isinstance(x, np.ndarray) else number("*", z, dy, x)


def _quotient(saved, dy, i, z):
    """z = dy/b for da, −dy·(a/b)/b for db"""
    a, b = saved["a"], saved["b"]
    if i == 0:
        return pair("/", z, dy, b) if isinstance(b, np.ndarray) else number("/", z, dy, b)
    calls = pair("/", z, a, b) if isinstance(a, np.ndarray) else number("under", z, b, a)
    return [*calls, *pair("-*", z, dy, z), *pair("/", z, z, b)]


def _each(rule):
    """The gradients of both operands, none of which was repeated."""

    def gradients(event):
        calls = []
        for i, d in enumerate(event.gradients):
            if d is not None:
                if d.shape != event.dy.shape:
                    raise NoKernels
                calls += rule(event.saved, event.dy, i, d)
        return calls

    return gradients


def _reshaped(event):
    (z,), (x,) = event.outputs, event.inputs
    if not z.flags.c_contiguous:
        raise NoKernels
    return number("copy", z.reshape(x.shape), x)


def _shape_back(event):
    (dx,), dy = event.gradients, event.dy
    if not dx.flags.c_contiguous:
        raise NoKernels
    return number("copy", dx.reshape(dy.shape), dy)


def _spread(divided):
    """dx = dy, over n for a mean, repeated over the axes that were reduced."""

    def rule(event):
        (dx,), dy = event.gradients, event.dy
        if dy.ndim and not event.saved["keepdim"]:
            dy = dy.reshape([1 if axis in event.saved["axes"] else n for axis, n in enumerate(dx.shape)])
        if not divided:
            return put(dx, dy)
        n = float(dy.dtype.type(dx.size // max(dy.size, 1)))
        z, dy = axes(dx, dy)
        return call(NUMBERS["/"], dx, dy, n, z)

    return rule


def _index_back(event):
    """dx = 0, plus dy at the places that y was taken from"""
    (dx,), index = event.gradients, event.saved["index"]
    if not ops.is_basic(index):
        return put_back(event)
    return [*put(dx, 0), *put(dx[index], event.dy)]


def _beside(event):
    """The inputs one after the other along an axis, or side by side along a new one."""
    (z,), axis, calls, at = event.outputs, event.before["axis"], [], 0
    for x in event.inputs:
        if type(event.op) is ops.Stack:
            place, step = np.moveaxis(z, axis, 0)[at, ...], 1
        else:
            step = x.shape[axis]
            place = np.moveaxis(np.moveaxis(z, axis, 0)[at : at + step], 0, axis)
        calls += put(place, x) if x.size else []
        at += step
    return calls


def _unbind_back(event):
    (dx,), axis, calls = event.gradients, event.saved["axis"], []
    for i, part in enumerate(event.dy):
        calls += put(dx[(slice(None),) * axis + (i, ...)], 0 if part is None else part)
    return calls


_FORWARD = {
    ops.Add: _binary("+", "+"),
    ops.Sub: _binary("-", "from"),
    ops.Mul: _binary("*", "*"),
    ops.Div: _binary("/", "under"),
    ops.Neg: lambda event: number("negative", event.outputs[0], event.inputs[0]),
    ops.Clone: lambda event: number("copy", event.outputs[0], event.inputs[0]),
    ops.Square: lambda event: pair("*", event.outputs[0], *event.inputs * 2),
    ops.Pow: lambda event: _power(event.outputs[0], *event.inputs),
    ops.Sqrt: _of_input("root"),
    ops.Abs: _of_input("size"),
    ops.Where: _chosen,
    ops.Reshape: _reshaped,
    ops.Sum: of_integers,
    ops.Clamp: held,
    ops.Norm: norm,
    ops.Index: picked,
    ops.Gather: picked,
    ops.Dropout: lambda event: pair("*", event.outputs[0], event.inputs[0], event.before["mask"]),
    ops.Cat: _beside,
    ops.Stack: _beside,
    ops.TakeAlongAxis: taken,
}
_KEEPING = {ops.AbsoluteError: distance, ops.Huber: distance}
_BACKWARD = {
    ops.Sub: _negated,
    ops.Mul: _each(_product),
    ops.Div: _each(_quotient),
    ops.Neg: lambda event: number("negative", event.gradients[0], event.dy),
    ops.Exp: _by_saved("*", "y"),
    ops.Log: _by_saved("/", "x"),
    ops.Square: _by_part("*", "*", "x", 2),
    ops.Pow: _power_back,
    ops.Sqrt: _by_part("/", "*", "y", 2),
    ops.Abs: _by_part("*", "sign", "x"),
    ops.Where: _chosen_back,
    ops.Reshape: _shape_back,
    ops.Dropout: lambda event: pair("*", event.gradients[0], event.dy, event.saved["mask"]),
    ops.Sum: _spread(False),
    ops.Mean: _spread(True),
    ops.Clamp: held_back,
    ops.Norm: norm_back,
    ops.Gather: put_back,
    ops.Index: _index_back,
    ops.Unbind: _unbind_back,
    **dict.fromkeys((ops.TakeAlongAxis, ops.MaxAlongAxis, ops.MinAlongAxis), put_there),
    ops.AbsoluteError: distance_back,
    ops.Huber: distance_back,
}
_TERMS = {
    ops.Mul: _product,
    ops.Div: _quotient,
    ops.Sub: lambda saved, dy, i, z: number("negative", z, dy),
}
