"""A Vision Transformer reads handwritten digits, and shows which patches of the image it looks at.

The digits are 8x8 pixels (scikit-learn's, no download; a fixed fifth is held out). Cut into patches of 2x2 they are 16 tokens,
with a class token in front; two blocks of attention, 48 wide with four heads, let the tokens look at each other, and a dense
layer reads the class token (Dosovitskiy et al., 2021; the book's 11.8). Nothing tells the network which patches are
neighbours: it learns that from 1,438 digits.

Target: at least 96 % of the held-out digits right.

The picture shows how learning went, and for held-out digits where the class token looks in the last block (the mean of its
heads, bright: a large weight), mistaken ones in red.
"""

import argparse
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import minidl
import minidl.nn as nn
from minidl import viz
from minidl.models import ViT
from minidl.optim.lr_scheduler import LambdaLR
from minidl.utils.data import DataLoader, digits
from minidl.utils.metrics import accuracy
from minidl.utils.train import Trainer

TARGET, PATCH, SIDE, BATCH, RATE = 0.96, 2, 8, 32, 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the weights and the order of the digits")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch, and no target to meet: shows that it runs")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    minidl.manual_seed(options.seed)
    train, test = digits(train=True, size=SIDE), digits(train=False, size=SIDE)
    model = ViT(SIDE, PATCH, 48, 96, num_heads=4, num_blks=2, use_bias=True)
    model(train[:2][0])  # lazy layers learn their sizes
    with minidl.no_grad():
        model.pos_embedding *= 0.1  # a vector for each place, at first much smaller than what a patch says
    norms = viz.GradientNorms(model)
    history = fit(model, train, test, epochs, norms)
    reached = history[-1]["val_accuracy"]
    print(f"{reached:.2%} of {len(test)} held-out digits after {epochs} epochs; {time.perf_counter() - start:.0f} s")

    picture(options.out / "vit_digits.png", model, history, test)
    about = {"picture": options.out / "vit_digits.png", "seed": options.seed, "text": __doc__}
    viz.report(history, model, norms=norms, data=test[:], **about)
    print(f"picture: {options.out / 'vit_digits.png'}")
    if not options.quick and reached < TARGET:
        sys.exit(f"expected at least {TARGET:.0%}")


def fit(model, train, test, epochs, norms):
    """The history: training loss and held-out accuracy of each epoch. The rate rises for 5 % of the steps, then falls to 0."""
    steps = epochs * -(-len(train) // BATCH)
    trainer = Trainer(
        epochs,
        loss=nn.CrossEntropyLoss(),
        optimizer=minidl.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05),
        scheduler=lambda optimizer: LambdaLR(optimizer, lambda step: min(1, 20 * step / steps) * (1 - step / steps)),
        step_every="step",
        metrics=[accuracy],
        callbacks=[norms],
    )
    return trainer.fit(model, (DataLoader(train, batch_size=BATCH, shuffle=True), [test[:]]))


@minidl.no_grad()
def picture(path, model, history, test):
    x, y = test[:]
    predicted = model(x).argmax(1).numpy()
    looks = model.attention_weights(x)[-1].mean(1)[:, 0, 1:].numpy()  # of the class token at the patches, (N, patches)
    x, y = x.numpy()[:, 0], y.numpy()
    wrong = np.flatnonzero(predicted != y)
    right_ones = [np.flatnonzero((y == digit) & (predicted == y))[:1] for digit in range(10)]  # one of each, if there is one
    shown = np.concatenate([*right_ones, wrong])[:15]

    figure = plt.figure(figsize=(14, 7), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1, 2.2]).flat
    losses, accuracies = left.subplots(2, 1, sharex=True)
    epochs = np.arange(1, len(history) + 1)
    losses.plot(epochs, history.column("train_loss"))
    losses.set(yscale="log", ylabel="training loss (nats)", title="Learning")
    accuracies.plot(epochs, history.column("val_accuracy"))
    accuracies.axhline(TARGET, color="gray", linestyle=":", label="target")
    accuracies.set(xlabel="epoch", ylabel="held-out accuracy", title=f"{history[-1]['val_accuracy']:.2%} right in the end")
    accuracies.legend()

    right.suptitle(f"Held-out digits, and where the class token looks ({len(wrong)} of {len(y)} mistaken)")
    axes = right.subplots(3, 10)
    for i, place in enumerate(axes.flat):
        place.axis("off")
        number = i // 2
        if number >= len(shown):
            continue
        n = shown[number]
        if i % 2 == 0:
            place.imshow(x[n], cmap="gray_r")
            mistaken = predicted[n] != y[n]
            label = f"{predicted[n]}, is {y[n]}" if mistaken else f"{predicted[n]}"
            place.set_title(label, color="red" if mistaken else "black", fontsize=11)
        else:
            map_ = looks[n].reshape(SIDE // PATCH, -1)
            place.imshow(x[n], cmap="gray_r")
            place.imshow(map_, cmap="inferno", alpha=0.65, extent=(-0.5, SIDE - 0.5, SIDE - 0.5, -0.5), vmin=0, vmax=map_.max())
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
