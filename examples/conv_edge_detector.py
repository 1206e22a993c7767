"""A convolution learns to find edges.

A white picture with a black bar, and beside it the places where white turns black (1) and black turns white (-1). A kernel of
1x2 weights is to make the second picture from the first. Ten steps of gradient descent find what a person would have written
down, [1, -1]. Target: both weights within 0.1 of that, whatever they were in the beginning, after less than a second.

Why they go up and down on their way: the loss is a valley, with curvature 60 along (1, 1) and 12 along (1, -1). A step of 0.03
multiplies what is wrong along the first by 1 - 0.03*60 = -0.8, along the second by 0.64; after ten steps 11 % and 1 % are left.

The picture shows the image, its edges, loss and weights step by step, and the edges that the learned kernel finds in a
handwritten digit, the first one it sees.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tqdm import tqdm

import minidl
import minidl.nn as nn
from minidl import viz
from minidl.utils.data import digits

TARGET = 0.1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="steps of gradient descent (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the weights to begin with")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="changes nothing here: the example takes no time")
    options = parser.parse_args()
    if options.steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    image = minidl.ones(1, 1, 6, 8)
    image[..., 2:6] = 0.0
    edges = image[..., :-1] - image[..., 1:]

    minidl.manual_seed(options.seed)
    conv = nn.LazyConv2d(1, (1, 2), bias=False)
    history = fit(conv, image, edges, options.steps)
    weights = conv.weight.detach().flatten()
    print(f"learned kernel: [{weights[0]:.3f}, {weights[1]:.3f}]; loss {history[-1][0]:.4f}")

    picture(conv, image, edges, history, options.out / "conv_edge_detector.png")
    viz.report(
        {"loss": [row[0] for row in history]},
        conv,
        picture=options.out / "conv_edge_detector.png",
        seed=options.seed,
        text=__doc__,
    )
    print(f"picture: {options.out / 'conv_edge_detector.png'}")
    error = (weights - minidl.tensor([1.0, -1.0])).abs().max().item()
    if error > TARGET:
        sys.exit(f"expected [1, -1] with an error of at most {TARGET}, got {error:.2f}")


def fit(conv, image, edges, steps):
    """Trains, and returns (loss, left weight, right weight) before each step and at the end."""
    conv(image)  # from its first input a lazy layer takes its shape
    optimizer = minidl.optim.SGD(conv.parameters(), lr=0.03)
    history = []
    for step in tqdm(range(steps + 1), unit="step", disable=None):
        loss = ((conv(image) - edges) ** 2).sum()
        history.append((loss.item(), *conv.weight.flatten().tolist()))
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return history


def picture(conv, image, edges, history, path):
    digit = 1 - digits(train=False, size=28)[0][0]
    with minidl.no_grad():
        found = conv(digit[None])[0]
    figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    axes[0, 0].imshow(image[0, 0].numpy(), cmap="gray")
    axes[0, 0].set_title("Image")
    axes[0, 1].imshow(edges[0, 0].numpy(), cmap="RdBu", vmin=-1, vmax=1)
    axes[0, 1].set_title("Its edges: white to black 1, black to white -1")
    axes[1, 0].imshow(digit[0].numpy(), cmap="gray")
    axes[1, 0].set_title("A digit, not seen in training")
    axes[1, 1].imshow(found[0].numpy(), cmap="RdBu", vmin=-0.5, vmax=0.5)
    axes[1, 1].set_title("The edges that the learned kernel finds in it")
    for ax in axes[:, :2].flat:
        ax.set(xticks=[], yticks=[])

    loss, first, second = zip(*history, strict=True)
    axes[0, 2].plot(loss, marker=".")
    axes[0, 2].set(yscale="log", title="Loss: the sum of squared errors")
    axes[1, 2].plot(first, marker=".", label="left weight")
    axes[1, 2].plot(second, marker=".", label="right weight")
    axes[1, 2].hlines([1, -1], 0, len(loss) - 1, color="gray", linestyle=":")
    axes[1, 2].set(xlabel="step", title=f"Kernel: [{first[-1]:.2f}, {second[-1]:.2f}]")
    axes[1, 2].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
