"""What eager leaves to NumPy, as calls of kernels with the same bits: gates, residuals, gradients that meet, parts together."""

import numpy as np

from .. import ops
from ..graph.writes import owner_of
from ..kernels.arithmetic import ADD_TO, FILL, NUMBERS, PAIRS, SELECT, four_axes
from ..ops.arithmetic import POWERS
from .deciding import NoKernels, held, held_back, norm, norm_back, of_function, of_integers, picked, put_back
from .events import Backward, Call, Copy, Forward, Function, Sum

_FLOATS = np.dtype(np.float32), np.dtype(np.float64)


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


def before_sums(event):
    """(arrays, calls) if kernels have summed what NumPy has made for operands that were repeated; the calls make it, or None.

    An array that is no sum is the gradient of an operand that was not repeated.
    """
    rule, dy = type(event) is Backward and _TERMS.get(type(event.forward.op)), getattr(event, "dy", None)
    if not rule or not isinstance(dy, np.ndarray):
        return None
    made, terms, calls = [], _terms(event), []
    try:
        for i, d in enumerate(event.gradients):
            if d is None or (i == 0 and type(event.forward.op) is ops.Sub):  # which is dy, or a sum of it
                continue
            z = d if d.shape == dy.shape else next(terms, None)
            if z is None or z.shape != dy.shape or not z.flags.c_contiguous:
                return None
            made.append(z)
            calls += rule(event.saved, dy, i, z)
    except NoKernels:
        return None
    return made, calls


def _terms(event):
    """The arrays that the kernels of an event read, and that it was not given and they have not made, in order."""
    seen = {id(owner_of(x)) for x in (event.dy, *event.saved.values()) if isinstance(x, np.ndarray)}
    for call in event.calls:
        for x, written, owner in call.arrays():
            if not written and x.size and id(owner) not in seen:
                yield owner
            seen.add(id(owner))


# --- calls


def _call(kernel, z, *args):
    return [Call(kernel, z.dtype, kernel[z.dtype], args)]


def _axes(z, *xs, mask=()):
    """The arrays with four axes; all but a mask must be of z's dtype."""
    if z.dtype not in _FLOATS or not all(isinstance(x, np.ndarray) and x.dtype == z.dtype for x in xs):
        raise NoKernels
    try:
        arrays = four_axes(z, *xs, *mask)
    except ValueError:  # shapes that do not broadcast
        arrays = None
    if arrays is None:
        raise NoKernels
    return arrays


def _pair(name, z, x, y):
    z_, x, y = _axes(z, x, y)
    return _call(PAIRS[name], z, x, y, z_)


def _number(name, z, x, a=0.0):
    if type(a) not in (int, float) or abs(a) > 2**53 or x.shape != z.shape:
        raise NoKernels
    z_, x = _axes(z, x)
    return _call(NUMBERS[name], z, x, float(a), z_)


def _put(z, x):
    """z[...] = x, which is repeated where z is larger; 0 may stand for x."""
    if isinstance(x, (int, float)):
        (z_,) = _axes(z)
        return _call(FILL, z, z_, float(x))
    z_, x = _axes(z, x)
    return _call(NUMBERS["copy"], z, x, 0.0, z_)


def _select(z, mask, x, y):
    """z = x where the mask holds, else y; x and y may be numbers."""
    x, y = (np.array(v, z.dtype) if type(v) in (int, float) else v for v in (x, y))
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        raise NoKernels
    z_, x, y, mask = _axes(z, x, y, mask=(mask,))
    return _call(SELECT, z, mask, x, y, z_)


def _sum(event):
    if event.result is not event.total:
        return _pair("+", event.result, event.total, event.dx)
    total, dx = _axes(event.total, event.dx)
    return _call(ADD_TO, event.total, total, dx)


def _copy(event):
    if owner_of(event.copy) is owner_of(event.source):  # a part may lie over the other
        raise NoKernels
    return _number("copy", event.copy, event.source)


# --- rules


def _binary(name, reverse):
    """z = x op y, where one of the two may be a number."""

    def rule(event):
        (z,), (x, y) = event.outputs, event.inputs
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            return _pair(name, z, x, y)
        if isinstance(y, np.ndarray):
            return _number(reverse, z, y, x)
        return _number("+", z, x, -y) if name == "-" else _number(name, z, x, y)

    return rule


def _of_input(name):
    """y = f(x)"""
    return lambda event: _number(name, event.outputs[0], event.inputs[0])


def _by_saved(name, key):
    """dx = dy·s or dy/s, where s is what forward has kept."""
    return lambda event: _pair(name, event.gradients[0], event.dy, event.saved[key])


def _by_part(name, part, key, a=0.0):
    """dx = dy·f(s) or dy/f(s): f(s) first lies where dx will be."""

    def rule(event):
        dx = event.gradients[0]
        return [*_number(part, dx, event.saved[key], a), *_pair(name, dx, event.dy, dx)]

    return rule


def _power(z, a, b):
    """z = aᵇ, for the numbers b that NumPy is not asked for either"""
    if type(b) not in (int, float) or b not in POWERS:
        raise NoKernels
    calls = _number("root", z, a) if abs(b) == 0.5 else _pair("*", z, a, a) if abs(b) > 1 else []
    calls += _pair("*", z, z, a) if b == 3 else []
    return calls if b > 0 else [*calls, *_number("under", z, z if calls else a, 1)]


