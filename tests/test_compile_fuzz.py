"""minidl.compile against ordinary steps: random models, losses, optimizers and steps, and random changes between their calls.

Each seed makes one step twice; both are called in the same way and must agree bit for bit, errors included: results, buffers,
parameters, gradients, optimizers' state and the random stream. `python -m tests.test_compile_fuzz FIRST LAST` tries more seeds.
"""

import random
import sys
import types
import warnings

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.nn import functional as F

CALLS = 14
CLASSES = 3

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.Softplus, nn.PReLU, nn.LogSigmoid, nn.Hardswish]
FUNCTIONS = [
    lambda x: 1 - x,
    lambda x: x / (1 + x.abs()),
    lambda x: minidl.where(x > 0, x, x * 0.3),
    lambda x: x - x.mean(0, keepdim=True),
    lambda x: x / (x.var(-1, keepdim=True) + 1),
    lambda x: minidl.cat(x.chunk(2, -1)[::-1], -1),
    lambda x: x.cumsum(-1) * 0.1,
    lambda x: x.sort(-1)[0],
    lambda x: x.masked_fill(x < -1, 0.0),
    lambda x: x + 0.01 * minidl.randn_like(x),
    lambda x: F.dropout(x, 0.3),
    lambda x: x + F.one_hot(x.argmax(-1), x.shape[-1]).float(),
    lambda x: x - x.logsumexp(-1, keepdim=True),
    lambda x: (x * 1).add_(0.3),
    lambda x: x + x.detach(),
    lambda x: x[[*range(1, x.shape[0]), 0]],
    lambda x: x.double().mul(0.5).float(),
]
LOSSES = {
    "cross entropy": lambda o, y, w: F.cross_entropy(o, y),
    "weighted": lambda o, y, w: F.cross_entropy(o, y, weight=w),
    "ignored, smoothed": lambda o, y, w: F.cross_entropy(o, y, ignore_index=1, label_smoothing=0.1),
    "of each": lambda o, y, w: F.cross_entropy(o, y, reduction="none").mean(),
    "nll": lambda o, y, w: F.nll_loss(o.log_softmax(1), y, weight=w),
    "nll, ignored": lambda o, y, w: F.nll_loss(o.log_softmax(1), y, ignore_index=2),
    "probabilities": lambda o, y, w: F.cross_entropy(o, F.one_hot(y, CLASSES).float()),
    "squares": lambda o, y, w: F.mse_loss(o, F.one_hot(y, CLASSES).float()),
    "binary": lambda o, y, w: F.binary_cross_entropy_with_logits(o, F.one_hot(y, CLASSES).float()),
}
OPTIMIZERS = [
    lambda p: optim.SGD(p, 0.1, weight_decay=0.1),
    lambda p: optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    lambda p: optim.SGD(p, minidl.tensor(0.05), momentum=0.5, maximize=True),
    lambda p: optim.Adam(p, 0.01),
    lambda p: optim.Adam(p, 0.01, amsgrad=True, weight_decay=0.1),
    lambda p: optim.AdamW(p, 0.01),
    lambda p: optim.RMSprop(p, 0.01),
    lambda p: optim.Adagrad(p, 0.01),
    lambda p: optim.Lion(p, 0.01),
]


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def block(r, width):
    """A layer for rows of this width, and the width behind it."""
    kind = r.choice(["linear", "batch", "layer", "dropout", "activation", "function", "function"])
    if kind == "linear":
        new = r.choice([3, 5, 8])
        return nn.Linear(width, new, bias=r.random() < 0.8), new
    if kind == "batch":
        return nn.BatchNorm1d(width, momentum=r.choice([0.1, None]), affine=r.random() < 0.7), width
    if kind == "layer":
        return nn.LayerNorm(width), width
    if kind == "dropout":
        return nn.Dropout(r.choice([0.0, 0.4])), width
    return r.choice(ACTIVATIONS)() if kind == "activation" else Function(r.choice(FUNCTIONS)), width


