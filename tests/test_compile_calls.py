"""minidl.compile: calls that are not like the others, at whichever number they come. Each was once wrong."""

import itertools

import pytest

import minidl
from minidl.nn import functional as F
from tests.test_compile import Twins, batches, mlp, numbers, sgd, training

CHANGED_AT = [1, 2, 3, 5, 7, 9]  # calls before: the first, a recording, the comparison, a replay, the next comparison, a replay


def plan_of(step):
    (plan,) = step._plans.values()
    return plan


# --- comparisons at calls 4, 8, 16


@pytest.mark.parametrize("at", CHANGED_AT)
def test_a_call_that_the_replay_leaves_to_python_may_be_the_compared_one(at):
    w = numbers(0, 5, 3)
    step = minidl.compile(lambda i: w[i] * 2, fullgraph=True)
    for n in range(12):
        i = minidl.tensor([0, -1, 2] if n == at else [0, 1, n % 5])
        assert (step(i) == w[i] * 2).all()
    assert plan_of(step).begun == 0


@pytest.mark.parametrize("at", [3, 7])
def test_after_an_error_in_a_compared_call_the_next_one_is_compared(at):
    runs = itertools.count()

    def ordinary(x, y):
        next(runs)
        return F.cross_entropy(x, y)

    step = minidl.compile(ordinary)
    for n in range(at + 2):
        x, y = batches(n)
        if n == at:
            with pytest.raises(IndexError):
                step(x[:, :3], y + 5)
        else:
            step(x[:, :3], y)
    assert next(runs) == at + 2 - (3 if at == 7 else 0)


@pytest.mark.parametrize("change", [{"momentum": 0.0}, {"lr": 0.01}, {"nesterov": True}])
def test_what_changes_before_the_comparison_is_recorded_again(change):
    def both():
        net = mlp()
        net.optimizer = sgd(net, momentum=0.9)
        return net, training(net, net.optimizer)

    twins = Twins(both)
    for i in range(9):
        if i == 3:
            for net in twins.each():
                net.optimizer.param_groups[0].update(change)
                net.eval()
        twins.call(*batches(i))
