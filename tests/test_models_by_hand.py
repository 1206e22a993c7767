"""The book's networks against plain NumPy, written from the book's formulas, layer by layer, with drawn weights.

Whatever a network does otherwise is seen here: a skip, a norm, a ReLU or a pooling that is left out, moved or exchanged,
another stride, padding, number of groups, order of concatenation, or rate of dropout.
"""

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import models, nn

from .plain_images import Twin, flat, max_pool, mean_pool, relu, sigmoid


def drawn(net, size, seed=0):
    """The network in doubles with drawn parameters and running statistics (none is 0 or 1: none can be missed), and images."""
    minidl.manual_seed(seed)
    net(minidl.randn(*size))  # lazy layers learn their sizes
    net.double()
    rng = np.random.default_rng(seed)
    for name, x in net.state_dict().items():
        if x.dtype == minidl.float64:
            if "running_var" in name:
                drawn = rng.uniform(0.5, 2, x.shape)
            elif x.ndim > 1:
                drawn = rng.normal(size=x.shape) * (2 / np.prod(x.shape[1:])) ** 0.5  # ReLUs keep the size
            else:
                drawn = rng.uniform(0.3, 1.2, x.shape) * rng.choice([-1.0, 1.0], x.shape)
            x.copy_(minidl.tensor(drawn))
    return net, rng.normal(size=size)


def mask(shape, p):
    """What dropout multiplies with."""
    return F.dropout(minidl.ones(*shape, dtype=minidl.float64), p).numpy()


def check(net, size, plain, training):
    """The network's values and running statistics are those of plain(twin, images), which uses all of the network's state."""
    net, x = drawn(net, size)
    net.train(training)
    twin = Twin(net, mask)
    minidl.manual_seed(5)
    expected = plain(twin, x)
    minidl.manual_seed(5)
    with minidl.no_grad():
        found = net(minidl.tensor(x)).numpy()
    assert np.abs(expected).max() > 1e-3 and np.ptp(expected) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())
    assert twin.used == set(twin.state)
    for name, x in net.state_dict().items():
        np.testing.assert_allclose(x.numpy(), twin.state[name], rtol=1e-6, atol=1e-9, err_msg=name)


# --- the networks of chapters 7 and 8


def lenet(t, x):
    x = mean_pool(sigmoid(t.conv(x, "net.0", padding=2)), 2, 2)
    x = mean_pool(sigmoid(t.conv(x, "net.3")), 2, 2)
    x = sigmoid(t.dense(flat(x), "net.7"))
    return t.dense(sigmoid(t.dense(x, "net.9")), "net.11")


def bn_lenet(t, x):
    x = mean_pool(sigmoid(t.batch_norm(t.conv(x, "net.0"), "net.1")), 2, 2)
    x = mean_pool(sigmoid(t.batch_norm(t.conv(x, "net.4"), "net.5")), 2, 2)
    x = sigmoid(t.batch_norm(t.dense(flat(x), "net.9"), "net.10"))
    x = sigmoid(t.batch_norm(t.dense(x, "net.12"), "net.13"))
    return t.dense(x, "net.15")


def dense_layers(t, x, first):
    """Three, with ReLU and dropout between, as AlexNet and VGG have them."""
    x = t.dropout(relu(t.dense(flat(x), f"net.{first}")), 0.5)
    x = t.dropout(relu(t.dense(x, f"net.{first + 3}")), 0.5)
    return t.dense(x, f"net.{first + 6}")


def alexnet(t, x):
    x = max_pool(relu(t.conv(x, "net.0", stride=4, padding=1)), 3, 2)
    x = max_pool(relu(t.conv(x, "net.3", padding=2)), 3, 2)
    x = relu(t.conv(x, "net.6", padding=1))
    x = relu(t.conv(x, "net.8", padding=1))
    x = max_pool(relu(t.conv(x, "net.10", padding=1)), 3, 2)
    return dense_layers(t, x, 14)


def vgg_block(t, x, name, convs):
    for i in range(convs):
        x = relu(t.conv(x, f"{name}{2 * i}", padding=1))
    return max_pool(x, 2, 2)


def vgg(*convs):
    def plain(t, x):
        for i, n in enumerate(convs):
            x = vgg_block(t, x, f"net.{i}.", n)
        return dense_layers(t, x, len(convs) + 1)

    return plain


def nin_block(t, x, name, **options):
    x = relu(t.conv(x, f"{name}0", **options))
    return relu(t.conv(relu(t.conv(x, f"{name}2")), f"{name}4"))


def nin(t, x):
    x = max_pool(nin_block(t, x, "net.0.", stride=4), 3, 2)
    x = max_pool(nin_block(t, x, "net.2.", padding=2), 3, 2)
    x = max_pool(nin_block(t, x, "net.4.", padding=1), 3, 2)
    return nin_block(t, t.dropout(x, 0.5), "net.7.", padding=1).mean((2, 3))


