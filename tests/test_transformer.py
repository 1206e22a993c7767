"""MultiheadAttention and the Transformer's layers against a second writing of them: loops in NumPy, one query at a time."""

import copy
import itertools
import math
import warnings

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import gradcheck
from minidl.nn.attention import unpacked_heads

BOTH = (False, True)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def tensors(*arrays):
    return [minidl.tensor(a) for a in arrays]


def randomised(layer, seed=1):
    """In float64, with all parameters (biases and norms too) away from where they start, and in evaluation."""
    layer = layer.double().eval()
    rng = np.random.default_rng(seed)
    for p in layer.parameters():
        p.data = minidl.tensor(p.detach().numpy() + rng.normal(0, 0.3, p.shape))
    return layer


# --- the references


def value(p):
    return p.detach().numpy()


def dense(layer, x):
    return x @ value(layer.weight).T + (0 if layer.bias is None else value(layer.bias))


def norm(layer, x):
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps) * value(layer.weight)
    return y if layer.bias is None else y + value(layer.bias)


def attend(layer, query, key, values, hidden=None, added=None):
    """One sequence: (L, E), (S, kdim), (S, vdim) → output (L, E) and weights (H, L, S); hidden and added are (H, L, S)."""
    E, H = layer.embed_dim, layer.num_heads
    D = E // H
    if layer.in_proj_weight is None:
        weights = [value(w) for w in (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)]
    else:
        weights = np.split(value(layer.in_proj_weight), 3)
    biases = np.zeros((3, E)) if layer.in_proj_bias is None else value(layer.in_proj_bias).reshape(3, E)
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, values), weights, biases, strict=True))
    L, S = len(query), len(key)
    found, output = np.zeros((H, L, S)), np.zeros((L, E))
    for h in range(H):
        part = slice(h * D, (h + 1) * D)
        for i in range(L):
            scores = k[:, part] @ q[i, part] / math.sqrt(D)
            if added is not None:
                scores = scores + added[h, i]
            seen = np.isfinite(scores) if hidden is None else np.isfinite(scores) & ~hidden[h, i]
            if seen.any():
                e = np.where(seen, np.exp(np.where(seen, scores - scores[seen].max(), 0)), 0)
                found[h, i] = e / e.sum()
            output[i, part] = found[h, i] @ v[:, part]
    return dense(layer.out_proj, output), found


def batch(function, n, *arrays):
    """function on each of n sequences; what is 3-D is cut along its first axis."""
    return np.stack([function(*(a if a is None else a[i] for a in arrays)) for i in range(n)])


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "tanh": np.tanh,
}


def feed_forward(layer, x, activation):
    return dense(layer.linear2, ACTIVATIONS[activation](dense(layer.linear1, x)))


def encode(layer, x, activation, norm_first, **masks):
    if norm_first:
        y = norm(layer.norm1, x)
        x = x + attend(layer.self_attn, y, y, y, **masks)[0]
        return x + feed_forward(layer, norm(layer.norm2, x), activation)
    x = norm(layer.norm1, x + attend(layer.self_attn, x, x, x, **masks)[0])
    return norm(layer.norm2, x + feed_forward(layer, x, activation))


def decode(layer, x, memory, activation, norm_first, own, other):
    if norm_first:
        y = norm(layer.norm1, x)
        x = x + attend(layer.self_attn, y, y, y, **own)[0]
        x = x + attend(layer.multihead_attn, norm(layer.norm2, x), memory, memory, **other)[0]
        return x + feed_forward(layer, norm(layer.norm3, x), activation)
    x = norm(layer.norm1, x + attend(layer.self_attn, x, x, x, **own)[0])
    x = norm(layer.norm2, x + attend(layer.multihead_attn, x, memory, memory, **other)[0])
    return norm(layer.norm3, x + feed_forward(layer, x, activation))


# --- attention


N, L, S, E, H = 3, 4, 5, 6, 2


