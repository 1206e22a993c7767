"""Dropout: what it does to one layer, what it keeps, and a network that foresees unseen digits better with it.

1. In training each number h is set to 0 with probability p, and becomes h/(1 - p) otherwise, so that its expectation is h. In
   evaluation nothing happens. Targets: the mean over 20,000 draws is within 5 standard errors of h for each p; p = 0 and
   evaluation return what is given, p = 1 zeros; the gradient is the mask, 0 or 1/(1 - p).
2. A network 64-256-256-10 learns from 199 digits only, once without dropout and once with it (0.2 of the pixels, 0.5 of each
   hidden layer). Target: of the 1,598 digits that it has not seen at least 0.5 points more are right with dropout, mean of 3
   runs, and both know 98 % of those that they have seen.
3. Training a network with dropout means to train many that share weights, each with other units missing. In evaluation it
   answers once, with all units. Target: that is as good as the mean answer of 50 with units missing, within 1.5 points.

The picture shows the draws, the learning curves, and the answers of the many. Some ten seconds.
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
from minidl.utils.callbacks import Evaluation
from minidl.utils.data import DataLoader, digits
from minidl.utils.metrics import accuracy
from minidl.utils.train import Trainer

PROBABILITIES, DRAWS, RUNS, EVERY = [0.1, 0.3, 0.5, 0.9], 20_000, 3, 5
NETWORKS, GAIN, SEEN, NEAR = 50, 0.005, 0.98, 0.015
COLORS = {"without dropout": "C1", "with dropout": "C0"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100, help="passes over the 199 digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run: weights, order and masks")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="five epochs, and no accuracy to reach: shows that it runs")
    options = parser.parse_args()
    epochs = 5 if options.quick else options.epochs
    if epochs < EVERY or options.out.is_file():
        parser.error(f"expected {EVERY} epochs or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    h = minidl.linspace(0.5, 4, 8)
    draws = {p: F.dropout(h.expand(DRAWS, 8), p).numpy() for p in PROBABILITIES}
    errors = max(standard_errors(h.numpy(), p, drawn) for p, drawn in draws.items())
    print(f"mean of {DRAWS:,} draws of h': at most {errors:.1f} standard errors from h")
    exact = rules(h)

    train, test = digits(fraction=1598 / 1797, train=True), digits(fraction=1598 / 1797, train=False)
    runs = {name: [] for name in COLORS}
    with tqdm(total=2 * RUNS, unit="training", disable=None) as bar:
        for seed in range(options.seed, options.seed + RUNS):
            for name in COLORS:
                minidl.manual_seed(seed)
                bar.set_description(name)
                net = network(0.2, 0.5) if "without" not in name else network(0, 0)
                runs[name].append(fit(net, train, test, epochs))
                bar.update()
    curves = {name: np.array(run) for name, run in runs.items()}  # (runs, epochs / EVERY, training and test)
    for name, values in curves.items():
        print(
            f"{name}: {values[:, -1, 0].mean():.1%} of {len(train)} seen, {values[:, -1, 1].mean():.2%} of {len(test)} unseen"
        )
    single, mean, one = many(net, test)
    print(f"units missing: each {np.mean(single):.2%}, their mean {mean[-1]:.2%}; evaluation, all units: {one:.2%}")

    picture(options.out / "dropout.png", h.numpy(), draws, curves, (single, mean, one))
    viz.report(picture=options.out / "dropout.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'dropout.png'}")
    if errors > 5 or not exact:
        sys.exit("expected means within 5 standard errors, and nothing dropped by p = 0 and in evaluation")
    gain = curves["with dropout"][:, -1, 1].mean() - curves["without dropout"][:, -1, 1].mean()
    learned = min(values[:, -1, 0].mean() for values in curves.values())
    if not options.quick and (gain < GAIN or learned < SEEN or abs(mean[-1] - one) > NEAR):
        sys.exit(
            f"expected {GAIN:.1%} more right with dropout, {SEEN:.0%} of those seen, and evaluation within {NEAR:.1%} of many"
        )


def standard_errors(h, p, drawn):
    """How many standard errors the means of h' are from h: h' has the variance h² p/(1 - p)."""
    deviation = h * np.sqrt(p / (1 - p) / DRAWS)
    return (np.abs(drawn.mean(0, dtype=float) - h) / deviation).max()


def rules(h):
    layer = nn.Dropout(0.5)
    x = h.expand(100, 8).clone().requires_grad_()
    layer(x).sum().backward()
    mask = set(np.unique(x.grad.numpy()).tolist()) == {0, 2}
    identity = layer.eval()(h).equal(h) and F.dropout(h, 0.0).equal(h)
    return mask and identity and F.dropout(h, 1.0).equal(minidl.zeros_like(h))


def network(pixels, hidden):
    return nn.Sequential(
        *(nn.Dropout(pixels), nn.Linear(64, 256), nn.ReLU()),
        *(nn.Dropout(hidden), nn.Linear(256, 256), nn.ReLU()),
        *(nn.Dropout(hidden), nn.Linear(256, 10)),
    )


def fit(net, train, test, epochs):
    """(accuracy on the training digits and on the others) every few epochs."""
    optimizer, seen = minidl.optim.SGD(net.parameters(), lr=0.05, momentum=0.9), Evaluation("train", [train[:]])
    options = {"loss": nn.CrossEntropyLoss(), "metrics": [accuracy], "callbacks": [seen], "progress": False}
    history = Trainer(epochs, optimizer=optimizer, **options).fit(net, (DataLoader(train, 50, shuffle=True), [test[:]]))
    return [[row["train_accuracy"], row["val_accuracy"]] for row in history[EVERY - 1 :: EVERY]]


def many(net, test):
    """Accuracies of 50 networks with units missing, of the mean of the first k answers, and of the whole network."""
    x, y = test[:]
    total, single, mean = minidl.zeros(len(y), 10), [], []
    with minidl.no_grad():
        net.train()
        for _ in range(NETWORKS):
            answer = F.softmax(net(x), 1)
            total += answer
            single.append(accuracy(answer, y))
            mean.append(accuracy(total, y))
        one = accuracy(net.eval()(x), y)
    return single, mean, one


def picture(path, h, draws, curves, ensemble):
    figure, ((masks, means), (learning, answers)) = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    shown = draws[0.5][:12]
    masks.imshow(shown, cmap="Blues", vmin=0, vmax=8, aspect="auto")
    for row, column in np.ndindex(shown.shape):
        value = shown[row, column]
        masks.text(
            column, row, f"{value:g}", ha="center", va="center", color="C3" if value == 0 else "white" if value > 5 else "black"
        )
    masks.set(
        xticks=range(8),
        xticklabels=[f"{v:g}" for v in h],
        xlabel="h",
        ylabel="draw",
        yticks=range(12),
        yticklabels=range(1, 13),
    )
    masks.set_title("p = 0.5: a number is 0 (red) or doubled")

    means.plot(h, h, "k--", label="h")
    for p, marker in zip(PROBABILITIES, "osd^", strict=True):
        means.plot(h, draws[p].mean(0), marker, color="C0", alpha=0.7, label=f"mean of h', p = {p}")
    means.set(xlabel="h", ylabel=f"mean of {DRAWS:,} draws", title="Whatever p: the expectation of h' is h")
    means.legend()

    for name, values in curves.items():
        epochs = EVERY * np.arange(1, values.shape[1] + 1)
        for part, style, which in ((0, ":", "seen"), (1, "-", "not seen")):
            curve = 100 * values[:, :, part].mean(0)
            learning.plot(epochs, curve, style, color=COLORS[name], label=f"{name}, {which}: {curve[-1]:.1f} % right")
    learning.set(xlabel="epoch", ylabel="% right, mean of 3 runs (axis from 80 %)", ylim=(80, 100.5))
    learning.set_title("Learning from 199 digits, 1,598 are held out")
    learning.legend(loc="lower right")

    single, mean, one = (100 * np.array(v) for v in ensemble)
    answers.plot(
        range(1, NETWORKS + 1), single, ".", color="0.6", label=f"one network, units missing: {single.mean():.1f} % on average"
    )
    answers.plot(range(1, NETWORKS + 1), mean, color="C1", label=f"the mean answer of so many: {mean[-1]:.1f} %")
    answers.axhline(one, color="C0", label=f"evaluation: one answer, all units: {one:.1f} %")
    answers.set(xlabel="networks", ylabel="% right of the digits not seen (axis from 60 %)", ylim=(60, 100))
    answers.set_title("Evaluation stands for the mean of many networks")
    answers.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
