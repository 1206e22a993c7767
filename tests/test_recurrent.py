"""Recurrent layers: against loops of primitive operations, one thread against two, packed sequences against single ones."""

import itertools
import math

import numpy as np
import pytest
from numba import config

import minidl
from minidl import nn, ops
from minidl.autograd import gradcheck
from minidl.kernels import recurrent as kernels, threads
from minidl.nn.utils import rnn as utils
from minidl.tensors.record import apply

PLAIN = bool(config.DISABLE_JIT)
# In plain Python the kernels' scalars are NumPy's, which warn; compiled code cannot.
pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")] if PLAIN else []

KINDS = ["RNN", "relu", "LSTM", "GRU", "book's GRU"]
OPTIONS = {"relu": {"nonlinearity": "relu"}, "book's GRU": {"reset_after": False}}
COUNT = {"LSTM": 2}  # of states


def make(kind, *sizes, **options):
    layer = {"relu": nn.RNN, "book's GRU": nn.GRU}.get(kind) or getattr(nn, kind)
    return layer(*sizes, **OPTIONS.get(kind, {}), **options)


def twin(kind, x, states, w_ih, w_hh, b_ih, b_hh):
    """One layer in primitive operations: x (T, N, I), states [(N, H)] -> y (T, N, H), the last states."""
    outputs = []
    for row in x:
        a, b = row @ w_ih.T + b_ih, states[0] @ w_hh.T + b_hh
        if kind in ("RNN", "relu"):
            states = [(a + b).tanh() if kind == "RNN" else (a + b).relu()]
        elif kind == "LSTM":
            i, f, g, o = (a + b).chunk(4, -1)
            c = f.sigmoid() * states[1] + i.sigmoid() * g.tanh()
            states = [o.sigmoid() * c.tanh(), c]
        else:
            H = w_hh.shape[1]
            r, z = ((a + b)[:, : 2 * H]).sigmoid().chunk(2, -1)
            if kind == "GRU":
                n = (a[:, 2 * H :] + r * b[:, 2 * H :]).tanh()
            else:
                n = (a[:, 2 * H :] + (r * states[0]) @ w_hh[2 * H :].T + b_hh[2 * H :]).tanh()
            states = [(1 - z) * n + z * states[0]]
        outputs.append(states[0])
    return minidl.stack(outputs), states


def gradients(outputs, leaves):
    """Of a loss in which every element of every output counts in its own way."""
    loss = sum((y * minidl.tensor(np.cos(np.arange(y.numel())).reshape(y.shape).astype(y.dtype))).sum() for y in outputs)
    return minidl.autograd.grad(loss, leaves)


SHAPES = [(5, 4, 3, 7), (3, 1, 2, 1), (1, 3, 1, 5), (4, 9, 3, 17)]  # T, N, I, H
SHAPES += [] if PLAIN else [(6, 33, 20, 50), (4, 130, 3, 40), (3, 20, 30, 256)]


