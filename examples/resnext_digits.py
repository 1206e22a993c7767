"""ResNeXt: convolutions in groups, which read as well with a fraction of the numbers to learn.

A convolution of k x k from c channels to d has c d k² weights. In g groups each output channel sees only c/g input channels,
and c d k²/g weights remain: g convolutions side by side (Xie et al., 2017; Dive into Deep Learning, 8.6.5). A ResNeXt block is
a residual block, relu(x + g(x)), of three convolutions: 1 x 1, 3 x 3 in groups, 1 x 1, each with batch normalization. The 1 x 1
convolutions carry news from group to group.

Four networks read handwritten digits (8x8 pixels). They have three blocks and differ in the 3 x 3 convolutions: not in groups;
groups of 16, of 4, and of 1 channel (depthwise). Along each network the channels grow as the resolution falls, jointly: twice
as many channels, half as many rows and columns. So the numbers that stand for an image halve from one block to the next.

Target: the convolution in groups is the smaller ones side by side (to 1e-5); its weights are c d k²/g exactly; all networks
read at least 95 % of the held-out digits, and the one with groups of 4 is at most 1.5 points below the one without, with less
than half of its parameters. It takes a quarter of a minute. The picture shows the table of shapes, parameters and accuracies.
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl import viz
from minidl.models import ResNeXtBlock
from minidl.utils.data import DataLoader, digits
from minidl.utils.metrics import accuracy
from minidl.utils.train import Trainer

CHANNELS = [32, 64, 128]
WIDTHS = {"no groups": None, "groups of 16": 16, "groups of 4": 4, "depthwise": 1}  # channels in a group of a 3 x 3 convolution
TARGET, BELOW, SAME = 0.95, 0.015, 1e-5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8, help="passes over the training digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights and the order of the digits")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch, and no accuracy to reach: shows that it runs")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)
    train, test = digits(train=True, size=8), digits(train=False, size=8)

    apart = side_by_side()
    print(f"a convolution in 4 groups and 4 convolutions side by side differ by {apart:.1e}")
    rows = shapes(network(4), test[:1][0])
    for name, channels, size in rows:
        print(f"  {name:<14}{channels:>4} channels of {size} x {size}: {channels * size**2:>5} numbers")

    runs, wrong = {}, []
    for name, width in WIDTHS.items():
        minidl.manual_seed(options.seed)
        model = network(width)
        model(train[:2][0])  # from its first input a lazy layer takes its shape
        spatial = sum(block.conv2.weight.numel() for block in model if isinstance(block, ResNeXtBlock))
        if spatial != sum(c * 9 * min(c, width or c) for c in CHANNELS):  # c·c·9/g, and g is c/width
            wrong.append(f"{spatial} weights with {name}")
        start = time.perf_counter()
        norms = viz.GradientNorms(model)
        reached = fit(model, train, test, epochs, norms)
        runs[name] = spatial, sum(p.numel() for p in model.parameters()), reached
        print(
            f"{name:<13} {runs[name][1]:>7} parameters, {spatial:>7} of them in 3 x 3 convolutions; "
            f"held-out accuracy {reached:.1%}, {time.perf_counter() - start:.1f} s"
        )

    picture(rows, runs, options.out / "resnext_digits.png")
    viz.report(
        None, model, norms=norms, data=test[:], picture=options.out / "resnext_digits.png", seed=options.seed, text=__doc__
    )
    print(f"picture: {options.out / 'resnext_digits.png'}")
    dense, grouped = runs["no groups"], runs["groups of 4"]
    if wrong or apart > SAME or 2 * grouped[1] >= dense[1]:
        sys.exit(f"expected c d k²/g weights, convolutions side by side, and half of the parameters; {wrong}")
    if not options.quick and (min(run[2] for run in runs.values()) < TARGET or grouped[2] < dense[2] - BELOW):
        sys.exit(f"expected at least {TARGET:.0%} of the held-out digits, and with groups of 4 {BELOW:.1%} less at most")


def network(width):
    """(N, 1, 8, 8) → (N, 10); width: channels in a group, None for one group."""
    first, *others = CHANNELS
    blocks = [ResNeXtBlock(first, width or first, 1, use_1x1conv=True)]
    blocks += [ResNeXtBlock(c, width or c, 1, use_1x1conv=True, strides=2) for c in others]
    stem = nn.LazyConv2d(16, 3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU()
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10))


def side_by_side():
    """How far one convolution in 4 groups is from 4 convolutions of a quarter of the channels each."""
    x, weight = minidl.randn(2, 16, 8, 8), minidl.randn(32, 4, 3, 3)
    parts = [F.conv2d(x[:, 4 * i : 4 * i + 4], weight[8 * i : 8 * i + 8], padding=1) for i in range(4)]
    return (F.conv2d(x, weight, padding=1, groups=4) - minidl.cat(parts, 1)).abs().max().item()


def shapes(model, x):
    """[(layer, channels, rows)] from the image to the last block."""
    rows = [("image", 1, x.shape[-1])]
    for layer in model.eval():
        x = layer(x)
        if x.ndim == 4 and isinstance(layer, (nn.ReLU, ResNeXtBlock)):
            rows.append(("convolution" if isinstance(layer, nn.ReLU) else f"block {len(rows) - 1}", *x.shape[1:3]))
    return rows


def fit(model, train, test, epochs, norms):
    """Trains, and returns the accuracy on the held-out digits."""
    trainer = Trainer(
        epochs,
        loss=nn.CrossEntropyLoss(),
        optimizer=minidl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        scheduler=lambda optimizer: minidl.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs),
        metrics=[accuracy],
        callbacks=[norms],
    )
    return trainer.fit(model, (DataLoader(train, batch_size=64, shuffle=True), [test[:]]))[-1]["val_accuracy"]


def picture(rows, runs, path):
    figure, (table, sizes, ax) = plt.subplots(1, 3, figsize=(15, 5.5), width_ratios=[1.2, 1, 1], layout="constrained")
    top = 0.0
    for i, (name, channels, size) in enumerate(rows):  # a box as wide as its channels, as high as its rows
        width = channels / 16
        table.add_patch(Rectangle((0, top), width, size / 4, facecolor="0.6" if i == 0 else "C0", edgecolor="black"))
        numbers = channels * size**2
        table.text(width + 0.3, top + size / 8, f"{name}: {channels} × {size} × {size}, {numbers} numbers", va="center")
        top += size / 4 + 0.5
    table.set(xlim=(-0.2, 17), ylim=(top, -0.3), title="Wide: channels; high: rows. Channels grow as resolution falls")
    table.set_axis_off()

    names = list(runs)
    spatial, total, accuracies = zip(*runs.values(), strict=True)
    others = np.subtract(total, spatial)
    sizes.bar(names, others, color="0.6", label="all other parameters")
    sizes.bar(names, spatial, bottom=others, color="C0", label="3 × 3 convolutions: c d k²/g")
    sizes.bar_label(sizes.bar(names, np.zeros(len(names)), bottom=total), [f"{n:,}" for n in total])
    sizes.set(ylim=(0, 1.1 * max(total)), ylabel="parameters", title="What the networks have to learn")
    sizes.legend()
    bars = ax.bar(names, accuracies, color="C0")
    ax.bar_label(bars, [f"{accuracy:.1%}" for accuracy in accuracies])
    ax.axhline(TARGET, color="black", linestyle="--", label=f"target, {TARGET:.0%}")
    ax.set(ylim=(0, 1.2), ylabel="held-out digits read right", title="How well they read")
    ax.legend(loc="upper right")
    for axes in (sizes, ax):
        axes.tick_params(axis="x", labelrotation=20)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
