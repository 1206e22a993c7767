"""Probability distributions, with PyTorch's names: parameters in, samples, densities, entropies and divergences out.

Read `distribution` for the shapes and what all have in common, `kl` for divergences between two. Everything is in nats.
"""

from . import constraints
from .bernoulli import Bernoulli, Binomial, Geometric
from .categorical import Categorical, Multinomial, OneHotCategorical
from .distribution import Distribution
from .divergences import kl_divergence
from .gamma import Beta, Dirichlet, Gamma
from .kl import register_kl
from .location import Exponential, Laplace, Normal, Uniform
from .multivariate_normal import MultivariateNormal
from .poisson import Poisson
from .transformed import Independent, LogNormal, TransformedDistribution
from .transforms import AffineTransform, ComposeTransform, ExpTransform, SigmoidTransform, Transform

__all__ = [
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "ComposeTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "Gamma",
    "Geometric",
    "Independent",
    "Laplace",
    "LogNormal",
    "Multinomial",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Poisson",
    "SigmoidTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "constraints",
    "kl_divergence",
    "register_kl",
]
