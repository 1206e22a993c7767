"""Compiling ahead of time: which kernels a step needs is found out without computing anything; two processes compile them.

`needed` lets a step run while every kernel does nothing. Shapes and element types are right, numbers are what memory held.
That takes milliseconds, and tells which code the step would compile. `compile_all` begins at the front of that list, a second
process at its end. Each looks on disk before it compiles, so that they meet somewhere in the middle.
"""

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from . import jit
from .inspection import tables_by_name
from .threads import get_num_threads

PAYS = 4  # kernels to compile from which a second process pays: it takes half a second to import all this
MOST = 10_000  # calls of kernels in a plan: a step that waits for a number to become small would never end
PROGRAM = "import sys; sys.path.insert(0, {!r}); from minidl.kernels.ahead import serve; serve()"


class TooLong(Exception):
    """A planned step calls more kernels than a step does."""


class _Planner:
    """From `begin` to `end`, kernels do nothing in this thread, and `wanted` collects (table, dtype)."""

    def __init__(self):
        self.wanted, self.thread, self.calls = {}, threading.get_ident(), 0

    def begin(self):
        jit.planner = self
        for table in list(jit.tables):
            for dtype, code in list(table.items()):
                dict.__setitem__(table, dtype, _Idle(self, code))

    def end(self):  # may be called again, if Ctrl-C came in between
        jit.planner = self.thread = None  # from now on an _Idle that is left somewhere calls its kernel
        for table in list(jit.tables):
            for dtype, code in list(table.items()):
                if type(code) is _Idle:
                    dict.__setitem__(table, dtype, code.code)

    def plans(self):
        return self.thread == threading.get_ident()

    def note(self, table, dtype):
        self.wanted[id(table), dtype] = table, dtype
        return self.idle

    def idle(self, *arguments):
        self.calls += 1
        if self.calls > MOST:
            raise TooLong
        return True  # a number where one is wanted


class _Idle:
    """What stands for a compiled kernel meanwhile; other threads get the kernel."""

    def __init__(self, planner, code):
        self.planner, self.code = planner, code

    def __call__(self, *arguments):
        return self.planner.idle() if self.planner.plans() else self.code(*arguments)


def compile_ahead(step):
    """Compiles what step() needs, by two processes if that pays; what it finds out without computing, see above."""
    compile_all(needed(step))


def needed(step):
    """[(table, dtype)] of the kernels that step() would compile, in its order; those before an error, if there is one."""
    if jit.recorder is not None or jit.planner is not None:  # another thread is at it
        return []
    planner = _Planner()
    try:
        try:
            planner.begin()
            with np.errstate(all="ignore"), contextlib.suppress(Exception):
                step()
        finally:
            planner.end()
    finally:
        planner.end()
    return list(planner.wanted.values())


def compile_all(wanted):
    """Compiles what is not on disk, with the help of a second process, if there is enough to do for two."""
    wanted = [(table, dtype) for table, dtype in wanted if not table.is_kept(dtype)]
    if len(wanted) < PAYS or get_num_threads() == 1 or not sys.executable:
        return  # the step itself compiles
    names = {id(table): name for name, table in tables_by_name().items()}
    jobs = [(names.get(id(table)), dtype.char) for table, dtype in reversed(wanted)]
    program = PROGRAM.format(str(Path(__file__).parents[2]))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        helper = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, **quiet)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError), helper.stdin as pipe:
            pipe.write(json.dumps(jobs).encode())
        for table, dtype in wanted:
            table[dtype]
    finally:
        helper.kill()
        helper.wait()


def serve():
    """The second process: compiles what stdin names, which puts it on disk."""
    tables = tables_by_name()
    for name, char in json.load(sys.stdin):
        if name in tables:
            tables[name][np.dtype(char)]
