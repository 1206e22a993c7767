"""The same bits on any number of threads and at any place in memory: `python -m tests.fuzz.same_bits --seed 0 --calls 2000`.

Functions that run in kernels get arrays large enough for two threads to pay. Values and gradients on one thread are the truth;
two threads, and inputs that begin at any byte of a buffer, must give the same bits.
"""

import argparse
import collections
import sys
import time

import numpy as np

import minidl
from minidl import kernels, nn
from minidl.kernels import threads
from minidl.nn import functional as F

from .cases import Draw
from .values import under, words

CASES = {}
PLACES = [0, 1, 3, 4, 8, 20, 60]  # bytes after a boundary of 64


class Counting:
    """A lock that counts how often a kernel was run on all threads."""

    def __init__(self, lock):
        self.lock, self.count = lock, 0

    def __enter__(self):
        self.count += 1
        return self.lock.__enter__()

    def __exit__(self, *error):
        return self.lock.__exit__(*error)

    def acquire(self, blocking=True):
        taken = self.lock.acquire(blocking)
        self.count += taken
        return taken

    def __getattr__(self, name):  # locked, release
        return getattr(self.lock, name)


case = under(CASES)


def n(d, low, high):
    return d.int(low, high)


def elementwise(name):
    f = getattr(F, name, None) or getattr(minidl, name)
    return lambda d: (f, [d.x((n(d, 1, 200), n(d, 1, 2000)), layout=False)])


for _name in words(
    """
    exp expm1 log log2 log1p tanh sigmoid erf erfc relu silu logsigmoid elu leaky_relu gelu softplus
"""
):
    CASES[_name] = elementwise(_name)
for _name in ["lgamma", "digamma"]:
    CASES[_name] = lambda d, name=_name: (getattr(minidl, name), [d.x((n(d, 1, 90), n(d, 1, 300)), layout=False)])
for _name in words(
    """
    sum mean var std cumsum logsumexp softmax log_softmax norm amax prod
"""
):

    def _along(d, name=_name):
        x = d.x((n(d, 1, 60), n(d, 2, 90), n(d, 2, 90)), layout=False, kind="ordinary")
        options = {"p": 2} if name == "norm" else {}
        dim = d.int(0, 2)
        return lambda x: getattr(x, name)(dim=dim, **options), [x]

    CASES[_name] = _along


@case("gelu_tanh")
def _(d):
    return lambda x: F.gelu(x, approximate="tanh"), [d.x((n(d, 1, 200), n(d, 1, 1000)), layout=False)]


@case("matmul")
def _(d):
    m, k, w = n(d, 1, 300), n(d, 1, 300), n(d, 1, 300)
    return minidl.matmul, [d.x((m, k), layout=False, kind="ordinary"), d.x((k, w), layout=False, kind="ordinary")]


@case("bmm")
def _(d):
    N, m, k, w = n(d, 1, 9), n(d, 1, 90), n(d, 1, 90), n(d, 1, 90)
    return minidl.bmm, [d.x((N, m, k), layout=False), d.x((N, k, w), layout=False)]


@case("linear")
def _(d):
    m, k, w = n(d, 1, 300), n(d, 1, 300), n(d, 1, 300)
    return F.linear, [d.x((m, k), layout=False, kind="ordinary"), d.x((w, k), layout=False), d.x((w,), layout=False)]


