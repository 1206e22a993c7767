"""What holds for every distribution: the rows of the mission that are theorems, on distributions drawn from Dirichlet's.

Small concentrations make distributions that are nearly certain; some elements are then set to exactly 0.
"""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

import minidl
from minidl import information

TINY = 1e-12  # of rounding, in float64


def dirichlet(seed, shape, concentration, zeros):
    """A float64 distribution of this shape, with about so large a share of zeros."""
    rng = np.random.default_rng(seed)
    p = rng.gamma(concentration, size=shape) + 1e-300
    p[rng.uniform(size=shape) < zeros] = 0
    p.flat[rng.integers(p.size)] += 0.1
    return minidl.tensor(p / p.sum())


SEEDS, CONCENTRATIONS = st.integers(0, 2**32 - 1), st.sampled_from([0.05, 1.0, 10.0])
ZEROS = st.sampled_from([0.0, 0.0, 0.3, 0.8])


def shaped(*shape):
    return st.builds(dirichlet, SEEDS, st.just(shape), CONCENTRATIONS, ZEROS)


def tables():
    return st.builds(dirichlet, SEEDS, st.tuples(st.integers(1, 5), st.integers(1, 5)), CONCENTRATIONS, ZEROS)


@st.composite
def pairs(draw, zeros=ZEROS):
    """(p, q) of one length, each with zeros of its own."""
    n = draw(st.integers(1, 8))
    return tuple(dirichlet(draw(SEEDS), (n,), draw(CONCENTRATIONS), draw(zeros)) for _ in range(2))


distributions = st.builds(dirichlet, SEEDS, st.tuples(st.integers(1, 12)), CONCENTRATIONS, ZEROS)


def close(x, y):
    return x.item() == pytest.approx(y if isinstance(y, (int, float)) else y.item(), rel=1e-10, abs=TINY)


def entropy(p):
    return information.entropy(p)


# --- one variable


@given(distributions, SEEDS)
def test_I4_names_and_impossible_outcomes_do_not_count(p, seed):
    order = np.random.default_rng(seed).permutation(len(p))
    assert close(entropy(p[order]), entropy(p))
    assert close(entropy(minidl.cat([p, minidl.zeros(3, dtype=p.dtype)])), entropy(p))


@given(distributions)
def test_I9_I11_entropy_lies_between_certainty_and_the_uniform_distribution(p):
    assert -TINY <= entropy(p).item() <= math.log2(len(p)) + TINY
    support = p[p > 0]
    assert entropy(p).item() <= math.log2(len(support)) + TINY
    if len(support) > 1 and support.max() - support.min() > 1e-3:
        assert entropy(p) < math.log2(len(support))


@given(distributions, st.floats(1.1, 20))
def test_bases_are_units(p, base):
    assert close(information.entropy(p, base=base) * math.log2(base), entropy(p))
    assert close(information.entropy(p, base=math.e) / math.log(10), information.entropy(p, base=10))


