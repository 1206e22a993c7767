"""Two processes train one network, and get the network that one process trains.

    mpiexec -n 2 python examples/digits_distributed.py

starts this program twice (without mpiexec it starts itself so). Each process has the whole network and reads a half of each
batch; `DistributedDataParallel` averages the gradients while backward runs, and `SyncBatchNorm` takes the mean and variance of
both halves. First rank 0 trains alone with the whole batches, then all ranks train together, from the same weights.

Targets: at least 97 % of the held-out digits right in both cases; the losses of the first ten steps agree to 1e-4, and the
ranks' weights to the last bit. How much time is gained depends on how many cores are free, and is no target: the picture
shows accuracy against time, and what part of a step is computing, and what part is waiting for others.

It needs mpi4py and MPICH: pip install 'minidl[distributed]'. Without them it says so, and does nothing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import minidl
import minidl.nn.functional as F
from minidl import distributed as dist, nn, viz
from minidl.nn.parallel import DistributedDataParallel
from minidl.utils.data import DataLoader, DistributedSampler, digits

TARGET = 0.97
BATCH = 64  # of all ranks together
COLOURS = "C1", "C0"
STARTED_BY = "PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"  # what mpiexec and srun tell a process


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8, help="passes over the training digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the initial weights and the order of the digits")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch, and no target to meet: shows that it runs")
    options = parser.parse_args()
    epochs = 1 if options.quick else options.epochs
    if epochs < 1 or options.out.is_file():
        parser.error("expected 1 epoch or more, and --out to name a folder")
    if not any(name in os.environ for name in STARTED_BY):
        start_two()
        return
    dist.init_process_group()
    train, test = digits(train=True, size=28), digits(train=False, size=28)
    runs = {}
    sizes = sorted({1, dist.get_world_size()})
    hidden = dist.get_rank() > 0 or "TQDM_DISABLE" in os.environ  # one progress bar, that of rank 0
    with tqdm(total=epochs * len(sizes), desc="epochs", disable=hidden) as bar:
        for size in sizes:
            group = dist.new_group(range(size))
            if dist.get_rank(group) >= 0:
                runs[size] = fit(group, train, test, epochs, options.seed, bar)
            dist.barrier()
    if dist.get_rank() == 0:
        report(runs, options)
    dist.destroy_process_group()


def start_two():
    """Starts this program under mpiexec; where that is not installed, says what to do."""
    beside = Path(sys.executable).parent
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(beside), os.environ.get("PATH", "")]))
    if not dist.is_available() or mpiexec is None:
        print("skipped: it needs mpi4py and mpiexec; pip install 'minidl[distributed]'")
        return
    command = [mpiexec, "-n", "2", sys.executable, *sys.argv]
    environment = {"MINIDL_NUM_THREADS": "1", **os.environ}  # two processes share the cores
    if not sys.stderr.isatty():  # the ranks cannot tell: mpiexec stands between
        environment["TQDM_DISABLE"] = "1"
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def network():
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5, padding=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 5 * 5, 10)),
    )


def fit(group, train, test, epochs, seed, bar):
    """Trains on the ranks of the group. Returns times and accuracies after each epoch, losses, and seconds a step by kind."""
    rank, size = dist.get_rank(group), dist.get_world_size(group)
    minidl.manual_seed(seed)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(network(), group)
    ddp = DistributedDataParallel(model, process_group=group)
    optimizer = minidl.optim.SGD(ddp.parameters(), lr=0.05, momentum=0.9)
    schedule = minidl.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    sampler = DistributedSampler(train, size, rank, seed=seed, drop_last=True)
    loader = DataLoader(train, batch_size=BATCH // size, sampler=sampler, drop_last=True)
    minidl.warmup(model.eval(), train[: BATCH // size][0])
    accuracy(model, test)
    ddp.train()
    dist.barrier(group)
    times, accuracies, losses, seconds, waited = [0.0], [accuracy(model, test)], [], 0.0, 0.0
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        begun, before = time.perf_counter(), dist.seconds_waited()
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(ddp(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        schedule.step()
        seconds += time.perf_counter() - begun
        waited += dist.seconds_waited() - before
        times.append(seconds)
        accuracies.append(accuracy(model, test))  # every rank for itself: of ddp.module, without messages
        if rank == 0:
            bar.update()
    losses = minidl.stack(losses)
    dist.all_reduce(losses, dist.ReduceOp.AVG, group)
    return {
        "times": times,
        "accuracies": accuracies,
        "losses": losses.numpy(),
        "computing": (seconds - waited) / len(losses),
        "waiting": waited / len(losses),
        "alike": alike(model, group),
    }


def accuracy(model, data):
    was_training = model.training
    model.eval()
    with minidl.no_grad():
        x, y = data[:]
        right = (model(x).argmax(1) == y).float().mean().item()
    model.train(was_training)
    return right


def alike(model, group):
    """Whether all ranks have the same weights, to the last bit."""
    weights = minidl.cat([p.detach().reshape(-1) for p in model.parameters()])
    least, most = weights.clone(), weights.clone()
    dist.all_reduce(least, dist.ReduceOp.MIN, group)
    dist.all_reduce(most, dist.ReduceOp.MAX, group)
    return least.equal(most)


def report(runs, options):
    options.out.mkdir(parents=True, exist_ok=True)
    last = max(runs)
    apart = float(np.abs(runs[1]["losses"][:10] - runs[last]["losses"][:10]).max())
    for size, run in runs.items():
        print(
            f"{size} rank{'s' if size > 1 else ''}: {run['times'][-1]:.2f} s, accuracy {run['accuracies'][-1]:.2%}; a step "
            f"computes {1e3 * run['computing']:.2f} ms and waits {1e3 * run['waiting']:.2f} ms"
        )
    path = options.out / "digits_distributed.png"
    draw(runs, path)
    found = ", ".join(f"{run['accuracies'][-1]:.1%} with {size}" for size, run in runs.items())
    print(f"accuracy {found}; losses of the first ten steps differ by {apart:.0e} at most")
    viz.report(picture=path, seed=options.seed, text=__doc__)
    print(f"picture: {path}")
    if not all(run["alike"] for run in runs.values()):
        sys.exit("the ranks have different weights")
    if apart > 1e-4:
        sys.exit(f"the losses of 1 and {last} ranks differ by {apart}, expected at most 1e-4")
    if not options.quick and min(run["accuracies"][-1] for run in runs.values()) < TARGET:
        sys.exit(f"expected at least {TARGET:.0%} right")


def draw(runs, path):
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=[3, 2], layout="constrained")
    labels = [f"{size} rank{'s' if size > 1 else ''}" for size in runs]
    for (_, run), label, colour in zip(runs.items(), labels, COLOURS, strict=False):
        left.plot(run["times"], np.multiply(run["accuracies"], 100), "o-", color=colour, label=label)
    left.axhline(100 * TARGET, color="black", linestyle="--", label=f"target: {TARGET:.0%}")
    left.set(xlabel="seconds of training", ylabel="held-out digits right, %", ylim=(0, 103), xlim=(0, None))
    left.set_title("The same network, in less time where cores are free", fontsize=11)
    left.legend(loc="lower right")
    computing = [1e3 * run["computing"] for run in runs.values()]
    waiting = [1e3 * run["waiting"] for run in runs.values()]
    right.bar(labels, computing, color=COLOURS[: len(runs)], width=0.5)
    right.bar(labels, waiting, bottom=computing, color="white", edgecolor="C3", hatch="///", width=0.5)
    for i, (c, w) in enumerate(zip(computing, waiting, strict=True)):
        right.text(i, c / 2, f"computing\n{c:.1f} ms", ha="center", va="center", color="white")
        if w > 0.05:
            right.text(i, 1.02 * (c + w), f"waiting {w:.1f} ms", ha="center", va="bottom", color="C3")
    right.set(ylabel="milliseconds", ylim=(0, 1.15 * max(np.add(computing, waiting))))
    right.set_title(f"A step with {BATCH} digits, {os.cpu_count()} cores", fontsize=11)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
