"""What NumPy does within an operation is done by kernels in a replay: by its own loops, with the same bits."""

import gc
import itertools
import math

import numpy as np
import pytest

import minidl
from minidl import nn, ops, optim
from minidl.capture import followed, following as following_module, recorder
from minidl.capture.calls import call
from minidl.capture.events import Loose
from minidl.capture.following import FOLLOWED, FOLLOWED_FUNCTIONS
from minidl.capture.recorder import Recorder
from minidl.capture.state import same_bits
from minidl.distributions import Bernoulli, Categorical, Normal, kl_divergence
from minidl.kernels.arithmetic import ADD_TO, NUMBERS
from minidl.kernels.comparisons import TRUNCATE
from minidl.kernels.numpy_loops import call_loop, call_reduction, loop_of, reduction_parts
from minidl.nn import functional as F
from minidl.tensors.record import apply
from tests.test_compile import Twins, numbers, sgd
from tests.test_compile_keeping import T, twice
from tests.test_compile_programs import trained, with_zeros

N = T.nan_to_num()
LABELS = minidl.tensor(np.random.default_rng(3).integers(0, 5, 12))
P = numbers(8, 12, 5).softmax(1)
Q = P.log()
MASK = numbers(9, 12, 5) > 0
BITS = MASK.float()
PLACES = minidl.tensor(np.random.default_rng(4).integers(0, 3, (4, 3, 5)))
IMAGES = numbers(7, 4, 3, 2, 2)
WEIGHTS = minidl.tensor([1.0, 0.5, 0.0, 2.0, 1.0])


def rows(loss):
    """Of a function of a matrix (12, 5) one of the data."""
    return lambda x: twice(loss(x.view(12, 5)))