def build(seed):
    """A step, and all that may be changed about it."""
    r = random.Random(seed)
    minidl.manual_seed(seed)
    it = types.SimpleNamespace(r=r, words=r.random() < 0.2, images=r.random() < 0.2, n=r.choice([2, 4, 6]), scale=1.0)
    if it.words:
        begin = [nn.Embedding(7, 6, padding_idx=r.choice([None, 0])), Function(lambda x: x.mean(1))]
    elif it.images:
        conv = nn.Conv2d(2, 6, r.choice([1, 3]), padding=1, stride=r.choice([1, 2]))
        begin = [conv, r.choice([nn.BatchNorm2d(6), nn.MaxPool2d(2), nn.Dropout2d(0.3)]), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    else:
        begin = [nn.Linear(4, 6)]
    layers, width = begin, 6
    for _ in range(r.randrange(4)):
        new, width = block(r, width)
        layers.append(new)
    it.net = net = nn.Sequential(*layers, nn.Linear(width, CLASSES))
    parameters = list(net.parameters())
    half = len(parameters) // 2
    split = r.choice(["one", "one", "two", "groups"])
    if split == "two":
        it.optimizers = [r.choice(OPTIMIZERS)(parameters[:half]), r.choice(OPTIMIZERS)(parameters[half:])]
    elif split == "groups":
        it.optimizers = [r.choice(OPTIMIZERS)([{"params": parameters[:half]}, {"params": parameters[half:], "lr": 0.02}])]
    else:
        it.optimizers = [r.choice(OPTIMIZERS)(parameters)]
    loss, weight = LOSSES[r.choice(list(LOSSES))], minidl.tensor([0.3, 1.2, 2.0])
    it.zero = zero = r.choice(["first", "first", "module", "None", "zeros", "last", "later", "outside"])
    clip, gives = r.choice([None, None, "norm", "value"]), r.choice(["loss", "dict", "views", "twice", "parameter", "nothing"])
    it.mean = [p.detach().clone() for p in parameters] if r.random() < 0.2 else []

    def forget(**options):
        for optimizer in it.optimizers:
            optimizer.zero_grad(**options)

    def step(x, y):
        if zero in ("first", "zeros"):
            forget(set_to_none=zero == "first")
        elif zero == "module":
            net.zero_grad()
        elif zero == "None":
            for p in net.parameters():
                p.grad = None
        out = net(x)
        total = loss(out, y, weight) * it.scale
        if zero == "later":
            forget()
        total.backward()
        norm = None
        if clip == "norm":
            norm = nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        elif clip == "value":
            nn.utils.clip_grad_value_(net.parameters(), 0.1)
        if zero != "outside":
            for optimizer in it.optimizers:
                optimizer.step()
        with minidl.no_grad():
            for mean, p in zip(it.mean, parameters, strict=False):
                mean.mul_(0.9).add_(p, alpha=0.1)
        if zero == "last":
            forget()
        total, out = total.detach(), out.detach()
        return {
            "loss": total,
            "dict": {"loss": total, "norm": norm, "best": [out.argmax(1)]},
            "views": (out[:, :2], out.T),
            "twice": [total, total],
            "parameter": (total, parameters[0].detach()),
            "nothing": None,
        }[gives]

    it.step = step
    return it


# --- what changes between the calls


def rate(it):
    for group in it.optimizers[0].param_groups:
        group["lr"] = float(group["lr"]) * 0.5


def options(it):
    group = it.optimizers[0].param_groups[-1]
    values = {"momentum": 0.3, "weight_decay": 0.05, "betas": (0.8, 0.9), "eps": 1e-4, "maximize": True, "amsgrad": True}
    group.update({key: value for key, value in values.items() if key in group and it.r.random() < 0.4})


def layer(it):
    i = it.r.randrange(len(it.net))
    if isinstance(it.net[i], tuple(ACTIVATIONS)):
        it.net[i] = nn.Tanh()
    elif isinstance(it.net[i], nn.Dropout):
        it.net[i].p = 0.7


def gradients(value):
    def change(it):
        for p in it.net.parameters():
            p.grad = None if value is None else minidl.full(p.shape, value)

    return change


def buffers(it):
    for part in it.net.modules():
        if getattr(part, "running_mean", None) is not None:
            part.running_mean = part.running_mean * 0.5


def one_of(change):
    return lambda it: change(it.r.choice(list(it.net.parameters())))


CHANGES = [
    rate,
    options,
    layer,
    buffers,
    gradients(None),
    gradients(1.0),
    one_of(lambda p: p.requires_grad_(not p.requires_grad)),
    one_of(lambda p: setattr(p, "data", p.data * 0.9)),
    one_of(lambda p: p.data.mul_(0.9)),
    lambda it: it.net.train(not it.net.training),
    lambda it: it.net.load_state_dict({key: x * 1 for key, x in it.net.state_dict().items()}),
    lambda it: it.optimizers[-1].load_state_dict(it.optimizers[-1].state_dict()),
    lambda it: it.optimizers[0].state.clear(),
    lambda it: setattr(it, "scale", it.scale * 0.5),
    lambda it: minidl.rand(3),
    lambda it: minidl.manual_seed(7),
    lambda it: setattr(it.net[-1], "weight", nn.Parameter(it.net[-1].weight.detach() * 0.5)),
]
KINDS = ["larger", "transposed", "reversed", "read-only", "a wrong label", "NaN", "a part of a parameter"]


def inputs(it, rng, kind):
    n = it.n + (kind == "larger")
    y = minidl.tensor(rng.integers(0, CLASSES, n))
    if it.words:
        return minidl.tensor(rng.integers(0, 7, (n, 5))), y
    x = minidl.tensor(rng.normal(size=(n, 2, 5, 5) if it.images else (n, 4)).astype(np.float32))
    if kind == "transposed":
        x = minidl.from_numpy(np.ascontiguousarray(x.array.T).T)
    elif kind == "reversed":
        x = minidl.from_numpy(x.array[::-1])
    elif kind == "read-only":
        x.array.flags.writeable = False
    elif kind == "a wrong label":
        y.array[0] = CLASSES
    elif kind == "NaN":
        x.array.flat[0] = np.nan
    elif kind == "a part of a parameter" and not it.images:
        x = it.net[0].weight.detach()[:n]
    return x, y


# --- the comparison


def bits(x):
    """But for the sign of NaN, which depends on the order of two NaNs in a sum."""
    if x is not None and x.is_floating_point():
        return np.where(np.isnan(x.array), np.nan, x.array).tobytes()
    return None if x is None else x.array.tobytes()


def tensors_in(x):
    if isinstance(x, minidl.Tensor):
        yield x
    elif isinstance(x, (dict, list, tuple)):
        for part in x.values() if isinstance(x, dict) else x:
            yield from tensors_in(part)


def states(it):
    found = [bits(x) for x in (*it.net.parameters(), *it.net.buffers(), *it.mean)]
    found += [bits(p.grad) for p in it.net.parameters()]
    for optimizer in it.optimizers:
        for p in (p for group in optimizer.param_groups for p in group["params"]):
            found += [bits(x) for x in optimizer.state.get(p, {}).values() if isinstance(x, minidl.Tensor)]
    return [*found, minidl.get_rng_state().array.tobytes()]


def play(seed, remembered):
    """All that can be seen after each call; and why it was refused."""
    it, r, found = build(seed), random.Random(seed + 1), []
    step = minidl.compile(it.step) if remembered else it.step
    it.r = random.Random(seed + 2)
    for i in range(CALLS):
        if it.zero == "outside" and i % 3 == 0:
            for optimizer in it.optimizers:
                optimizer.step()
                optimizer.zero_grad()
        if r.random() < 0.2:
            r.choice(CHANGES)(it)
        kind = r.choice(KINDS) if r.random() < 0.15 else "plain"
        rng = np.random.default_rng([seed, i // 6 if seed % 3 == 0 else i])  # of some seeds, the first calls are alike
        try:
            result = [bits(x) for x in tensors_in(step(*inputs(it, rng, kind)))]
        except (ValueError, IndexError, RuntimeError, TypeError) as error:
            result = f"{type(error).__name__}: {error}"
        found.append((result, states(it)))
    return found, step.refusal if remembered else None


def difference(seed):
    """None, or what differs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (ordinary, _), (other, refusal) = play(seed, False), play(seed, True)
    for i, ((a, before), (b, after)) in enumerate(zip(ordinary, other, strict=True)):
        if a != b or before != after:
            texts = [x if isinstance(x, str) else f"{len(x)} tensors" for x in (a, b)]
            return (
                f"seed {seed}, call {i + 1}: {texts[0]} and {texts[1]}; results alike: {a == b}; {refusal}; {build(seed).net}"
            )
    return None


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_random_steps(first):
    assert not [text for seed in range(first, first + 10) if (text := difference(seed))]


if __name__ == "__main__":
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        if text := difference(seed):
            print(text, flush=True)
