"""The diagram of mutual information (Figure 22.11.1 of Dive into Deep Learning), its areas in proportion to the bits.

Two variables are two circles of the areas H(X) and H(Y). They overlap in the area I(X, Y). So what X has alone is H(X|Y), what
Y has alone is H(Y|X), and both together cover H(X, Y). The circles are moved together until the overlap has its area. The
joint distribution is the chapter's own, whose variables share next to nothing, and one of weather and umbrellas; or --joint.

From the diagram mutual information is read in four ways, and in a fifth it is a Kullback-Leibler divergence:
    H(X, Y) - H(X|Y) - H(Y|X) = H(X) - H(X|Y) = H(Y) - H(Y|X) = H(X) + H(Y) - H(X, Y) = D(p(x, y) || p(x) p(y))

Target: all five agree to 1e-12 on 300 random tables, where the chain rule H(X, Y) = H(X) + H(Y|X) and the bounds
H(X), H(Y) <= H(X, Y) <= H(X) + H(Y) hold, too; the areas of the picture, counted point by point, are right to 1 %.

So do the extremes: of X and a copy of it, H(X, X) = H(X) = I(X, X), and of independent variables, H(X) + H(Y), I = 0. Densities
have all this, too: for a normal pair of the correlation 0.8 the five forms agree to 1e-12, though an entropy may be negative.

The picture also shows three numbers that the chapter prints, or a formula in it gives, and that are not what they are called:
- a conditional entropy, 0.8635, of a table that sums to 1.1;
- a mutual information, 0.7195, with marginals that are not those of the table (it is 0.0074);
- the sum of p(x) p(y) p(x, y) log ..., if E_x E_y {p(x, y) log ...} is taken by the letter. The sum of p(x, y) log ... is
  meant.
"""

import argparse
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle
from tqdm import tqdm

import minidl
from minidl import information, viz

