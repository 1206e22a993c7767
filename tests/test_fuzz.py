"""The short forms of the fuzzers in tests/fuzz, each some seconds, with fixed seeds; FUZZING.md says how to run the long ones.

They run in processes of their own: the hostile one forks, which must not happen in a process that has used threads.
"""

import importlib.util
import inspect
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl.nn import functional

from .fuzz import calls, cases, differential, hostile, references, runner, same_bits, values

ROOT = Path(__file__).parent.parent


def run(module, *arguments):
    command = [sys.executable, "-m", f"tests.fuzz.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "MINIDL_QUIET": "1"})
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_hostile_arguments_give_results_or_clear_errors():
    assert "1500 calls, 0 faults" in run("hostile", "--seed", 0, "--calls", 1500, "--quiet")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_values_and_gradients_are_numpys():
    assert "800 calls, 0 faults" in run("differential", "--against", "numpy", "--seed", 0, "--calls", 800, "--quiet")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_values_and_gradients_are_pytorchs():
    assert "400 calls, 0 faults" in run("differential", "--against", "torch", "--seed", 0, "--calls", 400, "--quiet")


def test_same_bits_on_any_threads_at_any_place():
    assert " 0 faults" in run("same_bits", "--seed", 0, "--calls", 40)


# --- nothing is forgotten


def test_every_public_function_has_a_call():
    """A function that is missing needs a line in one of the tables of tests/fuzz/calls.py."""
    assert calls.missing() == []


# Functions of F without a reference in plain NumPy here, and where they are compared with one.
ELSEWHERE = set(
    values.words(
        """
    alpha_dropout cosine_embedding_loss embedding_bag gumbel_softmax hinge_embedding_loss margin_ranking_loss multi_margin_loss
    multilabel_margin_loss multilabel_soft_margin_loss poisson_nll_loss soft_margin_loss triplet_margin_loss
    triplet_margin_with_distance_loss
    additive_scores attention_pooling bilinear_scores convolve2d dot_product_scores dropout dropout1d dropout2d
    entropy_from_logits focal_loss gaussian_scores info_nce interpolate js_divergence masked_softmax max_unpool2d
    nadaraya_watson rms_norm rotary scaled_dot_product_scores sigmoid_focal_loss similarity
"""
    )
)


def test_every_functional_is_compared():
    """What is missing needs a case in tests/fuzz/cases.py and a reference in tests/fuzz/references.py."""
    compared = {name[2:] for name in references.REFERENCES if name.startswith("F.")}
    assert {name for name in functional.__all__ if name[-1] != "_"} - compared == ELSEWHERE
    assert references.REFERENCES.keys() <= cases.CASES.keys()


# --- the fuzzers see faults


def faults_of(play, number=1, **options):
    return runner.run(play, number, **options).faults


@pytest.fixture
def forks(monkeypatch):
    """Children of this very process; they are small and use no threads."""
    if not hasattr(os, "fork"):
        pytest.skip("forks")
    monkeypatch.setattr(runner.resource, "setrlimit", lambda *args: None)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_crash_a_hang_and_a_fault_are_counted(forks):
    def play(i):
        if i == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        if i == 2:
            time.sleep(60)
        if i == 3:
            raise runner.Fault("wrong")
        if i == 4:
            raise SystemError("the fuzzer itself")
        return "result"

    report = runner.run(play, 6, seconds=1.0)
    assert report.outcomes == ["result", "fault", "fault", "fault", "fault", "result"]
    assert "signal 11" in report.faults[1]
    assert "hangs" in report.faults[2]
    assert report.faults[3] == "wrong"
    assert "SystemError" in report.faults[4]
    table = list(report.table(lambda i: "even" if i % 2 == 0 else "odd"))
    assert table[-1].split() == ["total", "6", "2", "0", "0", "4"]


class Fake:
    """A call of the table whose function is given."""

    name = "F.fake"

    def __init__(self, function, *arguments):
        self.made = function, list(arguments), {}


def played(monkeypatch, function, *arguments):
    call = Fake(function, *arguments)
    monkeypatch.setattr(hostile, "drawn", lambda seed, i: (call, *call.made, []))
    return hostile.play(0, 0, strict=True)


def test_a_changed_argument_is_a_fault(monkeypatch):
    def fake(x):
        x += 1

    with pytest.raises(runner.Fault, match="changes argument 0"):
        played(monkeypatch, fake, np.zeros(2))
    assert played(monkeypatch, lambda x: None, np.zeros(2)) == "result"


def test_a_warning_and_a_foreign_error_are_faults(monkeypatch):
    with pytest.raises(runner.Fault, match="RuntimeWarning"):
        played(monkeypatch, np.log, np.array([-1.0]))
    with pytest.raises(runner.Fault, match="raises ZeroDivisionError"):
        played(monkeypatch, lambda x: 1 // x, 0)
    with pytest.raises(runner.Fault, match="raw TypeError"):
        played(monkeypatch, lambda x: math.sqrt(x), "text")


def test_an_error_of_minidl_is_none(monkeypatch):
    assert played(monkeypatch, functional.relu, "text") == "error"


@pytest.mark.parametrize("name", ["F.softmax", "F.conv2d", "F.layer_norm", "T.cumsum", "F.cross_entropy"])
def test_a_wrong_value_and_a_wrong_gradient_are_faults(monkeypatch, name):
    reference = references.Reference()
    numbers = [i for i in range(60) if differential.drawn(0, i, [name])[3] == "ordinary"][:12]
    for i in numbers:
        assert differential.played(reference, 0, i, [name]) in ("result", "error")
    module, _, short = name.partition(".")
    right = inspect.getattr_static(differential.OURS[module], short)

    def seen(wrong):
        class Module:
            pass

        setattr(Module, short, staticmethod(wrong))
        monkeypatch.setitem(differential.OURS, module, Module)
        for i in numbers:
            try:
                differential.played(reference, 0, i, [name])
            except runner.Fault:
                return True
        return False

    assert seen(lambda x, *args, **options: right(x, *args, **options) * (1 + 1e-4))
    assert seen(lambda x, *args, **options: right(x * 1.001 + x.detach() * -0.001, *args, **options))  # the gradient alone


def test_other_bits_are_a_fault(monkeypatch):
    monkeypatch.setitem(same_bits.CASES, "exp", lambda d: (lambda x: x * minidl.get_num_threads(), [np.ones(3, np.float32)]))
    monkeypatch.setattr(same_bits, "CASES", {"exp": same_bits.CASES["exp"]})
    if same_bits.threads.numba.config.NUMBA_NUM_THREADS > 1:
        assert "two threads" in same_bits.play(0, 0)[1]
    monkeypatch.setitem(same_bits.CASES, "exp", lambda d: (lambda x: x + x.array.ctypes.data % 64, [np.ones(3, np.float32)]))
    assert "other bits" in [same_bits.play(0, i)[1] or "" for i in range(9)][-1] or any(
        same_bits.play(0, i)[1] for i in range(9)
    )


def test_layouts_keep_values():
    rng = np.random.default_rng(0)
    x = np.arange(24.0).reshape(2, 3, 4)
    layouts = [values.layout(rng, x, repeat=False) for _ in range(60)]
    assert all(np.array_equal(x, y) for y in layouts)
    assert len({(y.strides, y.flags.writeable, y.flags.aligned) for y in layouts}) >= 5
