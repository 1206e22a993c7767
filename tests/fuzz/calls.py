"""A valid call of every public function: the fuzzers put hostile arguments in place of its own, one or two at a time.

Each line holds calls, separated by " ; ". They are plain Python over the names that `names` makes. `missing` says which public
functions have no call here: a new one needs a line.
"""

import ast
import functools
import inspect
import operator
import types

import numpy as np

import minidl
from minidl import (
    autograd,
    d2l,
    distributions,
    func,
    generation,
    information,
    kernels,
    linalg,
    model_selection,
    nn,
    optim,
    optimization,
    probability,
    text,
    viz,
)
from minidl.nn import functional, init
from minidl.optim import lr_scheduler
from minidl.utils import callbacks, checkpoint, data, history, metrics, train
from minidl.utils.data import transforms

from .values import words

MODULES = {
    "t": minidl,
    "T": minidl.Tensor,
    "F": functional,
    "nn": nn,
    "init": init,
    "utils": nn.utils,
    "rnn": nn.utils.rnn,
    "optim": optim,
    "lr": lr_scheduler,
    "I": information,
    "L": linalg,
    "optimum": optimization,
    "d2l": d2l,
    "metrics": metrics,
    "callbacks": callbacks,
    "checkpoint": checkpoint,
    "history": history,
    "train": train,
    "D": distributions,
    "data": data,
    "transforms": transforms,
    "K": kernels,
    "autograd": autograd,
    "func": func,
    "text": text,
    "generation": generation,
    "ms": model_selection,
    "prob": probability,
    "viz": viz,
    "operator": operator,
    "np": np,
}


def _tensor(*shape, seed=0, low=None, dtype=np.float32, grad=True):
    def make():
        rng = np.random.default_rng(seed)
        if np.dtype(dtype).kind == "f":
            x = rng.uniform(0.1, 0.9, shape) if low is not None else rng.normal(size=shape)
        else:
            x = rng.integers(0, 2, shape)
        return minidl.tensor(np.asarray(x, dtype), requires_grad=grad and np.dtype(dtype).kind == "f")

    return make


def _rows(*shape, seed=0, axis=-1):
    def make():
        x = np.random.default_rng(seed).uniform(0.1, 0.9, shape)
        return minidl.tensor((x / x.sum(axis, keepdims=True)).astype(np.float32), requires_grad=True)

    return make


def _array(*shape, dtype=np.float32):
    return lambda: np.asarray(np.random.default_rng(1).uniform(0.1, 0.9, shape), dtype)


def _model():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def _stepped(net):
    net(minidl.ones(1, 3)).sum().backward()
    return list(net.parameters())


NAMES = {
    "x": _tensor(2, 3),
    "y": _tensor(2, 3, seed=1),
    "d": _tensor(2, 3, dtype=np.float64),
    "v": _tensor(3),
    "w": _tensor(3, seed=2),
    "m": _tensor(3, 4),
    "q": _tensor(3, 3),
    "c": _tensor(2, 3, 4),
    "c2": _tensor(2, 4, 5),
    "s": _tensor(),
    "z": _tensor(0, 3),
    "p": _tensor(2, 3, low=0),
    "pv": _tensor(3, low=0, grad=False),
    "one": _tensor(1),
    "p2": _tensor(2, 3, low=0, seed=4, grad=False),
    "n": _tensor(2, 3, dtype=np.int64),
    "k": _tensor(3, dtype=np.int64),
    "k2": _tensor(2, dtype=np.int64),
    "b": _tensor(2, 3, dtype=np.bool_),
    "u": _tensor(3, dtype=np.bool_),
    "g": _tensor(2, 3, grad=False),
    "gv": _tensor(3, grad=False),
    "vec6": _tensor(6),
    "i8": _tensor(2, 3, dtype=np.int8),
    "sig": _tensor(2, 4, 7),
    "img": _tensor(2, 4, 6, 5),
    "wt1": _tensor(6, 4, 3),
    "wt2": _tensor(6, 4, 3, 3),
    "wg": _tensor(6, 2, 3, 3),
    "wtt1": _tensor(4, 6, 3),
    "wtt2": _tensor(4, 6, 3, 3),
    "b6": _tensor(6),
    "b4": _tensor(4),
    "rm4": _tensor(4, grad=False),
    "rv4": _tensor(4, low=0, grad=False),
    "dw": _tensor(4, 1, 3, 3),
    "seq": _tensor(5, 2, 3),
    "hid": _tensor(1, 2, 4),
    "emb": _tensor(10, 4),
    "ids": _tensor(2, 3, dtype=np.int64),
    "qh": _tensor(2, 2, 4, 8),
    "kh": _tensor(2, 2, 5, 8, seed=5),
    "vh": _tensor(2, 2, 5, 8, seed=6),
    "wb": _tensor(4, 3, 3),
    "logp": _tensor(6, 2, 5),
    "tg": lambda: minidl.tensor([[1, 2, 1], [3, 1, 1]]),
    "lens": lambda: minidl.tensor([6, 5]),
    "tl": lambda: minidl.tensor([3, 2]),
    "vl": lambda: minidl.tensor([2, 3]),
    "emb_seq": _tensor(2, 5, 8),
    "mem": _tensor(2, 4, 8),
    "img3": _tensor(2, 3, 8, 8, grad=False),
    "pr": _rows(2, 3, axis=None),
    "rows": _rows(2, 3),
    "rows2": _rows(2, 3, seed=1),
    "cols": _tensor(2, 12, 6),
    "cov": lambda: minidl.tensor([[2.0, 0.5], [0.5, 1.0]]),
    "mean2": _tensor(2),
    "big": lambda: minidl.arange(12).reshape(3, 4).float(),
    "pw": _tensor(4, dtype=np.int64),
    "gen": lambda: minidl.Generator(),
    "lin": lambda: nn.Linear(3, 2),
    "net": _model,
    "params": lambda: _stepped(_model()),
    "opt": lambda: optim.SGD(_stepped(_model()), lr=0.1),
    "ds": lambda: data.TensorDataset(minidl.arange(6), minidl.ones(6, 2)),
    "axes": lambda: (kernels.pool_windows(6, 2, 2), kernels.pool_windows(5, 2, 2)),
    "ones2": lambda: np.ones((2, 2), np.float32),
    "A1": _array(5),
    "A2": _array(3, 4),
    "B2": _array(4, 3),
    "A3": _array(2, 3, 4),
    "A4": _array(2, 4, 6, 5),
    "D2": _array(3, 4, dtype=np.float64),
    "W4": _array(6, 4, 3, 3),
    "O4": _array(2, 6, 4, 3),
    "Bi": _array(6),
    "R4": _array(4),
    "L3": lambda: np.array([0, 1, 3]),
    "Q": _array(2, 2, 4, 8),
    "Wih": _array(8, 3),
    "Whh": _array(8, 2),
    "Wr": _array(2, 3),
    "Wrh": _array(2, 2),
    "b2": _array(2),
    "b8": _array(8),
    "W6": _array(6, 3),
    "W62": _array(6, 2),
    "u8": lambda: np.arange(48, dtype=np.uint8).reshape(2, 3, 4, 2),
    "lo": lambda: _tensor(3, low=0, grad=False)(),
    "hi": lambda: _tensor(3, low=0, grad=False)() + 1,
    "tok": lambda: ["a", "b", "a", "c"],
    "f": lambda: lambda x: (x * x).sum(),
    "fv": lambda: lambda x: x * 2.0,
    "dq": lambda: distributions.Normal(0.0, 1.0),
    "dp": lambda: distributions.Normal(1.0, 2.0),
    "tr": lambda: distributions.ExpTransform(),
    "enc": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    "dec": lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
    "packed": lambda: rnn_packed(),
    "lm": lambda: lambda ids: minidl.ones(*ids.shape, 5),
    "leaf": _tensor(2, 3),
    "raw": _tensor(2, 3, grad=False),
    "raw2": _tensor(3, 3, grad=False),
    "raw3": _tensor(4, 3, 3, grad=False),
}


def rnn_packed():
    return nn.utils.rnn.pack_padded_sequence(minidl.ones(5, 2, 3), [5, 3])


def names():
    """A new value for each name that is asked for."""
    return _Fresh()


class _Fresh(dict):
    def __missing__(self, name):
        if name in MODULES:
            return MODULES[name]
        self[name] = value = NAMES[name]() if name in NAMES else _builtin(name)
        return value


def _builtin(name):
    return __builtins__[name] if isinstance(__builtins__, dict) else getattr(__builtins__, name)


