"""Jacobians as functions: row by row by the walk back, or column by column; and Hessians."""

import functools
from typing import Any

import numpy as np

from ..tensors.joining import stack
from ..tensors.record import wrap
from .calls import Call, zeros
from .slices import check_randomness
from .trees import refill


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None) -> Any:
    """The Jacobian of func as a function, of shape (*output.shape, *input.shape): one walk for each number of the output.

    argnums: which positional argument, or a tuple of several. The result is built like the output, and in the place of each of
    its tensors is what is built like the argument (or like the tuple of arguments). With has_aux, func returns (output, aux)
    and the result is (Jacobian, aux). chunk_size says how many rows PyTorch computes at a time; here it is one always.

    >>> import minidl
    >>> from minidl.func import jacrev
    >>> jacrev(lambda x: x**2)(minidl.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"jacrev: chunk_size must be None or greater than 0, got {chunk_size}")

    def rows(call, ys):
        for y in ys:
            pulled = [call.pull([y], [seed]) for seed in _basis(y)]
            yield [_joined([row[k] for row in pulled], 0, y, x) for k, x in enumerate(call.inputs)]

    return _jacobian("jacrev", func, argnums, has_aux, rows)


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error") -> Any:
    """The same Jacobian as jacrev, column by column: func runs once, and one tangent is sent through for each input number.

    randomness is what PyTorch's vmap over the columns asks for; func runs once, so that its random numbers are the same in all.

    >>> import minidl
    >>> from minidl.func import jacfwd
    >>> jacfwd(lambda x: x**2)(minidl.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    check_randomness("jacfwd", randomness)

    def columns(call, ys):
        push, pushed = call.push_by(ys), []
        for k, x in enumerate(call.inputs):
            tangents = [zeros(x) for x in call.inputs]
            pushed.append([push([*tangents[:k], seed, *tangents[k + 1 :]]) for seed in _basis(x)])
        for j, y in enumerate(ys):
            yield [
                _joined([zeros(y) if column[j] is None else column[j] for column in pushed[k]], -1, y, x)
                for k, x in enumerate(call.inputs)
            ]

    return _jacobian("jacfwd", func, argnums, has_aux, columns, floating=False)


def hessian(func, argnums=0) -> Any:
    """The second derivatives of func as a function: jacrev of jacrev, of shape (*output.shape, *input.shape, *input.shape).

    PyTorch takes jacfwd of jacrev, which gives the same numbers; here the walk back is the faster of the two.

    >>> import minidl
    >>> from minidl.func import hessian
    >>> hessian(lambda x: (x**3).sum())(minidl.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)


def _jacobian(name, func, argnums, has_aux, blocks, floating=True):
    """The function that calls func and arranges blocks(call, ys): for each output a list with one block for each input."""

    @functools.wraps(func, updated=())
    def jacobian(*args):
        call = Call(name, func, args, argnums, has_aux=has_aux)
        of_each = [refill(call.chosen, of_y) for of_y in blocks(call, call.outputs(floating))]
        of_each = [call.leave(found if isinstance(argnums, tuple) else found[0]) for found in of_each]
        result = refill(call.result, of_each)
        return (result, call.leave(call.aux)) if has_aux else result

    return jacobian


def _basis(x):
    """The tensors of the shape of x with a 1 in one place."""
    for i in range(x.numel()):
        seed = np.zeros(x.shape, x.dtype)
        seed.flat[i] = 1
        yield wrap(seed)


def _joined(parts, dim, y, x):
    """The rows (dim=0) or columns (dim=-1) as one block of shape (*y.shape, *x.shape)."""
    if not parts:
        return wrap(np.zeros(y.shape + x.shape, x.dtype))
    return stack(parts, dim).reshape(y.shape + x.shape)
