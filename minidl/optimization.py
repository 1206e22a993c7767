"""The mathematics of optimisation, by numbers: convexity and its consequences, descent, Newton's method, Taylor, noise.

Functions are given as f(x): a tensor to a tensor of shape (). `points` is one tensor
with several such x in its first axis.
What is convex is found by trying: a check that fails has found a counterexample, one that succeeds has found none.

Convexity       convexity_gap, is_convex, jensen_gap, is_convex_set, is_below_set_convex, smallest_curvature, critical_point
Descent         gradient_descent, newton
Approximation   taylor_error, gradient_variance
"""

import math
from itertools import combinations

import numpy as np

from .func import grad, hessian
from .graph.modes import no_grad
from .linalg import LinAlgError, eigvalsh, solve
from .tensors.arguments import expect_memory, expect_tensors, integer, number
from .tensors.creation import tensor
from .tensors.joining import stack
from .tensors.record import wrap
from .tensors.tensor import Tensor

__all__ = [
    "convexity_gap",
    "critical_point",
    "gradient_descent",
    "gradient_variance",
    "is_below_set_convex",
    "is_convex",
    "is_convex_set",
    "jensen_gap",
    "newton",
    "smallest_curvature",
    "taylor_error",
]


# --- convexity


def convexity_gap(f, points, lambdas=9) -> float:
    """The smallest λ f(a) + (1 − λ) f(b) − f(λ a + (1 − λ) b) over all pairs of points and as many λ between 0 and 1.

    f is convex if it is at least 0 (≥, not >: straight lines are convex). Below 0 it proves that f is not.

    >>> import minidl
    >>> x = minidl.linspace(-2, 2, 5, dtype=minidl.float64)
    >>> convexity_gap(lambda x: -x**2, x, lambdas=1)
    -4.0
    """
    values = _values("convexity_gap", f, points)
    pairs = _mixtures("convexity_gap", list(zip(points, values, strict=True)), lambdas)
    with no_grad():
        gaps = [part * u.item() + (1 - part) * v.item() - f(part * a + (1 - part) * b).item() for (a, u), (b, v), part in pairs]
    return float(np.min(gaps))  # NaN if one is


def is_convex(f, points, lambdas=9, tol=None) -> bool:
    """Whether λ f(a) + (1 − λ) f(b) ≥ f(λ a + (1 − λ) b) for all pairs of points and as many λ; tol allows for rounding.

    The notes print ">", by which no straight line, and for a = b no function at all, would be convex.

    >>> import minidl
    >>> x = minidl.linspace(-2, 2, 9)
    >>> is_convex(lambda x: 0.5 * x**2, x), is_convex(lambda x: minidl.cos(3.1416 * x), x), is_convex(lambda x: 3 * x, x)
    (True, False, True)
    """
    values = _values("is_convex", f, points)
    return convexity_gap(f, points, lambdas) >= -_tolerance("is_convex", tol, values)


def jensen_gap(f, x, weights=None) -> Tensor:
    """Σ αᵢ f(xᵢ) − f(Σ αᵢ xᵢ), which is at least 0 for convex f (Jensen). x: (n, …), the weights (n) at least 0 with sum 1.

    Without weights they are 1/n: the mean of f(x) and f of the mean. With f = −ln, xᵢ = P(x | yᵢ) and αᵢ = P(yᵢ) it is what
    the variational bound of −ln P(x) gives away. It has gradients.

    >>> import minidl
    >>> jensen_gap(lambda x: x**2, minidl.tensor([1.0, 3.0]))  # the variance
    tensor(1.)
    """
    expect_tensors("jensen_gap", x=x)
    if not x.ndim or not len(x):
        raise ValueError(f"jensen_gap: expected one or more points in the first axis, got shape {x.shape}")
    if weights is None:
        weights = wrap(np.full(len(x), 1 / len(x), x.dtype))
    expect_tensors("jensen_gap", weights=weights)
    if weights.shape != (len(x),) or not (weights.array >= 0).all() or abs(weights.array.sum() - 1) > 1e-4:
        raise ValueError(f"jensen_gap: expected {len(x)} weights of at least 0 with sum 1, got {weights}")
    mixed = (weights.reshape(-1, *(1,) * (x.ndim - 1)) * x).sum(0)
    return (weights * stack([f(one) for one in x])).sum() - f(mixed)


def is_convex_set(contains, points, lambdas=9) -> bool:
    """Whether λ a + (1 − λ) b is in the set for all pairs of the points that are in it. contains(x) says whether x is.

    >>> import minidl
    >>> x = minidl.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    >>> is_convex_set(lambda x: x.norm() < 1.01, x), is_convex_set(lambda x: x.norm() > 0.99, x)
    (True, False)
    """
    _points("is_convex_set", points)
    inside = [x for x in points if bool(contains(x))]
    return all(bool(contains(part * a + (1 - part) * b)) for a, b, part in _mixtures("is_convex_set", inside, lambdas))


