"""What Module hands out: its attributes by kind, and handles of hooks. And its look at what it cannot hand out."""

import itertools
import sys
import warnings
from collections.abc import MutableMapping

from ..graph.nodes import next_serial


class HookHandle:
    """What registering a hook returns: `remove()` takes the hook off, and so does the end of a `with` block."""

    def __init__(self, hooks, hook):
        self.hooks, self.key = hooks, next_serial()
        hooks[self.key] = hook

    def remove(self):
        self.hooks.pop(self.key, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


class Registry(MutableMapping):
    """The attributes of a module that stand under these names and are of this kind. Writing to it writes to the module."""

    def __init__(self, module, names, kind):
        self.module, self.names, self.kind = module, names, kind

    def __iter__(self):
        own, kind = vars(self.module), self.kind
        return iter([name for name in self.names if isinstance(own.get(name), kind)])

    def __len__(self):
        return len(list(iter(self)))

    def __getitem__(self, name):
        if name not in self.names or not isinstance(vars(self.module).get(name), self.kind):
            raise KeyError(name)
        return vars(self.module)[name]

    def __setitem__(self, name, value):
        setattr(self.module, name, value)

    def __delitem__(self, name):
        if name not in self:
            raise KeyError(name)
        delattr(self.module, name)

    def __repr__(self):
        return repr(dict(self))


def hints_for_keys(missing, unexpected):
    """What to write where the keys of a state_dict do not fit: a prefix that all of them have, or lack."""
    for prefix in ("module.", "model.", "_orig_mod."):
        if missing and all(prefix + key in unexpected for key in missing):
            return [f"the keys begin with {prefix!r}; write {{k.removeprefix({prefix!r}): v for k, v in state.items()}}"]
    if missing and len(unexpected) == len(missing):
        return ["the names of the layers differ; make the network as it was saved, or rename the keys of the state"]
    return ["strict=False loads what fits"] if missing or unexpected else []


_LOOKED_AT = 1000  # items of a list: enough for any list of layers, and nothing for a million samples


def warn_of_hidden(root, Module, Parameter):
    """Warns of attributes in the tree that are plain lists, tuples, sets or dicts and hold what is registered nowhere in it.

    It looks one level deep, at the first items of each, and at each module of the tree once in its life.
    """
    tree = list(root.named_modules())
    registered = {id(module) for _, module in tree}
    for _, module in tree:
        registered.update(map(id, module._parameters.values()))
    for path, module in tree:
        if module._searched:
            continue
        vars(module)["_searched"] = True
        for name, value in list(vars(module).items()):
            if not isinstance(value, (list, tuple, dict, set)):
                continue
            items = dict.values(value) if isinstance(value, dict) else value
            for x in itertools.islice(items, _LOOKED_AT):
                if isinstance(x, (Module, Parameter)) and id(x) not in registered:
                    kind = "Module" if isinstance(x, Module) else "Parameter"
                    warnings.warn(
                        f"{type(root).__name__}: {f'{path}.{name}' if path else name} is a {type(value).__name__} that holds a "
                        f"{type(x).__name__}, which is found neither by parameters() nor by state_dict(); to have it found, "
                        f"use nn.{kind}{'Dict' if isinstance(value, dict) else 'List'}",
                        stacklevel=_level_of_user(),
                    )
                    break


def _level_of_user():
    """The stacklevel with which a warning names the line of the program that asked, whichever method it asked."""
    package = __package__.partition(".")[0] + "."
    frame, level = sys._getframe(1), 1  # frame 1 warns
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(package):
        frame, level = frame.f_back, level + 1
    return level
