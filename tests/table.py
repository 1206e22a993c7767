"""The table of all operations: how to build each, what to feed it, and what it should answer, by plain Python.

A row has the class, a reference (arrays, then the options of the constructor) and cases. A case is the options and the shapes
of the inputs; where a number stands in place of a shape, the input is that Python number. The domain keeps the inputs away from
kinks, ties and borders. Every check in `checks.py` runs on every case of every row, so a new operation needs a row here, and a
wrong backward in `test_mutants.py`.
"""

import itertools
import math
import operator
import zlib

import numpy as np

from minidl import ops
from minidl.kernels import adaptive_windows, pool_windows
from minidl.kernels.attention_columns import kept, scrambled
from minidl.ops.base import Op
from minidl.ops.loss import Distance
from minidl.ops.recurrent import Recurrent
from minidl.ops.reduce import Reduction

ABSTRACT = {Reduction, Distance, Recurrent}  # what operations inherit from, but is none itself


FAR = (100.0, 1e4)


class Row:
    elementwise = False  # each element of the output is made of one of each input: no rounding error may be larger than it

    def __init__(
        self, op, reference, cases, domain=None, view=False, float32=True, several=False, far=FAR, absolute=False, why=""
    ):
        self.op, self.reference, self.domain = op, reference, domain or normal
        self.several = several  # outputs, which the reference gives in a row
        self.view = view  # forward may answer with a view of its input
        self.float32 = float32  # float32 in, float32 out
        self.far = far  # what the inputs are multiplied by, to compare float32 with float64 far from 0
        self.absolute = absolute  # and there a gradient may be wrong by the rounding of dy, and a value by that of 1
        self.why = why  # one of these two is not as usual
        self.cases = [Case(self, options, shapes) for options, *shapes in cases]


class Case:
    def __init__(self, row, options, shapes):
        self.row, self.options = row, options
        self.name = f"{row.op.__name__}-{'-'.join(_brief(x) for x in (*options, *shapes))}"
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        self.domains = row.domain if isinstance(row.domain, tuple) else (row.domain,) * len(shapes)
        self.inputs = tuple(
            np.asarray(domain(rng, shape)) if isinstance(shape, tuple) else shape
            for shape, domain in zip(shapes, self.domains, strict=False)
        )

    def far(self, factor):
        """The inputs, those multiplied whose domain has no bounds."""
        pairs = zip(self.inputs, self.domains, strict=False)
        return tuple(np.asarray(x * factor) if isinstance(x, np.ndarray) and d not in BOUNDED else x for x, d in pairs)

    def __repr__(self):
        return self.name


def _brief(x):
    if isinstance(x, np.ndarray):
        return f"{x.dtype.kind}{'x'.join(map(str, x.shape))}"
    return str(getattr(x, "__name__", x)).replace(" ", "").replace("None", "_")


def all_operations(base=Op):
    """Every subclass of Op that minidl defines among its operations."""
    for op in base.__subclasses__():
        if op.__module__.startswith("minidl.ops"):
            yield op
        yield from all_operations(op)


# --- domains: (rng, shape) -> array


def normal(rng, shape):
    return rng.normal(size=shape)


def off_zero(rng, shape):
    return rng.uniform(0.3, 2.2, shape) * rng.choice([-1.0, 1.0], shape)


def around_3(rng, shape):
    """On all sides of −3 and 3."""
    return rng.uniform(-0.7, 0.7, shape) + rng.choice([-4.0, -2.0, 0.0, 2.0, 4.0], shape)


def positive(rng, shape):
    return rng.uniform(0.3, 2.5, shape)


def above_one(rng, shape):
    return rng.uniform(1.3, 4.0, shape)


def inside_one(rng, shape):
    return rng.uniform(-0.9, 0.9, shape)


def distinct(rng, shape):
    n = math.prod(shape)
    return (rng.permutation(n).reshape(shape) - n / 2 + 0.3) * 0.17


def off_half(rng, shape):
    """Away from integers and from halves: where floor and round jump."""
    return rng.integers(-3, 3, shape) + rng.choice([0.3, 0.7], shape)


def regular(rng, shape):
    """Matrices far from singular ones, with determinants of both signs."""
    return (3 * np.eye(shape[-1]) + rng.uniform(-1, 1, shape)) * rng.choice([-1.0, 1.0], (*shape[:-1], 1))


def positive_definite(rng, shape):
    """Matrices near symmetric ones with eigenvalues above 0."""
    return 3 * np.eye(shape[-1]) + rng.uniform(-0.5, 0.5, shape)


def apart(rng, shape):
    """Matrices whose eigenvalues and singular values are apart."""
    return np.eye(*shape[-2:]) * 2.0 ** np.arange(1, shape[-1] + 1) + rng.uniform(-0.3, 0.3, shape)


def probabilities(rng, shape):
    t = rng.uniform(0.1, 1.0, shape)
    return t / t.sum(-1, keepdims=True)


def chances(rng, shape):
    return rng.uniform(0.1, 0.9, shape)


def exponents(rng, shape):
    return positive(rng, shape)  # of float32's range, a hundred times as large ones would leave nothing


BOUNDED = {inside_one, probabilities, chances, exponents}  # domains that end, or on which the function has no other numbers


# --- references


def each(function):
    """A function of numbers, for every element, with broadcasting."""
    return np.vectorize(function, otypes=[float])


def each_of_one(function):
    """A function of a number and of the options, for every element."""
    return lambda x, *options: np.vectorize(lambda v: function(v, *options), otypes=[float])(x)


def over_axes(function):
    """A function of a list of numbers (and of options), for what lies along the axes."""

    def reference(x, axes, keepdim, *options):
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        y = np.empty([x.shape[axis] for axis in kept])
        for place in np.ndindex(y.shape):
            where = [slice(None)] * x.ndim
            for axis, i in zip(kept, place, strict=True):
                where[axis] = i
            y[place] = function(x[tuple(where)].ravel().tolist(), *options)
        return y.reshape([1 if axis in axes else n for axis, n in enumerate(x.shape)]) if keepdim else y

    return reference


def along(function):
    """A function of a list of numbers that gives as many, for every line along an axis."""

    def reference(x, axis):
        y = np.empty(np.atleast_1d(x).shape)
        lines, answers = np.moveaxis(np.atleast_1d(x), axis, -1), np.moveaxis(y, axis, -1)
        for place in np.ndindex(lines.shape[:-1]):
            answers[place] = function(lines[place].tolist())
        return y.reshape(x.shape)

    return reference


def moved(shape, source):
    """y[i] = x[source(i)], for functions shape(x, *options) and source(i, x, *options)."""

    def reference(x, *options):
        y = np.empty(shape(x, *options))
        for i in np.ndindex(y.shape):
            j = source(i, x, *options)
            y[i] = 0.0 if j is None else x[j]
        return y

    return reference


def at(place, axis, i):
    return (*place[:axis], int(i), *place[axis + 1 :])


def same_shape(x, *options):
    return x.shape


def gelu(v, approximate):
    if approximate == "tanh":
        return 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
    return 0.5 * v * (1 + math.erf(v / math.sqrt(2)))


def softplus(v, beta, threshold):
    return v if beta * v > threshold else math.log(1 + math.exp(beta * v)) / beta


def mean(values):
    return sum(values) / len(values)


def variance(values, correction):
    mu = mean(values)
    return sum((v - mu) ** 2 for v in values) / (len(values) - correction)


def deviation(values, correction):
    return math.sqrt(variance(values, correction))


def norm(values, p):
    if abs(p) == math.inf:
        return max(abs(v) for v in values) if p > 0 else min(abs(v) for v in values)
    if p == 0:
        return sum(v != 0 for v in values)
    return sum(abs(v) ** p for v in values) ** (1 / p)


def logsumexp(values):
    return math.log(sum(math.exp(v) for v in values))


def softmax(values):
    return [math.exp(v) / sum(math.exp(u) for u in values) for v in values]


def log_softmax(values):
    return [v - logsumexp(values) for v in values]


def matmul(a, b):
    matrix_a, matrix_b = a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(matrix_a.shape[:-2], matrix_b.shape[:-2])
    matrix_a = np.broadcast_to(matrix_a, batch + matrix_a.shape[-2:])
    matrix_b = np.broadcast_to(matrix_b, batch + matrix_b.shape[-2:])
    y = np.zeros((*batch, matrix_a.shape[-2], matrix_b.shape[-1]))
    for *n, i, j in np.ndindex(y.shape):
        for k in range(matrix_a.shape[-1]):
            y[(*n, i, j)] += matrix_a[(*n, i, k)] * matrix_b[(*n, k, j)]
    y = y[..., 0] if b.ndim == 1 else y
    return (y[..., 0] if b.ndim == 1 else y[..., 0, :]) if a.ndim == 1 else y


def linear(x, w, b=None):
    y = np.zeros((*x.shape[:-1], len(w)))
    for *n, o in np.ndindex(y.shape):
        y[(*n, o)] = sum(x[(*n, i)] * w[o, i] for i in range(w.shape[1])) + (0.0 if b is None else b[o])
    return y


def einsum(*args):
    *xs, terms, right = args
    sizes = {letter: n for term, x in zip(terms, xs, strict=True) for letter, n in zip(term, x.shape, strict=True)}
    y = np.zeros([sizes[letter] for letter in right])
    for place in itertools.product(*(range(n) for n in sizes.values())):
        at = dict(zip(sizes, place, strict=True))
        product = math.prod(x[tuple(at[letter] for letter in term)] for term, x in zip(terms, xs, strict=True))
        y[tuple(at[letter] for letter in right)] += product
    return y


def digamma(x):
    """ψ(x) = ψ(x + K) − Σ 1/(x + k) over k < K, and far out ψ is a logarithm."""
    m = x + 999.5
    return math.log(m) + 1 / (24 * m * m) - math.fsum(1 / (x + k) for k in range(1000))


def polygamma(x, n):
    """(−1)ⁿ⁺¹ n! Σ (x + k)⁻ⁿ⁻¹, the end of the sum as an integral."""
    s, m = n + 1, x + 999.5
    rest = m ** (1 - s) / (s - 1) - s * m ** (-s - 1) / 24
    return (-1) ** s * math.factorial(n) * (math.fsum((x + k) ** -s for k in range(1000)) + rest)


