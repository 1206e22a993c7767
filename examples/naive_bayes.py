"""Bayes' rule: from a medical test to reading digits by counting pixels.

1. A test finds everyone who has a disease, and takes 1 % of the others for ill; 0.15 % have it. After a positive test the
   probability is 13.06 %, not 99 %: nearly all positives come from the many who are well. A second, independent test (98 % and
   3 %) makes it 83.07 % (chapter 2.6 of Dive into Deep Learning). Target: these values within 0.005 %; and among a million
   simulated people the fraction of ill ones among those with one positive test within four standard errors.
2. Expectations: 0, 2 or 10 with probabilities 0.5, 0.4, 0.1 has the mean 1.8 and the variance 8.36. The mean of n draws comes
   near as 1/√n. Target: exact values within 1e-6, the mean of 100,000 draws within four standard errors.
3. Naive Bayes on 8x8 digits, a pixel is 1 if it is half dark or more: P(pixel|digit) is counted, +1 above and +2 below, and
   Bayes' rule with the product over pixels gives P(digit|image). No gradient and one pass over the data. Target: at least 88 %
   of the held-out digits right. What it is naive about shows in its certainty: pixels are taken to be independent, so that it
   is sure where it is wrong, too. A softmax regression, of the same form and trained, reaches some percent more.
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
from minidl.probability import BernoulliNB, bayes, expectation, variance
from minidl.utils.data import digits

PRIOR, FIRST, SECOND = [0.0015, 0.9985], [1.0, 0.01], [0.98, 0.03]
POSTERIORS = 0.1306, 0.8307
CHANCES, RETURNS = [0.5, 0.4, 0.1], [0.0, 2.0, 10.0]
TARGET = 0.88


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000_000, help="to be tested (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for people, draws, and the first weights of the regression")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the people, no target to meet: shows that it runs")
    options = parser.parse_args()
    people = 10_000 if options.quick else options.people
    if people < 1000 or options.out.is_file():
        parser.error("expected 1000 people or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)
    failures = []

    first = bayes(PRIOR, FIRST)
    posteriors = [first[0].item(), bayes(first, SECOND)[0].item()]
    print(f"ill: {PRIOR[0]:.2%} before, {posteriors[0]:.2%} after one positive test, {posteriors[1]:.2%} after the second")
    ill = minidl.rand(people) < PRIOR[0]
    positive = minidl.rand(people) < minidl.where(ill, FIRST[0], FIRST[1])
    fraction, count = ill[positive].float().mean().item(), int(positive.sum())
    print(f"of {people} simulated people {count} are positive, and {fraction:.2%} of these are ill")
    error = np.sqrt(posteriors[0] * (1 - posteriors[0]) / count)
    if np.abs(np.subtract(posteriors, POSTERIORS)).max() > 5e-5 or abs(fraction - posteriors[0]) > 4 * error:
        failures.append("the posteriors of the tests")

    mean, spread = expectation(CHANCES, RETURNS).item(), variance(CHANCES, RETURNS).item()
    drawn = minidl.tensor(RETURNS)[minidl.multinomial(minidl.tensor(CHANCES), 100_000, replacement=True)]
    averages = (drawn.double().cumsum(0) / minidl.arange(1, len(drawn) + 1)).numpy()
    print(f"expectation {mean:.4f}, variance {spread:.4f}; the mean of {len(drawn)} draws is {averages[-1]:.4f}")
    if abs(mean - 1.8) > 1e-6 or abs(spread - 8.36) > 1e-6 or abs(averages[-1] - mean) > 4 * np.sqrt(spread / len(drawn)):
        failures.append("the expectation 1.8, the variance 8.36 and the law of large numbers")

    (X, y), (X_test, y_test) = (digits(train=train).tensors for train in (True, False))
    model = BernoulliNB(binarize=0.5).fit(X, y)
    probabilities = model.predict_proba(X_test)
    accuracy = model.score(X_test, y_test)
    regression = softmax_regression((X > 0.5).float(), y, steps=20 if options.quick else 300)
    with minidl.no_grad():
        trained = regression((X_test > 0.5).float()).softmax(1)
    other = (trained.argmax(1) == y_test).float().mean().item()
    loss, trained_loss = (-p[minidl.arange(len(y_test)), y_test].log().mean().item() for p in (probabilities, trained))
    print(f"naive Bayes reads {accuracy:.2%} of {len(y_test)} held-out digits (loss {loss:.2f} nats),", end=" ")
    print(f"softmax regression {other:.2%} ({trained_loss:.2f} nats)")
    if accuracy < TARGET:
        failures.append(f"at least {TARGET:.0%} of the digits right")
    certain = certainty(probabilities, y_test), certainty(trained, y_test)
    picture(options.out / "naive_bayes.png", posteriors, averages, model, certain, (accuracy, other), (loss, trained_loss))
    viz.report(picture=options.out / "naive_bayes.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'naive_bayes.png'}")
    if failures and not options.quick:
        sys.exit(f"expected {'; '.join(failures)}")


def softmax_regression(X, y, steps):
    """A linear layer, trained by descent on the cross-entropy over all of the data."""
    model = nn.Linear(64, 10)
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    for _ in tqdm(range(steps), desc="softmax regression", unit="step", disable=None):
        optimizer.zero_grad()
        F.cross_entropy(model(X), y).backward()
        optimizer.step()
    return model


def certainty(probabilities, y):
    """(mean certainty, fraction right) of predictions in groups of about equal certainty."""
    sure, guess = probabilities.max(1)
    right = (guess == y).numpy()
    groups = np.digitize(sure.numpy(), [0.5, 0.8, 0.95])
    kept = [groups == g for g in range(4) if (groups == g).sum() >= 8]
    return [(sure.numpy()[rows].mean(), right[rows].mean(), rows.sum()) for rows in kept]


def picture(path, posteriors, averages, model, certain, accuracies, losses):
    figure = plt.figure(figsize=(15, 9), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.05]).flat
    left, middle, right = top.subplots(1, 3)
    bars = left.bar(range(3), [PRIOR[0], *posteriors], color=["0.6", "C0", "C0"])
    left.bar_label(bars, [f"{p:.2%}" for p in (PRIOR[0], *posteriors)])
    left.set_xticks(range(3), ["before", "1st test\npositive", "2nd test\npositive"])
    left.set(ylim=(0, 1), ylabel="probability of being ill", title="Bayes' rule: each test moves the probability")

    n = np.arange(1, len(averages) + 1)
    shown = np.unique(np.logspace(0, np.log10(len(n)), 400).astype(int)) - 1
    spread = np.sqrt(8.36 / n[shown])
    middle.fill_between(n[shown], 1.8 - 2 * spread, 1.8 + 2 * spread, color="0.85", label="±2 standard errors, ∝ 1/√n")
    middle.plot(n[shown], averages[shown], "C0", label="mean of n draws")
    middle.axhline(1.8, color="black", linestyle="--", label="expectation 1.8")
    middle.set(xscale="log", ylim=(-1, 6), xlabel="n", title="A mean of draws comes near the expectation")
    middle.legend()

    right.plot([0, 1], [0, 1], "k--", label="as right as it is sure")
    names = "naive Bayes", "softmax regression"
    for groups, name, color, accuracy in zip(certain, names, ("C0", "C1"), accuracies, strict=True):
        sure, hit, count = np.array(groups).T
        right.plot(sure, hit, color, label=f"{name}, {accuracy:.1%} right")
        right.scatter(sure, hit, 10 + 1.2 * count, color=color, alpha=0.7)
    right.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="how sure (size: how many digits)", ylabel="fraction right")
    right.set_title(f"Naive Bayes is too sure, as pixels are not\nindependent: {losses[0]:.2f} nats against {losses[1]:.2f}")
    right.legend(loc="upper left")

    bottom.suptitle("What naive Bayes counted: P(pixel is dark | digit), for each digit")
    images = model.feature_log_prob_.exp().numpy().reshape(10, 8, 8)
    axes = bottom.subplots(2, 5)
    for digit, ax in enumerate(axes.flat):
        shown = ax.imshow(images[digit], cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], title=str(digit))
    bottom.colorbar(shown, ax=axes, label="probability")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
