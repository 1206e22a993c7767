"""Plants small mistakes in minidl/nn and minidl/models, one at a time, and counts which of them no test sees.

    python -m tests.mutate --seed 0 --count 300 --log out/mutants.jsonl
    python -m tests.mutate --again out/mutants.jsonl          the survivors again, after new tests were written
    python -m tests.mutate --only "Linear.forward"            all mutants with these words

The mutants are drawn by seed (tests/mutations.py) and planted in a copy of the package. A server in that copy has imported
NumPy, Numba, pytest and what lies below minidl.nn; it forks a child for each mutant. A first run without a mutant says which
tests call which function and how long they take: a child runs those that call the changed function, the quickest files first,
up to the first that fails. PyTorch is hidden: minidl's own tests must see everything. A hang and a crash are seen, too.
MUTATION.md has the results; mutants that change nothing are listed in mutants_equivalent.py with the reason.
"""

import argparse
import ast
import collections
import contextlib
import functools
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
from pathlib import Path

import pytest

from .mutants_equivalent import EQUIVALENT
from .mutations import drawn, mutants

ROOT = Path(__file__).parent.parent
SOURCES = ("minidl/nn", "minidl/models")
# What does not concern nn and models, runs processes of its own, or compares with PyTorch only.
OTHERS = {
    "adam",
    "against_torch",
    "cache_attacks",
    "cache_folder",
    "cache_removal",
    "conv_kernels",
    "conv_weight_kernels",
    "data",
    "depthwise_kernels",
    "diagnosis",
    "digits",
    "distributions_continuous",
    "distributions_discrete",
    "double_backward",
    "double_backward_against_torch",
    "double_backward_saved",
    "engine_in_one_page",
    "file_attacks",
    "file_failures",
    "forks",
    "func",
    "func_against_torch",
    "fuzz",
    "gemm",
    "gradcheck",
    "graph",
    "indexing",
    "inplace",
    "interrupts",
    "io",
    "kernels",
    "layers",
    "memory",
    "memory_pool",
    "mnist",
    "mutants",
    "mutants_second_order",
    "mutate",
    "norm_kernels",
    "ops",
    "optim",
    "pool_kernels",
    "printing",
    "profiler",
    "promotion",
    "random",
    "readme",
    "setup",
    "sums",
    "tensor",
    "text",
    "transformer_against_torch",
    "transforms",
    "ulps",
    "watch",
}
# Slow, and they see no mutant: tests of kernels, and those that call every function with what every other one is for.
LEFT_OUT = ("could_be_another", "_kernel")
# The layers below nn, from which the server starts.
BELOW = (
    "kernels",
    "random",
    "ops",
    "graph",
    "double_backward",
    "tensors.record",
    "tensors.tensor",
    "tensors.functions",
    "information",
    "autograd",
    "io",
)
MEMORY = 4 << 30  # bytes that a child may take beyond what it has when it begins
EACH = 60.0  # seconds of tests for one mutant, as measured by the first run


# --- in the copy: the server and its children


