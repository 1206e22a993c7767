"""The first chapters, where test_book has no test of a row's own: linear algebra, the chain rule, regression and its outliers,
four pixels and three animals, one-hot regression, the graph of a loss, signals through depth, dropout.

The names are those of the rows, as in test_book.
"""

import collections
import math

import numpy as np
import pytest

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl.autograd.functional import jacobian
from minidl.utils.data import digits

FLOAT64 = minidl.float64


@pytest.fixture(autouse=True)
def _seed():
    minidl.manual_seed(0)


# --- preliminaries


def test_P2_vectors_and_matrices_as_the_book_has_them():
    A = minidl.arange(6).reshape(2, 3)
    assert A.T.tolist() == [[0, 3], [1, 4], [2, 5]]
    symmetric = minidl.tensor([[1, 2, 3], [2, 0, 4], [3, 4, 5]])
    assert (symmetric == symmetric.T).all()
    A = minidl.arange(6.0).reshape(2, 3)
    B = A.clone()
    assert (A * B).tolist() == [[0, 1, 4], [9, 16, 25]]  # Hadamard's product
    assert (2 + minidl.arange(24).reshape(2, 3, 4)).shape == (2, 3, 4)
    assert A.sum().item() == 15
    assert A.sum(axis=0).tolist() == [3, 5, 7]
    assert A.sum(axis=1).tolist() == [3, 12]
    assert A.sum(axis=[0, 1]).item() == 15
    assert A.mean().item() == 2.5
    assert A.mean(axis=0).tolist() == [1.5, 2.5, 3.5]
    rows = A.sum(axis=1, keepdims=True)
    assert rows.tolist() == [[3], [12]]
    assert (A / rows).sum(axis=1).tolist() == [1, 1]
    assert A.cumsum(axis=0).tolist() == [[0, 1, 2], [3, 5, 7]]
    x, y = minidl.arange(3.0), minidl.ones(3)
    assert minidl.dot(x, y).item() == (x * y).sum().item() == 3
    assert minidl.mv(A, x).tolist() == (A @ x).tolist() == [5, 14]
    assert minidl.mm(A, minidl.ones(3, 4)).tolist() == (A @ minidl.ones(3, 4)).tolist() == [[3] * 4, [12] * 4]


def test_P2_gradients_of_linear_and_quadratic_forms():
    A = minidl.tensor([[1.0, 2.0], [3.0, 5.0]])
    x = minidl.tensor([1.0, -2.0], requires_grad=True)
    (x @ A @ x).backward()
    assert x.grad.tolist() == ((A + A.T) @ x).tolist() == [-8, -15]
    x.grad = None
    (A @ x).sum().backward()
    assert x.grad.tolist() == A.sum(0).tolist()


def test_P7_the_chain_rule_sums_over_all_ways():
    """∂y/∂xᵢ = Σⱼ ∂y/∂uⱼ ∂uⱼ/∂xᵢ: y's gradient by u, times u's Jacobian by x, is what one walk gives."""

    def g(x):
        return minidl.stack([x[0] * x[1], x[1].sin() + x[2], x.square().sum(), x[0].exp()])

    def f(u):
        return u[0] * u[1] + u[2].log() * u[3] - u[0] ** 2

    x = minidl.tensor([0.5, -1.5, 2.0], dtype=FLOAT64, requires_grad=True)
    f(g(x)).backward()
    u = g(x).detach().requires_grad_()
    f(u).backward()
    by_hand = sum(u.grad[j] * jacobian(g, x.detach())[j] for j in range(4))
    assert x.grad.tolist() == pytest.approx(by_hand.tolist(), rel=1e-13)
    only_first = u.grad[0] * jacobian(g, x.detach())[0]
    assert (x.grad - only_first).abs().max().item() > 0.1  # the other ways matter


# --- linear regression


@pytest.mark.parametrize(
    ("loss", "best"), [(F.mse_loss, 22), (F.l1_loss, 3)], ids=["squares: the mean", "absolute: the median"]
)
def test_L2_squares_follow_what_is_far_off(loss, best):
    y = minidl.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
    w = minidl.tensor(10.0, requires_grad=True)
    optimizer = minidl.optim.SGD([w], lr=0.1)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.4 * 0.98**step
        optimizer.zero_grad()
        loss(w.expand(5), y).backward()
        optimizer.step()
    assert w.item() == pytest.approx(best, abs=0.05)