def is_below_set_convex(f, level, points, lambdas=9, tol=None) -> bool:
    """Whether {x: f(x) ≤ level}, as far as the points show it, is convex. It is for each level if f is convex.

    The converse does not hold: −exp(−x²) is not convex, and all its below-sets are intervals.

    >>> import minidl
    >>> x = minidl.linspace(-2, 2, 21)
    >>> is_below_set_convex(lambda x: x**2, 1.0, x), is_below_set_convex(lambda x: -(x**2), -1.0, x)
    (True, False)
    """
    level = number("is_below_set_convex", "level", level)
    level += _tolerance("is_below_set_convex", tol, _values("is_below_set_convex", f, points))
    with no_grad():
        return is_convex_set(lambda x: f(x).item() <= level, points, lambdas)


def smallest_curvature(f, points) -> Tensor:
    """The smallest eigenvalue of f's Hessian at each of the points: (n).

    A function with second derivatives is convex if and only if this is at least 0 everywhere: its Hessian is positive
    semidefinite. (What the notes print under this heading is the theorem of the below-sets once more.)

    >>> import minidl
    >>> smallest_curvature(lambda x: x[0]**2 - 3 * x[1]**2, minidl.tensor([[0.0, 0.0], [1.0, 2.0]]))
    tensor([-6., -6.])
    """
    _points("smallest_curvature", points)
    return stack([_curvatures(f, x)[0] for x in points])


def critical_point(f, x, tol=1e-4) -> str:
    """What x is by f's gradient and the eigenvalues of its Hessian: 'minimum', 'maximum', 'saddle point', 'flat' or 'slope'.

    'flat': the gradient is 0, and so is an eigenvalue; the others have one sign: the Hessian does not decide.
    tol: what counts as 0.

    >>> import minidl
    >>> critical_point(lambda x: x[0]**2 - x[1]**2, minidl.zeros(2)), critical_point(lambda x: x**3, minidl.tensor(0.0))
    ('saddle point', 'flat')
    """
    expect_tensors("critical_point", x=x)
    if not grad(f)(x).abs().max().item() <= tol:
        return "slope"
    curvatures = _curvatures(f, x).numpy()
    if (curvatures < -tol).any() and (curvatures > tol).any():
        return "saddle point"
    return "minimum" if (curvatures > tol).all() else "maximum" if (curvatures < -tol).all() else "flat"


def _curvatures(f, x):
    n = x.numel()
    return eigvalsh(hessian(f)(x).reshape(n, n))


# --- descent


def gradient_descent(f, x0, lr, steps, momentum=0.0) -> Tensor:
    """The path x ← x − lr·v with v ← momentum·v + ∇f(x), from x0, a tensor or a number (in float64): (steps + 1, *x0.shape).

    Steps that are too large lead away; the path then holds infinities or NaNs, and no error is raised.

    >>> gradient_descent(lambda x: x**2, 10.0, lr=0.2, steps=10)[-1]
    tensor(0.0605, dtype=minidl.float64)
    """
    x, steps = _start("gradient_descent", x0, steps)
    lr, momentum = number("gradient_descent", "lr", lr), number("gradient_descent", "momentum", momentum)
    slope, path, v = grad(f), [x], 0
    for _ in range(steps):
        v = momentum * v + slope(path[-1])
        path.append(path[-1] - lr * v)
    return stack(path)


def newton(f, x0, steps, lr=1.0) -> Tensor:
    """The path x ← x − lr·H⁻¹∇f(x), H the Hessian of f at x, from x0, a tensor or a number: (steps + 1, *x0.shape).

    Where f is not convex a step may lead uphill: to a maximum, to a saddle point, far away. LinAlgError where H is singular.

    >>> import minidl
    >>> abs(newton(lambda x: minidl.cosh(0.5 * x), 10.0, steps=10)[-1].item()) < 1e-9
    True
    """
    x, steps = _start("newton", x0, steps)
    lr = number("newton", "lr", lr)
    slope, curvature, path = grad(f), hessian(f), [x]
    for step in range(steps):
        x, n = path[-1], path[-1].numel()
        try:
            move = solve(curvature(x).reshape(n, n), slope(x).reshape(n)).reshape(x.shape)
        except LinAlgError:
            raise LinAlgError(f"newton: the Hessian is singular after {step} steps, at {x}") from None
        path.append(x - lr * move)
    return stack(path)


def _start(name, x0, steps):
    x = x0.detach() if isinstance(x0, Tensor) else tensor(number(name, "x0", x0), dtype="float64")
    if not x.is_floating_point():
        raise TypeError(f"{name}: x0 must be of floating-point numbers, got {x.dtype}; use .float()")
    if integer(name, steps, "steps") < 0:
        raise ValueError(f"{name}: steps must be 0 or more, got {steps}")
    steps = integer(name, steps)
    expect_memory(name, (steps + 1, *x.shape), x.dtype)
    return x, steps


