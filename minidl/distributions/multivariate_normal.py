"""The normal distribution of vectors, by the Cholesky factor of its covariance."""

import math

import numpy as np

from .. import ops
from ..random import default_generator
from ..tensors.creation import eye
from ..tensors.record import apply, floating, wrap
from ..tensors.tensor import Tensor
from . import constraints
from .distribution import Distribution
from .parameters import derived


class MultivariateNormal(Distribution):
    """N(loc, Σ), loc (…, n), given one (…, n, n) of covariance_matrix Σ, scale_tril L with L Lᵀ = Σ, precision_matrix Σ⁻¹.

    Samples are loc + L z, PyTorch's for the same seed. scale_tril is the form that needs no factorisation.

    >>> d = MultivariateNormal(wrap(np.zeros(2)), scale_tril=eye(2))
    >>> d.log_prob(wrap(np.zeros(2)))
    tensor(-1.8379, dtype=minidl.float64)
    """

    has_rsample = True
    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector

    def __init__(self, loc, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        matrices = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = [name for name, matrix in matrices.items() if matrix is not None]
        if len(given) != 1:
            raise ValueError(f"MultivariateNormal: give one of {', '.join(matrices)}, got {' and '.join(given) or 'none'}")
        (name,) = given
        matrix = matrices[name]
        if not isinstance(loc, Tensor) or not isinstance(matrix, Tensor):
            raise TypeError(f"MultivariateNormal: expected loc and {name} as tensors")
        if not loc.ndim or matrix.ndim < 2 or matrix.shape[-2:] != loc.shape[-1:] * 2:
            raise ValueError(
                f"MultivariateNormal: expected loc (…, n) and {name} (…, n, n), got the shapes {loc.shape} and {matrix.shape}"
            )
        loc, matrix = floating(loc), floating(matrix)
        dtype = np.result_type(loc.dtype, matrix.dtype)
        try:
            batch = np.broadcast_shapes(loc.shape[:-1], matrix.shape[:-2])
        except ValueError:
            raise ValueError(
                f"MultivariateNormal: loc {loc.shape} and {name} {matrix.shape} do not broadcast over their batches"
            ) from None
        self.loc = loc.to(dtype).expand(*batch, *loc.shape[-1:])
        self.__dict__[name] = matrix.to(dtype).expand(*batch, *matrix.shape[-2:])
        super().__init__(batch, loc.shape[-1:], validate_args)

    @derived
    def scale_tril(self):
        """L, lower triangular with a diagonal above 0: L Lᵀ is the covariance."""
        if "covariance_matrix" in self.__dict__:
            return apply(ops.Cholesky(), self.covariance_matrix)
        # Turned by half a turn, the precision P = (L Lᵀ)⁻¹ has the factor that becomes L⁻ᵀ: triangular on the right side.
        turned = apply(ops.Cholesky(), self.precision_matrix.flip(-2, -1)).flip(-2, -1)
        return _inverse(turned.mT)

    @derived
    def covariance_matrix(self):
        """Σ = L Lᵀ"""
        return self.scale_tril @ self.scale_tril.mT

    @derived
    def precision_matrix(self):
        """Σ⁻¹ = L⁻ᵀ L⁻¹"""
        inverse = _inverse(self.scale_tril)
        return inverse.mT @ inverse

    @property
    def mean(self):
        return self.loc

    mode = mean

    @property
    def variance(self):
        return (self.scale_tril**2).sum(-1)

    def rsample(self, sample_shape=()):
        noise = wrap(default_generator.normal(self._extended_shape(sample_shape), self.loc.dtype))
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value):
        tril = self.scale_tril
        z = (_inverse(tril) @ (self._checked(value) - self.loc).unsqueeze(-1)).squeeze(-1)
        return -(z * z).sum(-1) / 2 - half_log_det(tril) - self.loc.shape[-1] * math.log(2 * math.pi) / 2

    def entropy(self):
        return half_log_det(self.scale_tril) + self.loc.shape[-1] * (1 + math.log(2 * math.pi)) / 2


def half_log_det(tril):
    """½ ln det L Lᵀ: the sum of the logarithms on the diagonal."""
    return tril.diagonal(0, -2, -1).log().sum(-1)


def solve_triangular(tril, matrix):
    """L⁻¹ M, with leading axes broadcast."""
    return apply(ops.SolveTriangular(), tril, matrix)


def _inverse(tril):
    return solve_triangular(tril, eye(tril.shape[-1], dtype=tril.dtype))
