"""Batch and layer normalisation as *Dive into Deep Learning* (8.5) writes them, with the numbers a reader expects.

The imports are the point: they change, the code does not.
"""

import numpy as np
import pytest

import minidl as torch
from minidl import nn


def near(values):
    return pytest.approx(np.array(values), abs=5e-5)


# The book's own batch norm, letter for letter. Where it differs from nn.BatchNorm: the moving variance is the biased one, and
# the batch's statistics are used whenever gradients are recorded, rather than in training.


def batch_norm(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    # Use is_grad_enabled to determine whether we are in training mode
    if not torch.is_grad_enabled():
        # In prediction mode, use mean and variance obtained by moving average
        X_hat = (X - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        assert len(X.shape) in (2, 4)
        if len(X.shape) == 2:
            # When using a fully connected layer, calculate the mean and
            # variance on the feature dimension
            mean = X.mean(dim=0)
            var = ((X - mean) ** 2).mean(dim=0)
        else:
            # When using a two-dimensional convolutional layer, calculate the
            # mean and variance on the channel dimension (axis=1)
            mean = X.mean(dim=(0, 2, 3), keepdim=True)
            var = ((X - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        # In training mode, the current mean and variance are used
        X_hat = (X - mean) / torch.sqrt(var + eps)
        # Update the mean and variance using moving average
        moving_mean = (1.0 - momentum) * moving_mean + momentum * mean
        moving_var = (1.0 - momentum) * moving_var + momentum * var
    Y = gamma * X_hat + beta  # Scale and shift
    return Y, moving_mean.data, moving_var.data


class BatchNorm(nn.Module):
    # num_features: the number of outputs for a fully connected layer or the
    # number of output channels for a convolutional layer. num_dims: 2 for a
    # fully connected layer and 4 for a convolutional layer
    def __init__(self, num_features, num_dims):
        super().__init__()
        if num_dims == 2:
            shape = (1, num_features)
        else:
            shape = (1, num_features, 1, 1)
        # The scale parameter and the shift parameter (model parameters) are
        # initialized to 1 and 0, respectively
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        # The variables that are not model parameters are initialized to 0 and
        # 1
        self.moving_mean = torch.zeros(shape)
        self.moving_var = torch.ones(shape)

    def forward(self, X):
        # If X is not on the main memory, copy moving_mean and moving_var to
        # the device where X is located
        if self.moving_mean.device != X.device:
            self.moving_mean = self.moving_mean.to(X.device)
            self.moving_var = self.moving_var.to(X.device)
        # Save the updated moving_mean and moving_var
        Y, self.moving_mean, self.moving_var = batch_norm(
            X, self.gamma, self.beta, self.moving_mean, self.moving_var, eps=1e-5, momentum=0.1
        )
        return Y


@pytest.mark.parametrize(("shape", "dims"), [((8, 3), 2), ((4, 3, 5, 5), 4)])
def test_T15_the_books_batch_norm_and_ours(shape, dims):
    """The same outputs and gradients in training; the same moving mean; a moving variance smaller by (n - 1)/n."""
    book, ours = BatchNorm(3, dims), (nn.BatchNorm1d if dims == 2 else nn.BatchNorm2d)(3)
    X, n = torch.randn(*shape) * 2 + 1, np.prod(shape) // 3
    dy = torch.randn(*shape)
    Y, Z = book(X), ours(X)
    assert Y.detach().numpy() == near(Z.detach().numpy())
    Y.backward(dy)
    Z.backward(dy)
    assert book.gamma.grad.numpy().ravel() == near(ours.weight.grad.numpy())
    assert book.beta.grad.numpy().ravel() == near(ours.bias.grad.numpy())
    assert book.moving_mean.numpy().ravel() == near(ours.running_mean.numpy())
    biased, unbiased = (v.numpy().ravel() - 0.9 for v in (book.moving_var, ours.running_var))
    assert biased == near(unbiased * (n - 1) / n)
    with torch.no_grad():  # this switches the book's to prediction, ours not
        assert book(X).numpy() == near((X.numpy() - book.moving_mean.numpy()) / np.sqrt(book.moving_var.numpy() + 1e-5))
        assert ours(X).numpy() == near(Z.detach().numpy())
    ours.eval()  # and this ours
    mean, var = (v.numpy().reshape(book.gamma.shape) for v in (ours.running_mean, ours.running_var))
    assert ours(X).detach().numpy() == near((X.numpy() - mean) / np.sqrt(var + 1e-5))


def test_V1_mean_0_and_variance_1_then_scale_and_shift():
    bn = nn.LazyBatchNorm1d()
    X = torch.randn(64, 5) * 3 + 7
    Y = bn(X).detach()
    assert Y.mean(0).numpy() == near(np.zeros(5))
    assert Y.numpy().var(0) == pytest.approx(np.ones(5), abs=1e-4)
    bn.weight.data, bn.bias.data = torch.full((5,), 2.0), torch.full((5,), -1.0)
    assert bn(X).detach().numpy() == near(2 * Y.numpy() - 1)


def test_V2_a_batch_of_one_would_give_zeros_and_so_raises():
    X = torch.randn(1, 4)
    assert BatchNorm(4, 2)(X).tolist() == [[0.0] * 4]  # the book's
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        nn.BatchNorm1d(4)(X)


def test_V3_V4_before_the_activation_for_features_and_for_channels():
    net = nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.Sigmoid(), nn.LazyLinear(3))
    assert net(torch.randn(16, 4)).shape == (16, 3)
    assert [name for name, _ in net.named_parameters()][2:4] == ["1.weight", "1.bias"]
    Y = nn.BatchNorm2d(6)(torch.randn(4, 6, 5, 5) + torch.arange(6.0).reshape(6, 1, 1)).detach()
    assert Y.mean(dim=(0, 2, 3)).numpy() == near(np.zeros(6))


def test_V5_the_example():
    X = torch.tensor([[1.0, 2.0], [2.0, 3.0]])
    bn = nn.BatchNorm1d(2)
    assert bn(X).detach().numpy() == near([[-0.99998, -0.99998], [0.99998, 0.99998]])
    assert bn.running_mean.numpy() == near([0.15, 0.25])
    assert bn.running_var.numpy() == near([0.95, 0.95])  # 0.9·1 + 0.1·½: unbiased


def test_V6_layer_norm_and_batch_norm():
    """The book's comparison, and what it says of them: no batch, no modes, no scale."""
    ln = nn.LayerNorm(2)
    bn = nn.LazyBatchNorm1d()
    X = torch.tensor([[1, 2], [2, 3]], dtype=torch.float32)
    # Compute mean and variance from X in the training mode
    assert ln(X).detach().numpy() == near([[-0.99998, 0.99998], [-0.99998, 0.99998]])
    assert bn(X).detach().numpy() == near([[-0.99998, -0.99998], [0.99998, 0.99998]])
    assert ln.eval()(X[:1]).detach().numpy() == near([[-0.99998, 0.99998]])
    assert ln(10 * X).detach().numpy() == pytest.approx(ln(X).detach().numpy(), abs=1e-4)
