"""Softmax regression: three animals in four pixels, ten digits in 64, and why it is not plain regression.

1. Grey images of 2x2 pixels are cats, chickens or dogs, labels (1,0,0), (0,1,0), (0,0,1). A linear model o = Wx + b has 3x4
   weights and 3 biases; softmax makes probabilities of the three outputs. Target: 98 % of the images that were not seen.
2. The loss is -Σ y log softmax(o) = log Σ exp(o) - Σ y o; its gradient is softmax(o) - y. Target: within 1e-12 of autograd's,
   and exp(-loss), summed over the images, is the likelihood Π P(y|x) of their labels.
3. As it is written, softmax overflows: exp(o) is infinite in float32 from o = 89 on, and infinite by infinite is no number. The
   library subtracts the largest o first. Target: exact (log Σ exp within 1e-6) up to o = 10,000, where the written form is not.
4. Regression on the one-hot labels works, too, surprisingly well, but what it says is no probability: outputs are below 0 or
   above 1, and need not sum to 1. Target on digits that were not seen: softmax 94 %, regression 90 % right, and at least a
   quarter of regression's outputs outside of [0, 1].

The picture shows images and learned weights, the gradient, the overflow, and both models' outputs. A few seconds.
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
from minidl.utils.data import DataLoader, TensorDataset, digits

ANIMALS = {"cat": [[1, 0], [0, 1]], "chicken": [[0, 1], [0, 1]], "dog": [[0, 0], [1, 1]]}
SEEN, SOFTMAX, REGRESSION, OUTSIDE = 0.98, 0.94, 0.90, 0.25


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the images, their order and the weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch, and no accuracy to reach: shows that it runs")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    train, test = animals(600), animals(600)
    net = fit(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), train, F.cross_entropy, 0.5, epochs, "animals")
    parameters, animals_right = sum(p.numel() for p in net.parameters()), accuracy(net, test)
    print(f"2x2 images: {parameters} parameters, {animals_right:.1%} of those not seen right")

    slip = max(gradient_slip(net, test), likelihood_slip(net, test[:50]))
    print(f"gradient softmax(o) - y and likelihood: at most {slip:.1g} off")
    sizes, written, stable = overflow()
    truth = sizes + np.log1p(np.exp(-sizes))  # log(e^0 + e^size)
    error = np.abs(stable / truth - 1).max()
    print(f"log Σ exp: library within {error:.1g}; as written finite up to {sizes[np.isfinite(written)].max():.0f}")

    train, test = digits(train=True), digits(train=False)
    softmax = fit(nn.Linear(64, 10), train, F.cross_entropy, 0.5, epochs, "softmax")
    regression = fit(nn.Linear(64, 10), train, squares, 0.03, epochs, "regression")
    right = {"softmax": accuracy(softmax, test), "one-hot regression": accuracy(regression, test)}
    with minidl.no_grad():
        outputs = {"softmax": F.softmax(softmax(test[:][0]), 1).numpy(), "one-hot regression": regression(test[:][0]).numpy()}
    for name, o in outputs.items():
        print(
            f"digits, {name}: {right[name]:.1%} right; outputs {o.min():+.2f} to {o.max():+.2f}, {outside(o):.1%} outside of "
            f"[0, 1], sums {o.sum(1).min():.2f} to {o.sum(1).max():.2f}"
        )

    picture(options.out / "softmax_regression.png", net, (sizes, written, stable), outputs, right)
    viz.report(None, softmax, data=test[:], picture=options.out / "softmax_regression.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'softmax_regression.png'}")
    if parameters != 15 or slip > 1e-12 or error > 1e-6 or np.isfinite(written).all():
        sys.exit("expected 15 parameters, exact gradients and likelihood, and an overflow of the written form only")
    if options.quick:
        return
    if animals_right < SEEN or right["softmax"] < SOFTMAX or right["one-hot regression"] < REGRESSION:
        sys.exit(f"expected {SEEN:.0%} of the animals, {SOFTMAX:.0%} and {REGRESSION:.0%} of the digits right")
    if outside(outputs["one-hot regression"]) < OUTSIDE or outside(outputs["softmax"]) > 0:
        sys.exit(f"expected {OUTSIDE:.0%} of regression's outputs outside of [0, 1], and none of softmax's")


def animals(n):
    """n images (n, 2, 2) with noise, and their labels."""
    labels = minidl.randint(0, 3, (n,))
    return TensorDataset(minidl.tensor(list(ANIMALS.values())).float()[labels] + 0.25 * minidl.randn(n, 2, 2), labels)


def squares(o, y):
    return ((o - F.one_hot(y, 10)) ** 2 / 2).sum(1).mean()


def fit(net, train, loss, rate, epochs, name):
    optimizer = minidl.optim.SGD(net.parameters(), lr=rate)

    @minidl.compile
    def step(x, y):
        optimizer.zero_grad()
        loss(net(x), y).backward()
        optimizer.step()

    for _ in tqdm(range(epochs), desc=name, unit="epoch", disable=None):
        for x, y in DataLoader(train, batch_size=32, shuffle=True):
            step(x, y)
    return net


def accuracy(net, data):
    x, y = data[:]
    return (net(x).argmax(1) == y).float().mean().item()


def outside(outputs):
    """The share of outputs that can be no probabilities."""
    return ((outputs < 0) | (outputs > 1)).mean()


def gradient_slip(net, data):
    """How far autograd's gradient of the loss is from softmax(o) - y."""
    o, y = net(data[:][0]).detach().double().requires_grad_(), F.one_hot(data[:][1], 3)
    loss = (o.exp().sum(1).log() - (y * o).sum(1)).sum()
    loss.backward()
    return (o.grad - (F.softmax(o, 1) - y)).abs().max().item()


