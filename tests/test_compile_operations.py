"""Every operation of the table within a remembered step: the same bits as in an ordinary step.

How each is made is written down in compile_operations.txt, and the list may only get better: a step that stays ordinary has the
same bits, too. `python -m tests.test_compile_operations` writes it.
"""

import collections
import os
import pathlib
import warnings

import numpy as np
import pytest

import minidl
from minidl.tensors.record import apply, wrap
from tests.table import BOUNDED, TABLE, apart, positive_definite, regular

LIST = pathlib.Path(__file__).with_name("compile_operations.txt")
WRITTEN = dict(line.split() for line in LIST.read_text().splitlines()) if LIST.exists() else {}
WAYS = ["ordinary", "Python", "kernels"]  # from the worst to the best
EVERY = bool(os.environ.get("MINIDL_EVERY_CASE"))  # else two cases of each, which takes a tenth of the time
WITHOUT_ZEROS = {*BOUNDED, regular, positive_definite, apart}  # domains
STEPS = 7  # calls: 1 ordinary, 2 recorded, 1 both ways, 3 replayed

ROWS = collections.defaultdict(list)
for row in TABLE:
    ROWS[row.op.__name__] += row.cases


def inputs_of(case):
    return [
        wrap(x.astype(np.float32)).requires_grad_() if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
        for x in case.inputs
    ]


def step_of(case):
    """A training step whose loss is the operation's output, weighted; and its parameters."""
    inputs = inputs_of(case)
    parameters = [x for x in inputs if isinstance(x, minidl.Tensor)]
    optimizer = minidl.optim.SGD(parameters, lr=1e-6)
    options = [x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x for x in case.options]
    weights = {}

    def step(scale):
        optimizer.zero_grad()
        outputs = apply(case.row.op(*options), *inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = 0.0
        for i, y in enumerate(outputs):
            if y.requires_grad:
                if i not in weights:
                    weights[i] = wrap(np.random.default_rng(i).normal(size=y.shape).astype(y.dtype))
                loss = loss + (y * weights[i] * scale).sum()
        loss.backward()
        optimizer.step()
        return [loss, *(y.detach() for y in outputs)]

    return step, parameters


def assert_alike(results, states, call):
    """The same bits in two lists of results, and in the parameters, buffers and gradients of two states."""
    for a, b in zip(*results, strict=True):
        assert a.array.tobytes() == b.array.tobytes(), call
    for a, b in zip(*states, strict=True):
        assert a.array.tobytes() == b.array.tobytes(), f"{call}: parameters, buffers"
        assert (a.grad is None) == (b.grad is None)
        assert a.grad is None or a.grad.array.tobytes() == b.grad.array.tobytes(), f"{call}: gradients"


def compare(case, zeros=False):
    """How the operation is made in a remembered step, forward and back; fails if a bit differs.

    zeros: the calls that are recorded find zeros, wherever the operation takes them. What NumPy does to a result in place often
    changes nothing then: the recorder must not take it for nothing.
    """
    (step, parameters), (other, others) = step_of(case), step_of(case)
    domains = [d for x, d in zip(case.inputs, case.domains, strict=False) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    free = [
        (x, y, x.array.copy()) for x, y, d in zip(parameters, others, domains, strict=True) if zeros and d not in WITHOUT_ZEROS
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stays ordinary
        remembered = minidl.compile(other)
        for i in range(STEPS):
            scale = minidl.tensor(1.0 + i)
            for x, y, numbers in free:
                x.array[...] = y.array[...] = numbers if i > 3 else 0.0
            assert_alike((step(scale), remembered(scale)), (parameters, others), f"call {i + 1}")
    if remembered.refusal is not None:
        return "ordinary"
    (plan,) = remembered._remembered.plans.values()
    name = case.row.op.__name__
    how = {how for _, event, how, _ in plan.program.rows if event in (name, f"{name}.backward")}
    return "Python" if "Python" in how else "kernels"


def found(name):
    """The worst of its cases: "ordinary", "Python" or "kernels"."""
    cases = ROWS[name] if EVERY else ROWS[name][:: max(len(ROWS[name]) - 1, 1)]  # else the first and the last
    largest = max(ROWS[name], key=lambda case: sum(np.size(x) for x in case.inputs))
    tries = [*((case, False) for case in cases), *((case, True) for case in (ROWS[name] if EVERY else [largest]))]
    return min((compare(case, zeros) for case, zeros in tries), key=WAYS.index)


@pytest.mark.parametrize("name", ROWS)
def test_an_operation_gives_the_same_bits(name):
    way = found(name)
    assert WAYS.index(way) >= WAYS.index(WRITTEN[name]), f"it is made by {way} now, and was by {WRITTEN[name]}"


def test_the_list_is_of_all_operations():
    assert list(WRITTEN) == sorted(ROWS)


if __name__ == "__main__":  # writes the list anew
    EVERY = True
    LIST.write_text("".join(f"{name} {found(name)}\n" for name in sorted(ROWS)))
