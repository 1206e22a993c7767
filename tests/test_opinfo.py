"""A short form of opinfo.py: of PyTorch's samples of each operation a few, in float64, and its wrong calls.

How many samples of an operation must be equal is written down where it is not all of them. It may become more, not less.
"""

import collections
import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")

with warnings.catch_warnings():  # PyTorch's tests import what is deprecated
    warnings.simplefilter("ignore")
    from . import opinfo
    from .opnames import TIER_1, TIER_2

SHARES = {  # the reasons: opinfo.MEANT
    "__setitem__": 0.7,
    "nn.functional.batch_norm": 0.6,
    "nn.functional.scaled_dot_product_attention": 0.2,
    "normal": 0.8,
}
NUMBERS = {"maximum", "minimum", "isclose", "logical_and", "logical_or"}  # PyTorch wants a tensor; a number is harmless
REFLECTED = {"__radd__", "__rmul__", "__rdiv__", "__rand__", "__ror__", "__rxor__"}  # called by name, with a number first
REFUSED = NUMBERS | REFLECTED | {f"nn.functional.{name}" for name in ("hardtanh", "prelu", "max_pool1d")}


@pytest.mark.parametrize("name", [*TIER_1.split(), *TIER_2.split()])
def test_a_few_samples_are_equal(name):
    found = [o for op in opinfo.infos(name) for o in opinfo.outcomes(name, op, 4, opinfo.dtypes(op)[:1])]
    counts = collections.Counter(o.verdict for o in found)
    inside = counts["equal"] + counts["differs"]
    assert inside, f"{name}: no samples"
    whys = [f"{o.variant} {o.dtype} {o.number}: {o.why}" for o in found if o.verdict == "differs"]
    assert counts["equal"] >= SHARES.get(name, 1.0) * inside, f"{name}: {whys}; python -m tests.opinfo {name} --failures"


@pytest.mark.parametrize("name", [name for name in [*TIER_1.split(), *TIER_2.split()] if name not in REFUSED])
def test_what_pytorch_refuses_is_refused(name):
    found = [o for op in opinfo.infos(name) for o in opinfo.outcomes(name, op, errors=True)]
    assert not [f"{o.number}: {o.why}" for o in found if o.verdict == "differs"], (
        f"python -m tests.opinfo {name} --errors --failures"
    )


def test_a_wrong_function_is_seen():
    """Values, dtypes, shapes, gradients and errors: each has a check that can fail."""
    (op,) = opinfo.infos("exp")
    sample = opinfo.samples(op, torch.float64)[0]
    right = opinfo.minidl.exp

    def verdict(function, sample=sample):
        opinfo.minidl.exp = function
        try:
            return opinfo.check("exp", op, sample)
        finally:
            opinfo.minidl.exp = right

    assert verdict(right) is None
    assert "values" in verdict(lambda x: right(x) * 1.001)
    assert "dtype" in verdict(lambda x: right(x).float())
    assert "shape" in verdict(lambda x: right(x)[None])
    assert "require" in verdict(lambda x: right(x.detach()))
    assert "gradient" in verdict(lambda x: right(x) + x - x.detach())
    assert "results" in verdict(lambda x: (right(x), x))
    assert "ValueError" in verdict(lambda x: opinfo.minidl.zeros(-1))
    assert opinfo.check("no_such_name", op, sample) == "missing"
    sample.args = (3,)
    assert "no error" in verdict(lambda x, y: right(x))


def test_float32_is_measured_by_float64():
    """A sum that cancels: what is nearer to the float64 result is right, what is farther is not."""
    theirs, exact = torch.tensor([1.0, 2.001], dtype=torch.float32), torch.tensor([1.0, 2.0], dtype=torch.float64)
    for ours, near in (
        ([1.0, 2.0], True),
        ([1.0009, 2.0], True),
        ([1.0, 1.9991], True),
        ([1.0, 2.0011], False),
        ([1.1, 2.0], False),
    ):
        assert opinfo.nearer(theirs, opinfo.minidl.tensor(ours), exact) is near
    (op,) = opinfo.infos("logcumsumexp")
    verdicts = collections.Counter(o.verdict for o in opinfo.outcomes("logcumsumexp", op, 2, [torch.float32]))
    assert verdicts["equal"] + verdicts["rounded"] == 2


def test_every_difference_that_is_meant_still_differs():
    """What has been mended must leave the list."""
    for name, fits, _ in opinfo.MEANT:
        found = [o for op in opinfo.infos(name) for o in opinfo.outcomes(name, op, only=opinfo.dtypes(op)[:1])]
        assert [o for o in found if o.verdict == "differs" and fits(o.sample, o.why)], name
