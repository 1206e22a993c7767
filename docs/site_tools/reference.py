"""The reference: a page for each public module, and one for each source file of the large ones.

Which modules are public is said in one place, SPACES in tests/test_documentation.py; what is public in them, by their __all__.
"""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import minidl

from . import prose

ROOT = Path(__file__).resolve().parents[2]
LARGE = 60  # names; a module with more gets a page for each file in which they are defined
OPERATIONS = "minidl.ops"  # not public, but what the gradients are derived in
ANY_ARGUMENTS = {"minidl.Tensor.cuda"}  # raises, whatever it is given


def spaces():
    """The names of the public modules."""
    tree = ast.parse((ROOT / "tests" / "test_documentation.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(x) for x in node.targets] == ["SPACES"]:
            return ast.literal_eval(node.value)
    raise LookupError("tests/test_documentation.py has no list SPACES, which says what modules are public")


def members(space):
    """{name: function or class} of a module, from its __all__; without one, what is defined in it (in minidl, or imported)."""
    module = import_module(space)
    own = [name for name, x in vars(module).items() if space in ("minidl", _home(x))]
    found = {name: getattr(module, name) for name in getattr(module, "__all__", own) if not name.startswith("_")}
    return {name: x for name, x in found.items() if callable(x) and _home(x).startswith("minidl")}


def methods():
    """{name: function or property} of Tensor."""
    found = {}
    for name in dir(minidl.Tensor):
        x = inspect.getattr_static(minidl.Tensor, name)
        x = x.__func__ if isinstance(x, (classmethod, staticmethod)) else x
        if not name.startswith("_") and (inspect.isfunction(x) or isinstance(x, property)):
            found[name] = x
    return found


def public():
    """{full name: function, class or property} of everything that the reference has to have."""
    found = {f"{space}.{name}": x for space in spaces() for name, x in members(space).items()}
    return found | {f"minidl.Tensor.{name}": x for name, x in methods().items()}


def text(x):
    """The docstring that was written for it; not what Python or a base class says in its place."""
    x = x.fget if isinstance(x, property) else x
    written = (vars(x).get("__doc__") if inspect.isclass(x) else x.__doc__) or ""
    made_by_python = inspect.isclass(x) and written.startswith(f"{x.__name__}(") and written.endswith(")")
    return "" if made_by_python else written.strip()


def lacks(name, x):
    """What the reference misses of a public name: a list of sentences, empty if it is complete."""
    missing = []
    if not text(x):
        missing.append(f"{name} has no docstring of its own")
    if ">>> " not in text(x):
        missing.append(f"{name} has no example after >>>")
    if not isinstance(x, property) and not _signed(name, x):
        missing.append(f"{name} has no signature of its own")
    return missing


def _signed(name, x):
    if inspect.isclass(x) and issubclass(x, BaseException):
        return True  # Python's: any arguments
    try:
        kinds = {parameter.kind for parameter in inspect.signature(x).parameters.values()}
    except (TypeError, ValueError):
        return False
    anything = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds
    return inspect.isclass(x) or name in ANY_ARGUMENTS or not anything


def _home(x):
    return str(getattr(x, "__module__", None))


def write(folder):
    """Writes the pages into a folder, and gives what they lack."""
    index = [*_title("Reference"), "Everything public, by module. Names and signatures are PyTorch's.", ""]
    index += [".. toctree::", "   :maxdepth: 1", ""]
    for space in spaces():
        found = {name: (f"{space}.{name}", x) for name, x in members(space).items()}
        _write_space(folder, space, found, _intro(space))
        index.append(f"   {space}")
        if space == "minidl":
            tensor = {name: (f"minidl.Tensor.{name}", x) for name, x in methods().items()}
            intro = ["The methods and properties of a Tensor, by the file that has them.", ""]
            _write_space(folder, "minidl.Tensor", tensor, intro)
            index.append("   minidl.Tensor")
    module = import_module(OPERATIONS)
    found = {name: (f"{OPERATIONS}.{name}", getattr(module, name)) for name in _operations(module)}
    _write_space(folder, OPERATIONS, found, _intro(OPERATIONS))
    index += [f"   {OPERATIONS}", ""]
    _save(folder / "index.rst", index)
    told = [problem for name, x in public().items() for problem in lacks(name, x)]
    return told + [f"{name} has no docstring" for name, x in found.values() if not text(x)]


def _operations(module):
    return sorted(name for name, x in vars(module).items() if inspect.isclass(x) and issubclass(x, module.Op))


def _intro(space):
    return prose.rest(inspect.getdoc(import_module(space)) or "")


def _write_space(folder, space, found, intro):
    lines = [
        *_title(space),
        f".. module:: {space}" if not space.endswith("Tensor") else ".. currentmodule:: minidl",
        "",
        *intro,
    ]
    if len(found) <= LARGE:
        _save(folder / f"{space}.rst", lines + [line for entry in found.values() for line in _entry(*entry)])
        return
    lines += [".. toctree::", "   :maxdepth: 1", ""]
    files = {}
    for name, (full, x) in found.items():
        files.setdefault(_file(name, x), []).append((full, x))
    for home, entries in sorted(files.items(), key=lambda pair: pair[0].rpartition(".")[2]):
        stem = home.removeprefix("minidl.").replace(".", "-")
        page = [*_title(f"{space}: {home.rpartition('.')[2].replace('_', ' ')}"), *_intro(home)]
        module = "minidl" if space == "minidl.Tensor" else space
        page += [f".. currentmodule:: {module}", ""]
        _save(folder / space / f"{stem}.rst", page + [line for entry in entries for line in _entry(*entry)])
        lines.append(f"   {space}/{stem}")
    _save(folder / f"{space}.rst", [*lines, ""])


def _file(name, x):
    """The module that has the text of a function: of minidl.exp, the one that has Tensor.exp."""
    home = _home(x.fget if isinstance(x, property) else x)
    twin = inspect.getattr_static(minidl.Tensor, name, None)
    if home == "minidl.tensors.functions" and inspect.isfunction(twin):
        return _home(twin)
    return home


_first = {}  # class -> the name under which it was described


def _entry(full, x):
    if inspect.isclass(x) and _first.setdefault(x, full) != full:  # autodoc describes a class once
        signature = inspect.signature(x)
        plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
        signature = signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)
        same = [f"The same class as :py:class:`{_first[x]}`.", "", *prose.rest(inspect.getdoc(x))]
        return [f".. py:class:: {full}{signature}", "", *(f"   {line}".rstrip() for line in same), ""]
    if full.startswith("minidl.Tensor."):
        kind = "property" if isinstance(x, property) else "method"
    else:
        kind = "class" if inspect.isclass(x) else "function" if inspect.isroutine(x) else "data"
    if kind == "class" and issubclass(x, BaseException):
        kind = "exception"
    deep = kind == "class" and full != "minidl.Tensor"
    return [f".. auto{kind}:: {full}", *(["   :members:"] if deep else []), ""]


def _title(text):
    return [re.sub(r"([*_|`])", r"\\\1", text), "=" * (2 * len(text)), ""]


def _save(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    written = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != written:  # what has not changed is not read again
        path.write_text(written, encoding="utf-8")
