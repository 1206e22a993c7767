"""Monotone is not linear: who repays a loan, by income and by its logarithm.

50,000 dollars more make a difference to who earns nothing, and none to who earns a million. A logistic regression on the income
cannot say so: its logit changes as much from 0 to 50,000 as from 1,000,000 to 1,050,000. On the logarithm of the income it can
(chapter 5.1 of Dive into Deep Learning). The data are made so that the truth is known: incomes are log-normal, with the median
50,000, and the logit of repaying is 1.2 ln(income/30,000). A network with one hidden layer that is given the income finds the
bend by itself.

Target, on 20,000 people who were held out: the loss of the regression on the logarithm is within 0.002 nats of the floor, the
entropy of repaying when the true probability is known; on the income itself it is 0.015 nats or more above; the network is
nearer than half of that. And the logarithm's weights are those of the truth within 10 %.
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

SLOPE, EVEN, MEDIAN, SPREAD = 1.2, 30_000, 50_000, 1.0
CLOSE, APART = 0.002, 0.015


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="of each model (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for people and first weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="20 steps, and no target to meet: shows that it runs")
    options = parser.parse_args()
    steps = 20 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)
    minidl.set_num_threads(1)  # such small layers are hardly faster with two

    income, repaid = people(10_000)
    held_income, held_repaid = people(20_000)
    logit = true_logit(held_income)
    floor = F.binary_cross_entropy_with_logits(logit, logit.sigmoid()).item()
    models = {
        "income": (nn.Linear(1, 1), dollars, 0.1),
        "logarithm of income": (nn.Linear(1, 1), logarithm, 0.1),
        "income, a hidden layer": (nn.MLP(1, [32], 1, nn.Tanh), dollars, 0.05),
    }
    excess = {}
    for name, (model, mapped, rate) in models.items():
        fit(name, model, mapped(income), repaid, steps, rate)
        # against the true probability, not the outcomes: the same in expectation, and without their chance
        with minidl.no_grad():
            loss = F.binary_cross_entropy_with_logits(model(mapped(held_income))[:, 0], logit.sigmoid()).item()
            right = ((model(mapped(held_income))[:, 0] > 0).float() == held_repaid).float().mean().item()
        excess[name] = loss - floor
        print(f"{name:22}  loss {loss:.4f} nats, {excess[name]:.4f} above the floor {floor:.4f}; {right:.1%} right")
    line = models["logarithm of income"][0]
    slope = line.weight.item() / SPREAD
    even = math.exp(math.log(MEDIAN) - line.bias.item() / slope)
    print(f"the logit is {slope:.3f} ln(income/{even:,.0f}); the truth {SLOPE} ln(income/{EVEN:,})")
    picture(options.out / "income_log_map.png", models, excess)
    print(f"picture: {options.out / 'income_log_map.png'}")
    raw, logs, hidden = excess.values()
    met = logs < CLOSE and raw > APART and hidden < raw / 2 and abs(slope / SLOPE - 1) < 0.1 and abs(even / EVEN - 1) < 0.1
    if not options.quick and not met:
        sys.exit(f"expected a loss within {CLOSE} of the floor with the logarithm, and {APART} or more above it without")


def people(n):
    """Incomes (n,) in dollars, and 1 for who repaid."""
    income = MEDIAN * (SPREAD * minidl.randn(n)).exp()
    return income, (minidl.rand(n) < true_logit(income).sigmoid()).float()


def true_logit(income):
    return SLOPE * (income / EVEN).log()


def dollars(income):
    """(n,) → (n, 1), of a size that descent likes; linear in the income."""
    return ((income - MEDIAN) / (1.5 * MEDIAN)).unsqueeze(1)


def logarithm(income):
    """(n,) → (n, 1), linear in the logarithm of the income."""
    return ((income.log() - math.log(MEDIAN)) / SPREAD).unsqueeze(1)


def fit(name, model, X, y, steps, rate):
    optimizer = minidl.optim.Adam(model.parameters(), lr=rate)

    @minidl.compile
    def step(X, y):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(X)[:, 0], y)
        loss.backward()
        optimizer.step()
        return loss

    bar = tqdm(range(steps), desc=f"{name:22}", unit="step", disable=None)
    for _ in bar:
        loss = step(X, y)
    bar.set_postfix(loss=f"{loss.item():.4f}")


def picture(path, models, excess):
    figure, (left, right, bars) = plt.subplots(1, 3, figsize=(16, 5.5), width_ratios=[1.3, 1.3, 1], layout="constrained")
    income = minidl.tensor(np.geomspace(2_000, 1_200_000, 500), dtype=minidl.float32)
    thousands = income.numpy() / 1000
    truth = true_logit(income).sigmoid().numpy()
    for ax in (left, right):
        for (name, (model, mapped, _)), color in zip(models.items(), ("C3", "C0", "C1"), strict=True):
            with minidl.no_grad():
                ax.plot(thousands, model(mapped(income))[:, 0].sigmoid().numpy(), color, linewidth=2, label=name)
        ax.plot(thousands, truth, "k--", label="truth")
        ax.set(ylim=(0, 1.02), ylabel="probability of repaying")
    left.set(xlim=(0, 400), xlabel="income (thousand dollars)", title="The same step of income counts more at the bottom")
    left.legend(loc="lower right")
    right.set(
        xscale="log", xlabel="income (thousand dollars, logarithmic)", title="Over the logarithm the truth is the S of a logit"
    )
    right.set_xticks([2, 10, 50, 200, 1000], ["2", "10", "50", "200", "1000"])
    names = ["income", "logarithm\nof income", "income, a\nhidden layer"]
    drawn = bars.bar(names, list(excess.values()), color=["C3", "C0", "C1"])
    bars.bar_label(drawn, [f"{value:.4f}" for value in excess.values()])
    bars.axhline(CLOSE, color="black", linestyle="--", linewidth=1, label=f"target: below {CLOSE}")
    bars.set(ylabel="nats above the floor", title="Loss on people held out")
    bars.legend(loc="upper right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
