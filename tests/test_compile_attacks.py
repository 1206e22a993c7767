"""minidl.compile under attack: what was once silently different. Each step is made ordinarily and remembered, and compared."""

import copy
import gc
import itertools
import pickle
import random
import threading
import tracemalloc
import warnings

import numpy as np
import pytest

import minidl
from minidl import kernels, nn, ops, optim
from minidl.nn import functional as F
from minidl.nn.utils import clip_grad_norm_
from minidl.tensors.record import apply
from tests.test_compile import Twins, batches, labels, mlp, numbers, sgd, training


class Settings:
    shift = 0.0  # of the class

    def __init__(self):
        self.factor, self.inner = 2.0, None


def alike(ordinary, *args, change, calls=6):
    """Whether a remembered step follows a change that is made after some calls."""
    step = minidl.compile(ordinary, fullgraph=True)
    for _ in range(calls):
        assert (step(*args) == ordinary(*args)).all()
    change()
    for _ in range(calls):
        assert (step(*args) == ordinary(*args)).all()
    return step


def test_a_tensor_with_a_graph_that_is_replaced():
    w = minidl.ones(2, requires_grad=True)
    around = w * 1

    def change():
        nonlocal around
        around = w * 5

    alike(lambda x: x * around.detach(), numbers(0, 2), change=change)


def test_a_tensor_of_a_module_that_is_replaced():
    class Context(nn.Module):
        def forward(self, x):
            return x * self.around.detach()

    w, net = minidl.ones(2, requires_grad=True), Context()
    net.around = w * 1
    alike(lambda x: net(x), numbers(0, 2), change=lambda: setattr(net, "around", w * 5))


def test_tensors_that_a_module_keeps_for_others_to_see_do_not_count_as_changes():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            self.weights = [self.layer(x).softmax(1)]
            return self.weights[0] * x

    def pair():
        net = Attention()
        return net, training(net, sgd(net), lambda out, y: out.sum() + y.sum() * 0.0)

    twins = Twins(pair)
    for i in range(20):
        twins.call(numbers(i, 3, 4), numbers(i, 1))
    (plan,) = twins.remembered._remembered.plans.values()
    assert plan.begun == 0 and plan.number == 20


@pytest.mark.parametrize("name", ["factor", "inner", "class"])
def test_attributes_of_an_argument(name):
    settings = Settings()
    settings.inner = Settings()

    def change():
        if name == "factor":
            settings.factor = 5.0
        elif name == "inner":
            settings.inner.factor = 7.0
        else:
            Settings.shift = 1.0

    def helper(x, given):
        return x * given.inner.factor + given.shift

    try:
        alike(lambda given, x: helper(x, given) * given.factor, settings, numbers(0, 3), change=change)
    finally:
        Settings.shift = 0.0


OUTSIDE = 2.0


class Reads(nn.Module):
    """Its forward reads a global, and by a method of its own another."""

    def forward(self, x):
        return self.more(x) * OUTSIDE

    def more(self, x):
        return x + FURTHER


FURTHER = 1.0


@pytest.mark.parametrize("name", ["OUTSIDE", "FURTHER"])
def test_globals_that_a_module_reads(name, monkeypatch):
    net = Reads()
    alike(lambda x: net(x), numbers(0, 3), change=lambda: monkeypatch.setitem(globals(), name, 9.0))
    monkeypatch.undo()
    with minidl.no_grad():
        alike(net, numbers(0, 3), change=lambda: monkeypatch.setitem(globals(), name, 9.0))


