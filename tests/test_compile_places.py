"""minidl.compile: what a step leaves behind, in attributes and variables around it, and in its arguments."""

import collections
import dataclasses
import functools
import itertools
import types

import pytest

import minidl
from minidl import nn, optim
from tests.test_compile import numbers

WAYS = {}


def way(make):
    """make() gives a step, and a function that gives what it has left."""
    WAYS[make.__name__] = make
    return make


@way
def attribute():
    box = types.SimpleNamespace()

    def step(x):
        box.last = x * 2
        return x * 3

    return step, lambda: box.last


@way
def attribute_that_is_read():
    box = types.SimpleNamespace()

    def step(x):
        box.last = x * 2
        return box.last * 3

    return step, lambda: box.last


@way
def attribute_of_a_module():
    class Keeps(nn.Module):
        def forward(self, x):
            self.last = x * 2
            return x * 3

    net = Keeps()
    return lambda x: net(x), lambda: net.last


@way
def attribute_whose_name_is_a_text():
    box = types.SimpleNamespace()

    def step(x):
        setattr(box, "last", x * 2)  # noqa: B010
        return x * 3

    return step, lambda: box.last


@way
def variable():
    last = None

    def step(x):
        nonlocal last
        last = x * 2
        return x * 3

    return step, lambda: last


@way
def global_variable():
    def step(x):
        global LAST
        LAST = x * 2
        return x * 3

    return step, lambda: LAST


@way
def property_of_a_class():
    class Box:
        last = property(lambda self: self._last, lambda self, x: setattr(self, "_last", x))

    box = Box()

    def step(x):
        box.last = x * 2
        return x * 3

    return step, lambda: box.last


@way
def slot():
    class Box:
        __slots__ = ("last",)

    box = Box()

    def step(x):
        box.last = x * 2
        return x * 3

    return step, lambda: box.last


@way
def attribute_of_a_class():
    class Box:
        last = None

    def step(x):
        Box.last = x * 2
        return x * 3

    return step, lambda: Box.last


@way
def several_and_views_and_the_input():
    box = types.SimpleNamespace()

    def step(x):
        y = x * 2
        box.last = [y, None, {"view": y[:1], "input": x}]
        return y

    return step, lambda: [box.last[0], box.last[2]["view"], box.last[2]["input"]]


@way
def a_dict_with_numbers():
    class Logs(nn.Module):
        def forward(self, x):
            self.logs = {"sum": x.sum(), "length": len(x), "name": "a"}
            return x * 2

    net = Logs()
    return lambda x: net(x), lambda: net.logs["sum"]


@dataclasses.dataclass
class Output:
    sum: object
    length: int


@way
def a_record():
    box = types.SimpleNamespace()

    def step(x):
        box.output = Output(x.sum(), len(x))
        return x * 2

    return step, lambda: box.output.sum


@way
def attribute_with_a_name_of_its_own():
    class Box:
        def __setattr__(self, name, value):
            object.__setattr__(self, f"_{name}", value)

    box = Box()

    def step(x):
        box.last = x * 2
        return x * 3

    return step, lambda: box._last


@way
def one_of_many_objects():
    boxes = [types.SimpleNamespace() for _ in range(150)]

    def step(x):
        boxes[120].last = x * 2
        return x * 3

    return step, lambda: boxes[120].last


@way
def network_in_parts():
    class Trainer:
        def __init__(self):
            minidl.manual_seed(0)
            self.net = nn.Linear(3, 3)
            self.optimizer = optim.SGD(self.net.parameters(), lr=0.1)

        def forward(self):
            self.out = self.net(self.given)

        def backward(self):
            self.loss = (self.out**2).mean()
            self.loss.backward()

        def step(self, x):
            self.given = x
            self.forward()
            self.optimizer.zero_grad()
            self.backward()
            self.optimizer.step()

    trainer = Trainer()
    return trainer.step, lambda: [trainer.given, trainer.out, trainer.loss, trainer.net.weight]


def bits(left):
    return [x.array.tobytes() for x in (left if isinstance(left, list) else [left])]


@pytest.mark.parametrize("name", WAYS)
def test_a_tensor_that_a_step_leaves_is_that_of_the_call(name):
    (ordinary, expected), (other, found) = WAYS[name](), WAYS[name]()
    step, kept, first = minidl.compile(other, fullgraph=True), [], []
    for i in range(20):
        ordinary(numbers(i, 3))
        first.append(bits(expected()))  # if both are the same global variable
        step(numbers(i, 3))
        assert bits(found()) == first[-1], f"call {i + 1}"
        kept.append(found())
    if name != "network_in_parts":  # where the weight is always the same tensor
        assert [bits(x) for x in kept] == first  # and stays that, whoever has kept it
    (plan,) = step._remembered.plans.values()
    assert plan.number == 20


