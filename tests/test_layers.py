"""The layers of the package and the one direction of imports, read from the source: a module imports only from lower layers."""

import ast
import functools
import inspect
import re
import sys
from pathlib import Path

import pytest

from minidl import Tensor, kernels, tensors

PACKAGE = Path(__file__).parent.parent / "minidl"

# From the bottom up. A part is a module or a package at the top of minidl, and within `tensors` each file is a part of its own.
# Parts of one layer do not know each other; a new part must be given a layer.
METHODS = "attributes comparisons elementwise products reductions shapes slices views arithmetic conversion gradients"
METHODS += " pieces contractions"
LAYERS = [
    {"startup"},
    {"kernels", "tensors.dtypes", "tensors.describing", "tensors.printing", "tensors.__init__"},  # numbers and arrays
    {"ops", "random"},  # the calculus; the stream of random numbers
    {"graph"},  # the walk back
    {"tensors.record"},  # how an operation is recorded
    {"double_backward", "tensors.arguments"},
    {*(f"tensors.{name}" for name in METHODS.split()), "tensors.indexing", "tensors.matrix_checks"},  # the methods of Tensor
    {"tensors.ordering", "tensors.joining", "tensors.combined", "tensors.statistics", "tensors.scattering", "tensors.matrices"},
    {"tensors.in_place"},
    {"tensors.numpy_arguments"},
    {"tensors.numpy_numbers", "tensors.numpy_shapes"},
    {"tensors.exchange"},
    {"tensors.tensor"},
    {"tensors.complex"},
    {"tensors.creation", "tensors.functions"},  # the functions of the top level
    {"tensors.random_tensors", "tensors.counting"},
    {"information", "linalg", "special"},
    {"autograd", "nn"},
    {"io"},
    {"func", "profiler", "optim", "utils", "models", "distributions", "generation", "probability", "text", "decomposition"},
    {"warmup", "capture", "model_selection", "optimization", "amp", "accelerator", "backends", "habits"},
    {"cuda", "d2l", "distributed", "exercises", "viz"},
    {"__init__"},
    {"__main__"},
]
LAYER = {part: level for level, parts in enumerate(LAYERS) for part in parts}
OUTSIDE = {"numpy", "numba", "llvmlite"}
OPTIONAL = {
    "distributed/mpi.py": "mpi4py",
    "io/safetensors_files.py": "safetensors",
    "utils/drawing.py": "matplotlib",
    "utils/progress_bar.py": "tqdm",
    "viz/films.py": "matplotlib",
}  # what is loaded at its first use may need a package that is no dependency


@functools.lru_cache(1)
def _nodes(tree):
    """All nodes of a file: the checks of it walk over them several times, one after another."""
    return list(ast.walk(tree))


def complaints(package):
    """What in this package breaks the rules, as a list of 'file:line: what'."""
    files = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))}
    sources = {}  # class -> the files that define it
    for path, tree in files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                sources.setdefault(node.name, set()).add(path)
    found = []
    for path, tree in files.items():
        name = path.relative_to(package)
        check = [*_directions(package, path, tree), *_places(tree), *_attached(path, tree, sources)]
        found += [f"{name}:{line}: {what}" for line, what in check]
    return found


def _part(package, path):
    """The part of the package that a file is in: the first name of its path; of a file in `tensors` the first two."""
    if path in (package, package / "tensors"):
        path /= "__init__"
    names = path.relative_to(package).with_suffix("").parts
    return ".".join(names[:2]) if names[0] == "tensors" else names[0]


def _directions(package, path, tree):
    part, later = _part(package, path), _later(path, tree)
    if part not in LAYER:
        yield 1, f"{part!r} has no layer yet: add it to LAYERS"
        return
    for node in _unless_for_types(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [node.module] if not node.level else []
            for target in _relative(package, path, node) if node.level else []:
                if target != part and LAYER.get(target, len(LAYERS)) >= LAYER[part]:
                    yield node.lineno, f"{part} must not import {target}, which is not in a lower layer"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "__import__",
            "importlib.import_module",
            "import_module",
        ):
            if node not in later:
                yield node.lineno, "an import by a call"
            continue
        else:
            continue
        for target in targets:
            root = target.partition(".")[0]
            if root == OPTIONAL.get(path.relative_to(package).as_posix()):
                continue
            if root not in OUTSIDE and root not in sys.stdlib_module_names:
                yield node.lineno, f"{root} is neither the standard library nor one of {sorted(OUTSIDE)}"


