"""minidl.compile: a replay as one function. Where the guards find a change, or an argument is another one, it is ordinary."""

import threading

import pytest

import minidl
from minidl import nn, optim
from minidl.capture import replay
from minidl.capture.plans import ORDINARY
from minidl.kernels import threads
from tests.test_compile import Twins, numbers

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
        self.me, self.plan = self.step._remembered, self.step._remembered.last
        self.guards, self.plan.number = self.plan.guards, 100

    def replay(self, *args):
        """The result of a replay, or ORDINARY."""
        return self.plan.replay(self.me, self.plan, args or (self.x, self.y))

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
def test_what_changes_makes_it_ordinary(name, monkeypatch):
    change, options = CHANGES[name]
    step = Step(**options)
    assert step.guards.broken() is None and replay.conditions_of(step.guards, replay.Values()) is not None
    with monkeypatch.context() as patched:
        change(step, patched)
        assert step.replay() is ORDINARY and step.guards.broken() is not None and step.plan.number == 100
    step = Step(**options)
    assert step.replay() is not ORDINARY and step.plan.number == 101


def test_the_same_values_leave_it_as_it_is(monkeypatch):
    step = Step()
    step.change(float("1.0"))
    monkeypatch.setitem(globals(), "FACTOR", float("2.0"))
    step.group["lr"] = 0.2
    assert step.replay() is not ORDINARY


def test_after_a_look_at_the_modules_it_goes_on():
    step, other = Step(), nn.Linear(1, 1)
    other.more = 1  # of a module that the step does not use
    assert step.replay() is ORDINARY
    step.step(step.x, step.y)
    assert step.replay() is not ORDINARY


