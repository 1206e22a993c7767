"""What every operation must pass. A check takes a case of the table, and the class to build (a mutant in place of the row's).

The checks of gradients use `gradcheck`; the others call the operation as the engine does, with needs, forward and backward.
"""

import copy
import itertools
import traceback

import numpy as np

from minidl.autograd import GradcheckError, gradcheck
from minidl.graph.nodes import Leaf
from minidl.tensors.record import apply, wrap

from .kernel_checks import bits_with_gaps


def is_array(x):
    return isinstance(x, np.ndarray)


def converted(values, dtype):
    """The values with the floating-point arrays among them in another dtype."""
    return tuple(x.astype(dtype) if is_array(x) and x.dtype.kind == "f" else x for x in values)


def copied(values):
    return tuple(x.copy() if is_array(x) else x for x in values)


def cotangent(y, seed=1):
    rng = np.random.default_rng(seed)
    return np.asarray(rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape), y.dtype)


def joined(make):
    """The operation, if it has several outputs, as one with a single output: all of theirs in a row."""

    class Joined(make):
        def forward(self, *arrays):
            outputs = super().forward(*arrays)
            self.shapes = [y.shape for y in outputs]
            return np.concatenate([y.ravel() for y in outputs])

        def backward(self, dy):
            ends = np.cumsum([np.prod(shape, dtype=int) for shape in self.shapes])[:-1]
            parts = zip(np.split(np.ascontiguousarray(dy), ends), self.shapes, strict=True)
            return super().backward([part.reshape(shape) for part, shape in parts])

    return Joined


def maker(case, make):
    make = make or case.row.op
    return joined(make) if case.row.several else make


def run(case, make=None, inputs=None, dy=None, wanted=None, options=None):
    """(op, y, dy, gradients) of one pass forward and back. `wanted`: which inputs need a gradient; all arrays by default."""
    inputs = case.inputs if inputs is None else inputs
    wanted = [is_array(x) for x in inputs] if wanted is None else wanted
    op = maker(case, make)(*(case.options if options is None else options))
    op.needs = [Leaf(x.shape, x.dtype) if want else None for x, want in zip(inputs, wanted, strict=True)]
    y = np.asarray(op.forward(*inputs))
    dy = cotangent(y) if dy is None else dy
    gradients = _several(op.backward(dy))
    return op, y, dy, [None if dx is None else np.asarray(dx) for dx in gradients]


def _several(gradients):
    return gradients if type(gradients) is tuple else (gradients,)


def assert_close(found, expected, rtol=1e-10, atol=1e-12):
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    np.testing.assert_allclose(found, expected, rtol, atol)


HINT = "\nhint:"


def check_row(check, row, make=None):
    """The check on every case of the row, the largest first. One case is reported: the first that fails, or one with a hint."""
    __tracebackhide__ = True  # pytest shows the report, and not the frames below
    failures = []
    for case in sorted(row.cases, key=lambda case: -sum(x.size for x in case.inputs if is_array(x))):
        try:
            check(case, make)
        except Exception as error:
            failures.append(f"{case}: {_told(error)}")
            if check is not check_gradient or HINT in failures[-1]:
                break
    if failures:
        raise AssertionError(next((text for text in failures if HINT in text), failures[0])) from None


def _told(error):
    """The error in words; one that is no report comes with the line that raised it."""
    if isinstance(error, (AssertionError, GradcheckError)):
        return f"{error}"
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if frame.name in ("forward", "backward")), frames[-1])
    return f"{type(error).__name__}: {error}\nraised in {frame.name}, {frame.filename}:{frame.lineno}: {frame.line}"


# --- the checks


def check_value(case, make=None):
    """The forward value is the reference's; the result holds an ndarray of its own, also for 0-d."""
    y = apply(maker(case, make)(*case.options), *(wrap(x) if is_array(x) else x for x in copied(case.inputs))).array
    assert type(y) is np.ndarray
    assert y.dtype == np.float64
    assert_close(y, np.asarray(case.row.reference(*case.inputs, *case.options), np.float64))


def check_gradient(case, make=None):
    """The gradient of every input agrees with central differences."""
    make = maker(case, make)
    inputs = [wrap(x).requires_grad_() if is_array(x) else x for x in copied(case.inputs)]
    assert gradcheck(lambda *xs: apply(make(*case.options), *xs), inputs)


