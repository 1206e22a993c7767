"""Probability distributions, with PyTorch's names: parameters in, samples, densities, entropies and divergences out.

Read `distribution` for the shapes and what all have in common, `kl` for divergences between two. Everything is in nats.
"""

from . import constraints
from .bernoulli import Bernoulli, Binomial, Geometric
from .categorical import Categorical, Multinomial, OneHotCategorical
from .distribution import Distribution
from .kl import kl_divergence, register_kl
from .poisson import Poisson

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "Distribution",
    "Geometric",
    "Multinomial",
    "OneHotCategorical",
    "Poisson",
    "constraints",
    "kl_divergence",
    "register_kl",
]
