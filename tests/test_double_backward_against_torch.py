"""First, second and third derivatives beside PyTorch's, where it is installed.

The third order of its batch and layer norm is wrong (its own gradgradcheck of the gradient fails), so those stop at the second.
"""

import numpy as np
import pytest

import minidl

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)


def away(*shape):
    """Numbers from 0.3 to 1.7 with signs, no two alike: away from kinks and ties."""
    n = int(np.prod(shape, dtype=int))
    return (RNG.permutation(np.linspace(0.3, 1.7, n)) * RNG.choice([-1, 1], n)).reshape(shape)


def positive(*shape):
    return np.abs(away(*shape))


LABELS = np.array([1, 0, 2, -100])
CASES = {
    "elementwise": (lambda t, x: (x.sin() * x.exp() + x.tanh() / (1 + x * x)).sigmoid() * x.cos(), [away(3, 4)]),
    "powers": (
        lambda t, a, b: a**b + a**3 + a.sqrt() + a.rsqrt() + a.log() + a.log1p() + a.reciprocal(),
        [positive(3, 4), away(4)],
    ),
    "broadcasting": (lambda t, a, b: a * b / (b + a * a), [positive(3, 1, 4), positive(2, 1)]),
    "clamp, maximum, where": (
        lambda t, a, b: a.clamp(-1, 1) ** 3 * t.maximum(a, b) + t.where(a > b, a * a, b**3),
        [away(3, 4), away(3, 4)],
    ),
    "erf, lgamma, digamma": (lambda t, x: x.erf() * x.lgamma() + x.digamma(), [positive(5)]),
    "xlogy": (lambda t, a, b: t.xlogy(a, b) ** 2, [positive(4), positive(4)]),
    "sum, mean, var, std": (lambda t, x: x.sum(0) * x.mean(0) * x.var(0) + x.std(0), [away(4, 3)]),
    "prod": (lambda t, x: x.prod(1) ** 2, [away(3, 4)]),
    "norm": (lambda t, x: x.norm(dim=1) + x.norm(p=3, dim=1) ** 2, [away(3, 4)]),
    "max, amax, cumsum, sort": (
        lambda t, x: x.max(1).values ** 3 * x.amax(1) + (x.cumsum(1) ** 3).sum(1) + x.sort(1).values[:, 0] ** 2,
        [away(3, 4)],
    ),
    "softmax, logsumexp": (lambda t, x: x.softmax(1) * x.log_softmax(1) + x.logsumexp(1, keepdim=True), [away(3, 4)]),
    "matmul": (lambda t, a, b: (a @ b).tanh() @ a, [away(2, 3, 4), away(4, 3)]),
    "einsum": (lambda t, a, b: t.einsum("ij,kj->ik", a, b) ** 2, [away(2, 3), away(4, 3)]),
    "indexing, cat, stack": (
        lambda t, x: t.cat([x[1:] ** 2, t.stack([x[0], x[:, 0][:3] * x[0]])]) * x[[0, 0, 2, 1]],
        [away(3, 3)],
    ),
    "gather, flip, roll, diagonal": (lambda t, x: x.flip(0) * x.roll(1, 1) + x.diagonal() ** 3, [away(3, 3)]),
    "cross entropy": (
        lambda t, x: t.nn.functional.cross_entropy(
            x, t.tensor(LABELS), weight=t.tensor([1.0, 2.0, 0.5]).double(), label_smoothing=0.1
        ),
        [away(4, 3)],
    ),
    "soft cross entropy": (
        lambda t, x, p: t.nn.functional.cross_entropy(x, p.softmax(1), reduction="none"),
        [away(4, 3), away(4, 3)],
    ),
    "binary cross entropy": (
        lambda t, x, p: t.nn.functional.binary_cross_entropy_with_logits(x, p.sigmoid(), reduction="none"),
        [away(4), away(4)],
    ),
    "KL, Huber, squared error": (
        lambda t, x, p: (
            t.nn.functional.kl_div(x.log_softmax(1), p.softmax(1), reduction="sum")
            + t.nn.functional.huber_loss(x, p, delta=0.8)
            + t.nn.functional.mse_loss(x, p)
        ),
        [away(4, 3), away(4, 3)],
    ),
    "activations": (
        lambda t, x: (
            t.nn.functional.gelu(x) * t.nn.functional.silu(x)
            + t.nn.functional.softplus(x) * t.nn.functional.elu(x)
            + t.nn.functional.leaky_relu(x) ** 3
            + t.nn.functional.gelu(x, approximate="tanh") ** 2
            + t.nn.functional.logsigmoid(x)
        ),
        [away(8)],
    ),
    "linear": (lambda t, x, w, b: t.nn.functional.linear(x, w, b).tanh(), [away(3, 4), away(2, 4), away(2)]),
    "conv2d": (
        lambda t, x, w, b: t.nn.functional.conv2d(x, w, b, stride=2, padding=1, dilation=2, groups=2).tanh(),
        [away(2, 2, 5, 5), away(4, 1, 2, 2), away(4)],
    ),
    "conv_transpose2d": (
        lambda t, x, w: t.nn.functional.conv_transpose2d(x, w, stride=2, padding=1).sin(),
        [away(1, 2, 3, 3), away(2, 2, 2, 2)],
    ),
    "pooling": (lambda t, x: t.nn.functional.max_pool2d(x, 2) ** 3 * t.nn.functional.avg_pool2d(x, 2), [away(1, 2, 4, 4)]),
    "group norm": (lambda t, x, w, b: t.nn.functional.group_norm(x, 2, w, b).tanh(), [away(2, 4, 3), away(4), away(4)]),
    "attention": (
        lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(q, k, v),
        [away(2, 3, 4), away(2, 5, 4), away(2, 5, 2)],
    ),
}
SECOND = {
    "batch norm": (
        lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, training=True).tanh(),
        [away(4, 3), away(3), away(3)],
    ),
    "layer norm": (lambda t, x, w, b: t.nn.functional.layer_norm(x, (4,), w, b).tanh(), [away(3, 4), away(4), away(4)]),
}


