"""Checkpoints: a training that was stopped at any place and resumed ends in the same bits as one that was not."""

import copy
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.optim import lr_scheduler
from minidl.utils.checkpoint import ResumableLoader, load_checkpoint, random_state, save_checkpoint, set_random_state
from minidl.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SubsetRandomSampler, TensorDataset

N = 20


class Noisy(Dataset):
    """Samples that are changed at random when they are loaded, by all three sources of random numbers."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        noise = minidl.rand(3) + float(np.random.rand()) + random.random()
        return noise + i, minidl.tensor(float(i))


LOADERS = {
    "plain": lambda: DataLoader(Noisy(), 3),
    "shuffled": lambda: DataLoader(Noisy(), 3, shuffle=True),
    "generator": lambda: DataLoader(Noisy(), 3, shuffle=True, generator=minidl.Generator().manual_seed(3)),
    "sampler": lambda: DataLoader(Noisy(), 4, sampler=SubsetRandomSampler(range(0, N, 2))),
    "replacement": lambda: DataLoader(Noisy(), 8, sampler=RandomSampler(range(N), True, 40, minidl.Generator().manual_seed(5))),
    "batch sampler": lambda: DataLoader(
        Noisy(), batch_sampler=BatchSampler(RandomSampler(range(N), generator=minidl.Generator().manual_seed(7)), 4, True)
    ),
    "workers": lambda: DataLoader(Noisy(), 3, shuffle=True, num_workers=1),
}


class Run:
    """A training with everything in it that has a state: dropout, batch norm, momentum, a schedule, a random order."""

    def __init__(self, make, seed=0):
        minidl.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        self.model = nn.Sequential(nn.LazyLinear(4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Tanh(), nn.Linear(4, 1))
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.scheduler = lr_scheduler.MultiStepLR(self.optimizer, [1, 2], gamma=0.5)
        self.loader = ResumableLoader(make())
        self.epoch, self.steps, self.losses = 0, 0, []

    def parts(self):
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler, "loader": self.loader}

    def go(self, until=None, path=None, epochs=3):
        """Trains to the end, or saves and leaves after so many steps."""
        for epoch in range(self.epoch, epochs):
            for x, y in self.loader:
                self.optimizer.zero_grad()
                loss = ((self.model(x)[:, 0] - y) ** 2).mean()
                loss.backward()
                self.optimizer.step()
                self.losses.append(loss.item())
                self.steps += 1
                if self.steps == until:
                    save_checkpoint(path, epoch=epoch, steps=self.steps, **self.parts())
                    return self
            self.scheduler.step()
        return self

    def resume(self, path):
        values = load_checkpoint(path, **self.parts())
        self.epoch, self.steps = values["epoch"], values["steps"]
        return self

    def state(self):
        return {**{k: v.clone() for k, v in self.model.state_dict().items()}, "draw": minidl.rand(3), "numpy": np.random.rand()}


def same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert np.array_equal(np.asarray(one[key]), np.asarray(other[key])), key


@pytest.mark.parametrize("kind", LOADERS)
def test_resumed_in_the_middle_of_an_epoch_ends_in_the_same_bits(kind, tmp_path):
    make = LOADERS[kind]
    whole = Run(make).go()
    expected, per_epoch = whole.state(), len(make())
    for until in (1, per_epoch, per_epoch + 2, 3 * per_epoch):  # the first step, the last of an epoch, the middle, the last
        Run(make).go(until, tmp_path / "run.npz")
        minidl.rand(5)
        resumed = Run(make, seed=9).resume(tmp_path / "run.npz").go()
        same(resumed.state(), expected)
        assert resumed.losses == whole.losses[until:]


def test_random_states_of_all_three_are_kept():
    state = random_state()
    draw = lambda: (minidl.rand(2).tolist(), np.random.rand(), random.random())  # noqa: E731
    first = draw()
    set_random_state(state)
    assert draw() == first


def unchanged(run, before, draws):
    same(run.model.state_dict(), before[0])
    assert str(run.optimizer.state_dict()) == str(before[1])
    assert str(run.scheduler.state_dict()) == str(before[2])
    assert minidl.get_rng_state().equal(draws)


@pytest.mark.parametrize(
    "damage", ["cut", "byte", "other width", "other optimizer", "other loader", "random state", "no checkpoint", "fewer parts"]
)
def test_what_does_not_fit_changes_nothing(damage, tmp_path):
    path = tmp_path / "run.npz"
    make = LOADERS["shuffled"]
    others = Run(make).go(9, path).parts()
    run = Run(make, seed=1).go(2, tmp_path / "other.npz")
    parts = run.parts()
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-200])
    elif damage == "byte":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "other width":
        other = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.3), nn.Tanh(), nn.Linear(5, 1))
        save_checkpoint(path, epoch=0, steps=1, **{**others, "model": other})
    elif damage == "other optimizer":
        save_checkpoint(path, epoch=0, steps=1, **{**others, "optimizer": optim.SGD([minidl.ones(1, requires_grad=True)], 0.1)})
    elif damage == "other loader":
        save_checkpoint(path, epoch=0, steps=1, **{**others, "loader": ResumableLoader(LOADERS["generator"]())})
    elif damage == "random state":
        state = minidl.load(path)
        state["random"]["python"] = (3, (1, 2), None)
        minidl.save(state, path)
    elif damage == "no checkpoint":
        minidl.save(run.model.state_dict(), path)
    else:
        parts = {"model": run.model}
    before = copy.deepcopy([run.model.state_dict(), run.optimizer.state_dict(), run.scheduler.state_dict()])
    draws = minidl.get_rng_state()
    with pytest.raises(ValueError, match=r"run\.npz"):
        load_checkpoint(path, **parts)
    unchanged(run, before, draws)


def test_a_lazy_model_has_no_shape_again_when_the_optimizer_does_not_fit(tmp_path):
    path = tmp_path / "run.npz"
    run = Run(LOADERS["plain"]).go(1, path)
    save_checkpoint(path, model=run.model, optimizer=optim.SGD([minidl.ones(1, requires_grad=True)], 0.1))
    lazy = Run(LOADERS["plain"])
    with pytest.raises(ValueError, match=r"does not fit, optimizer: .*sizes"):
        load_checkpoint(path, model=lazy.model, optimizer=lazy.optimizer)
    assert lazy.model[0].has_uninitialized_params()
    assert lazy.model(minidl.ones(2, 7)).shape == (2, 1)


def test_errors_of_checkpoints(tmp_path):
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="nothing to save"):
        save_checkpoint(tmp_path / "x")
    with pytest.raises(ValueError, match="give it one batch"):
        save_checkpoint(tmp_path / "x", model=nn.LazyLinear(2))
    save_checkpoint(tmp_path / "x", model=model, epoch=1)
    with pytest.raises(TypeError, match="epoch has no load_state_dict"):
        load_checkpoint(tmp_path / "x", model=model, epoch=1)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "y", model=model)
    with pytest.raises(TypeError, match="got an iterator"):
        ResumableLoader(iter([1]))
    with pytest.raises(TypeError, match="iterable of batches"):
        ResumableLoader(3)
    shorter = ResumableLoader([1, 2])
    shorter.load_state_dict({"count": 3, "start": (random_state(), []), "generators": []})
    with pytest.raises(ValueError, match="3 batches into an epoch"):
        list(shorter)


KILLED = """
import sys
import minidl
from pathlib import Path
from minidl import nn, optim
from minidl.utils.checkpoint import ResumableLoader, load_checkpoint, save_checkpoint
from minidl.utils.data import DataLoader, TensorDataset

