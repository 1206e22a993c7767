"""What training in several processes costs: python benchmarks/distributed.py [--out folder]. It starts mpiexec itself.

1. Images a second: LeNet, 256 images a rank, one thread a rank: one rank alone, two ranks together, and two processes that
   know nothing of each other, in turns within one run, so that a machine that is busy is busy for all of them.
2. all_reduce over sizes: latency and bandwidth, with 2, 4 and 8 ranks. More ranks than cores take turns on them.
3. Overlap: the time that a step waits, with buckets sent while backward runs, and with one message after it.
4. A model on paper of both (docs/distributed.md), fitted to 2 ranks, checked against more, and drawn out to 1,000.
"""

import argparse
import functools
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import minidl
from minidl import distributed as dist, models, nn
from minidl.nn.parallel import DistributedDataParallel

BATCH = 256
LATENCY, BANDWIDTH = 20e-6, 1.25e9  # between the machines of a plain cluster with 10 Gbit/s
SPEED = 50e9  # operations a second of one rank
SIZES = [1, 256, 4096, 65536, 2**20, 2**22]  # float32 numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for distributed.json")
    parser.add_argument("--rounds", type=int, default=15, help="how often each case is measured (default: %(default)s)")
    parser.add_argument("--mpiexec", help="what starts the ranks, with its options, in place of mpiexec")
    parser.add_argument("--part", choices=["images", "messages", "overlap"], help=argparse.SUPPRESS)  # what a rank is to do
    options = parser.parse_args()
    if options.part:
        dist.init_process_group()
        found = {"images": images, "messages": messages, "overlap": overlap}[options.part](options.rounds)
        if dist.get_rank() == 0:
            print("found " + json.dumps(found), flush=True)
        dist.destroy_process_group()
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    start = functools.partial(started, options.mpiexec, options.rounds)
    results = {"cores": cores, "images": start(2, "images"), "overlap": start(2, "overlap")}
    results["messages"] = {str(n): start(n, "messages") for n in (2, 4, 8)}
    report(results)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "distributed.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def started(mpiexec, rounds, n, part):
    """What the ranks have found, started by `mpiexec`, by default that beside this Python."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    words = shlex.split(mpiexec) if mpiexec else [shutil.which("mpiexec", path=beside)]
    if not dist.is_available() or words[0] is None:
        sys.exit("needs mpi4py and mpiexec: pip install 'minidl[distributed]'")
    command = [*words, "-n", str(n), sys.executable, __file__, "--part", part, "--rounds", str(rounds)]
    done = subprocess.run(
        command, env={**os.environ, "MINIDL_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    return json.loads(done.stdout.partition("found ")[2])


# --- what the ranks do


def step(model, optimizer, x, y):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()


def seconds_for(work, times):
    """Seconds for each call, from the moment when all ranks begin to that when the last has ended."""
    dist.barrier()
    start = time.perf_counter()
    for _ in range(times):
        work()
    dist.barrier()
    return (time.perf_counter() - start) / times


def images(rounds):
    """Images a second of each way, by rounds."""
    group = dist.new_group([0])
    x, y = minidl.randn(BATCH, 1, 28, 28), minidl.randint(0, 10, (BATCH,))
    plain, wrapped = models.LeNet(), models.LeNet()
    for net in (plain, wrapped):
        net(x)
        net.apply(models.init_cnn)
    ddp = DistributedDataParallel(wrapped)
    ways = {}
    for name, model in (("independent", plain), ("together", ddp)):
        optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)
        ways[name] = lambda model=model, optimizer=optimizer: step(model, optimizer, x, y)
    rank = dist.get_rank(group)
    ways["alone"] = lambda: ways["independent"]() if rank == 0 else None
    found = {name: [] for name in ways}
    for i in range(4 * rounds + 1):
        for name in ways if i % 2 else reversed(ways):
            seconds = seconds_for(ways[name], 2)
            if i:  # the first round compiles
                found[name].append(BATCH * (1 if name == "alone" else 2) / seconds)
    return found


def messages(rounds):
    """Seconds of one all_reduce, for each size the least of the rounds: other programs can only make it slower."""
    found = {size: [] for size in SIZES}
    for i in range(3 * rounds + 1):
        for size in SIZES:
            x = np.ones(size, np.float32)
            work = dist.group.WORLD
            times = 20 if size <= 65536 else 2
            seconds = seconds_for(lambda x=x, work=work: work.all_reduce(x, "max").wait(), times)
            if i:
                found[size].append(seconds)
    return {size: min(times) for size, times in found.items()}


def overlap(rounds):
    """Seconds of a step and, of these, of waiting, with buckets sent during backward and with one message after it."""
    width, layers, batch = 512, 12, 256
    x, y = minidl.randn(batch, width), minidl.randint(0, width, (batch,))
    ways = {}
    for name, cap in (("during backward", 1.0), ("after backward", 1000.0), ("no messages", None)):
        net = nn.Sequential(*(layer for _ in range(layers) for layer in (nn.Linear(width, width), nn.ReLU())))
        model = net if cap is None else DistributedDataParallel(net, bucket_cap_mb=cap)
        optimizer = minidl.optim.SGD(model.parameters(), lr=0.01)
        ways[name] = lambda model=model, optimizer=optimizer: step(model, optimizer, x, y)
    size = sum(p.numel() for p in net.parameters()) * 4
    found = {name: {"step": [], "waiting": []} for name in ways}
    for i in range(rounds + 1):
        for name in ways if i % 2 else reversed(ways):
            dist.barrier()
            before, start = dist.seconds_waited(), time.perf_counter()
            for _ in range(3):
                ways[name]()
            seconds, waited = (time.perf_counter() - start) / 3, (dist.seconds_waited() - before) / 3
            if i:
                found[name]["step"].append(seconds)
                found[name]["waiting"].append(waited)
    return {"bytes": size, **{name: {k: statistics.median(v) for k, v in way.items()} for name, way in found.items()}}


# --- the model on paper


def ring(n, size, latency, bandwidth):
    """Seconds of an all-reduce of `size` bytes in a ring: 2(n − 1) messages of size/n bytes one after another."""
    return 2 * (n - 1) * (latency + size / n / bandwidth) if n > 1 else 0.0


def doubling(n, size, latency, bandwidth):
    """The same by recursive doubling, which is faster for short messages: log₂ n messages of the whole."""
    return np.ceil(np.log2(n)) * (latency + size / bandwidth)


def all_reduce(n, size, latency, bandwidth, cores=None):
    """The faster of the two; ranks that take turns on fewer cores take n/cores times as long."""
    turns = max(1.0, n / cores) if cores else 1.0
    return turns * min(ring(n, size, latency, bandwidth), doubling(n, size, latency, bandwidth))


def efficiency(n, parameters, samples, share=2 / 3):
    """Computing over computing and waiting, of a step of dense layers: 6 operations for each parameter and sample.

    Messages are sent while backward runs, which is `share` of the computing.
    """
    compute = 6 * parameters * samples / SPEED
    return compute / (compute + max(0.0, all_reduce(n, 4 * parameters, LATENCY, BANDWIDTH) - share * compute))


def least(n, samples):
    """The least number of parameters from which on less than a tenth of a step is waiting, as a text; or "never"."""
    found = None
    for parameters in np.logspace(11, 2, 181):
        if efficiency(n, parameters, samples) < 0.9:
            break
        found = parameters
    return "never" if found is None else f"{found:,.0f}" if found < 1e4 else f"{found / 1e6:.3g} M"


def fitted(times):
    """Latency and bandwidth of two ranks: their shortest message, and the longest."""
    times = {int(size): seconds for size, seconds in times.items()}
    small, large = min(times), max(times)
    latency = times[small]
    return latency, 4 * large / (times[large] - latency)


def report(results):
    rates = {name: (statistics.median(values), float(np.quantile(values, 0.9))) for name, values in results["images"].items()}
    print(f"LeNet, {BATCH} images a rank, 1 thread a rank, {results['cores']} cores; images a second, median and best tenth:")
    print("".join(f"  {name:<12}{middle:>9,.0f}{best:>9,.0f}\n" for name, (middle, best) in rates.items()), end="")
    middle, best = (rates["together"][i] / rates["independent"][i] for i in range(2))
    print(f"  two ranks together / two independent processes: {middle:.3f} and {best:.3f}")

    found = dict(results["overlap"])
    print(f"\na step of {found.pop('bytes') / 2**20:.1f} MB of gradients, milliseconds:")
    for name, way in found.items():
        print(f"  {name:<16} {1e3 * way['step']:7.1f}, of which waiting {1e3 * way['waiting']:6.2f}")

    latency, bandwidth = fitted(results["messages"]["2"])
    print(f"\nall_reduce; 2 ranks: latency {1e6 * latency:.1f} µs, bandwidth {bandwidth / 1e9:.2f} GB/s; in brackets the model")
    print("  bytes      " + "".join(f"{n:>8} ranks          " for n in results["messages"]))
    for size in SIZES:
        cells = []
        for n, times in results["messages"].items():
            seconds = {int(key): value for key, value in times.items()}[size]
            cells.append(
                f"{1e6 * seconds:>10.1f} ({1e6 * all_reduce(int(n), 4 * size, latency, bandwidth, results['cores']):>9.1f})"
            )
        print(f"  {4 * size:<10,}" + " ".join(cells) + " µs")

    print(f"\non paper: {LATENCY * 1e6:.0f} µs and {BANDWIDTH / 1e9} GB/s between machines, {SPEED / 1e9:.0f} GFLOP/s a rank;")
    print("computing / (computing and waiting) of dense layers, float32, by parameters and samples a rank:")
    ranks = 2, 10, 100, 1000
    print("  parameters  samples" + "".join(f"{n:>8}" for n in ranks) + " ranks")
    for parameters in (1e4, 1e6, 1e8):
        for samples in (32, 128, 512):
            row = "".join(f"{efficiency(n, parameters, samples):>8.0%}" for n in ranks)
            print(f"  {parameters:<10,.0f}{samples:>9}{row}")
    print("  least parameters for 90 %, by samples a rank:")
    for samples in (32, 64, 128, 512, 2048):
        row = "".join(f"{least(n, samples):>10}" for n in ranks)
        print(f"  {samples:>19}{row}")


if __name__ == "__main__":
    main()