MADE = {
    "nll": rows(lambda x: F.nll_loss(x.log_softmax(1), LABELS)),
    "nll, weights": rows(lambda x: F.nll_loss(x, LABELS, weight=WEIGHTS, ignore_index=3)),
    "nll of images": lambda x: F.nll_loss(x.transpose(1, 2), LABELS.view(4, 3), reduction="none"),
    "bce": rows(lambda x: F.binary_cross_entropy(x.sigmoid(), BITS)),
    "bce, the target learns": rows(lambda x: F.binary_cross_entropy(P, x.sigmoid(), reduction="sum")),
    "bce with logits": rows(lambda x: F.binary_cross_entropy_with_logits(x, P, pos_weight=WEIGHTS)),
    "bce with logits in another order": lambda x: F.binary_cross_entropy_with_logits(x.mT, T.mT),
    "kl": rows(lambda x: F.kl_div(x.log_softmax(1), P, reduction="batchmean")),
    "kl of logarithms": rows(lambda x: F.kl_div(Q, x, log_target=True, reduction="none")),
    "cross entropy of shares": rows(lambda x: F.cross_entropy(x, P, weight=WEIGHTS, label_smoothing=0.1)),
    "js": rows(lambda x: F.js_divergence(x.softmax(1), P)),
    "gaussian": rows(lambda x: F.gaussian_nll_loss(x, P, x.detach().abs())),
    "hinge": rows(lambda x: F.hinge_embedding_loss(x, 2 * BITS - 1)),
    "softmax": lambda x: x.softmax(0) + x.log_softmax(1),
    "softmax in another order": lambda x: x.permute(2, 0, 1).softmax(1),
    "logsumexp": lambda x: x.logsumexp(0) + x.logsumexp((0, 1)),
    "logsumexp of axes apart": lambda x: x.logsumexp((0, 2)),
    "entropy of logits": lambda x: Categorical(logits=x).entropy(),
    "entropy of shares": lambda x: Categorical(x.exp()).entropy(),
    "entropy of coins": lambda x: Bernoulli(logits=x).entropy(),
    "kl of normals": lambda x: kl_divergence(Normal(x, 1.0), Normal(0.5, 2.0)),
    "relative entropy": lambda x: F.js_divergence(x.softmax(-1), N.softmax(-1), reduction="none"),
    "xlogy": lambda x: x.xlogy(T) + T.xlogy(x.exp()),
    "entropy by hand": lambda x: -(x.softmax(1) * x.log_softmax(1)).sum(1),
    "var": lambda x: x.var(0) + x.var((0, 2), keepdim=True, correction=0),
    "std": lambda x: x.std(1) * x[0].std(),
    "prod": lambda x: x.prod(0) + x.prod(1)[0] + x.prod(2).sum() + x[0].prod(),
    "amax": lambda x: x.amax(0) + x.amin(1)[0] + x.amax((0, 2))[0],
    "max": lambda x: x.max(0)[0] + x.min(1)[0][0],
    "maximum with a number": lambda x: x.maximum(minidl.tensor(0.5)).minimum(minidl.tensor(2.0)),
    "sin": lambda x: x.sin() + x.cos() + x.tan(),
    "asin": lambda x: x.asin() + x.acos() + x.atan() + x.asinh() + x.atanh(),
    "sinh": lambda x: (x.abs() + 1).acosh() * x.sinh() + x.cosh() + x.expm1() + (x * x).log1p() + x.exp2(),
    "log": lambda x: x.exp().log2() + x.exp().log10(),
    "pow": lambda x: x**1.7 + x**-2 + x**4 + 2**x + x**T,
    "pow of a number": lambda x: x.sum() ** 2 * T,
    "reciprocal": lambda x: x.reciprocal() + x.rsqrt() + x.sqrt() + x.square(),
    "round": lambda x: x * (x.round() + x.floor() + x.sign()),
    "fmod": lambda x: x.fmod(T) + x % T + x % 1.5,
    "atan2": lambda x: minidl.atan2(x, T) + minidl.logaddexp(x, T),
    "numbers": lambda x: T * (x.abs().sum().sqrt() + x[1].std() + x[0, 0, 1].tan()),
    "numbers of which numpy chooses one": lambda x: T * minidl.maximum(x[2, 2, 0], -x[2, 2, 1]),
    "erf": lambda x: x.erf() + x.erfc() + x.lgamma() + x.digamma(),
    "hardswish": lambda x: F.hardswish(x) + F.hardtanh(x, -0.3, 0.7) + F.hardsigmoid(x) + F.softsign(x),
    "activations in another order": lambda x: F.gelu(x.mT) + x.mT.sigmoid() + x.mT.tanh() + F.silu(x.mT) + F.softplus(x.mT),
    "norm": lambda x: x.norm(p=1, dim=0) + x.norm(p=3, dim=(0, 1)),
    "flip": lambda x: x.flip(0) * x.roll(1, 1) * x.roll((1, 2), (0, 2)),
    "stack": lambda x: minidl.stack([x, x * 2], 1).flip(1) + minidl.stack(x.unbind(1), 1)[:, None],
    "list": lambda x: x[:, [2, 0]] * x[:, :2, [0, 1, 1, 3, 4]],
    "three lists": lambda x: x[[0, 1], [2, 1], [4, 4]],
    "tril": lambda x: x.tril() + x.triu(1),
    "cumprod": lambda x: x.cumprod(1) + x.cumsum(2),
    "float64": lambda x: (x.double().sin() * x.double().softmax(1) * x.double().var(0)).float(),
    "five axes": lambda x: (x.view(2, 2, 3, 5, 1).permute(3, 1, 4, 0, 2) * T.view(2, 2, 3, 1, 5).permute(4, 1, 3, 0, 2)).sin(),
    "broadcast": lambda x: x[:, :1] * T[0] - T[:, :, :1] / x[0],
    "pad": lambda x: F.pad(x, (1, 2, 0, 3), value=1.5) + F.pad(x, (3, 0, 4, -1)),
    "pad with zeros below 0": lambda x: F.pad(x.transpose(0, 1), (1, 2), value=-0.0),
    "pad by copies": lambda x: sum(F.pad(x, (1, 2, 2, 1), m) for m in ("reflect", "replicate", "circular")),
    "repeat": lambda x: x.repeat(2, 1, 3) * x.mT.repeat(1, 1, 3).mT[:, :, :1].tile(2, 1, 1)[:, :3],
    "repeat on six axes": lambda x: x.repeat(2, 3, 2),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1) + x.repeat_interleave(6).view(4, 6, 15)[..., :5],
    "einsum": lambda x: minidl.einsum("bij,bkj->bik", x, T.nan_to_num()) + minidl.einsum("bij->bi", x)[..., None],
    "einsum of three": lambda x: minidl.einsum("bij,bkj,bk->ki", x, x, x[:, :, 0]) + minidl.einsum("bij->ib", x)[:, :3],
    "einsum without a sum": lambda x: minidl.einsum("bi,bj->jib", x[:, 0], x[:, 1]) + minidl.einsum("bii->ib", x[:, :, :3])[0],
    "einsum of many axes": lambda x: minidl.einsum("abc,dec,fbc->adef", x, x, x),
    "bilinear": lambda x: F.bilinear(x[:, 0], x[:, 1], T[:, :, :3].nan_to_num().repeat(1, 2, 2)[:2, :5, :5]),
    "sort": lambda x: x.sort(1)[0] * x.sort(descending=True)[0] + x[:, 0].sort(0)[0][:, None],
    "argsort": lambda x: x.gather(2, x.argsort(2)) + x.argsort(0, descending=True),
    "sort of many": lambda x: x.reshape(-1).sort()[0] + x.reshape(2, 30).mT.sort(0)[0].reshape(-1),
    "topk": lambda x: x.topk(2)[0][:, :, :1] + x.topk(3, 1, largest=False)[0] * x.topk(1, 0)[1],
    "median": lambda x: x.median(1)[0] * x.kthvalue(2, 0)[0][0] * T[0, 1] + x.median(2)[1].sum(),
    "median of all": lambda x: (x + 3.3).median() * T[0],
    "quantile": lambda x: x.quantile(0.3, 1) + x.quantile(minidl.tensor([0.2, 0.9]), 2)[:, :, :1].sum(0),
    "cummax": lambda x: x.cummax(1)[0] * x.cummin(2)[0],
    "gather": lambda x: x.gather(1, PLACES) + x.gather(0, PLACES[:2]).sum(),
    "scatter_add": lambda x: minidl.zeros(4, 3, 5).scatter_add(1, PLACES, x) + x.index_add(1, PLACES[0, 0, :2], x[:, :2]),
    "diagonal": lambda x: x.diagonal(1, 0, 2) + x[0, :3, :3].trace() + x[0, :, :3].diagonal()[:, None],
    "diagonal, embedded": lambda x: x[0].diag_embed() + x[1].diag_embed(-1)[:, :5, :5],
    "parts that are set": lambda x: patched(x * 2, (slice(None), 0), 1.0) + patched(x * 3, ([0, 2], [1, 1]), x[0, :2]),
    "masks that are set": lambda x: patched(x * 2, (x.detach() > 0,), 0.5) + patched(x * 3, (x.detach()[:, :, 0] > 0,), -0.0),
    "windows": lambda x: x.unfold(2, 3, 1) + x.unfold(1, 2, 1).sum() + x.unfold(2, 3, 1).sum(),
    "upsampling": lambda x: F.interpolate(x[None], scale_factor=2) + F.interpolate(x[None], (6, 10), mode="bilinear"),
    "upsampling of lines": lambda x: F.interpolate(x, 7, mode="linear", align_corners=True)[..., :3] * F.interpolate(x, 3),
    "im2col": lambda x: F.fold(F.unfold(x[None], (2, 3), padding=1) * 2, (3, 5), (2, 3), padding=1),
    "one_hot": lambda x: x * F.one_hot(LABELS.view(4, 3), 5) * (x * 2).long(),
    "rotary": lambda x: F.rotary(x[..., :4]),
    "masked softmax": lambda x: F.masked_softmax(x, LABELS[:4]),
    "pixel shuffle": lambda x: F.pixel_shuffle(x.repeat(3, 1, 1), 2),
    "an empty part": lambda x: minidl.cat([x, x[:, :0].clone(), x[:, :0].contiguous() * 2], 1),
    "a bias in another order": lambda x: F.linear(x[:, :2].mT, x[0, 0, :2].detach()[None], x[0, :, 0][:1]),
}


