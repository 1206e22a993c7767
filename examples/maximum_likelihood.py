"""Maximum likelihood three times: a coin, letters, a line. Losses are what it comes to, and their floor is an entropy.

1. Coin: 8,675,309 heads, 256,245 tails. The likelihood of the probability of heads is a number with half a million zeros behind
   the point; its negative logarithm is well-behaved, and least at the frequency of heads, 0.9713101. Descent on the sum over
   all throws, as chapter 22.7 of Dive into Deep Learning does it, needs the learning rate 1e-9: the curvature at the end is
   n/(p(1 - p)) = 3.2e8, so a step multiplies what is wrong by 1 - 1e-9 * 3.2e8 = 0.68. Descent on the mean, with p =
   sigmoid(logit), has the curvature p(1 - p) = 0.028 there and takes 4. Target: both within 1e-6 of the frequency.
2. Letters (multinoulli): the mean negative log-likelihood of a model q over a sample is the cross-entropy of the sample's
   frequencies f with q, and that is H(f) + D(f||q): it falls to the entropy of f and no further. Target: after training,
   frequencies within 1e-6; and at each step before, what lies between loss and entropy is D(f||q) within 1e-9.
3. Line: noise that is N(0, std²) makes the negative log-likelihood a squared error, scaled and shifted. Target: descent on the
   likelihood over w, b and log std finds the w and b of least squares (closed form) within 1e-6, and the standard deviation of
   their residuals. SGD on the squared error, in batches of 32, comes within 0.02: no two batches have one optimum.

The picture shows likelihood, ways and floors of all three.
"""

import argparse
import math
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
from minidl import information, viz
from minidl.utils.data import DataLoader, TensorDataset

HEADS, TAILS = 8_675_309, 256_245
LETTERS, PROBABILITIES = "etaoin", [0.30, 0.22, 0.18, 0.13, 0.10, 0.07]
W, B, STD = 2.0, 4.2, 0.5
EXACT, FLOOR, NEAR = 1e-6, 1e-9, 0.02


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of each descent but SGD's (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the letters and for the points around the line")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="ten steps, and no result to reach: shows that it runs")
    options = parser.parse_args()
    steps = 10 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)
    failures = []

    frequency = HEADS / (HEADS + TAILS)
    book, logits = coin_by_sum(min(steps, 100)), coin_by_mean(steps)
    print(f"coin: frequency {frequency:.7f}; by the sum {book[-1]:.7f}, by the mean over logits {logits[-1]:.7f}")
    if max(abs(book[-1] - frequency), abs(logits[-1] - frequency)) > EXACT:
        failures.append(f"the frequency of heads within {EXACT}")

    letters = minidl.multinomial(minidl.tensor(PROBABILITIES), 500, replacement=True)
    frequencies = minidl.bincount(letters, minlength=len(LETTERS)).double() / len(letters)
    losses, gaps, learned = multinoulli(letters, frequencies, steps)
    entropy = information.entropy(frequencies, base=math.e).item()
    distance = (learned - frequencies).abs().max().item()
    identity = max(abs(loss - entropy - gap) for loss, gap in zip(losses, gaps, strict=True))
    print(
        f"letters: loss {losses[0]:.4f} to {losses[-1]:.6f}, entropy of the frequencies {entropy:.6f} nats; frequencies at "
        f"most {distance:.1g} off; loss - entropy - divergence at most {identity:.1g}"
    )
    if distance > EXACT:
        failures.append(f"the frequencies of the letters within {EXACT}")

    x = minidl.randn(1000, 1, dtype=minidl.float64)
    y = W * x + B + minidl.normal(0, STD, x.shape, dtype=minidl.float64)
    closed = least_squares(x, y)
    path = likelihood_of_line(x, y, steps)
    sgd = sgd_on_squares(x, y, epochs=1 if options.quick else 10)
    for name, (w, b, std) in (("least squares", closed), ("likelihood", path[-1]), ("SGD", sgd)):
        print(f"line, {name}: w {w:.7f}, b {b:.7f}, std {std:.7f}")
    if max(abs(p - q) for p, q in zip(path[-1], closed, strict=True)) > EXACT:
        failures.append(f"the least squares and the standard deviation of their residuals within {EXACT}")
    if max(abs(p - q) for p, q in zip(sgd[:2], closed, strict=False)) > NEAR:
        failures.append(f"SGD within {NEAR} of the least squares")

    figure, axes = plt.subplots(2, 3, figsize=(15, 8.5), layout="constrained")
    picture_coin(axes[:, 0], book, logits, frequency)
    picture_letters(axes[:, 1], losses, gaps, entropy, frequencies, learned)
    picture_line(axes[:, 2], x, y, closed, path)
    figure.savefig(options.out / "maximum_likelihood.png", dpi=110)
    plt.close(figure)
    viz.report(picture=options.out / "maximum_likelihood.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'maximum_likelihood.png'}")
    if identity > FLOOR:
        sys.exit(f"expected loss = entropy + divergence within {FLOOR} at every step, {identity:.2g} is missing")
    if failures and not options.quick:
        sys.exit(f"expected {', '.join(failures)}")


