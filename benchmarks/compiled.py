"""What is timed of minidl.compile: whole steps, remembered, beside ordinary ones, PyTorch's (also torch.compile) and jax.jit's.

Every side is given the batch as an argument at each call, and gives the loss back. JAX's parameters are donated.
"""

import functools
import itertools

import numpy as np
from cases import arrays

MLPS = [
    ((2, 16, 16, 2), 32),
    ((64, 128, 10), 8),
    ((64, 128, 10), 64),
    ((64, 64, 64, 64, 10), 32),
    ((784, 256, 10), 256),
]
SIDES = "minidl", "eager", "torch", "torch_compile", "jax"


def compiled(library, lib):
    """Steps; `library` is one of SIDES."""
    for widths, batch in MLPS:
        x, labels = arrays((batch, widths[0]))[0], np.arange(batch) % widths[-1]
        yield f"step {'-'.join(map(str, widths))}, batch {batch}", _step(library, lib, mlp, widths, x, labels)
    for batch in (16, 256):
        x, labels = arrays((batch, 1, 28, 28))[0], np.arange(batch) % 10
        yield f"LeNet, batch {batch}", _step(library, lib, lenet, (), x, labels)
    x, labels = arrays((32, 16, 28))[0], np.arange(32) % 10
    yield "loop of GRU cells, 28-32, 16 steps, batch 32", _step(library, lib, gates, (28, 32), x, labels)
    words = np.arange(256).reshape(16, 16) % 50
    yield "Transformer, 2 layers, 32 wide, 16x16", _step(library, lib, transformer, (50, 32), words, words.reshape(-1) % 10)


def _step(library, lib, model, sizes, x, labels):
    if library == "jax":
        return _jax_step(lib, model, sizes, x, labels)
    if library == "numpy":
        return None
    model = model(lib, *sizes)
    optimizer = lib.optim.SGD(model.parameters(), lr=1e-3)
    loss_of = lib.nn.functional.cross_entropy

    def step(x, labels):
        optimizer.zero_grad()
        loss = loss_of(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    step = step if library in ("eager", "torch") else lib.compile(step)
    run = functools.partial(step, lib.tensor(x), lib.tensor(labels))
    try:
        for _ in range(6):
            run()
    except Exception as error:
        print(f"{library}: {type(error).__name__}: {str(error).splitlines()[0]}")
        return None
    return run


def mlp(lib, *widths):
    layers = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [lib.nn.Linear(fan_in, fan_out), lib.nn.ReLU()]
    return lib.nn.Sequential(*layers[:-1])


def lenet(lib):
    nn = lib.nn
    convolutions = nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Sigmoid()
    layers = nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)
    return nn.Sequential(*convolutions, nn.AvgPool2d(2), nn.Flatten(), *layers)


def gates(lib, inputs, hidden):
    class Loop(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.x, self.h = lib.nn.Linear(inputs, 3 * hidden), lib.nn.Linear(hidden, 3 * hidden)
            self.out = lib.nn.Linear(hidden, 10)

        def forward(self, x):
            h = lib.zeros(x.shape[0], hidden)
            for t in range(x.shape[1]):
                (xr, xz, xn), (hr, hz, hn) = self.x(x[:, t]).chunk(3, 1), self.h(h).chunk(3, 1)
                z = (xz + hz).sigmoid()
                n = (xn + (xr + hr).sigmoid() * hn).tanh()
                h = (1 - z) * n + z * h
            return self.out(h)

    return Loop()


def transformer(lib, words, width):
    class Model(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.places = lib.nn.Embedding(words, width), lib.nn.Parameter(lib.zeros(16, width))
            layer = lib.nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
            self.layers, self.out = lib.nn.TransformerEncoder(layer, 2), lib.nn.Linear(width, 10)

        def forward(self, x):
            return self.out(self.layers(self.table(x) + self.places)).reshape(-1, 10)

    return Model()


def _jax_step(jax, model, sizes, x, labels):
    if model not in (mlp, lenet):
        return None
    jnp, source = jax.numpy, np.random.default_rng(0)
    widths = sizes if model is mlp else (400, 120, 84, 10)
    activation = jax.nn.relu if model is mlp else jax.nn.sigmoid

    def random(*shape):
        return jnp.asarray(source.standard_normal(shape) * 0.1, jnp.float32)

    layers = [(random(i, o), jnp.zeros(o)) for i, o in itertools.pairwise(widths)]
    kernels = (
        [(random(6, 1, 5, 5), jnp.zeros((6, 1, 1))), (random(16, 6, 5, 5), jnp.zeros((16, 1, 1)))] if model is lenet else []
    )
    state = [(kernels, layers)]

    def loss(parameters, x, labels):
        kernels, layers = parameters
        for padding, (w, b) in zip(("SAME", "VALID"), kernels, strict=False):
            x = jax.nn.sigmoid(jax.lax.conv(x, w, (1, 1), padding) + b)
            x = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") / 4
        x = x.reshape(len(x), -1)
        for w, b in layers[:-1]:
            x = activation(x @ w + b)
        w, b = layers[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), labels[:, None], 1).mean()

    @functools.partial(jax.jit, donate_argnums=0)
    def update(parameters, x, labels):
        value, gradients = jax.value_and_grad(loss)(parameters, x, labels)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, parameters, gradients), value

    x, labels = jnp.asarray(x), jnp.asarray(labels)

    def run():
        state[0], value = update(state[0], x, labels)
        jax.block_until_ready((value, state[0]))

    return run
