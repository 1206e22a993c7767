"""Every operation against the table: values, gradients, dtypes, layouts, purity. Then the promises about single points."""

import copy
import functools
import itertools
import math
import re

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import grad, gradcheck
from minidl.nn import functional

from .checks import (
    CHECKS,
    check_again,
    check_far,
    check_float32,
    check_gradient,
    check_layouts,
    check_needs,
    check_row,
    check_value,
    run,
)
from .table import ABSTRACT, ELEMENTWISE, FAR, ROW_OF, TABLE, Row, all_operations, each, with_options


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.op.__name__)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_operation(check, row):
    if check in (check_float32, check_far) and not row.float32:
        pytest.skip("converts between dtypes")
    check_row(check, row)


def test_promise_05_every_operation_is_in_the_table():
    missing = {op for op in all_operations() if op not in ROW_OF and op not in ABSTRACT}
    assert not missing, f"give {missing} a row in tests/table.py"
    assert len(ROW_OF) == len(TABLE), "two rows for one operation"


def test_every_row_has_an_empty_case():
    for row in TABLE:
        shapes = [x.shape for case in row.cases for x in case.inputs if isinstance(x, np.ndarray)]
        assert any(0 in shape for shape in shapes), f"{row.op.__name__}: no case with a size of 0"


def test_a_row_that_is_checked_less_says_why():
    for row in TABLE:
        assert (row.far != FAR or row.absolute) == bool(row.why), f"{row.op.__name__}: far or absolute, and why, go together"


class Softsign(ops.Op):
    def forward(self, x):
        self.x = x
        return x / (1 + np.abs(x))

    def backward(self, dy):
        return dy / (1 + np.abs(self.x)) ** 2


class SoftsignFromItsOutput(ops.Op):
    """dx = dy·(1 − |y|)² is right on paper; in float32 it is 2.7 % off at x = 1e6, and 0 at 1e8."""

    def forward(self, x):
        self.y = x / (1 + np.abs(x))
        return self.y

    def backward(self, dy):
        return dy * (1 - np.abs(self.y)) ** 2


@pytest.mark.parametrize("elementwise", [False, True])
def test_promise_51_a_float32_gradient_lost_far_from_zero_is_caught(elementwise):
    row = Row(Softsign, each(lambda x: x / (1 + abs(x))), ELEMENTWISE)
    row.elementwise = elementwise
    for check in CHECKS:
        check_row(check, row)
        if check is not check_far:
            check_row(check, row, SoftsignFromItsOutput)
    with pytest.raises(AssertionError, match=r"inputs times 10000: the gradient of input 0 in float32 is .*, in float64"):
        check_row(check_far, row, SoftsignFromItsOutput)


class Shifted(ops.Op):
    def __init__(self, shift):
        self.shift = shift

    def forward(self, x):
        return x - self.shift

    def backward(self, dy):
        return dy


class ShiftedByItsMean(Shifted):
    def forward(self, x):
        self.shift = self.shift + 0 * x.mean()
        return x - self.shift


class ShiftedOnce(Shifted):
    ran = ()

    def forward(self, x):
        y = x - self.shift if not self.ran else x
        self.ran = (*self.ran, 1)
        return y


@pytest.mark.parametrize(
    ("wrong", "message"),
    [(ShiftedByItsMean, r"writes to self\.shift, which __init__ had set"), (ShiftedOnce, "another result after a forward")],
)
def test_promise_50_an_option_that_forward_overwrites_is_caught(wrong, message):
    row = Row(Shifted, lambda x, shift: x - shift, with_options([((), (3,)), ((), (2, 3))], 0.5))
    check_row(check_again, row)
    with pytest.raises(AssertionError, match=message):
        check_row(check_again, row, wrong)


def test_promise_50_the_statistics_given_to_batch_norm_stay():
    x, other = (np.random.default_rng(i).normal(size=(4, 3)) for i in range(2))
    op = ops.BatchNorm(1e-5)
    op.forward(other, None, None)
    np.testing.assert_array_equal(copy.copy(op).forward(x, None, None), ops.BatchNorm(1e-5).forward(x, None, None))


# --- broadcasting

SIZES = [(), (1,), (4,), (3, 1), (1, 4), (3, 4), (2, 1, 4), (0, 4)]
BROADCASTING = [ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Pow, ops.Remainder, ops.Maximum, ops.Minimum, ops.XLogY, ops.Where]


def broadcast(*shapes):
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


