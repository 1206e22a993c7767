"""Scaled dot-product attention: the kernels against the plain formulas in float64, and `F.scaled_dot_product_attention`."""

import itertools
import math

import numpy as np
import pytest
from numba import config

import minidl
from minidl import kernels
from minidl.autograd import gradcheck
from minidl.kernels import fused_attention, threads
from minidl.kernels.attention_columns import kept, scrambled
from minidl.nn import functional as F

PLAIN = bool(config.DISABLE_JIT)
# In plain Python the kernels' scalars are NumPy's, which warn; compiled code cannot.
pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")] if PLAIN else []

# batch, L, S, E, F: ragged in every direction, around the width of a panel, the rows of a tile, the blocks of 96 and 256 keys
SHAPES = [((2, 3), 13, 13, 8, 8), ((), 7, 30, 33, 17), ((1,), 1, 5, 3, 2), ((3,), 50, 40, 8, 8), ((2,), 5, 1, 1, 1)]
SHAPES += [] if PLAIN else [((2,), 131, 131, 64, 64), ((), 300, 600, 16, 20), ((1, 2), 97, 257, 5, 49)]
# causal, mask, dropout, scale
WAYS = [(True, None, 0, 0.3), (False, None, 0, -0.2), (False, "bool", 0, 0.2), (False, "float", 0.2, 0.2)]
WAYS += [(False, "keys", 0.1, 0.0), (True, None, 0.3, 0.2), (False, "hidden", 0, 0.5)]


