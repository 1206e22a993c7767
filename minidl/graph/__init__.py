"""The graph and the walk back through it. Knows nodes and arrays; knows no formula and no Tensor.

nodes.py   the ends of the graph (`Leaf`) and the outputs of operations with several (`Part`)
walk.py    the walk back
uses.py    when the gradient of a leaf is complete, for hooks that are called while the walk goes on
modes.py   recording on and off: no_grad and its relatives
writes.py  what was written in place, and when
watch.py   observers, which are told of every operation, and of the parts of a program that record_function names
anomaly.py detect_anomaly, an observer
"""