def test_a_list_of_inputs_stays_as_it_was():
    kept = []

    def step(x):
        kept.append(x)
        return x * 2

    with pytest.warns(UserWarning, match="a list, which the step reads, has other items"):
        step = minidl.compile(step)
        for i in range(8):
            step(numbers(i, 3))
    assert all((x == numbers(i, 3)).all() for i, x in enumerate(kept))


class Slots:
    __slots__ = ("size",)


class OfClass:
    size = 0


@pytest.mark.parametrize("make", [types.SimpleNamespace, Slots, lambda: OfClass])
def test_a_number_is_set_by_each_program(make):
    box = make()

    def step(x):
        box.size = len(x)
        return x * 3

    step = minidl.compile(step, fullgraph=True)
    for i in range(24):
        step(numbers(i, 3 + i % 2))
        assert box.size == 3 + i % 2, f"call {i + 1}"
    assert all(plan.number > 8 for plan in step._remembered.plans.values())


def test_another_value_that_others_put_there_is_set_again():
    box, beside = types.SimpleNamespace(), types.SimpleNamespace(size=0, last=numbers(9, 2))

    def step(x):
        box.size, box.last = len(x), x * 2
        return x * 3

    step = minidl.compile(step, fullgraph=True)
    for i in range(24):
        beside.size = i
        x = numbers(i, 3 + i % 2)  # two programs, in turns
        if i == 15:
            box.last = None
        if i == 17:
            del box.last, box.size
        step(x)
        assert box.size == len(x) and (box.last == x * 2).all() and beside.size == i and (beside.last == numbers(9, 2)).all()
    assert sorted(plan.number for plan in step._remembered.plans.values()) == [11, 11]  # one call of each was ordinary


def test_what_was_there_before_is_left_by_each_program():
    box, weights = types.SimpleNamespace(), [nn.Parameter(numbers(i, 3)) for i in range(2)]

    def step(w, x):
        box.last, box.pair = w, (w, len(x))
        return (w * x).detach()

    step = minidl.compile(step, fullgraph=True)
    for i in range(24):
        w = weights[i % 2]
        assert (step(w, numbers(i, 3)) == w * numbers(i, 3)).all()
        assert box.last is w and box.pair[0] is w


def test_numbers_of_the_call_beside_tensors_are_refused():
    box, ticks = types.SimpleNamespace(), itertools.count()

    def step(x):
        box.logs = {"sum": x.sum(), "tick": next(ticks)}
        return x * 2

    step = minidl.compile(step)
    with pytest.warns(UserWarning, match="the replay gives other numbers than the step"):
        for i in range(8):
            assert (step(numbers(i, 3)) == numbers(i, 3) * 2).all()
            assert box.logs["sum"] == numbers(i, 3).sum() and box.logs["tick"] == i


class Asks(nn.Module):
    last = None

    def __init__(self):
        super().__init__()
        self.last = None

    def forward(self, x):
        factor = 2.0 if self.last is None else len(self.last)
        self.last = x * 2
        return x * factor


@pytest.mark.parametrize("plain", [False, True])
def test_a_step_may_ask_whether_something_was_left(plain):
    class Plain:
        last, __call__ = None, Asks.forward

    mine, other = (Plain(), Plain()) if plain else (Asks(), Asks())
    step = minidl.compile(lambda x: other(x), fullgraph=True)
    for i in range(24):
        for box in (mine, other):
            if i in (6, 7, 13):
                box.last = None
            if i in (10, 17):
                box.last = numbers(0, 7)
        assert (step(numbers(i, 3)) == mine(numbers(i, 3))).all(), f"call {i + 1}"
    (plan,) = step._remembered.plans.values()
    assert plan.number > 16


def test_what_was_left_is_forgotten_before_each_call():
    class Plain:
        last, __call__ = None, Asks.forward

    box, net = Plain(), Asks()
    step, other = minidl.compile(lambda x: box(x)), minidl.compile(lambda x: net(x), fullgraph=True)
    with pytest.warns(
        UserWarning, match="an attribute or a variable that the step sets was changed before the call, in each call"
    ):
        for i in range(40):
            box.last = net.last = None
            assert (step(numbers(i, 3)) == numbers(i, 3) * 2).all() and (other(numbers(i, 3)) == numbers(i, 3) * 2).all()
    (plan,) = other._remembered.plans.values()  # of a module it is known how it was before the step
    assert plan.number == 40


@dataclasses.dataclass
class Noted:
    last: object = None
    scale: float = 2.0


def in_a_dict(box, x):
    box.noted["last"] = x * box.noted["scale"]


def in_a_dict_in_a_dict(box, x):
    box.noted["last"] = box.noted["inner"]["last"] = x * box.noted["scale"]