FUNCTIONAL = """
F.relu(x) ; F.sigmoid(x) ; F.tanh(x) ; F.silu(x) ; F.logsigmoid(x) ; F.elu(x, 1.0) ; F.gelu(x, approximate="none")
F.leaky_relu(x, 0.01)
F.gelu(d, approximate="tanh") ; F.softplus(x, 1.0, 20.0) ; F.softmax(x, 1, dtype=None) ; F.log_softmax(x, -1)
F.relu(d, False) ; F.gumbel_softmax(x, 0.5, True, dim=-1) ; F.glu(sig.narrow(2, 0, 6), -1)
F.softmin(x, 1, dtype=None) ; F.threshold(x, 0.1, 2.0, False)
F.prelu(x, v) ; F.prelu(d, t.ones(1).double()) ; F.rrelu(x, 0.1, 0.3, True, False) ; F.celu(x, 1.5)
F.threshold_(raw, 0.1, 2.0)
F.hardtanh(x, -0.5, 0.5) ; F.hardshrink(x, 0.3) ; F.softshrink(x, 0.3) ; F.hardtanh_(raw, -0.5, 0.5)
t.celu(x, 1.5) ; t.celu_(raw) ; t.selu(x) ; t.selu_(raw) ; t.rrelu(x) ; t.rrelu_(raw) ; t.threshold(x, 0.1, 2.0)
t.threshold_(raw, 0.1, 2.0) ; x.prelu(v) ; x.hardshrink(0.3) ; t.prelu(x, v) ; t.hardshrink(x, 0.3)
nn.PoissonNLLLoss(True, True, eps=1e-8, reduction="sum") ; nn.PoissonNLLLoss(True, True, eps=1e-8, reduction="sum")(x, p2)
nn.MarginRankingLoss(0.5, reduction="sum") ; nn.MarginRankingLoss(0.5, reduction="sum")(x, y, g)
nn.HingeEmbeddingLoss(1.0, reduction="sum") ; nn.HingeEmbeddingLoss(1.0, reduction="sum")(x, 2 * n - 1)
nn.CosineEmbeddingLoss(0.1, reduction="sum") ; nn.CosineEmbeddingLoss(0.1, reduction="sum")(x, y, 2 * k2 - 1)
nn.SoftMarginLoss(reduction="sum") ; nn.SoftMarginLoss(reduction="sum")(x, 2 * n - 1)
nn.MultiMarginLoss(2, 1.0, pv, reduction="sum") ; nn.MultiMarginLoss(2, 1.0, pv, reduction="sum")(x, k2)
nn.MultiLabelMarginLoss(reduction="sum") ; nn.MultiLabelMarginLoss(reduction="sum")(x, n)
nn.MultiLabelSoftMarginLoss(pv, reduction="sum") ; nn.MultiLabelSoftMarginLoss(pv, reduction="sum")(x, p2)
nn.TripletMarginLoss(1.0, 2.0, 1e-6, True, reduction="sum")
nn.TripletMarginLoss(1.0, 2.0, 1e-6, True, reduction="sum")(x, y, g) ; nn.CosineSimilarity(1, 1e-8)
nn.CosineSimilarity(1, 1e-8)(x, y)
nn.TripletMarginWithDistanceLoss(distance_function=F.pairwise_distance, margin=1.0, swap=True, reduction="sum")
nn.TripletMarginWithDistanceLoss(distance_function=F.pairwise_distance, margin=1.0, swap=True, reduction="sum")(x, y, g)
nn.PairwiseDistance(2.0, 1e-6, False) ; nn.PairwiseDistance(2.0, 1e-6, False)(x, y) ; nn.GLU() ; nn.GLU()(m) ; nn.Softmin(1)
nn.Softmin(1)(x) ; nn.Threshold(0.1, 2.0) ; nn.Threshold(0.1, 2.0)(x) ; nn.Softmax2d() ; nn.Softmax2d()(img)
nn.PReLU(1, 0.25) ; nn.PReLU(1, 0.25)(x) ; nn.RReLU(0.1, 0.3) ; nn.RReLU(0.1, 0.3)(x)
nn.Embedding(4, 3, None, 1.0, 2.0, True) ; nn.Embedding(4, 3, None, 1.0, 2.0, True)(ids)
nn.EmbeddingBag(4, 3, 1.0, 2.0, True, "mean", padding_idx=1)
nn.EmbeddingBag(4, 3, 1.0, 2.0, True, "mean", padding_idx=1)(ids) ; nn.AlphaDropout(0.5, False)
nn.AlphaDropout(0.5, False)(x)
F.linear(x, q, v) ; F.linear(x, q) ; F.linear(c, q.T.detach() @ t.ones(3, 4), None) ; F.bilinear(x, y, wb, b4)
F.dropout(x, 0.5, True, False)
F.dropout1d(sig, 0.5, True) ; F.dropout2d(img, 0.5, True) ; F.one_hot(n, 3) ; F.embedding(ids, emb, 1)
F.embedding(ids, emb.detach(), 1, 1.0, 2.0, True, False) ; F.alpha_dropout(x, 0.5, True, False)
F.embedding_bag(ids, emb.detach(), None, 1.0, 2, True, "mean", False, None, False, 1)
F.embedding_bag(k, emb, t.tensor([0, 2]), mode="sum", per_sample_weights=v, include_last_offset=False)
F.normalize(x, 2.0, 1, 1e-12)
F.cosine_similarity(x, y, 1, 1e-8) ; F.pairwise_distance(x, y, 2.0, 1e-6, False) ; F.pairwise_distance(x, y, 1.0)
F.conv1d(sig, wt1, b6, 1, 0, 1, 1) ; F.conv1d(sig, wt1, b6, stride=2, padding="valid") ; F.conv2d(img, wt2, b6, 1, 0, 1, 1)
F.conv2d(img, wg, None, (2, 1), (1, 0), (1, 2), 2) ; F.conv2d(img, dw, b4, padding=1, groups=4)
F.conv2d(img, wt2, padding="same")
F.conv_transpose1d(sig, wtt1, b6, 2, 1, 1, 1, 1) ; F.conv_transpose2d(img, wtt2, b6, 2, 1, 1, 1, 1)
F.conv_transpose2d(img, dw, None, groups=4)
F.convolve2d(img, wt2, b6, 1, 0, 1, 1) ; F.max_pool1d(sig, 3, 2, 1, 1, False, False)
F.max_pool2d(img, (3, 2), 2, 1, 1, True, True)
F.avg_pool1d(sig, 3, 2, 1, False, True) ; F.avg_pool2d(img, 3, (2, 1), 1, True, False, None)
F.avg_pool2d(img, 2, divisor_override=3)
F.adaptive_avg_pool1d(sig, 3) ; F.adaptive_avg_pool2d(img, (3, None)) ; F.adaptive_max_pool1d(sig, 3, True)
F.adaptive_max_pool2d(img, 2, True)
F.max_unpool2d(t.ones(1, 1, 2, 2), t.tensor([[[[0, 2], [8, 10]]]]), 2, 2, 0, (4, 4)) ; F.unfold(img, (2, 3), 1, 1, 2)
F.fold(cols, (4, 3), (2, 2), 1, 0, 1)
F.pad(img, (1, 1, 2, 0), "constant", 0.5) ; F.pad(img, (1, 1, 1, 1), "reflect") ; F.pad(sig, (1, 1), mode="replicate")
F.pad(img, [1, 2, 1, 1], "circular")
F.interpolate(img, size=(3, 9), mode="bilinear", align_corners=False) ; F.interpolate(img, scale_factor=2.0)
F.interpolate(sig, 5, mode="linear", align_corners=True) ; F.interpolate(img, 3, mode="bicubic", antialias=True)
F.interpolate(img, scale_factor=1.5, mode="bicubic", align_corners=True) ; F.interpolate(img, (3, 4), mode="area")
F.pixel_shuffle(img, 2) ; F.pixel_unshuffle(t.ones(1, 2, 4, 4), 2) ; F.batch_norm(img, rm4, rv4, b4, b4, True, 0.1, 1e-5)
F.batch_norm(img, rm4, rv4)
F.batch_norm(t.randn(5, 4), None, None, None, None, True) ; F.group_norm(img, 2, b4, b4, 1e-5)
F.instance_norm(img, rm4, rv4, b4, b4, True, 0.1, 1e-5)
F.layer_norm(x, (3,), v, w, 1e-5) ; F.layer_norm(c, [3, 4], None, None) ; F.rms_norm(x, (3,), v, 1e-6) ; F.rms_norm(d, [3])
F.scaled_dot_product_attention(qh, kh, vh, None, 0.0, False, None)
F.scaled_dot_product_attention(qh, kh, vh, t.ones(4, 5).bool(), scale=0.5)
F.scaled_dot_product_attention(qh, qh, qh, is_causal=True) ; F.rotary(qh, t.arange(4), 10000.0) ; F.rotary(emb_seq)
F.dot_product_scores(emb_seq, mem) ; F.scaled_dot_product_scores(emb_seq, mem) ; F.gaussian_scores(emb_seq, mem, 1.0)
F.bilinear_scores(emb_seq, mem, t.ones(8, 8))
F.additive_scores(emb_seq, mem, t.ones(6, 8), t.ones(6, 8), t.ones(6)) ; F.attention_pooling(t.ones(2, 5, 4) / 4, mem, None)
F.masked_softmax(c, vl)
F.nadaraya_watson(v, w, v, "gaussian", 1.0, 0.0, True) ; F.nadaraya_watson(v, w, v, "boxcar")
F.similarity(v, w, "triangular", 1.0)
F.mse_loss(x, g, reduction="mean") ; F.l1_loss(x, g, reduction="sum") ; F.smooth_l1_loss(x, g, reduction="mean", beta=1.0)
F.huber_loss(x, g, "mean", 1.0) ; F.poisson_nll_loss(x, p2, True, True, eps=1e-8, reduction="sum")
F.margin_ranking_loss(x, y, g, 0.5, reduction="sum") ; F.hinge_embedding_loss(x, 2 * n - 1, 1.0, reduction="mean")
F.cosine_embedding_loss(x, y, 2 * k2 - 1, 0.1, reduction="mean") ; F.soft_margin_loss(x, 2 * n - 1, reduction="none")
F.multi_margin_loss(x, k2, 2, 1.0, pv, reduction="mean") ; F.multilabel_margin_loss(x, n, reduction="mean")
F.multilabel_soft_margin_loss(x, p2, pv, reduction="mean")
F.triplet_margin_loss(x, y, d.float(), 1.0, 2.0, 1e-6, True, reduction="mean")
F.triplet_margin_with_distance_loss(x, y, g, distance_function=F.pairwise_distance, margin=1.0, swap=True, reduction="sum")
F.cross_entropy(x, k2, pv, ignore_index=-100, reduction="mean", label_smoothing=0.1)
F.cross_entropy(x, p2, reduction="none") ; F.cross_entropy(img, t.zeros(2, 6, 5).long())
F.cross_entropy(d, k2, reduction="sum") ; F.nll_loss(x, k2, pv, ignore_index=-100, reduction="mean")
F.kl_div(x, p2, reduction="batchmean", log_target=False)
F.binary_cross_entropy(p, p2, p2, reduction="mean")
F.binary_cross_entropy_with_logits(x, p2, p2, reduction="mean", pos_weight=pv)
F.gaussian_nll_loss(x, g, p, True, 1e-6, "mean") ; F.entropy_from_logits(x, -1)
F.js_divergence(p / p.sum(-1, True), p2 / p2.sum(-1, True), dim=-1, logits=False)
F.js_divergence(x, y, logits=True, reduction="sum") ; F.focal_loss(x, k2, pv, gamma=2.0, ignore_index=-100, reduction="mean")
F.sigmoid_focal_loss(x, p2, 0.25, 2, "mean")
F.info_nce(x, y, None, temperature=0.1, normalize_vectors=True, reduction="mean") ; F.info_nce(x, y, t.ones(2, 4, 3))
F.ctc_loss(logp.log_softmax(-1), tg, lens, tl, 0, "mean", True)
F.ctc_loss(logp.log_softmax(-1), t.tensor([1, 2, 1, 3, 1]), (6, 5), (3, 2))
"""

UNARY = words(
    """
    abs absolute acos arccos arcsin arctan asin atan bool ceil clone contiguous cos cosh cpu detach digamma double
    erf erfc exp expm1 float floor int isfinite isinf isnan lgamma log log10 log1p log2 logical_not long neg negative
    acosh arccosh arcsinh arctanh argwhere asinh atanh erfinv exp2 logit median nanmedian nan_to_num var_mean std_mean nanmean
    nonzero ravel reciprocal relu round rsqrt sigmoid sign sin sinh sqrt square tan tanh trunc is_floating_point
    trace t
"""
)
UNARY_METHODS = words(
    """
    data_ptr describe dim element_size get_device is_complex is_contiguous is_pinned nelement numel pin_memory short stride
    tolist retain_grad size
"""
)
WRITES = ["zero_", "detach_", "squeeze_", "t_", "tril_", "triu_", "exponential_", "random_"]
BINARY = words(
    """
    add sub subtract mul multiply div divide floor_divide maximum minimum xlogy eq ne lt le gt ge logical_and
    logical_or isclose allclose equal pow remainder
    float_power fmod
"""
)

