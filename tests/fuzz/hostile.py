"""Hostile arguments to every public function: `python -m tests.fuzz.hostile --seed 0 --calls 100000`.

A call of the table has one or two of its arguments replaced by what `values` draws. It must give a result or an error that
minidl itself raises and that names the function or an argument; its inputs stay as they were, and nothing is warned of.
"""

import argparse
import functools
import gc
import inspect
import itertools
import os
import re
import sys
import time
import traceback
import warnings

import numpy as np

import minidl
from minidl import kernels
from minidl.nn import functional

from . import calls, runner, values

ERRORS = {TypeError, ValueError, IndexError, RuntimeError, NotImplementedError, OverflowError, KeyError, AttributeError}
ERRORS |= {BufferError, minidl.autograd.GradcheckError, minidl.linalg.LinAlgError}  # the first of __dlpack__
PACKAGE = os.path.dirname(minidl.__file__)
HERE = os.path.dirname(os.path.abspath(__file__))

INPLACE = sorted(
    name
    for name in functional.__all__
    if inspect.isfunction(f := getattr(functional, name)) and "inplace" in inspect.signature(f).parameters
)
# Functions that write to arguments of theirs: the names of those arguments, or their places.
WRITES = {
    "F.batch_norm": {1, 2},
    "F.instance_norm": {1, 2},
    "F.embedding": {1},
    "F.embedding_bag": {1},
    **{f"{space}.{name}": {0} for name in INPLACE for space in "Ft"},
    "K.add_rows": {0},
    "K.adam": {0, 2, 3, 4},
    "K.box_muller": {3},
    "K.count_up": {0},
    "K.optimizer_step": {1, 3},
    "K.place_at": {2},
    "K.scale_all": {0},
    "K.sgd": {0, 2},
    "d2l.sgd": {0},
    "d2l.train_epoch_ch3": {0, 3},
    "d2l.grad_clipping": {0},
    "d2l.add_to_class": {0},
    "checkpoint.load_checkpoint": {"model"},
    **{f"d2l.evaluate_{name}": {0} for name in ("accuracy", "accuracy_gpu", "loss")},  # the net's mode
    **{call.name: {0, "optimizer"} for call in calls.all_calls() if call.name.startswith("train.")},
    "K.update_running": {0, 1},
    "T.copy_": {0},
    "T.__setitem__": {0},
    "setattr": {0},
    "utils.clip_grad_norm_": {0},
    "utils.spectral_norm": {0},
    "utils.weight_norm": {0},
    "utils.parametrizations.spectral_norm": {0},
    "utils.parametrizations.weight_norm": {0},
    "utils.parametrize.register_parametrization": {0},
    "utils.vector_to_parameters": {1},
    "utils.clip_grad_value_": {0},
    "lr.ExponentialLR": {0},
    "T.requires_grad_": {0},
    "T.__iadd__": {0},
    "T.__imul__": {0},
    "t.warmup": {0},
    "K.max_pool_indices": set(),
    "T.detach_": {0},
}
# What Python says itself of an argument that cannot be called or walked through; it names the type that was given.
PLAIN = re.compile(
    r"object is not (callable|iterable)|argument after \*\*? must be|cannot unpack non-iterable|iteration over a 0-d array"
)
COUNTS = {
    "d2l.train_2d": ("1", "steps"),
    "d2l.TransformerEncoder": ("4", "num_blks"),
    "d2l.SyntheticRegressionData": ("3", "4"),
    "d2l.synthetic_data": ("2",),
    "d2l.GRU": ("2", "num_layers"),
    "d2l.RNNLM(d2l.RNN(4, 4), 4, 0.1).predict": ("1", "num_preds"),
    "train.Trainer": ("0",),
    "nn.Transformer": ("2", "3", "num_encoder_layers", "num_decoder_layers"),
    "generation.beam_search": ("2", "max_new_tokens"),
    "generation.generate": ("2", "max_new_tokens"),
    "nn.RNN": ("2", "num_layers"),
    "nn.RNNBase": ("3", "num_layers"),
    "nn.LSTM": ("2", "num_layers"),
    "nn.GRU": ("2", "num_layers"),
    "nn.TransformerEncoder": ("1", "num_layers"),
    "nn.TransformerDecoder": ("1", "num_layers"),
}
# What Python itself refuses, before minidl is asked.
BY_PYTHON = ("operator.", "setattr", "list")
FILES = (
    "checkpoint.",
    "d2l.extract",
    "train.",
    "t.load",
    "t.save",
    "data.read_idx",
    "data.write_idx",
    "data.MNIST",
    "data.FashionMNIST",
)
SETTINGS = ("t.set_grad_enabled", "t.no_grad", "t.enable_grad", "K.set_num_threads", "t.set_num_threads", "K.set_memory_kept")


