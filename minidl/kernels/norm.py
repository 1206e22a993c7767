"""Normalisation: batch norm over the channels of (N, C, L), layer norm over rows, group norm over groups of channels.

All share one form. The mean is a float64, held as hi + lo with hi of the elements' type: x − hi is exact where x is near the
mean, so rows that differ by 1e-3 around 1e4 keep their digits in float32, and constant ones give 0. Then

    forward    y  = (x − hi)·scale + shift                scale = γ·rstd, shift = β − lo·scale, rstd = 1/√(var + ε)
    backward   dx = dy·scale + (x − hi)·slope + offset    slope and offset from Σ g and Σ g·(x − hi), g = γ·dy

Statistics take two passes: one for hi, one for the sums of d = x − hi and d², which correct it. What is normalised together is
read several times while it is in the cache and from memory once. Backward is given x and two numbers per channel or row.

There are three ways through memory, each with a kernel forward and one backward:

- `planes`: whole planes of L elements, as many as are normalised together. Of batch norm these are the planes of a channel,
  C apart; of group norm, neighbours.
- `columns`: batch norm of planes too small for loops of their own, as columns side by side.
- `rows`: layer norm, whose γ and β differ from element to element.
"""

import functools
import math
import operator

import numpy as np
from numba import types

from .arithmetic import count
from .copies import zeros
from .elementwise import number, plain
from .jit import CodeByDtype, dense, jit, strided
from .memory import empty
from .norm_columns import columns, columns_backward
from .norm_loops import CHUNK, planes, planes_backward, rows, rows_backward
from .shares import SharedCode
from .sums import sum_over
from .threads import run

_FLOATS = np.dtype(np.float32), np.dtype(np.float64)
SHARED_SIZE = 32768  # elements from which a second thread pays for its launch
SMALL_PLANE = 128  # planes smaller than this are treated side by side, as columns
KEPT = 4096  # elements of a weight of ones, or a bias of zeros, that is kept for the next call


@jit
def running(running_mean, running_var, stats, momentum, unbiased):
    """running ← (1 − momentum)·running + momentum·new, the new variance times `unbiased` = n/(n − 1)."""
    T = running_mean.dtype.type
    for c in range(running_mean.size):
        running_mean[c] = T((1 - momentum) * running_mean[c] + momentum * stats[0, c])
        running_var[c] = T((1 - momentum) * running_var[c] + momentum * unbiased * stats[1, c])


@jit
def gather(running_mean, running_var, stats):
    for c in range(stats.shape[1]):
        stats[0, c], stats[1, c] = running_mean[c], running_var[c]


# ------------------------------------------------------------------------------------------------------ what callers see

_stats, _read = dense(types.float64, 2, True), dense(types.float64, 2)
_means = types.Array(types.float64, 2, "A")  # of any strides
_flag, _eps = types.intp, types.float64


def _row(t, written=False):
    return dense(t, 1, written)


def _matrix(t, written=False):
    return dense(t, 2, written)


_planes = SharedCode(planes, lambda t: (_matrix(t), _flag, _row(t), _row(t), _eps, _flag, _means, _matrix(t, True)))
_columns = SharedCode(columns, lambda t: (_matrix(t), _row(t), _row(t), _eps, _flag, _stats, _matrix(t, True)))
_rows = SharedCode(rows, lambda t: (_matrix(t), _row(t), _row(t), _eps, _flag, _stats, _matrix(t, True)))
_planes_backward = SharedCode(
    planes_backward,
    lambda t: (_matrix(t), _matrix(t), _flag, _row(t), _eps, _flag, _means, *[_matrix(t, True)] * 3),
)
_columns_backward = SharedCode(
    columns_backward,
    lambda t: (_matrix(t), _matrix(t), _row(t), _eps, _flag, _read, *[_matrix(t, True)] * 3),
)
_rows_backward = SharedCode(
    rows_backward, lambda t: (_matrix(t), _matrix(t), _row(t), _flag, _read, _matrix(t, True), dense(t, 3, True))
)
_running = CodeByDtype(running, lambda t: (_row(t, True), _row(t, True), _read, types.float64, types.float64))
_gather = CodeByDtype(gather, lambda t: (_row(t), _row(t), _stats))
_count = CodeByDtype(count, lambda t: (strided(t, 0, True),), integers=True)


def _run(kernel, x, *arguments):
    if x.size:
        run(x.size >= SHARED_SIZE, kernel, x.dtype, *arguments)


def _check(name, x, what, array, shape):
    """Kernels check nothing, so Python does."""
    if array.shape != shape:
        raise ValueError(f"{name}: for an input of shape {x.shape} expected {what} of shape {shape}, got {array.shape}")
    if array.dtype != x.dtype:
        raise TypeError(f"{name}: the input is {x.dtype} and {what} {array.dtype}; bring them to one dtype")