METHODS = """
x.sum(1, True, dtype=None) ; x.sum() ; x.sum(axis=0, keepdims=True) ; x.mean((0, 1), False, dtype=None)
x.var(1, True, False) ; x.std(0, correction=1) ; x.nansum(0, False)
x.prod(1, True, dtype=None) ; x.amax((0, 1), True) ; x.amin(0, False) ; x.max(1, True) ; x.min() ; x.max(y)
x.argmax(1, False) ; x.argmin() ; b.all(1, True) ; b.any(0)
x.count_nonzero(1) ; x.cumsum(1) ; x.norm(2, 1, True) ; x.norm("fro") ; x.norm(float("inf"), 0) ; x.logsumexp(1, True)
x.softmax(1, dtype=None) ; x.log_softmax(0, dtype=None)
x.sort(-1, True, True) ; x.argsort(0, False) ; x.topk(2, -1, True, True) ; x.lerp(y, 0.5) ; x.lerp(y, p) ; p.igamma(p2)
p.polygamma(1) ; x.clamp(-1.0, 1.0) ; x.clip(g, None)
x.masked_fill(b, 1.5) ; x.masked_select(b) ; x.where(b, y) ; x.gather(1, n) ; x.take_along_dim(n, 1) ; x.index_select(1, k)
x.nonzero()
T.det(cov) ; T.slogdet(cov) ; T.logdet(cov) ; T.inverse(cov) ; x.pinverse(1e-6) ; T.matrix_power(cov, 2)
T.matrix_exp(cov) ; T.cholesky(cov, True) ; x.qr(True) ; x.svd(True, True)
x.atan2(y) ; x.arctan2(v) ; x.inner(y) ; x.kron(v) ; x.logaddexp(v) ; b.logical_xor(x)
x.addcmul(y, p, value=0.5) ; x.addcdiv(y, p, value=-1) ; n.bitwise_and(n) ; n.bitwise_or(3) ; b.bitwise_xor(b)
n.bitwise_not() ; t.rsub(x, y, alpha=2) ; x.nan_to_num(0.0, 1.0, -1.0) ; p.logit(0.01)
x.cumprod(1, dtype=None) ; x.logcumsumexp(0) ; x.cummax(1) ; x.cummin(0) ; x.diff(1, 0, x, None) ; x.var_mean(1, True, False)
x.std_mean((0, 1), correction=0) ; x.nanmean(1, True, dtype=None) ; x.median(1, True) ; x.nanmedian(0, False)
x.kthvalue(2, 1, True) ; x.quantile(0.3, 1, True, interpolation="linear") ; x.nanquantile(v.abs() / 9, 0)
raw.histc(5, -1, 2)
x.addmm(p[:, :2], y[:, :].narrow(0, 0, 2), beta=1, alpha=2) ; v.addmv(q, w, beta=0, alpha=1) ; q.addr(v, w, beta=1, alpha=1)
wb.baddbmm(wb, wb, beta=1, alpha=2) ; q.addbmm(t.ones(2, 3, 4), t.ones(2, 4, 3))
v.tensordot(w, 1) ; c.tensordot(c, ([0, 1], [0, 1])) ; v.cross(w, 0) ; x.cross(y)
c.tensor_split(2, 1) ; c.tensor_split((1, 2), 2) ; c.hsplit(3) ; c.vsplit([1]) ; c.dsplit(2) ; c.moveaxis(0, -1)
c.rot90(1, (0, 2)) ; x.diag_embed(1, 0, -1) ; x.unfold(1, 2, 1) ; raw.as_strided((2, 2), (3, 1), 1)
x.scatter(1, n, y, reduce=None) ; x.scatter(0, n, value=2.0) ; x.scatter_add(1, n, y)
x.scatter_reduce(1, n, y, "amax", include_self=True) ; x.scatter_reduce(1, n, y, "mean", include_self=False)
x.scatter_reduce(1, n, y, "prod")
x.index_add(1, k, y, alpha=2) ; x.index_copy(0, k2, y) ; x.index_fill(1, k, 1.5) ; x.index_put((k2, k2), v[:2], True)
x.put(k, w, False) ; x.take(k2) ; x.masked_scatter(b, y)
raw.scatter_(1, n, g, reduce=None) ; raw.scatter_add_(1, n, g) ; raw.scatter_reduce_(1, n, g, "sum", include_self=True)
raw.index_add_(1, k, g, alpha=1) ; raw.index_copy_(0, k2, g) ; raw.index_fill_(1, k, 0.0) ; raw.index_put_((k2,), g, False)
raw.put_(k, gv, True) ; raw.masked_scatter_(b, g) ; raw.addcmul_(g, g, value=2) ; raw.addcdiv_(g, p2, value=2)
raw.lerp_(g, 0.5) ; raw.addmm_(g, g.T @ g) ; raw.addr_(g[:, 0], gv) ; raw.atan2_(g) ; raw.arctan2_(g) ; raw.cumprod_(1)
raw2.addbmm_(raw3, raw3) ; raw3.baddbmm_(t.ones(4, 3, 3), t.ones(4, 3, 3), beta=1, alpha=1)
pv.addmv_(g.T @ g, gv) ; n.bitwise_and_(t.ones(2, 3).long()) ; n.bitwise_or_(3) ; n.bitwise_xor_(t.ones(2, 3).long())
n.bitwise_not_() ; b.logical_xor_(t.ones(2, 3).bool())
t.addmv_(pv, g.T @ g, gv) ; t.index_put_(raw, (k2,), g, False)
x.matmul(m) ; x.mm(m) ; q.mv(v) ; v.dot(w) ; c.bmm(c2) ; v.outer(w) ; x.reshape(3, 2) ; x.reshape((-1, 2)) ; x.view(6)
x.view_as(y) ; x.reshape_as(y)
x.permute(1, 0) ; x.transpose(0, 1) ; x.swapaxes(0, -1) ; x.swapdims(0, 1) ; c.movedim(0, -1) ; c.movedim((0, 1), (1, 2))
x.unsqueeze(1) ; c.squeeze(1) ; x.squeeze()
x.flatten(0, 1) ; x.unflatten(1, (3, 1)) ; x.expand(4, 2, 3) ; x.expand_as(y) ; x.broadcast_to(2, 3) ; x.repeat(2, 1)
x.tile(1, 2) ; x.repeat_interleave(2, 1) ; x.repeat_interleave(k + 1, 1)
x.flip(0, 1) ; x.roll(1, 0) ; x.roll((1, -1), (0, 1)) ; x.unbind(1) ; x.split(2, 1) ; x.split([1, 2], 1) ; x.chunk(2, 1)
x.narrow(1, 0, 2) ; x.select(1, 2)
q.diagonal(0, 0, 1) ; q.diag(1) ; v.diag(-1) ; q.tril(0) ; q.triu(1) ; q.trace() ; q.t() ; x.to(t.float64)
x.to(dtype=t.int32, device="cpu", copy=True) ; x.to(y) ; x.type(t.float64)
x.type_as(d) ; s.item() ; x.numpy(force=True) ; x.size(1) ; x.new_full((2, 2), 1.5, dtype=None, requires_grad=False)
x.new_ones(2, 3, dtype=None)
x.new_zeros(2, dtype=t.int64) ; x.new_tensor([1.0, 2.0], dtype=None) ; x.requires_grad_(True) ; x.register_hook(fv)
x.register_post_accumulate_grad_hook(fv)
img.to(memory_format=t.channels_last) ; img.contiguous(memory_format=t.channels_last) ; x.type("torch.LongTensor")
T.backward((x * 2).sum(), None, False) ; T.backward(x * 2, g, retain_graph=True, inputs=None)
raw.add_(y.detach(), alpha=2) ; raw.sub_(1.0, alpha=1) ; raw.mul_(g) ; raw.div_(2.0) ; raw.pow_(2) ; raw.clamp_(-1.0, 1.0)
raw.lerp_(g, 0.5) ; raw.polygamma_(1) ; raw.clip_(-1.0, 1.0) ; raw.cumsum_(1) ; raw.transpose_(0, 1) ; raw.unsqueeze_(0)
F.elu_(raw, 1.5) ; F.leaky_relu_(raw, 0.1) ; F.relu_(raw) ; t.clamp_(raw, -1.0, 1.0) ; t.clip_(raw, 0.0) ; t.fill_(raw, 2.0)
raw.swapaxes_(0, 1) ; raw.swapdims_(0, 1) ; raw.igamma_(p) ; raw.random_(1, 5)
raw.copy_(y.detach()) ; raw.fill_(1.5) ; raw.masked_fill_(b, 0.0)
raw.bernoulli_(0.5, generator=gen) ; raw.normal_(0.0, 1.0, generator=gen) ; raw.uniform_(0.0, 1.0, generator=gen)
x.__getitem__(0) ; x.__getitem__((0, slice(None))) ; x.__getitem__(b) ; x.__getitem__((k2, k2))
x.__getitem__((None, ..., 1)) ; x.__getitem__([0, 1]) ; x.__getitem__(slice(0, 2, 1))
raw.__setitem__(0, 1.0) ; raw.__setitem__((k2, k2), 2.0) ; raw.__setitem__(b, 0.0) ; raw.__setitem__(slice(0, 2), g)
raw.__iadd__(g) ; raw.__imul__(2.0)
operator.add(x, y) ; operator.sub(x, 1.0) ; operator.mul(2.0, x) ; operator.truediv(x, y) ; operator.floordiv(x, 2)
operator.mod(x, 2) ; operator.pow(x, 2) ; operator.matmul(x, m)
operator.pow(2.0, x) ; operator.lt(x, y) ; operator.eq(x, y) ; operator.and_(b, b) ; operator.or_(b, b) ; operator.xor(b, b)
operator.contains(x, 1.0)
setattr(leaf, "grad", g) ; setattr(leaf, "data", g) ; setattr(leaf, "requires_grad", True) ; T(v) ; T([1.0, 2.0])
"""