def in_a_list(box, x):
    box.noted[0] = x * box.noted[1]


def in_a_record(box, x):
    box.noted.last = x * box.noted.scale


KEEPS = {
    in_a_dict: (lambda: {"last": None, "scale": 2.0}, lambda noted: noted.update(scale=5.0)),
    in_a_dict_in_a_dict: (lambda: {"inner": {}, "scale": 2.0}, lambda noted: noted.update(scale=5.0)),
    in_a_list: (lambda: [None, 2.0], lambda noted: noted.__setitem__(1, 5.0)),
    in_a_record: (Noted, lambda noted: setattr(noted, "scale", 5.0)),
}


def parts_of(noted):
    noted = vars(noted) if isinstance(noted, Noted) else dict(enumerate(noted)) if isinstance(noted, list) else noted
    return {key: parts_of(x) if isinstance(x, dict) else x.tolist() if key in (0, "last") else x for key, x in noted.items()}


@pytest.mark.parametrize("at", [3, 5, 6, 9])
@pytest.mark.parametrize("leave", KEEPS)
def test_what_the_step_changes_in_place_stays_the_same_object(leave, at):
    make, change = KEEPS[leave]
    mine, other = (types.SimpleNamespace(noted=make()) for _ in range(2))
    begun = other.noted, other.noted.get("inner") if isinstance(other.noted, dict) else None

    def step(x):
        leave(other, x)
        return x * 3

    step = minidl.compile(step, fullgraph=True)
    for i in range(14):
        if i == at:
            change(mine.noted), change(other.noted)
        leave(mine, numbers(i, 3))
        step(numbers(i, 3))
        assert parts_of(mine.noted) == parts_of(other.noted), f"call {i + 1}"
    (plan,) = step._remembered.plans.values()
    assert plan.number > 3 and plan.begun == 1
    assert other.noted is begun[0] and (begun[1] is None or other.noted["inner"] is begun[1])


def test_keys_that_are_tensors():
    box = types.SimpleNamespace(kept={}, parts=[minidl.ones(2), minidl.zeros(3)])

    def ordinary(x):
        for key in box.parts:
            box.kept[key] = x * 2
        return x * 3

    step = minidl.compile(ordinary, fullgraph=True)
    for i in range(12):
        if i in (6, 9):
            box.kept = {minidl.ones(2): None, minidl.ones(3): None}
        assert (step(numbers(i, 3)) == numbers(i, 3) * 3).all()
        assert all((box.kept[key] == numbers(i, 3) * 2).all() for key in box.parts)


class Named(dict):
    def __getattr__(self, name):
        return self[name]


class Tagged(list):
    tag = None


def test_dicts_and_lists_of_classes_of_their_own():
    box = types.SimpleNamespace()

    def step(x):
        box.named, box.tagged, box.ordered = Named(y=x * 2), Tagged([x]), collections.OrderedDict(y=x * 3)
        box.tagged.tag = 5
        return Named(y=x * 2), collections.defaultdict(list, y=x * 3)

    step = minidl.compile(step, fullgraph=True)
    for i in range(9):
        (named, default), x = step(numbers(i, 3)), numbers(i, 3)
        assert (named.y == x * 2).all() and (default["y"] == x * 3).all() and default["others"] == []
        assert (box.named.y == x * 2).all() and box.tagged.tag == 5 and type(box.ordered) is collections.OrderedDict


def one_after_another(box, y):
    box.before, box.now = box.now, y


def an_object(box, y):
    box.last = types.SimpleNamespace(y=y)


def a_distribution(box, y):
    box.last = minidl.distributions.Categorical(logits=y)


def a_function(box, y):
    box.last = lambda: y


def an_argument_of_a_function(box, y):
    box.last = functools.partial(minidl.add, y)


def many(box, y):
    box.last = [y] * 101


def an_iterator(box, y):
    box.last = iter([y])


HOLDS = [one_after_another, an_object, a_distribution, a_function, an_argument_of_a_function, many, an_iterator]


@pytest.mark.parametrize("leave", HOLDS)
def test_tensors_in_what_no_replay_can_leave_are_told_at_once(leave):
    box = types.SimpleNamespace(now=None)

    def step(x):
        leave(box, x * 2)
        return x * 3

    step = minidl.compile(step)
    with pytest.warns(UserWarning, match="it leaves a tensor of the call before, or another object with tensors"):
        for i in range(4):
            step(numbers(i, 3))


