"""Plants small mistakes in minidl/nn and minidl/models, one at a time, and counts which of them no test sees.

    python -m tests.mutate --seed 0 --count 300 --log out/mutants.jsonl
    python -m tests.mutate --again out/mutants.jsonl          the survivors again, after new tests were written
    python -m tests.mutate --only "Linear.forward"            all mutants with these words

The mutants are drawn by seed (tests/mutations.py) and planted in a copy of the package. A server in that copy has imported
NumPy, Numba, pytest and what lies below minidl.nn; it forks a child for each mutant. A first run without a mutant says which
tests call which function and how long they take: a child runs those that call the changed function, the quickest files first,
up to the first that fails. PyTorch is hidden: minidl's own tests must see everything. A hang and a crash are seen, too.
MUTATION.md has the results; mutants that change nothing are listed in mutants_equivalent.txt with the reason.
"""

import argparse
import ast
import collections
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .mutate_server import SOURCES
from .mutations import drawn, mutants

ROOT = Path(__file__).parent.parent
# What does not concern nn and models, runs processes of its own, or compares with PyTorch only.
OTHERS = {
    "adam",
    "against_torch",
    "cache_attacks",
    "cache_folder",
    "cache_removal",
    "conv_batches",
    "conv_kernels",
    "conv_pixels",
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
    "fuzz_errors",
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
    "other_processors",
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
ALWAYS = ("tests/test_signatures.py",)  # looks at functions without calling them
EACH = 60.0  # seconds of tests for one mutant, as measured by the first run


class Copy:
    """A copy of the package and its tests, with a server in it."""

    def __init__(self, folder, root=ROOT):
        self.folder = Path(folder)
        for name in ("minidl", "tests"):
            shutil.copytree(root / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(root / "pyproject.toml", self.folder)
        command = [sys.executable, "-m", "tests.mutate_server"]
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
            raise RuntimeError("the server of the copy has ended:\n" + (self.folder / "server.txt").read_text("utf-8"))
        return json.loads(line)

    def judge(self, mutant, tests, seconds):
        """What sees the mutant, or None."""
        path = self.folder / mutant.path
        right = path.read_text("utf-8")
        self.stamp += 2  # else Python could take compiled code of another mutant for this one's
        try:
            path.write_text(mutant.applied(right), "utf-8")
            os.utime(path, (self.stamp, self.stamp))
            return self.ask(tests=tests, seconds=seconds)["seen"]
        finally:
            path.write_text(right, "utf-8")
            self.stamp += 2
            os.utime(path, (self.stamp, self.stamp))


class Selection:
    """Which tests call which function, measured once; a file keeps it until the package or a file of tests changes."""

    def __init__(self, copy, files, kept=None):
        package = _digest(*sorted((ROOT / "minidl").rglob("*.py")), *sorted((ROOT / "tests").glob("table*.py")))
        self.files, known = {}, {}
        if kept is not None and kept.exists():
            known = json.loads(kept.read_text("utf-8"))
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
                if everything or file in ALWAYS or not wanted.isdisjoint(called) or (file == mutant.path and not innermost)
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
    return {str(p.relative_to(root)): p.read_text("utf-8") for place in SOURCES for p in sorted((root / place).rglob("*.py"))}


def files_of_tests(root=ROOT):
    files = [f"tests/{p.name}" for p in sorted((root / "tests").glob("test_*.py")) if p.stem[5:] not in OTHERS]
    return files + [path for path, source in source_files(root).items() if ">>>" in source]


def reasons():
    """{mutant: why it changes nothing}"""
    found, reason = {}, None
    for line in (ROOT / "tests" / "mutants_equivalent.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line:
            found[line] = reason
    return found


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
            with open(log, "a", encoding="utf-8") as file:
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
    options = parser.parse_args(arguments)
    sources = source_files()
    everything = [mutant for path, source in sources.items() for mutant in mutants(path, source)]
    if options.again:
        lines = map(json.loads, options.again.read_text("utf-8").splitlines())
        keys = {line["key"] for line in lines if line["outcome"] == "survived"}
        chosen = [mutant for mutant in everything if mutant.key in keys]
        lost = keys - {mutant.key for mutant in chosen}
        if lost:
            print(f"no longer in the sources: {sorted(lost)}")
    elif options.only:
        chosen = [mutant for mutant in everything if any(words in mutant.key for words in options.only)]
    else:
        chosen = drawn(sources, options.seed, options.count)
    if options.log:
        options.log.parent.mkdir(parents=True, exist_ok=True)
    if options.log and options.log.exists():
        done = {json.loads(line)["key"] for line in options.log.read_text("utf-8").splitlines()}
        chosen = [mutant for mutant in chosen if mutant.key not in done]
    if options.list:
        print("\n".join(f"{mutant.kind:18} {mutant.key}" for mutant in chosen))
        return 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Copy(folder) as copy:
        tests = Selection(copy, options.tests or files_of_tests(), options.measured)
        print(f"measured {len(tests.files)} files of tests in {time.monotonic() - begin:.0f} s", flush=True)
        counts = run(chosen, copy, tests, options.each, options.log)
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("killed", "equivalent", "survived"))
    print(f"{len(chosen)} mutants: {words}; {time.monotonic() - begin:.0f} s")
    return 1 if counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
