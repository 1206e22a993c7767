"""The mission row by row: code as a reader of *Dive into Deep Learning* types it, and the numbers that reader expects.

Each test names its row (P preliminaries, L linear regression, C classification, M perceptrons, B builder's guide, R recurrent,
A attention, O optimization, X appendix, T traps; I, information, is in test_book_information). The imports are the point:
they change, the code does not. With PyTorch's in place of these five the file passes too, but for vectors as short as
1e-266, whose norm PyTorch rounds to 0. Rows that other files already hold are not written again:

    P1 P4 P5  values            test_tensor.test_mission_examples         P4  norm at 0      test_ops.test_promise_21_norm_…
    P7        every operation   table.py with test_ops                    C4  ±1000          test_ops.test_promise_15_…
    C8        gradient          test_losses.test_the_gradient_of_…        R7  clip_grad_norm_ test_nn.test_promise_24_…
    M3        affine, XOR       test_nn                                   M4 M6 kinks        test_nn.test_slopes_at_the_kinks
    M8        backprop by hand  test_nn.test_gradients_of_…_by_hand       M10 symmetry       test_init.test_symmetric_values_…
    M14       nn.Dropout        test_nn.test_dropout                      A8  gradients      test_indexing.test_masked_softmax_…
    T16       indexing, sums    test_indexing, test_tensor, test_nn
"""

import copy
import math

import pytest
from hypothesis import given, strategies as st

import minidl as torch
from minidl import nn
from minidl.nn import functional as F
from minidl.optim import lr_scheduler
from minidl.utils import data

FLOAT64 = torch.float64


def about(value, abs=5e-5):
    """The printed four decimals."""
    return pytest.approx(value, rel=0, abs=abs)


def double(values):
    return torch.tensor(values, dtype=FLOAT64)


# --- preliminaries


def test_P1_gradient_of_twice_a_square_then_of_a_sum():
    x = torch.arange(4.0)
    x.requires_grad_(True)
    assert x.grad is None
    y = 2 * torch.dot(x, x)
    assert y.item() == 28
    y.backward()
    assert x.grad.tolist() == [0, 4, 8, 12]
    assert (x.grad == 4 * x).tolist() == [True] * 4
    x.grad.zero_()
    x.sum().backward()
    assert x.grad.tolist() == [1, 1, 1, 1]


def test_P1_backward_of_a_vector():
    x = torch.arange(4.0, requires_grad=True)
    y = x * x
    y.backward(gradient=torch.ones(len(y)))
    assert x.grad.tolist() == [0, 2, 4, 6]


def test_P1_detach():
    x = torch.arange(4.0, requires_grad=True)
    y = x * x
    u = y.detach()
    z = u * x
    z.sum().backward()
    assert (x.grad == u).all()
    x.grad.zero_()
    y.sum().backward()
    assert (x.grad == 2 * x).all()


@pytest.mark.parametrize("value", [0.7, -0.3, 1500.0, -2.5])
def test_P1_control_flow(value):
    def f(a):
        b = a * 2
        while b.norm() < 1000:
            b = b * 2
        return b if b.sum() > 0 else 100 * b

    a = torch.tensor(value, requires_grad=True)
    d = f(a)
    d.backward()
    assert a.grad == d / a


VECTORS = st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=3, max_size=3).map(double)
ORDERS = st.sampled_from([1, 1.5, 2, 3, math.inf])


@given(x=VECTORS, alpha=st.floats(-100, 100, allow_subnormal=False), p=ORDERS)
def test_P3_norms_scale(x, alpha, p):
    assert torch.norm(alpha * x, p).item() == pytest.approx(abs(alpha) * x.norm(p).item(), rel=1e-10)


@given(x=VECTORS, y=VECTORS, p=ORDERS)
def test_P3_norms_obey_the_triangle_inequality(x, y, p):
    assert torch.norm(x + y, p) <= (torch.norm(x, p) + torch.norm(y, p)) * (1 + 1e-12)


@given(x=VECTORS, p=ORDERS)
def test_P3_norms_are_positive_except_at_zero(x, p):
    assert (torch.norm(x, p) > 0).item() == (x != 0).any().item()
    assert torch.norm(torch.zeros_like(x), p) == 0


def test_P4_P5_P6_norms():
    u = torch.tensor([3.0, -4.0])
    assert torch.norm(u) == 5
    assert torch.abs(u).sum() == 7
    assert torch.norm(torch.ones((4, 9))) == 6
    assert torch.norm(u, p=3).item() == pytest.approx((27 + 64) ** (1 / 3))
    zero = torch.zeros(2, requires_grad=True)
    zero.norm().backward()
    assert zero.grad.tolist() == [0, 0]


def test_P8_bayes_after_one_and_two_positive_tests():
    p_h = torch.tensor([0.9985, 0.0015])
    first, second = torch.tensor([0.01, 1.0]), torch.tensor([0.03, 0.98])  # P(test positive | healthy), P(… | ill)
    evidence = (first * p_h).sum()
    assert evidence.item() == pytest.approx(0.011485, rel=1e-5)
    posterior = first * p_h / evidence
    assert posterior[1].item() == about(0.1306)
    both = first * second * p_h
    assert (both / both.sum())[1].item() == about(0.8307)
    again = second * posterior  # yesterday's posterior is today's prior
    assert torch.allclose(again / again.sum(), both / both.sum())


def test_P9_expectations():
    value, p = double([0.0, 2.0, 10.0]), double([0.5, 0.4, 0.1])
    mean = (value * p).sum()
    assert mean.item() == pytest.approx(1.8)
    assert (((value - mean) ** 2) * p).sum().item() == pytest.approx(8.36)
    sample = value[torch.multinomial(p, 10000, replacement=True)]
    assert sample.mean().item() == pytest.approx(1.8, abs=3 * math.sqrt(8.36 / 10000))


# --- linear regression


