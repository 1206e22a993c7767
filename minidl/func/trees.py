"""Trees: tensors (or anything else) in tuples, lists, dicts and namedtuples, in one another. All else is a leaf."""

from collections import OrderedDict, defaultdict

DEEPEST = 200  # levels


def items(tree):
    """[(key, child)] of a tuple, list or dict; None of a leaf."""
    if type(tree) in (dict, OrderedDict, defaultdict):
        return list(tree.items())
    if type(tree) in (tuple, list) or _is_named(tree):
        return list(enumerate(tree))
    return None


def leaves(tree, depth=0):
    """The leaves, in order."""
    children = _checked(items(tree), depth)
    return [tree] if children is None else [leaf for _, child in children for leaf in leaves(child, depth + 1)]


def _checked(children, depth):
    if children is not None and depth > DEEPEST:
        raise ValueError(f"func: lists and dicts nested more than {DEEPEST} deep, or one that holds itself")
    return children


def map_leaves(function, tree, depth=0):
    """The same tree with function(leaf) for each leaf."""
    children = _checked(items(tree), depth)
    if children is None:
        return function(tree)
    values = [map_leaves(function, child, depth + 1) for _, child in children]
    if type(tree) is defaultdict:
        return defaultdict(tree.default_factory, zip(tree, values, strict=True))
    if isinstance(tree, dict):
        return type(tree)(zip(tree, values, strict=True))
    return type(tree)(*values) if _is_named(tree) else type(tree)(values)


def refill(tree, values):
    """The same tree with these leaves, in order."""
    values = iter(values)
    return map_leaves(lambda leaf: next(values), tree)


def spread(tree, prefix):
    """For each leaf of the tree the leaf of `prefix` that it is under; None if prefix does not fit.

    A prefix is a tree that ends earlier: (0, None) says 0 for all of the first child of a pair, and None for all of the second.
    """
    parts = items(prefix)
    return [prefix] * len(leaves(tree)) if parts is None else _below(tree, parts, prefix, spread)


def like(tree, other):
    """The leaves of `other` in the order of the leaves of `tree`; None if the two are not built alike."""
    children, parts = items(tree), items(other)
    if children is None or parts is None:
        return [other] if children is parts else None
    return _below(tree, parts, other, like)


def _below(tree, parts, other, matched):
    children, parts = items(tree), dict(parts)
    if children is None or type(tree) is not type(other) or parts.keys() != {key for key, _ in children}:
        return None
    found = [matched(child, parts[key]) for key, child in children]
    return None if None in found else [leaf for part in found for leaf in part]


def shape_of(tree, depth=0):
    """A tree as text: * for each leaf."""
    children = items(tree)
    if children is None or depth > DEEPEST:
        return "*" if children is None else "…"
    inside = [
        f"{key!r}: {shape_of(child, depth + 1)}" if isinstance(tree, dict) else shape_of(child, depth + 1)
        for key, child in children
    ]
    if isinstance(tree, dict):
        return "{" + ", ".join(inside) + "}"
    return f"[{', '.join(inside)}]" if isinstance(tree, list) else f"({', '.join(inside)}{',' * (len(inside) == 1)})"


def _is_named(tree):
    return isinstance(tree, tuple) and hasattr(tree, "_fields")