# --- the coin


def coin_by_sum(steps):
    """The book's own descent, on -log likelihood of all throws; returns the probability of heads before each step and after."""
    p = minidl.tensor(0.5, dtype=minidl.float64, requires_grad=True)
    history = [p.item()]
    for _ in tqdm(range(steps), desc="coin, sum", unit="step", disable=None):
        loss = -(HEADS * p.log() + TAILS * (1 - p).log())
        loss.backward()
        with minidl.no_grad():
            p -= 1e-9 * p.grad
        p.grad.zero_()
        history.append(p.item())
    return history


def coin_by_mean(steps):
    """The same by the mean loss over logits: a binary cross-entropy, whose target is the frequency."""
    logit = minidl.tensor(0.0, dtype=minidl.float64, requires_grad=True)
    target = minidl.tensor(HEADS / (HEADS + TAILS), dtype=minidl.float64)
    optimizer = minidl.optim.SGD([logit], lr=4.0)
    history = [0.5]
    for _ in tqdm(range(steps), desc="coin, mean", unit="step", disable=None):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(logit, target).backward()
        optimizer.step()
        history.append(logit.sigmoid().item())
    return history


def picture_coin(axes, book, logits, frequency):
    p = np.linspace(0.4, 0.999, 400)
    loss = -(frequency * np.log(p) + (1 - frequency) * np.log1p(-p))
    ax = axes[0]
    ax.plot(p, loss, "black", linewidth=1)
    for history, color, marker, label in ((book, "C1", "o", "sum, lr 1e-9"), (logits, "C0", "x", "mean over logits, lr 4")):
        heads = np.array(history)
        ax.plot(heads, -(frequency * np.log(heads) + (1 - frequency) * np.log1p(-heads)), color + marker, label=label)
    entropy = information.entropy([frequency, 1 - frequency], base=math.e).item()
    ax.axhline(entropy, color="gray", linestyle=":")
    ax.annotate(f"entropy of the frequencies {entropy:.4f}", (0.41, entropy), (0, 4), textcoords="offset points", color="gray")
    ax.set(xlabel="probability of heads", ylabel="mean negative log-likelihood (nats)", title="Coin: 8,675,309 of 8,931,554")
    ax.legend()
    ax = axes[1]
    for history, color, label in ((book, "C1", "sum, lr 1e-9"), (logits, "C0", "mean over logits, lr 4")):
        ax.plot(np.abs(np.array(history) - frequency).clip(1e-16), color, label=label)
    ax.axhline(EXACT, color="gray", linestyle=":")
    ax.set(xlabel="step", yscale="log", xlim=(0, 105), ylim=(1e-12, 1), title="Distance from the frequency 0.9713101")
    ax.legend()


# --- the letters


