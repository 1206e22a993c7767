"""The book's networks: what shape each block makes of what, how many parameters there are, and that they learn."""

import inspect
import sys

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import models, nn


def shapes(net, *size):
    """The shape after each part of a Sequential."""
    x, found = minidl.randn(*size), []
    with minidl.no_grad():
        for part in net:
            x = part(x)
            found.append(x.shape)
    return found


def count(net):
    return sum(param.numel() for param in net.parameters())


def changes(found):
    """The shapes without those that are as the one before."""
    return [shape[1:] for shape, before in zip(found, [None, *found], strict=False) if shape != before]


def test_lenet_layer_by_layer():
    net = models.LeNet()
    found = changes(shapes(net.net, 1, 1, 28, 28))
    assert found == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (400,), (120,), (84,), (10,)]
    assert count(net) == 61706
    assert [name for name, _ in net.named_parameters()][:3] == ["net.0.weight", "net.0.bias", "net.3.weight"]
    net.apply(models.init_cnn)
    assert net.net[0].weight.abs().max() > 0.15  # Xavier's bound is √(6/(25 + 150)) = 0.185, the default's 0.2
    assert net.net[0].weight.abs().max() <= (6 / 175) ** 0.5
    assert 0.1 < net.net[7].weight.abs().max() <= (6 / 520) ** 0.5  # and here the default's 0.05


def test_lenet_with_batch_normalization():
    net = models.BNLeNet()
    found = changes(shapes(net.net, 3, 1, 28, 28))
    assert found == [(6, 24, 24), (6, 12, 12), (16, 8, 8), (16, 4, 4), (256,), (120,), (84,), (10,)]
    # without padding the first dense layer has 256 inputs for 400; two values for each normalised channel
    assert count(net) == 61706 - 144 * 120 + 2 * (6 + 16 + 120 + 84)


def test_alexnet_layer_by_layer():
    net = models.AlexNet(hidden=20)
    found = changes(shapes(net.net, 1, 1, 224, 224))
    images = [(96, 54, 54), (96, 26, 26), (256, 26, 26), (256, 12, 12), (384, 12, 12), (256, 12, 12), (256, 5, 5)]
    assert found == [*images, (6400,), (20,), (10,)]
    assert models.AlexNet().net[14].out_features == models.AlexNet().net[17].out_features == 4096


def test_vgg_block_by_block():
    net = models.VGG11(hidden=20)
    found = shapes(net.net[:6], 1, 1, 224, 224)
    assert [shape[1:] for shape in found] == [
        (64, 112, 112),
        (128, 56, 56),
        (256, 28, 28),
        (512, 14, 14),
        (512, 7, 7),
        (25088,),
    ]
    small = models.VGG(((1, 4), (2, 8)), num_classes=3, hidden=16)
    assert small(minidl.ones(2, 1, 12, 12)).shape == (2, 3)
    assert count(small) == (9 + 1) * 4 + (36 + 1) * 8 + (72 + 1) * 8 + (72 + 1) * 16 + 17 * 16 + 17 * 3
    assert models.VGG11().net[6].out_features == models.VGG11().net[9].out_features == 4096


def test_nin_block_by_block():
    found = changes(shapes(models.NiN().net, 1, 1, 224, 224))
    images = [(96, 54, 54), (96, 26, 26), (256, 26, 26), (256, 12, 12), (384, 12, 12), (384, 5, 5), (10, 5, 5), (10, 1, 1)]
    assert found == [*images, (10,)]


def test_googlenet_block_by_block():
    found = shapes(models.GoogLeNet().net, 1, 1, 96, 96)
    assert [shape[1:] for shape in found] == [(64, 24, 24), (192, 12, 12), (480, 6, 6), (832, 3, 3), (1024,), (10,)]


def test_residual_blocks():
    X = minidl.randn(4, 3, 6, 6)
    assert models.Residual(3)(X).shape == (4, 3, 6, 6)
    assert models.Residual(6, use_1x1conv=True, strides=2)(X).shape == (4, 6, 3, 3)
    X = minidl.randn(2, 32, 24, 24)
    assert models.ResNeXtBlock(32, 16, 1)(X).shape == X.shape
    block = models.ResNeXtBlock(64, 8, 0.5, use_1x1conv=True, strides=2)
    assert block(X).shape == (2, 64, 12, 12)
    assert block.conv2.weight.shape == (32, 8, 3, 3)


def test_resnext_block_of_the_book():
    assert models.ResNeXtBlock(32, 16, 1)(minidl.randn(4, 32, 96, 96)).shape == (4, 32, 96, 96)


