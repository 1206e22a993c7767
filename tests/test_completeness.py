"""Every function of nn.functional has a reference in plain NumPy, every layer and loss too, and every kernel for gradients.

What is new fails here until it has a row. The references are in table_functional, table_layers and table_kernels.
"""

import inspect

import pytest

import minidl
import minidl.nn.functional as F
from minidl.autograd import gradcheck

from .table_functional import FUNCTIONALS, assert_same, tensor

CALLS = [pytest.param(name, call, id=f"{name}-{i}") for name, calls in FUNCTIONALS.items() for i, call in enumerate(calls)]


def test_every_functional_has_a_row():
    missing = sorted(set(F.__all__) - set(FUNCTIONALS))
    assert not missing, (
        f"nn.functional: {missing} without a reference: give each a row of Calls in tests/table_functional.py, in the group that "
        "it belongs to, with a reference in plain NumPy and a Call at least for each option"
    )
    assert not set(FUNCTIONALS) - set(F.__all__)


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_functionals_are_those_of_plain_numpy(name, call):
    assert_same(call.found(getattr(F, name)), call.expected())


@pytest.mark.parametrize(("name", "call"), [c for c in CALLS if c.values[1].gradient])
def test_gradients_of_functionals_are_slopes(name, call):
    function, args, options = getattr(F, name), list(map(tensor, call.args)), {n: tensor(x) for n, x in call.options.items()}
    places = [i for i, x in enumerate(args) if isinstance(x, minidl.Tensor) and x.is_floating_point()]
    inputs = [args[i].clone().requires_grad_() for i in places]

    def of_floats(*xs):
        y = call.call(function, *(xs[places.index(i)] if i in places else x for i, x in enumerate(args)), **options)
        return y[0] if isinstance(y, tuple) else y

    if inputs:
        assert gradcheck(of_floats, inputs)


def fails(check, *args):
    try:
        check(*args)
    except Exception:
        return True
    return False


def compare(call, function, expected, without=()):
    assert_same(call.found(function, without), expected)


NOT_SUPPORTED = {  # options that raise an error, which other tests ask for
    "dropout": {"inplace"},
    "dropout1d": {"inplace"},
    "dropout2d": {"inplace"},
    "interpolate": {"antialias"},
}


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_every_option_of_a_functional_is_seen(name):
    """For each option there is a call whose check fails without it."""
    function = getattr(F, name)
    options = {p.name for p in inspect.signature(function).parameters.values() if p.default is not p.empty}
    for option in options - NOT_SUPPORTED.get(name, set()):
        calls = [call for call in FUNCTIONALS[name] if option in call.options]
        assert any(fails(compare, call, function, call.expected(), [option]) for call in calls), (
            f"{name}: no Call in tests/table_functional.py would notice that {option} is ignored: give it one"
        )


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_no_functional_could_be_another(name):
    """The checks of a row fail for every other function of nn.functional."""
    expected = [(call, call.expected()) for call in FUNCTIONALS[name]]
    others = [other for other in F.__all__ if other != name]
    alike = [o for o in others if not any(fails(compare, call, getattr(F, o), y) for call, y in expected)]
    assert not alike, f"{name} could be {alike}, and no test would see it: add a Call in tests/table_functional.py"
