"""Wrong rules for the atlas: those that tests/test_mutants.py plants, with their source and with gradcheck's judgement."""

import ast
import functools
import inspect
import textwrap
from pathlib import Path

import numpy as np

from minidl.autograd import GradcheckError
from tests import test_mutants
from tests.checks import HINT, check_gradient

ROOT = Path(__file__).resolve().parents[1]


class Wrong:
    """A wrong backward of an operation, and what gradcheck says of it: one that it has a hint for, if there is one.

    what, code: its name and source. case: of the table, if possible the largest for which it fails. report: gradcheck's words.
    Raises AssertionError if gradcheck lets it pass, and GradcheckError if the right rule does not pass.
    """

    def __init__(self, row):
        found = []
        for what, methods, node in planted()[row.op]:
            reports = judged(row, type(row.op.__name__, (row.op,), methods))
            found.append((*next(reports), what, node))
            if HINT in found[-1][1]:
                break
            found += [(case, report, what, node) for case, report in reports if HINT in report][:1]
        hinted = [entry for entry in found[::-1] if HINT in entry[1]]  # first what has one for the largest case
        self.case, self.report, self.what, node = (hinted or found)[0]
        self.code = quoted(node)
        for case in row.cases:
            check_gradient(case, row.op)

    @staticmethod
    def others(count):
        return "the only one that there is" if count == 1 else f"the {count - 1} others" if count > 2 else "the other one"


def judged(row, mutant):
    """(case, gradcheck's report) of each case in which the mutant fails, the largest first. One does, or it raises."""
    failed = False
    for case in sorted(row.cases, key=lambda case: -sum(np.size(x) for x in case.inputs)):
        try:
            check_gradient(case, mutant)
        except GradcheckError as error:
            failed = True
            yield case, str(error).replace(f"{ROOT}/", "")
        except (IndexError, ValueError):  # the rule breaks down where there are no elements
            continue
    assert failed, f"{mutant.__name__}: gradcheck lets a wrong rule pass"


@functools.cache
def planted():
    """{operation: [(what is wrong, the methods that are replaced, their source as a tree)]} of those that gradcheck catches."""
    found = {}
    for (op, what, backward), tree in zip(test_mutants.BACKWARDS, SOURCE["BACKWARDS"].elts, strict=True):
        found.setdefault(op, []).append((what, {"backward": backward}, tree.elts[2]))
    return found


def quoted(tree):
    """The source of a rule, with that of the helpers that it names; but `right` is explained in the page."""
    texts, names, queue = [], {"right"}, [tree]
    for part in queue:
        texts.append(textwrap.dedent(ast.get_source_segment(TEXT, part, padded=True)).strip())
        used = {x.id: None for x in ast.walk(part) if isinstance(x, ast.Name) and x.id in SOURCE and x.id not in names}
        names |= used.keys()
        queue += [SOURCE[name] for name in used]
    return "\n\n\n".join(texts)


def parts(text):
    """{name: tree} of the functions of a program, and of the values of its variables."""
    body = ast.parse(text).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    return functions | {node.targets[0].id: node.value for node in body if isinstance(node, ast.Assign)}


TEXT = inspect.getsource(test_mutants)
SOURCE = parts(TEXT)
