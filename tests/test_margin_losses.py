"""Losses with margins, bags of embeddings, activations: errors that say what is right, and values from the definitions."""

import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn

X, T = minidl.tensor([[0.5, -1.0, 2.0], [0.1, 0.2, 0.3]]), minidl.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
TABLE = minidl.arange(8.0).reshape(4, 2)
I3 = minidl.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.hinge_embedding_loss(X, T.clamp(min=0)), ValueError, "targets must be 1 or -1, got 0.0; .* by 2 \\* t - 1"),
        (lambda: F.cosine_embedding_loss(X, X, minidl.tensor([1, 0])), ValueError, "targets must be 1 or -1, got 0"),
        (lambda: F.cosine_embedding_loss(X, X, T), ValueError, r"a target \(N\), or \(D\) and \(\), got \(2, 3\) and \(2, 3\)"),
        (lambda: F.margin_ranking_loss(X, X[0], T), ValueError, "losses do not broadcast"),
        (lambda: F.margin_ranking_loss(X, X, T, reduction="max"), ValueError, "reduction must be 'mean', 'sum' or 'none'"),
        (lambda: F.multi_margin_loss(X, minidl.tensor([0, 3])), IndexError, "label 3 is out of range for 3 classes"),
        (lambda: F.multi_margin_loss(X, minidl.tensor([0, -1])), IndexError, "label -1 is out of range for 3 classes"),
        (lambda: F.multi_margin_loss(X, minidl.tensor([0, 1]), p=3), ValueError, "p must be 1 or 2, got 3"),
        (lambda: nn.MultiMarginLoss(p=3), ValueError, "MultiMarginLoss: p must be 1 or 2, got 3"),
        (lambda: F.multilabel_margin_loss(X, T), ValueError, "integers of the same shape, .* float32"),
        (lambda: F.multilabel_margin_loss(X, minidl.full((2, 3), 3)), IndexError, "label 3 is out of range for 3 classes"),
        (lambda: F.triplet_margin_loss(X, X, X, margin=0), ValueError, "margin must be above 0, got 0"),
        (lambda: nn.TripletMarginLoss(margin=-1), ValueError, "TripletMarginLoss: margin must be above 0, got -1"),
        (lambda: F.triplet_margin_loss(X, X, X[0]), ValueError, "losses do not broadcast"),
        (
            lambda: F.triplet_margin_with_distance_loss(X, X, X, distance_function=2),
            TypeError,
            "distance_function must be a function of two tensors, got 2",
        ),
        (lambda: F.embedding_bag(I3, TABLE), ValueError, "needs offsets, integers"),
        (lambda: F.embedding_bag(I3, TABLE, minidl.tensor([1, 2])), ValueError, "offsets must begin with 0, never decrease"),
        (lambda: F.embedding_bag(I3, TABLE, minidl.tensor([0, 4])), ValueError, "be at most 3"),
        (lambda: F.embedding_bag(I3[None], TABLE, minidl.tensor([0])), ValueError, "takes no offsets"),
        (lambda: F.embedding_bag(I3[None], TABLE, mode="min"), ValueError, "mode must be 'sum', 'mean' or 'max', got 'min'"),
        (
            lambda: F.embedding_bag(I3[None], TABLE, per_sample_weights=minidl.ones(1, 3)),
            NotImplementedError,
            "per_sample_weights are for mode 'sum', got mode 'mean'",
        ),
        (
            lambda: F.embedding_bag(I3[None], TABLE, mode="max", scale_grad_by_freq=True),
            NotImplementedError,
            "'sum' and 'mean'",
        ),
        (lambda: F.embedding_bag(I3[None], TABLE, padding_idx=4), IndexError, "padding_idx 4 is out of range for 4 rows"),
        (lambda: F.embedding_bag(I3[None], TABLE, sparse=True), NotImplementedError, "sparse gradients are not supported"),
        (lambda: F.embedding(I3, TABLE, max_norm=True), TypeError, "max_norm must be a number or None, got True"),
        (lambda: F.embedding(I3, TABLE, max_norm=-1.0), ValueError, "max_norm 0 or more, got 2.0 and -1.0"),
        (lambda: F.celu(X, 0.0), ValueError, "celu: alpha must be above 0, got 0.0"),
        (lambda: F.softshrink(X, -1), ValueError, "softshrink: lambd must be 0 or more, got -1"),
        (lambda: F.hardtanh(X, 1, 0), ValueError, "hardtanh: min_val must not be above max_val, got 1 and 0"),
        (lambda: nn.Hardtanh(1.0, 1.0), ValueError, "Hardtanh: max_val must be above min_val, got 1.0 and 1.0"),
        (lambda: F.rrelu(X, 0.5, 0.1), ValueError, "rrelu: lower must not be above upper, got 0.5 and 0.1"),
        (lambda: F.glu(X), ValueError, r"glu: axis -1 of input \(2, 3\) must have an even size, .* got 3"),
        (lambda: F.prelu(X, minidl.ones(2)), ValueError, r"prelu: expected a weight \(1\) or \(3\) for input \(2, 3\)"),
        (
            lambda: F.prelu(X.double(), minidl.ones(1)),
            TypeError,
            "prelu: expected input and weight in one floating-point dtype",
        ),
        (lambda: F.hardshrink(I3), TypeError, "hardshrink: expected a floating-point tensor, got int64; use .float()"),
        (lambda: nn.Softmax2d()(X), ValueError, r"Softmax2d: expected an input \(N, C, H, W\) or \(C, H, W\)"),
        (lambda: F.gumbel_softmax(X, tau=0), ValueError, "gumbel_softmax: tau must be above 0, got 0"),
        (lambda: F.gumbel_softmax(X, eps=0.1), ValueError, "gumbel_softmax: eps has no meaning any more, got 0.1"),
        (lambda: nn.init.dirac_(X), ValueError, "dirac_: expected a weight .* with 3 to 5 axes"),
        (lambda: nn.init.dirac_(minidl.empty(3, 2, 3), 2), ValueError, "dirac_: groups must divide the 3 channels"),
        (lambda: nn.init.sparse_(X[0], 0.1), ValueError, "sparse_: expected a matrix"),
        (lambda: nn.init.sparse_(X, 1.5), ValueError, r"sparse_: sparsity must lie in \[0, 1\], got 1.5"),
    ],
)
def test_what_is_wrong_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_targets_of_integers_are_taken():
    assert F.soft_margin_loss(X, T.long()).item() == F.soft_margin_loss(X, T).item()
    assert F.hinge_embedding_loss(X, T.int()).item() == F.hinge_embedding_loss(X, T).item()


