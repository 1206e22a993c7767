"""Eigenvalues and the geometry of matrices: what a matrix does to a circle, to an area, to a vector again and again.

1. [[2, 1], [2, 3]] makes an ellipse of the circle. Two directions are only lengthened: the eigenvectors, by 1 and by 4.
2. The determinant is the factor of areas: [[1, -1], [2, 3]] makes 5 of a square of 1.
3. The angle between two vectors, arccos(v·w / ‖v‖‖w‖): 0.4189901 between (0, 1, 2) and (2, 3, 4).
4. Gershgorin: each eigenvalue lies within one of the discs around a diagonal element, with the rest of its row as radius.
5. Eigenvalues may be complex, as those of a random 5×5 matrix (the book's, seed 42): a turn besides the lengthening.
6. Power iteration: v ← A v, again and again. The length of v grows, in the end, by the largest |eigenvalue| each time. Divided
   by it, the matrix neither blows a vector up nor lets it vanish: so weights should begin.

Target: the book's numbers to six digits, and 2.4532 within 0.001 after 100 iterations. A second or two.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle
from tqdm import trange

import minidl
from minidl import viz
from minidl.linalg import det, eig, eigh, eigvals

STRETCH, SHEAR = [[2.0, 1.0], [2.0, 3.0]], [[1.0, -1.0], [2.0, 3.0]]
DISCS = [[1.0, 0.1, 0.1, 0.1], [0.1, 3.0, 0.2, 0.3], [0.1, 0.2, 5.0, 0.5], [0.1, 0.3, 0.5, 9.0]]
FOUND = [0.992285, 2.973437, 4.953941, 9.080336]
RANDOM = [0.3490, 1.1296, 1.1296, 1.1828, 2.4532]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="of the power iteration (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="for the random matrix; the book's is 42, others have no target")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="10 steps, and no target for them: shows that it runs")
    options = parser.parse_args()
    steps = 10 if options.quick else options.steps
    if steps < 2 or options.out.is_file():
        parser.error("expected 2 steps or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)

    values, vectors = eig(double(STRETCH))
    area = det(double(SHEAR)).item()
    v, w = double([0.0, 1.0, 2.0]), double([2.0, 3.0, 4.0])
    angle = minidl.acos(v.dot(w) / (v.norm() * w.norm())).item()
    gershgorin = eigh(double(DISCS)).eigenvalues.numpy()
    minidl.manual_seed(options.seed)
    A = minidl.randn(5, 5, dtype=minidl.float64)
    complex_values = eigvals(A)
    sizes = complex_values.abs().sort().values.numpy()
    ratios, lengths = iterate(A, steps, "as it is")
    _, steady = iterate(A / sizes[-1], steps, "divided")

    print(f"eigenvalues of {STRETCH}: {values}, vectors\n{vectors}")
    print(f"determinant of {SHEAR}: {area:.6f}; angle {angle:.7f}")
    print(f"eigenvalues of Gershgorin's matrix: {gershgorin.round(6)}")
    print(f"sizes of the random matrix's: {sizes.round(4)}; the length grows by {ratios[-1]:.4f} a step")
    picture(options.out / "eigenvalues.png", values, vectors, area, angle, gershgorin, complex_values, ratios, lengths, steady)
    viz.report(picture=options.out / "eigenvalues.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'eigenvalues.png'}")
    check("eigenvalues 1 and 4", values.real.numpy(), [1, 4])
    check("a determinant of 5, an angle of 0.4189901", [area, angle], [5, 0.4189901])
    check("Gershgorin's eigenvalues as in the book", gershgorin, FOUND)
    if options.seed == 42:
        check("the sizes of the book", sizes, RANDOM, 1e-4)
    if options.seed == 42 and not options.quick:
        check("a ratio of 2.4532", ratios[-1], RANDOM[-1], 1e-3)


def double(numbers):
    return minidl.tensor(numbers, dtype=minidl.float64)


def check(what, found, expected, within=1e-6):
    if np.abs(np.subtract(found, expected)).max() > within:
        sys.exit(f"expected {what}, got {found}")


def iterate(A, steps, name):
    """By how much each step lengthens a vector, and the lengths."""
    v = minidl.randn(5, dtype=minidl.float64)
    v = v / v.norm()
    lengths = [1.0]
    for _ in trange(steps, desc=f"power iteration, {name:8}", unit="step", disable=None):
        v = A @ v
        lengths.append(v.norm().item())
    return np.array(lengths[1:]) / lengths[:-1], np.array(lengths)


# --- the picture


def picture(path, values, vectors, area, angle, gershgorin, complex_values, ratios, lengths, steady):
    figure, axes = plt.subplots(2, 3, figsize=(14, 9), layout="constrained")
    stretch(axes[0, 0], values.real.numpy(), vectors.real.numpy())
    areas(axes[0, 1], area)
    angles(axes[0, 2], angle)
    discs(axes[1, 0], gershgorin)
    plane(axes[1, 1], complex_values)
    powers(axes[1, 2], complex_values.abs().max().item(), ratios, lengths, steady)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def arrow(axis, end, color):
    axis.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2, "mutation_scale": 16})


def stretch(axis, values, vectors):
    axis.set_aspect("equal")
    turn = np.linspace(0, 2 * np.pi, 200)
    circle = np.array([np.cos(turn), np.sin(turn)])
    axis.plot(*circle, color="0.6", label="the unit circle")
    axis.plot(*(np.array(STRETCH) @ circle), color="C0", label="what A makes of it")
    for value, vector in zip(values, vectors.T, strict=True):
        vector = vector * np.sign(vector[1])
        arrow(axis, value * vector, "C0")
        arrow(axis, vector, "0.4")
        place = (value * vector + [0.5, 0.1], "left") if value > 1 else ([-1.3, 0.9], "right")
        axis.text(*place[0], f"times {value:.0f}", color="C0", ha=place[1])
    axis.set(xlim=(-5.8, 5.8), ylim=(-4.2, 6.4), title="[[2, 1], [2, 3]]: eigenvectors keep\ntheir direction")
    axis.legend(loc="upper left")


def areas(axis, area):
    axis.set_aspect("equal")
    square = np.array([[0, 1, 1, 0, 0], [0, 0, 1, 1, 0]])
    image = np.array(SHEAR) @ square
    axis.fill(*image, color="C0", alpha=0.25)
    axis.plot(*image, color="C0")
    axis.fill(*square, color="0.6", alpha=0.7)
    axis.text(0.5, 0.5, "area 1", ha="center", va="center")
    axis.text(-0.25, 2.9, f"area {area:.0f}", ha="center", color="C0", size=13)
    axis.set(xlim=(-3.3, 3.3), ylim=(-0.5, 5.5), title="det [[1, -1], [2, 3]] = 5:\nthe factor of areas")


def angles(axis, angle):
    axis.set_aspect("equal")
    for end, length, turn in (("v = (0, 1, 2)", np.sqrt(5), 0.0), ("w = (2, 3, 4)", np.sqrt(29), angle)):
        point = length * np.cos(turn), length * np.sin(turn)
        arrow(axis, point, "C0")
        axis.text(point[0], point[1] + (0.1 if turn else -0.4), end, ha="right", color="C0")
    arc = np.linspace(0, angle, 50)
    axis.plot(1.5 * np.cos(arc), 1.5 * np.sin(arc), color="0.4")
    axis.text(1.65, 0.25, f"{angle:.4f} = {np.degrees(angle):.0f}°")
    axis.set(xlim=(-0.3, 5.7), ylim=(-1.7, 3.8), title="The angle between two vectors,\nin the plane of both")


def discs(axis, gershgorin):
    axis.set_aspect("equal")
    for i, row in enumerate(np.array(DISCS)):
        radius = np.abs(row).sum() - row[i]
        axis.add_patch(Circle((row[i], 0), radius, facecolor="0.85", edgecolor="0.4"))
        axis.plot(row[i], 0, "+", color="0.4", label=None if i else "the diagonal's elements")
    axis.plot(gershgorin, np.zeros(4), "o", color="C0", markersize=5, label="eigenvalues")
    axis.set(xlim=(0, 10.5), ylim=(-4.3, 5.3), xlabel="real part", ylabel="imaginary part")
    axis.set_title("Gershgorin: the eigenvalues lie in discs\naround the diagonal's elements")
    axis.legend(loc="upper left")


def plane(axis, values):
    axis.set_aspect("equal")
    largest = values.abs().max().item()
    turn = np.linspace(0, 2 * np.pi, 200)
    axis.plot(largest * np.cos(turn), largest * np.sin(turn), "k--", linewidth=1, label=f"the largest size: {largest:.4f}")
    for i, z in enumerate(values.tolist()):
        axis.plot([0, z.real], [0, z.imag], color="0.8", linewidth=1)
        axis.plot(z.real, z.imag, "o", color="C0", label=None if i else "eigenvalues")
    limits = {"xlim": (-1.8 * largest, 1.8 * largest), "ylim": (-1.3 * largest, 2 * largest)}
    axis.set(**limits, xlabel="real part", ylabel="imaginary part")
    axis.set_title("Eigenvalues of a random matrix,\nin the complex plane")
    axis.legend(loc="upper left")


def powers(axis, largest, ratios, lengths, steady):
    axis.plot(lengths, color="C3", label=f"‖Aⁿv‖: ends at {lengths[-1]:.1e}")
    axis.plot(steady, color="C0", label=f"the same, A divided by {largest:.4f}: {steady[-1]:.2f}")
    axis.plot(largest ** np.arange(len(lengths)), color="black", linestyle="--", linewidth=1, label=f"{largest:.4f}ⁿ")
    axis.set(yscale="log", xlabel="step n", ylabel="length", ylim=(0.1, 10 * lengths.max() ** 1.3))
    axis.set_title(f"Power iteration with the random matrix:\nthe length grows by {ratios[-1]:.4f} a step")
    axis.legend(loc="upper left")


if __name__ == "__main__":
    main()