TOP = """
t.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=None, device="cpu", requires_grad=True) ; t.as_tensor(A1, dtype=None, device=None)
t.from_numpy(A1) ; t.from_dlpack(A1, device=None, copy=None) ; t.from_dlpack(q.detach(), copy=True)
t.zeros(2, 3, dtype=None, device=None, requires_grad=False)
t.ones((2, 3)) ; t.zeros(size=(2, 3)) ; t.empty(2, 3) ; t.full((2, 3), 1.5, dtype=None) ; t.zeros_like(x, dtype=None)
t.ones_like(x) ; t.empty_like(x) ; t.full_like(x, 2, dtype=None)
t.arange(0, 5, 2, dtype=None) ; t.arange(3.5) ; t.linspace(0.0, 1.0, 5, dtype=None) ; t.logspace(0.0, 1.0, 5, 10.0)
t.eye(3, 4, dtype=None) ; t.is_tensor(x) ; t.numel(x)
t.rand(2, 3, generator=gen, dtype=None) ; t.randn((2, 3), generator=gen) ; t.rand_like(x, dtype=None) ; t.randn_like(x)
t.randint(0, 5, (2, 3), generator=gen, dtype=None) ; t.randperm(5, generator=gen, dtype=None)
t.normal(0.0, 1.0, (2, 3), generator=gen) ; t.normal(v, p[0]) ; t.bernoulli(p, generator=gen) ; t.bernoulli(x, 0.5)
t.multinomial(pv, 2, False, generator=gen) ; t.multinomial(p, 4, True)
t.bincount(k, pv, 4) ; t.isin(x, y) ; t.isin(n, 1) ; t.unique(n, True, True, True, None) ; t.unique(n, dim=0)
t.where(b, x, y) ; t.where(b) ; t.where(b, x, 1.0)
t.cat([x, y], 0) ; t.concat((x, y), dim=1) ; t.concatenate([x, y], axis=0) ; t.stack([x, y], 1) ; t.hstack([x, y])
t.vstack((x, y)) ; t.meshgrid(v, w, indexing="ij")
t.einsum("ij,jk->ik", x, m) ; t.einsum("ij->j", x) ; t.einsum("i,j->ij", v, w) ; t.matmul(x, m) ; t.polygamma(1, p)
t.reshape(x, (3, 2)) ; t.permute(x, (1, 0)) ; t.flip(x, (0,))
t.tile(x, (2, 1)) ; t.broadcast_to(v, (2, 3)) ; t.sum(x, 1, True) ; t.mean(x, 0) ; t.var(x, 1, False, True) ; t.std(x, 1)
t.prod(x, 1, True) ; t.amax(x, 1) ; t.amin(x, 1) ; t.max(x, 1) ; t.min(x, 1)
t.argmax(x, 1) ; t.argmin(x, 1) ; t.all(b, 1) ; t.any(b, 1) ; t.count_nonzero(x, 1) ; t.nonzero(x) ; t.cumsum(x, 1)
t.norm(x, 2, 1) ; t.sort(x, 1) ; t.argsort(x, 1) ; t.topk(x, 2, 1)
t.logsumexp(x, 1) ; t.softmax(x, 1) ; t.log_softmax(x, 1) ; t.nansum(x, 1) ; t.mm(x, m) ; t.mv(q, v) ; t.dot(v, w)
t.bmm(c, c2) ; t.outer(v, w) ; t.flatten(x, 0, 1) ; t.unflatten(x, 1, (3, 1))
t.transpose(x, 0, 1) ; t.swapaxes(x, 0, 1) ; t.swapdims(x, 0, 1) ; t.movedim(c, 0, 1) ; t.unsqueeze(x, 0) ; t.squeeze(x, 0)
t.repeat_interleave(x, 2, 1) ; t.roll(x, 1, 0) ; t.unbind(x, 0)
t.split(x, 2, 1) ; t.chunk(x, 2, 1) ; t.narrow(x, 1, 0, 2) ; t.select(x, 1, 0) ; t.diagonal(q, 0, 0, 1) ; t.diag(q, 0)
t.atan2(x, y) ; t.arctan2(x, v) ; t.inner(x, y) ; t.kron(x, v) ; t.logaddexp(x, v) ; t.logical_xor(b, x)
t.addcmul(x, y, p, value=2) ; t.addcdiv(x, y, p) ; t.bitwise_and(n, n) ; t.bitwise_or(n, 1) ; t.bitwise_xor(n, n)
t.bitwise_not(n) ; t.cumprod(x, 1) ; t.logcumsumexp(x, 1) ; t.cummax(x, 1) ; t.cummin(x, 1) ; t.diff(x, 1, -1)
t.kthvalue(x, 1, 1, False) ; t.quantile(x, 0.5, 0) ; t.nanquantile(x, 0.5, 0) ; t.histc(g, 4, -1, 1)
t.addmm(q, q, q) ; t.addmv(v, q, w) ; t.addr(q, v, w) ; t.baddbmm(wb[:, :3], wb[:, :3], wb[:, :3])
t.addbmm(q, wb[:, :3], wb[:, :3]) ; t.tensordot(x, x, ([0, 1], [0, 1])) ; t.cross(v, w) ; t.cdist(x, y, 2.0)
t.cdist(x, y, 1.0, "donot_use_mm_for_euclid_dist") ; t.fill(x, 2.0) ; t.moveaxis(c, 0, 1) ; t.rot90(x, 1, (0, 1))
t.as_strided(raw, (2,), (1,), 0) ; t.tensor_split(x, 2, 1) ; t.hsplit(x, 3) ; t.vsplit(x, 2) ; t.dsplit(c, 2)
t.diag_embed(x, 0) ; t.take(x, k) ; t.scatter(x, 1, n, y) ; t.scatter_add(x, 1, n, y) ; t.scatter_reduce(x, 1, n, y, "sum")
t.index_add(x, 1, k, y) ; t.index_copy(x, 0, k2, y) ; t.index_fill(x, 1, k, 1.0) ; t.index_put(x, (k2, k2), v[:2])
t.masked_scatter(x, b, y) ; t.zero_(raw) ; t.searchsorted(gv.sort()[0], g, out_int32=True, right=False, side="left")
t.bucketize(g, gv.sort()[0], out_int32=False, right=True) ; t.searchsorted(t.arange(3), k, sorter=t.tensor([2, 1, 0]))
t.broadcast_tensors(x, v) ; t.broadcast_shapes((2, 1), (3,)) ; t.atleast_1d(s) ; t.atleast_2d(v) ; t.atleast_3d(x)
t.dstack([x, y]) ; t.block_diag(x, q) ; t.cartesian_prod(v, w) ; t.combinations(v, 2, False)
t.tril(q, 0) ; t.triu(q, 0) ; t.trace(q) ; t.gather(x, 1, n)
t.take_along_dim(x, n, 1) ; t.index_select(x, 1, k) ; t.lerp(x, y, 0.5) ; t.masked_fill(x, b, 0.0) ; t.masked_select(x, b)
t.igamma(p, p2) ; t.clamp(x, 0.0, 1.0) ; t.clip(x, 0.0, 1.0)
t.set_num_threads(1) ; t.get_num_threads() ; t.manual_seed(3) ; t.seed() ; t.initial_seed() ; t.get_rng_state()
t.set_rng_state(t.get_rng_state()) ; t.fork_rng(None, True) ; t.Generator("cpu")
gen.manual_seed(1) ; gen.set_state(gen.get_state()) ; t.no_grad(None) ; t.enable_grad(None) ; t.set_grad_enabled(True)
t.is_grad_enabled() ; t.device("cpu", 0) ; t.warmup(lin, x) ; t.inference_mode(True)
t.finfo(t.float64) ; t.iinfo(t.int8) ; t.Size((2, 3))
t.FloatTensor([1.0]) ; t.LongTensor(2, 3) ; t.autocast("cpu", None, False)
autograd.backward([(x * 2)], [g], None, False) ; autograd.Variable(x, True)
autograd.grad((x * 2).sum(), x, None, None, False) ; autograd.grad([(x * 2)], [x], [g])
autograd.gradcheck(f, [d.detach().requires_grad_()], eps=1e-6, atol=1e-6)
autograd.gradgradcheck(f, d.detach().requires_grad_())
autograd.functional.jacobian(fv, g) ; autograd.functional.hessian(f, g) ; autograd.functional.vjp(fv, g, g)
autograd.functional.jvp(fv, g, g) ; autograd.functional.vhp(f, g, g) ; autograd.functional.hvp(f, g, g)
func.grad(f, 0, False)(g) ; func.grad_and_value(f)(g) ; func.vjp(fv, g) ; func.jvp(fv, (g,), (g,)) ; func.jacrev(fv)(gv)
func.jacfwd(fv)(gv) ; func.hessian(f)(gv) ; func.vmap(fv, 0, 0)(g)
func.grad(f, 0) ; func.vmap(fv, 0, 0, "error") ; func.functional_call(lin, {"weight": t.ones(2, 3)}, (x,))
func.stack_module_state([lin, lin])
"""

