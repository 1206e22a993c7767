"""The free list for large arrays: memory is used again, and never while anything still shows it."""

import gc
import os
import pickle
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

import minidl
from minidl import kernels, nn
from minidl.graph.nodes import Leaf
from minidl.graph.walk import walk
from minidl.graph.writes import _writes, check_unchanged, note_write
from minidl.kernels import memory
from minidl.ops import Op

FLOAT = np.dtype(np.float32)
SHAPE = 512, 512  # 1 MiB


@pytest.fixture(autouse=True)
def _kept(monkeypatch):
    """Every test begins with an empty list, into which arrays of a quarter of a MiB go; and leaves the limit as it was."""
    monkeypatch.setattr(memory, "LARGE", 1 << 18)
    gc.collect()  # what an earlier test left in a cycle must not come back to the list during this one
    limit = kernels.get_memory_kept()
    kernels.set_memory_kept(64)
    yield
    kernels.set_memory_kept(limit)


def made(value=None, shape=SHAPE):
    array = memory.empty(shape, FLOAT)
    if value is not None:
        array[...] = value
    return array


def address(array):
    return array.__array_interface__["data"][0]


def poison():
    """Overwrites what is free, as another array would."""
    for blocks in memory._list.free.values():
        for block, _ in blocks:
            block.view(np.ndarray)[...] = 0xFF


def test_memory_is_used_again_once_its_array_is_gone():
    array = made()
    where = address(array)
    assert address(made()) != where  # two at once are in two places
    kernels.empty_cache()
    del array
    assert address(made()) == where
    assert address(memory.empty((256, 512), np.dtype(np.float64))) == where  # as many bytes
    assert address(made(shape=(512, 500))) == where  # a little less
    assert address(made(shape=(512, 1024))) != where


def test_a_large_array_looks_like_any_other():
    for shape, dtype in (((1000, 77), np.float64), ((70000,), np.int32), ((3, 1 << 20), np.uint8), (SHAPE, np.float32)):
        array = memory.empty(shape, np.dtype(dtype))
        assert type(array) is np.ndarray
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert address(array) % memory.ALIGNMENT == 0
        assert type(array.base) is memory.Block
        array[...] = 1  # its last byte, too, lies within the block
        assert address(array) + array.nbytes <= address(array.base) + array.base.nbytes


def test_small_arrays_are_numpys_own():
    array = memory.empty((256, 255), FLOAT)
    assert array.nbytes < memory.LARGE
    assert array.base is None
    assert memory.empty((0, 1 << 30), FLOAT).base is None
    assert made(shape=(256, 256)).base is not None


def test_every_kernel_with_a_large_result_takes_its_memory_from_the_list():
    x = np.ones((64, 16, 32, 32), FLOAT)
    flat, w, windows = x.reshape(64 * 16, -1), np.ones((16, 16, 3, 3), FLOAT), [kernels.pool_windows(32, 2, 2)] * 2
    results = {
        "relu": kernels.relu(x),
        "relu_backward": kernels.relu_backward(x, x),
        "matmul": kernels.matmul(flat, flat.T),
        "linear": kernels.linear(flat, flat),
        "softmax": kernels.softmax(flat),
        "conv2d": kernels.conv2d(x, w, padding=(1, 1, 1, 1)),
        "conv2d_input": kernels.conv2d_input(x, w, (32, 32), padding=(1, 1, 1, 1)),
        "batch_norm": kernels.batch_norm(x)[0],
        "mean_pool": kernels.mean_pool(x, windows).base,
        "max_pool": kernels.max_pool(x, windows)[0].base,
    }
    assert [name for name, y in results.items() if type(y.base) is not memory.Block] == []


# --- never while anything shows it

HOLDERS = {
    "view of a view": lambda a: a.reshape(-1)[5:].view(np.uint8)[7::2],
    "memoryview": memoryview,
    "frombuffer": lambda a: np.frombuffer(a, np.uint8),
    "DLPack": np.from_dlpack,
    "array interface": lambda a: np.asarray(type("Holder", (), {"__array_interface__": a.__array_interface__, "kept": a})()),
    "PyTorch": lambda a: pytest.importorskip("torch").from_numpy(a)[5:],
    "tensor": minidl.from_numpy,
    "pickle out of band": lambda a: pickle.PickleBuffer(a),
    "its block": lambda a: a.base,
    "a view of its block": lambda a: a.base[100:],
    "flat iterator": lambda a: a.flat,
}