def _parameters(name, x, shape, weight, bias=None):
    """Both as vectors, of ones and zeros where they are not given."""
    T = x.dtype
    if T not in _FLOATS:
        raise TypeError(f"{name}: expected float32 or float64, got {T}")
    if weight is not None:
        _check(name, x, "weight", weight, shape)
    if bias is not None:
        _check(name, x, "bias", bias, shape)
    weight = _filled(shape, T, 1) if weight is None else plain(weight)
    bias = _filled(shape, T, 0) if bias is None else plain(bias)
    return (weight, bias) if len(shape) == 1 else (weight.reshape(-1), bias.reshape(-1))


def _filled(shape, T, value):
    """A vector of ones or zeros that nobody writes to: small ones are kept."""
    return (_kept if math.prod(shape) <= KEPT else _kept.__wrapped__)(shape, T, value)


@functools.lru_cache(64)
def _kept(shape, T, value):
    return np.full(shape, value, T)


def _maker(x):
    """What makes memory that a kernel sets; if x is empty, none runs, and sums are 0."""
    return np.empty if x.size else zeros


def _statistics(name, stats, shape):
    if stats.shape != shape:
        raise ValueError(f"{name}: expected statistics of shape {shape}, got {stats.shape}")
    return np.ascontiguousarray(stats, np.float64)


def batch_norm(x, weight=None, bias=None, eps=1e-5, stats=None):
    """y = (x − mean)/√(var + eps)·weight + bias for each channel of x (N, C, …); and float64 [means, variances], (2, C).

    They are those of this batch, the variance biased, unless given as `stats`.
    """
    if x.ndim < 2:
        raise ValueError(f"batch_norm: expected an input (N, C, ...), got shape {x.shape}")
    (N, C), L, given, eps = x.shape[:2], math.prod(x.shape[2:]), stats is not None, number(eps)
    weight, bias = _parameters("batch_norm", x, (C,), weight, bias)
    stats = _statistics("batch_norm", stats, (2, C)) if given else _maker(x)((2, C))
    x, y = plain(x), empty(x.shape, x.dtype)
    if L < SMALL_PLANE:
        _run(_columns, x, x.reshape(N, C * L), weight, bias, eps, given, stats, y.reshape(N, C * L))
    else:
        _run(_planes, x, x.reshape(N * C, L), False, weight, bias, eps, given, stats.T, y.reshape(N * C, L))
    return y, stats


def batch_norm_backward(dy, x, weight, eps, stats, batch=True, wanted=True):
    """dx (None unless wanted), dweight and dbias; `batch`: the statistics were made from x and move with it."""
    (N, C), L, given = x.shape[:2], math.prod(x.shape[2:]), not batch
    stats, weight = _statistics("batch_norm_backward", stats, (2, C)), _parameters("batch_norm_backward", x, (C,), weight)[0]
    _check("batch_norm_backward", x, "dy", dy, x.shape)
    new, dx = _maker(x), empty(x.shape if wanted else (0, *x.shape[1:]), x.dtype)
    dw, db = new(C, x.dtype), new(C, x.dtype)
    x, dy, sums = plain(x), plain(dy), (dw.reshape(1, C), db.reshape(1, C))
    if L < SMALL_PLANE:
        flat = dy.reshape(N, C * L), x.reshape(N, C * L), dx.reshape(len(dx), C * L)
        _run(_columns_backward, x, *flat[:2], weight, eps, given, stats, flat[2], *sums)
    else:
        flat = dy.reshape(N * C, L), x.reshape(N * C, L), dx.reshape(len(dx) * C, L)
        _run(_planes_backward, x, *flat[:2], False, weight, eps, given, stats.T, flat[2], *sums)
    return dx if wanted else None, dw, db


def layer_norm(x, axes, weight=None, bias=None, eps=1e-5, centred=True):
    """y = (x − mean)/√(var + eps)·weight + bias over the last `axes` axes; and float64 [mean, rstd] of each row, (rows, 2).

    Not centred: 0 in place of the mean (RMS norm).
    """
    axes, eps, centred = operator.index(axes), number(eps), bool(centred)
    shape, M = x.shape[x.ndim - axes :], math.prod(x.shape[: x.ndim - axes])
    weight, bias = _parameters("layer_norm", x, shape, weight, bias)
    x, y, stats = plain(x), empty(x.shape, x.dtype), np.empty((M, 2))
    _run(_rows, x, x.reshape(M, weight.size), weight, bias, eps, centred, stats, y.reshape(M, weight.size))
    return y, stats


