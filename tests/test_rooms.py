"""The rooms of the house and the one direction of imports, read from the source: a room imports only from lower floors."""

import ast
import re
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "minidl"

# From the ground up. Rooms on one floor do not know each other; a new room must be given a floor.
FLOORS = [
    {"kernels", "dtypes", "random", "printing"},  # numbers and arrays
    {"ops"},  # the calculus
    {"graph"},  # the walk back
    {"grad_mode", "methods"},
    {"attributes", "indexing", "double_backward"},
    {"tensor"},
    {"functions", "namespace"},  # the vocabulary of the top level
    {"autograd", "io", "nn", "information"},
    {"func", "optim", "utils", "models", "distributions", "generation", "text"},
    {"warmup"},
    {"__init__"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
OUTSIDE = {"numpy", "numba", "llvmlite"}


def complaints(package):
    """What in this package breaks the rules of the house, as a list of 'file:line: what'."""
    files = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))}
    homes = {}  # class -> the files that define it
    for path, tree in files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, set()).add(path)
    found = []
    for path, tree in files.items():
        name = path.relative_to(package)
        check = [*_directions(package, path, tree), *_places(tree), *_attached(path, tree, homes)]
        found += [f"{name}:{line}: {what}" for line, what in check]
    return found


def _room(package, path):
    """The room of a module: the first part of its path below the package."""
    return path.relative_to(package).parts[0].removesuffix(".py") if path != package else "__init__"


def _directions(package, path, tree):
    room, later = _room(package, path), _later(path, tree)
    if room not in FLOOR:
        yield 1, f"the room {room!r} has no floor yet: add it to FLOORS"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [node.module] if not node.level else []
            for target in _relative(package, path, node) if node.level else []:
                if target != room and FLOOR.get(target, len(FLOORS)) >= FLOOR[room]:
                    yield node.lineno, f"{room} must not import {target}, which is not on a lower floor"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "__import__",
            "importlib.import_module",
            "import_module",
        ):
            if node not in later:
                yield node.lineno, "an import in the dress of a call"
            continue
        else:
            continue
        for target in targets:
            root = target.partition(".")[0]
            if root not in OUTSIDE and root not in sys.stdlib_module_names:
                yield node.lineno, f"{root} is neither the standard library nor one of {sorted(OUTSIDE)}"


def _later(path, tree):
    """The calls by which a package may load a module of its own at its first use: in its `__getattr__` (PEP 562)."""
    hooks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"]
    nodes = [node for hook in hooks for node in ast.walk(hook)] if path.name == "__init__.py" else []
    return [node for node in nodes if re.fullmatch(r"import_module\(f?'\.(\w+|{name})', __name__\)", ast.unparse(node))]


def _relative(package, path, node):
    """The rooms that a relative import reaches."""
    folder = path.parents[node.level - 1]
    if node.module:
        return [_room(package, folder / node.module.replace(".", "/"))]
    reached = []
    for alias in node.names:
        module = folder / alias.name
        exists = module.with_suffix(".py").exists() or module.is_dir()
        reached.append(_room(package, module if exists else folder))
    return reached


