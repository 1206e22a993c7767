"""minidl.compile: what programs of users have done that was refused without need, or was wrong."""

import warnings

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.capture.events import arrays_in
from minidl.double_backward.linear import Adjoint
from minidl.kernels.comparisons import HOLD
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
    assert any(plan.number > 8 for plan in twins.remembered._remembered.plans.values())


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


class Kept(nn.Module):
    """It keeps what it computes in attributes of its own, of a plain object, of a list in an attribute, and in a variable."""

    def __init__(self):
        super().__init__()
        self.net, self.notes, self.optimizer = mlp(), Notes(), None

    def forward(self, x):
        self.notes.inputs, hidden = x, self.net[0](x)
        self.weights = [hidden.softmax(1), None]
        self.notes.outputs = {"hidden": hidden, "of": [self.net(x)]}
        return self.notes.outputs["of"][0]


class Notes:
    inputs = None


def test_tensors_that_a_step_keeps_in_attributes_and_variables_are_those_of_the_last_call():
    last = None

    def make():
        net = Kept()
        optimizer = sgd(net)

        def step(x, y):
            nonlocal last
            optimizer.zero_grad()
            last = F.cross_entropy(net(x), y)
            last.backward()
            optimizer.step()
            return last

        return net, step

    twins = Twins(make)
    for i in range(20):
        data, kept = [x[: 4 if i % 4 == 3 else 6] for x in batches(i)], []
        for net, step in (twins.ordinary, (twins.other[0], twins.remembered)):
            step(*data)
            notes = net.notes
            kept.append([last, notes.inputs, net.weights[0], notes.outputs["hidden"], *notes.outputs["of"]])
            assert net.weights[1] is None
        twins.compare(*kept)
    # The step reads `notes.inputs` and others: where a batch of another size has left them, the call is made ordinarily.
    assert sorted(plan.number for plan in twins.remembered._remembered.plans.values()) == [3, 11]
    for i in range(40, 200):  # as often as there are epochs: the step stays remembered
        twins.remembered(*[x[: 4 if i % 4 == 3 else 6] for x in batches(i)])
    assert twins.remembered.refusal is None


def carried(net, optimizer):
    net.mean = minidl.zeros(())

    def step(x, y):
        net.mean = 0.9 * net.mean + 0.1 * net(x).mean().detach()
        return net.mean * 1

    return step


def hidden(net, optimizer):
    """The state is begun anew where the batch has another size."""
    h = None

    def step(x, y):
        nonlocal h
        h = minidl.zeros(len(x), 4) if h is None or len(h) != len(x) else h
        h = (x + h).tanh()
        return h.sum()

    return step


def counting(net, optimizer):
    net.notes = Notes()
    net.notes.number = 0

    def step(x, y):
        net.notes.number += 1
        return net(x).mean().detach()

    return step


def clipping(net, optimizer):
    def step(x, y):
        norm = minidl.sqrt((net[0].weight.detach() ** 2).sum())
        if norm > 0.001:
            return norm * 2
        return norm

    return step


def searching(net, optimizer):
    optimizer = optim.LBFGS(net.parameters(), lr=0.1, max_iter=2)

    def step(x, y):
        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            return loss

        return optimizer.step(closure).detach()

    return step


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (carried, r"carries a tensor of shape \(\), which Mul reads, from one call to the next: change one tensor in place"),
        (hidden, r"carries a tensor of shape \(6, 4\), which Add reads, from one call to the next"),
        (counting, "Notes.number, which the step reads, has changed: 3 is now 4. Change it outside of the step"),
        (clipping, "reads a value, and an `if` or `and` goes on by it: choose with where or clamp"),
        (searching, "LBFGS goes on by the values of the closure's losses"),
    ],
)
def test_the_warning_names_what_was_done_and_what_to_do_instead(make, why):
    net = mlp()
    step = minidl.compile(make(net, sgd(net)))
    with pytest.warns(UserWarning, match=why):
        for i in range(24):
            step(*(x[: 4 if i % 6 == 5 else 6] for x in batches(i)))


