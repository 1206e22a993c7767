"""The site: `make docs` builds it into out/site. With DOCS_QUICK=1 the programs of the gallery take a few steps only."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "examples")]  # also in the processes that run the programs of the gallery
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as many programs run at once as there are cores
os.environ["MINIDL_QUIET"] = "1"
os.environ["MPLBACKEND"] = "Agg"

from site_tools import explained, links, programs, prose, reading, reference, sources  # noqa: E402
from sphinx.errors import ExtensionError  # noqa: E402

import minidl  # noqa: E402

ATLAS = HERE / "atlas.py"  # write(folder) makes a page for each operation, and index.md
(HERE / "extra").mkdir(exist_ok=True)

project = "minidl"
version = release = minidl.__version__
extensions = ["sphinx.ext.autodoc", "myst_parser", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["site_tools", "programs", "explain/*.png", "README.md"]
nitpicky = True
nitpick_ignore = [("py:class", "minidl.nn.module.Module")]  # the type of an attribute; its public name is nn.Module
smartquotes = False  # text is shown as it was written
add_module_names = False

html_theme = "furo"
html_title = "minidl"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["extra"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
toc_object_entries_show_parents = "hide"

myst_heading_anchors = 3
myst_url_schemes = ["http", "https", "mailto", "source"]

sphinx_gallery_conf = {
    "examples_dirs": "programs",
    "gallery_dirs": "gallery",
    "filename_pattern": rf"/({'|'.join(programs.chosen())})\.py$",
    "ignore_pattern": r"/_\w*\.py$|/out/",
    "within_subsection_order": "FileNameSortKey",
    "reset_argv": "site_tools.programs.arguments",
    "image_scrapers": ("site_tools.programs.pictures",),
    "reset_modules": (),
    "parallel": max(1, min(os.cpu_count() or 1, 4)),
    "first_notebook_cell": 'import sys\n\nsys.argv[1:] = []  # the program\'s options; ["--quick"] takes a few steps only',
    "show_memory": False,
    "write_computation_times": False,  # its page would load a script from elsewhere
    "remove_config_comments": True,
    "plot_gallery": "True",
    "download_all_examples": False,
    "backreferences_dir": None,
}


def setup(app):
    app.connect("builder-inited", prepare, priority=100)  # before sphinx-gallery looks for programs
    app.connect("source-read", lambda app, page, text: text.__setitem__(0, whole(page, text[0])))
    app.connect("autodoc-process-docstring", docstring)
    app.connect("doctree-resolved", sources.resolve)
    app.connect("html-page-context", menu, priority=100)  # before furo asks for it
    app.connect("build-finished", sources.write)


def prepare(app):
    """Writes the pages that are made of the package and its examples. What lacks text, signature or example ends the build."""
    told = reference.write(HERE / "api")
    if told:
        raise ExtensionError("the reference is not complete:\n" + "\n".join(told))
    reading.write(HERE / "reading")
    programs.write(HERE / "programs")
    explained.write(HERE / "extra" / "explain")
    shutil.rmtree(HERE / "atlas", ignore_errors=True)
    (HERE / "atlas").mkdir()
    if ATLAS.exists():
        spec = importlib.util.spec_from_file_location("atlas", ATLAS)
        atlas = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(atlas)
        atlas.write(HERE / "atlas", pages=HERE / "extra" / "atlas" / "explain", link="source:{path}#L{line}")
    else:
        (HERE / "atlas" / "index.md").write_text("# Atlas of operations\n\nIt was not made: there is no docs/atlas.py.\n")


def menu(app, page, template, context, doctree):
    """The menu of the whole site on every page would take most of the time: it opens the part where one is."""
    whole_menu = context["toctree"]
    context["toctree"] = lambda **options: whole_menu(**options | {"collapse": True})


def whole(page, text):
    if not (HERE / f"{page}.md").exists():
        return text
    text = links.expanded(text, page)
    return reading.completed(text) if page == "reading" else text


def docstring(app, what, name, x, options, lines):
    lines[:] = prose.rest("\n".join(lines))
