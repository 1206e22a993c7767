"""What reaches an input that is NaN, or as large as a bound: PyTorch's values, where its own ways agree with each other.

PyTorch's vectorised loops and its loop over the last few elements differ for hardtanh, relu6, elu and hardshrink: for these the
rule is that the gradient is not stopped, so that a NaN is not hidden.
"""

import math

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F

NAN = math.nan
AT_NAN = {  # dx for dy = 1
    "relu": (F.relu, 1.0),
    "hardtanh": (F.hardtanh, 1.0),
    "relu6": (F.relu6, 1.0),
    "hardsigmoid": (F.hardsigmoid, 0.0),
    "hardswish": (F.hardswish, NAN),
    "elu": (F.elu, NAN),
    "leaky_relu": (F.leaky_relu, 0.01),
    "prelu": (lambda x: F.prelu(x, minidl.full((1,), 0.25, dtype=x.dtype)), 0.25),
    "rrelu": (lambda x: F.rrelu(x, 0.25, 0.25), 0.25),
    "threshold": (lambda x: F.threshold(x, 0.5, 2.0), 1.0),
    "hardshrink": (F.hardshrink, 1.0),
    "softshrink": (F.softshrink, 1.0),
    "clamp": (lambda x: x.clamp(0, 1), 0.0),
    "clamp to tensors": (lambda x: x.clamp(minidl.zeros(1, dtype=x.dtype), minidl.ones(1, dtype=x.dtype)), 0.0),
    "clamp to a tensor and a number": (lambda x: x.clamp(minidl.zeros(1, dtype=x.dtype), 1.0), 0.0),
    "max": (minidl.Tensor.max, 1.0),
    "amin": (minidl.Tensor.amin, 1.0),
    "sqrt": (minidl.sqrt, NAN),
    "exp": (minidl.exp, NAN),
    "entr": (minidl.special.entr, NAN),
}


@pytest.mark.parametrize("dtype", [minidl.float32, minidl.float64])
@pytest.mark.parametrize("size", [1, 37])
@pytest.mark.parametrize("name", AT_NAN)
def test_value_is_nan_and_gradient_is_that_of_the_table(name, size, dtype):
    function, expected = AT_NAN[name]
    expected /= size if name in ("max", "amin") else 1  # ties share it
    x = minidl.full((size,), NAN, dtype=dtype, requires_grad=True)
    y = function(x)
    assert y.isnan().all()
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full(size, expected), rtol=1e-6)


@pytest.mark.parametrize("both", [False, True])
def test_clamp_to_tensors_is_clamp_to_numbers(both):
    """Of values and gradients; the gradient of a bound is that of the elements which it holds."""
    values = [NAN, -math.inf, -2.0, -1.0, 0.5, 1.0, 3.0, math.inf]
    x, z = (minidl.tensor(values, dtype=minidl.float64, requires_grad=True) for _ in "xz")
    low = minidl.full((8,), -1.0, dtype=minidl.float64, requires_grad=True)
    high = minidl.full((8,), 1.0, dtype=minidl.float64, requires_grad=True)
    dy = minidl.arange(1.0, 9.0, dtype=minidl.float64)
    y, w = x.clamp(low, high if both else None), z.clamp(-1.0, 1.0 if both else None)
    np.testing.assert_array_equal(y.numpy(force=True), w.numpy(force=True))
    (y * dy).sum().backward()
    (w * dy).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), z.grad.numpy())
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0, 0, 4, 5, 6, *((0, 0) if both else (7, 8))])
    np.testing.assert_array_equal(low.grad.numpy(), [0, 2, 3, 0, 0, 0, 0, 0])
    if both:
        np.testing.assert_array_equal(high.grad.numpy(), [0, 0, 0, 0, 0, 0, 7, 8])


def test_a_bound_of_nan_gives_nan_and_takes_nothing():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    low = minidl.tensor([NAN, 3.0], requires_grad=True)
    y = x.clamp(min=low)
    assert y.isnan().tolist() == [True, False]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0] and low.grad.tolist() == [0.0, 1.0]


def test_clamp_keeps_pytorchs_dtypes_and_names_itself():
    assert minidl.tensor([1, 5]).clamp(max=minidl.tensor([2.5])).dtype == minidl.float32
    assert minidl.tensor([1, 5]).clamp(minidl.tensor([2, 2]), 4).tolist() == [2, 4]
    assert minidl.tensor([3.0]).clamp(minidl.tensor([2.0]), minidl.tensor([1.0])).tolist() == [1.0]
    with pytest.raises(ValueError, match=r"clamp: shapes \(2,\) and \(3,\) do not broadcast"):
        minidl.ones(2).clamp(minidl.ones(3))
