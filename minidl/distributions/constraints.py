"""What a parameter or a sample may be: a check, elementwise or over the last `event_dim` axes, and the rule in words."""

import numpy as np

from ..tensors.record import wrap

__all__ = [
    "Constraint",
    "boolean",
    "greater_than",
    "greater_than_eq",
    "independent",
    "integer_interval",
    "interval",
    "less_than",
    "lower_cholesky",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "real",
    "real_vector",
    "simplex",
    "unit_interval",
]


class Constraint:
    """`rule` ends the sentence "the parameter must be …"; `test` maps an array to where it holds.

    >>> positive.check(wrap(np.array([1.0, -1.0]))).tolist()
    [True, False]
    """

    def __init__(self, rule, test, event_dim=0, is_discrete=False):
        self.rule, self.test, self.event_dim, self.is_discrete = rule, test, event_dim, is_discrete

    def check(self, value):
        """Where the rule holds: bool, of the shape of `value` without its last `event_dim` axes. NaN never holds."""
        with np.errstate(all="ignore"):
            return wrap(np.asarray(self.test(value.array)))

    def __repr__(self):
        return f"Constraint({self.rule})"


def greater_than(lower_bound):
    """Above a number or an array of numbers."""
    return Constraint(f"above {_brief(lower_bound)}", lambda x: x > lower_bound)


def greater_than_eq(lower_bound):
    """At least a number or an array of numbers."""
    return Constraint(f"at least {_brief(lower_bound)}", lambda x: x >= lower_bound)


def less_than(upper_bound):
    """Below a number or an array of numbers."""
    return Constraint(f"below {_brief(upper_bound)}", lambda x: x < upper_bound)


def interval(lower_bound, upper_bound):
    """From a number to a number, both included; or elementwise for arrays."""
    rule = f"in [{_brief(lower_bound)}, {_brief(upper_bound)}]"
    return Constraint(rule, lambda x: (x >= lower_bound) & (x <= upper_bound))


def integer_interval(lower_bound, upper_bound):
    """An integer from a number to a number, both included; or elementwise for arrays."""
    rule = f"an integer in [{_brief(lower_bound)}, {_brief(upper_bound)}]"
    return Constraint(rule, lambda x: (x >= lower_bound) & (x <= upper_bound) & (x % 1 == 0), is_discrete=True)


def independent(base, ndim):
    """The base's rule, for each of the elements along the last `ndim` axes."""
    return Constraint(
        base.rule,
        lambda x: base.test(x).all(axis=tuple(range(-ndim, 0))),
        base.event_dim + ndim,
        base.is_discrete,
    )


def _brief(bound):
    return f"{bound:g}" if np.ndim(bound) == 0 else "the bounds of its batch"


def _on_simplex(x):
    tolerance = 1e-6 if x.dtype != np.float64 else 1e-9
    return (x >= 0).all(-1) & (abs(x.sum(-1, dtype=np.float64) - 1) < max(tolerance, tolerance * x.shape[-1] / 16))


def _positive_definite(x):
    symmetric = (abs(x - np.swapaxes(x, -1, -2)) <= 1e-6 * np.maximum(1, abs(x))).all((-2, -1))
    finite = np.isfinite(x).all((-2, -1))
    if not x.size:
        return symmetric
    eigenvalues = np.linalg.eigvalsh(np.where(finite[..., None, None], x, np.eye(x.shape[-1], dtype=x.dtype)))
    return symmetric & finite & (eigenvalues > 0).all(-1)


def _lower_cholesky(x):
    return (np.tril(x) == x).all((-2, -1)) & (np.diagonal(x, 0, -2, -1) > 0).all(-1)


real = Constraint("a number (not NaN)", lambda x: x == x)
real_vector = independent(real, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
boolean = Constraint("0 or 1", lambda x: (x == 0) | (x == 1), is_discrete=True)
nonnegative_integer = Constraint("an integer of at least 0", lambda x: (x >= 0) & (x % 1 == 0), is_discrete=True)
positive_integer = Constraint("an integer of at least 1", lambda x: (x >= 1) & (x % 1 == 0), is_discrete=True)
simplex = Constraint("at least 0 with the sum 1 along the last axis", _on_simplex, 1)
one_hot = Constraint(
    "one 1 among zeros along the last axis", lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1), 1, True
)
lower_cholesky = Constraint("a lower triangular matrix with a diagonal above 0", _lower_cholesky, 2)
positive_definite = Constraint("a symmetric matrix with eigenvalues above 0", _positive_definite, 2)
