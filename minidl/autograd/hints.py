"""What a wrong gradient looks like: each hint is a function of a Finding that answers with a sentence, or with nothing.

They are asked in order, what is surest first, and the first to answer is printed. Each compares numbers that agree by chance
almost never.
"""

import itertools
import math

import numpy as np

from ..tensors.tensor import Tensor


def close(x, y, rtol=1e-5):
    """Whether they agree, with as many digits as differences have."""
    if x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return False
    return np.allclose(x, y, rtol, 0.1 * rtol * max(1.0, np.abs(y).max(initial=0.0)))


def rounded(x):
    """Whether all elements are numbers of float32, and some are longer than 12 bits: not by chance."""
    with np.errstate(over="ignore"):
        narrow = np.array_equal(x, x.astype(np.float32))
    mantissas = np.frexp(x)[0] * 2**12
    return bool(narrow and (mantissas != np.round(mantissas)).any())


def not_finite(f):
    if not np.isfinite(f.analytic).all():
        return "the analytic gradient is not finite: a division by 0, a logarithm or root of 0, or 0·inf?"


def _noise(f, step):
    """What rounding makes of differences over such a step."""
    size = sum(np.abs(f.others.cotangents[k] * f.others.values[k]).sum() for k in f.ks)
    return 8 * np.finfo(float).eps * size / step


def outputs_too_large(f):
    noise = _noise(f, f.trial.eps)
    if np.isfinite(f.analytic).all() and np.abs(f.analytic - f.numeric).max() < noise:
        largest = max(np.abs(f.others.values[k]).max() for k in f.ks)
        return (
            f"perhaps nothing is wrong: beside outputs as large as {largest:.2g}, differences are only known to within "
            f"{noise:.1g}. Check where the outputs are smaller"
        )


def at_a_kink(f):
    """The slopes to both sides differ, and not as those of a curve do: by an eighth with an eighth of the step."""
    seen, step = f.wrong[:8], f.trial.eps
    noise = _noise(f, step / 8)
    for index in seen:
        left, right = f.trial.one_sided(f.i, index, f.ks, f.others.cotangents, step)
        nearer_left, nearer_right = f.trial.one_sided(f.i, index, f.ks, f.others.cotangents, step / 8)
        if abs((nearer_right - nearer_left) - (right - left) / 8) <= 1e-2 * max(abs(left), abs(right), 1e-3) + noise:
            return ""
    left, right = f.trial.one_sided(f.i, seen[0], f.ks, f.others.cotangents, step)
    return (
        f"at {seen[0]} the slope is {left:.4g} to the left and {right:.4g} to the right: a kink or a tie, where there is no "
        "one gradient to check. Move the input away from it (for relu and abs from 0, for max from equal numbers)"
    )


def computed_in_float32(f):
    if any(rounded(f.others.values[k]) for k in f.ks):
        return (
            "the output has the digits of float32 only, too few for differences: does forward compute in float32 (a constant, "
            "astype, np.float32(...))? Keep the dtype of the input"
        )


def cotangent_ignored(f):
    def at(factor):
        dys = [factor * v for v in f.others.cotangents]
        return f.trial.analytic(f.others.outputs, f.ks, dys)[f.i]

    if f.analytic.any() and np.isfinite(f.analytic).all():
        if close(at(2.0), f.analytic):
            return "it is the same for any dy: backward must multiply by dy, the gradient of the output (the chain rule)"
        if not (close(at(2.0), 2 * f.analytic) and close(at(-1.0), -f.analytic)):
            return "it is not linear in dy: backward may scale, move and add up dy, but not square it or ask for its sign"


def should_be_zero(f):
    if np.abs(f.numeric).max() < 1e-9:
        return "no output changes when this input is moved, so its gradient must be 0 (return None, or zeros)"


def zero(f):
    if not f.analytic.any():
        return "the analytic gradient is zero: is a term missing, or an input detached?"


def sign(f):
    if close(f.analytic, -f.numeric):
        return "the sign is wrong: a minus is missing, or there is one too many"


def factor(f):
    ratio = np.sum(f.analytic * f.numeric) / max(np.sum(f.numeric * f.numeric), np.finfo(float).tiny)
    tolerance = min(1e-5, 1e-2 * abs(ratio - 1))  # near 1, a factor must fit better than 1
    if f.numeric.size > 1 and close(f.analytic, ratio * f.numeric, tolerance):
        return f"off by a factor of {ratio:.7g}{_counted(f, abs(ratio))}"


