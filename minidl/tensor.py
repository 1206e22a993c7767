"""Tensor: an array, and the node of the graph that made it. Knows no derivative: those are in `ops/`.

Recording is one function, `apply`. It runs an operation forward and, if any input wants a gradient, keeps the operation as the
node of its result. Everything else here gives PyTorch's names to operations. Start reading at `apply`, then `Tensor.backward`.
"""

import copy
import functools
import warnings
import weakref

import numpy as np

from . import double_backward, dtypes, ops, random
from .attributes import Attributes
from .graph import SILENT, Leaf, Part, check_finite, float_errors, mode, next_serial, note_write, user_line, walk
from .indexing import checked_index, integers_first, numpy_index
from .methods import Methods, floating
from .ops.base import normalize_axis

_NUMBERS = (int, float, np.integer, np.floating, np.bool_)


# --- recording an operation


def apply(op, *inputs):
    """Runs a fresh operation on tensors (binary ones also take a Python number) and records it if a gradient is wanted."""
    needs, arrays, wanted = [], [], False
    for x in inputs:
        if isinstance(x, Tensor):
            node = x.node
            if node is not None:
                wanted = True
            needs.append(node)
            arrays.append(x.array)
        else:
            needs.append(None)
            arrays.append(x)
    if wanted and not mode.recording:
        needs, wanted = [None] * len(needs), False
    op.needs = needs
    if op.warns:
        token = float_errors.set(SILENT)  # infinities and NaNs are results here as in PyTorch, not warnings
        try:
            y = op.forward(*arrays)
        finally:
            float_errors.reset(token)
    else:
        y = op.forward(*arrays)
    if type(y) is not _ndarray:
        if type(y) is tuple:
            return _record_parts(op, y, wanted)
        y = np.asarray(y)  # arithmetic on 0-d arrays makes NumPy scalars
    result = _new(Tensor)
    result.array = y
    if wanted:
        op.serial = next_serial()
        op.shape = y.shape
        result.node = op
        if mode.anomaly:
            op.origin = user_line()
            check_finite(op, y, "its output")
    return result


def wrap(array, node=None):
    """A Tensor around this very array, without a copy or a check."""
    result = _new(Tensor)
    result.array = array
    if node is not None:
        result.node = node
    return result


_new, _ndarray = object.__new__, np.ndarray


def _record_parts(op, arrays, wanted):
    results = [wrap(np.asarray(y)) for y in arrays]
    if wanted:
        op.serial, op.outputs = next_serial(), len(arrays)
        for i, result in enumerate(results):
            if dtypes.is_float(result.array.dtype):
                result.node = Part(op, i, result.array.shape)
        if mode.anomaly:
            op.origin = user_line()
            for y in arrays:
                check_finite(op, y, "its output")
    return tuple(results)