def _places(tree):
    """Imports that are not at the top of the file."""
    above = True
    top = set()
    for i, statement in enumerate(tree.body):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            top.add(statement)
            if not above:
                yield statement.lineno, "an import below other code"
        elif not (i == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            above = False
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and node not in top:
            yield node.lineno, "an import inside a function, a class or a condition"


def _attached(path, tree, homes):
    """Attributes that a class is given by another file, or by its own file after the class body is closed."""
    at_module_level = {id(target) for statement in tree.body for target in _targets(statement)}
    for node in ast.walk(tree):
        for target in _targets(node):
            if not (isinstance(target, ast.Attribute) and isinstance(target.value, (ast.Name, ast.Attribute))):
                continue
            owner = target.value.id if isinstance(target.value, ast.Name) else target.value.attr
            if owner in homes and (path not in homes[owner] or id(target) in at_module_level):
                yield target.lineno, f"{owner}.{target.attr} is attached from outside the class"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
            owner = ast.unparse(node.args[0]).rpartition(".")[2]
            if owner in homes or owner == "cls":
                yield node.lineno, f"setattr on the class {owner}"


def _targets(node):
    if isinstance(node, ast.Assign):
        return [part for target in node.targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [node.target] if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else []


def test_the_house_keeps_its_rules():
    assert not complaints(PACKAGE)


def test_every_room_is_seen():
    rooms = {_room(PACKAGE, path) for path in PACKAGE.rglob("*.py")}
    assert {"__init__", "kernels", "ops", "graph", "tensor", "nn", "optim", "utils", "autograd"} <= rooms <= set(FLOOR)


LATER = "def __getattr__(name):\n    return import_module('.module', __name__)\n"
CLEAN = {
    "__init__.py": f'"""The package."""\n\nfrom . import nn\nfrom .tensor import Tensor\n\n{LATER}',
    "kernels/__init__.py": "import numba\nfrom numba.core import types\n",
    "ops/__init__.py": "from .base import Op\n",
    "ops/base.py": "import numpy as np\nfrom .. import kernels\nclass Op:\n    def f(self):\n        Op.newest = 1\n",
    "tensor.py": "import functools\nfrom . import ops\nfrom .ops.base import Op\nclass Tensor:\n    pass\n",
    "nn/__init__.py": "from . import init\n",
    "nn/init.py": "from ..tensor import Tensor\n",
}
BROKEN = [
    ("ops/shape.py", "from ..tensor import Tensor", "ops must not import tensor"),
    ("ops/shape.py", "from .. import tensor", "ops must not import tensor"),
    ("kernels/__init__.py", "from ..ops.base import Op", "kernels must not import ops"),
    ("nn/init.py", "from .. import Tensor", "nn must not import __init__"),
    ("nn/init.py", "from ..autograd import grad", "nn must not import autograd"),
    ("nn/init.py", "import scipy.stats", "scipy is neither"),
    ("nn/init.py", "from minidl import Tensor", "minidl is neither"),
    ("nn/init.py", "def f():\n    import math", "inside a function"),
    ("nn/init.py", "if True:\n    import math", "inside a function, a class or a condition"),
    ("nn/init.py", "x = 1\nimport math", "an import below other code"),
    ("nn/init.py", "__import__('math')", "an import in the dress of a call"),
    ("nn/init.py", LATER, "an import in the dress of a call"),
    ("nn/__init__.py", LATER.replace("__getattr__", "load"), "an import in the dress of a call"),
    ("nn/__init__.py", LATER.replace(".module", "..tensor"), "an import in the dress of a call"),
    ("nn/__init__.py", LATER.replace("'.module', __name__", "'math'"), "an import in the dress of a call"),
    ("nn/__init__.py", "class Layer:\n    " + LATER.replace("\n", "\n    "), "an import in the dress of a call"),
    ("nn/init.py", "Tensor.relu = None", "Tensor.relu is attached from outside"),
    ("nn/init.py", "def f():\n    Tensor.relu, x = 1, 2", "Tensor.relu is attached from outside"),
    ("nn/init.py", "setattr(Tensor, 'relu', 1)", "setattr on the class Tensor"),
    ("tensor.py", "Tensor.relu = 1", "Tensor.relu is attached from outside"),
    ("attic.py", "x = 1", "the room 'attic' has no floor yet"),
]


def build(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_tidy_house_has_no_complaints(tmp_path):
    assert complaints(build(tmp_path, CLEAN)) == []


@pytest.mark.parametrize(("file", "text", "message"), BROKEN)
def test_a_broken_rule_is_found(tmp_path, file, text, message):
    found = complaints(build(tmp_path, {**CLEAN, file: CLEAN.get(file, "") + text + "\n"}))
    assert found and all(message in complaint for complaint in found)
