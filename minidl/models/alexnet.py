"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012), for one channel and one machine."""

from .. import nn


class AlexNet(nn.Module):
    """Five convolutions and three dense layers with ReLU, max pooling and dropout: (N, C, 224, 224) → (N, num_classes)

    hidden: the width of the dense layers, which hold nine tenths of the 47 million parameters.

    >>> import minidl
    >>> AlexNet(hidden=8)(minidl.ones(1, 1, 65, 65)).shape
    (1, 10)
    """

    def __init__(self, num_classes=10, hidden=4096):
        super().__init__()
        self.net = nn.Sequential(
            nn.LazyConv2d(96, kernel_size=11, stride=4, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.LazyConv2d(256, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.LazyConv2d(384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.LazyConv2d(384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.LazyConv2d(256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Flatten(),
            nn.LazyLinear(hidden),
            nn.ReLU(),
            nn.Dropout(p=0.5),
            nn.LazyLinear(hidden),
            nn.ReLU(),
            nn.Dropout(p=0.5),
            nn.LazyLinear(num_classes),
        )

    def forward(self, X):
        return self.net(X)