@pytest.mark.parametrize("op", BROADCASTING, ids=lambda op: op.__name__)
def test_promise_02_every_pair_that_broadcasts(op):
    row, pairs = ROW_OF[op], []
    for a, b in itertools.product(SIZES, SIZES):
        shape = broadcast(a, b)
        if shape is not None:
            options = (np.arange(math.prod(shape)).reshape(shape) % 3 == 0,) if op is ops.Where else ()
            pairs.append((options, a, b))
    assert len(pairs) == 60
    both = Row(op, row.reference, pairs, row.domain)
    for check in (check_value, check_gradient, check_needs, check_layouts):
        check_row(check, both)


@pytest.mark.parametrize("f", [minidl.add, minidl.mul, minidl.div, minidl.maximum, minidl.pow, minidl.xlogy])
def test_promise_26_pairs_that_do_not_broadcast_raise(f):
    for a, b in itertools.product(SIZES, SIZES):
        if broadcast(a, b) is None:
            with pytest.raises(ValueError, match=re.escape(str(a)) + ".*" + re.escape(str(b)) + " do not broadcast: axis -"):
                f(minidl.ones(a), minidl.ones(b))


# --- dtypes


@pytest.mark.parametrize(("source", "target"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_cast_sends_its_gradient_back_in_the_first_type(source, target):
    x = minidl.tensor(np.ones(3, source), requires_grad=True)
    y = x.to(target)
    assert y.dtype == target
    y.backward(minidl.tensor(np.array([1.0, 2.0, 3.0], target)))
    assert x.grad.dtype == source
    assert x.grad.tolist() == [1, 2, 3]


BINARY_WITH_NUMBERS = {
    "x + 2.5": lambda x: x + 2.5,
    "2.5 - x": lambda x: 2.5 - x,
    "2.5 * x": lambda x: 2.5 * x,
    "2.5 / x": lambda x: 2.5 / x,
    "x ** 2.5": lambda x: x**2.5,
    "2.5 ** x": lambda x: 2.5**x,
    "x % 2.5": lambda x: x % 2.5,
    "2.5 % x": lambda x: 2.5 % x,
    "x.xlogy(2.5)": lambda x: x.xlogy(2.5),
    "x.maximum(2.5)": lambda x: x.maximum(2.5),
    "x.clamp(0.1, 2.5)": lambda x: x.clamp(0.1, 2.5),
    "where": lambda x: minidl.where(x > 1, x, 2.5),
}


@pytest.mark.parametrize("name", BINARY_WITH_NUMBERS)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_promise_12_a_number_does_not_widen_float32(name, shape):
    x = minidl.full(shape, 1.5, requires_grad=True)
    y = BINARY_WITH_NUMBERS[name](x)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype) == (minidl.float32, minidl.float32)


WITH_NUMPY_NUMBERS = {
    "clamp": lambda x: x.clamp(np.float64(0.5), np.float64(2.0)),
    "power": lambda x: x ** np.float64(3.0),
    "exponential": lambda x: np.float64(2.0) ** x,
    "norm": lambda x: x.norm(np.float64(3.0)),
    "largest": lambda x: x.norm(np.float64(np.inf)),
    "var": lambda x: x.var(correction=np.float64(1.0)),
    "xlogy": lambda x: x.xlogy(np.float64(2.0)),
    "maximum": lambda x: x.maximum(np.float64(0.2)),
    "remainder": lambda x: x % np.float64(0.7),
    "masked_fill": lambda x: x.masked_fill(x > 0.5, np.float64(2.0)),
    "leaky_relu": lambda x: functional.leaky_relu(x, np.float64(0.1)),
    "elu": lambda x: functional.elu(x, np.float64(0.5)),
    "softplus": lambda x: functional.softplus(x, np.float64(2.0), np.float64(20.0)),
    "dropout": lambda x: functional.dropout(x, np.float64(0.5)),
    "huber_loss": lambda x: functional.huber_loss(x, x.detach() * 2, delta=np.float64(0.5)),
    "smooth_l1_loss": lambda x: functional.smooth_l1_loss(x, x.detach() * 2, beta=np.float64(0.5)),
    "normalize": lambda x: functional.normalize(x, np.float64(2.0), 0, np.float64(1e-9)),
    "cross_entropy": lambda x: functional.cross_entropy(x[None], minidl.tensor([1]), label_smoothing=np.float64(0.1)),
}


@pytest.mark.parametrize("name", WITH_NUMPY_NUMBERS)
def test_promise_12_an_option_that_is_a_numpy_number_does_not_widen_float32(name):
    x = minidl.tensor([0.3, 1.0, 2.5], requires_grad=True)
    y = WITH_NUMPY_NUMBERS[name](x)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype) == (minidl.float32, minidl.float32)


# --- single points


def leaf(values):
    return minidl.tensor(np.array(values, float), requires_grad=True)