def masks_of(kind):
    """(options for the layer, hidden (N, H, L, S) or None, added (N, H, L, S) or None)"""
    pad = np.arange(S) >= S - np.arange(N)[:, None]
    some, each = draw(L, S, seed=5) > 0.8, draw(N * H, L, S, seed=6) > 0.8
    full = (N, H, L, S)
    padded = np.broadcast_to(pad[:, None, None], full)
    floats, of_keys = draw(N * H, L, S, seed=7), draw(N, S, seed=8)
    of_keys[:, 0] = -np.inf
    return {
        "none": ({}, None, None),
        "bool": ({"attn_mask": some}, np.broadcast_to(some, full), None),
        "heads": ({"attn_mask": each}, each.reshape(full), None),
        "padding": ({"key_padding_mask": pad}, padded, None),
        "both": ({"key_padding_mask": pad, "attn_mask": each}, padded | each.reshape(full), None),
        "floats": ({"attn_mask": floats}, None, floats.reshape(full)),
        "float padding": ({"key_padding_mask": of_keys}, None, np.broadcast_to(of_keys[:, None, None], full)),
        "both floats": (
            {"key_padding_mask": of_keys, "attn_mask": floats},
            None,
            floats.reshape(full) + of_keys[:, None, None],
        ),
        "mixed": ({"key_padding_mask": pad, "attn_mask": floats}, padded, floats.reshape(full)),
        "mixed too": (
            {"key_padding_mask": of_keys, "attn_mask": some},
            np.broadcast_to(some, full),
            of_keys[:, None, None] + np.zeros(full),
        ),
    }[kind]


