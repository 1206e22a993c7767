"""Calculus, seen: slopes from differences, Taylor's polynomials, the linear approximation, the chain rule, integrals as sums.

1. The slope of 3x² - 4x at 1 is 2. (f(1 + h) - f(1))/h comes near it: 2.3, 2.03, 2.003 … until rounding takes over. The
   gradient has no h. The loss x² + 1701(x - 4)³ at 4: 25.11, 8.0027 … towards 8.
2. Taylor's polynomials of exp and sin, from derivatives of derivatives, at 0: the more terms, the farther they hold.
3. In several variables f(x + e) ≈ f(x) + e·∇f(x): ln(eˣ + eʸ) near (0, ln 2) is 1.0819456 so, and 1.0821242 in truth.
4. The chain rule: u and v of a and b, these of w, x, y, z; f = (u + v)² is 1024 at (-1, 0, -2, 1), each slope -4096 (printed).
5. An integral is a sum of thin rectangles: 0.7944856 with a width of 0.05 for x/(1 + x²) from 0 to 2, where ½ ln 5 = 0.8047190.
6. A probability is an integral of a density: P(-2 ≤ X < 3) = 0.7736172 for a mixture of two normal distributions.

Target: these numbers, to all digits that are given. A second or two; nothing is random.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import minidl
from minidl import viz
from minidl.func import grad, grad_and_value

QUOTIENTS, LOSSES = (2.3, 2.03, 2.003, 2.0003, 2.00003), (25.11, 8.00270, 8.00012, 8.00001)


def parabola(x):
    return 3 * x**2 - 4 * x


def loss(x):
    return x**2 + 1701 * (x - 4) ** 3


def log_sum(x):
    return x.logsumexp(0)


def nested(point):
    w, x, y, z = point
    a, b = (w + x + y + z) ** 2, (w + x - y - z) ** 2
    u, v = (a + b) ** 2, (a - b) ** 2
    return (u + v) ** 2


def density(x):
    return (0.2 * minidl.exp(-((x - 3) ** 2) / 2) + 0.8 * minidl.exp(-((x + 1) ** 2) / 2)) / math.sqrt(2 * math.pi)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terms", type=int, default=8, help="of Taylor's polynomials (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="as in the other examples; nothing is random here")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="three terms of Taylor's polynomials")
    options = parser.parse_args()
    terms = 3 if options.quick else options.terms
    if terms < 1 or options.out.is_file():
        parser.error("expected 1 term or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    steps = [10.0**-i for i in range(1, 16)]
    quotients = [quotient(parabola, 1.0, h) for h in steps]
    losses = [quotient(loss, 4.0, h) for h in (0.1, 0.001, 0.0001, 0.00001)]
    slope = grad(parabola)(double(1.0)).item()
    taylor = {name: coefficients(name, f, terms) for name, f in (("exp", minidl.exp), ("sin", minidl.sin))}
    point, move = double([0.0, math.log(2)]), double([0.01, -0.03])
    slopes, value = grad_and_value(log_sum)(point)
    linear, true = (value + move.dot(slopes)).item(), log_sum(point + move).item()
    partials, at = grad_and_value(nested)(double([-1.0, 0.0, -2.0, 1.0]))
    partials = partials.tolist()
    x = minidl.arange(0, 2, 0.05, dtype=minidl.float64)
    riemann = (0.05 * x / (1 + x**2)).sum().item()
    x = double(np.arange(-5, 5, 0.01))
    probability = (0.01 * density(x)[300:800]).sum().item()

    print(f"difference quotients {', '.join(f'{q:.7g}' for q in quotients[:5])}; the slope {slope}")
    print(f"of the loss {', '.join(f'{q:.5f}' for q in losses)}; the slope {grad(loss)(double(4.0)).item()}")
    print(f"ln(exp x + exp y): linear {linear:.7f}, true {true:.7f}")
    print(f"nested: f = {at.item():.0f}, slopes {partials}")
    print(f"integrals: sum {riemann:.7f}, true {math.log(5) / 2:.7f}; probability {probability:.7f}")
    picture(options.out / "calculus.png", steps, quotients, slope, taylor, linear, true, riemann, probability)
    viz.report(picture=options.out / "calculus.png", text=__doc__)
    print(f"picture: {options.out / 'calculus.png'}")
    check("the difference quotients", quotients[:5], QUOTIENTS, 1e-6)
    check("the quotients of the loss", losses, LOSSES, 6e-6)
    check("the linear approximation and the truth", [linear, true], [1.0819456, 1.0821242], 1e-7)
    check("the chain rule's numbers", [at.item(), *partials], [1024, *[-4096] * 4], 1e-9)
    check("the integral and the probability", [riemann, probability], [0.7944856, 0.7736172], 1e-7)
    check("the derivatives of exp", taylor["exp"], [1 / math.factorial(k) for k in range(terms)], 1e-12)


def double(numbers):
    return minidl.tensor(numbers, dtype=minidl.float64)


def check(what, found, expected, within):
    if not np.abs(np.subtract(found, expected)).max() <= within:
        sys.exit(f"expected {what} to be {expected}, got {found}")


def quotient(f, x, h):
    return ((f(double(x + h)) - f(double(x))) / h).item()


def coefficients(name, f, terms):
    """f⁽ᵏ⁾(0)/k! for k below `terms`: each derivative is the gradient of the one before."""
    found = []
    for k in tqdm(range(terms), desc=f"derivatives of {name}", unit="term", disable=None):
        found.append(f(double(0.0)).item() / math.factorial(k))
        f = grad(f)
    return found


# --- the picture


def picture(path, steps, quotients, slope, taylor, linear, true, riemann, probability):
    figure, axes = plt.subplots(2, 3, figsize=(14, 8.5), layout="constrained")
    differences(axes[0, 0], steps, quotients, slope)
    polynomials(axes[0, 1], "exp", taylor["exp"], np.exp, (-3, 3), (-2, 16))
    polynomials(axes[0, 2], "sin", taylor["sin"], np.sin, (-6.3, 6.3), (-2.5, 4.5))
    tangent(axes[1, 0], linear, true)
    rectangles(axes[1, 1], riemann)
    area(axes[1, 2], probability)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def differences(axis, steps, quotients, slope):
    axis.plot(steps, np.abs(np.array(quotients) - slope), "o-", color="C1", label="(f(1 + h) - f(1))/h")
    axis.axhline(abs(slope - 2) + 1e-16, color="C0", label="minidl's gradient: exact")
    axis.set(xscale="log", yscale="log", xlabel="h", ylabel="error (0 drawn as 1e-16)", ylim=(1e-17, 1e3))
    axis.text(1e-4, 3e-3, "h too large", ha="right")
    axis.text(3e-15, 5, "rounding", ha="left")
    axis.set_title("The slope of 3x² - 4x at 1, which is 2")
    axis.legend(loc="upper right")


def polynomials(axis, name, coefficients, exact, where, limits):
    x = np.linspace(where[0], where[1], 300)
    shown = sorted({k for k in (1, 2, 3, 4, 6, 8, len(coefficients)) if k <= len(coefficients)})
    if name == "sin":
        shown = [k for k in shown if k % 2 == 0 or k == 1][1:] or shown  # sin has odd powers only
    for k, shade in zip(shown, np.linspace(0.3, 1, len(shown)), strict=True):
        y = np.polynomial.polynomial.polyval(x, coefficients[:k])
        axis.plot(x, y, color="C0", alpha=shade, label=f"up to x^{k - 1}")
    axis.plot(x, exact(x), "k--", label=f"{name} x")
    axis.set(title=f"Taylor's polynomials of {name}, at 0", xlabel="x", ylim=limits)
    axis.legend(loc="upper left", fontsize=9, ncol=2)


def tangent(axis, linear, true):
    t = np.linspace(-80, 80, 161)
    along = np.array([0.0, math.log(2)]) + t[:, None] * [0.01, -0.03]
    axis.plot(t, [log_sum(double(point)).item() for point in along], "k--", label="ln(exp x + exp y) from (0, ln 2) along e")
    axis.plot(t, math.log(3) + t * (linear - math.log(3)), color="C0", label="ln 3 + t e·∇: the linear approximation")
    axis.annotate(
        f"t = 1: linear {linear:.7f}\n          truth {true:.7f}",
        (1, linear),
        (8, 1.6),
        arrowprops={"arrowstyle": "-", "color": "0.4"},
    )
    axis.set(title="A gradient is the best linear approximation", xlabel="t, steps of e = (0.01, -0.03)", ylim=(-0.3, 4.3))
    axis.legend(loc="upper right")


def rectangles(axis, riemann):
    x = np.arange(0, 2, 0.05)
    look = {"color": "C0", "alpha": 0.35, "edgecolor": "C0"}
    axis.bar(x, x / (1 + x**2), width=0.05, align="edge", label=f"their sum: {riemann:.7f}", **look)
    t = np.linspace(0, 2, 200)
    axis.plot(t, t / (1 + t**2), "k--", label=f"x/(1 + x²): the integral is ½ ln 5 = {math.log(5) / 2:.7f}")
    axis.set(title="An integral is a sum of rectangles", xlabel="x", ylim=(0, 0.7))
    axis.legend(loc="upper left")


def area(axis, probability):
    x = np.arange(-5, 6.5, 0.01)
    y = density(double(x)).numpy()
    axis.plot(x, y, color="C0", label="density of X")
    inside = (x >= -2) & (x < 3)
    axis.fill_between(x[inside], y[inside], color="C0", alpha=0.35, label=f"P(-2 ≤ X < 3) = {probability:.7f}")
    axis.set(title="A probability is an area under a density", xlabel="x", ylim=(0, 0.45))
    axis.legend(loc="upper right")


if __name__ == "__main__":
    main()
