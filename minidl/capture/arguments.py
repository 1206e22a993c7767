"""The arguments of a remembered step, and its results: tensors in tuples, lists and dicts."""

import collections
import copy
import dataclasses
import weakref

import numpy as np

from ..graph.nodes import Leaf
from ..kernels.memory import offset_of, owner_of
from ..nn.module import Module
from ..tensors.record import wrap
from ..tensors.tensor import Tensor
from .comparing import same
from .names import foreign


def _own(x):
    """{name: value} of what a user has put into a tensor: attributes for which the class has no value, and its gradient."""
    own = {name: value for name, value in vars(x).items() if name != "array" and not hasattr(Tensor, name)}
    return own if x._frozen is None else {**own, "_frozen": x._frozen}


_DICTS = dict, collections.OrderedDict, collections.defaultdict


def _is_named(x):
    return isinstance(x, tuple) and type(x).__new__ is not tuple.__new__ and hasattr(x, "_fields")


class _This:
    """Stands for an object in a key: equal only to itself, whatever the object says of it."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x is other.x

    def __hash__(self):
        return id(self.x)


def _fields(x):
    """{name: value} of an object that is only a record of values, or of tensors; else None."""
    if isinstance(x, type) or not dataclasses.is_dataclass(x) or isinstance(x, Module):
        return None
    values = {field.name: getattr(x, field.name, None) for field in dataclasses.fields(x)}
    record = type(x).__eq__ is not object.__eq__ or any(isinstance(value, Tensor) for value in values.values())
    return values if record and getattr(x, "__dict__", values).keys() == values.keys() else None


def leaves(x):
    """What is in arguments: of a record its values and its class, which may have methods."""
    if isinstance(x, (tuple, list, dict)):
        for part in x.values() if isinstance(x, dict) else x:
            yield from leaves(part)
    elif (fields := _fields(x)) is not None:
        yield type(x)
        yield from leaves(fields)
    else:
        yield x


def examine(x, tensors, key):
    """Adds an argument's tensors to {id: tensor}, and to the key what must be the same for the same program."""
    if isinstance(x, Tensor):
        if x.node is not None:  # a parameter
            key.append(x)
        elif id(x) in tensors:  # Python may ask whether two arguments are one
            key.append(list(tensors).index(id(x)))
        else:
            tensors[id(x)] = x
            key.append((x.array.shape, x.array.dtype.char))
            if (own := _own(x)) or type(x) is not Tensor:
                key.append(type(x))
                examine(own, tensors, key)
    elif type(x) in (tuple, list):
        key.append((type(x), len(x)))
        for part in x:
            examine(part, tensors, key)
    elif type(x) in _DICTS:
        key.append((type(x), tuple(x)))
        for part in x.values():
            examine(part, tensors, key)
    elif _is_named(x):
        key.append(type(x))
        for part in x:
            examine(part, tensors, key)
    elif (fields := _fields(x)) is not None:
        key.append(type(x))
        for part in fields.values():
            examine(part, tensors, key)
    elif isinstance(x, np.ndarray):
        raise TypeError("compile: an argument is a NumPy array; pass a tensor: minidl.tensor(x), or minidl.from_numpy(x)")
    elif type(x) in (float, complex, slice) or isinstance(x, np.inexact):
        key.append((type(x), repr(x)))  # 0.0 and -0.0 are equal, and make a difference
    elif type(x) in (set, frozenset):
        key.append((type(x), len(x)))
        for part in x:
            examine(part, tensors, key)
    elif type(x).__eq__ is object.__eq__ or foreign(type(x).__module__):
        key.append((type(x), x))
    else:  # it says itself to what it is equal
        key.append(_This(x))


def is_plain(args):
    """Whether all are tensors without a graph and without attributes of the user's."""
    return all(type(x) is Tensor and x.node is None and not _own(x) for x in args)