def _counted(f, ratio):
    """What a factor n or 1/n counts, if it is a number of elements."""
    n = round(max(ratio, 1 / ratio))
    if n < 2 or abs(max(ratio, 1 / ratio) / n - 1) > 1e-5:
        return ""
    size, shape, outputs = f.numeric.size, f.numeric.shape, [f.others.values[k].size for k in f.ks]
    sizes = {math.prod(axes) for r in range(1, len(shape) + 1) for axes in itertools.combinations(shape, r)}
    repeats = {y // size for y in outputs if size and y % size == 0}
    what = f" = 1/{n}" if ratio < 1 else ""
    if n == size:
        return f"{what}: {n} is the number of elements of the input. A mean divides by it, a sum does not"
    if n in sizes:
        return f"{what}: {n} is the size of one or more axes of the input. A mean over them divides by it, a sum does not"
    if n in repeats:
        return f"{what}: each element of the input was used {n} times. Their gradients are added up, and not averaged"
    return f"{what}: the 2 of a square, forgotten or written twice?" if n == 2 else what


def imprecise(f):
    if close(f.analytic, f.numeric, 1e-3) and len(f.wrong) > 1:
        return "nearly right: a constant with too few digits, an eps added, or a formula that holds approximately?"


def signs(f):
    same = np.isclose(f.analytic, f.numeric, 1e-5, 1e-6)
    if f.numeric.size > 2 and not same.all() and close(np.abs(f.analytic), np.abs(f.numeric)):
        return f"only the sign is wrong, at {np.sum(~same)} of {same.size} elements: an abs() or a sign() too many or too few?"


def missing_factor(f):
    """numeric = analytic·v or analytic/v, for a v at hand."""
    for name, v in _at_hand(f):
        if v.ndim > f.numeric.ndim or np.broadcast_shapes(v.shape, f.numeric.shape) != f.numeric.shape or np.ptp(v) < 1e-3:
            continue
        if close(f.analytic * v, f.numeric):
            return f"a factor is missing: times {name} it would be right"
        if np.all(v) and close(f.analytic, f.numeric * v):
            return f"a factor is too many: divided by {name} it would be right"


def _at_hand(f):
    values = [(f.trial.names.input(i), x.array) for i, x in _floats(f)]
    values += [("the output", f.others.values[k]) for k in f.ks]
    for name, v in values:
        yield name, v
        yield f"1 − {name}", 1 - v
        yield f"1 + {name}", 1 + v
        yield f"the square of {name}", v * v


def _floats(f):
    return [(i, x) for i, x in enumerate(f.trial.inputs) if isinstance(x, Tensor) and x.is_floating_point()]


def transposed(f):
    for axes in itertools.permutations(range(f.numeric.ndim)) if f.numeric.ndim < 5 else ():
        if axes != tuple(range(f.numeric.ndim)) and close(f.analytic, f.numeric.transpose(axes)):
            return f"transposed: it has its axes in the order {axes}"


def of_another_input(f):
    for (j, ks), gradient in f.others.numeric.items():
        if j != f.i and ks == f.ks and close(f.analytic, gradient):
            return f"this is the gradient for {f.trial.names.input(j)}: backward returns them in the order of the inputs"


def moved(f):
    x = f.numeric
    for axis in range(x.ndim):
        if close(f.analytic, np.flip(x, axis)):
            return f"in the wrong places: in reverse along axis {axis}"
        for n in range(1, x.shape[axis]):
            if close(f.analytic, np.roll(x, n, axis)):
                n = n if n <= x.shape[axis] // 2 else n - x.shape[axis]
                return f"in the wrong places: moved by {n} along axis {axis}"
    if close(np.sort(f.analytic, None), np.sort(x, None)):
        return "the right numbers in the wrong places: does backward take the indices or the order of forward?"


def one_of_many(f):
    """An input that broadcasting repeats gets the sum over its repetitions; here it gets one of them."""
    (k,) = f.ks
    v, shape = f.others.cotangents[k], f.numeric.shape
    lead = v.ndim - len(shape)
    axes = tuple(a for a in range(v.ndim) if a < lead or (shape[a - lead] == 1 and v.shape[a] > 1))
    n = math.prod(v.shape[a] for a in axes)
    if n < 2 or np.broadcast_shapes(shape, v.shape) != v.shape:
        return ""
    even = list(f.others.cotangents)
    even[k] = np.ascontiguousarray(np.broadcast_to(v.mean(axes, keepdims=True), v.shape))
    analytic = f.trial.analytic(f.others.outputs, f.ks, even)[f.i]
    if close(n * analytic, f.trial.numeric(f.i, even)[k]):
        return f"broadcasting repeated this input {n} times, and only one of them is counted: sum over {axes_named(axes)} of dy"


def operand_turned(f):
    """Were another input or dy transposed, or read from its end, the numeric gradient would be this one."""
    trial, v = f.trial, f.others.cotangents
    for j, x in _floats(f):
        for how, turn in TURNS if j != f.i and x.array.ndim else ():
            kept = x.array.copy()
            if turn(kept).shape != kept.shape or np.array_equal(turn(kept), kept):
                continue
            x.array[...] = turn(kept)
            try:
                numeric = sum(trial.numeric(f.i, v)[k] for k in f.ks)
            finally:
                x.array[...] = kept
            if close(f.analytic, numeric):
                return f"it would be right if {trial.names.input(j)} were {how}, or one too many"
    (k,) = f.ks
    for how, turn in TURNS if v[k].ndim else ():
        turned = np.ascontiguousarray(turn(v[k]))
        others = [turned if n == k else dy for n, dy in enumerate(v)]
        if turned.shape == v[k].shape and close(f.analytic, trial.numeric(f.i, others)[k]):
            return f"it would be right if dy were {how}, or one too many"


TURNS = [
    ("transposed: a .T is missing", lambda x: np.swapaxes(x, -1, -2) if x.ndim > 1 else x),
    ("in reverse: a [::-1] is missing", lambda x: np.flip(x, -1)),
    ("in reverse along two axes: a np.flip is missing", lambda x: np.flip(x, (-1, -2)) if x.ndim > 1 else x),
]


def statistic_fixed(f):
    """What is missing is the same for all elements of a line, or made of 1 and of the output: a mean, a variance."""
    missing = f.numeric - f.analytic
    (k,) = f.ks
    y = f.others.values[k]
    for axis in range(missing.ndim):
        n = missing.shape[axis]
        lines = np.moveaxis(missing, axis, -1).reshape(-1, n)
        if n > 2 and close(lines, np.broadcast_to(lines.mean(1, keepdims=True), lines.shape)):
            return (
                f"what is missing is the same number along axis {axis}: forward takes a mean, a sum or a maximum over it, "
                "through which each input has a further effect"
            )
        if n > 3 and y.shape == missing.shape:
            rest = []
            for line, of_y in zip(lines, np.moveaxis(y, axis, -1).reshape(-1, n), strict=True):
                basis = np.stack([np.ones(n), of_y], 1)
                rest.append(line - basis @ np.linalg.lstsq(basis, line)[0])
            if close(lines, lines - np.array(rest)):
                return (
                    f"what is missing is a multiple of the output and a constant along axis {axis}: the mean or the variance "
                    "over it moves with each input, too, and backward holds it fixed"
                )


def where_wrong(f):
    """Nothing about the numbers, so something about the places."""
    size, wrong = f.numeric.size, set(f.wrong)
    if len(wrong) == 1 and size > 2:
        return f"all are right but the one at {f.wrong[0]}: look at how backward treats the ends, or equal indices"
    if len(wrong) == size or size < 4:
        return ""
    x = f.trial.inputs[f.i].array
    here = np.array([x[index] for index in wrong])
    rest = np.array([x[index] for index in np.ndindex(x.shape) if index not in wrong])
    for side, low, high in (("negative", here, rest), ("positive", rest, here)):
        if low.max() < 0 < high.min():
            return f"wrong where the input is {side}, right elsewhere: does forward choose by the sign, and backward not?"
    for axis in range(f.numeric.ndim):
        places = {index[axis] for index in wrong}
        if len(places) == 1 and len(wrong) == size // f.numeric.shape[axis]:
            return (
                f"wrong at index {places.pop()} of axis {axis}, right elsewhere: is the end off by one? Does an index occur "
                "twice (np.add.at adds, = overwrites)?"
            )
    if not any(f.analytic[index] for index in wrong):
        return (
            "the analytic gradient is 0 at the wrong elements: is a mask or an index of backward too narrow, or an = for a +=?"
        )
    if max(abs(f.numeric[index]) for index in wrong) < 1e-9:
        return "the wrong elements should be 0, as they change no output: is a mask forgotten, or too wide?"


def own_place_only(f):
    """The diagonal of the Jacobian: as if forward computed each output of the input at its place alone."""
    (k,) = f.ks
    x, v, step = f.trial.inputs[f.i].array, f.others.cotangents[k], f.trial.eps
    if v.shape != x.shape:
        return ""
    slopes = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        up, down = (f.trial.values_at(x, index, x[index] + move)[k][index] for move in (step, -step))
        slopes[index] = v[index] * (up - down) / (2 * step)
    if close(f.analytic, slopes):
        return (
            "this is the effect of each input on the output at its own place only; forward mixes them (a sum, a mean, a "
            "maximum), so an input changes other outputs, too"
        )


def forward_again(f):
    """J·dy in place of Jᵀ·dy."""
    (k,) = f.ks
    x, v, step = f.trial.inputs[f.i].array, f.others.cotangents[k], f.trial.eps
    if v.shape != x.shape:
        return ""
    kept = x.copy()
    try:
        ends = []
        for move in (step, -step):
            x[...] = kept + move * v
            ends.append([y.array.copy() for y in f.trial.outputs()][k])
    finally:
        x[...] = kept
    if close(f.analytic, (ends[0] - ends[1]) / (2 * step)):
        return (
            "backward does to dy what forward does to the input; it must go the other way: with the matrix transposed, from "
            "the end to the beginning, from the new places to the old ones"
        )


def axes_named(axes):
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"


HINTS = [
    not_finite,
    outputs_too_large,
    at_a_kink,
    computed_in_float32,
    should_be_zero,
    zero,
    cotangent_ignored,
    sign,
    factor,
    imprecise,
    signs,
    missing_factor,
    transposed,
    of_another_input,
    moved,
    where_wrong,
    one_of_many,
    operand_turned,
    own_place_only,
    forward_again,
    statistic_fixed,
]

# The hints for a gradient that agrees to five digits; the others would take its pattern for theirs.
NEARLY_RIGHT = {not_finite, outputs_too_large, at_a_kink, computed_in_float32, factor, imprecise, where_wrong}
