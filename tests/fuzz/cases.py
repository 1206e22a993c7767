"""Random calls for differential fuzzing: `CASES[name](rng)` draws (arguments, keywords) of a function that PyTorch has, too.

Arrays among the arguments become tensors. Shapes have 0 to 4 axes of the sizes in SIZES; values are ordinary, tied, or have
NaN, infinities, huge, tiny and denormal numbers among them; layouts are of every kind. `Draw.kind` tells which were drawn.
"""

import numpy as np

from ..table_functional import ACTIVATIONS
from . import values
from .values import words

SIZES = [0, 1, 2, 3, 5, 7, 17]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1e-30, 1e-42, -1e-42, 100.0, -100.0, 1e4]


class Draw:
    """A source of random arguments: one dtype and one kind of values for each call."""

    def __init__(self, rng, repeat=True):
        self.rng, self.repeat = rng, repeat
        self.dtype = np.dtype([np.float32, np.float64][rng.random() < 0.35])
        self.kind = ["ordinary", "ties", "special"][rng.choice(3, p=[0.6, 0.2, 0.2])]

    def chance(self, p):
        return bool(self.rng.random() < p)

    def one(self, *options):
        return options[self.rng.integers(len(options))]

    def int(self, low, high):
        """low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def size(self, low=0):
        sizes = [n for n in SIZES if n >= low]
        return int(sizes[self.rng.integers(len(sizes))]) if self.chance(0.9) or low else 0

    def shape(self, low=0, high=4, least=0, most=4000):
        shape = [self.size(least) for _ in range(self.int(low, high))]
        while np.prod(shape, dtype=float) > most:
            shape[int(np.argmax(shape))] = max(least, 2)
        return tuple(shape)

    def dim(self, ndim):
        return self.int(-ndim, ndim - 1) if ndim else 0

    def dims(self, ndim):
        """None, one axis or some axes."""
        if ndim == 0 or self.chance(0.2):
            return None
        if self.chance(0.5):
            return self.dim(ndim)
        chosen = self.rng.permutation(ndim)[: self.int(1, ndim)]
        return tuple(int(a) - ndim * self.chance(0.3) for a in chosen)

    def x(self, shape, dtype=None, kind=None, layout=True, low=None):
        """Floating-point numbers; `low`: in (low, low + 1) if nothing special is wanted."""
        kind = kind or self.kind
        if kind == "ties":
            self.kind = kind  # nothing is smooth there
        if low is not None:
            x = self.rng.uniform(low + 0.01, low + 0.99, shape)
        elif kind == "ties":
            x = self.rng.integers(-2, 3, shape).astype(float)
        else:
            x = self.rng.normal(size=shape) * self.one(1.0, 1.0, 3.0)
        if kind == "special" and low is None:
            x = np.where(self.rng.random(shape) < 0.2, self.rng.choice(SPECIAL, shape), x)
        with np.errstate(all="ignore"):
            x = np.asarray(x, dtype or self.dtype)
        return values.layout(self.rng, x, self.repeat) if layout and self.chance(0.7) else x

    def ints(self, shape, low, high, dtype=np.int64):
        """low to high − 1"""
        x = self.rng.integers(low, max(high, low + 1), shape).astype(dtype) if high > low else np.zeros(shape, dtype)
        return values.layout(self.rng, np.asarray(x)) if self.chance(0.4) else np.asarray(x)

    def bools(self, shape, p=0.5):
        return np.asarray(self.rng.random(shape) < p)

    def number(self):
        return self.one(0.5, 2.0, -1.5, 3, 1, -2, 0.0, 1e-3)

    def broadcastable(self, shape):
        """A shape that broadcasts with this one."""
        other = [1 if self.chance(0.3) else n for n in shape]
        return tuple(other[self.int(0, len(other)) :]) if self.chance(0.3) else tuple(other)

    def reduction(self):
        return self.one("mean", "sum", "none")


CASES = {}


case = values.under(CASES)


# --- elementwise

UNARY = words(
    """
    exp expm1 log log2 log10 log1p sqrt rsqrt square reciprocal sin cos tan asin acos atan sinh cosh tanh sigmoid
    erf erfc lgamma digamma relu sign floor ceil trunc round abs neg isnan isinf isfinite logical_not
