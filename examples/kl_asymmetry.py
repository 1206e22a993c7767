"""One hump for two: the two directions of the Kullback-Leibler divergence choose different ones.

p is a mixture of two normal distributions, q a single one, fitted by natural gradient descent on its mean and the logarithm
of its standard deviation, from several starts at once.

Forward, D(p||q) is the expectation over p of log p/q: wherever p is, q must not be nearly 0, so q covers both humps. Its best q
is known: log q is quadratic, so only mean and variance of p count, and q takes both over. Target: every start ends there, mean
and variance within 0.001.

Reverse, D(q||p) is the expectation over q: wherever q is, p must not be nearly 0, so q retires to one hump; to which, the start
decides. The expectation is taken over samples x = mean + std * noise, through which the gradient reaches mean and std
(reparameterisation). A bound for the result: p is at least weight * hump, so D(hump||p) <= -log(weight). Target: every start
ends at most 0.005 nats above the bound of a hump, mean and standard deviation within 0.1 of that hump's; and both are found.
(That is so for these humps. Between humps of more equal width, N(-3, 0.7²) and N(3, 1), there is a third valley, shallow and
wide, and starts that lie between them end there.)

With a normal p as well, both directions have closed forms: D(N(0, 1)||N(0, 4)) = 0.318147 nats, and 0.806853 the other way.
Target: the integrals on the grid agree to 1e-6. Chapter 22.11 of Dive into Deep Learning shows asymmetry otherwise: it puts
sorted samples of N(0, 1) and N(1, 1) in the places of p and q, and finds 8,828 one way and 14,130 the other. These samples are
no probabilities: many are negative, the terms with logarithms of negative ratios are dropped, and nothing sums to 1. The
divergence of the two distributions is half a nat, both ways. The example computes all of this.

The picture shows the fits, both landscapes with the ways down, and the integrands whose areas are 0.318 and 0.807.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tqdm import tqdm

import minidl
from minidl import information, viz

MOMENTS, ABOVE_BOUND, NEAR_HUMP, INTEGRALS = 1e-3, 0.005, 0.1, 1e-6
WEIGHTS, MEANS, STDS = [0.6, 0.4], [-2.5, 3.0], [0.5, 1.0]
STARTS = [(-5.0, 1.0), (-0.5, 1.0), (0.0, 4.0), (1.5, 1.5), (6.0, 3.0)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1200, help="steps of gradient descent (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the samples of the reverse direction")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="20 steps, and no fit to reach: shows that it runs")
    options = parser.parse_args()
    steps = 20 if options.quick else options.steps
    if steps < 1 or options.out.is_file():
        parser.error("expected 1 step or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    integrals_agree = normal_pair()
    sorted_samples()

    minidl.manual_seed(options.seed)
    grid = minidl.linspace(-25, 25, 1001, dtype=minidl.float64)
    mean, variance = moments(grid)
    forward = descend(lambda q_mean, q_std: forward_kl(grid, q_mean, q_std), steps, "forward")
    reverse = descend(reverse_kl_of_samples, steps, "reverse")
    off = max(max(abs(m - mean), abs(s**2 - variance)) for m, s in forward[-1])
    print(f"mixture: mean {mean:.4f}, variance {variance:.4f}; the {len(STARTS)} forward fits are at most {off:.1g} away")

    reverse_fits = [nearest_hump(grid, m, s) for m, s in reverse[-1]]
    for (m, s), (hump, excess, distance) in zip(reverse[-1], reverse_fits, strict=True):
        kl, bound = excess - math.log(WEIGHTS[hump]), -math.log(WEIGHTS[hump])
        print(
            f"reverse fit N({m:.3f}, {s:.3f}²), {distance:.3f} from hump {hump + 1}; D(q||p) = {kl:.4f}, bound {bound:.4f} nats"
        )

    picture(grid, forward, reverse, options.out / "kl_asymmetry.png")
    viz.report(picture=options.out / "kl_asymmetry.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'kl_asymmetry.png'}")
    if not integrals_agree:
        sys.exit(f"expected integrals and closed forms to agree within {INTEGRALS}")
    if options.quick:
        return
    if off > MOMENTS:
        sys.exit(f"expected the mixture's mean and variance within {MOMENTS} from every start, one is {off:.2g} away")
    if any(excess > ABOVE_BOUND or distance > NEAR_HUMP for _, excess, distance in reverse_fits):
        sys.exit(f"expected every reverse fit within {NEAR_HUMP} of a hump and at most {ABOVE_BOUND} nats above its bound")
    if len({hump for hump, _, _ in reverse_fits}) < 2:
        sys.exit("expected both humps to be found by the reverse direction")


# --- densities, as tensors of any shapes that broadcast


def normal_log_density(x, mean, std):
    std = minidl.as_tensor(std)
    return -0.5 * ((x - mean) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)


def mixture_log_density(x):
    """log p; a logarithm of a sum of exponentials, for far from the humps both of these are 0 in floating point."""
    humps = zip(WEIGHTS, MEANS, STDS, strict=True)
    return minidl.stack([math.log(w) + normal_log_density(x, m, s) for w, m, s in humps]).logsumexp(0)


def integral(x, y):
    """Of the values y on the evenly spaced grid x, along the last axis."""
    return y.sum(-1) * (x[1] - x[0])


def moments(x):
    p = mixture_log_density(x).exp()
    mean = integral(x, x * p)
    return mean.item(), integral(x, (x - mean) ** 2 * p).item()


# --- the two directions


def forward_kl(x, mean, std):
    """D(p||q) in nats for means and stds of one shape, or shapes that broadcast: an integral on the grid."""
    log_p = mixture_log_density(x)
    log_q = normal_log_density(x, mean[..., None], std[..., None])
    return integral(x, log_p.exp() * (log_p - log_q))


def reverse_kl(x, mean, std):
    """D(q||p), on the grid as well: exact, for the landscape and for the result."""
    log_q = normal_log_density(x, mean[..., None], std[..., None])
    return integral(x, log_q.exp() * (log_q - mixture_log_density(x)))


def reverse_kl_of_samples(mean, std, samples=256):
    """An estimate of D(q||p). The entropy of q needs no samples; the samples move with mean and std, and so does log p."""
    noise = minidl.randn(*mean.shape, samples, dtype=minidl.float64)
    x = mean[..., None] + std[..., None] * noise
    entropy = std.log() + 0.5 * math.log(2 * math.pi * math.e)
    return -mixture_log_density(x).mean(-1) - entropy


def descend(divergence, steps, name):
    """Gradient descent from all STARTS at once; returns the (mean, std) pairs, one per start, before each step and at the end.

    The sum of the divergences has their separate gradients, as no start has a part in another's divergence. A step of one
    length means much to a narrow q and little to a wide one, so gradients are multiplied by variance and by 1/2, the inverse
    of the Fisher information of mean and log std: natural gradient descent. The forward mean then errs less by lr each step.
    """
    mean, std = minidl.tensor(STARTS, dtype=minidl.float64).T
    mean = mean.clone().requires_grad_()
    log_std = std.log().requires_grad_()
    optimizer = minidl.optim.SGD([mean, log_std], lr=0.02)
    schedule = minidl.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    history = []
    for step in tqdm(range(steps + 1), desc=name, unit="step", disable=None):
        std = log_std.exp()
        history.append(list(zip(mean.tolist(), std.tolist(), strict=True)))
        if step < steps:
            optimizer.zero_grad()
            divergence(mean, std).sum().backward()
            mean.grad *= std.detach() ** 2
            log_std.grad *= 0.5
            optimizer.step()
            schedule.step()
    return history


def nearest_hump(x, mean, std):
    """(which hump a reverse fit is nearest to, D(q||p) less the hump's bound, how far mean or std are from the hump's)"""
    distances = [max(abs(mean - m), abs(std - s)) for m, s in zip(MEANS, STDS, strict=True)]
    hump = distances.index(min(distances))
    kl = reverse_kl(x, minidl.tensor(mean, dtype=minidl.float64), minidl.tensor(std, dtype=minidl.float64)).item()
    return hump, kl + math.log(WEIGHTS[hump]), distances[hump]


# --- asymmetry in numbers


def pair_integrands():
    """x, and the integrands of D(N(0, 1)||N(0, 4)) and of the other direction."""
    x = minidl.linspace(-25, 25, 2001, dtype=minidl.float64)
    log_p, log_q = normal_log_density(x, 0.0, 1.0), normal_log_density(x, 0.0, 2.0)
    return x, log_p.exp() * (log_p - log_q), log_q.exp() * (log_q - log_p)


def normal_pair():
    """Prints both directions, and tells whether integrals and closed forms agree."""
    x, there, back = pair_integrands()
    there, back = integral(x, there).item(), integral(x, back).item()
    closed = [information.normal_kl(0, 1, 0, 2, base=math.e), information.normal_kl(0, 2, 0, 1, base=math.e)]
    print(f"D(N(0, 1)||N(0, 4)) = {there:.6f} nats, the other way {back:.6f}; closed forms {closed[0]:.6f}, {closed[1]:.6f}")
    return abs(there - closed[0]) < INTEGRALS and abs(back - closed[1]) < INTEGRALS


def sorted_samples():
    """The chapter's numbers, with its samples, and what they leave out."""
    minidl.manual_seed(1)
    p, _, q = (minidl.normal(mean, 1, (10_000,)).sort().values for mean in (0, -1, 1))
    there, back = information.kl_divergence(p, q, raw=True).item(), information.kl_divergence(q, p, raw=True).item()
    dropped = (p * q < 0).sum().item()
    print(
        f'sorted samples of N(0, 1) and N(1, 1) as "p" and "q": {there:.0f} and {back:.0f}, with {dropped} of {len(p)} terms '
        f"dropped and sums {p.sum().item():.0f} and {q.sum().item():.0f}, not 1"
    )
    there, back = information.normal_kl(0, 1, 1, 1, base=math.e), information.normal_kl(1, 1, 0, 1, base=math.e)
    print(f"the distributions themselves: {there} and {back} nats")


