"""minidl.compile: what a remembered step promises. Each test makes a step twice, ordinarily and remembered: the same bits."""

import io
import warnings

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.nn import functional as F

STEPS = 9  # calls: 3 ordinary, the 4th made both ways, 3 replayed, the 8th both ways, 1 replayed


def numbers(seed, *shape):
    return minidl.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def labels(seed, *shape, classes=3):
    return minidl.tensor(np.random.default_rng(seed).integers(0, classes, shape))


def training(net, optimizer, loss=F.cross_entropy):
    def step(x, y):
        optimizer.zero_grad()
        total = loss(net(x), y)
        total.backward()
        optimizer.step()
        return total

    return step


def sgd(net, **options):
    return optim.SGD(net.parameters(), **{"lr": 0.1, **options})


def mlp(activation=nn.ReLU):
    return nn.Sequential(nn.Linear(4, 8), activation(), nn.Linear(8, 3))


def batches(seed):
    return numbers(seed, 6, 4), labels(seed, 6)


class Twins:
    """A step twice: `make()` gives (something with parameters, the step). Each call is made with both and compared."""

    def __init__(self, make, **options):
        minidl.manual_seed(1)
        self.ordinary = make()
        minidl.manual_seed(1)
        self.other = make()
        self.remembered = minidl.compile(self.other[1], **{"fullgraph": True, **options})
        self.streams = [minidl.get_rng_state()] * 2

    def each(self):
        return self.ordinary[0], self.other[0]

    def call(self, *args):
        results = []
        for i, step in enumerate((self.ordinary[1], self.remembered)):
            minidl.set_rng_state(self.streams[i])
            results.append(step(*args))
            self.streams[i] = minidl.get_rng_state()
        self.compare(*results)
        return results[1]

    def compare(self, one, two):
        for a, b in zip(*(list(flat(x)) for x in (one, two)), strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape and a.array.tobytes() == b.array.tobytes(), (a, b)
        for a, b in zip(*(all_of(net) for net in self.each()), strict=True):
            assert a.array.tobytes() == b.array.tobytes(), (a, b)
            assert (a.grad is None) == (b.grad is None)
            assert a.grad is None or a.grad.array.tobytes() == b.grad.array.tobytes()
        assert self.streams[0].array.tobytes() == self.streams[1].array.tobytes()

    def run(self, data, steps=STEPS):
        for i in range(steps):
            self.call(*data(i))
        return self

    @property
    def program(self):
        (plan,) = self.remembered._remembered.plans.values()
        return plan.program

    def python(self):
        """The names of what stays Python."""
        return {name for _, name, how, _ in self.program.rows if how == "Python"}


def flat(x):
    if isinstance(x, minidl.Tensor):
        yield x
    else:
        for part in x.values() if isinstance(x, dict) else x:
            yield from flat(part)


def all_of(net):
    return [*net.parameters(), *(net.buffers() if isinstance(net, nn.Module) else ())]


# --- models


class Gates(nn.Module):
    """A loop of cells, written out."""

    def __init__(self):
        super().__init__()
        self.x, self.h, self.o = nn.Linear(4, 12), nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x):
        h = minidl.zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            (xr, xz, xn), (hr, hz, hn) = self.x(x[:, t]).chunk(3, 1), self.h(h).chunk(3, 1)
            z, n = (xz + hz).sigmoid(), (xn + (xr + hr).sigmoid() * hn).tanh()
            h = (1 - z) * n + z * h
        return self.o(h)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Linear(2, 3)

    def forward(self, x):
        x = x + F.relu(self.norm(self.conv(x)))
        return self.out(F.max_pool2d(x, 2).mean((2, 3)))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.places = nn.Embedding(7, 8), nn.Parameter(numbers(0, 5, 8))
        self.layer, self.out = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), nn.Linear(8, 7)

    def forward(self, x):
        return self.out(self.layer(self.table(x) + self.places)).reshape(-1, 7)


