"""How complex a model, and how much data: cross-validation and a learning curve on the diabetes data.

442 patients, ten measurements of each, and how far the disease had gone a year later (scikit-learn's bundled set, no download).
Models are least squares on the measurements and on their products: none (the mean), degree 1, degree 2 (65 features), degree 3
(285), of which the training error falls each time. Which one to take? In 5-fold cross-validation each patient is held out once,
and the errors of five runs are averaged. The book's k_fold is this, with a training loop for `fit`.

The learning curve shows the line's errors against the number of patients it was fitted to: with few the training error is
small and the validation error large, then they meet. So more patients would gain little, better measurements more. With n
patients and 11 coefficients, theory says that both are about as far from what they meet at.

Target: degree 1 has the least validation error, its R² on parts held out is scikit-learn's, 0.4823, within 0.0001, and with
all patients the two errors of the line are within 15 % of each other. A second or two.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from tqdm import tqdm

import minidl
import minidl.nn.functional as F
from minidl import viz
from minidl.model_selection import KFold, PolynomialFeatures, cross_validate, learning_curve

R2, NEAR, MEET = 0.482316, 1e-4, 0.15
SIZES = [15, 20, 30, 50, 80, 120, 180, 250, 353]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=8, help="of the learning curve, with other folds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the folds of the learning curve")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one learning curve, and no target to meet: shows that it runs")
    options = parser.parse_args()
    repeats = 1 if options.quick else options.repeats
    if repeats < 1 or options.out.is_file():
        parser.error("expected 1 repeat or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    X, y = (minidl.tensor(array, dtype=minidl.float64) for array in load_diabetes(return_X_y=True))
    X = (X - X.mean(0)) / X.std(0)
    print("degree  features  training  validation  (root mean squared errors, means of 5 folds)")
    results = []
    for degree in range(4):
        results.append(cross_validate(errors_of(degree), X, y, cv=5))
        training, validation, _ = results[-1].mean.sqrt().tolist()
        count = PolynomialFeatures(degree, include_bias=False).fit(X).n_output_features_
        print(f"{degree:6}  {count:8}  {training:8.1f}  {validation:10.1f}")
    r2 = results[1].mean[2].item()
    print(f"degree 1: R² on parts held out {r2:.6f}, scikit-learn's {R2}")

    generator = minidl.Generator().manual_seed(options.seed)
    folds = KFold(5, shuffle=True, generator=generator)
    bar = tqdm(range(repeats), desc="learning curve", disable=None)
    curves = [learning_curve(errors_of(1), X, y, train_sizes=SIZES, cv=folds) for _ in bar]
    mean = minidl.stack([curve.mean for curve in curves]).mean(0).numpy()
    gap = mean[-1, 1] / mean[-1, 0] - 1
    print(
        f"with {SIZES[0]} patients training error {mean[0, 0] ** 0.5:.1f}, validation error {mean[0, 1] ** 0.5:.1f};", end=" "
    )
    print(f"with {SIZES[-1]} {mean[-1, 0] ** 0.5:.1f} and {mean[-1, 1] ** 0.5:.1f}")
    picture(options.out / "k_fold_diabetes.png", results, mean)
    viz.report(picture=options.out / "k_fold_diabetes.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'k_fold_diabetes.png'}")
    best = min(range(4), key=lambda degree: results[degree].mean[1].item())
    if not options.quick and (best != 1 or abs(r2 - R2) > NEAR or gap > MEET):
        sys.exit(f"expected degree 1 to be best, R² {R2} within {NEAR}, and errors that meet within {MEET:.0%}")


def errors_of(degree):
    """What cross_validate runs for each fold: fits to one part, and tells (training error, validation error, R²)."""

    def run(train, validation):
        features = PolynomialFeatures(degree)
        w = minidl.linalg.pinv(features.fit_transform(train[0])) @ train[1]
        training, held_out = (F.mse_loss(features.transform(X) @ w, y).item() for X, y in (train, validation))
        return training, held_out, 1 - held_out / validation[1].var(correction=0).item()

    return run


def picture(path, results, curve):
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 6), layout="constrained")
    top = 120
    names = ["the mean\n(degree 0)", "degree 1\n10 features", "degree 2\n65 features", "degree 3\n285 features"]
    for degree, result in enumerate(results):
        errors = np.sqrt(result.scores[:, :2].numpy())
        means = np.sqrt(result.mean.numpy()[:2])
        for shift, column, color in ((-0.18, 0, "C0"), (0.18, 1, "C1")):
            place = degree + shift
            left.bar(place, min(means[column], top), 0.34, color=color, alpha=0.55)
            inside = errors[:, column][errors[:, column] < top]
            left.plot(np.full(len(inside), place), inside, "o", color=color, markersize=5, markeredgecolor="black")
            beyond = means[column] > top
            text = f"↑ {means[column]:.0f},\nbeyond\nthe axis" if beyond else f"{means[column]:.1f}"
            left.text(place, (top if beyond else max(means[column], inside.max())) + 1.5, text, ha="center", va="bottom")
    left.plot([], [], "s", color="C0", label="training error, mean of 5 folds")
    left.plot([], [], "s", color="C1", label="validation error, mean of 5 folds")
    left.plot([], [], "o", color="white", markeredgecolor="black", label="each fold")
    left.set_xticks(range(4), names)
    left.set(ylim=(0, 1.2 * top), ylabel="root mean squared error", title="5-fold cross-validation: degree 1 is best")
    left.legend(loc="upper left")

    line = np.sqrt(curve[:, :2])
    right.plot(SIZES, line[:, 0], "C0o-", label="training error")
    right.plot(SIZES, line[:, 1], "C1o-", label="validation error")
    right.axhline(np.sqrt(curve[-1, :2].mean()), color="0.6", linestyle=":", label="where they meet")
    right.set(xscale="log", ylim=(0, 1.2 * top), xlabel="patients to learn from (logarithmic)")
    right.set(ylabel="root mean squared error", title="Learning curve of degree 1: the errors meet as data grows")
    right.set_xticks(SIZES, [str(n) for n in SIZES])
    right.minorticks_off()
    right.legend(loc="upper right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
