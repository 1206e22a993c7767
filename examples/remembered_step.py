"""Where the microseconds of a training step go: an ordinary step, a remembered one (`minidl.compile`), and JAX's.

A step of a small network spends most of its time not in arithmetic but in Python: it records operations, makes arrays, walks
back. `minidl.compile` remembers which kernels a step has called, and calls them again without Python. Four networks, from
2-16-16-2 to 64-128-10, are trained twice, with and without it, on the same batches. The blue part of a bar is the time in
kernels, the same in both; the orange part is all else. If JAX is installed, a step by `jax.jit` is timed beside them (grey).

Target: the remembered steps give the same bits as the ordinary ones, all losses and all parameters, and take at most 0.7 of
their time. CPU time of one thread, the median of many turns. Ten seconds, with JAX twenty.
"""

import argparse
import importlib
import importlib.util
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
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

NETWORKS = [((2, 16, 16, 2), 32), ((64, 128, 10), 8), ((64, 64, 64, 64, 10), 32), ((64, 128, 10), 64)]  # widths, batch


def training_step(widths) -> tuple[nn.Module, Callable]:
    """A network and its step: one call learns from one batch and gives the loss."""
    pairs = list(itertools.pairwise(widths))
    layers = [part for fan_in, fan_out in pairs for part in (nn.Linear(fan_in, fan_out), nn.ReLU())]
    net = nn.Sequential(*layers[:-1])
    optimizer = minidl.optim.SGD(net.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return net, step


def jax_step(widths, x, y) -> Callable:
    """The same step, compiled as one function by JAX; its parameters are donated, the batch is an argument."""
    jax = importlib.import_module("jax")
    jnp, random = jax.numpy, np.random.default_rng(0)
    shapes = itertools.pairwise(widths)
    state = [[(jnp.asarray(random.normal(size=(i, o)) / i, jnp.float32), jnp.zeros(o)) for i, o in shapes]]

    def loss(parameters, x, y):
        for w, b in parameters[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = parameters[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), y[:, None], 1).mean()

    def update(parameters, x, y):
        value, gradients = jax.value_and_grad(loss)(parameters, x, y)
        return jax.tree.map(lambda p, g: p - 0.1 * g, parameters, gradients), value

    fast, x, y = jax.jit(update, donate_argnums=0), jnp.asarray(x), jnp.asarray(y)

    def run():
        state[0], value = fast(state[0], x, y)
        value.block_until_ready()

    return run


def microseconds(functions: list[Callable], turns: int) -> list[float]:
    """The median CPU time of one call of each, measured in turns, so that all meet the same disturbances."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(turns):
        for function, values in zip(functions, times, strict=True):
            function()
            start = time.process_time()
            for _ in range(100):
                function()
            values.append((time.process_time() - start) * 1e4)
    return [statistics.median(values) for values in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few turns, without JAX")
    options = parser.parse_args()
    turns = 5 if options.quick else 60
    with_jax = importlib.util.find_spec("jax") is not None and not options.quick
    minidl.set_num_threads(1)

    rows, differ = [], []
    for widths, batch in tqdm(NETWORKS, desc="networks", file=sys.stderr):
        random = np.random.default_rng(options.seed)
        x = minidl.tensor(random.normal(size=(batch, widths[0])).astype(np.float32))
        y = minidl.tensor(random.integers(0, widths[-1], batch))
        minidl.manual_seed(options.seed)
        net, ordinary = training_step(widths)
        minidl.manual_seed(options.seed)
        twin, other = training_step(widths)
        remembered = minidl.compile(other, fullgraph=True)
        name = f"{'-'.join(map(str, widths))}, batch {batch}"
        losses = [(ordinary(x, y).item(), remembered(x, y).item()) for _ in range(20)]
        same = all(a == b for a, b in losses)
        same = same and all((p == q).all() for p, q in zip(net.parameters(), twin.parameters(), strict=True))
        if not same:
            differ.append(name)
        sides: list[Callable] = [partial(ordinary, x, y), partial(remembered, x, y), remembered.run_kernels]
        if with_jax:
            sides.append(jax_step(widths, x.numpy(), y.numpy()))
        rows.append((name, microseconds(sides, turns)))
    print(remembered.explain())

    print(f"\n{'CPU time of one step':<28} {'ordinary':>9} {'remembered':>11} {'kernels':>9}" + f"{'jax.jit':>9}" * with_jax)
    for name, times in rows:
        print(f"{name:<28} {times[0]:>6.0f} µs {times[1]:>8.0f} µs" + "".join(f"{t:>6.0f} µs" for t in times[2:]))
    path = draw(rows, options.out, with_jax)
    worst = max(times[1] / times[0] for _, times in rows)
    print(f"\nthe same bits: {not differ}; a remembered step takes {worst:.2f} of an ordinary one at most (target 0.7); {path}")
    if differ or worst > 0.7:
        sys.exit("missed the target")


def draw(rows, folder, with_jax):
    figure, axes = plt.subplots(figsize=(9, 5.6), layout="constrained")
    labels, place = [], 0.0
    for name, times in rows:
        kernels = times[2]
        bars = [("ordinary", times[0]), ("remembered", times[1]), *([("jax.jit", times[3])] if with_jax else [])]
        axes.text(0, place + 0.62, name, fontsize=10, fontweight="bold", va="bottom")
        for kind, whole in bars:
            if kind == "jax.jit":
                axes.barh(place, whole, color="0.6")
            else:
                axes.barh(place, kernels, color="C0")
                axes.barh(place, whole - kernels, left=kernels, color="C1")
            axes.text(whole, place, f" {whole:.0f} µs", va="center", fontsize=9)
            labels.append((place, kind))
            place -= 1
        place -= 1.1
    axes.set_yticks([p for p, _ in labels], [kind for _, kind in labels])
    axes.barh(0, 0, color="C0", label="in kernels: products, activations, loss, SGD")
    axes.barh(0, 0, color="C1", label="all else: Python, new arrays, calls")
    if with_jax:
        axes.barh(0, 0, color="0.6", label="JAX, the whole step")
    axes.set(xlabel="CPU time of one training step, µs (one thread)", xlim=(0, 1.12 * max(max(times) for _, times in rows)))
    axes.set_ylim(place + 1.2, 1.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    axes.set_title("The same training step, ordinary and remembered by minidl.compile: the same bits")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "remembered_step.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    viz.report(picture=path, text=__doc__)
    return path


if __name__ == "__main__":
    main()
