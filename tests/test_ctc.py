"""Connectionist temporal classification: forms of targets, reductions, what is impossible, mistakes. Values: the table."""

import itertools
import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import gradcheck
from minidl.kernels import ctc, threads
from minidl.nn import functional as F


def example(T=6, N=3, C=5, dtype=minidl.float64, seed=0):
    minidl.manual_seed(seed)
    return minidl.randn(T, N, C, dtype=dtype).requires_grad_()


TARGETS, INPUTS, SIZES = minidl.tensor([[1, 2, 2], [4, 1, 0], [3, 0, 0]]), [6, 5, 2], [3, 2, 1]


def test_forms_of_targets_and_of_lengths_and_reductions():
    x = example().log_softmax(-1)
    each = F.ctc_loss(x, TARGETS, INPUTS, SIZES, reduction="none")
    in_a_row = minidl.tensor([1, 2, 2, 4, 1, 3])
    assert minidl.equal(F.ctc_loss(x, in_a_row, minidl.tensor(INPUTS), minidl.tensor(SIZES), reduction="none"), each)
    assert minidl.allclose(F.ctc_loss(x, TARGETS, INPUTS, SIZES, reduction="sum"), each.sum())
    assert minidl.allclose(F.ctc_loss(x, TARGETS, INPUTS, SIZES), (each / minidl.tensor(SIZES)).mean())
    assert minidl.allclose(nn.CTCLoss(reduction="none")(x, TARGETS, INPUTS, SIZES), each)
    alone = F.ctc_loss(x[:5, 1], minidl.tensor([4, 1]), [5], [2], reduction="none")
    assert alone.shape == () and minidl.allclose(alone, each[1])


def test_by_hand():
    """Two steps, target 1: the alignments are 1 1, 1 b and b 1."""
    p = minidl.tensor([[[0.5, 0.3, 0.2]], [[0.1, 0.6, 0.3]]], dtype=minidl.float64)
    loss = F.ctc_loss(p.log(), minidl.tensor([[1]]), [2], [1])
    assert loss.item() == pytest.approx(-math.log(0.3 * 0.6 + 0.3 * 0.1 + 0.5 * 0.6))
    twice = F.ctc_loss(p.log(), minidl.tensor([[1, 1]]), [2], [2])
    assert twice.item() == math.inf  # there is no step for the blank between
    nothing = F.ctc_loss(p.log(), minidl.zeros(1, 0, dtype=minidl.int64), [2], [0])
    assert nothing.item() == pytest.approx(-math.log(0.5 * 0.1))


@pytest.mark.parametrize(("T", "blank"), [(1, 0), (3, 1), (5, 2)])
def test_all_targets_together_have_probability_one(T, blank):
    """Each of the 3^T alignments belongs to exactly one target, of at most T labels."""
    x = example(T, 1, 3, seed=T).log_softmax(-1)
    labels, total = [c for c in range(3) if c != blank], 0.0
    for S in range(T + 1):
        for target in itertools.product(labels, repeat=S):
            row = minidl.tensor(target, dtype=minidl.int64)
            total += math.exp(-F.ctc_loss(x, row, [T], [S], np.int64(blank), "sum").item())
    assert total == pytest.approx(1, abs=1e-12)


def test_gradients():
    x = example()
    assert gradcheck(lambda x: F.ctc_loss(x, TARGETS, INPUTS, SIZES), x)
    assert gradcheck(lambda x: F.ctc_loss(x.log_softmax(-1), TARGETS, INPUTS, SIZES, blank=0, reduction="sum"), x)
    y = F.ctc_loss(x, TARGETS, INPUTS, SIZES, reduction="sum")
    y.backward()
    assert minidl.allclose(-x.grad.sum(-1)[:2, 2], minidl.ones(2, dtype=minidl.float64))  # one label at each step …
    assert not x.grad[2:, 2].any()  # … that counts