def multinoulli(letters, frequencies, steps):
    """Descent on the mean negative log-likelihood; returns the losses, D(frequencies||model), and the learned probabilities."""
    logits = minidl.zeros(len(LETTERS), dtype=minidl.float64, requires_grad=True)
    optimizer = minidl.optim.SGD([logits], lr=4.0)
    losses, gaps = [], []
    for step in tqdm(range(steps + 1), desc="letters", unit="step", disable=None):
        loss = F.cross_entropy(logits.expand(len(letters), -1), letters)
        losses.append(loss.item())
        gaps.append(information.kl_divergence(frequencies, logits.detach().softmax(0), base=math.e).item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses, gaps, logits.detach().softmax(0)


def picture_letters(axes, losses, gaps, entropy, frequencies, learned):
    ax = axes[0]
    shown = 40
    ax.plot(losses[:shown], "C0", label="cross-entropy of sample and model")
    ax.axhline(entropy, color="gray", linestyle=":", label=f"entropy of the frequencies {entropy:.4f}")
    ax.fill_between(range(len(losses[:shown])), entropy, losses[:shown], color="C0", alpha=0.15, label="D(frequencies‖model)")
    ax.set(xlabel="step", ylabel="nats", title="Letters: the loss falls to the entropy, no further")
    ax.legend()
    bars = ax.inset_axes([0.4, 0.24, 0.57, 0.38])
    places = np.arange(len(LETTERS))
    for shift, values, color, label in (
        (-0.27, PROBABILITIES, "lightgray", "source"),
        (0.0, frequencies.numpy(), "C2", "500 letters"),
        (0.27, learned.numpy(), "C0", "model"),
    ):
        bars.bar(places + shift, values, 0.27, color=color, label=label)
    bars.set(yticks=[])
    bars.set_xticks(places, list(LETTERS))
    bars.legend(fontsize=8)
    ax = axes[1]
    ax.plot(np.clip(np.array(losses) - entropy, 1e-17, None), "C0", linewidth=4, alpha=0.4, label="loss - entropy")
    ax.plot(np.clip(gaps, 1e-17, None), "black", linewidth=1, label="D(frequencies‖model)")
    ax.set(xlim=(0, shown), ylim=(1e-14, 1))  # below is rounding
    ax.set(xlabel="step", yscale="log", ylabel="nats", title="The rest of the loss is a divergence, step by step")
    ax.legend()


# --- the line


def least_squares(x, y):
    """(w, b, standard deviation of the residuals), by the closed form."""
    columns = np.hstack([x.numpy(), np.ones_like(x.numpy())])
    w, b = np.linalg.lstsq(columns, y.numpy()[:, 0])[0]
    return w, b, float(np.sqrt(np.mean((columns @ [w, b] - y.numpy()[:, 0]) ** 2)))


def normal_nll(x, y, w, b, log_std):
    """The mean of -log N(y; w·x + b, std²) in nats: half a squared error over std², and what the width itself costs."""
    return 0.5 * math.log(2 * math.pi) + log_std + 0.5 * ((y - w * x - b) ** 2).mean() * (-2 * log_std).exp()


def likelihood_of_line(x, y, steps):
    """Descent on the negative log-likelihood; returns (w, b, std) before each step and at the end."""
    w, b, log_std = (minidl.zeros((), dtype=minidl.float64, requires_grad=True) for _ in range(3))
    optimizer = minidl.optim.SGD([w, b, log_std], lr=0.1)
    history = []
    for step in tqdm(range(steps + 1), desc="line", unit="step", disable=None):
        history.append((w.item(), b.item(), math.exp(log_std.item())))
        if step < steps:
            optimizer.zero_grad()
            normal_nll(x, y, w, b, log_std).backward()
            optimizer.step()
    return history


def sgd_on_squares(x, y, epochs):
    """A linear layer and the mean squared error, as one does it; returns (w, b, standard deviation of the residuals)."""
    layer = nn.Linear(1, 1).double()
    optimizer = minidl.optim.SGD(layer.parameters(), lr=0.01)
    for _ in tqdm(range(epochs), desc="line, SGD", unit="epoch", disable=None):
        for batch, targets in DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True):
            optimizer.zero_grad()
            F.mse_loss(layer(batch), targets).backward()
            optimizer.step()
    return layer.weight.item(), layer.bias.item(), math.sqrt(F.mse_loss(layer(x), y).item())


def picture_line(axes, x, y, closed, path):
    w, b, std = closed
    ax = axes[0]
    ax.scatter(x.numpy(), y.numpy(), s=4, color="gray", alpha=0.5)
    ends = np.array([-3.3, 3.3])
    for i, color in ((0, "lightsteelblue"), (5, "cornflowerblue"), (len(path) - 1, "C0")):
        ax.plot(ends, path[i][0] * ends + path[i][1], color, label=f"step {i}")
    ax.fill_between(ends, w * ends + b - 2 * std, w * ends + b + 2 * std, color="C0", alpha=0.15, label="±2 std")
    ax.set(xlabel="x", ylabel="y", title=f"Line: y = {w:.3f} x + {b:.3f} ± {std:.3f}")
    ax.legend()
    ax = axes[1]
    slopes = np.linspace(1, 3, 81)
    squares = [((y - slope * x - b) ** 2).mean().item() for slope in slopes]
    for width, color in ((std, "C0"), (1.0, "C1"), (1.6, "C2")):
        log_std = minidl.tensor(math.log(width), dtype=minidl.float64)
        ax.plot(
            slopes, [normal_nll(x, y, slope, b, log_std).item() for slope in slopes], color, label=f"-log L, std {width:.2f}"
        )
    ax.plot(slopes, squares, "black", linestyle="--", label="mean squared error")
    ax.axvline(w, color="gray", linestyle=":")
    ax.set(xlabel="w", title="Likelihood and squared error: the same w is best")
    ax.legend()


if __name__ == "__main__":
    main()
