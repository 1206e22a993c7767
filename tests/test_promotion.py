"""Which dtype comes out when two meet: PyTorch's rules. (test_against_torch asks PyTorch itself, for every pair.)"""

import itertools
import math
import warnings

import numpy as np
import pytest

import minidl
from minidl import bool as boolean, float32, float64, int8, int16, int32, int64, uint8

# Two tensors of one rank: the wider of two floats or two integers, and a float beats any integer, an integer a boolean.
TABLE = {
    (boolean, boolean): boolean,
    (boolean, uint8): uint8,
    (boolean, int64): int64,
    (boolean, float32): float32,
    (uint8, int8): int16,
    (uint8, int32): int32,
    (int8, int64): int64,
    (int16, int32): int32,
    (int32, int64): int64,
    (int64, float32): float32,
    (int32, float64): float64,
    (uint8, float32): float32,
    (float32, float64): float64,
    (float64, float64): float64,
    (int64, int64): int64,
}

BINARY = {
    "+": lambda a, b: a + b,
    "*": lambda a, b: a * b,
    "where": lambda a, b: minidl.where(minidl.tensor([True, False]), a, b),
    "cat": lambda a, b: minidl.cat([a.reshape(-1), b.reshape(-1)]),
    "stack": lambda a, b: minidl.stack([a, b]),
    "maximum": minidl.maximum,
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("pair", "expected"), TABLE.items())
def test_two_tensors(name, pair, expected):
    a, b = (minidl.ones(2, dtype=dtype) for dtype in pair)
    assert BINARY[name](a, b).dtype == expected
    assert BINARY[name](b, a).dtype == expected


@pytest.mark.parametrize(("pair", "expected"), TABLE.items())
def test_a_0d_tensor_counts_only_by_its_category(pair, expected):
    for a, b in (pair, pair[::-1]):
        tensor, scalar = minidl.ones(2, dtype=a), minidl.tensor(1, dtype=b)
        same_category = "biuf".replace("u", "i").index(a.kind.replace("u", "i")) >= "biuf".replace("u", "i").index(
            b.kind.replace("u", "i")
        )
        assert (tensor + scalar).dtype == (a if same_category else b)
        assert (scalar * tensor).dtype == (a if same_category else b)


@pytest.mark.parametrize("dtype", [boolean, uint8, int8, int16, int32, int64, float32, float64])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_python_numbers_never_widen(dtype, shape):
    x = minidl.ones(shape, dtype=dtype)
    whole = int64 if dtype == boolean else dtype
    decimal = dtype if dtype.kind == "f" else float32
    for f in (lambda n: x + n, lambda n: n + x, lambda n: x * n, lambda n: minidl.where(x > 0, x, n)):
        assert f(True).dtype == dtype
        assert f(3).dtype == whole
        assert f(2.5).dtype == decimal
    assert (x + np.float64(2.5)).dtype == decimal
    assert (np.float64(2.5) * x).dtype == decimal
    assert (x + np.int64(3)).dtype == whole


def test_a_true_quotient_of_integers_is_float32():
    a = minidl.tensor([7, -7])
    assert (a / 2).dtype == (a / a).dtype == (1 / a).dtype == float32
    assert (a / 2).tolist() == [3.5, -3.5]
    assert (a.int() / np.float64(2)).dtype == float32
    assert (a / minidl.ones(2, dtype=float64)).dtype == float64


