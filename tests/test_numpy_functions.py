"""NumPy's functions of tensors: the operation of that name with its gradient, or NumPy itself, or an error with the remedy.

Each expression is evaluated twice, with `x` an ndarray and with `x` a tensor of the same float64 numbers. Values and gradients
are compared: of NumPy the slopes are taken by differences.
"""

import numpy as np
import pytest

import minidl
from minidl.tensors.exchange import _COUNTING, _FUNCTIONS, _OF_SIZES

# Tensors: x and y (3, 4), v (4), of distinct numbers from 0.2 to 0.9. ndarrays: a (3, 4), a mask m, indices i and j
WITH_GRADIENT = """
np.sqrt(x) ; np.exp(x) ; np.log(x) ; np.sin(x) ; np.cos(x) ; np.tan(x) ; np.tanh(x) ; np.arcsin(x) ; np.arccos(x)
np.arctan(x) ; np.log1p(x) ; np.expm1(x) ; np.log2(x) ; np.log10(x) ; np.square(x) ; np.reciprocal(x) ; np.negative(x)
np.positive(x) ; np.absolute(-x) ; np.sinh(x) ; np.cosh(x) ; np.add(x, y) ; np.subtract(x, y) ; np.multiply(x, v)
np.divide(x, y) ; np.power(x, 3) ; np.power(2.0, x) ; np.true_divide(1.5, x) ; np.maximum(x, y) ; np.minimum(x, y)
np.maximum(0.5, x) ; np.matmul(x, y.T) ; np.remainder(x, 0.3) ; np.float64(2) * x ; np.float64(2) - x
np.float64(2) / x ; np.float64(2) ** x ; np.float32(2) + x ; np.int64(3) * x ; a + x ; a - x ; a * x ; a / x ; a @ x.T
np.array(2.0) * x ; a**x ; np.abs(x - 0.5) ; np.sum(x) ; np.sum(x, 1) ; np.sum(x, axis=0, keepdims=True)
np.sum(x, axis=(0, 1)) ; np.mean(x, axis=0) ; np.mean(x) ; np.mean(x, 1, keepdims=True) ; np.prod(x, axis=1)
np.var(x, axis=0) ; np.var(x, ddof=1) ; np.std(x) ; np.std(x, axis=1, ddof=1)
np.std(x, axis=1, correction=1, keepdims=True) ; np.max(x, axis=1) ; np.amax(x) ; np.min(x, axis=0, keepdims=True)
np.amin(x) ; np.nansum(x, axis=0) ; np.cumsum(x) ; np.cumsum(x, axis=1) ; np.linalg.norm(x) ; np.linalg.norm(x, axis=1)
np.linalg.norm(x, 3, axis=0) ; np.linalg.norm(x, axis=0, keepdims=True) ; np.linalg.norm(v, 1)
np.linalg.norm(x, 'fro') ; np.reshape(x, (2, 6)) ; np.reshape(x, -1) ; np.ravel(x) ; np.transpose(x)
np.transpose(x[None], (1, 2, 0)) ; np.swapaxes(x, 0, 1) ; np.moveaxis(x, 0, -1) ; np.expand_dims(x, (0, 2))
np.expand_dims(x, -1) ; np.squeeze(x[None]) ; np.squeeze(x[None], 0) ; np.broadcast_to(x, (2, 3, 4)) ; np.flip(x)
np.flip(x, 1) ; np.fliplr(x) ; np.flipud(x) ; np.roll(x, 2) ; np.roll(x, 1, 0) ; np.tile(x, 2) ; np.tile(x, (2, 1, 1))
np.repeat(x, 2) ; np.repeat(x, 2, axis=0) ; np.diagonal(x) ; np.diagonal(x, 1) ; np.diag(v) ; np.diag(x, 1)
np.trace(x) ; np.trace(x, 1) ; np.tril(x) ; np.triu(x, 1) ; np.concatenate([x, y]) ; np.concatenate([x, a], axis=1)
np.concatenate((x, v), axis=None) ; np.stack([x, y]) ; np.stack([x, a], axis=2) ; np.vstack([x, v]) ; np.hstack([x, y])
np.concatenate([v, [1.0]]) ; np.split(x, 3)[1] ; np.split(x, [1, 3], axis=1)[1] ; np.split(x, [1, 3], 1)[2]
np.where(m, x, 0) ; np.where(m, x, y) ; np.where(x > 0.5, a, x) ; np.clip(x, 0.3, 0.6) ; np.clip(x, None, 0.6)
np.clip(x, 0.3, None) ; np.clip(x, min=0.3, max=0.5) ; np.take(x, i) ; np.take(x, i, axis=1) ; np.take(x, [0, -1], 0)
np.take_along_axis(x, j, axis=1) ; np.sort(x) ; np.sort(x, axis=0) ; np.sort(x, axis=None) ; np.dot(x, y.T)
np.dot(v, v) ; np.dot(x, v) ; np.dot(v, x.T) ; np.dot(x, 2.0) ; np.dot(a, x.T) ; np.dot(v, x.T[None]) ; np.inner(x, y)
np.inner(v, v) ; np.inner(3.0, x) ; np.inner(x[None], v) ; np.outer(v, x) ; np.einsum('ij,kj->ik', x, y)
np.einsum('ij,j', a, v)
"""
IF_THERE = """
np.arctan2(x, y) ; np.logaddexp(x, y) ; np.fmod(x, 0.3) ; np.nanmean(x, axis=0) ; np.median(x) ; np.median(x, axis=1)
np.quantile(x, 0.3, axis=0) ; np.percentile(x, 40) ; np.cumprod(x) ; np.cumprod(x, axis=1) ; np.diff(x) ; np.diff(x, 2, axis=0)
np.nan_to_num(x) ; np.kron(x, v) ; np.tensordot(x, y) ; np.tensordot(x, y, axes=([1], [1])) ; np.rot90(x) ; np.rot90(x, 2)
"""  # operations that a Tensor may have or not
WITHOUT = """
np.unique(x > 0.5) ; np.unique(np.round(x, 1), return_counts=True) ; np.isin(x, x[0]) ; np.bincount(np.argsort(v), minlength=6)
np.searchsorted(np.sort(v), 0.5) ; np.searchsorted(np.sort(v), v, side='right') ; np.digitize(x, [0.3, 0.6])
np.argmax(x) ; np.argmax(x, axis=1) ; np.argmin(x, axis=0, keepdims=True) ; np.argsort(x) ; np.argsort(x, axis=0)
np.argsort(x, axis=None) ; np.all(x > 0.1) ; np.any(x > 0.5, axis=1) ; np.argwhere(x > 0.5) ; np.count_nonzero(x > 0.5)
np.count_nonzero(x > 0.5, axis=0) ; np.nonzero(x > 0.5) ; np.where(x > 0.5) ; np.isnan(x) ; np.isfinite(x) ; np.isinf(x)
np.sign(x - 0.5) ; np.floor(x * 9) ; np.ceil(x * 9) ; np.trunc(x * 9) ; np.rint(x * 9) ; np.round(x, 1) ; np.around(x)
np.floor_divide(x, 0.3) ; np.greater(x, 0.5) ; a < x ; np.float64(0.5) >= x ; a == x ; a != x ; np.less(x, y)
np.less_equal(x, y) ; np.greater_equal(x, y) ; np.equal(x, x) ; np.not_equal(x, x) ; np.logical_not(x > 0.5)
np.invert(x > 0.5) ; np.logical_and(m, x > 0.5) ; np.logical_or(m, x > 0.5) ; np.bitwise_and(m, x > 0.5) ; m | (x > 0.5)
m ^ (x > 0.5) ; np.isclose(x, y) ; np.allclose(x, x) ; np.allclose(x, y.tolist()) ; np.array_equal(x, x)
np.array_equal(x, y) ; np.zeros_like(x) ; np.ones_like(x) ; np.full_like(x, 7) ; np.full_like(x, np.int64(7))
np.shape(x) ; np.ndim(x) ; np.size(x) ; np.result_type(x) ; np.iscomplexobj(x) ; np.empty_like(x).shape
"""


