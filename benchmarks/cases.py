"""What is timed: for each case the same work, written for minidl and for whichever of NumPy, PyTorch and JAX is installed.

Each function yields (case, {library: function of no arguments}). Only libraries that do the same work are compared.
"""

import functools
import itertools

import numpy as np
from harness import installed

import minidl
import minidl.nn as nn
import minidl.nn.functional as F
from minidl import kernels

if installed("torch"):
    import torch
else:
    torch = None
if installed("jax"):
    import jax
    import jax.numpy as jnp
else:
    jax = None


def _arrays(*shapes, dtype=np.float32):
    source = np.random.default_rng(0)
    return [source.standard_normal(shape).astype(dtype) for shape in shapes]


def overhead():
    """What recording an operation costs. NumPy's own time for the same arithmetic, unrecorded, is the control."""
    a, b = _arrays((8, 8), (8, 8))
    operations = {
        "a + b": lambda a, b: a + b,
        "a * b": lambda a, b: a * b,
        "a * 2": lambda a, b: a * 2.0,
        "a @ b": lambda a, b: a @ b,
        "a.sum()": lambda a, b: a.sum(),
        "a.reshape(64)": lambda a, b: a.reshape(64),
        "a[0]": lambda a, b: a[0],
    }
    libraries = {"minidl": [minidl.tensor(x, requires_grad=True) for x in (a, b)], "numpy": [a, b]}
    if torch:
        libraries["torch"] = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    for name, operation in operations.items():
        yield f"{name}, 8x8", {lib: functools.partial(operation, *operands) for lib, operands in libraries.items()}

    def chain(x):
        y = x
        for _ in range(50):
            y = y + x
        y.sum().backward()
        x.grad = None

    yield (
        "50 additions and backward, 8x8",
        {lib: functools.partial(chain, libraries[lib][0]) for lib in libraries if lib != "numpy"},
    )


SQUARES = (16, 32, 64, 100, 128, 200, 256, 500, 512, 1000, 1024, 2048)
# (m, k, n, layout): N as it is, T transposed in memory
SHAPES = (
    *((n, n, n, layout) for n in (64, 256, 1000) for layout in ("NT", "TN")),
    (64, 64, 128, "NT"),
    (64, 128, 10, "NT"),
    (64, 10, 128, "NN"),
    (10, 64, 128, "TN"),
    (256, 784, 256, "NT"),
    (256, 256, 784, "NN"),
    (256, 256, 784, "TN"),
    (4096, 64, 64, "NN"),
    (64, 4096, 64, "NN"),
    (64, 64, 4096, "NN"),
    (1000, 1000, 10, "NT"),
    (2048, 16, 2048, "NN"),
)


def matmul(dtype=np.float32):
    """The product alone, on arrays: kernels.matmul against NumPy's and the other libraries'."""
    for m, k, n, layout in [(n, n, n, "NN") for n in SQUARES] + list(SHAPES):
        a, b = _arrays((m, k) if layout[0] == "N" else (k, m), (k, n) if layout[1] == "N" else (n, k), dtype=dtype)
        a, b = a if layout[0] == "N" else a.T, b if layout[1] == "N" else b.T
        candidates = {"minidl": functools.partial(kernels.matmul, a, b), "numpy": functools.partial(np.matmul, a, b)}
        if torch:
            candidates["torch"] = functools.partial(torch.matmul, torch.from_numpy(a), torch.from_numpy(b))
        yield f"{m}x{k}x{n} {layout}" + ("" if dtype == np.float32 else " f64"), candidates
    if dtype == np.float32:
        yield from matmul(np.float64)


