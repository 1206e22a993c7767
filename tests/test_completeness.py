"""Every function of nn.functional has a reference in plain NumPy, and so have every layer, every loss and every kernel.

What is new fails here until it has a row. The references are in table_functional, table_layers and table_kernels.
"""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import kernels, nn
from minidl.autograd import gradcheck

from .table_functional import FUNCTIONALS, assert_same, assert_single, tensor
from .table_kernels import BACKWARD, FORWARD, SETTINGS
from .table_layers import ACTIVATIONS, ELSEWHERE, LAYERS, NO_FUNCTIONS, NORMS, options_of

CALLS = [pytest.param(name, call, id=f"{name}-{i}") for name, calls in FUNCTIONALS.items() for i, call in enumerate(calls)]


def test_every_functional_has_a_row():
    missing = sorted({name for name in F.__all__ if name[-1] != "_"} - set(FUNCTIONALS))
    assert not missing, (
        f"nn.functional: {missing} without a reference: give each a row of Calls in tests/table_functional.py, in the group "
        "that it belongs to, with a reference in plain NumPy and a Call at least for each option"
    )
    assert not set(FUNCTIONALS) - set(F.__all__)


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_functionals_are_those_of_plain_numpy(name, call):
    """And what is given float32 stays in float32."""
    function, expected = getattr(F, name), call.expected()
    assert_same(call.found(function), expected)
    if "dtype" not in call.options:
        assert_single(call.single(function), expected)


@pytest.mark.parametrize(("name", "call"), [c for c in CALLS if c.values[1].gradient])
def test_gradients_of_functionals_are_slopes(name, call):
    """Of all arrays of floats, among the options too."""
    given = {**dict(enumerate(call.args)), **call.options}
    floats = {key: tensor(x).requires_grad_() for key, x in given.items() if isinstance(x, np.ndarray) and x.dtype.kind == "f"}

    def of_floats(*xs):
        values = {key: tensor(x) for key, x in given.items()} | dict(zip(floats, xs, strict=True))
        options = {key: values[key] for key in call.options}
        y = call.call(getattr(F, name), *(values[i] for i in range(len(call.args))), **options)
        return y[0] if isinstance(y, tuple) else y

    if floats:
        assert gradcheck(of_floats, list(floats.values()))


def fails(check, *args):
    try:
        check(*args)
    except Exception:
        return True
    return False


def compare(call, function, expected, without=()):
    assert_same(call.found(function, without), expected)


ELSEWHERE_SEEN = {"inplace"}  # tests/test_twins.py
OLD_WORDS = {"size_average", "reduce", "_stacklevel"}  # of PyTorch's, which raise: test_habits.py
NOT_SUPPORTED = {  # options that raise an error, which other tests ask for
    "normalize": {"out"},
    "embedding": {"sparse"},
    "embedding_bag": {"sparse"},
    "gumbel_softmax": {"eps"},
}


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_every_option_of_a_functional_is_seen(name):
    """For each option there is a call whose check fails without it."""
    function = getattr(F, name)
    options = {p.name for p in inspect.signature(function).parameters.values() if p.default is not p.empty}
    for option in options - ELSEWHERE_SEEN - NOT_SUPPORTED.get(name, set()) - OLD_WORDS:
        calls = [call for call in FUNCTIONALS[name] if option in call.options]
        assert any(fails(compare, call, function, call.expected(), [option]) for call in calls), (
            f"{name}: no Call in tests/table_functional.py would notice that {option} is ignored: give it one"
        )


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_no_functional_could_be_another(name):
    """The checks of a row fail for every other function of nn.functional."""
    expected = [(call, call.expected()) for call in FUNCTIONALS[name]]
    others = [other for other in F.__all__ if other != name and other[-1] != "_"]
    alike = [o for o in others if not any(fails(compare, call, getattr(F, o), y) for call, y in expected)]
    assert not alike, f"{name} could be {alike}, and no test would see it: add a Call in tests/table_functional.py"


# --- layers and losses

ROWS = [pytest.param(name, row, id=f"{name}-{i}") for name, rows in LAYERS.items() for i, row in enumerate(rows)]


def compare_layer(row, make, expected, without=()):
    state, results = row.found(make, without)
    assert state == expected[0]
    assert_same(results, expected[1])