def layer_norm_backward(dy, x, axes, weight, stats, centred=True, wanted=True):
    """dx (None unless wanted), dweight and dbias (None without a weight)."""
    axes = operator.index(axes)
    shape, M, affine = x.shape[x.ndim - axes :], math.prod(x.shape[: x.ndim - axes]), weight is not None
    weight, stats = _parameters("layer_norm_backward", x, shape, weight)[0], _statistics("layer_norm_backward", stats, (M, 2))
    _check("layer_norm_backward", x, "dy", dy, x.shape)
    K, chunks = weight.size, -(-M // CHUNK)
    dx, sums = empty(x.shape if wanted else (0, K), x.dtype), _maker(x)((chunks if affine else 0, 2, K), x.dtype)
    x, dy = plain(x), plain(dy)
    _run(_rows_backward, x, dy.reshape(M, K), x.reshape(M, K), weight, centred, stats, dx.reshape(-1, K), sums)
    dw = db = None
    if affine:
        dw, db = sums[0] if chunks == 1 else sum_over(sums, (0,))
        dw, db = dw.reshape(shape), db.reshape(shape)
    return dx if wanted else None, dw, db


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    """y = (x − mean)/√(var + eps)·weight + bias, the mean over C/groups channels of one sample of x (N, C, …).

    And float64 [mean, rstd] of each, (N·groups, 2).
    """
    groups, eps = operator.index(groups), number(eps)
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise ValueError(f"group_norm: expected an input (N, C, ...) and groups that divide C, got {x.shape} and {groups}")
    (N, C), L = x.shape[:2], math.prod(x.shape[2:])
    weight, bias = _parameters("group_norm", x, (C,), weight, bias)
    x, y, stats = plain(x), empty(x.shape, x.dtype), _maker(x)((N * groups, 2))
    _run(_planes, x, x.reshape(N * C, L), True, weight, bias, eps, False, stats, y.reshape(N * C, L))
    return y, stats


def group_norm_backward(dy, x, groups, weight, stats, wanted=True):
    """dx (None unless wanted), dweight and dbias."""
    groups = operator.index(groups)
    (N, C), L = x.shape[:2], math.prod(x.shape[2:])
    stats = _statistics("group_norm_backward", stats, (N * groups, 2))
    weight = _parameters("group_norm_backward", x, (C,), weight)[0]
    _check("group_norm_backward", x, "dy", dy, x.shape)
    new, dx = _maker(x), empty(x.shape if wanted else (0, *x.shape[1:]), x.dtype)
    dw, db = new((N, C), x.dtype), new((N, C), x.dtype)
    x, dy = plain(x), plain(dy)
    flat = dy.reshape(N * C, L), x.reshape(N * C, L), dx.reshape(len(dx) * C, L)
    _run(_planes_backward, x, *flat[:2], True, weight, 0.0, False, stats, flat[2], dw, db)
    return dx if wanted else None, sum_over(dw, (0,)), sum_over(db, (0,))


def update_running(running_mean, running_var, stats, momentum, count):
    """Both ← (1 − momentum)·old + momentum·new, in place; the new variance unbiased, of `count` values for each channel."""
    shape, T = stats.shape[1:], running_mean.dtype
    if len(shape) != 1 or running_mean.shape != shape or running_var.shape != shape or running_var.dtype != T:
        raise ValueError(
            f"update_running: expected two arrays of one dtype and shape {shape}, got {T} {running_mean.shape} and "
            f"{running_var.dtype} {running_var.shape}"
        )
    if not (running_mean.flags.writeable and running_var.flags.writeable):
        raise ValueError("update_running: the running mean or variance is read-only")
    count = operator.index(count)
    if count < 2:
        raise ValueError(f"update_running: a variance takes 2 values or more, got a count of {count}")
    mean, var, stats = plain(running_mean), plain(running_var), _statistics("update_running", stats, (2, *shape))
    _running[T](mean, var, stats, number(momentum), count / (count - 1))
    if mean is not running_mean:
        np.copyto(running_mean, mean)
    if var is not running_var:
        np.copyto(running_var, var)


def running_statistics(running_mean, running_var):
    """Float64 [means, variances], (2, C), of two arrays (C,): what `batch_norm` takes as `stats`."""
    if running_mean.ndim != 1 or running_var.shape != running_mean.shape or running_var.dtype != running_mean.dtype:
        raise ValueError(
            f"running_statistics: expected two arrays of one dtype and shape (C,), got {running_mean.dtype} "
            f"{running_mean.shape} and {running_var.dtype} {running_var.shape}"
        )
    stats = np.empty((2, *running_mean.shape))
    _gather[running_mean.dtype](plain(running_mean), plain(running_var), stats)
    return stats


def count_up(number):
    """number += 1 in place, for an array without axes.

    >>> batches = np.array(2)
    >>> count_up(batches)
    >>> batches
    array(3)
    """
    if number.shape or not number.flags.carray:
        raise ValueError(f"count_up: expected an array without axes that can be written to, got shape {number.shape}")
    _count[number.dtype](number)