def binary(op, a, b):
    """`apply` for two operands that broadcast, after bringing them to PyTorch's common dtype."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        alike = a.array.dtype is b.array.dtype
    else:  # a Python number next to floats needs no care, and never widens them
        alike = _float_and_number(a, b) or _float_and_number(b, a)
    if not alike:
        a, b = promote(op.name, a, b)
    try:
        return apply(op, a, b)
    except ValueError:
        _check_broadcast(op.name.lower(), a, b)
        raise


def _float_and_number(a, b):
    return type(b) in (float, int) and isinstance(a, Tensor) and a.array.dtype.kind == "f"


def promote(name, a, b):
    """Two operands in their common dtype; a Python number stays a number, and never widens a tensor."""
    a, b = operand(name, a), operand(name, b)
    a_tensor, b_tensor = isinstance(a, Tensor), isinstance(b, Tensor)
    if not a_tensor and not b_tensor:
        raise TypeError(f"{name.lower()}: expected a Tensor among the operands, got {type(a).__name__} and {type(b).__name__}")
    dtype = dtypes.result_type(a.array if a_tensor else a, b.array if b_tensor else b)
    return (a.to(dtype) if a_tensor else a), (b.to(dtype) if b_tensor else b)


def operand(name, x):
    """x as a Tensor or a Python number (NumPy's arrays share their memory, NumPy's scalars count as numbers)."""
    if isinstance(x, Tensor) or type(x) in (int, float, bool):
        return x
    if isinstance(x, _NUMBERS):
        return x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.ndarray):
        return wrap(_checked(name, np.asarray(x)))
    raise TypeError(f"{name.lower()}: expected a Tensor or a number, got {type(x).__name__}")


def _checked(name, array):
    if array.dtype not in dtypes.SUPPORTED:
        raise TypeError(f"{name.lower()}: dtype {array.dtype} is not supported")
    return array


def _check_broadcast(name, a, b):
    a, b = np.shape(getattr(a, "array", a)), np.shape(getattr(b, "array", b))
    for axis, (m, n) in enumerate(zip(reversed(a), reversed(b), strict=False), 1):
        if m != n and m != 1 and n != 1:
            raise ValueError(f"{name}: shapes {a} and {b} do not broadcast: axis -{axis} has {m} and {n}")


# --- the tensor


class Tensor(Attributes, Methods):
    """An n-dimensional array of numbers that remembers how it was made.

    `array` is its ndarray. `node` is None for a constant, a `Leaf` for a tensor whose gradient is wanted, and for a result the
    operation that made it. Make one with `minidl.tensor`.
    """

    node = None
    base = None  # of a view: (the tensor it shows a part of, the class of the operation that shows it, its options)
    views = None  # of a tensor with views: weak references to them
    __array_ufunc__ = None  # NumPy on the left lets our reflected operator answer
    __hash__ = object.__hash__
    _apply, _wrap = staticmethod(apply), staticmethod(wrap)

    def __init__(self, data=()):
        array = data.array if isinstance(data, Tensor) else np.asarray(data)
        if array.dtype.kind not in "fiub":  # NumPy would make NaN of None, and 1 of "1"
            raise TypeError(f"Tensor: expected numbers, got {data!r}")
        self.array = np.array(array, dtypes.float32)

    # --- the graph

    @property
    def requires_grad(self):
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted):
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad=True):
        """Makes this tensor a leaf that collects its gradient in `.grad`, or a constant again."""
        if requires_grad and self.node is None:
            if self.array.dtype.kind != "f":
                raise TypeError(
                    f"requires_grad: only floating-point tensors can require gradients, got {self.dtype} "
                    "(write [1., 2.] or dtype=minidl.float32)"
                )
            self.node = Leaf(self.array.shape, self.array.dtype)
        elif not requires_grad and self.node is not None:
            if not self.is_leaf:
                raise RuntimeError("requires_grad: only a leaf can stop requiring grad; use .detach() on a result")
            self.node = None
        return self

    @property
    def is_leaf(self):
        """Whether the user made it (True), or an operation on something that requires grad (False)."""
        return self.node is None or type(self.node) is Leaf

    @property
    def grad_fn(self):
        """The operation that made it, or None."""
        return None if self.is_leaf else self.node

    @property
    def grad(self):
        """The gradient of the last backward(s), a Tensor, or None. Only leaves keep theirs, and results after retain_grad()."""
        if self.node is None:
            return None
        if not self.node.retains:
            warnings.warn(
                ".grad of the result of an operation is not kept, and None: call retain_grad() on it before backward()",
                stacklevel=2,
            )
        return self.node.grad

    @grad.setter
    def grad(self, grad):
        if grad is not None and (not isinstance(grad, Tensor) or grad.shape != self.shape or grad.dtype != self.dtype):
            raise TypeError(f"grad: expected None or a {self.dtype} Tensor of shape {self.shape}, got {grad!r}")
        if self.node is None:
            if grad is not None:
                raise RuntimeError("grad: this tensor does not require grad")
        else:
            self.node.grad = grad

    @grad.deleter
    def grad(self):
        self.grad = None

    def retain_grad(self):
        """Asks that backward() also keep the gradient of this result in `.grad`."""
        if self.node is None:
            raise RuntimeError("retain_grad: this tensor does not require grad")
        self.node.retains = True

    @property
    def retains_grad(self):
        return self.node is not None and self.node.retains and not self.is_leaf

    def register_hook(self, hook):
        """Calls hook(grad) when the gradient of this tensor has arrived; a Tensor that it returns takes the gradient's place.

        Returns a handle whose `remove()` takes the hook off.
        """
        if self.node is None:
            raise RuntimeError("register_hook: this tensor does not require grad")
        node, key = self.node, next_serial()

        def on_gradient(dy):
            if type(dy) is not _ndarray:  # of a walk with create_graph
                return hook(dy)
            result = hook(wrap(dy.copy()))  # a copy, because others may be sent the same array
            return None if result is None else result.array

        node.hooks = {**(node.hooks or {}), key: on_gradient}
        return HookHandle(node, key)

    def backward(self, gradient=None, retain_graph=False, create_graph=False, inputs=None):
        """Adds ∂self/∂leaf to the `.grad` of every leaf this tensor was made from (or of `inputs` only).

        gradient: the cotangent ∂L/∂self, of this tensor's shape; 1 by default, for a scalar only.

        >>> import minidl
        >>> x = minidl.tensor([1., 2.], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
        """
        wanted = ()
        if inputs is not None:
            wanted = {x.node for x in ([inputs] if isinstance(inputs, Tensor) else inputs)}
            if not wanted or None in wanted:
                raise RuntimeError("backward: inputs must be one or more tensors that require grad")
        if create_graph:
            self._backward_recorded(gradient, wanted)
            return
        for node, dx in walk({self.node: cotangent("backward", self, gradient)}, retain_graph, wanted).items():
            if wanted and node not in wanted:
                continue
            if type(node) is Leaf and dx.dtype is not node.dtype and dx.dtype != node.dtype:
                raise RuntimeError(f"backward: a gradient of dtype {dx.dtype} arrived at a leaf of dtype {node.dtype}")
            if node.grad is None:
                node.grad = result = _new(Tensor)
                result.array = dx
            else:
                node.grad.array += dx
                note_write(node.grad.array)

    def _backward_recorded(self, gradient, wanted):
        seed = recorded_cotangent("backward", self, gradient)
        for node, dx in double_backward.walk({self.node: seed}, wanted).items():
            if not wanted or node in wanted:
                node.grad = dx.clone() if node.grad is None else node.grad + dx

    def detach(self):
        """The same memory, outside the graph."""
        return wrap(self.array)

    def detach_(self):
        self.node = None
        return self

    @property
    def data(self):
        """The same memory, outside the graph: writing to it writes to this tensor."""
        return wrap(self.array)

    @data.setter
    def data(self, value):
        if not isinstance(value, Tensor) or (self.node is not None and not value.is_floating_point()):
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"data: expected a Tensor{'' if self.node is None else ' of floating-point numbers'}, got {kind}")
        self.array = value.array
        if type(self.node) is Leaf:
            self.node.shape, self.node.dtype = value.shape, value.dtype

    def clone(self):
        """A copy with memory of its own, in the graph."""
        return apply(ops.Clone(), self)

    def __getstate__(self):
        if not self.is_leaf:
            raise RuntimeError("only a leaf tensor can be copied or pickled: use .detach() or .clone() on a result")
        return {key: value for key, value in vars(self).items() if key not in ("base", "views")}

    def __setstate__(self, state):
        vars(self).update(state)

    def __deepcopy__(self, memo):
        state = self.__getstate__()
        result = memo[id(self)] = _new(type(self))
        vars(result).update({key: copy.deepcopy(value, memo) for key, value in state.items()})
        return result

    # --- arithmetic, elementwise with broadcasting

    def __add__(self, other):
        return binary(ops.Add(), self, other)

    def __radd__(self, other):
        return binary(ops.Add(), other, self)

    def add(self, other, *, alpha=1):
        """self + alpha·other"""
        return self + other if alpha == 1 else self + other * alpha

    def __sub__(self, other):
        return binary(ops.Sub(), self, other)

    def __rsub__(self, other):
        return binary(ops.Sub(), other, self)

    def sub(self, other, *, alpha=1):
        """self − alpha·other"""
        return self - other if alpha == 1 else self - other * alpha

    subtract = sub

    def __mul__(self, other):
        return binary(ops.Mul(), self, other)

    def __rmul__(self, other):
        return binary(ops.Mul(), other, self)

    mul = multiply = __mul__

    def __truediv__(self, other):
        return _divide(self, other)

    def __rtruediv__(self, other):
        return _divide(other, self)

    def div(self, other, *, rounding_mode=None):
        """self / other; rounding_mode "floor" or "trunc" rounds the quotient."""
        if rounding_mode is None:
            return self / other
        if rounding_mode == "floor":
            return self // other
        if rounding_mode == "trunc":
            return (self / other).trunc().to(dtypes.result_type(*(getattr(x, "array", x) for x in promote("div", self, other))))
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")

    divide = div

    def __floordiv__(self, other):
        return _floor_divide(self, other)

    def __rfloordiv__(self, other):
        return _floor_divide(other, self)

    floor_divide = __floordiv__

    def __mod__(self, other):
        return _remainder(self, other)

    def __rmod__(self, other):
        return _remainder(other, self)

    remainder = __mod__

    def __pow__(self, exponent):
        if type(exponent) in (int, float) and exponent == 2 and self.array.dtype.kind == "f":
            return self.square()
        return _power(self, exponent)

    def __rpow__(self, base):
        return _power(base, self)

    pow = __pow__

    def __neg__(self):
        return apply(ops.Neg(), self)

    neg = negative = __neg__

    def __pos__(self):
        return self

    def maximum(self, other):
        """The larger of each pair; a tie shares the gradient half and half."""
        return binary(ops.Maximum(), self, other)

    def minimum(self, other):
        """The smaller of each pair; a tie shares the gradient half and half."""
        return binary(ops.Minimum(), self, other)

    def xlogy(self, other):
        """self·ln(other), and 0 where self is 0."""
        return binary(ops.XLogY(), floating(self), other)

    def igamma(self, other):
        """P(a, x) for a = self and x = other: the chance that a gamma variable of shape a is at most x."""
        return binary(ops.GammaInc(), self, other)

    def lerp(self, end, weight):
        """self + weight·(end − self)"""
        return self + weight * (end - self)

    def where(self, condition, other):
        """self where the condition holds, else other."""
        return where(condition, self, other)

    def masked_fill(self, mask, value):
        """self, with `value` (a number or a 0-d tensor) where the mask is True; the dtype stays."""
        value = operand("masked_fill", value)
        if isinstance(value, Tensor):
            if value.ndim:
                raise ValueError(f"masked_fill: expected a number or a 0-d tensor, got shape {value.shape}")
            value = value.to(self.dtype)
        elif dtypes.result_type(self.array, value) != self.dtype:
            raise TypeError(f"masked_fill: {value!r} cannot be kept in a tensor of {self.dtype}")
        return where(mask, value, self)

    # --- comparisons: boolean, outside the graph

    def __eq__(self, other):
        return False if other is None or isinstance(other, str) else _compare(np.equal, self, other)

    def __ne__(self, other):
        return True if other is None or isinstance(other, str) else _compare(np.not_equal, self, other)

    def __lt__(self, other):
        return _compare(np.less, self, other)

    def __le__(self, other):
        return _compare(np.less_equal, self, other)

    def __gt__(self, other):
        return _compare(np.greater, self, other)

    def __ge__(self, other):
        return _compare(np.greater_equal, self, other)

    eq, ne, lt, le, gt, ge = __eq__, __ne__, __lt__, __le__, __gt__, __ge__

    def __invert__(self):
        if self.array.dtype.kind == "f":
            raise TypeError(f"~: expected a boolean or integer tensor, got {self.dtype}")
        return wrap(~self.array)

    def __and__(self, other):
        return _compare(np.bitwise_and, self, other)

    def __or__(self, other):
        return _compare(np.bitwise_or, self, other)

    def __xor__(self, other):
        return _compare(np.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def logical_not(self):
        return wrap(np.logical_not(self.array))

    def logical_and(self, other):
        return _compare(np.logical_and, self, other)

    def logical_or(self, other):
        return _compare(np.logical_or, self, other)

    def isnan(self):
        return wrap(np.asarray(np.isnan(self.array)))

    def isinf(self):
        return wrap(np.asarray(np.isinf(self.array)))

    def isfinite(self):
        return wrap(np.asarray(np.isfinite(self.array)))

    def isclose(self, other, rtol=1e-5, atol=1e-8, equal_nan=False):
        return _compare(functools.partial(np.isclose, rtol=rtol, atol=atol, equal_nan=equal_nan), self, other)

    def allclose(self, other, rtol=1e-5, atol=1e-8, equal_nan=False):
        return bool(self.isclose(other, rtol, atol, equal_nan).array.all())

    def equal(self, other):
        """Whether shape and every element are the same."""
        if not isinstance(other, Tensor):
            raise TypeError(f"equal: expected a Tensor, got {type(other).__name__}")
        return self.shape == other.shape and bool(np.array_equal(self.array, other.array))

    # --- products

    def __matmul__(self, other):
        return matmul(self, other)

    def __rmatmul__(self, other):
        return matmul(other, self)

    def matmul(self, other):
        """The matrix product; leading axes are batches and broadcast."""
        return matmul(self, other)

    def mm(self, mat2):
        """The product of two matrices: (n, k), (k, m) → (n, m)."""
        return _product("mm", self, mat2, 2, 2)

    def mv(self, vec):
        """The product of a matrix and a vector: (n, k), (k) → (n)."""
        return _product("mv", self, vec, 2, 1)

    def dot(self, tensor):
        """The product of two vectors, Σ x y: (n), (n) → ()."""
        return _product("dot", self, tensor, 1, 1)

    def bmm(self, mat2):
        """The products of two batches of matrices: (B, n, k), (B, k, m) → (B, n, m)."""
        if self.ndim == np.ndim(mat2) == 3 and len(self) != len(mat2):
            raise ValueError(f"bmm: the batches differ: {self.shape} and {mat2.shape}")
        return _product("bmm", self, mat2, 3, 3)

    def outer(self, vec2):
        """The products of every pair of two vectors' elements: (n), (m) → (n, m)."""
        if self.ndim != 1 or np.ndim(vec2) != 1:
            raise ValueError(f"outer: expected two vectors, got shapes {self.shape} and {np.shape(vec2)}")
        return self[:, None] * vec2[None, :]

    # --- indexing

    def __getitem__(self, index):
        if (type(index) is int or type(index) is slice) and self.array.ndim:
            return self._view(ops.Index, (index, Ellipsis))
        index = numpy_index(self, index)
        if ops.is_basic(index):
            full = any(part is Ellipsis for part in index)
            return self._view(ops.Index, index if full else (*index, Ellipsis))  # "..." makes a view of 0-d results too
        if int in map(type, index):
            integers, rest = integers_first(index)
            return self[integers][rest]
        return apply(ops.Index(index), self)

    def __setitem__(self, index, value):
        index = numpy_index(self, index)
        if int in map(type, index) and not ops.is_basic(index):
            integers, index = integers_first(index)
            self[integers][index] = value
            return
        value = operand("setitem", value)
        value = value.to(self.dtype) if isinstance(value, Tensor) else wrap(np.asarray(value, self.dtype))
        try:
            if (self.node is None and value.node is None) or not mode.recording:
                self._check_writable()
                self.array[index] = value.array
                note_write(self.array)
            else:
                self._become(apply(ops.SetItem(index), self, value))
        except ValueError as error:
            raise ValueError(f"setitem: a value of shape {value.shape} does not fit in {self.shape}[index]: {error}") from None

    def gather(self, dim, index):
        """The elements of an axis at an index of the result's shape: y[i][j] = x[index[i][j]][j] for dim 0."""
        axis = normalize_axis("gather", dim, self.ndim)
        rows = checked_index("gather", index, self.shape[axis])
        others = [i for i in range(self.ndim) if i != axis]
        if rows.ndim != self.ndim or any(rows.shape[i] > self.shape[i] for i in others):
            raise ValueError(f"gather: an index of shape {rows.shape} does not fit input {self.shape} along axis {dim}")
        return apply(ops.Gather(axis, rows), self)

    def take_along_dim(self, indices, dim):
        return self.gather(dim, indices)

    def index_select(self, dim, index):
        """The slices of an axis at the indices in a vector."""
        axis = normalize_axis("index_select", dim, self.ndim)
        rows = checked_index("index_select", index, self.shape[axis])
        return apply(ops.Index((slice(None),) * axis + (rows,)), self)

    def masked_select(self, mask):
        """The elements where the mask is True, as a vector."""
        if not isinstance(mask, Tensor) or mask.array.dtype.kind != "b":
            raise TypeError(
                f"masked_select: expected a boolean Tensor as mask, got {getattr(mask, 'dtype', type(mask).__name__)}"
            )
        _check_broadcast("masked_select", self, mask)
        shape = np.broadcast_shapes(self.shape, mask.shape)
        return self.expand(shape)[mask.expand(shape)]

    # --- in place. Each computes as its namesake does and then takes the result's place in the graph.

    def __iadd__(self, other):
        return self._become(self + other)

    def __isub__(self, other):
        return self._become(self - other)

    def __imul__(self, other):
        return self._become(self * other)

    def __itruediv__(self, other):
        return self._become(self / other)

    def __ifloordiv__(self, other):
        return self._become(self // other)

    def __ipow__(self, other):
        return self._become(self**other)

    def __imod__(self, other):
        return self._become(self % other)

    def __iand__(self, other):
        return self._become(self & other)

    def __ior__(self, other):
        return self._become(self | other)

    def __ixor__(self, other):
        return self._become(self ^ other)

    def add_(self, other, *, alpha=1):
        return self._become(self.add(other, alpha=alpha))

    def sub_(self, other, *, alpha=1):
        return self._become(self.sub(other, alpha=alpha))

    mul_, div_, pow_ = __imul__, __itruediv__, __ipow__

    def neg_(self):
        return self._become(-self)

    def exp_(self):
        return self._become(self.exp())

    def sqrt_(self):
        return self._become(self.sqrt())

    def relu_(self):
        return self._become(self.relu())

    def sigmoid_(self):
        return self._become(self.sigmoid())

    def tanh_(self):
        return self._become(self.tanh())

    def clamp_(self, min=None, max=None):
        return self._become(self.clamp(min, max))

    def masked_fill_(self, mask, value):
        return self._become(self.masked_fill(mask, value))

    def copy_(self, src):
        """Takes the source's values, broadcast to this shape and cast to this dtype."""
        source = operand("copy_", src)
        source = source.to(self.dtype) if isinstance(source, Tensor) else wrap(np.asarray(source, self.dtype))
        return self._become(source.expand(self.shape))

    def fill_(self, value):
        """Sets every element to a number, or to a 0-d tensor."""
        if isinstance(value, Tensor) and value.ndim:
            raise ValueError(f"fill_: expected a number or a 0-d tensor, got shape {value.shape}; use copy_")
        return self.copy_(value)

    def zero_(self):
        """Sets every element to 0."""
        return self.fill_(0)

    def normal_(self, mean=0.0, std=1.0, *, generator=None):
        """Draws every element from the normal distribution."""
        return self._become(wrap(random.source(generator).normal(self.shape, self.dtype, mean, std)))

    def uniform_(self, low=0.0, high=1.0, *, generator=None):
        """Draws every element from the uniform distribution on [low, high)."""
        return self._become(wrap(random.source(generator).uniform(self.shape, self.dtype, low, high)))

    def bernoulli_(self, p=0.5, *, generator=None):
        """Sets every element to 1 with probability p, else to 0."""
        return self._become(wrap(random.source(generator).bernoulli(self.shape, p, self.dtype)))

    def _become(self, result):
        """self ← result, in self's memory; in the graph self is from now on what the result is."""
        if result.shape != self.shape:
            raise ValueError(f"in place: the result has shape {result.shape} and does not fit into shape {self.shape}")
        if not dtypes.fits(result.dtype, self.dtype):
            raise RuntimeError(f"in place: a result of {result.dtype} cannot be kept in a tensor of {self.dtype}")
        self._check_writable()
        result, old, new = result.to(self.dtype), self.node, result.node
        if new is not None:  # what its backward reads of the old values would be lost with them
            for name, value in vars(new).items():
                if value is self.array:
                    setattr(new, name, value.copy())
        np.copyto(self.array, result.array)
        note_write(self.array)
        if mode.recording and old is not new:
            if self.retains_grad and new is not None:  # follows the tensor
                old.retains, new.retains = False, True
            self.node = new
            self._update_views()
            self._update_base()
        return self

    def _check_writable(self):
        root = self
        while root.base is not None:
            root = root.base[0]
        if mode.recording and type(root.node) is Leaf:
            part = "" if root is self else "a view of "
            raise RuntimeError(f"in place: {part}a leaf that requires grad cannot be changed while recording; use no_grad()")
        if not self.array.flags.writeable:
            raise RuntimeError(
                "in place: this tensor's memory is read-only, or shared by several of its elements; use .clone()"
            )

    # Views. A write to a view is a write to its base and to the base's other views, in the graph as it is in memory.

    def _view(self, op_class, options):
        """The result of an operation that shows a part of this memory; view and base learn of each other."""
        view = apply(op_class(options), self)
        if mode.recording:
            owner = self.array if self.array.base is None else self.array.base
            shown = view.array.base
            if shown is owner or shown is self.array or op_class is not ops.Reshape:  # else it had to be copied
                view.base = (self, op_class, options)
                views = self.views
                if views is None:
                    self.views = views = []
                elif not len(views) & (len(views) - 1):  # at 1, 2, 4, 8, … references: those to views that are gone can go
                    views[:] = [reference for reference in views if reference() is not None]
                views.append(weakref.ref(view))
        return view

    def _update_base(self):
        """After a write to a view: its base is the old base with a patch, and the base's other views are views of that."""
        view = self
        while view.base is not None:
            base, op_class, options = view.base
            base.node = apply(ops.Patch(op_class(options)), base, view).node
            base._update_views(view)
            view = base

    def _update_views(self, source=None):
        """After a write: what shows this memory (but for the source of the write) is recorded again, from what is there now."""
        stack = [self]
        while stack:
            base = stack.pop()
            for reference in base.views or ():
                view = reference()
                if view is not None and view is not source:
                    _, op_class, options = view.base
                    view.node = apply(op_class(options), base).node
                    stack.append(view)


class HookHandle:
    """What register_hook returns: `remove()` takes the hook off."""

    def __init__(self, node, key):
        self.node, self.key = node, key

    def remove(self):
        self.node.hooks = {key: hook for key, hook in (self.node.hooks or {}).items() if key != self.key}


# --- functions of several tensors


def matmul(input, other):
    """The matrix product of two tensors of one dtype; leading axes are batches and broadcast.

    (n, k) @ (k, m) → (n, m);  (k) @ (k) → ();  (n, k) @ (k) → (n);  (k) @ (k, m) → (m)
    """
    try:
        return apply(ops.MatMul(), input, other)
    except (AttributeError, TypeError, ValueError):  # from the kernel, which checks in any case
        return _checked_matmul(operand("matmul", input), operand("matmul", other))


def _checked_matmul(a, b):
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or not a.ndim or not b.ndim:
        raise ValueError("matmul: both operands need at least one axis; use * to scale by a number")
    if a.dtype != b.dtype:
        raise TypeError(f"matmul: expected one dtype, got {a.dtype} and {b.dtype}")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape} disagree: the last axis of the first has {a.shape[-1]}, "
            f"{'the second-to-last' if b.ndim > 1 else 'the'} axis of the second {b.shape[-2 if b.ndim > 1 else 0]}"
        )
    if a.array.dtype.kind == "f":
        return apply(ops.MatMul(), a, b)
    return wrap(np.asarray(np.matmul(a.array, b.array)))