def _unless_for_types(tree):
    """All nodes but those of `if TYPE_CHECKING:`, which no program runs: an editor may look the other way."""
    for_types = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    left_out = {id(node) for block in for_types for node in ast.walk(block)}
    return [node for node in _nodes(tree) if id(node) not in left_out]


def _later(path, tree):
    """The calls by which a package may load a module of its own at its first use: in its `__getattr__` (PEP 562)."""
    hidden = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "not TYPE_CHECKING"]
    body = [*tree.body, *(node for block in hidden for node in block.body)]
    hooks = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"]
    nodes = [node for hook in hooks for node in ast.walk(hook)] if path.name == "__init__.py" else []
    call = r"import_module\(f?'\.(\w+|{name}|{_FILE_OF\[name\]})', __name__\)"
    return [node for node in nodes if re.fullmatch(call, ast.unparse(node))]


def _pause(statement):
    """`with NoCollection():`, in which the package imports its modules."""
    return isinstance(statement, ast.With) and [ast.unparse(item) for item in statement.items] == ["NoCollection()"]


def _relative(package, path, node):
    """The parts that a relative import reaches."""
    origin = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    modules = [origin / alias.name for alias in node.names]
    return [_part(package, m if m.with_suffix(".py").exists() or m.is_dir() else origin) for m in modules]


