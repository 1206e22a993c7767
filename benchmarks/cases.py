"""What is timed: the same work for each library, by name. A group yields (case, function of no arguments, or None).

`lib` is the library's module: minidl, numpy, torch, or jax.
"""

import functools
import importlib
import itertools
import os

import numpy as np


def load(library):
    """The library's module, with the number of threads that the environment asks for."""
    module = importlib.import_module({"eager": "minidl", "torch_compile": "torch"}.get(library, library))
    if module.__name__ == "torch":
        module.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return module


def arrays(*shapes, dtype=np.float32):
    source = np.random.default_rng(0)
    return [source.standard_normal(shape).astype(dtype) for shape in shapes]


def overhead(library, lib):
    """What recording an operation costs. NumPy's own time for the same arithmetic, unrecorded, is the control."""
    operations = {
        "a + b": lambda a, b: a + b,
        "a * b": lambda a, b: a * b,
        "a * 2": lambda a, b: a * 2.0,
        "a @ b": lambda a, b: a @ b,
        "a.sum()": lambda a, b: a.sum(),
        "a.sum(0)": lambda a, b: a.sum(0),
        "a.reshape(64)": lambda a, b: a.reshape(64),
        "a.T": lambda a, b: a.T,
        "a[0]": lambda a, b: a[0],
        "a[:, 2:4]": lambda a, b: a[:, 2:4],
    }
    a, b = arrays((8, 8), (8, 8))
    if library in ("minidl", "torch"):
        a, b = lib.tensor(a, requires_grad=True), lib.tensor(b, requires_grad=True)
    for name, operation in operations.items():
        yield f"{name}, 8x8", None if library == "jax" else functools.partial(operation, a, b)

    def chain(x):
        y = x
        for _ in range(50):
            y = y + x
        y.sum().backward()
        x.grad = None

    yield "50 additions and backward, 8x8", functools.partial(chain, a) if library in ("minidl", "torch") else None


def small(library, lib):
    """Operations of 8x8 that look for something, or make more than one pass: recorded, as in `overhead`."""
    (a, b), labels = arrays((8, 8), (8, 8)), np.arange(8)
    recorded = library in ("minidl", "torch")
    if recorded:
        a, b, labels = lib.tensor(a, requires_grad=True), lib.tensor(b, requires_grad=True), lib.tensor(labels)
    operations = {
        "a.mean()": lambda: a.mean(),
        "a.std()": lambda: a.std(),
        "a.var(0)": lambda: a.var(0),
        "a.max()": lambda: a.max(),
        "a.clip(0, 1)": lambda: a.clip(0, 1),
        "maximum(a, b)": lambda: lib.maximum(a, b),
    }
    of_tensors = {
        "a.max(1)": lambda: a.max(1),
        "a.topk(3)": lambda: a.topk(3),
        "pad(a)": lambda: lib.nn.functional.pad(a, (1, 1, 1, 1)),
        "nll_loss(a)": lambda: lib.nn.functional.nll_loss(a, labels),
    }
    for name, operation in operations.items():
        yield f"{name}, 8x8", None if library == "jax" else operation
    for name, operation in of_tensors.items():
        yield f"{name}, 8x8", operation if recorded else None


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
WITH_VECTORS = ((256, 256), (784, 256), (1000, 1000), (4096, 4096))


def matmul(library, lib, dtype=np.float32):
    """The product alone, of arrays, unrecorded."""
    product = lib.kernels.matmul if library == "minidl" else None if library == "jax" else lib.matmul
    for m, k, n, layout in [(n, n, n, "NN") for n in SQUARES] + list(SHAPES):
        a, b = arrays((m, k) if layout[0] == "N" else (k, m), (k, n) if layout[1] == "N" else (n, k), dtype=dtype)
        a, b = a if layout[0] == "N" else a.T, b if layout[1] == "N" else b.T
        if library == "torch":
            a, b = lib.from_numpy(a), lib.from_numpy(b)
        yield f"{m}x{k}x{n} {layout}", product and functools.partial(product, a, b)
    for m, k in WITH_VECTORS:
        a, x, y = arrays((m, k), (k,), (m,), dtype=dtype)
        if library == "torch":
            a, x, y = (lib.from_numpy(v) for v in (a, x, y))
        yield f"{m}x{k} @ vector", product and functools.partial(product, a, x)
        yield f"vector @ {m}x{k}", product and functools.partial(product, y, a)


matmul_float64 = functools.partial(matmul, dtype=np.float64)


REDUCED = ((64, 10), (64, 128), (256, 784), (10_000, 10), (1000, 1000), (64, 32, 14, 14), (1_000_000, 2))


