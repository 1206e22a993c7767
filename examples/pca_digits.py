"""Principal components of handwritten digits: the directions in which 64 pixels vary most, and what a few of them keep.

1. PCA of 1,438 digits (8×8). How much variance the first directions explain; the mean and the first directions as images.
2. Two coordinates already set some digits apart.
3. A digit from 2, 5, 10, 20 and 40 of its 64 coordinates. What is lost, on average, is the variance in the other directions.
4. A linear autoencoder, which learns 64 → 8 → 64 with the squared error, finds the same subspace: nobody told it of variance.

Target: the error of each reconstruction is the discarded variance (to 0.1 %), 20 directions explain 85 % or more, and the
angles between the autoencoder's subspace and that of the first 8 directions are below 5°. Some seconds.
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
from minidl import viz
from minidl.decomposition import PCA
from minidl.linalg import qr, svdvals
from minidl.optim import Adam
from minidl.optim.lr_scheduler import CosineAnnealingLR
from minidl.utils.data import digits

KEPT, WIDTH = (2, 5, 10, 20, 40), 8


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="of the autoencoder (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the autoencoder's weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="20 steps, and no target for the angles: shows that it runs")
    options = parser.parse_args()
    steps = 20 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    X, labels = digits().tensors
    whole = PCA().fit(X)
    variances = whole.explained_variance_.numpy()
    lost, discarded = {}, {}
    for k in KEPT:
        pca = PCA(k).fit(X)
        lost[k] = ((pca.inverse_transform(pca.transform(X)) - X) ** 2).sum().item() / (len(X) - 1)
        discarded[k] = variances[k:].sum()
        print(f"{k:2} directions explain {pca.explained_variance_ratio_.sum().item():.1%}; lost {lost[k]:.4f}, ", end="")
        print(f"discarded variance {discarded[k]:.4f}")
    minidl.manual_seed(options.seed)
    angles = autoencoder(X - whole.mean_, whole.components_[:WIDTH], steps)
    print(f"largest angle between the autoencoder's {WIDTH} directions and PCA's: {angles[-1].max():.2f}°")
    picture(options.out / "pca_digits.png", X, labels, whole, lost, discarded, angles)
    viz.report(picture=options.out / "pca_digits.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'pca_digits.png'}")
    if any(abs(lost[k] / discarded[k] - 1) > 1e-3 for k in KEPT):
        sys.exit("expected to lose the discarded variance, to 0.1 %")
    if whole.explained_variance_ratio_[:20].sum().item() < 0.85:
        sys.exit("expected 20 directions to explain 85 % of the variance")
    if not options.quick and angles[-1].max() > 5:
        sys.exit("expected angles below 5° between the two subspaces")


def autoencoder(X, components, steps):
    """The principal angles to the subspace of the components, in degrees, each tenth step: (…, WIDTH)."""
    down = (0.1 * minidl.randn(64, WIDTH)).requires_grad_()
    up = (0.1 * minidl.randn(WIDTH, 64)).requires_grad_()
    optimizer = Adam([down, up], lr=0.02)
    scheduler = CosineAnnealingLR(optimizer, steps)
    angles = []
    bar = tqdm(range(steps), desc="autoencoder", unit="step", disable=None)
    for step in bar:
        loss = ((X @ down @ up - X) ** 2).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        if step % 10 == 0 or step == steps - 1:
            cosines = svdvals(components @ qr(up.detach().T).Q)
            angles.append(np.degrees(np.arccos(np.clip(cosines.numpy(), 0, 1))))
            bar.set_postfix(angle=f"{angles[-1].max():.1f}°")
    return np.array(angles)


def picture(path, X, labels, whole, lost, discarded, angles):
    figure = plt.figure(figsize=(14, 10), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[1.5, 0.75, 1.15])
    above, middle, below = (figure.add_subfigure(grid[i]) for i in range(3))
    left, center, right = above.subplots(1, 3)

    ratio = whole.explained_variance_ratio_.numpy()
    numbers = np.arange(1, len(ratio) + 1)
    left.bar(numbers, ratio, color="C0", label="each direction")
    left.plot(numbers, ratio.cumsum(), color="0.4", label="all up to it")
    left.axhline(0.85, color="black", linestyle="--", linewidth=1)
    left.plot(20, ratio[:20].sum(), "ko")
    left.text(22, ratio[:20].sum() - 0.09, f"20 directions: {ratio[:20].sum():.1%}\n(target 85 %, dashed)", va="top")
    left.set(title="Explained variance", xlabel="direction", ylabel="share of the whole variance", ylim=(0, 1.02))
    left.legend(loc="center right")

    Z = whole.transform(X).numpy()
    for digit in range(10):
        rows = labels.numpy() == digit
        center.plot(*Z[rows, :2].T, ".", color=plt.cm.tab10(digit), markersize=3)
        center.text(*Z[rows, :2].mean(0), str(digit), color="white", ha="center", va="center", weight="bold").set_bbox(
            {"boxstyle": "circle", "facecolor": plt.cm.tab10(digit), "edgecolor": "white"}
        )
    center.set(title="The first two coordinates, a colour for each class", xlabel="first direction", ylabel="second direction")

    right.plot(np.arange(len(angles)) * 10, angles, color="C0", linewidth=1)
    right.axhline(5, color="black", linestyle="--", linewidth=1, label="target: 5°")
    right.set(title=f"A linear autoencoder of width {WIDTH} finds it, too", xlabel="step")
    right.set(ylabel=f"angles to the subspace of {WIDTH} directions, degrees", ylim=(0, 92))
    right.legend()

    first, *others = middle.subplots(1, 9)
    show(first, whole.mean_, "mean")
    for i, (axis, image) in enumerate(zip(others, whole.components_, strict=False), 1):
        show(axis, image, f"direction {i}", float(np.abs(image.numpy()).max()))
    for n, (row, digit) in enumerate(zip(below.subplots(2, 1 + len(KEPT)), (3, 6), strict=True)):
        i = int(np.flatnonzero(labels.numpy() == digit)[0])
        show(row[0], X[i], None if n else "64 pixels")
        for axis, k in zip(row[1:], KEPT, strict=True):
            part = (whole.transform(X[i : i + 1])[:, :k] @ whole.components_[:k])[0]
            show(axis, whole.mean_ + part, None if n else f"{k} directions\nlost {lost[k]:.2f}, discarded {discarded[k]:.2f}")
    middle.suptitle("Directions (blue: less ink, red: more)", fontsize=11)
    text = "Digits from a few coordinates: of the variance (of all digits) what is in the other directions is lost"
    below.suptitle(text, fontsize=11)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def show(axis, image, title, size=None):
    colors = {"cmap": "Greys", "vmin": 0, "vmax": 1} if size is None else {"cmap": "coolwarm", "vmin": -size, "vmax": size}
    axis.imshow(image.numpy().reshape(8, 8), **colors)
    axis.set(xticks=[], yticks=[])
    if title:
        axis.set_title(title, fontsize=9)


if __name__ == "__main__":
    main()
