"""A page for each file of code that something leads to, with a mark at each line; and links to what a docstring belongs to."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from string import Template

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from sphinx import addnodes
from sphinx.util.osutil import relative_uri

from .links import INCLUDE, LINK, ROOT, SCHEME, destination

FOLDER = "source"


def files():
    """The files that get pages: all of the package, and those that Markdown links to."""
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "minidl").rglob("*.py")}
    pages = [path for folder in ("", "testing", "notebooks") for path in (ROOT / "docs" / folder).glob("*.md")]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in pages}
    for text in list(texts.values()):
        for match in INCLUDE.finditer(text):
            texts[match[2]] = (ROOT / match[2]).read_text(encoding="utf-8")
    for path, text in texts.items():
        for _, name, target in LINK.findall(text):
            if not re.match(r"\w+:|/", target) and target.partition("#")[0]:
                there = destination(target, path, name)
                if there.startswith(SCHEME):
                    found.add(there.removeprefix(SCHEME).partition("#")[0])
    return sorted(found)


def write(app, error):
    """Writes the pages of all files, when the others are there. They have no menu: it would take longer than all else."""
    if error or app.builder.format != "html":
        return
    formatter = HtmlFormatter(linenos="inline", lineanchors="L", wrapcode=True)
    page = Template((ROOT / "docs" / "site_tools" / "source.html").read_text(encoding="utf-8"))
    for path in files():
        target = Path(app.outdir) / f"{_page(path)}.html"
        text = (ROOT / path).read_text(encoding="utf-8")
        code = highlight(text, get_lexer_for_filename(path), formatter).replace('<a id="L-', '<a id="L')
        target.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * _page(path).count("/")
        target.write_text(page.substitute(path=path, up=up, code=re.sub(r' name="L-\d+"', "", code)), encoding="utf-8")


def _page(path):
    return f"{FOLDER}/{path}"


def resolve(app, doctree, page):
    """Links to code, which only now know from where they lead."""
    for node in doctree.findall(nodes.reference):
        if node.get("refuri", "").startswith(SCHEME):
            path, _, line = node["refuri"].removeprefix(SCHEME).partition("#")
            node["refuri"] = _uri(app, page, path, line)
            node["internal"] = True
    for description in doctree.findall(addnodes.desc):
        for signature in description.findall(addnodes.desc_signature):
            if signature.parent is description and (place := _place(signature)):
                link = nodes.reference("", "", internal=True, refuri=_uri(app, page, *place), classes=["viewcode-link"])
                link += nodes.inline("", "[source]", classes=["viewcode-link"])
                signature += link


def _uri(app, page, path, line):
    to = app.builder.get_target_uri(_page(path))
    return relative_uri(app.builder.get_target_uri(page), to) + (f"#{line}" if line else "")


def _place(signature):
    """(file, line) of what a signature describes, or None."""
    try:
        x = import_module(signature.get("module") or "minidl")
        for name in signature.get("fullname", "").split("."):
            x = inspect.getattr_static(x, name) if inspect.isclass(x) else getattr(x, name)
        x = x.fget if isinstance(x, property) else x.__func__ if isinstance(x, (classmethod, staticmethod)) else x
        x = inspect.unwrap(x)
        path, (_, line) = inspect.getsourcefile(x), inspect.getsourcelines(x)
    except (AttributeError, ImportError, OSError, TypeError):
        return None
    path = path and path.replace("\\", "/").removeprefix(f"{ROOT.as_posix()}/")
    return (path, f"L{line}") if path and path.startswith("minidl/") else None