def huffman_lengths(p):
    """How many binary digits each symbol gets in a shortest prefix code."""
    if len(p) == 1:
        return [0]
    heap = [(w, i, [i]) for i, w in enumerate(p)]
    heapq.heapify(heap)
    lengths = [0] * len(p)
    for n in range(len(p), 2 * len(p) - 1):
        (w, _, left), (v, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        for i in left + right:
            lengths[i] += 1
        heapq.heappush(heap, (w + v, n, left + right))
    return lengths


@given(distributions)
def test_I10_no_code_is_shorter_than_the_entropy_and_huffmans_is_not_much_longer(p):
    p = p[p > 0]
    lengths = minidl.tensor(huffman_lengths(p.tolist()), dtype=p.dtype)
    mean = (p * lengths).sum().item()
    assert entropy(p).item() - TINY <= mean < entropy(p).item() + 1 + TINY
    if len(p) > 1:  # its lengths are a distribution, q = 2^−length, that Gibbs's inequality compares with p
        assert mean == pytest.approx(information.cross_entropy(p, 2**-lengths).item(), abs=TINY)


# --- two variables


@given(tables())
def test_I4_I15_bounds_of_the_joint_entropy(p):
    x, y, joint = entropy(p.sum(1)).item(), entropy(p.sum(0)).item(), information.joint_entropy(p).item()
    assert max(x, y) - TINY <= joint <= x + y + TINY


@given(shaped(4), shaped(3))
def test_I4_I14_I21_independent_variables(x, y):
    p = minidl.outer(x, y)
    assert close(information.joint_entropy(p), entropy(x) + entropy(y))
    assert close(information.mutual_information(p), 0)
    assert close(information.conditional_entropy(p), entropy(y))
    pmi = information.pointwise_mutual_information(p)
    assert (pmi.abs() < 1e-9).all()


@given(tables())
def test_I18_chain_rule(p):
    joint = information.joint_entropy(p)
    assert close(information.conditional_entropy(p), joint - entropy(p.sum(1)))
    assert close(information.conditional_entropy(p.T), joint - entropy(p.sum(0)))
    assert -TINY <= information.conditional_entropy(p).item() <= entropy(p.sum(0)).item() + TINY


@given(tables())
def test_I19_I20_four_equal_forms_of_mutual_information(p):
    x, y, joint = entropy(p.sum(1)), entropy(p.sum(0)), information.joint_entropy(p)
    y_given_x, x_given_y = information.conditional_entropy(p), information.conditional_entropy(p.T)
    mutual = information.mutual_information(p)
    for form in (x - x_given_y, y - y_given_x, x + y - joint, joint - y_given_x - x_given_y):
        assert close(mutual, form)


@given(tables())
def test_I21_mutual_information_is_symmetric_and_bounded(p):
    mutual = information.mutual_information(p)
    assert close(information.mutual_information(p.T), mutual)
    assert -TINY <= mutual.item() <= min(entropy(p.sum(1)).item(), entropy(p.sum(0)).item()) + TINY


@given(shaped(5), SEEDS)
def test_I21_an_invertible_function_shares_all_information(x, seed):
    p = minidl.diag(x)[:, np.random.default_rng(seed).permutation(5)]
    assert close(information.mutual_information(p), entropy(x))
    assert close(information.conditional_entropy(p), 0)


@given(tables())
def test_I23_mutual_information_is_the_mean_of_the_pointwise_one(p):
    pmi = information.pointwise_mutual_information(p)
    assert not pmi.isnan().any()
    met = p > 0
    assert close((p[met] * pmi[met]).sum(), information.mutual_information(p))
    possible = (p.sum(1, keepdim=True) > 0).array & (p.sum(0, keepdim=True) > 0).array
    assert (minidl.isinf(pmi).array == (possible & ~met.array)).all()


@given(tables())
def test_I29_mutual_information_is_a_divergence_in_three_ways(p):
    x, y = p.sum(1), p.sum(0)
    mutual = information.mutual_information(p)
    assert close(mutual, information.kl_divergence(p, minidl.outer(x, y)))
    for table, rows, columns in ((p, x, y), (p.T, y, x)):
        given_row = table[rows > 0] / rows[rows > 0][:, None]
        each = information.kl_divergence(given_row, columns.expand(given_row.shape), dim=1)
        assert close(mutual, (rows[rows > 0] * each).sum())


@given(tables(), SEEDS, st.integers(1, 4))
def test_processing_data_adds_no_information(p, seed, k):
    """X → Y → Z: a noisy channel from Y to Z can only lose what Y tells of X."""
    channel = minidl.stack([dirichlet(seed + i, (k,), 1.0, 0.3) for i in range(p.shape[1])])
    assert information.mutual_information(p @ channel).item() <= information.mutual_information(p).item() + TINY


# --- two distributions


@given(pairs())
def test_I10_I27_gibbs_inequality(pair):
    p, q = pair
    kl = information.kl_divergence(p, q).item()
    assert kl >= -TINY
    assert entropy(p).item() <= information.cross_entropy(p, q).item() + TINY
    assert math.isinf(kl) == bool(((p > 0).array & (q == 0).array).any())
    if (p - q).abs().max() > 1e-3:
        assert kl > 1e-7  # Pinsker: at least ½ (Σ |p − q|)² nats
    assert information.kl_divergence(p, p) == 0


@given(pairs())
def test_I27_divergence_by_jensens_inequality(pair):
    p, q = pair
    seen = p > 0
    assert -math.log2(q[seen].sum().item() or 5e-324) <= information.kl_divergence(p, q).item() + TINY


@given(pairs())
def test_I32_cross_entropy_is_entropy_and_divergence(pair):
    p, q = pair
    assert close(information.cross_entropy(p, q), entropy(p) + information.kl_divergence(p, q))


@given(pairs(), st.floats(0, 1))
def test_jensen_entropy_is_concave_and_divergence_convex(pair, a):
    p, q = pair
    assert entropy(a * p + (1 - a) * q).item() >= a * entropy(p).item() + (1 - a) * entropy(q).item() - TINY
    middle = (p + q) / 2
    of_mixtures = information.kl_divergence(a * p + (1 - a) * middle, a * middle + (1 - a) * q).item()
    apart = [(a, (p, middle)), (1 - a, (middle, q))]
    assert of_mixtures <= sum(w * information.kl_divergence(*two).item() for w, two in apart if w) + TINY


@given(pairs())
def test_jensen_shannon_is_symmetric_and_at_most_one_bit(pair):
    p, q = pair
    js = information.jensen_shannon(p, q)
    assert close(information.jensen_shannon(q, p), js)
    assert -TINY <= js.item() <= 1 + TINY
    assert close(js, entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)
    if not (p * q).any():
        assert close(js, 1)


@given(pairs(zeros=st.just(0.0)), SEEDS)
def test_I33_three_objectives_have_one_gradient(pair, seed):
    """Of the parameters of Q: of the expected log-probability to be raised, of the cross-entropy, of the divergence."""
    p, _ = pair
    gradients = []
    for objective in (
        lambda q: -(p * q.log2()).sum(),
        lambda q: information.cross_entropy(p, q),
        lambda q: information.kl_divergence(p, q),
    ):
        logits = minidl.tensor(np.random.default_rng(seed).normal(size=len(p)), requires_grad=True)
        objective(logits.softmax(0)).backward()
        gradients.append(logits.grad)
        assert minidl.allclose(logits.grad * math.log(2), logits.softmax(0) - p, atol=1e-12)
    assert minidl.allclose(gradients[0], gradients[1], atol=1e-12)
    assert minidl.allclose(gradients[1], gradients[2], atol=1e-12)


# --- logarithms for probabilities


@given(pairs())
def test_log_probabilities_give_the_same(pair):
    p, q = pair
    log_p, log_q = p.log(), q.log()
    assert close(information.entropy(log_p, log=True), entropy(p))
    for function in (information.kl_divergence, information.cross_entropy, information.jensen_shannon):
        assert close(function(log_p, log_q, log=True), function(p, q))
    assert information.self_information(log_p, log=True).tolist() == pytest.approx(information.self_information(p).tolist())


@given(tables())
def test_log_probabilities_of_tables_give_the_same(p):
    for function in (information.joint_entropy, information.conditional_entropy, information.mutual_information):
        assert close(function(p.log(), log=True), function(p))
    pmi, from_logs = (information.pointwise_mutual_information(t, log=t is not p) for t in (p, p.log()))
    assert from_logs.flatten().tolist() == pytest.approx(pmi.flatten().tolist(), abs=1e-9)


# --- rows are as one by one


@given(SEEDS, st.sampled_from([0, 1, -1]))
def test_distributions_along_an_axis(seed, dim):
    p, q = (minidl.stack([dirichlet(seed + i + j, (4,), 1.0, 0.2 * (1 - j)) for i in range(0, 6, 2)]) for j in (0, 1))
    if dim == 0:
        p, q = p.T, q.T
    rows = list(zip(p.T if dim == 0 else p, q.T if dim == 0 else q, strict=True))
    assert information.entropy(p, dim=dim).tolist() == pytest.approx([entropy(a).item() for a, _ in rows])
    for function in (information.kl_divergence, information.cross_entropy, information.jensen_shannon):
        assert function(p, q, dim=dim).tolist() == pytest.approx([function(a, b).item() for a, b in rows])