def test_what_holds_the_same_tensors_in_each_call_is_left():
    net, box = nn.Linear(3, 3), types.SimpleNamespace(shift=minidl.ones(3))

    def step(x):
        box.net, box.get, box.began, box.shifts = net, lambda: (net, box.shift), object(), [box.shift] * 200
        return x + box.shift

    step = minidl.compile(step, fullgraph=True)
    for i in range(9):
        assert (step(numbers(i, 3)) == numbers(i, 3) + 1).all()


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_a_replay_that_raises_leaves_what_an_ordinary_call_leaves(p):
    def both():
        minidl.manual_seed(0)
        net, box = nn.Sequential(nn.Dropout(p), nn.Linear(3, 2)), types.SimpleNamespace()
        optimizer = optim.SGD(net.parameters(), lr=0.1)

        def step(x, y):
            optimizer.zero_grad()
            out = net(x)
            box.out = out.detach()
            loss = nn.functional.cross_entropy(out, y)
            box.loss = loss.detach()
            loss.backward()
            optimizer.step()
            return loss

        return step, box

    (ordinary, mine), (other, found) = both(), both()
    step, streams = minidl.compile(other, fullgraph=True), [minidl.get_rng_state()] * 2
    for i in range(12):
        y, errors = minidl.tensor([0, 1, 2 if i in (5, 9) else 1]), []
        for k, f in enumerate((ordinary, step)):
            minidl.set_rng_state(streams[k])
            try:
                f(numbers(i, 3, 3), y)
            except IndexError as error:
                errors.append(str(error))
            streams[k] = minidl.get_rng_state()
        assert (streams[0] == streams[1]).all()
        assert len(errors) == (2 if i in (5, 9) else 0) and len(set(errors)) <= 1
        assert (mine.out == found.out).all() and (mine.loss == found.loss).all(), f"call {i + 1}"


def test_a_tensor_that_requires_grad_is_not_left():
    box = types.SimpleNamespace()

    def step(x):
        box.leaf = x.clone().requires_grad_()
        (box.leaf * box.leaf).sum().backward()
        return box.leaf.grad

    step = minidl.compile(step)
    with pytest.warns(UserWarning, match="it leaves a tensor behind that requires grad"):
        for i in range(8):
            assert (step(numbers(i, 2)) == numbers(i, 2) * 2).all() and (box.leaf.grad == numbers(i, 2) * 2).all()


def test_a_leaf_of_the_step_s_own():
    """The gradient at an input, as attacks on a network and penalties of gradients take it."""
    minidl.manual_seed(0)
    net = nn.Linear(3, 2)

    def ordinary(x):
        z = x.detach().clone().requires_grad_()
        net(z).square().sum().backward()
        return z.grad.sign() * 0.1 + x

    step = minidl.compile(ordinary, fullgraph=True)
    for i in range(12):
        net.zero_grad()
        expected = ordinary(numbers(i, 4, 3)), net.weight.grad
        net.zero_grad()
        assert (step(numbers(i, 4, 3)) == expected[0]).all() and (net.weight.grad == expected[1]).all()
    assert len(step._remembered.plans) <= 2 and not step._remembered.found[2:]


# --- arguments


def turned(x):
    x.t_()


def given_an_attribute(x):
    x.name = 3


def made_a_leaf(x):
    x.requires_grad_()
    (x * x).sum().backward()


def given_a_gradient(x):
    x.grad = x * 2


def given_a_new_array(x):
    x.data = x.data * 2


@pytest.mark.parametrize("change", [turned, given_an_attribute, made_a_leaf, given_a_gradient, given_a_new_array])
def test_what_a_step_does_to_a_tensor_that_it_is_given(change):
    def ordinary(x):
        change(x)
        return x.detach() * 3

    def seen(x):
        grad = None if x.grad is None else x.grad.array.tobytes()
        return x.shape, x.array.strides, x.array.tobytes(), x.requires_grad, grad, getattr(x, "name", None)

    step = minidl.compile(ordinary)
    with pytest.warns(UserWarning, match="it changes the shape, requires_grad|lets an input require|sets the data") as told:
        for i in range(8):
            x, y = numbers(i, 3, 2), numbers(i, 3, 2)
            assert (step(x) == ordinary(y)).all() and seen(x) == seen(y), f"call {i + 1}"
    assert len(told) == 1


def test_inputs_that_overlap_and_are_written():
    def ordinary(x, y):
        x.mul_(2)
        return x + y

    step = minidl.compile(ordinary)
    with pytest.warns(UserWarning, match="it changes an input in place"):
        for i in range(6):
            (x, y), whole = (numbers(i, 6), numbers(i, 6)), []
            for f, z in ((ordinary, x), (step, y)):
                whole.append((f(z[2:5], z[:3]).array.tobytes(), z.array.tobytes()))
            assert whole[0] == whole[1]


def test_results_have_the_layout_of_ordinary_ones():
    """Sums over another layout have other bits."""
    step = minidl.compile(lambda x: (x * 2).t())
    for i in range(10):
        assert step(numbers(i, 3, 4)).array.strides == (numbers(i, 3, 4) * 2).t().array.strides
