"""minidl.optimization: section 12 of the notes (rows O1 to O9 of the requirements, trap T9), and the book's traces."""

import math

import numpy as np
import pytest

import minidl
from minidl import optimization as opt
from minidl.linalg import LinAlgError

LINE = minidl.linspace(-2, 2, 17, dtype=minidl.float64)
PLANE = minidl.tensor(np.random.default_rng(0).normal(size=(12, 2)) * 2)
C = 0.15 * math.pi


def wave(x):
    return x * minidl.cos(C * x)


def bowl(x):
    return x[0] ** 2 + 2 * x[1] ** 2


def valley(x):  # ill-conditioned
    return 0.1 * x[0] ** 2 + 2 * x[1] ** 2


def float64(*numbers):
    return minidl.tensor(numbers, dtype=minidl.float64)


# --- O2, O3, O7, T9: convex functions and sets


CONVEX = {
    "half a square": lambda x: 0.5 * x**2,
    "exponential": lambda x: minidl.exp(x / 2),
    "size": minidl.abs,
    "line": lambda x: 3 * x - 1,  # T9: with > for >= a straight line would not be convex
    "constant": lambda x: 0 * x + 2,
}
NOT_CONVEX = {"cosine": lambda x: minidl.cos(math.pi * x), "cube": lambda x: x**3, "root": lambda x: (x.abs() + 0.1).sqrt()}


@pytest.mark.parametrize("dtype", [minidl.float32, minidl.float64])
@pytest.mark.parametrize("name", CONVEX)
def test_convex_functions(name, dtype):
    f, x = CONVEX[name], LINE.to(dtype)
    assert opt.is_convex(f, x)
    assert opt.is_convex(lambda x: 1e6 * f(x), x)
    assert all(opt.is_below_set_convex(f, level, x) for level in (-1.0, 0.5, 1.0, 3.0))


@pytest.mark.parametrize("name", NOT_CONVEX)
def test_functions_that_are_not_convex(name):
    assert not opt.is_convex(NOT_CONVEX[name], LINE)
    assert not opt.is_convex(lambda x: 1e-6 * NOT_CONVEX[name](x), LINE)


def test_the_gap_is_the_definition():
    x = float64(-1.0, 3.0, 4.0)
    rows = [(p * b**3 + (1 - p) * a**3) - (p * b + (1 - p) * a) ** 3
            for b, a in [(-1, 3), (-1, 4), (3, 4)] for p in (0.25, 0.5, 0.75)]  # fmt: skip
    assert opt.convexity_gap(lambda x: x**3, x, lambdas=3) == pytest.approx(min(rows))
    assert opt.convexity_gap(lambda x: 5 * x, x) == pytest.approx(0, abs=1e-12)


def test_the_level_itself_is_below():
    wells = float64(-1.4, -1.0, 0.0, 1.0, 1.4)

    def f(x):
        return (x**2 - 1) ** 2  # f(0) is 1, and higher than all between the wells

    assert opt.is_below_set_convex(f, 1.0, wells) and not opt.is_below_set_convex(f, 0.999, wells)


def test_only_rounding_is_forgiven():
    assert not opt.is_convex(lambda x: 1 - 1e-12 * x**2, LINE) and opt.is_convex(lambda x: 1 + 1e-12 * x**2, LINE)


def test_the_tolerance_is_the_callers():
    assert not opt.is_convex(lambda x: -0.01 * x**2, LINE) and opt.is_convex(lambda x: -0.01 * x**2, LINE, tol=0.05)
    assert not opt.is_below_set_convex(lambda x: -(x**2), -1.0, LINE) and opt.is_below_set_convex(
        lambda x: -(x**2), -1.0, LINE, tol=4
    )


def disc(x):
    return x.norm().item() <= 2


def half_plane(x):
    return (x[0] - x[1]).item() <= 0.5


def ring(x):
    return 1 <= x.norm().item() <= 3


def test_convex_sets_and_their_intersections():
    assert opt.is_convex_set(disc, PLANE) and opt.is_convex_set(half_plane, PLANE)
    assert opt.is_convex_set(lambda x: disc(x) and half_plane(x), PLANE)
    assert not opt.is_convex_set(ring, PLANE)
    assert not opt.is_convex_set(lambda x: disc(x) or x[0].item() > 3, minidl.cat([PLANE, float64(5.0, 5.0).unsqueeze(0)]))
    assert opt.is_convex_set(lambda x: False, PLANE)  # the empty one


