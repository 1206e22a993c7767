"""What minidl's own functions compute with NumPy beside the operations, and what they decide by values, in remembered steps.

They are marked as `repeatable` (graph/watch.py): a replay computes them anew, and where it would decide otherwise, the step is
made ordinarily. Every step here is compared with the same step without compile, bit for bit.
"""

import copy
import warnings

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn import functional as F
from minidl.utils.metrics import accuracy


def twins(build):
    """The step, the same step compiled, and the parameters of both. build() gives (step, module)."""
    minidl.manual_seed(1)
    step, net = build()
    minidl.manual_seed(1)
    other, others = build()
    return step, minidl.compile(other), net, others


def train(net, loss_of, rate=0.01):
    optimizer = minidl.optim.SGD(net.parameters(), lr=rate)

    def step(*args):
        optimizer.zero_grad()
        loss = loss_of(net, *args)
        loss.backward()
        optimizer.step()
        return loss

    return step, net


def state_bytes(net):
    return [x.numpy().tobytes() for x in net.state_dict().values()]


def run_both(build, calls):
    """Both make the same calls from the same seed: results, parameters, buffers and errors agree. Gives the compiled step."""
    step, remembered, net, others = twins(build)
    outcomes = []
    for run, module in ((step, net), (remembered, others)):
        minidl.manual_seed(5)
        found = []
        for args in calls:
            try:
                found.append(run(*args).detach().numpy().tobytes())
            except (ValueError, IndexError) as error:
                found.append(str(error))
            found.append(state_bytes(module))
        outcomes.append(found)
    for i, (a, b) in enumerate(zip(*outcomes, strict=True)):
        assert a == b, f"call {i // 2 + 1}"
    assert remembered.refusal is None
    return remembered


def replays(step):
    """Whether the step is replayed, and how often it was recorded anew."""
    (plan,) = step._remembered.plans.values()
    return plan.program is not None, plan.begun


def randn(*shape, seed=0):
    return minidl.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


QUERIES = randn(2, 3)


def test_a_value_that_is_not_finite_later_is_hidden_all_the_same():
    mask = minidl.tensor([[True, True, False]] * 2)
    values = [randn(3, 4, seed=i) for i in range(14)]
    for i in (6, 9):
        values[i][2] = minidl.nan  # no query sees it
    values[11][0, 0] = minidl.inf

    def build():
        return train(nn.Linear(3, 3), lambda net, v: F.attention_pooling(net(QUERIES), v, mask).sum())

    remembered = run_both(build, [(v,) for v in values])
    assert replays(remembered) == (True, 0)


def test_another_decision_for_good_is_recorded_anew():
    mask = minidl.tensor([[True, True, False]] * 2)
    values = [randn(3, 4, seed=i) for i in range(20)]
    for v in values[5:]:
        v[2] = minidl.nan
    remembered = run_both(
        lambda: train(nn.Linear(3, 3), lambda net, v: F.attention_pooling(net(QUERIES), v, mask).sum()),
        [(v,) for v in values],
    )
    assert replays(remembered) == (True, 1)


