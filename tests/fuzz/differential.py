"""Differential fuzzing: `python -m tests.fuzz.differential --against numpy --seed 0 --calls 100000` (or torch).

A random call of `cases` is computed by minidl, and by NumPy (`references`) or PyTorch in float64 from the same numbers. Values
may differ by what rounding the inputs once would change, times a constant; NaN and infinities are where they must be. Gradients
are compared with PyTorch's in the same way, with NumPy's by differences along a random direction, where nothing is special.
"""

import argparse
import contextlib
import functools
import gc
import importlib
import sys
import time
import warnings

import numpy as np

import minidl
from minidl.nn import functional

from . import runner, values
from .cases import CASES, Draw

SLACK = 32  # roundings of inputs that an error may be worth
# What minidl does otherwise than PyTorch on purpose: (function, what is compared, kind of values) -> why. "" is any.
INTENDED = {
    ("T.abs", "gradient", "special"): "NaN's gradient is NaN here, 0 there",
    ("T.amax", "gradient", "special"): "beside NaN nothing is the largest: 0 here, NaN there",
    ("T.amin", "gradient", "special"): "as amax",
    ("T.maximum", "gradient", "special"): "beside NaN one gradient is 0 here, none there",
    ("T.minimum", "gradient", "special"): "as maximum",
    ("F.ctc_loss", "gradient", ""): "there only right behind log_softmax",
    ("T.polygamma", "", ""): "there 1e-9 of the value is wrong",
    ("T.digamma", "gradient", ""): "at the poles infinite here, 1e32 there",
    ("F.cross_entropy", "gradient", "special"): "what is ignored gets 0 here, NaN there if the logits are NaN",
    ("F.conv1d", "", "special"): "0 times infinity, where no tap reaches; and as matmul",
    ("F.conv2d", "", "special"): "0 times infinity, where no tap reaches; and as matmul",
    ("F.conv_transpose1d", "", "special"): "0 times infinity, where no tap reaches",
    ("F.conv_transpose2d", "", "special"): "0 times infinity, where no tap reaches",
    ("F.interpolate", "", "special"): "0 times NaN, beside it",
    ("F.bilinear", "", "special"): "another order of sums that overflow",
    ("T.logsumexp", "gradient", "special"): "as softmax",
    ("F.gelu", "", "special"): "−∞ gives −0 here, NaN there",
    ("F.gelu", "value", ""): "by erfc here, by 1 + erf there, which loses digits below −3; NumPy's reference has erfc",
    ("F.silu", "", "special"): "as gelu",
    ("T.pow", "gradient", "special"): "of (−∞)^½ 0 here, NaN there",
    ("F.binary_cross_entropy_with_logits", "", "special"): "∞ − ∞ there; tests/test_wrong_values.py has what is right",
    ("F.elu", "gradient", "special"): "NaN's gradient is NaN here, that of 0 there",
    ("F.celu", "gradient", "special"): "as elu",
    ("F.selu", "gradient", "special"): "as elu",
    ("F.softsign", "gradient", "special"): "of infinity 0 here, NaN there",
    (
        "F.scaled_dot_product_attention",
        "gradient",
        "special",
    ): "differences of huge products, there no nearer to the truth",
    ("T.matmul", "", "special"): "infinite products of both signs in float32, where the truth has room for them",
    ("T.bmm", "", "special"): "as matmul",
    ("T.mv", "", "special"): "as matmul",
    ("T.mm", "", "special"): "as matmul",
    ("T.dot", "", "special"): "as matmul",
    ("T.sum", "value", "special"): "what is left of huge numbers of both signs depends on the order",
    ("T.mean", "value", "special"): "as sum",
    ("F.linear", "", "special"): "as matmul",
    ("T.div", "gradient", "special"): "infinite terms of both signs in float32, where the truth has room for them",
    ("T.lerp", "", "special"): "inf − inf in another place",
    ("F.l1_loss", "gradient", "special"): "as abs",
    ("F.smooth_l1_loss", "gradient", "special"): "as abs, for beta=0",
    ("T.norm", "gradient", "special"): "infinite over infinite",
    ("T.xlogy", "gradient", ""): "0·ln 0 has the gradient 0 here, NaN there",
    ("T.sign", "", "special"): "NaN's sign is NaN here, 0 there",
    ("F.hardtanh", "gradient", "special"): "NaN's gradient is 0 here, that of x there",
    ("F.relu6", "gradient", "special"): "as hardtanh",
    ("F.hardswish", "gradient", "special"): "NaN's gradient is NaN here, that of 4 there",
    ("F.hardshrink", "gradient", "special"): "NaN goes through, with its gradient",
    ("F.softshrink", "", "special"): "NaN goes through here, and is 0 there",
    ("F.prelu", "gradient", "special"): "NaN's gradient is not that of 0 here",
    ("F.tanhshrink", "", ""): "x − tanh x cancels near 0, there as here",
    ("F.hardsigmoid", "gradient", ""): "there the slope is ⅙ in float32",
    ("T.softmax", "", "special"): "a row of −∞ alone is 0 here, NaN there",
    ("F.softmax", "", "special"): "as T.softmax",
    ("T.log_softmax", "", "special"): "as softmax",
    ("F.log_softmax", "", "special"): "as softmax",
    ("F.softmin", "", "special"): "as softmax",
}
# Errors of minidl that are no fault, where PyTorch has a result. PyTorch is not asked: where all taps of a pooling window
# meet padding, its backward writes outside its memory (2.13), and the process ends then or later.
STRICTER = {
    "F.max_pool1d": "miss the axis",
    "F.max_pool2d": "miss the axis",
    "F.group_norm": "more than 1 value",
    "F.scaled_dot_product_attention": "expected an attn_mask",
}
# Here equal numbers, as 0 strides make them, are kinks.
KINKED = {f"T.{name}" for name in ["sort", "argsort", "topk", "max", "min", "amax", "amin", "norm", "std"]} | {"F.normalize"}
STEPS = {"T.remainder", "T.floor_divide"}  # whose differences may lie over a step; PyTorch has their gradients
KINKED |= {f"F.{kind}max_pool{d}d" for kind in ("", "adaptive_") for d in (1, 2)}
# Arguments by place that no gradient is asked for; `weight` and `pos_weight` of losses are others.
CONSTANTS = {"F.nll_loss": {2}, "F.binary_cross_entropy": {2}, "F.batch_norm": {1, 2}}
# Values near 0 that are 1 + x and then a logarithm in PyTorch as here: an error may be worth a rounding of 1.
NEAR_ONE = {"F.cross_entropy", "F.nll_loss", "F.log_softmax", "T.log_softmax", "T.logsumexp"}
SPREADS = {"T.var", "T.std", "F.group_norm", "F.layer_norm", "F.instance_norm", "F.batch_norm"}  # of numbers nearly alike
OURS = {"F": functional, "T": minidl.Tensor, "t": minidl}