def test_a_subspace_is_convex():
    direction = float64(2.0, 1.0)
    points = minidl.stack([t * direction for t in (-2.0, -0.5, 1.0, 3.0)])
    assert opt.is_convex_set(lambda x: (x[0] - 2 * x[1]).abs().item() < 1e-9, points)


def test_below_sets_may_be_convex_where_the_function_is_not():
    def hill(x):
        return -minidl.exp(-(x**2))

    assert not opt.is_convex(hill, LINE)
    assert all(opt.is_below_set_convex(hill, level, LINE) for level in (-0.9, -0.5, -0.1))
    assert not opt.is_below_set_convex(lambda x: minidl.cos(math.pi * x), 0.0, LINE)


# --- O4, O5: Jensen


def test_jensen_is_at_least_0_for_convex_functions():
    rng = np.random.default_rng(1)
    for f in CONVEX.values():
        for _ in range(20):
            weights = minidl.tensor(rng.dirichlet(np.ones(6)))
            assert opt.jensen_gap(f, minidl.tensor(rng.normal(size=6)), weights).item() >= -1e-12
    x = float64(1.0, 2.0, 4.0)
    assert opt.jensen_gap(lambda x: x**2, x).item() == pytest.approx(x.var(correction=0).item())
    assert opt.jensen_gap(lambda x: 3 * x, x).item() == pytest.approx(0, abs=1e-12)
    assert opt.jensen_gap(lambda x: x**2, float64(0.0, 1.0), float64(0.25, 0.75)).item() == pytest.approx(0.75 - 0.5625)
    assert opt.jensen_gap(bowl, PLANE[:2]).item() == pytest.approx(bowl(PLANE[0] - PLANE[1]).item() / 4)
    assert minidl.autograd.gradcheck(lambda x: opt.jensen_gap(lambda x: x**3, x), x.requires_grad_())


def test_the_variational_bound_is_jensens():
    """E_y[-ln P(x | y)] >= -ln P(x), with P(x) = E_y[P(x | y)]."""
    p_y, p_x_given_y = float64(0.2, 0.5, 0.3), float64(0.9, 0.1, 0.4)
    bound, exact = -(p_y * p_x_given_y.log()).sum().item(), -math.log((p_y * p_x_given_y).sum().item())
    assert bound > exact
    assert opt.jensen_gap(lambda p: -p.log(), p_x_given_y, p_y).item() == pytest.approx(bound - exact)
    same = float64(0.4, 0.4, 0.4)  # y tells nothing of x
    assert opt.jensen_gap(lambda p: -p.log(), same, p_y).item() == pytest.approx(0, abs=1e-12)


# --- O1, O6, O8: minima, saddles, curvature


@pytest.mark.parametrize("f", [bowl, valley, lambda x: minidl.logsumexp(x, 0), lambda x: x[0] ** 2 - 3 * x[1] ** 2,
                               lambda x: x[0] ** 2 + x[1] ** 2 + 3 * x[0] * x[1], lambda x: (x**4).sum()])  # fmt: skip
def test_convex_if_and_only_if_the_hessian_is_positive_semidefinite(f):
    assert opt.is_convex(f, PLANE) == bool((opt.smallest_curvature(f, PLANE) >= -1e-9).all())


def test_curvatures_are_eigenvalues():
    assert opt.smallest_curvature(bowl, PLANE).tolist() == pytest.approx([2] * 12)
    assert opt.smallest_curvature(lambda x: 3 * x[0] * x[1], PLANE[:1]).tolist() == pytest.approx([-3])
    assert opt.smallest_curvature(lambda x: x**3, float64(2.0, -1.0)).tolist() == [12, -6]


