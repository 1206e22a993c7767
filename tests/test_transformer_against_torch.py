"""PyTorch as a second oracle of attention layers and Transformers: its weights loaded here give its outputs and gradients."""

import inspect
import itertools
import warnings

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.generation import generate

torch = pytest.importorskip("torch")

BOTH = (False, True)


def data(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def twins(name, *args, training=False, **options):
    """The same layer twice, ours with PyTorch's weights; biases and norms are moved away from 0 and 1 first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nested tensors
        theirs = getattr(torch.nn, name)(*args, **options).train(training)
    ours = getattr(nn, name)(*args, **options).train(training)
    assert [key for key, _ in ours.named_parameters()] == [key for key, _ in theirs.named_parameters()]
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for p in theirs.parameters():
            p += torch.tensor(rng.normal(0, 0.1, tuple(p.shape)).astype(np.float32))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def assert_same(ours, theirs, inputs, call):
    """call(layer, tensors, t) gives the same output, and the same gradients of inputs and parameters."""
    results = []
    for layer, t in ((ours, minidl), (theirs, torch)):
        leaves = [t.tensor(x, requires_grad=True) for x in inputs]
        outputs = call(layer, leaves, t)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        outputs = [y for y in outputs if y is not None]
        loss = sum((y * t.tensor(data(*y.shape, seed=7))).sum() for y in outputs)
        layer.zero_grad()
        loss.backward()
        gradients = [x.grad for x in leaves] + [p.grad for p in layer.parameters()]
        results.append([y.detach().numpy() for y in [*outputs, *gradients] if y is not None])
    assert len(results[0]) == len(results[1])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def causal(t, size):
    return t.tensor(np.where(np.triu(np.ones((size, size)), 1) > 0, -np.inf, 0).astype(np.float32))


def padding(t, n, size):
    return t.tensor(np.arange(size) >= size - np.arange(n)[:, None])


@pytest.mark.parametrize(
    ("batch_first", "bias", "need_weights", "average"),
    [*itertools.product(BOTH, BOTH, BOTH, [True]), (True, True, True, False)],
)
@pytest.mark.parametrize("masks", ["none", "causal", "hint", "bool", "heads", "padding", "both", "floats"])
def test_multihead_attention(batch_first, bias, need_weights, average, masks):
    ours, theirs = twins("MultiheadAttention", 8, 2, bias=bias, batch_first=batch_first)
    x = data(3, 5, 8) if batch_first else data(5, 3, 8)

    def call(layer, leaves, t):
        options = {
            "none": {},
            "causal": {"attn_mask": causal(t, 5)},
            "hint": {"attn_mask": causal(t, 5), "is_causal": True},
            "bool": {"attn_mask": t.tensor(np.eye(5, k=1) > 0)},
            "heads": {"attn_mask": t.tensor(data(6, 5, 5, seed=3) > 1)},
            "padding": {"key_padding_mask": padding(t, 3, 5)},
            "both": {"key_padding_mask": padding(t, 3, 5), "attn_mask": t.tensor(np.eye(5, k=1) > 0)},
            "floats": {"key_padding_mask": t.tensor(data(3, 5)), "attn_mask": t.tensor(data(6, 5, 5, seed=3))},
        }[masks]
        return layer(*leaves * 3, need_weights=need_weights, average_attn_weights=average, **options)

    assert_same(ours, theirs, [x], call)


@pytest.mark.parametrize("sizes", [{}, {"kdim": 6}, {"kdim": 6, "vdim": 7}])
@pytest.mark.parametrize("batched", BOTH)
def test_queries_keys_and_values_that_differ(sizes, batched):
    ours, theirs = twins("MultiheadAttention", 8, 4, batch_first=True, **sizes)
    lead = (3,) if batched else ()
    inputs = [data(*lead, 5, 8), data(*lead, 6, sizes.get("kdim", 8), seed=1), data(*lead, 6, sizes.get("vdim", 8), seed=2)]
    mask = (padding(minidl, 3, 6).numpy() if batched else np.arange(6) > 3,)
    assert_same(ours, theirs, inputs, lambda layer, leaves, t: layer(*leaves, key_padding_mask=t.tensor(*mask)))
    assert_same(
        ours,
        theirs,
        inputs,
        lambda layer, leaves, t: layer(*leaves, average_attn_weights=False, key_padding_mask=t.tensor(*mask)),
    )


@pytest.mark.parametrize(
    ("norm_first", "bias", "activation", "batch_first"), [*itertools.product(BOTH, BOTH, ["relu", "gelu"], BOTH)]
)
def test_layers(norm_first, bias, activation, batch_first):
    options = {"norm_first": norm_first, "bias": bias, "activation": activation, "batch_first": batch_first}
    options |= {"dropout": 0.0, "layer_norm_eps": 0.1}
    ours, theirs = twins("TransformerEncoderLayer", 8, 2, 12, training=True, **options)
    x, memory = data(4, 4, 8), data(4, 4, 8, seed=2)
    assert_same(ours, theirs, [x], lambda layer, leaves, t: layer(*leaves, causal(t, 4), t.tensor(data(4, 4))))
    ours, theirs = twins("TransformerDecoderLayer", 8, 2, 12, training=True, **options)
    masks = (data(4, 4, seed=3), data(4, 4, seed=4), data(4, 4, seed=5), data(4, 4, seed=6))
    assert_same(ours, theirs, [x, memory], lambda layer, leaves, t: layer(*leaves, *map(t.tensor, masks)))


@pytest.mark.parametrize("norm_first", BOTH)
def test_whole_transformer(norm_first):
    ours, theirs = twins("Transformer", 8, 2, 2, 2, 12, dropout=0.0, norm_first=norm_first, training=True)

    def call(layer, leaves, t):
        mask = layer.generate_square_subsequent_mask(4)
        hidden = padding(t, 3, 6)
        floats = t.tensor(np.where(hidden.numpy(), -np.inf, 0).astype(np.float32))
        return layer(*leaves, tgt_mask=mask, src_key_padding_mask=hidden, memory_key_padding_mask=floats)

    assert_same(ours, theirs, [data(6, 3, 8), data(4, 3, 8)], call)


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("MultiheadAttention", (8, 2), {}),
        ("MultiheadAttention", (8, 2), {"kdim": 4, "vdim": 6}),
        ("MultiheadAttention", (8, 2), {"bias": False}),
        ("MultiheadAttention", (8, 2), {"add_bias_kv": True, "add_zero_attn": True}),
        ("TransformerEncoderLayer", (8, 2, 12), {}),
        ("TransformerDecoderLayer", (8, 2, 12), {"bias": False}),
        ("Transformer", (8, 2, 2, 2, 12), {}),
    ],
)
def test_first_values_are_pytorchs_for_the_same_seed(name, args, options):
    minidl.manual_seed(5)
    ours = getattr(nn, name)(*args, **options).state_dict()
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = getattr(torch.nn, name)(*args, **options).state_dict()
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key].numpy(), value.numpy(), err_msg=key)


def test_the_arguments_are_pytorchs():
    for name in (
        "MultiheadAttention",
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
        "TransformerEncoder",
        "TransformerDecoder",
        "Transformer",
    ):
        for method in ("__init__", "forward"):
            ours, theirs = (inspect.signature(getattr(getattr(t.nn, name), method)) for t in (minidl, torch))
            assert list(ours.parameters) == list(theirs.parameters), (name, method)


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"temperature": 0.5}])
def test_sampling_takes_pytorchs_random_numbers(options):
    table = data(6, 6, seed=4)
    tokens = np.array([[0], [3], [5]])
    minidl.manual_seed(9)
    ours = generate(lambda x: minidl.tensor(table)[x], minidl.tensor(tokens), 40, **options)
    torch.manual_seed(9)
    theirs = torch.tensor(tokens)
    for _ in range(40):
        logits = torch.tensor(table)[theirs[:, -1]] / options.get("temperature", 1.0)
        limit = logits.topk(options.get("top_k", 6)).values[:, -1:]
        p = logits.masked_fill(logits < limit, -np.inf).softmax(-1)
        theirs = torch.cat([theirs, torch.multinomial(p, 1)], 1)
    assert ours.tolist() == theirs.tolist()