KINDS = ["none", "bool", "heads", "padding", "both", "floats", "float padding", "both floats", "mixed", "mixed too"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", BOTH)
@pytest.mark.parametrize("bias", BOTH)
def test_attention_of_queries_keys_and_values_that_differ(kind, batch_first, bias):
    layer = randomised(nn.MultiheadAttention(E, H, kdim=3, vdim=7, batch_first=batch_first, bias=bias))
    q, k, v = draw(N, L, E), draw(N, S, 3, seed=1), draw(N, S, 7, seed=2)
    options, hidden, added = masks_of(kind)
    pairs = [
        attend(layer, q[i], k[i], v[i], None if hidden is None else hidden[i], None if added is None else added[i])
        for i in range(N)
    ]
    wanted, weights = (np.stack(x) for x in zip(*pairs, strict=True))
    options = {key: minidl.tensor(x) for key, x in options.items()}
    inputs = tensors(*((x if batch_first else x.swapaxes(0, 1)) for x in (q, k, v)))
    for need_weights, average in ((False, True), (True, True), (True, False)):
        output, found = layer(*inputs, need_weights=need_weights, average_attn_weights=average, **options)
        output = output.detach().numpy()
        np.testing.assert_allclose(output if batch_first else output.swapaxes(0, 1), wanted, atol=1e-12)
        if need_weights:
            np.testing.assert_allclose(found.detach().numpy(), weights.mean(1) if average else weights, atol=1e-12)
        else:
            assert found is None


@pytest.mark.parametrize("which", ["self", "keys are values", "all differ"])
@pytest.mark.parametrize("batch_first", BOTH)
@pytest.mark.parametrize("batched", BOTH)
def test_attention_with_one_matrix(which, batch_first, batched):
    layer = randomised(nn.MultiheadAttention(E, H, batch_first=batch_first))
    q, k, v = draw(N, L, E), draw(N, L, E, seed=1), draw(N, L, E, seed=2)
    k, v = (q, q) if which == "self" else (k, k) if which == "keys are values" else (k, v)
    wanted, weights = (np.stack(x) for x in zip(*(attend(layer, q[i], k[i], v[i]) for i in range(N)), strict=True))
    if batched:
        one = {id(x): minidl.tensor(x if batch_first else x.swapaxes(0, 1)) for x in (q, k, v)}
    else:
        one, wanted, weights = {id(x): minidl.tensor(x[1]) for x in (q, k, v)}, wanted[1], weights[1]
    output, found = layer(one[id(q)], one[id(k)], one[id(v)], average_attn_weights=False)
    output = output.detach().numpy()
    np.testing.assert_allclose(output if batch_first or not batched else output.swapaxes(0, 1), wanted, atol=1e-12)
    np.testing.assert_allclose(found.detach().numpy(), weights, atol=1e-12)


def test_an_unbatched_sequence_may_have_masks():
    layer = randomised(nn.MultiheadAttention(E, H))
    x, pad, mask = draw(L, E), np.arange(L) == 2, draw(H, L, L) > 0.8
    wanted, weights = attend(layer, x, x, x, mask | pad)
    for shape in (pad, pad[None]):
        output, found = layer(*[minidl.tensor(x)] * 3, key_padding_mask=minidl.tensor(shape), attn_mask=minidl.tensor(mask))
        np.testing.assert_allclose(output.detach().numpy(), wanted, atol=1e-12)
        np.testing.assert_allclose(found.detach().numpy(), weights.mean(0), atol=1e-12)


@pytest.mark.parametrize("need_weights", BOTH)
@pytest.mark.parametrize("boolean", BOTH)
def test_the_hint_of_causality_changes_nothing(need_weights, boolean):
    layer = randomised(nn.MultiheadAttention(E, H, batch_first=True))
    x = minidl.tensor(draw(N, L, E))
    mask = nn.Transformer.generate_square_subsequent_mask(L, dtype=minidl.float64)
    if boolean:
        mask = mask != 0
    pad = minidl.tensor(np.arange(L) >= L - np.arange(N)[:, None])
    for padding in (None, pad):
        plain = layer(x, x, x, padding, need_weights, mask)[0]
        told = layer(x, x, x, padding, need_weights, mask, is_causal=True)[0]
        np.testing.assert_allclose(told.detach().numpy(), plain.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("need_weights", BOTH)
@pytest.mark.parametrize("boolean", BOTH)
def test_a_query_that_sees_nothing_gives_the_bias_and_no_nan(need_weights, boolean):
    layer = randomised(nn.MultiheadAttention(E, H, batch_first=True))
    x = minidl.tensor(draw(2, L, E), requires_grad=True)
    pad = np.array([[True] * L, [False] * L])
    pad = minidl.tensor(pad if boolean else np.where(pad, -np.inf, 0.0))
    output, weights = layer(x, x, x, pad, need_weights)
    assert output[0].equal(layer.out_proj.bias.expand(L, E))
    if need_weights:
        assert not weights[0].any()
    (output * minidl.tensor(draw(2, L, E))).sum().backward()
    assert not x.grad[0].any() and x.grad.isfinite().all() and layer.in_proj_weight.grad.isfinite().all()


@pytest.mark.parametrize("need_weights", BOTH)
@pytest.mark.parametrize("kind", ["padding", "float padding", "mask", "float mask", "float mask of heads"])
def test_what_is_hidden_does_not_matter_even_nan(need_weights, kind):
    layer = randomised(nn.MultiheadAttention(E, H, batch_first=True))
    k = minidl.tensor(draw(2, S, E, seed=1))
    hidden = np.zeros((2, S) if "padding" in kind else (4, L, S) if "heads" in kind else (L, S), bool)
    hidden[..., 3:] = True
    name = "key_padding_mask" if "padding" in kind else "attn_mask"
    mask = minidl.tensor(np.where(hidden, -np.inf, 0.5) if "float" in kind else hidden)
    results = []
    for rubbish in (0.0, math.nan, math.inf):
        q = minidl.tensor(draw(2, L, E), requires_grad=True)
        k[:, 3:] = rubbish
        output = layer(q, k, k, need_weights=need_weights, **{name: mask})[0]
        (output * minidl.tensor(draw(2, L, E, seed=2))).sum().backward()
        results.append((output, q.grad))
    for output, gradient in results[1:]:
        assert output.allclose(results[0][0], atol=1e-12) and gradient.allclose(results[0][1], atol=1e-12)


@pytest.mark.parametrize("used", [(0,), (1,), (2,), (0, 2)])
def test_what_is_unpacked_and_not_used_gets_a_gradient_of_zeros(used):
    packed = minidl.tensor(draw(2, 3, 12), requires_grad=True)
    parts = unpacked_heads(packed, 2)
    sum((i + 1) * parts[i].sum() for i in used).backward()
    wanted = np.repeat([i + 1 if i in used else 0 for i in range(3)], 4)
    assert (packed.grad.numpy() == wanted).all()


@pytest.mark.parametrize("need_weights", BOTH)
def test_no_nan_comes_from_a_key_that_another_query_sees(need_weights):
    layer = randomised(nn.MultiheadAttention(E, H, batch_first=True))
    q, k = tensors(draw(1, L, E), draw(1, S, E, seed=1))
    hidden = np.zeros((L, S), bool)
    hidden[:2, 4] = True
    for mask in (hidden, np.where(hidden, -np.inf, 0.0)):
        outputs = []
        for rubbish in (0.0, math.nan):
            k[:, 4] = rubbish
            outputs.append(layer(q, k, k, None, need_weights, minidl.tensor(mask))[0])
        assert outputs[0][:, :2].allclose(outputs[1][:, :2], atol=1e-12) and outputs[1][:, 2:].isnan().all()


@pytest.mark.parametrize("need_weights", BOTH)
def test_empty_sequences_and_batches(need_weights):
    layer = randomised(nn.MultiheadAttention(E, H, batch_first=True))
    for n, of_queries, of_keys in ((0, 3, 3), (2, 0, 3), (2, 3, 0)):
        q, k = minidl.zeros(n, of_queries, E, dtype=minidl.float64), minidl.zeros(n, of_keys, E, dtype=minidl.float64)
        pad = minidl.zeros(n, of_keys) > 0
        output, weights = layer(q, k, k, pad, need_weights)
        assert (output.shape == (n, of_queries, E) and output.equal(layer.out_proj.bias.expand(n, of_queries, E))) or of_keys
        assert weights is None or weights.shape == (n, of_queries, of_keys)


def test_dropout_of_weights_is_that_of_training_and_shown():
    layer = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    x = minidl.randn(4, 30, 8)
    output, weights = layer(x, x, x, average_attn_weights=False)
    dropped = float((weights == 0).float().mean())
    assert 0.45 < dropped < 0.55
    v = nn.functional.linear(x, layer.in_proj_weight[16:], layer.in_proj_bias[16:])
    heads = weights @ v.reshape(4, 30, 2, 4).transpose(1, 2)
    assert output.allclose(layer.out_proj(heads.transpose(1, 2).flatten(2)), atol=1e-6)
    outputs = [layer(x, x, x, need_weights=False)[0] for _ in range(2)]
    assert not outputs[0].allclose(outputs[1])
    layer.eval()
    assert (layer(x, x, x)[1] != 0).all()
    assert layer(x, x, x)[0].allclose(layer(x, x, x, need_weights=False)[0], atol=1e-6)


def test_a_mask_that_is_learned_gets_its_gradient():
    layer = randomised(nn.MultiheadAttention(4, 2, batch_first=True))
    x = minidl.tensor(draw(1, 3, 4))
    for is_causal in BOTH:
        mask = nn.Transformer.generate_square_subsequent_mask(3, dtype=minidl.float64).requires_grad_()
        (layer(x, x, x, None, False, mask, is_causal=is_causal)[0] * minidl.tensor(draw(1, 3, 4))).sum().backward()
        assert mask.grad[1, 0] != 0 and mask.grad[0, 1] == 0


@pytest.mark.parametrize("need_weights", BOTH)
@pytest.mark.parametrize("same", BOTH)
def test_gradients_of_attention(need_weights, same):
    layer = randomised(nn.MultiheadAttention(4, 2, batch_first=True))
    pad = minidl.tensor(np.array([[False, False, True], [False] * 3]))

    def function(x, y, *params):
        y = x if same else y
        return tuple(part for part in layer(x, y, y, pad, need_weights, average_attn_weights=False) if part is not None)

    x, y = (minidl.tensor(draw(2, 3, 4, seed=s)) for s in (0, 1))
    assert gradcheck(function, (x.requires_grad_(), y.requires_grad_(not same), *layer.parameters()))


# --- layers


COMBINATIONS = [*itertools.product(BOTH, BOTH, BOTH, ["relu", "gelu", "tanh"])]


@pytest.mark.parametrize(("norm_first", "bias", "batch_first", "activation"), COMBINATIONS)
def test_encoder_layer(norm_first, bias, batch_first, activation):
    given = minidl.tanh if activation == "tanh" else activation
    layer = nn.TransformerEncoderLayer(
        E, H, 7, activation=given, norm_first=norm_first, bias=bias, batch_first=batch_first, layer_norm_eps=0.1
    )
    assert all(bias or not name.endswith("bias") for name, _ in layer.named_parameters())
    assert all(m.eps == 0.1 for m in layer.modules() if isinstance(m, nn.LayerNorm))
    layer = randomised(layer)
    x, mask, pad = draw(N, L, E), draw(L, L) > 0.8, np.arange(L) >= L - np.arange(N)[:, None]
    wanted = np.stack(
        [encode(layer, x[i], activation, norm_first, hidden=(mask | pad[i])[None].repeat(H, 0)) for i in range(N)]
    )
    got = layer(minidl.tensor(x if batch_first else x.swapaxes(0, 1)), *tensors(mask, pad)).detach().numpy()
    np.testing.assert_allclose(got if batch_first else got.swapaxes(0, 1), wanted, atol=1e-12)


@pytest.mark.parametrize(("norm_first", "bias", "batch_first", "activation"), COMBINATIONS)
def test_decoder_layer(norm_first, bias, batch_first, activation):
    given = minidl.tanh if activation == "tanh" else activation
    layer = nn.TransformerDecoderLayer(
        E, H, 7, activation=given, norm_first=norm_first, bias=bias, batch_first=batch_first, layer_norm_eps=0.1
    )
    assert all(bias or not name.endswith("bias") for name, _ in layer.named_parameters())
    assert all(m.eps == 0.1 for m in layer.modules() if isinstance(m, nn.LayerNorm))
    layer = randomised(layer)
    x, memory = draw(N, L, E), draw(N, S, E, seed=1)
    own, other, own_pad, other_pad = (draw(*s, seed=i) > 0.7 for i, s in enumerate([(L, L), (L, S), (N, L), (N, S)]))
    wanted = np.stack(
        [
            decode(layer, x[i], memory[i], activation, norm_first, {"hidden": (own | own_pad[i])[None].repeat(H, 0)},
                   {"hidden": (other | other_pad[i])[None].repeat(H, 0)})
            for i in range(N)
        ]
    )  # fmt: skip
    inputs = tensors(*(a if batch_first else a.swapaxes(0, 1) for a in (x, memory)))
    got = layer(*inputs, *tensors(own, other, own_pad, other_pad)).detach().numpy()
    np.testing.assert_allclose(got if batch_first else got.swapaxes(0, 1), wanted, atol=1e-12)


@pytest.mark.parametrize("norm_first", BOTH)
def test_gradients_of_layers(norm_first):
    x, memory = (minidl.tensor(draw(2, 3, 4, seed=s), requires_grad=True) for s in (0, 1))
    layer = randomised(nn.TransformerEncoderLayer(4, 2, 3, activation="gelu", norm_first=norm_first, batch_first=True))
    assert gradcheck(lambda x, *params: layer(x), (x, *layer.parameters()))
    decoder = randomised(nn.TransformerDecoderLayer(4, 2, 3, activation="gelu", norm_first=norm_first, batch_first=True))
    assert gradcheck(lambda x, memory, *params: decoder(x, memory), (x, memory, *decoder.parameters()))


def test_dropout_stands_at_every_place_that_pytorch_has():
    x = minidl.randn(6, 5, 8)
    for layer, args in (
        (nn.TransformerEncoderLayer(8, 2, 12, dropout=0.3), ()),
        (nn.TransformerDecoderLayer(8, 2, 12, dropout=0.3), (x,)),
    ):
        drops = [m for m in layer.modules() if isinstance(m, (nn.Dropout, nn.MultiheadAttention))]
        assert len(drops) == (4 if not args else 6)
        for drop in drops:  # each alone makes the output random
            for other in drops:
                other.train(other is drop)
            assert not layer(x, *args).equal(layer(x, *args)), drop
        assert layer.eval()(x, *args).equal(layer(x, *args))
        assert all((m.p if isinstance(m, nn.Dropout) else m.dropout) == 0.3 for m in drops)


# --- stacks


def test_stacks_hold_copies_that_start_alike_and_learn_apart():
    first = nn.TransformerEncoderLayer(8, 2, 12, norm_first=True)
    stack = nn.TransformerEncoder(first, 3)
    for layer in stack.layers:
        for a, b in zip(layer.parameters(), first.parameters(), strict=True):
            assert a.equal(b) and a is not b
    assert len(list(stack.parameters())) == 3 * len(list(first.parameters()))
    with minidl.no_grad():
        stack.layers[0].linear1.weight.zero_()
    assert stack.layers[1].linear1.weight.any() and first.linear1.weight.any()


@pytest.mark.parametrize("with_norm", BOTH)
def test_encoder_and_decoder_are_their_layers_one_after_the_other(with_norm):
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(E, H, 7), 2, nn.LayerNorm(E) if with_norm else None)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(E, H, 7), 2, nn.LayerNorm(E) if with_norm else None)
    encoder, decoder = randomised(encoder), randomised(decoder, 2)
    x, y = draw(N, L, E), draw(N, S, E, seed=1)
    mask, pad = np.triu(np.ones((S, S), bool), 1), np.arange(L) >= L - np.arange(N)[:, None]
    of_memory = draw(S, L) > 1
    for i in range(N):
        memory = x[i]
        for layer in encoder.layers:
            memory = encode(layer, memory, "relu", False, hidden=np.broadcast_to(pad[i], (H, L, L)))
        memory = norm(encoder.norm, memory) if with_norm else memory
        got = encoder(minidl.tensor(x.swapaxes(0, 1)), src_key_padding_mask=minidl.tensor(pad))[:, i].detach().numpy()
        np.testing.assert_allclose(got, memory, atol=1e-12)
        z = y[i]
        own, other = {"hidden": np.broadcast_to(mask, (H, S, S))}, {"hidden": np.broadcast_to(of_memory | pad[i], (H, S, L))}
        for layer in decoder.layers:
            z = decode(layer, z, memory, "relu", False, own, other)
        z = norm(decoder.norm, z) if with_norm else z
        got = decoder(*tensors(y[i][:, None], memory[:, None], mask, of_memory), None, minidl.tensor(pad[i][None]))
        np.testing.assert_allclose(got[:, 0].detach().numpy(), z, atol=1e-12)


