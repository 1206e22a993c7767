"""The checker is checked: every usual mistake is caught and described, and nothing is left behind."""

import numpy as np
import pytest

import minidl
from minidl import autograd
from minidl.autograd import GradcheckError, gradcheck


def leaf(*shape, seed=0):
    return minidl.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def function(forward, backward, saves=True):
    """An autograd.Function of numeric arrays: forward(*arrays), backward(dy, *arrays)."""

    class Custom(autograd.Function):
        @staticmethod
        def forward(ctx, *xs):
            ctx.save_for_backward(*xs)
            return minidl.from_numpy(np.asarray(forward(*(x.numpy() for x in xs))))

        @staticmethod
        def backward(ctx, dy):
            result = backward(dy.numpy(), *(x.numpy() for x in ctx.saved_tensors))
            result = result if isinstance(result, tuple) else (result,)
            return tuple(None if g is None else minidl.from_numpy(np.array(g)) for g in result)

    return Custom.apply


def one_wrong(dx):
    dx = dx.copy()
    dx.flat[-1] *= 1.01
    return dx


def with_slope(backward):
    return function(np.sin, lambda dy, x: backward(dy * np.cos(x)))


def add(backward):
    return function(lambda a, b: a + b, backward)


def matmul(backward):
    return function(np.matmul, backward)


RIGHT = [
    (with_slope(lambda dx: dx), [(3, 4)]),
    (add(lambda dy, a, b: (dy, dy.sum(0))), [(3, 4), (4,)]),
    (matmul(lambda dy, a, b: (dy @ b.T, a.T @ dy)), [(3, 3), (3, 3)]),
    (function(lambda x: x @ x.T, lambda dy, x: (dy + dy.T) @ x), [(3, 4)]),
]
WRONG = {
    "sign flip": (with_slope(lambda dx: -dx), [(3, 4)], "the sign is wrong"),
    "factor 2": (with_slope(lambda dx: 2 * dx), [(3, 4)], "off by a factor of 2"),
    "factor 1.001": (with_slope(lambda dx: dx * 1.001), [(3, 4)], "off by a factor of 1.001"),
    "factor 1.00001": (with_slope(lambda dx: dx * 1.00001), [(3, 4)], "off by a factor of 1.00001"),
    "one wrong element": (with_slope(one_wrong), [(3, 4)], "wrong at 1 of 12 elements"),
    "zero": (with_slope(lambda dx: 0 * dx), [(3, 4)], "zero: is a term missing"),
    "not a number": (with_slope(lambda dx: dx * np.nan), [(3,)], "not finite"),
    "transposed": (with_slope(lambda dx: dx.T), [(3, 3)], "transposed"),
    "in reverse": (with_slope(lambda dx: dx[::-1]), [(5,)], "in the wrong places: in reverse along axis 0"),
    "missing term": (function(lambda x: x @ x.T, lambda dy, x: dy @ x), [(3, 4)], "with respect to input 0"),
    "missing gradient": (add(lambda dy, a, b: (dy, None)), [(3,), (3,)], "input 1.*is missing"),
    "broadcast not summed": (add(lambda dy, a, b: (dy, dy)), [(3, 4), (4,)], r"\(3, 4\) for an input of .*\(4,\)"),
    "broadcast read once": (add(lambda dy, a, b: (dy, dy[0])), [(3, 4), (4,)], "input 1, shape"),
    "broadcast averaged": (add(lambda dy, a, b: (dy, dy.mean(0))), [(3, 4), (4,)], "off by a factor of 0.333333"),
    "operands swapped": (matmul(lambda dy, a, b: (a.T @ dy, dy @ b.T)), [(3, 3), (3, 3)], "input 0"),
    "operand transposed": (matmul(lambda dy, a, b: (dy @ b.T, a @ dy)), [(3, 3), (3, 3)], "input 1"),
    "ones hide it": (
        function(lambda x: np.exp(x) / np.exp(x).sum(), lambda dy, x: dy * 0),
        [(4,)],
        "zero: is a term missing",
    ),
}


@pytest.mark.parametrize(("func", "shapes"), RIGHT)
def test_right_gradients_pass(func, shapes):
    assert gradcheck(func, [leaf(*shape, seed=i) for i, shape in enumerate(shapes)])


@pytest.mark.parametrize("mistake", WRONG)
def test_promise_04_wrong_gradients_are_caught(mistake):
    func, shapes, message = WRONG[mistake]
    inputs = [leaf(*shape, seed=i) for i, shape in enumerate(shapes)]
    with pytest.raises(GradcheckError, match=message):
        gradcheck(func, inputs)
    assert gradcheck(func, inputs, raise_exception=False) is False


