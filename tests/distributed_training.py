"""python distributed_training.py folder steps [how step]: trains, writes a checkpoint after each step, goes on from the last.

With `how`, rank 1 ends in the middle of the backward of that step: "kill" by SIGKILL, "raise" by an error, "wait" not at all,
but it sleeps until it is interrupted. Rank 0 writes the parameters at the end to the folder. Dropout draws other numbers on
each rank.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import minidl
from minidl import distributed as dist, nn
from minidl.utils.checkpoint import load_checkpoint, save_checkpoint

BATCH = 12  # of all ranks together


def random_states():
    """The random states of all ranks, to be written by one of them."""
    own = minidl.get_rng_state()
    states = [minidl.zeros_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(states, own)
    return states


def train(folder, steps, how, when):
    rank, size = dist.get_rank(), dist.get_world_size()
    path, dropout = folder / "checkpoint.npz", float(os.environ.get("DROPOUT", "0"))
    minidl.manual_seed(rank)
    net = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3)).double()
    ddp = nn.parallel.DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(net))
    optimizer = minidl.optim.SGD(ddp.parameters(), lr=0.1, momentum=0.9)
    first = 0
    if path.exists():
        state = load_checkpoint(path, model=ddp, optimizer=optimizer)
        first = state["step"]
        if len(state["states"]) == size:  # with another number of ranks, the numbers are others, too
            minidl.set_rng_state(state["states"][rank])
        else:
            minidl.manual_seed(1000 * first + rank)
    for step in range(first, steps):
        rng = np.random.default_rng(step)
        x, y = rng.normal(size=(BATCH, 5)), rng.integers(0, 3, BATCH)
        part = slice(rank * BATCH // size, (rank + 1) * BATCH // size)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(ddp(minidl.tensor(x[part])), minidl.tensor(y[part]))
        if step == when and rank == 1:
            net[0].weight.register_hook(lambda dy: end(how))
        loss.backward()
        optimizer.step()
        states = random_states()
        if rank == 0:
            save_checkpoint(path, model=ddp, optimizer=optimizer, step=step + 1, states=states)
        dist.barrier()
    if rank == 0:
        minidl.save(ddp.state_dict(), folder / "final.npz")
        print(f"trained steps {first} to {steps} on {size} ranks", flush=True)


def end(how):
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raise":
        raise ArithmeticError("rank 1 cannot go on")
    print("waiting", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    dist.init_process_group()
    how, when = sys.argv[3:] or ("", "-1")
    train(Path(sys.argv[1]), int(sys.argv[2]), how, int(when))
    dist.destroy_process_group()
