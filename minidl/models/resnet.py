"""Residual networks (He et al., 2016) and their blocks in groups, ResNeXt (Xie et al., 2017)."""

from .. import nn
from ..nn import functional as F


class Residual(nn.Module):
    """relu(x + g(x)), g two 3×3 convolutions with batch normalization: what is left to learn is the difference from x.

    (N, C, H, W) → (N, num_channels, H/strides, W/strides). With use_1x1conv x goes through a 1×1 convolution first, which it
    must where channels or size change.

    >>> import minidl
    >>> Residual(6, use_1x1conv=True, strides=2)(minidl.randn(4, 3, 6, 6)).shape
    (4, 6, 3, 3)
    """

    def __init__(self, num_channels, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.LazyConv2d(num_channels, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.LazyConv2d(num_channels, kernel_size=3, padding=1)
        self.conv3 = nn.LazyConv2d(num_channels, kernel_size=1, stride=strides) if use_1x1conv else None
        self.bn1 = nn.LazyBatchNorm2d()
        self.bn2 = nn.LazyBatchNorm2d()

    def forward(self, X):
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3 is not None:
            X = self.conv3(X)
        return F.relu(Y + X)


class ResNeXtBlock(nn.Module):
    """relu(x + g(x)), g a bottleneck: 1×1 to fewer channels, 3×3 in groups, 1×1 back.

    groups: how many channels stand in one group of the 3×3 convolution (so the book calls it). bot_mul: the bottleneck's
    channels as a part of num_channels. (N, C, H, W) → (N, num_channels, H/strides, W/strides)

    >>> import minidl
    >>> ResNeXtBlock(32, 16, 1)(minidl.randn(2, 32, 6, 6)).shape
    (2, 32, 6, 6)
    """

    def __init__(self, num_channels, groups, bot_mul, use_1x1conv=False, strides=1):
        super().__init__()
        bot_channels = round(num_channels * bot_mul)
        self.conv1 = nn.LazyConv2d(bot_channels, kernel_size=1, stride=1)
        self.conv2 = nn.LazyConv2d(bot_channels, kernel_size=3, stride=strides, padding=1, groups=bot_channels // groups)
        self.conv3 = nn.LazyConv2d(num_channels, kernel_size=1, stride=1)
        self.bn1 = nn.LazyBatchNorm2d()
        self.bn2 = nn.LazyBatchNorm2d()
        self.bn3 = nn.LazyBatchNorm2d()
        self.conv4 = self.bn4 = None
        if use_1x1conv:
            self.conv4 = nn.LazyConv2d(num_channels, kernel_size=1, stride=strides)
            self.bn4 = nn.LazyBatchNorm2d()

    def forward(self, X):
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = F.relu(self.bn2(self.conv2(Y)))
        Y = self.bn3(self.conv3(Y))
        if self.conv4 is not None:
            X = self.bn4(self.conv4(X))
        return F.relu(Y + X)


class ResNet(nn.Module):
    """A convolution with stride 2, max pooling, groups of residual blocks, the mean over the image, one dense layer.

    arch: (number of blocks, channels) for each group; all but the first halve the size.
    (N, C, H, W) → (N, num_classes), for images of any size.

    >>> import minidl
    >>> ResNet(((1, 4), (1, 8)))(minidl.randn(2, 1, 16, 16)).shape
    (2, 10)
    """

    def __init__(self, arch, num_classes=10):
        super().__init__()
        self.net = nn.Sequential(self.b1(arch[0][1]))
        for i, (num_residuals, num_channels) in enumerate(arch):
            self.net.add_module(f"b{i + 2}", self.block(num_residuals, num_channels, first_block=(i == 0)))
        self.net.add_module("last", nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LazyLinear(num_classes)))

    def b1(self, num_channels):
        """The first layers: a 7×7 convolution with stride 2, and pooling."""
        return nn.Sequential(
            nn.LazyConv2d(num_channels, kernel_size=7, stride=2, padding=3),
            nn.LazyBatchNorm2d(),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )

    def block(self, num_residuals, num_channels, first_block=False):
        """num_residuals Residual blocks with num_channels channels each."""
        blocks = []
        for i in range(num_residuals):
            if i == 0 and not first_block:
                blocks.append(Residual(num_channels, use_1x1conv=True, strides=2))
            else:
                blocks.append(Residual(num_channels))
        return nn.Sequential(*blocks)

    def forward(self, X):
        return self.net(X)


class ResNet18(ResNet):
    """17 convolutions in a row and a dense layer: (N, C, H, W) → (N, num_classes)

    11,178,378 parameters for one channel and 10 classes (the convolutions have biases, as in the book).

    >>> import minidl
    >>> ResNet18()(minidl.randn(2, 1, 32, 32)).shape
    (2, 10)
    """

    def __init__(self, num_classes=10):
        super().__init__(((2, 64), (2, 128), (2, 256), (2, 512)), num_classes)
