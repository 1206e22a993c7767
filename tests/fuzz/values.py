"""Hostile arguments: what programs pass by mistake or malice, and near misses of a valid argument.

`hostile(rng, valid)` draws one in place of a valid argument. Everything is made afresh at each call, from `rng` alone.
"""

import numpy as np

import minidl
from minidl.tensors.record import wrap

DTYPES = [np.float32, np.float64, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_]
FOREIGN = [">f4", ">i8", "f2", "c8", "u2", "u8", "S3", "U2", "M8[s]", "m8[s]", "O", "V4", [("a", "f4"), ("b", "i8")]]
NUMBERS = [
    2**63,
    -(2**63) - 1,
    10**30,
    -(10**30),
    2**63 - 1,
    -(2**63),
    2**62,
    2**40,
    2**31,
    2**32,
    -(2**31) - 1,
    0,
    1,
    -1,
    -2,
    2,
    3,
    7,
    float("nan"),
    float("inf"),
    -float("inf"),
    0.0,
    -0.0,
    0.5,
    -0.5,
    1.5,
    1e308,
    -1e308,
    5e-324,
    1e-45,
    3e38,
    1e30,
    True,
    False,
    1j,
    complex("nan"),
]
WORDS = ["", "mean", "sum", "none", "same", "valid", "text", "ij->ji", "\0", "é" * 50, "float32", "cpu", "reflect", "-1", "nan"]


def under(table):
    """A decorator `@keep(name, …)` that writes a function into the table, under each of the names."""

    def keep(*names):
        def write(function):
            table.update(dict.fromkeys(names, function))
            return function

        return write

    return keep


def words(text):
    """The words of a text, as a list."""
    return text.split()


class Indexable:
    """An integer by __index__ alone."""

    def __index__(self):
        return 1


class Spiteful:
    """Raises whatever it is asked."""

    def _refuse(self, *args):
        raise ArithmeticError("spiteful")

    __index__ = __float__ = __int__ = __iter__ = __len__ = __bool__ = __array__ = __getitem__ = __eq__ = __lt__ = _refuse
    __hash__ = object.__hash__


class ArrayLike:
    def __array__(self, dtype=None, copy=None):
        return np.ones(3)


class SubArray(np.ndarray):
    pass


def _recursive_list():
    x = [1.0]
    x.append(x)
    return x


def _recursive_dict():
    x = {}
    x["x"] = x
    return x


OBJECTS = [
    lambda: None,
    lambda: ...,
    lambda: b"bytes",
    lambda: bytearray(b"123"),
    lambda: memoryview(b"1234"),
    list,
    tuple,
    dict,
    set,
    object,
    Indexable,
    Spiteful,
    ArrayLike,
    _recursive_list,
    _recursive_dict,
    lambda: [[]],
    lambda: [1, [2]],
    lambda: [[1.0], [2.0, 3.0]],
    lambda: [None],
    lambda: ["a"],
    lambda: [np.ones(2), np.ones(3)],
    lambda: (None, None),
    lambda: ((),),
    lambda: ((1, 2), (3, 4)),
    lambda: [1.0, 2.0, 3.0],
    lambda: {"a": 1},
    lambda: {1, 2},
    lambda: range(3),
    lambda: iter([1, 2]),
    lambda: (i for i in range(2)),
    lambda: slice(None),
    lambda: slice(3, 0, -2),
    lambda: int,
    lambda: str,
    lambda: len,
    lambda: lambda *args: args,
    lambda: np.float32,
    lambda: np.dtype("O"),
    lambda: np,
    lambda: Exception("e"),
    lambda: minidl.Tensor,
    lambda: minidl.nn.ReLU(),
    lambda: minidl.nn.Parameter(minidl.ones(2)),
    lambda: [minidl.ones(2), minidl.ones(3)],
    lambda: (minidl.ones(2), None),
    lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    lambda: np.ones(3).view(SubArray),
]
SCALARS = [
    lambda: np.int64(3),
    lambda: np.int64(-(2**63)),
    lambda: np.uint64(2**64 - 1),
    lambda: np.float32("nan"),
    lambda: np.float64(0.5),
    lambda: np.float64(1e308),
    lambda: np.bool_(True),
    lambda: np.str_("text"),
    lambda: np.int8(-128),
    lambda: np.complex64(1j),
    lambda: np.datetime64("2000-01-01"),
    lambda: np.float16(2.0),
    lambda: np.longdouble(1.0),
    lambda: np.void(b"1234"),
]
TUPLES = [
    (),
    (0,),
    (-1,),
    (1, 1),
    (0, 0),
    (-1, -1),
    (1, 2, 3),
    (0, 1, 2, 3),
    (2, 2),
    (-1, 0, 1),
    (0, -2),
    (1,) * 33,
    (1,) * 65,
    (2**63,),
    (2**40, 2**40),
    (-(2**63),),
    (3.0,),
    (2.5, 2.5),
    (float("nan"), 1),
    ("a",),
    (None,),
    (None, 1),
    (True, False),
    ((1,), 2),
    (10**30, 1),
    (0, 2**62),
    (2, 3),
    (3, 3, 3, 3, 3),
    (2**31, 2**31),
    (0, 0, 0, 0),
    (1, 0),
    (1, -1, 1, -1),
    (np.int64(1), np.int64(1)),
]
SHAPES = [
    (),
    (0,),
    (1,),
    (3,),
    (2, 3),
    (0, 3),
    (3, 0),
    (2, 0, 3),
    (1, 1),
    (3, 3),
    (2, 3, 4),
    (1, 2, 3, 4),
    (2, 4, 5, 5),
    (1,) * 7,
    (1,) * 32,
    (17,),
]


