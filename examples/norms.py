"""Norms: what is at distance 1 from nothing, what every norm obeys, and which way its gradient points.

1. The unit ball of |x|_p = (Σ |x_i|^p)^(1/p): a diamond for p = 1 (Manhattan), a disc for p = 2, nearly a square for p = 8, a
   square for infinity. With p = 1/2 it is no norm: its "ball" is not convex, and the triangle inequality fails.
2. The three axioms, on 10,000 random pairs: |αx| = |α| |x|, |x + y| <= |x| + |y|, and |x| > 0 unless x = 0. Target: no
   violation for p = 1, 1.5, 2, 3, infinity; at least one of the triangle inequality for p = 1/2.
3. Values: (3, -4) has the norms 5 (p = 2), 7 (p = 1) and 4 (infinity); the matrix of 4x9 ones has the Frobenius norm 6.
4. Gradients: x/|x| for p = 2, which is as long as 1 and at right angles to the circle; the signs for p = 1. At 0, where there
   is none, minidl takes 0. Target: within 1e-12; and the angle between the gradient and the circle is right.

The picture shows the balls, gradients on the circle and the diamond, and how often an axiom fails. A second or two.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import viz

NORMS, EXACT = [1, 1.5, 2, 3, math.inf], 1e-12
BALLS = {0.5: "C3", 1: "C1", 2: "C0", 8: "0.6", math.inf: "black"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000, help="random pairs for the axioms (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the pairs")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="the same: it is quick")
    options = parser.parse_args()
    if options.pairs < 100 or options.out.is_file():
        parser.error("expected 100 pairs or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    u = minidl.tensor([3.0, -4.0])
    values = [u.norm().item(), u.norm(1).item(), u.norm(math.inf).item(), minidl.ones(4, 9).norm().item()]
    print("|(3, -4)|: {:g} (l2), {:g} (l1), {:g} (infinity); |ones(4, 9)|: {:g} (Frobenius)".format(*values))
    x, y = (minidl.randn(options.pairs, 3, dtype=minidl.float64) for _ in range(2))
    alpha = minidl.randn(options.pairs, dtype=minidl.float64)
    broken = {p: violations(x, y, alpha, p) for p in [*NORMS, 0.5]}
    for p, (scaling, triangle, definite) in broken.items():
        print(f"p = {p:<4g} violations in {options.pairs:,}: scaling {scaling}, triangle {triangle}, definiteness {definite}")

    slip = max(gradient_slip(x), right_angle_slip())
    zero = minidl.zeros(2, requires_grad=True)
    zero.norm().backward()
    print(f"gradients: at most {slip:.1g} from their formulas; at 0: {zero.grad.tolist()}")

    picture(options.out / "norms.png", broken, options.pairs)
    viz.report(picture=options.out / "norms.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'norms.png'}")
    if values != [5, 7, 4, 6] or any(sum(broken[p]) for p in NORMS) or broken[0.5][1] == 0:
        sys.exit("expected norms 5, 7, 4 and 6, the axioms to hold for p >= 1, and the triangle inequality not for p = 1/2")
    if slip > EXACT or zero.grad.tolist() != [0, 0]:
        sys.exit(f"expected gradients within {EXACT}, and 0 at 0")


def violations(x, y, alpha, p):
    """How many of the pairs break scaling, triangle inequality, definiteness; rounding is no violation."""
    nx, ny = x.norm(p, dim=1), y.norm(p, dim=1)
    scaling = ((alpha.unsqueeze(1) * x).norm(p, dim=1) - alpha.abs() * nx).abs() > EXACT * nx * (1 + alpha.abs())
    triangle = (x + y).norm(p, dim=1) > (nx + ny) * (1 + EXACT)
    definite = (nx > 0) != (x != 0).any(1)
    nothing = minidl.zeros(3, dtype=minidl.float64).norm(p).item() != 0
    return int(scaling.sum().item()), int(triangle.sum().item()), int(definite.sum().item()) + nothing


def gradient(x, p):
    """Of |x|_p for each row of x (N, d)."""
    x = x.clone().requires_grad_()
    x.norm(p, dim=1).sum().backward()
    return x.grad


def gradient_slip(x):
    formulas = {
        1: x.sign(),
        2: x / x.norm(dim=1, keepdim=True),
        3: x.sign() * (x.abs() / x.norm(3, dim=1, keepdim=True)) ** 2,
    }
    return max((gradient(x, p) - formula).abs().max().item() for p, formula in formulas.items())


def right_angle_slip():
    """The scalar product of the gradient of |x|_2 with the circle's direction, at 100 points of the circle."""
    angle = minidl.linspace(0, 2 * math.pi, 100, dtype=minidl.float64)
    at, direction = minidl.stack([angle.cos(), angle.sin()], 1), minidl.stack([-angle.sin(), angle.cos()], 1)
    return (gradient(at, 2) * direction).sum(1).abs().max().item()


def sphere(p, n):
    """n points (n, 2) with |x|_p = 1."""
    angle = minidl.arange(n, dtype=minidl.float64) * (2 * math.pi / n)
    at = minidl.stack([angle.cos(), angle.sin()], 1)
    return at / at.norm(p, dim=1, keepdim=True)


def picture(path, broken, pairs):
    figure, (balls, gradients, axioms) = plt.subplots(1, 3, figsize=(16, 5.6), layout="constrained")
    for p, color in BALLS.items():
        edge = sphere(p, 720).numpy()
        name = "no norm" if p < 1 else {1: "l1", 2: "l2", math.inf: "largest"}.get(p, "lp")
        label = f"p = {'∞' if p == math.inf else f'{p:g}'}: {name}"
        balls.plot(*np.vstack([edge, edge[:1]]).T, color=color, linestyle="--" if p == math.inf else "-", label=label)
    balls.set(aspect="equal", xlabel="x1", ylabel="x2", xlim=(-1.2, 1.2), ylim=(-1.2, 1.9))
    balls.set_title("Unit balls: where |x|_p = 1")
    balls.legend(loc="upper center", ncols=2)

    for p, color in ((1, "C1"), (2, "C0")):
        edge = sphere(p, 720).numpy()
        gradients.plot(*np.vstack([edge, edge[:1]]).T, color=color, linewidth=1)
        at = sphere(p, 24) if p != 1 else sphere(p, 25)[1:]  # not at the corners, where there is no gradient
        gradients.quiver(
            *at.numpy().T, *gradient(at, p).numpy().T, color=color, angles="xy", scale_units="xy", scale=2.5, width=0.004,
            label=f"p = {p}" + {1: ": the signs", 2: ": x/|x|"}[p],
        )  # fmt: skip
    gradients.set(aspect="equal", xlabel="x1", ylabel="x2", xlim=(-1.7, 1.7), ylim=(-1.7, 2.4))
    gradients.set_title("Their gradients (drawn 2.5 times shorter)")
    gradients.legend(loc="upper center", ncols=2)

    names = [f"p = {'∞' if p == math.inf else f'{p:g}'}" for p in broken]
    shares = [100 * counts[1] / pairs for counts in broken.values()]
    bars = axioms.barh(names, shares, color=["C0" if p >= 1 else "C3" for p in broken])
    axioms.bar_label(bars, [f" {share:.0f} %" if share else " none" for share in shares])
    axioms.invert_yaxis()
    axioms.set(xlim=(0, 50), xlabel=f"% of {pairs:,} random pairs")
    axioms.set_title("Pairs that break the triangle inequality")
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