def synthetic(w, b, n, noise=0.01):
    X = torch.randn(n, len(w))
    return X, torch.matmul(X, w.reshape((-1, 1))) + b + torch.randn(n, 1) * noise


def batches(X, y, batch_size=32):
    return data.DataLoader(data.TensorDataset(X, y), batch_size, shuffle=True)


def squared_loss(y_hat, y):
    return (y_hat - y) ** 2 / 2


class LinearRegressionScratch(nn.Module):
    def __init__(self, num_inputs, sigma=0.01):
        super().__init__()
        self.w = torch.normal(0, sigma, (num_inputs, 1), requires_grad=True)
        self.b = torch.zeros(1, requires_grad=True)

    def forward(self, X):
        return torch.matmul(X, self.w) + self.b

    def train_on(self, X, y, batch_size, epochs, lr, penalty=lambda w: 0):
        for _ in range(epochs):
            for X_batch, y_batch in batches(X, y, batch_size):
                loss = squared_loss(self(X_batch), y_batch).mean() + penalty(self.w)
                loss.backward()
                with torch.no_grad():
                    for param in (self.w, self.b):
                        param -= lr * param.grad
                        param.grad.zero_()
        return self


def test_L1_L2_gradient_of_the_squared_loss_is_the_residual():
    w, b = torch.tensor([2.0, -3.4]), 4.2
    X, y = synthetic(w, b, 5)
    y_hat = (X @ w + b + 1).reshape(-1, 1).requires_grad_()
    squared_loss(y_hat, y).sum().backward()
    assert torch.allclose(y_hat.grad, y_hat - y)
    far = torch.tensor([1.0, 10.0])  # ten times as far off weighs a hundred times as much
    assert squared_loss(far, 0).tolist() == [0.5, 50]


def test_L3_a_step_by_autograd_is_the_step_by_hand():
    X, y = synthetic(torch.tensor([2.0, -3.4]), 4.2, 8)
    model, eta = LinearRegressionScratch(2, sigma=1.0), 0.3
    residual = (model(X) - y).detach()
    w = model.w.detach() - eta / len(X) * (X.T @ residual)
    b = model.b.detach() - eta / len(X) * residual.sum()
    model.train_on(X, y, batch_size=8, epochs=1, lr=eta)
    assert torch.allclose(model.w, w, atol=1e-6)
    assert torch.allclose(model.b, b, atol=1e-6)


def test_L4_density_of_the_normal_distribution():
    def normal(x, mu, sigma):
        return 1 / math.sqrt(2 * math.pi * sigma**2) * torch.exp(-0.5 / sigma**2 * (x - mu) ** 2)

    x = torch.arange(-7, 7, 0.01, dtype=FLOAT64)
    assert normal(torch.tensor(0.0), 0, 1).item() == pytest.approx(0.3989423, rel=1e-6)
    for mu, sigma in [(0, 1), (0, 2), (3, 1)]:
        p = normal(x, mu, sigma)
        assert x[p.argmax()].item() == pytest.approx(mu, abs=0.01)
        assert (p * 0.01).sum().item() == pytest.approx(1, abs=2e-3)


def test_L5_L6_likelihood_squares_and_sgd_agree():
    """The w that solves XᵀXw = Xᵀy is where both gradients vanish and where gradient descent ends, whatever σ is."""
    X, y = (t.double() for t in synthetic(torch.tensor([2.0, -3.4]), 4.2, 50, noise=0.5))
    X = torch.cat((X, torch.ones(50, 1, dtype=FLOAT64)), dim=1)
    w = torch.zeros(3, 1, dtype=FLOAT64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        squared_loss(X @ w, y).mean().backward()
        optimizer.step()
    closed = w.detach()
    assert torch.allclose(X.T @ X @ closed, X.T @ y, rtol=1e-9)
    for sigma in (0.5, 3.0):
        w = closed.clone().requires_grad_()
        residual = y - X @ w
        nll = (0.5 * math.log(2 * math.pi * sigma**2) + residual**2 / (2 * sigma**2)).sum()
        nll.backward()
        assert w.grad.abs().max() < 1e-8
        step = closed + 0.01 * torch.randn(3, 1, dtype=FLOAT64)
        assert (0.5 * math.log(2 * math.pi * sigma**2) + (y - X @ step) ** 2 / (2 * sigma**2)).sum() > nll
        library = F.gaussian_nll_loss(X @ w, y, torch.full(y.shape, sigma**2, dtype=FLOAT64), full=True, reduction="sum")
        assert library.item() == pytest.approx(nll.item())


def test_L7_L8_L9_L11_polynomials_underfit_fit_and_overfit():
    """y = 5 + 1.2x − 3.4x²/2! + 5.6x³/3! + noise, from 20 examples: training error only falls with the degree, R does not."""
    n_train, n_test, degree = 20, 200, 20
    x = 2 * torch.rand(n_train + n_test, 1, dtype=FLOAT64) - 1
    powers = x ** torch.arange(degree)
    w = torch.zeros(degree, 1, dtype=FLOAT64)
    w[:4, 0] = torch.tensor([5.0, 1.2, -3.4 / 2, 5.6 / 6], dtype=FLOAT64)
    labels = powers @ w + 0.1 * torch.randn(n_train + n_test, 1, dtype=FLOAT64)

    def errors(columns):
        X = powers[:, :columns]
        net = nn.Linear(columns, 1, bias=False).double()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.99)
        for _ in range(4000):
            optimizer.zero_grad()
            F.mse_loss(net(X[:n_train]), labels[:n_train]).backward()
            optimizer.step()
        with torch.no_grad():
            return [F.mse_loss(net(X[part]), labels[part]).item() for part in (slice(n_train), slice(n_train, None))]

    (line, line_test), (cubic, cubic_test), (wild, wild_test) = errors(2), errors(4), errors(degree)
    assert wild < cubic < line
    assert min(line, line_test) > 4 * max(cubic, cubic_test)
    assert cubic_test == pytest.approx(0.1**2, rel=0.5)  # the variance of the noise is what nobody can predict
    assert wild_test > 1.3 * cubic_test


