"""Promise 44: tests of kernels once more, for processors with other vectors, in plain Python, and with bounds checked.

Each run is a process of its own with a fresh cache folder, because bounds checks are no part of a kernel's key, on one thread,
because exceptions in parallel loops are lost, and on small arrays. Several files are one run: what they share (the product
of matrices above all) is compiled once, not once a file.
"""

import os
import subprocess
import sys

import pytest

from minidl.kernels.tile import VECTOR_BYTES

from .kernel_checks import WIDE

NARROW, MIDDLE = "NUMBA_CPU_NAME=generic", "NUMBA_CPU_FEATURES=+fma,+avx2,-avx512f"
PLAIN, BOUNDS = "NUMBA_DISABLE_JIT=1", "NUMBA_BOUNDSCHECK=1"
if VECTOR_BYTES == 64:  # both at once, as every setting compiles all kernels anew
    BOUNDS = MIDDLE = f"{BOUNDS} {MIDDLE}"
THIS_WIDTH = {WIDE: 64, **({MIDDLE: 32} if MIDDLE != BOUNDS else {})}  # bytes

# Of each file the tests that run again (-k), and in which settings other than those.
PRODUCTS = {
    "test_gemm.py": "awkward_sizes and float32 or test_layouts and float32 or tables or batches or test_linear and float32"
    " or (a_matrix_times_a_vector or beyond) and float32",
    "test_attention.py": "twin_agree and float32",
    "test_recurrent.py": "twin_agree and float32",
    "test_kernels.py": "(softmax_at or cross_entropy_of or relu_at or sums) and not float64",
    "test_ops.py": None,
}
CONVOLUTIONS = {
    "test_conv_kernels.py": "float32 and (shapes or beyond) or geometry or nan or promise",
    "test_conv_batches.py": "shapes and float32 or geometry or nan",
    "test_conv_pixels.py": "shapes and float32 or geometry or length or nan",
    "test_conv_weight_kernels.py": "geometry or layouts or outside",
    "test_depthwise_kernels.py": "layouts or reach or bias or small or geometry",
}
OTHERWISE = {
    ("test_attention.py", PLAIN): "twin_agree or layouts or promise_16",
    ("test_kernels.py", NARROW): None,
    ("test_kernels.py", WIDE): None,
    ("test_kernels.py", PLAIN): "test_",  # all
    ("test_ops.py", PLAIN): "check_again and (RNN or LSTM or GRU)",  # empty sequences are among them
    ("test_depthwise_kernels.py", BOUNDS): "layouts or reach or bias or small",
}
if MIDDLE != BOUNDS:  # without bounds, fewer will do
    for name in ("recurrent", "kernels", "conv_kernels", "conv_batches", "conv_pixels", "conv_weight_kernels"):
        OTHERWISE[f"test_{name}.py", MIDDLE] = None


@pytest.mark.parametrize("files", [PRODUCTS, CONVOLUTIONS], ids=["products", "convolutions"])
@pytest.mark.parametrize("setting", dict.fromkeys([BOUNDS, NARROW, MIDDLE, WIDE, PLAIN]))
def test_promise_44_the_kernels_of(files, setting, tmp_path):
    if THIS_WIDTH.get(setting) == VECTOR_BYTES:
        pytest.skip("this processor has vectors of that width: the other tests of these files have run with them")
    chosen = {file: OTHERWISE.get((file, setting), tests) for file, tests in files.items()}
    chosen = {file: tests for file, tests in chosen.items() if tests}
    child = dict(pair.split("=") for pair in setting.split())
    child |= {"MINIDL_CACHE": str(tmp_path), "MINIDL_TEST_SMALL": "1", "MINIDL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rp", "-p", "no:cacheprovider"]
    command += [os.path.join(os.path.dirname(__file__), file) for file in chosen]
    command += ["-k", " or ".join(f"{file} and ({tests})" for file, tests in chosen.items())]
    done = subprocess.run(command, env={**os.environ, **child}, capture_output=True, text=True, cwd=os.getcwd())
    assert done.returncode == 0, done.stdout + done.stderr
    for file in chosen:
        assert f"{file}::" in done.stdout, f"no test of {file} ran"