def derivatives(library, f, arrays, orders):
    """Of Σ w·y, then of Σ w·(each gradient), and so on: all gradients of each order."""
    rng = np.random.default_rng(1)

    def weighted(ys):
        return sum((y * library.tensor(rng.uniform(0.5, 1.5, tuple(y.shape)))).sum() for y in ys)

    xs = [library.tensor(x, requires_grad=True) for x in arrays]
    total, found = weighted([f(library, *xs)]), []
    for _ in range(orders):
        gradients = library.autograd.grad(total, xs, create_graph=True, allow_unused=True)
        gradients = [g for g in gradients if g is not None]
        found.append([g.detach().numpy() for g in gradients])
        total = weighted(gradients)
        if not total.requires_grad:
            break
    return found


def layers(library, kind):
    """A recurrent layer with the same weights in both libraries, as a function of the input."""
    rng = np.random.default_rng(2)
    layer = getattr(library.nn, kind)(2, 3).double()
    for p in layer.parameters():
        p.data = library.tensor(rng.normal(size=tuple(p.shape)) * 0.7)
    return layer


RECURRENT = {kind: (lambda t, x, kind=kind: layers(t, kind)(x)[0], [away(3, 2, 2)]) for kind in ("RNN", "LSTM", "GRU")}
ALL = {**{name: (3, case) for name, case in (CASES | RECURRENT).items()}, **{name: (2, case) for name, case in SECOND.items()}}


@pytest.mark.parametrize("name", ALL)
def test_derivatives_are_pytorchs(name):
    orders, (f, arrays) = ALL[name]
    ours, theirs = derivatives(minidl, f, arrays, orders), None
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        theirs = derivatives(torch, f, arrays, orders)
    assert len(ours) == len(theirs) == orders
    for order, (a, b) in enumerate(zip(ours, theirs, strict=True), 1):
        for mine, other in zip(a, b, strict=True):
            np.testing.assert_allclose(mine, other, 1e-8, 1e-8 * max(1, np.abs(other).max()), err_msg=f"order {order}")