def where(condition, input=None, other=None):
    """input where the condition holds, else other; the side that is not chosen gets a gradient of exactly 0.

    where(condition) alone gives the indices of what is true, one tensor for each axis.
    """
    condition = condition.array if isinstance(condition, Tensor) else np.asarray(condition)
    if input is None and other is None:
        return tuple(wrap(index) for index in np.nonzero(condition))
    if condition.dtype.kind != "b":
        raise TypeError(f"where: the condition must be boolean, got {condition.dtype}")
    a, b = operand("where", input), operand("where", other)
    dtype = dtypes.result_type(*(x.array if isinstance(x, Tensor) else x for x in (a, b)))
    a, b = (x.to(dtype) if isinstance(x, Tensor) else wrap(np.asarray(x, dtype)) for x in (a, b))
    try:
        return apply(ops.Where(condition), a, b)
    except ValueError:
        raise ValueError(f"where: shapes {condition.shape}, {a.shape} and {b.shape} do not broadcast") from None


def cat(tensors, dim=0, *, axis=None):
    """The tensors one after the other along an axis, the other axes equal."""
    tensors = _common("cat", tensors)
    dim = dim if axis is None else axis
    axis = normalize_axis("cat", dim, tensors[0].ndim)
    for x in tensors:
        if (
            x.ndim != tensors[0].ndim
            or not x.ndim
            or np.delete(x.shape, axis).tolist() != np.delete(tensors[0].shape, axis).tolist()
        ):
            raise ValueError(f"cat: shapes {[x.shape for x in tensors]} must have axes, and be equal but for axis {dim}")
    return apply(ops.Cat(axis), *tensors)


