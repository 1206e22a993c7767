"""Are the gradients right? Each number of an input is moved a little to both sides, and the outputs are watched.

    ∂y/∂x_i ≈ (y(x + h e_i) − y(x − h e_i)) / 2h

In float64 with h = 1e-6 the truncation error h²y‴/6 is about 1e-12 and the rounding error 1e-16·y/h about 1e-10. The tolerances
here are 1e-6, far above both and far below any mistake; PyTorch's default rtol of 1e-3 lets a factor of 1.001 pass.

What is compared is not the whole Jacobian J but Jᵀv for a random cotangent v: a wrong element of J changes Jᵀv, except by a
coincidence of probability 0. v is never all ones: under ones the gradient of softmax is 0, right or wrong.
"""

import functools
import itertools

import numpy as np

from ..graph.modes import enable_grad, no_grad
from ..random import fork_rng
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .functional import grad


class GradcheckError(RuntimeError):
    """The analytic gradient is not the numeric one; the message shows where."""


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
    return _gradcheck(func, inputs, (eps, atol, rtol, nondet_tol, check_undefined_grad), raise_exception)


def _gradcheck(func, inputs, options, raise_exception, may_ignore=False):
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    _check_inputs(inputs)
    arrays = [x.array for x in inputs if isinstance(x, Tensor)]
    before = [array.copy() for array in arrays]
    try:
        with fork_rng():
            _check(func, inputs, *options, may_ignore)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    finally:
        for array, value in zip(arrays, before, strict=True):
            if array.tobytes() != value.tobytes():
                array[...] = value
    return True


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
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    _check_inputs(inputs)
    with enable_grad(), fork_rng():
        outputs = _outputs(func, inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        sizes = [rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape) for y in outputs]
        grad_outputs = [wrap(np.asarray(size)).requires_grad_() for size in sizes]
    grad_outputs = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"gradgradcheck: expected a cotangent for each of {len(outputs)} outputs, got {len(grad_outputs)}")

    def gradients(*args):
        xs, dys = args[: len(inputs)], args[len(inputs) :]
        with enable_grad():
            live = [(y, dy) for y, dy in zip(_outputs(func, xs), dys, strict=True) if y.requires_grad]
            if not live:
                raise ValueError("gradgradcheck: no output of func requires grad")
            ys, dys = zip(*live, strict=True)
            wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
            return [dx for dx in grad(ys, wanted, dys, create_graph=True, allow_unused=True) if dx is not None]

    options = eps, atol, rtol, nondet_tol, check_undefined_grad
    return _gradcheck(gradients, (*inputs, *grad_outputs), options, raise_exception, may_ignore=True)


# --- what can be checked at all


def _check_inputs(inputs):
    tensors = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    if not any(x.requires_grad for _, x in tensors):
        raise ValueError("gradcheck: no input requires grad; use x.requires_grad_()")
    for i, x in tensors:
        if x.is_floating_point() and x.dtype != np.float64:
            raise TypeError(
                f"gradcheck: input {i} is {x.dtype}, too coarse to tell a wrong gradient from rounding; use "
                "x.detach().double().requires_grad_(), and .double() on a module"
            )
        if x.requires_grad and not x.is_leaf:
            raise ValueError(f"gradcheck: input {i} is the result of an operation; use x.detach().requires_grad_()")
        if x.requires_grad and not x.array.flags.writeable:
            raise ValueError(f"gradcheck: input {i} is read-only, or expanded; use x.detach().clone().requires_grad_()")
        if x.is_floating_point() and not np.isfinite(x.array).all():
            raise ValueError(f"gradcheck: input {i} has elements that are not finite")
    seen = np.unique(np.concatenate([[0], *(_addresses(x.array) for _, x in tensors if not x.requires_grad)]))
    for i, x in tensors:
        if x.requires_grad:
            seen = np.concatenate([seen, _addresses(x.array)])
            if len(np.unique(seen)) < len(seen):
                raise ValueError(
                    f"gradcheck: the memory of input {i} overlaps with itself or with another input, so that no element can be "
                    "moved alone; use x.detach().clone().requires_grad_()"
                )