def test_a_local_minimum_of_a_convex_function_is_global():
    ends = [opt.gradient_descent(lambda x: (x - 1) ** 2 + minidl.exp(x), x0, 0.05, 500)[-1].item() for x0 in (-3.0, 0.0, 2.5)]
    assert ends == pytest.approx([ends[0]] * 3)
    # cos(pi x) has several: where descent ends depends on where it began
    ends = {
        round(opt.gradient_descent(lambda x: minidl.cos(math.pi * x), x0, 0.05, 500)[-1].item(), 6) for x0 in (-1.5, 0.5, 2.5)
    }
    assert ends == {-1.0, 1.0, 3.0}


def test_critical_points():
    origin = minidl.zeros(2, dtype=minidl.float64)
    kinds = [bowl, lambda x: -bowl(x), lambda x: x[0] ** 2 - x[1] ** 2, lambda x: x[0] ** 2 + x[1] ** 4, lambda x: x[0]]
    assert [opt.critical_point(f, origin) for f in kinds] == ["minimum", "maximum", "saddle point", "flat", "slope"]
    assert opt.critical_point(lambda x: x**3, minidl.tensor(0.0)) == "flat"
    assert opt.critical_point(lambda x: x[0] * x[1], origin) == "saddle point"


def test_descent_from_a_saddles_ridge_stays_and_beside_it_leaves():
    def saddle(x):
        return x[0] ** 2 - x[1] ** 2

    assert opt.gradient_descent(saddle, float64(1.0, 0.0), 0.1, 100)[-1].abs().max().item() < 1e-9
    assert opt.gradient_descent(saddle, float64(1.0, 1e-6), 0.1, 100)[-1][1].item() > 10


def test_vanishing_gradients():
    assert minidl.func.grad(minidl.tanh)(float64(4.0)[0]).item() == pytest.approx(0.0013, abs=5e-5)  # the book's 12.1


# --- O9: the book's traces


@pytest.mark.parametrize(("f", "lr", "end"), [(lambda x: x**2, 0.2, 0.060466), (lambda x: x**2, 0.05, 3.486784),
                                              (lambda x: x**2, 1.1, 61.917364), (wave, 2.0, -1.528166)])  # fmt: skip
def test_gradient_descent_from_10(f, lr, end):
    path = opt.gradient_descent(f, 10.0, lr, 10)
    assert path.shape == (11,) and path[0].item() == 10 and path[-1].item() == pytest.approx(end, abs=5e-7)


@pytest.mark.parametrize(
    ("f", "lr", "momentum", "end"),
    [(bowl, 0.1, 0.0, (-0.057646, -0.000073)), (valley, 0.4, 0.0, (-0.943467, -0.000073)),
     (valley, 0.6, 0.0, (-0.387814, -1673.365109)), (valley, 0.6, 0.5, (0.007188, 0.002553)),
     (valley, 0.6, 0.25, (-0.126340, -0.186632))],
)  # fmt: skip
def test_gradient_descent_in_the_plane(f, lr, momentum, end):
    path = opt.gradient_descent(f, float64(-5.0, -2.0), lr, 20, momentum)
    assert path.shape == (21, 2) and path[-1].tolist() == pytest.approx(end, abs=1e-6)


@pytest.mark.parametrize(
    ("f", "lr", "end"), [(lambda x: minidl.cosh(0.5 * x), 1.0, 0.0), (wave, 1.0, 26.834133), (wave, 0.5, 7.269860)]
)
def test_newton_from_10(f, lr, end):
    assert opt.newton(f, 10.0, 10, lr)[-1].item() == pytest.approx(end, abs=1e-6)


def test_newton_needs_one_step_for_a_quadratic():
    assert opt.newton(valley, float64(-5.0, -2.0), 1)[-1].abs().max().item() < 1e-12
    assert opt.newton(lambda x: x[0] ** 2 - x[1] ** 2, float64(3.0, 4.0), 1)[-1].abs().max().item() < 1e-12  # also to a saddle
    with pytest.raises(LinAlgError, match="singular after 0 steps"):
        opt.newton(lambda x: (x - 1) ** 3, 1.0, 3)


def test_the_smallest_and_the_empty_path():
    assert opt.gradient_descent(bowl, minidl.ones(2), 0.1, 0).tolist() == [[1, 1]]
    assert opt.gradient_descent(bowl, minidl.ones(2), 0.1, 2).dtype == minidl.float32
    assert opt.gradient_descent(lambda x: x**2, 10.0, 1e9, 60)[-1].isfinite().item() is False


