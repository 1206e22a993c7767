"""What code tells of what it reads: the names in it, and texts and instructions that stand for names."""

import contextlib
import dis
import functools
import importlib.util
import re
import sys
import types

_OURS = ("minidl", "numpy", "builtins", "torch")
# Marks among the names in code: a text that may name an attribute, which is looked for; names of attributes are computed, of
# such pieces, or of texts that are reached; all attributes are looked at; an error is caught; something is set.
TEXT, COMPUTED, PIECE, REACHED, ANY, CATCHES, SET = "'", "+", "-", ".", "*", "!", "="
MARKS = {TEXT, COMPUTED, PIECE, REACHED, ANY, CATCHES, SET}
_FORMATS = {"FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "CONVERT_VALUE"}
_ABSENT = {"AttributeError", "Exception", "BaseException"}
_EXCEPT = {"CHECK_EXC_MATCH", "CHECK_EG_MATCH", "JUMP_IF_NOT_EXC_MATCH"}


@functools.lru_cache(4096)
def ours(name):
    return (name or "").partition(".")[0] in _OURS


def foreign(name):
    return ours(name) or name.partition(".")[0] in sys.stdlib_module_names


@functools.lru_cache(4096)
def loaded_by(code):
    """The names that code reads, also within the functions it defines, and the texts in it that may be names."""
    found = set()
    for instruction in dis.get_instructions(code):
        what, value = instruction.opname, instruction.argval
        if what == "IMPORT_FROM" or (what.startswith("LOAD_") and what[:9] != "LOAD_FAST" and isinstance(value, str)):
            if value != "__class__" or what == "LOAD_ATTR":  # else it is that of super()
                found.add(value)
        elif what == "MATCH_CLASS":
            found.add("__match_args__")
            found.update(x for part in code.co_consts if isinstance(part, tuple) for x in part if isinstance(x, str))
        if what in _FORMATS or (what.startswith("LOAD_") and value in ("str", "repr", "format")):
            found.update(("__str__", "__repr__", "__format__"))
    texts = not {"eval", "exec"}.isdisjoint(code.co_names)
    for constant in code.co_consts:
        if texts and isinstance(constant, str):
            with contextlib.suppress(SyntaxError, ValueError):
                constant = compile(constant, "<text>", "exec")
        if isinstance(constant, types.CodeType):
            found |= loaded_by(constant)
    return frozenset(found)


@functools.lru_cache(4096)
def imported_by(code, package):
    """The names of the modules that code imports when it runs."""
    found, level = set(), None
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_CONST", "LOAD_SMALL_INT") and type(instruction.argval) is int:
            level = instruction.argval  # the first of the two constants before the import
        elif instruction.opname == "IMPORT_NAME":
            name = "." * (level or 0) + instruction.argval
            with contextlib.suppress(ImportError):
                name = importlib.util.resolve_name(name, package)
                found.update((name, name.partition(".")[0]))
    return frozenset(found.union(*[imported_by(x, package) for x in code.co_consts if isinstance(x, types.CodeType)]))


@functools.lru_cache(4096)
def globals_of(code):
    """The names that code looks for among the globals."""
    found = {x.argval for x in dis.get_instructions(code) if x.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return frozenset(found.union(*[globals_of(x) for x in code.co_consts if isinstance(x, types.CodeType)]))


@functools.lru_cache(4096)
def set_by(code):
    """The names of the attributes, globals and variables around it that code sets."""
    found = {SET + x.argval for x in dis.get_instructions(code) if x.opname in ("STORE_ATTR", "STORE_GLOBAL", "STORE_DEREF")}
    if not {"setattr", "__setattr__", "vars", "__dict__", "globals"}.isdisjoint(code.co_names):
        found |= {SET + x for x in code.co_consts if isinstance(x, str) and x.isidentifier()}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= set_by(constant)
    return frozenset(found)


@functools.lru_cache(4096)
def marks_of(code):
    """What else is to be known of code: see CATCHES and the others."""
    found, computed, before, last = set(), 0, None, [None, None]  # last: texts before a call, getattr's default or its name
    names, attributes, every = {*code.co_names}, set(), False  # every: errors of every kind are caught
    for instruction in dis.get_instructions(code):
        what, value = instruction.opname, instruction.argval
        if what in _EXCEPT or (what == "POP_TOP" and before == "PUSH_EXC_INFO"):
            found.add(CATCHES)
            every = every or what == "POP_TOP"
        if what in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(value)
        text = value if what == "LOAD_CONST" and isinstance(value, str) else None
        computed += what != "LOAD_CONST" and value == "getattr"
        if what in ("PRECALL", "CALL"):
            computed -= any(x is not None and x.isidentifier() for x in last)
            last = [None, None]
        else:
            last = [last[1], text]
        before = what
    texts = {x for x in code.co_consts if isinstance(x, str) and x}
    if every or (names & _ABSENT and (CATCHES in found or "suppress" in names)):  # attributes may not be there
        found.update(TEXT + x for x in attributes)
    if {"getattr", "hasattr"} & names:
        found.update(TEXT + x for x in texts if x.isidentifier())
    if computed > 0:
        found.update([COMPUTED, *(PIECE + part for x in texts for part in re.findall(r"\w+", x))])
    if {"vars", "__dict__", "asdict", "astuple", "getmembers"} & names:
        found.add(ANY)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= marks_of(constant)
    return frozenset(found)


def packaged(code, module):
    """Whether it is the code of a library, which takes names apart and catches errors for reasons of its own."""
    return foreign(module or "") or "site-packages" in code.co_filename