def test_L12_k_folds_are_disjoint_and_cover():
    """Of what utils.data has: random_split makes the folds, ConcatDataset joins the others for training."""
    k, dataset = 5, data.TensorDataset(torch.arange(50.0))
    folds = data.random_split(dataset, [10] * k)
    for i, fold in enumerate(folds):
        rest = data.ConcatDataset([other for j, other in enumerate(folds) if j != i])
        held, trained = ({x.item() for (x,) in part} for part in (fold, rest))
        assert len(held) == 10
        assert not held & trained
        assert held | trained == set(range(50))


def test_L13_penalty_decay_and_formula_are_the_same_step():
    X, y = synthetic(torch.tensor([2.0, -3.4]), 4.2, 8)
    eta, lambd = 0.1, 3.0
    penalised, decayed = nn.Linear(2, 1), nn.Linear(2, 1)
    decayed.load_state_dict(penalised.state_dict())
    w, b = penalised.weight.detach().clone(), penalised.bias.detach().clone()
    one = torch.optim.SGD(penalised.parameters(), lr=eta)
    other = torch.optim.SGD([{"params": decayed.weight, "weight_decay": lambd}, {"params": decayed.bias}], lr=eta)
    for _ in range(5):
        for net, optimizer, weight in ((penalised, one, lambd), (decayed, other, 0)):
            optimizer.zero_grad()
            (squared_loss(net(X), y).mean() + weight * (net.weight**2).sum() / 2).backward()
            optimizer.step()
        residual = X @ w.T + b - y
        w, b = (1 - eta * lambd) * w - eta / 8 * (residual.T @ X), b - eta / 8 * residual.sum()
        for net in (penalised, decayed):
            assert torch.allclose(net.weight, w, atol=1e-5)
            assert torch.allclose(net.bias, b, atol=1e-5)


def test_section_3_1_linear_regression_from_scratch():
    """After 3 epochs of rate 0.03 with the loss halved, (1 − 0.03)^96 = 5 % of the way is left."""
    w, b = torch.tensor([2.0, -3.4]), 4.2
    X, y = synthetic(w, b, 1000)
    model = LinearRegressionScratch(2).train_on(X, y, batch_size=32, epochs=3, lr=0.03)
    assert (w - model.w.reshape(w.shape)).tolist() == [about(0.114, 3 * 0.024), about(-0.173, 3 * 0.028)]
    assert (b - model.b).item() == about(0.219, 3 * 0.018)


def test_section_3_1_linear_regression_concise():
    w, b = torch.tensor([2.0, -3.4]), 4.2
    X, y = synthetic(w, b, 1000)
    net, loss = nn.LazyLinear(1), nn.MSELoss()
    net.weight.data.normal_(0, 0.01)  # lazy: nothing to fill yet
    net.bias.data.fill_(0)
    optimizer = torch.optim.SGD(net.parameters(), 0.03)
    for _ in range(3):
        for X_batch, y_batch in batches(X, y):
            optimizer.zero_grad()
            loss(net(X_batch), y_batch).backward()
            optimizer.step()
    w_error, b_error = w - net.weight.data.reshape(w.shape), b - net.bias.data
    assert max(w_error.abs().max(), b_error.abs().max()) < 0.02


@pytest.mark.parametrize(
    ("lambd", "low", "high", "train", "validation"),
    [(0, 0.0076, 0.0119, 8e-6, 0.020), (3, 0.0011, 0.0018, 4.6e-4, 0.0116)],
)
def test_section_3_1_weight_decay(lambd, low, high, train, validation):
    X, y = synthetic(torch.ones(200) * 0.01, 0.05, 120)
    model = LinearRegressionScratch(200)
    model.train_on(X[:20], y[:20], batch_size=5, epochs=10, lr=0.01, penalty=lambda w: lambd * (w**2).sum() / 2)
    with torch.no_grad():
        assert low < (model.w**2).sum() / 2 < high
        assert squared_loss(model(X[:20]), y[:20]).mean() < 4 * train
        assert squared_loss(model(X[20:]), y[20:]).mean().item() == pytest.approx(validation, rel=0.5)


# --- classification


def test_C1_C2_C3_a_linear_model_of_four_pixels_and_three_classes():
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    image = torch.rand(1, 2, 2)
    o = net(image)
    assert o.shape == (1, 3)
    assert net[1].weight.shape == (3, 4)
    assert net[1].bias.shape == (3,)
    assert sum(p.numel() for p in net.parameters()) == 15
    assert F.one_hot(torch.tensor([0, 1, 2])).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    with torch.no_grad():
        net[1].bias.copy_(torch.tensor([-5.0, 0.0, 9.0]))
        o = net(image)  # C3: as probabilities these would be below 0, and not sum to 1
        assert o.min() < 0
        assert o.sum() > 1
        assert F.softmax(o, dim=1).sum().item() == pytest.approx(1)


def softmax_scratch(X):
    X_exp = torch.exp(X)
    partition = X_exp.sum(1, keepdims=True)
    return X_exp / partition


def test_C4_softmax():
    o = torch.tensor([[1.0, 2.0, 3.0]])
    for softmax in (softmax_scratch, lambda o: F.softmax(o, dim=1)):
        assert softmax(o)[0].tolist() == pytest.approx([0.09003057, 0.24472847, 0.66524096])
    X = torch.rand((2, 5))
    assert torch.allclose(softmax_scratch(X).sum(1), torch.ones(2))
    for shift in (-1000, 1000):
        assert torch.allclose(F.softmax(o + shift, dim=1), F.softmax(o, dim=1))
    assert softmax_scratch(o + 1000).isnan().all()  # why the library subtracts the largest first


