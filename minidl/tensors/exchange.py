"""Exchange with other libraries: NumPy's functions of a Tensor, DLPack, PyTorch's load_state_dict.

NumPy asks an argument with `__array_ufunc__` or `__array_function__` to compute in its place. Where there is an operation of
that name, the answer is that operation, recorded like any other. What minidl has no operation for is computed by NumPy, from
the arrays; but not if a tensor requires grad, because the graph would end there in silence.
"""

import operator
import sys

import numpy as np

from . import dtypes, numpy_numbers, numpy_shapes
from .record import TensorBase, number_array, operand, wrap

_OPERATORS = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.power: operator.pow,
    np.matmul: operator.matmul,
    np.equal: operator.eq,
    np.not_equal: operator.ne,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
    np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor,
    np.invert: operator.invert,
    np.positive: operator.pos,
}
_OTHER_NAMES = {"rint": "round", "arctan2": "atan2"}  # where PyTorch's name is not NumPy's
# Functions that ask only for sizes and types: they may be told those of a tensor that requires grad.
_OF_SIZES = {np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.min_scalar_type, np.iscomplexobj, np.isrealobj}
_OF_SIZES |= {np.shares_memory, np.may_share_memory, np.empty_like}
# Functions without a gradient whose results become tensors, as those of minidl's functions of these names are.
_COUNTING = {np.unique, np.isin, np.bincount, np.searchsorted, np.digitize}
_FUNCTIONS = numpy_numbers.FUNCTIONS | numpy_shapes.FUNCTIONS
_CPU = (1, 0)  # DLPack's kDLCPU, and the first of them


class Exchange:
    """What NumPy, PyTorch and JAX ask of an array that is not theirs."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        """np.exp(t) is t.exp(), and array * t is a Tensor.

        >>> import minidl
        >>> x = minidl.tensor([1., 4.], requires_grad=True)
        >>> np.sqrt(x).sum().backward()
        >>> x.grad
        tensor([0.5000, 0.2500])
        >>> np.ones(2, "float32") + x.detach()
        tensor([2., 5.])
        """
        name = f"np.{ufunc.__name__}" if getattr(np, ufunc.__name__, None) is ufunc else ufunc.__name__
        if out is not None:
            return _into(name, ufunc, method, inputs, out, options)
        if method != "__call__":
            raise TypeError(f"{name}.{method}: not of a Tensor; write {name}.{method}(t.detach().numpy(), …)")
        if options:
            raise TypeError(
                f"{name}: {', '.join(f'{key}=' for key in options)} cannot be given with a Tensor; write "
                f"{name}(t.detach().numpy(), …), or leave it out"
            )
        if ufunc in _OPERATORS:
            return _OPERATORS[ufunc](*(operand(name, x) for x in inputs))
        operation = getattr(type(self), _OTHER_NAMES.get(ufunc.__name__, ufunc.__name__), None)
        if operation is None or not name.startswith("np."):
            return _by_numpy(name, ufunc, inputs, {}, wrap_results=True)
        return operation(*_tensors(name, inputs))

    def __array_function__(self, function, types, args, kwargs):
        """np.mean(t, axis=0) is t.mean(0): the functions of numpy_numbers.py and numpy_shapes.py; others NumPy computes."""
        if not all(issubclass(kind, (TensorBase, np.ndarray)) for kind in types):
            return NotImplemented
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        if function in _FUNCTIONS:
            result = _FUNCTIONS[function](name, args, kwargs)
            if result is not NotImplemented:
                return result
        counting = function in _COUNTING
        return _by_numpy(name, function, args, kwargs, counting or function in _OF_SIZES, counting)

    # --- DLPack: https://dmlc.github.io/dlpack

    def __dlpack__(self, stream=None, max_version=None, dl_device=None, copy=None):
        """This memory for another library: torch.from_dlpack(t), np.from_dlpack(t), jax.dlpack.from_dlpack(t).

        copy: None shares the memory where DLPack can describe it, True copies, False raises BufferError instead of copying.
        What DLPack cannot describe are steps backwards, and for libraries that ask for a version before 1.0 read-only memory.

        >>> import minidl
        >>> t = minidl.zeros(2)
        >>> np.from_dlpack(t)[0] = 1.0
        >>> t
        tensor([1., 0.])
        """
        if self.node is not None:
            raise BufferError("__dlpack__: a tensor that requires grad cannot leave the graph; use .detach()")
        if stream is not None:
            raise BufferError(f"__dlpack__: memory of the CPU has no stream, got stream={stream!r}; use stream=None")
        if dl_device is not None and tuple(dl_device) != _CPU:
            raise BufferError(f"__dlpack__: minidl's memory is on the CPU, device {_CPU}; got dl_device={dl_device!r}")
        if copy not in (None, True, False):
            raise TypeError(f"__dlpack__: copy must be None, True or False, got {copy!r}")
        array = self.array
        versioned = max_version is not None and max_version[0] >= 1
        if min(array.strides, default=0) < 0 or not (versioned or array.flags.writeable):
            if copy is False:
                raise BufferError("__dlpack__: this memory is read-only or runs backwards and must be copied; use copy=None")
            array, copy = array.copy(), None
        return array.__dlpack__(max_version=max_version, copy=copy)

    def __dlpack_device__(self):
        """DLPack's number for the CPU, and 0 for the first."""
        return _CPU

    # --- PyTorch

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        """PyTorch's tensor.copy_(t): what its load_state_dict calls. Its other functions are not given tensors of minidl's."""
        if func.__name__ == "copy_" and not isinstance(args[0], TensorBase):
            from_dlpack = sys.modules["torch"].from_dlpack
            return func(*(from_dlpack(x.detach()) if isinstance(x, TensorBase) else x for x in args), **(kwargs or {}))
        raise TypeError(f"{func.__name__} of PyTorch: got a Tensor of minidl; write torch.from_dlpack(t.detach())")


