"""What a remembered step does without Python, and how it goes on where a kernel's alarm stops it: the same bits."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.nn import functional as F
from tests.test_compile import Twins, batches, labels, numbers, sgd, training

STEPS = 14


def python_of(twins):
    """What stays Python, {name: why}."""
    rows = [row for plan in twins.remembered._remembered.plans.values() for row in plan.program.rows]
    return {name: why for _, name, how, why in rows if how == "Python"}


def trained(make_net, loss=F.cross_entropy, inputs=batches, steps=STEPS, options=None):
    """A training step twice, over all calls; gives what stayed Python."""

    def make():
        net = make_net()
        return net, training(net, sgd(net, **(options or {})), loss)

    twins = Twins(make)
    for i in range(steps):
        twins.call(*inputs(i))
    return python_of(twins)


# --- dropout


@pytest.mark.parametrize("shape", [(6, 8), (1,), (5, 3, 70)])
def test_dropout(shape):
    """Masks are drawn by a kernel; the stream stands after each call where it stands after the ordinary step."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(minidl.ones(*shape))

        def forward(self, x):
            return (F.dropout(F.dropout(self.w * x, 0.3), 0.9) * self.w).sum()

    def inputs(i):
        return numbers(i, *shape), minidl.tensor(0.0)

    assert trained(Net, lambda y, t: y - t, inputs) == {}


def test_dropout_between_other_draws():
    """Other draws of odd lengths in the step, and of the caller's between the calls, share the stream with the masks."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

        def forward(self, x):
            x = self.first(x + minidl.rand(4))
            return self.last(F.dropout(x, 0.5)) + minidl.rand(3)

    def make():
        net = Net()
        return net, training(net, sgd(net))

    twins = Twins(make)
    for i in range(STEPS):
        twins.call(*batches(i))
        for k in range(2):
            minidl.set_rng_state(twins.streams[k])
            minidl.rand(i % 3)
            twins.streams[k] = minidl.get_rng_state()
    assert not python_of(twins)


def test_no_thread_draws_within_a_table():
    """The lock of the stream is held while a table draws from it."""
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
    step = minidl.compile(training(net, sgd(net)), fullgraph=True)
    for i in range(6):
        step(*batches(i))
    (plan,) = step._remembered.plans.values()
    (table,) = plan.program.tables
    run, held = table.run, []

    def watched(first=0):
        held.append(minidl.default_generator._lock.locked())
        return run(first)

    table.run = watched
    step(*batches(7))
    assert held == [True]
    assert not minidl.default_generator._lock.locked()


# --- attention


class Attention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options, self.map = options, nn.Linear(4, 12)

    def forward(self, x):
        return F.scaled_dot_product_attention(*self.map(x).chunk(3, -1), **self.options)


def sequences(i):
    return numbers(i, 2, 3, 5, 4), numbers(i + 100, 2, 3, 5, 4)


MASKS = {
    "causal": {"is_causal": True},
    "mask": {"attn_mask": minidl.ones(5, 5).tril().bool()},
    "mask of each": {"attn_mask": numbers(3, 2, 1, 5, 5) > 0},
    "bias": {"attn_mask": numbers(4, 5, 5)},
}


@pytest.mark.parametrize("name", MASKS)
def test_attention(name):
    assert trained(lambda: Attention(**MASKS[name]), F.mse_loss, sequences) == {}


@pytest.mark.parametrize("name", ["causal", "mask"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_attention_of_what_is_not_finite_goes_on_by_python(name, value):
    """The alarm stops the table, Python makes the operation again, and the table goes on behind it."""

    def make():
        net = Attention(**MASKS[name])
        return net, training(net, sgd(net, lr=0.0), F.mse_loss)

    twins = Twins(make)
    for i in range(STEPS):
        x, y = sequences(i)
        if i in (5, 6, 9):
            x.array[0, 0, 4 if i == 5 else 1] = value
        loss = twins.call(x, y)
        assert np.isnan(loss.array) == (i in (5, 6, 9))
        for p in net_of(twins):  # so that the next call begins with finite parameters
            p.array[...] = np.nan_to_num(p.array, nan=0.5, posinf=0.5, neginf=0.5)
    assert python_of(twins) == {}


def net_of(twins):
    return [p for net in twins.each() for p in net.parameters()]


def test_a_small_gpt():
    def make():
        net = minidl.models.GPT(11, 6, width=8, heads=2, layers=2, dropout=0.0)
        optimizer = optim.AdamW(net.parameters(), lr=1e-3)
        return net, training(net, optimizer, lambda y, t: F.cross_entropy(y.reshape(-1, 11), t.reshape(-1)))

    twins = Twins(make)
    for i in range(STEPS):
        twins.call(labels(i, 3, 6, classes=11), labels(i + 50, 3, 6, classes=11))
    assert python_of(twins) == {}