def test_labels_of_ctc_that_ordinary_calls_refuse():
    """Its kernel reads labels as places and checks no bounds: what Python checks before it has to be checked in each call."""
    w = numbers(0, 6, 2, 5)

    def ordinary(targets):
        sizes = minidl.tensor([6, 6]), minidl.tensor([3, 3])
        return F.ctc_loss(w.log_softmax(2), targets, *sizes)

    step = minidl.compile(ordinary)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(9):
            targets = labels(i, 2, 3, classes=4) + 1
            assert step(targets) == ordinary(targets)
        for wrong in (-1, 5, 2**40):
            targets = minidl.tensor([[1, 2, 3], [1, wrong, 2]])
            with pytest.raises((ValueError, IndexError)):
                ordinary(targets)
            with pytest.raises((ValueError, IndexError)):
                step(targets)


class Groups(ops.Op):
    """y[g] = Σ of the rows of group g. The groups are checked in Python; the kernel checks nothing."""

    def __init__(self, groups):
        self.groups = groups

    def forward(self, x):
        if self.groups.size and not 0 <= self.groups.min() <= self.groups.max() < 3:
            raise IndexError("no such group")
        return kernels.sum_rows(x, self.groups, 3)


def test_an_operation_whose_kernel_reads_indices_is_called_by_python():
    step = minidl.compile(lambda x, groups: apply(Groups(groups.array), x), fullgraph=True)
    for i in range(7):
        x, groups = numbers(i, 4, 2), labels(i, 4)
        assert (step(x, groups) == apply(Groups(groups.array), x)).all()
    (plan,) = step._remembered.plans.values()
    assert [row[2] for row in plan.program.rows] == ["Python"]
    with pytest.raises(IndexError, match="no such group"):
        step(x, minidl.tensor([0, 1, 10**9, 2]))


def test_minus_zero_is_another_number():
    step = minidl.compile(lambda x, a: x * a, fullgraph=True)
    for _ in range(6):
        for a in (0.0, -0.0):
            assert np.signbit(step(minidl.ones(1), a).array) == np.signbit(a)


def test_an_input_that_is_changed_in_place():
    step = minidl.compile(lambda x: x.mul_(2).sum())
    with pytest.warns(UserWarning, match="changes an input in place"):
        for _ in range(6):
            x = minidl.tensor([1.0, 2.0])
            assert step(x).item() == 6 and x.tolist() == [2, 4]


def test_an_input_part_of_which_is_set():
    def ordinary(x):
        x[0] = 5.0
        return x.sum()

    step = minidl.compile(ordinary)
    with pytest.warns(UserWarning, match="changes an input in place"):
        for _ in range(6):
            x = minidl.tensor([1.0, 2.0])
            assert step(x).item() == 7 and x.tolist() == [5, 2]


def test_a_result_that_is_no_tensor():
    step = minidl.compile(lambda x: (x, True))
    with pytest.warns(UserWarning, match="returns a bool"):
        for _ in range(6):
            assert step(minidl.ones(1))[1] is True


# --- what is changed between calls of a training step


def tensor_hook(net):
    net[0].weight.register_hook(lambda g: g * 0)


def hook_after(net):
    net[0].weight.register_post_accumulate_grad_hook(lambda p: p.grad.zero_())


def module_hook(net):
    net[0].register_forward_hook(lambda module, args, out: out * 2)


def other_buffers(net):
    for p in net.parameters():
        net.optimizer.state[p]["momentum_buffer"] = minidl.zeros(*p.shape)


def no_state(net):
    net.optimizer.state.clear()


def nesterov(net):
    net.optimizer.param_groups[0]["nesterov"] = True


def no_momentum(net):
    net.optimizer.param_groups[0]["momentum"] = 0.0


def maximize(net):
    net.optimizer.param_groups[0]["maximize"] = True


def rate_in_a_tensor(net):
    net.optimizer.param_groups[0]["lr"] = rate = minidl.tensor(0.1)
    net.rate = rate