def slope(f, values, dy=None):
    """The gradient of f at the values, under a cotangent of ones or the one given."""
    x = leaf(values)
    y = f(x)
    y.backward(minidl.ones(y.shape) if dy is None else minidl.tensor(dy))
    return x.grad.tolist()


def test_promise_15_softmax_of_large_numbers():
    assert leaf([1000.0, 0, 0, 0]).softmax(0).tolist() == [1, 0, 0, 0]
    assert leaf([1000.0, 0, 0, 0]).log_softmax(0).tolist() == [0, -1000, -1000, -1000]
    assert slope(lambda x: x.softmax(0), [1000.0, 0, 0, 0], [1.0, 2.0, 3.0, 4.0]) == [0, 0, 0, 0]
    assert slope(lambda x: x.log_softmax(0), [1000.0, 0, 0, 0], [1.0, 2.0, 3.0, 4.0]) == [-9, 2, 3, 4]
    assert leaf([1000.0, 1000.0]).logsumexp(0).item() == pytest.approx(1000 + math.log(2))
    assert leaf([-1000.0, -1000.0]).logsumexp(0).item() == pytest.approx(-1000 + math.log(2))


def test_promise_15_cross_entropy_of_large_logits():
    x = leaf([[1000.0, 0, 0, 0]])
    loss = functional.cross_entropy(x, minidl.tensor([1]))
    loss.backward()
    assert loss.item() == 1000
    assert x.grad.tolist() == [[1, -1, 0, 0]]


def test_promise_15_sigmoid_and_its_kin_far_out():
    assert leaf([1000.0, -1000.0]).sigmoid().tolist() == [1, 0]
    assert slope(lambda x: x.sigmoid(), [1000.0, -1000.0]) == [0, 0]
    assert slope(lambda x: x.tanh(), [1000.0, -1000.0]) == [0, 0]
    for f, values, slopes in [
        (functional.logsigmoid, [0, -1000], [0, 1]),
        (functional.softplus, [1000, 0], [1, 0]),
        (functional.silu, [1000, 0], [1, 0]),
        (functional.gelu, [1000, 0], [1, 0]),
        (lambda x: functional.gelu(x, approximate="tanh"), [1000, 0], [1, 0]),
        (functional.elu, [1000, -1], [1, 0]),
    ]:
        assert f(leaf([1000.0, -1000.0])).tolist() == values
        assert slope(f, [1000.0, -1000.0]) == slopes


def test_promise_16_a_masked_row_of_softmax_is_zero():
    rows = [[-np.inf, -np.inf], [0.0, -np.inf], [0.0, 0.0]]
    assert leaf(rows).softmax(1).tolist() == [[0, 0], [1, 0], [0.5, 0.5]]
    assert slope(lambda x: x.softmax(1), rows, [[1.0, 2.0]] * 3) == [[0, 0], [0, 0], [-0.25, 0.25]]
    assert leaf(rows).logsumexp(1).tolist() == [-np.inf, 0, pytest.approx(math.log(2))]
    assert slope(lambda x: x.logsumexp(1), rows) == [[0, 0], [1, 0], [0.5, 0.5]]


def test_promise_17_nothing_times_the_logarithm_of_nothing():
    a, b = leaf([0.0, 0.0, 2.0, 0.0]), leaf([0.0, 3.0, 1.0, -1.0])
    y = a.xlogy(b)
    y.sum().backward()
    assert y.tolist() == [0, 0, 0, 0]
    assert a.grad.tolist() == [0, math.log(3), 0, 0]
    assert b.grad.tolist() == [0, 0, 2, 0]
    assert leaf([2.0]).xlogy(leaf([0.0])).tolist() == [-np.inf]
    assert np.isnan(leaf([0.0]).xlogy(leaf([np.nan])).item())


def test_promise_20_ties_share_the_cotangent():
    """amax and amin share equally among all that are largest; max(dim) picks the first; maximum halves."""
    tied = [[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 0.0, 2.0]]
    third = 1 / 3
    assert slope(lambda x: x.amax(1), tied) == [[0, third, third, third], [third, third, 0, third]]
    assert slope(lambda x: x.amin(1), tied) == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert slope(lambda x: x.max(), tied) == [[0, third, third, third], [0, 0, 0, 0]]
    assert slope(lambda x: x.max(1).values, tied) == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert slope(lambda x: x.min(1).values, [[1.0, 0.0, 0.0]]) == [[0, 1, 0]]
    assert slope(lambda x: x.norm(math.inf), [-2.0, 2.0, 1.0]) == [-0.5, 0.5, 0]
    for f in (minidl.maximum, minidl.minimum):
        a, b = leaf([1.0, 2.0, 3.0]), leaf([2.0, 2.0, 2.0])
        f(a, b).sum().backward()
        assert (a.grad + b.grad).tolist() == [1, 1, 1]
        assert a.grad[1].item() == b.grad[1].item() == 0.5
    x = leaf([1.0])
    x.maximum(x).backward()
    assert x.grad.tolist() == [1]