def serve():
    """Answers requests, one in a line of JSON, each in a forked child."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.modules["torch"] = None
    for name in ("hypothesis", "numpy", "numba", "doctest"):
        importlib.import_module(name)
    # nn and what imports it is left to the children, so the package itself is, too: an empty one stands for it meanwhile.
    package = sys.modules["minidl"] = types.ModuleType("minidl")
    package.__path__ = [os.path.abspath("minidl")]
    for name in BELOW:
        importlib.import_module(f"minidl.{name}")
    del sys.modules["minidl"]
    assert not [name for name in sys.modules if name.startswith(("minidl.nn", "minidl.models"))]
    for line in requests:
        request = json.loads(line)
        answers.write(json.dumps(_forked(request)) + "\n")


def _forked(request):
    with tempfile.TemporaryDirectory() as folder:
        output, answer = os.path.join(folder, "output"), os.path.join(folder, "answer")
        child = os.fork()
        if child == 0:
            _child(request, output, answer)
        end = time.monotonic() + request["seconds"]
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return {"seen": f"a hang of {request['seconds']:.0f} s"}
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what it left behind
        if os.path.exists(answer):
            return json.loads(Path(answer).read_text())
        return {"seen": f"a crash: {' '.join(Path(output).read_text(errors='replace').split())[-300:]}"}


def _child(request, output, answer):
    os.setsid()
    try:
        sink = os.open(output, os.O_WRONLY | os.O_CREAT)
        for stream in (0, 1, 2):
            os.dup2(sink, stream)
        if sys.platform == "linux":
            with open("/proc/self/statm") as file:
                now = int(file.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, -1))
        subprocess.Popen.__init__ = _refuse
        try:
            _import_package()
            result = _measured(request["file"]) if "file" in request else _judged(request["tests"])
        except BaseException as error:
            result = {"seen": f"the import: {type(error).__name__}: {error}"[:300]}
            traceback.print_exc()
        unfinished = f"{answer}.unfinished"
        Path(unfinished).write_text(json.dumps(result))
        os.replace(unfinished, answer)
    finally:
        os._exit(0)


def _refuse(*_, **__):
    raise PermissionError("tests that run other processes are left out here: they take long, and leave some behind")


def _import_package():
    minidl = importlib.import_module("minidl")
    for name, module in list(sys.modules.items()):
        if name.startswith("minidl.") and name.count(".") == 1 and not hasattr(minidl, name[7:]):
            setattr(minidl, name[7:], module)


def _pytest(file, plugin):
    options = ["-q", *(f"-pno:{name}" for name in ("cacheprovider", "randomly", "xdist"))]
    return pytest.main([file, *options, "-Wignore::pytest.PytestAssertRewriteWarning"], plugins=[plugin])


def _judged(tests):
    """Runs the tests {file: their names} up to the first that fails."""
    for file, names in tests.items():
        plugin = _Chosen(names)
        code = _pytest(file, plugin)
        if plugin.failed:
            return {"seen": plugin.failed}
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return {"seen": f"{file} cannot be collected"}
    return {"seen": None}


class _Chosen:
    def __init__(self, names):
        self.names, self.failed = {name: i for i, name in enumerate(names)}, None

    def pytest_collection_modifyitems(self, session, items):
        items[:] = sorted((x for x in items if x.nodeid in self.names), key=lambda x: self.names[x.nodeid])
        session.config.option.maxfail = 1

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed = self.failed or report.nodeid


def _measured(file):
    """How long the tests of a file take, and which functions each of them calls."""
    plugin, begin = _Measuring(), time.perf_counter()
    sys.setprofile(plugin.count)
    code = _pytest(file, plugin)
    sys.setprofile(None)
    rest = time.perf_counter() - begin - sum(seconds for seconds, _ in plugin.tests.values())
    return {"code": int(code), "rest": rest, "tests": plugin.tests, "failed": sorted(plugin.bad), "all": sorted(plugin.all)}


class _Measuring:
    def __init__(self):
        self.tests, self.bad, self.all, self.called, self.known = {}, set(), set(), set(), {}
        self.places = tuple(os.path.abspath(place) + os.sep for place in SOURCES)

    def count(self, frame, event, argument):
        if event == "call":
            code = frame.f_code
            if code not in self.known:
                inside = code.co_filename.startswith(self.places)
                self.known[code] = f"{os.path.relpath(code.co_filename)}:{code.co_firstlineno}" if inside else None
            if self.known[code]:
                self.called.add(self.known[code])

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if not any(word in item.name.split("[")[0] for word in LEFT_OUT)]

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collection(self):
        self.called = self.all  # what modules of tests call when they are imported
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        self.called, begin = set(), time.perf_counter()
        yield
        if item.nodeid not in self.bad:
            self.tests[item.nodeid] = time.perf_counter() - begin, sorted(self.called)

    def pytest_runtest_logreport(self, report):
        if report.failed or report.skipped:
            self.bad.add(report.nodeid)


# --- outside: the copy, the choice of tests, the report


class Copy:
    """A copy of the package and its tests, with a server in it."""

    def __init__(self, folder, root=ROOT):
        self.folder = Path(folder)
        for name in ("minidl", "tests"):
            shutil.copytree(root / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(root / "pyproject.toml", self.folder)
        command = [sys.executable, "-m", "tests.mutate", "--serve"]
        log = open(self.folder / "server.txt", "w")  # noqa: SIM115
        self.server = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
        )
        log.close()
        self.stamp = time.time()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()

    def ask(self, **request):
        self.server.stdin.write(json.dumps(request) + "\n")
        line = self.server.stdout.readline()
        if not line:
            raise RuntimeError("the server of the copy has ended:\n" + (self.folder / "server.txt").read_text())
        return json.loads(line)

    def judge(self, mutant, tests, seconds):
        """What sees the mutant, or None."""
        path = self.folder / mutant.path
        right = path.read_text()
        self.stamp += 2  # else Python could take compiled code of another mutant for this one's
        try:
            path.write_text(mutant.applied(right))
            os.utime(path, (self.stamp, self.stamp))
            return self.ask(tests=tests, seconds=seconds)["seen"]
        finally:
            path.write_text(right)
            self.stamp += 2
            os.utime(path, (self.stamp, self.stamp))


class Tests:
    """Which tests call which function, measured once; a file keeps it until the package or a file of tests changes."""

    def __init__(self, copy, files, kept=None):
        package = _digest(*sorted((ROOT / "minidl").rglob("*.py")), *sorted((ROOT / "tests").glob("table*.py")))
        self.files, known = {}, {}
        if kept is not None and kept.exists():
            known = json.loads(kept.read_text())
        for file in files:
            digest = f"{package} {_digest(ROOT / file)}"
            if known.get(file, {}).get("digest") != digest:
                known[file] = {**copy.ask(file=file, seconds=900), "digest": digest}
                if known[file].get("code", 9) not in (0, 1, 5):
                    raise RuntimeError(f"{file} does not run: {known[file]}")
                if kept is not None:
                    kept.write_text(json.dumps(known))
            self.files[file] = known[file]

    def of(self, mutant, source, most):
        """({file: names}, their seconds, how many were left out): the quickest first, at most so many seconds."""
        places = _places(mutant.path, source)
        innermost = max((place for place in places if place[0] <= mutant.line <= place[1]), default=None)
        wanted = {f"{mutant.path}:{start}" for start, _ in ([innermost] if innermost else places)}
        choices = []
        for file, measured in self.files.items():
            everything = bool(wanted & set(measured["all"]))
            chosen = [
                (seconds, name)
                for name, (seconds, called) in measured["tests"].items()
                if everything or not wanted.isdisjoint(called) or (file == mutant.path and not innermost)
            ]
            if chosen:
                choices.append((measured["rest"] + sum(seconds for seconds, _ in chosen), file, sorted(chosen)))
        tests, total, left = {}, 0.0, 0
        for _, file, chosen in sorted(choices):
            for seconds, name in chosen:
                if total + seconds > most and tests:
                    left += 1
                    continue
                tests.setdefault(file, []).append(name)
                total += seconds
            total += self.files[file]["rest"] if file in tests else 0
        return tests, total, left


def _digest(*paths):
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


@functools.cache
def _places(path, source):
    """The first and last line of each function of a source, as code objects have them: decorators included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append((min([node.lineno, *[x.lineno for x in node.decorator_list]]), node.end_lineno))
    return found


