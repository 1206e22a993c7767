"""What mutants of tests/mutate.py showed that no test saw: each test here kills one that lived, and its relatives.

MUTATION.md says how they were found; test_survivors_modules.py goes on.
"""

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn import functional as F
from minidl.nn.utils import rnn


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def tensor(*shape, seed=0):
    return minidl.tensor(array(*shape, seed=seed))


# --- functions


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_an_activation_does_not_hide_an_error_of_a_tensor(name):
    """They ask whether the input is a tensor only after an AttributeError; one that comes from a tensor stays."""

    class Broken(minidl.Tensor):
        def __getattribute__(self, asked):
            if asked == name:
                raise AttributeError("broken")
            return super().__getattribute__(asked)

    x = tensor(2)
    x.__class__ = Broken
    with pytest.raises(AttributeError, match="broken"):
        getattr(F, name)(x)


def test_labels_of_another_shape_are_told_by_their_shape_even_as_floats():
    with pytest.raises(ValueError, match=r"needs labels of shape \(2,\), got \(3,\)"):
        F.nll_loss(tensor(2, 3), minidl.zeros(3))


def test_a_mean_of_losses_divides_by_all_weights():
    """A sum in float32 forgets a 1 beside 2²⁴."""
    labels = minidl.tensor([0] + [1] * 6)
    log_probabilities = np.zeros((7, 2), np.float32)
    log_probabilities[0, 0] = -1
    weight = minidl.tensor(np.array([2**24, 1], np.float32))
    loss = F.nll_loss(minidl.tensor(log_probabilities), labels, weight)
    assert abs(loss.item() - 2**24 / (2**24 + 6)) < 1e-7


def test_ctc_of_no_sequences():
    y = F.ctc_loss(minidl.zeros(3, 0, 4), minidl.zeros(0, 2, dtype=minidl.int64), [], [], reduction="none")
    assert y.shape == (0,)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_scale_of_nothing_is_no_scale(mode):
    for factor in (0, 0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="interpolate: scale_factor must be a number above 0"):
            F.interpolate(minidl.ones(1, 1, 2), scale_factor=factor, mode=mode)


def test_one_vector_is_no_set_of_negatives():
    for shape in ((3,), (2, 4), (3, 5, 3), ()):
        with pytest.raises(ValueError, match=r"info_nce: expected negatives \(M, 3\) or \(2, M, 3\)"):
            F.info_nce(tensor(2, 3), tensor(2, 3), minidl.ones(*shape))


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "GaussianNLLLoss"])
def test_losses_of_differences_take_whole_numbers_as_targets(name):
    """By which a layer shows that it does not exchange the input and the target: the loss is the same, but not the error."""
    loss = getattr(nn, name)(reduction="none")
    given = [minidl.tensor(x) for x in (array(3), np.array([1, -2, 3]), np.ones(3))][: 3 if name == "GaussianNLLLoss" else 2]
    assert loss(*given).dtype == minidl.float64
    with pytest.raises(TypeError, match="the input is int64"):
        loss(given[1], given[0], *given[2:])


def test_rows_of_no_length_can_be_normalized():
    assert F.layer_norm(minidl.ones(2, 0), (0,)).shape == nn.LayerNorm(0)(minidl.ones(2, 0)).shape == (2, 0)


def test_a_norm_beyond_float64s_range_is_exact_without_a_warning():
    for scale in (1e200, 1e-200):
        p = nn.Parameter(minidl.zeros(2, dtype=minidl.float64))
        p.grad = minidl.tensor(np.array([3.0, 4.0]) * scale)
        total = nn.utils.clip_grad_norm_([p], 1e300, norm_type=3)
        np.testing.assert_allclose(total.item(), 91 ** (1 / 3) * scale, rtol=1e-14)


@pytest.mark.parametrize("shape", [(5, 4), (1, 4), (6, 5, 4), (1, 5, 4), (2, 6, 5, 4), (2, 1, 5, 4)])
@pytest.mark.parametrize("kind", [bool, float])
def test_shared_heads_take_every_mask(shape, kind):
    """Six heads of queries and three of keys: a mask for all, for each sequence or for each head."""
    q, k, v = array(2, 6, 5, 3), array(2, 3, 4, 3, seed=1), array(2, 3, 4, 2, seed=2)
    mask = array(*shape, seed=3)
    mask = mask > -0.5 if kind is bool else mask
    scores = q @ np.repeat(k, 2, axis=1).swapaxes(-1, -2) / math.sqrt(3)
    weights = np.where(mask, np.exp(scores), 0) if kind is bool else np.exp(scores + mask)
    expected = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300) @ np.repeat(v, 2, axis=1)
    y = F.scaled_dot_product_attention(*(minidl.tensor(x) for x in (q, k, v, mask)), enable_gqa=True)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"])
def test_pools_say_which_numbers_they_take(name):
    x = minidl.ones(1, 2, 4, 4)[0] if name.endswith("1d") else minidl.ones(1, 2, 4, 4)
    words = "numbers" if name.startswith("max") else "floating-point numbers"
    for dtype in (minidl.bool, minidl.int64)[: 1 if name.startswith("max") else 2]:
        with pytest.raises(TypeError, match=rf"{name}: expected a tensor of {words}, got {dtype}; convert it"):
            getattr(F, name)(x.to(dtype), 2)