def test_C5_C6_the_likelihood_is_what_cross_entropy_measures():
    o, y = torch.randn(6, 3, dtype=FLOAT64), torch.tensor([0, 2, 1, 1, 0, 2])
    likelihood = softmax_scratch(o)[range(6), y].prod()
    assert math.exp(-F.cross_entropy(o, y, reduction="sum")) == pytest.approx(likelihood.item())
    by_one_hot = -(F.one_hot(y, 3) * torch.log(softmax_scratch(o))).sum(1)
    assert torch.allclose(by_one_hot, F.cross_entropy(o, y, reduction="none"))


@pytest.mark.parametrize("y", [[0.0, 0.0, 1.0], [0.2, 0.5, 0.3]])
def test_C7_C8_loss_in_logits_and_its_gradient(y):
    o, y = torch.tensor([[1.0, 2.0, 3.0]], dtype=FLOAT64, requires_grad=True), double([y])
    assert torch.logsumexp(o, dim=1).item() == pytest.approx(3.40760596)
    loss = torch.log(torch.exp(o).sum()) - (y * o).sum()
    assert loss.item() == pytest.approx(F.cross_entropy(o, y).item())
    loss.backward()
    assert torch.allclose(o.grad, softmax_scratch(o) - y, rtol=1e-12)


def test_C8_cross_entropy_from_scratch():
    y, y_hat = torch.tensor([0, 2]), torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    assert y_hat[[0, 1], y].tolist() == pytest.approx([0.1, 0.5])

    def cross_entropy(y_hat, y):
        return -torch.log(y_hat[list(range(len(y_hat))), y]).mean()

    assert cross_entropy(y_hat, y).item() == pytest.approx(1.4978661)
    preds = y_hat.argmax(axis=1).type(y.dtype)
    assert (preds == y).type(torch.float32).mean() == 0.5


# --- multilayer perceptrons


def test_M1_M2_a_hidden_layer_bends_what_a_line_cannot():
    """Risk grows with the distance from 37 °C: two hidden units give it exactly, one affine map never can."""
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        net[0].bias.copy_(torch.tensor([-37.0, 37.0]))
        net[2].weight.fill_(1)
        net[2].bias.zero_()
    degrees = torch.tensor([[36.0], [37.0], [39.5]])
    assert net(degrees).flatten().tolist() == [1, 0, 2.5]
    affine = nn.Linear(1, 1).double()
    low, middle, high = affine(double([[36.0], [37.0], [38.0]]))
    assert (high - middle).item() == pytest.approx((middle - low).item(), abs=1e-12)
    representation = net[:-1](degrees)
    assert net[-1](representation).equal(net(degrees))


def test_M4_relu_and_its_scratch_form():
    x = torch.arange(-8.0, 8.0, 0.1, requires_grad=True)
    y = torch.relu(x)
    y.backward(torch.ones_like(x), retain_graph=True)
    assert x.grad.equal((x > 0).float())
    x.grad.data.zero_()
    y.sum().backward()
    assert x.grad.equal((x > 0).float())
    X = torch.zeros(1, requires_grad=True)
    torch.relu(X).backward()
    assert X.grad == 0  # the left derivative


def test_M4_the_largest_of_two_splits_a_tie():
    def relu(X):
        a = torch.zeros_like(X)
        return torch.max(X, a)

    X = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    relu(X).sum().backward()
    assert relu(X).tolist() == [0, 0, 2]
    assert X.grad.tolist() == [0, 0.5, 1]


def test_M5_M6_slopes_of_sigmoid_and_tanh():
    x = torch.arange(-8.0, 8.0, 0.1, dtype=FLOAT64, requires_grad=True)
    s = torch.sigmoid(x)
    s.sum().backward()
    assert torch.allclose(x.grad, s * (1 - s), rtol=1e-12)
    assert x.grad.max().item() == pytest.approx(0.25)
    x.grad.zero_()
    t = torch.tanh(x)
    t.sum().backward()
    assert torch.allclose(x.grad, 1 - t**2, rtol=1e-9)
    assert torch.allclose(t + 1, 2 * torch.sigmoid(2 * x), rtol=1e-12)
    far = torch.tensor([-800.0, 800.0], requires_grad=True)
    torch.sigmoid(far).sum().backward()
    assert torch.sigmoid(far).tolist() == [0, 1]
    assert far.grad.tolist() == [0, 0]


def test_M7_forward_stores_and_backward_frees():
    x = torch.randn(3, requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert torch.allclose(x.grad, 4 * x)
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_M9_gradients_vanish_and_explode():
    x = torch.arange(-8.0, 8.1, 0.1, requires_grad=True)
    y = torch.sigmoid(x)
    y.backward(torch.ones_like(x))
    assert x.grad[0] < 4e-4
    assert x.grad[-1] < 4e-4
    M = torch.normal(0, 1, size=(4, 4))
    for _ in range(100):
        M = M @ torch.normal(0, 1, size=(4, 4))
    assert 1e20 < M.abs().max() < 1e32
    assert torch.isfinite(M).all()


def test_M11_xavier_keeps_the_variance():
    n_in, n_out = 300, 200
    w = torch.empty(n_out, n_in)
    for init in (nn.init.xavier_uniform_, nn.init.xavier_normal_):
        init(w)
        assert w.var().item() == pytest.approx(2 / (n_in + n_out), rel=0.03)
    square = nn.Linear(400, 400, bias=False)
    nn.init.xavier_uniform_(square.weight)
    x = torch.randn(200, 400, requires_grad=True)
    y = square(x)
    y.backward(torch.randn(200, 400))
    assert y.var().item() == pytest.approx(1, rel=0.1)
    assert x.grad.var().item() == pytest.approx(1, rel=0.1)


def test_M12_default_initialization():
    layer = nn.Linear(64, 2000)
    for param in layer.parameters():
        assert 0.99 / 8 < param.abs().max() <= 1 / 8  # U(±1/√fan_in), weight and bias
        assert param.std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.05)
    embedding = nn.Embedding(200, 100).weight
    assert embedding.mean().item() == pytest.approx(0, abs=0.03)
    assert embedding.std().item() == pytest.approx(1, abs=0.03)


