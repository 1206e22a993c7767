"""Layer norm against batch norm: over what mean and variance are taken, and what follows from it.

Batch norm takes them over a batch, for each feature; layer norm over the features, for each observation. So layer norm's output
for a digit does not depend on the digits beside it, is the same in training and in use, and does not change if the whole input
is scaled. For [[1, 2], [2, 3]] they give [[-1, -1], [1, 1]] and [[-1, 1], [-1, 1]] (Dive into Deep Learning, 8.5.2.3).

A perceptron with two hidden layers of 64 units reads handwritten digits (8x8 pixels), with either norm and without, in batches
of 1 to 64, always for the same number of digits. Batch norm refuses a batch of 1: x - mean is 0, nothing would remain of it. In
a batch of 2 each feature becomes -1 or 1, whatever it was: means of two are noise, and the running means that are used
afterwards do not fit what was learned with. Target, on held-out digits, after 3 epochs:
- layer norm reads at least 90 % at every size;
- batch norm refuses 1, reads at least 20 points fewer than layer norm at 2, and at least 90 % at 16 and more;
- the two tables come out to four digits (±0.99998), layer norm of a digit changes by less than 1e-5 with its neighbours and
  batch norm by more than 0.1.
It takes six seconds. The picture shows what is averaged over what, and the accuracies.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from tqdm import tqdm

import minidl
import minidl.nn as nn
from minidl import viz
from minidl.utils.data import DataLoader, digits
from minidl.utils.metrics import accuracy
from minidl.utils.train import Trainer

SIZES = [1, 2, 4, 16, 64]
NORMS = {"batch norm": nn.BatchNorm1d, "layer norm": nn.LayerNorm, "none": None}
COLORS = {"batch norm": "C1", "layer norm": "C0", "none": "0.6"}
TARGET, BELOW, ALIKE, DIFFERENT = 0.9, 0.2, 1e-5, 0.1
TABLE = [[1.0, 2.0], [2.0, 3.0]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training digits (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights and the order of the digits")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="batches of 16 and 64, one epoch, no accuracy to reach")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    train, test = digits(train=True), digits(train=False)

    x = minidl.tensor(TABLE)
    tables = {"batch norm": nn.BatchNorm1d(2)(x).detach(), "layer norm": nn.LayerNorm(2)(x).detach()}
    for name, y in tables.items():
        print(f"{name} of {TABLE}: {[[round(v, 5) for v in row] for row in y.tolist()]}")
    one = 0.99998
    stated = {"batch norm": [[-one, -one], [one, one]], "layer norm": [[-one, one], [-one, one]]}
    right = all(np.abs(tables[name].numpy() - stated[name]).max() < 5e-5 for name in tables)
    changes = {name: neighbours(NORMS[name](64), train[:64][0]) for name in tables}
    print("a digit among other digits:", *(f"{name} changes it by {change:.2g}" for name, change in changes.items()), sep="  ")

    sizes = SIZES[-2:] if options.quick else SIZES
    runs = [(name, size) for size in sizes for name in NORMS]
    accuracies = {}
    with tqdm(runs, unit="training", disable=None) as bar:
        for name, size in bar:
            bar.set_description(f"{name}, batches of {size}")
            minidl.manual_seed(options.seed)
            accuracies[name, size] = fit(network(name), train, test, size, epochs, options.rate)
    for size in sizes:
        told = (f"{name} {accuracies[name, size]:6.1%}" if accuracies[name, size] else f"{name} refuses" for name in NORMS)
        print(f"batches of {size:>2}:", *told, sep="  ")

    picture(tables, sizes, accuracies, options.out / "layer_norm.png")
    viz.report(picture=options.out / "layer_norm.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'layer_norm.png'}")
    if not right or changes["layer norm"] > ALIKE or changes["batch norm"] < DIFFERENT:
        sys.exit(f"expected {stated}, and only batch norm to depend on the other digits")
    if options.quick:
        return
    layer, batch = ([accuracies[name, size] for size in sizes] for name in ("layer norm", "batch norm"))
    if min(layer) < TARGET or min(batch[3:]) < TARGET or batch[0] is not None or batch[1] > layer[1] - BELOW:
        sys.exit(f"expected {TARGET:.0%} with layer norm, and with batch norm from 16 on, {BELOW:.0%} less at 2, none at 1")


def network(name):
    """(N, 64) → (N, 10)"""
    norm = NORMS[name]
    layers = []
    for _ in range(2):
        layers += [nn.Linear(64, 64), norm(64) if norm else nn.Identity(), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def neighbours(norm, x):
    """By how much the output for the first 8 rows changes if the other rows are exchanged for darker ones."""
    darker = minidl.cat([x[:8], 0.5 * x[8:].flip(0)])
    return (norm(x)[:8] - norm(darker)[:8]).abs().max().item()


def fit(model, train, test, size, epochs, rate):
    """The accuracy on the held-out digits, or None where batch norm refuses a batch of one."""
    optimizer = minidl.optim.SGD(model.parameters(), lr=rate)
    trainer = Trainer(epochs, loss=nn.CrossEntropyLoss(), optimizer=optimizer, metrics=[accuracy], progress=False)
    loader = DataLoader(train, batch_size=size, shuffle=True, drop_last=True)
    try:
        return trainer.fit(model, (loader, [test[:]]))[-1]["val_accuracy"]
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        return None


def picture(tables, sizes, accuracies, path):
    figure = plt.figure(figsize=(14, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1, 1.5]).flat
    for ax, (name, y) in zip(left.subplots(2, 1), tables.items(), strict=True):
        ax.imshow(TABLE, cmap="Greys", vmin=0, vmax=12)
        for i, row in enumerate(TABLE):
            for j, value in enumerate(row):
                ax.text(j, i, f"{value:.0f}\n↓\n{y[i, j].item():+.4f}", ha="center", va="center")
        for k in range(2):  # what is averaged together
            corner, width, height = ((k - 0.46, -0.46), 0.92, 1.92) if name == "batch norm" else ((-0.46, k - 0.46), 1.92, 0.92)
            ax.add_patch(Rectangle(corner, width, height, fill=False, color=COLORS[name], linewidth=3))
        over = "each feature, over the batch" if name == "batch norm" else "each observation, over its features"
        ax.set(xticks=[0, 1], yticks=[0, 1], xlabel="feature", ylabel="observation", title=f"{name}: {over}")

    ax = right.subplots()
    for i, (name, color) in enumerate(COLORS.items()):
        values = [accuracies[name, size] for size in sizes]
        places = np.arange(len(sizes)) + 0.27 * (i - 1)
        bars = ax.bar(places, [value or 0 for value in values], 0.25, color=color, label=name)
        ax.bar_label(bars, [f"{value:.0%}" if value else "refuses" for value in values], fontsize=9)
    ax.axhline(TARGET, color="black", linestyle="--", label=f"target for layer norm, {TARGET:.0%}")
    ax.axhline(0.1, color="black", linestyle=":", linewidth=1, label="guessing")
    ax.set(xticks=range(len(sizes)), xticklabels=sizes, xlabel="digits in a batch", ylabel="held-out digits read right")
    ax.set(ylim=(0, 1.25), title="The same digits, weights and learning rate")
    ax.legend(loc="upper center", ncols=3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
