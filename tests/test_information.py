"""minidl.information: gradients, zeros, forms of input, errors; and SciPy's word for the values.

What the quantities are is in test_book_information, what holds for all of them in test_information_properties.
"""

import math

import numpy as np
import pytest

import minidl
from minidl import information
from minidl.autograd import gradcheck

FLOAT64 = minidl.float64
LN2 = math.log(2)
P, Q = [0.1, 0.5, 0.1, 0.3], [0.4, 0.3, 0.2, 0.1]
TABLE = [[0.1, 0.25, 0.05], [0.2, 0.1, 0.3]]
POSITIVE_DEFINITE = [[2.0, 0.5, 0.1], [0.5, 1.0, -0.2], [0.1, -0.2, 1.5]]


def double(values, requires_grad=False):
    return minidl.tensor(values, dtype=FLOAT64, requires_grad=requires_grad)


def gradients(function, *values, **options):
    """The gradient of a function at each of the values."""
    inputs = [double(v, requires_grad=True) for v in values]
    function(*inputs, **options).sum().backward()
    return [x.grad.tolist() for x in inputs]


# --- gradients inside, in float64

ON_DISTRIBUTIONS = {  # of unnormalised numbers, so that every direction is tried and the sums stay 1
    "entropy": lambda x: information.entropy(x.softmax(0)),
    "entropy, natural": lambda x: information.entropy(x.softmax(0), base=math.e),
    "entropy, base 3": lambda x: information.entropy(x.softmax(0), base=3),
    "entropy of rows": lambda x: information.entropy(x.reshape(2, 3).softmax(1), dim=1),
    "entropy of logarithms": lambda x: information.entropy(x.log_softmax(0), log=True),
    "joint_entropy": lambda x: information.joint_entropy(x.softmax(0).reshape(2, 3)),
    "conditional_entropy": lambda x: information.conditional_entropy(x.softmax(0).reshape(2, 3)),
    "conditional_entropy of logarithms": lambda x: information.conditional_entropy(x.log_softmax(0).reshape(2, 3), log=True),
    "mutual_information": lambda x: information.mutual_information(x.softmax(0).reshape(3, 2)),
    "mutual_information of logarithms": lambda x: information.mutual_information(x.log_softmax(0).reshape(3, 2), log=True),
    "pointwise": lambda x: information.pointwise_mutual_information(x.softmax(0).reshape(3, 2)),
    "kl_divergence": lambda x: information.kl_divergence(x[:3].softmax(0), x[3:].softmax(0)),
    "kl_divergence of logarithms": lambda x: information.kl_divergence(x[:3].log_softmax(0), x[3:].log_softmax(0), log=True),
    "cross_entropy": lambda x: information.cross_entropy(x[:3].softmax(0), x[3:].softmax(0)),
    "cross_entropy of logarithms": lambda x: information.cross_entropy(x[:3].log_softmax(0), x[3:].log_softmax(0), log=True),
    "jensen_shannon": lambda x: information.jensen_shannon(x[:3].softmax(0), x[3:].softmax(0)),
    "jensen_shannon of logarithms": lambda x: information.jensen_shannon(x[:3].log_softmax(0), x[3:].log_softmax(0), log=True),
    "self_information": lambda x: information.self_information(x.sigmoid()),
    "perplexity": lambda x: information.perplexity(x.sigmoid()),
    "perplexity of logarithms": lambda x: information.perplexity(x.reshape(2, 3).log_softmax(1), dim=1, log=True),
}


@pytest.mark.parametrize("function", ON_DISTRIBUTIONS.values(), ids=ON_DISTRIBUTIONS)
def test_gradients_of_distributions(function):
    assert gradcheck(function, double([0.3, -0.8, 0.5, 1.1, -0.2, 0.1], requires_grad=True))


RAW = {
    "entropy": (lambda p: information.entropy(p, raw=True), (P,)),
    "joint_entropy": (lambda p: information.joint_entropy(p, raw=True), (TABLE,)),
    "kl_divergence": (lambda p, q: information.kl_divergence(p, q, raw=True), (P, [0.2, 0.1, 0.7, -0.3])),
    "conditional_entropy": (information.conditional_entropy, (TABLE, [0.3, 0.2, 0.5])),
    "mutual_information": (information.mutual_information, (TABLE, [0.3, 0.2, 0.5], [[0.6], [0.9]])),
}