def test_M13_an_mlp_memorises_random_labels():
    X, y = torch.randn(32, 16), torch.randint(0, 2, (32,))
    net = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(net(X), y).backward()
        optimizer.step()
    assert (net(X).argmax(dim=1) == y).all()


def test_M14_dropout_from_scratch():
    def dropout_layer(X, dropout):
        assert 0 <= dropout <= 1
        if dropout == 1:
            return torch.zeros_like(X)
        mask = (torch.rand(X.shape) > dropout).float()
        return mask * X / (1.0 - dropout)

    X = torch.arange(16, dtype=torch.float32).reshape((2, 8))
    assert dropout_layer(X, 0).equal(X)
    assert dropout_layer(X, 1).equal(torch.zeros(2, 8))
    half = dropout_layer(X, 0.5)
    assert ((half == 0) | (half == 2 * X)).all()
    many = torch.ones(100, 100)
    for dropout in (dropout_layer, F.dropout):
        for p in (0.1, 0.5, 0.9):
            assert dropout(many, p).mean().item() == pytest.approx(1, abs=0.1)


# --- builder's guide


class CenteredLayer(nn.Module):
    def forward(self, X):
        return X - X.mean()


class MyLinear(nn.Module):
    def __init__(self, in_units, units):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_units, units))
        self.bias = nn.Parameter(torch.randn(units))

    def forward(self, X):
        linear = torch.matmul(X, self.weight.data) + self.bias.data
        return F.relu(linear)


def test_B1_layers_of_ones_own():
    assert CenteredLayer()(torch.tensor([1.0, 2, 3, 4, 5])).tolist() == [-2, -1, 0, 1, 2]
    net = nn.Sequential(nn.LazyLinear(128), CenteredLayer())
    assert net(torch.rand(4, 8)).mean().item() == pytest.approx(0, abs=1e-6)
    assert MyLinear(5, 3).weight.shape == (5, 3)
    assert nn.Sequential(MyLinear(64, 8), MyLinear(8, 1))(torch.rand(2, 64)).shape == (2, 1)


def test_B1_parameters_by_name():
    net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(1))
    assert net(torch.rand(size=(2, 4))).shape == (2, 1)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(net[2].state_dict()) == ["weight", "bias"]
    assert type(net[2].bias) is nn.Parameter
    assert net[2].weight.grad is None
    assert [(name, param.shape) for name, param in net[0].named_parameters()] == [("weight", (8, 4)), ("bias", (8,))]


def test_B1_shared_layers():
    shared = nn.LazyLinear(8)
    net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.LazyLinear(1))
    X = torch.rand(size=(2, 4))
    net(X)
    assert (net[2].weight.data[0] == net[4].weight.data[0]).all()
    net[2].weight.data[0, 0] = 100
    assert net[4].weight.data[0, 0] == 100
    net(X).sum().backward()
    assert len(list(net.parameters())) == 6
    apart = nn.Sequential(*(copy.deepcopy(layer) for layer in net))
    apart.zero_grad()
    apart(X).sum().backward()
    assert apart[2] is not apart[4]
    assert torch.allclose(shared.weight.grad, apart[2].weight.grad + apart[4].weight.grad)


def test_B1_files(tmp_path):
    x, y = torch.arange(4), torch.zeros(4)
    torch.save(x, tmp_path / "x-file")
    assert torch.load(tmp_path / "x-file").equal(x)
    torch.save([x, y], tmp_path / "x-files")
    x2, y2 = torch.load(tmp_path / "x-files")
    assert x2.equal(x)
    assert y2.equal(y)
    torch.save({"x": x, "y": y}, tmp_path / "mydict")
    assert list(torch.load(tmp_path / "mydict")) == ["x", "y"]

    def mlp():
        return nn.Sequential(nn.LazyLinear(256), nn.ReLU(), nn.LazyLinear(10))

    net, clone, X = mlp(), mlp(), torch.randn(size=(2, 20))
    Y = net(X)
    torch.save(net.state_dict(), tmp_path / "mlp.params")
    clone.load_state_dict(torch.load(tmp_path / "mlp.params"))
    clone.eval()
    assert (clone(X) == Y).all()


# --- recurrent networks: clipping; attention: masks and products


def test_R7_clipping_as_the_book_writes_it():
    def clip_gradients(grad_clip_val, model):
        params = [p for p in model.parameters() if p.requires_grad]
        norm = torch.sqrt(sum(torch.sum(p.grad**2) for p in params))
        if norm > grad_clip_val:
            for param in params:
                param.grad[:] *= grad_clip_val / norm

    net, library = nn.Linear(5, 3), nn.Linear(5, 3)
    X = torch.randn(4, 5)
    for bound in (0.5, 1e6):
        for model in (net, library):
            model.load_state_dict(net.state_dict())
            model.zero_grad()
            (model(X) ** 2).sum().backward()
        before = [p.grad.clone() for p in net.parameters()]
        clip_gradients(bound, net)
        total = nn.utils.clip_grad_norm_(library.parameters(), bound)
        factor = min(1, bound / total.item())
        for p, q, g in zip(net.parameters(), library.parameters(), before, strict=True):
            assert torch.allclose(p.grad, q.grad, rtol=1e-5)
            assert torch.allclose(p.grad, g * factor, rtol=1e-5)