def check_needs(case, make=None):
    """Each subset of the inputs that needs gradients gets the same ones."""
    _, _, dy, full = run(case, make)
    places = [i for i, x in enumerate(case.inputs) if is_array(x)]
    for n in range(1, len(places)):
        for chosen in itertools.combinations(places, n):
            _, _, _, some = run(case, make, dy=dy, wanted=[i in chosen for i in range(len(case.inputs))])
            for i in chosen:
                np.testing.assert_array_equal(some[i], full[i])


def check_float32(case, make=None):
    """float32 stays float32, and agrees with float64 as far as it can."""
    inputs, options = converted(case.inputs, np.float32), converted(case.options, np.float32)
    _, y, dy, gradients = run(case, make, inputs=inputs, options=options)
    _, exact_y, _, exact = run(case, make, inputs=converted(inputs, np.float64), dy=dy.astype(np.float64))
    for found, expected in zip([y, *gradients], [exact_y, *exact], strict=True):
        if found is not None:
            assert found.dtype == np.float32
            assert_close(found, expected, 1e-4, 1e-5 * max(1.0, np.abs(expected).max(initial=0.0)))


FLOAT32 = np.finfo(np.float32)


def check_far(case, make=None):
    """float32 agrees with float64 far from 0 as well (promise 51): 1 − |y| is lost where y rounds to 1, and dx with it.

    Of an elementwise operation every element has its digits; of a sum, those that its largest terms leave.
    """
    for factor in case.row.far:
        inputs, options = converted(case.far(factor), np.float32), converted(case.options, np.float32)
        with np.errstate(all="ignore"):
            _, y, dy, gradients = run(case, make, inputs=inputs, options=options)
            wide = converted(inputs, np.float64), dy.astype(np.float64), converted(options, np.float64)
            _, exact_y, _, exact = run(case, make, inputs=wide[0], dy=wide[1], options=wide[2])
        scales = [max(1.0, _largest(exact_y)), *[_largest(dy)] * len(exact)]
        for what, scale, found, expected in zip(_names(exact), scales, [y, *gradients], [exact_y, *exact], strict=True):
            if found is not None:
                small = scale if case.row.absolute else 0.0 if case.row.elementwise else _largest(expected)
                _assert_float32(found, expected, 1e-6 * small, f"inputs times {factor:g}: {what} in float32")


def _names(gradients):
    return ["the value", *(f"the gradient of input {i}" for i in range(len(gradients)))]


def _largest(x):
    return float(np.abs(x[np.isfinite(x)]).max(initial=0.0))


def _assert_float32(found, expected, atol, what):
    with np.errstate(all="ignore"):
        same = (found == expected.astype(np.float32)) | (np.isnan(found) & np.isnan(expected))
        error = np.where(same, 0.0, np.abs(found - expected))
        bound = 1e-5 * np.abs(expected) + atol + FLOAT32.tiny
    wrong = ~(same | (error <= bound))
    if wrong.any():
        worst = np.unravel_index(np.nanargmax(np.where(wrong, error / bound, 0.0)), wrong.shape)
        place = f" at {tuple(map(int, worst))}" if worst else ""
        raise AssertionError(f"{what} is {found[worst]:.6g}{place}, in float64 {expected[worst]:.6g}")


LAYOUTS = {
    "transposed": lambda x: x.T.copy().T,
    "strided": lambda x: np.repeat(x, 2, -1)[..., ::2] if x.ndim else x,
    "rows apart": lambda x: np.repeat(x, 3, 0)[1::3] if x.ndim else x,
    "negative strides": lambda x: np.flip(np.flip(x).copy()),
    "unaligned to its base": lambda x: np.concatenate([[0.0], x.ravel()])[1:].reshape(x.shape),
}


def check_layouts(case, make=None):
    """Inputs and cotangents of any strides, read-only or repeated in memory, give the same as contiguous ones."""
    _, y, dy, gradients = run(case, make)
    for layout in LAYOUTS.values():
        inputs = [np.asarray(layout(x)) if is_array(x) else x for x in case.inputs]
        _, other_y, _, others = run(case, make, inputs=inputs, dy=np.asarray(layout(dy)))
        _compare([y, *gradients], [other_y, *others])
    for part in (np.array(0.7), cotangent(y[-1:] if y.ndim else y)):
        dy = np.broadcast_to(part, y.shape)
        _compare(run(case, make, dy=dy)[3], run(case, make, dy=dy.copy())[3])
    repeated = [np.broadcast_to(x[-1:], x.shape) if is_array(x) and x.ndim else x for x in case.inputs]
    _, y, dy, gradients = run(case, make, inputs=repeated)
    _, other_y, _, others = run(case, make, inputs=copied(repeated), dy=dy)
    _compare([y, *gradients], [other_y, *others])


