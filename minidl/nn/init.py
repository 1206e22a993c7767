"""First values for parameters. Each fills a tensor in place, outside the graph, and returns it.

For the same seed they are PyTorch's: the same distributions, drawn from the same stream in the same order.
"""

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from .. import random
from ..graph.modes import no_grad
from ..tensors.arguments import expect_tensors, numbers_of
from ..tensors.record import wrap
from .names import no_attribute


def calculate_gain(nonlinearity, param=None):
    """The factor on the standard deviation that keeps the variance through a nonlinearity (for SELU: PyTorch's ¾).

    param: the negative slope of "leaky_relu".

    >>> calculate_gain("relu")
    1.4142135623730951
    """
    if nonlinearity in ("linear", "sigmoid") or nonlinearity in [f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)]:
        return 1
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: the negative slope must be a number, got {slope!r}")
        return math.sqrt(2 / (1 + float(slope) * float(slope)))
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity not in gains:
        known = ", ".join(map(repr, ["linear", "sigmoid", *gains, "leaky_relu"]))
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; expected one of {known}")
    return gains[nonlinearity]


@no_grad()
def uniform_(tensor, a: float = 0.0, b: float = 1.0, generator=None):
    """Uniform on [a, b).

    >>> import minidl
    >>> bool((uniform_(minidl.empty(3), 1, 2) >= 1).all())
    True
    """
    expect_tensors("uniform_", tensor=tensor)
    return tensor.uniform_(a, b, generator=random.source(generator))


@no_grad()
def normal_(tensor, mean: float = 0.0, std: float = 1.0, generator=None):
    """Normal.

    >>> import minidl
    >>> normal_(minidl.empty(3), mean=5.0, std=0.0)
    tensor([5., 5., 5.])
    """
    expect_tensors("normal_", tensor=tensor)
    return tensor.normal_(mean, std, generator=random.source(generator))


@no_grad()
def trunc_normal_(tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator=None):
    """Normal, with what falls outside [a, b] drawn again.

    >>> import minidl
    >>> bool((trunc_normal_(minidl.empty(100)).abs() <= 2).all())
    True
    """
    expect_tensors("trunc_normal_", tensor=tensor)
    mean, std, a, b = map(float, numbers_of("trunc_normal_", mean=mean, std=std, a=a, b=b))
    if not (math.isfinite(mean) and 0 < std < math.inf and a <= b):
        raise ValueError(f"trunc_normal_: expected a finite mean, std above 0 and a ≤ b, got {mean=}, {std=}, {a=}, {b=}")
    if any(float(np.finfo(tensor.dtype).max) < abs(x) < math.inf for x in (mean, std, a, b)):
        raise ValueError(f"trunc_normal_: {tensor.dtype} does not hold all of {mean=}, {std=}, {a=}, {b=}")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn("trunc_normal_: the mean is more than 2 std outside [a, b]", stacklevel=2)
    source, dtype, ends = random.source(generator), tensor.dtype, 10_000  # rounds, of which one alone is likely to do
    inside = math.erf((b - mean) / (std * math.sqrt(2))) - math.erf((a - mean) / (std * math.sqrt(2)))
    if inside > 0.6:
        low, high = dtype.type(a), dtype.type(b)
        values = random.normal_like(tensor.array, source, dtype, mean, std)
        while (outside := (values < low) | (values > high)).any() and (ends := ends - 1):
            values = np.where(outside, random.normal_like(np.empty_like(values), source, dtype, mean, std), values)
    else:  # few normals would fall inside: draw uniformly instead, and accept with the density's probability
        peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
        values, pending = np.zeros_like(tensor.array), np.ones(tensor.shape, bool)
        while pending.any() and (ends := ends - 1):
            candidates = random.like(values, lambda shape: source.uniform(shape, dtype, a, b))
            values = np.where(pending, candidates, values)
            with np.errstate(all="ignore"):
                chance = np.log(random.like(values, lambda shape: source.uniform(shape, dtype)))
                pending &= chance > -0.5 * ((candidates - dtype.type(mean)) / dtype.type(std)) ** 2 - dtype.type(peak)
    if not ends:
        raise RuntimeError(
            f"trunc_normal_: [{a}, {b}] is too far from the mean {mean}, with std {std}, to draw from it in time"
        )
    return tensor.copy_(wrap(values))


@no_grad()
def constant_(tensor, val):
    """One number throughout.

    >>> import minidl
    >>> constant_(minidl.empty(2), 0.3)
    tensor([0.3000, 0.3000])
    """
    expect_tensors("constant_", tensor=tensor)
    return tensor.fill_(val)


