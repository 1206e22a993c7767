"""Who uses an operation: the public functions, methods and layers whose code names it, found by reading their code."""

import ast
import functools
import inspect
import re
import textwrap
import types
from importlib import import_module
from pathlib import Path

from minidl import Tensor, ops
from minidl.nn import Module
from tests.table import ROW_OF

ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def users():
    """{operation: [(name, whether the reference has it)]}: the public functions and layers whose code names the operation.

    A function that is not public counts as a part of those that call it, a public one only where its result is returned.
    """
    public = {}
    for space in spaces():
        if space == "minidl.d2l":  # other names for functions of minidl
            continue
        module = import_module(space)
        own = [key for key, x in vars(module).items() if key[0] != "_" and space in ("minidl", getattr(x, "__module__", None))]
        public |= {f"{space}.{key}": getattr(module, key) for key in getattr(module, "__all__", own)}
    public |= {f"minidl.Tensor.{key}": inspect.getattr_static(Tensor, key) for key in dir(Tensor)}
    public = {name: x for name, x in public.items() if not re.search(r"\._[^_]|[a-z0-9]_$", name)}  # no twins in place
    bodies = {name: [code_of(x)] for name, x in public.items() if code_of(x)}
    known = {function.__code__ for (function,) in bodies.values()}
    layers = {x for x in public.values() if isinstance(x, type) and issubclass(x, Module)}
    for name, x in public.items():
        if x in layers:
            kinds = [kind for kind in x.__mro__ if kind is x or (kind.__module__.startswith("minidl") and kind not in layers)]
            bodies[name] = [code_of(f) for kind in kinds for f in vars(kind).values() if code_of(f)]
    found = {}
    for name, functions in bodies.items():
        for op in set().union(*(named(function, known, set()) for function in functions)):
            found.setdefault(op, []).append((name, "._" not in name))
    for op, names in found.items():
        names.sort(key=lambda pair: order(op, pair[0]))
    return found


def order(op, name):
    """What is called as the operation first, then methods, functions and layers; what has no page of its own last."""
    last = name.rpartition(".")[2]
    alike = last.replace("_", "").lower() == op.__name__.lower()
    return last.startswith("_"), not alike, "Tensor" not in name, name


def spaces():
    """The public modules, as tests/test_documentation.py lists them."""
    tree = ast.parse((ROOT / "tests" / "test_documentation.py").read_text(encoding="utf-8"))
    lists = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SPACES"]
    return ast.literal_eval(lists[0].value)


def code_of(x):
    """The function that something public runs, if it is minidl's."""
    x = x.fget if isinstance(x, property) else x.__func__ if isinstance(x, (classmethod, staticmethod)) else x
    x = inspect.unwrap(x) if isinstance(x, types.FunctionType) else x
    return x if isinstance(x, types.FunctionType) and x.__module__.startswith("minidl") else None


def named(function, known, seen):
    """The operations that a function's code names, and the functions that it calls and that are no public ones themselves."""
    found, names, space = set(), set(), function.__globals__
    queue = [function.__code__]
    for code in queue:
        names |= set(code.co_names)
        queue += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    calls = returned(function)
    for name in names | calls:
        value = getattr(ops, name) if space.get("ops") is ops and name in ops.__all__ else space.get(name)
        if value is None and name.startswith("_") and name != VIEW and (name in calls or not name.startswith("__")):
            value = inspect.getattr_static(Tensor, name, None)  # a method, or what an operator calls
        if isinstance(value, type) and value in ROW_OF:
            found.add(value)
        inner = code_of(value)
        if not inner or ENGINE.match(inner.__module__) or inner.__code__ in seen:
            continue
        if inner.__code__ not in known or name in calls:
            seen.add(inner.__code__)
            found |= named(inner, known, seen)
    return found


@functools.cache
def returned(function):
    """The names of what a function calls last: g in `return g(x)`, and __add__ in `return self + x`."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return set()
    first, found = [x.arg for x in tree.body[0].args.args[:1]], set()
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Return) else None
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            found.add(value.func.id)
        if isinstance(value, ast.BinOp) and isinstance(value.left, ast.Name) and value.left.id in first:
            found.add(OPERATORS.get(type(value.op)))
    return found - {None}


OPERATORS = {ast.Add: "__add__", ast.Sub: "__sub__", ast.Mult: "__mul__", ast.Div: "__truediv__", ast.MatMult: "__matmul__"}
OPERATORS |= {ast.Pow: "__pow__", ast.Mod: "__mod__"}
ENGINE = re.compile(r"minidl\.(graph|kernels|double_backward|tensors\.(record|arguments|matrix_checks))\b")
VIEW = "_view"  # a method that makes views by whichever operation it is given
