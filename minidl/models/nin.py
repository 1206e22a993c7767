"""Network in network (Lin, Chen and Yan, 2013): a small perceptron at every pixel, and no dense layers at the end."""

from .. import nn


def nin_block(out_channels, kernel_size, strides, padding):
    """A convolution, then two of 1×1: at every pixel a perceptron on its channels. (N, C, H, W) → (N, O, OH, OW)

    >>> import minidl
    >>> nin_block(4, kernel_size=3, strides=1, padding=1)(minidl.ones(1, 3, 8, 8)).shape
    (1, 4, 8, 8)
    """
    return nn.Sequential(
        nn.LazyConv2d(out_channels, kernel_size, strides, padding),
        nn.ReLU(),
        nn.LazyConv2d(out_channels, kernel_size=1),
        nn.ReLU(),
        nn.LazyConv2d(out_channels, kernel_size=1),
        nn.ReLU(),
    )


class NiN(nn.Module):
    """One channel for each class in the end, averaged over the image: (N, C, 224, 224) → (N, num_classes)

    >>> import minidl
    >>> NiN()(minidl.ones(1, 1, 67, 67)).shape
    (1, 10)
    """

    def __init__(self, num_classes=10):
        super().__init__()
        self.net = nn.Sequential(
            nin_block(96, kernel_size=11, strides=4, padding=0),
            nn.MaxPool2d(3, stride=2),
            nin_block(256, kernel_size=5, strides=1, padding=2),
            nn.MaxPool2d(3, stride=2),
            nin_block(384, kernel_size=3, strides=1, padding=1),
            nn.MaxPool2d(3, stride=2),
            nn.Dropout(0.5),
            nin_block(num_classes, kernel_size=3, strides=1, padding=1),
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.Flatten(),
        )

    def forward(self, X):
        return self.net(X)
