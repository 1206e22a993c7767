"""Attention pooling: section 11 of the notes, rows A1 to A12 and Z5. The oracle is a plain loop over queries and keys."""

import math

import numpy as np
import pytest

import minidl
import minidl as torch  # so that the book's code reads as in the book
import minidl.nn as nn
import minidl.nn.functional as F
from minidl.autograd import gradcheck

FLOAT64 = minidl.float64


def draw(*shape, seed=0, requires_grad=False):
    values = np.random.default_rng(seed + 17 * len(shape)).normal(size=shape)
    return minidl.tensor(values, dtype=FLOAT64, requires_grad=requires_grad)


def close(a, b, rtol=1e-12, atol=1e-13):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy() if isinstance(b, minidl.Tensor) else b, rtol, atol)


# --- A1, A2: any weights, and the special cases


def test_A1_a_weighted_sum_of_the_values():
    weights, values = draw(2, 3, 5), draw(2, 5, 4)
    y = F.attention_pooling(weights, values)
    for b, i in np.ndindex(2, 3):
        exact = sum(weights[b, i, j].numpy() * values[b, j].numpy() for j in range(5))
        np.testing.assert_allclose(y[b, i].numpy(), exact, rtol=1e-12)
    assert gradcheck(F.attention_pooling, (draw(2, 3, 5, requires_grad=True), draw(2, 5, 4, requires_grad=True)))


def test_A2_nonnegative_weights_stay_in_the_cone_of_the_values():
    values = minidl.tensor([[1.0, 0.0], [1.0, 1.0]])  # their cone: 0 <= y <= x
    y = F.attention_pooling(draw(50, 2).float().abs(), values)
    assert (y[:, 1] >= 0).all() and (y[:, 1] <= y[:, 0]).all() and (y[:, 0] > 1.2).any()
    assert (F.attention_pooling(minidl.tensor([[-1.0, 2.0]]), values)[:, 1] > 1).all()  # a negative weight leaves it


def test_A2_weights_of_a_convex_combination_stay_in_the_hull():
    values = draw(6, 3)
    y = F.attention_pooling(draw(40, 6).softmax(-1), values)
    assert (y <= values.amax(0)).all() and (y >= values.amin(0)).all()
    same = F.attention_pooling(draw(40, 6).softmax(-1), minidl.ones(6, 3, dtype=FLOAT64) * 7)
    close(same, np.full((40, 3), 7.0))


def test_A2_a_single_one_looks_a_value_up_and_equal_weights_average():
    values = draw(5, 3)
    assert F.attention_pooling(F.one_hot(minidl.tensor([3, 0])).to(FLOAT64), values[:4]).equal(values[[3, 0]])
    close(F.attention_pooling(minidl.full((2, 5), 1 / 5, dtype=FLOAT64), values), values.mean(0).expand(2, 3))
    pooled = F.avg_pool1d(values.T.unsqueeze(0), 5).reshape(3)
    close(F.attention_pooling(minidl.full((1, 5), 1 / 5, dtype=FLOAT64), values)[0], pooled)


# --- A4: similarity


def test_A4_the_kernels_at_half_a_step_and_at_one():
    q, k = minidl.zeros(1, dtype=FLOAT64), minidl.tensor([0.5, -1.0], dtype=FLOAT64)
    close(F.similarity(q, k), [[0.8824969025845955, 0.6065306597126334]])
    assert F.similarity(q, k, "boxcar").tolist() == [[1, 1]]
    assert F.similarity(q, k, "triangular").tolist() == [[0.5, 0]]
    assert F.similarity(q, k, "constant").tolist() == [[1, 1]]
    assert F.similarity(q, k * 1.001, "boxcar").tolist() == [[1, 0]]  # 1[d <= 1], as in the notes
    close(F.similarity(q, k, "gaussian", width=0.5), [[math.exp(-0.5), math.exp(-2)]])
    close(F.similarity(q, k, "triangular", width=2), [[0.75, 0.5]])
    close(F.similarity(q, k, lambda u: (-u).exp(), width=2), [[math.exp(-0.25), math.exp(-0.5)]])


