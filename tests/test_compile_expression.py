"""minidl.compile: the expression of a small step's guards. Each change that the guards find makes it false."""

import pytest

import minidl
from minidl import nn, optim
from minidl.capture import expression
from minidl.kernels import threads
from tests.test_compile import numbers

FACTOR = 2.0


class Step:
    """A remembered step that is replayed the short way, and what it takes from around it."""

    def __init__(self, inputs=4, outputs=3, grads="forgotten"):
        self.net = net = nn.Linear(inputs, outputs)
        self.optimizer = optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        shift = 1.0

        def change(value):
            nonlocal shift
            shift = value

        def forget():
            nonlocal shift
            del shift

        def step(x, y):
            if grads == "forgotten":
                optimizer.zero_grad()
            if grads == "given":
                optimizer.step()
                return net(x).sum().detach()
            loss = nn.functional.mse_loss(net(x) * FACTOR + shift, y)
            loss.backward()
            optimizer.step()
            return loss

        self.change, self.forget, self.function, self.step = change, forget, step, minidl.compile(step, fullgraph=True)
        self.x, self.y = numbers(0, 5, inputs), numbers(1, 5, outputs)
        if grads == "given":
            for p in net.parameters():
                p.grad = minidl.ones(p.shape)
        for _ in range(6):
            if grads == "none":
                net.zero_grad()
            self.step(self.x, self.y)
        if grads == "none":
            net.zero_grad()
        self.guards = self.step._remembered.last.guards

    @property
    def group(self):
        return self.optimizer.param_groups[0]

    @property
    def state(self):
        return self.optimizer.state[self.net.weight]


def changed(name, *steps):
    """A row of the table: a change, and of which step (the options of Step)."""

    def row(change):
        for i, options in enumerate(steps or ({},)):
            CHANGES[f"{name}{i or ''}"] = change, options
        return change

    return row


CHANGES = {}
changed("memory")(lambda s, m: setattr(s.net.weight, "data", s.net.weight.data.clone()))
changed("requires_grad")(lambda s, m: s.net.bias.requires_grad_(False))
changed("attribute")(lambda s, m: setattr(s.net, "more", 1))
changed("hook")(lambda s, m: s.net.weight.register_hook(lambda grad: grad * 2))
changed("mode")(lambda s, m: m.setattr("minidl.graph.modes.mode.recording", False))
changed("dtype")(lambda s, m: m.setattr("minidl.tensors.dtypes.default", minidl.float64))
changed("threads")(lambda s, m: m.setattr(threads, "_number", 7))
changed("fork")(lambda s, m: m.setattr(threads, "_forked", True))
changed("no gradient", {"grads": "added to"}, {"grads": "given"})(lambda s, m: setattr(s.net.weight, "grad", None))
changed("a gradient", {"grads": "none"})(lambda s, m: setattr(s.net.weight, "grad", minidl.ones(3, 4)))
changed("another gradient", {"grads": "given"})(lambda s, m: setattr(s.net.weight, "grad", minidl.ones(3, 4)))
changed("attribute of the optimizer")(lambda s, m: setattr(s.optimizer, "more", 1))
changed("state")(lambda s, m: setattr(s.optimizer, "state", s.optimizer.state.copy()))
changed("groups")(lambda s, m: setattr(s.optimizer, "param_groups", list(s.optimizer.param_groups)))
changed("one more group")(lambda s, m: s.optimizer.add_param_group({"params": [nn.Parameter(minidl.ones(2))]}))
changed("group")(lambda s, m: s.optimizer.param_groups.__setitem__(0, dict(s.group)))
changed("parameters")(lambda s, m: s.group.update(params=list(s.group["params"])))
changed("parameter")(lambda s, m: s.group["params"].__setitem__(0, nn.Parameter(s.net.weight.data.clone())))
changed("parameter of one number", {"inputs": 1, "outputs": 1})(CHANGES["parameter"][0])
changed("no parameter")(lambda s, m: s.group["params"].__setitem__(0, object()))
changed("fewer parameters")(lambda s, m: s.group["params"].pop())
changed("state of a parameter")(lambda s, m: s.optimizer.state.update({s.net.weight: dict(s.state)}))
changed("buffer")(lambda s, m: s.state.update(momentum_buffer=s.state["momentum_buffer"].clone()))
changed("memory of a buffer")(lambda s, m: setattr(s.state["momentum_buffer"], "data", minidl.ones(3, 4)))
changed("variable")(lambda s, m: s.change(3.0))
changed("no variable")(lambda s, m: s.forget())
changed("code")(lambda s, m: setattr(s.function, "__code__", s.function.__code__.replace(co_name="other")))
changed("global")(lambda s, m: m.setitem(globals(), "FACTOR", 3.0))


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_makes_it_false(name, monkeypatch):
    change, options = CHANGES[name]
    step = Step(**options)
    assert step.guards.holds() is True and step.guards.broken() is None
    with monkeypatch.context() as patched:
        change(step, patched)
        assert step.guards.holds() is False and step.guards.broken() is not None


def test_the_same_values_leave_it_true(monkeypatch):
    step = Step()
    step.change(float("1.0"))
    monkeypatch.setitem(globals(), "FACTOR", float("2.0"))
    step.group["lr"] = 0.2
    assert step.guards.holds() is True
    step.step(step.x, step.y)
    assert step.step._remembered.last is not None


def test_after_a_look_at_the_modules_it_is_true_again():
    step, other = Step(), nn.Linear(1, 1)
    other.more = 1  # of a module that the step does not use
    assert step.guards.holds() is False
    step.step(step.x, step.y)
    assert step.guards.holds() is True


def test_where_it_would_be_long_there_is_none():
    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(expression.MOST // 2)])
    step = minidl.compile(lambda x: net(x), fullgraph=True)
    for _ in range(6):
        with minidl.no_grad():
            step(minidl.ones(1, 2))
    assert step._remembered.last.guards.holds is None


class Holder:
    """What a step may read, and leave something in."""

    def __init__(self):
        self.net, self.rates, self.log, self.kept = nn.Linear(4, 3), [1.0, 2.0], {}, None

    def containers(self, x):
        return self.net(x) * sum(self.rates)

    def settled(self, x):
        self.kept = 3
        return self.net(x)

    def forms(self, x):
        known = self.kept is not None
        self.kept = y = self.net(x)
        return y + known

    def kept_items(self, x):
        self.log["y"] = y = self.net(x)
        return y


@pytest.mark.parametrize("name", ["containers", "settled", "forms", "kept_items"])
def test_where_more_is_to_be_looked_at_there_is_none(name):
    step = minidl.compile(getattr(Holder(), name), fullgraph=True)
    with minidl.no_grad():
        for i in range(10):
            step(numbers(i, 5, 4))
    guards = next(iter(step._remembered.plans.values())).guards
    assert getattr(guards, name.removesuffix("_items")) and guards.holds is None


def test_a_tensor_that_is_given_twice_is_not_taken_for_two():
    step = minidl.compile(lambda x, y: x * 3 if x is y else x + y, fullgraph=True)
    a, b = numbers(0, 4), numbers(1, 4)
    for _ in range(6):
        assert step(a, b).equal(a + b)
    for _ in range(7):
        assert step(a, a).equal(a * 3) and step(a, b).equal(a + b)