@pytest.mark.parametrize(("function", "values"), RAW.values(), ids=RAW)
def test_gradients_of_raw_formulas(function, values):
    assert gradcheck(function, [double(v, requires_grad=True) for v in values])


OF_DENSITIES = {
    "uniform_entropy": (information.uniform_entropy, ([0.0, -1.0], [0.5, 3.0])),
    "normal_entropy": (information.normal_entropy, ([0.3, 2.0],)),
    "normal_kl": (information.normal_kl, ([0.3, 2.0], [1.0, 0.5], [-0.1], [0.7, 1.9])),
    "bivariate_normal_mutual_information": (information.bivariate_normal_mutual_information, ([-0.9, 0.0, 0.4],)),
    "multivariate_normal_entropy": (
        lambda half: information.multivariate_normal_entropy(half @ half.mT + 0.5 * minidl.eye(3, dtype=FLOAT64)),
        ([[[1.0, 0.3, 0.2], [0.1, 2.0, -0.3], [0.5, 0.4, 1.0]]] * 2,),
    ),
}


@pytest.mark.parametrize(("function", "values"), OF_DENSITIES.values(), ids=OF_DENSITIES)
def test_gradients_of_densities(function, values):
    assert gradcheck(function, [double(v, requires_grad=True) for v in values])


# --- gradients on the border: finite, and as stated


def test_promise_17_entropy_at_zero_and_at_one():
    (dp,) = gradients(information.entropy, [0.0, 0.5, 0.5, 0.0])
    assert dp == pytest.approx([0, 1 - 1 / LN2, 1 - 1 / LN2, 0])
    assert gradients(information.entropy, [1.0, 0.0]) == [pytest.approx([-1 / LN2, 0])]
    assert gradients(information.entropy, [1.0, 0.0], base=math.e) == [pytest.approx([-1, 0])]
    assert gradients(information.entropy, [0.0, -math.inf], log=True) == [pytest.approx([-1 / LN2, 0])]


def test_promise_17_divergence_at_zero_at_one_and_at_equality():
    dp, dq = gradients(information.kl_divergence, [0.0, 1.0, 0.0], [0.5, 0.5, 0.0])
    assert dp == pytest.approx([0, 1 + 1 / LN2, 0])
    assert dq == pytest.approx([0, -2 / LN2, 0])
    dp, dq = gradients(information.kl_divergence, P, P)
    assert dp == pytest.approx([1 / LN2] * 4)  # along the simplex, where the sum stays 1, these are 0
    assert dq == pytest.approx([-1 / LN2] * 4)
    dp, dq = gradients(information.cross_entropy, [0.0, 1.0, 0.0], [0.5, 0.5, 0.0])
    assert dp == pytest.approx([1, 1, 0])
    assert dq == pytest.approx([0, -2 / LN2, 0])
    dp, dq = gradients(information.jensen_shannon, [0.0, 1.0, 0.0], [0.5, 0.5, 0.0])
    assert np.isfinite([dp, dq]).all()


def test_promise_17_an_infinite_divergence_spoils_no_other_gradient():
    finite = [[True, False, True], [True, True, True]]
    functions = (
        information.kl_divergence,
        information.cross_entropy,
        lambda p, q, dim: information.kl_divergence(p, q, dim=dim, raw=True),
    )
    for function in functions:
        p = double([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], requires_grad=True)
        q = double([[1.0, 0.0, 0.0], [0.3, 0.6, 0.1]], requires_grad=True)
        total = function(p, q, dim=1)
        assert minidl.isinf(total).tolist() == [True, False]
        total.sum().backward()
        assert p.grad[0, 1] == math.inf
        assert q.grad[0, 1] == -math.inf
        for x in (p, q):
            assert minidl.isfinite(x.grad).tolist() == finite
        assert q.grad[1].tolist() == pytest.approx((-p / q / LN2)[1].tolist())


