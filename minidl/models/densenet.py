"""DenseNet (Huang et al., 2017): every layer sees what all layers before it have made."""

from .. import nn
from ..tensors.joining import cat


def conv_block(num_channels):
    """Batch normalization, ReLU and a 3×3 convolution that keeps the size: (N, C, H, W) → (N, num_channels, H, W)

    >>> import minidl
    >>> conv_block(4)(minidl.randn(2, 3, 8, 8)).shape
    (2, 4, 8, 8)
    """
    return nn.Sequential(nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConv2d(num_channels, kernel_size=3, padding=1))


class DenseBlock(nn.Module):
    """Each convolution's channels are added to its input's: (N, C, H, W) → (N, C + num_convs·num_channels, H, W)

    >>> import minidl
    >>> DenseBlock(2, 10)(minidl.randn(4, 3, 8, 8)).shape
    (4, 23, 8, 8)
    """

    def __init__(self, num_convs, num_channels):
        super().__init__()
        self.net = nn.Sequential(*[conv_block(num_channels) for _ in range(num_convs)])

    def forward(self, X):
        for blk in self.net:
            Y = blk(X)
            X = cat((X, Y), dim=1)
        return X


def transition_block(num_channels):
    """Fewer channels by a 1×1 convolution, half the size by average pooling: (N, C, H, W) → (N, num_channels, H/2, W/2)

    >>> import minidl
    >>> transition_block(10)(minidl.randn(4, 23, 8, 8)).shape
    (4, 10, 4, 4)
    """
    return nn.Sequential(
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.LazyConv2d(num_channels, kernel_size=1),
        nn.AvgPool2d(kernel_size=2, stride=2),
    )


class DenseNet(nn.Module):
    """Dense blocks with transitions between that halve channels and size: (N, C, H, W) → (N, num_classes)

    num_channels: of the first convolution; growth_rate: of each in a block; arch: how many convolutions each block has.

    >>> import minidl
    >>> DenseNet(8, 4, (2, 2))(minidl.randn(2, 1, 16, 16)).shape
    (2, 10)
    """

    def __init__(self, num_channels=64, growth_rate=32, arch=(4, 4, 4, 4), num_classes=10):
        super().__init__()
        self.net = nn.Sequential(self.b1(num_channels))
        for i, num_convs in enumerate(arch):
            self.net.add_module(f"dense_blk{i + 1}", DenseBlock(num_convs, growth_rate))
            num_channels += num_convs * growth_rate
            if i != len(arch) - 1:
                num_channels //= 2
                self.net.add_module(f"tran_blk{i + 1}", transition_block(num_channels))
        self.net.add_module(
            "last",
            nn.Sequential(
                nn.LazyBatchNorm2d(),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d((1, 1)),
                nn.Flatten(),
                nn.LazyLinear(num_classes),
            ),
        )

    def b1(self, num_channels):
        """The first layers: a 7×7 convolution with stride 2, and pooling."""
        return nn.Sequential(
            nn.LazyConv2d(num_channels, kernel_size=7, stride=2, padding=3),
            nn.LazyBatchNorm2d(),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )

    def forward(self, X):
        return self.net(X)