def test_pools_of_pairs_say_which_numbers_they_take():
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        with pytest.raises(TypeError, match=rf"{name}: expected a tensor of .*numbers, got bool; convert it"):
            getattr(F, name)(minidl.ones(1, 2, 4, 4).bool(), 2)
    with pytest.raises(TypeError, match=r"max_unpool2d: expected a tensor of floating-point numbers, got int64; convert it"):
        F.max_unpool2d(minidl.ones(1, 1, 2, 2).long(), minidl.zeros(1, 1, 2, 2).long(), 2)


# --- layers


DEVICES = {
    "Linear": (2, 3),
    "LazyLinear": (2,),
    "Bilinear": (2, 3, 4),
    "Conv1d": (2, 3, 2),
    "Conv2d": (2, 3, 2),
    "ConvTranspose1d": (2, 3, 2),
    "ConvTranspose2d": (2, 3, 2),
    "LazyConv1d": (2, 3),
    "LazyConv2d": (2, 3),
    "BatchNorm1d": (2,),
    "BatchNorm2d": (2,),
    "LazyBatchNorm1d": (),
    "SyncBatchNorm": (2,),
    "InstanceNorm1d": (2, 1e-5, 0.1, True),
    "LayerNorm": (2,),
    "GroupNorm": (2, 2),
    "RMSNorm": (2,),
    "Embedding": (2, 3),
    "RNN": (2, 3),
    "GRU": (2, 3),
    "LSTM": (2, 3),
    "RNNCell": (2, 3),
    "GRUCell": (2, 3),
    "LSTMCell": (2, 3),
    "MultiheadAttention": (4, 2),
    "TransformerEncoderLayer": (4, 2),
    "TransformerDecoderLayer": (4, 2),
}


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("bias", [{}, {"bias": False}])
def test_a_layer_looks_at_its_device_and_dtype(name, bias):
    make, args = getattr(nn, name), DEVICES[name]
    if bias and name in ("Embedding", "RMSNorm"):
        bias = {}
    with pytest.raises((ValueError, RuntimeError, NotImplementedError), match="cuda"):
        make(*args, **bias, device="cuda")
    layer = make(*args, **bias, device="cpu", dtype=minidl.float64)
    assert {p.dtype for p in layer.parameters()} == {minidl.float64}


def test_the_causal_mask_looks_at_its_device_and_dtype():
    make = nn.Transformer.generate_square_subsequent_mask
    with pytest.raises((ValueError, RuntimeError, NotImplementedError), match="cuda"):
        make(2, device="cuda")
    mask = make(3, dtype=minidl.float64)
    assert mask.dtype == minidl.float64
    assert mask.tolist() == [[0, -math.inf, -math.inf], [0, 0, -math.inf], [0, 0, 0]]
    assert make(3).dtype == minidl.float32


def test_an_embedding_refuses_what_it_cannot_do():
    with pytest.raises(NotImplementedError, match="Embedding"):
        nn.Embedding(2, 3, sparse=True)


def test_an_unpooling_layer_keeps_kernel_and_stride_apart():
    x, indices = F.max_pool2d(tensor(1, 1, 7, 7), 3, 2, return_indices=True)
    y = nn.MaxUnpool2d(3, stride=2)(x, indices)
    expected = np.zeros(49)
    expected[indices.numpy().ravel()] = x.numpy().ravel()
    assert y.tolist() == expected.reshape(1, 1, 7, 7).tolist()


@pytest.mark.parametrize("attention", [nn.DotProductAttention(), nn.AdditiveAttention(4)])
def test_attention_pooling_wants_one_batch_of_matrices(attention):
    name = type(attention).__name__
    for shapes in ([(2, 1, 3), (3, 4, 3), (3, 4, 3)], [(2, 1, 3), (2, 4, 3), (3, 4, 3)], [(1, 3), (4, 3), (4, 3)]):
        with pytest.raises(ValueError, match=rf"{name}: expected queries \(B, n, d\)"):
            attention(*(tensor(*shape) for shape in shapes))


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_states_of_a_cell_have_the_shape_of_its_batch(cell):
    for state in (tensor(3, 4), tensor(2, 3), tensor(4), array(2, 4)):
        given = (state, state) if cell is nn.LSTMCell else state
        with pytest.raises(ValueError, match=rf"{cell.__name__}: expected a state of shape \(2, 4\)"):
            cell(3, 4)(minidl.zeros(2, 3), given)


@pytest.mark.parametrize(
    "states", [minidl.zeros(2, 5, 4), (minidl.zeros(5, 4),), (minidl.zeros(5, 4),) * 3, minidl.zeros(5, 4)]
)
def test_an_lstm_cell_wants_a_pair_of_states(states):
    """A tensor of two states is none: nobody would see which is h."""
    with pytest.raises(TypeError, match=r"LSTMCell: expected the states as \(h, c\)"):
        nn.LSTMCell(3, 4)(minidl.zeros(5, 3), states)


def test_packed_rows_have_one_axis_of_features():
    for shape in ((2, 3, 4), (2, 4), (2,)):
        with pytest.raises((ValueError, IndexError), match="RNN: expected packed rows of 3 features"):
            nn.RNN(3, 2)(rnn.pack_sequence([minidl.zeros(*shape)]))
