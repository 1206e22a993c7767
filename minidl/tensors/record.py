"""Recording an operation: `apply` runs it forward and, if any input wants a gradient, keeps it as the node of its result.

Start reading here. The methods of Tensor, in the files beside this one, call `apply`, and `apply` makes Tensors: each needs the
other. So this file defines an empty class, `TensorBase`. When the class Tensor is derived from it (in tensor.py),
`__init_subclass__` puts Tensor in its place here, and `apply` makes Tensors from then on.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph.modes import LOUD, SILENT, float_errors, mode, watchers
from ..graph.nodes import Part, next_serial
from ..graph.watch import repeatable
from . import dtypes

if TYPE_CHECKING:
    from .tensor import Tensor


class TensorBase:
    """A tensor has an ndarray, `array`, and a place in the graph, `node` (None for a constant)."""

    node = None

    def __init_subclass__(cls):
        """Makes the first class that is derived, Tensor, the one that `apply` makes."""
        global Tensor
        if Tensor is TensorBase:  # the first class that is derived; later ones (Parameter) are derived from that
            Tensor = cls


if not TYPE_CHECKING:
    Tensor = TensorBase


_LARGEST = float(np.finfo(np.float32).max)
_NUMBERS = (int, float, np.integer, np.floating, np.bool_)
_new, _ndarray = object.__new__, np.ndarray


def apply(op: Any, *inputs: Any) -> "Tensor":
    """Runs an operation, made for this one call, and records it if an input requires grad. Binary ones also take numbers."""
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
    watch = mode.watch if watchers else None
    if watch is not None:
        watch.before(op)
    try:
        if op.warns:
            token = None
            try:
                token = float_errors.set(SILENT)  # infinities and NaNs are results here as in PyTorch, not warnings
                y = op.forward(*arrays)
            finally:
                float_errors.set(LOUD) if token is None else float_errors.reset(token)  # None: Ctrl-C before it was set
        else:
            y = op.forward(*arrays)
    except BaseException:
        if watch is not None:
            watch.failed(op)
        raise
    if type(y) is not _ndarray:
        if type(y) is tuple:
            results = _record_parts(op, y, wanted)
            if watch is not None:
                watch.after(op, inputs, arrays, results)
            return results
        y = np.asarray(y)  # arithmetic on 0-d arrays makes NumPy scalars
    result = _new(Tensor)
    result.array = y
    if wanted:
        op.serial = next_serial()
        op.shape = y.shape
        result.node = op
    if watch is not None:
        watch.after(op, inputs, arrays, (result,))
    return result


def unary(op: Any, x: Any) -> "Tensor":
    """`apply` to one tensor, in three quarters of the time if the operation needs no care of NumPy's warnings."""
    if watchers or op.warns:
        return apply(op, x)
    node = x.node
    if node is not None and not mode.recording:
        node = None
    op.needs = [node]
    y = op.forward(x.array)
    if type(y) is not _ndarray:
        y = np.asarray(y)
    result = _new(Tensor)
    result.array = y
    if node is not None:
        op.serial = next_serial()
        op.shape = y.shape
        result.node = op
    return result


def wrap(array: np.ndarray, node: Any = None) -> "Tensor":
    """A Tensor around this very array, without a copy or a check."""
    result = _new(Tensor)
    result.array = array
    if node is not None:
        result.node = node
    return result


def _record_parts(op, arrays, wanted):
    results = [wrap(np.asarray(y)) for y in arrays]
    if wanted:
        op.serial, op.outputs = next_serial(), len(arrays)
        for i, result in enumerate(results):
            if dtypes.is_float(result.array.dtype):
                result.node = Part(op, i, result.array.shape)
    return tuple(results)


# --- operands: broadcasting, and the dtype that two of them have in common