def with_statics(x, statics, made):
    """The argument with the twin, by its id, of each tensor without a graph in its place.

    made: gets (what is replaced, what stands for it, its items), of what the step might change.
    """
    if isinstance(x, Tensor):
        if x.node is not None:
            return x
        new = statics[id(x)]
    elif type(x) in (tuple, list):
        new = type(x)([with_statics(part, statics, made) for part in x])
    elif type(x) in _DICTS:
        new = copy.copy(x)
        new.update((key, with_statics(part, statics, made)) for key, part in x.items())
    elif _is_named(x):
        new = type(x)(*[with_statics(part, statics, made) for part in x])
    elif (fields := _fields(x)) is not None:
        new = copy.copy(x)
        for name, part in fields.items():
            object.__setattr__(new, name, with_statics(part, statics, made))
    else:
        return x
    made.append((x, new, _items(new)))
    return new


def _items(x):
    """{key: value} of what may be changed."""
    if isinstance(x, Tensor):
        return {**_own(x), "array": x.array, "node": x.node}
    if isinstance(x, tuple):
        return {}
    if isinstance(x, (list, dict)):
        return dict(items(x))
    return dict(getattr(x, "__dict__", None) or _fields(x) or {})


def put_back(made, statics, arrays):
    """What the step has done to its arguments, in words, or None; the caller's are changed likewise.

    statics: the arrays that the step was given, in the place of these of the caller's.
    """
    before, what = {id(new): x for x, new, _ in made}, None
    for x, new, first in made:
        now = _items(new)
        if now.keys() == first.keys() and all(now[key] is first[key] for key in now):
            continue
        now = {key: before.get(id(value), value) for key, value in now.items()}
        if isinstance(x, Tensor):
            what = "it changes the shape, requires_grad or an attribute of a tensor that it is given: change a clone() of it"
            if first["node"] is None and now["node"] is not None:
                what = "it lets an input require a gradient: write x = x.clone().requires_grad_()"
            _put_back_tensor(x, now, first, {id(s): (s, a) for s, a in zip(statics, arrays, strict=True)})
            continue
        what = what or "it changes a list, a dict or an object that it is given: return what it makes"
        if isinstance(x, list):
            x[:] = now.values()
        elif isinstance(x, dict):
            x.clear()
            x.update(now)
        else:
            fill(x, now)
            for name in first.keys() - now.keys():
                object.__delattr__(x, name)
    return what


def _put_back_tensor(x, now, before, places):
    """places: {id of an array that the step was given: (it, the caller's)}"""
    array, node = now.pop("array"), now.pop("node")
    if array is not before["array"]:
        static, mine = places.get(id(owner_of(array)), (None, None))
        if mine is not None and mine.flags.c_contiguous and mine.size:
            array = np.ndarray(array.shape, array.dtype, mine, offset_of(array, static), array.strides)
        x.array = array
    if node is not None:
        x.node = node
        if type(node) is Leaf:
            node.owner = weakref.ref(x)
    for name in before.keys() - now.keys() - {"array", "node"}:
        vars(x).pop(name, None)
    vars(x).update(now)


def twins(tensors, arrays):
    """{id of a tensor: one of the same kind and with the same attributes that has another array}"""
    found = {}
    for (key, x), array in zip(tensors.items(), arrays, strict=True):
        found[key] = new = object.__new__(type(x))
        vars(new).update(_own(x), array=array)
    return found


def refused(result):
    """Why this result can't be given by a replay, or None."""
    for x in parts(result):
        if isinstance(x, Tensor):
            if x.node is not None and _leads_to_a_leaf(x.node):
                return "a result still wants a gradient: call backward() within the step, or return x.detach()"
        elif x is not None:
            return f"it returns a {type(x).__name__}: return tensors only"
    return None


def _leads_to_a_leaf(node):
    """Whether backward() could come from this node to a tensor. It can't where it has been before: graphs are walked once."""
    seen, stack = set(), [node]
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen:
            continue
        if isinstance(node, Leaf):
            return True
        seen.add(id(node))
        stack += node.needs or ()
    return False


