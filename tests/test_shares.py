"""Kernels that launch themselves on all threads: what they are given arrives in every share, and what goes wrong is seen."""

import threading

import numpy as np
import pytest
from numba import types

from minidl.kernels import jit, shares, threads
from minidl.kernels.arrays import empty_array
from minidl.kernels.shares import SharedCode
from tests.test_kernel_arrays import compiled, nothing_kept  # noqa: F401 (a fixture)


@jit.jit
def note(x, sizes, flag, single, double, small, y, part, parts):
    first, last = y.shape[0] * part // parts, y.shape[0] * (part + 1) // parts
    for i in range(first, last):
        y[i, 0], y[i, 1], y[i, 2] = x[1, 2], sizes[0], sizes[1]
        y[i, 3], y[i, 4], y[i, 5], y[i, 6] = flag, single, double, small
    y[first, 7] = 100 * part + parts


def _types(t):
    numbers = types.UniTuple(types.intp, 2), types.boolean, types.float32, types.float64, types.int32
    return jit.strided(t, 2), *numbers, jit.dense(t, 2, True)


def given(y):
    return np.arange(12.0).reshape(3, 4)[:, ::-1], (7, -8), True, 0.5, 1e300, -9, y


NOTED = [5, 7, -8, 1, 0.5, 1e300, -9]
NOTE = SharedCode(note, _types)
F64 = np.dtype(np.float64)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_every_share_gets_what_the_kernel_is_given(number):
    y = np.zeros((15, 8))
    assert NOTE.on_all_threads(F64, given(y), number) is None
    assert (y[:, :7] == NOTED).all()
    assert y[:, 7][y[:, 7] > 0].tolist() == [100 * part + number for part in range(number)]


def test_one_share_is_the_kernel_alone():
    y = np.zeros((6, 8))
    NOTE[F64](*given(y), 1, 3)
    assert (y[2:4, :7] == NOTED).all() and y[2, 7] == 103
    y[2:4] = 0
    assert not y.any()


@jit.jit
def divided(x, part, parts):
    x[part] = 1 + parts


DIVIDED = SharedCode(divided, lambda t: (jit.dense(t, 1, True),))


def test_all_threads_are_used_where_it_pays(monkeypatch):
    monkeypatch.setattr(threads, "_number", 2)
    x = np.zeros(4)
    threads.run(True, DIVIDED, F64, x)
    assert x.tolist() == [3, 3, 0, 0]
    threads.run(False, DIVIDED, F64, x)
    assert x.tolist() == [2, 3, 0, 0]
    with threads._one_at_a_time:  # somebody else has the threads
        thread = threading.Thread(target=threads.run, args=(True, DIVIDED, F64, x[1:]))
        thread.start()
        thread.join()
    assert x.tolist() == [2, 2, 0, 0]


@jit.jit
def hungry(sizes, y, part, parts):
    y[part] = empty_array(sizes[part], np.float64).size


HUNGRY = SharedCode(hungry, lambda t: (jit.dense(types.int64, 1), jit.dense(t, 1, True)))


@compiled
@pytest.mark.parametrize("which", [0, 1, 2])
def test_no_memory_in_one_share_is_an_error_of_the_call(which):
    sizes, y = np.array([3, 4, 5]), np.zeros(3)
    sizes[which] = 2**59
    with pytest.raises(MemoryError, match="what a kernel keeps beside its arguments"):
        HUNGRY.on_all_threads(F64, (sizes, y), 3)
    assert sorted(y) == sorted([0, *np.delete([3, 4, 5], which)])
    sizes[which] = 3 + which
    HUNGRY.on_all_threads(F64, (sizes, y), 3)
    assert y.tolist() == [3, 4, 5]


@compiled
def test_within_another_kernel_it_does_not_launch():
    @jit.jit  # here, so that no file of an earlier run has its code
    def outer(x, part, parts):
        divided(x, part, parts)
        x[part] += 10

    code = jit.CodeByDtype(outer, lambda t: (jit.dense(t, 1, True), types.intp, types.intp))
    x = np.zeros(3)
    code[F64](x, 1, 4)
    assert x.tolist() == [0, 15, 0]
    divided_alone = divided._made[False].nopython_signatures
    assert "minidl_share" not in _text(code) and divided_alone


@compiled
def test_it_is_called_by_its_address_for_all_threads_too():
    @jit.jit
    def by_address(address, loop, x):
        jit.call(address, x, loop, -3)

    x = np.zeros(3)
    by_address(DIVIDED.address(F64), shares.loop(), x)
    assert x.tolist() == [4, 4, 4]


def _text(code):
    (found,) = code.kernel.overloads.values()
    return found.library.get_llvm_str()