CHAPTER = [[0.1, 0.5], [0.1, 0.3]]
WEATHER = [[0.40, 0.02], [0.18, 0.12], [0.03, 0.25]]  # sun, clouds, rain; without an umbrella, with one
AGREE, AREA = 1e-12, 0.01


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joint", type=table, help="a joint distribution in place of the weather: '0.4 0.1; 0.1 0.4'")
    parser.add_argument("--seed", type=int, default=0, help="for the random tables")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="20 random tables; the targets stay")
    options = parser.parse_args()
    if options.out.is_file():
        parser.error("expected --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    chosen = table_of(WEATHER) if options.joint is None else options.joint
    name = "Weather X and umbrella Y" if options.joint is None else "The joint distribution given"
    for title, p in (("The chapter's table", table_of(CHAPTER)), (name, chosen)):
        print(title, *(f"{key} {value:.4f}" for key, value in quantities(p).items()), sep="  ")

    apart, broken = 0.0, 0
    for _ in tqdm(range(20 if options.quick else 300), desc="random tables", unit="table", disable=None):
        p = random_table()
        forms = list(mutual_informations(p).values())
        apart = max(apart, max(forms) - min(forms))
        q = quantities(p)
        chain = abs(q["H(X,Y)"] - q["H(X)"] - q["H(Y|X)"]) < AGREE
        broken += not (chain and max(q["H(X)"], q["H(Y)"]) <= q["H(X,Y)"] + AGREE and q["I"] >= -AGREE)
    print(f"random tables: the five forms differ by {apart:.1e} bits at most; {broken} break a rule")

    for title, broken_rule in {**extremes(chosen), **normal_pair(0.8, 0.2)}.items():
        print(f"{title}: off by {broken_rule:.1e} bits")
        broken += broken_rule > AGREE

    wrong = picture(options.out / "information_diagram.png", name, chosen)
    print(f"five forms of mutual information within {apart:.0e} bits; areas of the picture wrong by {wrong:.2%} at most")
    viz.report(picture=options.out / "information_diagram.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'information_diagram.png'}")
    if apart > AGREE or broken or wrong > AREA:
        sys.exit(f"expected forms of mutual information within {AGREE}, no rule broken, and areas within {AREA:.0%}")


def table(text):
    """A tensor from '0.4 0.1; 0.1 0.4'."""
    try:
        p = table_of([[float(x) for x in row.split()] for row in text.split(";")])
        information.joint_entropy(p)  # refuses what is no distribution, and says why
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return p


def table_of(values):
    return minidl.tensor(values, dtype=minidl.float64)


def random_table():
    """A joint distribution of 2 to 6 by 2 to 6 outcomes, some nearly even, some with nearly empty fields."""
    rows, columns = minidl.randint(2, 7, (2,)).tolist()
    sharpness = 3 * minidl.rand(()).item()
    return (sharpness * minidl.randn(rows * columns, dtype=minidl.float64)).softmax(0).reshape(rows, columns)


def quantities(p):
    """All areas of the diagram, in bits. X is in the rows of p, Y in its columns."""
    values = {
        "H(X)": information.entropy(p.sum(1)),
        "H(Y)": information.entropy(p.sum(0)),
        "H(X,Y)": information.joint_entropy(p),
        "H(X|Y)": information.conditional_entropy(p.T),
        "H(Y|X)": information.conditional_entropy(p),
        "I": information.mutual_information(p),
    }
    return {name: value.item() for name, value in values.items()}


def mutual_informations(p):
    """{form: bits}, the same number five times."""
    q = quantities(p)
    independent = p.sum(1, keepdim=True) * p.sum(0, keepdim=True)
    return {
        "H(X,Y) − H(X|Y) − H(Y|X)": q["H(X,Y)"] - q["H(X|Y)"] - q["H(Y|X)"],
        "H(X) − H(X|Y)": q["H(X)"] - q["H(X|Y)"],
        "H(Y) − H(Y|X)": q["H(Y)"] - q["H(Y|X)"],
        "H(X) + H(Y) − H(X,Y)": q["H(X)"] + q["H(Y)"] - q["H(X,Y)"],
        "D(p(x,y) ‖ p(x)p(y))": information.kl_divergence(p.flatten(), independent.flatten()).item(),
    }


def extremes(p):
    """{rule: by how much it is broken} where the variables share all or nothing."""
    x, y = p.sum(1), p.sum(0)
    same, apart = quantities(minidl.diag(x)), quantities(x.outer(y))
    return {
        "X and a copy of it": max(abs(same[name] - same["H(X)"]) for name in ("H(Y)", "H(X,Y)", "I")) + same["H(X|Y)"],
        "independent X and Y": abs(apart["H(X)"] + apart["H(Y)"] - apart["H(X,Y)"]) + abs(apart["I"]),
    }


def normal_pair(correlation, std):
    """{title: how far the forms are apart} of a normal pair of the standard deviations 1 and std, from entropies of densities.

    Given Y = y, X is normal with the variance 1 - correlation², whatever y is; and Y given X likewise.
    """
    rest = math.sqrt(1 - correlation**2)
    h_x, h_y = information.normal_entropy(1.0), information.normal_entropy(std)
    x_given_y, y_given_x = information.normal_entropy(rest), information.normal_entropy(std * rest)
    covariance = table_of([[1, correlation * std], [correlation * std, std**2]])
    joint = information.multivariate_normal_entropy(covariance).item()
    forms = joint - x_given_y - y_given_x, h_x - x_given_y, h_y - y_given_x, h_x + h_y - joint
    forms = *forms, information.bivariate_normal_mutual_information(correlation)
    title = f"normal pair: h(X) {h_x:.4f}, h(Y) {h_y:.4f}, h(X,Y) {joint:.4f}, h(Y|X) {y_given_x:.4f}, I {forms[-1]:.4f}"
    return {title: max(forms) - min(forms)}


# --- circles


def overlap(r, s, distance):
    """The area that two circles of radius r and s have in common: two segments."""
    if distance >= r + s:
        return 0.0
    if distance <= abs(r - s):
        return math.pi * min(r, s) ** 2
    x = (distance**2 + r**2 - s**2) / (2 * distance)  # from the first centre to the chord
    return segment(r, x) + segment(s, distance - x)


def segment(r, x):
    """The part of a circle of radius r that lies beyond a chord at x from its centre."""
    return r**2 * math.acos(max(-1.0, min(1.0, x / r))) - x * math.sqrt(max(0.0, r**2 - x**2))


def circles(p):
    """(radius of X, radius of Y, distance of the centres): areas as the entropies, overlap as the mutual information."""
    q = quantities(p)
    r, s = math.sqrt(q["H(X)"] / math.pi), math.sqrt(q["H(Y)"] / math.pi)
    near, far = abs(r - s), r + s
    for _ in range(100):  # halves where the distance can be: the overlap only falls with it
        middle = (near + far) / 2
        near, far = (middle, far) if overlap(r, s, middle) > q["I"] else (near, middle)
    return r, s, far


def counted(r, s, distance, points=2000):
    """The areas (X alone, both, Y alone) by counting points of a grid: a check that knows nothing of segments."""
    x = np.linspace(-r, distance + s, points)
    y = np.linspace(-max(r, s), max(r, s), points)[:, None]
    cell = (x[1] - x[0]) * (y[1, 0] - y[0, 0])
    in_x, in_y = x**2 + y**2 <= r**2, (x - distance) ** 2 + y**2 <= s**2
    return [float(inside.sum() * cell) for inside in (in_x & ~in_y, in_x & in_y, in_y & ~in_x)]


# --- the picture


def picture(path, name, chosen):
    """Draws it, and returns by how much of the joint entropy an area is wrong at most."""
    figure = plt.figure(figsize=(13, 9), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.2, 1], hspace=0.03).flat
    wrong = 0.0
    axes = top.subplots(1, 2, sharex=True, sharey=True)
    for ax, title, p in zip(axes, ("The chapter's table [[.1, .5], [.1, .3]]", name), (table_of(CHAPTER), chosen), strict=True):
        wrong = max(wrong, diagram(ax, title, p))
    top.suptitle("Figure 22.11.1 with areas in proportion: 1 bit is the same area on both sides")
    left, right = bottom.subplots(1, 2)
    forms(left, chosen)
    misprints(right)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return wrong


