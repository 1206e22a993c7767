"""What mutants of tests/mutate.py showed that no test saw: each test here kills one that lived, and its relatives.

MUTATION.md says how they were found.
"""

import math
import warnings

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.nn import functional as F
from minidl.nn import init
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


OPTIONS = [{"max_norm": 1.0}, {"norm_type": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_no_option_of_an_embedding_is_ignored(options):
    with pytest.raises(NotImplementedError, match="Embedding"):
        nn.Embedding(2, 3, **options)


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


def test_a_parameter_of_nothing_is_empty():
    empty = nn.Parameter()
    assert (empty.shape, empty.dtype, empty.requires_grad) == ((0,), minidl.float32, True)


def test_a_buffer_and_a_layer_stay_what_they_are():
    layer = nn.BatchNorm1d(2)
    with pytest.raises(TypeError, match="'running_mean' is a buffer; expected a Tensor or None, got list"):
        layer.running_mean = [0, 0]
    with pytest.raises(TypeError, match="'weight' is a Parameter; expected another Parameter or None, got Tensor"):
        layer.weight = minidl.ones(2)
    outer = nn.Sequential(layer)
    outer.layer = layer
    with pytest.raises(TypeError, match="'layer' is a Module; expected another Module or None, got int"):
        outer.layer = 3
    assert layer.running_mean.shape == (2,) and isinstance(layer.weight, nn.Parameter) and outer.layer is layer


def test_a_list_of_what_is_registered_elsewhere_gives_no_warning(recwarn):
    module = nn.Linear(2, 2)
    module.both = [module.weight, module.bias]
    list(module.parameters())
    module.state_dict()
    assert not recwarn.list


@pytest.mark.parametrize(("place", "warned"), [(999, 1), (1000, 0)])
def test_the_first_thousand_of_a_list_are_searched(place, warned):
    module = nn.Linear(1, 1)
    module.items = [0] * place + [nn.Linear(1, 1)]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        list(module.parameters())
    assert len(seen) == warned


def test_a_warning_may_change_the_module_it_speaks_of(monkeypatch):
    """A program that shows warnings itself may note on the module that it did."""
    module = nn.Linear(2, 2)
    module.hidden = [nn.Linear(2, 2)]

    def show(*_):
        for i in range(50):
            setattr(module, f"warned{i}", True)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        list(module.parameters())
    assert module.warned0


def test_what_a_module_shows_of_its_members():
    layer = nn.Linear(1, 2)
    assert repr(layer._modules) == "{}"
    assert repr(layer._parameters) == repr({"weight": layer.weight, "bias": layer.bias})


NO_NUMBERS = {  # where True is not taken for 1
    "blank": lambda x: F.ctc_loss(minidl.zeros(2, 1, 3), minidl.tensor([[2]]), [2], [1], blank=x),
    "base": lambda x: F.rotary(minidl.ones(2, 4), base=x),
    "empty": lambda x: F.nadaraya_watson(tensor(2), tensor(3), tensor(3), empty=x),
    "width": lambda x: F.gaussian_scores(tensor(2, 1), tensor(3, 1), width=x),
    "param": lambda x: init.calculate_gain("leaky_relu", x),
    "num_heads": lambda x: nn.positional.alibi_slopes(x),
    "dropout": lambda x: nn.LSTM(2, 2, 2, dropout=x),
    "hidden_size": lambda x: nn.GRUCell(2, x),
    "out_features": lambda x: nn.Linear(2, x),
    "sz": lambda x: nn.Transformer.generate_square_subsequent_mask(x),
    "patch_size": lambda x: models.PatchEmbedding(4, x, 2),
    "layers": lambda x: models.GPT(5, 4, 4, 2, x),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_true_is_no_number(name):
    NO_NUMBERS[name](1)
    with pytest.raises((ValueError, TypeError), match=r"True|bool"):
        NO_NUMBERS[name](True)


def test_a_module_gives_its_own_parameters_alone_if_asked():
    outer = nn.Sequential(nn.BatchNorm1d(2))
    outer.scale = nn.Parameter(minidl.ones(1))
    outer.register_buffer("seen", minidl.zeros(1))
    assert [p is outer.scale for p in outer.parameters(recurse=False)] == [True]
    assert [name for name, _ in outer.named_parameters(recurse=False)] == ["scale"]
    assert [b is outer.seen for b in outer.buffers(recurse=False)] == [True]
    assert [name for name, _ in outer.named_buffers(recurse=False)] == ["seen"]
    assert (len(list(outer.parameters())), len(list(outer.buffers()))) == (3, 4)


def test_the_state_of_a_lazy_layer_is_its_parameters_without_shapes():
    state = nn.LazyLinear(2).state_dict()
    assert {name: type(x) for name, x in state.items()} == {
        "weight": nn.UninitializedParameter,
        "bias": nn.UninitializedParameter,
    }
    assert {type(x) for x in nn.Linear(1, 2).state_dict().values()} == {minidl.Tensor}


@pytest.mark.parametrize("name", ["LazyBatchNorm1d", "LazyBatchNorm2d"])
def test_a_lazy_norm_is_reset_once_it_has_something_to_fill(name):
    layer, full = getattr(nn, name)(), getattr(nn, name[4:])(3)
    layer.reset_parameters()
    assert layer.has_uninitialized_params()
    for x in (full.weight, full.bias, full.running_mean, full.running_var):
        init.constant_(x, 5)
    layer.load_state_dict(full.state_dict())
    layer.reset_parameters()
    assert layer.weight.tolist() == layer.running_var.tolist() == [1, 1, 1]
    assert layer.bias.tolist() == layer.running_mean.tolist() == [0, 0, 0]


def test_a_lazy_layer_must_say_how_it_infers():
    class Mine(nn.LazyModule):
        becomes = nn.Identity

    with pytest.raises(NotImplementedError, match=r"Mine: write an infer\(self, input\) method"):
        Mine()(minidl.ones(2))


def test_what_lists_of_parameters_print():
    both = [nn.Parameter(minidl.zeros(2, 3)), nn.Parameter(minidl.zeros(4, dtype=minidl.float64))]
    lines = repr(nn.ParameterList(both)).splitlines()
    assert [line[:6] for line in lines] == ["Parame", "  (0):", "  (1):", ")"]
    named = repr(nn.ParameterDict({"weight": both[0], "bias": both[1]})).splitlines()
    assert named[0] == "ParameterDict("
    assert named[1:3] == [lines[1].replace("(0)", "(weight)"), lines[2].replace("(1)", "(bias)")]


def test_what_positions_print():
    assert repr(nn.PositionalEncoding(8, max_len=20)).startswith("PositionalEncoding(\n  8, max_len=20")


# --- packed sequences


def test_sequences_that_are_sorted_already_say_so_if_asked():
    packed = rnn.pack_padded_sequence(tensor(3, 2), [3, 2], enforce_sorted=False)
    assert packed.sorted_indices.tolist() == packed.unsorted_indices.tolist() == [0, 1]
    assert rnn.pack_padded_sequence(tensor(3, 2), [3, 2]).sorted_indices is None


def test_sequences_of_one_length_keep_their_order():
    lengths = [1 + i % 2 for i in range(1000)]
    packed = rnn.pack_padded_sequence(minidl.zeros(2, 1000), lengths, enforce_sorted=False)
    assert packed.sorted_indices.tolist() == [*range(1, 1000, 2), *range(0, 1000, 2)]


# --- networks


def test_init_cnn_fills_linear_and_conv2d_and_nothing_else():
    for layer in (nn.Linear(3, 5), nn.Conv2d(2, 3, 2)):
        again = minidl.zeros(*layer.weight.shape)
        bias = layer.bias.tolist()
        minidl.manual_seed(1)
        models.init_cnn(layer)
        minidl.manual_seed(1)
        init.xavier_uniform_(again)
        assert layer.weight.tolist() == again.tolist()
        assert layer.bias.tolist() == bias
    norm = nn.LayerNorm((3, 5))
    models.init_cnn(norm)
    assert (norm.weight == 1).all()


def test_attention_of_one_column():
    """With one key the weights are 1: the output is the value."""
    layer = models.SelfAttention(1, 1)
    x = tensor(1, 1, 1).float()
    weights = [p.detach().numpy() for p in (layer.qkv.weight, layer.qkv.bias, layer.out.weight, layer.out.bias)]
    value = x.numpy() * weights[0][2, 0] + weights[1][2]
    np.testing.assert_allclose(layer(x).detach().numpy(), value * weights[2][0, 0] + weights[3], rtol=1e-6)
    for width, heads in ((0, 1), (1, 0), (3, 2)):
        with pytest.raises(ValueError, match="the width must be a multiple of the heads"):
            models.SelfAttention(width, heads)


def test_patches_of_one_pixel_are_a_linear_layer_for_each():
    layer = models.PatchEmbedding((1, 3), 1, 4)
    x = array(2, 2, 1, 3).astype(np.float32)
    y = layer(minidl.tensor(x)).detach().numpy()
    weight, bias = layer.conv.weight.detach().numpy()[:, :, 0, 0], layer.conv.bias.detach().numpy()
    np.testing.assert_allclose(y, x[:, :, 0].swapaxes(1, 2) @ weight.T + bias, rtol=1e-5, atol=1e-6)
    for size in (0, (1, 0), True, 1.0):
        with pytest.raises(ValueError, match="size"):
            models.PatchEmbedding(size, 1, 4)