def parts(value):
    """What is in tuples, lists, dicts and records, in order."""
    if isinstance(value, (tuple, list, dict)):
        for x in value.values() if isinstance(value, dict) else value:
            yield from parts(x)
    elif not isinstance(value, Tensor) and (fields := _fields(value)) is not None:
        yield from parts(fields)
    else:
        yield value


def tensors_in(result):
    return [x for x in parts(result) if isinstance(x, Tensor)]


def filled(shape, arrays):
    if isinstance(shape, Tensor):
        return wrap(next(arrays))
    if type(shape) is dict:
        return {key: filled(x, arrays) for key, x in shape.items()}
    if isinstance(shape, tuple) and hasattr(shape, "_fields"):
        return type(shape)(*[filled(x, arrays) for x in shape])
    if isinstance(shape, tuple) or type(shape) is list:
        return type(shape)([filled(x, arrays) for x in shape])
    if shape is None or (held := items(shape)) is None:
        return shape
    new = copy.copy(shape)
    fill(new, {key: filled(x, arrays) for key, x in held.items()})
    return new


def items(x):
    """{key: value} of a list, a dict or a record; else None."""
    if isinstance(x, list):
        return dict(enumerate(x))
    return x if isinstance(x, dict) else None if isinstance(x, Tensor) else _fields(x)


def fill(x, values):
    """Puts values in the place of what a list, a dict or a record holds under these keys."""
    put = {list: list.__setitem__, dict: dict.__setitem__}
    put = next((put[kind] for kind in put if isinstance(x, kind)), object.__setattr__)
    for key, value in values.items():
        put(x, key, value)


class Kept:
    """A list, a dict or a record that a step changes instead of making another: `set` {key: None, or what is kept in it}, the
    values that it puts there, and `others` {key: value}, those that it leaves alone.

    before: what `held` gave before the step; after: the value after it.
    """

    def __init__(self, before, after):
        self.kind, self.set, self.others = type(after), {}, {}
        for key, value in items(after).items():
            old, inner = before[1].get(key, (before, None))
            if old is value and inner is not None:
                self.set[key] = Kept((old, inner), value)
            elif old is value:
                self.others[key] = value
            else:
                self.set[key] = None

    def pour(self, now, new):
        """What is there after a replay that has made `new`: now, with what is in new."""
        if type(now) is not self.kind:
            return new
        old, new = items(now), items(new)
        for key, kept in self.set.items():
            fill(now, {key: new[key] if kept is None else kept.pour(old.get(key), new[key])})
        return now

    def changed(self, now):
        """Whether another value stands where the step puts none. If it has another form, others look at it."""
        values = items(now) if type(now) is self.kind else None
        if values is None or not values.keys() >= self.set.keys() | self.others.keys():
            return False
        inner = [(values[key], kept) for key, kept in self.set.items() if kept is not None]
        return not all(same(values[key], x) for key, x in self.others.items()) or any(kept.changed(x) for x, kept in inner)

    def tensors(self):
        """Those that the step leaves alone."""
        yield from tensors_in(list(self.others.values()))
        for kept in self.set.values():
            yield from kept.tensors() if kept is not None else ()


def held(value):
    """(a value, {key: the same of what it holds}, or None), for Kept."""
    found = items(value)
    return value, None if found is None else {key: held(x) for key, x in found.items()}


def put_in(found):
    """Brings back what `held` has found."""
    value, inner = found
    if inner is not None:
        fill(value, {key: x for key, (x, _) in inner.items()})
        for x in inner.values():
            put_in(x)


def skeleton(result):
    """The result's form, with empty tensors."""
    return filled(result, iter([np.empty(0) for _ in tensors_in(result)]))


def copied(result):
    return filled(result, iter([x.array.copy("K") for x in tensors_in(result)]))