def test_a_causal_mask_is_seen_and_then_no_mask_is_stored(monkeypatch):
    given = []
    true = nn.functional.scaled_dot_product_attention

    def watched(q, k, v, mask, dropout, causal):
        given.append((mask, causal))
        return true(q, k, v, mask, dropout, causal)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", watched)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12), 1)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 12), 1)
    x = minidl.randn(5, 3, 8)
    encoder(x, mask)
    encoder(x, mask != 0)
    decoder(x, x, mask)
    assert given[:4] == [(None, True), (None, True), (None, True), (None, False)]
    given.clear()
    encoder(x, mask, is_causal=False)
    encoder(x, mask * 1e-3 + minidl.eye(5))
    assert all(causal is False and seen is not None for seen, causal in given)


@pytest.mark.parametrize("batch_first", BOTH)
@pytest.mark.parametrize("norm_first", BOTH)
def test_transformer(batch_first, norm_first):
    model = nn.Transformer(E, H, 2, 1, 7, 0.0, "gelu", layer_norm_eps=0.1, batch_first=batch_first, norm_first=norm_first)
    assert len(model.encoder.layers) == 2 and len(model.decoder.layers) == 1
    assert [m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)] == [0.1] * 9  # 2 in 2 layers, 3 in 1, 2 at the ends
    model = randomised(model)
    src, tgt = draw(N, L, E), draw(N, S, E, seed=1)
    pads = [draw(N, n, seed=i) > 1 for i, n in enumerate((L, S, L))]
    masks = [draw(*shape, seed=9 + i) > 1 for i, shape in enumerate([(L, L), (S, S), (S, L)])]
    inputs = tensors(*(a if batch_first else a.swapaxes(0, 1) for a in (src, tgt)))
    got = model(*inputs, *tensors(*masks, *pads)).detach().numpy()
    got = got if batch_first else got.swapaxes(0, 1)
    for i in range(N):
        hidden = [np.broadcast_to(mask | pad[i], (H, *mask.shape)) for mask, pad in zip(masks, pads, strict=True)]
        memory = src[i]
        for layer in model.encoder.layers:
            memory = encode(layer, memory, "gelu", norm_first, hidden=hidden[0])
        memory = norm(model.encoder.norm, memory)
        y = decode(model.decoder.layers[0], tgt[i], memory, "gelu", norm_first, {"hidden": hidden[1]}, {"hidden": hidden[2]})
        np.testing.assert_allclose(got[i], norm(model.decoder.norm, y), atol=1e-12)