def test_promise_20_not_a_number_is_the_largest_and_takes_the_cotangent():
    row = [1.0, np.nan, 2.0]
    for f in (lambda x: x.amax(0), lambda x: x.amin(0), lambda x: x.max(0).values, lambda x: x.min(0).values):
        assert np.isnan(f(leaf(row)).item())
        assert slope(f, row) == [0, 1, 0]
    for f in (minidl.maximum, minidl.minimum):
        a, b = leaf([np.nan, 1.0]), leaf([1.0, np.nan])
        y = f(a, b)
        y.sum().backward()
        assert np.isnan(y.tolist()).all()
        assert (a.grad.tolist(), b.grad.tolist()) == ([1, 0], [0, 1])


def test_promise_21_kinks_at_zero():
    zero = [0.0, -0.0]
    assert slope(lambda x: x.relu(), zero) == [0, 0]
    assert slope(lambda x: x.abs(), zero) == [0, 0]
    assert slope(functional.leaky_relu, zero) == [0.01, 0.01]
    assert slope(functional.elu, zero) == [1, 1]
    assert slope(lambda x: x.clamp(0.0, 1.0), [0.0, 1.0, 2.0]) == [1, 1, 0]
    assert slope(lambda x: x.sign(), zero) == [0, 0]


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, math.inf])
def test_promise_21_norm_at_zero_has_gradient_zero(p):
    assert slope(lambda x: x.norm(p), [0.0, 0.0]) == [0, 0]
    rows = [[0.0, 0.0], [0.0, 2.0]]
    assert slope(lambda x: x.norm(p, dim=1), rows) == [[0, 0], [0, 1]]


def test_norm_neither_overflows_nor_vanishes():
    assert minidl.tensor([3e30, 4e30]).norm().item() == pytest.approx(5e30)
    assert minidl.tensor([3e-30, 4e-30]).norm().item() == pytest.approx(5e-30)
    assert leaf([np.inf, 1.0]).norm().item() == np.inf
    assert np.isnan(leaf([np.nan, 1.0]).norm().item())
    assert np.isnan(leaf([np.nan, 1.0]).norm(math.inf).item())


def test_promise_21_powers():
    assert slope(lambda x: x**2, [-2.0, 0.0]) == [-4, 0]
    assert slope(lambda x: x**2.0, [-2.0, 0.0]) == [-4, 0]
    assert slope(lambda x: x ** leaf([2.0, 2.0]), [-2.0, 0.0]) == [-4, 0]
    assert slope(lambda x: x**0, [-2.0, 0.0, 5.0]) == [0, 0, 0]
    assert slope(lambda x: x ** leaf([0.0, 0.0]), [0.0, np.inf]) == [0, 0]
    assert slope(lambda x: x**1, [0.0, -1.0]) == [1, 1]
    assert slope(lambda x: x**3, [0.0, -1.0]) == [0, 3]
    assert slope(lambda x: 0.0**x, [0.0, 2.0]) == [0, 0]  # in the exponent
    assert slope(lambda x: 2.0**x, [0.0]) == [math.log(2)]


def test_promise_21_where_sends_nothing_to_the_other_side():
    """Not even where the side that is not chosen has an infinite slope, or is NaN."""
    x = leaf([-1.0, 0.0, 4.0])
    minidl.where(x > 0, x.sqrt(), 0.0).sum().backward()
    assert x.grad.tolist()[2] == 0.25
    a, b = leaf([np.nan, 1.0]), leaf([np.inf, 2.0])
    minidl.where(minidl.tensor([True, False]), a, b).sum().backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([1, 0], [0, 1])


def test_promise_21_a_safe_root_needs_both_sides_safe():
    x = leaf([0.0, 4.0])
    safe = minidl.where(x > 0, x, 1.0)
    minidl.where(x > 0, safe.sqrt(), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 0.25]