def stack(tensors, dim=0, *, axis=None):
    """The tensors, all of one shape, side by side along a new axis."""
    tensors = _common("stack", tensors)
    if len({x.shape for x in tensors}) > 1:
        raise ValueError(f"stack: expected equal shapes, got {[x.shape for x in tensors]}")
    return apply(ops.Stack(normalize_axis("stack", dim if axis is None else axis, tensors[0].ndim + 1)), *tensors)


def _common(name, tensors):
    tensors = list(tensors)
    if not tensors or not all(isinstance(x, Tensor) for x in tensors):
        raise TypeError(f"{name}: expected one or more Tensors in a list or tuple")
    dtype = functools.reduce(dtypes.join, [x.dtype for x in tensors])
    return [x.to(dtype) for x in tensors]


_ONE = {np.dtype(T): np.ones((), T) for T in (np.float32, np.float64)}


def cotangent(name, output, dy):
    """The array to start a walk with from this tensor; None stands for 1, at a scalar."""
    if output.node is None:
        raise RuntimeError(f"{name}: this tensor was not made from anything that requires grad, so there is no graph to walk")
    array = output.array
    if dy is None:
        if array.size != 1:
            raise RuntimeError(f"{name}: a gradient can be left out only for a scalar; this tensor has shape {array.shape}")
        return _ONE[array.dtype] if array.ndim == 0 else np.ones(array.shape, array.dtype)
    dy = operand(name, dy)
    dy = dy.array if isinstance(dy, Tensor) else np.asarray(dy)
    if dy.shape != array.shape:
        raise RuntimeError(f"{name}: the gradient has shape {dy.shape}, the tensor {array.shape}")
    return dy.astype(array.dtype, copy=False)


