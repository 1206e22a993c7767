"""What stands for arrays while an operation is followed (following.py): what NumPy makes of it, kernels make, too."""

import threading
from types import SimpleNamespace

import numpy as np

from ..graph.writes import owner_of
from ..kernels.arithmetic import SELECT, four_axes
from ..kernels.comparisons import CONVERSIONS, DOUBT, TRUNCATE
from ..kernels.memory import address_of
from ..kernels.numpy_loops import call_loop, call_reduction, reduction_parts
from .calls import NoKernels, put
from .state import same_bits

FUNCTIONS = {}  # name of a function of NumPy's -> the one for what stands for arrays; followed_functions.py fills it
ANY = np.dtype(np.float64)  # of kernels that have no numbers of an element type
# `made`: what owns the memory of arrays that kernels have made; `zeros`: of those that are 0 throughout; `constants`: of arrays
# that nobody has made, so that they are there in each call.
now = threading.local()
_BY_SCALARS = {np.power, np.floor_divide, np.remainder, np.fmod, np.float_power}  # numbers have other code there than arrays
# Functions whose results are the same in whatever order the elements lie. NumPy turns around what lies backwards.
_ALIKE = {
    *(np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive, np.absolute, np.sign, np.square, np.sqrt),
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isnan, np.isinf, np.signbit),
    *(np.logical_and, np.logical_or, np.logical_not, np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert),
}
_KINDS = {np.logical_and: "b", np.logical_or: "b"}


class Unclear(NoKernels):
    """Kernels can't do what the operation does here."""


def make(calls):
    """Makes calls that were written down, through the tables, where the recorder notes them."""
    for call in calls:
        call.kernel[call.dtype](*call.args)


class Followed(np.lib.mixins.NDArrayOperatorsMixin):
    """An array, and whatever NumPy makes of it, which kernels make, too."""

    def __init__(self, array):
        self.inner = array

    shape, dtype, ndim, size, strides = (
        property(lambda self, name=name: getattr(self.inner, name)) for name in ("shape", "dtype", "ndim", "size", "strides")
    )
    array = property(lambda self: self)  # it may stand for a tensor
    flags = property(lambda self: SimpleNamespace(writeable=True))  # which an operation may set, of a view of its own
    T = property(lambda self: Followed(self.inner.T))

    def __len__(self):
        return len(self.inner)

    def __bool__(self, *args):
        raise Unclear

    __float__ = __int__ = __index__ = __array__ = item = tolist = __bool__

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __array_ufunc__(self, function, method, *inputs, **options):
        if method == "__call__":
            return mapped(function, inputs, **options)
        if method == "reduce":
            return reduced(function, *inputs, **options)
        if method == "accumulate":
            return accumulated(function, *inputs, **options)
        if method == "at" and function is np.add:
            return FUNCTIONS["put at"](*inputs, True)
        raise Unclear

    def __pow__(self, b):
        """As an array is raised to a power, of a few numbers by other functions."""
        if type(b) not in (int, float):
            return np.power(self, b)
        if not self.ndim:
            raise Unclear
        y = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal, 1: np.positive, 0: np.ones_like}.get(b)
        return known((np.power(self, b) if y is None else y(self)).inner, self.inner**b)

    def __ipow__(self, b):
        raise Unclear

    def __array_function__(self, function, kinds, args, options):
        if function.__name__ not in FUNCTIONS:
            raise Unclear
        return FUNCTIONS[function.__name__](*args, **options)

    def __getitem__(self, index):
        if not is_basic(index):
            return FUNCTIONS["take at"](self, index)
        index = index if type(index) is tuple else (index,)
        return viewed(self, lambda x: x[index if any(i is ... for i in index) else (*index, ...)])  # a view, and no number

    def __setitem__(self, index, value):
        index = index[0] if type(index) is tuple and len(index) == 1 else index
        if isinstance(index, Followed) and index.dtype == bool and not np.ndim(value):
            mask = index.reshape(index.shape + (1,) * (self.ndim - index.ndim))
            return write(_own(self.inner), chosen(mask, value if isinstance(value, Followed) else self.dtype.type(value), self))
        if not is_basic(index):
            return FUNCTIONS["put at"](self, index, value, False)
        write(_own(self[index].inner), value)

    def reshape(self, *shape, **options):
        return reshaped(self, shape[0] if len(shape) == 1 else shape)

    def ravel(self):
        return reshaped(self, -1)

    def transpose(self, *axes):
        return Followed(self.inner.transpose(*axes))

    def swapaxes(self, i, j):
        return Followed(self.inner.swapaxes(i, j))

    def squeeze(self, axis=None):
        return Followed(self.inner.squeeze(axis))

    def copy(self):
        return copied(self.inner.copy(), self.inner)

    def astype(self, dtype, copy=True):
        return copied(self.inner.astype(dtype), self.inner) if copy or dtype != self.dtype else self

    def take(self, index, axis):
        return FUNCTIONS["take"](self, index, axis)

    def argmax(self, axis=None, keepdims=False):
        return FUNCTIONS["argmax"](self, axis, keepdims)

    def any(self, axis=None, keepdims=False):
        """Whether it holds anywhere. Python goes on by this, and so a kernel watches whether it stays so."""
        if axis is not None:
            return reduced(np.logical_or, self, axis, keepdims=keepdims)
        found = bool(self.inner.any())
        if self.size:
            (mask,) = with_axes(plain(self, np.dtype(bool)))
            DOUBT[ANY](mask, found, np.full(1, -1.0))
        return found

    def all(self, axis=None):
        return not (~self).any() if axis is None else reduced(np.logical_and, self, axis)

    def sum(self, axis=None, dtype=None, keepdims=False):
        return reduced(np.add, self, axis, dtype, keepdims=keepdims)

    def prod(self, axis=None, keepdims=False):
        return reduced(np.multiply, self, axis, keepdims=keepdims)

    def max(self, axis=None, keepdims=False, **initial):
        return reduced(np.maximum, self, axis, keepdims=keepdims, **initial)

    def min(self, axis=None, keepdims=False, **initial):
        return reduced(np.minimum, self, axis, keepdims=keepdims, **initial)


