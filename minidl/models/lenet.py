"""LeNet-5 (LeCun et al., 1998), as the book draws it: the first network of convolutions that was put to work."""

from .. import nn


class LeNet(nn.Module):
    """Two convolutions with average pooling, three dense layers, sigmoids between: (N, 1, 28, 28) → (N, num_classes)

    61,706 parameters for 10 classes. Sigmoids are slow to train: start from init_cnn's values.

    >>> import minidl
    >>> LeNet()(minidl.ones(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(self, num_classes=10):
        super().__init__()
        self.net = nn.Sequential(
            nn.LazyConv2d(6, kernel_size=5, padding=2),
            nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.LazyConv2d(16, kernel_size=5),
            nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Flatten(),
            nn.LazyLinear(120),
            nn.Sigmoid(),
            nn.LazyLinear(84),
            nn.Sigmoid(),
            nn.LazyLinear(num_classes),
        )

    def forward(self, X):
        return self.net(X)


class BNLeNet(nn.Module):
    """LeNet with batch normalization before every sigmoid, and without padding: (N, 1, 28, 28) → (N, num_classes)

    >>> import minidl
    >>> BNLeNet()(minidl.randn(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(self, num_classes=10):
        super().__init__()
        self.net = nn.Sequential(
            nn.LazyConv2d(6, kernel_size=5),
            nn.LazyBatchNorm2d(),
            nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.LazyConv2d(16, kernel_size=5),
            nn.LazyBatchNorm2d(),
            nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Flatten(),
            nn.LazyLinear(120),
            nn.LazyBatchNorm1d(),
            nn.Sigmoid(),
            nn.LazyLinear(84),
            nn.LazyBatchNorm1d(),
            nn.Sigmoid(),
            nn.LazyLinear(num_classes),
        )

    def forward(self, X):
        return self.net(X)


def init_cnn(module):
    """Xavier's uniform values for the weights of a Linear or Conv2d: `net.apply(init_cnn)`, once lazy layers know their sizes.

    >>> import minidl
    >>> layer = minidl.nn.Conv2d(1, 1, 2)
    >>> init_cnn(layer)
    >>> bool((layer.weight.abs() <= (6 / 8) ** 0.5).all())
    True
    """
    if type(module) in (nn.Linear, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
