"""What is timed of sequences: attention, recurrent layers, Transformers, generation; PyTorch has the same names."""

import functools

import numpy as np
from cases import arrays

# (batch, heads, length, width of a head, causal)
ATTENTIONS = [(64, 4, 16, 16, False), (64, 4, 32, 32, True), (16, 4, 128, 32, True), (4, 8, 512, 64, True)]
ATTENTIONS += [(4, 8, 1024, 64, True), (1, 8, 2048, 64, False), (1, 4, 4096, 64, True)]


def _attend(lib, shape, causal, dropout):
    leaves = [lib.tensor(x, requires_grad=True) for x in arrays(*[shape] * 3)]
    attend = functools.partial(lib.nn.functional.scaled_dot_product_attention, is_causal=causal, dropout_p=dropout)
    dy = lib.ones_like(leaves[0].detach())

    def run():
        attend(*leaves).backward(dy)
        for leaf in leaves:
            leaf.grad = None

    return run


def attention(library, lib):
    """Scaled dot-product attention, forward and backward, recorded."""
    for *shape, causal in ATTENTIONS:
        for dropout in (0.0, 0.1):
            name = f"{'x'.join(map(str, shape))}{', causal' * causal}{f', dropout {dropout}' * bool(dropout)}"
            yield name, _attend(lib, tuple(shape), causal, dropout) if library in ("minidl", "torch") else None


# ------------------------------------------------------------------------------------------------------ whole steps


def _recurrent(kind):
    def make(lib):
        class Model(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer, self.out = getattr(lib.nn, kind)(28, 32), lib.nn.Linear(32, 28)

            def forward(self, x):
                return self.out(self.layer(x)[0]).reshape(-1, 28)

        letters = np.arange(32 * 257).reshape(32, 257) * 7 % 28
        x = lib.nn.functional.one_hot(lib.tensor(letters[:, :-1]), 28).to(lib.float32)
        return Model(), x, lib.tensor(letters[:, 1:].reshape(-1))

    return make


def _encoder(lib):
    layer = lib.nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True, norm_first=True)
    model = lib.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    x, y = arrays((16, 64, 64), (16, 64, 64))
    return model, lib.tensor(x), lib.tensor(y)


def _gpt(lib):
    nn, F = lib.nn, lib.nn.functional

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.n1, self.n2, self.qkv, self.o = nn.LayerNorm(128), nn.LayerNorm(128), nn.Linear(128, 384), nn.Linear(128, 128)
            self.up, self.down = nn.Linear(128, 512), nn.Linear(512, 128)

        past = None  # keys and values, while a sequence is written

        def forward(self, x):
            n, t, e = x.shape
            q, k, v = (z.reshape(n, t, 4, 32).transpose(1, 2) for z in self.qkv(self.n1(x)).split(128, dim=-1))
            if self.past is not None:
                k, v = (lib.cat([old, new], 2) for old, new in zip(self.past, (k, v), strict=True)) if self.past else (k, v)
                self.past = k, v
            a = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1).transpose(1, 2).reshape(n, t, e)
            x = x + self.o(a)
            return x + self.down(F.gelu(self.up(self.n2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(96, 128), nn.Embedding(128, 128)
            self.body, self.head = nn.Sequential(Layer(), Layer(), Layer()), nn.Linear(128, 96)

        def forward(self, i, start=0):
            places = self.places(lib.arange(start, start + i.shape[1]))
            return self.head(self.body(self.tokens(i) + places)).reshape(-1, 96)

    letters = np.arange(16 * 129).reshape(16, 129) * 7 % 96
    return GPT(), lib.tensor(letters[:, :-1].copy()), lib.tensor(letters[:, 1:].reshape(-1))


MODELS = {
    "RNN, 28-32-28, 32 steps, batch 256": _recurrent("RNN"),
    "GRU, 28-32-28, 32 steps, batch 256": _recurrent("GRU"),
    "LSTM, 28-32-28, 32 steps, batch 256": _recurrent("LSTM"),
    "encoder, 2 layers, 64 wide, 16x64 tokens": _encoder,
    "GPT, 3 layers, 128 wide, 16x128 tokens": _gpt,
}


def step(lib, name, batch=None):
    model, x, y = MODELS[name](lib)
    if batch:
        x, y = x[:batch], y[: len(y) // len(x) * batch]
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01, weight_decay=1e-4)
    loss = lib.nn.functional.mse_loss if y.dtype == lib.float32 else lib.nn.functional.cross_entropy

    def run():
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return run


def sequence_step(library, lib):
    """A whole training step: forward, loss, backward, SGD with weight decay."""
    for name in MODELS:
        yield name, step(lib, name) if library in ("minidl", "torch") else None


def _write(lib, cached):
    """Writes 96 characters after 32, the most likely one each time."""
    model, prompt, _ = _gpt(lib)
    model.eval()

    def run():
        tokens = prompt[:1, :32]
        with lib.no_grad():
            for layer in model.body:
                layer.past = () if cached else None
            for _ in range(96):
                seen = tokens.shape[1]
                fresh = tokens[:, -1:] if cached and seen > 32 else tokens
                logits = model(fresh, seen - fresh.shape[1])
                tokens = lib.cat([tokens, logits[-1:].argmax(-1, keepdim=True)], 1)

    return run


def generation(library, lib):
    """96 tokens after 32 by the GPT above: the time divided into 96 is tokens per second."""
    for name, cached in (("GPT writes 96 tokens, without a cache", False), ("GPT writes 96 tokens, with a cache", True)):
        yield name, _write(lib, cached) if library in ("minidl", "torch") else None


def _attend_long(lib, length):
    return _attend(lib, (1, 4, length, 64), True, 0.0)


# name -> (a small step, which loads and compiles the code; the step itself), each a function of the library
PEAKS = {name: (functools.partial(step, name=name, batch=2), functools.partial(step, name=name)) for name in list(MODELS)[3:]}
PEAKS |= {
    f"attention 1x4x{length}x64, causal": tuple(functools.partial(_attend_long, length=n) for n in (64, length))
    for length in (1024, 2048, 4096)
}
