"""Times minidl against NumPy, and against PyTorch and JAX where they are installed; prints one table.

A ratio is the other library's time divided by minidl's, measured in turns: above 1, minidl is faster.

With --against COMMIT, minidl is timed against itself at that commit, and that commit against itself as a control. Both run this
tree's cases. A ratio is then the new time divided by the old one: above 1, the new one is slower.
"""

import argparse
import contextlib
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import convnets
import sequences
from compiled import SIDES
from harness import HERE, LIBRARIES, compare, contestants, environment, installed, machine

GROUPS = ("overhead", "small", "matmul", "matmul_float64", "reductions", "rows", "elementwise", "step", "start")
GROUPS += ("conv_forward", "conv_backward", "pool_norm", "cnn_step", "attention", "sequence_step", "generation")
GROUPS += ("optimizers", "second_order", "compiled", "memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="for every library (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each case and library (default: %(default)s)")
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=GROUPS, metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--against", metavar="COMMIT", help="time minidl against itself at this commit")
    parser.add_argument("--out", type=Path, help="folder for the table as benchmarks.md and benchmarks.png")
    options = parser.parse_args()
    if options.against:
        against(options)
        return

    groups = {}
    for group in options.only:
        own = {"start": start, "memory": memory}.get(group)
        sides = compiled_sides if group == "compiled" else None
        results = own(options.threads) if own else compare(group, options.threads, options.seconds, sides and sides())
        groups[group] = []
        for case, times in results:
            ours = times.pop("minidl")
            groups[group].append((case, ours, {library: other / ours for library, other in times.items()}))
            print(
                f"{case:45s} {_quantity(group, ours):>9s}  ",
                *(f"{lib} {t / ours:.2f} " for lib, t in times.items()),
                flush=True,
            )
    command = " ".join(["python", *sys.argv])
    text = f"Measured by `{command}` on {machine(options.threads)}.\n\n{table(groups)}"
    print(f"\n{text}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "benchmarks.md").write_text(text)
        picture(groups, options.out / "benchmarks.png")
        print(f"written: {options.out / 'benchmarks.md'}, {options.out / 'benchmarks.png'}")


def against(options):
    """For each group the median over its cases of new/old, and of how far the control, old/old, is from 1."""
    worse = []
    with old_tree(options.against) as tree:
        sides = {"minidl": ("minidl", HERE), "old": ("minidl", tree), "control": ("minidl", tree)}
        for group in options.only:
            if group == "start":  # it is not timed in turns
                continue
            own = (
                memory(options.threads, sides) if group == "memory" else compare(group, options.threads, options.seconds, sides)
            )
            ratios, spreads = [], []
            for case, times in own:
                ratios.append(times["minidl"] / times["old"])
                spreads.append(abs(times["control"] / times["old"] - 1))
                print(
                    f"{case:45s} {_quantity(group, times['old']):>9s}  new {ratios[-1]:.3f}  control ±{spreads[-1]:.3f}",
                    flush=True,
                )
            ratio, spread = statistics.median(ratios), statistics.median(spreads)
            slower = ratio > 1 + spread + 0.02
            worse += [group] * slower
            print(f"{group}: median new/old {ratio:.3f}, control ±{spread:.3f}{', slower' * slower}\n", flush=True)
    print(f"Slower than the control's spread plus 2 %: {', '.join(worse) or 'no group'}.")


@contextlib.contextmanager
def old_tree(commit):
    """A folder with the files of this repository at a commit."""
    git = ["git", "-C", str(HERE), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "old")
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def compiled_sides():
    """The sides of the group `compiled`: minidl's remembered step, its ordinary one, and the other libraries' two ways."""
    return {name: (name, HERE) for name in SIDES if name in ("minidl", "eager") or installed(name.removesuffix("_compile"))}


FIRST_STEP = """
import minidl, minidl.nn as nn
model, images = {}
optimizer = minidl.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4)
nn.functional.cross_entropy(model(minidl.rand(*images)), minidl.randint(0, 10, images[:1])).backward()
optimizer.step()
"""
PERCEPTRON = FIRST_STEP.format("nn.MLP(64, [128], 10), (64, 64)")
LENET = FIRST_STEP.format(
    "nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), "
    "nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)), (64, 1, 28, 28)"
)


def start(threads):
    """From the start: the import, and a process up to its first training step, with an empty and with a filled cache."""

    def seconds(program, **more):
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, env={**environment(threads), **more}
        )
        return float(done.stdout or time.perf_counter() - begin)

    timed = "import time; begin = time.perf_counter(); import {}; print(time.perf_counter() - begin)"
    pairs = [(seconds(timed.format("minidl")), seconds(timed.format("numpy, numba"))) for _ in range(7)]
    ours, others = (sorted(times)[len(times) // 2] for times in zip(*pairs, strict=True))
    yield "import minidl (against NumPy and Numba)", {"minidl": ours, "numpy": others}
    for network, program in (("a perceptron", PERCEPTRON), ("LeNet", LENET)):
        with tempfile.TemporaryDirectory() as folder:
            yield f"process with a first step of {network}, empty cache", {"minidl": seconds(program, MINIDL_CACHE=folder)}
            warm = sorted(seconds(program, MINIDL_CACHE=folder) for _ in range(5))[2]
            yield f"process with a first step of {network}, filled cache", {"minidl": warm}


def memory(threads, sides=None):
    """The most memory that training steps of a network take, each library in a process of its own."""
    program = "import sys, cases, convnets; print(convnets.peak_memory(cases.load(sys.argv[1]), sys.argv[2]))"
    sides = {name: side for name, side in (sides or contestants()).items() if side[0] in ("minidl", "torch")}
    for network in (*convnets.NETWORKS, *sequences.PEAKS):
        sizes = {}
        for name, (library, tree) in sides.items():
            call = [sys.executable, "-c", program, library, network]
            runs = [
                subprocess.run(call, check=True, capture_output=True, env=environment(threads, tree), cwd=Path(__file__).parent)
                for _ in range(3)
            ]
            sizes[name] = statistics.median(float(run.stdout) for run in runs)
        yield f"peak memory of a step, {network}", sizes


def _quantity(group, value):
    return f"{value / 2**20:.1f} MiB" if group == "memory" else _time(value)


def _time(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(groups):
    """The results as Markdown, with the geometric mean of each group's ratios."""
    lines = ["A ratio is the other library's time (or memory) divided by minidl's: above 1, minidl is faster (takes less)."]
    for group, rows in groups.items():
        libraries = [library for library in (*LIBRARIES, *SIDES[1::2]) if any(library in ratios for _, _, ratios in rows)]
        lines += ["", f"| {' | '.join([group, 'minidl', *libraries])} |", "|---" * (2 + len(libraries)) + "|"]
        for case, ours, ratios in rows:
            cells = [f"{ratios[library]:.2f}" if library in ratios else "" for library in libraries]
            lines.append(f"| {' | '.join([case, _quantity(group, ours), *cells])} |")
        if len(rows) > 3:
            means = [_geometric_mean([ratios[lib] for _, _, ratios in rows if lib in ratios]) for lib in libraries]
            lines.append(f"| {' | '.join(['**geometric mean**', '', *(f'**{mean:.2f}**' for mean in means)])} |")
    return "\n".join(lines) + "\n"


def _geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def picture(groups, path):
    import matplotlib  # noqa: PLC0415  (only where a picture is wanted)

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = [(case, ratios) for rows in groups.values() for case, _, ratios in rows if ratios]
    figure, axes = plt.subplots(figsize=(9, 0.2 * len(rows) + 1.5), layout="constrained")
    for library, marker in zip((*LIBRARIES[1:], *SIDES[1::2]), "o^sx+", strict=True):
        points = [(ratios[library], -i) for i, (_, ratios) in enumerate(rows) if library in ratios]
        if points:
            axes.plot(*zip(*points, strict=True), marker, label=library, markersize=5)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", yticks=[-i for i in range(len(rows))], yticklabels=[case for case, _ in rows])
    axes.set(xlabel="time of the other library / time of minidl (right of 1: minidl is faster)", ylim=(-len(rows), 1))
    axes.tick_params(axis="y", labelsize=7)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
