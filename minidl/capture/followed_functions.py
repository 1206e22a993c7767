"""NumPy's functions and minidl's kernels for what stands for arrays while an operation is followed (following.py)."""

import math

import numpy as np

from .. import kernels
from ..graph.writes import owner_of
from ..kernels.comparisons import ORDER, PICK, PLACES, PUT_BACK
from ..kernels.sums import fits, order_in_memory, places_in
from .followed import (
    FUNCTIONS,
    Followed,
    Unclear,
    accumulated,
    chosen,
    copied,
    is_of,
    known,
    made,
    now,
    plain,
    real_of,
    reduced,
    reshaped,
    unknown,
    viewed,
    with_axes,
    write,
)

# --- elements at places that arrays of whole numbers say


def _places(x, index):
    """Where in x, read as a vector, the elements of x[index] lie; Python is asked again if a number is below 0 or too large."""
    index = index if type(index) is tuple else (index,)
    dots = next((axis for axis, i in enumerate(index) if i is ...), len(index))
    index = (*index[:dots], *(slice(None),) * (x.ndim - len(index) + (dots < len(index))), *index[dots + 1 :])
    at = [axis for axis, i in enumerate(index) if not isinstance(i, slice)]
    index = tuple(i if isinstance(i, (slice, Followed)) else np.asarray(i) for i in index)
    if any(
        isinstance(i, np.ndarray) and i.size and not (0 <= i.min() <= i.max() < n) for i, n in zip(index, x.shape, strict=False)
    ):
        raise Unclear
    arrays = index[at[0] : at[-1] + 1]
    if len(index) != x.ndim or len(arrays) != len(at) or any(i.dtype != np.int64 for i in arrays):
        raise Unclear
    middle = 0
    for axis, i in zip(at, arrays, strict=True):
        if isinstance(i, Followed) and ((i < 0) | (i >= x.shape[axis])).any():
            raise Unclear
        middle = middle + i * math.prod(x.shape[axis + 1 :])
    sides = [np.arange(x.shape[axis])[index[axis]] * math.prod(x.shape[axis + 1 :]) for axis in range(x.ndim) if axis not in at]
    ndim, places = middle.ndim + len(sides), middle.reshape(middle.shape + (1,) * (x.ndim - at[-1] - 1))
    for n, side in enumerate(sides):
        places = places + side.reshape(-1, *(1,) * (ndim - 1 - n - middle.ndim * (n >= at[0])))
    return places if isinstance(places, Followed) else Followed(plain(places))


def _taken(x, index):
    """x[index]"""
    real = x.inner[_raw(index)]
    places, z, x = _places(x, index), made(real), _dense(x)
    if x.size and z.size:
        y, columns, rows = with_axes(z, places.inner, plain(0))
        PICK[z.dtype](x.reshape(1, -1), rows, columns, y, np.full(1, -1.0))
    return known(z, real)


def _put_at(z, index, value, adds):
    """z[index] = value, or += value, where z is 0 throughout"""
    z = z.inner
    empty = owner_of(z) in now.zeros
    if not (empty or (owner_of(z) in now.made and not adds)) or not z.flags.c_contiguous or not z.size:
        raise Unclear
    places = _places(Followed(z), index)
    if not places.size:
        return
    if empty:
        now.zeros.remove(owner_of(z))
    y, columns, rows = with_axes(np.broadcast_to(plain(value, z.dtype), places.shape), places.inner, plain(0))
    PUT_BACK[z.dtype](z.reshape(1, -1), rows, columns, y, int(adds) if empty else 2, np.full(1, -1.0))


def _raw(index):
    return tuple(map(real_of, index)) if type(index) is tuple else real_of(index)


# --- functions of NumPy's that move elements


def _view_of(function):
    return lambda x, *args, **options: viewed(x, lambda x: function(x, *args, **options))


def _joined(xs, axis=0):
    real = np.concatenate([real_of(x) for x in xs], axis)
    z, at = made(real), 0
    for x in xs:
        write(np.moveaxis(np.moveaxis(z, axis, 0)[at : at + x.shape[axis]], 0, axis), x)
        at += x.shape[axis]
    return known(z, real)


