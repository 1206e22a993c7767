"""Small inputs that once gave a wrong value without a word, and their neighbours."""

import math

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import distributions as D, information as I, nn

# --- the class Tensor itself


def test_sizes_make_a_tensor_and_a_sequence_is_data():
    assert minidl.Tensor(3).shape == (3,) and minidl.Tensor(2, 3).shape == (2, 3)
    assert minidl.Tensor(np.int64(2), 0).shape == (2, 0)
    assert minidl.Tensor().shape == (0,) and minidl.Tensor(2, 3).dtype == minidl.float32
    assert minidl.Tensor([3]).tolist() == [3.0] and minidl.Tensor((2, 3)).tolist() == [2.0, 3.0]
    assert nn.Parameter(minidl.Tensor(5)).shape == (5,)
    for wrong in (3.5, True, "3", None):
        with pytest.raises(TypeError, match="Tensor: expected"):
            minidl.Tensor(wrong)
    with pytest.raises(TypeError, match="Tensor: expected sizes"):
        minidl.Tensor([1.0], [2.0])
    with pytest.raises(ValueError, match="sizes must be integers of 0 or more"):
        minidl.Tensor(-1)


def test_lists_of_float64_are_float64():
    doubles = [np.ones(2), np.zeros(2)], [minidl.ones(2).double()], [[1.0, np.float64(2)]], [np.float64(1), minidl.tensor(2.0)]
    for data in doubles:
        assert minidl.tensor(data).dtype == minidl.float64
    for data in ([np.ones(2, "f4")], [minidl.ones(2)], [1.0, 2.0], [np.float32(1)]):
        assert minidl.tensor(data).dtype == minidl.float32
    assert minidl.tensor([np.ones(2, "i4")]).dtype in (minidl.int64, minidl.int32)


def test_the_sign_of_nan_is_nan():  # as in NumPy; PyTorch makes it 0, which would hide it
    assert math.isnan(minidl.tensor([math.nan]).sign().item())


def test_the_value_that_stays_gets_the_gradient():
    x, v = minidl.zeros(3), minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[minidl.tensor([0, 0, 2])] = v
    assert x.tolist() == [2.0, 0.0, 3.0]
    x.backward(minidl.tensor([1.0, 10.0, 100.0]))
    assert v.grad.tolist() == [0.0, 1.0, 100.0]


# --- shapes


def test_cosine_similarity_broadcasts_before_dim_counts():
    x, y = minidl.rand(1, 2, 3), minidl.rand(2, 1, 3)
    a, b = np.broadcast_arrays(x.numpy(), y.numpy())
    for dim in (0, 1, 2, -1, -2):
        expected = (a * b).sum(dim) / np.sqrt((a * a).sum(dim) * (b * b).sum(dim))
        found = F.cosine_similarity(x, y, dim=dim)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    rows = F.cosine_similarity(minidl.rand(3), minidl.rand(4, 3), dim=-1)
    assert rows.shape == (4,) and (rows <= 1 + 1e-6).all()
    with pytest.raises(ValueError, match="cosine_similarity: shapes"):
        F.cosine_similarity(minidl.ones(2, 3), minidl.ones(2, 4))


def test_take_along_dim_broadcasts():
    x = minidl.arange(25.0).reshape(5, 5).requires_grad_()
    y = x.take_along_dim(minidl.tensor([[1, 2]]), 1)
    assert y.shape == (5, 2) and (y.detach() == x.detach()[:, 1:3]).all()
    y.sum().backward()
    assert x.grad.sum(0).tolist() == [0, 5, 5, 0, 0]
    row = minidl.arange(3.0).reshape(1, 3)
    assert row.take_along_dim(minidl.tensor([[0], [2]]), -1).tolist() == [[0.0], [2.0]]
    assert x.take_along_dim(minidl.tensor([7])).tolist() == [7.0]
    best = x.argmax(1, keepdim=True)
    assert (x.take_along_dim(best, 1) == x.amax(1, keepdim=True)).all()
    with pytest.raises(ValueError, match="take_along_dim: the axes other than 1"):
        x.take_along_dim(minidl.zeros(3, 1, dtype=minidl.int64), 1)
    with pytest.raises(ValueError, match="take_along_dim: expected an input and indices with"):
        x.take_along_dim(minidl.tensor([1]), 1)
    with pytest.raises(IndexError, match="out of range"):
        x.take_along_dim(minidl.tensor([[5]]), 1)


