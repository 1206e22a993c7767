"""LSTM(proj_size=…): against a loop of primitive operations, packed against single sequences, and against PyTorch's names."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import gradcheck
from minidl.nn.utils import rnn as utils

F64 = minidl.float64
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def by_hand(x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr):
    outputs = []
    for row in x:
        i, f, g, o = (row @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = (o.sigmoid() * c.tanh()) @ w_hr.T
        outputs.append(h)
    return minidl.stack(outputs), h, c


def states(layer, N):
    lead = layer.num_layers * layer.directions
    return minidl.randn(lead, N, layer.proj_size, dtype=F64), minidl.randn(lead, N, layer.hidden_size, dtype=F64)


@pytest.mark.parametrize("given", [False, True])
def test_outputs_states_and_gradients_are_those_of_a_loop(given):
    minidl.manual_seed(1)
    layer = nn.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2).double()
    x = minidl.randn(4, 6, 3, dtype=F64, requires_grad=True)
    h, c = (
        (s.requires_grad_() for s in states(layer, 6))
        if given
        else (minidl.zeros(4, 6, 2, dtype=F64), minidl.zeros(4, 6, 5, dtype=F64))
    )
    y, (h_n, c_n) = layer(x, (h, c) if given else None)
    assert y.shape == (4, 6, 4) and h_n.shape == (4, 6, 2) and c_n.shape == (4, 6, 5)
    below, lasts = x, []
    for level in range(2):
        outputs = []
        for direction, suffix in enumerate((f"_l{level}", f"_l{level}_reverse")):
            at = 2 * level + direction
            weights = [getattr(layer, part + suffix) for part in PARTS]
            out, *last = by_hand(below.flip(0) if direction else below, h[at], c[at], *weights)
            outputs.append(out.flip(0) if direction else out)
            lasts.append(last)
        below = minidl.cat(outputs, -1)
    wanted = [below, *(minidl.stack(parts) for parts in zip(*lasts, strict=True))]
    leaves = [x, *([h, c] if given else []), *layer.parameters()]
    found = [y, h_n, c_n]
    cotangents = [minidl.randn(*t.shape, dtype=F64) for t in found]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(force=True), b.numpy(force=True), 0, 1e-12)
    ours, theirs = (
        minidl.autograd.grad(sum((t * d).sum() for t, d in zip(outputs, cotangents, strict=True)), leaves)
        for outputs in (found, wanted)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 0, 1e-11)


def test_packed_sequences_are_each_by_itself():
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2).double()
    sequences = [minidl.randn(n, 3, dtype=F64) for n in (3, 7, 1, 7, 2)]
    h, c = states(layer, 5)
    y, (h_n, c_n) = layer(utils.pack_sequence(sequences, enforce_sorted=False), (h, c))
    for n, (found, x) in enumerate(zip(utils.unpack_sequence(y), sequences, strict=True)):
        expected, (h_1, c_1) = layer(x, (h[:, n], c[:, n]))
        assert expected.shape == (len(x), 4) and minidl.allclose(found, expected, atol=1e-12)
        assert minidl.allclose(h_n[:, n], h_1, atol=1e-12) and minidl.allclose(c_n[:, n], c_1, atol=1e-12)


def test_gradients_of_first_and_second_order():
    layer = nn.LSTM(2, 3, proj_size=2, bias=False, batch_first=True).double()
    x, (h, c) = minidl.randn(2, 3, 2, dtype=F64, requires_grad=True), states(layer, 2)
    f = lambda x, h, c: layer(x, (h, c))[0]  # noqa: E731
    inputs = x, h.requires_grad_(), c.requires_grad_()
    assert gradcheck(f, inputs)
    assert minidl.autograd.gradgradcheck(f, inputs)


def test_names_shapes_and_text_are_pytorchs():
    layer = nn.LSTM(3, 4, 2, bias=False, bidirectional=True, proj_size=2)
    shapes = {name: p.shape for name, p in layer.named_parameters()}
    assert list(shapes) == [
        f"{part}_l{level}{end}"
        for level in (0, 1)
        for end in ("", "_reverse")
        for part in ("weight_ih", "weight_hh", "weight_hr")
    ]
    assert [shapes[f"{part}_l1"] for part in ("weight_ih", "weight_hh", "weight_hr")] == [(16, 4), (16, 2), (2, 4)]
    assert [len(weights) for weights in layer.all_weights] == [3] * 4
    assert repr(layer) == "LSTM(3, 4, num_layers=2, bias=False, bidirectional=True, proj_size=2)"


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.LSTM(2, 3, proj_size=3), ValueError, "proj_size must be 0 .* to 2, below hidden_size, got 3"),
        (lambda: nn.LSTM(2, 3, proj_size=-1), ValueError, "got -1"),
        (lambda: nn.LSTM(2, 3, proj_size=1.5), TypeError, "proj_size must be an integer"),
        (lambda: nn.GRU(2, 3, proj_size=1), ValueError, "GRU: only LSTM has a projection"),
        (
            lambda: nn.LSTM(2, 3, proj_size=1)(minidl.ones(4, 5, 2), (minidl.ones(1, 5, 3), minidl.ones(1, 5, 3))),
            ValueError,
            r"h_0 of shape \(1, 5, 1\)",
        ),
    ],
)
def test_wrong_sizes_raise(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