def test_promise_17_predictions_that_underflow_are_given_as_logarithms():
    for log_q, expected in (([0.0, -math.inf], math.inf), ([0.0, -1000.0], 500 / LN2 - 1)):
        kl = information.kl_divergence(double([0.5, 0.5]).log(), double(log_q).log_softmax(0), log=True)
        assert kl.item() == pytest.approx(expected)
    x = double([1000.0, 0.0], requires_grad=True)
    loss = information.cross_entropy(double([0.0, 1.0]).log(), x.log_softmax(0), base=math.e, log=True)
    loss.backward()
    assert loss.item() == 1000
    assert x.grad.tolist() == [1, -1]
    log_p, log_q = [0.0, -2000.0], [0.0, -math.inf]  # e^−2000 is 0 even in float64, and counts as 0
    for function in (information.kl_divergence, information.cross_entropy, information.jensen_shannon):
        assert function(double(log_p), double(log_q), log=True).item() == 0
        assert np.isfinite(gradients(function, log_p, log_q, log=True)).all()


def test_a_ratio_may_be_beyond_the_range_of_the_dtype():
    tiny = minidl.tensor([1.0, 1e-40])
    assert information.kl_divergence(tiny.flip(0), tiny).item() == pytest.approx(40 * math.log2(10), rel=1e-5)
    assert information.jensen_shannon(minidl.tensor([1.0, 1e-45]), minidl.tensor([1.0, 0.0])).item() < 1e-44
    pmi = information.pointwise_mutual_information(double([[0.0, -2000.0], [-2000.0, -math.inf]]), log=True)
    assert pmi.tolist() == [[0, 0], [0, -math.inf]]
    assert information.kl_divergence(minidl.tensor([-1.0, -1.0, 1.0]), minidl.tensor([-1.0, -2.0, 0.0]), raw=True) == math.inf


@pytest.mark.parametrize("dtype", [minidl.float32, FLOAT64])
@pytest.mark.parametrize("values", [[1000.0, 0.0, -1000.0], [0.0, -90.0, -104.0], [-1e30, 1e30, 0.0]])
def test_promise_17_entropy_of_extreme_logits(values, dtype):
    for function in (
        lambda x: information.entropy(x.softmax(0)),
        lambda x: information.entropy(x.log_softmax(0), log=True),
        lambda x: information.kl_divergence(x.softmax(0), minidl.full((3,), 1 / 3, dtype=dtype)),
    ):
        x = minidl.tensor(values, dtype=dtype, requires_grad=True)
        y = function(x)
        y.backward()
        assert math.isfinite(y.item())
        assert minidl.isfinite(x.grad).all()
        assert x.grad.abs().max() < 1e-6
        assert x.grad.dtype == y.dtype == dtype


def test_promise_17_tables_with_empty_cells_rows_and_columns():
    p = [[0.25, 0.0, 0.0], [0.25, 0.5, 0.0], [0.0, 0.0, 0.0]]
    for function in (information.joint_entropy, information.conditional_entropy, information.mutual_information):
        (dp,) = gradients(function, p)
        assert np.isfinite(dp).all()
    (dp,) = gradients(information.mutual_information, p)
    assert dp[0][1] == pytest.approx(-2 / LN2)  # nothing from the cell itself, −1/ln 2 from each of its marginals
    pmi = information.pointwise_mutual_information(double(p))
    assert pmi.tolist() == [[1, -math.inf, 0], [pytest.approx(math.log2(2 / 3)), pytest.approx(math.log2(4 / 3)), 0], [0, 0, 0]]
    (dp,) = gradients(lambda t: information.pointwise_mutual_information(t)[[0, 1, 1], [0, 0, 1]], p)
    assert np.isfinite(dp).all()


def test_raw_terms_that_are_dropped_send_nothing_back():
    p, q = double([0.5, -0.5, 0.0, 2.0], requires_grad=True), double([0.25, 0.5, 0.0, -1.0], requires_grad=True)
    kl = information.kl_divergence(p, q, raw=True)
    assert kl.item() == 0.5
    kl.backward()
    assert p.grad.tolist() == [pytest.approx(1 + 1 / LN2), 0, 0, 0]
    assert q.grad.tolist() == [pytest.approx(-2 / LN2), 0, 0, 0]
    (dp,) = gradients(information.entropy, [-0.5, 0.5, math.nan], raw=True)
    assert dp == pytest.approx([0, 1 - 1 / LN2, 0])


def test_raw_and_checked_agree_on_distributions():
    p, q = double([0.0, 0.25, 0.75]), double([0.5, 0.25, 0.25])
    assert information.entropy(p, raw=True) == information.entropy(p)
    assert information.kl_divergence(p, q, raw=True) == information.kl_divergence(p, q)
    assert information.joint_entropy(p[None], raw=True) == information.joint_entropy(p[None])
    assert information.kl_divergence(q, p, raw=True) == information.kl_divergence(q, p) == math.inf