def _tensors(name, inputs):
    """The operands of a method of Tensor: the first is one in any case."""
    inputs = [operand(name, x) for x in inputs]
    if not isinstance(inputs[0], TensorBase):
        other = next(x.array for x in inputs if isinstance(x, TensorBase))
        inputs[0] = wrap(number_array(name, inputs[0], dtypes.result_type(inputs[0], other)))
    return inputs


def _into(name, ufunc, method, inputs, out, options):
    """array += t, and out=array: NumPy writes the numbers into its array. Tensors are not written to."""
    if any(isinstance(x, TensorBase) for x in out):
        raise TypeError(f"{name}: out= cannot be a Tensor; write t[...] = {name}(…), or t.copy_(…)")
    if any(isinstance(x, TensorBase) and x.node is not None for x in inputs):
        raise TypeError(
            f"{name}: out= (or an operator such as +=) of an ndarray takes no tensor that requires grad; use .detach()"
        )
    return getattr(ufunc, method)(*_arrays(inputs), out=out, **_arrays(options))


def _by_numpy(name, function, args, kwargs, without_gradient=False, wrap_results=False):
    if not without_gradient:
        _expect_constants(name, [args, kwargs])
    result = function(*_arrays(args), **_arrays(kwargs))
    if wrap_results:
        return tuple(map(_wrapped, result)) if isinstance(result, tuple) else _wrapped(result)
    return result


def _wrapped(x):
    x = np.asarray(x)
    return wrap(x) if x.dtype in dtypes.SUPPORTED else x


def _expect_constants(name, x):
    if isinstance(x, TensorBase):
        if x.node is not None:
            raise TypeError(
                f"{name}: minidl has no such operation with a gradient, and this tensor requires grad; "
                f"write {name}(t.detach().numpy(), …)"
            )
    elif isinstance(x, (list, tuple, dict)):
        for part in x.values() if isinstance(x, dict) else x:
            _expect_constants(name, part)


def _arrays(x):
    """x with the arrays of the tensors in its lists, tuples and dicts."""
    if isinstance(x, TensorBase):
        return x.array
    if type(x) in (list, tuple):
        return type(x)(map(_arrays, x))
    if type(x) is dict:
        return {key: _arrays(value) for key, value in x.items()}
    return x