def test_slices_say_what_they_were_asked_for():
    with pytest.raises(IndexError, match="select: index 5 is out of range for axis 0"):
        minidl.zeros(2, 2).select(0, 5)
    with pytest.raises(ValueError, match="trace: expected a matrix"):
        minidl.zeros(2, 2, 2).trace()
    assert F.layer_norm(minidl.zeros(3, 0), (0,)).shape == (3, 0)


# --- the random stream


@pytest.mark.parametrize("draw", ["normal_", "uniform_", "bernoulli_"])
def test_numbers_are_drawn_in_the_order_of_memory(draw):
    def drawn(x):
        minidl.manual_seed(7)
        getattr(x, draw)()
        return x.numpy(), minidl.rand(2).tolist()

    whole, after = drawn(minidl.zeros(3, 5))  # 15 numbers: one by one in any case
    for view in (minidl.zeros(3, 5).t(), minidl.zeros(3, 5).unsqueeze(0).permute(2, 0, 1)):
        found, then = drawn(view)
        assert np.array_equal(found.reshape(5, 3), whole.T) and then == after
    found, then = drawn(minidl.zeros(3, 9)[:, :5])
    assert np.array_equal(found, whole) and then == after
    found, then = drawn(minidl.zeros(15, 2)[:, 0])
    assert np.array_equal(found, whole.ravel()) and then == after


def test_normals_in_memory_that_is_not_contiguous_are_drawn_one_by_one():
    minidl.manual_seed(7)
    x = minidl.zeros(5, 4).t().normal_()  # PyTorch's numbers
    np.testing.assert_allclose(x[0].numpy(), [-0.1468, 1.6908, 0.1382, 0.1373, 2.4382], atol=5e-5)
    minidl.manual_seed(7)
    one_by_one = minidl.tensor([minidl.zeros(1).normal_().item() for _ in range(20)]).reshape(5, 4)
    assert (x == one_by_one.T).all()
    minidl.manual_seed(7)
    assert not (minidl.zeros(5, 4).normal_() == one_by_one).all()  # in blocks
    minidl.manual_seed(7)
    assert (minidl.randn_like(minidl.zeros(5, 4).t()) == x).all()
    minidl.manual_seed(7)
    assert not (minidl.randn_like(minidl.zeros(9, 9)[:4, :5]) == x).all()  # whose result is contiguous


def test_dropout_and_noise_follow_the_memory_of_their_input():
    for function in (lambda x: F.dropout(x, 0.4), minidl.rand_like):
        minidl.manual_seed(0)
        a = function(minidl.ones(6, 6))
        minidl.manual_seed(0)
        b = function(minidl.ones(6, 6).t())
        assert (a == b.t()).all()


def test_nothing_is_drawn_for_what_is_given():
    def after(make):
        minidl.manual_seed(0)
        make()
        return minidl.rand(2).tolist()

    nothing = after(lambda: None)
    table = minidl.ones(4, 2)
    assert after(lambda: nn.Embedding.from_pretrained(table)) == nothing
    assert after(lambda: nn.Embedding(4, 2, _weight=table)) == nothing
    assert after(lambda: F.dropout(table, 0.0)) == nothing and after(lambda: F.dropout(table, 1.0)) == nothing
    layer = nn.Embedding.from_pretrained(table, padding_idx=1)
    assert not layer.weight.requires_grad and (layer.weight == 1).all() and layer.padding_idx == 1
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match="Embedding: expected a _weight of shape"):
        nn.Embedding(4, 3, _weight=table)


@pytest.mark.parametrize("concentration", [math.inf, math.nan, 0.0, -1.0])
def test_loops_of_rejection_end(concentration):
    for make in (
        lambda a: D.Gamma(a, minidl.tensor(1.0), validate_args=False),
        lambda a: D.Beta(a, minidl.tensor(1.0), validate_args=False),
        lambda a: D.Dirichlet(minidl.stack([a, a]), validate_args=False),
        lambda a: D.Chi2(a, validate_args=False) if hasattr(D, "Chi2") else D.Gamma(a, 1.0, validate_args=False),
    ):
        with pytest.raises(ValueError, match="expected a finite concentration above 0"):
            make(minidl.tensor(concentration)).sample()