def test_infinities_and_nan_stay_where_they_are():
    """What a bag does not hold must not reach it, and neither what is not chosen."""
    table = minidl.tensor([[float("nan")], [1.0], [float("inf")]])
    found = F.embedding_bag(minidl.tensor([1, 1, 2, 0]), table, minidl.tensor([0, 2, 3]), mode="sum")
    assert found[0].tolist() == [2.0] and found[1].tolist() == [float("inf")] and found[2].isnan().all()
    x = minidl.tensor([float("inf")], requires_grad=True)
    weight = minidl.zeros(1, requires_grad=True)
    F.prelu(x, weight).backward(minidl.ones(1))
    assert x.grad.tolist() == [1.0] and weight.grad.tolist() == [0.0]


def test_the_table_is_shortened_but_its_gradient_is_not_touched():
    layer = nn.Embedding(3, 2, max_norm=1.0)
    layer.weight.data.copy_(minidl.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]]))
    layer(minidl.tensor([0, 1])).sum().backward()
    assert layer.weight.detach().allclose(minidl.tensor([[0.6, 0.8], [0.3, 0.4], [6.0, 8.0]]))
    assert layer.weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]


def test_samples_are_distributed_as_softmax():
    minidl.manual_seed(0)
    logits = minidl.tensor([0.2, 0.5, 0.3]).log()
    y = F.gumbel_softmax(logits.expand(20_000, 3), tau=0.5, hard=True)
    assert set(minidl.unique(y.round()).tolist()) == {0.0, 1.0} and (y.sum(1) - 1).abs().max() < 1e-6
    assert (y.mean(0) - logits.exp()).abs().max() < 0.01


def test_layers_from_a_table():
    bag = nn.EmbeddingBag.from_pretrained(TABLE, mode="max", padding_idx=-1)
    assert not bag.weight.requires_grad and bag.padding_idx == 3
    assert bag(minidl.tensor([[0, 3], [3, 3]])).tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert nn.EmbeddingBag.from_pretrained(TABLE, freeze=False).weight.requires_grad
    layer = nn.Embedding.from_pretrained(TABLE, max_norm=1.0, scale_grad_by_freq=True)
    assert repr(layer) == "Embedding(4, 2, max_norm=1.0, scale_grad_by_freq=True)"
    with pytest.raises(ValueError, match=r"expected a _weight of shape \(3, 2\), got \(4, 2\)"):
        nn.EmbeddingBag(3, 2, _weight=TABLE)
