"""What `save` writes beside the arrays: the structure around them, as JSON, and back.

a number, text, True, None       itself
a list or tuple                  {"list": […]}, {"tuple": […]}
a dict                           {"dict": [[key, value], …], "ordered": whether it is an OrderedDict}
a Counter                        {"counter": [[key, value], …]}
a tensor, Parameter or ndarray   {"tensor": name}, {"parameter": name}, {"ndarray": name}: the array of that name
    that requires grad           … "requires_grad": true
    that shares memory           … "view": null for all of that array, or [offset, sizes, strides] of a part of it
    that was there before        {"same": 2}: the third of them
a scalar of NumPy's              {"scalar": name}: an array with one element and no axes
"""

import json
from collections import Counter, OrderedDict

import numpy as np

from ..nn.parameter import Parameter, Uninitialized
from ..tensors.dtypes import SUPPORTED
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .archive import NUMBERS
from .sharing import part_of, place

# One level of a structure is up to three levels of JSON, and Python's recursion limit is 1000 for all of a program.
_DEPTH = 200
_LEAVES = ("tensor", "parameter", "ndarray")


def encode(obj):
    """The structure as text, and the arrays by their names. TypeError, ValueError: see `save`."""
    encoder = _Encoder()
    code = encoder.encode(obj, ())
    arrays = place(encoder.found)
    return json.dumps(code), arrays


class _Encoder:
    def __init__(self):
        self.found = []  # (array, the code to complete with its name) in the order of the structure
        self.seen = {}  # id of a tensor or ndarray -> how many came before it, and itself: so no other gets its id

    def encode(self, obj, around):
        """The structure in the form of JSON. around: the dicts, lists and tuples that contain obj."""
        if isinstance(obj, (Tensor, np.ndarray)):
            return self._encode_array(obj)
        if isinstance(obj, np.generic) and not isinstance(obj, str):
            code = {"scalar": None}
            self.found.append((_checked(np.asarray(obj)), code))
            return code
        if obj is None or isinstance(obj, (bool, int, float, str)):
            return obj
        if not isinstance(obj, dict) and type(obj) not in (list, tuple):
            raise TypeError(
                f"save: expected tensors, ndarrays, dicts, lists, tuples, numbers and text, got {type(obj).__name__} "
                f"(of a module, its state_dict())"
            )
        if any(obj is outer for outer in around):
            raise ValueError(f"save: a {type(obj).__name__} contains itself, which a file cannot hold; remove the loop")
        if len(around) == _DEPTH:
            raise ValueError(
                f"save: the structure is nested more than {_DEPTH} deep; save it flat, as a dict with names like 'a.b.c'"
            )
        around = (*around, obj)
        if isinstance(obj, dict):
            pairs = [[self.encode(key, around), self.encode(value, around)] for key, value in obj.items()]
            return {"counter": pairs} if isinstance(obj, Counter) else {"dict": pairs, "ordered": isinstance(obj, OrderedDict)}
        return {type(obj).__name__: [self.encode(x, around) for x in obj]}

    def _encode_array(self, obj):
        if id(obj) in self.seen:
            return {"same": self.seen[id(obj)][0]}
        self.seen[id(obj)] = len(self.seen), obj
        if isinstance(obj, Tensor):
            code = {"parameter" if isinstance(obj, Parameter) and not isinstance(obj, Uninitialized) else "tensor": None}
            if obj.requires_grad:
                code["requires_grad"] = True
            self.found.append((obj.array, code))
        else:
            code = {"ndarray": None}
            self.found.append((_checked(np.asarray(obj)), code))
        return code


def _checked(array):
    if array.dtype.str[1:] not in NUMBERS:
        raise TypeError(f"save: expected ndarrays of real numbers, got one of dtype {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def decode(text, arrays):
    """The object from which `encode` made this text and these arrays. ValueError for text that it never makes."""
    decoder = _Decoder(arrays)
    obj = decoder.decode(json.loads(text))
    if unused := sorted(set(arrays) - decoder.used):
        raise ValueError(f"its structure has no place for {', '.join(unused[:3])}")
    return obj


class _Decoder:
    def __init__(self, arrays):
        self.arrays = arrays
        self.used = set()  # names of arrays
        self.shared = set()  # those of them that several tensors may have
        self.made = []  # tensors and ndarrays, in the order of the structure

    def decode(self, code):
        if code is None or isinstance(code, (bool, int, float, str)):
            return code
        kind = tuple(code) if isinstance(code, dict) and code else (None,)
        content = code[kind[0]] if kind != (None,) else None
        if isinstance(content, list):
            if kind in (("list",), ("tuple",)):
                return {"list": list, "tuple": tuple}[kind[0]](self.decode(x) for x in content)
            if kind == ("dict", "ordered") and isinstance(code["ordered"], bool):
                return self._decode_dict(OrderedDict if code["ordered"] else dict, content)
            if kind == ("counter",):
                return self._decode_dict(Counter, content)
        elif isinstance(content, str) and kind[0] in _LEAVES and {*kind[1:]} <= {"requires_grad", "view"}:
            self.made.append(self._decode_array(kind[0], content, code))
            return self.made[-1]
        elif isinstance(content, str) and kind == ("scalar",):
            array = self._take(content, shared=False)
            if array.ndim == 0 and array.dtype.kind != "U":
                return array[()]
        elif type(content) is int and kind == ("same",) and 0 <= content < len(self.made):
            return self.made[content]
        raise ValueError("its structure has something that minidl.save does not write")

    def _decode_array(self, kind, name, code):
        array = self._take(name, shared="view" in code)
        if array.dtype.kind == "U":
            raise ValueError(f"{name!r} is text")
        if code.get("view") is not None:
            array = part_of(array, name, code["view"])
        requires_grad = code.get("requires_grad", False)
        if type(requires_grad) is not bool or (requires_grad and (kind == "ndarray" or array.dtype.kind != "f")):
            raise ValueError(f"{name!r} cannot require a gradient")
        if kind == "ndarray":
            return array
        if array.dtype not in SUPPORTED:
            raise ValueError(f"{name!r} has the type {array.dtype.str}, which no tensor has")
        tensor = wrap(array)
        return Parameter(tensor, requires_grad) if kind == "parameter" else tensor.requires_grad_(requires_grad)

    def _take(self, name, shared):
        if name not in self.arrays or (name in self.used and not (shared and name in self.shared)):
            raise ValueError(f"there is no {name!r} in it, or it is used twice")
        self.used.add(name)
        if shared:
            self.shared.add(name)
        return self.arrays[name]

    def _decode_dict(self, kind, pairs):
        result = kind()
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError("its structure has a dict that is not made of pairs")
            key, value = (self.decode(x) for x in pair)
            try:
                known = key in result
            except TypeError:
                raise ValueError(f"its structure has a {type(key).__name__} as a key") from None
            if known:
                raise ValueError(f"its structure has the key {key!r} twice")
            result[key] = value
        return result
