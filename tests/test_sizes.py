"""Sizes, axes, strides, kernels and counts are integers of any kind: Python's, NumPy's, and tensors of one integer.

Every row of the tables of layers and functions is called with NumPy's integers, and with tensors, in place of its own. Floats
and booleans are refused, with an error that names the argument.
"""

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import distributions, models, nn, optim
from minidl.utils import data

from .table_functional import FUNCTIONALS, assert_same
from .table_layers import LAYERS

KINDS = {"int64": np.int64, "int32": np.int32, "0-d": np.array, "tensor": minidl.tensor}


def other(x, kind):
    """x with another kind of integer in it."""
    if type(x) is int:
        return kind(x)
    return type(x)(other(n, kind) for n in x) if type(x) in (tuple, list) else x


def holds_integers(x):
    return type(x) is int or (type(x) in (tuple, list) and any(map(holds_integers, x)))


CALLS = [
    pytest.param(name, call, id=f"{name}-{i}")
    for name, calls in FUNCTIONALS.items()
    for i, call in enumerate(calls)
    if holds_integers([*call.args, *call.options.values()])
]
ROWS = [
    pytest.param(name, row, id=f"{name}-{i}")
    for name, rows in LAYERS.items()
    for i, row in enumerate(rows)
    if holds_integers([*row.options.values()])
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "call"), CALLS)
def test_functions_take_integers_of_every_kind(name, call, kind):
    function, expected = getattr(F, name), call.found(getattr(F, name))

    def with_others(*args, **options):
        args = [other(x, KINDS[kind]) for x in args]
        return function(*args, **{name: other(x, KINDS[kind]) for name, x in options.items()})

    assert_same(call.found(with_others), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "row"), ROWS)
def test_layers_take_integers_of_every_kind(name, row, kind):
    make = getattr(nn, name)

    def with_others(**options):
        return make(**{name: other(x, KINDS[kind]) for name, x in options.items()})

    assert repr(row.build(with_others)) == repr(row.build(make))  # they keep Python's
    (names, found), (wanted_names, wanted) = row.found(with_others), row.found(make)
    assert names == wanted_names
    assert_same(found, wanted)


