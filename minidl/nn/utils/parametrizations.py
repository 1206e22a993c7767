"""Weights computed from others: weight normalisation and spectral normalisation, as parametrizations of a layer."""

from ...graph.modes import no_grad
from ...ops.base import normalize_axis
from .. import functional as F
from ..conv import ConvTranspose1d, ConvTranspose2d
from ..module import Module
from .parametrize import register_parametrization

__all__ = ["spectral_norm", "weight_norm"]


def weight_norm(module, name="weight", dim=0):
    """Makes a weight g·v/‖v‖, with its lengths g and its directions v learned apart (Salimans and Kingma, 2016).

    dim: the axis whose slices have a length each; None: one length for all. The parameters are
    `parametrizations.<name>.original0`, g, and `original1`, v. Returns the module.

    >>> import minidl
    >>> layer = weight_norm(minidl.nn.Linear(4, 3))
    >>> [(name, x.shape) for name, x in layer.named_parameters()][1:]
    [('parametrizations.weight.original0', (3, 1)), ('parametrizations.weight.original1', (3, 4))]
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divides a weight by its largest singular value, so that the layer lengthens no vector (Miyato et al., 2018).

    The value is estimated by the power method: n_power_iterations steps at each access in training, 15 at the beginning. dim:
    the axis of the outputs, the others count as one; by default 0, for transposed convolutions 1. The parameter is
    `parametrizations.<name>.original`. Returns the module.

    >>> import minidl
    >>> layer = spectral_norm(minidl.nn.Linear(4, 3), n_power_iterations=50)
    >>> bool((layer(minidl.ones(4)) - layer.bias).norm() <= 2.001)
    True
    """
    weight = getattr(module, name, None)
    if weight is None:
        raise ValueError(f"spectral_norm: {type(module).__name__} has no parameter {name!r}")
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim_of(module, dim), eps))


def dim_of(module, dim):
    """The axis of the outputs, if none is given."""
    return int(isinstance(module, (ConvTranspose1d, ConvTranspose2d))) if dim is None else dim


def lengths(v, dim):
    """‖v‖ of each slice along dim, all axes kept; of all of v if dim is None or, as in PyTorch, −1."""
    if dim is None or dim == -1:
        return v.square().sum().sqrt()
    axis = normalize_axis("weight_norm", dim, v.ndim)
    others = tuple(i for i in range(v.ndim) if i != axis)
    return v.square().sum(others, keepdim=True).sqrt() if others else v.abs()


class _WeightNorm(Module):
    def __init__(self, dim=0):
        super().__init__()
        self.dim = dim

    def forward(self, weight_g, weight_v):
        return weight_v * (weight_g / lengths(weight_v, self.dim))

    def right_inverse(self, weight):
        return lengths(weight, self.dim), weight


class _SpectralNorm(Module):
    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        self.dim, self.eps = normalize_axis("spectral_norm", dim, weight.ndim), eps
        if type(n_power_iterations) is not int or n_power_iterations < 1:
            raise ValueError(f"spectral_norm: n_power_iterations must be 1 or more, got {n_power_iterations!r}")
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:
            with no_grad():
                matrix = rows_of(weight.detach(), self.dim)
                u, v = (matrix.new_zeros(n).normal_(0, 1) for n in matrix.shape)
                self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
                self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
                self._power_method(matrix, 15)

    def _power_method(self, matrix, steps):
        with no_grad():
            for _ in range(steps):
                self._u.copy_(F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.T.mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight):
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = rows_of(weight, self.dim)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # a later access changes the vectors in place
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value):
        return value


def rows_of(weight, dim):
    """The weight as a matrix, with a row for each place on axis dim."""
    return weight.movedim(dim, 0).reshape(weight.shape[dim], -1)