def erfinv(x):
    """Halfway between two numbers whose erf is below and above x, again and again."""
    low, high = -6.0, 6.0
    for _ in range(100):
        y = (low + high) / 2
        low, high = (y, high) if math.erf(y) < x else (low, y)
    return y


def gamma_inc(a, x):
    """xᵃ e⁻ˣ/Γ(a) Σ xᵏ/(a (a + 1) … (a + k)), a sum that ends for every x."""
    terms = itertools.accumulate(range(1, 80), lambda term, k: term * x / (a + k), initial=1 / a)
    return math.exp(a * math.log(x) - x) / math.gamma(a) * math.fsum(terms)


def of_matrices(function):
    """A function of matrices as lists of rows, for what lies in the last two axes, the leading ones broadcast."""

    def reference(*arrays):
        lead = np.broadcast_shapes(*(x.shape[:-2] for x in arrays))
        arrays = [np.broadcast_to(x, lead + x.shape[-2:]) for x in arrays]
        y = np.empty(arrays[-1].shape)
        for place in np.ndindex(lead):
            y[place] = function(*(x[place].tolist() for x in arrays))
        return y

    return reference


def cholesky(x):
    """Row by row: what is known of L leaves one equation for each next element."""
    n = len(x)
    y = [[0.0] * n for _ in x]
    for i in range(n):
        for j in range(i + 1):
            rest = (x[i][j] + x[j][i]) / 2 - sum(y[i][k] * y[j][k] for k in range(j))
            y[i][j] = math.sqrt(rest) if i == j else rest / y[j][j]
    return y


def solve_triangular(a, b):
    """Row by row: what is known of y leaves one unknown in each next equation."""
    y = []
    for i, row in enumerate(b):
        y.append([(v - sum(a[i][k] * y[k][j] for k in range(i))) / a[i][i] for j, v in enumerate(row)])
    return y


def eigen(x):
    """Jacobi's rotations, each of which makes two elements of a symmetric matrix 0: (eigenvalues, columns of vectors)."""
    a, v = (np.array(x) + np.array(x).T) / 2, np.eye(len(x))
    for _ in range(30):
        for i, j in itertools.combinations(range(len(a)), 2):
            t = math.atan2(2 * a[i, j], a[j, j] - a[i, i]) / 2
            turn = np.eye(len(a))
            turn[i, i] = turn[j, j] = math.cos(t)
            turn[i, j], turn[j, i] = math.sin(t), -math.sin(t)
            a, v = turn.T @ a @ turn, v @ turn
    order = sorted(range(len(a)), key=lambda i: a[i, i])
    return np.array([a[i, i] for i in order]), v[:, order]


def as_lapack(columns, others):
    """The columns with the signs that LAPACK gives them, which are arbitrary."""
    return columns * np.sign((columns * others).sum(0))


def in_a_row(function):
    """A function of one matrix that gives several arrays, for a stack of matrices, all results in a row."""

    def reference(x, *options):
        found = [function(m, *options) for m in x.reshape(-1, *x.shape[-2:])]
        return np.array([v for parts in zip(*found, strict=True) for part in parts for v in np.ravel(part)])

    return reference


def eigh(x):
    w, v = eigen(x.tolist())
    return w, as_lapack(v, np.linalg.eigh((x + x.T) / 2)[1])


def svd(x):
    """From the eigenvectors of xᵀx, or of xxᵀ where that is the smaller matrix."""
    if len(x) < len(x[0]):
        v, s, ut = svd(x.T)
        u = as_lapack(ut.T, np.linalg.svd(x, full_matrices=False)[0])
        return u, s, (x.T @ u / s).T
    w, v = eigen((x.T @ x).tolist())
    s, v = np.sqrt(w[::-1]), v[:, ::-1]
    u = as_lapack(x @ v / s, np.linalg.svd(x, full_matrices=False)[0])
    return u, s, (x.T @ u / s).T


def qr(x):
    """Gram and Schmidt's: from each column what the earlier ones have of it is taken away."""
    q = []
    for column in x.T:
        rest = column - sum(((column @ v) * v for v in q), 0 * column)
        q.append(rest / math.sqrt(rest @ rest))
    q = as_lapack(np.array(q).T, np.linalg.qr(x)[0])
    return q, q.T @ x * np.tri(len(q[0])).T


def solved(a, b):
    """Gauss's elimination, without exchanging rows."""
    rows = [list(r) + list(s) for r, s in zip(a, b, strict=True)]
    n = len(rows)
    for i in range(n):
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [v - rows[k][i] * w for v, w in zip(rows[k], rows[i], strict=True)]
    return [row[n:] for row in rows]


def determinant(x):
    """By the rule of Leibniz: a product of elements for each permutation, with its sign."""
    k = x.shape[-1]
    orders = list(itertools.permutations(range(k)))
    signs = [math.prod(-1 for i, j in itertools.combinations(order, 2) if i > j) for order in orders]
    return sum(s * math.prod(x[..., i, j] for i, j in enumerate(o)) for s, o in zip(signs, orders, strict=True))


def scatter_add(x, index, shape):
    y = np.zeros(shape)
    for i in np.ndindex(x.shape):
        y[tuple(int(part[i]) for part in index)] += x[i]
    return y


def scattered(function):
    """y at each place of the index: the function of what meets there, x among it if it counts."""

    def reference(x, v, index, *options):
        counts, met = options[-1], {}
        for i in np.ndindex(v.shape):
            met.setdefault(tuple(int(part[i]) for part in index), []).append(v[i])
        y = x.copy()
        for place, values in met.items():
            y[place] = function(values + [x[place]] * counts, *options[:-1])
        return y

    return reference


def strided(x, where):
    sizes, strides, offset = where
    y = np.empty(sizes)
    for i in np.ndindex(y.shape):
        y[i] = x.ravel()[offset + sum(k * s for k, s in zip(i, strides, strict=True))]
    return y


def stretches(x, where):
    axis, size, step = where
    lines = np.moveaxis(x, axis, -1)
    found = [lines[..., i : i + size] for i in range(0, lines.shape[-1] - size + 1, step)]
    return np.moveaxis(np.array(found), 0, axis)


def log_det(x):
    return np.log(np.abs(determinant(x)))


def inverse(x):
    """By Cramer's rule, the determinants by Leibniz's."""
    y = np.empty(x.shape)

    def det(m):
        return 1.0 if not len(m) else sum((-1) ** j * m[0][j] * det([r[:j] + r[j + 1 :] for r in m[1:]]) for j in range(len(m)))

    for *lead, i, j in np.ndindex(x.shape):
        m = x[tuple(lead)].tolist()
        minor = [r[:i] + r[i + 1 :] for n, r in enumerate(m) if n != j]
        y[(*lead, i, j)] = (-1) ** (i + j) * det(minor) / det(m)
    return y


def pseudo_inverse(x, atol, rtol):
    """Of matrices of full rank, from the normal equations of the shorter side."""
    xt = np.swapaxes(x, -1, -2)
    return inverse(xt @ x) @ xt if x.shape[-2] >= x.shape[-1] else xt @ inverse(x @ xt)


def windows(size, kernel, stride, padding, dilation):
    """(i, k, p): output i sees, through tap k of the kernel, place p of an axis; taps beyond the edges are left out."""
    before, after = padding
    count = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    places = [(i, k, i * stride + k * dilation - before) for i in range(count) for k in range(kernel)]
    return count, [(i, k, p) for i, k, p in places if 0 <= p < size]


