"""Why a network needs a nonlinearity, and what the three classic ones and their slopes look like.

1. ReLU, sigmoid and tanh with the derivatives that autograd finds. Targets, each within 1e-12: ReLU's slope is 0 for x <= 0 (at
   0 the left one is taken) and 1 above; sigmoid's is s(1 - s), 0.25 at most, at 0; tanh's is 1 - tanh², 1 at 0; tanh(x) + 1 =
   2 sigmoid(2x). Sigmoid stays exact at ±800, where exp overflows.
2. Affine maps, stacked, are one affine map: W2(W1x + b1) + b2 = (W2W1)x + (W2b1 + b2). Target: within 1e-12.
3. XOR: the class is 1 if exactly one input is 1. No line parts these four points, so one affine map, and three of them stacked,
   end at a loss of ln 2 = 0.693 nats, that of a coin. One hidden layer of four tanh units (Figure 2 of the notes) learns it.
   Target: ln 2 within 0.001 without the hidden layer, below 0.05 with it.

The picture shows the functions with their slopes, and what each of the three models says about every point. Some seconds.
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
import minidl.nn as nn
import minidl.nn.functional as F

EXACT, COIN, LEARNED = 1e-12, 1e-3, 0.05
FUNCTIONS = {
    "ReLU: max(x, 0)": (minidl.relu, lambda x, y: x > 0),
    "sigmoid: 1/(1 + exp(-x))": (minidl.sigmoid, lambda x, y: y * (1 - y)),
    "tanh": (minidl.tanh, lambda x, y: 1 - y**2),
}
MODELS = {
    "one affine map": lambda: nn.Linear(2, 1),
    "three affine maps, stacked": lambda: nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 1)),
    "a hidden layer of 4 tanh units": lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)),
}
POINTS = minidl.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = minidl.tensor([[0.0], [1.0], [1.0], [0.0]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000, help="of each model on XOR (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="20 steps, and no loss to reach: shows that it runs")
    options = parser.parse_args()
    steps = 20 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    x = minidl.linspace(-6, 6, 241, dtype=minidl.float64).requires_grad_()
    curves = {name: values_and_slopes(f, x) for name, (f, _) in FUNCTIONS.items()}
    at = x.detach().numpy()
    slip = max(np.abs(curves[name][1] - slope(at, curves[name][0])).max() for name, (_, slope) in FUNCTIONS.items())
    slip = max(slip, (x.tanh() + 1 - 2 * (2 * x).sigmoid()).abs().max().item())
    far = minidl.sigmoid(minidl.tensor([-800.0, 800.0])).tolist()
    slopes = [slope[at == 0][0] for _, slope in curves.values()]
    print(f"slopes at 0: ReLU {slopes[0]:g}, sigmoid {slopes[1]:g}, tanh {slopes[2]:g}; formulas within {slip:.1g}")
    print(f"sigmoid(-800), sigmoid(800) = {far}")

    nets, losses = {}, {}
    for name, make in MODELS.items():
        nets[name] = make()
        losses[name] = fit(nets[name], steps, name)
        print(f"XOR, {name}: loss {losses[name]:.4f}, probabilities {said(nets[name])}, labels 0 1 1 0")
    collapse = collapse_slip(nets["three affine maps, stacked"])
    print(f"three affine maps against one: within {collapse:.1g}")

    picture(options.out / "activations.png", at, curves, nets, losses)
    print(f"picture: {options.out / 'activations.png'}")
    if max(slip, collapse) > EXACT or slopes != [0, 0.25, 1] or far != [0, 1]:
        sys.exit(f"expected slopes 0, 0.25 and 1 at 0, and formulas and the collapsed map within {EXACT}")
    *affine, hidden = losses.values()
    if not options.quick and (any(abs(loss - math.log(2)) > COIN for loss in affine) or hidden > LEARNED):
        sys.exit(f"expected a loss of ln 2 within {COIN} from affine maps, and below {LEARNED} with a hidden layer")


def values_and_slopes(f, x):
    x = x.detach().requires_grad_()
    y = f(x)
    y.sum().backward()
    return y.detach().numpy(), x.grad.numpy()


def fit(net, steps, name):
    optimizer = minidl.optim.SGD(net.parameters(), lr=0.2, momentum=0.9)

    @minidl.compile  # thousands of steps of a few microseconds: the program takes a fifth of the time
    def step():
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(net(POINTS), XOR).backward()
        optimizer.step()

    for _ in tqdm(range(steps), desc=name, unit="step", disable=None):
        step()
    return F.binary_cross_entropy_with_logits(net(POINTS), XOR).item()


def said(net):
    return " ".join(f"{p:.2f}" for p in net(POINTS).sigmoid().flatten().tolist())


def collapse_slip(net):
    """How far the stacked maps are from the one affine map whose weights and biases are multiplied out."""
    weight, bias = minidl.eye(2, dtype=minidl.float64), minidl.zeros(2, dtype=minidl.float64)
    x = minidl.randn(100, 2, dtype=minidl.float64)
    y = x
    for layer in net:
        weight, bias = layer.weight.double() @ weight, layer.weight.double() @ bias + layer.bias.double()
        y = F.linear(y, layer.weight.double(), layer.bias.double())
    return (y - F.linear(x, weight, bias)).abs().max().item()


def picture(path, x, curves, nets, losses):
    figure, (above, below) = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    for ax, (name, (y, slope)) in zip(above, curves.items(), strict=True):
        ax.axhline(0, color="0.6", linewidth=0.6)
        ax.axvline(0, color="0.6", linewidth=0.6)
        ax.plot(x, y, color="C0", label="value")
        kinked = slope if "ReLU" not in name else np.where(np.abs(np.diff(slope, prepend=0)) > 0.5, np.nan, slope)
        ax.plot(x, kinked, color="C1", label="slope")
        at_zero = slope[x == 0][0]
        ax.plot(0, at_zero, "o", color="C1", label=f"slope at 0: {at_zero:g}")
        ax.set(title=name, xlabel="x", ylim=(-1.2, 2), xlim=(-6, 6))
        ax.legend(loc="upper left")

    ticks = np.linspace(-0.5, 1.5, 101)
    grid = minidl.tensor(np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2), dtype=minidl.float32)
    for ax, (name, net) in zip(below, nets.items(), strict=True):
        said = net(grid).sigmoid().detach().numpy().reshape(101, 101)
        shown = ax.contourf(ticks, ticks, said, np.linspace(0, 1, 20), cmap="RdBu")
        if said.min() < 0.45 and said.max() > 0.55:
            ax.contour(ticks, ticks, said, [0.5], colors="black", linestyles="--")
        for (a, b), label in zip(POINTS.tolist(), XOR.flatten().tolist(), strict=True):
            ax.plot(a, b, "o", markersize=16, markeredgecolor="black", color="C0" if label else "C3")
            ax.text(a, b, f"{label:.0f}", ha="center", va="center", color="white", weight="bold")
        outcome = "it learned nothing" if losses[name] > 0.6 else "learned"
        ax.set(title=f"XOR, {name}\nloss {losses[name]:.4f} nats: {outcome}", xlabel="first input", ylabel="second input")
        ax.set_aspect("equal")
    figure.colorbar(shown, ax=below, label="probability of class 1", ticks=[0, 0.25, 0.5, 0.75, 1], shrink=0.8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
