"""Functions with which the book's older chapters train convolutional networks; chapter 12.11 still uses some."""

from .. import nn
from ..graph.modes import no_grad
from ..nn.utils import clip_grad_norm_
from ..optim import SGD
from ..utils.data import DataLoader
from .drawings import Animator
from .linear import FashionMNIST
from .tools import Accumulator, Timer, accuracy

__all__ = ["evaluate_accuracy_gpu", "get_dataloader_workers", "grad_clipping", "load_data_fashion_mnist", "train_ch6"]


def get_dataloader_workers():
    """How many processes read data: 0, the reading is done in this one. The book has 4.

    >>> get_dataloader_workers()
    0
    """
    return 0


def load_data_fashion_mnist(batch_size, resize=None, root="../data"):
    """(training, test) loaders of Fashion-MNIST, which is looked for in root and fetched if it is not there.

    >>> load_data_fashion_mnist(0)
    Traceback (most recent call last):
    ValueError: load_data_fashion_mnist: batch_size must be an integer of 1 or more, got 0
    """
    if type(batch_size) is not int or batch_size < 1:
        raise ValueError(f"load_data_fashion_mnist: batch_size must be an integer of 1 or more, got {batch_size!r}")
    data = FashionMNIST(batch_size, (28, 28) if resize is None else resize, root)
    return tuple(DataLoader(part, batch_size, shuffle=shuffle) for part, shuffle in ((data.train, True), (data.val, False)))


@no_grad()
def evaluate_accuracy_gpu(net, data_iter, device=None):
    """The share of right predictions over a loader; inputs may be lists. device: taken for the book's sake, the CPU only.

    >>> import minidl
    >>> evaluate_accuracy_gpu(lambda X: X, [(minidl.zeros(4), minidl.zeros(4))])
    1.0
    """
    if isinstance(net, nn.Module):
        net.eval()
        device = device or next(iter(net.parameters())).device
    metric = Accumulator(2)
    for X, y in data_iter:
        if device is not None:
            X = [x.to(device) for x in X] if isinstance(X, list) else X.to(device)
            y = y.to(device)
        metric.add(accuracy(net(X), y), y.numel())
    return metric.over(1, "evaluate_accuracy_gpu")[0]


def train_ch6(net, train_iter, test_iter, num_epochs, lr, device):
    """Trains by SGD from Xavier's initialisation, draws the curves, and prints loss, accuracies and speed.

    >>> train_ch6(nn.Linear(2, 2), [], [], 1, 0.1, "cpu")
    Traceback (most recent call last):
    ValueError: train_ch6: expected a loader with batches, got one with none
    """
    num_batches = len(train_iter)
    if not num_batches:
        raise ValueError("train_ch6: expected a loader with batches, got one with none")

    def init_weights(module):
        if type(module) in (nn.Linear, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)

    net.apply(init_weights)
    print("training on", device)
    net.to(device)
    optimizer, loss = SGD(net.parameters(), lr=lr), nn.CrossEntropyLoss()
    animator = Animator(xlabel="epoch", xlim=[1, num_epochs], legend=["train loss", "train acc", "test acc"])
    timer, metric, test_acc = Timer(), Accumulator(3), 0.0
    for epoch in range(num_epochs):
        metric = Accumulator(3)
        net.train()
        for i, (X, y) in enumerate(train_iter):
            timer.start()
            optimizer.zero_grad()
            X, y = X.to(device), y.to(device)
            y_hat = net(X)
            found = loss(y_hat, y)
            found.backward()
            optimizer.step()
            metric.add(float(found) * X.shape[0], accuracy(y_hat, y), X.shape[0])
            timer.stop()
            if (i + 1) % max(1, num_batches // 5) == 0 or i == num_batches - 1:
                animator.add(epoch + (i + 1) / num_batches, (metric[0] / metric[2], metric[1] / metric[2], None))
        test_acc = evaluate_accuracy_gpu(net, test_iter)
        animator.add(epoch + 1, (None, None, test_acc))
    print(f"loss {metric[0] / metric[2]:.3f}, train acc {metric[1] / metric[2]:.3f}, test acc {test_acc:.3f}")
    print(f"{metric[2] * num_epochs / timer.sum():.1f} examples/sec on {device}")


def grad_clipping(net, theta):
    """Scales the gradients so that their common norm is at most theta. net: a module, or anything that has `params`.

    >>> import minidl
    >>> w = minidl.zeros(2, requires_grad=True)
    >>> w.grad = minidl.tensor([3.0, 4.0])
    >>> grad_clipping(type("Net", (), {"params": [w]}), 1.0)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    params = [p for p in net.parameters() if p.requires_grad] if isinstance(net, nn.Module) else net.params
    clip_grad_norm_(params, theta)