def test_every_layer_has_a_row():
    known = {*LAYERS, *ELSEWHERE, *NO_FUNCTIONS}
    activations = {*nn.activation.__all__, *nn.piecewise.__all__}
    missing = sorted({*nn.__all__, *activations} - known)
    assert not missing, (
        f"minidl.nn: {missing} without a reference: give each rows of Layer in tests/table_layers.py, in the group that it "
        "belongs to, with a reference in plain NumPy and a Layer at least for each option; or, if another file compares it "
        "with a second writing of it, an entry in ELSEWHERE"
    )
    assert activations == set(ACTIVATIONS) and known == set(nn.__all__)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_compared_elsewhere_is(name):
    file, test = ELSEWHERE[name].split(".")
    source = (Path(__file__).parent / f"{file}.py").read_text()
    assert f"nn.{name}(" in re.search(rf"\ndef {test}\(.*?(?=\n(?:def|@|# ---)|\Z)", source, re.DOTALL)[0]


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_layers_are_those_of_plain_numpy(name, row):
    """And what is given float32 stays in float32."""
    make = getattr(nn, name)
    expected = row.expected(make)
    compare_layer(row, make, expected)
    assert_single(row.single(make), expected[1])


RAISE = {"sparse", "proj_size"}  # not supported, and asked for elsewhere (LSTM's proj_size: test_recurrent_projection.py)


@pytest.mark.parametrize("name", LAYERS)
def test_every_option_of_a_layer_is_seen(name):
    """For each option there is a row whose check fails without it; dtype and device have a test of their own."""
    make = getattr(nn, name)
    raising = RAISE | {"padding_mode"} if "ConvTranspose" in name else RAISE
    for option in (
        options_of(make) - raising - ELSEWHERE_SEEN - OLD_WORDS - {"device", "dtype", "_weight", "_freeze"}
    ):  # _weight: test_wrong_values.py
        rows = [row for row in LAYERS[name] if option in row.options]
        assert any(fails(compare_layer, row, make, row.expected(make), [option]) for row in rows), (
            f"nn.{name}: no Layer in tests/table_layers.py would notice that {option} is ignored: give it one "
            "(an activation's rows come from ACTIVATIONS in tests/table_functional.py: a Call with that option)"
        )


@pytest.mark.parametrize("name", [name for name in LAYERS if "dtype" in options_of(getattr(nn, name))])
def test_dtype_and_device_of_layers(name):
    row, make = next(row for row in LAYERS[name] if row.state), getattr(nn, name)
    for options, dtype in (({}, minidl.float32), ({"dtype": minidl.float64, "device": "cpu"}, minidl.float64)):
        layer = make(**row.options, **options)
        if isinstance(layer, nn.LazyModule):
            layer(*(tensor(x).to(dtype) for x in row.inputs))
        floats = [x for x in layer.state_dict().values() if x.is_floating_point()]
        assert floats and all(x.dtype == dtype for x in floats)
    with pytest.raises(RuntimeError, match="cuda"):
        make(**row.options, device="cuda")


@pytest.mark.parametrize("name", LAYERS)
def test_promise_54_no_layer_could_be_another(name):
    """The checks of a layer's rows fail if it does what any other layer without parameters does, or calls another function."""
    make, alike = getattr(nn, name), []
    expected = [(row, row.expected(make)) for row in LAYERS[name]]
    for other, rows in LAYERS.items():
        if other != name and not rows[0].state:
            imitation = lambda rows=rows, other=other, **options: rows[0].build(getattr(nn, other))  # noqa: E731
            if not any(fails(compare_layer, row, imitation, y) for row, y in expected):
                alike.append(other)
    assert not alike, f"nn.{name} could be {alike}, and no test would see it: add a Layer in tests/table_layers.py"


UNIFORM = {  # sizes, an input for lazy layers, and of how many numbers the bound is one over the root
    "Linear": ({"in_features": 50, "out_features": 40}, None, 50),
    "LazyLinear": ({"out_features": 40}, (1, 50), 50),
    "Bilinear": ({"in1_features": 50, "in2_features": 6, "out_features": 80}, None, 50),
    "Conv1d": ({"in_channels": 20, "out_channels": 80, "kernel_size": 5, "groups": 2}, None, 50),
    "Conv2d": ({"in_channels": 8, "out_channels": 80, "kernel_size": (5, 1)}, None, 40),
    "ConvTranspose1d": ({"in_channels": 8, "out_channels": 80, "kernel_size": 5, "groups": 2}, None, 200),
    "ConvTranspose2d": ({"in_channels": 8, "out_channels": 80, "kernel_size": (5, 1)}, None, 400),
    "LazyConv1d": ({"out_channels": 80, "kernel_size": 5}, (1, 10, 5), 50),
    "LazyConv2d": ({"out_channels": 80, "kernel_size": (5, 1)}, (1, 8, 5, 5), 40),
    "LazyConvTranspose1d": ({"out_channels": 80, "kernel_size": 5}, (1, 8, 5), 400),
    "LazyConvTranspose2d": ({"out_channels": 80, "kernel_size": (5, 1)}, (1, 8, 5, 5), 400),
    "RNN": ({"input_size": 3, "hidden_size": 50}, None, 50),
    "LSTM": ({"input_size": 3, "hidden_size": 50}, None, 50),
    "GRU": ({"input_size": 3, "hidden_size": 50}, None, 50),
    "RNNCell": ({"input_size": 3, "hidden_size": 50}, None, 50),
    "LSTMCell": ({"input_size": 3, "hidden_size": 50}, None, 50),
    "GRUCell": ({"input_size": 3, "hidden_size": 50}, None, 50),
}
OF_PARTS = {"MLP", "AdditiveAttention"}  # whose parameters are those of Linear


