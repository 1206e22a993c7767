"""A tour of automatic differentiation: linear algebra, detach, control flow, fan-out, and the graph behind them.

1. y = 2 xᵀx with x = (0, 1, 2, 3): the gradient is 4x = (0, 4, 8, 12). y = x ⊙ x is a vector; backward(gradient=ones) sums what
   reaches x: 2x. Of the quadratic form xᵀAx the gradient is (A + Aᵀ)x.
2. detach: with y = x², z = y·x has the gradient 3x²; with u = y.detach() in the place of y, u is a constant: the gradient is u.
3. Control flow: f(a) doubles a until it is 1000 or more, and multiplies by 100 if it is negative. Only what was done is
   recorded; f(a) = k·a for some k, and the gradient is k = f(a)/a.
4. Fan-out: u = sin x is used twice, in y = u·u + exp(u). What arrives over all ways is added: (2u + exp(u)) cos x, the chain
   rule.

Target: all of them exact, or within 1e-12 where there is rounding. The picture shows gradients beside their formulas, and the
graph of 4. as it is walked. A second or two.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from backprop_by_hand import draw_graph, node_of

import minidl
from minidl import viz

EXACT = 1e-12
A = minidl.tensor([[1.0, 1.2], [-0.2, 0.5]], dtype=minidl.float64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=401, help="on each curve (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the places where the quadratic form is asked")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="the same: it is quick")
    options = parser.parse_args()
    if options.points < 2 or options.out.is_file():
        parser.error("expected 2 points or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    x = minidl.arange(4.0, requires_grad=True)
    twice = gradient(lambda x: 2 * x.dot(x), x)
    vector = gradient(lambda x: x * x, x)
    print(f"y = 2 xᵀx: gradient {twice.tolist()}; y = x ⊙ x: {vector.tolist()}")
    exact = twice.tolist() == [0, 4, 8, 12] and vector.tolist() == [0, 2, 4, 6]

    places = minidl.randn(40, 2, dtype=minidl.float64)
    arrows = gradient(lambda x: (x @ A * x).sum(1), places)
    slips = {"xᵀAx": np.abs(arrows - places.numpy() @ (A + A.T).numpy()).max()}

    at = minidl.linspace(-2, 2, options.points, dtype=minidl.float64)
    kept, cut = gradient(lambda x: x * x * x, at), gradient(lambda x: (x * x).detach() * x, at)
    slips["detach"] = max(np.abs(kept - 3 * at.numpy() ** 2).max(), np.abs(cut - at.numpy() ** 2).max())

    numbers = np.concatenate([-np.logspace(2, -1, options.points // 2), np.logspace(-1, 2, options.points // 2)])
    slopes, ratios = zip(*map(slope_and_ratio, numbers), strict=True)
    exact = exact and slopes == ratios
    print(
        f"control flow: f(a)/a is the gradient for {len(numbers)} numbers: {slopes == ratios}; {len(set(slopes))} different k"
    )

    around = minidl.linspace(-3, 3, options.points, dtype=minidl.float64)
    fan, u = gradient(fan_out, around), np.sin(around.numpy())
    slips["fan-out"] = np.abs(fan - (2 * u + np.exp(u)) * np.cos(around.numpy())).max()
    print("largest errors: " + ", ".join(f"{name} {slip:.1g}" for name, slip in slips.items()))

    figure = plt.figure(figsize=(16, 9.5), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False).flat
    form, detached, flow = above.subplots(1, 3)
    picture_form(form, places.numpy(), arrows)
    picture_detach(detached, at.numpy(), kept, cut)
    picture_flow(flow, numbers, slopes)
    graph, curve = below.subplots(1, 2, width_ratios=[2, 1])
    picture_graph(graph)
    picture_fan(curve, around.numpy(), fan, u)
    figure.savefig(options.out / "autodiff_tour.png", dpi=100)
    plt.close(figure)
    viz.report(picture=options.out / "autodiff_tour.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'autodiff_tour.png'}")
    if not exact or max(slips.values()) > EXACT:
        sys.exit(f"expected gradients to be exact, or within {EXACT}")


def gradient(f, x):
    """The gradient of the sum of f(x) as an array; x may be a constant."""
    x = x.detach().clone().requires_grad_()
    y = f(x)
    y.backward(gradient=minidl.ones_like(y))
    return x.grad.numpy()


def f(a):
    b = a
    while b.norm() < 1000:
        b = b * 2
    return b if b.sum() > 0 else 100 * b


def slope_and_ratio(number):
    a = minidl.tensor(number, dtype=minidl.float64, requires_grad=True)
    d = f(a)
    d.backward()
    return round(a.grad.item()), round(d.item() / number)


def fan_out(x):
    u = x.sin()
    return u * u + u.exp()


def picture_form(ax, places, arrows):
    ticks = np.linspace(-4, 4, 81)
    grid = np.stack(np.meshgrid(ticks, ticks), -1)
    height = np.einsum("abi,ij,abj->ab", grid, A.numpy(), grid)
    ax.contour(ticks, ticks, height, [0.25, 1, 2, 4, 6, 9, 12, 16], colors="0.6", linewidths=0.8)
    ax.quiver(*places.T, *arrows.T, color="C0", angles="xy", width=0.005, label="gradient by autograd = (A + Aᵀ)x")
    ax.set(title="xᵀAx (grey: its levels) and its gradient", xlabel="x1", ylabel="x2", xlim=(-3, 3), ylim=(-3, 3.9))
    ax.legend(loc="upper left")


def picture_detach(ax, x, kept, cut):
    ax.plot(x, kept, color="C0", linewidth=3, label="gradient of x² · x")
    ax.plot(x, cut, color="C1", linewidth=3, label="gradient of (x²).detach() · x")
    ax.plot(x, 3 * x**2, "k--", linewidth=1, label="3x², x²")
    ax.plot(x, x**2, "k--", linewidth=1)
    ax.set(title="What is detached counts as a constant", xlabel="x", ylim=(-0.5, 15))
    ax.legend(loc="upper center")


def picture_flow(ax, numbers, slopes):
    for side, color, name in (
        (numbers > 0, "C0", "a > 0: doubled n times"),
        (numbers < 0, "C1", "a < 0: and multiplied by 100"),
    ):
        ax.plot(np.abs(numbers[side]), np.array(slopes)[side], ".", color=color, markersize=4, label=name)
    line = np.logspace(-1, 2, 50)
    ax.plot(line, 1000 / line, "k--", linewidth=0.9, label="1000/|a| and 100 times as much")
    ax.plot(line, 100_000 / line, "k--", linewidth=0.9)
    ax.set(xscale="log", yscale="log", xlabel="|a|", ylabel="gradient of f at a", ylim=(5, 2e8))
    ax.set_title("while and if: the gradient is that of the steps taken")
    ax.legend(loc="upper right")


def picture_graph(ax):
    x = minidl.tensor(1.0, dtype=minidl.float64, requires_grad=True)
    u = x.sin()
    square, exp = u * u, u.exp()
    y = square + exp
    names = {node_of(t): name for t, name in ((x, "x"), (u, "u"), (y, "y"), (square, "u·u"), (exp, "exp(u)"))}
    notes = {
        node_of(y): f"y = {y.item():.3f}\n∂y/∂y = 1",
        node_of(square): "passes on ∂y/∂u = u + u",
        node_of(exp): "passes on ∂y/∂u = exp(u)",
        node_of(u): "what arrives is added:\n∂y/∂u = 2u + exp(u)",
    }
    root = y.grad_fn
    shown = {**notes, node_of(x): f"∂y/∂x = ∂y/∂u · cos x = {gradient(fan_out, x):.3f}"}
    draw_graph(ax, root, names, shown)
    ax.set_title("Fan-out: the graph of y = u·u + exp(u), u = sin x, at x = 1; gradients (orange) go from right to left")


def picture_fan(ax, x, fan, u):
    ax.plot(x, u * u + np.exp(u), color="0.6", label="y = u·u + exp(u), u = sin x")
    ax.plot(x, fan, color="C0", linewidth=3, label="its gradient by autograd")
    ax.plot(x, (2 * u + np.exp(u)) * np.cos(x), "k--", linewidth=1, label="(2u + exp(u)) cos x")
    ax.plot(1, np.interp(1, x, fan), "o", color="C0")
    ax.set(title="All ways together", xlabel="x", ylim=(-3, 7))
    ax.legend(loc="upper left")


if __name__ == "__main__":
    main()