def _addresses(array):
    places = np.full((1,) * array.ndim, array.__array_interface__["data"][0])
    for axis, (n, step) in enumerate(zip(array.shape, array.strides, strict=True)):
        places = places + (np.arange(n) * step).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    return places.ravel()


# --- the check


def _check(func, inputs, eps, atol, rtol, nondet_tol, each_alone, may_ignore):
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    before = [x.array.copy() if isinstance(x, Tensor) else None for x in inputs]
    with enable_grad():
        runs = [_outputs(func, inputs) for _ in range(2)]
    for i, (x, value) in enumerate(zip(inputs, before, strict=True)):
        if value is not None and x.array.tobytes() != value.tobytes():
            raise GradcheckError(f"gradcheck: func changed input {i} in place")
    first, second = ([y.array.copy() for y in run] for run in runs)
    if not all(np.isfinite(y).all() for y in first):
        raise GradcheckError("gradcheck: the outputs at the inputs are not all finite")
    _check_same("outputs", first, second, nondet_tol)

    rng = np.random.default_rng(0)  # away from 0, where a cotangent would hide a mistake
    cotangents = [np.asarray(rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)) for y in first]
    everything = tuple(range(len(first)))
    alone = [(k,) for k in everything] if each_alone and len(everything) > 1 else []
    subsets = [everything, *alone]
    analytic, repeated = ([_analytic(run, ks, cotangents, inputs, wanted) for ks in subsets] for run in runs)
    for i, x in enumerate(wanted):
        numeric = _numeric(func, inputs, x, cotangents, eps)
        for ks, found, found_again in zip(subsets, analytic, repeated, strict=True):
            slopes = numeric[list(ks)].sum(0)
            what = f"the gradient of {_outputs_named(ks, everything)} with respect to input {x}, shape {slopes.shape},"
            if found[i] is None:
                if slopes.any():
                    raise GradcheckError(f"gradcheck: {what} is missing: the graph does not lead to this input")
                if ks == everything and not may_ignore:
                    raise GradcheckError(f"gradcheck: the outputs do not depend on input {x}; do not let it require grad")
                continue
            _check_same("gradients", [found[i]], [found_again[i]], nondet_tol)
            wrong = _wrong_first(found[i], slopes, rtol, atol)
            if wrong:
                hint = _hint(found[i], slopes) or _kink(func, inputs, x, wrong[0], cotangents, eps)
                raise GradcheckError(_report(what, found[i], slopes, wrong, hint))


def _outputs(func, inputs):
    outputs = func(*inputs)
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    for y in outputs:
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck: func must return a tensor or several, got {type(y).__name__}")
        if y.is_floating_point() and y.dtype != np.float64:
            raise TypeError(f"gradcheck: func returns {y.dtype}; compute in float64 throughout (.double() on a module)")
    outputs = [y for y in outputs if y.is_floating_point()]
    if not outputs:
        raise TypeError("gradcheck: func returns no floating-point tensor")
    return outputs


def _check_same(what, first, second, tolerance):
    pairs = zip(first, second, strict=True)
    if not all(x.shape == y.shape and np.allclose(x, y, 0, tolerance, equal_nan=True) for x, y in pairs):
        raise GradcheckError(
            f"gradcheck: func gives different {what} for the same inputs; switch off what is random, such as dropout (.eval())"
        )


