"""Eighteen ways down the same valley, and a race of all optimizers on real data.

Above: twenty steps on the book's ill-conditioned quadratic f = 0.1·x₁² + 2·x₂² (its chapter 12) from (−5, −2). Across the
valley the curvature is twenty times that along it. Gradient descent with a rate of 0.6 leaves the valley; with 0.4 it arrives
slowly. Momentum makes a rate of 0.6 possible; Adagrad, RMSprop, Adam and others give each coordinate a rate of its own. How
far a rule comes depends on its settings, and these are not the best of each: the picture shows how they move, not which one
is best. Of ASGD the average is drawn, and in grey the steps that it averages. Target: where the book's seven settings end, to
six decimals (black rings).

Below: linear regression on scikit-learn's diabetes data (442 patients, 10 features, standardised, so that the loss begins at
½), ten epochs of minibatches of 32. No loss can be below that of least squares, ½·(1 − R²) = 0.2411. L-BFGS and Rprop compare
each gradient with the last one, which means little if each is of other patients: they see all patients at every step. In red
what becomes of them with minibatches: they end above the others, or end well by luck (0.244 to 0.284 in three runs). Target:
all others, and these two with all patients, end below 0.25. It takes some seconds.
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
from sklearn.datasets import load_diabetes
from tqdm import tqdm

import minidl
from minidl import optim, viz
from minidl.utils.data import DataLoader, TensorDataset

START, STEPS = (-5.0, -2.0), 20
BOOK = {"eps": 1e-6, "eps_inside_sqrt": True}  # √(s + ε), where the book has its epsilon
BATCH, TARGET = 32, 0.25

# name, optimizer of some parameters, where it ends in the book
PATHS: list[tuple[str, Callable, tuple | None]] = [
    ("SGD, rate 0.4", lambda p: optim.SGD(p, lr=0.4), (-0.943467, -0.000073)),
    ("SGD, rate 0.6", lambda p: optim.SGD(p, lr=0.6), (-0.387814, -1673.365109)),
    ("momentum 0.5, rate 0.6", lambda p: optim.SGD(p, lr=0.6, momentum=0.5), (0.007188, 0.002553)),
    ("momentum 0.25, rate 0.6", lambda p: optim.SGD(p, lr=0.6, momentum=0.25), (-0.126340, -0.186632)),
    ("Adagrad, rate 0.4", lambda p: optim.Adagrad(p, lr=0.4, **BOOK), (-2.382563, -0.158591)),
    ("Adagrad, rate 2", lambda p: optim.Adagrad(p, lr=2, **BOOK), (-0.002295, 0.0)),
    ("RMSprop, rate 0.4", lambda p: optim.RMSprop(p, lr=0.4, alpha=0.9, **BOOK), (-0.010599, 0.0)),
    ("Adadelta, ε 0.01", lambda p: optim.Adadelta(p, lr=1, rho=0.9, eps=0.01), None),
    ("Adam, rate 0.4", lambda p: optim.Adam(p, lr=0.4), None),
    ("Adamax, rate 0.4", lambda p: optim.Adamax(p, lr=0.4), None),
    ("NAdam, rate 0.4", lambda p: optim.NAdam(p, lr=0.4), None),
    ("RAdam, rate 0.4", lambda p: optim.RAdam(p, lr=0.4), None),
    ("Yogi, rate 0.4", lambda p: optim.Yogi(p, lr=0.4), None),
    ("Lion, rate 0.4", lambda p: optim.Lion(p, lr=0.4), None),
    ("Muon, rate 0.4", lambda p: optim.Muon(p, lr=0.4), None),
    ("Rprop, rate 0.4", lambda p: optim.Rprop(p, lr=0.4), None),
    ("ASGD, rate 0.48", lambda p: optim.ASGD(p, lr=0.48, t0=1), None),
    ("L-BFGS", lambda p: lbfgs(p), None),
]

# For each panel: name, color, optimizer, whether it sees all data at each step. Red is what minibatches spoil.
RACE: dict[str, list[tuple[str, str, Callable, bool]]] = {
    "Plain gradients": [
        ("SGD 0.05", "C0", lambda p: optim.SGD(p, lr=0.05), False),
        ("SGD 0.005, momentum 0.9", "C1", lambda p: optim.SGD(p, lr=0.005, momentum=0.9), False),
        ("ASGD 0.05 (average)", "C2", lambda p: optim.ASGD(p, lr=0.05, t0=50), False),
    ],
    "A rate for each coordinate": [
        ("Adagrad 0.1", "C0", lambda p: optim.Adagrad(p, lr=0.1, **BOOK), False),
        ("RMSprop 0.01", "C1", lambda p: optim.RMSprop(p, lr=0.01, alpha=0.9, **BOOK), False),
        ("Adadelta", "C2", lambda p: optim.Adadelta(p, lr=1, rho=0.9, eps=1e-5), False),
    ],
    "Adam and its relatives": [
        ("Adam 0.01", "C0", lambda p: optim.Adam(p, lr=0.01), False),
        ("AdamW 0.01", "C1", lambda p: optim.AdamW(p, lr=0.01), False),
        ("Adamax 0.02", "C2", lambda p: optim.Adamax(p, lr=0.02), False),
        ("NAdam 0.01", "C4", lambda p: optim.NAdam(p, lr=0.01), False),
        ("RAdam 0.03", "C5", lambda p: optim.RAdam(p, lr=0.03), False),
        ("Yogi 0.01", "C6", lambda p: optim.Yogi(p, lr=0.01), False),
    ],
    "Signs, matrices, curvature": [
        ("Lion 0.01", "C0", lambda p: optim.Lion(p, lr=0.01), False),
        ("Muon 0.01", "C1", lambda p: optim.Muon(p, lr=0.01, weight_decay=0), False),
        ("Rprop 0.01, all data", "C2", lambda p: optim.Rprop(p, lr=0.01), True),
        ("L-BFGS, all data", "C4", lambda p: lbfgs(p), True),
        ("Rprop, minibatches", "C3", lambda p: optim.Rprop(p, lr=0.01), False),
        ("L-BFGS, minibatches", "C3", lambda p: lbfgs(p), False),
    ],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10, help="of the regression (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the order of the patients, the same for all")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch, and no loss to reach: shows that it runs")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    begin = time.perf_counter()
    paths = {name: path(make) for name, make, _ in PATHS}
    for name, _, book in PATHS:
        (x1, x2), told = paths[name][0][-1], "" if book is None else f"   the book: {book[0]:.6f}, {book[1]:.6f}"
        print(f"{name:24} ends at {x1:.6f}, {x2:.6f}{told}")
    missed = [name for name, _, book in PATHS if book and not np.allclose(paths[name][0][-1], book, rtol=0, atol=1e-6)]

    data, floor = diabetes()
    losses, racers = {}, [racer for panel in RACE.values() for racer in panel]
    for name, _, make, everything in tqdm(racers, unit="optimizer", disable=None):
        minidl.manual_seed(options.seed)
        losses[name] = regression(make, everything, data, epochs)
    for name, _, _, _ in racers:
        print(f"{name:24} loss {losses[name][-1]:.4f}")
    print(f"least squares            loss {floor:.4f}; all in {time.perf_counter() - begin:.1f} s")

    picture(paths, losses, floor, options.out / "optimizer_race.png")
    viz.report(picture=options.out / "optimizer_race.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'optimizer_race.png'}")
    if missed:
        sys.exit(f"expected the book's end to six decimals, not with {', '.join(missed)}")
    slow = [name for name, color, _, _ in racers if color != "C3" and not floor - 1e-6 <= losses[name][-1] < TARGET]
    if slow and not options.quick:
        sys.exit(f"expected a loss below {TARGET}, not with {', '.join(slow)}")


def lbfgs(parameters):
    """One direction and one line search a step, as the others make one step."""
    return optim.LBFGS(parameters, max_iter=1, line_search_fn="strong_wolfe")


def path(make):
    """(where the rule stands, where its steps led): (STEPS + 1, 2) each, the same but for ASGD."""
    x = minidl.tensor([START], dtype=minidl.float64, requires_grad=True)  # a 1x2 matrix, because Muon takes matrices
    optimizer = make([x])

    def closure():
        optimizer.zero_grad()
        loss = 0.1 * x[0, 0] ** 2 + 2 * x[0, 1] ** 2
        loss.backward()
        return loss

    points, steps = [START], [START]
    for _ in range(STEPS):
        optimizer.step(closure)
        points.append(tuple(result(optimizer, x).tolist()[0]))
        steps.append(tuple(x.tolist()[0]))
    return np.array(points), np.array(steps)


def result(optimizer, parameter):
    """What the optimizer has found: the parameter, or ASGD's average of it."""
    return optimizer.state[parameter]["ax"] if isinstance(optimizer, optim.ASGD) else parameter.detach()


