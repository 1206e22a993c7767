"""GoogLeNet (Szegedy et al., 2015): kernels of several sizes side by side, in place of a choice between them."""

from .. import nn
from ..nn import functional as F
from ..tensors.joining import cat


class Inception(nn.Module):
    """Four branches side by side: 1×1; 1×1 then 3×3; 1×1 then 5×5; max pooling then 1×1. All keep the size.

    c1, c4: channels of the first and of the last branch; c2, c3: of both convolutions of the others.
    (N, C, H, W) → (N, c1 + c2[1] + c3[1] + c4, H, W)

    >>> import minidl
    >>> Inception(2, (1, 3), (1, 4), 5)(minidl.ones(1, 3, 6, 6)).shape
    (1, 14, 6, 6)
    """

    def __init__(self, c1, c2, c3, c4):
        super().__init__()
        self.b1_1 = nn.LazyConv2d(c1, kernel_size=1)
        self.b2_1 = nn.LazyConv2d(c2[0], kernel_size=1)
        self.b2_2 = nn.LazyConv2d(c2[1], kernel_size=3, padding=1)
        self.b3_1 = nn.LazyConv2d(c3[0], kernel_size=1)
        self.b3_2 = nn.LazyConv2d(c3[1], kernel_size=5, padding=2)
        self.b4_1 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        self.b4_2 = nn.LazyConv2d(c4, kernel_size=1)

    def forward(self, x):
        b1 = F.relu(self.b1_1(x))
        b2 = F.relu(self.b2_2(F.relu(self.b2_1(x))))
        b3 = F.relu(self.b3_2(F.relu(self.b3_1(x))))
        b4 = F.relu(self.b4_2(self.b4_1(x)))
        return cat((b1, b2, b3, b4), dim=1)


class GoogLeNet(nn.Module):
    """Nine Inception blocks: (N, C, 96, 96) → (N, num_classes)

    >>> import minidl
    >>> GoogLeNet()(minidl.ones(1, 1, 32, 32)).shape
    (1, 10)
    """

    def __init__(self, num_classes=10):
        super().__init__()
        self.net = nn.Sequential(self.b1(), self.b2(), self.b3(), self.b4(), self.b5(), nn.LazyLinear(num_classes))

    def b1(self):
        """The first block: a 7×7 convolution with stride 2, and pooling."""
        return nn.Sequential(
            nn.LazyConv2d(64, kernel_size=7, stride=2, padding=3),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )

    def b2(self):
        """The second block: convolutions of 1×1 and 3×3, and pooling."""
        return nn.Sequential(
            nn.LazyConv2d(64, kernel_size=1),
            nn.ReLU(),
            nn.LazyConv2d(192, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )

    def b3(self):
        """The third block: two Inception blocks, and pooling."""
        return nn.Sequential(
            Inception(64, (96, 128), (16, 32), 32),
            Inception(128, (128, 192), (32, 96), 64),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )

    def b4(self):
        """The fourth block: five Inception blocks, and pooling."""
        return nn.Sequential(
            Inception(192, (96, 208), (16, 48), 64),
            Inception(160, (112, 224), (24, 64), 64),
            Inception(128, (128, 256), (24, 64), 64),
            Inception(112, (144, 288), (32, 64), 64),
            Inception(256, (160, 320), (32, 128), 128),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )

    def b5(self):
        """The last block: two Inception blocks, and the mean over all pixels."""
        return nn.Sequential(
            Inception(256, (160, 320), (32, 128), 128),
            Inception(384, (192, 384), (48, 128), 128),
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.Flatten(),
        )

    def forward(self, X):
        return self.net(X)