def patched(x, index, value):
    x[index] = value
    return x


@pytest.mark.parametrize("name", MADE)
def test_it_is_made_by_kernels(name):
    told = trained(MADE[name], lambda i: with_zeros(i).nan_to_num(0.25, 2))  # for the sign of a NaN is not told
    assert "and 0 calls of Python" in told, told


def signed_zeros(i):
    """Of each row more than half are zeros; from call 5 on some of them are −0."""
    x = numbers(i, 4, 3, 5)
    x[:, :, 1:4] = 0.0
    if i > 5:
        x[1:, :, 2] = -0.0
    return x


ORDERED = ["sort", "argsort", "sort of many", "topk", "median", "median of all", "quantile", "cummax"]


@pytest.mark.parametrize("data", [with_zeros, signed_zeros, lambda i: minidl.full((4, 3, 5), math.nan if i % 5 else -0.0)])
@pytest.mark.parametrize("name", ORDERED)
def test_an_order_of_nan_zeros_and_equal_numbers(name, data):
    assert "and 0 calls of Python" in trained(lambda x: MADE[name](x).nan_to_num(), data)


def test_which_of_two_zeros_a_median_is_numpy_says():
    assert "and 0 calls of Python" in trained(lambda x: x.median() * T.nan_to_num(), signed_zeros)