@pytest.mark.parametrize("kind", ["repeat_interleave", "embedding_bag"])
def test_a_size_that_depends_on_values_puts_back_what_has_changed(kind):
    """Batch norm and dropout come first, and the loss has one shape for all sizes."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    x, index = randn(4, 3), minidl.tensor([0, 1, 2, 3, 1, 0])

    def loss_of(net, n):
        y = net(x)
        if kind == "repeat_interleave":
            return y.repeat_interleave(n, 0).square().sum()
        return F.embedding_bag(index, y, n - n[0], mode="sum").square().sum()

    sizes = [minidl.tensor([0, 2, 3, 4])] * 12
    for i in (4, 6, 9):
        sizes[i] = minidl.tensor([0, 1, 1, 5])
    remembered = run_both(lambda: train(copy.deepcopy(net), loss_of), [(n,) for n in sizes])
    assert replays(remembered)[0]


def test_decisions_that_change_for_ever_end_in_an_ordinary_step():
    mask = minidl.tensor([[True, True, False]] * 2)
    values = [randn(3, 4, seed=i) for i in range(80)]
    for v in values[::2]:
        v[2] = minidl.nan
    with pytest.warns(UserWarning, match="_all_finite"):
        step, remembered, net, others = twins(
            lambda: train(nn.Linear(3, 3), lambda net, v: F.attention_pooling(net(QUERIES), v, mask).sum())
        )
        for v in values:
            assert step(v).item() == remembered(v).item()
    assert state_bytes(net) == state_bytes(others)


def test_what_has_changed_before_the_decision_is_put_back():
    """Batch norm's running statistics, and the random stream, move once for each call."""
    mask = minidl.tensor([[True, True, False]] * 2)
    values = [randn(3, 4, seed=i) for i in range(14)]
    for i in (4, 6, 9):
        values[i][2] = minidl.nan
    layers = nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Dropout(0.5)
    remembered = run_both(
        lambda: train(copy.deepcopy(nn.Sequential(*layers)), lambda net, v: F.attention_pooling(net(QUERIES), v, mask).sum()),
        [(v,) for v in values],
    )
    assert replays(remembered)[0]


def test_a_mask_that_is_causal_at_first():
    causal, other = minidl.ones(5, 5).bool().triu(1), minidl.zeros(5, 5).bool()
    other[0, 3] = True
    masks = [causal] * 6 + [other, causal, causal, other] * 2
    remembered = run_both(
        lambda: train(
            nn.MultiheadAttention(8, 2, batch_first=True),
            lambda net, x, mask: net(x, x, x, attn_mask=mask, need_weights=False)[0].square().sum(),
        ),
        [(randn(2, 5, 8, seed=i), mask) for i, mask in enumerate(masks)],
    )
    assert replays(remembered)[0]


def test_a_target_that_is_refused_is_refused_in_a_replay():
    targets = [minidl.rand(4, 1) for _ in range(14)]
    targets[8] = targets[8] + 2
    x = randn(4, 3)
    remembered = run_both(
        lambda: train(nn.Linear(3, 1), lambda net, t: F.binary_cross_entropy(t, net(x).sigmoid())), [(t,) for t in targets]
    )
    assert replays(remembered) == (True, 0)


@pytest.mark.parametrize("bad", [-1, 7])
def test_a_label_that_is_out_of_range_later(bad):
    labels = [minidl.tensor(np.arange(4) % 3) for _ in range(14)]
    labels[9] = minidl.tensor([0, bad, 1, 2])
    x = randn(4, 3)
    remembered = run_both(
        lambda: train(nn.Linear(3, 3), lambda net, y: F.nll_loss(net(x).log_softmax(1), y)), [(y,) for y in labels]
    )
    assert replays(remembered) == (True, 0)


def test_masks_and_places_are_those_of_the_call():
    """Not those of the recording: the signs, the order and the labels differ in each call."""
    inputs = [(randn(4, 6, seed=i), minidl.tensor(np.random.default_rng(i).integers(0, 3, 4))) for i in range(12)]

    def loss_of(net, x, y):
        h = net(x)
        scores = h.topk(3, 1)[0]
        return (
            F.multi_margin_loss(scores, y)
            + F.nll_loss(scores.log_softmax(1), y)
            + h.sort(1)[0][:, 0].mean()
            + h.max(0)[0].sum()
        )

    net = nn.Sequential(nn.Linear(6, 5), nn.PReLU(), nn.Hardsigmoid(), nn.Linear(5, 5))
    assert replays(run_both(lambda: train(copy.deepcopy(net), loss_of), inputs)) == (True, 0)


