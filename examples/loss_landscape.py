"""Why deep networks need skips: their loss, seen over a plane of parameters.

Two networks of 42 layers learn handwritten digits from the same numbers to begin with, in the same order. The one has skips
around every second layer (He et al., 2016), the other is the same without. The loss of both is then computed over a plane
through what they have learned, along two random directions whose filters are as long as the network's (Li et al., 2018,
Visualizing the Loss Landscape of Neural Nets), which is `minidl.viz.loss_landscape`. Below, the same along the two directions
in which the training moved most, with its path.

With skips there is a wide basin, and the training goes down into it. Without them there is a plain on which the loss hardly
changes; the first gradients throw the weights far away (mind the scale of the axes), and nothing leads down from there.
Target: the loss is below 0.5 on at least 10 % of the plane with skips, and on at most 3 % of it without.
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
from minidl.utils.data import digits

WIDTH, BLOCKS, LOW = 32, 20, 0.5
WITH, WITHOUT = 0.1, 0.03  # shares of the plane with a loss below LOW
LEVELS = np.geomspace(0.02, 20, 25)


class Block(nn.Module):
    def __init__(self, skip):
        super().__init__()
        self.skip = skip
        first, second = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.body = nn.Sequential(first, nn.BatchNorm1d(WIDTH), nn.ReLU(), second, nn.BatchNorm1d(WIDTH))

    def forward(self, x):
        y = self.body(x)
        return (x + y if self.skip else y).relu()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15, help="of the training (default: %(default)s)")
    parser.add_argument("--points", type=int, default=15, help="places along each axis of a plane (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for weights, batches and directions")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch and few places, to show that it runs")
    options = parser.parse_args()
    if min(options.epochs, options.points - 1, options.seed + 1) < 1 or options.out.is_file():
        parser.error("expected 1 epoch and 2 points or more, a seed of 0 or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.quick:
        options.epochs, options.points = 1, 5

    x, y = digits(train=True).tensors
    few = x[::3], y[::3]  # enough to know the loss by
    found = {}
    for skip in (True, False):
        minidl.manual_seed(options.seed)
        model = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), *[Block(skip) for _ in range(BLOCKS)], nn.Linear(WIDTH, 10))
        snapshots = train(model, x, y, options.epochs, options.seed)

        def loss(model=model):
            return F.cross_entropy(model(few[0]), few[1])

        # In training mode: the means of batch norm are those of the weights at each place.
        plane = viz.loss_landscape(model, loss, points=options.points, seed=options.seed, train=True)
        path = viz.loss_landscape(model, loss, snapshots, points=options.points, train=True)
        found[skip] = plane, path, float((plane.loss < LOW).mean()), float(plane.loss[len(plane.y) // 2, len(plane.x) // 2])

    picture(found, options.out / "loss_landscape.png")
    (*_, wide, low), (*_, narrow, high) = found[True], found[False]
    print(f"loss {low:.3f} with skips, {high:.3f} without; below {LOW} on {wide:.1%} and {narrow:.1%} of the plane")
    print(f"picture: {options.out / 'loss_landscape.png'}")
    if not options.quick and (wide < WITH or narrow > WITHOUT):
        sys.exit(f"expected at least {WITH:.0%} with skips and at most {WITHOUT:.0%} without")


def train(model, x, y, epochs, seed):
    """Momentum and weight decay, batches of 128; gives copies of the parameters, four for each epoch."""
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    rng, steps = np.random.default_rng(seed), len(x) // 128
    snapshots = viz.Snapshots(model, every=max(1, steps // 4))
    for _ in tqdm(range(epochs), unit="epoch", disable=None):
        order = rng.permutation(len(x))
        for batch in np.split(order[: steps * 128], steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            snapshots()
    return snapshots


def picture(found, path):
    figure, axes = plt.subplots(2, 2, figsize=(11.5, 10), layout="constrained")
    for column, (skip, (plane, way, share, here)) in enumerate(found.items()):
        name = "with skips" if skip else "without skips"
        title = f"{2 * BLOCKS + 2} layers {name}: loss {here:.2g},\nbelow {LOW} on {share:.1%} of the plane"
        plane.draw(axes[0, column], title, LEVELS)
        way.draw(axes[1, column], f"{name}, along the path of its training", LEVELS)
        axes[0, column].legend(loc="upper right")
    axes[1, 0].legend(loc="best")
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