def test_report_shows_the_worst_elements():
    with pytest.raises(GradcheckError) as error:
        gradcheck(with_slope(one_wrong), leaf(2, 3))
    lines = str(error.value).splitlines()
    what = "the gradient of the output with respect to input 0, shape (2, 3),"
    assert lines[0] == f"gradcheck: {what} is wrong at 1 of 6 elements"
    assert lines[1].split() == ["index", "analytic", "numeric", "relative", "error"]
    assert lines[2].strip().startswith("(1, 2)")
    assert lines[2].split()[-1] == "0.0099"
    assert lines[3].startswith("hint: ")
    assert len(lines) == 4
    with pytest.raises(GradcheckError) as error:
        gradcheck(with_slope(lambda dx: -dx), leaf(2, 3))
    lines = str(error.value).splitlines()
    assert lines[0].endswith("is wrong at 6 of 6 elements; the worst:")
    assert len(lines) == 8


def test_a_kink_is_recognised():
    x = minidl.tensor(np.array([1.0, 0.0]), requires_grad=True)
    with pytest.raises(GradcheckError, match=r"0 to the left and .* to the right: a kink or a tie"):
        gradcheck(lambda x: x.relu(), x)


def test_several_outputs_are_checked_each_alone():
    assert gradcheck(lambda x: (x.sin(), x.cos().sum(0), x.argmax()), leaf(2, 3))

    class Halves(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, da, db):
            return da * 2 + db * 3

    class Forgetful(Halves):
        @staticmethod
        def backward(ctx, da, db):
            return da * 2 + db * 3 if da.any() and db.any() else db

    assert gradcheck(Halves.apply, leaf(3))
    with pytest.raises(GradcheckError):
        gradcheck(Forgetful.apply, leaf(3))
    assert gradcheck(Forgetful.apply, leaf(3), check_undefined_grad=False)


def test_a_constant_output_that_changes_is_caught():
    with pytest.raises(GradcheckError, match="is missing"):
        gradcheck(lambda x: x.detach() * 2, leaf(3))
    with pytest.raises(GradcheckError, match=r"output 1 with respect to input 0.* is missing"):
        gradcheck(lambda x: (x * 2, x.detach() * 3), leaf(3))
    with pytest.raises(GradcheckError, match="wrong at 3 of 3"):
        gradcheck(lambda x: (x * 2, x.detach() * 3), leaf(3), check_undefined_grad=False)


def test_promise_03_refuses_float32():
    x = minidl.randn(3, requires_grad=True)
    with pytest.raises(TypeError, match=r"input 0 is float32.*double\(\)"):
        gradcheck(lambda x: x * 2, x)
    with pytest.raises(TypeError, match="func returns float32"):
        gradcheck(lambda x: x.float(), leaf(3))
    with pytest.raises(TypeError, match="input 1 is float32"):
        gradcheck(lambda x, c: x * c, (leaf(3), minidl.ones(3)))
    with pytest.raises(GradcheckError, match="the gradient for input 0 is float32, not float64"):
        gradcheck(with_slope(lambda dx: dx.astype(np.float32)), leaf(3))


def test_promise_03_refuses_overlapping_memory():
    base = np.arange(6.0)
    x, y = (minidl.from_numpy(base[part]).requires_grad_() for part in (slice(0, 4), slice(3, 6)))
    with pytest.raises(ValueError, match="input 1 overlaps"):
        gradcheck(lambda x, y: x.sum() * y.sum(), (x, y))
    with pytest.raises(ValueError, match="input 0 overlaps"):
        gradcheck(lambda x, c: x.sum() * c.sum(), (x, minidl.from_numpy(base)))
    with pytest.raises(ValueError, match="overlaps"):
        gradcheck(lambda x, y: x * y, (x, x))
    with pytest.raises(ValueError, match="input 0 is read-only, or expanded"):
        gradcheck(lambda x: x * 2, minidl.tensor(np.ones(1)).expand(3).requires_grad_())
    windows = np.lib.stride_tricks.as_strided(base, (3, 2), (8, 8))
    with pytest.raises(ValueError, match="input 0 overlaps with itself"):
        gradcheck(lambda x: x * 2, minidl.from_numpy(windows).requires_grad_())
    even, odd = (minidl.from_numpy(base[i::2]).requires_grad_() for i in (0, 1))  # interleaved, but apart
    assert gradcheck(lambda a, b: a * b, (even, odd))
    constant = minidl.tensor(np.ones(1)).expand(3)
    assert gradcheck(lambda x, c: x * c, (leaf(3), constant))