FORMULAS = {
    "gaussian": lambda u: math.exp(-u * u / 2),
    "boxcar": lambda u: float(u <= 1),
    "triangular": lambda u: max(0.0, 1 - u),
    "constant": lambda u: 1.0,
}


def loop(queries, keys, values, kernel, width):
    """f(q), one pair at a time, and the weights."""
    y, weights = np.zeros((len(queries), values.shape[1])), np.zeros((len(queries), len(keys)))
    for i, q in enumerate(queries):
        for j, k in enumerate(keys):
            weights[i, j] = FORMULAS[kernel](math.sqrt(sum(((q - k) / width) ** 2)))
        if weights[i].sum():
            weights[i] /= weights[i].sum()
        for j in range(len(keys)):
            y[i] += weights[i, j] * values[j]
    return y, weights


@pytest.mark.parametrize("width", [0.7, 3.0, [0.5, 2.0, 4.0]])
@pytest.mark.parametrize("kernel", FORMULAS)
def test_A4_nadaraya_watson_against_a_loop(kernel, width):
    queries, keys, values = draw(7, 3, seed=1), draw(11, 3, seed=2), draw(11, 2, seed=3)
    given = minidl.tensor(width, dtype=FLOAT64) if isinstance(width, list) else width
    y, weights = F.nadaraya_watson(queries, keys, values, kernel, given, return_weights=True)
    exact = loop(queries.numpy(), keys.numpy(), values.numpy(), kernel, np.array(width))
    close(y, exact[0])
    close(weights, exact[1])
    scalar = F.nadaraya_watson(queries, keys, values[:, 0], kernel, given)
    assert scalar.shape == (7,)
    close(scalar, exact[0][:, 0])
    batch = [minidl.stack([x, x * 1.5]) for x in (queries, keys, values)]
    y = F.nadaraya_watson(*batch, kernel, given)
    close(y[0], exact[0])
    close(y[1], loop(*(x[1].numpy() for x in batch), kernel, np.array(width))[0])


@pytest.mark.parametrize("kernel", ["gaussian", "triangular"])
@pytest.mark.parametrize("size", [(), (1,), (2,)])
def test_A4_gradients_reach_queries_keys_values_and_width(kernel, size):
    queries, keys, values = (draw(*s, seed=4, requires_grad=True) for s in ((3, 2), (5, 2), (5, 2)))
    width = minidl.tensor(np.full(size, 2.3), dtype=FLOAT64, requires_grad=True)
    assert gradcheck(lambda *x: F.nadaraya_watson(*x[:3], kernel, x[3]), (queries, keys, values, width))


def test_A4_a_query_on_a_key_has_a_finite_gradient():
    for kernel in ("gaussian", "triangular"):
        x = minidl.tensor([0.0, 0.5], requires_grad=True)
        F.nadaraya_watson(x, x.detach(), minidl.tensor([1.0, 2.0]), kernel).sum().backward()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("kernel", ["boxcar", "constant"])
def test_A4_a_kernel_of_steps_gives_a_gradient_to_the_values_alone(kernel):
    queries, keys, values = (draw(*s, requires_grad=True) for s in ((3, 2), (5, 2), (5, 2)))
    F.nadaraya_watson(queries, keys, values, kernel, 2.0).sum().backward()
    assert queries.grad is None and keys.grad is None and values.grad is not None
    assert gradcheck(
        lambda v: F.nadaraya_watson(queries.detach(), keys.detach(), v, kernel, 2.0), (values.detach().requires_grad_(),)
    )


def test_A4_classification_by_one_hot_values():
    keys = minidl.tensor([[0.0, 0.0], [0.2, 0.0], [3.0, 3.0], [9.0, 9.0]])
    labels = minidl.tensor([0, 1, 2, 2])
    p = F.nadaraya_watson(minidl.tensor([[0.1, 0.0], [3.0, 3.1]]), keys, F.one_hot(labels), "boxcar")
    assert p.tolist() == [[0.5, 0.5, 0], [0, 0, 1]] and p.dtype == minidl.float32