@pytest.mark.parametrize("values", [[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [2.0, 3.0, 4.0]])
def test_product_with_zeros(values):
    others = [math.prod(values[:i] + values[i + 1 :]) for i in range(3)]
    assert slope(lambda x: x.prod(), values) == others


UNARY = [row for row in TABLE if all(len(case.inputs) == 1 and case.inputs[0].ndim < 4 for case in row.cases)]
ELEMENTWISE_ROWS = [
    row for row in UNARY if row.op.__module__.endswith(("elementwise", "activation")) and row.op is not ops.Dropout
]


@pytest.mark.parametrize("row", ELEMENTWISE_ROWS, ids=lambda row: row.op.__name__)
def test_special_values_are_silent_and_nan_goes_through(row):
    """NaN stays NaN in the value; infinities and zeros raise no warning, forward or back."""
    for options in {case.options: None for case in row.cases}:
        for dtype in (np.float32, np.float64):
            x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e15, -1e15, np.finfo(dtype).tiny], dtype)
            with np.errstate(all="ignore"):  # as apply and the walk have it
                op, y, _, (dx,) = run(row.cases[0], inputs=(x,), options=options)
            assert np.isnan(y[0])
            assert y.dtype == dx.dtype == dtype
            kinks = ops.ReLU, ops.LeakyReLU, ops.ELU, ops.Clamp, ops.Hardtanh, ops.PiecewiseConstant, ops.Softplus
            if not isinstance(op, kinks):
                assert np.isnan(dx[0])


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "amax", "amin", "logsumexp", "norm", "cumsum", "softmax"])
def test_reductions_pass_nan_on(name):
    x = leaf([[1.0, np.nan, 2.0], [1.0, 3.0, 2.0]])
    y = getattr(x, name)(dim=1)
    assert np.isnan(y.array[0]).any()
    assert np.isfinite(y.array[1]).all()


def test_reductions_over_nothing():
    x = minidl.zeros(3, 0)
    assert x.sum(1).tolist() == [0, 0, 0]
    assert x.prod(1).tolist() == [1, 1, 1]
    assert x.norm(dim=1).tolist() == [0, 0, 0]
    assert x.logsumexp(1).tolist() == [-np.inf] * 3
    assert np.isnan(x.mean(1).tolist()).all()
    assert np.isnan(x.var(1).tolist()).all()
    assert np.isnan(minidl.zeros(1).var().item())
    for f in (minidl.amax, minidl.amin, lambda x, dim: x.max(dim), lambda x, dim: x.argmax(dim)):
        with pytest.raises(ValueError, match=r"axis of size 0, shape \(3, 0\)"):
            f(x, 1)
        assert minidl.zeros(0, 3).amax(1).shape == (0,)


# --- axes

REDUCING = {
    "sum": np.sum,
    "mean": np.mean,
    "prod": np.prod,
    "amax": np.max,
    "amin": np.min,
    "var": lambda x, axis, keepdims: np.var(x, axis=axis, keepdims=keepdims, ddof=1),
    "logsumexp": lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)),
    "norm": lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
}


@pytest.mark.parametrize("name", REDUCING)
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [None, 0, 1, -1, -3, (0,), (0, 2), (2, 0), (-1, 1), (-1, -2, -3), [0, 1]], ids=str)
def test_promise_23_reductions_over_all_kinds_of_axes(name, dim, keepdim):
    x = minidl.tensor(np.random.default_rng(0).normal(size=(2, 3, 4)), requires_grad=True)
    reduced = functools.partial(getattr(minidl.Tensor, name), dim=dim, keepdim=keepdim)
    expected = REDUCING[name](x.detach().numpy(), axis=tuple(dim) if isinstance(dim, list) else dim, keepdims=keepdim)
    assert reduced(x).shape == expected.shape
    np.testing.assert_allclose(reduced(x).detach().numpy(), expected, 1e-12)
    assert gradcheck(reduced, x)