# --- O9: Taylor


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("f", [minidl.exp, minidl.sin, wave])
def test_taylors_error_has_the_size_of_the_next_power(f, order):
    x = float64(0.7)[0]
    errors = [opt.taylor_error(f, x, e * minidl.ones_like(x), order).item() for e in (0.1, 0.01)]
    assert math.log10(errors[0] / errors[1]) == pytest.approx(order + 1, abs=0.15)


def test_taylor_along_a_direction_and_of_polynomials():
    x, step = float64(1.0, -2.0), float64(0.3, 0.1)
    assert opt.taylor_error(bowl, x, step).item() == pytest.approx(bowl(step).item())
    assert opt.taylor_error(bowl, x, step, 2).item() == pytest.approx(0, abs=1e-12)
    assert opt.taylor_error(bowl, x, step, 4).item() == pytest.approx(0, abs=1e-12)  # derivatives that are 0


# --- O1: stochastic gradients


def test_the_variance_of_stochastic_gradients_falls_as_one_over_the_batch():
    rows = minidl.tensor(np.random.default_rng(0).normal(size=(50, 2)) * [1, 3])

    def f(x, batch):
        return ((batch - x) ** 2).mean(0).sum()

    x = float64(0.5, -1.0)
    exact = 4 * rows.var(0, correction=0).sum().item()  # of the slope 2 (x - row)
    for size in (1, 4, 16):
        assert opt.gradient_variance(f, x, rows, size, draws=2000) == pytest.approx(exact / size, rel=0.1)
    a, b = (opt.gradient_variance(f, x, rows, 4, 10, np.random.default_rng(seed)) for seed in (1, 2))
    assert a != b


# --- what is refused

ONES = minidl.ones(2)
REFUSED = [
    (lambda: opt.convexity_gap(lambda x: x, [1.0, 2.0]), TypeError, "convexity_gap: expected a Tensor as points"),
    (lambda: opt.is_convex(lambda x: x, minidl.ones(1)), ValueError, "two points"),
    (lambda: opt.is_convex(lambda x: x, ONES.long()), ValueError, "floating-point"),
    (lambda: opt.is_convex(lambda x: x, minidl.ones(2, 2)), ValueError, r"of shape \(\), got \(2,\)"),
    (lambda: opt.is_convex(minidl.log, minidl.zeros(2)), ValueError, "finite at the points"),
    (lambda: opt.is_convex(lambda x: x, ONES, lambdas=0), ValueError, "one λ"),
    (lambda: opt.is_convex_set(lambda x: True, ONES, lambdas=0.5), TypeError, "lambdas must be an integer|expected an integer"),
    (lambda: opt.jensen_gap(minidl.exp, minidl.tensor(1.0)), ValueError, "first axis"),
    (lambda: opt.jensen_gap(minidl.exp, ONES, ONES), ValueError, "with sum 1"),
    (lambda: opt.jensen_gap(minidl.exp, ONES, minidl.tensor([1.5, -0.5])), ValueError, "at least 0"),
    (lambda: opt.gradient_descent(bowl, ONES.long(), 0.1, 1), TypeError, "floating-point"),
    (lambda: opt.gradient_descent(bowl, ONES, "x", 1), TypeError, "lr must be a number"),
    (lambda: opt.gradient_descent(bowl, ONES, 0.1, -1), ValueError, "steps must be 0 or more"),
    (lambda: opt.newton(bowl, ONES, 1.5), TypeError, "steps must be an integer"),
    (lambda: opt.newton(bowl, [1.0], 1), TypeError, "x0 must be a number"),
    (lambda: opt.taylor_error(minidl.exp, ONES[0], ONES), ValueError, "alike"),
    (lambda: opt.taylor_error(minidl.exp, ONES[0], ONES[1], -1), ValueError, "order must lie between 0 and 16"),
    (lambda: opt.gradient_descent(bowl, ONES, 0.1, 2**50), MemoryError, "gradient_descent: no memory"),
    (lambda: opt.gradient_variance(lambda x, rows: x, ONES[0], ONES, 0), ValueError, "batch_size and draws of 1"),
    (lambda: opt.critical_point(bowl, 1.0), TypeError, "expected a Tensor as x"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()