def test_promise_03_refuses_functions_that_change_their_answer():
    calls = []

    def fickle(x):
        calls.append(0)
        return x * len(calls)

    with pytest.raises(GradcheckError, match="different outputs for the same inputs"):
        gradcheck(fickle, leaf(3))
    with pytest.raises(GradcheckError, match="different outputs for the same inputs"):
        gradcheck(lambda x: x * minidl.rand(3, dtype=minidl.float64), leaf(3))
    rng = np.random.default_rng(0)
    noisy = with_slope(lambda dx: dx + 1e-9 * rng.normal(size=dx.shape))
    with pytest.raises(GradcheckError, match="different gradients for the same inputs"):
        gradcheck(noisy, leaf(3))
    assert gradcheck(noisy, leaf(3), nondet_tol=1e-7)


def test_promise_03_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match="input 0 has elements that are not finite"):
        gradcheck(lambda x: x, minidl.tensor(np.array([1.0, np.nan]), requires_grad=True))
    x = minidl.tensor(np.array([0.0, 1.0]), requires_grad=True)
    with pytest.raises(GradcheckError, match="not all finite"):
        gradcheck(lambda x: x.log(), x)
    with pytest.raises(GradcheckError, match=r"not finite with element \(0,\) moved to -1e-06"):
        gradcheck(lambda x: x.sqrt(), x)


def test_promise_03_refuses_inputs_that_say_nothing():
    x = leaf(3)
    with pytest.raises(ValueError, match="no input requires grad"):
        gradcheck(lambda x: x * 2, x.detach())
    with pytest.raises(ValueError, match="input 0 is the result of an operation"):
        gradcheck(lambda x: x * 2, x * 1)
    with pytest.raises(GradcheckError, match="do not depend on input 1"):
        gradcheck(lambda x, y: x * 2, (x, leaf(2)))
    with pytest.raises(TypeError, match="must return a tensor"):
        gradcheck(lambda x: (x, 3.0), x)
    with pytest.raises(TypeError, match="no floating-point tensor"):
        gradcheck(lambda x: x.argmax(), x)


def test_promise_03_restores_inputs_bit_for_bit():
    x = leaf(2, 3)
    before, calls = x.array.tobytes(), []

    def fails_later(x):
        calls.append(0)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return x * 2

    with pytest.raises(KeyboardInterrupt):
        gradcheck(fails_later, x)
    assert x.array.tobytes() == before

    def writes(x):
        x.array += 1
        return x * 2

    with pytest.raises(GradcheckError, match="changed input 0 in place"):
        gradcheck(writes, x)
    assert x.array.tobytes() == before
    x.array[0, 0] = -0.0
    before = x.array.tobytes()
    assert gradcheck(lambda x: x.reshape(3, 2), x)  # an output that is a view of the input
    assert gradcheck(lambda x: x, x)
    assert x.array.tobytes() == before


def test_promise_03_leaves_gradients_random_state_and_modes_alone():
    x, bystander = leaf(3), leaf(3)
    (x * bystander).sum().backward()
    grads = x.grad, bystander.grad, x.grad.array.copy()
    state, numpy_state = minidl.get_rng_state(), np.random.get_state()[1].copy()
    with minidl.no_grad():
        assert gradcheck(lambda x: x * bystander * minidl.rand(3).double().sum().sign(), x)
        assert not minidl.is_grad_enabled()
    assert x.grad is grads[0] and bystander.grad is grads[1]
    np.testing.assert_array_equal(x.grad.array, grads[2])
    assert (np.asarray(minidl.get_rng_state()) == np.asarray(state)).all()
    assert (np.random.get_state()[1] == numpy_state).all()


def test_closures_over_the_inputs_see_them_move():
    w = leaf(3)
    assert gradcheck(lambda _: (w * w).sum(), w)


def test_other_arguments_pass_through():
    assert gradcheck(lambda x, p, axis: (x**p).sum(axis), (leaf(2, 3), 3, -1))
    x = minidl.zeros(0, 3, dtype=minidl.float64, requires_grad=True)
    assert gradcheck(lambda x: x.sum(0), x)


UNSUPPORTED = {
    "check_sparse_nnz": True,
    "check_batched_grad": True,
    "check_batched_forward_grad": True,
    "check_forward_ad": True,
    "check_backward_ad": False,
    "fast_mode": True,
    "masked": True,
}


@pytest.mark.parametrize("option", UNSUPPORTED)
def test_promise_35_unsupported_options_raise(option):
    with pytest.raises(NotImplementedError, match=option):
        gradcheck(lambda x: x * 2, leaf(3), **{option: UNSUPPORTED[option]})