path = Path(sys.argv[1])
minidl.manual_seed(0)
x = minidl.randn(40, 3)
model = nn.Linear(3, 1)
loader = ResumableLoader(DataLoader(TensorDataset(x), 4, True))
parts = dict(model=model, optimizer=optim.Adam(model.parameters()), loader=loader)
first = load_checkpoint(path, **parts)["epoch"] if path.exists() else 0
for epoch in range(first, 8):
    for (x,) in loader:
        parts["optimizer"].zero_grad()
        (model(x) ** 2).mean().backward()
        parts["optimizer"].step()
        save_checkpoint(path, epoch=epoch, **parts)
        print("saved", flush=True)
print(model.weight.tolist(), model.bias.tolist(), minidl.rand(2).tolist())
"""


def test_killed_at_any_moment_it_goes_on_from_the_last_checkpoint(tmp_path):
    def run(path, kill_after=None):
        command = [sys.executable, "-c", KILLED, str(tmp_path / path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            if kill_after is None:
                return process.communicate(timeout=120)[0].splitlines()[-1]
            for _ in range(kill_after):
                assert process.stdout.readline() == "saved\n"
            time.sleep(0.003)
            process.send_signal(signal.SIGKILL)

    expected = run("whole.npz")
    for _ in range(2):
        run("killed.npz", kill_after=13)
    assert run("killed.npz") == expected


def test_a_resumable_loader_is_its_loader():
    loader = ResumableLoader(DataLoader(TensorDataset(minidl.arange(6)), 4))
    assert len(loader) == 2 and loader.batch_size == 4 and len(loader.dataset) == 6
    copied = copy.deepcopy(loader)
    assert [x.tolist() for (x,) in copied] == [[0, 1, 2, 3], [4, 5]]
