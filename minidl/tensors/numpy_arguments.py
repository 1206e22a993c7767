"""The arguments that NumPy's functions are given with a Tensor: which of them an operation can heed, and arrays as tensors."""

import numpy as np

from .record import TensorBase, checked_dtype, wrap


def registers(table):
    """The decorator of(numpy_function, …): in the table, the decorated function computes those.

    The table has, for a function of NumPy's, what computes it: given (its name for errors, args, kwargs). Arguments of NumPy's
    that the decorated function has not are refused.
    """

    def of(*numpy_functions):
        def register(function):
            code = function.__code__
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            most = None if code.co_flags & 4 else code.co_argcount  # 4: it has *args

            def checked(name, args, kwargs):
                if most is not None and len(args) > most:
                    raise TypeError(f"{name}: of a Tensor, more than {most} arguments are given by name: {', '.join(names)}")
                refused = [key for key, value in kwargs.items() if key not in names and value is not None]
                if refused:
                    raise TypeError(
                        f"{name}: {refused[0]}= cannot be given with a Tensor; "
                        f"write {name}(t.detach().numpy(), …, {refused[0]}=…)"
                    )
                return function(*args, **{key: value for key, value in kwargs.items() if key in names})

            table.update(dict.fromkeys(numpy_functions, checked))
            return function

        return register

    return of


def tensor_of(x):
    """A Tensor as it is; ndarrays, numbers and lists as one."""
    return x if isinstance(x, TensorBase) else wrap(checked_dtype("numpy", np.asarray(x)))


def tensors_of(arrays):
    return [tensor_of(x) for x in arrays]


def values_of(x):
    return x.array if isinstance(x, TensorBase) else x


def method_of(x, name, *args):
    """x.name(*args), or NotImplemented if tensors have no such method."""
    method = getattr(tensor_of(x), name, None)
    return NotImplemented if method is None else method(*args)