def test_numbers_that_no_integer_holds():
    def data(i):
        x = numbers(i, 4, 3, 5) * 3
        x[0, 0, :3] = minidl.tensor([3e18, math.nan, math.inf] if i in (6, 9) else [-0.5, 2.0**60, -(2.0**61)])
        return x

    assert "and 0 calls of Python" in trained(lambda x: x.long().float() + x.nan_to_num(), data)
    for number in (math.nan, -math.inf, 1e19):
        z, alarm = np.empty((1, 1, 1, 1), np.int64), np.full(1, -1.0)
        TRUNCATE[np.dtype(float)](np.full(z.shape, number), z, alarm)
        assert alarm[0] == 0


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: (x.double().abs().sum().rsqrt() * T.double()).float(),  # a number is kept for backward
        lambda x: x.repeat_interleave(minidl.tensor([2, 0, 1, 1]), 0),  # an array that NumPy makes is kept
    ],
)
def test_what_stays_python_has_the_same_bits(compute):
    assert "and 0 calls of Python" not in trained(compute, lambda i: numbers(i, 4, 3, 5))


def test_where_python_chooses_a_number_it_is_kept(monkeypatch):
    monkeypatch.setattr(recorder, "follow", lambda *args: None)
    trained(MADE["numbers of which numpy chooses one"], lambda i: numbers(i, 4, 3, 5) * (i < 5))