ARGUMENTS = {
    "one more": lambda x, y: (x, y, x),
    "one less": lambda x, y: (x,),
    "none": lambda x, y: (),
    "an array": lambda x, y: (x.array, y),
    "a parameter": lambda x, y: (nn.Parameter(x), y),
    "a tensor that requires grad": lambda x, y: (x, y.clone().requires_grad_()),
    "another shape": lambda x, y: (x[:4], y),
    "another shape of the last": lambda x, y: (x, y[:4]),
    "one row for all": lambda x, y: (x, y[:1]),
    "another dtype": lambda x, y: (x.double(), y),
    "another dtype of the last": lambda x, y: (x, y.double()),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_other_arguments_make_it_ordinary(name):
    step = Step()
    before = step.net.weight.clone()
    args = ARGUMENTS[name](step.x, step.y)
    assert step.plan.replay(step.me, step.plan, args) is ORDINARY
    assert step.net.weight.equal(before) and step.plan.number == 100


@pytest.mark.parametrize("count", [2, 3])
def test_a_tensor_that_is_given_twice_makes_it_ordinary(count):
    step = minidl.compile(lambda *tensors: sum(tensors), fullgraph=True)
    tensors = [numbers(i, 4) for i in range(count)]
    for _ in range(6):
        step(*tensors)
    me, plan = step._remembered, step._remembered.last
    assert plan.replay(me, plan, (*tensors[1:], tensors[-1])) is ORDINARY
    assert plan.replay(me, plan, tuple(tensors)).equal(sum(tensors))


def test_a_tensor_that_was_given_twice_is_given_twice_again():
    step = minidl.compile(lambda x, y, z: x * 3 + y if x is z else x + y + z, fullgraph=True)
    a, b, c = (numbers(i, 4) for i in range(3))
    for _ in range(6):
        step(a, b, a)
    me, plan = step._remembered, step._remembered.last
    assert plan.replay(me, plan, (b, c, b)).equal(b * 3 + c)
    for others in ((a, b, c), (a, b, b), (a, a, a), (a, a, b), (a, b, a.clone())):
        assert plan.replay(me, plan, others) is ORDINARY
    assert step(a, b, c).equal(a + b + c) and step(a, b, a).equal(a * 3 + b)


def test_when_another_is_replayed_or_it_is_called_within_itself_it_is_ordinary():
    step = Step()
    step.me.busy = True
    assert step.replay() is ORDINARY
    step.me.busy, step.me.last = False, None
    assert step.replay() is ORDINARY
    step.me.last, program, step.plan.program = step.plan, step.plan.program, None
    assert step.replay() is ORDINARY
    step.plan.program = program
    assert step.replay() is not ORDINARY


def test_calls_that_are_compared_are_ordinary():
    step = Step()
    for number, ordinary in ((14, False), (15, True), (16, False), (31, True), (127, True)):
        step.plan.number = number
        assert (step.replay() is ORDINARY) is ordinary
        assert step.plan.number == number + 1 - ordinary


def test_an_input_that_shares_memory_with_what_the_step_changes_makes_it_ordinary():
    kept = minidl.zeros(4)

    @minidl.compile(fullgraph=True)
    def step(x):
        kept.add_(1.0)
        return x * 2

    for i in range(6):
        step(numbers(i, 4))
    me, plan = step._remembered, step._remembered.last
    assert plan.replay(me, plan, (kept[:],)) is ORDINARY and kept.equal(minidl.full((4,), 6.0))
    assert plan.replay(me, plan, (kept.clone(),)).equal(minidl.full((4,), 12.0))
    assert step(kept[:]).equal(minidl.full((4,), 16.0))


def test_where_an_index_has_become_negative_it_is_ordinary_and_does_not_count():
    step = minidl.compile(lambda x, i: x[i] * 2, fullgraph=True)
    x, i = numbers(0, 5, 4), minidl.tensor([1, 3, 0])
    for _ in range(9):
        step(x, i)
    me, plan = step._remembered, step._remembered.last
    assert plan.replay(me, plan, (x, i - 4)) is ORDINARY and plan.number == 9
    assert step(x, i - 4).equal(x[i - 4] * 2) and plan.replay(me, plan, (x, i)).equal(x[i] * 2)


def test_where_an_optimizer_calls_other_kernels_now_it_is_ordinary_and_does_not_count():
    twins, optimizers = optimized(optim.SGD, lr=0.1)
    me, plan = twins.remembered._remembered, twins.remembered._remembered.last
    for optimizer in optimizers:
        optimizer.param_groups[1]["momentum"] = 0.9
    x, y = numbers(0, 5, 4), numbers(1, 5, 2)
    assert plan.replay(me, plan, (x, y)) is ORDINARY and plan.number == 17
    for _ in range(6):
        twins.call(x, y)
    assert me.last is plan and plan.number == 7


def optimized(kind, **options):
    """Twins of a step with two groups of parameters, in the middle of short replays: (twins, their optimizers)."""

    def make():
        minidl.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        optimizer = kind([{"params": net[0].parameters()}, {"params": net[2].parameters()}], **options)

        def step(x, y):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        step.optimizer = optimizer
        return net, step

    twins = Twins(make)
    for i in range(17):
        twins.call(numbers(i, 5, 4), numbers(90 - i, 5, 2))
    return twins, [step.optimizer for _, step in (twins.ordinary, twins.other)]


def reordered(group):
    """The group's options in another order, with the values of two of them exchanged."""
    a, b = group.pop("lr"), group.pop("weight_decay")
    group["weight_decay"], group["lr"] = a, b


OPTIONS = {
    "lr": (optim.SGD, lambda group: group.update(lr=group["lr"] * 0.7)),
    "minus": (optim.SGD, lambda group: group.update(weight_decay=-0.0, lr=0.0)),
    "maximize": (optim.SGD, lambda group: group.update(maximize=not group["maximize"])),
    "one more": (optim.SGD, lambda group: group.update(initial_lr=group["lr"], lr=group["lr"] * 0.7)),
    "order": (optim.SGD, reordered),
    "tensor": (optim.SGD, lambda group: group.update(lr=minidl.tensor(0.3))),
    "Adam's": (optim.Adam, lambda group: group.update(lr=group["lr"] * 0.7)),
    "betas": (optim.Adam, lambda group: group.update(betas=(group["betas"][0] * 0.9, 0.99))),
    "rule": (optim.RMSprop, lambda group: group.update(lr=group["lr"] * 0.7)),
    "counting rule": (optim.Adamax, lambda group: group.update(lr=group["lr"] * 0.7)),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("which", [0, 1])
def test_options_that_change_are_read(name, which):
    kind, change = OPTIONS[name]
    twins, optimizers = optimized(kind, lr=0.1, weight_decay=0.01)
    plan = twins.remembered._remembered.last
    number, known = plan.number, plan.replay
    for i in range(5):
        for optimizer in optimizers:
            change(optimizer.param_groups[which])
        twins.call(numbers(i, 5, 4), numbers(90 - i, 5, 2))
        twins.call(numbers(i + 9, 5, 4), numbers(70 - i, 5, 2))
    assert twins.remembered._remembered.last is plan and plan.replay is known and plan.number == number + 10


def test_a_learning_rate_that_is_a_tensor_may_change_in_place():
    twins, optimizers = optimized(optim.SGD, lr=0.1)
    rates = [minidl.tensor(0.3), minidl.tensor(0.3)]
    number = optimizers[0].param_groups[0]["lr"]
    for i in range(6):
        for rate, optimizer in zip(rates, optimizers, strict=True):
            rate.array[...] = 0.2 / (i + 1)
            optimizer.param_groups[0]["lr"] = rate if i < 4 else number
        twins.call(numbers(i, 5, 4), numbers(90 - i, 5, 2))


def test_options_that_are_others_are_read_once():
    """Not in each call after it: that takes as long as an ordinary step of the optimizer."""
    twins, optimizers = optimized(optim.SGD, lr=0.1)
    (step,), reads = twins.program.steps, []
    step.read = lambda read=step.read: reads.append(1) or read()
    for lr, expected in ((0.1, 1), (0.1, 1), (0.2, 2), (0.2, 2), (0.3, 3)):
        for optimizer in optimizers:
            if expected > len(reads):
                optimizer.param_groups[1]["lr"] = float(str(lr))
        twins.call(numbers(0, 5, 4), numbers(1, 5, 2))
        assert len(reads) == expected


def test_what_it_writes_is_noted_for_backward():
    """A graph that has kept a parameter from before the replay must not be walked."""
    step = Step()
    y = step.net(step.x.clone().requires_grad_())
    assert step.replay() is not ORDINARY
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_threads_wait_for_one_another():
    step, results = Step(), []
    thread = threading.Thread(target=lambda: results.append(step.replay()))
    with step.me.lock:
        thread.start()
        thread.join(0.05)
        assert thread.is_alive() and not results
    thread.join()
    assert results[0] is not ORDINARY


def test_what_is_set_around_the_step_is_set_by_replays_from_then_on():
    holder = Holder()
    step = minidl.compile(holder.settled, fullgraph=True)
    with minidl.no_grad():
        for i in range(10):
            step(numbers(i, 5, 4))
        for _ in range(3):  # the first of these calls is ordinary
            holder.kept = 5
            step(numbers(0, 5, 4))
            assert holder.kept == 3
    assert step._remembered.last.number == 12


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
    assert getattr(guards, name.removesuffix("_items")) and replay.conditions_of(guards, replay.Values()) is None


def test_a_tensor_that_is_given_twice_is_not_taken_for_two():
    step = minidl.compile(lambda x, y: x * 3 if x is y else x + y, fullgraph=True)
    a, b = numbers(0, 4), numbers(1, 4)
    for _ in range(6):
        assert step(a, b).equal(a + b)
    for _ in range(7):
        assert step(a, a).equal(a * 3) and step(a, b).equal(a + b)