CHANGES = [tensor_hook, hook_after, module_hook, other_buffers, no_state, nesterov, no_momentum, maximize, rate_in_a_tensor]


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_a_training_step(change):
    def pair():
        net = mlp()
        net.optimizer = sgd(net, momentum=0.9)
        return net, training(net, net.optimizer)

    twins = Twins(pair, fullgraph=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hook: it stays ordinary
        for i in range(16):
            if i == 5:
                for net in twins.each():
                    change(net)
            if i in (9, 13) and change is rate_in_a_tensor:
                for net in twins.each():
                    net.rate.mul_(0.5)  # the same tensor, another number
            twins.call(*batches(i))


def test_momentum_that_begins_later_and_amsgrad():
    for make, name, value in (
        (lambda p: optim.SGD(p, 0.1), "momentum", 0.9),
        (lambda p: optim.Adam(p, 0.01), "amsgrad", True),
        (lambda p: optim.Adam(p, 0.01), "betas", (0.5, 0.9)),
        (lambda p: optim.AdamW(p, 0.01), "weight_decay", 0.5),
    ):

        def pair(make=make):
            net = mlp()
            net.optimizer = make(net.parameters())
            return net, training(net, net.optimizer)

        twins = Twins(pair)
        for i in range(14):
            if i == 5:
                for net in twins.each():
                    net.optimizer.param_groups[0][name] = value
            twins.call(*batches(i))


# --- around it


def test_a_stream_of_ones_own():
    ours, theirs = (minidl.Generator().manual_seed(1) for _ in range(2))
    step = minidl.compile(lambda x: x + minidl.rand(2, generator=ours), fullgraph=True)
    for _ in range(10):
        assert (step(minidl.zeros(2)) == minidl.rand(2, generator=theirs)).all()


def test_a_function_that_was_imported_by_name():
    def pair():
        net = mlp()
        optimizer = sgd(net)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            norm = clip_grad_norm_(net.parameters(), 0.05)
            optimizer.step()
            return loss, norm

        return net, step

    Twins(pair).run(batches)


class Model:
    def __init__(self):
        self.factor = 2.0

    @minidl.compile
    def step(self, x):
        return x * self.factor


def test_copies_of_objects_with_a_remembered_method():
    model, x = Model(), minidl.ones(1)
    for _ in range(6):
        model.step(x)
    twin, read, shallow = copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)
    twin.factor, shallow.factor = 3.0, 4.0
    for _ in range(6):
        assert [m.step(x).item() for m in (twin, read, shallow, model)] == [3, 2, 4, 2]
    assert all(m.step.explain().count("events") == 1 for m in (twin, read, shallow, model))


def test_the_recordings_are_not_kept():
    net = nn.Sequential(nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 200))
    step = minidl.compile(training(net, sgd(net), lambda out, y: (out * y).sum()), fullgraph=True)
    x, y = numbers(0, 300, 200), numbers(1, 300, 200)
    step(x, y)
    net.zero_grad()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(6):
            step(x, y)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    (plan,) = step._remembered.plans.values()
    assert kept < plan.program.plan.size + x.array.nbytes + y.array.nbytes + 300_000


def test_four_threads_train_one_network():
    net = mlp()
    step, errors = minidl.compile(training(net, sgd(net)), fullgraph=True), []

    def work():
        try:
            for i in range(60):
                step(*batches(i))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (plan,) = step._remembered.plans.values()
    assert not errors and plan.number == 240 and plan.begun == 0


def test_a_step_that_calls_itself():
    """The inner call is ordinary: it is a part of the outer one, and of what is recorded of it."""
    outer, w = (
        itertools.cycle([True, False]),
        minidl.ones(1),
    )  # which the recorder does not see; it stays where it is in a replay

    def ordinary(x):
        if next(outer):
            return step(x) + 1
        w.add_(1)
        return x * w

    step = minidl.compile(ordinary, fullgraph=True)
    for i in range(20):
        assert step(minidl.ones(1)).item() == i + 3