def diabetes():
    """The patients, standardised, as a TensorDataset; the loss of least squares."""
    x, y = map(np.asarray, load_diabetes(return_X_y=True))
    x, y = (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]
    floor = 0.5 * np.mean((x @ np.linalg.lstsq(x, y, rcond=None)[0] - y) ** 2)
    return TensorDataset(*(minidl.tensor(array, dtype=minidl.float32) for array in (x, y))), floor


def regression(make, everything, data, epochs):
    """The loss on all patients before the first step and after each."""
    w = minidl.zeros(10, 1, requires_grad=True)  # no bias: all means are 0
    optimizer, (x, y) = make([w]), data[:]
    losses = [0.5 * (y**2).mean().item()]
    for _ in range(epochs):
        for batch in DataLoader(data, batch_size=BATCH, shuffle=True):
            a, b = (x, y) if everything else batch

            def closure(a=a, b=b):
                optimizer.zero_grad()
                loss = 0.5 * ((a @ w - b) ** 2).mean()
                loss.backward()
                return loss

            optimizer.step(closure)
            with minidl.no_grad():
                losses.append(0.5 * ((x @ result(optimizer, w) - y) ** 2).mean().item())
    return losses


def picture(paths, losses, floor, path):
    figure = plt.figure(figsize=(16, 13.5), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.1, 1]).flat
    above.suptitle(
        f"{STEPS} steps on 0.1·x₁² + 2·x₂² from (−5, −2) to the minimum at +. Ring: where the book ends. Red: leaves the valley"
    )
    a, b = np.meshgrid(np.linspace(-5.6, 3.2, 120), np.linspace(-3.2, 3.2, 120))
    for ax, (name, _, book) in zip(above.subplots(3, 6, sharex=True, sharey=True).flat, PATHS, strict=True):
        points, steps = paths[name]
        value = 0.1 * points[-1, 0] ** 2 + 2 * points[-1, 1] ** 2
        ax.contour(a, b, 0.1 * a**2 + 2 * b**2, levels=[0.05, 0.25, 1, 2.5, 5, 10, 16], colors="0.8", linewidths=0.8)
        ax.plot(0, 0, "k+", markersize=10)
        if not np.array_equal(points, steps):
            ax.plot(*steps.T, "o-", color="0.6", markersize=2, linewidth=0.6)
        ax.plot(*points.T, "o-", color="C0" if value < 10 else "C3", markersize=3, linewidth=1)
        if book and value < 10:
            ax.plot(*book, "o", color="black", markersize=9, fillstyle="none")
        told = f"f = {value:,.0f}" if value > 10 else f"f = {value:.5f}"
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(0.97, 0.05, told, transform=ax.transAxes, ha="right", bbox=white)
        ax.set(xlim=(-5.6, 3.2), ylim=(-3.2, 3.2), title=name)
        ax.label_outer()
    above.supxlabel("x₁")
    above.supylabel("x₂")

    below.suptitle(
        f"Linear regression on 442 patients, minibatches of {BATCH}: loss after each step; the legends tell the last one"
    )
    for ax, (title, panel) in zip(below.subplots(1, len(RACE), sharey=True), RACE.items(), strict=True):
        for i, (name, color, _, _) in enumerate(panel):
            dashes = ":" if name == "Rprop, minibatches" else "-"
            ax.plot(losses[name], dashes, color=color, linewidth=3 - 0.4 * i, label=f"{name}: {losses[name][-1]:.4f}")
        ax.axhline(floor, color="black", linestyle="--", label=f"least squares: {floor:.4f}")
        ax.axhline(TARGET, color="0.6", linestyle=":", label=f"target: below {TARGET}")
        ax.set(ylim=(0.2, 0.52), xlabel="step", title=title)
        ax.legend(loc="upper right", fontsize=9)
    below.axes[0].set_ylabel("½·mean squared error, all patients")
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main()
