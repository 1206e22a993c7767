"""The examples for sphinx-gallery, which runs them and makes pages and notebooks of them.

sphinx-gallery takes a program's docstring for reST with a title, and a comment after `# %%` for text. The copies that are made
here differ from the examples in just that: a title and escaped text, and `# %%` where a section begins with `# --- its name`.
"""

import ast
import os
import re
import shutil
import sys
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

import minidl

from . import prose

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
QUICK = [  # programs that a quick build runs, for a few steps
    "autodiff_tour",
    "conv_edge_detector",
    "digits_mlp",
    "engine_in_one_page",
    "information_diagram",
    "kl_asymmetry",
    "ladder_conv2d",
    "ladder_matmul",
    "ladder_softmax",
]


def quick():
    return bool(os.environ.get("DOCS_QUICK"))


def names():
    """The programs of examples/: not what they share, _name.py, nor what runs them."""
    return sorted(path.stem for path in EXAMPLES.glob("[!_]*.py") if path.stem != "gallery")


def chosen():
    """Those that are run: all, or for a quick build a few."""
    return QUICK if quick() else names()


def write(folder):
    """Copies of the examples for sphinx-gallery."""
    folder.mkdir(parents=True, exist_ok=True)
    mode = folder / "mode.txt"
    if not mode.exists() or mode.read_text() != str(quick()):  # sphinx-gallery does not run again what it has run
        shutil.rmtree(folder.parent / "gallery", ignore_errors=True)
        mode.write_text(str(quick()))
    for path in folder.glob("*.py"):
        if path.stem not in names():
            path.unlink()
    for name in names():
        _save(folder / f"{name}.py", prepared((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"), name))
    _save(folder / "GALLERY_HEADER.rst", HEADER)


HEADER = """\
The gallery
===========

Each program is one file that runs in seconds and says in its first lines what it shows and what number it must reach. Its page
has the code, what it printed and the picture that it drew; below them it can be had as a program and as a notebook. The list
:doc:`by headings of the book </headings>` has their results.

"""


def prepared(text, name):
    """The text of an example with a docstring that is reST with a title, and with sections that sphinx-gallery sees."""
    tree = ast.parse(text)
    first = tree.body[0]
    lines = text.splitlines()
    heading = title(ast.get_docstring(tree), name)
    head = [heading, "=" * (2 * len(heading)), "", *prose.rest(ast.get_docstring(tree))]
    while not head[-1]:
        head.pop()
    body = []
    for line in lines[first.end_lineno :]:
        section = re.fullmatch(r"# --- (?:\d+[.:] )?(.+)", line)
        if section:
            told = prose.inline(section[1][0].upper() + section[1][1:])
            body += ["# %%", f"# {told}", *([f"# {'-' * 2 * len(told)}"] if len(told) <= 60 else []), ""]
        else:
            body.append(line)
    return "\n".join(['r"""', *head, '"""', *body]) + "\n"


def title(text, name):
    """What the first line says before its first pause, if that is short."""
    first = text.splitlines()[0]
    for pause in (r"(?<=\?)| \(|[.:;](?= |$)", ","):
        said = re.split(pause, first)[0].strip()
        if len(said) <= 84 and "`" not in said:
            return said
    return name


def _save(path, text):
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


class Arguments:
    """What sphinx-gallery gives to a program: nothing, or --quick."""

    def __repr__(self):
        return f"Arguments(quick={quick()})"  # when it changes, programs run again

    def __call__(self, gallery, program):
        minidl.set_num_threads(1)  # as many programs run at once as there are cores; those of speed say themselves how many
        minidl.manual_seed(0)
        speed = Path(program["src_file"]).stem.startswith(("ladder_", "remembered_"))
        sys.exit = said if speed else missed
        return ["--quick"] if quick() else []


def missed(message=None):
    """In place of sys.exit: sphinx-gallery does not see that a program was left, but it sees an error."""
    if message:
        raise RuntimeError(message)


def said(message=None):
    """For programs that measure speed, and here run beside others: what they missed is printed."""
    print(message or "")


class Pictures:
    """Takes the picture that a program wrote into out/."""

    def __repr__(self):
        return "Pictures()"

    def __call__(self, block, variables, gallery):
        name = Path(variables["src_file"]).stem
        picture = Path(variables["src_file"]).parent / "out" / f"{name}.png"
        if not picture.exists():
            return ""
        path = next(variables["image_path_iterator"])
        shutil.move(picture, path)
        return figure_rst([path], gallery["src_dir"], f"the picture of {name}")


arguments, pictures = Arguments(), Pictures()