def zeros_(tensor):
    """0 throughout.

    >>> import minidl
    >>> zeros_(minidl.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor):
    """1 throughout.

    >>> import minidl
    >>> ones_(minidl.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


@no_grad()
def eye_(tensor):
    """The identity: 1 on the diagonal of a matrix, 0 elsewhere.

    >>> import minidl
    >>> eye_(minidl.empty(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    expect_tensors("eye_", tensor=tensor)
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got shape {tensor.shape}")
    return tensor.copy_(wrap(np.eye(*tensor.shape, dtype=tensor.dtype)))


@no_grad()
def dirac_(tensor, groups=1):
    """A convolution's weight (out, in, *kernel) that passes its input on: channel i is output i, as far as there are channels.

    1 in the middle of the kernel, 0 elsewhere; with groups each group of outputs passes on its own inputs.

    >>> import minidl
    >>> dirac_(minidl.empty(2, 2, 3)).tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    expect_tensors("dirac_", tensor=tensor)
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: expected a weight (out, in, *kernel) with 3 to 5 axes, got shape {tensor.shape}")
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: groups must divide the {tensor.shape[0]} channels of the output, got {groups!r}")
    values, each = np.zeros(tensor.shape, tensor.dtype), tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    if values.size:
        for group in range(groups):
            for i in range(min(each, tensor.shape[1])):
                values[(group * each + i, i, *middle)] = 1
    return tensor.copy_(wrap(values))


@no_grad()
def sparse_(tensor, sparsity, std: float = 0.01, generator=None):
    """Normal with mean 0, and in each column of a matrix a share of ⌈sparsity·rows⌉ elements, drawn at random, that are 0.

    The places are drawn from minidl's default generator, as PyTorch draws them from its own. (Martens, 2010)

    >>> import minidl
    >>> (sparse_(minidl.empty(10, 3), 0.3) == 0).sum(0)
    tensor([3, 3, 3])
    """
    expect_tensors("sparse_", tensor=tensor)
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: expected a matrix, got shape {tensor.shape}")
    (sparsity,) = numbers_of("sparse_", sparsity=sparsity)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity must lie in [0, 1], got {sparsity}")
    rows, columns = tensor.shape
    normal_(tensor, 0.0, std, generator)
    values = tensor.array.copy()
    for column in range(columns):
        values[random.default_generator.randperm(rows)[: math.ceil(sparsity * rows)], column] = 0
    return tensor.copy_(wrap(values))


def xavier_uniform_(tensor, gain: float = 1.0, generator=None):
    """Uniform on ±gain·√(6/(fan_in + fan_out)) (Glorot and Bengio, 2010): variance gain²·2/(fan_in + fan_out).

    >>> import minidl
    >>> bool((xavier_uniform_(minidl.empty(2, 4)).abs() <= 1).all())
    True
    """
    bound = _gain("xavier_uniform_", gain) * math.sqrt(6 / _positive("xavier_uniform_", sum(_fans("xavier_uniform_", tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain: float = 1.0, generator=None):
    """Normal with standard deviation gain·√(2/(fan_in + fan_out)) (Glorot and Bengio, 2010).

    >>> import minidl
    >>> xavier_normal_(minidl.empty(2, 4)).shape
    (2, 4)
    """
    std = _gain("xavier_normal_", gain) * math.sqrt(2 / _positive("xavier_normal_", sum(_fans("xavier_normal_", tensor))))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(tensor, a: float = 0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Uniform on ±gain·√(3/fan), gain for the nonlinearity with slope a (He et al., 2015).

    >>> import minidl
    >>> bool((kaiming_uniform_(minidl.empty(2, 6)).abs() <= 1).all())
    True
    """
    expect_tensors("kaiming_uniform_", tensor=tensor)
    if 0 in tensor.shape:
        return tensor
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a: float = 0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Normal with standard deviation gain/√fan, gain for the nonlinearity with slope a (He et al., 2015).

    >>> import minidl
    >>> kaiming_normal_(minidl.empty(2, 6), nonlinearity="relu").shape
    (2, 6)
    """
    expect_tensors("kaiming_normal_", tensor=tensor)
    if 0 in tensor.shape:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


@no_grad()
def orthogonal_(tensor, gain: float = 1, generator=None):
    """gain times a matrix with orthonormal rows or columns, whichever are fewer; axes after the first count as one.

    >>> import minidl
    >>> q = orthogonal_(minidl.empty(3, 5))
    >>> (q @ q.T).allclose(minidl.eye(3), atol=1e-6)
    True
    """
    expect_tensors("orthogonal_", tensor=tensor)
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected 2 axes or more, got shape {tensor.shape}")
    if not tensor.numel():
        return tensor
    gain = _gain("orthogonal_", gain)
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    values = random.source(generator).normal((rows, columns), tensor.dtype)
    q, r = np.linalg.qr(values.T if rows < columns else values)
    q = q * np.sign(np.diag(r))  # without this Q would not be uniform over the orthogonal matrices (Mezzadri, 2007)
    with np.errstate(over="ignore"):
        return tensor.copy_(wrap(tensor.dtype.type(gain) * (q.T if rows < columns else q).reshape(tensor.shape)))


def _fans(name, tensor):
    """(fan_in, fan_out): how many inputs meet in an output, and outputs in an input, of a weight (out, in, *kernel)."""
    expect_tensors(name, tensor=tensor)
    if tensor.ndim < 2:
        raise ValueError(f"{name}: expected a weight with 2 axes or more, (out, in, ...), got shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _kaiming_std(name, tensor, a, mode, nonlinearity):
    fan_in, fan_out = _fans(name, tensor)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _gain(name, gain):
    if not isinstance(gain, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: gain must be a number, got {gain!r}")
    return float(gain)


def _positive(name, fans):
    if not fans:
        raise ValueError(f"{name}: fan_in + fan_out is 0")
    return fans


if not TYPE_CHECKING:  # an editor says of itself what is not there

    def __getattr__(name):
        """Only for what is not there: says which name is meant."""
        raise no_attribute(__name__, name, [n for n in globals() if n[-1] == "_" and n[0] != "_"])
