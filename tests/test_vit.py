"""The vision Transformer, compared with a forward pass in plain NumPy."""

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import models
from minidl.autograd import gradcheck

from . import plain


def tiny(seed=0, img_size=(6, 8), patch_size=(3, 2), **options):
    """A ViT of doubles that has seen a batch and whose parameters are all drawn: none can be missed."""
    minidl.manual_seed(seed)
    sizes = {"num_hiddens": 8, "mlp_num_hiddens": 12, "num_heads": 2, "num_blks": 2, "num_classes": 5}
    model = models.ViT(img_size, patch_size, **{**sizes, **options}).double().eval()
    model(minidl.zeros(1, 3, *img_size, dtype=minidl.float64))
    with minidl.no_grad():
        for param in model.parameters():
            param.copy_(minidl.randn(param.shape) * 0.4)
    return model


def draw(n=2, height=6, width=8):
    return minidl.randn(n, 3, height, width, dtype=minidl.float64)


def read(model, images):
    """The logits as an array, without gradients."""
    with minidl.no_grad():
        return model(images).numpy()


def plain_vit(model, image, patch=(3, 2), heads=2, blocks=2):
    """Logits and weights of each block (H, T, T) of one image (C, H, W)."""
    state = {name: x.numpy() for name, x in model.state_dict().items()}
    vectors = [state["cls_token"][0, 0]]
    for top in range(0, image.shape[1], patch[0]):
        for left in range(0, image.shape[2], patch[1]):
            cut = image[:, top : top + patch[0], left : left + patch[1]]
            vectors.append((state["patch_embedding.conv.weight"] * cut).sum((1, 2, 3)) + state["patch_embedding.conv.bias"])
    x, seen = np.stack(vectors) + state["pos_embedding"][0], []
    for i in range(blocks):
        name = f"blks.{i}"
        y, weights = plain.attention(plain.norm(x, state, f"{name}.ln1"), state, f"{name}.attention", heads, causal=False)
        x = x + y
        hidden = plain.gelu(plain.dense(plain.norm(x, state, f"{name}.ln2"), state, f"{name}.mlp.dense1"))
        x = x + plain.dense(hidden, state, f"{name}.mlp.dense2")
        seen.append(weights)
    return plain.dense(plain.norm(x[0], state, "head.0"), state, "head.1"), seen


@pytest.mark.parametrize("use_bias", [False, True])
def test_logits_and_weights_are_those_of_plain_numpy(use_bias):
    model, images = tiny(use_bias=use_bias), draw(3)
    logits, seen = read(model, images), model.attention_weights(images)
    assert logits.shape == (3, 5) and [w.shape for w in seen] == [(3, 2, 9, 9)] * 2
    for n in range(3):
        expected, weights = plain_vit(model, images.numpy()[n])
        np.testing.assert_allclose(logits[n], expected, rtol=1e-9, atol=1e-9)
        for layer in range(2):
            np.testing.assert_allclose(seen[layer].numpy()[n], weights[layer], rtol=1e-9, atol=1e-12)


def test_the_book_s_shapes():
    assert models.PatchEmbedding(96, 16, 512)(minidl.zeros(4, 3, 96, 96)).shape == (4, 36, 512)
    block = models.ViTBlock(24, 24, 48, 8, 0.5).eval()
    assert block(minidl.ones(2, 100, 24)).shape == (2, 100, 24)
    assert models.PatchEmbedding((7, 9), (2, 4), 5)(minidl.zeros(1, 1, 7, 9)).shape == (1, 6, 5)  # a border is left over


def test_how_many_parameters():
    net = models.ViT(96, 16, 512, 2048, 8, 2, 0.1, 0.1)
    net(minidl.zeros(1, 1, 96, 96))
    patches = 512 * 256 + 512 + 512 + 37 * 512  # with the class token and places
    block = 4 * 512 * 512 + 2 * 512 * 2048 + 2048 + 512 + 4 * 512  # no biases in the attention
    assert sum(p.numel() for p in net.parameters()) == patches + 2 * block + 2 * 512 + 512 * 10 + 10


def test_first_values():
    minidl.manual_seed(0)
    net = models.ViT(96, 8, 64, 128, 8, 2)
    net(minidl.zeros(1, 1, 96, 96))
    assert not net.cls_token.any()
    assert net.pos_embedding.std().item() == pytest.approx(1, rel=0.03) and abs(net.pos_embedding.mean().item()) < 0.05
    for layer in net.modules():  # the rest is what the layers start from
        if isinstance(layer, (minidl.nn.Linear, minidl.nn.Conv2d)):
            bound = np.prod(layer.weight.shape[1:]) ** -0.5
            assert 0.95 * bound < layer.weight.abs().max().item() <= bound


