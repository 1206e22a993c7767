"""PyTorch's own samples through minidl: how many of them give the same? `python -m tests.opinfo [names] [--failures]`

PyTorch tests its operations with a list, `op_db`: for each operation a function that makes sample arguments. Here each sample
goes through PyTorch and through minidl. It counts as equal if value, shape and dtype agree within PyTorch's default tolerances,
the gradients for one random cotangent, too, and if minidl raises an error where PyTorch does. Names are those of opnames.py,
dtypes float64 and float32, and where an operation has no floats int64 and bool.

In float32 a value or gradient also counts as equal, and is counted apart, if it is no farther from PyTorch's float64 result
than PyTorch's own float32 result is, or equal to it within the tolerances: both are rounded.

MEANT lists the differences that are meant, with their reasons. They are printed apart, and count as not equal.

Not counted, but shown: samples that need what minidl leaves out on purpose (complex numbers, sparse or quantized tensors, other
devices, dtypes such as float16). `--errors` counts PyTorch's own wrong calls instead: minidl must refuse them.
"""

import argparse
import collections
import math
import types
import warnings

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

import minidl

from .opnames import TIER_1, TIER_2

NUMPY = {
    torch.float32: np.dtype("float32"),
    torch.float64: np.dtype("float64"),
    torch.int64: np.dtype("int64"),
    torch.int32: np.dtype("int32"),
    torch.int16: np.dtype("int16"),
    torch.int8: np.dtype("int8"),
    torch.uint8: np.dtype("uint8"),
    torch.bool: np.dtype("bool"),
}
METHODS = {"T"}  # called as x.name, without parentheses
RENAMED = {"linalg_norm": "linalg.norm"}


MEANT = [  # name, what the sample or the difference must have, why
    (
        "nn.functional.scaled_dot_product_attention",
        lambda sample, why: sample.kwargs.get("dropout_p") and "values" in why,
        "dropout: other weights are dropped, since they are drawn within the kernel",
    ),
    (
        "nn.functional.batch_norm",
        lambda sample, why: "got shape (0,)" in why,
        "an input of shape (0,), without channels: PyTorch gives it back",
    ),
    (
        "__setitem__",
        lambda sample, why: "gradient" in why,
        "a place of the index that repeats: PyTorch's gradient counts what was overwritten (test_wrong_values.py)",
    ),
    ("normal", lambda sample, why: "'layout'" in why, "layout=: all tensors are dense, and no function takes it"),
]


class OutOfScope(Exception):
    """The sample needs what minidl leaves out on purpose."""


Outcome = collections.namedtuple("Outcome", "name variant dtype number verdict why sample")


def infos(name):
    if name == "__setitem__":
        name = "__getitem__"  # PyTorch has no samples of it: the same indices, written to
    return [op for op in op_db if op.name == name]


def dtypes(op):
    floats = [d for d in (torch.float64, torch.float32) if d in op.dtypes]
    return floats or [d for d in (torch.int64, torch.bool) if d in op.dtypes]


# --- the function, in both


def _with_seed(function, *args, **kwargs):
    minidl.manual_seed(42)
    return function(*args, **kwargs)


def theirs(name, op):
    if name == "__setitem__":
        return _set_item
    return op.op


def ours(name, op):
    """minidl's function of that name; of PyTorch's lambdas the same code, with minidl for torch."""
    if name == "__setitem__":
        return _set_item
    function = op.op
    if getattr(function, "__name__", "") == "<lambda>":
        names = {**function.__globals__, "torch": minidl, "wrapper_set_seed": _with_seed}
        return types.FunctionType(function.__code__, names, "lambda", function.__defaults__, function.__closure__)
    found = minidl
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if found is not None else getattr(minidl.Tensor, name, None)


def _set_item(x, index):
    y = x.clone()
    value = y[index]
    y[index] = value * 2 if value.dtype not in (torch.bool, np.dtype("bool")) else ~value
    return y


# --- the arguments


