"""Are the gradients right? Each number of an input is moved a little to both sides, and the outputs are watched.

    ∂y/∂x_i ≈ (y(x + h e_i) − y(x − h e_i)) / 2h

In float64 with h = 1e-6 the truncation error h²y‴/6 is about 1e-12 and the rounding error 1e-16·y/h about 1e-10. The tolerances
here are 1e-6, far above both and far below any mistake; PyTorch's default rtol of 1e-3 lets a factor of 1.001 pass.

What is compared is not the whole Jacobian J but Jᵀv for a random cotangent v: a wrong element of J changes Jᵀv, except by a
coincidence of probability 0. v is never all ones: under ones the gradient of softmax is 0, right or wrong.

`differences` computes both gradients, `diagnosis` tells what is wrong with one, `hints` what it looks like.
"""

import math
import re
from numbers import Real

import numpy as np

from ..graph.modes import enable_grad, is_grad_enabled
from ..random import fork_rng
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .diagnosis import Evidence, Finding, of_the_shape, report, wrong_first
from .differences import GradcheckError, Names, SecondNames, Trial
from .functional import grad
from .hints import rounded


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-6,
    rtol=1e-6,
    raise_exception=True,
    check_sparse_nnz=False,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=True,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """Whether the gradients of func at the inputs agree with central differences, |analytic − numeric| ≤ atol + rtol·|numeric|.

    func takes the inputs and returns a tensor or several. The inputs are float64 leaves, of which at least one requires grad;
    every element of those is moved by eps, and put back bit for bit. Keep away from kinks and ties.
    check_undefined_grad: with several outputs, also walk back from each alone. The gradients' dtypes are checked in any case.

    A wrong gradient raises GradcheckError with a report, as do values that are not finite, and a func that gives two answers
    to one question or ignores an input; or it returns False without raise_exception. Inputs that cannot be checked (float32,
    overlapping memory, no leaves) raise a ValueError or TypeError in either case.

    >>> import minidl
    >>> x = minidl.randn(3, 4, dtype=minidl.float64, requires_grad=True)
    >>> minidl.autograd.gradcheck(lambda x: x.softmax(-1), x)
    True
    """
    unsupported = {
        "check_sparse_nnz": check_sparse_nnz,
        "check_batched_grad": check_batched_grad,
        "check_batched_forward_grad": check_batched_forward_grad,
        "check_forward_ad": check_forward_ad,
        "check_backward_ad=False": not check_backward_ad,
        "fast_mode": fast_mode,
        "masked": masked,
    }
    for name, is_set in unsupported.items():
        if is_set:
            raise NotImplementedError(f"gradcheck: {name} is not supported; every element is checked in reverse mode")
    __tracebackhide__ = True
    _check_numbers("gradcheck", eps=eps, atol=atol, rtol=rtol, nondet_tol=nondet_tol)
    return _gradcheck(func, inputs, (eps, atol, rtol, nondet_tol, check_undefined_grad), raise_exception, Names())


def _check_numbers(name, **numbers):
    for what, x in numbers.items():
        if not isinstance(x, Real) or not 0 <= x < math.inf or (what == "eps" and x == 0):
            raise ValueError(f"{name}: {what} must be a finite number of 0 or more (eps above 0), got {x!r}")


def _gradcheck(func, inputs, options, raise_exception, names, may_ignore=False):
    __tracebackhide__ = True  # pytest shows the line that called gradcheck, and not what is below it
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    _check_inputs(inputs, names.check)
    arrays = [x.array for x in inputs if isinstance(x, Tensor)]
    before = [array.copy() for array in arrays]
    eps, *rest = options
    try:
        with fork_rng():
            _check(Trial(func, inputs, eps, names), *rest, may_ignore, explain=raise_exception)
    except GradcheckError as error:
        if raise_exception:
            raise error.with_traceback(None) from None
        return False
    except Exception as error:
        raise error.with_traceback(_from_outside(error.__traceback__))  # noqa: B904 (it is the same one)
    finally:
        for array, value in zip(arrays, before, strict=True):
            if array.tobytes() != value.tobytes():
                array[...] = value
    return True


def _place(traceback):
    """Where an error was raised, if that was not by the engine."""
    while traceback.tb_next:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    if re.match(ENGINE, traceback.tb_frame.f_globals.get("__name__", "")):
        return ""
    return f"\nraised in {code.co_name}, {code.co_filename}:{traceback.tb_lineno}"


