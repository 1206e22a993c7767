"""Runs every example in full, as many at once as the machine has cores, and fails if one misses its target: `make gallery`.

For each one line is printed: whether it met its target, how much of a processor's time it took, and the last line that it
printed, but for the name of its picture. Pictures are left in out/. With --write the columns picture, time and result of
README.md beside this file are filled in. (A processor's time, since by the clock each waits for the others. With as many at
once as there are cores, each has one thread.)

An example says itself whether its target is met: by its exit code. Those that measure speed (ladder_*) run last and alone.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
TIMEOUT = 1800  # seconds by the clock; the slowest takes a tenth of it where nothing else runs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="examples to run, for example kl_asymmetry (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few steps of each, to show that they run")
    parser.add_argument("--write", action="store_true", help="write pictures, times and results into examples/README.md")
    options = parser.parse_args()
    chosen = examples() if not options.names else [HERE / f"{Path(name).stem}.py" for name in options.names]
    missing = [path.name for path in chosen if not path.exists()]
    if missing or options.jobs < 1 or (options.write and options.quick):
        parser.error(f"expected names of examples, 1 job or more, and --write without --quick; not there: {missing}")

    rows = README.read_text(encoding="utf-8")
    together = sorted((path for path in chosen if not alone(path)), key=lambda path: -seconds(rows, path))  # longest first
    start, results = time.perf_counter(), {}
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    with ThreadPoolExecutor(options.jobs) as pool:
        for done in as_completed([pool.submit(run, path, options.quick, threads) for path in together]):
            report(results, done.result())
    for path in filter(alone, chosen):
        report(results, run(path, options.quick, os.cpu_count() or 1))

    failed = [result["path"].name for result in results.values() if result["error"]]
    print(f"{len(results) - len(failed)} of {len(results)} examples met their targets, in {time.perf_counter() - start:.0f} s")
    if options.write:
        README.write_text(filled(README.read_text(encoding="utf-8"), results), encoding="utf-8")
        print("times and results: examples/README.md")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def examples():
    """All programs: not what they share, _name.py, nor this one."""
    return [path for path in sorted(HERE.glob("[!_]*.py")) if path.name != Path(__file__).name]


def alone(path):
    return path.name.startswith("ladder_")


def seconds(rows, path):
    """What the table says of an example's time; of one that is new nothing is known, and it comes first."""
    told = re.search(rf"\({re.escape(path.name)}\)[^\n]*?\| ([\d.]+) s \|", rows)
    return float(told[1]) if told else float("inf")


def run(path, quick, threads):
    """{path, seconds, error (None if the target was met), picture and result: the last lines that it printed}."""
    number = str(threads)
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8", "MINIDL_NUM_THREADS": number}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), number)
    command = [sys.executable, str(path), *(["--quick"] if quick else [])]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, cwd=HERE.parent, env=environment, stdout=out, stderr=err)
        timer = threading.Timer(TIMEOUT, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        in_time = timer.is_alive()
        timer.cancel()
        lines, errors = (read_lines(file) for file in (out, err))
    error = None if process.returncode == 0 else (errors or [f"exit code {process.returncode}"])[-1]
    if not in_time:
        error = f"stopped after {TIMEOUT} s"
    pictures = [line.removeprefix("picture: ") for line in lines if line.startswith("picture: ")]
    told = [line for line in lines if not line.startswith("picture: ")]
    return {
        "path": path,
        "seconds": usage.ru_utime + usage.ru_stime,
        "error": error,
        "picture": pictures[-1] if pictures else None,
        "result": told[-1] if told else "",
    }


def read_lines(file):
    """The lines that are not empty."""
    file.seek(0)
    return [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]


def report(results, result):
    results[result["path"].name] = result
    mark = "FAILED" if result["error"] else "ok"
    print(f"{mark:<7}{result['path'].stem:<28}{result['seconds']:>6.1f} s  {result['error'] or result['result']}", flush=True)


def filled(rows, results):
    """The text of README.md with the last three cells of each row of an example that has been run and met its target."""
    lines = rows.splitlines()
    for i, line in enumerate(lines):
        name = re.search(r"\((\w+\.py)\)", line)
        if line.startswith("|") and name and name[1] in results and not results[name[1]]["error"]:
            result = results[name[1]]
            picture = Path(result["picture"]).name if result["picture"] else "in the terminal"
            told = result["result"].replace("|", "\\|")
            first = re.split(r"(?<!\\)\|", line)[1:-4]
            lines[i] = f"|{'|'.join(first)}| {picture} | {result['seconds']:.0f} s | {told} |"
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