def test_a_truncated_normal_that_cannot_be_drawn_says_so():
    with pytest.warns(UserWarning, match="2 std outside"):
        assert (nn.init.trunc_normal_(minidl.empty(50), 0.0, 1.0, 5.0, 5.0) == 5).all()
        x = nn.init.trunc_normal_(minidl.empty(100), 0.0, 1e-2, 0.5, 0.6)
        assert ((x >= 0.5) & (x <= 0.6)).all()
        with pytest.raises(RuntimeError, match=r"trunc_normal_: .* too far from the mean"):
            nn.init.trunc_normal_(minidl.empty(10), 0.0, 1e-9, 0.5, 0.6)


# --- divergences


def near(n, T, step):
    rng = np.random.default_rng(n)
    p = rng.uniform(0.1, 1, n)
    q = p * (1 + step * rng.uniform(-1, 1, n))
    return minidl.tensor((p / p.sum()).astype(T)), minidl.tensor((q / q.sum()).astype(T))


@pytest.mark.parametrize("T", ["f4", "f8"])
@pytest.mark.parametrize("step", [0, 1e-8, 1e-7, 1e-6, 1e-4, 1e-2])
def test_promise_49_divergences_are_never_below_0(step, T):
    for n in range(2, 60):
        p, q = near(n, T, step)
        table = p[:, None] * q
        table = table / table.sum()
        values = [
            I.kl_divergence(p, q),
            I.kl_divergence(p.log(), q.log(), log=True),
            I.jensen_shannon(p, q),
            I.jensen_shannon(p.log(), q.log(), log=True),
            I.mutual_information(table),
            I.mutual_information(table.log(), log=True),
            F.js_divergence(p, q, dim=0),
            F.js_divergence(p.log(), q.log(), dim=0, logits=True),
            D.kl_divergence(D.Categorical(p), D.Categorical(q)),
            D.kl_divergence(D.Categorical(logits=p.log()), D.Categorical(logits=q.log())),
            D.kl_divergence(D.Bernoulli(p), D.Bernoulli(q)),
            D.kl_divergence(D.Bernoulli(logits=p), D.Bernoulli(logits=q)),
            D.kl_divergence(D.Geometric(p), D.Geometric(q)),
            D.kl_divergence(D.Normal(p, q), D.Normal(q, p)),
            D.kl_divergence(D.Laplace(p, q), D.Laplace(q, p)),
            D.kl_divergence(D.Exponential(p), D.Exponential(q)),
            D.kl_divergence(D.Gamma(p, q), D.Gamma(q, p)),
            D.kl_divergence(D.Beta(p, q), D.Beta(q, p)),
            D.kl_divergence(D.Dirichlet(p), D.Dirichlet(q)),
            D.kl_divergence(D.Poisson(p), D.Poisson(q)),
            I.normal_kl(p, q, q, p),
        ]
        found = minidl.cat([x.reshape(-1) for x in values])
        assert (found >= 0).all(), found.tolist()
        assert not found.sqrt().isnan().any()


