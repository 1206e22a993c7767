"""Tensors to a file and back: `save` and `load`, in NumPy's .npz format, with no pickle in it.

A file holds one array for each tensor, and the structure around them (dicts, lists, tuples, numbers, text) as JSON.
"""

import json
import os
import threading
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np

from .tensors import dtypes
from .tensors.record import wrap
from .tensors.tensor import Tensor

_STRUCTURE = "structure.json"
# What NumPy and zipfile raise for other files and for damaged ones, depending on where the damage is.
_DAMAGE = (AttributeError, KeyError, ValueError, EOFError, OSError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def save(obj, f):
    """Writes a tensor, or dicts, lists and tuples of tensors and plain values (a state_dict, say), to the file f.

    The file appears when it is complete: an error leaves what was there before. Parameters come back as tensors.

    >>> import minidl, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "x"
    >>> minidl.save({"x": minidl.ones(2), "epoch": 3}, path)
    >>> minidl.load(path)
    {'x': tensor([1., 1.]), 'epoch': 3}
    """
    path, arrays = Path(f), {}
    if not path.name or path.is_dir() or not path.parent.is_dir():
        raise FileNotFoundError(f"save: {str(f)!r} is not the name of a file in a folder that exists")
    structure = json.dumps(_encode(obj, arrays))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.unfinished")
    try:
        with open(unfinished, "xb") as file:
            np.savez(file, **{_STRUCTURE: np.array(structure)}, **arrays)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def load(f):
    """What `save` wrote to the file f."""
    try:
        with open(f, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return _decode(json.loads(str(file[_STRUCTURE])), file)
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise ValueError(f"load: {f} is not a file that minidl.save wrote, or is damaged ({type(error).__name__})") from None


def _encode(obj, arrays):
    if isinstance(obj, Tensor):
        name = f"tensor{len(arrays)}"
        arrays[name] = obj.array
        return {"tensor": name}
    if isinstance(obj, dict):
        return {
            "dict": [[_encode(key, arrays), _encode(value, arrays)] for key, value in obj.items()],
            "ordered": isinstance(obj, OrderedDict),
        }
    if isinstance(obj, (list, tuple)):
        return {type(obj).__name__: [_encode(x, arrays) for x in obj]} if type(obj) in (list, tuple) else _refuse(obj)
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    return _refuse(obj)


def _refuse(obj):
    kind = type(obj).__name__
    raise TypeError(
        f"save: expected tensors, dicts, lists, tuples, numbers and text, got {kind} (of a module, its state_dict())"
    )


def _decode(code, file):
    if not isinstance(code, dict):
        return code
    if "tensor" in code:
        array = file[code["tensor"]]
        return wrap(array.astype(dtypes.as_dtype(array.dtype), copy=False))
    if "dict" in code:
        kind = OrderedDict if code["ordered"] else dict
        return kind((_decode(key, file), _decode(value, file)) for key, value in code["dict"])
    ((kind, items),) = code.items()
    return {"list": list, "tuple": tuple}[kind](_decode(x, file) for x in items)