NAMES = {"minidl": minidl, "F": F, "nn": nn, "D": distributions, "models": models, "optim": optim, "data": data}
X = NAMES["X"] = minidl.arange(24.0).reshape(2, 3, 4)
EXPRESSIONS = [  # the names of the numbers stand for integers of another kind
    "minidl.zeros(TWO, THREE)",
    "minidl.ones((TWO, THREE))",
    "minidl.zeros(size=(TWO, THREE))",
    "minidl.empty(TWO).shape",
    "minidl.full((TWO,), 1.5)",
    "minidl.full(TWO, 7)",
    "minidl.eye(TWO, THREE)",
    "minidl.arange(FOUR)",
    "minidl.arange(ONE, FOUR, TWO)",
    "minidl.linspace(0, 1, THREE)",
    "minidl.logspace(0, 1, THREE)",
    "minidl.randn(TWO).shape",
    "minidl.rand(TWO, THREE).shape",
    "minidl.randint(FOUR, (TWO,)).shape",
    "minidl.randint(ONE, TWO, (TWO,))",
    "minidl.randperm(THREE).shape",
    "minidl.normal(0.0, 1.0, (TWO,)).shape",
    "minidl.multinomial(minidl.ones(3), TWO).shape",
    "minidl.bincount(minidl.tensor([1]), minlength=THREE)",
    "minidl.Tensor(TWO, THREE)",
    "X.new_zeros(TWO, THREE)",
    "X.new_ones((TWO, THREE))",
    "X.new_full((TWO,), 3.0)",
    "X.reshape(TWO, -1)",
    "X.reshape((FOUR, THREE, TWO))",
    "X.view(FOUR, -1)",
    "X.flatten(ZERO, ONE)",
    "X.unflatten(TWO, (TWO, TWO))",
    "X.transpose(ZERO, ONE)",
    "X.permute(TWO, ZERO, ONE)",
    "X.movedim(ZERO, ONE)",
    "X.movedim((ZERO, ONE), (ONE, TWO))",
    "X.unsqueeze(ONE)",
    "X.squeeze(ONE)",
    "X[:1].squeeze(ZERO)",
    "X[:1].expand(FOUR, THREE, FOUR)",
    "X.repeat(TWO, ONE, ONE)",
    "X.tile(TWO)",
    "X.repeat_interleave(TWO, ONE)",
    "X.flip(ONE)",
    "X.roll(ONE, TWO)",
    "X.roll((ONE, TWO), (ZERO, TWO))",
    "X.split(ONE, TWO)[1]",
    "X.split((ONE, TWO), ONE)[1]",
    "X.chunk(TWO, ONE)[1]",
    "X.narrow(TWO, ONE, TWO)",
    "X.select(ONE, TWO)",
    "X.unbind(ONE)[2]",
    "X.diagonal(ONE, ONE, TWO)",
    "X[0].diag(ONE)",
    "X[0].tril(ONE)",
    "X.triu(ONE)",
    "X.topk(TWO, ONE)[0]",
    "X.sort(ONE)[0]",
    "X.argsort(ONE)",
    "X.sum(ONE)",
    "X.sum((ZERO, TWO))",
    "X.mean(ONE, keepdim=True)",
    "X.var(ONE, correction=ZERO)",
    "X.std(TWO)",
    "X.amin(ONE)",
    "X.argmax(TWO)",
    "X.amax((ZERO, ONE))",
    "X.cumsum(ONE)",
    "X.prod(ONE)",
    "X.softmax(ONE)",
    "X.logsumexp(ONE)",
    "X.norm(2, ONE)",
    "X.size(ONE)",
    "X.gather(ONE, minidl.zeros(2, 1, 4).long())",
    "X.index_select(ONE, minidl.tensor([1]))",
    "X.round(decimals=ONE)",
    "X.polygamma(ONE)",
    "X[ONE, TWO]",
    "X[:, ONE:TWO]",
    "minidl.cat([X, X], ONE)",
    "minidl.stack([X, X], TWO)",
    "minidl.unique(minidl.tensor([[1, 1]]), dim=ONE)",
    "F.one_hot(minidl.tensor([1]), THREE)",
    "F.softmax(X, ONE)",
    "F.normalize(X, dim=ONE)",
    "F.embedding(minidl.tensor([1]), X[0], padding_idx=ONE)",
    "nn.Embedding(FOUR, TWO, padding_idx=ONE)",
    "nn.RNN(TWO, THREE, num_layers=TWO)",
    "nn.LSTM(TWO, THREE, TWO)",
    "nn.GRUCell(TWO, THREE)",
    "nn.MultiheadAttention(FOUR, TWO)",
    "nn.Transformer(FOUR, TWO, ONE, ONE, FOUR)",
    "nn.TransformerEncoderLayer(FOUR, TWO, FOUR)",
    "nn.Transformer.generate_square_subsequent_mask(TWO)",
    "nn.ReflectionPad2d((ONE, ONE, ZERO, ZERO))",
    "nn.LazyConv2d(TWO, THREE, groups=ONE)",
    "nn.MLP(TWO, [THREE, FOUR], ONE)",
    "nn.Softmax(dim=ONE)",
    "nn.Flatten(ZERO, ONE)",
    "models.GPT(FOUR, FOUR, FOUR, TWO, ONE)",
    "D.Normal(0.0, 1.0).sample((TWO, THREE)).shape",
    "D.Multinomial(TWO, minidl.ones(3)).total_count",
    "optim.lr_scheduler.StepLR(optim.SGD([X.clone()], lr=0.1), TWO).step_size",
    "optim.lr_scheduler.MultiStepLR(optim.SGD([X.clone()], lr=0.1), [ONE, TWO]).milestones",
    "optim.lr_scheduler.CosineAnnealingLR(optim.SGD([X.clone()], lr=0.1), FOUR).get_last_lr()",
    "[tuple(x.shape) for x in data.DataLoader(X, batch_size=TWO, num_workers=ZERO)]",
    "[len(x) for x in data.random_split(range(3), [ONE, TWO])]",
    "minidl.manual_seed(TWO).initial_seed()",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_take_integers_of_every_kind(expression, kind):
    numbers = {"FOUR": 4, "THREE": 3, "TWO": 2, "ONE": 1, "ZERO": 0}
    others = {name: KINDS[kind](n) for name, n in numbers.items()}
    wanted = eval(expression, NAMES, numbers)
    assert repr(eval(expression, NAMES, others)) == repr(wanted)


REFUSED = {  # expressions in which SIZE is an integer of some kind, and how the error names it
    "nn.Linear(SIZE, 2)": "Linear: in_features",
    "nn.Linear(2, SIZE)": "Linear: out_features",
    "nn.Conv2d(SIZE, 2, 3)": "Conv2d: in_channels",
    "nn.Conv2d(2, SIZE, 3)": "Conv2d: out_channels",
    "nn.Conv2d(2, 2, SIZE)": "Conv2d: kernel_size",
    "nn.Conv2d(2, 2, 3, stride=SIZE)": "Conv2d: stride",
    "nn.Conv2d(2, 2, 3, padding=SIZE)": "Conv2d: padding",
    "nn.Conv2d(2, 2, 3, groups=SIZE)": "Conv2d: groups",
    "nn.BatchNorm2d(SIZE)": "BatchNorm2d: num_features",
    "nn.LayerNorm(SIZE)": "LayerNorm: normalized_shape",
    "nn.GroupNorm(SIZE, 4)": "GroupNorm: num_groups",
    "nn.Embedding(SIZE, 4)": "Embedding: num_embeddings",
    "nn.Embedding(4, 4, padding_idx=SIZE)": "Embedding: padding_idx",
    "nn.LSTM(SIZE, 4)": "LSTM: input_size",
    "nn.LSTM(4, SIZE)": "LSTM: hidden_size",
    "nn.MultiheadAttention(SIZE, 1)": "MultiheadAttention: embed_dim",
    "nn.ReflectionPad1d(SIZE)": "ReflectionPad1d: padding",
    "F.max_pool2d(X, SIZE)": "max_pool2d: kernel_size",
    "F.avg_pool1d(X, 2, SIZE)": "avg_pool1d: stride",
    "F.adaptive_avg_pool2d(X, SIZE)": "adaptive_avg_pool2d: output_size",
    "F.conv1d(X, minidl.ones(2, 3, 2), dilation=SIZE)": "conv1d: dilation",
    "F.conv1d(X, minidl.ones(2, 3, 2), groups=SIZE)": "conv1d: groups",
    "F.unfold(X[None], SIZE)": "unfold: kernel_size",
    "F.one_hot(minidl.tensor([0]), SIZE)": "one_hot: num_classes",
    "F.pad(X, (SIZE, 1))": "pad: expected two integers",
    "F.group_norm(X, SIZE)": "group_norm:",
    "F.pixel_shuffle(X, SIZE)": "pixel_shuffle: upscale_factor",
    "F.softmax(X, SIZE)": "softmax: dim",
    "X.reshape(SIZE, -1)": "reshape: expected an integer",
    "X.view(SIZE, -1)": "reshape: expected an integer",
    "X.sum(SIZE)": "sum: dim",
    "X.topk(SIZE)": "topk: expected an integer",
    "minidl.zeros(SIZE)": "zeros: sizes must be integers",
    "minidl.ones((2, SIZE))": "ones: sizes must be integers",
    "minidl.randn(SIZE)": "randn: sizes must be integers",
    "optim.lr_scheduler.StepLR(optim.SGD([X.clone()], lr=0.1), SIZE)": "StepLR: step_size",
    "optim.lr_scheduler.MultiStepLR(optim.SGD([X.clone()], lr=0.1), [SIZE])": "MultiStepLR: milestones must be a list",
}
NO_SIZES = {
    "float": 2.0,
    "bool": True,
    "numpy float": np.float64(2),
    "numpy bool": np.True_,
    "float tensor": minidl.tensor(2.0),
    "bool tensor": minidl.tensor(True),
    "vector": minidl.tensor([1, 2, 3]),
    "text": "2",
}


@pytest.mark.parametrize("what", NO_SIZES)
@pytest.mark.parametrize("expression", REFUSED)
def test_floats_and_booleans_are_refused(expression, what):
    with pytest.raises((TypeError, ValueError)) as caught:
        eval(expression, NAMES, {"SIZE": NO_SIZES[what]})
    no_option = what == "vector" and "a Tensor is no option" in str(caught.value)
    assert REFUSED[expression] in str(caught.value) or no_option


def test_a_tensor_among_the_sizes_of_a_convolution_may_change_between_two_calls():
    """The plan of a convolution is kept for the next call: with its numbers, not with the tensor."""
    x, w, stride = minidl.ones(1, 1, 9), minidl.ones(1, 1, 1), minidl.tensor(1)
    assert F.conv1d(x, w, stride=stride).shape == (1, 1, 9)
    stride.fill_(3)
    assert F.conv1d(x, w, stride=stride).shape == (1, 1, 3)
    stride = np.array([2])
    assert F.conv1d(x, w, stride=stride).shape == (1, 1, 5)
