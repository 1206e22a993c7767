"""Which arguments a layer takes, for those that it does not take: Python itself would not say which there are."""

import functools
import inspect
import math
from typing import TYPE_CHECKING

from ..tensors.tensor import Tensor
from .names import nearest

_ELSEWHERE = {  # what other libraries' models have -> what to write
    "fit": "a loop: loss = loss_function(net(x), y); loss.backward(); optimizer.step(); optimizer.zero_grad()",
    "get_weights": "net.state_dict()",
    "item": "loss(output, y).item(), of what the loss returns",
    "predict": "net(x), after net.eval() and under minidl.no_grad()",
    "save": "minidl.save(net.state_dict(), file)",
    "summary": "print(net)",
}
_PACKAGE = __name__.partition(".")[0] + "."


def check_arguments(cls, args, options):
    """Raises TypeError for arguments that a layer of minidl's has not, and names those that it has."""
    if not cls.__module__.startswith(_PACKAGE):  # of a user's class Python's words name the user's own __init__
        return
    most, names = _arguments(cls)
    for x in args:
        if isinstance(x, Tensor) and x.ndim and cls.called_with_tensors:
            call = f"layer = nn.{cls.__name__}(…), layer(input)"
            raise TypeError(f"{cls.__name__}: a Tensor is no option; a layer is made first and then called: {call}")
    if names is None or (len(args) <= most and all(name in names for name in options)):
        return
    known = f"its arguments are {', '.join(names)}" if names else "it takes no arguments"
    for option in options:
        if option not in names:
            near = nearest(option, names)
            remedy = f"; write {near}=" if near else ""
            raise TypeError(f"{cls.__name__}: there is no argument {option!r}{remedy} ({known})")
    count = f"{len(args)} arguments were given by position, and it takes {most}" if names else f"got {len(args)}"
    raise TypeError(f"{cls.__name__}: {count} ({known})")


class ClassSignature:
    """inspect.signature(cls) is that of its __init__, as if there were no __new__, which only checks."""

    def __get__(self, instance, cls):
        if instance is not None:
            raise AttributeError("__signature__")
        own = inspect.signature(cls.__init__)
        return own.replace(parameters=list(own.parameters.values())[1:])


class Constructed:
    """What a Module says when it is made with wrong arguments, or asked for what it has not."""

    __signature__, called_with_tensors = ClassSignature(), True
    chosen = ()  # arguments of a base class that this class itself gives

    def __new__(cls, *args, **options):
        if args or options:
            check_arguments(cls, args, options)
        return object.__new__(cls)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Only for what is not there, which says why."""
            kind = type(self).__name__
            if name in ("training", "_members", "_persistent"):
                raise AttributeError(f"{kind}: call super().__init__() at the beginning of __init__, before anything else")
            if name == "backward":
                raise AttributeError(
                    f"{kind}: a module has no backward; call it on what the loss returns: loss(output, y).backward()"
                )
            if not hasattr(type(self), name):
                members = vars(self).get("_members", ())
                near = _ELSEWHERE.get(name) or (f".{nearest(name, members)}" if nearest(name, members) else None)
                if near:
                    raise AttributeError(f"{kind!r} object has no attribute {name!r}; write {near}")
            return object.__getattribute__(self, name)  # the error as it was, also one within a property


@functools.cache
def _arguments(cls):
    """How many arguments a class takes by position, and the names of all; (…, None) if it takes anything."""
    names, most, passes_on = {}, 0, False
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        kinds = [p.kind for p in parameters]
        names |= {p.name: None for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        several, any_name = inspect.Parameter.VAR_POSITIONAL in kinds, inspect.Parameter.VAR_KEYWORD in kinds
        most = math.inf if several else max(most, kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD))
        if not any_name:
            names |= {f"*{p.name}": None for p in parameters if p.kind is p.VAR_POSITIONAL}
            break
        passes_on = True
    names = tuple(name for name in names if name not in getattr(cls, "chosen", ()))
    return most, None if passes_on and not names else names