@pytest.mark.parametrize("name", REDUCING)
def test_promise_23_axes_that_are_wrong_raise(name):
    x = minidl.ones(2, 3, 4)
    for dim in ((0, 0), (0, -3), (1, 2, -1)):
        with pytest.raises(ValueError, match=f"{name}: an axis appears twice"):
            getattr(x, name)(dim=dim)
    for dim in (3, -4, (0, 5)):
        with pytest.raises(IndexError, match=f"{name}: dim .* out of range for 3 axes"):
            getattr(x, name)(dim=dim)
    for dim in (1.5, np.ones(2), minidl.arange(2)):
        with pytest.raises(TypeError, match=f"{name}: dim must be an integer"):
            getattr(x, name)(dim=dim)
    with pytest.raises(TypeError, match=rf"{name}: keepdim must be True or False, got 1; several axes .* dim=\(0, 1\)"):
        getattr(x, name)(dim=0, keepdim=1)  # sum(0, 1) would sum over one axis and keep it


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.sum(0, 1), TypeError, "sum: keepdim must be True or False, got 1"),
        (lambda x: x.argmax(0, 1), TypeError, "argmax: keepdim must be True or False, got 1"),
        (lambda x: x.max(0, 1), TypeError, "max: keepdim must be True or False, got 1"),
        (lambda x: x.all(0, 1), TypeError, "all: keepdim must be True or False, got 1"),
        (lambda x: x.repeat_interleave(2.5, 0), TypeError, "repeat_interleave: expected integers, got float64"),
        (lambda x: x.repeat(2.5, 1), TypeError, "repeat: expected an integer, got 2.5"),
        (lambda x: x.tile((math.nan, 1)), TypeError, "tile: expected an integer, got nan"),
        (lambda x: x.roll("1", 0), TypeError, "roll: expected an integer, got '1'"),
        (lambda x: x.roll(2.5, 0), TypeError, "roll: expected an integer, got 2.5"),
        (lambda x: x.select(0, "1"), TypeError, "select: expected an integer, got '1'"),
        (lambda x: x.select(0, 1.9), TypeError, "select: expected an integer, got 1.9"),
        (lambda x: x.reshape(None, 2), TypeError, "reshape: expected an integer, got None"),
        (lambda x: x.reshape(minidl.tensor(3.0), 2), TypeError, r"reshape: expected an integer, got tensor\(3.\)"),
        (lambda x: x.permute(True, 0), TypeError, "permute: expected an integer, got True"),
        (lambda x: x.expand(2.5, 2, 3), TypeError, "expand: expected an integer, got 2.5"),
        (lambda x: x.flip("0"), TypeError, "flip: expected an integer, got '0'"),
        (lambda x: x.unflatten(1, None), TypeError, "unflatten: expected an integer, got None"),
        (lambda x: x.split(None), TypeError, "split: expected an integer, got None"),
        (lambda x: x.split([1.5, 0.5]), TypeError, "split: expected an integer, got 1.5"),
        (lambda x: x.chunk(1.5), TypeError, "chunk: expected an integer, got 1.5"),
        (lambda x: x.chunk(2, None), TypeError, "chunk: dim must be an integer, got None"),
        (lambda x: x.narrow(0, None, 1), TypeError, "narrow: expected an integer, got None"),
        (lambda x: x.topk(1.5), TypeError, "topk: expected an integer, got 1.5"),
        (lambda x: x.round(decimals=0.5), TypeError, "round: expected an integer, got 0.5"),
        (lambda x: x.diagonal(0.5), TypeError, "diagonal: expected an integer, got 0.5"),
        (lambda x: x.diag(None), TypeError, "diag: expected an integer, got None"),
        (lambda x: x.tril(2.5), TypeError, "tril: expected an integer, got 2.5"),
        (lambda x: x.triu(None), TypeError, "triu: expected an integer, got None"),
        (lambda x: x.clamp("0", 1), TypeError, "clamp: expected numbers or tensors as min and max, got '0' and 1"),
        (lambda x: x.clamp([0, 1]), TypeError, r"clamp: expected numbers or tensors as min and max, got \[0, 1\] and None"),
        (lambda x: x.normal_("0"), TypeError, "normal: mean must be a number, got '0'"),
        (lambda x: x.uniform_(0, "1"), TypeError, "uniform: high must be a number, got '1'"),
        (lambda x: x.bernoulli_("1"), TypeError, "bernoulli: p must be a number, got '1'"),
    ],
)
def test_promise_26_wrong_arguments_of_methods(call, error, message):
    x = minidl.ones(2, 3)
    with pytest.raises(error, match=message):
        call(x)
    assert (x == 1).all()


def test_a_number_can_be_flipped():
    assert minidl.tensor(1.0).flip(0).item() == 1


