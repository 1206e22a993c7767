"""Underfitting, fitting, overfitting: polynomials of degree 1, 3 and 20 through 30 points.

The data are y = 5 + 1.2x - 3.4x²/2! + 5.6x³/3! + noise N(0, 0.1²), at 30 places from -2 to 2 (chapter 3.6 of Dive into
Deep Learning). Each polynomial has the least training error that its degree allows (least squares), so the training error can
only fall with the degree. A line is too simple: both errors are large. A cubic fits. With degree 20, 21 numbers describe 30
points: it follows the noise at the points, and swings between them.

The error on 100 points between them, held out, estimates the generalisation error, which is known here, since we made the data:
it is the mean of (fit - truth)² over x, plus the variance of the noise, 0.01, that nobody can predict.

Target: the cubic's validation error is within half of 0.01, and its coefficients within 0.25 of 5, 1.2, -3.4, 5.6; both errors
of the line are 50 times as large or more; the training error falls with each degree; and degree 20 has a validation error of
three times the cubic's or more. A second.
"""

import argparse
import itertools
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import minidl
import minidl.nn.functional as F
from minidl import viz
from minidl.model_selection import PolynomialFeatures

COEFFICIENTS = [5, 1.2, -3.4, 5.6]
NOISE, TRAIN, VALIDATION, HALF = 0.1, 30, 100, 2.0
HIGHEST = 20
SHOWN = {1: "underfitting", 3: "the right degree", HIGHEST: "overfitting"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="for the points and the noise")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="the target is not asked for: shows that it runs")
    options = parser.parse_args()
    if options.out.is_file():
        parser.error("expected --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    held_out = HALF * (2 * minidl.rand(VALIDATION, 1, dtype=minidl.float64) - 1)
    x = minidl.cat([minidl.linspace(-HALF, HALF, TRAIN, dtype=minidl.float64).reshape(-1, 1), held_out])
    y = truth(x) + NOISE * minidl.randn(len(x), dtype=minidl.float64)
    grid = minidl.linspace(-HALF, HALF, 2001, dtype=minidl.float64).reshape(-1, 1)
    errors, fits = [], []
    for degree in tqdm(range(HIGHEST + 1), unit="degree", disable=None):
        polynomial = least_squares(degree, x[:TRAIN], y[:TRAIN])
        training = F.mse_loss(polynomial(x[:TRAIN]), y[:TRAIN]).item()
        validation = F.mse_loss(polynomial(x[TRAIN:]), y[TRAIN:]).item()
        generalisation = F.mse_loss(polynomial(grid), truth(grid)).item() + NOISE**2
        errors.append((training, validation, generalisation))
        fits.append(polynomial)
    print("degree  training  validation  generalisation error")
    for degree in SHOWN:
        print(f"{degree:6}  {errors[degree][0]:8.2g}  {errors[degree][1]:10.2g}  {errors[degree][2]:8.2g}")
    cubic = fits[3].coefficients()
    print(f"the cubic found: {', '.join(f'{c:.2f}' for c in cubic)}")
    picture(options.out / "polynomial_fit.png", x, y, grid, fits, np.array(errors))
    viz.report(picture=options.out / "polynomial_fit.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'polynomial_fit.png'}")

    line, three, wild = errors[1], errors[3], errors[-1]
    met = abs(three[1] / NOISE**2 - 1) < 0.5 and np.abs(np.array(cubic) - COEFFICIENTS).max() < 0.25
    met = met and min(line[:2]) > 50 * max(three[:2]) and all(a[0] >= b[0] for a, b in itertools.pairwise(errors))
    if not options.quick and not (met and wild[1] > 3 * three[1]):
        sys.exit("expected underfitting, a fit and overfitting; see --help for the numbers")


def truth(x):
    """(N, 1) → (N,), without the noise."""
    y = minidl.zeros(len(x), dtype=x.dtype)
    for i, c in enumerate(COEFFICIENTS):
        y = y + c * x[:, 0] ** i / math.factorial(i)
    return y


class Polynomial:
    """Σ w_i (x/2)^i: on [-2, 2] powers of x/2 are of one size, which keeps the equations well-conditioned."""

    def __init__(self, degree, w):
        self.features, self.w = PolynomialFeatures(degree), w

    def __call__(self, x):
        return self.features.fit_transform(x / HALF) @ self.w

    def coefficients(self):
        """Those of x^i/i!, as the truth is written."""
        return [w * math.factorial(i) / HALF**i for i, w in enumerate(self.w.tolist())]


def least_squares(degree, x, y):
    return Polynomial(degree, minidl.linalg.pinv(PolynomialFeatures(degree).fit_transform(x / HALF)) @ y)


def picture(path, x, y, grid, fits, errors):
    figure = plt.figure(figsize=(16, 7.5), layout="constrained")
    places = figure.add_gridspec(2, 4, width_ratios=[1, 1, 1, 1.5])
    xs, points, exact = grid[:, 0].numpy(), x[:TRAIN, 0].numpy(), truth(grid).numpy()
    noise = (y - truth(x))[:TRAIN].numpy()
    for column, (degree, what) in enumerate(SHOWN.items()):
        above, below = figure.add_subplot(places[0, column]), figure.add_subplot(places[1, column])
        curve = fits[degree](grid).numpy()
        color = "C0" if degree == 3 else "C3"
        above.plot(points, y[:TRAIN].numpy(), "o", color="0.6", markersize=4, label="training points")
        above.plot(xs, exact, "k--", linewidth=1.2, label="truth")
        above.plot(xs, curve, color, label="fit")
        above.set(ylim=(-15, 11), title=f"degree {degree}: {what}")
        below.axhline(0, color="black", linestyle="--", linewidth=1.2)
        below.plot(points, noise, "o", color="0.6", markersize=4)
        below.plot(xs, curve - exact, color)
        below.set(ylim=(-0.8, 0.8), xlabel="x")
        above.legend(loc="lower right")
        if not column:
            above.set_ylabel("y")
            below.set_ylabel("minus the truth, enlarged\n(points: the noise)")
    axes = figure.add_subplot(places[:, 3])
    steps = np.arange(len(errors))
    axes.plot(steps, errors[:, 2], "k--", linewidth=1.2, label="generalisation error, known here")
    axes.plot(steps, errors[:, 1], "C1o-", label=f"validation error ({VALIDATION} points held out)")
    axes.plot(steps, np.maximum(errors[:, 0], 1e-6), "C0o-", label=f"training error ({TRAIN} points)")
    axes.axhline(NOISE**2, color="0.6", linestyle=":")
    axes.text(0, NOISE**2 * 0.93, "variance of\nthe noise", va="top", color="0.4")
    axes.set(yscale="log", xlabel="degree", ylabel="mean squared error (logarithmic)", xticks=steps[::2])
    axes.set_title("The training error only falls;\nwhat was held out tells the degree")
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
