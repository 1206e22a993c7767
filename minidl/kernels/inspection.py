"""xray: what a kernel has become, from the Python loop to the instructions of this processor."""

import ast
import difflib
import html
import inspect
import re
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import numba
import numpy as np

from .. import kernels
from . import jit as compiling
from .pipeline import KERNEL

LINES = 6000  # of LLVM IR or assembly on a page
BITS = {"zmm": 512, "ymm": 256, "xmm": 128}  # of x86's vector registers
FUSED = re.compile(r"vfn?m(?:add|sub|addsub|subadd)(?:132|213|231)([ps])[sd]$|fn?(?:mla|mls|madd|msub)$")


def xray(name=None, dtype="float32", signature=None):
    """What a kernel such as "gemm.product" has become: the Python loop, LLVM's code, the assembly, and how wide it computes.

    Without a name: the names there are. dtype: of the elements, float32 or float64. signature: other argument types, as a tuple
    of Numba's types; a kernel that only others call needs one, unless this process has compiled it already.

    The kernel is compiled afresh for this, outside of the cache, because code from the cache cannot be read; the one in use
    stays as it is. That takes time each call: on one core 0.1 to 1 s for a simple loop, 3 s for "gemm.product", 4 to 10 s for
    convolutions, recurrent layers and attention.

    >>> found = xray("elementwise.relu")
    >>> found.name, found.widest >= 128, "select" in found.source
    ('elementwise.relu', True, True)
    >>> xray("gemm.produkt")
    Traceback (most recent call last):
    ValueError: xray: there is no kernel 'gemm.produkt'; do you mean gemm.product? kernels.xray() gives all names
    """
    if numba.config.DISABLE_JIT:
        raise RuntimeError("xray: NUMBA_DISABLE_JIT is set, so there is no machine code; leave it out")
    tables, inner = tables_by_name(), _inner()
    if name is None:
        return tuple(sorted(tables))
    if not isinstance(name, str):
        raise TypeError(f"xray: expected the name of a kernel, such as 'gemm.product', got {type(name).__name__}")
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"xray: dtype must be float32 or float64, got {dtype!r}") from None
    if dtype not in compiling.FLOATS:
        raise TypeError(f"xray: dtype must be float32 or float64, got {dtype}")
    if name in tables:
        table = tables[name]
        kernel, types = table.kernel, table.signature(numba.from_dtype(dtype)) if signature is None else signature
    elif name in inner:
        kernel = inner[name]
        known = [types for dispatcher in kernel._made.values() for types in dispatcher.nopython_signatures]
        types = signature if signature is not None or not known else known[0].args
        if types is None:
            raise ValueError(
                f"xray: only other kernels call {name}; give signature=, a tuple of Numba's types, or look at one of those"
            )
    else:
        raise ValueError(f"xray: there is no kernel {name!r}; {_remedy(name, [*tables, *inner])}kernels.xray() gives all names")
    if not isinstance(types, tuple) or not all(isinstance(t, numba.types.Type) for t in types):
        raise TypeError(f"xray: signature must be a tuple of Numba's types, got {types!r}")
    return Xray(name, kernel, types)


def _remedy(name, names):
    last = name.rpartition(".")[2]
    known = sorted(set(names))
    close = [n for n in known if n.rpartition(".")[2] == last] or [n for n in known if len(last) > 2 and last in n]
    close = (close or difflib.get_close_matches(name, known, 3, 0.75))[:3]
    return f"do you mean {' or '.join(close)}? " if close else ""


def tables_by_name():
    """{name: table} of the kernels whose argument types are known. Of several with one name, the others get a number."""
    for function in kernels.__all__:
        getattr(kernels, function)  # loads its file
    found = {}
    element = numba.float32
    for table in compiling.tables:
        if isinstance(table.kernel, compiling._LazyKernel):
            function = table.kernel.__wrapped__
            last = function.__qualname__.rpartition(".")[2].strip("_").replace("__", "_")
            found.setdefault(f"{function.__module__.rpartition('.')[2]}.{last}", []).append(table)
    names = {}
    for name, same in found.items():
        for k, table in enumerate(sorted(same, key=lambda t: str(t.signature(element)))):
            names[name if not k else f"{name}_{k + 1}"] = table
    return names


