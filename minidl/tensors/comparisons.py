"""Comparisons and logic: boolean results, outside the graph."""

import functools

import numpy as np

from .record import TensorBase, check_broadcast, promote, remedy_for, wrap


class Comparisons:
    """Boolean, elementwise with broadcasting, outside the graph."""

    def __eq__(self, other):
        """self = other, element by element. False for None and for a string.

        >>> import minidl
        >>> minidl.tensor([1, 2, 3]) == minidl.tensor([1, 0, 3])
        tensor([ True, False,  True])
        """
        return False if other is None or isinstance(other, str) else _compare(np.equal, self, other)

    def __ne__(self, other):
        """self ≠ other, element by element. True for None and for a string.

        >>> import minidl
        >>> minidl.tensor([1, 2, 3]) != 2
        tensor([ True, False,  True])
        """
        return True if other is None or isinstance(other, str) else _compare(np.not_equal, self, other)

    def __lt__(self, other):
        """self < other, element by element.

        >>> import minidl
        >>> minidl.tensor([1, 2, 3]) < 2
        tensor([ True, False, False])
        """
        return _compare(np.less, self, other)

    def __le__(self, other):
        """self ≤ other, element by element.

        >>> import minidl
        >>> minidl.tensor([1, 2, 3]) <= 2
        tensor([ True,  True, False])
        """
        return _compare(np.less_equal, self, other)

    def __gt__(self, other):
        """self > other, element by element.

        >>> import minidl
        >>> minidl.tensor([1, 2, 3]) > 2
        tensor([False, False,  True])
        """
        return _compare(np.greater, self, other)

    def __ge__(self, other):
        """self ≥ other, element by element.

        >>> import minidl
        >>> minidl.tensor([1, 2, 3]) >= 2
        tensor([False,  True,  True])
        """
        return _compare(np.greater_equal, self, other)

    eq, ne, lt, le, gt, ge = __eq__, __ne__, __lt__, __le__, __gt__, __ge__

    def __invert__(self):
        """Not: of booleans the opposite, of integers every bit the other way round."""
        if self.array.dtype.kind == "f":
            raise TypeError(f"~: expected a boolean or integer tensor, got {self.dtype}")
        return wrap(np.asarray(~self.array))

    def __and__(self, other):
        """And: of booleans, or of the bits of integers."""
        return _compare(np.bitwise_and, self, other)

    def __or__(self, other):
        """Or: of booleans, or of the bits of integers."""
        return _compare(np.bitwise_or, self, other)

    def __xor__(self, other):
        """Either, but not both: of booleans, or of the bits of integers."""
        return _compare(np.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def logical_not(self):
        """True where x is 0 or False.

        >>> import minidl
        >>> minidl.tensor([0.0, 2.0]).logical_not()
        tensor([ True, False])
        """
        return wrap(np.asarray(np.logical_not(self.array)))

    def logical_and(self, other):
        """True where both are not 0.

        >>> import minidl
        >>> minidl.tensor([0, 1, 2]).logical_and(minidl.tensor([1, 0, 1]))
        tensor([False, False,  True])
        """
        return _compare(np.logical_and, self, other)

    def logical_or(self, other):
        """True where one or both are not 0.

        >>> import minidl
        >>> minidl.tensor([0, 1, 0]).logical_or(minidl.tensor([1, 0, 0]))
        tensor([ True,  True, False])
        """
        return _compare(np.logical_or, self, other)

    def isnan(self):
        """True where x is NaN ("not a number", as 0/0 is).

        >>> import minidl
        >>> minidl.tensor([1.0, minidl.nan, minidl.inf]).isnan()
        tensor([False,  True, False])
        """
        return wrap(np.asarray(np.isnan(self.array)))

    def isinf(self):
        """True where x is ∞ or −∞.

        >>> import minidl
        >>> minidl.tensor([1.0, minidl.nan, -minidl.inf]).isinf()
        tensor([False, False,  True])
        """
        return wrap(np.asarray(np.isinf(self.array)))

    def isfinite(self):
        """True where x is neither NaN nor infinite.

        >>> import minidl
        >>> minidl.tensor([1.0, minidl.nan, minidl.inf]).isfinite()
        tensor([ True, False, False])
        """
        return wrap(np.asarray(np.isfinite(self.array)))

    def isclose(self, other, rtol=1e-5, atol=1e-8, equal_nan=False):
        """|self − other| ≤ atol + rtol·|other|, element by element. equal_nan: whether NaN counts as equal to NaN.

        >>> import minidl
        >>> minidl.tensor([1.0, 1.0]).isclose(minidl.tensor([1.000001, 1.1]))
        tensor([ True, False])
        """
        for what, x in (("rtol", rtol), ("atol", atol)):
            if not isinstance(x, (int, float, np.integer, np.floating)) or not 0 <= x < np.inf:
                raise ValueError(f"isclose: {what} must be a number of 0 or more, got {x!r}")
        with np.errstate(all="ignore"):  # a tolerance may be beyond float32
            return _compare(functools.partial(np.isclose, rtol=rtol, atol=atol, equal_nan=equal_nan), self, other)

    def allclose(self, other, rtol=1e-5, atol=1e-8, equal_nan=False):
        """Whether all elements are close (see isclose), as a bool of Python.

        >>> import minidl
        >>> minidl.tensor([1.0, 2.0]).allclose(minidl.tensor([1.0, 2.000001]))
        True
        """
        return bool(self.isclose(other, rtol, atol, equal_nan).array.all())

    def equal(self, other):
        """Whether shape and every element are the same, as a bool of Python.

        >>> import minidl
        >>> x = minidl.tensor([1, 2])
        >>> x.equal(minidl.tensor([1, 2])), x.equal(minidl.tensor([[1, 2]]))
        (True, False)
        """
        if not isinstance(other, TensorBase):
            raise TypeError(f"equal: expected a Tensor, got {type(other).__name__}{remedy_for(other)}")
        return self.shape == other.shape and bool(np.array_equal(self.array, other.array))


def _compare(function, a, b):
    a, b = promote(function.__name__ if hasattr(function, "__name__") else "isclose", a, b)
    try:
        return wrap(np.asarray(function(*(x.array if isinstance(x, TensorBase) else x for x in (a, b)))))
    except ValueError:
        check_broadcast(getattr(function, "__name__", "isclose"), a, b)
        raise
