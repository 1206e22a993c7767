"""What ladder_matmul.py, ladder_conv2d.py and ladder_softmax.py share: they measure functions, and draw speed beside code."""

import argparse
import inspect
import statistics
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from tqdm import tqdm

import minidl
from minidl import viz
from minidl.kernels.tile import VECTOR_BYTES

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ACCUMULATORS = 12  # sums that do not wait for one another: a multiply-add takes 4 cycles, and two can begin in each


@dataclass
class Step:
    """One step of the ladder: what it is called, what it adds to the step before, and the function that does the work."""

    name: str
    why: str
    run: Any
    code: Any = None  # the function whose source is shown, if it is another one; or a text
    threads: int = 1

    def source(self):
        if isinstance(self.code, str):
            return self.code
        function = self.code or self.run
        function = getattr(function, "py_func", function)
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
        return "\n".join(line for line in lines if not line.startswith("@"))


def options(description, **sizes):
    """The command line of a ladder: sizes of the problem, --seconds, --seed, --out, --quick."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, (size, what) in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size, help=f"{what} (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each step (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="small, one run of each, no speed to reach: shows that it runs")
    given = parser.parse_args()
    if any(getattr(given, name) < 1 for name in sizes) or not given.seconds >= 0 or given.out.is_file():
        parser.error("expected sizes of 1 or more, seconds of 0 or more, and --out to name a folder")
    given.out.mkdir(parents=True, exist_ok=True)
    return given


def measure(steps, right, seconds):
    """The median time of each step. They run in turns, so that a slow moment of the machine meets all of them.

    Each result is compared with `right` first: a fast wrong kernel is none.
    """
    for step in tqdm(steps, desc="compiling", unit="step", disable=None):
        minidl.set_num_threads(step.threads)
        error = np.abs(step.run() - right).max() / np.abs(right).max()
        if not error < 1e-4:
            sys.exit(f"{step.name}: expected the same numbers as in float64, the largest error is {error:.1g}")
    times = [[] for _ in steps]
    with tqdm(total=100, desc="measuring", unit="%", disable=None) as bar:
        end = seconds * len(steps)
        begin = time.perf_counter()
        while not times[0] or time.perf_counter() - begin < end:
            for step, own in zip(steps, times, strict=True):
                minidl.set_num_threads(step.threads)
                start = time.perf_counter()
                step.run()
                own.append(time.perf_counter() - start)
            bar.update(min(100, int(100 * (time.perf_counter() - begin) / max(end, 1e-9))) - bar.n)
    return [statistics.median(own) for own in times]


@intrinsic
def _multiply_adds(typing, x, rounds):
    """Multiply-adds on vectors that never leave their registers: nothing that a processor does with floats is faster."""

    def codegen(context, builder, sig, args):
        vector = ir.VectorType(ir.FloatType(), VECTOR_BYTES // 4)
        name = f"llvm.fmuladd.v{vector.count}f32"
        function = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), args[0], ir.IntType(32)(0))
        factor = builder.shuffle_vector(
            first, first, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
        )
        before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(loop)
        builder.position_at_end(loop)
        i = builder.phi(args[1].type)
        i.add_incoming(args[1].type(0), before)
        sums = [builder.phi(vector) for _ in range(ACCUMULATORS)]
        for number, accumulator in enumerate(sums):
            accumulator.add_incoming(ir.Constant(vector, [float(number)] * vector.count), before)
            accumulator.add_incoming(builder.call(function, [accumulator, factor, factor]), loop)
        following = builder.add(i, args[1].type(1))
        i.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, args[1]), loop, after)
        builder.position_at_end(after)
        total = sums[0]
        for accumulator in sums[1:]:
            total = builder.fadd(total, accumulator)
        return builder.extract_element(total, ir.IntType(32)(0))

    return types.float32(types.float32, types.int64), codegen


@numba.njit
def multiply_adds(x, rounds):
    return _multiply_adds(x, rounds)  # pyright: ignore[reportCallIssue]


def limit(seconds):
    """Floating-point operations in a second of one core at most, two for each multiply-add."""
    rounds, best = 1_000_000, float("inf")
    multiply_adds(np.float32(0.5), rounds)
    end = time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        multiply_adds(np.float32(0.5), rounds)
        best = min(best, time.perf_counter() - start)
    return rounds * ACCUMULATORS * (VECTOR_BYTES // 4) * 2 / best


def rounded(speed):
    return f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}"


def picture(title, steps, speeds, unit, lines, path):
    """The code of each step, its bar beside it; `lines` are limits: (name, speed, style)."""
    heights = [max(4, len(step.source().splitlines()) + 3) for step in steps]
    figure, axes = plt.subplots(
        len(steps),
        2,
        figsize=(14, sum(heights) * 0.145 + 1.2),
        width_ratios=(1.2, 1),
        height_ratios=heights,
        layout="constrained",
    )
    most = max([*speeds, *(speed for _, speed, _ in lines)])
    for (text, chart), step, speed, height in zip(axes, steps, speeds, heights, strict=True):
        text.axis("off")
        text.text(0, 1, f"{step.name}: {step.why}", weight="bold", size=9, va="top", transform=text.transAxes)
        code = step.source()
        text.text(0, 1 - 1.6 / height, code, family="monospace", size=7, va="top", transform=text.transAxes, linespacing=1.15)
        chart.barh([-2], [speed], color="C0" if "minidl" in step.name else "C1", height=2)
        chart.text(speed + most * 0.01, -2, f"{rounded(speed)} {unit}", va="center", size=10, backgroundcolor="white")
        for name, value, style in lines:
            chart.axvline(value, color="black", linestyle=style, linewidth=1, label=f"{name}: {rounded(value)} {unit}")
        chart.set(xlim=(0, most * 1.16), ylim=(-height, 0), yticks=[])
        chart.tick_params(labelbottom=chart is axes[-1][1], bottom=chart is axes[-1][1])
        chart.spines[["top", "right", "bottom"]].set_visible(False)
    axes[-1][1].set_xlabel(f"{unit}; longer is faster")
    axes[0][1].legend(loc="lower right", bbox_to_anchor=(1, 1.0), ncols=2, fontsize=9, frameon=False)
    figure.suptitle(title, x=0.01, ha="left", size=13)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    viz.report(picture=path, text=title)
    print(f"picture: {path}")


def report(steps, speeds, unit):
    for step, speed in zip(steps, speeds, strict=True):
        print(f"{step.name:34s} {rounded(speed):>8s} {unit}   {speed / speeds[0]:6.1f} times the first")
