"""What a module says of a name that it has not: which of its names is meant, or where the name is."""


def nearest(name, names):
    """The name that shares most pairs of neighbouring letters with this one, or None if all share too few.

    >>> nearest("batchfirst", ["bias", "batch_first"]), nearest("activation", ["bias", "dtype"])
    ('batch_first', None)
    """

    def alike(other):
        mine, others = ({word[i : i + 2] for i in range(len(word) - 1)} for word in (name.lower(), other.lower()))
        return 2 * len(mine & others) / max(1, len(mine) + len(others))

    best = max(names, key=alike, default=None)
    return best if best is not None and alike(best) > 0.5 else None


def no_attribute(space, name, names, elsewhere=()):
    """The AttributeError for a name that a module has not, with the nearest of its names, or the place that has this very name.

    names: what the module has. elsewhere: (path, names) of other modules.

    >>> no_attribute("minidl.nn", "Relu", ["ReLU", "Linear"])
    AttributeError("module 'minidl.nn' has no attribute 'Relu'; write ReLU")
    >>> no_attribute("minidl.nn", "Conv3d", ["Conv1d", "Conv2d"])
    AttributeError("module 'minidl.nn' has no attribute 'Conv3d': volumes are not supported, there is only Conv1d and Conv2d")
    """
    remedy = ""
    if name[0] != "_":
        places = [path for path, there in elsewhere if name in there]
        alike = [n for n in names if n.lower().rstrip("_") == name.lower().rstrip("_")]
        flat = _of_fewer_dimensions(name, [*names, *(n for _, there in elsewhere for n in there)])
        if flat:  # another layer with a like name would not do
            remedy = f": volumes are not supported, there is only {' and '.join(flat)}"
        elif places:
            remedy = f"; write {places[0]}.{name}"
        elif alike or nearest(name, names):
            remedy = f"; write {alike[0] if alike else nearest(name, names)}"
    return AttributeError(f"module {space!r} has no attribute {name!r}{remedy}")


def _of_fewer_dimensions(name, names):
    """What there is beside a name such as Conv3d or conv3d: Conv1d and Conv2d."""
    flat = {f"{name[:-2].lower()}{n}d" for n in (1, 2)} if name[-2:].lower() == "3d" else ()
    found = sorted({n for n in names if n.lower() in flat})
    return [n for n in found if n[0].isupper() == name[0].isupper()] or found
