"""Backpropagation by hand (section 5.3 of Dive into Deep Learning) against autograd, and the graph that autograd walks.

A network with one hidden layer, z = W1 x, h = tanh(z), o = W2 h, loss L = ½|o - y|², penalty s = λ/2 (|W1|² + |W2|²), aim
J = L + s. The forward pass computes and keeps x, z, h, o; the backward pass needs them, from the last to the first:

    ∂J/∂o = o - y                 ∂J/∂W2 = ∂J/∂o hᵀ + λ W2      ∂J/∂h = W2ᵀ ∂J/∂o
    ∂J/∂z = ∂J/∂h ⊙ (1 - h²)      ∂J/∂W1 = ∂J/∂z xᵀ + λ W1      ∂J/∂x = W1ᵀ ∂J/∂z

W1 and W2 are used twice, in the network and in the penalty, so each gets a sum of two gradients. Target: all six formulas agree
with autograd within 1e-12, and with difference quotients within 1e-6. After backward what was kept is freed: a second one is
refused, unless retain_graph was asked for; then it gives the same once more.

The picture shows the graph, drawn from the nodes of J themselves, and both gradients. A second or two.
"""

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import viz

DECAY, EXACT, NUMERIC = 0.1, 1e-12, 1e-6
NOTE = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
FORMULAS = {
    "o": "o - y",
    "W2": "∂J/∂o hᵀ + λ W2",
    "h": "W2ᵀ ∂J/∂o",
    "z": "∂J/∂h ⊙ (1 - h²)",
    "W1": "∂J/∂z xᵀ + λ W1",
    "x": "W1ᵀ ∂J/∂z",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=5, help="hidden units (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for weights, input and target")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="the same: it is quick")
    options = parser.parse_args()
    if options.hidden < 1 or options.out.is_file():
        parser.error("expected 1 hidden unit or more, and --out to name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    minidl.manual_seed(options.seed)

    def draw(*shape):
        return minidl.randn(*shape, dtype=minidl.float64).requires_grad_()

    leaves = {"x": draw(4), "W1": draw(options.hidden, 4), "W2": draw(3, options.hidden)}
    y = minidl.randn(3, dtype=minidl.float64)
    values = forward(**leaves, y=y)
    for name in ("z", "h", "o"):
        values[name].retain_grad()
    values["J"].backward(retain_graph=True)
    computed = {name: values[name].grad.numpy().copy() for name in FORMULAS}
    expected = by_hand(y=y.numpy(), **{name: values[name].detach().numpy() for name in FORMULAS})
    apart = {name: np.abs(computed[name] - expected[name]).max() for name in FORMULAS}
    for name, formula in FORMULAS.items():
        print(f"∂J/∂{name} = {formula}: {computed[name].size} numbers, at most {apart[name]:.1g} from autograd's")
    numeric = max(quotient_slip(leaves, y, name, computed[name]) for name in leaves)
    print(f"difference quotients: at most {numeric:.1g} from autograd's")
    again, refused = second_walk(values, leaves, computed)
    print(f"a second backward: {'twice the gradient' if again else 'WRONG'} while the graph is kept, then {refused!r}")

    graph = forward(**leaves, y=y)  # a graph that was walked is gone
    picture(options.out / "backprop_by_hand.png", graph, computed, expected, apart)
    viz.report(picture=options.out / "backprop_by_hand.png", seed=options.seed, text=__doc__)
    print(f"picture: {options.out / 'backprop_by_hand.png'}")
    if max(apart.values()) > EXACT or numeric > NUMERIC or not again or "retain_graph" not in refused:
        sys.exit(f"expected gradients within {EXACT} of those by hand, {NUMERIC} of quotients, and the graph to be freed")


def forward(x, W1, W2, y):
    z = W1 @ x
    h = z.tanh()
    o = W2 @ h
    L = ((o - y) ** 2).sum() / 2
    s = ((W2**2).sum() + (W1**2).sum()) * (DECAY / 2)
    J = L + s
    return {"x": x, "W1": W1, "W2": W2, "z": z, "h": h, "o": o, "L": L, "s": s, "J": J}


def by_hand(x, W1, W2, h, o, y, z):
    do = o - y
    dW2 = np.outer(do, h) + DECAY * W2
    dh = W2.T @ do
    dz = dh * (1 - h**2)
    dW1 = np.outer(dz, x) + DECAY * W1
    return {"o": do, "W2": dW2, "h": dh, "z": dz, "W1": dW1, "x": W1.T @ dz}


def quotient_slip(leaves, y, name, gradient, eps=1e-6):
    """How far (J(v + ε) - J(v - ε))/2ε is from the gradient, for each number of v."""
    slips = []
    with minidl.no_grad():
        for i in np.ndindex(gradient.shape):
            above, below = leaves[name].clone(), leaves[name].clone()
            above[i] += eps
            below[i] -= eps
            js = [forward(**{**leaves, name: v}, y=y)["J"].item() for v in (above, below)]
            slips.append(abs((js[0] - js[1]) / (2 * eps) - gradient[i]))
    return max(slips)


def second_walk(values, leaves, once):
    """(whether walking the kept graph again doubles the gradients, what is said when it was freed)."""
    values["J"].backward()
    doubled = all(np.allclose(leaf.grad.numpy(), 2 * once[name], rtol=1e-12) for name, leaf in leaves.items())
    try:
        values["J"].backward()
    except RuntimeError as error:
        return doubled, str(error)
    return doubled, "nothing"


# --- the graph


def draw_graph(ax, root, names, notes):
    """Draws the nodes that `root`, a tensor's grad_fn, reaches: inputs at the left, root at the right.

    names: what to call a node's result, by node. notes: what to write below it.
    """
    layers = in_layers(root)
    place = {node: (-depth, row) for depth, layer in enumerate(layers) for row, node in layer.items()}
    for node, (x, y) in place.items():
        if isinstance(node, tuple):  # a bend in a long arrow
            continue
        for parent, bends in parents(node, place):
            way = [place[p] for p in (parent, *bends, node)]
            for k, (start, end) in enumerate(pairwise(way)):
                last = k == len(way) - 2
                ax.annotate(
                    "",
                    end,
                    start,
                    arrowprops={"arrowstyle": "->" if last else "-", "color": "0.5", "shrinkA": 0, "shrinkB": 33 * last},
                )
        leaf = not node.next_functions
        kind = "" if leaf else type(node).__name__
        text = names.get(node, "") + (" = " if node in names and kind else "") + kind
        box = {"boxstyle": "round,pad=0.35", "facecolor": "0.88" if leaf else "white", "edgecolor": "black" if leaf else "C0"}
        ax.text(x, y, text, ha="center", va="center", bbox=box, zorder=3, fontsize=10.5)
        if node in notes:
            ax.text(x, y - 0.33, notes[node], ha="center", va="top", color="C1", fontsize=10, bbox=NOTE)
    xs, ys = zip(*place.values(), strict=True)
    ax.set(xlim=(min(xs) - 0.6, max(xs) + 0.6), ylim=(min(ys) - 0.8, max(ys) + 0.5))
    ax.axis("off")


def parents(node, place):
    """(parent, the bends between it and the node, parent first) for each input of a node that is in the graph."""
    for slot, (parent, _) in enumerate(node.next_functions):
        if parent is not None:
            depth, far = int(-place[node][0]), int(-place[parent][0])
            yield parent, [(node, slot, d) for d in range(far - 1, depth, -1)]


def in_layers(root):
    """For each distance from root {row: node}, where a tuple is a bend in an arrow that crosses the layer."""
    depth, pending = {root: 0}, [root]
    while pending:  # a node's distance is that of the longest way to it
        node = pending.pop()
        for parent, _ in node.next_functions:
            if parent is not None and depth.get(parent, -1) < depth[node] + 1:
                depth[parent] = depth[node] + 1
                pending.append(parent)
    order = sorted(depth, key=lambda node: depth[node])
    children = {}  # node or bend -> what it feeds in the next layer
    for node in order:
        for slot, (parent, _) in enumerate(node.next_functions):
            if parent is not None:
                child = node
                for d in range(depth[node] + 1, depth[parent]):
                    bend = (node, slot, d)
                    children.setdefault(bend, []).append(child)
                    child = bend
                children.setdefault(parent, []).append(child)
    where = {**depth, **{bend: bend[2] for bend in children if isinstance(bend, tuple)}}
    layers, row = [], {root: 0.0}
    for d in range(max(where.values()) + 1):
        nodes = [node for node in where if where[node] == d]
        wish = {node: sum(row[c] for c in children[node]) / len(children[node]) if d else 0.0 for node in nodes}
        nodes.sort(key=lambda node: wish[node])
        middle = sum(wish.values()) / len(wish)
        rows = [middle + i - (len(nodes) - 1) / 2 for i in range(len(nodes))]
        if all(b - a >= 1 for a, b in pairwise(sorted(wish.values()))):
            rows = sorted(wish.values())  # nothing is in the way of what each wishes
        row.update(zip(nodes, rows, strict=True))
        layers.append({row[node]: node for node in nodes})
    return layers


def node_of(tensor):
    """The tensor's node in the graph: what made it, or for a leaf where its gradient is collected."""
    return tensor.grad_fn if tensor.grad_fn is not None else (tensor * 1).grad_fn.next_functions[0][0]


def picture(path, values, computed, expected, apart):
    names = {node_of(tensor): name for name, tensor in values.items()}
    notes = {node_of(values[name]): f"∂J/∂{name} = {formula}" for name, formula in FORMULAS.items()}
    figure = plt.figure(figsize=(17, 10), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.5, 1]).flat
    ax = above.subplots()
    draw_graph(ax, values["J"].grad_fn, names, notes)
    ax.set_title(
        "The graph of J = ½|W2 tanh(W1 x) - y|² + λ/2 (|W1|² + |W2|²): forward with the arrows, gradients (orange) against them"
    )
    points, table = below.subplots(1, 2, width_ratios=[1, 1.6])
    for name, marker in zip(FORMULAS, "osd^v*", strict=True):
        points.plot(expected[name].ravel(), computed[name].ravel(), marker, color="C0", alpha=0.7, label=f"∂J/∂{name}")
    low, high = points.get_xlim()
    points.plot([low, high], [low, high], "k--", linewidth=0.9, label="equal")
    points.set(xlabel="by hand", ylabel="by autograd", title="Each number of each gradient")
    points.legend(fontsize=8)
    table.axis("off")
    rows = [[f"∂J/∂{n}", f, str(computed[n].shape), f"{apart[n]:.1e}"] for n, f in FORMULAS.items()]
    shown = table.table(rows, colLabels=["gradient", "by hand", "shape", "largest difference"], loc="center", cellLoc="center")
    shown.scale(1, 1.9)
    shown.auto_set_font_size(False)
    shown.set_fontsize(11)
    table.set_title(f"Target: differences below {EXACT:.0e}")
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
