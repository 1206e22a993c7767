"""Arrays that kernels make for themselves, and how kernels are compiled: what is left out of Numba's steps is not missed."""

import gc
import importlib
import pkgutil
import tracemalloc
import types

import numba
import numpy as np
import pytest
from numba.core import compiler

from minidl import kernels
from minidl.kernels import jit, pipeline
from minidl.kernels.arrays import empty_array, reshaped, zero_array

compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no compiler")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(jit.cache, "FOLDER", None)
    with jit.without_notice():
        yield


def test_it_has_the_shape_dtype_and_zeros_of_numpys():
    @jit.jit
    def check(x, shapes, address):
        a, b, c = zero_array((3, x.size), x.dtype), zero_array(x.size, np.int64), empty_array((2, 3, x.size), np.float64)
        c[:] = 1
        shapes[:3] = a.shape[0], a.shape[1], b.shape[0]
        shapes[3:6] = c.shape
        address[0], address[1], address[2] = a.ctypes.data, b.ctypes.data, c.ctypes.data
        x[0] = a.sum() + b.sum() + c.sum()
        a[:] = 7  # the next call gets zeros again
        b[:] = 7

    for dtype in (np.float32, np.float64):
        for size in (1, 5, 1000):
            x, shapes, address = np.ones(size, dtype), np.zeros(6, np.int64), np.zeros(3, np.int64)
            for _ in range(3):
                check(x, shapes, address)
                assert x[0] == 6 * size
            assert shapes.tolist() == [3, size, size, 2, 3, size]
            assert numba.config.DISABLE_JIT or not (address % 64).any()


@compiled
def test_its_memory_is_given_back():
    @jit.jit
    def inner(x, n):
        a = empty_array(n, np.float64)
        if n == 1:
            return 0.0
        a[0] = x[0]
        return a[0]

    @jit.jit
    def outer(x, n, times):
        total = zero_array(1, np.float64)
        for _i in range(times):
            b = zero_array((n, 2), x.dtype)
            b[0, 0] = inner(x, n) + inner(x, 1)
            total[0] += b[0, 0] + b[n - 1, 1]
        return total[0]

    x = np.ones(3)
    tracemalloc.start()
    try:
        assert outer(x, 1000, 5) == 5
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        assert outer(x, 10_000, 50) == 50
        assert tracemalloc.get_traced_memory()[1] > 80_000  # it is counted at all
        assert tracemalloc.get_traced_memory()[0] < before + 10_000
    finally:
        tracemalloc.stop()


@compiled
def test_no_memory_is_an_error():
    @jit.jit
    def inner(n):
        return empty_array(n, np.float64).size

    @jit.jit
    def outer(n):
        return inner(n)

    with pytest.raises(MemoryError, match="array of its own"):
        outer(2**59)
    assert outer(3) == 3


@compiled
def test_it_cannot_be_returned():
    @jit.jit
    def own(n):
        return zero_array(n, np.float64)

    @jit.jit
    def numpys(n):
        return np.zeros(n)

    @jit.jit
    def total(n):
        x, y = numpys(n), numpys(n)
        x[:] = 1
        return x.sum() + y.sum()

    with pytest.raises(TypeError, match="its memory would be gone"):
        own(3)
    assert numpys.counts and total.counts and not own.counts
    assert total(1000) == 1000


@compiled
def test_a_kernel_within_another_may_return_a_part_of_an_array():
    @jit.jit
    def part(x, n):
        return x[n:]

    @jit.jit
    def total(x):
        y = part(x, 2)
        return y.sum() + part(y, 1).sum()

    x = np.arange(6.0)
    assert total(x) == 14 + 12
    assert np.array_equal(x, np.arange(6.0))


@compiled
def test_a_call_holds_no_array_afterwards():
    @jit.jit
    def first(x, y):
        y[0] = x[0]

    x, y, gone = np.ones(3), np.zeros(3), []
    first(x, y)

    class Array(np.ndarray):
        def __del__(self):
            gone.append(1)

    z = np.ones(3).view(Array)
    first(np.asarray(z), y)
    del z
    assert gone == [1]


def test_a_view_of_another_shape():
    @jit.jit
    def check(x, shapes):
        a, b = reshaped(x, (2, x.size // 2)), reshaped(x[1:], x.size - 1)
        shapes[:2] = a.shape
        shapes[2], shapes[3], shapes[4] = b.size, a.strides[0], a.strides[1]
        a[1, 2] = 50
        b[0] = 70

    for dtype in (np.float32, np.float64):
        x, shapes = np.arange(10, dtype=dtype), np.zeros(5, np.int64)
        check(x, shapes)
        assert shapes.tolist() == [2, 5, 9, 5 * x.itemsize, x.itemsize]
        assert x.tolist() == [0, 70, 2, 3, 4, 5, 6, 50, 8, 9]


@compiled
def test_only_what_is_contiguous_and_may_be_written_to_is_seen_so():
    @jit.jit
    def write(x):
        reshaped(x, x.size)[0] = 1

    with pytest.raises(numba.TypingError):
        write(np.zeros(6)[::2])
    x = np.zeros(6)
    x.flags.writeable = False
    with pytest.raises(numba.TypingError):
        write(x)


@compiled
def test_the_lesser_and_the_greater_of_two_numbers_are_pythons():
    @jit.jit
    def both(a, b, y):
        y[0], y[1], y[2], y[3] = min(a, b), max(a, b), min(b, a), max(b, a)

    numbers = [0, 3, -3, 2**62, -(2**62), 0.0, -0.0, 1.5, np.inf, -np.inf, np.nan, np.float32(0.1), np.uint32(2**32 - 1)]
    for a in numbers:
        for b in numbers:
            y, expected = np.zeros(4), np.array([min(a, b), max(a, b), min(b, a), max(b, a)], np.float64)
            both(a, b, y)
            assert y.tobytes() == expected.tobytes(), (a, b, y)


@compiled
def test_whole_numbers_stay_whole():
    @jit.jit
    def both(a, b, y):
        y[0], y[1] = min(a, b), max(a, b)

    y = np.zeros(2, np.int64)
    both(2**62 + 1, 2**62 + 3, y)
    assert y.tolist() == [2**62 + 1, 2**62 + 3]


def test_options_of_a_compilation_have_the_values_that_numba_reads_one_by_one():
    numbas = compiler.Flags()
    numbas.nrt, numbas.error_model, numbas.fastmath = True, "numpy", {"reassoc"}
    ours = pipeline._Flags(numbas)
    assert ours.values() == numbas.values() and list(ours.values()) == list(numbas.values())
    assert ours == numbas == ours.copy() and hash(ours) == hash(numbas) and type(ours.copy()) is pipeline._Flags
    ours.nrt = False
    assert ours != numbas and ours.values()["nrt"] is False


@compiled
def test_no_kernel_needs_a_step_that_is_left_out():
    names = [module.name for module in pkgutil.iter_modules(kernels.__path__)]
    modules = [importlib.import_module(f"{kernels.__name__}.{name}") for name in names]
    found = {x for module in modules for x in vars(module).values() if type(x) is jit._LazyKernel}
    found = {kernel.__wrapped__ for kernel in found | {table.kernel for table in jit.tables}}
    assert len(found) > 150
    for kernel in found:
        code = kernel.__code__
        assert not any(isinstance(x, types.CodeType) for x in code.co_consts), kernel
        assert not {"literal_unroll", "literally", "isinstance", "hasattr", "print"} & set(code.co_names), kernel