def test_what_is_impossible():
    x = example().log_softmax(-1).detach().requires_grad_()
    loss = F.ctc_loss(x, TARGETS, [3, 5, 2], SIZES, reduction="none", zero_infinity=True)
    assert loss[0] == 0 and (loss[1:] > 0).all()  # 1 2 2 wants four steps
    loss.sum().backward()
    assert not x.grad[:, 0].any() and x.grad[:, 1].any()
    assert F.ctc_loss(x, TARGETS, [3, 5, 2], SIZES).item() == math.inf


def test_probabilities_near_nothing():
    """Sums are logarithms: 300 steps of probability e^-50 each are no problem."""
    x = minidl.full((300, 1, 3), -50.0, dtype=minidl.float64)
    loss = F.ctc_loss(x, minidl.tensor([[1, 2]]), [300], [2], reduction="none")
    # one, then the other: four places where labels begin and end among 300 steps, C(300 + 2, 4)
    assert loss.item() == pytest.approx(300 * 50 - math.log(math.comb(302, 4)), rel=1e-12)


def test_promise_25_threads_do_not_matter(monkeypatch):
    monkeypatch.setattr(ctc, "PARALLEL_WORK", 0)
    results = []
    for number in (1, 2, 3):
        monkeypatch.setattr(threads, "_number", number)
        x = example(dtype=minidl.float32)
        F.ctc_loss(x.log_softmax(-1), TARGETS, INPUTS, SIZES).backward()
        results.append(x.grad)
    assert all(minidl.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"targets": TARGETS.float()}, TypeError, "targets must be integers"),
        ({"targets": TARGETS + 2}, IndexError, "from 0 to 4 and not the blank, 0; got 6"),
        ({"targets": TARGETS - 1}, IndexError, "not the blank"),
        ({"targets": TARGETS[:2]}, ValueError, r"\(N, S\) with S at least 3, or 6 in a row, got shape \(2, 3\)"),
        ({"input_lengths": [7, 5, 2]}, ValueError, "input_lengths must be from 0 to 6"),
        ({"input_lengths": [6, 5]}, ValueError, "3 integers"),
        ({"target_lengths": [3, 2, 4]}, ValueError, "S at least 4"),
        ({"target_lengths": [3.0, 2.0, 1.0]}, ValueError, "3 integers"),
        ({"target_lengths": [3, -1, 1]}, ValueError, "0 or more"),
        ({"blank": 5}, ValueError, "from 0 to 4, got 5"),
        ({"blank": True}, ValueError, "an integer from 0 to 4, got True"),
        ({"reduction": "max"}, ValueError, "'none', 'mean' or 'sum'"),
        ({"log_probs": minidl.zeros(6, 3, 5).long()}, ValueError, "floating-point"),
        ({"log_probs": np.zeros((6, 3, 5))}, TypeError, "ndarray"),
    ],
)
def test_promise_27_mistakes_are_told(change, error, message):
    arguments = {"log_probs": minidl.zeros(6, 3, 5), "targets": TARGETS, "input_lengths": INPUTS, "target_lengths": SIZES}
    with pytest.raises(error, match=message):
        F.ctc_loss(**{**arguments, **change})


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_against_pytorch(reduction):
    torch = pytest.importorskip("torch")
    x, results = np.random.default_rng(0).standard_normal((12, 3, 5)), []
    for dl in (minidl, torch):
        leaf = dl.tensor(x, requires_grad=True)
        targets, inputs, sizes = dl.tensor(TARGETS.numpy()), dl.tensor([12, 8, 3]), dl.tensor(SIZES)
        loss = dl.nn.functional.ctc_loss(leaf.log_softmax(-1), targets, inputs, sizes, reduction=reduction)
        (loss * dl.arange(1.0, 4.0, dtype=dl.float64)).sum().backward() if reduction == "none" else loss.backward()
        results.append((loss.detach().numpy(), leaf.grad.numpy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)