def diagram(ax, title, p):
    q = quantities(p)
    r, s, distance = circles(p)
    middle = (distance + s - r) / 2
    for x, radius, color in ((-middle, r, "C0"), (distance - middle, s, "C1")):
        ax.add_patch(Circle((x, 0), radius, color=color, alpha=0.45, linewidth=0))
        ax.add_patch(Circle((x, 0), radius, color=color, fill=False))
    inner_left, inner_right = distance - s - middle, r - middle  # where the overlap begins and ends
    ax.text((-middle - r + inner_left) / 2, 0, f"H(X|Y)\n{q['H(X|Y)']:.4f}", ha="center", va="center")
    ax.text((inner_right + distance - middle + s) / 2, 0, f"H(Y|X)\n{q['H(Y|X)']:.4f}", ha="center", va="center")
    ax.annotate(
        f"I(X, Y) = {q['I']:.4f}",
        ((inner_left + inner_right) / 2, 0),
        (0, -0.95),
        ha="center",
        arrowprops={"arrowstyle": "-"},
    )
    ax.text(-middle - r, 0.62, f"H(X) = {q['H(X)']:.4f}", color="C0", ha="center", weight="bold")
    ax.text(distance - middle + s, 0.62, f"H(Y) = {q['H(Y)']:.4f}", color="C1", ha="center", weight="bold")
    ax.set(xlim=(-1.5, 1.5), ylim=(-1.05, 0.8), aspect="equal")
    ax.set_title(f"{title}\nboth together: H(X, Y) = {q['H(X,Y)']:.4f} bits")
    ax.set_axis_off()
    areas = zip(counted(r, s, distance), (q["H(X|Y)"], q["I"], q["H(Y|X)"]), strict=True)
    return max(abs(area - bits) for area, bits in areas) / q["H(X,Y)"]


def forms(ax, p):
    """The diagram as bars: what is taken from what."""
    q = quantities(p)
    rows = [
        ("H(X, Y)", 0, q["H(X,Y)"], "0.6"),
        ("H(X)", 0, q["H(X)"], "C0"),
        ("H(Y)", q["H(X|Y)"], q["H(Y)"], "C1"),
        ("H(X|Y)", 0, q["H(X|Y)"], "C0"),
        ("I(X, Y)", q["H(X|Y)"], q["I"], "C4"),
        ("H(Y|X)", q["H(X)"], q["H(Y|X)"], "C1"),
    ]
    names, starts, widths, colors = zip(*rows, strict=True)
    bars = ax.barh(names, widths, left=starts, color=colors, alpha=0.6)
    ax.bar_label(bars, [f"{width:.4f}" for width in widths], label_type="center")
    for x in (q["H(X|Y)"], q["H(X)"]):
        ax.axvline(x, color="black", linestyle=":", linewidth=1, zorder=0)
    ax.invert_yaxis()
    told = "\n".join(f"{form} = {bits:.6f}" for form, bits in mutual_informations(p).items())
    ax.set(xlabel=f"bits; right picture above\n{told}", title="Mutual information read off in four ways, and as a divergence")


def misprints(ax):
    """Three numbers of the chapter beside what they are called."""
    p = table_of(CHAPTER)
    not_one = table_of([[0.1, 0.5], [0.2, 0.3]])
    independent = p.sum(1, keepdim=True) * p.sum(0, keepdim=True)
    true = information.mutual_information(p).item()
    rows = [
        (
            "H(Y|X) of a table\nwhose sum is 1.1",
            information.conditional_entropy(not_one, table_of([0.2, 0.8])).item(),
            information.conditional_entropy(not_one / not_one.sum()).item(),
        ),
        (
            "I with marginals\nof other tables",
            information.mutual_information(p, table_of([0.2, 0.8]), table_of([[0.75, 0.25]])).item(),
            true,
        ),
        ("I by E_x E_y p(x,y) log …\ntaken by the letter", (independent * p * (p / independent).log2()).sum().item(), true),
    ]
    names, printed, meant = zip(*rows, strict=True)
    y = np.arange(len(rows))
    for shift, values, color, label in ((-0.2, printed, "C3", "as printed"), (0.2, meant, "C0", "what it is called")):
        bars = ax.barh(y + shift, values, 0.38, color=color, label=label)
        ax.bar_label(bars, [f" {value:.4f}" if value > 0.1 else f" {value:.5f}" for value in values])
    ax.set(yticks=y, yticklabels=names, xlabel="bits (the first: of the table divided by 1.1)", xlim=(0, 1.1))
    ax.set_title("Three numbers that are not what they are called")
    ax.invert_yaxis()
    ax.legend(loc="lower right")


if __name__ == "__main__":
    main()
