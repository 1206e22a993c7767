"""`import minidl` leaves Python's garbage collector as it was."""

import gc
import subprocess
import sys

import pytest

from minidl.startup import NoCollection


def test_collection_goes_on_after_an_error():
    with pytest.raises(KeyboardInterrupt), NoCollection():
        assert not gc.isenabled()
        raise KeyboardInterrupt
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with NoCollection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("before", ["enable", "disable"])
def test_import_leaves_it_as_it_was(before):
    code = f"import gc; gc.{before}(); import minidl; print(gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(before == "enable")
