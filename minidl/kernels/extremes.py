"""The largest and the smallest over any axes. NaN counts as both: where there is one, it is the result."""

import numpy as np

from .jit import CodeByDtype, dense, jit
from .sums import _plan
from .vmath import maximum, scalar, select


@scalar
def _itself(x):
    return x


@scalar
def _negative(x):
    return -x


def _over(name, which, function):
    """The function of x and axes that gives the largest `which(x)`, once more `which`: −max(−x) is the smallest."""

    @jit(forceinline=True)
    def extreme(x):
        top, unknown = x.dtype.type(-np.inf), False
        for k in range(x.size):
            top = maximum(top, which(x[k]))  # any number if it is NaN
            unknown |= x[k] != x[k]
        return x.dtype.type(np.nan) if unknown else which(top)

    def of_all(x, y):
        """y = the extreme of x"""
        y[()] = extreme(x)

    def along_rows(x, y):
        """y[m] = the extreme of x[m]"""
        for m in range(x.shape[0]):
            y[m] = extreme(x[m])

    def down_columns(x, y):
        """y[m, k] = the extreme of x[m, :, k]"""
        M, N, K = x.shape
        for m in range(M):
            rows, top = x[m], y[m]
            for k in range(K):
                top[k] = rows[0, k]
            for n in range(1, N):
                for k in range(K):
                    v = rows[n, k]
                    top[k] = select((which(v) > which(top[k])) | (v != v), v, top[k])

    for loop in extreme, of_all, along_rows, down_columns:
        loop.__qualname__ += which.__name__  # keeps apart the cache files of kernels that come from the same lines
    whole = CodeByDtype(jit(of_all), lambda t: (dense(t, 1), dense(t, 0, True)))
    rows = CodeByDtype(jit(along_rows), lambda t: (dense(t, 2), dense(t, 1, True)))
    columns = CodeByDtype(jit(down_columns), lambda t: (dense(t, 3), dense(t, 2, True)))

    def over(x, axes):
        """The extreme over the axes (distinct, non-negative), which are dropped."""
        dtype = x.dtype
        if dtype.kind == "f" and x.flags.carray:
            if len(axes) == x.ndim and x.size:
                y = np.empty((), dtype)
                whole[dtype](x.ravel(), y)
                return y
            kernel, merged, extremes, shape, _ = _plan(x.shape, axes)
            if merged is not None:
                y = np.empty(extremes, dtype)
                (columns if kernel else rows)[dtype](x.reshape(merged), y)
                return y.reshape(shape)
        return np.asarray(function.reduce(x, axis=axes))

    over.__name__ = over.__qualname__ = name
    return over


amax = _over("amax", _itself, np.maximum)
amin = _over("amin", _negative, np.minimum)