LAYERS = """
nn.Linear(3, 4, True, None, None) ; nn.Linear(3, 4)(x) ; nn.Bilinear(3, 3, 4) ; nn.Bilinear(3, 3, 4)(x, y)
nn.Embedding(10, 4, 1) ; nn.Embedding(10, 4)(ids) ; nn.Embedding.from_pretrained(emb.detach(), True, 1)
nn.Conv1d(4, 6, 3, 1, 0, 1, 1, True, "zeros") ; nn.Conv1d(4, 6, 3)(sig)
nn.Conv2d(4, 6, (3, 2), 1, 1, 1, 2, False, "reflect") ; nn.Conv2d(4, 6, 3, padding=1)(img)
nn.ConvTranspose1d(4, 6, 3, 2, 1, 1) ; nn.ConvTranspose1d(4, 6, 3)(sig, None)
nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 1, True, 1) ; nn.ConvTranspose2d(4, 6, 3, 2)(img, (13, 11)) ; nn.LazyLinear(4)
nn.LazyLinear(4)(x) ; nn.LazyConv1d(6, 3) ; nn.LazyConv1d(6, 3)(sig) ; nn.LazyConv2d(6, 3) ; nn.LazyConv2d(6, 3)(img)
nn.LazyConvTranspose1d(6, 3) ; nn.LazyConvTranspose2d(6, 3) ; nn.LazyBatchNorm1d() ; nn.LazyBatchNorm2d()
nn.LazyBatchNorm2d()(img) ; nn.SyncBatchNorm(4, 1e-5, 0.1, True, True)(img)
nn.BatchNorm1d(4, 1e-5, 0.1, True, True) ; nn.BatchNorm1d(4)(sig) ; nn.BatchNorm2d(4) ; nn.BatchNorm2d(4)(img)
nn.InstanceNorm1d(4, affine=True) ; nn.InstanceNorm1d(4)(sig) ; nn.InstanceNorm2d(4, track_running_stats=True)
nn.InstanceNorm2d(4)(img)
nn.GroupNorm(2, 4, 1e-5, True) ; nn.GroupNorm(2, 4)(img) ; nn.LayerNorm((3,), 1e-5, True, True) ; nn.LayerNorm(3)(x)
nn.RMSNorm(3, None, True) ; nn.RMSNorm(3)(x)
nn.MaxPool1d(3, 2, 1, 1, False, False) ; nn.MaxPool1d(3)(sig) ; nn.MaxPool2d(3, 2, 1) ; nn.MaxPool2d(2)(img)
nn.AvgPool1d(3, 2, 1) ; nn.AvgPool1d(3)(sig) ; nn.AvgPool2d(3, 2, 1) ; nn.AvgPool2d(2)(img) ; nn.MaxUnpool2d(2, 2, 0)
nn.MaxUnpool2d(2)(t.ones(1, 1, 2, 2), t.tensor([[[[0, 2], [8, 10]]]]), None) ; nn.AdaptiveAvgPool1d(3)
nn.AdaptiveAvgPool1d(3)(sig) ; nn.AdaptiveAvgPool2d((3, 2)) ; nn.AdaptiveAvgPool2d(1)(img) ; nn.AdaptiveMaxPool1d(3)
nn.AdaptiveMaxPool1d(3)(sig)
nn.AdaptiveMaxPool2d(3) ; nn.AdaptiveMaxPool2d(3)(img) ; nn.Dropout(0.5) ; nn.Dropout(0.5)(x) ; nn.Dropout1d(0.5)
nn.Dropout1d(0.5)(sig) ; nn.Dropout2d(0.5) ; nn.Dropout2d(0.5)(img)
nn.ReLU(False) ; nn.ReLU()(x) ; nn.Sigmoid() ; nn.Sigmoid()(x) ; nn.Tanh() ; nn.Tanh()(x) ; nn.GELU("none") ; nn.GELU()(x)
nn.SiLU(False) ; nn.SiLU()(x) ; nn.ELU(1.0) ; nn.ELU(1.0)(x) ; nn.LeakyReLU(0.01) ; nn.LeakyReLU()(x)
nn.Softplus(1.0, 20.0)
nn.Softplus()(x) ; nn.LogSigmoid() ; nn.LogSigmoid()(x) ; nn.Softmax(1) ; nn.Softmax(1)(x) ; nn.LogSoftmax(1)
nn.LogSoftmax(1)(x) ; nn.Identity() ; nn.Identity()(x) ; nn.Flatten(1, -1) ; nn.Flatten()(c) ; nn.Unflatten(1, (3, 1))
nn.Unflatten(1, (3, 1))(x)
nn.ConstantPad1d((1, 1), 0.5) ; nn.ConstantPad1d(1, 0.5)(sig) ; nn.ConstantPad2d((1, 1, 1, 1), 0.5)
nn.ConstantPad2d(1, 0.5)(img) ; nn.ZeroPad1d(1) ; nn.ZeroPad1d(1)(sig) ; nn.ZeroPad2d(1) ; nn.ZeroPad2d(1)(img)
nn.ReflectionPad1d(1) ; nn.ReflectionPad1d(1)(sig)
nn.ReflectionPad2d(1) ; nn.ReflectionPad2d(1)(img) ; nn.ReplicationPad1d(1) ; nn.ReplicationPad1d(1)(sig)
nn.ReplicationPad2d(1) ; nn.ReplicationPad2d(1)(img) ; nn.CircularPad1d(1) ; nn.CircularPad1d(1)(sig) ; nn.CircularPad2d(1)
nn.CircularPad2d(1)(img)
nn.Unfold(2, 1, 0, 1) ; nn.Unfold(2)(img) ; nn.Fold((4, 3), 2) ; nn.Fold((4, 3), 2)(cols) ; nn.PixelShuffle(2)
nn.PixelShuffle(2)(img) ; nn.PixelUnshuffle(2) ; nn.PixelUnshuffle(2)(t.ones(1, 2, 4, 4))
nn.Upsample((3, 4), None, "nearest") ; nn.Upsample(scale_factor=2.0)(img)
nn.UpsamplingBilinear2d((3, 4)) ; nn.UpsamplingBilinear2d((3, 4))(img) ; nn.UpsamplingNearest2d(scale_factor=2)
nn.UpsamplingNearest2d((3, 4))(img) ; nn.MLP(3, [4, 5], 2) ; nn.MLP(3, [4], 2)(x) ; nn.PositionalEncoding(8, 0.1, 20)
nn.PositionalEncoding(8)(emb_seq)
nn.RNN(3, 4, 1, "tanh") ; nn.RNN(3, 4, 2, bidirectional=True)(seq, None) ; nn.LSTM(3, 4, 1, True, False, 0.0, False)
nn.LSTM(3, 4)(seq, (hid, hid)) ; nn.GRU(3, 4, 1) ; nn.GRU(3, 4)(seq, hid) ; nn.RNNCell(3, 4) ; nn.RNNCell(3, 4)(x, hid[0])
nn.LSTMCell(3, 4)
nn.LSTMCell(3, 4)(x, (hid[0], hid[0])) ; nn.GRUCell(3, 4) ; nn.GRUCell(3, 4)(x, hid[0]) ; nn.LSTM(3, 4)(packed)
nn.GRU(3, 4, reset_after=False)(seq) ; nn.RNNBase("LSTM", 3, 4, 1)
nn.MultiheadAttention(8, 2, 0.0, True, batch_first=True)
nn.MultiheadAttention(8, 2, batch_first=True)(emb_seq, mem, mem, None, True, None, True, False)
nn.TransformerEncoderLayer(8, 2, 16) ; enc(emb_seq, None, None, False) ; nn.TransformerDecoderLayer(8, 2, 16)
dec(emb_seq, mem) ; nn.TransformerEncoder(enc, 2) ; nn.TransformerEncoder(enc, 2)(emb_seq) ; nn.TransformerDecoder(dec, 2)
nn.TransformerDecoder(dec, 2)(emb_seq, mem) ; nn.Transformer(8, 2, 1, 1, 16, 0.0)
nn.Transformer(8, 2, 1, 1, 16, batch_first=True)(mem, emb_seq)
nn.Transformer.generate_square_subsequent_mask(4) ; nn.AdditiveAttention(6, 0.0)
nn.AdditiveAttention(6)(emb_seq, mem, mem, vl) ; nn.DotProductAttention(0.0)
nn.DotProductAttention()(emb_seq, mem, mem, vl)
nn.Sequential(lin, lin) ; nn.Sequential(lin, nn.ReLU())(x) ; nn.ModuleList([lin]) ; nn.ModuleDict({"a": lin})
nn.ParameterList([nn.Parameter(x.detach())]) ; nn.ParameterDict({"a": nn.Parameter(x.detach())}) ; nn.Parameter(g, True)
nn.Module() ; nn.LazyModule()
nn.UninitializedParameter(True) ; nn.UninitializedBuffer(False) ; nn.ModuleList([lin]).append(lin)
nn.ModuleList([lin]).extend([lin]) ; nn.ModuleList([lin]).insert(0, lin) ; nn.ModuleList([lin]).__getitem__(0)
nn.Sequential(lin).__getitem__(0) ; nn.ModuleDict({"a": lin}).update({"b": lin})
net.load_state_dict(net.state_dict(), True) ; net.register_buffer("r", g, True)
net.register_parameter("r", nn.Parameter(g)) ; net.add_module("r", lin) ; net.to(t.float64) ; net.train(True)
net.requires_grad_(False) ; net.apply(lambda m: None) ; net.get_submodule("0") ; net.get_parameter("0.weight")
net.zero_grad(True) ; net.register_forward_hook(f) ; net.register_forward_pre_hook(f) ; setattr(net, "a", lin)
net.state_dict() ; net.eval() ; net.double()
nn.MSELoss(reduction="mean") ; nn.MSELoss()(x, g) ; nn.L1Loss(reduction="sum") ; nn.L1Loss()(x, g)
nn.SmoothL1Loss(beta=1.0) ; nn.SmoothL1Loss()(x, g) ; nn.HuberLoss("mean", 1.0) ; nn.HuberLoss()(x, g)
nn.CrossEntropyLoss(pv, ignore_index=-100, label_smoothing=0.1) ; nn.CrossEntropyLoss()(x, k2)
nn.NLLLoss(pv) ; nn.NLLLoss()(x, k2) ; nn.KLDivLoss(reduction="batchmean") ; nn.KLDivLoss(reduction="sum")(x, p2)
nn.BCELoss(pv) ; nn.BCELoss()(p, p2) ; nn.BCEWithLogitsLoss(pv, pos_weight=pv) ; nn.BCEWithLogitsLoss()(x, p2)
nn.GaussianNLLLoss(full=True, eps=1e-6) ; nn.GaussianNLLLoss()(x, g, p)
nn.FocalLoss(pv, gamma=2.0) ; nn.FocalLoss()(x, k2) ; nn.SigmoidFocalLoss(0.25, 2, "mean") ; nn.SigmoidFocalLoss()(x, p2)
nn.JSDivLoss(dim=-1, logits=True) ; nn.JSDivLoss(logits=True)(x, y) ; nn.InfoNCELoss(temperature=0.1)
nn.InfoNCELoss()(x, y, None) ; nn.CTCLoss(0, "mean", True) ; nn.CTCLoss()(logp.log_softmax(-1), tg, lens, tl)
init.uniform_(raw, 0.0, 1.0, None) ; init.normal_(raw, 0.0, 1.0) ; init.constant_(raw, 1.5) ; init.ones_(raw)
init.zeros_(raw) ; init.eye_(raw) ; init.sparse_(raw, 0.5, 0.01) ; init.dirac_(wt1.detach(), 2)
init.kaiming_normal_(raw, 0, "fan_in", "relu")
init.kaiming_uniform_(raw, 0, "fan_out", "leaky_relu") ; init.orthogonal_(raw, 1)
init.trunc_normal_(raw, 0.0, 1.0, -2.0, 2.0)
init.xavier_normal_(raw, 1.0) ; init.xavier_uniform_(raw, 1.0) ; init.calculate_gain("leaky_relu", 0.1)
utils.clip_grad_norm_(params, 1.0, 2.0, False) ; utils.clip_grad_value_(params, 0.1) ; utils.parameters_to_vector(params)
utils.vector_to_parameters(t.ones(26), params) ; utils.evaluating(net) ; utils.weight_norm(lin, "weight", 0)
utils.spectral_norm(lin, "weight", 1, 1e-12, 0) ; utils.parametrizations.weight_norm(lin, "weight", 0)
utils.parametrizations.spectral_norm(lin, "weight", 1, 1e-12, 0)
utils.parametrize.register_parametrization(lin, "weight", nn.Tanh(), unsafe=False)
rnn.pack_padded_sequence(seq, [5, 3], False, True) ; rnn.pack_padded_sequence(seq, lens - 1, enforce_sorted=False)
rnn.pad_packed_sequence(packed, False, 0.0, None) ; rnn.pack_sequence([x, x[:1]], True)
rnn.pad_sequence([x, y], True, 0.0, "right") ; rnn.unpack_sequence(packed) ; rnn.unpad_sequence(seq, lens - 1, False)
"""