@pytest.mark.parametrize("name", HOLDERS)
def test_memory_is_not_used_again_while_something_shows_it(name):
    if name == "PyTorch":
        pytest.importorskip("torch")  # before there is an array, which the skipping would hold until the next test
    array = made(1.0)
    where, holder = address(array), HOLDERS[name](array)
    del array
    others = [made(2.0) for _ in range(3)]
    assert where not in [address(other) for other in others]
    del holder, others
    gc.collect()
    if "block" not in name:  # that one the list has lost sight of; NumPy frees it
        assert where in [address(array) for array in [made() for _ in range(4)]]


def test_an_array_in_a_cycle_is_read_safely_by_a_finalizer():
    seen = []

    class Last:
        def __init__(self):
            self.me, self.array = self, made(3.0)

        def __del__(self):
            other = made(4.0)
            seen.append((float(self.array.sum()), address(other) == address(self.array)))

    Last()
    gc.collect()
    assert seen == [(3.0 * 512 * 512, False)]


# --- bounds, and the switch


def test_what_is_kept_stays_below_the_limit_and_the_oldest_goes_first():
    kernels.set_memory_kept(4)
    arrays = [made() for _ in range(6)]
    places = [address(array) for array in arrays]
    while arrays:
        del arrays[0]
        total = sum(size * len(blocks) for size, blocks in memory._list.free.items())
        assert memory._list.bytes == total <= 4 << 20
    again = [made() for _ in range(4)]
    assert [address(array) for array in again] == places[:1:-1]  # the last one is the warmest


def test_another_size_pushes_out_the_one_that_waits_longest():
    kernels.set_memory_kept(4)
    made(shape=(1024, 512))  # 2 MiB
    first = made()
    del first
    made(shape=(1024, 768))  # 3 MiB
    assert {size: len(blocks) for size, blocks in memory._list.free.items() if blocks} == {3 << 20: 1, 1 << 20: 1}
    made(shape=(1024, 1280))  # 5 MiB, more than all that may be kept
    assert memory._list.bytes <= 4 << 20


def test_emptying_and_switching_off():
    made()
    assert memory._list.bytes == 1 << 20
    kernels.empty_cache()
    assert memory._list.bytes == 0
    assert kernels.get_memory_kept() == 64
    array = made()
    kernels.set_memory_kept(0)
    del array  # made before, and not kept now
    assert memory._list.bytes == 0
    assert made().base is None
    for bad in (-1, 1.5, True, "64", None):
        with pytest.raises(ValueError, match=r"set_memory_kept: expected a whole number of MiB"):
            kernels.set_memory_kept(bad)


def output(program, kept="512"):
    """What a process prints, and whether it failed."""
    environment = {**os.environ, "MINIDL_QUIET": "1", "MINIDL_MEMORY_KEPT": kept}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    return done.stdout + done.stderr, bool(done.returncode)


@pytest.mark.parametrize("value", ["0", "7", "many", "-1", ""])
def test_the_environment_sets_the_limit(value):
    text, failed = output("from minidl import kernels; print(kernels.get_memory_kept())", value)
    assert failed == (not value.isdigit())
    assert f"must be a number of MiB, or 0 for none, got {value!r}" in text if failed else text == f"{value}\n"


FAULTS = """
import resource
import minidl
from minidl import kernels
a, b, c = minidl.ones(1000, 1000), minidl.ones(1000, 1000), minidl.ones(3000, 3000).numpy()
for i in range(13):
    if i == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    result = (a * b + a) * (a - b), kernels.relu(c)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif("glibc" not in platform.libc_ver()[0], reason="only this C library learns")
def test_steps_take_no_new_pages_from_the_system():
    assert int(output(FAULTS)[0]) < 100
    assert int(output(FAULTS, "0")[0]) > 1000


# --- threads, forks, the end


def test_threads_never_share_a_block():
    wrong, start, before = [], threading.Barrier(4), len(memory._list.lent)

    def work(number):
        rng = np.random.default_rng(number)
        start.wait()
        held = []
        for i in range(400):
            array = made(shape=(256, 256 + 64 * int(rng.integers(4))))
            array[:, 0] = value = number * 1000 + i
            held.append((array, value))
            if len(held) > 3:
                array, value = held.pop(int(rng.integers(4)))
                if not (array[:, 0] == value).all():
                    wrong.append(number)
            del array

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert memory._list.bytes == sum(size * len(blocks) for size, blocks in memory._list.free.items())
    assert len(memory._list.lent) == before


def test_an_array_that_goes_while_the_list_is_in_use_is_let_go():
    array = made()
    with memory._list.lock:  # as the collector would, or another thread
        del array
        assert memory._list.bytes == 0
        assert made().base is not None
    made()
    assert memory._list.bytes == 1 << 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_list_of_its_own():
    kept = made(1.0)
    made()
    with memory._list.lock:  # held by a thread that the child will not have
        child = os.fork()
        if child == 0:
            array = made(2.0)
            where = address(array)
            del array
            os._exit(0 if address(made(3.0)) == where and (kept == 1).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (kept == 1).all()
    assert memory._list.bytes == 1 << 20


def test_nothing_is_said_at_the_end_of_the_process():
    program = """
