"""Positions, the GPT and the ViT: what they compute, written a second time in NumPy; what may not change; what is wrong."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import gradcheck
from minidl.models import GPT, PatchEmbedding, ViT, ViTBlock
from minidl.nn import functional as F

KINDS = ("learned", "rotary", "alibi")


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def randomised(layer, seed=1):
    """In float64, in evaluation, with parameters so far from where they start that each of them matters."""
    layer = layer.double().eval()
    rng = np.random.default_rng(seed)
    for p in layer.parameters():
        p.data = minidl.tensor(p.detach().numpy() + rng.normal(0, 0.3, p.shape))
    return layer


def value(p):
    return p.detach().numpy()


def dense(layer, x):
    return x @ value(layer.weight).T + (0 if layer.bias is None else value(layer.bias))


def norm(layer, x):
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps) * value(layer.weight)
    return y if layer.bias is None else y + value(layer.bias)


def gelu(x):
    return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


# --- positions


def test_A13_positional_encoding():
    table = nn.PositionalEncoding(32, 0.0, 60)(minidl.zeros(1, 60, 32))[0].numpy()
    assert table.shape == (60, 32)
    np.testing.assert_allclose(table[1, [0, 1, 6, 7]], [0.841471, 0.540302, 0.176892, 0.984230], atol=1e-6)
    for t in range(60):
        for j in range(16):
            angle = t / 10000 ** (2 * j / 32)
            np.testing.assert_allclose(table[t, 2 * j : 2 * j + 2], [math.sin(angle), math.cos(angle)], atol=1e-6)


def test_positional_encoding_is_added_then_dropped():
    encoding = nn.PositionalEncoding(5, 0.5, 9)  # an odd width has one sine more
    assert not encoding.state_dict() and encoding.P.shape == (1, 9, 5)
    x = minidl.randn(3, 4, 5)
    y = encoding(x)
    kept = y != 0
    assert 0 < kept.float().mean().item() < 1
    assert y[kept].allclose((2 * (x + encoding.P[:, :4]))[kept])
    assert encoding.eval()(x).equal(x + encoding.P[:, :4])
    for bad in (minidl.ones(3, 10, 5), minidl.ones(3, 4, 6), minidl.ones(4, 5)):
        with pytest.raises(ValueError, match=r"\(N, T, 5\) with T at most max_len=9"):
            encoding(bad)


def test_rotary_turns_pairs():
    x = draw(2, 5, 6)
    wanted = np.empty_like(x)
    for t in range(5):
        for j in range(3):
            z = complex(x[0, t, 2 * j], x[0, t, 2 * j + 1]) * np.exp(1j * (t + 3) / 50.0 ** (2 * j / 6))
            wanted[0, t, 2 * j : 2 * j + 2] = z.real, z.imag
    y = nn.apply_rotary(minidl.tensor(x), offset=3, base=50.0)
    np.testing.assert_allclose(y.numpy()[0], wanted[0], atol=1e-12)
    np.testing.assert_allclose((y**2).sum(-1).numpy(), (x**2).sum(-1))  # lengths stay
    assert gradcheck(lambda x: nn.apply_rotary(x, 2), (minidl.tensor(x, requires_grad=True),))


def test_rotary_products_depend_on_the_distance_alone():
    q, k = minidl.tensor(draw(1, 8)), minidl.tensor(draw(1, 8, seed=1))
    products = [(nn.apply_rotary(q, i + 4) * nn.apply_rotary(k, i)).sum().item() for i in (0, 1, 17)]
    np.testing.assert_allclose(products, products[0])
    assert not np.isclose(products[0], (nn.apply_rotary(q, 5) * nn.apply_rotary(k, 0)).sum().item())


def test_alibi():
    np.testing.assert_allclose(nn.alibi_slopes(8).numpy(), 2.0 ** -np.arange(1, 9))
    np.testing.assert_allclose(nn.alibi_slopes(6).numpy(), [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8])
    assert nn.alibi_slopes(1).tolist() == [2.0**-8]
    bias = nn.alibi_bias(2, 3, 5).numpy()
    for h, slope in enumerate((2**-4, 2**-8)):
        for i in range(3):
            for j in range(5):
                assert bias[h, i, j] == (-math.inf if j > i + 2 else -slope * (i + 2 - j))
    both = nn.alibi_bias(2, 3, causal=False)
    assert both.equal(both.transpose(1, 2)) and both[0, 0, 2] == -2 / 16


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.apply_rotary(minidl.ones(2, 3)), ValueError, r"even E, got float32 of shape \(2, 3\)"),
        (lambda: nn.apply_rotary(minidl.ones(4)), ValueError, r"\(4,\)"),
        (lambda: nn.apply_rotary(minidl.ones(2, 4), -1), ValueError, "offset.*-1"),
        (lambda: nn.apply_rotary([1.0]), TypeError, "list"),
        (lambda: nn.alibi_slopes(0), ValueError, "num_heads.*0"),
        (lambda: nn.alibi_bias(2, 5, 3), ValueError, "L=5 and S=3"),
        (lambda: nn.PositionalEncoding(-1), ValueError, "num_hiddens.*-1"),
    ],
)
def test_wrong_positions(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- GPT


def small(positions="learned", **options):
    return GPT(11, 8, num_layers=2, num_heads=3, num_hiddens=12, positions=positions, **options)


def reference(model, tokens):
    """One sequence of tokens → logits, one query at a time."""
    x = value(model.tokens.weight)[tokens]
    if model.positions == "learned":
        x = x + value(model.places.weight)[: len(tokens)]
    for block in model.blocks:
        attention = block.attention
        H, D = attention.num_heads, x.shape[1] // attention.num_heads
        q, k, v = np.split(dense(attention.qkv, norm(block.norm1, x)), 3, 1)
        mixed = np.zeros_like(x)
        for h in range(H):
            part = slice(h * D, (h + 1) * D)
            for i in range(len(x)):
                scores = np.empty(i + 1)
                for j in range(i + 1):
                    a, b = q[i, part].copy(), k[j, part]
                    if model.positions == "rotary":  # the query turned by the distance, and the key left alone
                        z = (a[0::2] + 1j * a[1::2]) * np.exp(1j * (i - j) / 10000 ** (np.arange(0, D, 2) / D))
                        a[0::2], a[1::2] = z.real, z.imag
                    scores[j] = a @ b / math.sqrt(D)
                    if model.positions == "alibi":
                        scores[j] -= nn.alibi_slopes(H)[h].item() * (i - j)
                e = np.exp(scores - scores.max())
                mixed[i, part] = e / e.sum() @ v[: i + 1, part]
        x = x + dense(attention.out, mixed)
        x = x + dense(block.down, gelu(dense(block.up, norm(block.norm2, x))))
    return norm(model.norm, x) @ value(model.head.weight).T


@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_gpt(positions, bias, tie_weights):
    model = randomised(small(positions, bias=bias, tie_weights=tie_weights))
    tokens = np.random.default_rng(2).integers(0, 11, (3, 7))
    got = model(minidl.tensor(tokens)).detach().numpy()
    assert got.shape == (3, 7, 11)
    for row, wanted in zip(got, tokens, strict=True):
        np.testing.assert_allclose(row, reference(model, wanted), atol=1e-12)
    names = [name for name, _ in model.named_parameters()]
    assert bias or not any(name.endswith("bias") for name in names)
    assert (model.head.weight is model.tokens.weight) == tie_weights and ("head.weight" in names) == (not tie_weights)
    assert ("places.weight" in names) == (positions == "learned")


@pytest.mark.parametrize("positions", KINDS)
def test_later_tokens_do_not_change_earlier_logits(positions):
    model = small(positions).eval()
    tokens = minidl.randint(0, 11, (2, 8))
    logits = model(tokens)
    for t in range(1, 8):
        changed = tokens.clone()
        changed[:, t:] = (changed[:, t:] + 1) % 11
        others = model(changed)
        assert others[:, :t].allclose(logits[:, :t], atol=1e-6)
        assert not others[:, t].allclose(logits[:, t], atol=1e-4)


@pytest.mark.parametrize("positions", KINDS)
def test_gradients_reach_every_parameter(positions):
    model = randomised(GPT(4, 3, 1, 1, 2, positions=positions))
    tokens, targets = minidl.tensor([[0, 1, 3]]), minidl.tensor([1, 2, 0])

    def loss(*params):
        return F.cross_entropy(model(tokens)[0], targets)

    assert gradcheck(loss, tuple(model.parameters()))
    loss().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_first_values_and_dropout_of_a_gpt():
    model = GPT(100, 32, 2, 4, 64, dropout=0.2)
    for name, p in model.named_parameters():
        if p.ndim > 1:
            added = name.endswith(("attention.out.weight", "down.weight"))
            assert 0.9 < p.std().item() / (0.01 if added else 0.02) < 1.1, name
        else:
            assert p.equal(minidl.full_like(p, 0.0 if name.endswith("bias") else 1.0)), name
    tokens = minidl.randint(0, 100, (2, 32))
    drops = [m for m in model.modules() if isinstance(m, (nn.Dropout, type(model.blocks[0].attention)))]
    assert len(drops) == 5
    for drop in drops:
        for other in drops:
            other.train(other is drop)
        assert not model(tokens).equal(model(tokens))
    assert model.eval()(tokens).equal(model(tokens))


@pytest.mark.parametrize("positions", KINDS)
def test_a_cache_gives_the_same_logits_in_pieces_of_any_length(positions):
    model = randomised(small(positions))
    tokens = minidl.randint(0, 11, (2, 8))
    whole = model(tokens).detach()
    with minidl.no_grad():
        for sizes in ([8], [1] * 8, [3, 1, 4], [1, 7]):
            cache, start = model.make_cache(2), 0
            for n in sizes:
                logits = model(tokens[:, start : start + n], cache=cache)
                assert logits.allclose(whole[:, start : start + n], atol=1e-12)
                start += n
                assert cache.length == start
        with pytest.raises(ValueError, match=r"block_size=8, got \(2, 1\) after 8 in the cache"):
            model(tokens[:, :1], cache=cache)
    with pytest.raises(RuntimeError, match="no_grad"):
        model(tokens, cache=model.make_cache(2))


def test_a_gpt_learns_what_comes_next():
    model = GPT(5, 8, 1, 2, 16)
    optimizer = minidl.optim.AdamW(model.parameters(), lr=0.02)
    text = minidl.arange(60) * 3 % 5
    for _ in range(60):
        starts = minidl.randint(0, 50, (8,)).tolist()
        x, y = (minidl.stack([text[i + d : i + d + 8] for i in starts]) for d in (0, 1))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: GPT(5, 8, positions="sinus"), ValueError, "'learned', 'rotary', 'alibi', got 'sinus'"),
        (lambda: GPT(5, 8, num_heads=3, num_hiddens=16), ValueError, "multiple of num_heads, got 16 and 3"),
        (lambda: GPT(5, 8, num_heads=4, num_hiddens=12, positions="rotary"), ValueError, "must be even; got 12 and 4"),
        (lambda: small()(minidl.zeros(1, 9, dtype=minidl.int64)), ValueError, r"block_size=8, got \(1, 9\)"),
        (lambda: small()(minidl.zeros(8, dtype=minidl.int64)), ValueError, r"\(N, T\)"),
        (lambda: small()(minidl.tensor([[11]])), IndexError, "index 11 is out of range: expected 0 to 10"),
        (lambda: small()(minidl.ones(1, 2)), TypeError, "integers, got float32"),
        (lambda: small()([[1]]), TypeError, "expected a Tensor as tokens"),
    ],
)
def test_wrong_use_of_a_gpt(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- ViT


def test_patches_are_the_books():
    assert PatchEmbedding(96, 16, 512)(minidl.zeros(4, 3, 96, 96)).shape == (4, 36, 512)
    embedding = PatchEmbedding((4, 6), (2, 3), 5)
    x = draw(2, 3, 4, 6).astype(np.float32)
    y = embedding(minidl.tensor(x))
    assert y.shape == (2, 4, 5) and embedding.num_patches == 4
    weight, bias = value(embedding.conv.weight).reshape(5, -1), value(embedding.conv.bias)
    for p, (i, j) in enumerate([(0, 0), (0, 3), (2, 0), (2, 3)]):  # row by row
        patch = x[:, :, i : i + 2, j : j + 3].reshape(2, -1)
        np.testing.assert_allclose(y.detach().numpy()[:, p], patch @ weight.T + bias, atol=1e-5)


def test_vit_block_is_the_books():
    block = ViTBlock(8, 8, 12, 2, 0.0)
    x = minidl.randn(2, 5, 8)
    y = x + block.attention(*[block.ln1(x)] * 3)[0]
    y = y + block.mlp.dense2(F.gelu(block.mlp.dense1(block.ln2(y))))
    assert block(x).allclose(y, atol=1e-6)
    assert block.attention.in_proj_bias is None and block.attention.out_proj.bias is None
    assert ViTBlock(8, 8, 12, 2, 0.0, use_bias=True).attention.in_proj_bias is not None


def test_vit():
    vit = ViT(12, 4, 8, 16, 2, 3, emb_dropout=0.0, blk_dropout=0.0, num_classes=7).eval()
    x = minidl.randn(2, 1, 12, 12)
    logits, weights = vit(x, need_weights=True)
    assert logits.shape == (2, 7) and [w.shape for w in weights] == [(2, 2, 10, 10)] * 3
    assert vit(x).allclose(logits, atol=1e-5)
    # A second writing, with the class token in front.
    y = minidl.cat([vit.cls_token + minidl.zeros(2, 1, 8), vit.patch_embedding(x)], 1) + vit.pos_embedding
    for block, given in zip(vit.blks, weights, strict=True):
        z = block.ln1(y)
        assert given.allclose(block.attention(z, z, z, average_attn_weights=False)[1], atol=1e-6)
        y = block(y)
    assert logits.allclose(vit.head[1](vit.head[0](y[:, 0])), atol=1e-5)
    assert given.sum(-1).allclose(minidl.ones(2, 2, 10))
    logits.sum().backward()
    assert vit.cls_token.grad.any() and vit.pos_embedding.grad.shape == (1, 10, 8)
    assert all(p.grad is not None for p in vit.parameters())


def test_the_class_token_sees_every_patch_and_their_places():
    vit = ViT(8, 4, 8, 16, 2, 1).eval()
    with minidl.no_grad():
        vit(minidl.zeros(1, 1, 8, 8))
        vit.pos_embedding.normal_()
    x = minidl.randn(1, 1, 8, 8)
    logits = vit(x)
    for i, j in ((0, 0), (0, 7), (7, 0), (7, 7)):
        changed = x.clone()
        changed[0, 0, i, j] += 3
        assert not vit(changed).allclose(logits, atol=1e-4)
    assert not vit(x.flip(2)).allclose(logits, atol=1e-4)


def test_dropouts_of_a_vit():
    vit = ViT(8, 4, 8, 16, 2, 1, emb_dropout=0.3, blk_dropout=0.4)
    x = minidl.randn(2, 1, 8, 8)
    vit(x)
    drops = [m for m in vit.modules() if isinstance(m, (nn.Dropout, nn.MultiheadAttention))]
    assert sorted(m.p if isinstance(m, nn.Dropout) else m.dropout for m in drops) == [0.3, 0.4, 0.4, 0.4]
    for drop in drops:
        for other in drops:
            other.train(other is drop)
        assert not vit(x).equal(vit(x))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PatchEmbedding(96, 15), r"patches of \(15, 15\) pixels do not tile an image of \(96, 96\)"),
        (lambda: PatchEmbedding(96, 16)(minidl.zeros(1, 1, 96, 80)), r"images \(N, C, 96, 96\), got \(1, 1, 96, 80\)"),
        (lambda: ViT(8, 4, 9, 16, 2, 1), "multiple of num_heads"),
    ],
)
def test_wrong_use_of_a_vit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