ENGINE = r"minidl\.(autograd|double_backward|func|graph|tensors)\b"


def _from_outside(traceback):
    """The frames of func, or of the backward that failed, without those of the engine that called it."""
    inner = traceback
    while inner.tb_next and re.match(ENGINE, inner.tb_frame.f_globals.get("__name__", "")):
        inner = inner.tb_next
    return inner


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-6,
    rtol=1e-6,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=True,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """Whether the gradients of func's gradients agree with central differences of these: gradcheck of (inputs, dy) → dx.

    grad_outputs: the cotangents dy of the outputs, float64 leaves; random ones by default.

    >>> import minidl
    >>> x = minidl.randn(3, 4, dtype=minidl.float64, requires_grad=True)
    >>> minidl.autograd.gradgradcheck(lambda x: x.softmax(-1), x)
    True
    """
    for name, is_set in {
        "gen_non_contig_grad_outputs": gen_non_contig_grad_outputs,
        "check_batched_grad": check_batched_grad,
        "check_fwd_over_rev": check_fwd_over_rev,
        "check_rev_over_rev=False": not check_rev_over_rev,
        "fast_mode": fast_mode,
        "masked": masked,
    }.items():
        if is_set:
            raise NotImplementedError(f"gradgradcheck: {name} is not supported; every element is checked, reverse over reverse")
    __tracebackhide__ = True
    _check_numbers("gradgradcheck", eps=eps, atol=atol, rtol=rtol, nondet_tol=nondet_tol)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    names = SecondNames(len(inputs))
    _check_inputs(inputs, names.check)
    first = Trial(func, inputs, eps, names)
    with fork_rng():
        outputs = first.recorded()
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        sizes = [rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape) for y in outputs]
        grad_outputs = [wrap(np.asarray(size)).requires_grad_() for size in sizes]
    grad_outputs = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"gradgradcheck: expected a cotangent for each of {len(outputs)} outputs, got {len(grad_outputs)}")

    def gradients(*args):
        xs, dys = args[: len(inputs)], args[len(inputs) :]
        again = is_grad_enabled()  # not where an element is moved: the numbers of dx are asked for, and no graph of them
        with enable_grad():
            ys = Trial(func, xs, eps, names).outputs()
            live = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
            if not live:
                raise ValueError("gradgradcheck: no output of func requires grad")
            ys, dys = zip(*live, strict=True)
            wanted = [i for i, x in enumerate(xs) if isinstance(x, Tensor) and x.requires_grad]
            found = grad(ys, [xs[i] for i in wanted], dys, retain_graph=True, create_graph=again, allow_unused=True)
            names.dx_of = [i for i, dx in zip(wanted, found, strict=True) if dx is not None]
            return [dx for dx in found if dx is not None]

    options = eps, atol, rtol, nondet_tol, check_undefined_grad
    return _gradcheck(gradients, (*inputs, *grad_outputs), options, raise_exception, names, may_ignore=True)


# --- what can be checked at all


def _check_inputs(inputs, check):
    tensors = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    if not any(x.requires_grad for _, x in tensors):
        raise ValueError(f"{check}: no input requires grad; use x.requires_grad_()")
    for i, x in tensors:
        if x.is_floating_point() and x.dtype != np.float64:
            raise TypeError(
                f"{check}: input {i} is {x.dtype}, too coarse to tell a wrong gradient from rounding; use "
                "x.detach().double().requires_grad_(), and .double() on a module"
            )
        if x.requires_grad and not x.is_leaf:
            raise ValueError(f"{check}: input {i} is the result of an operation; use x.detach().requires_grad_()")
        if x.requires_grad and not x.array.flags.writeable:
            raise ValueError(f"{check}: input {i} is read-only, or expanded; use x.detach().clone().requires_grad_()")
        if x.is_floating_point() and not np.isfinite(x.array).all():
            raise ValueError(f"{check}: input {i} has elements that are not finite")
    seen = np.unique(np.concatenate([[0], *(_addresses(x.array) for _, x in tensors if not x.requires_grad)]))
    for i, x in tensors:
        if x.requires_grad:
            seen = np.concatenate([seen, _addresses(x.array)])
            if len(np.unique(seen)) < len(seen):
                raise ValueError(
                    f"{check}: the memory of input {i} overlaps with itself or with another input, so that no element can be "
                    "moved alone; use x.detach().clone().requires_grad_()"
                )