# --- numbers, lists, arrays, integers, dtypes


def test_numbers_give_numbers_in_double_precision():
    assert type(information.self_information(1 / 64)) is float
    assert type(information.self_information(np.float32(0.25))) is float
    assert information.self_information(0) == math.inf
    assert str(information.self_information(1)) == "0.0"  # not −0.0
    assert information.entropy(1.0) == 0.0
    assert information.perplexity(0.125) == 8.0
    assert information.normal_kl(0, 1, 0, np.float64(2)) == pytest.approx(0.318147 / LN2, rel=1e-5)


def test_lists_and_arrays_are_tensors_in_the_making():
    assert information.entropy(P).dtype == minidl.float32
    assert information.entropy(np.array(P)).dtype == FLOAT64
    assert information.self_information([1, 0]).tolist() == [0, math.inf]
    assert information.entropy(minidl.tensor([0, 1])).tolist() == 0  # integers, as one_hot makes them
    mixed = information.normal_kl(double([0.0, 1.0], requires_grad=True), 1, 0, 1)
    assert mixed.dtype == FLOAT64
    assert mixed.tolist() == pytest.approx([0, 0.5 / LN2])
    assert information.normal_kl(minidl.tensor(1.0), 1.0, 0.0, 2.0).dtype == minidl.float32


def test_certain_outcomes_print_no_minus_sign():
    assert str(information.entropy([0.0, 1.0])) == "tensor(0.)"
    assert str(information.self_information([1.0])) == "tensor([0.])"
    assert str(information.conditional_entropy([[0.5, 0.0], [0.0, 0.5]])) == "tensor(0.)"
    assert str(information.cross_entropy([0.0, 1.0], [0.0, 1.0])) == "tensor(0.)"


def test_float32_stays_and_is_precise():
    p = minidl.tensor(P, requires_grad=True)
    y = information.kl_divergence(p, minidl.tensor(Q))
    y.backward()
    assert y.dtype == p.grad.dtype == minidl.float32
    q = minidl.full((1000,), 1e-3)
    nearby = q + 1e-6 * minidl.tensor([1.0, -1.0] * 500)
    assert information.kl_divergence(q, nearby, base=math.e).item() == pytest.approx(5e-7, rel=0.2)


def test_bases():
    for base in (2, 10, math.e, 0.5, 7):
        assert information.self_information(0.3, base=base) == pytest.approx(-math.log(0.3) / math.log(base), rel=1e-14)
    assert information.self_information([0.1, 0.01, 1e-3], base=10).tolist() == pytest.approx([1, 2, 3])
    for base in (1, 0, -2, math.inf, math.nan, "2", True, None):
        with pytest.raises(ValueError, match="base: expected a number above 0 other than 1"):
            information.entropy(P, base=base)


def test_several_axes_may_hold_one_distribution():
    p = minidl.stack([double(TABLE), double(TABLE).flip(0)])
    assert information.entropy(p, dim=(1, 2)).shape == (2,)
    assert information.entropy(p / 2).item() == pytest.approx(information.entropy(p, dim=(-2, -1)).mean().item() + 1)
    three = double([[[0.1, 0.2], [0.3, 0.1]], [[0.1, 0.05], [0.05, 0.1]]])
    assert information.joint_entropy(three).item() == information.entropy(three.flatten()).item()


def test_perplexity():
    assert information.perplexity([1.0, 1.0]).item() == 1
    assert information.perplexity([0.5, 0.0]).item() == math.inf
    assert information.perplexity([[0.5, 0.5], [0.25, 1.0]], dim=1).tolist() == [2, 2]
    assert information.perplexity([-3000.0], log=True).item() == math.inf
    assert information.perplexity(double([-500.0, 0.0]), log=True).item() == pytest.approx(math.exp(250))
    logits, labels = minidl.randn(6, 5), minidl.tensor([0, 4, 2, 2, 1, 3])
    of_targets = logits.softmax(1)[range(6), labels]
    assert information.perplexity(of_targets).item() == pytest.approx(
        minidl.nn.functional.cross_entropy(logits, labels).exp().item(), rel=1e-5
    )


