"""Probability distributions, with PyTorch's names: parameters in, samples, densities, entropies and divergences out.

Read `distribution` for the shapes and what all have in common, `kl` for divergences between two. Everything is in nats.
"""

import sys
from types import ModuleType

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

# PyTorch has a module for each, which `from minidl.distributions.normal import Normal` and `distributions.normal.Normal` name.
_MODULES = {
    "beta": Beta,
    "binomial": Binomial,
    "dirichlet": Dirichlet,
    "exponential": Exponential,
    "geometric": Geometric,
    "independent": Independent,
    "laplace": Laplace,
    "log_normal": LogNormal,
    "normal": Normal,
    "one_hot_categorical": OneHotCategorical,
    "transformed_distribution": TransformedDistribution,
    "uniform": Uniform,
}
for _name, _class in _MODULES.items():
    _module = ModuleType(f"{__name__}.{_name}", f"Has {_class.__name__}, which minidl.distributions has, too.")
    vars(_module)[_class.__name__] = _class
    globals()[_name] = sys.modules[_module.__name__] = _module
