"""Linear regression and softmax regression of the book (chapters 3 and 4), and images of clothes."""

from .. import nn, optim
from ..models import LeNet as _LeNet
from ..tensors.creation import zeros
from ..tensors.random_tensors import normal, randn
from ..utils import data
from ..utils.data import DataLoader, transforms
from ..utils.hyperparameters import HyperParameters
from .base import Classifier, DataModule, Module
from .drawings import show_images

__all__ = [
    "SGD",
    "FashionMNIST",
    "LeNet",
    "LinearRegression",
    "LinearRegressionScratch",
    "SoftmaxRegression",
    "SyntheticRegressionData",
]


class SyntheticRegressionData(DataModule):
    """y = Xw + b + noise, with normal X and noise (3.3).

    >>> import minidl
    >>> data = SyntheticRegressionData(w=minidl.tensor([2, -3.4]), b=4.2)
    >>> X, y = next(iter(data.train_dataloader()))
    >>> X.shape, y.shape, len(data.train_dataloader())
    ((32, 2), (32, 1), 32)
    """

    def __init__(self, w, b, noise=0.01, num_train=1000, num_val=1000, batch_size=32):
        super().__init__()
        self.save_hyperparameters()
        n = num_train + num_val
        self.X = randn(n, len(w))
        self.y = self.X @ w.reshape(-1, 1) + b + randn(n, 1) * noise

    def get_dataloader(self, train):
        rows = slice(0, self.num_train) if train else slice(self.num_train, None)
        return self.get_tensorloader((self.X, self.y), train, rows)


class SGD(HyperParameters):
    """Stochastic gradient descent in two lines (3.4). Its like with all options is minidl.optim.SGD.

    >>> import minidl
    >>> w = minidl.ones(1, requires_grad=True)
    >>> (w * 2).sum().backward()
    >>> with minidl.no_grad():
    ...     SGD([w], lr=0.25).step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    def __init__(self, params, lr):
        self.save_hyperparameters()

    def step(self):
        """Moves each parameter by −lr times its gradient; call it without a graph, as the Trainer does."""
        for param in self.params:
            param -= self.lr * param.grad

    def zero_grad(self):
        """Sets the gradients to zero."""
        for param in self.params:
            if param.grad is not None:
                param.grad.zero_()


class LinearRegressionScratch(Module):
    """Xw + b, the mean of (ŷ − y)²/2, and SGD, all written out (3.4).

    >>> import minidl
    >>> LinearRegressionScratch(2, lr=0.03)(minidl.ones(5, 2)).shape
    (5, 1)
    """

    def __init__(self, num_inputs, lr, sigma=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.w = nn.Parameter(normal(0, sigma, (num_inputs, 1)))
        self.b = nn.Parameter(zeros(1))

    def forward(self, X):
        return X @ self.w + self.b

    def loss(self, y_hat, y):
        return ((y_hat - y) ** 2 / 2).mean()

    def configure_optimizers(self):
        return SGD([self.w, self.b], self.lr)


class LinearRegression(Module):
    """The same with layers, MSELoss and optim.SGD (3.5).

    >>> import minidl
    >>> model = LinearRegression(lr=0.03)
    >>> model(minidl.ones(5, 2)).shape, model.get_w_b()[0].shape
    ((5, 1), (1, 2))
    """

    def __init__(self, lr):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.LazyLinear(1)

    def forward(self, X):
        return self.net(X)

    def loss(self, y_hat, y):
        return nn.MSELoss()(y_hat, y)

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), self.lr)

    def get_w_b(self):
        """The weight (1, number of inputs) and the bias (1)."""
        return self.net.weight.data, self.net.bias.data


class SoftmaxRegression(Classifier):
    """One linear layer of all pixels, and cross-entropy (4.5).

    >>> import minidl
    >>> SoftmaxRegression(10, lr=0.1)(minidl.ones(5, 1, 28, 28)).shape
    (5, 10)
    """

    def __init__(self, num_outputs, lr):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_outputs))


class LeNet(Classifier):
    """LeNet-5 as the book draws it (7.6): minidl.models.LeNet with a loss and an optimizer.

    >>> LeNet().layer_summary((1, 1, 28, 28))  # doctest: +ELLIPSIS
    Conv2d output shape:	 (1, 6, 28, 28)
    ...
    """

    def __init__(self, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.net = _LeNet(num_classes).net


class FashionMNIST(DataModule):
    """Images of clothes (4.2): batches of (N, 1, *resize) and labels.

    The files are looked for in root, and fetched if they are not there; see minidl.utils.data.FashionMNIST.

    >>> FashionMNIST.text_labels(None, [0, 9])
    ['t-shirt', 'ankle boot']
    """

    def __init__(self, batch_size=64, resize=(28, 28), root="../data"):
        super().__init__(root)
        self.save_hyperparameters()
        resize = transforms.Resize(resize)
        self.train, self.val = (
            data.FashionMNIST(self.root, train=train, transform=resize, download=True) for train in (True, False)
        )

    def text_labels(self, indices):
        """The names of classes."""
        names = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
        return [names[int(i)] for i in indices]

    def get_dataloader(self, train):
        return DataLoader(self.train if train else self.val, self.batch_size, shuffle=train, num_workers=self.num_workers)

    def visualize(self, batch, nrows=1, ncols=8, labels=()):
        """Draws the first images of a batch with their names."""
        X, y = batch
        return show_images(X.squeeze(1), nrows, ncols, titles=list(labels) or self.text_labels(y))