@pytest.mark.parametrize("normed", [nn.utils.spectral_norm, nn.utils.weight_norm])
def test_hooks_that_compute_a_weight_are_remembered(normed):
    def make():
        net = nn.Sequential(normed(nn.Linear(4, 8)), nn.ReLU(), normed(nn.Linear(8, 3)))
        optimizer = sgd(net)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    twins = remembered(make)
    assert (twins.ordinary[0][0].weight == twins.other[0][0].weight).all()


@pytest.mark.parametrize("average", [None, optim.swa_utils.get_ema_avg_fn(0.9)])
def test_a_model_is_averaged_within_the_step(average):
    def make():
        net = nn.ModuleList([mlp()])
        net.append(optim.swa_utils.AveragedModel(net[0], avg_fn=average))
        optimizer = sgd(net[0])

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(net[0](x), y)
            loss.backward()
            optimizer.step()
            net[1].update_parameters(net[0])
            return loss

        return net, step

    remembered(make)


RULES = {
    "RMSprop": {"weight_decay": 0.1},
    "RMSprop with a mean": {"centered": True, "momentum": 0.9, "eps_inside_sqrt": True},
    "Adagrad": {"initial_accumulator_value": 0.1},
    "Adagrad with lr_decay": {"lr_decay": 0.1, "maximize": True},
    "Adadelta": {"weight_decay": 0.1},
    "Adamax": {},
    "RAdam": {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.9, 0.8)},
    "Yogi": {},
    "Lion": {"weight_decay": 0.1},
    "Rprop": {},
}


@pytest.mark.parametrize("name", RULES)
def test_the_step_of_an_optimizer_is_a_call_of_its_kernel(name):
    def make():
        net = mlp()
        net.optimizer = getattr(optim, name.partition(" ")[0])(net.parameters(), **RULES[name])

        def step(x, y):
            for _ in range(2):  # the second step finds the first one counted
                net.optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                net.optimizer.step()
            return loss

        return net, step

    twins = Twins(make)
    for i in range(24):
        for net in twins.each():
            (group,) = net.optimizer.param_groups
            if i % 8 == 6:
                group.update({key: group[key] * 0.5 for key in ("lr", "weight_decay", "lr_decay") if key in group})
            if i == 14:
                net.optimizer.load_state_dict(net.optimizer.state_dict())
            if i == 20 and name == "Adagrad":
                group["lr_decay"] = 0.1
        twins.call(*batches(i))
        if i == 13:
            assert "and 0 calls of Python" in twins.remembered.explain()
    assert twins.remembered.explain().count("and 0 calls of Python") == 1


SHAPES = [((3, 1), (5,)), ((5,), (4, 3, 1)), ((), (3, 5)), ((1, 5), (3, 1)), ((4, 1, 5), (3, 1)), ((3, 5), (3, 5))]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("name", ["mul", "div", "sub", "add"])
def test_gradients_of_operands_that_are_repeated_are_sums_by_kernels(name, shapes):
    def make():
        net = nn.ParameterList([nn.Parameter(numbers(i, *shape) + 3) for i, shape in enumerate(shapes)])
        optimizer = sgd(net)

        def step(x, y):
            optimizer.zero_grad()
            loss = (getattr(net[0], name)(net[1] * 1) * x).sum()
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    twins = Twins(make)
    for i in range(7):
        twins.call(numbers(i, 2, 4, 3, 5), labels(i, 2))
    assert "and 0 calls of Python" in twins.remembered.explain()


def special(seed, *shape):
    """Numbers of which some are equal, NaN, infinite or -0."""
    x = (numbers(seed, *shape) * 3).round()
    x[0, 0], x[1, 1], x[2, 2] = float("nan"), -0.0, float("inf")
    return x