def _places(tree):
    """Imports that are not at the top of the file."""
    above = True
    top = set()
    body = [part for statement in tree.body for part in (statement.body if _pause(statement) else [statement])]
    for i, statement in enumerate(body):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            top.add(statement)
            if not above:
                yield statement.lineno, "an import below other code"
        elif not (i == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            above = False
    for node in _unless_for_types(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and node not in top:
            yield node.lineno, "an import inside a function, a class or a condition"


def _attached(path, tree, sources):
    """Attributes that a class is given by another file, or by its own file after the class body is closed."""
    at_module_level = {id(target) for statement in tree.body for target in _targets(statement)}
    for node in _nodes(tree):
        for target in _targets(node):
            if not (isinstance(target, ast.Attribute) and isinstance(target.value, (ast.Name, ast.Attribute))):
                continue
            owner = target.value.id if isinstance(target.value, ast.Name) else target.value.attr
            if owner in sources and (path not in sources[owner] or id(target) in at_module_level):
                yield target.lineno, f"{owner}.{target.attr} is attached from outside the class"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
            owner = ast.unparse(node.args[0]).rpartition(".")[2]
            if owner in sources or owner == "cls":
                yield node.lineno, f"setattr on the class {owner}"


def _targets(node):
    if isinstance(node, ast.Assign):
        return [part for target in node.targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [node.target] if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else []


def test_the_package_keeps_its_rules():
    assert not complaints(PACKAGE)


def test_every_room_is_seen():
    parts = {_part(PACKAGE, path) for path in PACKAGE.rglob("*.py")}
    assert {"__init__", "kernels", "ops", "graph", "tensors.tensor", "nn", "optim", "utils", "autograd"} <= parts <= set(LAYER)


LATER = "def __getattr__(name):\n    return import_module('.module', __name__)\n"
CLEAN = {
    "__init__.py": f'"""The package."""\n\nfrom . import nn\nfrom .tensors.tensor import Tensor\n\n{LATER}',
    "kernels/__init__.py": "import numba\nfrom numba.core import types\n",
    "ops/__init__.py": "from .base import Op\n",
    "ops/base.py": "import numpy as np\nfrom .. import kernels\nclass Op:\n    def f(self):\n        Op.newest = 1\n",
    "tensors/__init__.py": "",
    "tensors/tensor.py": "import functools\nfrom .. import ops\nfrom ..ops.base import Op\nclass Tensor:\n    pass\n",
    "nn/__init__.py": "from . import init\n",
    "nn/init.py": "from ..tensors.tensor import Tensor\n",
}
BROKEN = [
    ("ops/shape.py", "from ..tensors.tensor import Tensor", "ops must not import tensors.tensor"),
    ("ops/shape.py", "from ..tensors import tensor", "ops must not import tensors.tensor"),
    ("kernels/__init__.py", "from ..ops.base import Op", "kernels must not import ops"),
    ("nn/init.py", "from .. import Tensor", "nn must not import __init__"),
    ("nn/init.py", "from ..autograd import grad", "nn must not import autograd"),
    ("nn/init.py", "import scipy.stats", "scipy is neither"),
    ("io/__init__.py", "import safetensors", "safetensors is neither"),
    ("io/safetensors_files.py", "import scipy", "scipy is neither"),
    ("nn/init.py", "from minidl import Tensor", "minidl is neither"),
    ("nn/init.py", "def f():\n    import math", "inside a function"),
    ("nn/init.py", "if True:\n    import math", "inside a function, a class or a condition"),
    ("nn/init.py", "x = 1\nimport math", "an import below other code"),
    ("nn/init.py", "__import__('math')", "an import by a call"),
    ("nn/init.py", LATER, "an import by a call"),
    ("nn/__init__.py", LATER.replace("__getattr__", "load"), "an import by a call"),
    ("nn/__init__.py", LATER.replace(".module", "..tensors"), "an import by a call"),
    ("nn/__init__.py", LATER.replace("'.module', __name__", "'math'"), "an import by a call"),
    ("nn/__init__.py", "class Layer:\n    " + LATER.replace("\n", "\n    "), "an import by a call"),
    ("nn/init.py", "Tensor.relu = None", "Tensor.relu is attached from outside"),
    ("nn/init.py", "def f():\n    Tensor.relu, x = 1, 2", "Tensor.relu is attached from outside"),
    ("nn/init.py", "setattr(Tensor, 'relu', 1)", "setattr on the class Tensor"),
    ("tensors/tensor.py", "Tensor.relu = 1", "Tensor.relu is attached from outside"),
    ("misplaced.py", "x = 1", "'misplaced' has no layer yet"),
]


def build(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_package_in_order_has_no_complaints(tmp_path):
    assert complaints(build(tmp_path, CLEAN)) == []


@pytest.mark.parametrize(("file", "text", "message"), BROKEN)
def test_a_broken_rule_is_found(tmp_path, file, text, message):
    found = complaints(build(tmp_path, {**CLEAN, file: CLEAN.get(file, "") + text + "\n"}))
    assert found and all(message in complaint for complaint in found)


def test_every_method_of_tensor_is_where_the_index_and_the_readme_say():
    index, file = {}, None
    for line in tensors.__doc__.splitlines():
        if re.match(r"\w+\.py: ", line):
            file = line.partition(":")[0]
        elif file and line.startswith("    "):
            index |= dict.fromkeys(line.split(), file)
    readme = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    sentence = re.search(r"Every method of Tensor is in .*?by name\.", readme, re.DOTALL)[0]
    fields = {"base", "node", "views"}  # data, not methods
    homes = {}
    for name in set(dir(Tensor)) - fields:
        if not name.startswith("_"):
            member = inspect.getattr_static(Tensor, name)
            function = member.fget if isinstance(member, property) else member
            homes[name] = Path(inspect.getsourcefile(function)).name
    assert index == homes
    assert set(homes.values()) <= set(re.findall(r"`(\w+\.py)`", sentence))


def test_editors_see_every_file_of_kernels():
    """For them each file that is loaded at its first use is imported, in a block that no program runs."""
    tree = ast.parse((PACKAGE / "kernels" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [x for x in tree.body if isinstance(x, ast.If) and ast.unparse(x.test) == "TYPE_CHECKING"]
    assert [ast.unparse(x) for x in block.body] == [f"from .{file} import *" for file in kernels._FILES]
    assert not kernels._FILES.keys() & kernels._FILE_OF.keys()  # `kernels.x` is either the file or a function


def test_make_test_does_not_import_what_it_does_not_install():
    """Files that need an extra beyond `tests` have no examples, and pytest passes over them."""
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    installed = re.search(r"^tests = .*$", project, re.MULTILINE)[0] + re.search(r"^examples = .*$", project, re.MULTILINE)[0]
    ignored = re.findall(r"--ignore=minidl/(\S+?\.py)", project)
    beyond = [path for path, package in OPTIONAL.items() if package not in installed and "safetensors" not in package]
    assert ignored == beyond == ["distributed/mpi.py"]
    assert not any(">>>" in (PACKAGE / path).read_text(encoding="utf-8") for path in ignored)
