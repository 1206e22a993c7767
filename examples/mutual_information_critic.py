"""A network measures mutual information, from samples alone, where the truth is known.

x and y are normal in 4 dimensions, correlated by rho within each: I(x, y) = -1/2 log(1 - rho²) nats for each dimension. A
critic scores pairs, score(x, y) = f(x)·g(y) with an MLP for f and one for g, and learns to score pairs that belong together
above pairs that do not: in a batch of N, the N of the diagonal against the N(N - 1) others. Each objective is, in expectation,
at most I, so that to raise it is to approach I from below; E is over pairs that belong together, E' over those that do not.

    InfoNCE              log N - cross-entropy of finding y among the N of the batch
    Donsker-Varadhan     E[score] - log E'[exp score]               (MINE)
    NWJ                  E[score] + 1 - E'[exp score]               (the same, by log t <= t - 1)

What to see. InfoNCE is steady, but cannot exceed log N: a batch can tell which of N, no more. The others have no ceiling and
pay for it: E'[exp score] is carried by rare pairs that a sample may miss, so that for large I they scatter. The logarithm of an
average over a sample is, on average, below that of the expectation, so Donsker-Varadhan may exceed I on samples, and the
gradient that it has from a batch (MINE's) is biased for the same reason; both vanish as batches grow.

Estimates are made on fresh samples that no critic was trained on. Target: each of three critics per bound comes within 0.05
nats + 20 % of the truth up to rho = 0.8, where it is 2.04 nats (on average they come nearer), and InfoNCE exceeds neither log N
nor, by more than 0.05 nats, the truth. It takes half a minute.

The picture shows estimate against truth, learning at two correlations, and how the estimates scatter from batch to batch.
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
from minidl import information, viz

DIMENSIONS, BATCH = 4, 64
CORRELATIONS = [0.0, 0.5, 0.8, 0.95]
MODERATE, ABSOLUTE, RELATIVE = 0.8, 0.05, 0.2


class Critic(nn.Module):
    """Scores of all pairs: x (..., N, D) and y (..., N, D) → (..., N, N), row i for x[i]."""

    def __init__(self, width=64, features=32):
        super().__init__()
        self.f = nn.MLP(DIMENSIONS, [width], features)
        self.g = nn.MLP(DIMENSIONS, [width], features)

    def forward(self, x, y):
        return self.f(x) @ self.g(y).transpose(-1, -2)


# --- the bounds: of scores (..., N, N), the diagonal of pairs that belong together; in nats, (...)


def info_nce(scores):
    n = scores.shape[-1]
    return math.log(n) + (diagonal(scores) - scores.logsumexp(-1)).mean(-1)


def donsker_varadhan(scores):
    return diagonal(scores).mean(-1) - log_mean_exp_of_others(scores)


def nwj(scores):
    return diagonal(scores).mean(-1) + 1 - log_mean_exp_of_others(scores).exp()


BOUNDS = {"InfoNCE": info_nce, "Donsker-Varadhan": donsker_varadhan, "NWJ": nwj}


def diagonal(scores):
    n = scores.shape[-1]
    return scores[..., minidl.arange(n), minidl.arange(n)]


def log_mean_exp_of_others(scores):
    n = scores.shape[-1]
    together = minidl.eye(n, dtype=minidl.bool)
    return scores.masked_fill(together, -math.inf).logsumexp((-2, -1)) - math.log(n * (n - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600, help="steps of training for each critic (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="critics for each bound and correlation (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for samples and weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one run of 20 steps, and no target to meet: shows that it runs")
    options = parser.parse_args()
    steps, runs = (20, 1) if options.quick else (options.steps, options.runs)
    if steps < 1 or runs < 1 or options.out.is_file():
        parser.error("expected 1 step and 1 run or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    minidl.manual_seed(options.seed)
    truths = [DIMENSIONS * information.bivariate_normal_mutual_information(rho, base=math.e) for rho in CORRELATIONS]
    results = {}  # (bound, rho) → for each run (learning curve, estimate, estimates of single batches)
    with tqdm(total=len(CORRELATIONS) * len(BOUNDS) * runs, unit="critic", disable=None) as bar:
        for rho in CORRELATIONS:
            for name, bound in BOUNDS.items():
                results[name, rho] = [measure(bound, rho, steps) for _ in range(runs)]
                bar.update(runs)

    print(f"nats, mean ± standard deviation of {runs} critics; log N = {math.log(BATCH):.3f}")
    print("rho     truth  " + "".join(f"{name:>18}" for name in BOUNDS))
    for rho, truth in zip(CORRELATIONS, truths, strict=True):
        cells = (np.array([estimate for _, estimate, _ in results[name, rho]]) for name in BOUNDS)
        print(f"{rho:<5}  {truth:6.3f}  " + "".join(f"{c.mean():10.3f} ± {c.std():.3f}" for c in cells))
    told = (f"{name} {np.mean([estimate for _, estimate, _ in results[name, CORRELATIONS[-1]]]):.2f}" for name in BOUNDS)
    print(f"truth {truths[-1]:.2f} nats at rho = {CORRELATIONS[-1]}; {', '.join(told)}")

    picture(results, truths, options.out / "mutual_information_critic.png")
    viz.report(picture=options.out / "mutual_information_critic.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'mutual_information_critic.png'}")
    if not options.quick and (failures := check(results, truths)):
        sys.exit("\n".join(failures))


def check(results, truths):
    failures = []
    for rho, truth in zip(CORRELATIONS, truths, strict=True):
        for name in BOUNDS:
            for _, estimate, _ in results[name, rho]:
                where = f"{name} at rho {rho}: {estimate:.3f} nats, where the truth is {truth:.3f}"
                if rho <= MODERATE and abs(estimate - truth) > ABSOLUTE + RELATIVE * truth:
                    failures.append(f"{where}; expected it within {ABSOLUTE} + {RELATIVE:.0%}")
                if name == "InfoNCE" and estimate > min(math.log(BATCH), truth + ABSOLUTE):
                    failures.append(f"{where}; expected no more than log {BATCH}, and no more than the truth + {ABSOLUTE}")
    return failures


def sample(rho, *shape):
    """Pairs (x, y), each (*shape, DIMENSIONS)."""
    x, noise = minidl.randn(2, *shape, DIMENSIONS)
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def measure(bound, rho, steps):
    """Trains a critic. Returns (the objective at each step, the estimate, the estimates of 200 single batches)."""
    critic = Critic()
    optimizer = minidl.optim.SGD(critic.parameters(), lr=0.05, momentum=0.9)
    schedule = minidl.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    curve = []
    for x, y in zip(*sample(rho, steps, BATCH), strict=True):
        optimizer.zero_grad()
        value = bound(critic(x, y))
        (-value).backward()
        nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        curve.append(value.item())
    with minidl.no_grad():
        scores = critic(*sample(rho, 200, BATCH)).double()
        batches = bound(scores)
        if bound is donsker_varadhan:  # one logarithm of one average over all, or its bias would not shrink
            estimate = diagonal(scores).mean() - (log_mean_exp_of_others(scores).logsumexp(0) - math.log(len(scores)))
        else:
            estimate = batches.mean()
    return curve, estimate.item(), batches.numpy()


def picture(results, truths, path):
    figure, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    colors = dict(zip(BOUNDS, ("C0", "C1", "C2"), strict=True))
    ceiling = math.log(BATCH)

    ax = axes[0, 0]
    ax.plot([0, truths[-1]], [0, truths[-1]], "black", linewidth=1, label="truth")
    ax.axhline(ceiling, color="C0", linestyle=":", label=f"log {BATCH}, InfoNCE's ceiling")
    for i, name in enumerate(BOUNDS):
        estimates = np.array([[estimate for _, estimate, _ in results[name, rho]] for rho in CORRELATIONS])
        ax.plot(truths, estimates.mean(1), colors[name], label=name)
        ax.plot(np.array(truths)[:, None] + 0.04 * (i - 1), estimates, ".", color=colors[name])
    ax.set(xlabel="truth (nats)", ylabel="estimate (nats)", title="Estimate against truth; a dot is a critic")
    ax.legend()

    for ax, rho in ((axes[0, 1], 0.8), (axes[1, 0], CORRELATIONS[-1])):
        truth = truths[CORRELATIONS.index(rho)]
        for name in BOUNDS:
            curve = np.array(results[name, rho][0][0])
            width = max(1, len(curve) // 50)
            smooth = np.convolve(curve, np.ones(width) / width, "valid")
            ax.plot(curve, color=colors[name], alpha=0.15)
            ax.plot(np.arange(len(smooth)) + width // 2, smooth, colors[name], label=name)
        ax.axhline(truth, color="black", linewidth=1, label=f"truth {truth:.2f}")
        if truth > ceiling:
            ax.axhline(ceiling, color="C0", linestyle=":", label=f"log {BATCH}")
        ax.set(xlabel="step", ylabel="nats", title=f"Learning, correlation {rho}: batches, and their moving average")
        ax.set(ylim=(-0.5, 1.4 * truth))
        ax.legend(loc="upper left", ncols=3)

    ax = axes[1, 1]
    for i, name in enumerate(BOUNDS):
        pooled = [np.concatenate([batches for _, _, batches in results[name, rho]]) for rho in CORRELATIONS]
        low, middle, high = np.array([np.percentile(values, [5, 50, 95]) for values in pooled]).T
        places = np.arange(len(CORRELATIONS)) + 0.2 * (i - 1)
        ax.errorbar(places, middle - truths, [middle - low, high - middle], fmt="o", color=colors[name], label=name, capsize=3)
    ax.axhline(0, color="black", linewidth=1)
    ax.set_xticks(range(len(CORRELATIONS)), [f"{rho}\n({truth:.2f})" for rho, truth in zip(CORRELATIONS, truths, strict=True)])
    ax.set(xlabel="correlation (truth in nats)", ylabel="nats", title="Estimate - truth of single batches: median, 5 % to 95 %")
    ax.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