def expressions(text):
    return [code.strip() for line in text.strip().splitlines() for code in line.split(";")]


def names(of):
    rng = np.random.default_rng(0)
    grid = rng.permutation(24).reshape(2, 3, 4) / 36 + 0.21
    names = {"x": of(grid[0]), "y": of(grid[1]), "v": of(np.array([0.3, 0.8, 0.45, 0.7]))}
    ours = {
        "a": rng.uniform(0.2, 0.9, (3, 4)),
        "m": rng.random((3, 4)) > 0.5,
        "i": np.array([2, 0]),
        "j": np.array([[0, 3], [1, 1], [2, 0]]),
    }
    return {**names, **ours, "np": np}


def evaluate(code, tensors):
    result = eval(code, tensors)
    return result if isinstance(result, (tuple, list)) else [result]


@pytest.mark.parametrize("code", expressions(IF_THERE))
def test_operations_that_may_be_there(code):
    name = code[3 : code.index("(")]
    if hasattr(minidl.Tensor, {"arctan2": "atan2", "median": "quantile", "percentile": "quantile"}.get(name, name)):
        test_numpys_functions_are_recorded(code)
    else:
        with pytest.raises(TypeError, match=r"requires grad; write np\.\w+\(t\.detach\(\)"):
            evaluate(code, names(lambda x: minidl.tensor(x, requires_grad=True)))