OTHERS = """
optim.SGD(params, 0.1, 0.9, 0.0, 0.01, True, maximize=False) ; optim.Adam(params, 0.001, (0.9, 0.999), 1e-8, 0, True)
optim.AdamW(params, lr=0.001, betas=(0.9, 0.999), weight_decay=0.01) ; optim.SGD([{"params": params, "lr": 0.1}], 0.2)
optim.Optimizer(params, {})
optim.Adagrad(params, 0.01, 0, 0.1, 0.5, 1e-10, eps_inside_sqrt=True) ; optim.RMSprop(params, 0.01, 0.9, 1e-8, 0.1, 0.9, True)
optim.Adadelta(params, 1.0, 0.9, 1e-6, 0.1) ; optim.Adamax(params, 0.002, (0.9, 0.999), 1e-8, 0.1)
optim.NAdam(params, 0.002, (0.9, 0.999), 1e-8, 0.1, 0.004, True) ; optim.RAdam(params, 0.001, (0.9, 0.999), 1e-8, 0.1, True)
optim.Yogi(params, 0.01, (0.9, 0.999), 0.001, 0.1) ; optim.Lion(params, 0.0001, (0.9, 0.99), 0.1)
optim.Rprop(params, 0.01, (0.5, 1.2), (1e-6, 50)) ; optim.ASGD(params, 0.01, 0.0001, 0.75, 1e6, 0.1)
optim.Adafactor(params, 0.01, -0.8, (None, 0.001), 1.0, 0.1, maximize=True)
optim.Muon([raw.requires_grad_()], 0.001, 0.1, 0.95, True, (3.4445, -4.775, 2.0315), 1e-7, 5, "original")
optim.LBFGS(params, 1, 20, 25, 1e-7, 1e-9, 100, "strong_wolfe") ; optim.Adagrad(params).step() ; optim.RAdam(params).step()
lr.LinearLR(opt, 0.5, 1.0, 5) ; lr.ConstantLR(opt, 0.5, 5) ; lr.PolynomialLR(opt, 5, 2.0)
lr.MultiplicativeLR(opt, lambda epoch: 0.9)
lr.CyclicLR(opt, 0.01, 0.1, 5, 5, "triangular2", 0.9, cycle_momentum=False) ; lr.CosineAnnealingWarmRestarts(opt, 3, 2, 0.01)
lr.OneCycleLR(opt, 0.1, 10, pct_start=0.3, anneal_strategy="linear", cycle_momentum=False)
lr.ReduceLROnPlateau(opt, "min", 0.5, 2)
lr.SequentialLR(opt, [lr.StepLR(opt, 2), lr.ExponentialLR(opt, 0.9)], [3]) ; lr.ChainedScheduler([lr.StepLR(opt, 2)], opt)
optim.SGD(params, 0.1, 0.9).step(None) ; optim.Adam(params).step() ; opt.zero_grad(True)
opt.load_state_dict(opt.state_dict()) ; opt.add_param_group({"params": [nn.Parameter(t.ones(2))]})
lr.StepLR(opt, 2, 0.1, -1) ; lr.MultiStepLR(opt, [1, 3], 0.1) ; lr.ExponentialLR(opt, 0.9)
lr.CosineAnnealingLR(opt, 10, 0.0) ; lr.LambdaLR(opt, lambda epoch: 0.9) ; lr.ExponentialLR(opt, 0.9, -1).step()
t.cholesky(cov, False) ; t.det(cov) ; t.inverse(cov) ; t.logdet(cov) ; t.matrix_power(cov, 2) ; t.pinverse(x, 1e-6)
t.matrix_exp(cov) ; t.chain_matmul(x, y.mT, y) ; t.cholesky_solve(x, cov, True) ; t.cholesky_inverse(cov, True)
t.orgqr(m.mT, v) ; L.matrix_exp(cov) ; L.vecdot(x, y, dim=0) ; L.householder_product(m.mT, v)
L.tensorinv(q, ind=1) ; L.tensorsolve(q, v, dims=0)
t.qr(x, True) ; t.slogdet(cov) ; t.svd(x, True) ; t.angle(x) ; t.real(x) ; t.imag(t.tensor([1j]))
I.entropy(pr, base=2, dim=None, log=False) ; I.entropy(p2 / p2.sum(-1, True), dim=-1)
I.cross_entropy(rows, rows2, base=2, dim=-1) ; I.kl_divergence(rows, rows2, base=np.e, dim=-1)
I.jensen_shannon(rows, rows2, base=2, dim=-1) ; I.joint_entropy(pr) ; I.conditional_entropy(pr, None)
I.mutual_information(pr, None, None)
I.pointwise_mutual_information(pr) ; I.self_information(p, base=2) ; I.perplexity(p, dim=-1) ; I.normal_entropy(pv, base=2)
I.normal_kl(v, pv, w, pv) ; I.uniform_entropy(lo, hi) ; I.multivariate_normal_entropy(cov)
I.bivariate_normal_mutual_information(0.5) ; I.entropy(p / p.sum(), log=False, raw=True)
L.det(cov) ; L.slogdet(cov) ; L.inv(cov) ; L.solve(cov, x[:2], left=True) ; L.cholesky(cov, upper=True) ; L.eigh(cov, "L")
L.eigvalsh(cov, "U") ; L.eig(cov.detach()) ; L.eigvals(cov.detach()) ; L.svd(x, True) ; L.svdvals(x) ; L.qr(x, "reduced")
L.matrix_power(cov, -2) ; L.pinv(x, atol=1e-6, rtol=1e-5, hermitian=False) ; L.matrix_rank(x, atol=1e-6, hermitian=False)
L.lstsq(x, y, 1e-6, driver="gelsd") ; L.multi_dot([x, y.T, x]) ; L.vander(v, N=3) ; L.cond(cov, 1) ; L.cond(x)
L.solve_triangular(cov, x[:2], upper=True, left=True, unitriangular=False) ; L.norm(x, 2, 1, True) ; L.diagonal(x, offset=1)
L.vector_norm(x, 3, (0, 1), True) ; L.matrix_norm(x, "nuc", (0, 1), True) ; L.cross(t.ones(2, 3), t.ones(2, 3), dim=1)
optimum.convexity_gap(lambda a: a.sum(), x, 2) ; optimum.is_convex(lambda a: a.sum(), x, 2, 0.1)
optimum.jensen_gap(lambda a: a.sum(), x)
optimum.is_convex_set(lambda a: True, x, 2) ; optimum.is_below_set_convex(lambda a: a.sum(), 1.0, x, 2, 0.1)
optimum.newton(t.exp, 1.0, 2, 0.5) ; optimum.smallest_curvature(lambda a: (a**2).sum(), x)
optimum.critical_point(lambda a: (a**2).sum(), x, 1e-4)
optimum.gradient_descent(lambda a: (a**2).sum(), v, 0.1, 3, 0.5) ; optimum.taylor_error(lambda a: (a**2).sum(), v, w, 1)
optimum.gradient_variance(lambda a, r: (a * r).mean(), w, x, 2, 3)
D.Bernoulli(pv, None, None) ; D.Bernoulli(logits=v) ; D.Beta(pv, pv) ; D.Binomial(5, pv) ; D.Categorical(pv)
D.Categorical(logits=v) ; D.Dirichlet(pv) ; D.Exponential(pv) ; D.Gamma(pv, pv) ; D.Geometric(pv)
D.Independent(D.Normal(v, pv), 1) ; D.Laplace(v, pv) ; D.LogNormal(v, pv)
D.Multinomial(5, pv) ; D.MultivariateNormal(mean2, cov) ; D.MultivariateNormal(mean2, scale_tril=cov.tril())
D.Normal(v, pv, True) ; D.OneHotCategorical(pv) ; D.Poisson(pv) ; D.Uniform(lo, hi) ; D.TransformedDistribution(dq, [tr])
D.AffineTransform(0.0, 2.0, 0) ; D.ComposeTransform([tr]) ; D.ExpTransform()
D.SigmoidTransform() ; D.Transform() ; D.Distribution() ; D.kl_divergence(dq, dp) ; D.Normal(v, pv)
D.Bernoulli(pv).log_prob(t.ones(3)) ; D.Bernoulli(pv).sample((2,)) ; D.Beta(pv, pv).log_prob(pv)
D.Beta(pv, pv).rsample((2,)) ; D.Binomial(5, pv).log_prob(t.ones(3)) ; D.Binomial(5, pv).sample((2,))
D.Categorical(pv).log_prob(k) ; D.Categorical(pv).sample((2,)) ; D.Dirichlet(pv).log_prob(pv / pv.sum())
D.Dirichlet(pv).rsample((2,))
D.Exponential(pv).log_prob(pv) ; D.Exponential(pv).cdf(pv) ; D.Exponential(pv).icdf(pv) ; D.Exponential(pv).rsample((2,))
D.Gamma(pv, pv).log_prob(pv) ; D.Gamma(pv, pv).rsample((2,)) ; D.Gamma(pv, pv).cdf(pv) ; D.Geometric(pv).log_prob(t.ones(3))
D.Geometric(pv).sample((2,)) ; D.Independent(D.Normal(v, pv), 1).log_prob(v)
D.Laplace(v, pv).log_prob(v) ; D.Laplace(v, pv).icdf(pv) ; D.Laplace(v, pv).rsample((2,)) ; D.LogNormal(v, pv).log_prob(pv)
D.LogNormal(v, pv).rsample((2,)) ; D.Multinomial(5, pv).log_prob(t.tensor([1.0, 2.0, 2.0]))
D.Multinomial(5, pv).sample((2,)) ; D.MultivariateNormal(mean2, cov).log_prob(mean2)
D.MultivariateNormal(mean2, cov).rsample((2,)) ; D.Normal(v, pv).log_prob(v) ; D.Normal(v, pv).cdf(v)
D.Normal(v, pv).icdf(pv) ; D.Normal(v, pv).sample((2,)) ; D.Normal(v, pv).rsample((2,)) ; D.Normal(v, pv).expand((2, 3))
D.OneHotCategorical(pv).log_prob(t.eye(3)) ; D.OneHotCategorical(pv).sample((2,))
D.Poisson(pv).log_prob(t.ones(3)) ; D.Poisson(pv).sample((2,)) ; D.Uniform(lo, hi).log_prob(lo)
D.Uniform(lo, hi).rsample((2,)) ; D.TransformedDistribution(dq, [tr]).log_prob(pv)
D.TransformedDistribution(dq, [tr]).rsample((2,)) ; tr(v) ; tr.inv(pv) ; tr.log_abs_det_jacobian(v, w)
D.AffineTransform(0.0, 2.0)(v)
data.TensorDataset(n, x) ; ds.__getitem__(1) ; data.ConcatDataset([ds, ds]) ; data.ConcatDataset([ds, ds]).__getitem__(7)
data.Subset(ds, [0, 2]) ; data.Subset(ds, [0, 2]).__getitem__(1) ; data.random_split(ds, [4, 2], gen)
data.random_split(ds, [0.5, 0.5]) ; data.DataLoader(ds, 2, True, None, None, 0, None, False, False, 0)
list(data.DataLoader(ds, 2, True)) ; data.RandomSampler(ds, False, None, gen) ; data.SequentialSampler(ds)
data.SubsetRandomSampler([0, 2], gen) ; data.WeightedRandomSampler([0.1, 0.9], 3, True, gen)
data.BatchSampler(data.SequentialSampler(ds), 2, False) ; data.default_collate([1, 2])
data.default_collate([{"a": x}, {"a": y}])
data.default_convert([A1, 1]) ; data.get_worker_info() ; data.Dataset() ; data.IterableDataset() ; data.Sampler()
list(data.BatchSampler([0, 1, 2], 2, True)) ; list(data.RandomSampler(ds, True, 4))
list(data.WeightedRandomSampler([0.1, 0.9], 3))
transforms.horizontal_flip(img3) ; transforms.normalize(img3, [0.5, 0.5, 0.5], [0.2, 0.2, 0.2]) ; transforms.pad(img3, 2, 0)
transforms.random_crop(img3, 6, 1, 0, gen) ; transforms.random_horizontal_flip(img3, 0.5, gen)
transforms.random_shift(img3, 2, 0, gen) ; transforms.resize(img3, (4, 5), "bilinear") ; transforms.shift(img3, 1, -1, 0)
text.words("a b.") ; text.characters("ab") ; text.Vocab(tok, 0, ["<pad>"]) ; text.Vocab(tok).__getitem__("a")
text.Vocab(tok).to_tokens([0, 1]) ; text.BytePairEncoding("low lower", 3) ; text.NGram(tok, 2, 1.0)
text.bleu("a b", "a b", 2) ; text.ngrams(tok, 2) ; text.pad_or_cut([1, 2], 3, 0)
list(text.random_batches([0, 1, 2, 3, 4, 5, 6], 2, 2)) ; list(text.sequential_batches([0, 1, 2, 3, 4, 5, 6], 2, 2))
text.sequence_arrays([["a"], ["b"]], text.Vocab(tok, 0, ["<pad>", "<bos>", "<eos>"]), 3)
text.sequence_loss(c.permute(0, 1, 2), t.zeros(2, 3).long(), vl)
generation.next_probabilities(t.ones(2, 5), 1.0, 2, 0.9) ; generation.generate(lm, t.zeros(1, 2).long(), 3, 1.0, 2, None)
generation.beam_search(lm, t.zeros(2).long(), 3, 2, 0.75)
ms.KFold(3, shuffle=True, random_state=0) ; list(ms.KFold(2, shuffle=True, generator=gen).split(ds))
ms.train_test_split(n, x, test_size=0.5, train_size=1, random_state=0, shuffle=True) ; ms.count_monomials(3, 2)
ms.train_test_split(ds, test_size=2, generator=gen) ; ms.cross_validate(lambda a, b: len(a), ds, cv=3)
ms.learning_curve(lambda a, b: len(a), n, x, train_sizes=[0.5, 1.0], cv=2)
ms.PolynomialFeatures(2, interaction_only=False, include_bias=True).fit_transform(x) ; ms.PolynomialFeatures(2).fit(x)
ms.StratifiedKFold(2, shuffle=True, random_state=0).split(n, [1, 1]) ; ms.StratifiedKFold(2, shuffle=True, generator=gen)
ms.train_test_split([1, 2, 3, 4], test_size=0.5, stratify=[0, 1, 0, 1], generator=gen)
ms.PolynomialFeatures(2) ; ms.EarlyStopping(3, 0.0, "min") ; ms.EarlyStopping(3)(0.5, nn.Linear(2, 1))
prob.bayes(pr[0] / pr[0].sum(), pv[: len(pr[0])], log=False) ; prob.expectation(rows, x, dim=-1)
prob.variance(rows, x, dim=-1)
prob.BernoulliNB(alpha=1.0, binarize=0.0, fit_prior=True, class_prior=None) ; prob.BernoulliNB().fit(x, k2)
prob.GaussianNB(priors=None, var_smoothing=1e-9) ; prob.GaussianNB().fit(x, k2) ; prob.BernoulliNB().fit(x, k2).predict(x)
prob.GaussianNB().fit(x, k2).predict_proba(y) ; prob.GaussianNB().fit(x, k2).score(y, k2)
"""

