"""Descent, seen: good and bad steps, Newton's method and where it fails, momentum, Taylor, noise, saddles, plateaus.

The numbers are those of the book's chapter on optimisation, which minidl.optimization must give to six digits:

1. x² from 10, ten steps: 0.060466 with the rate 0.2, 3.486784 with 0.05 (too small), 61.917364 with 1.1 (too large).
2. Newton's method on cosh(x/2) ends at 0.0; on x cos(0.15πx), which is not convex, at 26.834133, far away and higher than it
   began; with half steps at 7.269860.
3. 0.1 x₁² + 2 x₂² from (-5, -2), 20 steps: with the rate 0.6 the steep direction runs away, (-0.387814, -1673.365109); with
   the rate 0.4 the flat one creeps, (-0.943467, -0.000073); momentum 0.5 is good at both, (0.007188, 0.002553).
4. Taylor: f(x + e) = f(x) + e f'(x) + O(e²). With derivatives up to n the error falls as eⁿ⁺¹: slopes within 0.1 of it.
5. The variance of a stochastic gradient is that of one sample divided by the batch: within 15 %.
6. A saddle holds descent on its ridge; 7. the slope of tanh is 0.0013 at 4, and descent waits there; 8. the mean over data
   (the empirical risk) has minima that the risk has not, and descent ends in the one of its start.

A few seconds.
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
from minidl.func import grad
from minidl.optimization import critical_point, gradient_descent, gradient_variance, newton, taylor_error

STEPS, SIZES, STARTS = (0.3, 0.1, 0.03, 0.01, 0.003), (1, 2, 4, 8, 16, 32, 64), (-0.8, 0.4, 1.5)


def square(x):
    return x**2


def cosh(x):
    return minidl.cosh(0.5 * x)


def wave(x):
    return x * minidl.cos(0.15 * math.pi * x)


def valley(x):
    return 0.1 * x[0] ** 2 + 2 * x[1] ** 2


def saddle(x):
    return x[0] ** 2 - x[1] ** 2 + 0.1 * x[1] ** 4


def risk(x):
    return x * minidl.cos(math.pi * x)


def empirical(x):
    return risk(x) + 0.2 * minidl.cos(5 * math.pi * x)


def slope_loss(w, rows):  # the squared error of a straight line through the origin
    return ((rows[:, 1] - w * rows[:, 0]) ** 2).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="batches of each size (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the data and the batches")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="10 batches, and no target for their variance: shows that it runs")
    options = parser.parse_args()
    if options.draws < 1 or options.out.is_file():
        parser.error("expected 1 draw or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    start = minidl.tensor([-5.0, -2.0], dtype=minidl.float64)
    paths = {
        "square, 0.2": gradient_descent(square, 10.0, 0.2, 10),
        "square, 0.05": gradient_descent(square, 10.0, 0.05, 10),
        "square, 1.1": gradient_descent(square, 10.0, 1.1, 10),
        "newton, cosh": newton(cosh, 10.0, 10),
        "newton, wave": newton(wave, 10.0, 10),
        "newton, wave, half": newton(wave, 10.0, 10, lr=0.5),
        "valley, 0.6": gradient_descent(valley, start, 0.6, 20),
        "valley, 0.4": gradient_descent(valley, start, 0.4, 20),
        "valley, momentum": gradient_descent(valley, start, 0.6, 20, momentum=0.5),
        "ridge": gradient_descent(saddle, minidl.tensor([1.5, 0.0]).double(), 0.1, 60),
        "beside the ridge": gradient_descent(saddle, minidl.tensor([1.5, 1e-4]).double(), 0.1, 60),
        "plateau": gradient_descent(minidl.tanh, 4.0, 1.0, 100),
    }
    paths |= {f"start {x}": gradient_descent(empirical, x, 0.01, 200) for x in STARTS}
    paths = {name: path.numpy() for name, path in paths.items()}
    x, one = minidl.tensor(0.7, dtype=minidl.float64), minidl.tensor(1.0, dtype=minidl.float64)
    errors = {n: [taylor_error(minidl.exp, x, e * one, n).item() for e in STEPS] for n in (0, 1, 2, 3)}
    rng = np.random.default_rng(options.seed)
    inputs = rng.uniform(-1.5, 1.5, 200)
    rows = minidl.tensor(np.stack([inputs, 2 * inputs + 0.5 * rng.normal(size=200)], 1))
    draws = 10 if options.quick else options.draws
    variances = [
        gradient_variance(slope_loss, one, rows, size, draws, rng)
        for size in tqdm(SIZES, desc="batch sizes", unit="size", disable=None)
    ]
    single = grad(lambda w: (w * rows[:, 0] - rows[:, 1]).square().mean())  # of all the data
    each = np.array([grad(lambda w, i=i: slope_loss(w, rows[i : i + 1]))(one).item() for i in range(len(rows))])
    exact = ((each - single(one).item()) ** 2).mean()
    tangent = grad(minidl.tanh)(minidl.tensor(4.0)).item()

    for name, path in paths.items():
        print(f"{name:20} ends at {np.array2string(path[-1], precision=6, suppress_small=True)}")
    print(f"variance of gradients, times the batch: {', '.join(f'{v * n:.2f}' for n, v in zip(SIZES, variances, strict=True))}")
    print(f"the variance of one sample's gradient: {exact:.2f}; the slope of tanh at 4: {tangent:.4f}")
    picture(options.out / "gradient_descent.png", paths, errors, variances, exact)
    viz.report(picture=options.out / "gradient_descent.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'gradient_descent.png'}")
    checks(paths, errors, tangent)
    if not options.quick and not all(abs(v * n / exact - 1) < 0.15 for n, v in zip(SIZES, variances, strict=True)):
        sys.exit(f"expected a variance of {exact:.2f} divided by the batch, within 15 %")


def checks(paths, errors, tangent):
    ends = {
        "square, 0.2": 0.060466,
        "square, 0.05": 3.486784,
        "square, 1.1": 61.917364,
        "newton, cosh": 0.0,
        "newton, wave": 26.834133,
        "newton, wave, half": 7.269860,
        "valley, 0.6": (-0.387814, -1673.365109),
        "valley, 0.4": (-0.943467, -0.000073),
        "valley, momentum": (0.007188, 0.002553),
    }
    for name, end in ends.items():
        if np.abs(paths[name][-1] - end).max() > 1e-6:
            sys.exit(f"expected {name} to end at {end}, got {paths[name][-1]}")
    for n, errors_of_n in errors.items():
        order = np.polyfit(np.log(STEPS), np.log(errors_of_n), 1)[0]
        if abs(order - n - 1) > 0.1:
            sys.exit(f"expected an error of the order {n + 1}, got {order:.2f}")
    ridge, beside = paths["ridge"][-1], paths["beside the ridge"][-1]
    if critical_point(saddle, minidl.tensor(ridge).double()) != "saddle point" or abs(beside[1]) < 1:
        sys.exit("expected descent to end at the saddle from its ridge, and to leave it from beside it")
    if abs(tangent - 0.0013) > 5e-5:
        sys.exit("expected a slope of 0.0013 at 4")


# --- the picture


def picture(path, paths, errors, variances, exact):
    figure, axes = plt.subplots(2, 4, figsize=(17, 8.5), layout="constrained")
    steps(axes[0, 0], paths)
    newtons(axes[0, 1], paths)
    momentum(axes[0, 2], paths)
    taylor(axes[0, 3], errors)
    noise(axes[1, 0], variances, exact)
    saddles(axes[1, 1], paths)
    plateau(axes[1, 2], paths["plateau"])
    minima(axes[1, 3], paths)
    figure.suptitle("Gradient descent, and what may happen to it")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def steps(axis, paths):
    for name, color, text in (("0.2", "C0", "rate 0.2: good"), ("0.05", "C1", "0.05: small"), ("1.1", "C3", "1.1: too large")):
        path = paths[f"square, {name}"]
        axis.plot(path, "o-", color=color, markersize=4, label=f"{text}, ends at {path[-1]:.2f}")
    axis.axhline(0, color="black", linestyle="--", linewidth=1, label="the minimum")
    axis.set(title="f(x) = x² from 10", xlabel="step", ylabel="x", ylim=(-65, 110))
    axis.legend(loc="upper left", fontsize=9)


def newtons(axis, paths):
    x = np.linspace(4, 29, 400)
    axis.plot(x, wave(minidl.tensor(x)).numpy(), color="0.6", label="f(x) = x cos(0.15πx)")
    whole, half = paths["newton, wave"], paths["newton, wave, half"]
    for path, color, text in ((whole, "C3", "Newton: away, to 26.83"), (half, "C0", "half steps: the minimum, 7.27")):
        axis.plot(path, wave(minidl.tensor(path)).numpy(), "o-", color=color, markersize=4, linewidth=1, label=text)
    axis.plot(10, wave(minidl.tensor(10.0)).item(), "ks", label="start")
    axis.set(title="Newton's method where f is not convex", xlabel="x", ylabel="f(x)", ylim=(-32, 48))
    axis.legend(loc="upper left", fontsize=9)


def momentum(axis, paths):
    a, b = np.meshgrid(np.linspace(-6, 2.5, 101), np.linspace(-3, 4.4, 101))
    axis.contour(a, b, 0.1 * a**2 + 2 * b**2, levels=[0.05, 0.3, 1, 3, 8, 20], colors="0.8", linewidths=0.8)
    away = paths["valley, 0.6"]
    for path, color, text in (
        (away[:3], "C3", "rate 0.6: runs away"),
        (paths["valley, 0.4"], "C1", "rate 0.4: creeps"),
        (paths["valley, momentum"], "C0", "rate 0.6, momentum 0.5"),
    ):
        axis.plot(*path.T, "o-", color=color, markersize=4, linewidth=1.2, label=text)
    axis.plot(0, 0, "k*", markersize=11, label="the minimum")
    axis.set(title="An ill-conditioned valley, 20 steps", xlabel="x₁", ylabel="x₂", xlim=(-6, 2.5), ylim=(-3, 6.6))
    axis.legend(loc="upper left", fontsize=9)


def taylor(axis, errors):
    for n, color in zip(errors, ("0.6", "C0", "C1", "C2"), strict=True):
        axis.plot(STEPS, errors[n], "o-", color=color, label=f"derivatives up to {n}: error O(e{'¹²³⁴'[n]})")
        reference = errors[n][0] * (np.array(STEPS) / STEPS[0]) ** (n + 1)
        axis.plot(STEPS, reference, "k--", linewidth=0.8, label="exactly these powers" if n == 3 else None)
    axis.set(xscale="log", yscale="log", title="Taylor's error of exp at 0.7", xlabel="e", ylabel="|f(0.7 + e) - polynomial|")
    axis.set_ylim(1e-13, 1e7)
    axis.legend(loc="upper left", fontsize=9)


def noise(axis, variances, exact):
    sizes = np.array(SIZES)
    axis.plot(sizes, variances, "o", color="C0", label="measured")
    axis.plot(sizes, exact / sizes, "k--", linewidth=1, label="that of one sample / batch")
    axis.set(xscale="log", yscale="log", xlabel="samples in a batch", ylabel="variance of the gradient", xticks=sizes)
    axis.set_xticklabels(sizes)
    axis.minorticks_off()
    axis.set_title("Stochastic gradients: noise falls as 1/batch")
    axis.legend(fontsize=9)


def saddles(axis, paths):
    a, b = np.meshgrid(np.linspace(-1, 2, 101), np.linspace(-1, 3, 101))
    axis.contour(a, b, a**2 - b**2 + 0.1 * b**4, levels=15, cmap="Greys", linewidths=0.8)
    axis.plot(*paths["ridge"].T, "o-", color="C3", markersize=10, alpha=0.5, label="from (1.5, 0): stops at the saddle")
    axis.plot(*paths["beside the ridge"].T, "o-", color="C0", markersize=4, label="from (1.5, 0.0001): leaves it, late")
    axis.plot(0, 0, "kx", markersize=9, markeredgewidth=2, label="saddle point")
    axis.set(title="A saddle, 60 steps", xlabel="x₁", ylabel="x₂", ylim=(-1, 4.2))
    axis.legend(loc="upper left", fontsize=9)


def plateau(axis, path):
    x = np.linspace(-2, 5, 200)
    axis.plot(x, np.tanh(x), color="0.6", label="f(x) = tanh x")
    axis.plot(path, np.tanh(path), "o", color="C3", markersize=4, label=f"100 steps with rate 1: 4 → {path[-1]:.2f}")
    axis.text(4, 0.85, "slope 0.0013", ha="center", va="top", color="C3")
    axis.set(title="A vanishing gradient", xlabel="x", ylabel="f(x)", ylim=(-1.1, 1.6))
    axis.legend(loc="upper left", fontsize=9)


def minima(axis, paths):
    x = np.linspace(-1.1, 2.1, 400)
    axis.plot(x, risk(minidl.tensor(x)).numpy(), "k--", linewidth=1, label="risk: the expectation")
    axis.plot(x, empirical(minidl.tensor(x)).numpy(), color="C0", label="empirical risk: the mean over data")
    for i, start in enumerate(STARTS):
        path = paths[f"start {start}"]
        axis.plot(path, empirical(minidl.tensor(path)).numpy(), "-", color="C1", linewidth=4, alpha=0.5)
        axis.plot(path[0], empirical(minidl.tensor(path[0])).item(), "s", color="C1", label=None if i else "start")
        axis.plot(
            path[-1], empirical(minidl.tensor(path[-1])).item(), "o", color="C3", label=None if i else "where descent ends"
        )
    axis.set(title="Several minima: the start decides", xlabel="x", ylabel="f(x)", ylim=(-1.7, 3.8))
    axis.legend(loc="upper left", fontsize=9)


if __name__ == "__main__":
    main()