def array(rng, shape, dtype):
    """An array in native byte order, most of its values ordinary."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        x = rng.normal(size=shape)
        if rng.random() < 0.3:
            special = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1e-42], size=shape)
            x = np.where(rng.random(shape) < 0.3, special, x)
        return np.asarray(x, dtype)
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    low, high = (0, 3) if rng.random() < 0.7 or dtype.kind == "u" else (-3, 200 if dtype.itemsize > 1 else 100)
    return np.asarray(rng.integers(low, high, shape), dtype)


def layout(rng, x, repeat=True):
    """The same values in another layout of memory; with `repeat` sometimes the first row again and again, by 0 strides."""
    x = np.asarray(x)
    kind = rng.integers(6 + repeat)
    if kind == 0:
        y = x.T.copy().T
    elif kind == 1 and x.ndim:
        y = np.repeat(x, 2, -1)[..., ::2]
    elif kind == 2 and x.ndim:
        y = np.flip(np.flip(x).copy())
    elif kind == 3 and x.ndim and x.dtype.kind in "fiub":  # not aligned to its element
        raw = np.zeros(x.nbytes + 1, np.uint8)
        y = raw[1:].view(x.dtype).reshape(x.shape) if x.nbytes else x.copy()
        y[...] = x
    elif kind == 4:
        y = x.copy()
        y.flags.writeable = False
    elif kind == 5 and x.ndim:
        y = np.repeat(x, 3, 0)[1::3]
    elif kind == 6 and x.ndim and x.size:
        y = np.broadcast_to(x[:1], x.shape)  # 0 strides, other values
    else:
        y = x.copy()
    return y


def foreign(rng):
    dtype = np.dtype(FOREIGN[rng.integers(len(FOREIGN))])
    shape = SHAPES[rng.integers(len(SHAPES) - 3)]
    if dtype.kind == "O":
        x = np.empty(shape, object)
        x[...] = [1.0, "a", None][rng.integers(3)]
        return x
    return np.zeros(shape, dtype)


def wild_array(rng):
    choice = rng.random()
    if choice < 0.25:
        return foreign(rng)
    if choice < 0.35:
        return np.broadcast_to(np.asarray(rng.integers(-1, 3), DTYPES[rng.integers(7)]), SHAPES[rng.integers(len(SHAPES))])
    if choice < 0.4:
        return np.zeros([(0, 2**40), (2**12, 0), (0, 2**20, 2**20), (2**12, 0, 3)][rng.integers(4)], DTYPES[rng.integers(8)])
    return layout(rng, array(rng, SHAPES[rng.integers(len(SHAPES))], DTYPES[rng.integers(8)]))


def tensor(rng, x):
    """A Tensor around this very array, sometimes a leaf; where minidl refuses the array, the array."""
    if x.dtype not in map(np.dtype, DTYPES) or not x.dtype.isnative:
        return x
    result = wrap(np.asarray(x))
    if x.dtype.kind == "f" and rng.random() < 0.5:
        result.requires_grad_()
    return result


def wild_tensor(rng):
    return tensor(rng, wild_array(rng))


def near(rng, valid):
    """A near miss of a valid argument, or another valid one."""
    if isinstance(valid, minidl.Tensor):
        return tensor(rng, near_array(rng, valid.detach().array))
    if isinstance(valid, np.ndarray):
        return near_array(rng, valid)
    if isinstance(valid, (bool, str)) or valid is None:
        return WORDS[rng.integers(len(WORDS))] if rng.random() < 0.5 else [None, True, False, 0, 1, 2][rng.integers(6)]
    if isinstance(valid, (int, float)):
        if abs(valid) > 1e38:
            return -valid
        made = [
            -valid,
            valid + 1,
            valid - 1,
            valid * 2,
            valid + 0.5,
            float(valid),
            str(valid),
            (valid,),
            [valid, valid],
            [[valid]],
        ]
        made += [np.float32(valid), np.array(valid), np.array([valid]), minidl.tensor(float(valid)), (valid, valid, valid)]
        return made[rng.integers(len(made))]
    if isinstance(valid, (list, tuple)):
        items, kind = list(valid), rng.integers(6)
        if kind == 0:
            items = items[:-1]
        elif kind == 1:
            items = items + (items[-1:] or [1])
        elif kind == 2 and items:
            items[rng.integers(len(items))] = hostile(rng, items[0])
        elif kind == 3:
            items = [items]
        elif kind == 4:
            items = items[::-1]
        else:
            return dict(enumerate(items)) if rng.random() < 0.5 else iter(items)
        return type(valid)(items) if type(valid) in (list, tuple) else items
    return wild(rng)


def near_array(rng, x):
    kind = rng.integers(10)
    if kind < 4 or x.dtype.kind not in "fiub":
        return layout(rng, x)
    if kind == 4:
        return x.astype(DTYPES[rng.integers(8)]) if x.dtype.kind != "f" or np.isfinite(x).all() else x.astype(np.float64)
    if kind == 5:
        return x[None]
    if kind == 6 and x.ndim:
        return np.asarray(x[0]) if x.shape[0] else x.reshape(-1)
    if kind == 7 and x.ndim:  # one axis of another size
        axis = rng.integers(x.ndim)
        return np.take(x, rng.integers(0, x.shape[axis], rng.integers(0, 4)), axis) if x.shape[axis] else x
    if kind == 8 and x.dtype.kind in "iu":
        return np.where(rng.random(x.shape) < 0.5, np.asarray(rng.choice([-1, 127, -128, 5, 99]), np.int64).astype(x.dtype), x)
    if kind == 8 and x.dtype.kind == "f":
        return np.where(rng.random(x.shape) < 0.3, x.dtype.type(rng.choice([np.nan, np.inf, -np.inf, 1e30, -1.0, 0.0])), x)
    if kind == 9:
        return x.astype(x.dtype.newbyteorder()) if rng.random() < 0.5 or not x.size else x.astype(object)
    return array(rng, x.shape, DTYPES[rng.integers(8)])


def wild(rng):
    kind = rng.integers(8)
    if kind == 0:
        return NUMBERS[rng.integers(len(NUMBERS))]
    if kind == 1:
        return WORDS[rng.integers(len(WORDS))]
    if kind in (2, 3):
        return OBJECTS[rng.integers(len(OBJECTS))]()
    if kind == 4:
        return SCALARS[rng.integers(len(SCALARS))]()
    if kind == 5:
        x = TUPLES[rng.integers(len(TUPLES))]
        return x if rng.random() < 0.6 else list(x)
    return wild_array(rng) if kind == 6 else wild_tensor(rng)


def hostile(rng, valid):
    if rng.random() < 0.3:
        return NUMBERS[rng.integers(len(NUMBERS))] if isinstance(valid, (int, float, tuple)) else wild_tensor(rng)
    return near(rng, valid) if rng.random() < 0.5 else wild(rng)


# --- what an argument was like, to see whether a call changed it


def fingerprint(x, depth=3):
    if isinstance(x, minidl.Tensor):
        return "t", *fingerprint(x.array)
    if isinstance(x, np.ndarray):
        content = repr(x.tolist()) if x.dtype.hasobject and x.size else x.tobytes()
        return x.shape, x.strides, x.dtype.str, content
    if isinstance(x, (list, tuple)) and depth:
        return type(x).__name__, *[fingerprint(item, depth - 1) for item in x]
    if isinstance(x, dict) and depth:
        return "d", *[(repr(key), fingerprint(item, depth - 1)) for key, item in x.items()]
    if isinstance(x, (minidl.nn.Module, minidl.optim.Optimizer)) and depth:
        return "m", fingerprint(x.state_dict(), 2) if isinstance(x, minidl.nn.Module) else 0
    return id(x), x if isinstance(x, (int, float, str, bytes)) and x == x else None


def brief(x, depth=2):
    """A short text of an argument, for the report."""
    if isinstance(x, minidl.Tensor):
        return f"T[{brief(x.array)}{', grad' if x.requires_grad else ''}]"
    if isinstance(x, np.ndarray):
        kind = "" if type(x) is np.ndarray else type(x).__name__ + " "
        marks = "" if x.flags.writeable else " read-only"
        strides = "" if x.flags.c_contiguous else f" strides {x.strides}"
        values = f" {x.tolist()!r}" if x.size <= 4 and max(x.shape, default=0) <= 4 else ""
        return f"{kind}{x.dtype.str if x.dtype.names is None else 'struct'}{x.shape}{strides}{marks}{values[:60]}"
    if isinstance(x, (list, tuple)) and depth:
        text = ", ".join(brief(item, depth - 1) for item in x[:6]) + (", …" if len(x) > 6 else "")
        return f"[{text}]" if isinstance(x, list) else f"({text}{',' if len(x) == 1 else ''})"
    if isinstance(x, (int, float, complex, str, bytes, np.generic, type(None), bool)):
        return repr(x)[:60]
    return f"<{getattr(x, '__name__', type(x).__name__)}>"
