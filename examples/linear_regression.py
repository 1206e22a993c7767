"""Linear regression four ways: from scratch, with layers, by likelihood, and with measurements that are wrong.

1. y = 2 x1 - 3.4 x2 + 4.2 + noise N(0, 0.01²), 1000 examples, batches of 32, learning rate 0.03, 3 epochs (chapter 3 of Dive
   into Deep Learning). From scratch the loss is ½(ŷ - y)²: a step multiplies the error by 1 - 0.03; 96 steps leave 5 % of it.
   nn.MSELoss has no ½, so nn.Linear with it takes steps twice as long. Targets: from scratch the errors are within three
   standard deviations of (0.114, -0.173, 0.219), and concise they are below 0.02. The first step by autograd is the step by
   hand, w - η/|B| Σ x(wx + b - y), within 1e-6.
2. If the noise is N(0, σ²), the negative log-likelihood is Σ ½ log(2πσ²) + (y - wx - b)²/(2σ²). Whatever σ is, its least value
   lies where the squares have theirs. Target: its gradient at the closed form (XᵀX)⁻¹Xᵀy is below 1e-9 for three σ, and
   gradient descent on the squares ends there within 1e-9.
3. Squares weigh what is far off heavily. Of 100 points around a line, the 10 rightmost are read 8 too low. Target: the slope
   found by squares is at least 5 times as far off as that found by absolute values.

The picture shows errors step by step, both criteria over w, residuals beside the normal density, and the lines. Some seconds.
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
from minidl import viz
from minidl.utils.data import DataLoader, TensorDataset

W, B, NOISE, RATE, BATCH = minidl.tensor([[2.0], [-3.4]]), 4.2, 0.01, 0.03, 32
SCRATCH = {"w1": (0.114, 0.024), "w2": (-0.173, 0.028), "b": (0.219, 0.018)}  # mean and deviation over 20 seeds
CONCISE, EXACT, OUTLIERS = 0.02, 1e-9, 5
STD, SIGMAS = 0.5, [0.25, 0.5, 1.0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="passes over the examples (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the examples, their order and the weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch, and no target to meet: shows that it runs")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    x = minidl.randn(1000, 2)
    y = x @ W + B + NOISE * minidl.randn(1000, 1)
    scratch, by_hand = from_scratch(x, y, epochs)
    concise = with_layers(x, y, epochs)
    print(f"from scratch: errors of w1, w2, b {show(scratch[-1])}; first step against the one by hand {by_hand:.1g}")
    print(f"concise:      errors of w1, w2, b {show(concise[-1])}")

    line = LineWithNoise()
    print(f"likelihood:   gradient at the closed form {line.gradient:.1g}; descent ends {line.distance:.1g} from it")
    wrong = WrongMeasurements(500 if options.quick else 3000)
    print(f"outliers:     slope 1; by squares {wrong.squares[0]:.3f}, by absolute values {wrong.absolute[0]:.3f}")

    figure, axes = plt.subplots(2, 2, figsize=(12, 8.5), layout="constrained")
    picture_errors(axes[0, 0], scratch, concise)
    line.picture_likelihood(axes[0, 1])
    line.picture_residuals(axes[1, 0])
    wrong.picture(axes[1, 1])
    figure.savefig(options.out / "linear_regression.png", dpi=110)
    plt.close(figure)
    viz.report(picture=options.out / "linear_regression.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'linear_regression.png'}")
    if by_hand > 1e-6 or max(line.gradient, line.distance) > EXACT:
        sys.exit(f"expected steps by autograd and by hand to agree within 1e-6, squares and likelihood within {EXACT}")
    if options.quick:
        return
    if any(abs(e - mean) > 3 * std for e, (mean, std) in zip(scratch[-1], SCRATCH.values(), strict=True)):
        sys.exit(f"expected errors from scratch within 3 deviations of {SCRATCH}")
    if max(map(abs, concise[-1])) > CONCISE:
        sys.exit(f"expected errors of the concise model below {CONCISE}")
    if abs(wrong.squares[0] - 1) < OUTLIERS * abs(wrong.absolute[0] - 1):
        sys.exit(f"expected squares to be misled {OUTLIERS} times as far as absolute values")


def show(errors):
    return ", ".join(f"{e:+.4f}" for e in errors)


def errors_of(w, b):
    return [*(W - w.detach().reshape(W.shape)).flatten().tolist(), B - b.item()]


def batches(x, y):
    return DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)


# --- 1: minibatch descent


def from_scratch(x, y, epochs):
    """(the errors of w1, w2, b before each step and after the last, how far the first step is from the one by hand)."""
    w = (0.01 * minidl.randn(2, 1)).requires_grad_()
    b = minidl.zeros(1, requires_grad=True)
    history, first = [errors_of(w, b)], float("nan")
    for _ in tqdm(range(epochs), desc="from scratch", unit="epoch", disable=None):
        for xs, ys in batches(x, y):
            with minidl.no_grad():
                residual = xs @ w + b - ys
                w_by_hand = w - RATE / len(xs) * (xs.T @ residual)
                b_by_hand = b - RATE / len(xs) * residual.sum()
            loss = ((xs @ w + b - ys) ** 2 / 2).mean()
            loss.backward()
            with minidl.no_grad():
                for parameter in (w, b):
                    parameter -= RATE * parameter.grad
                    parameter.grad.zero_()
            if len(history) == 1:
                first = max((w - w_by_hand).abs().max().item(), (b - b_by_hand).abs().item())
            history.append(errors_of(w, b))
    return history, first


def with_layers(x, y, epochs):
    net, loss = nn.Linear(2, 1), nn.MSELoss()
    nn.init.normal_(net.weight, std=0.01)
    nn.init.zeros_(net.bias)
    optimizer = minidl.optim.SGD(net.parameters(), lr=RATE)
    history = [errors_of(net.weight, net.bias)]
    for _ in tqdm(range(epochs), desc="concise", unit="epoch", disable=None):
        for xs, ys in batches(x, y):
            optimizer.zero_grad()
            loss(net(xs), ys).backward()
            optimizer.step()
            history.append(errors_of(net.weight, net.bias))
    return history


def picture_errors(ax, scratch, concise):
    steps = np.arange(len(scratch))
    start = np.linalg.norm(scratch[0])
    for name, history, factor, color in (
        ("from scratch, loss ½(ŷ - y)²", scratch, 1 - RATE, "C1"),
        ("nn.Linear and nn.MSELoss, no ½", concise, 1 - 2 * RATE, "C0"),
    ):
        ax.plot(steps, np.linalg.norm(history, axis=1), color=color, label=f"{name}: {np.linalg.norm(history[-1]):.3f} left")
        ax.plot(steps, start * factor**steps, "k--", linewidth=0.9, label="theory: error × (1 - 0.03)ᵗ, (1 - 0.06)ᵗ")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend([handles[0], handles[2], handles[1]], [labels[0], labels[2], labels[1]])
    ax.set(yscale="log", xlabel="step t (32 in an epoch)", ylabel="distance of (w, b) from the truth")
    ax.set_title("The ½ in the loss halves the step")


# --- 2: the likelihood of a line


class LineWithNoise:
    """y = 2x + 1 + N(0, 0.5²): squares and likelihood over the slope w, and where both are least."""

    def __init__(self):
        x = minidl.randn(1000, 1, dtype=minidl.float64)
        self.y = 2 * x + 1 + STD * minidl.randn(1000, 1, dtype=minidl.float64)
        self.x = minidl.cat([x, minidl.ones_like(x)], 1)
        self.best = minidl.tensor(np.linalg.solve((self.x.T @ self.x).numpy(), (self.x.T @ self.y).numpy()))
        self.gradient = 0.0
        for sigma in SIGMAS:
            w = self.best.clone().requires_grad_()
            self.nll(w, sigma).backward()
            self.gradient = max(self.gradient, w.grad.abs().max().item())
        w = minidl.zeros(2, 1, dtype=minidl.float64, requires_grad=True)
        optimizer = minidl.optim.SGD([w], lr=0.5)
        for _ in range(200):
            optimizer.zero_grad()
            self.squares(w).backward()
            optimizer.step()
        self.distance = (w - self.best).abs().max().item()

    def squares(self, w):
        return ((self.x @ w - self.y) ** 2 / 2).mean()

    def nll(self, w, sigma):
        """The mean over the examples."""
        variance = minidl.full(self.y.shape, sigma**2, dtype=minidl.float64)
        return F.gaussian_nll_loss(self.x @ w, self.y, variance, full=True)

    def picture_residuals(self, ax):
        at = np.linspace(-4, 4, 200)
        residuals = ((self.y - self.x @ self.best) / STD).numpy()[:, 0]
        label = f"residuals (y - ŷ)/σ of {len(residuals)} examples"
        ax.hist(residuals, bins=32, range=(-4, 4), density=True, color="0.6", label=label)
        ax.plot(at, np.exp(-(at**2) / 2) / math.sqrt(2 * math.pi), "k--", label="density of N(0, 1): 0.3989 at 0")
        ax.set(xlabel="in standard deviations of the noise", ylabel="density", ylim=(0, 0.6))
        ax.set_title("y = 2x + 1 + N(0, 0.5²): what the line leaves is the noise")
        ax.legend(loc="upper center")

    def picture_likelihood(self, ax):
        slopes = np.linspace(0.5, 3.5, 301)
        lines = [minidl.tensor([[slope], [self.best[1].item()]]) for slope in slopes]
        curves = [("squares ½(ŷ - y)²", "C0", "-", [self.squares(w).item() for w in lines])]
        for sigma, style in zip(SIGMAS, (":", "--", "-."), strict=True):
            curves.append((f"-log likelihood for N(0, {sigma}²)", "C1", style, [self.nll(w, sigma).item() for w in lines]))
        for name, color, style, values in curves:
            ax.plot(slopes, values, style, color=color, label=name)
            ax.plot(slopes[np.argmin(values)], min(values), "o", color=color)
        slope = self.best[0].item()
        ax.axvline(slope, color="black", linestyle="--", linewidth=0.9, label=f"least squares in closed form: {slope:.3f}")
        ax.set(xlabel="slope w (true: 2)", ylabel="mean over 1000 examples", ylim=(0, 12))
        ax.set_title("Whatever σ: the most likely line is that of least squares")
        ax.legend(loc="upper center")


# --- 3: measurements that are wrong


class WrongMeasurements:
    """y = x + N(0, 0.3²) at 100 places, the last 10 of which are read 8 too low: (slope, offset) by two losses."""

    def __init__(self, steps):
        self.x = minidl.linspace(-3, 3, 100).reshape(-1, 1)
        self.y = self.x + 0.3 * minidl.randn(100, 1)
        self.y[90:] -= 8
        self.squares, self.absolute = self.fit(F.mse_loss, steps), self.fit(F.l1_loss, steps)

    def fit(self, loss, steps):
        net = nn.Linear(1, 1)
        optimizer = minidl.optim.SGD(net.parameters(), lr=0.02)
        for _ in tqdm(range(steps), desc=loss.__name__, unit="step", disable=None):
            optimizer.zero_grad()
            loss(net(self.x), self.y).backward()
            optimizer.step()
        return net.weight.item(), net.bias.item()

    def picture(self, ax):
        x, y = self.x.numpy()[:, 0], self.y.numpy()[:, 0]
        ax.plot(x, y, ".", color="0.6", label="examples; the 10 at the right are read 8 too low")
        ax.plot(x, x, "k--", label="truth: slope 1")
        for name, (slope, offset), color in (
            ("absolute values |ŷ - y|", self.absolute, "C0"),
            ("squares (ŷ - y)²", self.squares, "C3"),
        ):
            ax.plot(x, slope * x + offset, color=color, label=f"{name}: slope {slope:.2f}")
        ax.set(xlabel="x", ylabel="y", ylim=(-7.5, 6), title="Squares are misled by a few wrong measurements")
        ax.legend(loc="upper left")


if __name__ == "__main__":
    main()
