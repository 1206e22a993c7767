"""Calls of kernels that were noted down, made again one after the other without Python.

A table has a row for each call: the address of a small function that fetches the arguments from memory, the address of the
kernel, that of its arguments, and that of a number that is below 0 as long as all is well (or 0 for none). A native loop runs
the table. A fetcher is made once in a process for each signature, all new ones of a program in one module: about 5 ms each. One
compiled function that holds the calls themselves takes 1.5 ms for each call, and is no faster.
"""

import functools
import struct

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from .jit import jit
from .memory import address_of

_WORD, _DOUBLE, _INT = ir.IntType(64), ir.DoubleType(), ir.IntType(32)
_fetchers, _libraries, _runner = {}, [], []
_layouts = {}  # id of the types of a kernel's arguments, which live as long as this -> (they, what `_layout` gives)
_FAILED = 1 << 30  # added to the number of a row whose kernel ran out of memory


class Table:
    """calls: objects with `kernel` (a CodeByDtype), `dtype`, `kinds` (the types of the arguments) and `args`.

    alarms: {number of a call: a float64 array whose first element says, if it is 0 or more, that the table must stop there}.
    The arrays among the arguments must outlive the table; it keeps the calls.
    """

    def __init__(self, calls, alarms):
        self.calls, self.alarms = calls, alarms
        kernels = {(id(call.kernel), call.dtype): call for call in calls}
        kernels = {name: _key_and_address(call.kernel, call.dtype) for name, call in kernels.items()}
        new = [key for key in dict.fromkeys(key for key, _ in kernels.values()) if key not in _fetchers]
        if new or not _runner:
            loop, *addresses = _compiled([_loop, *map(_fetcher, new)])
            _fetchers.update(zip(new, addresses, strict=True))
            if not _runner:
                _runner.append((run_table.compile((types.intp,) * 3), loop))
        kernels = {name: (_fetchers[key], address) for name, (key, address) in kernels.items()}
        packed, rows, at, self.floats = [], [], 0, []  # floats: of each call, where in the memory its numbers lie
        for call in calls:
            layout, floats = _layout(call.kinds)
            packed.append(layout.pack(*_values(call.args)))
            rows.append([*kernels[id(call.kernel), call.dtype], at, 0])
            self.floats.append([at // 8 + i for i in floats])
            at += layout.size
        memory, self.rows = np.array(np.frombuffer(b"".join(packed))), np.array(rows, np.int64).reshape(-1, 4)
        self.rows[:, 2] += address_of(memory)
        for i, alarm in alarms.items():
            self.rows[i, 3] = address_of(alarm)
        self.memory = memory
        run, loop = _runner[0]
        self.at_once = functools.partial(run, loop, address_of(self.rows), len(self.rows))  # `run` without its check
        self._rest = functools.partial(run, loop)

    def run(self, first=0):
        """Makes all calls from number `first` on; gives -1, or the number of the call whose alarm went off."""
        if not first:
            stopped = self.at_once()
        else:
            stopped = self._rest(address_of(self.rows) + first * self.rows.strides[0], len(self.rows) - first)
            stopped += first if stopped >= 0 else 0
        return self.checked(stopped)

    def checked(self, stopped):
        if stopped >= _FAILED:
            raise MemoryError("no memory for what a kernel keeps beside its arguments")
        return stopped

    def place(self, i, first, count):
        """A function that sets `count` of the floating-point numbers of call i, from number `first` on (-1 is the last)."""
        memory, at = self.memory, self.floats[i][first:][:count]

        def put(*values):
            for k, value in zip(at, values, strict=True):
                memory[k] = value

        return put

    def set_numbers(self, i, args):
        """From now on call i gets the floating-point numbers of these arguments."""
        memory = self.memory
        for at, x in zip(self.floats[i], _numbers(self.calls[i].kinds, args), strict=True):
            memory[at] = x


@intrinsic
def _call_loop(typing, loop, table, rows):
    """loop(table, rows) by the loop's address."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(_INT, [_WORD, _WORD]).as_pointer()
        return builder.sext(builder.call(builder.inttoptr(args[0], kind), args[1:]), _WORD)

    return types.intp(types.intp, types.intp, types.intp), codegen


@jit
def run_table(loop, table, rows):
    """Runs a table without the GIL."""
    return _call_loop(loop, table, rows)


def _key_and_address(kernel, dtype):
    """(types of the result and of the arguments, address of the machine code)"""
    address, kinds = kernel.address(dtype), kernel.kinds(dtype)
    return (kernel.kernel.overloads[tuple(kinds)].signature.return_type, *kinds), address


def _layout(kinds):
    """How the arguments lie in memory, as the machine words that Numba's calling convention wants: a Struct, and which of its
    words are floating-point numbers."""
    if id(kinds) not in _layouts:
        letters = _letters(kinds)
        floats = [i for i, letter in enumerate(letters) if letter == "d"]
        _layouts[id(kinds)] = kinds, (struct.Struct("=" + letters), floats)
    return _layouts[id(kinds)][1]


def _letters(kinds):
    """One letter for each word: q for an integer, d for a floating-point number. An array is integers, see `_values`."""
    letters = ""
    for kind in kinds:
        if isinstance(kind, types.Array):
            letters += "q" * (5 + 2 * kind.ndim)
        elif isinstance(kind, types.BaseTuple):
            letters += _letters(kind.types)
        else:
            letters += "d" if isinstance(kind, types.Float) else "q"
    return letters


def _values(args):
    """The arguments as numbers. An array has no owner there: it outlives them."""
    values, ndarray = [], np.ndarray
    for x in args:
        if isinstance(x, ndarray):
            values += 0, 0, x.size, x.itemsize, address_of(x), *x.shape, *x.strides
        elif isinstance(x, tuple):
            values += _values(x)
        else:
            values.append(x)
    return values


def _numbers(kinds, args):
    """The floating-point numbers among arguments, in order."""
    found = []
    for kind, x in zip(kinds, args, strict=True):
        if isinstance(x, tuple):
            found += _numbers(kind.types, x)
        elif isinstance(kind, types.Float):
            found.append(float(x))
    return found


def _compiled(bodies):
    """Addresses of native functions (two words) → int32, whose code the bodies(builder, arguments) write."""
    library = cpu_target.target_context.codegen().create_library("minidl_program")
    library._optimize_functions = library._optimize_final_module = lambda *module: None  # there is nothing to gain
    module = library.create_ir_module("minidl_program")
    names = [f"minidl_program_{i}" for i in range(len(bodies))]
    for name, body in zip(names, bodies, strict=True):
        function = ir.Function(module, ir.FunctionType(_INT, [_WORD] * 2), name)
        body(ir.IRBuilder(function.append_basic_block()), function.args)
    with global_compiler_lock:
        library.add_ir_module(module)
        library.finalize()
    _libraries.append(library)  # lives as long as the process, as Numba's code does
    return [library.get_pointer_to_function(name) for name in names]


def _load(builder, address, number, kind):
    if isinstance(kind, ir.FloatType):  # all floating-point numbers lie there in double precision
        return builder.fptrunc(_load(builder, address, number, _DOUBLE), kind)
    return builder.load(builder.inttoptr(builder.add(address, _WORD(8 * number)), kind.as_pointer()))


def _fetcher(key):
    """The code that calls a kernel of this signature with arguments from memory: 0 if all went well, else 1."""
    result, *kinds = key
    kind = cpu_target.target_context.call_conv.get_function_type(result, kinds)

    def body(builder, args):
        kernel, memory = args
        places = [builder.alloca(pointer.pointee) for pointer in kind.args[:2]]
        values = [_load(builder, memory, i, type_) for i, type_ in enumerate(kind.args[2:])]
        status = builder.call(builder.inttoptr(kernel, kind.as_pointer()), [*places, *values])
        failed = builder.icmp_signed("!=", status, status.type(0))
        builder.ret(builder.zext(failed, _INT))

    return body


def _loop(builder, args):
    """for row in range(rows): call it; return the row that said stop (+ _FAILED if it had no memory), or -1"""
    table, rows = args
    entry = builder.block
    loop, watch, ring, bad, failed, more, end = (builder.append_basic_block() for _ in range(7))
    builder.cbranch(builder.icmp_signed(">", rows, _WORD(0)), loop, end)
    builder.position_at_end(loop)
    row = builder.phi(_WORD)
    row.add_incoming(_WORD(0), entry)
    at = builder.add(table, builder.mul(row, _WORD(32)))
    kind = ir.FunctionType(_INT, [_WORD, _WORD]).as_pointer()
    fetch, kernel, memory, flag = (_load(builder, at, i, _WORD) for i in range(4))
    status = builder.call(builder.inttoptr(fetch, kind), [kernel, memory])
    builder.cbranch(builder.icmp_signed("==", status, _INT(0)), watch, failed)
    builder.position_at_end(watch)
    builder.cbranch(builder.icmp_signed("==", flag, _WORD(0)), more, ring)
    builder.position_at_end(ring)
    wrong = builder.fcmp_ordered(">=", builder.load(builder.inttoptr(flag, _DOUBLE.as_pointer())), _DOUBLE(0))
    builder.cbranch(wrong, bad, more)
    builder.position_at_end(bad)
    builder.ret(builder.trunc(row, _INT))
    builder.position_at_end(failed)
    builder.ret(builder.trunc(builder.add(row, _WORD(_FAILED)), _INT))
    builder.position_at_end(more)
    following = builder.add(row, _WORD(1))
    row.add_incoming(following, more)
    builder.cbranch(builder.icmp_signed("<", following, rows), loop, end)
    builder.position_at_end(end)
    builder.ret(_INT(-1))


class PythonTable:
    """The same by Python, where there is no machine code (NUMBA_DISABLE_JIT)."""

    def __init__(self, calls, alarms):
        self.calls, self.alarms = calls, alarms

    def run(self, first=0):
        for i in range(first, len(self.calls)):
            call = self.calls[i]
            call.code(*call.args)
            if i in self.alarms and self.alarms[i].flat[0] >= 0:
                return i
        return -1

    def at_once(self):
        return self.run()

    def checked(self, stopped):
        return stopped

    def place(self, i, first, count):
        call = self.calls[i]
        at = [k for k, x in enumerate(call.args) if isinstance(x, float)][first:][:count]

        def put(*values):
            args = list(call.args)
            for k, value in zip(at, values, strict=True):
                args[k] = value
            call.args = tuple(args)

        return put

    def set_numbers(self, i, args):
        old = self.calls[i].args
        self.calls[i].args = tuple(x if isinstance(x, np.ndarray) else y for x, y in zip(old, args, strict=True))


if numba.config.DISABLE_JIT:
    Table = PythonTable
