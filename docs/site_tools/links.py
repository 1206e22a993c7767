"""Markdown of the project on the site: pieces of files are taken over, and links to files lead to their pages.

In a page of docs/ a line `<!-- README.md: Limits -->` stands for the section Limits of README.md, `<!-- tests/ULPS.md -->` for
a whole file, `<!-- page README.md: Limits -->` for a section whose heading is the title of the page, and
`<!-- lead README.md: minidl -->` for what stands between a heading and the next one.

A link to a file of code becomes `source:minidl/random.py#L12`; sources.py makes pages of such files, and the links to them.
"""

import ast
import functools
import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCHEME = "source:"
INCLUDE = re.compile(r"^<!-- (?:(page|lead) )?([\w./]+\.md)(?:: (.+?))? -->$", re.M)
LINK = re.compile(r"(!?)\[((?:\\.|`[^`]*`|[^\]\\`])*)\]\(([^)\s]+)\)")
PAGES = {  # file -> page of the site
    "README.md": "index.md",
    "CONTRIBUTING.md": "adding.md",
    "CHANGELOG.md": "changes.md",
    "benchmarks/results.md": "benchmarks.md",
    "examples/README.md": "headings.md",
    "tests/FUZZING.md": "testing/fuzzing.md",
    "tests/MUTATION.md": "testing/mutation.md",
    "tests/PROMISES.md": "testing/promises.md",
    "tests/ULPS.md": "testing/ulps.md",
}
SECTIONS = {  # heading of README -> page that has it
    "two-commands": "start.md",
    "first-steps": "start.md",
    "what-there-is": "overview.md",
    "several-processes": "overview.md",
    "examples": "headings.md",
    "reading-it-and-adding-to-it": "reading.md",
    "why-backward-walks-from-the-newest-to-the-oldest": "engine.md",
    "checking-a-gradient-of-your-own": "engine.md",
    "speed": "benchmarks.md",
    "limits": "limits.md",
}
TITLES = {"reading-it-and-adding-to-it", "limits"}  # there the heading is the page's title


def expanded(text, page):
    """The text of a page of docs/ with what it takes over, and with links that lead somewhere on the site."""
    text = relinked(text, f"docs/{page}.md")
    return INCLUDE.sub(lambda match: _taken(match[2], match[3], match[1]), text)


def _taken(path, section, how):
    text = (ROOT / path).read_text(encoding="utf-8")
    if section:
        text = piece(text, section, how == "lead")
    if section and how == "lead":
        text = text.partition("\n")[2]
    elif section:  # to level 1 or 2, and what is in it accordingly
        deeper = len(re.match("#+", text)[0]) - (1 if how == "page" else 2)
        text = _outside_code(text, lambda part: re.sub(rf"^#{{{deeper}}}(?=#)", "", part, flags=re.M))
    return relinked(text, path)


def piece(text, section, lead=False):
    """A section with its heading, up to the next one that is not within it; or only its lead, up to the next one."""
    headings = []  # (where, level, name), but not lines of code that begin with #
    place = 0
    for part, code in _split(text):
        if not code:
            headings += [(place + match.start(), len(match[1]), match[2]) for match in re.finditer(r"^(#+) (.+)$", part, re.M)]
        place += len(part)
    for i, (start, level, name) in enumerate(headings):
        if name == section:
            ends = [where for where, other, _ in headings[i + 1 :] if other <= level or lead]
            return text[start : min(ends, default=len(text))].rstrip() + "\n"
    raise LookupError(f"there is no section {section}; there are {[name for _, _, name in headings]}")


def relinked(text, path):
    """Markdown of a file with links that lead to pages of the site."""
    return _outside_code(text, lambda part: LINK.sub(lambda match: _link(match, path), part))


def _split(text):
    """[(piece, whether it is a block of code)]"""
    parts = re.split(r"(^ *```(?!\{).*?^ *```$\n?)", text, flags=re.M | re.S)
    return [(part, i % 2 == 1) for i, part in enumerate(parts)]


def _outside_code(text, change):
    return "".join(part if code else change(part) for part, code in _split(text))


def _link(match, path):
    image, name, target = match.groups()
    if re.match(r"\w+:", target) or target.startswith("/"):
        return match[0]
    return f"{image}[{name}]({destination(target, path, name, bool(image))})"


def destination(target, path, name="", image=False):
    """Where a link of a file leads to on the site. Raises LookupError if it leads nowhere."""
    file, _, anchor = target.partition("#")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path
    if file == "README.md" and anchor:
        if anchor not in SECTIONS:
            raise LookupError(f"{path}: no page of the site has README's section {anchor}: name it in docs/site_tools/links.py")
        return f"/{SECTIONS[anchor]}" + ("" if anchor in TITLES else f"#{anchor}")
    if file.startswith("docs/") and not target.partition("#")[0]:
        return target  # within the page
    if file.startswith("docs/") and (ROOT / file).suffix in (".md", ".rst"):
        if not (ROOT / file).exists() and not file.startswith(("docs/api/", "docs/atlas/", "docs/gallery/", "docs/reading/")):
            raise LookupError(f"{path}: there is no {file}")
        return f"/{file.removeprefix('docs/')}" + (f"#{anchor}" if anchor else "")
    if not (ROOT / file).exists():
        raise LookupError(f"{path}: there is no {file}")
    if file in PAGES:
        return f"/{PAGES[file]}" + (f"#{anchor}" if anchor else "")
    if image or file.endswith(".png"):
        return f"/../{file}"
    example = re.fullmatch(r"examples/([a-z]\w*)\.py", file)
    if example and example[1] != "gallery":
        return f"/gallery/{example[1]}.rst"
    line = definitions(file).get(name.strip("`").rpartition(".")[2]) if file.endswith(".py") else None
    return f"{SCHEME}{file}" + (f"#L{line}" if line else "")


@functools.cache
def definitions(path):
    """{name: line} of all functions, classes and variables of a file, methods too; the first that has a name."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.setdefault(node.name, node.lineno)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, node.lineno)
    return found