@pytest.mark.parametrize("kernel", ["boxcar", "triangular"])
def test_A4_an_empty_neighbourhood_has_no_weights_no_gradient_and_the_value_asked_for(kernel):
    queries, keys = minidl.tensor([0.1, 50.0], requires_grad=True), minidl.tensor([0.0, 0.2], requires_grad=True)
    values = minidl.tensor([1.0, 3.0], requires_grad=True)
    y, weights = F.nadaraya_watson(queries, keys, values, kernel, return_weights=True)
    assert y[1].item() == 0 and weights[1].tolist() == [0, 0] and y[0].item() == pytest.approx(2)
    y.sum().backward()
    grads = [x.grad for x in (queries, keys, values) if x.grad is not None]
    assert grads and all(g.isfinite().all() for g in grads) and values.grad.tolist() == pytest.approx([0.5, 0.5])
    assert queries.grad is None or queries.grad[1] == 0
    y = F.nadaraya_watson(queries, keys, values, kernel, empty=math.nan)
    assert y.isnan().tolist() == [False, True]
    assert F.nadaraya_watson(queries, keys[:0], values[:0], kernel, empty=-1).tolist() == [-1, -1]


def test_A4_no_key_is_too_far_for_the_gaussian():
    y = F.nadaraya_watson(minidl.tensor([1e4]), minidl.tensor([0.0, 1.0]), minidl.tensor([3.0, 5.0]), width=0.1)
    assert y.item() == 5


@pytest.mark.parametrize("kernel", ["boxcar", "triangular"])
def test_Z5_what_lies_outside_the_neighbourhood_may_be_anything(kernel):
    values = minidl.tensor([1.0, math.nan, 5.0], requires_grad=True)
    y = F.nadaraya_watson(minidl.tensor([0.0, 0.25, 9.0]), minidl.tensor([0.0, 9.0, 0.5]), values, kernel, width=0.75)
    assert y.isnan().tolist() == [False, False, True]
    y[:2].sum().backward()
    assert values.grad[[0, 2]].isfinite().all() and values.grad[1] == 0