def rows():
    """Softmax and cross-entropy, forward and backward, recorded."""
    for shape in ((64, 10), (256, 10), (4096, 1000)):
        x, dy = _arrays(shape, shape)
        labels = np.arange(shape[0]) % shape[1]

        def softmax(lib, x, dy):
            lib.softmax(x, 1).backward(dy)
            x.grad = None

        def loss(functional, x, labels):
            functional.cross_entropy(x, labels).backward()
            x.grad = None

        ours = minidl.tensor(x, requires_grad=True)
        softmaxes = {"minidl": functools.partial(softmax, minidl, ours, minidl.tensor(dy))}
        losses = {"minidl": functools.partial(loss, F, ours, minidl.tensor(labels))}
        if torch:
            theirs = torch.tensor(x, requires_grad=True)
            softmaxes["torch"] = functools.partial(softmax, torch, theirs, torch.tensor(dy))
            losses["torch"] = functools.partial(loss, torch.nn.functional, theirs, torch.tensor(labels))
        if jax:
            softmaxes["jax"], losses["jax"] = _jax_rows(x, dy, labels)
        yield f"softmax {shape[0]}x{shape[1]}, forward and backward", softmaxes
        yield f"cross-entropy {shape[0]}x{shape[1]}, forward and backward", losses


def _jax_rows(x, dy, labels):
    x, dy, labels = jnp.asarray(x), jnp.asarray(dy), jnp.asarray(labels)

    @jax.jit
    def softmax(x, dy):
        y, back = jax.vjp(lambda x: jax.nn.softmax(x, 1), x)
        return y, back(dy)

    @jax.jit
    def loss(x, labels):
        return jax.value_and_grad(lambda x: -jnp.take_along_axis(jax.nn.log_softmax(x, 1), labels[:, None], 1).mean())(x)

    return lambda: jax.block_until_ready(softmax(x, dy)), lambda: jax.block_until_ready(loss(x, labels))


def elementwise():
    """Functions of each element, on arrays of a million, unrecorded."""
    (x,) = _arrays((1000, 1000))
    for name in ("exp", "log", "tanh", "sigmoid", "erf", "relu"):
        argument = np.abs(x) if name == "log" else x
        candidates = {"minidl": functools.partial(getattr(kernels, name), argument)}
        if name in ("exp", "log", "tanh"):
            candidates["numpy"] = functools.partial(getattr(np, name), argument)
        if torch:
            candidates["torch"] = functools.partial(getattr(torch, name), torch.from_numpy(argument))
        yield f"{name}, a million", candidates


def step():
    """A whole training step: forward, cross-entropy, backward, SGD with weight decay. JAX compiles it as one function."""
    for widths, batch in (((64, 128, 10), 64), ((784, 256, 10), 256), ((64, 64, 64, 64, 10), 32)):
        x = _arrays((batch, widths[0]))[0]
        labels = np.arange(batch) % widths[-1]

        def train(model, optimizer, functional, x, labels):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), labels).backward()
            optimizer.step()

        def build(library, widths=widths):
            layers = []
            for fan_in, fan_out in itertools.pairwise(widths):
                layers += [library.Linear(fan_in, fan_out), library.ReLU()]
            return library.Sequential(*layers[:-1])

        model = build(nn)
        optimizer = minidl.optim.SGD(model.parameters(), lr=1e-3, weight_decay=1e-2)
        candidates = {"minidl": functools.partial(train, model, optimizer, F, minidl.tensor(x), minidl.tensor(labels))}
        if torch:
            model = build(torch.nn)
            optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, weight_decay=1e-2)
            data = torch.tensor(x), torch.tensor(labels)
            candidates["torch"] = functools.partial(train, model, optimizer, torch.nn.functional, *data)
        if jax:
            candidates["jax"] = _jax_step(widths, x, labels)
        yield f"step {'-'.join(map(str, widths))}, batch {batch}", candidates


def _jax_step(widths, x, labels):
    source = np.random.default_rng(0)
    pairs = list(itertools.pairwise(widths))
    parameters = [(jnp.asarray(source.standard_normal((i, o)) / i, jnp.float32), jnp.zeros(o)) for i, o in pairs]
    x, labels = jnp.asarray(x), jnp.asarray(labels)

    def loss(parameters):
        h = x
        for w, b in parameters[:-1]:
            h = jax.nn.relu(h @ w + b)
        w, b = parameters[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(h @ w + b), labels[:, None], 1).mean()

    @jax.jit
    def update(parameters):
        value, gradients = jax.value_and_grad(loss)(parameters)
        return value, jax.tree.map(lambda p, g: p - 1e-3 * (g + 1e-2 * p), parameters, gradients)

    state = [parameters]

    def run():
        value, state[0] = update(state[0])
        jax.block_until_ready((value, state[0]))

    return run
