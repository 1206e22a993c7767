"""Recurrent layers and attention in remembered training steps: kernels do all of it, with the same bits."""

import functools

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn import functional as F
from tests.test_compile import Twins, numbers, sgd

CAUSAL = nn.Transformer.generate_square_subsequent_mask


def training_step(make):
    """A step that trains what make() gives on the mean of its squared outputs."""

    def build():
        net = make()
        optimizer = sgd(net)

        def step(*args):
            optimizer.zero_grad()
            y = net(*args)
            y = y if isinstance(y, minidl.Tensor) else y[0]
            loss = (y * y).mean()
            loss.backward()
            optimizer.step()
            return loss, y.detach()

        return net, step

    return build


class With(nn.Module):
    """A layer within a function: call(layer, *inputs)"""

    def __init__(self, layer, call):
        super().__init__()
        self.layer, self.call = layer, call

    def forward(self, *inputs):
        return self.call(self.layer, *inputs)


def sequences(*shapes):
    return lambda i: tuple(numbers(i + j, *shape) for j, shape in enumerate(shapes))


X = sequences((5, 3, 4))
RECURRENT = {
    "GRU": nn.GRU,
    "LSTM": nn.LSTM,
    "RNN": nn.RNN,
    "GRU as the book has it": functools.partial(nn.GRU, reset_after=False),
    "RNN of ReLU": functools.partial(nn.RNN, nonlinearity="relu"),
}
OPTIONS = {
    "one layer": {},
    "two layers, both directions": {"num_layers": 2, "bidirectional": True, "dropout": 0.3, "batch_first": True},
    "gates whose rows would lie 1024 bytes apart": {"hidden_size": 64, "bias": False},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers(name, options):
    twins = Twins(training_step(lambda: RECURRENT[name](4, **{"hidden_size": 6, **OPTIONS[options]}))).run(X)
    assert not twins.python()


ATTENTION = {
    "encoder": (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2), sequences((5, 3, 8))),
    "encoder, normalised first": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", norm_first=True, batch_first=True),
        sequences((3, 5, 8)),
    ),
    "causal": (
        lambda: With(nn.TransformerEncoderLayer(8, 2, 16), lambda layer, x: layer(x, CAUSAL(5), is_causal=True)),
        sequences((5, 3, 8)),
    ),
    "padding": (
        lambda: With(nn.TransformerEncoderLayer(8, 2, 16), lambda layer, x, m: layer(x, src_key_padding_mask=m > 1)),
        sequences((5, 3, 8), (3, 5)),
    ),
    "decoder": (
        lambda: With(
            nn.TransformerDecoderLayer(8, 2, 16), lambda layer, x, m: layer(x, m, tgt_mask=CAUSAL(5), tgt_is_causal=True)
        ),
        sequences((5, 3, 8), (4, 3, 8)),
    ),
    "Transformer": (lambda: nn.Transformer(8, 2, 1, 1, 16), sequences((4, 3, 8), (5, 3, 8))),
    "weights are wanted": (
        lambda: With(nn.MultiheadAttention(8, 2, dropout=0.3), lambda layer, x, m: layer(x, x, x, key_padding_mask=m > 1)),
        sequences((5, 3, 8), (3, 5)),
    ),
    "a bias of floats and one of masks": (
        lambda: With(
            nn.MultiheadAttention(8, 2, dropout=0.3),
            lambda layer, x, m, b: layer(x, x, x, attn_mask=b, key_padding_mask=m > 1, need_weights=False),
        ),
        sequences((5, 3, 8), (3, 5), (5, 5)),
    ),
    "a bias that is trained": (
        lambda: With(nn.Linear(4, 5), lambda layer, x: F.scaled_dot_product_attention(x, x, x, layer(x), 0.3)),
        sequences((2, 3, 5, 4)),
    ),
    "heads that share keys": (
        lambda: With(
            nn.Linear(4, 4),
            lambda layer, x: F.scaled_dot_product_attention(layer(x), x[:, :2], x[:, 2:], None, 0.3, True, enable_gqa=True),
        ),
        sequences((2, 4, 5, 4)),
    ),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_with_dropout(name):
    make, data = ATTENTION[name]
    assert not Twins(training_step(make)).run(data).python()