def converted(x, leaves):
    """A sample's argument for minidl; `leaves` collects the pairs of tensors whose gradient is wanted."""
    if isinstance(x, torch.Tensor):
        if x.layout != torch.strided or x.device.type != "cpu" or x.dtype not in NUMPY:
            raise OutOfScope(f"a tensor of {x.dtype}, {x.layout}, {x.device}")
        if x.ndim > 64:
            raise OutOfScope("more axes than NumPy has")
        y = minidl.from_numpy(x.detach().numpy())
        if x.requires_grad:
            y.requires_grad_()
            leaves.append((x, y))
        return y
    if isinstance(x, torch.dtype):
        if x not in NUMPY:
            raise OutOfScope(str(x))
        return NUMPY[x]
    if isinstance(x, torch.device):
        if x.type != "cpu":
            raise OutOfScope(str(x))
        return "cpu"
    if isinstance(x, torch.Generator):
        raise OutOfScope("a generator of PyTorch")
    if isinstance(x, torch.memory_format):
        return getattr(minidl, str(x).removeprefix("torch."), x)
    if isinstance(x, torch.layout):
        if x != torch.strided:
            raise OutOfScope(str(x))
        return getattr(minidl, "strided", None)
    if isinstance(x, complex):
        raise OutOfScope("a complex number")
    if isinstance(x, dict):
        return {key: converted(value, leaves) for key, value in x.items()}
    if type(x) in (tuple, list, torch.Size):
        return (list if type(x) is list else tuple)(converted(value, leaves) for value in x)
    return x


def fresh(x):
    """The sample's tensors as new leaves, in the same memory layout."""
    if isinstance(x, torch.Tensor):
        y = x.detach()
        return y.requires_grad_() if x.requires_grad else y
    if isinstance(x, dict):
        return {key: fresh(value) for key, value in x.items()}
    if type(x) in (tuple, list):
        return type(x)(fresh(value) for value in x)
    return x


# --- the results


def flat(x):
    if isinstance(x, (tuple, list)):
        return [y for part in x for y in flat(part)]
    return [x]


def difference(a, b):
    """What differs between PyTorch's result a and minidl's b, or None."""
    a, b = flat(a), flat(b)
    if len(a) != len(b):
        return f"{len(b)} results, not {len(a)}"
    for x, y in zip(a, b, strict=True):
        if isinstance(x, torch.Tensor):
            if not isinstance(y, minidl.Tensor):
                return f"{type(y).__name__}, not a tensor"
            if type(y.array) is not np.ndarray:
                return f"a tensor around {type(y.array).__name__}"
            x = x.detach()
            if x.dtype not in NUMPY:
                raise OutOfScope(f"a result of {x.dtype}")
            if tuple(x.shape) != tuple(y.shape):
                return f"shape {tuple(y.shape)}, not {tuple(x.shape)}"
            if NUMPY[x.dtype] != y.dtype:
                return f"dtype {y.dtype}, not {x.dtype}"
            try:
                torch.testing.assert_close(torch.from_numpy(y.array.copy()), x, equal_nan=True)
            except AssertionError as error:
                return "values: " + " ".join(str(error).split())[:150]
        elif isinstance(x, torch.dtype):
            if NUMPY.get(x) != y:
                return f"{y}, not {x}"
        elif x != y and not (x is None or x != x or (isinstance(x, float) and math.isclose(x, y, rel_tol=1.3e-6))):
            return f"{y!r}, not {x!r}"
    return None


def nearer(a, b, exact):
    """Whether minidl's results b are as near to the float64 results as PyTorch's float32 results a are, or within tolerance."""
    for x, y, z in zip(flat(a), flat(b), flat(exact), strict=True):
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            if difference(x, y):
                return False
            continue
        if x.numel() == 0:
            continue
        x, y, z = x.detach().double(), torch.from_numpy(y.array.copy()).double(), z.detach().double()
        try:
            torch.testing.assert_close(y, z, rtol=1.3e-6, atol=1e-5, equal_nan=True)
        except AssertionError:
            theirs, ours = (x - z).abs(), (y - z).abs()
            if not ours.max() <= theirs.max():
                return False
    return True


