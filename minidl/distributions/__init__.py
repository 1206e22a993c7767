"""Probability distributions, with PyTorch's names: parameters in, samples, densities, entropies and divergences out.

Read `distribution` for the shapes and what all have in common, `kl` for divergences between two. Everything is in nats.
"""

from . import constraints
from .distribution import Distribution
from .kl import kl_divergence, register_kl

__all__ = [
    "Distribution",
    "constraints",
    "kl_divergence",
    "register_kl",
]
