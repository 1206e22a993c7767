"""A multilayer perceptron learns to read handwritten digits.

1,797 real digits of 8x8 pixels (scikit-learn's bundled set, no download); a fixed fifth of them is held out. Two hidden layers,
cross-entropy, SGD with momentum and weight decay. Target: at least 97 % of the held-out digits right, after a few seconds.

The picture shows how loss and accuracy went, digits with their predictions (mistakes in red), and which digit is taken for
which.
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
from minidl.utils.callbacks import Evaluation
from minidl.utils.data import DataLoader, digits
from minidl.utils.metrics import accuracy
from minidl.utils.train import Trainer

TARGET = 0.97


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--epochs",
        type=int,
        default=30,
        help="passes over the training digits (default: %(default)s; a few are not enough for the target)",
    )
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights and the order of the digits")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture and the model")
    parser.add_argument("--quick", action="store_true", help="two epochs, and no target to meet: shows that it runs")
    options = parser.parse_args()
    epochs = 2 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    minidl.manual_seed(options.seed)
    train, test = digits(train=True), digits(train=False)
    model = nn.MLP(64, [128, 64], 10)
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    print(model, f"{len(train)} digits to learn from, {len(test)} held out", sep="\n")
    minidl.warmup(model, train[:64][0])

    start = time.perf_counter()
    norms = viz.GradientNorms(model)
    history = fit(model, optimizer, train, test, epochs, norms)
    seconds = time.perf_counter() - start
    predicted, reached = predict(model, test), history[-1]["val_accuracy"]
    print(f"trained {epochs} epochs in {seconds:.1f} s; held-out loss {history[-1]['val_loss']:.3f}, accuracy {reached:.2%}")

    minidl.save(model.state_dict(), options.out / "digits_mlp.npz")
    again = nn.MLP(64, [128, 64], 10)
    again.load_state_dict(minidl.load(options.out / "digits_mlp.npz"))
    same = predict(again, test).equal(predicted)
    print(f"saved to {options.out / 'digits_mlp.npz'}; loaded again, its predictions are {'the same' if same else 'DIFFERENT'}")

    picture(history, test, predicted, options.out / "digits_mlp.png")
    about = {"picture": options.out / "digits_mlp.png", "seed": options.seed, "text": __doc__}
    viz.report(history, model, norms=norms, data=test[:], **about)
    print(f"picture: {options.out / 'digits_mlp.png'}")
    if not same or (not options.quick and reached < TARGET):
        sys.exit(f"expected at least {TARGET:.0%} and the same predictions after loading")


def fit(model, optimizer, train, test, epochs, norms):
    """Trains, and returns the history: loss and accuracy on the training digits and on those held out, after each epoch."""
    trainer = Trainer(
        epochs,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        metrics=[accuracy],
        callbacks=[Evaluation("train", [train[:]]), norms],
    )
    return trainer.fit(model, (DataLoader(train, batch_size=32, shuffle=True), [test[:]]))


@minidl.no_grad()
def predict(model, data):
    return model.eval()(data[:][0]).argmax(1)


def picture(history, test, predicted, path):
    x, y = (t.numpy() for t in test[:])
    predicted = predicted.numpy()
    figure = plt.figure(figsize=(13, 6), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, squeeze=False, width_ratios=[1, 1.25, 1.1]).flat

    losses, accuracies = left.subplots(2, 1, sharex=True)
    epochs = np.arange(1, len(history) + 1)
    losses.plot(epochs, history.column("train_loss"), label="training")
    losses.plot(epochs, history.column("val_loss"), label="held out")
    losses.set(yscale="log", ylabel="cross-entropy (nats)", title="Learning")
    losses.legend()
    test_accuracy = history.column("val_accuracy")
    accuracies.plot(epochs, history.column("train_accuracy"), epochs, test_accuracy)
    accuracies.axhline(TARGET, color="gray", linestyle=":")
    accuracies.set(xlabel="epoch", ylabel="accuracy", ylim=(max(0, min(test_accuracy) - 0.05), 1.005))

    wrong = np.flatnonzero(predicted != y)
    shown = np.concatenate([wrong[:15], np.flatnonzero(predicted == y)])[:30]
    middle.suptitle(f"Held-out digits: {len(wrong)} of {len(y)} mistaken")
    for axes, i in zip(middle.subplots(5, 6).flat, shown, strict=True):
        mistaken = predicted[i] != y[i]
        axes.imshow(x[i].reshape(8, 8), cmap="gray_r")
        axes.set_title(
            f"{predicted[i]}, is {y[i]}" if mistaken else f"{predicted[i]}", color="red" if mistaken else "black", fontsize=9
        )
        axes.set(xticks=[], yticks=[])

    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y, predicted), 1)
    axes = right.subplots()
    axes.imshow(np.where(np.eye(10, dtype=bool), 0, counts), cmap="Reds", vmax=max(3, counts[~np.eye(10, dtype=bool)].max()))
    for (i, j), n in np.ndenumerate(counts):
        if n:
            axes.text(
                j, i, n, ha="center", va="center", color="black" if i == j else "darkred", weight="normal" if i == j else "bold"
            )
    axes.set(xticks=range(10), yticks=range(10), xlabel="taken for", ylabel="is", title=f"Accuracy {test_accuracy[-1]:.2%}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