class FollowedTensor(Followed):
    """What a function was given as a tensor."""


def is_basic(index):
    return not any(isinstance(i, (np.ndarray, Followed, list)) for i in (index if type(index) is tuple else (index,)))


class _Arrays(list):
    """Arrays, which are told apart by what they are."""

    def __contains__(self, x):
        return any(x is y for y in self)

    def remove(self, x):
        self[:] = [y for y in self if y is not x]


def begin():
    now.made, now.zeros, now.constants = _Arrays(), _Arrays(), []


def made(like):
    """An array of the same layout, for what kernels make."""
    z = np.empty_like(like, subok=False)
    now.made.append(owner_of(z))
    return z


def known(z, real):
    """Of an array that kernels have made, if it has the bits of NumPy's."""
    if not same_bits(z, real):
        raise Unclear
    return Followed(z)


def is_of(x, dtype):
    """Whether an array has this dtype, or none was asked for. (NumPy takes None for float64 where it compares dtypes.)"""
    return dtype is None or x.dtype == dtype


def plain(x, dtype=None):
    """The array of an operand, or a constant; of another dtype if that is given."""
    if isinstance(x, Followed):
        return x.inner if is_of(x, dtype) else copied(x.inner.astype(dtype), x.inner).inner
    if isinstance(x, np.ndarray):  # which may be changed in place before a later call
        now.constants.append(owner_of(x))
        return x if is_of(x, dtype) else copied(x.astype(dtype), x).inner
    x = np.array(x, dtype)
    now.constants.append(x)
    return x


def real_of(x):
    return x.inner if isinstance(x, Followed) else x


def copied(real, x):
    """real = x in another dtype or layout"""
    z = made(real)
    write(z, Followed(x))
    return known(z, real)


def with_axes(*arrays):
    arrays = four_axes(*arrays)
    if arrays is None:
        raise Unclear
    return arrays


def write(z, value):
    """z[...] = value"""
    x = plain(value)
    if owner_of(z) in now.zeros:
        now.zeros.remove(owner_of(z))
    x = np.broadcast_to(x.reshape(x.shape[x.ndim - z.ndim :]) if x.ndim > z.ndim else x, z.shape)
    if not z.size or (x.dtype == z.dtype and _is_same(x, z)):
        return
    if owner_of(x) is owner_of(z):
        raise Unclear
    if z.dtype != x.dtype:
        if not isinstance(value, Followed):
            return write(z, x.astype(z.dtype))
        if z.dtype == np.int64 and x.dtype.kind == "f":
            if not (np.abs(x) < 2**62).all():
                raise Unclear
            z, x = with_axes(z, x)
            return TRUNCATE[x.dtype](x, z, np.full(1, -1.0))
        if x.dtype not in CONVERSIONS or not (z.dtype.kind == "f" or (x.dtype == bool and z.dtype == np.int64)):
            raise Unclear
        z, x = with_axes(z, x)
        CONVERSIONS[x.dtype][z.dtype](x, z)
    elif z.dtype.kind == "f":
        make(put(z, x))
    elif not call_loop(np.bitwise_or, z, x, x):  # of masks
        raise Unclear


