"""vmap: a function of one example as a function of many, by a loop over slices."""

import functools
from typing import Any

import numpy as np

from ..random import get_rng_state, set_rng_state
from ..tensors.joining import stack
from ..tensors.tensor import Tensor
from .calls import kind
from .trees import items, leaves, refill, shape_of, spread


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None) -> Any:
    """func for each slice of its arguments along in_dims, the results stacked along out_dims.

    A loop in Python: it says what torch.func.vmap says, and is as slow as the loop that it replaces.

    in_dims: a number for all arguments, or a tuple with one for each: a number, None (the same for all slices), or a tree of
    them built like the argument. Keyword arguments are the same for all slices.
    out_dims: the place of the new axis, a number or a tree built like the output; None for what is the same for all slices.
    randomness: "error" (random numbers drawn by func raise), "different" for each slice, or the "same" for all.
    chunk_size: how many slices PyTorch computes at a time; here it is one always.

    >>> import minidl
    >>> from minidl.func import vmap
    >>> vmap(minidl.dot, in_dims=(0, None))(minidl.tensor([[1., 2.], [3., 4.]]), minidl.tensor([1., 10.]))
    tensor([21., 43.])
    """
    check_randomness("vmap", randomness)
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size must be None or greater than 0, got {chunk_size}")
    if any(type(d) is not int and d is not None for d in leaves(out_dims)):
        raise ValueError(f"vmap: out_dims must be a number, None, or a tree of these, got {out_dims!r}")

    @functools.wraps(func, updated=())
    def of_slices(*args, **kwargs):
        dims, state, results = _dims(args, in_dims), get_rng_state(), []
        xs = leaves(args)
        for i in range(_size(xs, dims)):
            if randomness == "same":
                set_rng_state(state)
            parts = [x if d is None else x.select(d, i) for x, d in zip(xs, dims, strict=True)]
            results.append(func(*refill(args, parts), **kwargs))
            if randomness == "error" and not np.array_equal(state, get_rng_state()):
                raise RuntimeError(
                    "vmap: func has drawn random numbers, and randomness='error'. Pass randomness='different' or 'same', "
                    "or draw them outside"
                )
        return _stacked(results, out_dims)

    return of_slices


def check_randomness(name, randomness):
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"{name}: randomness must be 'error', 'different' or 'same', got {randomness!r}")


def _dims(args, in_dims):
    """For each leaf of the arguments its axis, or None."""
    if type(in_dims) not in (int, tuple):
        raise ValueError(f"vmap: in_dims must be a number or a tuple, got {in_dims!r}")
    if not args:
        raise ValueError("vmap: expected arguments, got none")
    dims = spread(args, in_dims)
    if dims is None:
        raise ValueError(f"vmap: in_dims {in_dims!r} does not fit the arguments, which are built as {shape_of(args)}")
    for x, d in zip(leaves(args), dims, strict=True):
        if d is None:
            continue
        if type(d) is not int:
            raise ValueError(f"vmap: in_dims must be of numbers and None, got {d!r}")
        if not isinstance(x, Tensor):
            raise ValueError(f"vmap: in_dims says {d} for an argument that is no Tensor but {kind(x)}; say None for it")
        if not -x.ndim <= d < x.ndim:
            raise ValueError(f"vmap: in_dims says {d} for a Tensor of shape {x.shape}, which has {x.ndim} axes")
    return dims


def _size(xs, dims):
    sizes = [x.shape[d] for x, d in zip(xs, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError("vmap: expected a Tensor to take slices of; in_dims is None for all")
    if len(set(sizes)) > 1:
        raise ValueError(f"vmap: expected one size along in_dims, got sizes {sizes}")
    if not sizes[0]:
        raise ValueError("vmap: the size along in_dims is 0, and a loop over nothing does not know the shape of the result")
    return sizes[0]


def _stacked(results, out_dims):
    first = results[0]
    alone = isinstance(first, Tensor) and isinstance(out_dims, tuple) and len(out_dims) == 1  # PyTorch allows (0,) for a tensor
    dims = list(out_dims) if alone else spread(first, out_dims)
    if dims is None:
        raise ValueError(f"vmap: out_dims {out_dims!r} does not fit the output, which is built as {shape_of(first)}")
    columns = list(zip(*map(leaves, results), strict=True)) if items(first) != [] else []
    return refill(first, [_column(column, d) for column, d in zip(columns, dims, strict=True)])


def _column(column, d):
    """The results of all slices as one."""
    first = column[0]
    if d is None:
        if isinstance(first, Tensor) and not all(np.array_equal(x.array, first.array, equal_nan=True) for x in column):
            raise ValueError("vmap: out_dims is None for a Tensor that is not the same for all slices")
        return first
    for x in column:
        if not isinstance(x, Tensor):
            raise ValueError(f"vmap: func must return Tensors, got {kind(x)}; out_dims=None takes one as it is")
        if x.shape != first.shape:
            raise ValueError(f"vmap: func must return the same shape for all slices, got {first.shape} and {x.shape}")
    if not -first.ndim - 1 <= d <= first.ndim:
        raise IndexError(f"vmap: out_dims says {d} for results of shape {first.shape}, where there are {first.ndim + 1} places")
    return stack(column, d)
