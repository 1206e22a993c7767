"""What tests/mutate.py runs in a copy of the package: a server that forks a child for each mutant.

The server has imported what takes long and what no mutant changes; a child imports the rest.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
from pathlib import Path

import pytest

SOURCES = ("minidl/nn", "minidl/models")
# Slow, and they see no mutant: tests of kernels, and those that call every function with what every other one is for.
LEFT_OUT = ("tests/test_completeness.py", ("could_be_another", "kernel"))
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
)
MEMORY = 4 << 30  # bytes that a child may take beyond what it has when it begins


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
    sys.modules["minidl.kernels"].relu(sys.modules["numpy"].ones(2))  # the first kernel to be loaded takes half a second
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
            return json.loads(Path(answer).read_text("utf-8"))
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
        file, words = LEFT_OUT
        items[:] = [x for x in items if not (x.nodeid.startswith(file) and any(word in x.name.split("[")[0] for word in words))]

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


if __name__ == "__main__":
    serve()