def test_given_marginals_may_be_logarithms_too():
    p, x, y = double(TABLE), double([0.3, 0.2, 0.5]), double([[0.6], [0.9]])
    given = information.conditional_entropy(p, x), information.mutual_information(p, x, y)
    from_logs = (
        information.conditional_entropy(p.log(), x.log(), log=True),
        information.mutual_information(p.log(), x.log(), y.log(), log=True),
    )
    assert [t.item() for t in from_logs] == pytest.approx([t.item() for t in given], rel=1e-12)


def test_inputs_are_not_changed():
    p, q = double([0.0, 0.5, 0.5]), double([0.5, 0.5, 0.0])
    information.jensen_shannon(p, q)
    information.kl_divergence(p, q, raw=True)
    assert (p.tolist(), q.tolist()) == ([0, 0.5, 0.5], [0.5, 0.5, 0])


# --- densities


def test_densities_at_the_border():
    assert information.bivariate_normal_mutual_information([-1.0, 0.0, 1.0]).tolist() == [math.inf, 0, math.inf]
    assert information.normal_kl(0.0, 1e-3, 0.0, 1e3) == pytest.approx((math.log(1e6) - 0.5) / LN2)
    batch = double([POSITIVE_DEFINITE, np.eye(3).tolist()])
    assert information.multivariate_normal_entropy(batch).shape == (2,)
    assert information.multivariate_normal_entropy(batch)[1].item() == pytest.approx(3 * information.normal_entropy(1))
    nats = information.multivariate_normal_entropy(double([[4.0]]), base=math.e).item()
    assert nats == pytest.approx(information.normal_entropy(2, base=math.e))


def test_maximum_entropy_of_densities():
    """Of those with one variance the normal has the most, and of those on one interval the uniform."""
    assert information.uniform_entropy(0, math.sqrt(12)) < information.normal_entropy(1)


def test_normal_divergence_of_vectors():
    """½ (tr Σ₂⁻¹Σ₁ + Δᵀ Σ₂⁻¹ Δ − k + ln |Σ₂|/|Σ₁|): for diagonal Σ the sum over the components."""
    mean1, mean2, std1, std2 = np.array([0.3, -1.0]), np.array([0.0, 0.5]), np.array([0.5, 2.0]), np.array([1.5, 0.7])
    first, second, gap = np.diag(std1**2), np.diag(std2**2), mean2 - mean1
    inverse = np.linalg.inv(second)
    nats = np.trace(inverse @ first) + gap @ inverse @ gap - 2 + np.log(np.linalg.det(second) / np.linalg.det(first))
    assert information.normal_kl(mean1, std1, mean2, std2, base=math.e).sum().item() == pytest.approx(nats / 2)


# --- errors

