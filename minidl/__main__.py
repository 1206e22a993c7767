"""`python -m minidl`: what a bug report needs: versions, processor, vectors, threads, and the folder of compiled kernels."""

import os
import platform
import sys

import llvmlite.binding
import numba
import numpy as np

from . import __version__, exercises, get_num_threads
from .kernels import cache, tile


def facts():
    """(what, value) pairs of text."""
    yield "minidl", f"{__version__}, in {os.path.dirname(os.path.abspath(__file__))}"
    yield "Python", f"{platform.python_version()}, {platform.platform()}"
    llvm = ".".join(map(str, llvmlite.binding.llvm_version_info))
    yield "NumPy, Numba", f"{np.__version__}, {numba.__version__} (LLVM {llvm})"
    yield "processor", f"{llvmlite.binding.get_host_cpu_name()}, {os.cpu_count()} cores"
    yield "vectors", f"{8 * tile.VECTOR_BYTES} bits: {tile.VECTOR_BYTES // 4} float32 or {tile.VECTOR_BYTES // 8} float64"
    yield "threads", f"{get_num_threads()} (the environment variable MINIDL_NUM_THREADS, or minidl.set_num_threads)"
    yield "cache", _cache()


def _cache():
    if cache.FOLDER is None:
        return "none: each process compiles its kernels anew (see the environment variable MINIDL_CACHE)"
    sizes = []
    for folder, _, names in os.walk(os.path.dirname(cache.FOLDER.path)):
        sizes += [os.path.getsize(os.path.join(folder, name)) for name in names if name.endswith(cache.ENDING)]
    return f"{cache.FOLDER.path}; with its neighbours {len(sizes)} kernels, {sum(sizes) / 1e6:.1f} MB"


def main():
    """Prints the facts, one a line."""
    for what, value in facts():
        print(f"{what:<14}{value}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["exercises"]:
        sys.exit(exercises.main(sys.argv[2:]))
    if len(sys.argv) > 1:
        sys.exit(
            "python -m minidl prints versions, processor, threads and the cache folder; python -m minidl exercises has backward "
            f"rules to write. It takes no other arguments, got {' '.join(sys.argv[1:])}"
        )
    main()
