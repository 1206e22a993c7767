"""What batch normalization does: the same network with it and without, at learning rates from cautious to reckless.

Six convolutions of 16 channels with ReLU read handwritten digits (8x8 pixels, scikit-learn's bundled set). Both networks start
from the same weights (He's, made for ReLU, so that the one without is not held back by its start), see the same digits in the
same order, and learn by plain SGD. Target, after eight epochs:
- with batch normalization at least 90 % of the held-out digits right at each of the learning rates 0.01, 0.1 and 1.0;
- without, at 1.0, no more than 20 %: it has learned nothing;
- at each rate, the one without needs at least 1.5 times as many steps to bring the training loss below 1 nat.
It takes some ten seconds. (In eight runs it was 94 % or more with, 10 % without at 1.0, and 1.9 times as many steps or more.)

Why: a step that is too large moves the input of a ReLU below zero for every digit. Such a unit is dead: its gradient is zero,
and no later step revives it. Batch normalization sets mean and variance of each channel anew in every batch, whatever the
weights before it do: few channels die. And larger weights make no larger outputs, only smaller gradients, so that a step which
is too large tames the next.

The picture shows the training loss at each rate, how many channels are dead in the end, and how the inputs of each ReLU are
distributed in the course of training.
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
from minidl.utils.data import DataLoader, digits

RATES = [0.01, 0.1, 1.0]
SHOWN = 1  # the rate at which the distributions are drawn: both networks learn
LAYERS = 6
LOSS, SPEED = 1.0, 1.5
REACHED, NOTHING_LEARNED = 0.9, 0.2
QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]
STRIDE = 5  # steps from one look at the distributions to the next
WINDOW = 15  # steps whose mean loss is compared and drawn
COLORS = {"without": "tab:orange", "with": "tab:blue"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--epochs",
        type=int,
        default=8,
        help="passes over the training digits (default: %(default)s; a few are not enough for the target)",
    )
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights and the order of the digits")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch, and no target to meet: shows that it runs")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    train, test = digits(train=True, size=8), digits(train=False, size=8)
    for name in COLORS:
        minidl.warmup(network(name == "with"), train[:32][0])
    start, runs = time.perf_counter(), {}
    with tqdm(total=2 * len(RATES) * epochs, unit="epoch", disable=None) as bar:
        for rate in RATES:
            for name in COLORS:
                minidl.manual_seed(options.seed)
                bar.set_description(f"rate {rate}, {name}")
                runs[rate, name] = fit(network(name == "with"), train, test, rate, epochs, bar)
    print(f"{len(runs)} trainings of {epochs} epochs in {time.perf_counter() - start:.1f} s")
    for (rate, name), (losses, _, dead, accuracy) in runs.items():
        print(
            f"rate {rate:<4} {name:>7} batch norm: held-out accuracy {accuracy:6.1%}, "
            f"loss {told(first_below(losses))}, {sum(dead)} of {16 * LAYERS} channels dead"
        )

    picture(runs, options.out / "batchnorm_effect.png")
    viz.report(picture=options.out / "batchnorm_effect.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'batchnorm_effect.png'}")
    if options.quick:
        return
    if min(runs[rate, "with"][3] for rate in RATES) < REACHED or runs[RATES[-1], "without"][3] > NOTHING_LEARNED:
        sys.exit(
            f"expected {REACHED:.0%} with batch norm at every rate, and {NOTHING_LEARNED:.0%} at most without at {RATES[-1]}"
        )
    if any(first_below(runs[rate, "without"][0]) < SPEED * first_below(runs[rate, "with"][0]) for rate in RATES):
        sys.exit(f"expected the network with batch norm to reach a loss of {LOSS} at least {SPEED} times as fast")


def network(normalized):
    layers, channels = [], 1
    for i in range(LAYERS):
        layers.append(nn.Conv2d(channels, 16, 3, padding=1))
        layers.append(nn.BatchNorm2d(16) if normalized else nn.Identity())
        layers.append(nn.ReLU())
        if i in (1, 3):
            layers.append(nn.MaxPool2d(2))
        channels = 16
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 10))
    for layer in model:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return model


def fit(model, train, test, rate, epochs, bar):
    """Trains, and returns (loss of each step, quantiles (steps, layers, 5) of each ReLU's inputs, dead channels, accuracy)."""
    inputs, quantiles, losses = [], [], []
    for layer in model:
        if isinstance(layer, nn.ReLU):
            layer.register_forward_pre_hook(lambda layer, x: inputs.append(x[0].detach().numpy()))
    optimizer = minidl.optim.SGD(model.parameters(), lr=rate)
    model.train()
    for _ in range(epochs):
        for x, y in DataLoader(train, batch_size=32, shuffle=True):
            inputs.clear()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if len(losses) % STRIDE == 1:
                quantiles.append([np.quantile(values, QUANTILES) for values in inputs])
        bar.set_postfix(loss=f"{losses[-1]:.4f}")
        bar.update()

    model.eval()
    inputs.clear()
    with minidl.no_grad():
        model(train[:][0])
        dead = [int((values.max((0, 2, 3)) <= 0).sum()) for values in inputs]
        x, y = test[:]
        accuracy = (model(x).argmax(1) == y).float().mean().item()
    return losses, np.array(quantiles), dead, accuracy


def told(steps):
    return f"below {LOSS} after {steps:>3} steps" if steps < np.inf else f"never below {LOSS} nat"


def smooth(losses):
    """The mean over each WINDOW of steps."""
    return np.convolve(losses, np.full(WINDOW, 1 / WINDOW), "valid")


def first_below(losses):
    """After how many steps the mean loss is below LOSS for the first time; infinity, if it never is."""
    below = np.flatnonzero(smooth(losses) < LOSS)
    return int(below[0]) + WINDOW if len(below) else np.inf


def picture(runs, path):
    figure = plt.figure(figsize=(14, 10), layout="constrained")
    top, *bands = figure.subfigures(3, 1, squeeze=False, height_ratios=[1.2, 1, 1]).flat

    *curves, dead = top.subplots(1, len(RATES) + 1)
    for ax, rate in zip(curves, RATES, strict=True):
        for name, color in COLORS.items():
            losses, _, _, accuracy = runs[rate, name]
            ax.plot(losses, color=color, alpha=0.2, linewidth=0.8)
            ax.plot(np.arange(WINDOW, len(losses) + 1), smooth(losses), color=color, label=f"{name}: {accuracy:.1%} right")
        ax.set(yscale="log", ylim=(2e-4, 5), xlabel="step", title=f"Learning rate {rate}")
        ax.legend(loc="lower left")
    curves[0].set_ylabel("cross-entropy (nats)")
    for i, (name, color) in enumerate(COLORS.items()):
        dead.bar(np.arange(1, LAYERS + 1) + 0.4 * i - 0.2, runs[RATES[-1], name][2], 0.38, color=color, label=name)
    dead.set(xlabel="layer", ylim=(0, 16), xticks=range(1, LAYERS + 1), title=f"Dead channels of 16, rate {RATES[-1]}")
    dead.legend()

    bound = 1.05 * max(np.abs(runs[RATES[SHOWN], name][1]).max() for name in COLORS)
    for band, (name, color) in zip(bands, COLORS.items(), strict=True):
        band.suptitle(f"Inputs of each ReLU, {name} batch normalization, learning rate {RATES[SHOWN]}: median, 50 %, 90 %")
        quantiles = runs[RATES[SHOWN], name][1]
        steps = np.arange(len(quantiles)) * STRIDE
        for layer, ax in enumerate(band.subplots(1, LAYERS, sharey=True)):
            low, lower, median, upper, high = quantiles[:, layer].T
            ax.fill_between(steps, low, high, color=color, alpha=0.25, linewidth=0)
            ax.fill_between(steps, lower, upper, color=color, alpha=0.4, linewidth=0)
            ax.plot(steps, median, color=color)
            ax.axhline(0, color="black", linewidth=0.6, zorder=0)
            ax.set(title=f"layer {layer + 1}", xlabel="step", ylim=(-bound, bound))
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