def test_a_residual_block_that_has_learned_nothing_passes_its_input_on():
    block = models.Residual(3).eval()
    X = minidl.rand(2, 3, 5, 5)
    block(X)
    for layer in (block.conv2.weight, block.conv2.bias):
        layer.data.zero_()
    assert block(X).allclose(X)


def test_a_group_of_residual_blocks_halves_unless_it_is_the_first():
    X = minidl.randn(2, 4, 6, 6)
    net = models.ResNet(((1, 4),))
    assert shapes(net.block(2, 8), 2, 4, 6, 6) == [(2, 8, 3, 3)] * 2
    first = net.block(2, 4, first_block=True)
    assert first(X).shape == X.shape and [block.conv3 for block in first] == [None, None]


def test_resnet18_block_by_block():
    net = models.ResNet18()
    found = shapes(net.net, 1, 1, 96, 96)
    assert [shape[1:] for shape in found] == [(64, 24, 24), (64, 24, 24), (128, 12, 12), (256, 6, 6), (512, 3, 3), (10,)]
    assert count(net) == 11178378
    names = list(net.state_dict())
    assert names[:2] == ["net.0.0.weight", "net.0.0.bias"]
    assert {"net.b2.0.conv1.weight", "net.b3.0.conv3.weight", "net.b5.1.bn2.running_var", "net.last.2.bias"} <= set(names)


def test_dense_blocks():
    Y = models.DenseBlock(2, 10)(minidl.randn(4, 3, 8, 8))
    assert Y.shape == (4, 23, 8, 8)
    assert models.transition_block(10)(Y).shape == (4, 10, 4, 4)


def test_densenet_block_by_block():
    found = shapes(models.DenseNet().net, 1, 1, 96, 96)
    channels = [(64, 24, 24), (192, 24, 24), (96, 12, 12), (224, 12, 12), (112, 6, 6), (240, 6, 6), (120, 3, 3), (248, 3, 3)]
    assert [shape[1:] for shape in found] == [*channels, (10,)]


def same_as(torch, net, other, size):
    """The same logits and gradients as a network of PyTorch's that is given the same weights."""
    x = minidl.randn(*size)
    net(x), other(torch.tensor(x.numpy()))  # lazy layers learn their sizes
    assert list(net.state_dict()) == list(other.state_dict())
    other.load_state_dict({name: torch.tensor(value.numpy().copy()) for name, value in net.state_dict().items()})
    minidl.manual_seed(1)
    torch.manual_seed(1)  # the same units are dropped
    y, z = net(x), other(torch.tensor(x.numpy()))
    np.testing.assert_allclose(y.numpy(force=True), z.detach().numpy(), rtol=1e-3, atol=1e-4)
    labels = [3, 1, 4, 1][: size[0]]
    F.cross_entropy(y, minidl.tensor(labels)).backward()
    torch.nn.functional.cross_entropy(z, torch.tensor(labels)).backward()
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        scale = max(q.grad.abs().max().item(), 1e-3)
        np.testing.assert_allclose(p.grad.numpy() / scale, q.grad.numpy() / scale, atol=2e-3, err_msg=name)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("LeNet", {}, (4, 1, 28, 28)),
        ("BNLeNet", {}, (4, 1, 28, 28)),
        ("VGG", {"arch": ((1, 4), (2, 8))}, (2, 1, 8, 8)),
        ("NiN", {}, (1, 1, 67, 67)),
        ("ResNet", {"arch": ((1, 8), (2, 16))}, (4, 2, 24, 24)),
        ("DenseNet", {"num_channels": 8, "growth_rate": 4, "arch": (2, 3)}, (4, 2, 24, 24)),
    ],
)
def test_the_same_code_in_pytorch_gives_the_same(name, options, size):
    """The source of the model, run with PyTorch's names in the place of ours."""
    torch = pytest.importorskip("torch")
    model = getattr(models, name)
    space = {"nn": torch.nn, "F": torch.nn.functional, "cat": torch.cat, "__name__": "twin"}
    source = inspect.getsource(sys.modules[model.__module__])
    exec("\n".join(line for line in source.splitlines() if not line.startswith("from ..")), space)
    same_as(torch, model(**options).train(), space[name](**options).train(), size)


def test_a_network_learns_eight_pictures_by_heart():
    X, y = minidl.randn(8, 1, 28, 28), minidl.arange(8)
    net = models.BNLeNet()
    net(X)
    optimizer = minidl.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert (net(X).argmax(1) == y).all()
    assert isinstance(net.net[0], nn.Conv2d)
