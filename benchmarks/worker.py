"""`worker.py LIBRARY GROUP [CORE ...]`: builds one library's side of the cases, and times it when a line on stdin says so.

"next" builds the next case and answers its name ("-" if this library has no part in it, "end" after the last); "time" answers
the seconds that one call takes, the mean of as many calls as fill 10 ms.
"""

import gc
import os
import statistics
import sys
import time

if sys.argv[3:]:  # before any library counts the cores
    os.sched_setaffinity(0, map(int, sys.argv[3:]))

import cases
import compiled
import convnets
import optimizers
import second_order
import sequences


def main():
    library, group = sys.argv[1:3]
    answers, sys.stdout = sys.stdout, sys.stderr
    home = next(module for module in (cases, compiled, convnets, optimizers, second_order, sequences) if hasattr(module, group))
    remaining = iter(getattr(home, group)(library, cases.load(library)))
    for line in sys.stdin:
        if line == "next\n":
            function = None
            case, function = next(remaining, ("end", None))
            answer = case if function or case == "end" else "-"
            if function:
                loops = calibrate(function)
        else:
            answer = repr(mean_time(function, loops))
        print(answer, file=answers, flush=True)


def calibrate(function):
    """How many calls take about 10 ms. The first ones do not count: they compile, record, or compare with an ordinary call."""
    start = time.perf_counter()
    for _ in range(40):
        function()
        if time.perf_counter() - start > 0.2:
            break
    return max(1, int(1e-2 / max(statistics.median(mean_time(function, 1) for _ in range(3)), 1e-7)))


def mean_time(function, loops):
    for _ in range(1 + loops // 5):  # wakes the library's own threads, and fills the caches
        function()
    gc.disable()
    start = time.perf_counter()
    for _ in range(loops):
        function()
    end = time.perf_counter()
    gc.enable()
    return (end - start) / loops


if __name__ == "__main__":
    main()