def _is_same(x, z):
    """Whether two arrays of a shape are the same part of the same memory."""
    steps = zip(z.shape, x.strides, z.strides, strict=True)
    return address_of(x) == address_of(z) and all(n == 1 or one == two for n, one, two in steps)


def _own(z):
    """z, if it is a part of what kernels have made."""
    if owner_of(z) not in now.made:
        raise Unclear
    return z


def mapped(function, inputs, out=None, where=True, **options):
    """z = function(*inputs)"""
    if function.nout != 1 or options.keys() - {"dtype"}:
        raise Unclear
    real = np.asarray(function(*map(real_of, inputs), **options))
    if real.ndim == 0 and function in _BY_SCALARS:
        raise Unclear
    kinds = [type(x) if type(x) in (int, float) else x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype for x in inputs]
    signature = {"signature": (*(None,) * function.nin, np.dtype(options["dtype"]))} if options else {}
    *kinds, kind = function.resolve_dtypes((*kinds, None), **signature)
    xs = [plain(x, dtype) for x, dtype in zip(inputs, kinds, strict=True)]
    backwards = function not in _ALIKE and any(step < 0 for x in xs for step in x.strides)
    # Its loop has other code where an operand is repeated. In which cases NumPy comes there is not known for certain.
    repeats = function is np.power and any(x.ndim and x.shape != real.shape for x in xs)
    if kind != real.dtype or backwards or repeats:
        raise Unclear
    z = made(real)
    if real.size and not call_loop(function, z, *xs):
        raise Unclear
    z = known(z, real)
    if out is None:
        return z if where is True else unknown()
    (out,) = out
    if not isinstance(out, Followed) or owner_of(out.inner) not in now.made or out.shape != z.shape or out.dtype != z.dtype:
        raise Unclear
    write(out.inner, z if where is True else chosen(where, z, Followed(out.inner)))
    return out


def unknown():
    raise Unclear


def chosen(mask, x, y):
    """np.where"""
    real = np.where(real_of(mask), real_of(x), real_of(y))
    z = made(real)
    if real.size:
        y_, mask, x, y = with_axes(z, plain(mask, np.dtype(bool)), plain(x, real.dtype), plain(y, real.dtype))
        SELECT[z.dtype](mask, x, y, y_)
    return known(z, real)


def reduced(function, x, axis=0, dtype=None, out=None, keepdims=False, initial=None, where=True):
    if out is not None or where is not True or x.dtype.kind != _KINDS.get(function, "f") or not x.size:
        raise Unclear
    if not is_of(x, dtype):
        if x.size > np.getbufsize():  # NumPy would add some of them apart
            raise Unclear
        x = x.astype(dtype)
    options = {} if initial is None else {"initial": initial}
    real = np.asarray(function.reduce(x.inner, axis=axis, keepdims=keepdims, **options))
    axes = tuple(range(x.ndim)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    if real.dtype != x.dtype:
        raise Unclear
    z = made(real)
    parts = list(reduction_parts(x.inner, z if keepdims else np.expand_dims(z, axes), axes))
    if function is np.add:  # NumPy begins its sums with 0 or with -0.0, by its version
        initial = np.add.reduce(np.full(1, -0.0, x.dtype))
    for i, (rows, sums) in enumerate(parts):
        if i == 0 and initial is not None:
            make(put(sums, float(initial)))
        elif i == 0:
            write(sums, Followed(rows[:, 0]))
            rows = rows[:, 1:]
        if rows.size and not call_reduction(function, sums, rows):
            raise Unclear
    return known(z, real) if parts else unknown()


def accumulated(function, x, axis=0, dtype=None, out=None):
    real = function.accumulate(x.inner, axis)
    z = made(real)
    if x.dtype != real.dtype:
        raise Unclear
    if z.size:
        x, y = np.moveaxis(x.inner, axis, 0), np.moveaxis(z, axis, 0)
        make(put(y[0, ...], x[0, ...]))
        if len(x) > 1 and not call_loop(function, y[1:], y[:-1], x[1:]):  # in order, so that what it reads is there
            raise Unclear
    return known(z, real)


def viewed(x, function):
    real = function(x.inner)
    if real.size and owner_of(real) is not owner_of(x.inner):
        raise Unclear
    return Followed(real)


def reshaped(x, shape):
    real = x.inner.reshape(shape)
    if not real.size or owner_of(real) is owner_of(x.inner):
        return Followed(real)
    z = made(real)
    write(z.reshape(x.shape), x)
    return known(z, real)
