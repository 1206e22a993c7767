"""Convexity, seen: sets, functions, Jensen's inequality, below-sets, and the Hessian that tells.

1. Sets. A set is convex if the line between any two of its points stays inside. A disc is, a ring is not; what two convex sets
   have in common is convex.
2. Functions. f is convex if no line between two points of its graph runs below it: λ f(a) + (1 - λ) f(b) ≥ f(λ a + (1 - λ) b).
   The smallest difference over many pairs is the gap. (With > for ≥, as the notes print it, no straight line would be convex.)
3. What follows. Jensen: the mean of f(X) is at least f of the mean. Below-sets {f ≤ level} are convex, though they may be for
   other functions, too. And f is convex if and only if its second derivative, or the Hessian's smallest eigenvalue, is ≥ 0.

Target: minidl.optimization says convex or not of all sets and functions as mathematics does, the gap of cos πx is -2 ± 0.05,
and Jensen's gap of x² is the variance, to 1e-6. A few seconds.
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
from minidl.optimization import convexity_gap, is_below_set_convex, is_convex, is_convex_set, jensen_gap, smallest_curvature

SETS = {
    "disc": (lambda x, y: x**2 + y**2 <= 4, True),
    "ring": (lambda x, y: (x**2 + y**2 >= 1) & (x**2 + y**2 <= 4), False),
    "disc and half-plane": (lambda x, y: (x**2 + y**2 <= 4) & (x + y <= 0.8), True),
}
LINES = {
    "disc": ((-1.5, -0.8), (0.9, 1.5)),
    "ring": ((-1.5, -0.5), (1.5, 0.2)),
    "disc and half-plane": ((-1.2, 1.4), (1.0, -1.6)),
}
FUNCTIONS = {
    "½x²": (lambda x: 0.5 * x**2, True, (-1.6, 1.0)),
    "cos πx": (lambda x: minidl.cos(math.pi * x), False, (-1.0, 1.0)),
    "exp(x/2)": (lambda x: minidl.exp(0.5 * x), True, (-1.7, 1.6)),
    "3x - 1": (lambda x: 3 * x - 1, True, None),
}


def hill(x):
    """Not convex, but each of its below-sets is an interval."""
    return -minidl.exp(-(x**2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=40, help="how many points are tried (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the points in the plane")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="8 points, and no target to meet: shows that it runs")
    options = parser.parse_args()
    n = 8 if options.quick else options.points
    if n < 2 or options.out.is_file():
        parser.error("expected 2 points or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    line = minidl.linspace(-2, 2, n + n % 2 + 1, dtype=minidl.float64)
    plane = minidl.tensor(np.random.default_rng(options.seed).uniform(-2.2, 2.2, (n, 2)))
    verdicts, gaps, wrong = {}, {}, []
    for name, (contains, truth) in tqdm(SETS.items(), desc="sets     ", disable=None):
        verdicts[name] = is_convex_set(lambda point, contains=contains: contains(*point), plane)
        wrong += [name] if verdicts[name] != truth else []
    for name, (f, truth, _) in tqdm(FUNCTIONS.items(), desc="functions", disable=None):
        verdicts[name], gaps[name] = is_convex(f, line), convexity_gap(f, line)
        curved = (smallest_curvature(f, line) >= -1e-12).all().item()
        wrong += [name] if not verdicts[name] == curved == truth else []
    below = [is_below_set_convex(hill, level, line) for level in (-0.9, -0.5, -0.1)]
    wrong += ["the below-sets of a hill"] if is_convex(hill, line) or not all(below) else []
    normal = minidl.tensor(np.random.default_rng(options.seed).normal(0.3, 0.7, 200))
    jensen, variance = jensen_gap(lambda x: x**2, normal).item(), normal.var(correction=0).item()

    for name, verdict in verdicts.items():
        gap = f"; smallest gap {gaps[name]:.3f}" if name in gaps else ""
        print(f"{name:20} {'convex' if verdict else 'not convex'}{gap}")
    print(f"Jensen: E[X²] - E[X]² = {jensen:.6f}, the variance is {variance:.6f}")
    picture(options.out / "convexity.png", verdicts, gaps, normal, jensen)
    viz.report(picture=options.out / "convexity.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'convexity.png'}")
    if not options.quick:
        if wrong:
            sys.exit(f"expected the right verdict, wrong: {', '.join(wrong)}")
        if abs(gaps["cos πx"] + 2) > 0.05 or abs(jensen - variance) > 1e-6:
            sys.exit("expected a gap of -2 ± 0.05 for cos πx, and the variance as Jensen's gap of x²")


def picture(path, verdicts, gaps, normal, jensen):
    figure, axes = plt.subplots(3, 3, figsize=(12, 10.5), layout="constrained")
    for axis, name in zip(axes[0], SETS, strict=True):
        draw_set(axis, name, verdicts[name])
    for axis, name in zip(axes[1], FUNCTIONS, strict=False):
        draw_function(axis, name, verdicts[name], gaps[name])
    draw_jensen(axes[2, 0], normal, jensen)
    draw_below(axes[2, 1])
    draw_curvature(axes[2, 2])
    figure.suptitle("Convexity. A line between two points is red where it leaves the set, or runs below the function")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def verdict_text(name, convex):
    return f"{name}: {'convex' if convex else 'not convex'}"


def draw_set(axis, name, convex):
    grid = np.linspace(-2.4, 2.4, 961)
    contains = SETS[name][0]
    inside = contains(*np.meshgrid(grid, grid)).astype(float)
    axis.contourf(grid, grid, inside, levels=[0.5, 1.5], colors=["0.85"])
    axis.contour(grid, grid, inside, levels=[0.5], colors=["0.4"], linewidths=1)
    a, b = (np.array(point) for point in LINES[name])
    points = a + np.linspace(0, 1, 101)[:, None] * (b - a)
    ok = contains(*points.T)
    axis.plot(*np.where(ok[:, None], points, np.nan).T, color="C0", linewidth=2.5)
    axis.plot(*np.where(ok[:, None], np.nan, points).T, color="C3", linewidth=2.5)
    axis.plot(*np.array([a, b]).T, "o", color="C0")
    if not ok.all():
        axis.text(*(points[~ok].mean(0) + [0, 0.2]), "outside", color="C3", ha="center")
    axis.set(aspect="equal", xticks=[], yticks=[], title=verdict_text(name, convex))


def values(f, x):
    return f(minidl.tensor(x)).numpy()


def draw_function(axis, name, convex, gap):
    f, _, (a, b) = FUNCTIONS[name]
    x = np.linspace(-2, 2, 201)
    axis.plot(x, values(f, x), color="C0", label=f"f(x) = {name}")
    ends = np.array([a, b])
    color = "0.3" if convex else "C3"
    axis.plot(ends, values(f, ends), "o-", color=color, label="a line between two points" + ("" if convex else ", below f"))
    inner = np.linspace(a, b, 101)
    chord = np.interp(inner, ends, values(f, ends))
    axis.fill_between(inner, values(f, inner), chord, color=color, alpha=0.15)
    low, high = axis.get_ylim()
    axis.set(
        title=f"{verdict_text(name, convex)}\nsmallest gap {gap + 0:.3g}", xlabel="x", ylim=(low, high + 0.35 * (high - low))
    )
    axis.legend(loc="upper center", fontsize=9)


def draw_jensen(axis, normal, jensen):
    x, mean = normal.numpy(), normal.mean().item()
    grid = np.linspace(-1.8, 2.4, 201)
    axis.plot(grid, grid**2, color="C0", label="f(x) = x²")
    axis.plot(x, np.full_like(x, -0.5), "|", color="0.6", markersize=12, label="200 samples of X")
    axis.axhline((x**2).mean(), color="black", linestyle="--")
    axis.text(2.35, (x**2).mean() + 0.08, f"E f(X) = {(x**2).mean():.3f}", ha="right")
    axis.plot(mean, mean**2, "o", color="C0")
    axis.annotate(f"f(E X) = {mean**2:.3f}", (mean, mean**2), (0.35, 1.6), arrowprops={"arrowstyle": "-"}, ha="center")
    axis.set(title=f"Jensen: E f(X) ≥ f(E X)\ngap {jensen:.3f}, for x² the variance", xlabel="x", ylim=(-0.8, 6))
    axis.legend(loc="upper center", fontsize=9)


def draw_below(axis):
    x = np.linspace(-2, 2, 401)
    axis.plot(x, values(hill, x), color="C0", label="-exp(-x²): not convex")
    wave = values(FUNCTIONS["cos πx"][0], x)
    axis.plot(x, wave + 1.6, color="C1", label="cos πx + 1.6: not convex")
    for y, level, color in ((values(hill, x), -0.5, "C0"), (wave + 1.6, 1.6, "C3")):
        axis.axhline(level, color="0.6", linewidth=0.8)
        axis.plot(np.where(y <= level, x, np.nan), np.full_like(x, level), color=color, linewidth=4)
    axis.text(0, 0.15, "{f ≤ -0.5}: one interval, convex", ha="center", color="C0", fontsize=9)
    axis.text(0, 0.42, "{f ≤ 1.6}: in pieces, not convex", ha="center", color="C3", fontsize=9)
    axis.set(title="Below-sets are convex if f is;\nthe converse does not hold", xlabel="x", ylim=(-1.1, 3.9))
    axis.legend(loc="upper center", fontsize=9)


def draw_curvature(axis):
    x = minidl.linspace(-2, 2, 81, dtype=minidl.float64)
    for (name, (f, convex, _)), color in zip(FUNCTIONS.items(), ("C0", "C3", "C2", "0.3"), strict=True):
        axis.plot(x.numpy(), smallest_curvature(f, x).numpy(), color=color, label=name + ("" if convex else ": below 0"))
    axis.axhspan(-12, 0, color="C3", alpha=0.07)
    axis.text(0, -11.5, "below 0 somewhere: not convex", color="C3", ha="center")
    axis.set(
        title="Convex if and only if\nthe second derivative is ≥ 0",
        xlabel="x",
        ylabel="smallest eigenvalue of the Hessian",
        ylim=(-12, 18),
    )
    axis.legend(loc="upper center", ncol=2, fontsize=9)


if __name__ == "__main__":
    main()
