"""What stands around training: `utils.data` feeds it, `utils.train` is the loop, `utils.checkpoint` lets it go on.

`utils.callbacks` and `utils.metrics` are what the loop is given, `utils.summary` says how large a model is.
"""

from importlib import import_module

from . import data

__all__ = ["callbacks", "checkpoint", "data", "metrics", "summary", "train"]

_LATER = (
    "board",
    "callbacks",
    "checkpoint",
    "drawing",
    "history",
    "hyperparameters",
    "metrics",
    "progress_bar",
    "stopping",
    "summary",
    "train",
)


def __getattr__(name):
    """Loads such a module at its first use (PEP 562): few programs need them, and two need packages that may be missing."""
    if name in _LATER:
        try:
            return import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            if error.name != "matplotlib":
                raise
            raise ImportError("minidl: pictures need matplotlib; install it with: pip install matplotlib") from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*__all__, *(name for name in globals() if name[:2] == "__")]
