"""Continuous distributions: densities against their own integrals, moments and slopes, and against SciPy and PyTorch."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minidl
from minidl import distributions as D
from minidl.autograd import grad, gradcheck


def double(*values):
    return minidl.tensor(np.array(values if len(values) > 1 else values[0], np.float64))


# (class, parameters, the numbers between which nearly all of its chance lies; in their middle is where a density has a kink)
SCALAR = [
    (D.Normal, (0.7, 1.3), (-12, 11.2)),
    (D.Laplace, (-0.4, 0.8), (-25.4, 24.6)),
    (D.Uniform, (-1.5, 2.0), (-1.5, 2.0)),
    (D.Exponential, (1.7,), (0, 22)),
    (D.Gamma, (2.6, 1.4), (0, 30)),
    (D.Gamma, (1.0, 0.6), (0, 60)),
    (D.Beta, (2.5, 1.6), (0, 1)),
    (D.Beta, (1.0, 3.0), (0, 1)),
    (D.LogNormal, (0.2, 0.4), (0.01, 40)),
]
IDS = [f"{kind.__name__}{parameters}" for kind, parameters, _ in SCALAR]


def made(kind, parameters, requires_grad=False):
    return kind(*(double(p).requires_grad_(requires_grad) for p in parameters))


def grid(low, high, n=2000):
    """Nodes and weights of Gauss and Legendre on pieces between low and high, smaller ones towards the ends."""
    x, w = np.polynomial.legendre.leggauss(20)
    t = np.linspace(0, 1, n // 20 + 1)
    edges = low + (high - low) * t**3 * (10 - 15 * t + 6 * t * t)
    half = np.diff(edges)[:, None] / 2
    return ((edges[:-1, None] + half) + half * x).ravel(), (half * w).ravel()


def close(found, expected, rtol=1e-6, atol=1e-7):
    found, expected = (np.asarray(x.detach()) if isinstance(x, minidl.Tensor) else np.asarray(x) for x in (found, expected))
    np.testing.assert_allclose(found, expected, rtol, atol)


# --- by quadrature


@pytest.mark.parametrize(("kind", "parameters", "bounds"), SCALAR, ids=IDS)
def test_density_agrees_with_everything_said_of_it(kind, parameters, bounds):
    d = made(kind, parameters)
    x, w = grid(*bounds)
    log_p = d.log_prob(double(x)).numpy()
    p = np.exp(log_p) * w
    close(p.sum(), 1)
    close(d.mean, p @ x)
    close(d.variance, p @ (x - p @ x) ** 2)
    close(d.stddev, np.sqrt(p @ (x - p @ x) ** 2))
    close(d.entropy(), -(p @ log_p))
    close(d.perplexity(), np.exp(-(p @ log_p)))
    if kind is not D.Beta:
        middle = (bounds[0] * 0.9 + bounds[1] * 0.1) if kind is not D.LogNormal else 1.5
        y, v = grid(bounds[0], middle)
        close(d.cdf(double(middle)), np.exp(d.log_prob(double(y)).numpy()) @ v)
    if kind is not D.Uniform and kind is not D.Exponential and parameters[0] != 1:
        close(d.mode, x[np.argmax(log_p)], atol=np.diff(x).max())


PAIRS = [
    (p, q)
    for p, q in itertools.product(SCALAR, SCALAR + [(D.Uniform, (-2.0, 3.0), ()), (D.Normal, (-0.2, 2.0), ())])
    if not (p[0] is D.LogNormal) ^ (q[0] is D.LogNormal)
]


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=[f"{p[0].__name__}{p[1]}-{q[0].__name__}{q[1]}" for p, q in PAIRS])
def test_divergence_by_quadrature(p, q):
    (kind, parameters, bounds), q = p, made(q[0], q[1])
    p = made(kind, parameters)
    try:
        found = D.kl_divergence(p, q)
    except NotImplementedError as error:
        assert kind.__name__ in str(error) and type(q).__name__ in str(error)
        return
    x, w = grid(*bounds)
    outside = ~q.support.check(double(x)).numpy()
    if outside.any():
        assert found.item() == math.inf
        return
    log_p, log_q = (d.log_prob(double(x)).numpy() for d in (p, q))
    close(found, (np.exp(log_p) * w) @ (log_p - log_q), atol=1e-6)
    assert found.item() >= -1e-12


def test_divergence_of_vectors_by_samples():
    minidl.manual_seed(3)
    covariance = np.array([[1.0, 0.3], [0.3, 0.5]])
    pairs = [
        (D.Dirichlet(double(2.0, 1.5, 3.0)), D.Dirichlet(double(1.0, 2.0, 2.5))),
        (
            D.MultivariateNormal(double(0.1, -0.3), double(covariance)),
            D.MultivariateNormal(double(0.0, 0.4), precision_matrix=double(covariance + np.eye(2))),
        ),
        (
            D.Independent(D.Normal(double(0.0, 1.0), double(1.0, 2.0)), 1),
            D.Independent(D.Normal(double(0.5, 1.0), double(1.5, 1.0)), 1),
        ),
    ]
    for p, q in pairs:
        x = p.sample((20_000,))
        ratio = (p.log_prob(x) - q.log_prob(x)).numpy()
        error = ratio.std() / math.sqrt(ratio.size)
        assert abs(D.kl_divergence(p, q).item() - ratio.mean()) < 5 * error
        assert abs(p.entropy().item() + p.log_prob(x).mean().item()) < 5 * p.log_prob(x).std().item() / math.sqrt(ratio.size)
        assert abs(D.kl_divergence(p, p).item()) < 1e-12


# --- samples


@pytest.mark.parametrize(("kind", "parameters", "bounds"), SCALAR + [(D.Gamma, (0.2, 2.0), ()), (D.Beta, (0.1, 0.3), ())])
def test_samples_have_the_moments(kind, parameters, bounds):
    minidl.manual_seed(1)
    d, n = made(kind, parameters), 60_000
    x = d.sample((n,)).numpy()
    assert x.shape == (n,) and x.dtype == np.float64
    deviation = x - d.mean.item()
    assert abs(deviation.mean()) < 5 * d.stddev.item() / math.sqrt(n)
    square = deviation**2
    assert abs(square.mean() - d.variance.item()) < 5 * square.std() / math.sqrt(n)
    if kind is D.Gamma:  # all of its law: the chances of its samples are uniform
        chances = np.sort(d.cdf(double(x)).numpy())
        assert abs(chances - np.arange(n) / n).max() < 1.95 / math.sqrt(n)  # Kolmogorov's bound of 1 in 1000


def test_samples_of_vectors_have_the_moments():
    minidl.manual_seed(2)
    n = 20_000
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    for options in ({"covariance_matrix": covariance}, {"precision_matrix": np.linalg.inv(covariance)}):
        d = D.MultivariateNormal(double(1.0, -2.0), **{k: double(v) for k, v in options.items()})
        x = d.sample((n,)).numpy()
        assert abs(x.mean(0) - [1, -2]).max() < 5 / math.sqrt(n)
        assert abs(np.cov(x.T) - covariance).max() < 10 / math.sqrt(n)
        close(d.variance, np.diag(covariance))
    d = D.Dirichlet(double(0.3, 1.0, 2.0))
    x = d.sample((n,)).numpy()
    close(x.sum(-1), np.ones(n))
    assert abs(x.mean(0) - d.mean.numpy()).max() < 5 / math.sqrt(n)
    assert abs(x.var(0) - d.variance.numpy()).max() < 5 / math.sqrt(n)


def test_samples_of_tiny_concentrations_are_no_nan():
    minidl.manual_seed(0)
    for d in (D.Beta(1e-4, 1e-4), D.Dirichlet(minidl.full((3,), 1e-4)), D.Gamma(1e-4, 1.0)):
        x = d.sample((1000,))
        assert x.isfinite().all() and d.support.check(x).all()


def test_promise_25_same_seed_same_samples():
    for kind, parameters, _ in SCALAR:
        draws = []
        for _ in range(2):
            minidl.manual_seed(5)
            draws.append(kind(*parameters).sample((7,)).tolist())
        assert draws[0] == draws[1]


# --- gradients


@pytest.mark.parametrize(("kind", "parameters", "bounds"), SCALAR, ids=IDS)
def test_gradients_of_log_prob_entropy_and_moments(kind, parameters, bounds):
    leaves = [double([p, p * 1.1]).requires_grad_() for p in parameters]
    inside = double(np.linspace(bounds[0] * 0.93 + bounds[1] * 0.07, bounds[0] * 0.8 + bounds[1] * 0.2, 2)).requires_grad_()
    if kind is D.Uniform:
        assert gradcheck(lambda *p: kind(*p).log_prob(inside.detach()), leaves)
    else:
        assert gradcheck(lambda x, *p: kind(*p).log_prob(x) * kind(*p).entropy(), (inside, *leaves))
    assert gradcheck(lambda *p: kind(*p).mean + kind(*p).variance, leaves)
    if kind not in (D.Beta, D.Uniform):
        assert gradcheck(lambda x, *p: kind(*p).cdf(x), (inside, *leaves))


SLOPES = [
    (D.Normal, (0.7, 1.3)),
    (D.Laplace, (-0.4, 0.8)),
    (D.Uniform, (-1.5, 2.0)),
    (D.Exponential, (1.7,)),
    (D.LogNormal, (0.2, 0.4)),
]


@pytest.mark.parametrize(("kind", "parameters"), SLOPES, ids=[kind.__name__ for kind, _ in SLOPES])
def test_gradients_of_samples(kind, parameters):
    def draw(*p):
        minidl.manual_seed(4)
        return kind(*p).rsample((3,))

    leaves = [double([p, p * 1.1]).requires_grad_() for p in parameters]
    assert kind(*leaves).has_rsample and gradcheck(draw, leaves)
    x = kind(*leaves).sample((3,))
    minidl.manual_seed(4)
    assert not x.requires_grad
    assert kind(*leaves).sample((3,)).equal(draw(*leaves))


@pytest.mark.parametrize("a", [0.02, 0.4, 1.0, 1.2, 3.7, 40.0, 900.0])
def test_slope_of_gamma_samples_keeps_their_chance(a):
    """P(a, x(a)) stays: the slope of the sample in a makes the total derivative of the chance zero."""
    minidl.manual_seed(6)
    concentration = double(np.full(200, a)).requires_grad_()
    x = D.Gamma(concentration, double(1.0)).rsample()
    (slope,) = grad(x.sum(), concentration)
    h = 1e-4 * a
    moved = [double(np.full(200, a + s * h)).igamma(x.detach() + s * h * slope.detach()) for s in (1, -1)]
    chance = concentration.detach().igamma(x.detach())
    density = chance * (1 - chance) + 1e-3
    assert ((moved[0] - moved[1]).abs() / density).max().item() < 1e-5
    assert (slope >= 0).all()


def test_gradients_of_gamma_beta_and_dirichlet_samples_are_right_on_average():
    """E f(x) for f = x and x²: the gradients of samples agree with those of the moments."""
    minidl.manual_seed(7)
    n = 20_000
    cases = [
        (D.Gamma, (0.7, 1.4), lambda d: (d.mean, d.variance + d.mean**2)),
        (D.Gamma, (6.0, 0.5), lambda d: (d.mean, d.variance + d.mean**2)),
        (D.Beta, (0.6, 2.5), lambda d: (d.mean, d.variance + d.mean**2)),
        (D.Beta, (5.0, 3.0), lambda d: (d.mean, d.variance + d.mean**2)),
    ]
    for kind, parameters, moments in cases:
        leaves = [double(p).requires_grad_() for p in parameters]
        many = [minidl.full((n,), p, dtype=minidl.float64).requires_grad_() for p in parameters]
        for power, exact in zip((1, 2), moments(kind(*leaves)), strict=True):
            x = kind(*many).rsample()
            for each, leaf in zip(grad((x**power).sum(), many), grad(exact, leaves, retain_graph=True), strict=True):
                assert abs(each.mean().item() - leaf.item()) < 5 * each.std().item() / math.sqrt(n)
    concentration = minidl.tensor(np.tile([0.5, 1.0, 2.0], (n, 1))).requires_grad_()
    (slope,) = grad(D.Dirichlet(concentration).rsample()[:, 0].sum(), concentration)
    expected = np.array([3.0, -0.5, -0.5]) / 3.5**2
    assert (abs(slope.numpy().mean(0) - expected) < 5 * slope.numpy().std(0) / math.sqrt(n)).all()


def test_gradients_of_vectors():
    tril = double(np.array([[1.2, 0.0], [0.4, 0.7]]))
    loc, x = double(0.3, -0.5).requires_grad_(), double(np.array([[0.1, 0.9], [1.0, 0.2], [0.0, 0.0]])).requires_grad_()
    covariance = (tril @ tril.mT).requires_grad_()
    tril.requires_grad_()
    for name, matrix in (("covariance_matrix", covariance), ("precision_matrix", covariance)):
        assert gradcheck(lambda m, x, v, n=name: _normal(m, n, v).log_prob(x), (loc, x, matrix))
        assert gradcheck(lambda m, v, n=name: _kl_to_standard(m, n, v), (loc, matrix))
    assert gradcheck(lambda m, x, v: D.MultivariateNormal(m, scale_tril=v.tril()).log_prob(x), (loc, x, tril))
    a = double(np.array([[0.5, 1.0, 2.5], [2.0, 0.3, 1.1]])).requires_grad_()
    p = double(np.array([0.2, 0.3, 0.5]))
    assert gradcheck(lambda a: D.Dirichlet(a).log_prob(p) * D.Dirichlet(a).entropy(), (a,))
    assert gradcheck(lambda a: D.kl_divergence(D.Dirichlet(a), D.Dirichlet(p)), (a,))
    assert gradcheck(lambda a: D.kl_divergence(D.Dirichlet(p), D.Dirichlet(a)), (a,))


def _normal(loc, name, matrix):
    return D.MultivariateNormal(loc, **{name: (matrix + matrix.mT) / 2})


def _kl_to_standard(loc, name, matrix):
    standard = D.MultivariateNormal(minidl.zeros(2, dtype=minidl.float64), scale_tril=minidl.eye(2, dtype=minidl.float64))
    return D.kl_divergence(_normal(loc, name, matrix), standard) + D.kl_divergence(standard, _normal(loc, name, matrix))


@pytest.mark.parametrize(("p", "q"), PAIRS[::3], ids=[f"{p[0].__name__}-{q[0].__name__}" for p, q in PAIRS[::3]])
def test_gradients_of_divergences(p, q):
    leaves = [double(v).requires_grad_() for v in (*p[1], *q[1])]
    n = len(p[1])

    def divergence(*values):
        return D.kl_divergence(p[0](*values[:n]), q[0](*values[n:]))

    try:
        value = divergence(*leaves)
    except NotImplementedError:
        return
    if value.isfinite():
        assert gradcheck(divergence, leaves)


# --- quantiles and transforms


@pytest.mark.parametrize(("kind", "parameters"), SLOPES, ids=[kind.__name__ for kind, _ in SLOPES])
def test_icdf_is_the_inverse_of_cdf(kind, parameters):
    d = made(kind, parameters)
    chance = double(np.linspace(0.01, 0.99, 20)).requires_grad_()
    close(d.cdf(d.icdf(chance.detach())), chance)
    assert gradcheck(d.icdf, (chance,))
    assert d.icdf(1.0).item() == (2.0 if kind is D.Uniform else math.inf)


@pytest.mark.parametrize("dtype", [minidl.float32, minidl.float64])
def test_small_chances_keep_their_digits(dtype):
    """Values from mpmath. 1 + erf(−8/√2) has two digits in float64 and none in float32."""
    rtol = 200 * np.finfo(dtype).eps  # far left, half an ulp of x or of x/√2 changes a chance by x² ulp
    x = minidl.tensor([-5.5, -8.0, -12.0], dtype=dtype, requires_grad=True)
    chance = D.Normal(minidl.zeros(3, dtype=dtype), 1.0).cdf(x)
    np.testing.assert_allclose(
        chance.detach().numpy(), [1.8989562465887718e-08, 6.220960574271784e-16, 1.7764821120776756e-33], rtol
    )
    chance.sum().backward()
    density = [1.0769760042543277e-07, 5.052271083536893e-15, 2.1463837356630608e-32]
    np.testing.assert_allclose(x.grad.numpy(), density, rtol)
    x = minidl.tensor([-40.0, -5.0, 0.0, 5.0], dtype=dtype, requires_grad=True)
    chance = D.Laplace(minidl.zeros(4, dtype=dtype), 1.0).cdf(x)
    np.testing.assert_allclose(
        chance.detach().numpy(), [2.1241771276457944e-18, 0.0033689734995427335, 0.5, 0.9966310265004573], rtol
    )


CHAINS = [
    [D.AffineTransform(1.0, -2.0)],
    [D.AffineTransform(double(0.5), double(2.0)), D.ExpTransform()],
    [D.SigmoidTransform()],
    [D.ExpTransform(), D.AffineTransform(-1.0, 0.3)],
    [D.ComposeTransform([D.AffineTransform(0.0, -0.5), D.SigmoidTransform()]), D.AffineTransform(0.1, 2.0)],
]


@pytest.mark.parametrize("chain", CHAINS)
def test_transforms(chain):
    x = double(np.linspace(-1.5, 1.5, 7)).requires_grad_()
    whole = D.ComposeTransform(chain)
    y = whole(x)
    (slope,) = grad(y.sum(), x, retain_graph=True)
    close(whole.log_abs_det_jacobian(x, y), np.log(abs(slope.numpy())))
    close(whole.inv.log_abs_det_jacobian(y, x), -np.log(abs(slope.numpy())))
    close(whole.inv(y), x)
    close(whole.inv.inv(x), y)
    assert np.sign(slope.numpy()).tolist() == [float(whole.sign)] * 7
    d = D.TransformedDistribution(D.Normal(double(0.2), double(0.8)), chain)
    minidl.manual_seed(8)
    samples = d.sample((20_000,))
    chances = np.sort(d.cdf(samples).numpy())
    assert abs(chances - np.arange(20_000) / 20_000).max() < 1.95 / math.sqrt(20_000)
    close(d.cdf(d.icdf(double(0.1, 0.7))), [0.1, 0.7])
    low, high = sorted(d.icdf(double(1e-9, 1 - 1e-9)).tolist())
    nodes, weights = grid(low, high, 20_000)
    close(np.exp(d.log_prob(double(nodes)).numpy()) @ weights, 1, 1e-5)
    other = D.TransformedDistribution(D.Normal(double(0.0), double(1.0)), chain)
    close(D.kl_divergence(d, other), D.kl_divergence(d.base_dist, other.base_dist))
    with pytest.raises(NotImplementedError, match="must be the same"):
        D.kl_divergence(d, D.TransformedDistribution(D.Normal(0.0, 1.0), [*chain, D.ExpTransform()]))


# --- shapes, words


def test_shapes():
    batch = D.Normal(minidl.zeros(3, 1), minidl.ones(4))
    assert (batch.batch_shape, batch.event_shape) == ((3, 4), ())
    assert batch.sample((2, 5)).shape == (2, 5, 3, 4) and batch.sample_n(2).shape == (2, 3, 4)
    assert batch.log_prob(minidl.zeros(7, 1, 4)).shape == (7, 3, 4)
    assert batch.entropy().shape == batch.mean.shape == batch.variance.shape == (3, 4)
    assert D.kl_divergence(batch, D.Normal(0.0, 1.0)).shape == (3, 4)
    assert D.Normal(0, 1).sample().shape == () and D.Normal(0, 1).sample((0,)).shape == (0,)
    assert D.Normal(minidl.zeros(0), 1.0).rsample((2,)).shape == (2, 0)
    rows = D.Dirichlet(minidl.ones(5, 3))
    assert (rows.batch_shape, rows.event_shape) == ((5,), (3,))
    assert rows.sample((2,)).shape == (2, 5, 3) and rows.log_prob(rows.sample((2,))).shape == (2, 5)
    vectors = D.MultivariateNormal(minidl.zeros(5, 1, 2), minidl.eye(2).expand(4, 2, 2))
    assert (vectors.batch_shape, vectors.event_shape) == ((5, 4), (2,))
    assert vectors.sample((3,)).shape == (3, 5, 4, 2) and vectors.log_prob(minidl.zeros(2)).shape == (5, 4)
    assert vectors.covariance_matrix.shape == vectors.precision_matrix.shape == vectors.scale_tril.shape == (5, 4, 2, 2)
    both = D.Independent(batch, 2)
    assert (both.batch_shape, both.event_shape, both.log_prob(minidl.zeros(3, 4)).shape) == ((), (3, 4), ())
    assert D.Independent(rows, 1).log_prob(rows.sample()).shape == ()


def test_expand():
    for d in (
        D.Normal(0.0, minidl.ones(3)),
        D.Gamma(minidl.ones(3), 1.0),
        D.LogNormal(0.0, minidl.ones(3)),
        D.Dirichlet(minidl.ones(3, 2)),
        D.MultivariateNormal(minidl.zeros(3, 2), minidl.eye(2)),
        D.Independent(D.Laplace(minidl.zeros(3, 2), 1.0), 1),
        D.TransformedDistribution(D.Normal(minidl.zeros(3), 1.0), D.ExpTransform()),
    ):
        larger = d.expand((4, 3))
        assert type(larger) is type(d)
        assert (larger.batch_shape, larger.event_shape) == ((4, 3), d.event_shape)
        x = larger.sample()
        assert larger.log_prob(x).equal(d.log_prob(x))


def test_repr():
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    assert repr(D.Gamma(minidl.ones(2), 1.0)) == "Gamma(concentration: (2,), rate: (2,))"
    assert repr(D.Independent(D.Normal(minidl.zeros(2), 1.0), 1)) == "Independent(Normal(loc: (2,), scale: (2,)), 1)"
    assert repr(D.ComposeTransform([D.ExpTransform().inv])) == "ComposeTransform([ExpTransform().inv])"


def test_promise_12_numbers_do_not_widen_float32():
    for kind, parameters, _ in SCALAR:
        leaf = minidl.tensor(parameters[0], requires_grad=True)
        d = kind(leaf, *parameters[1:])
        x = d.rsample((3,))
        d.log_prob(x.detach()).sum().backward()
        assert {t.dtype for t in (x, d.log_prob(x.detach()), d.mean, d.variance, d.entropy(), leaf.grad)} == {
            np.dtype(np.float32)
        }
        assert made(kind, parameters).sample().dtype == np.float64


REFUSED = [
    (lambda: D.Normal(0.0, -1.0), ValueError, "Normal: scale must be above 0, got -1.0"),
    (lambda: D.Normal(minidl.tensor([0.0, math.nan]), 1.0), ValueError, r"Normal: loc must be a number \(not NaN\), got nan"),
    (lambda: D.Gamma(minidl.tensor([1.0, 0.0]), 1.0), ValueError, "Gamma: concentration must be above 0, got 0.0"),
    (lambda: D.Uniform(2.0, 1.0), ValueError, "Uniform: low must be below high, got low 2.0 and high 1.0"),
    (lambda: D.Uniform(minidl.zeros(2), 1.0).log_prob(2.0), ValueError, "the value must be in .* got 2.0"),
    (lambda: D.Normal(minidl.zeros(2), minidl.ones(3)), ValueError, r"shapes \(2,\), \(3,\) do not broadcast"),
    (lambda: D.Normal("0", 1.0), TypeError, "tensors or numbers, got str"),
    (lambda: D.Normal(0.0, 1.0).log_prob([1.0]), TypeError, "the value as a tensor, got list"),
    (lambda: D.Normal(0.0, 1.0).sample(3), TypeError, "sample_shape must be a tuple of integers, got 3"),
    (lambda: D.Normal(0.0, 1.0).icdf(1.5), ValueError, r"the chance must be in \[0, 1\], got 1.5"),
    (lambda: D.Exponential(1.0).log_prob(-1.0), ValueError, "Exponential: the value must be at least 0, got -1.0"),
    (lambda: D.Dirichlet(2.0), ValueError, "one axis or more"),
    (lambda: D.Dirichlet(minidl.ones(3)).log_prob(minidl.ones(3)), ValueError, r"sum 1 along the last axis, got \[1. 1. 1.\]"),
    (lambda: D.Dirichlet(minidl.ones(3)).log_prob(minidl.ones(2)), ValueError, r"must end in the event_shape \(3,\)"),
    (lambda: D.Normal(minidl.zeros(3), 1.0).log_prob(minidl.ones(2)), ValueError, "does not broadcast with batch_shape"),
    (lambda: D.MultivariateNormal(minidl.zeros(2)), ValueError, "give one of covariance_matrix, .* got none"),
    (lambda: D.MultivariateNormal(minidl.zeros(2), minidl.eye(3)), ValueError, r"loc \(…, n\) and covariance_matrix"),
    (lambda: D.MultivariateNormal(minidl.zeros(2), -minidl.eye(2)), ValueError, "symmetric matrix with eigenvalues above 0"),
    (lambda: D.MultivariateNormal(minidl.zeros(2), scale_tril=minidl.ones(2, 2)), ValueError, "lower triangular"),
    (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ValueError, "from 0 to the 0"),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), [1]), TypeError, "expected transforms, got int"),
    (lambda: D.AffineTransform(0.0, 1.0, event_dim=1), NotImplementedError, "only event_dim=0"),
    (lambda: D.Beta(1.0, 1.0).cdf(0.5), NotImplementedError, "Beta has no cdf"),
    (lambda: D.Distribution().mean, NotImplementedError, "Distribution has no mean"),
    (
        lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Dirichlet(minidl.ones(2))),
        NotImplementedError,
        "Normal and q of type Dirichlet",
    ),
    (lambda: D.register_kl(1, D.Normal), TypeError, "expected two types"),
    (lambda: minidl.polygamma(1, 2.0), TypeError, "polygamma: expected a Tensor, got float"),
    (lambda: minidl.ones(2).polygamma(-1), ValueError, "n must be an integer from 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[message[:30] for _, _, message in REFUSED])
def test_promise_35_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_checks_can_be_switched_off():
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    assert D.Uniform(0.0, 1.0, validate_args=False).log_prob(2.0).item() == -math.inf
    before = D.Distribution._validate_args
    try:
        D.Distribution.set_default_validate_args(False)
        assert D.Exponential(-1.0).rate.item() == -1
    finally:
        D.Distribution.set_default_validate_args(before)


# --- Γ and its relatives


def test_gamma_functions_at_poles_and_far_out():
    x = double(0.0, -0.0, -1.0, math.inf, -math.inf, math.nan)
    assert str(x.lgamma().tolist()) == "[inf, inf, inf, inf, inf, nan]"
    assert str(x.digamma().tolist()) == "[-inf, inf, nan, inf, nan, nan]"
    assert str(x.polygamma(1).tolist()) == "[inf, inf, inf, 0.0, nan, nan]"
    close(double(1e-310, 1e300).lgamma(), [math.lgamma(1e-310), math.lgamma(1e300)], 1e-15)
    close(minidl.polygamma(0, double(0.5)), -np.euler_gamma - 2 * math.log(2), 1e-14)
    close(double(1.0).polygamma(3), math.pi**4 / 15, 1e-14)
    a = double(1.0, 1.0, 0.0, 2.0, -1.0)
    assert str(minidl.igamma(a, double(0.0, math.inf, 1.0, -1.0, 1.0)).tolist()) == "[0.0, 1.0, nan, nan, nan]"
    assert minidl.arange(1, 5).lgamma().dtype == np.float32


def test_lgamma_of_integers_is_the_logarithm_of_a_factorial():
    n = np.arange(3, 170)
    close(double(n.astype(np.float64)).lgamma(), [math.log(math.factorial(k - 1)) for k in n.tolist()], 2e-15)
    close(minidl.tensor(n.astype(np.float32)).lgamma(), [math.log(math.factorial(k - 1)) for k in n.tolist()], 1.2e-7)


# --- against SciPy and PyTorch

NUMBERS = st.floats(0.05, 20)


def test_gamma_functions_against_scipy():
    special = pytest.importorskip("scipy.special")
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0.05, 30, 2000), 10 ** rng.uniform(2, 100, 500), -rng.uniform(0.1, 20, 300)])
    close(double(x).digamma(), special.digamma(x), 1e-11)
    positive = x[x > 0]
    close(double(positive).lgamma(), special.gammaln(positive), 1e-13, 1e-14)
    for n in (1, 2, 7):
        close(double(positive).polygamma(n), special.polygamma(n, positive), 1e-13, 0)
    a = 10 ** rng.uniform(-2, 4, 2000)
    v = abs(a + 2 * np.sqrt(a) * rng.normal(size=2000))
    close(double(a).igamma(double(v)), special.gammainc(a, v), 1e-10, 1e-11)


SCIPY = {
    "norm": lambda a, b: (D.Normal(a, b), {"loc": a, "scale": b}),
    "laplace": lambda a, b: (D.Laplace(a, b), {"loc": a, "scale": b}),
    "uniform": lambda a, b: (D.Uniform(a, a + b), {"loc": a, "scale": b}),
    "expon": lambda a, b: (D.Exponential(a), {"scale": 1 / a}),
    "gamma": lambda a, b: (D.Gamma(a, b), {"a": a, "scale": 1 / b}),
    "beta": lambda a, b: (D.Beta(a, b), {"a": a, "b": b}),
    "lognorm": lambda a, b: (D.LogNormal(a / 10, b / 10), {"s": b / 10, "scale": math.exp(a / 10)}),
}


@pytest.mark.parametrize("name", SCIPY)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(a=NUMBERS, b=NUMBERS, chance=st.floats(0.01, 0.99))
def test_against_scipy(name, a, b, chance):
    stats = pytest.importorskip("scipy.stats")
    d, options = SCIPY[name](double(a), double(b))
    theirs = getattr(stats, name)(**{key: float(value) for key, value in options.items()})
    x = theirs.ppf(chance)
    close(d.log_prob(double(x)), theirs.logpdf(x))
    close(d.entropy(), theirs.entropy(), 1e-6, 1e-6)
    close(d.mean, theirs.mean())
    close(d.variance, theirs.var())
    if name != "beta":
        close(d.cdf(double(x)), chance)


def test_promise_25_streams_of_pytorch():
    torch = pytest.importorskip("torch")
    distributions = torch.distributions
    for kind, parameters in SLOPES:
        for shape in ((), (5,), (40,)):
            for mine, theirs in ((minidl.float32, torch.float32), (minidl.float64, torch.float64)):
                minidl.manual_seed(11)
                torch.manual_seed(11)
                x = kind(*(minidl.tensor(p, dtype=mine) for p in parameters)).sample(shape)
                y = getattr(distributions, kind.__name__)(*(torch.tensor(p, dtype=theirs) for p in parameters)).sample(shape)
                close(x, y.numpy(), 2e-6 if mine == minidl.float32 else 1e-12)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(values=st.lists(NUMBERS, min_size=4, max_size=4))
def test_divergences_against_pytorch(values):
    torch = pytest.importorskip("torch")
    a, b, c, d = values
    parameters = {
        "Normal": (a, b),
        "Laplace": (b, c),
        "Gamma": (c, d),
        "Beta": (d, a),
        "Exponential": (a,),
        "Uniform": (0.01, a),
    }
    for p, q in itertools.product(parameters, parameters):
        first, second = parameters[p], [x * 1.3 for x in parameters[q]]
        mine = getattr(D, p)(*map(double, first)), getattr(D, q)(*map(double, second))
        kinds = getattr(torch.distributions, p), getattr(torch.distributions, q)
        theirs = [kind(*torch.tensor(v, dtype=torch.float64)) for kind, v in zip(kinds, (first, second), strict=True)]
        try:
            found, expected = D.kl_divergence(*mine), torch.distributions.kl_divergence(*theirs)
        except NotImplementedError:
            continue
        close(found, expected.numpy(), 1e-6, 1e-6)


def test_vectors_against_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 3, 3))
    covariance, loc, x = root @ np.swapaxes(root, -1, -2) + np.eye(3), rng.normal(size=3), rng.normal(size=(2, 4, 3))
    for name in ("covariance_matrix", "precision_matrix"):
        mine = D.MultivariateNormal(double(loc), **{name: double(covariance)})
        theirs = torch.distributions.MultivariateNormal(torch.tensor(loc), **{name: torch.tensor(covariance)})
        close(mine.log_prob(double(x)), theirs.log_prob(torch.tensor(x)).numpy())
        close(mine.entropy(), theirs.entropy().numpy())
        for what in ("scale_tril", "covariance_matrix", "precision_matrix", "variance", "mean"):
            close(getattr(mine, what), getattr(theirs, what).numpy())
        minidl.manual_seed(3)
        torch.manual_seed(3)
        close(mine.sample((5,)), theirs.sample((5,)).numpy())
        standard = torch.distributions.MultivariateNormal(
            torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
        )
        ours = D.MultivariateNormal(double(np.zeros(3)), double(np.eye(3)))
        close(D.kl_divergence(mine, ours), torch.distributions.kl_divergence(theirs, standard).numpy())
    a, b = rng.uniform(0.2, 4, (2, 4, 3))
    mine, theirs = D.Dirichlet(double(a)), torch.distributions.Dirichlet(torch.tensor(a))
    p = rng.dirichlet(np.ones(3), 4)
    close(mine.log_prob(double(p)), theirs.log_prob(torch.tensor(p)).numpy())
    for what in ("mean", "variance", "mode"):
        close(getattr(mine, what), getattr(theirs, what).numpy())
    close(mine.entropy(), theirs.entropy().numpy())
    close(
        D.kl_divergence(mine, D.Dirichlet(double(b))),
        torch.distributions.kl_divergence(theirs, torch.distributions.Dirichlet(torch.tensor(b))).numpy(),
    )


def test_slope_of_gamma_samples_against_pytorch():
    torch = pytest.importorskip("torch")
    a = np.repeat([0.1, 0.9, 3.0, 25.0], 50)
    minidl.manual_seed(0)
    concentration = double(a).requires_grad_()
    x = D.Gamma(concentration, double(1.0)).rsample()
    (slope,) = grad(x.sum(), concentration)
    close(slope, torch._standard_gamma_grad(torch.tensor(a), torch.tensor(x.detach().numpy())).numpy(), 2e-3)
