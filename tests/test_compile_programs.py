"""minidl.compile: what programs of users have done that was refused without need, or was wrong."""

import warnings

import pytest

import minidl
from minidl import nn, optim
from minidl.nn import functional as F
from tests.test_compile import Twins, batches, labels, mlp, numbers, sgd


def remembered(make, calls=10, data=batches):
    """Compares a step and the remembered step, which must not be refused; the last of four batches is smaller."""
    twins = Twins(make)
    for i in range(calls):
        twins.call(*(x[: 4 if i % 4 == 3 else 6] for x in data(i)))
    return twins


def of_results(results):
    """make() of a step that gives results(loss, y_hat, y) after backward()."""

    def make():
        net = mlp()
        optimizer = sgd(net)

        def step(x, y):
            optimizer.zero_grad()
            y_hat = net(x)
            loss = F.cross_entropy(y_hat, y, reduction="none")
            loss.mean().backward()
            optimizer.step()
            return results(loss, y_hat, y)

        return net, step

    return make


@pytest.mark.parametrize(
    "results",
    [
        lambda loss, y_hat, y: loss.sum(),  # as Dive into Deep Learning has it
        lambda loss, y_hat, y: loss.mean() * len(y),
        lambda loss, y_hat, y: {"loss": loss.mean(), "p": y_hat.softmax(1)[:, 0]},
        lambda loss, y_hat, y: (minidl.stack([loss.sum(), y_hat.sum()]).mean(), y_hat.unbind(1)[0]),
    ],
)
def test_what_is_computed_from_a_loss_after_backward_has_no_gradient_any_more(results):
    remembered(of_results(results))


@pytest.mark.parametrize("results", [lambda net, loss: loss + net[0].bias.sum(), lambda net, loss: (loss, net[0].weight * 2)])
def test_a_result_that_still_leads_to_a_parameter_is_refused(results):
    net = mlp()

    def ordinary(x, y):
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return results(net, loss)

    step = minidl.compile(ordinary, fullgraph=True)
    with pytest.raises(RuntimeError, match="still wants a gradient"):
        for i in range(4):
            step(*batches(i))


def test_a_hidden_state_that_is_given_back_and_passed_to_the_next_call():
    def make():
        net = nn.ModuleList([nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 3)])
        optimizer = sgd(net)

        def step(x, y, state):
            state = None if state is None else tuple(s.detach() for s in state)
            h, state = net[0](x, state)
            loss = F.cross_entropy(net[1](h[:, -1]), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss, state

        return net, step

    twins, state = Twins(make), None
    for i in range(24):
        _, state = twins.call(numbers(i, 6, 5, 4), labels(i, 6), None if i % 8 == 0 else state)
    assert any(plan.number > 8 for plan in twins.remembered._plans.values())


def test_an_argument_with_a_graph_is_named_if_it_is_another_one_in_each_call():
    net, step = mlp(), minidl.compile(lambda x: (x * 2).sum().detach())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for i in range(12):
            step(net(batches(i)[0]))
    assert [str(x.message).partition("ordinary: ")[2] for x in told] == [
        "an argument has a graph, and is another tensor in each call: pass x.detach()"
    ]


IN_PLACE = {  # each keeps its input for backward; the last two stay Python
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2, inplace=True),
    "elu": lambda x: F.elu(x, inplace=True),
    "mul": lambda x: x.mul_(x),
    "hardswish": lambda x: F.hardswish(x, inplace=True),
    "cumprod": lambda x: x.cumprod_(1),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_an_operation_in_place_keeps_of_its_input_is_copied_in_each_call(name):
    def make():
        net = mlp(nn.Identity)
        optimizer = optim.Adam(net.parameters())

        def step(x, y):
            loss = F.cross_entropy(net[2](IN_PLACE[name](net[0](x))), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    remembered(make)