def inception(t, x, name):
    first = relu(t.conv(x, f"{name}b1_1"))
    second = relu(t.conv(relu(t.conv(x, f"{name}b2_1")), f"{name}b2_2", padding=1))
    third = relu(t.conv(relu(t.conv(x, f"{name}b3_1")), f"{name}b3_2", padding=2))
    fourth = relu(t.conv(max_pool(x, 3, 1, padding=1), f"{name}b4_2"))
    return np.concatenate([first, second, third, fourth], 1)


def googlenet(t, x):
    x = max_pool(relu(t.conv(x, "net.0.0", stride=2, padding=3)), 3, 2, padding=1)
    x = relu(t.conv(x, "net.1.0"))
    x = max_pool(relu(t.conv(x, "net.1.2", padding=1)), 3, 2, padding=1)
    for part, blocks in ((2, 2), (3, 5), (4, 2)):
        for i in range(blocks):
            x = inception(t, x, f"net.{part}.{i}.")
        if part < 4:
            x = max_pool(x, 3, 2, padding=1)
    return t.dense(x.mean((2, 3)), "net.5")


def residual(t, x, name, adapts=False, stride=1):
    y = relu(t.batch_norm(t.conv(x, f"{name}conv1", stride=stride, padding=1), f"{name}bn1"))
    y = t.batch_norm(t.conv(y, f"{name}conv2", padding=1), f"{name}bn2")
    return relu(y + (t.conv(x, f"{name}conv3", stride=stride) if adapts else x))


def resnext_block(t, x, groups, adapts=False, stride=1):
    y = relu(t.batch_norm(t.conv(x, "conv1"), "bn1"))
    y = relu(t.batch_norm(t.conv(y, "conv2", stride=stride, padding=1, groups=groups), "bn2"))
    y = t.batch_norm(t.conv(y, "conv3"), "bn3")
    return relu(y + (t.batch_norm(t.conv(x, "conv4", stride=stride), "bn4") if adapts else x))


def stem(t, x):
    """What ResNet and DenseNet begin with."""
    return max_pool(relu(t.batch_norm(t.conv(x, "net.0.0", stride=2, padding=3), "net.0.1")), 3, 2, padding=1)


def resnet(*blocks):
    def plain(t, x):
        x = stem(t, x)
        for i, n in enumerate(blocks):
            for j in range(n):
                halves = i > 0 and j == 0
                x = residual(t, x, f"net.b{i + 2}.{j}.", adapts=halves, stride=2 if halves else 1)
        return t.dense(x.mean((2, 3)), "net.last.2")

    return plain


def dense_block(t, x, name, convs):
    for i in range(convs):
        y = t.conv(relu(t.batch_norm(x, f"{name}net.{i}.0")), f"{name}net.{i}.2", padding=1)
        x = np.concatenate([x, y], 1)
    return x


def transition(t, x, name):
    return mean_pool(t.conv(relu(t.batch_norm(x, f"{name}0")), f"{name}2"), 2, 2)


def densenet(*convs):
    def plain(t, x):
        x = stem(t, x)
        for i, n in enumerate(convs, 1):
            x = dense_block(t, x, f"net.dense_blk{i}.", n)
            if i < len(convs):
                x = transition(t, x, f"net.tran_blk{i}.")
        return t.dense(relu(t.batch_norm(x, "net.last.0")).mean((2, 3)), "net.last.4")

    return plain


NETWORKS = {
    "LeNet": (lambda: models.LeNet(), (3, 1, 28, 28), lenet),
    "BNLeNet": (lambda: models.BNLeNet(3), (4, 1, 28, 28), bn_lenet),
    "AlexNet": (lambda: models.AlexNet(hidden=20), (2, 1, 83, 65), alexnet),
    "VGG": (lambda: models.VGG(((1, 4), (2, 8)), 3, hidden=16), (2, 2, 9, 12), vgg(1, 2)),
    "NiN": (lambda: models.NiN(4), (2, 1, 83, 99), nin),
    "ResNet": (lambda: models.ResNet(((2, 4), (2, 6), (1, 8)), 3), (4, 2, 33, 30), resnet(2, 2, 1)),
    "DenseNet": (lambda: models.DenseNet(8, 3, (2, 3, 1), 3), (4, 2, 33, 30), densenet(2, 3, 1)),
    "vgg_block": (lambda: models.vgg_block(3, 4), (2, 3, 7, 6), lambda t, x: vgg_block(t, x, "", 3)),
    "nin_block": (lambda: models.nin_block(4, 3, 2, 1), (2, 3, 7, 6), lambda t, x: nin_block(t, x, "", stride=2, padding=1)),
    "Inception": (lambda: models.Inception(2, (3, 4), (5, 6), 7), (2, 3, 7, 6), lambda t, x: inception(t, x, "")),
    "Residual": (lambda: models.Residual(3), (2, 3, 6, 5), lambda t, x: residual(t, x, "")),
    "Residual, halving": (lambda: models.Residual(4, True, 2), (2, 3, 6, 5), lambda t, x: residual(t, x, "", True, 2)),
    "ResNeXtBlock": (lambda: models.ResNeXtBlock(8, 2, 0.5), (2, 8, 6, 5), lambda t, x: resnext_block(t, x, 2)),
    "ResNeXtBlock, wide": (lambda: models.ResNeXtBlock(6, 4, 2), (2, 6, 6, 5), lambda t, x: resnext_block(t, x, 3)),
    "ResNeXtBlock, halving": (
        lambda: models.ResNeXtBlock(8, 2, 0.75, use_1x1conv=True, strides=2),
        (2, 5, 6, 5),
        lambda t, x: resnext_block(t, x, 3, True, 2),
    ),
    "DenseBlock": (lambda: models.DenseBlock(3, 2), (2, 3, 6, 5), lambda t, x: dense_block(t, x, "", 3)),
    "transition_block": (lambda: models.transition_block(3), (2, 5, 6, 7), lambda t, x: transition(t, x, "")),
}


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_and_blocks_are_those_of_plain_numpy(name, training):
    make, size, plain = NETWORKS[name]
    check(make(), size, plain, training)