def test_promise_23_transposes_with_negative_axes():
    x = minidl.tensor(np.random.default_rng(0).normal(size=(2, 3, 4)), requires_grad=True)
    array = x.detach().numpy()
    for f, expected in [
        (lambda x: x.permute(-1, 0, -2), array.transpose(2, 0, 1)),
        (lambda x: x.transpose(-1, -2), np.swapaxes(array, -1, -2)),
        (lambda x: x.transpose(0, -1), np.swapaxes(array, 0, -1)),
        (lambda x: x.movedim(-1, 0), np.moveaxis(array, -1, 0)),
        (lambda x: x.movedim((0, -1), (-1, 0)), np.moveaxis(array, (0, -1), (-1, 0))),
        (lambda x: x.mT, np.swapaxes(array, -1, -2)),
        (lambda x: x.flip(-1, 0), np.flip(array, (0, 2))),
        (lambda x: x.roll((1, 2), (-1, 0)), np.roll(array, (1, 2), (2, 0))),
        (lambda x: x.flatten(-2), array.reshape(2, 12)),
        (lambda x: x.unsqueeze(-1), array[..., None]),
        (lambda x: x.cumsum(-2), np.cumsum(array, 1)),
        (lambda x: x.softmax(-3), np.exp(array) / np.exp(array).sum(0)),
        (lambda x: x.diagonal(0, -1, -3), np.diagonal(array, 0, 2, 0)),
        (lambda x: minidl.cat([x, x], -2), np.concatenate([array, array], 1)),
        (lambda x: minidl.stack([x, x], -1), np.stack([array, array], -1)),
    ]:
        np.testing.assert_allclose(f(x).detach().numpy(), expected, 1e-12)
        assert gradcheck(f, x)
    for f in (minidl.tril, minidl.triu):
        with pytest.raises(ValueError, match=r"tri[lu]: expected a tensor with 2 axes or more, got shape \(3,\)"):
            f(minidl.ones(3))
    with pytest.raises(ValueError, match="permute: an axis appears twice"):
        x.permute(0, -3, 1)
    with pytest.raises(ValueError, match="permute: expected 3 axes"):
        x.permute(0, 1)


# --- twins: the fused operation, and the same thing written with simpler ones


def tensors(*shapes, low=None):
    rng = np.random.default_rng(len(shapes))
    return [minidl.tensor(rng.normal(size=s) if low is None else rng.uniform(low, 2, s), requires_grad=True) for s in shapes]


def twin_softmax(x, dim):
    e = (x - x.amax(dim, keepdim=True).detach()).exp()
    return e / e.sum(dim, keepdim=True)


def twin_logsumexp(x, dim):
    top = x.amax(dim, keepdim=True).detach()
    return ((x - top).exp().sum(dim, keepdim=True).log() + top).squeeze(dim)


def twin_log_softmax(x, dim):
    return x - twin_logsumexp(x, dim).unsqueeze(dim)


def one_hot(labels, classes):
    return minidl.from_numpy(np.eye(classes)[labels.numpy()])


def twin_cross_entropy(x, labels, weight=None, smoothing=0.0):
    classes = x.shape[1]
    w = minidl.ones(classes, dtype=minidl.float64) if weight is None else weight
    target = one_hot(labels, classes)
    rows = -((1 - smoothing) * target + smoothing / classes) * w * twin_log_softmax(x, 1)
    return rows.sum() / (target * w).sum()


def twin_var(x, dim, correction):
    centred = x - x.mean(dim, keepdim=True)
    return (centred * centred).sum(dim) / (x.size(dim) - correction)


def twin_gelu(x):
    return 0.5 * x * (1 + (x / math.sqrt(2)).erf())


def twin_gelu_tanh(x):
    return 0.5 * x * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())


def twin_einsum(a, b):
    return (a[:, :, :, None] * b[:, None, :, :]).sum(2)