# --- approximation


def taylor_error(f, x, step, order=1) -> Tensor:
    """|f(x + step) − Σ f⁽ᵏ⁾(x)[step]/k!|, k from 0 to order: of the size of stepᵒʳᵈᵉʳ⁺¹ for small steps. x and step alike.

    The k-th derivative, along the step, is the gradient of a gradient, k times.

    >>> import minidl
    >>> x = minidl.tensor(0.0, dtype=minidl.float64)
    >>> [round(taylor_error(minidl.exp, x, x + e).item(), 7) for e in (0.1, 0.01)]  # a tenth: a hundredth of the error
    [0.0051709, 5.02e-05]
    """
    expect_tensors("taylor_error", x=x, step=step)
    if x.shape != step.shape or x.dtype != step.dtype:
        raise ValueError(f"taylor_error: x and step must be alike, got {x.shape} of {x.dtype}, {step.shape} of {step.dtype}")
    order = integer("taylor_error", order, "order")
    if not 0 <= order <= 16:  # each derivative takes twice the work of the one before
        raise ValueError(f"taylor_error: order must lie between 0 and 16, got {order}")

    def derivative(t):
        return f(x + t * step)

    t, polynomial = tensor(0.0, dtype=x.dtype), 0
    for k in range(order + 1):
        polynomial = polynomial + derivative(t) / math.factorial(k)
        derivative = grad(derivative)
    return (f(x + step) - polynomial).abs()


def gradient_variance(f, x, data, batch_size, draws=1000, generator=None) -> float:
    """The mean of ‖g − ḡ‖² over stochastic gradients g of f(x, batch), for batches drawn with replacement from the data.

    f(x, rows) is a mean over rows, so that ḡ, of all the data, is the expectation of g; the variance is that of single rows
    divided by batch_size. data: samples in the first axis. generator: an np.random.Generator, by default of the seed 0.

    >>> import minidl
    >>> data = minidl.tensor([0.0, 2.0])
    >>> gradient_variance(lambda x, rows: (x * rows).mean(), minidl.tensor(1.0), data, batch_size=1)
    1.0
    """
    expect_tensors("gradient_variance", x=x, data=data)
    size, draws = integer("gradient_variance", batch_size, "batch_size"), integer("gradient_variance", draws, "draws")
    if size < 1 or draws < 1 or not data.ndim or not len(data):
        raise ValueError(
            f"gradient_variance: expected samples, batch_size and draws of 1 or more, got {data.shape}, {size} and {draws}"
        )
    rng = np.random.default_rng(0) if generator is None else generator
    expect_memory("gradient_variance", (draws, size), np.dtype(np.int64), 2 * size * data[0].array.nbytes)
    slope = grad(f)
    mean = slope(x, data).array
    total = 0.0
    for chosen in rng.integers(0, len(data), (draws, size)):
        rows = data[wrap(chosen)]
        total += float(((slope(x, rows).array - mean) ** 2).sum())
    return total / draws


# --- helpers


def _points(name, points):
    expect_tensors(name, points=points)
    if not points.ndim or not len(points) or not points.is_floating_point():
        raise ValueError(
            f"{name}: expected floating-point points, in the first axis, got {points.dtype} of shape {points.shape}"
        )


def _values(name, f, points):
    _points(name, points)
    with no_grad():
        values = [f(x) for x in points]
    if not all(isinstance(y, Tensor) and y.shape == () for y in values):
        got = getattr(values[0], "shape", type(values[0]).__name__)
        raise ValueError(f"{name}: f(x) must be a tensor of shape (), got {got} for a point of shape {points.shape[1:]}")
    if not all(math.isfinite(y.item()) for y in values):
        raise ValueError(f"{name}: f must be finite at the points; leave out those where it is not")
    return values


def _mixtures(name, points, lambdas):
    """All pairs of different points, with each λ = 1/(k + 1) … k/(k + 1)."""
    k = integer(name, lambdas, "lambdas")
    if k < 1 or (name != "is_convex_set" and len(points) < 2):
        raise ValueError(f"{name}: expected two points and one λ or more, got {len(points)} and {k}")
    expect_memory(name, (len(points) * (len(points) - 1) // 2, k), np.dtype(np.float64))
    return ((a, b, i / (k + 1)) for a, b in combinations(points, 2) for i in range(1, k + 1))


def _tolerance(name, tol, values):
    """tol, or what rounding may do: some units in the last place of the largest value."""
    if tol is not None:
        return number(name, "tol", tol)
    return 16 * float(np.finfo(values[0].dtype).eps) * max(abs(y.item()) for y in values)