def test_first_values():
    model = nn.Transformer(16, 2, 1, 1, 32)
    for name, p in model.named_parameters():
        if p.ndim > 1:
            bound = math.sqrt(6 / sum(p.shape))
            assert 0.9 * bound < p.abs().max().item() <= bound, name
    attention = nn.MultiheadAttention(16, 2)
    bound = math.sqrt(6 / 64)
    assert 0.9 * bound < attention.in_proj_weight.abs().max().item() <= bound
    assert not attention.in_proj_bias.any() and not attention.out_proj.bias.any()
    a, b = model.encoder.layers[0].self_attn, model.decoder.layers[0].self_attn
    assert not a.in_proj_weight.equal(b.in_proj_weight)


def test_copies_and_custom_parts():
    layer = nn.TransformerEncoderLayer(8, 2, 12)
    x = minidl.randn(5, 3, 8)
    assert copy.deepcopy(layer).eval()(x).equal(layer.eval()(x))
    encoder, decoder = nn.TransformerEncoder(layer, 1), nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 12), 1)
    model = nn.Transformer(8, 2, custom_encoder=encoder, custom_decoder=decoder)
    assert model.encoder is encoder and model.decoder is decoder
    assert "num_heads=2" in repr(layer) and "batch_first=False" in repr(layer)