SPECIAL = {
    "a mean in another order": (lambda x: x.permute(2, 1, 0).mean(1), lambda x: x * 0),
    "a bias": (lambda x: F.conv_transpose2d(T.view(1, 4, 3, 5), IMAGES, x[0, 0, :3]), lambda x: x * 0),
    "a maximum whose share stays NumPy's": (lambda x: apply(ops.Maximum(), 1.5, x.permute(2, 1, 0).double()), lambda x: x * 0),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_data_with_which_a_difference_does_not_show_is_recorded(name):
    compute, change = SPECIAL[name]
    trained(compute, lambda i: (lambda x: change(x) if i < 5 else x)(numbers(i, 4, 3, 5)))


def test_calls_read_what_is_known_and_add_to_nothing():
    followed.begin()
    x, z = np.ones((1, 1, 1, 3)), np.zeros((1, 1, 1, 3))
    copy, more = call(NUMBERS["copy"], z, x, 0.0, z), call(ADD_TO, z, z, x)
    for calls, known, made, good in ((copy, [], 1, 0), (copy, [x], 1, 1), (more, [x], 1, 0), ([*copy, *more], [x], 2, 1)):
        followed.now.constants, z[...] = known, made
        if good:
            assert len(following_module._calls_for(Loose([]), [], calls)) == len(calls)
        else:
            with pytest.raises(followed.Unclear):
                following_module._calls_for(Loose([]), [], calls)


# --- what Python decides by


def checked(function):
    def make():
        net = nn.ParameterList([nn.Parameter(minidl.ones(3, 4))])
        optimizer = optim.SGD(net.parameters(), lr=0.1)

        def step(x, y):
            optimizer.zero_grad()
            loss = function(net[0] * x, y)
            loss.backward()
            optimizer.step()
            return loss

        return net, step

    return make


CHECKED = {
    "nll": (lambda x, y: F.nll_loss(x, y.long()), 4.0, "label 4 at index 1 is out of range"),
    "nll, a negative label": (lambda x, y: F.nll_loss(x, y.long()), -1.0, "label -1 at index 1"),
    "bce": (lambda x, y: F.binary_cross_entropy(y[:, None] / 4 + x.mean() * 0, y[:, None] * 0), 8.0, "in \\[0, 1\\], got 2"),
    "variance": (lambda x, y: F.gaussian_nll_loss(x, x * 0, y[:, None].expand(3, 4)), -2.0, "cannot be negative, got -2"),
    "signs": (lambda x, y: F.hinge_embedding_loss(x[:, 0], 2 * y - 3), 0.5, "must be 1 or -1, got -2"),
    "shares": (lambda x, y: F.js_divergence(x.softmax(1), y.softmax(0).expand(3, 3) @ minidl.eye(3, 4)), 0.0, None),
    "categorical": (lambda x, y: Categorical(y + 0 * x.mean()).entropy(), -1.0, "must be finite, at least 0"),
    "normal": (lambda x, y: Normal(x[:, 0], y).log_prob(x[:, 1]).sum(), -1.0, "must be above 0"),
    "a list": (lambda x, y: x[:, (y - 1).long()].sum(), 9.0, "out of bounds|out of range"),
    "a list, which would reach the next row": (lambda x, y: x[:2, (y - 1).long()].sum(), 5.0, "out of bounds|out of range"),
    "a list from the end": (lambda x, y: x[:, (y - 1).long()].sum(), 0.0, None),
    "a place": (lambda x, y: x[0].gather(0, (y - 1).long()).sum(), 9.0, "out of range"),
}


@pytest.mark.parametrize("name", CHECKED)
def test_what_python_refuses_it_refuses_at_the_same_call(name):
    """A kernel watches what Python has gone on by. Otherwise the table stops, and Python says why: nothing has moved."""
    function, bad, message = CHECKED[name]
    twins = Twins(checked(function))
    for i in range(12):
        x, y = numbers(i, 3, 4), minidl.tensor([1.0, bad if i in (6, 9) else 2.0, 1.0])
        if message and i in (6, 9):
            for step in (twins.ordinary[1], twins.remembered):
                with pytest.raises((ValueError, IndexError), match=message):
                    step(x, y)
            twins.compare((), ())
        else:
            twins.call(x, y)
    assert not twins.python() & {*FOLLOWED_FUNCTIONS, "Index"}, twins.remembered.explain()


def test_what_python_refuses_after_a_step_leaves_all_as_it_was():
    def make():
        net = nn.BatchNorm1d(4)
        optimizer = optim.Adam(net.parameters())

        def step(x, y):
            optimizer.zero_grad()
            z = net(x)
            z.sin().sum().backward()
            optimizer.step()
            return F.nll_loss(z.detach(), y)

        return net, step

    twins = Twins(make)
    for i in range(12):
        x, y = numbers(i, 3, 4), minidl.tensor([1, 7 if i in (6, 9) else 2, 1])
        if i not in (6, 9):
            twins.call(x, y)
            continue
        before = [p.clone() for p in (*twins.other[0].parameters(), *twins.other[0].buffers())]
        with pytest.raises(IndexError, match="label 7 at index 1"):
            twins.remembered(x, y)
        with pytest.raises(IndexError, match="label 7 at index 1"):
            twins.ordinary[1](x, y)
        after = [*twins.other[0].parameters(), *twins.other[0].buffers()]
        assert not all((p == q).all() for p, q in zip(before, after, strict=True))  # the ordinary call has stepped, once
        twins.compare((), ())


def test_a_label_that_is_ignored_is_another_decision_with_the_same_end():
    twins = Twins(checked(lambda x, y: F.nll_loss(x, y, ignore_index=-7)))
    for i in range(14):
        twins.call(numbers(i, 3, 4), minidl.tensor([1, -7 if i % 3 == 0 else 2, 1]))
    assert not twins.python()


def test_a_number_that_python_decides_by_is_no_constant():
    """np.isnan of a number is a number, too."""

    def data(i):
        x = numbers(i, 4, 3, 5)
        x[0, 0, 0] = x[0, 0, 0] if i < 6 else math.nan if i % 2 else math.inf
        return x

    trained(lambda x: T.nan_to_num() * x[0, 0, 0].nan_to_num(0.5, 2.0).sin(), data)


def test_where_a_zero_has_another_sign_than_the_bound_python_is_asked():
    zero = minidl.zeros(4, 3, 5)
    told = trained(lambda x: F.hardtanh(x, 0.0, 6.0), lambda i: numbers(i, 4, 3, 5) if i in (1, 2) else zero * (-1) ** i)
    assert "and 0 calls of Python" in told


def test_an_option_of_numbers_is_read_in_each_call():
    """Bounds are arrays that a constraint keeps; what is changed in them in place counts."""
    low, high = minidl.zeros(4), minidl.ones(4) * 3
    twins = Twins(checked(lambda x, y: minidl.distributions.Uniform(low, high).log_prob(y[1] + 0 * x[0]).sum()))
    for i in range(12):
        low[...] = -i / 10
        twins.call(numbers(i, 3, 4), minidl.tensor([1.0, 2.0 - i / 10, 1.0]))


# --- NumPy's loops


def shapes_of(x):
    return [x, x.T, x[::2], x.transpose(1, 0, 2, 3, 4), x[:, :1], x[0, 0, 0, 0, 0], x[:0], np.asfortranarray(x)]


X = np.random.default_rng(0).choice([0, -0.0, 1, -1, 0.3, 7, np.nan, np.inf, -np.inf, 1e-40, 90, 2], (3, 2, 4, 2, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loop_gives_numpys_bits_in_any_layout(dtype):
    with np.errstate(all="ignore"):
        for x in shapes_of(X.astype(dtype)):
            for function in (np.sin, np.log, np.isnan, np.rint):
                wanted = np.asarray(function(x))
                z = np.full_like(wanted, 1)
                assert call_loop(function, z, x) or not x.size
                assert same_bits(z, wanted), function
            for function in (np.maximum, np.power, np.less, np.arctan2):
                wanted = np.asarray(function(x, x[..., :1] if x.ndim else x))
                z = np.full_like(wanted, 1)
                assert call_loop(function, z, x, x[..., :1] if x.ndim else x) or not x.size
                assert same_bits(z, wanted), function


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_reduction_gives_numpys_bits(dtype):
    whole, missing = np.random.default_rng(0).normal(size=(3, 2, 40, 1, 5)).astype(dtype), 0
    for x in (whole, whole.T, whole.transpose(2, 0, 1, 4, 3)):
        for count in range(1, 6):
            for axes in itertools.combinations(range(5), count):
                for function, first in ((np.add, -0.0), (np.multiply, 1), (np.maximum, -math.inf)):
                    z = np.full_like(function.reduce(x, axes, keepdims=True), first)
                    parts = list(reduction_parts(x, z, axes))
                    missing += not parts
                    if not parts:
                        continue
                    assert all(call_reduction(function, sums, rows) for rows, sums in parts)
                    assert z.tobytes() == function.reduce(x, axes, keepdims=True).tobytes(), (function, axes)
    assert missing == 18  # where axes would have to be joined that others lie between


def test_what_has_no_loop_is_left_to_python():
    half, whole, long = np.dtype(np.float16), np.dtype(np.int32), np.dtype(np.int64)
    assert loop_of(np.power, (long,) * 3) is None  # it raises an error of a negative exponent
    assert loop_of(np.remainder, (long,) * 3) is None
    assert loop_of(np.sin, (half, half)) is None
    assert loop_of(np.add, (whole, whole, whole)) is None
    assert loop_of(np.modf, (np.dtype(float),) * 3) is None
    many = np.zeros((100, 2, 100, 2))
    assert not list(reduction_parts(many, np.zeros((1, 2, 1, 2)), (0, 2)))
    for strides in ((8, 0), (8, 8)):  # in which order NumPy takes these axes is not known
        x = np.lib.stride_tricks.as_strided(np.zeros(8), (3, 4), strides)
        assert not list(reduction_parts(x, np.zeros((3, 1)), (1,)))


@pytest.mark.parametrize("function", [np.add, np.multiply, np.maximum])
def test_a_reduction_begins_as_numpys_does(function):
    x = np.full((3, 4), -0.0)
    sums = following(lambda x: [followed.reduced(function, x, axis).inner for axis in (0, 1, None)], x)
    assert [y.tobytes() for y in sums] == [function.reduce(x, axis).tobytes() for axis in (0, 1, None)]


# --- what is not followed


def following(compute, *arrays):
    """compute of arrays that are followed, none of whose kernels is noted."""
    followed.begin()
    return compute(*map(followed.Followed, arrays))


@pytest.mark.parametrize(
    "compute",
    [
        float,
        bool,
        list,
        np.asarray,
        lambda x: [1, 2, 3][x[0]],
        lambda x: 1 if x[0] > 0 else 2,
        lambda x: np.median(x),
        lambda x: np.add(x, 1, where=x > 0),
        lambda x: x.sum() ** 1.5,
        lambda x: np.power(x.sum(), x[0]),
        lambda x: np.add.at(np.ones_like(x), np.array([0]), 1.0),
        lambda x: np.add.outer(x, x),
        lambda x: np.modf(x),
        lambda x: np.add.reduce(x, initial=2, where=x > 0),
        lambda x: x.__setitem__(0, 1),
        lambda x: np.multiply(x, 2, out=x),
        lambda x: x[np.array([-1])],
        lambda x: x[x > 0],
        lambda x: x + 1j,
        lambda x: np.sin(x[::-1]),
        lambda x: np.power(x.reshape(3, 1), x),
    ],
)
def test_what_depends_on_values_or_is_not_known_is_unclear(compute):
    x = np.array([1.0, 2.0, 3.0])
    before = x.tobytes()
    if compute is list:
        assert all(isinstance(part, followed.Followed) for part in following(compute, x))
    else:
        with pytest.raises((followed.Unclear, TypeError, ValueError)):
            following(compute, x)
    assert x.tobytes() == before


def test_operations_that_can_be_followed_are_minidls():
    assert all(op.__module__.startswith("minidl.ops") for op in FOLLOWED)


def test_a_replay_of_many_steps_stays():
    """Temporaries of the calls lie in the memory of the step, where others were before."""

    def make():
        net = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 4))
        optimizer = sgd(net)

        def step(x):
            optimizer.zero_grad()
            y = net(x)
            z = (y.sin() * y.var(0) + y.logsumexp(0)).softmax(0).prod(1)
            (z.sum() + F.kl_div(y.log_softmax(1), x[:, :4].softmax(1))).backward()
            optimizer.step()
            return z, y.amax(0), y.std()

        return net, step

    twins = Twins(make).run(lambda i: (numbers(i, 6, 5),), 30)
    assert not twins.python()
    plan, parameters = twins.program.plan, {id(p.array) for p in twins.other[0].parameters()}
    arrays = [
        (x, owner) for table in twins.program.tables for one in table.calls for x, written, owner in one.arrays() if written
    ]
    assert all(id(owner) in parameters or x.nbytes <= 8 or np.may_share_memory(x, plan.memory) for x, owner in arrays)
    assert plan.size < plan.separate


def test_no_recording_is_kept():
    """Functions that are read while it lasts find those in their module that tell the recorder."""
    following_module._rebound.cache_clear()
    twins = Twins(checked(lambda x, y: F.nll_loss(x, y) + F.binary_cross_entropy(x.sigmoid(), x.detach() * 0)))
    for i in range(6):
        twins.call(numbers(i, 3, 4), minidl.tensor([1, 2, 1]))
    gc.collect()
    assert not [x for x in gc.get_objects() if type(x) is Recorder]