REFUSED = {
    "sum": (
        lambda: information.entropy([0.5, 0.6]),
        r"entropy: the probabilities of shape \(2,\) sum to 1.1, expected 1 within",
    ),
    "sum of a row": (
        lambda: information.entropy([[0.5, 0.5], [0.5, 0.4]], dim=1),
        r"at index \(1,\) of shape \(2, 2\) along dim=1 sum to 0.9",
    ),
    "whole table for rows": (lambda: information.entropy([[0.5, 0.5], [0.5, 0.5]]), "sum to 2, expected 1"),
    "negative": (
        lambda: information.entropy([0.5, -0.5, 1.0]),
        r"entropy: -0.5 at index \(1,\) is not a probability; raw=True",
    ),
    "nan": (lambda: information.entropy([0.5, math.nan]), r"nan at index \(1,\) is not a probability"),
    "inf": (lambda: information.entropy([math.inf, 0.0]), "sum to inf"),
    "empty": (lambda: information.entropy(minidl.zeros(0)), r"of shape \(0,\) sum to 0, expected 1"),
    "logarithms": (lambda: information.entropy([-0.7, -0.7]), "log-probabilities go with log=True"),
    "no logarithms": (lambda: information.entropy([0.5, 0.5], log=True), "sum to 3.29744"),
    "which": (lambda: information.kl_divergence(P, [0.5, 0.5, 0.5, 0.5]), "kl_divergence: q: the probabilities"),
    "shapes": (lambda: information.kl_divergence(P, [0.5, 0.5]), r"p \(4,\) and q \(2,\) must have one shape"),
    "reference": (lambda: information.kl_divergence([P, Q], P, dim=1), "q.expand_as"),
    "labels": (lambda: information.cross_entropy([[0.3, 0.7]], minidl.tensor([0])), "nn.functional.nll_loss"),
    "joint of one": (lambda: information.joint_entropy(P), r"an axis for each of two variables or more, got shape \(4,\)"),
    "conditional of one": (
        lambda: information.conditional_entropy(P),
        r"expected a joint distribution \(X, Y\), got shape \(4,\)",
    ),
    "mutual of three": (lambda: information.mutual_information(minidl.full((2, 2, 2), 0.125)), "got shape"),
    "pointwise of counts": (lambda: information.pointwise_mutual_information([[3, 1], [0, 4]]), "sum to 8"),
    "probability": (
        lambda: information.self_information(1.5),
        r"self_information: 1.5 is not a probability, which is in \[0, 1\]",
    ),
    "negative probability": (lambda: information.self_information([0.5, -0.1]), r"at index \(1,\)"),
    "log-probability": (lambda: information.self_information(0.5, log=True), "not the logarithm of a probability"),
    "perplexity": (lambda: information.perplexity([2.0]), "perplexity: 2.0"),
    "perplexity of nothing": (lambda: information.perplexity(minidl.zeros(0)), "one outcome or more"),
    "std": (lambda: information.normal_entropy([1.0, 0.0]), "normal_entropy: std must be above 0, got 0.0"),
    "std2": (lambda: information.normal_kl(0, 1, 0, -2), "normal_kl: std2 must be above 0, got -2"),
    "interval": (lambda: information.uniform_entropy(1, 1), "high − low must be above 0"),
    "correlation": (lambda: information.bivariate_normal_mutual_information(-1.01), r"must lie in \[−1, 1\], got -1.01"),
    "covariance": (lambda: information.multivariate_normal_entropy([[1.0, 2.0], [2.0, 1.0]]), "eigenvalues above 0.* -1"),
    "asymmetric": (lambda: information.multivariate_normal_entropy([[1.0, 0.2], [0.3, 1.0]]), "symmetric"),
    "not square": (lambda: information.multivariate_normal_entropy([[1.0, 0.2]]), r"\(…, k, k\), got shape \(1, 2\)"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_promise_26_what_is_no_distribution_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_marginal_alone_is_refused():
    with pytest.raises(TypeError, match="both marginals"):
        information.mutual_information(TABLE, p_x=[0.4, 0.6])
    with pytest.raises(IndexError, match="entropy: dim 1 is out of range"):
        information.entropy(P, dim=1)


def test_rounding_is_no_error():
    p = minidl.rand(100_000)
    p = p / p.sum()
    assert information.entropy(p).item() == pytest.approx(information.entropy(p.double() / p.double().sum()).item(), rel=1e-5)
    information.entropy(double([1 / 3, 1 / 3, 1 / 3]))
    with pytest.raises(ValueError, match=r"sum to 0\.999"):
        information.entropy([0.333, 0.333, 0.333])


# --- a second opinion


def test_scipy_agrees():
    stats = pytest.importorskip("scipy.stats")
    special = pytest.importorskip("scipy.special")
    distance = pytest.importorskip("scipy.spatial.distance")
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet([0.5] * 6, 20), rng.dirichlet([0.5] * 6, 20)
    p[:, 2] = 0
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(information.entropy(p, dim=1).array, stats.entropy(p, base=2, axis=1), rtol=1e-12)
    np.testing.assert_allclose(information.entropy(p, base=math.e, dim=1).array, special.entr(p).sum(1), rtol=1e-12)
    np.testing.assert_allclose(
        information.kl_divergence(p, q, base=3, dim=1).array, stats.entropy(p, q, base=3, axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(
        information.kl_divergence(p, q, base=math.e, dim=1).array, special.rel_entr(p, q).sum(1), rtol=1e-12
    )
    np.testing.assert_allclose(
        information.jensen_shannon(p, q, dim=1).array, distance.jensenshannon(p, q, 2, axis=1) ** 2, rtol=1e-10
    )
    assert information.normal_entropy(1.7, base=math.e) == pytest.approx(stats.norm(0, 1.7).entropy())
    assert information.multivariate_normal_entropy(np.array(POSITIVE_DEFINITE), base=math.e).item() == pytest.approx(
        stats.multivariate_normal([0, 0, 0], POSITIVE_DEFINITE).entropy()
    )