def _stored(out, x):
    """x, or where it is to be written to"""
    if out is None:
        return x
    if owner_of(out.inner) not in now.made or out.shape != x.shape:
        raise Unclear
    write(out.inner, x)
    return out


def _stacked(xs, axis=0):
    return _joined([Followed(np.expand_dims(x.inner, axis)) for x in xs], axis)


def _rolled(x, shifts, axes):
    for shift, axis in zip(shifts, axes, strict=True):
        x = np.moveaxis(x, axis, 0)
        n = len(x)
        x = np.moveaxis(_joined([x[n - shift % n :], x[: n - shift % n]]), 0, axis) if n and shift % n else x
    return copied(np.array(x.inner), x.inner)


def _cut(function):
    def cut(x, k=0):
        return chosen(function(np.ones(x.shape[-2:], bool), k), x, x.dtype.type(0))

    return cut


def _place(name):
    """np.argmax and np.argmin"""

    def place(x, axis=None, keepdims=False):
        real, kernel = getattr(np, name)(x.inner, axis=axis, keepdims=keepdims), PLACES[name]
        if axis is None or not x.ndim or not x.size:
            raise Unclear
        x, z = x.astype(np.int64) if x.dtype == bool else x, made(real)
        rows = _dense(np.moveaxis(x, axis, -1))
        kernel[x.dtype](rows.reshape(-1, rows.shape[-1]), z.reshape(-1))
        return known(z, real)

    return place


def _in_order(x, axis=-1, kind=None):
    """np.argsort, which leaves open where equal elements come unless it is stable"""
    if kind != "stable" or not x.size:
        raise Unclear
    rows = _dense(np.moveaxis(x, axis, -1))
    places, spare = made(np.empty(rows.shape, np.int64)), made(np.empty(rows.shape[-1], np.int64))
    ORDER[x.dtype](rows.reshape(-1, rows.shape[-1]), places.reshape(-1, rows.shape[-1]), spare)
    return copied(np.argsort(x.inner, axis, kind="stable"), np.moveaxis(places, -1, axis))


class _Partitioned:
    """np.partition along the last axis, of which only the elements at that place are known."""

    def __init__(self, x, place, axis):
        self.x, self.place = x, place
        if axis != -1 or x.dtype.kind != "f":
            raise Unclear

    def __getitem__(self, index):
        if index != (..., self.place):
            raise Unclear
        x, zero = self.x, self.x == 0
        y = np.take_along_axis(x, np.argsort(x, -1, kind="stable")[..., self.place][..., None], -1)[..., 0]
        negative = np.signbit(x)
        doubtful = (y == 0) & (zero & negative).any(-1) & (zero & ~negative).any(-1)  # which of two zeros NumPy takes
        if doubtful.any():
            raise Unclear
        return y


def _along(x, index, axis):
    """The index with which x[…] takes along an axis, or puts there"""
    axis = axis % x.ndim
    sizes = [np.arange(n).reshape([-1 if i == k else 1 for k in range(x.ndim)]) for i, n in enumerate(x.shape)]
    return (*sizes[:axis], index, *sizes[axis + 1 :])


def _filled(shape, value, dtype=None):
    """An array of one number, which may be written to."""
    z = made(np.empty(shape, np.float64 if dtype is None else dtype))
    write(z, np.array(value, z.dtype))
    if value == 0 and not np.signbit(value):
        now.zeros.append(owner_of(z))
    return Followed(z)


def _padded(x, widths, mode="constant"):
    """np.pad with zeros"""
    if mode != "constant":
        raise Unclear
    z = _filled([n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)], 0, x.dtype)
    z[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))] = x
    return z


class _Some:
    """How many hold, of a mask. An operation asks only to spare itself what changes nothing if there are none, or no others."""

    def __bool__(self):
        return True

    def __ne__(self, number):
        return True


def _clipped(x, low, high, dtype=None):
    """np.clip. Which of two zeros it takes is not known: where their signs differ, Python is asked."""
    for bound, before in ((low, np.less), (high, np.greater)):
        if bound is None:
            continue
        if type(bound) not in (int, float) or (bound == 0 and ((x == 0) & (np.signbit(x) != np.signbit(bound))).any()):
            raise Unclear
        x = np.where(before(x, bound), x.dtype.type(bound), x)
    return x


