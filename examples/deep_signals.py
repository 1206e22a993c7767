"""What happens to numbers and gradients on their way through many layers, and how weights are initialised because of it.

1. A product of 100 random 4x4 matrices, entries N(0, 1), stretches a vector up to some 1e21 to 1e26 times; each
   divided by 4, hardly anything is left of it. Orthogonal matrices neither stretch nor shrink. Target: between 1e20 and 1e32,
   below 1e-20, and 1 within 1e-4.
2. Sigmoid's slope is 0.25 at most and 3.4e-4 at ±8: where a unit is saturated, hardly any gradient passes. Target: 3.3524e-4.
3. Hidden units that start with the same weights get the same gradients, and stay the same for ever. Target: after 500 steps no
   difference at all; from random weights they differ by 0.1 or more, and the loss is less than half of the other's.
4. Layers 256 wide, 30 of them: the size (root mean square) of what each passes on, and of the gradient that reaches it. With
   ReLU, He's weights N(0, 2/n_in) keep both within a factor of 4; Xavier's U(±√(6/(n_in + n_out))) lose a factor √2 in each
   layer, nn.Linear's default U(±1/√n_in) √6 (training copes with few layers, not with 30), N(0, 0.01²) nearly all, and N(0, 1)
   explodes. With tanh, Xavier's lose little: above 0.1 after 30 layers, where the default leaves less than 1e-5.

The picture shows all of it. Some seconds.
"""

import argparse
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
from minidl import viz

WIDTH, DEPTH = 256, 30
DEFAULT = "default of nn.Linear"
INITS = {  # how weights are filled; color and line
    "He": (lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"), "C0", "-"),
    "Xavier": (nn.init.xavier_uniform_, "C1", "-"),
    DEFAULT: (lambda w: w, "C1", "--"),
    "N(0, 0.01²)": (lambda w: nn.init.normal_(w, std=0.01), "C3", "--"),
    "N(0, 1)": (nn.init.normal_, "C3", "-"),
}
MATRICES = {
    "N(0, 1): explodes": (lambda: minidl.randn(4, 4, dtype=minidl.float64), "C3", "-"),
    "orthogonal: keeps its size": (lambda: nn.init.orthogonal_(minidl.empty(4, 4, dtype=minidl.float64)), "C0", "-"),
    "N(0, 1)/4: vanishes": (lambda: minidl.randn(4, 4, dtype=minidl.float64) / 4, "C3", "--"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="of training in part 3 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for all weights and inputs")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="10 steps, and no target for part 3: shows that it runs")
    options = parser.parse_args()
    steps = 10 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    products = {name: product(make) for name, (make, _, _) in MATRICES.items()}
    print("100 matrices: " + "; ".join(f"{name} ({sizes[-1]:.3g})" for name, sizes in products.items()))
    x = minidl.linspace(-8, 8, 161, dtype=minidl.float64).requires_grad_()
    x.sigmoid().sum().backward()
    slope = x.grad.numpy()
    print(f"slope of sigmoid: {slope.max():.4f} at 0, {slope[-1]:.4e} at 8")
    inputs = minidl.randn(64, 2)
    units = {name: hidden_units(inputs, same, steps) for name, same in (("the same weights", True), ("random weights", False))}
    for name, (_, apart, loss) in units.items():
        print(f"hidden units from {name}: at most {apart:.3g} apart, loss {loss:.4f}")
    signals = {}
    with tqdm(total=2 * len(INITS), desc="initialisations", disable=None) as bar:
        for activation in ("relu", "tanh"):
            for name, (fill, _, _) in INITS.items():
                signals[activation, name] = forward, backward = through_layers(activation, fill)
                arrives = f"size {forward[-1]:.2g} arrives after {DEPTH} layers, {backward[0]:.2g} of the gradient"
                print(f"{activation}, {name}: {arrives}")
                bar.update()

    picture(options.out / "deep_signals.png", products, x.detach().numpy(), slope, units, signals)
    viz.report(picture=options.out / "deep_signals.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'deep_signals.png'}")
    explodes, orthogonal, vanishes = (sizes[-1] for sizes in products.values())
    if not 1e20 < explodes < 1e32 or abs(orthogonal - 1) > 1e-4 or vanishes > 1e-20 or abs(slope[-1] - 3.3524e-4) > 1e-8:
        sys.exit("expected products around 1e25, of size 1 and below 1e-20, and a slope of 3.3524e-4 at 8")
    he, tanh = signals["relu", "He"], signals["tanh", "Xavier"]
    if not all(1 / 4 < size < 4 for sizes in he for size in sizes):
        sys.exit("expected He's weights to keep signals and gradients within a factor of 4 behind ReLU")
    if tanh[0][-1] < 0.1 or max(signals[a, DEFAULT][0][-1] for a in ("relu", "tanh")) > 1e-5:
        sys.exit("expected Xavier's weights to keep signals behind tanh, and the default to lose them")
    (_, same, stuck), (_, apart, learned) = units.values()
    if same != 0 or (not options.quick and (apart < 0.1 or learned > stuck / 2)):
        sys.exit("expected units with the same weights to stay the same, and others to part and learn")


def product(make):
    """The spectral norm of the product after each of 100 matrices."""
    m, sizes = minidl.eye(4, dtype=minidl.float64), []
    for _ in range(100):
        m = m @ make()
        sizes.append(np.linalg.norm(m.numpy(), 2))
    return sizes


def hidden_units(x, same, steps):
    """(weights of each step (steps, 4, 2), how far two units are apart at the end, loss) of a network with 4 hidden units.

    It learns whether the two inputs have the same sign.
    """
    y = (x[:, :1] * x[:, 1:]).sign()
    first = nn.Linear(2, 4)
    net = nn.Sequential(first, nn.Tanh(), nn.Linear(4, 1))
    if same:
        for parameter in net.parameters():
            nn.init.constant_(parameter, 0.3)
    optimizer, history = minidl.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), []
    for _ in tqdm(range(steps), desc="the same" if same else "random", unit="step", disable=None):
        history.append(first.weight.detach().numpy().copy())
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
    last = first.weight.detach().numpy()
    return np.array(history), np.abs(last[:, None] - last).max(), loss.item()


