"""Row B1, what test_book does not have: freezing, and tied, lazy and custom layers that go through a checkpoint."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.utils.callbacks import Checkpoint
from minidl.utils.checkpoint import load_checkpoint, save_checkpoint
from minidl.utils.data import DataLoader, TensorDataset
from minidl.utils.train import Trainer

X = minidl.arange(32.0).reshape(8, 4) / 32
DATA = DataLoader(TensorDataset(X, X.sum(1, keepdim=True)), 4, shuffle=True)


class Scaled(nn.Module):
    """A custom layer with a parameter, a buffer and a constant."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(minidl.ones(4))
        self.register_buffer("calls", minidl.zeros(()))

    def forward(self, x):
        if self.training:
            self.calls += 1
        return x * self.scale


def trained(net, epochs=2, resume=None, parameters=None, **options):
    optimizer = optim.SGD(net.parameters() if parameters is None else parameters, lr=0.1, momentum=0.9)
    Trainer(epochs, loss=nn.MSELoss(), optimizer=optimizer, progress=False, **options).fit(net, DATA, resume=resume)
    return net


def values(net):
    return {name: x.numpy().copy() for name, x in net.state_dict().items()}


def test_frozen_layers_stay_and_the_others_learn():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
    net[0].requires_grad_(False)
    before = values(net)
    trained(net, parameters=[p for p in net.parameters() if p.requires_grad])
    changed = {name: not np.array_equal(x, before[name]) for name, x in values(net).items()}
    assert [name for name, it in changed.items() if not it] == ["0.weight", "0.bias"]
    assert net[0].weight.grad is None
    net[0].requires_grad_(True)
    trained(net)
    assert not np.array_equal(net[0].weight, before["0.weight"])


def test_an_optimizer_of_all_parameters_leaves_frozen_ones():
    net = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 1))
    before = values(net)
    trained(net)
    assert np.array_equal(net[0].weight, before["0.weight"]) and not np.array_equal(net[1].weight, before["1.weight"])


def shared():
    tied = nn.LazyLinear(4)
    return nn.Sequential(tied, nn.Tanh(), Scaled(), tied, nn.LazyLinear(1))


def test_tied_lazy_and_custom_layers_go_on_from_a_checkpoint(tmp_path):
    minidl.manual_seed(0)
    whole = trained(shared(), 4)
    minidl.manual_seed(0)
    trained(shared(), 2, callbacks=[Checkpoint(tmp_path / "run.npz")])
    minidl.manual_seed(5)
    resumed = shared()
    assert isinstance(resumed[0].weight, nn.UninitializedParameter)
    trained(resumed, 4, resume=tmp_path / "run.npz")
    assert resumed[0] is resumed[3] and len(list(resumed.parameters())) == 5
    assert resumed[2].calls.item() == 8
    for name, x in values(whole).items():
        assert np.array_equal(x, values(resumed)[name]), name


def test_a_tied_weight_in_a_decoder_is_one_parameter_after_loading(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x):
            return self.head(self.embedding(x))

    one, other = Tied(), Tied()
    save_checkpoint(tmp_path / "x", model=one)
    load_checkpoint(tmp_path / "x", model=other)
    assert other.head.weight is other.embedding.weight and other.head.weight.equal(one.head.weight)
    other(minidl.tensor([1])).sum().backward()
    alone = nn.functional.one_hot(minidl.tensor(1), 5).float()[:, None] * one.head.weight.detach().sum(0)
    assert minidl.allclose(other.head.weight.grad, alone + one.embedding.weight.detach()[1])


def test_the_example_keeps_its_promise(tmp_path):
    pytest.importorskip("sklearn")
    program = Path(__file__).parent.parent / "examples" / "builders_guide.py"
    command = [sys.executable, str(program), "--quick", "--out", str(tmp_path)]
    here = {**os.environ, "PYTHONPATH": str(program.parent.parent)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=here)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count(": as expected") == 5 and (tmp_path / "builders_guide.png").exists()