def _conv(d, spatial, transposed=False, depthwise=False):
    groups = d.one(1, 1, 2)
    cin, cout = groups * n(d, 1, 9), groups * n(d, 1, 17)
    if depthwise:
        groups = cin = cout = n(d, 2, 24)
    kernel = tuple(n(d, 1, 4) for _ in range(spatial))
    stride, padding = n(d, 1, 2), n(d, 0, 1)
    images = n(d, 1, 6) if d.chance(0.5) else n(d, 7, 40)  # more than a vector has lanes
    shape = (images, cin, *(n(d, 4, 300 if spatial == 1 else 30) for _ in range(spatial)))
    x = d.x(shape, layout=False, kind="ordinary")
    w = d.x((cin, cout // groups, *kernel) if transposed else (cout, cin // groups, *kernel), layout=False, kind="ordinary")
    f = getattr(F, f"conv{'_transpose' if transposed else ''}{spatial}d")
    return lambda x, w, b: f(x, w, b, stride=stride, padding=padding, groups=groups), [x, w, d.x((cout,), layout=False)]


CASES["conv1d"], CASES["conv2d"] = lambda d: _conv(d, 1), lambda d: _conv(d, 2)
CASES["conv_transpose2d"], CASES["depthwise"] = lambda d: _conv(d, 2, True), lambda d: _conv(d, 2, False, True)


@case("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d")
def pools(d):
    name, k, s = d.one("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"), n(d, 1, 3), n(d, 1, 3)
    x = d.x((n(d, 1, 9), n(d, 1, 20), n(d, 4, 40), n(d, 4, 40)), layout=False)
    return lambda x: getattr(F, name)(x, k + 2) if "adaptive" in name else getattr(F, name)(x, k, s), [x]


@case("layer_norm", "rms_norm")
def _(d):
    x = d.x((n(d, 1, 300), n(d, 2, 600)), layout=False, kind="ordinary")
    w, b = d.x(x.shape[1:], layout=False), d.x(x.shape[1:], layout=False)
    if d.chance(0.3):
        return lambda x, w: F.rms_norm(x, w.shape, w), [x, w]
    return lambda x, w, b: F.layer_norm(x, w.shape, w, b), [x, w, b]


@case("group_norm", "batch_norm")
def _(d):
    groups = n(d, 1, 4)
    C = groups * n(d, 1, 6)
    x = d.x((n(d, 2, 16), C, n(d, 2, 30), n(d, 2, 30)), layout=False, kind="ordinary")
    w, b = d.x((C,), layout=False), d.x((C,), layout=False)
    if d.chance(0.5):
        return lambda x, w, b: F.group_norm(x, groups, w, b), [x, w, b]
    return lambda x, w, b: F.batch_norm(x, None, None, w, b, True), [x, w, b]


@case("attention")
def _(d):
    N, L, S, E = n(d, 1, 8), n(d, 1, 90), n(d, 1, 90), n(d, 1, 40)
    causal = d.chance(0.4)
    x = [d.x((N, a, E), layout=False, kind="ordinary") for a in (L, S, S)]
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal), x


@case("cross_entropy")
def _(d):
    N, C = n(d, 1, 900), n(d, 2, 300)
    labels, smoothing = minidl.from_numpy(d.rng.integers(0, C, N)), d.one(0.0, 0.1)
    if d.chance(0.3):
        return lambda x, t: F.cross_entropy(x, t, label_smoothing=smoothing), [
            d.x((N, C), layout=False),
            d.x((N, C), layout=False, low=0),
        ]
    return lambda x: F.cross_entropy(x, labels, label_smoothing=smoothing), [d.x((N, C), layout=False)]


@case("binary_cross_entropy_with_logits")
def _(d):
    shape = n(d, 1, 300), n(d, 1, 900)
    return F.binary_cross_entropy_with_logits, [d.x(shape, layout=False), d.x(shape, layout=False, low=0)]


@case("embedding")
def _(d):
    V, E = n(d, 1, 500), n(d, 1, 64)
    ids = minidl.from_numpy(d.rng.integers(0, V, (n(d, 1, 60), n(d, 1, 60))))
    return lambda w: F.embedding(ids, w), [d.x((V, E), layout=False)]


@case("ctc_loss")
def _(d):
    T, N, C, S = n(d, 5, 60), n(d, 1, 16), n(d, 2, 30), n(d, 1, 5)
    targets, lengths, sizes = minidl.from_numpy(d.rng.integers(1, C, (N, S))), (T,) * N, (S,) * N
    return lambda x: F.ctc_loss(x.log_softmax(-1), targets, lengths, sizes, zero_infinity=True), [
        d.x((T, N, C), layout=False, kind="ordinary")
    ]


@case("rnn", "lstm", "gru")
def _(d):
    kind, width, hidden = d.one(nn.RNN, nn.LSTM, nn.GRU), n(d, 1, 40), n(d, 1, 60)
    minidl.manual_seed(1)
    layer = kind(width, hidden, bidirectional=d.chance(0.3)).to(minidl.dtype(d.dtype) if hasattr(minidl, "dtype") else d.dtype)

    def run(x, *weights):
        for parameter, w in zip(layer.parameters(), weights, strict=True):
            parameter.data = w.detach()
            parameter.grad = None
        y = layer(x)[0]
        return y, layer

    return run, [
        d.x((n(d, 1, 30), n(d, 1, 64), width), layout=False, kind="ordinary"),
        *[p.detach().numpy() for p in layer.parameters()],
    ]


@case("optimizer_step")
def _(d):
    size, rule = n(d, 1, 300_000), d.one("adagrad", "lion", "yogi", "radam")
    more = {"adagrad": {"eps": 0.1, "inside": False}, "lion": {"beta1": 0.9, "beta2": 0.99}}.get(
        rule, {"beta1": 0.9, "beta2": 0.99, "root": 0.5, "eps": 0.1} | ({"rectified": True} if rule == "radam" else {})
    )

    def run(p, g):
        p, g = p.detach().numpy(), g.detach().numpy()
        states = [np.abs(g) * 1, np.square(g)][: 1 if rule in ("adagrad", "lion") else 2]
        kernels.optimizer_step(rule, p, g, states, rate=0.1, **more)
        return minidl.from_numpy(p), *map(minidl.from_numpy, states)

    return run, [d.x((size,), layout=False, kind="ordinary") for _ in range(2)]


@case("adam", "sgd")
def _(d):
    size, adam = n(d, 1, 300_000), d.chance(0.5)

    def run(p, g):
        p, g = p.detach().numpy(), g.detach().numpy()
        states = [np.abs(g) * 1, np.square(g)]
        if adam:
            kernels.adam(p, g, *states, step=3)
        else:
            kernels.sgd(p, g, states[0], 0.1, 0.9)
        return minidl.from_numpy(p), *map(minidl.from_numpy, states)

    return run, [d.x((size,), layout=False, kind="ordinary") for _ in range(2)]


def placed(x, byte):
    """A copy that begins `byte` bytes after a boundary of 64."""
    raw = np.empty(x.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + byte
    y = raw[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    y[...] = x
    return y


def bits(function, arrays, byte=0):
    """The values and the gradients of a call, as bytes."""
    leaves = [minidl.tensor(0.0)] * len(arrays)
    for i, x in enumerate(arrays):
        leaves[i] = minidl.from_numpy(placed(x, byte)).requires_grad_()
    results = function(*leaves)
    results = list(results) if isinstance(results, tuple) else [results]
    layers = [y for y in results if isinstance(y, nn.Module)]
    results = [y for y in results if isinstance(y, minidl.Tensor)]
    for y in results:
        if y.requires_grad:
            dy = np.random.default_rng(1).normal(size=y.shape).astype(y.detach().numpy().dtype)
            y.backward(minidl.from_numpy(placed(dy, byte)))
    gradients = [x.grad for x in leaves] + [p.grad for layer in layers for p in layer.parameters()]
    return [b"" if x is None else x.detach().numpy().tobytes() for x in (*results, *gradients)]


def play(seed, i):
    """(name, what differs or None) of the call with this number."""
    rng = np.random.default_rng([seed, i])
    name = sorted(CASES)[rng.integers(len(CASES))]
    function, arrays = CASES[name](Draw(rng))
    text = f"{name}({', '.join(f'{x.dtype.str}{x.shape}' for x in arrays)})"
    minidl.set_num_threads(1)
    try:
        truth = bits(function, arrays)
        if bits(function, arrays) != truth:
            return name, f"{text}: the second call gives other bits"
        byte = PLACES[rng.integers(len(PLACES))]
        if bits(function, arrays, byte) != truth:
            return name, f"{text}: other bits {byte} bytes after a boundary"
        if threads.numba.config.NUMBA_NUM_THREADS > 1:
            minidl.set_num_threads(2)
            for start in (0, byte):
                found = bits(function, arrays, start)
                if found != truth:
                    which = [j for j, (a, b) in enumerate(zip(found, truth, strict=True)) if a != b]
                    return name, f"{text}: other bits on two threads, {start} bytes after a boundary (results {which})"
    finally:
        minidl.set_num_threads(1)
    return name, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--only", type=int, nargs="*", help="the numbers of the calls to run")
    options = parser.parse_args()
    threads._one_at_a_time = lock = Counting(threads._one_at_a_time)
    start, counts, faults, shared = time.time(), collections.Counter(), [], collections.Counter()
    for i in options.only or range(options.calls):
        before = lock.count
        name, fault = play(options.seed, i)
        counts[name] += 1
        shared[name] += lock.count > before
        if fault:
            faults.append(f"{i}: {fault}")
    print(f"{'function':36} {'calls':>6} {'on two threads':>15}")
    for name, count in sorted(counts.items()):
        print(f"{name:36} {count:6} {shared[name]:15}")
    print("\n".join(faults))
    seconds = time.time() - start
    print(
        f"seed {options.seed}: {counts.total()} calls, {shared.total()} on two threads, {len(faults)} faults, {seconds:.0f} s"
    )
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