def test_A4_the_estimate_is_consistent_as_the_width_shrinks():
    """Mack & Silverman (1982): more data and a narrower kernel come nearer to the function."""
    errors = []
    for m, width in ((50, 0.8), (500, 0.4), (5000, 0.2)):
        random = np.random.default_rng(0)
        x = minidl.tensor(random.uniform(0, 5, m))
        y = 2 * x.sin() + x + minidl.tensor(random.normal(size=m))
        at = minidl.linspace(0.5, 4.5, 41, dtype=FLOAT64)
        errors.append((F.nadaraya_watson(at, x, y, width=width) - (2 * at.sin() + at)).square().mean().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


# --- A3, A5, A6, A10, A11: scores


def test_A3_A5_the_softmax_of_the_gaussian_score_is_the_gaussian_kernel_and_for_keys_of_one_norm_the_dot_product():
    q, k = draw(4, 3, seed=1), draw(6, 3, seed=2)
    scores = F.gaussian_scores(q, k)
    close(scores, F.dot_product_scores(q, k) - (k * k).sum(-1) / 2 - (q * q).sum(-1)[:, None] / 2)
    alpha = F.similarity(q, k)
    close(scores.softmax(-1), alpha / alpha.sum(-1, keepdim=True))
    assert (scores.softmax(-1) - F.dot_product_scores(q, k).softmax(-1)).abs().max() > 0.01
    unit = k / k.norm(dim=-1, keepdim=True)
    close(F.gaussian_scores(q, unit).softmax(-1), F.dot_product_scores(q, unit).softmax(-1))
    normed = F.layer_norm(k, (3,), eps=0.0)
    close(F.gaussian_scores(q, normed).softmax(-1), F.dot_product_scores(q, normed).softmax(-1))
    close(F.gaussian_scores(q, k, 2.0), scores / 4)


def test_A6_the_scaled_dot_product_has_variance_one_whatever_d_is():
    minidl.manual_seed(0)
    for d in (16, 64, 256):
        q, k = minidl.randn(200, d), minidl.randn(300, d)
        assert F.dot_product_scores(q, k).var().item() == pytest.approx(d, rel=0.05)
        assert F.scaled_dot_product_scores(q, k).var().item() == pytest.approx(1, rel=0.05)


def test_A10_the_bilinear_score_joins_unequal_sizes():
    q, k, M = draw(2, 4, 3), draw(2, 5, 6), draw(3, 6)
    y = F.bilinear_scores(q, k, M)
    for b, i, j in np.ndindex(2, 4, 5):
        assert y[b, i, j].item() == pytest.approx(q[b, i].numpy() @ M.numpy() @ k[b, j].numpy())
    close(F.bilinear_scores(q, k[..., :3], minidl.eye(3, dtype=FLOAT64)), F.dot_product_scores(q, k[..., :3]))
    assert gradcheck(F.bilinear_scores, tuple(draw(*s, requires_grad=True) for s in ((2, 3), (4, 5), (3, 5))))


def test_A11_the_additive_score_is_an_mlp_on_query_and_key_side_by_side():
    minidl.manual_seed(0)
    q, k = draw(2, 4, 3), draw(2, 5, 6)
    W_q, W_k, w_v = draw(7, 3, seed=1), draw(7, 6, seed=2), draw(7, seed=3)
    y = F.additive_scores(q, k, W_q, W_k, w_v)
    mlp = nn.Sequential(nn.Linear(9, 7, bias=False), nn.Tanh(), nn.Linear(7, 1, bias=False)).double()
    mlp[0].weight.data, mlp[2].weight.data = minidl.cat([W_q, W_k], 1), w_v[None]
    pairs = minidl.cat([q.unsqueeze(2).expand(2, 4, 5, 3), k.unsqueeze(1).expand(2, 4, 5, 6)], -1)
    close(y, mlp(pairs).squeeze(-1))
    inputs = (draw(2, 3), draw(4, 2), draw(5, 3), draw(5, 2), draw(5))
    assert gradcheck(F.additive_scores, tuple(x.requires_grad_() for x in inputs))


# --- A8: masked softmax


def book_masked_softmax(X, valid_lens):
    """In the book's manner: written into a view, −1e6 for what is masked."""

    def sequence_mask(X, valid_len, value=0):
        mask = torch.arange(X.size(1), dtype=torch.float32, device=X.device)[None, :] < valid_len[:, None]
        X[~mask] = value
        return X

    if valid_lens is None:
        return F.softmax(X, dim=-1)
    shape = X.shape
    valid_lens = torch.repeat_interleave(valid_lens, shape[1]) if valid_lens.dim() == 1 else valid_lens.reshape(-1)
    X = sequence_mask(X.reshape(-1, shape[-1]), valid_lens, value=-1e6)
    return F.softmax(X.reshape(shape), dim=-1)


@pytest.mark.parametrize("lens", [None, [2, 3], [[1, 3], [2, 4]], [[4, 4], [1, 2]]])
@pytest.mark.parametrize("masked", [F.masked_softmax, book_masked_softmax])
def test_A8_only_valid_positions_have_weight(masked, lens):
    X = minidl.tensor(np.random.default_rng(0).normal(size=(2, 2, 4)), dtype=minidl.float32, requires_grad=True)
    y = masked(X * 1.0, None if lens is None else minidl.tensor(lens))
    table = np.broadcast_to(np.array([4, 4] if lens is None else lens).reshape(2, -1), (2, 2))
    for b, i in np.ndindex(2, 2):
        n = table[b, i]
        e = np.exp(X[b, i, :n].detach().numpy().astype(np.float64))
        np.testing.assert_allclose(y[b, i, :n].detach().numpy(), e / e.sum(), rtol=1e-5)
        assert (y[b, i, n:] == 0).all()  # exactly
    np.testing.assert_allclose(y.sum(-1).detach().numpy(), np.ones((2, 2)), rtol=1e-6)
    (y * draw(2, 2, 4).float()).sum().backward()
    for b, i in np.ndindex(2, 2):
        assert (X.grad[b, i, table[b, i] :] == 0).all() and (table[b, i] == 1 or X.grad[b, i, 0] != 0)


def test_A8_length_0_gives_zeros_where_the_books_own_gives_the_uniform_row():
    X = draw(2, 1, 4)
    lens = minidl.tensor([0, 4])
    y = F.masked_softmax(X.requires_grad_(), lens)
    assert y[0].tolist() == [[0, 0, 0, 0]] and y[1].sum().item() == pytest.approx(1)
    y.sum().backward()
    assert X.grad[0].tolist() == [[0, 0, 0, 0]]
    assert book_masked_softmax(X * 1.0, lens)[0].tolist() == [[0.25] * 4]


def test_A8_what_is_masked_may_be_anything():
    X = minidl.tensor([[[1.0, 2.0, math.nan, math.inf]]], requires_grad=True)
    y = F.masked_softmax(X, minidl.tensor([2]))
    close(y, [[[0.26894143, 0.7310586, 0, 0]]], rtol=1e-6)
    y[0, 0, 0].backward()
    assert X.grad.isfinite().all() and X.grad[0, 0, 2:].tolist() == [0, 0] and X.grad[0, 0, 0] > 0.1


def test_A8_more_axes_and_fewer():
    X = draw(2, 3, 4, 5)
    lens = minidl.tensor([2, 5])
    y = F.masked_softmax(X, lens)
    close(y[0], F.masked_softmax(X[0], minidl.tensor([2, 2, 2])))
    each = minidl.tensor([[1, 2, 3, 4], [5, 4, 0, 2]])
    y = F.masked_softmax(X, each)
    for h in range(3):
        close(y[:, h], F.masked_softmax(X[:, h], each))
    close(F.masked_softmax(X[0, 0], each[0]), y[0, 0])
    assert gradcheck(lambda x: F.masked_softmax(x, each), (X.requires_grad_(),))


@pytest.mark.parametrize(
    ("lens", "error", "message"),
    [
        (minidl.tensor([2, 5]), ValueError, "valid_lens must be from 0 to 4, the number of keys, got 5"),
        (minidl.tensor([2, -1]), ValueError, "valid_lens must be from 0 to 4, the number of keys, got -1"),
        (minidl.tensor([2.0, 3.0]), TypeError, r"valid_lens must be integers, got float32; write valid_lens.long\(\)"),
        (minidl.tensor([True, False]), TypeError, "valid_lens must be integers, got bool"),
        (minidl.tensor([1, 2, 3]), ValueError, r"expected valid_lens of shape \(2,\) or \(2, 3\).*got \(3,\)"),
        (minidl.tensor([[1, 2]]), ValueError, r"expected valid_lens of shape \(2,\) or \(2, 3\).*got \(1, 2\)"),
        (minidl.tensor(2), ValueError, r"expected valid_lens of shape \(2,\) or \(2, 3\).*got \(\)"),
        ([2, 3], TypeError, "expected a Tensor as valid_lens, got list"),
    ],
)
def test_A8_wrong_lengths_are_named(lens, error, message):
    with pytest.raises(error, match=message):
        F.masked_softmax(minidl.zeros(2, 3, 4), lens)
    with pytest.raises(error, match=message):
        nn.DotProductAttention()(minidl.zeros(2, 3, 5), minidl.zeros(2, 4, 5), minidl.zeros(2, 4, 1), lens)


def test_wrong_arguments_are_named():
    q, k, v = minidl.zeros(3, 2), minidl.zeros(5, 2), minidl.zeros(5, 1)
    for wrong, error, message in [
        (lambda: F.masked_softmax(minidl.zeros(2, 2).long()), TypeError, "expected floating-point scores"),
        (lambda: F.masked_softmax([1.0]), TypeError, "expected a Tensor as X, got list"),
        (lambda: F.attention_pooling(minidl.zeros(3, 4), v), ValueError, r"with one m, got \(3, 4\) and \(5, 1\)"),
        (lambda: F.attention_pooling(minidl.zeros(3, 5), v, minidl.ones(3, 5)), TypeError, "mask must be boolean"),
        (lambda: F.attention_pooling(minidl.zeros(3, 5), v, minidl.ones(4, 5) > 0), ValueError, r"\(4, 5\) does not broadcast"),
        (lambda: F.nadaraya_watson(q, minidl.zeros(5, 3), v), ValueError, r"got \(3, 2\) and \(5, 3\)"),
        (lambda: F.nadaraya_watson(q, k.double(), v), TypeError, "one floating-point dtype, got float32 and float64"),
        (lambda: F.nadaraya_watson(q.long(), k.long(), v), TypeError, "one floating-point dtype, got int64 and int64"),
        (lambda: F.nadaraya_watson(q, k, minidl.zeros(4, 1)), ValueError, r"one value for each key.*got \(4, 1\)"),
        (
            lambda: F.nadaraya_watson(q, k, v, "cosine"),
            ValueError,
            "'gaussian', 'boxcar', 'triangular', 'constant', or a function",
        ),
        (lambda: F.nadaraya_watson(q, k, v, "epanechnikov"), ValueError, 'the notes\' kernel of that name is "triangular"'),
        (lambda: F.nadaraya_watson(q, k, v, lambda u: u.sum(-1)), ValueError, r"the distances' shape \(3, 5\), got \(3,\)"),
        (lambda: F.nadaraya_watson(q, k, v, "boxcar", 0), ValueError, "width must be above 0, and finite, got 0"),
        (lambda: F.nadaraya_watson(q, k, v, width=math.nan), ValueError, "width must be above 0, and finite, got nan"),
        (lambda: F.nadaraya_watson(q, k, v, width="1"), TypeError, "width must be a number or a Tensor, got str"),
        (
            lambda: F.nadaraya_watson(q, k, v, width=minidl.ones(3)),
            ValueError,
            r"one for each of 2 coordinates, got shape \(3,\)",
        ),
        (lambda: F.nadaraya_watson(q, k, v, "boxcar", empty=None), TypeError, "empty must be a number, got None"),
        (lambda: F.dot_product_scores(q, minidl.zeros(5, 3)), ValueError, "dot_product_scores: expected queries"),
        (lambda: F.bilinear_scores(q, k, minidl.zeros(3, 2)), ValueError, r"expected a weight \(2, 2\).*got \(3, 2\)"),
        (
            lambda: F.additive_scores(q, k, minidl.zeros(4, 2), minidl.zeros(3, 2), minidl.zeros(4)),
            ValueError,
            r"\(4, 2\), \(4, 2\), \(4,\)",
        ),
        (lambda: nn.DotProductAttention()(q, k, v), ValueError, r"DotProductAttention: expected queries \(B, n, d\)"),
        (lambda: nn.AdditiveAttention(3)(q[None], k[None], v[None, :4]), ValueError, "5 keys have 4 values"),
        (lambda: nn.DotProductAttention(1.5), ValueError, r"Dropout: p must lie in \[0, 1\], got 1.5"),
    ]:
        with pytest.raises(error, match=message):
            wrong()


# --- A7, A9: shapes; the layers


def test_A7_A9_shapes():
    Q, K, V = minidl.randn(3, 6), minidl.randn(5, 6), minidl.randn(5, 2)
    weights = F.scaled_dot_product_scores(Q, K).softmax(-1)
    assert weights.shape == (3, 5) and F.attention_pooling(weights, V).shape == (3, 2)
    assert minidl.bmm(minidl.ones(2, 3, 4), minidl.ones(2, 4, 6)).equal(minidl.full((2, 3, 6), 4.0))


def toy(seed=0, size=2):
    minidl.manual_seed(seed)
    queries, keys = minidl.normal(0, 1, (2, 1, size)), minidl.normal(0, 1, (2, 10, 2))
    return queries, keys, minidl.normal(0, 1, (2, 10, 4)), minidl.tensor([2, 6])


def test_dot_product_attention_of_the_books_toy():
    queries, keys, values, lens = toy()
    attention = nn.DotProductAttention(dropout=0.5).eval()
    y = attention(queries, keys, values, lens)
    assert y.shape == (2, 1, 4)
    for b, n in enumerate((2, 6)):
        scores = queries[b, 0].numpy() @ keys[b, :n].numpy().T / math.sqrt(2)
        weights = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(y[b, 0].numpy(), weights @ values[b, :n].numpy(), rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(attention.attention_weights[b, 0, :n].numpy(), weights, rtol=2e-5)
        assert (attention.attention_weights[b, 0, n:] == 0).all()


def test_additive_attention_of_the_books_toy():
    queries, keys, values, lens = toy(size=20)
    attention = nn.AdditiveAttention(num_hiddens=8, dropout=0.1).eval()
    y = attention(queries, keys, values, lens)
    assert y.shape == (2, 1, 4) and type(attention.W_q) is nn.Linear
    assert [(name, p.shape) for name, p in attention.named_parameters()] == [
        ("W_k.weight", (8, 2)),
        ("W_q.weight", (8, 20)),
        ("w_v.weight", (1, 8)),
    ]
    scores = F.additive_scores(queries, keys, attention.W_q.weight, attention.W_k.weight, attention.w_v.weight[0])
    weights = F.masked_softmax(scores, lens)
    np.testing.assert_allclose(y.detach().numpy(), (weights @ values).detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(attention.attention_weights.numpy() > 0, np.arange(10) < np.array([[[2]], [[6]]]))
    again = attention(queries, keys, values, lens, key_features=attention.W_k(keys))
    assert again.equal(y)
    y.sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.norm() > 0 for p in attention.parameters())


@pytest.mark.parametrize("make", [nn.DotProductAttention, lambda p=0.0: nn.AdditiveAttention(6, p)])
def test_dropout_leaves_weights_out_and_keeps_the_mean(make):
    queries, keys, values, lens = toy()
    attention = make(0.5)
    minidl.manual_seed(1)
    outputs = minidl.stack([attention(queries, keys, values, lens).detach() for _ in range(2000)])
    attention.eval()
    exact = attention(queries, keys, values, lens).detach()
    assert outputs.std(0).min() > 0.05
    np.testing.assert_allclose(outputs.mean(0).numpy(), exact.numpy(), atol=0.12)
    assert attention.attention_weights.sum(-1).allclose(minidl.ones(2, 1)) and not attention.attention_weights.requires_grad


@pytest.mark.parametrize("make", [nn.DotProductAttention, lambda: nn.AdditiveAttention(6)])
@pytest.mark.parametrize("lens", [[2, 6], [0, 3], [[2, 3, 10], [5, 0, 4]]])
def test_Z5_what_keys_and_values_hold_beyond_the_lengths_does_not_matter(make, lens):
    minidl.manual_seed(0)
    attention = make()
    attention(minidl.zeros(2, 3, 4), minidl.zeros(2, 10, 4), minidl.zeros(2, 10, 4))
    results = []
    for filler in (0.0, math.nan, math.inf):
        q, k, v = (draw(2, n, 4, seed=n).float() for n in (3, 10, 10))
        for b, n in enumerate(np.array(lens).reshape(2, -1).max(1)):
            k[b, n:] = filler
            v[b, n:] = filler
        inputs = [x.detach().requires_grad_() for x in (q, k, v)]
        attention.zero_grad()
        y = attention(*inputs, minidl.tensor(lens))
        (y * draw(2, 3, 4).float()).sum().backward()
        results.append([y.detach(), *[x.grad for x in inputs], *[p.grad for p in attention.parameters()]])
    for other in results[1:]:
        for x, z in zip(results[0], other, strict=True):
            assert x.isfinite().all() and x.allclose(z, rtol=1e-5, atol=1e-6)
    y, _, dk, dv = results[0][:4]
    for b, n in enumerate(np.array(lens).reshape(2, -1).max(1)):
        assert (dk[b, n:] == 0).all() and (dv[b, n:] == 0).all() and (n == 0 or (dv[b, 0] != 0).all())
    assert (y[0] == 0).all() if lens == [0, 3] else (y[0] != 0).any()


def test_Z5_a_masked_weight_counts_as_0():
    weights, values = draw(2, 3, requires_grad=True), draw(3, 4, requires_grad=True)
    mask = minidl.tensor([[True, True, False], [True, False, False]])
    close(F.attention_pooling(weights, values, mask), (weights * mask.to(FLOAT64)) @ values)
    assert gradcheck(lambda w, v: F.attention_pooling(w, v, mask), (weights, values))
    close(F.attention_pooling(weights, values, mask[1]), weights[:, :1] @ values[:1])


def test_Z5_a_value_that_one_query_sees_and_another_does_not():
    weights = minidl.full((2, 2), 0.5, requires_grad=True)
    values = minidl.tensor([[1.0], [math.nan]], requires_grad=True)
    mask = minidl.tensor([[True, True], [True, False]])
    y = F.attention_pooling(weights, values, mask)
    assert y.isnan().tolist() == [[True], [False]] and y[1].item() == 0.5
    y[1].backward()
    assert weights.grad[1].tolist() == [1, 0] and values.grad.tolist() == [[0.5], [0]]


def test_gradients_of_the_layers():
    lens = minidl.tensor([2, 3])
    inputs = tuple(draw(2, n, 2, seed=n, requires_grad=True) for n in (2, 4, 4))
    assert gradcheck(lambda q, k, v: nn.DotProductAttention()(q, k, v, lens), inputs)
    minidl.manual_seed(0)
    attention = nn.AdditiveAttention(3)
    attention(*[x.detach().float() for x in inputs])
    attention.double()
    assert gradcheck(lambda q, k, v: attention(q, k, v, lens), inputs)


# --- the reader's own code, in the book's manner


def test_the_books_kernels_by_hand_give_the_same():
    def gaussian(x):
        return torch.exp(-(x**2) / 2)

    def boxcar(x):
        return torch.abs(x) < 1.0

    def constant(x):
        return 1.0 + 0 * x

    def triangular(x):
        return torch.max(1 - torch.abs(x), torch.zeros_like(x))

    torch.manual_seed(0)
    x_train, _ = torch.sort(torch.rand(40) * 5)
    y_train = 2 * torch.sin(x_train) + x_train + torch.randn(40)
    x_val = torch.arange(0, 5, 0.1)
    for kernel in (gaussian, boxcar, constant, triangular):
        dists = x_train.reshape((-1, 1)) - x_val.reshape((1, -1))
        k = kernel(dists).type(torch.float32)
        attention_w = k / k.sum(0)
        y_hat = y_train @ attention_w
        y, weights = F.nadaraya_watson(x_val, x_train, y_train, kernel.__name__, return_weights=True)
        np.testing.assert_allclose(y.numpy(), y_hat.numpy(), rtol=2e-5)
        np.testing.assert_allclose(weights.T.numpy(), attention_w.numpy(), rtol=1e-4, atol=1e-6)


class BookDotProduct(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries, keys, values, valid_lens=None):
        scores = torch.bmm(queries, keys.transpose(1, 2)) / math.sqrt(queries.shape[-1])
        self.attention_weights = book_masked_softmax(scores, valid_lens)
        return torch.bmm(self.dropout(self.attention_weights), values)


class BookAdditive(nn.Module):
    def __init__(self, num_hiddens, dropout):
        super().__init__()
        self.hparams = {"num_hiddens": num_hiddens, "dropout": dropout}
        self.W_k = nn.LazyLinear(num_hiddens, bias=False)
        self.W_q = nn.LazyLinear(num_hiddens, bias=False)
        self.w_v = nn.LazyLinear(1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries, keys, values, valid_lens=None):
        features = torch.tanh(self.W_q(queries).unsqueeze(2) + self.W_k(keys).unsqueeze(1))
        self.attention_weights = book_masked_softmax(self.w_v(features).squeeze(-1), valid_lens)
        return torch.bmm(self.dropout(self.attention_weights), values)


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize(
    ("own", "layer"),
    [
        (lambda: BookDotProduct(0.5), lambda: nn.DotProductAttention(0.5)),
        (lambda: BookAdditive(8, 0.5), lambda: nn.AdditiveAttention(8, 0.5)),
    ],
)
def test_the_books_layers_by_hand_give_the_same_outputs_and_gradients(own, layer, each):
    own, layer = own().eval(), layer().eval()
    queries, keys, values = (draw(2, n, size, seed=n).float() for n, size in ((3, 5), (10, 5), (10, 4)))
    lens = torch.tensor([[1, 2, 10], [4, 5, 6]] if each else [2, 6])
    own(queries, keys, values), layer(queries, keys, values)
    layer.load_state_dict(own.state_dict())
    results = []
    for module in (own, layer):
        inputs = [x.detach().requires_grad_() for x in (queries, keys, values)]
        y = module(*inputs, lens)
        (y * y).sum().backward()
        grads = [x.grad for x in (*inputs, *module.parameters())]
        results.append([y.detach(), module.attention_weights, *grads])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-6)
