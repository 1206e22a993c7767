"""Wrong second derivatives, one for each formula of `double_backward`, and each must be caught by what every right one passes.

Two mistakes are planted in every formula: its value is wrong by a thousandth, and it forgets that one of its tensors moves (the
value is right then: only a check of the gradient's gradient can see it). Besides, a constant that is none, and an operation
that is called linear and is not. What cannot be caught because it changes nothing is listed with the reason.
"""

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import GradcheckError, grad, gradgradcheck
from minidl.double_backward import composites, meanings, rules
from minidl.tensors.record import TensorBase, apply, wrap

from .checks import cotangent, is_array
from .table import TABLE

# Why nothing is lost: (where, name, which tensor is detached, or × for a value that is wrong)
EQUIVALENT = {
    "it is constant between its jumps": [
        ("numpy", "sign", 0),
        ("numpy", "equal", 0),
        ("numpy", "less_equal", 0),
        ("numpy", "isneginf", 0),
        ("kernels", "relu_backward", 1),
        ("kernels", "leaky_relu_backward", 1),
        *[("rules", name, what) for name in ("Maximum", "Minimum") for what in "ab"],
        *[("rules", name, what) for name in ("Amax", "Amin", "Median") for what in "xy"],
    ],
    "a mask, a shape or a type, in which 1.001 is as good as 1": [
        *[("numpy", name, "×") for name in ("isneginf", "shape", "size", "zeros_like")],
        ("numpy", "shape", 0),
        ("numpy", "size", 0),
        ("numpy", "zeros_like", 0),
    ],
    "it is made again from the inputs, and what the kernel saved is not read": [
        ("kernels", "cross_entropy_backward", 2),
        ("kernels", "cross_entropy_soft_backward", 2),
        ("kernels", "cross_entropy_soft_backward_targets", 2),
        *[("rules", name, "d") for name in ("SquaredError", "AbsoluteError", "Huber")],
        *[("rules", op, name) for op, names in (("Eigh", "wv"), ("SVD", ("u", "s", "vt")), ("QR", "qr")) for name in names],
        *[("rules", name, "stats") for name in ("BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm")],
        ("rules", "BatchNorm", "given"),
        ("rules", "Var", "scaled"),
        ("rules", "Std", "scaled"),
        ("rules", "RelativeEntropy", "ratio"),
        *[("rules", "KLDivergence", name) for name in ("gap", "p")],
        *[("rules", "EntropyFromLogits", name) for name in ("entropy", "logp", "p")],
    ],
}
# Read only for the gradient of igamma's first argument, which cannot be differentiated again.
NOT_USED = {("kernels", "lgamma"), ("kernels", "gamma_slope")}
# For operations of users; test_double_backward_saved.py has one for each.
NOT_USED |= {("numpy", name) for name in meanings.OTHERS}
TRIES = 60


class Used:
    """Which tensors a formula was given in a run, and in which cases of the table."""

    def __init__(self):
        self.cases, self.tensors = [], set()


def call(row, case, xs):
    y = apply(row.op(*case.options), *xs)
    return minidl.cat([part.reshape(-1) for part in y]) if isinstance(y, tuple) else y


def leaves(row, case):
    skip = row.op is ops.GammaInc  # the slope of its slope in a is not known
    return [wrap(x.copy()).requires_grad_(not skip or i == 1) if is_array(x) else x for i, x in enumerate(case.inputs)]


def second(row, case):
    """Runs the gradient of the gradient of a case; returns the first one, recorded."""
    xs = leaves(row, case)
    tensors = [x for x in xs if isinstance(x, minidl.Tensor) and x.requires_grad]
    y = call(row, case, xs)
    dy = wrap(cotangent(y.array)).requires_grad_()
    first = grad(y, tensors, dy, create_graph=True)
    live = [dx for dx in first if dx.requires_grad]
    if live:
        grad([(dx * wrap(cotangent(dx.array))).sum() for dx in live], [*tensors, dy], allow_unused=True)
    return first


def ordinary(row, case):
    xs = leaves(row, case)
    tensors = [x for x in xs if isinstance(x, minidl.Tensor) and x.requires_grad]
    y = call(row, case, xs)
    return grad(y, tensors, wrap(cotangent(y.array)))


def is_caught(row, case):
    try:
        for dx, right in zip(second(row, case), ordinary(row, case), strict=True):
            if not np.allclose(dx.array, right.array, 1e-8, 1e-10):
                return True
        return not gradgradcheck(lambda *xs: call(row, case, xs), leaves(row, case), raise_exception=False)
    except (GradcheckError, RuntimeError, TypeError, ValueError):
        return True