WHOLE = {  # as the book has them: all channels, all blocks
    "VGG11": (lambda: models.VGG11(hidden=8), (2, 1, 32, 32), vgg(1, 1, 2, 2, 2)),
    "GoogLeNet": (models.GoogLeNet, (2, 1, 64, 64), googlenet),
    "ResNet18": (models.ResNet18, (2, 1, 32, 32), resnet(2, 2, 2, 2)),
    "DenseNet": (models.DenseNet, (2, 1, 32, 32), densenet(4, 4, 4, 4)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_networks_are_those_of_plain_numpy(name):
    make, size, plain = WHOLE[name]
    check(make(), size, plain, training=False)


def of_inception(*blocks):
    """Channels of the convolutions of blocks that are written as in the paper's table."""
    return [n for c1, (c2, c3), (c4, c5), c6 in blocks for n in (c1, c2, c3, c4, c5, c6)]


INCEPTIONS = (
    (64, (96, 128), (16, 32), 32),
    (128, (128, 192), (32, 96), 64),
    (192, (96, 208), (16, 48), 64),
    (160, (112, 224), (24, 64), 64),
    (128, (128, 256), (24, 64), 64),
    (112, (144, 288), (32, 64), 64),
    (256, (160, 320), (32, 128), 128),
    (256, (160, 320), (32, 128), 128),
    (384, (192, 384), (48, 128), 128),
)
DENSE = [64, *[32] * 4, 96, *[32] * 4, 112, *[32] * 4, 120, *[32] * 4]
CHANNELS = {  # of all convolutions, and the widths of dense layers
    "LeNet": ([6, 16], [120, 84, 10]),
    "BNLeNet": ([6, 16], [120, 84, 10]),
    "AlexNet": ([96, 256, 384, 384, 256], [4096, 4096, 10]),
    "VGG11": ([64, 128, 256, 256, 512, 512, 512, 512], [4096, 4096, 10]),
    "NiN": ([96] * 3 + [256] * 3 + [384] * 3 + [10] * 3, []),
    "GoogLeNet": ([64, 64, 192, *of_inception(*INCEPTIONS)], [10]),
    "ResNet18": ([64] * 5 + [128] * 5 + [256] * 5 + [512] * 5, [10]),
    "DenseNet": (DENSE, [10]),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_of_the_papers(name):
    layers = list(getattr(models, name)().modules())
    convolutions = [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)]
    assert (convolutions, [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]) == CHANNELS[name]


@pytest.mark.parametrize(
    ("net", "rates"),
    [
        (models.LeNet(), []),
        (models.AlexNet(hidden=8), [0.5, 0.5]),
        (models.VGG11(hidden=8), [0.5, 0.5]),
        (models.NiN(), [0.5]),
        (models.GoogLeNet(), []),
        (models.ResNet18(), []),
        (models.DenseNet(), []),
    ],
    ids=lambda x: type(x).__name__,
)
def test_rates_of_dropout(net, rates):
    assert [module.p for module in net.modules() if isinstance(module, nn.Dropout)] == rates


@pytest.mark.parametrize("name", NETWORKS)
def test_first_values_are_the_layers(name):
    """Weights and biases uniform within 1/√(inputs of one output), norms 1 and 0: a network changes nothing about them."""
    make, size, _ = NETWORKS[name]
    minidl.manual_seed(0)
    net = make().eval()
    net(minidl.randn(*size))
    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            bound = np.prod(layer.weight.shape[1:]) ** -0.5
            for x in (layer.weight, layer.bias):
                enough = x.numel() >= 100
                assert (0.9 * bound if enough else 0.0) < x.abs().max().item() <= bound
                assert not enough or x.std().item() == pytest.approx(bound / 3**0.5, rel=0.2)
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert (layer.weight == 1).all() and not layer.bias.any()
            assert (layer.eps, layer.momentum, layer.affine, layer.track_running_stats) == (1e-5, 0.1, True, True)
