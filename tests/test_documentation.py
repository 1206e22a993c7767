"""Whether what is public is documented: each function, class, method and property has a text of its own and an example.

The examples are doctests of minidl/, which run with the tests.
"""

import doctest
import inspect
from importlib import import_module

import pytest

import minidl
from minidl.tensors import in_place

SPACES = [
    "minidl",
    "minidl.accelerator",
    "minidl.amp",
    "minidl.autograd",
    "minidl.cuda",
    "minidl.d2l",
    "minidl.decomposition",
    "minidl.distributed",
    "minidl.distributions",
    "minidl.func",
    "minidl.generation",
    "minidl.information",
    "minidl.linalg",
    "minidl.model_selection",
    "minidl.models",
    "minidl.nn",
    "minidl.nn.functional",
    "minidl.nn.init",
    "minidl.nn.parallel",
    "minidl.nn.utils",
    "minidl.nn.utils.parametrizations",
    "minidl.nn.utils.parametrize",
    "minidl.nn.utils.rnn",
    "minidl.optim",
    "minidl.optim.lr_scheduler",
    "minidl.optimization",
    "minidl.probability",
    "minidl.profiler",
    "minidl.special",
    "minidl.text",
    "minidl.utils.callbacks",
    "minidl.utils.checkpoint",
    "minidl.utils.data",
    "minidl.utils.data.transforms",
    "minidl.utils.hyperparameters",
    "minidl.utils.metrics",
    "minidl.utils.summary",
    "minidl.utils.train",
    "minidl.viz",
]


def members(name):
    """{name: function or class} of a module: the names in its __all__; without one, those that are defined there.

    minidl itself has none and only imports: all that it imports from its own modules is public.
    """
    space = import_module(name)
    own = [key for key, x in vars(space).items() if name in ("minidl", _home(x))]
    found = {key: getattr(space, key) for key in getattr(space, "__all__", own) if not key.startswith("_")}
    return {key: x for key, x in found.items() if callable(x) and _home(x).startswith("minidl")}


def _home(x):
    return str(getattr(x, "__module__", None))


def tensor_members(operators):
    """The methods and properties of Tensor, or its operators and what else has a name such as __add__."""
    for key in dir(minidl.Tensor):
        x = inspect.getattr_static(minidl.Tensor, key)
        x = x.__func__ if isinstance(x, (classmethod, staticmethod)) else x
        special = key.startswith("__")
        if (inspect.isfunction(x) or isinstance(x, property)) and special is operators and (special or key[0] != "_"):
            yield key, x


def text(name, x):
    """What was written about it; not what Python or a base class says in its place."""
    x = x.fget if isinstance(x, property) else x
    written = (vars(x).get("__doc__") if inspect.isclass(x) else x.__doc__) or ""
    # Of a NamedTuple or a dataclass Python writes "Name(a, b)".
    made_by_python = inspect.isclass(x) and written.startswith(f"{x.__name__}(") and written.endswith(")")
    return "" if made_by_python else written


ANY_ARGUMENTS = {"Tensor.cuda"}  # raises, whatever it is given
PUBLIC = [(f"{space}.{key}", x) for space in SPACES for key, x in members(space).items()]
PUBLIC += [(f"Tensor.{key}", x) for key, x in tensor_members(operators=False)]


@pytest.mark.parametrize(("name", "x"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_what_is_public_has_a_text_and_an_example(name, x):
    assert text(name, x).strip(), f"{name} has no docstring of its own: say in its first line what it gives"
    assert ">>> " in text(name, x), f"{name} has no example: write one that runs, after >>>"


@pytest.mark.parametrize(("name", "x"), [*tensor_members(operators=True)])
def test_each_operator_has_a_text(name, x):
    assert text(name, x).strip(), f"Tensor.{name} has no docstring of its own"


def twins():
    """{where it is found: function} of what in_place.py makes of another function, such as exp_ of exp."""
    places = [(f"minidl.nn.functional.{key}", x) for key, x in members("minidl.nn.functional").items()]
    places += [(f"minidl.tensors.in_place.InPlace.{key}", x) for key, x in vars(in_place.InPlace).items()]
    return {name: x for name, x in places if inspect.isfunction(x) and x.__code__.co_name == "in_place"}


def test_the_example_of_each_twin_is_run():
    """Doctest looks for examples in the module that a function names as its own, and there under the name of the function."""
    found = {}
    for name in {x.__module__ for x in twins().values()}:
        for test in doctest.DocTestFinder(recurse=True).find(import_module(name), name):
            found[test.name] = test.examples
    for name, x in twins().items():
        examples = found.get(name.replace("minidl.nn.functional", x.__module__), [])
        assert len(examples) == 4, f"{name} has no example, or it is not run: see _describe in in_place.py"
        *_, call, shown = [example.source for example in examples]
        own = f"{name.rpartition('.')[2]}("
        assert own in call or call.startswith("x "), f"the example of {name} calls another function: {call}"
        assert shown == "x\n", f"the example of {name} does not show the tensor afterwards"


@pytest.mark.parametrize(
    ("name", "x"), [pair for pair in PUBLIC if inspect.isfunction(pair[1]) and pair[0] not in ANY_ARGUMENTS]
)
def test_the_signature_that_help_shows_is_the_true_one(name, x):
    """A function made of another one shows that one's parameters, not (*args, **kwargs)."""
    kinds = [parameter.kind for parameter in inspect.signature(x).parameters.values()]
    assert not {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= set(kinds), inspect.signature(x)


def test_what_the_checks_go_through_is_what_there_is():
    names = {name for name, _ in PUBLIC}
    assert {
        "minidl.exp",
        "minidl.Tensor",
        "Tensor.exp",
        "Tensor.T",
        "Tensor.exp_",
        "minidl.nn.Linear",
        "minidl.nn.utils.rnn.pad_sequence",
    } <= names
    places = "minidl.nn.functional.relu_", *(f"minidl.tensors.in_place.InPlace.{x}" for x in ("relu_", "t_", "__iadd__"))
    assert set(places) <= twins().keys()
    assert {"minidl.optim.lr_scheduler.StepLR", "minidl.text.Vocab", "minidl.no_grad", "minidl.models.GPT"} <= names
    assert not {"minidl.text.Counter", "minidl.nn.utils.wrap", "minidl.import_module"} & names
    assert {"__add__", "__radd__", "__getitem__", "__iadd__"} <= {name for name, _ in tensor_members(operators=True)}