def composite(q, k, v, mask=None, causal=False, scale=1.0, drop=0.0, seed=0):
    """The twin: softmax(q kᵀ·scale + mask) v in primitive operations of tensors, and zeros for a query that sees nothing."""
    scores = q @ k.transpose(-1, -2) * scale
    allowed = np.ones(scores.shape, bool)
    if causal:
        allowed &= np.tri(*allowed.shape[-2:], dtype=bool)
    if mask is not None and mask.dtype == minidl.bool:
        allowed &= mask.numpy()
    elif mask is not None:
        scores = scores + mask
    weights = scores.masked_fill(minidl.tensor(~allowed), -math.inf).softmax(-1)
    if drop:
        L, S = weights.shape[-2:]
        places = np.arange(L * S).reshape(L, S)
        items = [kept(places, int(scrambled(seed, item)), int(drop * 2**32)) for item in range(weights.numel() // (L * S))]
        weights = weights * minidl.tensor(np.reshape(items, weights.shape) / (1 - drop))
    return weights @ v


def arrays(shape, kind, T, seed=0):
    rng = np.random.default_rng(seed)
    batch, L, S, E, values = shape
    q, k, v, dy = (rng.standard_normal((*batch, *s)).astype(T) for s in ((L, E), (S, E), (S, values), (L, values)))
    masks = {
        None: lambda: None,
        "bool": lambda: rng.random((*batch, L, S)) < 0.6,
        "keys": lambda: rng.random((*batch[:-1], *[1] * len(batch[-1:]), 1, S)) < 0.6,
        "float": lambda: rng.standard_normal((L, S)).astype(T),
        "hidden": lambda: np.where(rng.random((L, S)) < 0.5, -np.inf, 0.3).astype(T),
    }
    return q, k, v, dy, masks[kind]()


def both_ways(q, k, v, dy, mask, causal, drop, scale):
    """(o, dq, dk, dv, dmask) by the kernels."""
    options = mask, causal, scale, drop, 7
    needs = True, True, True, mask is not None and mask.dtype != bool
    o, lse = kernels.attention(q, k, v, *options)
    return o, *kernels.attention_backward(dy, q, k, v, o, lse, *options, needs=needs)


@pytest.mark.parametrize("T", [np.float32, np.float64])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_promise_06_kernels_and_twin_agree(way, T):
    causal, kind, drop, scale = way
    for shape in SHAPES:
        q, k, v, dy, mask = arrays(shape, kind, T)
        found = both_ways(q, k, v, dy, mask, causal, drop, scale)
        xs = [minidl.tensor(x.astype(np.float64)).requires_grad_() for x in (q, k, v)]
        bias = mask if mask is None or mask.dtype == bool else mask.astype(np.float64)
        bias = None if bias is None else minidl.tensor(bias).requires_grad_(bias.dtype != bool)
        y = composite(*xs, bias, causal, scale, drop, 7)
        y.backward(minidl.tensor(dy.astype(np.float64)))
        expected = [y.detach(), *(x.grad for x in xs)]
        if kind in ("float", "hidden"):
            batch = tuple(range(dy.ndim - 2))
            found = (*found[:4], found[4].sum(batch[: found[4].ndim - 2]) if found[4].ndim > 2 else found[4])
            expected.append(bias.grad)
        for a, b in zip(found, expected, strict=False):
            b = b.numpy()
            assert a.dtype == T and a.shape == b.shape
            # v and dy are of size 1, so gradients that cancel are right to this, not to their own size
            np.testing.assert_allclose(a, b, 0, max(1, abs(b).max(initial=0)) * {np.float32: 4e-6, np.float64: 1e-13}[T])


@pytest.mark.skipif(PLAIN, reason="plain Python runs on one thread")
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_promise_25_one_thread_and_two_give_the_same_bits(way, monkeypatch):
    causal, kind, drop, scale = way
    monkeypatch.setattr(fused_attention, "PARALLEL_WORK", 0)
    for shape in SHAPES:
        q, k, v, dy, mask = arrays(shape, kind, np.float32)
        results = []
        for number in (1, 2, 3):
            monkeypatch.setattr(threads, "_number", number)
            results.append(both_ways(q, k, v, dy, mask, causal, drop, scale))
        for a, *others in zip(*results, strict=True):
            assert all((a is None and b is None) or np.array_equal(a, b) for b in others), shape


def test_promise_41_layouts():
    """Heads as they come from one projection, negative strides, repeated and read-only memory give what copies give."""
    rng = np.random.default_rng(0)
    N, L, H, E = 2, 9, 3, 4
    joined = rng.standard_normal((N, L, 3 * H * E))
    q, k, v = (x.reshape(N, L, H, E).swapaxes(1, 2) for x in np.split(joined, 3, -1))
    dy = rng.standard_normal((N, L, H, E)).swapaxes(1, 2)
    layouts = [(q, k, v, dy), tuple(x[..., ::-1, ::-1] for x in (q, k, v, dy)), (q[:1], k, v[:, :1], dy[..., :1, :])]
    layouts[2] = *(np.broadcast_to(x, q.shape) for x in layouts[2][:3]), np.broadcast_to(layouts[2][3], dy.shape)
    for case in layouts:
        copies = tuple(x.copy() for x in case)
        for x in case:
            x.flags.writeable = False
        for a, b in zip(both_ways(*case, None, True, 0, 0.5)[:4], both_ways(*copies, None, True, 0, 0.5)[:4], strict=True):
            np.testing.assert_allclose(a, b, 1e-12, 1e-12) if PLAIN else np.testing.assert_array_equal(a, b)
    o, _ = kernels.attention(q, k, v)
    assert o.swapaxes(1, 2).flags.c_contiguous, "to join the heads again must not take a copy"


def test_promise_16_a_hidden_row_gives_zeros_and_hidden_nan_does_not_matter():
    rng = np.random.default_rng(0)
    q, k, v = (minidl.tensor(rng.standard_normal((2, 4, 3))).requires_grad_() for _ in range(3))
    allowed = minidl.tensor([[True, True, False, True], [False] * 4, [True] + [False] * 3, [True, False, False, True]])
    masks = [allowed, minidl.zeros(4, 4, dtype=minidl.float64).masked_fill(~allowed, -math.inf)]
    clean = F.scaled_dot_product_attention(q, k, v, allowed)
    clean.sum().backward()
    expected = [x.grad.clone() for x in (q, k, v)]
    assert (clean[:, 1] == 0).all() and (q.grad[:, 1] == 0).all()
    assert (k.grad[:, 2] == 0).all() and (v.grad[:, 2] == 0).all()  # nobody sees key 2
    for mask, poison in itertools.product(masks, [math.nan, math.inf, -math.inf]):
        xs = [x.detach().clone() for x in (q, k, v)]
        xs[1][:, 2] = poison
        xs[2][:, 2] = poison
        xs[0][:, 1] = poison  # the query that sees nothing
        for x in xs:
            x.requires_grad_()
        y = F.scaled_dot_product_attention(*xs, mask)
        y.sum().backward()
        for a, b in zip([y, *(x.grad for x in xs)], [clean, *expected], strict=True):
            assert minidl.allclose(a, b, rtol=1e-12, atol=1e-12)


def test_what_is_not_finite_is_lost_only_where_it_is_seen():
    rng = np.random.default_rng(0)
    q, k, v = (minidl.tensor(rng.standard_normal((6, 4))) for _ in range(3))
    whole = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    v[3, 1], v[4, 2] = math.nan, math.inf
    xs = [x.requires_grad_() for x in (q, k, v)]
    y = F.scaled_dot_product_attention(*xs, is_causal=True)
    expected = whole.numpy().copy()
    expected[3:, 1], expected[4:, 2] = math.nan, math.inf
    np.testing.assert_allclose(y.detach().numpy(), expected, 1e-12)
    y.backward(minidl.ones(6, 4, dtype=minidl.float64))
    assert minidl.isfinite(q.grad[:3]).all() and minidl.isnan(q.grad[3:]).all()
    assert minidl.isnan(k.grad).all() and minidl.isfinite(v.grad).all()
    k = k.detach().clone()
    k[5] = math.nan
    y = F.scaled_dot_product_attention(q.detach(), k, whole.detach(), is_causal=True)
    assert minidl.isfinite(y[:5]).all() and minidl.isnan(y[5]).all()


def test_causal_with_unequal_lengths_counts_from_the_first_query():
    q, k, v = minidl.zeros(2, 1), minidl.zeros(4, 1), minidl.tensor([[1.0], [2.0], [4.0], [8.0]])
    assert F.scaled_dot_product_attention(q, k, v, is_causal=True).flatten().tolist() == [1.0, 1.5]
    assert F.scaled_dot_product_attention(minidl.zeros(3, 1), k[:2], v[:2], is_causal=True).flatten().tolist() == [1, 1.5, 1.5]


def test_row_a7_scale_is_one_over_the_root_of_the_width():
    """mission.md A6, A7: softmax(QKᵀ/√d)V, n×d, m×d, m×v → n×v."""
    q, k, v = minidl.tensor([[1.0, 1, 1, 1]]), minidl.tensor([[1.0, 1, 1, 1], [0, 0, 0, 0]]), minidl.tensor([[1.0], [0]])
    weight = 1 / (1 + math.exp(-4 / 2))
    assert F.scaled_dot_product_attention(q, k, v).item() == pytest.approx(weight, 1e-6)
    assert F.scaled_dot_product_attention(q, k, v, scale=0.25).item() == pytest.approx(1 / (1 + math.exp(-1)), 1e-6)
    assert F.scaled_dot_product_attention(q, k, v, scale=0).item() == 0.5


def test_large_scores():
    """Promise 15's kind: e^1000 is nowhere computed."""
    q, k, v = minidl.tensor([[1000.0]]), minidl.tensor([[1.0], [-1.0], [0.0]]), minidl.tensor([[3.0], [5.0], [7.0]])
    x = q.requires_grad_()
    y = F.scaled_dot_product_attention(x, k, v, scale=1.0)
    y.backward(minidl.ones(1, 1))
    assert y.item() == 3 and x.grad.item() == 0


@pytest.mark.parametrize("gqa", [False, True])
def test_gradients_numerically(gqa):
    rng = np.random.default_rng(0)
    q, k, v, mask = (
        minidl.tensor(rng.standard_normal(s)).requires_grad_()
        for s in ((2, 4, 3, 5), (2, 2 if gqa else 4, 6, 5), (2, 2 if gqa else 4, 6, 2), (4, 3, 6))
    )
    assert gradcheck(lambda *xs: F.scaled_dot_product_attention(*xs, enable_gqa=gqa), (q, k, v, mask))
    assert gradcheck(lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=True, enable_gqa=gqa), (q, k, v))


def test_grouped_heads_share_keys():
    rng = np.random.default_rng(0)
    q, k, v = (minidl.tensor(rng.standard_normal((2, h, n, 4))) for h, n in ((6, 5), (2, 7), (2, 7)))
    for mask in (None, minidl.tensor(rng.random((6, 5, 7)) < 0.7), minidl.tensor(rng.random((2, 1, 1, 7)) < 0.7)):
        repeated = k.repeat_interleave(3, dim=1), v.repeat_interleave(3, dim=1)
        expected = F.scaled_dot_product_attention(q, *repeated, mask)
        found = F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
        assert found.shape == expected.shape and minidl.allclose(found, expected, rtol=1e-12)


def test_dropout_keeps_the_mean_and_follows_the_seed():
    q, k, v = minidl.zeros(64, 64, 4), minidl.zeros(64, 32, 4), minidl.ones(64, 32, 1)
    minidl.manual_seed(3)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25)
    other = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25)
    minidl.manual_seed(3)
    assert minidl.equal(F.scaled_dot_product_attention(q, k, v, dropout_p=0.25), y) and not minidl.equal(y, other)
    rows = y.flatten() * 0.75 * 32  # the number of weights kept, of 32
    assert minidl.allclose(rows, rows.round(), atol=1e-4)
    # binomial: 4096 rows of 32 with mean 24 and variance 6; a seed that only permutes the hashes would show here
    assert rows.mean().item() == pytest.approx(24, abs=0.2) and rows.var().item() == pytest.approx(6, rel=0.15)
    assert not F.scaled_dot_product_attention(q, k, v, dropout_p=1.0).any()