@pytest.mark.parametrize("T", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_promise_06_layer_and_twin_agree(kind, T):
    for steps, N, inputs, H in SHAPES:
        rng = np.random.default_rng(steps)
        minidl.manual_seed(0)
        layer = make(kind, inputs, H).to(T)
        x = minidl.tensor(rng.standard_normal((steps, N, inputs)).astype(T)).requires_grad_()
        states = [minidl.tensor(rng.standard_normal((1, N, H)).astype(T)).requires_grad_() for _ in range(COUNT.get(kind, 1))]
        leaves = [x, *states, *layer.parameters()]
        y, last = layer(x, tuple(states) if kind == "LSTM" else states[0])
        found = [y, *(last if kind == "LSTM" else [last])]
        found += gradients(found, leaves)
        exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
        count = len(states)
        y, lasts = twin(kind, exact[0], [s[0] for s in exact[1 : 1 + count]], *exact[1 + count :])
        expected = [y, *(s.unsqueeze(0) for s in lasts)]
        expected += gradients(expected, exact)
        for a, b in zip(found, expected, strict=True):
            a, b = a.detach().numpy(), b.detach().numpy()
            assert a.dtype == T and a.shape == b.shape
            np.testing.assert_allclose(a, b, 0, max(1, abs(b).max()) * {np.float32: 1e-5, np.float64: 1e-12}[T])


@pytest.mark.skipif(PLAIN, reason="plain Python runs on one thread")
@pytest.mark.parametrize("kind", KINDS)
def test_promise_25_one_thread_and_two_give_the_same_bits(kind, monkeypatch):
    monkeypatch.setattr(kernels, "_pays", lambda *_: True)
    for (steps, N, inputs, H), lengths in itertools.product(SHAPES, [False, True]):
        rng = np.random.default_rng(N)
        layer, results = make(kind, inputs, H), []
        x = minidl.tensor(rng.standard_normal((steps, N, inputs)).astype(np.float32)).requires_grad_()
        sizes = np.sort(rng.integers(1, steps + 1, N))[::-1].copy()
        for number in (1, 2, 3):
            monkeypatch.setattr(threads, "_number", number)
            y, _ = layer(utils.pack_padded_sequence(x, sizes) if lengths else x)
            y = y.data if lengths else y
            results.append([y.detach(), *gradients([y], [x, *layer.parameters()])])
        for a, *others in zip(*results, strict=True):
            assert all(minidl.equal(a, b) for b in others), (steps, N, inputs, H)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_and_directions(kind):
    """Two layers, both directions, batch first: the same as single layers by hand, and as each sequence by itself."""
    layer = make(kind, 3, 4, num_layers=2, bidirectional=True, batch_first=True).double()
    x = minidl.randn(5, 6, 3, dtype=minidl.float64)
    y, last = layer(x)
    lasts = list(last) if kind == "LSTM" else [last]
    assert y.shape == (5, 6, 8) and all(s.shape == (4, 5, 4) for s in lasts)
    h = x.transpose(0, 1)
    for level in range(2):
        outputs = []
        for direction, suffix in enumerate((f"_l{level}", f"_l{level}_reverse")):
            weights = [getattr(layer, f"{part}{suffix}") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            zeros = [minidl.zeros(5, 4, dtype=minidl.float64) for _ in lasts]
            out, states = twin(kind, h.flip(0) if direction else h, zeros, *weights)
            outputs.append(out.flip(0) if direction else out)
            for found, expected in zip(lasts, states, strict=True):
                assert minidl.allclose(found[2 * level + direction], expected, atol=1e-12)
        h = minidl.cat(outputs, -1)
    assert minidl.allclose(y, h.transpose(0, 1), atol=1e-12)
    alone, last = layer(x[2])
    assert alone.shape == (6, 8) and minidl.allclose(alone, y[2], atol=1e-12)
    assert minidl.allclose((last[0] if kind == "LSTM" else last), lasts[0][:, 2], atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_each_by_itself(kind, bidirectional):
    layer = make(kind, 3, 4, num_layers=2, bidirectional=bidirectional).double()
    sequences = [minidl.randn(n, 3, dtype=minidl.float64) for n in (3, 7, 1, 7, 2)]
    directions = 2 if bidirectional else 1
    firsts = [minidl.randn(2 * directions, 5, 4, dtype=minidl.float64) for _ in range(COUNT.get(kind, 1))]
    y, last = layer(utils.pack_sequence(sequences, enforce_sorted=False), tuple(firsts) if kind == "LSTM" else firsts[0])
    lasts = last if kind == "LSTM" else [last]
    for n, (found, x) in enumerate(zip(utils.unpack_sequence(y), sequences, strict=True)):
        own = [s[:, n] for s in firsts]
        expected, states = layer(x, tuple(own) if kind == "LSTM" else own[0])
        assert found.shape == expected.shape and minidl.allclose(found, expected, atol=1e-12)
        for a, b in zip(lasts, states if kind == "LSTM" else [states], strict=True):
            assert minidl.allclose(a[:, n], b, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_through_packing(kind):
    layer = make(kind, 2, 3, bidirectional=True).double()
    x = minidl.randn(4, 3, 2, dtype=minidl.float64).requires_grad_()

    def function(x, *weights):
        packed = utils.pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False)
        y, last = layer(packed)
        return utils.pad_packed_sequence(y)[0], last[0] if kind == "LSTM" else last

    assert gradcheck(function, (x, *layer.parameters()))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_cells_are_single_steps(kind):
    layer, cell = make(kind, 3, 4), getattr(nn, f"{kind}Cell")(3, 4)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x, h = minidl.randn(5, 2, 3), None
    y, last = layer(x)
    for t in range(5):
        h = cell(x[t], h)
        assert minidl.allclose(h[0] if kind == "LSTM" else h, y[t], atol=1e-6)
    assert minidl.allclose((h[1], last[1][0])[0] if kind == "LSTM" else h, last[1][0] if kind == "LSTM" else last[0], atol=1e-6)
    single = cell(x[0, 0])
    assert minidl.allclose(single[0] if kind == "LSTM" else single, y[0, 0], atol=1e-6)


def test_row_r6_concatenation_is_the_sum_of_two_products():
    """mission.md R6: [X, H][W_xh; W_hh] = X W_xh + H W_hh, and the layer is tanh of it."""
    layer = nn.RNN(2, 3, bias=False).double()
    x, h = minidl.randn(1, 4, 2, dtype=minidl.float64), minidl.randn(1, 4, 3, dtype=minidl.float64)
    together = minidl.cat([x[0], h[0]], 1) @ minidl.cat([layer.weight_ih_l0.T, layer.weight_hh_l0.T], 0)
    assert minidl.allclose(layer(x, h)[0][0], together.tanh(), atol=1e-12)


def test_trap_t14_the_update_gate_keeps_the_old_state():
    """mission.md T14: nn.GRU's gates are r, z, n, LSTM's i, f, g, o; z = 1 keeps the old state, and so do f = 1, i = 0."""
    gru = nn.GRU(1, 1)
    h = minidl.tensor([[[0.25]]])
    with minidl.no_grad():
        gru.bias_ih_l0[1] = 100.0
    assert minidl.allclose(gru(minidl.ones(3, 1, 1), h)[1], h)
    lstm = nn.LSTM(1, 1)
    with minidl.no_grad():
        lstm.bias_ih_l0[0], lstm.bias_ih_l0[1] = -100.0, 100.0
    assert minidl.allclose(lstm(minidl.ones(3, 1, 1), (h, h))[1][1], h)


def test_names_and_first_values():
    """mission.md T16: init_seq2seq reads `_flat_weights_names` and `_parameters`."""
    minidl.manual_seed(1)
    layer = nn.GRU(3, 4, num_layers=2, bidirectional=True)
    names = [name for name, _ in layer.named_parameters()]
    assert names == layer._flat_weights_names and list(layer._parameters) == names
    assert names[:5] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse"]
    assert layer.weight_ih_l1.shape == (12, 8) and len(layer.all_weights) == 4
    for name in layer._flat_weights_names:
        if "weight" in name:
            nn.init.xavier_uniform_(layer._parameters[name])
    values = minidl.cat([p.detach().flatten() for p in nn.LSTM(20, 25).parameters()])
    assert values.abs().max() <= 1 / math.sqrt(25) and values.std().item() == pytest.approx(0.2 / math.sqrt(3), rel=0.05)
    assert repr(nn.LSTM(3, 4, 2, dropout=0.5)) == "LSTM(3, 4, num_layers=2, dropout=0.5)"
    layer.flatten_parameters()


def test_dropout_lies_between_the_layers_and_only_in_training():
    minidl.manual_seed(0)
    layer, x = nn.GRU(3, 40, num_layers=2, dropout=1.0), minidl.randn(4, 2, 3)
    first = nn.GRU(3, 40)
    first.load_state_dict({key: value for key, value in layer.state_dict().items() if key.endswith("l0")})
    y, h = layer(x)
    assert minidl.allclose(h[0], first(x)[1][0])  # the first layer's input is not dropped
    without = nn.GRU(40, 40)
    without.load_state_dict({key[:-1] + "0": value for key, value in layer.state_dict().items() if key.endswith("l1")})
    assert minidl.allclose(y, without(minidl.zeros(4, 2, 40))[0])  # the second one's is, and its outputs are not
    layer.eval()
    assert minidl.allclose(layer(x)[0], without(first(x)[0])[0], atol=1e-6)
    with pytest.warns(UserWarning, match="GRU: dropout stands between layers"):
        nn.GRU(3, 4, dropout=0.5)


def test_promise_09_an_output_written_in_place_is_noticed():
    layer, x = nn.RNN(2, 3), minidl.randn(4, 2, 2)
    y, h = layer(x)
    h.data.zero_()  # a copy: nothing needs it
    y.sum().backward()
    y, _ = layer(x)
    y.data.zero_()
    with pytest.raises(RuntimeError, match="RNN: an array that backward needs"):
        y.sum().backward()


def test_only_some_gradients():
    x, h = minidl.randn(3, 2, 4, dtype=minidl.float64), minidl.randn(2, 5, dtype=minidl.float64)
    weights = [minidl.randn(*s, dtype=minidl.float64) for s in ((15, 4), (15, 5), (15,), (15,))]
    leaves = [t.requires_grad_() for t in (x, h, *weights)]
    full = gradients(apply(ops.GRU(), *leaves), leaves)
    for i, leaf in enumerate(leaves):
        inputs = [t if t is leaf else t.detach() for t in leaves]
        (some,) = gradients(apply(ops.GRU(), *inputs), [leaf])
        assert minidl.allclose(some, full[i], atol=1e-14)
    y, _ = apply(ops.GRU(), *leaves)
    assert minidl.isfinite(gradients([y], leaves)[0]).all()  # nobody asked for the last state


# --- packing


def test_pack_and_pad():
    x = minidl.arange(24).reshape(4, 3, 2)
    packed = utils.pack_padded_sequence(x, minidl.tensor([4, 3, 1]))
    assert packed.batch_sizes.tolist() == [3, 2, 2, 1] and packed.sorted_indices is None
    assert packed.data[:, 0].tolist() == [0, 2, 4, 6, 8, 12, 14, 18]
    padded, lengths = utils.pad_packed_sequence(packed, padding_value=-1, total_length=5)
    assert padded.shape == (5, 3, 2) and lengths.tolist() == [4, 3, 1]
    assert padded[:, 2].tolist() == [[4, 5]] + [[-1, -1]] * 4 and (padded[4] == -1).all()
    unsorted = utils.pack_padded_sequence(x.transpose(0, 1), [1, 4, 3], batch_first=True, enforce_sorted=False)
    assert unsorted.sorted_indices.tolist() == [1, 2, 0] and unsorted.unsorted_indices.tolist() == [2, 0, 1]
    assert unsorted.data[:3, 0].tolist() == [2, 4, 0]
    padded, lengths = utils.pad_packed_sequence(unsorted, batch_first=True)
    assert lengths.tolist() == [1, 4, 3] and minidl.equal(padded[1], x[:, 1]) and minidl.equal(padded[2, :3], x[:3, 2])
    left = utils.pad_sequence([minidl.tensor([1.0, 2]), minidl.tensor([3.0])], batch_first=True, padding_side="left")
    assert left.tolist() == [[1, 2], [0, 3]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.RNN(3, 0), ValueError, "hidden_size must be 1 or more, got 0"),
        (lambda: nn.RNN(2.5, 3), TypeError, "input_size must be an integer"),
        (lambda: nn.RNN(2, 3, nonlinearity="sin"), ValueError, "'tanh' or 'relu'"),
        (lambda: nn.GRU(2, 3, dropout=1.5), ValueError, "probability"),
        (lambda: nn.GRU(2, 3)(minidl.ones(4, 5, 3)), ValueError, r"\(T, N, 2\) or \(T, 2\), got \(4, 5, 3\)"),
        (lambda: nn.GRU(2, 3)(np.ones((4, 5, 2))), TypeError, r"write minidl.tensor\(x\)"),
        (lambda: nn.GRU(2, 3)(minidl.ones(0, 5, 2)), ValueError, "length 1 or more"),
        (lambda: nn.GRU(2, 3)(minidl.ones(4, 5, 2), minidl.ones(1, 4, 3)), ValueError, r"h_0 of shape \(1, 5, 3\)"),
        (lambda: nn.LSTM(2, 3)(minidl.ones(4, 5, 2), minidl.ones(1, 5, 3)), TypeError, r"\(h_0, c_0\)"),
        (lambda: nn.LSTM(2, 3)(minidl.ones(4, 5, 2), (minidl.ones(1, 5, 3), None)), TypeError, "c_0 as a Tensor"),
        (lambda: nn.GRU(2, 3)(minidl.ones(4, 5, 2), minidl.ones(1, 5, 3).double()), ValueError, "float64"),
        (lambda: nn.GRU(2, 3)(minidl.ones(4, 5, 2).double()), TypeError, "float32"),
        (lambda: nn.GRUCell(2, 3)(minidl.ones(4, 3)), ValueError, r"\(N, 2\)"),
        (lambda: nn.LSTMCell(2, 3)(minidl.ones(4, 2), minidl.ones(4, 3)), TypeError, r"\(h, c\)"),
        (lambda: nn.RNNCell(2, 3)(minidl.ones(4, 2), minidl.ones(3, 3)), ValueError, r"\(4, 3\)"),
        (lambda: utils.pack_padded_sequence(minidl.ones(4, 2, 1), [2, 4]), ValueError, "enforce_sorted=False"),
        (lambda: utils.pack_padded_sequence(minidl.ones(4, 2, 1), [5, 4]), ValueError, "from 1 to 4"),
        (lambda: utils.pack_padded_sequence(minidl.ones(4, 2, 1), [4, 0]), ValueError, "from 1 to 4"),
        (lambda: utils.pack_padded_sequence(minidl.ones(4, 2, 1), [4]), ValueError, "2 lengths"),
        (lambda: utils.pad_packed_sequence(minidl.ones(3)), TypeError, "PackedSequence"),
        (lambda: utils.pad_packed_sequence(utils.pack_sequence([minidl.ones(3)]), total_length=2), ValueError, "3 steps"),
        (lambda: utils.pad_sequence([]), TypeError, "one or more"),
        (lambda: utils.pad_sequence([minidl.ones(2, 1), minidl.ones(2, 2)]), ValueError, "agree"),
    ],
)
def test_promise_26_mistakes_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_empty_batch_is_no_mistake():
    y, h = nn.LSTM(2, 3)(minidl.ones(4, 0, 2))
    assert y.shape == (4, 0, 3) and h[0].shape == (1, 0, 3)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_against_pytorch(kind, packed):
    """The same seed gives the same first values; PyTorch's state_dict gives PyTorch's outputs and gradients."""
    torch = pytest.importorskip("torch")
    minidl.manual_seed(0)
    torch.manual_seed(0)
    options = {"num_layers": 2, "bidirectional": True}
    ours, theirs = getattr(nn, kind)(3, 4, **options), getattr(torch.nn, kind)(3, 4, **options)
    assert repr(ours) == repr(theirs)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    minidl.manual_seed(5)
    ours = getattr(nn, kind)(3, 4, **options)
    ours.load_state_dict({key: minidl.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    x, results = np.random.default_rng(0).standard_normal((6, 3, 3)).astype(np.float32), []
    for dl, layer, tools in ((minidl, ours, utils), (torch, theirs, torch.nn.utils.rnn)):
        leaf = dl.tensor(x, requires_grad=True)
        given = tools.pack_padded_sequence(leaf, dl.tensor([2, 6, 4]), enforce_sorted=False) if packed else leaf
        y, last = layer(given)
        outputs = [y.data if packed else y, *(last if kind == "LSTM" else [last])]
        sum((i * y.sin()).sum() for i, y in enumerate(outputs, 1)).backward()
        results.append([t.detach().numpy() for t in outputs] + [t.grad.numpy() for t in (leaf, *layer.parameters())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, 1e-5, 1e-5)
