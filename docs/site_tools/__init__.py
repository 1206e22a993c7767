"""What docs/conf.py is made of: docstrings as reST, the reference, the reading order, programs as a gallery, links."""

import os
import sys

if "numba" not in sys.modules:  # the processes that run programs get a limit of one thread, and the ladders take two
    os.environ.pop("NUMBA_NUM_THREADS", None)