def _compare(results, others):
    for x, other in zip(results, others, strict=True):
        if x is not None:
            assert_close(other, x)


def check_purity(case, make=None):
    """Neither forward nor backward changes an input, an option or the cotangent; read-only ones do as well."""
    inputs, options = copied(case.inputs), copied(case.options)
    values = [*inputs, *options]
    before = [x.tobytes() if is_array(x) else None for x in values]
    op, y, dy, gradients = run(case, make, inputs=inputs, options=options)
    kept = dy.tobytes(), y.tobytes()
    again = op.backward(dy)
    assert (dy.tobytes(), y.tobytes()) == kept
    assert [x.tobytes() if is_array(x) else None for x in values] == before
    _compare(gradients, _several(again))
    frozen = [np.array(x) if is_array(x) else x for x in (*case.inputs, dy)]
    for x in frozen:
        if is_array(x):
            x.flags.writeable = False
    _compare(gradients, run(case, make, inputs=frozen[:-1], dy=frozen[-1])[3])


def check_memory(case, make=None):
    """A gradient is new, or dy or a view of it: never a saved array, an input, or the other gradient's memory."""
    op, inputs = maker(case, make)(*copied(case.options)), copied(case.inputs)
    op.needs = [Leaf(x.shape, x.dtype) if is_array(x) else None for x in inputs]
    y = op.forward(*inputs)
    saved = [x for value in vars(op).values() for x in (value if isinstance(value, (tuple, list)) else [value])]
    dy = cotangent(np.asarray(y))
    if not case.row.view:
        assert not any(np.shares_memory(y, x) for x in inputs if is_array(x)), "the output is a view of an input"
    gradients = _several(op.backward(dy))
    new = [dx for dx in gradients if is_array(dx) and not np.shares_memory(dx, dy)]
    for dx in new:
        others = [x for x in (*saved, *inputs) if is_array(x)] + [other for other in new if other is not dx]
        assert not any(np.shares_memory(dx, x) for x in others), "a gradient shares memory"
    assert len({id(dx) for dx in new}) == len(new), "one array for two gradients"


def check_again(case, make=None):
    """Options and results never share a name (promise 50): a shallow copy of one that has run gives the bits of a fresh one."""
    _, y, dy, gradients = run(case, make)
    op = maker(case, make)(*copied(case.options))
    op.needs = [Leaf(x.shape, x.dtype) if is_array(x) else None for x in case.inputs]
    options = dict(vars(op))
    op.forward(*(np.asarray(np.flip(x) * 0.9) if is_array(x) else x for x in case.inputs))
    twin = copy.copy(op)
    results = [twin.forward(*case.inputs), *_several(twin.backward(dy))]
    for ran in (op, twin):
        changed = [name for name, value in options.items() if vars(ran).get(name) is not value]
        assert not changed, (
            f"forward or backward writes to self.{changed[0]}, which __init__ had set; give the result another name"
        )
    for found, expected in zip(results, [y, *gradients], strict=True):
        assert (found is None) == (expected is None)
        assert found is None or np.asarray(found).tobytes() == expected.tobytes(), (
            "another result after a forward on other inputs"
        )


def check_places(case, make=None):
    """The bits depend neither on where arrays lie (promise 25) nor on what was in their memory before.

    A loop over two arrays may use vectors only where they lie far enough apart. If it also adds up, that shows in the bits.
    """
    places, (_, _, dy, _) = [i for i, x in enumerate(case.inputs) if is_array(x)], run(case, make)

    def results(dy, *arrays):
        inputs = list(case.inputs)
        for i, x in zip(places, arrays, strict=True):
            inputs[i] = x
        _, y, _, gradients = run(case, make, inputs=inputs, dy=dy)
        return [y, *gradients]

    far, *close = bits_with_gaps(results, dy, *(case.inputs[i] for i in places))
    for found in close:
        different = [what for what, x, y in zip(_names(far[1:]), far, found, strict=True) if x != y]
        assert not different, f"other bits where arrays lie close together, or had NaN in them: {', '.join(different)}"


CHECKS = [
    check_value,
    check_gradient,
    check_needs,
    check_float32,
    check_far,
    check_layouts,
    check_purity,
    check_memory,
    check_again,
    check_places,
]