def line_of(seed, i):
    """(the generator, the line of the table) of the call with the number i."""
    rng, table = np.random.default_rng([seed, i]), calls.all_calls()
    return rng, table[rng.integers(len(table))]


def drawn(seed, i):
    """The call with the number i: (its line of the table, function, arguments, keywords, what was replaced)."""
    rng, call = line_of(seed, i)
    minidl.manual_seed(i)
    function, arguments, keywords = call.make()
    options = {k: v for k, v in calls.parameters(function).items() if k not in keywords}
    names = list(calls.parameters(function))
    for name in names[: len(arguments)]:
        options.pop(name, None)
    options.pop("download", None)  # no test may go to the network
    first = 1 if call.name.startswith(("T.", "setattr")) else 0
    slots = [*range(len(arguments)), *keywords] * 2 + [k for k, v in options.items() if v is not inspect.Parameter.empty]
    changed = []
    for _ in range(1 + (rng.random() < 0.3)):
        if not slots:
            break
        slot = slots[rng.integers(len(slots))]
        if str(slot) in COUNTS.get(call.name, ()):
            continue  # so many layers are made, or tokens, as are asked for
        changed.append(slot)
        if isinstance(slot, int):
            old = arguments[slot]
            new = values.hostile(rng, old)
            if slot < first:  # the object a method is called on
                new = values.tensor(rng, values.near_array(rng, old.detach().array)) if isinstance(old, minidl.Tensor) else old
                new = new if isinstance(new, minidl.Tensor) else old
            arguments[slot] = new
        else:
            keywords[slot] = values.hostile(rng, keywords.get(slot, options.get(slot)))
    return call, function, arguments, keywords, changed


def described(call, arguments, keywords):
    parts = [values.brief(x) for x in arguments] + [f"{k}={values.brief(x)}" for k, x in keywords.items()]
    return f"{call.name}({', '.join(parts)})"


def play(seed, i, strict=False):
    call, function, arguments, keywords, _ = drawn(seed, i)
    text = described(call, arguments, keywords)
    given = [*arguments, *keywords.values()]
    before = [values.fingerprint(x) for x in given]
    error = result = None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        modes = minidl.is_grad_enabled(), np.geterr()
        try:
            result = function(*arguments, **keywords)
            _use(result)
        except Exception as caught:
            error = caught
        if call.name in SETTINGS:
            minidl.set_grad_enabled(True)
            kernels.set_num_threads(1)
            kernels.set_memory_kept(256)
    if call.name.startswith("operator") and not any(isinstance(x, minidl.Tensor) for x in given):
        return "result" if error is None else "error"  # nothing of minidl
    found, raw = [], []
    if error is not None:
        found, raw = complaints(call, function, error)
    found += [
        f"warns {w.category.__name__}: {w.message}"[:200] + f" at {os.path.relpath(w.filename, PACKAGE)}:{w.lineno}"
        for w in told
        if not _own_warning(w, call.name)
    ]
    if (minidl.is_grad_enabled(), np.geterr()) != modes:
        found.append("changes a mode")
        minidl.set_grad_enabled(True)
        np.seterr(**modes[1])
    found += _changes(call, given, before, error, len(arguments))
    if found or (raw and strict):
        raise runner.Fault(f"{text}: {'; '.join(found + raw)}")
    return "result" if error is None else "raw" if raw else "error"


def _use(result):
    """What a program does with a result: prints it, and asks for gradients."""
    for y in result if isinstance(result, (tuple, list)) else [result]:
        if type(y) in (minidl.Tensor, minidl.nn.Parameter):
            assert type(y.array) is np.ndarray, "a result holds no ndarray"
            if y.size() and y.numel() < 100_000:
                repr(y)
            if y.requires_grad and y.numel() < 1_000_000 and y.grad_fn is not None:
                y.backward(minidl.ones_like(y.detach()), retain_graph=True)


def _changes(call, given, before, error, positional):
    written = WRITES.get(
        call.name, {0} if call.name.rstrip(")").endswith("_") and not call.name.startswith("operator") else set()
    )
    for place, (x, old) in enumerate(zip(given, before, strict=True)):
        if error is None and (place in written or (place >= positional and call.name in WRITES)):
            continue
        if values.fingerprint(x) != old:
            yield f"changes argument {place}{' though it fails' if error else ''}"


