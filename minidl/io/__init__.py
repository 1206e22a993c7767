"""Tensors to a file and back: `save` and `load`, in NumPy's .npz format, with no pickle in it.

A file holds one array for each tensor, and the structure around them (dicts, lists, tuples, numbers, text) as JSON.
"""

import io
import json
from collections import OrderedDict
from importlib import import_module

import numpy as np

from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .archive import read_arrays, write_arrays
from .files import open_to_read, write_file

_STRUCTURE = "structure.json"
# One level of a structure is up to three levels of JSON, and Python's recursion limit is 1000 for all of a program.
_DEPTH = 200


def __getattr__(name):
    """Loads `posix` when it is first asked for (PEP 562): Windows has not what it needs."""
    if name == "posix":
        return import_module(".posix", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def save(obj, f):
    """Writes a tensor, or dicts, lists and tuples of tensors and plain values (a state_dict, say), to the file f.

    f is the name of a file, or a file opened with "wb" (also an io.BytesIO). Parameters come back as tensors.

    A named file is written under another name, flushed to the disk, and then renamed: an error or a loss of power leaves the
    old content or the new one. A file that exists keeps its mode, and where the system lets us its owner. A symbolic link
    stays, and the file it points to gets the new content; another hard link to that file keeps the old content.
    A save that was killed leaves an unfinished file (.minidl-…); the next save to the same name removes it.

    TypeError for what cannot be saved; ValueError for a structure that contains itself or is nested more than 200 deep, and
    for an f that is a device, a pipe or a socket.

    >>> import minidl, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "x"
    >>> minidl.save({"x": minidl.ones(2), "epoch": 3}, path)
    >>> minidl.load(path)
    {'x': tensor([1., 1.]), 'epoch': 3}
    """
    arrays = {}
    try:
        structure = json.dumps(_encode(obj, arrays, ()))
    except RecursionError:
        raise ValueError(
            "save: the structure is nested too deep here; save it flat, as a dict with names like 'a.b.c'"
        ) from None
    except ValueError as error:  # also an integer of more digits than Python converts to text
        raise error if str(error).startswith("save: ") else ValueError(f"save: {error}") from None
    arrays = {_STRUCTURE: np.array(structure), **arrays}
    if not hasattr(f, "write"):
        write_file("save", f, lambda file: write_arrays(file, arrays))
    elif isinstance(f, io.TextIOBase):
        raise TypeError('save: the file is open for text; open it with "wb"')
    else:
        whole = io.BytesIO()  # an open file may be one that cannot go back, or that only appends
        write_arrays(whole, arrays)
        _write_all(f, whole.getbuffer())


def load(f):
    """What `save` wrote to f: the name of a file, or a file opened with "rb" (also an io.BytesIO).

    An open file is read from where it stands to the end of what one `save` wrote, so that several can follow each other.

    Every byte of the tensors and of the structure is checked (CRC-32). ValueError, naming the file, if it is damaged, or is not
    what minidl.save writes. Errors of the system, such as FileNotFoundError, are raised as they are.
    """
    if not hasattr(f, "read"):
        with open_to_read("load", f) as (file, size):
            return _load(file, size, f, alone=True)
    if isinstance(f, io.TextIOBase):
        raise TypeError('load: the file is open for text; open it with "rb"')
    can_seek = hasattr(f, "seek") and (not hasattr(f, "seekable") or f.seekable())
    file = f if can_seek and hasattr(f, "readinto") else io.BytesIO(f.read())
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start
    file.seek(start)
    return _load(file, size, getattr(f, "name", f"the {type(f).__name__}"), alone=False)


def _write_all(file, rest):
    """Writes to an open file: a raw one may take a part of what it is given, or nothing."""
    while len(rest):
        written = file.write(rest)
        if written is None:
            raise BlockingIOError("save: the file takes no more bytes now; open it in blocking mode")
        rest = rest[written:]


def _load(file, size, name, alone):
    try:
        arrays, left = read_arrays(file, size)
        if left and alone:
            raise ValueError(f"{left} bytes follow after its end")
        if _STRUCTURE not in arrays:
            raise ValueError(f"it has no {_STRUCTURE}")
        structure = arrays.pop(_STRUCTURE)
        if structure.dtype.kind != "U":
            raise ValueError(f"{_STRUCTURE} is no text")
        # decoded here: NumPy makes a str of any numbers, also of those that are no characters
        text = structure.astype(structure.dtype.newbyteorder("<")).tobytes().decode("utf-32-le")
        obj = _decode(json.loads(text), arrays)
        if arrays:
            raise ValueError(f"its structure has no place for {', '.join(sorted(arrays)[:3])}")
        return obj
    except RecursionError:
        raise ValueError(f"load: {name} is nested deeper than Python's recursion limit; raise sys.setrecursionlimit") from None
    except ValueError as error:
        raise ValueError(
            f"load: {name} is not a file that minidl.save wrote, or is damaged: {error}. "
            f"Take another copy of it, or save it again with minidl.save"
        ) from None


def _encode(obj, arrays, around):
    """The structure as JSON has it. arrays: gets the tensors. around: the dicts, lists and tuples that obj is in."""
    if isinstance(obj, Tensor):
        name = f"tensor{len(arrays)}"
        arrays[name] = obj.array
        return {"tensor": name}
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if not isinstance(obj, dict) and type(obj) not in (list, tuple):
        raise TypeError(
            f"save: expected tensors, dicts, lists, tuples, numbers and text, got {type(obj).__name__} "
            f"(of a module, its state_dict())"
        )
    if any(obj is outer for outer in around):
        raise ValueError(f"save: a {type(obj).__name__} contains itself; a file can only hold what has an end")
    if len(around) == _DEPTH:
        raise ValueError(
            f"save: the structure is nested more than {_DEPTH} deep; save it flat, as a dict with names like 'a.b.c'"
        )
    around = (*around, obj)
    if isinstance(obj, dict):
        pairs = [[_encode(key, arrays, around), _encode(value, arrays, around)] for key, value in obj.items()]
        return {"dict": pairs, "ordered": isinstance(obj, OrderedDict)}
    return {type(obj).__name__: [_encode(x, arrays, around) for x in obj]}


def _decode(code, arrays):
    """The object that _encode turned into code. Takes its tensors out of arrays."""
    if code is None or isinstance(code, (bool, int, float, str)):
        return code
    kind = tuple(code) if isinstance(code, dict) else None
    content = code[kind[0]] if kind else None
    if kind == ("tensor",) and isinstance(content, str):
        if content not in arrays:
            raise ValueError(f"there is no {content!r} in it, or it is used twice")
        array = arrays.pop(content)
        if array.dtype.kind == "U":
            raise ValueError(f"{content!r} is text")
        return wrap(array)
    if isinstance(content, list):
        if kind in (("list",), ("tuple",)):
            return {"list": list, "tuple": tuple}[kind[0]](_decode(x, arrays) for x in content)
        if kind == ("dict", "ordered") and isinstance(code["ordered"], bool):
            return _decode_dict(OrderedDict if code["ordered"] else dict, content, arrays)
    raise ValueError("its structure has something that minidl.save does not write")


def _decode_dict(kind, pairs, arrays):
    result = kind()
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError("its structure has a dict that is not made of pairs")
        key, value = (_decode(x, arrays) for x in pair)
        try:
            known = key in result
        except TypeError:
            raise ValueError(f"its structure has a {type(key).__name__} as a key") from None
        if known:
            raise ValueError(f"its structure has the key {key!r} twice")
        result[key] = value
    return result
