"""Tensors to a file and back: `save` and `load`, in NumPy's .npz format, with no pickle in it.

A file holds one array for each tensor, and the structure around them (dicts, lists, tuples, numbers, text) as JSON.
"""

import io
import os
from importlib import import_module

import numpy as np

from ..tensors import dtypes
from .archive import read_arrays, write_arrays
from .files import open_to_read, write_file
from .structure import decode, encode

_STRUCTURE = "structure.json"


def __getattr__(name):
    """Imports a submodule when it is first used (PEP 562): what it imports is not installed everywhere."""
    if name in ("posix", "safetensors_files"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def save(obj, f):
    """Writes a tensor, or dicts, lists and tuples of tensors and plain values (a state_dict, say), to the file f.

    f is the name of a file, or a file opened with "wb" (also an io.BytesIO). NumPy's arrays and scalars of real numbers can be
    saved too. Tensors that share memory share it again after loading, and requires_grad is kept. The graph of a tensor and its
    .grad are not saved.

    A name that ends in .safetensors gets that format, through the package safetensors (`pip install minidl[safetensors]`). It
    holds a dict of names and tensors, such as a state_dict, and nothing else: neither shared memory nor requires_grad.

    A named file is written under another name, flushed to the disk, and then renamed: an error or a loss of power leaves the
    old content or the new one. A file that exists keeps its mode and, where the system allows it, its owner. A symbolic
    link stays, and its target gets the new content; another hard link to the target keeps the old content.
    A save that was killed leaves an unfinished file (.minidl-…); the next save to the same name removes it.

    TypeError for what cannot be saved; ValueError for a structure that contains itself or is nested more than 200 deep, and
    for an f that is a device, a pipe or a socket.

    >>> import minidl, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "x"
    >>> minidl.save({"x": minidl.ones(2), "epoch": 3}, path)
    >>> minidl.load(path)
    {'x': tensor([1., 1.]), 'epoch': 3}

    All that a training needs to go on as if it had not stopped, beside its data:

    >>> model = minidl.nn.Linear(2, 1)
    >>> optimizer = minidl.optim.Adam(model.parameters())
    >>> state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": minidl.get_rng_state()}
    >>> minidl.save(state, path)
    >>> state = minidl.load(path)
    >>> model.load_state_dict(state["model"])
    <All keys matched successfully>
    >>> optimizer.load_state_dict(state["optimizer"])
    >>> minidl.set_rng_state(state["rng"])
    """
    if isinstance(f, io.TextIOBase):
        raise TypeError('save: the file is open for text; open it with "wb"')
    if _is_safetensors(f):
        content = _safetensors("save").to_bytes(obj)
        if hasattr(f, "write"):
            _write_all(f, memoryview(content))
        else:
            write_file("save", f, lambda file: file.write(content))
        return
    try:
        structure, arrays = encode(obj)
    except RecursionError:
        raise ValueError(
            "save: the structure is nested too deep here; save it flat, as a dict with names like 'a.b.c'"
        ) from None
    except ValueError as error:  # also an integer of more digits than Python converts to text
        raise error if str(error).startswith("save: ") else ValueError(f"save: {error}") from None
    arrays = {_STRUCTURE: np.array(structure), **arrays}
    if not hasattr(f, "write"):
        write_file("save", f, lambda file: write_arrays(file, arrays))
    else:
        whole = io.BytesIO()  # an open file may be one that cannot go back, or that only appends
        write_arrays(whole, arrays)
        _write_all(f, whole.getbuffer())


def load(f, map_location=None, pickle_module=None, *, weights_only=True, mmap=None):
    """Reads what `save` wrote to f: the name of a file, or a file opened with "rb" (also an io.BytesIO).

    An open file is read from its current position to the end of what one `save` wrote, so one file can hold several saves.

    A file whose name ends in .safetensors is read as one, through the package safetensors; float16 and bfloat16 in it become
    float32, which has all of their numbers.

    map_location: "cpu" or None; PyTorch's {"cuda:0": "cpu"} means the same. weights_only: True or False; the files never
    contain code, and loading one never runs any. pickle_module, mmap: only None; neither is supported.

    >>> import io, minidl
    >>> file = io.BytesIO()
    >>> w = minidl.zeros(2, requires_grad=True)
    >>> minidl.save([w, w.detach()[:1]], file)
    >>> _ = file.seek(0)
    >>> w, part = minidl.load(file, map_location="cpu", weights_only=True)
    >>> _ = part.fill_(7)  # the two share memory again
    >>> w
    tensor([7., 0.], requires_grad=True)

    Every byte of the tensors and of the structure is checked (CRC-32). ValueError, naming the file, if it is damaged, or is not
    what minidl.save writes. Errors of the system, such as FileNotFoundError, are raised as they are.
    """
    _check_options(map_location, pickle_module, weights_only, mmap)
    if _is_safetensors(f):
        return _load_safetensors(f)
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


def _check_options(map_location, pickle_module, weights_only, mmap):
    for place in map_location.values() if isinstance(map_location, dict) else [map_location]:
        if not (place is None or isinstance(place, dtypes.device) or (isinstance(place, str) and place == "cpu")):
            raise ValueError(f'load: map_location={map_location!r}, but minidl runs on the CPU only; use map_location="cpu"')
    if pickle_module is not None:
        raise ValueError("load: minidl's files have no pickles in them; leave pickle_module out")
    if weights_only not in (True, False, None):
        raise TypeError(f"load: weights_only must be True or False, got {weights_only!r}")
    if mmap not in (False, None):
        raise NotImplementedError("load: mmap=True is not supported, a file is read as a whole; leave it out")


def _is_safetensors(f):
    """Whether the name of a file, given or open, ends so."""
    name = f if isinstance(f, (str, os.PathLike)) else getattr(f, "name", None)
    return isinstance(name, (str, os.PathLike)) and str(os.fspath(name)).endswith(".safetensors")


def _safetensors(name):
    try:
        return __getattr__("safetensors_files")
    except ModuleNotFoundError as error:
        if error.name != "safetensors":
            raise
        raise ModuleNotFoundError(
            f"{name}: files that end in .safetensors need the package safetensors: pip install minidl[safetensors]",
            name="safetensors",
        ) from None


def _load_safetensors(f):
    reader = _safetensors("load")
    if isinstance(f, io.TextIOBase):
        raise TypeError('load: the file is open for text; open it with "rb"')
    if hasattr(f, "read"):
        content = f.read()
    else:
        with open_to_read("load", f) as (file, _):
            content = file.read()
    try:
        return reader.from_bytes(content)
    except ValueError as error:
        raise ValueError(f"load: {getattr(f, 'name', f)} is no file of safetensors, or is damaged: {error}") from None


def _write_all(file, rest):
    """Writes all bytes to an open file: one call of write may write only a part of them, or nothing."""
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
        return decode(text, arrays)
    except RecursionError:
        raise ValueError(f"load: {name} is nested deeper than Python's recursion limit; raise sys.setrecursionlimit") from None
    except ValueError as error:
        raise ValueError(
            f"load: {name} is not a file that minidl.save wrote, or is damaged: {error}. "
            f"Take another copy of it, or save it again with minidl.save"
        ) from None