"""
)


def _unary(d):
    ints = d.chance(0.1)
    x = d.ints(d.shape(), -3, 9, d.one(np.int64, np.int32, np.uint8, np.int8)) if ints else d.x(d.shape())
    return (x,), {}


for _name in UNARY:
    CASES[f"T.{_name}"] = _unary
for _name in ("relu", "sigmoid", "tanh", "silu", "logsigmoid"):
    CASES[f"F.{_name}"] = lambda d: ((d.x(d.shape()),), {})


@case("T.round")
def _(d):
    return (d.x(d.shape()),), {"decimals": d.one(0, 1, 2, -1)}


@case("T.add", "T.sub", "T.mul", "T.div", "T.maximum", "T.minimum", "T.xlogy", "T.eq", "T.ne", "T.lt", "T.le", "T.gt", "T.ge")
def _(d):
    shape = d.shape()
    a = d.x(shape) if d.chance(0.9) else d.ints(shape, -3, 9, d.one(np.int64, np.int32))
    b = d.x(d.broadcastable(shape), dtype=d.one(np.float32, np.float64) if d.chance(0.2) else None)
    if d.chance(0.1):
        b = d.ints(d.broadcastable(shape), -3, 4)
    return ((a, b) if d.chance(0.5) else (b, a)), {}


@case("T.floor_divide", "T.remainder")
def _(d):
    shape = d.shape()
    if d.chance(0.3):
        return (d.ints(shape, -9, 9), d.ints(shape, 1, 5)), {}
    return (d.x(shape, kind="ordinary"), d.x(d.broadcastable(shape), kind="ordinary")), {}


@case("T.pow")
def _(d):
    shape = d.shape()
    exponent = d.one(2, 3, 0.5, -1, 0, 1.0, -2.5) if d.chance(0.5) else d.x(d.broadcastable(shape))
    return (d.x(shape), exponent), {}


@case("T.lerp")
def _(d):
    shape = d.shape()
    return (d.x(shape), d.x(d.broadcastable(shape)), d.x(d.broadcastable(shape)) if d.chance(0.5) else d.number()), {}


@case("T.clamp")
def _(d):
    low, high = d.one((-1.0, 1.0), (None, 0.5), (0, None), (1.0, -1.0), (-2, 2))
    return (d.x(d.shape()), low, high), {}


@case("T.polygamma")
def _(d):
    return (d.x(d.shape(most=300), kind="ordinary", low=d.one(0.0, 1.0, 5.0)), d.int(0, 4)), {}


@case("T.igamma")
def _(d):
    shape = d.shape(most=300)
    return (d.x(shape, low=d.one(0.0, 1.0, 20.0)), d.x(d.broadcastable(shape), low=d.one(0.0, 3.0))), {}


@case("T.masked_fill")
def _(d):
    shape = d.shape()
    return (d.x(shape), d.bools(d.broadcastable(shape)), d.number()), {}


@case("T.where")
def _(d):
    shape = d.shape()
    return (d.x(shape), d.bools(d.broadcastable(shape)), d.x(d.broadcastable(shape))), {}


@case("F.gelu")
def _(d):
    return (d.x(d.shape()),), {"approximate": d.one("none", "tanh")}


@case("F.elu")
def _(d):
    return (d.x(d.shape()), d.one(1.0, 0.5, 2)), {}


@case("F.leaky_relu")
def _(d):
    return (d.x(d.shape()), d.one(0.01, 0.2, 0.0, 1.0)), {}


@case("F.softplus")
def _(d):
    return (d.x(d.shape()), d.one(1.0, 2.0, 0.5), d.one(20.0, 5.0)), {}


# --- reductions


def _reducible(d, least=0):
    return d.x(d.shape(least=least))


@case("T.sum", "T.mean", "T.nansum")
def _(d):
    x = _reducible(d)
    return (x,), {"dim": d.dims(x.ndim), "keepdim": d.chance(0.5)}


@case("T.amax", "T.amin")
def _(d):
    x = _reducible(d, 1)
    dims = d.dims(x.ndim)
    return (x,), {"dim": () if dims is None else dims, "keepdim": d.chance(0.5)}


@case("T.var", "T.std")
def _(d):
    x = _reducible(d, 2)
    return (x,), {"dim": d.dims(x.ndim), "keepdim": d.chance(0.5), "correction": d.one(0, 1)}


@case("T.logsumexp")
def _(d):
    x = _reducible(d, 1)
    dims = d.dims(x.ndim)
    return (x, tuple(range(x.ndim)) if dims is None else dims, d.chance(0.5)), {}


@case("T.prod", "T.all", "T.any")
def _(d):
    x = d.x(d.shape(1, most=200), kind=d.one("ordinary", "ties"))
    return (x, d.dim(x.ndim), d.chance(0.5)), {}


@case(
    "T.max",
    "T.min",
    "T.argmax",
    "T.argmin",
    "T.cumsum",
    "T.softmax",
    "T.log_softmax",
    "F.softmax",
    "F.softmin",
    "F.log_softmax",
)
def _(d):
    x = d.x(d.shape(1, least=1))
    return (x, d.dim(x.ndim)), {}


@case("T.norm")
def _(d):
    x = d.x(d.shape(1, least=1))
    return (x, d.one(2, 1, 2.0, float("inf"), 3, 1.5), d.dims(x.ndim), d.chance(0.5)), {}


@case("T.sort", "T.argsort")
def _(d):
    x = d.x(d.shape(1), kind=d.one("ordinary", "ties"))
    return (x,), {"dim": d.dim(x.ndim), "descending": d.chance(0.5), "stable": True}


@case("T.topk")
def _(d):
    x = d.x(d.shape(1, least=1), kind="ordinary", layout=False)
    dim = d.dim(x.ndim)
    return (x, d.int(0, x.shape[dim]), dim, d.chance(0.5), True), {}


# --- products


@case("T.matmul")
def _(d):
    m, k, n = d.size(), d.size(), d.size()
    if d.chance(0.1):
        k = d.one(200, 1000)
    batch = d.shape(0, 2, most=20)
    a, b = [(k,), (m, k), (*batch, m, k)][d.int(0, 2)], [(k,), (k, n), (*d.broadcastable(batch), k, n)][d.int(0, 2)]
    return (d.x(a), d.x(b)), {}


@case("T.mm")
def _(d):
    m, k, n = d.size(), d.size(), d.size()
    return (d.x((m, k)), d.x((k, n))), {}


@case("T.bmm")
def _(d):
    N, m, k, n = d.size(), d.size(), d.size(), d.size()
    return (d.x((N, m, k)), d.x((N, k, n))), {}


@case("T.mv")
def _(d):
    m, k = d.size(), d.size()
    return (d.x((m, k)), d.x((k,))), {}


@case("T.dot")
def _(d):
    k = d.size()
    return (d.x((k,)), d.x((k,))), {}


@case("T.outer")
def _(d):
    return (d.x((d.size(),)), d.x((d.size(),))), {}


@case("F.linear")
def _(d):
    m, k = d.size(), d.size()
    x = d.x((*d.shape(0, 3, most=100), k))
    return (x, d.x((m, k)), d.x((m,)) if d.chance(0.6) else None), {}


@case("F.bilinear")
def _(d):
    lead, i, j, o = d.shape(1, 2, most=50), d.size(1), d.size(1), d.size(1)
    return (d.x((*lead, i)), d.x((*lead, j)), d.x((o, i, j)), d.x((o,)) if d.chance(0.5) else None), {}


# --- shapes and places


@case("T.transpose")
def _(d):
    x = d.x(d.shape(1))
    return (x, d.dim(x.ndim), d.dim(x.ndim)), {}


@case("T.permute")
def _(d):
    x = d.x(d.shape(1))
    return (x, tuple(int(a) for a in d.rng.permutation(x.ndim))), {}


@case("T.unsqueeze")
def _(d):
    x = d.x(d.shape(0, 3))
    return (x, d.int(-x.ndim - 1, x.ndim)), {}


@case("T.flip")
def _(d):
    x = d.x(d.shape(1))
    dims = d.dims(x.ndim)
    return (x, (0,) if dims is None else dims if isinstance(dims, tuple) else (dims,)), {}


@case("T.roll")
def _(d):
    x = d.x(d.shape(1, least=1))
    return (x, d.int(-9, 9), d.one(None, d.dim(x.ndim))), {}


@case("T.narrow")
def _(d):
    x = d.x(d.shape(1, least=1))
    dim = d.dim(x.ndim)
    start = d.int(0, x.shape[dim])
    return (x, dim, start, d.int(0, x.shape[dim] - start)), {}


@case("T.select")
def _(d):
    x = d.x(d.shape(1, least=1))
    dim = d.dim(x.ndim)
    return (x, dim, d.int(-x.shape[dim], x.shape[dim] - 1)), {}


@case("T.diagonal")
def _(d):
    x = d.x(d.shape(2))
    return (x, d.int(-2, 2), 0, d.one(1, -1)), {}


@case("T.tril", "T.triu")
def _(d):
    return (d.x(d.shape(2)), d.int(-3, 3)), {}


@case("T.diag")
def _(d):
    return (d.x(d.shape(1, 2)), d.int(-2, 2)), {}


@case("T.trace")
def _(d):
    return (d.x(d.shape(2, 2)),), {}


@case("T.repeat_interleave")
def _(d):
    x = d.x(d.shape(1))
    return (x, d.int(0, 3), d.dim(x.ndim)), {}


@case("T.repeat", "T.tile")
def _(d):
    x = d.x(d.shape(0, 3, most=100))
    return (x, tuple(d.int(0, 3) for _ in range(x.ndim + d.int(0, 1)))), {}


@case("T.gather")
def _(d):
    x = d.x(d.shape(1, 3, least=1))
    dim = d.dim(x.ndim)
    shape = [d.int(0, n) for n in x.shape]
    shape[dim] = d.int(0, 5)
    return (x, dim, d.ints(tuple(shape), 0, x.shape[dim])), {}


@case("T.index_select")
def _(d):
    x = d.x(d.shape(1, 3, least=1))
    dim = d.dim(x.ndim)
    return (x, dim, d.ints((d.int(0, 6),), 0, x.shape[dim])), {}


@case("T.unflatten")
def _(d):
    a, b = d.size(1), d.size(1)
    return (d.x((2, a * b, 3)), 1, (a, d.one(b, -1))), {}


@case("T.flatten")
def _(d):
    x = d.x(d.shape(1))
    a, b = sorted((d.int(0, x.ndim - 1), d.int(0, x.ndim - 1)))
    return (x, a, b), {}


@case("F.pad")
def _(d):
    mode = d.one("constant", "reflect", "replicate", "circular")
    spatial = d.int(1, 2)
    x = d.x((d.size(1), d.size(1), *(d.one(3, 5, 7) for _ in range(spatial))))
    pads = tuple(d.int(-1 if mode == "constant" else 0, 2) for _ in range(2 * spatial))
    return (x, pads, mode), {"value": d.number()} if mode == "constant" else {}


# --- images


def _conv(d, spatial, transposed=False):
    groups = d.one(1, 1, 1, 2, 3)
    cin, cout = groups * d.one(1, 2, 3), groups * d.one(1, 2, 3)
    if d.chance(0.1):
        groups = cin
        cout = cin * d.one(1, 2)
    kernel = tuple(d.one(1, 2, 3, 3, 5) for _ in range(spatial))
    dilation = tuple(d.one(1, 1, 2) for _ in range(spatial))
    stride = tuple(d.one(1, 1, 2, 3) for _ in range(spatial))
    padding = tuple(d.one(0, 0, 1, 2) for _ in range(spatial))
    reach = [(k - 1) * s + 1 for k, s in zip(kernel, dilation, strict=True)]
    least = [1] * spatial if transposed else [max(1, r - 2 * p) for r, p in zip(reach, padding, strict=True)]
    sizes = tuple(n + d.one(0, 1, 2, 5, 9, 14) for n in least)
    kind = "ordinary" if d.kind == "special" and d.chance(0.7) else d.kind
    x = d.x((d.one(1, 2, 3), cin, *sizes), kind=kind)
    w = d.x((cin, cout // groups, *kernel) if transposed else (cout, cin // groups, *kernel), kind=kind)
    bias = d.x((cout,), kind=kind) if d.chance(0.6) else None
    one = spatial == 1
    options = {"stride": stride[0] if one else stride, "padding": padding[0] if one else padding, "groups": groups}
    options["dilation"] = dilation[0] if one else dilation
    if transposed:
        out = [(n - 1) * s - 2 * p + r for n, s, p, r in zip(sizes, stride, padding, reach, strict=True)]
        extra = tuple(d.int(0, max(s, e) - 1) for s, e in zip(stride, dilation, strict=True))
        extra = tuple(max(e, 1 - o) if o < 1 else e for e, o in zip(extra, out, strict=True))
        if any(e >= max(s, k) for e, s, k in zip(extra, stride, dilation, strict=True)):
            return _conv(d, spatial, transposed)
        options["output_padding"] = extra[0] if one else extra
    elif d.chance(0.1) and max(stride) == 1:
        options["padding"] = "same"
    return (x, w, bias), options


CASES["F.conv1d"] = lambda d: _conv(d, 1)
CASES["F.conv2d"] = lambda d: _conv(d, 2)
CASES["F.conv_transpose1d"] = lambda d: _conv(d, 1, True)
CASES["F.conv_transpose2d"] = lambda d: _conv(d, 2, True)


def _pool(d, spatial, mean):
    kernel = tuple(d.one(1, 2, 3, 4) for _ in range(spatial))
    stride = tuple(d.one(1, 2, 3) for _ in range(spatial))
    padding = tuple(d.int(0, k // 2) for k in kernel)
    dilation = (1,) * spatial if mean else tuple(d.one(1, 1, 2) for _ in range(spatial))
    sizes = tuple(
        max(1, (k - 1) * e + 1 - 2 * p) + d.one(0, 1, 2, 5, 9) for k, e, p in zip(kernel, dilation, padding, strict=True)
    )
    x = d.x((*d.shape(1, 2, least=1, most=20), *sizes))
    options = {"stride": stride, "padding": padding, "ceil_mode": d.chance(0.3)}
    if mean:
        options["count_include_pad"] = d.chance(0.5)
        if spatial == 2 and d.chance(0.2):
            options["divisor_override"] = d.one(1, 3)
    else:
        options |= {"dilation": dilation, "return_indices": d.chance(0.3)}
    return (x, kernel), options


CASES["F.max_pool1d"] = lambda d: _pool(d, 1, False)
CASES["F.max_pool2d"] = lambda d: _pool(d, 2, False)
CASES["F.avg_pool1d"] = lambda d: _pool(d, 1, True)
CASES["F.avg_pool2d"] = lambda d: _pool(d, 2, True)


@case("F.adaptive_avg_pool2d", "F.adaptive_max_pool2d")
def _(d):
    return (d.x((*d.shape(1, 2, least=1, most=20), d.size(1), d.size(1))), (d.int(1, 5), d.int(1, 9))), {}


@case("F.adaptive_avg_pool1d", "F.adaptive_max_pool1d")
def _(d):
    return (d.x((*d.shape(1, 2, least=1, most=20), d.size(1))), d.int(1, 9)), {}


@case("F.unfold")
def _(d):
    kernel, padding = (d.int(1, 3), d.int(1, 3)), d.int(0, 1)
    return (d.x((d.one(1, 2), d.one(1, 3), d.one(5, 7), d.one(5, 8))), kernel), {
        "padding": padding,
        "stride": (d.int(1, 2), d.int(1, 3)),
        "dilation": d.int(1, 2),
    }


@case("F.fold")
def _(d):
    kernel, stride, size = (d.int(1, 3), d.int(1, 3)), (d.int(1, 2), d.int(1, 3)), (d.one(4, 6), d.one(5, 7))
    n = np.prod([(s - k) // t + 1 for s, k, t in zip(size, kernel, stride, strict=True)])
    return (d.x((d.one(1, 2), 2 * kernel[0] * kernel[1], int(n))), size, kernel), {"stride": stride}


@case("F.interpolate")
def _(d):
    mode = d.one("nearest", "bilinear", "linear")
    spatial = 1 if mode == "linear" else 2
    x = d.x((d.one(1, 2), d.one(1, 3), *(d.one(1, 2, 5, 8) for _ in range(spatial))))
    options = {"mode": mode}
    if d.chance(0.5):
        options["size"] = tuple(d.int(1, 9) for _ in range(spatial))
    else:
        options["scale_factor"] = d.one(2.0, 1.0, 3.0, 1.5)
    if mode != "nearest":
        options["align_corners"] = d.chance(0.5)
    return (x,), options


@case("F.pixel_shuffle")
def _(d):
    r = d.int(1, 3)
    return (d.x((*d.shape(0, 1, most=5), r * r * d.int(1, 2), d.size(1), d.size(1))), r), {}


@case("F.pixel_unshuffle")
def _(d):
    r = d.int(1, 3)
    return (d.x((*d.shape(0, 1, most=5), d.int(1, 3), r * d.int(1, 4), r * d.int(1, 4))), r), {}


# --- norms and attention


@case("F.layer_norm")
def _(d):
    x = d.x(d.shape(1, 4, least=2), kind="ordinary")
    shape = x.shape[-d.int(1, x.ndim) :]
    w, b = (d.x(shape, kind="ordinary"), d.x(shape, kind="ordinary")) if d.chance(0.6) else (None, None)
    return (x, shape, w, b if d.chance(0.7) else None), {"eps": d.one(1e-5, 1e-3)}


@case("F.rms_norm")
def _(d):
    x = d.x(d.shape(1, 4, least=1), kind="ordinary")
    shape = x.shape[-d.int(1, x.ndim) :]
    eps = d.one(1e-5, None) if x.dtype == np.float64 else 1e-5  # None depends on the dtype, and the truth is in float64
    return (x, shape, d.x(shape, kind="ordinary") if d.chance(0.6) else None), {"eps": eps}


@case("F.group_norm")
def _(d):
    groups = d.int(1, 3)
    C = groups * d.int(1, 3)
    x = d.x((d.one(1, 2, 3), C, *d.shape(0 if groups < C else 1, 2, least=2)), kind="ordinary")
    w, b = (d.x((C,), kind="ordinary"), d.x((C,), kind="ordinary")) if d.chance(0.6) else (None, None)
    return (x, groups, w, b), {}


@case("F.batch_norm")
def _(d):
    C, training = d.int(1, 4), d.chance(0.6)
    x = d.x((d.one(2, 3, 7), C, *d.shape(0, 2, least=1)), kind="ordinary")
    w, b = (d.x((C,), kind="ordinary"), d.x((C,), kind="ordinary")) if d.chance(0.6) else (None, None)
    stats = (
        (d.x((C,), kind="ordinary", layout=False), d.x((C,), low=0.1, layout=False))
        if not training or d.chance(0.4)
        else (None, None)
    )
    return (x, *stats, w, b, training), {}


@case("F.instance_norm")
def _(d):
    C = d.int(1, 4)
    x = d.x((d.one(1, 2, 3), C, *d.shape(1, 2, least=2)), kind="ordinary")
    w, b = (d.x((C,), kind="ordinary"), d.x((C,), kind="ordinary")) if d.chance(0.6) else (None, None)
    return (x, None, None, w, b), {}


@case("F.scaled_dot_product_attention")
def _(d):
    batch, L, S, E, V = d.shape(0, 2, least=1, most=12), d.size(1), d.size(1), d.size(1), d.size(1)
    q, k, v = (d.x((*batch, n, e), kind="ordinary") for n, e in ((L, E), (S, E), (S, V)))
    options = {"scale": d.one(None, 0.5)}
    kind = d.int(0, 3)
    if kind == 0:
        options["is_causal"] = True
    elif kind == 1:
        mask = d.bools((L, S), 0.7)
        mask[:, 0] = True
        options["attn_mask"] = mask
    elif kind == 2:
        options["attn_mask"] = d.x(d.broadcastable((*batch, L, S)) if batch else (L, S), kind="ordinary")
    return (q, k, v), options


@case("F.normalize")
def _(d):
    x = d.x(d.shape(1, least=2), kind=d.one("ordinary", "ties"))
    return (x,), {"p": d.one(2.0, 1.0, 3.0), "dim": d.dim(x.ndim)}


@case("F.cosine_similarity")
def _(d):
    shape = d.shape(1, 3, least=1)
    return (d.x(shape, kind="ordinary"), d.x(shape, kind="ordinary")), {"dim": d.dim(len(shape))}


@case("F.pairwise_distance")
def _(d):
    shape = d.shape(1, 3, least=1)
    return (d.x(shape, kind="ordinary"), d.x(shape, kind="ordinary")), {"p": d.one(2.0, 1.0, 3.0), "keepdim": d.chance(0.5)}


@case("F.embedding")
def _(d):
    V = d.size(1)
    return (d.ints(d.shape(0, 3), 0, V), d.x((V, d.size()))), {"padding_idx": d.one(None, 0, -1)}


@case("F.one_hot")
def _(d):
    n = d.int(1, 5)
    return (d.ints(d.shape(0, 3), 0, n), n + d.int(0, 2)), {}


# --- losses


@case("F.mse_loss", "F.l1_loss")
def _(d):
    shape = d.shape()
    return (d.x(shape), d.x(shape)), {"reduction": d.reduction()}


@case("F.smooth_l1_loss")
def _(d):
    shape = d.shape()
    return (d.x(shape), d.x(shape)), {"reduction": d.reduction(), "beta": d.one(1.0, 0.5, 0.0)}


@case("F.huber_loss")
def _(d):
    shape = d.shape()
    return (d.x(shape), d.x(shape)), {"reduction": d.reduction(), "delta": d.one(1.0, 0.5)}


@case("F.binary_cross_entropy")
def _(d):
    shape = d.shape()
    weight = d.x(shape, low=0.0, dtype=d.dtype) if d.chance(0.4) else None
    return (d.x(shape, low=0.0), d.x(shape, low=0.0), weight), {"reduction": d.reduction()}


@case("F.binary_cross_entropy_with_logits")
def _(d):
    shape = d.shape()
    options = {"reduction": d.reduction(), "weight": d.x(shape, low=0.0) if d.chance(0.3) else None}
    options["pos_weight"] = d.x(shape[-1:], low=0.5) if d.chance(0.3) and shape else None
    return (d.x(shape), d.x(shape, low=0.0)), options


def _classes(d):
    N, C, more = d.size(1), d.int(2, 7), d.shape(0, 2, least=1, most=20)
    if d.chance(0.1):
        return (C,), (), C
    return (N, C, *more), (N, *more), C


@case("F.cross_entropy")
def _(d):
    shape, places, C = _classes(d)
    options = {"reduction": d.reduction(), "label_smoothing": d.one(0.0, 0.0, 0.1, 0.5)}
    options["weight"] = d.x((C,), low=0.1) if d.chance(0.4) else None
    if d.chance(0.3):
        return (d.x(shape, kind="ordinary"), d.x(shape, low=0.0)), options
    if d.chance(0.3):
        options["ignore_index"] = 1
    return (d.x(shape), d.ints(places, 0, C)), options


@case("F.nll_loss")
def _(d):
    shape, places, C = _classes(d)
    weight = d.x((C,), low=0.1) if d.chance(0.4) else None
    return (d.x(shape), d.ints(places, 0, C), weight), {"reduction": d.reduction(), "ignore_index": d.one(-100, 1)}


@case("F.kl_div")
def _(d):
    shape = d.shape(1, least=1)
    log = d.chance(0.4)
    target = d.x(shape, kind="ordinary") if log else d.x(shape, low=0.0)
    return (d.x(shape, kind="ordinary"), target), {"reduction": d.one("mean", "sum", "none", "batchmean"), "log_target": log}


@case("F.gaussian_nll_loss")
def _(d):
    shape = d.shape(1, least=1)
    return (d.x(shape), d.x(shape), d.x(shape, low=0.1)), {"full": d.chance(0.5), "reduction": d.reduction()}


@case("F.ctc_loss")
def _(d):
    T, N, C, S = d.int(2, 6), d.int(1, 3), d.int(2, 4), d.int(1, 3)
    x = d.x((T, N, C), kind="ordinary")
    x = (x - np.log(np.exp(x.astype(float)).sum(-1, keepdims=True))).astype(x.dtype)
    lengths, sizes = tuple(d.int(1, T) for _ in range(N)), tuple(d.int(0, S) for _ in range(N))
    return (x, d.ints((N, S), 1, C), lengths, sizes), {"reduction": d.reduction(), "zero_infinity": d.chance(0.5)}


@case("F.threshold")
def _(d):
    return (d.x(d.shape()), d.one(0.0, 0.5, -1), d.one(0.0, 2.0)), {}


@case("F.prelu")
def _(d):
    x = d.x(d.shape())
    return (x, d.x((d.one(1, x.shape[1]) if x.ndim > 1 and x.shape[1] else 1,), kind="ordinary")), {}


@case("F.glu")
def _(d):
    shape = (*d.shape(0, 2), d.one(2, 4, 6))
    return (d.x(shape), -1), {}


# --- activations without a case above

for _name, _calls in ACTIVATIONS.items():
    if f"F.{_name}" not in CASES and len(_calls[0].args) == 1:
        CASES[f"F.{_name}"] = lambda d: ((d.x(d.shape()),), {})
