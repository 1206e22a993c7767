"""What every operation must pass. A check takes a case of the table, and the class to build (a mutant in place of the row's).

The checks of gradients use `gradcheck`; the others call the operation as the engine does, with needs, forward and backward.
"""

import itertools

import numpy as np

from minidl.autograd import gradcheck
from minidl.graph.nodes import Leaf
from minidl.tensors.record import apply, wrap


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
    gradients = op.backward(dy)
    gradients = gradients if type(gradients) is tuple else (gradients,)
    return op, y, dy, [None if dx is None else np.asarray(dx) for dx in gradients]


def assert_close(found, expected, rtol=1e-10, atol=1e-12):
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    np.testing.assert_allclose(found, expected, rtol, atol)


def check_row(check, row, make=None):
    """The check on every case of the row; what fails says which case it was."""
    for case in row.cases:
        try:
            check(case, make)
        except Exception as error:
            raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error


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
    _compare(gradients, again if type(again) is tuple else (again,))
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
    gradients = op.backward(dy)
    gradients = gradients if type(gradients) is tuple else (gradients,)
    new = [dx for dx in gradients if is_array(dx) and not np.shares_memory(dx, dy)]
    for dx in new:
        others = [x for x in (*saved, *inputs) if is_array(x)] + [other for other in new if other is not dx]
        assert not any(np.shares_memory(dx, x) for x in others), "a gradient shares memory"
    assert len({id(dx) for dx in new}) == len(new), "one array for two gradients"


CHECKS = [check_value, check_gradient, check_needs, check_float32, check_layouts, check_purity, check_memory]