def doubled(x, leaves):
    """The sample's arguments in float64; `leaves` collects those whose gradient is wanted."""
    if isinstance(x, torch.Tensor):
        y = x.detach().double() if x.dtype == torch.float32 else x
        if x.requires_grad:
            leaves.append(y.requires_grad_())
        return y
    if x is torch.float32:
        return torch.float64
    if isinstance(x, dict):
        return {key: doubled(value, leaves) for key, value in x.items()}
    if type(x) in (tuple, list):
        return type(x)(doubled(value, leaves) for value in x)
    return x


def gradients(outputs, leaves, cotangents):
    """The gradients of the leaves for fixed cotangents, None where nothing reaches."""
    total = None
    for y, cotangent in zip(outputs, cotangents, strict=True):
        if cotangent is not None:
            part = (y * cotangent).sum()
            total = part if total is None else total + part.to(total.dtype)
    total.backward()
    return [x.grad for x in leaves]


def check(name, op, sample, process=None, errors=False):
    """None if both give the same, else what differs, or "rounding: …". An error of PyTorch's must be one of ours."""
    args, kwargs = fresh((sample.input, *sample.args)), fresh(sample.kwargs)
    leaves = []
    our_args, our_kwargs = converted(args, leaves), converted(kwargs, leaves)
    function = ours(name, op)
    if function is None:
        return "missing"
    try:
        expected, refused = theirs(name, op)(*args, **kwargs), None
    except Exception as error:
        refused = error
    if errors and not refused:
        raise OutOfScope("PyTorch refuses it in another way")
    try:
        got = function(*our_args, **our_kwargs)
    except Exception as error:
        return None if refused else f"{type(error).__name__}: {error}"
    if refused:
        return f"no error, where PyTorch says {' '.join(str(refused).split())[:100]}"
    if process is not None:
        expected, got = process(expected), process(got)
    found, rounded = difference(expected, got), None
    exact, exact_leaves, single = None, [], isinstance(sample.input, torch.Tensor) and sample.input.dtype == torch.float32
    if single:
        exact = theirs(name, op)(*doubled(args, exact_leaves), **doubled(kwargs, exact_leaves))
        exact = process(exact) if process is not None else exact
    if found and single and found.startswith("values") and nearer(expected, got, exact):
        found, rounded = None, "rounding: in " + found
    if found or not leaves:
        return found or rounded
    expected, got = flat(expected), flat(got)
    rng = np.random.default_rng(0)
    cotangents = [
        np.asarray(rng.normal(size=tuple(x.shape)), NUMPY[x.dtype])
        if isinstance(x, torch.Tensor) and x.requires_grad and x.dtype in NUMPY
        else None
        for x in expected
    ]
    if all(c is None for c in cotangents):
        return rounded
    for y, c in zip(got, cotangents, strict=True):
        if c is not None and not y.requires_grad:
            return "no gradient: the result does not require one"
    try:
        dx = gradients(expected, [x for x, _ in leaves], [c if c is None else torch.from_numpy(c) for c in cotangents])
    except (RuntimeError, NotImplementedError):
        return rounded  # PyTorch has none
    try:
        ours_dx = gradients(got, [y for _, y in leaves], [c if c is None else minidl.from_numpy(c) for c in cotangents])
    except Exception as error:
        return f"backward: {type(error).__name__}: {error}"
    pairs, found = [], None
    for (x, _), a, b in zip(leaves, dx, ours_dx, strict=True):
        a = torch.zeros_like(x) if a is None else a
        b = minidl.from_numpy(np.zeros(tuple(x.shape), NUMPY[x.dtype])) if b is None else b
        pairs.append((a, b))
        found = found or difference(a, b)
    if found and single and found.startswith("values"):
        given = [c if c is None else torch.from_numpy(c).double() for c in cotangents]
        exact_dx = gradients(flat(exact), exact_leaves, given)
        exact_dx = [torch.zeros_like(x) if d is None else d for x, d in zip(exact_leaves, exact_dx, strict=True)]
        if nearer([a for a, _ in pairs], [b for _, b in pairs], exact_dx):
            return "rounding: in gradient, " + found
    return "gradient: " + found if found else rounded


