"""Files that end in .safetensors, through the package of that name. Imported when it is first needed: it is optional.

The format is described at https://github.com/huggingface/safetensors: a dict of names and tensors, nothing else. Many
other libraries read and write it. It contains no code.
"""

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as serialize

from ..tensors.record import wrap
from ..tensors.tensor import Tensor

# The dtype in a file -> the dtype of its bytes. Half precision is widened to float32, which has all of its numbers.
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_TYPES |= {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}


def to_bytes(obj):
    """The content of the file. TypeError for anything but a dict of names and tensors."""
    if not isinstance(obj, dict):
        got = type(obj).__name__
        raise TypeError(f"save: a .safetensors file holds a dict of names and tensors, a state_dict say, got {got}")
    for name, x in obj.items():
        if not isinstance(name, str) or not isinstance(x, Tensor):
            got = f"{type(x).__name__} under {name!r}"
            raise TypeError(f"save: a .safetensors file holds only names and tensors, got {got}; take another ending for it")
    return serialize({name: np.ascontiguousarray(x.array).reshape(x.shape) for name, x in obj.items()})


def from_bytes(content):
    """The dict of names and tensors. ValueError if it is no such file, TypeError for dtypes that minidl does not have."""
    try:
        entries = deserialize(bytes(content))
    except SafetensorError as error:
        raise ValueError(f"{error}") from None
    return {name: wrap(_array(name, entry["dtype"], entry["shape"], entry["data"])) for name, entry in sorted(entries)}


def _array(name, dtype, shape, content):
    if dtype not in _TYPES:
        raise TypeError(f"load: {name!r} has the type {dtype}, which no tensor has")
    array = np.frombuffer(content, _TYPES[dtype])
    if dtype == "BF16":  # the upper half of a float32
        array = (array.astype("<u4") << 16).view("<f4")
    elif dtype == "F16":
        array = array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable).reshape(shape)