def test_the_hash_of_dropout():
    places = np.arange(200_000)
    masks = {s: kept(places, int(scrambled(s, i)), 2**30) for s, i in ((0, 0), (1, 0), (2, 0), (12345, 7))}
    for a, b in itertools.combinations(masks.values(), 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.01
    for mask in masks.values():
        assert abs(mask.mean() - 0.75) < 0.005
        for shift in (1, 2, 64, 256, 1000):
            assert abs(np.corrcoef(mask[shift:], mask[:-shift])[0, 1]) < 0.01


def test_memory_grows_with_the_length_and_not_with_its_square():
    tracemalloc = pytest.importorskip("tracemalloc")
    x = [minidl.rand(1, 1, 4096, 8).requires_grad_() for _ in range(3)]
    F.scaled_dot_product_attention(*x, is_causal=True, dropout_p=0.1).sum().backward()
    tracemalloc.start()
    F.scaled_dot_product_attention(*x, is_causal=True, dropout_p=0.1).sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20, "4096 x 4096 weights would be 64 MiB"


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (((2, 3), (4, 5), (4, 2)), {}, ValueError, r"query \(…, L, E\).*got \(2, 3\), \(4, 5\) and \(4, 2\)"),
        (((2, 3), (4, 3), (5, 2)), {}, ValueError, "value"),
        (((3,), (4, 3), (4, 2)), {}, ValueError, "query"),
        (((2, 2, 3), (3, 4, 3), (3, 4, 2)), {}, ValueError, "batch axes"),
        (((2, 3), (4, 3), (4, 2)), {"attn_mask": minidl.ones(3, 4)}, ValueError, r"broadcasts to \(2, 4\), got \(3, 4\)"),
        (((2, 3), (4, 3), (4, 2)), {"attn_mask": minidl.ones(4)}, ValueError, "broadcasts to"),
        (((2, 3), (4, 3), (4, 2)), {"attn_mask": minidl.ones(2, 4, dtype=minidl.int64)}, TypeError, "bool .* or of floats"),
        (((2, 3), (4, 3), (4, 2)), {"attn_mask": minidl.ones(2, 4, dtype=minidl.float64)}, TypeError, "float32, got float64"),
        (((2, 3), (4, 3), (4, 2)), {"attn_mask": np.ones((2, 4))}, TypeError, "ndarray"),
        (((2, 3), (4, 3), (4, 2)), {"dropout_p": 1.5}, ValueError, "scaled_dot_product_attention"),
        (((2, 3), (4, 3), (4, 2)), {"is_causal": True, "attn_mask": minidl.ones(2, 4)}, ValueError, "is_causal=True"),
        (((3, 2, 3), (2, 4, 3), (2, 4, 2)), {"enable_gqa": True}, ValueError, "multiple"),
        (((2, 3), (4, 3), (4, 2)), {"enable_gqa": True}, ValueError, "heads"),
    ],
)
def test_promise_26_mistakes_are_told(arguments, options, error, message):
    with pytest.raises(error, match=message):
        F.scaled_dot_product_attention(*(minidl.rand(*shape) for shape in arguments), **options)