class Tied(nn.Module):
    """One matrix in two places."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(numbers(0, 4, 4))

    def forward(self, x):
        return ((x @ self.w).tanh() @ self.w.T)[:, :3]


MODELS = {
    "MLP": (mlp, lambda i: batches(i)),
    "three batch norms": (
        lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)),
        lambda i: batches(i),
    ),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)), lambda i: batches(i)),
    "LeNet": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 3)),
        lambda i: (numbers(i, 4, 1, 8, 8), labels(i, 4)),
    ),
    "residual": (Residual, lambda i: (numbers(i, 4, 2, 6, 6), labels(i, 4))),
    "gates": (Gates, lambda i: (numbers(i, 5, 3, 4), labels(i, 5))),
    "weights in two places": (Tied, lambda i: batches(i)),
    "Transformer": (Words, lambda i: (labels(i, 2, 5, classes=7), labels(i + 50, 10, classes=7))),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    make, data = MODELS[name]

    def pair():
        net = make()
        return net, training(net, sgd(net, momentum=0.9))

    Twins(pair).run(data)


def test_lstm():
    def pair():
        net = nn.ModuleDict({"lstm": nn.LSTM(4, 5, batch_first=True), "out": nn.Linear(5, 3)})
        return net, training(lambda x: net["out"](net["lstm"](x)[0][:, -1]), sgd(net))

    Twins(pair).run(lambda i: (numbers(i, 4, 6, 4), labels(i, 4)))


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, 0.01, weight_decay=0.1),
    "AMSGrad": lambda p: optim.Adam(p, 0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, 0.01),
    "RMSprop": lambda p: optim.RMSprop(p, 0.01, momentum=0.5),
    "Adagrad": lambda p: optim.Adagrad(p, 0.01),
    "Lion": lambda p: optim.Lion(p, 0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_and_rates_that_change_at_every_call(name):
    def pair():
        net = mlp()
        net.optimizer = optimizer = OPTIMIZERS[name](net.parameters())
        return net, training(net, optimizer)

    twins = Twins(pair)
    for i in range(STEPS):
        for net in twins.each():
            net.optimizer.param_groups[0]["lr"] = 0.01 / (i + 1)
        twins.call(*batches(i))
    assert twins.python() == set()


def test_python_runs_only_in_the_ordinary_calls():
    calls, runs = io.BytesIO(), io.StringIO()  # into which the recorder does not look

    @minidl.compile
    def step(x):
        runs.write(f"{calls.tell()} ")
        return x * 2

    for i in range(1, 18):
        calls.write(b".")
        assert step(minidl.tensor([float(i)])).item() == 2 * i
    assert runs.getvalue() == "1 2 3 4 8 16 "


def test_clipping_and_two_optimizers():
    def pair():
        net = mlp()
        optimizers = optim.SGD(net[0].parameters(), 0.1), optim.Adam(net[2].parameters(), 0.01)

        def step(x, y):
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 0.05)
            for optimizer in optimizers:
                optimizer.step()
            return loss, norm

        return net, step

    Twins(pair).run(batches)


@pytest.mark.parametrize("how", ["never", "to zeros", "at the end", "twice backward", "by the module"])
def test_gradients_that_add_up(how):
    def pair():
        net, optimizer = mlp(), None
        optimizer = sgd(net)

        def step(x, y):
            if how in ("to zeros", "twice backward"):
                optimizer.zero_grad(set_to_none=how != "to zeros")
            if how == "by the module":
                net.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            if how == "twice backward":
                (net(x * 2) ** 2).mean().backward()
            optimizer.step()
            if how == "at the end":
                optimizer.zero_grad()
            return loss

        return net, step

    Twins(pair).run(batches)


def test_by_hand_in_place():
    class Weights:
        def __init__(self):
            self.w, self.b = minidl.ones(4, 1, requires_grad=True), minidl.zeros(1, requires_grad=True)

        def parameters(self):
            return [self.w, self.b]

    def pair():
        weights = Weights()

        def step(x):
            loss = ((x @ weights.w + weights.b) ** 2 / 2).mean()
            loss.backward()
            with minidl.no_grad():
                for p in (weights.w, weights.b):
                    p -= 0.1 * p.grad
                    p.grad.zero_()
            return loss

        return weights, step

    Twins(pair).run(lambda i: (numbers(i, 6, 4),))


def test_gradients_by_name_and_functions_of_ones_own():
    class Cube(minidl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            return 3 * ctx.saved_tensors[0] ** 2 * dy

    def pair():
        net = mlp(nn.Tanh)

        def step(x, y):
            loss = F.cross_entropy(Cube.apply(net(x)), y)
            gradients = minidl.autograd.grad(loss, list(net.parameters()))
            with minidl.no_grad():
                for p, g in zip(net.parameters(), gradients, strict=True):
                    p -= 0.1 * g
            return {"loss": loss.detach(), "norms": [g.norm() for g in gradients]}

        return net, step

    Twins(pair).run(batches)


def test_results_in_dicts_and_accuracy():
    def pair():
        net = mlp()
        optimizer = sgd(net)

        def step(x, y, *, scale):
            optimizer.zero_grad()
            out = net(x)
            loss = F.cross_entropy(out, y) * scale
            loss.backward()
            optimizer.step()
            return {"loss": loss, "right": [(out.argmax(1) == y).float().mean(), (out.argmax(1) == y).sum()]}

        return net, lambda x, y: step(x, y, scale=2.0)

    Twins(pair).run(batches)


# --- what is called


def test_two_batch_sizes_have_two_programs_and_nine_are_too_many():
    def pair():
        net = mlp()
        return net, training(net, sgd(net))

    twins = Twins(pair, fullgraph=False)
    for i in range(12):
        n = 6 if i % 2 else 3
        twins.call(numbers(i, n, 4), labels(i, n))
    assert sorted(key[2][0][0] for key in twins.remembered._remembered.plans) == [3, 6]
    assert all(plan.program is not None for plan in twins.remembered._remembered.plans.values())
    for n in range(10, 16):
        twins.call(numbers(n, n, 4), labels(n, n))
    with pytest.warns(UserWarning, match="more than 8 combinations of shapes and values: give all batches the same shape"):
        twins.call(numbers(0, 20, 4), labels(0, 20))
    twins.call(numbers(0, 21, 4), labels(0, 21))
    for new, remedy in (
        (float, "pass a number that changes as a tensor"),
        (lambda i: Batch(), "of a Batch each object counts"),
    ):
        step = minidl.compile(lambda x, given: x * 2)
        with pytest.warns(UserWarning, match=remedy):
            for i in range(9):
                step(minidl.ones(1), new(i))


class Batch:
    pass


def test_numbers_among_the_arguments_count_by_value():
    step = minidl.compile(lambda x, factor, name="a": x * factor if name == "a" else x, fullgraph=True)
    for i in range(6):
        for factor in (2.0, 3.0):
            assert step(minidl.tensor([1.0 + i]), factor).item() == (1 + i) * factor
        assert step(minidl.tensor([1.0 + i]), 3.0, name="b").item() == 1 + i
    assert len(step._remembered.plans) == 3


@pytest.mark.parametrize("kind", ["transposed", "read-only", "empty", "integers", "of the parameter"])
def test_inputs_of_every_kind(kind):
    def pair():
        net = mlp()
        return net, training(net, sgd(net))

    twins = Twins(pair)
    for i in range(STEPS):
        x, y = batches(i)
        if kind == "transposed":
            x = numbers(i, 4, 6).T
        elif kind == "read-only":
            x.array.flags.writeable = False
        elif kind == "empty":
            x, y = numbers(i, 0, 4), labels(i, 0)
        elif kind == "integers":
            y = y.int()
        if kind == "of the parameter":
            results = []
            for net, step in ((twins.each()[0], twins.ordinary[1]), (twins.each()[1], twins.remembered)):
                results.append(step(net[0].weight.detach(), labels(i, 8)))
            twins.compare(*results)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                twins.call(x, y)


def test_a_numpy_array_is_refused():
    with pytest.raises(TypeError, match=r"minidl\.from_numpy"):
        minidl.compile(lambda x: x)(np.zeros(2))


def test_results_and_gradients_are_the_callers():
    net = mlp()
    step = minidl.compile(training(net, sgd(net)), fullgraph=True)
    kept = []
    for i in range(8):
        loss = step(*batches(i))
        kept.append((loss, loss.item()))
    assert all(loss.item() == value for loss, value in kept)
    loss.array[...] = 5  # a result is memory of its own
    assert step(*batches(0)).item() != 5


def test_a_label_out_of_range_is_an_error_before_anything_moves():
    net = mlp()
    step = minidl.compile(training(net, sgd(net, momentum=0.9)), fullgraph=True)
    for i in range(5):
        step(*batches(i))
    x, y = batches(9)
    before = [p.array.copy() for p in net.parameters()]
    wrong = y.clone()
    wrong[2] = 3
    with pytest.raises(IndexError, match="label 3 at index 2 is out of range for 3 classes"):
        step(x, wrong)
    assert all((p.array == old).all() for p, old in zip(net.parameters(), before, strict=True))
    assert np.isfinite(step(x, y).item())


def test_an_index_out_of_range_is_an_error():
    net = nn.Embedding(5, 3)
    step = minidl.compile(training(net, sgd(net), lambda out, y: (out.sum(1) * y).sum()), fullgraph=True)
    for i in range(6):
        step(labels(i, 4, classes=5), numbers(i, 4))
    before = net.weight.array.copy()
    for wrong in (5, -1):
        with pytest.raises(IndexError):
            step(minidl.tensor([0, wrong, 2, 3]), numbers(0, 4))
    assert (net.weight.array == before).all()