# --- the picture


@minidl.no_grad()
def picture(grid, forward, reverse, path):
    figure, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    fits(axes[0, 0], forward[-1], reverse[-1])

    ax = axes[0, 1]
    x, there, back = pair_integrands()
    for y, color, label in ((there, "C0", "D(N(0,1)‖N(0,4))"), (back, "C3", "D(N(0,4)‖N(0,1))")):
        ax.plot(x.numpy(), y.numpy(), color, label=f"{label}: area {integral(x, y).item():.4f} nats")
        ax.fill_between(x.numpy(), y.numpy(), color=color, alpha=0.15)
    ax.axhline(0, color="gray", linewidth=0.8)
    ax.set(
        xlim=(-8, 8),
        ylim=(-0.16, 0.36),
        xlabel="x",
        ylabel="nats per unit of x",
        title="Narrow and wide: what each place adds to D",
    )
    ax.legend(fontsize=9)

    means = minidl.linspace(-6.5, 7.5, 91, dtype=minidl.float64)
    log_stds = minidl.linspace(math.log(0.35), math.log(6), 71, dtype=minidl.float64)
    for ax, kl, history, color, title in (
        (axes[1, 0], forward_kl, forward, "C0", "Forward, D(p‖q): one valley, at the mixture's moments"),
        (axes[1, 1], reverse_kl, reverse, "C3", "Reverse, D(q‖p), by samples: a valley for each hump"),
    ):
        heights = kl(grid[::2], means[None, :], log_stds.exp()[:, None]).numpy()
        levels = [heights.min() * 1.001 + extra for extra in (0, 0.02, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)]
        filled = ax.contourf(
            means.numpy(), log_stds.exp().numpy(), heights, levels, cmap="Greys", norm="log", extend="max", alpha=0.75
        )
        figure.colorbar(filled, ax=ax, label="nats", ticks=[0.5, 1, 2, 4, 8, 16, 32, 64, 128], format="%g")
        for way in zip(*history, strict=True):
            ax.plot(*zip(*way, strict=True), color=color, linewidth=1)
            ax.plot(*way[0], "o", color=color, markerfacecolor="white", markersize=7)
            ax.plot(*way[-1], "*", color=color, markersize=13, markeredgecolor="white", zorder=5)
        ax.set(xlabel="mean of q", ylabel="standard deviation of q", yscale="log", title=title)
        ax.set(xlim=(-6.5, 7.5), ylim=(0.35, 6), yticks=[0.5, 1, 2, 4], yticklabels=["0.5", "1", "2", "4"])
        ax.minorticks_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def fits(ax, forward, reverse):
    x = minidl.linspace(-9, 9, 400, dtype=minidl.float64)
    ax.fill_between(x.numpy(), mixture_log_density(x).exp().numpy(), color="lightgray", label="p, the mixture")
    mean, std = forward[0]
    ax.plot(x.numpy(), normal_log_density(x, mean, std).exp().numpy(), "C0", label=f"forward: N({mean:.2f}, {std:.2f}²)")
    for mean, std, style in ((*min(reverse), "-"), (*max(reverse), "--")):
        density = normal_log_density(x, mean, std).exp().numpy()
        ax.plot(x.numpy(), density, "C3", linestyle=style, label=f"reverse: N({mean:.2f}, {std:.2f}²)")
    ax.set(xlabel="x", ylabel="density", title="One normal distribution for two humps")
    ax.legend(fontsize=9)


if __name__ == "__main__":
    main()