def drawn(seed, i, names):
    rng = np.random.default_rng([seed, i])
    name = names[rng.integers(len(names))]
    draw = Draw(rng, name not in KINKED)
    arguments, keywords = CASES[name](draw)
    return name, arguments, keywords, draw.kind, rng


def described(name, arguments, keywords):
    parts = [values.brief(x) for x in arguments] + [f"{k}={values.brief(x)}" for k, x in keywords.items()]
    return f"{name}({', '.join(parts)})"


def _is_float(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _many(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


class Minidl:
    @staticmethod
    def run(name, arguments, keywords, cotangents=None, leaf=True):
        """(results, gradients) as arrays; no gradients where nothing wants one."""
        module, _, short = name.partition(".")

        def make(x, wanted):
            if not isinstance(x, np.ndarray):
                return x
            return values.wrap(x).requires_grad_() if leaf and wanted and _is_float(x) else values.wrap(x)

        inputs, options = _made(make, name, arguments, keywords)
        results = _many(getattr(OURS[module], short)(*inputs, **options))
        leaves = [x for x in (*inputs, *options.values()) if isinstance(x, minidl.Tensor)]
        return _backward(minidl, results, leaves, cotangents, lambda a: minidl.from_numpy(a))


def _made(make, name, arguments, keywords):
    constant = CONSTANTS.get(name, ())
    inputs = [make(x, place not in constant) for place, x in enumerate(arguments)]
    if name == "F.batch_norm":  # its statistics are written to
        inputs[1:3] = [None if x is None else x * 1 for x in inputs[1:3]]
    return inputs, {k: make(x, not k.endswith("weight")) for k, x in keywords.items()}


def _backward(t, results, leaves, cotangents, make):
    tensors = [y for y in results if isinstance(y, t.Tensor)]
    arrays = [y.detach().numpy() for y in tensors]
    wanted = [y for y in tensors if y.requires_grad]
    if cotangents is None or not wanted:
        return arrays, []
    loss = sum((y * make(cotangents(y.shape, y.detach().numpy().dtype))).sum() for y in wanted)
    loss.backward()
    return arrays, [None if x.grad is None else x.grad.numpy() for x in leaves]


class Nobody:
    name = "nobody"

    def run(self, *arguments):
        raise ValueError("nobody to compare with")


class PyTorch:
    name = "torch"

    def __init__(self):
        self.torch = importlib.import_module("torch")
        self.modules = {"F": importlib.import_module("torch.nn.functional"), "T": self.torch.Tensor, "t": self.torch}

    def run(self, name, arguments, keywords, cotangents=None, leaf=True):
        torch = self.torch
        module, _, short = name.partition(".")

        def make(x, wanted):
            if not isinstance(x, np.ndarray):
                return x
            return torch.tensor(x.copy(order="C"), requires_grad=leaf and wanted and _is_float(x))

        inputs, options = _made(make, name, arguments, keywords)
        results = _many(getattr(self.modules[module], short)(*inputs, **options))
        leaves = [x for x in (*inputs, *options.values()) if isinstance(x, torch.Tensor)]
        arrays, gradients = _backward(torch, results, leaves, cotangents, torch.from_numpy)
        return arrays, gradients


def doubles(x):
    return x.astype(np.float64) if _is_float(x) else x


def nudged(x, rng, eps):
    """Each number of an array rounded up or down."""
    return np.asarray(x * (1 + eps * rng.uniform(0.5, 1.0, x.shape) * rng.choice([-1.0, 1.0], x.shape))) if _is_float(x) else x


def played(other, seed, i, names, gradients=True):
    name, arguments, keywords, kind, rng = drawn(seed, i, names)
    text = described(name, arguments, keywords)
    given = [*arguments, *keywords.values()]
    before = [values.fingerprint(x) for x in given]
    dtype = np.result_type(*[x.dtype for x in given if _is_float(x)] or [np.float32])
    cotangent_seed = int(rng.integers(2**31))

    def cotangents(shape, dtype):
        return np.random.default_rng(cotangent_seed).normal(size=tuple(shape)).astype(np.float32).astype(dtype)

    if name in STRICTER:
        try:
            Minidl.run(name, arguments, keywords, None, False)
        except Exception as error:
            if STRICTER[name] in str(error):
                return "error"
    exact, leaf = ([doubles(x) for x in arguments], {k: doubles(x) for k, x in keywords.items()}), True
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            try:
                truth = other.run(name, *exact, cotangents)
            except RuntimeError as error:
                if "derivative" not in str(error) and "differentiable" not in str(error):
                    raise
                leaf = False  # values alone
                truth = other.run(name, *exact, None, False)
        except Exception as error:
            truth = error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = Minidl.run(name, arguments, keywords, cotangents if leaf else None, leaf)
    except Exception as error:
        if isinstance(truth, Exception):
            return "error"
        raise runner.Fault(f"{text}: {type(error).__name__}: {error}"[:500]) from None
    if [values.fingerprint(x) for x in given] != before:
        raise runner.Fault(f"{text}: changes an argument")
    if isinstance(truth, Exception):
        if not all(x.size for x in given if isinstance(x, np.ndarray)):
            return "result"  # PyTorch refuses many an empty tensor
        raise runner.Fault(f"{text}: gives a result where the other says {type(truth).__name__}: {truth}"[:500])
    eps = max([float(np.finfo(dtype).eps), *(float(np.finfo(y.dtype).eps) for y in found[0] if _is_float(y))])
    spread = []

    def close(near, shape, dtype):
        return nudged(cotangents(shape, dtype), near, eps)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for n in range(3):
            near = np.random.default_rng([seed, i, n])
            moved = (
                [nudged(doubles(x), near, eps) for x in arguments],
                {k: nudged(doubles(x), near, eps) for k, x in keywords.items()},
            )
            spread.append(other.run(name, *moved, functools.partial(close, near) if leaf else None, leaf))
    for part, what in ((0, "value"), (1, "gradient"))[: 1 + (other.name == "torch")]:
        if {(name, what, ""), (name, "", ""), (name, what, kind), (name, "", kind)} & INTENDED.keys():
            continue
        if len(found[part]) != len(truth[part]):
            raise runner.Fault(f"{text}: {len(found[part])} {what}s, not {len(truth[part])}")
        for place, (y, expected) in enumerate(zip(found[part], truth[part], strict=True)):
            others = [s[part][place] for s in spread]
            scale = (64.0 if name in SPREADS else 4.0) if part else (name in NEAR_ONE) / 32
            problem = difference(y, expected, others, eps, scale, eps**2 if name in SPREADS else 0.0)
            if problem:
                raise runner.Fault(f"{text}: {what} {place}: {problem}"[:600])
    if other.name == "numpy" and kind == "ordinary" and found[1] and name not in STEPS and keywords.get("padding_idx") is None:
        problem = slope(other, name, exact, found[1], cotangents, eps)
        if problem:
            raise runner.Fault(f"{text}: gradient: {problem}")
    return "result"


def slope(other, name, exact, gradients, cotangents, eps):
    """What is wrong with the gradients along a random direction, or None: central differences of the reference."""
    arguments, keywords = exact
    keys, arrays = [*range(len(arguments)), *keywords], [*arguments, *keywords.values()]
    constant = CONSTANTS.get(name, ())
    rng, directions, expected, size = np.random.default_rng(0), {}, 0.0, 1.0
    left = list(gradients)
    for key, x in zip(keys, arrays, strict=True):
        if isinstance(x, np.ndarray):
            gradient = left.pop(0)
            if _is_float(x) and key not in constant and not str(key).endswith("weight"):
                directions[key] = rng.choice([-1.0, 1.0], x.shape)
                if gradient is not None:
                    expected += float((gradient * directions[key]).sum())
                    size += float(abs(gradient).sum())

    def loss(step):
        moved = [x + step * directions[k] if k in directions else x for k, x in zip(keys, arrays, strict=True)]
        named = dict(list(zip(keys, moved, strict=True))[len(arguments) :])
        results = other.run(name, moved[: len(arguments)], named)[0]
        return sum(float((y * cotangents(y.shape, np.float64)).sum()) for y in results if _is_float(y))

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        wide, close = ((loss(h) - loss(-h)) / (2 * h) for h in ((2e-7, 1e-7) if name in KINKED else (2e-5, 1e-5)))
    found = (4 * close - wide) / 3
    room = size * (200 * eps + 1e-7)
    if not np.isfinite(found) or abs(wide - close) > room:
        return None  # a kink or a steep place is near
    return None if abs(found - expected) <= room else f"{expected!r} along a direction, not {found!r} (room {room:.3g})"


def difference(y, truth, others, eps, scale=0.0, least=0.0):
    """What is wrong with an array, or None. `others`: the truth for inputs that are rounded otherwise."""
    if y is None or truth is None:
        missing = y if truth is None else truth
        return None if missing is None or not np.any(missing) else f"is {(y is not None and 'there') or 'missing'}"
    if y.shape != truth.shape:
        return f"shape {y.shape}, not {truth.shape}"
    if y.dtype.kind != truth.dtype.kind:
        return f"dtype {y.dtype}, not {truth.dtype}"
    if y.dtype.kind != "f":
        same = [other for other in others if other.shape == truth.shape]
        wrong = (y != truth) & np.all([other == truth for other in same], axis=0)
        return _first(wrong, y, truth)
    eps = max(eps, float(np.finfo(y.dtype).eps))
    with np.errstate(all="ignore"):
        largest = float(np.finfo(y.dtype).max)
        stable = np.all([np.isnan(other) == np.isnan(truth) for other in others], axis=0)
        spread = np.nan_to_num(np.max([abs(other - truth) for other in others], axis=0), nan=0.0, posinf=0.0)
        room = SLACK * (eps * abs(truth) + spread) + 4 * float(np.finfo(y.dtype).smallest_subnormal)
        scale = np.nanmax(np.where(np.isfinite(truth), abs(truth), 0), initial=scale)  # of a gradient at least a cotangent's
        room = room + eps * scale * 64 + least
        finite = np.isfinite(truth)
        wrong = np.where(finite, ~(abs(y - truth) <= room), ~((y == truth) | (np.isnan(y) & np.isnan(truth))))
        wrong &= ~(finite & (abs(truth) + room >= largest) & ~np.isnan(y))
        wrong &= ~(np.isinf(truth) & (abs(y) > largest / 4))
        wrong &= stable
    return _first(wrong, y, truth)


def _first(wrong, y, truth):
    if not wrong.any():
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{y[place]!r} at {place}, not {truth[place]!r} ({int(wrong.sum())} of {y.size} wrong)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--against", choices=["numpy", "torch"], default="numpy")
    parser.add_argument("--functions", nargs="*", help="only these")
    parser.add_argument("--only", type=int, nargs="*", help="the numbers of the calls to run")
    parser.add_argument("--quiet", action="store_true", help="no table")
    options = parser.parse_args()
    minidl.set_num_threads(1)
    start = time.time()
    if options.against == "torch":
        other = PyTorch()
        other.torch.set_num_threads(1)
        names = [n for n in sorted(CASES) if hasattr(other.modules[n[0]], n[2:])]  # PyTorch does not have all that minidl has
    else:
        references = importlib.import_module(".references", __package__)
        other, names = references.Reference(), sorted(references.REFERENCES)
    names = options.functions or names
    play = functools.partial(played, other, options.seed, names=names)
    for i in range(min(300, options.calls)):  # what compiles is compiled before the children begin, PyTorch being left out:
        with contextlib.suppress(runner.Fault):  # where its backward has run in the parent, it may crash in a child
            played(Nobody(), options.seed, i, names)
    gc.freeze()
    report = runner.run(lambda i: play(i), options.calls, options.only)
    numbers = options.only or range(options.calls)
    if not options.quiet:
        print("\n".join(report.table(lambda i: drawn(options.seed, numbers[i], names)[0])))
    for i, fault in report.faults.items():
        print(f"{i}: {fault}")
    print(f"seed {options.seed}: {len(report.outcomes)} calls, {len(report.faults)} faults, {time.time() - start:.0f} s")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
