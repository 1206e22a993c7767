"""From what PyTorch allows between [ and ] to what NumPy does."""

import numpy as np

from .methods import Methods


def numpy_index(x, index):
    """The index as a tuple in NumPy's terms, of what PyTorch allows."""
    if type(index) is slice or type(index) is int:
        parts = (index,)
    else:
        parts = tuple([_index_part(part) for part in (index if isinstance(index, tuple) else (index,))])
    used = 0
    for p in parts:
        used += p.ndim if isinstance(p, np.ndarray) and p.dtype.kind == "b" else p is not None and p is not Ellipsis
    if used > x.array.ndim:
        raise IndexError(f"index: {used} indices for a tensor with {x.ndim} axes, shape {x.shape}")
    return parts


def integers_first(index):
    """Two indices for one of arrays and integers: PyTorch takes integers first, NumPy would count them among the arrays."""
    whole = []
    for part in index:
        if type(part) is int or part is Ellipsis:
            whole.append(part)
        elif part is not None:
            whole += [slice(None)] * (part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1)
    return tuple(whole), tuple(part for part in index if type(part) is not int)


def _index_part(part):
    if part is None or part is Ellipsis or (isinstance(part, (slice, int)) and not isinstance(part, bool)):
        return part
    if isinstance(part, (Methods, np.ndarray)):
        array = part.array if isinstance(part, Methods) else part
        if array.dtype.kind not in "iub" or array.dtype == np.uint8:
            raise TypeError(f"index: tensors used as indices must be integers or booleans, got {array.dtype}")
        return int(array) if array.ndim == 0 and array.dtype.kind != "b" else array
    if isinstance(part, (list, range)):
        part = [p.item() if isinstance(p, Methods) else p for p in part]
        return np.asarray(part) if len(part) else np.zeros(0, np.int64)
    if isinstance(part, (bool, np.bool_, np.integer)):
        return np.asarray(part) if isinstance(part, (bool, np.bool_)) else int(part)
    raise TypeError(f"index: expected integers, slices, None, ..., lists or tensors, got {type(part).__name__}")


def checked_index(name, index, bound):
    array = index.array if isinstance(index, Methods) else np.asarray(index)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: the index must hold integers, got {array.dtype}")
    bad = (array < 0) | (array >= bound)
    if bad.any():
        raise IndexError(f"{name}: index {array[bad][0]} is out of range for size {bound}")
    return array
