"""When a kernel uses more than one thread: only where it pays, and only where it is safe.

A kernel that can be shared out does one share of the work, `kernel(*arguments, part, parts)`; `shares` runs all of them in one
parallel loop. A share owns its part of the output and the arithmetic of an output element does not depend on `parts`, so one
thread and two give the same bits.
"""

import os
import threading

import numba

_one_at_a_time = threading.Lock()  # Numba's workqueue layer aborts the process when two threads launch at once


def _chosen_number():
    chosen = os.environ.get("MINIDL_NUM_THREADS", "")
    if chosen and not (chosen.isdigit() and int(chosen)):
        raise ValueError(f"the environment variable MINIDL_NUM_THREADS must be a number of 1 or more, got {chosen!r}")
    return min(int(chosen or numba.config.NUMBA_NUM_THREADS), numba.config.NUMBA_NUM_THREADS)


_number = _chosen_number()
_forked = False  # OpenMP kills a forked child that launches, so a child stays serial


def _after_fork():
    global _forked, _one_at_a_time
    _forked, _one_at_a_time = True, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def get_num_threads():
    """How many threads a kernel may use at most. At first as many as there are cores, or MINIDL_NUM_THREADS of the environment.

    >>> import minidl
    >>> minidl.get_num_threads() >= 1
    True
    """
    return 1 if _forked else _number


def set_num_threads(number):
    """Lets kernels use at most `number` threads, from 1 to the number of cores (as Numba counts them).

    >>> import minidl
    >>> before = minidl.get_num_threads()
    >>> minidl.set_num_threads(1)
    >>> minidl.get_num_threads()
    1
    >>> minidl.set_num_threads(before)
    """
    global _number
    if not 1 <= number <= numba.config.NUMBA_NUM_THREADS:
        raise ValueError(f"set_num_threads: expected 1 to {numba.config.NUMBA_NUM_THREADS}, got {number}")
    _number = int(number)


def run(pays, kernel, dtype, *args):
    """Runs a `shares.SharedCode`: all parts of it, on all threads if that `pays` and nobody else is doing so."""
    if pays and _number > 1 and not _forked and not _one_at_a_time.locked():
        with _one_at_a_time:  # Ctrl-C cannot come between taking it and the block
            kernel.on_all_threads(dtype, args, _number)
    else:
        kernel[dtype](*args, 0, 1)