def test_nested_tensors_change_nothing_and_warn_of_nothing():
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
    x, pad = minidl.randn(2, 3, 8), minidl.tensor(np.array([[False, False, True], [False] * 3]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs = [
            nn.TransformerEncoder(layer, 2, None, *flags).eval()(x, None, pad) for flags in itertools.product(BOTH, BOTH)
        ]
    assert all(outputs[0].equal(y) for y in outputs) and outputs[0][0, 2].any()


# --- mistakes


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(6, 4), ValueError, "multiple of num_heads.*embed_dim=6 and num_heads=4"),
        (lambda: nn.MultiheadAttention(0, 1), ValueError, "embed_dim=0"),
        (lambda: nn.MultiheadAttention(6, 0), ValueError, "num_heads=0"),
        (lambda: nn.MultiheadAttention(6, 2.0), ValueError, "num_heads must be an integer"),
        (lambda: nn.MultiheadAttention(6, 2, dropout=2), ValueError, "MultiheadAttention.*2"),
        (lambda: nn.TransformerEncoderLayer(6, 4), ValueError, "multiple of nhead.*d_model=6 and nhead=4"),
        (lambda: nn.TransformerDecoderLayer(6, 4), ValueError, "TransformerDecoderLayer: d_model must be a multiple of nhead"),
        (lambda: nn.TransformerEncoderLayer(6, 2, activation="swish"), ValueError, "'relu', 'gelu' or a function.*'swish'"),
        (lambda: nn.TransformerDecoderLayer(6, 2, activation=None), ValueError, "TransformerDecoderLayer: activation"),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer, 2), TypeError, "expected a layer"),
        (lambda: nn.TransformerEncoder(nn.Identity(), -1), ValueError, "num_layers must be.*-1"),
        (lambda: nn.Transformer.generate_square_subsequent_mask(-1), ValueError, "sz must be.*-1"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


X = minidl.ones(3, 2, 6)


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        (([1.0], X, X), {}, TypeError, "expected a Tensor as query, got list"),
        ((X, X[:2], X), {}, ValueError, r"query, key and value \(L, N, 6\).*\(3, 2, 6\), \(2, 2, 6\) and"),
        ((X, X[:, :1], X[:, :1]), {}, ValueError, "batch_first=False"),
        ((X[..., :4], X, X), {}, ValueError, r"\(3, 2, 4\)"),
        ((X[0], X, X), {}, ValueError, "without N"),
        ((X[None], X[None], X[None]), {}, ValueError, r"\(1, 3, 2, 6\)"),
        (
            (X, X, X),
            {"attn_mask": minidl.ones(3, 2) > 0},
            ValueError,
            r"attn_mask of shape \(3, 3\) or \(4, 3, 3\), got \(3, 2\)",
        ),
        ((X, X, X), {"attn_mask": minidl.ones(2, 3, 3) > 0}, ValueError, r"\(4, 3, 3\), got \(2, 3, 3\)"),
        ((X, X, X), {"attn_mask": minidl.ones(3, 3).long()}, TypeError, "attn_mask must be.*bool.*float32; got int64"),
        ((X, X, X), {"attn_mask": minidl.ones(3, 3).double()}, TypeError, "float32; got float64"),
        ((X, X, X), {"attn_mask": np.ones((3, 3), bool)}, TypeError, "got ndarray"),
        (
            (X, X, X),
            {"key_padding_mask": minidl.ones(3, 2) > 0},
            ValueError,
            r"key_padding_mask of shape \(2, 3\), got \(3, 2\)",
        ),
        ((X, X, X), {"key_padding_mask": minidl.ones(2, 3).int()}, TypeError, "key_padding_mask must be.*int32"),
        ((X, X, X), {"is_causal": True}, ValueError, "is_causal=True speaks of an attn_mask"),
        ((X, X, X), {"is_causal": True, "attn_mask": minidl.ones(3, 3) > 0}, ValueError, "does not hide exactly"),
        ((X.double(),) * 3, {}, TypeError, "float64"),
    ],
)
def test_wrong_inputs(args, options, error, message):
    with pytest.raises(error, match=message):
        nn.MultiheadAttention(6, 2)(*args, **options)


def test_wrong_inputs_of_a_transformer():
    model = nn.Transformer(6, 2, 1, 1, 7)
    with pytest.raises(ValueError, match=r"src \(3, 2, 6\) and tgt \(3, 1, 6\) have 2 and 1 sequences"):
        model(X, X[:, :1])
    with pytest.raises(TypeError, match="tgt"):
        model(X, None)
    for which in ("src", "tgt", "memory"):  # each hint reaches the attention that it speaks of
        hints = {f"{which}_mask": minidl.zeros(3, 3).bool(), f"{which}_is_causal": True}
        with pytest.raises(ValueError, match="is_causal=True was given"):
            model(X, X, **hints)