COMPARED = {
    "accuracy": lambda x, y: (x.argmax(1) == y).float().mean(),
    "count": lambda x, y: (x.argmax(dim=-1) == y).sum(),
    "accuracy of Dive into Deep Learning": lambda x, y: (x.argmax(axis=1).type(y.dtype) == y).type(y.dtype).sum(),
    "eq with a column": lambda x, y: x.argmin(1, keepdim=True).eq(y.view(-1, 1)).sum(),
    "greater": lambda x, y: ((x > 0).float(), (x >= x.detach().T[:3].sum(0)[:, None]).double(), (x > 0.5).long()),
    "less": lambda x, y: ((x < 1).long().sum(), (x <= -0.0).sum(), (x != x[:, :1]).sum(), (x == 1.0).float()),
    "integers": lambda x, y: ((y != 0).sum(), (y > 1).float(), y.float() * 2, y.double() * 2, y.sum(), (y[:, None] == y).sum()),
    "a view": lambda x, y: ((x.T < 1).float(), (x[:, ::2] == 0).sum(), (x[:2].argmax(1), y[1:].sum())),
    "a triangle": lambda x, y: x.masked_fill(minidl.ones(3, 3)[:, None] - 1 == 0, float("-inf")),
}


@pytest.mark.parametrize("name", COMPARED)
def test_what_accuracies_are_made_of_are_kernels(name):
    def make():
        net = mlp()
        return net, lambda x, y: COMPARED[name](x, y)

    twins = Twins(make)
    for i in range(9):
        twins.call(special(i, 6, 3), labels(i, 6))
    assert "and 0 calls of Python" in twins.remembered.explain(), twins.remembered.explain()


@pytest.mark.parametrize("leaf", [lambda x: x.clone().requires_grad_(), lambda x: minidl.zeros_like(x, requires_grad=True)])
def test_gradients_of_what_the_step_itself_makes(leaf):
    """As for adversarial examples."""

    def make():
        net = mlp(nn.Tanh)
        optimizer = sgd(net)

        def step(x, y):
            optimizer.zero_grad()
            change = leaf(x)
            F.cross_entropy(net(x + change), y).backward()
            hidden = net[0](x)
            hidden.retain_grad()
            loss = F.cross_entropy(net(x + 0.1 * change.grad), y) + hidden.square().mean()
            change.grad = None
            loss.backward()
            optimizer.step()
            return loss, hidden.grad * 1

        return net, step

    twins = remembered(make)
    assert max(plan.number for plan in twins.remembered._remembered.plans.values()) > 7


def require(net, optimizer):
    def step(x, y):
        x.requires_grad = True
        F.cross_entropy(net(x), y).backward()
        return (x + x.grad.sign()).detach()

    return step


def forget_late(net, optimizer):
    def step(x, y):
        F.cross_entropy(net(x), y).backward()
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (require, r"lets an input require a gradient: write x = x.clone\(\).requires_grad_\(\)"),
        (forget_late, r"adds to the gradients of the call before, .*: call zero_grad\(\) before the first backward\(\)"),
    ],
)
def test_the_warning_says_what_to_do_about_gradients(make, why):
    net = mlp()
    step = minidl.compile(make(net, sgd(net)))
    with pytest.warns(UserWarning, match=why):
        for i in range(24):
            step(*batches(i))


def physics(net, x, y):
    """u' = −u at the points x."""
    x = x[:, :1].clone().requires_grad_()
    u = net(x.expand(-1, 4) * 0.5).sum(1, keepdim=True)
    (slope,) = minidl.autograd.grad(u, x, minidl.ones_like(u), create_graph=True)
    (second,) = minidl.autograd.grad(slope.sum(), x, create_graph=True)
    return ((slope + u) ** 2).mean() + 0.1 * second.square().mean()


def penalty(net, x, y):
    """Of a Wasserstein GAN's critic: its slope shall have length 1."""
    x = (minidl.rand(len(x), 1) * x).requires_grad_(True)
    (slope,) = minidl.autograd.grad(net(x)[:, 0].sum(), x, create_graph=True)
    return ((slope.norm(2, dim=1) - 1) ** 2).mean()


