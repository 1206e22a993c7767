"""Tensors to a file and back: `save` and `load`, in NumPy's .npz format, with no pickle in it.

A file holds one array for each tensor, and the structure around them (dicts, lists, tuples, numbers, text) as JSON.
"""

import json
import os
import tempfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

from . import dtypes
from .tensor import Tensor, wrap

_STRUCTURE = "structure.json"


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
    structure = json.dumps(_encode(obj, arrays))
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **{_STRUCTURE: np.array(structure)}, **arrays)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


def load(f):
    """What `save` wrote to the file f."""
    try:
        with open(f, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return _decode(json.loads(str(file[_STRUCTURE])), file)
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"load: {f} is not a file that minidl.save wrote, or is damaged: {error}") from None


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