def test_nan_infinity_and_other_dtypes():
    step = minidl.compile(lambda x: (x * 2 - x).exp() / x, fullgraph=True)
    for i in range(7):
        for dtype in (minidl.float32, minidl.float64):
            x = minidl.tensor([np.nan, np.inf, -np.inf, 0.0, 1e30, float(i)], dtype=dtype)
            expected = (x * 2 - x).exp() / x
            y = step(x)
            assert y.dtype == dtype and y.array.tobytes() == expected.array.tobytes()


def test_an_embedding_with_integers_of_32_bits():
    net = nn.Embedding(5, 3)
    step = minidl.compile(training(net, sgd(net), lambda out, y: (out.sum(1) * y).sum()), fullgraph=True)
    for i in range(6):
        step(labels(i, 4, classes=5).int(), numbers(i, 4))
    before = net.weight.array.copy()
    with pytest.raises(IndexError):
        step(minidl.tensor([0, 9, 2, 3]).int(), numbers(0, 4))
    assert (net.weight.array == before).all()


@pytest.mark.parametrize("f", ["sqrt", "exp", "log", "square", "abs", "tanh", "sigmoid", "rsqrt", "reciprocal"])
def test_forward_keeps_a_number_of_a_single_weight(f):
    """NumPy makes numbers of arrays without axes: what forward keeps for backward is then no array."""
    w = minidl.tensor(2.0, requires_grad=True)
    other = w.detach().clone().requires_grad_()

    def step_of(w):
        optimizer = optim.SGD([w], lr=0.3)

        def step(x):
            optimizer.zero_grad()
            loss = (getattr(w, f)() * x).sum()
            loss.backward()
            optimizer.step()
            return loss

        return step

    ordinary, remembered = step_of(w), minidl.compile(step_of(other), fullgraph=True)
    for i in range(20):
        x = numbers(i, 3) * 0.1
        assert remembered(x).array.tobytes() == ordinary(x).array.tobytes()
        assert other.array.tobytes() == w.array.tobytes() and other.grad.array.tobytes() == w.grad.array.tobytes()


@pytest.mark.parametrize("most", [1e-3, 1.0, 1e3, 0.0])
def test_clipping_without_python(most):
    limit = most

    def make():
        net = mlp()
        optimizer = sgd(net)

        def step(x, y):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            norm = clip_grad_norm_(net.parameters(), limit)
            optimizer.step()
            return norm

        return net, step

    twins = Twins(make).run(batches, 12)
    limit = 0.7  # a number that the step closes over
    twins.run(batches, 12)
    assert "clip_grad_norm_              kernels" in twins.remembered.explain()


def test_clipping_by_another_name():
    clip = clip_grad_norm_

    def step(x, y):
        F.cross_entropy(net(x), y).backward()
        clip(net.parameters(), 0.1)

    net = mlp()
    step = minidl.compile(step)
    with pytest.warns(UserWarning, match="clip_grad_norm_ is kept in a variable or an attribute: call it by its name"):
        for i in range(3):
            step(*batches(i))


def test_clipping_that_raises_stays_python():
    net = mlp()
    optimizer = sgd(net)

    @minidl.compile
    def step(x, y):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        clip_grad_norm_(net.parameters(), 1.0, error_if_nonfinite=True)
        optimizer.step()

    data = [batches(i) for i in range(7)]
    for x, y in data[:6]:
        step(x, y)
    with pytest.raises(RuntimeError, match=r"is not finite|the norm of the gradients is"):
        step(data[6][0] * minidl.inf, data[6][1])


def test_masks_that_move_and_masks_that_stay():
    stays = minidl.ones(4, 4).tril().bool()

    def make():
        net = nn.Linear(4, 4)
        optimizer = sgd(net)

        def step(x):
            optimizer.zero_grad()
            scores = net(x).masked_fill(~stays, -1e9)
            loss = minidl.where(x > 0, scores, x).softmax(-1).square().sum() + minidl.where(stays, net(x), 2.0).sqrt().nansum()
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    Twins(make).run(lambda i: [numbers(i, 4, 4)], 20)