def _addresses(array):
    places = np.full((1,) * array.ndim, array.__array_interface__["data"][0])
    for axis, (n, step) in enumerate(zip(array.shape, array.strides, strict=True)):
        places = places + (np.arange(n) * step).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    return places.ravel()


# --- the check


def _check(trial, atol, rtol, nondet_tol, each_alone, may_ignore, explain):
    inputs, names = trial.inputs, trial.names
    before = [x.array.copy() if isinstance(x, Tensor) else None for x in inputs]
    runs = [trial.recorded() for _ in range(2)]
    for i, (x, value) in enumerate(zip(inputs, before, strict=True)):
        if value is not None and x.array.tobytes() != value.tobytes():
            raise GradcheckError(f"{names.check}: func changed {names.input(i)} in place")
    first, second = ([y.array.copy() for y in run] for run in runs)
    if not all(np.isfinite(y).all() for y in first):
        raise GradcheckError(f"{names.check}: the outputs at the inputs are not all finite")
    switch_off = "gives different {} for the same inputs; switch off what is random, such as dropout (.eval())"
    _check_same(first, second, nondet_tol, f"{names.check}: func {switch_off.format('outputs')}")

    rng = np.random.default_rng(0)  # away from 0, where a cotangent would hide a mistake
    cotangents = [np.asarray(rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)) for y in first]
    everything = tuple(range(len(first)))
    alone = [(k,) for k in everything] if each_alone and len(everything) > 1 else []
    subsets = [everything, *alone]
    analytic, repeated = ([_walk_back(trial, run, ks, cotangents) for ks in subsets] for run in runs)
    again = _walk_back(trial, runs[0], everything, cotangents)

    findings, evidence = [], Evidence(cotangents, first, runs[0])
    for i in trial.wanted:
        try:
            numeric = trial.numeric(i, cotangents)
        except GradcheckError:
            if findings:
                break  # what is found already says more
            raise
        for ks, found, found_again in zip(subsets, analytic, repeated, strict=True):
            slopes = evidence.numeric[i, ks] = numeric[list(ks)].sum(0)
            if found[i] is None:
                if slopes.any():
                    what = Finding(trial, i, ks, slopes, slopes, [], evidence).what()
                    raise GradcheckError(f"{names.check}: {what} is missing: the graph does not lead to this input")
                if ks == everything and not may_ignore:
                    raise GradcheckError(
                        f"{names.check}: the outputs do not depend on {names.input(i)}; do not let it require grad"
                    )
                continue
            _check_same([found[i]], [found_again[i]], nondet_tol, f"{names.check}: func {switch_off.format('gradients')}")
            wrong = wrong_first(found[i], slopes, rtol, atol)
            if wrong:
                findings.append(Finding(trial, i, ks, found[i], slopes, wrong, evidence))
                if not explain:
                    raise GradcheckError(f"{names.check}: wrong")
    if findings:
        raise GradcheckError(report(findings))
    for i, dx in again.items():
        if dx is not None:
            _check_same(
                [analytic[0][i]],
                [dx],
                nondet_tol,
                f"{names.check}: a second walk back over the same graph gives another gradient for {names.input(i)}: backward "
                "writes to an array that forward saved; compute in a copy",
            )
            if rounded(dx):
                raise GradcheckError(
                    f"{names.check}: the gradient for {names.input(i)} has the digits of float32 only: does backward compute "
                    "in float32 (a constant, astype, np.float32(...))? Keep the dtype of dy"
                )


def _walk_back(trial, outputs, ks, cotangents):
    try:
        return trial.analytic(outputs, ks, cotangents)
    except RuntimeError as error:
        if isinstance(error, GradcheckError):
            raise
        message = f"{trial.names.check}: backward fails: {error}{of_the_shape(str(error))}"
        raise GradcheckError(message + _place(error.__traceback__)) from error


def _check_same(first, second, tolerance, message):
    pairs = zip(first, second, strict=True)
    if not all(x.shape == y.shape and np.allclose(x, y, 0, tolerance, equal_nan=True) for x, y in pairs):
        raise GradcheckError(message)