def test_attention_on_processors_that_read_whole_vectors(monkeypatch):
    """Its backward is given rows with room behind them then."""
    monkeypatch.setattr(minidl.kernels.fused_attention, "MASKS", False)
    make, data = ATTENTION["encoder, normalised first"]
    assert not Twins(training_step(make)).run(data).python()


def test_a_seed_is_drawn_anew_in_each_call():
    twins = Twins(lambda: (nn.ParameterList(), lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5)))
    x = numbers(0, 4, 5, 6)
    found = {twins.call(x).array.tobytes() for _ in range(12)}
    assert len(found) == 12 and not twins.python()


def test_where_a_hidden_number_is_not_finite_python_goes_on():
    def data(i):
        x, m = numbers(i, 3, 5, 8), numbers(i + 1, 3, 5)
        if i in (5, 8):
            x[0, 1], m[0, 1] = float("nan"), 5.0
        return x, m

    def step(x, m):
        return F.scaled_dot_product_attention(x, x, x, (m < 1)[:, None], dropout_p=0.5)

    assert not Twins(lambda: (nn.ParameterList(), step)).run(data, 12).python()


def test_a_mask_that_is_no_longer_causal_is_refused_at_the_same_call():
    def attend(layer, x, m):
        return layer(x, x, x, attn_mask=m, is_causal=True, need_weights=False)

    twins = Twins(training_step(lambda: With(nn.MultiheadAttention(8, 2), attend)))
    for i in range(10):
        x, m = numbers(i, 5, 3, 8), CAUSAL(5)
        if i in (5, 8):
            m[0, 1] = 0
            for step in (twins.ordinary[1], twins.remembered):
                with pytest.raises(ValueError, match="does not hide exactly"):
                    step(x, m)
        else:
            twins.call(x, m)
    assert not twins.python()


@pytest.mark.parametrize("used", [0, 1, 311, 622, 623, 624])
def test_a_seed_is_the_generators(used):
    one, two = (minidl.Generator().manual_seed(3) for _ in range(2))
    for stream in (one, two):
        stream.rand(used)
    for _ in range(400):
        seed = one.with_words(minidl.kernels.twister.seed_from)
        assert seed.dtype == np.int64 and seed == two.randint(0, 2**63 - 1, ())
    assert (one.rand(5) == two.rand(5)).all()


# --- random numbers

NOISE = {
    "randn": lambda x: x + minidl.randn(6, 4),
    "randn, the last block of which is not whole": lambda x: x + minidl.randn_like(x[:5]).sum(),
    "normal": lambda x: x * minidl.normal(1.0, 0.3, (6, 4)),
    "rand": lambda x: x * minidl.rand_like(x.mT).mT + minidl.rand(6, 4, dtype=minidl.float64).float(),
    "randint": lambda x: x[minidl.randint(0, 6, (9,))] + minidl.randint(-5, 2**50, (9, 4)).float() / 2**50,
    "a sample of a distribution": lambda x: minidl.distributions.Normal(x, 0.5).rsample(),
}


@pytest.mark.parametrize("name", NOISE)
def test_random_numbers_are_drawn_by_kernels(name):
    assert (
        not Twins(training_step(lambda: With(nn.Linear(4, 4), lambda layer, x: NOISE[name](layer(x)))))
        .run(sequences((6, 4)))
        .python()
    )


def test_two_streams_in_one_step():
    def make():
        stream = minidl.Generator().manual_seed(5)

        def step(x):
            return F.dropout(x, 0.5) + minidl.randn(6, 4, generator=stream) * minidl.rand(6, 4)

        return nn.ParameterList(), step

    twins = Twins(make)
    for i in range(12):
        twins.call(numbers(i, 6, 4))
    assert not twins.python()
