"""Distributions made of others: elements counted as one event, and functions of a variable."""

from . import constraints
from .distribution import Distribution
from .location import Normal
from .transforms import ComposeTransform, ExpTransform, Transform


class Independent(Distribution):
    """The last axes of a batch as one event: log_prob and entropy are summed over them, as for independent elements.

    >>> from minidl import zeros, ones
    >>> d = Independent(Normal(zeros(2), ones(2)), 1)
    >>> d, d.batch_shape, d.event_shape
    (Independent(Normal(loc: (2,), scale: (2,)), 1), (), (2,))
    """

    def __init__(self, base_distribution, reinterpreted_batch_ndims, validate_args=None):
        if not isinstance(base_distribution, Distribution) or type(reinterpreted_batch_ndims) is not int:
            got = f"{type(base_distribution).__name__} and {reinterpreted_batch_ndims!r}"
            raise TypeError(f"Independent: expected a distribution and a number of axes, got {got}")
        batch, n = base_distribution.batch_shape, reinterpreted_batch_ndims
        if not 0 <= n <= len(batch):
            raise ValueError(f"Independent: reinterpreted_batch_ndims must be from 0 to the {len(batch)} of {batch}, got {n}")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        cut = len(batch) - n
        super().__init__(batch[:cut], batch[cut:] + base_distribution.event_shape, validate_args)

    @property
    def has_rsample(self):
        return self.base_dist.has_rsample

    @property
    def support(self):
        support, n = self.base_dist.support, self.reinterpreted_batch_ndims
        return constraints.independent(support, n) if n else support

    @property
    def mean(self):
        return self.base_dist.mean

    @property
    def mode(self):
        return self.base_dist.mode

    @property
    def variance(self):
        return self.base_dist.variance

    def sample(self, sample_shape=()):
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape=()):
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value):
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self):
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def expand(self, batch_shape, _instance=None):
        base = self.base_dist.expand((*batch_shape, *self._event_shape[: self.reinterpreted_batch_ndims]), _instance)
        return Independent(base, self.reinterpreted_batch_ndims, self._validate_args)

    def __repr__(self):
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


def sum_rightmost(value, n):
    """The sum over the last n axes."""
    return value.sum(tuple(range(-n, 0))) if n else value


class TransformedDistribution(Distribution):
    """y = f(x) for x from another distribution, f one transform or a list of them, the first first.

    The density is that of x, divided by the slope of f: log_prob(y) = log p(x) − ln |f′(x)|.

    >>> TransformedDistribution(Normal(0.0, 1.0), [ExpTransform()]).log_prob(1.0)
    tensor(-0.9189)
    """

    def __init__(self, base_distribution, transforms, validate_args=None):
        transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for transform in transforms:
            if not isinstance(transform, Transform):
                raise TypeError(f"TransformedDistribution: expected transforms, got {type(transform).__name__}")
        self.base_dist, self.transforms = base_distribution, transforms
        self._whole = ComposeTransform(transforms)
        super().__init__(base_distribution.batch_shape, base_distribution.event_shape, validate_args)

    @property
    def has_rsample(self):
        return self.base_dist.has_rsample

    @property
    def support(self):
        if not self.transforms:
            return self.base_dist.support
        n = len(self._event_shape)
        return constraints.independent(self._whole.codomain, n) if n else self._whole.codomain

    def sample(self, sample_shape=()):
        return self._whole(self.base_dist.sample(sample_shape)).detach()

    def rsample(self, sample_shape=()):
        return self._whole(self.base_dist.rsample(sample_shape))

    def log_prob(self, value):
        y = self._checked(value)
        x = self._whole.inv(y)
        slope = sum_rightmost(self._whole.log_abs_det_jacobian(x, y), len(self._event_shape))
        return self.base_dist.log_prob(x) - slope

    def cdf(self, value):
        return self._in_order(self.base_dist.cdf(self._whole.inv(self._checked(value))))

    def icdf(self, value):
        return self._whole(self.base_dist.icdf(self._in_order(self._checked_chance(value))))

    def _in_order(self, chance):
        """A function that falls makes of the chance to lie below that to lie above."""
        return self._whole.sign * (chance - 0.5) + 0.5

    def _dtype(self):
        return self.base_dist._dtype()

    def expand(self, batch_shape, _instance=None):
        base = self.base_dist.expand(batch_shape, _instance)
        return TransformedDistribution(base, self.transforms, self._validate_args)


class LogNormal(TransformedDistribution):
    """eˣ for x from N(loc, scale²). Samples are PyTorch's for the same seed.

    >>> LogNormal(0.0, 1.0).mean
    tensor(1.6487)
    """

    has_rsample = True
    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive

    def __init__(self, loc, scale, validate_args=None):
        super().__init__(Normal(loc, scale, validate_args), [ExpTransform()], validate_args)

    @property
    def loc(self):
        return self.base_dist.loc

    @property
    def scale(self):
        return self.base_dist.scale

    @property
    def mean(self):
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self):
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self):
        square = self.scale**2
        return square.expm1() * (2 * self.loc + square).exp()

    def entropy(self):
        return self.loc + self.base_dist.entropy()

    def expand(self, batch_shape, _instance=None):
        base = self.base_dist.expand(batch_shape, _instance)
        return LogNormal(base.loc, base.scale, self._validate_args)