@pytest.mark.parametrize("code", expressions(WITH_GRADIENT))
def test_numpys_functions_are_recorded(code):
    arrays, tensors = names(lambda x: x), names(lambda x: minidl.tensor(x, requires_grad=True))
    ((expected,), (found,)) = evaluate(code, arrays), evaluate(code, tensors)
    assert type(found) is minidl.Tensor and found.requires_grad and found.dtype == np.float64
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-12)
    weights = np.random.default_rng(1).uniform(0.5, 1.5, np.shape(expected))
    (found * minidl.tensor(weights)).sum().backward()
    for name in "xyv":
        slopes = np.zeros_like(arrays[name])
        for index in np.ndindex(slopes.shape):
            for step in (1e-6, -1e-6):
                moved = {**arrays, name: arrays[name].copy()}
                moved[name][index] += step
                slopes[index] += (evaluate(code, moved)[0] * weights).sum() / (2 * step)
        gradient = tensors[name].grad
        np.testing.assert_allclose(0 if gradient is None else gradient.numpy(), slopes, atol=1e-6)


@pytest.mark.parametrize("code", expressions(WITHOUT))
def test_numpys_functions_without_a_gradient(code):
    """Also of tensors that require grad."""
    expected = evaluate(code, names(lambda x: x))
    for requires_grad in (False, True):
        found = evaluate(code, names(lambda x: minidl.tensor(x, requires_grad=requires_grad)))  # noqa: B023
        assert len(found) == len(expected)
        for y, z in zip(found, expected, strict=True):
            assert isinstance(y, minidl.Tensor) == isinstance(z, (np.ndarray, np.generic)), type(y)
            np.testing.assert_array_equal(y.detach().numpy() if isinstance(y, minidl.Tensor) else y, z)


def test_every_function_of_the_table_is_tested():
    called = {code.partition("(")[0] for code in expressions(WITH_GRADIENT + IF_THERE + WITHOUT)}
    tested = {eval(name) for name in called if name.startswith("np.")}
    untested = {function.__name__ for function in {*_FUNCTIONS, *_OF_SIZES, *_COUNTING} - tested}
    assert untested <= {"can_cast", "min_scalar_type", "isrealobj", "shares_memory", "may_share_memory"}


@pytest.mark.parametrize(
    ("code", "dtype"),
    [
        ("np.sqrt(n)", "float32"),
        ("np.float64(2) * f", "float32"),
        ("np.float64(2) * n", "float32"),
        ("np.int64(2) * n", "int64"),
        ("np.maximum(np.float64(0.5), f)", "float32"),
        ("np.maximum(np.float64(0.5), n)", "float32"),
        ("np.ones(3) * f", "float64"),
        ("np.ones(3, 'float32') * n", "float32"),
        ("np.array(2.0) * f", "float32"),
        ("np.sum(n)", "int64"),
        ("np.sum(f, dtype=np.float64)", "float64"),
        ("np.zeros_like(f, dtype=np.int64)", "int64"),
        ("np.concatenate([f, n])", "float32"),
        ("np.cbrt(f)", "float32"),
        ("np.longdouble(2) * f", "float32"),
        ("np.longdouble(2) ** f", "float32"),
        ("np.float16(2) * f", "float32"),
    ],
)
def test_dtypes_are_pytorchs(code, dtype):
    f, n = minidl.tensor([1.0, 2.0, 3.0]), minidl.tensor([1, 2, 3])
    assert eval(code, {"np": np, "f": f, "n": n}).dtype == dtype


def test_a_number_keeps_its_digits_beside_float64():
    x = minidl.tensor([0.0], dtype=minidl.float64)
    assert np.maximum(0.1, x).item() == 0.1 and np.minimum(0.1, x + 1).item() == 0.1


