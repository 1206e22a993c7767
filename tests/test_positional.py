"""Sinusoidal and rotary positions, and attention that falls with distance."""

import math

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn
from minidl.autograd import gradcheck
from minidl.nn.positional import alibi_bias, alibi_slopes


def test_the_book_s_numbers():
    table = nn.PositionalEncoding(32, 0).P
    assert table.shape == (1, 1000, 32)
    np.testing.assert_allclose(table.numpy()[0, 1, [0, 1, 6, 7]], [0.841471, 0.540302, 0.176892, 0.984230], atol=1e-6)


def test_every_value_is_a_sine_or_cosine_of_its_definition():
    table = nn.PositionalEncoding(6, max_len=50).P.numpy()[0]
    for p in (0, 1, 7, 49):
        for i in range(3):
            angle = p / 10000 ** (2 * i / 6)
            assert table[p, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[p, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_the_table_is_added_and_not_learned():
    layer = nn.PositionalEncoding(4, max_len=5)
    x = minidl.randn(2, 3, 4)
    np.testing.assert_array_equal(layer(x).numpy(), x.numpy() + layer.P.numpy()[:, :3])
    assert list(layer.parameters()) == [] and layer.state_dict() == {}
    assert layer.double().P.dtype == minidl.float64


def test_dropout_acts_on_the_sum_in_training_alone():
    layer = nn.PositionalEncoding(8, 0.5, max_len=64)
    x = minidl.ones(1, 64, 8) * 3
    kept = layer(x).numpy() / (3 + layer.P.numpy())
    assert set(np.round(kept, 5).ravel()) == {0, 2}
    np.testing.assert_array_equal(layer.eval()(x).numpy(), 3 + layer.P.numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.PositionalEncoding(5), "num_hiddens must be even and above 0, got 5"),
        (lambda: nn.PositionalEncoding(0), "even and above 0"),
        (lambda: nn.PositionalEncoding(4, max_len=-1), "max_len must be an integer"),
        (lambda: nn.PositionalEncoding(4, max_len=3)(minidl.ones(1, 4, 4)), "4 is longer than max_len=3"),
        (lambda: nn.PositionalEncoding(4)(minidl.ones(3, 4)), r"expected an input \(N, T, 4\)"),
        (lambda: nn.PositionalEncoding(4)(minidl.ones(1, 3, 6)), r"expected an input \(N, T, 4\)"),
        (lambda: F.rotary(minidl.ones(2, 3)), "even length"),
        (lambda: F.rotary(minidl.ones(2, 4), [1]), "expected 2 integers as positions"),
        (lambda: F.rotary(minidl.ones(2, 4), [0.0, 1.0]), "expected 2 integers as positions"),
        (lambda: F.rotary(minidl.ones(4)), r"shape \(…, T, E\)"),
        (lambda: F.rotary(minidl.ones(2, 4), base=0), "base must be a number above 0"),
        (lambda: alibi_slopes(0), "at least 1"),
        (lambda: alibi_bias(minidl.ones(2), 3, 2), "0 ≤ queries ≤ keys"),
        (lambda: alibi_bias(minidl.ones(2, 1), 3, 3), r"expected slopes \(H\)"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rotary_turns_each_pair_by_its_angle():
    x = np.random.default_rng(0).normal(size=(2, 3, 6))
    y = F.rotary(minidl.tensor(x), [4, 0, 9]).numpy()
    pairs = x[..., ::2] + 1j * x[..., 1::2]  # a turn is a product with exp(i·angle)
    for t, p in enumerate([4, 0, 9]):
        for i in range(3):
            turned = pairs[:, t, i] * np.exp(1j * p / 10000 ** (2 * i / 6))
            np.testing.assert_allclose(y[:, t, 2 * i], turned.real, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(y[:, t, 2 * i + 1], turned.imag, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(y[:, 1], x[:, 1])  # position 0 stays


def test_rotary_counts_from_0_and_takes_a_tensor_and_a_base():
    x = minidl.randn(2, 5, 4)
    np.testing.assert_array_equal(F.rotary(x).numpy(), F.rotary(x, minidl.arange(5)).numpy())
    assert F.rotary(x).dtype == minidl.float32
    y = F.rotary(minidl.tensor([[0.0, 0.0, 1.0, 0.0]]), [3], base=100.0)
    np.testing.assert_allclose(y.numpy(), [[0, 0, math.cos(0.3), math.sin(0.3)]], atol=1e-6)


def test_the_product_of_turned_vectors_depends_on_the_difference_of_positions_alone():
    rng = np.random.default_rng(1)
    q, k = (minidl.tensor(rng.normal(size=(1, 8))) for _ in range(2))

    def product(p, r):
        return float((F.rotary(q, [p]) * F.rotary(k, [r])).sum())

    for difference in (0, 1, 5):
        values = [product(p + difference, p) for p in (0, 3, 40, 900)]
        assert values == pytest.approx([values[0]] * 4, rel=1e-9)
    assert product(1, 0) != pytest.approx(product(0, 1), rel=1e-3)
    assert float(F.rotary(q, [17]).norm()) == pytest.approx(float(q.norm()))


def test_gradient_of_rotary():
    x = minidl.tensor(np.random.default_rng(2).normal(size=(2, 3, 4)), requires_grad=True)
    assert gradcheck(lambda x: F.rotary(x, [2, 5, 1]), (x,))


def test_slopes_of_the_paper():
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    np.testing.assert_allclose(alibi_slopes(16).numpy(), 2 ** (-0.5 * np.arange(1, 17)), rtol=1e-6)
    # 12 heads: the 8 of 8 heads, then the 1st, 3rd, 5th and 7th of 16
    more = [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]
    np.testing.assert_allclose(alibi_slopes(12).numpy(), [2.0**-i for i in range(1, 9)] + more, rtol=1e-6)
    assert alibi_slopes(1).tolist() == [2.0**-8]


def test_alibi_bias_is_the_distance_times_the_slope():
    slopes = minidl.tensor([0.5, 0.25])
    bias = alibi_bias(slopes, 3, 5).numpy()
    for h, slope in enumerate([0.5, 0.25]):
        for i in range(3):
            for j in range(5):
                distance = (i + 2) - j  # the queries are positions 2, 3, 4
                assert bias[h, i, j] == (-slope * distance if distance >= 0 else -math.inf)
    both = alibi_bias(slopes, 4, 4, causal=False).numpy()
    np.testing.assert_array_equal(both, both.transpose(0, 2, 1))
    assert both[1, 0, 3] == -0.75
    assert alibi_bias(minidl.zeros(1), 2, 2).tolist() == [[[0, -math.inf], [0, 0]]]