def _power_back(event):
    """da = dy·b·aᵇ⁻¹"""
    (da, _), a, b = event.gradients, event.saved["a"], event.saved["b"]
    if type(b) not in (int, float) or b == 0:
        raise NoKernels
    return [*_power(da, a, b - 1), *_number("*", da, da, b), *_pair("*", da, event.dy, da)]


def _chosen(event):
    return _select(event.outputs[0], event.before["condition"], *event.inputs)


def _chosen_back(event):
    calls, dy, mask = [], event.dy, event.saved["condition"]
    for d, parts in zip(event.gradients, ((dy, 0.0), (0.0, dy)), strict=True):
        if d is not None:
            if d.shape != dy.shape:
                raise NoKernels
            calls += _select(d, mask, *parts)
    return calls


def _negated(event):
    """da = dy, db = −dy"""
    (da, db), dy = event.gradients, event.dy
    if da is not None and owner_of(da) is not owner_of(dy):
        raise NoKernels
    return [] if db is None else _number("negative", db, dy)


def _product(saved, dy, i, z):
    """z = dy·b for da, dy·a for db"""
    x = saved["a" if i else "b"]
    return _pair("*", z, dy, x) if isinstance(x, np.ndarray) else _number("*", z, dy, x)


def _quotient(saved, dy, i, z):
    """z = dy/b for da, −dy·(a/b)/b for db"""
    a, b = saved["a"], saved["b"]
    if i == 0:
        return _pair("/", z, dy, b) if isinstance(b, np.ndarray) else _number("/", z, dy, b)
    calls = _pair("/", z, a, b) if isinstance(a, np.ndarray) else _number("under", z, b, a)
    return [*calls, *_pair("-*", z, dy, z), *_pair("/", z, z, b)]


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
    return _number("copy", z.reshape(x.shape), x)


def _shape_back(event):
    (dx,), dy = event.gradients, event.dy
    if not dx.flags.c_contiguous:
        raise NoKernels
    return _number("copy", dx.reshape(dy.shape), dy)


def _spread(divided):
    """dx = dy, over n for a mean, repeated over the axes that were reduced."""

    def rule(event):
        (dx,), dy = event.gradients, event.dy
        axes, keepdim = event.saved["axes"], event.saved["keepdim"]
        if dy.ndim and not keepdim:
            dy = dy.reshape([1 if axis in axes else n for axis, n in enumerate(dx.shape)])
        if not divided:
            return _put(dx, dy)
        n = float(dy.dtype.type(dx.size // max(dy.size, 1)))
        z, dy = _axes(dx, dy)
        return _call(NUMBERS["/"], dx, dy, n, z)

    return rule


def _index_back(event):
    """dx = 0, plus dy at the places that y was taken from"""
    (dx,), index = event.gradients, event.saved["index"]
    if not ops.is_basic(index):
        return put_back(event)
    return [*_put(dx, 0), *_put(dx[index], event.dy)]


def _beside(event):
    """The inputs one after the other along an axis, or side by side along a new one."""
    (z,), axis, calls, at = event.outputs, event.before["axis"], [], 0
    for x in event.inputs:
        if type(event.op) is ops.Stack:
            place, step = np.moveaxis(z, axis, 0)[at, ...], 1
        else:
            step = x.shape[axis]
            place = np.moveaxis(np.moveaxis(z, axis, 0)[at : at + step], 0, axis)
        calls += _put(place, x) if x.size else []
        at += step
    return calls


def _unbind_back(event):
    (dx,), axis, calls = event.gradients, event.saved["axis"], []
    for i, part in enumerate(event.dy):
        calls += _put(dx[(slice(None),) * axis + (i, ...)], 0 if part is None else part)
    return calls


_FORWARD = {
    ops.Add: _binary("+", "+"),
    ops.Sub: _binary("-", "from"),
    ops.Mul: _binary("*", "*"),
    ops.Div: _binary("/", "under"),
    ops.Neg: lambda event: _number("negative", event.outputs[0], event.inputs[0]),
    ops.Clone: lambda event: _number("copy", event.outputs[0], event.inputs[0]),
    ops.Square: lambda event: _pair("*", event.outputs[0], *event.inputs * 2),
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
    ops.Dropout: lambda event: _pair("*", event.outputs[0], event.inputs[0], event.before["mask"]),
    ops.Cat: _beside,
    ops.Stack: _beside,
}
_BACKWARD = {
    ops.Sub: _negated,
    ops.Mul: _each(_product),
    ops.Div: _each(_quotient),
    ops.Neg: lambda event: _number("negative", event.gradients[0], event.dy),
    ops.Exp: _by_saved("*", "y"),
    ops.Log: _by_saved("/", "x"),
    ops.Square: _by_part("*", "*", "x", 2),
    ops.Pow: _power_back,
    ops.Sqrt: _by_part("/", "*", "y", 2),
    ops.Abs: _by_part("*", "sign", "x"),
    ops.Where: _chosen_back,
    ops.Reshape: _shape_back,
    ops.Dropout: lambda event: _pair("*", event.gradients[0], event.dy, event.saved["mask"]),
    ops.Sum: _spread(False),
    ops.Mean: _spread(True),
    ops.Clamp: held_back,
    ops.Norm: norm_back,
    ops.Gather: put_back,
    ops.Index: _index_back,
    ops.Unbind: _unbind_back,
}
_TERMS = {ops.Mul: _product, ops.Div: _quotient, ops.Sub: lambda saved, dy, i, z: _number("negative", z, dy)}
