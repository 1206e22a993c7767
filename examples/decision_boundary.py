"""What a network learns, as a film: three spirals, and the regions that it gives to each.

A network of two hidden layers learns to tell three spirals apart that wind around each other. `minidl.viz.Snapshots` copies its
weights while it trains, and `minidl.viz.decision_boundary` draws from these which class it would give to each place of the
plane: in the beginning a few straight cuts, then arms that bend and grow until they follow the spirals. Pale is where the
network is not sure.

The film is out/decision_boundary.html, one file with buttons that opens in any browser; four moments of it are the picture.
Target: 97 % of new points right at the end.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from tqdm import tqdm

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl import viz

TARGET = 0.97


def spirals(n, turns=1.25, noise=0.04):
    """n points on each of three spirals, and their classes."""
    r = 0.1 + 0.9 * minidl.rand(3, n)
    angle = 2 * math.pi * (turns * r + minidl.arange(3)[:, None] / 3)
    x = minidl.stack([r * angle.cos(), r * angle.sin()], -1) + noise * minidl.randn(3, n, 2)
    return x.reshape(-1, 2), minidl.arange(3).repeat_interleave(n)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400, help="of the training (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the points and the weights to begin with")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the film and the picture")
    parser.add_argument("--quick", action="store_true", help="20 steps, to show that it runs")
    options = parser.parse_args()
    if options.steps < 1 or options.seed < 0 or options.out.is_file():
        parser.error("expected 1 step or more, a seed of 0 or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    steps = 20 if options.quick else options.steps

    minidl.manual_seed(options.seed)
    (x, y), new = spirals(120), spirals(400)
    model = nn.Sequential(nn.Linear(2, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 3))
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.02)
    snapshots = viz.Snapshots(model, every=max(1, steps // 40))
    for _ in tqdm(range(steps), unit="step", disable=None):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        snapshots()

    film = viz.decision_boundary(model, x, y, snapshots, title="Three spirals: which class the network gives to each place")
    last = len(film.labels) - 1
    film.save(options.out / "decision_boundary.html")
    film.save(options.out / "decision_boundary.png", moments=[0, last // 8, last // 5, last])
    with minidl.no_grad():
        right = (model(new[0]).argmax(1) == new[1]).float().mean().item()
    print(
        f"{right:.1%} of {len(new[1]):,} new points right; film of {last + 1} moments: {options.out / 'decision_boundary.html'}"
    )
    print(f"picture: {options.out / 'decision_boundary.png'}")
    if not options.quick and right < TARGET:
        sys.exit(f"expected {TARGET:.0%}")


if __name__ == "__main__":
    main()