def _analytic(outputs, ks, cotangents, inputs, wanted):
    """[gradient or None for each wanted input] of Σ_k v_k·y_k over the chosen outputs."""
    live = [k for k in ks if outputs[k].requires_grad]
    if not live:
        return [None] * len(wanted)
    seeds = [wrap(cotangents[k].copy()) for k in live]
    try:
        found = grad([outputs[k] for k in live], [inputs[i] for i in wanted], seeds, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise GradcheckError(f"gradcheck: backward fails: {error}") from error
    for i, dx in zip(wanted, found, strict=True):
        if dx is not None and dx.dtype != np.float64:
            raise GradcheckError(f"gradcheck: the gradient for input {i} is {dx.dtype}, not float64")
    return [None if dx is None else dx.array for dx in found]


def _numeric(func, inputs, i, cotangents, eps):
    """∂(v_k·y_k)/∂x for each output k, shape (outputs, *x.shape), by moving each element of input i to both sides."""
    x = inputs[i].array
    slopes = np.zeros((len(cotangents), *x.shape))
    for index in np.ndindex(x.shape):
        above, below = x[index] + eps, x[index] - eps
        ups, downs = _values_at(func, inputs, x, index, above), _values_at(func, inputs, x, index, below)
        for k, (v, up, down) in enumerate(zip(cotangents, ups, downs, strict=True)):
            slopes[(k, *index)] = np.sum(v * (up - down)) / (above - below)
    return slopes


def _values_at(func, inputs, x, index, value):
    """The outputs (copied: they may be views of x) with one element of x replaced, for the moment."""
    kept = x[index]
    x[index] = value
    try:
        with no_grad():
            values = [y.array.copy() for y in _outputs(func, inputs)]
    finally:
        x[index] = kept
    if not all(np.isfinite(y).all() for y in values):
        raise GradcheckError(f"gradcheck: an output is not finite with element {index} moved to {value}: too near a border")
    return values


# --- what to tell the reader


def _outputs_named(ks, everything):
    return "the outputs" if len(ks) > 1 else f"output {ks[0]}" if len(everything) > 1 else "the output"


def _relative_error(analytic, numeric):
    scale = np.maximum(np.abs(analytic), np.abs(numeric))
    return np.divide(np.abs(analytic - numeric), scale, np.full_like(scale, np.inf), where=np.isfinite(scale) & (scale > 0))


def _wrong_first(analytic, numeric, rtol, atol):
    """The indices where they disagree, the worst first."""
    error = _relative_error(analytic, numeric)
    wrong = np.argwhere(~np.isclose(analytic, numeric, rtol, atol))
    return sorted(map(tuple, wrong.tolist()), key=lambda index: -error[index])


def _report(what, analytic, numeric, wrong, hint):
    error = _relative_error(analytic, numeric)
    lines = [
        f"gradcheck: {what} is wrong at {len(wrong)} of {numeric.size} elements; the worst:",
        f"{'index':>12}{'analytic':>18}{'numeric':>18}{'relative error':>18}",
    ]
    for index in wrong[:5]:
        lines.append(f"{index!s:>12}{analytic[index]:18.10g}{numeric[index]:18.10g}{error[index]:18.2g}")
    return "\n".join([*lines, f"hint: {hint}"] if hint else lines)


def _hint(analytic, numeric):
    """What the difference looks like, if it looks like one of the usual mistakes."""
    close = functools.partial(np.allclose, rtol=1e-5, atol=1e-6)
    if not np.isfinite(analytic).all():
        return "the analytic gradient is not finite: a division by 0, or 0·inf?"
    if not analytic.any():
        return "the analytic gradient is zero: is a term missing, or an input detached?"
    if close(analytic, -numeric):
        return "the sign is wrong"
    factor = np.sum(analytic * numeric) / max(np.sum(numeric * numeric), np.finfo(float).tiny)
    if numeric.size > 1 and close(analytic, factor * numeric):
        return f"off by a factor of {factor:.6g}"
    for axes in itertools.permutations(range(numeric.ndim)) if numeric.ndim < 5 else ():
        if numeric.transpose(axes).shape == analytic.shape and close(analytic, numeric.transpose(axes)):
            return f"transposed: it has its axes in the order {axes}"
    if close(np.sort(analytic, None), np.sort(numeric, None)):
        return "the right numbers in the wrong places"
    return ""


def _kink(func, inputs, i, index, cotangents, eps):
    """What to say if the slopes to the left and to the right of that element differ."""
    x = inputs[i].array
    low, mid, high = (
        sum(np.sum(v * y) for v, y in zip(cotangents, _values_at(func, inputs, x, index, x[index] + step), strict=True))
        for step in (-eps, 0.0, eps)
    )
    left, right = (mid - low) / eps, (high - mid) / eps
    if abs(right - left) > 1e-3 * max(abs(left), abs(right), 1.0):
        return f"the slope is {left:.4g} to the left and {right:.4g} to the right: is the input at a kink or a tie?"
    return ""