def through_layers(activation, fill):
    """(size of the input and of each layer's output, size of the gradient at the same places): root mean squares, from 1."""
    act = getattr(F, activation)
    x = minidl.randn(64, WIDTH, requires_grad=True)
    values = [x]
    with np.errstate(over="ignore"):
        for _ in range(DEPTH):
            layer = nn.Linear(WIDTH, WIDTH, bias=False)
            fill(layer.weight)
            values.append(act(layer(values[-1])))
            values[-1].retain_grad()
        values[-1].backward(minidl.randn(64, WIDTH))
    return [size(v) for v in values], [size(v.grad) for v in values]


def size(v):
    return float(np.sqrt(np.mean(v.detach().numpy().astype(float) ** 2)))


def picture(path, products, x, slope, units, signals):
    figure, axes = plt.subplots(2, 3, figsize=(15, 9), layout="constrained")
    ax = axes[0, 0]
    for (name, sizes), (_, color, style) in zip(products.items(), MATRICES.values(), strict=True):
        ax.plot(range(1, 101), sizes, style, color=color, label=name)
    ax.set(yscale="log", xlabel="matrices multiplied", ylabel="largest stretch (spectral norm)")
    ax.set_title("Products of random 4x4 matrices")
    ax.legend(loc="upper left")

    ax = axes[0, 1]
    ax.plot(x, 1 / (1 + np.exp(-x)), color="C0", label="sigmoid")
    ax.plot(x, slope, color="C1", label="its slope: 0.25 at 0")
    ax.annotate(f"{slope[-1]:.2g} at 8", (8, slope[-1]), (4.2, 0.28), arrowprops={"arrowstyle": "->"})
    ax.set(xlabel="x", ylim=(-0.05, 1.05), title="Saturated units pass no gradient")
    ax.legend(loc="center left")

    ax = axes[0, 2]
    for (name, (history, apart, loss)), color in zip(units.items(), ("C3", "C0"), strict=True):
        for unit in range(4):
            label = f"4 units from {name}: {apart:.2g} apart, loss {loss:.2f}"
            ax.plot(*history[:, unit].T, color=color, linewidth=1 + 4 * (color == "C3"), label=None if unit else label)
            ax.plot(*history[-1, unit], "o", color=color, markersize=9)
    ax.set(xlabel="first weight", ylabel="second weight", title="Hidden units in training (point: the end)")
    ax.margins(y=0.25)
    ax.legend(loc="upper center")

    for ax, activation, which, title in (
        (axes[1, 0], "relu", 0, f"ReLU: what {DEPTH} layers pass on"),
        (axes[1, 1], "relu", 1, "ReLU: the gradient on its way back"),
        (axes[1, 2], "tanh", 0, f"tanh: what {DEPTH} layers pass on"),
    ):
        for name, (_, color, style) in INITS.items():
            ax.plot(signals[activation, name][which], style, color=color, label=name)
        ax.axhline(1, color="black", linestyle="--", linewidth=0.8, label="aim: the size stays")
        ax.set(yscale="log", ylim=(1e-16, 1e16), xlabel="layer", ylabel="size (root mean square)", title=title)
    axes[1, 2].set_ylim(1e-16, 1e3)
    grown = signals["tanh", "N(0, 1)"][1][0]
    axes[1, 2].text(8, 3, f"N(0, 1): saturated,\nand the gradient grows {grown:.0e}-fold", color="C3")
    axes[1, 0].legend(loc="upper right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
