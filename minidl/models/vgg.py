"""VGG (Simonyan and Zisserman, 2014): networks designed by the block instead of by the layer."""

from .. import nn


def vgg_block(num_convs, out_channels):
    """3×3 convolutions with ReLU that keep the size, then max pooling that halves it: (N, C, H, W) → (N, O, H/2, W/2)

    >>> import minidl
    >>> vgg_block(2, 4)(minidl.ones(1, 3, 8, 8)).shape
    (1, 4, 4, 4)
    """
    layers = []
    for _ in range(num_convs):
        layers.append(nn.LazyConv2d(out_channels, kernel_size=3, padding=1))
        layers.append(nn.ReLU())
    layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Blocks, then three dense layers. arch: (number of convolutions, channels) for each block.

    (N, C, H, W) → (N, num_classes), H and W at least 2 to the number of blocks. hidden: the width of the dense layers.

    >>> import minidl
    >>> VGG(((1, 4), (2, 8)), hidden=16)(minidl.ones(1, 1, 8, 8)).shape
    (1, 10)
    """

    def __init__(self, arch, num_classes=10, hidden=4096):
        super().__init__()
        blocks = [vgg_block(num_convs, out_channels) for num_convs, out_channels in arch]
        self.net = nn.Sequential(
            *blocks,
            nn.Flatten(),
            nn.LazyLinear(hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.LazyLinear(hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.LazyLinear(num_classes),
        )

    def forward(self, X):
        return self.net(X)


class VGG11(VGG):
    """Eight convolutions and three dense layers, 11 in all: (N, C, 224, 224) → (N, num_classes)

    >>> import minidl
    >>> VGG11(hidden=4)(minidl.ones(1, 1, 32, 32)).shape
    (1, 10)
    """

    def __init__(self, num_classes=10, hidden=4096):
        super().__init__(((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)), num_classes, hidden)
