"""What all tests share: the same random numbers whichever test runs first, and time for kernels to compile."""

import gc
import os

import hypothesis
import pytest
from _pytest.doctest import DoctestModule

import minidl
from minidl.kernels import threads

# Programs for type checkers, one of them wrong; and one that needs PyTorch. Nothing in them is a test.
collect_ignore_glob = ["typing/*", "opinfo.py"]

NUMBER = threads._number

# Several processes share the cores, in each of which kernels run on several threads. By default a thread that waits for the
# others keeps its core busy, and those cannot get it: training a network took four to nine times as long. OpenMP reads this
# when it is loaded, at the first loop on several threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A first call may compile for seconds; and a run that fails must fail again.
hypothesis.settings.register_profile("minidl", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("minidl")

# Nothing that pytest makes while it finds the tests is garbage. To look for garbage in it took half of that time, and some in
# each test that calls gc.collect().
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """No examples are looked for in the files of tests, which have none."""
    found = yield
    return [file for file in found if not isinstance(file, DoctestModule)]


minidl.manual_seed(0)
START = minidl.get_rng_state()


@pytest.fixture(autouse=True)
def seeded():
    """The same stream and number of threads before each test, whatever the one before has left."""
    minidl.set_rng_state(START)  # a quarter of the time of manual_seed
    threads._number = NUMBER