def inner_loop(net, x, y):
    """MAML: what the weights give after two steps from them."""
    ws = list(net.parameters())

    def loss_of(w1, b1, w2, b2):
        return F.mse_loss(F.linear(F.relu(F.linear(x, w1, b1)), w2, b2), F.one_hot(y, 3).float())

    for _ in range(2):
        ws = [w - 0.1 * g for w, g in zip(ws, minidl.autograd.grad(loss_of(*ws), ws, create_graph=True), strict=True)]
    return loss_of(*ws)


def ranked(net, x, y):
    """The adjoint of taking rows by an index keeps the index, which is another one in each call."""
    x = x.clone().requires_grad_()
    u = net(x)[x.detach()[:, 0].argsort()[:3]]
    (slope,) = minidl.autograd.grad((u**3).sum(), x, create_graph=True)
    return slope.square().sum()


SECOND = [(nn.Tanh, physics), (lambda: nn.LeakyReLU(0.2), penalty), (nn.ReLU, inner_loop), (nn.ELU, penalty), (nn.Tanh, ranked)]


@pytest.mark.parametrize(("activation", "loss_of"), SECOND)
def test_gradients_of_gradients(activation, loss_of):
    def make():
        net = mlp(activation)
        optimizer = optim.Adam(net.parameters())

        def step(x, y):
            loss = loss_of(net, x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    twins = remembered(make, 20)
    assert max(plan.number for plan in twins.remembered._remembered.plans.values()) == 15


def test_what_an_adjoint_keeps_is_found():
    """It lives as long as the adjoint may read it."""
    x = minidl.ones(4, requires_grad=True)
    kept = Adjoint(x[minidl.tensor([0, 2])].node)
    (index,) = arrays_in([vars(kept)["op"]])
    assert index.tolist() == [0, 2]


def test_a_gradient_that_keeps_its_graph_is_refused():
    net = mlp(nn.Tanh)

    def ordinary(x, y):
        net.zero_grad()
        loss = (net(x) ** 2).sum()
        loss.backward(create_graph=True)
        return loss.detach()

    step = minidl.compile(ordinary, fullgraph=True)
    with pytest.raises(RuntimeError, match="still wants a gradient"):
        for i in range(4):
            step(*batches(i))


def trained(compute, data):
    """Compares a step that trains the input, once a parameter: all of compute's result and of the gradient."""

    def make():
        net = nn.ParameterList([nn.Parameter(minidl.zeros(4, 3, 5))])
        optimizer = sgd(net)

        def step(x):
            optimizer.zero_grad()
            with minidl.no_grad():
                net[0].copy_(x)
            y = compute(net[0])
            (y * minidl.arange(y.numel()).view(y.shape).float()).sum().backward()
            return y, net[0].grad * 1

        return net, step

    twins = Twins(make)
    for i in range(12):
        twins.call(data(i))
    return twins.remembered.explain()


def with_zeros(i):
    x = (numbers(i, 4, 3, 5) * 2).round() / 2
    x[0, 0, 0], x[1, 1, 1], x[2, 2] = float("nan"), float("inf"), 0.0
    if i in (2, 5, 9):
        x[3, 0, 0] = -0.0
    return x


BOUNDS = [(0, None), (None, 0.5), (-1, 1.0), (-0.0, 1), (0.1, float("inf")), (0.5, -0.5), (None, -0.0)]


@pytest.mark.parametrize("bounds", BOUNDS)
def test_clamp_is_a_kernel_and_numpy_chooses_between_0_and_minus_0(bounds):
    assert "and 0 calls of Python" in trained(lambda x: x.clamp(*bounds), with_zeros)
    assert "and 0 calls of Python" in trained(lambda x: (x * 1).clamp_(*bounds).transpose(0, 1), with_zeros)


def test_clamp_stops_where_a_zero_has_another_sign_than_the_bound():
    x, z, alarm = np.array([1, -0.0, 0.0], np.float32).reshape(1, 1, 1, 3), np.empty((1, 1, 1, 3), np.float32), np.empty(1)
    for low, high, expected in (
        (0.0, 1.0, 0),
        (-0.0, 1.0, 0),
        (0.5, 1.0, -1),
        (-1.0, 0.0, 0),
        (-1.0, -0.0, 0),
        (-1.0, 1.0, -1),
    ):
        HOLD[z.dtype](x, low, high, z, alarm)
        assert alarm[0] == expected


NORMS = {
    "all": lambda x: x.norm().view(1),
    "rows": lambda x: x.norm(dim=-1),
    "columns": lambda x: x.norm(dim=0, keepdim=True),
    "two axes": lambda x: minidl.linalg.norm(x, dim=(0, 2)),
    "normalize": lambda x: F.normalize(x, dim=1),
    "in place, all": lambda x: x / x.norm().clamp_(min=20.0),
    "distance": lambda x: F.pairwise_distance(x[0], x[1]),
}


@pytest.mark.parametrize("name", NORMS)
def test_euclidean_norms_are_kernels(name):
    told = trained(NORMS[name], lambda i: with_zeros(i).nan_to_num(1, 1))
    assert "and 0 calls of Python" in told, told
    trained(lambda x: NORMS[name](x.transpose(1, 2)), with_zeros)


@pytest.mark.parametrize("begin", [optim.SGD, optim.Adam, optim.RMSprop])
def test_gradients_that_lie_in_another_order_than_their_parameters(begin):
    """As where weights are transposed by hand."""

    def make():
        net = nn.ParameterList([nn.Parameter(numbers(1, 8, 4)), nn.Parameter(numbers(2, 3, 8))])
        optimizer = begin(net.parameters(), lr=0.01)

        def step(x, y):
            hidden = ((x @ net[0].T).tanh() + (x * 2) @ net[0].T).relu()
            loss = F.cross_entropy(hidden @ net[1].t() + hidden.tanh() @ net[1].T, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    assert "and 0 calls of Python" in remembered(make).remembered.explain()


TAKEN = {
    "rows": lambda w, i: w[i],
    "rows, twice": lambda w, i: w[minidl.stack([i, i])],
    "elements": lambda w, i: w[minidl.arange(len(i)), i],
    "a list": lambda w, i: w[range(len(i)), i],
    "elements of a table": lambda w, i: w[i[:, None], i],
    "gather": lambda w, i: w.gather(1, i[:, None]),
    "gather rows": lambda w, i: w.gather(0, minidl.stack([i, i])),
    "a relative position": lambda w, i: (w * 2).view(3, -1)[i % 3].sum(0),
}


@pytest.mark.parametrize("name", TAKEN)
def test_elements_are_taken_by_kernels(name):
    def make():
        net = nn.ParameterList([nn.Parameter(numbers(1, 6, 6))])
        optimizer = sgd(net)

        def step(i):
            y = TAKEN[name](net[0], i)
            optimizer.zero_grad()
            (y * minidl.arange(y.numel()).view(y.shape).float()).sum().backward()
            optimizer.step()
            return y * 1

        return net, step

    twins = Twins(make)
    for n in range(9):
        twins.call(minidl.tensor([n % 6, 3, 3, 0, n % 5]))
    (plan,) = twins.remembered._remembered.plans.values()
    python = [row for row in plan.program.rows if row[2] == "Python" and row[1] != "Remainder"]
    assert not [row for row in python if "Index" in row[1] or "Gather" in row[1]]
    for n in (2, 5, 6, 7, 8, 9, 10):  # as an error raised after a step would be
        wrong = minidl.tensor([1, 2, -1 if n % 2 else 9, 0, 3])
        results = []
        for step in (twins.ordinary[1], twins.remembered):
            try:
                results.append(step(wrong))
            except (IndexError, RuntimeError) as error:
                results.append(str(error))
        if isinstance(results[0], str) or isinstance(results[1], str):
            assert results[0] == results[1]
            results = [[], []]
        twins.compare(*results)
        twins.call(minidl.tensor([n % 6, 3, 3, 0, n % 5]))
