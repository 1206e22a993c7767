"""The largest and the smallest over any axes. NaN counts as both: where there is one, it is the result."""

import numpy as np

from .jit import CodeByDtype, dense, jit
from .sums import _plan
from .vmath import maximum, select


def _loops(sign):
    """The two kernels for the largest (sign 1) or the smallest (−1): −max(−x) is the smallest."""

    def along_rows(x, y):
        """y[m] = the extreme of x[m]"""
        T = x.dtype.type
        for m in range(x.shape[0]):
            row, top, unknown = x[m], T(-np.inf), False
            for k in range(row.size):
                top = maximum(top, T(sign) * row[k])  # any number if it is NaN
                unknown |= row[k] != row[k]
            y[m] = T(np.nan) if unknown else T(sign) * top

    def down_columns(x, y):
        """y[m, k] = the extreme of x[m, :, k]"""
        T, (M, N, K) = x.dtype.type, x.shape
        for m in range(M):
            rows, top = x[m], y[m]
            for k in range(K):
                top[k] = rows[0, k]
            for n in range(1, N):
                for k in range(K):
                    v = rows[n, k]
                    top[k] = select((T(sign) * v > T(sign) * top[k]) | (v != v), v, top[k])

    for loop in along_rows, down_columns:
        loop.__qualname__ += f"_{sign}"  # keeps apart the cache files of kernels that come from the same lines
    return [
        CodeByDtype(jit(along_rows), lambda t: (dense(t, 2), dense(t, 1, True))),
        CodeByDtype(jit(down_columns), lambda t: (dense(t, 3), dense(t, 2, True))),
    ]


_LARGEST, _SMALLEST = _loops(1), _loops(-1)


def amax(x, axes):
    """The largest element over the axes (distinct, non-negative), which are dropped.

    >>> amax(np.array([[1.0, 5.0], [7.0, np.nan]]), (0,))
    array([ 7., nan])
    """
    return _over(_LARGEST, np.maximum, x, axes)


def amin(x, axes):
    """The smallest element over the axes (distinct, non-negative), which are dropped.

    >>> amin(np.array([[1.0, 5.0], [7.0, 2.0]]), (0, 1))
    array(1.)
    """
    return _over(_SMALLEST, np.minimum, x, axes)


def _over(loops, function, x, axes):
    kernel, merged, extremes, shape, _ = _plan(x.shape, axes)
    if merged is None or x.dtype.kind != "f" or not x.flags.carray:
        return np.asarray(function.reduce(x, axis=axes))
    y = np.empty(extremes, x.dtype)
    loops[kernel][x.dtype](x.reshape(merged), y)
    return y.reshape(shape)