def masked_softmax(X, valid_lens):
    """As in the book: what is written through a reshaped view lands in the scores."""

    def sequence_mask(X, valid_len, value=0):
        maxlen = X.size(1)
        mask = torch.arange(maxlen, dtype=torch.float32, device=X.device)[None, :] < valid_len[:, None]
        X[~mask] = value
        return X

    if valid_lens is None:
        return nn.functional.softmax(X, dim=-1)
    shape = X.shape
    if valid_lens.dim() == 1:
        valid_lens = torch.repeat_interleave(valid_lens, shape[1])
    else:
        valid_lens = valid_lens.reshape(-1)
    X = sequence_mask(X.reshape(-1, shape[-1]), valid_lens, value=-1e6)
    return nn.functional.softmax(X.reshape(shape), dim=-1)


def test_A8_masked_softmax():
    weights = masked_softmax(torch.rand(2, 2, 4), torch.tensor([2, 3]))
    assert (weights[0, :, 2:] == 0).all()
    assert (weights[1, :, 3:] == 0).all()
    assert (weights[0, :, :2] > 0).all()
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 2))
    weights = masked_softmax(torch.rand(2, 2, 4), torch.tensor([[1, 3], [2, 4]]))
    assert (weights > 0).sum(dim=-1).tolist() == [[1, 3], [2, 4]]
    assert weights[0, 0].tolist() == [1, 0, 0, 0]
    assert masked_softmax(torch.rand(1, 2, 4), torch.tensor([0]))[0].tolist() == [[0.25] * 4] * 2
    assert masked_softmax(torch.zeros(1, 1, 4), None).tolist() == [[[0.25] * 4]]


def test_A2_pooling_with_weights_of_different_kinds():
    values = torch.randn(5, 3, dtype=FLOAT64)
    one_hot = torch.eye(5, dtype=FLOAT64)[3]
    assert (one_hot @ values).equal(values[3])  # a look-up in a database
    assert torch.allclose(torch.full((5,), 0.2, dtype=FLOAT64) @ values, values.mean(0))  # average pooling
    convex = torch.softmax(torch.randn(5, dtype=FLOAT64), dim=0)
    pooled = convex @ values
    assert (values.min(0).values <= pooled).all()
    assert (pooled <= values.max(0).values).all()


def test_A4_kernels():
    d = double([0.5, 1.0])
    gaussian, boxcar, triangular = torch.exp(-(d**2) / 2), (d <= 1).double(), torch.relu(1 - torch.abs(d))
    assert gaussian.tolist() == pytest.approx([0.8824969, 0.6065307])
    assert boxcar.tolist() == [1, 1]
    assert triangular.tolist() == [0.5, 0]
    x = torch.sort(torch.rand(40, dtype=FLOAT64) * 5).values
    y = 2 * torch.sin(x) + x
    for width, error in ((1.0, 0.5), (0.05, 0.05)):  # narrower kernels come closer
        attention = torch.exp(-((x[:, None] - x[None, :]) ** 2) / (2 * width**2))
        y_hat = (attention / attention.sum(1, keepdim=True)) @ y
        assert (y_hat - y).abs().mean() < error


def test_A5_A6_distances_become_dot_products():
    q, k = torch.randn(3, 8, dtype=FLOAT64), F.normalize(torch.randn(5, 8, dtype=FLOAT64), dim=1)
    distances = -((q[:, None, :] - k[None, :, :]) ** 2).sum(-1) / 2
    assert torch.allclose(torch.softmax(distances, dim=1), torch.softmax(q @ k.T, dim=1))
    q, k = torch.randn(20000, 64), torch.randn(20000, 64)
    assert (q * k).sum(1).var().item() == pytest.approx(64, rel=0.05)
    assert ((q * k).sum(1) / math.sqrt(64)).var().item() == pytest.approx(1, rel=0.05)


def test_A9_batch_matrix_multiplication():
    Q, K = torch.ones((2, 3, 4)), torch.ones((2, 4, 6))
    assert torch.bmm(Q, K).tolist() == [[[4.0] * 6] * 3] * 2
    W = torch.softmax(torch.bmm(Q, K) / math.sqrt(4), dim=-1)
    assert torch.bmm(W, torch.ones(2, 6, 5)).shape == (2, 3, 5)


def test_A3_A7_scaled_dot_product_attention():
    queries, keys, values = torch.normal(0, 1, (2, 1, 2)), torch.normal(0, 1, (2, 10, 2)), torch.normal(0, 1, (2, 10, 4))
    scores = torch.bmm(queries, keys.transpose(1, 2)) / math.sqrt(queries.shape[-1])
    weights = masked_softmax(scores, torch.tensor([2, 6]))
    assert torch.bmm(weights, values).shape == (2, 1, 4)
    assert weights[0, 0, 2:].equal(torch.zeros(8))
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(-1), torch.ones(2, 1))


def test_A10_A11_scores_for_queries_and_keys_of_different_lengths():
    q, k = torch.randn(3, 20, dtype=FLOAT64), torch.randn(5, 2, dtype=FLOAT64)
    M = torch.randn(20, 2, dtype=FLOAT64)
    one_by_one = torch.stack([torch.stack([q_i.dot(M @ k_j) for k_j in k]) for q_i in q])
    assert torch.allclose(q @ M @ k.T, one_by_one)
    W_q, W_k, w_v = (nn.Linear(n, out, bias=False).double() for n, out in ((20, 8), (2, 8), (8, 1)))
    additive = w_v(torch.tanh(W_q(q).unsqueeze(1) + W_k(k).unsqueeze(0))).squeeze(-1)
    hidden = nn.Linear(22, 8, bias=False).double()
    hidden.weight.data[:] = torch.cat([W_q.weight.data, W_k.weight.data], dim=1)
    mlp = nn.Sequential(hidden, nn.Tanh(), w_v)
    pairs = torch.cat([q[:, None, :].expand(-1, 5, -1), k[None, :, :].expand(3, -1, -1)], dim=-1)
    assert torch.allclose(additive, mlp(pairs).squeeze(-1))


# --- optimization