ODD = [(1, 1), (3, 1), (1, 5), (7, 3), (5, 17), (2, 130)]
LABELS = [minidl.tensor(np.arange(n) * 3 % c) for n, c in ODD]
WEIGHTS = [minidl.tensor(0.5 + np.arange(c) / c) for _, c in ODD]
TWINS = {
    "linear": [
        (functional.linear, lambda x, w, b: x @ w.T + b, tensors((n, k), (o, k), (o,)))
        for (n, k), o in zip(ODD, (1, 4, 3, 2, 9, 8), strict=True)
    ],
    "linear in 3-d": [(functional.linear, lambda x, w: (x[..., None, :] * w).sum(-1), tensors((2, 3, 5), (4, 5)))],
    "matmul": [(minidl.matmul, lambda a, b: (a[:, :, None] * b).sum(1), tensors((n, k), (k, 6))) for n, k in ODD],
    "batched matmul": [
        (minidl.matmul, lambda a, b: (a[..., :, :, None] * b[..., None, :, :]).sum(-2), tensors((2, 1, 3, 5), (4, 5, 2)))
    ],
    "softmax": [(lambda x, d=d: x.softmax(d), lambda x, d=d: twin_softmax(x, d), tensors(s)) for s in ODD for d in (0, 1)],
    "log_softmax": [
        (lambda x, d=d: x.log_softmax(d), lambda x, d=d: twin_log_softmax(x, d), tensors(s)) for s in ODD for d in (0, 1)
    ],
    "logsumexp": [
        (lambda x, d=d: x.logsumexp(d), lambda x, d=d: twin_logsumexp(x, d), tensors(s)) for s in ODD for d in (0, 1)
    ],
    "cross_entropy": [
        (lambda x, y=y: functional.cross_entropy(x, y), lambda x, y=y: twin_cross_entropy(x, y), tensors(s))
        for s, y in zip(ODD, LABELS, strict=True)
    ],
    "cross_entropy with weights": [
        (lambda x, y=y, w=w: functional.cross_entropy(x, y, w), lambda x, y=y, w=w: twin_cross_entropy(x, y, w), tensors(s))
        for s, y, w in zip(ODD, LABELS, WEIGHTS, strict=True)
    ],
    "cross_entropy with smoothing": [
        (
            lambda x, y=y, w=w: functional.cross_entropy(x, y, w, label_smoothing=0.2),
            lambda x, y=y, w=w: twin_cross_entropy(x, y, w, 0.2),
            tensors(s),
        )
        for s, y, w in zip(ODD, LABELS, WEIGHTS, strict=True)
    ],
    "cross_entropy with probabilities": [
        (
            lambda x, t: functional.cross_entropy(x, t, reduction="sum"),
            lambda x, t: -(t * twin_log_softmax(x, 1)).sum(),
            tensors(s, s, low=0.1),
        )
        for s in ODD
    ],
    "mean": [(lambda x: x.mean(1), lambda x: x.sum(1) / x.size(1), tensors(s)) for s in ODD],
    "var": [
        (lambda x, d=d, c=c: x.var(d, correction=c), lambda x, d=d, c=c: twin_var(x, d, c), tensors(s))
        for s in ODD
        for d in (0, 1)
        for c in (0, 1)
        if s[d] > c
    ],
    "norm": [(lambda x: x.norm(dim=1), lambda x: (x * x).sum(1).sqrt(), tensors(s)) for s in ODD],
    "norm of order 3": [(lambda x: x.norm(3, dim=0), lambda x: (x.abs() ** 3).sum(0) ** (1 / 3), tensors(s)) for s in ODD],
    "prod": [(lambda x: x.prod(1), lambda x: x.log().sum(1).exp(), tensors(s, low=0.5)) for s in ODD],
    "einsum": [(lambda a, b: minidl.einsum("bij,bjk->bik", a, b), twin_einsum, tensors((2, 3, 4), (2, 4, 5)))],
    "einsum of three": [
        (lambda a, b, c: minidl.einsum("i,ij,j->", a, b, c), lambda a, b, c: a @ b @ c, tensors((3,), (3, 4), (4,)))
    ],
    "sigmoid": [(minidl.sigmoid, lambda x: 1 / (1 + (-x).exp()), tensors(s)) for s in ODD],
    "tanh": [(minidl.tanh, lambda x: 1 - 2 / ((2 * x).exp() + 1), tensors(s)) for s in ODD],
    "gelu": [(functional.gelu, twin_gelu, tensors(s)) for s in ODD],
    "gelu by tanh": [(lambda x: functional.gelu(x, approximate="tanh"), twin_gelu_tanh, tensors(s)) for s in ODD],
    "silu": [(functional.silu, lambda x: x * x.sigmoid(), tensors(s)) for s in ODD],
    "softplus": [(lambda x: functional.softplus(x, 2.0), lambda x: (1 + (2 * x).exp()).log() / 2, tensors(s)) for s in ODD],
    "logsigmoid": [(functional.logsigmoid, lambda x: x.sigmoid().log(), tensors(s)) for s in ODD],
    "elu": [(functional.elu, lambda x: minidl.where(x > 0, x, x.exp() - 1), tensors(s)) for s in ODD],
    "leaky_relu": [(lambda x: functional.leaky_relu(x, 0.2), lambda x: x.maximum(0.2 * x), tensors(s)) for s in ODD],
    "relu": [(minidl.relu, lambda x: x * (x > 0), tensors(s)) for s in ODD],
}


def value_and_gradients(f, inputs):
    y = f(*inputs)
    dy = np.random.default_rng(7).normal(size=y.shape)
    return [y, *grad(y, inputs, minidl.tensor(dy))]


@pytest.mark.parametrize("name", TWINS)
def test_promise_06_fused_operations_agree_with_their_twins(name):
    for fused, twin, inputs in TWINS[name]:
        for found, expected in zip(value_and_gradients(fused, inputs), value_and_gradients(twin, inputs), strict=True):
            np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), 1e-9, 1e-11)
        strided = [minidl.from_numpy(np.repeat(x.detach().numpy(), 2, 0)[::-2][::-1]).requires_grad_() for x in inputs]
        for found, expected in zip(value_and_gradients(fused, strided), value_and_gradients(twin, inputs), strict=True):
            np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), 1e-9, 1e-11)