def test_floor_division_and_remainder_follow_python():
    a, b = minidl.tensor([7, -7, 7, -7]), minidl.tensor([2, 2, -2, -2])
    assert (a // b).tolist() == [3, -4, -4, 3]
    assert (a % b).tolist() == [1, 1, -1, -1]
    assert (a // b).dtype == (a % 2).dtype == (9 // b).dtype == int64
    assert (a // 2.0).dtype == float32
    assert (a.float() % 4).tolist() == [3.0, 1.0, 3.0, 1.0]


@pytest.mark.parametrize("f", [lambda a: a // 0, lambda a: a % 0, lambda a: a // minidl.tensor([1, 0]), lambda a: 1 % (a - a)])
def test_an_integer_divided_by_zero_raises(f):
    with pytest.raises(ZeroDivisionError, match="an integer tensor is divided by 0"):
        f(minidl.tensor([1, 2]))


def test_powers():
    n = minidl.tensor([1, 2, 3])
    assert (n**2).tolist() == [1, 4, 9]
    assert (n**2).dtype == (2**n).dtype == int64
    assert (n**0.5).dtype == (n**2.0).dtype == float32
    with pytest.raises(ValueError, match="integers to a negative power"):
        n**-1
    assert (n.float() ** -1).tolist() == pytest.approx([1, 0.5, 1 / 3])
    assert (minidl.tensor([-2.0]) ** 2).item() == 4.0
    with pytest.raises(TypeError, match="booleans have no powers"):
        (n > 1) ** (n > 1)


def test_comparisons_are_boolean_and_exact():
    a = minidl.tensor([1, 2, 3])
    for result in (a == 2, a != 2, a < 2, a <= 2, a > 2.5, a >= 2, a == a.float(), a > 2):
        assert result.dtype == boolean
    assert (a < 2.5).tolist() == [True, True, False]
    assert (minidl.tensor([0.1]) == minidl.tensor([0.1], dtype=float64)).tolist() == [False]
    assert (minidl.tensor([0.1]) == 0.1).tolist() == [True]


def test_sums_of_integers_and_booleans_are_int64():
    for dtype in (boolean, uint8, int8, int32):
        x = minidl.ones(3, dtype=dtype)
        assert x.sum().dtype == x.cumsum(0).dtype == x.prod().dtype == int64
    assert (minidl.arange(10) > 3).sum().item() == 6


def test_functions_of_integers_are_float32():
    n = minidl.tensor([1, 4])
    for f in (minidl.exp, minidl.log, minidl.sqrt, minidl.sin, minidl.sigmoid, minidl.tanh, minidl.reciprocal):
        assert f(n).dtype == float32
    for f in (minidl.abs, minidl.sign, minidl.square, minidl.relu, minidl.neg, minidl.floor, minidl.round):
        assert f(n).dtype == int64


@pytest.mark.parametrize("pair", list(itertools.product([float32, float64], [float32, float64, int64])))
def test_gradients_have_the_dtype_of_their_leaf(pair):
    a = minidl.tensor([1.0, 2.0], dtype=pair[0], requires_grad=True)
    b = minidl.tensor([3, 4], dtype=pair[1])
    (a * b + a / b - b**a).sum().backward()
    assert a.grad.dtype == pair[0]


def test_in_place_keeps_the_dtype_or_raises():
    a = minidl.ones(2)
    a += minidl.ones(2, dtype=float64)
    a *= 2
    assert a.dtype == float32
    n = minidl.tensor([1, 2])
    for f in (lambda: n.add_(1.5), lambda: n.div_(2), lambda: n.mul_(a), lambda: (n > 1).add_(1)):
        with pytest.raises(RuntimeError, match=r"in place: a result of \w+ cannot be kept in a tensor of \w+"):
            f()
    assert n.tolist() == [1, 2]
    n += minidl.tensor([True, False])
    assert n.tolist() == [2, 2]


def test_casts_keep_the_graph_between_floats_only():
    x = minidl.tensor([1.5, -2.5], requires_grad=True)
    y = x.double()
    assert y.dtype == float64
    y.sum().backward()
    assert x.grad.dtype == float32
    assert not x.long().requires_grad
    assert x.long().tolist() == [1, -2]
    assert x.float() is x
    assert x.to(float32) is x


@pytest.mark.parametrize("wrong", ["complex64", "float16", "object", "int63", None, "datetime64[s]"])
def test_other_dtypes_are_refused_by_name(wrong):
    with pytest.raises(TypeError, match="minidl has the dtypes float32, float64, int64"):
        minidl.tensors.dtypes.as_dtype(wrong)


def test_complex_operands_are_refused():
    for other in (1j, np.complex128(1j), np.ones(2, complex)):
        with pytest.raises(TypeError):
            minidl.ones(2) + other


@pytest.mark.parametrize("number", [1e308, -1e308, 2**200, -(2**200)])
def test_a_number_beyond_float32_counts_as_infinite_without_a_warning(number):
    x = minidl.ones(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x.maximum(number).tolist() == [max(1.0, math.copysign(math.inf, number))] * 2
        assert x.minimum(number).tolist() == [min(1.0, math.copysign(math.inf, number))] * 2