def test_what_minidl_has_not_is_computed_by_numpy_unless_a_gradient_is_wanted():
    x = minidl.tensor([[3.0, 1.0], [2.0, 5.0]])
    assert np.average(x) == 2.75 and np.ptp(x) == 4 and np.linalg.norm(x, 2) == np.linalg.norm(x.numpy(), 2)
    assert np.cbrt(x).tolist() == np.cbrt(x.numpy()).tolist() and isinstance(np.cbrt(x), minidl.Tensor)
    quotient, rest = np.divmod(minidl.tensor([5, 7]), 3)
    assert quotient.tolist() == [1, 2] and rest.tolist() == [2, 1]
    assert np.histogram(x, bins=[0, 2, 6])[0].tolist() == [1, 3]
    target = np.zeros((2, 2))
    np.copyto(target, x)
    assert target.tolist() == x.tolist()
    w = x.clone().requires_grad_()
    for call in (np.average, np.cbrt, np.fft.fft, np.gradient, lambda t: np.linalg.norm(t, 2), lambda t: np.append([1.0], t)):
        with pytest.raises(TypeError, match=r"np\..*requires grad; write np\.[\w.]+\(t\.detach\(\)\.numpy\(\)"):
            call(w)
    for call in (lambda: np.copyto(target, w), lambda: np.histogram(a=w), lambda: np.block([[w, w]])):
        with pytest.raises(TypeError, match=r"t\.detach\(\)\.numpy\(\)"):
            call()
    assert target.tolist() == x.tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: np.sqrt(t, where=np.array([True, False])), r"np\.sqrt: where= cannot.*np\.sqrt\(t\.detach\(\)\.numpy\(\)"),
        (lambda t: np.sqrt(t, dtype="float64"), r"np\.sqrt: dtype= cannot"),
        (lambda t: np.add(t, t, casting="no"), r"np\.add: casting= cannot"),
        (lambda t: np.sqrt(np.ones(2), out=t), r"np\.sqrt: out= cannot be a Tensor"),
        (lambda t: np.add.reduce(t), r"np\.add\.reduce: not of a Tensor; write np\.add\.reduce\(t\.detach\(\)\.numpy\(\)"),
        (lambda t: np.add.outer(t, t), r"np\.add\.outer: not of a Tensor"),
        (lambda t: np.sum(t, where=np.array([True, False])), r"np\.sum: where= cannot.*np\.sum\(t\.detach\(\)\.numpy\(\)"),
        (lambda t: np.sum(t, initial=3), r"np\.sum: initial= cannot"),
        (lambda t: np.mean(t, out=np.zeros(())), r"np\.mean: out= cannot"),
        (lambda t: np.mean(t, 0, None, np.zeros(())), r"np\.mean: of a Tensor, more than 3 arguments are given by name"),
        (lambda t: np.reshape(t, (1, 2), order="F"), r"np\.reshape: order= cannot"),
        (lambda t: np.concatenate([t, t], dtype="float64"), r"np\.concatenate: dtype= cannot"),
        (lambda t: np.sum(t, where=None) + np.sum(t, out=None) + np.zeros(2, complex), "complex128"),
    ],
)
def test_options_that_cannot_be_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call(minidl.tensor([1.0, 4.0]))


def test_an_ndarray_takes_a_tensor_in_place_if_it_wants_no_gradient():
    total, t = np.ones(2), minidl.tensor([1.0, 2.0])
    same = total
    total += t
    np.multiply(total, t, out=total)
    assert total is same and total.tolist() == [2.0, 6.0]
    with pytest.raises(TypeError, match=r"use \.detach\(\)"):
        total += t.requires_grad_()
    assert total.tolist() == [2.0, 6.0]


def test_another_librarys_array_is_asked_too():
    class Other:
        def __array_function__(self, function, types, args, kwargs):
            return "other"

        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            return "other"

    assert np.concatenate([minidl.ones(1), Other()]) == "other"


def test_arrays_of_tensors():
    t = minidl.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(t), t.numpy()) and not np.shares_memory(np.array(t), t.numpy())
    assert np.asarray(t, dtype=np.float64).dtype == np.float64 and np.array([t, t]).tolist() == [[1, 2], [1, 2]]
    with pytest.raises(ValueError, match="copy"):
        np.asarray(t, dtype=np.float64, copy=False)
    with pytest.raises(RuntimeError, match=r"use \.detach\(\)"):
        np.asarray(t.requires_grad_())
