"""Every function of nn.functional and every layer of nn within a remembered step: the same bits as in an ordinary step.

How each is made is written down in compile_library.txt, and the list may only get better, as in test_compile_operations.
`python -m tests.test_compile_library` writes it.
"""

import contextlib
import functools
import itertools
import os
import pathlib
import warnings

import numpy as np
import pytest

import minidl
from minidl import nn
from tests.table_functional import FUNCTIONALS, plainly, single
from tests.table_layers import LAYERS
from tests.test_compile_operations import EVERY, STEPS, WAYS, assert_alike

LIST = pathlib.Path(__file__).with_name("compile_library.txt")
WRITTEN = dict(line.split() for line in LIST.read_text().splitlines()) if LIST.exists() else {}


def tensors_in(value):
    """All tensors of floats in what a function or a layer gives, in order."""
    if isinstance(value, minidl.Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [x for part in values for x in tensors_in(part)]


def step_of(compute, layer, args, trained):
    """A training step of what compute() gives, weighted; and its state. The arrays of floats may be trained, too."""
    parameters = list(layer.parameters()) if layer is not None else []
    floats = [x for x in args if isinstance(x, minidl.Tensor) and x.dtype == np.float32]
    parameters += [x.requires_grad_() for x in floats if trained]
    optimizer, weights = minidl.optim.SGD(parameters or [minidl.ones(1)], lr=1e-6), {}

    def step(scale):
        optimizer.zero_grad()
        results, loss = tensors_in(compute()), 0.0
        for i, y in enumerate(results):
            if y.requires_grad:
                if i not in weights:
                    weights[i] = minidl.tensor(np.random.default_rng(i).normal(size=y.shape), dtype=y.dtype)
                loss = loss + (y * weights[i] * scale).sum()
        if not isinstance(loss, float):
            loss.backward()
            optimizer.step()
        return [y.detach() for y in results]

    return step, [*parameters, *(layer.buffers() if layer is not None else ())]


def compare(make):
    """How it is made in a remembered step, and why; fails if a bit differs. Each make(plain, trained) builds the step anew."""
    for options in itertools.product((True, False), (True, False)):  # plain: not as the table calls it
        with contextlib.suppress(RuntimeError, TypeError, ValueError, AttributeError):
            make(*options)[0](minidl.tensor(1.0))
            break
    (step, state), (other, others) = make(*options), make(*options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stays ordinary
        remembered, streams = minidl.compile(other), [minidl.get_rng_state()] * 2
        for i in range(STEPS):
            scale, results = minidl.tensor(1.0 + i), []
            for j, run in enumerate((step, remembered)):  # each with a random stream of its own
                minidl.set_rng_state(streams[j])
                results.append(run(scale))
                streams[j] = minidl.get_rng_state()
            assert_alike(results, (state, others), f"call {i + 1}")
    if remembered.refusal is not None:
        return "ordinary", remembered.refusal
    rows = [row for plan in remembered._remembered.plans.values() for row in plan.program.rows]
    python = [f"{event}: {why}" for _, event, how, why in rows if how == "Python"]
    return ("Python", "; ".join(python)) if python else ("kernels", "")


def of_function(name, call, plain, trained):
    args, options = [single(x) for x in call.args], {key: single(x) for key, x in call.options.items()}
    compute = plainly if plain else call.call
    return step_of(lambda: compute(getattr(nn.functional, name), *args, **options), None, args, trained)


def of_layer(name, row, plain, trained):
    minidl.manual_seed(0)
    layer, args = row.build(getattr(nn, name)).float(), [single(x) for x in row.inputs]
    return step_of(lambda: layer(*args) if plain else row.call(layer, *args), layer, args, trained)


CASES = {f"functional.{name}": [(of_function, name, call) for call in calls] for name, calls in FUNCTIONALS.items()}
CASES |= {name: [(of_layer, name, row) for row in rows] for name, rows in LAYERS.items()}


def found(name, every=EVERY):
    """The worst of its cases: ("ordinary", "Python" or "kernels", why)."""
    cases = CASES[name] if every else CASES[name][:: max(len(CASES[name]) - 1, 1)]  # else the first and the last
    return min((compare(functools.partial(*case)) for case in cases), key=lambda pair: WAYS.index(pair[0]))


@pytest.mark.parametrize("name", CASES)
def test_it_gives_the_same_bits(name):
    way, why = found(name)
    assert WAYS.index(way) >= WAYS.index(WRITTEN[name]), f"it is made by {way} now, and was by {WRITTEN[name]}: {why}"


def test_the_list_is_of_all():
    assert list(WRITTEN) == sorted(CASES)


if __name__ == "__main__":  # writes the list anew
    lines = []
    for name in sorted(CASES):
        way, why = "error", ""
        try:
            way, why = found(name, True)
        except Exception as error:
            why = repr(error)
        lines.append(f"{name} {way}\n")
        print(name, way, why if os.environ.get("WHY") else "", flush=True)
    LIST.write_text("".join(lines))