@pytest.mark.parametrize("f", ["sqrt", "square", "abs", "exp", "log"])
def test_functions_of_a_matrix_need_no_python(f):
    def make():
        net = nn.Linear(4, 5)
        optimizer = sgd(net)

        def step(x):
            optimizer.zero_grad()
            loss = (getattr(net(x).square() + 0.5, f)() * x[:, :1]).sum()
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    twins = Twins(make).run(lambda i: [numbers(i, 6, 4)], 10)
    lines = [line for line in twins.remembered.explain().splitlines() if f.capitalize() in line]
    assert len(lines) == 2 and all("kernels" in line for line in lines)


# --- what changes without the recorder being told


def python_draws(rng):
    return lambda: random.random() < 0.5


def numpy_draws(rng):
    return lambda: np.random.rand() < 0.5


def own_draws(rng):
    return lambda: rng.random() < 0.5


@pytest.mark.parametrize("draws", [python_draws, numpy_draws, own_draws])
def test_a_random_number_of_python_that_is_alike_in_the_recorded_calls(draws):
    """Such as teacher forcing, in a sequence model."""
    draw = draws(np.random.default_rng(0))

    def step(x):
        return x * 2 if draw() and x.ndim == 5 else x + 1

    with pytest.warns(UserWarning, match="draws random numbers of Python's or NumPy's"):
        remembered = minidl.compile(step)
        for i in range(5):
            assert (remembered(numbers(i, 2)) == numbers(i, 2) + 1).all()


@pytest.mark.parametrize("name", ["parameter", "count"])
def test_numpy_that_writes_into_a_tensor(name):
    def pair():
        net, count = nn.Linear(4, 3), minidl.zeros(2)

        def step(x, y):
            net.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            counted[0] += name == "count"
            if name == "parameter":
                for p in arrays:
                    p *= 0.9
            return loss

        net.register_buffer("count", count)
        counted, arrays = memoryview(count.array), [p.array[...] for p in net.parameters()]
        return net, step

    twins = Twins(pair, fullgraph=False)
    with pytest.warns(UserWarning, match="is changed in place, by NumPy|is changed by the step itself"):
        for i in range(7):
            twins.call(*batches(i))


def test_numpy_that_writes_into_an_input():
    def step(x):
        x.array[0] = 7
        return x * 2

    remembered = minidl.compile(step)
    with pytest.warns(UserWarning, match="Tensor.array gives its values to NumPy"):
        for i in range(7):
            x, twin = numbers(i, 3), numbers(i, 3)
            assert (remembered(x) == step(twin)).all() and (x == twin).all()


def test_data_that_is_set_in_the_step():
    def pair():
        net = mlp()
        net.register_buffer("last", minidl.zeros(1))
        train = training(net, sgd(net))

        def step(x, y):
            loss = train(x, y)
            net.last.data = net[0].weight.data.clone()
            return loss

        return net, step

    twins = Twins(pair, fullgraph=False)
    with pytest.warns(UserWarning, match="sets the data of a tensor"):
        for i in range(7):
            twins.call(*batches(i))


@pytest.mark.parametrize(
    "read",
    [lambda x, w: x * (w > x), lambda x, w: x * w.detach(), lambda x, w: x * w.data, lambda x, w: x * w.double().float()],
)
def test_other_data_of_a_tensor_that_no_operation_is_given(read):
    w = minidl.ones(2)
    alike(lambda x: read(x, w), numbers(0, 2), change=lambda: setattr(w, "data", minidl.tensor([-5.0, 5.0])))


def by_an_error(x):
    try:
        return x * x.scale
    except AttributeError:
        return x


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x * getattr(x, "scale", 1.0),
        lambda x: x * vars(x).get("scale", 1.0),
        lambda x: x * getattr(x, "".join(["sc", "ale"]), 1.0),
        by_an_error,
    ],
)
def test_an_attribute_that_an_input_has_only_later(step):
    remembered = minidl.compile(step, fullgraph=True)
    for i in range(12):
        x = numbers(i, 2)
        if i > 8 or i == 5:
            x.scale = 3.0
        assert (remembered(x) == step(x)).all()