def outcomes(name, op, most=None, only=None, errors=False):
    """What came of each sample of an operation; with `most`, of so many spread over all of a dtype."""
    for dtype in dtypes(op)[:1] if errors else only or dtypes(op):
        chosen = error_samples(op) if errors else samples(op, dtype)
        if most is not None and len(chosen) > most:
            chosen = [chosen[i * len(chosen) // most] for i in range(most)]
        for i, sample in enumerate(chosen):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    why = check(name, op, sample, None if errors else sample.output_process_fn_grad, errors)
                    verdict = "equal" if why is None else "rounded" if why.startswith("rounding") else "differs"
                except OutOfScope as error:
                    verdict, why = "out of scope", str(error)
            yield Outcome(name, op.variant_test_name, dtype, i, verdict, why, sample)


def samples(op, dtype):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = dtype.is_floating_point and op.supports_autograd
        return list(op.sample_inputs("cpu", dtype, requires_grad=wanted))


def error_samples(op):
    if op.error_inputs_func is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [error.sample_input for error in op.error_inputs("cpu")]


def meant(outcome):
    """The reason for a difference that is meant, or None."""
    return next((why for name, fits, why in MEANT if name == outcome.name and fits(outcome.sample, outcome.why)), None)


def brief(x):
    if isinstance(x, torch.Tensor):
        kind = str(x.dtype).removeprefix("torch.")
        return f"{kind}{tuple(x.shape) if x.numel() > 3 else x.tolist()}"
    if isinstance(x, (tuple, list)):
        return "(" + ", ".join(map(brief, x)) + ")"
    if isinstance(x, dict):
        return ", ".join(f"{key}={brief(value)}" for key, value in x.items())
    return repr(x)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="operations of opnames.py; all of them by default")
    parser.add_argument("--errors", action="store_true", help="PyTorch's wrong calls, which must be refused")
    parser.add_argument("--failures", action="store_true", help="show the samples that differ")
    parser.add_argument("--most", type=int, help="so many samples of each operation and dtype")
    given = parser.parse_args()
    totals, reasons = collections.Counter(), collections.Counter()
    for tier, names in (("tier 1", TIER_1), ("tier 2", TIER_2)):
        for name in names.split():
            if given.names and name not in given.names:
                continue
            found = [o for op in infos(name) for o in outcomes(name, op, given.most, errors=given.errors)]
            for o in found:
                if o.verdict == "differs" and (reason := meant(o)):
                    reasons[tier, name, reason] += 1
            count = collections.Counter(o.verdict for o in found)
            for verdict, n in count.items():
                totals[tier, verdict] += n
            inside = count["equal"] + count["rounded"] + count["differs"]
            if count["differs"] or given.names:
                out = f", {count['out of scope']} out of scope" if count["out of scope"] else ""
                whys = collections.Counter(o.why[:110] for o in found if o.verdict == "differs")
                print(f"{name}: {inside - count['differs']} of {inside}{out}", flush=True)
                if given.failures:
                    shown = set()
                    for o in found:
                        if o.verdict == "differs" and o.why[:60] not in shown:
                            shown.add(o.why[:60])
                            what = brief((o.sample.input, *o.sample.args)), brief(o.sample.kwargs)
                            print(f"    {o.variant} {o.dtype} {o.number}: {' '.join(what)[:300]}\n        {o.why[:300]}")
                else:
                    for why, n in whys.most_common(3):
                        print(f"    {n} x {why}")
    for tier in ("tier 1", "tier 2"):
        rounded, differs = totals[tier, "rounded"], totals[tier, "differs"]
        equal = totals[tier, "equal"] + rounded
        if equal + differs:
            share = 100 * equal / (equal + differs)
            print(f"{tier}: {equal} of {equal + differs} equal ({share:.2f} %), {totals[tier, 'out of scope']} out of scope")
            print(f"    of the equal ones {rounded} differ by rounding, and are as near to float64 as PyTorch's")
        else:
            continue
        of_tier = [(name, reason, n) for (at, name, reason), n in reasons.items() if at == tier]
        print(f"    not equal: {differs}, of which meant: {sum(n for *_, n in of_tier)}")
        for name, reason, n in of_tier:
            print(f"        {n} of {name}: {reason}")


if __name__ == "__main__":
    main()
