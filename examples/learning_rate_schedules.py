"""Fifteen schedules of the learning rate, and what a falling rate and averaged weights are worth.

Above: each schedule over 50 epochs: PyTorch's, from `optim.lr_scheduler`, and the book's (its chapter 12), which are functions
of the epoch, from `optim.book_schedules`. Target: the book's numbers, to six digits (black rings): multistep 0.5, 0.25, 0.125;
square root 0.0182574 at epoch 29; factor 1.8 at 0 and 0.0103076 at 49; cosine 0.3, 0.155, 0.01 at 0, 10, 20; with warm-up
0, 0.06, 0.24, 0.3 at 0, 1, 4, 5 and 0.170157 at 12.

Below: a small network (32 hidden units, SGD with momentum 0.9, batches of 32) learns handwritten digits with a constant rate of
0.2, and with one that rises to 0.2 in three epochs and then falls along a cosine to 0. At 0.2 the noise of minibatches keeps
shaking the weights. A falling rate lets them settle. So does their average over the second half of the training (one model an
epoch: Izmailov et al., 2018), of the very runs whose rate was constant. Eight runs of each, measured over the last five epochs,
because the loss at a constant rate jumps from one to the next. Target: with the cosine, and with averaged weights, the mean
loss on held-out digits is at most 0.9 of that with the constant rate. (In five tries, seeds 0 to 4, it was 0.55 to 0.75. The
accuracy differs little: 7 to 9 digits of 359 mistaken instead of 10 to 12. Which of the two is better changes with the seed.)
A smaller constant rate, 0.05, is no way out here: it is calmer, but slow, and ends at about the loss of 0.2. Ten seconds.
"""

import argparse
import sys
import time
from collections.abc import Callable
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
from minidl.optim import SGD, lr_scheduler as lrs
from minidl.optim.book_schedules import CosineScheduler, FactorScheduler, SquareRootScheduler
from minidl.optim.swa_utils import AveragedModel
from minidl.utils.data import DataLoader, digits

EPOCHS = 50  # of the drawn schedules
PLATEAU = [max(1 / (1 + epoch), 0.1) for epoch in range(EPOCHS)]  # a loss that falls until epoch 9

# name, first rate, schedule of an optimizer, {epoch: what the book says}
PYTORCH: list[tuple[str, float, Callable, dict]] = [
    ("ConstantLR\nfactor 1 (no change)", 0.1, lambda o: lrs.ConstantLR(o, factor=1.0), {}),
    ("StepLR\nhalf, every 10", 0.1, lambda o: lrs.StepLR(o, 10, gamma=0.5), {}),
    (
        "MultiStepLR\nhalf, at 15 and 30",
        0.5,
        lambda o: lrs.MultiStepLR(o, [15, 30], gamma=0.5),
        {0: 0.5, 14: 0.5, 15: 0.25, 29: 0.25, 30: 0.125, 49: 0.125},
    ),
    ("ExponentialLR\n0.9 each epoch", 0.1, lambda o: lrs.ExponentialLR(o, gamma=0.9), {}),
    ("LinearLR\nwarm-up in 10", 0.1, lambda o: lrs.LinearLR(o, start_factor=0.1, total_iters=10), {}),
    ("PolynomialLR\npower 2, to 0 at 40", 0.1, lambda o: lrs.PolynomialLR(o, total_iters=40, power=2), {}),
    ("CosineAnnealingLR\nto 0 at 40, and up again", 0.1, lambda o: lrs.CosineAnnealingLR(o, T_max=40), {}),
    ("CosineAnnealingWarmRestarts\n7, then twice as long", 0.1, lambda o: lrs.CosineAnnealingWarmRestarts(o, 7, T_mult=2), {}),
    (
        "CyclicLR\ntriangular2, 6 up, 6 down",
        0.1,
        lambda o: lrs.CyclicLR(o, 0.01, 0.1, step_size_up=6, mode="triangular2"),
        {},
    ),
    ("OneCycleLR\n0.3 of the time up", 0.1, lambda o: lrs.OneCycleLR(o, 0.1, total_steps=EPOCHS), {}),
    ("ReduceLROnPlateau\nthe loss stops at 9", 0.1, lambda o: lrs.ReduceLROnPlateau(o, factor=0.5, patience=8), {}),
]
BOOK: list[tuple[str, Callable, dict]] = [
    ("SquareRootScheduler\n0.1/√(t + 1)", SquareRootScheduler(lr=0.1), {0: 0.1, 29: 0.0182574}),
    ("FactorScheduler\n0.9 from 2", FactorScheduler(factor=0.9, base_lr=2.0), {0: 1.8, 49: 0.0103076}),
    ("CosineScheduler\n0.01 from 20 on", CosineScheduler(20, base_lr=0.3, final_lr=0.01), {0: 0.3, 10: 0.155, 20: 0.01}),
    (
        "CosineScheduler\nwith warm-up in 5",
        CosineScheduler(20, base_lr=0.3, final_lr=0.01, warmup_steps=5),
        {0: 0.0, 1: 0.06, 4: 0.24, 5: 0.3, 12: 0.170157, 20: 0.01},
    ),
]