def test_L5_noise_is_what_the_best_line_leaves():
    x = minidl.randn(20_000, dtype=FLOAT64)
    y = 2 * x - 1 + 0.5 * minidl.randn(20_000, dtype=FLOAT64)
    X = minidl.stack([x, minidl.ones_like(x)], 1)
    w, b = np.linalg.solve((X.T @ X).numpy(), (X.T @ y).numpy())
    error = 5 * 0.5 / math.sqrt(20_000)
    assert [w, b] == [pytest.approx(2, abs=error), pytest.approx(-1, abs=error)]
    residual = y - (w * x + b)
    assert residual.std().item() == pytest.approx(0.5, rel=0.03)
    assert (residual.abs() < 0.5).double().mean().item() == pytest.approx(0.6827, abs=0.02)  # within one deviation
    variance = minidl.full((20_000,), 0.25, dtype=FLOAT64)
    nll = F.gaussian_nll_loss(w * x + b, y, variance, full=True).item()
    assert nll == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 0.25), abs=0.03)  # the entropy of N(0, 0.5²)


# --- classification


def test_C1_C2_fifteen_parameters_tell_three_animals_apart():
    images = minidl.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]]])
    y = minidl.arange(300) % 3
    x = images[y] + 0.2 * minidl.randn(300, 2, 2)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    assert sum(p.numel() for p in net.parameters()) == 15
    optimizer = minidl.optim.SGD(net.parameters(), lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    assert (net(images).argmax(1) == minidl.arange(3)).all()
    assert (net(x).argmax(1) == y).float().mean() > 0.97


def trained(loss, rate):
    """A linear model of the digits after ten epochs, and its outputs and labels on the others."""
    (x, y), (x_test, y_test) = (digits(train=train)[:] for train in (True, False))
    net = nn.Linear(64, 10)
    optimizer = minidl.optim.SGD(net.parameters(), lr=rate)
    for _ in range(10):
        for rows in minidl.randperm(len(y)).split(32):
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net(x_test).detach(), y_test


def test_Z7_C3_one_hot_regression_works_surprisingly_well():
    def squares(o, y):
        return ((o - F.one_hot(y, 10)) ** 2 / 2).sum(1).mean()

    o, y = trained(F.cross_entropy, 0.5)
    p = F.softmax(o, 1)
    assert (p.argmax(1) == y).float().mean() > 0.94
    assert (p >= 0).all()
    assert minidl.allclose(p.sum(1), minidl.ones(len(y)))
    o, y = trained(squares, 0.03)
    assert (o.argmax(1) == y).float().mean() > 0.88
    assert ((o < 0) | (o > 1)).float().mean() > 0.2
    assert (o.sum(1) - 1).abs().max() > 0.1  # nor do they sum to 1


def test_C3_least_squares_sum_to_one_and_are_no_probabilities():
    x = minidl.tensor([[0.0], [1.0], [2.0], [10.0]], dtype=FLOAT64)
    y = F.one_hot(minidl.tensor([0, 0, 1, 2])).double()
    X = minidl.cat([x, minidl.ones_like(x)], 1)
    o = X @ minidl.tensor(np.linalg.solve((X.T @ X).numpy(), (X.T @ y).numpy()))
    assert o.sum(1).tolist() == pytest.approx([1] * 4)  # as the labels do
    assert o.min() < 0


# --- multilayer perceptrons


def nodes_from(root):
    found, pending = set(), [root]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += [parent for parent, _ in node.next_functions if parent is not None]
    return found


def test_M7_M8_the_graph_of_the_books_loss():
    """J = ½|W2 tanh(W1 x) − y|² + λ/2 (|W1|² + |W2|²): 14 operations, and the two matrices reached twice each."""
    x, y = minidl.randn(4), minidl.randn(3)
    W1, W2 = minidl.randn(5, 4, requires_grad=True), minidl.randn(3, 5, requires_grad=True)
    L = ((W2 @ (W1 @ x).tanh() - y) ** 2).sum() / 2
    J = L + 0.05 * ((W1**2).sum() + (W2**2).sum())
    nodes = nodes_from(J.grad_fn)
    kinds = collections.Counter(type(node).__name__ for node in nodes if node.next_functions)
    assert kinds == {"MatMul": 2, "Tanh": 1, "Sub": 1, "Square": 3, "Sum": 3, "Div": 1, "Mul": 1, "Add": 2}
    leaves = collections.Counter(
        id(parent.variable)
        for node in nodes
        for parent, _ in node.next_functions
        if parent is not None and not parent.next_functions
    )
    assert leaves == {id(W1): 2, id(W2): 2}


@pytest.mark.parametrize("at", [-8.0, 8.0])
def test_M9_the_slope_of_sigmoid_at_8(at):
    x = minidl.tensor(at, dtype=FLOAT64, requires_grad=True)
    x.sigmoid().backward()
    assert x.grad.item() == pytest.approx(math.exp(-8) / (1 + math.exp(-8)) ** 2, rel=1e-12)
    assert x.grad.item() == pytest.approx(3.3524e-4, rel=1e-4)


def test_M9_a_product_of_orthogonal_matrices_neither_grows_nor_shrinks():
    product, grown = minidl.eye(4, dtype=FLOAT64), minidl.eye(4, dtype=FLOAT64)
    for _ in range(100):
        product = product @ nn.init.orthogonal_(minidl.empty(4, 4, dtype=FLOAT64))
        grown = grown @ minidl.randn(4, 4, dtype=FLOAT64)
    assert (product @ product.T).allclose(minidl.eye(4, dtype=FLOAT64), atol=1e-12)
    assert 1e18 < grown.norm() < 1e32


FACTORS = {"He": 1, "Xavier": 1 / 2, "default": 1 / 6}  # of the mean square, in each ReLU layer as wide as the one before


@pytest.mark.parametrize("name", FACTORS)
def test_M11_M12_what_is_left_of_a_signal_after_ten_layers(name):
    depth, width = 10, 256
    x = minidl.randn(100, width, requires_grad=True)
    y = x
    for _ in range(depth):
        layer = nn.Linear(width, width, bias=False)
        if name == "He":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif name == "Xavier":
            nn.init.xavier_uniform_(layer.weight)
        y = layer(y).relu()
    dy = minidl.randn(100, width)
    y.backward(dy)
    left = (y.square().mean() / x.square().mean()).item()
    back = (x.grad.square().mean() / dy.square().mean()).item()
    for ratio in (left, back):
        assert ratio ** (1 / depth) == pytest.approx(FACTORS[name], rel=0.1)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_M14_dropout_keeps_the_expectation_and_adds_a_variance(p):
    h = minidl.linspace(0.5, 4, 8, dtype=FLOAT64)
    n = 40_000
    x = h.expand(n, 8).clone().requires_grad_()
    y = nn.Dropout(p)(x)
    deviation = h * math.sqrt(p / (1 - p))
    assert ((y.mean(0) - h).abs() < 5 * deviation / math.sqrt(n)).all()
    assert y.std(0).tolist() == pytest.approx(deviation.tolist(), rel=0.03)
    y.sum().backward()
    assert minidl.allclose(x.grad * x, y, rtol=1e-12)  # what passed is scaled by 1/(1 - p), on the way back, too
    assert (y == 0).double().mean().item() == pytest.approx(p, abs=0.01)


def test_M14_a_network_in_evaluation_is_the_network_without_dropout():
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    bare = nn.Sequential(net[0], nn.ReLU(), net[3])
    x = minidl.randn(8, 4)
    assert not net(x).equal(net(x))  # other units are missing each time
    assert not net(x).equal(bare(x))
    net.eval()
    assert net(x).equal(bare(x))
    net.train()
    with minidl.no_grad():
        mean = sum(net(x) for _ in range(2000)) / 2000
    assert (mean - bare(x)).abs().max().item() < 0.05  # behind the last mask the network is affine: E[h'] = h passes through