def _inner():
    """{name: kernel} of all that stand in a module under their name."""
    found = {}
    for path, module in list(sys.modules.items()):
        if path.startswith(__package__ + "."):
            for key, kernel in vars(module).items():
                if isinstance(kernel, compiling._LazyKernel) and kernel.__wrapped__.__module__ == path:
                    found[f"{path.rpartition('.')[2]}.{key.strip('_')}"] = kernel
    return found


def _compiled(kernel, types):
    """A kernel's LLVM code and assembly, compiled now and for nothing else."""
    options = {**kernel._options, **KERNEL, "no_cpython_wrapper": True, "_nrt": kernel.counts}
    with compiling.without_notice():
        dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(kernel.__wrapped__)
        dispatcher.compile(types)
    (found,) = dispatcher.overloads.values()
    return found.library.get_llvm_str(), found.library.get_asm_str()


def _source(function):
    """(file:line, text); the formula around which a loop was made comes first, that of float32 where there are two."""
    try:
        lines, start = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return "", "(the source is not to be had)"
    text = textwrap.dedent("".join(lines)).rstrip()
    inside = inspect.getclosurevars(function).nonlocals
    formula = inside.get("formulas", {}).get(np.float32, inside.get("formula"))  # vmath has one for each element type
    formula = getattr(formula, "__wrapped__", formula)
    if inspect.isfunction(formula):
        text = f"{_source(formula)[1]}\n\n\n{text}"
    return f"kernels/{Path(inspect.getsourcefile(function)).name}:{start}", text


def _twins(function):
    """[(name, text)] of what the kernel calls and what is written twice: as instructions, and in Python to be read."""
    found = {}
    words = set(re.findall(r"\w+", _source(function)[1]))
    for path, module in sorted(sys.modules.items()):
        if path.startswith(__package__ + "."):
            used = [w for w in words if w in function.__globals__ and function.__globals__[w] is vars(module).get(w)]
            if used and hasattr(module, "__file__"):
                for name, text in _written_twice(module).items():
                    if name in used:
                        found.setdefault(name, text)
    return sorted(found.items())


def _written_twice(module):
    source = Path(module.__file__).read_text(encoding="utf-8")
    blocks = [x for x in ast.parse(source).body if isinstance(x, ast.If) and ast.unparse(x.test) == "numba.config.DISABLE_JIT"]
    functions = [x for block in blocks for x in block.body if isinstance(x, ast.FunctionDef)]
    return {x.name: textwrap.dedent(ast.get_source_segment(source, x, padded=True)) for x in functions}


def count(assembly):
    """What stands in assembly, as a dict: instructions, uses of the registers, fused multiply-adds, those of several numbers.

    >>> count("f:\\n vfmadd231ps %ymm1, %ymm2, %ymm3\\n vfmadd213ss %xmm1, %xmm2, %xmm3\\n ret")
    {'instructions': 3, 'registers': {'zmm': 0, 'ymm': 1, 'xmm': 1}, 'fused': 2, 'fused_vectors': 1}
    """
    registers, instructions, fused, vectors = Counter(), 0, 0, 0
    for line in assembly.splitlines():
        code = line.partition("#")[0]
        words = code.split()
        if not words or words[0][0] == "." or words[0][-1] == ":":
            continue
        instructions += 1
        registers.update(kind for kind in BITS if kind in code)
        of = FUSED.match(words[0])
        fused += of is not None
        vectors += of is not None and (of[1] == "p" or (of[1] is None and bool(re.search(r"\bv\d+\.|\bz\d+\.", code))))
    numbers = {kind: registers[kind] for kind in BITS}
    return {"instructions": instructions, "registers": numbers, "fused": fused, "fused_vectors": vectors}