def source_files(root=ROOT):
    return {str(p.relative_to(root)): p.read_text() for place in SOURCES for p in sorted((root / place).rglob("*.py"))}


def test_files(root=ROOT):
    files = [f"tests/{p.name}" for p in sorted((root / "tests").glob("test_*.py")) if p.stem[5:] not in OTHERS]
    return files + [path for path, source in source_files(root).items() if ">>>" in source]


def reasons():
    return {key: reason for reason, keys in EQUIVALENT.items() for key in keys}


def run(chosen, copy, tests, most, log=None):
    """Judges the mutants; returns {outcome: how many}."""
    counts, known, sources = collections.Counter(), reasons(), source_files()
    for i, mutant in enumerate(chosen):
        begin = time.monotonic()
        names, expected, left = tests.of(mutant, sources[mutant.path], most)
        seen = copy.judge(mutant, names, 60 + 6 * expected) if names else None
        outcome = "killed" if seen else "equivalent" if mutant.key in known else "survived"
        counts[outcome] += 1
        ran = sum(map(len, names.values()))
        detail = seen or (f"{ran} tests" + (f", {left} more left out" if left else ""))
        took = time.monotonic() - begin
        print(f"{i + 1:4} {took:5.1f} s {outcome:10} {mutant.kind:18} {mutant.key}\n{'':25}{detail}", flush=True)
        if log is not None:
            record = {"key": mutant.key, "kind": mutant.kind, "outcome": outcome, "detail": detail, "seconds": round(took, 1)}
            with open(log, "a") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return counts


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument(
        "--only", action="append", help="all mutants whose line, place or file has these words, instead of drawn ones"
    )
    parser.add_argument("--again", type=Path, help="the survivors of this log, instead of drawn ones")
    parser.add_argument(
        "--log", type=Path, help="a file of JSON lines that results are added to; what is in it is not run again"
    )
    parser.add_argument("--tests", nargs="*", help="only these files of tests")
    parser.add_argument("--measured", type=Path, help="a file that keeps what the first run has measured")
    parser.add_argument("--each", type=float, default=EACH, help="seconds of tests for one mutant")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        return serve()
    sources = source_files()
    everything = [mutant for path, source in sources.items() for mutant in mutants(path, source)]
    if options.again:
        lines = map(json.loads, options.again.read_text().splitlines())
        keys = {line["key"] for line in lines if line["outcome"] == "survived"}
        chosen = [mutant for mutant in everything if mutant.key in keys]
        lost = keys - {mutant.key for mutant in chosen}
        if lost:
            print(f"no longer in the sources: {sorted(lost)}")
    elif options.only:
        chosen = [mutant for mutant in everything if any(words in mutant.key for words in options.only)]
    else:
        chosen = drawn(sources, options.seed, options.count)
    if options.log and options.log.exists():
        done = {json.loads(line)["key"] for line in options.log.read_text().splitlines()}
        chosen = [mutant for mutant in chosen if mutant.key not in done]
    if options.list:
        print("\n".join(f"{mutant.kind:18} {mutant.key}" for mutant in chosen))
        return 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Copy(folder) as copy:
        tests = Tests(copy, options.tests or test_files(), options.measured)
        print(f"measured {len(tests.files)} files of tests in {time.monotonic() - begin:.0f} s", flush=True)
        counts = run(chosen, copy, tests, options.each, options.log)
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("killed", "equivalent", "survived"))
    print(f"{len(chosen)} mutants: {words}; {time.monotonic() - begin:.0f} s")
    return 1 if counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