def meetings(size, kernel, stride, padding, dilation):
    """Of an image: the number of outputs along both axes, and ((i, j), (k, l), (p, q)) for all that meet."""
    (oh, rows), (ow, columns) = (windows(size[a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    return (oh, ow), [(*zip(row, column, strict=True),) for row in rows for column in columns]


def conv2d(x, w, *rest):
    b, (stride, padding, dilation, groups) = rest[0] if len(rest) == 5 else np.zeros(len(w)), rest[-4:]
    padding = padding[:2], padding[2:]
    out, met = meetings(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = np.zeros((len(x), len(w), *out)) + b[:, None, None]
    for n, o in np.ndindex(y.shape[:2]):
        for c in range(w.shape[1]):
            channel = o // (len(w) // groups) * w.shape[1] + c
            for ij, kl, pq in met:
                y[(n, o, *ij)] += w[(o, c, *kl)] * x[(n, channel, *pq)]
    return y


def conv_transpose2d(x, w, *rest):
    size, stride, padding, dilation, groups = rest[-5:]
    padding = padding[:2], padding[2:]
    out, met = meetings(size, w.shape[2:], stride, padding, dilation)
    assert out == x.shape[2:]
    y = np.zeros((len(x), w.shape[1] * groups, *size)) + (rest[0][:, None, None] if len(rest) == 6 else 0)
    for n, c in np.ndindex(x.shape[:2]):
        for o in range(w.shape[1]):
            channel = c // (len(w) // groups) * w.shape[1] + o
            for ij, kl, pq in met:
                y[(n, channel, *pq)] += w[(c, o, *kl)] * x[(n, c, *ij)]
    return y


def conv2d_weight(x, dy, kernel, stride, padding, dilation, groups):
    out, met = meetings(x.shape[2:], kernel, stride, (padding[:2], padding[2:]), dilation)
    assert out == dy.shape[2:]
    w = np.zeros((dy.shape[1], x.shape[1] // groups, *kernel))
    for n, o, c in np.ndindex(len(x), *w.shape[:2]):
        channel = o // (len(w) // groups) * w.shape[1] + c
        for ij, kl, pq in met:
            w[(o, c, *kl)] += dy[(n, o, *ij)] * x[(n, channel, *pq)]
    return w


def unfold(x, kernel, dilation, padding, stride):
    out, met = meetings(x.shape[2:], kernel, stride, [(p, p) for p in padding], dilation)
    y = np.zeros((*x.shape[:2], *kernel, *out))
    for ij, kl, pq in met:
        y[(..., *kl, *ij)] = x[(..., *pq)]
    return y.reshape(len(x), x.shape[1] * math.prod(kernel), math.prod(out))


def fold(x, size, kernel, dilation, padding, stride):
    out, met = meetings(size, kernel, stride, [(p, p) for p in padding], dilation)
    y = np.zeros((len(x), x.shape[1] // math.prod(kernel), *size))
    x = x.reshape(*y.shape[:2], *kernel, *out)
    for ij, kl, pq in met:
        y[(..., *pq)] += x[(..., *kl, *ij)]
    return y


def padded(source):
    """y[i] = x[source(place, n)] on each padded axis, for the place counted from the first element of x."""

    def shape(x, widths):
        lead = x.ndim - len(widths)
        return [n + (sum(widths[k - lead]) if k >= lead else 0) for k, n in enumerate(x.shape)]

    def place(i, x, widths):
        lead = x.ndim - len(widths)
        found = [k if a < lead else source(k - widths[a - lead][0], x.shape[a]) for a, k in enumerate(i)]
        return None if None in found else tuple(found)

    return moved(shape, place)


def constantly_padded(x, widths, value):
    outside = padded(lambda p, n: p if 0 <= p < n else None)
    return np.where(outside(np.ones(x.shape), widths) == 0, value, outside(x, widths))


def continued(x, mode, widths):
    sources = {
        "reflect": lambda p, n: abs(p) if p < n else 2 * n - 2 - p,
        "replicate": lambda p, n: min(max(p, 0), n - 1),
        "circular": lambda p, n: p + n if p < 0 else p - n if p >= n else p,
    }
    return padded(sources[mode])(x, widths)


def interpolated(x, axis, low, high=None, t=None):
    lines = np.moveaxis(x, axis, 0)
    if high is None:
        return np.moveaxis(np.array([lines[i] for i in low]), 0, axis)
    return np.moveaxis(np.array([(1 - r) * lines[i] + r * lines[j] for i, j, r in zip(low, high, t, strict=True)]), 0, axis)


def cross_entropy(x, labels, weight, ignore_index, smoothing):
    y = np.zeros(len(x))
    for n, row in enumerate(x.tolist()):
        if labels[n] != ignore_index:
            logp, w = log_softmax(row), np.ones(len(row)) if weight is None else weight
            spread = sum(w[k] * logp[k] for k in range(len(row))) / len(row)
            y[n] = -(1 - smoothing) * w[labels[n]] * logp[labels[n]] - smoothing * spread
    return y


def cross_entropy_total(x, labels, weight, ignore_index, smoothing, mean):
    total = cross_entropy(x, labels, weight, ignore_index, smoothing).sum()
    counted = [k for k in labels if k != ignore_index]
    return total / sum(1.0 if weight is None else weight[k] for k in counted) if mean else total


def cross_entropy_soft(x, t, weight, smoothing):
    y, classes = np.zeros(len(x)), x.shape[1]
    for n, row in enumerate(x.tolist()):
        logp = log_softmax(row)
        for k in range(classes):
            w = 1.0 if weight is None else weight[k]
            y[n] -= w * ((1 - smoothing) * t[n, k] + smoothing / classes) * logp[k]
    return y


def standardized(values, eps, stats=None):
    mu, var = (mean(values), variance(values, 0)) if stats is None else stats
    return [(v - mu) / math.sqrt(var + eps) for v in values]


def along_channels(v, x):
    return v.reshape(-1, *[1] * (x.ndim - 2))


def batch_norm(x, w, b, eps, stats=None):
    y = np.empty(x.shape)
    for c in range(x.shape[1] if x.size else 0):
        y[:, c].flat = standardized(x[:, c].ravel().tolist(), eps, None if stats is None else stats[:, c])
    return y * (1 if w is None else along_channels(w, x)) + (0 if b is None else along_channels(b, x))


def layer_norm(x, w, b, axes, eps):
    y = [v for row in x.reshape(-1, math.prod(x.shape[-axes:])).tolist() for v in standardized(row, eps)]
    return np.reshape(y, x.shape) * (1 if w is None else w) + (0 if b is None else b)


def rms_norm(x, w, b, axes, eps):
    rows = x.reshape(-1, math.prod(x.shape[-axes:])).tolist()
    y = [v / math.sqrt(mean([u * u for u in row]) + eps) for row in rows for v in row]
    return np.reshape(y, x.shape) * (1 if w is None else w) + (0 if b is None else b)


def group_norm(x, w, b, groups, eps):
    rows = x.reshape(x.shape[0] * groups, -1).tolist() if x.size else []
    y = np.reshape([v for row in rows for v in standardized(row, eps)], x.shape)
    return y * (1 if w is None else along_channels(w, x)) + (0 if b is None else along_channels(b, x))


def attention(q, k, v, *rest):
    *mask, scale, causal, allowed, drop, seed = rest
    batch, L, S = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2]), q.shape[-2], k.shape[-2]
    q, k, v = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (q, k, v))
    added = np.broadcast_to(mask[0] if mask else 0.0, (*batch, L, S))
    allowed = np.broadcast_to(True if allowed is None else allowed, (*batch, L, S))
    y = np.zeros((*batch, L, v.shape[-1]))
    for item, place in enumerate(np.ndindex(batch)):
        keeps = kept(np.arange(L * S), int(scrambled(seed, item)), int(drop * 2**32)).reshape(L, S)
        for i in range(L):
            seen = [j for j in range(S) if allowed[place][i, j] and not (causal and j > i)]
            scores = [scale * sum((q[place][i] * k[place][j]).tolist()) + added[place][i, j] for j in seen]
            for j, p in zip(seen, softmax(scores) if seen else [], strict=True):
                y[place][i] += p * keeps[i, j] / (1 - drop) * v[place][j]
    return y


def recurrent(step, count=1):
    """All steps of all sequences, one after the other: step(x, states, of_x, of_h, options) gives the new states.

    of_x(x) and of_h(h) are W_ih x + b_ih and W_hh h + b_hh, or of given rows of them.
    """

    def reference(x, *rest):
        states, rest = rest[:count], list(rest[count:])
        arrays = [a for a in rest if isinstance(a, np.ndarray)]
        sizes, reverse, *options = rest[len(arrays) :]
        w_ih, w_hh, b_ih, b_hh = arrays if len(arrays) == 4 else [*arrays, *(np.zeros(len(arrays[0])) for _ in range(2))]
        N = states[0].shape[0]
        if sizes is None:
            sizes, shape = (N,) * len(x), x.shape[:2]
        else:
            shape = x.shape[:1]
        rows = [(t, n) for t, size in enumerate(sizes) for n in range(size)]  # of x, in this order
        inputs = dict(zip(rows, x.reshape(len(rows), x.shape[-1]), strict=True))
        y, lasts = {}, [s.copy() for s in states]
        for n in range(N):
            steps = [t for t, size in enumerate(sizes) if n < size]
            for t in reversed(steps) if reverse else steps:

                def affine(w, b, chosen, v):
                    return np.array([sum((w[i] * v).tolist()) + b[i] for i in chosen])

                new = step(
                    inputs[t, n],
                    [s[n].copy() for s in lasts],
                    lambda chosen, v: affine(w_ih, b_ih, chosen, v),
                    lambda chosen, v: affine(w_hh, b_hh, chosen, v),
                    *options,
                )
                for s, value in zip(lasts, new, strict=True):
                    s[n] = value
                y[t, n] = new[0]
        y = np.array([y[row] for row in rows]).reshape(*shape, w_hh.shape[1]) if rows else np.zeros((*shape, w_hh.shape[1]))
        return np.concatenate([y.ravel(), *(s.ravel() for s in lasts)])

    return reference


def logistic(a):
    return 1 / (1 + np.exp(-a))


def rnn_step(x, states, of_x, of_h, relu=False):
    (h,) = states
    a = of_x(range(len(h)), x) + of_h(range(len(h)), h)
    return [np.maximum(a, 0) if relu else np.tanh(a)]


def lstm_step(x, states, of_x, of_h):
    h, c = states
    H = len(h)
    i, f, g, o = (of_x(range(k * H, k * H + H), x) + of_h(range(k * H, k * H + H), h) for k in range(4))
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    return [logistic(o) * np.tanh(c), c]


def gru_step(x, states, of_x, of_h, reset_after=True):
    (h,) = states
    H = len(h)
    r, z = (logistic(of_x(range(k * H, k * H + H), x) + of_h(range(k * H, k * H + H), h)) for k in range(2))
    last = range(2 * H, 3 * H)
    n = np.tanh(of_x(last, x) + (r * of_h(last, h) if reset_after else of_h(last, r * h)))
    return [(1 - z) * n + z * h]


def ctc(x, targets, lengths, sizes, blank, zero_infinity):
    """By trying every alignment."""
    losses = []
    for n in range(x.shape[1]):
        wanted, total = targets[n, : sizes[n]].tolist(), 0.0
        for path in itertools.product(range(x.shape[2]), repeat=int(lengths[n])):
            merged = [c for c, _ in itertools.groupby(path) if c != blank]
            if merged == wanted:
                total += math.exp(sum(x[t, n, c] for t, c in enumerate(path)))
        losses.append(-math.log(total) if total else 0.0 if zero_infinity else math.inf)
    return np.array(losses)


def reduced(loss):
    """The loss of each pair of numbers, summed or averaged as asked."""

    def reference(x, t, reduction, *options):
        y = [loss(a - b, *options) for a, b in zip(x.ravel().tolist(), t.ravel().tolist(), strict=True)]
        return np.array(y).reshape(x.shape) if reduction == "none" else sum(y) / (len(y) if reduction == "mean" else 1)

    return reference


def huber(d, delta, scale):
    return scale * (0.5 * d * d if abs(d) <= delta else delta * (abs(d) - 0.5 * delta))


def nll_total(x, labels, weight, ignore_index, mean):
    counted = [(n, k, 1.0 if weight is None else weight[k]) for n, k in enumerate(labels) if k != ignore_index]
    total = -sum(w * x[n, k] for n, k, w in counted)
    return total / sum(w for _, _, w in counted) if mean else np.asarray(total, float)


def nll(x, labels, weights):
    return np.array([-weights[n] * x[n, k] if weights[n] else 0.0 for n, k in enumerate(labels)])


def kl_divergence(x, t, log_target):
    if log_target:
        return each(lambda x, t: math.exp(t) * (t - x))(x, t)
    return each(lambda x, t: t * (math.log(t) - x) if t else 0.0)(x, t)


def relative_entropy(p, q, log):
    if log:
        return relative_entropy(np.exp(p), np.exp(q), False)
    return each(lambda p, q: p * math.log(p / q) - p + q)(p, q)


def entropy(x, axis):
    return over_axes(lambda values: -sum(p * math.log(p) for p in softmax(values)))(x, (axis,), False)


def set_item(x, v, index):
    y = x.copy()
    y[index] = v
    return y


def patched(x, v, view):
    y = x.copy()
    if isinstance(view, ops.Index):
        y[view.index] = v
    elif isinstance(view, ops.Permute):
        for i in np.ndindex(v.shape):
            y[tuple(i[view.axes.index(k)] for k in range(x.ndim))] = v[i]
    else:
        y = np.array(v.ravel().tolist()).reshape(x.shape)
    return y


def repeat_interleave(x, repeats, axis):
    lines = np.moveaxis(x, axis, 0)
    counts = [int(np.ravel(repeats)[0])] * len(lines) if np.size(repeats) == 1 else repeats
    kept = [line for line, n in zip(lines, counts, strict=True) for _ in range(n)]
    return np.moveaxis(np.array(kept).reshape(len(kept), *lines.shape[1:]), 0, axis)


def cat(*args):
    *xs, axis = args
    return np.moveaxis(np.array([line.tolist() for x in xs for line in np.moveaxis(x, axis, 0)]), 0, axis)


def stack(*args):
    *xs, axis = args
    return np.moveaxis(np.array([x.tolist() for x in xs]).reshape(len(xs), *xs[0].shape), 0, axis)


def diagonal(x, where):
    offset, axis1, axis2 = where
    lines = np.moveaxis(x, (axis1, axis2), (-2, -1))
    places = [(i, i + offset) for i in range(lines.shape[-2]) if 0 <= i + offset < lines.shape[-1]]
    y = np.empty((*lines.shape[:-2], len(places)))
    for k, (i, j) in enumerate(places):
        y[..., k] = lines[..., i, j]
    return y


def pick(x, index, axis, keepdim):
    y = moved(lambda x: index.shape, lambda i, x: at(i, axis, index[i]))(x)
    return y if keepdim else y.reshape([n for k, n in enumerate(index.shape) if k != axis])


# --- the shapes that many rows share

SHAPES = [(), (5,), (3, 4), (2, 1, 3), (0,), (2, 0, 3)]
ELEMENTWISE = [((), shape) for shape in SHAPES]
PAIRS = [
    ((), (), ()),
    ((), (3, 4), (3, 4)),
    ((), (3, 4), (4,)),
    ((), (), (2, 3)),
    ((), (3, 1), (1, 4)),
    ((), (2, 1, 4), (3, 4)),
    ((), (0, 4), (1, 4)),
    ((), (2, 3), 2.5),
    ((), 1.5, (2, 3)),
]
REDUCED = [
    (((), False), ()),
    (((0,), False), (5,)),
    (((0,), False), (3, 3)),
    (((0, 1), False), (3, 4)),
    (((1,), False), (3, 4)),
    (((1,), True), (2, 3, 4)),
    (((0, 2), False), (2, 3, 4)),
    (((0, 2), True), (2, 3, 4)),
    (((1,), False), (0, 3)),
]
OVER_NOTHING = [(((0,), False), (0, 3)), (((0, 1), True), (2, 0))]  # sums that have no terms
AXES = [((0,), ()), ((0,), (5,)), ((1,), (3, 4)), ((0,), (3, 4)), ((1,), (2, 3, 4)), ((1,), (0, 3))]
EXTREMES = [((1, False), (3, 4)), ((1, True), (3, 4)), ((0, False), (5,)), ((1, True), (2, 3, 4)), ((1, False), (0, 4))]
MASK = np.array([[True, False, True, True], [False, True, False, True], [True, True, False, False]])


def with_options(cases, *options):
    return [((*first, *options), *shapes) for first, *shapes in cases]


def elementwise(*options):
    return with_options(ELEMENTWISE, *options)


def labels(*values):
    return np.array(values, np.int64)


def taps_of(axis, o):
    """What window o of an axis covers, and what of it is on the axis or its padding, from the definition."""
    if axis.stride:
        taps = [o * axis.stride - axis.padding + k * axis.dilation for k in range(axis.kernel)]
    else:
        taps = list(range(o * axis.size // axis.out, math.ceil((o + 1) * axis.size / axis.out)))
    return [i for i in taps if 0 <= i < axis.size], len([i for i in taps if i < axis.size + axis.padding])


def pooled(function):
    """function(list of a window's numbers, number of its elements with padding, *options), for every window."""

    def reference(x, axes, *options):
        y = np.empty(x.shape[: -len(axes)] + tuple(axis.out for axis in axes))
        for place in np.ndindex(y.shape):
            lead, windows = place[: -len(axes)], place[-len(axes) :]
            taps, areas = zip(*[taps_of(axis, o) for axis, o in zip(axes, windows, strict=True)], strict=True)
            y[place] = function([x[lead + i] for i in itertools.product(*taps)], math.prod(areas), *options)
        return y

    return reference


def mean_of_window(values, area, count_include_pad=True, divisor=None):
    return sum(values) / (divisor or (area if count_include_pad else len(values)))


def unpooled(x, index, sizes):
    lead = x.shape[: -len(sizes)]
    y = np.zeros((math.prod(lead), math.prod(sizes)))
    n = x[(0,) * len(lead)].size if x.size else 0
    for p, k in np.ndindex(len(y), n):
        y[p, index.reshape(len(y), n)[p, k]] = x.reshape(len(y), n)[p, k]
    return y.reshape(*lead, *sizes)


# --- the table

MADE_OF_Y = "dx is made of y, as in PyTorch: where y rounds to 1 it is 0, which may be wrong by 1e-7 of dy"
DIFFERENCE = "dx is a difference of terms as large as dy, and rounds as they do"
ARITHMETIC = [
    Row(ops.Add, each(lambda a, b: a + b), PAIRS),
    Row(ops.Sub, each(lambda a, b: a - b), PAIRS),
    Row(ops.Mul, each(lambda a, b: a * b), PAIRS),
    Row(ops.Div, each(lambda a, b: a / b), PAIRS, domain=off_zero),
    Row(ops.Pow, each(lambda a, b: a**b), PAIRS, domain=(positive, exponents)),
    Row(ops.Fmod, each(math.fmod), PAIRS, domain=off_zero),
    Row(ops.Atan2, each(math.atan2), PAIRS, domain=off_zero),
    Row(ops.LogAddExp, each(lambda a, b: math.log(math.exp(a) + math.exp(b))), PAIRS),
    Row(ops.Remainder, each(lambda a, b: a - b * math.floor(a / b)), PAIRS, domain=off_zero),
    Row(ops.Maximum, each(max), PAIRS, domain=normal),
    Row(ops.Minimum, each(min), PAIRS, domain=normal),
    Row(ops.XLogY, each(lambda a, b: a * math.log(b)), PAIRS, domain=positive),
    Row(
        ops.Where,
        lambda a, b, condition: each(lambda c, x, y: x if c else y)(condition, a, b),
        [
            ((MASK,), (3, 4), (3, 4)),
            ((MASK,), (4,), (3, 1)),
            ((MASK,), (), ()),
            ((MASK[0],), (3, 4), (1, 4)),
            ((np.array(True),), (), ()),
            ((np.zeros((0, 4), bool),), (0, 4), (4,)),
        ],
    ),
    Row(ops.Neg, each(lambda x: -x), ELEMENTWISE),
    Row(ops.Clone, each(lambda x: x), ELEMENTWISE),
    Row(ops.Cast, each_of_one(lambda x, dtype: x), elementwise(np.float64), float32=False),
]

OF_EACH_ELEMENT = [
    Row(ops.Exp, each(math.exp), ELEMENTWISE),
    Row(ops.Exp2, each(lambda x: 2.0**x), ELEMENTWISE),
    Row(ops.Expm1, each(math.expm1), ELEMENTWISE),
    Row(ops.Log, each(math.log), ELEMENTWISE, domain=positive),
    Row(ops.Log2, each(math.log2), ELEMENTWISE, domain=positive),
    Row(ops.Log10, each(math.log10), ELEMENTWISE, domain=positive),
    Row(ops.Log1p, each(math.log1p), ELEMENTWISE, domain=inside_one),
    Row(ops.Sqrt, each(math.sqrt), ELEMENTWISE, domain=positive),
    Row(ops.Rsqrt, each(lambda x: 1 / math.sqrt(x)), ELEMENTWISE, domain=positive),
    Row(ops.Square, each(lambda x: x**2), ELEMENTWISE),
    Row(ops.Reciprocal, each(lambda x: 1 / x), ELEMENTWISE, domain=off_zero),
    Row(ops.Abs, each(abs), ELEMENTWISE, domain=off_zero),
    Row(
        ops.Clamp,
        each_of_one(lambda x, low, high: min(max(x, -9 if low is None else low), 9 if high is None else high)),
        elementwise(-0.5, 0.7) + elementwise(None, 0.4)[:3] + elementwise(-0.1, None)[:3],
    ),
    Row(
        ops.PiecewiseConstant,
        each_of_one(lambda x, f: {np.sign: lambda x: math.copysign(1, x), np.floor: math.floor, np.round: round}[f](x)),
        elementwise(np.sign) + elementwise(np.floor) + elementwise(np.round),
        domain=off_half,
    ),
    Row(ops.Sin, each(math.sin), ELEMENTWISE),
    Row(ops.Cos, each(math.cos), ELEMENTWISE),
    Row(ops.Tan, each(math.tan), ELEMENTWISE, domain=inside_one),
    Row(ops.Asin, each(math.asin), ELEMENTWISE, domain=inside_one),
    Row(ops.Acos, each(math.acos), ELEMENTWISE, domain=inside_one),
    Row(ops.Atan, each(math.atan), ELEMENTWISE),
    Row(ops.Sinh, each(math.sinh), ELEMENTWISE),
    Row(ops.Cosh, each(math.cosh), ELEMENTWISE),
    Row(ops.Asinh, each(math.asinh), ELEMENTWISE),
    Row(ops.Acosh, each(math.acosh), ELEMENTWISE, domain=above_one),
    Row(ops.Atanh, each(math.atanh), ELEMENTWISE, domain=inside_one),
    Row(ops.Tanh, each(math.tanh), ELEMENTWISE, absolute=True, why=MADE_OF_Y),
    Row(ops.Erf, each(math.erf), ELEMENTWISE),
    Row(ops.Erfc, each(math.erfc), ELEMENTWISE),
    Row(ops.Erfinv, each(erfinv), ELEMENTWISE, domain=inside_one),
    Row(ops.Lgamma, each(math.lgamma), ELEMENTWISE, domain=positive),
    Row(ops.Digamma, each(digamma), ELEMENTWISE, domain=positive),
    Row(
        ops.Polygamma,
        each_of_one(polygamma),
        elementwise(1) + elementwise(2)[:3] + elementwise(4)[:2],
        domain=positive,
    ),
    Row(ops.GammaInc, each(gamma_inc), PAIRS, domain=positive),
    Row(ops.Sigmoid, each(lambda x: 1 / (1 + math.exp(-x))), ELEMENTWISE, absolute=True, why=MADE_OF_Y),
    Row(ops.LogSigmoid, each(lambda x: -math.log(1 + math.exp(-x))), ELEMENTWISE),
    Row(ops.ReLU, each(lambda x: max(x, 0.0)), ELEMENTWISE, domain=off_zero),
    Row(
        ops.LeakyReLU,
        each_of_one(lambda x, slope: x if x > 0 else slope * x),
        elementwise(0.01) + elementwise(0.3)[:3],
        domain=off_zero,
    ),
    Row(
        ops.ELU,
        each_of_one(lambda x, alpha: x if x > 0 else alpha * (math.exp(x) - 1)),
        elementwise(1.0) + elementwise(0.4)[:3],
        domain=off_zero,
    ),
    Row(
        ops.Hardtanh,
        each_of_one(lambda x, low, high: min(max(x, low), high)),
        elementwise(-1.0, 1.0) + elementwise(0.0, 0.7)[:3],
        domain=off_zero,
    ),
    Row(ops.Hardswish, each(lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0)), ELEMENTWISE, domain=around_3),
    Row(ops.Softsign, each(lambda x: x / (1 + abs(x))), ELEMENTWISE, domain=off_zero),
    Row(ops.GELU, each_of_one(gelu), elementwise("none") + elementwise("tanh")),
    Row(ops.SiLU, each(lambda x: x / (1 + math.exp(-x))), ELEMENTWISE),
    Row(ops.Softplus, each_of_one(softplus), elementwise(1.0, 20.0) + elementwise(2.0, 1.0)),
    Row(
        ops.Dropout,
        lambda x, mask: np.array([v * m for v, m in zip(x.ravel(), mask.ravel(), strict=True)]).reshape(x.shape),
        [
            ((np.array([0.0, 1.25, 1.25, 0.0]),), (4,)),
            ((MASK * 2.0,), (3, 4)),
            ((np.array(2.0),), ()),
            ((np.zeros((0, 2)),), (0, 2)),
        ],
    ),
]

for row in [*ARITHMETIC, *OF_EACH_ELEMENT]:
    row.elementwise = True

REDUCTIONS = [
    Row(ops.Sum, over_axes(sum), REDUCED + OVER_NOTHING),
    Row(ops.Mean, over_axes(mean), REDUCED),
    Row(ops.Prod, over_axes(math.prod), REDUCED + OVER_NOTHING, domain=off_zero),
    Row(ops.Var, over_axes(variance), with_options(REDUCED, 0) + with_options(REDUCED[1:], 1)),
    Row(ops.Std, over_axes(deviation), with_options(REDUCED[1:], 0) + with_options(REDUCED[1:], 1)),
    Row(ops.Amax, over_axes(max), REDUCED, domain=distinct),
    Row(ops.Amin, over_axes(min), REDUCED, domain=distinct),
    Row(ops.Median, over_axes(lambda values: sorted(values)[(len(values) - 1) // 2]), REDUCED, domain=distinct),
    Row(ops.LogSumExp, over_axes(logsumexp), REDUCED),
    Row(
        ops.Norm,
        over_axes(norm),
        [case for p in (2, 1, 3, 1.5, math.inf, 0, -1, -2.5, -math.inf) for case in with_options(REDUCED, p)],
        domain=lambda rng, shape: distinct(rng, shape) + 0.05,
    ),
    Row(
        ops.TakeAlongAxis,
        pick,
        [
            ((labels([1], [3], [0]), 1, False), (3, 4)),
            ((labels([1], [3], [0]), 1, True), (3, 4)),
            ((labels([2, 0, 1, 1]), 0, False), (3, 4)),
            ((labels(4), 0, False), (5,)),
            ((np.zeros((0, 1), np.int64), 1, False), (0, 4)),
        ],
    ),
    Row(ops.MaxAlongAxis, lambda x, axis, keepdim: x.max(axis, keepdims=keepdim), EXTREMES, domain=distinct),
    Row(ops.MinAlongAxis, lambda x, axis, keepdim: x.min(axis, keepdims=keepdim), EXTREMES, domain=distinct),
    Row(ops.CumSum, along(lambda values: list(itertools.accumulate(values))), AXES),
    Row(ops.CumProd, along(lambda values: list(itertools.accumulate(values, operator.mul))), AXES[1:], domain=off_zero),
    Row(ops.LogCumSumExp, along(lambda values: [logsumexp(values[: i + 1]) for i in range(len(values))]), AXES[1:]),
    Row(ops.Softmax, along(softmax), AXES, absolute=True, why=DIFFERENCE),
    Row(ops.LogSoftmax, along(log_softmax), AXES),
]

PRODUCTS = [
    Row(
        ops.MatMul,
        matmul,
        [
            ((), (3, 4), (4, 2)),
            ((), (3, 3), (3, 3)),
            ((), (4,), (4,)),
            ((), (3, 4), (4,)),
            ((), (4,), (4, 2)),
            ((), (2, 3, 4), (4, 2)),
            ((), (3, 4), (2, 4, 1)),
            ((), (2, 1, 3, 4), (5, 4, 2)),
            ((), (4,), (2, 4, 3)),
            ((), (2, 3, 4), (4,)),
            ((), (1, 1), (1, 1)),
            ((), (0, 4), (4, 2)),
            ((), (3, 0), (0, 2)),
            ((), (0, 3, 4), (4, 2)),
        ],
    ),
    Row(
        ops.Linear,
        linear,
        [
            ((), (3, 4), (2, 4)),
            ((), (3, 3), (3, 3), (3,)),
            ((), (3, 4), (2, 4), (2,)),
            ((), (4,), (2, 4), (2,)),
            ((), (2, 3, 4), (5, 4), (5,)),
            ((), (1, 1), (1, 1), (1,)),
            ((), (0, 4), (2, 4), (2,)),
            ((), (3, 0), (2, 0), (2,)),
        ],
    ),
    Row(
        ops.Einsum,
        einsum,
        [
            ((("ij", "jk"), "ik"), (3, 4), (4, 2)),
            ((("ij",), "ji"), (3, 4)),
            ((("ij",), "i"), (3, 4)),
            ((("i", "j"), "ij"), (3,), (4,)),
            ((("bij", "bjk"), "bik"), (2, 3, 4), (2, 4, 2)),
            ((("ij", "jk", "kl"), "il"), (2, 3), (3, 4), (4, 2)),
            ((("ij", "ij"), ""), (3, 4), (3, 4)),
            ((("ij", "k"), "j"), (3, 4), (2,)),
            ((("", "i"), "i"), (), (3,)),
            ((("ij", "jk"), "ik"), (0, 4), (4, 2)),
        ],
    ),
    Row(
        ops.Cholesky,
        of_matrices(cholesky),
        [((), (2, 3, 3)), ((), (2, 1, 2, 2)), ((), (1, 1)), ((), (0, 2, 2))],
        domain=positive_definite,
    ),
    Row(
        ops.SolveTriangular,
        of_matrices(solve_triangular),
        [((), (2, 3, 3), (2, 3, 2)), ((), (3, 3), (2, 3, 1)), ((), (2, 1, 2, 2), (3, 2, 2)), ((), (0, 2, 2), (0, 2, 1))],
        domain=(regular, normal),
    ),
    Row(
        ops.Inverse,
        inverse,
        [((), (2, 3, 3)), ((), (2, 1, 2, 2)), ((), (1, 1)), ((), (0, 2, 2))],
        domain=regular,
    ),
    Row(
        ops.PseudoInverse,
        pseudo_inverse,
        [
            ((0.0, 1e-6), (2, 3, 3)),
            ((0.0, 1e-6), (2, 4, 2)),
            ((0.0, 1e-6), (2, 3)),
            ((1e-6, 0.0), (1, 1)),
            ((0.0, 1e-6), (0, 2, 2)),
        ],
        domain=apart,
    ),
    Row(
        ops.Det,
        determinant,
        [((), (2, 3, 3)), ((), (2, 1, 2, 2)), ((), (1, 1)), ((), (0, 2, 2))],
        domain=regular,
    ),
    Row(
        ops.Solve,
        of_matrices(solved),
        [((), (2, 3, 3), (2, 3, 2)), ((), (2, 3, 3), (3, 1)), ((), (2, 1, 2, 2), (3, 2, 2)), ((), (0, 2, 2), (0, 2, 1))],
        domain=(regular, normal),
    ),
    Row(
        ops.Eigh,
        in_a_row(eigh),
        [((), (2, 3, 3)), ((), (2, 1, 2, 2)), ((), (1, 1)), ((), (0, 2, 2))],
        domain=apart,
        several=True,
    ),
    Row(
        ops.SVD,
        in_a_row(svd),
        [((), (2, 3, 3)), ((), (2, 4, 2)), ((), (2, 2, 3)), ((), (1, 1)), ((), (0, 2, 2))],
        domain=apart,
        several=True,
    ),
    Row(
        ops.QR,
        in_a_row(qr),
        [((), (2, 3, 3)), ((), (2, 4, 2)), ((), (2, 1, 2, 2)), ((), (1, 1)), ((), (0, 2, 2))],
        domain=apart,
        several=True,
    ),
    Row(
        ops.LogDet,
        log_det,
        [((), (2, 3, 3)), ((), (2, 1, 2, 2)), ((), (1, 1)), ((), (0, 2, 2))],
        domain=regular,
    ),
]

STATS = np.array([[0.3, -0.2, 0.1], [0.5, 1.5, 2.0]])
NORMALIZATIONS = [
    Row(
        ops.BatchNorm,
        batch_norm,
        [
            ((1e-5,), (4, 3), (3,), (3,)),
            ((0.1,), (5, 2), None, None),
            ((1e-5,), (4, 3), (3,), None),
            ((1e-5,), (4, 3), None, (3,)),
            ((0.1,), (3, 2, 5), (2,), (2,)),
            ((0.1,), (2, 3, 2, 3), (3,), (3,)),
            ((0.1,), (2, 2, 8, 17), (2,), (2,)),
            ((0.1, STATS), (4, 3), (3,), (3,)),
            ((0.1, STATS), (2, 3, 130), (3,), (3,)),
            ((1e-5, STATS), (1, 3), None, None),
            ((1e-5,), (0, 3), (3,), (3,)),
            ((1e-5, STATS), (0, 3, 2), (3,), (3,)),
        ],
    ),
    Row(
        ops.LayerNorm,
        layer_norm,
        [
            ((1, 1e-5), (3, 4), (4,), (4,)),
            ((1, 0.1), (2, 3, 5), None, None),
            ((1, 1e-5), (3, 4), (4,), None),
            ((1, 1e-5), (3, 4), None, (4,)),
            ((2, 0.1), (2, 3, 4), (3, 4), (3, 4)),
            ((1, 0.1), (4,), (4,), (4,)),
            ((1, 0.1), (70, 3), (3,), (3,)),
            ((1, 1e-5), (0, 4), (4,), (4,)),
        ],
    ),
    Row(
        ops.RMSNorm,
        rms_norm,
        [
            ((1, 1e-5), (3, 4), (4,), None),
            ((1, 0.1), (2, 3, 5), None, None),
            ((2, 0.1), (2, 3, 4), (3, 4), None),
            ((1, 1e-5), (0, 4), (4,), None),
        ],
    ),
    Row(
        ops.GroupNorm,
        group_norm,
        [
            ((2, 1e-5), (3, 6), (6,), (6,)),
            ((2, 0.1), (2, 4, 3), None, None),
            ((1, 1e-5), (2, 3, 2, 2), (3,), None),
            ((3, 0.1), (2, 3, 4), None, (3,)),
            ((2, 0.1), (2, 4, 2, 3), (4,), (4,)),
            ((2, 1e-5), (0, 4, 2), (4,), (4,)),
        ],
    ),
]

X34, LABELS = (3, 4), labels(1, 3, 0)
WEIGHT = np.array([0.5, 2.0, 1.0, 0.25])
LOSSES = [
    Row(
        ops.CrossEntropy,
        cross_entropy,
        [
            ((LABELS, None, -100, 0.0), X34),
            ((LABELS, WEIGHT, -100, 0.0), X34),
            ((LABELS, None, 3, 0.0), X34),
            ((LABELS, None, -100, 0.1), X34),
            ((LABELS, WEIGHT, 1, 0.2), X34),
            ((labels(0), None, -100, 0.0), (1, 1)),
            ((labels(), None, -100, 0.0), (0, 4)),
        ],
    ),
    Row(
        ops.CrossEntropyTotal,
        cross_entropy_total,
        [
            ((LABELS, None, -100, 0.0, True), X34),
            ((LABELS, WEIGHT, 1, 0.2, True), X34),
            ((LABELS, WEIGHT, 1, 0.2, False), X34),
            ((labels(), None, -100, 0.0, False), (0, 4)),
        ],
    ),
    Row(
        ops.CrossEntropySoft,
        cross_entropy_soft,
        [
            ((None, 0.0), X34, X34),
            ((None, 0.1), X34, X34),
            ((WEIGHT, 0.0), X34, X34),
            ((WEIGHT, 0.3), X34, X34),
            ((None, 0.0), (0, 4), (0, 4)),
        ],
        domain=(normal, probabilities),
    ),
]

ALLOWED = np.array([[True, False, True, True], [False] * 4, [True, True, False, False]])
ATTENTION = [
    Row(
        ops.ScaledDotProductAttention,
        attention,
        [
            ((0.7, False, None, 0.0, 0), (3, 2), (4, 2), (4, 3)),
            ((0.7, True, None, 0.0, 0), (2, 1, 4, 2), (1, 3, 3, 2), (3, 3, 1)),
            ((-0.5, False, ALLOWED, 0.0, 0), (2, 3, 3), (2, 4, 3), (2, 4, 2)),
            ((0.5, False, ALLOWED[:1], 0.3, 5), (2, 3, 3), (2, 4, 3), (2, 4, 2)),
            ((0.5, False, None, 0.0, 0), (2, 3, 3), (2, 4, 3), (2, 4, 2), (3, 4)),
            ((0.5, False, None, 0.4, 9), (2, 2, 3, 3), (2, 2, 4, 3), (2, 2, 4, 2), (2, 1, 1, 4)),
            ((0.5, False, None, 0.0, 0), (1, 3), (1, 3), (1, 2)),
            ((0.5, False, None, 0.0, 0), (2, 0), (3, 0), (3, 2)),
            ((0.5, False, None, 0.0, 0), (0, 3), (3, 3), (3, 2)),
            ((0.5, False, None, 0.0, 0), (2, 3), (0, 3), (0, 2)),
            ((0.5, True, None, 0.0, 0), (0, 2, 3), (0, 4, 3), (0, 4, 2)),
        ],
        far=(),
        why="one key has all the weight, and what is left of the gradients of q and k is the rounding of dy·v, times q and k",
    ),
]


def sequences(gates, states, *options):
    """Cases of a recurrent layer: x, first states, weights and biases; of one length, packed, from the end, without biases."""
    cases = []
    kinds = [
        (None, False, (4, 3, 2), 3),
        (None, True, (3, 2, 3), 2),
        ((3, 2, 2, 1), False, (8, 2), 3),
        ((2, 2, 1), True, (5, 3), 2),
    ]
    kinds += [(None, False, (1, 1, 2), 1), (None, False, (2, 0, 3), 2)]
    for i, (sizes, reverse, x, H) in enumerate(kinds):
        N = x[1] if sizes is None else sizes[0]
        biases = [] if i == 1 else [(gates * H,)] * 2
        firsts = [(N, H)] * states
        cases.append(((sizes, reverse, *options), x, *firsts, (gates * H, x[-1]), (gates * H, H), *biases))
    return cases


SEQUENCES = [
    Row(ops.RNN, recurrent(rnn_step), [*sequences(1, 1, False), *sequences(1, 1, True)], several=True),
    Row(ops.LSTM, recurrent(lstm_step, 2), sequences(4, 2), several=True, absolute=True, why=MADE_OF_Y),
    Row(
        ops.GRU,
        recurrent(gru_step),
        [*sequences(3, 1, True), *sequences(3, 1, False)],
        several=True,
        absolute=True,
        why=MADE_OF_Y,
    ),
]

LOSSES += [
    Row(
        ops.CTC,
        ctc,
        [
            ((np.array([[1, 2], [2, 2], [1, 0]]), np.array([4, 3, 2]), np.array([2, 2, 1]), 0, False), (4, 3, 3)),
            ((np.array([[0, 1], [0, 0]]), np.array([3, 2]), np.array([2, 0]), 2, False), (3, 2, 3)),
            ((np.array([[1, 1], [1, 2]]), np.array([2, 2]), np.array([2, 2]), 0, True), (2, 2, 3)),
            ((np.zeros((0, 2), int), np.zeros(0, int), np.zeros(0, int), 0, False), (4, 0, 3)),
        ],
    ),
]

DISTANCES = [((reduction,), shape, shape) for reduction in ("none", "sum", "mean") for shape in ((3, 4), (5,), ())]
DISTANCES += [(("none",), (0, 3), (0, 3)), (("sum",), (0,), (0,))]
ELEMENT_PAIRS = [((), shape, shape) for shape in SHAPES]
LOSSES += [
    Row(ops.SquaredError, reduced(lambda d: d * d), DISTANCES),
    Row(ops.AbsoluteError, reduced(abs), DISTANCES),
    Row(ops.Huber, reduced(huber), with_options(DISTANCES, 0.8, 1.0) + with_options(DISTANCES[:3], 1.5, 0.5)),
    Row(
        ops.NegativeLogLikelihood,
        nll,
        [
            ((LABELS, np.array([1.0, 2.0, 0.5])), X34),
            ((labels(1, -100, 0), np.array([1.0, 0.0, 0.5])), X34),
            ((labels(), np.zeros(0)), (0, 4)),
        ],
    ),
    Row(
        ops.NegativeLogLikelihoodTotal,
        nll_total,
        [
            ((LABELS, None, -100, True), X34),
            ((LABELS, WEIGHT, 1, True), X34),
            ((LABELS, WEIGHT, 1, False), X34),
            ((labels(), None, -100, False), (0, 4)),
        ],
    ),
    Row(
        ops.BinaryCrossEntropy,
        each(lambda x, t: -t * math.log(x) - (1 - t) * math.log(1 - x)),
        ELEMENT_PAIRS,
        domain=chances,
    ),
    Row(
        ops.BinaryCrossEntropyWithLogits,
        each(lambda x, t: -t * math.log(1 / (1 + math.exp(-x))) - (1 - t) * math.log(1 / (1 + math.exp(x)))),
        ELEMENT_PAIRS,
        domain=(normal, inside_one),
    ),
    Row(ops.KLDivergence, kl_divergence, with_options(ELEMENT_PAIRS, False), domain=(normal, positive)),
    Row(
        ops.RelativeEntropy,
        relative_entropy,
        with_options(ELEMENT_PAIRS, False),
        domain=positive,
        far=(),
        why="of logarithms e^p has as few digits in float32 as a large p has behind the point; it is used in float64",
    ),
    Row(ops.EntropyFromLogits, entropy, AXES[1:], absolute=True, why=DIFFERENCE),
]
LOSSES[-2].cases += Row(ops.RelativeEntropy, relative_entropy, with_options(ELEMENT_PAIRS, True), far=()).cases
LOSSES[-3].cases += Row(ops.KLDivergence, kl_divergence, with_options(ELEMENT_PAIRS, True)).cases

ARRANGEMENTS = [
    Row(
        ops.Reshape,
        lambda x, shape: np.array(x.ravel().tolist()).reshape(shape),
        [(((4, 3),), (3, 4)), (((1,),), ()), (((),), (1, 1)), (((2, 3, 2),), (12,)), (((3, 0),), (0, 2))],
        view=True,
    ),
    Row(
        ops.Permute,
        moved(
            lambda x, axes: [x.shape[a] for a in axes],
            lambda i, x, axes: tuple(i[axes.index(k)] for k in range(x.ndim)),
        ),
        [
            (((2, 0, 1),), (3, 3, 3)),
            (((1, 0),), (3, 4)),
            (((2, 0, 1),), (2, 3, 4)),
            (((0,),), (3,)),
            (((),), ()),
            (((1, 0),), (0, 3)),
        ],
        view=True,
    ),
    Row(
        ops.Expand,
        moved(
            lambda x, shape: shape,
            lambda i, x, shape: tuple(0 if n == 1 else k for n, k in zip(x.shape, i[len(i) - x.ndim :], strict=True)),
        ),
        [(((3, 4),), (3, 1)), (((2, 3, 4),), (4,)), (((2, 3),), ()), (((0, 4),), (0, 1)), (((3, 4),), (3, 4))],
        view=True,
    ),
    Row(
        ops.Repeat,
        moved(
            lambda x, repeats: [n * r for n, r in zip((1,) * (len(repeats) - x.ndim) + x.shape, repeats, strict=True)],
            lambda i, x, repeats: tuple(k % n for k, n in zip(i[len(i) - x.ndim :], x.shape, strict=True)),
        ),
        [
            (((2, 3),), (3, 4)),
            (((2, 1, 3),), (2, 2)),
            (((3,),), ()),
            (((1,),), (4,)),
            (((2, 2),), (0, 3)),
            (((0, 2),), (2, 3)),
        ],
    ),
    Row(
        ops.RepeatInterleave,
        repeat_interleave,
        [
            ((2, 0), (3,)),
            ((3, 1), (2, 3, 2)),
            ((labels(2, 0, 1), 1), (2, 3)),
            ((labels(2), 0), (2, 3)),
            ((2, 0), (0, 3)),
        ],
    ),
    Row(
        ops.Flip,
        moved(same_shape, lambda i, x, axes: tuple(x.shape[k] - 1 - n if k in axes else n for k, n in enumerate(i))),
        [(((0,),), (5,)), (((1,),), (3, 4)), (((0, 2),), (2, 3, 4)), (((),), ()), (((0,),), (0, 3))],
    ),
    Row(
        ops.Roll,
        moved(
            same_shape,
            lambda i, x, shifts, axes: tuple(
                (n - shifts[axes.index(k)]) % x.shape[k] if k in axes else n for k, n in enumerate(i)
            ),
        ),
        [(((2,), (0,)), (5,)), (((1, -1), (0, 1)), (3, 4)), (((7,), (1,)), (2, 3)), (((1,), (0,)), (0, 3))],
    ),
    Row(
        ops.Index,
        lambda x, index: np.array(x[index].tolist()).reshape(x[index].shape),
        [
            (((slice(1, 3), Ellipsis),), (4, 3)),
            (((slice(None, None, -2), None, 1, Ellipsis),), (5, 3)),
            (((1, 2, Ellipsis),), (2, 3)),
            (((labels(2, 0, 2, 2),),), (3, 2)),
            (((labels(0, 1, 0), labels(1, 1, 1)),), (2, 3)),
            (((slice(None), labels(-1, 0)),), (3, 4)),
            (((MASK,),), (3, 4)),
            (((MASK[0] & False,),), (4, 2)),
            (((slice(0, 0), Ellipsis),), (3, 2)),
            (((None, Ellipsis),), ()),
            (((labels(),),), (0, 2)),
        ],
        view=True,
    ),
    Row(
        ops.SetItem,
        set_item,
        [
            (((slice(1, 3),),), (4, 3), (2, 3)),
            (((slice(1, 3),),), (4, 3), (3,)),
            (((0,),), (4, 3), ()),
            (((labels(2, 0),),), (3, 2), (2, 2)),
            (((labels(1, 1, 0),),), (2, 3), (3, 3)),  # the last of equal indices wins
            (((labels(1, 1, 1),),), (2, 3), (1, 3)),
            (((MASK,),), (3, 4), (7,)),
            (((MASK,),), (3, 4), ()),
            (((slice(1, 3),),), (4, 3), (1, 2, 3)),
            (((slice(0, 0),),), (4, 3), (0, 3)),
            (((Ellipsis,),), (), ()),
        ],
    ),
    Row(
        ops.ReplaceView,
        patched,
        [
            ((ops.Index((slice(1, 3), Ellipsis)),), (4, 3), (2, 3)),
            ((ops.Index((0, slice(None, None, -1), Ellipsis)),), (2, 3), (3,)),
            ((ops.Permute((1, 0)),), (2, 3), (3, 2)),
            ((ops.Reshape((6,)),), (2, 3), (6,)),
            ((ops.Index((slice(0, 0), Ellipsis)),), (4, 3), (0, 3)),
        ],
    ),
    Row(
        ops.Embedding,
        lambda w, index: np.array([w[i] for i in index.ravel()]).reshape(*index.shape, w.shape[1]),
        [
            ((labels(2, 0, 2, 2),), (3, 2)),
            ((labels([1, 0, 1], [1, 1, 1]),), (2, 3)),
            ((np.zeros((0, 2), np.int64),), (3, 2)),
            ((labels(2, 0),), (3, 0)),
        ],
    ),
    Row(
        ops.Gather,
        moved(lambda x, axis, index: index.shape, lambda i, x, axis, index: at(i, axis, index[i])),
        [
            ((0, labels([2, 0, 1, 1], [2, 2, 0, 0])), (3, 4)),
            ((1, labels([0, 0, 3], [1, 2, 1])), (3, 4)),
            ((0, labels(1, 1, 1, 0)), (2,)),
            ((1, np.zeros((0, 2), np.int64)), (0, 3)),
            ((2, labels([[1, 0]], [[1, 1]])), (2, 3, 2)),
        ],
    ),
    Row(
        ops.Cat,
        cat,
        [
            ((0,), (2, 3), (1, 3), (3, 3)),
            ((1,), (2, 3), (2, 1)),
            ((0,), (3,), (0,), (2,)),
            ((0,), (4,)),
            ((2,), (2, 2, 1), (2, 2, 3)),
        ],
    ),
    Row(
        ops.Stack,
        stack,
        [((0,), (3,), (3,)), ((1,), (2, 3), (2, 3), (2, 3)), ((2,), (2, 3), (2, 3)), ((0,), (), ()), ((1,), (0, 2), (0, 2))],
    ),
    Row(
        ops.ScatterAdd,
        scatter_add,
        [
            (((labels(2, 0, 2, 1),), (4,)), (4,)),
            (((labels([0, 1], [1, 0]), labels([2, 2], [2, 0])), (2, 3)), (2, 2)),
            (((np.zeros((0,), np.int64),), (3,)), (0,)),
        ],
    ),
    Row(
        ops.ScatterExtreme,
        scattered(lambda values, largest: max(values) if largest else min(values)),
        [(((labels(2, 0, 2, 2),), largest, counts), (4,), (4,)) for largest in (True, False) for counts in (True, False)]
        + [(((labels([0, 1], [1, 0]), labels([2, 2], [2, 0])), True, True), (2, 3), (2, 2))]
        + [(((np.zeros(0, np.int64),), True, True), (0,), (0,))],
        domain=(distinct, lambda rng, shape: distinct(rng, shape) + 0.05),
    ),
    Row(
        ops.ScatterProd,
        scattered(math.prod),
        [
            (((labels(2, 0, 2, 2),), True), (4,), (4,)),
            (((labels(2, 0, 2, 2),), False), (4,), (4,)),
            (((labels([0, 1], [1, 0]), labels([2, 2], [2, 0])), True), (2, 3), (2, 2)),
            (((np.zeros(0, np.int64),), True), (0,), (0,)),
        ],
        domain=off_zero,
    ),
    Row(
        ops.AsStrided,
        strided,
        [
            ((((3,), (4,), 0),), (3, 3)),
            ((((2, 3), (1, 2), 1),), (7,)),
            ((((2, 2), (0, 1), 2),), (2, 2)),
            ((((), (), 1),), (3,)),
            ((((0, 2), (2, 1), 0),), (0, 2)),
        ],
        view=True,
    ),
    Row(
        ops.Windows,
        stretches,
        [
            (((0, 3, 1),), (5,)),
            (((1, 2, 3),), (2, 7)),
            (((0, 2, 1),), (3, 2)),
            (((2, 1, 1),), (2, 1, 3)),
            (((1, 2, 1),), (0, 3)),
        ],
        view=True,
    ),
    Row(
        ops.Unbind,
        lambda x, axis: np.array([v for i in range(x.shape[axis]) for at, v in np.ndenumerate(x) if at[axis] == i]),
        [((0,), (3, 2)), ((1,), (2, 3)), ((2,), (2, 2, 3, 2)), ((0,), (4,)), ((1,), (0, 2))],
        several=True,
    ),
    Row(
        ops.Diagonal,
        diagonal,
        [
            (((0, 0, 1),), (3, 4)),
            (((1, 0, 1),), (3, 4)),
            (((-2, 0, 1),), (3, 4)),
            (((0, 2, 0),), (2, 3, 4)),
            (((9, 0, 1),), (3, 4)),
            (((0, 0, 1),), (0, 3)),
        ],
        view=True,
    ),
    Row(
        ops.Triangle,
        moved(same_shape, lambda i, x, lower, k: i if (i[-1] - i[-2] <= k if lower else i[-1] - i[-2] >= k) else None),
        [
            ((True, 0), (3, 4)),
            ((False, 0), (3, 4)),
            ((True, 1), (4, 3)),
            ((False, -1), (2, 3, 3)),
            ((True, 0), (0, 3)),
        ],
    ),
    Row(
        ops.TopK,
        lambda x, k, axis, largest: (np.flip(np.sort(x, axis), axis) if largest else np.sort(x, axis))[..., :k],
        [
            ((2, 0, True), (3,)),
            ((3, 1, True), (2, 4)),
            ((3, 1, False), (2, 4)),
            ((2, 2, True), (2, 3, 4)),
            ((0, 1, True), (2, 3)),
            ((2, 1, True), (0, 3)),
        ],
        domain=distinct,
    ),
    Row(
        ops.Sort,
        moved(lambda x, index, axis: index.shape, lambda i, x, index, axis: at(i, axis, index[i])),
        [
            ((labels(2, 0, 1), 0), (3,)),
            ((labels([3, 1, 0, 2], [0, 1, 2, 3]), 1), (2, 4)),
            ((labels([3, 1], [0, 2]), 1), (2, 4)),
            ((labels([1, 0, 1], [0, 1, 0]), 0), (2, 3)),
            ((np.zeros((0, 3), np.int64), 1), (0, 3)),
        ],
    ),
]

ONE, NONE = (1, 1), (0, 0, 0, 0)
THIRDS = np.array([0.0, 0.25, 2 / 3, 1 / 3, 0.5])
IMAGES = [
    Row(
        ops.Conv2d,
        conv2d,
        [
            ((ONE, NONE, ONE, 1), (2, 1, 3, 4), (3, 1, 2, 3)),
            ((ONE, NONE, ONE, 1), (2, 2, 3, 3), (2, 2, 2, 2), (2,)),
            ((ONE, NONE, ONE, 1), (1, 3, 2, 3), (2, 3, 1, 1), (2,)),
            (((2, 1), (1, 1, 1, 1), ONE, 1), (1, 2, 4, 3), (2, 2, 3, 3)),
            (((2, 3), NONE, ONE, 1), (1, 1, 4, 6), (2, 1, 3, 2), (2,)),  # the last rows and columns are not read
            ((ONE, (0, 1, 2, 0), ONE, 1), (1, 1, 2, 3), (2, 1, 2, 3)),
            ((ONE, (2, 2, 1, 1), (2, 1), 1), (1, 1, 3, 3), (1, 1, 3, 2), (1,)),
            ((ONE, (1, 1, 1, 1), ONE, 2), (1, 4, 3, 2), (4, 2, 3, 3), (4,)),
            (((1, 2), NONE, ONE, 3), (2, 3, 3, 4), (6, 1, 2, 2)),
            ((ONE, (0, 0, 1, 1), (1, 2), 1), (2, 2, 1, 5), (3, 2, 1, 3), (3,)),
            ((ONE, (1, 1, 1, 1), ONE, 1), (0, 2, 3, 3), (2, 2, 3, 3), (2,)),
        ],
    ),
    Row(
        ops.Conv2dWeight,
        conv2d_weight,
        [
            (((2, 3), ONE, NONE, ONE, 1), (2, 1, 3, 4), (2, 3, 2, 2)),
            (((3, 3), (2, 1), (1, 1, 1, 1), ONE, 1), (1, 2, 4, 3), (1, 2, 2, 3)),
            (((3, 2), (2, 3), NONE, ONE, 1), (1, 1, 4, 6), (1, 2, 1, 2)),
            (((3, 2), ONE, (2, 2, 1, 1), (2, 1), 1), (1, 1, 3, 3), (1, 1, 3, 4)),
            (((3, 3), ONE, (1, 1, 1, 1), ONE, 2), (1, 4, 3, 2), (1, 4, 3, 2)),
            (((2, 2), ONE, NONE, ONE, 1), (0, 2, 3, 3), (0, 2, 2, 2)),
        ],
    ),
    Row(
        ops.ConvTranspose2d,
        conv_transpose2d,
        [
            (((4, 5), ONE, NONE, ONE, 1), (1, 2, 3, 3), (2, 3, 2, 3)),
            (((3, 3), ONE, (1, 1, 1, 1), ONE, 1), (2, 2, 3, 3), (2, 2, 3, 3), (2,)),
            (((5, 8), (2, 3), NONE, ONE, 1), (1, 1, 2, 3), (1, 2, 3, 2), (2,)),
            (((6, 4), (2, 2), (1, 1, 0, 0), ONE, 1), (1, 1, 3, 2), (1, 1, 3, 2), (1,)),
            (((5, 3), ONE, NONE, (2, 1), 1), (1, 1, 1, 2), (1, 2, 3, 2)),
            (((3, 4), ONE, NONE, ONE, 2), (1, 4, 2, 2), (4, 3, 2, 3), (6,)),
            (((3, 3), ONE, NONE, ONE, 1), (0, 2, 2, 2), (2, 1, 2, 2), (1,)),
        ],
    ),
    Row(
        ops.Unfold,
        unfold,
        [
            (((2, 3), ONE, (0, 0), ONE), (2, 2, 3, 4)),
            (((3, 2), (1, 2), (2, 1), (2, 1)), (1, 2, 3, 3)),
            (((2, 2), ONE, (0, 0), (2, 2)), (1, 1, 5, 3)),
            (((2, 2), ONE, (1, 1), ONE), (0, 1, 2, 2)),
        ],
    ),
    Row(
        ops.Fold,
        fold,
        [
            (((3, 4), (2, 3), ONE, (0, 0), ONE), (2, 12, 4)),
            (((3, 3), (3, 2), (1, 2), (2, 1), (2, 1)), (1, 6, 9)),
            (((5, 3), (2, 2), ONE, (0, 0), (2, 2)), (1, 4, 2)),
            (((2, 2), (2, 2), ONE, (1, 1), ONE), (0, 4, 9)),
        ],
    ),
    Row(
        ops.Pad,
        constantly_padded,
        [
            ((((1, 2),), 0.0), (2, 3)),
            ((((1, 0), (2, 1)), 1.5), (2, 3, 2)),
            ((((-1, 1), (0, -2)), -0.5), (3, 4)),
            ((((-1, -1),), 0.0), (2, 2)),
            (((), 2.0), ()),
            ((((1, 1),), 3.0), (2, 0)),
        ],
    ),
    Row(
        ops.PadFromInput,
        continued,
        [
            *[((mode, ((2, 1),)), (2, 3)) for mode in ("reflect", "replicate", "circular")],
            *[((mode, ((1, 2), (2, 0))), (2, 3, 3)) for mode in ("reflect", "replicate", "circular")],
            *[((mode, ((-1, 2), (1, -1))), (1, 4, 3)) for mode in ("reflect", "replicate", "circular")],
            (("replicate", ((3, 4),)), (2, 1)),
            (("reflect", ((0, 0),)), (2, 2)),
            (("circular", ((1, 1),)), (0, 2)),
        ],
    ),
    Row(
        ops.Interpolate,
        interpolated,
        [
            ((2, labels(0, 0, 1, 1)), (1, 2, 2)),
            ((2, labels(0, 0, 2, 3)), (1, 2, 4, 2)),
            ((2, labels(0, 0, 1, 1, 2), labels(1, 1, 2, 2, 2), THIRDS), (1, 2, 3)),
            ((3, labels(0, 1, 3, 3, 4), labels(1, 2, 4, 4, 4), THIRDS), (2, 1, 2, 6)),
            ((2, labels(0, 0), labels(1, 1), THIRDS[:2]), (0, 2, 2)),
        ],
    ),
]

POOLING = [
    Row(
        ops.MaxPool,
        pooled(lambda values, area: max(values)),
        [
            (((pool_windows(4, 2, 2), pool_windows(6, 2, 2)),), (2, 3, 4, 6)),
            (((pool_windows(5, 3, 1, 1), pool_windows(4, 3, 1, 1)),), (2, 5, 4)),
            (((pool_windows(7, 3, 2, 1), pool_windows(6, 3, 2, 1)),), (2, 7, 6)),
            (((pool_windows(5, 2, 3), pool_windows(5, 1, 2)),), (2, 5, 5)),
            (((pool_windows(9, 3, 2, 1, 2), pool_windows(7, 2, 1, 1, 3)),), (9, 7)),
            (((pool_windows(6, 3, 2, 1, 1, True), pool_windows(5, 2, 2, 0, 1, True)),), (1, 6, 5)),
            (((pool_windows(9, 4, 3, 2),),), (2, 2, 9)),
            (((adaptive_windows(5, 3), adaptive_windows(4, 2)),), (2, 5, 4)),
            (((adaptive_windows(3, 5), adaptive_windows(4, 0)),), (2, 3, 4)),
            (((pool_windows(4, 2, 2), pool_windows(4, 2, 2)),), (0, 3, 4, 4)),
        ],
        distinct,
    ),
    Row(
        ops.MeanPool,
        pooled(mean_of_window),
        [
            (((pool_windows(4, 2, 2), pool_windows(6, 2, 2)),), (2, 3, 4, 6)),
            (((pool_windows(5, 3, 1, 1), pool_windows(4, 3, 1, 1)), True, None), (2, 5, 4)),
            (((pool_windows(5, 3, 2, 1), pool_windows(4, 2, 2, 1)), False, None), (2, 5, 4)),
            (((pool_windows(6, 3, 2, 1, 1, True), pool_windows(5, 2, 2, 0, 1, True)), True, None), (1, 6, 5)),
            (((pool_windows(5, 2, 3), pool_windows(5, 1, 2)), True, 3), (5, 5)),
            (((pool_windows(9, 4, 3, 2),), False, -2), (2, 2, 9)),
            (((adaptive_windows(5, 3), adaptive_windows(4, 2)),), (2, 5, 4)),
            (((adaptive_windows(4, 1), adaptive_windows(3, 1)),), (2, 4, 3)),
            (((adaptive_windows(3, 5), adaptive_windows(4, 0)),), (2, 3, 4)),
            (((pool_windows(4, 2, 2), pool_windows(4, 2, 2)),), (0, 3, 4, 4)),
        ],
    ),
    Row(
        ops.MaxUnpool,
        unpooled,
        [
            ((labels([[3, 0], [5, 4]], [[1, 2], [6, 11]]), (3, 4)), (2, 2, 2)),
            ((labels([[1, 1], [1, 0]]), (2, 2)), (1, 2, 2)),  # the last of equal places wins
            ((labels([4, 0]), (5,)), (1, 2)),
            ((np.zeros((0, 2, 2), np.int64), (4, 4)), (0, 2, 2)),
        ],
    ),
]

TABLE = [
    *ARITHMETIC,
    *OF_EACH_ELEMENT,
    *REDUCTIONS,
    *PRODUCTS,
    *ATTENTION,
    *SEQUENCES,
    *NORMALIZATIONS,
    *LOSSES,
    *ARRANGEMENTS,
    *IMAGES,
    *POOLING,
]
CASES = [case for row in TABLE for case in row.cases]
ROW_OF = {row.op: row for row in TABLE}