RATE, SMALL, WARM_UP, LAST, TARGET = 0.2, 0.05, 3, 5, 0.9
CONSTANT, COSINE, AVERAGE, CAREFUL = f"constant {RATE}", "warm-up and cosine", "averaged weights", f"constant {SMALL}"
COLORS = {CONSTANT: "C1", COSINE: "C0", AVERAGE: "C2", CAREFUL: "0.6"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20, help="passes over the digits (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=8, help="of each way to train (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the weights and the order of the digits, the same for all")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one run of 5 epochs, no loss to reach: shows that it runs")
    options = parser.parse_args()
    epochs, runs = (5, 1) if options.quick else (options.epochs, options.runs)
    if epochs <= WARM_UP or runs < 1 or options.out.is_file():
        parser.error(f"expected more than {WARM_UP} epochs, 1 run or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    curves = [(name, rates(make, lr), book) for name, lr, make, book in PYTORCH]
    curves += [(name, [schedule(epoch) for epoch in range(EPOCHS)], book) for name, schedule, book in BOOK]
    missed = []
    for name, curve, book in curves:
        if book:
            print(f"{name.splitlines()[0]:20}", ", ".join(f"{curve[epoch]:.6g} at {epoch}" for epoch in book))
        missed += [name for epoch, rate in book.items() if not np.isclose(curve[epoch], rate, rtol=5e-6, atol=1e-9)]

    begin, data, held_out = time.perf_counter(), digits(train=True), digits(train=False)
    results = {name: [] for name in COLORS}  # a run each, an epoch each: (loss, mistakes)
    for run in tqdm(range(runs), unit="run", disable=None):
        for rate, falls in ((RATE, False), (RATE, True), (SMALL, False)):
            minidl.manual_seed(1000 * options.seed + run)
            own, average = train(rate, falls, epochs, data, held_out)
            results[COSINE if falls else f"constant {rate}"].append(own)
            if rate == RATE and not falls:
                results[AVERAGE].append(average)
    print(f"{3 * runs} trainings of {epochs} epochs in {time.perf_counter() - begin:.1f} s")
    last = min(LAST, epochs - epochs // 2)
    ends = {name: np.array(result)[:, -last:].mean(1) for name, result in results.items()}
    for name, end in ends.items():
        loss, mistakes = end.mean(0)
        ahead = (
            "" if name == CONSTANT else f"; loss less than {CONSTANT}'s in {(end < ends[CONSTANT])[:, 0].sum()} of {runs} runs"
        )
        print(f"{name:18} held-out loss {loss:.4f}, {mistakes:4.1f} of {len(held_out)} mistaken{ahead}")

    picture(curves, results, ends, len(held_out), options.out / "learning_rate_schedules.png")
    viz.report(picture=options.out / "learning_rate_schedules.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'learning_rate_schedules.png'}")
    if missed:
        sys.exit(f"expected the book's rates, not with {', '.join(missed)}")
    if not options.quick and max(ends[name][:, 0].mean() for name in (COSINE, AVERAGE)) > TARGET * ends[CONSTANT][:, 0].mean():
        sys.exit(f"expected the cosine and the averaged weights to have at most {TARGET} of the loss of {CONSTANT}")


def rates(make, lr):
    """The rate at each of EPOCHS epochs."""
    optimizer = SGD([minidl.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    schedule, curve = make(optimizer), []
    for epoch in range(EPOCHS):
        curve.append(optimizer.param_groups[0]["lr"])
        if epoch < EPOCHS - 1:  # OneCycleLR has no rate after its last one
            schedule.step(*([PLATEAU[epoch]] if isinstance(schedule, lrs.ReduceLROnPlateau) else []))
    return curve


def train(rate, falls, epochs, data, held_out):
    """(held-out loss, mistakes) after each epoch, of the network and of the average of its second half."""
    model = nn.MLP(64, [32], 10)
    optimizer = SGD(model.parameters(), lr=rate, momentum=0.9)
    schedule = None
    if falls:
        rise = lrs.LinearLR(optimizer, start_factor=0.1, total_iters=WARM_UP)
        fall = lrs.CosineAnnealingLR(optimizer, T_max=epochs - WARM_UP)
        schedule = lrs.SequentialLR(optimizer, [rise, fall], milestones=[WARM_UP])
    averaged, own, average = AveragedModel(model), [], []
    for epoch in range(epochs):
        for x, y in DataLoader(data, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if schedule is not None:
            schedule.step()
        if epoch >= epochs // 2:
            averaged.update_parameters(model)
        own.append(evaluate(model, held_out))
        average.append(evaluate(averaged, held_out) if epoch >= epochs // 2 else (np.nan, np.nan))
    return own, average


@minidl.no_grad()
def evaluate(model, held_out):
    x, y = held_out[:]
    logits = model(x)
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) != y).sum().item()


def picture(curves, results, ends, digits_held_out, path):
    figure = plt.figure(figsize=(15, 12.5), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.7, 1]).flat
    above.suptitle("Learning rate against epoch; black rings: the book's values, the target")
    for ax, (name, curve, book) in zip(above.subplots(3, 5, sharex=True).flat, curves, strict=True):
        ax.plot(curve, "o-", color="C0", markersize=2, linewidth=1)
        ax.plot(list(book), list(book.values()), "o", color="black", markersize=8, fillstyle="none")
        ax.set_title(name, fontsize=10)
        ax.set_ylim(-0.05 * max(curve), 1.1 * max(curve))
    above.supxlabel("epoch")
    above.supylabel("learning rate")

    runs = f"{len(results[CONSTANT])} runs of each (bands: from the best to the worst)"
    below.suptitle(f"A small network on {digits_held_out} held-out digits, {runs}")
    curve_ax, loss_ax, mistakes_ax = below.subplots(1, 3, width_ratios=[1.5, 1, 1])
    for name, color in COLORS.items():
        losses = np.array(results[name])[:, :, 0]
        epochs = np.arange(1, losses.shape[1] + 1)
        curve_ax.fill_between(epochs, losses.min(0), losses.max(0), color=color, alpha=0.15, linewidth=0)
        curve_ax.plot(epochs, losses.mean(0), color=color, label=name)
    curve_ax.set(yscale="log", xlabel="epoch", ylabel="cross-entropy (nats), log scale", title="Held-out loss: mean and band")
    curve_ax.set(xticks=range(0, len(epochs) + 1, 5), xlim=(0, len(epochs) + 0.5), ylim=(0.03, 3))
    curve_ax.set_yticks([0.05, 0.1, 0.2, 0.5, 1, 2], ["0.05", "0.1", "0.2", "0.5", "1", "2"])
    curve_ax.legend()
    for ax, column, title in (
        (loss_ax, 0, f"Held-out loss, mean of last {LAST} epochs"),
        (mistakes_ax, 1, f"Digits mistaken, mean of last {LAST}"),
    ):
        for i, (name, color) in enumerate(COLORS.items()):
            values = ends[name][:, column]
            ax.plot(i + np.linspace(-0.2, 0.2, len(values)), values, "o", color=color, markersize=5)
            ax.hlines(values.mean(), i - 0.35, i + 0.35, color=color, linewidth=2)
            ax.text(i, 0.02, f"mean\n{values.mean():.3g}", transform=ax.get_xaxis_transform(), ha="center")
        ax.set(xticks=range(len(COLORS)), xlim=(-0.6, len(COLORS) - 0.4), title=title)
        ax.set_ylim(0, 1.15 * max(end[:, column].max() for end in ends.values()))
        ax.set_xticklabels([name.replace(" ", "\n", 1) for name in COLORS])
    goal = TARGET * ends[CONSTANT][:, 0].mean()
    loss_ax.axhline(goal, color="black", linestyle="--", label=f"target: {TARGET} of {CONSTANT}'s")
    loss_ax.legend(loc="upper right")
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main()