import minidl, numpy as np
from minidl import kernels
x = minidl.ones(600, 600, requires_grad=True)
y = minidl.exp(x); kept = y.numpy, [y]; kept[1].append(kept)
np.kept = kernels.relu(np.ones((600, 600)))
minidl.kept = [kernels.relu(np.ones((600, 600)))]
minidl.kept.append(minidl.kept)
"""
    assert output(program) == ("", False)


# --- the engine


class Give(Op):
    """Passes back what it is told to."""

    def __init__(self, dx, serial):
        self.dx, self.serial, self.shape = dx, serial, dx.shape

    def backward(self, dy):
        return self.dx


def test_a_gradient_in_a_block_is_added_to_in_place_but_not_a_view_of_one():
    whole, leaf = made(2.0, (2, *SHAPE)), Leaf(SHAPE, FLOAT)
    dy = np.ones(SHAPE, FLOAT)
    for newer, same in ((made(2.0), True), (whole[0], False)):
        ops = Give(newer, 10**9 + 1), Give(whole[1], 10**9)
        for op in ops:
            op.needs = (leaf,)
        total = walk(dict.fromkeys(ops, dy))[leaf]
        assert (total == 4).all()
        assert (total is newer) == same
        assert (whole == 2).all()


def test_a_write_is_remembered_for_the_array_and_not_for_its_memory():
    x = minidl.ones(*SHAPE, requires_grad=True)
    y = minidl.exp(x)
    where = address(y.array)
    loss = y.sum()
    with minidl.no_grad():
        y[0] += 1  # a write to a view
    with pytest.raises(RuntimeError, match=r"changed in place"):
        loss.backward()
    before = len(_writes.times)
    del y, loss
    assert len(_writes.times) == before - 1
    array = made()
    assert address(array) == where
    op = Give(array, 0)  # older than the write above, which must not be held against the array that came after
    check_unchanged(op)
    note_write(array[5:])
    with pytest.raises(RuntimeError, match=r"saved as 'dx'"):
        check_unchanged(op)


def _trained(between=lambda: None):
    minidl.manual_seed(0)
    model = nn.Sequential(
        *(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, stride=2),
            nn.GELU(),
        ),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(144, 600), nn.Sigmoid(), nn.LayerNorm(600), nn.Linear(600, 10)),
    )
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, labels = minidl.randn(128, 1, 28, 28, requires_grad=True), minidl.arange(128) % 10
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        x.grad = None
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        del loss
        between()
    return losses, [p.array.tobytes() for p in model.parameters()], x.grad.array.tobytes()


def test_training_gives_the_same_bits_with_the_list_and_without():
    used = []

    def between():
        used.append(memory._list.bytes)
        poison()

    kept = _trained(between=between)
    assert min(used) > 1 << 20
    kernels.set_memory_kept(0)
    assert _trained() == kept


def test_memory_is_flat_over_200_steps():
    layer, x = nn.Linear(256, 256), minidl.randn(512, 256)
    optimizer, held = minidl.optim.SGD(layer.parameters(), lr=1e-3), []
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            optimizer.zero_grad()
            minidl.softmax(layer(x), 1).square().sum().backward()
            optimizer.step()
            held.append((memory._list.bytes, len(memory._list.lent), len(_writes.times)))
    finally:
        gc.enable()
    assert held[-1][0] >= 1 << 20
    assert len(set(held[2:])) == 1


@pytest.mark.parametrize("part", [np.s_[:], np.s_[1:, ::-2], np.s_[2, 3, ...], np.s_[:0], np.s_[None, 1]])
def test_the_address_of_an_array_is_what_numpy_says(part):
    whole = np.arange(20.0).reshape(4, 5)
    whole.flags.writeable = False
    for x in (whole[part], whole.T[part], whole.view(np.recarray)[part], np.broadcast_to(whole[0], (4, 5))[part]):
        assert memory.address_of(x) == x.__array_interface__["data"][0]
