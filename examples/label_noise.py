"""Networks learn random labels by heart, and early stopping keeps what they learned before that.

1. The same network on the same 500 digits, with their labels and with labels drawn at random. It gets every training example
   right in both cases, so a training error of 0 says nothing about what was learned: with random labels, held-out digits are
   guessed (Zhang et al., 2017). What is common to many examples is learned first: true labels take fewer epochs.
2. Four in ten training labels are replaced by random ones. The network first learns what the labels have in common, and the
   held-out accuracy rises; then it learns the wrong labels by heart, one by one, and the accuracy falls. Early stopping looks
   at a fifth of the noisy training data, put aside, and keeps the weights that were best there: it never sees a clean label.

Target: 99 % of the random training labels, and less than 20 % of held-out digits; with label noise, the weights kept by early
stopping get at least 5 percentage points more held-out digits right than the last ones. Some seconds.
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
from minidl.model_selection import EarlyStopping, train_test_split
from minidl.utils.data import DataLoader, TensorDataset, digits

FEW, NOISE, MEMORISED, GUESSED, GAIN = 500, 0.4, 0.99, 0.20, 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100, help="of each network (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for labels, weights and the order of the digits")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="three epochs, and no target to meet: shows that it runs")
    options = parser.parse_args()
    epochs = 3 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    X, y = digits(train=True).tensors
    test = digits(train=False).tensors
    minidl.set_num_threads(1)  # such small layers are no faster with two
    few = minidl.randperm(len(X))[:FEW]
    true, _ = fit("true labels", X[few], y[few], test, epochs)
    random, _ = fit("random labels", X[few], minidl.randint(0, 10, (FEW,)), test, epochs)
    print(f"random labels: {random[-1][0]:.1%} of the training examples right, {random[-1][1]:.1%} of the held-out digits")

    wrong = minidl.rand(y.shape) < NOISE
    noisy = minidl.where(wrong, minidl.randint(0, 10, y.shape), y)
    kept_apart = train_test_split(X, noisy, y, test_size=0.2, generator=minidl.Generator().manual_seed(options.seed))
    X_train, X_held, y_train, y_held, clean, _ = kept_apart
    stop = EarlyStopping(patience=epochs)  # goes on, to show what comes after
    history, model = fit("noisy labels", X_train, y_train, test, epochs, (X_held, y_held, stop), (y_train != clean))
    last = history[-1][1]
    stop.restore(model)
    best = accuracy(model, *test)
    print(f"{NOISE:.0%} noise: held-out digits right {last:.1%} at the end, {best:.1%} with the weights of epoch", end=" ")
    print(f"{stop.best_epoch}, kept by early stopping; wrong labels learned by heart at the end: {history[-1][2]:.1%}")
    picture(options.out / "label_noise.png", true, random, history, stop.best_epoch, best)
    columns = dict(zip(("train_accuracy", "val_accuracy"), zip(*[row[:2] for row in history], strict=True), strict=True))
    viz.report(columns, model, data=test, picture=options.out / "label_noise.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'label_noise.png'}")
    met = random[-1][0] >= MEMORISED and random[-1][1] < GUESSED and best >= last + GAIN
    if not options.quick and not met:
        sys.exit(f"expected {MEMORISED:.0%} of random labels, {GUESSED:.0%} or less held out, {GAIN:.0%} gained by stopping")


def fit(name, X, y, test, epochs, watched=None, wrong=None):
    """([(accuracy on training data, on the test, on wrong labels; loss on watched data) from epoch 0 on], model)"""
    model = nn.MLP(64, [256, 256], 10)
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.001)
    loader = DataLoader(TensorDataset(X, y), batch_size=32, shuffle=True)

    @minidl.compile
    def step(inputs, targets):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    history = []
    bar = tqdm(range(epochs + 1), desc=f"{name:13}", unit="epoch", disable=None)
    for epoch in bar:
        for inputs, targets in loader if epoch else ():
            step(inputs, targets)
        learned = accuracy(model, X[wrong], y[wrong]) if wrong is not None else None
        loss = None
        if watched is not None:
            X_held, y_held, stop = watched
            with minidl.no_grad():
                loss = F.cross_entropy(model(X_held), y_held).item()
            stop(loss, model)
        history.append((accuracy(model, X, y), accuracy(model, *test), learned, loss))
        bar.set_postfix(training=f"{history[-1][0]:.1%}", held_out=f"{history[-1][1]:.1%}")
    return history, model


@minidl.no_grad()
def accuracy(model, X, y):
    return (model(X).argmax(1) == y).float().mean().item()


def picture(path, true, random, noisy, best_epoch, best):
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 6), layout="constrained")
    epochs = np.arange(len(true))
    for history, color, name in ((true, "C0", "true labels"), (random, "C3", "random labels")):
        training, held_out = np.array([row[:2] for row in history]).T
        left.plot(epochs, training, color, label=f"{name}: training")
        left.plot(epochs, held_out, color, linestyle=":", linewidth=2, label=f"{name}: held-out digits")
    left.axhline(0.1, color="0.6", linewidth=1)
    left.text(len(true) - 1, 0.085, "guessing", ha="right", va="top", color="0.4")
    left.set(ylim=(0, 1.02), xlabel="epoch", ylabel="accuracy")
    left.set_title("Random labels are learned by heart, too:\na training error of 0 says nothing")
    left.legend(loc="center right")

    training, held_out, learned = np.array([row[:3] for row in noisy], float).T
    right.plot(epochs, held_out, "C0", linewidth=2, label="held-out digits, true labels")
    right.plot(epochs, training, color="0.6", label="training labels, 4 in 10 replaced by random ones")
    right.plot(epochs, learned, "C3", label="of these, the wrong ones")
    right.axvline(best_epoch, color="black", linestyle="--", linewidth=1)
    right.plot(best_epoch, best, "ko")
    right.annotate(
        f"early stopping\nkeeps epoch {best_epoch}:\n{best:.1%} right",
        (best_epoch, best),
        (best_epoch + 0.04 * len(true), 0.38),
        arrowprops={"arrowstyle": "->"},
    )
    right.annotate(
        f"{held_out[-1]:.1%} at the end",
        (epochs[-1], held_out[-1]),
        (0, -14),
        textcoords="offset points",
        ha="right",
        va="top",
        color="C0",
    )
    right.set(ylim=(0, 1.02), xlabel="epoch", ylabel="accuracy")
    right.set_title("Label noise: what is common is learned first, then the noise")
    right.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
