"""GPT, compared with a forward pass in plain NumPy, and what a language model must and must not see."""

import math

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import models
from minidl.autograd import gradcheck

from . import plain

POSITIONS = ("learned", "rotary", "alibi")


def tiny(positions="learned", seed=0, **options):
    """A GPT of doubles whose parameters are all drawn, also those that start from 0 or 1: none can be missed."""
    minidl.manual_seed(seed)
    options = {"vocab_size": 11, "context": 8, "width": 12, "heads": 2, "layers": 2, **options}
    model = models.GPT(positions=positions, **options).double()
    with minidl.no_grad():
        for param in model.parameters():
            param.copy_(minidl.randn(param.shape) * 0.4)
    return model.eval()


def read(model, tokens, cache=None):
    """The logits as an array, without gradients."""
    with minidl.no_grad():
        return model(tokens, cache).numpy()


def draw(*size, bound=11):
    return minidl.randint(0, bound, size)


def plain_gpt(model, tokens, heads=2, layers=2, positions="learned"):
    """Logits (T, V) and weights of each layer (H, T, T) of one sequence, a list of integers."""
    state = {name: x.numpy() for name, x in model.state_dict().items()}
    x = np.stack([state["embedding.weight"][token] for token in tokens])
    options = {}
    if positions == "learned":
        x = x + state["places.weight"][: len(tokens)]
    elif positions == "rotary":
        options["turn"] = plain.turned
    else:
        options["slopes"] = [2 ** (-8 * (h + 1) / heads) for h in range(heads)]
    seen = []
    for i in range(layers):
        name = f"blocks.{i}"
        y, weights = plain.attention(plain.norm(x, state, f"{name}.norm1"), state, f"{name}.attention", heads, True, **options)
        x = x + y
        hidden = plain.gelu(plain.dense(plain.norm(x, state, f"{name}.norm2"), state, f"{name}.mlp.0"))
        x = x + plain.dense(hidden, state, f"{name}.mlp.2")
        seen.append(weights)
    return plain.norm(x, state, "norm") @ state["head.weight"].T, seen


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("options", [{}, {"bias": False, "tie_weights": False}])
def test_logits_and_weights_are_those_of_plain_numpy(positions, options):
    model = tiny(positions, **options)
    tokens = draw(3, 7)
    logits, seen = read(model, tokens), [weights.numpy() for weights in model.attention_weights(tokens)]
    assert logits.shape == (3, 7, 11) and [w.shape for w in seen] == [(3, 2, 7, 7)] * 2
    for n, row in enumerate(tokens.tolist()):
        expected, weights = plain_gpt(model, row, positions=positions)
        np.testing.assert_allclose(logits[n], expected, rtol=1e-9, atol=1e-9)
        for layer in range(2):
            np.testing.assert_allclose(seen[layer][n], weights[layer], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("positions", POSITIONS)
def test_later_tokens_do_not_change_earlier_logits(positions):
    model, tokens = tiny(positions), draw(1, 8)
    before = read(model, tokens)
    for t in range(8):
        changed = tokens.clone()
        changed[0, t] = (changed[0, t] + 1) % 11
        after = read(model, changed)
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        assert np.abs(after[:, t:] - before[:, t:]).max(-1).min() > 1e-6  # and all later ones do change
    np.testing.assert_allclose(read(model, tokens[:, :5]), before[:, :5], atol=1e-12)


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_cache_gives_the_same_logits(positions):
    model, tokens = tiny(positions), draw(2, 8)
    whole = read(model, tokens)
    for cuts in ([8], [1] * 8, [3, 1, 4], [5, 2, 1]):
        cache, start = model.new_cache(), 0
        for length in cuts:
            part = read(model, tokens[:, start : start + length], cache)
            np.testing.assert_allclose(part, whole[:, start : start + length], rtol=1e-9, atol=1e-9)
            start += length
            assert cache.length == start and cache.batch == 2


def test_a_cache_takes_rows():
    model, tokens = tiny(), draw(3, 5)
    cache = model.new_cache()
    model(tokens[:, :4], cache)
    cache.take(minidl.tensor([2, 0, 2]))
    again = tokens[[2, 0, 2]]
    np.testing.assert_allclose(read(model, again[:, 4:], cache), read(model, again)[:, 4:], atol=1e-9)


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_order_of_tokens_matters(positions):
    y = read(tiny(positions), minidl.tensor([[1, 2, 3, 4], [2, 1, 3, 4]]))[:, -1]
    assert np.abs(y[0] - y[1]).max() > 1e-6


def test_relative_positions_read_past_the_context_and_learned_ones_do_not():
    tokens = draw(1, 20)
    for positions in ("rotary", "alibi"):
        model = tiny(positions)
        expected, _ = plain_gpt(model, tokens[0].tolist(), positions=positions)
        np.testing.assert_allclose(read(model, tokens)[0], expected, rtol=1e-8, atol=1e-8)
    with pytest.raises(ValueError, match="positions for context=8 tokens, got 20"):
        tiny()(tokens)
    cache = (model := tiny()).new_cache()
    model(tokens[:, :8], cache)
    with pytest.raises(ValueError, match="context=8 tokens, got 9"):
        model(tokens[:, :1], cache)


def test_tied_weights_are_one_parameter():
    model = tiny()
    assert model.head.weight is model.embedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert "embedding.weight" in names and "head.weight" not in names
    assert {"embedding.weight", "head.weight"} <= set(model.state_dict())
    other = tiny(seed=1)
    other.load_state_dict(model.state_dict())
    tokens = draw(1, 4)
    np.testing.assert_array_equal(read(other, tokens), read(model, tokens))
    free = tiny(tie_weights=False)
    assert sum(p.numel() for p in free.parameters()) == sum(p.numel() for p in model.parameters()) + 11 * 12


def test_what_is_saved_is_what_is_learned():
    for positions in POSITIONS:
        model = tiny(positions)
        assert set(model.state_dict()) == {name for name, _ in model.named_parameters(remove_duplicate=False)}


def test_how_many_parameters():
    model = models.GPT(vocab_size=50, context=16, width=24, heads=3, layers=2)
    each = 4 * 24 * 24 + 4 * 24 + 8 * 24 * 24 + 5 * 24 + 4 * 24  # attention, mlp, norms
    assert sum(p.numel() for p in model.parameters()) == 50 * 24 + 16 * 24 + 2 * each + 2 * 24
    bare = models.GPT(vocab_size=50, context=16, width=24, heads=3, layers=2, bias=False, positions="alibi")
    assert sum(p.numel() for p in bare.parameters()) == 50 * 24 + 2 * (12 * 24 * 24 + 2 * 24) + 24


def test_first_values():
    minidl.manual_seed(0)
    model = models.GPT(vocab_size=500, context=64, width=64, heads=4, layers=8)
    for weight in (
        model.embedding.weight,
        model.places.weight,
        model.blocks[0].attention.qkv.weight,
        model.blocks[7].mlp[0].weight,
    ):
        assert float(weight.std()) == pytest.approx(0.02, rel=0.05)
    for block in model.blocks:
        for layer in (block.attention.out, block.mlp[2]):
            assert float(layer.weight.std()) == pytest.approx(0.02 / 4, rel=0.05)
            assert not layer.bias.any()
    for norm in (model.blocks[0].norm1, model.blocks[7].norm2, model.norm):
        assert (norm.weight == 1).all() and not norm.bias.any()
    with minidl.no_grad():
        for param in model.parameters():
            param.fill_(7.0)
    model.reset_parameters()  # of everything
    assert all((param != 7).all() for param in model.parameters())
    assert float(model.embedding.weight.std()) == pytest.approx(0.02, rel=0.05) and (model.norm.weight == 1).all()
    tokens = draw(2, 64, bound=500)
    loss = F.cross_entropy(model(tokens).flatten(0, 1), draw(2 * 64, bound=500))
    assert float(loss) == pytest.approx(math.log(500), rel=0.05)  # it knows nothing yet


def test_dropout_acts_in_training_and_pictures_are_without_it():
    model = tiny(dropout=0.5).train()
    tokens = draw(1, 6)
    assert not np.allclose(read(model, tokens), read(model, tokens))
    first, second = model.attention_weights(tokens), model.attention_weights(tokens)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert not a.requires_grad
    assert all(module.training for module in model.modules())
    np.testing.assert_array_equal(read(model.eval(), tokens), read(tiny(dropout=0.0), tokens))


def test_where_dropout_acts():
    """With probability 1 it is plain to see: all of what it acts on is 0."""
    model = tiny(dropout=1.0).train()
    with minidl.no_grad():
        bias_alone = (model.norm.bias @ model.head.weight.T).numpy()
        np.testing.assert_allclose(read(model, draw(1, 3)), np.broadcast_to(bias_alone, (1, 3, 11)), atol=1e-12)
        x, block = minidl.randn(2, 3, 12, dtype=minidl.float64), model.blocks[0]
        np.testing.assert_array_equal(block(x).numpy(), x.numpy())  # both of the terms that it adds are dropped
        weights_dropped = block.attention(x).numpy()
    np.testing.assert_allclose(weights_dropped, np.broadcast_to(block.attention.out.bias.detach().numpy(), (2, 3, 12)))


@pytest.mark.parametrize("positions", POSITIONS)
def test_gradients(positions):
    model = tiny(positions, vocab_size=5, context=4, width=4, layers=1)
    tokens, targets = minidl.tensor([[1, 4, 2]]), minidl.tensor([4, 2, 0])

    def loss(*params):
        return F.cross_entropy(model(tokens).flatten(0, 1), targets)

    assert gradcheck(loss, tuple(model.parameters()))


def test_groups_for_weight_decay():
    model = models.GPT(vocab_size=11, context=8, width=12, heads=2, layers=2)
    matrices, vectors = models.decay_groups(model, 0.1)
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim == 2 for p in matrices["params"]) and all(p.ndim == 1 for p in vectors["params"])
    found = [id(p) for p in matrices["params"] + vectors["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters())
    model.requires_grad_(False)
    model.norm.requires_grad_(True)
    assert [len(group["params"]) for group in models.decay_groups(model, 0.1)] == [2]


@pytest.mark.parametrize("positions", POSITIONS)
def test_it_learns_a_text_by_heart(positions):
    text = "the cat sat on the mat; the dog ate the hat. "
    letters = sorted(set(text))
    tokens = minidl.tensor([[letters.index(c) for c in text]])
    minidl.manual_seed(1)
    model = models.GPT(len(letters), len(text), width=32, heads=4, layers=2, positions=positions)
    optimizer = minidl.optim.AdamW(models.decay_groups(model, 0.01), lr=1e-2)
    for _ in range(120):
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.1
    assert (model(tokens[:, :-1]).argmax(-1) == tokens[:, 1:]).float().mean() > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10, "heads": 3}, "multiple of the heads, got 10 and 3 heads"),
        ({"width": 6, "heads": 2, "positions": "rotary"}, "width/heads must be even, got 6/2"),
        ({"positions": "sinus"}, r"one of \('learned', 'rotary', 'alibi'\), got 'sinus'"),
        ({"vocab_size": 0}, "vocab_size must be an integer of at least 1, got 0"),
        ({"layers": 1.5}, "layers must be an integer of at least 1, got 1.5"),
        ({"dropout": 1.5}, "1.5"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        models.GPT(**{"vocab_size": 11, "context": 8, "width": 12, "heads": 2, "layers": 1, **options})


def test_wrong_tokens():
    model = tiny()
    for tokens, error, message in [
        (minidl.tensor([1, 2]), ValueError, r"expected tokens \(N, T\)"),
        (minidl.zeros(1, 0, dtype=minidl.int64), ValueError, "at least one in each row"),
        (minidl.tensor([[1, 11]]), IndexError, "index 11 is out of range: expected 0 to 10"),
        (minidl.tensor([[1.0, 2.0]]), TypeError, "integers"),
        ([[1, 2]], TypeError, "expected a Tensor as tokens, got list"),
    ]:
        with pytest.raises(error, match=message):
            model(tokens)
    with pytest.raises(TypeError, match="must be a KeyValueCache"):
        model(minidl.tensor([[1]]), {})
    cache = model.new_cache()
    model(minidl.tensor([[1], [2]]), cache)
    with pytest.raises(ValueError, match="cache holds 2 sequences, and tokens 1"):
        model(minidl.tensor([[1]]), cache)