LAYERS = {
    "TransformerEncoderLayer with dropout": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
    "GRUCell": (lambda: nn.GRUCell(6, 4), (3, 6)),
    "LSTMCell": (lambda: nn.LSTMCell(6, 4), (3, 6)),
    "RNNCell": (lambda: nn.RNNCell(6, 4), (3, 6)),
    "RReLU": (lambda: nn.Sequential(nn.Linear(6, 4), nn.RReLU()), (3, 6)),
    "AlphaDropout": (lambda: nn.Sequential(nn.Linear(6, 4), nn.AlphaDropout(0.3)), (3, 6)),
    "Upsample": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Upsample(scale_factor=2, mode="bilinear")), (2, 1, 5, 5)),
    "InstanceNorm": (lambda: nn.Sequential(nn.Linear(5, 5), nn.InstanceNorm1d(3, track_running_stats=True)), (2, 3, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_that_draw_or_compute_beside_the_operations(name):
    make, shape = LAYERS[name]

    def loss_of(net, x):
        y = net(x)
        return (y[0] if isinstance(y, tuple) else y).square().sum()

    calls = [(randn(*shape, seed=i),) for i in range(12)]
    assert replays(run_both(lambda: train(make(), loss_of, 1e-3), calls)) == (True, 0)


def test_random_numbers_of_distributions_and_in_place():
    def loss_of(net, x):
        mean = net(x)
        noise = minidl.zeros(4, 2).normal_() + minidl.empty(4, 2).uniform_(-1, 1)
        draws = minidl.distributions.Normal(mean, 1.0).rsample() + minidl.distributions.Laplace(mean, 1.0).rsample()
        chosen = minidl.distributions.Categorical(logits=mean)
        return (
            (draws + noise).square().mean() - chosen.log_prob(chosen.sample()).mean() + F.gumbel_softmax(mean, hard=True).sum()
        )

    calls = [(randn(4, 3, seed=i),) for i in range(12)]
    assert replays(run_both(lambda: train(nn.Linear(3, 2), loss_of), calls)) == (True, 0)


def test_a_parameter_of_a_distribution_that_is_wrong_later():
    scales = [minidl.tensor(1.0 + i) for i in range(12)]
    scales[7] = minidl.tensor(-1.0)
    x, y = randn(4, 3), randn(4, 2)
    remembered = run_both(
        lambda: train(nn.Linear(3, 2), lambda net, s: -minidl.distributions.Normal(net(x), s).log_prob(y).mean()),
        [(s,) for s in scales],
    )
    assert replays(remembered) == (True, 0)


def test_numpy_between_operations_is_still_refused():
    net = nn.Linear(3, 3)

    def step(x):
        loss = (net(x) * minidl.tensor(np.sign(x.array))).sum()
        loss.backward()
        return loss

    remembered = minidl.compile(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(5):
            remembered(randn(4, 3, seed=i))
    assert remembered.refusal is not None


# --- functions that are methods, too, and what reads values


READS = {
    "equal": lambda x, other: x * 2 if minidl.equal(x, other) else x,
    "allclose": lambda x, other: x * 2 if minidl.allclose(x, other) else x,
    "nonzero": lambda x, other: x * len(minidl.nonzero(x)),
    "where": lambda x, other: x * len(minidl.where(x > 0)[0]),
    "argwhere": lambda x, other: x * len(x.argwhere()),
    "unique": lambda x, other: x * len(minidl.unique(x)),
    "index": lambda x, other: x[x[0].long()] + x,
    "slice": lambda x, other: x[: x[0].long() + 1].sum() + x,
    "text": lambda x, other: x * str(x).count("1"),
    "describe": lambda x, other: x * len(str(x.describe())),
    "dlpack": lambda x, other: x * float(np.from_dlpack(x).sum()),
    "array": lambda x, other: x * float(x.array.sum()),
    "accuracy": lambda x, other: x * accuracy(x.reshape(1, -1), minidl.tensor([0])),
}


@pytest.mark.parametrize("name", READS)
def test_what_reads_a_value_is_refused_though_the_value_stays_for_a_while(name):
    ordinary = READS[name]
    step = minidl.compile(ordinary)
    with pytest.warns(UserWarning, match="reads a value|gives its values to NumPy|by a mask"):
        for i in range(9):
            x = minidl.tensor([0.0, 0.0, 0.0] if i < 5 else [1.0, 0.0, 2.0])
            assert (step(x, minidl.zeros(3)) == ordinary(x, minidl.zeros(3))).all()


FORMS = [
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "isclose",
    "isnan",
    "isinf",
    "isfinite",
    "all",
    "any",
    "count_nonzero",
    "logical_not",
    "logical_and",
    "floor_divide",
    "clamp",
]


@pytest.mark.parametrize("name", FORMS)
def test_functions_that_are_methods(name):
    function = getattr(minidl, name)
    two = name in ("eq", "ne", "lt", "le", "gt", "ge", "isclose", "logical_and", "floor_divide", "clamp")

    def ordinary(x, y):
        return (function(x, y) if two else function(x)).float() * x

    step = minidl.compile(ordinary, fullgraph=True)
    for i in range(9):
        x, y = (minidl.tensor(np.random.default_rng(i + j).integers(j, 3, 4)).float() for j in (0, 1))
        assert (step(x, y) == ordinary(x, y)).all()


# --- errors, and Python that goes on by values


def integers(i, bad):
    return minidl.tensor([1 + i, 2, bad if i in (7, 9) else 1])


WRONG = {
    "pow": (lambda x, i: x**i, -1),
    "remainder": (lambda x, i: x % i, 0),
    "fmod": (lambda x, i: minidl.fmod(x, i), 0),
    "gather": (lambda x, i: x.gather(0, i - i // 10 * 10), 9),
    "index_fill": (lambda x, i: x.index_fill(0, i.clamp(max=9), 1), 9),
    "inv": (lambda x, i: minidl.linalg.inv(minidl.eye(3) * i), 0),
    "quantile": (lambda x, i: x.double().quantile((i / 100).double()), 1000),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_of_a_replay_is_that_of_an_ordinary_call(name):
    function, bad = WRONG[name]
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    twin = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))

    def of(net):
        def step(x, i):
            y = net(minidl.stack([x, x + 1]).float()).detach()
            return function(x, i), y

        return step

    step, ordinary = minidl.compile(of(net), fullgraph=True), of(twin)
    for i in range(12):
        given = minidl.tensor([2, 1, 0]), integers(i % 2 if i not in (7, 9) else i, bad).clamp(max=bad if bad > 2 else 2)
        found = []
        for f in (step, ordinary):
            minidl.manual_seed(i)
            try:
                found.append([x.array.tobytes() for x in f(*given)])
            except Exception as error:
                found.append((type(error), str(error)))
            found[-1] = found[-1], minidl.rand(1).item()
        assert found[0] == found[1], f"call {i + 1}"
        assert isinstance(found[0][0], tuple) == (i in (7, 9))
    assert all((p == q).all() for p, q in zip(net.buffers(), twin.buffers(), strict=True))


def entropy(x):
    return minidl.distributions.Poisson(x).entropy()


@pytest.mark.parametrize("function", [minidl.linalg.matrix_exp, entropy])
def test_how_many_terms_a_sum_has_follows_the_values(function):
    step = minidl.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(12):
            x = minidl.tensor([[1.0, 2.0], [0.5, 0.25]]) * (1 if i < 6 else 100 if i % 2 else 0.01)
            assert step(x).array.tobytes() == function(x).array.tobytes()


@pytest.mark.parametrize("at", [3, 5, 9])
def test_an_index_of_lists_and_ranges(at):
    """As in the book's cross-entropy: probabilities[range(n), labels]."""
    rows = [0, -1, 2]

    def ordinary(x, y):
        return x[list(range(len(y))), y] + x[range(3), 1] + x[rows, 0] + x[[True, False, True, True]].sum() * 0

    step = minidl.compile(lambda x, y: ordinary(x, y)[:3], fullgraph=False)
    masked = minidl.compile(lambda x, y: x[list(range(len(y))), y] + x[range(3), 1] + x[rows, 0], fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(14):
            if i == at:
                rows[0] = 3
            random = np.random.default_rng(i)
            x, y = minidl.tensor(random.normal(size=(4, 3))), minidl.tensor(random.integers(0, 3, 3))
            assert (step(x, y) == ordinary(x, y)).all() and (masked(x, y) == ordinary(x, y)).all()
