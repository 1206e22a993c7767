"""No number that minidl computes from values is remembered: up to the comparison all calls have the same values, later others.

Such a number, a count of labels or a sum of weights that became a number of Python, is the same in both recordings and in the
compared call. Only other values show it.
"""

import ast
import itertools
import warnings

import numpy as np
import pytest

import minidl
from minidl import nn
from tests.fuzz.calls import lines, names
from tests.table_functional import plainly, single
from tests.test_compile_library import CASES, EVERY, of_function, step_of


def arrays_in(values):
    for x in values:
        if isinstance(x, (list, tuple)):
            yield from arrays_in(x)
        elif isinstance(x, (minidl.Tensor, np.ndarray)):
            yield x.array if isinstance(x, minidl.Tensor) else x


def others(array, seed):
    """Puts other values in the place of an array's, of the same kind: labels stay labels."""
    rng = np.random.default_rng(seed)
    if array.size and array.flags.writeable and array.dtype.kind in "fiub":
        chosen = rng.choice(array.ravel(), array.shape)
        array[...] = chosen * rng.uniform(0.5, 1, array.shape) if array.dtype.kind == "f" else chosen


def build(case, plain, trained):
    """A step, and the arrays that it is given."""
    make, name, row = case
    given = row.args if make is of_function else row.inputs
    args, options = [single(x) for x in given], {}
    if make is of_function:
        options = {key: single(x) for key, x in row.options.items()}
        layer, compute, f = None, plainly if plain else row.call, getattr(nn.functional, name)
    else:
        minidl.manual_seed(0)
        layer = f = row.build(getattr(nn, name)).float()
        compute = (lambda f, *args: f(*args)) if plain else row.call
    step, _ = step_of(lambda: compute(f, *args, **options), layer, args, trained)
    return step, list(arrays_in([*args, *options.values()]))


def outcome(step, stream):
    minidl.set_rng_state(stream[0])
    try:
        found = [x.array.tobytes() for x in step(minidl.tensor(1.0))]
    except (ValueError, IndexError, RuntimeError) as error:  # the other values make no sense
        found = str(error)
    stream[0] = minidl.get_rng_state()
    return found


def compare(case):
    for how in itertools.product((True, False), (True, False)):
        try:
            build(case, *how)[0](minidl.tensor(1.0))
        except (RuntimeError, TypeError, ValueError, AttributeError):
            continue
        break
    (step, arrays), (other, theirs) = build(case, *how), build(case, *how)
    remembered, streams = minidl.compile(other), [[minidl.get_rng_state()], [minidl.get_rng_state()]]
    for i in range(8):
        for k, array in enumerate([*arrays, *theirs] if i in (4, 5, 6) else ()):
            others(array, 100 * i + k % len(arrays))
        assert outcome(step, streams[0]) == outcome(remembered, streams[1]), f"call {i + 1}"


# Those with an option that weighs, counts or measures; MINIDL_EVERY_CASE=1 tries all, in two minutes.
SOME = ["nll_loss", "focal_loss", "cross_entropy", "one_hot", "ctc_loss", "embedding", "embedding_bag", "multi_margin_loss"]
NAMES = list(CASES) if EVERY else [f"functional.{name}" for name in SOME]


@pytest.mark.parametrize("name", NAMES)
def test_other_values_than_the_recorded_ones(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stays ordinary
        for case in CASES[name]:
            compare(case)


def test_the_number_of_masked_elements():
    step = minidl.compile(lambda x, mask, y: x.masked_scatter(mask, y))
    x, y = minidl.zeros(6), minidl.arange(6.0) + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(12):
            mask = minidl.tensor([True, *(i > 4 and (i + k) % 3 == 0 for k in range(5))])
            assert (step(x, mask, y) == x.masked_scatter(mask, y)).all()


# --- what minidl's own Python asks of values


def other(array, seed):
    """Other values of the same kind, by the seed: in another order, all 0, with a NaN, rounded, with the other sign."""
    rng = np.random.default_rng(seed)
    new = rng.permutation(array.ravel()).reshape(array.shape)
    if array.dtype.kind == "f":
        return [new, new * 0, np.where(new == new.max(initial=-1), np.nan, new), np.round(new), -new][seed % 5].astype(
            array.dtype
        )
    return rng.choice(array.ravel(), array.shape) if array.dtype.kind in "iub" and array.size else array


def bits(x):
    """The sign of NaN means nothing."""
    return np.where(np.isnan(x.array), np.nan, x.array).tobytes() if x.array.dtype.kind == "f" else x.array.tobytes()


def everything(given):
    if isinstance(given, minidl.Tensor):
        return [given.detach()]
    parts = given.values() if isinstance(given, dict) else given if isinstance(given, (list, tuple)) else ()
    return [x for part in parts for x in everything(part)]


def play(source, grad, remembered):
    """What each call gives, or its error, and the gradients: the first five calls have the same values."""
    minidl.manual_seed(0)
    known, code, found = names(), compile(source, "<call>", "eval"), []
    used = {x.id: known[x.id] for x in ast.walk(ast.parse(source)) if isinstance(x, ast.Name)}
    tensors = {name: x for name, x in used.items() if isinstance(x, minidl.Tensor)}
    leaves = {name: x for name, x in tensors.items() if grad and x.requires_grad}
    first = {name: x.array.copy() for name, x in tensors.items()}

    def ordinary(*args):
        for x in leaves.values():
            x.grad = None
        given = dict(zip([name for name in tensors if name not in leaves], args, strict=True))
        result = eval(code, {**used, **given, **leaves})
        wanted = [x for x in (result if isinstance(result, (list, tuple)) else [result]) if isinstance(x, minidl.Tensor)]
        if any(x.requires_grad for x in wanted):
            sum((x * x).sum() for x in wanted if x.requires_grad).backward()
        return everything(result)

    step = minidl.compile(ordinary) if remembered else ordinary
    for i in range(12):
        values = {name: x.copy() if i < 5 else other(x, 100 * k + i) for k, (name, x) in enumerate(first.items())}
        for name, x in leaves.items():
            x.array[...] = values[name]
        args = [minidl.tensor(values[name]) for name in tensors if name not in leaves]
        try:
            results = [bits(x) for x in step(*args)]
        except (ValueError, IndexError, RuntimeError, NotImplementedError) as error:
            results = str(error)
        grads = [None if x.grad is None else bits(x.grad) for x in leaves.values()]
        found.append((results, [(x.shape, bits(x)) for x in args], grads))
    return found


CALLS = sorted({line.strip() for line in lines() if line.strip()})
OF_NO_STEP = (
    *(
        "K.",
        "viz.",
        "d2l.",
        "data.",
        "callbacks.",
        "checkpoint.",
        "train.",
        "history.",
        "optim.",
        "lr.",
        "text.",
        "generation.",
    ),
    *("t.set_num", "t.warmup", "t.seed", "metrics", "ms.", "optimum.", "t.empty"),
)
ASKING = "I.", "D.", "L.", "prob.", "rnn.", "T.cholesky", "raw.t_"
SOME_CALLS = [x for x in CALLS if not x.startswith(OF_NO_STEP)] if EVERY else [x for x in CALLS if x.startswith(ASKING)]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("source", SOME_CALLS)
def test_what_is_asked_of_values_is_asked_again(source, grad):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stays ordinary
        try:
            expected = play(source, grad, False)
        except (TypeError, KeyError, AttributeError):
            pytest.skip("no function of tensors")
        assert expected == play(source, grad, True)
