"""Gradients of gradients through attention, recurrent layers and CTC, whose kernels are written out in primitive operations."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import grad, gradcheck, gradgradcheck

F = nn.functional


def leaf(*shape, scale=1.0):
    return (minidl.randn(*shape, dtype=minidl.float64) * scale).requires_grad_()


def gradient_as_a_function(f):
    """The gradient of Σ f² for the first input, recorded: a function to check the third derivative with."""

    def function(*xs):
        with minidl.enable_grad():
            return grad((f(*xs) ** 2).sum(), xs[0], create_graph=True)[0]

    return function


def lstm(x, h, c, w_ih, w_hh, b_ih, b_hh):
    y, (last, cell) = nn_lstm(x, (h, c), (w_ih, w_hh, b_ih, b_hh))
    return minidl.cat([y.flatten(), last.flatten(), cell.flatten()])


def nn_lstm(x, states, weights):
    layer = nn.LSTM(x.shape[-1], states[0].shape[-1]).double()
    return minidl.func.functional_call(layer, dict(zip(dict(layer.named_parameters()), weights, strict=True)), (x, states))


THIRD = {
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), [(2, 3), (2, 3), (2, 2)]),
    "attention with a mask": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=minidl.tensor([[True, False], [False, False]])),
        [(2, 2), (2, 2), (2, 2)],
    ),
    "LSTM": (lstm, [(2, 1, 2), (1, 1, 2), (1, 1, 2), (8, 2), (8, 2), (8,), (8,)]),
    "CTC": (
        lambda x: F.ctc_loss(x.log_softmax(-1), minidl.tensor([[1, 1], [2, 0]]), [3, 2], [2, 1], reduction="none"),
        [(3, 2, 3)],
    ),
}


@pytest.mark.parametrize("name", THIRD)
def test_third_order(name):
    minidl.manual_seed(1)
    f, shapes = THIRD[name]
    inputs = [leaf(*shape, scale=0.7) for shape in shapes]
    assert gradgradcheck(gradient_as_a_function(f), inputs)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"bidirectional": True, "num_layers": 2}])
def test_layers_recorded_and_differentiated(kind, options):
    minidl.manual_seed(2)
    layer = kind(2, 2, **options).double()
    x = leaf(3, 2, 2)
    parameters = list(layer.parameters())
    loss = lambda: (layer(x)[0] ** 2).sum()  # noqa: E731
    first, recorded = grad(loss(), [x, *parameters]), grad(loss(), [x, *parameters], create_graph=True)
    for a, b in zip(first, recorded, strict=True):
        np.testing.assert_allclose(b.array, a.array, 1e-9, 1e-12)
    assert gradcheck(lambda x: gradient_as_a_function(lambda x: layer(x)[0])(x), [x])


def test_packed_sequences():
    minidl.manual_seed(3)
    layer = nn.GRU(2, 3, bidirectional=True).double()
    x = leaf(3, 2, 2)

    def f(x):
        packed = nn.utils.rnn.pack_padded_sequence(x, [3, 1])
        y, last = layer(packed)
        return minidl.cat([y.data.flatten(), last.flatten()])

    assert gradgradcheck(f, [x])


def test_an_output_that_nobody_used():
    layer = nn.LSTM(2, 3).double()
    x = leaf(2, 1, 2)
    _, (_, cell) = layer(x)
    loss = (cell**2).sum()
    (first,) = grad(loss, x, retain_graph=True)
    (dx,) = grad(loss, x, create_graph=True)
    np.testing.assert_allclose(dx.array, first.array, 1e-10)
    assert grad((dx**2).sum(), x)[0].shape == x.shape


def test_dropped_weights_are_dropped_again():
    minidl.manual_seed(4)
    q, k, v = leaf(2, 5, 3), leaf(2, 6, 3), leaf(2, 6, 2)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.4)
    dy = minidl.randn(2, 5, 2, dtype=minidl.float64)
    for a, b in zip(grad(y, [q, k, v], dy, retain_graph=True), grad(y, [q, k, v], dy, create_graph=True), strict=True):
        np.testing.assert_allclose(b.array, a.array, 1e-10, 1e-12)
    assert (y.detach().array != F.scaled_dot_product_attention(q, k, v).detach().array).any()


BROADCAST = [((5, 3), (6, 3), (4, 6, 2)), ((2, 1, 5, 3), (1, 6, 3), (3, 6, 2)), ((3, 5, 3), (6, 3), (6, 2))]


@pytest.mark.parametrize("shapes", BROADCAST)
def test_dropped_weights_where_the_batches_broadcast(shapes):
    minidl.manual_seed(6)
    inputs = [leaf(*shape) for shape in shapes]
    y = F.scaled_dot_product_attention(*inputs, dropout_p=0.5)
    dy = minidl.randn(*y.shape, dtype=minidl.float64)
    for a, b in zip(grad(y, inputs, dy, retain_graph=True), grad(y, inputs, dy, create_graph=True), strict=True):
        np.testing.assert_allclose(b.array, a.array, 1e-10, 1e-12)


def test_what_nobody_sees_may_be_nan():
    q, k, v = leaf(2, 3), leaf(3, 3), leaf(3, 2)
    with minidl.no_grad():
        k[2] = math.nan
        v[2] = math.inf
    mask = minidl.tensor([True, True, False])
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.expand(2, 3))
    first, recorded = grad(y.sum(), [q, k, v], retain_graph=True), grad(y.sum(), [q, k, v], create_graph=True)
    for a, b in zip(first, recorded, strict=True):
        np.testing.assert_allclose(b.array, a.array, 1e-10, 1e-12)
    assert np.isfinite(grad((recorded[0] ** 2).sum(), q)[0].array).all()


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_a_target_that_has_no_alignment(zero_infinity):
    x = leaf(2, 2, 3)
    y = F.ctc_loss(x, minidl.tensor([[1, 1], [1, 2]]), [2, 2], [2, 2], reduction="none", zero_infinity=zero_infinity)
    (first,) = grad(y, x, minidl.ones(2, dtype=minidl.float64), retain_graph=True)
    (recorded,) = grad(y, x, minidl.ones(2, dtype=minidl.float64), create_graph=True)
    np.testing.assert_allclose(recorded.array, first.array, 1e-10)
    assert np.isnan(recorded.array[:, 0]).all() != zero_infinity


def test_steps_and_labels_of_length_0():
    x = leaf(2, 2, 3)
    y = F.ctc_loss(x, minidl.tensor([[0], [1]]), [0, 2], [0, 1], reduction="none")
    (dx,) = grad(y, x, minidl.ones(2, dtype=minidl.float64), create_graph=True)
    assert dx[:, 0].tolist() == [[0, 0, 0], [0, 0, 0]] and dx[:, 1].detach().sum().item() == pytest.approx(-2)


def test_hessian_vector_product_of_a_small_transformer():
    minidl.manual_seed(5)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).double()
    x = leaf(1, 3, 4)
    (dx,) = grad((layer(x) ** 3).sum(), x, create_graph=True)
    v = minidl.randn(1, 3, 4, dtype=minidl.float64)
    (product,) = grad(dx, x, v)
    step = 1e-5
    slopes = []
    for sign in (1, -1):
        moved = (x.detach() + sign * step * v).requires_grad_()
        slopes.append(grad((layer(moved) ** 3).sum(), moved)[0].array)
    np.testing.assert_allclose(product.array, (slopes[0] - slopes[1]) / (2 * step), 1e-5, 1e-6)


def test_attention_of_any_shapes_and_options_is_recorded_as_it_is():
    """Batches that broadcast in every way, also the mask's, with every kind of mask, scale and dropout."""
    rng = np.random.default_rng(0)
    for trial in range(150):
        full, (L, S, E, V) = rng.choice([1, 2, 3], 2), rng.integers(1, 6, 4)

        def shape(*last, full=full):
            batch = [int(n) if rng.random() < 0.7 else 1 for n in full][rng.integers(0, 3) :]
            return (*batch, *map(int, last))

        inputs = [minidl.tensor(rng.normal(size=shape(*s)), requires_grad=True) for s in ((L, E), (S, E), (S, V))]
        options = {"dropout_p": float(rng.choice([0, 0.4])), "scale": [None, 0.0, -1.0, 0.3][rng.integers(4)]}
        batch = np.broadcast_shapes(*(x.shape[:-2] for x in inputs))
        mask = (*batch[rng.integers(0, len(batch) + 1) :], int(rng.choice([1, L])), int(S))
        kind = rng.integers(4)
        if kind == 1:
            options["is_causal"] = True
        elif kind == 2:
            options["attn_mask"] = minidl.tensor(rng.random(mask) < 0.6)
        elif kind == 3:
            bias = np.where(rng.random(mask) < 0.3, -np.inf, rng.normal(size=mask))
            options["attn_mask"] = minidl.tensor(bias, requires_grad=True)
            inputs.append(options["attn_mask"])
        minidl.manual_seed(trial)
        y = F.scaled_dot_product_attention(*inputs[:3], **options)
        dy = minidl.tensor(rng.normal(size=y.shape))
        for a, b in zip(grad(y, inputs, dy, retain_graph=True), grad(y, inputs, dy, create_graph=True), strict=True):
            np.testing.assert_allclose(b.array, a.array, 1e-9, 1e-11, err_msg=str((trial, kind, options)))