# --- methods


def wrapped(function):
    def wrapper(self, x):
        return function(self, x)

    return wrapper


def test_two_methods_of_one_name():
    class Model:
        double = minidl.compile(wrapped(lambda self, x: x * 2))
        triple = minidl.compile(wrapped(lambda self, x: x * 3))

        @minidl.compile
        def step(self, x):
            return x + 1

    class More(Model):
        @minidl.compile
        def step(self, x):
            return super().step(x) * 2

    model = More()
    for i in range(7):
        x = numbers(i, 2)
        assert (model.double(x) == x * 2).all() and (model.triple(x) == x * 3).all() and (model.step(x) == (x + 1) * 2).all()


def test_methods_of_classes_and_of_objects_without_a_dict():
    class Model:
        __slots__ = ("own",)
        scale = 2.0

        @classmethod
        @minidl.compile
        def of_class(cls, x):
            return x * cls.scale

        @minidl.compile
        def step(self, x):
            return x * self.own

    one, two = Model(), Model()
    one.own, two.own = 2.0, 3.0
    for i in range(12):
        if i == 6:
            Model.scale = one.own = 5.0
        x = numbers(i, 2)
        assert (Model.of_class(x) == x * Model.scale).all() and (one.step(x) == x * one.own).all()
        assert (two.step(x) == x * 3).all()


class HalfByKernels(ops.Op):
    """y = exp(2eˣ), the doubling by NumPy, so that its kernels alone are not enough; backward is a kernel, and reads eˣ"""

    def forward(self, x):
        self.t = kernels.exp(x)
        return kernels.exp(np.add(self.t, self.t))

    def backward(self, dy):
        return (kernels.add(dy, self.t),)


def test_what_a_kernel_has_made_is_forgotten_where_python_does_the_operation():
    """The backward of it, by kernels, would read memory that nothing fills."""
    w = nn.Parameter(minidl.tensor([0.1, 0.2]))
    optimizer = minidl.optim.SGD([w], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = apply(HalfByKernels(), w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    remembered, found = minidl.compile(step, fullgraph=True), []
    for i in range(10):
        found.append(remembered(minidl.tensor([0.1 * i, -0.2])).item())
    assert remembered.refusal is None and next(iter(remembered._remembered.plans.values())).program is not None
    after = w.tolist()
    w.data.copy_(minidl.tensor([0.1, 0.2]))
    assert [step(minidl.tensor([0.1 * i, -0.2])).item() for i in range(10)] == found and w.tolist() == after


class More(ops.Op):
    """y = eˣ; at each call of the step it keeps one array more, or gives one more"""

    calls, gives = 0, False  # not among the attributes of an object, which would be compared

    def forward(self, x):
        y = kernels.exp(x)
        if self.gives:
            return (y,) * self.calls
        self.kept = (x,) * self.calls
        return y

    def backward(self, dy):
        return (dy[0] if type(dy) is list else dy,)


@pytest.mark.parametrize("gives", [False, True], ids=["keeps", "gives"])
def test_another_number_of_arrays_in_each_call_is_refused(gives, monkeypatch):
    w = nn.Parameter(minidl.tensor([0.1, 0.2]))
    monkeypatch.setattr(More, "gives", gives)

    @minidl.compile
    def step(x):
        y = apply(More(), w * x)
        (y[0] if gives else y).sum().backward()
        return x + 1

    with pytest.warns(UserWarning, match="stays ordinary"):
        for i in range(6):
            w.grad = None
            monkeypatch.setattr(More, "calls", i + 1)
            assert (step(minidl.tensor([0.1 * i, -0.2])) == minidl.tensor([0.1 * i + 1, 0.8])).all()
