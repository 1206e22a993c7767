"""minidl.summary: shapes, parameters, multiply-adds and memory, against counts made by hand."""

import copy

import pytest

import minidl
from minidl import models, nn
from minidl.nn import functional as F


def only(found, kind):
    layers = [layer for layer in found.layers if layer.kind == kind]
    assert len(layers) == 1
    return layers[0]


def test_lenet_as_the_book_counts_it():
    found = minidl.summary(models.LeNet(), (1, 1, 28, 28))
    assert found.parameters == found.trainable == 61706
    convolutions = 6 * 28 * 28 * 25 + 16 * 10 * 10 * 6 * 25
    assert found.multiply_adds == convolutions + 400 * 120 + 120 * 84 + 84 * 10
    shapes = [layer.output_shape for layer in found.layers if layer.kind == "AvgPool2d"]
    assert shapes == [(1, 6, 14, 14), (1, 16, 5, 5)]
    assert found.parameter_bytes == 4 * 61706
    conv = 4 * (6 * 28 * 28 + 16 * 100)
    pools = 4 * (6 * 14 * 14 + 16 * 25)
    assert found.memory == 2 * conv + pools + 4 * (2 * 120 + 2 * 84 + 10)  # flatten is a view


LAYERS = [
    (lambda: nn.Linear(3, 4), (2, 5, 3), 10 * 12),
    (lambda: nn.Conv2d(4, 6, 3, groups=2, stride=2), (2, 4, 9, 9), 2 * 6 * 16 * 2 * 9),
    (lambda: nn.Conv1d(3, 5, 4), (2, 3, 10), 2 * 5 * 7 * 3 * 4),
    (lambda: nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 3, 3), 36 * 6 * 4),
    (lambda: nn.RNN(3, 4), (5, 2, 3), 10 * 4 * (3 + 4)),
    (lambda: nn.RNN(3, 4, bias=False), (5, 2, 3), 10 * 4 * (3 + 4)),
    (lambda: nn.LSTM(3, 4, num_layers=2), (5, 2, 3), 10 * 16 * (3 + 4) + 10 * 16 * (4 + 4)),
    (lambda: nn.GRU(3, 4, bidirectional=True), (5, 2, 3), 2 * 10 * 12 * (3 + 4)),
    (lambda: nn.Sequential(nn.ReLU(), nn.LayerNorm(3)), (5, 3), 0),
]


@pytest.mark.parametrize(("make", "size", "count"), LAYERS)
def test_multiply_adds_of_layers(make, size, count):
    assert minidl.summary(make(), size).multiply_adds == count


class Products(nn.Module):
    def forward(self, q, k):
        a = minidl.einsum("bik,bjk->bij", q, k) @ k
        return F.scaled_dot_product_attention(a, k, k)


def test_products_that_are_no_layers_are_counted():
    found = minidl.summary(Products(), [(2, 4, 3), (2, 5, 3)])
    assert found.multiply_adds == 2 * 4 * 5 * 3 * 4
    assert found.layers[0].output_shape == (2, 4, 3)


def test_shared_parameters_are_counted_once_and_frozen_ones_are_not_trainable():
    shared = nn.Linear(4, 4)
    net = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), shared, nn.ReLU(), shared)
    found = minidl.summary(net, (2, 4))
    assert (found.parameters, found.trainable) == (40, 20)
    assert [layer.parameters for layer in found.layers if layer.kind == "Linear"] == [20, 20, 0]
    assert found.multiply_adds == 3 * 32
    tied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    tied[1].weight = tied[0].weight
    assert [layer.parameters for layer in minidl.summary(tied, (2, 4)).layers] == [0, 16, 0]


def test_the_parameters_of_a_layer_that_is_not_called_are_its_parents():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.w = nn.Sequential(nn.Linear(2, 3)), nn.Parameter(minidl.ones(3))

        def forward(self, x):
            return F.linear(x, self.inner[0].weight) * self.w

    found = minidl.summary(Own(), (1, 2))
    assert [(layer.kind, layer.parameters, layer.multiply_adds) for layer in found.layers] == [("Own", 12, 6)]


def test_the_model_and_the_random_numbers_stay_as_they_are():
    net = nn.Sequential(nn.LazyLinear(3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    net[1](minidl.rand(4, 3))
    before, draws = copy.deepcopy(net[1].state_dict()), minidl.get_rng_state()
    assert minidl.summary(net, (4, 2)).parameters == 15
    assert net.training and net[0].has_uninitialized_params() and net._hooks is None
    assert all(x.equal(before[key]) for key, x in net[1].state_dict().items())
    assert minidl.get_rng_state().equal(draws)


def test_tokens_tuples_and_html():
    embedding = nn.Embedding(11, 4)
    found = minidl.summary(embedding, input_data=minidl.zeros(2, 8).long())
    assert found.layers[0].output_shape == (2, 8, 4)
    html = minidl.summary(nn.GRU(3, 4), (5, 2, 3))._repr_html_()
    assert "<table>" in html and "((5, 2, 4), (1, 2, 4))" in html and "108 parameters" in html
    assert repr(found).splitlines()[-1].startswith("44 parameters, 44 trainable (176 B); 0 multiply-adds;")


def test_errors():
    net = nn.Linear(2, 2)
    for call in (lambda: minidl.summary(net), lambda: minidl.summary(net, (1, 2), minidl.ones(1, 2))):
        with pytest.raises(ValueError, match="give input_size, such as"):
            call()
    for size in ((1, -2), [(1, 2.5)], "ab"):
        with pytest.raises(ValueError, match="expected input_size to be a shape"):
            minidl.summary(net, size)
