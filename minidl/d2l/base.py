"""Module, DataModule and Classifier of the book (3.2, 4.3). Its Trainer is that of `minidl.utils.train`."""

from .. import nn
from ..nn import functional as F
from ..optim import SGD
from ..tensors.random_tensors import randn
from ..utils.board import ProgressBoard
from ..utils.data import DataLoader, TensorDataset
from ..utils.hyperparameters import HyperParameters

__all__ = ["Classifier", "DataModule", "Module", "add_to_class"]


def add_to_class(Class):
    """A decorator that makes a function a method of a class that is there already, and gives the function back.

    >>> class A:
    ...     b = 1
    >>> @add_to_class(A)
    ... def double(self):
    ...     return 2 * self.b
    >>> A().double()
    2
    """

    def wrapper(obj):
        setattr(Class, obj.__name__, obj)
        return obj

    return wrapper


class Module(nn.Module, HyperParameters):
    """Base of models: `loss`, `training_step`, `validation_step`, `configure_optimizers`, and a board to draw on.

    A subclass writes loss(y_hat, y), and either sets self.net or writes forward. Without a configure_optimizers of its own it
    is trained by SGD with self.lr.

    >>> class Line(Module):
    ...     def __init__(self, lr):
    ...         super().__init__()
    ...         self.save_hyperparameters()
    ...         self.net = nn.Linear(1, 1)
    >>> Line(0.1).lr
    0.1
    """

    def __init__(self, plot_train_per_epoch=2, plot_valid_per_epoch=1):
        super().__init__()
        self.save_hyperparameters()
        self.board = ProgressBoard()

    def loss(self, y_hat, y):
        """What is minimized. A subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__}: write a loss(self, y_hat, y) method")

    def forward(self, X, *args):
        if not hasattr(self, "net"):
            raise NotImplementedError(f"{type(self).__name__}: set self.net, or write a forward(self, X) method")
        return self.net(X, *args)

    def plot(self, key, value, train):
        """Puts a point on the board, at this place of the training, and into the trainer's history."""
        if not hasattr(self, "trainer"):
            raise RuntimeError(f"{type(self).__name__}.plot: it has no trainer yet; call Trainer(…).fit(model, data)")
        trainer = self.trainer
        trainer.log(key, value, train)
        if trainer.evaluating:
            return
        self.board.xlabel = "epoch"
        if train:
            batches, points = trainer.num_train_batches, self.plot_train_per_epoch
            x = trainer.train_batch_idx / max(1, batches)
        else:
            batches, points, x = trainer.num_val_batches, self.plot_valid_per_epoch, trainer.epoch + 1
        self.board.draw(x, value, ("train_" if train else "val_") + key, every_n=max(1, int(batches / points)))

    def training_step(self, batch):
        """The loss of a batch, (*inputs, target)."""
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=True)
        return loss

    def validation_step(self, batch):
        """Draws the loss of a batch."""
        self.plot("loss", self.loss(self(*batch[:-1]), batch[-1]), train=False)

    def configure_optimizers(self):
        """The optimizer, or (optimizer, scheduler)."""
        if not hasattr(self, "lr"):
            raise NotImplementedError(f"{type(self).__name__}: set self.lr, or write a configure_optimizers(self) method")
        return SGD(self.parameters(), lr=self.lr)

    def apply_init(self, inputs, init=None):
        """Shows the model a batch of inputs, so that lazy layers have shapes, and calls init(module) for every part of net."""
        self(*inputs)
        if init is not None:
            self.net.apply(init)


class Classifier(Module):
    """Base of models that classify: cross-entropy, and the accuracy at validation.

    >>> import minidl
    >>> model = Classifier()
    >>> model.accuracy(minidl.tensor([[0.1, 0.9], [0.8, 0.2]]), minidl.tensor([1, 1]))
    tensor(0.5000)
    """

    def loss(self, Y_hat, Y, averaged=True):
        """The cross-entropy of logits (N, …, C) and classes (N, …): their mean, or one by one."""
        reduction = "mean" if averaged else "none"
        return F.cross_entropy(Y_hat.reshape(-1, Y_hat.shape[-1]), Y.reshape(-1), reduction=reduction)

    def validation_step(self, batch):
        Y_hat = self(*batch[:-1])
        self.plot("loss", self.loss(Y_hat, batch[-1]), train=False)
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)

    def accuracy(self, Y_hat, Y, averaged=True):
        """The share of right predictions, or 1. and 0. for each."""
        predicted = Y_hat.reshape(-1, Y_hat.shape[-1]).argmax(1)
        right = (predicted.type(Y.dtype) == Y.reshape(-1)).float()
        return right.mean() if averaged else right

    def layer_summary(self, X_shape):
        """Prints the output shape of each layer of self.net; see minidl.summary for more."""
        X = randn(*X_shape)
        for layer in self.net:
            X = layer(X)
            print(type(layer).__name__, "output shape:\t", X.shape)


class DataModule(HyperParameters):
    """Base of data: a subclass writes get_dataloader(train), for which get_tensorloader helps.

    num_workers: 0 loads in the main process, which here is faster than the book's 4 processes.

    >>> import minidl
    >>> class Numbers(DataModule):
    ...     def __init__(self, batch_size):
    ...         super().__init__()
    ...         self.save_hyperparameters()
    ...     def get_dataloader(self, train):
    ...         return self.get_tensorloader([minidl.arange(6)], train, slice(0, 4) if train else slice(4, None))
    >>> len(Numbers(2).train_dataloader()), len(Numbers(2).val_dataloader())
    (2, 1)
    """

    def __init__(self, root="../data", num_workers=0):
        self.save_hyperparameters()

    def get_dataloader(self, train):
        """The batches to train with, or to validate. A subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__}: write a get_dataloader(self, train) method")

    def train_dataloader(self):
        """get_dataloader(train=True)"""
        return self.get_dataloader(train=True)

    def val_dataloader(self):
        """get_dataloader(train=False)"""
        return self.get_dataloader(train=False)

    def get_tensorloader(self, tensors, train, indices=slice(0, None)):
        """Batches of these rows of tensors, in a random order to train with."""
        return DataLoader(TensorDataset(*(x[indices] for x in tensors)), self.batch_size, shuffle=train)
