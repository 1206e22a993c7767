"""Gradients that have a graph of their own, so that they can be differentiated again: what `create_graph=True` does.

A backward is written once, in `ops/`, for arrays. Training runs it as it is. With `create_graph=True` the same code runs on
tensors: each saved array is replaced by a tensor (reading.py), and `np.exp`, `kernels.matmul`, … are replaced by operations on
tensors (meanings.py). Operations on tensors are recorded. So the gradient has a graph, and backward() of the gradient walks
back through it; and so on for any order. recorded.py is that walk.

For three kinds of backward this is done in another way:

- linear.py: if y = A x, then dx = Aᵀ dy, which is linear in dy; the gradient of this operation is A again.
- rules.py: some backwards write in place, or read arrays that are neither inputs nor outputs. They are written a second time,
  for tensors.
- composites.py: attention, recurrent layers and CTC are written in primitive operations, and the gradient of these is taken.
"""

from importlib import import_module


def __getattr__(name):
    """Loads the walk when it is first asked for (PEP 562): few programs differentiate a gradient."""
    if name in ("walk", "_walk"):
        return getattr(import_module(".recorded", __name__), name)
    if name == "unknown":
        return import_module(".reading", __name__).unknown
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