class Xray:
    """A kernel as Python, as LLVM's code and as assembly, and numbers of the last.

    instructions: how many there are. registers: how many of them use zmm (512 bits), ymm (256) and xmm (128; single
    numbers, too). widest: bits of the widest register. fused: multiply-adds in one instruction; fused_vectors: those that
    do it for several numbers at once. seconds: what compiling took.

    >>> found = xray("layout.zero")
    >>> found.instructions > 10 and found.seconds > 0
    True
    """

    def __init__(self, name, kernel, types):
        self.name, self.signature = name, types
        self.place, self.source = _source(kernel.__wrapped__)
        self.twins = _twins(kernel.__wrapped__)
        began = time.perf_counter()
        self.llvm, self.assembly = _compiled(kernel, types)
        self.seconds = time.perf_counter() - began
        for key, value in count(self.assembly).items():
            setattr(self, key, value)
        self.widest = max((BITS[kind] for kind, n in self.registers.items() if n), default=128 * bool(self.fused_vectors))

    def __str__(self):
        used = ", ".join(f"{kind} ({BITS[kind]} bits) {n:,}" for kind, n in self.registers.items() if n) or "none of x86"
        types = ", ".join(map(str, self.signature))
        return "\n".join(
            [
                f"{self.name}, {self.place}",
                f"for {types}",
                f"instructions {self.instructions:,}, of which with vector registers: {used}",
                f"widest {self.widest} bits",
                f"fused multiply-adds {self.fused:,}, {self.fused_vectors:,} of them on several numbers at once",
                f"Python {self.source.count(chr(10)) + 1:,} lines, LLVM {self.llvm.count(chr(10)):,}, assembly "
                f"{self.assembly.count(chr(10)):,}; compiled in {self.seconds:.1f} s",
            ]
        )

    def __repr__(self):
        return f"<Xray of {self.name}: widest {self.widest} bits, {self.fused} fused multiply-adds>"

    def html(self):
        """The page: numbers, then the texts beside each other, with vectors marked, and a link to the first multiply-add."""
        python = self.source + "".join(f"\n\n\n# {name}, in Python to be read\n{text}" for name, text in self.twins)
        columns = ("Python", python, None), ("LLVM", self.llvm, r"fmuladd|&lt;\d+ x (?:float|double)&gt;"), (
            "assembly", self.assembly, r"%[zy]mm\d+|v?fn?m(?:add|sub)\w+|\bfml[as]\b",
        )  # fmt: skip
        link = '<p><a href="#minidl-fma">to the first fused multiply-add</a></p>' if self.fused else ""
        parts = [f"<section><h2>{title}</h2>{_listing(text, marks)}</section>" for title, text, marks in columns]
        return (
            f'<div class="minidl-xray"><style>{STYLE}</style><h1>{html.escape(self.name)}</h1>'
            f"<pre>{html.escape(str(self))}</pre>{link}"
            f"<div>{''.join(parts)}</div></div>"
        )

    def save(self, path):
        """Writes the page, one HTML file, and gives its path."""
        path = Path(path)
        if path.suffix != ".html":
            raise ValueError(f"Xray.save: expected a name that ends in .html, got {str(path)!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        head += f"<title>{html.escape(self.name)}</title>"
        text = f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{self.html()}</body></html>\n'
        path.write_text(text, encoding="utf-8")
        return path

    def _repr_html_(self):
        return self.html()


STYLE = """
.minidl-xray { font: 14px/1.4 system-ui, sans-serif; color-scheme: light dark; color: CanvasText; background: Canvas;
  padding: .5rem; }
.minidl-xray > div { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: .8rem; }
.minidl-xray h1 { font-size: 1.2rem; margin: 0; } .minidl-xray h2 { font-size: 1rem; margin: .3rem 0; }
.minidl-xray section { min-width: 0; }
.minidl-xray section pre { height: 75vh; overflow: auto; border: 1px solid #8888; margin: 0; padding: .5rem; }
.minidl-xray pre { font: 12px/1.35 ui-monospace, Consolas, monospace; overflow: auto; }
.minidl-xray mark { background: #f0a06066; color: inherit; }
"""


def _listing(text, marks):
    lines = text.splitlines()
    text = html.escape("\n".join(lines[:LINES]), quote=False)
    if marks:
        text = re.sub(marks, lambda found: f"<mark>{found[0]}</mark>", text)
        text = re.sub(r"<mark>(?=vfn?m|fml)", '<mark id="minidl-fma">', text, count=1)
    rest = f"\n… {len(lines) - LINES:,} lines more" if len(lines) > LINES else ""
    return f'<pre tabindex="0">{text}{rest}</pre>'
