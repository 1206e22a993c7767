"""Rows of the two documents that a second reading found (Z1, Z3, Z4, Z6, Z7 of docs/coverage.md), and ResNeXt (V7).

Z2 is in test_graph (the edges of a graph), Z5 in test_attention_pooling.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

import minidl
from minidl import information, linalg, nn
from minidl.models import ResNeXtBlock
from minidl.nn import functional as F
from minidl.utils.data import digits

EXAMPLES = Path(__file__).parent.parent / "examples"
FLOAT64 = minidl.float64
A = [[0.1, 0.5], [0.1, 0.3]]  # the joint distribution of the chapter
PROBABILITIES = st.floats(1e-6, 1)


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inside(r, s, distance, n=400_000):
    """The area that two circles share, by points strewn over the smaller one."""
    rng = np.random.default_rng(0)
    small, large = sorted((r, s))
    points = rng.uniform(-small, small, (n, 2))
    shared = ((points**2).sum(1) <= small**2) & (((points - [distance, 0]) ** 2).sum(1) <= large**2)
    return shared.mean() * (2 * small) ** 2


@pytest.mark.parametrize(
    "p", [A, [[0.4, 0.02], [0.18, 0.12], [0.03, 0.25]], [[0.5, 0.0], [0.0, 0.5]], [[0.06, 0.24], [0.14, 0.56]]]
)
def test_Z1_the_areas_of_the_information_diagram_are_the_bits(p):
    p = minidl.tensor(p, dtype=FLOAT64)
    r, s, distance = example("information_diagram").circles(p)
    x, y = information.entropy(p.sum(1)).item(), information.entropy(p.sum(0)).item()
    assert (math.pi * r**2, math.pi * s**2) == (pytest.approx(x), pytest.approx(y))
    shared = inside(r, s, distance)
    assert shared == pytest.approx(information.mutual_information(p).item(), abs=0.005)
    assert x + y - shared == pytest.approx(information.joint_entropy(p).item(), abs=0.005)


@given(st.lists(PROBABILITIES, min_size=2, max_size=20))
def test_Z3_products_of_probabilities_become_sums_of_information(p):
    p = minidl.tensor(p, dtype=FLOAT64)
    assert information.self_information(p.prod()).item() == pytest.approx(information.self_information(p).sum().item())


@given(PROBABILITIES, PROBABILITIES, st.sampled_from([2, math.e, 10]))
def test_Z3_the_likelier_the_less_to_learn(p, q, base):
    low, high = sorted((p, q))
    assert information.self_information(low, base=base) >= information.self_information(high, base=base) >= 0


def test_Z3_certain_is_nothing_and_impossible_without_end():
    assert information.self_information(1.0) == 0
    assert information.self_information(0.0) == math.inf
    tiny = information.self_information(minidl.tensor([1e-300, 1e-30, 1e-3], dtype=FLOAT64)).tolist()
    assert tiny == sorted(tiny, reverse=True) and tiny[0] > 990


def test_Z4_an_expectation_over_the_marginals_is_no_mutual_information():
    """E_x E_y {p(x, y) log …} by the letter weighs each logarithm by p(x) p(y) p(x, y). The sum of p(x, y) log … is meant."""
    p = minidl.tensor(A, dtype=FLOAT64)
    independent = minidl.outer(p.sum(1), p.sum(0))
    logs = information.pointwise_mutual_information(p)
    assert (independent * p * logs).sum().item() == pytest.approx(0.00461, abs=5e-6)
    assert (
        (p * logs).sum().item() == pytest.approx(information.mutual_information(p).item()) == pytest.approx(0.0074034, abs=5e-8)
    )


def test_Z6_more_data_less_error():
    """Least squares on ever more digits: the error on others falls, and the one in training rises."""
    x, y = digits()[:]
    x_test, y_test = digits(train=False)[:]
    train, test = [], []
    for n in (100, 300, 1000):
        w = one_hot_regression(x[:n], y[:n])
        for errors, a, b in ((train, x[:n], y[:n]), (test, x_test, y_test)):
            errors.append(((a.double() @ w[:-1] + w[-1] - F.one_hot(b, 10)) ** 2).mean().item())
    assert test == sorted(test, reverse=True) and test[0] > 2 * test[-1]
    assert train == sorted(train) and train[-1] < test[-1]


def one_hot_regression(x, y):
    """Weights (65, 10) of least squares on one-hot labels; the last row is the bias. A little of 1 keeps it solvable."""
    x = minidl.cat([x.double(), minidl.ones(len(x), 1, dtype=FLOAT64)], 1)
    return linalg.solve(x.T @ x + 0.01 * minidl.eye(65, dtype=FLOAT64), x.T @ F.one_hot(y, 10).double())


def test_Z7_regression_on_one_hot_labels_works_surprisingly_well():
    x, y = digits(train=False)[:]
    w = one_hot_regression(*digits()[:])
    scores = x.double() @ w[:-1] + w[-1]
    assert (scores.argmax(1) == y).float().mean().item() > 0.9
    assert scores.sum(1).allclose(minidl.ones(len(x), dtype=FLOAT64), atol=0.05)  # sums to about 1 by itself …
    assert (scores < 0).any() and (scores > 1).any()  # … and is no distribution all the same


def test_Z7_channels_grow_as_the_resolution_falls():
    stem = [nn.LazyConv2d(8, 3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU()]
    net = nn.Sequential(*stem, *(ResNeXtBlock(c, 4, 1, use_1x1conv=True, strides=2) for c in (16, 32, 64)))
    x, shapes = minidl.randn(2, 1, 16, 16), []
    for layer in net:
        x = layer(x)
        shapes.append(x.shape[1:])
    assert shapes[2:] == [(8, 16, 16), (16, 8, 8), (32, 4, 4), (64, 2, 2)]


@pytest.mark.parametrize("groups", [1, 2, 4, 16])
def test_V7_a_grouped_convolution_is_smaller_ones_side_by_side(groups):
    conv = nn.Conv2d(16, 32, 3, padding=1, groups=groups)
    x = minidl.randn(2, 16, 5, 6)
    c, d = 16 // groups, 32 // groups
    parts = []
    for i in range(groups):
        part = nn.Conv2d(c, d, 3, padding=1)
        part.weight.data, part.bias.data = conv.weight[d * i : d * i + d].detach(), conv.bias[d * i : d * i + d].detach()
        parts.append(part(x[:, c * i : c * i + c]))
    assert conv(x).allclose(minidl.cat(parts, 1), atol=1e-5)
    assert conv.weight.numel() == 16 * 32 * 9 // groups


def test_V7_a_resnext_block_adds_to_its_input():
    block = ResNeXtBlock(16, 4, 0.5).eval()
    x = minidl.rand(2, 16, 6, 6)
    block(x)
    assert (block.conv2.groups, block.conv2.weight.shape) == (2, (8, 4, 3, 3))
    block.conv3.weight.data.zero_(), block.conv3.bias.data.zero_()
    assert block(x).allclose(x)