@pytest.mark.parametrize("name", UNIFORM)
def test_first_values_are_uniform(name):
    """On ±1/√n, weights and biases: the largest is near the bound, and the deviation is bound/√3."""
    options, size, n = UNIFORM[name]
    minidl.manual_seed(0)
    layer = getattr(nn, name)(**options)
    if size is not None:
        layer(minidl.zeros(size))
    for x in layer.parameters():
        assert 0.85 / n**0.5 < x.abs().max().item() <= 1 / n**0.5
        assert x.std().item() == pytest.approx((3 * n) ** -0.5, rel=0.2) and abs(x.mean().item()) < 0.2 / n**0.5


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_first_values_of_an_embedding_are_normal(make):
    minidl.manual_seed(0)
    table = make(200, 50, padding_idx=3).weight.detach()
    assert not table[3].any()
    rows = table[minidl.arange(200) != 3]
    assert rows.std().item() == pytest.approx(1, rel=0.02) and abs(rows.mean().item()) < 0.03
    assert (rows.abs() > 2).float().mean().item() == pytest.approx(0.0455, abs=0.01)


@pytest.mark.parametrize("name", NORMS)
def test_first_values_of_norms_are_1_and_0(name):
    row = max(LAYERS[name], key=lambda row: len(row.state))
    layer = getattr(nn, name)(**row.options)
    layer.eval()(*(tensor(x).to(minidl.float32) for x in row.inputs))
    for part, start in {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1, "num_batches_tracked": 0}.items():
        if (x := layer.state_dict().get(part)) is not None:
            assert (x == start).all(), part


def test_first_values_of_all_layers_are_tested():
    trained = {name for name, rows in LAYERS.items() for row in rows if list(row.build(getattr(nn, name)).parameters())}
    missing = trained - {*UNIFORM, *NORMS, *OF_PARTS, "Embedding", "EmbeddingBag", "PReLU"}
    assert not missing, f"tests/test_completeness.py: how do the parameters of {sorted(missing)} start? Add them to UNIFORM"


# --- kernels

SLOPES = [pytest.param(name, row, id=f"{name}-{i}") for name, rows in BACKWARD.items() for i, row in enumerate(rows)]


def compare_slopes(row):
    for dx, slopes in zip(row.found(), row.expected, strict=True):
        assert dx.shape == slopes.shape and dx.dtype == np.float64
        np.testing.assert_allclose(dx, slopes, rtol=1e-6, atol=1e-8)


def test_every_kernel_has_a_row():
    missing = sorted(set(kernels.__all__) - {*BACKWARD, *FORWARD, *SETTINGS})
    assert not missing, (
        f"minidl.kernels: {missing} without a reference: give each rows in tests/table_kernels.py: of Forward, with what it "
        "computes, or if it is for gradients of Backward, with the function whose slopes it computes, both in plain NumPy"
    )
    assert {name for name in kernels.__all__ if "_backward" in name} == set(BACKWARD)
    assert {*BACKWARD, *FORWARD, *SETTINGS} == set(kernels.__all__)


@pytest.mark.parametrize(("name", "row"), SLOPES)
def test_kernels_for_gradients_are_slopes(name, row):
    compare_slopes(row)


@pytest.mark.parametrize("name", BACKWARD)
def test_no_kernel_for_gradients_could_be_another(name, monkeypatch):
    """The checks of a row fail for every other such kernel, and if the kernel passes its cotangent on."""
    for other in [other for other in BACKWARD if other != name]:
        monkeypatch.setattr(kernels, name, getattr(kernels, other))
        assert any(fails(compare_slopes, row) for row in BACKWARD[name]), f"{name} could be {other}, and no test would see it"
    monkeypatch.setattr(kernels, name, lambda dy, *args, **options: dy)
    assert any(fails(compare_slopes, row) for row in BACKWARD[name]), f"{name} could be the identity"


def compare_forward(row, kernel):
    for y, expected in zip(row.found(kernel), row.expected, strict=True):
        assert y.shape == expected.shape and y.dtype == expected.dtype
        np.testing.assert_allclose(y, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", FORWARD)
def test_kernels_are_those_of_plain_numpy_and_could_be_no_others(name):
    kernel = getattr(kernels, name)
    for row in FORWARD[name]:
        compare_forward(row, kernel)
    for other in [other for other in FORWARD if other != name]:
        assert any(fails(compare_forward, row, getattr(kernels, other)) for row in FORWARD[name]), f"{name} could be {other}"