def binary(op: Any, a: Any, b: Any) -> "Tensor":
    """`apply` for two operands that broadcast, after bringing them to PyTorch's common dtype."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        alike = a.array.dtype is b.array.dtype
        if alike and not watchers and not op.warns:
            return _of_two(op, a, b)
    else:  # a Python number beside a floating-point tensor: the tensor's dtype stays
        alike = _float_and_number(a, b) or _float_and_number(b, a)
    if not alike:
        a, b = promote(op.name, a, b)
    try:
        return apply(op, a, b)
    except ValueError:
        check_broadcast(op.name.lower(), a, b)
        raise
    except OverflowError:
        a, b = (x.dtype if isinstance(x, Tensor) else x for x in (a, b))
        raise ValueError(f"{op.name.lower()}: a number is too large for the tensor's dtype: {a}, {b}") from None


def _of_two(op, a, b):
    """`apply` to two tensors of one dtype, as `unary` to one."""
    op.needs = needs = [a.node, b.node] if mode.recording else [None, None]
    try:
        y = op.forward(a.array, b.array)
    except ValueError:
        check_broadcast(op.name.lower(), a, b)
        raise
    result = _new(Tensor)
    result.array = y = y if type(y) is _ndarray else np.asarray(y)
    if needs[0] is not None or needs[1] is not None:
        op.serial = next_serial()
        op.shape = y.shape
        result.node = op
    return result


def _float_and_number(a, b):
    return type(b) in (float, int) and isinstance(a, Tensor) and a.array.dtype.kind == "f" and abs(b) <= _LARGEST


def promote(name, a, b):
    """Two operands in their common dtype; a Python number stays a number, and never widens a tensor."""
    a_tensor, b_tensor = isinstance(a, Tensor), isinstance(b, Tensor)
    if a_tensor and b_tensor and a.array.dtype is b.array.dtype:
        return a, b
    a, b = operand(name, a), operand(name, b)
    a_tensor, b_tensor = isinstance(a, Tensor), isinstance(b, Tensor)
    if not a_tensor and not b_tensor:
        raise TypeError(f"{name.lower()}: expected a Tensor among the operands, got {type(a).__name__} and {type(b).__name__}")
    dtype = dtypes.result_type(a.array if a_tensor else a, b.array if b_tensor else b)
    return (a.to(dtype) if a_tensor else _fitting(a, dtype)), (b.to(dtype) if b_tensor else _fitting(b, dtype))


def _fitting(number, dtype):
    """±∞ for a number beyond the range of float32 beside a float32 tensor: NumPy would warn. Otherwise the number."""
    beyond = dtype == np.float32 and type(number) in (int, float) and _LARGEST < abs(number) < 2**1024
    return (math.inf if number > 0 else -math.inf) if beyond else number


def operand(name, x):
    """x as a Tensor or a Python number (NumPy's arrays share their memory, NumPy's scalars count as numbers)."""
    if isinstance(x, Tensor) or type(x) in (int, float, bool):
        return x
    if isinstance(x, _NUMBERS):
        return float(x) if isinstance(x, np.floating) else x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.ndarray):
        return wrap(checked_dtype(name, np.asarray(x)))
    raise TypeError(f"{name.lower()}: expected a Tensor or a number, got {type(x).__name__}{remedy_for(x)}")


@repeatable(constant=True)
def number_array(name, value, dtype):
    """A Python number as a 0-d array: infinite where it is too large for floating-point numbers of that dtype."""
    try:
        if type(value) in (int, float) and abs(value) <= _LARGEST:
            return np.asarray(value, dtype)
        with np.errstate(over="ignore"):
            return np.asarray(value, dtype)
    except (OverflowError, ValueError):
        raise ValueError(f"{name}: {value} does not fit in {dtype}") from None


def checked_dtype(name, array):
    if array.dtype not in dtypes.SUPPORTED:
        raise TypeError(f"{name.lower()}: dtype {array.dtype} is not supported")
    return array


def check_broadcast(name, a, b):
    a, b = np.shape(getattr(a, "array", a)), np.shape(getattr(b, "array", b))
    for axis, (m, n) in enumerate(zip(reversed(a), reversed(b), strict=False), 1):
        if m != n and m != 1 and n != 1:
            raise ValueError(f"{name}: shapes {a} and {b} do not broadcast: axis -{axis} has {m} and {n}")


def floating(x: Any) -> "Tensor":
    """x, or x in the default dtype if it holds integers: functions such as exp compute with floating-point numbers."""
    return x if x.array.dtype.kind == "f" else x.to(dtypes.default)


def remedy_for(x):
    """What to write, after "got ndarray", to make a tensor of what is none; "" if nobody knows.

    >>> remedy_for([1.0])
    '; write minidl.tensor(x)'
    """
    if x is None:
        return "; a function that ends without `return` gives None"
    if isinstance(x, str) and x in ("mean", "sum", "none"):
        return f"; write reduction={x!r}"
    kind, module = type(x).__name__, type(x).__module__.partition(".")[0]
    if kind == "ComplexTensor":
        return ", of which only .real, .imag, abs() and angle() are known; compute with these, they are real"
    if module == "pandas":
        return "; write minidl.tensor(x.to_numpy()), with .astype('float32') for numbers to learn from"
    if hasattr(x, "__dlpack__") and not isinstance(x, (np.ndarray, np.generic)):  # an array of another library
        return "; write minidl.from_dlpack(x)"
    if kind == "Image" or module == "PIL":
        return "; write minidl.tensor(numpy.asarray(x)), or transforms.ToTensor()"
    if isinstance(x, np.ndarray):
        return "; write minidl.tensor(x), or minidl.tensor(x).float() for numbers to learn from"
    if isinstance(x, tuple) and any(isinstance(part, Tensor) for part in x):
        return "; it is a tuple, of which a part may be meant: x[0]"
    if isinstance(x, (list, tuple, int, float, np.generic, range)):
        return "; write minidl.tensor(x)"
    if isinstance(x, type):
        return f"; it is the class {x.__name__}, of which an object has to be made: {x.__name__}(…)"
    if hasattr(x, "parameters") and callable(x):
        return f"; it is a Module: call it, as in {kind}(…)(input), or take one of its parameters"
    if callable(x):
        return "; it is a function, which has to be called: write (…) after it"
    return ""