def formulas():
    """(where, name) -> (get, set) of everything that can be wrong."""
    for where, names in (
        ("kernels", meanings.KERNELS),
        ("numpy", meanings.NUMPY),
        ("numpy.linalg", meanings.MEANINGS["linalg"]),
    ):
        for name, meaning in names.meanings.items():
            if callable(meaning):
                yield (where, name), names.meanings, name, names
    for where, table in (("rules", rules.RULES), ("composites", composites.COMPOSITES)):
        for op in table:
            yield (where, op.__name__), table, op, None


PLACES = {key: (table, name, names) for key, table, name, names in formulas()}


def exchange(key, function):
    table, name, names = PLACES[key]
    right = table[name]
    table[name] = function
    if names is not None:
        vars(names).pop(name, None)  # it remembers what it has looked up
    return right


@pytest.fixture(scope="module")
def used():
    """What each formula is used by: {key: Used}, found by a run over the table in which every formula tells of itself."""
    found = {key: Used() for key in PLACES}
    now = []
    rights = {}

    def telling(key, right):
        def function(*args, **options):
            found[key].tensors |= set(_moving(key, args))
            if now[0] not in found[key].cases:
                found[key].cases.append(now[0])
            return right(*args, **options)

        return function

    for key in PLACES:
        table, name, _ = PLACES[key]
        rights[key] = table[name]
        exchange(key, telling(key, table[name]))
    try:
        for row in TABLE:
            for case in row.cases:
                if not any(isinstance(x, minidl.Tensor) and x.requires_grad for x in leaves(row, case)):
                    continue
                now[:] = [(row, case)]
                second(row, case)
    finally:
        for key, right in rights.items():
            exchange(key, right)
    for use in found.values():
        use.cases.sort(key=lambda pair: sum(x.size for x in pair[1].inputs if is_array(x)))
    return found


def _moving(key, args):
    """The tensors that a formula was given and that move: positions, or names of what the operation holds."""
    if key[0] in ("rules", "composites"):
        op = args[0]
        yield from (name for name, x in vars(op).items() if isinstance(x, TensorBase) and x.requires_grad)
        if len(args) > 1:
            yield "dy"
    else:
        yield from (i for i, x in enumerate(args) if isinstance(x, TensorBase) and x.requires_grad)


def scaled(right):
    def times(x):
        return x if x is None or not isinstance(x, TensorBase) else x * 1.001

    def function(*args, **options):
        result = right(*args, **options)
        return type(result)(map(times, result)) if isinstance(result, (tuple, list)) else times(result)

    return function


def detached(right, key, what):
    def function(*args, **options):
        args = list(args)
        if what == "dy":
            dy = args[1]
            args[1] = [d and d.detach() for d in dy] if isinstance(dy, list) else dy.detach()
        elif isinstance(what, str):
            x = vars(args[0]).get(what)
            if isinstance(x, TensorBase):
                vars(args[0])[what] = x.detach()
        elif what < len(args) and isinstance(args[what], TensorBase):
            args[what] = args[what].detach()
        return right(*args, **options)

    return function


def survives(key, use, mutant):
    right = exchange(key, mutant)
    try:
        return not any(is_caught(row, case) for row, case in use.cases[:TRIES])
    finally:
        exchange(key, right)


@pytest.mark.parametrize("key", PLACES, ids=".".join)
def test_every_formula_is_used_and_a_wrong_one_is_caught(key, used):
    use, (table, name, _) = used[key], PLACES[key]
    if key in NOT_USED:
        assert not use.cases
        return
    assert use.cases
    assert {entry[2] for entry in LISTED if entry[:2] == key} <= {"×", *use.tensors}
    assert survives(key, use, scaled(table[name])) == ((*key, "×") in LISTED)
    for what in sorted(use.tensors, key=str):
        assert survives(key, use, detached(table[name], key, what)) == ((*key, what) in LISTED), what


ROWS = [
    row for row in TABLE if not row.op.linear and not row.several and len([x for x in row.cases[0].inputs if is_array(x)]) == 1
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.op.__name__)
def test_an_operation_that_is_called_linear_and_is_not_is_caught(row, monkeypatch):
    monkeypatch.setattr(row.op, "linear", True)
    cases = [case for case in row.cases if len([x for x in case.inputs if is_array(x)]) == 1]
    assert any(is_caught(row, case) for case in cases)


def test_what_is_listed_exists():
    assert {entry[:2] for entry in LISTED} | NOT_USED <= set(PLACES)


def test_a_constant_that_moves_is_caught():
    class Softmax(ops.Softmax):
        constants = ("kept",)

        def forward(self, x):
            self.kept = super().forward(x)
            return self.kept

        def backward(self, dy):
            return self.kept * (dy - (dy * self.kept).sum(self.axis, keepdims=True))

    x = wrap(np.array([0.1, 0.5, -0.3])).requires_grad_()
    assert gradgradcheck(lambda x: apply(ops.Softmax(0), x), x)
    with pytest.raises(GradcheckError):
        gradgradcheck(lambda x: apply(Softmax(0), x), x)


LISTED = {entry for entries in EQUIVALENT.values() for entry in entries}