FUNCTIONS |= {
    **{name: _view_of(getattr(np, name)) for name in ("transpose", "moveaxis", "swapaxes", "squeeze", "expand_dims")},
    **{name: _view_of(getattr(np, name)) for name in ("flip", "broadcast_to", "diagonal")},
    "take at": _taken,
    "put at": _put_at,
    "reshape": reshaped,
    "where": chosen,
    "concatenate": _joined,
    "stack": _stacked,
    "shape": lambda x: x.shape,
    "size": lambda x, axis=None: x.size if axis is None else x.shape[axis],
    "round": lambda x, decimals=0: np.rint(x) if decimals == 0 else unknown(),
    "ndim": lambda x: x.ndim,
    "ascontiguousarray": lambda x: x if x.inner.flags.c_contiguous else copied(np.ascontiguousarray(x.inner), x.inner),
    "zeros_like": lambda x, dtype=None: _filled(x.shape, 0, dtype or x.dtype),
    "ones_like": lambda x, dtype=None: _filled(x.shape, 1, dtype or x.dtype),
    "sum": lambda x, axis=None, dtype=None, keepdims=False: x.sum(axis, dtype, keepdims),
    "prod": lambda x, axis=None, keepdims=False: x.prod(axis, keepdims),
    "cumprod": lambda x, axis, out=None: _stored(out, accumulated(np.multiply, x, axis)),
    "clip": _clipped,
    "result_type": lambda *xs: np.result_type(*(x.dtype if isinstance(x, Followed) else x for x in xs)),
    "count_nonzero": lambda x, axis=None, keepdims=False: _Some() if axis is None else unknown(),
    "roll": _rolled,
    **{name: _cut(getattr(np, name)) for name in ("tril", "triu")},
    **{name: _place(name) for name in ("argmax", "argmin")},
    "take": lambda x, index, axis: x[(slice(None),) * axis + (index,)],
    "argsort": _in_order,
    "pad": _padded,
    "partition": _Partitioned,
    "broadcast_arrays": lambda *xs: [np.broadcast_to(x, np.broadcast_shapes(*(x.shape for x in xs))) for x in xs],
    "take_along_axis": lambda x, index, axis: x[_along(x, index, axis)],
    "put_along_axis": lambda x, index, value, axis: x.__setitem__(_along(x, index, axis), value),
    "isposinf": lambda x: np.isinf(x) & ~np.signbit(x),
    "isneginf": lambda x: np.isinf(x) & np.signbit(x),
}


class _Names:
    """A module, but for the names in `instead`."""

    def __init__(self, module, instead):
        self._module, self._instead = module, instead

    def __getattr__(self, name):
        return self._instead[name] if name in self._instead else getattr(self._module, name)


NUMPY = _Names(
    np,
    {
        "zeros": lambda shape, dtype=None: _filled(shape, 0, dtype),
        "ones": lambda shape, dtype=None: _filled(shape, 1, dtype),
        "full": lambda shape, value, dtype=None: _filled(shape, value, np.asarray(value).dtype if dtype is None else dtype),
        "empty": lambda shape, dtype=None: _filled(shape, 0, dtype),
        "asarray": lambda x, dtype=None: x if isinstance(x, Followed) and is_of(x, dtype) else unknown(),
    },
)


# --- the kernels


class _Kernels:
    """Functions of minidl.kernels that are given a Followed: it is brought into the order that they want."""

    def __getattr__(self, name):
        own, along = getattr(kernels, name), _ALONG.get(name)

        def function(*args, **options):
            if along:
                return along(own, *args, **options)
            if name not in _KERNELS:
                raise Unclear
            results = own(*map(_dense, args), **{key: _dense(x) for key, x in options.items()})
            return tuple(map(_result, results)) if type(results) is tuple else _result(results)

        return function


def _dense(x):
    if not isinstance(x, Followed):
        return plain(x) if isinstance(x, np.ndarray) else x
    return x.inner if x.inner.flags.carray else copied(np.array(x.inner, order="C"), x.inner).inner