def complaints(call, function, error):
    """(faults, raw errors): why an error is not one that a user should see."""
    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename.startswith(HERE):
        frames = frames[1:]
    what = f"{type(error).__name__}: {error}"[:240]
    if isinstance(error, MemoryError) or (isinstance(error, ArithmeticError) and "spiteful" in str(error)):
        return [], []
    if (call.name.startswith(FILES) and isinstance(error, OSError)) or (
        call.name.startswith("d2l.check_") and isinstance(error, AssertionError)
    ):
        return [], []
    if not frames:
        fine = call.name.startswith(BY_PYTHON) or isinstance(error, TypeError)
        return ([], []) if fine else ([f"raises {what}"], [])
    last = frames[-1]
    if last.filename.startswith(HERE) or (isinstance(error, TypeError) and PLAIN.search(str(error))):
        return [], []  # raised by an argument; or plain enough
    where = f"{os.path.relpath(last.filename, PACKAGE)}:{last.lineno}"
    by_minidl = last.filename.startswith(PACKAGE) and (last.line or "").startswith("raise")
    if type(error) not in ERRORS | ({ZeroDivisionError} if by_minidl else set()) and not (
        isinstance(error, (TypeError, ValueError)) and type(error).__module__.startswith("numpy")
    ):
        return [f"raises {what} at {where}"], []
    if not by_minidl:
        return [], [f"raw {what} at {where} ({(last.line or '')[:60]})"]
    if not _names(call, function, str(error)):
        return [], [f"no name in {what} at {where}"]
    return [], []


def _names(call, function, message):
    simple = call.name.rpartition(".")[2].strip("_()")
    owner = type(getattr(function, "__self__", function)).__name__
    known = {simple, owner, *calls.parameters(function), getattr(function, "__name__", simple), type(function).__name__}
    return bool(re.match(r"[\w .']+: ", message)) or any(re.search(rf"\b{re.escape(name)}\b", message, re.I) for name in known)


def _own_warning(w, name=""):
    if name.startswith("operator.") and issubclass(w.category, DeprecationWarning):
        return True  # NumPy's own, where an array of structures is compared with anything
    return issubclass(w.category, UserWarning) and re.match(r"[\w .]+: ", str(w.message)) is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--only", type=int, nargs="*", help="the numbers of the calls to run")
    parser.add_argument("--functions", nargs="*", help="beginnings of names, such as optim. or L.det: calls of these alone")
    parser.add_argument(
        "--strict", action="store_true", help="errors that are Python's or NumPy's own, or name nothing, are faults"
    )
    parser.add_argument("--quiet", action="store_true", help="no table")
    options = parser.parse_args()
    minidl.set_num_threads(1)  # a process that has used threads may not be forked
    start = time.time()
    if options.functions:
        begins, found = tuple(options.functions), itertools.count()
        if not any(call.name.startswith(begins) for call in calls.all_calls()):
            parser.error(f"no call has a name that begins with {' or '.join(begins)}")
        found = (i for i in found if line_of(options.seed, i)[1].name.startswith(begins))
        options.only = list(itertools.islice(found, options.calls))
    warm(tuple(options.functions or [""]))
    gc.freeze()
    report = runner.run(functools.partial(play, options.seed, strict=options.strict), options.calls, options.only)
    numbers = options.only or range(options.calls)
    if not options.quiet:
        print("\n".join(report.table(lambda i: drawn(options.seed, numbers[i])[0].name)))
    for i, fault in report.faults.items():
        call, _, arguments, keywords, _ = drawn(options.seed, i)
        text = "" if fault.startswith(call.name) else described(call, arguments, keywords) + ": "
        print(f"{i}: {text}{fault}")
    print(f"seed {options.seed}: {len(report.outcomes)} calls, {len(report.faults)} faults, {time.time() - start:.0f} s")
    sys.exit(bool(report.faults))


def warm(begins=("",)):
    """Calls everything whose name begins so once: what compiles is compiled, and the table is right."""
    for call in calls.all_calls():
        if not call.name.startswith(begins):
            continue
        function, arguments, keywords = call.make()
        try:
            _use(function(*arguments, **keywords))
        except OSError:
            assert call.name.startswith(FILES), call.source


if __name__ == "__main__":
    main()
