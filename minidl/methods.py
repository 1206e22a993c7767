"""The larger part of Tensor's vocabulary: functions of each element, reductions, shapes. Thin: the mathematics is in `ops/`.

These are methods of `Tensor` (in `tensor.py`, which inherits them), and say `self._apply(op, ...)` for its `apply`.
"""

import functools
import math
import numbers
import operator
from collections import namedtuple

import numpy as np

from . import dtypes, ops
from .ops.base import normalize_axes, normalize_axis

MaxResult = namedtuple("max", "values indices")
MinResult = namedtuple("min", "values indices")
SortResult = namedtuple("sort", "values indices")
TopkResult = namedtuple("topk", "values indices")


class Methods:
    """What a Tensor can do with one operation. Reductions take dim (or axis), shapes take sizes as PyTorch's do."""

    # --- functions of each element

    def abs(self):
        return self._apply(ops.Abs(), self)

    __abs__ = absolute = abs

    def exp(self):
        return self._apply(ops.Exp(), floating(self))

    def expm1(self):
        """eˣ − 1, exact for small x."""
        return self._apply(ops.Expm1(), floating(self))

    def log(self):
        """The natural logarithm."""
        return self._apply(ops.Log(), floating(self))

    def log2(self):
        return self._apply(ops.Log2(), floating(self))

    def log10(self):
        return self._apply(ops.Log10(), floating(self))

    def log1p(self):
        """ln(1 + x), exact for small x."""
        return self._apply(ops.Log1p(), floating(self))

    def sqrt(self):
        return self._apply(ops.Sqrt(), floating(self))

    def rsqrt(self):
        return self._apply(ops.Rsqrt(), floating(self))

    def square(self):
        return self._apply(ops.Square(), self.to(dtypes.int64) if self.array.dtype.kind == "b" else self)

    def reciprocal(self):
        return self._apply(ops.Reciprocal(), floating(self))

    def sin(self):
        return self._apply(ops.Sin(), floating(self))

    def cos(self):
        return self._apply(ops.Cos(), floating(self))

    def tan(self):
        return self._apply(ops.Tan(), floating(self))

    def asin(self):
        return self._apply(ops.Asin(), floating(self))

    def acos(self):
        return self._apply(ops.Acos(), floating(self))

    def atan(self):
        return self._apply(ops.Atan(), floating(self))

    arcsin, arccos, arctan = asin, acos, atan

    def sinh(self):
        return self._apply(ops.Sinh(), floating(self))

    def cosh(self):
        return self._apply(ops.Cosh(), floating(self))

    def tanh(self):
        return self._apply(ops.Tanh(), floating(self))

    def sigmoid(self):
        return self._apply(ops.Sigmoid(), floating(self))

    def erf(self):
        return self._apply(ops.Erf(), floating(self))

    def lgamma(self):
        """ln |Γ(x)|; (n − 1)! = Γ(n)."""
        return self._apply(ops.Lgamma(), floating(self))

    def digamma(self):
        """ψ(x), the derivative of lgamma."""
        return self._apply(ops.Digamma(), floating(self))

    def polygamma(self, n):
        """The n-th derivative of digamma, n from 0 to 170."""
        if not isinstance(n, (int, np.integer)) or not 0 <= n <= 170:
            raise ValueError(f"polygamma: n must be an integer from 0 to 170, got {n!r}")
        return self._apply(ops.Polygamma(int(n)), floating(self)) if n else self.digamma()

    def relu(self):
        """max(x, 0), with slope 0 at 0."""
        return self._apply(ops.ReLU(), self) if self.array.dtype.kind == "f" else self._wrap(np.maximum(self.array, 0))

    def sign(self):
        return self.clone() if self.array.dtype.kind == "b" else self._apply(ops.Step(np.sign), self)

    def floor(self):
        return self._apply(ops.Step(np.floor), self)

    def ceil(self):
        return self._apply(ops.Step(np.ceil), self)

    def trunc(self):
        return self._apply(ops.Step(np.trunc), self)

    def round(self, *, decimals=0):
        """To the nearest number with so many decimals; half goes to even."""
        decimals = _integer("round", decimals)
        return self._apply(ops.Step(functools.partial(np.round, decimals=decimals)), self)

    def clamp(self, min=None, max=None):
        """Held between min and max, numbers or tensors."""
        if min is None and max is None:
            raise ValueError("clamp: expected min, max or both")
        if isinstance(min, Methods) or isinstance(max, Methods):
            result = self if min is None else self.maximum(min)
            return result if max is None else result.minimum(max)
        dtype = functools.reduce(dtypes.join, [dtypes.result_type(self.array, x) for x in (min, max) if x is not None])
        try:
            return self._apply(ops.Clamp(min, max), self.to(dtype))
        except (TypeError, ValueError):
            raise TypeError(f"clamp: expected numbers or tensors as min and max, got {min!r} and {max!r}") from None

    clip = clamp

    # --- softmax

    def softmax(self, dim, dtype=None):
        """e^x/Σe^x along an axis; a row that is −inf throughout gives zeros."""
        x = floating(self if dtype is None else self.to(dtype))
        return self._apply(ops.Softmax(normalize_axis("softmax", dim, self.ndim)), x)

    def log_softmax(self, dim, dtype=None):
        """The logarithm of softmax, computed without it."""
        x = floating(self if dtype is None else self.to(dtype))
        return self._apply(ops.LogSoftmax(normalize_axis("log_softmax", dim, self.ndim)), x)

    def logsumexp(self, dim, keepdim=False):
        """ln Σ eˣ along one or several axes."""
        return self._apply(ops.LogSumExp(_reduced(self, "logsumexp", dim, keepdim), keepdim), floating(self))

    # --- reductions: dim (or axis) is None for all axes, a number, or a tuple; keepdim (or keepdims) keeps them with size 1

    def sum(self, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=False):
        """The sum; of integers and booleans an int64."""
        dim, keepdim = _one_name("sum", dim, axis), keepdim or keepdims
        x = self.to(dtype) if dtype is not None else self if self.array.dtype.kind == "f" else self.to(dtypes.int64)
        return self._apply(ops.Sum(_reduced(self, "sum", dim, keepdim), keepdim), x)

    def nansum(self, dim=None, keepdim=False):
        """The sum of what is not NaN."""
        return self.masked_fill(self.isnan(), 0).sum(dim, keepdim)

    def mean(self, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=False):
        """The arithmetic mean, of floating-point tensors."""
        dim, keepdim = _one_name("mean", dim, axis), keepdim or keepdims
        x = self if dtype is None else self.to(dtype)
        if x.array.dtype.kind != "f":
            raise RuntimeError(f"mean: expected a floating-point tensor, got {x.dtype}; use .float() or dtype=")
        return self._apply(ops.Mean(_reduced(self, "mean", dim, keepdim), keepdim), x)

    def var(self, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None, keepdims=False):
        """The variance: Σ(x − μ)²/(n − correction). The correction is 1 (unbiased) unless it is said to be 0."""
        if isinstance(dim, bool):
            dim, unbiased = None, dim  # PyTorch's var(unbiased)
        if unbiased is not None and correction is not None:
            raise TypeError("var: give unbiased or correction, not both")
        correction = correction if correction is not None else 1 if unbiased is None else int(unbiased)
        if self.array.dtype.kind != "f":
            raise RuntimeError(f"var: expected a floating-point tensor, got {self.dtype}; use .float()")
        keepdim = keepdim or keepdims
        axes = _reduced(self, "var", _one_name("var", dim, axis), keepdim)
        return self._apply(ops.Var(axes, keepdim, correction), self)

    def std(self, dim=None, unbiased=None, keepdim=False, *, correction=None, axis=None, keepdims=False):
        """The square root of the variance."""
        return self.var(dim, unbiased, keepdim, correction=correction, axis=axis, keepdims=keepdims).sqrt()

    def prod(self, dim=None, keepdim=False, *, dtype=None):
        x = self.to(dtype) if dtype is not None else self if self.array.dtype.kind == "f" else self.to(dtypes.int64)
        return self._apply(ops.Prod(_reduced(self, "prod", dim, keepdim), keepdim), x)

    def amax(self, dim=None, keepdim=False):
        """The largest; equal ones share the gradient equally."""
        return self._apply(ops.Amax(_nonempty(self, "amax", dim, keepdim), keepdim), self)

    def amin(self, dim=None, keepdim=False):
        """The smallest; equal ones share the gradient equally."""
        return self._apply(ops.Amin(_nonempty(self, "amin", dim, keepdim), keepdim), self)

    def max(self, dim=None, keepdim=False, *, axis=None):
        """max(): the largest of all. max(dim): (values, indices), the first of equal ones. max(other): elementwise."""
        if isinstance(dim, Methods):
            return self.maximum(dim)
        return _extreme(self, MaxResult, np.argmax, self.amax, _one_name("max", dim, axis), keepdim)

    def min(self, dim=None, keepdim=False, *, axis=None):
        """min(): the smallest of all. min(dim): (values, indices), the first of equal ones. min(other): elementwise."""
        if isinstance(dim, Methods):
            return self.minimum(dim)
        return _extreme(self, MinResult, np.argmin, self.amin, _one_name("min", dim, axis), keepdim)

    def argmax(self, dim=None, keepdim=False, *, axis=None):
        """The index of the largest (the first of equal ones), in the flattened tensor or along dim."""
        return _arg_extreme(self, "argmax", np.argmax, _one_name("argmax", dim, axis), keepdim)

    def argmin(self, dim=None, keepdim=False, *, axis=None):
        """The index of the smallest (the first of equal ones), in the flattened tensor or along dim."""
        return _arg_extreme(self, "argmin", np.argmin, _one_name("argmin", dim, axis), keepdim)

    def all(self, dim=None, keepdim=False):
        return self._wrap(np.asarray(self.array.all(axis=_reduced(self, "all", dim, keepdim), keepdims=keepdim)))

    def any(self, dim=None, keepdim=False):
        return self._wrap(np.asarray(self.array.any(axis=_reduced(self, "any", dim, keepdim), keepdims=keepdim)))

    def count_nonzero(self, dim=None):
        return self._wrap(np.asarray(np.count_nonzero(self.array, axis=_reduced(self, "count_nonzero", dim))))

    def nonzero(self):
        """The indices of what is not zero, one row each."""
        return self._wrap(np.argwhere(self.array))

    def cumsum(self, dim=None, *, axis=None):
        dim = _one_name("cumsum", dim, axis)
        if dim is None:
            raise TypeError("cumsum: expected dim")
        axis = normalize_axis("cumsum", dim, self.ndim)
        x = self if self.array.dtype.kind == "f" else self.to(dtypes.int64)
        return self._apply(ops.CumSum(axis), x) if self.ndim else x.clone()

    def norm(self, p="fro", dim=None, keepdim=False):
        """(Σ|x|ᵖ)^(1/p), p = 2 by default; math.inf gives the largest |x|. The gradient at 0 is 0."""
        p = 2 if p in ("fro", None) else p
        if not isinstance(p, numbers.Real) or not p > 0:
            raise ValueError(f"norm: p must be a number above 0, or math.inf, got {p!r}")
        return self._apply(ops.Norm(_reduced(self, "norm", dim, keepdim), keepdim, p), floating(self))

    def sort(self, dim=-1, descending=False, stable=True):
        """(values, indices) in order along an axis. NaN counts as the largest; equal elements keep their order."""
        axis = normalize_axis("sort", dim, self.ndim)
        index = _order(self.array, axis, descending)
        return SortResult(self._apply(ops.Sort(index, axis), self) if self.ndim else self.clone(), self._wrap(index))

    def argsort(self, dim=-1, descending=False, stable=True):
        return self._wrap(_order(self.array, normalize_axis("argsort", dim, self.ndim), descending))

    def topk(self, k, dim=-1, largest=True, sorted=True):
        """(values, indices) of the k largest (or smallest) along an axis, in order."""
        axis, k = normalize_axis("topk", dim, self.ndim), _integer("topk", k)
        if not 0 <= k <= self.shape[axis]:
            raise ValueError(f"topk: k must be between 0 and {self.shape[axis]}, got {k}")
        index = np.take(_order(self.array, axis, largest), np.arange(k), axis)
        return TopkResult(self._apply(ops.Sort(index, axis), self), self._wrap(index))

    # --- shape

    def reshape(self, *shape):
        """The same elements in another shape; one size may be −1. Shares memory where it can."""
        shape = sizes_of("reshape", shape)
        try:
            if min(shape, default=0) >= -1:
                return self._view(ops.Reshape, shape)
        except ValueError:
            pass
        raise ValueError(f"reshape: {self.numel()} elements of shape {self.shape} do not fit into shape {shape}")

    def view(self, *shape):
        """As reshape, but raises where memory cannot be shared. view(dtype) is not supported."""
        if len(shape) == 1 and isinstance(shape[0], np.dtype):
            raise TypeError("view: reinterpreting the memory as another dtype is not supported; use .to(dtype)")
        result = self.reshape(*shape)
        if result.array.size and not np.may_share_memory(result.array, self.array):
            raise RuntimeError(f"view: shape {result.shape} needs a copy of this non-contiguous tensor; use .reshape(...)")
        return result

    def reshape_as(self, other):
        return self.reshape(other.shape)

    def view_as(self, other):
        return self.view(other.shape)

    def flatten(self, start_dim=0, end_dim=-1):
        """One axis in place of those from start_dim to end_dim."""
        first, last = (normalize_axis("flatten", d, self.ndim) for d in (start_dim, end_dim))
        if first > last:
            raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
        shape = self.shape[:first] + (math.prod(self.shape[first : last + 1]),) + self.shape[last + 1 :]
        return self.reshape(shape)

    def ravel(self):
        return self.reshape(-1)

    def unflatten(self, dim, sizes):
        """Several axes in place of one."""
        axis = normalize_axis("unflatten", dim, self.ndim)
        sizes, size = sizes_of("unflatten", (sizes,)), self.shape[axis]
        if sizes.count(-1) == 1 and (known := -math.prod(sizes)):
            sizes = tuple(size // known if n == -1 else n for n in sizes)
        if math.prod(sizes) != size or min(sizes) < 0:
            raise ValueError(f"unflatten: axis {dim} of size {size} does not split into {sizes}")
        return self.reshape(self.shape[:axis] + sizes + self.shape[axis + 1 :])

    @property
    def T(self):
        """The axes in reverse order."""
        return self._view(ops.Permute, tuple(reversed(range(self.ndim))))

    @property
    def mT(self):
        """The last two axes exchanged."""
        return self.transpose(-1, -2)

    def t(self):
        """The transpose of a matrix."""
        if self.ndim > 2:
            raise ValueError(f"t: expected at most 2 axes, got shape {self.shape}")
        return self.T

    def transpose(self, dim0, dim1):
        """Two axes exchanged."""
        axes = list(range(self.ndim))
        i, j = normalize_axis("transpose", dim0, self.ndim), normalize_axis("transpose", dim1, self.ndim)
        if axes:
            axes[i], axes[j] = axes[j], axes[i]
        return self._view(ops.Permute, tuple(axes))

    swapaxes = swapdims = transpose

    def permute(self, *dims):
        """The axes in the given order."""
        axes = normalize_axes("permute", sizes_of("permute", dims), self.ndim)
        if len(axes) != self.ndim:
            raise ValueError(f"permute: expected {self.ndim} axes, got {dims}")
        return self._view(ops.Permute, axes)

    def movedim(self, source, destination):
        """Axes moved to other positions, the rest in order."""
        source = normalize_axes("movedim", source, self.ndim)
        destination = normalize_axes("movedim", destination, self.ndim)
        if len(source) != len(destination):
            raise ValueError(f"movedim: {len(source)} axes cannot go to {len(destination)} places")
        axes = [axis for axis in range(self.ndim) if axis not in source]
        for place, axis in sorted(zip(destination, source, strict=True)):
            axes.insert(place, axis)
        return self._view(ops.Permute, tuple(axes))

    def unsqueeze(self, dim):
        """A new axis of size 1."""
        axis = normalize_axis("unsqueeze", dim, self.ndim + 1)
        return self._view(ops.Reshape, self.shape[:axis] + (1,) + self.shape[axis:])

    def squeeze(self, dim=None):
        """Without its axes of size 1, or without those of `dim` that have size 1."""
        axes = normalize_axes("squeeze", dim, self.ndim)
        return self._view(ops.Reshape, tuple(n for i, n in enumerate(self.shape) if n != 1 or i not in axes))

    def expand(self, *sizes):
        """Repeated along axes of size 1 without copying; −1 leaves an axis as it is."""
        sizes = sizes_of("expand", sizes)
        lead = len(sizes) - self.ndim
        shape = tuple(self.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(sizes))
        fits = lead >= 0 and all(old in (1, new) for old, new in zip(self.shape, shape[lead:], strict=True))
        if not fits or -1 in shape:
            raise ValueError(f"expand: shape {self.shape} cannot be expanded to {sizes}: only axes of size 1 can grow")
        return self._view(ops.Expand, shape)

    def expand_as(self, other):
        return self.expand(other.shape)

    broadcast_to = expand

    def repeat(self, *repeats):
        """Tiled: `repeats[i]` copies along axis i; more counts than axes put new axes in front."""
        repeats = sizes_of("repeat", repeats)
        if len(repeats) < self.ndim or any(n < 0 for n in repeats):
            raise ValueError(f"repeat: expected a count of 0 or more for each of the {self.ndim} axes, got {repeats}")
        return self._apply(ops.Repeat(repeats), self)

    def tile(self, *dims):
        dims = sizes_of("tile", dims)
        return self.repeat((1,) * (self.ndim - len(dims)) + dims)

    def repeat_interleave(self, repeats, dim=None):
        """Every element (or slice along dim) `repeats` times in a row; a tensor gives a count for each."""
        x, axis = (self.flatten(), 0) if dim is None else (self, normalize_axis("repeat_interleave", dim, self.ndim))
        repeats = np.asarray(repeats.array if isinstance(repeats, Methods) else repeats)
        if repeats.dtype.kind not in "iu":
            raise TypeError(f"repeat_interleave: expected integers, got {repeats.dtype}")
        if np.any(np.less(repeats, 0)) or np.size(repeats) not in (1, x.shape[axis]):
            raise ValueError(f"repeat_interleave: expected one count, or {x.shape[axis]} counts, of 0 or more, got {repeats}")
        return self._apply(ops.RepeatInterleave(repeats, axis), x)

    def flip(self, *dims):
        """In reverse order along the given axes (a copy)."""
        axes = normalize_axes("flip", sizes_of("flip", dims), self.ndim)
        return self._apply(ops.Flip(axes if self.ndim else ()), self)

    def roll(self, shifts, dims=None):
        """Shifted along the given axes (all of the flattened tensor by default), around the ends."""
        if dims is None:
            return self.flatten().roll(shifts, 0).reshape(self.shape)
        axes = normalize_axes("roll", dims, self.ndim)
        shifts = sizes_of("roll", (shifts,))
        if len(shifts) != len(axes):
            raise ValueError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
        return self._apply(ops.Roll(shifts, axes), self)

    def contiguous(self):
        """Itself if its elements lie in order, else a copy."""
        if self.array.flags.c_contiguous:
            return self
        return self._apply(ops.Clone(), self)

    def unbind(self, dim=0):
        """The slices along an axis, which is dropped."""
        axis = normalize_axis("unbind", dim, self.ndim)
        return tuple(self[(slice(None),) * axis + (i,)] for i in range(self.shape[axis]))

    def split(self, split_size_or_sections, dim=0):
        """Pieces along an axis: of one size (the last may be smaller), or of the sizes listed."""
        axis = normalize_axis("split", dim, self.ndim)
        total, sizes = self.shape[axis], split_size_or_sections
        if isinstance(sizes, (tuple, list)):
            sizes = sizes_of("split", sizes)
        else:
            sizes = _integer("split", sizes)
            if sizes < 1:
                raise ValueError(f"split: the size of a piece must be 1 or more, got {sizes}")
            sizes = [min(sizes, total - start) for start in range(0, total, sizes)] or [0]
        if sum(sizes) != total or any(n < 0 for n in sizes):
            raise ValueError(f"split: sizes {list(sizes)} do not add up to {total}, the size of axis {dim}")
        ends = np.cumsum([0, *sizes]).tolist()
        return tuple(self.narrow(axis, start, n) for start, n in zip(ends, sizes, strict=False))

    def chunk(self, chunks, dim=0):
        """At most so many pieces along an axis, as equal as can be."""
        if _integer("chunk", chunks) < 1:
            raise ValueError(f"chunk: expected 1 chunk or more, got {chunks}")
        axis = normalize_axis("chunk", dim, self.ndim)
        return self.split(max(-(-self.shape[axis] // chunks), 1), axis)

    def narrow(self, dim, start, length):
        """The stretch [start, start + length) of an axis."""
        axis = normalize_axis("narrow", dim, self.ndim)
        start, length = _integer("narrow", start), _integer("narrow", length)
        if not 0 <= start <= start + length <= self.shape[axis]:
            raise IndexError(f"narrow: [{start}, {start + length}) is not within axis {dim} of size {self.shape[axis]}")
        return self[(slice(None),) * axis + (slice(start, start + length),)]

    def select(self, dim, index):
        """One slice of an axis, which is dropped."""
        return self[(slice(None),) * normalize_axis("select", dim, self.ndim) + (_integer("select", index),)]

    def diagonal(self, offset=0, dim1=0, dim2=1):
        """The elements with equal indices (offset apart) on two axes, as the last axis."""
        axes = normalize_axis("diagonal", dim1, self.ndim), normalize_axis("diagonal", dim2, self.ndim)
        offset = _integer("diagonal", offset)
        if self.ndim < 2 or axes[0] == axes[1]:
            raise ValueError(f"diagonal: expected two different axes of a tensor with 2 or more, got shape {self.shape}")
        return self._view(ops.Diagonal, (offset, *axes))

    def diag(self, diagonal=0):
        """Of a matrix its diagonal; of a vector the matrix that has it as its diagonal."""
        diagonal = _integer("diag", diagonal)
        if self.ndim == 2:
            return self.diagonal(diagonal).clone()
        if self.ndim != 1:
            raise ValueError(f"diag: expected a vector or a matrix, got shape {self.shape}")
        n = len(self) + abs(diagonal)
        row = np.arange(len(self)) + max(-diagonal, 0)
        zeros = self._wrap(np.zeros((n, n), self.dtype))
        return self._apply(ops.SetItem((row, row + diagonal)), zeros, self)

    def tril(self, diagonal=0):
        """0 above the diagonal."""
        return self._apply(ops.Triangle(True, _integer("tril", diagonal)), self)

    def triu(self, diagonal=0):
        """0 below the diagonal."""
        return self._apply(ops.Triangle(False, _integer("triu", diagonal)), self)

    def trace(self):
        return self.diagonal().sum()


# --- small helpers


def floating(x):
    """x, or x as float32 where it holds integers: what functions such as exp compute with."""
    return x if x.array.dtype.kind == "f" else x.to(dtypes.float32)


def sizes_of(name, sizes):
    """(2, 3), ((2, 3),) and ([2, 3],) alike, as a tuple of integers."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    for n in sizes:
        if type(n) is not int:
            return tuple(_integer(name, n) for n in sizes)
    return tuple(sizes)


def _integer(name, n):
    """n as a Python int: integers of NumPy's and tensors of one integer are some too, booleans and floats are not."""
    try:
        if type(n) is not bool:
            return operator.index(n)
    except TypeError:
        pass
    raise TypeError(f"{name}: expected an integer, got {n!r}")


def _one_name(name, dim, axis):
    if axis is None:
        return dim
    if dim is not None:
        raise TypeError(f"{name}: give dim or axis, not both")
    return axis


def _reduced(x, name, dim, keepdim=False):
    """The axes to reduce; all of them for None and for an empty tuple; none of a 0-d tensor's."""
    if dim is None:
        return tuple(range(x.array.ndim))
    if not isinstance(keepdim, bool):
        raise TypeError(f"{name}: keepdim must be True or False, got {keepdim!r}; several axes go into a tuple, dim=(0, 1)")
    axes = normalize_axes(name, dim, x.array.ndim)
    return (axes or tuple(range(x.array.ndim))) if x.array.ndim else ()


def _nonempty(x, name, dim, keepdim=False):
    axes = _reduced(x, name, dim, keepdim)
    if any(x.shape[axis] == 0 for axis in axes):
        raise ValueError(f"{name}: cannot be taken over an axis of size 0, shape {x.shape}")
    return axes


def _extreme(x, result, arg, whole, dim, keepdim):
    if dim is None:
        return whole()
    _nonempty(x, result.__name__, dim, keepdim)
    index = _arg_extreme(x, result.__name__, arg, dim, True).array
    axis = normalize_axis(result.__name__, dim, x.ndim)
    if not x.ndim:
        return result(x.clone(), x._wrap(index))
    values = x._apply(ops.Pick(index, axis, keepdim), x)
    return result(values, x._wrap(index if keepdim else index.squeeze(axis)))


def _arg_extreme(x, name, arg, dim, keepdim):
    _nonempty(x, name, dim, keepdim)
    axis = None if dim is None or not x.ndim else normalize_axis(name, dim, x.ndim)
    return x._wrap(np.asarray(arg(x.array, axis=axis, keepdims=keepdim)))


def _order(array, axis, descending):
    if not array.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(array, axis, kind="stable")
    # Sorted backwards and then read backwards, so that equal elements keep their order.
    index = np.argsort(np.flip(array, axis), axis, kind="stable")
    return array.shape[axis] - 1 - np.flip(index, axis)