def descend(f, x, update, steps):
    """x after so many steps of update(x, gradient) in place."""
    x = double(x).requires_grad_()
    for _ in range(steps):
        f(x).sum().backward()
        with torch.no_grad():
            update(x, x.grad)
        x.grad.zero_()
    return x.tolist()


def gd(eta):
    def update(x, g):
        x -= eta * g

    return update


def momentum(eta, beta):
    v = torch.zeros(2, dtype=FLOAT64)

    def update(x, g):
        v[:] = beta * v + g
        x[:] -= eta * v

    return update


def adagrad(eta, eps=1e-6):
    s = torch.zeros(2, dtype=FLOAT64)

    def update(x, g):
        s[:] += torch.square(g)
        x[:] -= eta * g / torch.sqrt(s + eps)

    return update


def rmsprop(eta, gamma, eps=1e-6):
    s = torch.zeros(2, dtype=FLOAT64)

    def update(x, g):
        s[:] = gamma * s + (1 - gamma) * torch.square(g)
        x[:] -= eta * g / torch.sqrt(s + eps)

    return update


def square(x):
    return x**2


def wave(x):
    return x * torch.cos(0.15 * math.pi * x)


@pytest.mark.parametrize(
    ("f", "eta", "expected"),
    [(square, 0.2, 0.060466), (square, 0.05, 3.486784), (square, 1.1, 61.917364), (wave, 2, -1.528166)],
)
def test_O9_gradient_descent_in_one_dimension(f, eta, expected):
    assert descend(f, [10.0], gd(eta), 10) == [about(expected, 1e-6)]


def narrow(x):
    return x @ double([[0.1, 0.0], [0.0, 2.0]]) @ x


def round_bowl(x):
    return x @ double([[1.0, 0.0], [0.0, 2.0]]) @ x


@pytest.mark.parametrize(
    ("f", "rule", "expected"),
    [
        (round_bowl, lambda: gd(0.1), (-0.057646, -0.000073)),
        (narrow, lambda: gd(0.4), (-0.943467, -0.000073)),
        (narrow, lambda: gd(0.6), (-0.387814, -1673.365109)),
        (narrow, lambda: momentum(0.6, 0.5), (0.007188, 0.002553)),
        (narrow, lambda: momentum(0.6, 0.25), (-0.126340, -0.186632)),
        (narrow, lambda: adagrad(0.4), (-2.382563, -0.158591)),
        (narrow, lambda: adagrad(2), (-0.002295, 0.0)),
        (narrow, lambda: rmsprop(0.4, 0.9), (-0.010599, 0.0)),
    ],
    ids=["gd .1", "gd .4", "gd .6", "momentum .5", "momentum .25", "adagrad .4", "adagrad 2", "rmsprop"],
)
def test_O9_rules_in_two_dimensions(f, rule, expected):
    assert descend(f, [-5.0, -2.0], rule(), 20) == [about(e, 1e-6) for e in expected]


@pytest.mark.parametrize(("eta", "beta"), [(0.6, 0.5), (0.6, 0.25)])
def test_O9_the_library_takes_the_same_steps(eta, beta):
    x = double([-5.0, -2.0]).requires_grad_()
    optimizer = torch.optim.SGD([x], lr=eta, momentum=beta)
    for _ in range(20):
        optimizer.zero_grad()
        narrow(x).backward()
        optimizer.step()
    assert x.tolist() == pytest.approx(descend(narrow, [-5.0, -2.0], momentum(eta, beta), 20), rel=1e-9)


C = 0.15 * math.pi


@pytest.mark.parametrize(
    ("slope", "curvature", "eta", "expected"),
    [
        (lambda x: 0.5 * torch.sinh(0.5 * x), lambda x: 0.25 * torch.cosh(0.5 * x), 1, 0.0),
        (
            lambda x: torch.cos(C * x) - C * x * torch.sin(C * x),
            lambda x: -2 * C * torch.sin(C * x) - x * C**2 * torch.cos(C * x),
            1,
            26.834133,
        ),
        (
            lambda x: torch.cos(C * x) - C * x * torch.sin(C * x),
            lambda x: -2 * C * torch.sin(C * x) - x * C**2 * torch.cos(C * x),
            0.5,
            7.269860,
        ),
    ],
    ids=["cosh", "wave", "wave, half steps"],
)
def test_O9_newtons_method(slope, curvature, eta, expected):
    x = double(10.0)
    for _ in range(10):
        x -= eta * slope(x) / curvature(x)
    assert x.item() == about(expected, 1e-6)


# --- mathematics


def test_X1_angles_and_einsum():
    def angle(v, w):
        return torch.acos(v.dot(w) / (torch.norm(v) * torch.norm(w)))

    theta = angle(torch.tensor([0, 1, 2], dtype=torch.float32), torch.tensor([2.0, 3, 4]))
    assert theta.item() == pytest.approx(0.4189901, rel=2e-6)
    B = torch.tensor([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])
    A, v = torch.tensor([[1, 2], [3, 4]]), torch.tensor([1, 2])
    assert torch.einsum("ij, j", A, v).equal(A @ v)
    assert torch.einsum("ijk, il, j -> kl", B, A, v).tolist() == [[90, 126], [102, 144], [114, 162]]
    M, M_inv = torch.tensor([[1, 2], [1, 4]], dtype=torch.float32), torch.tensor([[2, -1], [-0.5, 0.5]])
    assert (M_inv @ M).equal(torch.eye(2))


def test_X2_repeated_products_grow_by_the_largest_eigenvalue():
    torch.manual_seed(42)
    A = torch.randn(5, 5, dtype=FLOAT64)
    v = torch.randn(5, 1, dtype=FLOAT64)
    for _ in range(100):
        before, v = v / torch.norm(v), A @ (v / torch.norm(v))
    assert (torch.norm(v) / torch.norm(before)).item() == about(2.4532)