def likelihood_slip(net, images):
    """How far exp(-loss) is from the product of the probabilities of the labels, relative to it."""
    x, y = images
    o = net(x).detach().double()
    likelihood = F.softmax(o, 1)[range(len(y)), y].prod()
    return abs((-F.cross_entropy(o, y, reduction="sum")).exp() / likelihood - 1).item()


def overflow():
    """Sizes, and log(e^0 + e^size) in float32 as it is written and as the library does it."""
    sizes = minidl.tensor([1, 3, 10, 30, 60, 80, 88, 100, 300, 1000, 3000, 10000]).float()
    o = minidl.stack([minidl.zeros_like(sizes), sizes], 1)
    return sizes.numpy().astype(float), o.exp().sum(1).log().numpy(), o.logsumexp(1).numpy()


def picture(path, net, lse, outputs, right):
    figure = plt.figure(figsize=(14, 9), layout="constrained")
    left, middle, other = figure.subfigures(1, 3, squeeze=False, width_ratios=[1, 1, 1.3]).flat

    left.suptitle("2x2 pixels: an image of each class, and what\nthe model weighs (blue for, red against)")
    axes = left.subplots(3, 2)
    weight, bias = net[1].weight.detach().numpy().reshape(3, 2, 2), net[1].bias.tolist()
    for i, (name, image) in enumerate(ANIMALS.items()):
        axes[i, 0].imshow(image, cmap="gray", vmin=-0.3, vmax=1.3)
        axes[i, 0].set_ylabel(f"{name}\none-hot {tuple(int(i == j) for j in range(3))}")
        axes[i, 1].imshow(weight[i], cmap="RdBu", vmin=-np.abs(weight).max(), vmax=np.abs(weight).max())
        for row, column in np.ndindex(2, 2):
            w = weight[i, row, column]
            color = "white" if abs(w) > 0.6 * np.abs(weight).max() else "black"
            axes[i, 1].text(column, row, f"{w:+.1f}", color=color, ha="center", va="center")
        axes[i, 1].set_xlabel(f"bias {bias[i]:+.2f}")
        for ax in axes[i]:
            ax.set(xticks=[], yticks=[])

    ax, below = middle.subplots(2, 1)
    o, y = np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0])
    probability = F.softmax(minidl.tensor(o), 0).numpy()
    for shift, values, color, label in (
        (-0.27, probability, "C0", "softmax(o)"),
        (0, y, "black", "label y"),
        (0.27, probability - y, "C1", "gradient softmax(o) - y"),
    ):
        bars = ax.bar(np.arange(3) + shift, values, 0.25, color=color, label=label)
        ax.bar_label(bars, [f"{v:.2f}" for v in values], fontsize=8)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set(xticks=range(3), xticklabels=[f"o = {v:.0f}" for v in o], ylim=(-1.05, 1.7))
    ax.set_title("Gradient: what is said less what is right")
    ax.legend(loc="upper left")

    sizes, written, stable = lse
    below.plot(sizes, stable, "o-", color="C0", label="library: largest o subtracted first")
    finite = np.isfinite(written)
    below.plot(sizes[finite], written[finite], "x", color="C3", markersize=9, label="as written: right up to 88")
    below.axvspan(89, sizes[-1], color="C3", alpha=0.12, label="as written: infinite")
    below.set(xscale="log", yscale="log", xlabel="largest output o", ylabel="log Σ exp(o)", title="Overflow in float32")
    below.legend(loc="upper left")

    ax, below = other.subplots(2, 1)
    bars = ax.barh(list(right), [100 * v for v in right.values()], color=["C0", "C1"])
    ax.bar_label(bars, [f"{v:.1%}" for v in right.values()], label_type="center", color="white", weight="bold")
    ax.vlines([100 * SOFTMAX, 100 * REGRESSION], [-0.4, 0.6], [0.4, 1.4], color="black", linestyle="--", label="targets")
    ax.set(xlim=(0, 100), xlabel="% right", title="Digits that were not seen: both work")
    ax.invert_yaxis()
    ax.legend(loc="center left")
    bins = np.arange(-0.6, 1.61, 0.1)
    for (name, values), color in zip(outputs.items(), ("C0", "C1"), strict=True):
        share = np.histogram(values, bins)[0] / values.size
        below.stairs(100 * share, bins, color=color, linewidth=2, label=f"{name}: {outside(values):.0%} outside of [0, 1]")
    for span in ((bins[0], 0), (1, bins[-1])):
        below.axvspan(*span, color="C3", alpha=0.12, linewidth=0)
    below.set(xlabel="output", ylabel="% of the outputs", title="But regression's outputs are no probabilities (red)")
    below.set(xlim=(bins[0], bins[-1]), ylim=(0, 110), xticks=[-0.5, 0, 0.5, 1, 1.5])
    below.legend(loc="upper right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
