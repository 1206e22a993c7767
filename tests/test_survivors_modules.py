"""As test_survivors.py, for what modules are made of, packed sequences and networks."""

import warnings

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.nn import functional as F, init
from minidl.nn.utils import rnn


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def tensor(*shape, seed=0):
    return minidl.tensor(array(*shape, seed=seed))


# --- modules


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


def test_a_linear_layer_of_nothing_starts_at_0():
    layer = nn.Linear(0, 3)
    assert layer.bias.tolist() == layer(minidl.zeros(1, 0)).tolist()[0] == [0, 0, 0]