def _result(x):
    if not isinstance(x, np.ndarray):
        raise Unclear
    now.made.append(owner_of(x))
    return Followed(x)


def _last(function, *args, axis=-1):
    """function(*arrays, axis), all of one shape"""
    *arrays, axis = args if isinstance(args[-1], int) else (*args, axis)
    if not arrays[0].ndim:
        return reshaped(_last(function, *(reshaped(x, 1) for x in arrays)), ())
    rows = [_dense(Followed(np.moveaxis(x.inner, axis, -1))) for x in arrays]
    y = np.moveaxis(_result(function(*rows, -1)).inner, -1, axis)
    return Followed(y) if y.flags.c_contiguous else copied(np.ascontiguousarray(y), y)


def _over(function, x, axes, keepdims=False, divisor=1):
    """sum_over: as sums.py does it with an array that is not contiguous"""
    y = _total(kernels.sum_over, x, axes)
    y = y if divisor == 1 else y / y.dtype.type(divisor)
    return reshaped(y, [1 if axis in axes else n for axis, n in enumerate(x.shape)]) if keepdims else y


def _total(function, x, axes, **options):
    if x.dtype.kind != "f":
        raise Unclear
    dtype = np.dtype(np.float64) if function is kernels.total else x.dtype
    if not axes:
        x = x.astype(np.float64)
        return (x * x if options.get("squares") else x).astype(dtype)
    x = x.inner
    if not x.size:
        return _filled([n for axis, n in enumerate(x.shape) if axis not in axes], 0, dtype)
    if x.flags.c_contiguous:
        return _result(function(_dense(Followed(x)), axes, **options))
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    kept = [axis for axis in order if axis not in axes]
    y = function(_dense(Followed(x.transpose(order))), tuple(i for i, axis in enumerate(order) if axis in axes), **options)
    y = _result(y)
    return y.transpose(np.argsort(kept)) if kept else y


def _extreme(name):
    """amax and amin, which are NumPy's where there is no loop for these axes"""

    def over(function, x, axes):
        if x.dtype.kind != "f" or not fits(x.inner, axes):
            return reduced(getattr(np, name), x, axes)
        return _result(function(_dense(x), axes))

    return over


def _variance(function, x, axes, free, root=False):
    """As variances.py does it: where there is no loop for these axes, they are brought to the end first."""
    if not x.size or not axes:
        raise Unclear
    order = order_in_memory(x)
    if not fits(x.inner.transpose(order), places_in(order, axes)):
        order = [axis for axis in range(x.ndim) if axis not in axes] + list(axes)
    y, z = map(_result, function(_dense(x.transpose(order)), places_in(order, axes), free, root))
    kept = [axis for axis in order if axis not in axes]
    return y.transpose(np.argsort(kept)) if kept else y, z.transpose(np.argsort(order))


_ALONG = {
    **dict.fromkeys(("softmax", "softmax_backward", "log_softmax", "log_softmax_backward"), _last),
    "sum_over": _over,
    "to_int64": lambda function, x: x if x.dtype == np.int64 else unknown(),
    "total": _total,
    "amax": _extreme("maximum"),
    "amin": _extreme("minimum"),
    "variance": _variance,
}
_KERNELS = {
    *("exp", "expm1", "log", "log2", "log1p", "erf", "erfc", "tanh", "sigmoid", "logsigmoid", "lgamma", "digamma", "polygamma"),
    *(
        "gammainc",
        "clamp",
        "max_along",
        "min_along",
        "topk",
        "gamma_slope",
        "squared_error",
        "squared_error_backward",
        "running_sums",
    ),
    *("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits_backward"),
    *("cross_entropy_soft", "cross_entropy_soft_backward", "negative_log_likelihood", "negative_log_likelihood_backward"),
    *("relu", "relu_backward", "leaky_relu", "leaky_relu_backward", "elu", "elu_backward", "gelu", "gelu_backward", "silu"),
    *("silu_backward", "softplus", "softplus_backward", "tanh_backward", "sigmoid_backward", "logsigmoid_backward"),
}
KERNELS = _Kernels()
