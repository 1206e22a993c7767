"""Times minidl against NumPy, and against PyTorch and JAX where they are installed. Prints one table; `--out` keeps it.

    python benchmarks/run.py --threads 2 --out out

A ratio is the other library's time divided by minidl's, in one interleaved run: above 1, minidl is faster.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import GROUPS, arguments, compare, limit_threads, machine

OTHERS = ("numpy", "torch", "jax")


def main():
    options = arguments(__doc__.splitlines()[0])
    limit_threads(options.threads)
    import cases  # noqa: PLC0415  (NumPy reads the number of threads when it is imported)

    if cases.torch:
        cases.torch.set_num_threads(options.threads)
    lines = []
    for group in options.only or GROUPS:
        rows = []
        if group == "start":
            rows = list(start())
        else:
            for case, candidates in getattr(cases, group)():
                times = compare(candidates, options.seconds)
                rows.append((case, times["minidl"], {lib: times[lib] / times["minidl"] for lib in times if lib != "minidl"}))
                print(_line(rows[-1]), flush=True)
        lines.append((group, rows))
    text = _markdown(lines, machine(options.threads), " ".join(["python", *map(str, sys.argv)]))
    print("\n" + text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "benchmarks.md").write_text(text)
        _picture(lines, options.out / "benchmarks.png")


def start():
    """From the start of a process: the import, and the first training step with an empty and with a filled cache."""
    numpy_and_numba = min(_inside("import numpy, numba") for _ in range(5))
    ours = min(_inside("import minidl") for _ in range(5))
    yield "import minidl (against import numpy, numba)", ours, {"numpy": numpy_and_numba / ours}
    first = (
        "import minidl, minidl.nn as nn, minidl.nn.functional as F;"
        "m = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10));"
        "o = minidl.optim.SGD(m.parameters(), lr=.1, weight_decay=1e-4);"
        "F.cross_entropy(m(minidl.rand(64, 64)), minidl.randint(0, 10, (64,))).backward(); o.step()"
    )
    with tempfile.TemporaryDirectory() as folder:
        cold = _process(first, MINIDL_CACHE=folder)
        warm = min(_process(first, MINIDL_CACHE=folder) for _ in range(3))
    yield "first training step, empty cache (with the import)", cold, {}
    yield "first training step, filled cache (with the import)", warm, {}


def _inside(code):
    """Seconds that the code takes, by the clock of a process of its own."""
    timed = f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout)


def _process(code, **environment):
    """Seconds from the start of a process to its end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={**os.environ, **environment})
    return time.perf_counter() - start


def _line(row):
    case, seconds, ratios = row
    return f"{case:45s} {_time(seconds):>10s}  " + "  ".join(f"{lib} {ratio:5.2f}" for lib, ratio in ratios.items())


def _time(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _markdown(lines, machine_line, command):
    out = [
        f"Measured by `{command}` on {machine_line}.",
        "",
        "A ratio is the other library's time divided by minidl's: above 1, minidl is faster.",
    ]
    for group, rows in lines:
        libraries = [lib for lib in OTHERS if any(lib in ratios for _, _, ratios in rows)]
        out += ["", f"| {group} | minidl | " + " | ".join(libraries) + " |", "|---|---" + "|---" * len(libraries) + "|"]
        for case, seconds, ratios in rows:
            cells = [f"{ratios[lib]:.2f}" if lib in ratios else "" for lib in libraries]
            out.append(f"| {case} | {_time(seconds)} | " + " | ".join(cells) + " |")
        means = {lib: [ratios[lib] for _, _, ratios in rows if lib in ratios] for lib in libraries}
        if len(rows) > 2:
            cells = [f"**{math.exp(sum(map(math.log, values)) / len(values)):.2f}**" for values in means.values()]
            out.append("| **geometric mean** | | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def _picture(lines, path: Path):
    import matplotlib  # noqa: PLC0415  (only where a picture is wanted)

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = [(case, ratios) for _, group in lines for case, _, ratios in group if ratios]
    figure, axes = plt.subplots(figsize=(9, 0.22 * len(rows) + 1.5), layout="constrained")
    for lib, marker in zip(OTHERS, "o^s", strict=True):
        points = [(ratios[lib], -i) for i, (_, ratios) in enumerate(rows) if lib in ratios]
        if points:
            axes.plot(*zip(*points, strict=True), marker, label=lib, markersize=5)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", yticks=[-i for i in range(len(rows))], yticklabels=[case for case, _ in rows])
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("time of the other library / time of minidl (right of 1: minidl is faster)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