def recorded_cotangent(name, output, dy):
    """The tensor to start a recorded walk with: the given one, in its graph, or a constant."""
    array = cotangent(name, output, dy)
    return dy if isinstance(dy, Tensor) and dy.node is not None and dy.dtype == output.dtype else wrap(array)


# --- small helpers


def _divide(a, b):
    op = ops.Div()
    a, b = promote(op.name, a, b)
    a, b = (floating(x) if isinstance(x, Tensor) else x for x in (a, b))
    return binary(op, a, b)


def _floor_divide(a, b):
    a, b = promote("floor_divide", a, b)
    _check_broadcast("floor_divide", a, b)
    _check_divisor("floor_divide", a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.asarray(np.floor_divide(*_whole(a, b)[1]))
    # Constant between its jumps: in the graph it passes back zeros.
    return apply(ops.Step(lambda x: result), a) if isinstance(a, Tensor) and result.shape == a.shape else wrap(result)


def _remainder(a, b):
    a, b = promote("remainder", a, b)
    _check_divisor("remainder", a, b)
    return binary(ops.Remainder(), a, b)


def _power(a, b):
    a, b = promote("pow", a, b)
    whole, arrays = _whole(a, b)
    if whole and np.any(np.less(arrays[1], 0)):
        raise ValueError("pow: integers to a negative power are not integers; use .float() first")
    if whole and all(np.asarray(x).dtype.kind == "b" for x in arrays):
        raise TypeError("pow: booleans have no powers; use .long() first")
    return binary(ops.Pow(), a, b)


def _whole(a, b):
    """Whether both operands are whole numbers, and the operands as arrays."""
    arrays = [x.array if isinstance(x, Tensor) else x for x in (a, b)]
    return all(np.asarray(x).dtype.kind in "iub" for x in arrays), arrays


def _check_divisor(name, a, b):
    whole, arrays = _whole(a, b)
    if whole and not np.all(arrays[1]):  # there is no integer to stand for infinity
        raise ZeroDivisionError(f"{name}: an integer tensor is divided by 0")


def _compare(function, a, b):
    a, b = promote(function.__name__ if hasattr(function, "__name__") else "isclose", a, b)
    try:
        return wrap(np.asarray(function(*(x.array if isinstance(x, Tensor) else x for x in (a, b)))))
    except ValueError:
        _check_broadcast(getattr(function, "__name__", "isclose"), a, b)
        raise


def _product(name, a, b, a_rank, b_rank):
    if not isinstance(b, Tensor) or a.ndim != a_rank or b.ndim != b_rank:
        raise ValueError(f"{name}: expected tensors with {a_rank} and {b_rank} axes, got shapes {a.shape} and {np.shape(b)}")
    return matmul(a, b)
