"""The small changes that tests/mutate.py plants in a source: what can be changed, and how it is drawn by seed.

Each change replaces one piece of the source by another; the rest stays as it is, byte for byte. Nothing is changed in
docstrings, messages, types, annotations, imports, decorators, `__all__` and the arguments of `raise`, `warn` and `isinstance`.
"""

import ast
import copy
import dataclasses
import functools
import random

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
WHOLE = {"isinstance", "issubclass", "super", "type", "hasattr", "warn", "warnings.warn", "property", "staticmethod"}
SYMMETRIC = ("transpose", "min", "max", "maximum", "minimum", "broadcast_shapes")
MODULES = {"F", "nn", "np", "init", "math", "ops", "operator", "random", "functional", "self", "cls", "warnings", "itertools"}


@dataclasses.dataclass(frozen=True)
class Mutant:
    path: str  # from the root of the project
    kind: str
    line: int
    start: int  # the bytes [start, end) of the source become `new`
    end: int
    new: str
    key: str  # what it is, in words that hold while other lines change

    def applied(self, source):
        data = source.encode()
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()


class _Finder:
    """Collects the mutants of one source."""

    def __init__(self, path, source):
        self.path, self.source, self.data = path, source, source.encode()
        self.starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found, self.scope = {}, []
        self.body(ast.parse(source))

    # --- where a change goes

    def add(self, kind, node, new):
        start, end = self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset
        old = self.data[start:end].decode()
        if isinstance(new, ast.AST):
            text = ast.unparse(new)
            if text == ast.unparse(node):
                return
            new = f"({text})" if isinstance(new, ast.expr) and not isinstance(new, (ast.Constant, ast.Name)) else text
        before = self.data[self.starts[node.lineno - 1] : start].decode()
        after = self.data[end : self.starts[node.end_lineno]].decode()
        words = " ".join(f"{before}⟦{old} → {new}⟧{after}".split())
        key = f"{self.path} {'.'.join(self.scope) or '-'}: {words}"
        self.found.setdefault(key, Mutant(self.path, kind, node.lineno, start, end, new, key))

    def replaced(self, kind, node, **fields):
        new = copy.copy(node)
        for name, value in fields.items():
            setattr(new, name, value)
        self.add(kind, node, new)

    # --- statements

    def body(self, node):
        first = node.body[0] if node.body else None
        documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        for statement in node.body[documented:]:
            self.statement(statement)

    def statement(self, node):
        if isinstance(node, ast.ClassDef):
            self.inside(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                self.scope.append(node.name)
                self.expression(default, texts=True, kind="default")
                self.scope.pop()
            self.known = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
            self.inside(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            self.assignment(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self.add("statement deleted", node, "pass")
            self.call(node.value, statement=True)
        elif isinstance(node, ast.Raise):
            self.add("statement deleted", node, "pass")
        elif isinstance(node, ast.Return) and node.value is not None:
            self.returned(node)
        elif isinstance(node, (ast.If, ast.While)):
            self.add("not added", node.test, _not(node.test))
            if isinstance(node, ast.If) and not node.orelse and not isinstance(node.body[0], ast.Raise):
                self.add("statement deleted", node, "pass")
            self.expression(node.test)
            self.all(node.body + node.orelse)
        elif isinstance(node, ast.For):
            self.expression(node.iter)
            self.all(node.body + node.orelse)
        elif isinstance(node, ast.With):
            for item in node.items:
                self.expression(item.context_expr)
            self.all(node.body)
        elif isinstance(node, ast.Try):
            self.all(node.body + [x for handler in node.handlers for x in handler.body] + node.orelse + node.finalbody)

    def all(self, statements):
        for statement in statements:
            self.statement(statement)

    def inside(self, node):
        self.scope.append(node.name)
        self.body(node)
        self.scope.pop()

    def assignment(self, node):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {x.id for t in targets for x in ast.walk(t) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store)}
        if "__all__" in names or names == {"name"} or node.value is None:
            return
        known = getattr(self, "known", set())
        if self.scope and not names - known:  # without it, the name has another value, or the attribute none
            self.add("statement deleted", node, "pass")
        known |= names
        if isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
            self.replaced("arithmetic", node, op=ARITHMETIC[type(node.op)]())
        self.expression(node.value)

    def returned(self, node):
        value = node.value
        if isinstance(value, ast.Tuple) and len(value.elts) > 1:
            for i in range(len(value.elts)):
                self.add("part dropped", value, ast.Tuple(value.elts[:i] + value.elts[i + 1 :], ast.Load()))
        if isinstance(value, ast.BinOp):
            self.add("part dropped", value, value.left)
            self.add("part dropped", value, value.right)
        if not isinstance(value, ast.Constant):
            self.add("part dropped", value, "None")
        self.expression(value, texts=True)

    # --- expressions

    def expression(self, node, texts=False, kind=None):
        """texts: whether a string here is an option, and not a part of a message."""
        if isinstance(node, (ast.JoinedStr, ast.Lambda)):
            if isinstance(node, ast.Lambda):
                self.expression(node.body)
        elif isinstance(node, ast.Constant):
            self.constant(node, texts, kind or "constant")
        elif isinstance(node, ast.Call):
            self.call(node)
        elif isinstance(node, ast.Compare):
            self.comparison(node)
        else:
            self.operator(node)
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.comprehension):
                    self.comprehension(node, child)
                elif isinstance(child, ast.Slice):
                    for part in filter(None, (child.lower, child.upper, child.step)):
                        self.expression(part)
                elif isinstance(child, ast.expr):
                    self.expression(child, texts and isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.IfExp)), kind)

    def operator(self, node):
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            self.replaced("arithmetic", node, op=ARITHMETIC[type(node.op)]())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            self.add("arithmetic" if isinstance(node.op, ast.USub) else "not dropped", node, node.operand)
        elif isinstance(node, ast.BoolOp):
            self.replaced("and, or", node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for i in range(len(node.values)):
                rest = node.values[:i] + node.values[i + 1 :]
                self.add("part dropped", node, ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0])
        elif isinstance(node, ast.IfExp):
            self.add("not added", node.test, _not(node.test))

    def comprehension(self, node, part):
        for condition in part.ifs:
            self.add("part dropped", condition, "True")
            self.add("not added", condition, _not(condition))
            self.expression(condition)
        self.expression(part.iter)

    def comparison(self, node):
        for i, op in enumerate(node.ops):
            for other in COMPARISONS[type(op)]:
                self.replaced("comparison", node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])
        for x in [node.left, *node.comparators]:
            self.expression(x, texts=True)

    def constant(self, node, texts, kind):
        value = node.value
        if isinstance(value, bool):
            self.add(kind, node, repr(not value))
        elif isinstance(value, int):
            self.add(kind, node, repr(value + 1))
            if value > 1:
                self.add(kind, node, repr(value - 1))
        elif isinstance(value, float):
            for other in {value * 2, value / 2} if value else {1.0}:
                self.add(kind, node, repr(other))
        elif isinstance(value, str) and value and texts:
            self.add(kind, node, repr(value + "_"))

    def call(self, node, statement=False):
        name = ast.unparse(node.func)
        if name in WHOLE or name.endswith(("Error", "Warning")):
            return
        args = node.args
        if not any(isinstance(x, ast.Starred) for x in args):
            for i in range(0 if name.endswith(SYMMETRIC) else len(args) - 1):
                swapped = [*args[:i], args[i + 1], args[i], *args[i + 2 :]]
                self.replaced("arguments swapped", node, args=swapped)
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in ("stacklevel", "strict"):
                self.replaced("keyword dropped", node, keywords=[k for k in node.keywords if k is not keyword])
                self.expression(keyword.value, texts=True)
        if not statement:
            values = [x for x in args if not isinstance(x, (ast.Starred, ast.Constant, ast.JoinedStr))]
            for x in values[:2]:
                self.add("call dropped", node, x)
            if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).split("(")[0] not in MODULES | {"super"}:
                self.add("call dropped", node, node.func.value)
        if isinstance(node.func, ast.Attribute):
            self.expression(node.func.value)
        for x in args:
            self.expression(x.value if isinstance(x, ast.Starred) else x)


def _not(test):
    return test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else ast.UnaryOp(ast.Not(), test)


def valid(mutant, source):
    try:
        return ast.dump(ast.parse(mutant.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


@functools.cache
def mutants(path, source):
    """All that can be planted in a source, in the order of its lines."""
    return list(_Finder(path, source).found.values())


def drawn(sources, seed, count):
    """`count` mutants of {path: source}: the files in turn, in each file the kinds alike."""
    generator = random.Random(seed)
    left = {}
    for path in sorted(sources):
        kinds = {}
        for mutant in mutants(path, sources[path]):
            kinds.setdefault(mutant.kind, []).append(mutant)
        left[path] = kinds
    chosen = []
    while len(chosen) < count and any(left.values()):
        paths = [path for path in left if left[path]]
        generator.shuffle(paths)
        for path in paths[: count - len(chosen)]:
            kind = generator.choice(sorted(left[path]))
            group = left[path][kind]
            mutant = group.pop(generator.randrange(len(group)))
            if not group:
                del left[path][kind]
            if valid(mutant, sources[path]):
                chosen.append(mutant)
    return chosen
