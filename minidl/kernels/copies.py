"""What NumPy does for kernels: copies in the order of C, zeros to add to, products.

While a step is recorded (capture/), a kernel writes the same bits there once more. It is noted: a replay needs no Python for
it. Of arrays that are no floats, or need more than four axes, it stays NumPy's.
"""

import numpy as np

from .memory import owner_of

# While a step is recorded: the module `arithmetic`, which no other program needs. Another thread may take it away at any time.
noted = None


def in_order(x):
    """A copy in the order of C."""
    y = np.array(x, order="C", subok=False)
    if (now := noted) is not None:
        now.copy_to(y, x)
    return y


def reshape(x, shape):
    """x in another shape, a view if that can be."""
    y = x.reshape(shape)
    if (now := noted) is not None and owner_of(y) is not owner_of(x):
        now.copy_to(y.reshape(x.shape), x)
    return y


def repeated(x, shape):
    """x repeated to the shape, as a new array."""
    y = np.empty(shape, x.dtype)
    y[...] = x
    if (now := noted) is not None:
        now.copy_to(y, x)
    return y


def assign(y, x):
    """y[...] = x, an array or 0"""
    y[...] = x
    if (now := noted) is not None:
        now.copy_to(y, x) if isinstance(x, np.ndarray) else now.clear(y)


def zeros(shape, dtype=np.float64):
    y = np.zeros(shape, dtype)
    if (now := noted) is not None:
        now.clear(y)
    return y


def multiply(a, b):
    """a·b, which broadcast"""
    y = a * b
    if (now := noted) is not None:
        now.product_to(y, a, b)
    return y