def test_divergences_of_near_distributions_keep_their_digits():
    p = minidl.tensor([0.5, 0.25, 0.25], dtype=minidl.float64)
    q = minidl.tensor([0.5, 0.25 + 1e-9, 0.25 - 1e-9], dtype=minidl.float64)
    gap = q.numpy() - p.numpy()
    exact = float((gap**2 / (2 * p.numpy())).sum())  # the next terms are 1e-9 of it
    assert I.kl_divergence(p, q, base=math.e).item() == pytest.approx(exact, rel=1e-8)
    assert I.kl_divergence(p.log(), q.log(), base=math.e, log=True).item() == pytest.approx(exact, rel=1e-6)
    assert I.jensen_shannon(p, q, base=math.e).item() == pytest.approx(exact / 4, rel=1e-8)
    assert F.js_divergence(p, q, dim=0).item() == pytest.approx(exact / 4, rel=1e-8)
    assert D.kl_divergence(D.Bernoulli(p[1]), D.Bernoulli(q[1])).item() == pytest.approx(
        gap[1] ** 2 / (2 * 0.25 * 0.75), rel=1e-7
    )
    one, more = minidl.tensor(1.0, dtype=minidl.float64), minidl.tensor(1 + 2.0**-30, dtype=minidl.float64)
    assert D.kl_divergence(D.Poisson(more), D.Poisson(one)).item() == pytest.approx(2.0**-61, rel=1e-8)
    assert D.kl_divergence(D.Exponential(one), D.Exponential(more)).item() == pytest.approx(2.0**-61, rel=1e-8)
    assert D.kl_divergence(D.Normal(0.0, more), D.Normal(0.0, one)).item() == pytest.approx(2.0**-60, rel=1e-8)


@pytest.mark.parametrize("T", ["f4", "f8"])
def test_divergences_of_distributions_far_apart_are_finite(T):
    def one(value):
        return minidl.tensor(np.array(value, T))

    far = 1e-25 if T == "f4" else 1e-200
    log = -math.log(far)
    kl = D.kl_divergence
    assert kl(D.Normal(one(0.0), one(far)), D.Normal(one(0.0), one(1.0))).item() == pytest.approx(log - 0.5, rel=1e-6)
    assert I.normal_kl(one(0.0), one(far), one(0.0), one(1.0), base=math.e).item() == pytest.approx(log - 0.5, rel=1e-6)
    assert kl(D.Exponential(one(1.0)), D.Exponential(one(far))).item() == pytest.approx(log - 1, rel=1e-6)
    assert kl(D.Laplace(one(0.0), one(far)), D.Laplace(one(0.0), one(1.0))).item() == pytest.approx(log - 1, rel=1e-6)
    # |x| of a distance of 2,000 scales: e^-2000 is 0
    assert kl(D.Laplace(one(2000.0), one(1.0)), D.Laplace(one(0.0), one(1.0))).item() == pytest.approx(1999, rel=1e-6)
    certain = D.Bernoulli(logits=one(-800.0))
    assert kl(D.Bernoulli(logits=one(0.0)), certain).item() == pytest.approx(400 - math.log(2), rel=1e-6)


def test_small_probabilities_do_not_vanish_in_a_product():
    tiny = 1e-30
    table = minidl.tensor([[tiny, 0.0], [0.0, 1 - tiny]])
    assert I.mutual_information(table, base=math.e).item() == pytest.approx(tiny * (1 - math.log(tiny)), rel=1e-5)
    tiny = 1e-200
    table = minidl.tensor([[tiny, 0.0], [0.0, 1 - tiny]], dtype=minidl.float64)
    assert I.mutual_information(table, base=math.e).item() == pytest.approx(tiny * (1 - math.log(tiny)), rel=1e-9)


# --- norms of large numbers


@pytest.mark.parametrize("numbers", [[1e20, -1e20, 3e20, 1e19], [3e38, 3e38, -3e38, 3.4e38]])  # the sum of these is infinite
def test_norms_of_large_numbers_are_right(numbers):
    x = minidl.tensor([numbers])
    exact = x.numpy().astype("f8")
    exact = (exact - exact.mean()) / exact.std()
    norms = {
        "layer": F.layer_norm(x, (4,)),
        "group": F.group_norm(x.reshape(1, 2, 2), 1).reshape(1, 4),
        "instance": F.instance_norm(x.reshape(1, 1, 4)).reshape(1, 4),
        "instance, long": F.instance_norm(x.repeat(1, 50).reshape(1, 1, 200)).reshape(50, 4)[:1],
        "batch": F.batch_norm(x.reshape(4, 1), None, None, training=True).reshape(1, 4),
        "batch, planes": F.batch_norm(x.repeat(1, 50).reshape(1, 1, 200), None, None, training=True).reshape(50, 4)[:1],
    }
    for name, y in norms.items():
        np.testing.assert_allclose(y.numpy(), exact, rtol=1e-5, err_msg=name)
    root = float(np.sqrt((x.numpy().astype("f8") ** 2).mean()))
    np.testing.assert_allclose(F.rms_norm(x, (4,)).numpy(), x.numpy() / root, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e20, 1e30, 1e37])
