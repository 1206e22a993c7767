"""What observers cost: operations while nobody watches, against another commit, and a training step that is profiled.

    python benchmarks/watching.py --against COMMIT

`apply` is called on operations that compute nothing, with and without recording, many times in short turns of both sides; the
least time of a side counts, since others use the machine, too. The old side is timed twice, as a control.
"""

import argparse
import subprocess
import sys

from harness import HERE, environment
from run import old_tree

WORKER = """
import sys, time
import minidl
from minidl.ops import Op
from minidl.tensors.record import apply

class Nothing(Op):
    warns = False
    def forward(self, x):
        return x

class Loud(Nothing):
    warns = True

def times(op, x, repeats=2000):
    begin = time.perf_counter_ns()
    for _ in range(repeats):
        apply(op, x)
    return (time.perf_counter_ns() - begin) / repeats

x, w = minidl.ones(1), minidl.ones(1, requires_grad=True)
print("ready", flush=True)
for _ in sys.stdin:
    found = []
    for op in (Nothing(), Loud()):
        found += [min(times(op, x) for _ in range(20)), min(times(op, w) for _ in range(20))]
        with minidl.no_grad():
            found.append(min(times(op, w) for _ in range(20)))
    print(*found, flush=True)
"""
CASES = [f"{case}{loud}" for loud in ("", ", errors silenced") for case in ("constants", "recorded", "under no_grad")]

STEP = """
import time
import minidl
from minidl import nn
from minidl.profiler import profile

model = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 10))
optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)
x, labels = minidl.rand(64, 64), minidl.randint(0, 10, (64,))

def step():
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), labels).backward()
    optimizer.step()

def least(seconds=0.3):
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        step()
        found.append(time.perf_counter() - begin)
    return 1e6 * min(found)

def profiled(**options):
    with profile(**options):
        step()
        return least()

step()
plain = min(least(), least())
print(f"a step, MLP 64-128-10, batch 64: {plain:.1f} µs")
with profile() as p:
    step()
count = len(p.events())
everything = {"record_shapes": True, "profile_memory": True, "with_stack": True}
for options in ({}, {"with_modules": False}, everything):
    time_of_step = profiled(**options)
    each = (time_of_step - plain) / count
    print(f"profiled, {options or 'defaults'}: {time_of_step:.1f} µs, {each:.2f} µs for each of {count} events")
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="the old side")
    parser.add_argument("--turns", type=int, default=30, help="(default: %(default)s)")
    options = parser.parse_args()
    if options.against:
        with old_tree(options.against) as tree:
            against(tree, options.turns)
    subprocess.run([sys.executable, "-c", STEP], check=True, env=environment(1))


def against(tree, turns):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    sides = {"old": tree, "new": HERE, "control": tree}
    workers = {
        name: subprocess.Popen([sys.executable, "-c", WORKER], env=environment(1, side), **pipes)
        for name, side in sides.items()
    }
    for worker in workers.values():
        worker.stdout.readline()
    least = {name: [float("inf")] * len(CASES) for name in sides}
    for _ in range(turns):
        for name, worker in workers.items():
            worker.stdin.write("go\n")
            worker.stdin.flush()
            found = map(float, worker.stdout.readline().split())
            least[name] = [min(pair) for pair in zip(least[name], found, strict=True)]
    for worker in workers.values():
        worker.communicate()
    print("nanoseconds of apply, while nobody watches; the difference to the old side")
    for case, old, new, control in zip(CASES, *least.values(), strict=True):
        print(f"{case:35s} old {old:6.1f}  new {new:6.1f} ({new - old:+.1f})  control {control:6.1f} ({control - old:+.1f})")


if __name__ == "__main__":
    main()
