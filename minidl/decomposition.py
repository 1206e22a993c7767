"""Data in fewer numbers: principal component analysis, with scikit-learn's names (`sklearn.decomposition`)."""

import numpy as np

from .graph.modes import no_grad
from .linalg import svd
from .tensors.arguments import as_int, expect_tensors
from .tensors.record import wrap
from .tensors.tensor import Tensor

__all__ = ["PCA"]


class PCA:
    """The directions in which data varies most, found by the singular values of the centred data (Pearson 1901).

    n_components: how many directions are kept; None: all, min(samples, features); a number between 0 and 1: as many as
    explain this share of the variance. After fit(X), X of shape (samples, features):

    components_                  (n_components_, features), orthonormal rows, the largest variance first
    explained_variance_          (n_components_), the variance in each direction, with samples − 1 as divisor
    explained_variance_ratio_    the same as shares of the whole variance
    singular_values_, mean_, n_components_, n_features_in_, n_samples_

    The sign of a direction is arbitrary. As in scikit-learn (svd_flip) the largest number of each, by size, is positive.

    >>> import minidl
    >>> X = minidl.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> pca = PCA(1).fit(X)
    >>> pca.components_, pca.explained_variance_, pca.transform(X).T
    (tensor([[0.6000, 0.8000]]), tensor([25.]), tensor([[-5.,  0.,  5.]]))
    """

    def __init__(self, n_components=None):
        kept = as_int(n_components)
        share = isinstance(kept, float) and 0 < kept < 1
        if kept is not None and not share and not (type(kept) is int and kept >= 0):
            raise ValueError(
                f"PCA: n_components must be None, an integer of 0 or more, or a share between 0 and 1, got {n_components!r}"
            )
        self.n_components = kept

    def fit(self, X) -> "PCA":
        """Finds the directions of X (samples, features); returns the object itself. No gradient goes through them.

        >>> import minidl
        >>> PCA(2).fit(minidl.eye(3)).components_.shape
        (2, 3)
        """
        X = _data("fit", X)
        samples, features = X.shape
        if samples < 2 or features < 1 or not np.isfinite(X.array).all():
            raise ValueError(f"PCA.fit: expected two samples or more, all finite numbers, got shape {X.shape}")
        if type(self.n_components) is int and self.n_components > min(X.shape):
            raise ValueError(f"PCA.fit: n_components is {self.n_components}, but data of shape {X.shape} has {min(X.shape)}")
        with no_grad():
            mean = X.mean(0)
            _, s, vt = svd(X - mean, full_matrices=False)
            largest = vt.abs().argmax(1, keepdim=True)
            vt = vt * vt.gather(1, largest).sign()
            variance = s**2 / (samples - 1)
            whole = variance.sum()
            ratio = variance / whole if whole.item() > 0 else variance * float("nan")
        k = self.n_components if self.n_components is not None else min(X.shape)
        if isinstance(k, float):  # the first number of directions whose shares add up to more than it
            k = min(int(np.searchsorted(np.cumsum(ratio.array), k, side="right")) + 1, min(X.shape))
        self.mean_, self.n_samples_, self.n_features_in_, self.n_components_ = mean, samples, features, k
        self.components_, self.singular_values_ = wrap(vt.array[:k].copy()), wrap(s.array[:k].copy())
        self.explained_variance_ = wrap(variance.array[:k].copy())
        self.explained_variance_ratio_ = wrap(ratio.array[:k].copy())
        return self

    def transform(self, X) -> Tensor:
        """The coordinates of X (n, features) along the directions: (n, n_components_). The gradient is that of a linear map.

        >>> import minidl
        >>> PCA(1).fit(minidl.tensor([[0.0, 1.0], [0.0, 3.0]])).transform(minidl.tensor([[5.0, 7.0]]))
        tensor([[5.]])
        """
        return (self._of("transform", X, "n_features_in_") - self.mean_) @ self.components_.mT

    def fit_transform(self, X) -> Tensor:
        """fit(X) and then transform(X).

        >>> import minidl
        >>> PCA(1).fit_transform(minidl.tensor([[0.0, 1.0], [0.0, 3.0]]))
        tensor([[-1.],
                [ 1.]])
        """
        return self.fit(X).transform(X)

    def inverse_transform(self, X) -> Tensor:
        """The data (n, features) with the given coordinates (n, n_components_): what is in other directions is lost.

        >>> import minidl
        >>> PCA(1).fit(minidl.tensor([[0.0, 1.0], [0.0, 3.0]])).inverse_transform(minidl.tensor([[5.0]]))
        tensor([[0., 7.]])
        """
        return self._of("inverse_transform", X, "n_components_") @ self.components_ + self.mean_

    def __repr__(self):
        return f"PCA({'' if self.n_components is None else f'n_components={self.n_components}'})"

    def _of(self, name, X, width):
        if not hasattr(self, "mean_"):
            raise RuntimeError(f"PCA.{name}: there are no directions yet; call fit(X) first")
        X, wanted = _data(name, X), getattr(self, width)
        if X.shape[1] != wanted:
            raise ValueError(f"PCA.{name}: expected {wanted} columns, got shape {X.shape}")
        if X.dtype != self.mean_.dtype:
            raise TypeError(f"PCA.{name}: expected {self.mean_.dtype}, as in fit, got {X.dtype}")
        return X


def _data(name, X):
    expect_tensors(f"PCA.{name}", X=X)
    if X.ndim != 2 or not X.is_floating_point():
        raise ValueError(f"PCA.{name}: expected floating-point numbers (samples, features), got {X.dtype} of shape {X.shape}")
    return X