def test_X3_difference_quotients():
    def f(x):
        return 3 * x**2 - 4 * x

    def loss(x):
        return x**2 + 1701 * (x - 4) ** 3

    one, four = double(1.0), double(4.0)
    steps = double([0.1, 0.01, 0.001, 0.0001, 0.00001])
    assert ((f(one + steps) - f(one)) / steps).tolist() == pytest.approx([2.3, 2.03, 2.003, 2.0003, 2.00003], rel=1e-9)
    steps = double([0.1, 0.001, 0.0001, 0.00001])
    quotients = (loss(four + steps) - loss(four)) / steps
    assert quotients.tolist() == [about(q, 5e-6) for q in (25.11, 8.0027, 8.00012, 8.00001)]


def test_X4_gradients_of_several_variables():
    w, x, y, z = (torch.tensor([v], requires_grad=True) for v in (-1.0, 0.0, -2.0, 1.0))
    a, b = (w + x + y + z) ** 2, (w + x - y - z) ** 2
    u, v = (a + b) ** 2, (a - b) ** 2
    f = (u + v) ** 2
    f.backward()
    assert f.item() == 1024
    assert [t.grad.item() for t in (w, x, y, z)] == [-4096] * 4

    def g(x, y):
        return torch.log(torch.exp(x) + torch.exp(y))

    def grad_g(x, y):
        return torch.cat([torch.exp(x) / (torch.exp(x) + torch.exp(y)), torch.exp(y) / (torch.exp(x) + torch.exp(y))])

    epsilon = torch.tensor([0.01, -0.03])
    zero, log2 = torch.tensor([0.0]), torch.log(torch.tensor([2.0]))
    approximate = g(zero, log2) + epsilon.dot(grad_g(zero, log2))
    true = g(zero + epsilon[0], log2 + epsilon[1])
    assert [approximate.item(), true.item()] == pytest.approx([1.0819456, 1.0821242], rel=2e-7)
    zero.requires_grad_()
    g(zero, log2).backward()
    assert zero.grad.item() == pytest.approx(1 / 3)


def test_X5_maximum_likelihood_by_gradient_descent():
    n_H, n_T = 8675309, 256245
    theta = torch.tensor(0.5, requires_grad=True)
    lr = 1e-9
    for _ in range(100):
        loss = -(n_H * torch.log(theta) + n_T * torch.log(1 - theta))
        loss.backward()
        with torch.no_grad():
            theta -= lr * theta.grad
        theta.grad.zero_()
    assert theta.item() == pytest.approx(0.9713101, abs=2e-7)
    best = torch.tensor(0.97131014, dtype=FLOAT64, requires_grad=True)  # n_H/(n_H + n_T): there the slope is 0
    (-(n_H * torch.log(best) + n_T * torch.log(1 - best))).backward()
    assert abs(best.grad.item()) < 1e-8 * (n_H + n_T) / (0.9713 * 0.0287)  # what an error of 1e-8 in best leaves of it


def test_X6_integrals_as_sums():
    x = torch.arange(0, 2, 0.05, dtype=FLOAT64)
    assert (0.05 * x / (1 + x**2)).sum().item() == pytest.approx(0.7944856, rel=1e-6)
    x = torch.arange(0.0005, 2, 0.001, dtype=FLOAT64)  # the middles of finer steps: almost ½ ln 5
    assert (0.001 * x / (1 + x**2)).sum().item() == pytest.approx(0.8047190, abs=1e-7)
    x = torch.arange(-5, 5, 0.01)
    p = 0.2 * torch.exp(-((x - 3) ** 2) / 2) / math.sqrt(2 * math.pi) + 0.8 * torch.exp(-((x + 1) ** 2) / 2) / math.sqrt(
        2 * math.pi
    )
    assert torch.sum(0.01 * p[300:800]).item() == pytest.approx(0.7736172, rel=1e-5)


# --- conventions (T16)


def test_T16_shapes_are_tuples():
    X = torch.zeros(2, 3)
    assert X.shape == (2, 3)
    assert (4, *X.shape[1:]) == (4, 3)
    assert X.shape[:-1] + (5,) == (2, 5)
    assert torch.zeros(X.shape + (4,)).shape == (2, 3, 4)
    assert X.size(0) == X.size()[0] == len(X) == 2


def test_T16_a_schedule_knows_its_module():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = lr_scheduler.MultiStepLR(optimizer, milestones=[15, 30], gamma=0.5)
    assert scheduler.__module__ == lr_scheduler.__name__
    rates = []
    for _ in range(40):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates == [0.5] * 15 + [0.25] * 15 + [0.125] * 10


def test_T16_updates_without_recording_change_the_tensor_itself():
    w = torch.ones(2, requires_grad=True)
    alias = w
    (w * w).sum().backward()
    with torch.no_grad():
        w -= 0.25 * w.grad
    assert w is alias
    assert w.is_leaf
    assert w.requires_grad
    assert w.tolist() == [0.5, 0.5]


def test_T16_types_of_labels_and_predictions_mix():
    labels, scores = torch.tensor([0, 2]), torch.tensor([0.5, 1.5])
    assert (labels * scores).dtype == torch.float32
    assert (labels / 2).dtype == torch.float32
    assert torch.arange(3).dtype == torch.int64
    assert torch.arange(3.0).dtype == torch.tensor([1, 2.0]).dtype == torch.float32
    assert (scores.double() * 0.5).dtype == FLOAT64


def test_T16_training_inside_no_grad():
    """d2l.Trainer.fit_epoch calls backward and step inside no_grad; the forward pass stays outside."""
    net = nn.LazyLinear(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)  # made before the parameters have a shape
    X, y = torch.randn(8, 3), torch.randn(8, 1)
    losses = []
    for _ in range(20):
        loss = F.mse_loss(net(X), y)
        optimizer.zero_grad()
        with torch.no_grad():
            assert not torch.is_grad_enabled()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert type(net) is nn.Linear
    assert losses[-1] < losses[0]
