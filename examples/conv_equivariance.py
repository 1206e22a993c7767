"""What a convolution takes for granted: that the parts of an image may be anywhere, and that neighbours belong together.

1. Moved image, moved answer: a convolution computes the same thing at every place (translation equivariance). Target: to
   convolve a moved digit gives the moved convolution of the digit, up to rounding.
2. Max-pooling forgets where: the larger the window, the less a move by one pixel changes the answer (approximate invariance).
   Target: smaller with every window, and no change at all when the window is the whole image.
3. An MLP does not know which pixels are neighbours. With the pixels of all images in one other order, always the same, it
   learns the same; a convolutional network loses what it took for granted. Target: over three runs, with 359 digits to learn
   from and 1,438 to test on, the MLP's accuracy stays within half a point, the CNN's falls by at least one. It takes some ten
   seconds.
"""

import argparse
import sys
import time
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
from minidl.utils.data.transforms import pad, shift
from minidl.utils.train import Trainer

WINDOWS = [1, 2, 4, 8, 16, 32]
MLP_STAYS, CNN_FALLS = 0.005, 0.01


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training digits (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="trainings of each kind to average over (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights and all orders")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument(
        "--quick", action="store_true", help="one run of two epochs, and no accuracy to reach: shows that it runs"
    )
    options = parser.parse_args()
    epochs, runs = (2, 1) if options.quick else (options.epochs, options.runs)
    if epochs < 1 or runs < 1 or options.out.is_file():
        parser.error("expected 1 epoch and 1 run or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    minidl.manual_seed(options.seed)
    images = pad(digits(train=False, size=20)[:100][0], 6)  # 32x32, with room to move
    conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
    maps, difference = equivariance(conv, images)
    print(f"convolution of a moved image - moved convolution: at most {difference}")
    changes = invariance(conv, images)
    print("change by a move of one pixel:", ", ".join(f"{c:.1%} ({w}x{w})" for w, c in zip(WINDOWS, changes, strict=True)))

    start = time.perf_counter()
    order = minidl.randperm(64)
    accuracies = compare(order, epochs, runs, options.seed)
    print(f"{4 * runs} trainings in {time.perf_counter() - start:.1f} s")
    for name, (plain, scrambled) in accuracies.items():
        print(f"{name}: {plain:.1%} of the test digits right, {scrambled:.1%} with scrambled pixels")

    picture(images[0], maps, changes, order, accuracies, options.out / "conv_equivariance.png")
    viz.report(picture=options.out / "conv_equivariance.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'conv_equivariance.png'}")
    if max(difference, changes[-1]) > 1e-6 or changes != sorted(changes, reverse=True):
        sys.exit("expected equivariance, and with every larger window of pooling more invariance")
    if not options.quick and (abs(np.subtract(*accuracies["MLP"])) > MLP_STAYS or np.subtract(*accuracies["CNN"]) < CNN_FALLS):
        sys.exit(f"expected the MLP's accuracy to stay within {MLP_STAYS:.1%}, the CNN's to fall by {CNN_FALLS:.1%} or more")


@minidl.no_grad()
def equivariance(conv, images):
    """The maps of the first image and of that image moved, and the largest difference between the two ways to the latter."""
    moved, answer = conv(shift(images, 3, -2)), conv(images)
    return (answer[0], moved[0]), (moved - shift(answer, 3, -2)).abs().max().item()


@minidl.no_grad()
def invariance(conv, images):
    """For each window of max-pooling: how much a move by one pixel changes its output, relative to the output's size."""
    here, there = F.relu(conv(images)), F.relu(conv(shift(images, 0, 1)))
    changes = []
    for window in WINDOWS:
        before, after = F.max_pool2d(here, window), F.max_pool2d(there, window)
        changes.append(((after - before).norm() / before.norm()).item())
    return changes


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def scramble(images, order):
    """The pixels of all images (N, 1, 8, 8) in another order, the same for each."""
    return images.flatten(1)[:, order].reshape(images.shape)


def compare(order, epochs, runs, seed):
    """For both networks (accuracy, accuracy with scrambled pixels), each the mean over some runs."""
    (x, y), (test_x, test_y) = (digits(train, fraction=0.8, size=8)[:] for train in (True, False))
    accuracies = {}
    bar = tqdm(total=4 * runs, unit="training", disable=None)
    for name, make in {"MLP": mlp, "CNN": cnn}.items():
        means = []
        for change in (lambda images: images), (lambda images: scramble(images, order)):
            data, right = TensorDataset(change(x), y), []
            for run in range(runs):
                minidl.manual_seed(seed + run)
                model = fit(make(), data, epochs)
                with minidl.no_grad():
                    right.append((model(change(test_x)).argmax(1) == test_y).float().mean().item())
                bar.update()
            means.append(sum(right) / runs)
        accuracies[name] = tuple(means)
    bar.close()
    return accuracies


def fit(model, data, epochs):
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    trainer = Trainer(epochs, loss=nn.CrossEntropyLoss(), optimizer=optimizer, progress=False)  # the bar is of all models
    trainer.fit(model, DataLoader(data, batch_size=32, shuffle=True))
    return model


def picture(image, maps, changes, order, accuracies, path):
    figure, axes = plt.subplots(2, 4, figsize=(14, 7), layout="constrained")
    bound = maps[0][0].abs().max().item()
    small = digits(train=False, size=8)[:1][0]
    shown = [
        (axes[0, 0], image[0], "A digit"),
        (axes[0, 1], maps[0][0], "Convolved"),
        (axes[0, 2], shift(image, 3, -2)[0], "Moved"),
        (axes[0, 3], maps[1][0], "Moved and convolved"),
        (axes[1, 1], small[0, 0], "Neighbours as they are"),
        (axes[1, 2], scramble(small, order)[0, 0], "Scrambled, always in the same order"),
    ]
    for ax, pixels, title in shown:
        convolved = "onvolved" in title
        ax.imshow(
            pixels.numpy(), cmap="RdBu" if convolved else "gray_r", **({"vmin": -bound, "vmax": bound} if convolved else {})
        )
        ax.set(title=title, xticks=[], yticks=[])

    axes[1, 0].bar([str(w) for w in WINDOWS], changes)
    axes[1, 0].set(xlabel="window of max-pooling", title="Change when the digit moves by 1 pixel")
    axes[1, 0].yaxis.set_major_formatter("{x:.0%}")
    errors = 1 - np.array(list(accuracies.values()))
    for column, (shift_by, color, label) in enumerate([(-0.2, "C0", "as they are"), (0.2, "C1", "scrambled")]):
        bars = axes[1, 3].bar(np.arange(2) + shift_by, errors[:, column], 0.38, color=color, label=label)
        axes[1, 3].bar_label(bars, [f"{error:.1%}" for error in errors[:, column]])
    axes[1, 3].set(xticks=[0, 1], xticklabels=list(accuracies), ylim=(0, 1.4 * errors.max()), title="Test digits read wrong")
    axes[1, 3].legend()
    axes[1, 3].yaxis.set_major_formatter("{x:.0%}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
