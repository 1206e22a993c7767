"""What Module hands out: its attributes by kind, and handles of hooks."""

from collections.abc import MutableMapping

from ..graph import next_serial


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
    """The attributes of a module that are of one kind, by name. Writing to it writes to the module."""

    def __init__(self, module, belongs):
        self.module, self.belongs = module, belongs

    def __iter__(self):
        return iter([name for name, value in vars(self.module).items() if self.belongs(name, value)])

    def __len__(self):
        return len(list(iter(self)))

    def __getitem__(self, name):
        if name not in vars(self.module) or not self.belongs(name, vars(self.module)[name]):
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