# of minidl.d2l and minidl.utils, without what draws or reads the book's data
COURSE = """
d2l.reshape(x, (3, 2)) ; d2l.reduce_sum(x, 0, True) ; d2l.reduce_mean(x, 0, True) ; d2l.argmax(x, 1) ; d2l.astype(x, t.float64)
d2l.to(x, "cpu") ; d2l.numpy(x) ; d2l.size(x) ; d2l.transpose(x) ; d2l.swapaxes(x, 0, 1) ; d2l.expand_dims(x, 0)
d2l.repeat(x, 2, 1) ; d2l.add_to_class(type("C", (), {})) ; d2l.MultiHeadAttention(8, 2, 0.1, True)
d2l.MultiHeadAttention(4, 2, 0.0)(c, c, c, vl) ; d2l.PositionWiseFFN(4, 3) ; d2l.PositionWiseFFN(4, 3)(x) ; d2l.AddNorm(3, 0.1)
d2l.AddNorm(3, 0.1)(x, y) ; d2l.TransformerEncoderBlock(4, 8, 2, 0.1, True) ; d2l.TransformerEncoderBlock(4, 8, 2, 0.1)(c, vl)
d2l.TransformerEncoder(5, 4, 8, 2, 1, 0.1, True) ; d2l.TransformerEncoder(5, 4, 8, 2, 1, 0.1)(ids, vl) ; d2l.Module(2, 1)
d2l.Classifier(2, 1) ; d2l.Classifier().accuracy(x, k2, True) ; d2l.Classifier().loss(x, k2, True) ; d2l.DataModule("data", 0)
d2l.SyntheticRegressionData(gv[:2], 4.2, 0.01, 8, 4, 2)
d2l.SGD(params, 0.1) ; d2l.LinearRegressionScratch(2, 0.1, 0.01) ; d2l.LinearRegression(0.1) ; d2l.SoftmaxRegression(3, 0.1)
d2l.LinearRegression(0.1)(x) ; d2l.SoftmaxRegression(3, 0.1)(x) ; d2l.LeNet(0.1, 10) ; d2l.LinearRegressionScratch(3, 0.1)(x)
d2l.train_2d(lambda a, b, c, d: (a / 2, b / 2, c, d), 3, None) ; d2l.RNNScratch(3, 4, 0.01) ; d2l.RNNScratch(3, 4)(c.mT, None)
d2l.RNN(3, 4) ; d2l.RNN(3, 4)(c.mT, None) ; d2l.GRU(3, 4, 1, 0.0) ; d2l.RNNLMScratch(d2l.RNNScratch(5, 4), 5, 0.1)
d2l.RNNLMScratch(d2l.RNNScratch(5, 4), 5, 0.1)(ids, None) ; d2l.RNNLM(d2l.RNN(5, 4), 5, 0.1)
d2l.RNNLM(d2l.RNN(5, 4), 5, 0.1)(ids)
d2l.RNNLM(d2l.RNN(4, 4), 4, 0.1).predict("ab", 2, text.Vocab(tok), None) ; d2l.EncoderDecoder(lin, net)
d2l.Seq2Seq(lin, net, 0, 0.1) ; d2l.Timer() ; d2l.Benchmark("Done") ; d2l.Accumulator(2) ; d2l.Accumulator(2).add(1, 2.0)
d2l.cpu() ; d2l.num_gpus() ; d2l.try_gpu(0) ; d2l.try_all_gpus() ; d2l.check_shape(x, (2, 3)) ; d2l.check_len(tok, 4)
d2l.corr2d(x, q[:2, :2]) ; d2l.synthetic_data(gv, 4.2, 5) ; d2l.linreg(x, v, 0.5) ; d2l.squared_loss(x, y)
d2l.sgd(params, 0.1, 2)
d2l.load_array((x, k2), 1, True) ; d2l.get_fashion_mnist_labels([0, 1]) ; d2l.accuracy(x, k2)
d2l.evaluate_accuracy(net, [(x, k2)])
d2l.evaluate_loss(net, [(x, x[:, :2])], nn.MSELoss(reduction="none")) ; d2l.evaluate_accuracy_gpu(net, [(x, k2)], None)
d2l.train_epoch_ch3(net, [(g, k2)], nn.CrossEntropyLoss(reduction="none"), opt) ; d2l.get_dataloader_workers()
d2l.grad_clipping(net, 1.0) ; d2l.HyperParameters() ; d2l.extract("missing.zip", None)
metrics.accuracy(x, k2) ; metrics.confusion_matrix(x, k2, 3) ; callbacks.EarlyStopping("val_loss", 2, "min", 0.0, True)
callbacks.Checkpoint("missing/x.npz", 2) ; callbacks.LearningRateLog() ; callbacks.Evaluation("train", [x])
callbacks.Callback()
train.Trainer(2, 0, 0.5, loss=nn.MSELoss(), optimizer=opt, step_every="step", metrics=[metrics.accuracy], progress=False)
train.Trainer(1, loss=nn.CrossEntropyLoss(), optimizer=opt, progress=False).fit(net, [(g, k2)], None)
train.Trainer(1, loss=nn.CrossEntropyLoss(), metrics=[metrics.accuracy]).evaluate(net, [(g, k2)])
train.Trainer(1, progress=False).fit(d2l.LinearRegression(0.1), ([(g, g[:, :1])], [(g, g[:, :1])])) ; checkpoint.random_state()
checkpoint.ResumableLoader([x]) ; checkpoint.set_random_state(checkpoint.random_state())
checkpoint.save_checkpoint("missing/x.npz", model=net) ; checkpoint.load_checkpoint("missing/x.npz", model=net)
t.summary(net, (2, 3)) ; t.summary(net, None, x) ; history.History([{"epoch": 1}])
history.History([{"epoch": 1}]).column("epoch")
history.Progress()
viz.make_dot(x * 2, None, True, True, 50, most=20) ; viz.Snapshots(net, 2) ; viz.Snapshots(net)()
viz.loss_landscape(net, lambda: 1.0, None, span=1.0, points=3, seed=0, train=False)
viz.GradientNorms(net) ; viz.GradientNorms(net)()
viz.decision_boundary(fv, x[:, :2], k2, None, points=4, margin=0.1, threshold=0.0, title="t")
"""