def reductions(library, lib):
    """Sums, means and variances over each axis and over all, alone, unrecorded."""
    for shape in REDUCED:
        (x,) = arrays(shape)
        if library in ("minidl", "torch"):
            x = lib.tensor(x)
        elif library == "jax":
            x = lib.numpy.asarray(x)
        for axis in (*range(len(shape)), None):
            name = f"{'x'.join(map(str, shape))} over {'all' if axis is None else f'axis {axis}'}"
            yield f"sum {name}", _over(library, lib, "sum", x, axis)
            if len(shape) == 2 and shape[0] <= 10_000:
                yield f"mean {name}", _over(library, lib, "mean", x, axis)
                yield f"var {name}", _over(library, lib, "var", x, axis)


def _over(library, lib, name, x, axis):
    if library == "jax":
        compiled = lib.jit(functools.partial(getattr(lib.numpy, name), axis=axis))
        return lambda: compiled(x).block_until_ready()
    method = getattr(x, name)
    return method if axis is None else functools.partial(method, axis)


def rows(library, lib):
    """Softmax and cross-entropy, forward and backward, recorded. JAX compiles the two as one function."""
    for shape in ((64, 10), (256, 10), (4096, 1000)):
        x, dy = arrays(shape, shape)
        labels = np.arange(shape[0]) % shape[1]
        softmax = loss = None
        if library in ("minidl", "torch"):
            softmax, loss = _recorded_rows(lib, x, dy, labels)
        elif library == "jax":
            softmax, loss = _jax_rows(lib, x, dy, labels)
        yield f"softmax {shape[0]}x{shape[1]}, forward and backward", softmax
        yield f"cross-entropy {shape[0]}x{shape[1]}, forward and backward", loss


def _recorded_rows(lib, x, dy, labels):
    x, dy, labels = lib.tensor(x, requires_grad=True), lib.tensor(dy), lib.tensor(labels)

    def softmax():
        lib.softmax(x, 1).backward(dy)
        x.grad = None

    def loss():
        lib.nn.functional.cross_entropy(x, labels).backward()
        x.grad = None

    return softmax, loss


def _jax_rows(jax, x, dy, labels):
    jnp = jax.numpy
    x, dy, labels = jnp.asarray(x), jnp.asarray(dy), jnp.asarray(labels)

    @jax.jit
    def softmax(x, dy):
        y, back = jax.vjp(lambda x: jax.nn.softmax(x, 1), x)
        return y, back(dy)

    @jax.jit
    def loss(x, labels):
        return jax.value_and_grad(lambda x: -jnp.take_along_axis(jax.nn.log_softmax(x, 1), labels[:, None], 1).mean())(x)

    return lambda: jax.block_until_ready(softmax(x, dy)), lambda: jax.block_until_ready(loss(x, labels))


def elementwise(library, lib):
    """Functions of each element, of arrays with a million, unrecorded."""
    (x,) = arrays((1000, 1000))
    for name in ("exp", "log", "tanh", "sigmoid", "erf", "relu"):
        functions = lib.kernels if library == "minidl" else lib
        function = getattr(functions, name, None)
        argument = np.abs(x) if name == "log" else x
        argument = lib.from_numpy(argument) if library == "torch" else argument
        yield f"{name}, a million elements", function and library != "jax" and functools.partial(function, argument)


def step(library, lib):
    """A whole training step: forward, cross-entropy, backward, SGD with weight decay. JAX compiles it as one function."""
    for widths, batch in (((64, 128, 10), 64), ((784, 256, 10), 256), ((64, 64, 64, 64, 10), 32)):
        (x,) = arrays((batch, widths[0]))
        labels = np.arange(batch) % widths[-1]
        function = None
        if library in ("minidl", "torch"):
            function = _recorded_step(lib, widths, lib.tensor(x), lib.tensor(labels))
        elif library == "jax":
            function = _jax_step(lib, widths, x, labels)
        yield f"step {'-'.join(map(str, widths))}, batch {batch}", function


def _recorded_step(lib, widths, x, labels):
    layers = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [lib.nn.Linear(fan_in, fan_out), lib.nn.ReLU()]
    model = lib.nn.Sequential(*layers[:-1])
    optimizer = lib.optim.SGD(model.parameters(), lr=1e-3, weight_decay=1e-2)

    def run():
        optimizer.zero_grad()
        lib.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return run


def _jax_step(jax, widths, x, labels):
    jnp = jax.numpy
    source = np.random.default_rng(0)
    shapes = itertools.pairwise(widths)
    state = [[(jnp.asarray(source.standard_normal((i, o)) / i, jnp.float32), jnp.zeros(o)) for i, o in shapes]]
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

    def run():
        value, state[0] = update(state[0])
        jax.block_until_ready((value, state[0]))

    return run
