"""What is timed of optimizers: one step, of one large parameter and of many small ones, beside PyTorch's ways to compute it."""

import numpy as np
from cases import arrays

# (parameters, numbers in each, how PyTorch computes the step)
SIZES = [(1, 1_000_000, "fused"), (200, 100, "foreach"), (200, 100, "fused")]
RULES = "Adagrad", "RMSprop", "Adadelta", "Adamax", "NAdam", "RAdam"


def _step(lib, rule, number, size, **options):
    random, parameters = np.random.default_rng(0), []
    for _ in range(number):
        p = lib.tensor(random.standard_normal(size).astype(np.float32), requires_grad=True)
        p.grad = lib.tensor(arrays((size,))[0])
        parameters.append(p)
    return getattr(lib.optim, rule)(parameters, lr=1e-4, **options).step


def optimizers(library, lib):
    """One step. Adam beside the ways PyTorch has; the others beside its default."""
    for number, size, way in SIZES:
        options = {way: True} if library == "torch" else {}
        name = f"Adam, {number}x{size:,}, PyTorch's {way}"
        yield name, _step(lib, "Adam", number, size, **options) if library in ("minidl", "torch") else None
    for rule in RULES:
        yield f"{rule}, 1x1,000,000", _step(lib, rule, 1, 1_000_000) if library in ("minidl", "torch") else None