KERNELS = """
K.add_rows(np.zeros((5, 3), np.float32), L3, np.ones((3, 3), np.float32)) ; K.attention(Q, Q, Q, None, True, 1.0)
K.attention(Q, Q, Q, np.zeros((4, 4), np.float32), False, 0.5) ; K.batch_norm(A4, R4, R4, 1e-5, None)
K.sum_over(A3, (0, 2), True) ; K.running_sums(A2, 1, False) ; K.total(A3, (0,), False)
K.attention_backward(Q, Q, Q, Q, Q, K.attention(Q, Q, Q)[1], None, False, 1.0)
K.batch_norm_backward(A4, A4, R4, 1e-5, K.batch_norm(A4)[1]) ; K.group_norm_backward(A4, A4, 2, R4, K.group_norm(A4, 2)[1])
K.layer_norm_backward(A2, A2, 1, R4, K.layer_norm(A2, 1)[1])
K.binary_cross_entropy_with_logits(A2, A2) ; K.binary_cross_entropy_with_logits_backward(A2, A2)
K.conv2d(A4, W4, Bi, (1, 1), (0, 0, 0, 0), (1, 1), 1) ; K.conv2d_input(O4, W4, (6, 5), (1, 1), (0, 0, 0, 0), (1, 1), 1)
K.conv2d_weight(A4, O4, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1)
K.cross_entropy(A2, L3, R4, -100, 0.1) ; K.cross_entropy_soft(A2, A2, R4, 0.1)
K.cross_entropy_backward(A1[:3], A2, K.cross_entropy(A2, L3)[1], L3, R4, -100, 0.1, K.cross_entropy(A2, L3)[2])
K.cross_entropy_soft_backward(A1[:3], A2, K.cross_entropy_soft(A2, A2)[1], A2, R4, 0.1)
K.cross_entropy_soft_backward_targets(A1[:3], A2, K.cross_entropy_soft(A2, A2)[1], R4, 0.1) ; K.digamma(A2) ; K.elu(A2, 1.0)
K.elu_backward(A2, A2, 1.0) ; K.erf(A2) ; K.erfc(A2) ; K.exp(A2) ; K.expm1(A2) ; K.gamma_slope(A2, A2) ; K.gammainc(A2, A2)
K.gelu(A2, False) ; K.gelu_backward(A2, A2, True)
K.group_norm(A4, 2, R4, R4, 1e-5) ; K.layer_norm(A2, 1, R4, R4, 1e-5, True) ; K.leaky_relu(A2, 0.01)
K.leaky_relu_backward(A2, A2, 0.01) ; K.lgamma(A2) ; K.linear(A2, np.ones((5, 4), np.float32), A1)
K.linear_backward(np.ones((3, 5), np.float32), A2, np.ones((5, 4), np.float32))
K.log(A2) ; K.log1p(A2) ; K.log2(A2) ; K.log_softmax(A2, -1) ; K.log_softmax_backward(A2, A2, -1) ; K.logsigmoid(A2)
K.logsigmoid_backward(A2, A2) ; K.logsumexp(A2, 0) ; K.matmul(A2, B2) ; K.matmul(D2, D2.T) ; K.polygamma(1, A2) ; K.relu(A2)
K.relu_backward(A2, A2)
K.max_pool(A4, axes)
K.mean_pool(A4, axes, True, None) ; K.pool_windows(7, 3, 2, 1, 1, False)
K.adaptive_windows(7, 3) ; K.sigmoid(A2) ; K.sigmoid_backward(A2, A2) ; K.silu(A2) ; K.silu_backward(A2, A2)
K.max_pool_backward(np.ones((2, 4, 3, 2), np.float32), K.max_pool(A4, axes)[1], axes)
K.mean_pool_backward(np.ones((2, 4, 3, 2), np.float32), axes)
K.max_pool_indices(K.max_pool(A4, axes)[1], axes)
K.softmax(A2, 0) ; K.softmax_backward(A2, A2, -1) ; K.softplus(A2, 1.0, 20.0) ; K.softplus_backward(A2, A2, 1.0, 20.0)
K.sum_of_squares(A2)
K.tanh(A2) ; K.tanh_backward(A2, A2) ; K.set_num_threads(1) ; K.set_memory_kept(256) ; K.get_memory_kept() ; K.empty_cache()
K.get_num_threads() ; K.xray(None) ; K.update_running(R4, R4 + 1, K.batch_norm(A4)[1], 0.1, 9)
K.running_statistics(R4, R4 + 1)
K.box_muller(np.arange(16, dtype=np.uint64), 0.0, 1.0, np.zeros(16, np.float32))
K.to_int64(np.array([1, 2], np.int32)) ; K.add(A2, A2) ; K.copy(A2) ; K.count_up(np.array(2))
K.join(A2, A2) ; K.einsum(("ij", "kj"), "ik", A2, A2)
K.take_rows(A2, np.array([0, 2])) ; K.sum_rows(A2, L3, 5)
K.common_norm([A2, A1], 0.5) ; K.scale_all([A2.copy()], np.ones(2))
K.squared_error(A2, A2) ; K.squared_error_backward(A2, A2, 2.0)
K.negative_log_likelihood(np.ones((3, 4), "f4"), np.array([0, 2, 3]), np.ones(3, "f4"))
K.negative_log_likelihood_backward(np.ones(3, "f4"), np.array([0, 2, 3]), np.ones(3, "f4"), 4)
K.negative_log_likelihood_total(A2, L3, R4, -100, True)
K.negative_log_likelihood_total_backward(np.ones(1, "f4"), L3, np.ones(3), 4, R4, -100)
K.max_along(A3, 0) ; K.min_along(A2, 1) ; K.topk(A2, 2, True)
K.amax(A3, (0,)) ; K.amin(A2, (0, 1)) ; K.clamp(A2, 0.5, 1) ; K.variance(A3, (1,), 3.0, True)
K.add_to_channels(np.ones((2, 3, 4, 5), "f4"), np.ones(3, "f4"))
K.place_at(np.ones(3, np.float32), 1, np.ones((3, 2), np.float32), 1)
K.lstm(np.ones((5, 3), np.float32), ones2, ones2, Wih, Whh, b8, np.array([0, 2, 4, 5]))
K.rnn(np.ones((5, 3), np.float32), np.ones((2, 2), np.float32), Wr, Wrh, b2, np.array([0, 2, 4, 5]), True)
K.gru(np.ones((5, 3), np.float32), np.ones((2, 2), np.float32), W6, W62, Bi, Bi, np.array([0, 2, 4, 5]), True)
K.adam(A2, A2 * 1, A2 * 2, A2 * 3, None, step=1, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0)
K.rnn_backward(np.ones((5, 2), "f4"), ones2, Wrh, np.array([0, 2, 4, 5]), np.ones((7, 2), "f4"))
K.lstm_backward(np.ones((5, 2), "f4"), ones2, ones2, Whh, np.array([0, 2, 4, 5]), np.ones((5, 8), "f4"), np.ones((7, 2), "f4"))
K.gru_backward(np.ones((5, 2), "f4"), ones2, W62, np.array([0, 2, 4, 5]), np.ones((5, 8), "f4"), np.ones((7, 2), "f4"), True)
K.ctc_backward(A3[0, :, 0], np.log(A3), L3[:1].repeat(6).reshape(3, 2), L3[:1].repeat(3) + 2, L3[:1].repeat(3), 0)
K.ctc_forward(np.log(A3), L3[:1].repeat(6).reshape(3, 2), L3[:1].repeat(3) + 2, L3[:1].repeat(3), 0)
K.optimizer_step("lion", A2, A2 * 2, (A2 * 3,), rate=0.1, beta1=0.9, beta2=0.99, sign=-1.0, decay=0.0, shrink=0.9)
K.optimizer_step("yogi", A2, A2 * 2, (A2 * 3, A2 * 4), rate=0.1, beta1=0.9, beta2=0.99, root=0.5, eps=0.1)
K.sgd(A2, A2 * 2, A2 * 3, 0.001, 0.9, 0.0, 0.0, False)
data.DistributedSampler(range(5), 2, 0, True, 0, False)
data.digits(True, 0.2, 0, None) ; data.read_idx("missing") ; data.write_idx("missing/x", A2) ; t.load("missing", "cpu")
t.save(x, "missing/x") ; data.MNIST("missing", True) ; data.FashionMNIST("missing", True)
"""


def lines():
    unary = [f"x.{name}()" for name in UNARY if name not in ("t", "trace")] + [f"x.{name}()" for name in UNARY_METHODS]
    unary += [f"t.{name}(x)" for name in UNARY if hasattr(minidl, name) and not isinstance(getattr(minidl, name), np.dtype)]
    binary = [
        call
        for name in BINARY
        for call in (f"x.{name}(y)", f"x.{name}(2.0)" if name != "equal" else "x.equal(y)", f"t.{name}(x, y)")
        if _has(call)
    ]
    twins = sorted({f"{name}_" for name in UNARY if hasattr(minidl.Tensor, f"{name}_")} | set(WRITES))
    writes = [f"raw.{name}()" for name in twins]
    writes += [f"raw.{name}_(g)" for name in BINARY if hasattr(minidl.Tensor, f"{name}_")]
    writes += [f"t.{name}(raw)" for name in twins if hasattr(minidl, name)] + ["t.xlogy_(raw, g)"]
    blocks = (FUNCTIONAL, METHODS, TOP, LAYERS, OTHERS, COURSE, KERNELS)
    written = [call for block in blocks for line in block.splitlines() for call in line.split(" ; ")]
    return [*unary, *binary, *writes, *written, *_activations("\n".join(written))]


def _activations(written):
    """Calls of the activations that have none in the tables above: of a matrix, with their options as they are."""
    for name in (*functional.activation.__all__, *functional.piecewise.__all__):
        if f"F.{name}(" not in written:
            yield f"F.{name}({'raw' if name[-1] == '_' else 'x'})"
    for name in (*nn.activation.__all__, *nn.piecewise.__all__):
        if f"nn.{name}(" not in written:
            yield f"nn.{name}()"
            yield f"nn.{name}()(x)"


def _has(call):
    return not call.startswith("t.") or hasattr(minidl, call[2:].partition("(")[0])


class Call:
    """One line of the table: what is called, and the source of each argument."""

    def __init__(self, source):
        self.source = source
        node = ast.parse(source, mode="eval").body
        self.method = None
        target = node.func
        arguments = list(node.args)
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and _is_tensor(target.value.id):
            self.method = target.attr
            arguments = [target.value, *arguments]  # x.sum(1) is T.sum(x, 1)
            target = ast.Attribute(ast.Name("T", ast.Load()), target.attr, ast.Load())
        self.name = ast.unparse(target)
        self.target = _compiled(target)
        self.arguments = [_compiled(node) for node in arguments]
        self.keywords = {keyword.arg: _compiled(keyword.value) for keyword in node.keywords}

    def make(self):
        """(function, positional arguments, keyword arguments), all new."""
        space = names()
        function = eval(self.target, {}, space)
        return (
            function,
            [eval(code, {}, space) for code in self.arguments],
            {k: eval(code, {}, space) for k, code in self.keywords.items()},
        )


def _is_tensor(name):
    return name in NAMES and isinstance(NAMES[name], types.FunctionType) and NAMES[name].__qualname__.startswith("_tensor")


def _compiled(node):
    return compile(ast.fix_missing_locations(ast.Expression(node)), "<call>", "eval")


@functools.cache
def all_calls():
    return [Call(line.strip()) for line in lines() if line.strip()]


def parameters(function):
    """The names of a function's parameters that may be given by keyword, with their defaults."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return {}
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return {name: p.default for name, p in signature.parameters.items() if p.kind in kinds}


# T.cuda, half and bfloat16 raise always; register_kl would change the table of divergences, set_printoptions all reprs.
# A memory_format is one of four objects. Of the course: what draws, reads the book's data, or raises always; Interrupts takes
# Ctrl-C, ProgressBar writes to the screen.
WITHOUT_CALL = {
    "T.bfloat16",
    "T.cuda",
    "T.half",
    "t.memory_format",
    "t.set_printoptions",
    "D.register_kl",
    "data.download",
    "t.Tensor",
    "callbacks.Interrupts",
    "callbacks.LivePlot",
    "callbacks.ProgressBar",
    "d2l.Animator",
    "d2l.annotate",
    "d2l.FashionMNIST",
    "d2l.MTFraEng",
    "d2l.TimeMachine",
    "d2l.download",
    "d2l.download_extract",
    "d2l.get_data_ch11",
    "d2l.gpu",
    "d2l.load_data_fashion_mnist",
    "d2l.plot",
    "d2l.set_axes",
    "d2l.set_figsize",
    "d2l.show_heatmaps",
    "d2l.show_images",
    "d2l.show_list_len_pair_hist",
    "d2l.show_trace_2d",
    "d2l.train_ch11",
    "d2l.train_ch6",
    "d2l.train_concise_ch11",
    "d2l.use_svg_display",
}


def _of(x, module):
    return getattr(x, "__module__", "").startswith(module)


def missing():
    """The public functions without a call in the table."""
    called = {call.name for call in all_calls()}
    public = {
        "F": functional.__all__,
        "K": kernels.__all__,
        "I": information.__all__,
        "D": distributions.__all__,
        "optim": optim.__all__,
        "nn": [n for n in dir(nn) if n[0].isupper()],
        "T": [n for n in dir(minidl.Tensor) if n[0] != "_" and callable(getattr(minidl.Tensor, n))],
        "t": [
            n
            for n, f in vars(minidl).items()
            if n[0] != "_" and callable(f) and getattr(f, "__module__", "").startswith("minidl")
            if n not in minidl._INTERNAL and n not in minidl._HABITS  # which are there once somebody has asked for them
        ],
        "init": [n for n in dir(init) if n[-1] == "_" and n[0] != "_"],
        "data": data.__all__,
        "ms": model_selection.__all__,
        "d2l": [n for n in d2l.__all__ if _of(getattr(d2l, n), "minidl.d2l")],
        **{
            name: [n for n, x in vars(module).items() if n[0] != "_" and _of(x, module.__name__)]
            for name, module in (
                ("metrics", metrics),
                ("callbacks", callbacks),
                ("checkpoint", checkpoint),
                ("history", history),
            )
        },
        "train": ["Trainer"],
        "prob": probability.__all__,
    }
    functions = {
        f"{module}.{name}" for module, found in public.items() for name in found if callable(getattr(MODULES[module], name))
    }
    return sorted(functions - called - WITHOUT_CALL)