def test_promise_26_other_dtypes():
    x = minidl.rand(2, 3)
    with pytest.raises(TypeError, match="float32, float64 and float32"):
        F.scaled_dot_product_attention(x, x.double(), x)
    with pytest.raises(TypeError, match="int64"):
        F.scaled_dot_product_attention(x.long(), x.long(), x.long())
    with pytest.raises(TypeError, match="key"):
        F.scaled_dot_product_attention(x, x.numpy(), x)


@pytest.mark.parametrize("T", ["float32", "float64"])
@pytest.mark.parametrize("kind", [None, "bool", "float", "causal"])
def test_against_pytorch(T, kind):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal(s).astype(T) for s in ((2, 3, 40, 16), (2, 3, 70, 16), (2, 3, 70, 24))]
    mask = {"bool": rng.random((3, 40, 70)) < 0.7, "float": rng.standard_normal((40, 70)).astype(T)}.get(kind)
    results = []
    for dl in (minidl, torch):
        leaves = [dl.tensor(x) for x in xs]
        for x in leaves:
            x.requires_grad_()
        options = {"attn_mask": None if mask is None else dl.tensor(mask), "is_causal": kind == "causal"}
        y = dl.nn.functional.scaled_dot_product_attention(*leaves, **options)
        (y * dl.tensor(np.cos(np.arange(y.shape[-1])).astype(T))).sum().backward()
        results.append([y.detach().numpy(), *(x.grad.numpy() for x in leaves)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, 0, {"float32": 1e-5, "float64": 1e-12}[T])