def test_what_is_left_out_is_as_the_book_has_it():
    embedding = models.PatchEmbedding()
    assert embedding.img_size == (96, 96)
    assert (embedding.num_patches, embedding.conv.out_channels, embedding.conv.kernel_size) == (36, 512, (16, 16))
    assert models.ViTMLP(6, 4).dropout1.p == models.ViTMLP(6, 4).dropout2.p == 0.5
    net = models.ViT(8, 4, 8, 12, 2, 1)
    assert net.dropout.p == net.blks[0].attention.dropout == net.blks[0].mlp.dropout1.p == net.blks[0].mlp.dropout2.p == 0
    assert net.blks[0].attention.qkv.bias is None and net.head[1].out_features == 10
    net = models.ViT(8, 4, 8, 12, 2, 1, emb_dropout=0.1, blk_dropout=0.2)
    assert net.dropout.p == 0.1
    assert net.blks[0].attention.dropout == net.blks[0].mlp.dropout1.p == net.blks[0].mlp.dropout2.p == 0.2


def test_patches_are_read_in_rows_and_know_their_places():
    model, images = tiny(), draw(1)
    embed = model.patch_embedding
    with minidl.no_grad():
        before = embed(images).numpy()
        images[:, :, 3:6, 2:4] += 1  # the second row, the second column of four
        after = embed(images).numpy()
    assert np.flatnonzero(np.abs(after - before).max((0, 2)) > 1e-9).tolist() == [5]
    swapped = minidl.cat([images[:, :, 3:], images[:, :, :3]], dim=2)
    assert np.abs(read(model, swapped) - read(model, images)).max() > 1e-6
    with minidl.no_grad():
        model.pos_embedding.zero_()
    np.testing.assert_allclose(read(model, swapped), read(model, images), atol=1e-12)  # without places, a bag of patches


def test_dropout_acts_in_training_and_pictures_are_without_it():
    images = draw(1)
    for options in ({"emb_dropout": 0.5}, {"blk_dropout": 0.5}):
        model = tiny(**options).train()
        assert not np.allclose(read(model, images), read(model, images))
        first, second = model.attention_weights(images), model.attention_weights(images)
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(first, second, strict=True))
        assert all(module.training for module in model.modules())
        np.testing.assert_array_equal(read(model.eval(), images), read(tiny(), images))


def test_where_dropout_acts():
    """With probability 1 it is plain to see: all of what it acts on is 0."""
    mlp, x = models.ViTMLP(6, 4, dropout=1.0), minidl.randn(2, 3, 4)
    assert not mlp(x).any()
    mlp.dropout2.p = 0.0
    np.testing.assert_allclose(mlp(x).detach().numpy(), np.broadcast_to(mlp.dense2.bias.detach().numpy(), (2, 3, 4)))
    block = tiny(blk_dropout=1.0, use_bias=True).train().blks[0]
    with minidl.no_grad():
        x = minidl.randn(2, 3, 8, dtype=minidl.float64)
        bias = block.attention.out.bias.detach().numpy()
        np.testing.assert_allclose((block(x) - x).numpy(), np.broadcast_to(bias, (2, 3, 8)), atol=1e-12)


def test_gradients():
    model = tiny(img_size=(4, 4), patch_size=(2, 2), num_hiddens=4, mlp_num_hiddens=3, num_blks=1, num_classes=3)
    images, labels = draw(2, 4, 4), minidl.tensor([2, 0])
    assert gradcheck(lambda *params: F.cross_entropy(model(images), labels), tuple(model.parameters()))


def test_it_learns_which_corner_is_bright():
    minidl.manual_seed(0)
    images = minidl.randn(64, 1, 8, 8)
    labels = minidl.arange(64) % 4
    for n, label in enumerate(labels.tolist()):
        top, left = 4 * (label // 2), 4 * (label % 2)
        images[n, 0, top : top + 4, left : left + 4] += 1
    model = models.ViT(8, 4, 16, 32, num_heads=2, num_blks=1, num_classes=4)
    model(images)
    optimizer = minidl.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(images).argmax(-1) == labels).float().mean() > 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.PatchEmbedding(4, 8), r"a patch of \(8, 8\) does not fit into an image of \(4, 4\)"),
        (lambda: models.PatchEmbedding(0), "img_size must be an integer of at least 1"),
        (lambda: models.PatchEmbedding(8, (2, 2, 2)), "patch_size must be an integer of at least 1, or two"),
        (lambda: models.PatchEmbedding(8, 4)(minidl.ones(1, 3, 8, 9)), r"images \(N, C, 8, 8\), got shape \(1, 3, 8, 9\)"),
        (lambda: models.PatchEmbedding(8, 4)(minidl.ones(3, 8, 8)), r"images \(N, C, 8, 8\)"),
        (lambda: models.ViT(8, 4, 10, 8, 3, 1), "multiple of the heads, got 10 and 3 heads"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
