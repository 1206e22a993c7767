"""MultiheadAttention's add_bias_kv and add_zero_attn: the same as appending the keys and values by hand."""

import itertools

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import gradcheck

F64 = minidl.float64
N, L, S, E, H = 2, 3, 4, 6, 2


def layer_of(**options):
    minidl.manual_seed(3)
    layer = nn.MultiheadAttention(E, H, batch_first=True, dtype=F64, **options)
    for bias in (layer.in_proj_bias, layer.out_proj.bias):
        nn.init.normal_(bias)
    return layer


def by_hand(layer, q, k, v, hidden):
    """One sample and one head after the other; hidden (N, H, L, S) is added to the scores."""
    project = [(W, b) for W, b in zip(layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True)]
    q, k, v = (x @ W.T + b for x, (W, b) in zip((q, k, v), project, strict=True))
    outputs, weights = [], []
    for n, h in itertools.product(range(N), range(H)):
        at = slice(h * E // H, (h + 1) * E // H)
        keys, values, mask = k[n, :, at], v[n, :, at], hidden[n, h]
        if layer.bias_k is not None:
            keys = minidl.cat([keys, layer.bias_k[0, :, at]])
            values = minidl.cat([values, layer.bias_v[0, :, at]])
        if layer.add_zero_attn:
            keys, values = (minidl.cat([x, minidl.zeros(1, E // H, dtype=F64)]) for x in (keys, values))
        more = minidl.zeros(L, len(keys) - S, dtype=F64)
        p = (q[n, :, at] @ keys.T / (E // H) ** 0.5 + minidl.cat([mask, more], 1)).softmax(-1)
        outputs.append(p @ values)
        weights.append(p)
    heads = minidl.stack(outputs).reshape(N, H, L, E // H).permute(0, 2, 1, 3).reshape(N, L, E)
    return layer.out_proj(heads), minidl.stack(weights).reshape(N, H, L, -1)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masks", ["none", "padding", "2-d", "3-d", "floats", "both"])
@pytest.mark.parametrize(("bias_kv", "zero"), [(True, False), (False, True), (True, True)])
def test_further_keys_are_those_appended_by_hand(bias_kv, zero, masks, need_weights):
    layer = layer_of(add_bias_kv=bias_kv, add_zero_attn=zero)
    q, k, v = (minidl.randn(N, n, E, dtype=F64, requires_grad=True) for n in (L, S, S))
    padding = minidl.tensor([[False, False, True, True], [True] * 4])  # the second sample sees only what is appended
    mask = {"2-d": minidl.rand(L, S) > 0.6, "both": minidl.rand(L, S) > 0.6, "3-d": minidl.rand(N * H, L, S) > 0.6}.get(masks)
    mask = minidl.randn(L, S, dtype=F64) if masks == "floats" else mask
    padding = padding if masks in ("padding", "both") else None
    hidden = minidl.zeros(N, H, L, S, dtype=F64)
    if mask is not None:
        full = mask.reshape(N, H, L, S) if mask.ndim == 3 else mask.expand(N, H, L, S)
        hidden = hidden + full if masks == "floats" else hidden.masked_fill(full, -np.inf)
    if padding is not None:
        hidden = hidden.masked_fill(padding[:, None, None], -np.inf)
    y, weights = layer(q, k, v, padding, need_weights, mask, average_attn_weights=False)
    expected, p = by_hand(layer, q, k, v, hidden)
    np.testing.assert_allclose(y.numpy(force=True), expected.numpy(force=True), 0, 1e-12)
    if need_weights:
        assert weights.shape == (N, H, L, S + bias_kv + zero)
        np.testing.assert_allclose(weights.numpy(force=True), p.numpy(force=True), 0, 1e-12)
    cotangent = minidl.randn(N, L, E, dtype=F64)
    leaves = [q, k, v, *layer.parameters()]
    ours, theirs = (minidl.autograd.grad((x * cotangent).sum(), leaves) for x in (y, expected))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 0, 1e-12)


def test_a_causal_mask_leaves_the_further_keys_in_sight():
    """Also on the way that needs no weights, where causality alone would hide them."""
    layer, x = layer_of(add_bias_kv=True, add_zero_attn=True), minidl.randn(N, L, E, dtype=F64)
    mask = minidl.ones(L, L).triu(1).bool()
    wanted, weights = layer(x, x, x, attn_mask=mask)
    assert (weights[:, :, L:] > 0).all() and (weights[:, 0, 1:L] == 0).all()
    found, _ = layer(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)
    assert minidl.allclose(found, wanted, atol=1e-12)


def test_gradients_reach_the_learned_key_and_value():
    layer, x = layer_of(add_bias_kv=True), minidl.randn(N, L, E, dtype=F64)

    def f(k, v):
        return minidl.func.functional_call(layer, {"bias_k": k, "bias_v": v}, (x, x, x))[0]

    inputs = [minidl.randn(1, 1, E, dtype=F64, requires_grad=True) for _ in "kv"]
    assert gradcheck(f, inputs)


def test_names_order_text_and_state():
    layer = nn.MultiheadAttention(E, H, add_bias_kv=True, add_zero_attn=True)
    names = [name for name, _ in layer.named_parameters()]
    assert names == ["in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj.weight", "out_proj.bias"]
    assert layer.bias_k.shape == layer.bias_v.shape == (1, 1, E)
    assert "add_bias_kv=True, add_zero_attn=True" in repr(layer)
    other = nn.MultiheadAttention(E, H, add_bias_kv=True, add_zero_attn=True)
    assert not minidl.equal(other.bias_k, layer.bias_k)
    other.load_state_dict(layer.state_dict())
    assert minidl.equal(other.bias_k, layer.bias_k) and minidl.equal(other.bias_v, layer.bias_v)
