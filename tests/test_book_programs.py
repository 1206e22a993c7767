"""What cells of the book did that minidl did not, each with PyTorch's result."""

import numpy as np
import pytest

import minidl
from minidl import distributions
from minidl.autograd import gradcheck


def test_a_single_element_takes_a_value_with_axes_of_1():  # 9.1, multistep predictions
    x = minidl.zeros(4)
    x[2] = minidl.full((1, 1), 3.0)
    x[:2] = minidl.tensor([[[1.0, 2.0]]])
    x[minidl.tensor([3])] = np.full((1, 1), 5.0)
    assert x.tolist() == [1, 2, 3, 5]
    with pytest.raises(ValueError, match=r"setitem: a value of shape \(2, 1\) does not fit"):
        x[:2] = minidl.ones(2, 1)

    def written(v):
        y = minidl.zeros(3, dtype=minidl.float64)
        y[1] = v
        return y * 2

    assert gradcheck(written, minidl.full((1, 1), 3.0, dtype=minidl.float64, requires_grad=True))


def test_reversed_is_a_tensor():  # 10.4, the backward half of a bidirectional network
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    y = reversed(x)
    assert y.tolist() == [[5, 6], [3, 4], [1, 2]]
    (y * minidl.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    assert x.grad.tolist() == [[3, 3], [2, 2], [1, 1]]
    assert reversed(minidl.tensor(2.0)).item() == 2


def test_lists_of_tensors_of_one_element():  # 22.4, the gradient as a list
    one, two = minidl.tensor([1.0]), minidl.tensor([[2.0]])
    for given, expected in (([one, two], [1, 2]), ([one, 2.0], [1, 2]), ([[one], [two]], [[1], [2]]), ((3.0, two), [3, 2])):
        assert minidl.tensor(given).tolist() == expected
    assert minidl.tensor([minidl.ones(2), minidl.zeros(2)]).tolist() == [[1, 1], [0, 0]]


def test_einsum_of_operands_and_lists():  # 22.1
    rng = np.random.default_rng(0)
    B, A, v = (minidl.tensor(rng.normal(size=shape)) for shape in ((2, 3, 4), (2, 5), (3,)))
    assert minidl.einsum(B, [0, 1, 2], A, [0, 3], v, [1], [2, 3]).equal(minidl.einsum("ijk,il,j->kl", B, A, v))
    assert minidl.einsum(B, [0, 1, 2], v, [1]).equal(minidl.einsum("ijk,j", B, v))
    assert minidl.einsum(B, (..., 1), (..., 1)).equal(B)
    for wrong in ((B, 0), (B, [0, 1, 52]), (B, [0, 1, "k"]), (B, [0, 1, 2], A)):
        with pytest.raises((TypeError, ValueError), match="einsum"):
            minidl.einsum(*wrong)


@pytest.mark.parametrize("name", ["beta", "binomial", "independent", "log_normal", "normal", "uniform"])
def test_a_module_for_each_distribution(name):  # 22.8
    module = getattr(distributions, name)
    cls = getattr(distributions, "".join(map(str.capitalize, name.split("_"))))
    assert vars(module)[cls.__name__] is cls
    space = {}
    exec(f"from minidl.distributions.{name} import {cls.__name__} as found", space)
    assert space["found"] is cls