def test_gradients_of_norms_of_large_numbers_are_right(scale):
    rng = np.random.default_rng(0)
    shapes = {"layer": (3, 8), "group": (2, 4, 5), "batch": (6, 3), "planes": (2, 3, 200), "rms": (3, 8)}
    functions = {
        "layer": lambda x: F.layer_norm(x, (8,)),
        "group": lambda x: F.group_norm(x, 2),
        "batch": lambda x: F.batch_norm(x, None, None, training=True, eps=0.0),
        "planes": lambda x: F.batch_norm(x, None, None, training=True, eps=0.0),
        "rms": lambda x: F.rms_norm(x, (8,)),
    }
    for name, function in functions.items():
        x, dy = rng.standard_normal(shapes[name]), rng.standard_normal(shapes[name])
        ordinary, large = minidl.tensor(x, requires_grad=True), minidl.tensor((x * scale).astype("f4"), requires_grad=True)
        function(ordinary).backward(minidl.tensor(dy))
        y = function(large)
        y.backward(minidl.tensor(dy.astype("f4")))
        np.testing.assert_allclose(y.detach().numpy(), function(ordinary).detach().numpy(), rtol=1e-3, atol=1e-5, err_msg=name)
        found = large.grad.numpy().astype("f8") * scale
        np.testing.assert_allclose(found, ordinary.grad.numpy(), rtol=2e-3, atol=2e-4, err_msg=name)


def test_norms_of_what_is_not_finite_are_nan():
    for bad in (math.inf, -math.inf, math.nan):
        x = minidl.tensor([[1.0, bad, 2.0]])
        assert F.layer_norm(x, (3,)).isnan().all() and F.group_norm(x.reshape(1, 1, 3), 1).isnan().all()
        assert F.batch_norm(x.reshape(3, 1), None, None, training=True).isnan().all()


def test_cross_entropy_of_certain_wrong_answers_is_infinite():
    x = minidl.tensor([math.inf, math.inf, -math.inf, -math.inf, math.inf])
    t = minidl.tensor([0.3, 1.0, 0.3, 0.0, 0.0])
    found = F.binary_cross_entropy_with_logits(x, t, reduction="none").tolist()
    assert found == [math.inf, 0.0, math.inf, 0.0, math.inf]
    half = minidl.tensor(0.5)
    found = F.binary_cross_entropy_with_logits(x.requires_grad_(), t, reduction="none", pos_weight=half)
    assert found.tolist() == [math.inf, 0.0, math.inf, 0.0, math.inf]
    found.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0.7, 0.0, -0.15, 0.0, 1.0], rtol=1e-6)  # σ(∞) = 1


# --- modules


def test_modules_nested_deep_are_walked_without_recursion():
    net = nn.Linear(1, 1)
    for _ in range(5000):
        net = nn.Sequential(net)
    assert len(list(net.modules())) == 5001 and len(list(net.parameters())) == 2
    order = []
    assert net.eval().apply(order.append) is net and order[-1] is net and len(order) == 5001 and not net.training
    (name,) = {name.rpartition(".")[0] for name in net.state_dict()}
    assert name == ".".join("0" * 5000)


def test_apply_calls_children_first_and_in_order():
    net = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Tanh()), nn.Linear(1, 1))
    order = []
    net.apply(lambda module: order.append(type(module).__name__))
    assert order == ["ReLU", "Tanh", "Sequential", "Linear", "Sequential"]
    assert [name for name, _ in net.named_modules()] == ["", "0", "0.0", "0.1", "1"]


def test_attributes_are_listed_in_the_order_of_registration():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = None
            self.body = nn.Linear(2, 3)
            self.head = nn.Linear(3, 1)

    net = Net()
    assert [name for name, _ in net.named_children()] == ["body", "head"]
    assert [name for name, _ in net.named_parameters()] == ["body.weight", "body.bias", "head.weight", "head.bias"]
    assert list(net.state_dict()) == ["body.weight", "body.bias", "head.weight", "head.bias"]
