"""More complex models of the same data: products of its columns."""

import math
from itertools import combinations, combinations_with_replacement

import numpy as np

from ..tensors.arguments import expect_memory, expect_tensors
from ..tensors.creation import ones
from ..tensors.joining import stack
from ..tensors.record import floating, wrap
from .splits import at_least


def count_monomials(degree, variables):
    """How many products x₁^a₁ ⋯ x_k^a_k of k variables have the degree d = a₁ + ⋯ + a_k: C(k − 1 + d, k − 1).

    It is why degree makes models complex so fast. From *Dive into Deep Learning*, 3.7.

    >>> count_monomials(3, 10), count_monomials(3, 1)
    (220, 1)
    """
    k, d = at_least("count_monomials", "variables", variables, 1), at_least("count_monomials", "degree", degree, 0)
    return _choose("count_monomials", k - 1 + d, k - 1)


def _choose(name, n, k):
    """C(n, k), unless it has more digits than anybody could wait for."""
    if math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) > 10_000:
        raise OverflowError(f"{name}: C({n}, {k}) is too large a number")
    return math.comb(n, k)


class PolynomialFeatures:
    """All products of the columns of X up to a degree, as columns: (N, k) → (N, C(k + degree, degree)), with gradients.

    include_bias: with the column of ones, the product of none. interaction_only: no column twice in a product. The order is
    scikit-learn's, by degree. `powers_` holds the exponents, (columns, k).

    >>> import minidl
    >>> features = PolynomialFeatures(degree=2)
    >>> features.fit_transform(minidl.tensor([[2.0, 3.0]]))
    tensor([[1., 2., 3., 4., 6., 9.]])
    >>> features.get_feature_names_out()
    ['1', 'x0', 'x1', 'x0^2', 'x0 x1', 'x1^2']
    """

    def __init__(self, degree=2, *, interaction_only=False, include_bias=True):
        self.degree = at_least("PolynomialFeatures", "degree", degree, 0)
        for name, value in (("interaction_only", interaction_only), ("include_bias", include_bias)):
            if not isinstance(value, bool):
                raise TypeError(f"PolynomialFeatures: {name} must be True or False, got {value!r}")
        self.interaction_only, self.include_bias = interaction_only, include_bias

    def __repr__(self):
        return f"PolynomialFeatures(degree={self.degree})"

    def fit(self, X, y=None):
        """Learns the number of columns; y is not looked at, as in scikit-learn."""
        k = _matrix("PolynomialFeatures.fit", X).shape[1]
        if not k:
            raise ValueError(f"PolynomialFeatures.fit: expected one column or more, got shape {X.shape}")
        degrees = range(0 if self.include_bias else 1, (min(self.degree, k) if self.interaction_only else self.degree) + 1)
        if self.interaction_only:
            count = sum(_choose("PolynomialFeatures.fit", k, d) for d in degrees)
        else:
            count = _choose("PolynomialFeatures.fit", k + self.degree, k) - (not self.include_bias)
        expect_memory("PolynomialFeatures.fit", (count, k), np.dtype(np.int64), more=300 * count)
        choose = combinations if self.interaction_only else combinations_with_replacement
        self._products = [product for d in degrees for product in choose(range(k), d)]
        powers = [np.bincount(np.array(product, np.int64), minlength=k) for product in self._products]
        self.powers_ = wrap(np.array(powers, np.int64).reshape(count, k))
        self.n_features_in_, self.n_output_features_ = k, count
        return self

    def transform(self, X):
        """The products of the columns of X, in X's dtype; integers become float32."""
        if not hasattr(self, "powers_"):
            raise RuntimeError("PolynomialFeatures.transform: fit comes first; write fit_transform(X)")
        X = floating(_matrix("PolynomialFeatures.transform", X))
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"PolynomialFeatures.transform: expected {self.n_features_in_} columns, got shape {X.shape}")
        if not self._products:
            return X[:, :0]
        expect_memory("PolynomialFeatures.transform", (len(X), self.n_output_features_), X.dtype)
        columns = {(): ones(len(X), dtype=X.dtype)}
        for product in self._products:  # each by one product more than one of a degree less
            if product not in columns:
                last = X[:, product[-1]]
                columns[product] = columns[product[:-1]] * last if len(product) > 1 else last
        return stack([columns[product] for product in self._products], 1)

    def fit_transform(self, X, y=None):
        """fit, then transform."""
        return self.fit(X).transform(X)

    def get_feature_names_out(self, input_features=None):
        """A name for each column, such as 'x0^2 x1'; with input_features, a list of names, from these."""
        if not hasattr(self, "powers_"):
            raise RuntimeError("PolynomialFeatures.get_feature_names_out: fit comes first")
        names = [f"x{i}" for i in range(self.n_features_in_)] if input_features is None else list(input_features)
        if len(names) != self.n_features_in_:
            raise ValueError(
                f"PolynomialFeatures.get_feature_names_out: expected {self.n_features_in_} names, got {len(names)}"
            )
        terms = [[(names[i], n) for i, n in enumerate(row) if n] for row in self.powers_.tolist()]
        return [" ".join(name if n == 1 else f"{name}^{n}" for name, n in term) or "1" for term in terms]


def _matrix(name, X):
    expect_tensors(name, X=X)
    if X.ndim != 2:
        raise ValueError(f"{name}: expected a matrix (examples, columns), got shape {X.shape}")
    return X
