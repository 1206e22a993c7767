"""Random tensors: the same numbers as PyTorch's for the same seed (`minidl/random.py` has the stream)."""

from collections.abc import Sequence

import numpy as np

from .. import ops, random
from . import dtypes
from .arguments import expect_tensors, numbers_of, size_of
from .creation import dtype_or_default, made
from .record import apply, number_array, wrap
from .tensor import Tensor

__all__ = [
    "bernoulli",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
]

random.states_as(wrap)


def rand(*sizes: int | Sequence[int], size=None, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Numbers drawn from the uniform distribution on [0, 1).

    >>> import minidl
    >>> minidl.rand(2, 2, generator=minidl.Generator().manual_seed(0))
    tensor([[0.4963, 0.7682],
            [0.0885, 0.1320]])
    """
    return made(random.source(generator).rand(size_of("rand", sizes, size), dtype_or_default(dtype)), device, requires_grad)


def randn(*sizes: int | Sequence[int], size=None, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Numbers drawn from the normal distribution with mean 0 and standard deviation 1.

    >>> import minidl
    >>> minidl.randn(3, generator=minidl.Generator().manual_seed(0))
    tensor([ 1.5410, -0.2934, -2.1788])
    """
    return made(random.source(generator).normal(size_of("randn", sizes, size), dtype_or_default(dtype)), device, requires_grad)


def normal(mean, std=1.0, size=None, *, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Numbers drawn from a normal distribution: normal(mean, std, size), or one of each mean and std that a tensor holds.

    >>> import minidl
    >>> generator = minidl.Generator().manual_seed(0)
    >>> minidl.normal(10.0, 2.0, (3,), generator=generator)
    tensor([13.0820,  9.4131,  5.6424])
    >>> minidl.normal(minidl.tensor([0.0, 100.0]), 1.0, generator=generator)
    tensor([ 0.5684, 98.9155])
    """
    source = random.source(generator)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        if size is not None:
            raise TypeError("normal: size goes with numbers; tensors say their own")
        given = mean, std
        mean, std = (
            x.array if isinstance(x, Tensor) else number_array("normal", *numbers_of("normal", **{what: x}), dtypes.default)
            for what, x in (("mean", mean), ("std", std))
        )
        if mean.dtype.kind != "f" or std.dtype.kind != "f":
            raise TypeError(f"normal: expected floating-point mean and std, got {mean.dtype} and {std.dtype}")
        if not np.all(std >= 0):
            raise ValueError(f"normal: std must be at least 0, got {np.min(std)}")
        try:
            shape = np.broadcast_shapes(mean.shape, std.shape)
        except ValueError:
            raise ValueError(f"normal: shapes {mean.shape} and {std.shape} do not broadcast") from None
        kind = np.result_type(mean, std)
        return _still(np.asarray(source.normal(shape, kind) * std + mean, kind), *given)
    if size is None:
        raise TypeError("normal: expected size=(...)")
    return made(source.normal(size_of("normal", (size,)), dtype_or_default(dtype), mean, std), device, requires_grad)


def randint(low=0, high=None, size=None, *, generator=None, dtype=None, device=None) -> Tensor:
    """Integers drawn from low … high − 1: randint(low, high, size) or randint(high, size).

    >>> import minidl
    >>> minidl.randint(1, 7, (5,), generator=minidl.Generator().manual_seed(0))
    tensor([3, 4, 6, 1, 2])
    """
    if size is None:
        if not isinstance(high, (tuple, list)):
            raise TypeError(f"randint: give the size as a tuple; write randint({low!r}, (2, 3)), or randint(low, high, (2, 3))")
        high, size = None, high
    if high is None:
        low, high = 0, low
    dtype = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    return made(random.source(generator).randint(low, high, size_of("randint", (size,)), dtype), device, False)


def randperm(n, *, generator=None, dtype=None, device=None) -> Tensor:
    """The integers 0 … n − 1 in random order.

    >>> import minidl
    >>> minidl.randperm(5, generator=minidl.Generator().manual_seed(0))
    tensor([4, 0, 1, 3, 2])
    """
    order = random.source(generator).randperm(n)
    return made(order if dtype is None else order.astype(dtypes.as_dtype(dtype)), device, False)


def bernoulli(input, p=None, *, generator=None) -> Tensor:
    """1 with the probability that the input gives for each element (or p for all), else 0.

    >>> import minidl
    >>> minidl.bernoulli(minidl.tensor([0.0, 0.5, 1.0]), generator=minidl.Generator().manual_seed(0))
    tensor([0., 0., 1.])
    """
    expect_tensors("bernoulli", input=input)
    return _still(random.source(generator).bernoulli(input.shape, input.array if p is None else p, input.dtype), input)


def multinomial(input, num_samples, replacement=False, *, generator=None) -> Tensor:
    """num_samples indices, drawn in proportion to the weights in each row: (k) → (num_samples), (n, k) → (n, num_samples).

    >>> import minidl
    >>> weights = minidl.tensor([0.0, 1.0, 3.0])
    >>> minidl.multinomial(weights, 9, replacement=True, generator=minidl.Generator().manual_seed(0))
    tensor([2, 2, 2, 2, 2, 2, 1, 2, 2])
    """
    expect_tensors("multinomial", input=input)
    return wrap(random.source(generator).multinomial(input.array, num_samples, replacement))


def rand_like(input, *, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """As rand, with the shape and dtype of a tensor.

    >>> import minidl
    >>> minidl.rand_like(minidl.zeros(3), generator=minidl.Generator().manual_seed(0))
    tensor([0.4963, 0.7682, 0.0885])
    """
    expect_tensors("rand_like", input=input)
    dtype, source = dtypes.as_dtype(dtype or input.dtype), random.source(generator)
    return made(random.like(input.array, lambda shape: source.rand(shape, dtype)), device, requires_grad)


def randn_like(input, *, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """As randn, with the shape and dtype of a tensor.

    >>> import minidl
    >>> minidl.randn_like(minidl.zeros(3), generator=minidl.Generator().manual_seed(0))
    tensor([ 1.5410, -0.2934, -2.1788])
    """
    expect_tensors("randn_like", input=input)
    dtype = dtypes.as_dtype(dtype or input.dtype)
    fresh = random.like(input.array, np.empty)  # contiguous in the order of the input's axes
    return made(random.normal_like(fresh, random.source(generator), dtype), device, requires_grad)


def _still(array, *sources):
    """What was drawn, in the graph of what it was drawn from: as PyTorch's, it passes back zeros."""
    for x in sources:
        if isinstance(x, Tensor) and x.requires_grad:
            return apply(ops.PiecewiseConstant(lambda _: array), x.expand(array.shape))
    return wrap(np.asarray(array))
