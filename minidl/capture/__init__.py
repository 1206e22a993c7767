"""Remembered steps: what `minidl.compile` does.

events.py     what happens in a step, one object for each thing that has to be done again
recorder.py   the observer that notes it
functions.py  what the recorder replaces meanwhile
replacements.py  and by what
matching.py   two recordings side by side: did the step do the same?
origins.py    and where does every array come from?
lowering.py   arithmetic of NumPy as kernels with the same bits; calls.py, deciding.py and keeping.py have parts of it
following.py  what else NumPy does within an operation, as calls of kernels; with followed.py and followed_functions.py
uses.py       which memory the step uses and changes, and when
memory.py     where the temporary arrays lie
program.py    the remembered step
by_python.py  what of it stays Python
guards.py     what has to be as it was
surroundings.py  what the function reads around it, and leaves there; with comparing.py and places.py
names.py      what its code tells of that
plans.py      what is remembered for one combination of shapes
remembered.py of one function: the first calls, the comparison
replay.py     a replay as one function, which is written for its program
compiled.py   compile
"""

from .compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
